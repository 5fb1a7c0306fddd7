"""What the network sees of a picture: always sRGB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.colour.convert import bands, convert
from mattecli.imaging.colour.encodings import Encoding, Floats, TableEncoding, encoding_of
from mattecli.imaging.colour.spaces import same_space
from mattecli.imaging.colour.tone import tone_of
from mattecli.imaging.image import Image
from mattecli.imaging.space import SRGB

_LOOKED_AT = 2**20  # pixels, from which the tone is found


def network_view(image: Image, *, exposure: float = 0.0) -> NDArray[Any]:
    """The picture in sRGB, (H, W, 3): uint8 for a picture of 8 bits, uint16 for a deeper one.

    The pixels themselves are returned, without a copy, where they are sRGB and in range. Colours outside of sRGB and
    light above white come into range by `Tone`, where a thousandth of the pixels or more is out of range. `exposure`
    brightens by that many stops, for a plate that is too dark for the network. Grey becomes RGB; an alpha channel is
    left out.
    """
    pixels = image.pixels if image.pixels.ndim == 3 else np.repeat(image.pixels[..., None], 3, axis=2)
    pixels = pixels if pixels.shape[2] == 3 else pixels[..., :3]
    gain = 2.0**exposure
    if gain == 1 and same_space(image.space, SRGB) and _in_range(pixels):
        return pixels
    encoding = encoding_of(image.space)
    tone = None if isinstance(encoding, TableEncoding) else tone_of(_samples(pixels, encoding, gain))
    return convert(pixels, image.space, SRGB, depth=8 if image.depth == 8 else 16, gain=gain, tone=tone)


def _in_range(pixels: NDArray[Any]) -> bool:
    if pixels.dtype.kind != "f":
        return True
    return all(pixels[rows].min() >= 0 and pixels[rows].max() <= 1 for rows in bands(pixels))  # false for NaN, too


def _samples(pixels: NDArray[Any], encoding: Encoding, gain: float) -> Iterator[Floats]:
    """The light of so many pixels of the picture, spread evenly."""
    every = max(1, round((pixels[..., 0].size / _LOOKED_AT) ** 0.5))
    few = np.ascontiguousarray(pixels[::every, ::every])
    for rows in bands(few):
        yield encoding.to_light(few[rows]) * np.float32(gain)
