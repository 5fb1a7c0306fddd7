"""`matte trimap`: a trimap from a mask, a rough matte or a cut-out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli import terminal
from mattecli.cli.options import Debug, Json, Overwrite, Quiet, Verbose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mattecli.imaging.image import Image


def trimap(
    mask: Annotated[
        str, typer.Argument(metavar="MASK", help="A mask, a rough matte or a cut-out (its alpha); - reads stdin.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The trimap to write; MASK_trimap.png if left out, - for stdout."
        ),
    ] = None,
    erode: Annotated[
        int, typer.Option(min=0, metavar="PIXELS", help="How far the unknown part reaches into the foreground.")
    ] = 10,
    dilate: Annotated[
        int, typer.Option(min=0, metavar="PIXELS", help="How far the unknown part reaches into the background.")
    ] = 15,
    low: Annotated[
        float, typer.Option(min=0, max=1, metavar="0…1", help="Mask values up to this are background.")
    ] = 0.05,
    high: Annotated[
        float, typer.Option(min=0, max=1, metavar="0…1", help="Mask values from this on are foreground.")
    ] = 0.95,
    preview: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Also write the photo with the trimap laid over it: green, red, and as it is if unknown.",
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(metavar="PHOTO", help="The photo the mask belongs to: sizes are compared, --preview shows it."),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
    as_json: Json = False,
) -> None:
    """Make a trimap from a hard mask, a rough matte or a cut-out.

    It is black where the background is sure, white where the object is sure,
    and grey between them, where the alpha is to be found.
    Choose --erode and --dilate so that the grey holds all hair, fur and blur.

    \b
    Examples:
      matte trimap mask.png --erode 10 --dilate 15
      matte trimap mask.png -o trimap.png --image photo.jpg --preview check.jpg
      matte trimap cutout.png -o trimap.png --erode 5 --dilate 40
      rembg i -om photo.jpg - | matte trimap - -o trimap.png
    """
    from mattecli.imaging.decoding import is_pipe
    from mattecli.imaging.image import Image
    from mattecli.imaging.read import read_alpha, read_image, read_size
    from mattecli.imaging.write import check_output, write_image
    from mattecli.trimaps.check import check_size, shares
    from mattecli.trimaps.make import make_trimap

    target = _target(mask, output, image=image, preview=preview, as_json=as_json)
    inputs = [mask] if image is None else [mask, image]
    for written in [target] if preview is None else [target, preview]:
        check_output(written, overwrite=overwrite, bits=8 if written == target else None, inputs=inputs)
    matte = read_alpha(mask)
    height, width = matte.shape
    name = "standard input" if mask == "-" else mask
    shown = read_image(image) if image is not None and is_pipe(image) else None  # it can be read only once
    if image is not None:
        size = read_size(image) if shown is None else shown.size
        check_size((width, height), size, name=name, image_name=image, what="mask")
    made = make_trimap(matte, erode=erode, dilate=dilate, low=low, high=high, name=name)
    write_image(target, Image(made), overwrite=overwrite)
    if preview is not None:
        _write_preview(preview, shown or read_image(image or mask), made, overwrite=overwrite)
    parts = shares(made)
    _report("standard output" if target == "-" else target, width, height, parts)
    if as_json:
        facts = {"mask": mask, "image": image, "output": target, "preview": preview, "width": width, "height": height}
        terminal.data(json.dumps({**facts, **parts, "erode": erode, "dilate": dilate, "low": low, "high": high}) + "\n")


def _target(mask: str, output: str | None, *, image: str | None, preview: str | None, as_json: bool) -> str:
    """The trimap's file, once the names are known to make sense together."""
    from mattecli.errors import UsageError
    from mattecli.imaging.decoding import is_pipe
    from mattecli.system.files import same_file

    if output is None and mask == "-":
        raise UsageError("the mask comes from standard input and gives the trimap no name; name one with -o")
    if output == "-" and as_json:
        raise UsageError("-o - and --json both write to standard output; name a file with -o")
    if "-" in (image, preview):
        raise UsageError("--image and --preview take no -; only MASK and -o can be standard input and output")
    if preview is not None and image is None and is_pipe(mask):
        come = "standard input" if mask == "-" else "a pipe"
        raise UsageError(f"--preview shows a photo and the mask comes from {come}; name the photo with --image")
    target = output or str(Path(mask).with_name(f"{Path(mask).stem}_trimap.png"))
    if preview is not None and same_file(preview, target):
        raise UsageError(f"{target} cannot hold both the trimap and its preview; name two files")
    return target


def _write_preview(preview: str, photo: Image, made: NDArray[np.uint8], *, overwrite: bool) -> None:
    from mattecli.imaging.image import Image, to_depth
    from mattecli.imaging.write import write_image
    from mattecli.trimaps.make import overlay

    pixels = to_depth(photo.pixels, 8)
    write_image(preview, Image(overlay(pixels, made)), overwrite=overwrite)
    terminal.detail(f"{preview}: green is foreground, red is background, the rest is unknown")


def _report(name: str, width: int, height: int, parts: dict[str, float]) -> None:
    for part in ("foreground", "background"):
        if not parts[part]:
            terminal.warn(f"{name} has no sure {part}; try smaller --erode and --dilate, or another --high and --low")
    terminal.say(
        f"{name}: {width}×{height}, {parts['foreground']:.1%} foreground, {parts['unknown']:.1%} unknown, "
        f"{parts['background']:.1%} background"
    )
