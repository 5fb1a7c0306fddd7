"""RGB profiles with the tones of grey ones."""

from __future__ import annotations

import dataclasses
import struct

from mattecli.imaging.space import ColourTags

_D50 = (0.9642, 1.0, 0.8249)
# The primaries of sRGB, adapted to D50; their sum is D50, so that equal values are neutral (ICC.1, annex E).
_PRIMARIES = {
    b"rXYZ": (28578, 14581, 912),
    b"gXYZ": (25241, 46981, 6362),
    b"bXYZ": (9376, 3974, 46786),
}


def fitting(tags: ColourTags, *, grey: bool) -> tuple[ColourTags, tuple[str, ...]]:
    """The tags with the profile that fits the RGB that is made of a picture, and a note where there is none."""
    icc = tags.icc
    if icc is None or icc[16:20] == b"RGB ":  # an RGB profile fits grey too: equal values mean a tone in it
        return tags, ()
    profile = grey_as_rgb_profile(icc) if grey else None
    notes = () if profile else ("its colour profile does not fit its pixels and is ignored",)
    return dataclasses.replace(tags, icc=profile), notes


def grey_as_rgb_profile(icc: bytes) -> bytes | None:
    """An RGB profile with the tone curve of a grey one, so that grey values need no conversion.

    A grey value v becomes R = G = B = v, which means the same tone in it. Returns None for a profile that is damaged or
    whose curve gives L* (a connection space of Lab).
    """
    if icc[16:20] != b"GRAY" or icc[20:24] != b"XYZ ":
        return None
    curve = _tag(icc, b"kTRC")
    if curve is None or curve[:4] not in (b"curv", b"para"):
        return None
    name = b"Grey as RGB"
    fixed = {key: b"XYZ " + bytes(4) + struct.pack(">3i", *value) for key, value in _PRIMARIES.items()}
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + b"\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in _D50)),
        **fixed,
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    return _profile(tags, version=icc[8:12])


def _tag(icc: bytes, name: bytes) -> bytes | None:
    """The content of a tag; None where there is none."""
    try:
        count = struct.unpack_from(">I", icc, 128)[0]
        for index in range(min(count, 100)):
            own, at, size = struct.unpack_from(">4sII", icc, 132 + 12 * index)
            if own == name and size >= 12 and at + size <= len(icc):
                return icc[at : at + size]
    except struct.error:
        return None
    return None


def _profile(tags: dict[bytes, bytes], *, version: bytes) -> bytes:
    """A display profile (ICC.1:2001): header, table and contents; equal contents are stored once."""
    table, body, places = struct.pack(">I", len(tags)), b"", {}
    start = 128 + 4 + 12 * len(tags)
    for key, content in tags.items():
        if content not in places:
            places[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
        table += key + struct.pack(">II", places[content], len(content))
    white = struct.pack(">3i", 63190, 65536, 54061)
    head = struct.pack(">I4s4s4s4s4s", start + len(body), bytes(4), version, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp"  # a fixed date: the same file gives the same bytes
    return (head.ljust(68, b"\0") + white).ljust(128, b"\0") + table + body
