"""The photos of a server, and which tab paints each."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mattecli.errors import MatteError
from mattecli.imaging.image import SUFFIXES
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.products import is_saved
from mattecli.server.photo import Photo
from mattecli.server.refusals import MissingError, ReadOnlyError
from mattecli.server.start import Start
from mattecli.server.state import States
from mattecli.server.thumbnails import Thumbnails, encoded
from mattecli.server.tiles import Index
from mattecli.system.files import as_text, is_folder, same_file
from mattecli.system.folders import natural, pictures_in
from mattecli.system.memory import give_back_freed_memory

SILENT = 90.0  # seconds after which a tab without a stream of events counts as gone
CLOSED_BYTES = 256 * 2**20  # of photos that no tab shows; beyond them the oldest are let go
_OTHER_TAB = "another tab paints this photo; go on there, or press Take over here"
_OTHER_PROCESS = "another `matte ui` paints this photo; close it there first"
_COPY = "{} has the same content and is open; close it first"


@dataclass(eq=False)
class _Entry:
    """A photo of the list, and the tabs that show it. `writer` is the tab that may paint it."""

    word: str
    path: Path
    lock: threading.RLock = field(default_factory=threading.RLock)
    photo: Photo | None = None
    tabs: set[str] = field(default_factory=set)
    writer: str | None = None
    closed: float = 0.0
    used: int = 0  # by work that is going on


class Sessions:
    """The photos at `paths`, by words that tell nothing of where they are. Safe to use from threads.

    `start` is what the paint of a new photo lies on, and `starts` what that of some photos does; `approved` says which
    are done by what a batch knows. `exposure` is that of `Photo`. `listens` says whether a tab has a
    stream of events. A tab that has none and was silent for 90 seconds loses the right to paint to the next that opens
    the photo. `end` is called with the word of a photo before it is closed.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        states: States,
        *,
        start: Start | None = None,
        starts: Mapping[Path, Start] | None = None,
        approved: Callable[[Path], bool] = lambda _: False,
        reading: ReadOptions | None = None,
        exposure: float = 0.0,
        listens: Callable[[str], bool] = lambda _: False,
        end: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries = {entry.word: entry for entry in (_Entry(secrets.token_urlsafe(9), path) for path in paths)}
        self._states, self._start, self._starts, self._approved = states, start, starts or {}, approved
        self._reading, self._exposure = reading or ReadOptions(), exposure
        self._thumbnails = Thumbnails(reading=reading)
        self._listens, self._end, self._clock = listens, end, clock
        self._heard: dict[str, float] = {}

    def listing(self) -> list[dict[str, Any]]:
        """The photos in their order, with how far each is."""
        return [
            {"id": word, "name": as_text(entry.path.name), "state": self.progress(word)}
            for word, entry in self._entries.items()
        ]

    def progress(self, word: str) -> str:
        """How far a photo is."""
        path = self._entry(word).path
        progress = self._states.progress(path)
        return "done" if progress != "started" and self._approved(path) else progress

    def hear(self, tab: str | None) -> None:
        """Note that a tab lives."""
        if tab is not None:
            self._heard[tab] = self._clock()

    def open(self, word: str, tab: str, *, take: bool = False) -> dict[str, Any]:
        """Open a photo for a tab, and say what it must know. Raises what reading the photo raises.

        With `take` the tab paints it from now on, also where another tab did. Another process keeps its photo.
        """
        entry = self._entry(word)
        self.hear(tab)
        with entry.lock:
            old = entry.photo
            self._free_copy(entry, tab)
            if old is not None and not entry.used:
                if old.changed():
                    self._let_go(entry)
                    entry.writer = None  # that tab still shows the old content
                elif self._is_old(entry, tab):
                    self._let_go(entry)
            photo = entry.photo
            if photo is None:
                try:
                    photo = self._read(entry, tab)
                except MatteError:
                    self._states.note_failure(entry.path)
                    raise
            entry.tabs.add(tab)
            if take or entry.writer is None or entry.writer == tab or self._gone(entry.writer):
                entry.writer = tab
            readonly = photo.readonly or entry.writer != tab
            if not readonly:
                self._lay(photo)  # only where its file has changed since
            copy = self._copy(entry)
            held_by = None if copy is None else as_text(copy.path.name)
            held = {"readonly": readonly, "takeable": readonly and not photo.readonly, "heldBy": held_by}
            return {"id": word, "name": as_text(entry.path.name), **held, **photo.facts()}

    def close(self, word: str, tab: str) -> None:
        """A tab no longer shows a photo."""
        entry = self._entry(word)
        with entry.lock:
            entry.tabs.discard(tab)
            if entry.writer == tab:
                entry.writer = None
            entry.closed = self._clock()
        if any(self._is_shown(other) for other in list(self._entries.values())):  # else the page may be loaded again
            self._evict()

    def thumbnail(self, word: str) -> bytes:
        """A JPEG of a photo of at most 256 × 256 pixels. Raises what reading the photo raises."""
        entry = self._entry(word)
        try:
            with self.using(word) as photo:
                return encoded(photo.pixels.tile(len(photo.grids) - 1, Index(0, 0)))
        except MissingError:  # it is not open
            pass
        try:
            return self._thumbnails.of(entry.path)
        except OSError as error:
            raise MissingError(f"{entry.path.name} cannot be read; it was moved or deleted") from error

    def start_changed(self, photo: Photo) -> Path | None:
        """The file that the paint lies on, where it changed since it was laid there."""
        start = self._start_of(photo)
        return start.file if start is not None and start.changed(photo) else None

    def start_written(self, photo: Photo, files: Iterable[Path]) -> None:
        """Files were saved of a photo: where one of them is what its paint lies on, it is not laid again."""
        start = self._start_of(photo)
        if start is not None and any(same_file(path, start.file) for path in files):
            photo.state.note(start=start.digest())

    @contextmanager
    def using(self, word: str, *, tab: str | None = None, write: bool = False, left: bool = False) -> Iterator[Photo]:
        """An open photo, which stays open during the block. Raises `MissingError` where it is not open.

        With `write`, raises `ReadOnlyError` where `tab` may not paint it; with `left` not where no tab paints it.
        """
        entry = self._entry(word)
        self.hear(tab)
        with entry.lock:
            photo = entry.photo
            if photo is None:
                raise MissingError("the photo is not open; open it first")
            if write and photo.readonly:
                copy = self._copy(entry)
                raise ReadOnlyError(_OTHER_PROCESS if copy is None else _COPY.format(copy.path.name))
            if write and entry.writer != tab and not (left and entry.writer is None):
                raise ReadOnlyError(_OTHER_TAB)
            entry.used += 1
        try:
            yield photo
        finally:
            with entry.lock:
                entry.used -= 1
                entry.closed = self._clock()

    def close_all(self) -> None:
        """Close all photos, at the end."""
        for entry in self._entries.values():
            with entry.lock:
                self._let_go(entry)

    def _entry(self, word: str) -> _Entry:
        if word not in self._entries:
            raise MissingError("there is no such photo here; reload the page")
        return self._entries[word]

    @staticmethod
    def _is_old(entry: _Entry, tab: str) -> bool:
        """Whether a photo that another process held is to be read anew: for a new tab, and once that process has ended.

        A tab asks every few seconds, so the photo is not decoded each time.
        """
        photo = entry.photo
        return photo is not None and photo.readonly and (tab not in entry.tabs or photo.state.free)

    def _read(self, entry: _Entry, tab: str) -> Photo:
        self._evict()
        photo = entry.photo = self._photo(entry)
        if self._free_copy(entry, tab):
            self._let_go(entry)
            photo = entry.photo = self._photo(entry)
        try:
            if not photo.readonly:
                self._lay(photo)
        except MatteError:
            photo.close()
            entry.photo = None
            raise
        return photo

    def _photo(self, entry: _Entry) -> Photo:
        return Photo(entry.path, self._states, reading=self._reading, exposure=self._exposure)

    def _copy(self, entry: _Entry) -> _Entry | None:
        """The photo of the list that has the same content and holds it, where that keeps a photo from being painted."""
        photo = entry.photo
        if photo is None or not photo.readonly:
            return None
        for other in list(self._entries.values()):
            held = other.photo
            if held is not None and not held.readonly and held.digest == photo.digest:
                return other
        return None

    def _free_copy(self, entry: _Entry, tab: str) -> bool:
        """Let go of the photo that keeps another one from being painted, and say whether that was done.

        It stays where another tab shows it, and while something uses it.
        """
        copy = self._copy(entry)
        if copy is None or not copy.lock.acquire(blocking=False):
            return False
        try:
            if copy.used or any(one != tab and not self._gone(one) for one in copy.tabs):
                return False
            self._let_go(copy)
            return True
        finally:
            copy.lock.release()

    def _start_of(self, photo: Photo) -> Start | None:
        return self._starts.get(photo.path, self._start)

    def _lay(self, photo: Photo) -> None:
        if (start := self._start_of(photo)) is not None:
            start.lay(photo)

    def _gone(self, tab: str) -> bool:
        return not self._listens(tab) and self._clock() - self._heard.get(tab, -SILENT) >= SILENT

    def _is_shown(self, entry: _Entry) -> bool:
        """Whether a tab shows a photo. Tabs that are gone, as after a crash of the browser, said no word of it."""
        return any(not self._gone(tab) for tab in list(entry.tabs))

    def _is_left(self, entry: _Entry) -> bool:
        """Whether a photo is in memory and nothing needs it there."""
        return entry.photo is not None and not entry.used and not self._is_shown(entry)

    def _evict(self) -> None:
        """Let go of closed photos, the oldest first, as far as they are over the limit together."""
        closed = []
        for entry in list(self._entries.values()):
            if entry.lock.acquire(blocking=False):  # one that is busy is not closed
                try:
                    if self._is_left(entry):
                        closed.append(entry)
                finally:
                    entry.lock.release()
        closed.sort(key=lambda entry: entry.closed)
        held = sum(entry.photo.nbytes for entry in closed if entry.photo is not None)
        for entry in closed:
            if held <= CLOSED_BYTES:
                return
            with entry.lock:
                if entry.photo is not None and self._is_left(entry):
                    held -= entry.photo.nbytes
                    self._let_go(entry)
                    entry.writer = None  # as where its file changed

    def _let_go(self, entry: _Entry) -> None:
        if entry.photo is not None:
            self._end(entry.word)
            entry.photo.close()
            entry.photo = None
            give_back_freed_memory()


def photos_at(names: Sequence[Path]) -> list[Path]:
    """The photos that files and folders name, each once: those of a folder in natural order.

    What was saved of a folder's photos is left out. Raises `InputError` for a folder that cannot be read or has no
    pictures.
    """
    found: list[Path] = []
    for name in names:
        if is_folder(name):
            pictures = sorted(pictures_in(name, SUFFIXES), key=lambda path: natural(path.name))
            if not pictures:
                raise MissingError(f"{name} has no pictures; name a folder of photos, or a photo")
            stems = {path.stem for path in pictures}
            found += [path for path in pictures if not is_saved(path.stem, stems)]
        else:
            found.append(name)
    once: list[Path] = []
    for path in found:
        if not any(path == other or (path.name == other.name and same_file(path, other)) for other in once):
            once.append(path)
    return once
