"""Mattes of an open photo, and their tiles."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import Box
from mattecli.imaging.image import to_depth
from mattecli.inference.plan import Tile
from mattecli.server.pyramid import Levels, level_grids
from mattecli.server.refusals import MissingError
from mattecli.server.tiles import Index

Kind = Literal["preview", "exact"]


@dataclass(frozen=True, eq=False)
class Found:
    """A matte of a photo, made from the labels as they were after the operation `sequence`.

    `alpha` is float32, (h, w), of `box` at a level; an exact one is that of the whole photo at level 0. `error` is the
    mean difference of such previews from the exact matte, from 0 to 1. `trimap` is what it was made from.
    """

    run: int
    kind: Kind
    sequence: int
    box: Box
    alpha: NDArray[np.float32]
    level: int = 0
    error: float | None = None
    tile: Tile | None = None
    precision: str | None = None
    trimap: NDArray[np.uint8] | None = None

    def to_json(self) -> dict[str, Any]:
        """The same for the page."""
        box = self.box
        return {
            "run": self.run,
            "kind": self.kind,
            "sequence": self.sequence,
            "box": [box.left, box.top, box.right, box.bottom],
            "error": self.error,
        }


class Mattes:
    """The last exact matte of a photo and the last preview, each known by its run. Safe to use from threads."""

    def __init__(self, height: int, width: int) -> None:
        self.grids = level_grids(height, width)
        self._lock = threading.Lock()
        self._found: dict[Kind, Found] = {}
        self._levels: dict[int, Levels] = {}
        self._drops: dict[int, Callable[[], None]] = {}

    @property
    def nbytes(self) -> int:
        """The memory that they take."""
        with self._lock:
            return sum(found.alpha.nbytes for found in self._found.values())

    @property
    def last(self) -> Found | None:
        """The newest matte."""
        with self._lock:
            return max(self._found.values(), key=lambda found: found.run, default=None)

    @property
    def exact(self) -> Found | None:
        """The newest exact matte."""
        with self._lock:
            return self._found.get("exact")

    def keep(self, found: Found, *, on_drop: Callable[[], None] = lambda: None) -> None:
        """Keep a matte in place of the older one of its kind. An exact one also replaces previews of older labels.

        `on_drop` is called when the matte is no longer kept.
        """
        with self._lock:
            self._found[found.kind] = found
            self._drops[found.run] = on_drop
            preview = self._found.get("preview")
            if found.kind == "exact" and preview is not None and preview.sequence <= found.sequence:
                del self._found["preview"]
            self._forget({kept.run for kept in self._found.values()})

    def close(self) -> None:
        """Keep none any more."""
        with self._lock:
            self._found.clear()
            self._forget(set())

    def _forget(self, runs: set[int]) -> None:
        """Drop all but these runs."""
        self._levels = {run: levels for run, levels in self._levels.items() if run in runs}
        for run in self._drops.keys() - runs:
            self._drops.pop(run)()

    def tile(self, run: int, level: int, index: Index) -> NDArray[np.uint8]:
        """A tile of the alpha of a run, uint8 (h, w); 0 outside of its box. Raises `MissingError` for an older run."""
        with self._lock:
            found = next((kept for kept in self._found.values() if kept.run == run), None)
            if found is None:
                raise MissingError(f"the matte of run {run} is not kept; ask for the newest")
            levels = self._levels.setdefault(run, Levels(found.alpha))
            if found.kind == "exact":
                return np.asarray(to_depth(np.asarray(levels.tile(level, index)), 8), np.uint8)
        return _windowed(found, level, self.grids[level].box(index))


def _windowed(found: Found, level: int, tile: Box) -> NDArray[np.uint8]:
    """A tile of a matte that covers a box only, at its own level."""
    result = np.zeros((tile.height, tile.width), np.uint8)
    scale, own = 2**level, 2**found.level
    # Both in pixels of the tile's level; the box lies on whole pixels of the matte's level.
    left, top = found.box.left / scale, found.box.top / scale
    across = down = own / scale
    shift = np.array([[across, 0, left - tile.left + across / 2 - 0.5], [0, down, top - tile.top + down / 2 - 0.5]])
    flags = cv2.INTER_LINEAR if own >= scale else cv2.INTER_AREA
    if own < scale:
        size = (max(1, round(found.alpha.shape[1] * across)), max(1, round(found.alpha.shape[0] * down)))
        small = cv2.resize(found.alpha, size, interpolation=flags)
        place = (round(left - tile.left), round(top - tile.top))
        _put(result, to_depth(small, 8), place)
        return result
    moved = cv2.warpAffine(found.alpha, shift, (tile.width, tile.height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inside = Box(
        round(top), round(top + found.alpha.shape[0] * down), round(left), round(left + found.alpha.shape[1] * across)
    ).within(tile)
    inside = inside.clip(tile.height, tile.width)
    if inside.height > 0 and inside.width > 0:
        result[inside.slices] = to_depth(np.asarray(moved, np.float32)[inside.slices], 8)
    return result


def _put(target: NDArray[np.uint8], part: NDArray[np.uint8], place: tuple[int, int]) -> None:
    """Write a part into a larger array at (x, y), as far as it lies within."""
    x, y = place
    height, width = part.shape
    box = Box(y, y + height, x, x + width).clip(*target.shape)
    if box.height > 0 and box.width > 0:
        target[box.slices] = part[box.top - y : box.bottom - y, box.left - x : box.right - x]
