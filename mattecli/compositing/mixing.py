"""Layers mixed in values of a space, or in light."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats
from mattecli.imaging.colour import decode_srgb, encode_srgb, is_linear, same_space
from mattecli.imaging.colour.encodings import encoding_of
from mattecli.imaging.space import SRGB, Space


class Light(Protocol):
    """Turns values (h, w, 3) into light and back."""

    def decode(self, pixels: NDArray[Any], /) -> Floats:
        """Light, with primaries of its own choice."""

    def encode(self, light: Floats, /) -> Floats:
        """Values of that light."""


class _SrgbLight:
    def decode(self, pixels: NDArray[Any], /) -> Floats:
        return decode_srgb(pixels)

    def encode(self, light: Floats, /) -> Floats:
        return encode_srgb(light)


def mixing(space: Space) -> Light | None:
    """How values of a space are mixed in light: by its own curve. None where the values are light already."""
    if same_space(space, SRGB):
        return _SrgbLight()
    return None if is_linear(space) else encoding_of(space)


def mix(over: Floats, under: Floats, share: Floats, light: Light | None) -> Floats:
    """share (h, w, 1) · over + (1 − share) · under, (h, w, 3), in `light` unless it is None.

    Where the share is 1 or 0 the layer's own bits come out, those of NaN and infinity too.
    """
    result = np.where(share == 1, over, under).astype(np.float32, copy=False)
    between = (share != 0) & (share != 1)
    if between.any():
        inside = between[..., 0]
        part, front, back = share[inside], over[inside], under[inside]
        with np.errstate(invalid="ignore", over="ignore"):
            if light is None:
                result[inside] = part * front + (1 - part) * back
            else:
                front, back = light.decode(front[None]), light.decode(back[None])
                result[inside] = light.encode(part * front + (1 - part) * back)[0]
    return result
