"""The exact run in tiles: what the whole image would give, from windows that fit the memory.

The network is not local: pools and norms read whole maps (see `network/kernels.py`). So each of its four predictors
first looks at all tiles to gather its statistics, and only then the next maps can be computed, tile by tile again. What
is kept between the passes is small: the maps from a quarter of the size down, and the affinities. The larger ones are
computed anew in each pass, unless `keep` is set. The decoder then runs only where an unknown pixel needs it.

A map here is anything with `get(box)`: an array that is kept, or a part of the network that pulls what it reads from
other maps. Arrays belong to the backend; this module knows neither frameworks nor files. Levels count halvings: level 0
is the padded image, level 2 a quarter of its height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import WHOLE, Box, Edges, strips, tiles
from mattecli.inference.backend import Backend
from mattecli.inference.covers import cover
from mattecli.spec import STRIDE
from mattecli.system.memory import show_bytes

GROUPS = 32  # of the group norms
BINS = 6  # of the pools, in each direction
CELL = 8  # the decoder's boxes are made of cells of that many pixels, in the padded image
DEEP = 2  # tiles of the deep part are larger by that factor: its maps are small, its halos wide

Array = Any  # of the backend
# What is kept at the peak, for each pixel of the image: values of maps, and bytes of affinities, alpha and the photo.
KEPT_VALUES = 11
KEPT_BYTES = 11.5
KEEP_VALUES = (0, 20, 84)  # by `keep`: layer0's output has 64, halved 16; stage 2's head comes where less else is kept

# What `progress` is told, in order: pools and moments are the statistics of the predictors 0 to 3.
PASSES = (
    *("pool 0", "moments 0", "pool 1", "moments 1", "encode", "layer 1"),
    *("pool 2", "moments 2", "stage 2", "layer 2", "pool 3", "moments 3", "stage 3", "layer 3", "pool 4", "ASPP"),
    *("decode 4", "decode 3", "decode"),
)

Progress = Callable[[str, int, int], None]  # called with the pass, the tiles done and the tiles in all


class Source(Protocol):
    """The padded image."""

    height: int
    width: int

    def get(self, box: Box) -> tuple[NDArray[Any], ...]:
        """What the part `normalise` reads of that box, as NumPy arrays."""
        ...


class Map(Protocol):
    """Something that gives any box of a map as an array (1, C, h, w)."""

    level: int

    def get(self, box: Box) -> Array:
        """The array of that box, which must lie on the map."""
        ...


@dataclass(frozen=True)
class Read:
    """What a part reads of another map: the output's box brought to that map's level, and `reach` pixels around it."""

    source: Map
    reach: int = 0

    def window(self, box: Box, level: int) -> Box:
        """The box to read for an output's box, which may lie over the map's sides."""
        finer = level - self.source.level
        box = box.finer(2**finer) if finer >= 0 else box.coarser(2**-finer)
        return box.grow(self.reach)


class Kept:
    """A map that is held in memory, or the piece of one that begins at `origin`."""

    def __init__(self, array: Array, level: int, *, origin: tuple[int, int] = (0, 0)) -> None:
        self.array, self.level, self.origin = array, level, origin

    def _place(self, box: Box) -> tuple[slice, slice]:
        top, left = self.origin
        return slice(box.top - top, box.bottom - top), slice(box.left - left, box.right - left)

    def get(self, box: Box) -> Array:
        """A view."""
        rows, columns = self._place(box)
        return self.array[..., rows, columns]

    def put(self, box: Box, piece: Array) -> None:
        """Fill a box."""
        rows, columns = self._place(box)
        self.array[..., rows, columns] = piece


class Computed:
    """A map that a part of the network computes from others when asked; it remembers the last box."""

    def __init__(
        self, run: Callable[..., Array], level: int, size: tuple[int, int], reads: Sequence[Read], *extra: Array
    ) -> None:
        self.level = level
        self._run, self._size, self._reads, self._extra = run, size, reads, extra
        self._box, self._array = Box(0, 0, 0, 0), None

    def get(self, box: Box) -> Array:
        """The array of that box."""
        last = self._box
        if not (
            last.top <= box.top and box.bottom <= last.bottom and last.left <= box.left and box.right <= last.right
        ):
            self.forget()
            self._array, self._box = self.compute(box)
        rows, columns = box.within(self._box).slices
        return self._array[..., rows, columns]  # type: ignore[index]

    def forget(self) -> None:
        """Let the last array go."""
        self._box, self._array = Box(0, 0, 0, 0), None

    def compute(self, box: Box) -> tuple[Array, Box]:
        """The array of a box and which box that is: a side whose windows reach over the map's becomes the map's own."""
        edges = [False] * 4
        for read in self._reads:
            window = read.window(box, self.level)
            height, width = self._size_of(read.source)
            over = (window.top < 0, window.bottom > height, window.left < 0, window.right > width)
            edges = [a or b for a, b in zip(edges, over, strict=True)]
        height, width = self._size_of(self)
        sides = zip(edges, (0, height, 0, width), box, strict=True)
        box = Box(*(side if edge else inner for edge, side, inner in sides))
        windows = [read.window(box, self.level).clip(*self._size_of(read.source)) for read in self._reads]
        arrays = [read.source.get(window) for read, window in zip(self._reads, windows, strict=True)]
        # a side that no window reaches over, though it is the map's own, has all it needs inside
        return self._run(*arrays, *self._extra, edges=Edges(*edges)), box

    def _size_of(self, other: Map) -> tuple[int, int]:
        return self._size[0] >> other.level, self._size[1] >> other.level


@dataclass(frozen=True)
class Affinity:
    """The kernels of a predictor: as in `network/kernels.py`, with s a map that gives any box."""

    s: Map
    p_down: Array
    p_up: Array


@dataclass(frozen=True)
class Plan:
    """How an image is run: in tiles of `tile`² pixels, each pass over as many as it takes.

    `keep` holds more maps that the passes would else compute again and again: 1 layer0's halved output and the head of
    stage 2, 2 also layer0's whole output; they take KEEP_VALUES a pixel. `host` has all maps in the host's memory, not
    the device's. `bytes` is the peak it is estimated to take of the device's memory.
    """

    tile: int
    keep: int
    host: bool
    bytes: int
    whole: bool  # one tile holds all of the image

    @property
    def label(self) -> int | str:
        """The tile as `--tile` would name it: `off` if one holds all of the image."""
        return "off" if self.whole else self.tile

    def __str__(self) -> str:
        """Its tile and its memory, in words."""
        how = "the whole image at once" if self.whole else f"tiles of {self.tile}"
        return f"{how}, about {show_bytes(self.bytes)}" + (", maps in the host's memory" if self.host else "")


def estimate(backend: Backend, height: int, width: int, *, tile: int, keep: int = 0, host: bool = False) -> Plan:
    """The plan with those choices, for an image of that (padded) size."""
    pixels = height * width
    kept = 0 if host else pixels * (KEPT_VALUES * backend.value_bytes + KEPT_BYTES)
    kept += pixels * KEEP_VALUES[keep] * backend.value_bytes
    needed = int(backend.fixed_bytes + kept + backend.tile_bytes * min(tile**2, pixels))
    return Plan(tile, keep, host, needed, whole=tile >= max(height, width))


def run(
    backend: Backend,
    source: Source,
    unknown: NDArray[np.bool_],
    *,
    tile: int,
    keep: int = 0,
    host: bool = False,
    progress: Progress | None = None,
) -> NDArray[np.floating]:
    """Raw alpha (height, width) of the padded image, right wherever `unknown` is set; elsewhere it may be zero.

    `unknown` has the size of the source, which is a multiple of STRIDE in both directions, as `tile` is. Any tile gives
    the same alpha but for rounding. Raises OutOfMemoryError when the device's memory does not suffice.
    """
    return _Run(backend, source, tile, keep, host, progress or (lambda *_: None)).alpha(unknown)


class _Run:
    """One image's run: the passes in their order, each over the tiles of its level."""

    def __init__(self, backend: Backend, source: Source, tile: int, keep: int, host: bool, progress: Progress) -> None:
        self.backend, self.keep, self.host, self.progress = backend, keep, host, progress
        self.tile, self.deep_tile = tile, DEEP * tile
        self.size = source.height, source.width
        self.limit = estimate(backend, *self.size, tile=tile, keep=keep, host=host).bytes
        self.x = _Planes(backend, source)

    def alpha(self, unknown: NDArray[np.bool_]) -> NDArray[np.floating]:
        cells = _cells(unknown)
        l1, l0p, affinity0, affinity1 = self._encode()
        d3 = self._deep(l1, cells)
        del l1
        return self._decode(cells, d3, l0p, affinity0, affinity1)

    # The passes

    def _encode(self) -> tuple[Kept, Map, Affinity, Affinity]:
        """The full-size part: l1 at a quarter of the size, and what the decoder needs to go back to the whole."""
        l0: Map = self._part("layer0", 0, [Read(self.x, 3)])
        fills: list[tuple[Kept, Map]] = []
        if self.keep > 1:
            kept = self._kept(0, 64)
            fills.append((kept, l0))
            l0 = kept
        affinity0 = self._affinity(0, l0, self.tile, fills=fills)
        halved = self._down(affinity0, l0)
        s0 = self._kept(1, 1, exact=True)
        fills = [(s0, affinity0.s)]
        affinity0 = replace(affinity0, s=s0)
        l0p: Map = self._down(affinity0, l0)
        if self.keep:
            l0p = self._kept(1, 64)
            fills.insert(0, (l0p, halved))
        affinity1 = self._affinity(1, l0p, self.tile, pooled=halved, fills=fills)
        quarter = self._kept(2, 64)
        s1 = self._kept(2, 1, exact=True)
        self._fill("encode", self.tile, (quarter, self._down(affinity1, l0p)), (s1, affinity1.s))
        l1 = self._store("layer 1", 2, 64, self._part("layer1", 2, [Read(quarter, 6)]))
        return l1, l0p, affinity0, replace(affinity1, s=s1)

    def _deep(self, l1: Kept, cells: NDArray[np.bool_]) -> Kept:
        """From l1 down to a sixteenth of the size and back to d3, the decoder's map at a quarter."""
        d4, affinity2 = self._deepest(l1, cells)
        d3 = self._kept(2, 64, zero=True)
        self._fill_cells("decode 3", d3, self._decoded(3, d4, affinity2, l1), _dilate(cells, 3))
        return d3

    def _deepest(self, l1: Kept, cells: NDArray[np.bool_]) -> tuple[Kept, Affinity]:
        """From l1 to d4 at an eighth of the size, and stage 2's affinity."""
        l2, affinity2 = self._stage(2, l1, 128)
        l3, affinity3 = self._stage(3, l2, 256)
        mean = self.backend.array(self._pool("pool 4", l3, self.deep_tile)[1])
        aspp = self._store("ASPP", 4, 256, self._part("aspp", 4, [Read(l3, 18)], mean))
        d4 = self._kept(3, 128, zero=True)
        self._fill_cells("decode 4", d4, self._decoded(4, aspp, affinity3, l2), _dilate(cells, 6))
        return d4, affinity2

    def _stage(self, number: int, x: Kept, channels: int) -> tuple[Kept, Affinity]:
        """A residual stage that halves its map x: its output and its affinity."""
        level = x.level
        head: Map = self._part(f"head{number}", level, [Read(x, 1)])
        fills: list[tuple[Kept, Map]] = []
        if self.keep or number == 3:  # stage 3's is no larger than what is to come
            kept = self._kept(level, channels)
            fills.append((kept, head))
            head = kept
        affinity = self._affinity(number, head, self.deep_tile, fills=fills)
        s = self._kept(level + 1, 1, exact=True)
        first = self._kept(level + 1, channels)
        tail = self._part(f"tail{number}", level + 1, [Read(self._down(affinity, head), 1), Read(x)])
        self._fill(f"stage {number}", self.deep_tile, (first, tail), (s, affinity.s))
        rest = self._part(f"layer{number}", level + 1, [Read(first, 6)])
        return self._store(f"layer {number}", level + 1, channels, rest), replace(affinity, s=s)

    def _decode(
        self, cells: NDArray[np.bool_], d3: Kept, l0p: Map, affinity0: Affinity, affinity1: Affinity
    ) -> NDArray[np.floating]:
        """The two upper levels, tile by tile, on boxes that hold the unknown cells."""
        alpha = self._kept(0, 1, exact=True, zero=True)
        d2 = self._decoded(2, d3, affinity1, l0p)
        height, width = cells.shape
        boxes = [box for box in tiles(height, width, self.tile // CELL) if cells[box.slices].any()]
        for box in self._each("decode", boxes):
            needed = np.zeros_like(cells)
            needed[box.slices] = cells[box.slices]
            around = box.grow(1).clip(height, width)
            piece = self._kept(1, 64, zero=True, box=around.finer(CELL // 2))
            for part in self._cover(_dilate(needed[around.slices], 1), around, CELL // 2):
                piece.put(part, d2.get(part))
            d1 = self._decoded(1, piece, affinity0, self.x)
            for part in self._cover(needed[around.slices], around, CELL):
                alpha.put(part, d1.get(part))
        return self.backend.host(alpha.array)[0, 0]  # type: ignore[no-any-return]

    # Statistics

    def _affinity(
        self,
        number: int,
        f: Map,
        side: int,
        *,
        pooled: Map | None = None,
        fills: Sequence[tuple[Kept, Map]] = (),
    ) -> Affinity:
        """The affinity of the map f, from two passes over it.

        `pooled` is what the first pass reads in place of f, equal to it, and `fills` are kept maps which it fills.
        """
        pools, mean = self._pool(f"pool {number}", pooled or f, side, fills=fills)
        u, v, p_down, p_up = self._call(f"factors{number}", pools, mean)
        moments = self._part("moments", f.level + 1, [Read(f, 2)], u, v)
        found, counts = [], []
        for core in self._each(f"moments {number}", self._tiles(f.level + 1, side)):
            values, box = moments.compute(core)
            if box != core:  # a tile that its window reaches over: its statistics would count positions twice
                raise AssertionError((box, core))
            found.append(values)
            counts.append(core.height * core.width)
        groups = _merge(np.stack([self.backend.host(values) for values in found]), np.array(counts))
        s = self._part(f"affinity{number}", f.level + 1, [Read(f, 2)], u, v, self.backend.array(groups))
        return Affinity(s, p_down, p_up)

    def _pool(
        self, label: str, f: Map, side: int, *, fills: Sequence[tuple[Kept, Map]] = ()
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The 6×6 pool of f, (1, C, 6, 6), and its mean, (1, C, 1, 1)."""
        height, width = self._size(f.level)
        row_bins, column_bins = _bins(height), _bins(width)
        parts = []
        for box in self._each(label, self._tiles(f.level, side)):
            for kept, source in fills:
                kept.put(box, source.get(box))
            rows, spread = _distinct(row_bins[:, box.slices[0]])
            parts.append((spread, self._call("pool", f.get(box), rows, column_bins[:, box.slices[1]])))
        sums = np.sum(
            [spread @ self.backend.host(part) for spread, part in parts], axis=0, dtype=np.float64
        )  # (C, 7, 7)
        sums /= np.outer(row_bins.sum(1), column_bins.sum(1))
        return sums[None, :, :BINS, :BINS], sums[None, :, BINS:, BINS:]

    # Maps

    def _part(self, name: str, level: int, reads: Sequence[Read], *extra: Array) -> Computed:
        return Computed(partial(self.backend.run, name), level, self.size, reads, *extra)

    def _down(self, affinity: Affinity, f: Map) -> Computed:
        return self._part("down", f.level + 1, [Read(f, 2), Read(affinity.s)], affinity.p_down)

    def _decoded(self, level: int, d: Map, affinity: Affinity, source: Map) -> Computed:
        """A level of the decoder: two blocks of reach 2, and the last level's two convolutions more."""
        reach = 6 if level == 1 else 4
        reads = [Read(d, reach // 2 + 1), Read(affinity.s, reach // 2), Read(source, reach + 1)]
        return self._part(f"decode{level}", level - 1, reads, affinity.p_up)

    def _kept(
        self, level: int, channels: int, *, exact: bool = False, zero: bool = False, box: Box | None = None
    ) -> Kept:
        """A map to fill: of zeros where not all of it will be."""
        whole = box is None
        box = box or Box(0, self._size(level)[0], 0, self._size(level)[1])
        host = self.host and whole
        array = self.backend.empty(channels, box.height, box.width, exact=exact, host=host, zero=zero)
        return Kept(array, level, origin=(box.top, box.left))

    def _store(self, label: str, level: int, channels: int, source: Map) -> Kept:
        """Compute a map once, tile by tile, and keep it."""
        kept = self._kept(level, channels)
        self._fill(label, self.tile if level < 2 else self.deep_tile, (kept, source))
        return kept

    def _fill(self, label: str, side: int, *fills: tuple[Kept, Map]) -> None:
        """Fill kept maps of one level in one pass."""
        for box in self._each(label, self._tiles(fills[0][0].level, side)):
            for kept, source in fills:
                kept.put(box, source.get(box))

    def _fill_cells(self, label: str, kept: Kept, source: Map, cells: NDArray[np.bool_]) -> None:
        """Fill a kept map of the decoder where `cells` are set."""
        scale = 2 if kept.level == 3 else 1  # at an eighth of the size a box of single cells could not be halved
        cells = _coarsen(cells, scale)
        height, width = cells.shape
        for tile in self._each(label, list(tiles(height, width, self.deep_tile // CELL // scale))):
            for box in self._cover(cells[tile.slices], tile, (CELL * scale) >> kept.level):
                kept.put(box, source.get(box))

    # Boxes

    def _size(self, level: int) -> tuple[int, int]:
        return self.size[0] >> level, self.size[1] >> level

    def _tiles(self, level: int, side: int) -> list[Box]:
        return list(strips(*self._size(level), side >> level, STRIDE >> level))

    def _cover(self, cells: NDArray[np.bool_], place: Box, scale: int) -> list[Box]:
        """Boxes on a map of `scale` pixels a cell, for those cells of the picture that begin where `place` does."""
        overhead = self.backend.call_pixels / CELL**2
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

    def _call(self, part: str, *arrays: Array) -> Any:
        """Run a part that knows no windows."""
        arrays = tuple(self.backend.array(a) if isinstance(a, np.ndarray) else a for a in arrays)
        return self.backend.run(part, *arrays, edges=WHOLE)


class _Planes:
    """The network's input, normalised window by window."""

    level = 0

    def __init__(self, backend: Backend, source: Source) -> None:
        self.backend, self.source = backend, source

    def get(self, box: Box) -> Array:
        return self.backend.run("normalise", *map(self.backend.array, self.source.get(box)), edges=WHOLE)


def _bins(size: int) -> NDArray[np.float32]:
    """Which rows belong to each bin of an adaptive pool, and in the last row all of them: (7, size) of 0 and 1."""
    matrix = np.ones((BINS + 1, size), np.float32)
    for i in range(BINS):
        matrix[i] = 0
        matrix[i, i * size // BINS : -(-(i + 1) * size // BINS)] = 1
    return matrix


def _distinct(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The rows that are not zero, each once, and the matrix that makes all of them of these.

    A tile lies in one or two bins, so that there is less to sum.
    """
    found = np.unique(rows[rows.any(1)], axis=0)
    return found, (rows[:, None] == found).all(2).astype(rows.dtype)


def _merge(moments: NDArray[np.floating], counts: NDArray[np.int_]) -> NDArray[np.float64]:
    """Mean and variance of each group, (4, GROUPS), of tiles' means and variances (n, 4, C) for so many positions each.

    Rows 0 and 1 belong to a_u, 2 and 3 to a_v. In float64: running sums in float32 would drift.
    """
    tiles_in_all, _, channels = moments.shape
    grouped = moments.astype(np.float64).reshape(tiles_in_all, 2, 2, GROUPS, channels // GROUPS)
    weights = (counts / counts.sum() / grouped.shape[-1])[:, None, None, None]
    means, variances = grouped[:, :, 0], grouped[:, :, 1]  # (n, 2, GROUPS, C / GROUPS)
    mean = (weights * means).sum((0, -1))
    variance = (weights * (variances + (means - mean[..., None]) ** 2)).sum((0, -1))
    return np.stack([mean, variance], axis=1).reshape(4, GROUPS)


def _cells(unknown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which cells hold an unknown pixel."""
    return _coarsen(unknown, CELL)


def _coarsen(cells: NDArray[np.bool_], factor: int) -> NDArray[np.bool_]:
    height, width = cells.shape
    return np.asarray(cells.reshape(height // factor, factor, width // factor, factor).any((1, 3)))


def _dilate(cells: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """The cells that are set, and all within `reach` of them in both directions."""
    for axis in (0, 1):
        grown = cells.copy()
        for shift in range(1, reach + 1):
            ahead, behind = [slice(None)] * 2, [slice(None)] * 2
            ahead[axis], behind[axis] = slice(shift, None), slice(None, -shift)
            grown[tuple(ahead)] |= cells[tuple(behind)]
            grown[tuple(behind)] |= cells[tuple(ahead)]
        cells = grown
    return cells
