"""Colour encodings: values of a picture to light and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.colour import ocio
from mattecli.imaging.colour.curves import SRGB_CURVE, Cineon, Curve, Hlg, Power, Pq
from mattecli.imaging.colour.icc import P3, REC709, REC2020, Matrix, adapted, parse
from mattecli.imaging.colour.lcms import to_profile, usable
from mattecli.imaging.pixels import as_float
from mattecli.imaging.space import SRGB, Space

Floats = NDArray[np.float32]

TO_SRGB: Matrix = np.asarray(np.linalg.inv(adapted(REC709)), np.float64)  # from XYZ under D50
CINEON = "cineon"  # a space of our own
PQ, HLG = 16, 18  # transfers of ITU-T H.273
PRIMARIES = {1: REC709, 9: REC2020, 12: P3}
_HLG_PEAK = 1000 / 203  # of a display of 1000 cd/m², relative to diffuse white (ITU-R BT.2100, BT.2408)
_HLG_GAMMA = 1.2
_REC2020_LUMINANCE = np.array([[0.2627, 0.6780, 0.0593]], np.float32)


class Encoding(ABC):
    """How values stand for colours. Light is linear: 1 is white, and values outside of 0 to 1 are kept.

    All arrays are (H, W, 3). `decode` and `encode` keep the encoding's own primaries, `to_light` and `from_light` give
    and take those of sRGB; mixtures of light are the same in both.
    """

    @abstractmethod
    def to_light(self, pixels: NDArray[Any]) -> Floats:
        """Light with the primaries of sRGB, from uint8, uint16 or floats."""

    @abstractmethod
    def from_light(self, light: Floats) -> Floats:
        """Values from light with the primaries of sRGB; 1.0 is full scale, nothing is clipped."""

    def decode(self, pixels: NDArray[Any]) -> Floats:
        """Light with primaries of the encoding's choice, which `encode` takes back."""
        return self.to_light(pixels)

    def encode(self, light: Floats) -> Floats:
        """Values from what `decode` gave."""
        return self.from_light(light)


@dataclass(frozen=True, eq=False)
class MatrixEncoding(Encoding):
    """Three curves and primaries; `matrix` takes light to XYZ under D50."""

    matrix: Matrix
    curves: tuple[Curve, Curve, Curve]
    hlg: bool = False  # the curves give scene light, and the picture is meant for a display (ITU-R BT.2100)

    @property
    def linear(self) -> bool:
        """Whether the values are light."""
        return all(isinstance(curve, Power) and curve.linear for curve in self.curves)

    def to_light(self, pixels: NDArray[Any]) -> Floats:
        return _transformed(self.decode(pixels), np.asarray(TO_SRGB @ self.matrix))

    def from_light(self, light: Floats) -> Floats:
        return self.encode(_transformed(light, np.asarray(np.linalg.inv(TO_SRGB @ self.matrix), np.float64)))

    def decode(self, pixels: NDArray[Any]) -> Floats:
        light = decoded(pixels, self.curves)
        if self.hlg:
            scene = np.maximum(_luminance(light), 0)
            light *= _HLG_PEAK * scene ** (_HLG_GAMMA - 1)
        return light

    def encode(self, light: Floats) -> Floats:
        if self.hlg:
            shown = np.maximum(_luminance(light), 1e-9)
            light = np.multiply(light, (shown / _HLG_PEAK) ** (1 / _HLG_GAMMA) / shown, dtype=np.float32)
        return each_channel(light, [curve.encode for curve in self.curves])


@dataclass(frozen=True, eq=False)
class TableEncoding(Encoding):
    """A profile that is made of tables: LittleCMS converts it, with 8 bits per channel."""

    icc: bytes

    def to_light(self, pixels: NDArray[Any]) -> Floats:
        return decoded(self._converted(pixels, self.icc, None), (SRGB_CURVE,) * 3)

    def from_light(self, light: Floats) -> Floats:
        return as_float(self._converted(each_channel(light, [SRGB_CURVE.encode] * 3), None, self.icc))

    def decode(self, pixels: NDArray[Any]) -> Floats:
        return decoded(pixels, (SRGB_CURVE,) * 3)  # a table has no curve of its own

    def encode(self, light: Floats) -> Floats:
        return each_channel(light, [SRGB_CURVE.encode] * 3)

    @staticmethod
    def _converted(pixels: NDArray[Any], icc: bytes | None, target: bytes | None) -> NDArray[np.uint8]:
        levels = pixels
        if pixels.dtype != np.uint8:
            levels = np.rint(np.clip(np.nan_to_num(as_float(pixels)), 0, 1) * 255).astype(np.uint8)
        converted = to_profile(np.ascontiguousarray(levels), icc, target)
        return levels if converted is None else converted


@dataclass(frozen=True)
class NamedEncoding(Encoding):
    """A colour space of OpenColorIO."""

    name: str

    def to_light(self, pixels: NDArray[Any]) -> Floats:
        return ocio.convert(as_float(pixels), self.name, None)

    def from_light(self, light: Floats) -> Floats:
        return ocio.convert(light, None, self.name)


@lru_cache(maxsize=32)
def encoding_of(space: Space) -> Encoding:
    """The encoding of a space. Raises UsageError for a name that OpenColorIO does not know."""
    if space.name == CINEON:
        return MatrixEncoding(adapted(REC709), (Cineon(),) * 3)
    if space.name is not None:
        return NamedEncoding(ocio.checked(space.name))
    if space.cicp is not None:
        return _by_code_points(space.cicp)
    if space.icc is None:
        return MatrixEncoding(adapted(REC709), (SRGB_CURVE,) * 3)
    profile = parse(space.icc)
    if profile is not None:
        return MatrixEncoding(profile.matrix, profile.curves)
    return TableEncoding(space.icc) if usable(space.icc) else encoding_of(SRGB)  # a broken profile counts as none


def _by_code_points(cicp: tuple[int, int, int, int]) -> MatrixEncoding:
    """Unknown primaries count as sRGB's, and the transfers of television as sRGB's curve, as browsers show them."""
    matrix = adapted(PRIMARIES.get(cicp[0], REC709))
    return MatrixEncoding(matrix, (curve_of(cicp),) * 3, hlg=cicp[1] == HLG)


def curve_of(cicp: tuple[int, int, int, int]) -> Curve:
    """The transfer curve of code points of ITU-T H.273."""
    return _TRANSFERS.get(cicp[1], SRGB_CURVE)


_TRANSFERS: dict[int, Curve] = {4: Power(2.2), 5: Power(2.8), 8: Power(1.0), PQ: Pq(), HLG: Hlg()}


def decoded(pixels: NDArray[Any], curves: tuple[Curve, ...]) -> Floats:
    """Light of pixels (H, W, 3) by the curves of the channels; integers look it up in a table."""
    if pixels.dtype.kind == "f":
        return each_channel(pixels.astype(np.float32, copy=False), [curve.decode for curve in curves])
    levels = np.iinfo(pixels.dtype).max + 1
    if len(set(curves)) == 1:
        light: Floats = _decoding_table(curves[0], levels)[pixels]
        return light
    return np.stack([_decoding_table(curve, levels)[pixels[..., i]] for i, curve in enumerate(curves)], axis=2)


@lru_cache(maxsize=16)
def _decoding_table(curve: Curve, levels: int) -> Floats:
    return curve.decode(np.linspace(0, 1, levels)).astype(np.float32)


def encoded(light: Floats, curves: tuple[Curve, ...], levels: int) -> NDArray[Any]:
    """Light (H, W, 3) as integers from 0 to `levels` - 1, rounded and clipped. What is not a number becomes 0.

    The upper 24 bits of a float are the place in a table, which is exact to 2⁻¹⁶ of the light.
    """
    shown = np.fmin(np.fmax(light, _FAINTEST), np.float32(1))  # these two leave NaN out
    places = shown.view(np.int32)
    places >>= 8
    places -= _FIRST
    if len(set(curves)) == 1:
        result: NDArray[Any] = _encoding_table(curves[0], levels)[places]
        return result
    return np.stack([_encoding_table(curve, levels)[places[..., i]] for i, curve in enumerate(curves)], axis=2)


_FAINTEST = np.float32(2.0**-36)
_FIRST = int(_FAINTEST.view(np.int32)) >> 8


@lru_cache(maxsize=16)
def _encoding_table(curve: Curve, levels: int) -> NDArray[Any]:
    last = int(np.float32(1).view(np.int32)) >> 8
    middles = ((np.arange(_FIRST, last + 1, dtype=np.int32) << 8) + 128).view(np.float32).astype(np.float64)
    middles[0], middles[-1] = 0, 1
    values = np.rint(np.clip(curve.encode(middles), 0, 1) * (levels - 1))
    return np.asarray(values, np.uint8 if levels == 256 else np.uint16)


def each_channel(values: Floats, functions: list[Any]) -> Floats:
    """Each channel of (H, W, 3) through its function; all at once where the functions are the same."""
    if all(function == functions[0] for function in functions):
        result: Floats = functions[0](values)
        return result
    return np.stack([function(values[..., i]) for i, function in enumerate(functions)], axis=2)


def _luminance(light: Floats) -> Floats:
    """Of light with the primaries of BT.2020, (H, W, 1)."""
    return np.asarray(cv2.transform(light, _REC2020_LUMINANCE), np.float32)[..., None]


def _transformed(light: Floats, matrix: Matrix) -> Floats:
    if np.allclose(matrix, np.eye(3), atol=1e-4):  # the same primaries, rounded
        return light
    return np.asarray(cv2.transform(np.ascontiguousarray(light), matrix.astype(np.float32)), np.float32)
