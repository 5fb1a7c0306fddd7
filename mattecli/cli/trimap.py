"""`matte trimap`: a trimap from a mask, strokes or a box."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli.options import Json, ModelOptions, Overwrite, share, whole_number
from mattecli.cli.subject import SubjectOptions, find_trimap
from mattecli.cli.terminal import Terminal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mattecli.imaging.image import Image


@dataclass(frozen=True, kw_only=True)
class TrimapFiles:
    """The files beside the mask."""

    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The trimap to write; `-` writes to standard output.",
            show_default="MASK_trimap.png",
        ),
    ] = None
    preview: Annotated[
        str | None,
        typer.Option(
            "--preview",
            metavar="FILE",
            help="Also write the photo with the trimap over it: foreground green, background red, unknown unchanged.",
        ),
    ] = None
    image: Annotated[
        str | None,
        typer.Option(
            "--image", metavar="PHOTO", help="The photo of the mask: the sizes are compared, and --preview shows it."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Band:
    """How wide the unknown part is, and which values of the mask are sure."""

    erode: Annotated[
        int,
        typer.Option(
            "--erode",
            parser=whole_number(0),
            metavar="PIXELS",
            help="How far the unknown part reaches into the foreground, in pixels.",
        ),
    ] = 10
    dilate: Annotated[
        int,
        typer.Option(
            "--dilate",
            parser=whole_number(0),
            metavar="PIXELS",
            help="How far the unknown part reaches into the background, in pixels; 40 or more for long hair.",
        ),
    ] = 15
    low: Annotated[
        float,
        typer.Option(
            "--low", parser=share, metavar="0…1", help="Mask values up to this are background; black is 0, white is 1."
        ),
    ] = 0.05
    high: Annotated[
        float, typer.Option("--high", parser=share, metavar="0…1", help="Mask values from this up are foreground.")
    ] = 0.95


def trimap(
    mask: Annotated[
        str,
        typer.Argument(
            metavar="MASK",
            help="A mask, a rough matte or a cut-out (its alpha is taken); with --scribbles or --box, the photo. "
            "`-` reads standard input.",
        ),
    ],
    *,
    files: TrimapFiles,
    band: Band,
    subject: SubjectOptions,
    model: ModelOptions,
    overwrite: Overwrite = False,
    as_json: Json = False,
    terminal: Terminal,
) -> None:
    """Make a trimap from a mask, a rough matte or a cut-out; or from a photo.

    A trimap is white where the foreground is sure and black where the background
    is sure. It is grey (unknown) between them: there `matte predict` finds the
    alpha. Choose --erode and --dilate so that the grey covers all hair, fur and
    blur.

    \b
    Examples:
      matte trimap mask.png --erode 10 --dilate 15
      matte trimap mask.png -o trimap.png --image photo.jpg --preview check.jpg
      matte trimap cutout.png -o trimap.png --erode 5 --dilate 40
      matte trimap photo.jpg --scribbles strokes.png -o trimap.png
      matte trimap photo.jpg --box 10%,5%,80%,95% -o trimap.png
      rembg i -om photo.jpg - | matte trimap - -o trimap.png
    """
    from mattecli.imaging.image import Image
    from mattecli.imaging.read import read_alpha, read_image
    from mattecli.imaging.write import check_output, write_image
    from mattecli.inference.model import Model
    from mattecli.trimaps.check import shares
    from mattecli.trimaps.make import make_trimap

    _check_source(mask, files, band, subject, model)
    target = _target(mask, files, as_json=as_json)
    inputs = [mask] if files.image is None else [mask, files.image]
    for written in [target] if files.preview is None else [target, files.preview]:
        check_output(written, overwrite=overwrite, bits=8 if written == target else None, inputs=inputs)
    name = "standard input" if mask == "-" else mask
    photo: Image | None
    if subject.given:
        photo = read_image(mask)
        made = find_trimap(photo, Model(model.run_options()), subject, name=name, terminal=terminal)
    else:
        matte = read_alpha(mask)
        photo = None if files.image is None else _checked_photo(files.image, matte.shape[::-1], name)
        made = make_trimap(matte, **dataclasses.asdict(band), name=name)
    height, width = made.shape
    write_image(target, Image(made), overwrite=overwrite)
    if files.preview is not None:
        photo = photo or read_image(files.image or mask)
        _write_preview(files.preview, photo, made, terminal, overwrite=overwrite)
    parts = shares(made)
    _report("standard output" if target == "-" else target, (width, height), parts, terminal)
    if as_json:
        names = {"mask": mask, "image": files.image, "output": target, "preview": files.preview}
        facts = {**names, "width": width, "height": height, **parts, **dataclasses.asdict(band)}
        terminal.data(json.dumps(facts) + "\n")


def _check_source(mask: str, files: TrimapFiles, band: Band, subject: SubjectOptions, model: ModelOptions) -> None:
    """Raise UsageError for options that would do nothing."""
    from mattecli.errors import UsageError

    if not subject.given:
        if idle := model.given():
            raise UsageError(f"{' and '.join(idle)} would do nothing, because a mask needs no network; leave it out")
        return
    subject.source(mask)
    if files.image is not None or band != Band():
        wrong = "--image belongs" if files.image is not None else "--erode, --dilate, --low and --high belong"
        raise UsageError(f"{wrong} to a mask; with --scribbles or --box, name the photo and leave it out")


def _checked_photo(photo: str, size: tuple[int, int], mask: str) -> Image | None:
    """The photo if it comes through a pipe, which can be read only once. Raises InputError for another size."""
    from mattecli.imaging.open import is_pipe
    from mattecli.imaging.read import read_image, read_size
    from mattecli.trimaps.check import check_size

    shown = read_image(photo) if is_pipe(photo) else None
    check_size(size, read_size(photo) if shown is None else shown.size, name=mask, image_name=photo, what="mask")
    return shown


def _target(mask: str, files: TrimapFiles, *, as_json: bool) -> str:
    """The trimap's file. Raises UsageError for names that do not go together."""
    from mattecli.errors import UsageError
    from mattecli.imaging.open import is_pipe
    from mattecli.system.files import same_file

    output, image, preview = files.output, files.image, files.preview
    if output is None and mask == "-":
        raise UsageError("the mask comes from standard input and gives the trimap no name; name a file with -o")
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


def _write_preview(preview: str, photo: Image, made: NDArray[np.uint8], terminal: Terminal, *, overwrite: bool) -> None:
    from mattecli.imaging.image import Image, to_depth
    from mattecli.imaging.write import write_image
    from mattecli.trimaps.make import overlay

    pixels = to_depth(photo.pixels, 8)
    write_image(preview, Image(overlay(pixels, made)), overwrite=overwrite)
    terminal.detail(f"{preview}: green is foreground, red is background, the rest is unknown")


def _report(name: str, size: tuple[int, int], parts: dict[str, float], terminal: Terminal) -> None:
    for part in ("foreground", "background"):
        if not parts[part]:
            terminal.warn(f"{name} has no sure {part}; try smaller --erode and --dilate, or another --high and --low")
    terminal.say(
        f"{name}: {size[0]}×{size[1]}, {parts['foreground']:.1%} foreground, {parts['unknown']:.1%} unknown, "
        f"{parts['background']:.1%} background"
    )
