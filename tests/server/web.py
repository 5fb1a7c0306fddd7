"""Asks an ASGI application directly, without a socket: every byte of a request is the test's own."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np

from mattecli.inference.options import RunOptions
from mattecli.server.batches import Batch
from mattecli.server.events import Events
from mattecli.server.routes import page_app
from mattecli.server.runs import Runs
from mattecli.server.saving import Saving
from mattecli.server.security import App, Tokens
from mattecli.server.sessions import Sessions
from mattecli.server.state import States
from tests.server.processes import obedient

PORT = 8765
_END = object()


class Answer(NamedTuple):
    """An answer: status, headers by name in small letters, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


def ask(app: App, method: str, target: str, **how: Any) -> Answer:
    """One request, as `asking` makes it."""
    return asyncio.run(asking(app, method, target, **how))


async def asking(
    app: App,
    method: str,
    target: str,
    *,
    headers: dict[str, str] | None = None,
    chunks: Iterable[bytes | None] = (b"",),
) -> Answer:
    """One request. `chunks` are the parts in which the body arrives; they are only made as far as they are read.

    An empty part ends the body, and the client waits for the answer; or with None after it, it goes away. Without an
    empty part it goes away after the last one.
    """
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),  # as a server hands it on
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", PORT),
    }
    parts, sent = iter(chunks), []
    whole = False

    async def receive() -> dict[str, Any]:
        nonlocal whole
        part = next(parts, _END)
        if part is _END and whole:
            await asyncio.Event().wait()
        if part is None or part is _END:
            return {"type": "http.disconnect"}
        whole = part == b""
        return {"type": "http.request", "body": part, "more_body": part != b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)  # type: ignore[arg-type]
    start = sent[0]
    headers_given = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], headers_given, b"".join(message.get("body", b"") for message in sent[1:]))


@asynccontextmanager
async def running(app: App) -> AsyncIterator[None]:
    """What a server tells an application at its start and its end."""
    told: asyncio.Queue[str] = asyncio.Queue()
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def receive() -> dict[str, Any]:
        return {"type": await told.get()}

    async def send(message: Any) -> None:
        await heard.put(message["type"])

    work = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send))  # type: ignore[arg-type]
    for step in ("startup", "shutdown"):
        await told.put(f"lifespan.{step}")
        assert await heard.get() == f"lifespan.{step}.complete"
        if step == "startup":
            yield
    await work


@dataclass
class Page:
    """A page's server and what its browser sends along."""

    sessions: Sessions
    events: Events
    runs: Runs
    saving: Saving
    static: Path
    told: list[dict[str, Any]] = field(default_factory=list)
    tab: str = "one"
    tokens: Tokens = field(default_factory=Tokens)
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = page_app(
            self.sessions,
            self.events,
            self.runs,
            self.saving,
            port=PORT,
            tokens=self.tokens,
            static=self.static,
            **self.facts,
        )

    def close(self) -> None:
        """What the end of the server does."""
        self.runs.close()
        self.saving.close()
        self.sessions.close_all()

    def wait_for(self, kind: str, *, number: int = 1) -> dict[str, Any]:
        """The first, second … event of a kind, when it has come."""
        end = time.monotonic() + 400
        while time.monotonic() < end:
            found = [event for event in self.told if event["type"] == kind]
            if len(found) >= number:
                return found[number - 1]
            time.sleep(0.02)
        raise AssertionError(f"no {kind} among {self.told}")

    @property
    def headers(self) -> dict[str, str]:
        """Those of a browser that has the page."""
        return {
            "host": f"127.0.0.1:{PORT}",
            "origin": f"http://127.0.0.1:{PORT}",
            "cookie": f"other=1; matte_{PORT}={self.tokens.cookie}",
            "x-matte-token": self.tokens.write,
            "x-matte-tab": self.tab,
        }

    def get(self, target: str) -> Answer:
        return ask(self.app, "GET", target, headers=self.headers)

    def send(self, method: str, target: str, body: Any) -> Answer:
        """Send JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        return ask(self.app, method, target, headers={**self.headers, "content-type": kind}, chunks=[data, b""])

    def post(self, target: str, body: Any) -> Answer:
        return self.send("POST", target, body)

    @property
    def word(self) -> str:
        """The first photo's."""
        return str(self.get("/app/session").json["photos"][0]["id"])

    def open(self, *, tab: str | None = None, take: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = self.post(f"/app/photos/{self.word}/open", {"tab": tab or self.tab, "take": take}).json
        return found

    def operate(self, sequence: int, kind: str, **fields: Any) -> tuple[dict[str, Any], list[np.ndarray]]:
        answer = self.post(f"/app/photos/{self.word}/operations", {"sequence": sequence, "kind": kind, **fields})
        assert answer.status == 200, answer.body
        return unpacked(answer.body)


def unpacked(body: bytes) -> tuple[dict[str, Any], list[np.ndarray]]:
    """A pack's facts and its tiles as arrays."""
    (length,) = struct.unpack_from("<I", body)
    facts, place, tiles = json.loads(body[4 : 4 + length]), 4 + length, []
    for tile in facts["tiles"]:
        dtype = np.int16 if tile["layer"] == "base" else np.uint8
        shape = tile["height"], tile["width"], tile["channels"]
        tiles.append(np.frombuffer(body[place : place + tile["bytes"]], dtype).reshape(shape))
        place += tile["bytes"]
    assert place == len(body)
    return facts, tiles


def page_for(
    *photos: Path,
    folder: Path,
    target: Callable[..., None] = obedient,
    out: Path | None = None,
    batch: Batch | None = None,
    **options: Any,
) -> Page:
    """A page for photos, or for those of a batch, whose state is kept below `folder`."""
    static = folder / "static"
    (static / "view").mkdir(parents=True, exist_ok=True)
    (static / "index.html").write_text('<meta name="matte-token" content="">', encoding="utf-8")
    (static / "view" / "tiles.js").write_text("export const TILE = 256;", encoding="utf-8")
    (folder / "secret.txt").write_text("not to be read", encoding="utf-8")
    events = Events()
    if batch is not None:
        photos, options = tuple(batch.photos), {"starts": batch.starts, "approved": batch.approved, **options}
    sessions = Sessions(photos, States(folder / "state"), listens=events.listens, **options)
    told: list[dict[str, Any]] = []

    def tell(kind: str, photo: str | None = None, **facts: Any) -> None:
        told.append({"type": kind, "photo": photo, **facts})

    run = RunOptions(device="cpu")
    runs = Runs(sessions, tell, run, target=target)
    return Page(sessions, events, runs, Saving(sessions, runs, tell, out=out, run=run, batch=batch), static, told)
