"""`matte export-onnx`: the network as one file for other runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mattecli.cli import terminal
from mattecli.cli.options import Debug, Json, Overwrite, Quiet, Verbose, Weights
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.onnx.export import Difference


def export_onnx(
    output: Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="What to write, a2u.onnx say.")],
    weights: Weights = None,
    ops: Annotated[
        Literal["standard", "custom"],
        typer.Option(
            "--ops", help="custom: A2U's resampling as nodes of its own, for runtimes that have kernels for it."
        ),
    ] = "standard",
    fp16: Annotated[bool, typer.Option("--fp16", help="Weights and maps in 16 bits; half the size.")] = False,
    opset: Annotated[int, typer.Option("--opset", metavar="N", help="Version of ONNX's operators.")] = 18,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="H,W", help="One fixed size, for runtimes that need it. [default: any]"),
    ] = None,
    pre_post: Annotated[
        bool, typer.Option("--pre-post", help="8-bit photo and trimap in, 8-bit alpha out, of any size.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Compare the file with PyTorch before it is kept.")
    ] = True,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the network as one ONNX file: any batch, any height and width that are multiples of 16.

    Examples:

        matte export-onnx a2u.onnx

        matte export-onnx a2u_u8.onnx --pre-post

        matte export-onnx a2u_720p.onnx --fp16 --size 720,1280
    """
    if output.suffix.lower() != ".onnx":
        raise UsageError(f"{output} does not end in .onnx, by which other tools know such files; add that")
    fixed = None if size is None else _parse_size(size)

    from mattecli.onnx.export import Options
    from mattecli.onnx.export import export_onnx as export
    from mattecli.weights import find_checkpoint

    compared: list[Difference] = []

    def show(difference: Difference) -> None:
        compared.append(difference)
        terminal.detail(f"{difference.size}: off by {difference.relative:.1e} of the largest alpha")

    checkpoint = find_checkpoint(weights)
    options = Options(ops=ops, fp16=fp16, opset=opset, size=fixed, pre_post=pre_post)
    export(checkpoint, output, options=options, overwrite=overwrite, compare=check, on_compared=show)
    terminal.say(f"{checkpoint.name} → {output} ({output.stat().st_size / 1e6:.1f} MB, opset {opset})")
    if compared:
        worst = max(compared, key=lambda difference: difference.relative)
        sizes = ", ".join(difference.size for difference in compared)
        terminal.say(f"largest difference from PyTorch at {sizes}: {worst.relative:.1e} of the largest alpha")
    else:
        terminal.say("not compared with PyTorch (--no-check)")
    if as_json:
        facts = {
            "output": str(output),
            "bytes": output.stat().st_size,
            "weights": {"name": checkpoint.name, "sha256": checkpoint.sha256},
            "ops": ops,
            "opset": opset,
            "precision": "fp16" if fp16 else "fp32",
            "size": fixed,
            "pre_post": pre_post,
            "compared": [
                {"batch": n, "height": h, "width": w, "relative": d.relative} for d in compared for n, h, w in [d.shape]
            ],
        }
        terminal.data(json.dumps(facts) + "\n")


def _parse_size(text: str) -> tuple[int, int]:
    parts = text.replace("x", ",").split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() and len(part) < 9 for part in parts):
        raise UsageError(f"--size {text!r} is no size; give height and width, such as 720,1280")
    return int(parts[0]), int(parts[1])
