"""Seeded random fields: the raw material of every foreground."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# OpenCV's stubs carry no element type, so the two kinds of array are told apart by name only.
Field = NDArray[Any]  # float32 (H, W), or (H, W, C) where said
Points = NDArray[Any]  # float64 (…, 2), in pixels of the final picture unless said otherwise
Parameters = dict[str, Any]  # JSON values only


def fractal(
    rng: np.random.Generator, size: int, *, cells: float = 3, octaves: int = 6, gain: float = 0.5, channels: int = 1
) -> Field:
    """Correlated noise around 0, mostly within ±1: octaves of random grids, each twice as fine and `gain` as strong.

    A gain of 0.5 has the 1/f amplitude of natural pictures. (size, size), or (size, size, channels) for more than one.
    """
    n = max(2, round(cells) + 1)
    field: Field = rng.random((n, n, channels), dtype=np.float32) - np.float32(0.5)
    weight, energy = 1.0, 1.0
    for _ in range(octaves - 1):
        if 2 * n > size:
            break
        n, weight = 2 * n, weight * gain
        # Each octave is added at its own size: the whole costs little more than the last step.
        fine = rng.random((n, n, channels), dtype=np.float32) - np.float32(0.5)
        field = cv2.resize(field, (n, n), interpolation=cv2.INTER_CUBIC).reshape(n, n, channels)
        field = field + np.float32(weight) * fine
        energy += weight * weight
    result: Field = cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC)  # drops a single channel's axis
    result *= np.float32(1.8 / energy**0.5)
    return result


def grid(size: int) -> tuple[Field, Field]:
    """x and y of the pixel centres, 0 to 1 across the frame; each (size, size)."""
    line = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x, y = np.meshgrid(line, line)
    return x, y


def warp(picture: Field, dx: Field, dy: Field) -> Field:
    """The picture looked up at (x + dx, y + dy), displacements in pixels; mirrored at its borders."""
    size = picture.shape[0]
    line = np.arange(size, dtype=np.float32)
    return cv2.remap(
        picture, line[None, :] + dx, line[:, None] + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )


def streaks(rng: np.random.Generator, size: int, *, angle: float, length: int, waviness: float = 0.05) -> Field:
    """Noise drawn out along `angle` (radians) over `length` pixels, bent by a slow warp: the grain of hair or cloth.

    Around 0, standard deviation 1; (size, size).
    """
    length = max(3, length | 1)
    kernel = np.zeros((length, length), np.uint8)
    half = length / 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * half
    ends = np.rint((np.stack([half - reach, half + reach]) - 0.5) * 16).astype(np.int32)
    cv2.polylines(kernel, [ends], False, 255, 1, cv2.LINE_AA, 4)
    weights = kernel.astype(np.float32) / np.float32(max(1, int(kernel.sum())))
    noise = rng.random((size, size), dtype=np.float32) - np.float32(0.5)
    grain = cv2.filter2D(noise, cv2.CV_32F, weights)
    bend = fractal(rng, size, cells=3, octaves=2, channels=2) * np.float32(waviness * size)
    grain = warp(grain, bend[..., 0], bend[..., 1])
    return grain / max(float(grain.std()), 1e-6)
