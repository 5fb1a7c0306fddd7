"""`matte predict`: the alpha, cut-out or composite of one photo."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mattecli.cli.colour_options import ColourChoices, check_colours, has_clear
from mattecli.cli.finishing_options import EdgeChoices, PlacementChoices, finishing
from mattecli.cli.mask_options import MaskOptions, ResizeOption
from mattecli.cli.options import Json, ModelOptions, Overwrite, ReadChoices
from mattecli.cli.output_options import OutputChoices, WriteChoices, check_pictures
from mattecli.cli.progress import passes_bar
from mattecli.cli.subject import SubjectOptions
from mattecli.cli.targets import (
    Composites,
    OutputFolder,
    check_fit,
    check_in_folder,
    check_streams,
    files_of,
    output_file,
)
from mattecli.cli.terminal import Terminal
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.compositing.rendition import Rendition
    from mattecli.inference.plan import Plan
    from mattecli.work.outcome import Done, Job

NO_TRIMAP = (
    "--trimap is missing: a picture of the photo's size, white where the foreground is sure, black where the "
    "background is sure, grey between; paint one with `matte ui photo.jpg`, give a mask or a cut-out of another "
    "program as --mask, mark the subject with --box or --scribbles, give --key for a photo in front of a screen or "
    "--auto to let a model find the subject, or make a trimap with `matte trimap mask.png --photo photo.jpg`"
)
FACTS = ("width", "height", "unknown", "device", "backend", "precision", "tile", "weights")


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """The files of one photo."""

    trimap: Annotated[
        str | None,
        typer.Option(
            "--trimap",
            "-t",
            metavar="FILE",
            help="Trimap file: white = foreground, black = background, grey = unknown. `-` reads standard input. If "
            "you have a mask, give --mask instead.",
        ),
    ] = None
    resize_trimap: ResizeOption = False
    mask: Annotated[
        str | None,
        typer.Option(
            "--mask",
            metavar="FILE",
            help="A mask, a rough matte or a cut-out in place of the trimap, which is made of it on the way.",
        ),
    ] = None
    core: Annotated[
        str | None,
        typer.Option(
            "--core",
            metavar="FILE",
            help="A mask of what is foreground for certain, whatever else is given.",
        ),
    ] = None
    garbage: Annotated[
        str | None,
        typer.Option(
            "--garbage",
            metavar="FILE",
            help="A mask of what is background for certain, whatever else is given.",
        ),
    ] = None
    save_trimap: Annotated[
        str | None,
        typer.Option("--save-trimap", metavar="FILE", help="Also write the trimap, as it was made or read."),
    ] = None
    output: Annotated[
        str | None,
        output_file(
            "File to write, such as matte.png; `-` writes PNG to standard output. Default: IMAGE_alpha.png beside the "
            "photo, IMAGE_cutout.png with --cutout, and so on.",
            default=False,
        ),
    ] = None
    cutout: Annotated[
        bool,
        typer.Option(
            "--cutout",
            help="Write a cut-out (RGBA, colours not multiplied by alpha), free of the old background's colours, "
            "instead of the alpha matte.",
        ),
    ] = False
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Write the foreground's colours instead of the alpha matte.")
    ] = False
    out_dir: OutputFolder = None


def predict(
    photo: Annotated[str, typer.Argument(metavar="IMAGE", help="The photo; `-` reads standard input.")],
    *,
    files: PredictOptions,
    subject: SubjectOptions,
    choices: OutputChoices,
    colours: ColourChoices,
    masks: MaskOptions,
    edges: EdgeChoices,
    placement: PlacementChoices,
    reading: ReadChoices,
    written: WriteChoices,
    model: ModelOptions,
    overwrite: Overwrite = False,
    as_json: Json = False,
    terminal: Terminal,
) -> None:
    """Find the alpha matte of a photo, given a trimap, a mask, strokes, a box, a screen or a model.

    \b
    Examples:
      matte predict photo.jpg --trimap photo_trimap.png
      matte predict photo.jpg --mask rembg.png --cutout
      matte predict photo.jpg --box 10%,5%,80%,90%
      matte predict photo.jpg --key auto --cutout
      matte predict photo.jpg --auto --cutout
      matte predict photo.jpg -t trimap.png -o cutout.png --cutout
      matte predict photo.jpg -t trimap.png -o out.jpg -b beach.jpg
      matte predict photo.jpg -t trimap.png -b white -b beach.jpg --out-dir out/
      matte predict photo.jpg -t trimap.png --what alpha,cutout --out-dir mattes/
      matte predict photo.jpg -t trimap.png --what alpha:png16,cutout:webp,layers
      matte predict photo.jpg -t trimap.png -b white --canvas 2000x2000 --fill 85% --shadow contact
    """
    started = time.perf_counter()
    base = subject.base(**{"--trimap": files.trimap, "--mask": files.mask})
    deliveries = choices.deliveries()
    named = choices.over_each(_kinds(files, choices, deliveries), deliveries)
    job = _job(photo, base, files, subject, choices, masks, named, as_json=as_json)
    if model.snap and base != "--trimap":
        raise UsageError("--snap would do nothing without --trimap; leave it out")
    made = named.renditions
    kinds = named.kinds
    check_colours(colours, kinds, linear=choices.linear, clear=has_clear(kinds, choices.backgrounds))
    check_pictures(choices, written, kinds)
    written.check(list(job.outputs.values()))
    written.check_deliveries(made.values())
    finish = finishing(edges, placement)
    finish.check_kinds(kinds)

    from mattecli.imaging.reading.open import check_source, label
    from mattecli.inference.model import Model
    from mattecli.inference.precision import settle_precision
    from mattecli.system.threads import use_threads
    from mattecli.work.job import check_outputs, run_job

    use_threads(model.threads)
    options = dataclasses.replace(choices.output_options(written.write_options(), colours, made), finishing=finish)
    folders = [] if files.output is not None else [Path(job.outputs[name]).parent for name in made]
    if files.out_dir is not None:
        check_in_folder(job.outputs.values(), files.out_dir)
        folders.append(files.out_dir)
    for source in job.sources:
        check_source(source)
    check_outputs(job, options, overwrite=overwrite, folders=folders, save_trimap=files.save_trimap)
    subject.prepare(terminal)
    read = reading.read_options(model)
    find = subject.finder(base, label(photo), terminal, reading=read)
    # A trimap that the network helps to find is the one of `matte trimap`, which computes in fp32.
    eight_bits = find is None and options.show_8_bits(job)
    network = Model(settle_precision(model.run_options(), eight_bits=eight_bits))
    plans: list[Plan] = []

    def on_plan(plan: Plan) -> None:
        if plans:
            terminal.warn(f"{network.backend.device} ran out of memory; trying again with less")
        plans.append(plan)
        terminal.say(f"tile: {plan}" + (" (auto)" if model.tile == "auto" else ""))

    with passes_bar(terminal) as progress:
        done = run_job(
            job,
            network,
            options=options,
            reading=read,
            overwrite=overwrite,
            save_trimap=files.save_trimap,
            folders=folders,
            make_trimap=find,
            on_note=terminal.warn,
            on_load=lambda backend: terminal.say_device(backend.device, auto=model.device == "auto"),
            on_plan=on_plan,
            progress=progress,
        )
    done = dataclasses.replace(done, seconds=time.perf_counter() - started)
    for target in job.outputs.values():
        shown = "standard output" if target == "-" else target
        terminal.say(f"{label(photo)} → {shown} ({done.seconds:.1f} s)")
    if done.facts.get("coarse_to_fine"):
        terminal.say(
            "much of the unknown part is far from anything known, so a small copy was matted first; "
            "--no-coarse-to-fine leaves that out"
        )
    if as_json:
        terminal.data(json.dumps(_facts(done)) + "\n")


def _job(
    photo: str,
    base: str | None,
    files: PredictOptions,
    subject: SubjectOptions,
    choices: OutputChoices,
    masks: MaskOptions,
    named: Composites,
    *,
    as_json: bool,
) -> Job:
    """The job that the options ask for; `base` is the option that the trimap comes from.

    Raises UsageError for options that do not go together.
    """
    from mattecli.work.outcome import Job

    if base is None:
        raise UsageError(NO_TRIMAP)
    if base not in ("--mask", "--auto") and (given := masks.given()):
        raise UsageError(f"{' and '.join(given)} would do nothing without --mask or --auto; add it, or leave them out")
    if files.resize_trimap and base != "--trimap":
        raise UsageError("--resize-trimap would do nothing without --trimap; leave it out")
    making = subject.making(base, recipe=masks.recipe(), core=files.core, garbage=files.garbage)
    making = dataclasses.replace(making, resize=files.resize_trimap)
    strokes = subject.scribbles  # as the file that the trimap is found from: an input as any other, never written to
    file = {"--trimap": files.trimap, "--mask": files.mask, "--scribbles": strokes, "--box": strokes}.get(base)
    if files.save_trimap == "-":
        raise UsageError("--save-trimap takes no -; name a file")
    choices.check_formats()
    choices.check_bits(named.kinds)
    outputs = _outputs(photo, files, choices, named)
    check_streams(
        [photo, file, *making.files, *choices.backgrounds],
        outputs.values(),
        as_json=as_json,
        ask="give - for one of photo, trimap and background",
    )
    check_fit(choices.backgrounds, fit=choices.fit)
    background, behind = choices.only_background, named.backgrounds
    return Job(photo, photo, file or photo, outputs, background, making=making, backgrounds=behind)


def _kinds(files: PredictOptions, choices: OutputChoices, deliveries: Mapping[str, Rendition]) -> tuple[str, ...]:
    """What is to be written: one output for -o, or those that --what lists and that a preset delivers."""
    composite = bool(choices.backgrounds)
    delivered = {made.kind for made in deliveries.values()}
    wishes: dict[str, bool] = {"cutout": files.cutout, "foreground": files.foreground, "composite": composite}
    asked = tuple(kind for kind, wish in wishes.items() if wish)
    if choices.what is None and not deliveries:
        if len(asked) > 1:
            raise UsageError(
                f"{' and '.join(asked)} cannot all go to one output; use --what {','.join(asked)} --out-dir DIR"
            )
        return asked or ("alpha",)
    if files.cutout or files.foreground:
        already = "a preset's [[deliver]]" if choices.what is None else "--what"
        raise UsageError(f"{already} already lists the outputs; leave --cutout and --foreground out")
    what = choices.what or {}
    if ("composite" in {*what, *delivered}) != composite:
        raise UsageError("a composite needs both: composite in --what, and its --background")
    if twice := [name for name in deliveries if name in what]:
        raise UsageError(f"{twice[0]} is in --what and is a [[deliver]] of the preset too; give the delivery a name")
    return (*what, *deliveries)


def _outputs(photo: str, files: PredictOptions, choices: OutputChoices, named: Composites) -> dict[str, str]:
    """The file of each output. Raises UsageError for a name that contradicts the format in `--what`."""
    made = {name: one.suffix for name, one in named.renditions.items() if one.suffix is not None}
    suffixes: dict[str, str] = {"alpha": ".tif"} if choices.bits == "float" else {}  # PNG cannot hold floating point
    suffixes |= choices.suffixes | made
    names = {name: f"{Path(photo).stem}_{name}{suffixes.get(name, '.png')}" for name in named.names}
    if patterns := {name: one.pattern for name, one in named.renditions.items() if one.pattern is not None}:
        from mattecli.batch.jobs import outputs_of

        for name, pattern in patterns.items():
            names |= outputs_of(Path(photo).name, Path(), [name], pattern, suffixes=suffixes, option="file")
    outputs = files_of(
        names,
        photo,
        output=files.output,
        folder=files.out_dir,
        backgrounds=choices.backgrounds,
        lister="--what lists" if choices.what is not None else "the preset delivers",
    )
    if files.output is not None:
        _check_suffix(files.output, named.names[0], choices)
    return outputs


def _check_suffix(output: str, kind: str, choices: OutputChoices) -> None:
    """Raise UsageError for a file's name that contradicts the format in `--what`."""
    settled = choices.suffixes.get(kind)
    named = ".png" if output == "-" else Path(output).suffix.lower().replace("jpeg", "jpg").replace("tiff", "tif")
    if settled is not None and named != settled:
        what = "writes PNG" if output == "-" else f"ends in {named}"
        raise UsageError(f"-o {output} {what}, but --what gives {kind} the format {settled}; leave one of them out")


def _facts(done: Done) -> dict[str, Any]:
    """The fields of `--json`."""
    outputs = done.job.outputs
    return {
        "image": done.job.image,
        "output": next(iter(outputs.values())) if len(outputs) == 1 else outputs,
        **{key: done.facts[key] for key in FACTS},
        "coarse_to_fine": done.facts.get("coarse_to_fine", False),
        "seconds": round(done.seconds, 3),
        "peak_bytes": done.peak_bytes,
    }
