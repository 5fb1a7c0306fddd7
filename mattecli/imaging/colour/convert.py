"""Converts pixels from one colour space to another, in bands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.colour.encodings import (
    Encoding,
    Floats,
    MatrixEncoding,
    TableEncoding,
    encoded,
    encoding_of,
)
from mattecli.imaging.colour.icc import REC709, Matrix, adapted
from mattecli.imaging.colour.lcms import to_profile
from mattecli.imaging.colour.spaces import same_space
from mattecli.imaging.colour.tone import Tone
from mattecli.imaging.pixels import as_float
from mattecli.imaging.space import Space

_TYPES: dict[int, Any] = {8: np.uint8, 16: np.uint16, 32: np.float32}
_BAND = 2**17  # pixels converted at a time, so that they stay in the processor's cache


def convert(
    pixels: NDArray[Any],
    source: Space,
    target: Space,
    *,
    depth: int,
    gain: float = 1.0,
    tone: Tone | None = None,
) -> NDArray[Any]:
    """Colours (H, W, 3) or straight RGBA (H, W, 4) of one space in another, with 8, 16 or 32 (floats) bits per channel.

    The intent is relative colorimetric with black point compensation. With 8 bits on both sides LittleCMS converts.
    Deeper pictures go through their curves and a matrix, in float32; integers are clipped and rounded once, and floats
    are not clipped. `gain` is multiplied to the light, which `tone` then brings into range.

    Profiles that are made of tables have the accuracy of 8 bits. In the same space integers keep their values in a
    greater depth. The array itself is returned where nothing changes. Raises UsageError for unknown names of spaces.
    """
    own = {1: 8, 2: 16, 4: 32}[pixels.dtype.itemsize]
    plain = gain == 1 and tone is None
    if plain and same_space(source, target) and own <= depth:
        return pixels if own == depth else _deeper(pixels, depth)
    if plain and own == 8 and _by_littlecms(source, target, depth):
        colours = to_profile(np.ascontiguousarray(pixels[..., :3]), source.icc, target.icc)
        if colours is not None:
            return _deeper(_with_alpha(colours, pixels), depth)
    step = _step(encoding_of(source), encoding_of(target), depth=depth, gain=gain, tone=tone)
    result = np.empty(pixels.shape, _TYPES[depth])
    for rows in bands(pixels):
        result[rows, :, :3] = step(pixels[rows, :, :3])
        if pixels.shape[2] == 4:
            result[rows, :, 3] = levels(as_float(pixels[rows, :, 3]), depth)
    return result


def bands(pixels: NDArray[Any]) -> Iterator[slice]:
    """Slices of rows, each of about `_BAND` pixels."""
    rows = max(1, _BAND // max(1, pixels.shape[1]))
    for top in range(0, len(pixels), rows):
        yield slice(top, min(top + rows, len(pixels)))


def _step(
    source: Encoding, target: Encoding, *, depth: int, gain: float, tone: Tone | None
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The function that converts a band."""
    ends = [encoding.matrix if isinstance(encoding, MatrixEncoding) else None for encoding in (source, target)]
    if tone is None and ends[0] is not None and ends[1] is not None:
        between = _matrix(ends[0], ends[1], gain)
        return lambda band: _written(_times(source.decode(band), between), target, depth)
    own = ends[1]
    last = None if own is None else _matrix(adapted(REC709), own, 1.0)

    def by_light(band: NDArray[Any]) -> NDArray[Any]:
        light = source.to_light(band) * np.float32(gain)
        if tone is not None:
            light = tone(light)
        return levels(target.from_light(light), depth) if own is None else _written(_times(light, last), target, depth)

    return by_light


def _matrix(source: Matrix, target: Matrix, gain: float) -> NDArray[np.float32] | None:
    """From light of one encoding to light of another; None where nothing changes."""
    matrix = np.linalg.solve(target, source)
    if np.allclose(matrix, np.eye(3), atol=1e-4):  # the same primaries, rounded
        matrix = np.eye(3)
        if gain == 1:
            return None
    return (matrix * gain).astype(np.float32)


def _times(light: Floats, matrix: NDArray[np.float32] | None) -> Floats:
    if matrix is None:
        return light
    return np.asarray(cv2.transform(np.ascontiguousarray(light), matrix), np.float32)


def _written(light: Floats, target: Encoding, depth: int) -> NDArray[Any]:
    """Light with the target's own primaries as its values."""
    if depth != 32 and isinstance(target, MatrixEncoding) and not target.hlg:
        return encoded(np.ascontiguousarray(light), target.curves, 2**depth)
    return levels(target.encode(light), depth)


def levels(values: Floats, depth: int) -> NDArray[Any]:
    """Floats, with full scale 1, as integers of 8 or 16 bits, rounded and clipped; with 32 bits as they are."""
    if depth == 32:
        return values
    full = np.float32(2**depth - 1)
    return np.asarray(np.rint(np.clip(np.nan_to_num(values), 0, 1) * full), _TYPES[depth])


def _deeper(pixels: NDArray[Any], depth: int) -> NDArray[Any]:
    """The same values with that many bits, which are as many or more."""
    if pixels.dtype == _TYPES[depth]:
        return pixels
    result = np.empty(pixels.shape, _TYPES[depth])
    for rows in bands(pixels):
        result[rows] = levels(as_float(pixels[rows]), depth)
    return result


def _by_littlecms(source: Space, target: Space, depth: int) -> bool:
    """Whether LittleCMS converts 8 bits to that many: profiles, and those of tables to 16, too."""
    spaces = (source, target)
    if any(space.name is not None or space.cicp is not None for space in spaces):
        return False
    return depth == 8 or (depth == 16 and any(isinstance(encoding_of(space), TableEncoding) for space in spaces))


def _with_alpha(colours: NDArray[Any], pixels: NDArray[Any]) -> NDArray[Any]:
    return colours if pixels.shape[2] == 3 else np.dstack([colours, pixels[..., 3]])
