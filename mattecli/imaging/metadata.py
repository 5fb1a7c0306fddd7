"""What a file says of its picture besides the pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Windows:
    """OpenEXR's windows, each (x, y, width, height): `data` has pixels, `display` is what a viewer shows."""

    data: tuple[int, int, int, int]
    display: tuple[int, int, int, int]


@dataclass(frozen=True)
class Metadata:
    """The raw blocks of a file, to be written again: EXIF (TIFF structure), XMP (a packet), IPTC (IIM records).

    `attributes` are those of an OpenEXR file, by name.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    windows: Windows | None = None
