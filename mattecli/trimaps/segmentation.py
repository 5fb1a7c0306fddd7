"""From strokes or a box to a trimap."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.image import to_depth
from mattecli.trimaps.band import auto_band, edge_of
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN, check_size
from mattecli.trimaps.clean import near
from mattecli.trimaps.likeness import Marks, features, likeness
from mattecli.trimaps.walk import walk
from mattecli.trimaps.widths import automatic_length

Matte = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]
Check = Callable[[], None]
Box = tuple[float, float, float, float]
Effort = Literal["quick", "normal"]

# The weights that the numbers below were last judged with: the start of their file's SHA-256. With other weights, run
# `benchmarks/strokes.py` again.
CALIBRATED_FOR = "b18f9e2abdc6"
OTHER_WEIGHTS = "boxes and strokes were tuned with other weights, so look at the trimap before you rely on it"

SIDE = 448  # the copy has about this many pixels squared
LEAST_DIAGONAL = 8  # pixels; smaller photos have no room for a margin

_RING = 0.03  # how far a box may be off, as a share of the picture's sides

# Log odds of foreground: so much for a pixel that is just like a stroke, and this share of what the network's alpha
# says. The network is often sure and wrong far from the strokes.
_LIKENESS, _NETWORK = 8.0, 0.5
_BOX_NETWORK = 1.0  # the share where what was found from a box is learnt from
_LEAST_ALPHA = 0.01  # how sure the network's alpha may be
_BOXED, _FOUND = 6.0, 2.0  # how many times noisier than a stroke: what is inside a box, and what was found from it

# A pixel is unknown whose probability lies between these two; from a box alone it must be surer.
_UNSURE, _BOX_UNSURE = (0.15, 0.85), (0.10, 0.95)
_LEARNT = 0.05  # from a box, pixels are learnt from whose probability is at most this far from 0 or 1
_SOFT = 0.02  # so is one whose alpha is, in the network's second run
# All lengths are in diagonals.
_GROWN, _BOX_GROWN = 0.01, 0.015  # how far around an unsure pixel others are unknown,
_SOFT_GROWN = 0.01  # and around a soft one
_WIDE, _WIDE_GROWN = 0.025, 0.015  # the same for the second run's trimap: around the edge, and around unsure pixels


@dataclass(frozen=True, eq=False)
class PreparedPhoto:
    """A photo as the segmentation needs it: `prepare_photo` makes one, once for all strokes.

    `size` is the photo's (width, height). `small` is uint8 (h, w, 3) of about 448² pixels, `colours` its smoothed Lab
    colours, float32 (h, w, 3), and `features` what its pixels are compared by, float32 (h, w, 7).
    """

    size: tuple[int, int]
    small: NDArray[np.uint8]
    colours: NDArray[np.float32]
    features: NDArray[np.float32]


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
    lab, colours = (
        np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
        for pixels in (small, smooth)
    )
    return PreparedPhoto((width, height), np.asarray(small, np.uint8), colours, features(lab, colours))


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
    be the one whose weights `CALIBRATED_FOR` names. `effort` "quick" runs it once, "normal" a second time to find
    soft edges.

    The same arguments give the same trimap. `check` is called often and may raise to end the work; `matte` is the
    longest stage and should do the same. Raises `InputError` without any foreground or background, and for strokes of
    another size.
    """
    seeds = _seeds(photo, strokes, box, check)
    likely = _likely(photo, seeds, box, matte, check)
    boxed = not (seeds == FOREGROUND).any()  # without a foreground stroke there is only a box
    lowest, highest = _BOX_UNSURE if boxed else _UNSURE
    unsure = np.asarray((likely > lowest) & (likely < highest))
    small = _trimap(photo, likely, near(unsure, (_BOX_GROWN if boxed else _GROWN) * automatic_length(likely.shape)))
    if effort == "normal":
        check()
        small[_soft(photo, likely, unsure, small, seeds, matte)] = UNKNOWN
        check()
    small = _over(small, _box_seeds(photo, box))  # strokes follow at full size
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
    check: Check = go_on,
) -> NDArray[np.float32]:
    """The probability of foreground, float32 (h, w) on the small copy, that `segment` makes a trimap of.

    Arguments and errors are those of `segment`. The network runs once.
    """
    return _likely(photo, _seeds(photo, strokes, box, check), box, matte, check)


def _seeds(photo: PreparedPhoto, strokes: NDArray[np.uint8] | None, box: Box | None, check: Check) -> NDArray[np.uint8]:
    """What strokes and box say, on the small copy: 0, 128 or 255."""
    seeds = _box_seeds(photo, box)
    if strokes is not None:
        _put_strokes(seeds, strokes, photo.size, check)
    _check_sides(seeds, boxed=box is not None)
    return seeds


def _likely(
    photo: PreparedPhoto, seeds: NDArray[np.uint8], box: Box | None, matte: Matte, check: Check
) -> NDArray[np.float32]:
    """What likeness, network and walk think together, as a probability of foreground.

    A box tells little of the foreground's colours, and strokes in it tell only those that they cover. So what is found
    from both is learnt from once more. The mean of both answers is taken: where they differ, it is unsure.
    """
    alpha = np.clip(matte(photo.small, seeds), _LEAST_ALPHA, 1 - _LEAST_ALPHA)
    check()
    network = np.log(alpha / (1 - alpha))

    def learnt(marks: list[Marks], share: float = _NETWORK) -> NDArray[np.float32]:
        log_odds = _LIKENESS * likeness(photo.features, marks, check=check) + share * network
        check()
        found = walk(photo.colours, seeds, (1 / (1 + np.exp(-log_odds))).astype(np.float32), check=check)
        check()
        return found

    inside, outside = Marks(1, seeds == FOREGROUND), Marks(-1, seeds == BACKGROUND)
    certain = [marks for marks in (inside, outside) if marks.where.any()]
    if box is None:
        return learnt(certain)
    first = learnt([Marks(1, _in_box(photo, box) & (seeds == UNKNOWN), _BOXED), *certain])
    subject, rest = (first >= 1 - _LEARNT) & ~inside.where, (first <= _LEARNT) & ~outside.where
    if not subject.any():
        return first
    again = learnt([Marks(1, subject, _FOUND), *certain, Marks(-1, rest, _FOUND)], _BOX_NETWORK)
    return np.asarray((first + again) / 2, np.float32)


def _in_box(photo: PreparedPhoto, box: Box) -> NDArray[np.bool_]:
    """The pixels of the small copy that a box holds."""
    x, y, w, h = _small_box(photo, box)
    inside = np.zeros(photo.small.shape[:2], np.bool_)
    inside[int(y) : int(np.ceil(y + h)), int(x) : int(np.ceil(x + w))] = True
    return inside


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
    """The box on the small copy. Raises `InputError` where it is empty, under a pixel, or leaves nothing around it."""
    height, width = photo.small.shape[:2]
    across, down = width / photo.size[0], height / photo.size[1]
    x, y, w, h = box[0] * across, box[1] * down, box[2] * across, box[3] * down
    left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + w, width), min(y + h, height)
    if right <= left or bottom <= top:
        raise InputError("the box does not lie in the photo; give its left, top, width and height")
    if min(right - left, bottom - top) < 1 - 1e-6:  # a box of exactly one pixel may lose its last bits
        least = f"{math.ceil(photo.size[0] / width)}×{math.ceil(photo.size[1] / height)}"
        raise InputError(f"the box is too small for this photo; give one of at least {least} pixels in it")
    if left < _RING * width and top < _RING * height and right > (1 - _RING) * width and bottom > (1 - _RING) * height:
        raise InputError("the box holds the whole photo, so nothing is known of the background; give a closer box")
    return left, top, right - left, bottom - top


def _trimap(photo: PreparedPhoto, likely: NDArray[np.float32], unknown: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Certain except in `unknown`, and in a band around the edge that the photo sets (`auto_band`)."""
    mask = np.asarray(likely >= 0.5)
    if mask.any() and not mask.all():
        unknown = unknown | auto_band(photo.small, mask)
    return np.where(unknown, UNKNOWN, np.where(mask, FOREGROUND, BACKGROUND)).astype(np.uint8)


def _soft(
    photo: PreparedPhoto,
    likely: NDArray[np.float32],
    unsure: NDArray[np.bool_],
    trimap: NDArray[np.uint8],
    seeds: NDArray[np.uint8],
    matte: Matte,
) -> NDArray[np.bool_]:
    """Where the network finds soft alpha in a wider unknown part around the edge, and a little around that."""
    diagonal = automatic_length(likely.shape)
    wide = near(edge_of(np.asarray(likely >= 0.5)), _WIDE * diagonal)
    wide |= near(unsure, _WIDE_GROWN * diagonal)
    alpha = matte(photo.small, _over(np.where(wide, UNKNOWN, trimap).astype(np.uint8), seeds))
    return near(np.asarray((alpha > _SOFT) & (alpha < 1 - _SOFT)), _SOFT_GROWN * diagonal)


def _over(trimap: NDArray[np.uint8], seeds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The trimap with the seeds on top."""
    return np.where(seeds == UNKNOWN, trimap, seeds)
