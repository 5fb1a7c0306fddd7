"""`matte predict`: the alpha matte of one photo, or what is made from it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

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
    Provider,
    Quiet,
    Snap,
    Tile,
    Verbose,
    Weights,
)
from mattecli.cli.parsing import check_composite_options, parse_bits, parse_kinds, parse_memory, parse_tile
from mattecli.compositing.outputs import (
    check_memory,
    check_product,
    photo_note,
    profile_note,
    read_background,
    write_product,
)
from mattecli.errors import UsageError
from mattecli.imaging.choices import Fit, Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mattecli.imaging.choices import Bits as Depth
    from mattecli.imaging.choices import Colour
    from mattecli.imaging.image import Image
    from mattecli.inference.backend import Backend as Runner
    from mattecli.inference.tiling import Plan

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
    provider: Provider = None,
    precision: Precision = "auto",
    tile: Tile = "auto",
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
    if [photo, trimap, background].count("-") > 1:
        raise UsageError("standard input can be read only once; give - for one of photo, trimap and background")
    kinds = _kinds(what, cutout=cutout, foreground=foreground, background=background)
    depth = parse_bits(bits, kinds)
    targets = _targets(kinds, photo, output, out_dir, depth)
    check_composite_options(background, fit=fit, linear=linear)
    if as_json and "-" in targets.values():
        raise UsageError("--json and -o - both write to standard output; name a file for the picture")
    side, allowed = parse_tile(tile), parse_memory(max_memory)

    from mattecli.system.files import make_folder
    from mattecli.trimaps.check import shares
    from mattecli.trimaps.pairs import read_pair, trimap_note

    if out_dir is not None:
        make_folder(out_dir)
    _check_outputs(targets, depth, background, overwrite=overwrite, inputs=[photo, trimap])
    picture, known = read_pair(photo, trimap, snap=snap)
    scene = read_background(background) if background is not None else None
    unknown = shares(known)["unknown"]
    for note in (trimap_note(unknown, trimap), photo_note(picture, photo)):
        if note:
            terminal.warn(note)
    if kinds != ["alpha"]:
        check_memory(picture)

    from mattecli.inference.backend import load_backend
    from mattecli.inference.model import predict_alpha
    from mattecli.inference.tiling import PASSES

    runner = load_backend(weights, backend=backend, device=device, provider=provider, precision=precision)
    terminal.say(f"device: {runner.device}" + (" (auto)" if device == "auto" else ""))
    plans: list[Plan] = []

    def show_plan(chosen: Plan) -> None:
        if plans:
            terminal.warn(f"{runner.device} ran out of memory; trying again with less")
        plans.append(chosen)
        terminal.say(f"tile: {chosen}" + (" (auto)" if side == "auto" else ""))

    with terminal.passes(PASSES) as progress:
        alpha = predict_alpha(
            picture.pixels,
            known,
            runner,
            tile=side,
            max_memory=allowed,
            name=photo,
            on_plan=show_plan,
            progress=progress,
        )
    _write(
        targets, picture, alpha, depth, scene, fit=fit, linear=linear, overwrite=overwrite, names=(photo, background)
    )

    seconds = time.perf_counter() - started
    for target in targets.values():
        terminal.say(f"{photo} → {'standard output' if target == '-' else target} ({seconds:.1f} s)")
    if as_json:
        used = plans[-1] if plans else None
        terminal.data(json.dumps(_facts(photo, targets, picture, runner, used, unknown, seconds)) + "\n")


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
    kinds = parse_kinds(what)
    if ("composite" in kinds) != (background is not None):
        raise UsageError("a composite needs both: composite in --what, and its --background")
    return kinds


def _targets(kinds: list[Kind], photo: str, output: str | None, out_dir: Path | None, bits: Depth) -> Targets:
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
    suffixes = {"alpha": ".tif"} if bits == "float" else {}  # PNG holds no floating point
    return {kind: str(folder / f"{Path(photo).stem}_{kind}{suffixes.get(kind, '.png')}") for kind in kinds}


def _check_outputs(
    targets: Targets, bits: Depth, background: str | None, *, overwrite: bool, inputs: list[str]
) -> None:
    """Raise InputError for any output that could not be written, before anything heavy runs."""
    if background is not None:
        inputs = [*inputs, background]
    for kind, target in targets.items():
        check_product(kind, target, bits=bits, background=background, overwrite=overwrite, inputs=inputs)


def _write(
    targets: Targets,
    picture: Image,
    alpha: NDArray[np.float32],
    bits: Depth,
    scene: Image | Colour | None,
    *,
    fit: Fit,
    linear: bool,
    overwrite: bool,
    names: tuple[str, str | None],
) -> None:
    from mattecli.compositing.foreground import estimate_foreground
    from mattecli.imaging.image import Image

    if isinstance(scene, Image) and (note := profile_note(picture, names[0], scene, names[1] or "the background")):
        terminal.warn(note)
    colours = None
    for kind, target in sorted(targets.items(), key=lambda item: item[0] != "alpha"):  # it is what took long
        own = linear and kind == "composite" and scene is not None  # colours estimated in linear light
        if kind != "alpha" and colours is None and not own:
            colours = estimate_foreground(picture.pixels, alpha)
        write_product(
            kind,
            target,
            picture,
            alpha,
            foreground=None if own else colours,
            background=scene,
            fit=fit,
            linear=linear,
            bits=bits,
            overwrite=overwrite,
        )


def _facts(
    photo: str,
    targets: Targets,
    picture: Image,
    runner: Runner,
    used: Plan | None,
    unknown: float,
    seconds: float,
) -> dict[str, object]:
    from mattecli.system.memory import peak_bytes

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
        "tile": used.label if used is not None else "off",
        "weights": {"name": runner.checkpoint.name, "sha256": runner.checkpoint.sha256},
        "seconds": round(seconds, 3),
        "peak_bytes": peak_bytes(),
    }
