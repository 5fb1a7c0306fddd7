"""`matte composite`: a photo and its alpha over another background."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mattecli.cli.batch_options import ListOptions, RunChoices
from mattecli.cli.colour_options import ColourChoices, check_colours
from mattecli.cli.composite_folder import composite_folder, deliver_photo, folder_options
from mattecli.cli.finishing_options import EdgeChoices, PlacementChoices, finishing
from mattecli.cli.options import Json, Overwrite, ReadChoices, Threads
from mattecli.cli.output_options import (
    BACKGROUND,
    FitOption,
    LinearOption,
    OutputFolder,
    OutputSpace,
    WriteChoices,
    check_composite_options,
    check_output_space,
)
from mattecli.cli.presets import PresetOption
from mattecli.cli.terminal import Terminal
from mattecli.compositing.outputs import (
    background_word,
    check_composite_output,
    check_memory,
    make_output,
    parse_colour,
    photo_note,
    read_background,
)
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.batch.worker import BatchOptions
    from mattecli.compositing.colours import ColourOptions
    from mattecli.compositing.finishing import Finishing
    from mattecli.imaging.choices import Colour
    from mattecli.imaging.image import Image
    from mattecli.imaging.options import ReadOptions


@dataclass(frozen=True, kw_only=True)
class CompositeOptions:
    """The background, and how the photo is put over it."""

    background: Annotated[list[str], BACKGROUND]
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write, such as out.jpg; `-` writes to standard output.",
            show_default="PHOTO_composite.png",
        ),
    ] = None
    out_dir: OutputFolder = None
    trimap: Annotated[
        str | None,
        typer.Option(
            "--trimap",
            "-t",
            metavar="FILE",
            help="The trimap, for --min-area and --fill-holes: what it says for certain is not cleaned away.",
        ),
    ] = None
    fit: FitOption = "cover"
    around: Annotated[
        str | None,
        typer.Option(
            "--around",
            metavar="COLOUR",
            help="With --fit contain: the colour around the picture, such as black.",
            show_default="a blurred copy of the picture",
        ),
    ] = None
    linear: LinearOption = False
    output_space: OutputSpace = "keep"
    preset: PresetOption = None
    keep_colours: Annotated[
        bool,
        typer.Option(
            "--keep-colours",
            "--keep-colors",
            help="Use the photo's colours as they are, with the old background in half-transparent places.",
        ),
    ] = False


def composite(
    photo: Annotated[
        str, typer.Argument(metavar="PHOTO", help="The photo, or a folder of photos; `-` reads standard input.")
    ],
    alpha: Annotated[
        str,
        typer.Argument(
            metavar="ALPHA",
            help="Its alpha matte, of the same size; `-` reads standard input. For a folder of photos a folder of "
            "alphas, with cat.png or cat_alpha.png for cat.jpg, or a pattern such as 'alphas/{dir}/{stem}.png'.",
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
    (RGBA, straight alpha). Give -b several times with --out-dir for several
    backgrounds. A folder of photos is done as `matte batch` does one: it resumes,
    and a photo that fails is named and does not end the run.

    \b
    Examples:
      matte composite photo.jpg photo_alpha.png -b beach.jpg -o out.jpg
      matte composite photo.jpg photo_alpha.png -b '#00b140'
      matte composite photo.jpg photo_alpha.png -b transparent -o cutout.png
      matte composite photo.jpg photo_alpha.png -b white -b beach.jpg --out-dir out/
      matte composite photo.jpg photo_alpha.png -b white --canvas 2000x2000 --fill 85%
      matte composite photos/ alphas/ -b backgrounds/ --out-dir out/ --report run.jsonl
    """
    from mattecli.system.threads import use_threads

    started = time.perf_counter()
    use_threads(threads)
    _check_colours(options, colours)
    if Path(photo).is_dir():
        batch = _batch_options(options, edges, placement, colours, reading, written, how, overwrite=overwrite)
        composite_folder(
            Path(photo),
            alpha,
            batch,
            background=_only_background(options),
            known=options.trimap,
            listing=listing,
            how=how,
            written=written,
            terminal=terminal,
            as_json=as_json,
        )
        return
    if given := folder_options(listing, how):
        raise UsageError(f"{' and '.join(given)} would do nothing for one photo; name a folder, or leave them out")
    if options.preset is not None and options.preset.deliver:
        batch = _batch_options(options, edges, placement, colours, reading, written, how, overwrite=overwrite)
        deliver_photo(
            photo,
            alpha,
            batch,
            background=_only_background(options),
            known=options.trimap,
            terminal=terminal,
            as_json=as_json,
        )
        return
    targets = _check_options(photo, alpha, options, as_json=as_json)
    finish = finishing(edges, placement)
    finish.check_kinds(["composite"])
    written.check(list(targets.values()))
    if options.out_dir is not None:
        from mattecli.system.files import make_folder

        make_folder(options.out_dir)
    given = [photo, alpha, *([] if options.trimap is None else [options.trimap])]
    for background, target in targets.items():
        check_composite_output(target, background, overwrite=overwrite, inputs=[*given, background])

    from mattecli.imaging.write import check_format, write_image
    from mattecli.imaging.writing.encoding import metadata_note

    written_as = written.write_options()
    how_coloured = _colour_options(options, colours)
    results = _composites(photo, alpha, options, how_coloured, reading.read_options(), targets, finish, terminal)
    for target, result in results:
        note = metadata_note(check_format(target), result.metadata) if written_as.metadata else None
        if note:
            terminal.warn(note)
        write_image(target, result, overwrite=overwrite, options=written_as)
        seconds = time.perf_counter() - started
        terminal.detail(f"{_size(result)}, {seconds:.1f} s")
        if not as_json:
            terminal.say(f"{photo} → {'standard output' if target == '-' else target}")
    if as_json:
        one = len(targets) == 1
        files = {
            "image": photo,
            "alpha": alpha,
            "background": next(iter(targets)) if one else list(targets),
            "output": next(iter(targets.values())) if one else targets,
        }
        terminal.data(json.dumps(files | _facts(result, options, seconds)) + "\n")


def _batch_options(
    options: CompositeOptions,
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
    from mattecli.cli.deliveries import deliveries_of
    from mattecli.work.job import OutputOptions

    if options.out_dir is None or options.output is not None:
        raise UsageError("a folder of photos, and a preset with [[deliver]], need --out-dir instead of -o; give it")
    check_output_space(options.output_space)
    renditions = deliveries_of(options.preset, background=_only_background(options))
    finish = finishing(edges, placement)
    finish.check_kinds([made.kind for made in renditions.values()] or ["composite"])
    return BatchOptions(
        out=options.out_dir,
        outputs=OutputOptions(
            fit=options.fit,
            around=_surround(options),
            linear=options.linear,
            colours=_colour_options(options, colours),
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


def _only_background(options: CompositeOptions) -> str:
    if len(set(options.background)) > 1:
        raise UsageError(
            "several backgrounds are for one photo without [[deliver]]; run the command once for each, with another "
            "--out-dir or --name"
        )
    return options.background[0]


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


def _check_colours(options: CompositeOptions, colours: ColourChoices) -> None:
    """Raise UsageError for options of colours that would do nothing."""
    clear = any(background.lower() == "transparent" for background in options.background)
    check_colours(colours, ["composite"], linear=options.linear, clear=clear)
    if options.keep_colours and (colours.colour_choke or colours.decontaminate != 100):
        raise UsageError(
            "--keep-colours uses the photo's colours, so --colour-choke and --decontaminate would do nothing; leave "
            "one of them out"
        )


def _colour_options(options: CompositeOptions, colours: ColourChoices) -> ColourOptions:
    made = colours.colour_options()
    return replace(made, decontaminate=0) if options.keep_colours else made


def _check_options(photo: str, alpha: str, options: CompositeOptions, *, as_json: bool) -> dict[str, str]:
    """The file to write for each background. Raises UsageError for options that do not go together."""
    if [photo, alpha, options.trimap, *options.background].count("-") > 1:
        raise UsageError(
            "standard input can be read only once; name a file for all but one of photo, alpha, background"
        )
    _surround(options)
    for background in options.background:
        check_composite_options(background, fit=options.fit)
    targets = _targets(photo, options)
    if "-" in targets.values() and as_json:
        raise UsageError("--json and -o - both write to standard output; name a file for the picture")
    return targets


def _composites(
    photo: str,
    alpha: str,
    options: CompositeOptions,
    colours: ColourOptions,
    reading: ReadOptions,
    targets: dict[str, str],
    finishing: Finishing,
    terminal: Terminal,
) -> Iterator[tuple[str, Image]]:
    """Each file with its picture. What is the same for all backgrounds is done once."""
    from mattecli.compositing.colours import ForegroundColours
    from mattecli.compositing.delivery import deliver
    from mattecli.compositing.finishing import finish
    from mattecli.imaging.image import Image, in_space
    from mattecli.imaging.write import check_format
    from mattecli.work.job import read_finished
    from mattecli.work.outcome import Job

    check_output_space(options.output_space)
    backgrounds = {name: read_background(name) for name in targets}
    given = read_finished(Job(photo, photo, alpha, {}, finished=True, known=options.trimap), reading=reading)
    picture, matte, known = given.inputs.photo, given.alpha, given.inputs.trimap
    if note := photo_note(picture, photo):
        terminal.warn(note)
    finished = finish(picture, matte, finishing, trimap=known, name=photo) if finishing.asked else None
    for note in () if finished is None else finished.notes:
        terminal.warn(note)
    check_memory(picture)
    shared, told = ForegroundColours(colours, linear=options.linear), set[str]()
    for name, target in targets.items():
        background = backgrounds[name]
        if isinstance(background, Image):
            sizes = f"{_size(background)}, brought to {_size(picture)}"
            terminal.detail(f"{name}: {sizes} (--fit {options.fit})")
        delivery = deliver(picture, check_format(target), output_space=options.output_space)
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
            around=_surround(options),
            linear=options.linear,
            foreground=(shared.of_cutout if background is None else shared.of)(working, matte),
            finished=finished,
        )
        yield target, in_space(made, delivery.final, depth=delivery.depth)


def _targets(photo: str, options: CompositeOptions) -> dict[str, str]:
    """The file for each background."""
    backgrounds = list(dict.fromkeys(options.background))
    if options.output is not None and options.out_dir is not None:
        raise UsageError("-o names one file and --out-dir a folder; give one of them")
    if len(backgrounds) > 1 and options.out_dir is None:
        raise UsageError("several backgrounds need --out-dir, where each gets a file of its own; add it")
    if options.output is not None:
        return {backgrounds[0]: options.output}
    if photo == "-":
        raise UsageError("the photo comes from standard input, which gives the output no name; add -o FILE or -o -")
    folder = Path(photo).parent if options.out_dir is None else options.out_dir
    if len(backgrounds) == 1:
        return {backgrounds[0]: str(folder / f"{Path(photo).stem}_composite.png")}
    targets = {name: str(folder / f"{Path(photo).stem}_composite_{background_word(name)}.png") for name in backgrounds}
    if len(set(targets.values())) < len(targets):
        raise UsageError("two backgrounds have the same name, and so would their files; run the command for each")
    return targets


def _surround(options: CompositeOptions) -> Colour | None:
    """The colour of --around. Raises UsageError where it is not a colour, or would not be seen."""
    if options.around is None:
        return None
    if options.fit != "contain":
        raise UsageError(
            f"--around colours what --fit contain leaves free, but the fit is {options.fit}; add --fit contain"
        )
    colour = parse_colour(options.around)
    if colour is None:
        raise UsageError(f"{options.around!r} is not a colour; write '#00b140', 'rgb(0 177 64)' or a CSS colour name")
    return colour


def _size(image: Image) -> str:
    return f"{image.size[0]}×{image.size[1]}, {image.depth} bits"
