"""Which pixels belong to a stroke or polygon, by brute force in exact fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Exact = tuple[Fraction, ...]


def stroke_mask(points: Sequence[Sequence[float]], height: int, width: int) -> Mask:
    """Each pixel whose centre lies in a disc that runs along the points (x, y, radius)."""
    path = [tuple(map(Fraction, point)) for point in points]
    ends = list(pairwise(path)) or [(path[0], path[0])]
    return _mask(height, width, lambda x, y: any(_in_capsule(start, end, x, y) for start, end in ends))


def polygon_mask(points: Sequence[Sequence[float]], height: int, width: int) -> Mask:
    """Each pixel whose centre has a winding number other than 0."""
    path = [tuple(map(Fraction, point)) for point in points]
    return _mask(height, width, lambda x, y: _winding(path, x, y) != 0)


def _mask(height: int, width: int, holds: object) -> Mask:
    half = Fraction(1, 2)
    assert callable(holds)
    return np.array([[holds(column + half, row + half) for column in range(width)] for row in range(height)])


def _in_capsule(start: Exact, end: Exact, x: Fraction, y: Fraction) -> bool:
    """Whether |q - p(t)|² - r(t)² = a t² - 2 b t + c is 0 or less for some t from 0 to 1."""
    (x0, y0, r0), (x1, y1, r1) = start, end
    a = (x1 - x0) ** 2 + (y1 - y0) ** 2 - (r1 - r0) ** 2
    b = (x - x0) * (x1 - x0) + (y - y0) * (y1 - y0) + r0 * (r1 - r0)
    c = (x - x0) ** 2 + (y - y0) ** 2 - r0**2
    at_ends = c <= 0 or a - 2 * b + c <= 0
    return at_ends or (a > 0 and 0 < b < a and c * a <= b * b)


def _winding(path: list[Exact], x: Fraction, y: Fraction) -> int:
    winding = 0
    for (x0, y0), (x1, y1) in pairwise([*path, path[0]]):
        if (y0 <= y) != (y1 <= y):
            crossing = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
            winding += (1 if y0 < y1 else -1) * (crossing <= x)
    return winding
