"""`matte trimap`: trimaps from masks or photos, and their check."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from mattecli.cli.mask_options import BandOption, DilateOption, ErodeOption, SolidOption
from mattecli.cli.options import Json, ModelOptions, Overwrite, share, whole_number
from mattecli.cli.subject import SubjectOptions
from mattecli.cli.terminal import Terminal
from mattecli.cli.trimap_photo import make_from_photo
from mattecli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mattecli.imaging.image import Image


@dataclass(frozen=True, kw_only=True)
class TrimapFiles:
    """The files beside the first argument."""

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
    image: Annotated[
        str | None,
        typer.Option(
            "--photo",
            "--image",
            metavar="PHOTO",
            help="The photo of the mask: its hair and blur decide how wide the unknown part is, and --preview shows "
            "it. A folder if MASK is one.",
        ),
    ] = None
    mask_file: Annotated[
        str | None,
        typer.Option("--mask", metavar="FILE", help="The mask; the first argument is then the photo."),
    ] = None
    core: Annotated[
        str | None,
        typer.Option("--core", metavar="FILE", help="A mask of what is foreground for certain, whatever MASK says."),
    ] = None
    garbage: Annotated[
        str | None,
        typer.Option("--garbage", metavar="FILE", help="A mask of what is background for certain, whatever MASK says."),
    ] = None
    preview: Annotated[
        str | None,
        typer.Option(
            "--preview",
            metavar="FILE",
            help="Also write the photo with the trimap over it: foreground green, background red, unknown unchanged.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Band:
    """How wide the unknown part is, and which values of the mask are sure."""

    panel: ClassVar[str] = "Unknown part"
    band: BandOption = None
    erode: ErodeOption = None
    dilate: DilateOption = None
    low: Annotated[
        float | None,
        typer.Option(
            "--low",
            parser=share,
            metavar="0…1",
            help="Mask values up to this are background; black is 0, white is 1.",
            show_default="0.05",
        ),
    ] = None
    high: Annotated[
        float | None,
        typer.Option(
            "--high",
            parser=share,
            metavar="0…1",
            help="Mask values from this up are foreground.",
            show_default="0.95",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """How the mask is cleaned first."""

    panel: ClassVar[str] = "Cleaning"
    fill_holes: Annotated[
        int,
        typer.Option(
            "--fill-holes", parser=whole_number(0), metavar="AREA", help="Fill holes of up to this many pixels."
        ),
    ] = 0
    min_area: Annotated[
        int,
        typer.Option(
            "--min-area", parser=whole_number(0), metavar="AREA", help="Leave out parts of fewer pixels than this."
        ),
    ] = 0
    solid: SolidOption = False


def trimap(
    mask: Annotated[
        str,
        typer.Argument(
            metavar="MASK",
            help="A mask, a rough matte or a cut-out (its alpha is taken); `-` reads standard input. A folder of them "
            "with OUT. With --check: the trimap. With --mask, --key, --scribbles or --box: the photo.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="The folder for the trimaps of a folder of masks.")
    ] = None,
    *,
    files: TrimapFiles,
    band: Band,
    cleaning: Cleaning,
    subject: SubjectOptions,
    model: ModelOptions,
    check: Annotated[
        bool, typer.Option("--check", help="Check a trimap: print its faults, and the command that repairs each.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    terminal: Terminal,
) -> None:
    """Make a trimap from a mask, a rough matte or a cut-out, or from a photo; or check one.

    A trimap is white where the foreground is sure and black where the background
    is sure. It is grey (unknown) between them: there `matte predict` finds the
    alpha. With the photo, the grey part is as wide as hair and blur need.

    \b
    Examples:
      matte trimap mask.png --photo photo.jpg
      matte trimap mask.png -o trimap.png --photo photo.jpg --preview check.jpg
      matte trimap cutout.png --photo photo.jpg --core inside.png --garbage outside.png
      matte trimap mask.png --erode 10 --dilate 15
      matte trimap photo.jpg --key auto
      matte trimap photo.jpg --scribbles strokes.png -o trimap.png
      matte trimap photo.jpg --box 10%,5%,80%,90% -o trimap.png
      matte trimap masks/ trimaps/ --photo photos/
      matte trimap --check trimap.png --photo photo.jpg
      rembg i -om photo.jpg - | matte trimap - -o trimap.png
    """
    from mattecli.system.threads import use_threads

    use_threads(model.threads)
    if check:
        from mattecli.cli.trimap_check import check_file

        raise typer.Exit(check_file(mask, files, terminal, as_json=as_json))
    options = {**dataclasses.asdict(band), **dataclasses.asdict(cleaning)}
    _check_source(subject, model, mask)
    if subject.given:
        if out is not None or files.image is not None or files.mask_file is not None or any(options.values()):
            raise UsageError(
                "--key, --scribbles and --box make the trimap from the photo alone; of the options of masks only "
                "-o, --preview, --core and --garbage go with them"
            )
        make_from_photo(mask, files, terminal, subject=subject, model=model, overwrite=overwrite, as_json=as_json)
        return
    if files.mask_file is not None:
        if files.image is not None:
            raise UsageError("with --mask the first argument is the photo; leave --photo out")
        files = dataclasses.replace(files, image=mask, output=files.output or _beside(mask))
        mask = str(files.mask_file)
    if out is not None or Path(mask).is_dir():
        from mattecli.cli.trimap_folder import make_folder_of_trimaps

        made = make_folder_of_trimaps(mask, out, files, options, terminal, overwrite=overwrite, as_json=as_json)
        raise typer.Exit(made)
    facts = make_one(mask, files, options, terminal, overwrite=overwrite, as_json=as_json)
    if as_json:
        terminal.data(json.dumps(facts) + "\n")


def _check_source(subject: SubjectOptions, model: ModelOptions, photo: str) -> None:
    """Raise UsageError for options that would do nothing, or that contradict each other."""
    if subject.given:
        subject.source(photo)
    if subject.given and subject.key is None:
        return
    if idle := [name for name in model.given() if name != "--threads"]:
        what = "a mask" if subject.key is None else "a screen"
        raise UsageError(f"{' and '.join(idle)} would do nothing, because {what} needs no network; leave it out")


def make_one(
    mask: str, files: TrimapFiles, options: dict[str, Any], terminal: Terminal, *, overwrite: bool, as_json: bool
) -> dict[str, Any]:
    """Make the trimap of one mask; gives the fields of `--json`."""
    from mattecli.imaging.image import Image
    from mattecli.imaging.read import read_alpha, read_image
    from mattecli.imaging.write import check_output, write_image
    from mattecli.trimaps.check import shares
    from mattecli.trimaps.make import make_trimap

    target = _target(mask, files, as_json=as_json)
    inputs = [name for name in (mask, files.image, files.core, files.garbage) if name is not None]
    for written in [target] if files.preview is None else [target, files.preview]:
        check_output(written, overwrite=overwrite, bits=8 if written == target else None, inputs=inputs)
    matte = read_alpha(mask)
    height, width = matte.shape
    name = "standard input" if mask == "-" else mask
    photo = None if files.image is None else _photo(files.image, (width, height), name)
    made = make_trimap(
        matte,
        photo=None if photo is None else photo.pixels,
        core=files.core,
        garbage=files.garbage,
        name=name,
        on_note=terminal.warn,
        **options,
    )
    write_image(target, Image(made), overwrite=overwrite)
    if files.preview is not None:
        _write_preview(files.preview, photo or read_image(mask), made, terminal, overwrite=overwrite)
    parts = shares(made)
    _report("standard output" if target == "-" else target, (width, height), parts, terminal)
    names = {"mask": mask, "image": files.image, "output": target, "preview": files.preview}
    return {**names, "width": width, "height": height, **parts, **_as_used(options, files.image)}


def _as_used(options: dict[str, Any], photo: str | None) -> dict[str, Any]:
    """The options with their defaults; `erode` and `dilate` are null where the band decides."""
    from mattecli.trimaps.make import DILATE, ERODE, HIGH, LOW, WITHOUT_PHOTO

    used = {key: options[key] for key in ("erode", "dilate", "low", "high")}
    used["low"], used["high"] = (LOW if used["low"] is None else used["low"], used["high"] or HIGH)
    if options["band"] is None and (used["erode"] is not None or used["dilate"] is not None):
        used["erode"] = ERODE if used["erode"] is None else used["erode"]
        used["dilate"] = DILATE if used["dilate"] is None else used["dilate"]
        return {**used, "band": None}
    return {**used, "band": options["band"] or ("auto" if photo is not None else WITHOUT_PHOTO)}


def _photo(photo: str, size: tuple[int, int], mask: str) -> Image:
    """The photo. Raises InputError for another size, before decoding if the photo is a file."""
    from mattecli.imaging.read import read_image, read_size
    from mattecli.imaging.reading.open import is_pipe
    from mattecli.trimaps.check import check_size

    if not is_pipe(photo):
        check_size(size, read_size(photo), name=mask, image_name=photo, what="mask")
    shown = read_image(photo)
    check_size(size, shown.size, name=mask, image_name=photo, what="mask")
    return shown


def _beside(path: str) -> str | None:
    return None if path == "-" else str(Path(path).with_name(f"{Path(path).stem}_trimap.png"))


def _target(mask: str, files: TrimapFiles, *, as_json: bool) -> str:
    """The trimap's file. Raises UsageError for names that do not go together."""
    from mattecli.imaging.reading.open import is_pipe
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
    target = output or str(_beside(mask))
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
