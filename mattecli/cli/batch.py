"""`matte batch`: the alpha mattes of a folder of photos."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli.batch_options import PhotoOptions, RunChoices
from mattecli.cli.colour_options import ColourChoices, check_colours
from mattecli.cli.mask_options import MaskOptions
from mattecli.cli.options import Json, ModelOptions, Overwrite, ReadChoices
from mattecli.cli.output_options import OutputChoices, WriteChoices, check_composite_options
from mattecli.cli.progress import interruptible, progress_bar
from mattecli.cli.terminal import Terminal, printable
from mattecli.compositing.outputs import read_background
from mattecli.errors import InputError, MatteError, UsageError
from mattecli.imaging.choices import Kind

if TYPE_CHECKING:
    from mattecli.batch.jobs import JobList
    from mattecli.batch.report import Report, Run
    from mattecli.batch.worker import Worker
    from mattecli.work.outcome import Outcome


def batch(
    images: Annotated[
        Path, typer.Argument(metavar="IMAGES", help="Folder of photos. With --manifest: the folder for the outputs.")
    ],
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="Folder for the outputs; it is made if it does not exist.")
    ] = None,
    *,
    photos: PhotoOptions,
    choices: OutputChoices,
    masks: MaskOptions,
    reading: ReadChoices,
    written: WriteChoices,
    model: ModelOptions,
    how: RunChoices,
    overwrite: Overwrite = False,
    as_json: Json = False,
    terminal: Terminal,
) -> None:
    """Matte a folder of photos. After an interruption the same command goes on where it stopped.

    A photo is skipped if its outputs were made from the same files with the same
    weights and options. A photo that fails is named and does not end the run;
    the exit code is then 1.

    \b
    Examples:
      matte batch photos/ mattes/ --trimaps trimaps/
      matte batch photos/ cutouts/ --trimaps 'photos/{dir}/{stem}_trimap.png' --what cutout --report run.jsonl
      matte batch photos/ mattes/ --masks masks/
      matte batch mattes/ --manifest pairs.csv --what alpha,composite -b white
      matte batch photos/ mattes/ --trimaps trimaps/ --shard 3/16
    """
    kinds = _kinds(choices, photos)
    choices.check_formats()
    choices.check_bits(kinds)
    check_colours(ColourChoices(), kinds, linear=choices.linear, clear=True)
    if how.engine == "local" and (how.ray_address is not None or how.workers is not None):
        raise UsageError("--ray-address and --workers are for a Ray cluster; add --engine ray")
    out = _output_folder(images, out, photos)
    if photos.masks is None and (given := masks.given()):
        raise UsageError(f"{' and '.join(given)} would do nothing without --masks; add it, or leave them out")
    _check_outputs(kinds, photos, choices, written)

    from mattecli.batch.worker import BatchOptions, Worker

    jobs = _find_jobs(images, out, kinds, photos, choices, masks, terminal)
    options = BatchOptions(
        out=out,
        run=model.run_options(),
        outputs=choices.output_options(written.write_options()),
        reading=reading.read_options(model),
        overwrite=overwrite,
        redo=how.redo,
        content=how.compare == "content",
    )
    worker = Worker(options)
    if how.dry_run:
        from mattecli.cli.dryrun import show_plan

        raise typer.Exit(show_plan(jobs, worker, terminal, as_json=as_json))
    report = _run(jobs, worker, how, terminal, as_json=as_json)
    _finish(report, terminal, as_json=as_json)


def _kinds(choices: OutputChoices, photos: PhotoOptions) -> tuple[Kind, ...]:
    if choices.background == "-":
        raise UsageError("a batch cannot read its background from standard input; name a file with -b")
    if choices.what is None:
        return ("alpha",) if choices.background is None else ("composite",)
    if "composite" in choices.what and choices.background is None and photos.manifest is None:
        raise UsageError("a composite needs a background; add -b, or a manifest with a column background")
    if "composite" not in choices.what and choices.background is not None:
        raise UsageError("--background is for composites; add composite to --what, or leave it out")
    return tuple(choices.what)


def _output_folder(images: Path, out: Path | None, photos: PhotoOptions) -> Path:
    """The folder for the outputs: the second one, or with a manifest the only one."""
    if photos.manifest is not None:
        if out is not None or photos.trimaps is not None or photos.masks is not None:
            raise UsageError("a manifest names the photos and trimaps; give only the output folder beside --manifest")
        if not photos.recursive:
            raise UsageError("--no-recursive is for a folder of photos, and a manifest names each photo; leave one out")
        return images
    if out is None:
        raise UsageError(f"{images} is the only folder given; name the photos' folder and then the outputs' folder")
    if photos.trimaps is not None and photos.masks is not None:
        raise UsageError("--trimaps and --masks are both given; masks take the trimaps' place, so give one of them")
    if photos.masks is None and (photos.cores is not None or photos.garbages is not None):
        raise UsageError("--cores and --garbages go with --masks; add it, or leave them out")
    if photos.trimaps is None and photos.masks is None:
        raise UsageError(
            "the photos need trimaps, which mark foreground white, background black and the rest grey; add --trimaps "
            "with their folder or a pattern, --masks if you have masks, or a --manifest"
        )
    return out


def _check_outputs(
    kinds: tuple[Kind, ...], photos: PhotoOptions, choices: OutputChoices, written: WriteChoices
) -> None:
    """Check what concerns the outputs of all photos. Raises UsageError and InputError."""
    from mattecli.batch.jobs import check_pattern, with_suffix
    from mattecli.imaging.products import depths as settled_depths
    from mattecli.imaging.write import check_format
    from mattecli.imaging.writing.layers import check_layered

    check_pattern(photos.name, kinds)
    depths = settled_depths(choices.what or {})
    composite = "composite" in kinds
    if photos.manifest is None or not composite:
        check_composite_options(choices.background if composite else None, fit=choices.fit)
    names = {kind: with_suffix(photos.name, choices.suffixes.get(kind)) for kind in kinds}
    if photos.manifest is None:  # which may name files of other formats
        written.check(list(names.values()))
    for kind in kinds:
        if kind == "layers":
            check_layered(names[kind])
            continue
        clear = kind == "cutout" or (kind == "composite" and (choices.background or "").lower() == "transparent")
        if kind == "alpha":
            check_format(names[kind], bits=depths.get(kind, choices.bits))
        else:
            check_format(names[kind], alpha=clear, options=replace(written.write_options(), bits=depths.get(kind)))
    if choices.background is not None:
        read_background(choices.background)


def _find_jobs(
    images: Path,
    out: Path,
    kinds: tuple[Kind, ...],
    photos: PhotoOptions,
    choices: OutputChoices,
    masks: MaskOptions,
    terminal: Terminal,
) -> JobList:
    """What there is to do on this machine; warns of what is left out."""
    from mattecli.batch.manifest import read_manifest
    from mattecli.batch.pairing import Masks, find_jobs
    from mattecli.batch.report import read_report
    from mattecli.system.folders import some
    from mattecli.work.outcome import FromMask

    of_masks = None
    if photos.masks is not None:
        of_masks = Masks(from_mask=FromMask(recipe=masks.recipe()), cores=photos.cores, garbages=photos.garbages)
    if photos.manifest is not None:
        jobs = read_manifest(
            photos.manifest,
            out,
            kinds=kinds,
            pattern=photos.name,
            background=choices.background,
            suffixes=choices.suffixes,
        )
    else:
        jobs = find_jobs(
            images,
            out,
            trimaps=str(photos.trimaps if photos.masks is None else photos.masks),
            masks=of_masks,
            kinds=kinds,
            pattern=photos.name,
            suffixes=choices.suffixes,
            background=choices.background,
            recursive=photos.recursive,
        )
    if photos.retry_failed is not None:
        jobs = _failed_of(read_report(photos.retry_failed), jobs, photos.retry_failed, terminal)
    if photos.shard is not None:
        jobs = jobs.shard(*photos.shard)
    if jobs.foreign:
        names = some(jobs.foreign)
        terminal.warn(printable(f"{len(jobs.foreign)} pictures are of formats that matte does not read: {names}"))
    if jobs.unused:
        what = "trimaps" if of_masks is None else "masks"
        terminal.warn(printable(f"{len(jobs.unused)} {what} belong to no photo: {some(jobs.unused)}"))
    return jobs


def _failed_of(run: Run, jobs: JobList, report: Path, terminal: Terminal) -> JobList:
    """The part of the jobs that failed in a report. Raises InputError where none of these photos is in it."""
    from mattecli.system.folders import some

    failed = run.failed_images()
    part = jobs.only(failed)
    images = [job.image for job in part.jobs] + [photo.image for photo in part.failed]
    found = {os.path.abspath(image) for image in images}  # noqa: PTH100 - no link is followed
    missing = [image for image in dict.fromkeys(failed) if image not in found]
    if missing and not found:
        raise InputError(
            f"none of the photos that failed in {report} is among these ({some(missing)}); name the folder or manifest "
            "that the report is of"
        )
    if missing:
        terminal.warn(printable(f"{len(missing)} photos that failed in {report} are not among these: {some(missing)}"))
    return part


def _run(jobs: JobList, worker: Worker, how: RunChoices, terminal: Terminal, *, as_json: bool) -> Report:
    """Do the jobs; show and report each outcome. Stops at an interrupt and when too many photos have failed."""
    from mattecli.batch.report import Report
    from mattecli.system.files import make_folder

    make_folder(worker.options.out)
    limit = None if how.max_failures is None else how.max_failures.of(len(jobs))
    report = Report(how.report, total=len(jobs), limit=limit)
    with interruptible(terminal, "finishing the photos in work; press Ctrl-C again to drop them") as interrupted:
        try:
            with progress_bar(terminal, "matting", total=len(jobs)) as bar:

                def on_done(outcome: Outcome) -> None:
                    report.add(outcome)
                    _show(outcome, terminal, as_json=as_json)
                    failed = report.counts["failed"]
                    bar.advance(note=f"{failed} failed" if failed else "")

                for failed in jobs.failed:
                    on_done(failed)
                if not report.too_many_failures:
                    _engine(how)(
                        jobs.jobs,
                        worker,
                        on_done=on_done,
                        on_load=partial(terminal.say_device, auto=worker.options.run.device == "auto"),
                        should_stop=lambda: interrupted.is_set() or report.too_many_failures,
                    )
        except KeyboardInterrupt:
            pass  # the second Ctrl-C: what was being matted is dropped
        finally:
            report.interrupted = interrupted.is_set()
            worker.journal.close()
            report.close()
    return report


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
            terminal.say(outcome.traceback)
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
    if report.exit_code:
        raise typer.Exit(report.exit_code)
