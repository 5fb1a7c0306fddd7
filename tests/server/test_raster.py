from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mattecli.errors import UsageError
from mattecli.server.raster import Spans, covered, polygon_spans, stroke_spans
from mattecli.server.tiles import Grid
from tests.server.make_strokes import FILE, POLYGONS, STROKES
from tests.server.oracle import Mask, polygon_mask, stroke_mask
from tests.support.node import run_node_tests

GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))
GRID = Grid(GOLDEN["height"], GOLDEN["width"])


def runs_of(spans: Spans) -> list[list[int]]:
    return np.stack(spans, axis=1).tolist()


def dense(spans: Spans, grid: Grid) -> Mask:
    mask = np.zeros((grid.height, grid.width), np.bool_)
    for index, part in covered(spans, grid):
        mask[grid.box(index).slices] |= part
    return mask


@pytest.mark.parametrize("case", GOLDEN["strokes"], ids=lambda case: case["name"])
def test_a_stroke_has_exactly_the_pixels_of_the_shared_file(case: dict[str, Any]) -> None:
    assert runs_of(stroke_spans(np.array(case["points"]), GRID)) == case["runs"]


@pytest.mark.parametrize("case", GOLDEN["polygons"], ids=lambda case: case["name"])
def test_a_polygon_has_exactly_the_pixels_of_the_shared_file(case: dict[str, Any]) -> None:
    assert runs_of(polygon_spans(np.array(case["points"]), GRID)) == case["runs"]


def test_the_shared_file_has_all_named_cases_and_random_ones() -> None:
    for kind, named in (("strokes", STROKES), ("polygons", POLYGONS)):
        names = [case["name"] for case in GOLDEN[kind]]
        assert [name for name in names if not name.startswith("random")] == list(named)
        assert len(names) > len(named)
        assert sum(bool(case["runs"]) for case in GOLDEN[kind]) > len(named) // 2


def test_the_page_paints_exactly_the_pixels_of_the_shared_file() -> None:
    report = run_node_tests(Path(__file__).with_name("raster.test.mjs"))
    assert f"pass {len(GOLDEN['strokes']) + len(GOLDEN['polygons']) + 2}\n" in report


halves = st.integers(-12, 40).map(lambda value: value / 2)
anywhere = st.floats(-6, 20, allow_nan=False)
radii = st.one_of(st.integers(0, 14).map(lambda value: value / 4), st.floats(0, 6, allow_nan=False))
points = st.lists(
    st.one_of(st.tuples(halves, halves, radii), st.tuples(anywhere, anywhere, radii)), min_size=1, max_size=4
)


@given(points)
@example([(1.5, 1.5, 0.0), (0.0, 5e-69, 0.0)])  # through a centre, but for rounding
@settings(max_examples=40, deadline=None)
def test_a_pixel_belongs_to_a_stroke_when_a_disc_along_it_holds_the_centre(path: list[tuple[float, ...]]) -> None:
    grid = Grid(12, 14)
    found, exact = dense(stroke_spans(np.array(path), grid), grid), stroke_mask(path, 12, 14)
    for row, column in np.argwhere(found != exact):
        assert abs(margin(path, column + 0.5, row + 0.5)) < 1e-9, "only rounding may decide otherwise"


def margin(path: list[tuple[float, ...]], x: float, y: float) -> float:
    """The least of |q - p(t)| - r(t), a convex function of t on each piece, by finer and finer grids of t."""
    return min(_least(start, end, x, y) for start, end in list(pairwise(path)) or [(path[0], path[0])])


def _least(start: tuple[float, ...], end: tuple[float, ...], x: float, y: float) -> float:
    low, high, least = 0.0, 1.0, np.inf
    for _ in range(6):
        t = np.linspace(low, high, 1001)
        a, b, r = (p + t * (q - p) for p, q in zip(start, end, strict=True))
        found = np.hypot(a - x, b - y) - r
        at = int(found.argmin())
        low, high, least = t[max(at - 1, 0)], t[min(at + 1, 1000)], min(least, float(found[at]))
    return least


@given(st.lists(st.one_of(st.tuples(halves, halves), st.tuples(anywhere, anywhere)), min_size=2, max_size=7))
@settings(max_examples=40, deadline=None)
def test_a_pixel_belongs_to_a_polygon_when_its_outline_winds_around_the_centre(path: list[tuple[float, ...]]) -> None:
    grid = Grid(12, 14)
    found, exact = dense(polygon_spans(np.array(path), grid), grid), polygon_mask(path, 12, 14)
    for row, column in np.argwhere(found != exact):
        assert abs(to_outline(path, column + 0.5, row + 0.5)) < 1e-9, "only rounding may decide otherwise"


def to_outline(path: list[tuple[float, ...]], x: float, y: float) -> float:
    """The least distance to a point on the outline in the same row."""
    found = [np.inf]
    for (x0, y0), (x1, y1) in zip(path, path[1:] + path[:1], strict=True):
        if y0 != y1 and min(y0, y1) <= y <= max(y0, y1):
            found.append(x0 + (y - y0) * (x1 - x0) / (y1 - y0) - x)
    return float(min(map(abs, found)))


def test_a_long_stroke_over_many_tiles_is_the_union_of_its_parts() -> None:
    grid = Grid(700, 1100)
    t = np.linspace(0, 1, 150)
    path = np.stack([1200 * t - 50, 350 + 330 * np.sin(9 * t), 5 + 60 * t], axis=1)
    parts = [dense(stroke_spans(path[i : i + 2], grid), grid) for i in range(len(path) - 1)]
    assert np.array_equal(dense(stroke_spans(path, grid), grid), np.any(parts, axis=0))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ([[0.0, 0.0, -1.0]], "radius"),
        ([[0.0, np.nan, 1.0]], "finite"),
        ([[0.0, 1e9, 1.0]], "16 million"),
        ([[0.0, 1.0]], "shape"),
        (np.empty((0, 3)), "shape"),
    ],
)
def test_impossible_strokes_are_refused(path: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        stroke_spans(np.array(path), GRID)
