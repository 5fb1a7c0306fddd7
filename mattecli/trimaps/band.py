"""The unknown band around a mask's edge, by the photo.

Colours of the subject and of the background are learnt on both sides of the edge, locally. They place each pixel on a
line from background (0) to foreground (1). What lies between is edge, blur or hair. Where both sides have the same
colours, the line tells little and the band is wide.

The constants were chosen on rendered cut-outs over photographs (`benchmarks/trimap_scenes.py`), never on the pictures
that results are reported on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.image import to_depth
from mattecli.trimaps.clean import Mask, depth, near
from mattecli.trimaps.widths import automatic_length

Floats = NDArray[np.float32]

# All lengths but PIXELS are in diagonals of the picture, as `automatic_length` counts them.
NARROW, WIDE = 0.004, 0.008  # the band on each side where the edge is crisp, and where it is not
OUTSIDE, INSIDE = 0.03, 0.015  # how far hair beyond the mask, and background within it, is followed
PIXELS = 2.0  # the least error of a mask, in pixels
DEEP = 0.015  # how deep inside the mask the subject's colours are learnt
AROUND = 0.05  # the radius in which colours are learnt
CRISP = 0.35  # a crisp edge has at most this share of pixels between the two sides
ALIKE = 0.35  # the spread of the background's colours from which on they tell nothing
DEVIATIONS, LEAST = 4.0, 0.15  # how far from background a pixel must be to be subject, in deviations and at least
ANALYSED = 1_000_000  # pixels of the copy that is analysed


@dataclass(frozen=True, eq=False)
class Line:
    """Where each pixel stands between background (0) and foreground (1), and how much the two sides vary there."""

    place: Floats
    foreground_spread: Floats
    background_spread: Floats

    def stands_for_foreground(self, part: Mask) -> bool:
        """Whether the colours of a small part are rather the foreground's."""
        return float(self.place[part].mean()) >= 0.5


def colour_line(photo: NDArray[Any], mask: Mask) -> Line:
    """Learn the colours on both sides of a mask's edge. `photo` is RGB (H, W, 3) of any depth."""
    shape = mask.shape
    lab = np.asarray(cv2.cvtColor(to_depth(photo, 8).astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    diagonal = automatic_length(shape)
    inside, outside = depth(mask), depth(~mask)
    deep = inside > min(DEEP * diagonal, 0.5 * float(inside.max()))
    far = outside > min(AROUND * diagonal, 0.5 * float(outside.max()))
    step = max(1, round(diagonal / 250))
    front, front_spread = _local_colours(lab, deep, AROUND * diagonal, step)
    back, back_spread = _local_colours(lab, far, AROUND * diagonal, step)
    difference = front - back
    # Fisher's linear discriminant, with a floor of 6 (squared Lab units) for noise.
    total = front_spread + back_spread + 6 * np.eye(3, dtype=np.float32)
    direction = np.linalg.solve(total, difference[..., None])[..., 0]
    direction /= (np.sum(direction * difference, axis=-1) + 1e-6)[..., None]

    def enlarged(small: NDArray[Any]) -> Floats:
        resized = cv2.resize(small.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, np.float32)

    def spread(covariance: Floats) -> Floats:
        return enlarged(np.sqrt(np.einsum("hwi,hwij,hwj->hw", direction, covariance, direction).clip(0)))

    offset = enlarged(np.sum(direction * back, axis=-1))
    place = np.sum(lab * enlarged(direction), axis=-1) - offset
    return Line(np.asarray(place, np.float32), spread(front_spread), spread(back_spread))


def _local_colours(lab: Floats, where: Mask, radius: float, step: int) -> tuple[Floats, Floats]:
    """Mean and covariance of the colours at `where`, weighted by distance. # (h, w, 3), (h, w, 3, 3)

    Both are at 1/`step` of the size. Far from `where` they approach those of the whole picture.
    """
    weights = where.astype(np.float32)
    total = max(float(weights.sum()), 1.0)
    overall = (lab * weights[..., None]).sum((0, 1)) / total
    centred = lab - overall
    size = (max(1, lab.shape[1] // step), max(1, lab.shape[0] // step))

    def smooth(values: NDArray[Any]) -> Floats:
        small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(small, (0, 0), radius / step), np.float32)

    little = np.float32(2e-3)
    weight = smooth(weights) + little
    mean = smooth(centred * weights[..., None]) / weight[..., None]
    covariance = np.empty((*weight.shape, 3, 3), np.float32)
    for i in range(3):
        for j in range(i, 3):
            product = centred[..., i] * centred[..., j] * weights
            local = (smooth(product) + little * product.sum() / total) / weight - mean[..., i] * mean[..., j]
            covariance[..., i, j] = covariance[..., j, i] = local
    return np.asarray(mean + overall, np.float32), covariance


def auto_band(photo: NDArray[Any], mask: Mask, *, error: float = PIXELS) -> Mask:
    """Where the trimap is to be unknown around the edge of a mask, (H, W).

    `photo` is RGB (H, W, 3), `mask` has foreground and background, `error` is how far its edge may be off, in pixels.
    The band has a width for each place of the edge: narrow where the photo's edge is crisp, wide where it is soft or
    where both sides have the same colours, and as far as hair reaches beyond the mask or background into it. It is a
    union of discs, so its width changes by at most a pixel for each pixel along the edge.
    """
    shape = mask.shape
    diagonal = automatic_length(shape)
    scale = min(1.0, math.sqrt(ANALYSED / mask.size))
    if scale < 1:
        size = (max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale)))
        small_photo = cv2.resize(to_depth(photo, 8), size, interpolation=cv2.INTER_AREA)
        small_mask = cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
    else:
        small_photo, small_mask = photo, mask
    if small_mask.all() or not small_mask.any():
        small_photo, small_mask = photo, mask
    soft, strays = _soft_edge(small_photo, small_mask)
    edge = edge_of(mask)
    narrow = error + NARROW * diagonal
    band = near(edge, narrow)
    if soft.any():
        band |= near(edge & _enlarged(soft, shape), max(WIDE * diagonal, narrow))
    if strays.any():
        band |= near(_enlarged(strays, shape), narrow)
    return band


def edge_of(mask: Mask) -> Mask:
    """The pixels beside the mask's edge, on both sides of it."""
    return cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0


def _soft_edge(photo: NDArray[Any], mask: Mask) -> tuple[Mask, Mask]:
    """Where the edge is not crisp, and the stray pixels: hair beyond the mask, background within it."""
    diagonal = automatic_length(mask.shape)
    line = colour_line(photo, mask)
    inside, outside = depth(mask), depth(~mask)
    subject = line.place > np.clip(DEVIATIONS * line.background_spread, LEAST, 0.9)
    ground = line.place < 1 - np.clip(DEVIATIONS * line.foreground_spread, LEAST, 0.9)
    hair = _connected(mask, subject & ~mask & (outside <= OUTSIDE * diagonal))
    dents = _connected(~mask, ground & mask & (inside <= INSIDE * diagonal))
    strip = np.where(mask, inside, outside) <= 2 * NARROW * diagonal
    between = strip & (np.abs(line.place - 0.5) < CRISP)
    blurred = [cv2.GaussianBlur(part.astype(np.float32), (0, 0), 0.01 * diagonal) for part in (between, strip)]
    soft = (blurred[0] > CRISP * blurred[1]) | (line.background_spread > ALIKE)
    return np.asarray(soft & strip), hair | dents


def _connected(seed: Mask, part: Mask) -> Mask:
    """The pixels of `part` that are connected with the seed, over gaps of two pixels at most."""
    joined = cv2.morphologyEx((seed | part).view(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    kept = np.zeros(count, np.bool_)
    kept[np.unique(labels[seed])] = True
    kept[0] = False
    return np.asarray(kept[labels] & part)


def _enlarged(part: Mask, shape: tuple[int, ...]) -> Mask:
    if part.shape == shape:
        return part
    return cv2.resize(part.view(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST).view(np.bool_)
