"""Reads the boxes of AVIF, HEIC, JPEG XL and JPEG 2000.

Sources: ISO/IEC 14496-12, 18181 and 15444-1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import brotli

from mattecli.errors import InputError
from mattecli.imaging.exif_facts import interop_of, orientation_in, plain_exif
from mattecli.imaging.metadata import Metadata
from mattecli.imaging.reading.header import BLOCK, Header, file_size, read_at
from mattecli.imaging.space import CICP, ColourTags

_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_EXIF = b"JpgTiffExif->JP2"
_IPTC = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_MOST = 1024  # boxes of a file
_NO_ENTRIES = 14  # bytes of an EXIF block that says nothing, as OpenImageIO writes it
_SLOW = 6.0  # libjxl and OpenJPEG hold the picture several times, in 32 bits


def boxes(handle: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes between two places: name, and where the content begins and ends. Stops at a damaged one."""
    for _ in range(_MOST):
        if at + 8 > end:
            return
        size, name = struct.unpack(">I4s", read_at(handle, at, 8))
        inner = at + 8
        if size == 1 and at + 16 <= end:
            size = struct.unpack(">Q", read_at(handle, inner, 8))[0]
            inner += 8
        stop = end if size == 0 else at + size
        if stop < inner:
            return
        yield name, inner, min(stop, end)
        at = stop


def nclx_of(handle: BinaryIO) -> CICP | None:
    """The code points in the first `colr` box of an AVIF or HEIC file."""
    end = file_size(handle)
    for name, at, stop in boxes(handle, 0, end):
        if name != b"meta":
            continue
        for inner, start, last in boxes(handle, at + 4, stop):
            if inner != b"iprp":
                continue
            for box, first, until in boxes(handle, start, last):
                if box == b"ipco":
                    return _nclx(handle, first, until)
    return None


def _nclx(handle: BinaryIO, at: int, end: int) -> CICP | None:
    for name, first, last in boxes(handle, at, end):
        if name == b"colr" and last - first >= 11 and read_at(handle, first, 4) == b"nclx":
            primaries, transfer, matrix, full = struct.unpack(">HHHB", read_at(handle, first + 4, 7))
            return primaries, transfer, matrix, full >> 7
    return None


# --- JPEG XL ----------------------------------------------------------------------------------------------------------


class _Bits:
    """Bits from the least significant one on, as JPEG XL counts them."""

    def __init__(self, content: bytes) -> None:
        self._value, self._left = int.from_bytes(content, "little"), 8 * len(content)

    def __call__(self, count: int) -> int:
        if count > self._left:
            raise ValueError("it ends in the middle of its header")
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return taken

    def choice(self, *options: tuple[int, int]) -> int:
        """One of four: (bits to read, number to add)."""
        bits, more = options[self(2)]
        return self(bits) + more


def jxl_start(handle: BinaryIO) -> tuple[_Bits, int, int]:
    """The bits of a JPEG XL codestream behind its size, width and height (ISO/IEC 18181-1, annex D)."""
    bits = _Bits(_codestream(handle))
    small = bits(1)

    def side() -> int:
        return (bits(5) + 1) * 8 if small else bits.choice((9, 1), (13, 1), (18, 1), (30, 1))

    height = side()
    across, down = ((0, 0), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[bits(3)]
    return bits, (height * across // down if across else side()), height


def jxl_size(handle: BinaryIO) -> tuple[int, int]:
    """Width and height of the upright picture."""
    bits, width, height = jxl_start(handle)
    orientation = _jxl_extras(bits)[0]
    return (height, width) if orientation >= 5 else (width, height)


def _jxl_extras(bits: _Bits) -> tuple[int, bool]:
    """The orientation, and whether the picture moves."""
    if bits(1) or not bits(1):  # all defaults, or none of the extra fields
        return 1, False
    orientation = 1 + bits(3)
    if bits(1) or bits(1):  # an intrinsic size or a preview: what follows is not needed
        return orientation, False
    return orientation, bool(bits(1))


def _codestream(handle: BinaryIO) -> bytes:
    """The first bytes of the codestream, without its signature; in a container it may be split."""
    if read_at(handle, 0, 2) == b"\xff\x0a":
        return read_at(handle, 2, min(64, file_size(handle) - 2))
    found = b""
    for name, at, end in boxes(handle, 0, file_size(handle)):
        start = at + 4 if name == b"jxlp" else at
        if name in (b"jxlc", b"jxlp") and len(found) < 64 and start <= end:
            found += read_at(handle, start, min(64, end - start))
    if found[:2] != b"\xff\x0a":
        raise ValueError("it holds no picture")
    return found[2:]


def jxl_header(handle: BinaryIO) -> Header:
    """What a JPEG XL file holds, as far as its header is read here; libjxl turns the picture upright itself."""
    bits, width, height = jxl_start(handle)
    orientation, moves = _jxl_extras(bits)
    if orientation >= 5:
        width, height = height, width
    return Header(
        width=width,
        height=height,
        count=4,
        kind=None,
        bits=16,
        metadata=jxl_metadata(handle),
        notes=("only its first frame is read",) if moves else (),
        whole=True,
        times=_SLOW / 2,  # of four channels of floats
    )


def jxl_metadata(handle: BinaryIO) -> Metadata:
    """EXIF and XMP from the boxes of a JPEG XL file, also from those that Brotli compressed."""
    exif = xmp = None
    if read_at(handle, 0, 2) == b"\xff\x0a":
        return Metadata()
    for box, at, end in boxes(handle, 0, file_size(handle)):
        name, start = (read_at(handle, at, 4), at + 4) if box == b"brob" and end - at > 4 else (box, at)
        if name not in (b"Exif", b"xml ") or end - start >= BLOCK:
            continue
        block = read_at(handle, start, end - start)
        if box == b"brob":
            block = _unpacked(block)
        if name == b"Exif" and exif is None and len(block) > 4:
            exif = plain_exif(block[4 + int.from_bytes(block[:4], "big") :])
            exif = None if exif is not None and len(exif) <= _NO_ENTRIES else exif
        elif name == b"xml " and xmp is None:
            xmp = block or None
    return Metadata(exif, xmp)


def _unpacked(packed: bytes) -> bytes:
    """What Brotli (RFC 7932) compressed; nothing where that is damaged or longer than a block may be."""
    unpacking = brotli.Decompressor()
    try:
        content: bytes = unpacking.process(packed, output_buffer_limit=BLOCK)
    except brotli.error:
        return b""
    return content if unpacking.is_finished() else b""


# --- JPEG 2000 --------------------------------------------------------------------------------------------------------


def jp2_header(handle: BinaryIO, name: str) -> Header:
    """What a JPEG 2000 file holds, by its SIZ marker (ISO/IEC 15444-1, annex A). Raises InputError and ValueError."""
    blocks: dict[bytes, bytes] = {}
    start, icc, alpha = 0, None, None
    if read_at(handle, 0, 4) != b"\xff\x4f\xff\x51":
        start, icc, alpha = _jp2_boxes(handle, blocks)
    marker = read_at(handle, start, 42)
    if marker[:4] != b"\xff\x4f\xff\x51":
        raise ValueError("it holds no picture")
    right, bottom, left, top, tile_x, tile_y = struct.unpack(">6I", marker[8:32])
    count = struct.unpack(">H", marker[40:42])[0]
    if right <= left or bottom <= top or not tile_x or not tile_y or not 1 <= count <= 1024:
        raise ValueError("it states no size")
    components = struct.unpack(f"{3 * count}B", read_at(handle, start + 42, 3 * count))
    depths = {1 + (value & 127) for value in components[::3]}
    if len(depths) > 1 or max(depths) > 16 or any(value & 128 for value in components[::3]):
        raise InputError(f"{name} is a JPEG 2000 of {max(depths)} bits; save it with 8 or 16 bits")
    if set(components[1::3]) | set(components[2::3]) != {1}:
        raise InputError(f"{name} is a JPEG 2000 with colours at a lower resolution; save it as RGB or TIFF")
    if count > 4:
        raise InputError(f"{name} is a JPEG 2000 of {count} channels; save it as RGB or grey")
    exif, xmp = plain_exif(blocks.get(_EXIF)), blocks.get(_XMP)
    return Header(
        width=right - left,
        height=bottom - top,
        count=count,
        kind="uint8" if max(depths) <= 8 else "uint16",
        bits=max(depths),
        model="rgb" if count >= 3 else "grey",
        alpha=alpha if alpha is not None else count - 1 if count in (2, 4) else None,
        orientation=orientation_in(exif, None),
        tags=ColourTags(icc=icc, interop=interop_of(exif)),
        metadata=Metadata(exif, xmp, blocks.get(_IPTC)),
        whole=True,
        times=_SLOW,
    )


def _jp2_boxes(handle: BinaryIO, blocks: dict[bytes, bytes]) -> tuple[int, bytes | None, int | None]:
    """Where the codestream begins, the profile, and the channel of opacity; fills `blocks` with uuid boxes."""
    start, icc, alpha = 0, None, None
    for name, at, end in boxes(handle, 0, file_size(handle)):
        if name == b"jp2h":
            for inner, first, last in boxes(handle, at, end):
                if inner == b"colr" and icc is None and last - first > 3 and read_at(handle, first, 1) in b"\2\3":
                    icc = read_at(handle, first + 3, last - first - 3)
                if inner == b"cdef":
                    content = read_at(handle, first, last - first)
                    count = struct.unpack(">H", content[:2])[0]
                    for channel, kind, _ in struct.iter_unpack(">3H", content[2 : 2 + 6 * count]):
                        alpha = channel if kind in (1, 2) else alpha
        elif name == b"uuid" and end - at < BLOCK and end - at > 16:
            blocks.setdefault(read_at(handle, at, 16), read_at(handle, at + 16, end - at - 16))
        elif name == b"jp2c":
            start = at
            break
    return start, icc, alpha


def jp2_size(handle: BinaryIO) -> tuple[int, int]:
    """Width and height of the upright picture."""
    return jp2_header(handle, "it").size
