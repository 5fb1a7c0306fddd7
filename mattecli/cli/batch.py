"""`matte batch`: the alpha mattes of a folder of photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mattecli.cli.batch_options import AlphaChoices, PhotoOptions, RunChoices
from mattecli.cli.colour_options import ColourChoices, check_colours
from mattecli.cli.finishing_options import EdgeChoices, PlacementChoices, finishing
from mattecli.cli.folder_run import narrowed, run_folder
from mattecli.cli.mask_options import MaskOptions
from mattecli.cli.options import Json, ModelOptions, Overwrite, ReadChoices
from mattecli.cli.output_options import OutputChoices, WriteChoices, check_composite_options
from mattecli.cli.terminal import Terminal
from mattecli.compositing.outputs import read_background
from mattecli.errors import UsageError
from mattecli.imaging.choices import Kind

if TYPE_CHECKING:
    from mattecli.batch.jobs import JobList
    from mattecli.batch.worker import Worker
    from mattecli.compositing.rendition import Rendition
    from mattecli.inference.options import RunOptions
    from mattecli.work.job import OutputOptions
    from mattecli.work.making import Making


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
      matte batch photos/ cutouts/ --key auto --garbages garbages/ --what cutout
      matte batch photos/ mattes/ --auto
      matte batch mattes/ --manifest pairs.csv --what alpha,composite -b white
      matte batch photos/ mattes/ --trimaps trimaps/ --shard 3/16
      matte batch photos/ shop/ --trimaps trimaps/ --preset catalogue.toml --keep-alpha
    """
    deliveries = choices.deliveries(manifest=photos.manifest is not None)
    kinds = _kinds(choices, photos, deliveries)
    choices.check_formats()
    choices.check_bits(kinds)
    check_colours(
        colours,
        [deliveries[name].kind if name in deliveries else cast(Kind, name) for name in kinds],
        linear=choices.linear,
        clear=True,
    )
    out = _output_folder(images, out, photos)
    base = photos.base()
    if base not in ("--masks", "--auto") and (given := masks.given()):
        raise UsageError(f"{' and '.join(given)} would do nothing without --masks or --auto; add it, or leave them out")
    _check_outputs(kinds, photos, choices, written, deliveries)
    finish = finishing(edges, placement)
    finish.check_kinds(deliveries[name].kind if name in deliveries else cast(Kind, name) for name in kinds)

    from mattecli.batch.worker import BatchOptions, Worker
    from mattecli.system.threads import use_threads

    use_threads(model.threads)
    making = _making(base, photos, masks)
    found = _find_jobs(images, out, kinds, photos, choices, making, deliveries)
    outputs = replace(choices.output_options(written.write_options(), colours, deliveries), finishing=finish)
    run = _run_options(
        model, outputs, found, exact=alphas.keep_alpha or (how.engine == "ray" and model.device != "cpu")
    )
    jobs = narrowed(found, photos, terminal, partners="trimaps" if photos.masks is None else "masks")
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
        _prune(jobs, worker, photos, alphas.prune_alpha, terminal, dry_run=how.dry_run)
        return
    run_folder(jobs, worker, how, terminal, what="matting", as_json=as_json)


def _run_options(model: ModelOptions, outputs: OutputOptions, jobs: JobList, *, exact: bool) -> RunOptions:
    """How the network is run, for all photos alike, on all machines that share the batch.

    `exact` asks for fp32 where the precision is left to us.
    """
    from mattecli.inference.precision import settle_precision

    eight_bits = not exact and all(outputs.show_8_bits(job) for job in jobs.jobs)
    return settle_precision(model.run_options(), eight_bits=eight_bits)


def _prune(
    jobs: JobList, worker: Worker, photos: PhotoOptions, which: str, terminal: Terminal, *, dry_run: bool
) -> None:
    """Remove kept alphas and say how much that freed. Raises UsageError where only a part of the photos is listed."""
    from mattecli.system.memory import show_bytes

    if which == "unused" and (photos.shard is not None or photos.retry_failed is not None):
        raise UsageError("--prune-alpha unused needs the list of all photos; leave --shard and --retry-failed out")
    if dry_run:
        raise UsageError("--prune-alpha and --dry-run contradict each other; leave one of them out")
    used = set() if which == "all" else worker.alpha_keys(jobs.jobs)
    removed, freed = worker.kept.prune(used)
    left, size = worker.kept.stored()
    terminal.say(f"{removed} kept alphas removed ({show_bytes(freed)}), {left} left ({show_bytes(size)})")


def _kinds(choices: OutputChoices, photos: PhotoOptions, deliveries: Mapping[str, Rendition]) -> tuple[str, ...]:
    """The outputs of each photo: kinds, and the names of deliveries."""
    if choices.background == "-":
        raise UsageError("a batch cannot read its background from standard input; name a file with -b")
    delivered = [made.kind for made in deliveries.values()]
    if choices.what is None and not deliveries:
        return ("alpha",) if choices.background is None else ("composite",)
    kinds = [*(choices.what or ()), *delivered]
    if "composite" in kinds and choices.background is None and photos.manifest is None:
        raise UsageError("a composite needs a background; add -b, or a manifest with a column background")
    if "composite" not in kinds and choices.background is not None:
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
    kinds: tuple[str, ...],
    photos: PhotoOptions,
    choices: OutputChoices,
    written: WriteChoices,
    deliveries: Mapping[str, Rendition],
) -> None:
    """Check what concerns the outputs of all photos. Raises UsageError and InputError."""
    from mattecli.batch.jobs import check_pattern, with_suffix
    from mattecli.batch.pairing import is_place
    from mattecli.imaging.products import depths as settled_depths
    from mattecli.imaging.write import check_format
    from mattecli.imaging.writing.layers import check_layered

    check_pattern(photos.name, kinds)
    depths = settled_depths(choices.what or {})
    composite = "composite" in [*kinds, *(made.kind for made in deliveries.values())]
    if photos.manifest is None or not composite:
        check_composite_options(choices.background if composite else None, fit=choices.fit)
    for made in deliveries.values():
        if made.pattern is not None:
            check_pattern(made.pattern, [made.name])
    suffixes = _suffixes(choices, deliveries)
    names = {kind: with_suffix(photos.name, suffixes.get(kind)) for kind in kinds}
    if photos.manifest is None:  # which may name files of other formats
        written.check(list(names.values()))
    for kind in kinds:
        if kind in deliveries:  # which were checked when they were read
            continue
        if kind == "layers":
            check_layered(names[kind])
            continue
        clear = kind == "cutout" or (kind == "composite" and (choices.background or "").lower() == "transparent")
        if kind == "alpha":
            check_format(names[kind], bits=depths.get(kind, choices.bits))
        else:
            check_format(names[kind], alpha=clear, options=replace(written.write_options(), bits=depths.get(kind)))
    if choices.background is not None and not is_place(choices.background):
        read_background(choices.background)


def _suffixes(choices: OutputChoices, deliveries: Mapping[str, Rendition]) -> dict[str, str]:
    return choices.suffixes | {name: made.suffix for name, made in deliveries.items() if made.suffix is not None}


def _find_jobs(
    images: Path,
    out: Path,
    kinds: tuple[str, ...],
    photos: PhotoOptions,
    choices: OutputChoices,
    making: Making,
    deliveries: Mapping[str, Rendition],
) -> JobList:
    """What there is to do, on all machines."""
    from mattecli.batch.manifest import read_manifest
    from mattecli.batch.pairing import Sources, find_jobs

    suffixes = _suffixes(choices, deliveries)
    patterns = {name: made.pattern for name, made in deliveries.items() if made.pattern is not None}
    if photos.manifest is not None:
        return read_manifest(
            photos.manifest,
            out,
            kinds=kinds,
            pattern=photos.name,
            background=choices.background,
            suffixes=suffixes,
            patterns=patterns,
            making=making,
        )
    return find_jobs(
        images,
        out,
        trimaps=photos.trimaps or photos.masks,
        sources=Sources(making=making, cores=photos.cores, garbages=photos.garbages),
        kinds=kinds,
        pattern=photos.name,
        suffixes=suffixes,
        patterns=patterns,
        background=choices.background,
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
