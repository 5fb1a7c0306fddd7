from dataclasses import replace

import numpy as np
import pytest

from mattecli.training.data.config import DataConfig
from mattecli.training.data.random import Draw
from mattecli.training.data.trimaps import TrimapShape, draw_trimap, render_trimap, settle_alpha
from tests.support.pictures import disc

PLAIN = TrimapShape(foreground=4, background=8, uneven=0, cells=3, brush=0, sure_foreground=True, seed=1)


def hard_disc() -> np.ndarray:
    return disc(512, 512, radius=100, softness=1e-6)


def test_every_soft_pixel_is_unknown_and_every_known_one_has_the_trimaps_alpha() -> None:
    alpha = settle_alpha(disc(96, 96, radius=30, softness=20))
    for n in range(60):
        trimap = render_trimap(alpha, draw_trimap(Draw(3, n), DataConfig()))
        assert set(np.unique(trimap)) <= {0, 128, 255}
        assert (alpha[trimap == 0] == 0).all()
        assert (alpha[trimap == 255] == 255).all()


def test_the_band_is_as_wide_on_each_side_as_was_drawn() -> None:
    row = render_trimap(hard_disc(), PLAIN)[256]
    edge = int(np.flatnonzero(hard_disc()[256])[0])
    unknown = np.flatnonzero(row[:256] == 128)
    assert edge - unknown[0] == pytest.approx(8, abs=1)
    assert unknown[-1] + 1 - edge == pytest.approx(4, abs=1)


def test_the_band_shrinks_with_a_small_crop_but_slower() -> None:
    full = (render_trimap(hard_disc(), PLAIN)[256] == 128).sum()
    small = (render_trimap(disc(128, 128, radius=25, softness=1e-6), PLAIN)[64] == 128).sum()
    assert full / 4 < small < full


def test_an_uneven_band_varies_along_the_edge() -> None:
    def widths(shape: TrimapShape) -> np.ndarray:
        trimap = render_trimap(hard_disc(), shape)
        y, x = np.nonzero(trimap == 128)
        sector = np.round(np.arctan2(y - 256, x - 256) * 6).astype(int) % 36
        return np.bincount(sector, minlength=36)[1:35]

    even, uneven = widths(PLAIN), widths(replace(PLAIN, uneven=0.8))
    assert uneven.std() > 2 * even.std()


def test_a_brush_leaves_no_thin_island_of_known_pixels() -> None:
    alpha = np.zeros((512, 512), np.uint8)
    alpha[100:120] = alpha[140:400] = 255
    shape = replace(PLAIN, foreground=8, background=5)
    assert (render_trimap(alpha, shape)[100:120] == 255).any()
    brushed = render_trimap(alpha, replace(shape, brush=5))
    assert (brushed[100:120] == 128).all()
    assert (brushed[270] == 255).all()


def test_without_sure_foreground_there_is_no_white() -> None:
    trimap = render_trimap(hard_disc(), replace(PLAIN, sure_foreground=False))
    assert set(np.unique(trimap)) == {0, 128}


def test_the_inside_of_dense_hair_is_known_where_the_shape_is_solid() -> None:
    rng = np.random.default_rng(0)
    alpha = np.where(disc(512, 512, radius=180, softness=1e-6) > 0, 240 + rng.integers(0, 16, (512, 512)), 0)
    alpha[236:276, 216:296] = 60  # a gap as wide as a hand
    hair = alpha.astype(np.uint8)
    loose, solid = render_trimap(hair, PLAIN), render_trimap(hair, replace(PLAIN, solid=True))
    assert (loose == 255).mean() < 0.01
    assert (solid == 255).mean() > 0.15
    assert (solid[240:272, 220:292] == 128).all()
    assert ((solid == 0) == (loose == 0)).all()
    inner = hair[250:330, 330:410]  # nothing but hair: all of it would be known
    assert np.array_equal(
        render_trimap(inner, replace(PLAIN, solid=True, foreground=0)),
        render_trimap(inner, replace(PLAIN, foreground=0)),
    )


@pytest.mark.parametrize("value", [0, 255])
def test_a_flat_alpha_still_gets_something_unknown(value: int) -> None:
    trimap = render_trimap(np.full((64, 64), value, np.uint8), PLAIN)
    assert 0 < (trimap == 128).mean() < 0.5


def test_settled_alpha_pulls_one_percent_to_the_ends_without_a_step() -> None:
    settled = settle_alpha(np.arange(256, dtype=np.uint8)[None])[0].astype(int)
    assert (settled[:3] == 0).all()
    assert (settled[253:] == 255).all()
    assert np.diff(settled).max() <= 2
    assert np.abs(settled - np.arange(256)).max() <= 2


def test_the_configurations_probabilities_reach_the_shapes() -> None:
    config = DataConfig(uneven=0, brush=0, loose=1, no_sure_foreground=1)
    for n in range(20):
        shape = draw_trimap(Draw(n), config)
        assert shape.uneven == shape.brush == 0
        assert not shape.sure_foreground
        assert config.loose_dilation[0] <= shape.foreground <= config.loose_dilation[1]
