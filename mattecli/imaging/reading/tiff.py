"""Reads the header of TIFF files.

The tags are those of TIFF 6.0 and its supplements. All sizes are checked against the length of the file, before
OpenImageIO decodes it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from mattecli.errors import InputError
from mattecli.imaging.exif_blocks import BrokenExifError, from_tiff
from mattecli.imaging.exif_facts import interop_of, orientation_of, usable_resolution
from mattecli.imaging.metadata import Metadata
from mattecli.imaging.reading.formats import RAW
from mattecli.imaging.reading.header import Header, Kind, Model, file_size, read_at
from mattecli.imaging.reading.psd import iptc_of
from mattecli.imaging.reading.zipped import Stream, Zipped, can_unzip
from mattecli.imaging.space import ColourTags

_TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d"}
_TYPES |= {13: "I", 16: "Q", 17: "q", 18: "Q"}
_COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946, 50001}
_NAMES = {6: "old-style JPEG", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 50000: "ZSTD", 50002: "JPEG XL"}
_NAMES |= {33003: "JPEG 2000", 33005: "JPEG 2000", 34676: "SGILog", 34677: "SGILog", 52546: "JPEG XL"}
_FLOATS = (16, 32)
_MODELS: dict[int, tuple[Model, int]] = {0: ("grey", 1), 1: ("grey", 1), 2: ("rgb", 3), 3: ("rgb", 1), 5: ("cmyk", 4)}
_MODELS |= {6: ("rgb", 3), 8: ("lab", 3), 9: ("lab", 3)}
_MOST_PAGES = 32  # that are looked at, to find one that is not a smaller copy
_NO_PROFILE = "its colour profile cannot be read and is ignored"
_TILE = 2**24  # pixels of the largest tile beyond the picture's own size


@dataclass(frozen=True)
class Ifd:
    """A directory of tags: for each its type, count and the place of its value."""

    handle: BinaryIO
    order: str
    big: bool  # BigTIFF
    entries: dict[int, tuple[int, int, int]]
    raw: dict[int, bytes]  # the entries as they are stored
    next: int

    def numbers(self, code: int, default: tuple[Any, ...] = (), *, most: int = 2**20) -> tuple[Any, ...]:
        """The numbers of a tag; rationals as pairs in a row. Raises ValueError for more than `most`."""
        if code not in self.entries:
            return default
        kind, count, at = self.entries[code]
        if kind not in _TYPES or count > most:
            raise ValueError(f"{count} values in the tag {code}")
        form = f"{self.order}{count * len(_TYPES[kind])}{_TYPES[kind][0]}"
        return struct.unpack(form, read_at(self.handle, at, struct.calcsize(form)))

    def number(self, code: int, default: int) -> int:
        """The first number of a tag."""
        found = self.numbers(code)
        return int(found[0]) if found else default

    def block(self, code: int) -> bytes | None:
        """The bytes of a tag, as they are; None without it, and where they are too many or behind the end."""
        if code not in self.entries:
            return None
        kind, count, at = self.entries[code]
        try:
            return read_at(self.handle, at, count * struct.calcsize(self.order + _TYPES.get(kind, "B")))
        except (ValueError, OverflowError, OSError):  # a place of BigTIFF may be too far for a file, too
            return None


class Pages(NamedTuple):
    """The directory of the first page; that of the page to read, with its number; and the one behind it."""

    first: Ifd
    chosen: Ifd
    number: int
    after: Ifd | None


def read_pages(handle: BinaryIO) -> Pages:
    """The pages of a file, of which the first is read that is not a smaller copy of another, or else the very first.

    Raises ValueError where that one is damaged.
    """
    head = read_at(handle, 0, 16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack(order + "H", head[2:4])[0] == 43
    at = struct.unpack(order + ("Q" if big else "I"), head[8:16] if big else head[4:8])[0]
    pages, seen = [read_ifd(handle, at, order=order, big=big)], {at}

    def following() -> Ifd | None:
        at = pages[-1].next
        if not at or at in seen or len(pages) > _MOST_PAGES:
            return None
        seen.add(at)
        try:
            pages.append(read_ifd(handle, at, order=order, big=big))
        except ValueError:  # what is damaged behind the first page does not matter
            return None
        return pages[-1]

    while _is_smaller(pages[-1]) and following() is not None:
        pass
    if _is_smaller(pages[-1]):
        return Pages(pages[0], pages[0], 0, pages[1] if len(pages) > 1 else None)
    number = len(pages) - 1
    return Pages(pages[0], pages[number], number, following())


def _is_smaller(page: Ifd) -> bool:
    """Whether a page is a smaller copy of another: bit 0 of NewSubfileType."""
    return bool(page.number(254, 0) & 1)


def read_ifd(handle: BinaryIO, at: int, *, order: str, big: bool) -> Ifd:
    """A directory of tags. Raises ValueError for a damaged one."""
    count = struct.unpack(order + ("Q" if big else "H"), read_at(handle, at, 8 if big else 2))[0]
    if not 0 < count <= 4096:
        raise ValueError(f"{count} tags in its header")
    at += 8 if big else 2
    size, inside = (20, 8) if big else (12, 4)
    table = read_at(handle, at, count * size)
    entries: dict[int, tuple[int, int, int]] = {}
    raw: dict[int, bytes] = {}
    for index in range(count):
        code, kind, number = struct.unpack_from(order + ("HHQ" if big else "HHI"), table, index * size)
        length = number * struct.calcsize(order + _TYPES.get(kind, "B"))
        place = at + index * size + size - inside
        if length > inside:
            place = struct.unpack_from(order + ("Q" if big else "I"), table, index * size + size - inside)[0]
        entries.setdefault(code, (kind, number, place))
        raw.setdefault(code, table[index * size : (index + 1) * size])
    try:
        following = struct.unpack(order + ("Q" if big else "I"), read_at(handle, at + count * size, inside))[0]
    except ValueError:  # the file ends there
        following = 0
    return Ifd(handle, order, big, entries, raw, following)


def tiff_header(handle: BinaryIO, name: str) -> Header:
    """What a TIFF holds. Raises InputError for what cannot be decoded, ValueError for damage."""
    first, ifd, page, second = read_pages(handle)
    _check_raw(first, name)
    _check_raw(ifd, name)
    width, height = ifd.number(256, 0), ifd.number(257, 0)
    if width < 1 or height < 1:
        raise ValueError("it states no size")
    if max(ifd.number(32997, 1), ifd.number(32998, 1)) > 1:
        raise InputError(f"{name} is a TIFF of a volume ({ifd.number(32997, 1)} slices deep); save one slice")
    kind, bits = _kind(ifd, name)
    photometric, samples = ifd.number(262, 1), ifd.number(277, 1)
    if photometric not in _MODELS:
        raise InputError(f"{name} is a TIFF of an unusual kind of pixels ({photometric}); save it as RGB or grey")
    model, colours = _MODELS[photometric]
    if samples < colours or samples > 1024:
        raise ValueError(f"{samples} samples for each pixel")
    jpeg = ifd.number(259, 1) == 7
    if jpeg and samples > colours and model in ("grey", "cmyk"):  # OpenImageIO loses it
        what = "grey" if model == "grey" else "CMYK"
        raise InputError(f"{name} is a TIFF of {what} JPEG with alpha, which is not read here; save it with LZW")
    streams, across, down = _check_layout(ifd, name, (width, height, samples, bits))
    extras = ifd.numbers(338) or ((2,) if samples == colours + 1 and model != "cmyk" else ())
    alpha = next((at for at, meaning in enumerate(extras) if meaning in (1, 2)), None)
    count = samples if photometric != 3 else 3  # palettes become RGB
    stored = _stored(ifd, (width, height, samples, bits), floating=kind == "float")
    planes, predictor = ifd.number(284, 1) == 2 and samples > 1, ifd.number(317, 1)
    plain = streams and _plain(ifd, bits)
    zipped = None
    if plain and can_unzip(kind_in := _numpy_kind(ifd, bits, floating=kind == "float"), predictor):
        zipped = Zipped(width, height, samples, kind_in, across, down, predictor, planes, streams)
    # OpenImageIO turns 8 bits round, with their alpha, and nothing else
    turned = photometric == 0 and kind == "uint8" and stored is None and zipped is None
    inks = jpeg and model == "cmyk"  # OpenImageIO 3.2.2 makes RGB of them without their profile
    exif, icc = _exif(ifd), ifd.block(34675)
    return Header(
        width=width,
        height=height,
        count=count,
        kind=kind,
        bits=bits,
        model=model,
        alpha=None if alpha is None or photometric == 3 or colours + alpha >= samples else colours + alpha,
        premultiplied=alpha is not None and (extras[alpha] == 1 or jpeg),  # of JPEG OpenImageIO multiplies them
        inverted=photometric == 0 and not turned,
        inverted_alpha=turned,
        offset=photometric == 9,
        orientation=orientation_of(ifd.number(274, 1)),
        part=page,
        resolution=_resolution(ifd),
        tags=ColourTags(icc=icc, interop=interop_of(exif)),
        metadata=_metadata(exif, first, ifd),
        notes=_notes(second) if icc is not None or 34675 not in ifd.entries else (*_notes(second), _NO_PROFILE),
        stored=stored,
        zipped=zipped,
        streams=() if zipped is not None else streams,
        whole=(planes and zipped is None) or inks,
        by_pillow=inks,
        raw=photometric != 6,
    )


def _metadata(exif: bytes | None, *pages: Ifd) -> Metadata:
    """What the file says of its photo; the last of the pages counts more."""
    known = [(page.block(700), page.block(33723) or iptc_of(page.block(34377) or b"")) for page in reversed(pages)]
    xmp, iptc = (next((block for block in blocks if block), None) for blocks in zip(*known, strict=True))
    return Metadata(exif, xmp, iptc)


def _exif(ifd: Ifd) -> bytes | None:
    """What the file says of its photo, as a block; None where it says nothing, or is damaged there."""
    try:
        return from_tiff(ifd.handle)
    except BrokenExifError:
        return None


def tiff_size(handle: BinaryIO, name: str) -> tuple[int, int]:
    """Width and height of the upright picture, from the header. Raises InputError for a camera RAW file."""
    first, ifd, _, _ = read_pages(handle)
    _check_raw(first, name)
    width, height = ifd.number(256, 0), ifd.number(257, 0)
    return (height, width) if orientation_of(ifd.number(274, 1)) >= 5 else (width, height)


def _check_raw(ifd: Ifd, name: str) -> None:
    """Raise InputError for a camera RAW file, of which other programs would read the thumbnail."""
    kinds = {ifd.number(262, 1)}
    for at in ifd.numbers(330, most=32) if 330 in ifd.entries and ifd.entries[330][1] <= 32 else ():
        try:
            kinds.add(read_ifd(ifd.handle, at, order=ifd.order, big=ifd.big).number(262, 1))
        except ValueError:
            continue
    mark = read_at(ifd.handle, 8, 8)  # Canon's, or Phase One's; strips may begin there, so it is compared in full
    phase_one = (mark[:4] == b"IIII" and mark[5:] == b"waR") or (mark[:4] == b"MMMM" and mark[4:7] == b"Raw")
    if kinds & {32803, 34892} or 50706 in ifd.entries or mark[:3] == b"CR\2" or phase_one:
        raise InputError(f"{name} is {RAW}")


def _kind(ifd: Ifd, name: str) -> tuple[Kind, int]:
    """The type that the samples are decoded to, and their bits in the file."""
    depths, formats = set(ifd.numbers(258, (1,), most=1024)), set(ifd.numbers(339, (1,), most=1024))
    bits = max(depths)
    if len(depths) > 1 or len(formats) > 1:
        raise InputError(f"{name} is a TIFF of channels with different depths; save it with one depth")
    form = formats.pop()
    if form == 3 and bits in _FLOATS:
        return "float", bits
    if form == 3:  # OpenImageIO 3.2.2 does not fill single rows and tiles of 64-bit floats
        raise InputError(f"{name} is a TIFF of {bits}-bit floats; save it with 16 or 32 bits")
    if form in (1, 4) and bits in (1, 2, 4, 6, 8, 10, 12, 14, 16):
        return ("uint8" if bits <= 8 else "uint16"), bits
    what = {2: "signed integers", 5: "complex integers", 6: "complex numbers"}.get(form, "integers")
    raise InputError(f"{name} is a TIFF of {bits}-bit {what}; save it with 8 or 16 bits or as float")


def _check_layout(ifd: Ifd, name: str, shape: tuple[int, int, int, int]) -> tuple[tuple[Stream, ...], int, int]:
    """Raise InputError for a compression or layout that is not read, ValueError where strips and size disagree.

    Returns the zlib streams, and the width and height of strips or tiles.
    """
    width, height, samples, bits = shape
    compression = ifd.number(259, 1)
    if compression not in _COMPRESSIONS:
        what = _NAMES.get(compression, f"number {compression}")
        raise InputError(
            f"{name} has a compression ({what}) that is not read here; export it again, without compression or with ZIP"
        )
    planes = samples if ifd.number(284, 1) == 2 else 1
    tiled = 322 in ifd.entries
    across, down = (ifd.number(322, 0), ifd.number(323, 0)) if tiled else (width, min(ifd.number(278, height), height))
    if across < 1 or down < 1:
        raise ValueError("it states no size of its strips or tiles")
    if tiled and across * down > max(4 * width * height, _TILE):
        raise ValueError(f"tiles of {across}×{down} pixels")
    if tiled and (ifd.number(262, 1) == 5 or bits not in (8, 16, 32)):
        # OpenImageIO may return memory here that it did not fill
        what = "CMYK" if ifd.number(262, 1) == 5 else f"{bits} bits"
        raise InputError(f"{name} is a TIFF of {what} in tiles, which is not read here; save it without tiles")
    count = -(-width // across) * -(-height // down) * planes
    offsets, lengths = (ifd.entries.get(code) for code in ((324, 325) if tiled else (273, 279)))
    if offsets is None or offsets[1] < count or (lengths is not None and lengths[1] < count):
        raise ValueError(f"it holds less than {count} {'tiles' if tiled else 'strips'}")
    if compression == 1 and width * height * samples * bits // 8 > file_size(ifd.handle):
        raise ValueError("it is shorter than its header says")
    if compression not in (8, 32946):
        return (), across, down
    row = -(-across * (samples // planes) * bits // 8)
    each = count // planes
    rows = [down if tiled else min(down, height - at * down) for at in range(each)] * planes
    places = ifd.numbers(324 if tiled else 273), ifd.numbers(325 if tiled else 279)
    return tuple((at, size, row * high) for at, size, high in zip(*places, rows, strict=False)), across, down


def _stored(ifd: Ifd, shape: tuple[int, int, int, int], *, floating: bool) -> tuple[int, str] | None:
    """Where the pixels lie in one piece, without compression, and their NumPy type; None for all other layouts."""
    width, height, samples, bits = shape
    split = 322 in ifd.entries or (ifd.number(284, 1) == 2 and samples > 1)
    if ifd.number(259, 1) != 1 or not _plain(ifd, bits) or split:
        return None
    row, down = width * samples * bits // 8, min(ifd.number(278, height), height)
    offsets = ifd.numbers(273)
    first = int(offsets[0])
    if any(at != first + index * down * row for index, at in enumerate(offsets)):
        return None
    if first + row * height > file_size(ifd.handle):
        raise ValueError("it is shorter than its header says")
    return first, _numpy_kind(ifd, bits, floating=floating)


def _plain(ifd: Ifd, bits: int) -> bool:
    """Whether the bytes are the channels' values as they come out: without palettes, YCbCr and odd depths."""
    return ifd.number(262, 1) in (0, 1, 2, 5, 8, 9) and ifd.number(266, 1) == 1 and bits in (8, 16, 32)


def _numpy_kind(ifd: Ifd, bits: int, *, floating: bool) -> str:
    return f"{ifd.order}{'f' if floating else 'u'}{bits // 8}"


def _resolution(ifd: Ifd) -> tuple[float, float] | None:
    """Pixels per inch (x, y)."""
    per_inch = {2: 1.0, 3: 2.54}.get(ifd.number(296, 2))
    x, y = ifd.numbers(282), ifd.numbers(283)
    if per_inch is None or len(x) < 2 or len(y) < 2 or not x[1] or not y[1]:
        return None
    return usable_resolution((x[0] / x[1] * per_inch, y[0] / y[1] * per_inch))


def _notes(second: Ifd | None) -> tuple[str, ...]:
    if second is None or second.number(254, 0) & 5:  # a smaller version or a mask of the first picture
        return ()
    return ("only its first page is read",)
