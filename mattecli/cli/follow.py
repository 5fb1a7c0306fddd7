"""A batch as the user follows it: lines, a bar, and a way to stop."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mattecli.cli import terminal
from mattecli.errors import MatteError

if TYPE_CHECKING:
    from mattecli.batch.report import Report

OnDone = Callable[[dict[str, Any]], None]


@contextmanager
def interruptible(stop: threading.Event, report: Report) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM, a cluster's word) lets the current photos finish, the second drops them."""

    def handle(number: int, _frame: object) -> None:
        if report.interrupted:
            raise KeyboardInterrupt
        report.interrupted = True
        stop.set()
        if not terminal.quiet:  # not by print, in whose midst this may come
            os.write(2, b"finishing the photos in work; interrupt again to drop them\n")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def showing(report: Report, *, as_json: bool) -> Iterator[OnDone]:
    """Count each line, print it as JSON if asked to, name failures, and draw a bar where a terminal reads."""
    bar = not terminal.quiet and sys.stderr.isatty()

    def on_done(line: dict[str, Any]) -> None:
        report.add(line)
        if as_json:
            terminal.data(json.dumps(line) + "\n")
        if line["status"] == "failed":
            reason = printable(line["reason"])
            if terminal.debug and "traceback" in line:
                terminal.say(line["traceback"])
            if bar:
                terminal.say(f"failed: {reason}")
            else:
                terminal.fail(MatteError(reason))
        elif line["status"] == "done":
            terminal.detail(f"{printable(line['name'])}: {line['seconds']:.1f} s")
        if note := line.get("note"):
            terminal.detail(printable(note))

    if not bar:
        yield on_done
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("matting"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}")]
    columns += [TimeRemainingColumn(), TextColumn("{task.fields[failures]}", style="red")]
    with Progress(*columns, console=terminal.console(), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("", total=report.total, rate="", failures="")

        def advance(line: dict[str, Any]) -> None:
            on_done(line)
            speed = progress.tasks[0].speed
            failed = report.counts["failed"]
            progress.update(
                task,
                advance=1,
                rate=f"{speed:.2f}/s" if speed else "",
                failures=f"{failed} failed" if failed else "",
            )

        yield advance


def printable(text: str) -> str:
    """A message on one line: names of files may hold line breaks and a terminal's commands."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
