"""Encodes arrays as image files, by suffix.

The same pixels give the same bytes: nothing that changes between runs, such as a date or a version, is written.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import numpy as np
import PIL.Image
import tifffile
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mattecli.imaging.image import Image


@dataclass(frozen=True)
class Format:
    """What a file format can hold: depths in bits per channel (32 is floating point), colour and alpha.

    `exact` means that grey values are stored without loss.
    """

    name: str
    depths: tuple[int, ...]
    alpha: bool
    save: Callable[[BinaryIO, Image], None]
    colour: bool = True
    exact: bool = True

    def nearest(self, depth: int) -> int:
        """The depth to write pixels of this depth with: the same, or the next lower, or the lowest that there is."""
        return max((own for own in self.depths if own <= depth), default=min(self.depths))


def _png(handle: BinaryIO, image: Image) -> None:
    done, encoded = cv2.imencode(".png", _to_bgr(image.pixels), [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not done:
        raise ValueError("OpenCV cannot encode it as PNG")
    after_header = 8 + 25  # signature and IHDR; profile and resolution must come before the pixels
    handle.write(encoded[:after_header].data)
    if image.icc:
        handle.write(_png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(image.icc, 9)))
    if image.resolution:
        x, y = (round(per_inch / 0.0254) for per_inch in image.resolution)
        handle.write(_png_chunk(b"pHYs", struct.pack(">IIB", x, y, 1)))
    handle.write(encoded[after_header:].data)


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _to_bgr(pixels: NDArray[Any]) -> NDArray[Any]:
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels)
    return cv2.cvtColor(
        np.ascontiguousarray(pixels), cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    )


def _tiff(handle: BinaryIO, image: Image) -> None:
    grey = image.pixels.ndim == 2
    integers = image.pixels.dtype.kind == "u"
    tifffile.imwrite(
        handle,
        image.pixels,
        photometric="minisblack" if grey else "rgb",
        planarconfig=None if grey else "contig",
        extrasamples=["unassalpha"] if not grey and image.pixels.shape[2] == 4 else None,
        compression="zlib",
        predictor=2 if integers else None,  # tifffile needs imagecodecs for the floating-point predictor
        iccprofile=image.icc,
        resolution=image.resolution,
        resolutionunit="inch" if image.resolution else None,
        metadata=None,
        software=False,
    )


def _pillow(name: str, **options: Any) -> Callable[[BinaryIO, Image], None]:
    def save(handle: BinaryIO, image: Image) -> None:
        extras: dict[str, Any] = {}
        if image.icc:
            extras["icc_profile"] = image.icc
        if image.resolution:
            extras["dpi"] = image.resolution
        PIL.Image.fromarray(image.pixels).save(handle, name, **options, **extras)

    return save


def _webp(handle: BinaryIO, image: Image) -> None:
    # A grey picture is a matte and must be lossless. `exact` keeps the colours of transparent pixels.
    lossless = image.pixels.ndim == 2
    _pillow("WEBP", lossless=lossless, quality=95, alpha_quality=100, exact=True)(handle, image)


def _avif(handle: BinaryIO, image: Image) -> None:
    # As for WebP. Quality 100 is lossless if no colours are converted.
    options = {"quality": 95, "subsampling": "4:4:4"} if image.pixels.ndim == 3 else {"quality": 100}
    _pillow("AVIF", **options)(handle, image)


def _npy(handle: BinaryIO, image: Image) -> None:
    np.save(handle, image.pixels, allow_pickle=False)


def _exr(handle: BinaryIO, image: Image) -> None:
    done, encoded = cv2.imencode(".exr", np.ascontiguousarray(image.pixels))
    if not done:
        raise ValueError("OpenCV cannot encode it as EXR")
    handle.write(encoded.data)


_JPEG = Format("JPEG", (8,), False, _pillow("JPEG", quality=95, subsampling="4:4:4"), exact=False)
_TIFF = Format("TIFF", (8, 16, 32), True, _tiff)
FORMATS = {
    ".png": Format("PNG", (8, 16), True, _png),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": Format("WebP", (8,), True, _webp),
    ".avif": Format("AVIF", (8,), True, _avif),
    ".bmp": Format("BMP", (8,), False, _pillow("BMP")),
    ".npy": Format("NumPy", (32,), True, _npy),
    # Colours in EXR are linear and premultiplied by convention; ours are neither, so EXR holds mattes only.
    ".exr": Format("EXR", (32,), False, _exr, colour=False),
}


def known_suffixes() -> list[str]:
    """The suffixes that can be written here: OpenCV may come without EXR."""
    os.environ["OPENCV_IO_ENABLE_OPENEXR"] = "1"  # OpenCV asks for it when the first EXR comes
    return [suffix for suffix in FORMATS if suffix != ".exr" or cv2.haveImageWriter("x.exr")]


def to_png(image: Image) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    _png(buffer, image)
    return buffer.getvalue()
