"""What EXIF and XMP say of orientation, colour space and resolution."""

from __future__ import annotations

import re

import numpy as np
import PIL.Image

ORIENTATION = 0x0112  # the tag of EXIF and TIFF
_INTEROP_IFD = 0xA005
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
    found = _XMP_ORIENTATION.search(xmp or b"")
    return int(found[1]) if found else 1


def interop_of(exif: bytes | None) -> str | None:
    """EXIF's InteroperabilityIndex: "R98" is sRGB, "R03" AdobeRGB."""
    tags = _load(exif)
    if tags is None:
        return None
    try:
        index = tags.get_ifd(_INTEROP_IFD).get(1)
    except Exception:  # a damaged directory says nothing
        return None
    text = index.decode("latin-1") if isinstance(index, bytes) else str(index or "")
    return text.strip("\0 ") or None


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
