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
    """Correlated noise around 0, mostly within ±1: octaves of random grids, each twice as fine, `gain` times as strong.

    A gain of 0.5 has the 1/f amplitude of natural pictures. Shape (size, size), or (size, size, channels) for several.
    """
    n = max(2, round(cells) + 1)
    field: Field = rng.random((n, n, channels), dtype=np.float32) - np.float32(0.5)
    weight, energy = 1.0, 1.0
    for _ in range(octaves - 1):
        if 2 * n > size:
            break
        n, weight = 2 * n, weight * gain
        # Each octave is added at its own size, so that all cost little more than the last one.
        fine = rng.random((n, n, channels), dtype=np.float32) - np.float32(0.5)
        field = cv2.resize(field, (n, n), interpolation=cv2.INTER_CUBIC).reshape(n, n, channels)
        field = field + np.float32(weight) * fine
        energy += weight * weight
    result: Field = cv2.resize(
        field, (size, size), interpolation=cv2.INTER_CUBIC
    )  # removes the axis of a single channel
    result *= np.float32(1.8 / energy**0.5)
    return result


def grid(size: int) -> tuple[Field, Field]:
    """x and y of the pixel centres, each (size, size), from 0 to 1 across the frame."""
    line = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x, y = np.meshgrid(line, line)
    return x, y


def warp(picture: Field, dx: Field, dy: Field) -> Field:
    """The picture sampled at (x + dx, y + dy) in pixels, with mirrored borders."""
    size = picture.shape[0]
    line = np.arange(size, dtype=np.float32)
    return cv2.remap(
        picture, line[None, :] + dx, line[:, None] + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )


def streaks(rng: np.random.Generator, size: int, *, angle: float, length: int, waviness: float = 0.05) -> Field:
    """Noise stretched along `angle` (radians) over `length` pixels and bent slowly, like the grain of hair or cloth.

    Shape (size, size), mean around 0, standard deviation 1.
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
