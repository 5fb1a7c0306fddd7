"""Finished mattes and foreground colours, for the eye."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.colours import ForegroundColours
from mattecli.compositing.finishing import Finishing, Length, finish
from mattecli.geometry import Box
from mattecli.imaging.image import Image, to_depth
from mattecli.server.mattes import Found, Mattes
from mattecli.server.pyramid import halved
from mattecli.server.tiles import Index
from mattecli.server.windowed import Windowed
from mattecli.work.outputs import OutputOptions

MOST_PIXELS = 4_000_000  # of the copy that is finished, and on which colours are estimated


class Looks:
    """What the page shows of finished mattes. It is made on a copy of some megapixels; what is saved is not.

    `photo` gives the sRGB pixels of a box, uint8 (h, w, 3). The last result of each kind is kept. Safe to use from
    threads. Raises `MissingError` for a run that is not kept, and `UsageError` for lengths that are too long.
    """

    def __init__(self, mattes: Mattes, photo: Callable[[Box], NDArray[np.uint8]]) -> None:
        self._mattes, self._photo = mattes, photo
        self._making = threading.Lock()
        self._made: dict[str, tuple[Any, Windowed]] = {}

    def finished(self, run: int, level: int, index: Index, options: OutputOptions) -> NDArray[np.uint8]:
        """A tile of a run's alpha with its edges finished, uint8 (h, w)."""
        found = self._mattes.get(run)
        edges = options.finishing
        if not edges.asked:
            return self._mattes.tile(run, level, index)
        window = self._kept("finished", (run, edges), lambda: _finished(found, edges))
        return np.asarray(window.tile(level, self._mattes.grids[level].box(index)), np.uint8)

    def colours(self, run: int, level: int, index: Index, options: OutputOptions) -> NDArray[np.uint8]:
        """A tile of the foreground's colours, uint8 (h, w, 3)."""
        found = self._mattes.get(run)
        key = run, options.colours, options.linear
        window = self._kept("colours", key, lambda: _coloured(found, self._photo(found.box), options))
        return np.asarray(window.tile(level, self._mattes.grids[level].box(index)), np.uint8)

    def _kept(self, kind: str, key: object, make: Callable[[], Windowed]) -> Windowed:
        with self._making:
            known = self._made.get(kind)
            if known is None or known[0] != key:
                known = self._made[kind] = key, make()
            return known[1]


def _copy(found: Found) -> tuple[NDArray[np.float32], int]:
    """The alpha at the finest level that has few enough pixels, and that level."""
    alpha, level = found.alpha, found.level
    while alpha.size > MOST_PIXELS:
        alpha, level = halved(alpha), level + 1  # not stretched where a side is odd: tiles lie on such a grid
    return np.clip(np.asarray(alpha), 0, 1), level


def _finished(found: Found, edges: Finishing) -> Windowed:
    alpha, level = _copy(found)
    trimap = found.trimap
    if trimap is not None and trimap.shape != found.alpha.shape:
        trimap = None  # that of the whole photo, for a window of it
    elif trimap is not None and trimap.shape != alpha.shape:
        step = 2 ** (level - found.level)
        rows, columns = (
            np.minimum(np.arange(side) * step + step // 2, full - 1)
            for side, full in zip(alpha.shape, trimap.shape, strict=True)
        )
        trimap = np.asarray(trimap)[np.ix_(rows, columns)]
    blank = Image(np.zeros((1, 1, 3), np.uint8))  # only shadows need the photo, and the page has none
    made = finish(blank, alpha, _smaller(edges, 2.0**level), trimap=None if trimap is None else np.asarray(trimap))
    return Windowed(found.box, level, np.asarray(to_depth(made.alpha, 8), np.uint8))


def _coloured(found: Found, photo: NDArray[np.uint8], options: OutputOptions) -> Windowed:
    alpha, level = _copy(found)
    pixels = np.ascontiguousarray(photo)
    while pixels.shape[:2] != alpha.shape:
        pixels = halved(pixels)
    own, scale = options.colours, 2.0**level
    despill = own.despill and dataclasses.replace(own.despill, reach=own.despill.reach / scale)
    colours = dataclasses.replace(own, choke=own.choke / scale, despill=despill)
    made = ForegroundColours(colours, linear=options.linear).of(Image(pixels), alpha)
    return Windowed(found.box, level, np.asarray(to_depth(np.clip(made, 0, 1), 8), np.uint8))


def _smaller(edges: Finishing, scale: float) -> Finishing:
    """The same edges for a copy that is so many times smaller."""

    def length(value: Length) -> Length:
        return value if isinstance(value, str) and value.strip().endswith("%") else float(value) / scale

    return dataclasses.replace(
        edges,
        min_area=round(edges.min_area / scale**2),
        fill_holes=round(edges.fill_holes / scale**2),
        smooth=length(edges.smooth),
        choke=length(edges.choke),
        spread=length(edges.spread),
        feather=length(edges.feather),
    )
