"""Turns what callers give for a picture or matte into arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.colour.spaces import space_of
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.pixels import as_float, check_range, full_scale
from mattecli.imaging.read import in_range, matte_of, normal, read_alpha, read_image, read_values
from mattecli.imaging.reading.decoded import Decoded
from mattecli.imaging.reading.limits import DEFAULT
from mattecli.imaging.reading.open import label, translated
from mattecli.imaging.reading.pillow import from_pillow

Given = NDArray[Any] | PIL.Image.Image | Image | str | Path | bytes


def given_name(given: object, otherwise: str) -> str:
    """The name in messages: that of a file, or `otherwise`."""
    return label(given) if isinstance(given, (str, Path)) else otherwise


def given_picture(given: Given, name: str) -> NDArray[Any]:
    """The pixels of `given_photo`; floats keep their precision."""
    if isinstance(given, np.ndarray):
        pixels = _rgb(given, name, hides=False)
        check_range(pixels, name)
        return pixels
    return given_photo(given, name).pixels


def given_photo(given: Given, name: str) -> Image:
    """A picture as RGB (H, W, 3) of uint8, uint16 or floats, with its colour space; an array is not copied.

    Arrays and PIL images without a profile are sRGB, and floats in arrays must be in [0, 1]; files and `Image`s may be
    scene-linear. Grey becomes RGB. An alpha channel that hides nothing is dropped. PIL images are turned upright, and
    files are read by `read_image`. Raises `InputError`, with `name` in it, for anything else.
    """
    name = given_name(given, name)
    if isinstance(given, Image):
        return _photo(given, name)
    if isinstance(given, (str, Path, bytes)):
        return _photo(read_image(given, name=name), name)
    if isinstance(given, PIL.Image.Image):
        decoded = _from_pillow(given, name)
        return Image(_rgb(decoded.pixels, name, hides=False), _icc(decoded))
    if not isinstance(given, np.ndarray):
        raise _foreign(given, name)
    return Image(given_picture(given, name))


def _photo(picture: Image, name: str) -> Image:
    pixels = _rgb(picture.pixels, name, hides=picture.transparent)
    return picture if pixels is picture.pixels else replace(picture, pixels=pixels)


def _rgb(pixels: NDArray[Any], name: str, *, hides: bool) -> NDArray[Any]:
    """Pixels (H, W, 3) of what may be grey, or RGBA that hides nothing."""
    pixels = _flat(pixels)
    if pixels.size == 0 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise InputError(f"{name} has shape {pixels.shape}; give RGB (H, W, 3) or grey (H, W)")
    white = full_scale(pixels, name)
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    if hides or (pixels.shape[2] == 4 and pixels[..., 3].min() < white):
        raise InputError(
            f"{name} is transparent in places; flatten it on a colour first, or give its RGB values alone to use the "
            "colours that are hidden there"
        )
    return pixels if pixels.shape[2] == 3 else pixels[..., :3]


def given_matte(given: Given, name: str) -> NDArray[np.float32]:
    """A matte or a mask as float32 (H, W) in [0, 1]; see `given_levels`."""
    return as_float(given_levels(given, name))


def given_levels(given: Given, name: str, *, options: ReadOptions = DEFAULT) -> NDArray[Any]:
    """A matte or a mask (H, W) of uint8, uint16 or floats in [0, 1]; an array of that kind is not copied.

    False and True become 0 and 255. PIL images and files count as in `read_alpha`; `options` are for files. Raises
    `InputError`, with `name` in it, for anything else.
    """
    name = given_name(given, name)
    if isinstance(given, np.ndarray):
        levels = _flat(given)
    elif isinstance(given, Image):
        levels = matte_of(given.pixels, name)
    elif isinstance(given, PIL.Image.Image):
        levels = matte_of(in_range(normal(_from_pillow(given, name).pixels, name), name), name)
    elif isinstance(given, (str, Path, bytes)):
        return read_alpha(given, options=options, name=name)
    else:
        raise _foreign(given, name)
    if levels.ndim != 2 or levels.size == 0:
        raise InputError(f"{name} has shape {levels.shape}; give (H, W)")
    if levels.dtype == np.bool_:
        return levels.astype(np.uint8) * np.uint8(255)
    full_scale(levels, name)
    check_range(levels, name)
    return levels


def given_values(given: Given, name: str, *, options: ReadOptions = DEFAULT) -> NDArray[Any]:
    """The values of a picture without conversion: an array unchanged, a file as `read_values` reads it by `options`."""
    if isinstance(given, np.ndarray):
        return _flat(given)
    if isinstance(given, Image):
        return given.pixels
    if isinstance(given, PIL.Image.Image):
        return in_range(normal(_from_pillow(given, name).pixels, name), name)
    if isinstance(given, (str, Path, bytes)):
        return read_values(given, options=options, name=given_name(given, name))
    raise _foreign(given, name)


def given_image(given: Given, name: str) -> Image:
    """The values of `given_values`; colours of a PIL image are in the space of its ICC profile."""
    if not isinstance(given, PIL.Image.Image):
        return given if isinstance(given, Image) else Image(given_values(given, name))
    decoded = _from_pillow(given, name)
    pixels = in_range(normal(decoded.pixels, name), name)
    return Image(pixels, _icc(decoded) if pixels.ndim == 3 else None)


def _icc(decoded: Decoded) -> bytes | None:
    return space_of(decoded.tags, floating=False, format="").icc


def _flat(pixels: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 1) as (H, W)."""
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def _from_pillow(picture: PIL.Image.Image, name: str) -> Decoded:
    with translated(name):  # Pillow may read the file only now
        return from_pillow(picture)


def _foreign(given: object, name: str) -> InputError:
    return InputError(f"{name} is a {type(given).__name__}; give a NumPy array, a PIL image, or a file's name or bytes")
