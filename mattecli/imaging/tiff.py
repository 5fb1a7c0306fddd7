"""Reads 16-bit and float TIFF, which Pillow cannot read whole."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.colour import space
from mattecli.imaging.decoded import (
    ORIENTATION,
    Decoded,
    turned_resolution,
    upright,
    usable_resolution,
    with_opencv,
)
from mattecli.imaging.open import Source, check_pixels, check_room, label

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def deep_tiff(handle: BinaryIO, source: Source) -> Decoded | None:
    """A TIFF of 16-bit or floating-point grey or RGB(A). Returns None for a TIFF that Pillow can read.

    Raises InputError for a kind of pixels or compression that cannot be read, and InputError or DeviceError for a
    picture that is too large.
    """
    with tifffile.TiffFile(handle) as tiff:
        page: Any = tiff.pages.first
        check_pixels(page.imagewidth, page.imagelength, source)
        if page.bitspersample <= 8 or page.photometric not in (0, 1, 2):
            return None
        depths = {"u2": (16,), "f2": (16,), "f4": (24, 32), "f8": (64,)}
        if page.dtype is None or page.bitspersample not in depths.get(page.dtype.str[1:], ()):
            raise InputError(
                f"{label(source)} is a TIFF of {page.bitspersample}-bit integers; save it with 8 or 16 bits or as float"
            )
        check_room(page.imagewidth, page.imagelength, page.samplesperpixel * page.bitspersample // 8, source)
        orientation = _tag(page, ORIENTATION, 1)
        pixels, turned = _pixels(page, handle, source)
        if pixels.dtype.kind == "f":
            pixels = pixels.astype(np.float32, copy=False)
        if page.photometric == 0:  # white is zero
            pixels = (1.0 if pixels.dtype.kind == "f" else 65535) - pixels
        icc = _tag(page, 34675, None)  # the tag of an ICC profile
        fits = page.photometric == 2 and space(icc) == b"RGB "
        decoded = Decoded(_without_extras(pixels, page.extrasamples), icc if fits else None, _resolution(page))
    if turned:
        return Decoded(decoded.pixels, decoded.icc, turned_resolution(decoded.resolution, orientation))
    return upright(decoded, orientation)


def tiff_size(handle: BinaryIO) -> tuple[int, int]:
    """Width and height of the upright picture, from the header."""
    with tifffile.TiffFile(handle) as tiff:
        page: Any = tiff.pages.first
        size = page.imagewidth, page.imagelength
        return size[::-1] if _tag(page, ORIENTATION, 1) >= 5 else size


def _pixels(page: Any, handle: BinaryIO, source: Source) -> tuple[NDArray[Any], bool]:
    """Pixels (H, W) or (H, W, S), and whether they are upright already."""
    try:
        pixels: NDArray[Any] = page.asarray()
    except (KeyError, ImportError, ValueError) as error:
        if "imagecodecs" not in str(error) and not isinstance(error, ImportError):
            raise
        handle.seek(0)
        try:
            return with_opencv(handle), True  # OpenCV always applies the orientation of a TIFF
        except ValueError:
            raise InputError(
                f"{label(source)} is truncated or damaged, or its compression ({page.compression.name}) cannot be read "
                "here; export it again, without compression or with ZIP"
            ) from error
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        pixels = np.moveaxis(pixels, 0, -1)
    return pixels, False


def _without_extras(pixels: NDArray[Any], extras: tuple[int, ...]) -> NDArray[Any]:
    """Grey, RGB or straight RGBA. Samples other than colour and alpha are dropped; premultiplied colour is divided."""
    if pixels.ndim == 2:
        return pixels
    colours = 3 if pixels.shape[2] - len(extras) >= 3 else 1
    # An extra sample of meaning 0 is a saved selection. A fourth sample without a tag is an alpha channel.
    meaning = extras[0] if extras else 2 if pixels.shape[2] > colours else 0
    if pixels.shape[2] == colours or meaning not in (1, 2):
        return pixels[..., :3] if colours == 3 else pixels[..., 0]
    colour, alpha = pixels[..., :colours], pixels[..., colours : colours + 1]
    if meaning == 1:
        full = 1.0 if pixels.dtype.kind == "f" else 65535.0
        straight = np.divide(colour, alpha, out=np.zeros(colour.shape, np.float32), where=alpha > 0)
        straight = np.clip(straight, 0, 1) * full
        colour = (straight if pixels.dtype.kind == "f" else np.rint(straight)).astype(pixels.dtype)
    return np.concatenate([np.broadcast_to(colour, (*colour.shape[:2], 3)), alpha], axis=2)


def _resolution(page: Any) -> tuple[float, float] | None:
    unit = _tag(page, 296, 2)  # 2: per inch, 3: per centimetre
    per_inch = {2: 1.0, 3: 2.54}.get(int(unit))
    x, y = _tag(page, 282, None), _tag(page, 283, None)
    if per_inch is None or not x or not y or not x[1] or not y[1]:
        return None
    return usable_resolution((x[0] / x[1] * per_inch, y[0] / y[1] * per_inch))


def _tag(page: Any, code: int, default: Any) -> Any:
    tag = page.tags.get(code)
    return default if tag is None else tag.value
