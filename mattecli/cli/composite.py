"""`matte composite`: a photo and its alpha over another background."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli import terminal
from mattecli.cli.options import Debug, Json, Overwrite, Quiet, Verbose
from mattecli.cli.parsing import check_composite_options
from mattecli.compositing.outputs import (
    check_composite_output,
    check_memory,
    make_product,
    parse_colour,
    photo_note,
    profile_note,
    read_background,
)
from mattecli.errors import UsageError
from mattecli.imaging.choices import Fit

if TYPE_CHECKING:
    from mattecli.imaging.choices import Colour
    from mattecli.imaging.image import Image


def composite(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="The photo; - reads standard input.")],
    alpha: Annotated[str, typer.Argument(metavar="ALPHA", help="Its alpha matte, of the same size; - likewise.")],
    background: Annotated[
        str,
        typer.Option(
            "--background",
            "-b",
            metavar="FILE|COLOUR|transparent",
            help="A picture, '#00b140', a CSS colour name, or transparent.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="What to write; PHOTO_composite.png if left out, - for stdout."
        ),
    ] = None,
    fit: Annotated[
        Fit, typer.Option("--fit", help="How a background picture of another size is brought to the photo's.")
    ] = "cover",
    around: Annotated[
        str | None,
        typer.Option(
            "--around", metavar="COLOUR", help="With --fit contain: what surrounds it; a blurred copy if left out."
        ),
    ] = None,
    linear: Annotated[
        bool, typer.Option("--linear", help="Mix in linear light, not in the file's own (sRGB) values.")
    ] = False,
    keep_colours: Annotated[
        bool,
        typer.Option(
            "--keep-colours", "--keep-colors", help="Use the photo's colours as they are, old background included."
        ),
    ] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Put the foreground of a photo over another background.

    The colours of hair and other half-transparent places are freed of the old background first, so that no halo stays.
    The result keeps the photo's depth, colour profile and resolution; over transparent it is a cut-out (straight RGBA).

    Examples:

        matte composite photo.jpg photo_alpha.png -b beach.jpg -o out.jpg

        matte composite photo.jpg photo_alpha.png -b '#00b140'

        matte composite photo.jpg photo_alpha.png -b transparent -o cutout.png
    """
    started = time.perf_counter()
    inputs = [photo, alpha, background]
    if inputs.count("-") > 1:
        raise UsageError(
            "standard input can be read only once; name a file for all but one of photo, alpha, background"
        )
    surround = _surround(around, fit)
    check_composite_options(background, fit=fit, linear=linear)
    target = _target(photo, output)
    if target == "-" and as_json:
        raise UsageError("--json and -o - both write to standard output; name a file for the picture")
    check_composite_output(target, background, overwrite=overwrite, inputs=inputs)

    from mattecli.imaging.image import Image
    from mattecli.imaging.read import read_alpha, read_image
    from mattecli.imaging.write import write_image
    from mattecli.system.memory import peak_bytes
    from mattecli.trimaps.check import check_size

    under = read_background(background)
    picture, matte = read_image(photo), read_alpha(alpha)
    check_size((matte.shape[1], matte.shape[0]), picture.size, name=alpha, image_name=photo, what="alpha")
    if isinstance(under, Image):
        if note := profile_note(picture, photo, under, background):
            terminal.warn(note)
        terminal.detail(f"{background}: {_facts(under)}, brought to {_facts(picture)} (--fit {fit})")
    if note := photo_note(picture, photo):
        terminal.warn(note)
    own_colours = picture.pixels if keep_colours else None
    check_memory(picture)
    result = make_product(
        "composite", picture, matte, background=under, fit=fit, around=surround, linear=linear, foreground=own_colours
    )
    write_image(target, result, overwrite=overwrite)

    seconds = time.perf_counter() - started
    terminal.detail(f"{_facts(result)}, {seconds:.1f} s")
    if not as_json:
        terminal.say(f"{photo} → {'standard output' if target == '-' else target}")
        return
    facts = {
        "image": photo,
        "alpha": alpha,
        "background": background,
        "output": target,
        "width": result.size[0],
        "height": result.size[1],
        "fit": fit,
        "linear": linear,
        "foreground": "photo" if keep_colours else "estimated",
        "seconds": round(seconds, 3),
        "peak_bytes": peak_bytes(),
    }
    terminal.data(json.dumps(facts) + "\n")


def _target(photo: str, output: str | None) -> str:
    if output is not None:
        return output
    if photo == "-":
        raise UsageError("the photo comes from standard input, which gives the output no name; add -o FILE or -o -")
    return str(Path(photo).with_name(f"{Path(photo).stem}_composite.png"))


def _surround(around: str | None, fit: Fit) -> Colour | None:
    if around is None:
        return None
    if fit != "contain":
        raise UsageError(f"--around colours what --fit contain leaves free, but the fit is {fit}; add --fit contain")
    colour = parse_colour(around)
    if colour is None:
        raise UsageError(f"{around!r} is no colour; write '#00b140' or a CSS colour name")
    return colour


def _facts(image: Image) -> str:
    return f"{image.size[0]}×{image.size[1]}, {image.depth} bits"
