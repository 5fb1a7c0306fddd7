"""The curve over runs that began one from the other: crops seen against SAD on the validation pictures.

    python benchmarks/runs.py RUN… [--before N] [--plot docs/runs.png]

Each RUN is the folder of a run, in their order; --before is how many crops were seen before the first. A run's crops
count up to its best validation, from where the next began. Table (Markdown) on stdout.
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
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--before", type=int, default=0)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    series: dict[str, list[tuple[float, float]]] = {}
    seen = options.before
    print("| run | step | crops seen | SAD, tight | SAD, loose | mean |\n|---|---:|---:|---:|---:|---:|")
    for run in options.runs:
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
