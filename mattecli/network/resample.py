"""Affinity-aware resampling: each output pixel is a weighted sum of its neighbourhood, weighted by a kernel of its own.

With s the affinity map and p a vector of 36 numbers (see `kernels.py`), at a position of the half-size grid:

    down kernel = softmax over 36 taps of (p · s)                                          6×6, stride 2, zero padding 2
    up kernels  = softmax over 9 taps of sigmoid(p · s), one for each of the 2×2 sub-positions       3×3, zero padding 1

A tap outside the map counts as zero and the kernel is not renormalised there (source: the authors' implementation).

Nothing is ever unfolded. On a CPU without autograd each output pixel is a bag of rows in a table, the input's pixels,
which `embedding_bag` sums with the kernel's weights in one pass. Otherwise the sums are taken tap by tap over shifted
views, block by block; with autograd the kernels of the half-size grid are kept, because their gradient needs them.

A map may be a window of a larger one (see `boxes.Edges`): at its inner sides the input has a halo, which is used up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mattecli.boxes import WHOLE, Edges
from mattecli.network import bags, fused

DOWN_TAPS = [(i, j) for i in range(6) for j in range(6)]
UP_TAPS = [(i, j) for i in range(3) for j in range(3)]

# Elements of a block (channels × positions): on a CPU a block and its taps stay in the cache, yet are large
# enough for threads to pay; on a GPU few launches matter.
BLOCK_ELEMENTS = {"cpu": 1 << 17, "cuda": 1 << 26}


def down_kernel(s: Tensor, p: Tensor) -> Tensor:
    """Down kernels (B, 36, h, w) of the affinity map s (B, 1, h, w) and p (B, 36)."""
    return torch.softmax(p[:, :, None, None] * s, dim=1)


def up_kernel(s: Tensor, p: Tensor) -> Tensor:
    """Up kernels (B, 9, 4, h, w) of s (B, 1, h, w) and p (B, 36): tap, then sub-position 2·dy + dx.

    The pixel shuffle of the original is only another order of the same numbers: channel 4·m + 2·dy + dx is tap m.
    """
    scores = p.view(-1, 9, 4, 1, 1) * s[:, :, None]  # (B, 9, 4, h, w)
    return torch.softmax(torch.sigmoid(scores), dim=1)  # the original squashes before it normalises


def downsample(x: Tensor, s: Tensor, p: Tensor, edges: Edges = WHOLE) -> Tensor:
    """Halve x (B, C, H, W) with the down kernels of s (B, 1, H/2, W/2) and p (B, 36); H and W even.

    At inner sides x has a halo of 2 that s has not.
    """
    if fused.usable(x):
        return fused.downsample(x, s, p, edges)
    if torch.is_grad_enabled() and x.device.type == "cpu":
        return bags.downsample(x, s, p)
    if torch.is_grad_enabled():
        kernel = down_kernel(s, p)
        return _Downsample.apply(x, kernel.to(x.dtype))  # type: ignore[no-any-return, no-untyped-call]
    if x.device.type == "cpu":
        return _bags_down(x, s, p, edges)
    s = _pad_inner(s, edges)
    out = _empty_map(x, s.shape[2], s.shape[3])
    for rows, cols in _blocks(out):
        kernel = down_kernel(s[:, :, rows, cols], p).to(x.dtype)
        _gather_down(_window(x, rows, cols, scale=2, margin=2), kernel, out[:, :, rows, cols])
    return _crop_inner(out, 1, edges)


def upsample(f: Tensor, s: Tensor, p: Tensor, edges: Edges = WHOLE) -> Tensor:
    """Double f (B, C, h, w) with the up kernels of s (B, 1, h, w) and p (B, 36).

    At inner sides f has a halo of 1 that s has not.
    """
    if fused.usable(f):
        return fused.upsample(f, s, p, edges)
    if torch.is_grad_enabled() and f.device.type == "cpu":
        return bags.upsample(f, s, p)
    if torch.is_grad_enabled():
        kernel = up_kernel(s, p)
        return _Upsample.apply(f, kernel.to(f.dtype))  # type: ignore[no-any-return, no-untyped-call]
    if f.device.type == "cpu":
        return _bags_up(f, s, p, edges)
    s = _pad_inner(s, edges)
    out = _empty_map(f, 2 * f.shape[2], 2 * f.shape[3])
    for rows, cols in _blocks(f):
        kernel = up_kernel(s[:, :, rows, cols], p).to(f.dtype)
        target = out[:, :, 2 * rows.start : 2 * rows.stop, 2 * cols.start : 2 * cols.stop]
        _gather_up(_window(f, rows, cols, scale=1, margin=1), kernel, target)
    return _crop_inner(out, 2, edges)


def correlate(x: Tensor, kernel: Tensor, edges: Edges = WHOLE) -> Tensor:
    """Correlate each channel of x (B, C, H, W) with its image's own 6×6 kernel, stride 2, zero padding 2.

    The kernel is (B, C, 6, 6), or (B, 1, 6, 6) for one that all channels share. Gives (B, C, H/2, W/2). At inner sides
    x has a halo of 2.
    """
    if torch.is_grad_enabled() and x.device.type == "cpu" and kernel.shape[1] == 1:
        return bags.correlate(x, kernel[:, 0])
    if torch.is_grad_enabled() and x.device.type == "cpu":
        return _Correlate.apply(x, kernel)  # type: ignore[no-any-return, no-untyped-call]
    return at_edges(lambda x, padding: _correlate(x, padding, kernel), x, 2, edges, stride=2)


def at_edges(
    convolve: Callable[[Tensor, tuple[int, int]], Tensor], x: Tensor, reach: int, edges: Edges, *, stride: int = 1
) -> Tensor:
    """A convolution of that reach, with zeros around x at its edges only.

    `convolve` takes x and how many zeros to put above and below it, and to its left and right.
    """
    top, bottom, left, right = (reach * edge for edge in edges)
    if left != right:
        return convolve(F.pad(x, (left, right, top, bottom)), (0, 0))
    out = convolve(x, (max(top, bottom), left))
    if top == bottom:
        return out
    # Zeros at an inner side too, whose rows are then dropped: a channels-last map stays in one piece, uncopied.
    wrong = reach // stride
    return out[:, :, : out.shape[2] - wrong] if edges.top else out[:, :, wrong:]


def _correlate(x: Tensor, padding: tuple[int, int], kernel: Tensor) -> Tensor:
    batch, channels = x.shape[:2]
    kernel = kernel.expand(batch, channels, 6, 6)
    if batch == 1:
        return F.conv2d(x, kernel[0, :, None], stride=2, padding=padding, groups=channels)
    if x.device.type == "cpu":  # one call an image keeps the map channels-last; folding the batch in would copy it
        return torch.cat([_correlate(x[b : b + 1], padding, kernel[b : b + 1]) for b in range(batch)])
    folded = x.reshape(1, batch * channels, *x.shape[2:])
    out = F.conv2d(folded, kernel.reshape(-1, 1, 6, 6), stride=2, padding=padding, groups=batch * channels)
    return out.reshape(batch, channels, *out.shape[2:])


# Bags of taps, for inference on a CPU

# Positions worked on at a time; the indices and weights of each take 0.3 kB.
BAG_POSITIONS = 1 << 17


def _bags_down(x: Tensor, s: Tensor, p: Tensor, edges: Edges) -> Tensor:
    def kernel(band: slice) -> Tensor:
        return torch.softmax(s[:, 0, band, :, None] * p[:, None, None], dim=-1)  # (B, rows, w, 36)

    return _sum_bags(x, (s.shape[2], s.shape[3]), kernel, edges, taps=6, step=2)


def _bags_up(f: Tensor, s: Tensor, p: Tensor, edges: Edges) -> Tensor:
    p = p.view(-1, 9, 2, 2).permute(0, 2, 3, 1)  # channel 4·m + 2·dy + dx is tap m: (B, dy, dx, m)

    def kernel(band: slice) -> Tensor:
        scores = s[:, 0, band, None, :, None, None] * p[:, None, :, None]
        return torch.softmax(torch.sigmoid(scores), dim=-1)  # (B, rows, 2, w, 2, 9)

    return _sum_bags(f, (s.shape[2], s.shape[3]), kernel, edges, taps=3, step=1)


def _sum_bags(
    x: Tensor, grid: tuple[int, int], kernel: Callable[[slice], Tensor], edges: Edges, *, taps: int, step: int
) -> Tensor:
    """Sums of `taps`² pixels of x, weighted by the kernels that `kernel` gives for a band of rows of their grid.

    From one position of the grid to the next x goes on by `step` pixels, and what comes out by 2 / step.
    """
    batch, channels, height, width = x.shape
    share = 2 // step  # outputs for each position and direction
    table = x.permute(0, 2, 3, 1).reshape(-1, channels)
    margin = taps // 2 - (step == 2)  # of taps before a position's own pixel
    rows = _Taps(grid[0], taps, step, -margin * edges.top, height)
    columns = _Taps(grid[1], taps, step, -margin * edges.left, width)
    band_rows = max(1, BAG_POSITIONS // grid[1])
    bands = []
    for top in range(0, grid[0], band_rows):
        band = rows.part(top, min(top + band_rows, grid[0]))
        weights = kernel(slice(top, top + band.positions)).to(x.dtype)
        weights = weights.view(batch, -1, share, grid[1], share, taps, taps)
        for position, tap in band.outside():
            weights[:, position, :, :, :, tap] = 0
        for position, tap in columns.outside():
            weights[:, :, :, position, :, :, tap] = 0
        index = _index(batch, share, band, columns)
        bags = F.embedding_bag(index, table, mode="sum", per_sample_weights=weights.view(-1, taps**2))
        bands.append(bags.view(batch, -1, share * grid[1], channels))
    out = bands[0] if len(bands) == 1 else torch.cat(bands, dim=1)
    return out.permute(0, 3, 1, 2)


class _Taps(NamedTuple):
    """The rows (or columns) under the taps of some positions in a line, on a map that has `size` of them."""

    positions: int
    taps: int
    step: int
    start: int  # under the first tap of the first position; outside of the map at an edge
    size: int

    def part(self, begin: int, end: int) -> _Taps:
        return self._replace(positions=end - begin, start=self.start + begin * self.step)

    def places(self) -> Tensor:
        """(positions, taps)"""
        first = self.start + self.step * torch.arange(self.positions, dtype=torch.int32)
        return first[:, None] + torch.arange(self.taps, dtype=torch.int32)

    def outside(self) -> list[tuple[int, int]]:
        """The positions and taps that lie outside the map."""
        places = self.places()
        return [(int(i), int(j)) for i, j in ((places < 0) | (places >= self.size)).nonzero()]


@lru_cache(maxsize=2)  # the windows of a run are mostly of one size
def _index(batch: int, share: int, rows: _Taps, columns: _Taps) -> Tensor:
    """The table's row under each tap, any where there is none: (outputs, taps²), `share`² outputs for each position."""
    images = torch.arange(batch, dtype=torch.int32)[:, None, None, None, None] * (rows.size * columns.size)
    index = rows.places().clamp(0, rows.size - 1)[:, None, :, None] * columns.size
    index = images + index + columns.places().clamp(0, columns.size - 1)[:, None, :]  # (B, rows, columns, taps, taps)
    index = index[:, :, None, :, None].expand(-1, -1, share, -1, share, -1, -1)
    return index.reshape(-1, rows.taps**2)


def _pad_inner(s: Tensor, edges: Edges) -> Tensor:
    """s with one more position at inner sides, so that it fits an input with its halo."""
    top, bottom, left, right = (int(not edge) for edge in edges)
    return s if edges == WHOLE else F.pad(s, (left, right, top, bottom))


def _crop_inner(out: Tensor, margin: int, edges: Edges) -> Tensor:
    """Without the outermost positions of inner sides, which lack some of their input."""
    height, width = out.shape[2:]
    rows = slice(margin * (not edges.top), height - margin * (not edges.bottom))
    return out[:, :, rows, margin * (not edges.left) : width - margin * (not edges.right)]


# Blocks and windows


def _empty_map(like: Tensor, height: int, width: int) -> Tensor:
    """An empty map of another size, in the memory layout that convolutions of `like` prefer."""
    layout = torch.channels_last if like.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    return torch.empty(
        like.shape[0], like.shape[1], height, width, dtype=like.dtype, device=like.device, memory_format=layout
    )


def _blocks(grid: Tensor) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the blocks that cover the map `grid`."""
    batch, channels, height, width = grid.shape
    positions = max(64, BLOCK_ELEMENTS.get(grid.device.type, 1 << 26) // (batch * channels))
    columns = min(width, 64 if positions <= 1 << 14 else positions)
    rows = min(height, max(1, positions // columns))
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield slice(top, min(top + rows, height)), slice(left, min(left + columns, width))


def _window(x: Tensor, rows: slice, cols: slice, *, scale: int, margin: int) -> Tensor:
    """The part of x under a block of the grid that is `scale` times coarser, with a margin; zeros outside the map."""
    top, bottom = scale * rows.start - margin, scale * rows.stop + margin
    left, right = scale * cols.start - margin, scale * cols.stop + margin
    height, width = x.shape[2:]
    inside = x[:, :, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    border = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
    return F.pad(inside, border) if any(border) else inside


def _shifted(window: Tensor, tap: tuple[int, int], height: int, width: int, stride: int) -> Tensor:
    """The view of a window that holds, at each position of the block, the pixel under this tap."""
    i, j = tap
    return window[:, :, i : i + stride * (height - 1) + 1 : stride, j : j + stride * (width - 1) + 1 : stride]


def _gather_down(window: Tensor, kernel: Tensor, out: Tensor) -> None:
    """Down-sample: out (B, C, h, w) from the window (B, C, 2h+4, 2w+4) and kernels (B, 36, h, w)."""
    height, width = out.shape[2:]
    for m, tap in enumerate(DOWN_TAPS):
        _accumulate(out, _shifted(window, tap, height, width, 2), kernel[:, m : m + 1], first=m == 0)


def _gather_up(window: Tensor, kernel: Tensor, out: Tensor) -> None:
    """Up-sample: out (B, C, 2h, 2w) from the window (B, C, h+2, w+2) and kernels (B, 9, 4, h, w)."""
    height, width = out.shape[2] // 2, out.shape[3] // 2
    for m, tap in enumerate(UP_TAPS):
        source = _shifted(window, tap, height, width, 1)
        for q in range(4):
            _accumulate(out[:, :, q // 2 :: 2, q % 2 :: 2], source, kernel[:, m, q, None], first=m == 0)


def _accumulate(out: Tensor, a: Tensor, b: Tensor, *, first: bool) -> None:
    if first:
        torch.mul(a, b, out=out)
    else:
        out.addcmul_(a, b)


# Gradients: the same sums read backwards, block by block


class _Downsample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(x, kernel)
        out = _empty_map(x, kernel.shape[2], kernel.shape[3])
        for rows, cols in _blocks(out):
            window = _window(x, rows, cols, scale=2, margin=2)
            _gather_down(window, kernel[:, :, rows, cols], out[:, :, rows, cols])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, kernel = ctx.saved_tensors
        padded = _zeros_map(x, 2)
        grad_kernel = torch.empty_like(kernel)
        for rows, cols in _blocks(grad):
            g = grad[:, :, rows, cols]
            height, width = g.shape[2:]
            window = _window(x, rows, cols, scale=2, margin=2)
            scatter = padded[:, :, 2 * rows.start : 2 * rows.stop + 4, 2 * cols.start : 2 * cols.stop + 4]
            for m, tap in enumerate(DOWN_TAPS):
                _shifted(scatter, tap, height, width, 2).addcmul_(g, kernel[:, m : m + 1, rows, cols])
                grad_kernel[:, m, rows, cols] = (g * _shifted(window, tap, height, width, 2)).sum(1)
        return padded[:, :, 2:-2, 2:-2], grad_kernel


class _Upsample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, f: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(f, kernel)
        out = _empty_map(f, 2 * f.shape[2], 2 * f.shape[3])
        for rows, cols in _blocks(f):
            target = out[:, :, 2 * rows.start : 2 * rows.stop, 2 * cols.start : 2 * cols.stop]
            _gather_up(_window(f, rows, cols, scale=1, margin=1), kernel[:, :, :, rows, cols], target)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        f, kernel = ctx.saved_tensors
        padded = _zeros_map(f, 1)
        grad_kernel = torch.empty_like(kernel)
        for rows, cols in _blocks(f):
            g = grad[:, :, 2 * rows.start : 2 * rows.stop, 2 * cols.start : 2 * cols.stop]
            height, width = g.shape[2] // 2, g.shape[3] // 2
            window = _window(f, rows, cols, scale=1, margin=1)
            scatter = padded[:, :, rows.start : rows.stop + 2, cols.start : cols.stop + 2]
            for q in range(4):
                part = g[:, :, q // 2 :: 2, q % 2 :: 2]
                for m, tap in enumerate(UP_TAPS):
                    _shifted(scatter, tap, height, width, 1).addcmul_(part, kernel[:, m, q, None, rows, cols])
                    grad_kernel[:, m, q, rows, cols] = (part * _shifted(window, tap, height, width, 1)).sum(1)
        return padded[:, :, 1:-1, 1:-1], grad_kernel


class _Correlate(torch.autograd.Function):
    """`correlate` with a gradient of our own: oneDNN's for grouped 6×6 kernels is many times slower."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return _correlate(x, (2, 2), kernel)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, kernel = ctx.saved_tensors
        shared = kernel.shape[1] == 1
        padded = _zeros_map(x, 2)
        grad_kernel = torch.zeros(kernel.shape, dtype=torch.promote_types(kernel.dtype, torch.float32), device=x.device)
        for rows, cols in _blocks(grad):
            g = grad[:, :, rows, cols]
            height, width = g.shape[2:]
            window = _window(x, rows, cols, scale=2, margin=2)
            scatter = padded[:, :, 2 * rows.start : 2 * rows.stop + 4, 2 * cols.start : 2 * cols.stop + 4]
            for i, j in DOWN_TAPS:
                _shifted(scatter, (i, j), height, width, 2).addcmul_(g, kernel[:, :, i, j, None, None])
                product = g * _shifted(window, (i, j), height, width, 2)
                over = (1, 2, 3) if shared else (2, 3)
                grad_kernel[:, :, i, j] += product.sum(over, keepdim=True).flatten(1)
        return padded[:, :, 2:-2, 2:-2], grad_kernel.to(kernel.dtype)


def _zeros_map(like: Tensor, margin: int) -> Tensor:
    return _empty_map(like, like.shape[2] + 2 * margin, like.shape[3] + 2 * margin).zero_()
