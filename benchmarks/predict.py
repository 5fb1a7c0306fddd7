"""Seconds a megapixel and peak memory of a whole-image run, beside the network's convolutions alone in the same run.

    python benchmarks/predict.py                      # 0.5 to 4 megapixels on the CPU, in fp32
    python benchmarks/predict.py --megapixels 2 --precision bf16

Each size runs in a process of its own, so that its peak is its own. The convolutions are the very ones the network
calls, on inputs of the same sizes, channels-last; "ratio" is the whole run's time over theirs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from mattecli import memory
from mattecli.backends import load_backend
from mattecli.matting import network_input, predict_alpha


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A synthetic photo and a trimap with a ring of unknown pixels, some 15 % of it."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    radius = np.hypot(x, y)
    trimap = np.where(radius < 0.6, 255, np.where(radius < 0.75, 128, 0)).astype(np.uint8)
    return image, trimap


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The median time of `run`."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def convolutions(net: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """A function that runs each convolution that `net` calls on x, on an input of the right size, and nothing else."""
    calls: list[tuple[nn.Conv2d, torch.Size]] = []
    hooks = [
        module.register_forward_hook(lambda m, inputs, _out: calls.append((m, inputs[0].shape)))
        for module in net.modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.inference_mode():
        net(x)
    for hook in hooks:
        hook.remove()
    room = torch.randn(max(shape.numel() for _, shape in calls)).to(x.dtype)

    def run() -> None:
        with torch.inference_mode():
            for conv, (batch, channels, height, width) in calls:
                part = room[: batch * channels * height * width].view(batch, height, width, channels)
                conv(part.permute(0, 3, 1, 2))

    return run


def measure(megapixels: float, precision: str, repeats: int) -> dict[str, float]:
    """One size: its times and its peak memory above what the process held before."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5 / 16) * 16
    height = round(megapixels * 1e6 / width / 16) * 16
    image, trimap = scene(height, width)
    backend = load_backend(device="cpu", precision=precision)
    predict_alpha(image[:128, :128], np.full((128, 128), 128, np.uint8), backend)  # warm up
    before = memory.peak_bytes()
    whole = seconds(lambda: predict_alpha(image, trimap, backend), repeats)
    peak = memory.peak_bytes()
    net = backend._net
    x = torch.from_numpy(network_input(image, trimap))[None].to(next(net.parameters()).dtype)
    alone = seconds(convolutions(net, x.contiguous(memory_format=torch.channels_last)), repeats)
    pixels = height * width
    return {
        "megapixels": pixels / 1e6,
        "seconds": whole,
        "convolutions": alone,
        "peak": peak,
        "above": (peak - before) / pixels,
        "estimate": backend.peak_bytes(height, width),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.5, 1, 2, 4])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--give-back", action="store_true", help="let the C library give freed memory back, as it would"
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.give_back:
        memory.keep_freed_memory = lambda: None
    if options.one:
        print(json.dumps(measure(options.megapixels[0], options.precision, options.repeats)))
        return
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.precision}, "
        f"median of {options.repeats}\n"
    )
    print(
        "| megapixels | seconds | s / megapixel | convolutions alone | ratio | peak memory | bytes a pixel | estimate |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for megapixels in options.megapixels:
        command = [sys.executable, __file__, "--one", "--megapixels", str(megapixels), "--precision", options.precision]
        command += ["--repeats", str(options.repeats), *(["--give-back"] if options.give_back else [])]
        row = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        print(
            f"| {row['megapixels']:.2f} | {row['seconds']:.2f} | {row['seconds'] / row['megapixels']:.2f} "
            f"| {row['convolutions']:.2f} | {row['seconds'] / row['convolutions']:.2f} "
            f"| {memory.show_bytes(row['peak'])} | {row['above']:.0f} | {memory.show_bytes(row['estimate'])} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
