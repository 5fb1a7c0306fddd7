"""The weights that `experiments/hard.py` proposes, and the data that it measures."""

import numpy as np
import pytest

from experiments.hard import POWERS, each_alone, sums_by_power, weights_of
from mattecli.training.data.config import DataConfig
from mattecli.training.data.dataset import Samples
from mattecli.training.data.foregrounds import KINDS


def test_a_kind_comes_more_often_the_harder_it_is_within_limits() -> None:
    found = weights_of({"fur": 0.1, "net": 0.2, "web": 0.9, "text": 0.0}, {"fur": 3.0})
    assert found == {"fur": 1.5, "net": pytest.approx(0.67), "web": 2.0, "text": 0.5}
    assert weights_of({}, {"fur": 3.0}) == {}


@pytest.mark.parametrize("power", POWERS)
def test_the_power_that_mends_alphas_has_the_lowest_error(power: float) -> None:
    true = np.linspace(0, 1, 50)
    sums = sums_by_power(true ** (1 / power), true)
    assert min(sums, key=sums.__getitem__) == power
    assert sums[power] == pytest.approx(0, abs=1e-9)


def test_each_kind_is_measured_alone() -> None:
    alone = dict(each_alone(DataConfig(kinds={"fur": 3.0}, bank=0)))
    assert [name for _, name in alone] == list(KINDS)
    samples = Samples(alone["kinds", "hair"], seed=1)
    assert all(layer.origin == "procedural" for n in range(20) for layer in samples.scene(n).layers)
    weights = samples.sources._kinds
    assert [kind for kind, weight in weights.items() if weight] == ["hair"]
