"""`matte evaluate`: SAD, MSE, Grad and Conn against true alphas."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from mattecli.cli.options import OF_FILES, Json, ModelOptions, Overwrite, ReadChoices, changed
from mattecli.cli.progress import progress_bar
from mattecli.cli.targets import check_in_folder
from mattecli.cli.terminal import Terminal, printable
from mattecli.cli.wording import as_options
from mattecli.errors import InputError, MatteError, UsageError

if TYPE_CHECKING:
    from mattecli.evaluation.evaluate import CaseList, Evaluation, Pictures, Scored
    from mattecli.evaluation.metrics import Scores
    from mattecli.imaging.options import ReadOptions
    from mattecli.inference.model import Model
    from mattecli.pages.evaluation import EvaluationPage

COLUMNS = {"sad": ("SAD", ".3f"), "mse": ("MSE", ".5f"), "grad": ("Grad", ".3f"), "conn": ("Conn", ".3f")}


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """The folders of a benchmark, and what is written."""

    panel: ClassVar[str] = "Benchmark"
    alpha: Annotated[Path, typer.Option("--alpha", metavar="DIR", help="Folder of the true alphas.")]
    trimaps: Annotated[
        Path, typer.Option("--trimaps", metavar="DIR", help="Folder of the trimaps; each is one image to score.")
    ]
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="DIR",
            help="Folder of photos that a model is run on; beside PREDICTIONS, photos that --html shows.",
        ),
    ] = None
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="Keep the model's alphas in this folder, as 8-bit PNG files."),
    ] = None
    page: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also write a page with pictures, the worst image first."),
    ] = None


def evaluate(
    predictions: Annotated[
        Path | None,
        typer.Argument(metavar="PREDICTIONS", help="Folder of mattes to score; without it a model runs on --images."),
    ] = None,
    *,
    files: EvaluateOptions,
    options: ModelOptions,
    reading: ReadChoices,
    overwrite: Overwrite = False,
    as_json: Json = False,
    terminal: Terminal,
) -> None:
    """Score mattes against the truth: SAD, MSE, Grad and Conn.

    They are computed as in the papers' code, so they compare with the papers'
    tables for the same pictures and trimaps.

    Files belong together when they have the same name. An image without a
    readable prediction of the right size has failed: it is named, the exit code
    is 1, and there is no mean for the set, only one of the images that have
    scores. In Composition-1k's naming NAME.png is the truth of NAME_0.png to
    NAME_19.png.

    \b
    Examples:
      matte evaluate predictions/ --alpha truth/ --trimaps trimaps/
      matte evaluate predictions/ --alpha truth/ --trimaps trimaps/ --html page.html --images photos/
      matte evaluate --images photos/ --alpha truth/ --trimaps trimaps/ --save predictions/
      matte evaluate --images photos/ --alpha truth/ --trimaps trimaps/ --weights a2u.safetensors --json
    """
    _check_usage(predictions, files, options, reading)
    read = reading.read_options(options)

    from mattecli.evaluation.evaluate import find_cases
    from mattecli.pages.evaluation import EvaluationPage
    from mattecli.pages.page import check_page
    from mattecli.system.threads import use_threads

    use_threads(options.threads)
    listed = find_cases(files.alpha, files.trimaps, predictions=predictions, photos=files.images)
    if files.page is not None:
        check_page(files.page, overwrite=overwrite, inputs=listed.files())
    if files.save is not None:
        _prepare(files.save, listed, overwrite=overwrite)
    model = None
    if predictions is None:
        from mattecli.inference.model import Model

        model = Model(options.run_options(coarse_to_fine=False)).load()  # the network as it is
        terminal.say_device(model.backend.device, auto=options.device == "auto")
    page = None if files.page is None else EvaluationPage()
    result = _score(listed, files, model, page, terminal, reading=read, snap=options.snap, overwrite=overwrite)
    unwritten = None
    if page is not None and files.page is not None:  # before what is printed, whose reader may close the pipe early
        shown = _page_facts(predictions, files, model)
        try:
            page.write(files.page, result, title="Evaluation of mattes", facts=shown, overwrite=overwrite)
            terminal.say(f"page: {files.page}")
        except MatteError as error:  # after the scores, which may have taken hours
            unwritten = error
    if as_json:
        from mattecli.work.job import backend_facts

        facts = {} if model is None else backend_facts(model.backend)
        terminal.data(json.dumps({**result.as_json(), **facts}) + "\n")
    else:
        _print_table(result)
    _report(result, predictions, terminal)
    if unwritten is not None:
        raise unwritten
    if result.failed:
        raise typer.Exit(1)


def _check_usage(predictions: Path | None, files: EvaluateOptions, options: ModelOptions, reading: ReadChoices) -> None:
    if predictions is None and files.images is None:
        raise UsageError("nothing to score; give a folder of predictions, or photos for a model with --images")
    if predictions is None:
        return
    useless = [name for name in options.given() if name not in ("--snap", *OF_FILES)]
    useless += ["--save"] * (files.save is not None)
    if useless:
        raise UsageError(
            f"{', '.join(useless)}: only for a model's run, and {predictions} holds finished mattes; leave one out"
        )
    idle = [name for name in changed(reading) if name != "--max-pixels"]
    if idle and files.images is None:
        raise UsageError(f"{' and '.join(idle)} would do nothing without photos; name them with --images")
    if files.images is not None and files.page is None:
        raise UsageError(
            "beside a folder of predictions, --images only serves the page of --html; "
            "leave out the folder to run a model, or --images to score the folder"
        )


def _prepare(save: Path, listed: CaseList, *, overwrite: bool) -> None:
    """Make the folder for the model's alphas and see that nothing is in the way."""
    from mattecli.imaging.write import check_output
    from mattecli.system.files import make_folder

    check_in_folder((save / f"{case.name}.png" for case in listed.cases), save)
    make_folder(save)
    if any(folder.samefile(save) for folder in {path.parent for path in listed.files()}):
        raise InputError(f"{save} holds inputs of this run, which are never written to; name another with --save")
    for case in listed.cases:
        check_output(save / f"{case.name}.png", overwrite=overwrite, inputs=case.files())  # a link may lead to one


def _score(
    listed: CaseList,
    files: EvaluateOptions,
    model: Model | None,
    page: EvaluationPage | None,
    terminal: Terminal,
    *,
    reading: ReadOptions,
    snap: int,
    overwrite: bool,
) -> Evaluation:
    """The scores of all images; the page, if there is to be one, sees their pictures."""
    from mattecli.evaluation.evaluate import evaluate as score_cases
    from mattecli.system.folders import some
    from mattecli.system.threads import thread_count

    unseen: list[str] = []

    def look(scored: Scored, pictures: Pictures) -> None:
        if pictures.photo is None and files.images is not None:
            unseen.append(scored.name)
        if page is not None:
            page.add(scored, pictures)

    with progress_bar(terminal, "scoring", total=len(listed.cases)) as bar:
        result = score_cases(
            listed,
            model=model,
            snap=snap,
            reading=reading,
            save=files.save,
            overwrite=overwrite,
            workers=min(8, thread_count()) if model is None else 1,
            look=None if page is None else look,
            on_done=lambda outcome: bar.advance(note=outcome.name),
        )
    if unseen:
        terminal.warn(printable(f"photos that are damaged or of another size, and not shown: {some(sorted(unseen))}"))
    failed = tuple(replace(image, reason=as_options(image.reason)) for image in result.failed)
    return replace(result, failed=failed)


def _page_facts(predictions: Path | None, files: EvaluateOptions, model: Model | None) -> dict[str, str]:
    """What stands at the top of the page."""
    facts = {"Truth": str(files.alpha), "Trimaps": str(files.trimaps)}
    if model is None:
        return {"Predictions": str(predictions), **facts}
    backend = model.backend
    return {"Model": f"{backend.checkpoint.name} in {backend.precision}", "Photos": str(files.images), **facts}


def _print_table(result: Evaluation) -> None:
    """The scores on stdout: columns of plain text, with rich's styles on a terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", overflow="fold")
    for title, _ in COLUMNS.values():
        table.add_column(title, justify="right", no_wrap=True)
    for image in result.images:
        table.add_row(printable(image.name), *_cells(image.scores))
    for failed in result.failed:
        table.add_row(printable(failed.name), *["failed"] * len(COLUMNS), style="red")
    scores = result.mean_of_scored
    if scores is not None:
        n, total = len(result.images), result.total
        name = f"mean of {total}" if result.mean is not None else f"mean of {n} of {total} only"
        table.add_row(name, *_cells(scores), style="bold" if result.mean is not None else "yellow")
    width = None if sys.stdout.isatty() else 10_000  # lines in a file or a pipe are not wrapped
    Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=width).print(table)


def _cells(scores: Scores) -> list[str]:
    return [format(getattr(scores, key), form) for key, (_, form) in COLUMNS.items()]


def _report(result: Evaluation, predictions: Path | None, terminal: Terminal) -> None:
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
