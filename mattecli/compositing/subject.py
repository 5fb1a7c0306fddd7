"""Finds the subject's box in a matte, without specks and flyaways."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats
from mattecli.compositing.contours import disc

_SEEN = 0.1  # from this alpha up, a pixel counts
_SMALL = 0.001  # parts of less of the matte's sum do not count
_HAIR = 0.002  # what is thinner than this share of the diagonal is hair, and so is 7 pixels


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Where the subject is, in pixels of the photo turned by some degrees around its top left corner.

    `baseline` is the lowest row of its solid part; `mass` is the centre of the matte's mass. `cut` names the sides of
    the photo that cut the subject.
    """

    left: float
    top: float
    right: float
    bottom: float
    baseline: float
    mass: tuple[float, float]
    cut: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top


def find_subject(alpha: Floats, *, degrees: float = 0.0) -> Subject | None:
    """The subject of a matte, float32 (H, W) in [0, 1], after a turn by `degrees`; None where nothing is opaque enough.

    The box holds all pixels with α ≥ 0.1. Parts that have less than 0.1 % of Σα do not count, and neither do single
    hairs that stick out so little: what an opening by a disc takes away, in pieces longer than the disc.
    """
    mask = (alpha >= _SEEN).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(mask)
    if width == 0:
        return None
    part = (slice(y, y + height), slice(x, x + width))
    seen, weights = mask[part], np.ascontiguousarray(alpha[part])
    radius = max(3, round(_HAIR / 2 * math.hypot(*alpha.shape)))
    opened = cv2.morphologyEx(seen, cv2.MORPH_OPEN, disc(radius), borderType=cv2.BORDER_REPLICATE)
    solid = np.asarray(opened, np.uint8)
    least = _SMALL * float(weights.sum(dtype=np.float64))
    kept = _without_small(seen, solid, weights, least, 4 * radius)
    solid &= kept
    standing = solid if solid.any() else kept
    left, top, right, bottom = _box(kept, degrees, x, y)
    return Subject(
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        baseline=_box(standing, degrees, x, y)[3],
        mass=turned(*_centre(weights, x, y), degrees),
        cut=_cut_sides(mask, radius),
    )


def turned(x: float, y: float, degrees: float) -> tuple[float, float]:
    """A point turned clockwise around (0, 0), where y points down."""
    turn = math.radians(degrees)
    return x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)


def _without_small(
    seen: NDArray[np.uint8], solid: NDArray[np.uint8], weights: Floats, least: float, strand: int
) -> NDArray[np.uint8]:
    """The parts of `seen` that weigh enough, without the light strands on them."""
    kept = seen.copy()
    thin = seen & ~solid
    labels, sums, lengths = _parts(thin, weights)
    kept[(((sums < least) & (lengths > strand))[labels]) & (thin > 0)] = 0
    labels, sums, _ = _parts(kept, weights)
    light = sums < least
    if light[1:].all():  # a matte of nothing but small parts
        return seen
    kept[light[labels]] = 0
    return kept


def _parts(
    mask: NDArray[np.uint8], weights: Floats
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int32]]:
    """The parts' numbers (H, W), the sums of their weights, and the longer sides of their boxes. Part 0 is the rest."""
    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    sums = np.bincount(labels.ravel(), weights.ravel(), count).astype(np.float64)
    lengths = facts[:, (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT)].max(axis=1)
    return np.asarray(labels, np.int32), sums, np.asarray(lengths, np.int32)


def _box(mask: NDArray[np.uint8], degrees: float, x: int, y: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a turned mask whose first pixel is at (x, y)."""
    if not degrees:
        left, top, width, height = cv2.boundingRect(mask)
        return float(x + left), float(y + top), float(x + left + width), float(y + top + height)
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    turn = math.radians(degrees)
    xs = x + np.concatenate([first, first, last, last])
    ys = y + np.concatenate([rows, rows + 1, rows, rows + 1])
    across, down = xs * math.cos(turn) - ys * math.sin(turn), xs * math.sin(turn) + ys * math.cos(turn)
    return float(across.min()), float(down.min()), float(across.max()), float(down.max())


def _centre(weights: Floats, x: int, y: int) -> tuple[float, float]:
    across, down = weights.sum(axis=0, dtype=np.float64), weights.sum(axis=1, dtype=np.float64)
    total = across.sum()
    return (
        x + float((across * (np.arange(len(across)) + 0.5)).sum() / total),
        y + float((down * (np.arange(len(down)) + 0.5)).sum() / total),
    )


def _cut_sides(mask: NDArray[np.uint8], least: int) -> tuple[str, ...]:
    sides = {"top": mask[0], "bottom": mask[-1], "left": mask[:, 0], "right": mask[:, -1]}
    return tuple(name for name, side in sides.items() if np.count_nonzero(side) > least)
