"""XMP packets, patched for new pixels.

The orientation is reset, and what the new pixels make wrong is dropped; all other bytes stay.
"""

from __future__ import annotations

import re
from xml.parsers import expat

_TIFF, _EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
# Lightroom's and Camera Raw's settings would be applied again. The others hold or describe parts of the file that are
# gone: the gain map of an HDR photo, the film of a motion photo, the untouched photo and the depth of a portrait.
_DROPPED = (
    "http://ns.adobe.com/camera-raw-settings/1.0/",
    "http://ns.adobe.com/camera-raw-saved-settings/1.0/",
    "http://ns.adobe.com/hdr-gain-map/1.0/",
    "http://ns.apple.com/HDRGainMap/1.0/",
    "http://ns.google.com/photos/1.0/container/",
    "http://ns.google.com/photos/1.0/container/item/",
    "http://ns.google.com/photos/1.0/camera/",
    "http://ns.google.com/photos/1.0/image/",
    "http://ns.google.com/photos/1.0/depthmap/",
    "http://ns.google.com/photos/1.0/audio/",
    "http://ns.google.com/photos/1.0/focus/",
    "http://ns.adobe.com/xmp/note/",  # the name of an extension, which is part of the packet here
)
_DYNAMIC_DEPTH = "http://ns.google.com/photos/dd/1.0/"  # each of its namespaces begins so
_PHOTOSHOP, _XMP = "http://ns.adobe.com/photoshop/1.0/", "http://ns.adobe.com/xap/1.0/"
_THUMBNAILS = (_XMP, "Thumbnails")  # of the old picture
_COLOURS = ((_PHOTOSHOP, "ICCProfile"), (_EXIF, "ColorSpace"))  # names of the old space
# Places in the old frame: of faces and subjects, and of the frame in a panorama.
_REGIONS = "http://www.metadataworkinggroup.com/schemas/regions/"
_PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
_PLACES = (
    ("http://ns.microsoft.com/photo/1.2/", "RegionInfo"),
    ("http://iptc.org/std/Iptc4xmpExt/2008-02-29/", "ImageRegion"),
    (_EXIF, "SubjectArea"),
    (_EXIF, "SubjectLocation"),
)
_SEPARATOR = "\n"  # between namespace and name; neither can hold it

# How a packet begins: with a byte order mark, or with `<`.
_ENCODINGS = (
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0\0\0", "utf-32-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\0<", "utf-16-be"),
    (b"<\0", "utf-16-le"),
)

Span = tuple[int, int, bytes]  # from, to, replacement


def cleaned(packet: bytes, *, size: tuple[int, int], converted: bool = False, reframed: bool = False) -> bytes | None:
    """The packet for upright pixels of `size` (width, height); None for one that is damaged or declares entities.

    `tiff:Orientation` becomes 1, and sizes are set where the packet has them. Settings of Camera Raw (`crs`), gain
    maps, motion photos, copies of the untouched photo, depth maps and thumbnails are dropped, as attributes and as
    elements. So are the names of the colour space where the colours were `converted` to another one, and places in the
    picture, such as faces, where it was `reframed`.
    """
    text = as_utf8(packet)
    if text is None or b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        return None
    width, height = (str(side).encode() for side in size)
    values = {
        (_TIFF, "Orientation"): b"1",
        **{(_TIFF, name): value for name, value in (("ImageWidth", width), ("ImageLength", height))},
        **{(_EXIF, name): value for name, value in (("PixelXDimension", width), ("PixelYDimension", height))},
    }
    try:
        spans = _Edits(text, values, _dropped(converted=converted, reframed=reframed)).spans
    except (expat.ExpatError, ValueError):
        return None
    result = bytearray(text)
    for start, end, new in sorted(spans, reverse=True):
        result[start:end] = new
    return bytes(result)


def _dropped(*, converted: bool, reframed: bool) -> tuple[tuple[str, str | None], ...]:
    """Pairs of a namespace and a name in it that are dropped; None for all names."""
    spaces = (*_DROPPED, *((_REGIONS, _PANORAMA) if reframed else ()))
    names = (_THUMBNAILS, *(_COLOURS if converted else ()), *(_PLACES if reframed else ()))
    return *((space, None) for space in spaces), *names


def as_utf8(packet: bytes) -> bytes | None:
    """A packet in UTF-8, without the NULs that pad it; None where it is damaged. It may be in UTF-16 or UTF-32."""
    encoding = next((name for begin, name in _ENCODINGS if packet.startswith(begin)), "utf-8")
    try:
        return packet.decode(encoding).strip("\0\ufeff").encode()
    except UnicodeDecodeError:
        return None


class _Edits:
    """The places of a packet that change, found while expat walks through it."""

    def __init__(
        self, text: bytes, values: dict[tuple[str, str], bytes], dropped: tuple[tuple[str, str | None], ...]
    ) -> None:
        self.spans: list[Span] = []
        self._text, self._values, self._dropped = text, values, dropped
        self._dropping = 0  # how many of the open elements are being dropped
        self._open: list[tuple[int, int, bytes | None]] = []  # of each open element: its tag's ends, its new text
        self._parser = expat.ParserCreate(None, _SEPARATOR)
        self._parser.namespace_prefixes = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.Parse(text, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        at = self._parser.CurrentByteIndex
        end = tag_end(self._text, at)
        space, local, _ = _parts(name)
        if self._dropping or self._drops(space, local):
            self._dropping += 1
        else:
            self._change_attributes(at, end, attributes)
        self._open.append((at, end, None if self._dropping else self._values.get((space, local))))

    def _end(self, _name: str) -> None:
        start, text, value = self._open.pop()
        empty = self._text[text - 2 : text] == b"/>"
        closing = text if empty else self._parser.CurrentByteIndex
        if value is not None and not empty:
            self.spans.append((text, closing, value))
        if self._dropping:
            self._dropping -= 1
            if not self._dropping:
                self.spans.append((start, text if empty else self._text.index(b">", closing) + 1, b""))

    def _drops(self, space: str, local: str) -> bool:
        return not {(space, None), (space, local)}.isdisjoint(self._dropped) or space.startswith(_DYNAMIC_DEPTH)

    def _change_attributes(self, at: int, end: int, attributes: dict[str, str]) -> None:
        for name in attributes:
            space, local, prefix = _parts(name)
            value = self._values.get((space, local))
            if value is None and not self._drops(space, local):
                continue
            qualified = re.escape(f"{prefix}:{local}".encode())
            found = re.compile(rb"\s+" + qualified + rb"\s*=\s*(\"[^\"]*\"|'[^']*')").search(self._text, at, end)
            if found is None:
                raise ValueError("an attribute that cannot be found")
            self.spans.append((*found.span(), b"") if value is None else (*found.span(1), b'"' + value + b'"'))


def _parts(name: str) -> tuple[str, str, str]:
    """Namespace, local name and prefix; a name without a namespace has neither of the other two."""
    parts = name.split(_SEPARATOR)
    return ("", name, "") if len(parts) == 1 else (parts[0], parts[1], parts[2] if len(parts) > 2 else "")


def tag_end(text: bytes, at: int) -> int:
    """Behind the `>` of the tag that starts here; attributes may hold that sign."""
    found = re.compile(rb"<(?:[^\"'>]|\"[^\"]*\"|'[^']*')*>").match(text, at)
    if found is None:
        raise ValueError("a tag without an end")
    return found.end()
