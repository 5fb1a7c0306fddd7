"""Undo and redo without end, in memory and on disk."""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from pathlib import Path
from typing import IO, NamedTuple

from mattecli.errors import InputError
from mattecli.server.operation import Operation
from mattecli.system.files import remedy_of

MEMORY = 64 * 2**20


class _Stored(NamedTuple):
    start: int
    end: int


class History:
    """The operations done and undone, in order.

    `make_room` leaves up to `memory` bytes of them in RAM. Older ones go to a file without a name in `folder`, which
    vanishes with the process; without a folder it is where the system has temporary files. Raises `InputError` where
    that file cannot be written or read.
    """

    def __init__(self, *, folder: Path | None = None, memory: int = MEMORY) -> None:
        self._folder, self._memory = folder, memory
        self._stored: list[_Stored] = []  # where the oldest operations are in the file
        self._recent: list[Operation] = []  # the others
        self._numbers: list[int] = []  # of all of them
        self._done = 0  # the first so many are done, the others undone
        self._held = 0
        self._file: IO[bytes] | None = None

    @property
    def undoable(self) -> int:
        """How many operations can be undone."""
        return self._done

    @property
    def redoable(self) -> int:
        """How many operations can be done again."""
        return len(self._stored) + len(self._recent) - self._done

    @property
    def bytes_held(self) -> int:
        """About how much RAM the operations take now."""
        return self._held

    def push(self, operation: Operation) -> None:
        """Add an operation that was done. Those that were undone are forgotten."""
        while self.redoable:
            if self._recent:
                self._held -= self._recent.pop().nbytes
            else:
                self._stored.pop()  # the next one is written over it
            self._numbers.pop()
        self._recent.append(operation)
        self._numbers.append(operation.sequence)
        self._done += 1
        self._held += operation.nbytes

    def make_room(self) -> None:
        """Move the oldest operations to the file until the others fit into the memory."""
        moved = 0
        try:
            while self._held > self._memory:
                operation = self._recent[moved]
                self._stored.append(self._written(operation.to_bytes()))
                self._held -= operation.nbytes
                moved += 1
        finally:
            del self._recent[:moved]

    @property
    def last(self) -> int:
        """The number of the last operation that is done; 0 for none."""
        return self._numbers[self._done - 1] if self._done else 0

    def since(self, number: int) -> list[Operation]:
        """The operation of that number and all later ones, also undone ones. None of them where it is not done."""
        place = bisect_left(self._numbers, number, hi=self._done)
        if place == self._done or self._numbers[place] != number:
            return []
        return [self._read(at) for at in range(place, len(self._numbers))]

    def join(self, operation: Operation) -> None:
        """Make an operation part of the one that it followed from, which is done."""
        place = bisect_left(self._numbers, operation.after, hi=self._done)
        while place < len(self._stored):  # what is in the file stays as it is
            self._recent.insert(0, self._read(len(self._stored) - 1))
            self._held += self._recent[0].nbytes
            self._stored.pop()
        at = place - len(self._stored)
        self._held -= self._recent[at].nbytes
        self._recent[at] = self._recent[at].with_follower(operation)
        self._held += self._recent[at].nbytes

    def last_done(self) -> Operation:
        """The operation that an undo takes back."""
        return self._read(self._done - 1)

    def first_undone(self) -> Operation:
        """The operation that a redo does again."""
        return self._read(self._done)

    def step_back(self) -> None:
        """The last operation that is done counts as undone from now on."""
        self._done -= 1

    def step_forward(self) -> None:
        """The first operation that is undone counts as done from now on."""
        self._done += 1

    def close(self) -> None:
        """Remove the file."""
        if self._file is not None:
            self._file.close()

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed by `close`
        return self._file

    def _read(self, place: int) -> Operation:
        if place >= len(self._stored):
            return self._recent[place - len(self._stored)]
        start, end = self._stored[place]
        try:
            file = self._opened()
            file.seek(start)
            return Operation.from_bytes(file.read(end - start))
        except OSError as error:
            raise InputError(
                f"the undo file cannot be read ({error.strerror}); save, and open the photo anew"
            ) from error

    def _written(self, data: bytes) -> _Stored:
        start = self._stored[-1].end if self._stored else 0
        try:
            file = self._opened()
            file.seek(start)
            file.truncate()
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            raise InputError(f"the undo file cannot be written ({error.strerror}); {remedy_of(error)}") from error
        return _Stored(start, start + len(data))
