"""Runs a folder, or plans it, and tells how it went."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mattecli.cli.batch_options import ListOptions, RunChoices
from mattecli.cli.progress import interruptible, progress_bar
from mattecli.cli.terminal import Terminal, printable
from mattecli.cli.wording import outcome_in_options
from mattecli.errors import InputError, MatteError, UsageError

if TYPE_CHECKING:
    from mattecli.batch.jobs import JobList
    from mattecli.batch.report import Report, Run
    from mattecli.batch.worker import Worker
    from mattecli.cli.presets import Preset
    from mattecli.work.outcome import Outcome


def narrowed(
    jobs: JobList,
    photos: ListOptions,
    how: RunChoices,
    terminal: Terminal,
    *,
    partners: str,
    manifest: Path | None = None,
) -> JobList:
    """The part of the jobs that this command is to do; warns of files that are left out, such as unused trimaps.

    `manifest` is the list that the jobs come from, if that is not a folder. Raises UsageError where the run's report
    would replace the one that names the failed photos.
    """
    from mattecli.batch.report import read_report
    from mattecli.system.files import same_file

    if photos.retry_failed is not None:
        if how.report is not None and same_file(how.report, photos.retry_failed):
            raise UsageError(
                f"--report would replace {how.report}, which --retry-failed reads; give the report of this run another "
                "name, and join both with `matte report merge`"
            )
        jobs = _failed_of(read_report(photos.retry_failed), jobs, photos.retry_failed, terminal, manifest)
    if photos.shard is not None:
        jobs = jobs.shard(*photos.shard)
    strays = {partners: jobs.unused, **{f"{what}s": files for what, files in jobs.strays.items()}}
    warn_of_left_out(terminal, jobs.foreign, strays, of="photo", saved=jobs.saved)
    return jobs


def check_report_of_shard(photos: ListOptions, how: RunChoices, preset: Preset | None) -> None:
    """Raise UsageError for a shard whose report is the preset's, which all shards would write."""
    if photos.shard is not None and preset is not None and how.report is not None and how.report == preset.report:
        number, count = photos.shard
        own = how.report.with_name(f"{how.report.stem}-{number}{how.report.suffix}")
        raise UsageError(
            f"all {count} shards would write the report of the preset, {how.report}; give each its own, such as "
            f"--report {own}, and join them with `matte report merge`"
        )


def warn_of_left_out(
    terminal: Terminal, foreign: list[str], strays: Mapping[str, list[str]], *, of: str, saved: Sequence[str] = ()
) -> None:
    """Name pictures of formats that are not taken from folders, and files that belong to nothing, by what they are.

    `saved` are those that were saved of photos beside them.
    """
    from mattecli.system.folders import some

    if foreign:
        terminal.warn(printable(f"pictures of formats that are not taken from folders: {some(foreign)}"))
    for what, files in strays.items():
        if files:
            terminal.warn(printable(f"{what} that belong to no {of}: {some(files)}"))
    if saved:
        terminal.warn(printable(f"not taken for photos, as they were saved of photos beside them: {some(saved)}"))


def _failed_of(run: Run, jobs: JobList, report: Path, terminal: Terminal, manifest: Path | None) -> JobList:
    """The part of the jobs that failed in a report. Raises InputError where none of these photos is in it."""
    from mattecli.system.folders import some

    failed = run.failed_images()
    part = jobs.only(failed, below=manifest is None)  # a folder that could not be read
    images = [job.image for job in part.jobs] + [photo.image for photo in part.failed]
    found = {os.path.abspath(image) for image in images}  # noqa: PTH100 - no link is followed
    above = {str(folder) for image in found for folder in Path(image).parents} if manifest is None else set()
    missing = [image for image in dict.fromkeys(failed) if image not in found and image not in above]
    changed = "" if manifest is None else f"; if lines of {manifest} were changed, leave --retry-failed out"
    if missing and not found:
        raise InputError(
            f"none of the photos that failed in {report} is among these ({some(missing)}); name the folder or manifest "
            f"that the report is of{changed}"
        )
    if missing:
        terminal.warn(printable(f"photos that failed in {report} and are not among these: {some(missing)}{changed}"))
    return part


def run_folder(jobs: JobList, worker: Worker, how: RunChoices, terminal: Terminal, *, what: str, as_json: bool) -> None:
    """Do the jobs, or plan them with --dry-run; show and report each outcome; exit with the run's code.

    The run stops at an interrupt, when too many photos have failed, and when the disk is full. `what` names the work in
    the progress bar.
    """
    from mattecli.batch.report import Report, check_report
    from mattecli.system.files import check_folder, make_folder
    from mattecli.work.outcome import Skipped

    if how.engine == "local" and (how.ray_address is not None or how.workers is not None):
        raise UsageError("--ray-address and --workers are for a Ray cluster; add --engine ray")
    if how.dry_run:
        from mattecli.cli.dryrun import show_plan

        check_folder(worker.options.out)
        if how.report is not None:
            check_report(how.report)
        raise typer.Exit(show_plan(jobs, worker, terminal, as_json=as_json))
    make_folder(worker.options.out)
    limit = None if how.max_failures is None else how.max_failures.of(len(jobs))
    report = Report(how.report, total=len(jobs), limit=limit)
    unkept: list[str] = []
    with interruptible(terminal, "finishing the photos in work; press Ctrl-C again to drop them") as interrupted:
        try:
            with progress_bar(terminal, what, total=len(jobs)) as bar:

                def on_done(outcome: Outcome) -> None:
                    outcome = outcome_in_options(outcome)
                    report.add(outcome)
                    if isinstance(outcome, Skipped) and worker.alphas.lacks(outcome.job):
                        unkept.append(outcome.name)
                    _show(outcome, terminal, as_json=as_json)
                    failed = report.counts["failed"]
                    bar.advance(note=f"{failed} failed" if failed else "")

                for failed in jobs.failed:
                    on_done(failed)
                if not report.must_stop:
                    _engine(how)(
                        jobs.jobs,
                        worker,
                        on_done=on_done,
                        on_load=partial(terminal.say_device, auto=worker.options.run.device == "auto"),
                        should_stop=lambda: interrupted.is_set() or report.must_stop,
                    )
        except KeyboardInterrupt:
            pass  # the second Ctrl-C: what was being matted is dropped
        finally:
            report.interrupted, report.signal = interrupted.is_set(), interrupted.signal
            worker.journal.close()
            report.close()
    warn_of_unkept(terminal, len(unkept))
    _finish(report, terminal, as_json=as_json)


def warn_of_unkept(terminal: Terminal, number: int) -> None:
    """Say how many photos were done already, so that --keep-alpha kept nothing of them."""
    if number:
        terminal.warn(
            f"{number} finished photos have no kept alpha; --redo makes them, and throws away those that were approved"
        )


def _engine(how: RunChoices) -> Callable[..., None]:
    """The function that does the jobs: here, or on a Ray cluster."""
    if how.engine == "ray":
        from mattecli.batch.ray import run_on_ray

        return partial(run_on_ray, address=how.ray_address, workers=how.workers)
    from mattecli.batch.engine import run_jobs

    return run_jobs


def _show(outcome: Outcome, terminal: Terminal, *, as_json: bool) -> None:
    """Print the outcome as JSON if asked to, name a failure, and tell details."""
    from mattecli.work.outcome import Done, Failed

    if as_json:
        terminal.data(json.dumps(outcome.to_json()) + "\n")
    if isinstance(outcome, Failed):
        if terminal.debug and outcome.traceback is not None:
            for line in outcome.traceback.splitlines():
                terminal.say(line)
        terminal.fail(MatteError(printable(outcome.reason)))
    elif isinstance(outcome, Done):
        terminal.detail(f"{printable(outcome.name)}: {outcome.seconds:.1f} s")
        for note in outcome.notes:
            terminal.detail(printable(note))


def _finish(report: Report, terminal: Terminal, *, as_json: bool) -> None:
    """Print the summary, and exit with the report's code."""
    summary = report.summary()
    if as_json:
        terminal.data(json.dumps(summary) + "\n")
    counts = summary["summary"]
    left = f", {counts['left']} not begun" if counts["left"] else ""
    terminal.say(
        f"{counts['done']} done, {counts['skipped']} skipped, {counts['failed']} failed{left} "
        f"({counts['seconds']:.1f} s)"
    )
    if report.too_many_failures:
        what = f"stopped: {counts['failed']} of {counts['total']} photos failed, more than the {report.limit} allowed"
        terminal.fail(MatteError(what))
    if report.disk_full:
        what = "stopped: the disk is full, or its quota used up; free some space and run the same command again"
        terminal.fail(MatteError(what))
    if report.exit_code:
        raise typer.Exit(report.exit_code)
