"""Makes a trimap from a mask or matte, and previews it.

A trimap is uint8 (H, W): 0 background, 128 unknown, 255 foreground. Names are only for messages.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.imaging.given import Given, given_levels, given_name, given_photo
from mattecli.imaging.metadata import Windows
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.pixels import as_float, full_scale
from mattecli.imaging.reading.limits import DEFAULT
from mattecli.imaging.view import network_view
from mattecli.trimaps import clean
from mattecli.trimaps.band import PIXELS, Line, auto_band, colour_line, edge_of
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN, check_size, eight_in_sixteen
from mattecli.trimaps.clean import Mask, depth, near
from mattecli.trimaps.pairs import over_data_window
from mattecli.trimaps.recipe import MaskRecipe
from mattecli.trimaps.widths import Width, automatic_length, in_pixels

LOW, HIGH = 0.05, 0.95
ERODE, DILATE = 10, 15  # pixels, where only the other side is given
WITHOUT_PHOTO = "1%"
ALONE = 0.02  # a hole or speck this far from every other edge, in diagonals (`automatic_length`), is lone

Note = Callable[[str], None]


def make_trimap(
    mask: Given,
    *,
    photo: Given | None = None,
    band: Width | None = None,
    erode: Width | None = None,
    dilate: Width | None = None,
    low: float | None = None,
    high: float | None = None,
    fill_holes: int = 0,
    min_area: int = 0,
    solid: bool = False,
    core: Given | None = None,
    garbage: Given | None = None,
    name: str = "the mask",
    on_note: Note | None = None,
) -> NDArray[np.uint8]:
    """A trimap, uint8 (H, W) of 0, 128 and 255, from a hard mask, a soft matte or a cut-out.

    `mask`, `core` and `garbage` are (H, W) of bool, uint8, uint16 or float from 0 to 1, PIL images, or files; `photo`
    is RGB, an array in sRGB. All have one size.

    `band` is the width of the unknown part on each side of the edge: `auto`, pixels such as 12, or per cent of the
    diagonal such as `1%`. `auto` needs the photo, and is the default with one; without a photo the default is `1%`. In
    panoramas, from 2.8:1 on, widths that are not given count three times the short side in place of the diagonal.
    `erode` (inside) and `dilate` (outside) set the width of one side. Without `band` they mean what they meant in
    0.1.0: values up to `low` (0.05) are background, values from `high` (0.95) on are foreground, values between them
    are unknown, and the unknown part grows by exactly these distances; the one that is not given is 10 or 15 pixels.

    Otherwise a matte is cleaned first: enclosed grey from 0.8 on is foreground (with `solid` any enclosed grey), parts
    that are nowhere above 0.2 are background, and holes and specks that are smaller than the mask's own error are
    decided by the photo's colours or stay unknown in their own shape. `fill_holes` fills holes of up to that many
    pixels with their soft rims, `min_area` removes parts smaller than that many pixels.

    `core` is certain foreground and `garbage` certain background, whatever the mask says; where both are, the trimap is
    unknown. The edge of the picture is not a border. `on_note` is called with what the user should know.

    Raises `UsageError` for bad widths or `low` ≥ `high`, for `band="auto"` without a photo, and for `solid` where it
    would do nothing. Raises `InputError`, which names `name`, for a mask with only one value or with label numbers such
    as 0 and 1, for floats outside 0 to 1, for another shape or type, and for sizes that differ.
    """
    recipe = MaskRecipe(band=band, erode=erode, dilate=dilate, solid=solid, low=low, high=high)
    check_recipe(recipe)
    lowest, highest = LOW if low is None else low, HIGH if high is None else high
    if band == "auto" and photo is None:
        raise UsageError("`band=auto` needs the photo, whose colours set the width; give it, or a width such as 1%")
    given, name = given_levels(mask, name), given_name(mask, name)
    levels = as_float(given)
    _refuse_flat(given, name)
    shape, note = levels.shape, on_note or (lambda _: None)
    picture = None if photo is None else _photo_of(photo, shape, name)
    core, garbage = certain_parts(shape, core=core, garbage=garbage, name=name)
    if recipe.plain:
        inside = _side(ERODE if erode is None else erode, shape)
        outside = _side(DILATE if dilate is None else dilate, shape)
        full = full_scale(given, name)  # compared in the mask's own numbers, so that no level moves by rounding
        labels = clean.Labels(np.asarray(given >= highest * full), np.asarray(given <= lowest * full))
        _contradicted(core, garbage, labels.foreground, labels.background, name, note)
        labels = clean.tidied(labels, fill_holes, min_area, core, garbage)
        trimap = _trimap(depth(labels.foreground) > inside, depth(labels.background) > outside)
    else:
        labels = clean.label_matte(levels, low=lowest, high=highest, solid=solid)
        _note_half(labels.half, name, note)
        if band is None and picture is None:
            of = "the diagonal" if automatic_length(shape) == math.hypot(*shape) else "three times the short side"
            note(f"{name} came without its photo, so the unknown band is {WITHOUT_PHOTO} of {of} on each side")
        typed = band is not None
        if band is None:
            band = WITHOUT_PHOTO if picture is None else "auto"
        _contradicted(core, garbage, labels.foreground, labels.background, name, note)
        labels = clean.tidied(labels, fill_holes, min_area, core, garbage)
        fixed = in_pixels(band, shape, automatic=not typed) if band != "auto" else None
        unknown, inside_mask, left = _unknown(levels, labels, picture, fixed, core=core, garbage=garbage)
        for side, width in ((inside_mask, erode), (~inside_mask, dilate)):
            if width is not None:
                unknown = np.where(side, (depth(side) <= _side(width, shape)) | left, unknown)
        trimap = _trimap(inside_mask & ~unknown, ~inside_mask & ~unknown)
    return _overruled(trimap, core, garbage, note)


def _unknown(
    levels: NDArray[np.float32],
    labels: clean.Labels,
    photo: NDArray[Any] | None,
    width: int | None,
    *,
    core: Mask | None,
    garbage: Mask | None,
) -> tuple[Mask, Mask, Mask]:
    """Where a matte with a band around its edge is unknown, its mask, and what is unknown wherever the band ends.

    Without a width the photo decides. Core and garbage, which the labels hold already, are never errors of the mask.
    """
    mask = labels.foreground | (labels.open & (levels >= 0.5))
    if not mask.any():
        mask = ~labels.background
    scale = clean.stairs(levels)
    length = automatic_length(mask.shape)
    error = float(np.clip(1.5 * scale, PIXELS, PIXELS + 0.01 * length)) if scale >= 2 else PIXELS
    line = None if photo is None or mask.all() or not mask.any() else partial(colour_line, photo, mask)
    area = math.pi * (error + 0.003 * length) ** 2
    mask, small = _without_small(mask, line, area, core=core, garbage=garbage)
    left = labels.open | clean.grown(small, 1)
    if mask.all() or not mask.any():
        return left, mask, left
    if width is not None:
        return (np.where(mask, depth(mask), depth(~mask)) <= width) | left, mask, left
    if photo is None:
        raise UsageError("`band=auto` needs the photo, whose colours set the width; give it, or a width such as 1%")
    return auto_band(photo, mask, error=error) | left, mask, left


def _without_small(
    mask: Mask, line: Callable[[], Line] | None, area: float, *, core: Mask | None, garbage: Mask | None
) -> tuple[Mask, Mask]:
    """The mask without lone holes and specks of up to `area` pixels, and those that the colours do not decide.

    A lone hole in the subject's colours is an error of the mask, and so is a lone speck in the background's. The others
    stay unknown in their own shape. What lies near another edge is not lone: there it may be a lock of hair. Holes that
    touch garbage and specks that touch core are certain, and keep their edge. `line` finds the colours, which takes
    much memory, and is called only for lone parts.
    """
    holes, specks = clean.holes(mask, area), clean.specks(mask, area)
    for parts, certain in ((holes, garbage), (specks, core)):
        if certain is not None:
            marked = np.zeros(parts.max() + 1, np.bool_)
            marked[parts[certain]] = True
            parts[marked[parts]] = 0
    edge = edge_of((mask | (holes > 0)) & ~(specks > 0))
    beside = near(edge, ALONE * automatic_length(mask.shape)) if edge.any() else edge
    mask, undecided = mask.copy(), np.zeros_like(mask)
    found: Line | None = None
    for parts, is_hole in ((holes, True), (specks, False)):
        lone = np.ones(parts.max() + 1, np.bool_)
        lone[np.unique(parts[beside])] = False
        lone[0] = False
        small = lone[parts]
        mask[small] = is_hole
        if line is not None and small.any():
            found = found or line()
            count = np.bincount(parts.ravel())
            place = np.bincount(parts.ravel(), found.place.ravel()) / np.maximum(count, 1)
            small &= (place < 0.5)[parts] if is_hole else (place >= 0.5)[parts]
        undecided |= small
    return mask, undecided


def with_certain(
    trimap: NDArray[np.uint8],
    *,
    strokes: NDArray[np.uint8] | None = None,
    core: Given | None = None,
    garbage: Given | None = None,
    name: str = "the trimap",
    windows: Windows | None = None,
    reading: ReadOptions = DEFAULT,
    on_note: Note | None = None,
) -> NDArray[np.uint8]:
    """A trimap with what is certain, as `certain_parts` takes it; what contradicts it gives way.

    Where the trimap says the opposite, it also becomes unknown around, so that there is room for an edge.
    """
    note = on_note or (lambda _: None)
    inside, outside = certain_parts(
        trimap.shape,
        strokes=strokes,
        core=core,
        garbage=garbage,
        name=name,
        windows=windows,
        reading=reading,
        on_note=note,
    )
    wrong = _contradicted(inside, outside, trimap == FOREGROUND, trimap == BACKGROUND, name, note)
    if wrong is None:
        return _overruled(trimap.copy(), inside, outside, note)
    around = near(wrong, in_pixels(WITHOUT_PHOTO, trimap.shape, automatic=True))
    return _overruled(np.where(around, np.uint8(UNKNOWN), trimap), inside, outside, note)


def certain_parts(
    shape: tuple[int, ...],
    *,
    strokes: NDArray[np.uint8] | None = None,
    core: Given | None = None,
    garbage: Given | None = None,
    name: str = "the trimap",
    windows: Windows | None = None,
    reading: ReadOptions = DEFAULT,
    on_note: Note | None = None,
) -> tuple[Mask | None, Mask | None]:
    """What is certainly foreground and what is certainly background, each (H, W), or None where nothing says so.

    `core` and `garbage` are as `make_trimap` takes them; one that is black says nothing. `strokes` (H, W) is 255 and 0
    where those of the foreground and the background are; where core or garbage say the opposite, these win. `on_note`
    is called with the number of such pixels. `windows` are those of an OpenEXR plate; core and garbage may then have
    the size of its display window. `reading` says how their files are read. Raises `InputError` for label numbers such
    as 0 and 1, and for sizes that differ, which names `name` too.
    """
    inside = None if core is None else _certain(core, shape, "the core", name, windows, reading)
    outside = None if garbage is None else _certain(garbage, shape, "the garbage mask", name, windows, reading)
    if strokes is None:
        return inside, outside
    white, black = strokes == FOREGROUND, strokes == BACKGROUND
    lost = np.zeros_like(white)
    for stroke, other in ((white, outside), (black, inside)):
        if other is not None:
            lost |= stroke & other
    if lost.any() and on_note is not None:
        on_note(f"core and garbage contradict the strokes on {np.count_nonzero(lost)} pixels, and win there")
    white, black = white & ~lost, black & ~lost
    return white if inside is None else inside | white, black if outside is None else outside | black


def check_recipe(recipe: MaskRecipe) -> None:
    """Raise `UsageError` for options that contradict each other, whatever the mask."""
    low, high = LOW if recipe.low is None else recipe.low, HIGH if recipe.high is None else recipe.high
    if not 0 <= low < high <= 1:
        raise UsageError(f"`low` must be less than `high`, and both from 0 to 1, not {low:g} and {high:g}")
    if recipe.solid and recipe.plain:
        raise UsageError("`solid` would do nothing with `erode` and `dilate` alone; add `band=auto`, or leave it out")


def _contradicted(
    core: Mask | None, garbage: Mask | None, foreground: Mask, background: Mask, name: str, note: Note
) -> Mask | None:
    """Where core or garbage contradict what else is known; None if nowhere. Notes on how many pixels."""
    wrong = np.zeros_like(foreground)
    for part, other in ((core, background), (garbage, foreground)):
        if part is not None:
            wrong |= part & other
    if core is not None and garbage is not None:
        wrong &= ~(core & garbage)
    if not (count := np.count_nonzero(wrong)):
        return None
    note(f"what is marked as certain contradicts {name} on {count} pixels, and wins there")
    return wrong


def _overruled(trimap: NDArray[np.uint8], core: Mask | None, garbage: Mask | None, note: Note) -> NDArray[np.uint8]:
    """The trimap with core and garbage, which win over everything; where both are it is unknown."""
    if core is not None:
        trimap[core] = FOREGROUND
    if garbage is not None:
        trimap[garbage] = BACKGROUND
    if core is not None and garbage is not None and (both := core & garbage).any():
        trimap[both] = UNKNOWN
        note(f"core and garbage contradict each other on {np.count_nonzero(both)} pixels, which stay unknown")
    return trimap


def _trimap(foreground: Mask, background: Mask) -> NDArray[np.uint8]:
    trimap = np.full(foreground.shape, UNKNOWN, np.uint8)
    trimap[foreground] = FOREGROUND
    trimap[background] = BACKGROUND
    return trimap


def _side(width: Width, shape: tuple[int, ...]) -> int:
    return in_pixels(width, shape, what="`erode` and `dilate`")


def _photo_of(photo: Given, shape: tuple[int, ...], mask: str) -> NDArray[Any]:
    pixels = network_view(given_photo(photo, "the photo"))  # an array is sRGB and stays as it is
    size = (pixels.shape[1], pixels.shape[0])
    check_size((shape[1], shape[0]), size, name=mask, image_name=given_name(photo, "the photo"), what="mask")
    return pixels


def _certain(
    part: Given, shape: tuple[int, ...], what: str, mask: str, windows: Windows | None, reading: ReadOptions
) -> Mask:
    levels, name = given_levels(part, what, options=reading), given_name(part, what)
    levels = over_data_window(levels, windows)
    check_size((levels.shape[1], levels.shape[0]), (shape[1], shape[0]), name=name, image_name=mask, what="mask")
    if levels.max() > 0:  # an empty one says that nothing is certain
        _refuse_labels(levels, name)
    return np.asarray(levels >= 0.5 * full_scale(levels, what))


def _note_half(half: float, name: str, note: Note) -> None:
    if half > 0.001:
        note(
            f"{name} is half transparent on {half:.1%} of the picture, away from its edge; this stays unknown, and "
            "`solid=True` makes it foreground"
        )


def _refuse_flat(mask: NDArray[Any], name: str) -> None:
    if mask.min() == mask.max():
        raise InputError(f"{name} has the same value everywhere; give a mask with the object white on black")
    _refuse_labels(mask, name)


def _refuse_labels(mask: NDArray[Any], name: str) -> None:
    """Raise `InputError` for values that are label numbers, or those of 8 bits in 16."""
    highest, white = mask.max(), full_scale(mask, name)
    if highest > white * 10 / 255:
        return
    if white != 255 and round(float(highest) / white * 65535, 2) in (UNKNOWN, FOREGROUND):  # files come as floats
        raise InputError(eight_in_sixteen(name))
    if mask.dtype.kind == "f":
        highest, white = round(float(highest) * 255), 255
    raise InputError(
        f"{name} is nearly black (its greatest value is {highest} of {white}); write {white} for the object instead of "
        "a label number"
    )


def overlay(image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A preview, uint8 (H, W, 3), of a photo (uint8 RGB) with its trimap.

    Foreground is tinted green and background red; unknown pixels are unchanged. White lines mark the borders.
    """
    preview = image.copy()
    for value, tint in ((FOREGROUND, (0, 200, 80)), (BACKGROUND, (220, 30, 40))):
        tinted = cv2.addWeighted(image, 0.5, np.full_like(image, tint), 0.5, 0)
        np.copyto(preview, tinted, where=(trimap == value)[..., None])
    width = max(3, round(max(trimap.shape) / 800) | 1)  # visible when a large photo is shown small
    edges = cv2.morphologyEx(trimap, cv2.MORPH_GRADIENT, np.ones((width, width), np.uint8)) > 0
    preview[edges] = 255
    return preview
