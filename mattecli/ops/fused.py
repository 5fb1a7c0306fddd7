"""Resampling and correlation by Triton kernels, for CUDA: each map is read once and written once, forward and backward.

The plain forms in `resample.py` say what is computed. Here the kernels of all positions are made in registers from s
and p and never stored, and sums are float32 whatever the map's type. Results and gradients repeat bit for bit.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mattecli.geometry import WHOLE, Edges
from mattecli.ops.reference import empty_map

# MATTECLI_FUSED=0 turns the kernels off: to measure what they buy, or to tell whose fault an error is.
enabled = os.environ.get("MATTECLI_FUSED") != "0"

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class Block(NamedTuple):
    """What one program of a kernel works on, and by how many warps."""

    rows: int
    columns: int
    channels: int
    warps: int


# Chosen beforehand, for trying them out at run time would cost a single picture seconds: by what the registers hold
# (`benchmarks/registers.py`). On a card, `benchmarks/resample.py --tune` measures others; no card has done so yet.
BLOCKS = {
    "downsample": Block(8, 8, 64, 4),
    "downsample_grad_s": Block(4, 8, 64, 4),
    "downsample_grad_x": Block(4, 8, 64, 4),
    "upsample": Block(4, 8, 64, 4),
    "upsample_grad_s": Block(4, 8, 64, 4),
    "upsample_grad_x": Block(8, 8, 64, 4),
    "correlate": Block(4, 8, 64, 4),
    "correlate_grad_x": Block(4, 8, 64, 4),
    "correlate_grad_kernel": Block(4, 8, 64, 4),  # as many rows one after the other
}


def usable(x: Tensor, *, grad: bool = False) -> bool:
    """Whether the kernels can work on x: on CUDA, in a type they know, and compiled here without an error.

    The first call for a type compiles them on a tiny map, those for gradients if `grad`. If that fails, one warning
    says why and they stay unused.
    """
    return enabled and x.is_cuda and x.dtype in DTYPES and _works(x.dtype, x.device, grad=grad)


# Is there a working compiler?

_tried: dict[tuple[torch.dtype, bool], bool] = {}


def _works(dtype: torch.dtype, device: torch.device, *, grad: bool) -> bool:
    """Whether the kernels for a type, their gradients included or not, compile and run; tried once in a process."""
    global enabled
    if (dtype, grad) not in _tried:
        try:
            _try_out(dtype, device, grad=grad)
        except Exception as error:  # a compiler, a linker, a driver: each fails in its own way
            enabled = False
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            warnings.warn(f"the fused CUDA kernels do not work here, slower ones are used: {reason}", stacklevel=4)
        _tried[dtype, grad] = enabled
    return _tried[dtype, grad]


@torch.no_grad()
def _try_out(dtype: torch.dtype, device: torch.device, *, grad: bool) -> None:
    """Run the kernels on a small map of ones, whose sums are known; what is compiled serves large maps too."""
    x = torch.ones(1, 64, 8, 8, dtype=dtype, device=device).to(memory_format=torch.channels_last)
    s, p = torch.ones(1, 1, 8, 8, device=device), torch.ones(1, 36, device=device)
    u = torch.full((1, 1, 6, 6), 1 / 36, device=device)
    down, up, (a_u, a_v) = downsample(x, s[:, :, :4, :4], p), upsample(x, s, p), correlate(x, u, u)
    results = [value[:, :, 2:-2, 2:-2] if value is up else value[:, :, 1:-1, 1:-1] for value in (down, up, a_u, a_v)]
    right = all(torch.allclose(value, torch.ones_like(value), atol=0.01) for value in results)
    if grad:
        gradients = [
            *resampling_gradients("downsample", down, x, s[:, :, :4, :4], p),
            *resampling_gradients("upsample", up, x, s, p),
            *correlate_gradients(a_u, a_v, x, u, u),
        ]
        right = right and all(bool(gradient.isfinite().all()) for gradient in gradients)
    if not right:
        raise ArithmeticError("they compute wrong sums")


# Forward and backward


def downsample(x: Tensor, s: Tensor, p: Tensor, edges: Edges = WHOLE) -> Tensor:
    """As `resample.downsample`."""
    return _resampled("downsample", x, s, p, (s.shape[2], s.shape[3]), edges)


def upsample(f: Tensor, s: Tensor, p: Tensor, edges: Edges = WHOLE) -> Tensor:
    """As `resample.upsample`."""
    return _resampled("upsample", f, s, p, (2 * s.shape[2], 2 * s.shape[3]), edges)


def correlate(x: Tensor, u: Tensor, v: Tensor, edges: Edges = WHOLE) -> tuple[Tensor, Tensor]:
    """As `resample.correlate` with u and with v, reading x once."""
    height = x.shape[2] // 2 - (not edges.top) - (not edges.bottom)
    width = x.shape[3] // 2 - (not edges.left) - (not edges.right)
    a_u, a_v = empty_map(x, height, width), empty_map(x, height, width)
    x = _addressable(x)
    pointers = [x, _taps_first(u), _taps_first(v), a_u, a_v]
    _launch("correlate", pointers, [x, a_u], x, a_u, edges, over=a_u, SHARED=u.shape[1] == 1)
    return a_u, a_v


def _resampled(name: str, x: Tensor, s: Tensor, p: Tensor, size: tuple[int, int], edges: Edges) -> Tensor:
    out = empty_map(x, *size)
    x = _addressable(x)
    _launch(name, [x, _numbers(s), _numbers(p), out], [x, out], x, s, edges, over=s)
    return out


def resampling_gradients(
    name: str, grad: Tensor, x: Tensor, s: Tensor, p: Tensor, edges: Edges = WHOLE
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, s and p of the operator `name`: `downsample` or `upsample`.

    First those of s and p, which leave what the softmaxes divide by to the gradient of x.
    """
    out = empty_map(x, x.shape[2], x.shape[3])
    grad, x, numbers_s, numbers_p = _addressable(grad), _addressable(x), _numbers(s), _numbers(p)
    grad_s = torch.empty_like(numbers_s)
    norm = torch.empty(*s.shape, 1 if name == "downsample" else 4, device=x.device)
    grid = (_tiles(BLOCKS[f"{name}_grad_s"], s), len(x))
    parts = torch.empty(len(x), grid[0], 64, device=x.device)
    pointers = [grad, x, numbers_s, numbers_p, grad_s, parts, norm]
    _launch(f"{name}_grad_s", pointers, [grad, x], x, s, edges, grid=grid)
    # Down, a position's program gives four pixels of the gradient of x; up, one.
    over = x[:, :, ::2, ::2] if name == "downsample" else x
    pointers = [grad, numbers_s, numbers_p, norm, out]
    _launch(f"{name}_grad_x", pointers, [grad, out], x, s, edges, over=over)
    return out, grad_s.to(s.dtype), parts.sum(1)[:, :36].to(p.dtype)


def correlate_gradients(
    grad_u: Tensor, grad_v: Tensor, x: Tensor, u: Tensor, v: Tensor, edges: Edges = WHOLE
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, u and v."""
    out = empty_map(x, x.shape[2], x.shape[3])
    x, grad_u, grad_v = _addressable(x), _addressable(grad_u), _addressable(grad_v)
    if grad_u.stride() != grad_v.stride():  # the kernel reads both by the same
        grad_u, grad_v = (grad.contiguous(memory_format=torch.channels_last) for grad in (grad_u, grad_v))
    pointers = [grad_u, grad_v, _taps_first(u), _taps_first(v), out]
    over, shared = x[:, :, ::2, ::2], u.shape[1] == 1
    _launch("correlate_grad_x", pointers, [grad_u, out], x, grad_u, edges, over=over, SHARED=shared)
    return out, _kernel_gradient(grad_u, x, u, edges), _kernel_gradient(grad_v, x, v, edges)


def _kernel_gradient(grad: Tensor, x: Tensor, kernel: Tensor, edges: Edges) -> Tensor:
    """The gradient of a correlation's kernel (B, C or 1, 6, 6): strips of rows summed apart, then together."""
    block = BLOCKS["correlate_grad_kernel"]
    batch, channels, height = grad.shape[:3]
    strips = -(-height // block.rows)
    parts = torch.empty(batch, strips, 36, channels, device=x.device)
    grid = (4 * strips, -(-channels // _channels(block, channels)), batch)
    _launch("correlate_grad_kernel", [grad, x, parts], [grad, x], x, grad, edges, grid=grid)
    total = parts.sum(1)  # (B, 36, C)
    total = total.sum(2, keepdim=True) if kernel.shape[1] == 1 else total
    return total.mT.reshape(kernel.shape).to(kernel.dtype)


# Launching


def _launch(
    name: str,
    pointers: Sequence[Tensor],
    strided: Sequence[Tensor],
    x: Tensor,
    positions: Tensor,
    edges: Edges,
    *,
    over: Tensor | None = None,
    grid: tuple[int, ...] | None = None,
    **constants: Any,
) -> None:
    """Start a kernel on `grid`, or with a program for each block of the map `over`.

    Of `strided` it is told the strides, of the larger map x and the half-size grid of `positions` the sizes.
    """
    from mattecli.ops import fused_kernels  # imports Triton

    block = BLOCKS[name]
    channels = _channels(block, x.shape[1])
    if over is not None:
        grid = (_tiles(block, over), -(-x.shape[1] // channels), len(x))
    sizes = (*x.shape[1:], *positions.shape[2:], int(edges.top), int(edges.left))
    strides = [stride for map_ in strided for stride in map_.stride()]
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        getattr(fused_kernels, name)[grid](
            *pointers,
            *sizes,
            *strides,
            ROWS=block.rows,
            COLUMNS=block.columns,
            CHANNELS=channels,
            num_warps=block.warps,
            **constants,
        )


def _channels(block: Block, channels: int) -> int:
    """Channels of a program: a power of two, no more than the map needs."""
    return min(block.channels, max(16, 1 << (channels - 1).bit_length()))


def _tiles(block: Block, grid: Tensor) -> int:
    """How many blocks cover a map."""
    return -(-grid.shape[2] // block.rows) * -(-grid.shape[3] // block.columns)


def _addressable(x: Tensor) -> Tensor:
    """x, copied if its columns lie so far apart that 32-bit numbers would not reach across a row."""
    return x if x.shape[3] * x.stride(3) < 1 << 31 else x.contiguous(memory_format=torch.channels_last)


def _taps_first(kernel: Tensor) -> Tensor:
    """(B, C or 1, 6, 6) as (B, 36, C or 1): the channels of a tap side by side."""
    return _numbers(kernel.flatten(2).mT)


def _numbers(values: Tensor) -> Tensor:
    """Float32 side by side: a kernel compiled for each type of its small inputs would cost more than it saves."""
    return values.float().contiguous()
