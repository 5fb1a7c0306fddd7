"""A run as pictures: its curves, and crops to look at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.system.files import whole_file
from mattecli.training.validation import Row

Canvas = NDArray[np.uint8]
Series = dict[str, list[tuple[float, float]]]

WIDTH, HEIGHT = 960, 300  # of one panel
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 34, 34  # margins around its plot
GREY, BLACK = (225, 225, 225), (40, 40, 40)
COLOURS = (  # BGR
    *((180, 119, 31), (14, 127, 255), (44, 160, 44), (40, 39, 214), (189, 103, 148)),
    *((75, 86, 140), (194, 119, 227), (127, 127, 127), (34, 189, 188), (207, 190, 23)),
)


@dataclass(frozen=True)
class Panel:
    """One diagram: lines by name over steps."""

    title: str
    series: Series
    logarithmic: bool = False


def draw_curves(log: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw losses, the figures of the validation and the learning rate over the steps into a PNG.

    `log` holds the lines of log.jsonl. Raises InputError when the file cannot be written.
    """
    steps = [line for line in log if line.get("kind") == "step"]
    judged = [line for line in log if line.get("kind") == "validation"]
    losses: Series = {}
    for line in steps:
        for name, value in line["losses"].items():
            losses.setdefault(name, []).append((line["step"], value))
    panels = [Panel("losses (mean of an interval)", losses, logarithmic=True)]
    for figure, title in (("sad", "validation: SAD (thousands)"), ("mse", "validation: MSE")):
        series: Series = {}
        for line in judged:
            for found in line["figures"]:
                series.setdefault(found["trimaps"], []).append((line["step"], found[figure]))
        panels.append(Panel(title, series, logarithmic=True))
    panels.append(Panel("learning rate", {"lr": [(line["step"], line["lr"]) for line in steps]}))
    panels.append(Panel("norm of the gradient", {"norm": [(line["step"], line["norm"]) for line in steps]}, True))
    draw_panels(panels, path)


def draw_panels(panels: Sequence[Panel], path: Path) -> None:
    """Draw diagrams below one another into a PNG, those without a point left out; ten lines differ in colour."""
    _write(path, np.concatenate([_draw(panel) for panel in panels if any(panel.series.values())] or [_blank()]))


def draw_samples(rows: Iterable[Row], path: Path) -> None:
    """Draw photo, trimap, predicted alpha and true alpha side by side, a row for each, into a PNG."""
    lines = []
    for row in rows:
        planes = [row.trimap, *(np.rint(plane.clip(0, 1) * 255).astype(np.uint8) for plane in (row.alpha, row.truth))]
        lines.append(np.hstack([row.photo[..., ::-1], *(np.repeat(plane[..., None], 3, axis=2) for plane in planes)]))
    if lines:
        width = max(line.shape[1] for line in lines)
        _write(path, np.vstack([_wide(line, width) for line in lines]))


def _wide(line: NDArray[np.uint8], width: int) -> Canvas:
    return np.pad(line, ((0, 4), (0, width - line.shape[1]), (0, 0)), constant_values=255)


def _draw(panel: Panel) -> Canvas:
    canvas = _blank()
    points = [point for line in panel.series.values() for point in line if _shows(panel, point)]
    _text(canvas, panel.title, (LEFT, 22), size=0.5)
    if not points:
        return canvas
    across = _Axis([x for x, _ in points], LEFT, WIDTH - RIGHT, logarithmic=False)
    up = _Axis([y for _, y in points], HEIGHT - BOTTOM, TOP, logarithmic=panel.logarithmic)
    for tick in up.ticks():
        cv2.line(canvas, (LEFT, up.pixel(tick)), (WIDTH - RIGHT, up.pixel(tick)), GREY, 1)
        _text(canvas, f"{tick:.4g}", (LEFT - 8, up.pixel(tick) + 4), right=True)
    for tick in across.ticks():
        cv2.line(canvas, (across.pixel(tick), TOP), (across.pixel(tick), HEIGHT - BOTTOM), GREY, 1)
        _text(canvas, f"{tick:,.0f}", (across.pixel(tick) + 4, HEIGHT - BOTTOM + 18), right=True)
    cv2.rectangle(canvas, (LEFT, TOP), (WIDTH - RIGHT, HEIGHT - BOTTOM), BLACK, 1)
    names = _Names(canvas, taken=LEFT + _text_width(panel.title, 0.5))
    for colour, (name, line) in zip(cycle(COLOURS), panel.series.items(), strict=False):
        pixels = [(across.pixel(x), up.pixel(y)) for x, y in line if _shows(panel, (x, y))]
        cv2.polylines(canvas, [np.array(pixels, np.int32)], False, colour, 1, cv2.LINE_AA)
        if len(pixels) < 40:
            for pixel in pixels:
                cv2.circle(canvas, pixel, 3, colour, -1, cv2.LINE_AA)
        names.write(f"{name} {line[-1][1]:.4g}", colour)
    return canvas


class _Names:
    """Writes the lines' names from the right: beside the title, then in rows below each other in the plot."""

    def __init__(self, canvas: Canvas, *, taken: int) -> None:
        self._canvas, self._left = canvas, taken + 16
        self._x, self._y = WIDTH - RIGHT, 22

    def write(self, name: str, colour: tuple[int, int, int]) -> None:
        width = _text_width(name)
        if self._x - width < self._left:
            self._x, self._y, self._left = WIDTH - RIGHT - 8, max(self._y + 16, TOP + 18), LEFT
        _text(self._canvas, name, (self._x, self._y), colour=colour, right=True)
        self._x -= width + 16


class _Axis:
    """Values to pixels along one side, with round ticks."""

    def __init__(self, values: Sequence[float], start: int, end: int, *, logarithmic: bool) -> None:
        self.start, self.end, self.logarithmic = start, end, logarithmic
        low, high = (self._scaled(f(values)) for f in (min, max))
        margin = (high - low) * (0.0 if start < end else 0.05) or (0.5 if high == low else 0.0)
        self.low, self.high = low - margin, high + margin

    def pixel(self, value: float) -> int:
        share = (self._scaled(value) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start))

    def ticks(self) -> list[float]:
        if self.logarithmic and self.high - self.low > 0.5:
            decades = range(math.floor(self.low), math.ceil(self.high) + 1)
            wanted = (1, 1.5, 2, 3, 5, 7) if self.high - self.low < 1 else (1, 2, 5) if len(decades) < 5 else (1,)
            ticks = [factor * 10.0**decade for decade in decades for factor in wanted]
        else:
            low, high = (10**v if self.logarithmic else v for v in (self.low, self.high))
            rough = (high - low) / 5
            unit = 10.0 ** math.floor(math.log10(rough))
            spacing = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
            ticks = [n * spacing for n in range(math.ceil(low / spacing), math.floor(high / spacing) + 1)]
        return [tick for tick in ticks if self.low <= self._scaled(tick) <= self.high]

    def _scaled(self, value: float) -> float:
        if not self.logarithmic:
            return value
        return math.log10(value) if value > 0 else -math.inf


def _shows(panel: Panel, point: tuple[float, float]) -> bool:
    return math.isfinite(point[1]) and (point[1] > 0 or not panel.logarithmic)


def _blank() -> Canvas:
    return np.full((HEIGHT, WIDTH, 3), 255, np.uint8)


def _text_width(text: str, size: float = 0.42) -> int:
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0])


def _text(
    canvas: Canvas,
    text: str,
    place: tuple[int, int],
    *,
    colour: tuple[int, int, int] = BLACK,
    size: float = 0.42,
    right: bool = False,
) -> None:
    left = place[0] - _text_width(text, size) if right else place[0]
    cv2.putText(canvas, text, (left, place[1]), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def _write(path: Path, canvas: NDArray[np.uint8]) -> None:
    encoded = cv2.imencode(".png", canvas)[1]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(encoded.tobytes())
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error}); choose a run folder that is writable") from error
