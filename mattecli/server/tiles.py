"""Maps in tiles of 256², which are packed and replaced whole."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import Box

TILE = 256
CACHE_BYTES = 32 * 2**20

Tile = NDArray[Any]


class Index(NamedTuple):
    """The row and the column of a tile in its grid."""

    row: int
    column: int


@dataclass(frozen=True)
class Grid:
    """The tiles of a picture of that size, row by row; those at the right and bottom may be smaller."""

    height: int
    width: int

    @property
    def rows(self) -> int:
        """The number of tiles from top to bottom."""
        return -(-self.height // TILE)

    @property
    def columns(self) -> int:
        """The number of tiles from left to right."""
        return -(-self.width // TILE)

    def __iter__(self) -> Iterator[Index]:
        return (Index(row, column) for row in range(self.rows) for column in range(self.columns))

    def box(self, index: Index) -> Box:
        """The pixels of a tile."""
        top, left = index.row * TILE, index.column * TILE
        return Box(top, min(top + TILE, self.height), left, min(left + TILE, self.width))

    def over(self, box: Box) -> Iterator[Index]:
        """The tiles that share pixels with a box."""
        inside = box.clip(self.height, self.width)
        if inside.height <= 0 or inside.width <= 0:
            return iter(())
        inner = inside.coarser(TILE)
        return (
            Index(row, column) for row in range(inner.top, inner.bottom) for column in range(inner.left, inner.right)
        )


class Layer:
    """A map in tiles. All tiles are kept packed, and those used last also as arrays, up to `CACHE_BYTES`.

    A tile is never written to: `put` replaces it. So a tile that a caller holds stays as it is, and so does a `copy`.
    """

    def __init__(self, grid: Grid, value: np.generic) -> None:
        self.grid = grid
        self.dtype = value.dtype
        self._packed = [value.tobytes()] * (grid.rows * grid.columns)
        self._arrays: OrderedDict[int, Tile] = OrderedDict()
        self._held = 0

    def __getitem__(self, index: Index) -> Tile:
        """A tile, (h, w). It must not be written to."""
        place = self._place(index)
        if (found := self._arrays.get(place)) is not None:
            self._arrays.move_to_end(place)
            return found
        box = self.grid.box(index)
        tile = unpack(self._packed[place], self.dtype, (box.height, box.width))
        if not is_uniform(tile):  # one that is costs nothing to make
            self._arrays[place] = tile
            self._held += tile.nbytes
            while self._held > CACHE_BYTES:
                self._held -= self._arrays.popitem(last=False)[1].nbytes
        return tile

    def packed(self, index: Index) -> bytes:
        """A tile as `pack` gives it."""
        return self._packed[self._place(index)]

    def put(self, index: Index, packed: bytes) -> None:
        """Replace a tile by a packed one."""
        place = self._place(index)
        self._packed[place] = packed
        if (old := self._arrays.pop(place, None)) is not None:
            self._held -= old.nbytes

    def copy(self) -> Layer:
        """The layer as it is now. It shares the packed tiles and costs a list of them."""
        twin = Layer.__new__(Layer)
        twin.grid, twin.dtype, twin._packed = self.grid, self.dtype, self._packed.copy()
        twin._arrays, twin._held = OrderedDict(), 0
        return twin

    def _place(self, index: Index) -> int:
        if not (0 <= index.row < self.grid.rows and 0 <= index.column < self.grid.columns):
            raise IndexError(f"no tile {tuple(index)}")
        return index.row * self.grid.columns + index.column


def uniform(value: np.generic, shape: tuple[int, ...]) -> Tile:
    """A tile that has one value everywhere and takes the memory of one."""
    return np.ndarray(shape, value.dtype, value.tobytes(), strides=(0,) * len(shape))


def is_uniform(tile: Tile) -> bool:
    """Whether a tile was made by `uniform`, also inside `unpack`."""
    return tile.strides == (0, 0)


def pack(tile: Tile) -> bytes:
    """A tile, (h, w) of uint8 or int16, as bytes: its value where it has only one, else compressed.

    Values of int16 are distances, which compress better as differences along rows.
    """
    first = tile.flat[0]
    if is_uniform(tile) or bool((tile == first).all()):
        return bytes(first.tobytes())
    whole = np.ascontiguousarray(tile)
    if tile.dtype == np.int16:
        whole = np.diff(whole, axis=1, prepend=np.int16(0))
    return zlib.compress(whole.tobytes(), 1)


def unpack(packed: bytes, dtype: np.dtype[Any], shape: tuple[int, int]) -> Tile:
    """The tile that was packed. It cannot be written to."""
    if len(packed) == dtype.itemsize:  # zlib's output is never that short
        return uniform(np.frombuffer(packed, dtype)[0], shape)
    tile = np.frombuffer(zlib.decompress(packed), dtype).reshape(shape)
    if dtype == np.int16:
        tile = np.cumsum(tile, axis=1, dtype=np.int16)
        tile.setflags(write=False)
    return tile
