"""`matte report`: sums up, shows or merges reports of batches."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli.options import Json, Overwrite, file_name, whole_number
from mattecli.cli.progress import progress_bar
from mattecli.cli.terminal import Terminal, printable
from mattecli.cli.wording import as_options
from mattecli.errors import InputError, UsageError

if TYPE_CHECKING:
    from mattecli.batch.report import Run

MERGE = "merge"
PICTURES = 200  # on the page


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What is written."""

    page: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures, such as run.html.")
    ] = None
    pictures: Annotated[
        int | None,
        typer.Option(
            "--pictures",
            parser=whole_number(0),
            metavar="N",
            help="How many photos the page shows with pictures, those that need a look first.",
            show_default=f"{PICTURES}",
        ),
    ] = None
    worst: Annotated[
        int | None,
        typer.Option(
            "--worst",
            parser=whole_number(1),
            metavar="N",
            help="Print a CSV list of the N photos that need a look most, with the reasons, "
            "which --manifest of `matte batch` takes, too, if the run had --trimaps.",
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", parser=file_name, metavar="FILE", help="With merge: the report to write."),
    ] = None


def report(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[merge] REPORT",
            help="Reports that `matte batch` or `matte composite` wrote with --report. After the word merge they "
            "become one.",
            show_default=False,
        ),
    ],
    *,
    options: ReportOptions,
    overwrite: Overwrite = False,
    as_json: Json = False,
    terminal: Terminal,
) -> None:
    """Sum up the report of a batch, show it as a page, or merge several reports.

    Of an image that is in several reports under one name, the last one counts.

    \b
    Examples:
      matte report run.jsonl --html run.html
      matte report run.jsonl --worst 50 > look.csv
      matte report merge shard-*.jsonl -o run.jsonl
    """
    from mattecli.batch.report import merge, read_report, write_run
    from mattecli.pages.page import check_page
    from mattecli.system.files import check_target, same_file

    page, output = options.page, options.output
    if options.worst is not None and as_json:
        raise UsageError("--worst prints CSV and --json JSON; leave one of them out")
    if options.pictures is not None and page is None:
        raise UsageError("--pictures would do nothing without --html; add it, or leave it out")
    paths = _reports(words, output)
    if page is not None and output is not None and same_file(page, output):
        raise UsageError(f"{page} cannot hold both the merged report and the page; name two files")
    if page is not None:
        check_page(page, overwrite=overwrite, inputs=paths)
    if output is not None:
        check_target(output, overwrite=overwrite, inputs=paths, remedy="name another file")
    runs = [read_report(path) for path in paths]
    run = runs[0]
    if output is not None:
        run = merge(runs)
        write_run(output, run, overwrite=overwrite)
        terminal.say(f"{len(paths)} reports → {output}")
    if page is not None:  # before what is printed, whose reader may close the pipe early
        title = paths[0].name if len(paths) == 1 else str(output)
        shown = PICTURES if options.pictures is None else options.pictures
        _write_page(page, run, title, shown, terminal, overwrite=overwrite)
    if options.worst is None:
        _tell(run, terminal, as_json=as_json)
    else:
        _tell_worst(run, options.worst, terminal)


def _tell_worst(run: Run, number: int, terminal: Terminal) -> None:
    """Print the photos that need a look most, as a manifest; those that failed are named by the summary."""
    from mattecli.batch.report import COLUMNS, attention_of, worst

    lines = worst(run, number)
    if without := sum(not line["trimap"] for line in lines):
        terminal.warn(f"{without} of them have no trimap of their own; a manifest needs one for each")
    if not lines and any(attention_of(line) >= 0 for line in run.lines):
        terminal.say("no photo of this report needs a look")
    elif not lines and run.count("failed") < len(run.lines):
        terminal.warn("no photo of this report has an attention score; run the batch again with --redo")
    elif not lines:
        terminal.warn("no photo of this report is done; `matte report` without --worst says why")
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    terminal.data(text.getvalue())


def _reports(words: list[str], output: Path | None) -> list[Path]:
    """The files to read. Raises UsageError unless it is one of them, or `merge`, some of them and an output."""
    merging = words[0] == MERGE
    paths = [Path(word) for word in (words[1:] if merging else words)]
    if "-" in words:
        raise UsageError("a report is not read from standard input; name a file that --report of `matte batch` wrote")
    if not paths:
        raise UsageError("no report to merge; name the files that --report of `matte batch` wrote")
    if merging and output is None:
        raise UsageError("merge writes a new report; name it with -o")
    if not merging and (output is not None or len(paths) > 1):
        raise UsageError(f"several reports are joined by `matte report merge {paths[0]} … -o FILE`")
    return paths


def _write_page(page: Path, run: Run, title: str, pictures: int, terminal: Terminal, *, overwrite: bool) -> None:
    """Write the HTML page, with a bar for its pictures."""
    from mattecli.pages.report import write_report_page

    total = min(pictures, len(run.lines) - run.count("failed"))
    with progress_bar(terminal, "pictures", total=total) as bar:
        write_report_page(
            page,
            run,
            title=f"Batch: {title}",
            shown=pictures,
            overwrite=overwrite,
            wording=_wording,
            on_done=bar.advance,
        )
    terminal.say(f"page: {page}")


def _wording(message: str) -> str:
    """A message of the page, whose reader has no --max-pixels. What a batch said of it names the option already."""
    return as_options(message.replace("raise `max_pixels` if you trust the file", "the page does not show it"))


def _tell(run: Run, terminal: Terminal, *, as_json: bool) -> None:
    """The counts, and the failures by name."""
    from mattecli.batch.approved import count_approved
    from mattecli.batch.report import STATUSES

    counts = {status: run.count(status) for status in STATUSES}
    approved = 0
    try:
        approved = count_approved(run)
    except InputError as error:  # a journal of the batch: what the report says does not depend on it
        terminal.warn(printable(f"the approved alphas are not counted: {error}"))
    if as_json:
        summary = run.summary or {"total": len(run.lines), **counts, "interrupted": True}
        found = {"approved": approved} if approved else {}
        terminal.data(json.dumps({"summary": {**summary, **found}}) + "\n")
        return
    if approved:
        counts["approved"] = approved
    if run.left:
        counts["not begun"] = run.left
    ended = "; the run did not come to its end" if run.stopped else ""
    terminal.data(f"{', '.join(f'{count} {status}' for status, count in counts.items())}{ended}\n")
    for line in run.lines:
        if line["status"] == "failed":
            terminal.data(f"failed: {printable(line['name'])}: {printable(line['reason'])}\n")
