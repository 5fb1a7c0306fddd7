"""Painting a large photo: the time of operations, undo and redo, and the memory.

    python benchmarks/labels.py [--width 12000] [--height 8400] [--operations 480]

Strokes of 20 to 300 points and radii of 2 to 250 pixels, polygons, outlines and what fills them, bands and erasers at
random over a mask of a subject with hair. Some fills begin anywhere, and so take up to half of the picture. Each
operation is written to a journal that is synced to the disk. Then all are undone and done again, and the hashes of all
states are compared. Measuring the mask, which is laid under the paint, is done apart from the labels.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.server.distance import measured
from mattecli.server.journal import Journal
from mattecli.server.labels import Labels, Restriction
from mattecli.server.operation import Operation
from mattecli.server.painting import Painting
from mattecli.server.pyramid import LabelLevels
from mattecli.system.memory import held_bytes, peak_bytes, show_bytes

Plan = Callable[[Labels], Operation]
KINDS = {
    "stroke": 0.56,
    "restricted stroke": 0.1,
    "eraser": 0.05,
    "polygon": 0.12,
    "outline and fill": 0.09,
    "fill anywhere": 0.03,
    "band": 0.05,
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=12000)
    parser.add_argument("--height", type=int, default=8400)
    parser.add_argument("--operations", type=int, default=480, help="outlines count once with their fill")
    parser.add_argument("--seed", type=int, default=26)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    mask = subject(options.height, options.width, random)
    with tempfile.TemporaryDirectory() as folder:
        labels = Labels(options.height, options.width)
        path = Path(folder) / "journal"
        with Painting(labels, Journal(path, facts={})) as painting:
            before, start = held_bytes(), time.perf_counter()
            base = measured(mask)
            measuring, start = time.perf_counter() - start, time.perf_counter()
            painting.do(1, lambda labels: labels.set_base(base, inside=8, outside=24))
            laying = time.perf_counter() - start
            states = [labels.digest()]
            times, refused = paint(painting, options, random, states, labels)
            print(
                f"{options.width}×{options.height}, {options.operations} operations, {refused} of them refused fills\n"
            )
            print("| operation | times | median, ms | p95, ms | longest, ms | CPU alone: p95, ms |")
            print("|---|--:|--:|--:|--:|--:|")
            every = [value for values in times.values() for value in values]
            for kind, values in [*times.items(), ("**all**", every)]:
                print(row(kind, values))
            for kind, values in there_and_back(painting, labels, states).items():
                print(row(kind, values))
            print(f"\nall {len(states)} states equal by hash on the way back and forth")
            print(
                f"base: measured in {measuring:.1f} s, laid in {laying:.2f} s; "
                f"journal: {show_bytes(path.stat().st_size)}"
            )
            levels, start = LabelLevels(labels), time.perf_counter()
            top = len(levels.grids) - 1
            for index in levels.grids[top]:
                levels.tile(top, index)
            print(f"all levels of the labels at once: {time.perf_counter() - start:.2f} s")
            print(
                f"memory: {show_bytes(held_bytes() - before)} more than before, of which undo "
                f"{show_bytes(labels.history.bytes_held)}; at most {show_bytes(peak_bytes())} in all, "
                f"with the mask of {show_bytes(mask.nbytes)}"
            )
        start = time.perf_counter()
        again = Labels(options.height, options.width)
        with Painting(again, Journal(path, facts={})) as restored:
            assert restored.sequence == painting.sequence
            assert again.digest() == states[-1]
        print(f"restored from the journal in {time.perf_counter() - start:.2f} s")


def paint(
    painting: Painting, options: argparse.Namespace, random: np.random.Generator, states: list[str], labels: Labels
) -> tuple[dict[str, list[tuple[float, float]]], int]:
    """Do the operations; gives the times by kind, and how many were refused."""
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)
    refused = 0
    for _ in range(options.operations):
        for kind, plan in operations(random, options.height, options.width):
            start, cpu = time.perf_counter(), time.process_time()
            answer = painting.do(painting.sequence + 1, plan)
            times[kind].append((time.perf_counter() - start, time.process_time() - cpu))
            refused += bool(answer.refused)
            if labels.history.undoable > len(states):
                states.append(labels.digest())
    return times, refused


def there_and_back(painting: Painting, labels: Labels, states: list[str]) -> dict[str, list[tuple[float, float]]]:
    """Undo everything but the base, and do it again. Every state must be the one that was there."""
    times: dict[str, list[tuple[float, float]]] = {"undo": [], "redo": []}
    for kind, order in (("undo", states[-2::-1]), ("redo", states[1:])):
        for state in order:
            start, cpu = time.perf_counter(), time.process_time()
            painting.do(painting.sequence + 1, Labels.undo if kind == "undo" else Labels.redo)
            times[kind].append((time.perf_counter() - start, time.process_time() - cpu))
            assert labels.digest() == state
    return times


def operations(random: np.random.Generator, height: int, width: int) -> list[tuple[str, Plan]]:
    """An operation at random, with its kind; an outline has the fill after it."""
    kind = str(random.choice(list(KINDS), p=list(KINDS.values())))
    label = int(random.choice([0, 128, 255]))
    place = random.uniform((0, 0), (width, height))
    x, y = int(place[0]), int(place[1])
    if kind == "fill anywhere":
        return [(kind, lambda labels: labels.fill(x, y, label))]
    angles = np.linspace(0, 2 * np.pi, 200)
    radius = random.uniform(50, 1500) * (1 + 0.2 * np.sin(5 * angles + random.uniform(0, 6)))
    outline = place + np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
    if kind == "polygon":
        return [(kind, lambda labels: labels.polygon(outline, label))]
    if kind == "outline and fill":
        closed = np.column_stack([np.append(outline, outline[:1], axis=0), np.full(len(outline) + 1, 6.0)])
        return [
            ("outline", lambda labels: labels.stroke(closed, label)),
            ("fill", lambda labels: labels.fill(x, y, label)),
        ]
    if kind == "band":
        inside, outside = (int(value) for value in random.integers(0, 80, 2))
        return [(kind, lambda labels: labels.set_band(inside, outside))]
    path = place + np.cumsum(random.normal(0, 12, 2) + random.normal(0, 6, (random.integers(20, 300), 2)), axis=0)
    radii = np.exp(random.uniform(np.log(2), np.log(250))) * (1 + 0.3 * np.sin(np.linspace(0, 3, len(path))))
    stroke = np.column_stack([path, radii])
    if kind == "eraser":
        return [(kind, lambda labels: labels.stroke(stroke, None))]
    restriction = Restriction(over=frozenset({128})) if kind == "restricted stroke" else Restriction()
    return [(kind, lambda labels: labels.stroke(stroke, label, restriction=restriction))]


def subject(height: int, width: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """A mask of a round subject with 400 hairs."""
    mask = np.zeros((height, width), np.uint8)
    middle, radius = (width // 2, height // 2), int(0.3 * height)
    cv2.circle(mask, middle, radius, 255, -1)
    for angle in random.uniform(0, 2 * np.pi, 400):
        bend = np.linspace(0, random.normal(0, 0.3), 30)
        reach = np.linspace(0.98, random.uniform(1.05, 1.4), 30) * radius
        hair = np.stack([middle[0] + reach * np.cos(angle + bend), middle[1] + reach * np.sin(angle + bend)], axis=1)
        cv2.polylines(mask, [hair.astype(np.int32)], False, 255, int(random.integers(2, 12)))
    return mask


def row(kind: str, seconds: list[tuple[float, float]]) -> str:
    """A row of the table, from seconds by the clock and of the CPU. The clock waits for the disk and other programs."""
    clock, cpu = 1000 * np.array(seconds).T
    return (
        f"| {kind} | {len(clock)} | {np.median(clock):.1f} | {np.quantile(clock, 0.95):.1f} | {clock.max():.0f} "
        f"| {np.quantile(cpu, 0.95):.1f} |"
    )


if __name__ == "__main__":
    main()
