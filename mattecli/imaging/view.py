"""What the network sees of a picture: always sRGB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import UsageError
from mattecli.imaging.colour.convert import bands, convert
from mattecli.imaging.colour.encodings import Encoding, Floats, TableEncoding, encoding_of
from mattecli.imaging.colour.spaces import same_space
from mattecli.imaging.colour.tone import Tone, tone_of
from mattecli.imaging.image import Image
from mattecli.imaging.space import SRGB, Space

_LOOKED_AT = 2**20  # pixels, from which the tone is found


@dataclass(frozen=True)
class View:
    """How the parts of one picture are brought to sRGB, all alike. `tone` is found on the whole picture."""

    space: Space
    gain: float
    tone: Tone | None
    unchanged: bool

    def __call__(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """A part of the picture, grey (h, w), RGB or RGBA, in sRGB (h, w, 3); see `network_view`."""
        pixels = _colours(pixels)
        if self.unchanged:
            return pixels
        return convert(
            pixels, self.space, SRGB, depth=8 if pixels.dtype == np.uint8 else 16, gain=self.gain, tone=self.tone
        )


def check_exposure(exposure: object) -> None:
    """Raise UsageError for a `network_exposure` that is not a number of stops from -10 to 10."""
    if not (isinstance(exposure, SupportsFloat) and -10 <= float(exposure) <= 10):
        raise UsageError(f"`network_exposure` must be a number of stops from -10 to 10, not {exposure!r}")


def view_of(image: Image, *, exposure: float = 0.0) -> View:
    """What `network_view` does to a picture, for its parts: `view_of(image)(image.pixels[rows])`."""
    pixels, gain = _colours(image.pixels), 2.0**exposure
    if gain == 1 and same_space(image.space, SRGB) and _in_range(pixels):
        return View(image.space, gain, None, unchanged=True)
    encoding = encoding_of(image.space)
    tone = None if isinstance(encoding, TableEncoding) else tone_of(_samples(pixels, encoding, gain))
    return View(image.space, gain, tone, unchanged=False)


def network_view(image: Image, *, exposure: float = 0.0) -> NDArray[Any]:
    """The picture in sRGB, (H, W, 3): uint8 for a picture of 8 bits, uint16 for a deeper one.

    The pixels themselves are returned, without a copy, where they are sRGB and in range. Colours outside of sRGB and
    light above white come into range by `Tone`, where a thousandth of the pixels or more is out of range. `exposure`
    brightens by that many stops, for a plate that is too dark for the network. Grey becomes RGB; an alpha channel is
    left out.
    """
    return view_of(image, exposure=exposure)(image.pixels)


def _colours(pixels: NDArray[Any]) -> NDArray[Any]:
    """Grey, RGB or RGBA as RGB, without a copy where that is possible."""
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    return pixels if pixels.shape[2] == 3 else pixels[..., :3]


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
