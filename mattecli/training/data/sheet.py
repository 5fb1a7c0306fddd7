"""A contact sheet: what the network sees, and what it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.training.data.scenes import Sample

Bytes = NDArray[np.uint8]

_GAP = 4
_GREY = 40


def contact_sheet(samples: Sequence[Sample], *, columns: int = 2) -> Bytes:
    """Samples as image, trimap, alpha and foreground side by side, `columns` samples to a row: (H, W, 3).

    All samples must have the same size.
    """
    strips = [_strip(sample) for sample in samples]
    while len(strips) % columns:
        strips.append(np.full_like(strips[0], _GREY))
    rows = [np.hstack(strips[first : first + columns]) for first in range(0, len(strips), columns)]
    return np.vstack(rows)


def make_sheet(
    sample: Callable[[int], Sample], numbers: Sequence[int], *, on_done: Callable[[int], None], columns: int = 2
) -> Bytes:
    """The sheet of the samples of these numbers; `on_done` hears of each one that is made."""
    made = []
    for number in numbers:
        made.append(sample(number))
        on_done(number)
    return contact_sheet(made, columns=columns)


def _strip(sample: Sample) -> Bytes:
    planes = [sample.image, _coloured(sample.trimap), _coloured(sample.alpha), sample.foreground]
    framed = [
        cv2.copyMakeBorder(
            plane, 0, _GAP, 0, _GAP * (4 if plane is planes[-1] else 1), cv2.BORDER_CONSTANT, value=[_GREY] * 3
        )
        for plane in planes
    ]
    return np.asarray(np.hstack(framed), np.uint8)


def _coloured(plane: Bytes) -> Bytes:
    return np.repeat(plane[:, :, None], 3, axis=2)
