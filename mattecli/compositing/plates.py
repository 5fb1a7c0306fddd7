"""Scene-linear plates, whose floats leave the range 0 to 1."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats
from mattecli.compositing.mixing import mixing
from mattecli.imaging.pixels import as_float
from mattecli.imaging.space import Space

_LARGEST = 65504.0  # the end of half floats, in place of infinity
_ABOVE_NEIGHBOURS = 4.0  # a specular point may be so many times as bright as the median around it
_LOWEST = -1.0  # colours outside of a space's primaries are negative, but not by more


def is_plain(image: NDArray[Any]) -> bool:
    """Whether all values are from 0 to full scale, as those of integers are."""
    return image.dtype.kind != "f" or bool(image.min() >= 0 and image.max() <= 1)  # false for NaN, too


def finite(values: Floats) -> Floats:
    """Values that can be resampled: infinity becomes 65504, the end of half floats, and what is not a number 0."""
    return np.nan_to_num(values, nan=0.0, posinf=_LARGEST, neginf=0.0)


def tamed(image: Floats) -> tuple[Floats, float, float]:
    """A copy of a plate (H, W, 3) from 0 to 1, with the factor and the offset that undo the scale.

    One NaN would spread over all sizes of an estimate, and one specular point over its surroundings. So NaN becomes 0,
    infinity 65504, and a point that is much brighter than its neighbours is capped. The factor is a power of two.
    """
    calm = np.clip(finite(image), _LOWEST, _LARGEST)
    around = np.stack([cv2.medianBlur(np.ascontiguousarray(calm[..., i]), 5) for i in range(3)], axis=2)
    np.minimum(calm, np.maximum(_ABOVE_NEIGHBOURS * around, 1), out=calm)
    offset = min(float(calm.min()), 0.0)
    factor = 2.0 ** np.ceil(np.log2(max(float(calm.max()) - offset, 1.0)))
    return np.asarray((calm - offset) / factor, np.float32), float(factor), offset


def add_glow(result: Floats, plate: NDArray[Any], where: NDArray[np.bool_], space: Space) -> None:
    """Add a plate's light under alpha 0, (h, w, 3), in place, to a composite (h, w, 3), or put it into RGBA (h, w, 4).

    `where` (h, w) says which pixels have such light. It hides nothing of what lies behind, so it is added as light, by
    the curve of `space`. Where a shadow covers something, RGBA holds what gives this light once it is times alpha.
    """
    light = as_float(plate[where])
    if result.shape[2] == 4:
        cover = result[where, 3:]
        result[where, :3] = light / np.where(cover > 0, cover, 1)
        return
    behind, curve = result[where], mixing(space)
    with np.errstate(invalid="ignore", over="ignore"):
        result[where] = (
            light + behind if curve is None else curve.encode(curve.decode(light[None]) + curve.decode(behind[None]))[0]
        )


def odd_values(pixels: NDArray[Any]) -> str | None:
    """How many values are not numbers, infinite or negative, in words; None where there are none."""
    if pixels.dtype.kind != "f":
        return None
    counts = {
        "not a number": int(np.isnan(pixels).sum()),
        "infinite": int(np.isinf(pixels).sum()),
        "negative": int((pixels < 0).sum()),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or None
