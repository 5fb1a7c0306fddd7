"""Affinity-aware resampling: the operators and their formulas.

Each output pixel is a sum of its neighbourhood, weighted by a kernel of its own.

s is the affinity map and p a vector of 36 numbers (see `affinity.py`). At a position of the half-size grid:

    down kernel = softmax over 36 taps of (p · s)                                          6×6, stride 2, zero padding 2
    up kernels  = softmax over 9 taps of sigmoid(p · s), one for each of the 2×2 sub-positions       3×3, zero padding 1

A tap outside the map counts as zero, and the kernel is not renormalised there (source: the authors' implementation).
`reassemble_down` and `reassemble_up` do the same with given kernels, of any size and for groups of channels.

An operator has several forms: `cpu.py` on a CPU, `loops.py` there for the gradients of large maps in a compiled
training, `reference.py` on any device, and Triton kernels (`fused.py`) on CUDA unless MATTECLI_FUSED=0 is set. Results
have the map's type, and are channels-last if the map is.

A map may be a window of a larger one (see `geometry.Edges`). At its inner sides the input then has a halo, which is
used up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mattecli.geometry import WHOLE, Edges
from mattecli.ops import cpu, fused, loops, reference
from mattecli.ops.kernels import DOWN_NORM, UP_NORM, down_kernel, score_gradient, up_kernel
from mattecli.ops.library import differentiable, operator
from mattecli.ops.loops import Gradients
from mattecli.ops.reference import empty_map


def downsample(x: Tensor, s: Tensor, p: Tensor, edges: Edges = WHOLE) -> Tensor:
    """Halve x (B, C, H, W) with the down kernels of s (B, 1, H/2, W/2) and p (B, 36); H and W even.

    At inner sides x has a halo of 2, which s does not have.
    """
    return torch.ops.mattecli.downsample(x, s, p, list(edges))  # type: ignore[no-any-return]


def upsample(f: Tensor, s: Tensor, p: Tensor, edges: Edges = WHOLE) -> Tensor:
    """Double f (B, C, h, w) with the up kernels of s (B, 1, h, w) and p (B, 36).

    At inner sides f has a halo of 1, which s does not have.
    """
    return torch.ops.mattecli.upsample(f, s, p, list(edges))  # type: ignore[no-any-return]


def correlate(x: Tensor, kernel: Tensor, edges: Edges = WHOLE) -> Tensor:
    """Correlate each channel of x (B, C, H, W) with its image's own k×k kernel, stride 2, zero padding (k-1)//2.

    The kernel is (B, C, k, k), or (B, 1, k, k) if all channels share it. Gives (B, C, H/2, W/2). Inner sides need k = 6
    and a halo of 2.
    """
    return torch.ops.mattecli.correlate(x, kernel, list(edges))  # type: ignore[no-any-return]


def correlate_pair(x: Tensor, u: Tensor, v: Tensor, edges: Edges = WHOLE) -> tuple[Tensor, Tensor]:
    """`correlate` with u and with v; the fused kernels for 6×6 taps read x once for both."""
    return torch.ops.mattecli.correlate_pair(x, u, v, list(edges))  # type: ignore[no-any-return]


def reassemble_down(x: Tensor, kernel: Tensor) -> Tensor:
    """Halve x (B, C, H, W), H and W even, with kernels (B, groups, k², H/2, W/2).

    out[c, y, x] = Σ_{i,j} x[c, 2y + i - (k-1)//2, 2x + j - (k-1)//2] · kernel[group of c, k·i + j, y, x].
    """
    return torch.ops.mattecli.reassemble_down(x, kernel)  # type: ignore[no-any-return]


def reassemble_up(f: Tensor, kernel: Tensor) -> Tensor:
    """Double f (B, C, h, w) with kernels (B, groups, k², 2h, 2w), k odd.

    out[c, y, x] = Σ_{i,j} f[c, ⌊y/2⌋ + i - (k-1)/2, ⌊x/2⌋ + j - (k-1)/2] · kernel[group of c, k·i + j, y, x].
    """
    return torch.ops.mattecli.reassemble_up(f, kernel)  # type: ignore[no-any-return]


def at_edges(
    convolve: Callable[[Tensor, tuple[int, int]], Tensor], x: Tensor, reach: int, edges: Edges, *, stride: int = 1
) -> Tensor:
    """A convolution of that reach that pads x with zeros only at its edges.

    `convolve` takes x and its padding: rows above and below, columns at the left and right.
    """
    top, bottom, left, right = (reach * edge for edge in edges)
    if left != right:
        return convolve(F.pad(x, (left, right, top, bottom)), (0, 0))
    out = convolve(x, (max(top, bottom), left))
    if top == bottom:
        return out
    # Pad the inner side too and drop the wrong rows. This leaves a channels-last map in one piece and copies nothing.
    wrong = reach // stride
    return out[:, :, : out.shape[2] - wrong] if edges.top else out[:, :, wrong:]


# The operators of an affinity


def _empty_down(x: Tensor, s: Tensor, p: Tensor, edges: Sequence[bool]) -> Tensor:  # noqa: ARG001
    return empty_map(x, s.shape[2], s.shape[3])


def _empty_up(f: Tensor, s: Tensor, p: Tensor, edges: Sequence[bool]) -> Tensor:  # noqa: ARG001
    return empty_map(f, 2 * s.shape[2], 2 * s.shape[3])


def _empty_gradients(*arguments: Any) -> tuple[Tensor, ...]:
    """Empty gradients of all tensors but the results' gradients; the first is a map."""
    *_, x, one, other, _edges = arguments
    return empty_map(x, *x.shape[2:]), one.new_empty(one.shape), other.new_empty(other.shape)


@operator("downsample(Tensor x, Tensor s, Tensor p, bool[] edges) -> Tensor", _empty_down)
def _downsample(x: Tensor, s: Tensor, p: Tensor, edges: Sequence[bool]) -> Tensor:
    sides = _check_window(x, s, p, edges, halo=2, step=2)
    if fused.usable(x):
        return fused.downsample(x, s, p, sides)
    if cpu.usable(x):
        return cpu.downsample(x, s, p, sides)
    out = empty_map(x, s.shape[2], s.shape[3])
    return reference.gather(x, lambda rows, columns: down_kernel(s[:, :, rows, columns], p), out, 6, 1, 1, sides)


@operator("upsample(Tensor f, Tensor s, Tensor p, bool[] edges) -> Tensor", _empty_up)
def _upsample(f: Tensor, s: Tensor, p: Tensor, edges: Sequence[bool]) -> Tensor:
    sides = _check_window(f, s, p, edges, halo=1, step=1)
    if fused.usable(f):
        return fused.upsample(f, s, p, sides)
    if cpu.usable(f):
        return cpu.upsample(f, s, p, sides)
    out = empty_map(f, 2 * s.shape[2], 2 * s.shape[3])
    return reference.gather(f, lambda rows, columns: up_kernel(s[:, :, rows, columns], p), out, 3, 1, 2, sides)


@operator(
    "downsample_backward(Tensor g, Tensor x, Tensor s, Tensor p, bool[] e) -> (Tensor, Tensor, Tensor)",
    _empty_gradients,
)
def _downsample_backward(grad: Tensor, x: Tensor, s: Tensor, p: Tensor, edges: Sequence[bool]) -> Gradients:
    if fused.usable(x, grad=True):
        return fused.resampling_gradients("downsample", grad, x, s, p, Edges(*edges))
    if loops.worthwhile(x, Edges(*edges)):
        return loops.downsample_gradients(grad, x, s, p)
    if cpu.usable(x):
        return cpu.gradients(grad, x, s, p, Edges(*edges), fine=True)
    kernel = down_kernel(s, p)
    grad_x, dots = reference.gather_gradients(grad, x, kernel, 6, 1, Edges(*edges))
    slopes = score_gradient(dots[:, 0], p[:, :, None, None] * s, kernel[:, 0], DOWN_NORM, dim=1)  # (B, 36, h, w)
    return grad_x, *_through_product(slopes, s, p)


@operator(
    "upsample_backward(Tensor g, Tensor f, Tensor s, Tensor p, bool[] e) -> (Tensor, Tensor, Tensor)", _empty_gradients
)
def _upsample_backward(grad: Tensor, f: Tensor, s: Tensor, p: Tensor, edges: Sequence[bool]) -> Gradients:
    if fused.usable(f, grad=True):
        return fused.resampling_gradients("upsample", grad, f, s, p, Edges(*edges))
    if loops.worthwhile(f, Edges(*edges), larger=grad):
        return loops.upsample_gradients(grad, f, s, p)
    if cpu.usable(f):
        return cpu.gradients(grad, f, s, p, Edges(*edges), fine=False)
    kernel = up_kernel(s, p)
    grad_f, dots = reference.gather_gradients(grad, f, kernel, 3, 2, Edges(*edges))
    scores = torch.pixel_shuffle(p[:, :, None, None] * s, 2)
    slopes = torch.pixel_unshuffle(score_gradient(dots[:, 0], scores, kernel[:, 0], UP_NORM, dim=1), 2)
    return grad_f, *_through_product(slopes, s, p)


def _through_product(slopes: Tensor, s: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of s and p from the gradient `slopes` (B, 36, h, w) of the scores p · s."""
    grad_s = (slopes * p[:, :, None, None]).sum(1, keepdim=True)
    return grad_s.to(s.dtype), (slopes * s).sum((2, 3)).to(p.dtype)


# The correlation


def _empty_correlation(x: Tensor, kernel: Tensor, edges: Sequence[bool]) -> Tensor:  # noqa: ARG001
    top, bottom, left, right = (int(not edge) for edge in edges)  # symbolic sizes take numbers only
    return empty_map(x, x.shape[2] // 2 - top - bottom, x.shape[3] // 2 - left - right)


def _empty_pair(x: Tensor, u: Tensor, v: Tensor, edges: Sequence[bool]) -> tuple[Tensor, Tensor]:
    return _empty_correlation(x, u, edges), _empty_correlation(x, v, edges)


@operator("correlate(Tensor x, Tensor kernel, bool[] edges) -> Tensor", _empty_correlation)
def _correlate(x: Tensor, kernel: Tensor, edges: Sequence[bool]) -> Tensor:
    _check_even(x)
    kernel, sides, size = kernel.to(x.dtype), Edges(*edges), kernel.shape[-1]
    # The original pads by 2 for 6 taps; at stride 2 that leaves half the size.
    out = at_edges(lambda x, padding: reference.correlate(x, kernel, padding), x, (size - 1) // 2, sides, stride=2)
    expected = _empty_correlation(x, kernel, edges)
    return out if out.stride() == expected.stride() else expected.copy_(out)


def _empty_two(grad: Tensor, x: Tensor, kernel: Tensor, edges: Sequence[bool]) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    return empty_map(x, *x.shape[2:]), kernel.new_empty(kernel.shape)


@operator("correlate_backward(Tensor g, Tensor x, Tensor kernel, bool[] e) -> (Tensor, Tensor)", _empty_two)
def _correlate_backward(grad: Tensor, x: Tensor, kernel: Tensor, edges: Sequence[bool]) -> tuple[Tensor, Tensor]:
    if cpu.usable(x) and kernel.shape[1:] == (1, 6, 6):
        grad_x, (grad_kernel,) = cpu.correlate_gradients([grad], x, [kernel], Edges(*edges))
        return grad_x, grad_kernel
    return reference.correlate_gradients(grad, x, kernel, Edges(*edges))


@operator("correlate_pair(Tensor x, Tensor u, Tensor v, bool[] edges) -> (Tensor, Tensor)", _empty_pair)
def _correlate_pair(x: Tensor, u: Tensor, v: Tensor, edges: Sequence[bool]) -> tuple[Tensor, Tensor]:
    if fused.usable(x) and u.shape[-1] == 6:
        return fused.correlate(x, u, v, Edges(*edges))
    return correlate(x, u, Edges(*edges)), correlate(x, v, Edges(*edges))


@operator(
    "correlate_pair_backward(Tensor gu, Tensor gv, Tensor x, Tensor u, Tensor v, bool[] e) -> (Tensor, Tensor, Tensor)",
    _empty_gradients,
)
def _correlate_pair_backward(
    grad_u: Tensor, grad_v: Tensor, x: Tensor, u: Tensor, v: Tensor, edges: Sequence[bool]
) -> Gradients:
    if fused.usable(x, grad=True) and u.shape[-1] == 6:
        return fused.correlate_gradients(grad_u, grad_v, x, u, v, Edges(*edges))
    of_u_and_v = u.shape[1:] == v.shape[1:] == (1, 6, 6)
    if loops.worthwhile(x, Edges(*edges)) and of_u_and_v:
        return loops.correlate_gradients(grad_u, grad_v, x, u, v)
    if cpu.usable(x) and of_u_and_v:
        grad_x, (du, dv) = cpu.correlate_gradients([grad_u, grad_v], x, [u, v], Edges(*edges))
        return grad_x, du, dv
    (one, du), (other, dv) = _correlate_backward_of(grad_u, x, u, edges), _correlate_backward_of(grad_v, x, v, edges)
    return one.add_(other), du, dv


def _correlate_backward_of(grad: Tensor, x: Tensor, kernel: Tensor, edges: Sequence[bool]) -> tuple[Tensor, Tensor]:
    return torch.ops.mattecli.correlate_backward(grad, x, kernel, edges)  # type: ignore[no-any-return]


# The operators of given kernels


def _empty_reassembled_down(x: Tensor, kernel: Tensor) -> Tensor:
    return empty_map(x, kernel.shape[3], kernel.shape[4])


def _empty_kernel_gradients(grad: Tensor, x: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    return empty_map(x, *x.shape[2:]), torch.empty_like(kernel)


@operator("reassemble_down(Tensor x, Tensor kernel) -> Tensor", _empty_reassembled_down)
def _reassemble_down(x: Tensor, kernel: Tensor) -> Tensor:
    size, groups = _check_kernel(x, kernel, kernel.shape[3] * 2, kernel.shape[4] * 2)
    _check_even(x)
    out = empty_map(x, kernel.shape[3], kernel.shape[4])
    return reference.gather(x, lambda rows, columns: kernel[..., rows, columns], out, size, groups, 1)


@operator("reassemble_up(Tensor f, Tensor kernel) -> Tensor", _empty_reassembled_down)
def _reassemble_up(f: Tensor, kernel: Tensor) -> Tensor:
    size, groups = _check_kernel(f, kernel, kernel.shape[3] // 2, kernel.shape[4] // 2)
    if size % 2 == 0:
        raise RuntimeError(f"an up kernel of {size}×{size} taps has no middle; its size must be odd")

    def part(rows: slice, columns: slice) -> Tensor:
        return kernel[..., 2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop]

    return reference.gather(f, part, empty_map(f, *kernel.shape[3:]), size, groups, 2)


@operator("reassemble_down_backward(Tensor g, Tensor x, Tensor kernel) -> (Tensor, Tensor)", _empty_kernel_gradients)
def _reassemble_down_backward(grad: Tensor, x: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:
    return reference.gather_gradients(grad, x, kernel, math.isqrt(kernel.shape[2]), 1)


@operator("reassemble_up_backward(Tensor g, Tensor f, Tensor kernel) -> (Tensor, Tensor)", _empty_kernel_gradients)
def _reassemble_up_backward(grad: Tensor, f: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:
    return reference.gather_gradients(grad, f, kernel, math.isqrt(kernel.shape[2]), 2)


for _name in ("downsample", "upsample", "correlate", "correlate_pair", "reassemble_down", "reassemble_up"):
    differentiable(_name)


# Checks of arguments; they raise RuntimeError, as PyTorch's own operators do


def _check_even(x: Tensor) -> None:
    if x.shape[2] % 2 or x.shape[3] % 2:
        raise RuntimeError(f"a map of {x.shape[2]}×{x.shape[3]} cannot be halved; pad it to even sizes")


def _check_window(x: Tensor, s: Tensor, p: Tensor, edges: Sequence[bool], *, halo: int, step: int) -> Edges:
    """The edges of a window; raises RuntimeError unless affinity and halo fit it."""
    sides = Edges(*edges)
    height = step * s.shape[2] + halo * (2 - sides.top - sides.bottom)
    width = step * s.shape[3] + halo * (2 - sides.left - sides.right)
    if x.shape[2:] != (height, width) or s.shape[1] != 1 or p.shape[1:] != (36,):
        shapes = ", ".join(str(tuple(value.shape)) for value in (x, s, p))
        raise RuntimeError(
            f"a map, s and p of the shapes {shapes} do not fit: "
            f"s is (B, 1, h, w), p (B, 36) and the map {height}×{width}"
        )
    return sides


def _check_kernel(x: Tensor, kernel: Tensor, height: int, width: int) -> tuple[int, int]:
    """Size and groups of kernels; raises RuntimeError unless they fit the map."""
    groups, taps = kernel.shape[1:3]
    size = math.isqrt(taps)
    if size**2 != taps or x.shape[1] % groups or x.shape[2:] != (height, width):
        raise RuntimeError(f"kernels of the shape {tuple(kernel.shape)} do not fit a map of {tuple(x.shape)}")
    return size, groups
