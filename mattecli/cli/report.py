"""`matte report`: what came of a batch, in words, as a page, or merged from several machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli import terminal
from mattecli.cli.options import Debug, Json, Overwrite, Quiet, Verbose
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.batch.report import Run

MERGE = "merge"


def report(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[merge] REPORT…", help="Files that --report of `matte batch` wrote.", show_default=False
        ),
    ],
    *,
    page: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page to look at, in one file.")
    ] = None,
    pictures: Annotated[
        int, typer.Option("--pictures", min=0, metavar="N", help="How many photos the page shows, the slowest first.")
    ] = 200,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="With merge: the report to write.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Sum up the report of a batch, show it as a page, or merge several.

    Of an image that is in several reports, the last one counts.

    Examples:

        matte report run.jsonl --html run.html

        matte report merge shard-*.jsonl -o run.jsonl
    """
    merging = words[0] == MERGE
    paths = [Path(word) for word in (words[1:] if merging else words)]
    if not paths:
        raise UsageError("no report to merge; name the files that --report of `matte batch` wrote")
    if merging and output is None:
        raise UsageError("merge writes a new report; name it with -o")
    if not merging and (output is not None or len(paths) > 1):
        raise UsageError(f"several reports are joined by `matte report merge {paths[0]} … -o FILE`")

    from mattecli.batch.report import merge, read_report, write_run
    from mattecli.pages.page import check_page
    from mattecli.system.files import check_target

    if page is not None:
        check_page(page, overwrite=overwrite, inputs=paths)
    if output is not None:
        check_target(output, overwrite=overwrite, inputs=paths, remedy="name another file")
    runs = [read_report(path) for path in paths]
    run = merge(runs) if merging else runs[0]
    if output is not None:
        write_run(output, run)
        terminal.say(f"{len(paths)} reports → {output}")
    _tell(run, as_json=as_json)
    if page is not None:
        from mattecli.pages.report import write_report_page

        with _progress(min(pictures, len(run.lines) - run.count("failed"))) as on_done:
            title = paths[0].name if len(paths) == 1 else str(output)
            write_report_page(page, run, title=f"Batch: {title}", shown=pictures, overwrite=overwrite, on_done=on_done)
        terminal.say(f"page: {page}")


def _tell(run: Run, *, as_json: bool) -> None:
    """The counts, and the failures by name."""
    from mattecli.batch.report import STATUSES
    from mattecli.cli.follow import printable

    counts = {status: run.count(status) for status in STATUSES}
    if as_json:
        summary = run.summary or {"total": len(run.lines), **counts, "interrupted": True}
        terminal.data(json.dumps({"summary": summary}) + "\n")
        return
    ended = (
        "" if run.summary is not None and not run.summary.get("interrupted") else "; the run did not come to its end"
    )
    terminal.data(f"{', '.join(f'{count} {status}' for status, count in counts.items())}{ended}\n")
    for line in run.lines:
        if line["status"] == "failed":
            terminal.data(f"failed: {printable(line['name'])}: {printable(line['reason'])}\n")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None] | None]:
    """A bar on a terminal, nothing elsewhere."""
    if terminal.quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=terminal.console(), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
