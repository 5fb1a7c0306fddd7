"""Mattes of an open photo, and their tiles."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import Box
from mattecli.imaging.image import to_depth
from mattecli.inference.plan import Tile
from mattecli.server.pyramid import Levels, level_grids
from mattecli.server.refusals import MissingError
from mattecli.server.tiles import Index
from mattecli.server.windowed import Windowed

Kind = Literal["preview", "exact"]
GIVEN = 1  # the run of a matte that was not made here


@dataclass(frozen=True, eq=False)
class Found:
    """A matte of a photo, made from the labels as they were after the operation `sequence`.

    `alpha` is float32, (h, w), of `box` at a level; an exact one is that of the whole photo at level 0. `error` is the
    mean difference of such previews from the exact matte, from 0 to 1. `draft` says that a small copy was matted first.
    `trimap` is what it was made from. `given` says that it was not made here.
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
    draft: bool = False
    trimap: NDArray[np.uint8] | None = None
    given: bool = False

    def to_json(self) -> dict[str, Any]:
        """The same for the page."""
        box = self.box
        return {
            "run": self.run,
            "kind": self.kind,
            "sequence": self.sequence,
            "box": [box.left, box.top, box.right, box.bottom],
            "error": self.error,
            "given": self.given,
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

    def keep(self, found: Found, *, on_drop: Callable[[], None] = lambda: None) -> bool:
        """Keep a matte in place of the older one of its kind, and say whether it is kept.

        A preview is kept only while there is no exact matte of the same or newer labels. `on_drop` is called when the
        matte is not kept any more.
        """
        with self._lock:
            self._found[found.kind] = found
            self._drops[found.run] = on_drop
            preview, exact = self._found.get("preview"), self._found.get("exact")
            if preview is not None and exact is not None and preview.sequence <= exact.sequence:
                del self._found["preview"]
            self._forget({kept.run for kept in self._found.values()})
            return found in self._found.values()

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

    def get(self, run: int) -> Found:
        """The matte of a run. Raises `MissingError` for one that is not kept any more."""
        with self._lock:
            found = next((kept for kept in self._found.values() if kept.run == run), None)
        if found is None:
            raise MissingError(f"the matte of run {run} is not kept; ask for the newest")
        return found

    def tile(self, run: int, level: int, index: Index) -> NDArray[np.uint8]:
        """A tile of the alpha of a run, uint8 (h, w); 0 outside of its box. Raises as `get` does."""
        found = self.get(run)
        if found.kind == "exact":
            with self._lock:
                tile = self._levels.setdefault(run, Levels(found.alpha)).tile(level, index)
        else:
            tile = Windowed(found.box, found.level, found.alpha).tile(level, self.grids[level].box(index))
        return np.asarray(to_depth(np.asarray(tile), 8), np.uint8)
