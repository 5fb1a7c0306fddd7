"""Foreground colours under a matte, and pictures put together from them: the compositing equation both ways.

    I = αF + (1 − α)B

A photo shows I. Where a hair covers half a pixel, I is half background, and pasted elsewhere it drags the old
background along as a dark or light halo: hence `estimate_foreground` before `composite` or `cutout`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.pixels import as_float, check_range, full_scale

Floats = NDArray[np.float32]
Colour = tuple[float, float, float]
Fit = Literal["cover", "contain", "stretch", "tile"]

# Tiles keep the working set of a pass in the processor's cache and the memory of a 100-megapixel photo in bounds; the
# result does not depend on them.
_TILE = (64, 512)
_STRIP = 64  # rows

# Weights of the smoothness term and Jacobi steps a level, chosen by benchmarks/foreground.py.
_SMOOTH = 1e-3
_SMOOTH_AT_EDGES = 0.1
_STEPS_BELOW = 4
_STEPS_AT_TOP = 1

# Planes of the pixel statistics that the estimate works on.
_ALPHA, _ALPHA2, _IMAGE, _ALPHA_IMAGE = 0, 1, slice(2, 5), slice(5, 8)


def estimate_foreground(image: NDArray[Any], alpha: NDArray[np.floating], *, linear: bool = False) -> Floats:
    """Estimate the foreground's colours, free of the background that shines through: (H, W, 3) in [0, 1].

    `image` is (H, W, 3) of uint8, uint16, or floats in [0, 1], `alpha` (H, W) of floats in [0, 1]. Where alpha is 1 the
    result is the image itself; where it is 0 the colours of the foreground nearby go on, so that a cut-out may be
    resized. With `linear` the image is taken to be a mixture of linear light (sRGB's), as `composite` makes one.
    Raises `InputError` for other shapes, types and ranges.

    The cost is that of Germer et al., "Fast Multi-Level Foreground Estimation" (ICPR 2020), in F and B:

        Σᵢ |αᵢFᵢ + (1 − αᵢ)Bᵢ − Iᵢ|²  +  Σᵢⱼ (ε + ω|αᵢ − αⱼ|) (|Fᵢ − Fⱼ|² + |Bᵢ − Bⱼ|²)    j: the four neighbours of i

    solved from one pixel up to the full size, each level starting from the one below. Where that paper shrinks image
    and alpha, here a pixel of a smaller level carries the mean of the data term over the pixels it stands for, which
    keeps what their differing alphas say of F and B apart.

    Beside image and alpha it takes 19 bytes a pixel at its peak, of which the result is 12; `linear` takes 12 more.
    """
    image, alpha = _checked_picture(image, "image"), _checked_alpha(alpha, image)
    if linear:
        light = np.empty(image.shape, np.float32)
        for rows in _strips(len(light)):
            light[rows] = decode_srgb(as_float(image[rows]))
        colours = estimate_foreground(light, alpha)
        for rows in _strips(len(light)):
            colours[rows] = encode_srgb(colours[rows])
        return colours
    levels = _pyramid(image, alpha)
    smallest = levels[-1] if levels else _statistics(image, alpha)
    layers = np.concatenate([smallest[_IMAGE]] * 2)  # (6, 1, 1): F and B
    while levels:
        layers = _refine(levels.pop(), layers)
    return _finish(image, alpha, layers)


def composite(
    foreground: NDArray[Any], alpha: NDArray[np.floating], background: NDArray[Any] | Colour, *, linear: bool = False
) -> Floats:
    """Put a foreground over a background: αF + (1 − α)B, (H, W, 3) in [0, 1].

    `foreground` is (H, W, 3) with straight colours, `background` a picture of the same size or one colour (three floats
    in [0, 1]); pictures are uint8, uint16 or floats in [0, 1], and may differ in depth. The sum is taken in the values
    as they are, as designers' tools do; with `linear` in linear light, by the transfer functions of sRGB
    (IEC 61966-2-1). Raises `InputError` for other shapes, types and ranges.
    """
    foreground, alpha = _checked_picture(foreground, "foreground"), _checked_alpha(alpha, foreground)
    picture: NDArray[Any] | None = None
    colour = np.zeros(3, np.float32)
    if isinstance(background, np.ndarray) and background.ndim == 3:
        picture = _checked_picture(background, "background")
        if picture.shape != foreground.shape:
            raise InputError(
                f"the background is {_size(picture)} but the foreground is {_size(foreground)}; "
                "fit it with fit_background first"
            )
    else:
        colour = _checked_colour(background)
    result = np.empty(foreground.shape, np.float32)
    for rows in _strips(len(result)):
        over = as_float(foreground[rows])
        under = colour if picture is None else as_float(picture[rows])
        share = alpha[rows, :, None].astype(np.float32)
        if linear:
            mixed = encode_srgb(share * decode_srgb(over) + (1 - share) * decode_srgb(under))
        else:
            mixed = share * over + (1 - share) * under
        np.clip(mixed, 0, 1, out=result[rows])
    return result


def cutout(foreground: NDArray[Any], alpha: NDArray[np.floating]) -> Floats:
    """Join straight colours and alpha to one RGBA picture: (H, W, 4) in [0, 1]. Errors as in `composite`."""
    foreground, alpha = _checked_picture(foreground, "foreground"), _checked_alpha(alpha, foreground)
    result = np.empty((*foreground.shape[:2], 4), np.float32)
    for rows in _strips(len(result)):
        result[rows, :, :3] = as_float(foreground[rows])
    result[..., 3] = alpha
    return result


def fit_background(
    background: NDArray[Any], width: int, height: int, *, fit: Fit = "cover", around: Colour | None = None
) -> NDArray[Any]:
    """Bring a background picture (h, w, 3) to (height, width, 3); its type stays.

    `cover` fills the frame and cuts off what stands over on two sides, `contain` shows the whole picture in the middle,
    on the colour `around` or, without one, on a blurred copy of itself; `stretch` pulls it to the frame; `tile` repeats
    it at its own size from the top left corner. Raises `UsageError` for another word or a size of nothing, `InputError`
    for another shape or type.
    """
    background = _checked_picture(background, "background")
    if width < 1 or height < 1:
        raise UsageError(f"a background cannot be fitted to {width}×{height} pixels; give 1 or more each way")
    if background.shape[:2] == (height, width):
        return background
    if fit == "cover":
        return _cover(background, width, height)
    if fit == "contain":
        return _contain(background, width, height, around)
    if fit == "stretch":
        return _resize(background, width, height)
    if fit == "tile":
        return _tile(background, width, height)
    raise UsageError(f"{fit!r} is no way to fit a background; use one of {', '.join(get_args(Fit))}")


def decode_srgb(values: Floats) -> Floats:
    """Turn sRGB values in [0, 1] into linear light in [0, 1] (IEC 61966-2-1)."""
    light: Floats = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return light


def encode_srgb(light: Floats) -> Floats:
    """Turn linear light in [0, 1] into sRGB values in [0, 1] (IEC 61966-2-1)."""
    values: Floats = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return values


# --- the multi-level estimate -----------------------------------------------------------------------------------------


def _pyramid(image: NDArray[Any], alpha: Floats) -> list[Floats]:
    """Statistics of every level below the full size: eight planes ᾱ, mean α², mean I, mean αI, each (8, h, w)."""
    height, width = alpha.shape
    if max(height, width) == 1:
        return []
    half = np.empty((8, (height + 1) // 2, (width + 1) // 2), np.float32)
    for rows in _strips(height):
        half[:, rows.start // 2 : (rows.stop + 1) // 2] = _halved(_statistics(image[rows], alpha[rows]))
    levels = [half]
    while max(levels[-1].shape[1:]) > 1:
        levels.append(_halved(levels[-1]))
    return levels


def _statistics(image: NDArray[Any], alpha: Floats) -> Floats:
    """The eight planes of `_pyramid` at full size, where the means are of one pixel."""
    planes = np.empty((8, *alpha.shape), np.float32)
    planes[_ALPHA] = alpha
    planes[_ALPHA2] = alpha * alpha
    planes[_IMAGE] = np.moveaxis(as_float(image), 2, 0)
    planes[_ALPHA_IMAGE] = alpha * planes[_IMAGE]
    return planes


def _halved(planes: Floats) -> Floats:
    """The mean of each 2 × 2 pixels; at an odd end the last row or column counts twice."""
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
    """F at full size (H, W, 3). Only where alpha is neither 0 nor 1 is there anything to find out."""
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
    """A window of the level below at twice its size, bilinear; the window begins at even numbers."""
    top, left = max(0, rows.start // 2 - 1), max(0, columns.start // 2 - 1)
    window = below[:, top : (rows.stop + 1) // 2 + 1, left : (columns.stop + 1) // 2 + 1]
    size = (2 * window.shape[2], 2 * window.shape[1])
    planes = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in window]
    top, left = rows.start - 2 * top, columns.start - 2 * left
    return np.stack(planes)[:, top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]


Window = tuple[slice, slice]


def _tiles(height: int, width: int, *, steps: int) -> Iterator[tuple[Window, Window, Window]]:
    """Windows of a tile, of the tile with all that reaches it in so many steps, and of the first within the second."""
    reach = steps + steps % 2  # even, so that the windows stay in step with the level below
    for top in range(0, height, _TILE[0]):
        rows = slice(top, min(top + _TILE[0], height))
        halo_rows = slice(max(0, rows.start - reach), min(height, rows.stop + reach))
        for left in range(0, width, _TILE[1]):
            columns = slice(left, min(left + _TILE[1], width))
            halo_columns = slice(max(0, columns.start - reach), min(width, columns.stop + reach))
            inner = (_within(rows, halo_rows), _within(columns, halo_columns))
            yield (rows, columns), (halo_rows, halo_columns), inner


def _within(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)


def _strips(height: int) -> Iterator[slice]:
    for top in range(0, height, _STRIP):
        yield slice(top, min(top + _STRIP, height))


# --- fitting a background ---------------------------------------------------------------------------------------------


def _cover(picture: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    h, w = picture.shape[:2]
    scale = max(width / w, height / h)
    crop_w, crop_h = min(w, max(1, round(width / scale))), min(h, max(1, round(height / scale)))
    top, left = (h - crop_h) // 2, (w - crop_w) // 2
    return _resize(picture[top : top + crop_h, left : left + crop_w], width, height)


def _contain(picture: NDArray[Any], width: int, height: int, around: Colour | None) -> NDArray[Any]:
    h, w = picture.shape[:2]
    scale = min(width / w, height / h)
    new_w, new_h = min(width, max(1, round(w * scale))), min(height, max(1, round(h * scale)))
    if around is None:
        # The picture at some 16 pixels, enlarged again, is as good as a very wide blur and costs nothing.
        tiny = 16 / max(width, height)
        hint = _cover(picture, max(1, round(width * tiny)), max(1, round(height * tiny)))
        frame = _resize(hint, width, height)
    else:
        frame = np.empty((height, width, 3), picture.dtype)
        full, colour = full_scale(picture, "the background"), _checked_colour(around)
        frame[:] = np.rint(colour * full) if full > 1 else colour
    top, left = (height - new_h) // 2, (width - new_w) // 2
    frame[top : top + new_h, left : left + new_w] = _resize(picture, new_w, new_h)
    return frame


def _tile(picture: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    h, w = picture.shape[:2]
    return np.tile(picture, (-(-height // h), -(-width // w), 1))[:height, :width]


def _resize(picture: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Shrink by area, which leaves no moiré, then enlarge by cubics, which leave no blocks."""
    h, w = picture.shape[:2]
    if picture.dtype == np.float16:  # OpenCV knows none
        return _resize(picture.astype(np.float32), width, height).astype(np.float16)
    small = cv2.resize(np.ascontiguousarray(picture), (min(w, width), min(h, height)), interpolation=cv2.INTER_AREA)
    if small.shape[:2] != (height, width):
        small = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(small, 0, 1) if small.dtype.kind == "f" else small


# --- checks -----------------------------------------------------------------------------------------------------------


def _checked_picture(picture: NDArray[Any], name: str) -> NDArray[Any]:
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise InputError(f"the {name} has shape {picture.shape}; give RGB pixels of shape (H, W, 3)")
    full_scale(picture, f"the {name}")  # raises for another type
    check_range(picture, f"the {name}")
    return picture


def _checked_alpha(alpha: NDArray[Any], picture: NDArray[Any]) -> Floats:
    if alpha.shape != picture.shape[:2]:
        raise InputError(f"the alpha has shape {alpha.shape} but the picture {picture.shape}; give both the same size")
    if alpha.dtype.kind != "f":
        raise InputError(f"the alpha is of type {alpha.dtype}; give floats in [0, 1]")
    check_range(alpha, "the alpha")
    return alpha.astype(np.float32, copy=False)


def _checked_colour(colour: Sequence[float] | NDArray[Any]) -> Floats:
    try:
        values = np.asarray(colour, np.float32)
    except (TypeError, ValueError) as error:  # a word, or None
        raise InputError(f"{colour!r} is no colour; give three floats in [0, 1]") from error
    if values.shape != (3,):
        raise InputError(f"{colour!r} is no colour; give three floats in [0, 1]")
    check_range(values, "the colour")
    return values


def _size(picture: NDArray[Any]) -> str:
    return f"{picture.shape[1]}×{picture.shape[0]}"
