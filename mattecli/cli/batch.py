"""`matte batch`: the alpha mattes of a folder of photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli.batch_options import AlphaChoices, PhotoOptions, RunChoices
from mattecli.cli.colour_options import ColourChoices, check_colours, has_clear
from mattecli.cli.finishing_options import EdgeChoices, PlacementChoices, finishing
from mattecli.cli.folder_run import check_report_of_shard, narrowed, run_folder
from mattecli.cli.mask_options import MaskOptions
from mattecli.cli.options import Json, ModelOptions, ReadChoices
from mattecli.cli.output_options import OutputChoices, WriteChoices, check_pictures
from mattecli.cli.presets import Preset, typed
from mattecli.cli.targets import Composites, check_fit, check_places
from mattecli.cli.terminal import Terminal
from mattecli.compositing.outputs import read_background
from mattecli.errors import InputError, UsageError

if TYPE_CHECKING:
    from mattecli.batch.jobs import JobList
    from mattecli.batch.worker import Worker
    from mattecli.compositing.rendition import Rendition
    from mattecli.imaging.options import ReadOptions
    from mattecli.inference.options import RunOptions
    from mattecli.work.making import Making
    from mattecli.work.outputs import OutputOptions


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
    edges: EdgeChoices,
    placement: PlacementChoices,
    colours: ColourChoices,
    alphas: AlphaChoices,
    how: RunChoices,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Also replace files that no batch made. --redo makes finished photos anew."),
    ] = False,
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
      matte batch photos/ cutouts/ --trimaps "photos/{dir}/{stem}_trimap.png" --what cutout --report run.jsonl
      matte batch photos/ mattes/ --masks masks/
      matte batch photos/ cutouts/ --key auto --garbages garbages/ --what cutout
      matte batch photos/ shop/ --auto --what alpha,cutout,composite -b beach.jpg
      matte batch mattes/ --manifest pairs.csv --what alpha,composite -b white
      matte batch photos/ shop/ --trimaps trimaps/ -b white -b studio.jpg
      matte batch photos/ mattes/ --trimaps trimaps/ --shard 3/16
      matte batch photos/ shop/ --trimaps trimaps/ --preset catalogue.toml --keep-alpha
    """
    deliveries = choices.deliveries(manifest=photos.manifest is not None)
    named = choices.over_each(_kinds(choices, photos, deliveries), deliveries)
    made = named.renditions
    kinds = named.kinds
    choices.check_formats()
    choices.check_bits(kinds)
    by_line = photos.manifest is not None and "composite" in kinds  # its lines may name transparent
    check_colours(colours, kinds, linear=choices.linear, clear=by_line or has_clear(kinds, choices.backgrounds))
    check_pictures(choices, written, kinds)
    out = _output_folder(images, out, photos)
    base = photos.base()
    if base not in ("--masks", "--auto") and (given := masks.given()):
        raise UsageError(f"{' and '.join(given)} would do nothing without --masks or --auto; add it, or leave them out")
    if model.snap and base not in ("--trimaps", "--manifest"):
        raise UsageError("--snap would do nothing without --trimaps; leave it out")
    _check_outputs(photos, choices, written, named, reading.read_options(model))
    if alphas.prune_alpha is not None:
        _check_prune(photos, how, choices.preset, which=alphas.prune_alpha, as_json=as_json, overwrite=overwrite)
    else:
        check_report_of_shard(photos, how, choices.preset)
    finish = finishing(edges, placement)
    finish.check_kinds(kinds)

    from mattecli.batch.worker import BatchOptions, Worker
    from mattecli.system.threads import use_threads

    use_threads(model.threads)
    making = _making(base, photos, masks)
    found = _find_jobs(images, out, photos, choices, making, named)
    outputs = replace(choices.output_options(written.write_options(), colours, made), finishing=finish)
    run = _run_options(
        model, outputs, found, exact=alphas.keep_alpha or (how.engine == "ray" and model.device != "cpu")
    )
    partners = "trimaps" if photos.masks is None else "masks"
    jobs = narrowed(found, photos, how, terminal, partners=partners, manifest=photos.manifest)
    options = BatchOptions(
        out=out,
        run=run,
        outputs=outputs,
        reading=reading.read_options(model),
        overwrite=overwrite,
        redo=how.redo,
        content=how.compare == "content",
        keep_alpha=alphas.keep_alpha,
        settled=run.precision != model.precision,
    )
    worker = Worker(options)
    if alphas.prune_alpha is not None:
        _prune(jobs, worker, alphas.prune_alpha, terminal)
        return
    run_folder(jobs, worker, how, terminal, what="matting", as_json=as_json)


def _run_options(model: ModelOptions, outputs: OutputOptions, jobs: JobList, *, exact: bool) -> RunOptions:
    """How the network is run, for all photos alike, on all machines that share the batch.

    `exact` asks for fp32 where the precision is left to us.
    """
    from mattecli.inference.precision import settle_precision

    eight_bits = not exact and all(outputs.show_8_bits(job) for job in jobs.jobs)
    return settle_precision(model.run_options(), eight_bits=eight_bits)


def _check_prune(
    photos: PhotoOptions, how: RunChoices, preset: Preset | None, *, which: str, as_json: bool, overwrite: bool
) -> None:
    """Raise UsageError for what does not go with --prune-alpha, which mattes nothing."""
    if which == "unused" and (photos.shard is not None or photos.retry_failed is not None):
        raise UsageError("--prune-alpha unused needs the list of all photos; leave --shard and --retry-failed out")
    if how.dry_run:
        raise UsageError("--prune-alpha and --dry-run contradict each other; leave one of them out")
    wishes = {
        "--report": how.report is not None,
        "--json": as_json,
        "--max-failures": how.max_failures is not None,
        "--redo": how.redo,
        "--overwrite": overwrite,
        "--engine": how.engine != "local",
        "--ray-address": how.ray_address is not None,
        "--workers": how.workers is not None,
    }
    if given := typed(wishes, preset):
        raise UsageError(
            f"{' and '.join(given)} would do nothing with --prune-alpha, which mattes nothing; leave it out"
        )


def _prune(jobs: JobList, worker: Worker, which: str, terminal: Terminal) -> None:
    """Remove kept alphas and say how much that freed."""
    from mattecli.system.memory import show_bytes

    used = set() if which == "all" else _used_alphas(jobs, worker)
    removed, freed = worker.alphas.kept.prune(used)
    left, size = worker.alphas.kept.stored()
    terminal.say(f"{removed} kept alphas removed ({show_bytes(freed)}), {left} left ({show_bytes(size)})")


def _used_alphas(jobs: JobList, worker: Worker) -> set[str]:
    """The keys of the alphas that these photos need. Raises InputError where those of some are not known."""
    from mattecli.system.folders import some

    keys, unreadable = worker.alphas.keys(jobs.jobs)
    if unknown := [*(failed.name for failed in jobs.failed), *unreadable]:
        raise InputError(
            f"nothing was removed, as it is not known which alphas belong to photos that fail: {some(unknown)}; "
            "--dry-run in place of --prune-alpha says why they fail"
        )
    return keys


def _kinds(choices: OutputChoices, photos: PhotoOptions, deliveries: Mapping[str, Rendition]) -> tuple[str, ...]:
    """The outputs of each photo: kinds, and the names of deliveries."""
    if "-" in choices.backgrounds:
        raise UsageError("a batch cannot read its background from standard input; name a file with -b")
    check_places(choices.backgrounds, manifest=photos.manifest is not None)
    delivered = [made.kind for made in deliveries.values()]
    if choices.what is None and not deliveries:
        return ("composite",) if choices.backgrounds else ("alpha",)
    kinds = [*(choices.what or ()), *delivered]
    if "composite" in kinds and not choices.backgrounds and photos.manifest is None:
        raise UsageError("a composite needs a background; add -b, or a manifest with a column background")
    if "composite" not in kinds and choices.backgrounds:
        raise UsageError("--background is for composites; add composite to --what, or leave it out")
    if twice := [name for name in deliveries if name in (choices.what or ())]:
        raise UsageError(f"{twice[0]} is in --what and is a [[deliver]] of the preset too; give the delivery a name")
    return (*(choices.what or ()), *deliveries)


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
    return out


def _check_outputs(
    photos: PhotoOptions, choices: OutputChoices, written: WriteChoices, named: Composites, reading: ReadOptions
) -> None:
    """Check what concerns the outputs of all photos. Raises UsageError and InputError."""
    from mattecli.batch.jobs import check_pattern, with_suffix
    from mattecli.batch.pairing import is_place
    from mattecli.imaging.products import depths as settled_depths
    from mattecli.imaging.write import check_format
    from mattecli.imaging.writing.layers import check_layered

    made = named.renditions
    check_pattern(photos.name, named.names)
    depths = settled_depths(choices.what or {})
    composite = "composite" in [*named.names, *(one.kind for one in made.values())]
    if photos.manifest is None or not composite:
        check_fit(choices.backgrounds if composite else (), fit=choices.fit)
    suffixes = _suffixes(choices, made)
    names = {name: with_suffix(photos.name, suffixes.get(name)) for name in named.names}
    if photos.manifest is None:  # which may name files of other formats
        written.check(list(names.values()))
    written.check_deliveries(made.values())
    for name, kind in zip(named.names, named.kinds, strict=True):
        if kind == "layers":
            check_layered(names[name])
        elif kind == "alpha":
            own = made[name].bits if name in made else depths.get(name)
            check_format(names[name], bits=own or choices.bits)
        elif name in named.backgrounds or name not in made:  # others were checked when they were read
            behind = named.backgrounds.get(name, choices.only_background or "")
            clear = name == "cutout" or (name != "foreground" and behind.lower() == "transparent")
            bits = depths.get("composite" if name in made else name)
            check_format(names[name], alpha=clear, options=replace(written.write_options(), bits=bits))
    for background in choices.backgrounds:
        if not is_place(background):
            read_background(background, reading=reading)


def _suffixes(choices: OutputChoices, made: Mapping[str, Rendition]) -> dict[str, str]:
    return choices.suffixes | {name: one.suffix for name, one in made.items() if one.suffix is not None}


def _find_jobs(
    images: Path, out: Path, photos: PhotoOptions, choices: OutputChoices, making: Making, named: Composites
) -> JobList:
    """What there is to do, on all machines."""
    from mattecli.batch.manifest import read_manifest
    from mattecli.batch.pairing import Sources, find_jobs

    suffixes = _suffixes(choices, named.renditions)
    patterns = {name: one.pattern for name, one in named.renditions.items() if one.pattern is not None}
    if photos.manifest is not None:
        return read_manifest(
            photos.manifest,
            out,
            kinds=named.names,
            composites=[name for name, kind in zip(named.names, named.kinds, strict=True) if kind == "composite"],
            pattern=photos.name,
            background=choices.only_background,
            backgrounds=named.backgrounds,
            suffixes=suffixes,
            patterns=patterns,
            making=making,
        )
    return find_jobs(
        images,
        out,
        trimaps=photos.trimaps or photos.masks,
        sources=Sources(making=making, cores=photos.cores, garbages=photos.garbages),
        kinds=named.names,
        pattern=photos.name,
        suffixes=suffixes,
        patterns=patterns,
        background=choices.only_background,
        backgrounds=named.backgrounds,
        recursive=photos.recursive,
    )


def _making(base: str, photos: PhotoOptions, masks: MaskOptions) -> Making:
    """How the trimaps are read or made.

    Raises what `fetch_model` raises: a batch downloads nothing.
    """
    from mattecli.cli.subject import model_name
    from mattecli.work.making import Making

    model = model_name(auto=photos.auto, model=photos.auto_model)
    if model is not None:
        from mattecli.trimaps.auto import fetch_model

        fetch_model(model)
    recipe = masks.recipe() if base in ("--masks", "--auto") else None
    return Making(recipe=recipe, key=photos.key, model=model, resize=photos.resize_trimap)
