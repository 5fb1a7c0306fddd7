"""Events that the server sends to the tabs of the page."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import StreamingResponse

_MOST_WAITING = 1000  # events that a tab has not read; then its stream ends, and the page opens it anew
_QUIET = 15.0  # seconds after which a comment shows that the stream still lives


class Events:
    """Streams of events. `send` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal may arrive while its own thread holds it
        self._streams: dict[asyncio.Queue[str | None], tuple[str, asyncio.AbstractEventLoop]] = {}
        self._closed = False

    def send(self, kind: str, photo: str | None = None, **facts: Any) -> None:
        """Tell all tabs of an event."""
        text = f"data: {json.dumps({'type': kind, 'photo': photo, **facts})}\n\n"
        with self._lock:
            streams = list(self._streams.items())
        for queue, (_, loop) in streams:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_put, queue, text)

    def listens(self, tab: str) -> bool:
        """Whether that tab has an open stream."""
        with self._lock:
            return any(name == tab for name, _ in self._streams.values())

    def stream(self, tab: str) -> StreamingResponse:
        """The answer to a tab that asks for events."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._lines(tab), media_type="text/event-stream", headers=headers)

    def close(self) -> None:
        """End all streams: a server waits for them before it ends."""
        self.send("closing")
        with self._lock:
            self._closed = True
            streams = list(self._streams.items())
        for queue, (_, loop) in streams:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_put, queue, None)

    async def _lines(self, tab: str) -> AsyncIterator[str]:
        queue: asyncio.Queue[str | None] = asyncio.Queue(_MOST_WAITING)
        with self._lock:
            if self._closed:
                return
            self._streams[queue] = (tab, asyncio.get_running_loop())
        try:
            yield ": open\n\n"
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), _QUIET)
                except TimeoutError:
                    text = ": quiet\n\n"
                if text is None:
                    return
                yield text
        finally:
            with self._lock:
                self._streams.pop(queue, None)


def _put(queue: asyncio.Queue[str | None], text: str | None) -> None:
    """Add an event for a tab. A tab that reads none for long loses its stream."""
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        text = None
    queue.put_nowait(text)
