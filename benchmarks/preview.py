"""Previews of a part of a picture, against the exact matte of the whole.

    python benchmarks/preview.py DATASET [--pictures N]

DATASET holds `image/` and `trimap2/`. The part is a quarter of each picture around the middle of what is unknown, which
stands for the visible part of a large photo. It is matted as a crop by itself, and as a window with the statistics
(pools and moments) of a copy at half the size, or of the exact run; each with several margins around it. The table
gives the mean difference to the exact alpha over the part's unknown pixels, and the worst picture's. The second table
gives the share of the time of an exact run that each pass takes, for the progress of `matte ui`.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import Box
from mattecli.imaging.read import read_image
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.inference.tiling import PASSES, Statistics
from mattecli.system.process import prepare_process
from mattecli.trimaps.pairs import read_trimap

MARGINS = (0, 64, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--pictures", type=int, default=14)
    options = parser.parse_args()
    prepare_process()
    model = Model(RunOptions(device="cpu", precision="fp32"))
    errors: dict[str, list[float]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    passes: dict[str, float] = defaultdict(float)
    for path in sorted((options.dataset / "image").iterdir())[: options.pictures]:
        photo, trimap = read_image(path).pixels, read_trimap(options.dataset / "trimap2" / path.name)
        for name, error, took in compared(model, photo, trimap, passes):
            errors[name].append(error)
            seconds[name].append(took)
    print("| preview | mean difference | worst picture | seconds |\n| --- | --- | --- | --- |")
    for name, found in errors.items():
        print(f"| {name} | {np.mean(found):.4f} | {max(found):.4f} | {np.mean(seconds[name]):.1f} |")
    total = sum(passes.values())
    print("\n| pass | share of the time |\n| --- | --- |")
    for label in PASSES:
        print(f"| {label} | {passes[label] / total:.3f} |")


def compared(
    model: Model, photo: NDArray[np.uint8], trimap: NDArray[np.uint8], passes: dict[str, float]
) -> list[tuple[str, float, float]]:
    """Each kind of preview with its difference and seconds."""
    exact_statistics, copy_statistics = Statistics(), Statistics()
    clock = Clock(passes)
    began = time.perf_counter()
    exact = model.predict(photo, trimap, statistics=exact_statistics, progress=clock)
    found = [("the exact run", 0.0, time.perf_counter() - began)]
    size = (photo.shape[1] // 2, photo.shape[0] // 2)
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    known = cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST)
    began = time.perf_counter()
    rough = model.predict(small, known, statistics=copy_statistics)
    took = time.perf_counter() - began
    part = middle_part(trimap)
    enlarged = cv2.resize(rough, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    found.append(("a copy at half the size", difference(enlarged, exact, trimap, part), took))
    for name, statistics in (
        ("crop", None),
        ("copy's statistics", copy_statistics),
        ("exact statistics", exact_statistics),
    ):
        for margin in MARGINS:
            window = part.grow(margin).clip(*trimap.shape)
            own = None if statistics is None else dict(statistics)
            began = time.perf_counter()
            alpha = model.predict(photo[window.slices], trimap[window.slices], statistics=own)
            took = time.perf_counter() - began
            whole = np.zeros_like(exact)
            whole[window.slices] = alpha
            found.append((f"{name}, margin {margin}", difference(whole, exact, trimap, part), took))
    return found


def middle_part(trimap: NDArray[np.uint8]) -> Box:
    """A quarter of the picture around the middle of its unknown pixels, at multiples of 16."""
    rows, columns = np.nonzero(trimap == 128)
    height, width = (side // 32 * 16 for side in trimap.shape)
    top = int(np.clip(np.median(rows) - height / 2, 0, trimap.shape[0] - height)) // 16 * 16
    left = int(np.clip(np.median(columns) - width / 2, 0, trimap.shape[1] - width)) // 16 * 16
    return Box(top, top + height, left, left + width)


def difference(alpha: NDArray[np.float32], exact: NDArray[np.float32], trimap: NDArray[np.uint8], part: Box) -> float:
    """The mean difference over the unknown pixels of a part."""
    unknown = trimap[part.slices] == 128
    return float(np.abs(alpha[part.slices] - exact[part.slices])[unknown].mean())


class Clock:
    """Adds up the seconds of each pass."""

    def __init__(self, passes: dict[str, float]) -> None:
        self.passes, self.label, self.since = passes, "", time.perf_counter()

    def __call__(self, label: str, done: int, _: int) -> None:
        now = time.perf_counter()
        if done:
            self.passes[label] += now - self.since
        self.since = now


if __name__ == "__main__":
    main()
