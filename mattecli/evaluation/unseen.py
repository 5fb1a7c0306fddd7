"""Where an alpha changes and its photo does not.

In a small window a true alpha is nearly a linear function of the photo's colours (Levin, Lischinski and Weiss, "A
Closed-Form Solution to Natural Image Matting", 2008). What the best such function leaves is alpha that the photo does
not show: a piece that was bitten off, a hole or a cloud, or an edge between two like colours.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

RADIUS = 2  # of the windows, in pixels of the copies
NOISE = 1e-4  # variance of a colour that counts as noise
FAINT = 0.003  # variance of alpha that counts as nothing


def unexplained(photo: Floats, alpha: Floats) -> tuple[Floats, Floats]:
    """The variance of alpha in the window around each pixel that colours do not explain, and all of it: (H, W) both.

    `photo` is (H, W, 3), `alpha` is (H, W), both in [0, 1].
    """
    colours = [np.ascontiguousarray(photo[..., channel]) for channel in range(3)]
    means, mean = [_mean(colour) for colour in colours], _mean(alpha)
    both = [_mean(colour * alpha) - own * mean for colour, own in zip(colours, means, strict=True)]
    covariance = np.empty((*alpha.shape, 3, 3), np.float32)
    for i in range(3):
        for j in range(i, 3):
            shared = _mean(colours[i] * colours[j]) - means[i] * means[j]
            covariance[..., i, j] = covariance[..., j, i] = shared + (NOISE if i == j else 0)
    shared_with_alpha = np.stack(both, axis=2)  # (H, W, 3)
    slope = np.linalg.solve(covariance, shared_with_alpha[..., None])[..., 0]
    variance = np.maximum(_mean(alpha * alpha) - mean * mean, 0)
    left = np.clip(variance - (slope * shared_with_alpha).sum(2), 0, variance)
    return np.asarray(left, np.float32), np.asarray(variance, np.float32)


def unseen_share(left: Floats, variance: Floats, sigma: float) -> Floats:
    """The share of alpha's change nearby that the photo does not show, from 0 to 1: (H, W)."""
    nearby, all_ = (cv2.GaussianBlur(plane, (0, 0), sigma) for plane in (left, variance))
    return np.asarray(nearby / (all_ + FAINT), np.float32)


def _mean(plane: Floats) -> Floats:
    size = (2 * RADIUS + 1, 2 * RADIUS + 1)
    return np.asarray(cv2.blur(plane, size, borderType=cv2.BORDER_REFLECT), np.float32)
