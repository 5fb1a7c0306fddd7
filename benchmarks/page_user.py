"""Pictures matted through the page of `matte ui`, by a script that plays the user.

    python benchmarks/page_user.py DATASET [--limit N] [--strokes 10] [--names GT01 …] [--records FILE] [--table FILE]

DATASET holds `image/`, `alpha/` and `trimap2/`, as alphamatting.com names them. The script knows the true alpha. In
Chromium, by pointer events and keys, it drags a box around the subject, presses Propose, and then paints up to
--strokes strokes. Where the subject reaches all four sides, it paints a stroke of each side instead of the box. It
paints each stroke where the error of the matte against the truth is largest: foreground or background where the
truth is certain, and else unknown. After each it waits for the exact matte. It stops when the SAD is at most 1.5 times
that of the matte from the given loose trimap. The table has strokes, the seconds of waiting in all and for each stroke
(median), and both SADs, of the whole picture in thousands.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from page_browser import Browser
from stroke_scenes import Scene, validation_scenes

from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.inference.precision import settle_precision

LEAST_ROOM = 0.03  # around a box, in shares of the picture's side; with less a person would not draw one
ENOUGH = 1.5  # times the SAD from the loose trimap
KEYS = {255: "f", 0: "b", 128: "u"}
Points = NDArray[np.float64]
Mask = NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--names", nargs="+")
    parser.add_argument("--strokes", type=int, default=10)
    parser.add_argument("--records", type=Path, help="append a line for each picture, and leave out those in it")
    parser.add_argument("--table", type=Path, help="only print the table of such a file")
    options = parser.parse_args()
    if not options.dataset and not options.table:
        parser.error("name DATASET, or a file of records by --table")
    if options.table is not None:
        print(table([json.loads(line) for line in options.table.read_text().splitlines()]))
        return
    records = []
    if options.records is not None and options.records.exists():
        records = [json.loads(line) for line in options.records.read_text().splitlines()]
    scenes = [scene for scene in validation_scenes(options.dataset) if not options.names or scene.name in options.names]
    model = Model(settle_precision(RunOptions(), eight_bits=True))
    for scene in scenes[: options.limit]:
        if any(record["name"] == scene.name for record in records):
            continue
        records.append(play(scene, options.dataset / "image" / f"{scene.name}.png", options.strokes, model))
        print(json.dumps(records[-1]), file=sys.stderr)
        if options.records is not None:
            with options.records.open("a") as file:
                file.write(json.dumps(records[-1]) + "\n")
    print(table(records))


def play(scene: Scene, photo: Path, most: int, model: Model) -> dict[str, Any]:
    """Matte one picture through the page; gives what it took and what came of it."""
    assert scene.loose is not None
    loose = sad(scene, np.rint(model.predict(scene.photo, scene.loose) * 255))
    with tempfile.TemporaryDirectory() as name, Browser([photo], Path(name)) as browser:
        browser.go()
        browser.opened(photo.name)
        user = User(browser, scene)
        waits, painted = [user.propose()], user.strokes
        course = [user.sad()]
        while course[-1] > ENOUGH * loose and user.strokes < most:
            stroke = next_stroke(scene, user.alpha, user.labels)
            if stroke is None:
                break
            waits.append(user.paint(stroke))
            course.append(user.sad())
        saved = user.save(photo.stem)
        assert sad(scene, saved) == course[-1], "the file that was saved is not the matte that was shown"
    facts = {"name": scene.name, "strokes": user.strokes, "at_first": painted, "precision": model.options.precision}
    return {**facts, "loose": loose, "course": course, "waits": waits}


def sad(scene: Scene, alpha: NDArray[Any]) -> float:
    """The SAD of the whole picture, in thousands."""
    return float(np.abs(alpha.astype(np.float64) - scene.alpha).sum() / 255 / 1000)


class Stroke(NamedTuple):
    """A label, the brush's diameter, and points (x, y), all in pixels of the picture."""

    label: int
    size: int
    points: Points


class User:
    """Looks at the page and acts on it. `alpha` and `labels` are what the page shows now."""

    def __init__(self, browser: Browser, scene: Scene) -> None:
        self.browser, self.scene = browser, scene
        self.alpha = self.labels = np.zeros_like(scene.alpha)
        self.strokes = 0

    def propose(self) -> float:
        """Drag a box around the subject, propose, and wait for the matte; gives the seconds of waiting."""
        if not self._box():
            unknown = np.full_like(self.scene.alpha, 128)
            for missed, wrong in ((self.scene.solid, 0), (self.scene.clear, 255)):
                stroke = next_stroke(self.scene, np.where(missed, np.uint8(wrong), self.scene.alpha), unknown)
                assert stroke is not None
                self._stroke(stroke)
        began = time.perf_counter()
        self.browser.press("Control+Enter")
        self.browser.until("document.querySelector('#status').textContent.includes('proposing')")
        self._wait()
        return time.perf_counter() - began

    def _box(self) -> bool:
        """Drag a box around the subject. False where nothing would be around it."""
        rows, columns = np.nonzero(self.scene.alpha > 12)
        room = 0.01 * self.scene.diagonal
        height, width = self.scene.alpha.shape
        corner = [max(columns.min() - room, 1), max(rows.min() - room, 1)]
        other = [min(columns.max() + room, width - 1), min(rows.max() + room, height - 1)]
        room = [corner[0] / width, corner[1] / height, 1 - other[0] / width, 1 - other[1] / height]
        if max(room) < LEAST_ROOM:
            return False
        self.browser.press("m")
        self.browser.drag(np.array([corner, other], np.float64))
        return True

    def paint(self, stroke: Stroke) -> float:
        """Paint a stroke and wait for the matte; gives the seconds of waiting."""
        self._stroke(stroke)
        began = time.perf_counter()
        self._wait()
        return time.perf_counter() - began

    def _stroke(self, stroke: Stroke) -> None:
        """Paint a stroke, which the server has in the end."""
        before = self.browser.facts()["sequence"]
        self.browser.press("d", KEYS[stroke.label])
        self.browser.brush(stroke.size)
        self.browser.drag(stroke.points)
        while self.browser.facts()["sequence"] == before:
            self.browser.tab.wait_for_timeout(50)
        self.strokes += 1

    def _wait(self) -> None:
        """Wait until the exact matte of all that was painted is there, and no proposal is under way."""
        quiet = 0
        began = time.perf_counter()
        while quiet < 3:
            self.browser.tab.wait_for_timeout(300)
            assert time.perf_counter() - began < 900, self.browser.status
            facts, status = self.browser.facts(), self.browser.status
            matte = facts["matte"]
            current = matte is not None and matte["kind"] == "exact" and matte["sequence"] == facts["painted"]
            quiet = quiet + 1 if current and "proposing" not in status and "unsent" not in status else 0
        height, width = self.scene.alpha.shape
        self.alpha = self.browser.layer("alpha", height, width)
        self.labels = self.browser.layer("labels", height, width)

    def sad(self) -> float:
        """The SAD of the matte that is shown."""
        return sad(self.scene, self.alpha)

    def save(self, stem: str) -> NDArray[np.uint8]:
        """Save by the key, and read the alpha that was written."""
        self.browser.press("Control+s")
        self.browser.until("document.querySelector('#status').textContent.includes('· saved')")
        return cv2.imread(str(self.browser.saved / f"{stem}_alpha.png"), cv2.IMREAD_UNCHANGED)


def next_stroke(scene: Scene, alpha: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Stroke | None:
    """The stroke that a person would paint next: where the error that paint can mend is largest."""
    error = np.abs(alpha.astype(np.float32) - scene.alpha) / 255
    mixed = ~scene.solid & ~scene.clear
    choices = []
    for label, may, mends in (
        (255, scene.solid, scene.solid & (labels != 255)),
        (0, scene.clear, scene.clear & (labels != 0)),
        (128, None, (mixed | (error > 0.1)) & (labels != 128)),
    ):
        mass = np.where(mends, error, 0)
        around = 0.06 * scene.diagonal
        blurred = cv2.GaussianBlur(mass, (0, 0), around)
        choices.append((float(blurred.max()), label, may, mass, blurred))
    best, label, may, mass, blurred = max(choices, key=lambda choice: choice[0])
    if best < 1e-6:
        return None
    place = np.unravel_index(blurred.argmax(), blurred.shape)
    if may is None:
        radius = max(3.0, 0.012 * scene.diagonal)
        allowed = np.ones_like(mixed)
    else:
        depth = cv2.distanceTransform(np.pad(may, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        near = np.hypot(*(np.indices(mass.shape) - np.array(place)[:, None, None])) < 0.12 * scene.diagonal
        inside = depth[near & (mass > 0.05)]
        most = 0.04 * scene.diagonal
        radius = float(np.clip(0.6 * np.quantile(inside, 0.9), 1.0, most)) if inside.size else 2.0
        allowed = depth > radius + 0.7
    points = scribble(mass, allowed, (int(place[0]), int(place[1])), radius, 0.8 * scene.diagonal)
    return None if points is None else Stroke(label, max(1, int(2 * radius)), points)


def scribble(
    mass: NDArray[np.float32], allowed: Mask, place: tuple[int, int], radius: float, most: float
) -> Points | None:
    """A line over what is wrong near a place, within what is allowed and up to a length.

    It goes from each cell of the radius' size to the nearest one that is wrong, along allowed cells.
    """
    side = max(2, int(radius))
    height, width = (size // side for size in mass.shape)
    cells = mass[: height * side, : width * side].reshape(height, side, width, side).sum(axis=(1, 3))
    free = allowed[side // 2 :: side, side // 2 :: side][:height, :width]
    wrong = (cells > 0.05 * side * side) & free
    if not wrong.any():
        wrong = (cells >= cells[free].max()) & free if free.any() else wrong
    if not wrong.any():
        return None
    spots = np.argwhere(wrong)
    at = spots[np.hypot(*(spots - np.array(place) / side).T).argmin()]
    path, length = [at], 0.0
    wrong[tuple(at)] = False
    while wrong.any() and length < most:
        way = _way(free, wrong, tuple(at))
        if way is None or len(way) * side > 0.1 * most:
            break
        length += len(way) * side
        path += way
        at = way[-1]
        for cell in way:
            wrong[tuple(cell)] = False
    return (np.array(path, np.float64)[:, ::-1] + 0.5) * side


def _way(free: Mask, goals: Mask, start: tuple[int, ...]) -> list[NDArray[np.int64]] | None:
    """The shortest way along free cells to the nearest goal, by breadth."""
    came: dict[tuple[int, ...], tuple[int, ...]] = {start: start}
    edge = [start]
    while edge:
        beyond = []
        for cell in edge:
            for step in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
                to = (cell[0] + step[0], cell[1] + step[1])
                if to in came or not (0 <= to[0] < free.shape[0] and 0 <= to[1] < free.shape[1]) or not free[to]:
                    continue
                came[to] = cell
                if goals[to]:
                    way = [to]
                    while came[way[-1]] != start:
                        way.append(came[way[-1]])
                    return [np.array(cell) for cell in reversed(way)]
                beyond.append(to)
        edge = beyond
    return None


def table(records: list[dict[str, Any]]) -> str:
    """Markdown: a line for each picture, and what came of all."""
    lines = [
        "| picture | strokes | waited, s | a stroke, s | SAD after the box | at the end | loose trimap | ratio |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    good = 0
    for record in sorted(records, key=lambda record: record["name"]):
        course, waits, loose = record["course"], record["waits"], record["loose"]
        ratio = course[-1] / loose
        good += ratio <= ENOUGH
        each = f"{statistics.median(waits[1:]):.1f}" if len(waits) > 1 else "–"
        sads = f"{course[0]:.1f} | {course[-1]:.1f} | {loose:.1f} | {ratio:.2f}"
        lines.append(f"| {record['name']} | {record['strokes']} | {sum(waits):.0f} | {each} | {sads} |")
    return "\n".join([*lines, "", f"{good} of {len(records)} within {ENOUGH} × the SAD of the loose trimap"])


if __name__ == "__main__":
    main()
