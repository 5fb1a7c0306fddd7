"""Distances to a trimap's edge, where a threshold makes a band.

They are int16 in sixteenths of a pixel: above 0 in the foreground, below 0 in the background, 0 where the trimap
is unknown. They reach from the middle of a pixel to the middle of the nearest one with another label. They are rounded
away from 0, so a comparison with a whole number of pixels is exact.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import Box, tiles
from mattecli.server.tiles import TILE, Grid, Index, Tile, uniform
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN
from mattecli.trimaps.clean import depth

STEPS = 16  # of a pixel
FAR = np.int16(2**15 - 1)  # further than the reach
WIDEST = 2000  # pixels; more does not fit into 16 bits


def signed_distance(trimap: NDArray[np.uint8], reach: int) -> Iterator[tuple[Index, Tile]]:
    """The distances of a trimap, (H, W) of 0, 128 and 255, by tile. From `reach` pixels on they are `FAR`."""
    grid = Grid(*trimap.shape)
    for block in tiles(grid.height, grid.width, 2 * TILE):
        window = block.grow(reach + 1).clip(grid.height, grid.width)
        labels = trimap[window.slices]
        distance = _in_window(labels, block.within(window), reach)
        for index in grid.over(block):
            yield index, distance[grid.box(index).within(block).slices]


def labels_of(distance: Tile, inside: int, outside: int) -> NDArray[np.uint8]:
    """Labels from distances: unknown from `inside` pixels in the foreground to `outside` pixels in the background."""
    labels = np.full(distance.shape, UNKNOWN, np.uint8)
    labels[distance > inside * STEPS] = FOREGROUND
    labels[distance < -outside * STEPS] = BACKGROUND
    return labels


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
