"""The curve over all runs: pixels seen against SAD on the validation pictures.

    python experiments/runs.py experiments/runs.csv --plot experiments/runs.png
    python experiments/runs.py experiments/runs.csv --add "mean of three" runs/long --judged 4.054 4.592

The table has a row for each validation, so it stays when the folder of a run is gone. `--add` adds the rows of runs
that began one from the other, or replaces the rows of the same names; the first began where the named one was best.
A run counts up to where the next one began: its best validation, or its end. `--judged` adds a row for the end of the
last run, with the SAD that `benchmarks/quality.py` measured with tight and with loose trimaps.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mattecli.training.plots import Panel, draw_panels


class Point(NamedTuple):
    """A validation: a row of the table. What is not known of an old one is left empty."""

    run: str
    step: str
    crops: int  # seen since random weights,
    megapixels: int  # and their pixels
    tight: str  # SAD with each kind of trimaps
    loose: str
    mean: float


class Seen(NamedTuple):
    """What a network has learned from."""

    crops: int
    megapixels: float

    def more(self, crops: int, pixels: float) -> Seen:
        """With further crops of so many pixels each, on average."""
        return Seen(self.crops + crops, self.megapixels + crops * pixels / 1e6)


def main() -> None:
    """Update the table and draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--add", nargs="+", metavar=("BEFORE", "RUN"))
    parser.add_argument("--judged", nargs=2, type=float, metavar=("TIGHT", "LOOSE"))
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    points = read(options.table)
    if options.add:
        before = min((point for point in points if point.run == options.add[0]), key=lambda point: point.mean)
        new = added(before, [Path(run) for run in options.add[1:]], judged=options.judged)
        names = {point.run for point in new}
        points = [point for point in points if point.run not in names] + new
        write(options.table, points)
    if options.plot:
        series: dict[str, list[tuple[float, float]]] = {}
        for point in points:
            series.setdefault(point.run, []).append((point.megapixels / 1000, point.mean))
        draw_panels([Panel("mean SAD by run", series, logarithmic=True, x_label="gigapixels seen")], options.plot)


def read(table: Path) -> list[Point]:
    """The rows of the table."""
    with table.open(newline="", encoding="utf-8") as lines:
        return [
            Point(
                row["run"],
                row["step"],
                int(row["crops"]),
                int(row["megapixels"]),
                row["tight"],
                row["loose"],
                float(row["mean"]),
            )
            for row in csv.DictReader(lines)
        ]


def write(table: Path, points: list[Point]) -> None:
    """Write the table."""
    with table.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines, lineterminator="\n").writerows([Point._fields, *points])


def added(before: Point, runs: list[Path], judged: Sequence[float] | None = None) -> list[Point]:
    """The validations of runs that began one from the other, the first one at a point; `judged` is the last one's."""
    points: list[Point] = []
    seen = Seen(before.crops, before.megapixels)
    own: list[Point] = []
    for number, run in enumerate(runs):
        if number and Path(log(run)[0]["config"]["run"]["start"]).name != "ema.safetensors":
            best = min(own, key=lambda point: point.mean)
            seen = Seen(best.crops, best.megapixels)
        own, seen = validations(run, seen)
        points += own
    if judged is not None:
        steps = max(line["step"] for line in log(runs[-1]) if line["kind"] == "step")
        points.append(point(runs[-1], steps, seen, judged))
    return points


def validations(run: Path, seen: Seen) -> tuple[list[Point], Seen]:
    """The validations of a run, and what has been seen at its end, given what had been before."""
    found, last = [], 0
    for line in log(run):
        if line["kind"] == "step":  # its size is that of the last step only
            pixels = line["pixels_per_second"] / line["crops_per_second"]
            seen, last = seen.more((line["step"] - last) * line["batch"], pixels), line["step"]
        elif line["kind"] == "validation":
            found.append(point(run, line["step"], seen, [entry["sad"] for entry in line["figures"]]))
    return found, seen


def point(run: Path, step: int, seen: Seen, sad: Sequence[float]) -> Point:
    """The row of a validation with tight and with loose trimaps."""
    tight, loose = (f"{value:.3f}" for value in sad)
    return Point(run.name, str(step), seen.crops, round(seen.megapixels), tight, loose, round(sum(sad) / 2, 3))


def log(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]


if __name__ == "__main__":
    main()
