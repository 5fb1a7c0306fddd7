"""Pixels of strokes and polygons, as spans of rows.

`static/paint/raster.js` follows the same rules in the same order of operations, in float64. So the live stroke of a
page equals the labels, pixel for pixel. `tests/server/strokes.json` is shared by the tests of both.

The centre of the pixel in row r and column c is (c + 0.5, r + 0.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import UsageError
from mattecli.server.tiles import TILE, Grid, Index

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

_ROWS = 2**15  # rows of capsules that are computed at a time
_CLOSE = 1e-4  # pixels; the formulas for the ends of a row err by less


class Spans(NamedTuple):
    """Pixels as spans of rows: in row `rows[i]` the columns from `starts[i]` to `ends[i]` - 1.

    They lie in the picture, are sorted by rows and columns, and do not touch each other.
    """

    rows: Integers
    starts: Integers
    ends: Integers


def stroke_spans(points: NDArray[np.floating], grid: Grid) -> Spans:
    """The pixels of a stroke through `points`, (N, 3) of x, y and radius in pixels.

    A pixel belongs to the stroke when its centre lies in a capsule between two neighbouring points. A capsule is the
    union of all discs whose centre and radius run linearly from one point to the next. One point alone is a disc.
    Raises `UsageError` for values that are not finite, a negative radius, and another shape.
    """
    path = _checked(points, 3)
    if path[:, 2].min() < 0:
        raise UsageError("the radius of a stroke must be 0 or more")
    ends = path if len(path) > 1 else np.repeat(path, 2, axis=0)
    parts = list(_capsules(ends[:-1], ends[1:], grid))
    if len(parts) == 1:
        return parts[0]
    rows, columns, after = (np.concatenate(values) for values in zip(*parts, strict=True))
    return _joined(rows, columns, after, grid.width)


def polygon_spans(points: NDArray[np.floating], grid: Grid) -> Spans:
    """The pixels whose centres a closed polygon winds around, by `points`, (N, 2) of x and y.

    Where the outline crosses itself, all that it encloses belongs to it (the non-zero rule). A centre that lies on the
    outline belongs to it at a left or upper side. Raises `UsageError` as `stroke_spans` does.
    """
    start = _checked(points, 2)
    end = np.roll(start, -1, axis=0)
    sign = np.where(start[:, 1] < end[:, 1], 1, -1)
    upper = np.where((sign > 0)[:, None], start, end)
    lower = np.where((sign > 0)[:, None], end, start)
    # Rows whose centres lie from the upper end on, and above the lower end.
    first, last = np.ceil(upper[:, 1] - 0.5), np.ceil(lower[:, 1] - 0.5) - 1
    edge, rows = _rows(first, last, grid.height)
    x0, y0, x1, y1 = (value[edge] for value in (upper[:, 0], upper[:, 1], lower[:, 0], lower[:, 1]))
    crossing = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
    columns = np.clip(np.ceil(crossing - 0.5), 0, grid.width).astype(np.int64)
    return _wound(rows, columns, sign[edge], grid.width)


def covered(spans: Spans, grid: Grid) -> Iterator[tuple[Index, Mask]]:
    """The tiles that have pixels of the spans, each with its pixels, (h, w)."""
    bounds = np.searchsorted(spans.rows, np.arange(grid.rows + 1) * TILE)
    for row in range(grid.rows):
        part = slice(bounds[row], bounds[row + 1])
        if part.start == part.stop:
            continue
        rows, starts, ends = (value[part] for value in spans)
        first, last = int(starts.min()) // TILE, (int(ends.max()) - 1) // TILE
        left, right = first * TILE, min((last + 1) * TILE, grid.width)
        mask = np.zeros((min(TILE, grid.height - row * TILE), right - left), np.bool_)
        flat = mask.reshape(-1)
        shift = (rows - row * TILE) * (right - left) - left
        for start, end in zip((shift + starts).tolist(), (shift + ends).tolist(), strict=True):
            flat[start:end] = True
        for column in range(first, last + 1):
            tile = mask[:, (column - first) * TILE : (column + 1 - first) * TILE]
            if tile.any():
                yield Index(row, column), tile


def _checked(points: NDArray[np.floating], values: int) -> Floats:
    path = np.asarray(points, np.float64)
    if path.ndim != 2 or path.shape[1] != values or not len(path):
        raise UsageError(f"points must be an array of shape (N, {values}), not {path.shape}")
    if not np.isfinite(path).all() or np.abs(path).max() > 2**24:
        raise UsageError("the coordinates of points must be finite, and 16 million at most")
    return path


def _rows(first: Floats, last: Floats, height: int) -> tuple[Integers, Integers]:
    """For each part and each of its rows in the picture: the number of the part, and the row."""
    top = np.clip(first, 0, height).astype(np.int64)
    counts = np.clip(last + 1, 0, height).astype(np.int64) - top
    counts = np.maximum(counts, 0)
    part = np.repeat(np.arange(len(top)), counts)
    return part, np.arange(len(part)) - np.repeat(np.cumsum(counts) - counts - top, counts)


def _capsules(starts: Floats, ends: Floats, grid: Grid) -> Iterator[Spans]:
    """The pixels of capsules, some capsules at a time."""
    first = np.minimum(starts[:, 1] - starts[:, 2], ends[:, 1] - ends[:, 2])
    last = np.maximum(starts[:, 1] + starts[:, 2], ends[:, 1] + ends[:, 2])
    first, last = np.floor(first - 0.5), np.ceil(last - 0.5)
    counts = np.maximum(np.clip(last + 1, 0, grid.height) - np.clip(first, 0, grid.height), 1)
    group = (np.cumsum(counts) - counts) // _ROWS
    for part in np.split(np.arange(len(starts)), np.flatnonzero(np.diff(group)) + 1):
        number, rows = _rows(first[part], last[part], grid.height)
        left, right = _columns(np.concatenate([starts[part], ends[part]], axis=1).T, number, rows + 0.5)
        left, right = np.clip(left, 0, grid.width), np.clip(right + 1, 0, grid.width)
        kept = left < right
        yield _joined(rows[kept], left[kept], right[kept], grid.width)


def _columns(capsules: Floats, number: Integers, y: NDArray[Any]) -> tuple[Integers, Integers]:
    """The first and the last column of capsules (6, n) in rows: of capsule `number[i]` in the row with the centre y[i].

    The first is greater than the last where there is none. Where a centre is nearly on the edge, `_inside` decides.
    """
    x0, y0, r0, x1, y1, r1 = capsules
    low, high = np.full(y.shape, np.inf), np.full(y.shape, -np.inf)
    for x, middle, r in ((x0, y0, r0), (x1, y1, r1)):
        off = y - middle[number]
        rest = (r * r)[number] - off * off
        half = np.sqrt(np.maximum(rest, 0))
        half[rest < 0] = -np.inf  # then it bounds nothing
        np.minimum(low, x[number] - half, out=low)
        np.maximum(high, x[number] + half, out=high)
    for ax, ay, bx, by in _tangents(x0, y0, r0, x1, y1, r1):
        slope = (bx - ax) / np.where(ay != by, by - ay, 1)
        top, bottom = np.minimum(ay, by), np.where(ay != by, np.maximum(ay, by), -np.inf)
        crosses = np.flatnonzero((top[number] <= y) & (y <= bottom[number]))
        tangent = number[crosses]
        x = ax[tangent] + (y[crosses] - ay[tangent]) * slope[tangent]
        low[crosses] = np.minimum(low[crosses], x)
        high[crosses] = np.maximum(high[crosses], x)
    low, high = np.where(low <= high, low, 1) - 0.5, np.where(low <= high, high, 0) - 0.5
    left, right = np.ceil(low), np.floor(high)
    for end, exact, inward in ((left, low, 1), (right, high, -1)):
        nearest = np.rint(exact)
        close = np.flatnonzero(np.abs(exact - nearest) < _CLOSE)
        outside = ~_inside(capsules[:, number[close]], nearest[close] + 0.5, y[close])
        end[close] = nearest[close] + inward * outside
    return left.astype(np.int64), right.astype(np.int64)


def _tangents(
    x0: Floats, y0: Floats, r0: Floats, x1: Floats, y1: Floats, r1: Floats
) -> Iterator[tuple[Floats, Floats, Floats, Floats]]:
    """The ends x, y, x, y of the two lines that touch both discs, at one normal. Where there are none they are nan."""
    dx, dy, dr = x1 - x0, y1 - y0, r1 - r0
    square = dx * dx + dy * dy
    a = square - dr * dr
    root, divisor = np.sqrt(np.where(a > 0, a, np.nan)), np.where(a > 0, square, 1)
    for side in (1.0, -1.0):
        nx, ny = (-dr * dx - side * root * dy) / divisor, (-dr * dy + side * root * dx) / divisor
        yield x0 + r0 * nx, y0 + r0 * ny, x1 + r1 * nx, y1 + r1 * ny


def _inside(capsule: Floats, x: Floats, y: Floats) -> Mask:
    """The rule: the disc that comes nearest to (x, y), at t from 0 to 1 along the capsule, holds it."""
    x0, y0, r0, x1, y1, r1 = capsule
    dx, dy, dr = x1 - x0, y1 - y0, r1 - r0
    vx, vy = x - x0, y - y0
    a = dx * dx + dy * dy - dr * dr  # 0 or less: one end lies in the other
    t = np.where(a > 0, (vx * dx + vy * dy + r0 * dr) / np.where(a > 0, a, 1), dr > 0)
    t = np.minimum(np.maximum(t, 0), 1)
    ex, ey, r = vx - t * dx, vy - t * dy, r0 + t * dr
    return np.asarray(ex * ex + ey * ey <= r * r)


def _joined(rows: Integers, starts: Integers, ends: Integers, width: int) -> Spans:
    """The union of spans that may overlap, in any order."""
    starts, ends = rows * (width + 1) + starts, rows * (width + 1) + ends
    order = np.argsort(starts)
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    apart = starts[1:] > ends[:-1]
    edge = np.ones(min(len(starts), 1), np.bool_)
    return _split(starts[np.append(edge, apart)], ends[np.append(apart, edge)], width)


def _split(starts: Integers, ends: Integers, width: int) -> Spans:
    row, start = np.divmod(starts, width + 1)
    return Spans(row, start, ends - row * (width + 1))


def _wound(rows: Integers, columns: Integers, steps: Integers, width: int) -> Spans:
    """The spans in which the sum of the steps up to a column is not 0. All steps of a row add up to 0."""
    keys = rows * (width + 1) + columns
    order = np.argsort(keys)
    keys = keys[order]
    sums = np.cumsum(steps[order])
    last = np.append(keys[1:] != keys[:-1], True) if len(keys) else np.empty(0, np.bool_)
    keys, now = keys[last], sums[last] != 0
    before = np.append(False, now[:-1]) if len(keys) else now
    starts, ends = keys[now & ~before], keys[~now & before]
    return _split(starts, ends, width)
