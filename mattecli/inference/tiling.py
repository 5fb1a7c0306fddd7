"""The exact run in tiles, in windows that fit the memory.

It gives the alpha of the whole image. The network is not local: pools and norms read whole maps (see
`network/affinity.py`). So each of its four predictors first makes a pass over all tiles to gather its statistics. Only
then can the next maps be computed, tile by tile again. Between passes only small maps are stored: those from a quarter
of the size down, and the affinities. Each pass computes the larger maps anew, unless `keep` is set. The decoder then
runs only where an unknown pixel needs it.

`maps.py` has the maps that pull what they read from each other. Arrays belong to the backend; this module knows neither
frameworks nor files. Levels count halvings: level 0 is the padded image, level 2 a quarter of its height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import WHOLE, Box, strips, tiles
from mattecli.inference.backend import Backend
from mattecli.inference.covers import cover
from mattecli.inference.maps import (
    Array,
    ComputedMap,
    Map,
    NetworkInput,
    NormalisedInput,
    Read,
    StoredMap,
    TiledAffinity,
)
from mattecli.inference.plan import estimate
from mattecli.spec import BINS, DILATIONS, GROUPS, STRIDE

CELL = 8  # rows and columns of a cell, in pixels of the padded image; the decoder's boxes consist of cells
DEEP = 2  # factor by which tiles of the deep layers are larger: their maps are small and their halos wide

# The passes in order, as `progress` names them. Pools and moments are the statistics of predictors 0 to 3.
PASSES = (
    *("pool 0", "moments 0", "pool 1", "moments 1", "encode", "layer 1"),
    *("pool 2", "moments 2", "stage 2", "layer 2", "pool 3", "moments 3", "stage 3", "layer 3", "pool 4", "ASPP"),
    *("decode 4", "decode 3", "decode"),
)

Progress = Callable[[str, int, int], None]  # called with the pass, the tiles done and the number of tiles
Statistics = dict[str, tuple[NDArray[np.floating], ...]]  # pools and moments, by their passes


def run(
    backend: Backend,
    source: NetworkInput,
    unknown: NDArray[np.bool_],
    *,
    tile: int,
    keep: int = 0,
    host: bool = False,
    progress: Progress | None = None,
    statistics: Statistics | None = None,
) -> NDArray[np.floating]:
    """Raw alpha (height, width) of the padded image, correct wherever `unknown` is set; elsewhere it may be zero.

    `unknown` has the size of the source. That size and `tile` are multiples of STRIDE. Every tile gives the same alpha
    up to rounding. An empty `statistics` is filled with those of this run. A filled one takes their place, so that a
    window of a picture is run with the statistics of the whole. Raises OutOfMemoryError when the device's memory is too
    small.
    """
    the_run = _Run(backend, source, tile, keep, host, progress or (lambda *_: None), statistics)
    alpha = the_run.alpha(unknown)
    if statistics is not None:
        statistics.update(the_run.found)
    return alpha


class _Run:
    """The run of one image: its passes in order, each over the tiles of its level."""

    def __init__(
        self,
        backend: Backend,
        source: NetworkInput,
        tile: int,
        keep: int,
        host: bool,
        progress: Progress,
        statistics: Statistics | None,
    ) -> None:
        self.known, self.found = dict(statistics or {}), Statistics()
        self.backend, self.keep, self.host, self.progress = backend, keep, host, progress
        self.tile, self.deep_tile = tile, DEEP * tile
        self.size = source.height, source.width
        self.limit = estimate(backend, *self.size, tile=tile, keep=keep, host=host).bytes
        self.x = NormalisedInput(backend, source)

    def alpha(self, unknown: NDArray[np.bool_]) -> NDArray[np.floating]:
        cells = _cells(unknown)
        l1, l0p, affinity0, affinity1 = self._encode()
        d3 = self._deep(l1, cells)
        del l1
        return self._decode(cells, d3, l0p, affinity0, affinity1)

    # The passes

    def _encode(self) -> tuple[StoredMap, Map, TiledAffinity, TiledAffinity]:
        """The large layers: l1 at a quarter of the size, and what the decoder needs to return to full size."""
        l0: Map = self._computed("layer0", 0, [Read(self.x, 3)])
        fills: list[tuple[StoredMap, Map]] = []
        if self.keep > 1:
            stored = self._new_map(0, 64)
            fills.append((stored, l0))
            l0 = stored
        affinity0 = self._affinity(0, l0, self.tile, fills=fills)
        halved = self._down(affinity0, l0)
        s0 = self._new_map(1, 1, exact=True)
        fills = [(s0, affinity0.s)]
        affinity0 = replace(affinity0, s=s0)
        l0p: Map = self._down(affinity0, l0)
        if self.keep:
            l0p = self._new_map(1, 64)
            fills.insert(0, (l0p, halved))
        affinity1 = self._affinity(1, l0p, self.tile, pooled=halved, fills=fills)
        quarter = self._new_map(2, 64)
        s1 = self._new_map(2, 1, exact=True)
        self._fill("encode", self.tile, (quarter, self._down(affinity1, l0p)), (s1, affinity1.s))
        l1 = self._store("layer 1", 2, 64, self._computed("layer1", 2, [Read(quarter, 6)]))
        return l1, l0p, affinity0, replace(affinity1, s=s1)

    def _deep(self, l1: StoredMap, cells: NDArray[np.bool_]) -> StoredMap:
        """From l1 down to a sixteenth of the size and back to d3, the decoder's map at a quarter."""
        d4, affinity2 = self._deepest(l1, cells)
        d3 = self._new_map(2, 64, zero=True)
        self._fill_cells("decode 3", d3, self._decoded(3, d4, affinity2, l1), _dilate(cells, 3))
        return d3

    def _deepest(self, l1: StoredMap, cells: NDArray[np.bool_]) -> tuple[StoredMap, TiledAffinity]:
        """From l1 to d4 at an eighth of the size, and the affinity of layer 2."""
        l2, affinity2 = self._down_block(2, l1, 128)
        l3, affinity3 = self._down_block(3, l2, 256)
        mean = self.backend.array(self._pool("pool 4", l3, self.deep_tile)[1])
        aspp = self._store("ASPP", 4, 256, self._computed("aspp", 4, [Read(l3, max(DILATIONS))], mean))
        d4 = self._new_map(3, 128, zero=True)
        self._fill_cells("decode 4", d4, self._decoded(4, aspp, affinity3, l2), _dilate(cells, 6))
        return d4, affinity2

    def _down_block(self, number: int, x: StoredMap, channels: int) -> tuple[StoredMap, TiledAffinity]:
        """Encoder layer 2 or 3, which halves its map x: its output and its affinity."""
        level = x.level
        head: Map = self._computed(f"head{number}", level, [Read(x, 1)])
        fills: list[tuple[StoredMap, Map]] = []
        if self.keep or number == 3:  # the head of layer 3 is not larger than the maps to come
            stored = self._new_map(level, channels)
            fills.append((stored, head))
            head = stored
        affinity = self._affinity(number, head, self.deep_tile, fills=fills)
        s = self._new_map(level + 1, 1, exact=True)
        first = self._new_map(level + 1, channels)
        tail = self._computed(f"tail{number}", level + 1, [Read(self._down(affinity, head), 1), Read(x)])
        self._fill(f"stage {number}", self.deep_tile, (first, tail), (s, affinity.s))
        rest = self._computed(f"layer{number}", level + 1, [Read(first, 6)])
        return self._store(f"layer {number}", level + 1, channels, rest), replace(affinity, s=s)

    def _decode(
        self, cells: NDArray[np.bool_], d3: StoredMap, l0p: Map, affinity0: TiledAffinity, affinity1: TiledAffinity
    ) -> NDArray[np.floating]:
        """The two upper levels of the decoder, tile by tile, on boxes that hold the unknown cells."""
        alpha = self._new_map(0, 1, exact=True, zero=True)
        d2 = self._decoded(2, d3, affinity1, l0p)
        height, width = cells.shape
        boxes = [box for box in tiles(height, width, self.tile // CELL) if cells[box.slices].any()]
        for box in self._each("decode", boxes):
            needed = np.zeros_like(cells)
            needed[box.slices] = cells[box.slices]
            around = box.grow(1).clip(height, width)
            piece = self._new_map(1, 64, zero=True, box=around.finer(CELL // 2))
            for near in self._cover(_dilate(needed[around.slices], 1), around, CELL // 2):
                piece.put(near, d2.get(near))
            d1 = self._decoded(1, piece, affinity0, self.x)
            for inside in self._cover(needed[around.slices], around, CELL):
                alpha.put(inside, d1.get(inside))
        return self.backend.host(alpha.array)[0, 0]  # type: ignore[no-any-return]

    # Statistics

    def _affinity(
        self,
        number: int,
        f: Map,
        side: int,
        *,
        pooled: Map | None = None,
        fills: Sequence[tuple[StoredMap, Map]] = (),
    ) -> TiledAffinity:
        """The affinity of the map f, from two passes over it.

        The first pass reads `pooled` instead of f, an equal map, and fills the stored maps of `fills`.
        """
        pools, mean = self._pool(f"pool {number}", pooled or f, side, fills=fills)
        u, v, p_down, p_up = self._call(f"factors{number}", pools, mean)
        groups = self._moments(f"moments {number}", self._computed("moments", f.level + 1, [Read(f, 2)], u, v), side)
        s = self._computed(f"affinity{number}", f.level + 1, [Read(f, 2)], u, v, self.backend.array(groups))
        return TiledAffinity(s, p_down, p_up)

    def _pool(
        self, label: str, f: Map, side: int, *, fills: Sequence[tuple[StoredMap, Map]] = ()
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The 6×6 pool of f, (1, C, 6, 6), and its mean, (1, C, 1, 1)."""
        if label in self.known:
            if fills:
                self._fill(label, side, *fills)
            return self.known[label]  # type: ignore[return-value]
        height, width = self._size(f.level)
        row_bins, column_bins = _bins(height), _bins(width)
        found = []
        for box in self._each(label, self._tiles(f.level, side)):
            for stored, source in fills:
                stored.put(box, source.get(box))
            rows, spread = _distinct(row_bins[:, box.slices[0]])
            found.append((spread, self._call("pool", f.get(box), rows, column_bins[:, box.slices[1]])))
        pieces = [spread @ self.backend.host(piece) for spread, piece in found]
        sums = np.sum(pieces, axis=0, dtype=np.float64)  # (C, 7, 7)
        sums /= np.outer(row_bins.sum(1), column_bins.sum(1))
        self.found[label] = pool, mean = sums[None, :, :BINS, :BINS], sums[None, :, BINS:, BINS:]
        return pool, mean

    def _moments(self, label: str, moments: ComputedMap, side: int) -> NDArray[np.floating]:
        """The moments of each group over a whole map."""
        if label in self.known:
            return self.known[label][0]
        found, counts = [], []
        for core in self._each(label, self._tiles(moments.level, side)):
            values, box = moments.compute(core)
            if box != core:  # the tile has grown, so its statistics would count positions twice
                raise AssertionError((box, core))
            found.append(values)
            counts.append(core.height * core.width)
        groups = _merge(np.stack([self.backend.host(values) for values in found]), np.array(counts))
        self.found[label] = (groups,)
        return groups

    # Maps

    def _computed(self, name: str, level: int, reads: Sequence[Read], *extra: Array) -> ComputedMap:
        return ComputedMap(partial(self.backend.run, name), level, self.size, reads, *extra)

    def _down(self, affinity: TiledAffinity, f: Map) -> ComputedMap:
        return self._computed("down", f.level + 1, [Read(f, 2), Read(affinity.s)], affinity.p_down)

    def _decoded(self, level: int, d: Map, affinity: TiledAffinity, source: Map) -> ComputedMap:
        """A level of the decoder. Its two blocks have a reach of 2 each; level 1 has two more convolutions."""
        reach = 6 if level == 1 else 4
        reads = [Read(d, reach // 2 + 1), Read(affinity.s, reach // 2), Read(source, reach + 1)]
        return self._computed(f"decode{level}", level - 1, reads, affinity.p_up)

    def _new_map(
        self, level: int, channels: int, *, exact: bool = False, zero: bool = False, box: Box | None = None
    ) -> StoredMap:
        """A new map; `zero` if not all of it will be filled."""
        whole = box is None
        box = box or Box(0, self._size(level)[0], 0, self._size(level)[1])
        host = self.host and whole
        array = self.backend.empty(channels, box.height, box.width, exact=exact, host=host, zero=zero)
        return StoredMap(self.backend, array, level, origin=(box.top, box.left))

    def _store(self, label: str, level: int, channels: int, source: Map) -> StoredMap:
        """Compute a map once, tile by tile, and store it."""
        stored = self._new_map(level, channels)
        self._fill(label, self.tile if level < 2 else self.deep_tile, (stored, source))
        return stored

    def _fill(self, label: str, side: int, *fills: tuple[StoredMap, Map]) -> None:
        """Fill stored maps of one level in one pass."""
        for box in self._each(label, self._tiles(fills[0][0].level, side)):
            for stored, source in fills:
                stored.put(box, source.get(box))

    def _fill_cells(self, label: str, stored: StoredMap, source: Map, cells: NDArray[np.bool_]) -> None:
        """Fill a stored map of the decoder where `cells` are set."""
        scale = 2 if stored.level == 3 else 1  # at an eighth of the size, a box of one cell could not be halved
        cells = _coarsen(cells, scale)
        height, width = cells.shape
        for tile in self._each(label, list(tiles(height, width, self.deep_tile // CELL // scale))):
            for box in self._cover(cells[tile.slices], tile, (CELL * scale) >> stored.level):
                stored.put(box, source.get(box))

    # Boxes

    def _size(self, level: int) -> tuple[int, int]:
        return self.size[0] >> level, self.size[1] >> level

    def _tiles(self, level: int, side: int) -> list[Box]:
        return list(strips(*self._size(level), side >> level, STRIDE >> level))

    def _cover(self, cells: NDArray[np.bool_], place: Box, scale: int) -> list[Box]:
        """Boxes that cover `cells`, which begin at the corner of `place`, on a map with `scale` pixels a cell."""
        overhead = self.backend.costs.call_overhead_pixels / CELL**2
        boxes = cover(cells, margin=1.0, overhead=overhead)
        return [
            Box(box.top + place.top, box.bottom + place.top, box.left + place.left, box.right + place.left).finer(scale)
            for box in boxes
        ]

    def _each(self, label: str, boxes: Sequence[Box]) -> Iterator[Box]:
        for done, box in enumerate(boxes):
            self.progress(label, done, len(boxes))
            yield box
            self.backend.tidy(self.limit)
        self.progress(label, len(boxes), len(boxes))

    def _call(self, stage: str, *arrays: Array) -> Any:
        """Run a stage that has no windows."""
        arrays = tuple(self.backend.array(a) if isinstance(a, np.ndarray) else a for a in arrays)
        return self.backend.run(stage, *arrays, edges=WHOLE)


def _bins(size: int) -> NDArray[np.float32]:
    """The bins of an adaptive pool as rows of 0 and 1, then all pixels as the last row: (7, size)."""
    matrix = np.ones((BINS + 1, size), np.float32)
    for i in range(BINS):
        matrix[i] = 0
        matrix[i, i * size // BINS : -(-(i + 1) * size // BINS)] = 1
    return matrix


def _distinct(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The distinct rows that are not zero, and the matrix that turns them into all rows again.

    A tile lies in one or two bins, so this saves most of the sums.
    """
    found = np.unique(rows[rows.any(1)], axis=0)
    return found, (rows[:, None] == found).all(2).astype(rows.dtype)


def _merge(moments: NDArray[np.floating], counts: NDArray[np.int_]) -> NDArray[np.float64]:
    """Mean and variance of each group (4, GROUPS) from tiles' means and variances (n, 4, C) over `counts` positions.

    Rows 0 and 1 belong to a_u, rows 2 and 3 to a_v. Sums are float64, because float32 would drift.
    """
    tiles_in_all, _, channels = moments.shape
    grouped = moments.astype(np.float64).reshape(tiles_in_all, 2, 2, GROUPS, channels // GROUPS)
    weights = (counts / counts.sum() / grouped.shape[-1])[:, None, None, None]
    means, variances = grouped[:, :, 0], grouped[:, :, 1]  # (n, 2, GROUPS, C / GROUPS)
    mean = (weights * means).sum((0, -1))
    variance = (weights * (variances + (means - mean[..., None]) ** 2)).sum((0, -1))
    return np.stack([mean, variance], axis=1).reshape(4, GROUPS)


def _cells(unknown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The cells that hold an unknown pixel."""
    return _coarsen(unknown, CELL)


def _coarsen(cells: NDArray[np.bool_], factor: int) -> NDArray[np.bool_]:
    height, width = cells.shape
    return np.asarray(cells.reshape(height // factor, factor, width // factor, factor).any((1, 3)))


def _dilate(cells: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """The cells that are set, and all cells within `reach` rows and columns of them."""
    for axis in (0, 1):
        grown = cells.copy()
        for shift in range(1, reach + 1):
            ahead, behind = [slice(None)] * 2, [slice(None)] * 2
            ahead[axis], behind[axis] = slice(shift, None), slice(None, -shift)
            grown[tuple(ahead)] |= cells[tuple(behind)]
            grown[tuple(behind)] |= cells[tuple(ahead)]
        cells = grown
    return cells
