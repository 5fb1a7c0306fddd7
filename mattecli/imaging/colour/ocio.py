"""Colour spaces by name, from OpenColorIO's studio configuration or from `$OCIO`."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import UsageError
from mattecli.imaging.space import CICP

if TYPE_CHECKING:
    import OpenImageIO as oiio  # noqa: N813 - its own examples call it so

# Pinned, so that a name means the same in later versions. The default configuration of OpenColorIO has no camera logs.
_STUDIO = "ocio://studio-config-v4.0.0_aces-v2.0_ocio-v2.5"
# Light with the primaries of sRGB, in configurations of ACES and of others.
_LIGHT = ("lin_rec709_scene", "lin_rec709_srgb", "lin_rec709", "Linear Rec.709 (sRGB)", "Utility - Linear - sRGB")


def checked(name: str) -> str:
    """The name of a colour space as the configuration spells it. Raises UsageError for one that it does not know."""
    config = _config(_source())
    if config.getColorSpaceIndex(name) >= 0:
        return str(config.getColorSpaceNameByIndex(config.getColorSpaceIndex(name)))
    close = difflib.get_close_matches(name.lower(), known := _names(config), n=3, cutoff=0.5)
    few = ", ".join(known[word] for word in close) if close else "ACEScg, ARRI LogC4, S-Log3 S-Gamut3.Cine"
    raise UsageError(f"{name!r} is not a colour space of {_shown()}; name one such as {few}, or auto, srgb, linear")


@dataclass(frozen=True)
class Facts:
    """What is known of a colour space: the code points of ITU-T H.273, the chromaticities (red, green, blue, white).

    `gamma` is 1 for light; None where the curve is not a power. `srgb_curve` says whether it is that of sRGB.
    """

    cicp: CICP | None
    chromaticities: tuple[float, ...] | None
    gamma: float | None
    srgb_curve: bool


def facts(name: str) -> Facts:
    """What the configuration knows of a colour space."""
    config = _config(_source())
    cicp, found = config.get_cicp(name), config.get_chromaticities(name)
    gamma = 1.0 if config.isColorSpaceLinear(name) else float(config.get_transfer_function_gamma(name))
    return Facts(
        None if cicp is None else (cicp[0], cicp[1], cicp[2], cicp[3]),
        tuple(map(float, found)) if found else None,
        gamma if gamma > 0 else None,
        str(config.get_color_interop_id(name)).startswith("srgb"),
    )


def convert(values: NDArray[np.float32], source: str | None, target: str | None) -> NDArray[np.float32]:
    """Convert (H, W, 3). None is light with the primaries of sRGB. Raises UsageError where that is not possible."""
    import OpenImageIO as oiio  # noqa: N813

    one, other = (_light() if name is None else name for name in (source, target))
    picture = oiio.ImageBuf(np.ascontiguousarray(values, np.float32))
    done = oiio.ImageBufAlgo.colorconvert(picture, one, other, colorconfig=_source(), nthreads=1)
    if done.has_error:
        reason = " ".join(str(done.geterror()).split())
        raise UsageError(f"colours cannot be converted from {one!r} to {other!r} ({reason}); name another space")
    return np.asarray(done.get_pixels(oiio.FLOAT), np.float32)


def _light() -> str:
    config = _config(_source())
    for name in _LIGHT:
        if config.getColorSpaceIndex(name) >= 0:
            return name
    raise UsageError(
        f"{_shown()} has no linear colour space with sRGB's primaries; unset $OCIO or add one named {_LIGHT[0]}"
    )


def _source() -> str:
    return os.environ.get("OCIO") or _STUDIO


def _shown() -> str:
    return "the configuration in $OCIO" if os.environ.get("OCIO") else "OpenColorIO's studio configuration"


@lru_cache(maxsize=4)
def _config(source: str) -> oiio.ColorConfig:
    import OpenImageIO as oiio  # noqa: N813

    config = oiio.ColorConfig(source)
    if error := config.geterror():
        raise UsageError(f"the colour configuration {source} cannot be read ({' '.join(error.split())}); check $OCIO")
    return config


def _names(config: oiio.ColorConfig) -> dict[str, str]:
    """The names of the colour spaces, by themselves in small letters."""
    return {name.lower(): name for name in config.getColorSpaceNames()}
