"""Packs many tiles into one answer.

It has the length of a JSON text in 4 bytes, that text, which describes the tiles, and their bytes one after another.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.server.tiles import Index

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, eq=False)
class PackedTile:
    """A tile of a layer at a level, with its revision."""

    layer: str
    level: int
    place: Index
    revision: int
    pixels: NDArray[Any]

    @property
    def data(self) -> bytes:
        """Its raw values, row by row."""
        return np.ascontiguousarray(self.pixels).tobytes()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        height, width = self.pixels.shape[:2]
        return height, width, 1 if self.pixels.ndim == 2 else self.pixels.shape[2]


def pack(tiles: Iterable[PackedTile], **facts: Any) -> bytes:
    """The tiles with other facts, as docs/ui.md describes it."""
    described, parts = [], []
    for tile in tiles:
        data, (height, width, channels) = tile.data, tile.shape
        described.append(
            {
                "layer": tile.layer,
                "level": tile.level,
                "row": tile.place.row,
                "column": tile.place.column,
                "revision": tile.revision,
                "height": height,
                "width": width,
                "channels": channels,
                "bytes": len(data),
            }
        )
        parts.append(data)
    header = json.dumps({**facts, "tiles": described}).encode()
    return b"".join([_LENGTH.pack(len(header)), header, *parts])
