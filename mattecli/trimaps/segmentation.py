"""From strokes or a box to a trimap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.image import to_depth
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN, check_size
from mattecli.trimaps.walk import walk

Matte = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]
Check = Callable[[], None]
Box = tuple[float, float, float, float]
Effort = Literal["quick", "normal"]

# The weights that the numbers below were chosen with: the start of their file's SHA-256. With other weights, run
# `benchmarks/strokes.py` again.
CALIBRATED_FOR = "3dacd74d5800"

SIDE = 448  # the copy has about this many pixels squared
LEAST_DIAGONAL = 8  # pixels; smaller photos have no room for a margin

_LEAST_ALPHA = 0.01  # how sure the network's alpha may be
_BINS = (16, 24, 24)  # of the colour histograms: lightness, and two of colour
_FLOOR = 2e-4  # share of a side's pixels; colours rarer than this on both sides say nothing
_RING = 0.03  # how far a box may be off, as a share of the picture's sides


class _Pass(NamedTuple):
    """One run of the network and one walk. A pixel is certain where the walk's probability passes a threshold."""

    foreground: float  # from here up
    background: float  # up to here
    margin: float  # everywhere within this distance, as a share of the diagonal
    firm: bool = False  # the walk starts from what the pass before found, not from the strokes alone


_PASSES = {
    "quick": (_Pass(0.95, 0.02, 0.015),),
    "normal": (_Pass(0.95, 0.05, 0.01), _Pass(0.98, 0.02, 0.015), _Pass(0.9, 0.05, 0.02, firm=True)),
}


@dataclass(frozen=True, eq=False)
class PreparedPhoto:
    """A photo as the segmentation needs it: `prepare_photo` makes one, once for all strokes.

    `size` is the photo's (width, height). `small` is uint8 (h, w, 3) of about 448² pixels, and `colours` its smoothed
    Lab colours, float32 (h, w, 3).
    """

    size: tuple[int, int]
    small: NDArray[np.uint8]
    colours: NDArray[np.float32]


def prepare_photo(photo: NDArray[Any]) -> PreparedPhoto:
    """Shrink a photo, RGB (H, W, 3) of uint8, uint16 or floats in [0, 1], for `segment`.

    Raises `InputError` for another shape or type, and for a photo of a few pixels.
    """
    if photo.ndim != 3 or photo.shape[2] != 3 or np.hypot(*photo.shape[:2]) < LEAST_DIAGONAL:
        raise InputError(f"the photo has shape {photo.shape}; give RGB (H, W, 3) of at least {LEAST_DIAGONAL} pixels")
    height, width = photo.shape[:2]
    scale = min(1.0, SIDE / float(np.sqrt(height * width)))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = to_depth(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), 8)
    smooth = cv2.pyrMeanShiftFiltering(small, 6, 12)  # evens out textures, which the walk would take for edges
    colours = cv2.cvtColor(smooth.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return PreparedPhoto((width, height), np.asarray(small, np.uint8), np.asarray(colours, np.float32))


def go_on() -> None:
    """The `check` of work that nothing ends early."""


def segment(
    photo: PreparedPhoto,
    strokes: NDArray[np.uint8] | None = None,
    *,
    box: Box | None = None,
    matte: Matte,
    effort: Effort = "normal",
    check: Check = go_on,
) -> NDArray[np.uint8]:
    """A trimap of the photo's size, uint8 (H, W) of 0, 128 and 255, from strokes, a box, or both.

    `strokes` (H, W) is 255 where the foreground is certain, 0 where the background is, anything else elsewhere; the
    trimap keeps these pixels. `box` (x, y, width, height) in pixels holds the subject; its sides may be off by 3 % of
    the picture. `matte` runs the network on a small photo (h, w, 3) and a trimap (h, w) and gives its alpha. It should
    be the one whose weights `CALIBRATED_FOR` names. `effort` "quick" runs it once, "normal" three times.

    The same arguments give the same trimap. `check` is called often and may raise to end the work; `matte` is the
    longest stage and should do the same. Raises `InputError` without any foreground or background, and for strokes of
    another size.
    """
    likely = probability(photo, strokes, box=box, matte=matte, effort=effort, check=check)
    small = _over(_certain(likely, _PASSES[effort][-1]), _box_seeds(photo, box))  # strokes follow at full size
    trimap = np.asarray(cv2.resize(small, photo.size, interpolation=cv2.INTER_NEAREST), np.uint8)
    if strokes is not None:
        for label in (BACKGROUND, FOREGROUND):
            check()
            np.copyto(trimap, label, where=strokes == label)
    return trimap


def probability(
    photo: PreparedPhoto,
    strokes: NDArray[np.uint8] | None = None,
    *,
    box: Box | None = None,
    matte: Matte,
    effort: Effort = "normal",
    check: Check = go_on,
) -> NDArray[np.float32]:
    """The probability of foreground, float32 (h, w) on the small copy, that `segment` makes a trimap of.

    Arguments and errors are those of `segment`.
    """
    seeds = _box_seeds(photo, box)
    if strokes is not None:
        _put_strokes(seeds, strokes, photo.size, check)
    _check_sides(seeds, boxed=box is not None)
    guess, known = _log_odds(photo, seeds, box), seeds
    for one in _PASSES[effort]:
        check()
        alpha = matte(photo.small, known)
        likely = walk(photo.colours, known if one.firm else seeds, _likely(guess, alpha), check=check)
        known = _over(_certain(likely, one), seeds)
    check()
    return likely


def _box_seeds(photo: PreparedPhoto, box: Box | None) -> NDArray[np.uint8]:
    """Background around a box, on the small copy; everything unknown without a box."""
    height, width = photo.small.shape[:2]
    if box is None:
        return np.full((height, width), UNKNOWN, np.uint8)
    x, y, w, h = _small_box(photo, box)
    spare_x, spare_y = _RING * width, _RING * height
    top, left = max(0, int(y - spare_y)), max(0, int(x - spare_x))
    bottom, right = int(np.ceil(y + h + spare_y)), int(np.ceil(x + w + spare_x))
    seeds = np.full((height, width), BACKGROUND, np.uint8)
    seeds[top:bottom, left:right] = UNKNOWN
    return seeds


def _put_strokes(seeds: NDArray[np.uint8], strokes: NDArray[np.uint8], size: tuple[int, int], check: Check) -> None:
    """Add strokes of a photo's size to the seeds, at the size of the seeds. A stroke thinner than a pixel stays."""
    check_size((strokes.shape[1], strokes.shape[0]), size, name="the strokes", image_name="the photo")
    shares = []
    for label in (FOREGROUND, BACKGROUND):
        check()
        where = (strokes == label).view(np.uint8) * np.uint8(255)
        shares.append(cv2.resize(where, seeds.shape[::-1], interpolation=cv2.INTER_AREA))
    share = shares[0].astype(np.int16) + shares[1]
    touched = np.asarray(share > 255 // 4)
    near = cv2.dilate(touched.view(np.uint8), np.ones((5, 5), np.uint8)) > 0
    touched |= (share > 0) & ~near
    np.copyto(seeds, np.where(shares[0] > shares[1], FOREGROUND, BACKGROUND).astype(np.uint8), where=touched)


def _check_sides(seeds: NDArray[np.uint8], *, boxed: bool) -> None:
    inside, outside = (seeds == FOREGROUND).any(), (seeds == BACKGROUND).any()
    if not outside or not (boxed or inside):
        missing = "foreground" if outside else "background"
        raise InputError(f"nothing is marked as {missing}; add a {missing} stroke")


def _small_box(photo: PreparedPhoto, box: Box) -> Box:
    """The box on the small copy. Raises `InputError` where it is empty or leaves nothing around it."""
    height, width = photo.small.shape[:2]
    across, down = width / photo.size[0], height / photo.size[1]
    x, y, w, h = box[0] * across, box[1] * down, box[2] * across, box[3] * down
    left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + w, width), min(y + h, height)
    if right - left < 1 or bottom - top < 1:
        raise InputError("the box does not lie in the photo; give its left, top, width and height")
    if left < _RING * width and top < _RING * height and right > (1 - _RING) * width and bottom > (1 - _RING) * height:
        raise InputError("the box holds the whole photo, so nothing is known of the background; give a closer box")
    return left, top, right - left, bottom - top


def _log_odds(photo: PreparedPhoto, seeds: NDArray[np.uint8], box: Box | None) -> NDArray[np.float32]:
    """How much likelier each pixel's colour is in the foreground than in the background, as log odds.

    The foreground's colours are those of its strokes; from a box alone, those inside the box. Of the latter, what is
    also common around the box says nothing.
    """
    inside = seeds == FOREGROUND
    if box is not None and not inside.any():
        x, y, w, h = _small_box(photo, box)
        inside[int(y) : int(np.ceil(y + h)), int(x) : int(np.ceil(x + w))] = True
    foreground, background = _histogram(photo, inside), _histogram(photo, seeds == BACKGROUND)
    return np.asarray(np.log((foreground + _FLOOR) / (background + _FLOOR)), np.float32)


def _histogram(photo: PreparedPhoto, where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """For each pixel the share of the pixels `where` that have its colour, (h, w); smoothed over colours and pixels."""
    scaled = (photo.colours + np.array([0, 90, 90])) / (100, 180, 180)  # Lab of sRGB lies in 0…100, −86…98 and −108…94
    cells = (np.clip(scaled, 0, 0.999) * _BINS).astype(np.intp)
    index = np.ravel_multi_index(tuple(np.moveaxis(cells, 2, 0)), _BINS)
    counts: NDArray[Any] = np.bincount(index[where], minlength=int(np.prod(_BINS))).reshape(_BINS).astype(np.float32)
    for axis in range(3):
        wide = np.pad(counts, [(1, 1) if axis == other else (0, 0) for other in range(3)], mode="edge")
        before, middle, after = (np.take(wide, range(k, k + _BINS[axis]), axis) for k in range(3))
        counts = (before + 2 * middle + after) / 4
    shares = counts.ravel()[index] / max(1.0, float(counts.sum()))
    return np.asarray(cv2.GaussianBlur(shares.astype(np.float32), (0, 0), 1.5), np.float32)


def _likely(log_odds: NDArray[np.float32], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """What colours and network think together, as a probability of foreground."""
    sure = np.clip(alpha, _LEAST_ALPHA, 1 - _LEAST_ALPHA)
    return np.asarray(1 / (1 + np.exp(-log_odds) * (1 - sure) / sure), np.float32)


def _certain(likely: NDArray[np.float32], one: _Pass) -> NDArray[np.uint8]:
    reach = one.margin * float(np.hypot(*likely.shape))
    trimap = np.full(likely.shape, UNKNOWN, np.uint8)
    trimap[_depth(likely >= one.foreground) > reach] = FOREGROUND
    trimap[_depth(likely <= one.background) > reach] = BACKGROUND
    return trimap


def _over(trimap: NDArray[np.uint8], seeds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The trimap with the seeds on top."""
    return np.where(seeds == UNKNOWN, trimap, seeds)


def _depth(region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The distance of each pixel to the nearest pixel outside the region; the picture's border is not an edge."""
    padded = np.pad(region, 1, mode="edge").view(np.uint8)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(distance[1:-1, 1:-1], np.float32)
