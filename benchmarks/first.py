"""The first matte: `matte predict` from a cold shell, as a whole process, beside `import torch`.

    python benchmarks/first.py                                     # 0.26, 1 and 2 megapixels, by what `auto` takes
    python benchmarks/first.py --options "" "--precision bf16" "--backend onnx" --megapixels 0.1 0.26 0.5 1
    python benchmarks/first.py --against ../before                 # beside another checkout of mattecli

All candidates take turns. Seconds of the processor count where other programs run: a process that waits for a core does
not use it. Files are in the system's cache and Python's compiled modules are there, as they are for the second run of a
user.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
from tiles import scene

HERE = Path(__file__).parents[1]


@dataclass
class Candidate:
    """A command, and its times: by the clock and of the processor."""

    name: str
    command: list[str]
    folder: Path = HERE
    times: list[tuple[float, float]] = field(default_factory=list)

    def run(self) -> None:
        """One process, from start to end."""
        started, before = time.perf_counter(), os.times()
        subprocess.run(self.command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        self.times.append((time.perf_counter() - started, cpu))


def pictures(folder: Path, megapixels: float) -> tuple[Path, Path]:
    """A photo as JPEG and its trimap as PNG."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5 / 16) * 16
    image, trimap = scene(round(megapixels * 1e6 / width / 16) * 16, width)
    paths = folder / f"{megapixels}.jpg", folder / f"{megapixels}_trimap.png"
    cv2.imwrite(str(paths[0]), cv2.GaussianBlur(image, (0, 0), 2))
    cv2.imwrite(str(paths[1]), trimap)
    return paths


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.26, 1.0, 2.0])
    parser.add_argument("--options", nargs="+", default=[""], help="of `matte predict`, one candidate each")
    parser.add_argument("--against", type=Path, nargs="+", default=[], metavar="CHECKOUT")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    candidates = [Candidate("import torch", [sys.executable, "-c", "import torch"])]
    with tempfile.TemporaryDirectory() as place:
        for megapixels in options.megapixels:
            photo, trimap = pictures(Path(place), megapixels)
            out = Path(place) / "out.png"
            command = [sys.executable, "-m", "mattecli", "predict", str(photo), "-t", str(trimap), "-o", str(out)]
            for extra in options.options:
                for folder in (HERE, *(path.resolve() for path in options.against)):
                    name = f"{megapixels:g} MP {extra}" + (f" ({folder.name})" if folder != HERE else "")
                    candidates.append(Candidate(name, [*command, "--overwrite", *extra.split()], folder))
        for candidate in candidates:  # compiles Python's modules, fills the cache
            candidate.run()
            candidate.times.clear()
        load = os.getloadavg()[0]
        for _ in range(options.repeats):
            for candidate in candidates:
                candidate.run()
    print(f"medians of {options.repeats} in turns, load {load:.1f} to {os.getloadavg()[0]:.1f}\n")
    print("| whole process | seconds | of the processor | × `import torch` |\n|---|---:|---:|---:|")
    base = statistics.median(cpu for _, cpu in candidates[0].times)
    for candidate in candidates:
        wall, cpu = (statistics.median(column) for column in zip(*candidate.times, strict=True))
        print(f"| {candidate.name} | {wall:.2f} | {cpu:.2f} | {cpu / base:.2f} |")


if __name__ == "__main__":
    main()
