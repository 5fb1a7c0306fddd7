"""What the user sees: data on stdout, everything else on stderr, rich only where a terminal reads it."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mattecli.cli.wording import as_options

if TYPE_CHECKING:
    from rich.console import Console

quiet = False
verbose = False
debug = False


def set_quiet(value: bool) -> None:
    """Keep everything but errors from stderr."""
    global quiet
    quiet = value


def set_verbose(value: bool) -> None:
    """Show the details too."""
    global verbose
    verbose = value


def set_debug(value: bool) -> None:
    """Show tracebacks."""
    global debug
    debug = value


def console() -> Console:
    """Rich's console on stderr; it is plain text where stderr is no terminal or `NO_COLOR` is set."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """One line of what is going on, unless `--quiet`."""
    if not quiet:
        print(as_options(message), file=sys.stderr)


def detail(message: str) -> None:
    """One line that only `--verbose` shows."""
    if verbose and not quiet:
        print(as_options(message), file=sys.stderr)


def warn(message: str) -> None:
    """Something the user should know and that does not stop the run."""
    if not quiet:
        _marked("warning:", "yellow", message)


@contextmanager
def passes(names: Sequence[str], *, after: float = 1.0) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for a run that goes through these passes; it is told a pass, its tiles done and its tiles in all.

    Only on a terminal, and only if the run takes longer than `after` seconds.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.progress import BarColumn, Progress, TextColumn

    started = time.monotonic()
    columns = (TextColumn("part {task.fields[part]}"), BarColumn(), TextColumn("{task.fields[tiles]}"))
    with Progress(*columns, console=console(), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("", total=len(names), part="", tiles="", visible=False)

        def show(name: str, done: int, total: int) -> None:
            progress.update(
                task,
                completed=names.index(name) + done / max(total, 1),
                part=f"{names.index(name) + 1}/{len(names)}",
                tiles=f"{name}, tile {done}/{total}",
                visible=time.monotonic() - started > after,
            )

        yield show


def data(text: str | bytes) -> None:
    """Write a result to stdout."""
    if isinstance(text, bytes):
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    else:
        sys.stdout.write(text)
        sys.stdout.flush()


def fail(error: BaseException, *, cause: BaseException | None = None) -> None:
    """Show an error as its one sentence, with the traceback (of its cause) before it under `--debug`."""
    if debug:
        traceback.print_exception(cause or error)
    _marked("error:", "red", str(error))


def fail_unexpectedly(error: BaseException) -> None:
    """Show a bug: what it was and how to see where."""
    if debug:
        traceback.print_exception(error)
    _marked(
        "error:",
        "red",
        f"a bug in matte: {type(error).__name__}: {error}; run again with --debug for the traceback and report it",
    )


def _marked(mark: str, style: str, message: str) -> None:
    message = as_options(message)
    if sys.stderr.isatty():
        from rich.text import Text

        console().print(Text.assemble((mark, style), " ", message))
    else:
        print(f"{mark} {message}", file=sys.stderr)
