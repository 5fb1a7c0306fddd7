"""The strokes and polygons that the tests of Python and of JavaScript share, with their exact pixels.

    python -m tests.server.make_strokes

writes `strokes.json`, by brute force in fractions.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.server.oracle import Mask, polygon_mask, stroke_mask

FILE = Path(__file__).with_name("strokes.json")
HEIGHT, WIDTH = 40, 52

STROKES = {
    "a dot": [[20.5, 18.5, 6.0]],
    "a dot between pixels": [[20.0, 18.0, 2.5]],
    "a dot smaller than a pixel": [[20.5, 18.5, 0.25]],
    "a dot that misses all centres": [[20.0, 18.0, 0.25]],
    "a radius of zero on centres": [[10.5, 10.5, 0.0], [30.5, 10.5, 0.0]],
    "a horizontal line": [[8.5, 20.5, 3.0], [40.5, 20.5, 3.0]],
    "a vertical line": [[25.0, 5.0, 1.5], [25.0, 33.0, 1.5]],
    "a diagonal": [[5.5, 5.5, 2.0], [35.5, 35.5, 2.0]],
    "pressure": [[6.0, 30.0, 0.5], [44.0, 9.0, 8.25]],
    "one end in the other": [[20.0, 20.0, 9.0], [24.0, 21.0, 3.0]],
    "one end touches the other from within": [[20.0, 20.0, 9.0], [24.0, 20.0, 5.0]],
    "no length": [[20.0, 20.0, 4.0], [20.0, 20.0, 7.0]],
    "beyond all sides": [[-10.0, -3.0, 6.0], [60.0, 45.0, 14.0]],
    "outside of the picture": [[-40.0, -40.0, 6.0], [-20.0, 80.0, 3.0]],
    "many points": [[3.0 + 2.25 * i, 20.0 + 13.0 * (-1) ** i * i / 20, 0.5 + 0.2 * i] for i in range(21)],
}
POLYGONS = {
    "a triangle": [[5.25, 4.75], [44.5, 11.0], [17.0, 35.5]],
    "centres on the outline": [[10.5, 10.5], [20.5, 10.5], [20.5, 20.5], [10.5, 20.5]],
    "a star that crosses itself": [[25.0, 2.0], [37.0, 37.0], [4.0, 14.0], [47.0, 14.0], [13.0, 37.0]],
    "two loops in opposite directions": [[5.0, 5.0], [45.0, 35.0], [45.0, 5.0], [5.0, 35.0]],
    "beyond all sides": [[-20.0, 20.0], [26.0, -30.0], [80.0, 20.0], [26.0, 70.0]],
    "a line": [[5.0, 5.0], [40.0, 30.0]],
}


def runs(mask: Mask) -> list[list[int]]:
    """A mask as [row, first column, column after the last one]."""
    steps = np.diff(mask.astype(np.int8), axis=1, prepend=0, append=0)
    starts, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)
    return [[int(row), int(start), int(end)] for (row, start), (_, end) in zip(starts, ends, strict=True)]


def cases() -> dict[str, Any]:
    """All that the file holds."""
    random = np.random.default_rng(26)
    strokes, polygons = dict(STROKES), dict(POLYGONS)
    for number in range(12):
        points = random.uniform((-8, -8, 0), (60, 48, 9), (random.integers(1, 5), 3))
        strokes[f"random {number}"] = points.tolist()
        polygons[f"random {number}"] = random.uniform(-8, 56, (random.integers(3, 8), 2)).tolist()
    return {
        "height": HEIGHT,
        "width": WIDTH,
        "strokes": [
            {"name": name, "points": points, "runs": runs(stroke_mask(points, HEIGHT, WIDTH))}
            for name, points in strokes.items()
        ],
        "polygons": [
            {"name": name, "points": points, "runs": runs(polygon_mask(points, HEIGHT, WIDTH))}
            for name, points in polygons.items()
        ],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(cases(), separators=(",", ":")) + "\n", encoding="utf-8")
