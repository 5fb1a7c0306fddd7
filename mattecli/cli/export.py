"""`matte export-onnx`: the network as one file for other runtimes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mattecli.cli.options import Json, Overwrite
from mattecli.cli.terminal import Terminal
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.onnx.check import Difference
    from mattecli.weights import Checkpoint


def parse_size(text: Any) -> tuple[int, int]:
    """`--size`: height and width."""
    parts = str(text).replace("x", ",").split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() and len(part) < 9 for part in parts):
        raise ValueError(f"must be height and width, such as 720,1280, not {text}")
    return int(parts[0]), int(parts[1])


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What the file holds."""

    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            "-w",
            metavar="NAME|FILE",
            help="A bundled checkpoint (see `matte weights list`) or a file: .safetensors, .pth.",
            show_default="a2u_shared",
        ),
    ] = None
    ops: Annotated[
        Literal["standard", "custom"],
        typer.Option(
            "--ops",
            metavar="standard|custom",
            help="standard: ONNX's own operators only. custom: A2U's resampling as nodes of its own, for runtimes that "
            "have kernels for it.",
        ),
    ] = "standard"
    fp16: Annotated[bool, typer.Option("--fp16", help="Weights and maps in 16 bits: half the size.")] = False
    opset: Annotated[int, typer.Option("--opset", metavar="N", help="Version of ONNX's operators, such as 18.")] = 18
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(
            "--size",
            parser=parse_size,
            metavar="H,W",
            help="One fixed height and width, such as 720,1280, for runtimes that need it.",
            show_default="any",
        ),
    ] = None
    pre_post: Annotated[
        bool, typer.Option("--pre-post", help="Take an 8-bit photo and trimap of any size, give an 8-bit alpha.")
    ] = False
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Compare the file with PyTorch before it is kept.")
    ] = True


def export_onnx(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, such as a2u.onnx.")],
    *,
    wanted: ExportOptions,
    overwrite: Overwrite = False,
    as_json: Json = False,
    terminal: Terminal,
) -> None:
    """Write the network as one ONNX file, for any batch, and any height and width that are multiples of 16.

    \b
    Examples:
      matte export-onnx a2u.onnx
      matte export-onnx a2u_u8.onnx --pre-post
      matte export-onnx a2u_720p.onnx --fp16 --size 720,1280
    """
    if output.suffix.lower() != ".onnx":
        raise UsageError(f"{output} does not end in .onnx, the suffix of such files; add it")

    from mattecli.onnx.export import export_onnx as export
    from mattecli.onnx.whole import Options
    from mattecli.weights import find_checkpoint

    compared: list[Difference] = []

    def show(difference: Difference) -> None:
        compared.append(difference)
        terminal.detail(f"{difference.size}: off by {difference.relative:.1e} of the largest alpha")

    checkpoint = find_checkpoint(wanted.weights)
    options = Options(ops=wanted.ops, fp16=wanted.fp16, opset=wanted.opset, size=wanted.size, pre_post=wanted.pre_post)
    export(checkpoint, output, options=options, overwrite=overwrite, compare=wanted.check, on_compared=show)
    terminal.say(f"{checkpoint.name} → {output} ({output.stat().st_size / 1e6:.1f} MB, opset {wanted.opset})")
    terminal.say(_comparison(compared))
    if as_json:
        terminal.data(json.dumps(_facts(output, checkpoint, wanted, compared)) + "\n")


def _comparison(compared: list[Difference]) -> str:
    """The result of the check in one sentence."""
    if not compared:
        return "not compared with PyTorch (--no-check)"
    worst = max(compared, key=lambda difference: difference.relative)
    sizes = ", ".join(difference.size for difference in compared)
    return f"largest difference from PyTorch at {sizes}: {worst.relative:.1e} of the largest alpha"


def _facts(output: Path, checkpoint: Checkpoint, wanted: ExportOptions, compared: list[Difference]) -> dict[str, Any]:
    """The fields of `--json`."""
    return {
        "output": str(output),
        "bytes": output.stat().st_size,
        "weights": {"name": checkpoint.name, "sha256": checkpoint.sha256},
        "ops": wanted.ops,
        "opset": wanted.opset,
        "precision": "fp16" if wanted.fp16 else "fp32",
        "size": wanted.size,
        "pre_post": wanted.pre_post,
        "compared": [
            {"batch": n, "height": h, "width": w, "relative": d.relative} for d in compared for n, h, w in [d.shape]
        ],
    }
