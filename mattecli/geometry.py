"""Boxes: rectangles of a map's pixels, the windows that must be read for them, and covers of scattered cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


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
