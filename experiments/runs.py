"""The curve over all runs: crops seen against SAD on the validation pictures.

    python experiments/runs.py experiments/runs.csv --plot experiments/runs.png
    python experiments/runs.py experiments/runs.csv --add 65060 runs/eighth --plot experiments/runs.png

The table has a row for each validation, so it stays when the folder of a run is gone. `--add` adds the rows of runs
that began one from the other, or replaces the rows of the same names. The number before the runs says how many crops
had been seen before the first. A run counts up to where the next one began: its best validation, or its end.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

from mattecli.training.plots import Panel, draw_panels


class Point(NamedTuple):
    """A validation: a row of the table. What is not known of an old one is left empty."""

    run: str
    step: str
    crops: int  # seen since random weights
    tight: str  # SAD with each kind of trimaps
    loose: str
    mean: float


def main() -> None:
    """Update the table and draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--add", nargs="+", metavar=("BEFORE", "RUN"))
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    points = read(options.table)
    if options.add:
        new = added(int(options.add[0]), [Path(run) for run in options.add[1:]])
        names = {point.run for point in new}
        points = [point for point in points if point.run not in names] + new
        write(options.table, points)
    if options.plot:
        series: dict[str, list[tuple[float, float]]] = {}
        for point in points:
            series.setdefault(point.run, []).append((point.crops, point.mean))
        draw_panels([Panel("mean SAD by run", series, logarithmic=True, x_label="crops seen")], options.plot)


def read(table: Path) -> list[Point]:
    """The rows of the table."""
    with table.open(newline="", encoding="utf-8") as lines:
        return [
            Point(row["run"], row["step"], int(row["crops"]), row["tight"], row["loose"], float(row["mean"]))
            for row in csv.DictReader(lines)
        ]


def write(table: Path, points: list[Point]) -> None:
    """Write the table."""
    with table.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines, lineterminator="\n").writerows([Point._fields, *points])


def added(seen: int, runs: list[Path]) -> list[Point]:
    """The validations of runs that began one from the other, the first one after `seen` crops."""
    points: list[Point] = []
    own: list[Point] = []
    total = 0
    for number, run in enumerate(runs):
        if number:
            start = Path(log(run)[0]["config"]["run"]["start"])
            seen = total if start.name == "ema.safetensors" else min(own, key=lambda point: point.mean).crops
        own, total = validations(run, seen)
        points += own
    return points


def validations(run: Path, seen: int) -> tuple[list[Point], int]:
    """The validations of a run that began after `seen` crops, and the crops seen at its end."""
    found, last = [], 0
    for line in log(run):
        if line["kind"] == "step":
            seen, last = seen + (line["step"] - last) * line["batch"], line["step"]
        elif line["kind"] == "validation":
            crops = seen + (line["step"] - last) * line.get("batch", 0)
            tight, loose = (f"{entry['sad']:.3f}" for entry in line["figures"])
            found.append(Point(run.name, str(line["step"]), crops, tight, loose, round(line["sad"], 3)))
    return found, seen


def log(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]


if __name__ == "__main__":
    main()
