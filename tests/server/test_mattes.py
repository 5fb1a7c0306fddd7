from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.geometry import Box
from mattecli.server.mattes import Found, Mattes
from mattecli.server.refusals import MissingError
from mattecli.server.tiles import Index

HEIGHT, WIDTH = 640, 1100


def smooth() -> NDArray[np.float32]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray(0.5 + 0.5 * np.sin(x / 60) * np.cos(y / 45), np.float32)


def found(run: int, **fields: Any) -> Found:
    known: dict[str, Any] = {"kind": "exact", "sequence": run, "box": Box(0, HEIGHT, 0, WIDTH), "alpha": smooth()}
    return Found(run=run, **{**known, **fields})


def whole(mattes: Mattes, run: int, level: int) -> NDArray[np.uint8]:
    grid = mattes.grids[level]
    result = np.empty((grid.height, grid.width), np.uint8)
    for index in grid:
        result[grid.box(index).slices] = mattes.tile(run, level, index)
    return result


def test_tiles_of_an_exact_matte_are_its_values() -> None:
    mattes = Mattes(HEIGHT, WIDTH)
    mattes.keep(found(1))
    assert np.array_equal(whole(mattes, 1, 0), np.rint(smooth() * 255))


@pytest.mark.parametrize("own", [0, 1, 2])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_preview_shows_at_each_level_what_lies_there_and_nothing_outside_of_its_box(own: int, level: int) -> None:
    box = Box(128, 448, 256, 832)
    alpha = smooth()[box.slices]
    size = (box.width // 2**own, box.height // 2**own)
    small = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
    mattes = Mattes(HEIGHT, WIDTH)
    mattes.keep(found(3, kind="preview", box=box, alpha=small, level=own))
    shown = whole(mattes, 3, level)
    part = Box(*(side // 2**level for side in box))
    expected = cv2.resize(smooth(), shown.shape[::-1], interpolation=cv2.INTER_AREA) * 255
    assert np.abs(shown[part.slices] - expected[part.slices]).max() < 8  # the slope is 4 a pixel
    outside = np.ones(shown.shape, np.bool_)
    outside[part.slices] = False
    assert not shown[outside].any()


def test_the_last_of_each_kind_is_kept_and_older_ones_are_dropped() -> None:
    mattes, dropped = Mattes(HEIGHT, WIDTH), list[int]()
    for run, kind in ((1, "exact"), (2, "preview"), (3, "preview"), (4, "exact")):
        mattes.keep(found(run, kind=kind), on_drop=lambda run=run: dropped.append(run))
        assert mattes.last is not None
        assert mattes.last.run == run
    assert sorted(dropped) == [1, 2, 3]
    with pytest.raises(MissingError, match="run 1"):
        mattes.tile(1, 0, Index(0, 0))
    mattes.close()
    assert sorted(dropped) == [1, 2, 3, 4]
    assert mattes.last is None


def test_a_preview_never_covers_an_exact_matte_of_the_same_labels() -> None:
    mattes, dropped = Mattes(HEIGHT, WIDTH), list[int]()
    assert mattes.keep(found(3, sequence=5))
    assert not mattes.keep(found(4, kind="preview", sequence=5), on_drop=lambda: dropped.append(4))
    assert (mattes.last and mattes.last.run, dropped) == (3, [4])
    assert mattes.keep(found(5, kind="preview", sequence=6))
    assert mattes.last is not None
    assert mattes.last.run == 5
