"""Value ranges of pixels: full scale and valid floats, by type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError

_INTEGERS: dict[str, int] = {"uint8": 255, "uint16": 65535}


def full_scale(pixels: NDArray[Any], name: str) -> int | float:
    """The value of white: 255, 65535, or 1.0 for floats. Raises `InputError`, which names `name`, for other types."""
    if pixels.dtype.kind == "f":
        return 1.0
    if pixels.dtype.name not in _INTEGERS:
        raise InputError(f"{name} is of type {pixels.dtype}; give uint8, uint16, or floats in [0, 1]")
    return _INTEGERS[pixels.dtype.name]


def beyond_white(pixels: NDArray[Any]) -> bool:
    """Whether floats hold light above white."""
    return pixels.dtype.kind == "f" and bool((pixels[..., :3] > 1).any())


def check_range(values: NDArray[Any], name: str) -> None:
    """Raise `InputError` for floats outside [0, 1] or NaN. Other types and empty arrays pass."""
    if values.dtype.kind != "f" or not values.size:
        return
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):  # true for NaN, too
        raise InputError(f"{name} has values from {low:g} to {high:g}; give floats in [0, 1]")


def as_float(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Pixels as float32 in [0, 1]. Takes the types that `full_scale` knows."""
    if pixels.dtype.kind == "u":
        # a division, because a factor of 1/255 gives other last bits
        values: NDArray[np.float32] = np.divide(pixels, np.float32(np.iinfo(pixels.dtype).max), dtype=np.float32)
        return values
    return pixels.astype(np.float32, copy=False)
