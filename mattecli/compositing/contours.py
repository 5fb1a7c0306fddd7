"""Moves, smooths and softens the contours of a matte.

All functions take and give float32 (H, W) in [0, 1]. A subject that the frame cuts goes on beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats
from mattecli.geometry import Box, tiles

Part = tuple[slice, slice]  # rows and columns

_TILE = 512
_DIRECTIONS = 24  # in which a moved edge is sampled
_STEP = 5  # radius of the largest disc that is not put together from smaller ones
_BLUR = 0.8  # sigma that places and widths of narrow edges are measured with
_NEAR = 3.5  # sigma of the weights around a pixel that its edge's width is measured with
_NARROW, _WIDE = 3.0, 4.0  # edges up to the first width are redrawn, from the second on they are not; between: both
_SHARES = 1024
_WIDTHS = np.arange(0.25, 5.26, 0.25)  # in pixels


def _tables() -> tuple[Floats, NDArray[np.float64]]:
    """For blurred ramps of `_WIDTHS`: the distance at which each share of the height is reached, and the steepness.

    The steepness is Σwg²/Σwg with the gradient g and Gaussian weights w around the middle.
    """
    away = np.arange(-8, 8.001, 0.01)
    normal = NormalDist(0, _BLUR)
    places, steep = [], []
    below = np.array([normal.cdf(x) for x in np.arange(-12, 12.001, 0.01)])
    area = np.concatenate([[0], np.cumsum((below[1:] + below[:-1]) * 0.005)])
    weights = np.exp(-(away**2) / (2 * _NEAR**2))
    for width in _WIDTHS:
        ends = [np.interp(away + side * width / 2, np.arange(-12, 12.001, 0.01), area) for side in (1, -1)]
        height = (ends[0] - ends[1]) / width
        places.append(np.interp(np.linspace(0, 1, _SHARES + 1), height, away))
        slope = np.gradient(height, 0.01)
        steep.append((weights * slope**2).sum() / (weights * slope).sum())
    return np.array(places, np.float32), np.array(steep)


_PLACES, _STEEP = _tables()


def tiled(plane: Floats, halo: int, function: Callable[[Floats], Floats]) -> Floats:
    """What a function of windows gives for the whole plane; it needs `halo` pixels around each pixel.

    A window of one value is left out, because these functions do not change it. So the work is where edges are.
    """
    height, width = plane.shape
    result = plane.copy()
    for tile in tiles(height, width, _TILE):
        seen = tile.grow(halo)
        inner = seen.clip(height, width)
        window = plane[inner.slices]
        if window.min() == window.max():
            continue
        pad = (
            (inner.top - seen.top, seen.bottom - inner.bottom),
            (inner.left - seen.left, seen.right - inner.right),
        )
        made = function(np.pad(window, pad, mode="edge"))
        result[tile.slices] = made[halo : halo + tile.height, halo : halo + tile.width]
    return result


def subject_box(plane: NDArray[Any], reach: int) -> Part:
    """The box of what is not 0, grown by `reach`. It begins where a tile does, so that its tiles are the plane's."""
    x, y, width, height = cv2.boundingRect((plane > 0).view(np.uint8))
    top, left = (max(0, start - reach) // _TILE * _TILE for start in (y, x))
    return slice(top, y + height + reach), slice(left, x + width + reach)


def changed_tiles(before: Floats, after: Floats, halo: int) -> Iterator[tuple[Box, Box]]:
    """The tiles in which two planes differ, and what of the plane is at most `halo` pixels from each."""
    height, width = before.shape
    for tile in tiles(height, width, _TILE):
        if not np.array_equal(before[tile.slices], after[tile.slices]):
            yield tile, tile.grow(halo).clip(height, width)


def opened(alpha: Floats, radius: float) -> Floats:
    """The opening by a disc: what is narrower than the disc is gone."""
    reach = math.ceil(radius)

    def window(values: Floats) -> Floats:
        return _morphed(_morphed(values, reach, cv2.MORPH_ERODE), reach, cv2.MORPH_DILATE)

    return tiled(alpha, 2 * reach + 1, window)


def choked(alpha: Floats, pixels: float) -> Floats:
    """The edges moved inwards: the least of α within a disc, which moves every level by `pixels`.

    The disc's rim is sampled between the pixels, by cubic interpolation (Keys, a = −0.5) in 24 directions. That softens
    edges of up to 4 pixels. They are drawn again as ramps: their place comes from the blurred matte, moved in the same
    way, and their width from the steepness of its blurred gradient before.
    """
    return tiled(alpha, math.ceil(pixels) + 24, lambda values: _restored(values, _least(values, pixels), pixels))


def spread(alpha: Floats, pixels: float) -> Floats:
    """The edges moved outwards: the same for 1 − α."""
    return 1 - choked(1 - alpha, pixels)


def smoothed(alpha: Floats, sigma: float) -> Floats:
    """The contour smoothed by a Gaussian of its signed distance; the edge stays as soft as it is.

    φ is the distance to the contour of 0.5, and α'(x) = α(x + (G∗φ − φ)·∇φ): each pixel takes the value from the
    distance that it has to the smoothed contour.
    """
    reach = 4 * sigma + 8

    def window(values: Floats) -> Floats:
        distance = np.clip(_distance(values), -reach, reach)
        fine = cv2.GaussianBlur(distance, (0, 0), 1.0)  # without the steps of the pixel grid
        move = cv2.GaussianBlur(distance, (0, 0), math.hypot(sigma, 1.0)) - fine
        along = _gradient(np.asarray(fine, np.float32))
        y, x = np.mgrid[: values.shape[0], : values.shape[1]].astype(np.float32)
        length = np.maximum(np.hypot(*along), np.float32(0.5))
        step = (move / length).astype(np.float32)
        taken = cv2.remap(
            values, x + step * along[0], y + step * along[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        near = np.clip((reach - 2 - np.abs(distance)) / sigma, 0, 1)  # far from the contour nothing moves
        return np.asarray(values + near * (taken - values), np.float32)

    return tiled(alpha, math.ceil(2 * reach), window)


def feathered(alpha: Floats, sigma: float, *, both: bool = False) -> Floats:
    """The edges blurred by a Gaussian G: min(α, clip(2·G∗α − 1)), which grows nothing outwards, or G∗α with `both`."""

    def window(values: Floats) -> Floats:
        blurred = cv2.GaussianBlur(values, (0, 0), sigma)
        return np.asarray(blurred if both else np.minimum(values, np.clip(2 * blurred - 1, 0, 1)), np.float32)

    return tiled(alpha, math.ceil(4 * sigma) + 1, window)


def disc(radius: float) -> NDArray[np.uint8]:
    """The pixels at most `radius` from the middle one, as 1."""
    reach = math.floor(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(x * x + y * y <= radius * radius + 1e-9, np.uint8)


def _morphed(values: Floats, radius: float, operation: int) -> Floats:
    """Erosion or dilation by a disc; a large disc is a sum of small ones."""
    while radius > 0:
        values = np.asarray(cv2.morphologyEx(values, operation, disc(min(radius, _STEP))), np.float32)
        radius -= _STEP
    return values


def _least(alpha: Floats, pixels: float) -> Floats:
    """The least value within a disc, with its rim between the pixels."""
    height, width = alpha.shape
    pad = math.ceil(pixels) + 3
    padded = np.pad(alpha, pad, mode="edge")
    least = _morphed(alpha, pixels, cv2.MORPH_ERODE)
    for number in range(_DIRECTIONS):
        turn = 2 * math.pi * number / _DIRECTIONS
        x, y = round(pixels * math.cos(turn), 6), round(pixels * math.sin(turn), 6)
        left, top = math.floor(x), math.floor(y)
        window = padded[pad + top - 1 : pad + top + height + 2, pad + left - 1 : pad + left + width + 2]
        moved = cv2.sepFilter2D(window, cv2.CV_32F, _taps(x - left), _taps(y - top), anchor=(1, 1))
        np.minimum(least, moved[1 : 1 + height, 1 : 1 + width], out=least)
    return np.maximum(least, 0, out=least)


def _taps(fraction: float) -> Floats:
    """The four weights of cubic interpolation (Keys 1981, a = −0.5)."""
    a = -0.5
    away = np.array([1 + fraction, fraction, 1 - fraction, 2 - fraction])
    near = (a + 2) * away**3 - (a + 3) * away**2 + 1
    return np.where(away <= 1, near, a * away**3 - 5 * a * away**2 + 8 * a * away - 4 * a).astype(np.float32)


def _restored(alpha: Floats, moved: Floats, pixels: float) -> Floats:
    """The moved matte where its edges are wide; where they are narrow, an edge of the old width at the new place."""
    widths = _widths(alpha)
    low, high = _range(moved)
    if not (widths < _WIDE).any():
        return moved
    height = np.maximum(high - low, np.float32(1e-3))
    shares = np.clip((_least(_blurred(alpha), pixels) - low) / height, 0, 1)
    place = _place(shares, widths)
    across = _gradient(shares)
    length = np.maximum(np.hypot(*across), np.float32(1e-4))
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]].astype(np.float32)
    back = (place + np.float32(pixels)) / length  # to where the edge was
    there = x - back * across[0], y - back * across[1]
    width = np.asarray(cv2.remap(widths, *there, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
    place = _place(shares, width)
    redrawn = low + (high - low) * np.clip(0.5 + place / width, 0, 1)
    share = np.clip((_WIDE - width) / (_WIDE - _NARROW), 0, 1) * (high - low > 0.9)
    return np.asarray(moved + share * (redrawn - moved), np.float32)


def _blurred(values: Floats) -> Floats:
    return np.asarray(cv2.GaussianBlur(values, (9, 9), _BLUR, borderType=cv2.BORDER_REPLICATE), np.float32)


def _place(shares: Floats, widths: Floats) -> Floats:
    """How far inside a ramp of that width a pixel is, by its share of the blurred ramp's height; in pixels."""
    column = shares * _SHARES
    row = np.clip((widths - _WIDTHS[0]) / (_WIDTHS[1] - _WIDTHS[0]), 0, len(_WIDTHS) - 1.001)
    left, top = np.minimum(column.astype(np.int32), _SHARES - 1), row.astype(np.int32)
    across, down = column - left, row - top
    upper = _PLACES[top, left] * (1 - across) + _PLACES[top, left + 1] * across
    lower = _PLACES[top + 1, left] * (1 - across) + _PLACES[top + 1, left + 1] * across
    return np.asarray(upper * (1 - down) + lower * down, np.float32)


def _widths(alpha: Floats) -> Floats:
    """The width of the edge around each pixel, as that of a ramp, in pixels; large where there is no edge."""
    x = np.arange(-4, 5)
    normal = np.exp(-(x**2) / (2 * _BLUR**2))
    normal /= normal.sum()
    slope = np.asarray(x * normal / (x * x * normal).sum())
    across, down = (
        cv2.sepFilter2D(alpha, cv2.CV_32F, one, other, borderType=cv2.BORDER_REPLICATE)
        for one, other in ((slope, normal), (normal, slope))
    )
    steep = np.hypot(across, down)
    low, high = _range(alpha)
    first, second = (cv2.GaussianBlur(plane, (21, 21), _NEAR) for plane in (steep, steep * steep))
    ratio = second / np.maximum(first * (high - low), np.float32(1e-6))
    found = np.interp(ratio, _STEEP[::-1], _WIDTHS[::-1]).astype(np.float32)
    return np.where(high - low > 0.9, np.maximum(found, 1), np.float32(_WIDTHS[-1]))  # a pixel's own side is the least


def _range(values: Floats) -> tuple[Floats, Floats]:
    """The least and the greatest value of the 7 × 7 neighbours."""
    square = np.ones((7, 7), np.uint8)
    return np.asarray(cv2.erode(values, square), np.float32), np.asarray(cv2.dilate(values, square), np.float32)


def _gradient(values: Floats) -> tuple[Floats, Floats]:
    """Central differences along x and y."""
    x, y = (
        cv2.Sobel(values, cv2.CV_32F, *order, ksize=1, scale=0.5, borderType=cv2.BORDER_REPLICATE)
        for order in ((1, 0), (0, 1))
    )
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def _distance(values: Floats) -> Floats:
    """The signed distance to the contour of 0.5, positive inside."""
    inside = (values >= 0.5).astype(np.uint8)
    if inside.all() or not inside.any():
        return np.full(values.shape, np.inf if inside.any() else -np.inf, np.float32)
    within = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    beyond = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(inside > 0, within - 0.5, 0.5 - beyond).astype(np.float32)
