"""How long a trimap from strokes takes, by the size of the photo, and how soon it can be ended.

    python benchmarks/stroke_times.py PHOTO ALPHA [--megapixels 1 12 50] [--runs 10] [--precision bf16] [--profile]

PHOTO is enlarged to each size, and ALPHA, its true alpha, says where the strokes lie: four a side, seeded. The photo is
decoded and the network warm. A stage is a part of what `matte predict --scribbles` does:

- prepare: the copy that the segmentation works on
- cores: the middle of each stroke
- segment: the trimap, with the network's share of it beside
- crossing: strokes that cross the edge

The table (Markdown) has medians of processor seconds, which other programs on the machine change little, and of the
seconds that passed. "Longest wait" is the longest time between two calls of `check`, and that of a stage without any:
work that is to be ended goes on for so long at most. --profile prints where the time goes at the largest size.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from stroke_scenes import Scene, painted, random_strokes

from mattecli.evaluation.metrics import quantise
from mattecli.imaging.image import to_depth
from mattecli.imaging.read import read_alpha, read_image
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.system.process import prepare_process
from mattecli.trimaps.segmentation import prepare_photo, segment
from mattecli.trimaps.strokes import stroke_cores, without_crossing

STAGES = ("prepare", "cores", "segment", "network", "crossing")


class Clock:
    """The processor and wall seconds of each stage of a run, and the longest wait for a call of `check`."""

    def __init__(self) -> None:
        self.spent: dict[str, tuple[float, float]] = {}
        self.longest = 0.0
        self._last = time.process_time()

    def check(self, *_: Any) -> None:
        now = time.process_time()
        self.longest, self._last = max(self.longest, now - self._last), now

    def timed(self, stage: str, work: Callable[[], Any]) -> Any:
        self.check()
        began = time.process_time(), time.perf_counter()
        result = work()
        used = time.process_time() - began[0], time.perf_counter() - began[1]
        before = self.spent.get(stage, (0.0, 0.0))
        self.spent[stage] = before[0] + used[0], before[1] + used[1]
        self.check()
        return result


def run(photo: NDArray[np.uint8], strokes: NDArray[np.uint8], model: Model) -> Clock:
    """All stages once."""
    clock = Clock()

    def matte(small: NDArray[np.uint8], known: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = clock.timed("network", lambda: model.predict(small, known, progress=clock.check))
        return found

    prepared = clock.timed("prepare", lambda: prepare_photo(photo))
    cores = clock.timed("cores", lambda: stroke_cores(strokes))
    trimap = clock.timed("segment", lambda: segment(prepared, cores, matte=matte, check=clock.check))
    clock.timed("crossing", lambda: without_crossing(strokes, trimap))
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("alpha", type=Path)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 12, 50])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    model = Model(RunOptions(precision=options.precision))
    photo, alpha = to_depth(read_image(options.photo).pixels, 8), quantise(read_alpha(options.alpha))
    print("| megapixels | " + " | ".join(STAGES) + " | together | seconds passed | longest wait |")
    print("|--:|" + "--:|" * (len(STAGES) + 3))
    for megapixels in options.megapixels:
        scale = float(np.sqrt(megapixels * 1e6 / alpha.size))
        pixels = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR), np.uint8)
        large = np.asarray(cv2.resize(alpha, pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
        strokes = painted(random_strokes(Scene("", pixels, large), 4, 0), large.shape)
        run(pixels, strokes, model)  # warms up
        clocks = [run(pixels, strokes, model) for _ in range(options.runs)]
        cells = [median(clock.spent[stage][0] for clock in clocks) for stage in STAGES]
        for axis in (0, 1):
            whole = [sum(clock.spent[stage][axis] for stage in STAGES if stage != "network") for clock in clocks]
            cells.append(median(whole))
        cells.append(median(clock.longest for clock in clocks))
        print(f"| {megapixels:g} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |", flush=True)
    if options.profile:
        profile = cProfile.Profile()
        profile.runcall(run, pixels, strokes, model)
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    prepare_process()
    main()
