"""Whether each pixel is more like the foreground's or background's strokes.

Gaussian-process regression of labels, 1 and -1, on colour, texture and place (Rasmussen and Williams, "Gaussian
Processes for Machine Learning", 2006, section 2.2). It tends to 0 far from everything that was marked: what it never
saw, it does not judge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Lengths of the kernel: two pixels that differ by one length in one feature have the covariance 2/3.
COLOUR = 12.0  # in Lab
TEXTURE = 1.4  # in the logarithm of the variance of details
PLACE = 0.2  # in diagonals
DETAILS = (1.5, 4.0)  # pixels; details are what a blur of this deviation removes
NOISE = 0.3  # deviation of the label of a pixel that is marked
MOST = 300  # marked pixels of each side that are used
STEP = 4  # it is computed at every fourth pixel of every fourth row


class Marks(NamedTuple):
    """Pixels (h, w) that are known to be foreground (1) or background (-1)."""

    label: int
    where: NDArray[np.bool_]
    noisier: float = 1.0  # how many times noisier than a stroke they are


def features(lab: Floats, smooth: Floats) -> Floats:
    """What a pixel is compared by, (h, w, 7), in lengths of the kernel: three of colour, four of texture.

    `lab` (h, w, 3) has the colours of the picture, `smooth` the same without texture.
    """
    texture = []
    for deviation in DETAILS:
        details = (lab - cv2.GaussianBlur(lab, (0, 0), deviation)) ** 2
        energies = details[..., 0], details[..., 1] + details[..., 2]
        texture += [np.log1p(cv2.GaussianBlur(energy, (0, 0), 2 * deviation + 2)) / TEXTURE for energy in energies]
    return np.dstack([smooth / COLOUR, *texture]).astype(np.float32)


def likeness(found: Floats, marks: Sequence[Marks], *, check: Callable[[], None]) -> Floats:
    """From -1, like the background, to 1, like the foreground: float32 (h, w). 0 is undecided.

    `found` is what `features` gives. The mean of two regressions is taken, one of which knows the place of a pixel.
    `check` is called every few milliseconds and may raise to end the work.
    """
    height, width = found.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32) / (PLACE * float(np.hypot(height, width)))
    placed = np.dstack([found, rows, columns]).astype(np.float32)
    chosen, labels, noise = [], [], []
    for each in marks:
        pixels = np.flatnonzero(each.where)
        pixels = pixels[np.linspace(0, len(pixels) - 1, min(MOST, len(pixels))).astype(np.intp)]
        chosen.append(pixels)
        labels.append(np.full(len(pixels), each.label, np.float32))
        noise.append(np.full(len(pixels), (each.noisier * NOISE) ** 2, np.float32))
    first = min(STEP // 2, height - 1), min(STEP // 2, width - 1)
    total = np.zeros((height, width), np.float32)
    for space in (found, placed):
        seen = space.reshape(-1, space.shape[2])[np.concatenate(chosen)]
        grid = space[first[0] :: STEP, first[1] :: STEP]
        check()
        weights = np.linalg.solve(_covariance(seen, seen) + np.diag(np.concatenate(noise)), np.concatenate(labels))
        guess = np.empty(grid.shape[:2], np.float32)
        for row, pixels in enumerate(grid):
            if row % STEP == 0:
                check()
            guess[row] = _covariance(pixels, seen) @ weights
        total += cv2.resize(guess, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(total / 2, -1, 1), np.float32)


def _covariance(one: Floats, other: Floats) -> Floats:
    """The rational quadratic kernel between the rows of two arrays: it falls slowly, like a mixture of many lengths."""
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return np.asarray(1 / (1 + np.maximum(squares, 0) / 2), np.float32)
