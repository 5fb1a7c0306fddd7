"""Reads the chunks of PNG files, without decoding pixels.

Source: W3C's PNG specification, third edition.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.exif_facts import interop_of, orientation_in, plain_exif, usable_resolution
from mattecli.imaging.metadata import Metadata, raw_profile
from mattecli.imaging.reading.header import BLOCK, Header, file_size, read_at
from mattecli.imaging.reading.psd import iptc_of
from mattecli.imaging.space import ColourTags

_SIGNATURE = 8
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples per pixel, by the colour type
_READ = {b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"eXIf", b"iTXt", b"pHYs", b"tRNS", b"acTL", b"tEXt", b"zTXt"}
_COMPRESSED = (b"iCCP", b"zTXt", b"iTXt")  # the last only where it says so
_XMP, _RAW = b"XML:com.adobe.xmp", b"Raw profile type "


@dataclass(frozen=True)
class Chunks:
    """The size of a PNG, its colour type and bits, and its chunks other than pixels; the first of each kind counts.

    `compressed` are the places (start, end) of those whose content may be compressed; neighbours are one.
    """

    width: int
    height: int
    bits: int
    colour: int
    blocks: dict[bytes, bytes] = field(default_factory=dict)
    xmp: bytes | None = None
    texts: dict[str, str] = field(default_factory=dict)  # of these, only blocks in hexadecimal digits
    compressed: tuple[tuple[int, int], ...] = ()

    @property
    def exif(self) -> bytes | None:
        older = raw_profile(self.texts, "exif") or raw_profile(self.texts, "APP1")
        return plain_exif(self.blocks.get(b"eXIf") or older)

    @property
    def orientation(self) -> int:
        return orientation_in(self.exif, self.xmp)

    @property
    def tags(self) -> ColourTags:
        """What the chunks say of colours."""
        blocks = self.blocks
        cicp, gamma, white = blocks.get(b"cICP", b""), blocks.get(b"gAMA", b""), blocks.get(b"cHRM", b"")
        corners = [value / 100000 for value in struct.unpack(">8I", white)] if len(white) == 32 else None
        return ColourTags(
            icc=_profile(blocks.get(b"iCCP")),
            cicp=(cicp[0], cicp[1], cicp[2], cicp[3]) if len(cicp) == 4 else None,
            srgb=b"sRGB" in blocks,
            gamma=struct.unpack(">I", gamma)[0] / 100000 if len(gamma) == 4 else None,
            chromaticities=(*corners[2:], *corners[:2]) if corners else None,  # white comes first there
            interop=interop_of(self.exif),
        )

    @property
    def narrow(self) -> bool:
        """Whether black and white are 16 and 235 of 255, as in video (ITU-T H.273)."""
        cicp = self.tags.cicp
        return cicp is not None and cicp[3] == 0 and 2 not in cicp[:2]

    @property
    def metadata(self) -> Metadata:
        records = raw_profile(self.texts, "iptc")
        if records is not None and records.startswith(b"8BIM"):  # as ImageMagick has it
            records = iptc_of(records)
        return Metadata(self.exif, self.xmp or raw_profile(self.texts, "xmp"), records)

    @property
    def resolution(self) -> tuple[float, float] | None:
        """Pixels per inch."""
        block = self.blocks.get(b"pHYs", b"")
        if len(block) != 9 or block[8] != 1:
            return None
        x, y = struct.unpack(">II", block[:8])
        return usable_resolution((x * 0.0254, y * 0.0254))

    @property
    def clear_value(self) -> tuple[int, ...] | None:
        """The one colour that is transparent, in a picture without a palette and an alpha channel."""
        block = self.blocks.get(b"tRNS")
        if block is None or self.colour not in (0, 2) or len(block) < 2 * _SAMPLES[self.colour]:
            return None
        values = struct.unpack(f">{_SAMPLES[self.colour]}H", block[: 2 * _SAMPLES[self.colour]])
        return tuple(value & (2**self.bits - 1) for value in values)  # the other bits mean nothing

    def header(self) -> Header:
        """What a PNG of 16 bits decodes to."""
        count = _SAMPLES[self.colour]
        if self.clear_value is not None:  # OpenImageIO makes an alpha channel of it
            count += 1
        return Header(
            width=self.width,
            height=self.height,
            count=count,
            kind="uint16",
            bits=self.bits,
            model="grey" if count < 3 else "rgb",
            alpha=count - 1 if count in (2, 4) else None,
            narrow=self.narrow,
            orientation=self.orientation,
            resolution=self.resolution,
            tags=self.tags,
            metadata=self.metadata,
            notes=("only its first frame is read",) if b"acTL" in self.blocks else (),
        )


def full_range(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels of `Chunks.narrow`, uint8 or uint16, with black at 0 and white at full scale, in place; alpha stays."""
    colours = pixels[..., :3] if pixels.ndim == 3 and pixels.shape[2] == 4 else pixels
    most = np.iinfo(pixels.dtype).max
    step = (most + 1) // 256
    table = np.rint((np.arange(most + 1) - 16 * step) * (most / (219 * step))).clip(0, most).astype(pixels.dtype)
    colours[...] = table[colours]
    return pixels


def png_size(handle: BinaryIO) -> tuple[int, int]:
    """Width and height of the rows, without their orientation."""
    width, height = struct.unpack(">II", read_at(handle, 16, 8))
    return width, height


def png_chunks(handle: BinaryIO) -> Chunks:
    """Read all chunks but the pixels, which are skipped. Raises ValueError for a damaged or truncated file."""
    head = read_at(handle, _SIGNATURE, 25)
    width, height, bits, colour = struct.unpack(">IIBB", head[8:18])
    if head[4:8] != b"IHDR" or width < 1 or height < 1 or colour not in _SAMPLES:
        raise ValueError("its header is damaged")
    _check_sum(head[4:21], head[21:25])
    blocks: dict[bytes, bytes] = {}
    texts: dict[str, str] = {}
    compressed: list[tuple[int, int]] = []
    xmp, at, kept = None, _SIGNATURE + 25, 0
    while True:
        length, name = struct.unpack(">I4s", read_at(handle, at, 8))
        if name in _READ or name == b"IEND":
            content = read_at(handle, at + 8, length)
            _check_sum(name + content, read_at(handle, at + 8 + length, 4))
            kept += 12 + length
            if kept > BLOCK:
                raise ValueError(f"its header holds more than {BLOCK} bytes of metadata")
            if name == b"IEND":
                return Chunks(width, height, bits, colour, blocks, xmp, texts, tuple(compressed))
            if name in _COMPRESSED:
                start = compressed.pop()[0] if compressed and compressed[-1][1] == at else at
                compressed.append((start, at + 12 + length))
            blocks.setdefault(name, content)
            xmp = xmp or _packet(name, content)
            if name in (b"tEXt", b"zTXt") and content.startswith(_RAW):
                texts.setdefault(*_text(name, content))
        at += 12 + length


class Without(io.RawIOBase):
    """A file without these parts of it, (start, end) in order.

    Pillow refuses a PNG whose profile or text inflates to more than 1 MiB. It gets the file without the chunks that are
    read here, so that its limit, which is the whole program's, need not be raised.
    """

    def __init__(self, handle: BinaryIO, parts: Sequence[tuple[int, int]]) -> None:
        self._handle = handle
        starts, ends = [0, *(end for _, end in parts)], [*(start for start, _ in parts), file_size(handle)]
        self._kept = list(zip(starts, ends, strict=True))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        size = sum(end - start for start, end in self._kept)
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: size}[whence]
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        at = self._at
        for start, end in self._kept:
            if at < end - start:
                self._handle.seek(start + at)
                content = self._handle.read(min(len(buffer), end - start - at))
                buffer[: len(content)] = content
                self._at += len(content)
                return len(content)
            at -= end - start
        return 0


def _check_sum(content: bytes, stated: bytes) -> None:
    if zlib.crc32(content) != int.from_bytes(stated, "big"):
        raise ValueError(f"the check sum of {content[:4].decode('latin-1')} is wrong")


def _profile(block: bytes | None) -> bytes | None:
    """The profile in an iCCP chunk; None for a damaged one."""
    if block is None:
        return None
    return _inflated(block.partition(b"\0")[2][1:])


def _packet(name: bytes, content: bytes) -> bytes | None:
    """XMP in a text chunk."""
    if name != b"iTXt" or not content.startswith(_XMP + b"\0"):
        return None
    compressed = content[len(_XMP) + 1 : len(_XMP) + 2] == b"\1"
    text = content[len(_XMP) + 3 :].partition(b"\0")[2].partition(b"\0")[2]
    return _inflated(text) if compressed else text


def _text(name: bytes, content: bytes) -> tuple[str, str]:
    """The keyword and the text of a chunk; nothing where it is damaged."""
    keyword, _, rest = content.partition(b"\0")
    text = (_inflated(rest[1:]) or b"") if name == b"zTXt" else rest
    return keyword.decode("latin-1"), text.decode("latin-1")


def _inflated(content: bytes) -> bytes | None:
    stream = zlib.decompressobj()
    try:
        whole = stream.decompress(content, BLOCK)
    except zlib.error:
        return None
    return whole if stream.eof else None
