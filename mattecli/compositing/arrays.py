"""Checks the arrays that compositing takes, and splits them into strips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.pixels import check_range, full_scale

Floats = NDArray[np.float32]
STRIP = 64  # rows


def strips(height: int) -> Iterator[slice]:
    """Slices of rows that cover a height, from top to bottom."""
    for top in range(0, height, STRIP):
        yield slice(top, min(top + STRIP, height))


def checked_picture(picture: NDArray[Any], name: str) -> NDArray[Any]:
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise InputError(f"the {name} has shape {picture.shape}; give RGB pixels of shape (H, W, 3)")
    full_scale(picture, f"the {name}")  # raises for another type
    check_range(picture, f"the {name}")
    return picture


def checked_alpha(alpha: NDArray[Any], picture: NDArray[Any]) -> Floats:
    if alpha.shape != picture.shape[:2]:
        raise InputError(f"the alpha has shape {alpha.shape} but the picture {picture.shape}; give both the same size")
    if alpha.dtype.kind != "f":
        raise InputError(f"the alpha is of type {alpha.dtype}; give floats in [0, 1]")
    check_range(alpha, "the alpha")
    return alpha.astype(np.float32, copy=False)


def checked_colour(colour: Sequence[float] | NDArray[Any]) -> Floats:
    """Three floats in [0, 1] as an array. Raises `InputError` for anything else."""
    try:
        values = np.asarray(colour, np.float32)
    except (TypeError, ValueError) as error:  # a word, or None
        raise InputError(f"{colour!r} is no colour; give three floats in [0, 1]") from error
    if values.shape != (3,):
        raise InputError(f"{colour!r} is no colour; give three floats in [0, 1]")
    check_range(values, "the colour")
    return values


def size_of(picture: NDArray[Any]) -> str:
    """Width × height, for messages."""
    return f"{picture.shape[1]}×{picture.shape[0]}"
