"""A photo and its trimap as the network's input: normalised, and mirrored to a multiple of its stride."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import Box
from mattecli.spec import MEAN, STD, STRIDE

FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}


def network_input(image: NDArray[np.generic], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The network's whole input: normalised planes (4, H', W'), mirror-padded to multiples of STRIDE."""
    picture = Picture(image, trimap)
    rgb, codes, scale, shift = picture.get(Box(0, picture.height, 0, picture.width))
    planes = np.concatenate([rgb.astype(np.float32), codes[..., None].astype(np.float32)], axis=2)
    return np.ascontiguousarray((planes * np.float32(scale) + np.float32(shift)).transpose(2, 0, 1))


class Picture:
    """A photo and its trimap as the network's input, mirror-padded at the bottom and right to multiples of STRIDE.

    Nothing is copied before a box is asked for. A tiling.Source.
    """

    def __init__(self, image: NDArray[np.generic], trimap: NDArray[np.uint8]) -> None:
        self._image, self._trimap = image, trimap
        self._rows, self._columns = (_mirrored(size) for size in trimap.shape)
        self.height, self.width = len(self._rows), len(self._columns)
        full = FULL_SCALE[image.dtype.name]
        self._scale = np.array([*(1 / (full * std) for std in STD), 1 / 255])
        self._shift = np.array([*(-mean / std for mean, std in zip(MEAN, STD, strict=True)), 0])

    def get(self, box: Box) -> tuple[NDArray[np.generic], ...]:
        """rgb (h, w, 3) and trimap (h, w) of a box, and the scale and shift (4,) that normalise them."""
        trimap = self._cut(self._trimap, box)
        codes = np.where((trimap == 0) | (trimap == 255), trimap, np.uint8(128))
        return self._cut(self._image, box), codes, self._scale, self._shift

    def unknown(self) -> NDArray[np.bool_]:
        """Where the trimap is unknown; the padding, of which nothing is kept, never is."""
        found = np.zeros((self.height, self.width), bool)
        height, width = self._trimap.shape
        found[:height, :width] = (self._trimap != 0) & (self._trimap != 255)
        return found

    def _cut(self, array: NDArray[Any], box: Box) -> NDArray[Any]:
        rows, columns = box.slices
        if box.bottom <= array.shape[0] and box.right <= array.shape[1]:
            window = array[rows, columns]
        else:
            window = array[self._rows[rows, None], self._columns[columns]]
        return window.astype(array.dtype.newbyteorder("="), copy=False)


def _mirrored(size: int) -> NDArray[np.intp]:
    """For each row of the padded image the row it shows."""
    return np.pad(np.arange(size), (0, -size % STRIDE), mode="reflect" if size > 1 else "edge")
