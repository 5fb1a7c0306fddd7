"""A2U's operators in standard ONNX operators, for every size and batch.

The formulas are in `mattecli/ops/resample.py`. A2U's kernels differ from position to position, which no standard
operator allows. Unfolding a map into the 36 pixels under each kernel would take nine times its memory. So positions are
taken in blocks of 4×4. The pixels under a block (12×12 where the map is halved, 6×6 where it is doubled) are gathered
once. The taps of its positions become a matrix, with zeros for pixels that are not under a tap. One matrix product then
does all the sums.

Maps are (B, C, H, W); arrays in blocks are (B, rows of blocks, columns of blocks, …).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mattecli.onnx.graph import Graph, Value

BLOCK = 4  # rows and columns of positions in a block


class Grid(NamedTuple):
    """The h × w positions of a map and the blocks that hold them; the last blocks may reach beyond the map."""

    h: Value
    w: Value
    rows: Value
    columns: Value


def grid(h: Value, w: Value) -> Grid:
    """The blocks of h × w positions."""
    return Grid(h, w, (h + (BLOCK - 1)) // BLOCK, (w + (BLOCK - 1)) // BLOCK)


def downsample(g: Graph, x: Value, s: Value, p: Value) -> Value:
    """Halve x (B, C, H, W) with the down kernels of s (B, 1, H/2, W/2) and p (B, 36)."""
    at = grid(g.dim(s, 2), g.dim(s, 3))
    scores = _in_blocks(g, s, at) * g.reshape(p, -1, 1, 1, 1, 36)  # (B, rows, columns, 16, 36)
    kernels = g.cast(g.op("Softmax", scores, axis=-1), g.dtype)
    sums = g.op("MatMul", _matrices(g, kernels, taps=6, step=2), _windows(g, x, at, taps=6, step=2))
    return from_blocks(g, sums, at)


def upsample(g: Graph, f: Value, s: Value, p: Value) -> Value:
    """Double f (B, C, h, w) with the up kernels of s (B, 1, h, w) and p (B, 36)."""
    at = grid(g.dim(s, 2), g.dim(s, 3))
    p = g.transpose(g.reshape(p, -1, 9, 4), 0, 2, 1)  # number 4·m + 2·dy + dx is tap m of sub-position (dy, dx)
    scores = g.reshape(_in_blocks(g, s, at), 0, 0, 0, BLOCK**2, 1, 1) * g.reshape(p, -1, 1, 1, 1, 4, 9)
    # The original takes a sigmoid of the scores before the softmax.
    kernels = g.cast(g.op("Softmax", g.op("Sigmoid", scores), axis=-1), g.dtype)
    sums = g.op("MatMul", _matrices(g, kernels, taps=3, step=1), _windows(g, f, at, taps=3, step=1))
    return from_blocks(g, sums, Grid(at.h * 2, at.w * 2, at.rows, at.columns), side=2 * BLOCK)


def correlate(g: Graph, x: Value, kernels: list[Value], at: Grid, *, shared: bool) -> list[Value]:
    """x (B, C, H, W) correlated with each image's own kernels, (B, C, 6, 6) or `shared` (B, 1, 6, 6), at stride 2.

    Padding is 2 as in the original. Gives for each kernel the products at H/2 × W/2 positions, in blocks:
    (B, rows, columns, 16, C).
    """
    windows = _windows(g, x, at, taps=6, step=2)  # (B, rows, columns, 144, C)
    if not shared:
        windows = g.reshape(g.transpose(windows, 0, 4, 1, 2, 3), 0, 0, -1, 144)
    found = []
    for kernel in kernels:
        everywhere = g.op("Expand", g.reshape(kernel, 0, -1, 1, 1, 36), g.shape(1, 1, 1, BLOCK**2, 1))
        matrix = _matrices(g, g.cast(everywhere, g.dtype), taps=6, step=2)  # (B, C or 1, 1, 16, 144)
        if shared:
            found.append(g.op("MatMul", matrix, windows))
            continue
        matrix = g.transpose(g.op("Squeeze", matrix, np.array([2])), 0, 1, 3, 2)
        sums = g.transpose(g.op("MatMul", windows, matrix), 0, 2, 3, 1)  # (B, blocks, 16, C)
        found.append(g.op("Reshape", sums, g.shape(0, at.rows, at.columns, BLOCK**2, g.dim(x, 1))))
    return found


def from_blocks(g: Graph, blocks: Value, at: Grid, *, side: int = BLOCK) -> Value:
    """The map (B, C, h, w) of blocks (B, rows, columns, side², C)."""
    blocks = g.transpose(
        g.reshape(blocks, 0, 0, 0, side, side, -1), 0, 1, 3, 2, 4, 5
    )  # pixels before channels, which is much faster
    wide = g.op("Reshape", blocks, g.shape(0, at.rows * side, at.columns * side, -1))
    return g.transpose(g.slice(wide, (1, 0, at.h), (2, 0, at.w)), 0, 3, 1, 2)


def _in_blocks(g: Graph, s: Value, at: Grid) -> Value:
    """s (B, 1, h, w) in blocks: (B, rows, columns, 16, 1)"""
    s = g.pad(s, (0, 0), (at.rows * BLOCK - at.h, at.columns * BLOCK - at.w), (2, 3))
    s = g.transpose(g.reshape(s, -1, at.rows, BLOCK, at.columns, BLOCK), 0, 1, 3, 2, 4)
    return g.reshape(s, 0, 0, 0, BLOCK**2, 1)


def _windows(g: Graph, x: Value, at: Grid, *, taps: int, step: int) -> Value:
    """The pixels under each block, (B, rows, columns, side², C); positions are `step` pixels apart."""
    reach = (taps - step) // 2  # the original pads by 2 for 6 taps: two before the 2×2 pixels of a position, two after
    stride, side = step * BLOCK, step * BLOCK + 2 * reach
    height, width = (blocks * stride + 2 * reach for blocks in (at.rows, at.columns))
    x = g.transpose(x, 0, 2, 3, 1)  # so that the channels of a pixel are copied in one piece
    x = g.pad(x, (reach, reach), (height - reach - g.dim(x, 1), width - reach - g.dim(x, 2)), (1, 2))
    table = g.op("Reshape", x, g.shape(0, height * width, -1))
    inside = np.arange(side)
    rows = g.reshape(g.arange(at.rows) * stride, -1, 1, 1, 1) + inside[:, None]
    columns = g.reshape(g.arange(at.columns) * stride, -1, 1, 1) + inside
    index = g.reshape(rows * width + columns, at.rows, at.columns, side**2)
    return g.op("Gather", table, index, axis=1)


def _matrices(g: Graph, kernels: Value, *, taps: int, step: int) -> Value:
    """Kernels (…, 16 positions, sub-positions, taps²), after three axes, as matrices (…, outputs, pixels).

    The taps of a row are skewed: each row of taps is padded to be one step longer than a row of pixels, then all are
    read in rows of pixels, so that the taps move by one step from row to row. The rows of a matrix are picked among
    them and a row of zeros. Picking single values would be simpler, but OpenVINO's Gather (2026.4) is wrong for more
    than 2²⁴ of them.
    """
    share = 2 // step  # rows and columns of outputs at a position
    side = step * BLOCK + taps - step
    shape = (BLOCK, BLOCK, share, share, taps, taps)  # oy, ox, dy, dx, i, j
    kernels = g.transpose(g.reshape(kernels, 0, 0, -1, *shape), 0, 1, 2, 3, 5, 7, 6, 4, 8)  # oy, dy, i, dx, ox, j
    longer = g.pad(kernels, (0,), (side + step - taps,), (8,))
    lines = BLOCK * share * taps * share
    skewed = g.slice(g.reshape(longer, 0, 0, 0, lines, -1), (4, 0, BLOCK * side))
    rows = g.pad(g.reshape(skewed, 0, 0, 0, lines * BLOCK, side), (0,), (1,), (3,))
    places = np.full((BLOCK, share, BLOCK, share, side), lines * BLOCK)
    for oy, dy, ox, dx, i in np.ndindex(BLOCK, share, BLOCK, share, taps):
        line = ((oy * share + dy) * taps + i) * share + dx
        places[oy, dy, ox, dx, step * oy + i] = line * BLOCK + ox
    picked = g.op("Gather", rows, places.reshape(-1, side), axis=3)
    return g.reshape(picked, 0, 0, 0, (share * BLOCK) ** 2, side**2)
