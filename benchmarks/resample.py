"""Time and memory of the resampling and its correlation: fused kernels, plain PyTorch, loops, and unfolding.

    python benchmarks/resample.py                # a table, on CUDA if there is a card, else on the CPU
    python benchmarks/resample.py --loops        # the same, with the loops that a compiled training has on a CPU
    python benchmarks/resample.py --check        # whether the fused kernels are right, in all types; exits 1 if not
    python benchmarks/resample.py --tune         # which block sizes are fastest here, for `BLOCKS` in ops/fused.py

"× floor" is the time over that of copying as many bytes as must be moved at the least: each map read or written once.
Memory is what a call takes beside its inputs, its results included.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import psutil
import torch
import torch.nn.functional as F
from torch import Tensor

from mattecli.geometry import Edges
from mattecli.ops import fused, loops, resample
from mattecli.system import memory

Run = Callable[[], object]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
OPERATORS = ("downsample", "upsample", "correlate", "correlate unshared")
# The largest error, as a part of the largest value. Sums are float32, and each result is rounded once to its own type,
# by 2⁻⁸ (bfloat16) or 2⁻¹¹ (float16) of the value at most; Triton's interpreter rounds twice as coarsely. PyTorch's own
# operators also round weights and sums between: for maps of 16 bits they are beyond these bounds.
BOUNDS = {torch.float32: 2e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}


# The three forms


def unfold_down(x: Tensor, s: Tensor, p: Tensor) -> Tensor:
    """Every 6×6 window taken out and weighted."""
    kernel = torch.softmax(p[:, :, None, None] * s, 1).to(x.dtype)
    return (F.unfold(x, 6, padding=2, stride=2).view(*x.shape[:2], 36, *s.shape[2:]) * kernel[:, None]).sum(2)


def unfold_up(f: Tensor, s: Tensor, p: Tensor) -> Tensor:
    """Every 3×3 window taken out, repeated and weighted."""
    batch, channels, height, width = f.shape
    kernel = torch.softmax(torch.sigmoid(F.pixel_shuffle(p[:, :, None, None] * s, 2)), 1).to(f.dtype)
    windows = F.interpolate(F.unfold(f, 3, padding=1).view(batch, channels * 9, height, width), scale_factor=2)
    return (windows.view(batch, channels, 9, 2 * height, 2 * width) * kernel[:, None]).sum(2)


def unfold_correlate(x: Tensor, u: Tensor, v: Tensor) -> list[Tensor]:
    """Every 6×6 window taken out and weighted, for each of the two kernels."""
    size = (x.shape[2] // 2, x.shape[3] // 2)
    windows = F.unfold(x, 6, padding=2, stride=2).view(*x.shape[:2], 36, -1)
    return [(windows * k.flatten(2).to(x.dtype)[..., None]).sum(2).unflatten(2, size) for k in (u, v)]


NETWORK = {"downsample": resample.downsample, "upsample": resample.upsample, "correlate": resample.correlate_pair}
UNFOLDED = {"downsample": unfold_down, "upsample": unfold_up, "correlate": unfold_correlate}


@contextmanager
def switched(on: bool) -> Iterator[None]:
    """With or without the fused kernels, whatever MATTECLI_FUSED says; a warning tells if they do not work."""
    before = fused.enabled, fused.asked
    fused.enabled = fused.asked = on
    try:
        yield
    finally:
        fused.enabled, fused.asked = before


def inputs(operator: str, batch: int, channels: int, size: int, dtype: torch.dtype, device: str) -> list[Tensor]:
    """A map of size × size (half of that before an upsampling), channels-last, and what its kernels are made of."""
    generator = torch.Generator(device).manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, device=device, generator=generator)

    side = size // 2 if operator == "upsample" else size
    x = random(batch, channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
    if operator.startswith("correlate"):
        return [x, *(random(batch, channels if operator.endswith("unshared") else 1, 6, 6) / 6 for _ in range(2))]
    return [x, random(batch, 1, size // 2, size // 2), random(batch, 36)]


def results(function: Callable[..., object], values: list[Tensor]) -> list[Tensor]:
    """What a function gives, be it one map or two."""
    out = function(*values)
    return [out] if isinstance(out, Tensor) else list(out)  # type: ignore[call-overload]


def with_gradients(function: Callable[..., object], values: list[Tensor], grads: list[Tensor]) -> list[Tensor]:
    """What a function gives, and its gradients where the results have these."""
    values = [value.detach().requires_grad_() for value in values]
    outs = results(function, values)
    return [*(out.detach() for out in outs), *torch.autograd.grad(outs, values, grads)]


# Right?


def check(device: str) -> bool:
    """Print the largest errors of the fused kernels against the plain form in float64; whether all are small.

    On a CPU, Triton's interpreter runs the kernels.
    """
    usable = fused.usable if device == "cuda" else lambda x, **_: x.dtype in fused.DTYPES
    with switched(on=True), mock.patch.object(fused, "usable", usable):
        return check_all(device)


def check_all(device: str) -> bool:
    """`check`, where the kernels are turned on."""
    right = True
    start = time.perf_counter()
    for dtype, operator in itertools.product(DTYPES.values(), OPERATORS):
        name = operator.split()[0]
        values = inputs(operator, 2, 64, 52 if device == "cuda" else 12, dtype, device)
        if not (fused.usable(values[0]) and fused.usable(values[0], grad=True)):
            print(f"{str(dtype)[6:]:9s} {operator:19s} the kernels do not work here", flush=True)
            right = False
            continue
        grads = [torch.randn_like(out) for out in results(getattr(fused, name), values)]
        got = with_gradients(NETWORK[name], values, grads)
        exact = [value.double() for value in values]  # a type that the kernels leave to the plain form
        expected = with_gradients(NETWORK[name], exact, [grad.double() for grad in grads])
        errors = [float((a - b).abs().max() / b.abs().max()) for a, b in zip(got, expected, strict=True)]
        good = all(error <= BOUNDS[value.dtype] for error, value in zip(errors, got, strict=True))
        right = right and good
        shown = "  ".join(f"{error:.1e}" for error in errors)
        print(f"{str(dtype)[6:]:9s} {operator:19s} {shown:45s} {'' if good else 'WRONG'}", flush=True)
    right = check_window(device) and right
    if device == "cuda" and torch.cuda.mem_get_info()[0] > 20 << 30:
        right = check_beyond_32_bits() and right
    print(f"{'right' if right else 'WRONG'}, in {time.perf_counter() - start:.0f} s with compiling")
    return right


@torch.no_grad()
def check_window(device: str) -> bool:
    """A window's values are those of the whole map."""
    x, s, p = inputs("downsample", 1, 64, 24, torch.float32, device)
    whole = fused.downsample(x, s, p)[:, :, 3:, :8]
    window = fused.downsample(x[:, :, 4:, :18], s[:, :, 3:, :8], p, Edges(top=False, right=False))
    error = float((whole - window).abs().max())
    print(f"float32   window              {error:.1e}")
    return error <= BOUNDS[torch.float32]


@torch.no_grad()
def check_beyond_32_bits() -> bool:
    """The last rows of a map of more than 2³¹ numbers are those of a map of these rows alone."""
    x = torch.ones(1, 4104, 8192, 64, device="cuda", dtype=torch.bfloat16).permute(0, 3, 1, 2)
    x[:, :, -16:] = torch.randn(64, 16, 8192, device="cuda").to(x.dtype)
    s, p = torch.randn(1, 1, 2052, 4096, device="cuda"), torch.randn(1, 36, device="cuda")
    u = torch.randn(1, 1, 6, 6, device="cuda") / 6
    down, part = fused.downsample(x, s, p)[:, :, -6:], fused.downsample(x[:, :, -16:], s[:, :, -8:], p)[:, :, -6:]
    a_u, part_u = fused.correlate(x, u, u)[0][:, :, -6:], fused.correlate(x[:, :, -16:], u, u)[0][:, :, -6:]
    same = torch.equal(down, part) and torch.equal(a_u, part_u)
    f, s = x[:, :, -2056:, :4104], s[:, :, :1, :1].expand(-1, -1, 2056, 4104)  # gives more than 2³¹ numbers from fewer
    up = fused.upsample(f, s, p)[:, :, -14:]
    same = same and torch.equal(up, fused.upsample(f[:, :, -8:], s[:, :, -8:], p)[:, :, -14:])
    print(f"bfloat16  more than 2³¹ numbers: {'the same' if same else 'WRONG'}")
    return same


# How fast?


def seconds(run: Run, device: str, repeats: int) -> float:
    """The median time of a call after two to warm up; on a card without launching, which a busy card hides."""
    times = []
    for turn in range(repeats + 2):
        if device == "cuda":
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda._sleep(10_000_000)  # cycles, in which the launches queue up
            begin.record()
            run()
            end.record()
            end.synchronize()
            took = begin.elapsed_time(end) / 1000
        else:
            start = time.perf_counter()
            run()
            took = time.perf_counter() - start
        times += [took] if turn >= 2 else []
    return statistics.median(times)


def taken_bytes(run: Run, device: str) -> int | None:
    """The most memory a call holds beside what was held before; on a CPU only where Linux and glibc can be asked."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    except (OSError, AttributeError):
        return None
    before = psutil.Process().memory_info().rss
    run()
    return memory.peak_bytes() - before


def least_bytes(operator: str, values: list[Tensor], gradients: bool) -> int:
    """Bytes of the maps that a call must read and write."""
    one = values[0].numel() * values[0].element_size()
    out = {"downsample": one // 4, "upsample": 4 * one, "correlate": one // 2}[operator]
    return one + out + (one + out + one if gradients else 0)  # backward: the map, its result's gradient, its own


def copied_bytes_per_second(device: str, repeats: int) -> float:
    """Bytes read and written in a second of copying."""
    source = torch.ones(1 << 28 if device == "cuda" else 1 << 25, device=device)
    room = torch.empty_like(source)
    return 2 * room.nbytes / seconds(lambda: room.copy_(source), device, repeats)


def measure(options: argparse.Namespace, dtype: torch.dtype, device: str) -> None:
    """Print the table."""
    bandwidth = copied_bytes_per_second(device, options.repeats)
    print(
        f"{options.batch} × {options.channels} × {options.size}², {options.dtype}, copying {bandwidth / 1e9:.0f} GB/s\n"
    )
    print("| operator | form | forward, ms | × floor | memory | and backward, ms | × floor | memory |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for operator in NETWORK:
        values = inputs(operator, options.batch, options.channels, options.size, dtype, device)
        forms = {"fused": NETWORK[operator]} if fused.usable(values[0]) else {}
        forms |= {"plain": NETWORK[operator], "unfold": UNFOLDED[operator]}
        forms |= {"loops": NETWORK[operator]} if options.loops else {}  # forward is the plain form
        for form, function in forms.items():
            with switched(form == "fused"), loops.turned_on() if form == "loops" else nullcontext():
                cells = [row(function, operator, values, gradients, bandwidth, device, options) for gradients in (0, 1)]
            print(f"| {operator} | {form} | {' | '.join(cells)} |", flush=True)


def row(
    function: Callable[..., object],
    operator: str,
    values: list[Tensor],
    gradients: int,
    bandwidth: float,
    device: str,
    options: argparse.Namespace,
) -> str:
    """Time, time over the floor, and memory of a form."""

    def run() -> None:
        if gradients:
            with_gradients(function, values, grads)
        else:
            with torch.no_grad():
                function(*values)

    try:
        with torch.no_grad():
            grads = [torch.ones_like(out) for out in results(function, values)]
        took, held = seconds(run, device, options.repeats), taken_bytes(run, device)
    except RuntimeError as error:  # out of memory, or too many numbers for one of PyTorch's operators
        return f"{type(error).__name__} | | "
    floor = least_bytes(operator, values, bool(gradients)) / bandwidth
    return f"{1000 * took:.2f} | {took / floor:.1f} | {'' if held is None else memory.show_bytes(held)}"


# Which block sizes?


def tune(options: argparse.Namespace, dtype: torch.dtype) -> None:
    """Time each kernel with other blocks, the rest as they are; print the best of them."""
    for kernel in options.tune or fused.BLOCKS:
        standing = fused.BLOCKS[kernel]
        run = call_with(kernel, options, dtype)
        times = {}
        for block in [standing, *blocks(kernel)]:
            fused.BLOCKS[kernel] = block
            try:
                times[block] = seconds(run, "cuda", 5)
            except Exception as error:  # too many registers or too much shared memory for this card
                print(f"    {tuple(block)}: {error}")
        fused.BLOCKS[kernel] = standing
        print(f"{kernel}: {1000 * times[standing]:.3f} ms now; best, with its call's other kernels as they are")
        for block, took in sorted(times.items(), key=lambda item: item[1])[:4]:
            print(f"    {1000 * took:.3f} ms  {tuple(block)}", flush=True)


def call_with(kernel: str, options: argparse.Namespace, dtype: torch.dtype) -> Run:
    """A call that starts this kernel: a backward one may start others too."""
    operator = kernel.partition("_")[0]
    values = inputs(operator, options.batch, options.channels, options.size, dtype, "cuda")
    if "grad" not in kernel:
        return lambda: getattr(fused, operator)(*values)
    grads, whole = results(getattr(fused, operator), values), [True, True, True, True]
    operator = operator.replace("correlate", "correlate_pair")
    return lambda: getattr(torch.ops.mattecli, f"{operator}_backward")(*grads, *values, whole)


def blocks(kernel: str) -> Iterator[fused.Block]:
    """Blocks worth trying: 4 to 64 numbers for each thread and sum, tiles not much wider than high."""
    shapes = [(4, 4), (4, 8), (8, 8), (2, 16), (4, 16), (8, 16)]
    if kernel == "correlate_grad_kernel":
        shapes = [(rows, columns) for rows in (1, 4, 16) for columns in (4, 8, 16)]
    for (rows, columns), channels, warps in itertools.product(shapes, (32, 64), (2, 4, 8)):
        positions = columns if kernel == "correlate_grad_kernel" else rows * columns
        if 4 <= positions * channels / (32 * warps) <= 32:
            yield fused.Block(rows, columns, channels, warps)


def main() -> None:
    """Check, tune, or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--check", action="store_true", help="only compare the fused kernels with the plain form")
    parser.add_argument("--tune", nargs="*", metavar="KERNEL", help="try block sizes for these kernels, or for all")
    if device == "cpu":
        parser.add_argument("--loops", action="store_true", help="also the gradients by loops that PyTorch compiles")
    parser.add_argument("--batch", type=int, default=16 if device == "cuda" else 1)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--size", type=int, default=512, help="height and width of the larger map")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16" if device == "cuda" else "fp32")
    parser.add_argument("--repeats", type=int, default=10)
    parser.set_defaults(loops=False)
    options = parser.parse_args()
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {name}")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    fused.enabled = fused.asked = True  # whatever MATTECLI_FUSED says; a warning tells if they do not work
    if options.check:
        if device == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
            sys.exit("the kernels need a CUDA device, or TRITON_INTERPRET=1 and Triton to interpret them")
        sys.exit(0 if check(device) else 1)
    if options.tune is None:
        measure(options, DTYPES[options.dtype], device)
    elif device == "cuda":
        tune(options, DTYPES[options.dtype])
    else:
        sys.exit("block sizes can only be tried out on a CUDA device")


if __name__ == "__main__":
    main()
