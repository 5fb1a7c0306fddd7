"""A shop's catalogue from end to end: drawn products of 2 megapixels, matted, finished and delivered.

    python benchmarks/catalogue.py WORK [--count 200]

Products are drawn by code, with true alphas and trimaps. Then `matte batch` runs in processes of its own, on the CPU in
fp32: alphas only; finished on a white canvas with a shadow, alphas kept; the same with another fill, which takes the
kept alphas; that once more into a fresh folder; and killed half way and resumed. The loop `finishing alone` reads
photos and alphas, finishes and writes, with nothing around it. Prints a markdown table. Times are wall clock, and
seconds of the processor, which other programs disturb less.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.finishing import Finishing
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.write import write_alpha, write_image
from mattecli.system.process import prepare_process
from mattecli.trimaps.make import make_trimap
from mattecli.work.job import read_finished, write_outputs
from mattecli.work.outcome import Job
from mattecli.work.outputs import OutputOptions

WIDTH, HEIGHT = 1600, 1250
FLAGGED = 0.5  # attention score from which a photo would be looked at
FINISH = ("--what", "composite:jpg", "-b", "white", "--canvas", "2000x2000", "--shadow", "contact", "--fill")
FIRST, SECOND = "85%", "80%"
Floats = NDArray[np.float32]


# --- products ---------------------------------------------------------------------------------------------------------


def product(number: int) -> tuple[NDArray[np.uint8], Floats]:
    """A photo of a thing on a light ground, (H, W, 3), and its true alpha."""
    rng = np.random.default_rng(number)
    alpha = _shape(rng)
    over = _surface(rng)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    light = 1 - 0.08 * np.hypot(rows / HEIGHT - 0.4, columns / WIDTH - rng.uniform(0.3, 0.7))
    ground = (0.93 * light)[..., None] * rng.uniform(0.97, 1.0, 3).astype(np.float32)
    shadow = cv2.GaussianBlur(np.roll(alpha, 18, axis=0), (0, 0), 22)
    under = ground * (1 - 0.25 * shadow[..., None])
    grain = rng.normal(0, 0.006, (HEIGHT, WIDTH, 1)).astype(np.float32)
    mixed = alpha[..., None] * over + (1 - alpha[..., None]) * under + grain
    return np.clip(mixed * 255 + 0.5, 0, 255).astype(np.uint8), alpha


def _shape(rng: np.random.Generator) -> Floats:
    """A body, sometimes with a neck, a handle or a fringe of threads; drawn four times as large, for its edge."""
    factor = 4
    canvas = np.zeros((HEIGHT * factor // 2, WIDTH * factor // 2), np.uint8)  # twice the photo's size
    height, width = canvas.shape
    middle = int(width * rng.uniform(0.42, 0.58)), int(height * rng.uniform(0.5, 0.6))
    half = int(width * rng.uniform(0.1, 0.2)), int(height * rng.uniform(0.2, 0.32))
    kind = int(rng.integers(4))
    if kind == 0:  # a ball or an egg
        cv2.ellipse(canvas, middle, half, float(rng.uniform(-20, 20)), 0, 360, 255, -1, cv2.LINE_AA)
    else:
        left, top = middle[0] - half[0], middle[1] - half[1]
        corner = int(min(half) * rng.uniform(0.1, 0.5))
        cv2.rectangle(canvas, (left + corner, top), (left + 2 * half[0] - corner, top + 2 * half[1]), 255, -1)
        cv2.rectangle(canvas, (left, top + corner), (left + 2 * half[0], top + 2 * half[1] - corner), 255, -1)
        for x in (left + corner, left + 2 * half[0] - corner):
            for y in (top + corner, top + 2 * half[1] - corner):
                cv2.circle(canvas, (x, y), corner, 255, -1, cv2.LINE_AA)
    if kind == 1:  # a bottle's neck
        neck = half[0] // 3
        end = (middle[0] + neck, middle[1] - half[1])
        cv2.rectangle(canvas, (middle[0] - neck, middle[1] - half[1] - neck * 2), end, 255, -1)
    if kind == 2:  # a mug's handle
        place = (middle[0] + half[0], middle[1])
        cv2.ellipse(canvas, place, (half[0] // 2, half[1] // 2), 0, -90, 90, 255, half[0] // 8, cv2.LINE_AA)
    if kind == 3:  # threads of a scarf
        for x in np.linspace(middle[0] - half[0], middle[0] + half[0], 60):
            foot = int(x + rng.normal(0, 12)), int(middle[1] + half[1] + rng.uniform(40, 130))
            cv2.line(canvas, (int(x), middle[1] + half[1] - 4), foot, 255, 3, cv2.LINE_AA)
    small = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return np.clip(cv2.GaussianBlur(small, (0, 0), 0.7), 0, 1)


def _surface(rng: np.random.Generator) -> Floats:
    """The colours of the thing: a tint with patches, texture and a highlight, darker than its ground."""
    tint = rng.uniform(0.08, 0.75, 3).astype(np.float32)
    patches = rng.normal(size=(12, 16, 3)).astype(np.float32)
    texture = rng.normal(size=(HEIGHT // 4, WIDTH // 4, 1)).astype(np.float32)
    colours = tint + 0.06 * cv2.resize(patches, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    colours += 0.03 * cv2.resize(texture, (WIDTH, HEIGHT))[..., None]
    return np.clip(colours, 0, 1)


def draw(work: Path, count: int) -> None:
    """Photos, trimaps and true alphas, those that are missing."""
    for folder in ("photos", "trimaps", "alphas"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        name = f"product{number:03d}"
        if (work / f"trimaps/{name}.png").exists():
            continue
        photo, alpha = product(number)
        write_image(work / f"photos/{name}.jpg", Image(photo), overwrite=True)
        write_alpha(work / f"alphas/{name}.tif", alpha, bits="float", overwrite=True)
        write_image(work / f"trimaps/{name}.png", Image(make_trimap(alpha, erode=8, dilate=10)), overwrite=True)


# --- runs -------------------------------------------------------------------------------------------------------------


@dataclass
class Clock:
    """Wall clock and processor seconds of each step."""

    steps: dict[str, tuple[float, float]] = field(default_factory=dict)

    def time(self, name: str, step: Callable[[], object]) -> None:
        before, started = _processor(), time.perf_counter()
        step()
        self.steps[name] = time.perf_counter() - started, _processor() - before
        print(f"{name}: {self.steps[name][0]:.1f} s, {self.steps[name][1]:.1f} s of the processor", flush=True)


def _processor() -> float:
    """Processor seconds of this process and of those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def command(work: Path, out: Path, *options: str) -> list[str]:
    folders = [str(work / "photos"), str(out), "--trimaps", str(work / "trimaps"), "--quiet"]
    return [sys.executable, "-m", "mattecli", "batch", *folders, "--device", "cpu", "--precision", "fp32", *options]


def batch(work: Path, out: Path, *options: str) -> None:
    subprocess.run(command(work, out, *options), check=True)


def finish_alone(work: Path, out: Path, fill: float) -> None:
    """Read each photo and its alpha, finish and write, one after the other, in this process."""
    options = OutputOptions(finishing=Finishing(canvas=(2000, 2000), fill=fill, shadow="contact"))
    out.mkdir(parents=True, exist_ok=True)
    for photo in sorted((work / "photos").glob("*.jpg")):
        target = str(out / f"{photo.stem}_composite.jpg")
        alpha = str(work / f"alphas/{photo.stem}.tif")
        job = Job(photo.name, str(photo), alpha, {"composite": target}, "white", finished=True)
        matte = read_finished(job, reading=ReadOptions())
        write_outputs(job, matte, options, backgrounds={"composite": (1.0, 1.0, 1.0)}, replaces={"composite": True})


def kill_and_resume(work: Path, out: Path, *options: str) -> None:
    """Kill a run when half of its outputs are there; then give the same command again."""
    count = len(list((work / "photos").glob("*.jpg")))
    process = subprocess.Popen(command(work, out, *options))
    while process.poll() is None and len(pictures(out)) < count / 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    print(f"killed with {len(pictures(out))} of {count} outputs", flush=True)
    batch(work, out, *options)


def pictures(out: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(out.glob("*.jpg"))}


def same(one: Path, two: Path) -> bool:
    """Whether two folders have the same pictures, byte by byte."""
    left, right = pictures(one), pictures(two)
    return (
        bool(left)
        and left.keys() == right.keys()
        and all(left[name].read_bytes() == right[name].read_bytes() for name in left)
    )


def flagged(report: Path) -> tuple[int, int]:
    lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    scores = [line["attention"]["score"] for line in lines if "attention" in line]
    return sum(score >= FLAGGED for score in scores), len(scores)


def show(clock: Clock, count: int, facts: Sequence[str]) -> None:
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    print(f"\n{count} drawn products of {WIDTH}×{HEIGHT}, threads of the network: {threads}\n")
    print("| run | seconds | photos a minute | processor seconds |")
    print("|---|--:|--:|--:|")
    for name, (wall, processor) in clock.steps.items():
        print(f"| {name} | {wall:.1f} | {60 * count / wall:.1f} | {processor:.1f} |")
    print()
    for fact in facts:
        print(f"- {fact}")


def main() -> None:
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    work: Path = options.work / str(options.count)
    draw(work, options.count)
    for folder in ("mattes", "shop", "fresh", "alone", "killed"):
        shutil.rmtree(work / folder, ignore_errors=True)
    report, clock = work / "run.jsonl", Clock()
    clock.time("alphas only", partial(batch, work, work / "mattes", "--report", str(report)))
    kept = (*FINISH, FIRST, "--keep-alpha")
    clock.time("finished, alphas kept", partial(batch, work, work / "shop", *kept))
    clock.time("another fill, with kept alphas", partial(batch, work, work / "shop", *FINISH, SECOND))
    clock.time("finishing alone", partial(finish_alone, work, work / "alone", float(SECOND[:-1]) / 100))
    clock.time("another fill, fresh", partial(batch, work, work / "fresh", *FINISH, SECOND))
    clock.time("killed half way and resumed", partial(kill_and_resume, work, work / "killed", *FINISH, SECOND))
    steps, (looked, all_) = clock.steps, flagged(report)
    speed = [steps["alphas only"][k] / steps["finished, alphas kept"][k] for k in (0, 1)]
    longer = [steps["another fill, with kept alphas"][k] / steps["finishing alone"][k] - 1 for k in (0, 1)]
    sizes = [path.stat().st_size for path in (work / "shop/.matte/alphas").glob("*.npz")]
    facts = [
        f"finished photos a minute beside alphas only: {speed[0]:.0%}, by processor seconds {speed[1]:.0%}",
        f"the run with kept alphas against finishing alone: {longer[0]:+.0%}, by processor seconds {longer[1]:+.0%}",
        f"its files are those of a fresh run, byte by byte: {same(work / 'shop', work / 'fresh')}",
        f"a run that was killed and resumed gives the same files: {same(work / 'killed', work / 'fresh')}",
        f"kept alphas: {sum(sizes) / 2**20:.1f} MiB, {np.mean(sizes) / 2**10:.0f} KiB a photo",
        f"clean products with an attention score of {FLAGGED} or more: {looked} of {all_}",
    ]
    show(clock, options.count, facts)


if __name__ == "__main__":
    main()
