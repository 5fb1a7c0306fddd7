"""`matte evaluate`: the papers' four errors of a folder of mattes, or of a model."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mattecli.cli import terminal
from mattecli.cli.options import (
    Backend,
    Debug,
    Device,
    Json,
    MaxMemory,
    Overwrite,
    Precision,
    Provider,
    Quiet,
    Snap,
    Tile,
    Verbose,
    Weights,
)
from mattecli.cli.parsing import parse_memory, parse_tile
from mattecli.errors import InputError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mattecli.evaluation.evaluate import Evaluation, Failed, Listing, Scored
    from mattecli.evaluation.metrics import Scores
    from mattecli.inference.backend import Backend as Runner
    from mattecli.inference.plan import Tile as TileChoice

COLUMNS = {"sad": ("SAD", ".3f"), "mse": ("MSE", ".5f"), "grad": ("Grad", ".3f"), "conn": ("Conn", ".3f")}


def evaluate(
    predictions: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PREDICTIONS]", readable=False, help="A folder of mattes; leave it out to run a model on --images."
        ),
    ] = None,
    *,
    alpha: Annotated[Path, typer.Option("--alpha", metavar="DIR", readable=False, help="The true alphas.")],
    trimaps: Annotated[
        Path, typer.Option("--trimaps", metavar="DIR", readable=False, help="The trimaps: one image to score each.")
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="DIR",
            readable=False,
            help="Photos for a model to run on (or, beside PREDICTIONS, to show in --html).",
        ),
    ] = None,
    weights: Weights = None,
    backend: Backend = "auto",
    device: Device = "auto",
    provider: Provider = None,
    precision: Precision = "auto",
    tile: Tile = "auto",
    max_memory: MaxMemory = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", readable=False, help="Keep the alphas the model makes in this folder."),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", readable=False, help="Also write a page with pictures, the worst first."
        ),
    ] = None,
    snap: Snap = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Score mattes against the truth: SAD, MSE, Grad and Conn, as papers print them.

    Files belong together by name. An image without a readable prediction of the right size
    counts as failed: it is named, the exit code is 1, and no mean is given for the set.
    In Composition-1k's naming NAME.png is the truth of NAME_0.png … NAME_19.png.

    \b
    Examples:
      matte evaluate predictions/ --alpha truth/ --trimaps trimaps/
      matte evaluate predictions/ --alpha truth/ --trimaps trimaps/ --html page.html --images photos/
      matte evaluate --images photos/ --alpha truth/ --trimaps trimaps/ --save predictions/
      matte evaluate --images photos/ --alpha truth/ --trimaps trimaps/ --weights a2u.safetensors --json
    """
    model_only = {
        "--weights": weights is not None,
        "--backend": backend != "auto",
        "--device": device != "auto",
        "--provider": provider is not None,
        "--precision": precision != "auto",
        "--tile": tile != "auto",
        "--max-memory": max_memory is not None,
        "--save": save is not None,
    }
    _check_usage(predictions, images, page, model_only)
    side, allowed = parse_tile(tile), parse_memory(max_memory)

    from mattecli.evaluation import evaluate as evaluation
    from mattecli.pages.evaluation import EvaluationPage
    from mattecli.pages.page import check_page

    listing = evaluation.find_cases(alpha, trimaps, predictions=predictions, photos=images)
    if page is not None:
        check_page(page, overwrite=overwrite, inputs=listing.files())
    if save is not None:
        _prepare(save, listing, overwrite=overwrite)
    facts = {"Truth": str(alpha), "Trimaps": str(trimaps)}
    runner = None
    if predictions is None:
        from mattecli.inference.backend import load_backend

        runner = load_backend(weights, backend=backend, device=device, provider=provider, precision=precision)
        terminal.say(f"device: {runner.device}" + (" (auto)" if device == "auto" else ""))
        facts = {"Model": f"{runner.checkpoint.name} in {runner.precision}", "Photos": str(images), **facts}
    else:
        facts = {"Predictions": str(predictions), **facts}
    pictures = EvaluationPage() if page is not None else None
    with _progress(len(listing.cases)) as on_done:
        result = evaluation.evaluate(
            listing,
            predict=None if runner is None else _predictor(runner, side, allowed),
            snap=snap,
            save=save,
            overwrite=overwrite,
            workers=min(8, os.cpu_count() or 1) if runner is None else 1,
            look=None if pictures is None else pictures.add,
            on_done=on_done,
        )
    if as_json:
        terminal.data(json.dumps({**result.as_json(), **_model(runner)}) + "\n")
    else:
        _print_table(result)
    if page is not None and pictures is not None:
        pictures.write(page, result, title="Evaluation of mattes", facts=facts, overwrite=overwrite)
        terminal.say(f"page: {page}")
    _report(result, predictions)
    if result.failed:
        raise typer.Exit(1)


def _check_usage(predictions: Path | None, images: Path | None, page: Path | None, model_only: dict[str, bool]) -> None:
    if predictions is None and images is None:
        raise UsageError("nothing to score; give a folder of predictions, or photos for a model with --images")
    if predictions is None:
        return
    useless = [name for name, given in model_only.items() if given]
    if useless:
        raise UsageError(
            f"{', '.join(useless)}: only for a model's run, and {predictions} holds finished mattes; leave one out"
        )
    if images is not None and page is None:
        raise UsageError(
            "beside a folder of predictions, --images only serves the page of --html; "
            "leave out the folder to run a model, or --images to score the folder"
        )


def _prepare(save: Path, listing: Listing, *, overwrite: bool) -> None:
    """Make the folder for the model's alphas and see that nothing is in the way."""
    from mattecli.imaging.write import check_output
    from mattecli.system.files import make_folder

    make_folder(save)
    if any(folder.samefile(save) for folder in {path.parent for path in listing.files()}):
        raise InputError(f"{save} holds inputs of this run, which are never written to; name another with --save")
    for case in listing.cases:
        check_output(save / f"{case.name}.png", overwrite=overwrite, inputs=case.files())  # a link may lead to one


def _predictor(
    backend: Runner, tile: TileChoice, max_memory: int | None
) -> Callable[[NDArray[Any], NDArray[np.uint8]], NDArray[np.float32]]:
    from mattecli.inference.model import predict_alpha

    return partial(predict_alpha, backend=backend, tile=tile, max_memory=max_memory)


def _model(backend: Runner | None) -> dict[str, Any]:
    """What `--json` says of the model that ran."""
    if backend is None:
        return {}
    return {
        "device": backend.device,
        "backend": backend.name,
        "precision": backend.precision,
        "weights": {"name": backend.checkpoint.name, "sha256": backend.checkpoint.sha256},
    }


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Scored | Failed], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if terminal.quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [
        TextColumn("scoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    ]
    with Progress(*columns, console=terminal.console(), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda outcome: progress.update(task, advance=1, description=outcome.name)


def _print_table(result: Evaluation) -> None:
    """The figures on stdout: columns of plain text, with rich's styles where a terminal reads them."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", overflow="fold")
    for title, _ in COLUMNS.values():
        table.add_column(title, justify="right", no_wrap=True)
    for image in result.images:
        table.add_row(image.name, *_cells(image.scores))
    for failed in result.failed:
        table.add_row(failed.name, *["failed"] * len(COLUMNS), style="red")
    scores = result.mean_of_scored
    if scores is not None:
        n, total = len(result.images), result.total
        name = f"mean of {total}" if result.mean is not None else f"mean of {n} of {total} only"
        table.add_row(name, *_cells(scores), style="bold" if result.mean is not None else "yellow")
    width = None if sys.stdout.isatty() else 10_000  # a file or a pipe has no edge to wrap at
    Console(file=sys.stdout, highlight=False, markup=False, width=width).print(table)


def _cells(scores: Scores) -> list[str]:
    return [format(getattr(scores, key), form) for key, (_, form) in COLUMNS.items()]


def _report(result: Evaluation, predictions: Path | None) -> None:
    """What failed and what was left over, on stderr."""
    for failed in result.failed:
        error = InputError(f"{failed.name}: {failed.reason}")
        error.__cause__ = failed.cause  # for the traceback of --debug
        terminal.fail(error)
    if result.failed:
        terminal.fail(
            InputError(f"{len(result.failed)} of {result.total} images failed, so there is no mean for the whole set")
        )
    if result.unused:
        names = ", ".join(path.name for path in result.unused[:5])
        more = f" and {len(result.unused) - 5} more" if len(result.unused) > 5 else ""
        terminal.warn(f"{predictions} has mattes without a trimap, which are not scored: {names}{more}")
