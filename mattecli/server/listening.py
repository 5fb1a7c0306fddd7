"""Runs a web application on a port until it is ended."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from mattecli.errors import InputError
from mattecli.server.security import App


def bound(host: str, port: int) -> socket.socket:
    """A socket at that port, or at a free one for 0. Raises `InputError` where that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # On Windows SO_REUSEADDR would let two servers have one port.
        alone = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        listener.setsockopt(socket.SOL_SOCKET, alone, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"port {port} of {host} cannot be used ({reason}); name another one with `port`") from error
    return listener


def listen(
    app: App,
    listener: socket.socket,
    *,
    on_end: Callable[[], None] = lambda: None,
    on_hurry: Callable[[], None] = lambda: None,
    patience: int | None = 10,
) -> None:
    """Answer requests until SIGINT or SIGTERM. `on_end` is called at once, to end streams that would stay open.

    `on_hurry` is called at a later SIGINT: the application is to wait for nothing more.

    Requests that are going on are answered for `patience` seconds more, or for as long as they take without it. No line
    is logged for a request, because the address at the start has a token.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=patience,
        ws="none",
    )
    _Server(config, on_end, on_hurry).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_end: Callable[[], None], on_hurry: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_end, self._on_hurry = on_end, on_hurry

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End the streams, which uvicorn would wait for, and then the server."""
        self._on_end()
        super().handle_exit(sig, frame)
        if self.force_exit:
            self._on_hurry()
