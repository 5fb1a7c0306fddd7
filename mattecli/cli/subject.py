"""Options that say where the subject is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from mattecli.cli.options import changed
from mattecli.errors import UsageError
from mattecli.imaging.options import ReadOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mattecli.cli.terminal import Terminal
    from mattecli.imaging.image import Image
    from mattecli.inference.backend import Backend
    from mattecli.inference.model import Model
    from mattecli.trimaps.recipe import MaskRecipe
    from mattecli.work.making import Making

_MOST_NAMED = 5  # strokes that a warning names by their place

KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="auto|COLOUR",
        help="The photo shows the subject in front of a screen: auto (search for a green or blue one), green, "
        'blue, or the screen\'s colour, such as "#00b140".',
    ),
]
AutoOption = Annotated[
    bool,
    typer.Option(
        "--auto",
        help='Find the subject with a model of rembg; needs `pip install "mattecli\\[auto]"`. A batch downloads no '
        "model: run `matte trimap photo.jpg --auto --download` once before.",
    ),
]
AutoModelOption = Annotated[
    str | None,
    typer.Option(
        "--auto-model",
        metavar="NAME|FILE|NAME=FILE",
        help="The model for --auto, such as birefnet-general, birefnet-portrait or u2net; or an ONNX file, as FILE or "
        "NAME=FILE with the model that it comes from. Licences differ.",
        show_default="birefnet-general-lite",
    ),
]


@dataclass(frozen=True, kw_only=True)
class SubjectOptions:
    """What says where the subject is, where there is no trimap."""

    panel: ClassVar[str] = "The subject, in place of a trimap"

    scribbles: Annotated[
        str | None,
        typer.Option(
            "--scribbles",
            metavar="FILE",
            help="White strokes on the subject and black ones on the background: a transparent layer of the photo's "
            "size, or a copy of the photo painted on. With a mask, a trimap, --key or --auto they correct it; "
            "with --box both make the trimap together.",
        ),
    ] = None
    box: Annotated[
        str | None,
        typer.Option(
            "--box",
            metavar="X,Y,W,H",
            help="A box around the subject: left, top, width, height, in pixels or per cent (`10%,5%,80%,90%`).",
        ),
    ] = None
    key: KeyOption = None
    auto: AutoOption = False
    auto_model: AutoModelOption = None
    download: Annotated[
        bool,
        typer.Option("--download", help="Let --auto fetch the model's weights, if they are not on this machine."),
    ] = False

    def base(self, **others: str | None) -> str | None:
        """The option that the whole trimap comes from; `others` are further such options by name, as files.

        Raises UsageError where there are two of them, and for options that would do nothing or cannot be meant.
        """
        check_auto_options(auto=self.auto, model=self.auto_model, download=self.download)
        sources = {**others, "--box": self.box, "--key": self.key, "--auto": self.auto or None}
        given = [name for name, value in sources.items() if value is not None]
        if len(given) > 1:
            raise UsageError(
                f"{' and '.join(given)} each make a whole trimap; give one of them, and correct it with --scribbles, "
                "--core and --garbage"
            )
        if self.key is not None:
            from mattecli.trimaps.sources import parse_key

            parse_key(self.key)
        if given:
            return given[0]
        return None if self.scribbles is None else "--scribbles"

    def given(self) -> list[str]:
        """The options that differ from their defaults."""
        return changed(self)

    def making(self, base: str | None, *, recipe: MaskRecipe, core: str | None, garbage: str | None) -> Making:
        """How a job's trimap is made from what `base` names."""
        from mattecli.work.making import Making

        return Making(
            recipe=recipe if base in ("--mask", "--auto") else None,
            key=self.key,
            model=self.model,
            strokes=None if base in ("--scribbles", "--box") else self.scribbles,
            core=core,
            garbage=garbage,
        )

    @property
    def model(self) -> str | None:
        """The name of the model for --auto."""
        return model_name(auto=self.auto, model=self.auto_model)

    def prepare(self, terminal: Terminal) -> None:
        """See that the weights for --auto are there; they are fetched only with --download or a yes on a terminal."""
        if self.model is None:
            return
        from mattecli.trimaps.auto import fetch_model

        def may_download(what: str) -> bool:
            terminal.say(what)
            if self.download or terminal.quiet or not (sys.stdin.isatty() and sys.stderr.isatty()):
                return self.download
            return typer.confirm("Download its weights?", err=True)

        terminal.detail("loading rembg; its first start takes a minute")
        fetch_model(self.model, may_download=may_download)

    def finder(
        self,
        base: str | None,
        name: str,
        terminal: Terminal,
        *,
        reading: ReadOptions,
        on_load: Callable[[Backend], None] | None = None,
    ) -> Callable[[Image, Model], NDArray[np.uint8]] | None:
        """What makes the trimap of a photo from strokes or a box; None where the trimap comes from something else.

        The limits of `reading` hold for the strokes' file. `on_load` is called with the network's backend.
        """
        if base not in ("--scribbles", "--box"):
            return None
        return lambda photo, model: find_trimap(
            photo, model, self, name=name, terminal=terminal, reading=reading, on_load=on_load
        )


def check_auto_options(*, auto: bool, model: str | None, download: bool = False) -> None:
    """Raise UsageError for options of --auto without it, and for a model that is not known."""
    idle = [name for name, given in (("--auto-model", model is not None), ("--download", download)) if given]
    if idle and not auto:
        raise UsageError(f"{' and '.join(idle)} would do nothing without --auto; add it, or leave them out")
    if model is not None:
        from mattecli.trimaps.auto import check_model

        check_model(model)


def model_name(*, auto: bool, model: str | None) -> str | None:
    """The name of the model for --auto; None without it."""
    if not auto:
        return None
    from mattecli.trimaps.auto import DEFAULT

    return model or DEFAULT


def find_trimap(
    photo: Image,
    model: Model,
    options: SubjectOptions,
    *,
    name: str,
    terminal: Terminal,
    reading: ReadOptions | None = None,
    on_load: Callable[[Backend], None] | None = None,
) -> NDArray[np.uint8]:
    """The trimap, uint8 (H, W), of a photo whose subject strokes or a box mark. Warns of strokes that cross the edge.

    Raises InputError for scribbles that do not fit the photo, UsageError for a box, and what `Model.predict` raises.
    """
    from mattecli.imaging.view import network_view
    from mattecli.trimaps.segmentation import CALIBRATED_FOR, OTHER_WEIGHTS, prepare_photo, segment
    from mattecli.trimaps.strokes import parse_box, stroke_cores

    box = None if options.box is None else parse_box(options.box, photo.size)
    strokes = None
    if options.scribbles is not None:
        strokes = _strokes(options.scribbles, photo, name, both_sides=box is None, reading=reading)
    if on_load is not None:
        on_load(model.backend)
    if not model.backend.checkpoint.sha256.startswith(CALIBRATED_FOR):
        terminal.warn(OTHER_WEIGHTS)
    trimap = segment(
        prepare_photo(network_view(photo, exposure=model.options.network_exposure)),
        None if strokes is None else stroke_cores(strokes),
        box=box,
        matte=lambda small, known: model.predict(small, known, name=name),
    )
    if strokes is not None:
        trimap = _with_strokes(trimap, strokes, options.scribbles or "", terminal)
    return trimap


def _strokes(
    scribbles: str, photo: Image, name: str, *, both_sides: bool, reading: ReadOptions | None
) -> NDArray[np.uint8]:
    from mattecli.imaging.read import read_values
    from mattecli.trimaps.strokes import read_strokes

    label = "standard input" if scribbles == "-" else scribbles
    return read_strokes(
        read_values(scribbles, options=(reading or ReadOptions()).limits),
        photo.pixels,
        both_sides=both_sides,
        name=label,
        photo_name=name,
        windows=photo.metadata.windows,
    )


def _with_strokes(
    trimap: NDArray[np.uint8], strokes: NDArray[np.uint8], scribbles: str, terminal: Terminal
) -> NDArray[np.uint8]:
    """The trimap with the strokes as certain, but for the rims of those that cross the edge."""
    import numpy as np

    from mattecli.trimaps.check import unknown
    from mattecli.trimaps.strokes import without_crossing

    kept, places = without_crossing(strokes, trimap)
    if places:
        named = ", ".join(f"({x}, {y})" for x, y in places[:_MOST_NAMED]) + (" …" if len(places) > _MOST_NAMED else "")
        terminal.warn(
            f"{scribbles}: {len(places)} of its strokes may cross the subject's edge, at {named}; only the middle of "
            "each is taken as certain"
        )
    return np.where(unknown(kept), trimap, kept)
