"""The curve over all runs: crops seen against SAD on the validation pictures.

    python benchmarks/runs.py --line 17000 RUN… --line 0 RUN… [--plot docs/runs.png]

Each --line is runs that began one from the other, by their folders, after the number of crops that was seen before the
first of them. A run's crops count up to where the next began: at its best validation, or at its end. The table is
Markdown, on stdout.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mattecli.training.curves import Panel, draw_panels

Judged = tuple[int, int, list[float], float]


def main() -> None:
    """Print the table and draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--line", nargs="+", action="append", required=True, metavar=("BEFORE", "RUN"))
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    series: dict[str, list[tuple[float, float]]] = {}
    print("| run | step | crops seen | SAD, tight | SAD, loose | mean |\n|---|---:|---:|---:|---:|---:|")
    for before, *runs in options.line:
        seen, judged, total = int(before), list[Judged](), 0
        for number, run in enumerate(map(Path, runs)):
            if number:
                seen += crops_before(run, judged, total)
            judged, total = validations(run)
            series[run.name] = [(seen + crops, sad) for _, crops, _, sad in judged]
            for step, crops, figures, sad in judged:
                cells = " | ".join(f"{figure:.2f}" for figure in (*figures, sad))
                print(f"| {run.name} | {step:,} | {seen + crops:,} | {cells} |")
    if options.plot:
        draw_panels([Panel("mean SAD over crops seen, by run", series, logarithmic=True)], options.plot)


def crops_before(run: Path, judged: list[Judged], total: int) -> int:
    """How many crops the run before had seen where this one began."""
    start = Path(log(run)[0]["config"]["run"]["start"])
    return total if start.name == "ema.safetensors" else min(judged, key=lambda point: point[3])[1]


def validations(run: Path) -> tuple[list[Judged], int]:
    """Step, crops seen in this run, SAD with each kind of trimaps and their mean, of each validation; and all crops."""
    found, crops, last = [], 0, 0
    for line in log(run):
        if line["kind"] == "step":
            crops, last = crops + (line["step"] - last) * line["batch"], line["step"]
        elif line["kind"] == "validation":
            at_hand = crops + (line["step"] - last) * line.get("batch", 0)
            found.append((line["step"], at_hand, [entry["sad"] for entry in line["figures"]], line["sad"]))
    return found, crops


def log(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]


if __name__ == "__main__":
    main()
