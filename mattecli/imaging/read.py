"""Reads pictures, mattes and sizes from files, standard input or bytes.

All functions raise `InputError` for a file that they cannot use, and `DeviceError` for one that does not fit into the
free memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.colour.spaces import same_space, space_named, space_of
from mattecli.imaging.image import Image, to_depth
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.pixels import full_scale
from mattecli.imaging.reading.decoded import Decoded
from mattecli.imaging.reading.decoding import decode, decode_size
from mattecli.imaging.reading.formats import EXR, identify
from mattecli.imaging.reading.limits import DEFAULT
from mattecli.imaging.reading.open import Source, is_pipe, label, opened
from mattecli.imaging.space import SRGB, Space


def read_image(
    source: Source, *, keep_alpha: bool = False, options: ReadOptions = DEFAULT, name: str | None = None
) -> Image:
    """Read a photo as RGB (H, W, 3); with `keep_alpha`, as RGBA (H, W, 4) if the file has an alpha channel.

    Depths stay, except in AVIF, which becomes 8 bits; 10 and 12 bits become 16. Values stay as they are stored, and
    `Image.space` says what they mean; CMYK and Lab are converted to sRGB with their profile, whatever space `options`
    ask for. Floats may lie outside of 0 to 1, but those of .npy only in a space that is named. `Image.notes` says what
    the user should know, such as pages that were not read. `name` stands in messages in place of the file's.
    """
    name = name or label(source)
    decoded = decode(source, options, name=name)
    pixels, transparent = normal(decoded.pixels, name), False
    if decoded.format == "NumPy" and pixels.dtype.kind == "f" and options.input_space.lower() == "auto":
        _check_floats(pixels, name, "scale them to the range 0 to 1, or add `input_space=linear` for light")
    glow = _glow(pixels) if decoded.premultiplied else None
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    elif pixels.shape[2] == 4 and not keep_alpha:
        transparent = bool(pixels[..., 3].min() < full_scale(pixels, name))
        pixels = np.ascontiguousarray(pixels[..., :3])
    space, notes = _space(decoded, name, options)
    return Image(
        pixels,
        space.icc,
        decoded.resolution,
        transparent,
        space.cicp,
        space.name,
        decoded.metadata,
        tuple(f"{name}: {note}" for note in (*decoded.notes, *notes)),
        glow,
    )


def _glow(pixels: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where a premultiplied plate of floats has light under alpha 0. Whole numbers are what programs leave there."""
    if pixels.dtype.kind != "f" or pixels.ndim != 3 or pixels.shape[2] != 4:
        return None
    glow = (pixels[..., 3] == 0) & (pixels[..., :3] != 0).any(axis=2)
    return glow if glow.any() else None


_NOT_USED = "the input space that was asked for does not count, because its colours were converted"


def _space(decoded: Decoded, name: str, options: ReadOptions) -> tuple[Space, tuple[str, ...]]:
    """The space of the pixels, and what the user should know of it."""
    if decoded.converted:
        unused = options.input_space.lower() != "auto" and not same_space(space_named(options.input_space), SRGB)
        return SRGB, (_NOT_USED,) if unused else ()
    floating = decoded.pixels.dtype.kind == "f"
    try:
        return space_of(decoded.tags, floating=floating, format=decoded.format, input_space=options.input_space), ()
    except InputError as error:  # it knows the format, and not the file
        raise InputError(f"{name} {str(error).removeprefix('it ')}") from error


def read_alpha(source: Source, *, options: ReadOptions = DEFAULT, name: str | None = None) -> NDArray[np.float32]:
    """Read a matte or mask as float32 (H, W) from 0 to 1. The file may have 8 or 16 bits or floats (.npy, .tif, .exr).

    If the file has an alpha channel that varies (a cut-out), that channel is the matte; otherwise the grey values are.
    Values beside the matte may be any, such as highlights in the colours of an OpenEXR cut-out. Raises `InputError` for
    a colour picture. `name` stands in messages in place of the file's.
    """
    name = name or label(source)
    matte = in_range(matte_of(normal(decode(source, options, name=name).pixels, name), name), name)
    return np.ascontiguousarray(to_depth(matte, 32))


def matte_of(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    """The one channel (H, W) of a picture that is its matte: see `read_alpha`."""
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 4 and np.ptp(pixels[..., 3]) != 0:  # true for NaN, too
        return pixels[..., 3]
    return _grey(pixels[..., :3], name)


def read_values(source: Source, *, options: ReadOptions = DEFAULT, name: str | None = None) -> NDArray[Any]:
    """The values of a file, without colour conversion: (H, W), RGB (H, W, 3) or RGBA (H, W, 4); floats from 0 to 1.

    `name` stands in messages in place of the file's.
    """
    name = name or label(source)
    return in_range(normal(decode(source, options, name=name).pixels, name), name)


def read_size(source: Source, *, options: ReadOptions = DEFAULT, name: str | None = None) -> tuple[int, int]:
    """Width and height of the upright picture, without decoding it. `name` stands in messages in place of the file's.

    Raises `InputError` for a pipe, because it can be read only once.
    """
    return decode_size(source, options, name=name)


def has_windows(source: Source) -> bool:
    """Whether a file is an OpenEXR plate, by its content; False for a pipe, which can be read only once."""
    if is_pipe(source):
        return False
    with opened(source) as (_, head):
        return identify(head) is EXR


def normal(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    """Bring what a decoder gave to (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or float32."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.size == 0 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise InputError(
            f"{name} holds an array of shape {pixels.shape}; give height × width, with 3 or 4 channels or none"
        )
    if not pixels.dtype.isnative:  # a .npy file of another machine
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    if pixels.dtype.kind == "f":
        with np.errstate(all="ignore"):  # what is too large becomes infinite
            return pixels.astype(np.float32, copy=False)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{name} holds {pixels.dtype} values; save it with 8 or 16 bits or as float")
    return pixels


def in_range(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    """Values of a matte: floats are clipped to 0 to 1. Raises InputError for floats far outside of it, and for NaN."""
    if pixels.dtype.kind != "f":
        return pixels
    low, high = _check_floats(pixels, name, "scale them to the range 0 to 1")
    return np.clip(pixels, 0, 1) if low < 0 or high > 1 else pixels


def _check_floats(pixels: NDArray[Any], name: str, remedy: str) -> tuple[float, float]:
    """The least and the greatest value. Raises InputError for floats far outside of 0 to 1, and for NaN."""
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -0.05 and high <= 1.05):  # true for NaN, too; resampling may exceed the range a little
        raise InputError(f"{name} holds floating-point values from {low:g} to {high:g}; {remedy}")
    return low, high


def _grey(colour: NDArray[Any], name: str) -> NDArray[Any]:
    """One channel of a grey picture that was saved as RGB."""
    low, high = colour.min(axis=2), colour.max(axis=2)
    with np.errstate(invalid="ignore"):  # ∞ − ∞ is NaN
        spread = float((high - low).max())
    if np.isnan(spread):
        in_range(colour, name)  # which refuses it
    if spread > 0.02 * full_scale(colour, name):  # lossy formats tint grey slightly
        raise InputError(f"{name} is a colour picture without transparency; give a grey matte or a cut-out")
    return colour[..., 1]
