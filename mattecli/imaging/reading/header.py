"""What the header of a file says of its pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

from mattecli.imaging.metadata import Metadata
from mattecli.imaging.reading.zipped import Stream, Zipped
from mattecli.imaging.space import ColourTags

BLOCK = 2**26  # bytes; a longer profile or block of metadata is not read

Kind = Literal["uint8", "uint16", "float"]
Model = Literal["grey", "rgb", "cmyk", "lab"]

BYTES: dict[Kind, int] = {"uint8": 1, "uint16": 2, "float": 4}


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file holds, by its header.

    `width` and `height` are those of the rows as they are stored, `count` the channels that will be decoded, `kind` the
    type that they are decoded to, `bits` their depth in the file. Where only the decoder knows the type, `kind` is None
    and `count` the most channels there can be. The first channels are those of `model`. `alpha` is the channel that
    holds the opacity, and `premultiplied` says whether colours are multiplied by it. `inverted` means that 0 is white,
    `inverted_alpha` that the decoder turned the alpha round with such colours, `offset` that neutral a and b of Lab are
    half of full scale and not 0, `narrow` that black and white are those of video.

    `names` chooses channels of an OpenEXR file, `part` a part of it or the page of a TIFF. `stored` is where the pixels
    lie as they are, and their NumPy type: nothing is decoded then. `zipped` are the strips or tiles of a TIFF that only
    need to be inflated; `streams` are its zlib streams where OpenImageIO decodes it. `planes` is where the merged
    picture of a Photoshop file begins, if OpenImageIO does not decode it. `by_pillow` means that Pillow decodes a TIFF,
    and turns it. Without `raw` OpenImageIO turns the colours of YCbCr into RGB. `whole` means that its decoder cannot
    decode it in bands, and `times` how many times the size of the picture the decoder needs.
    """

    width: int
    height: int
    count: int
    kind: Kind | None
    bits: int
    model: Model = "rgb"
    alpha: int | None = None
    premultiplied: bool = False
    inverted: bool = False
    inverted_alpha: bool = False
    offset: bool = False
    narrow: bool = False
    orientation: int = 1
    resolution: tuple[float, float] | None = None
    tags: ColourTags = field(default_factory=ColourTags)
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    part: int = 0
    stored: tuple[int, str] | None = None
    zipped: Zipped | None = None
    planes: int | None = None
    by_pillow: bool = False
    raw: bool = True
    streams: tuple[Stream, ...] = ()
    whole: bool = False
    times: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def file_size(handle: BinaryIO) -> int:
    """The length of a file in bytes; the handle stays where it is."""
    at = handle.tell()
    size = handle.seek(0, os.SEEK_END)
    handle.seek(at)
    return size


def read_at(handle: BinaryIO, at: int, count: int) -> bytes:
    """Exactly so many bytes from there. Raises ValueError where the file ends before, or for more than `BLOCK`."""
    if count > BLOCK:
        raise ValueError(f"a block of {count} bytes in its header")
    handle.seek(at)
    content = handle.read(count)
    if len(content) < count:
        raise ValueError("it ends too early")
    return content
