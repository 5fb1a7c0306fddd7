"""Estimates foreground colours, free of the old background."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats, checked_alpha, strips
from mattecli.compositing.contours import tiled
from mattecli.compositing.mixing import Light, mixing
from mattecli.compositing.plates import is_plain, tamed
from mattecli.errors import UsageError
from mattecli.imaging.given import Given, given_photo
from mattecli.imaging.pixels import as_float

# Tiles keep the working set of a pass in the processor's cache, and limit the memory for a 100-megapixel photo. The
# result does not depend on them.
TILE = (64, 512)
# Weights of the smoothness term, and Jacobi steps per level; chosen with benchmarks/foreground.py.
_SMOOTH = 1e-3
_SMOOTH_AT_EDGES = 0.1
_STEPS_BELOW = 4
_STEPS_AT_TOP = 1
# Planes of the pixel statistics.
_ALPHA, _ALPHA2, _IMAGE, _ALPHA_IMAGE = 0, 1, slice(2, 5), slice(5, 8)


def estimate_foreground(
    image: Given, alpha: Given, *, linear: bool = False, choke: float = 0.0, decontaminate: float = 100.0
) -> Floats:
    """Estimate the foreground's colours, free of the background that shines through: (H, W, 3), white is 1.

    `image` is (H, W, 3) of uint8, uint16 or floats in [0, 1], `alpha` is (H, W) of floats in [0, 1]; docs/api.md says
    what else is accepted. Where alpha is 1 the result is the image itself. Where alpha is 0 the colours of the nearby
    foreground continue, so that a cut-out can be resized. With `linear` the image counts as a mixture in linear light,
    by the curve of its own colour space (arrays are sRGB), as `composite` makes it. Scene-linear files and `Image`s may
    leave [0, 1].

    With `choke`, in pixels, the colours are estimated as if alpha were eroded by a disc of that radius: colours from
    inside replace those of the rim. It is the command line's `--colour-choke`, which leaves the alpha as it is;
    `--choke` moves the edge of the matte. `decontaminate` is a percentage: less than 100 mixes the estimate with the
    photo's own colours, 0 gives the photo, whatever `choke` is. Raises `InputError` for other shapes, types and ranges,
    `UsageError` for a negative choke or another percentage.

    The cost is that of Germer et al., "Fast Multi-Level Foreground Estimation" (ICPR 2020), in F and B:

        Σᵢ |αᵢFᵢ + (1 − αᵢ)Bᵢ − Iᵢ|²  +  Σᵢⱼ (ε + ω|αᵢ − αⱼ|) (|Fᵢ − Fⱼ|² + |Bᵢ − Bⱼ|²)    j: the four neighbours of i

    It is solved from one pixel up to the full size; each level starts from the one below. The paper shrinks image and
    alpha for smaller levels. Here a pixel of a smaller level has the mean of the data term over the pixels that it
    stands for, which keeps the information in their different alphas.

    The peak memory, besides image and alpha, is 19 bytes per pixel, 12 of them for the result; `linear` takes 12 more,
    and `choke` 8.
    """
    if not 0 <= choke < np.inf:
        raise UsageError(f"`choke` must be a number of pixels from 0 up, not {choke}")
    if not 0 <= decontaminate <= 100:
        raise UsageError(f"`decontaminate` must be a percentage from 0 to 100, not {decontaminate}")
    picture = given_photo(image, "the image")
    photo, matte = picture.pixels, checked_alpha(alpha, picture.pixels)
    if decontaminate == 0:
        return photo.copy() if photo.dtype == np.float32 else as_float(photo)
    matte = _choked(matte, choke)
    curve = mixing(picture.space) if linear else None
    colours = _of_any_range(photo, matte) if curve is None else _in_light(photo, matte, curve)
    if decontaminate < 100:
        for rows in strips(len(colours)):
            own = as_float(photo[rows])
            mixed = own + np.float32(decontaminate / 100) * (colours[rows] - own)
            colours[rows] = np.where(matte[rows, :, None] == 1, own, mixed)
    return colours


def _choked(alpha: Floats, radius: float) -> Floats:
    """Alpha (H, W) eroded by a disc; for a fraction of a pixel, between the results of the whole radii around it.

    Beyond the frame the subject goes on.
    """
    if radius == 0:
        return alpha
    low, part = int(radius), radius - int(radius)
    smaller, larger = (_eroded(alpha, r) if r else alpha for r in (low, low + 1))
    return smaller if part == 0 else np.asarray(smaller + np.float32(part) * (larger - smaller), np.float32)


def _eroded(alpha: Floats, radius: int) -> Floats:
    return tiled(alpha, radius, partial(_least_in_disc, radius=radius))


def _least_in_disc(values: Floats, *, radius: int) -> Floats:
    """The least value in the disc around each pixel; the `radius` pixels at the border stay as they are.

    The least in a row of the disc is made from that in a shorter row, which takes far less time than each pixel of it.
    """
    height, width = (side - 2 * radius for side in values.shape)
    least = np.full((height, width), np.inf, np.float32)
    row, half = values, 0  # the least of `half` pixels to both sides, where they are there
    for off in range(radius, -1, -1):
        while half < (reach := math.isqrt(radius * radius - off * off)):
            step = min(max(1, half), reach - half)
            wider = cv2.min(row[:, : -2 * step], row[:, 2 * step :])
            row = np.asarray(wider if half else cv2.min(wider, row[:, 1:-1]), np.float32)
            half += step
        left = radius - half
        for top in {radius - off, radius + off}:
            cv2.min(least, row[top : top + height, left : left + width], least)
    result = values.copy()
    result[radius:-radius, radius:-radius] = least
    return result


def _in_light(photo: NDArray[Any], alpha: Floats, curve: Light) -> Floats:
    """The estimate of a mixture in light, in the photo's own values. Where alpha is 1, the photo's own come out."""
    light = np.empty(photo.shape, np.float32)
    for rows in strips(len(light)):
        light[rows] = curve.decode(as_float(photo[rows]))
    colours = _of_any_range(light, alpha)
    for rows in strips(len(light)):
        colours[rows] = curve.encode(colours[rows])
        np.copyto(colours[rows], as_float(photo[rows]), where=alpha[rows, :, None] == 1)
    return colours


def _of_any_range(image: NDArray[Any], alpha: Floats) -> Floats:
    """The estimate, also of a plate whose values leave 0 to 1. Where alpha is 1, the plate's own bits come out."""
    if is_plain(image):
        return _estimate(image, alpha)
    calm, factor, offset = tamed(image)
    colours = _estimate(calm, alpha)
    for rows in strips(len(colours)):
        colours[rows] = colours[rows] * np.float32(factor) + np.float32(offset)
        np.copyto(colours[rows], image[rows], where=alpha[rows, :, None] == 1)
    return colours


def _estimate(image: NDArray[Any], alpha: Floats) -> Floats:
    levels = _pyramid(image, alpha)
    smallest = levels[-1] if levels else _statistics(image, alpha)
    layers = np.concatenate([smallest[_IMAGE]] * 2)  # (6, 1, 1): F and B
    while levels:
        layers = _refine(levels.pop(), layers)
    return _finish(image, alpha, layers)


def _pyramid(image: NDArray[Any], alpha: Floats) -> list[Floats]:
    """The statistics of every level below the full size, (8, h, w): the means of α, α², I (3 planes) and αI (3)."""
    height, width = alpha.shape
    if max(height, width) == 1:
        return []
    half = np.empty((8, (height + 1) // 2, (width + 1) // 2), np.float32)
    for rows in strips(height):
        half[:, rows.start // 2 : (rows.stop + 1) // 2] = _halved(_statistics(image[rows], alpha[rows]))
    levels = [half]
    while max(levels[-1].shape[1:]) > 1:
        levels.append(_halved(levels[-1]))
    return levels


def _statistics(image: NDArray[Any], alpha: Floats) -> Floats:
    """The eight planes of `_pyramid` at full size, where each mean is that of one pixel."""
    planes = np.empty((8, *alpha.shape), np.float32)
    planes[_ALPHA] = alpha
    planes[_ALPHA2] = alpha * alpha
    planes[_IMAGE] = np.moveaxis(as_float(image), 2, 0)
    planes[_ALPHA_IMAGE] = alpha * planes[_IMAGE]
    return planes


def _halved(planes: Floats) -> Floats:
    """The mean of each 2 × 2 pixels. At an odd size the last row or column counts twice."""
    height, width = planes.shape[1:]
    result = np.empty((len(planes), (height + 1) // 2, (width + 1) // 2), np.float32)
    for plane, means in zip(planes, result, strict=True):
        even = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
        rows = even[::2] + even[1::2]
        np.multiply(rows[:, ::2] + rows[:, 1::2], 0.25, out=means)
    return result


def _refine(statistics: Floats, below: Floats) -> Floats:
    """F and B of a level (6, h, w) from those of the level below (6, ⌈h/2⌉, ⌈w/2⌉)."""
    layers = np.empty((6, *statistics.shape[1:]), np.float32)
    for tile, halo, inner in _tiles(*statistics.shape[1:], steps=_STEPS_BELOW):
        layers[:, *tile] = _relax(statistics[:, *halo], _enlarged(below, *halo), _STEPS_BELOW)[:, *inner]
    return layers


def _finish(image: NDArray[Any], alpha: Floats, below: Floats) -> Floats:
    """F at full size, (H, W, 3). It is unknown only where alpha is neither 0 nor 1."""
    result = np.empty(image.shape, np.float32)
    for tile, halo, inner in _tiles(*alpha.shape, steps=_STEPS_AT_TOP):
        layers = _enlarged(below, *halo)
        known = as_float(image[tile])
        share = alpha[tile][..., None]
        foreground = np.moveaxis(layers[:3, *inner], 0, 2)
        if ((share > 0) & (share < 1)).any():
            relaxed = _relax(_statistics(image[halo], alpha[halo]), layers, _STEPS_AT_TOP)
            foreground = np.where(share > 0, np.moveaxis(relaxed[:3, *inner], 0, 2), foreground)
        result[tile] = np.where(share < 1, foreground, known)
    return result


def _relax(statistics: Floats, layers: Floats, steps: int) -> Floats:
    """Take Jacobi steps: each pixel's F and B (6, h, w) become the best for their neighbours as they are."""
    alpha, alpha2 = statistics[_ALPHA], statistics[_ALPHA2]
    height, width = alpha.shape
    # At the rims each pixel is its own neighbour, as the level below saw it: even a single pixel is then determined.
    vertical = np.full((height + 1, width), _SMOOTH, np.float32)  # weights between a row and the one above
    vertical[1:-1] += _SMOOTH_AT_EDGES * np.abs(np.diff(alpha, axis=0))
    horizontal = np.full((height, width + 1), _SMOOTH, np.float32)
    horizontal[:, 1:-1] += _SMOOTH_AT_EDGES * np.abs(np.diff(alpha, axis=1))
    above, under, left, right = vertical[:-1], vertical[1:], horizontal[:, :-1], horizontal[:, 1:]
    weights = above + under + left + right

    # The cost in one pixel's (F, B) is a quadratic form of ((ff, fb), (fb, bb)); its inverse is the same for all steps.
    ff, fb, bb = alpha2 + weights, alpha - alpha2, 1 - 2 * alpha + alpha2 + weights
    scale = 1 / (ff * bb - fb * fb)
    ff, fb, bb = ff * scale, fb * scale, bb * scale
    data = np.concatenate([statistics[_ALPHA_IMAGE], statistics[_IMAGE] - statistics[_ALPHA_IMAGE]])

    padded = np.pad(layers, ((0, 0), (1, 1), (1, 1)), mode="edge")
    inside = padded[:, 1:-1, 1:-1]
    for _ in range(steps):
        pull = data + above * padded[:, :-2, 1:-1]
        pull += under * padded[:, 2:, 1:-1]
        pull += left * padded[:, 1:-1, :-2]
        pull += right * padded[:, 1:-1, 2:]
        np.clip(bb * pull[:3] - fb * pull[3:], 0, 1, out=inside[:3])
        np.clip(ff * pull[3:] - fb * pull[:3], 0, 1, out=inside[3:])
    return inside


def _enlarged(below: Floats, rows: slice, columns: slice) -> Floats:
    """A window of the level below at twice its size, bilinear. The window starts at even coordinates."""
    top, left = max(0, rows.start // 2 - 1), max(0, columns.start // 2 - 1)
    window = below[:, top : (rows.stop + 1) // 2 + 1, left : (columns.stop + 1) // 2 + 1]
    size = (2 * window.shape[2], 2 * window.shape[1])
    planes = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in window]
    top, left = rows.start - 2 * top, columns.start - 2 * left
    return np.stack(planes)[:, top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]


Window = tuple[slice, slice]


def _tiles(height: int, width: int, *, steps: int) -> Iterator[tuple[Window, Window, Window]]:
    """For each tile: its window, its window with the halo of so many steps, and the first relative to the second."""
    reach = steps + steps % 2  # even, to stay aligned with the level below
    for top in range(0, height, TILE[0]):
        rows = slice(top, min(top + TILE[0], height))
        halo_rows = slice(max(0, rows.start - reach), min(height, rows.stop + reach))
        for left in range(0, width, TILE[1]):
            columns = slice(left, min(left + TILE[1], width))
            halo_columns = slice(max(0, columns.start - reach), min(width, columns.stop + reach))
            inner = (_within(rows, halo_rows), _within(columns, halo_columns))
            yield (rows, columns), (halo_rows, halo_columns), inner


def _within(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)
