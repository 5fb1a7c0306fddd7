"""What EXIF and XMP say of orientation, colour space and resolution."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import PIL.Image
from PIL import ExifTags
from PIL.TiffImagePlugin import IFDRational

from mattecli.imaging import exif_blocks
from mattecli.imaging.xmp import as_utf8

ORIENTATION = 0x0112  # the tag of EXIF and TIFF
_INTEROP_IFD, _EXIF_IFD, _GPS_IFD = 0xA005, 0x8769, 0x8825
# Tags of the first directory, and their names in OpenImageIO.
_FIRST = {270: "ImageDescription", 271: "Make", 272: "Model", 305: "Software", 306: "DateTime", 315: "Artist"}
_FIRST |= {33432: "Copyright"}
_COLOUR_SPACE = 0xA001
_OF_PIXELS = frozenset([0xA001, 0xA002, 0xA003, 0xA005])  # colour space and sizes
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>)\s*([1-8])\s*[\"'<]")


def plain_exif(block: bytes | None) -> bytes | None:
    """An EXIF block without the marker that JPEG puts before it; None for an empty one."""
    block = (block or b"").removeprefix(b"Exif\0\0")
    return block or None


def orientation_of(value: object) -> int:
    """An orientation from 1 to 8; 1 for anything else."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def orientation_in(exif: bytes | None, xmp: bytes | None) -> int:
    """The orientation that EXIF states, or else XMP."""
    tags = _load(exif)
    if tags is not None and ORIENTATION in tags:
        return orientation_of(tags[ORIENTATION])
    found = _XMP_ORIENTATION.search((xmp and as_utf8(xmp)) or b"")
    return int(found[1]) if found else 1


def interop_of(exif: bytes | None) -> str | None:
    """EXIF's InteroperabilityIndex: "R98" is sRGB, "R03" AdobeRGB, also where only the colour space states it."""
    tags = _load(exif)
    if tags is None:
        return None
    try:
        index = tags.get_ifd(_INTEROP_IFD).get(1)
    except Exception:  # a damaged directory says nothing
        return None
    text = index.decode("latin-1") if isinstance(index, bytes) else str(index or "")
    stated = _directory(tags, _EXIF_IFD).get(_COLOUR_SPACE)
    return text.strip("\0 ") or ("R03" if stated == exif_blocks.ADOBE_RGB else None)


def attributes_of(exif: bytes | None) -> dict[str, Any]:
    """What a photo's EXIF says, under the names of OpenImageIO's attributes; tuples are (type, numbers).

    Bytes, such as maker's notes, and what describes the stored pixels are left out.
    """
    tags = _load(_plain_text(exif))
    found: dict[str, Any] = {}
    if tags is None:
        return found
    details, place = (_directory(tags, number) for number in (_EXIF_IFD, _GPS_IFD))
    for directory, names in ((tags, _FIRST), (details, ExifTags.TAGS), (place, ExifTags.GPSTAGS)):
        for tag, value in directory.items():
            name = names.get(tag)
            if name is None or tag in _OF_PIXELS or (known := _attribute(value)) is None:
                continue
            if directory is details:
                name = {33434: "ExposureTime", 33437: "FNumber"}.get(tag, f"Exif:{name}")
            elif directory is place:
                name = name.replace("GPS", "GPS:", 1)
            found[name] = known
    return found


def _directory(tags: PIL.Image.Exif, number: int) -> dict[int, Any]:
    try:
        return tags.get_ifd(number)
    except Exception:  # a damaged directory says nothing
        return {}


def _attribute(value: Any) -> Any:
    """A text, a number, or numbers as (type, list); None for anything else."""
    if isinstance(value, str):
        return _utf8(value).strip("\0 ") or None
    if isinstance(value, (int, float, IFDRational)):
        number = int(value) if isinstance(value, int) else float(value)
        return number if np.isfinite(number) and abs(number) < 2**31 else None
    if isinstance(value, tuple) and value and all(isinstance(part, (int, float, IFDRational)) for part in value):
        numbers = [float(part) for part in value]
        return (f"float[{len(numbers)}]", numbers) if np.isfinite(numbers).all() else None
    return None


def _plain_text(exif: bytes | None) -> bytes | None:
    """A block whose text of EXIF 3.0 has a type that Pillow knows; a damaged block as it is."""
    try:
        return exif and exif_blocks.with_plain_text(exif)
    except exif_blocks.BrokenExifError:
        return exif


def _utf8(text: str) -> str:
    """Text that Pillow took for Latin-1, as UTF-8 where it is that: EXIF 3.0 has it, and many programs write it."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _load(exif: bytes | None) -> PIL.Image.Exif | None:
    """The tags of a block; None for a damaged one."""
    if exif is None:
        return None
    tags = PIL.Image.Exif()
    try:
        tags.load(exif)
    except Exception:  # a picture with damaged metadata can still be read
        return None
    return tags


def usable_resolution(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    """The resolution (x, y) in dots per inch; None where a file states one that cannot be."""
    if dpi is None:
        return None
    x, y = float(dpi[0]), float(dpi[1])
    return (x, y) if np.isfinite([x, y]).all() and 1 <= x <= 10**6 and 1 <= y <= 10**6 else None
