"""Random numbers that are the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_DIGITS = 6  # of a drawn number: far coarser than what machines differ by, far finer than a pixel


def generator(*seed: int) -> np.random.Generator:
    """NumPy's generator for arrays. PCG64 is named, so that a new default of NumPy changes nothing."""
    return np.random.Generator(np.random.PCG64(list(seed)))


class Draw:
    """Single random numbers from a seed, each rounded to 6 digits.

    PCG64 gives the same bits everywhere. Rounding removes the last digits, in which the logarithms of two machines may
    differ. What is drawn for a scene must never change for a seed: digests in the tests hold it.
    """

    def __init__(self, *seed: int) -> None:
        self._rng = generator(*seed)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number from `low` to below `high`, rounded down: as an index into a list it stays inside the list."""
        return round(low + (high - low) * rounded_down(float(self._rng.random())), _DIGITS)

    def number(self, low: float, high: float) -> float:
        """A number from `low` to `high`, rounded to the nearest: a parameter of a foreground."""
        return round(low + (high - low) * float(self._rng.random()), _DIGITS)

    def log_uniform(self, low: float, high: float) -> float:
        """A number from `low` to `high` whose logarithm is uniform."""
        return round(low * math.exp(math.log(high / low) * float(self._rng.random())), _DIGITS)

    def normal(self, deviation: float, limit: float = 2.5) -> float:
        """A number around 0 with this standard deviation, clipped at `limit` deviations."""
        value = float(self._rng.standard_normal())
        return round(deviation * max(-limit, min(limit, value)), _DIGITS)

    def integer(self, below: int) -> int:
        """A whole number from 0 to below `below`."""
        return int(self._rng.integers(below))

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return int(self._rng.integers(low, high + 1))

    def seed(self) -> int:
        """A seed for `generator`."""
        return self.integer(2**31)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return float(self._rng.random()) < probability

    def choice(self, options: Sequence[str]) -> str:
        """One of the options. To make an option twice as likely, list it twice."""
        return options[self.integer(len(options))]

    def weighted(self, weights: Mapping[str, float]) -> str:
        """A name, each as often as its weight says."""
        return name_at(weights, float(self._rng.random()))


def rounded_down(share: float) -> float:
    """A share in [0, 1) cut to 6 digits, so that it stays below 1."""
    return math.floor(share * 1e6) / 1e6


def name_at(weights: Mapping[str, float], share: float) -> str:
    """The name at this share, in [0, 1), of all weights laid end to end; never one of weight 0."""
    rest = share * sum(weights.values())
    for name, weight in weights.items():
        rest -= weight
        if rest < 0:
            return name
    return next(name for name in reversed(list(weights)) if weights[name] > 0)  # rounding left a little over


def smooth_noise(seed: int, size: int, cells: float) -> NDArray[np.float32]:
    """Low-frequency noise (size, size) in [−1, 1] with about `cells` bumps from side to side."""
    count = max(2, round(cells) + 1)
    grid = generator(seed).random((count, count), dtype=np.float32) * 2 - 1
    field = cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(field, -1, 1), np.float32)
