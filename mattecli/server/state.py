"""What is kept of painted photos between runs.

Each photo has a folder with its journal, its lock and a few facts. The folder is named by a hash of the photo's bytes.
So a photo that was renamed keeps its paint, and a photo that was changed begins anew. A second file says by a photo's
path which folder was last its own, so the state of many photos is known without reading them.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from mattecli.errors import InputError
from mattecli.system.files import make_folder, remedy_of, whole_file

Progress = Literal["untouched", "started", "done", "failed"]

_CHUNK = 2**20


def state_folder() -> Path:
    """The folder of this program in the user's folder of states: `$XDG_STATE_HOME/mattecli`, or what the system has."""
    if chosen := os.environ.get("XDG_STATE_HOME"):
        return Path(chosen) / "mattecli"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "mattecli"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "mattecli"
    return Path.home() / ".local" / "state" / "mattecli"


def digest_of(path: Path) -> str:
    """A hash of a file's bytes. Raises `InputError` where it cannot be read."""
    found = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while part := file.read(_CHUNK):
                found.update(part)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its name and permissions") from error
    return found.hexdigest()


class States:
    """The kept states of photos, below `folder`. Raises `InputError` where the folder cannot be made."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or state_folder()
        make_folder(self.folder / "photos")
        make_folder(self.folder / "places")

    def of(self, path: Path, digest: str) -> State:
        """The state of a photo, whose path is noted down."""
        folder = self.folder / "photos" / digest
        make_folder(folder)
        _write(self._place(path), {**stamp(path), "digest": digest, "path": str(path.absolute())})
        return State(folder)

    def note_failure(self, path: Path) -> None:
        """Note down that a photo could not be opened. It is forgotten when it can be, or when its file changes."""
        with suppress(OSError, InputError):
            _write(self._place(path), {**stamp(path), "failed": True, "path": str(path.absolute())})

    def progress(self, path: Path) -> Progress:
        """How far a photo is, as far as it is known without reading it."""
        known = _read(self._place(path))
        try:
            if not known or stamp(path) != {key: known[key] for key in ("size", "changed")}:
                return "untouched"
        except OSError:
            return "failed"
        if known.get("failed"):
            return "failed"
        return State(self.folder / "photos" / str(known["digest"])).progress

    def _place(self, path: Path) -> Path:
        name = hashlib.blake2b(os.fsencode(path.absolute()), digest_size=16).hexdigest()
        return self.folder / "places" / f"{name}.json"


class State:
    """What is kept of one photo, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "labels.journal"
        self._noting = threading.Lock()

    @property
    def facts(self) -> dict[str, Any]:
        """What was noted down."""
        return _read(self.folder / "facts.json")

    def note(self, **facts: Any) -> None:
        """Note down facts beside those that are there."""
        with self._noting:
            _write(self.folder / "facts.json", {**self.facts, **facts})

    @property
    def progress(self) -> Progress:
        """How far the photo is. It is done when all that was painted is saved."""
        facts = self.facts
        painted = facts.get("painted", 0)
        if facts.get("saved") is not None and facts["saved"] == painted:
            return "done"
        return "started" if painted else "untouched"

    @property
    def free(self) -> bool:
        """Whether no process holds the photo. To be asked by one that does not hold it itself."""
        if not self.folder.exists():  # it was deleted, and its lock with it
            return True
        with self.locked() as held:
            return held

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the photo for this process while the block runs. False where another process holds it.

        Raises `InputError` where the lock cannot be opened.
        """
        path = self.folder / "lock"
        try:
            opened = path.open("a+b")
        except OSError as error:
            raise InputError(f"{path} cannot be opened ({error.strerror}); check its permissions") from error
        with opened as file:
            held = _lock(file)
            try:
                yield held
            finally:
                if held:
                    _unlock(file)


def stamp(path: Path) -> dict[str, int]:
    """A file's size and time of change. Raises OSError."""
    found = path.stat()
    return {"size": found.st_size, "changed": found.st_mtime_ns}


def _read(path: Path) -> dict[str, Any]:
    """The facts of a file; none where it is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, facts: dict[str, Any]) -> None:
    try:
        with whole_file(path) as file:
            file.write(json.dumps(facts).encode())
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); {remedy_of(error)}") from error


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> bool:
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
