"""Reads a photo with its trimap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.given import Given, given_name, given_values
from mattecli.imaging.image import Image
from mattecli.imaging.open import Source, is_pipe, label
from mattecli.imaging.read import read_image, read_size, read_values
from mattecli.trimaps.check import as_codes, check_size, from_values
from mattecli.trimaps.lint import worst_finding


def read_trimap(source: Source, *, snap: int = 0) -> NDArray[np.uint8]:
    """A trimap as uint8 (H, W) of 0, 128 and 255: background, unknown, foreground.

    `mattecli.trimaps.check.from_values` says what the values mean, what `snap` does and what is refused.
    """
    pixels = read_values(source)
    return from_values(pixels, snap=snap, name=label(source))


def given_trimap(given: Given, *, snap: int = 0, name: str = "the trimap") -> NDArray[np.uint8]:
    """A trimap for the network, uint8 (H, W): 0 background, 255 foreground, everything else unknown.

    `given` is an array, a PIL image, or a file; what its values mean: see `mattecli.trimaps.check.from_values`. Raises
    `InputError` as that does, and for anything else.
    """
    name = given_name(given, name)
    return as_codes(given_values(given, name), snap=snap, name=name)


def pair_size(photo: Source, trimap: Source, *, what: str = "trimap") -> tuple[int, int]:
    """Width and height of a photo and its trimap (or mask), from their headers. Raises `InputError` if they differ."""
    size = read_size(photo)
    names = {"name": source_name(trimap, f"the {what}"), "image_name": source_name(photo, "the image")}
    check_size(read_size(trimap), size, **names, what=what)
    return size


def read_pair(
    photo: Source, trimap: Source, *, snap: int = 0, on_note: Callable[[str], None] | None = None
) -> tuple[Image, NDArray[np.uint8]]:
    """Read a photo and its trimap. Different sizes are found before decoding, unless one of them is a pipe.

    `on_note` is called with the worst that the linter finds, as far as the trimap can be matted.
    """
    if not any(map(is_pipe, (photo, trimap))):
        pair_size(photo, trimap)
    picture, values = read_image(photo), read_values(trimap)
    known = from_values(values, snap=snap, name=label(trimap))
    names = {"name": source_name(trimap, "the trimap"), "image_name": source_name(photo, "the image")}
    check_size((known.shape[1], known.shape[0]), picture.size, **names)
    if on_note is not None and (worst := worst_finding(values, known, picture.pixels, **names)):
        on_note(str(worst))
    return picture, known


def trimap_note(unknown: float, trimap: str) -> str | None:
    """A warning for a trimap with no unknown pixels or only unknown pixels; otherwise None."""
    if unknown == 0:
        return f"{trimap} has no unknown pixels, so the alpha is the trimap itself; mark soft edges grey"
    if unknown == 1:
        return f"{trimap} has only unknown pixels; mark some sure foreground and background for a good matte"
    return None


def source_name(source: Source, otherwise: str) -> str:
    return otherwise if isinstance(source, bytes) else str(source)
