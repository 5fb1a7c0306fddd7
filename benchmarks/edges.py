"""How well `--choke` moves edges, and how long edges of a large photo take.

    python benchmarks/edges.py [--pixels 50] [--only moves|time]

The first table has ramps of 1 to 20 pixels in 12 directions, each at 10 places between the pixels, choked by 0.5 to 5
pixels. Where the levels 0.1, 0.5 and 0.9 are comes from all pixels by their distance to the edge (as in ISO 12233).
`levels` is how far they are from where they should be, in pixels; `width` is by how much of itself the distance from
0.1 to 0.9 changed. The other directions are mirror images of those from 0° to 45°, along which pixels repeat.

The second table has seconds of one core, for an ellipse with a hole and soft edges, and for a portrait's matte made
larger.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.contours import choked
from mattecli.compositing.edges import finished_edges
from mattecli.compositing.finishing import Finishing
from mattecli.imaging.read import read_alpha
from mattecli.system.process import prepare_process

Floats = NDArray[np.float32]
ANGLES = np.arange(12) * 7.5
RIM = 12
LEVELS = (0.1, 0.5, 0.9)


def ramp(width: float, degrees: float, phase: float) -> tuple[Floats, Floats]:
    """An edge that rises over `width` pixels, and the distance of each pixel to its middle."""
    size = 2 * RIM + 21 + int(1.5 * width)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    turn = math.radians(degrees)
    away = (x * math.cos(turn) + y * math.sin(turn) + phase).astype(np.float32)
    return np.clip(0.5 + away / width, 0, 1).astype(np.float32), away


def places(edges: list[tuple[Floats, Floats]]) -> NDArray[np.float64]:
    """Where an edge reaches the levels."""
    inner = (slice(RIM, -RIM), slice(RIM, -RIM))
    values, away = (np.concatenate([edge[i][inner].ravel() for edge in edges]) for i in (0, 1))
    bins = np.round(away * 10).astype(int)
    bins -= bins.min()
    count = np.bincount(bins)
    middle, mean = (np.bincount(bins, plane)[count > 0] / count[count > 0] for plane in (away, values))
    return np.array([np.interp(level, np.maximum.accumulate(mean + 1e-9 * middle), middle) for level in LEVELS])


def show_moves() -> None:
    """The first table."""
    print("| ramp | levels, greatest | mean | greatest off 0° | width, greatest | mean | greatest off 0° |")
    print("|---|" + "--:|" * 6)
    for width in (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0):
        levels, wider = [], []
        for pixels in (0.5, 1.0, 1.5, 2.3, 3.7, 5.0):
            for degrees in ANGLES:
                edges = [ramp(width, degrees, k / 10) for k in range(10)]
                before = places(edges)
                after = places([(choked(alpha, pixels), away) for alpha, away in edges])
                levels.append(np.abs(after - before - pixels))
                wider.append(abs((after[2] - after[0]) / (before[2] - before[0]) - 1))
        off, by = np.reshape(levels, (-1, 12, 3)), 100 * np.reshape(wider, (-1, 12))
        cells = [f"{figure:.3f}" for figure in (off.max(), off.mean(), off[:, 1:].max())]
        cells += [f"{figure:.1f} %" for figure in (by.max(), by.mean(), by[:, 1:].max())]
        print(f"| {width:g} | " + " | ".join(cells) + " |", flush=True)


def subjects(pixels: float) -> dict[str, Floats]:
    """The mattes of the second table."""
    height, width = (round(math.sqrt(pixels * 1e6 * ratio)) for ratio in (3 / 4, 4 / 3))
    drawn = np.zeros((height, width), np.float32)
    cv2.ellipse(drawn, (width // 2, height // 2), (width * 28 // 100, height * 38 // 100), 0, 0, 360, 1.0, -1)
    cv2.circle(drawn, (width // 2, height // 2), height // 10, 0.0, -1)
    matte = read_alpha(Path(__file__).parents[1] / "examples" / "portrait_alpha.png")
    side = round(math.sqrt(pixels * 1e6))
    larger = cv2.resize(matte, (side, side), interpolation=cv2.INTER_CUBIC)
    return {"ellipse": cv2.GaussianBlur(drawn, (0, 0), 1.5), "portrait": np.clip(larger, 0, 1)}


def show_time(pixels: float) -> None:
    """The second table."""
    print(
        f"\n| {pixels:g} MP | choke 1 | choke 1, feather 2 | choke 3, feather 3 | smooth 3 | feather 2 |\n|---|"
        + "--:|" * 5
    )
    ways = ({"choke": 1}, {"choke": 1, "feather": 2}, {"choke": 3, "feather": 3}, {"smooth": 3}, {"feather": 2})
    for name, matte in subjects(pixels).items():
        cells = []
        for way in ways:
            started = time.process_time()
            finished_edges(matte, Finishing(**way))
            cells.append(f"{time.process_time() - started:.1f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=float, default=50, help="size of the large photo, in millions of pixels")
    parser.add_argument("--only", choices=("moves", "time"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.only != "time":
        show_moves()
    if options.only != "moves":
        show_time(options.pixels)


if __name__ == "__main__":
    prepare_process()
    main()
