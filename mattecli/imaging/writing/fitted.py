"""Brings a picture to what a file format can hold.

Its space is kept where the format can state it, and so are the values of a log (`is_log`) in formats of integers that
have profiles. Otherwise the picture is converted: to linear light for OpenEXR and floats, and to sRGB, by the tone rule
of `colour.tone`, for formats of integers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.colour import chromaticities, convert, is_linear, is_log, linear, same_space
from mattecli.imaging.image import Image, to_depth
from mattecli.imaging.metadata import for_pixels
from mattecli.imaging.pixels import beyond_white, check_range
from mattecli.imaging.space import SRGB, Space
from mattecli.imaging.view import network_view

if TYPE_CHECKING:
    from mattecli.imaging.writing.encoding import Format


def fitted(picture: Image, form: Format, depth: int, *, keep: bool) -> Image:
    """The picture as it goes into the file: its depth in bits, its colours and its metadata, without it unless `keep`.

    Grey pictures are data, and their values stay. Raises InputError for floats of sRGB outside of [0, 1], where the
    file holds integers.
    """
    if picture.pixels.ndim == 3:
        picture = _with_space(picture, form, depth)
    if depth != 32:
        check_range(picture.pixels, "the picture")
    known = picture.metadata if keep else picture.metadata.geometry
    srgb = same_space(picture.space, SRGB)
    return replace(
        picture,
        pixels=to_depth(picture.pixels, depth),
        metadata=for_pixels(known, size=picture.size, srgb=srgb),
    )


def _needs_srgb(picture: Image, form: Format, depth: int) -> bool:
    """Whether colours must become sRGB, because the file cannot state their space or holds no light above white."""
    if form.light or form.name == "NumPy" or same_space(picture.space, SRGB):
        return False
    if not form.profile:
        return True
    if depth == 32:
        return False
    if picture.named_space is not None:
        return not is_log(picture.space)  # its values are those that its owner works with
    if picture.cicp is not None:
        return not (form.code_points and depth == 16)
    return picture.depth == 32 and (is_linear(picture.space) or beyond_white(picture.pixels))


def _with_space(picture: Image, form: Format, depth: int) -> Image:
    """The colours (H, W, 3 or 4) in the space that is written."""
    if _needs_srgb(picture, form, depth):
        return _in_srgb(picture)
    stated = picture.named_space is None and picture.cicp is None
    if form.light or (depth == 32 and not stated and form.profile):
        goal = picture.space if stated and is_linear(picture.space) else linear(_primaries(picture.space))
        pixels = convert(picture.pixels, picture.space, goal, depth=32)
        return _converted(picture, pixels, goal.icc)
    return picture


def _primaries(space: Space) -> tuple[float, ...]:
    return chromaticities(space) or chromaticities(SRGB) or ()


def _in_srgb(picture: Image) -> Image:
    """As the network sees the picture, with its alpha."""
    pixels = network_view(picture)
    if picture.pixels.shape[2] == 4:
        alpha = to_depth(np.clip(picture.pixels[..., 3], 0, None), 8 if pixels.dtype == np.uint8 else 16)
        pixels = np.dstack([pixels, alpha])
    return _converted(picture, pixels, None)


def _converted(picture: Image, pixels: NDArray[Any], icc: bytes | None) -> Image:
    known = replace(picture.metadata, converted=True)
    return replace(picture, pixels=pixels, icc=icc, cicp=None, named_space=None, metadata=known)
