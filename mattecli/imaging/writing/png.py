"""Writes PNG of 8 and 16 bits with zlib.

This is more than twice as fast as OpenCV's encoder at 16 bits, holds a band of rows instead of a second picture in
memory, and puts profile, code points and metadata where the format wants them; `benchmarks/files_write.py` measures it.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mattecli.imaging.image import Image
    from mattecli.imaging.options import WriteOptions

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # grey, RGB, RGBA, by the number of channels
_UP = 2  # the filter that stores each byte as its difference from the byte above
_ROWS = 64
_LARGEST = 2**31 - 1  # of any number in a chunk


def save_png(handle: BinaryIO, image: Image, options: WriteOptions) -> None:  # noqa: ARG001 - as all encoders
    """Write a PNG (PNG third edition, W3C 2025). Colours under alpha 0 are kept."""
    pixels = image.pixels
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    height, width = pixels.shape[:2]
    handle.write(_SIGNATURE)
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, _COLOUR_TYPES[channels], 0, 0, 0)
    _chunk(handle, b"IHDR", header)
    if image.cicp:
        primaries, transfer, _, full = image.cicp
        _chunk(handle, b"cICP", bytes([primaries, transfer, 0, full]))  # 0: PNG stores RGB, never YCbCr
    if image.icc:
        _chunk(handle, b"iCCP", b"ICC profile\0\0" + zlib.compress(image.icc, 9))
    if image.resolution:
        x, y = (min(round(per_inch / 0.0254), _LARGEST) for per_inch in image.resolution)
        _chunk(handle, b"pHYs", struct.pack(">IIB", x, y, 1))
    _metadata(handle, image)
    _pixels(handle, pixels)
    _chunk(handle, b"IEND", b"")


def _chunk(handle: BinaryIO, name: bytes, content: bytes) -> None:
    handle.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)))


def _metadata(handle: BinaryIO, image: Image) -> None:
    metadata = image.metadata
    if metadata.exif:
        _chunk(handle, b"eXIf", metadata.exif)
    if metadata.xmp:
        _chunk(handle, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp)
    if metadata.iptc:  # PNG has no field for it; this is ImageMagick's, which ExifTool reads too
        digits = metadata.iptc.hex()
        lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
        text = f"\niptc\n{len(metadata.iptc):8}\n{lines}\n"
        _chunk(handle, b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text.encode(), 9))


def _pixels(handle: BinaryIO, pixels: NDArray[Any]) -> None:
    """The pixels as IDAT chunks. Photos hold hardly any repeated strings, so runs are all that zlib looks for."""
    packer = zlib.compressobj(strategy=zlib.Z_RLE)
    row_bytes = pixels[0].nbytes
    above = np.zeros(row_bytes, np.uint8)
    for top in range(0, len(pixels), _ROWS):
        band = np.ascontiguousarray(pixels[top : top + _ROWS], pixels.dtype.newbyteorder(">"))
        rows = band.view(np.uint8).reshape(-1, row_bytes)
        filtered = np.empty((len(rows), 1 + row_bytes), np.uint8)
        filtered[:, 0] = _UP
        np.subtract(rows[0], above, out=filtered[0, 1:])
        np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
        above = rows[-1]
        packed = packer.compress(filtered.data)
        if packed:
            _chunk(handle, b"IDAT", packed)
    _chunk(handle, b"IDAT", packer.flush())
