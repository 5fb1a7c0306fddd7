"""Random trimaps for training, from a true alpha."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.training.data.config import DataConfig
from mattecli.training.data.random import Draw, smooth_noise
from mattecli.trimaps.check import unknown

Bytes = NDArray[np.uint8]

# Of 255. Nobody sees 1 % of a foreground, and whoever draws a trimap calls it background. So alphas up to 2 become 0
# and alphas from 253 become 255. This is done once, before compositing: the picture shows the changed alpha.
SURE = 2

_REFERENCE = 512  # side of the crop that widths are drawn for
_LEAST_SCALE = 0.25

_DENSE = 230  # of 255: the mean alpha from which a mass counts as foreground
_DENSE_RADIUS = 4.0  # standard deviation of that mean's window, in pixels of a 512 crop


@dataclass(frozen=True)
class TrimapShape:
    """The band of unknown pixels around the soft ones. Widths are in pixels of a 512 crop."""

    foreground: float  # width of the band on the foreground's side
    background: float
    uneven: float  # the widths vary by this share of themselves
    cells: float  # bumps of the uneven width from side to side of the crop
    brush: float  # known islands thinner than twice this become unknown; 0: all stay known
    sure_foreground: bool  # False: no pixel is known as foreground
    seed: int
    solid: bool = False  # True: the inside of a dense mass is known as foreground, soft pixels and all


def draw_trimap(draw: Draw, config: DataConfig) -> TrimapShape:
    """Draw the shape of a trimap from the configured probabilities."""
    low, high = config.loose_dilation if draw.chance(config.loose) else config.dilation
    foreground, background = draw.uniform(low, high), draw.uniform(low, high)
    if draw.chance(0.5):  # one width for both sides, as a tool's dilation makes it
        foreground = background
    uneven = draw.uniform(0.3, 0.9)
    cells = draw.log_uniform(2, 12)
    brush = draw.uniform(1.5, 8)
    return TrimapShape(
        foreground=foreground,
        background=background,
        uneven=uneven if draw.chance(config.uneven) else 0.0,
        cells=cells,
        brush=brush if draw.chance(config.brush) else 0.0,
        sure_foreground=not draw.chance(config.no_sure_foreground),
        seed=draw.integer(2**31),
        solid=draw.chance(config.solid),
    )


def settle_alpha(alpha: Bytes) -> Bytes:
    """Set alphas within `SURE` of 0 and 255 to 0 and 255, and stretch those between, so that no step appears."""
    return _bytes(cv2.LUT(alpha, _SETTLED))


def render_trimap(alpha: Bytes, shape: TrimapShape) -> Bytes:
    """The trimap (H, W) of 0, 128 and 255 for an alpha (H, W).

    Every pixel with an alpha between 0 and 255 is unknown, and so is every pixel within the drawn width of one. Of a
    `solid` shape the foreground is known where alphas are high on average, so single pixels of lower alpha are known,
    too, and its band is a few pixels wider at an edge; where this would leave nothing unknown, it is as of any other.

    An alpha without pixels between 0 and 255 has its band along the edge between the two. An alpha without an edge gets
    an unknown disc in the middle, because each crop must hold something to learn from.
    """
    size = max(alpha.shape)
    # A band as wide as in a 512 crop would fill a small crop, so the width shrinks with the crop, but slower.
    scale = float(np.clip((size / _REFERENCE) ** 0.5, _LEAST_SCALE, 1.0)) if size < _REFERENCE else 1.0
    width: NDArray[np.float32] | float = 1.0
    if shape.uneven:
        width = 1 + shape.uneven * smooth_noise(shape.seed, size, shape.cells)[: alpha.shape[0], : alpha.shape[1]]
    trimap = np.full(alpha.shape, 128, np.uint8)
    for value, reach in ((0, shape.background), (255, shape.foreground)):
        if value == 255 and not shape.sure_foreground:
            continue
        inside = cv2.inRange(alpha, np.array(value), np.array(value))  # 255 where the alpha is sure
        if value == 255 and shape.solid:
            inside = _dense(alpha, scale)
        known = _deeper(_bytes(inside), reach * scale * width + shape.brush * scale)
        if shape.brush:
            known = _nearer(known, shape.brush * scale) & _bytes(inside)
        trimap[known > 0] = value
    if shape.solid and not unknown(trimap).any():
        return render_trimap(alpha, replace(shape, solid=False))
    return _with_something_unknown(trimap)


def _dense(alpha: Bytes, scale: float) -> Bytes:
    """255 where alphas are high on average, as in the middle of a head of hair: who draws a trimap paints it white."""
    around = cv2.GaussianBlur(alpha, (0, 0), _DENSE_RADIUS * scale)
    return _bytes(cv2.inRange(around, np.array(_DENSE), np.array(255)))


def _deeper(mask: Bytes, depth: Any) -> Bytes:
    """255 at pixels that lie more than `depth` inside the mask. The border of the picture is not an edge."""
    if cv2.countNonZero(mask) == mask.size:
        return mask
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5)
    return _bytes(cv2.compare(distance, depth, cv2.CMP_GT))


def _nearer(mask: Bytes, distance: float) -> Bytes:
    """255 at pixels at most `distance` from the mask."""
    if not cv2.countNonZero(mask):
        return mask
    away = cv2.distanceTransform(cv2.bitwise_not(mask), cv2.DIST_L2, cv2.DIST_MASK_5)
    return _bytes(cv2.inRange(away, np.array(0.0), np.array(distance)))


def _with_something_unknown(trimap: Bytes) -> Bytes:
    if not (unknown(trimap)).any():
        height, width = trimap.shape
        cv2.circle(trimap, (width // 2, height // 2), max(1, min(height, width) // 6), 128, -1)
    return trimap


def _bytes(array: object) -> Bytes:
    return np.asarray(array, np.uint8)


def _settled_table() -> Bytes:
    inner = (np.arange(256) - SURE) / (255 - 2 * SURE)
    return np.clip(np.round(inner * 255), 0, 255).astype(np.uint8)


_SETTLED = _settled_table()
