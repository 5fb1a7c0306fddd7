import numpy as np
import pytest

from mattecli.training.data.random import Draw, name_at, rounded_down, smooth_noise


def test_the_largest_share_of_a_generator_stays_below_one_when_it_is_rounded() -> None:
    assert rounded_down(1 - 2**-53) == 0.999999


def test_a_name_is_found_at_its_share_of_the_weights_and_never_one_of_weight_0() -> None:
    weights = {"none": 0.0, "a": 1.0, "b": 3.0, "nor this": 0.0}
    assert [name_at(weights, share) for share in (0.0, 0.24, 0.26, 0.9999999999999999)] == ["a", "a", "b", "b"]


def test_whole_numbers_reach_both_ends() -> None:
    draw = Draw(2)
    assert {draw.whole(3, 5) for _ in range(100)} == {3, 4, 5}
    assert {draw.integer(3) for _ in range(100)} == {0, 1, 2}


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
