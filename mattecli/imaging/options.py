"""Options of reading and writing; imports nothing, for `--help`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Depth = Literal[8, 16, "half", "float"]
Quality = int | Literal["lossless"]


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

    @property
    def limits(self) -> ReadOptions:
        """The same limits for another file than the photo, whose space and layer the others are."""
        return ReadOptions(max_pixels=self.max_pixels, max_memory=self.max_memory)


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How files are written.

    `quality` is that of lossy formats, from 1 to 100, or "lossless"; None is the format's default here. Without
    `metadata` only the colour profile and the resolution are kept, in OpenEXR the windows and the shape of pixels
    too. `premultiplied` is for OpenEXR: colours times alpha, as the format demands. `bits` is the depth of pictures
    other than mattes: None keeps the picture's own where the format can hold it. "half" is for OpenEXR; None there
    means half for pictures of 8 bits, and float for deeper ones.
    """

    quality: Quality | None = None
    metadata: bool = True
    premultiplied: bool = True
    bits: Depth | None = None
