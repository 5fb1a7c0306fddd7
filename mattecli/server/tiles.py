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

_PLAIN, _RUNS, _ROWS = b"p", b"r", b"d"  # how a tile is packed; they are stored in journals
_MOST_RUNS = 8192  # more of them take more space than the pixels


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


class Recent:
    """The arrays of tiles that were used last, by place, up to `CACHE_BYTES`. Tiles with one value are not kept."""

    def __init__(self) -> None:
        self._arrays: OrderedDict[Index, Tile] = OrderedDict()
        self._held = 0

    def get(self, index: Index) -> Tile | None:
        """The tile, if it is kept."""
        found = self._arrays.get(index)
        if found is not None:
            self._arrays.move_to_end(index)
        return found

    def keep(self, index: Index, tile: Tile) -> Tile:
        """Keep a tile that was not kept, and give it back."""
        if not is_uniform(tile):
            self._arrays[index] = tile
            self._held += tile.nbytes
            while self._held > CACHE_BYTES:
                self._held -= self._arrays.popitem(last=False)[1].nbytes
        return tile

    def forget(self, index: Index) -> None:
        """A tile has changed."""
        if (old := self._arrays.pop(index, None)) is not None:
            self._held -= old.nbytes


class Layer:
    """A map in tiles. All of them are kept packed, and those used last also as arrays; see `Recent`.

    A tile is never written to: `put` replaces it. So a tile that a caller holds stays as it is, and so does a `copy`.
    """

    def __init__(self, grid: Grid, value: np.generic) -> None:
        self.grid = grid
        self.dtype = value.dtype
        self._packed = [value.tobytes()] * (grid.rows * grid.columns)
        self._recent = Recent()

    def __getitem__(self, index: Index) -> Tile:
        """A tile, (h, w). It must not be written to."""
        packed, found = self.packed(index), self._recent.get(index)
        if found is not None:
            return found
        box = self.grid.box(index)
        return self._recent.keep(index, unpack(packed, self.dtype, (box.height, box.width)))

    def packed(self, index: Index) -> bytes:
        """A tile as `pack` gives it."""
        return self._packed[self._place(index)]

    def put(self, index: Index, packed: bytes) -> None:
        """Replace a tile by a packed one."""
        self._packed[self._place(index)] = packed
        self._recent.forget(index)

    def copy(self) -> Layer:
        """The layer as it is now. It shares the packed tiles and costs a list of them."""
        twin = Layer.__new__(Layer)
        twin.grid, twin.dtype, twin._packed, twin._recent = self.grid, self.dtype, self._packed.copy(), Recent()
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

    Labels are stored as runs where these are few, and distances as differences along rows.
    """
    first = tile[0, 0]
    if is_uniform(tile):
        return bytes(first.tobytes())
    flat = np.ascontiguousarray(tile).reshape(-1)
    if tile.dtype == np.int16:
        if bool((flat == first).all()):
            return bytes(first.tobytes())
        return _ROWS + zlib.compress(np.diff(tile, axis=1, prepend=np.int16(0)).tobytes(), 1)
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if not len(ends):
        return bytes(first.tobytes())
    if len(ends) > _MOST_RUNS:
        return _PLAIN + zlib.compress(flat.tobytes(), 1)
    lengths = np.diff(ends, prepend=0, append=flat.size).astype("<u2")  # at most 65535, as there are two runs
    return _RUNS + zlib.compress(lengths.tobytes() + flat[np.append(0, ends)].tobytes(), 1)


def unpack(packed: bytes, dtype: np.dtype[Any], shape: tuple[int, int]) -> Tile:
    """The tile that was packed. It cannot be written to."""
    if len(packed) == dtype.itemsize:  # the others are longer
        return uniform(np.frombuffer(packed, dtype)[0], shape)
    kind, data = packed[:1], zlib.decompress(packed[1:])
    if kind == _RUNS:
        count = len(data) // 3
        tile = np.repeat(np.frombuffer(data, np.uint8, offset=2 * count), np.frombuffer(data, "<u2", count))
    else:
        tile = np.frombuffer(data, dtype)
    tile = tile.reshape(shape)
    if kind == _ROWS:
        tile = np.cumsum(tile, axis=1, dtype=dtype)
    tile.setflags(write=False)
    return tile
