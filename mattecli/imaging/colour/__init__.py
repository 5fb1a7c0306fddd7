"""Colour: profiles, transfer curves, spaces by name, and conversions between them."""

from mattecli.imaging.colour.convert import convert
from mattecli.imaging.colour.curves import decode_srgb, encode_srgb
from mattecli.imaging.colour.lcms import same_profile, space, to_profile, to_srgb
from mattecli.imaging.colour.spaces import (
    chromaticities,
    is_hdr,
    is_linear,
    is_log,
    linear,
    same_space,
    space_named,
    space_of,
)

__all__ = [
    "chromaticities",
    "convert",
    "decode_srgb",
    "encode_srgb",
    "is_hdr",
    "is_linear",
    "is_log",
    "linear",
    "same_profile",
    "same_space",
    "space",
    "space_named",
    "space_of",
    "to_profile",
    "to_srgb",
]
