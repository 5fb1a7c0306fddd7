"""Narrows a large photo's trimap by a smaller copy's matte.

The network learned from crops of some hundred pixels. In a photo of many megapixels the middle of a wide unknown part
is farther from anything known than it ever saw, and its alpha there is poor. A smaller copy is closer to what it
learned. So what is certain in the copy's matte and far from anything known becomes known, and the full size has only
the rest to find (benchmarks/sizes.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN, unknown
from mattecli.trimaps.clean import depth
from mattecli.trimaps.resize import shrunk

COPY = 1_000_000  # pixels of the copy
LARGE = 2_000_000  # smaller photos are matted as they are
CERTAIN = 0.02  # so near to 0 or 1 an alpha of the copy is certain,
MARGIN = 2.0  # and so far from any that is not, in pixels of the copy
REACH = 32.0  # pixels of the photo: what is so near to something known is left to the full size

Codes = NDArray[np.uint8]


def narrowed(photo: NDArray[Any], codes: Codes, matte: Callable[[NDArray[Any], Codes], NDArray[np.float32]]) -> Codes:
    """A trimap (H, W) of 0, 128 and 255 in which fewer pixels are unknown.

    It is the given one for photos of up to 2 megapixels, and where nothing unknown is far from anything known. `photo`
    is (H, W, 3) as the network sees it. `matte` gives the alpha of a smaller photo and trimap. What was known stays as
    it was.
    """
    height, width = codes.shape
    if codes.size <= LARGE:
        return codes
    scale = math.sqrt(COPY / codes.size)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    small = shrunk(codes, size)
    deep = depth(unknown(small)) > REACH * scale
    if not deep.any():  # nothing to decide
        return codes
    alpha = matte(np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA)), small)
    found = np.full(alpha.shape, UNKNOWN, np.uint8)
    for value, certain in ((BACKGROUND, alpha <= CERTAIN), (FOREGROUND, alpha >= 1 - CERTAIN)):
        found[deep & (depth(certain) > MARGIN)] = value
    whole = np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    np.copyto(whole, codes, where=~unknown(codes))
    return whole
