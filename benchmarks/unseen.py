"""Photos that a warm process has not seen before, beside the same photos again.

    python benchmarks/unseen.py                       # seconds a megapixel, the first time and again
    python benchmarks/unseen.py --built               # also how many convolutions oneDNN builds, and in which time
    python benchmarks/unseen.py --many 100            # photos of many sizes and trimaps, each followed by itself
    python benchmarks/unseen.py --ladder 1 2 4        # sizes of the decoder's boxes if their sides were multiples

oneDNN builds each convolution anew for each shape of its input. Seconds are those of the processor, with one thread.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from tiles import UNKNOWN, scene

from mattecli.geometry import Box
from mattecli.inference import tiling
from mattecli.inference.covers import cover
from mattecli.inference.model import load_model
from mattecli.system.process import prepare_process

WARM = (640, 960)
NEW = ((704, 1008), (800, 880), (592, 1104), (720, 976))  # height, width


def run(precision: str, many: int) -> None:
    """Print a line for each photo, the marks part what oneDNN says of it; or one for `many` photos."""
    model = load_model(device="cpu", backend="torch", precision=precision, threads=1)

    def seconds(height: int, width: int, unknown: float = UNKNOWN) -> float:
        image, trimap = scene(height, width, unknown)
        started = time.process_time()
        model.predict(image, trimap)
        return (time.process_time() - started) / (height * width / 1e6)

    seconds(*WARM), seconds(*WARM)
    if many:
        rng = np.random.default_rng(0)
        total = {"first": 0.0, "again": 0.0}
        for _ in range(many):
            size, unknown = rng.integers(400, 1400, 2).tolist(), float(rng.uniform(0.05, 0.3))
            megapixels = size[0] * size[1] / 1e6
            total["first"] += seconds(*size, unknown) * megapixels
            total["again"] += seconds(*size, unknown) * megapixels
        first, again = total.values()
        print(f"row | {precision} | {many} | {first:.1f} | {again:.1f} | {again / first:.0%} |", flush=True)
        return
    for size in NEW:
        print("first", flush=True)
        first = seconds(*size)
        print("again", flush=True)
        again = min(seconds(*size), seconds(*size))
        print(
            f"row | {precision} | {size[1]}×{size[0]} | {first:.2f} | {again:.2f} | {again / first:.0%} |", flush=True
        )


def measure(precision: str, *, built: bool, many: int) -> None:
    """The rows of one precision, from a process of its own."""
    environment = {**os.environ, **({"ONEDNN_VERBOSE": "profile_create"} if built else {})}
    command = [sys.executable, __file__, "--one", precision, "--many", str(many)]
    text = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    counts: list[float] = []
    listening = False
    for line in text.splitlines():
        if line in ("first", "again"):
            listening, counts = line == "first", [] if line == "first" else counts
        elif line.startswith("row "):
            print(line.removeprefix("row ") + (f" {len(counts)} | {sum(counts):.0f} |" if built else ""))
        elif listening and "create:cache_miss" in line:
            counts.append(float(line.rpartition(",")[2]))


class Noted:
    """`cover`, which notes its boxes."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []

    def __call__(self, cells: NDArray[np.bool_], **costs: float) -> list[Box]:
        found = cover(cells, **costs)
        self.boxes += found
        return found


def ladder(steps: list[int]) -> None:
    """How many sizes the decoder's boxes have, and their area, if their sides were multiples of so many cells."""
    model = load_model(device="cpu", backend="torch")
    print("| photo | boxes | sides in multiples of | sizes | cells |\n|---|---:|---:|---:|---:|")
    for height, width in NEW:
        noted = Noted()
        with mock.patch.object(tiling, "cover", noted):
            model.predict(*scene(height, width))
        boxes = noted.boxes
        for step in steps:
            sides = [(-(-box.height // step) * step, -(-box.width // step) * step) for box in boxes]
            area = sum(rows * columns for rows, columns in sides)
            print(f"| {width}×{height} | {len(boxes)} | {step} | {len(set(sides))} | {area} |")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--built", action="store_true")
    parser.add_argument("--many", type=int, default=0, metavar="PHOTOS")
    parser.add_argument("--ladder", type=int, nargs="+", metavar="CELLS")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run(options.one, options.many)
    elif options.ladder:
        ladder(options.ladder)
    else:
        more = [" built | ms |", "---:|---:|"] if options.built else ["", ""]
        print(f"load {os.getloadavg()[0]:.1f}\n")
        columns = "photos | first, s" if options.many else "photo | first, s / MP"
        print(f"| precision | {columns} | again | rate |{more[0]}\n|---|---|---:|---:|---:|{more[1]}")
        for precision in ("bf16", "fp32"):
            measure(precision, built=options.built, many=options.many)


if __name__ == "__main__":
    prepare_process()
    main()
