"""The record of finished outputs, which lets a batch resume.

The journal is the folder `.matte/` in the output folder. It has a file for each process that wrote there, so that
machines can share the folder. The first line of a file says what the outputs after it have in common, and a later line
may say it anew; most other lines are one output each, with the size and the time of the finished file. The line is on
the disk before the output takes its name. A line of four values that begins with "approved" says which alpha a person
approved (`batch/approved.py`); of several for a photo the newest counts.

So an output is what a line says exactly when it has that size and time. An output that was not finished is missing and
is made again. A file that somebody else wrote or changed has another size or time, and is not taken for ours.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from mattecli.errors import InputError
from mattecli.system.folders import as_read

FOLDER = ".matte"
_APPROVED = "approved"  # a stored word
_APART = 2_000_000_000  # ns; file systems keep times to 2 s at worst


class Record(NamedTuple):
    """One output: its size and time, digests of what made it, and what reports say of it and of its run."""

    size: int
    mtime_ns: int
    recipe: str
    inputs: str
    facts: dict[str, Any]
    common: dict[str, Any]


class Approval(NamedTuple):
    """The name of an approved alpha's file, None where the approval was withdrawn; when, and what the photo was."""

    file: str | None
    time_ns: int
    photo: dict[str, Any]


class Journal:
    """What was made in an output folder, by this process and others; safe to use from threads.

    `common` are the facts that all outputs of this process share.
    """

    def __init__(self, out: Path, *, common: dict[str, Any] | None = None) -> None:
        self._out = Path(os.path.abspath(out))
        self.common = common or {}
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._said: dict[str, Any] = {}  # the common facts that the file holds last
        self._own: Path | None = None
        self._records: dict[str, list[Record]] = {}  # by keys as compared, in one Unicode form
        self._approvals: dict[str, Approval] = {}
        self._read_to: dict[Path, tuple[int, dict[str, Any]]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read what other processes have written since."""
        with self._lock:
            for path in sorted((self._out / FOLDER).glob("made-*.jsonl")):
                if path != self._own:
                    self._read(path)

    def made(self, output: str | Path) -> Record | None:
        """The record of that output as it is on the disk now; None where it is missing or not ours."""
        try:
            stat = os.stat(output)
        except OSError:
            return None
        with self._lock:
            known = self._records.get(as_read(self._key(output)), [])
            records = [record for record in known if record.size == stat.st_size]
        nearest = min(records, key=lambda record: abs(record.mtime_ns - stat.st_mtime_ns), default=None)
        return nearest if nearest and abs(nearest.mtime_ns - stat.st_mtime_ns) <= _APART else None

    def add(self, output: str | Path, handle: IO[bytes], *, recipe: str, inputs: str, facts: dict[str, Any]) -> None:
        """Write the finished file behind `handle` and its line to the disk, before the file takes the output's name."""
        handle.flush()
        os.fsync(handle.fileno())
        stat = os.fstat(handle.fileno())
        record = Record(stat.st_size, stat.st_mtime_ns, recipe, inputs, facts, self.common)
        with self._lock:
            file = self._file or self._open()
            if self._said != self.common:  # the network was loaded after outputs that did not need it
                self._said = self.common
                _put(file, self.common)
            _put(file, [self._key(output), *record[:-1]])
            self._records.setdefault(as_read(self._key(output)), []).append(record)

    def approval(self, key: str) -> Approval | None:
        """The newest approval under a key, unless it was withdrawn."""
        with self._lock:
            found = self._approvals.get(as_read(key))
        return None if found is None or found.file is None else found

    def next_time(self, key: str) -> int:
        """A time for a new approval: after all that are known, whose machines may have clocks that are ahead."""
        self.refresh()
        with self._lock:
            known = self._approvals.get(as_read(key))
        return max(time.time_ns(), 0 if known is None else known.time_ns + 1)

    def approve(self, key: str, approval: Approval) -> None:
        """Write an approval, or its withdrawal, to the disk."""
        with self._lock:
            file = self._file or self._open()
            _put(file, [_APPROVED, key, approval.file, {"time_ns": approval.time_ns, "photo": approval.photo}])
            self._note(key, approval)

    def _note(self, key: str, approval: Approval) -> None:
        known = self._approvals.get(as_read(key))
        if known is None or known.time_ns <= approval.time_ns:
            self._approvals[as_read(key)] = approval

    def close(self) -> None:
        """Close this process's file."""
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # a full disk: whoever added the line that is lost was told
                file.close()

    def _open(self) -> IO[bytes]:
        self._own = self._out / FOLDER / f"made-{secrets.token_hex(8)}.jsonl"
        self._own.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._own.open("ab")
        self._said = self.common
        _put(self._file, self.common)
        return self._file

    def _key(self, output: str | Path) -> str:
        """What is stored of an output: its path below the folder, which may be moved; of a file elsewhere its own."""
        path = os.path.abspath(output)
        inside = self._out.as_posix().rstrip("/") + "/"
        posix = Path(path).as_posix()
        return posix.removeprefix(inside)

    def _read(self, path: Path) -> None:
        start, common = self._read_to.get(path, (0, {}))
        try:
            file = path.open("rb")
        except OSError as error:
            reason = f"{path} cannot be read ({error.strerror})"
            raise InputError(f"{reason}; without it is not known what is done, so check its permissions") from error
        with file:
            file.seek(start)
            for raw in file:
                if not raw.endswith(b"\n"):
                    break  # being written, or cut off: its output never took its name
                try:
                    line = json.loads(raw)
                except ValueError:
                    line = None  # left by a crash of the machine; its output never took its name either
                if isinstance(line, dict):
                    common = line
                elif isinstance(line, list) and len(line) == 6:
                    key, size, mtime_ns, recipe, inputs, facts = line
                    record = Record(size, mtime_ns, recipe, inputs, facts, common)
                    self._records.setdefault(as_read(key), []).append(record)
                elif isinstance(line, list) and len(line) == 4 and line[0] == _APPROVED:
                    self._note(line[1], Approval(line[2], line[3]["time_ns"], line[3]["photo"]))
                start += len(raw)
        self._read_to[path] = start, common


def _put(file: IO[bytes], line: object) -> None:
    file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())
