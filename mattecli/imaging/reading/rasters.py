"""Reads the headers of Radiance HDR, DPX, Cineon, PNM and NumPy."""

from __future__ import annotations

import re
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.reading.header import file_size, read_at

_HDR_SIZE = re.compile(rb"\n\n([-+])([XY]) +(\d{1,9}) +([-+])([XY]) +(\d{1,9})\n")
DPX_ORIENTATION = 768  # the place of its two bytes in the header
_HDR_TURNS = {(b"-", b"+"): 1, (b"-", b"-"): 2, (b"+", b"-"): 3, (b"+", b"+"): 4}


def hdr_size(handle: BinaryIO, name: str) -> tuple[int, int, int]:
    """Width, height and orientation of a Radiance file. Raises InputError for columns instead of rows."""
    found = _HDR_SIZE.search(read_at(handle, 0, min(2**16, file_size(handle))))
    if found is None:
        raise ValueError("it states no size")
    down, first, height, across, _, width = found.groups()
    if first != b"Y":
        raise InputError(f"{name} is stored in columns; turn it and save it again")
    return int(width), int(height), _HDR_TURNS[down, across]


def dpx_size(handle: BinaryIO) -> tuple[int, int, int]:
    """Width, height and orientation of a DPX file (SMPTE 268M)."""
    order = ">" if read_at(handle, 0, 4) == b"SDPX" else "<"
    turned, _, width, height = struct.unpack(order + "HHII", read_at(handle, DPX_ORIENTATION, 12))
    # from the first corner: rows to the right and down first, then mirrored, upside down, both, then columns
    return width, height, (1, 2, 4, 3, 5, 6, 8, 7)[turned] if turned < 8 else 1


def cineon_size(handle: BinaryIO) -> tuple[int, int, int]:
    """Width, height and orientation of a Cineon file (Kodak's specification of version 4.5)."""
    order = ">" if read_at(handle, 0, 4) == b"\x80\x2a\x5f\xd7" else "<"
    width, height = struct.unpack(order + "II", read_at(handle, 200, 8))
    return width, height, 1


def pnm_size(handle: BinaryIO) -> tuple[int, int, int]:
    """Width, height and the largest value of a PBM, PGM or PPM file."""
    text = re.sub(rb"#[^\r\n]*", b" ", read_at(handle, 0, min(2**12, file_size(handle))))
    words = text.split(None, 4)
    if len(words) < 4 or not all(word.isdigit() and len(word) < 10 for word in words[1:3]):
        raise ValueError("it states no size")
    most = words[3] if words[0] not in (b"P1", b"P4") else b"1"
    if not most.isdigit() or len(most) > 5:
        raise ValueError("it states no largest value")
    return int(words[1]), int(words[2]), int(most)


def npy_header(handle: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of an array. Raises ValueError where the file is too short for it."""
    head = read_at(handle, 0, 12)
    if head[6:8] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError(f"its version is {head[6]}.{head[7]}")
    length = int.from_bytes(head[8:10] if head[6] == 1 else head[8:12], "little")
    if length > 2**16:  # NumPy would ask for so much memory at once
        raise ValueError(f"a header of {length} bytes")
    handle.seek(0)
    version = np.lib.format.read_magic(handle)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, columns, dtype = read(handle)
    if dtype.hasobject or dtype.kind not in "biuf":
        raise ValueError(f"it holds values of type {dtype}")
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if handle.tell() + size > file_size(handle):
        raise ValueError("it is shorter than its header says")
    return shape, columns, dtype


def npy_array(handle: BinaryIO) -> NDArray[Any]:
    """The array, once its header was found to be right."""
    shape, columns, dtype = npy_header(handle)
    values = np.empty(int(np.prod(shape, dtype=object)), dtype)
    if handle.readinto(values.view(np.uint8).data) < values.nbytes:  # type: ignore[attr-defined]
        raise ValueError("it is shorter than its header says")
    return values.reshape(shape[::-1]).T if columns else values.reshape(shape)
