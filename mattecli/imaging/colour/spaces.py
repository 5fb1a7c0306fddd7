"""Decides which colour space a picture is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mattecli.errors import InputError, UsageError
from mattecli.imaging.colour import icc, ocio
from mattecli.imaging.colour.curves import LINEAR, SRGB_CURVE, Curve, Power
from mattecli.imaging.colour.encodings import CINEON, HLG, PQ, PRIMARIES, MatrixEncoding, curve_of, encoding_of
from mattecli.imaging.colour.lcms import same_profile, space, usable
from mattecli.imaging.space import SRGB, ColourTags, Space

_SAME_LIGHT = 0.002  # two encodings whose light differs by less are the same, with rounded profiles
_SRGB_GAMMA = (0.45, 0.46)  # PNG's gAMA of sRGB, 1/2.2 = 0.45455, as encoders round it
_FAR_ABOVE_WHITE = 4  # the logs of cameras end at 12 and more, other curves at about 1
_RAW_FLOATS = ("npy", "numpy")  # floats of these are not scene-linear by convention


def space_of(tags: ColourTags, *, floating: bool, format: str, input_space: str = "auto") -> Space:  # noqa: A002
    """The space of a picture, from the tags of its file.

    `floating` says whether the values are floats, and `format` names the file's format, such as "TIFF", "DPX" or
    "NumPy". The order: `input_space` unless it is auto; cICP or nclx; an ICC profile; PNG's sRGB, then gAMA and cHRM;
    EXIF's interoperability index; OpenEXR's name and chromaticities. Without any of them floats are linear light with
    sRGB's primaries (except .npy), and integers sRGB. Chromaticities that span no colours count as none.

    Raises UsageError for an unknown `input_space`, and InputError for a DPX whose transfer is not stated or not known.
    """
    if input_space.lower() != "auto":
        return space_named(input_space)
    if tags.chromaticities is not None and not icc.are_chromaticities(tags.chromaticities):
        tags = replace(tags, chromaticities=None)
    found = _by_code_points(tags) or _by_profile(tags) or _by_png(tags) or _by_interop(tags) or _by_name(tags)
    if found is not None:
        return found
    if tags.chromaticities is not None and floating:  # PNG's cHRM says nothing of a curve
        return linear(tags.chromaticities)
    if format.lower() == "cineon":
        return space_named("cineon")
    if format.lower() == "dpx":
        known = f"states the transfer {tags.name!r}, which is not read"
        fact = known if tags.name else "does not state its transfer curve"
        raise InputError(
            f"it is a DPX that {fact}; add `input_space=cineon` for scanned film, or srgb, linear, or the name of a "
            "camera's log"
        )
    return linear() if floating and format.lower() not in _RAW_FLOATS else SRGB


def space_named(name: str) -> Space:
    """A space by its name: srgb, linear, p3, adobergb, prophoto, rec2020, cineon, or a name of OpenColorIO.

    `linear` is light with sRGB's primaries. Raises UsageError for an unknown name.
    """
    own = _OWN.get("".join(letter for letter in name.lower() if letter.isalnum()))
    if own is not None:
        return own
    known = ocio.checked(name)
    return _by_facts(known, ocio.facts(known)) or Space(name=known)


def _by_facts(name: str, known: ocio.Facts) -> Space | None:
    """The code points of PQ and HLG, or a profile of curve and primaries; None where these are not known."""
    if known.cicp is not None and known.cicp[1] in (PQ, HLG):
        return Space(cicp=known.cicp)
    if known.chromaticities is None or not icc.are_chromaticities(known.chromaticities):
        return None
    if known.gamma == 1:
        return linear(known.chromaticities)
    if known.gamma is None and not known.srgb_curve:
        return None
    curve = SRGB_CURVE if known.gamma is None else Power(round(known.gamma * 65536) / 65536)  # as a profile holds it
    stated = Space(icc.make(known.chromaticities, curve, name))
    return SRGB if same_space(stated, SRGB) else stated


def linear(chromaticities: Sequence[float] = icc.REC709) -> Space:
    """Linear light with these chromaticities: x and y of red, green, blue and white."""
    return Space(icc.XYZ_PROFILE if icc.is_xyz(chromaticities) else icc.make(chromaticities, LINEAR, "Linear light"))


def is_linear(space: Space) -> bool:
    """Whether the values of this space are light."""
    encoding = encoding_of(space)
    return isinstance(encoding, MatrixEncoding) and encoding.linear


def is_log(space: Space) -> bool:
    """Whether the values are those of a camera's log or of film's density: full scale is light far above white.

    No profile states such a curve.
    """
    if space.name is None:
        return False
    white = encoding_of(space).to_light(np.ones((1, 1, 3), np.float32))
    return bool(white.min() > _FAR_ABOVE_WHITE)


def is_hdr(space: Space) -> bool:
    """Whether this is PQ or HLG, whose codes are never mixed."""
    return space.name is None and space.cicp is not None and space.cicp[1] in (PQ, HLG)


def chromaticities(space: Space) -> tuple[float, ...] | None:
    """x and y of red, green, blue and white; None where a space is known by tables or by its name only."""
    if space.name is None and space.cicp is None:
        if space.icc is None:
            return icc.REC709
        profile = icc.parse(space.icc)
        return None if profile is None else icc.chromaticities_of(profile)
    return None


def same_space(one: Space, other: Space) -> bool:
    """Whether two spaces mean the same colours."""
    if one == other:
        return True
    plain = [space.name is None and space.cicp is None for space in (one, other)]
    if all(plain) and same_profile(one.icc, other.icc):
        return True
    first, second = encoding_of(one), encoding_of(other)
    if not (isinstance(first, MatrixEncoding) and isinstance(second, MatrixEncoding)) or first.hlg != second.hlg:
        return False
    ramp = np.linspace(0, 1, 65)
    return bool(np.allclose(first.matrix, second.matrix, atol=_SAME_LIGHT)) and all(
        np.allclose(mine.decode(ramp), yours.decode(ramp), atol=_SAME_LIGHT)
        for mine, yours in zip(first.curves, second.curves, strict=True)
    )


_OWN = {
    "srgb": SRGB,
    "linear": linear(),
    "p3": Space(icc.P3_PROFILE),
    "displayp3": Space(icc.P3_PROFILE),
    "adobergb": Space(icc.ADOBE_PROFILE),
    "adobergb1998": Space(icc.ADOBE_PROFILE),
    "prophoto": Space(icc.PROPHOTO_PROFILE),
    "prophotorgb": Space(icc.PROPHOTO_PROFILE),
    "rec2020": Space(icc.make(icc.REC2020, Power(2.4), "Rec. 2020")),
    CINEON: Space(name=CINEON),
}


def _by_code_points(tags: ColourTags) -> Space | None:
    """Of cICP or nclx; code 2 is "unspecified". All but PQ and HLG become a profile, which every format can hold.

    What was decoded is RGB of full range, whatever the file has.
    """
    if tags.cicp is None or 2 in tags.cicp[:2]:
        return None
    cicp = (*tags.cicp[:2], 0, 1)
    if cicp[1] in (PQ, HLG):
        return Space(tags.icc if space(tags.icc) == b"RGB " else None, cicp)
    if same_space(Space(cicp=cicp), SRGB):
        return SRGB
    return Space(icc.make(PRIMARIES.get(cicp[0], icc.REC709), curve_of(cicp), "From code points"))


def _by_profile(tags: ColourTags) -> Space | None:
    """Of the ICC profile. A broken one counts as none, and a grey one becomes RGB with the same curve."""
    kind = space(tags.icc)
    if tags.icc is None or kind not in (b"RGB ", b"GRAY"):
        return None
    if kind == b"GRAY":
        grey = icc.grey_as_rgb(tags.icc)
        return None if grey is None else Space(grey)
    profile = icc.parse(tags.icc)
    if profile is not None and profile.cicp is not None and profile.cicp[1] in (PQ, HLG):
        return Space(tags.icc, profile.cicp)
    return Space(tags.icc) if usable(tags.icc) else None


def _by_png(tags: ColourTags) -> Space | None:
    if tags.srgb:
        return SRGB
    if tags.gamma is None or not 0.1 < tags.gamma < 10:
        return None
    primaries = tags.chromaticities or icc.REC709
    if _SRGB_GAMMA[0] < tags.gamma < _SRGB_GAMMA[1] and np.allclose(primaries, icc.REC709, atol=0.005):
        return SRGB
    curve: Curve = LINEAR if abs(tags.gamma - 1) < 0.01 else Power(round(256 / tags.gamma) / 256)
    return Space(icc.make(primaries, curve, "From gAMA and cHRM"))


def _by_interop(tags: ColourTags) -> Space | None:
    """EXIF's InteroperabilityIndex (DCF 2.0): R98 is sRGB, R03 AdobeRGB."""
    return {"R98": SRGB, "R03": Space(icc.ADOBE_PROFILE)}.get((tags.interop or "").strip("\0 ").upper())


def _by_name(tags: ColourTags) -> Space | None:
    """Of OpenEXR's colorInteropID or OpenImageIO's name of a DPX's transfer; None for one that says nothing."""
    name = (tags.name or "").strip()
    if name.lower() in ("", "unknown", "data", "raw"):
        return None
    try:
        return space_named(_TRANSFERS.get(name.lower(), name))
    except UsageError:  # a name of somebody else's configuration
        return None


# OpenImageIO's words for the transfers of DPX (SMPTE ST 268) and others. The curve of ITU-R BT.709 is also that of
# SMPTE 274M, ITU-R BT.601 and SMPTE 170M, which is NTSC's; it counts as sRGB's, as with the code points of H.273.
_TRANSFERS = {
    "kodaklog": "cineon",
    "printing density": "cineon",
    "rec709": "srgb",
    "smpte 274m": "srgb",
    "itu-r 601-5 system b or g": "srgb",
    "itu-r 601-5 system m": "srgb",
    "ntsc composite video": "srgb",
    "scene_linear": "linear",
    "lin_srgb": "linear",
    "lin_rec709": "linear",
    "srgb_rec709_scene": "srgb",
    "srgb_rec709_display": "srgb",
}
