"""Conversions with LittleCMS: any ICC profile, 8 bits a channel.

The intent is relative colorimetric with black point compensation everywhere.
"""

from __future__ import annotations

import io
import struct
from functools import lru_cache
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageCms

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_BLACK_POINT = ImageCms.Flags.BLACKPOINTCOMPENSATION
_SAME = 4  # of 255 levels: sRGB profiles differ that much, because their tables are rounded


def space(icc: bytes | None) -> bytes:
    """The colour space of a profile (ICC.1, header bytes 16 to 19)."""
    return icc[16:20] if icc else b""


def same_profile(one: bytes | None, other: bytes | None) -> bool:
    """Whether two profiles of RGB pictures mean the same. No profile means sRGB."""
    return one == other or (_is_srgb(one) and _is_srgb(other))


@lru_cache(maxsize=16)
def _is_srgb(icc: bytes | None) -> bool:
    """Whether a profile is sRGB by what it does. Its name is not reliable ("Linear sRGB")."""
    if icc is None:
        return True
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(9, 81, 3)
    converted = to_profile(colours, icc, None)
    return converted is not None and int(np.abs(converted.astype(int) - colours).max()) <= _SAME


def to_profile(pixels: NDArray[Any], icc: bytes | None, target: bytes | None) -> NDArray[np.uint8] | None:
    """Convert RGB (H, W, 3) to another profile. Returns None if it is not uint8, or if a profile is broken."""
    if pixels.dtype != np.uint8:
        return None
    try:
        transform = ImageCms.buildTransform(
            _profile(icc), _profile(target), "RGB", "RGB", renderingIntent=_INTENT, flags=_BLACK_POINT
        )
    except (ImageCms.PyCMSError, OSError):
        return None
    picture = PIL.Image.fromarray(pixels)
    ImageCms.applyTransform(picture, transform, inPlace=True)
    return np.asarray(picture)


def usable(icc: bytes) -> bool:
    """Whether LittleCMS can convert RGB pictures of this profile."""
    return to_profile(np.zeros((1, 1, 3), np.uint8), icc, None) is not None


def _profile(icc: bytes | None) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(icc) if icc else ImageCms.createProfile("sRGB"))


def to_srgb(picture: PIL.Image.Image, icc: bytes | None) -> tuple[PIL.Image.Image, bytes | None]:
    """The picture in sRGB, with the profile of sRGB. Without a profile: by Pillow's formula, and without a profile."""
    if icc is None and picture.mode != "LAB":
        return picture.convert("RGB"), None
    srgb = ImageCms.createProfile("sRGB")
    try:
        profile: Any = ImageCms.ImageCmsProfile(io.BytesIO(icc)) if icc else ImageCms.createProfile("LAB")
        flags = ImageCms.Flags.NOOPTIMIZE if picture.mode == "L" else ImageCms.Flags.HIGHRESPRECALC
        transform = ImageCms.buildTransform(
            profile, srgb, picture.mode, "RGB", renderingIntent=_INTENT, flags=flags | _BLACK_POINT
        )
    except (ImageCms.PyCMSError, OSError):  # broken, or not for these pixels: treated as no profile
        return picture.convert("RGB"), None
    profile_bytes = bytearray(ImageCms.ImageCmsProfile(srgb).tobytes())
    profile_bytes[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # instead of the current time
    if picture.mode != "L":
        return ImageCms.applyTransform(picture, transform) or picture, bytes(profile_bytes)
    # LittleCMS's fast tables are wrong by up to 10 of 255 levels in dark greys, and its exact conversion is slow. So
    # only the 256 possible values are converted exactly, and the picture looks its values up.
    ramp = ImageCms.applyTransform(PIL.Image.frombytes("L", (256, 1), bytes(range(256))), transform)
    bands = ramp.split() if ramp else ()
    return PIL.Image.merge("RGB", [picture.point(list(band.tobytes())) for band in bands]), bytes(profile_bytes)
