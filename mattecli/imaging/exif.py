"""EXIF and XMP: orientation, colour space and resolution, from raw blocks."""

from __future__ import annotations

import os
import re
import struct
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image

from mattecli.imaging.header import BLOCK, file_size

if TYPE_CHECKING:
    from mattecli.imaging.tiff import Ifd

ORIENTATION = 0x0112  # the tag of EXIF and TIFF
_EXIF_IFD, _GPS_IFD, _INTEROP_IFD = 0x8769, 0x8825, 0xA005
# What says something of the photo rather than of how this file stores it (TIFF 6.0, EXIF 2.32).
_KEPT = {269, 270, 271, 272, 274, 282, 283, 285, 296, 305, 306, 315, 316, 33432, _EXIF_IFD, _GPS_IFD}
_TELLING = {271, 272, 306, 315, 33432, _EXIF_IFD, _GPS_IFD}  # without one of them there is nothing to carry
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
    except Exception:  # damaged metadata is no reason to refuse a picture
        return None
    return tags


def exif_of_tiff(ifd: Ifd) -> bytes | None:
    """The EXIF of a TIFF as a block of its own, with the tags that describe the photo; None where there is none."""
    kept = {code: entry for code, entry in ifd.entries.items() if code in _KEPT}
    if not kept.keys() & _TELLING or ifd.big:
        return None
    tags = PIL.Image.Exif()
    try:
        if sum(8 * count for _, count, _ in [*kept.values(), *_inner_entries(ifd)]) > BLOCK:
            return None
        tags.load_from_fp(_Extract(ifd, sorted(kept)))  # type: ignore[arg-type]
        for code in (_EXIF_IFD, _GPS_IFD):
            tags.get_ifd(code)
        return tags.tobytes().removeprefix(b"Exif\0\0")
    except Exception:  # damaged metadata is no reason to refuse a picture
        return None


def _inner_entries(ifd: Ifd) -> list[tuple[int, int, int]]:
    """The entries of the directories of EXIF and GPS. Raises ValueError for damaged ones."""
    from mattecli.imaging.tiff import read_ifd

    offsets = [ifd.number(code, 0) for code in (_EXIF_IFD, _GPS_IFD) if code in ifd.entries]
    inner = [read_ifd(ifd.handle, at, order=ifd.order, big=ifd.big) for at in offsets]
    return [entry for own in inner for entry in own.entries.values()]


class _Extract:
    """A TIFF with some tags of its first directory alone, for Pillow, which would read all values into memory."""

    def __init__(self, ifd: Ifd, codes: list[int]) -> None:
        self._handle, self._end = ifd.handle, file_size(ifd.handle)
        entries = b"".join(ifd.raw[code] for code in codes)
        self._directory = struct.pack(ifd.order + "H", len(codes)) + entries + bytes(4)
        self._head = (b"II" if ifd.order == "<" else b"MM") + struct.pack(ifd.order + "HI", 42, self._end)
        self._at = 0

    def seek(self, at: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end + len(self._directory)}
        self._at = base[whence] + at
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, count: int) -> bytes:
        if self._at < 8:
            content = self._head[self._at : self._at + count]
        elif self._at >= self._end:
            at = self._at - self._end
            content = self._directory[at : at + count]
        else:
            self._handle.seek(self._at)
            content = self._handle.read(count)
        self._at += len(content)
        return content


def usable_resolution(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    """The resolution (x, y) in dots per inch; None where a file states one that cannot be."""
    if dpi is None:
        return None
    x, y = float(dpi[0]), float(dpi[1])
    return (x, y) if np.isfinite([x, y]).all() and 1 <= x <= 10**6 and 1 <= y <= 10**6 else None
