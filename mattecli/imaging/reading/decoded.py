"""Decoded pixels: turned upright, with their colour tags, metadata and resolution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.metadata import Metadata
from mattecli.imaging.pixels import full_scale
from mattecli.imaging.space import ColourTags

_VALUES = 2**22  # that are divided at once


@dataclass(frozen=True, eq=False)
class Decoded:
    """Upright pixels: grey (H, W), RGB (H, W, 3) or straight RGBA (H, W, 4); uint8, uint16, or float32 as stored.

    `format` is the name of the file's format, `tags` what it says of its colours, `notes` what the user should know.
    `premultiplied` says that the file's colours are multiplied by alpha, `converted` that they were CMYK or Lab and are
    sRGB now.
    """

    pixels: NDArray[Any]
    format: str = ""
    tags: ColourTags = field(default_factory=ColourTags)
    resolution: tuple[float, float] | None = None
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    premultiplied: bool = False
    converted: bool = False


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo the rotation of the camera (EXIF 2.32, tag 0x0112, says where row 0 and column 0 belong)."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def turned_resolution(resolution: tuple[float, float] | None, orientation: int) -> tuple[float, float] | None:
    """The resolution (x, y) of the picture once it is upright."""
    return resolution[::-1] if resolution and orientation >= 5 else resolution


def divide(colour: NDArray[Any], alpha: NDArray[Any]) -> None:
    """Divide premultiplied colours (H, W, C) by alpha (H, W) in place. Those under alpha 0 and 1 keep their bits."""
    white = full_scale(alpha, "it")
    rows = max(1, _VALUES // max(1, colour[0].size))
    for top in range(0, len(colour), rows):
        band, cover = colour[top : top + rows], alpha[top : top + rows]
        inner = (cover > 0) & (cover < white)
        values = band[inner].astype(np.float32)
        values /= cover[inner][:, None].astype(np.float32)
        if colour.dtype.kind == "u":
            values = np.rint(np.minimum(values, 1) * np.float32(white))
        band[inner] = values.astype(colour.dtype)
