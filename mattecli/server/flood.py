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

    `tile_at` gives labels, (h, w). Only tiles that the region reaches are asked for. Up to 3 bytes are held for each
    pixel of tiles that have more than one label. Raises `UsageError` for a pixel outside of the picture, and for a
    region over half of the picture: the label around it has a gap somewhere.
    """
    if not (0 <= x < grid.width and 0 <= y < grid.height):
        raise UsageError(f"the pixel ({x}, {y}) lies outside of the picture, which is {grid.width}×{grid.height}")
    seed = next(iter(grid.over(_pixel(x, y))))
    box = grid.box(seed)
    label = tile_at(seed)[y - box.top, x - box.left]
    pieces: dict[Index, NDArray[np.uint16]] = {}
    reached: dict[Index, set[int]] = {}
    most = grid.height * grid.width // 2

    def numbered(index: Index) -> NDArray[np.uint16]:
        """The pieces of the label in a tile by number, and 0 where the tile has another label."""
        if index not in pieces:
            pieces[index] = _pieces(tile_at(index), label)
        return pieces[index]

    waiting = [(seed, int(numbered(seed)[y - box.top, x - box.left]))]
    reached[seed] = {waiting[0][1]}
    area = 0  # of tiles that are reached as a whole
    while waiting and area <= most:
        index, piece = waiting.pop()
        numbers = pieces[index]
        area += numbers.size if is_uniform(numbers) else 0
        for beside, own, other in _sides(index, grid):
            for number in _touching(numbers[own], piece, numbered(beside)[other]):
                known = reached.setdefault(beside, set())
                if number not in known:
                    known.add(number)
                    waiting.append((beside, number))
    masks = {index: _chosen(pieces[index], numbers) for index, numbers in reached.items()} if area <= most else {}
    if area > most or sum(mask.size if is_uniform(mask) else np.count_nonzero(mask) for mask in masks.values()) > most:
        raise UsageError(
            "the fill would cover more than half of the picture; close the gap in the outline, or fill less"
        )
    yield from masks.items()


def _chosen(pieces: NDArray[np.uint16], numbers: set[int]) -> Mask:
    """Where the pieces with these numbers are."""
    if is_uniform(pieces):
        return uniform(np.True_, pieces.shape)
    if len(numbers) == 1:
        return np.asarray(pieces == next(iter(numbers)))
    chosen = np.zeros(int(pieces.max()) + 1, np.bool_)
    chosen[list(numbers)] = True
    return chosen[pieces]


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
