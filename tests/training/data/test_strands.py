import numpy as np
import pytest

from mattecli.training.data.foregrounds import Foreground, draw_parameters, fur, make_foreground, strands
from mattecli.training.data.foregrounds.strands import gleams, opaque_if_wide
from mattecli.training.data.random import Draw, generator


def fringe(seed: int, **changes: float) -> Foreground:
    plain = {"blur": 0.0, "fuzz": 0.0, "fray": 0, "hem": 0.1, "shade": 1.0, "plies": 0.2}
    return make_foreground("fringe", draw_parameters("fringe", Draw(seed)) | plain | changes, 320)


def test_what_hangs_behind_is_in_the_shade_and_as_opaque() -> None:
    for seed in range(4):
        lit, shaded = fringe(seed), fringe(seed, shade=0.1)
        np.testing.assert_array_equal(lit.alpha, shaded.alpha)
        before, after = lit.colour.max(-1)[96:].astype(float), shaded.colour.max(-1)[96:].astype(float)  # below the hem
        share = (after / np.maximum(before, 1))[(lit.alpha[96:] == 255) & (before > 60)]
        assert np.quantile(share, 0.05) < 0.5
        assert np.quantile(share, 0.95) > 0.9  # what hangs before is lit


@pytest.mark.parametrize(("width", "opacity"), [(0.5, 0.3), (1.0, 0.3), (1.5, 0.65), (2.0, 1.0), (5.0, 1.0)])
def test_a_strand_that_fills_a_pixel_is_opaque(width: float, opacity: float) -> None:
    np.testing.assert_allclose(opaque_if_wide(np.full((2, 3), 0.3, np.float32), width), opacity, rtol=1e-6)


def test_thick_strands_of_hair_and_fur_are_opaque(monkeypatch: pytest.MonkeyPatch) -> None:
    faint = {"blur": 0.0, "back_blur": 0.0, "dense": 0.3, "haze": 0.2, "down": 0.2, "width": 2.2}
    for kind in ("long_hair", "fur", "plush"):
        parameters = draw_parameters(kind, Draw(2)) | faint
        covered = make_foreground(kind, parameters, 640).alpha.sum(dtype=int)
        with monkeypatch.context() as patch:
            for module in (strands, fur):
                patch.setattr(module, "opaque_if_wide", lambda opacity, _: opacity)
            assert covered > 255 * 20 + make_foreground(kind, parameters, 640).alpha.sum(dtype=int)


def test_hair_gleams_within_some_pixels() -> None:
    field = gleams(generator(5), 320, 1.0)
    nearby = [field[:, start : start + 24] for start in range(0, 320, 24)]
    assert np.mean([part.max(1) / part.min(1) for part in nearby[:-1]]) > 1.5
    assert 0.9 < np.median(field) < 1.1
    np.testing.assert_array_equal(gleams(generator(5), 64, 0.0), 1)
