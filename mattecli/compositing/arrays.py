"""Checks the arrays that compositing takes, and splits them into strips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.given import Given, given_matte
from mattecli.imaging.pixels import check_range

Floats = NDArray[np.float32]
STRIP = 64  # rows


def strips(height: int) -> Iterator[slice]:
    """Slices of rows that cover a height, from top to bottom."""
    for top in range(0, height, STRIP):
        yield slice(top, min(top + STRIP, height))


def checked_alpha(alpha: Given, picture: NDArray[Any]) -> Floats:
    """The alpha as floats in [0, 1], of the picture's size."""
    matte = given_matte(alpha, "the alpha")
    if matte.shape != picture.shape[:2]:
        raise InputError(f"the alpha is {size_of(matte)} but the picture {size_of(picture)}; give both the same size")
    return matte


def checked_colour(colour: Sequence[float] | NDArray[Any]) -> Floats:
    """Three floats in [0, 1] as an array. Raises `InputError` for anything else."""
    try:
        values = np.asarray(colour, np.float32)
    except (TypeError, ValueError) as error:  # a word, or None
        raise InputError(f"{colour!r} is not a colour; give three floats in [0, 1]") from error
    if values.shape != (3,):
        raise InputError(f"{colour!r} is not a colour; give three floats in [0, 1]")
    check_range(values, "the colour")
    return values


def size_of(picture: NDArray[Any]) -> str:
    """Width × height, for messages."""
    return f"{picture.shape[1]}×{picture.shape[0]}"
