"""Random numbers that are the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray


class Draw:
    """Draws from a seeded generator, each rounded to 6 digits.

    PCG64 gives the same bits everywhere; the rounding takes away the last digits, in which one machine's logarithm may
    differ from another's.
    """

    def __init__(self, *seed: int) -> None:
        self.rng = np.random.Generator(np.random.PCG64(list(seed)))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """At least `low`; below `high`, so that a share never points past the end of a list."""
        share = math.floor(float(self.rng.random()) * 10**6) / 10**6
        return round(low + (high - low) * share, 6)

    def log_uniform(self, low: float, high: float) -> float:
        return round(low * math.exp(math.log(high / low) * float(self.rng.random())), 6)

    def normal(self, deviation: float, limit: float = 2.5) -> float:
        """Around 0, cut at `limit` deviations."""
        value = float(self.rng.standard_normal())
        return round(deviation * max(-limit, min(limit, value)), 6)

    def integer(self, below: int) -> int:
        return int(self.rng.integers(below))

    def chance(self, probability: float) -> bool:
        return float(self.rng.random()) < probability

    def weighted(self, weights: Mapping[str, float]) -> str:
        """A name, each as often as its weight says."""
        point = float(self.rng.random()) * sum(weights.values())
        for name, weight in weights.items():
            point -= weight
            if point < 0:
                return name
        return next(reversed(list(weights)))


def smooth_noise(seed: int, size: int, cells: float) -> NDArray[np.float32]:
    """Low-frequency noise (size, size), about `cells` bumps across, from −1 to 1."""
    count = max(2, round(cells) + 1)
    grid = np.random.Generator(np.random.PCG64(seed)).random((count, count), dtype=np.float32) * 2 - 1
    field = cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(field, -1, 1), np.float32)
