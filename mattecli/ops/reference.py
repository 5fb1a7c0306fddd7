"""Resampling on any device, by sums tap by tap.

Kernels may have any size and any number of groups of channels. Nothing is unfolded: a tap is a shifted view of the map.
With `fine` = 1, downsampling, outputs lie on the grid of the kernels, and the input has twice its rows and columns.
With `fine` = 2, upsampling, the input lies on the grid, and each position gives 2×2 outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mattecli.geometry import WHOLE, Edges

# Elements of a block (channels × positions). On a CPU a block and its taps fit the cache and are still worth several
# threads; on a GPU large blocks mean few launches.
BLOCK_ELEMENTS = {"cpu": 1 << 17, "cuda": 1 << 26}

# Gives the kernels (B, groups, k², fine · rows, fine · columns) of a block of the grid.
Kernels = Callable[[slice, slice], Tensor]


def gather(x: Tensor, kernels: Kernels, out: Tensor, size: int, groups: int, fine: int, edges: Edges = WHOLE) -> Tensor:
    """Fill `out` and return it: each of its pixels is a weighted sum of size² pixels of x."""
    margin = _margin(size, edges)
    source, target = _grouped(x, groups), _grouped(out, groups)
    for rows, columns in _blocks(out, fine):
        kernel = kernels(rows, columns).to(x.dtype)[:, :, :, None]  # (B, groups, k², 1, …)
        window = _window(source, rows, columns, 2 // fine, size, margin)
        part = _part(target, rows, columns, fine)
        for m in range(size**2):
            pixels = _shifted(window, divmod(m, size), rows, columns, 2 // fine)
            for dy, dx in _sub_positions(fine):
                weight, total = kernel[:, :, m, :, dy::fine, dx::fine], part[..., dy::fine, dx::fine]
                if m == 0:
                    torch.mul(pixels, weight, out=total)
                else:
                    total.addcmul_(pixels, weight)
    return out


def gather_gradients(
    grad: Tensor, x: Tensor, kernel: Tensor, size: int, fine: int, edges: Edges = WHOLE
) -> tuple[Tensor, Tensor]:
    """The gradients of x and of the kernels (B, groups, k², fine · h, fine · w): the same sums read backwards."""
    groups, margin = kernel.shape[1], _margin(size, edges)
    grad_kernel = torch.empty_like(kernel)
    padded = _padded_zeros(x, margin)
    source, scatter, given = (_grouped(value, groups) for value in (x, padded, grad))
    for rows, columns in _blocks(grad, fine):
        part, weights, slopes = (_part(value, rows, columns, fine) for value in (given, kernel, grad_kernel))
        weights = weights.to(x.dtype)[:, :, :, None]
        window = _window(source, rows, columns, 2 // fine, size, margin)
        under = _under(scatter, rows, columns, 2 // fine, size)
        for m in range(size**2):
            pixels, sums = (_shifted(w, divmod(m, size), rows, columns, 2 // fine) for w in (window, under))
            for dy, dx in _sub_positions(fine):
                g = part[..., dy::fine, dx::fine]
                sums.addcmul_(g, weights[:, :, m, :, dy::fine, dx::fine])
                slopes[:, :, m, dy::fine, dx::fine] = (g * pixels).sum(2, dtype=kernel.dtype)
    return _without_margin(padded, x, margin), grad_kernel


def correlate(x: Tensor, kernel: Tensor, padding: tuple[int, int]) -> Tensor:
    """Each channel of x with its image's own kernel (B, C or 1, k, k), stride 2."""
    batch, channels, size = *x.shape[:2], kernel.shape[-1]
    kernel = kernel.expand(batch, channels, size, size)
    if batch == 1:
        return F.conv2d(x, kernel[0, :, None], stride=2, padding=padding, groups=channels)
    if x.device.type == "cpu":  # one call for each image keeps the map channels-last, without a copy
        return torch.cat([correlate(x[b : b + 1], kernel[b : b + 1], padding) for b in range(batch)])
    folded = x.reshape(1, batch * channels, *x.shape[2:])
    weight = kernel.reshape(-1, 1, size, size)
    out = F.conv2d(folded, weight, stride=2, padding=padding, groups=batch * channels)
    return out.view(batch, channels, *out.shape[2:])


def correlate_gradients(grad: Tensor, x: Tensor, kernel: Tensor, edges: Edges = WHOLE) -> tuple[Tensor, Tensor]:
    """The gradients of `correlate`. Those of oneDNN are many times slower for grouped 6×6 kernels."""
    size = kernel.shape[-1]
    margin, over = _margin(size, edges), (1, 2, 3) if kernel.shape[1] == 1 else (2, 3)
    padded = _padded_zeros(x, margin)
    grad_kernel = torch.zeros(kernel.shape, dtype=torch.promote_types(kernel.dtype, torch.float32), device=x.device)
    for rows, columns in _blocks(grad, 1):
        g = grad[:, :, rows, columns]
        window = _window(x, rows, columns, 2, size, margin)
        under = _under(padded, rows, columns, 2, size)
        for i in range(size):
            for j in range(size):
                _shifted(under, (i, j), rows, columns, 2).addcmul_(g, kernel[:, :, i, j, None, None].to(x.dtype))
                product = g * _shifted(window, (i, j), rows, columns, 2)
                grad_kernel[:, :, i, j] += product.sum(over, keepdim=True, dtype=grad_kernel.dtype).flatten(1)
    return _without_margin(padded, x, margin), grad_kernel.to(kernel.dtype)


def empty_map(like: Tensor, height: int, width: int) -> Tensor:
    """An empty map of another size, channels-last if `like` is (which may be a window of a larger map)."""
    layout = torch.channels_last if like.stride(1) == 1 else torch.contiguous_format
    size = (like.shape[0], like.shape[1], height, width)
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=layout)


def _grouped(x: Tensor, groups: int) -> Tensor:
    """The view (B, groups, C / groups, H, W)."""
    return x.view(len(x), groups, -1, *x.shape[2:])


# Blocks of the grid and windows of the map under them


def _blocks(out: Tensor, fine: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the blocks that cover the grid of a map that is `fine` times as fine."""
    batch, channels, height, width = out.shape[0], out.shape[1], out.shape[2] // fine, out.shape[3] // fine
    positions = max(64, BLOCK_ELEMENTS.get(out.device.type, 1 << 26) // (batch * channels))
    columns = min(width, 64 if positions <= 1 << 14 else positions)
    rows = min(height, max(1, positions // columns))
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield slice(top, min(top + rows, height)), slice(left, min(left + columns, width))


def _sub_positions(fine: int) -> list[tuple[int, int]]:
    return [(dy, dx) for dy in range(fine) for dx in range(fine)]


def _part(grid: Tensor, rows: slice, columns: slice, fine: int) -> Tensor:
    """A block of a map that is `fine` times as fine as the grid."""
    return grid[..., fine * rows.start : fine * rows.stop, fine * columns.start : fine * columns.stop]


class _Margin(NamedTuple):
    top: int
    bottom: int
    left: int
    right: int


def _margin(size: int, edges: Edges) -> _Margin:
    """The rows or columns of taps that lie outside the map at each side; 0 where the map has a halo."""
    before, after = (size - 1) // 2, size // 2  # as in the original: an even kernel has its extra tap at the end
    return _Margin(before * edges.top, after * edges.bottom, before * edges.left, after * edges.right)


def _window(x: Tensor, rows: slice, columns: slice, step: int, size: int, margin: _Margin) -> Tensor:
    """The part of x under a block's taps; zeros outside the map."""
    height, width = x.shape[-2:]
    top, left = step * rows.start - margin.top, step * columns.start - margin.left
    bottom = step * (rows.stop - 1) - margin.top + size
    right = step * (columns.stop - 1) - margin.left + size
    inside = x[..., max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    border = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
    return F.pad(inside, border) if any(border) else inside


def _under(padded: Tensor, rows: slice, columns: slice, step: int, size: int) -> Tensor:
    """The same part of a map that includes the margin, as a view to write to."""
    bottom, right = step * (rows.stop - 1) + size, step * (columns.stop - 1) + size
    return padded[..., step * rows.start : bottom, step * columns.start : right]


def _shifted(window: Tensor, tap: tuple[int, int], rows: slice, columns: slice, step: int) -> Tensor:
    """A view of a window: the pixel under this tap, for each position of the block."""
    bottom = tap[0] + step * (rows.stop - rows.start - 1) + 1
    right = tap[1] + step * (columns.stop - columns.start - 1) + 1
    return window[..., tap[0] : bottom : step, tap[1] : right : step]


def _padded_zeros(x: Tensor, margin: _Margin) -> Tensor:
    height, width = x.shape[2] + margin.top + margin.bottom, x.shape[3] + margin.left + margin.right
    return empty_map(x, height, width).zero_()


def _without_margin(padded: Tensor, x: Tensor, margin: _Margin) -> Tensor:
    height, width = x.shape[2:]
    inside = padded[:, :, margin.top : margin.top + height, margin.left : margin.left + width]
    return empty_map(x, height, width).copy_(inside)
