"""Distances to a trimap's edge, where a threshold makes a band.

They are int16 in sixteenths of a pixel: above 0 in the foreground, below 0 in the background, 0 where the trimap
is unknown. They reach from the middle of a pixel to the middle of the nearest one with another label. They are rounded
away from 0, so a comparison with a whole number of pixels is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.geometry import Box, tiles
from mattecli.server.tiles import TILE, Grid, Index, Tile, pack, uniform
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN
from mattecli.trimaps.clean import depth

STEPS = 16  # of a pixel
FAR = np.int16(2**15 - 1)  # further than the reach
WIDEST = 2000  # pixels; more does not fit into 16 bits


@dataclass(frozen=True, eq=False)
class Base:
    """A trimap's distances of up to `reach` pixels, in packed tiles. Further away they are `FAR`."""

    grid: Grid
    reach: int
    tiles: dict[Index, bytes]


def measured(trimap: NDArray[np.uint8], *, reach: int | None = None) -> Base:
    """The distances of a trimap, (H, W) of 0, 128 and 255, for bands of up to `reach` pixels, 2000 at most.

    Without `reach` it is 1 % of the diagonal, and 64 at least. This takes seconds for a large picture, in blocks of
    some megabytes. Raises `InputError` for another shape or other values, and `UsageError` for another reach.
    """
    if trimap.ndim != 2 or trimap.dtype != np.uint8 or not trimap.size:
        raise InputError(f"the base is {trimap.dtype} of shape {trimap.shape}; give uint8 of height × width")
    counts = cv2.calcHist([np.ascontiguousarray(trimap)], [0], None, [256], [0, 256]).ravel()
    if any(counts[value] for value in range(256) if value not in (BACKGROUND, UNKNOWN, FOREGROUND)):
        raise InputError("the base has values other than 0, 128 and 255; read it with `from_values`")
    if reach is None:
        reach = min(max(64, math.ceil(0.01 * math.hypot(*trimap.shape))), WIDEST)
    if not 0 <= reach <= WIDEST:
        raise UsageError(f"a band is 0 to {WIDEST} pixels wide, not {reach}")
    grid = Grid(*trimap.shape)
    return Base(grid, reach, {index: pack(tile) for index, tile in _distances(trimap, grid, reach)})


def labels_of(distance: Tile, inside: int, outside: int) -> NDArray[np.uint8]:
    """Labels from distances: unknown from `inside` pixels in the foreground to `outside` pixels in the background."""
    labels = np.full(distance.shape, UNKNOWN, np.uint8)
    labels[distance > inside * STEPS] = FOREGROUND
    labels[distance < -outside * STEPS] = BACKGROUND
    return labels


def _distances(trimap: NDArray[np.uint8], grid: Grid, reach: int) -> Iterator[tuple[Index, Tile]]:
    for block in tiles(grid.height, grid.width, 2 * TILE):
        window = block.grow(reach + 1).clip(grid.height, grid.width)
        distance = _in_window(trimap[window.slices], block.within(window), reach)
        for index in grid.over(block):
            yield index, distance[grid.box(index).within(block).slices]


def _in_window(labels: NDArray[np.uint8], block: Box, reach: int) -> Tile:
    """The distances in a block of a window that has `reach` pixels around it."""
    own = labels[block.slices]
    first = labels[0, 0]
    if (labels == first).all():
        return uniform({FOREGROUND: FAR, BACKGROUND: -FAR}.get(int(first), np.int16(0)), own.shape)
    distance = np.zeros(own.shape, np.int16)
    for label, sign in ((FOREGROUND, 1), (BACKGROUND, -1)):
        here = own == label
        if here.any():
            to_others = np.ceil(depth(labels == label)[block.slices] * STEPS)
            steps = np.where(to_others > reach * STEPS, FAR, to_others).astype(np.int16)
            distance[here] = sign * steps[here]
    return distance
