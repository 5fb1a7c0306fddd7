"""Shadows: the photo's own on a white background, or new ones.

A shadow is the light that it leaves, T from 0 to 1 for each pixel: αF + (1 − α)·T·B, with T·B in light.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats, strips
from mattecli.compositing.cleaning import FAINT
from mattecli.compositing.composite import strip_in, within_white
from mattecli.compositing.mixing import Light, mixing
from mattecli.compositing.subject import find_subject
from mattecli.errors import InputError
from mattecli.imaging.image import Image
from mattecli.imaging.pixels import as_float
from mattecli.imaging.space import Space

_SMALL = 512  # longer side at which the plate is fitted
_ROUNDS = 12  # of the robust fit
_NOISE = 0.006  # shadow of less than this is none
_FULL = 0.03  # and from here up it counts in full
_FRAME = 0.02  # of the diagonal: so far from the frame the shadow fades out
_WHITEST = 0.5  # the plate's darkest channel in light, at least
_TINT = 1.3  # the plate's brightest channel to its darkest, at most
_ROUGH = 0.04  # the plate's deviation from a smooth one, at most
_FINE, _BEYOND = 6, 4  # a wide blur has this sigma on its small copy, and so many cells around the picture
_DIAGONAL_SMOOTHING = 0.0004  # sigma of the smoothing against noise, in diagonals


def kept(photo: Image, alpha: Floats, *, name: str = "the photo") -> Floats:
    """The light that the photo's own shadow leaves, float32 (H, W) in [0, 1]; 1 beyond the shadow.

    In light, a smooth plate is fitted to the background, and T = min(1, I/plate) there. Background is what finishing
    makes of it: α < 2/255. What does not touch the subject is not its shadow. T goes to 1 before the frame. `alpha` is
    the matte before finishing. Raises InputError where the background is not near-white and smooth, with `name` in it.
    """
    clear = (alpha < np.float32(FAINT)).astype(np.uint8) * 255
    free = np.asarray(cv2.erode(clear, np.ones((3, 3), np.uint8)), np.uint8)
    bright = _luminance(photo)
    plate = _Plate(photo, bright, free, name)
    light = bright  # overwritten in place
    for rows in strips(len(light)):
        light[rows] = np.clip(light[rows] / plate.rows(rows, light.shape), 0, 1)
    sigma = max(0.8, _DIAGONAL_SMOOTHING * math.hypot(*alpha.shape))
    light = _filled(light, free, sigma)
    shade = np.subtract(1, light, out=light)
    step = np.clip((shade - _NOISE) / (_FULL - _NOISE), 0, 1)
    shade *= step * step * (3 - 2 * step)
    shade *= _touching(shade, alpha)
    shade *= _fade(alpha.shape)
    return np.asarray(1 - shade, np.float32)


def made(alpha: Floats, kind: Literal["contact", "drop"]) -> Floats:
    """The light that a made shadow leaves, float32 (h, w); `alpha` is the finished matte in its last place.

    `contact`: the matte squashed onto the baseline, each column fainter the higher its lowest pixel is. `drop`: the
    matte, moved down. Both are blurred by two Gaussians, G1 and G2, and T = (1 − aG1)(1 − bG2). What is fainter than
    0.4 % is exactly none. 1 everywhere where there is no subject. In 8 bits it has steps: see `dithered`.
    """
    subject = find_subject(alpha)
    if subject is None:
        return np.ones_like(alpha)
    size = math.hypot(*subject.size)
    if kind == "contact":
        source, dense, wide = _squashed(alpha, subject.baseline, subject.size[1]), (0.55, 0.006), (0.45, 0.03)
    else:
        shift = np.array([[1, 0, 0], [0, 1, 0.015 * size]])
        moved = cv2.warpAffine(alpha, shift, alpha.shape[::-1], flags=cv2.INTER_LINEAR)
        source = np.asarray(moved, np.float32)
        dense, wide = (0.25, 0.01), (0.3, 0.035)
    light = np.ones_like(alpha)
    for amount, sigma in (dense, wide):
        light *= 1 - np.float32(amount) * _blurred(source, max(0.5, sigma * size))
    toe = 0.004
    return np.asarray(1 - np.clip((1 - toe - light) / (1 - toe), 0, 1), np.float32)


def dithered(light: Floats, first: int) -> Floats:
    """Rows of a shadow's light with noise inside it, which hides the steps of 8 bits; `first` is their first number.

    The noise is the same every time.
    """
    result, inside = light.copy(), light < 1
    noise = np.random.default_rng((0, first)).random(int(inside.sum()), np.float32) - np.float32(0.5)
    result[inside] = np.clip(result[inside] + noise / 255, 0, 1)
    return result


def cut_sides(light: Floats) -> str:
    """The sides where a shadow of 3 % or more reaches the frame, in words; empty where there are none."""
    sides = {"top": light[0], "bottom": light[-1], "left": light[:, 0], "right": light[:, -1]}
    return " and the ".join(name for name, side in sides.items() if side.min() < 1 - _FULL)


def weakened(light: Floats, strength: float) -> Floats:
    """1 − s(1 − T) for a strength s in per cent."""
    return light if strength == 100 else 1 - np.float32(strength / 100) * (1 - light)


def shaded(under: Image | Floats, light: Floats, front: Image, *, bounded: bool) -> Image:
    """A background, or its colour in the space of `front`, under a shadow (h, w): T·B in light, (h, w, 3).

    Where T is 1 the background's own values come out. `bounded`: see `composited`.
    """
    if isinstance(under, Image):
        values = strip_in(under, slice(None), front.space)
    else:
        values = np.broadcast_to(np.asarray(under, np.float32), (*light.shape, 3))
    if bounded:
        values = within_white(values)
    curve, inside = mixing(front.space), light != 1
    share, bright = light[inside][:, None], values[inside][None]
    pixels = np.array(values, np.float32)
    pixels[inside] = (share * bright if curve is None else curve.encode(share * curve.decode(bright)))[0]
    return replace(front, pixels=pixels)


def with_shadow(cutout: Floats, light: Floats, space: Space) -> Floats:
    """A straight RGBA cut-out (h, w, 4) with black under it that is as opaque as the shadow (h, w) is dark.

    In a space whose values are light that is 1 − T. In others it is as opaque as makes white look there, where programs
    mix values, as `shaded` makes it look: (v(1) − v(T)) / (v(1) − v(0)) for the curve v. In a log curve v(0) is not 0
    and v(1) not 1.
    """
    curve = mixing(space)
    value, black, white = (light, np.zeros(3, np.float32), np.float32(1)) if curve is None else _levels(curve, light)
    shadow = np.where(light < 1, (white - value) / (white - black[1]), np.float32(0))
    alpha = cutout[..., 3]
    whole = alpha + (1 - alpha) * shadow
    result = cutout.copy()
    shown = shadow > 0
    share = (alpha[shown] / np.maximum(whole[shown], np.float32(1e-6)))[:, None]
    result[shown, :3] = share * result[shown, :3] + (1 - share) * black
    result[..., 3] = whole
    return result


def _levels(curve: Light, light: Floats) -> tuple[Floats, Floats, np.float32]:
    """The values of grey light (h, w), of black (3,), and of white."""

    def encoded(grey: Floats) -> Floats:
        return curve.encode(np.repeat(grey[..., None], 3, axis=2))

    black, white = encoded(np.array([[0, 1]], np.float32))[0]
    return encoded(light)[..., 1], black, white[1]


def _blurred(values: Floats, sigma: float) -> Floats:
    """A Gaussian blur with nothing beyond the frame, off by 0.002 at most: a wide one is computed on a smaller copy."""
    step = int(sigma / _FINE)
    if step < 2:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT), np.float32)
    height, width = values.shape
    rows, columns = (-(-side // step) + 2 * _BEYOND for side in values.shape)
    canvas = np.zeros((rows * step, columns * step), np.float32)
    inside = slice(_BEYOND * step, _BEYOND * step + height), slice(_BEYOND * step, _BEYOND * step + width)
    canvas[inside] = values
    small = cv2.resize(canvas, (columns, rows), interpolation=cv2.INTER_AREA)
    # The mean over a cell blurs, too, and so does the way back: variances of 1/12 and 1/6 of a squared cell.
    rest = math.sqrt((sigma / step) ** 2 - 0.25 * (1 - 1 / step**2))
    small = cv2.GaussianBlur(small, (0, 0), rest, borderType=cv2.BORDER_CONSTANT)
    whole = cv2.resize(small, (columns * step, rows * step), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(whole[inside], np.float32)


class _Plate:
    """The background as it would be without a shadow: a quadratic surface that dark outliers do not bend."""

    def __init__(self, photo: Image, bright: Floats, free: NDArray[np.uint8], name: str) -> None:
        height, width = bright.shape
        ratio = min(1.0, _SMALL / max(height, width))
        size = (max(8, round(ratio * width)), max(8, round(ratio * height)))
        share = cv2.resize(free, size, interpolation=cv2.INTER_AREA) == 255  # cells of nothing but background
        if share.mean() < 0.02:
            raise InputError(f"{name}: hardly any background is free, so its shadow cannot be told; use `shadow=drop`")
        values = cv2.resize(np.where(free > 0, bright, 0), size, interpolation=cv2.INTER_AREA)[share]
        y, x = np.nonzero(share)
        terms = _terms((x + 0.5) / size[0], (y + 0.5) / size[1])
        self._weights, inlying = _robust(terms, values)
        fitted = terms @ self._weights
        colour = _plate_colour(photo, size, share, inlying)
        rough = float(np.median(np.abs(values - fitted)[inlying]) / max(float(np.median(fitted)), 1e-3))
        if min(colour) < _WHITEST or max(colour) > _TINT * min(colour) or rough > _ROUGH or inlying.mean() < 0.3:
            raise InputError(
                f"{name}: the background is not near-white and even, so its own shadow cannot be kept; use "
                "`shadow=contact` or `shadow=drop`, or leave `shadow` out"
            )

    def rows(self, rows: slice, shape: tuple[int, ...]) -> Floats:
        """Some rows of the plate of a picture of that shape."""
        height, width = shape
        y = (np.arange(rows.start, rows.stop) + 0.5) / height
        x = (np.arange(width) + 0.5) / width
        surface = (_terms(*np.meshgrid(x, y)).reshape(-1, 6) @ self._weights).reshape(len(y), width)
        return np.maximum(surface, 0.05).astype(np.float32)


def _terms(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    x, y = np.ravel(x) - 0.5, np.ravel(y) - 0.5
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _robust(terms: NDArray[np.float64], values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The weights of a least-squares fit to the lighter values, and which values it follows.

    A shadow makes values darker, never lighter. So values far below the fit leave it round by round.
    """
    inlying = values >= np.quantile(values, 0.4)
    weights = np.zeros(terms.shape[1])
    for _ in range(_ROUNDS):
        weights = np.linalg.lstsq(terms[inlying], values[inlying], rcond=None)[0]
        away = values - terms @ weights
        spread = max(1.4826 * float(np.median(np.abs(away[inlying]))), 0.002)
        chosen = (away > -2.5 * spread) & (away < 4 * spread)
        if chosen.sum() < 4 * terms.shape[1] or (chosen == inlying).all():
            break
        inlying = chosen
    return weights, inlying


def _plate_colour(
    photo: Image, size: tuple[int, int], share: NDArray[np.bool_], inlying: NDArray[np.bool_]
) -> tuple[float, ...]:
    """The median colour, in light, of what the plate was fitted to."""
    small = as_float(cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA))[share][inlying][:, None]
    curve = mixing(photo.space)
    light = small if curve is None else curve.decode(np.ascontiguousarray(small))
    return tuple(float(value) for value in np.median(light[:, 0], axis=0))


def _luminance(photo: Image) -> Floats:
    """How bright the photo is, in light: (R + 2G + B)/4, float32 (H, W)."""
    curve = mixing(photo.space)
    result = np.empty(photo.pixels.shape[:2], np.float32)
    for rows in strips(len(result)):
        values = as_float(photo.pixels[rows])
        light = values if curve is None else curve.decode(values)
        result[rows] = (light[..., 0] + 2 * light[..., 1] + light[..., 2]) / 4
    return result


def _filled(light: Floats, free: NDArray[np.uint8], sigma: float) -> Floats:
    """The light smoothed against noise where it is known, and continued from there to everywhere else."""
    known = (free > 0).astype(np.float32)
    share = cv2.GaussianBlur(known, (0, 0), sigma)
    smooth = cv2.GaussianBlur(light * known, (0, 0), sigma)
    levels = [(smooth, share)]  # premultiplied by the share that is known
    while min(levels[-1][1].shape) > 2 and levels[-1][1].min() < 0.5:
        values, weight = levels[-1]
        levels.append((cv2.pyrDown(values), cv2.pyrDown(weight)))
    values, weight = levels.pop()
    below = values / np.maximum(weight, np.float32(1e-6))
    while levels:
        values, weight = levels.pop()
        above = cv2.pyrUp(below)[: weight.shape[0], : weight.shape[1]]
        covered = np.minimum(weight * 2, 1)
        below = covered * values / np.maximum(weight, np.float32(1e-6)) + (1 - covered) * above
    return np.asarray(below, np.float32)


def _touching(shade: Floats, alpha: Floats) -> Floats:
    """1 for the shadow that touches the subject, 0 for any other."""
    ratio = min(1.0, 4 * _SMALL / max(shade.shape))
    size = (max(1, round(ratio * shade.shape[1])), max(1, round(ratio * shade.shape[0])))
    small, solid = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (shade, alpha))
    subject = solid > 0.1
    count, labels = cv2.connectedComponents(((small > 0) | subject).astype(np.uint8), connectivity=8)
    touches = np.zeros(count, np.bool_)
    touches[labels[subject]] = True
    touches[0] = False
    mask = cv2.dilate(touches[labels].astype(np.uint8), np.ones((3, 3), np.uint8))
    return cv2.resize(mask, shade.shape[::-1], interpolation=cv2.INTER_NEAREST).astype(np.float32)


def _fade(shape: tuple[int, ...]) -> Floats:
    """0 at the frame and 1 from a fiftieth of the diagonal inwards, without a kink."""
    reach = max(2.0, _FRAME * math.hypot(*shape))
    ramps = []
    for side in shape:
        place = np.arange(side) + 0.5
        step = np.clip((np.minimum(place, side - place) - 1) / reach, 0, 1)
        ramps.append((step * step * (3 - 2 * step)).astype(np.float32))
    return np.asarray(np.minimum(ramps[0][:, None], ramps[1][None, :]), np.float32)


def _squashed(alpha: Floats, baseline: float, height: float) -> Floats:
    """The matte squashed onto its baseline, each column fainter the higher its lowest solid pixel is."""
    rows, columns = alpha.shape
    foot = min(rows, math.ceil(baseline))
    solid = alpha[:foot] >= 0.5
    lowest = foot - np.argmax(solid[::-1], axis=0)
    rise = np.where(solid.any(axis=0), foot - lowest, np.inf)
    near = np.exp(-rise / max(1.0, 0.02 * height)).astype(np.float32)
    depth = max(2, round(0.05 * height))  # of the shadow on the ground
    flat = np.zeros_like(alpha)
    squeezed = cv2.resize(
        alpha[max(0, foot - math.ceil(height)) : foot] * near, (columns, depth), interpolation=cv2.INTER_AREA
    )
    top = foot - depth * 2 // 3
    seen = slice(max(0, top), min(rows, top + depth))
    flat[seen] = squeezed[seen.start - top : seen.stop - top]
    return flat
