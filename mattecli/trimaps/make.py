"""Makes a trimap from a mask or matte, and previews it.

A trimap is uint8 (H, W): 0 background, 128 unknown, 255 foreground. This module does not read files; names are only for
messages.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.imaging.given import Given, given_levels, given_name
from mattecli.imaging.pixels import full_scale
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN


def make_trimap(
    mask: Given,
    *,
    erode: int,
    dilate: int,
    low: float = 0.05,
    high: float = 0.95,
    name: str = "the mask",
) -> NDArray[np.uint8]:
    """A trimap, uint8 (H, W) of 0, 128 and 255, from a hard mask or a soft matte.

    `mask` is (H, W) of bool, uint8, uint16 or float from 0 to 1, a PIL image, or a file. Values up to `low` are
    background, values from `high` on are foreground, and values between them are unknown (both from 0 to 1). Then the
    unknown part grows by `erode` pixels into the foreground and by `dilate` pixels into the background, in Euclidean
    distance. The edge of the picture is not a border. The time does not depend on the radius.

    Raises `UsageError` for a negative radius or `low` ≥ `high`. Raises `InputError`, which names `name`, for a mask
    with only one value or with label numbers such as 0 and 1, for floats outside 0 to 1, and for another shape or type.
    """
    if erode < 0 or dilate < 0:
        raise UsageError(f"`erode` and `dilate` must be 0 or more pixels, not {erode} and {dilate}")
    if not 0 <= low < high <= 1:
        raise UsageError(f"`low` must be less than `high`, and both from 0 to 1, not {low:g} and {high:g}")
    levels = given_levels(mask, name)
    full = full_scale(levels, name)
    _refuse_flat(float(levels.min()) / full, float(levels.max()) / full, given_name(mask, name))
    foreground = np.asarray(levels >= high * full)
    background = np.asarray(levels <= low * full)
    trimap = np.full(levels.shape, UNKNOWN, np.uint8)
    trimap[_shrunk(foreground, erode)] = FOREGROUND
    trimap[_shrunk(background, dilate)] = BACKGROUND
    return trimap


def _refuse_flat(lowest: float, highest: float, name: str) -> None:
    if lowest == highest:
        raise InputError(f"{name} has the same value everywhere; give a mask with the object white on black")
    if highest <= 10 / 255:
        raise InputError(
            f"{name} is nearly black (its greatest value is {round(highest * 255)} of 255); write 255 for the object "
            "instead of a label number"
        )


def _shrunk(region: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """The region without the pixels that are within `reach` of a pixel outside it."""
    if reach == 0 or region.all():
        return region
    distance = cv2.distanceTransform(region.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance > reach)


def overlay(image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A preview, uint8 (H, W, 3), of a photo (uint8 RGB) with its trimap.

    Foreground is tinted green and background red; unknown pixels are unchanged. White lines mark the borders.
    """
    preview = image.copy()
    for value, tint in ((FOREGROUND, (0, 200, 80)), (BACKGROUND, (220, 30, 40))):
        tinted = cv2.addWeighted(image, 0.5, np.full_like(image, tint), 0.5, 0)
        np.copyto(preview, tinted, where=(trimap == value)[..., None])
    width = max(3, round(max(trimap.shape) / 800) | 1)  # visible when a large photo is shown small
    edges = cv2.morphologyEx(trimap, cv2.MORPH_GRADIENT, np.ones((width, width), np.uint8)) > 0
    preview[edges] = 255
    return preview
