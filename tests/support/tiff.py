"""TIFF files of odd depths, which tifffile writes only with imagecodecs."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_packed(path: Path, values: NDArray[Any], bits: int, *, tile: int | None = None) -> None:
    """Write (H, W) or (H, W, S) as a TIFF of so many bits per sample; each row starts at a byte (TIFF 6.0)."""
    values = values.reshape(*values.shape[:2], -1)
    height, width, samples = values.shape
    if tile is not None:
        values = np.pad(values, ((0, -height % tile), (0, -width % tile), (0, 0)))
    rows = values.reshape(len(values), -1).astype(">u2")
    row_bits = np.unpackbits(rows.view(np.uint8), axis=1).reshape(*rows.shape, 16)[:, :, 16 - bits :]
    content = np.packbits(row_bits.reshape(len(rows), -1), axis=1).tobytes()
    tags = {
        256: [width],
        257: [height],
        258: [bits] * samples,
        259: [1],
        262: [2 if samples >= 3 else 1],
        277: [samples],
    }
    tags |= {278: [height], 273: [8], 279: [len(content)]}
    if tile is not None:
        tags = {tag: value for tag, value in tags.items() if tag not in (278, 273, 279)}
        tags |= {322: [tile], 323: [tile], 324: [8], 325: [len(content)]}
    start = 8 + len(content) + len(content) % 2
    after = start + 2 + 12 * len(tags) + 4
    table, beside = struct.pack("<H", len(tags)), b""
    for tag, numbers in sorted(tags.items()):
        data = struct.pack(f"<{len(numbers)}I", *numbers)
        place = data if len(data) <= 4 else struct.pack("<I", after + len(beside))
        beside += data if len(data) > 4 else b""
        table += struct.pack("<HHI", tag, 4, len(numbers)) + place
    body = content + bytes(len(content) % 2) + table + bytes(4) + beside
    path.write_bytes(b"II*\0" + struct.pack("<I", start) + body)
