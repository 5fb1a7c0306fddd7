"""Tiles of pictures that cover a part of a photo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import Box
from mattecli.server.pyramid import halved


@dataclass(frozen=True, eq=False)
class Windowed:
    """Pixels, (h, w) or (h, w, C), of a box of a photo at a level. The box lies on whole pixels of that level."""

    box: Box
    level: int
    pixels: NDArray[Any]

    def tile(self, level: int, tile: Box) -> NDArray[Any]:
        """The pixels in a box at any level, enlarged or made smaller; 0 outside of the window."""
        factor = 2.0 ** (self.level - level)
        top, left = (round(side / 2**level) for side in (self.box.top, self.box.left))
        height, width = (math.ceil(side * factor) for side in self.pixels.shape[:2])
        result = np.zeros((tile.height, tile.width, *self.pixels.shape[2:]), self.pixels.dtype)
        inside = Box(top, top + height, left, left + width).within(tile).clip(tile.height, tile.width)
        if inside.height > 0 and inside.width > 0:
            result[inside.slices] = self._scaled(factor, (top - tile.top, left - tile.left), inside, (height, width))
        return result

    def _scaled(self, factor: float, corner: tuple[int, int], inside: Box, size: tuple[int, int]) -> NDArray[Any]:
        """The part of the scaled window, which has its corner there, inside a box."""
        part = Box(inside.top - corner[0], inside.bottom - corner[0], inside.left - corner[1], inside.right - corner[1])
        if factor == 1:
            return self.pixels[part.slices]
        if factor < 1:
            pixels = self.pixels
            while pixels.shape[:2] != size:
                pixels = halved(pixels)
            return pixels[part.slices]
        shift = np.array([[factor, 0, factor / 2 - 0.5 - part.left], [0, factor, factor / 2 - 0.5 - part.top]])
        moved = cv2.warpAffine(
            self.pixels, shift, (part.width, part.height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(moved)
