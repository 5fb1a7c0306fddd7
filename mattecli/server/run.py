"""Runs `matte ui`: puts sessions, events and routes together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mattecli.imaging.options import ReadOptions
from mattecli.inference.options import RunOptions
from mattecli.server.events import Events
from mattecli.server.listening import bound, listen
from mattecli.server.routes import STATIC, page_app
from mattecli.server.runs import Runs
from mattecli.server.saving import Saving
from mattecli.server.security import Tokens
from mattecli.server.sessions import Sessions, photos_at
from mattecli.server.start import Start
from mattecli.server.state import States


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """How the page is served.

    `start` is what the paint of the photos lies on. `out` is the folder of the outputs, or None: beside each photo.
    `state` is the folder in which paint is kept. `port` 0 takes a free one.
    """

    start: Start | None = None
    out: Path | None = None
    port: int = 0
    state: Path | None = None
    static: Path = STATIC
    reading: ReadOptions = field(default_factory=ReadOptions)
    run: RunOptions = field(default_factory=RunOptions)


def serve_page(names: Sequence[Path], *, options: PageOptions, on_ready: Callable[[str], None]) -> None:
    """Serve the page for photos and folders of photos on this machine alone, until a signal ends it.

    `on_ready` is called with the address to open, which has a token. Raises `InputError`.
    """
    paths = photos_at(names)
    events, tokens = Events(), Tokens()
    states = States(options.state)
    sessions = Sessions(
        paths,
        states,
        start=options.start,
        reading=options.reading,
        exposure=options.run.network_exposure,
        listens=events.listens,
        end=lambda word: runs.end(word),
    )
    runs = Runs(sessions, events.send, options.run)
    saving = Saving(sessions, runs, events.send, out=options.out, run=options.run, reading=options.reading)
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
        )
        listener.listen(128)
        on_ready(f"http://127.0.0.1:{port}/?token={tokens.start}")
        listen(app, listener, on_end=events.close)


def _folder_name(names: Sequence[Path]) -> str | None:
    """The name of the folder, where one was given."""
    return names[0].name if len(names) == 1 and names[0].is_dir() else None
