from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mattecli.geometry import Box, strips, tiles
from mattecli.inference.covers import cover

CELLS = arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24)))


def cost(box: Box, margin: float, overhead: float) -> float:
    return (box.height + 2 * margin) * (box.width + 2 * margin) + overhead


@given(cells=CELLS, margin=st.floats(0, 3), overhead=st.floats(0, 50))
def test_a_cover_holds_every_cell_once_and_costs_no_more_than_one_box(
    cells: np.ndarray, margin: float, overhead: float
) -> None:
    boxes = cover(cells, margin=margin, overhead=overhead)
    times = np.zeros(cells.shape, int)
    for box in boxes:
        times[box.slices] += 1
        assert cells[box.slices].any()
    assert times.max(initial=0) <= 1
    assert (times[cells] == 1).all()
    if cells.any():
        rows, columns = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
        around = Box(rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)
        assert sum(cost(box, margin, overhead) for box in boxes) <= cost(around, margin, overhead) + 1e-6


def test_a_cover_cuts_where_that_saves_work_and_only_there() -> None:
    cells = np.zeros((20, 20), bool)
    cells[:3, :3] = cells[17:, 17:] = True
    assert sorted(cover(cells, margin=1, overhead=0)) == [Box(0, 3, 0, 3), Box(17, 20, 17, 20)]
    assert cover(cells, margin=1, overhead=1000) == [Box(0, 20, 0, 20)]
    assert cover(np.zeros((4, 4), bool), margin=1, overhead=0) == []


def test_a_cover_takes_as_many_stripes_as_there_are() -> None:
    cells = np.zeros((4 * 1100, 2), bool)
    cells[::4] = True
    assert cover(cells, margin=1, overhead=0) == [Box(row, row + 1, 0, 2) for row in range(0, 4400, 4)]


@pytest.mark.parametrize("size", [(16, 16), (48, 1920), (1088, 1920), (2000, 64), (112, 10_000)])
@pytest.mark.parametrize("side", [64, 128, 512])
def test_strips_and_tiles_cover_a_map_once_on_multiples_of_the_step(size: tuple[int, int], side: int) -> None:
    for found in (list(strips(*size, side, 16)), list(tiles(*size, side))):
        times = np.zeros(size, int)
        for box in found:
            times[box.slices] += 1
            assert box.top % 16 == box.left % 16 == 0
            assert box.height * box.width <= 1.3 * side**2
        assert (times == 1).all()


def test_strips_have_the_whole_width_unless_that_makes_them_low() -> None:
    assert all(box.width == 1920 for box in strips(1088, 1920, 512, 16))
    assert all(box.height >= 64 for box in list(strips(1600, 10_000, 512, 16)) if box.bottom < 1600)


def test_a_box_on_coarser_and_finer_maps_holds_the_same_place() -> None:
    assert Box(3, 9, 4, 8).coarser(2) == Box(1, 5, 2, 4)
    assert Box(1, 5, 2, 4).finer(2) == Box(2, 10, 4, 8)
    assert Box(-2, 20, 3, 40).clip(16, 32) == Box(0, 16, 3, 32)
