"""The `matte` command: the only room that prints or exits.

Nothing heavy is imported at the top of these modules: `matte --help` must answer at once, so each command imports what
it needs when it runs.
"""

import io
import os
import signal
import sys

import typer

from mattecli._version import __version__
from mattecli.cli import weights
from mattecli.cli.batch import batch
from mattecli.cli.command import Group, add_command
from mattecli.cli.composite import composite
from mattecli.cli.doctor import doctor
from mattecli.cli.evaluate import evaluate
from mattecli.cli.exit_codes import exit_code
from mattecli.cli.export import export_onnx
from mattecli.cli.predict import predict
from mattecli.cli.report import report
from mattecli.cli.samples import train_samples
from mattecli.cli.serve import serve
from mattecli.cli.terminal import Terminal
from mattecli.cli.train import train
from mattecli.cli.trimap import trimap
from mattecli.cli.ui import ui
from mattecli.errors import DeviceError, InputError, MatteError
from mattecli.system.process import empty_stdout, open_missing_streams, prepare_process

app = typer.Typer(
    name="matte",
    cls=Group,
    help="Find the alpha matte of a photo: hair, fur, glass and lace, from the photo and a trimap.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,  # errors are one sentence; --debug shows Python's own traceback
    rich_markup_mode="rich",
)


def _show_version(value: bool) -> None:
    if value:
        Terminal().data(f"matte {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version."),
) -> None:
    """Find the alpha matte of a photo: hair, fur, glass and lace, from the photo and a trimap."""


for command in (
    predict,
    batch,
    report,
    composite,
    trimap,
    ui,
    serve,
    evaluate,
    train,
    train_samples,
    export_onnx,
    doctor,
):  # the order of `matte --help`
    add_command(app, command)
app.add_typer(weights.app, name="weights")


def _end(number: int, _frame: object) -> None:
    """End as an error does, so that half-written files are removed on the way out, with a killed process's code."""
    sys.exit(128 + number)


def main() -> None:
    """Run the command line and exit with the code of its errors."""
    open_missing_streams()
    prepare_process()
    for stream in (sys.stdout, sys.stderr):  # a file or pipe on Windows knows few characters; `−` must not end a run
        own = "PYTHONIOENCODING" in os.environ
        if isinstance(stream, io.TextIOWrapper) and sys.platform == "win32" and not (own or stream.isatty()):
            stream.reconfigure(encoding="utf-8")  # as manifests are read, not in the code page of the system
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            names = stream is sys.stdout and stream.encoding.lower() == "utf-8" and sys.platform != "win32"
            stream.reconfigure(errors="surrogateescape" if names else "backslashreplace")  # names of files as they are
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # a batch system's or `docker stop`'s word
        signal.signal(signal.SIGTERM, _end)
    terminal = Terminal(debug="--debug" in sys.argv)  # for errors that come before a command has its own
    try:
        _run(terminal)
    finally:
        empty_stdout()


def _run(terminal: Terminal) -> None:
    try:
        app(prog_name="matte")
    except MatteError as error:
        terminal.fail(error)
        sys.exit(exit_code(error))
    except MemoryError as error:
        terminal.fail(
            DeviceError("the memory ran out; close other programs, take a smaller picture, or give the container more"),
            cause=error,
        )
        sys.exit(exit_code(DeviceError("")))
    except ModuleNotFoundError as error:
        if error.name != "torch":
            terminal.fail_unexpectedly(error)
            sys.exit(1)
        what = "this needs PyTorch, which is not installed; `pip install torch`, or see `matte doctor` for what works"
        terminal.fail(DeviceError(what), cause=error)
        sys.exit(exit_code(DeviceError("")))
    except BrokenPipeError:  # who reads standard output has enough
        sys.exit(1)
    except Exception as error:
        from mattecli.system.files import met_full_disk

        if met_full_disk(error):  # met where nobody translates it, as by --help into a file
            terminal.fail(InputError("a disk or a quota is full, so not all was written; free some space"), cause=error)
            sys.exit(exit_code(InputError("")))
        terminal.fail_unexpectedly(error)  # a bug of ours: named, never swallowed
        sys.exit(1)
