"""How long a batch would take, by a short trial."""

from __future__ import annotations

import time

import numpy as np

from mattecli.backends import Backend
from mattecli.matting import predict_alpha

TRIAL = 512  # side of the trial's picture, in pixels


def seconds_a_megapixel(backend: Backend) -> float:
    """What the network takes for a megapixel, from a made-up picture without known pixels; the second of two runs."""
    photo = np.random.default_rng(0).integers(0, 256, (TRIAL, TRIAL, 3), np.uint8)
    trimap = np.full((TRIAL, TRIAL), 128, np.uint8)
    predict_alpha(photo, trimap, backend)
    started = time.perf_counter()
    predict_alpha(photo, trimap, backend)
    return (time.perf_counter() - started) / (TRIAL * TRIAL / 1e6)
