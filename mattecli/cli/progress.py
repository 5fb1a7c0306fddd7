"""Progress bars and Ctrl-C, for all commands alike."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO, cast

from mattecli.cli.terminal import console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mattecli.cli.terminal import Terminal


class Bar:
    """A bar with per cent, elapsed and remaining time; without `progress`, one that draws nothing."""

    def __init__(self, progress: Progress | None = None, task: TaskID | None = None, *, after: float = 0.0) -> None:
        self._progress, self._task = progress, task
        self._visible_from = time.monotonic() + after

    def advance(self, by: float = 1, note: str | None = None) -> None:
        """Move on by so much; `note` is shown at the end of the line."""
        if self._progress is not None and self._task is not None:
            self.set(self._progress.tasks[0].completed + by, note)

    def set(self, completed: float, note: str | None = None) -> None:
        """Move to this part of the total; `note` is shown at the end of the line."""
        if self._progress is not None and self._task is not None:
            visible = time.monotonic() >= self._visible_from
            self._progress.update(self._task, completed=completed, visible=visible)
            if note is not None:
                self._progress.update(self._task, note=note)


@contextmanager
def progress_bar(
    terminal: Terminal, what: str, *, total: float, count: bool = True, after: float = 0.0
) -> Iterator[Bar]:
    """A bar on a terminal, unless `--quiet`; nothing elsewhere.

    `what` is being done. With `count` the line shows how many of `total`. The bar appears after so many seconds, and is
    gone at the end. What is printed to stderr meanwhile appears above it.
    """
    if not terminal.shows_bars:
        yield Bar()
        return
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [TextColumn(escape(what)), BarColumn(), TextColumn("{task.percentage:>3.0f}%")]
    columns += [MofNCompleteColumn()] if count else []
    columns += [TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=False)]
    columns += [TextColumn("{task.fields[note]}", markup=False)]
    with Progress(*columns, console=console(), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("", total=total, note="", visible=after == 0)
        yield Bar(progress, task, after=after)


@contextmanager
def passes_bar(terminal: Terminal) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for the passes of a network over one photo, if they take over a second.

    It is called with a pass, its tiles done and its tiles in all; only `--verbose` shows these.
    """
    from mattecli.inference.tiling import PASSES

    with progress_bar(terminal, "matting", total=len(PASSES), count=False, after=1.0) as bar:

        def show(name: str, done: int, total: int) -> None:
            number = PASSES.index(name)
            note = f"pass {number + 1} of {len(PASSES)} ({name}), tile {done} of {total}" if terminal.verbose else None
            bar.set(number + done / max(total, 1), note)

        yield show


class Asked(threading.Event):
    """Set when a signal asked for the end, and which one."""

    signal: int = signal.SIGINT

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.signal


class _Unheard:
    """A stream after Ctrl-C, which may have ended who reads it, or closed its terminal. What fails is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @classmethod
    def of(cls, stream: TextIO) -> _Unheard:
        """The stream, which may be one already."""
        return stream if isinstance(stream, cls) else cls(stream)

    def write(self, text: str) -> int:
        """Write, or drop."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or drop."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def interruptible(terminal: Terminal, message: str) -> Iterator[Asked]:
    """An event that the first Ctrl-C sets, or SIGTERM, which a cluster sends; the run then comes to a good end.

    `message` tells the user so, and what a second Ctrl-C does: it raises KeyboardInterrupt. From then on messages that
    cannot be written are dropped, so that the run can save.
    """
    asked = Asked()

    def ask(number: int, _frame: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not asked.is_set():
            asked.signal = number
            sys.stdout, sys.stderr = (cast("TextIO", _Unheard.of(stream)) for stream in (sys.stdout, sys.stderr))
        asked.set()
        if not terminal.quiet:
            with suppress(OSError):
                os.write(2, f"\n{message}\n".encode())  # not by print, in the middle of which the signal may come

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
