"""Cleans masks: holes, specks, ghosts and half-transparent parts.

All masks are (H, W) of bool; parts are 8-connected and holes 4-connected, so that a diagonal line of pixels separates.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.trimaps.widths import automatic_length

Mask = NDArray[np.bool_]

GHOST = 0.2  # a part that is nowhere more opaque than this is background
SOLID = 0.8  # enclosed pixels from this up are foreground
EDGE = 0.015  # how deep an edge may be, in diagonals (`automatic_length`); what lies deeper is enclosed


@dataclass(frozen=True, eq=False)
class Labels:
    """What a matte says: certain foreground and background, and what it leaves open, each (H, W).

    `half` is the share of pixels that are enclosed and half transparent.
    """

    foreground: Mask
    background: Mask
    half: float = 0.0

    @property
    def open(self) -> Mask:
        """Neither."""
        return ~(self.foreground | self.background)


def label_matte(levels: NDArray[np.float32], *, low: float, high: float, solid: bool) -> Labels:
    """What a soft matte of levels from 0 to 1 says.

    Levels up to `low` are background, those from `high` on are foreground. Grey near the edge is edge and stays open.
    Enclosed grey from 0.8 on is foreground, with `solid` any enclosed grey. A part that is nowhere above 0.2 is
    background.
    """
    foreground, background = levels >= high, levels <= low
    open_ = ~(foreground | background)
    if not open_.any():
        return Labels(foreground, background)
    background = background | ghosts(levels, low)
    enclosed = open_ & (depth(~background) > max(5, EDGE * automatic_length(levels.shape)))
    foreground = foreground | (enclosed if solid else enclosed & (levels >= SOLID))
    half = 0.0 if solid else float((enclosed & (levels < SOLID)).mean())
    return Labels(foreground, background, half)


def tidied(labels: Labels, fill_holes: int, min_area: int, core: Mask | None, garbage: Mask | None) -> Labels:
    """The labels with holes of up to `fill_holes` pixels filled and parts of less than `min_area` pixels removed.

    A hole is filled with its soft rim. Core and garbage become foreground and background, so that an unknown band goes
    around them too.
    """
    foreground, background = labels.foreground, labels.background
    if fill_holes:
        filled = (holes(~background, fill_holes) > 0) | soft_holes(foreground, background, fill_holes)
        foreground, background = foreground | filled, background & ~filled
    if min_area:
        background = background | (specks(~background, min_area - 1) > 0)
        foreground = foreground & ~background
    if core is not None:
        foreground, background = foreground | core, background & ~core
    if garbage is not None:
        foreground, background = foreground & ~garbage, background | garbage
    return Labels(foreground, background, labels.half)


def ghosts(levels: NDArray[np.float32], low: float) -> Mask:
    """The parts above `low` that are nowhere above 0.2."""
    count, labels = cv2.connectedComponents((levels > low).view(np.uint8), connectivity=8)
    solid = np.zeros(count, np.bool_)
    solid[np.unique(labels[levels > GHOST])] = True
    solid[0] = True
    return np.asarray(~solid[labels])


def holes(mask: Mask, area: float) -> NDArray[np.int32]:
    """The holes of up to `area` pixels by number, 0 elsewhere. A gap that touches the picture's edge is not a hole."""
    labels, sizes, boxes = _parts(~mask, connectivity=4)
    height, width = mask.shape
    inside = (boxes[:, 0] > 0) & (boxes[:, 1] > 0)
    inside &= (boxes[:, 0] + boxes[:, 2] < width) & (boxes[:, 1] + boxes[:, 3] < height)
    return _kept(labels, inside & (sizes <= area))


def soft_holes(foreground: Mask, background: Mask, area: float) -> Mask:
    """The holes of up to `area` pixels in what is certain foreground, with their soft rims, which count half.

    A gap without any background is half transparent, not a hole.
    """
    gaps = holes(foreground, 2 * area)
    sizes = np.bincount(gaps.ravel())
    empty = np.bincount(gaps[background], minlength=len(sizes))
    whole = (empty > 0) & (empty + sizes <= 2 * area)  # half of the rim, sizes - empty, counts
    whole[0] = False
    return np.asarray(whole[gaps])


def specks(mask: Mask, area: float) -> NDArray[np.int32]:
    """The parts of up to `area` pixels by number, 0 elsewhere. The largest part is not a speck."""
    labels, sizes, _ = _parts(mask, connectivity=8)
    small = sizes <= area
    if len(sizes) > 1:
        small[1 + int(np.argmax(sizes[1:]))] = False
    return _kept(labels, small)


def depth(region: Mask) -> NDArray[np.float32]:
    """How far each pixel of the region is from the nearest one outside, and 0 outside.

    The border of the picture is not an edge: without a pixel outside, the depth is infinite.
    """
    if region.all():
        return np.full(region.shape, np.inf, np.float32)
    distance = cv2.distanceTransform(region.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance, np.float32)


def near(points: Mask, reach: float) -> Mask:
    """The pixels at most `reach` from one of the points."""
    return np.asarray(depth(~points) <= reach)


def grown(region: Mask, pixels: int) -> Mask:
    """The region and `pixels` around it, in steps to all eight neighbours."""
    side = 2 * pixels + 1
    return cv2.dilate(region.view(np.uint8), np.ones((side, side), np.uint8)).view(np.bool_)


def stairs(levels: NDArray[np.float32]) -> float:
    """By how much a mask was enlarged, judged by its edge: 1 for a mask that was made at this size.

    An enlarged mask has stairs as long as the scale (nearest neighbour), or a soft ramp of that width (interpolated).
    """
    mask = levels >= 0.5
    soft = np.count_nonzero((levels > 0.02) & (levels < 0.98))
    edge = np.count_nonzero(mask[:, 1:] != mask[:, :-1]) + np.count_nonzero(mask[1:] != mask[:-1])
    ramp = soft / edge if edge else 0.0
    return float(max(1.0, min(ramp, 50.0), *(_repeats(side) for side in (mask, mask.T))))


def _repeats(mask: Mask) -> float:
    """How many rows in a row are equal where the mask has an edge: the scale of a mask enlarged by repeating pixels."""
    rows = np.flatnonzero((mask[:, 1:] != mask[:, :-1]).any(axis=1))
    if len(rows) < 32:
        return 1.0
    changes = np.flatnonzero((mask[1:] != mask[:-1]).any(axis=1))
    steps = np.diff(changes[(changes >= rows[0]) & (changes <= rows[-1])])
    # Repeated pixels leave no two changes closer than the scale; a straight edge leaves long steps between short ones.
    return float(np.median(steps)) if len(steps) >= 8 and steps.min() >= np.median(steps) - 1 else 1.0


def _parts(region: Mask, *, connectivity: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """The parts' numbers (H, W), their sizes, and their boxes (left, top, width, height); part 0 is the rest."""
    _, labels, facts, _ = cv2.connectedComponentsWithStats(region.view(np.uint8), connectivity=connectivity)
    return (
        np.asarray(labels, np.int32),
        np.asarray(facts[:, cv2.CC_STAT_AREA], np.int32),
        np.asarray(facts[:, :4], np.int32),
    )


def _kept(labels: NDArray[np.int32], wanted: Mask) -> NDArray[np.int32]:
    wanted = wanted.copy()
    wanted[0] = False
    numbers = np.where(wanted, np.arange(len(wanted)), 0).astype(np.int32)
    return np.asarray(numbers[labels], np.int32)
