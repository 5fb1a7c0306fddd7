"""Resampling and correlation by Triton kernels on CUDA.

Each pass, forward or backward, reads and writes a map once. The kernels are used wherever they work; the environment
variable MATTECLI_FUSED=0 turns them off. Where they do not work (no Triton, no C compiler, an old card), PyTorch's own
operators take their place; a warning says so only if MATTECLI_FUSED=1 asks for the kernels.

`resample.py` says what is computed. The kernels of all positions are made in registers from s and p and never stored.
Sums are float32 for every type of map. Results repeat bit for bit.
"""

from __future__ import annotations

import os
import sysconfig
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mattecli.geometry import WHOLE, Edges
from mattecli.ops.reference import empty_map

enabled = os.environ.get("MATTECLI_FUSED") != "0"
asked = os.environ.get("MATTECLI_FUSED") == "1"  # then a failure is warned about

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class Block(NamedTuple):
    """What one program of a kernel works on, and its number of warps."""

    rows: int
    columns: int
    channels: int
    warps: int


# Fixed, because trying them out at run time would add seconds to a single picture. They were chosen by what the
# registers hold (`benchmarks/registers.py`). On a card, `benchmarks/resample.py --tune` measures others.
BLOCKS = {
    "downsample": Block(8, 8, 64, 4),
    "downsample_grad_s": Block(4, 8, 64, 4),
    "downsample_grad_x": Block(4, 8, 64, 4),
    "upsample": Block(4, 8, 64, 4),
    "upsample_grad_s": Block(4, 8, 64, 4),
    "upsample_grad_x": Block(8, 8, 64, 4),
    "correlate": Block(4, 8, 64, 4),
    "correlate_grad_x": Block(4, 8, 64, 4),
    "correlate_grad_kernel": Block(4, 8, 64, 4),  # its rows one after the other
}


def usable(x: Tensor, *, grad: bool = False) -> bool:
    """Whether the kernels are turned on and can work on x: on CUDA, in a type they know, and compiled without an error.

    The first call for a type on a card compiles them and runs them on a tiny map, those for gradients if `grad`. If
    that fails, the process does not use them on that card any more; if they were `asked` for, one warning says why. A
    card without memory for the trial raises its own error, and the next call tries again.
    """
    return enabled and x.is_cuda and x.dtype in DTYPES and _works(x.dtype, x.device, grad=grad)


# The trial run

Trial = tuple[torch.dtype, bool]  # without and with gradients
trials: dict[int | None, dict[Trial, bool]] = {}  # what came of them on each card; after one fails, none is made there
_trying = threading.RLock()


def _works(dtype: torch.dtype, device: torch.device, *, grad: bool) -> bool:
    """Whether the kernels for a type, with those for gradients or without, compile and run; tried once on a card."""
    with _trying:
        found = trials.setdefault(device.index, {})
        if all(found.values()) and (dtype, grad) not in found:
            try:
                # Without them the C compiler would print an error that nobody has asked for.
                if not asked and not _has_headers():
                    raise FileNotFoundError("Python.h")
                try_out(dtype, device, grad=grad)
            except Exception as error:  # a compiler, a linker, a driver: each fails in its own way
                if isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error):
                    raise  # the card is full, which says nothing of the kernels
                found[dtype, grad] = False
                if asked:
                    reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
                    warnings.warn(
                        f"MATTECLI_FUSED=1 is set, but the fused CUDA kernels do not work on {device} ({reason}); "
                        "PyTorch's own operators are used instead",
                        stacklevel=4,
                    )
            found.setdefault((dtype, grad), True)
        return all(found.values())


def _has_headers() -> bool:
    """Whether Python's C headers, which Triton compiles with, are there; Debian has them in `python3-dev`."""
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")  # where Triton looks for them
    return Path(sysconfig.get_path("include", scheme), "Python.h").is_file()


@torch.no_grad()
def try_out(dtype: torch.dtype, device: torch.device, *, grad: bool) -> None:
    """Run the kernels on a small map of ones, whose sums are known. The compiled kernels also serve large maps.

    Raises ArithmeticError if a sum is wrong, or with `grad` if a gradient is not finite.
    """
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
        raise ArithmeticError("they give wrong sums")


# Forward and backward


def downsample(x: Tensor, s: Tensor, p: Tensor, edges: Edges = WHOLE) -> Tensor:
    """Like `resample.downsample`."""
    return _resampled("downsample", x, s, p, (s.shape[2], s.shape[3]), edges)


def upsample(f: Tensor, s: Tensor, p: Tensor, edges: Edges = WHOLE) -> Tensor:
    """Like `resample.upsample`."""
    return _resampled("upsample", f, s, p, (2 * s.shape[2], 2 * s.shape[3]), edges)


def correlate(x: Tensor, u: Tensor, v: Tensor, edges: Edges = WHOLE) -> tuple[Tensor, Tensor]:
    """Like `resample.correlate_pair`; it reads x once."""
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
    """The gradients of x, s and p, of the operator `name`: "downsample" or "upsample".

    The gradients of s and p come first: they also store the softmaxes' denominators, which the gradient of x needs.
    """
    out = empty_map(x, x.shape[2], x.shape[3])
    grad, x, numbers_s, numbers_p = _addressable(grad), _addressable(x), _numbers(s), _numbers(p)
    grad_s = torch.empty_like(numbers_s)
    norm = torch.empty(*s.shape, 1 if name == "downsample" else 4, device=x.device)
    grid = (_tiles(BLOCKS[f"{name}_grad_s"], s), len(x))
    parts = torch.empty(len(x), grid[0], 64, device=x.device)
    pointers = [grad, x, numbers_s, numbers_p, grad_s, parts, norm]
    _launch(f"{name}_grad_s", pointers, [grad, x], x, s, edges, grid=grid)
    # Each position of a downsampling has four pixels in the gradient of x, each of an upsampling one.
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
    if grad_u.stride() != grad_v.stride():  # the kernel reads both with the same strides
        grad_u, grad_v = (grad.contiguous(memory_format=torch.channels_last) for grad in (grad_u, grad_v))
    pointers = [grad_u, grad_v, _taps_first(u), _taps_first(v), out]
    over, shared = x[:, :, ::2, ::2], u.shape[1] == 1
    _launch("correlate_grad_x", pointers, [grad_u, out], x, grad_u, edges, over=over, SHARED=shared)
    return out, _kernel_gradient(grad_u, x, u, edges), _kernel_gradient(grad_v, x, v, edges)


def _kernel_gradient(grad: Tensor, x: Tensor, kernel: Tensor, edges: Edges) -> Tensor:
    """The gradient of a correlation's kernel (B, C or 1, 6, 6): sums of strips of rows, which are then added."""
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
    """Start a kernel on `grid`, or with one program for each block of the map `over`.

    The kernel gets the strides of the tensors in `strided`, and the sizes of the larger map x and of `positions`, a map
    on the half-size grid.
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
    """Channels of a program: a power of two, not more than the map needs."""
    return min(block.channels, max(16, 1 << (channels - 1).bit_length()))


def _tiles(block: Block, grid: Tensor) -> int:
    """The number of blocks that cover a map."""
    return -(-grid.shape[2] // block.rows) * -(-grid.shape[3] // block.columns)


def _addressable(x: Tensor) -> Tensor:
    """x, copied if its columns are so far apart that a row needs more than 32-bit offsets."""
    return x if x.shape[3] * x.stride(3) < 1 << 31 else x.contiguous(memory_format=torch.channels_last)


def _taps_first(kernel: Tensor) -> Tensor:
    """(B, C or 1, 6, 6) as (B, 36, C or 1), so that a tap's channels are contiguous."""
    return _numbers(kernel.flatten(2).mT)


def _numbers(values: Tensor) -> Tensor:
    """Contiguous float32: compiling kernels for each type of their small inputs would cost more than it saves."""
    return values.float().contiguous()
