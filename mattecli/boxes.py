"""Boxes: rectangles of a map's pixels, the windows that must be read for them, and covers of scattered cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Edges(NamedTuple):
    """Which sides of a window are sides of the whole map: there a convolution pads with zeros.

    At any other side the window has a halo, of which each convolution uses up its reach.
    """

    top: bool = True
    bottom: bool = True
    left: bool = True
    right: bool = True


WHOLE = Edges()


class Box(NamedTuple):
    """Rows top … bottom - 1 and columns left … right - 1 of a map."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Indices of its rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grow(self, margin: int) -> Box:
        """The box with a margin, which may reach over the map's sides."""
        return Box(self.top - margin, self.bottom + margin, self.left - margin, self.right + margin)

    def finer(self, factor: int) -> Box:
        """The same box on a map with `factor` times as many rows and columns."""
        return Box(*(side * factor for side in self))

    def coarser(self, factor: int) -> Box:
        """The smallest box that holds this one on a map with `factor` times fewer rows and columns."""
        return Box(self.top // factor, -(-self.bottom // factor), self.left // factor, -(-self.right // factor))

    def clip(self, height: int, width: int) -> Box:
        """The part of the box that lies on a map of that size."""
        return Box(max(self.top, 0), min(self.bottom, height), max(self.left, 0), min(self.right, width))

    def within(self, outer: Box) -> Box:
        """This box, counted from the top left corner of `outer`."""
        return Box(self.top - outer.top, self.bottom - outer.top, self.left - outer.left, self.right - outer.left)


def tiles(height: int, width: int, side: int) -> Iterator[Box]:
    """Boxes of `side` pixels, less at the right and bottom, that cover a map row by row."""
    yield from _grid(height, width, side, side)


def strips(height: int, width: int, side: int, step: int) -> Iterator[Box]:
    """Boxes of about `side`² pixels that cover a map: of its whole width as long as they are not too low for that.

    Their sides lie on multiples of `step`. A strip lies in memory in one piece and has no halo at its left and right.
    """
    lowest = max(step, side // 8)
    columns = -(-width * lowest // side**2)
    across = _round_up(-(-width // columns), step)
    yield from _grid(height, width, max(step, side**2 // across // step * step), across)


def _grid(height: int, width: int, rows: int, columns: int) -> Iterator[Box]:
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield Box(top, min(top + rows, height), left, min(left + columns, width))


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def cover(cells: NDArray[np.bool_], *, margin: float, overhead: float) -> list[Box]:
    """Boxes of cells that together hold all that are set, chosen so that working on them costs little.

    A box of h × w cells costs (h + 2 · margin) · (w + 2 · margin) + overhead: its pixels with their halo, and what a
    call costs however small. Starting from the box around all, each is cut in two, straight through, as long as the
    best cut saves anything; each half shrinks to the cells it holds. Boxes do not overlap.
    """
    return list(_split(cells, Box(0, cells.shape[0], 0, cells.shape[1]), margin, overhead))


def _split(cells: NDArray[np.bool_], box: Box, margin: float, overhead: float) -> Iterator[Box]:
    inside = cells[box.slices]
    if not inside.any():
        return
    top, bottom = _span(np.flatnonzero(inside.any(1)))
    left, right = _span(np.flatnonzero(inside.any(0)))
    box = Box(box.top + top, box.top + bottom, box.left + left, box.left + right)
    inside = cells[box.slices]
    cost = (box.height + 2 * margin) * (box.width + 2 * margin) + overhead
    gain_rows, cut_row = _best_cut(inside, cost, margin, overhead)
    gain_columns, cut_column = _best_cut(inside.T, cost, margin, overhead)
    if max(gain_rows, gain_columns) <= 0:
        yield box
    elif gain_rows >= gain_columns:
        yield from _split(cells, box._replace(bottom=box.top + cut_row), margin, overhead)
        yield from _split(cells, box._replace(top=box.top + cut_row), margin, overhead)
    else:
        yield from _split(cells, box._replace(right=box.left + cut_column), margin, overhead)
        yield from _split(cells, box._replace(left=box.left + cut_column), margin, overhead)


def _best_cut(cells: NDArray[np.bool_], cost: float, margin: float, overhead: float) -> tuple[float, int]:
    """What the best cut between two rows saves, and before which row it lies."""
    if len(cells) < 2:
        return 0.0, 0
    above = _costs(cells, margin, overhead)[:-1]  # of rows 0 … n for each n
    below = _costs(cells[::-1], margin, overhead)[::-1][1:]
    gains = cost - above - below
    best = int(np.argmax(gains))
    return float(gains[best]), best + 1


def _costs(cells: NDArray[np.bool_], margin: float, overhead: float) -> NDArray[np.float64]:
    """The cost of the shrunk box around the first n + 1 rows, for each n."""
    seen = np.logical_or.accumulate(cells, axis=0)
    filled = seen.any(1)
    left = np.argmax(seen, axis=1)
    right = seen.shape[1] - np.argmax(seen[:, ::-1], axis=1)
    rows = np.arange(len(cells))
    occupied = cells.any(1)
    last = np.maximum.accumulate(np.where(occupied, rows, -1))
    first = int(np.argmax(occupied)) if occupied.any() else 0
    cost = (last - first + 1 + 2 * margin) * (right - left + 2 * margin) + overhead
    return np.where(filled, cost, 0.0)


def _span(places: NDArray[np.intp]) -> tuple[int, int]:
    """The first place and one past the last."""
    return int(places[0]), int(places[-1]) + 1
