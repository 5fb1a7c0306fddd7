"""`matte composite`: a photo and its alpha over another background."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mattecli.cli.colour_options import ColourChoices, check_colours
from mattecli.cli.options import Json, Overwrite, ReadChoices
from mattecli.cli.output_options import (
    BACKGROUND,
    FitOption,
    LinearOption,
    OutputSpace,
    WriteChoices,
    check_composite_options,
    check_output_space,
)
from mattecli.cli.terminal import Terminal
from mattecli.compositing.outputs import (
    check_composite_output,
    check_memory,
    make_output,
    parse_colour,
    photo_note,
    read_background,
)
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.imaging.choices import Colour
    from mattecli.imaging.image import Image
    from mattecli.imaging.options import ReadOptions


@dataclass(frozen=True, kw_only=True)
class CompositeOptions:
    """The background, and how the photo is put over it."""

    background: Annotated[str, BACKGROUND]
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
    keep_colours: Annotated[
        bool,
        typer.Option(
            "--keep-colours",
            "--keep-colors",
            help="Use the photo's colours as they are, with the old background in half-transparent places.",
        ),
    ] = False


def composite(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="The photo; `-` reads standard input.")],
    alpha: Annotated[
        str, typer.Argument(metavar="ALPHA", help="Its alpha matte, of the same size; `-` reads standard input.")
    ],
    *,
    options: CompositeOptions,
    colours: ColourChoices,
    reading: ReadChoices,
    written: WriteChoices,
    overwrite: Overwrite = False,
    as_json: Json = False,
    terminal: Terminal,
) -> None:
    """Put the foreground of a photo over another background.

    The old background is first removed from the colours of hair and other
    half-transparent places, so that no halo stays. The result keeps the photo's
    depth, colour profile and resolution. Over transparent it is a cut-out
    (RGBA, straight alpha).

    \b
    Examples:
      matte composite photo.jpg photo_alpha.png -b beach.jpg -o out.jpg
      matte composite photo.jpg photo_alpha.png -b '#00b140'
      matte composite photo.jpg photo_alpha.png -b transparent -o cutout.png
    """
    started = time.perf_counter()
    target = _check_options(photo, alpha, options, colours, as_json=as_json)
    written.check([target])
    check_composite_output(target, options.background, overwrite=overwrite, inputs=[photo, alpha, options.background])

    from mattecli.imaging.write import write_image

    result = _composite(photo, alpha, options, colours, reading.read_options(), target, terminal)
    write_image(target, result, overwrite=overwrite, options=written.write_options())
    seconds = time.perf_counter() - started
    terminal.detail(f"{_size(result)}, {seconds:.1f} s")
    if as_json:
        files = {"image": photo, "alpha": alpha, "background": options.background, "output": target}
        terminal.data(json.dumps(files | _facts(result, options, seconds)) + "\n")
    else:
        terminal.say(f"{photo} → {'standard output' if target == '-' else target}")


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


def _check_options(photo: str, alpha: str, options: CompositeOptions, colours: ColourChoices, *, as_json: bool) -> str:
    """The file to write. Raises UsageError for options that do not go together."""
    if [photo, alpha, options.background].count("-") > 1:
        raise UsageError(
            "standard input can be read only once; name a file for all but one of photo, alpha, background"
        )
    _surround(options)
    check_composite_options(options.background, fit=options.fit)
    clear = options.background.lower() == "transparent"
    check_colours(colours, ["composite"], linear=options.linear, clear=clear)
    if options.keep_colours and (colours.colour_choke or colours.decontaminate != 100):
        raise UsageError(
            "--keep-colours uses the photo's colours, so --colour-choke and --decontaminate would do nothing; leave "
            "one of them out"
        )
    target = _target(photo, options.output)
    if target == "-" and as_json:
        raise UsageError("--json and -o - both write to standard output; name a file for the picture")
    return target


def _composite(
    photo: str,
    alpha: str,
    options: CompositeOptions,
    colours: ColourChoices,
    reading: ReadOptions,
    target: str,
    terminal: Terminal,
) -> Image:
    from mattecli.compositing.colours import ForegroundColours
    from mattecli.compositing.delivery import deliver
    from mattecli.imaging.image import Image, in_space
    from mattecli.imaging.read import read_alpha, read_image
    from mattecli.imaging.write import check_format
    from mattecli.trimaps.check import check_size

    check_output_space(options.output_space)
    background = read_background(options.background)
    picture, matte = read_image(photo, options=reading), read_alpha(alpha)
    check_size((matte.shape[1], matte.shape[0]), picture.size, name=alpha, image_name=photo, what="alpha")
    if isinstance(background, Image):
        sizes = f"{_size(background)}, brought to {_size(picture)}"
        terminal.detail(f"{options.background}: {sizes} (--fit {options.fit})")
    if note := photo_note(picture, photo):
        terminal.warn(note)
    delivery = deliver(picture, check_format(target), output_space=options.output_space)
    if delivery.note:
        terminal.warn(delivery.note)
    check_memory(picture)
    working = delivery.prepared(picture)
    choices = colours.colour_options()
    if options.keep_colours:
        choices = replace(choices, decontaminate=0)
    foreground = ForegroundColours(choices, linear=options.linear)
    made = make_output(
        "composite",
        working,
        matte,
        background=background,
        fit=options.fit,
        around=_surround(options),
        linear=options.linear,
        foreground=(foreground.of_cutout if background is None else foreground.of)(working, matte),
    )
    return in_space(made, delivery.final, depth=delivery.depth)


def _target(photo: str, output: str | None) -> str:
    if output is not None:
        return output
    if photo == "-":
        raise UsageError("the photo comes from standard input, which gives the output no name; add -o FILE or -o -")
    return str(Path(photo).with_name(f"{Path(photo).stem}_composite.png"))


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
