"""The run in tiles: its time beside its convolutions' and a plain run's, its memory and its growth.

    python benchmarks/tiles.py                      # 1920×1080 on the CPU: ratios, fp32 and bf16
    python benchmarks/tiles.py --growth 1 4 16 50 100 --plot benchmarks/tiles.png
    python benchmarks/tiles.py --device cuda --growth 2 12 50

The picture is made here: textured, with a trimap like a person's or an animal's, of which 15 % is unknown. All ratios
are of times within one run. Each precision, and each size of `--growth`, runs in a process of its own, as with
`matte predict`, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import plain
import torch
import torch.nn.functional as F
from torch import Tensor

from mattecli.geometry import WHOLE, Edges
from mattecli.inference.backend import load_backend
from mattecli.inference.model import predict_alpha
from mattecli.inference.plan import Plan
from mattecli.network import affinity
from mattecli.network.blocks import Conv
from mattecli.network.checkpoint import load_a2u
from mattecli.network.fold import FoldedConv
from mattecli.network.inputs import network_input
from mattecli.ops import reference as sums
from mattecli.system import memory
from mattecli.system.process import prepare_process
from mattecli.training.plots import Panel, draw_panels
from mattecli.weights import find_checkpoint

UNKNOWN = 0.15
AGAIN = "the correlations of an affinity, which its moments have had"


def scene(height: int, width: int, unknown: float = UNKNOWN) -> tuple[np.ndarray, np.ndarray]:
    """A textured photo (H, W, 3) and a trimap with an outline that waves and has tufts, `unknown` of it unknown."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    rows, columns = np.arange(height)[:, None] * 256 // height, np.arange(width)[None] * 256 // width
    image = noise[rows, columns]
    trimap = np.empty((height, width), np.uint8)
    low, high = 0.01, 0.5  # half the width of the band, found by halving on a small picture
    for _ in range(12):
        middle = (low + high) / 2
        share = float((_trimap(270, 480, middle) == 128).mean())
        low, high = (middle, high) if share < unknown else (low, middle)
    for top in range(0, height, 64):
        trimap[top : top + 64] = _trimap(height, width, low, slice(top, min(top + 64, height)))
    return image, trimap


def _trimap(height: int, width: int, band: float, rows: slice | None = None) -> np.ndarray:
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    y = y[rows] if rows is not None else y
    x = x * width / height
    angle = np.arctan2(y, x)
    distance = (
        np.hypot(x, y) - 0.6 - 0.12 * np.sin(3 * angle + 1) - 0.05 * np.sin(11 * angle) - 0.03 * np.sin(29 * angle)
    )
    wide = band * (1 + 0.6 * np.sin(5 * angle))
    return np.where(distance < -wide, 255, np.where(distance > wide, 0, 128)).astype(np.uint8)


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The median time of `run`, after one that does not count."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _geometry(conv: FoldedConv) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    return conv.stride, conv.dilation, conv.kernel_size


class Calls:
    """The convolutions of a run, each with its pass and the size of its input."""

    def __init__(self) -> None:
        self.found: list[tuple[str, object, Callable[[Tensor], Tensor], Sequence[int]]] = []
        self.at = ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, all convolutions are noted."""
        forward, correlate, leaky = FoldedConv.forward, sums.correlate, affinity.leaky_conv

        def note(conv: FoldedConv, x: Tensor, edges: Edges = WHOLE, plus: Tensor | None = None) -> Tensor:
            out = forward(conv, x, edges, plus)
            # a window with no zeros around it that gives an output of the same size
            size = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(out.shape[2:], *_geometry(conv), strict=True)]
            again = (conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups)
            self.found.append((self.at, id(conv), lambda y: F.conv2d(y, *again), (*x.shape[:2], *size)))
            return out

        def note_kernel(x: Tensor, kernel: Tensor, padding: tuple[int, int]) -> Tensor:
            self.found.append((self.at, f"{self.at}, {x.shape[1]}", lambda y: correlate(y, kernel, padding), x.shape))
            return correlate(x, kernel, padding)

        def note_affinity(x: Tensor, *shape: Any, groups: int) -> Tensor:
            self.found.append((self.at, AGAIN, lambda y: F.conv2d(y, *shape, groups=groups), x.shape))
            return leaky(x, *shape, groups=groups)

        with (
            mock.patch.object(FoldedConv, "forward", note),
            mock.patch.object(sums, "correlate", note_kernel),
            mock.patch.object(affinity, "leaky_conv", note_affinity),
        ):
            yield

    def follow(self, name: str, _done: int, _all: int) -> None:
        """Told of the run's progress, knows the pass."""
        self.at = name

    def alone(self, dtype: torch.dtype, *, once: bool) -> Callable[[], None]:
        """A function that runs them on maps of random numbers, channels-last, and nothing else.

        `once` leaves out what a later pass computes again.
        """
        first: dict[object, str] = {AGAIN: ""}
        for name, conv, _, _ in self.found:
            first.setdefault(conv, name)
        calls = [(run, shape) for name, conv, run, shape in self.found if not once or first[conv] == name]
        room = torch.randn(max(int(np.prod(shape)) for _, shape in calls)).to(dtype)

        def run() -> None:
            with torch.inference_mode():
                for conv, (batch, channels, height, width) in calls:
                    part = room[: batch * channels * height * width].view(batch, height, width, channels)
                    conv(part.permute(0, 3, 1, 2))

        return run


def timed(size: tuple[int, int], repeats: int, device: str, precision: str) -> dict[str, Any]:
    """The time of one size in one precision, and of its convolutions alone."""
    image, trimap = scene(*size)
    backend = load_backend(device=device, precision=precision)
    plans: list[Plan] = []
    run = partial(predict_alpha, image, trimap, backend)
    took = seconds(partial(run, on_plan=plans.append), repeats)
    calls = Calls()
    with calls.listening():
        run(progress=calls.follow)
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    every, once = (seconds(calls.alone(dtype, once=once), repeats) for once in (False, True))
    return {"seconds": took, "every": every, "once": once, "plan": str(plans[-1])}


def compare(size: tuple[int, int], repeats: int, device: str) -> None:
    """Ratios at one size: convolutions alone, the plain run, fp32 against bf16."""
    image, trimap = scene(*size)
    megapixels = size[0] * size[1] / 1e6
    print(f"{size[1]}×{size[0]}, {(trimap == 128).mean():.1%} unknown, torch {torch.__version__}, ", end="")
    print(f"{torch.get_num_threads()} threads, median of {repeats}\n")
    print("| run | seconds | s / megapixel | its convolutions | ratio | each once | ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    times = {}
    for precision in ("fp32", "bf16"):
        shape = (str(number) for number in size)
        row = _apart("--timed", "--size", *shape, "--repeats", repeats, "--device", device, "--precision", precision)
        took, every, once = (row[name] for name in ("seconds", "every", "once"))
        times[precision] = took
        print(
            f"| tiles, {precision} ({row['plan']}) | {took:.2f} | {took / megapixels:.2f} "
            f"| {every:.2f} | {took / every:.2f} | {once:.2f} | {took / once:.2f} |",
            flush=True,
        )
    net = load_a2u(find_checkpoint().path).eval()
    for module in net.modules():
        if isinstance(module, Conv):
            module.weight.data = module.weight.data.contiguous()
    x = torch.from_numpy(network_input(image, trimap))[None]
    started = time.perf_counter()
    alpha = plain.alpha(net, x)[0, 0].numpy()
    slow = time.perf_counter() - started
    print(f"| plain, fp32 | {slow:.2f} | {slow / megapixels:.2f} | | | | |\n")
    unknown = trimap == 128
    exact = predict_alpha(image, trimap, load_backend(device=device))
    difference = np.abs(exact - alpha[: size[0], : size[1]].clip(0, 1))[unknown].max()
    print(f"plain / tiles in fp32: {slow / times['fp32']:.1f}; largest difference of their alphas: {difference:.1e}")
    print(f"fp32 / bf16: {times['fp32'] / times['bf16']:.2f}")


def _apart(*options: object) -> Any:
    """What this script prints with these options, in a process of its own."""
    command = [sys.executable, __file__, *map(str, options)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def grow(megapixels: float, device: str, precision: str) -> dict[str, float | str]:
    """One size, once: its time and its peak memory, of the process or of the card."""
    width = round((megapixels * 1e6 * 16 / 9) ** 0.5 / 16) * 16
    height = round(megapixels * 1e6 / width / 16) * 16
    backend = load_backend(device=device, precision=precision)
    small, known = scene(256, 256)
    predict_alpha(small, known, backend)  # so that what is done once is not counted
    base = memory.peak_bytes()
    image, trimap = scene(height, width)
    plans: list[Plan] = []
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    predict_alpha(image, trimap, backend, on_plan=plans.append)
    took = time.perf_counter() - started
    peak = memory.peak_bytes() if device == "cpu" else torch.cuda.max_memory_reserved()
    return {
        "megapixels": height * width / 1e6,
        "seconds": took,
        "plan": str(plans[-1]),
        "peak": peak,
        "base": base,
        "bound": max(2**30 + 60 * height * width, memory.share_bytes()) if device == "cpu" else 8 * 2**30,
        "estimate": plans[-1].bytes,
    }


def growth(sizes: list[float], device: str, precision: str, plot: Path | None) -> None:
    """The table of all sizes, and its picture."""
    print("| megapixels | seconds | s / megapixel | plan | peak memory | bound | estimate |")
    print("|---:|---:|---:|---|---:|---:|---:|")
    rows = []
    for size in sizes:
        row = _apart("--one", size, "--device", device, "--precision", precision)
        rows.append(row)
        print(
            f"| {row['megapixels']:.1f} | {row['seconds']:.2f} | {row['seconds'] / row['megapixels']:.2f} "
            f"| {row['plan']} | {memory.show_bytes(row['peak'])} | {memory.show_bytes(row['bound'])} "
            f"| {memory.show_bytes(row['estimate'])} |",
            flush=True,
        )
    if plot is not None:
        draw(rows, plot)


def draw(rows: list[dict[str, float]], path: Path) -> None:
    """Time and memory over size."""
    memory_lines = {
        name: [(row["megapixels"], row[name] / 2**30) for row in rows] for name in ("peak", "bound", "estimate")
    }
    panels = [
        Panel(
            "seconds a megapixel over megapixels",
            {"s / MP": [(row["megapixels"], row["seconds"] / row["megapixels"]) for row in rows]},
            x_label="megapixels",
        ),
        Panel("memory over megapixels, GiB", memory_lines, x_label="megapixels"),
    ]
    draw_panels(panels, path)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--growth", type=float, nargs="+", metavar="MEGAPIXELS")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--size", type=int, nargs=2, default=(1080, 1920), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--timed", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(grow(options.one, options.device, options.precision)))
    elif options.timed:
        print(json.dumps(timed(tuple(options.size), options.repeats, options.device, options.precision)))
    elif options.growth:
        growth(options.growth, options.device, options.precision, options.plot)
    else:
        compare(tuple(options.size), options.repeats, options.device)


if __name__ == "__main__":
    prepare_process()
    main()
