"""Reads the header of Photoshop files.

Source: Adobe's file format specification of 2019.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from mattecli.errors import InputError
from mattecli.imaging.exif_facts import interop_of, plain_exif, usable_resolution
from mattecli.imaging.metadata import Metadata
from mattecli.imaging.reading.header import Header, Kind, Model, read_at
from mattecli.imaging.space import ColourTags

_MODELS: dict[int, tuple[Model, int]] = {1: ("grey", 1), 3: ("rgb", 3), 4: ("cmyk", 4), 9: ("lab", 3)}
_MODES = {0: "bitmap", 2: "indexed", 7: "multichannel", 8: "duotone"}
_KINDS: dict[int, Kind] = {8: "uint8", 16: "uint16", 32: "float"}


def psd_size(handle: BinaryIO) -> tuple[int, int]:
    """Width and height."""
    height, width = struct.unpack(">II", read_at(handle, 14, 8))
    return width, height


def psd_header(handle: BinaryIO, name: str) -> Header:
    """What the merged picture of a Photoshop file holds.

    Raises InputError for a file without one, and for a mode that is not read; ValueError for damage.
    """
    version, channels, height, width, depth, mode = struct.unpack(">H6xHIIHH", read_at(handle, 4, 22))
    if mode not in _MODELS or depth not in _KINDS:
        what = f"{_MODES.get(mode, 'unusual')} colours with {depth} bits"
        raise InputError(f"{name} is a Photoshop file of {what}; save it as RGB with 8 or 16 bits")
    model, colours = _MODELS[mode]
    at = 26
    at += 4 + struct.unpack(">I", read_at(handle, at, 4))[0]  # the palette
    length = struct.unpack(">I", read_at(handle, at, 4))[0]
    resources = dict(_resources(read_at(handle, at + 4, length)))
    version_info = resources.get(1057, b"")
    if version_info and len(version_info) > 4 and version_info[4] == 0:
        raise InputError(
            f"{name} has no merged picture; save it again in Photoshop with Maximize Compatibility, or as TIFF"
        )
    merged_alpha = channels > colours and _has_merged_alpha(handle, at + 4 + length, psb=version == 2)
    exif = plain_exif(resources.get(1058))
    return Header(
        width=width,
        height=height,
        count=colours + merged_alpha,
        kind=_KINDS[depth],
        bits=depth,
        model=model,
        alpha=colours if merged_alpha else None,
        inverted=model == "cmyk",  # 0 is full ink there
        offset=model == "lab",
        premultiplied=bool(merged_alpha),  # OpenImageIO takes the white away that Photoshop mixes in
        resolution=_resolution(resources.get(1005, b"")),
        tags=ColourTags(icc=resources.get(1039), interop=interop_of(exif)),
        metadata=Metadata(exif, resources.get(1060), resources.get(1028)),
    )


def iptc_of(resources: bytes) -> bytes | None:
    """The IPTC records among Photoshop's resources; None where there are none or they are damaged."""
    try:
        return dict(_resources(resources)).get(1028)
    except (ValueError, struct.error):
        return None


def _resources(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 12 <= len(content):
        if content[at : at + 4] not in (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR"):
            return
        code = struct.unpack_from(">H", content, at + 4)[0]
        at += 6 + (content[at + 6] + 2) // 2 * 2  # the name, padded
        if at + 4 > len(content):
            return
        size = struct.unpack_from(">I", content, at)[0]
        yield code, content[at + 4 : at + 4 + size]
        at += 4 + (size + 1) // 2 * 2


def _has_merged_alpha(handle: BinaryIO, at: int, *, psb: bool) -> bool:
    """Whether the first channel after the colours is transparency: a negative number of layers says so."""
    form = ">Q" if psb else ">I"
    wide = struct.calcsize(form)
    if not struct.unpack(form, read_at(handle, at, wide))[0]:
        return False
    if not struct.unpack(form, read_at(handle, at + wide, wide))[0]:
        return False
    return bool(struct.unpack(">h", read_at(handle, at + 2 * wide, 2))[0] < 0)


def _resolution(block: bytes) -> tuple[float, float] | None:
    """Pixels per inch, as fixed-point numbers of resource 1005."""
    if len(block) < 16:
        return None
    x, y = struct.unpack(">I4xI", block[:12])
    return usable_resolution((x / 65536, y / 65536))
