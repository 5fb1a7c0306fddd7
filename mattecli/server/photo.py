"""A photo that is open: its pixels, labels, proposals and mattes."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.server.distance import Base
from mattecli.server.journal import Journal
from mattecli.server.labels import Labels
from mattecli.server.looks import Looks
from mattecli.server.mattes import Mattes
from mattecli.server.painting import Painting
from mattecli.server.pixels import Pixels
from mattecli.server.pyramid import BaseLevels, LabelLevels
from mattecli.server.refusals import MissingError
from mattecli.server.shared import Shared
from mattecli.server.state import State, States, digest_of, stamp
from mattecli.server.tiles import Index
from mattecli.system.files import sweep
from mattecli.work.outputs import OutputOptions

_MOST_PROPOSALS = 4
LAYERS = ("photo", "labels", "alpha", "finished", "colours", "base")
PLAIN = OutputOptions()


class Snapshot(NamedTuple):
    """The trimap, uint8 (H, W), and the operations that last changed it and the base under its paint."""

    trimap: NDArray[np.uint8]
    sequence: int
    base: int


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
            # Windows removes no file that is mapped.
            self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        sweep(self.folder)
        self.pixels = Pixels(self.path, folder=self.folder, reading=reading, exposure=self._exposure)
        self._stack.callback(self.pixels.close)
        self.width, self.height = self.pixels.size
        self.grids = self.pixels.grids
        self.labels = Labels(self.height, self.width, photo=self.pixels.colours, folder=self.folder)
        journal = self._journal()
        self.painting = self._stack.enter_context(Painting(self.labels, journal))
        self._label_levels, self._base_levels = LabelLevels(self.labels), BaseLevels(self.labels)
        self.mattes = Mattes(self.height, self.width)
        self._stack.callback(self.mattes.close)
        self._looks = Looks(self.mattes, self.pixels.colours)
        self._proposals: OrderedDict[str, Base] = OrderedDict()

    def _journal(self) -> Journal:
        facts = {"photo": self.digest, "width": self.width, "height": self.height}
        if not self.readonly:
            return Journal(self.state.journal, facts=facts)
        copy = self.folder / self.state.journal.name
        if self.state.journal.exists():
            shutil.copyfile(self.state.journal, copy)
        return Journal(copy, facts=facts)

    @property
    def image(self) -> Image:
        """The photo; waits until it is decoded."""
        return self.pixels.image

    @property
    def nbytes(self) -> int:
        """About how much memory the photo takes, its levels included."""
        return self.pixels.nbytes + 3 * self.height * self.width + self.mattes.nbytes

    def close(self) -> None:
        """Close the journal and let go of the lock."""
        self._stack.close()

    @property
    def missing(self) -> bool:
        """Whether the photo's file is gone: moved, deleted, or on a disk that is not there."""
        return not self.path.exists()

    def changed(self) -> bool:
        """Whether the photo's file has another content than when it was opened. One that is gone has none."""
        try:
            return stamp(self.path) != self._stamp and digest_of(self.path) != self.digest
        except (OSError, InputError):
            return not self.missing

    # For the network

    def view(self) -> Shared:
        """The photo in sRGB as the network sees it, (H, W, 3), shared with other processes."""
        return self.pixels.view()

    def snapshot(self) -> Snapshot:
        """What is painted now."""
        return self.painting.read(lambda labels: Snapshot(labels.trimap(), painted(labels), labels.base_revision))

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
            "content": self.digest,
            "width": self.width,
            "height": self.height,
            "levels": [[grid.width, grid.height] for grid in self.grids],
            **self.pixels.facts(),
            "matte": None if last is None else last.to_json(),
            "saved": self.state.facts.get("saved"),
            **self.painting.read(numbers),
        }

    def tile(
        self,
        layer: str,
        level: int,
        index: Index,
        *,
        revision: int,
        exposure: float = 0.0,
        options: OutputOptions = PLAIN,
    ) -> tuple[NDArray[Any], int]:
        """A tile of a layer, and its revision. Raises `MissingError` where there is none.

        `exposure` is for the photo. `revision` is the run of mattes and their colours; `options` say how they are
        finished.
        """
        grids = self.grids
        if layer not in LAYERS or not 0 <= level < len(grids):
            raise MissingError(f"there is no layer {layer} at level {level}")
        if not (0 <= index.row < grids[level].rows and 0 <= index.column < grids[level].columns):
            raise MissingError(f"there is no tile {tuple(index)} at level {level}")
        if layer == "photo":
            return self.pixels.tile(level, index, exposure=exposure), 0
        if layer == "alpha":
            return self.mattes.tile(revision, level, index), revision
        if layer == "finished":
            return self._looks.finished(revision, level, index, options), revision
        if layer == "colours":
            return self._colour_tile(level, index, revision, options), revision
        if layer == "base":
            bases = self._base_levels
            return self.painting.read(lambda _: (bases.tile(level, index), bases.revision(level, index)))
        return self.painting.read(lambda _: self.label_tile(level, index))

    def label_tile(self, level: int, index: Index) -> tuple[NDArray[np.uint8], int]:
        """A tile of the labels and its revision; to be called within `painting.read`."""
        return self._label_levels.tile(level, index), self._label_levels.revision(level, index)

    def _colour_tile(self, level: int, index: Index, run: int, options: OutputOptions) -> NDArray[np.uint8]:
        """The foreground's colours for the eye. Where the alpha of a tile is 1, they are the photo's own."""
        estimated = self._looks.colours(run, level, index, options)
        if options.colours.despill is not None:
            return estimated
        opaque = self.mattes.tile(run, level, index) == 255
        return np.where(opaque[..., None], self.pixels.tile(level, index), estimated)


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
        "last": labels.history.last,
        "band": labels.band._asdict(),
    }
