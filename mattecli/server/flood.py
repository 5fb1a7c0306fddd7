"""Connected pixels of one label, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import UsageError
from mattecli.geometry import Box
from mattecli.server.tiles import Grid, Index, Tile, is_uniform, uniform

Mask = NDArray[np.bool_]


def flood(tile_at: Callable[[Index], Tile], grid: Grid, x: int, y: int) -> Iterator[tuple[Index, Mask]]:
    """The pixels that four neighbours connect with (x, y), all of one label, by tile.

    `tile_at` gives labels, (h, w). Only tiles that the region reaches are asked for. Raises `UsageError` for a pixel
    outside of the picture, and for a region over half of the picture: the label around it has a gap somewhere.
    """
    if not (0 <= x < grid.width and 0 <= y < grid.height):
        raise UsageError(f"the pixel ({x}, {y}) lies outside of the picture, which is {grid.width}×{grid.height}")
    seed = next(iter(grid.over(_pixel(x, y))))
    box = grid.box(seed)
    label = tile_at(seed)[y - box.top, x - box.left]
    pieces: dict[Index, NDArray[np.uint16]] = {}
    sizes: dict[Index, NDArray[np.int64]] = {}
    reached: dict[Index, set[int]] = {}
    area = 0

    def numbered(index: Index) -> NDArray[np.uint16]:
        """The pieces of the label in a tile by number, and 0 where the tile has another label."""
        if index not in pieces:
            pieces[index] = _pieces(tile_at(index), label)
            numbers = pieces[index]
            sizes[index] = (
                np.array([0, numbers.size]) if is_uniform(numbers) and numbers[0, 0] else np.bincount(numbers.ravel())
            )
        return pieces[index]

    waiting = [(seed, int(numbered(seed)[y - box.top, x - box.left]))]
    reached[seed] = {waiting[0][1]}
    while waiting:
        index, piece = waiting.pop()
        area += int(sizes[index][piece])
        if 2 * area > grid.height * grid.width:
            raise UsageError("the fill would cover over half of the picture; close the gap in the border, or fill less")
        for beside, own, other in _sides(index, grid):
            for number in _touching(numbered(index)[own], piece, numbered(beside)[other]):
                if number not in reached.setdefault(beside, set()):
                    reached[beside].add(number)
                    waiting.append((beside, number))
    for index, found in reached.items():
        if found:
            numbers = pieces[index]
            chosen = np.zeros(len(sizes[index]), np.bool_)
            chosen[list(found)] = True
            yield (
                index,
                uniform(np.True_, numbers.shape) if chosen[1:].all() and not sizes[index][0] else chosen[numbers],
            )


def _touching(own: NDArray[np.uint16], piece: int, other: NDArray[np.uint16]) -> list[int]:
    """The pieces on the other side of a border that touch a piece on this side."""
    if own.strides == other.strides == (0,):  # both tiles have one piece or none
        return [int(other[0])] if other[0] else []
    touching = other[own == piece]
    return list(set(touching[touching > 0].tolist()))


def _pixel(x: int, y: int) -> Box:
    return Box(y, y + 1, x, x + 1)


def _pieces(tile: Tile, label: int) -> NDArray[np.uint16]:
    if is_uniform(tile):
        return uniform(np.uint16(tile[0, 0] == label), tile.shape)
    same = np.ascontiguousarray(tile == label).view(np.uint8)
    # At most every second pixel of a tile is a piece of its own, so 16 bits hold all numbers.
    return np.asarray(cv2.connectedComponents(same, connectivity=4, ltype=cv2.CV_16U)[1], np.uint16)


_Side = tuple[Index, tuple[int | slice, int | slice], tuple[int | slice, int | slice]]


def _sides(index: Index, grid: Grid) -> Iterator[_Side]:
    """The neighbours of a tile, with the pixels of the tile and of the neighbour that touch."""
    row, column = index
    every = slice(None)
    if row > 0:
        yield Index(row - 1, column), (0, every), (-1, every)
    if row + 1 < grid.rows:
        yield Index(row + 1, column), (-1, every), (0, every)
    if column > 0:
        yield Index(row, column - 1), (every, 0), (every, -1)
    if column + 1 < grid.columns:
        yield Index(row, column + 1), (every, -1), (every, 0)
