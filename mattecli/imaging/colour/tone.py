"""Brings light that a display cannot show into its range, without erasing its edges.

Clipping makes equal what differs: all of a wide-gamut green becomes one green, and all highlights one white. Here a
shoulder brings luminances above 0.8 below 1, and colours outside of sRGB move toward the grey of their luminance. Both
scale with the picture: one that is in range stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

KNEE = 0.8  # the shoulder begins here
LUMINANCE = np.array([[0.2126, 0.7152, 0.0722]], np.float32)  # of ITU-R BT.709
_OUTLIERS = 0.001  # this share of the pixels may end at white or at the border of sRGB
_HIGHEST = 64.0  # the shoulder knows no more; above it is white
_SAMPLES = 2**20  # pixels that are looked at


@dataclass(frozen=True)
class Tone:
    """How light comes into range: the luminance and the saturation of the picture that become 1.

    Saturation is the distance from the grey of the same luminance, 1 at the border of sRGB.
    """

    brightest: float = 1.0
    purest: float = 1.0
    pure: bool = False

    def __call__(self, light: Floats) -> Floats:
        """Light with sRGB's primaries, (H, W, 3), from 0 to 1. What is not a number becomes 0. Overwrites `light`."""
        light[np.isnan(light)] = 0
        np.clip(light, -_HIGHEST, _HIGHEST, out=light)
        knee = KNEE if max(self.brightest, self.purest) > 1 else 1.0
        grey = np.maximum(np.asarray(cv2.transform(light, LUMINANCE), np.float32), 0)
        bright = grey > knee
        if bright.any() and self.brightest > 1:
            shown = _shoulder(grey[bright], self.brightest)
            light[bright] *= (shown / grey[bright])[:, None]
            grey[bright] = shown
        np.clip(grey, 0, 1, out=grey)
        outside = (light.min(axis=2) < 0) | (light.max(axis=2) > knee)
        if self.purest > 1:
            outside |= light.min(axis=2) < (1 - knee) * grey
        if self.pure:
            return np.clip(light, 0, 1, out=light)
        if outside.any():
            light[outside] = _desaturated(light[outside], grey[outside], self.purest)
        return light


def tone_of(bands: Iterable[Floats]) -> Tone:
    """The tone of a picture, from bands of its light."""
    grey, purity = [], []
    for light in bands:
        flat = np.clip(np.nan_to_num(light.reshape(-1, 1, 3)), -_HIGHEST, _HIGHEST)
        luminance = np.maximum(np.asarray(cv2.transform(flat, LUMINANCE), np.float32).ravel(), 0)
        grey.append(luminance)
        shown = np.minimum(luminance, 1)
        scaled = np.multiply(flat[:, 0], (shown / np.maximum(luminance, 1e-9))[:, None], dtype=np.float32)
        purity.append(_saturation(scaled, shown))
    brightest = float(np.quantile(np.concatenate(grey), 1 - _OUTLIERS))
    purest = float(np.quantile(np.concatenate(purity), 1 - _OUTLIERS))
    return Tone(max(brightest, 1.0), max(purest, 1.0))


def _shoulder(values: Floats, peak: float) -> Floats:
    """Values from the knee up: the peak becomes 1, and the slope at the knee is 1."""
    over, most = values - KNEE, peak - KNEE
    bend = (most / (1 - KNEE) - 1) / most
    result: Floats = np.minimum(KNEE + over / (1 + bend * over), 1)
    return result


def _saturation(colours: Floats, grey: Floats) -> Floats:
    """How far colours (N, 3) are from the grey of their luminance (N,), relative to the border of sRGB."""
    above = (colours.max(axis=1) - grey) / np.maximum(1 - grey, 1e-6)
    below = (grey - colours.min(axis=1)) / np.maximum(grey, 1e-6)
    distance: Floats = np.maximum(above, below)
    distance[(grey <= 1e-5) | (grey >= 1 - 1e-5)] = 0
    return distance


def _desaturated(colours: Floats, grey: Floats, purest: float) -> Floats:
    distance = _saturation(colours, grey)
    far = distance > KNEE
    kept = np.where(far, _shoulder(np.where(far, distance, KNEE), max(purest, 1.0)), distance)
    factor = np.where(far, kept / np.maximum(distance, 1e-6), 1)
    moved = grey[:, None] + factor[:, None] * (colours - grey[:, None])
    return np.asarray(np.clip(moved, 0, 1), np.float32)
