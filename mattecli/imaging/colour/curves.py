"""Transfer curves: from values of a file to light, and back.

Light is relative: 1 is diffuse white. Curves of display encodings are mirrored at 0, so that values below 0 and above 1
survive; tables end at 0 and 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]  # float32 or float64; the results have the same type

WHITE_NITS = 203.0  # diffuse white of PQ and HLG (ITU-R BT.2408)


class Curve(ABC):
    """A transfer curve of one channel."""

    @abstractmethod
    def decode(self, values: Values) -> Values:
        """Light from values; 1.0 is full scale."""

    @abstractmethod
    def encode(self, light: Values) -> Values:
        """Values from light."""


@dataclass(frozen=True)
class Power(Curve):
    """(a·x + b)^g + e from x = d on, and c·x + f below: the parametric curve of ICC.1:2022, type 4."""

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0

    def decode(self, values: Values) -> Values:
        if self.linear:
            return values
        size = np.abs(values)
        base = np.maximum(size * self.a + self.b, 0)
        light = np.where(size >= self.d, base**self.g + self.e, size * self.c + self.f)
        return np.copysign(light, values).astype(values.dtype, copy=False)

    def encode(self, light: Values) -> Values:
        if self.linear:
            return light
        size = np.abs(light)
        edge = max(self.a * self.d + self.b, 0.0) ** self.g + self.e
        base = np.maximum(size - self.e, 0)
        values = (base ** (1 / self.g) - self.b) / self.a
        if self.d > 0:
            below = (size - self.f) / self.c if self.c else np.zeros_like(size)
            values = np.where(size >= edge, values, below)
        return np.copysign(values, light).astype(light.dtype, copy=False)

    @property
    def linear(self) -> bool:
        """Whether values are light."""
        return self == Power(1.0)


@dataclass(frozen=True)
class Table(Curve):
    """A curve through equally spaced points from 0 to 1, with straight lines between them."""

    points: tuple[float, ...]

    def decode(self, values: Values) -> Values:
        places = np.linspace(0, 1, len(self.points))
        return np.interp(values, places, self.points).astype(values.dtype)

    def encode(self, light: Values) -> Values:
        rising = np.maximum.accumulate(self.points)  # the inverse needs a curve that never falls
        values = np.interp(light, rising, np.linspace(0, 1, len(self.points)))
        return np.asarray(values).astype(light.dtype)


@dataclass(frozen=True)
class Pq(Curve):
    """Perceptual quantizer of SMPTE ST 2084. Light of 1 is 203 cd/m²."""

    def decode(self, values: Values) -> Values:
        root = np.clip(values, 0, 1).astype(np.float64) ** (1 / _M2)
        nits = 10000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)
        return (nits / WHITE_NITS).astype(values.dtype)

    def encode(self, light: Values) -> Values:
        power = np.clip(light.astype(np.float64) * (WHITE_NITS / 10000), 0, 1) ** _M1
        return (((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2).astype(light.dtype)


_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


@dataclass(frozen=True)
class Hlg(Curve):
    """Hybrid log-gamma of ITU-R BT.2100, without the system gamma: scene light, 1 at the signal's end."""

    def decode(self, values: Values) -> Values:
        x = np.clip(values, 0, 1).astype(np.float64)
        return np.where(x <= 0.5, x * x / 3, (np.exp((x - _HC) / _HA) + _HB) / 12).astype(values.dtype)

    def encode(self, light: Values) -> Values:
        e = np.clip(light, 0, 1).astype(np.float64)
        high = _HA * np.log(np.maximum(12 * e - _HB, 1e-9)) + _HC
        return np.where(e <= 1 / 12, np.sqrt(3 * e), high).astype(light.dtype)


_HA = 0.17883277
_HB, _HC = 1 - 4 * _HA, 0.5 - _HA * np.log(4 * _HA)


@dataclass(frozen=True)
class Cineon(Curve):
    """Printing density of scanned film, as Kodak's conversion: black at code 95 and white at 685 of 1023."""

    def decode(self, values: Values) -> Values:
        light = (10 ** ((values * 1023 - 685) * 0.002 / 0.6) - _BLACK) / (1 - _BLACK)
        return np.asarray(light).astype(values.dtype)

    def encode(self, light: Values) -> Values:
        whole = np.maximum(light * (1 - _BLACK) + _BLACK, 1e-10)
        return np.clip((685 + np.log10(whole) * 0.6 / 0.002) / 1023, 0, 1).astype(light.dtype)


_BLACK = 10 ** ((95 - 685) * 0.002 / 0.6)

LINEAR = Power(1.0)
SRGB_CURVE = Power(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # IEC 61966-2-1


def decode_srgb(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn sRGB values in [0, 1] into linear light in [0, 1] (IEC 61966-2-1)."""
    power = ((np.maximum(values, 0) + 0.055) / 1.055) ** 2.4
    light: NDArray[np.float32] = np.where(values <= 0.04045, values / 12.92, power)
    return light


def encode_srgb(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn linear light in [0, 1] into sRGB values in [0, 1] (IEC 61966-2-1)."""
    power = 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055
    values: NDArray[np.float32] = np.where(light <= 0.0031308, light * 12.92, power)
    return values
