"""Compiled loops for the gradients of resampling on a CPU.

Sums over taps are written as sums of shifted maps. Run as they are, each tap would pass over the map once more.
`torch.compile` makes a few loops of them, which take a third to a half of the time of `cpu.py`
(`benchmarks/resample.py --loops`, PyTorch 2.13). It compiles some 15 s for each operator and size of map; PyTorch keeps
the result on disk. That needs a C++ compiler, so only a training with `compile` uses them, for large and whole maps
that are channels-last.

Inside the private functions maps are (B, H, W, C), and values of taps (36, B, h, w) in the order of p.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mattecli.geometry import WHOLE, Edges
from mattecli.ops.cpu import wide
from mattecli.ops.kernels import DOWN_NORM, UP_NORM, normalise, score_gradient

LEAST_VALUES = 4_000_000  # of an operator's larger map; below, an hour of training saves less than compiling takes

_BLOCKS = tuple(itertools.product(range(3), range(3)))  # of 2×2 fine pixels, or of a coarse one, around a position
_PIXELS = tuple(itertools.product(range(2), range(2)))  # of such a block
_on = False

Gradients = tuple[Tensor, Tensor, Tensor]


@contextmanager
def turned_on() -> Iterator[None]:
    """Operators use these loops inside the context, where they are `worthwhile`."""
    global _on
    before, _on = _on, True
    try:
        yield
    finally:
        _on = before


def worthwhile(x: Tensor, edges: Edges, *, larger: Tensor | None = None) -> bool:
    """Whether the loops are turned on and pay for a map x (B, C, H, W), or for the operator's `larger` one."""
    fits = edges == WHOLE and x.device.type == "cpu" and x.stride(1) == 1  # channels-last
    return _on and fits and (x if larger is None else larger).numel() >= LEAST_VALUES


def downsample_gradients(grad: Tensor, x: Tensor, s: Tensor, p: Tensor) -> Gradients:
    """The gradients of x (B, C, H, W), s (B, 1, h, w) and p (B, 36)."""
    return _run(_downsample_gradients, grad, x, s, p)


def upsample_gradients(grad: Tensor, f: Tensor, s: Tensor, p: Tensor) -> Gradients:
    """The gradients of f (B, C, h, w), s (B, 1, h, w) and p (B, 36)."""
    return _run(_upsample_gradients, grad, f, s, p)


def correlate_gradients(grad_u: Tensor, grad_v: Tensor, x: Tensor, u: Tensor, v: Tensor) -> Gradients:
    """The gradients of x (B, C, H, W), u and v (B, 1, 6, 6)."""
    return _run(_correlate_gradients, grad_u, grad_v, x, u, v)


@torch.no_grad()  # or PyTorch would compile a second derivative as well
def _run(function: Callable[..., Gradients], *tensors: Tensor) -> Gradients:
    return _compiled(function)(*tensors)


@cache
def _compiled(function: Callable[..., Gradients]) -> Callable[..., Gradients]:
    return torch.compile(function, dynamic=False)


def _downsample_gradients(grad: Tensor, x: Tensor, s: Tensor, p: Tensor) -> Gradients:
    grad, x = _rows(grad), _rows(x)
    scores = _scores(s, p)
    weights = normalise(scores, DOWN_NORM, dim=0)
    wide_x = _padded(x, 2)
    dots = torch.stack([_dots(grad, wide_x[:, i:, j:], step=2) for i, j in itertools.product(range(6), range(6))])
    # A fine pixel (dy, dx) of block (i, j) is tap (2i + dy, 2j + dx) of the position that the block lies around.
    blocks = _padded(weights[..., None], 1).view(3, 2, 3, 2, len(x), s.shape[2] + 2, s.shape[3] + 2)
    wide_grad = _padded(grad, 1)
    sums: Any = 0
    for i, j in _BLOCKS:
        weight = _owners(blocks[i, :, j], i, j, s, row_axis=3).permute(2, 3, 0, 4, 1)  # (B, h, dy, w, dx)
        sums = sums + wide(_owners(wide_grad, i, j, s))[:, :, None, :, None] * weight[..., None]
    slopes = score_gradient(dots, scores, weights, DOWN_NORM, dim=0)
    return _fine_map(sums, x), *_through_scores(slopes, s, p)


def _upsample_gradients(grad: Tensor, f: Tensor, s: Tensor, p: Tensor) -> Gradients:
    grad, f = _rows(grad), _rows(f)
    shape = (9, 4, *s[:, 0].shape)
    scores = _scores(s, p).view(shape)
    weights = normalise(scores, UP_NORM, dim=0)
    wide_f, wide_grad, wide_weights = _padded(f, 1), _padded(grad, 2), _padded(weights[..., None], 1)[..., 0]
    dots: list[Tensor] = []
    sums: Any = 0
    for (i, j), (dy, dx) in itertools.product(_BLOCKS, _PIXELS):
        dots.append(_dots(grad[:, dy::2, dx::2], wide_f[:, i:, j:]))
        weight = _owners(wide_weights[3 * i + j, 2 * dy + dx], i, j, s)
        sums = sums + wide(_owners(wide_grad[:, dy::2, dx::2], i, j, s)) * weight[..., None]
    slopes = score_gradient(torch.stack(dots).view(shape), scores, weights, UP_NORM, dim=0)
    return _map(sums, f), *_through_scores(slopes.flatten(0, 1), s, p)


def _correlate_gradients(grad_u: Tensor, grad_v: Tensor, x: Tensor, u: Tensor, v: Tensor) -> Gradients:
    grads, x = [_rows(grad_u), _rows(grad_v)], _rows(x)
    wide_x = _padded(x, 2)
    taps = itertools.product(range(6), range(6))
    # Both gradients of a tap follow each other, so that one loop reads x for both.
    dots = torch.stack([_dots(grad, wide_x[:, i:, j:], step=2) for i, j in taps for grad in grads])
    of_u, of_v = dots.view(36, 2, len(x), -1).sum(3).permute(1, 2, 0).contiguous()  # (B, 36) each
    wide_grads = [_padded(grad, 1) for grad in grads]
    sums: Any = 0
    for i, j in _BLOCKS:
        for grad, kernel in zip(wide_grads, (u, v), strict=True):
            weight = kernel.view(-1, 1, 3, 2, 1, 3, 2)[:, :, i, :, :, j]  # (B, 1, dy, 1, dx)
            sums = sums + wide(_owners(grad, i, j, grad_u))[:, :, None, :, None] * weight[..., None]
    return _fine_map(sums, x), of_u.view(u.shape).to(u.dtype), of_v.view(v.shape).to(v.dtype)


def _rows(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1)


def _padded(maps: Tensor, margin: int) -> Tensor:
    return F.pad(maps, (0, 0, margin, margin, margin, margin))


def _dots(grad: Tensor, x: Tensor, *, step: int = 1) -> Tensor:
    """The dot products (B, h, w) of a gradient's pixels with every `step`-th pixel of x."""
    height, width = grad.shape[1:3]
    return (wide(grad) * wide(x[:, : step * height : step, : step * width : step])).sum(-1)


def _owners(padded: Tensor, i: int, j: int, like: Tensor, *, row_axis: int = 1) -> Tensor:
    """For each block, the value of the position that has it as block (i, j), from values padded by one position.

    `like` (…, h, w) has the size without the padding.
    """
    rows = padded.narrow(row_axis, 2 - i, like.shape[-2])
    return rows.narrow(row_axis + 1, 2 - j, like.shape[-1])


def _scores(s: Tensor, p: Tensor) -> Tensor:
    return p.T[:, :, None, None] * s[:, 0]


def _through_scores(slopes: Tensor, s: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of s and p from those of the scores."""
    grad_s = (slopes * p.T[:, :, None, None]).sum(0)[:, None]
    grad_p = (slopes * s[:, 0]).sum((2, 3)).T.contiguous()
    return grad_s.to(s.dtype), grad_p.to(p.dtype)


def _map(sums: Tensor, x: Tensor) -> Tensor:
    """Sums (B, H, W, C) as a map (B, C, H, W), rounded to the type of x."""
    return sums.to(x.dtype).permute(0, 3, 1, 2)


def _fine_map(sums: Tensor, x: Tensor) -> Tensor:
    """`_map` of sums (B, h, dy, w, dx, C)."""
    return _map(sums.to(x.dtype).reshape(x.shape), x)  # rounded first: the reshaped sums are stored
