import numpy as np
import pytest

from mattecli.training.data.foregrounds.canvas import Canvas, coverage, faded, line

SIZE = 64


@pytest.mark.parametrize("degrees", [3, 20, 45, 80])
@pytest.mark.parametrize("width", [0.25, 0.4, 0.7, 1.0, 1.5, 2.0, 5.0])
def test_a_strand_covers_what_its_width_says(width: float, degrees: float) -> None:
    angle, length = np.radians(degrees), 50.0
    ahead = np.array([np.cos(angle), np.sin(angle)])
    path = np.array([32.0, 32.0]) + np.linspace(-0.5, 0.5, 20)[:, None] * length * ahead
    areas = []
    for shift in np.linspace(0, 1, 7):
        canvas = Canvas(SIZE)
        canvas.ribbons(path[None] + shift, np.full((1, 20), width), np.ones((1, 3)))
        areas.append(canvas.picture()[..., 3].sum())
    assert np.mean(areas) / length == pytest.approx(width, rel=0.05, abs=0.02)


@pytest.mark.parametrize("width", [0.3, 0.5, 0.7, 1.0])
def test_a_level_strand_has_a_multiple_of_a_quarter_near_its_width(width: float) -> None:
    canvas = Canvas(SIZE)
    path = np.stack([np.linspace(4, 60, 20), np.full(20, 30.1)], 1)
    canvas.ribbons(path[None], np.full((1, 20), width), np.ones((1, 3)))
    drawn = canvas.picture()[:, 20:40, 3].sum(0).mean()
    assert drawn == pytest.approx(round(4 * drawn) / 4, abs=0.02)
    assert abs(drawn - width) < 0.26


def test_a_gap_between_strands_stays_open() -> None:
    canvas = Canvas(SIZE)
    rows = np.array([30.0, 34.0])  # of 3 pixels each, with one between them
    paths = np.stack([np.broadcast_to(np.linspace(4, 60, 20), (2, 20)), np.repeat(rows[:, None], 20, 1)], 2)
    canvas.ribbons(paths, np.full((2, 20), 3.0), np.ones((2, 3)))
    between = 1 - canvas.picture()[31:34, 20:40, 3]
    assert between.sum(0).mean() == pytest.approx(1, abs=0.05)


def test_a_polygon_is_an_eighth_of_a_pixel_too_large_on_each_side() -> None:
    square = np.array([[10.3, 12.1], [20.3, 12.1], [20.3, 22.1], [10.3, 22.1]])
    canvas = Canvas(SIZE)
    canvas.polygon(square, (1.0, 1.0, 1.0))
    for drawn in (canvas.picture()[..., 3], coverage(SIZE, [square])):
        assert drawn.sum() == pytest.approx(10.25**2, rel=0.005)


@pytest.mark.parametrize("degrees", [0, 20, 45, 90])
@pytest.mark.parametrize("width", [0.3, 0.7, 1.0, 1.6, 4.0])
def test_a_line_covers_what_its_width_says_wherever_it_lies(width: float, degrees: float) -> None:
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    angle = np.radians(degrees)
    areas = []
    for shift in np.linspace(0, 1, 9):
        distance = np.abs(np.cos(angle) * (x - 32 - shift) + np.sin(angle) * (y - 32 - shift)).astype(np.float32)
        covered = line(distance, np.float32(width / 2))
        assert covered.min() >= 0
        assert covered.max() <= 1
        areas.append(covered[8:-8, 8:-8].sum() / 48 * max(np.cos(angle), np.sin(angle)))
    assert np.mean(areas) == pytest.approx(width, rel=0.05)
    assert np.max(areas) - np.min(areas) < 0.12 * max(width, 1)


def test_strands_that_lie_together_let_less_light_through_than_one() -> None:
    size = 5 * SIZE
    picture = np.zeros((size, size, 4), np.float32)
    picture[:, 50] = 1  # one strand
    picture[:, 150:250] = 1  # many
    shown = faded(picture, np.full((size, size), np.float32(0.4)))
    assert shown[160, 50, 3] < 0.5
    assert shown[160, 200, 3] > 0.98
    np.testing.assert_array_equal(shown[..., 0], shown[..., 3])
    assert not shown[:, 300:].any()


def test_a_lock_with_some_gaps_lets_no_light_through_where_it_covers() -> None:
    size = 5 * SIZE
    picture = np.ones((size, size, 4), np.float32)
    picture[:, ::25] = 0
    shown = faded(picture, np.full((size, size), np.float32(0.4)))
    assert shown[160, 12::25, 3].min() > 0.995
    assert not shown[:, ::25].any()
