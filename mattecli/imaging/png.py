"""Reads 16-bit PNG, which Pillow would reduce to 8 bits."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from mattecli.imaging.colour import space
from mattecli.imaging.decoded import ORIENTATION, Decoded, upright, usable_resolution, with_opencv
from mattecli.imaging.open import Source, check_room, open_pillow

PNG = b"\x89PNG\r\n\x1a\n"

_SAMPLES = {0: 1, 2: 3, 4: 2}  # samples per pixel, by the colour type in the header


def deep_png(handle: BinaryIO, head: bytes, source: Source) -> Decoded:
    """A PNG of 16 bits, upright. Raises InputError and DeviceError for a picture that is too large."""
    open_pillow(handle, head, source).verify()  # the chunks' check sums: OpenCV may fill what is missing
    handle.seek(0)
    picture = open_pillow(handle, head, source)
    picture.info.setdefault("exif", png_exif(handle))
    icc, resolution = picture.info.get("icc_profile"), usable_resolution(picture.info.get("dpi"))
    orientation = picture.getexif().get(ORIENTATION, 1)
    handle.seek(0)
    check_room(*picture.size, 2 * _SAMPLES.get(head[25], 4), source)
    pixels = with_opencv(handle)
    if pixels.ndim == 2 or space(icc) != b"RGB ":  # a grey profile does not fit the RGB that is made of the picture
        icc = None
    clear = picture.info.get("transparency")
    if pixels.ndim == 2 and isinstance(clear, int):  # a transparent grey; OpenCV handles that in RGB only
        opacity = np.where(pixels == clear, 0, 65535).astype(np.uint16)
        pixels = np.dstack([pixels, pixels, pixels, opacity])
    return upright(Decoded(pixels, icc, resolution), orientation)


def png_exif(handle: BinaryIO) -> bytes:
    """The EXIF chunk. It may follow the pixels, where Pillow finds it only after decoding all of them."""
    at = len(PNG)
    while True:
        handle.seek(at)
        head = handle.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return b""
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"eXIf":
            return handle.read(length)
        at += 12 + length
