"""Linear light of a picture, for files that hold nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.colour import decode_srgb
from mattecli.imaging.pixels import as_float

if TYPE_CHECKING:
    from mattecli.imaging.image import Image

_REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)


def in_light(image: Image) -> tuple[NDArray[np.float32], tuple[float, ...] | None]:
    """RGB or straight RGBA as linear light in float32, and its chromaticities."""
    pixels = as_float(image.pixels).copy()
    pixels[..., :3] = decode_srgb(pixels[..., :3])
    return pixels, _REC709
