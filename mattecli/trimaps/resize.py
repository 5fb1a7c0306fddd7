"""Brings a trimap of another size to its photo's."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN, same_aspect, unknown
from mattecli.trimaps.clean import near

WIDER = 1.5  # the unknown part grows by this on each side, in pixels of the smaller of the two pictures


def resized(
    trimap: NDArray[np.uint8], size: tuple[int, int], *, name: str, image_name: str, what: str = "size"
) -> tuple[NDArray[np.uint8], str]:
    """A trimap (h, w) of 0, 128 and 255 at its photo's size (width, height), and a sentence that says so.

    Each pixel takes the nearest value, and in a smaller size it is unknown unless all that it covers is alike. The
    unknown part then grows by 1.5 pixels of the smaller size, since an edge may lie anywhere in a pixel. A hard mask,
    which has no unknown part, stays one, so that it is told as such. `what` names the size: "size", or a window of the
    photo. Raises `InputError` where the aspect is another.
    """
    height, width = trimap.shape
    check_aspect((width, height), size, name=name, image_name=image_name)
    scale = max(size[0] / width, 1.0)
    reach = math.ceil(WIDER * scale)
    hard = not unknown(trimap).any()
    if size[0] < width and not hard:
        other = shrunk(trimap, size)
    else:
        other = np.asarray(cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    note = f"{name} is {width}×{height} and was brought to {size[0]}×{size[1]}, the {what} of {image_name}"
    if hard:
        return other, note
    if (open_ := unknown(other)).any():
        other[near(open_, reach)] = UNKNOWN
    return other, f"{note}; its unknown part is {reach} pixels wider on each side"


def shrunk(trimap: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A trimap (H, W) at a smaller (width, height): known where all that a pixel covers is known and alike."""
    small = np.full((size[1], size[0]), UNKNOWN, np.uint8)
    for value in (BACKGROUND, FOREGROUND):
        differs = cv2.resize((trimap != value).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        small[differs == 0] = value  # which floats tell of any number of pixels
    return small


def check_aspect(size: tuple[int, int], image_size: tuple[int, int], *, name: str, image_name: str) -> None:
    """Raise `InputError` where a trimap cannot be the same picture as its photo, at another (width, height)."""
    (width, height), (image_width, image_height) = size, image_size
    if not same_aspect(size, image_size):
        raise InputError(
            f"{name} is {width}×{height}, which is another aspect than the {image_width}×{image_height} of "
            f"{image_name}; make the trimap from the whole photo"
        )
