from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mattecli.imaging.image import Image, to_depth
from mattecli.imaging.view import network_view
from mattecli.server.distance import measured
from mattecli.server.labels import Labels
from mattecli.server.pyramid import PAINTED, BaseLevels, LabelLevels, Levels, PhotoLevels, halved, level_grids
from mattecli.server.tiles import Grid, Index
from tests.server.model import blob


def whole(levels: BaseLevels | LabelLevels | Levels | PhotoLevels, level: int) -> np.ndarray:
    """All tiles of a level put together."""
    grid = levels.grids[level]
    first = levels.tile(level, Index(0, 0))
    result = np.empty((grid.height, grid.width, *first.shape[2:]), first.dtype)
    for index in grid:
        result[grid.box(index).slices] = levels.tile(level, index)
    return result


def test_levels_halve_until_the_picture_fits_into_one_tile() -> None:
    assert level_grids(1001, 700) == [Grid(1001, 700), Grid(501, 350), Grid(251, 175)]
    assert level_grids(256, 256) == [Grid(256, 256)]
    assert level_grids(1, 257) == [Grid(1, 257), Grid(1, 129)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(6, 8), (7, 9, 3), (1, 5, 3), (5, 1), (1, 1, 4)])
def test_halving_takes_means_and_odd_ends_by_themselves(shape: tuple[int, ...], dtype: type) -> None:
    values = np.random.default_rng(0).integers(0, 250, shape).astype(dtype)
    padded = np.pad(values, [(0, shape[0] % 2), (0, shape[1] % 2), *[(0, 0)] * (len(shape) - 2)], mode="edge")
    means = padded.astype(np.float64).reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2, *shape[2:]).mean((1, 3))
    found = halved(values)
    assert found.dtype == dtype
    assert np.abs(found - means).max() <= (0 if dtype == np.float32 else 0.5)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_thinnest_band_is_seen_at_every_level(width: int) -> None:
    labels = Labels(2100, 1900)
    trimap = np.zeros((2100, 1900), np.uint8)
    trimap[:, 950:] = 255
    trimap[:, 950 : 950 + width] = 128
    labels.apply(labels.set_base(measured(trimap)))
    levels = LabelLevels(labels)
    assert len(levels.grids) == 5
    for level in range(1, 5):
        shares = whole(levels, level)
        crossed = 950 // 2**level
        assert (shares[:, crossed, 1] > 0).all()
        assert (shares[:, : crossed - 1] == 0).all()
        assert (shares[:, crossed + 2 :] == (255, 0)).all()


def test_a_single_unknown_pixel_is_seen_at_every_level() -> None:
    trimap = np.full((60, 17_000), 255, np.uint8)
    trimap[50, 9999] = 128
    labels = Labels(*trimap.shape)
    labels.apply(labels.set_base(measured(trimap)))
    levels = LabelLevels(labels)
    assert len(levels.grids) == 8
    for level in range(1, 8):
        unknown = whole(levels, level)[..., 1]
        assert np.argwhere(unknown).tolist() == [[50 // 2**level, 9999 // 2**level]]


def test_shares_are_the_means_of_labels_to_within_a_rounding_for_each_level() -> None:
    mask = blob(600, 520)
    labels = Labels(*mask.shape)
    labels.apply(labels.set_base(measured(mask), inside=9, outside=4))
    levels, trimap = LabelLevels(labels), labels.trimap()
    assert np.array_equal(whole(levels, 0), trimap)
    for level in (1, 2):
        shares = whole(levels, level).astype(np.float64)
        for channel, value in ((0, 255), (1, 128)):
            area = 255 * (trimap == value).astype(np.float32)
            means = cv2.resize(area, (shares.shape[1], shares.shape[0]), interpolation=cv2.INTER_AREA)
            assert np.abs(shares[..., channel] - means).max() <= level
        assert (shares.sum(axis=2) <= 255).all()


def test_a_band_at_each_level_is_that_of_the_photo_at_every_second_pixel() -> None:
    mask = blob(1100, 700)
    labels = Labels(*mask.shape)
    labels.apply(labels.set_base(measured(mask)))
    levels = BaseLevels(labels)
    finest = whole(levels, 0)
    for level in (1, 2):
        assert np.array_equal(whole(levels, level), finest[:: 2**level, :: 2**level])
    assert levels.revision(2, Index(0, 0)) == 1
    labels.apply(labels.set_base(measured(255 - mask)))
    assert np.array_equal(whole(levels, 2), whole(levels, 0)[::4, ::4])
    assert not np.array_equal(whole(levels, 0), finest)
    labels.apply(labels.stroke(np.array([[60.0, 50.0, 9.0]]), 128))
    painted = whole(levels, 0) == PAINTED
    assert painted[50, 60]
    assert 200 < painted.sum() < 300, "only where there is paint"
    assert np.array_equal(whole(levels, 1), whole(levels, 0)[::2, ::2])


def test_a_tile_is_made_anew_when_labels_below_it_change() -> None:
    labels = Labels(1100, 1100)
    levels = LabelLevels(labels)
    assert (whole(levels, 2) == (0, 255)).all()
    labels.apply(labels.stroke(np.array([[900.0, 300.0, 100.0]]), 255))
    assert levels.tile(2, Index(0, 0))[75, 225].tolist() == [255, 0]
    assert (levels.revision(2, Index(0, 0)), levels.revision(2, Index(0, 1))) == (1, 0)
    assert whole(levels, 3)[..., 0].any()
    labels.apply(labels.undo())
    for level in range(1, 4):
        assert (whole(levels, level) == (0, 255)).all()


@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "linear light above white", "grey", "brightened"])
def test_tiles_of_a_photo_are_what_the_network_sees_without_seams(kind: str) -> None:
    random = np.random.default_rng(5)
    pixels = random.integers(0, 256, (300, 530, 3)).astype(np.uint8)
    photo = {
        "8 bits": Image(pixels),
        "16 bits": Image(pixels.astype(np.uint16) * 256),
        "linear light above white": Image(
            pixels.astype(np.float32) / np.where(np.arange(530) < 260, 255, 40)[None, :, None].astype(np.float32),
            cicp=(1, 8, 0, 1),
        ),
        "grey": Image(pixels[..., 0]),
        "brightened": Image(pixels),
    }[kind]
    exposure = 1.5 if kind == "brightened" else 0.0
    levels = PhotoLevels(photo, exposure=exposure)
    shown = whole(levels, 0)
    assert shown.dtype == np.uint8
    assert np.array_equal(shown, to_depth(network_view(photo, exposure=exposure), 8))
    assert levels.grids[1] == Grid(150, 265)
    if photo.depth < 32 and not exposure:  # else the half has a tone of its own
        half = replace(photo, pixels=halved(photo.pixels))
        assert np.array_equal(whole(levels, 1), to_depth(network_view(half, exposure=exposure), 8))


def test_tiles_of_a_matte_are_its_own_values() -> None:
    alpha = np.random.default_rng(1).integers(0, 65536, (300, 300)).astype(np.uint16)
    levels = Levels(alpha)
    assert np.array_equal(whole(levels, 0), alpha)
    assert np.array_equal(whole(levels, 1), halved(alpha))
    assert len(levels.tile(1, Index(0, 0)).tobytes()) == 150 * 150 * 2
