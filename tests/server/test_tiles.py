from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mattecli.geometry import Box
from mattecli.server import tiles
from mattecli.server.tiles import Grid, Index, Layer, is_uniform, pack, uniform, unpack


@given(st.integers(1, 900), st.integers(1, 900))
def test_the_tiles_of_a_grid_cover_each_pixel_once(height: int, width: int) -> None:
    grid = Grid(height, width)
    boxes = [grid.box(index) for index in grid]
    assert sum(box.height * box.width for box in boxes) == height * width
    assert {box.top for box in boxes} == set(range(0, height, 256))
    assert {box.left for box in boxes} == set(range(0, width, 256))
    assert max(box.bottom for box in boxes) == height
    assert max(box.right for box in boxes) == width


def test_the_tiles_over_a_box_are_those_that_share_pixels_with_it() -> None:
    grid = Grid(600, 800)
    assert list(grid.over(Box(255, 257, 10, 256))) == [Index(0, 0), Index(1, 0)]
    assert list(grid.over(Box(-50, 1, 700, 5000))) == [Index(0, 2), Index(0, 3)]
    assert list(grid.over(Box(700, 800, 0, 9))) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
@pytest.mark.parametrize("shape", [(256, 256), (17, 256), (1, 1), (3, 2)])
def test_a_packed_tile_comes_back_as_it_was(dtype: type, shape: tuple[int, int]) -> None:
    info = np.iinfo(dtype)
    random = np.random.default_rng(2)
    for values in ([info.min, info.max], [0, 128], [7], [info.min], range(info.min, info.max + 1)):
        tile = random.choice(np.array(values, dtype), shape)
        packed = pack(tile)
        assert np.array_equal(unpack(packed, tile.dtype, shape), tile)
        assert pack(unpack(packed, tile.dtype, shape)) == packed
        with pytest.raises(ValueError, match="read-only"):
            unpack(packed, tile.dtype, shape)[0, 0] = 1


def test_a_tile_with_one_value_takes_the_memory_of_one() -> None:
    tile = np.full((256, 256), -300, np.int16)
    assert len(pack(tile)) == 2
    assert is_uniform(unpack(pack(tile), tile.dtype, tile.shape))
    assert np.array_equal(uniform(np.int16(-300), (256, 256)), tile)


def test_a_layer_is_the_same_however_few_of_its_tiles_are_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "CACHE_BYTES", 100_000)
    random = np.random.default_rng(3)
    layer, expected = Layer(Grid(700, 900), np.uint8(1)), np.ones((700, 900), np.uint8)
    places = list(layer.grid)
    for _ in range(60):
        index = places[random.integers(len(places))]
        box = layer.grid.box(index)
        if random.random() < 0.5:
            tile = random.integers(0, random.integers(1, 4), (box.height, box.width)).astype(np.uint8)
            layer.put(index, pack(tile))
            expected[box.slices] = tile
        assert np.array_equal(layer[index], expected[box.slices])


def test_a_layer_has_no_tiles_beyond_its_grid() -> None:
    layer = Layer(Grid(300, 300), np.uint8(1))
    for index in (Index(-1, 0), Index(0, 2), Index(2, 0)):
        with pytest.raises(IndexError, match="no tile"):
            layer[index]
