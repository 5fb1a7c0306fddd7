"""Composites, cut-outs, and backgrounds fitted to a photo's size.

    I = αF + (1 − α)B

A photo shows I. If a hair covers half a pixel, I is half background. Copied to another picture, it would bring the old
background along as a dark or light halo. So `estimate_foreground` comes before `composite` or `cutout`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args, overload

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats, checked_alpha, checked_colour, size_of, strips
from mattecli.compositing.foreground import estimate_foreground
from mattecli.compositing.mixing import mix, mixing
from mattecli.compositing.plates import finite, is_plain
from mattecli.errors import InputError, UsageError
from mattecli.imaging.choices import Colour, Fit
from mattecli.imaging.colour import convert, is_linear, same_space
from mattecli.imaging.given import Given, given_photo, given_picture
from mattecli.imaging.image import Image
from mattecli.imaging.pixels import as_float, full_scale
from mattecli.imaging.space import SRGB, Space

_ALMOST = 2**-15  # values so near to 1 are white: two steps of 16 bits


def composite(foreground: Given, alpha: Given, background: Given | Colour, *, linear: bool = False) -> Floats:
    """Put a foreground over a background: αF + (1 − α)B, (H, W, 3) in [0, 1].

    `foreground` is (H, W, 3) with straight colours. `background` is a picture of the same size, or one colour (three
    floats in [0, 1], of sRGB). Pictures are uint8, uint16 or floats in [0, 1], and may differ in depth; docs/api.md
    says what else is accepted. The result is in the colour space of the foreground: a background whose file or `Image`
    states another is converted to it (arrays are sRGB). The sum is computed on the values as they are, as design
    software does, or with `linear` in linear light, by the curve of that space. Scene-linear foregrounds may leave
    [0, 1], and over one of these a brighter background keeps its light, so the result leaves it then, too. Raises
    `InputError` for other shapes, types and ranges.
    """
    front = given_photo(foreground, "the foreground")
    matte = checked_alpha(alpha, front.pixels)
    if _is_row(background):
        behind: Image | Floats = colour_in(checked_colour(cast(Colour, background)), front.space)
    else:
        behind = given_photo(cast(Given, background), "the background")
        if behind.pixels.shape != front.pixels.shape:
            raise InputError(
                f"the background is {size_of(behind.pixels)} but the foreground is {size_of(front.pixels)}; "
                "fit it with fit_background first"
            )
    return composited(front, matte, behind, linear=linear, bounded=ends_at_white(front))


def composited(front: Image, alpha: Floats, behind: Image | Floats, *, linear: bool, bounded: bool) -> Floats:
    """The same for checked arguments; `behind` is a picture of the same size, or a colour in the space of `front`.

    `bounded` says that the result ends at white: see `within_white`.
    """
    light = mixing(front.space) if linear else None
    result = np.empty(front.pixels.shape, np.float32)
    plain = is_plain(front.pixels)
    for rows in strips(len(result)):
        over = as_float(front.pixels[rows])
        under = (
            strip_in(behind, rows, front.space) if isinstance(behind, Image) else np.broadcast_to(behind, over.shape)
        )
        if bounded:
            under = within_white(under)
        result[rows] = mix(over, under, alpha[rows, :, None], light)
        if bounded or (plain and is_plain(under)):
            np.clip(result[rows], 0, 1, out=result[rows])
    return result


def ends_at_white(picture: Image) -> bool:
    """Whether a picture's values end at white, as integers do. Floats of light go on, and so do others above 1."""
    return picture.pixels.dtype.kind != "f" or (is_plain(picture.pixels) and not is_linear(picture.space))


def within_white(values: Floats) -> Floats:
    """Values of a background from 0 to 1, for a picture that ends at white; what is not a number becomes 0.

    They are clipped before they are mixed: light of 10 would make soft edges over it white, and a negative value would
    make them dark.
    """
    return np.asarray(np.fmin(np.fmax(values, 0), 1), np.float32)


def strip_in(picture: Image, rows: slice, space: Space) -> Floats:
    """Some rows of a picture as floats, in another space; colours that this does not hold leave 0 to 1."""
    strip = picture.pixels[rows]
    if same_space(picture.space, space):
        return as_float(strip)
    return _whiter(convert(strip, picture.space, space, depth=32))


def colour_in(colour: Floats, space: Space) -> Floats:
    """A colour of sRGB, (3,), in another space."""
    if same_space(space, SRGB):
        return colour
    return _whiter(convert(colour[None, None], SRGB, space, depth=32)[0, 0])


def _whiter(values: NDArray[Any]) -> Floats:
    """Values of a background with white at exactly 1, which profiles miss because their numbers are rounded."""
    return np.where(np.abs(values - 1) < _ALMOST, np.float32(1), values).astype(np.float32, copy=False)


def _is_row(background: object) -> bool:
    """Whether this is a row of values, as a colour is, and not a picture."""
    if isinstance(background, np.ndarray):
        return background.ndim == 1
    return isinstance(background, (tuple, list)) and not any(isinstance(value, (tuple, list)) for value in background)


def cutout(image: Given, alpha: Given, *, foreground: Given | None = None, linear: bool = False) -> Floats:
    """A photo's foreground on a transparent background: straight RGBA (H, W, 4), white is 1.

    The foreground's colours are estimated from the photo and the alpha by `estimate_foreground`, which explains
    `linear`. If you have them already, give them as `foreground`, (H, W, 3); then the photo is not used. Errors are
    those of `composite`, and `UsageError` for `linear` with `foreground`.
    """
    if linear and foreground is not None:
        raise UsageError(
            "`linear` says how colours are estimated, and `foreground` gives them; leave one of the two out"
        )
    if foreground is None:
        colours: NDArray[Any] = estimate_foreground(image, alpha, linear=linear)
    else:
        colours = given_picture(foreground, "the foreground")
    matte = checked_alpha(alpha, colours)
    result = np.empty((*matte.shape, 4), np.float32)
    for rows in strips(len(result)):
        result[rows, :, :3] = as_float(colours[rows])
    result[..., 3] = matte
    return result


@overload
def fit_background(
    background: NDArray[Any], width: int, height: int, *, fit: Fit = "cover", around: Colour | None = None
) -> NDArray[Any]: ...


@overload
def fit_background(
    background: PIL.Image.Image | Image | str | Path | bytes,
    width: int,
    height: int,
    *,
    fit: Fit = "cover",
    around: Colour | None = None,
) -> Image: ...


def fit_background(
    background: Given, width: int, height: int, *, fit: Fit = "cover", around: Colour | None = None
) -> NDArray[Any] | Image:
    """Fit a background picture (h, w, 3) to (height, width, 3), with the same type, as a copy in any case.

    An array gives an array. A file, an `Image` or a PIL image gives an `Image`, because it has a colour space, by which
    `composite` converts it.

    `cover` fills the frame and crops the picture. `contain` shows the whole picture in the middle; around it is the
    colour `around` (three floats in [0, 1], of sRGB), or a blurred copy of the picture. `stretch` changes the
    proportions. `tile` repeats the picture at its own size from the top left corner. Raises `UsageError` for another
    word, an empty size, or `around` without `contain`, `InputError` for another shape or type.
    """
    if fit not in get_args(Fit):
        raise UsageError(f"`fit` must be one of {', '.join(get_args(Fit))}, not {fit!r}")
    if around is not None and fit != "contain":
        raise UsageError(f"`around` colours what `fit=contain` leaves free, but the fit is {fit}; leave it out")
    if width < 1 or height < 1:
        raise UsageError(f"a background cannot be fitted to {width}×{height} pixels; give 1 or more each way")
    colour = None if around is None else checked_colour(around)
    if isinstance(background, np.ndarray):
        return _fitted(given_picture(background, "the background"), width, height, fit, colour)
    picture = given_photo(background, "the background")
    if colour is not None:
        colour = np.clip(colour_in(colour, picture.space), 0, 1)
    pixels = _fitted(picture.pixels, width, height, fit, colour)
    if pixels.shape == picture.pixels.shape:
        return replace(picture, pixels=pixels)
    return replace(picture, pixels=pixels, metadata=replace(picture.metadata, windows=None, reframed=True), glow=None)


def _fitted(picture: NDArray[Any], width: int, height: int, fit: Fit, around: Floats | None) -> NDArray[Any]:
    picture = picture.astype(picture.dtype.newbyteorder("="), copy=False)  # OpenCV takes other bytes as they stand
    if picture.shape[:2] == (height, width):
        return picture.copy()
    if fit == "cover":
        return _cover(picture, width, height)
    if fit == "contain":
        return _contain(picture, width, height, around)
    if fit == "stretch":
        return _resize(picture, width, height)
    return _tile(picture, width, height)


def _cover(picture: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    h, w = picture.shape[:2]
    scale = max(width / w, height / h)
    crop_w, crop_h = min(w, max(1, round(width / scale))), min(h, max(1, round(height / scale)))
    top, left = (h - crop_h) // 2, (w - crop_w) // 2
    return _resize(picture[top : top + crop_h, left : left + crop_w], width, height)


def _contain(picture: NDArray[Any], width: int, height: int, around: Floats | None) -> NDArray[Any]:
    h, w = picture.shape[:2]
    scale = min(width / w, height / h)
    new_w, new_h = min(width, max(1, round(w * scale))), min(height, max(1, round(h * scale)))
    if around is None:
        # Shrinking the picture to about 16 pixels and enlarging it again is a cheap, very wide blur.
        tiny = 16 / max(width, height)
        hint = _cover(picture, max(1, round(width * tiny)), max(1, round(height * tiny)))
        frame = _resize(hint, width, height)
    else:
        frame = np.empty((height, width, 3), picture.dtype)
        full = full_scale(picture, "the background")
        frame[:] = np.rint(around * full) if full > 1 else around
    top, left = (height - new_h) // 2, (width - new_w) // 2
    frame[top : top + new_h, left : left + new_w] = _resize(picture, new_w, new_h)
    return frame


def _tile(picture: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    h, w = picture.shape[:2]
    return np.tile(picture, (-(-height // h), -(-width // w), 1))[:height, :width]


def _resize(picture: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Shrink by area, to avoid moiré; enlarge with cubic interpolation, to avoid blocks."""
    h, w = picture.shape[:2]
    if picture.dtype == np.float16:  # OpenCV does not support it
        return _resize(picture.astype(np.float32), width, height).astype(np.float16)
    picture = picture if is_plain(picture) else finite(picture)
    small = cv2.resize(np.ascontiguousarray(picture), (min(w, width), min(h, height)), interpolation=cv2.INTER_AREA)
    if small.shape[:2] != (height, width):
        small = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    if small.dtype.kind != "f":
        return small
    low, high = (0, 1) if is_plain(picture) else (picture.min(), picture.max())  # cubic interpolation overshoots
    return np.clip(small, low, high)
