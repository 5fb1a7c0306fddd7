"""Moves pixels between OpenEXR's data and display windows.

The data window holds the pixels that a file has, the display window those that a viewer shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Window = tuple[int, int, int, int]  # x, y, width, height


def moved(pixels: NDArray[Any], have: Window, want: Window) -> NDArray[Any]:
    """The pixels (h, w, …) of the window `have` for the window `want`; beyond its edges those at the edge continue."""
    if have == want:
        return pixels
    left, top, width, height = want
    columns = np.clip(np.arange(left, left + width) - have[0], 0, have[2] - 1)
    rows = np.clip(np.arange(top, top + height) - have[1], 0, have[3] - 1)
    return pixels[rows[:, None], columns]


def overlap(one: Window, other: Window) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The rows and columns that two windows share, as each of them counts."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = max(left, min(one[0] + one[2], other[0] + other[2]))
    bottom = max(top, min(one[1] + one[3], other[1] + other[3]))

    def counted(window: Window) -> tuple[slice, slice]:
        return slice(top - window[1], bottom - window[1]), slice(left - window[0], right - window[0])

    return counted(one), counted(other)


def from_corner(window: Window, corner: Window) -> Window:
    """A window as seen from the top left corner of another one."""
    return window[0] - corner[0], window[1] - corner[1], window[2], window[3]
