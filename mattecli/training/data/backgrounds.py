"""Backgrounds: photographs, cropped and defocused, and procedural patterns."""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.training.data.augmentation import Jitter, Plane, apply_jitter, draw_jitter
from mattecli.training.data.config import DataConfig
from mattecli.training.data.random import Draw, smooth_noise
from mattecli.training.data.sources import Sources

Bytes = NDArray[np.uint8]
Colour = tuple[float, float, float]

_PATTERNS = {"flat": 1.0, "gradient": 2.0, "noise": 3.0, "stripes": 1.0}


@dataclass(frozen=True)
class Background:
    """A background. Settings of photographs and of patterns are both drawn; those that do not apply are not used."""

    photo: float  # which photograph, as a share of their number; below 0: a pattern
    at: tuple[float, float]  # place of its window, as shares of the possible range
    zoom: float  # photo pixels to a crop pixel
    rotation: float
    flip: bool
    blur: float  # radius in pixels of a 512 crop; 0: sharp
    disc: bool  # blurred by a disc, as a lens does, not by a Gaussian
    pattern: str
    colours: tuple[Colour, Colour, Colour]
    cells: float
    angle: float
    seed: int
    jitter: Jitter


def draw_colour(draw: Draw) -> Colour:
    """A colour as objects have them: any hue, seldom vivid. RGB from 0 to 1."""
    hue, vivid, value = draw.uniform(), draw.uniform() ** 1.7, draw.uniform(0.05, 1.0)
    red, green, blue = colorsys.hsv_to_rgb(hue, vivid, value)
    return round(red, 6), round(green, 6), round(blue, 6)


def draw_background(draw: Draw, config: DataConfig) -> Background:
    """Draw a background: what it shows, its blur and its colours."""
    photo, procedural = draw.uniform(), not draw.chance(config.photo_background)
    has_photos = bool(config.photos or config.own)
    return Background(
        photo=-1.0 if procedural or not has_photos else photo,
        at=(draw.uniform(), draw.uniform()),
        zoom=draw.log_uniform(0.5, 2.0),
        rotation=draw.normal(6),
        flip=draw.chance(0.5),
        blur=draw.log_uniform(0.8, 24) * draw.chance(config.background_blur),
        disc=draw.chance(0.5),
        pattern=draw.weighted(_PATTERNS),
        colours=(draw_colour(draw), draw_colour(draw), draw_colour(draw)),
        cells=draw.log_uniform(2, 24),
        angle=draw.uniform(0, 180),
        seed=draw.integer(2**31),
        jitter=draw_jitter(draw, config.jitter),
    )


def render_background(background: Background, sources: Sources, size: int) -> Bytes:
    """The pixels (size, size, 3) of a background."""
    if background.photo >= 0 and sources.photos:
        image = _photo_window(sources.photo(background.photo), background, size)
    else:
        image = _pattern(background, size)
    return apply_jitter(image, background.jitter)


def _photo_window(photo: Bytes, background: Background, size: int) -> Bytes:
    radius = background.blur * size / 512
    # A wide blur is done on a smaller picture: it would remove the details anyway.
    shrink = 4 if radius > 8 else 2 if radius > 3 else 1
    side = -(-size // shrink)
    height, width = photo.shape[:2]
    turn = abs(math.cos(math.radians(background.rotation))) + abs(math.sin(math.radians(background.rotation)))
    zoom = min(background.zoom, min(height, width) / (size * turn))
    photo, zoom = _shrunk(photo, zoom * size / side)
    height, width = photo.shape[:2]
    half = zoom * side * turn / 2
    centre = [
        half + at * max(0.0, length - 2 * half) for at, length in zip(background.at, (width, height), strict=True)
    ]
    matrix = cv2.getRotationMatrix2D((0, 0), background.rotation, zoom)
    if background.flip:
        matrix[:, 0] *= -1
    matrix[:, 2] = np.asarray(centre) - matrix[:, :2] @ np.full(2, (side - 1) / 2)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    window = cv2.warpAffine(photo, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    if radius / shrink >= 0.4:
        sigma = max(0.4, radius / shrink / 2)
        window = (
            defocused(np.asarray(window, np.uint8), radius / shrink)
            if background.disc
            else cv2.GaussianBlur(window, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        )
    if shrink > 1:
        window = cv2.resize(window, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(window, np.uint8)


def _shrunk(photo: Bytes, zoom: float) -> tuple[Bytes, float]:
    """The photo, shrunk so that a warp by the remaining zoom skips no pixel, and that zoom."""
    if zoom < 1.4:
        return photo, zoom
    height, width = photo.shape[:2]
    target = (max(2, round(width / zoom)), max(2, round(height / zoom)))
    small = cv2.resize(photo, target, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), zoom * min(target[0] / width, target[1] / height)


def defocused(picture: Plane, radius: float) -> Plane:
    """A picture (H, W) or (H, W, C), blurred by a disc of this radius in pixels, as a lens out of focus does."""
    reach = math.ceil(radius)
    offsets = np.arange(-reach, reach + 1, dtype=np.float32)
    kernel = np.clip(radius + 0.5 - np.hypot(offsets[:, None], offsets[None, :]), 0, 1)
    return cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)  # type: ignore[return-value]


def _pattern(background: Background, size: int) -> Bytes:
    """A flat colour, a gradient, noise or stripes between the drawn colours, with slow changes of colour."""
    first, second, third = (np.array(colour, np.float32) * 255 for colour in background.colours)
    if background.pattern == "flat":
        return np.full((size, size, 3), np.round(first), np.uint8)
    field = _field(background, size)[:, :, None]
    other = (0.5 + 0.5 * smooth_noise(background.seed + 1, size, 3))[:, :, None]
    image = first + (second - first) * field
    if background.pattern != "gradient":
        image += (third - image) * (other * (0.6 if background.pattern == "noise" else 0.3))
    return np.clip(image, 0, 255).astype(np.uint8)


def _field(background: Background, size: int) -> NDArray[np.float32]:
    """The share of the second colour at each pixel, (size, size) in [0, 1]."""
    if background.pattern == "noise":
        octaves = [(background.cells * 2**k, 0.6**k) for k in range(4)]
        total = np.full((size, size), 0.5, np.float32)
        for k, (cells, weight) in enumerate(octaves):
            total += 0.6 * weight * smooth_noise(background.seed + 10 + k, size, cells)
        return np.clip(total, 0, 1, out=total)
    angle = math.radians(background.angle)
    ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    along = math.cos(angle) * ramp[None, :] + math.sin(angle) * ramp[:, None]
    if background.pattern == "gradient":
        return np.asarray(np.clip(0.5 + along, 0, 1), np.float32)
    wave = 4 * np.sin(along * (2 * math.pi * background.cells))  # steep but without jumps
    return np.asarray(np.clip(0.5 + 0.5 * wave, 0, 1), np.float32)
