"""Random walks on a picture's grid: spread labels along similar colours.

The probability that a walker who starts at a pixel meets a foreground seed before a background seed (Grady, "Random
Walks for Image Segmentation", PAMI 2006). Here a walker may also stop anywhere and take the side that colours and
network think likely there, which is Grady's extension by priors ("Multilabel Random Walker Image Segmentation Using
Prior Models", CVPR 2005).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 160  # the walk's grid has about this many pixels squared, whatever the size of the picture
SHARPNESS = 2.0  # how fast a step's weight falls with its difference of colours, in mean differences of the picture
FLOOR = 1e-4  # a step's least weight
STOPPING = 0.003  # weight of stopping at a pixel, where a step between equal colours has 1
STEPS = 300  # of the conjugate gradient at most
CHECK_EVERY = 25  # steps between two calls of `check`
PRECISE = 1e-9


def walk(
    colours: NDArray[np.float32],
    seeds: NDArray[np.uint8],
    prior: NDArray[np.float32],
    *,
    check: Callable[[], None],
) -> NDArray[np.float32]:
    """The probability of foreground, float32 (h, w) in [0, 1].

    `colours` is (h, w, 3) in a space where distances are differences that people see. `seeds` (h, w) is 255 for
    foreground, 0 for background, anything else for neither. `prior` (h, w) in [0, 1] is what colours and network think.
    `check` is called every few milliseconds and may raise to end the work.
    """
    height, width = seeds.shape
    scale = min(1.0, SIDE / float(np.sqrt(height * width)))
    size = max(2, round(width * scale)), max(2, round(height * scale))
    small = cv2.resize(colours, size, interpolation=cv2.INTER_AREA).astype(np.float64)
    likely = cv2.resize(prior, size, interpolation=cv2.INTER_AREA).astype(np.float64)
    inside = cv2.resize((seeds == 255).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    outside = cv2.resize((seeds == 0).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    known = np.asarray(inside + outside > 0.25)
    found = _solve(small, known, np.asarray(inside > outside), likely, check)
    whole = cv2.resize(found.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(whole, 0, 1).astype(np.float32)


def _solve(
    colours: NDArray[np.float64],
    known: NDArray[np.bool_],
    value: NDArray[np.bool_],
    likely: NDArray[np.float64],
    check: Callable[[], None],
) -> NDArray[np.float64]:
    """Solve (L + STOPPING) x = STOPPING · likely, with x fixed where it is known; preconditioned conjugate gradient."""
    across, down = _weights(colours)
    degree = np.full(known.shape, STOPPING)
    degree[:, 1:] += across
    degree[:, :-1] += across
    degree[1:] += down
    degree[:-1] += down

    def applied(x: NDArray[np.float64]) -> NDArray[np.float64]:
        y = degree * x
        y[:, 1:] -= across * x[:, :-1]
        y[:, :-1] -= across * x[:, 1:]
        y[1:] -= down * x[:-1]
        y[:-1] -= down * x[1:]
        y[known] = 0
        return y

    x = np.where(known, value.astype(np.float64), likely)
    residual = np.where(known, 0, STOPPING * likely) - applied(x)
    direction = preconditioned = residual / degree
    error = float((residual * preconditioned).sum())
    for step in range(STEPS):
        if step % CHECK_EVERY == 0:
            check()
        if error < PRECISE:
            break
        product = applied(direction)
        length = error / float((direction * product).sum())
        x += length * direction
        residual -= length * product
        preconditioned = residual / degree
        before, error = error, float((residual * preconditioned).sum())
        direction = preconditioned + error / before * direction
    return x


def _weights(colours: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weights of steps to the right (h, w - 1) and down (h - 1, w)."""
    across = np.sqrt(((colours[:, 1:] - colours[:, :-1]) ** 2).sum(2))
    down = np.sqrt(((colours[1:] - colours[:-1]) ** 2).sum(2))
    usual = (across.mean() + down.mean()) / 2 + 1e-6
    return np.exp(-SHARPNESS * across / usual) + FLOOR, np.exp(-SHARPNESS * down / usual) + FLOOR
