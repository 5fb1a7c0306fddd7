"""Resampling with gradients on a CPU: what training uses there.

Each output pixel is a bag of rows of a table, the input's pixels, which PyTorch's `embedding_bag` sums with the
kernel's weights in one pass, in float32 whatever the table holds. The gradient of the input is the same sum read
backwards, with the outputs as rows; that of a weight is the dot product of two rows.

Fine and coarse grid: a coarse position (y, x) has 2×2 fine ones (dy, dx), and is tied to those of its 3×3 coarse
neighbours (i, j). So both kinds of kernel hold 36 numbers for each coarse position: the down kernel's 6×6 taps are 3×3
neighbours with 2×2 fine pixels each, and 2×2 fine pixels have up kernels with 3×3 taps each.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def downsample(x: Tensor, s: Tensor, p: Tensor) -> Tensor:
    """Halve x (B, C, H, W) with the down kernels of s (B, 1, H/2, W/2) and p (B, 36)."""
    kernel = torch.softmax(s[:, 0, :, :, None] * p[:, None, None], dim=-1).to(x.dtype)
    return _Downsample.apply(x, kernel.unflatten(-1, (6, 6)))  # type: ignore[no-any-return, no-untyped-call]


def upsample(f: Tensor, s: Tensor, p: Tensor) -> Tensor:
    """Double f (B, C, h, w) with the up kernels of s (B, 1, h, w) and p (B, 36)."""
    p = p.view(-1, 9, 2, 2).permute(0, 2, 3, 1)  # channel 4·m + 2·dy + dx is tap m: (B, dy, dx, m)
    scores = s[:, 0, :, None, :, None, None] * p[:, None, :, None]  # (B, h, 2, w, 2, 9)
    kernel = torch.softmax(torch.sigmoid(scores), dim=-1).to(f.dtype)
    return _Upsample.apply(f, kernel.unflatten(-1, (3, 3)))  # type: ignore[no-any-return, no-untyped-call]


def correlate(x: Tensor, kernel: Tensor) -> Tensor:
    """Correlate all channels of x (B, C, H, W) with their image's kernel (B, 6, 6), stride 2, zero padding 2."""
    return _Correlate.apply(x, kernel)  # type: ignore[no-any-return, no-untyped-call]


class _Downsample(torch.autograd.Function):
    """x (B, C, 2h, 2w) and down kernels (B, h, w, 6, 6) to (B, C, h, w)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return _from_fine(x, kernel)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, kernel = ctx.saved_tensors
        return _to_fine(grad, kernel), _fine_dots(grad, x).view(kernel.shape).to(kernel.dtype)


class _Upsample(torch.autograd.Function):
    """f (B, C, h, w) and up kernels (B, h, 2, w, 2, 3, 3) to (B, C, 2h, 2w)."""

    @staticmethod
    def forward(ctx: Any, f: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(f, kernel)
        height, width = f.shape[2:]
        index = _coarse_taps(height, width)
        padded = F.pad(f, (1, 1, 1, 1))
        bags = [_bags(index, padded[b], kernel[b]) for b in range(len(f))]
        return _map(bags, 2 * height, 2 * width)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        f, kernel = ctx.saved_tensors
        height, width = f.shape[2:]
        turned = kernel.new_zeros(len(f), height + 2, width + 2, 3, 2, 3, 2)
        for i in range(3):
            for j in range(3):
                turned[:, i : i + height, j : j + width, i, :, j] = kernel[..., i, j].transpose(2, 3)
        index = _fine_outputs(height, width)
        bags = [_bags(index, grad[b], turned[b]) for b in range(len(f))]
        grad_f = _map(bags, height + 2, width + 2)[:, :, 1:-1, 1:-1]
        index, padded = _coarse_taps(height, width), F.pad(f, (1, 1, 1, 1))
        dots = torch.stack([_dots(index, grad[b], padded[b]) for b in range(len(f))])
        return grad_f, dots.view(kernel.shape).to(kernel.dtype)


class _Correlate(torch.autograd.Function):
    """x (B, C, 2h, 2w) and one kernel (B, 6, 6) for all positions and channels to (B, C, h, w)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return _from_fine(x, _everywhere(kernel, x))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, kernel = ctx.saved_tensors
        dots = _fine_dots(grad, x).sum(1).view(kernel.shape)
        return _to_fine(grad, _everywhere(kernel, x)), dots.to(kernel.dtype)


def _everywhere(kernel: Tensor, x: Tensor) -> Tensor:
    batch, _, height, width = x.shape
    return kernel[:, None, None].to(x.dtype).expand(batch, height // 2, width // 2, 6, 6)


def _from_fine(x: Tensor, kernel: Tensor) -> Tensor:
    """Sums over 6×6 fine pixels, with a kernel (B, h, w, 6, 6) for each coarse position."""
    height, width = x.shape[2] // 2, x.shape[3] // 2
    index, padded = _fine_taps(height, width), F.pad(x, (2, 2, 2, 2))
    return _map([_bags(index, padded[b], kernel[b]) for b in range(len(x))], height, width)


def _to_fine(grad: Tensor, kernel: Tensor) -> Tensor:
    """The gradient of `_from_fine`'s x: sums over the 3×3 coarse positions whose kernels reach a fine pixel."""
    batch, _, height, width = grad.shape
    turned = kernel.new_zeros(batch, height + 2, 2, width + 2, 2, 3, 3)
    taps = kernel.reshape(batch, height, width, 3, 2, 3, 2)
    for i in range(3):
        for j in range(3):
            turned[:, i : i + height, :, j : j + width, :, i, j] = taps[:, :, :, i, :, j].transpose(2, 3)
    index = _coarse_outputs(height, width)
    bags = [_bags(index, grad[b], turned[b]) for b in range(batch)]
    return _map(bags, 2 * height + 4, 2 * width + 4)[:, :, 2:-2, 2:-2]


def _fine_dots(grad: Tensor, x: Tensor) -> Tensor:
    """The gradient of `_from_fine`'s kernel, (B, h·w, 36) in float32 or better."""
    index, padded = _fine_taps(grad.shape[2], grad.shape[3]), F.pad(x, (2, 2, 2, 2))
    return torch.stack([_dots(index, grad[b], padded[b]) for b in range(len(x))])


# Tables and bags of one picture; all are rows of C numbers


def _rows(plane: Tensor) -> Tensor:
    """(C, H, W) as (H·W, C), without a copy where the map is channels-last."""
    return plane.permute(1, 2, 0).reshape(-1, plane.shape[0])


def _map(bags: list[Tensor], height: int, width: int) -> Tensor:
    """Rows of all pictures as one channels-last map (B, C, H, W)."""
    rows = bags[0]
    shape = (len(bags), rows.shape[1], height, width)
    out = torch.empty(shape, dtype=rows.dtype, memory_format=torch.channels_last)  # no view: what follows adds in place
    torch.stack(bags, out=out.permute(0, 2, 3, 1).view(len(bags), *rows.shape))
    return out


def _bags(index: Tensor, plane: Tensor, weights: Tensor) -> Tensor:
    table = _rows(plane)
    weights = weights.reshape(index.shape).to(table.dtype)
    return F.embedding_bag(index, table, mode="sum", per_sample_weights=weights)


def _dots(index: Tensor, grad: Tensor, plane: Tensor) -> Tensor:
    """Dot products of each bag's gradient with its rows; in float32, for which PyTorch has fast ones."""
    count, size = index.shape
    dtype = torch.promote_types(grad.dtype, torch.float32)
    begins = torch.arange(0, count * size, size, dtype=index.dtype)
    bag_of = torch.arange(count, dtype=index.dtype).repeat_interleave(size)
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(  # type: ignore[no-any-return]
        _rows(grad).to(dtype), _rows(plane).to(dtype), index.view(-1), begins, bag_of, 0
    ).view(count, size)


# Which rows a bag holds: (bags, rows) of one picture. Made once for each size, for a run has few.


@lru_cache(maxsize=32)
def _fine_taps(height: int, width: int) -> Tensor:
    """For each coarse position the 6×6 fine pixels around it, in a map padded by 2."""
    rows, columns = (2 * torch.arange(size)[:, None] + torch.arange(6) for size in (height, width))
    return _index(rows, columns, 2 * width + 4)


@lru_cache(maxsize=32)
def _coarse_taps(height: int, width: int) -> Tensor:
    """For each fine pixel the 3×3 coarse positions around its own, in a map padded by 1."""
    rows, columns = (torch.arange(2 * size)[:, None] // 2 + torch.arange(3) for size in (height, width))
    return _index(rows, columns, width + 2)


@lru_cache(maxsize=32)
def _coarse_outputs(height: int, width: int) -> Tensor:
    """For each fine pixel of a map padded by 2 the 3×3 coarse positions it is a tap of, or any if there is none."""
    rows, columns = (
        (torch.arange(2 * size + 4)[:, None] // 2 - torch.arange(3)).clamp(0, size - 1) for size in (height, width)
    )
    return _index(rows, columns, width)


@lru_cache(maxsize=32)
def _fine_outputs(height: int, width: int) -> Tensor:
    """For each coarse position of a map padded by 1 the 6×6 fine pixels it is a tap of, likewise."""
    rows, columns = (
        (
            2 * (torch.arange(size + 2)[:, None] - torch.arange(3)).clamp(0, size - 1)[..., None] + torch.arange(2)
        ).flatten(1)
        for size in (height, width)
    )
    return _index(rows, columns, 2 * width)


def _index(rows: Tensor, columns: Tensor, width: int) -> Tensor:
    """Numbers of the pixels in `rows` (positions, taps) and `columns` (likewise) of a table that is `width` wide."""
    index = rows[:, None, :, None] * width + columns[None, :, None, :]
    return index.reshape(len(rows) * len(columns), -1).to(torch.int32)
