"""How fast `matte train` is: pixels and crops a second, waiting for data, and where the time of a step goes.

    python benchmarks/training.py [--device cpu] [--size 320 --size 448] [--threads 2] [--workers 1]
                                  [--photos DIR] [--foregrounds DIR] [--cache DIR] [--parts steps data profile]

It prints three tables in Markdown; `--parts` chooses among them:

- *steps*: the real loop, first with crops that are ready, then with crops made by `--workers` processes. The default on
  CUDA is crops of 512 pixels in batches of 16, on a CPU of 320 and 448 pixels in batches of 2.
- *data*: crops a second that 1, 2, … up to `--workers` processes make.
- *profile*: the shares of a step by PyTorch's profiler: time on the CPU, or on the card where there is one.

Run it alone: other programs on the machine change the figures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from mattecli.ops import loops
from mattecli.system.process import prepare_process
from mattecli.training.build import build_loader, build_network
from mattecli.training.config import TrainConfig, config_of
from mattecli.training.data.dataset import Samples, batches
from mattecli.training.distributed import training_device
from mattecli.training.log import LogLine, read_log
from mattecli.training.loop import BatchLoader, train

# Parts of a profile: first ranges that count all that runs inside them, then single operations.
RANGES = {
    "mattecli::downsample": "resampling",
    "mattecli::upsample": "resampling",
    "mattecli::correlate": "correlating u and v",
    "Optimizer.step": "optimizer",
    "Optimizer.zero_grad": "optimizer",
    "DataLoader": "data",
}
OPERATIONS = {
    "conv": "convolutions",
    "batch_norm": "batch norms",
    "group_norm": "group norms",
    "leaky_relu": "activations",
    "add": "additions",
    "copy_": "copies and casts",
    "to_copy": "copies and casts",
    "clone": "copies and casts",
    "softmax": "kernels",
    "sigmoid": "kernels",
    "_foreach": "clipping, averaging",
    "linalg": "clipping, averaging",
}


def main() -> None:
    options = _options()
    if options.device.type == "cpu":
        torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = options.cudnn_benchmark
    if options.without_loops:
        loops.LEAST_VALUES = sys.maxsize
    extras = [name for name in ("compile", "without_loops", "frozen") if getattr(options, name)]
    facts = [f"{torch.get_num_threads()} threads", f"PyTorch {torch.__version__}", options.precision, *extras]
    print(f"{options.device}, {', '.join(facts)}\n")
    if "steps" in options.parts:
        print("| crops | batch | data | crops/s | pixels/s | waiting |\n|---:|---:|---|---:|---:|---:|")
        for size in options.size:
            _print_steps(options, size, workers=0)
            if options.workers:
                _print_steps(options, size, workers=options.workers)
        print()
    if "data" in options.parts:
        print("| crops | workers | crops/s | pixels/s |\n|---:|---:|---:|---:|")
        for size in options.size:
            for workers in _powers(options.workers):
                rate = _data_rate(options, size, workers)
                print(f"| {size} | {workers} | {rate:.1f} | {rate * size * size:,.0f} |", flush=True)
        print()
    if "profile" in options.parts:
        for size in options.size:
            print(f"| part of a step at {size} | share |\n|---|---:|")
            for part, share in _shares(options, size):
                print(f"| {part} | {share:.1%} |")
            print(flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", type=int, action="append", help="side of the crops, pixels; can be repeated")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--interval", type=int, help="steps between two readings (default: 4, or 20 on CUDA)")
    parser.add_argument("--intervals", type=int, default=2, help="intervals to measure, after one to warm up")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--photos", action="append", default=[], help="folder of photographs for backgrounds")
    parser.add_argument("--foregrounds", action="append", default=[], help="folder of cut-outs")
    parser.add_argument("--cache", default="", help="folder of ready foregrounds; without it each worker makes its own")
    parser.add_argument("--bank", type=int, default=32, help="different procedural foregrounds")
    parser.add_argument("--optimizer", choices=["adamw", "muon"], default="muon")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--compile", action="store_true", help="as compile in [precision]")
    parser.add_argument("--without-loops", action="store_true", help="with --compile, to compare: no compiled loops")
    parser.add_argument("--frozen", action="store_true", help="norms frozen from the start, as for tuning on a CPU")
    parser.add_argument("--cudnn-benchmark", action="store_true", help="let cuDNN try its algorithms for each size")
    parser.add_argument(
        "--parts", nargs="+", choices=["steps", "data", "profile"], default=["steps", "data", "profile"]
    )
    options = parser.parse_args()
    options.device = training_device(options.device)
    on_cuda = options.device.type == "cuda"
    options.size = options.size or ([512] if on_cuda else [320, 448])
    options.interval = options.interval or (20 if on_cuda else 4)
    options.batch = options.batch or (16 if on_cuda else 2)
    return options


def _powers(largest: int) -> list[int]:
    """1, 2, 4, … and the largest."""
    return sorted({1 << n for n in range(largest.bit_length())} | {largest})


def _config(options: argparse.Namespace, size: int, folder: str, *, workers: int) -> TrainConfig:
    steps = (1 + options.intervals) * options.interval
    tables: dict[str, Any] = {
        "run": {"folder": folder, "steps": steps, "log_every": options.interval, "save_every": 10**9},
        "data": {
            "photos": [str(Path(path).resolve()) for path in options.photos],
            "foregrounds": [str(Path(path).resolve()) for path in options.foregrounds],
            "cache": str(Path(options.cache).resolve()) if options.cache else "",
            "bank": options.bank,
        },
        "crops": [{"size": size, "batch": options.batch}],
        "optimizer": {"name": options.optimizer},
        "norms": {"freeze": float(options.frozen)},
        "precision": {"dtype": options.precision, "compile": options.compile},
    }
    return config_of(tables, Path("train.toml")).replace(workers=workers)


def _print_steps(options: argparse.Namespace, size: int, *, workers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = _config(options, size, folder, workers=workers)
        loader = build_loader(config, options.device)
        loader = loader if workers else _the_same(loader)
        train(config, network=build_network(config), loader=loader, device=options.device)
        lines = [line for line in read_log(Path(folder) / "log.jsonl") if line["kind"] == "step"][1:]
    pixels, waiting = (_mean_over_time(lines, figure) for figure in ("pixels_per_second", "waiting"))
    data = f"{workers} workers" if workers else "ready"
    crops = pixels / size**2
    print(f"| {size} | {options.batch} | {data} | {crops:.2f} | {pixels:,.0f} | {waiting:.1%} |", flush=True)


def _mean_over_time(lines: list[LogLine], figure: str) -> float:
    seconds = [1 / line["pixels_per_second"] for line in lines]
    return float(sum(s * line[figure] for s, line in zip(seconds, lines, strict=True)) / sum(seconds))


def _the_same(loader: BatchLoader) -> BatchLoader:
    """The first batch again and again: the cost of steps when data costs nothing."""

    def one_batch(**plan: Any) -> Iterator[Mapping[str, Tensor]]:
        batch = next(loader(**plan))
        while True:
            yield batch

    return one_batch


def _data_rate(options: argparse.Namespace, size: int, workers: int) -> float:
    """Crops a second made by worker processes, after as many crops to fill the cache."""
    config = _config(options, size, "unused", workers=workers)
    count: int = 8 * options.batch * workers
    made = batches(Samples(config.data, seed=0), start=0, batch=options.batch, size_of=lambda _: size, workers=workers)
    began = 0.0
    for k in range(2 * count // options.batch):
        if k == count // options.batch:
            began = time.perf_counter()
        next(made)
    return count / (time.perf_counter() - began)


# The profile


def _shares(options: argparse.Namespace, size: int) -> list[tuple[str, float]]:
    """The parts of the steps after the warm-up and their shares of the time, the largest first."""
    cuda = options.device.type == "cuda"
    watch = profile(activities=[ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if cuda else []))
    with tempfile.TemporaryDirectory() as folder:
        config = _config(options, size, folder, workers=0)
        loader = _watched(
            _the_same(build_loader(config, options.device)), watch, first=options.interval, last=2 * options.interval
        )
        train(config, network=build_network(config), loader=loader, device=options.device)
    parts: Counter[str] = Counter()
    for event in watch.events():  # type: ignore[no-untyped-call]
        if event.device_type.name == "CPU":  # also bears the time of the kernels that it called on the card
            parts[_part_of(event)] += event.self_device_time_total if cuda else event.self_cpu_time_total
    total = sum(parts.values())
    return [(part, microseconds / total) for part, microseconds in parts.most_common() if microseconds]


def _watched(loader: BatchLoader, watch: profile, *, first: int, last: int) -> BatchLoader:
    """The batches of a loader, with a profiler that runs from one batch to another."""

    def watched(**plan: Any) -> Iterator[Mapping[str, Tensor]]:
        for k, batch in enumerate(loader(**plan)):
            if k == first:
                watch.start()
            if k == last:
                watch.stop()
            yield batch

    return watched


def _part_of(event: Any) -> str:
    ancestor = event
    while ancestor is not None:
        for name, part in RANGES.items():
            if ancestor.name.startswith(name):
                return part
        ancestor = ancestor.cpu_parent
    name = event.name.removeprefix("aten::")
    return next((part for key, part in OPERATIONS.items() if key in name), "other")


if __name__ == "__main__":
    prepare_process()
    main()
