"""Reads strokes and boxes, and finds strokes that cross the edge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.imaging.image import to_depth
from mattecli.imaging.metadata import Windows
from mattecli.imaging.windows import overlap
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN, check_size

_OPAQUE = 128  # of 255: paint that is more transparent than this is not a stroke
_WHITE, _BLACK = 235, 20  # of 255: paint is white from here up, and black up to here, in all channels
_LEAST_PIECE = 12  # pixels; smaller pieces are noise
_MOST_PAINTED = 0.3  # share of the photo that may differ
_LEAST_DIFFERENCE = 10  # of 255
_NOISE = 6  # paint differs from the photo by more than this many times the median difference,
_MOST_NOISE = 5  # which is that of a JPEG of low quality at most; of 255
_CELLS = 256  # on each side, by which strokes that lie apart are found
_EDGE_SIDE = 1200  # pixels of the longer side of the copy on which the edge is found
_CROSSES = 0.1  # share of a stroke on the other side of the edge


def read_strokes(
    layer: NDArray[Any],
    photo: NDArray[Any] | None = None,
    *,
    both_sides: bool = False,
    name: str = "the scribbles",
    photo_name: str = "the photo",
    windows: Windows | None = None,
) -> NDArray[np.uint8]:
    """Strokes as labels, uint8 (H, W): 255 foreground, 0 background, 128 where nothing was painted.

    `layer` is RGBA (H, W, 4), a transparent layer with white and black strokes; or RGB (H, W, 3), a painted copy of
    `photo` (H, W, 3), where a stroke is what differs from the photo and is nearly pure white or black. RGBA whose
    opaque pixels are the photo's is such a copy, too, of a photo with alpha. Values are uint8, uint16 or floats in
    [0, 1]. Pieces under 12 pixels are not strokes. `windows` are those of an OpenEXR plate; a layer of its display
    window's size lies there, and beyond it nothing is painted. Where both windows have one size, it lies in the data
    window.

    Raises `InputError` where the sizes differ, where over 30 % of a copy differs, where a copy has no photo to compare,
    and where there is no stroke, or none on one side with `both_sides`.
    """
    if windows is not None and layer.shape[1::-1] == windows.display[2:] != windows.data[2:]:
        labels = np.full((windows.data[3], windows.data[2]), UNKNOWN, np.uint8)
        shown, own = overlap(windows.display, windows.data)
        if not labels[own].size:
            raise InputError(f"{photo_name} has no pixels where {name} lies; paint on a layer of its own size")
        part = None if photo is None else photo[own]
        labels[own] = read_strokes(layer[shown], part, both_sides=both_sides, name=name, photo_name=photo_name)
        return labels
    if photo is not None:
        sizes = [(pixels.shape[1], pixels.shape[0]) for pixels in (layer, photo)]
        check_size(*sizes, name=name, image_name=photo_name, what="scribbles")
    paint = to_depth(layer, 8)
    if paint.ndim == 2:
        paint = np.repeat(paint[..., None], 3, axis=2)
    if paint.shape[2] == 4 and (np.ptp(paint[..., 3]) > 0 or not paint[..., 3].any()):
        painted = np.asarray(paint[..., 3] >= _OPAQUE)
        if photo is not None:
            picture = to_depth(photo, 8)
            copied = np.where(painted[..., None], paint[..., :3], picture)
            if _is_copy(copied, picture, painted):
                painted &= _differs(copied, picture, name, photo_name)
    elif photo is None:
        raise InputError(f"{name} has no transparent pixels; paint white and black strokes on a transparent layer")
    else:
        painted = _differs(paint[..., :3], to_depth(photo, 8), name, photo_name)
    labels = np.full(paint.shape[:2], UNKNOWN, np.uint8)
    labels[_pieces(painted & (paint[..., :3].min(2) >= _WHITE))] = FOREGROUND
    labels[_pieces(painted & (paint[..., :3].max(2) <= _BLACK))] = BACKGROUND
    missing = [
        colour for colour, label in (("white", FOREGROUND), ("black", BACKGROUND)) if not (labels == label).any()
    ]
    if len(missing) == 2 or (missing and both_sides):
        raise InputError(f"{name} has no {' or '.join(missing)} strokes; paint foreground white and background black")
    return labels


def _is_copy(paint: NDArray[np.uint8], photo: NDArray[np.uint8], opaque: NDArray[np.bool_]) -> bool:
    """Whether the opaque pixels are the photo's. Those of a layer of strokes are white or black, whatever the photo.

    A few greys where strokes meet may be alike by chance.
    """
    coloured = opaque & (paint.min(2) < _WHITE) & (paint.max(2) > _BLACK)
    alike = coloured & (cv2.absdiff(paint, photo).max(2) <= _LEAST_DIFFERENCE)
    return bool(np.count_nonzero(alike) > max(np.count_nonzero(coloured) / 2, 0.01 * np.count_nonzero(opaque)))


def _differs(paint: NDArray[np.uint8], photo: NDArray[np.uint8], name: str, photo_name: str) -> NDArray[np.bool_]:
    """Where a copy differs from the photo by more than its noise, which saving as JPEG brings."""
    difference = cv2.absdiff(paint, photo).max(2)
    painted = np.asarray(difference > _LEAST_DIFFERENCE + _NOISE * min(_MOST_NOISE, float(np.median(difference))))
    share = np.count_nonzero(painted) / painted.size
    if share > _MOST_PAINTED:
        raise InputError(
            f"{name} differs from {photo_name} on {share:.0%} of its pixels, so it is not a painted copy of it; paint "
            "white and black strokes on a transparent layer"
        )
    return painted


def _pieces(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without its small pieces."""
    count, pieces, facts, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    large = facts[:, cv2.CC_STAT_AREA] >= _LEAST_PIECE
    large[0] = False
    return np.asarray(large[pieces]) if count > 1 else mask


def stroke_cores(strokes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle of each stroke, as labels: the pixels that lie deeper than half of its depth."""
    cores = np.full_like(strokes, UNKNOWN)
    for label in (FOREGROUND, BACKGROUND):
        for where, stroke in _apart(strokes == label):
            np.copyto(cores[where], np.uint8(label), where=_core(stroke))
    return cores


def _core(stroke: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels that lie deeper than half of the depth of their piece."""
    count, pieces = cv2.connectedComponents(stroke.view(np.uint8), connectivity=8)
    depth = cv2.distanceTransform(stroke.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    deepest = np.zeros(count, np.float32)
    np.maximum.at(deepest, np.asarray(pieces[stroke]), np.asarray(depth[stroke], np.float32))
    return np.asarray(stroke & (depth > deepest[pieces] / 2))


def _apart(mask: NDArray[np.bool_]) -> Iterator[tuple[tuple[slice, slice], NDArray[np.bool_]]]:
    """Parts of a mask that do not touch each other: the place of each in the mask, and its pixels there.

    There is room around a part, except at the border of the mask. A part may have several pieces that lie close
    together. Most of a large photo has no strokes, and what costs time is done on the parts alone.
    """
    cell = -(-max(mask.shape) // _CELLS)
    height, width = mask.shape
    filled = np.array([mask[top : top + cell].any(axis=0) for top in range(0, height, cell)])
    filled = np.logical_or.reduceat(filled, np.arange(0, width, cell), axis=1)
    count, parts, facts, _ = cv2.connectedComponentsWithStats(filled.view(np.uint8), connectivity=8)
    for number in range(1, count):
        left, top, across, down = (int(fact) for fact in facts[number, :4])
        rows, columns = slice(max(0, top - 1), top + down + 1), slice(max(0, left - 1), left + across + 1)
        where = slice(rows.start * cell, rows.stop * cell), slice(columns.start * cell, columns.stop * cell)
        own = (parts[rows, columns] == number).repeat(cell, 0).repeat(cell, 1)
        pixels = mask[where]
        yield where, pixels & own[: pixels.shape[0], : pixels.shape[1]]


def without_crossing(
    strokes: NDArray[np.uint8], trimap: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
    """Strokes that cross the edge keep their core only; the second result is a place (x, y) on each of them.

    `trimap` was made from the cores alone. The edge lies midway between what it is certain of on both sides; in large
    photos it is found on a copy. A stroke crosses it where a tenth of the stroke lies beyond.
    """
    kept, places = strokes.copy(), []
    step = -(-max(strokes.shape) // _EDGE_SIDE)
    small = trimap[::step, ::step]
    for label, other in ((FOREGROUND, BACKGROUND), (BACKGROUND, FOREGROUND)):
        parts = [(where, stroke, _core(stroke)) for where, stroke in _apart(strokes == label)]
        own = small == label
        for where, _, core in parts:
            rows, columns = _places(core, where)
            own[rows // step, columns // step] = True
        beyond = _distance(small == other) < _distance(own)
        for where, stroke, core in parts:
            count, pieces = cv2.connectedComponents(stroke.view(np.uint8), connectivity=8)
            rows, columns = _places(stroke, where)
            numbers, across = pieces[stroke], beyond[rows // step, columns // step]
            areas = np.bincount(numbers, minlength=count)
            crossing = np.bincount(numbers[across], minlength=count) > _CROSSES * areas
            kept[where][stroke & crossing[pieces] & ~core] = UNKNOWN
            for number in np.flatnonzero(crossing):
                middle = np.flatnonzero(numbers == number)[areas[number] // 2]
                places.append((int(columns[middle]), int(rows[middle])))
    return kept, places


def _places(part: NDArray[np.bool_], where: tuple[slice, slice]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows and columns of a part's pixels in the whole picture."""
    rows, columns = np.nonzero(part)
    return rows + where[0].start, columns + where[1].start


def _distance(region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The distance of each pixel to a region; very far where it is empty."""
    if not region.any():
        return np.full(region.shape, np.inf, np.float32)
    found = cv2.distanceTransform((~region).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(found, np.float32)


def parse_box(text: str, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """A box `X,Y,W,H` as (x, y, width, height) in pixels of a photo of that (width, height).

    Raises `UsageError` for another form, and for a box without area or outside the photo.
    """
    parts = [part.strip() for part in text.split(",")]
    try:
        if len(parts) != 4:
            raise ValueError
        x, y, width, height = (_length(part, size[axis % 2]) for axis, part in enumerate(parts))
    except ValueError:
        raise UsageError(f"`box` must be X,Y,W,H in pixels or per cent, such as 10%,5%,80%,90%, not {text}") from None
    if width <= 0 or height <= 0 or x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0:
        raise UsageError(f"`box={text}` does not lie in the photo, which is {size[0]}×{size[1]}")
    return x, y, width, height


def _length(text: str, side: int) -> float:
    value = float(text.removesuffix("%")) * (side / 100 if text.endswith("%") else 1)
    if not np.isfinite(value):
        raise ValueError(text)
    return value
