"""A photo that is open: its pixels, labels, proposals and mattes."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.colour.spaces import is_linear, same_space
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_image
from mattecli.imaging.space import SRGB, Space
from mattecli.imaging.view import view_of
from mattecli.server.distance import Base
from mattecli.server.journal import Journal
from mattecli.server.labels import Labels
from mattecli.server.mattes import Mattes
from mattecli.server.painting import Painting
from mattecli.server.pyramid import LabelLevels, PhotoLevels
from mattecli.server.refusals import MissingError
from mattecli.server.shared import Shared
from mattecli.server.state import State, States, digest_of, stamp
from mattecli.server.tiles import Index
from mattecli.system.files import sweep

_MOST_PROPOSALS = 4
_MOST_EXPOSURES = 3
LAYERS = ("photo", "labels", "alpha", "colours", "base")


class Photo:
    """An open photo. `readonly` is true where another process paints it; then its paint is as it was at the start.

    `exposure` brightens what the network sees, by stops.
    Raises what reading the photo and its journal raise.
    """

    def __init__(self, path: Path, states: States, *, reading: ReadOptions, exposure: float = 0.0) -> None:
        self.path = path
        self._exposure = exposure
        self._stack = ExitStack()
        self._lock = threading.RLock()
        try:
            self._open(states, reading)
        except BaseException:
            self._stack.close()
            raise

    def _open(self, states: States, reading: ReadOptions) -> None:
        self.digest = digest_of(self.path)
        self.state: State = states.of(self.path, self.digest)
        self._stamp = stamp(self.path)
        self.readonly = not self._stack.enter_context(self.state.locked())
        self.folder = self.state.folder
        if self.readonly:
            self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        sweep(self.folder)
        image = read_image(self.path, options=reading)
        self._pixels = self._share(image.pixels)
        self.image: Image = replace(image, pixels=self._pixels.array)
        self._view: Shared | None = None
        self.width, self.height = self.image.size
        self.shown = PhotoLevels(self.image)
        self._exposed: OrderedDict[float, PhotoLevels] = OrderedDict()
        self.labels = Labels(self.height, self.width, photo=self.shown.colours, folder=self.folder)
        journal = self._journal()
        self.painting = self._stack.enter_context(Painting(self.labels, journal))
        self._label_levels = LabelLevels(self.labels)
        self.mattes = Mattes(self.height, self.width)
        self._stack.callback(self.mattes.close)
        self._proposals: OrderedDict[str, Base] = OrderedDict()

    def _journal(self) -> Journal:
        facts = {"photo": self.digest, "width": self.width, "height": self.height}
        if not self.readonly:
            return Journal(self.state.journal, facts=facts)
        copy = self.folder / self.state.journal.name
        if self.state.journal.exists():
            shutil.copyfile(self.state.journal, copy)
        return Journal(copy, facts=facts)

    def _share(self, array: NDArray[Any]) -> Shared:
        shared = Shared.of(array, folder=self.folder)
        self._stack.callback(shared.close)
        return shared

    @property
    def nbytes(self) -> int:
        """About how much memory the photo takes, its levels included."""
        view = 0 if self._view is None or self._view is self._pixels else self._view.array.nbytes
        return self.image.pixels.nbytes * 4 // 3 + view + 3 * self.height * self.width + self.mattes.nbytes

    def close(self) -> None:
        """Close the journal and let go of the lock."""
        self._stack.close()

    def changed(self) -> bool:
        """Whether the photo's file has another content than when it was opened, or is gone."""
        try:
            return stamp(self.path) != self._stamp and digest_of(self.path) != self.digest
        except (OSError, InputError):
            return True

    # For the network

    def view(self) -> Shared:
        """The photo in sRGB as the network sees it, (H, W, 3), shared with other processes."""
        with self._lock:
            if self._view is None:
                view = view_of(self.image, exposure=self._exposure)
                self._view = self._pixels if view.unchanged else self._share(view(self.image.pixels))
            return self._view

    def snapshot(self) -> tuple[NDArray[np.uint8], int]:
        """The trimap, uint8 (H, W), and the number of the operation that last changed it."""
        return self.painting.read(lambda labels: (labels.trimap(), painted(labels)))

    def propose(self, word: str, base: Base) -> None:
        """Keep a base that the page may lay under the paint. The oldest ones are forgotten."""
        with self._lock:
            self._proposals[word] = base
            while len(self._proposals) > _MOST_PROPOSALS:
                self._proposals.popitem(last=False)

    def proposal(self, word: str) -> Base:
        """A base that was proposed. Raises `MissingError` for another word."""
        with self._lock:
            if word not in self._proposals:
                raise MissingError("the proposal is not kept; propose anew")
            return self._proposals[word]

    def note_painted(self) -> None:
        """Note down that something was painted, for the list of photos. It is written once, not for each stroke."""
        number = self.painting.read(painted)
        known = self.state.facts
        if not known.get("painted") or known.get("saved") == known.get("painted"):
            self.state.note(painted=number)

    # For the page

    def facts(self) -> dict[str, Any]:
        """What the page must know of the photo when it is opened."""
        last = self.mattes.last
        return {
            "width": self.width,
            "height": self.height,
            "levels": [[grid.width, grid.height] for grid in self.shown.grids],
            "bits": self.image.depth,
            "linear": is_linear(self.image.space),
            "space": _space_word(self.image.space),
            "matte": None if last is None else last.to_json(),
            "saved": self.state.facts.get("saved"),
            **self.painting.read(numbers),
        }

    def tile(self, layer: str, level: int, index: Index, *, revision: int, exposure: float) -> tuple[NDArray[Any], int]:
        """A tile of a layer, and its revision. Raises `MissingError` where there is none."""
        grids = self.shown.grids
        if layer not in LAYERS or not 0 <= level < len(grids) or (layer == "base" and level):
            raise MissingError(f"there is no layer {layer} at level {level}")
        if not (0 <= index.row < grids[level].rows and 0 <= index.column < grids[level].columns):
            raise MissingError(f"there is no tile {tuple(index)} at level {level}")
        if layer == "photo":
            return self._photo_tile(level, index, exposure), 0
        if layer == "alpha":
            return self.mattes.tile(revision, level, index), revision
        if layer == "colours":
            return self._colour_tile(level, index, revision), revision
        if layer == "base":
            return self.painting.read(lambda labels: (labels.base[index], labels.revision(index)))
        return self.painting.read(lambda _: self.label_tile(level, index))

    def label_tile(self, level: int, index: Index) -> tuple[NDArray[np.uint8], int]:
        """A tile of the labels and its revision; to be called within `painting.read`."""
        return self._label_levels.tile(level, index), self._label_levels.revision(level, index)

    def _colour_tile(self, level: int, index: Index, run: int) -> NDArray[np.uint8]:
        """The foreground's colours for the eye. Where the alpha of a tile is 1, they are the photo's own."""
        estimated = self.mattes.colours(run, level, index, lambda found: self.shown.colours(found.box))
        opaque = self.mattes.tile(run, level, index) == 255
        return np.where(opaque[..., None], self._photo_tile(level, index, 0.0), estimated)

    def _photo_tile(self, level: int, index: Index, exposure: float) -> NDArray[np.uint8]:
        with self._lock:
            levels = self.shown if exposure == 0 else self._exposed.get(exposure)
            if levels is None:
                levels = self._exposed[exposure] = self.shown.brightened(exposure)
                while len(self._exposed) > _MOST_EXPOSURES:
                    self._exposed.popitem(last=False)
            return levels.tile(level, index)


def painted(labels: Labels) -> int:
    """The number of the last operation that changed labels; 0 for none."""
    return labels.last_change(Index(0, 0), max(labels.grid.rows, labels.grid.columns))


def numbers(labels: Labels) -> dict[str, Any]:
    """What the page shows of the labels' history and band."""
    return {
        "sequence": labels.sequence,
        "painted": painted(labels),
        "undoable": labels.history.undoable,
        "redoable": labels.history.redoable,
        "band": labels.band._asdict(),
    }


def _space_word(space: Space) -> str:
    """What a colour space is called beside a photo."""
    if same_space(space, SRGB):
        return "sRGB"
    return space.name or ("linear" if is_linear(space) else "its own profile")
