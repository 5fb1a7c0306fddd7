"""Resampling on a CPU with the kernels of one affinity.

Kernels have 6×6 taps down and 3×3 taps up.

The input's pixels are the rows of a table. Each output pixel is a weighted sum of some of these rows, a "bag".
PyTorch's `embedding_bag` sums bags with the kernels' weights in one pass, in float32 for every type of table. The
gradient of the input is the same sum read backwards, with the outputs as rows. The gradient of a weight is the dot
product of two rows.

Fine and coarse grid: a coarse position has a block of 2×2 fine pixels (dy, dx). Its taps lie in 3×3 blocks (i, j): its
own and those around it. So both kinds of kernel have 36 numbers for each coarse position. A down kernel's 6×6 taps are
3×3 blocks of 2×2 fine pixels. The up kernels of the 2×2 fine pixels have 3×3 taps each. Read backwards, the numbers of
down kernels form up kernels, and the other way round.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import cache, reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mattecli.geometry import WHOLE, Edges
from mattecli.ops.kernels import DOWN_NORM, UP_NORM, Norm, normalise, score_gradient
from mattecli.ops.reference import empty_map

# Positions computed at a time, of one or several images; each takes 0.3 kB for indices and weights.
BAND_POSITIONS = 1 << 17
# Memory for the indices of earlier maps. Most windows of a run have one size, and training has few sizes.
INDEX_BYTES = 64 << 20
DOT_VALUES = 1 << 22  # values multiplied at a time where PyTorch's own dot products cannot be used

enabled = True  # False lets a CPU run `reference.py` too, to compare the two


def usable(x: Tensor) -> bool:
    """Whether x is on a CPU: only there is PyTorch's `embedding_bag` fast with weights."""
    return enabled and x.device.type == "cpu"


def downsample(x: Tensor, s: Tensor, p: Tensor, edges: Edges = WHOLE) -> Tensor:
    """Halve x (B, C, H, W) with the down kernels of s (B, 1, h, w) and p (B, 36)."""
    return _sum_bands(x, s, p, edges, fine=True)


def upsample(f: Tensor, s: Tensor, p: Tensor, edges: Edges = WHOLE) -> Tensor:
    """Double f (B, C, H, W) with the up kernels of s (B, 1, h, w) and p (B, 36)."""
    return _sum_bands(f, s, p, edges, fine=False)


def gradients(
    grad: Tensor, x: Tensor, s: Tensor, p: Tensor, edges: Edges, *, fine: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, s and p, of a downsampling (`fine`: its taps are fine pixels) or of an upsampling."""
    scores = _down_scores(s, p) if fine else _up_scores(s, p)
    norm: Norm = DOWN_NORM if fine else UP_NORM
    axes = _axes(x, s.shape[2], s.shape[3], edges, fine=fine)
    weights = normalise(scores, norm, dim=-1)
    grad_x = _transposed(grad, x, weights.to(x.dtype), *axes, fine=fine)
    (dots,) = _all_dots([grad], x, *axes, fine=fine)
    slopes = score_gradient(dots.view(scores.shape), scores, weights, norm, dim=-1)
    if not fine:  # (B, h, dy, w, dx, m) to the order of p
        slopes = slopes.permute(0, 1, 3, 5, 2, 4)
    slopes = slopes.reshape(len(x), -1, 36)
    grad_s = (slopes @ p[:, :, None].to(slopes.dtype)).view(s.shape)
    grad_p = (slopes.mT @ s.reshape(len(s), -1, 1).to(slopes.dtype)).view(p.shape)
    return grad_x, grad_s.to(s.dtype), grad_p.to(p.dtype)


def correlate_gradients(
    grads: Sequence[Tensor], x: Tensor, kernels: Sequence[Tensor], edges: Edges = WHOLE
) -> tuple[Tensor, list[Tensor]]:
    """The gradients of x and of kernels (B, 1, 6, 6); x was correlated with each of them at stride 2."""
    batch, _, height, width = grads[0].shape
    axes = _axes(x, height, width, edges, fine=True)
    sums = []
    for grad, kernel in zip(grads, kernels, strict=True):
        everywhere = kernel.to(x.dtype).view(batch, 1, 1, 36).expand(batch, height, width, 36)
        sums.append(_transposed(grad, x, everywhere, *axes, fine=True))
    dots = _all_dots(grads, x, *axes, fine=True)
    return reduce(Tensor.add_, sums), [
        numbers.sum((1, 2)).view(kernel.shape).to(kernel.dtype) for numbers, kernel in zip(dots, kernels, strict=True)
    ]


# Kernels whose taps are the last axis


def _down_scores(s: Tensor, p: Tensor) -> Tensor:
    return s[:, 0, :, :, None] * p[:, None, None]  # (B, h, w, 36)


def _up_scores(s: Tensor, p: Tensor) -> Tensor:
    p = p.view(-1, 9, 2, 2).permute(0, 2, 3, 1).contiguous()  # channel 4·m + 2·dy + dx is tap m: (B, dy, dx, m)
    return s[:, 0, :, None, :, None, None] * p[:, None, :, None]  # (B, h, 2, w, 2, 9)


def _clear(numbers: Tensor, rows: Axis, columns: Axis, *, fine: bool) -> Tensor:
    """Set the numbers of taps outside the map to zero: (n, h, w, 36), or (n, h, 2, w, 2, 9) of coarse taps."""
    if fine:
        taps = numbers.view(-1, rows.length, columns.length, 3, 2, 3, 2)
        by_row, by_column = taps.permute(1, 3, 0, 2, 4, 5, 6), taps.permute(2, 5, 0, 1, 3, 4, 6)
    else:
        taps = numbers.view(-1, rows.length, 2, columns.length, 2, 3, 3)
        by_row, by_column = taps.permute(1, 5, 0, 2, 3, 4, 6), taps.permute(3, 6, 0, 1, 2, 4, 5)
    for position, block in rows.outside():
        by_row[position, block] = 0
    for position, block in columns.outside():
        by_column[position, block] = 0
    return numbers


# Sums and dot products; tables are rows of C numbers


def _sum_bands(x: Tensor, s: Tensor, p: Tensor, edges: Edges, *, fine: bool) -> Tensor:
    (height, width), share = s.shape[2:], 1 if fine else 2
    rows, columns = _axes(x, height, width, edges, fine=fine)
    sums = []
    for images, top, bottom in _bands(len(x), height, width):
        band, part = s[images, :, top:bottom], rows.part(top, bottom)
        if fine:
            weights = normalise(_down_scores(band, p[images]), DOWN_NORM, dim=-1)
        else:
            weights = normalise(_up_scores(band, p[images]), UP_NORM, dim=-1)
        weights = _clear(weights, part, columns, fine=fine)
        sums.append(_bags(tap_rows(len(band), part, columns, fine=fine), _rows(x[images]), weights))
    return _map(sums, x, share * height, share * width)


def _transposed(grad: Tensor, x: Tensor, kernel: Tensor, rows: Axis, columns: Axis, *, fine: bool) -> Tensor:
    """The gradient of x: sums, with the same weights, over the outputs that each pixel is a tap of."""
    batch, height, width = len(x), rows.size, columns.size
    if fine:
        taps = kernel.reshape(batch, rows.length, columns.length, 3, 2, 3, 2)
        turned = kernel.new_zeros(batch, height, 2, width, 2, 3, 3)
    else:
        taps = kernel.reshape(batch, rows.length, 2, columns.length, 2, 3, 3)
        turned = kernel.new_zeros(batch, height, width, 3, 2, 3, 2)
    for i in range(3):
        y_from, y_to = rows.overlap(i)
        for j in range(3):
            x_from, x_to = columns.overlap(j)
            if fine:
                turned[:, y_to, :, x_to, :, i, j] = taps[:, y_from, x_from, i, :, j].transpose(2, 3)
            else:
                turned[:, y_to, x_to, i, :, j] = taps[:, y_from, :, x_from, :, i, j].transpose(2, 3)
    sums = []
    for images in _groups(batch, height * width):
        part = grad[images]
        index = tap_rows(len(part), rows.turned(), columns.turned(), fine=not fine)
        sums.append(_bags(index, _rows(part), turned[images]))
    return _map(sums, x, x.shape[2], x.shape[3])


def _all_dots(grads: Sequence[Tensor], x: Tensor, rows: Axis, columns: Axis, *, fine: bool) -> list[Tensor]:
    """For each gradient, the dot products of its pixels with the pixels of x under their taps, in float32 or better."""
    shape = (rows.length, columns.length, 36) if fine else (rows.length, 2, columns.length, 2, 9)
    found: list[list[Tensor]] = [[] for _ in grads]
    for images in _groups(len(x), rows.length * columns.length):
        pixels = x[images]
        table = wide(_rows(pixels))
        index = tap_rows(len(pixels), rows, columns, fine=fine)
        for grad, parts in zip(grads, found, strict=True):
            dots = _dots(index, wide(_rows(grad[images])), table)
            parts.append(_clear(dots.view(-1, *shape), rows, columns, fine=fine))
    return [parts[0] if len(parts) == 1 else torch.cat(parts) for parts in found]


def _bands(batch: int, height: int, width: int) -> Iterator[tuple[slice, int, int]]:
    """Images and rows to compute at a time: several images, or a part of one."""
    step = max(1, BAND_POSITIONS // width)
    for images in _groups(batch, height * width):
        for top in range(0, height, step):
            yield images, top, min(top + step, height)


def _groups(batch: int, positions: int) -> Iterator[slice]:
    at_once = max(1, BAND_POSITIONS // positions)
    for first in range(0, batch, at_once):
        yield slice(first, min(first + at_once, batch))


def _rows(maps: Tensor) -> Tensor:
    """(n, C, H, W) as (n·H·W, C), without a copy where the maps are channels-last."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def wide(table: Tensor) -> Tensor:
    """In float32 or better, for which PyTorch has fast dot products."""
    return table.to(torch.promote_types(table.dtype, torch.float32))


def _map(sums: list[Tensor], like: Tensor, height: int, width: int) -> Tensor:
    """The rows of all bands and images as one map (B, C, height, width) in the layout of `like`."""
    rows = sums[0] if len(sums) == 1 else torch.cat(sums)
    size = (len(like), rows.shape[1], height, width)
    strides = (height * width * size[1], 1, width * size[1], size[1])
    # The same memory with another shape, but not as a view: autograd would forbid in-place additions to a view.
    out = rows.new_empty(0).set_(rows.untyped_storage(), rows.storage_offset(), size, strides)
    return out if like.stride(1) == 1 else empty_map(like, height, width).copy_(out)


def _bags(index: Tensor, table: Tensor, weights: Tensor) -> Tensor:
    weights = weights.reshape(index.shape).to(table.dtype)
    return F.embedding_bag(index, table, mode="sum", per_sample_weights=weights)


def _dots(index: Tensor, grad: Tensor, table: Tensor) -> Tensor:
    """Dot products (bags, taps) of each bag's gradient with the rows of its table that `index` (bags, taps) names."""
    if embedding_dots_work():
        return _embedding_dots(index, grad, table)
    at_once = max(1, DOT_VALUES // (index.shape[1] * table.shape[1]))
    pairs = zip(torch.split(index, at_once), torch.split(grad, at_once), strict=True)
    return torch.cat([torch.einsum("btc,bc->bt", table[rows], gradient) for rows, gradient in pairs])


@cache
def embedding_dots_work() -> bool:
    """Whether PyTorch's private function of `embedding_bag` is there and gives dot products; tried once."""
    index = torch.tensor([[0, 2], [1, 1]], dtype=torch.int32, device="cpu")
    grad, table = torch.tensor([[1.0, 2.0], [3.0, 4.0]], device="cpu"), torch.arange(6.0, device="cpu").view(3, 2)
    try:
        expected = torch.tensor([[2.0, 14.0], [18.0, 18.0]], device="cpu")
        return torch.equal(_embedding_dots(index, grad, table), expected)
    except (AttributeError, RuntimeError, TypeError):  # this PyTorch lacks it, or it takes other arguments
        return False


def _embedding_dots(index: Tensor, grad: Tensor, table: Tensor) -> Tensor:
    count, size = index.shape
    begins = torch.arange(0, count * size, size, dtype=index.dtype, device=index.device)
    bag_of = torch.arange(count, dtype=index.dtype, device=index.device).repeat_interleave(size)
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(  # type: ignore[no-any-return]
        grad, table, index.view(-1), begins, bag_of, 0
    ).view(count, size)


# The rows of a bag


class Axis(NamedTuple):
    """Rows or columns: a run of positions, each with three blocks, on a map of `size` blocks."""

    length: int
    first: int  # the first block of the first position
    sign: int  # 1 if a position's blocks follow each other forwards, -1 if the map is read backwards
    size: int

    def blocks(self) -> Tensor:
        """The blocks (length, 3) of all positions; some may lie outside the map."""
        return self.first + _numbers(self.length)[:, None] + self.sign * _numbers(3)

    def outside(self) -> list[tuple[int, int]]:
        """The pairs (position, number of the block) that lie outside the map."""
        blocks = self.blocks()
        return [(int(i), int(j)) for i, j in ((blocks < 0) | (blocks >= self.size)).nonzero()]

    def part(self, begin: int, end: int) -> Axis:
        return self._replace(length=end - begin, first=self.first + begin)

    def turned(self) -> Axis:
        """The axis read backwards: for each block, the three positions it belongs to."""
        return Axis(self.size, -self.first, -self.sign, self.length)

    def overlap(self, tap: int) -> tuple[slice, slice]:
        """The positions whose block number `tap` lies on the map, and those blocks."""
        begin, end = max(0, -self.first - tap), min(self.length, self.size - self.first - tap)
        end = max(begin, end)
        return slice(begin, end), slice(begin + self.first + tap, end + self.first + tap)


def _numbers(count: int) -> Tensor:
    """0, 1, … on the CPU, whatever device the host has made PyTorch's default."""
    return torch.arange(count, dtype=torch.int32, device="cpu")


def _axes(x: Tensor, height: int, width: int, edges: Edges, *, fine: bool) -> tuple[Axis, Axis]:
    """The rows and columns of a map x, fine or coarse, for a grid of height × width positions."""
    share = 2 if fine else 1
    return (
        Axis(height, -int(edges.top), 1, x.shape[2] // share),
        Axis(width, -int(edges.left), 1, x.shape[3] // share),
    )


_indices: dict[tuple[int, Axis, Axis, bool], Tensor] = {}
_lock = threading.Lock()


def tap_rows(images: int, rows: Axis, columns: Axis, *, fine: bool) -> Tensor:
    """The row of the table under each tap: (n·h·w, 36) fine pixels or (n·2h·2w, 9) coarse ones.

    A tap outside the map gets some row of the map; its weight is zero.
    """
    key = (images, rows, columns, fine)
    with _lock:
        index = _indices.pop(key, None)
        if index is None:
            index = _make_tap_rows(*key)
        _indices[key] = index  # the last used is the last
        while len(_indices) > 1 and sum(index.nbytes for index in _indices.values()) > INDEX_BYTES:
            _indices.pop(next(iter(_indices)))
    return index


def _make_tap_rows(images: int, rows: Axis, columns: Axis, fine: bool) -> Tensor:
    y, x = (axis.blocks().clamp(0, axis.size - 1) for axis in (rows, columns))
    height, width = (axis.size * (2 if fine else 1) for axis in (rows, columns))
    if fine:
        y, x = ((2 * blocks[..., None] + _numbers(2)).flatten(1) for blocks in (y, x))
    else:
        y, x = (blocks.repeat_interleave(2, 0) for blocks in (y, x))
    first = height * width * _numbers(images)[:, None, None, None, None]
    return (first + y[:, None, :, None] * width + x[None, :, None, :]).reshape(images * len(y) * len(x), -1)
