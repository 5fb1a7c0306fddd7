"""Painting that survives crashes: labels, their journal, and numbered operations."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Self, TypeVar

from mattecli.errors import MatteError, UsageError
from mattecli.server.journal import Journal
from mattecli.server.labels import Labels
from mattecli.server.operation import Operation
from mattecli.server.refusals import OrderError
from mattecli.server.tiles import Index

T = TypeVar("T")


class Answer(NamedTuple):
    """What became of an operation, once it is safe on the disk.

    `tiles` are those it changed, each with its revision now: the number of the last operation that changed it.
    `refused` is the sentence that says why nothing was done; empty where it was.
    """

    sequence: int
    tiles: dict[Index, int]
    refused: str = ""


class Painting:
    """The labels of a photo with their journal, from which they are restored, undo included. Safe to use from threads.

    `labels` must be new. The answers to the last `kept` operations are kept for operations sent again. Raises what
    `Journal.operations` does. A block of `with` closes journal and labels at its end, as `close` does.
    """

    def __init__(self, labels: Labels, journal: Journal, *, kept: int = 1000) -> None:
        self._labels, self._journal, self._kept = labels, journal, kept
        self._lock = threading.Lock()
        self._answers: OrderedDict[int, tuple[list[Index], str]] = OrderedDict()
        self._authors: dict[int, str | None] = {}  # of the operations whose answers are kept
        for operation in journal.operations():
            self._apply(operation)
            labels.history.make_room()

    @property
    def sequence(self) -> int:
        """The number of the last operation; the next one has one more."""
        return self._labels.sequence

    def do(self, sequence: int, plan: Callable[[Labels], Operation], *, by: str | None = None) -> Answer:
        """Carry out what `plan` makes of the labels, as operation number `sequence`, and answer when it is on the disk.

        An operation that came before is not carried out again and has the same answer, so a client may send again what
        was not answered. A refusal uses up its number, too. Raises `OrderError` for a number that leaves out others,
        or that another author used (`by` names the author), and `InputError` where the journal cannot be written; then
        nothing has changed, and the number is free.
        """
        with self._lock:
            if sequence < 1:
                raise UsageError(f"operations are numbered from 1, not {sequence}")
            expected = self._labels.sequence + 1
            if sequence < expected:
                if by is not None and self._authors.get(sequence, by) != by:
                    raise OrderError(f"operation {sequence} is another tab's; send it as {expected}", expected=expected)
                return self._answer(sequence)
            if sequence > expected:
                raise OrderError(f"operation {sequence} came before {expected}; send that one first", expected=expected)
            try:
                operation = plan(self._labels)
            except MatteError as error:
                operation = self._labels.refused(str(error))
            self._journal.append(operation)
            self._apply(operation)
            self._authors[sequence] = by
            self._authors.pop(sequence - self._kept, None)
            return self._answer(sequence)

    def read(self, look: Callable[[Labels], T]) -> T:
        """What `look` finds in the labels, between two operations."""
        with self._lock:
            return look(self._labels)

    def close(self) -> None:
        """Close the files. The journal stays for the next time."""
        with self._lock:
            self._journal.close()
            self._labels.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _apply(self, operation: Operation) -> None:
        self._answers[operation.sequence] = self._labels.apply(operation), operation.refused
        while len(self._answers) > self._kept:
            self._answers.popitem(last=False)

    def _answer(self, sequence: int) -> Answer:
        """The answer to an operation. One that is too long ago is answered with all tiles."""
        tiles, refused = self._answers.get(sequence, (list(self._labels.grid), ""))
        return Answer(sequence, {index: self._labels.revision(index) for index in tiles}, refused)
