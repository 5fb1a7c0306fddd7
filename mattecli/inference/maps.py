"""Maps of the run in tiles: stored, or computed on demand.

A map is anything with `get(box)`. Arrays belong to the backend. Levels count halvings of the padded image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from mattecli.geometry import WHOLE, Box, Edges
from mattecli.inference.backend import Backend

Array = Any  # of the backend


class NetworkInput(Protocol):
    """The padded photo and trimap; `mattecli.network.inputs.Picture` is one."""

    height: int
    width: int

    def get(self, box: Box) -> tuple[NDArray[Any], ...]:
        """The arrays of that box that the stage `normalise` reads, as NumPy arrays."""
        ...


class Map(Protocol):
    """Something that gives any box of a map as an array (1, C, h, w)."""

    level: int

    def get(self, box: Box) -> Array:
        """The array of a box that lies on the map."""
        ...


@dataclass(frozen=True)
class Read:
    """What a stage reads of another map: the output's box at that map's level, and `reach` pixels around it."""

    source: Map
    reach: int = 0

    def window(self, box: Box, level: int) -> Box:
        """The box to read for an output's box; it may reach beyond the map."""
        finer = level - self.source.level
        box = box.finer(2**finer) if finer >= 0 else box.coarser(2**-finer)
        return box.grow(self.reach)


class StoredMap:
    """A map in memory, or the piece of a map that begins at `origin`."""

    def __init__(self, backend: Backend, array: Array, level: int, *, origin: tuple[int, int] = (0, 0)) -> None:
        self.array, self.level, self.origin = array, level, origin
        self._backend = backend

    def _place(self, box: Box) -> tuple[slice, slice]:
        top, left = self.origin
        return slice(box.top - top, box.bottom - top), slice(box.left - left, box.right - left)

    def get(self, box: Box) -> Array:
        """The array of that box, as a view."""
        rows, columns = self._place(box)
        return self.array[..., rows, columns]

    def put(self, box: Box, piece: Array) -> None:
        """Fill a box with `piece`; raises OutOfMemoryError."""
        self._backend.put(self.get(box), piece)


class ComputedMap:
    """A map that a stage of the network computes from other maps on demand; it remembers the last box."""

    def __init__(
        self, run: Callable[..., Array], level: int, size: tuple[int, int], reads: Sequence[Read], *extra: Array
    ) -> None:
        self.level = level
        self._run, self._size, self._reads, self._extra = run, size, reads, extra
        self._box, self._array = Box(0, 0, 0, 0), None

    def get(self, box: Box) -> Array:
        """The array of that box, cut from the last array if that holds it."""
        last = self._box
        if not (
            last.top <= box.top and box.bottom <= last.bottom and last.left <= box.left and box.right <= last.right
        ):
            self.forget()
            self._array, self._box = self.compute(box)
        rows, columns = box.within(self._box).slices
        return self._array[..., rows, columns]  # type: ignore[index]

    def forget(self) -> None:
        """Free the last array."""
        self._box, self._array = Box(0, 0, 0, 0), None

    def compute(self, box: Box) -> tuple[Array, Box]:
        """The array of a box, and the box itself: a side where a window reaches beyond the map moves to the map's side.

        The edge flag tells the stage to pad there.
        """
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
        # at a side of the map that no window crosses, the stage needs no padding
        return self._run(*arrays, *self._extra, edges=Edges(*edges)), box

    def _size_of(self, other: Map) -> tuple[int, int]:
        return self._size[0] >> other.level, self._size[1] >> other.level


@dataclass(frozen=True)
class TiledAffinity:
    """The affinity of a predictor, as `mattecli.ops.affinity.Affinity`, but with s as a map of any size."""

    s: Map
    p_down: Array
    p_up: Array


class NormalisedInput:
    """The network's input, normalised window by window."""

    level = 0

    def __init__(self, backend: Backend, source: NetworkInput) -> None:
        self.backend, self.source = backend, source

    def get(self, box: Box) -> Array:
        return self.backend.run("normalise", *map(self.backend.array, self.source.get(box)), edges=WHOLE)
