"""Extended XMP of JPEG: packets too long for one segment.

The packet in its own segment names the extension by the MD5 sum of its bytes. The extension's segments follow, each
with that name, the whole length and its offset (XMP specification, part 3, 1.1.3.1).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from xml.parsers import expat

from mattecli.imaging.xmp import tag_end

MARK = b"http://ns.adobe.com/xmp/extension/\0"
_HEAD = struct.Struct(">32sII")  # name, whole length, offset
_LONGEST = 65_000  # bytes of the extension in a segment
_RDF, _NOTE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://ns.adobe.com/xmp/note/"
_BEGIN = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'.encode()
_END = b"</rdf:RDF></x:xmpmeta>"


def joined(packet: bytes, segments: Iterable[bytes]) -> bytes | None:
    """A packet of UTF-8 with what its extension holds; None where that is not whole, or one of the two is damaged.

    `segments` are those that begin with `MARK`, in any order. The packet itself is given where there are none for it.
    """
    pieces: dict[int, bytes] = {}
    name, length = b"", 0
    for segment in segments:
        own, length_here, offset = _HEAD.unpack_from(segment.ljust(len(MARK) + _HEAD.size), len(MARK))
        if own in packet:
            name, length, pieces[offset] = own, length_here, segment[len(MARK) + _HEAD.size :]
    if not pieces:
        return packet
    extension = b"".join(pieces[offset] for offset in sorted(pieces))
    if len(extension) != length or _name(extension) != name:
        return None
    try:
        own, more = _Packet(packet), _Packet(extension)
    except (expat.ExpatError, ValueError):
        return None
    return own.text[: own.end] + b"".join(more.descriptions) + own.text[own.end :]


def split(packet: bytes, limit: int) -> tuple[bytes, list[bytes]] | None:
    """A packet of at most `limit` bytes, and the segments of its extension; None where that cannot be done.

    Descriptions stay in the packet in their order while there is room.
    """
    if len(packet) <= limit:
        return packet, []
    try:
        whole = _Packet(packet)
    except (expat.ExpatError, ValueError):
        return None
    room = limit - len(whole.text) + sum(end - start for start, end in whole.spans) - len(_note(b"0" * 32))
    kept: list[bytes] = []
    moved: list[bytes] = []
    for (start, end), description in zip(whole.spans, whole.descriptions, strict=True):
        fits = end - start <= room
        room -= (end - start) if fits else 0
        kept.append(whole.text[start:end] if fits else b"")
        if not fits:
            moved.append(description)
    if room < 0:
        return None
    extension = _BEGIN + b"".join(moved) + _END
    name = _name(extension)
    main, at = [], 0
    for (start, end), text in zip(whole.spans, kept, strict=True):
        main += [whole.text[at:start], text]
        at = end
    main += [whole.text[at : whole.end], _note(name), whole.text[whole.end :]]
    offsets = range(0, len(extension), _LONGEST)
    heads = (MARK + _HEAD.pack(name, len(extension), offset) for offset in offsets)
    return b"".join(main), [
        head + extension[offset : offset + _LONGEST] for head, offset in zip(heads, offsets, strict=True)
    ]


def _name(extension: bytes) -> bytes:
    return hashlib.md5(extension, usedforsecurity=False).hexdigest().upper().encode()


def _note(name: bytes) -> bytes:
    names = f'xmlns:rdf="{_RDF}" xmlns:xmpNote="{_NOTE}"'.encode()
    return b'<rdf:Description %b rdf:about="" xmpNote:HasExtendedXMP="%b"/>' % (names, name)


class _Packet:
    """The descriptions of a packet.

    `spans` are where they stand in `text`, and `descriptions` the same ones with all namespaces that they need. `end`
    is where further ones belong. Raises ExpatError or ValueError for another text.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.spans: list[tuple[int, int]] = []
        self.descriptions: list[bytes] = []
        self.end = -1
        self._depth, self._inside, self._start = 0, -1, 0
        self._outer: dict[str | None, str] = {}  # namespaces that elements around the descriptions declare
        self._declared: dict[str | None, str] = {}  # those of the next element
        self._own: set[str | None] = set()
        self._parser = expat.ParserCreate(None, "\n")
        self._parser.StartNamespaceDeclHandler = self._declare
        self._parser.StartElementHandler = self._open
        self._parser.EndElementHandler = self._close
        self._parser.Parse(text, True)
        if self.end < 0:
            raise ValueError("no RDF")

    def _declare(self, prefix: str | None, uri: str) -> None:
        self._declared[prefix] = uri

    def _open(self, name: str, _attributes: Sequence[str]) -> None:
        self._depth += 1
        if self._inside < 0:
            self._outer.update(self._declared)
            if name == f"{_RDF}\nRDF":
                self._inside = self._depth
        elif self._depth == self._inside + 1:
            self._start, self._own = self._parser.CurrentByteIndex, set(self._declared)
        self._declared = {}

    def _close(self, _name: str) -> None:
        at = self._parser.CurrentByteIndex
        if self._depth == self._inside:
            if self.text[at : at + 2] != b"</":
                raise ValueError("an RDF without content")
            self.end, self._inside = at, -1
        elif self._inside > 0 and self._depth == self._inside + 1:
            self._add(tag_end(self.text, at))
        self._depth -= 1

    def _add(self, end: int) -> None:
        text = self.text[self._start : end]
        self.spans.append((self._start, end))
        name = next(at for at, byte in enumerate(text) if byte in b" \t\r\n/>" and at)
        missing = (
            f' xmlns{f":{prefix}" if prefix else ""}="{uri}"'.encode()
            for prefix, uri in self._outer.items()
            if prefix not in self._own
        )
        self.descriptions.append(text[:name] + b"".join(missing) + text[name:])
