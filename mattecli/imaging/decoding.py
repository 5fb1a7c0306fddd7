"""Decodes image files to arrays, by format.

Pillow reads most formats. It reduces 16-bit colour to 8 bits, so OpenCV reads 16-bit PNG (`png.py`), and tifffile reads
16-bit and float TIFF (`tiff.py`); OpenCV reads the compressions that tifffile lacks.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageOps

from mattecli.errors import InputError
from mattecli.imaging.colour import space, to_srgb
from mattecli.imaging.decoded import ORIENTATION, Decoded, turned_resolution, usable_resolution, with_opencv
from mattecli.imaging.encoding import why_no_exr
from mattecli.imaging.open import Source, check_room, is_pipe, label, open_pillow, opened, translated
from mattecli.imaging.png import PNG, deep_png, png_exif
from mattecli.imaging.tiff import TIFF, deep_tiff, tiff_size

_EXR = b"\x76\x2f\x31\x01"


def decode(source: Source, *, colour_managed: bool) -> Decoded:
    """Read one image: a file, standard input for "-", or bytes.

    With `colour_managed`, a grey picture that has a profile is converted to sRGB, because its profile does not fit RGB.
    Mattes and trimaps are numbers, not colours, and are read without conversion.

    Raises InputError for what cannot be read or has too many pixels, DeviceError where memory is too small for it.
    """
    with opened(source) as (handle, head), translated(source):
        if head.startswith(b"\x93NUMPY"):
            return Decoded(np.load(handle, allow_pickle=False))
        if head.startswith(_EXR):
            return _exr(handle, source)
        if head.startswith(PNG) and head[24:25] == b"\x10":
            return deep_png(handle, head, source)
        if head.startswith(TIFF):
            deep = deep_tiff(handle, source)
            if deep is not None:
                return deep
            handle.seek(0)
        return _with_pillow(handle, head, source, colour_managed=colour_managed)


def decode_size(source: Source) -> tuple[int, int]:
    """Width and height of the upright picture, from the file's header. Raises InputError, also for a pipe."""
    if is_pipe(source):
        raise InputError(f"{label(source)} is a pipe and can be read only once; read the image and take its size")
    with opened(source) as (handle, head), translated(source):
        if head.startswith(b"\x93NUMPY"):
            if isinstance(source, bytes):
                height, width = np.load(handle, allow_pickle=False).shape[:2]
            else:
                height, width = np.load(source, mmap_mode="r", allow_pickle=False).shape[:2]
            return int(width), int(height)
        if head.startswith(_EXR):
            height, width = _exr(handle, source).pixels.shape[:2]
            return int(width), int(height)
        if head.startswith(TIFF):
            return tiff_size(handle)
        picture = open_pillow(handle, head, source)
        if head.startswith(PNG):
            picture.info.setdefault("exif", png_exif(handle))
        return picture.size[::-1] if picture.getexif().get(ORIENTATION, 1) >= 5 else picture.size


def _exr(handle: BinaryIO, source: Source) -> Decoded:
    if (reason := why_no_exr()) is not None:
        raise InputError(f"{label(source)} is OpenEXR, and {reason}; convert it to TIFF")
    return Decoded(with_opencv(handle))


def _with_pillow(handle: BinaryIO, head: bytes, source: Source, *, colour_managed: bool) -> Decoded:
    picture: PIL.Image.Image = open_pillow(handle, head, source)
    icc = picture.info.get("icc_profile") or None
    orientation = picture.getexif().get(ORIENTATION, 1)
    resolution = turned_resolution(usable_resolution(picture.info.get("dpi")), orientation)
    check_room(picture.width, picture.height, 4, source)  # Pillow holds a colour pixel in four bytes
    picture.load()  # turns a TIFF upright and drops its orientation tag
    ImageOps.exif_transpose(picture, in_place=True)
    picture, icc = _plain(picture, icc, colour_managed=colour_managed)
    return Decoded(_to_array(picture), icc, resolution)


def from_pillow(picture: PIL.Image.Image, *, colour_managed: bool) -> Decoded:
    """What `decode` makes of a file that somebody else has opened with Pillow; their picture stays as it is."""
    upright = ImageOps.exif_transpose(picture)
    plain, icc = _plain(upright, picture.info.get("icc_profile") or None, colour_managed=colour_managed)
    return Decoded(_to_array(plain), icc)


def _to_array(picture: PIL.Image.Image) -> NDArray[Any]:
    """The pixels, copied in bands. Pillow's own conversion would hold three copies of the picture."""
    first = np.asarray(picture.crop((0, 0, picture.width, 1)))
    pixels = np.empty((picture.height, *first.shape[1:]), first.dtype)
    for top in range(0, picture.height, 256):
        bottom = min(top + 256, picture.height)
        pixels[top:bottom] = np.asarray(picture.crop((0, top, picture.width, bottom)))
    return pixels


def _plain(
    picture: PIL.Image.Image, icc: bytes | None, *, colour_managed: bool
) -> tuple[PIL.Image.Image, bytes | None]:
    """The picture in mode L, I;16, F, RGB or RGBA, with the profile that fits this mode."""
    if picture.mode in {"CMYK", "LAB"}:
        return to_srgb(picture, icc)
    if picture.mode.startswith("I;16") or picture.mode in {"I", "F"}:
        # Pillow scales a PGM of more than 8 bits to 16 bits, in a 32-bit mode.
        deep_pgm = picture.mode == "I" and picture.format == "PPM"
        return picture.convert("I;16") if deep_pgm else picture, None
    grey = picture.mode in {"1", "L", "LA", "La"}
    transparent = picture.has_transparency_data
    if grey and colour_managed and space(icc) == b"GRAY":
        rgb, srgb = to_srgb(picture.convert("L"), icc)
        if transparent:
            rgb.putalpha(picture.convert("LA").getchannel("A"))
        return rgb, srgb
    mode = "RGBA" if transparent else "L" if grey else "RGB"
    plain = picture if picture.mode == mode else picture.convert(mode)
    return plain, icc if space(icc) == b"RGB " and mode != "L" else None
