"""Where a trimap lies on its photo: turned, moved, too narrow.

The measure of a place: colours differ between the two sides of the unknown part, and little within each side. A trimap
that is turned or moved has the same things on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.image import to_depth
from mattecli.trimaps.band import colour_line
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, unknown
from mattecli.trimaps.clean import depth

Floats = NDArray[np.float32]

SIDE = 128  # pixels of the longer side of the copy that is compared
AROUND = 0.04  # the radius in which the two sides are compared, in diagonals
STEPS = (-0.1, -0.05, 0.0, 0.05, 0.1)  # offsets tried, in sides
CLEARLY = 0.2  # another place must be better by so much
STRAY = 0.25  # a pixel so far from its side's colours, on the line to the other's, belongs to neither for certain
CUTS = 0.06  # and the trimap must cut edges on so much of its border where it is
CUT_SIDE = 640  # pixels of the longer side of the copy whose borders are examined

_TURNS: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "mirrored left to right": lambda a: a[:, ::-1],
    "upside down": lambda a: a[::-1],
    "turned by 180°": lambda a: a[::-1, ::-1],
    "turned by 90° to the left": lambda a: np.rot90(a),
    "turned by 90° to the right": lambda a: np.rot90(a, -1),
    "mirrored along a diagonal": lambda a: a.swapaxes(0, 1),
    "mirrored along the other diagonal": lambda a: a[::-1, ::-1].swapaxes(0, 1),
}


@dataclass(frozen=True)
class Place:
    """Another place for a trimap: a turn in words, or an offset in pixels (right, down)."""

    turn: str | None = None
    offset: tuple[int, int] = (0, 0)


def find_better_place(
    codes: NDArray[np.uint8], photo: NDArray[Any], *, cuts: Callable[[], float] | None = None
) -> Place | None:
    """The place where a trimap fits its photo clearly better than where it is, or None.

    `codes` is (H, W) of 0, 128 and 255, `photo` RGB (H, W, 3). Turns by 90° are tried on square pictures only. `cuts`
    gives their `cut_share` where the caller needs it too.
    """
    lab, labels = _small(codes, photo)
    here = fit(labels, lab)
    if here <= 0 or (cut_share(codes, photo) if cuts is None else cuts()) < CUTS:
        return None
    found: list[tuple[float, Place]] = []
    for name, turn in _TURNS.items():
        turned = np.ascontiguousarray(turn(labels))
        if turned.shape == labels.shape:
            found.append((fit(turned, lab), Place(turn=name)))
    height, width = labels.shape
    for down in STEPS:
        for across in STEPS:
            if (down, across) != (0.0, 0.0):
                moved = _moved(labels, round(across * width), round(down * height))
                offset = (round(across * codes.shape[1]), round(down * codes.shape[0]))
                found.append((fit(moved, lab), Place(offset=offset)))
    best, place = max(found, key=lambda entry: entry[0])
    return place if best > here + CLEARLY else None


def fit(labels: NDArray[np.uint8], lab: Floats) -> float:
    """How well a trimap fits a photo in Lab colours, from 0 to 3: a contrast, and twice a share of edges.

    It is below 0 where there is nothing to compare, because most of the unknown part lies near one side only.

    The contrast is the mean over unknown pixels of d² / (d² + v): d is the distance between the mean colours of the
    foreground and the background nearby, v is the sum of their variances. The share of edges is g / (g + k): g and k
    are the mean gradients in the unknown part and in what is known beside it.
    """
    return _contrast(labels, lab) + 2 * _edges(labels, lab)


def _edges(labels: NDArray[np.uint8], lab: Floats) -> float:
    slopes = [cv2.Sobel(lab, cv2.CV_32F, *order) for order in ((1, 0), (0, 1))]
    gradient = np.sqrt((slopes[0] ** 2 + slopes[1] ** 2).sum(axis=2))
    open_ = unknown(labels)
    beside = ~open_ & (depth(~open_) <= 0.03 * math.hypot(*labels.shape))
    if not open_.any() or not beside.any():
        return 0.0
    inner, outer = float(gradient[open_].mean()), float(gradient[beside].mean())
    return inner / (inner + outer + 1e-6)


def _contrast(labels: NDArray[np.uint8], lab: Floats) -> float:
    radius = AROUND * math.hypot(*labels.shape)
    means, spreads, weights = [], [], []
    squares = (lab**2).sum(axis=2)
    for value in (FOREGROUND, BACKGROUND):
        here = (labels == value).astype(np.float32)
        weight = cv2.GaussianBlur(here, (0, 0), radius)
        mean = cv2.GaussianBlur(lab * here[..., None], (0, 0), radius) / (weight + 1e-6)[..., None]
        spread = cv2.GaussianBlur(squares * here, (0, 0), radius) / (weight + 1e-6) - (mean**2).sum(axis=2)
        means.append(mean)
        spreads.append(spread.clip(0))
        weights.append(weight)
    counted = unknown(labels) & (np.minimum(*weights) > 0.02)
    if not counted.any() or counted.sum() < 0.5 * unknown(labels).sum():
        return -3.0
    distance = ((means[0] - means[1]) ** 2).sum(axis=2)
    return float((distance / (distance + spreads[0] + spreads[1] + 20))[counted].mean())


def cut_share(codes: NDArray[np.uint8], photo: NDArray[Any]) -> float:
    """The share of a trimap's borders on which known pixels have the other side's colours, from 0 to 1.

    There the colours beside the border with the background are partly the foreground's, or those beside the border with
    the foreground partly the background's. The share of such pixels farther from the border is subtracted: where they
    are everywhere, the colours tell nothing.
    """
    scale = min(1.0, CUT_SIDE / max(codes.shape))
    size = (max(1, round(codes.shape[1] * scale)), max(1, round(codes.shape[0] * scale)))
    small = cv2.resize(codes, size, interpolation=cv2.INTER_NEAREST)
    known = {value: small == value for value in (FOREGROUND, BACKGROUND)}
    open_ = unknown(small)
    if not all(side.any() for side in known.values()) or not open_.any():
        return 0.0
    pixels = cv2.resize(to_depth(photo, 8), size, interpolation=cv2.INTER_AREA)
    nearer = depth(~known[FOREGROUND]) <= depth(~known[BACKGROUND])
    line, away, diagonal = colour_line(pixels, nearer), depth(~open_), math.hypot(*small.shape)
    cut, borders, share = 0.0, 0, 0.0
    for value, stray in ((BACKGROUND, line.place > STRAY), (FOREGROUND, line.place < 1 - STRAY)):
        beside = known[value] & (away <= 2)
        beyond = known[value] & (away > 0.02 * diagonal) & (away <= 0.05 * diagonal)
        if beside.any():
            usual = float(stray[beyond].mean()) if beyond.any() else 0.0
            cut += float(stray[beside].mean() - usual) * np.count_nonzero(beside)
            borders += int(np.count_nonzero(beside))
    if borders:
        share = cut / borders
    return max(0.0, share)


def _small(codes: NDArray[np.uint8], photo: NDArray[Any]) -> tuple[Floats, NDArray[np.uint8]]:
    scale = min(1.0, SIDE / max(codes.shape))
    size = (max(1, round(codes.shape[1] * scale)), max(1, round(codes.shape[0] * scale)))
    pixels = cv2.resize(to_depth(photo, 8), size, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(lab, np.float32), np.asarray(cv2.resize(codes, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _moved(labels: NDArray[np.uint8], across: int, down: int) -> NDArray[np.uint8]:
    shift = np.array([[1, 0, across], [0, 1, down]], np.float32)
    size = (labels.shape[1], labels.shape[0])
    moved = cv2.warpAffine(labels, shift, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)
