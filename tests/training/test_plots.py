"""Curves as pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mattecli.training.plots import COLOURS, Panel, Series, draw_panels


def draw(series: Series, path: Path) -> np.ndarray:
    draw_panels([Panel("figures", series)], path)
    return np.asarray(cv2.imread(str(path)))


@pytest.mark.parametrize("count", [1, 6, len(COLOURS) + 2])
def test_every_line_is_drawn_and_named_whatever_their_number(tmp_path: Path, count: int) -> None:
    series: Series = {f"a long name {n}": [(0.0, float(n)), (50.0, float(n))] for n in range(count)}
    series["other"] = [(0.0, 0.0), (100.0, float(count))]  # holds the axes
    before = draw(series, tmp_path / "before.png")
    last = f"a long name {count - 1}"
    shown = {name: line for name, line in series.items() if name != last}
    without = draw(shown, tmp_path / "without.png")
    level = before[40:260, 100:400]  # the left half of the plot, where no name is
    assert (level != without[40:260, 100:400]).any()
    names = (slice(0, 150), slice(500, 960))
    assert (before[names] != without[names]).any()
