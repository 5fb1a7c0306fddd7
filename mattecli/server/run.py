"""Puts the parts of `matte ui` and `matte serve` together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mattecli.errors import UsageError
from mattecli.imaging.options import ReadOptions
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.server.api import api_app
from mattecli.server.batches import Batch
from mattecli.server.events import Events
from mattecli.server.listening import bound, listen
from mattecli.server.requests import Requests
from mattecli.server.routes import STATIC, page_app
from mattecli.server.runs import Runs
from mattecli.server.saving import Saving
from mattecli.server.security import Tokens, is_loopback
from mattecli.server.sessions import Sessions, photos_at
from mattecli.server.start import Start
from mattecli.server.state import States
from mattecli.system.files import as_text, is_folder
from mattecli.weights import find_checkpoint


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """How the page is served.

    `start` is what the paint of the photos lies on. `batch` has the photos, in place of names. `out` is the folder of
    the outputs, or None: beside each photo. `state` is the folder in which paint is kept. `port` 0 takes a free one.
    """

    start: Start | None = None
    batch: Batch | None = None
    out: Path | None = None
    port: int = 0
    state: Path | None = None
    static: Path = STATIC
    reading: ReadOptions = field(default_factory=ReadOptions)
    run: RunOptions = field(default_factory=RunOptions)


def serve_page(names: Sequence[Path], *, options: PageOptions, on_ready: Callable[[str, str], None]) -> None:
    """Serve the page for photos and folders of photos on this machine alone, until a signal ends it.

    `on_ready` is called with the address to open, which has a token, and with one that can be opened only once. Raises
    `InputError`.
    """
    batch = options.batch
    paths = photos_at(names) if batch is None else batch.photos
    find_checkpoint(options.run.weights)  # so that its errors come now
    events, tokens = Events(), Tokens()
    states = States(options.state)
    sessions = Sessions(
        paths,
        states,
        start=options.start,
        starts=None if batch is None else batch.starts,
        approved=(lambda _: False) if batch is None else batch.approved,
        reading=options.reading,
        exposure=options.run.network_exposure,
        listens=events.listens,
        end=lambda word: runs.end(word),
    )
    runs = Runs(sessions, events.send, options.run)
    saving = Saving(sessions, runs, events.send, out=options.out, run=options.run, reading=options.reading, batch=batch)
    listener = bound("127.0.0.1", options.port)
    with listener:
        port = listener.getsockname()[1]
        app = page_app(
            sessions,
            events,
            runs,
            saving,
            port=port,
            tokens=tokens,
            static=options.static,
            folder=_folder_name(names),
            report=None if batch is None else as_text(batch.name),
        )
        listener.listen(128)
        address = f"http://127.0.0.1:{port}/?token="
        on_ready(address + tokens.start, address + tokens.once)
        listen(app, listener, on_end=events.close, on_hurry=saving.give_up)
    if batch is not None:
        batch.close()


def _folder_name(names: Sequence[Path]) -> str | None:
    """The name of the folder, where one was given."""
    return as_text(names[0].name) if len(names) == 1 and is_folder(names[0]) else None


@dataclass(frozen=True, kw_only=True)
class ApiOptions:
    """How the API is served. `queue` is how many requests wait, `most_bytes` how large one may be."""

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    queue: int = 4
    most_bytes: int = 256 * 2**20
    reading: ReadOptions = field(default_factory=ReadOptions)
    run: RunOptions = field(default_factory=RunOptions)


def serve_api(*, options: ApiOptions, on_ready: Callable[[str], None], log: Callable[[str], None]) -> None:
    """Serve the HTTP API until a signal ends it; requests that were taken on are answered first.

    `on_ready` is called with the address, `log` with a line for each request. Raises `UsageError` for an address that
    others can reach without a token, and what loading the network raises.
    """
    if options.token is None and not is_loopback(options.host):
        raise UsageError(f"`host={options.host}` can be reached by others, so a token is needed; give `token_file`")
    listener = bound(options.host, options.port)
    with listener:
        requests = Requests(Model(options.run), queue=options.queue, reading=options.reading)
        requests.load()
        app = api_app(
            requests,
            token=options.token,
            most_bytes=options.most_bytes,
            log=log,
            weights=find_checkpoint(options.run.weights).name,
        )
        listener.listen(128)
        host = f"[{options.host}]" if ":" in options.host else options.host
        on_ready(f"http://{host}:{listener.getsockname()[1]}")
        listen(app, listener, patience=None)
