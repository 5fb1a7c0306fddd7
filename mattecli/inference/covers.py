"""Boxes that cover scattered cells of a map at low cost."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import Box


def cover(cells: NDArray[np.bool_], *, margin: float, overhead: float) -> list[Box]:
    """Boxes that together hold all cells that are set, at a low total cost. Boxes do not overlap.

    A box of h × w cells costs (h + 2 · margin) · (w + 2 · margin) + overhead: its area with a halo, and the fixed cost
    of a call. The first box is the one around all cells. A box is cut in two by the straight cut that saves most, as
    long as a cut saves anything; each half shrinks to the cells it holds.
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
    """The cost that the best cut between two rows saves, and the row after that cut."""
    if len(cells) < 2:
        return 0.0, 0
    above = _costs(cells, margin, overhead)[:-1]  # of the rows up to n, for each n
    below = _costs(cells[::-1], margin, overhead)[::-1][1:]
    gains = cost - above - below
    best = int(np.argmax(gains))
    return float(gains[best]), best + 1


def _costs(cells: NDArray[np.bool_], margin: float, overhead: float) -> NDArray[np.float64]:
    """The cost of the smallest box around the cells of the first n + 1 rows, for each n."""
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
    """The first place, and the last place + 1."""
    return int(places[0]), int(places[-1]) + 1
