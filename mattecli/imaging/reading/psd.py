"""Reads Photoshop files: the header, and merged pictures beyond RGB.

Source: Adobe's file format specification of 2019. OpenImageIO 3.2.2 takes the black of CMYK for alpha, takes white away
from a and b of Lab, and leaves the white in transparent grey. So only RGB is left to it.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.exif_facts import interop_of, plain_exif, usable_resolution
from mattecli.imaging.metadata import Metadata
from mattecli.imaging.pixels import full_scale
from mattecli.imaging.reading.header import BLOCK, Header, Kind, Model, file_size, read_at
from mattecli.imaging.space import ColourTags

_MODELS: dict[int, tuple[Model, int]] = {1: ("grey", 1), 3: ("rgb", 3), 4: ("cmyk", 4), 9: ("lab", 3)}
_MODES = {0: "bitmap", 2: "indexed", 7: "multichannel", 8: "duotone"}
_KINDS: dict[int, Kind] = {8: "uint8", 16: "uint16", 32: "float"}
_RAW, _PACKBITS = b"\0\0", b"\0\1"  # how a merged picture is compressed
# Blocks whose length has 8 bytes in a PSB.
_WIDE = frozenset(b"LMsk Lr16 Lr32 Layr Mt16 Mt32 Mtrn Alph FMsk lnk2 FEid FXid PxSD".split())
_USED = frozenset([1005, 1028, 1039, 1057, 1058, 1060])  # resolution, IPTC, profile, version, EXIF, XMP
_MOST_RESOURCES = 2**16
_ROWS = 64  # of a plane that are read at once


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
    if at + 4 + length > file_size(handle):
        raise ValueError("it ends too early")
    resources = dict(_resources(handle, at + 4, at + 4 + length))
    version_info = resources.get(1057, b"")
    if version_info and len(version_info) > 4 and version_info[4] == 0:
        raise InputError(
            f"{name} has no merged picture; save it again in Photoshop with Maximize Compatibility, or as TIFF"
        )
    at += 4 + length
    merged_alpha = channels > colours and _has_merged_alpha(handle, at, psb=version == 2)
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
        premultiplied=merged_alpha and model == "rgb",  # OpenImageIO takes the white away that Photoshop mixes in
        resolution=_resolution(resources.get(1005, b"")),
        tags=ColourTags(icc=resources.get(1039), interop=interop_of(exif)),
        metadata=Metadata(exif, resources.get(1060), resources.get(1028)),
        planes=None if model == "rgb" else _planes(handle, at, name, psb=version == 2),
        whole=model != "rgb",
    )


def merged_picture(handle: BinaryIO, header: Header) -> NDArray[Any]:
    """The channels (H, W, C) of a merged picture as they are stored, but straight. Raises ValueError for damage."""
    kind = np.dtype(np.float32 if header.kind == "float" else header.kind)
    result = np.empty((header.height, header.width, header.count), kind)
    row = header.width * kind.itemsize
    lengths, packed = _row_lengths(handle, header, row)
    for channel, counts in enumerate(lengths[: header.count]):
        for top in range(0, header.height, _ROWS):
            band = counts[top : top + _ROWS]
            content = handle.read(int(band.sum()))
            if len(content) < band.sum():
                raise ValueError("it is shorter than its header says")
            if packed:
                content = PIL.Image.frombytes("L", (row, len(band)), content, "packbits", "L").tobytes()
            stored = np.frombuffer(content, kind.newbyteorder(">"))
            result[top : top + _ROWS, :, channel] = stored.reshape(-1, header.width)
    if header.alpha is not None:
        for top in range(0, header.height, _ROWS):
            _take_white(result[top : top + _ROWS], header.model)
    return result


def _row_lengths(handle: BinaryIO, header: Header, row: int) -> tuple[NDArray[Any], bool]:
    """The bytes of each row (C, H), and whether they are packed. The handle is left where the first row begins."""
    version, channels = struct.unpack(">H6xH", read_at(handle, 4, 10))
    shape, at = (channels, header.height), header.planes or 0
    packed = read_at(handle, at, 2) == _PACKBITS
    if not packed:
        return np.broadcast_to(np.int64(row), shape), packed
    kind = np.dtype(">u4" if version == 2 else ">u2")
    table = read_at(handle, at + 2, channels * header.height * kind.itemsize)
    return np.frombuffer(table, kind).reshape(shape), packed


def _take_white(channels: NDArray[Any], model: Model) -> None:
    """Undo, in place, that a merged picture (H, W, C) is mixed with white by its last channel."""
    full, alpha = full_scale(channels, "it"), channels[..., -1]
    inner = (alpha > 0) & (alpha < full)
    share = alpha[inner].astype(np.float32) / np.float32(full)
    middle = (full + 1) / 2  # neutral a and b
    for channel in range(channels.shape[2] - 1):
        white = np.float32(middle if model == "lab" and channel > 0 else full)
        values = white + (channels[..., channel][inner] - white) / share
        if channels.dtype.kind == "u":
            values = np.rint(np.clip(values, 0, full))
        channels[..., channel][inner] = values


def iptc_of(resources: bytes) -> bytes | None:
    """The IPTC records among Photoshop's resources; None where there are none or they are damaged."""
    try:
        return dict(_resources(io.BytesIO(resources), 0, len(resources))).get(1028)
    except (ValueError, struct.error):
        return None


def _resources(handle: BinaryIO, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The blocks that are used here, from there to `end`; one that is longer than `BLOCK` is left out."""
    for _ in range(_MOST_RESOURCES):
        if at + 12 > end:
            return
        mark, code, name = struct.unpack(">4sHB", read_at(handle, at, 7))
        if mark not in (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR"):
            return
        at += 6 + (name + 2) // 2 * 2  # the name, padded
        if at + 4 > end:
            return
        size = struct.unpack(">I", read_at(handle, at, 4))[0]
        present = min(size, end - at - 4)
        if code in _USED and present <= BLOCK:
            yield code, read_at(handle, at + 4, present)
        at += 4 + (size + 1) // 2 * 2


def _has_merged_alpha(handle: BinaryIO, at: int, *, psb: bool) -> bool:
    """Whether the first channel after the colours is transparency: a negative number of layers says so."""
    form = ">Q" if psb else ">I"
    wide = struct.calcsize(form)
    section = struct.unpack(form, read_at(handle, at, wide))[0]
    if not section:
        return False
    layers = struct.unpack(form, read_at(handle, at + wide, wide))[0]
    place = at + 2 * wide if layers else _deep_layers(handle, at + 2 * wide, at + wide + section, psb=psb)
    return place is not None and bool(struct.unpack(">h", read_at(handle, place, 2))[0] < 0)


def _deep_layers(handle: BinaryIO, at: int, end: int, *, psb: bool) -> int | None:
    """Where the layers of 16 or 32 bits begin, which lie in a block behind the global mask; None without them."""
    if at + 4 > end:
        return None
    at += 4 + struct.unpack(">I", read_at(handle, at, 4))[0]
    while at + 12 <= end:
        mark, key = struct.unpack(">4s4s", read_at(handle, at, 8))
        if mark not in (b"8BIM", b"8B64"):
            return None
        form = ">Q" if psb and key in _WIDE else ">I"
        inner = at + 8 + struct.calcsize(form)
        if key in (b"Lr16", b"Lr32"):
            return inner
        size = struct.unpack(form, read_at(handle, at + 8, inner - at - 8))[0]
        at = inner + (size + 3) // 4 * 4
    return None


def _planes(handle: BinaryIO, at: int, name: str, *, psb: bool) -> int:
    """Where the merged picture begins, by the place of the layers before it. Raises InputError for its compression."""
    form = ">Q" if psb else ">I"
    at += struct.calcsize(form) + struct.unpack(form, read_at(handle, at, struct.calcsize(form)))[0]
    if read_at(handle, at, 2) not in (_RAW, _PACKBITS):
        raise InputError(f"{name} has a merged picture with ZIP compression, which is not read here; save it as TIFF")
    return at


def _resolution(block: bytes) -> tuple[float, float] | None:
    """Pixels per inch, as fixed-point numbers of resource 1005."""
    if len(block) < 16:
        return None
    x, y = struct.unpack(">I4xI", block[:12])
    return usable_resolution((x / 65536, y / 65536))
