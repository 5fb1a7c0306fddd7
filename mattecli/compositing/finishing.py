"""Finishing: what is done to a matte before it is delivered.

Three steps, in this order: the edges are cleaned and moved, the shadow is found or made, and the subject is placed.
docs/finishing.md has the formulas. Nothing heavy is imported here, so that `--help` may load this module.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from mattecli.errors import UsageError
from mattecli.imaging.choices import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mattecli.compositing.placement import Placement
    from mattecli.imaging.image import Image

Length = float | str  # 2.5 is pixels, "0.1%" is per cent of the picture's diagonal
Levels = tuple[float, float, float]  # black and white from 0 to 255, and gamma
Shadow = Literal["keep", "contact", "drop"]

LONGEST = 200  # pixels that an edge may be moved or softened
_EDGE_LENGTHS = ("smooth", "choke", "spread", "feather")
_AT = r"centre|center|mass|bottom(:\d+(\.\d+)?%)?|(-?\d+(\.\d+)?%?),(-?\d+(\.\d+)?%?)"


@dataclass(frozen=True, kw_only=True)
class Finishing:
    """What is done to a matte. The defaults change nothing.

    Edges: `min_area` and `fill_holes` are pixels. `smooth`, `choke`, `spread` and `feather` are lengths: pixels, or per
    cent of the diagonal such as "0.1%". `levels` are black and white from 0 to 255, and gamma; `contrast` and `hair`
    are per cent. `feather_both` lets the feather grow outwards too.

    Placement: `crop` is "subject" or None; `margin` is a length around the subject; `canvas` is (width, height).
    `fill` is the share of the canvas, from 0 to 1, that the subject fills along its tighter side; `scale` is output
    pixels per photo pixel. `at` is centre, mass, bottom, "bottom:12%" or "x,y", the place of the subject's middle in
    pixels or per cent of the canvas. `rotate` turns by degrees, clockwise; `sharpen` is per cent.

    Shadows: `shadow` is keep, contact, drop or None; `shadow_strength` is per cent.

    Raises UsageError for values outside their ranges, and for options that contradict each other.
    """

    min_area: int = 0
    fill_holes: int = 0
    smooth: Length = 0.0
    levels: Levels | None = None
    contrast: float = 0.0
    choke: Length = 0.0
    spread: Length = 0.0
    feather: Length = 0.0
    feather_both: bool = False
    hair: float = 100.0
    crop: Literal["subject"] | None = None
    margin: Length = 0.0
    canvas: tuple[int, int] | None = None
    fill: float | None = None
    scale: float | None = None
    at: str = "centre"
    rotate: float = 0.0
    sharpen: float = 0.0
    shadow: Shadow | None = None
    shadow_strength: float = 100.0

    def __post_init__(self) -> None:
        self._check_lengths()
        self._check_ranges()
        self._check_edges()
        self._check_placement()

    @property
    def edges(self) -> bool:
        """Whether the matte's edges change."""
        return _differs(self, "min_area fill_holes smooth levels contrast choke spread feather hair")

    @property
    def placed(self) -> bool:
        """Whether the subject gets another place, size or frame."""
        return _differs(self, "crop canvas scale rotate")

    @property
    def asked(self) -> bool:
        """Whether anything changes at all."""
        return self != Finishing()

    def edge_lengths(self, shape: tuple[int, ...]) -> dict[str, float]:
        """The lengths of edges in pixels of a photo of that shape (H, W). Raises UsageError for more than 200."""
        return {name: in_pixels(getattr(self, name), shape, what=f"`{name}`", most=LONGEST) for name in _EDGE_LENGTHS}

    def room(self, canvas: tuple[int, int]) -> tuple[float, float]:
        """How wide and how high the subject may become on a canvas (width, height), in pixels."""
        margin, share = in_pixels(self.margin, canvas[::-1]), 1.0 if self.fill is None else self.fill
        return share * canvas[0] - 2 * margin, share * canvas[1] - 2 * margin

    def given(self) -> dict[str, Any]:
        """The options that differ from their defaults."""
        fields = dataclasses.fields(self)
        return {field.name: getattr(self, field.name) for field in fields if getattr(self, field.name) != field.default}

    def check_kinds(self, kinds: Iterable[Kind]) -> None:
        """Raise UsageError for outputs that cannot be finished so, and for a shadow that none of them shows."""
        wanted = set(kinds)
        if "layers" in wanted and (self.placed or self.shadow is not None):
            raise UsageError(
                "layers keep the photo's frame and have no shadow; leave them out, or the options of placement and "
                "shadow"
            )
        if self.shadow is not None and not wanted & {"cutout", "composite"}:
            raise UsageError("`shadow` is seen in cut-outs and composites only; ask for one of them, or leave it out")

    def _check_lengths(self) -> None:
        for name in (*_EDGE_LENGTHS, "margin"):
            length = parse_length(getattr(self, name), what=f"`{name}`")
            if name != "margin" and not isinstance(length, str):
                in_pixels(length, (0, 0), what=f"`{name}`", most=LONGEST)

    def _check_ranges(self) -> None:
        for name in ("min_area", "fill_holes"):
            _in_range(name, getattr(self, name), 0, math.inf, "a number of pixels from 0 up")
        for name, most in (("contrast", 99), ("hair", 100), ("shadow_strength", 100), ("sharpen", 300)):
            _in_range(name, getattr(self, name), 0, most, f"a percentage from 0 to {most}")
        _in_range("rotate", self.rotate, -45, 45, "degrees from -45 to 45")
        if self.levels is not None:
            black, white, gamma = self.levels
            if not (0 <= black < white <= 255 and 0.1 <= gamma <= 10):
                raise UsageError(
                    "`levels` must be black and white from 0 to 255, black below white, and a gamma from 0.1 to 10, "
                    f"not {black:g},{white:g},{gamma:g}"
                )
        if self.canvas is not None and not all(1 <= side <= 60_000 for side in self.canvas):
            raise UsageError(f"`canvas` must have sides from 1 to 60000 pixels, not {self.canvas[0]}x{self.canvas[1]}")
        if self.fill is not None:
            _in_range("fill", 100 * self.fill, 1, 100, "a percentage from 1 to 100")
        if self.scale is not None:
            _in_range("scale", self.scale, 0.001, 16, "a number from 0.001 to 16")
        if re.fullmatch(_AT, self.at) is None:
            raise UsageError(f"`at` must be centre, mass, bottom, bottom:12% or x,y, not {self.at}")
        if self.crop not in (None, "subject"):
            raise UsageError(f"`crop` must be subject, not {self.crop}")
        if self.shadow is not None and self.shadow not in get_args(Shadow):
            raise UsageError(f"`shadow` must be keep, contact or drop, not {self.shadow}")

    def _check_edges(self) -> None:
        if is_length(self.choke) and is_length(self.spread):
            raise UsageError("`choke` and `spread` move the edge in opposite directions; give one of them")
        if self.levels is not None and self.contrast:
            raise UsageError("`contrast` is a pair of `levels`, and both are given; leave one of them out")
        if self.feather_both and not is_length(self.feather):
            raise UsageError("`feather_both` does nothing without `feather`; add it, or leave it out")
        if self.shadow_strength != 100 and self.shadow is None:
            raise UsageError("`shadow_strength` does nothing without `shadow`; add it, or leave it out")

    def _check_placement(self) -> None:
        if self.crop is not None and self.canvas is not None:
            raise UsageError(
                "`crop` cuts the picture to the subject and `canvas` gives it a size of its own; leave one of them out"
            )
        if self.fill is not None and self.scale is not None:
            raise UsageError("`fill` and `scale` both say how large the subject becomes; leave one of them out")
        if self.fill is not None and is_length(self.margin):
            raise UsageError("`fill` and `margin` both say how much stays free around it; leave one of them out")
        for name in ("fill", "at"):
            if self.canvas is None and _differs(self, name):
                raise UsageError(f"`{name}` does nothing without `canvas`; add it, or leave it out")
        if is_length(self.margin) and self.crop is None and self.canvas is None:
            raise UsageError("`margin` does nothing without `crop=subject` or `canvas`; add one, or leave it out")
        if is_length(self.margin) and self.canvas is not None and self.scale is not None:
            raise UsageError("`scale` settles the subject's size on the `canvas`; leave `margin` out")
        if self.canvas is not None and self.scale is None and min(self.room(self.canvas)) < 1:
            name, remedy = ("margin", "a smaller one") if is_length(self.margin) else ("fill", "more")
            raise UsageError(
                f"`{name}` leaves no room on a `canvas` of {self.canvas[0]}x{self.canvas[1]}; give {remedy}"
            )
        if self.sharpen and (self.scale >= 1 if self.scale is not None else self.canvas is None):
            raise UsageError(
                "`sharpen` is for pictures that are made smaller; add `canvas` or a `scale` below 1, or leave it out"
            )


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished matte.

    `alpha` is float32 (h, w) in [0, 1], as it is delivered. `notes` say what was cleaned, and what the user should
    know. `light` is the light that the shadow leaves, float32 (h, w) in [0, 1], None without a shadow; it is not part
    of the alpha. `placement` is how the photo's pixels come to their places, None where the frame is the photo's own.
    """

    alpha: NDArray[np.float32]
    notes: tuple[str, ...] = ()
    light: NDArray[np.float32] | None = None
    placement: Placement | None = None
    before: NDArray[np.float32] | None = None  # the finished alpha in the photo's frame, where it is placed
    grown_from: NDArray[np.float32] | None = None  # the alpha that was given, where the edges may have grown
    made: bool = False  # the shadow is not the photo's own, so it is without noise

    def light_of(self, rows: slice, *, dither: bool) -> NDArray[np.float32] | None:
        """Rows of the light. With `dither` a made shadow has noise in it, since it would show steps in 8 bits."""
        if self.light is None or not (self.made and dither):
            return None if self.light is None else self.light[rows]
        from mattecli.compositing.shadows import dithered

        return dithered(self.light[rows], rows.start)

    def framed(self, photo: Image) -> Image:
        """The photo with metadata that fit the delivered frame; its pixels are the caller's to replace.

        A plate's glow has no place in another frame and is left out.
        """
        if self.placement is None:
            return photo
        return replace(photo, metadata=replace(photo.metadata, windows=None, reframed=True), glow=None)

    def colours(self, foreground: NDArray[Any], *, photo: Image | None = None) -> NDArray[Any]:
        """The foreground's colours (H, W, 3) of the photo in the delivered frame (h, w, 3), as floats where placed.

        What edges have grown by gets the colours of the solid foreground beside it, unless `photo` has the same colours
        there: then they were asked for as they are.
        """
        if self.grown_from is not None and self.before is not None:
            from mattecli.compositing.edges import extended_colours

            own = None if photo is None else photo.pixels
            foreground = extended_colours(foreground, self.grown_from, self.before, photo=own)
        if self.placement is None or self.before is None:
            return foreground
        return self.placement.colours(foreground, self.before)


def finish(
    photo: Image,
    alpha: NDArray[np.float32],
    options: Finishing,
    *,
    trimap: NDArray[np.uint8] | None = None,
    name: str = "the photo",
) -> Finished:
    """Finish a matte: edges first, then the shadow, then the place.

    `alpha` is float32 (H, W) in [0, 1]; `trimap` is uint8 (H, W) of 0, 128 and 255, and says what is certain. Colours
    are those of the matte before: estimate them with `alpha`, then call `Finished.colours`. `name` is the photo's in
    messages. `Finishing()` gives the same alpha back. Raises InputError where there is nothing to place, and where the
    photo's own shadow cannot be told from its background.
    """
    if not options.asked:
        return Finished(alpha)
    from mattecli.compositing import edges, placement, shadows

    finished, notes = edges.finished_edges(alpha, options, trimap=trimap)
    finished = edges.with_exact_background(finished)
    light = shadows.kept(photo, alpha, name=name) if options.shadow == "keep" else None
    before, place = finished, None
    if options.placed:
        place, more = placement.find_placement(finished, options, name=name)
        notes += more
        finished = edges.with_exact_background(place.plane(finished))
        light = None if light is None else place.plane(light, outside=1)
    if options.shadow in ("contact", "drop"):
        light = shadows.made(finished, options.shadow)
    if light is not None:
        light = shadows.weakened(light, options.shadow_strength)
        if sides := shadows.cut_sides(light):
            notes.append(f"the output cuts the shadow at the {sides}; leave more room there")
    grown = alpha if is_length(options.spread) or options.feather_both else None
    return Finished(finished, tuple(notes), light, place, before, grown, options.shadow in ("contact", "drop"))


def parse_length(length: Length, *, what: str = "a length") -> Length:
    """A length as a number of pixels, or as text such as `0.1%`. Raises UsageError for anything else."""
    text = str(length).strip().removesuffix("px").strip()
    percent = text.endswith("%")
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf or (percent and number > 100):
        raise UsageError(f"{what} must be 0 or more pixels, or per cent of the diagonal such as 0.1%, not {length}")
    return text if percent else number


def in_pixels(length: Length, shape: tuple[int, ...], *, what: str = "a length", most: float = math.inf) -> float:
    """A length in pixels of a picture of that shape (H, W). Raises UsageError beyond `most`."""
    parsed = parse_length(length, what=what)
    pixels = parsed if isinstance(parsed, float) else float(parsed[:-1]) / 100 * math.hypot(*shape[:2])
    if pixels > most:
        raise UsageError(f"{what} must be at most {most:g} pixels, not {pixels:.0f}")
    return pixels


def is_length(length: Length) -> bool:
    """Whether a length is more than nothing."""
    parsed = parse_length(length)
    return float(parsed.removesuffix("%") if isinstance(parsed, str) else parsed) > 0


def _in_range(name: str, value: float, least: float, most: float, wanted: str) -> None:
    if not least <= value <= most:  # true for NaN, too
        raise UsageError(f"`{name}` must be {wanted}, not {value:g}")


def _differs(options: Finishing, names: str) -> bool:
    defaults: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(options)}
    return any(getattr(options, name) != defaults[name] for name in names.split())
