"""EXIF blocks: patched for new pixels, moved between formats.

An EXIF block is a TIFF structure (TIFF 6.0, EXIF 3.0): directories of entries, whose larger values stand elsewhere in
the block. Values are copied as bytes; only what is listed at `patched` changes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from typing import BinaryIO

PREFIX = b"Exif\0\0"  # in JPEG, and before the blocks that Pillow gives
EXIF_DIRECTORY, GPS_DIRECTORY, INTEROP_DIRECTORY = 0x8769, 0x8825, 0xA005
_DIRECTORIES = (EXIF_DIRECTORY, GPS_DIRECTORY, INTEROP_DIRECTORY)
_MAKER_NOTE = 0x927C
_ORIENTATION, _COLOUR_SPACE, _INTEROP_INDEX = 0x0112, 0xA001, 0x0001
_PLACES = (0x9214, 0xA214)  # the subject's area and location, in pixels of the frame before it is turned
ADOBE_RGB = 2  # as some cameras state the colour space; EXIF 3.0 knows 1, sRGB, and 65535, "uncalibrated"
_WIDTHS, _HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)
_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)  # bytes of a value, by its type in the entry
_INTEGERS = {3: "H", 4: "I", 8: "h", 9: "i"}  # types of two and four bytes, the last two with a sign
_TEXT, _LONG, _LONG8 = 2, 4, 16  # types
_UTF8 = 129  # the type of EXIF 3.0, which other TIFF readers do not know
# The entries of a TIFF's first directory that describe the picture. The others say how its pixels are stored.
_DESCRIPTIVE = frozenset(
    [0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298, *range(0x9C9B, 0x9CA0)]
)
_MOST_ENTRIES, _MOST_BYTES = 4096, 2**26


@dataclass(frozen=True)
class Entry:
    """One entry: its TIFF type, the number of values, their bytes, and where these stand."""

    kind: int
    count: int
    value: bytes
    at: int


@dataclass(frozen=True)
class Directory:
    """The entries of a directory by tag, the directories that its entries point to, and where its `next` stands."""

    entries: Mapping[int, Entry]
    below: Mapping[int, Directory]
    next_at: int


class BrokenExifError(ValueError):
    """An EXIF block or TIFF header that cannot be parsed."""


# ValueError is BrokenExifError, and that of a file for places of BigTIFF from 2⁶³ on.
_UNREADABLE = (ValueError, struct.error, IndexError, OverflowError, OSError)


def order_of(exif: bytes) -> str:
    """The byte order of a block, for `struct`: `<` or `>`. Raises BrokenExifError."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        raise BrokenExifError("neither II nor MM")
    return order


def orientation_of(exif: bytes) -> int:
    """The orientation, 1 to 8; 1 where the block has none or is damaged."""
    try:
        value = _number(parse(BytesIO(exif)).entries.get(_ORIENTATION), order_of(exif))
    except BrokenExifError:
        return 1
    return value if value and 1 <= value <= 8 else 1


def is_damaged(exif: bytes) -> bool:
    """Whether nothing of a block can be read."""
    try:
        parse(BytesIO(exif))
    except BrokenExifError:
        return True
    return False


def parse(handle: BinaryIO) -> Directory:
    """The first directory of an EXIF block or a TIFF file, with those it points to. Raises BrokenExifError.

    Entries are left out whose value or directory cannot be read, as of a maker's note that was cut.
    """
    try:
        return _Reader(handle).directory()
    except _UNREADABLE as error:
        raise BrokenExifError(str(error)) from error


class _Reader:
    """Reads directories; `big` is for BigTIFF, whose numbers have eight bytes."""

    def __init__(self, handle: BinaryIO) -> None:
        self.handle = handle
        head = self.read(0, 16 if self.read(0, 4)[2:4] in (b"\x2b\0", b"\0\x2b") else 8)
        self.order = order_of(head)
        magic = struct.unpack_from(self.order + "H", head, 2)[0]
        if magic not in (42, 43):
            raise BrokenExifError("not a TIFF structure")
        self.big = magic == 43
        self.first = struct.unpack_from(self.order + ("Q" if self.big else "I"), head, 8 if self.big else 4)[0]

    def read(self, at: int, count: int) -> bytes:
        self.handle.seek(at)
        data = self.handle.read(count)
        if len(data) != count:
            raise BrokenExifError("a value lies behind the end")
        return data

    def directory(self, at: int | None = None, depth: int = 0) -> Directory:
        at = self.first if at is None else at
        wide, number = (8, "Q") if self.big else (2, "H")
        (count,) = struct.unpack(self.order + number, self.read(at, wide))
        if count > _MOST_ENTRIES:
            raise BrokenExifError("too many entries")
        size = 20 if self.big else 12
        entries, below = {}, {}
        for start in range(at + wide, at + wide + count * size, size):
            tag, entry = self.entry(start)
            if entry is None:
                continue
            if tag in _DIRECTORIES and depth < 2 and len(entry.value) in (4, 8):
                form = self.order + ("I" if len(entry.value) == 4 else "Q")
                try:
                    below[tag] = self.directory(struct.unpack(form, entry.value)[0], depth + 1)
                except _UNREADABLE:
                    continue
            entries[tag] = entry
        return Directory(entries, below, at + wide + count * size)

    def entry(self, start: int) -> tuple[int, Entry | None]:
        """A tag and its entry; None where its value cannot be read, or is far too long for what describes a picture."""
        room, number = (8, "Q") if self.big else (4, "I")
        tag, kind, count = struct.unpack(self.order + "HH" + number, self.read(start, 4 + room))
        length = count * (_SIZES[kind] if kind < len(_SIZES) else int(kind == _UTF8))
        if length > _MOST_BYTES:  # strips, and what a damaged count claims
            return tag, None
        at = start + 4 + room
        if length > room:
            at = struct.unpack(self.order + number, self.read(at, room))[0]
        try:
            return tag, Entry(kind, count, self.read(at, length), at)
        except _UNREADABLE:
            return tag, None


def patched(exif: bytes, *, size: tuple[int, int], srgb: bool, reframed: bool = False) -> bytes | None:
    """The block for upright pixels of `size` (width, height), with all other bytes and places as they were.

    Orientation becomes 1, width and height are set where the block has them, and the thumbnail's directory is no longer
    pointed to. For pixels in sRGB, the colour space becomes sRGB, and an interoperability index of AdobeRGB R98; for
    other pixels a colour space that is stated becomes "uncalibrated". The subject's place goes if the frame
    was `reframed`, turned or has another size. None for a block whose first
    directory cannot be read; other damage stays.
    """
    try:
        first, order = parse(BytesIO(exif)), order_of(exif)
        result = bytearray(exif)
        struct.pack_into(order + "I", result, first.next_at, 0)
    except (BrokenExifError, struct.error):
        return None
    details = first.below.get(EXIF_DIRECTORY)
    interop = details.below.get(INTEROP_DIRECTORY) if details else None
    turned = _number(first.entries.get(_ORIENTATION), order) not in (None, 1)
    sides = [_number(details.entries.get(tags[1]), order) if details else None for tags in (_WIDTHS, _HEIGHTS)]
    _set(result, first.entries.get(_ORIENTATION), 1, order)
    for directory in (first, details) if details else (first,):
        for tags, side in ((_WIDTHS, size[0]), (_HEIGHTS, size[1])):
            for tag in tags:
                _set(result, directory.entries.get(tag), side, order)
    index = interop.entries.get(_INTEROP_INDEX) if interop else None
    space = details.entries.get(_COLOUR_SPACE) if details else None
    if srgb:
        _set(result, space, 1, order)
        if index and index.value[:3] == b"R03" and len(index.value) >= 4:
            result[index.at : index.at + 4] = b"R98\0"
    elif _number(space, order) in (1, ADOBE_RGB):
        _set(result, space, 65535, order)
    if details and (reframed or turned or any(side not in (None, own) for side, own in zip(sides, size, strict=True))):
        (table,) = struct.unpack_from(order + "I", first.entries[EXIF_DIRECTORY].value)  # a block is no BigTIFF
        for tag in _PLACES:
            _remove(result, table, tag, order)
    return bytes(result)


def without_orientation(exif: bytes) -> bytes:
    """A block without its orientation, for which Pillow would rewrite it in AVIF; all other values stay in place.

    Raises BrokenExifError.
    """
    first, order = parse(BytesIO(exif)), order_of(exif)
    if _ORIENTATION not in first.entries:
        return exif
    result = bytearray(exif)
    _remove(result, struct.unpack_from(order + "I", exif, 4)[0], _ORIENTATION, order)
    return bytes(result)


def _remove(block: bytearray, table: int, tag: int, order: str) -> None:
    """Take an entry out of the directory at `table`; the entries behind it move up. Nothing where it is missing."""
    (count,) = struct.unpack_from(order + "H", block, table)
    end = table + 2 + 12 * count
    for start in range(table + 2, end, 12):
        if struct.unpack_from(order + "H", block, start)[0] == tag:
            block[start : end + 4] = block[start + 12 : end + 4] + bytes(12)
            struct.pack_into(order + "H", block, table, count - 1)
            return


def _number(entry: Entry | None, order: str) -> int | None:
    """The first number of an entry; None where it is missing or of another kind."""
    form = _INTEGERS.get(entry.kind) if entry else None
    return struct.unpack_from(order + form, entry.value)[0] if entry and form and entry.count else None


def _set(block: bytearray, entry: Entry | None, value: int, order: str) -> None:
    """Overwrite one number of two or four bytes; nothing where the entry is missing or of another kind."""
    form = _INTEGERS.get(entry.kind) if entry else None
    if entry and form and entry.count >= 1 and value < 2 ** (8 * struct.calcsize(form) - form.islower()):
        struct.pack_into(order + form, block, entry.at, value)


def from_tiff(handle: BinaryIO) -> bytes | None:
    """What a TIFF file says of its picture as an EXIF block, in the file's byte order; None where it says nothing.

    Values are copied as bytes. Entries on how the pixels are stored are left out. Raises BrokenExifError.
    """
    first, reader = parse(handle), _Reader(handle)
    kept = {tag: entry for tag, entry in first.entries.items() if tag in _DESCRIPTIVE or tag in first.below}
    if not kept:
        return None
    return _block(Directory(kept, first.below, 0), reader.order)


def with_plain_text(exif: bytes) -> bytes:
    """A block whose text of EXIF 3.0 is TIFF's text, with the same bytes; the block itself where it has none.

    Raises BrokenExifError.
    """
    first, order = parse(BytesIO(exif)), order_of(exif)
    plain = _with_plain_text(first)
    return exif if plain == first else _block(plain, order)


def _with_plain_text(directory: Directory) -> Directory:
    entries = {
        tag: replace(entry, kind=_TEXT) if entry.kind == _UTF8 else entry for tag, entry in directory.entries.items()
    }
    return replace(directory, entries=entries, below={tag: _with_plain_text(d) for tag, d in directory.below.items()})


def _block(directory: Directory, order: str) -> bytes:
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + dump(directory, order, base=8)


def dump(directory: Directory, order: str, *, base: int, big: bool = False) -> bytes:
    """A directory and those below it as bytes that stand at `base` of a block or file; `big` is for BigTIFF."""
    entries = {
        tag: entry
        for tag, entry in directory.entries.items()
        if entry.kind < 14 or entry.kind == _UTF8 or tag in directory.below
    }
    # numbers of eight bytes, which BigTIFF alone has, stay out
    count, number, room = ("Q", "Q", 8) if big else ("H", "I", 4)
    length = struct.calcsize(order + count) + (4 + 2 * room) * len(entries) + room
    table, values = struct.pack(order + count, len(entries)), bytearray()
    for tag, entry in sorted(entries.items()):
        at = base + length + len(values)
        if tag in directory.below:
            table += pointer(tag, at, order, big=big)
            values += _even(dump(directory.below[tag], order, base=at, big=big))
        elif len(entry.value) <= room:
            table += struct.pack(order + "HH" + number, tag, entry.kind, entry.count) + entry.value.ljust(room, b"\0")
        else:
            table += struct.pack(order + "HH" + 2 * number, tag, entry.kind, entry.count, at)
            values += _even(entry.value)
    return table + struct.pack(order + number, 0) + bytes(values)


def pointer(tag: int, at: int, order: str, *, big: bool = False) -> bytes:
    """The entry for a directory that stands at a place of the file: a LONG, in BigTIFF a LONG8."""
    return struct.pack(order + ("HHQQ" if big else "HHII"), tag, _LONG8 if big else _LONG, 1, at)


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def shortened(exif: bytes, most: int) -> tuple[bytes | None, str | None]:
    """A block of at most so many bytes, and what it lost; None for a block that is damaged or stays too long.

    First the bytes go that nothing points to, such as those of the thumbnail, then the maker's notes.
    """
    if len(exif) <= most:
        return exif, None
    try:
        first, order = parse(BytesIO(exif)), order_of(exif)
    except BrokenExifError:
        return None, "EXIF"
    details = first.below.get(EXIF_DIRECTORY)
    bare = first
    if details is not None:
        others = {tag: entry for tag, entry in details.entries.items() if tag != _MAKER_NOTE}
        bare = replace(first, below={**first.below, EXIF_DIRECTORY: replace(details, entries=others)})
    for directory, lost in ((first, None), (bare, "maker's notes")):
        block = _block(directory, order)
        if len(block) <= most:
            return block, lost
    return None, "EXIF"


def tiff_tags(
    exif: bytes, *, big: bool = False
) -> tuple[list[tuple[int, int, int, bytes, bool]], Callable[[int, int], bytes]]:
    """The entries for a TIFF's first directory as tifffile takes them, and the bytes of a directory below it.

    tifffile refuses the tags of EXIF and GPS, so their entries have the tags before them, which are free, and 0 as the
    place. `with_plain_text` says what becomes of text; types that TIFF does not know are left out. The second result,
    called with EXIF_DIRECTORY or GPS_DIRECTORY and a place in the file, gives what stands there. `big` is for BigTIFF.
    Raises BrokenExifError.
    """
    first, order = _with_plain_text(parse(BytesIO(exif))), order_of(exif)
    tags = [
        (tag, entry.kind, entry.count, entry.value, True)
        for tag, entry in first.entries.items()
        if tag in _DESCRIPTIVE and 0 < entry.kind < 14
    ]
    place = (_LONG8, 1, bytes(8), True) if big else (_LONG, 1, bytes(4), True)
    tags += [(tag - 1, *place) for tag in first.below]
    return tags, lambda tag, base: dump(first.below[tag], order, base=base, big=big)
