from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.compositing.finishing import finish
from mattecli.errors import UsageError
from mattecli.geometry import Box
from mattecli.imaging.image import Image
from mattecli.server import looks as module
from mattecli.server.finish import Finish
from mattecli.server.looks import Looks
from mattecli.server.mattes import Found, Mattes
from mattecli.server.tiles import Index
from mattecli.server.windowed import Windowed
from tests.support.pictures import disc

HEIGHT, WIDTH = 512, 640
FRONT, BACK = np.array([220, 60, 30], np.float32), np.array([20, 90, 200], np.float32)


def alpha() -> NDArray[np.float32]:
    return (disc(HEIGHT, WIDTH, radius=180, softness=30) / np.float32(255)).astype(np.float32)


class Shown:
    """The looks of a disc, and the boxes of the photo that were asked for."""

    def __init__(self, **fields: Any) -> None:
        self.asked: list[Box] = []
        self.mattes = Mattes(HEIGHT, WIDTH)
        share = alpha()[..., None]
        self.photo = np.rint(share * FRONT + (1 - share) * BACK).astype(np.uint8)
        whole = {"kind": "exact", "box": Box(0, HEIGHT, 0, WIDTH), "alpha": alpha()}
        self.mattes.keep(Found(run=1, sequence=1, **{**whole, **fields}))
        self.looks = Looks(self.mattes, self.pixels)

    def pixels(self, box: Box) -> NDArray[np.uint8]:
        self.asked.append(box)
        return self.photo[box.slices]

    def whole(self, look: str, level: int = 0, **options: Any) -> NDArray[np.uint8]:
        """All tiles of a level put together."""
        grid, made = self.mattes.grids[level], Finish(**options).output_options()
        first = getattr(self.looks, look)(1, level, Index(0, 0), made)
        result = np.empty((grid.height, grid.width, *first.shape[2:]), np.uint8)
        for index in grid:
            result[grid.box(index).slices] = getattr(self.looks, look)(1, level, index, made)
        return result


@pytest.mark.parametrize("options", [{"choke": 3}, {"feather": "0.5%"}, {"levels": [40, 200, 1]}, {"spread": 2.5}])
def test_a_finished_matte_is_that_of_the_library(options: dict[str, Any]) -> None:
    edges = Finish(**options).output_options().finishing
    expected = finish(Image(np.zeros((1, 1, 3), np.uint8)), alpha(), edges).alpha
    assert np.array_equal(Shown().whole("finished", **options), np.rint(expected * 255))


def test_a_large_matte_is_finished_on_a_smaller_copy_with_smaller_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Shown().whole("finished", choke=8, min_area=40).astype(int)
    monkeypatch.setattr(module, "MOST_PIXELS", HEIGHT * WIDTH // 3)
    small = Shown().whole("finished", choke=8, min_area=40)
    assert np.abs(full - small).mean() < 1
    assert np.abs(full - np.rint(alpha() * 255)).mean() > 3


def test_nothing_is_changed_without_options() -> None:
    assert np.array_equal(Shown().whole("finished"), np.rint(alpha() * 255))


def test_colours_are_those_of_the_foreground_without_the_background() -> None:
    shown = Shown()
    for level in (0, 1):
        colours = shown.whole("colours", level).astype(int)
        seen = shown.whole("finished", level) > 60
        assert np.abs(colours[seen] - FRONT).mean() < 6
    assert len(shown.asked) == 1
    with_background = shown.whole("colours", decontaminate=0).astype(int)
    assert np.abs(with_background - shown.photo).max() <= 1


def test_colours_of_large_mattes_are_estimated_on_a_smaller_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PIXELS", HEIGHT * WIDTH // 3)
    colours = Shown().whole("colours").astype(int)
    assert colours.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(colours[alpha() > 0.5] - FRONT).mean() < 8


def test_a_preview_is_finished_inside_its_box() -> None:
    box = Box(128, 384, 64, 576)
    shown = Shown(kind="preview", box=box, alpha=alpha()[box.slices], trimap=np.zeros((HEIGHT, WIDTH), np.uint8))
    finished = shown.whole("finished", choke=2)
    assert not finished[:128].any()
    assert finished[256, 320] == 255
    assert shown.whole("colours")[256, 320].tolist() == FRONT.tolist()
    assert shown.asked == [box]


def test_a_length_that_is_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match="choke"):
        Shown().whole("finished", choke=5000)


def test_what_is_made_on_a_copy_of_a_photo_of_odd_sides_lies_where_the_photo_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_PIXELS", 4_000)
    height, width = 201, 501  # the copy has an eighth of the side, and its last column covers five pixels
    mattes = Mattes(height, width)
    matte = np.zeros((height, width), np.float32)
    matte[:, 400:] = 1
    photo = np.where(matte[..., None] > 0, FRONT, BACK).astype(np.uint8)
    mattes.keep(Found(run=1, sequence=1, kind="exact", box=Box(0, height, 0, width), alpha=matte))
    shown = Looks(mattes, lambda box: photo[box.slices])
    options = Finish(feather=0.1).output_options()
    index = Index(0, 1)
    finished = shown.finished(1, 0, index, options)
    edge = mattes.grids[0].box(index).left + np.count_nonzero(finished[100] < 128)
    assert abs(edge - 400) <= 1
    small = Windowed(Box(0, height, 0, width), 0, np.full((height, width), 255, np.uint8))
    assert (small.tile(1, Box(0, 101, 0, 251)) == 255).all()
