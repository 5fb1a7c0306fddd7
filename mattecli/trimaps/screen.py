"""Finds a green or blue screen, and its clean plate.

All is computed in linear light, on blocks of 8 × 8 pixels. A block's chromaticity is its colour divided by the sum of
its channels: light and shadow do not change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

BLOCK = 8
_STRONG = 0.45  # the least share of a screen's channel that exceeds both other channels
_NEAR = 0.06  # the largest distance of chromaticity from the screen's
# What a screen has and most lawns, woods, skies and clothes lack: for a search without a named colour.
_SATURATED = {1: 0.6, 2: 0.74}  # by channel: the median share of it that exceeds both others
_CALM = 0.1  # the greatest median texture
_FRAMED = 0.15  # the least share of the frame


@dataclass(frozen=True, eq=False)
class Screen:
    """A screen: its channel (1 green, 2 blue), its blocks (h, w), and its clean plate (H, W, 3) in linear light."""

    channel: int
    sure: Flags
    plate: Floats

    @property
    def share(self) -> float:
        """The share of the blocks that show the screen alone."""
        return float(self.sure.mean())


def excess(light: Floats, channel: int) -> Floats:
    """How much a channel exceeds the greater of the two others, (…)."""
    first, second = others(channel)
    return np.asarray(light[..., channel] - np.maximum(light[..., first], light[..., second]))


def others(channel: int) -> tuple[int, int]:
    """The two other channels."""
    first, second = (one for one in range(3) if one != channel)
    return first, second


def block_means(values: Floats) -> Floats:
    """The mean of each block: (H, W) or (H, W, C) to (h, w) or (h, w, C); blocks at the far sides are filled up."""
    height, width = values.shape[:2]
    filled = cv2.copyMakeBorder(values, 0, -height % BLOCK, 0, -width % BLOCK, cv2.BORDER_REPLICATE)
    size = (filled.shape[1] // BLOCK, filled.shape[0] // BLOCK)
    return np.asarray(cv2.resize(filled, size, interpolation=cv2.INTER_AREA), np.float32)


def from_blocks(values: Floats, shape: tuple[int, ...]) -> Floats:
    """Blocks (h, w) or (h, w, C) as pixels of that shape, interpolated."""
    size = (values.shape[1] * BLOCK, values.shape[0] * BLOCK)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)[: shape[0], : shape[1]], np.float32)


def chromaticity(light: Floats) -> Floats:
    """Colours (…, 3) divided by the sum of their channels."""
    return np.asarray(light / np.maximum(light.sum(axis=-1, keepdims=True), np.float32(1e-4)))


def spread(values: Floats, weights: Floats, sigma: float) -> tuple[Floats, Floats]:
    """Weighted means (h, w, C) around each block, and the weight that was found there (h, w)."""
    found = cv2.GaussianBlur(weights, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    summed = cv2.GaussianBlur(values * weights[..., None], (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    summed = summed.reshape(values.shape)  # OpenCV drops a last axis of 1
    return np.asarray(summed / np.maximum(found, np.float32(1e-3))[..., None]), np.asarray(found)


def find_screen(light: Floats, *, colour: Floats | None = None, channels: Sequence[int] = (1, 2)) -> Screen | None:
    """The screen in a photo (H, W, 3) of linear light; None if it has none.

    The screen's chromaticity is the most frequent one among strongly green or blue blocks; blocks at the frame count
    five times. `colour` (3,), in linear light, is where to look for it. `channels` are those to try. The screen with
    more blocks is taken. Without `colour`, and with both channels, the blocks must be as saturated and as calm as
    paint or cloth is, and reach the frame.
    """
    means = block_means(light)
    choices = channels if colour is None else (int(colour.argmax()),)
    found = [(channel, _sure_blocks(means, channel, colour)) for channel in choices]
    channel, sure = max(found, key=lambda one: int(one[1].sum()))
    if not sure.any():
        return None
    texture = _texture(light, channel)
    if colour is None and len(channels) > 1:
        saturation = float(np.median(excess(means, channel)[sure] / means[..., channel][sure]))
        framed = float(sure[_frame(sure.shape)].mean())
        if saturation < _SATURATED[channel] or np.median(texture[sure]) > _CALM or framed < _FRAMED:
            return None
    return Screen(channel, sure, from_blocks(_clean_plate(means, texture, channel, sure), light.shape))


def _sure_blocks(means: Floats, channel: int, colour: Floats | None) -> Flags:
    """The blocks (h, w) of the most frequent chromaticity among the strongly coloured ones."""
    strong = excess(means, channel) > np.maximum(_STRONG * means[..., channel], np.float32(0.004))
    chroma = chromaticity(means)[..., others(channel)]  # (h, w, 2)
    if colour is not None:
        strong &= np.linalg.norm(chroma - chromaticity(colour)[list(others(channel))], axis=2) < 2.5 * _NEAR
    sure = np.zeros_like(strong)
    if not strong.any():
        return np.asarray(sure)
    weights = np.where(_frame(strong.shape), 5, 1)
    first, second = chroma[strong].T
    ends = np.linspace(0, 0.5, 65)
    counts, _, _ = np.histogram2d(first, second, (ends, ends), weights=weights[strong])
    counts = np.asarray(cv2.GaussianBlur(counts, (0, 0), 1.5))
    row, column = np.unravel_index(int(counts.argmax()), counts.shape)
    middle = np.array([ends[row : row + 2].mean(), ends[column : column + 2].mean()])
    for _ in range(3):
        sure = strong & (np.linalg.norm(chroma - middle, axis=2) < _NEAR)
        if not sure.any():
            break
        middle = np.median(chroma[sure], axis=0)
    return np.asarray(sure)


def _frame(shape: tuple[int, ...]) -> Flags:
    """The outermost blocks: a twentieth of the smaller side."""
    edge = max(1, round(0.05 * min(shape)))
    inner = np.zeros(shape, np.bool_)
    inner[edge:-edge, edge:-edge] = True
    return np.asarray(~inner)


def _texture(light: Floats, channel: int) -> Floats:
    """The relative deviation of a channel inside each block (h, w)."""
    smooth = cv2.GaussianBlur(np.ascontiguousarray(light[..., channel]), (0, 0), 1)
    values = np.log(np.maximum(smooth, np.float32(1e-4)))
    return np.asarray(np.sqrt(np.maximum(block_means(values * values) - block_means(values) ** 2, 0)))


def _clean_plate(means: Floats, texture: Floats, channel: int, sure: Flags) -> Floats:
    """The screen's light (h, w, 3) in all blocks, as if nothing stood before it.

    A robust quadratic fit of the logarithms, and what the blocks around differ from it: in brightness from near by, for
    folds and shadows; in chromaticity only from afar, for a thin veil would pass as screen otherwise. Nothing goes
    beyond the values that were seen.
    """
    logs = np.log(np.maximum(means, np.float32(1e-4)))
    calm = sure & (texture < 2.5 * np.median(texture[sure]) + 0.01)
    inner = cv2.erode(calm.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    seen = inner if inner.sum() >= 50 else calm
    plate = _quadratic(logs, seen)
    near = seen & (np.abs(logs - plate) < 0.6).all(axis=2)
    weights = near.astype(np.float32)
    rest = np.zeros_like(logs)
    for sigma in (20.0, 5.0, 1.2):
        around, found = spread(logs - plate, weights, sigma)
        if sigma < 20:
            around = around[..., channel, None] + rest - rest[..., channel, None]
        share = np.clip(found / 0.2, 0, 1)[..., None]
        rest = rest * (1 - share) + share * around
    known = logs[near] if near.any() else logs[seen]
    low, high = np.percentile(known, [1, 99], axis=0)
    return np.asarray(np.exp(np.clip(plate + rest, low - 0.02, high + 0.02)), np.float32)


def _quadratic(logs: Floats, seen: Flags) -> Floats:
    """A polynomial of degree two in each channel (h, w, 3), fitted to the blocks that are seen, outliers left out."""
    height, width = seen.shape
    y, x = (axis / size - 0.5 for axis, size in zip(np.mgrid[:height, :width], (height, width), strict=True))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)  # (h, w, 6)
    own, fitted = terms[seen], np.empty(logs.shape, np.float32)
    for one in range(3):
        values = logs[..., one][seen]
        weights = np.ones(len(values))
        for _ in range(5):  # Tukey's biweight
            factors = np.linalg.lstsq(own * weights[:, None], values * weights, rcond=None)[0]
            off = values - own @ factors
            scale = 4.7 * (1.4826 * np.median(np.abs(off)) + 1e-3)
            weights = np.clip(1 - (off / scale) ** 2, 0, 1)
        fitted[..., one] = terms @ factors
    return fitted


def beyond(sure: Flags) -> Flags:
    """The blocks (h, w) on the far side of a straight end of the screen: floors, walls and stands.

    An end is an edge of the convex hull of the screen's blocks that is nearly level or upright, lies inside the frame,
    and has screen along a third of its length. (Where the frame cuts off shoulders, the hull's edge crosses the
    subject: the screen does not end there.)
    """
    height, width = sure.shape
    outside = np.zeros(sure.shape, np.bool_)
    firm = cv2.morphologyEx(sure.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    if not firm.any():
        return outside
    hull = cv2.approxPolyDP(cv2.convexHull(cv2.findNonZero(firm)), 0.015 * float(np.hypot(height, width)), True)[
        :, 0
    ].astype(float)
    y, x = np.mgrid[:height, :width]
    centre = hull.mean(axis=0)
    for start, end in zip(hull, np.roll(hull, -1, axis=0), strict=True):
        along = end - start
        length = float(np.hypot(*along))
        if length < 0.25 * min(height, width) or min(abs(along)) > 0.2 * length:
            continue
        normal = np.array([along[1], -along[0]]) / length
        normal *= np.sign(normal @ (start - centre))
        line = start + np.linspace(0.05, 0.95, 64)[:, None] * along
        at_frame = np.minimum(line, [width - 1, height - 1] - line).min(axis=1) < 2
        columns, rows = np.rint(line - 2 * normal).astype(int).clip(0, [width - 1, height - 1]).T
        if at_frame.mean() < 0.5 and firm[rows, columns].mean() >= 0.3:
            outside |= (x - start[0]) * normal[0] + (y - start[1]) * normal[1] > -0.5
    return outside & ~sure
