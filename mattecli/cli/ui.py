"""`matte ui`: paint a trimap on a local page."""

from __future__ import annotations

import threading
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mattecli.cli.options import ModelOptions, ReadChoices, whole_number
from mattecli.cli.targets import OutputFolder
from mattecli.cli.terminal import Terminal
from mattecli.errors import DeviceError, InputError, UsageError

if TYPE_CHECKING:
    from mattecli.imaging.options import ReadOptions
    from mattecli.server.batches import Batch
    from mattecli.server.start import Meaning, Start

WORST = 50  # photos of a report, by default


@dataclass(frozen=True, kw_only=True)
class PageChoices:
    """What the page begins with, and where it is."""

    trimap: Annotated[
        str | None,
        typer.Option("--trimap", "-t", metavar="FILE", help="Start from this trimap of the photo; paint lies on it."),
    ] = None
    mask: Annotated[
        str | None,
        typer.Option("--mask", metavar="FILE", help="Start from a mask or a cut-out, of which a trimap is made."),
    ] = None
    matte: Annotated[
        str | None,
        typer.Option("--matte", metavar="FILE", help="Start from an alpha matte, of which a trimap is made."),
    ] = None
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="In place of photos: those of a batch's report that need a hand, the worst first.",
        ),
    ] = None
    worst: Annotated[
        int | None,
        typer.Option(
            "--worst", parser=whole_number(1), metavar="N", help="With --report: how many photos.", show_default="50"
        ),
    ] = None
    out_dir: OutputFolder = None
    port: Annotated[
        int,
        typer.Option(
            "--port",
            parser=whole_number(0, 65535),
            metavar="N",
            help="Port of the page on this machine.",
            show_default="a free one",
        ),
    ] = 0
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address of the page; do not open it.")
    ] = False


def ui(
    photos: Annotated[
        list[str] | None,
        typer.Argument(metavar="PHOTO|FOLDER", help="Photos, or folders of photos, to work on.", show_default=False),
    ] = None,
    *,
    choices: PageChoices,
    reading: ReadChoices,
    model: ModelOptions,
    terminal: Terminal,
) -> None:
    """Paint a trimap on a local page and see the matte at once.

    The page opens in the browser. It works without the internet, at the photo's
    full size, and only this machine can reach it. What is painted is kept, also
    when the page or the program ends suddenly: the same command goes on where it
    was. Ctrl-C ends it. Needs `pip install "mattecli\\[ui]"`.

    \b
    Examples:
      matte ui photo.jpg
      matte ui photo.jpg --trimap photo_trimap.png
      matte ui photos/ --out-dir mattes/
      matte ui --report run.jsonl --worst 20
      matte ui photo.jpg --no-browser --port 8000
    """
    from mattecli.system.files import absence, is_there, make_folder

    names = [Path(photo) for photo in photos or ()]
    _check_names(choices, names)
    for name in names:
        if str(name) == "-" or not is_there(name):
            raise InputError(f"{name} {absence(name)}; name a photo or a folder of photos")
    options = reading.read_options(model)
    start = _start(choices, names, options, snap=model.snap)

    check_server("matte ui")
    if choices.out_dir is not None:
        make_folder(choices.out_dir)

    from mattecli.server.run import PageOptions, serve_page

    def ready(address: str, once: str) -> None:
        terminal.data(address + "\n")
        terminal.say("Ctrl-C ends the server; what is painted is kept")
        if not choices.no_browser:
            # A browser in the terminal is waited for until it ends, and the server answers only after this.
            threading.Thread(target=webbrowser.open, args=(once,), daemon=True).start()

    page = PageOptions(
        start=start,
        batch=_batch(choices, options, snap=model.snap),
        out=choices.out_dir,
        port=choices.port,
        reading=options,
        run=model.run_options(),
    )
    serve_page(names, options=page, on_ready=ready)


def check_server(command: str) -> None:
    """Raise DeviceError where the packages of the server are missing."""
    from importlib.util import find_spec

    packages = {"FastAPI": "fastapi", "uvicorn": "uvicorn", "python-multipart": "python_multipart"}
    missing = [name for name, module in packages.items() if find_spec(module) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise DeviceError(
            f'`{command}` needs {", ".join(missing)}, which {are} not installed; pip install "mattecli[ui]"'
        )


def _check_names(choices: PageChoices, names: list[Path]) -> None:
    """Raise UsageError where nothing says which photos, or two things do."""
    if choices.report is None:
        if choices.worst is not None:
            raise UsageError("--worst is for the photos of a report; add --report")
        if not names:
            raise UsageError("no photo is named; name a photo, a folder of photos, or a batch's report with --report")
    elif names:
        raise UsageError(f"{names[0]} and --report both name photos; leave one of them out")


def _batch(choices: PageChoices, reading: ReadOptions, *, snap: int) -> Batch | None:
    """The photos of a report that need a hand."""
    if choices.report is None:
        return None
    from mattecli.server.batches import Batch

    return Batch(choices.report, choices.worst or WORST, snap=snap, reading=reading)


def _start(choices: PageChoices, names: list[Path], reading: ReadOptions, *, snap: int) -> Start | None:
    """What the paint of the photo lies on. Raises UsageError for two of them, and for several photos."""
    given = {what: file for what in ("trimap", "mask", "matte") if (file := getattr(choices, what)) is not None}
    if not given:
        return None
    options = " and ".join(f"--{what}" for what in given)
    if len(given) > 1:
        raise UsageError(f"{options} each say what the paint lies on; give one of them")
    from mattecli.server.start import Start
    from mattecli.system.files import is_folder

    if len(names) != 1 or is_folder(names[0]):
        raise UsageError(f"{options} is for one photo; name one photo, or leave it out")

    ((what, file),) = given.items()
    return Start(cast("Meaning", what), Path(file), snap, reading=reading)
