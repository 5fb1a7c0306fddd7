"""Options of reading and writing; imports nothing, for `--help`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How files are read.

    `max_pixels` is the largest width × height, `max_memory` the most bytes that reading may take (None: what is free).
    `input_space` overrides what the file says of its colours: auto, srgb, linear, or the name of a colour space.
    `layer` names a part of an OpenEXR file.
    """

    max_pixels: int = 500_000_000
    max_memory: int | None = None
    input_space: str = "auto"
    layer: str | None = None


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How files are written.

    `quality` is that of lossy formats, from 1 to 100, or "lossless"; None is the format's default here. Without
    `metadata` only the colour profile and the resolution are kept. `premultiplied` is for OpenEXR: colours times alpha,
    as the format demands.
    """

    quality: int | Literal["lossless"] | None = None
    metadata: bool = True
    premultiplied: bool = True
