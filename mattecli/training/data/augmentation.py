"""Augmentation: colour jitter, camera and file artefacts, light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.colour import decode_srgb, encode_srgb
from mattecli.training.data.config import DataConfig
from mattecli.training.data.random import Draw, generator

Bytes = NDArray[np.uint8]
Plane = NDArray[np.float32]
Gains = tuple[float, float, float]  # of red, green and blue light

_GRAINS = (0.0, 0.0, 0.6, 1.0)  # only a few, because each has its tile in memory
_SHARPENED = 1.2  # standard deviation of the blur that sharpening takes away, pixels
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Jitter:
    """A change of colours: first gamma and contrast, then saturation, hue, brightness and the gains of the channels."""

    gamma: float
    contrast: float
    brightness: float  # of 255
    saturation: float
    hue: float  # degrees
    gains: tuple[float, float, float]


@dataclass(frozen=True)
class Degradation:
    """Damage of a composite, in the order in which it is done. 0 or None: none of this kind."""

    blur: float  # standard deviation in pixels; the alpha is blurred too
    resample: float  # shrunk by this factor and enlarged again, the alpha too
    grade: Jitter | None
    sharpen: float  # amount of unsharp masking; the alpha is sharpened too
    read_noise: float  # standard deviation, of 255, in the middle of the range; more in the dark
    shot_noise: float  # a 128th of the variance, of 255², at any brightness
    grain: float  # size in pixels: demosaicking and denoising leave coarse noise
    noise_at: tuple[float, float]  # where the crop lies in the noise tile
    jpeg: int  # quality


def draw_jitter(draw: Draw, strength: float) -> Jitter:
    """Draw a change of colours. Strength 0 leaves the colours alone."""
    return Jitter(
        gamma=round(math.exp(draw.normal(0.25 * strength)), 6),
        contrast=round(math.exp(draw.normal(0.15 * strength)), 6),
        brightness=draw.normal(18 * strength),
        saturation=round(math.exp(draw.normal(0.22 * strength)), 6),
        hue=draw.normal(10 * strength),
        gains=(
            round(math.exp(draw.normal(0.06 * strength)), 6),
            round(math.exp(draw.normal(0.03 * strength)), 6),
            round(math.exp(draw.normal(0.06 * strength)), 6),
        ),
    )


def draw_degradation(draw: Draw, config: DataConfig) -> Degradation | None:
    """Draw the damage of a composite; None: it stays clean."""
    damaged = draw.chance(config.camera)
    grade = draw_jitter(draw, 0.6)
    warmth = draw.normal(0.12)  # evening sun and lamps tint foreground and background alike
    gains = (round(math.exp(warmth), 6), 1.0, round(math.exp(-warmth), 6))
    degradation = Degradation(
        blur=draw.log_uniform(0.3, 1.5) * draw.chance(config.blur),
        resample=draw.uniform(0.45, 0.9) * draw.chance(config.resample),
        grade=Jitter(grade.gamma, grade.contrast, grade.brightness, grade.saturation, 0.0, gains)
        if draw.chance(config.grade)
        else None,
        sharpen=draw.uniform(0.2, 1.2) * draw.chance(config.sharpen),
        read_noise=draw.log_uniform(0.5, 7) * (noisy := draw.chance(config.noise)),
        shot_noise=draw.log_uniform(0.01, 0.4) * noisy,
        grain=_GRAINS[draw.integer(len(_GRAINS))],
        noise_at=(draw.uniform(), draw.uniform()),
        jpeg=(40 + draw.integer(56)) * draw.chance(config.jpeg),
    )
    return degradation if damaged else None


def draw_gains(draw: Draw) -> tuple[Gains, Gains]:
    """Draw the light of foreground and background: exposures of their own, and warmths that are often the same."""
    warmths = draw.normal(0.3), draw.normal(0.3)
    alike = draw.chance(0.5)
    first, second = (
        _gains(2 ** (draw.normal(0.8) - 0.5), warmth) for warmth in (warmths[0], warmths[0] if alike else warmths[1])
    )
    return first, second


def _gains(exposure: float, warmth: float) -> Gains:
    return (round(exposure * math.exp(warmth), 6), round(exposure, 6), round(exposure * math.exp(-warmth), 6))


def relit(image: Bytes, gains: Gains) -> Bytes:
    """The colours of an image (H, W, 3) in another light: each channel's light times its gain, clipped to white."""
    light: Any = np.arange(256)[:, None] / 255
    values = encode_srgb(np.clip(decode_srgb(light) * np.array(gains), 0, 1))
    return _bytes(cv2.LUT(image, np.rint(np.asarray(values) * 255).astype(np.uint8).reshape(1, 256, 3)))


def apply_jitter(image: Bytes, jitter: Jitter) -> Bytes:
    """The changed colours of an image (H, W, 3)."""
    ramp = np.linspace(0, 1, 256) ** jitter.gamma
    table = 255 * (0.5 + (ramp - 0.5) * jitter.contrast)
    toned = cv2.LUT(image, np.clip(np.round(table), 0, 255).astype(np.uint8))
    return np.asarray(cv2.transform(toned, _colour_matrix(jitter)), np.uint8)


def degrade(
    image: Bytes, alpha: Bytes, degradation: Degradation | None, *, linear: bool, power: float = 1.0
) -> tuple[Bytes, Bytes]:
    """Damage a composite (H, W, 3) as a camera and its file would, and give the alpha (H, W) that is then true.

    Blur, resampling and sharpening change both: a strand that sharpening makes to look denser has the alpha of a denser
    one. Noise, tones and JPEG change only the picture. A composite mixed in linear light to a power is also blurred and
    sharpened in it: only then does the changed alpha mix the colours to the new picture.
    """
    if degradation is None:
        return image, alpha
    if _has_lens(degradation):
        image = (
            to_bytes(_through_lens(to_light(image, power), degradation), power)
            if linear
            else _rounded(_through_lens(image.astype(np.float32), degradation))
        )
        alpha = alpha_behind_lens(alpha, degradation)
    if degradation.grade:
        image = apply_jitter(image, degradation.grade)
    if degradation.read_noise:
        image = _with_noise(image, degradation)
    if degradation.jpeg:
        image = _through_jpeg(image, degradation.jpeg)
    return image, alpha


def alpha_behind_lens(alpha: Bytes, degradation: Degradation | None) -> Bytes:
    """The alpha (H, W) that is true of a damaged composite."""
    if degradation is None or not _has_lens(degradation):
        return alpha
    return _rounded(_through_lens(alpha.astype(np.float32), degradation))


def _has_lens(degradation: Degradation) -> bool:
    return bool(degradation.blur or degradation.resample or degradation.sharpen)


def _colour_matrix(jitter: Jitter) -> NDArray[np.float32]:
    """The matrix (3, 4) of saturation about luma, hue as a rotation about the grey axis, gains and brightness."""
    grey = np.outer(np.ones(3), _LUMA)
    saturate = grey + jitter.saturation * (np.eye(3) - grey)
    angle = math.radians(jitter.hue)
    axis = np.full(3, 1 / math.sqrt(3))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    # Rodrigues' formula
    rotate = np.eye(3) * math.cos(angle) + math.sin(angle) * cross + (1 - math.cos(angle)) * np.outer(axis, axis)
    matrix = np.diag(jitter.gains) @ rotate @ saturate
    return np.column_stack([matrix, np.full(3, jitter.brightness)]).astype(np.float32)


def _through_lens(plane: Plane, degradation: Degradation) -> Plane:
    """Blur a plane (H, W) or (H, W, 3) of float32, then shrink and enlarge it, then sharpen it."""
    if degradation.blur:
        plane = np.asarray(cv2.GaussianBlur(plane, (0, 0), degradation.blur), np.float32)
    if degradation.resample:
        height, width = plane.shape[:2]
        small = (max(2, round(width * degradation.resample)), max(2, round(height * degradation.resample)))
        shrunk = cv2.resize(plane, small, interpolation=cv2.INTER_AREA)
        plane = np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    if degradation.sharpen:
        smooth = cv2.GaussianBlur(plane, (0, 0), _SHARPENED)
        plane = plane + np.float32(degradation.sharpen) * (plane - np.asarray(smooth, np.float32))
    return plane


def to_light(image: Bytes, power: float = 1.0) -> NDArray[np.float32]:
    """The linear light of 8-bit sRGB values to a power, from 0 to 4095, plus 0.5 by which `to_bytes` rounds."""
    return np.asarray(cv2.LUT(image, _light_table(power)), np.float32)


def to_bytes(light: NDArray[np.float32], power: float = 1.0) -> Bytes:
    """The 8-bit sRGB values of light as `to_light` gives it for that power, clipped to its range."""
    return np.asarray(_display_table(power)[np.clip(light, 0, 4095).astype(np.uint16)])


@cache
def _light_table(power: float) -> NDArray[np.float32]:
    values: Any = np.arange(256) / 255
    return np.asarray(decode_srgb(values) ** power * 4095 + 0.5, np.float32)  # + 0.5: later the fraction is cut off


@cache
def _display_table(power: float) -> Bytes:
    light: Any = (np.arange(4096) / 4095) ** (1 / power)
    return np.round(encode_srgb(light) * 255).astype(np.uint8)


_TILE = 1024


@cache
def _noise_tile(grain: float) -> NDArray[np.float32]:
    """Normal noise (1024, 1024, 3) of standard deviation 1, blurred by a Gaussian of `grain` pixels.

    It is made once, because noise for each crop would cost more than all its other damage. For each crop only its place
    in the tile is drawn.
    """
    rng = generator(20210).standard_normal((_TILE, _TILE, 3), dtype=np.float32)
    if grain:
        rng = np.asarray(cv2.GaussianBlur(rng, (0, 0), grain, borderType=cv2.BORDER_REFLECT), np.float32)
        rng /= rng.std()
    return rng


def _with_noise(image: Bytes, degradation: Degradation) -> Bytes:
    """Read noise and shot noise of a camera, after its tone curve.

    The curve is steep in the dark and flat in the light. It makes shot noise, whose variance in light grows with the
    light, about even, and read noise strongest in the dark. Roughly, variance = read² · (1.5 − v) + 128 · shot for a
    display value v in [0, 1]; without a camera's own smoothing of the dark the first part would vary far more.
    """
    height, width = image.shape[:2]
    tile = _noise_tile(degradation.grain)
    if max(height, width) > _TILE:
        tile = np.tile(tile, (-(-height // _TILE) + 1, -(-width // _TILE) + 1, 1))
    top, left = (
        int(at * (room - side)) for at, room, side in zip(degradation.noise_at, tile.shape, image.shape, strict=False)
    )
    noise = tile[top : top + height, left : left + width]
    reading = degradation.read_noise**2 * np.linspace(1.5, 0.5, 256)
    deviation = np.sqrt(reading + degradation.shot_noise * 128).astype(np.float32)
    scaled = cv2.multiply(cv2.LUT(image, deviation), noise)
    return _bytes(cv2.add(image, scaled, dtype=cv2.CV_8U))


def _through_jpeg(image: Bytes, quality: int) -> Bytes:
    # OpenCV's codec, not mattecli.imaging: this is damage in memory, not a file
    coded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return _bytes(cv2.imdecode(coded, cv2.IMREAD_COLOR))[:, :, ::-1]


def _rounded(plane: Plane) -> Bytes:
    return _bytes(np.rint(np.clip(plane, 0, 255)).astype(np.uint8))


def _bytes(array: object) -> Bytes:
    return np.asarray(array, np.uint8)
