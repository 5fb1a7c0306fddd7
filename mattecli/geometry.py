"""Boxes of pixels, and which sides of a window are edges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Edges(NamedTuple):
    """Which sides of a window are sides of the whole map: edges. There a convolution pads with zeros.

    At the other sides, the inner ones, the window has a halo. Each convolution uses up its own reach of the halo.
    """

    top: bool = True
    bottom: bool = True
    left: bool = True
    right: bool = True


WHOLE = Edges()


class Box(NamedTuple):
    """The rows from top to bottom - 1 and the columns from left to right - 1 of a map."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """The number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """The number of columns."""
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns, as indices of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grow(self, margin: int) -> Box:
        """The box with a margin around it; it may reach beyond the map."""
        return Box(self.top - margin, self.bottom + margin, self.left - margin, self.right + margin)

    def finer(self, factor: int) -> Box:
        """The same place on a map with `factor` times as many rows and columns."""
        return Box(*(side * factor for side in self))

    def coarser(self, factor: int) -> Box:
        """The smallest box that holds this place on a map with `factor` times fewer rows and columns."""
        return Box(self.top // factor, -(-self.bottom // factor), self.left // factor, -(-self.right // factor))

    def clip(self, height: int, width: int) -> Box:
        """The part of the box that lies on a map of that size."""
        return Box(max(self.top, 0), min(self.bottom, height), max(self.left, 0), min(self.right, width))

    def moved(self, down: int, right: int) -> Box:
        """The box so many rows farther down and columns farther to the right."""
        return Box(self.top + down, self.bottom + down, self.left + right, self.right + right)

    def within(self, outer: Box) -> Box:
        """This box relative to the top left corner of `outer`."""
        return self.moved(-outer.top, -outer.left)


def tiles(height: int, width: int, side: int) -> Iterator[Box]:
    """Boxes of `side`² pixels that cover a map row by row; those at the right and bottom may be smaller."""
    yield from _grid(height, width, side, side)


def strips(height: int, width: int, side: int, step: int) -> Iterator[Box]:
    """Boxes of about `side`² pixels that cover a map. They have the map's whole width unless that makes them too low.

    Their sides lie on multiples of `step`. A strip is contiguous in memory and has no halo at its left and right.
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
