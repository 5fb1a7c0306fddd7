"""Boxes that cover scattered cells of a map at low cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import Box


def cover(cells: NDArray[np.bool_], *, margin: float, overhead: float) -> list[Box]:
    """Boxes that together hold all cells that are set, at a low total cost. Boxes do not overlap.

    A box of h × w cells costs (h + 2 · margin) · (w + 2 · margin) + overhead: its area with a halo, and the fixed cost
    of a call. The first box is the one around all cells. A box is cut in two by the straight cut that saves most, as
    long as a cut saves anything; each half shrinks to the cells it holds.
    """
    boxes, waiting = list[Box](), [Box(0, cells.shape[0], 0, cells.shape[1])]
    while waiting:
        box = _shrunk(cells, waiting.pop())
        if box is None:
            continue
        halves = _halves(cells[box.slices], box, margin, overhead)
        if halves:
            waiting += reversed(halves)
        else:
            boxes.append(box)
    return boxes


def _shrunk(cells: NDArray[np.bool_], box: Box) -> Box | None:
    """The smallest box around the cells in `box`; None if it holds none."""
    inside = cells[box.slices]
    if not inside.any():
        return None
    top, bottom = _span(np.flatnonzero(inside.any(1)))
    left, right = _span(np.flatnonzero(inside.any(0)))
    return Box(box.top + top, box.top + bottom, box.left + left, box.left + right)


def _halves(inside: NDArray[np.bool_], box: Box, margin: float, overhead: float) -> list[Box]:
    """The two parts of a box, whose cells are `inside`, by its best cut; none if no cut saves anything."""
    cost = (box.height + 2 * margin) * (box.width + 2 * margin) + overhead
    gain_rows, cut_row = _best_cut(inside, cost, margin, overhead)
    gain_columns, cut_column = _best_cut(inside.T, cost, margin, overhead)
    if max(gain_rows, gain_columns) <= 0:
        return []
    if gain_rows >= gain_columns:
        return [box._replace(bottom=box.top + cut_row), box._replace(top=box.top + cut_row)]
    return [box._replace(right=box.left + cut_column), box._replace(left=box.left + cut_column)]


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
    width, rows = cells.shape[1], np.arange(len(cells))
    occupied = cells.any(1)
    left = np.minimum.accumulate(np.where(occupied, np.argmax(cells, axis=1), width))
    right = width - np.minimum.accumulate(np.where(occupied, np.argmax(cells[:, ::-1], axis=1), width))
    last = np.maximum.accumulate(np.where(occupied, rows, -1))
    first = int(np.argmax(occupied))
    cost = (last - first + 1 + 2 * margin) * (right - left + 2 * margin) + overhead
    return np.where(last >= 0, cost, 0.0)


def _span(places: NDArray[np.intp]) -> tuple[int, int]:
    """The first place, and the last place + 1."""
    return int(places[0]), int(places[-1]) + 1
