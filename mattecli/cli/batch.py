"""`matte batch`: the alpha mattes of a folder of photos."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from mattecli.cli import terminal
from mattecli.cli.follow import OnDone, interruptible, printable, showing
from mattecli.cli.options import (
    Backend,
    Bits,
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
from mattecli.cli.parsing import check_composite_options, parse_bits, parse_kinds, parse_memory, parse_tile
from mattecli.compositing.outputs import read_background
from mattecli.errors import InputError, MatteError, UsageError
from mattecli.imaging.choices import Fit, Kind

if TYPE_CHECKING:
    from mattecli.batch.jobs import Listing
    from mattecli.batch.report import Report, Run
    from mattecli.batch.work import Settings, Worker

NAMES = "{dir}/{stem}_{what}.png"  # as in batch.jobs, which is too heavy to import for --help


def batch(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="The folder of photos; with --manifest, OUT alone.")],
    out: Annotated[Path | None, typer.Argument(metavar="OUT", help="The folder for what is made.")] = None,
    *,
    trimaps: Annotated[
        str | None,
        typer.Option(
            "--trimaps",
            "-t",
            metavar="DIR|PATTERN",
            help="A folder like IMAGES, with trimaps named as the photos or ending in _trimap; or a path with {dir} "
            "(the photo's folder below IMAGES), {stem} and {name}.",
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", metavar="FILE", help="A CSV or JSONL list: image, trimap, output, background."),
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive/--no-recursive", help="Look into subfolders.")] = True,
    name: Annotated[
        str, typer.Option("--name", metavar="PATTERN", help="Names of the outputs below OUT; {name} has the suffix.")
    ] = NAMES,
    what: Annotated[
        str | None, typer.Option("--what", metavar="KIND,…", help=f"What to make: {', '.join(get_args(Kind))}.")
    ] = None,
    background: Annotated[
        str | None,
        typer.Option(
            "--background", "-b", metavar="FILE|COLOUR|transparent", help="What composites are put over; see predict."
        ),
    ] = None,
    fit: Annotated[
        Fit, typer.Option("--fit", help="How a background picture of another size is brought to a photo's.")
    ] = "cover",
    linear: Annotated[bool, typer.Option("--linear", help="Composite in linear light.")] = False,
    bits: Bits = "8",
    snap: Snap = 0,
    weights: Weights = None,
    device: Device = "auto",
    backend: Backend = "auto",
    provider: Provider = None,
    precision: Precision = "auto",
    tile: Tile = "auto",
    max_memory: MaxMemory = None,
    overwrite: Overwrite = False,
    redo: Annotated[bool, typer.Option("--redo", help="Matte again what is done already.")] = False,
    compare: Annotated[
        Literal["time", "content"],
        typer.Option("--compare", help="How a resume sees that an input changed: size and time, or its content."),
    ] = "time",
    max_failures: Annotated[
        str | None, typer.Option("--max-failures", metavar="N|P%", help="Stop when more photos than that have failed.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write what came of each photo here, as JSON lines.")
    ] = None,
    retry_failed: Annotated[
        Path | None, typer.Option("--retry-failed", metavar="REPORT", help="Only the photos that failed in that run.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="I/N", help="Only the part of machine I of N, counted from 1.")
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option("--engine", help="What spreads the work: this machine, or a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", metavar="ADDRESS", help="The cluster. [default: found, or started]")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, metavar="N", help="Ray processes. [default: one a GPU or machine]")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be done, and what it takes.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Matte a folder of photos; after an interruption the same command goes on.

    What is done, by the same weights and options from the same inputs, is skipped.
    A photo that fails is named and never ends the run.

    Examples:

        matte batch photos/ mattes/ --trimaps trimaps/

        matte batch photos/ cutouts/ --trimaps 'photos/{dir}/{stem}_trimap.png' --what cutout --report run.jsonl

        matte batch mattes/ --manifest pairs.csv --what alpha,composite -b white

        matte batch photos/ mattes/ --trimaps trimaps/ --shard 3/16
    """
    kinds = _kinds(what, background, manifest)
    depth, side, allowed = parse_bits(bits, kinds), parse_tile(tile), parse_memory(max_memory)
    part = _shard(shard)
    if engine == "local" and (ray_address is not None or workers is not None):
        raise UsageError("--ray-address and --workers are for a Ray cluster; add --engine ray")
    out = _output_folder(images, out, trimaps, manifest)

    from mattecli.batch.jobs import check_pattern
    from mattecli.batch.manifest import read_manifest
    from mattecli.batch.pairing import find_jobs
    from mattecli.batch.report import Report, failure_limit, read_report
    from mattecli.batch.work import Settings, Worker
    from mattecli.system.files import make_folder

    check_pattern(name, kinds)
    if manifest is None or "composite" not in kinds:
        check_composite_options(background if "composite" in kinds else None, fit=fit, linear=linear)
    _check_formats(name, kinds, depth, background)
    if background is not None:
        read_background(background)  # raises where it is none
    if manifest is not None:
        listing = read_manifest(manifest, out, kinds=kinds, pattern=name, background=background)
    else:
        listing = find_jobs(
            images,
            out,
            trimaps=str(trimaps),
            kinds=kinds,
            pattern=name,
            background=background,
            recursive=recursive,
        )
    if retry_failed is not None:
        listing = _failed_of(read_report(retry_failed), listing, retry_failed)
    if part is not None:
        listing = listing.shard(*part)
    total = len(listing.jobs) + len(listing.problems)
    limit = None if max_failures is None else failure_limit(max_failures, total)
    settings = Settings(
        out=out,
        kinds=tuple(kinds),
        bits=depth,
        snap=snap,
        fit=fit,
        linear=linear,
        weights=weights,
        backend=backend,
        device=device,
        provider=provider,
        precision=precision,
        tile=side,
        max_memory=allowed,
        overwrite=overwrite,
        redo=redo,
        content=compare == "content",
    )
    _tell_unused(listing)
    worker = Worker(settings)
    if dry_run:
        from mattecli.cli.dryrun import show_plan

        raise typer.Exit(show_plan(listing, worker, as_json=as_json))
    make_folder(out)
    result = Report(report, total=total, limit=limit)
    stop = threading.Event()
    try:
        with interruptible(stop, result), showing(result, as_json=as_json) as on_done:
            _report_problems(listing, on_done)
            if not result.hopeless:
                _run(listing, worker, settings, _stopping(on_done, result, stop), stop, engine, ray_address, workers)
    except KeyboardInterrupt:  # the second one: what was being matted is dropped
        result.interrupted = True
    finally:
        worker.journal.close()
        result.close()
    _finish(result, limit, as_json=as_json)


def _kinds(what: str | None, background: str | None, manifest: Path | None) -> list[Kind]:
    if what is None:
        return ["alpha"] if background is None else ["composite"]
    kinds = parse_kinds(what)
    if "composite" in kinds and background is None and manifest is None:
        raise UsageError("a composite needs a background; add -b, or a manifest with a column background")
    if "composite" not in kinds and background is not None:
        raise UsageError("--background is for composites; add composite to --what, or leave it out")
    return kinds


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UsageError(f"--shard {text} is no part of a whole; write 1/4 to 4/4 for four machines")
    return int(number), int(count)


def _output_folder(images: Path, out: Path | None, trimaps: str | None, manifest: Path | None) -> Path:
    """Where the outputs go: the second folder, or beside a manifest the only one."""
    if manifest is not None:
        if out is not None or trimaps is not None:
            raise UsageError("a manifest names the photos and trimaps; give only the output folder beside --manifest")
        return images
    if out is None:
        raise UsageError(f"{images} is the only folder given; name the photos' folder and then the outputs' folder")
    if trimaps is None:
        raise UsageError("the photos need trimaps; add --trimaps with their folder or a pattern, or a --manifest")
    return out


def _check_formats(name: str, kinds: list[Kind], depth: Any, background: str | None) -> None:
    """See that the suffix of the outputs can hold what is to be made."""
    from mattecli.imaging.write import check_format

    for kind in kinds:
        transparent = kind == "cutout" or (kind == "composite" and (background or "").lower() == "transparent")
        form = check_format(name, bits=depth if kind == "alpha" else None, alpha=transparent)
        if kind != "alpha" and not form.colour:
            raise InputError(f"--name {name} can hold a matte only, no colours; let it end in .tif or .png")


def _failed_of(run: Run, listing: Listing, report: Path) -> Listing:
    """The part of the listing that failed in a report. Raises InputError where none of these photos is in it."""
    from mattecli.system.folders import some

    failed = run.failed_images()
    part = listing.only(failed)
    images = [job.image for job in part.jobs] + [problem.image for problem in part.problems]
    found = {os.path.abspath(image) for image in images}  # noqa: PTH100
    missing = [image for image in dict.fromkeys(failed) if image not in found]
    if missing and not found:
        raise InputError(
            f"none of the photos that failed in {report} is among these ({some(missing)}); name the folder or manifest "
            "that the report is of"
        )
    if missing:
        terminal.warn(printable(f"{len(missing)} photos that failed in {report} are not among these: {some(missing)}"))
    return part


def _tell_unused(listing: Listing) -> None:
    from mattecli.system.folders import some

    if listing.foreign:
        names = some(listing.foreign)
        terminal.warn(printable(f"{len(listing.foreign)} pictures are of formats that matte does not read: {names}"))
    if listing.unused:
        terminal.warn(printable(f"{len(listing.unused)} trimaps belong to no photo: {some(listing.unused)}"))


def _report_problems(listing: Listing, on_done: OnDone) -> None:
    for problem in listing.problems:
        line = {"name": problem.name, "image": os.path.abspath(problem.image)}  # noqa: PTH100 - no link is followed
        if problem.trimap is not None:
            line["trimap"] = os.path.abspath(problem.trimap)  # noqa: PTH100
        on_done({**line, "status": "failed", "reason": problem.reason})


def _stopping(on_done: OnDone, report: Report, stop: threading.Event) -> OnDone:
    def add(line: dict[str, Any]) -> None:
        on_done(line)
        if report.hopeless:
            stop.set()

    return add


def _run(
    listing: Listing,
    worker: Worker,
    settings: Settings,
    on_done: OnDone,
    stop: threading.Event,
    engine: str,
    ray_address: str | None,
    workers: int | None,
) -> None:
    def on_load(device: str) -> None:
        terminal.say(f"device: {device}" + (" (auto)" if settings.device == "auto" else ""))

    if engine == "ray":
        from mattecli.batch.ray import run_on_ray

        run_on_ray(
            listing.jobs, worker, on_done=on_done, on_load=on_load, stop=stop, address=ray_address, workers=workers
        )
    else:
        from mattecli.batch.engine import run_jobs

        run_jobs(listing.jobs, worker, on_done=on_done, on_load=on_load, stop=stop)


def _finish(report: Report, limit: int | None, *, as_json: bool) -> None:
    summary = report.summary()
    if as_json:
        terminal.data(json.dumps(summary) + "\n")
    counts = summary["summary"]
    left = f", {counts['left']} not begun" if counts["left"] else ""
    terminal.say(
        f"{counts['done']} done, {counts['skipped']} skipped, {counts['failed']} failed{left} "
        f"({counts['seconds']:.1f} s)"
    )
    if report.hopeless:
        terminal.fail(
            MatteError(f"stopped: {counts['failed']} of {counts['total']} photos failed, more than the {limit} allowed")
        )
    if report.exit_code:
        raise typer.Exit(report.exit_code)
