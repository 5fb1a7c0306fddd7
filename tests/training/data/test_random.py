from types import SimpleNamespace

import numpy as np
import pytest

from mattecli.training.data.random import Draw, smooth_noise


def test_a_share_stays_below_one_at_the_generators_last_number() -> None:
    draw = Draw(0)
    draw.rng = SimpleNamespace(random=lambda: 1 - 2**-53)  # type: ignore[assignment]
    assert int(draw.uniform() * 10**6) == 10**6 - 1


def test_draws_are_the_generators_in_six_digits() -> None:
    expected = np.random.Generator(np.random.PCG64([4, 2])).random(50)
    draw = Draw(4, 2)
    np.testing.assert_allclose([draw.uniform() for _ in range(50)], expected, atol=1e-6)


def test_weighted_names_come_as_often_as_their_weights_say() -> None:
    draw = Draw(1)
    weights = {"never": 0.0, "often": 3.0, "seldom": 1.0, "nor this": 0.0}
    drawn = [draw.weighted(weights) for _ in range(2000)]
    assert drawn.count("often") / 2000 == pytest.approx(0.75, abs=0.03)
    assert set(drawn) == {"often", "seldom"}


def test_smooth_noise_has_about_as_many_bumps_as_asked_for() -> None:
    def crossings(cells: float) -> float:
        fields = [smooth_noise(seed, 200, cells) for seed in range(20)]
        return float(np.mean([np.count_nonzero(np.diff(np.sign(field[100]))) for field in fields]))

    assert 1.5 < crossings(16) / crossings(4) < 8
    assert np.abs(smooth_noise(3, 200, 8)).max() <= 1
