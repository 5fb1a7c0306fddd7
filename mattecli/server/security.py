"""Checks who may talk to the server, as plain ASGI.

The rules: the request names a host of this machine, comes from the page itself, has the cookie
that only the start-up token gives, and a header token where it changes something. Bodies are counted while they arrive.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_HOST = re.compile(r"(?:\[([^][]+)\]|([^][:]+))(?::\d{1,5})?")
_READING = ("GET", "HEAD")
SMALL_BODY = 4 * 2**20  # of JSON; a stroke of 50,000 points is half of it


@dataclass(frozen=True)
class Tokens:
    """The secrets of one server: for the address at the start, the cookie, and the header of writes.

    `once` is for the address that a browser is started with, which other users of the machine may see in the list of
    processes. So it counts once.
    """

    start: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    once: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    write: str = field(default_factory=lambda: secrets.token_urlsafe(32))


class RefusedError(Exception):
    """A request that goes no further: its status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Limited:
    """Counts the bytes of bodies while they arrive, and answers 413 where they are too many.

    `limit` gives the most bytes of a request by its scope. A body of which nothing comes for `patience` seconds is
    answered with 408. Nothing that the app answers after that is sent.
    """

    def __init__(self, app: App, *, limit: Callable[[Scope], int], patience: float | None = None) -> None:
        self._app, self._limit, self._patience = app, limit, patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most, count, whole, begun = self._limit(scope), 0, False, False
        refusal: tuple[int, str] | None = None
        sentence = f"the request has more than {most} bytes; send less"
        declared = header(scope, b"content-length")
        if declared is not None and (not declared.isdecimal() or int(declared) > most):
            await refuse(send, 413, sentence)
            return

        async def counted() -> Message:
            nonlocal count, whole, refusal
            try:
                message = await asyncio.wait_for(receive(), None if whole else self._patience)
            except TimeoutError:
                refusal = (408, f"nothing of the request came for {self._patience:g} seconds; send it again")
                return {"type": "http.disconnect"}
            count += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if count > most:
                refusal = (413, sentence)
                return {"type": "http.disconnect"}
            return message

        async def answered(message: Message) -> None:
            nonlocal begun
            if refusal is None:
                begun = True
                await send(message)

        try:
            await self._app(scope, counted, answered)
        except Exception:
            if refusal is None:
                raise
        if refusal is not None and not begun:
            status, sentence = refusal
            await refuse(send, status, sentence, [(b"connection", b"close")] if status == 408 else [])


class Gate(ABC):
    """An ASGI app before another one: it lets no websocket in, adds the headers of safety, and answers refusals."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        guarded = with_headers(send)
        try:
            await self.handle(scope, receive, guarded)
        except RefusedError as refused:
            asking = [(b"www-authenticate", b"Bearer")] if refused.status == 401 else []
            await refuse(guarded, refused.status, str(refused), asking)

    @abstractmethod
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or raise RefusedError."""


class Guard(Gate):
    """Lets only the page of this server in, at `port`, where `tokens` are known. `limit` is that of `Limited`."""

    def __init__(self, app: App, *, port: int, tokens: Tokens, limit: Callable[[Scope], int]) -> None:
        super().__init__(Limited(app, limit=limit))
        self._tokens = tokens
        self._cookie = f"matte_{port}"
        self._spent = False  # whether the token that counts once was used

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or refuse it."""
        check_host(scope)
        _check_origin(scope)
        if self._is_start(scope):
            await self._begin(send)
            return
        self._check_tokens(scope)
        await self.app(scope, receive, send)

    def _is_start(self, scope: Scope) -> bool:
        """Whether this is an address to begin with. A wrong token there is refused."""
        if scope["path"] != "/" or scope["method"] != "GET":
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if given is None:
            return False
        if same(given[0], self._tokens.start):
            return True
        if same(given[0], self._tokens.once) and (not self._spent or self._has_cookie(scope)):
            self._spent = True
            return True
        raise RefusedError(403, "the token is not that of this server; open the address that `matte ui` printed")

    async def _begin(self, send: Send) -> None:
        """Give the cookie, and take the token out of the address bar."""
        cookie = f"{self._cookie}={self._tokens.cookie}; HttpOnly; SameSite=Strict; Path=/"
        headers = [(b"location", b"/"), (b"set-cookie", cookie.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _has_cookie(self, scope: Scope) -> bool:
        cookies = (header(scope, b"cookie") or "").split(";")
        pairs = [pair.strip().partition("=") for pair in cookies]
        given = next((value for name, _, value in pairs if name == self._cookie), "")
        return same(given, self._tokens.cookie)

    def _check_tokens(self, scope: Scope) -> None:
        if not self._has_cookie(scope):
            raise RefusedError(403, "the cookie of this server is missing; open the address that `matte ui` printed")
        if scope["method"] not in _READING and not same(header(scope, b"x-matte-token") or "", self._tokens.write):
            raise RefusedError(403, "the header X-Matte-Token is missing or wrong; reload the page")


class Key(Gate):
    """Lets in who has the token, as `Authorization: Bearer …`; all paths but the open ones need it.

    Without a token only this machine's own programs are let in, and no page of a browser.
    """

    def __init__(self, app: App, *, token: str | None, open_paths: Collection[str] = ()) -> None:
        super().__init__(app)
        self._token, self._open = token, open_paths

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or refuse it."""
        if self._token is None:
            check_host(scope)
            _check_origin(scope)
        elif scope["path"] not in self._open:
            kind, _, given = (header(scope, b"authorization") or "").partition(" ")
            if kind.lower() != "bearer" or not same(given.strip(), self._token):
                raise RefusedError(401, "the token is missing or wrong; send the header Authorization: Bearer TOKEN")
        await self.app(scope, receive, send)


def header(scope: Scope, name: bytes) -> str | None:
    """A header of a request by its name in small letters; None where it is missing. Several are joined."""
    values = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return ", ".join(values) if values else None


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(one.encode(), other.encode())


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address, or `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_host(scope: Scope) -> None:
    """Refuse a request whose `Host` is not this machine's own: a name of the web that leads here is a trick."""
    named = _HOST.fullmatch(header(scope, b"host") or "")
    if named is None or not is_loopback(named[1] or named[2]):
        raise RefusedError(403, "the Host of the request is not this machine; open http://127.0.0.1 with the port")


def _check_origin(scope: Scope) -> None:
    """Refuse requests of other pages, those of other ports of this machine included."""
    origin = header(scope, b"origin")
    if origin is not None and origin.lower() != f"http://{header(scope, b'host')}".lower():
        raise RefusedError(403, "the request comes from another page; open the page of this server")
    if header(scope, b"sec-fetch-site") in ("cross-site", "same-site"):
        raise RefusedError(403, "the request comes from another page; open the page of this server")


def with_headers(send: Send, extra: Iterable[tuple[bytes, bytes]] = _HEADERS) -> Send:
    """A `send` that adds the headers of safety, and forbids caching where the app says nothing of it."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            headers += extra
            if not any(name.lower() == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": headers}
        await send(message)

    return sent


async def refuse(send: Send, status: int, sentence: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Answer with an error, as JSON."""
    body = json.dumps({"error": sentence}).encode()
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": own})
    await send({"type": "http.response.body", "body": body})
