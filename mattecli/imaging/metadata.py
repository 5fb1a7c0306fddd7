"""What a file says of its picture besides the pixels.

The blocks are read whole, and made right for the pixels of a new file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from mattecli.imaging import exif_blocks, xmp

if TYPE_CHECKING:
    import PIL.Image

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_XMP_TAG, _IPTC_TAG, _RESOURCES_TAG = 700, 33723, 34377  # of TIFF
_IPTC_RESOURCE = 0x0404  # of Photoshop


@dataclass(frozen=True)
class Windows:
    """OpenEXR's windows, each (x, y, width, height): `data` has pixels, `display` is what a viewer shows."""

    data: tuple[int, int, int, int]
    display: tuple[int, int, int, int]


@dataclass(frozen=True)
class Metadata:
    """The raw blocks of a file, to be written again: EXIF (TIFF structure), XMP (a packet), IPTC (IIM records).

    `attributes` are those of an OpenEXR file, by name.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    windows: Windows | None = None


def read_metadata(handle: BinaryIO, picture: PIL.Image.Image | None = None) -> Metadata:
    """The EXIF, XMP and IPTC blocks of a file: of TIFF from its tags, of other formats as Pillow finds them.

    `picture` is the same file opened with Pillow; only a TIFF needs none. Blocks that are damaged are left out. The
    handle's position changes.
    """
    handle.seek(0)
    if handle.read(4) in _TIFF:
        return _of_tiff(handle)
    if picture is None:
        return Metadata()
    info = picture.info
    block = info.get("exif") or raw_profile(info, "exif") or raw_profile(info, "APP1")
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp") or raw_profile(info, "xmp")
    return Metadata(
        exif=_tiff_structure(block),
        xmp=packet.encode() if isinstance(packet, str) else packet,
        iptc=_iptc_of(info),
    )


def _tiff_structure(block: bytes | None) -> bytes | None:
    """The block without the name that some formats put before it; None where it is damaged."""
    if not block:
        return None
    block = block.removeprefix(exif_blocks.PREFIX)
    try:
        exif_blocks.parse(BytesIO(block))
    except exif_blocks.BrokenExifError:
        return None
    return block


def _iptc_of(info: Mapping[Any, Any]) -> bytes | None:
    resources = info.get("photoshop")
    records = resources.get(_IPTC_RESOURCE) if isinstance(resources, dict) else raw_profile(info, "iptc")
    if records is not None and records.startswith(b"8BIM"):  # a PNG by ImageMagick: IPTC inside Photoshop's block
        records = _iptc_resource(records)
    return records or None


def raw_profile(info: Mapping[Any, Any], name: str) -> bytes | None:
    """A block as older PNG files hold it: a name, a length and hexadecimal digits in a text chunk."""
    text = info.get(f"Raw profile type {name}")
    found = re.fullmatch(r"\s*\w+(?: profile)?\s+\d+\s+([0-9a-fA-F\s]+)", text) if isinstance(text, str) else None
    digits = "".join(found[1].split()) if found else ""
    return bytes.fromhex(digits) if digits and len(digits) % 2 == 0 else None


def _of_tiff(handle: BinaryIO) -> Metadata:
    try:
        tags = exif_blocks.parse(handle).entries
        values = {tag: tags[tag].value for tag in (_XMP_TAG, _IPTC_TAG, _RESOURCES_TAG) if tag in tags}
        return Metadata(
            exif=exif_blocks.from_tiff(handle),
            xmp=values.get(_XMP_TAG) or None,
            iptc=values.get(_IPTC_TAG) or _iptc_resource(values.get(_RESOURCES_TAG, b"")),
        )
    except exif_blocks.BrokenExifError:
        return Metadata()


def _iptc_resource(resources: bytes) -> bytes | None:
    """The IPTC records among Photoshop's image resources: `8BIM`, a number, a name, a length and the content."""
    at = 0
    while resources[at : at + 4] == b"8BIM" and at + 12 <= len(resources):
        number = int.from_bytes(resources[at + 4 : at + 6], "big")
        name = 1 + resources[at + 6]
        start = at + 6 + name + name % 2 + 4
        length = int.from_bytes(resources[start - 4 : start], "big")
        if number == _IPTC_RESOURCE:
            return resources[start : start + length] or None
        at = start + length + length % 2
    return None


def iptc_resource(iptc: bytes) -> bytes:
    """IPTC records as one of Photoshop's image resources, as JPEG files hold them."""
    return (
        b"8BIM"
        + _IPTC_RESOURCE.to_bytes(2, "big")
        + b"\0\0"
        + len(iptc).to_bytes(4, "big")
        + iptc
        + b"\0" * (len(iptc) % 2)
    )


def for_pixels(metadata: Metadata, *, size: tuple[int, int], srgb: bool) -> Metadata:
    """The metadata to write beside upright pixels of `size`; see `exif_blocks.patched` and `xmp.cleaned`.

    A block that is damaged is left out.
    """
    return replace(
        metadata,
        exif=None if metadata.exif is None else exif_blocks.patched(metadata.exif, size=size, srgb=srgb),
        xmp=None if metadata.xmp is None else xmp.cleaned(metadata.xmp, size=size),
    )
