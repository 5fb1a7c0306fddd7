"""`matte trimap`: trimaps from masks or photos, and their check."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from mattecli.cli.mask_options import BandOption, DilateOption, ErodeOption, SolidOption
from mattecli.cli.options import OF_FILES, Json, ModelOptions, Overwrite, ReadChoices, changed, share, whole_number
from mattecli.cli.subject import SubjectOptions
from mattecli.cli.targets import check_streams, output_file
from mattecli.cli.terminal import Terminal
from mattecli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mattecli.imaging.image import Image
    from mattecli.imaging.options import ReadOptions
    from mattecli.trimaps.recipe import MaskRecipe

Make = Callable[..., dict[str, Any]]  # (source, files, terminal, *, overwrite, as_json) → the fields of `--json`


@dataclass(frozen=True, kw_only=True)
class TrimapFiles:
    """The files beside the first argument."""

    output: Annotated[
        str | None,
        output_file("The trimap to write; `-` writes to standard output.", default="MASK_trimap.png"),
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
            "--fill-holes",
            parser=whole_number(0),
            metavar="AREA",
            help="Fill holes of the mask of up to this many pixels; in `matte predict` this is --mask-fill-holes.",
        ),
    ] = 0
    min_area: Annotated[
        int,
        typer.Option(
            "--min-area",
            parser=whole_number(0),
            metavar="AREA",
            help="Leave out parts of the mask of fewer pixels than this; in `matte predict` this is --mask-min-area.",
        ),
    ] = 0
    solid: SolidOption = False


def trimap(
    mask: Annotated[
        str,
        typer.Argument(
            metavar="MASK",
            help="A mask, a rough matte or a cut-out (its alpha is taken); `-` reads standard input. A folder of them "
            "with OUT. With --check it is the trimap; with --mask, --key, --auto, --scribbles or --box the photo.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="The folder for the trimaps of a folder of masks or photos.")
    ] = None,
    *,
    files: TrimapFiles,
    band: Band,
    cleaning: Cleaning,
    subject: SubjectOptions,
    model: ModelOptions,
    reading: ReadChoices,
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
      matte trimap photo.jpg --auto --preview check.jpg
      matte trimap masks/ trimaps/ --photo photos/
      matte trimap photos/ trimaps/ --key auto
      matte trimap --check trimap.png --photo photo.jpg
      rembg i -om photo.jpg - | matte trimap - -o trimap.png
    """
    from mattecli.system.files import is_folder
    from mattecli.system.threads import use_threads

    use_threads(model.threads)
    read = _read_options(reading, model, of_mask=subject.base(**{"--mask": files.mask_file}) is None, photo=files.image)
    if check:
        from mattecli.cli.trimap_check import check_file

        idle = [*changed(band, cleaning), *subject.given(), *([] if out is None else ["OUT"])]
        idle += [name for name in model.given() if name not in ("--snap", *OF_FILES)]
        idle += ["--overwrite"] if overwrite else []
        raise typer.Exit(check_file(mask, files, terminal, reading=read, snap=model.snap, idle=idle, as_json=as_json))
    base = _base(mask, files, subject, model, given=changed(band, cleaning))
    folder = out is not None or is_folder(mask)
    if folder and (base in ("--scribbles", "--box", "--mask") or subject.scribbles is not None):
        raise UsageError("--scribbles, --box and --mask are for one photo; a folder takes masks, --key or --auto")
    if base == "--auto" and not folder:
        from mattecli.cli.trimap_photo import check_files

        check_files(mask, files, subject, overwrite=overwrite, as_json=as_json)  # before a model is fetched
    subject.prepare(terminal)
    if base == "--mask":
        files = dataclasses.replace(files, image=mask, output=files.output or _beside(mask))
        mask = str(files.mask_file)
    make = _maker(base, subject, _recipe(band, cleaning), model, read)
    if folder:
        from mattecli.cli.trimap_folder import make_folder_of_trimaps

        made = make_folder_of_trimaps(
            mask, out, files, make, terminal, of_masks=base is None, overwrite=overwrite, as_json=as_json
        )
        raise typer.Exit(made)
    facts = make(mask, files, terminal, overwrite=overwrite, as_json=as_json)
    if as_json:
        terminal.data(json.dumps(facts) + "\n")


def _read_options(reading: ReadChoices, model: ModelOptions, *, of_mask: bool, photo: str | None) -> ReadOptions:
    """How the photo is read. Raises UsageError for options that would do nothing, as there is no photo."""
    idle = [name for name in changed(reading) if name != "--max-pixels"]
    if idle and of_mask and photo is None:
        raise UsageError(f"{' and '.join(idle)} would do nothing without a photo; name it with --photo")
    return reading.read_options(model)


def _maker(
    base: str | None, subject: SubjectOptions, recipe: MaskRecipe, model: ModelOptions, reading: ReadOptions
) -> Make:
    """What makes the trimap of one mask or photo."""
    if base in (None, "--mask"):
        return partial(make_one, recipe=recipe, reading=reading, strokes=subject.scribbles)
    from mattecli.cli.trimap_photo import make_from_photo
    from mattecli.inference.model import Model

    model_of = Model(model.run_options())
    return partial(make_from_photo, base=base, subject=subject, recipe=recipe, model=model_of, reading=reading)


def _recipe(band: Band, cleaning: Cleaning) -> MaskRecipe:
    from mattecli.trimaps.make import check_recipe
    from mattecli.trimaps.recipe import MaskRecipe

    recipe = MaskRecipe(**dataclasses.asdict(band), **dataclasses.asdict(cleaning))
    check_recipe(recipe)
    return recipe


def _base(
    source: str, files: TrimapFiles, subject: SubjectOptions, model: ModelOptions, *, given: list[str]
) -> str | None:
    """The option that the trimap comes from; None where it is the first argument, a mask.

    Raises UsageError for options that contradict each other, or that would do nothing.
    """
    base = subject.base(**{"--mask": files.mask_file})
    if base is not None and files.image is not None:
        raise UsageError(f"with {base} the first argument is the photo; leave --photo out")
    if base not in (None, "--mask", "--auto") and given:
        raise UsageError(f"{' and '.join(given)} would do nothing with {base}; leave it out")
    if base not in ("--scribbles", "--box") and (idle := [name for name in model.given() if name not in OF_FILES]):
        reasons = {"--key": "a screen needs no network", "--auto": "--auto runs its own model on the CPU"}
        why = reasons.get(str(base), "a mask needs no network")
        raise UsageError(f"{' and '.join(idle)} would do nothing, because {why}; leave it out")
    if model.snap:
        raise UsageError(f"--snap would do nothing with {base}, which reads no trimap; leave it out")
    sources = [source, files.mask_file, subject.scribbles, files.core, files.garbage]
    check_streams(sources, (), as_json=False, ask="give - for one file only")
    return base


def make_one(
    mask: str,
    files: TrimapFiles,
    terminal: Terminal,
    *,
    recipe: MaskRecipe,
    reading: ReadOptions,
    strokes: str | None = None,
    overwrite: bool,
    as_json: bool,
) -> dict[str, Any]:
    """Make the trimap of one mask; gives the fields of `--json`."""
    from mattecli.imaging.image import Image
    from mattecli.imaging.read import read_alpha, read_image
    from mattecli.imaging.reading.open import label
    from mattecli.imaging.write import check_output, write_image
    from mattecli.trimaps.check import shares
    from mattecli.work.making import Making

    target = _target(mask, files, as_json=as_json)
    inputs = [name for name in (mask, files.image, files.core, files.garbage, strokes) if name is not None]
    for written in [target] if files.preview is None else [target, files.preview]:
        check_output(written, overwrite=overwrite, bits=8 if written == target else None, inputs=inputs)
    matte = read_alpha(mask, options=reading.limits)
    photo = None if files.image is None else _photo(files.image, matte.shape[::-1], label(mask), reading)
    making = Making(recipe=recipe, strokes=strokes, core=files.core, garbage=files.garbage)
    made = making.of_matte(
        matte, photo, name=label(mask), photo_name=str(files.image), reading=reading, on_note=terminal.warn
    )
    result = Image(made)
    if photo is not None:
        result = dataclasses.replace(result, resolution=photo.resolution, metadata=photo.metadata.geometry)
    write_image(target, result, overwrite=overwrite)
    if files.preview is not None:
        _write_preview(
            files.preview, photo or read_image(mask, options=reading.limits), made, terminal, overwrite=overwrite
        )
    height, width = made.shape
    parts = shares(made)
    _report("standard output" if target == "-" else target, (width, height), parts, terminal)
    names = {"mask": mask, "image": files.image, "output": target, "preview": files.preview}
    used = _as_used(recipe, files.image, (height, width))
    return {**names, "width": width, "height": height, **parts, **used}


def _as_used(recipe: MaskRecipe, photo: str | None, shape: tuple[int, int]) -> dict[str, Any]:
    """The options with their defaults, as they may be typed; `erode` and `dilate` are null where the band decides."""
    from mattecli.trimaps.make import DILATE, ERODE, HIGH, LOW, WITHOUT_PHOTO
    from mattecli.trimaps.widths import in_pixels

    low, high = LOW if recipe.low is None else recipe.low, HIGH if recipe.high is None else recipe.high
    used: dict[str, Any] = {"erode": recipe.erode, "dilate": recipe.dilate, "low": low, "high": high}
    if recipe.plain:
        used["erode"] = ERODE if used["erode"] is None else used["erode"]
        used["dilate"] = DILATE if used["dilate"] is None else used["dilate"]
        return {**used, "band": None}
    band = recipe.band
    if band is None and photo is not None:
        band = "auto"
    elif band is None:
        chosen = in_pixels(WITHOUT_PHOTO, shape, automatic=True)
        band = WITHOUT_PHOTO if chosen == in_pixels(WITHOUT_PHOTO, shape) else chosen
    return {**used, "band": band}


def _photo(photo: str, size: tuple[int, int], mask: str, reading: ReadOptions) -> Image:
    """The photo. Raises InputError for another size before decoding, where the header alone tells that."""
    from mattecli.imaging.read import has_windows, read_image, read_size
    from mattecli.imaging.reading.open import is_pipe
    from mattecli.trimaps.check import check_size

    if not (is_pipe(photo) or has_windows(photo)):  # a plate's mask may have its display window's size
        check_size(size, read_size(photo, options=reading), name=mask, image_name=photo, what="mask")
    return read_image(photo, options=reading)


def _beside(path: str) -> str | None:
    return None if path == "-" else str(Path(path).with_name(f"{Path(path).stem}_trimap.png"))


def _target(mask: str, files: TrimapFiles, *, as_json: bool) -> str:
    """The trimap's file. Raises UsageError for names that do not go together."""
    from mattecli.imaging.reading.open import is_pipe
    from mattecli.system.files import same_file

    output, image, preview = files.output, files.image, files.preview
    if output is None and mask == "-":
        raise UsageError("the mask comes from standard input and gives the trimap no name; name a file with -o")
    check_streams((), [str(output)], as_json=as_json)
    if image == "-" and files.mask_file is not None:
        raise UsageError("with --mask the photo cannot come from standard input; name its file")
    if "-" in (image, preview):
        raise UsageError("--photo and --preview take no -; only MASK and -o can be standard input and output")
    if preview is not None and image is None and is_pipe(mask):
        come = "standard input" if mask == "-" else "a pipe"
        raise UsageError(f"--preview shows a photo and the mask comes from {come}; name the photo with --photo")
    target = output or str(_beside(mask))
    if preview is not None and same_file(preview, target):
        raise UsageError(f"{target} cannot hold both the trimap and its preview; name two files")
    return target


def _write_preview(preview: str, photo: Image, made: NDArray[np.uint8], terminal: Terminal, *, overwrite: bool) -> None:
    from mattecli.imaging.image import Image, to_depth
    from mattecli.imaging.view import network_view
    from mattecli.imaging.write import write_image
    from mattecli.trimaps.make import overlay

    pixels = to_depth(network_view(photo), 8)
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
