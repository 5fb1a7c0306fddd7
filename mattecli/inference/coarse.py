"""What a smaller copy's matte says of a large photo.

The network learned from crops of some hundred pixels. In a photo of many megapixels the middle of a wide unknown part
is farther from anything known than it ever saw, and its alpha there is poor. A smaller copy is closer to what it
learned. So the copy is matted first. Areas that are certain in its matte and reach far into the unknown become known,
and the full size has only the rest to find. Where that is still deep, its alpha keeps its fine structure and takes the
coarse one from the copy (benchmarks/sizes.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import Box, tiles
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN, unknown
from mattecli.trimaps.clean import Mask, depth
from mattecli.trimaps.resize import shrunk

COPY = 1_000_000  # pixels of the copy
LARGE = 4_000_000  # smaller photos are matted as they are
CERTAIN = 0.005  # so near to 0 or 1 an alpha of the copy is certain,
MARGIN = 2.0  # and so far from any that is not, in pixels of the copy
REACH = 96.0  # pixels of the photo: certain areas count if they reach that far from anything known
WIDE = 0.1  # a copy is made if this share of the unknown pixels is that far from anything known
DEEP, RISE = 48.0, 16.0  # pixels of the photo: the copy corrects from this depth on, and fully so much deeper
BLUR = 1.0  # what is finer is left to the full size: the deviation of a Gaussian, in pixels of the copy
_SIDE = 2048  # of the parts that are corrected at once

Codes = NDArray[np.uint8]
Alpha = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Draft:
    """What the matte of a smaller copy says of a photo: what is certain, and the coarse structure of the rest.

    `trimap` (H, W) of 0, 128 and 255 is what the network runs on at full size. `alpha` (h, w) in [0, 1] is the copy's
    matte, or None where no copy was needed.
    """

    trimap: Codes
    alpha: Alpha | None = None

    @property
    def reach(self) -> int:
        """How far around a pixel `corrected` looks, in pixels of the photo."""
        return math.ceil(max(DEEP + RISE, 4 * self._blur))

    def corrected(self, alpha: Alpha, *, part: Box | None = None, trimap: Codes | None = None) -> Alpha:
        """The full size's alpha (H, W), with the copy's coarse structure where it is deep in the unknown.

        `alpha` is that of the whole photo or of a `part` of it, and was made with the draft's trimap or with `trimap`,
        of its size. A part is right but for its outer `reach` pixels.
        """
        if self.alpha is None:
            return alpha
        part = part or Box(0, alpha.shape[0], 0, alpha.shape[1])
        open_ = unknown(self.trimap[part.slices] if trimap is None else trimap)
        found = alpha.copy()
        for tile in tiles(alpha.shape[0], alpha.shape[1], _SIDE):
            around = tile.grow(self.reach).clip(*alpha.shape)
            inner = tile.within(around).slices
            share = np.clip((depth(open_[around.slices])[inner] - DEEP) / RISE, 0, 1)
            if share.any():
                fine = cv2.GaussianBlur(alpha[around.slices], (0, 0), self._blur)[inner]
                coarse = _enlarged(self.alpha, self.trimap.shape, tile.moved(part.top, part.left))
                found[tile.slices] = np.clip(alpha[tile.slices] + share * (coarse - fine), 0, 1)
        return found

    @property
    def _blur(self) -> float:
        """The deviation of the Gaussian that leaves of an alpha what the copy shows, in pixels of the photo."""
        return 0.0 if self.alpha is None else BLUR * math.sqrt(self.trimap.size / self.alpha.size)


def draft(photo: NDArray[Any], codes: Codes, matte: Callable[[NDArray[Any], Codes], Alpha]) -> Draft:
    """What a copy of 1 megapixel says of a photo whose trimap is `wide`; without it, the trimap alone.

    `photo` is (H, W, 3) as the network sees it, `codes` (H, W) its trimap of 0, 128 and 255. `matte` gives the alpha of
    a smaller photo and trimap. What was known stays as it was.
    """
    deep = _deep(codes)
    if deep is None:
        return Draft(codes)
    height, width = codes.shape
    size = deep.shape[1], deep.shape[0]
    small = shrunk(codes, size)
    alpha = matte(np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA)), small)
    found = np.full(alpha.shape, UNKNOWN, np.uint8)
    for value, certain in ((BACKGROUND, alpha <= CERTAIN), (FOREGROUND, alpha >= 1 - CERTAIN)):
        found[_reaching(unknown(small) & (depth(certain) > MARGIN), deep)] = value
    whole = np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    np.copyto(whole, codes, where=~unknown(codes))
    return Draft(whole, alpha)


def wide(codes: Codes) -> bool:
    """Whether a copy is matted first.

    It is if the photo has over 4 megapixels, and a tenth of its unknown ones is more than 96 pixels from anything
    known.
    """
    return _deep(codes) is not None


def _deep(codes: Codes) -> Mask | None:
    """The pixels of the copy (h, w) that are far from anything known; None if they are too few, or the photo small."""
    if codes.size <= LARGE:
        return None
    height, width = codes.shape
    scale = math.sqrt(COPY / codes.size)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    open_ = unknown(codes)
    wholly = cv2.resize((~open_).astype(np.float32), size, interpolation=cv2.INTER_AREA) == 0
    deep = depth(wholly) > REACH * scale
    enough = deep.any() and deep.sum() >= WIDE * open_.sum() * scale**2
    return deep if enough else None


def _reaching(areas: Mask, places: Mask) -> Mask:
    """The 4-connected areas that reach one of the places."""
    count, labels = cv2.connectedComponents(areas.view(np.uint8), connectivity=4)
    reaching = np.zeros(count, np.bool_)
    reaching[labels[areas & places]] = True
    return np.asarray(reaching[labels])


def _enlarged(values: Alpha, size: tuple[int, ...], part: Box) -> Alpha:
    """A part of an array brought to (height, width) by linear interpolation.

    OpenCV's warps would do, but round places to 1/32 pixel, which shows as steps where an array is enlarged tenfold.
    """
    for axis, (first, end) in enumerate(((part.top, part.bottom), (part.left, part.right))):
        count = values.shape[axis]
        at = ((np.arange(first, end) + 0.5) * (count / size[axis]) - 0.5).clip(0, count - 1)
        low = np.minimum(at.astype(np.intp), max(count - 2, 0))
        share = np.expand_dims((at - low).astype(np.float32), 1 - axis)
        high = np.minimum(low + 1, count - 1)
        values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return values
