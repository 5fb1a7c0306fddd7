"""Decoded pixels: turned upright, with their profile and resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

ORIENTATION = 0x0112  # the tag of EXIF and TIFF


@dataclass(frozen=True, eq=False)
class Decoded:
    """Upright pixels: grey (H, W), RGB (H, W, 3) or straight RGBA (H, W, 4); uint8, uint16, or float32 as stored."""

    pixels: NDArray[Any]
    icc: bytes | None = None
    resolution: tuple[float, float] | None = None


def upright(decoded: Decoded, orientation: int) -> Decoded:
    """Undo the rotation of the camera (EXIF 2.32, tag 0x0112, says where row 0 and column 0 belong)."""
    pixels = decoded.pixels
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return Decoded(np.ascontiguousarray(pixels), decoded.icc, turned_resolution(decoded.resolution, orientation))


def turned_resolution(resolution: tuple[float, float] | None, orientation: int) -> tuple[float, float] | None:
    """The resolution (x, y) of the picture once it is upright."""
    return resolution[::-1] if resolution and orientation >= 5 else resolution


def usable_resolution(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    """The resolution (x, y) in dots per inch; None where a file states one that cannot be."""
    if dpi is None:
        return None
    x, y = float(dpi[0]), float(dpi[1])
    return (x, y) if np.isfinite([x, y]).all() and x > 0 and y > 0 else None


def with_opencv(handle: BinaryIO) -> NDArray[Any]:
    """Grey (H, W), RGB or RGBA pixels as OpenCV decodes them. Raises ValueError where it cannot."""
    pixels = cv2.imdecode(np.frombuffer(handle.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("OpenCV cannot decode it")
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    return pixels
