"""`matte predict`: the alpha matte of one photo, or what is made from it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from mattecli.cli import terminal
from mattecli.cli.options import (
    Backend,
    Bits,
    Debug,
    Device,
    Json,
    MaxMemory,
    OutputFolder,
    Overwrite,
    Precision,
    Quiet,
    Snap,
    Verbose,
    Weights,
)
from mattecli.cli.products import (
    Fit,
    Kind,
    check_composite_output,
    make_product,
    read_background,
    warn_of_profiles,
)
from mattecli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mattecli import backends, image
    from mattecli.compositing import Colour

Targets = dict[Kind, str]


def predict(
    photo: Annotated[str, typer.Argument(metavar="IMAGE", help="The photo; - reads standard input.")],
    trimap: Annotated[
        str,
        typer.Option(
            "--trimap", "-t", metavar="FILE", help="White foreground, black background, grey unknown; - likewise."
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="What to write; IMAGE_alpha.png if left out, - for stdout."
        ),
    ] = None,
    cutout: Annotated[bool, typer.Option("--cutout", help="Write the foreground as straight RGBA instead.")] = False,
    foreground: Annotated[bool, typer.Option("--foreground", help="Write the foreground's colours instead.")] = False,
    background: Annotated[
        str | None,
        typer.Option(
            "--background",
            "-b",
            metavar="FILE|COLOUR|transparent",
            help="Write a composite over it instead: a picture, '#00b140', a CSS colour name, or transparent.",
        ),
    ] = None,
    what: Annotated[
        str | None,
        typer.Option("--what", metavar="KIND,…", help=f"Several at once, into --out-dir: {', '.join(get_args(Kind))}."),
    ] = None,
    out_dir: OutputFolder = None,
    fit: Annotated[
        Fit, typer.Option("--fit", help="How a background picture of another size is brought to the photo's.")
    ] = "cover",
    linear: Annotated[
        bool, typer.Option("--linear", help="Composite in linear light, not in the file's own (sRGB) values.")
    ] = False,
    bits: Bits = "8",
    snap: Snap = 0,
    weights: Weights = None,
    device: Device = "auto",
    backend: Backend = "auto",
    precision: Precision = "auto",
    max_memory: MaxMemory = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Find the alpha matte of a photo, given its trimap.

    Examples:

        matte predict photo.jpg --trimap photo_trimap.png

        matte predict photo.jpg -t trimap.png -o cutout.png --cutout

        matte predict photo.jpg -t trimap.png -o out.jpg -b beach.jpg

        matte predict photo.jpg -t trimap.png --what alpha,cutout --out-dir mattes/
    """
    started = time.perf_counter()
    if photo == trimap == "-":
        raise UsageError("standard input can be read only once; name a file for the photo or for the trimap")
    kinds = _kinds(what, cutout=cutout, foreground=foreground, background=background)
    targets = _targets(kinds, photo, output, out_dir if what else None)
    if as_json and "-" in targets.values():
        raise UsageError("--json and -o - both write to standard output; name a file for the picture")
    if bits != "8" and "alpha" not in targets:
        raise UsageError(
            f"--bits {bits} is the depth of an alpha, but none is written; other pictures keep the photo's"
        )
    allowed = _bytes(max_memory)
    _check_outputs(targets, bits, background, overwrite=overwrite, inputs=[photo, trimap])
    picture, known = _read(photo, trimap, snap)
    scene = read_background(background) if background is not None else None
    unknown = _unknown_share(known, trimap)

    from mattecli.backends import load_backend
    from mattecli.matting import predict_alpha, require_memory
    from mattecli.memory import show_bytes

    runner = load_backend(weights, device=device, precision=precision)
    terminal.say(f"device: {runner.device}" + (" (auto)" if device == "auto" else ""))
    if unknown:
        needed = require_memory(known.shape[0], known.shape[1], runner, max_memory=allowed, name=photo)
        terminal.detail(f"memory: about {show_bytes(needed)} needed, {show_bytes(runner.free_bytes())} free")
    alpha = predict_alpha(picture.pixels, known, runner, max_memory=allowed)
    _write(targets, picture, alpha, bits, scene, fit=fit, linear=linear, overwrite=overwrite, names=(photo, background))

    seconds = time.perf_counter() - started
    for target in targets.values():
        terminal.say(f"{photo} → {'standard output' if target == '-' else target} ({seconds:.1f} s)")
    if as_json:
        terminal.data(json.dumps(_facts(photo, targets, picture, runner, unknown, seconds)) + "\n")


def _kinds(what: str | None, *, cutout: bool, foreground: bool, background: str | None) -> list[Kind]:
    """What is to be written: one product for -o, or those that --what lists."""
    wishes: dict[Kind, bool] = {"cutout": cutout, "foreground": foreground, "composite": background is not None}
    asked = [kind for kind, wish in wishes.items() if wish]
    if what is None:
        if len(asked) > 1:
            raise UsageError(
                f"{' and '.join(asked)} cannot all go to one output; use --what {','.join(asked)} --out-dir DIR"
            )
        return asked or ["alpha"]
    if cutout or foreground:
        raise UsageError("--what already lists the products; leave --cutout and --foreground out")
    kinds = [kind.strip() for kind in what.split(",")]
    for kind in kinds:
        if kind not in get_args(Kind):
            raise UsageError(f"--what {kind!r} is unknown; choose from {', '.join(get_args(Kind))}")
    if ("composite" in kinds) != (background is not None):
        raise UsageError("a composite needs both: composite in --what, and its --background")
    return cast(list[Kind], list(dict.fromkeys(kinds)))


def _targets(kinds: list[Kind], photo: str, output: str | None, out_dir: Path | None) -> Targets:
    """The file of each product."""
    if out_dir is not None and output is not None:
        raise UsageError("-o names one file and --out-dir a folder; give one of them")
    if output is not None and len(kinds) > 1:
        raise UsageError(f"--what lists {len(kinds)} products but -o names one file; give --out-dir DIR instead")
    if output is not None:
        return {kinds[0]: output}
    if photo == "-":
        raise UsageError("the photo comes from standard input, which gives the output no name; add -o FILE or -o -")
    folder = out_dir if out_dir is not None else Path(photo).parent
    return {kind: str(folder / f"{Path(photo).stem}_{kind}.png") for kind in kinds}


def _bytes(text: str | None) -> int | None:
    from mattecli.memory import parse_bytes

    if text is None:
        return None
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise UsageError(f"--max-memory {text} is no amount of memory; write for example 800M or 6G") from error


def _check_outputs(targets: Targets, bits: str, background: str | None, *, overwrite: bool, inputs: list[str]) -> None:
    """Raise InputError for any output that could not be written, before anything heavy runs."""
    from mattecli.image import check_output

    if background is not None:
        inputs = [*inputs, background]
    for kind, target in targets.items():
        if kind == "alpha":
            check_output(target, overwrite=overwrite, bits=_depth(bits), inputs=inputs)
        else:
            over = background if kind == "composite" and background else "black"
            check_composite_output(
                target, "transparent" if kind == "cutout" else over, overwrite=overwrite, inputs=inputs
            )


def _depth(bits: str) -> image.Bits:
    return "float" if bits == "float" else 8 if bits == "8" else 16


def _read(photo: str, trimap: str, snap: int) -> tuple[image.Image, NDArray[np.uint8]]:
    """The photo and its trimap; a wrong size is found before either is decoded, where both are files."""
    from mattecli.image import read_image, read_size, read_trimap
    from mattecli.trimap import check_size

    if "-" not in (photo, trimap):
        check_size(read_size(trimap), read_size(photo), name=trimap, image_name=photo)
    picture, known = read_image(photo), read_trimap(trimap, snap=snap)
    check_size((known.shape[1], known.shape[0]), picture.size, name=trimap, image_name=photo)
    return picture, known


def _unknown_share(known: NDArray[np.uint8], trimap: str) -> float:
    """The share of unknown pixels, with a word to the user where there are none or nothing else."""
    from mattecli.trimap import shares

    unknown = shares(known)["unknown"]
    if unknown == 0:
        terminal.warn(f"{trimap} has no unknown pixels, so the alpha is the trimap itself; mark soft edges grey")
    elif unknown == 1:
        terminal.warn(
            f"{trimap} has nothing but unknown pixels; mark some sure foreground and background for a good matte"
        )
    return unknown


def _write(
    targets: Targets,
    picture: image.Image,
    alpha: NDArray[np.float32],
    bits: str,
    scene: image.Image | Colour | None,
    *,
    fit: Fit,
    linear: bool,
    overwrite: bool,
    names: tuple[str, str | None],
) -> None:
    from mattecli.compositing import estimate_foreground
    from mattecli.image import Image, write_alpha, write_image

    if isinstance(scene, Image) and names[1] is not None:
        warn_of_profiles(picture, names[0], scene, names[1])
    colours = estimate_foreground(picture.pixels, alpha) if set(targets) - {"alpha"} else None
    for kind, target in targets.items():
        if kind == "alpha":
            write_alpha(target, alpha, bits=_depth(bits), overwrite=overwrite, like=picture)
        else:
            product = make_product(kind, picture, alpha, background=scene, fit=fit, linear=linear, foreground=colours)
            write_image(target, product, overwrite=overwrite)


def _facts(
    photo: str, targets: Targets, picture: image.Image, runner: backends.Backend, unknown: float, seconds: float
) -> dict[str, object]:
    from mattecli.memory import peak_bytes

    outputs = dict(targets)
    return {
        "image": photo,
        "output": next(iter(outputs.values())) if len(outputs) == 1 else outputs,
        "width": picture.size[0],
        "height": picture.size[1],
        "unknown": round(unknown, 6),
        "device": runner.device,
        "backend": runner.name,
        "precision": runner.precision,
        "tile": "off",
        "weights": {"name": runner.checkpoint.name, "sha256": runner.checkpoint.sha256},
        "seconds": round(seconds, 3),
        "peak_bytes": peak_bytes(),
    }
