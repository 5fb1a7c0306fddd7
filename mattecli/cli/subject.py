"""Options that find the subject: its screen, strokes or a box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from mattecli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mattecli.cli.predict import PredictOptions
    from mattecli.cli.terminal import Terminal
    from mattecli.imaging.image import Image
    from mattecli.inference.model import Model

_MOST_NAMED = 5  # strokes that a warning names by their place


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
            "size, or a copy of the photo painted on.",
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

    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="auto|COLOUR",
            help="The photo shows the subject in front of a screen: auto (search for a green or blue one), green, "
            "blue, or the screen's colour, such as '#00b140'.",
        ),
    ] = None

    @property
    def given(self) -> bool:
        """Whether there is any of them."""
        return self.scribbles is not None or self.box is not None or self.key is not None

    def check(self) -> None:
        """Raise UsageError for options that contradict each other, or that cannot be meant."""
        if self.key is None:
            return
        if self.scribbles is not None or self.box is not None:
            raise UsageError("--key takes the place of --scribbles and --box; give one or the other")
        from mattecli.trimaps.sources import parse_key

        parse_key(self.key)

    def source(self, photo: str, trimap: str | None = None) -> str | None:
        """The file that the trimap comes from: the given trimap, the scribbles, or the photo with its box or screen.

        Raises UsageError where a trimap is given, too, and where standard input would be read twice.
        """
        if not self.given:
            return trimap
        self.check()
        if trimap is not None:
            raise UsageError(
                "--key, --scribbles and --box take the place of --trimap and --mask; give one or the other"
            )
        if photo == "-" and self.scribbles == "-":
            raise UsageError("standard input can be read only once; give - for the photo or for --scribbles")
        return photo if self.scribbles is None else self.scribbles

    def maker(
        self, name: str, files: PredictOptions, terminal: Terminal
    ) -> Callable[[Image, Model], NDArray[np.uint8]]:
        """What makes the trimap of a photo, with the core and garbage of `files`; `name` is the photo's in messages."""

        def make(photo: Image, model: Model) -> NDArray[np.uint8]:
            from mattecli.trimaps.make import with_certain

            trimap, findings = find_trimap(photo, model, self, name=name, terminal=terminal)
            for finding in findings:
                terminal.say(finding)
            return with_certain(trimap, core=files.core, garbage=files.garbage, name=name, on_note=terminal.warn)

        return make


def find_trimap(
    photo: Image, model: Model | None, options: SubjectOptions, *, name: str, terminal: Terminal
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The trimap, uint8 (H, W), of a photo whose subject the options mark, and what was found.

    A screen needs no `model`. Warns of strokes that cross the edge.

    Raises InputError for scribbles that do not fit the photo, UsageError for a box, and what `Model.predict` raises.
    """
    from mattecli.imaging.view import network_view
    from mattecli.trimaps.segmentation import CALIBRATED_FOR, prepare_photo, segment
    from mattecli.trimaps.sources import keyed_photo
    from mattecli.trimaps.strokes import parse_box, stroke_cores

    if options.key is not None or model is None:
        keyed = keyed_photo(photo, key=options.key or "auto", name=name)
        return keyed.trimap, keyed.findings
    box = None if options.box is None else parse_box(options.box, photo.size)
    strokes = None if options.scribbles is None else _strokes(options.scribbles, photo, name, both_sides=box is None)
    if not model.backend.checkpoint.sha256.startswith(CALIBRATED_FOR):
        terminal.warn(
            "--box and --scribbles were tuned with other weights, so look at the trimap before you rely on it"
        )
    trimap = segment(
        prepare_photo(network_view(photo)),
        None if strokes is None else stroke_cores(strokes),
        box=box,
        matte=lambda small, known: model.predict(small, known, name=name),
    )
    if strokes is not None:
        trimap = _with_strokes(trimap, strokes, options.scribbles or "", terminal)
    return trimap, ()


def _strokes(scribbles: str, photo: Image, name: str, *, both_sides: bool) -> NDArray[np.uint8]:
    from mattecli.imaging.read import read_values
    from mattecli.trimaps.strokes import read_strokes

    label = "standard input" if scribbles == "-" else scribbles
    return read_strokes(read_values(scribbles), photo.pixels, both_sides=both_sides, name=label, photo_name=name)


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
