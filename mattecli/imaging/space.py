"""What the numbers of a picture mean as colours."""

from __future__ import annotations

from dataclasses import dataclass

CICP = tuple[int, int, int, int]  # primaries, transfer, matrix, full range: the code points of ITU-T H.273


@dataclass(frozen=True)
class Space:
    """A colour space: by an ICC profile, by the code points of ITU-T H.273, or by a name; sRGB without any of them.

    `name` is a colour space of OpenColorIO, such as "ACEScg". It wins over `cicp`, and `cicp` over `icc`.
    """

    icc: bytes | None = None
    cicp: CICP | None = None
    name: str | None = None


SRGB = Space()


@dataclass(frozen=True)
class ColourTags:
    """What a file says of its colours, before it is decided which of it counts.

    `gamma` is PNG's gAMA as a number (0.45455), `chromaticities` the x and y of red, green, blue and white, `interop`
    EXIF's InteroperabilityIndex ("R98" is sRGB, "R03" is AdobeRGB), `name` OpenEXR's colorInteropID.
    """

    icc: bytes | None = None
    cicp: CICP | None = None
    srgb: bool = False
    gamma: float | None = None
    chromaticities: tuple[float, ...] | None = None
    interop: str | None = None
    name: str | None = None
