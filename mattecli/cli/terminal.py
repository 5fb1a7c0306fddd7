"""All output: data to stdout, everything else to stderr."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from mattecli.cli.wording import as_options
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """Where a command prints, and how much; each command gets one from its options."""

    panel: ClassVar[str] = "Messages"
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print details too.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show the tracebacks of errors.")] = False

    def check_together(self) -> None:
        """Raise UsageError for more and less at once."""
        if self.quiet and self.verbose:
            raise UsageError("--quiet and --verbose contradict each other; leave one of them out")

    @property
    def shows_bars(self) -> bool:
        """Whether a progress bar can be seen."""
        return not self.quiet and sys.stderr.isatty()

    def say(self, message: str) -> None:
        """One line of what is going on, unless `--quiet`."""
        if not self.quiet:
            print(printable(message), file=sys.stderr)

    def say_device(self, device: str, *, auto: bool) -> None:
        """One line with the device that the network runs on, and whether it was chosen automatically."""
        self.say(f"device: {device}" + (" (auto)" if auto else ""))

    def detail(self, message: str) -> None:
        """One line that only `--verbose` shows."""
        if self.verbose:
            self.say(message)

    def warn(self, message: str) -> None:
        """Something that the user should know and that does not stop the run."""
        if not self.quiet:
            _print_marked("warning:", "yellow", message)

    def data(self, text: str) -> None:
        """Write a result to stdout. Raises InputError where that cannot be written."""
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:  # who reads has enough
            raise
        except OSError as error:
            from mattecli.system.files import unwritable_stdout

            raise unwritable_stdout(error) from error

    def fail(self, error: BaseException, *, cause: BaseException | None = None) -> None:
        """Show an error as its one sentence; with `--debug` after its traceback, or that of its cause."""
        if self.debug:
            traceback.print_exception(cause or error)
        _print_marked("error:", "red", str(error))

    def fail_unexpectedly(self, error: BaseException) -> None:
        """Show a bug: what it was, and how to see where."""
        if self.debug:
            traceback.print_exception(error)
        what = f"a bug in matte: {type(error).__name__}: {error}"
        _print_marked("error:", "red", f"{what}; run again with --debug for the traceback and report it")


def console() -> Console:
    """Rich's console on stderr; it prints plain text where stderr is not a terminal or `NO_COLOR` is set."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def printable(text: str) -> str:
    """A message on one line that names options: names of files may hold line breaks and control codes of terminals."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in as_options(text))


def _print_marked(mark: str, style: str, message: str) -> None:
    message = printable(message)
    styled = console() if sys.stderr.isatty() else None
    if styled is not None and not styled.legacy_windows:  # which would show its codes
        from rich.text import Text

        with styled.capture() as captured:
            styled.print(Text.assemble((mark, style), " ", message))
        print(captured.get(), end="", file=sys.stderr)  # by print, which a progress bar makes room for
    else:
        print(f"{mark} {message}", file=sys.stderr)
