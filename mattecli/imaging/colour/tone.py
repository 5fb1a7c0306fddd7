"""Brings light that sRGB cannot hold into its range.

Clipping makes equal what differs: a wide-gamut green becomes one green, and all highlights one white. Here colours move
toward the grey of their luminance, and luminances above 0.8 come below 1, both by a shoulder that scales with the
picture: one that is in range stays as it is. benchmarks/colour.py compares this with clipping.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_KNEE = 0.8  # the shoulders begin here
_LUMINANCE = np.array([[0.2126, 0.7152, 0.0722]], np.float32)  # of ITU-R BT.709
_OUTLIERS = 0.001  # this share of the pixels may end at white or at the border of sRGB
_HIGHEST = np.float32(64)  # the shoulder knows no more; above it is white
_LEAST = np.float32(1e-6)
_FAINT = np.float32(0.05)  # the saturation of darker colours is mostly rounding, and so is that of brighter ones
_MARGIN = 1.1  # a picture that ends here is in range but for its rounding


@dataclass(frozen=True)
class Tone:
    """How light comes into range: the luminance and the saturation of the picture that become 1.

    Saturation is the distance from the grey of the same luminance, 1 at the border of sRGB.
    """

    brightest: float = 1.0
    purest: float = 1.0

    def __call__(self, light: Floats) -> Floats:
        """Light with sRGB's primaries, (h, w, 3), from 0 to 1. What is not a number becomes 0."""
        light, grey = _scaled(light, self.brightest)
        distance = _saturation(light, grey)
        factor = _shoulder(distance, self.purest) / np.maximum(distance, _LEAST)
        light -= grey[..., None]
        light *= factor[..., None]
        light += grey[..., None]
        return np.clip(light, 0, 1, out=light)


def tone_of(bands: Iterable[Floats]) -> Tone | None:
    """The tone of a picture, from bands (h, w, 3) of its light; None where clipping does."""
    luminances, saturations = [], []
    for light in bands:
        shown, grey = _scaled(light, 1.0)
        saturations.append(_saturation(shown, np.minimum(grey, 1)).ravel())
        luminances.append(grey.ravel())
    brightest = float(np.quantile(np.concatenate(luminances), 1 - _OUTLIERS))
    dull = np.concatenate(saturations)[np.concatenate(luminances) < 1]  # what is brighter than white has no saturation
    purest = float(np.quantile(dull, 1 - _OUTLIERS)) if dull.size else 1.0
    return Tone(max(brightest, 1.0), max(purest, 1.0)) if max(brightest, purest) > _MARGIN else None


def _scaled(light: Floats, brightest: float) -> tuple[Floats, Floats]:
    """A copy of light with its luminance (h, w) below 1, and that luminance; with a `brightest` of 1 as it is."""
    light = np.ascontiguousarray(np.clip(light, -_HIGHEST, _HIGHEST), np.float32)
    cv2.patchNaNs(light, 0)
    grey = np.maximum(np.asarray(cv2.transform(light, _LUMINANCE), np.float32), 0)
    if brightest <= 1:
        return light, grey
    shown = _shoulder(grey, brightest)
    return np.multiply(light, (shown / np.maximum(grey, _LEAST))[..., None], dtype=np.float32), shown


def _shoulder(values: Floats, peak: float) -> Floats:
    """Values up to the knee as they are; above it the peak becomes 1, and the slope begins with 1."""
    over, most = np.maximum(values - np.float32(_KNEE), 0), peak - _KNEE
    bend = np.float32((most / (1 - _KNEE) - 1) / most)
    bent = np.minimum(values, np.float32(_KNEE)) + over / (1 + bend * over)
    return np.asarray(np.minimum(bent, 1), np.float32)


def _saturation(light: Floats, grey: Floats) -> Floats:
    """How far colours (h, w, 3) are from the grey of their luminance (h, w), relative to the border of sRGB."""
    red, green, blue = cv2.split(light)
    above = (cv2.max(cv2.max(red, green), blue) - grey) / np.maximum(1 - grey, _FAINT)
    below = (grey - cv2.min(cv2.min(red, green), blue)) / np.maximum(grey, _FAINT)
    return np.maximum(np.maximum(above, below), 0)
