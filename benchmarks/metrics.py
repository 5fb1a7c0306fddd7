"""Seconds that SAD, MSE, Grad and Conn take, for a picture of one megapixel.

python benchmarks/metrics.py
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from mattecli.evaluation.metrics import connectivity_error, gradient_error, mse, sad, score


def main() -> None:
    """Print the table: the best of five runs each."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 256, (1000, 1000), dtype=np.uint8)
    prediction = np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255).astype(np.uint8)
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), truth.shape)
    for measure in (sad, mse, gradient_error, connectivity_error, score):
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            measure(prediction, truth, trimap)
            seconds.append(time.perf_counter() - start)
        print(f"{measure.__name__:<20} {min(seconds):.3f} s")


if __name__ == "__main__":
    main()
