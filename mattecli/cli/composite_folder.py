"""`matte composite PHOTOS/ ALPHAS/`: a folder of photos over other backgrounds."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mattecli.cli.batch_options import ListOptions, RunChoices
from mattecli.cli.folder_run import narrowed, run_folder
from mattecli.cli.options import changed
from mattecli.cli.output_options import WriteChoices
from mattecli.cli.targets import Composites, check_fit, check_in_folder, check_places
from mattecli.cli.terminal import Terminal
from mattecli.cli.wording import outcome_in_options, without_snap
from mattecli.errors import InputError, UsageError

if TYPE_CHECKING:
    from mattecli.batch.jobs import JobList
    from mattecli.batch.worker import BatchOptions
    from mattecli.imaging.options import ReadOptions
    from mattecli.work.job import Matte
    from mattecli.work.outcome import Job


def composite_folder(
    photos: str,
    alphas: str,
    options: BatchOptions,
    *,
    named: Composites,
    background: str | None,
    known: str | None,
    listing: ListOptions,
    how: RunChoices,
    written: WriteChoices,
    terminal: Terminal,
    as_json: bool,
) -> None:
    """Put the photos of a folder over backgrounds, as a batch does.

    `alphas` and `background` are folders or patterns; a background may also be one for all. It is None where `named`
    has several. `known` is where trimaps are that say what is certain. Raises UsageError and InputError.
    """
    from mattecli.batch.worker import Worker
    from mattecli.compositing.outputs import check_output_format

    names = _names(listing, named)
    written.check(list(names.values()))
    for name, file in names.items():
        check_output_format(
            options.outputs.kind(name),
            file,
            bits=options.outputs.alpha_bits(name),
            background=named.backgrounds.get(name, background),
            files=options.outputs.write_options(name),
        )
    _check_backgrounds([*named.backgrounds.values()] or [str(background)], options)
    jobs = _find_jobs(Path(photos), alphas, options, named, background=background, known=known, listing=listing)
    jobs = narrowed(jobs, listing, how, terminal, partners="alphas")
    run_folder(jobs, Worker(options), how, terminal, what="compositing", as_json=as_json)


def deliver_photo(
    photo: str,
    alpha: str,
    options: BatchOptions,
    *,
    named: Composites,
    background: str | None,
    known: str | None,
    written: WriteChoices,
    terminal: Terminal,
    as_json: bool,
) -> None:
    """Make the deliveries of a preset for one photo. Raises UsageError and InputError."""
    from mattecli.batch.jobs import outputs_of
    from mattecli.system.files import make_folder
    from mattecli.system.memory import peak_bytes
    from mattecli.work.job import check_outputs, read_backgrounds, write_outputs
    from mattecli.work.outcome import Done, Job

    if "-" in (photo, alpha, background, known, *named.backgrounds.values()):
        raise UsageError(
            "a preset with [[deliver]] names its files by the photo, which `-` has no name for; name a file"
        )
    made = options.outputs.renditions
    outputs = {
        name: file
        for name, one in made.items()
        for file in outputs_of(
            Path(photo).name,
            options.out,
            [name],
            one.pattern or "{stem}_{what}.png",
            suffixes={name: one.suffix or ".png"},
            option="file",
        ).values()
    }
    written.check(list(outputs.values()))
    check_fit([*named.backgrounds.values()] or [str(background)], fit=options.outputs.fit)
    job = Job(photo, photo, alpha, outputs, background, finished=True, known=known, backgrounds=named.backgrounds)
    check_in_folder(outputs.values(), options.out)
    folders = [Path(output).parent for output in outputs.values()]
    check_outputs(job, options.outputs, overwrite=options.overwrite, folders=folders)
    under = read_backgrounds(job, outputs, options.outputs, reading=options.reading)
    matte = read_given(job, options.reading)
    options.outputs.check_photo(matte.inputs.photo, outputs, matte.alpha)
    for folder in folders:
        make_folder(folder)
    replaces = dict.fromkeys(outputs, options.overwrite)
    started = time.perf_counter()
    notes = write_outputs(job, matte, options.outputs, backgrounds=under, replaces=replaces)
    for note in notes:
        terminal.warn(note)
    done = Done(job, matte.facts(), matte.seconds + time.perf_counter() - started, notes, peak_bytes())
    for output in outputs.values():
        terminal.say(f"{photo} → {output}")
    if as_json:
        terminal.data(json.dumps(outcome_in_options(done).to_json()) + "\n")


def read_given(job: Job, reading: ReadOptions) -> Matte:
    """As `read_finished`, with messages for this command, which has no --snap."""
    from mattecli.work.job import read_finished

    try:
        return read_finished(job, reading=reading)
    except InputError as error:
        raise InputError(without_snap(str(error))) from error


def folder_options(listing: ListOptions, how: RunChoices) -> list[str]:
    """The options that were given and are for folders only."""
    return changed(listing, how)


def _names(listing: ListOptions, named: Composites) -> dict[str, str]:
    """The pattern of each output's name. Raises UsageError for patterns that give two outputs one name."""
    from mattecli.batch.jobs import check_pattern, with_suffix

    renditions = named.renditions
    if not renditions:
        check_pattern(listing.name, ["composite"])
        return {"composite": listing.name}
    if any(made.pattern is None for made in renditions.values()):
        check_pattern(listing.name, list(renditions))
    return {name: with_suffix(made.pattern or listing.name, made.suffix) for name, made in renditions.items()}


def _check_backgrounds(backgrounds: Sequence[str], options: BatchOptions) -> None:
    """Check what all photos are put over, one or several."""
    from mattecli.batch.pairing import is_place
    from mattecli.compositing.outputs import read_background

    if "-" in backgrounds:
        raise UsageError("a folder of photos cannot take its background from standard input; name a file with -b")
    check_places(backgrounds)
    if not is_place(backgrounds[0]):
        check_fit(backgrounds, fit=options.outputs.fit)
        for background in backgrounds:
            read_background(background, reading=options.reading)


def _find_jobs(
    photos: Path,
    alphas: str,
    options: BatchOptions,
    named: Composites,
    *,
    background: str | None,
    known: str | None,
    listing: ListOptions,
) -> JobList:
    from mattecli.batch.pairing import Alphas, find_jobs

    renditions = options.outputs.renditions
    return find_jobs(
        photos,
        options.out,
        trimaps=alphas,
        alphas=Alphas(known=known),
        kinds=named.names,
        pattern=listing.name,
        suffixes={name: made.suffix for name, made in renditions.items() if made.suffix is not None},
        patterns={name: made.pattern for name, made in renditions.items() if made.pattern is not None},
        background=background,
        backgrounds=named.backgrounds,
        recursive=listing.recursive,
    )
