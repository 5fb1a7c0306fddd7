"""The `matte` command: one module a subcommand, and the only part of mattecli that prints or exits.

Nothing heavy is imported at the top of these modules: `matte --help` must answer at once, so each command imports what
it needs when it runs.
"""

import sys

import typer

from mattecli import __version__
from mattecli.cli import terminal, weights
from mattecli.cli.composite import composite
from mattecli.cli.evaluate import evaluate
from mattecli.cli.predict import predict
from mattecli.cli.samples import train_samples
from mattecli.cli.train import train
from mattecli.cli.trimap import trimap
from mattecli.errors import MatteError

app = typer.Typer(
    name="matte",
    help="Find the alpha matte of a photo: hair, fur, glass and lace, from the photo and a trimap.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,  # errors are one sentence; --debug shows Python's own traceback
    rich_markup_mode="rich",
)


def _show_version(value: bool) -> None:
    if value:
        terminal.data(f"matte {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version."),
) -> None:
    """Find the alpha matte of a photo: hair, fur, glass and lace, from the photo and a trimap."""


for command in (predict, composite, trimap, evaluate, train, train_samples):  # the order of `matte --help`
    app.command()(command)
app.add_typer(weights.app, name="weights")


def main() -> None:
    """Run the command line and exit with the code its errors carry."""
    try:
        app(prog_name="matte")
    except MatteError as error:
        terminal.fail(error)
        sys.exit(error.exit_code)
    except Exception as error:  # a bug of ours: named, never swallowed
        terminal.fail_unexpectedly(error)
        sys.exit(1)
