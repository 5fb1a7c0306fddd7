"""Random operations on labels, and a plain model of labels in whole arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.server.distance import Base, measured
from mattecli.server.labels import BARE, Labels, Restriction
from mattecli.server.operation import Operation
from mattecli.server.raster import covered, polygon_spans, stroke_spans
from mattecli.trimaps.make import make_trimap

Plan = Callable[[Labels], Operation]

LABELS = (0, 128, 255, None)
SHARES = {"stroke": 0.55, "polygon": 0.15, "fill": 0.15, "band": 0.12, "base": 0.03}


@cache
def blob(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A mask with a ragged edge, a hole and a speck."""
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), max(2.0, min(height, width) / 12))
    return np.where(smooth > 0.3 * smooth.std(), 255, 0).astype(np.uint8)


@cache
def blob_base(height: int, width: int, seed: int) -> Base:
    """A blob with its distances."""
    return measured(blob(height, width, seed))


def random_plan(random: np.random.Generator, height: int, width: int, *, largest: float = 40.0) -> tuple[str, Plan]:
    """A stroke, polygon, fill, band or base at random, with its kind."""
    kind = str(random.choice(list(SHARES), p=list(SHARES.values())))
    label = LABELS[random.integers(4)]
    over = [frozenset({0, 128, 255}), frozenset({128}), frozenset({0, 128})][random.integers(3)]
    restriction = Restriction(over=over)
    if kind == "stroke":
        start = random.uniform((0, 0), (width, height))
        steps = np.cumsum(random.normal(0, largest / 3, (random.integers(1, 30), 2)), axis=0)
        path = np.column_stack([start + steps, random.uniform(0.5, largest, len(steps))])
        return kind, lambda labels: labels.stroke(path, label, restriction=restriction)
    if kind == "polygon":
        outline = random.uniform((0, 0), (width, height)) + random.normal(0, 3 * largest, (random.integers(3, 9), 2))
        return kind, lambda labels: labels.polygon(outline, label, restriction=restriction)
    if kind == "fill":
        x, y = (int(value) for value in random.integers(0, (width, height)))
        return kind, lambda labels: labels.fill(x, y, label)
    if kind == "band":
        inside, outside = (int(value) for value in random.integers(0, 60, 2))
        return kind, lambda labels: labels.set_band(inside, outside)
    base = blob_base(height, width, int(random.integers(4)))
    return kind, lambda labels: labels.set_base(base, inside=3, outside=5)


class Dense:
    """Labels as two whole arrays: paint, and the mask or trimap below it."""

    def __init__(self, height: int, width: int) -> None:
        self.paint = np.full((height, width), BARE, np.uint8)
        self.mask: NDArray[np.uint8] | None = None
        self.band = (0, 0)

    def trimap(self) -> NDArray[np.uint8]:
        """What the labels must be."""
        below = np.full(self.paint.shape, 128, np.uint8)
        if self.mask is not None:
            below = make_trimap(self.mask, erode=self.band[0], dilate=self.band[1])
        return np.where(self.paint == BARE, below, self.paint)

    def painted(self, mask: NDArray[np.bool_], label: int | None, over: frozenset[int]) -> None:
        """Paint where the mask and the labels allow it."""
        self.paint[mask & np.isin(self.trimap(), list(over))] = BARE if label is None else label

    def region(self, x: int, y: int) -> NDArray[np.bool_]:
        """The connected pixels with the label at (x, y)."""
        trimap = self.trimap()
        pieces = cv2.connectedComponents((trimap == trimap[y, x]).view(np.uint8), connectivity=4)[1]
        return np.asarray(pieces == pieces[y, x])


def dense_spans(kind: str, points: NDArray[Any], labels: Labels) -> NDArray[np.bool_]:
    """The pixels of a stroke or polygon in a whole array."""
    spans = stroke_spans(points, labels.grid) if kind == "stroke" else polygon_spans(points, labels.grid)
    mask = np.zeros((labels.grid.height, labels.grid.width), np.bool_)
    for index, part in covered(spans, labels.grid):
        mask[labels.grid.box(index).slices] = part
    return mask
