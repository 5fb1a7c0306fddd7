"""`matte composite`: a photo and its alpha over another background."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mattecli.cli.batch_options import ListOptions, RunChoices
from mattecli.cli.colour_options import ColourChoices
from mattecli.cli.composite_folder import composite_folder, deliver_photo, folder_options, read_given
from mattecli.cli.composite_options import (
    CompositeOptions,
    check_colour_options,
    check_trimap_option,
    colour_options,
    surround,
    targets_of,
)
from mattecli.cli.finishing_options import EdgeChoices, PlacementChoices, finishing
from mattecli.cli.folder_run import check_report_of_shard
from mattecli.cli.options import Json, Overwrite, ReadChoices, Threads
from mattecli.cli.output_options import (
    WriteChoices,
    check_output_space,
)
from mattecli.cli.targets import check_in_folder, different, over_each
from mattecli.cli.terminal import Terminal
from mattecli.compositing.outputs import (
    check_composite_output,
    check_memory,
    check_output_format,
    make_output,
    photo_note,
    read_background,
    stored_as,
)
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.batch.worker import BatchOptions
    from mattecli.cli.targets import Composites
    from mattecli.compositing.colours import ColourOptions
    from mattecli.compositing.finishing import Finishing
    from mattecli.imaging.image import Image
    from mattecli.imaging.options import Depth, ReadOptions


def composite(
    photo: Annotated[
        str, typer.Argument(metavar="PHOTO", help="The photo, or a folder of photos; `-` reads standard input.")
    ],
    alpha: Annotated[
        str,
        typer.Argument(
            metavar="ALPHA",
            help="Its alpha matte, of the same size; `-` reads standard input. For a folder of photos a folder of "
            'alphas, with cat.png or cat_alpha.png for cat.jpg, or a pattern such as "alphas/{dir}/{stem}.png".',
        ),
    ],
    *,
    options: CompositeOptions,
    edges: EdgeChoices,
    placement: PlacementChoices,
    colours: ColourChoices,
    reading: ReadChoices,
    written: WriteChoices,
    listing: ListOptions,
    how: RunChoices,
    threads: Threads = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    terminal: Terminal,
) -> None:
    """Put the foreground of a photo over another background.

    The old background is first removed from the colours of hair and other
    half-transparent places, so that no halo stays. The result keeps the photo's
    depth, colour profile and resolution. Over transparent it is a cut-out
    (RGBA, its colours not multiplied by alpha). Give -b several times with --out-dir for several
    backgrounds. A folder of photos is done as `matte batch` does one: it resumes,
    and a photo that fails is named and does not end the run.

    \b
    Examples:
      matte composite photo.jpg photo_alpha.png -b beach.jpg -o out.jpg
      matte composite photo.jpg photo_alpha.png -b "#00b140"
      matte composite photo.jpg photo_alpha.png -b transparent -o cutout.png
      matte composite photo.jpg photo_alpha.png -b white -b beach.jpg --out-dir out/
      matte composite photo.jpg photo_alpha.png -b white --canvas 2000x2000 --fill 85%
      matte composite photos/ alphas/ -b backgrounds/ --out-dir out/ --report run.jsonl
    """
    from mattecli.system.files import check_folder, check_new, is_folder, make_folder
    from mattecli.system.threads import use_threads

    started = time.perf_counter()
    use_threads(threads)
    named = _named(options)
    check_colour_options(options, colours, named.kinds)
    folder = is_folder(photo)
    check_trimap_option(options, edges, folder=folder)
    if not folder and (given := folder_options(listing, how)):
        raise UsageError(f"{' and '.join(given)} would do nothing for one photo; name a folder, or leave them out")
    if folder or (options.preset is not None and options.preset.deliver):
        batch = _batch_options(options, named, edges, placement, colours, reading, written, how, overwrite=overwrite)
        make: Callable[..., None] = partial(deliver_photo, written=written)
        if folder:
            check_report_of_shard(listing, how, options.preset)
            make = partial(composite_folder, listing=listing, how=how, written=written)
        make(
            photo,
            alpha,
            batch,
            named=named,
            background=None if named.backgrounds else options.background[0],
            known=options.trimap,
            terminal=terminal,
            as_json=as_json,
        )
        return
    targets = targets_of(photo, alpha, options, as_json=as_json)
    finish = finishing(edges, placement)
    finish.check_kinds(["composite"])
    written.check(list(targets.values()))
    out = options.out_dir
    if out is not None:
        check_in_folder(targets.values(), out)
        check_folder(out)
    given = [photo, alpha, *([] if options.trimap is None else [options.trimap]), *targets]
    written_as = written.write_options()
    for background, target in targets.items():
        if out is None or is_folder(out):
            check_composite_output(target, background, overwrite=overwrite, inputs=given, files=written_as)
        else:
            check_output_format("composite", target, bits=8, background=background, files=written_as)
            check_new(Path(target), inputs=given)

    from mattecli.imaging.reading.open import label
    from mattecli.imaging.write import check_format, write_image
    from mattecli.imaging.writing.encoding import metadata_note

    how_coloured = colour_options(options, colours)
    results = _composites(photo, alpha, options, how_coloured, reading.read_options(), targets, finish, terminal)
    for target, result, bits in results:
        if out is not None:  # not before all was read
            make_folder(out)
        note = metadata_note(check_format(target), result.metadata) if written_as.metadata else None
        if note:
            terminal.warn(note)
        write_image(target, result, overwrite=overwrite, options=replace(written_as, bits=bits))
        seconds = time.perf_counter() - started
        terminal.detail(f"{_size(result)}, {seconds:.1f} s")
        if not as_json:
            terminal.say(f"{label(photo)} → {'standard output' if target == '-' else target}")
    if as_json:
        one = len(targets) == 1
        files = {
            "image": photo,
            "alpha": alpha,
            "background": next(iter(targets)) if one else list(targets),
            "output": next(iter(targets.values())) if one else targets,
        }
        terminal.data(json.dumps(files | _facts(result, options, seconds)) + "\n")


def _named(options: CompositeOptions) -> Composites:
    """The outputs of each photo of a folder, or the deliveries of a preset."""
    from mattecli.cli.deliveries import deliveries_of

    backgrounds = different(options.background)
    renditions = deliveries_of(options.preset, backgrounds=backgrounds)
    return over_each(list(renditions) or ["composite"], renditions, backgrounds)


def _batch_options(
    options: CompositeOptions,
    named: Composites,
    edges: EdgeChoices,
    placement: PlacementChoices,
    colours: ColourChoices,
    reading: ReadChoices,
    written: WriteChoices,
    how: RunChoices,
    *,
    overwrite: bool,
) -> BatchOptions:
    """How the outputs of a folder, or the deliveries of a preset, are made. Raises UsageError."""
    from mattecli.batch.worker import BatchOptions
    from mattecli.work.outputs import OutputOptions

    if options.out_dir is None or options.output is not None:
        raise UsageError("a folder of photos, and a preset with [[deliver]], need --out-dir instead of -o; give it")
    check_output_space(options.output_space)
    renditions = named.renditions
    written.check_deliveries(renditions.values())
    finish = finishing(edges, placement)
    finish.check_kinds([made.kind for made in renditions.values()] or ["composite"])
    return BatchOptions(
        out=options.out_dir,
        outputs=OutputOptions(
            fit=options.fit,
            around=surround(options),
            linear=options.linear,
            colours=colour_options(options, colours),
            output_space=options.output_space,
            files=written.write_options(),
            renditions=renditions,
            finishing=finish,
        ),
        reading=reading.read_options(),
        overwrite=overwrite,
        redo=how.redo,
        content=how.compare == "content",
        network=False,
    )


def _facts(result: Image, options: CompositeOptions, seconds: float) -> dict[str, Any]:
    """The fields of `--json` beside the files."""
    from mattecli.system.memory import peak_bytes

    return {
        "width": result.size[0],
        "height": result.size[1],
        "fit": options.fit,
        "linear": options.linear,
        "foreground": "photo" if options.keep_colours else "estimated",
        "seconds": round(seconds, 3),
        "peak_bytes": peak_bytes(),
    }


def _composites(
    photo: str,
    alpha: str,
    options: CompositeOptions,
    colours: ColourOptions,
    reading: ReadOptions,
    targets: dict[str, str],
    finishing: Finishing,
    terminal: Terminal,
) -> Iterator[tuple[str, Image, Depth | None]]:
    """Each file with its picture and its depth. What is the same for all backgrounds is done once."""
    from mattecli.compositing.colours import ForegroundColours
    from mattecli.compositing.costs import Costs
    from mattecli.compositing.delivery import deliver
    from mattecli.compositing.edges import share_looked_at
    from mattecli.compositing.finishing import finish
    from mattecli.imaging.image import Image, in_space
    from mattecli.imaging.options import WriteOptions
    from mattecli.imaging.reading.open import label
    from mattecli.imaging.write import check_format, stored_depth
    from mattecli.work.outcome import Job

    check_output_space(options.output_space)
    backgrounds = {name: read_background(name, reading=reading) for name in targets}
    given = read_given(Job(photo, photo, alpha, {}, finished=True, known=options.trimap), reading)
    picture, matte, known = given.inputs.photo, given.alpha, given.inputs.trimap
    behind = [note for under in backgrounds.values() if isinstance(under, Image) for note in under.notes]
    for note in (photo_note(picture, label(photo)), *picture.notes, *behind):
        if note:
            terminal.warn(note)
    share = share_looked_at(matte, finishing) if finishing.edges else 1.0
    costs = Costs(finishing=finishing, colours=colours, linear=options.linear, depth=picture.depth, share=share)
    check_memory(picture, costs)
    finished = finish(picture, matte, finishing, trimap=known, name=label(photo)) if finishing.asked else None
    for note in () if finished is None else finished.notes:
        terminal.warn(note)
    shared, told = ForegroundColours(colours, linear=options.linear), set[str]()
    for name, target in targets.items():
        background = backgrounds[name]
        if isinstance(background, Image):
            sizes = f"{_size(background)}, brought to {_size(picture)}"
            terminal.detail(f"{name}: {sizes} (--fit {options.fit})")
        form = check_format(target)
        delivery = deliver(picture, form, output_space=options.output_space)
        if delivery.note and delivery.note not in told:
            told.add(delivery.note)
            terminal.warn(delivery.note)
        working = delivery.prepared(picture)
        made = make_output(
            "composite",
            working,
            matte,
            background=background,
            fit=options.fit,
            around=surround(options),
            linear=options.linear,
            foreground=shared.of(working, matte),
            finished=finished,
            cutout_for=shared.cutout_for,
            dither=stored_depth(form, delivery.depth, WriteOptions()) == 8,
        )
        for note in shared.notes:
            if note not in told:
                told.add(note)
                terminal.warn(note)
        bits = stored_as(form, picture, background, WriteOptions()).bits
        yield target, in_space(made, delivery.final, depth=delivery.depth), bits


def _size(image: Image) -> str:
    return f"{image.size[0]}×{image.size[1]}, {image.depth} bits"
