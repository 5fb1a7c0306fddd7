"""What a file says of its picture besides the pixels.

The blocks are kept whole, and made right for the pixels of a new file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mattecli.imaging import exif_blocks, xmp

_PIXEL_ASPECT = "PixelAspectRatio"  # OpenEXR's attribute: a pixel's width, in heights
_IPTC_RESOURCE = 0x0404  # of Photoshop


@dataclass(frozen=True)
class Windows:
    """OpenEXR's windows, each (x, y, width, height): `data` has pixels, `display` is what a viewer shows."""

    data: tuple[int, int, int, int]
    display: tuple[int, int, int, int]


@dataclass(frozen=True)
class Metadata:
    """The raw blocks of a file, to be written again: EXIF (TIFF structure), XMP (a packet), IPTC (IIM records).

    `attributes` are those of an OpenEXR file, by name. `converted` says that the colours are no longer in the space of
    the file, so that what names it is wrong; `reframed` that the frame is another one, so that places in it are wrong.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    windows: Windows | None = None
    converted: bool = False
    reframed: bool = False

    @property
    def geometry(self) -> Metadata:
        """What belongs to the frame and not to the picture: the windows, and the shape of a pixel."""
        shape = {key: value for key, value in self.attributes.items() if key == _PIXEL_ASPECT}
        return Metadata(attributes=shape, windows=self.windows)


def raw_profile(info: Mapping[Any, Any], name: str) -> bytes | None:
    """A block as older PNG files hold it: a name, a length and hexadecimal digits in a text chunk."""
    text = info.get(f"Raw profile type {name}")
    found = re.fullmatch(r"\s*\w+(?: profile)?\s+\d+\s+([0-9a-fA-F\s]+)", text) if isinstance(text, str) else None
    digits = "".join(found[1].split()) if found else ""
    return bytes.fromhex(digits) if digits and len(digits) % 2 == 0 else None


def iptc_resource(iptc: bytes) -> bytes:
    """IPTC records as one of Photoshop's image resources, as JPEG files hold them."""
    return (
        b"8BIM"
        + _IPTC_RESOURCE.to_bytes(2, "big")
        + b"\0\0"
        + len(iptc).to_bytes(4, "big")
        + iptc
        + b"\0" * (len(iptc) % 2)
    )


def for_pixels(metadata: Metadata, *, size: tuple[int, int], srgb: bool) -> Metadata:
    """The metadata to write beside upright pixels of `size`; see `exif_blocks.patched` and `xmp.cleaned`.

    A block that is damaged is left out.
    """
    exif, packet = metadata.exif, metadata.xmp
    changes = {"converted": metadata.converted, "reframed": metadata.reframed}
    return replace(
        metadata,
        exif=None if exif is None else exif_blocks.patched(exif, size=size, srgb=srgb, reframed=metadata.reframed),
        xmp=None if packet is None else xmp.cleaned(packet, size=size, **changes),
    )
