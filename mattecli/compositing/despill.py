"""Removes the light of a green or blue screen from colours.

All is computed in linear light. Let k be the screen's channel. A 3 × 3 map takes the screen's chromaticity to pure k
and keeps white. In the mapped colours c

    limit   L = w · mean + (1 − w) · max        of the two other channels
    excess  e = max(0, c_k − L)
    amount  a = strength · w · closeness,       w = max(1 − α, exp(−(d / reach)²))
    result  c_k − a · e, mapped back

d is the distance to the half-covered contour, in pixels. Closeness is that of the colour's hue to the screen's: 1 up to
25°, 0 from 60° on, in OKLab (Ottosson, 2020). Foreground of the screen's own hue deep inside, such as a green garment,
raises the limit around it; so does yellow or blond foreground, up to the maximum.

Foreground that is redder than grey, such as brown hair, has less blue than the mean, also with spill on it, and its hue
is far from a blue screen's. So there the colour of the foreground deep inside, d, lowers the limit: the mean becomes

    mean · (1 − s · (1 − r)),       r = min(1, 1.3 · d_k / mean of d)
                                    s = exp(−(ln(c_i / c_j) − ln(d_i / d_j))² / 0.4²)

i and j are the other channels, which spill changes little: s says whether a pixel is of that colour. Closeness is at
least s there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats, strips
from mattecli.compositing.composite import colour_in
from mattecli.compositing.mixing import mixing
from mattecli.compositing.screens import hexadecimal, is_screen
from mattecli.errors import UsageError
from mattecli.imaging.choices import Colour
from mattecli.imaging.image import Image
from mattecli.imaging.pixels import as_float

Screen = Literal["green", "blue", "auto"]

_NAMED = {"green": (0.0, 177 / 255, 64 / 255), "blue": (0.0, 71 / 255, 187 / 255)}  # usual paints, in sRGB
_FULL, _NONE = np.cos(np.radians([25, 60]))  # of the hue
_DEEP = 1.5  # reaches inside the contour: foreground from there on tells the limit
_AROUND = 4.0  # reaches: the deviation of the mean around a pixel
_BLUE = 2
_NOTHING = 1e-6  # of light: less than a step of 16 bits in the darkest sRGB
_SLACK = 1.3  # how much more of the screen's channel than deep inside is still the foreground's own
_ALIKE = 0.4  # deviation of the logarithm of the two other channels' ratio
_OWN_HUE = (0.15, 0.5)  # excess of the foreground's own: from here, and fully from there, it is a garment's colour
_TO_LMS = np.array(
    [[0.4122215, 0.5363325, 0.0514460], [0.2119035, 0.6806995, 0.1073970], [0.0883025, 0.2817188, 0.6299787]]
)
_TO_AB = np.array([[1.9779985, -2.4285922, 0.4505937], [0.0259040, 0.7827718, -0.8086758]])
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True, kw_only=True)
class Despill:
    """What is removed, and how much.

    `screen` is green, blue, auto (as the photo shows it where alpha is 0; nothing is done where that is neither green
    nor blue) or a colour of sRGB. `strength` and `restore` are percentages: how much of the excess goes, and how much
    of the luminance lost with it is given back. `reach` is how far from the contour it acts inside, in pixels. Raises
    `UsageError` for values out of range.
    """

    screen: Screen | Colour
    strength: float = 100.0
    reach: float = 12.0
    restore: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("despill_strength", self.strength), ("despill_restore", self.restore)):
            if not 0 <= value <= 100:
                raise UsageError(f"`{name}` must be a percentage from 0 to 100, not {value}")
        if not 0 < self.reach < np.inf:
            raise UsageError(f"`despill_reach` must be a number of pixels above 0, not {self.reach}")


def screen_colour(screen: Screen | Colour, photo: Image, alpha: Floats) -> Floats | None:
    """The light (3,) of a screen in the photo's space; None where there is no green or blue one.

    Raises `UsageError` for a colour that is neither green nor blue.
    """
    light = mixing(photo.space)
    if screen == "auto":
        behind = alpha < 0.02
        if behind.mean() < 0.001:
            return None
        seen = as_float(photo.pixels[behind][:: max(1, int(behind.sum()) // 100_000)])
        shown: Floats = np.nanmedian(seen if light is None else light.decode(seen[None])[0], axis=0)
        return shown if is_screen(shown.tolist()) else None
    named = np.array(_NAMED.get(screen, screen) if isinstance(screen, str) else screen, np.float32)
    own = colour_in(named, photo.space)
    found = np.asarray(own if light is None else light.decode(own[None, None])[0, 0], np.float32)
    if not is_screen(found.tolist()):
        word = screen if isinstance(screen, str) else hexadecimal(screen)
        raise UsageError(f"`despill` needs the colour of a green or blue screen, and {word} is neither; name another")
    return found


def despilled(colours: Floats, alpha: Floats, screen: Floats, *, how: Despill) -> Floats:
    """Foreground colours (H, W, 3) in light without the light of a screen (3,), for an alpha (H, W).

    Colours farther inside than about two reaches stay as they are, and so do those that are not finite.
    """
    channel, matrix = int(screen.argmax()), _map_of(screen)
    first, second = (one for one in range(3) if one != channel)
    weight = _weights(alpha, how.reach)
    deep = _deep_colours(colours, alpha, matrix, channel, how.reach)
    result = np.empty_like(colours)
    for rows in strips(len(colours)):
        own = np.nan_to_num(colours[rows], nan=0, posinf=0, neginf=0)
        mapped, share = own @ matrix.T, weight[rows]
        least = (mapped[..., first] + mapped[..., second]) / 2
        most = np.maximum(mapped[..., first], mapped[..., second])
        alike = np.exp(-(((_log_ratio(mapped[..., first], mapped[..., second]) - deep.tint[rows]) / _ALIKE) ** 2))
        lower = np.clip(_SLACK * deep.to_mean[rows], 0, 1) if channel == _BLUE else np.ones_like(share)
        limit = least * np.maximum(deep.to_mean[rows], 1) * (1 - alike * (1 - lower))
        limit = np.minimum(limit, most)  # yellow and blond go up to the maximum
        limit = (share * limit + (1 - share) * most) * deep.to_most[rows]
        excess = np.maximum(mapped[..., channel] - np.maximum(limit, 0), 0)
        close = np.maximum(_closeness(own, screen), np.where(lower < 1, alike, 0))
        amount = how.strength / 100 * share * close * excess
        mapped[..., channel] -= amount
        clean = np.maximum(mapped @ np.linalg.inv(matrix).T.astype(np.float32), np.minimum(own, 0))
        if how.restore:
            before, after = own @ _LUMINANCE, clean @ _LUMINANCE
            clean += (how.restore / 100 * np.maximum(before - after, 0))[..., None]
        result[rows] = np.where(np.isfinite(colours[rows]), clean, colours[rows])
        np.copyto(result[rows], colours[rows], where=(amount < _NOTHING)[..., None])
    return result


def _map_of(screen: Floats) -> Floats:
    """The matrix that takes a screen's light to its channel alone, and keeps white and the direction across both."""
    white = np.ones(3)
    across = np.cross(screen, white)
    pure = np.zeros(3)
    pure[int(screen.argmax())] = screen.max()
    before = np.stack([screen, white, across / np.linalg.norm(across)], axis=1)
    after = np.stack([pure, white, before[:, 2]], axis=1)
    return np.asarray(after @ np.linalg.inv(before), np.float32)


def _weights(alpha: Floats, reach: float) -> Floats:
    """w: 1 outside the contour and in faint pixels, falling smoothly inside."""
    inside = cv2.distanceTransform((alpha >= 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.maximum(1 - alpha, np.exp(-((inside / np.float32(reach)) ** 2))), np.float32)


def _closeness(light: Floats, screen: Floats) -> Floats:
    """1 where a colour's hue (h, w) is within 25° of the screen's, 0 beyond 60°, smooth between; 1 for greys."""
    ab, of_screen = _ab(light), _ab(screen)
    length = np.linalg.norm(ab, axis=-1)
    cosine = (ab @ of_screen) / np.maximum(length * np.linalg.norm(of_screen), 1e-9)
    part = np.clip((cosine - _NONE) / (_FULL - _NONE), 0, 1)
    return np.asarray(part * part * (3 - 2 * part), np.float32)


def _ab(light: Floats) -> Floats:
    """a and b of OKLab, (…, 2)."""
    return np.asarray(np.cbrt(np.maximum(light, 0) @ _TO_LMS.T.astype(np.float32)) @ _TO_AB.T.astype(np.float32))


def _log_ratio(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    return np.asarray(np.log(np.maximum(first, 1e-4) / np.maximum(second, 1e-4)), np.float32)


@dataclass(frozen=True, eq=False)
class _Deep:
    """The foreground deep inside, around each pixel, (H, W) each.

    `to_mean` and `to_most` say how its screen's channel compares with the mean, and the maximum, of the others; the
    second is at least 1. Both are 1 where no such foreground is near. `tint` is the logarithm of the others' ratio.
    """

    to_mean: Floats
    to_most: Floats
    tint: Floats


def _deep_colours(colours: Floats, alpha: Floats, matrix: Floats, channel: int, reach: float) -> _Deep:
    height, width = alpha.shape
    size = (max(1, width // 4), max(1, height // 4))
    finite = np.nan_to_num(colours, nan=0, posinf=0, neginf=0)
    small = cv2.resize(finite, size, interpolation=cv2.INTER_AREA)
    inside = cv2.distanceTransform((alpha >= 0.98).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    deep = cv2.resize((inside > _DEEP * reach).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    mapped = small @ matrix.T
    rest = np.delete(mapped, channel, axis=2)
    sigma = max(_AROUND * reach / 4, 0.5)
    key, mean, most, one, other = (
        cv2.GaussianBlur(np.ascontiguousarray(deep * plane), (0, 0), sigma)
        for plane in (mapped[..., channel], rest.mean(axis=2), rest.max(axis=2), rest[..., 0], rest[..., 1])
    )
    floor = 1e-6
    near = np.clip(cv2.GaussianBlur(deep, (0, 0), sigma) / 1e-3, 0, 1)
    to_mean = 1 + near * (key / np.maximum(mean, floor) - 1)
    beyond = near * np.maximum(key / np.maximum(most, floor) - 1, 0)
    part = np.clip((beyond - _OWN_HUE[0]) / (_OWN_HUE[1] - _OWN_HUE[0]), 0, 1)
    to_most = 1 + beyond * part * part * (3 - 2 * part)
    tint = _log_ratio(one / np.maximum(mean, floor), other / np.maximum(mean, floor))
    return _Deep(*(_resized(plane, width, height) for plane in (to_mean, to_most, tint)))


def _resized(plane: NDArray[Any], width: int, height: int) -> Floats:
    return np.asarray(cv2.resize(plane.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR))
