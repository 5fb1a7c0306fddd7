"""Pictures of a run: curves and sample crops."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.system.files import remedy_of, whole_file
from mattecli.training.data.scenes import Sample
from mattecli.training.validation import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Series = dict[str, list[tuple[float, float]]]

_GAP = 4  # pixels between the pictures of a contact sheet
_GREY = 40  # of the gaps

NO_MATPLOTLIB = 'curves.png is not drawn, because matplotlib is not installed; pip install "mattecli[training]"'


@dataclass(frozen=True)
class Panel:
    """One diagram: a line for each name, as (x, y) points."""

    title: str
    series: Series
    logarithmic: bool = False  # the y axis
    x_label: str = "step"


def draw_curves(log: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw losses, validation figures, learning rate and norm of the gradient over the steps into a PNG.

    `log` holds the lines of log.jsonl. Raises ModuleNotFoundError without matplotlib and InputError for a file that
    cannot be written.
    """
    steps = [line for line in log if line.get("kind") == "step" and line["norm"] is not None]  # not all left out
    validations = [line for line in log if line.get("kind") == "validation"]
    losses: Series = {}
    for line in steps:
        for name, value in line["losses"].items():
            losses.setdefault(name, []).append((line["step"], value))
    panels = [Panel("losses (mean of an interval)", losses, logarithmic=True)]
    for figure, title in (("sad", "validation: SAD (thousands)"), ("mse", "validation: MSE")):
        series: Series = {}
        for line in validations:
            for found in line["figures"]:
                series.setdefault(found["trimaps"], []).append((line["step"], found[figure]))
        panels.append(Panel(title, series, logarithmic=True))
    panels.append(Panel("learning rate", {"lr": [(line["step"], line["lr"]) for line in steps]}))
    panels.append(Panel("norm of the gradient", {"norm": [(line["step"], line["norm"]) for line in steps]}, True))
    draw_panels(panels, path)


def draw_panels(panels: Sequence[Panel], path: Path) -> None:
    """Draw diagrams one below another into a PNG. Panels without a point are left out; legends show last values.

    Raises ModuleNotFoundError without matplotlib and InputError for a file that cannot be written.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    shown = [panel for panel in panels if any(panel.series.values())]
    figure = Figure(figsize=(9.6, 3.2 * max(1, len(shown))), dpi=100)
    figure.subplots_adjust(bottom=0.1 / max(1, len(shown)), top=1 - 0.1 / max(1, len(shown)), hspace=0.35)
    for number, panel in enumerate(shown, start=1):
        axes = figure.add_subplot(len(shown), 1, number)
        axes.set_title(panel.title, fontsize="medium")
        axes.set_xlabel(panel.x_label, fontsize="small")
        values = (y for points in panel.series.values() for _, y in points)
        if panel.logarithmic and any(0 < y < math.inf for y in values):
            axes.set_yscale("log", nonpositive="mask")
            axes.yaxis.set_major_formatter(LogFormatter())
            axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
        if len(panel.series) > 10:
            axes.set_prop_cycle(color=colormaps["tab20"](range(20)))
        for name, points in panel.series.items():
            x, y = zip(*points, strict=True) if points else ((), ())
            label = f"{name} {y[-1]:.4g}" if y else name
            axes.plot(x, y, linewidth=1, marker="o" if len(points) < 40 else "", markersize=3, label=label)
        axes.grid(which="both", alpha=0.3)
        axes.tick_params(which="both", labelsize="small")
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, as a whole or not at all; raises InputError for a file that cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    content = io.BytesIO()
    # "tight" makes room for legends beside the axes, and costs half the time of a constrained layout
    FigureCanvasAgg(figure).print_figure(content, format="png", bbox_inches="tight")
    _write(path, content.getvalue())


def draw_samples(rows: Iterable[Row], path: Path) -> None:
    """Draw photo, trimap, predicted alpha and true alpha side by side into a PNG, one row a picture."""
    lines = []
    for row in rows:
        planes = [row.trimap, *(np.rint(plane.clip(0, 1) * 255).astype(np.uint8) for plane in (row.alpha, row.truth))]
        lines.append(np.hstack([row.photo[..., ::-1], *(np.repeat(plane[..., None], 3, axis=2) for plane in planes)]))
    if lines:
        width = max(line.shape[1] for line in lines)
        sheet = np.vstack([_padded(line, width) for line in lines])
        _write(path, cv2.imencode(".png", sheet)[1].tobytes())


def contact_sheet(samples: Sequence[Sample], *, columns: int = 2) -> NDArray[np.uint8]:
    """Image, trimap, alpha and foreground of each sample side by side, `columns` samples to a row: RGB (H, W, 3).

    All samples must have the same size.
    """
    strips = [_strip(sample) for sample in samples]
    while len(strips) % columns:
        strips.append(np.full_like(strips[0], _GREY))
    rows = [np.hstack(strips[first : first + columns]) for first in range(0, len(strips), columns)]
    return np.vstack(rows)


def _strip(sample: Sample) -> NDArray[np.uint8]:
    greys = (np.repeat(plane[:, :, None], 3, axis=2) for plane in (sample.trimap, sample.alpha))
    planes = [sample.image, *greys, sample.foreground]
    gaps = [_GAP] * (len(planes) - 1) + [4 * _GAP]  # pixels to the right of each
    framed = [
        np.pad(plane, ((0, _GAP), (0, gap), (0, 0)), constant_values=_GREY)
        for plane, gap in zip(planes, gaps, strict=True)
    ]
    return np.hstack(framed)


def _padded(line: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    return np.pad(line, ((0, 4), (0, width - line.shape[1]), (0, 0)), constant_values=255)


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(content)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); {remedy_of(error)}") from error
