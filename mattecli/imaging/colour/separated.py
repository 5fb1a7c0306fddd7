"""Converts CMYK and Lab to sRGB, by profile or by formula."""

from __future__ import annotations

import importlib.util
from typing import Any, Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageCms

from mattecli.imaging.colour.curves import encode_srgb
from mattecli.imaging.colour.icc import REC709, adapted
from mattecli.imaging.colour.lcms import to_srgb

_VALUES = 2**20  # that are converted at once
_WHITE = (0.9642, 1.0, 0.8249)  # D50, to which Lab refers (ICC.1:2022)


def separated_to_srgb(
    colour: NDArray[Any], model: Literal["cmyk", "lab"], icc: bytes | None, *, offset: bool = False
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """CMYK (H, W, 4) or Lab (H, W, 3) of uint8 or uint16 as sRGB (H, W, 3), and what the user should know.

    No ink is 0. `offset` says that neutral a and b are half of full scale; otherwise they are signed numbers around 0.
    16 bits stay 16. Where a profile of CMYK needs imagecodecs for that, and it is not installed, 8 bits are left.
    Raises ValueError for floats.
    """
    if colour.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{model.upper()} of type {colour.dtype}")
    name = "CMYK" if model == "cmyk" else "Lab"
    note = f"it is {name} and was converted to sRGB"
    if colour.dtype == np.uint16:
        deep = _deep(colour, model, icc, offset=offset)
        if deep is not None:
            return deep, (note,)
        note += " with 8 bits"
        if model == "cmyk" and importlib.util.find_spec("imagecodecs") is None:
            note += '; pip install "mattecli[deep]" keeps 16'
        colour = (colour >> 8).astype(np.uint8)
    if model == "lab" and offset:
        colour = colour ^ np.array([0, 128, 128], np.uint8)
    size = colour.shape[1], colour.shape[0]
    picture = PIL.Image.frombytes("CMYK" if model == "cmyk" else "LAB", size, np.ascontiguousarray(colour).tobytes())
    return np.asarray(to_srgb(picture, icc)[0]), (note,)


def _deep(colour: NDArray[Any], model: str, icc: bytes | None, *, offset: bool) -> NDArray[np.uint16] | None:
    """The same with 16 bits; None where that cannot be done here."""
    if icc is not None and (model == "lab" or importlib.util.find_spec("imagecodecs") is None):
        return None
    result = np.empty((*colour.shape[:2], 3), np.uint16)
    rows = max(1, _VALUES // max(1, colour[0].size))
    for top in range(0, len(colour), rows):
        band = colour[top : top + rows]
        if icc is not None:
            made = _by_profile(band, icc)
            if made is None:
                return None
            result[top : top + rows] = made
            continue
        values = _of_inks(band) if model == "cmyk" else _of_lab(band, offset=offset)
        result[top : top + rows] = np.rint(np.clip(values, 0, 1) * np.float32(65535))
    return result


def _by_profile(inks: NDArray[Any], icc: bytes) -> NDArray[np.uint16] | None:
    """CMYK by LittleCMS, which imagecodecs gives 16 bits; None for a profile that cannot be used."""
    import imagecodecs

    flags = imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION | imagecodecs.CMS.FLAGS.HIGHRESPRECALC
    try:
        made: NDArray[np.uint16] = imagecodecs.cms_transform(
            np.ascontiguousarray(inks),
            icc,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
            colorspace="cmyk",
            outcolorspace="rgb",
            outdtype="uint16",
            intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
            flags=flags,
        )
    except imagecodecs.CmsError:
        return None
    return made


def _of_inks(inks: NDArray[Any]) -> NDArray[np.float32]:
    """Each ink takes its share of a light, black of all: the formula that Pillow has for 8 bits."""
    left = np.float32(1) - inks.astype(np.float32) / np.float32(65535)
    return np.asarray(left[..., :3] * left[..., 3:], np.float32)


def _of_lab(lab: NDArray[Any], *, offset: bool) -> NDArray[np.float32]:
    """sRGB of CIE 1976 L*a*b* under D50: L* from 0 to 100, a* and b* in steps of 1/256."""
    lightness = lab[..., 0].astype(np.float32) * np.float32(100 / 65535)
    axes = lab[..., 1:].astype(np.int32) - 32768 if offset else lab[..., 1:].view(np.int16)
    green_red, blue_yellow = np.moveaxis(axes.astype(np.float32) / np.float32(256), 2, 0)
    y = (lightness + 16) / 116
    roots = np.stack([y + green_red / 500, y, y - blue_yellow / 200], axis=2)
    bound = 6 / 29
    xyz = np.where(roots > bound, roots**3, (roots - 4 / 29) * (3 * bound**2)) * np.array(_WHITE, np.float32)
    light = xyz @ np.linalg.inv(adapted(REC709)).T
    return encode_srgb(np.clip(light, 0, 1).astype(np.float32))
