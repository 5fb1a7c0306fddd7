"""The curve over all runs: crops seen against SAD on the validation pictures.

    python benchmarks/runs.py --line 17000 RUN… --line 0 RUN… [--plot docs/runs.png]

Each --line is runs that began one from the other, by their folders, after the number of crops that was seen before the
first of them. A run's crops count up to its best validation, from where the next began. Table (Markdown) on stdout.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mattecli.training.curves import Panel, draw_panels


def main() -> None:
    """Print the table and draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--line", nargs="+", action="append", required=True, metavar=("BEFORE", "RUN"))
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    series: dict[str, list[tuple[float, float]]] = {}
    print("| run | step | crops seen | SAD, tight | SAD, loose | mean |\n|---|---:|---:|---:|---:|---:|")
    for before, *runs in options.line:
        seen = int(before)
        for run in map(Path, runs):
            judged = validations(run)
            series[run.name] = [(seen + crops, sad) for _, crops, _, sad in judged]
            for step, crops, figures, sad in judged:
                cells = " | ".join(f"{figure:.2f}" for figure in (*figures, sad))
                print(f"| {run.name} | {step:,} | {seen + crops:,} | {cells} |")
            seen += min(judged, key=lambda point: point[3])[1]
    if options.plot:
        draw_panels([Panel("mean SAD over crops seen, by run", series, logarithmic=True)], options.plot)


def validations(run: Path) -> list[tuple[int, int, list[float], float]]:
    """Step, crops seen in this run, the SAD of each kind of trimaps and their mean, for each validation."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    found, crops, last = [], 0, 0
    for line in lines:
        if line["kind"] == "step":
            crops, last = crops + (line["step"] - last) * line["batch"], line["step"]
        elif line["kind"] == "validation":
            at_hand = crops + (line["step"] - last) * line.get("batch", 0)
            found.append((line["step"], at_hand, [entry["sad"] for entry in line["figures"]], line["sad"]))
    return found


if __name__ == "__main__":
    main()
