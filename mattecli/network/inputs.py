"""A photo and its trimap as the network's input.

The input is normalised, and mirrored to multiples of the network's stride.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import Box
from mattecli.spec import SHIFT, padded, scale
from mattecli.trimaps.check import UNKNOWN
from mattecli.trimaps.check import unknown as unknown_pixels

FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}  # white, by the type of a photo's values


def network_input(image: NDArray[np.generic], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The network's whole input: normalised planes (4, H', W'), mirror-padded to multiples of STRIDE.

    `image` is (H, W, 3) in uint8, uint16 or float32 from 0 to 1; `trimap` is uint8 (H, W).
    """
    picture = Picture(image, trimap)
    rgb, codes, factors, shift = picture.get(Box(0, picture.height, 0, picture.width))
    planes = np.concatenate([rgb.astype(np.float32), codes[..., None].astype(np.float32)], axis=2)  # (H', W', 4)
    return np.ascontiguousarray((planes * np.float32(factors) + np.float32(shift)).transpose(2, 0, 1))


class Picture:
    """A photo and its trimap as the network's input, mirror-padded at the bottom and right to multiples of STRIDE.

    It copies nothing until a box is asked for. The run in tiles takes it as its `NetworkInput`.
    """

    def __init__(self, image: NDArray[np.generic], trimap: NDArray[np.uint8]) -> None:
        self._image, self._trimap = image, trimap
        self._rows, self._columns = (_mirrored(size) for size in trimap.shape)
        self.height, self.width = len(self._rows), len(self._columns)
        self._scale, self._shift = np.array(scale(FULL_SCALE[image.dtype.name])), np.array(SHIFT)

    def get(self, box: Box) -> tuple[NDArray[np.generic], ...]:
        """rgb (h, w, 3) and trimap (h, w) of a box, and the scale and shift (4,) that normalise them."""
        trimap = self._cut(self._trimap, box)
        codes = np.where(unknown_pixels(trimap), np.uint8(UNKNOWN), trimap)  # the network was trained with 128 only
        return self._cut(self._image, box), codes, self._scale, self._shift

    def unknown(self) -> NDArray[np.bool_]:
        """Where the trimap is unknown, (height, width). The padding counts as known, since its alpha is cut off."""
        found = np.zeros((self.height, self.width), bool)
        height, width = self._trimap.shape
        found[:height, :width] = unknown_pixels(self._trimap)
        return found

    def _cut(self, array: NDArray[Any], box: Box) -> NDArray[Any]:
        rows, columns = box.slices
        if box.bottom <= array.shape[0] and box.right <= array.shape[1]:
            window = array[rows, columns]
        else:
            window = array[self._rows[rows, None], self._columns[columns]]
        return window.astype(array.dtype.newbyteorder("="), copy=False)


def _mirrored(size: int) -> NDArray[np.intp]:
    """The row of the photo that each row of the padded photo shows."""
    return np.pad(np.arange(size), (0, padded(size) - size), mode="reflect" if size > 1 else "edge")
