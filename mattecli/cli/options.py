"""Options that mean the same in every command, each written once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mattecli.cli import terminal

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=lambda value: terminal.set_quiet(value), help="Print errors only.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", callback=lambda value: terminal.set_verbose(value), help="Print details too.")
]
Debug = Annotated[
    bool, typer.Option("--debug", callback=lambda value: terminal.set_debug(value), help="Show tracebacks of errors.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights", "-w", metavar="NAME|FILE", help="A checkpoint in the box (see `matte weights list`) or a file."
    ),
]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda[:N]", help="Where the network runs.")]
Backend = Annotated[
    Literal["auto", "torch", "onnx"],
    typer.Option("--backend", help="What runs the network: PyTorch (auto, where it is installed) or ONNX Runtime."),
]
Provider = Annotated[
    Literal["cpu", "cuda", "tensorrt", "openvino", "coreml", "directml"] | None,
    typer.Option("--provider", help="What ONNX Runtime computes on; see `matte doctor`."),
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    typer.Option("--precision", help="Arithmetic of the network; auto is fp32, which alone keeps alpha to 1e-4."),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        "--max-memory", metavar="SIZE", help="Use no more of the device's memory, e.g. 6G; more may be faster."
    ),
]
Tile = Annotated[
    str,
    typer.Option(
        "--tile",
        metavar="auto|off|N",
        help="Work in tiles of N×N pixels; the alpha is the same. auto: by what is free; off: the whole image at once.",
    ),
]
Bits = Annotated[Literal["8", "16", "float"], typer.Option("--bits", help="Depth of the alpha that is written.")]
Snap = Annotated[
    int,
    typer.Option(
        "--snap",
        min=0,
        max=100,
        metavar="N",
        help="Pull trimap values within N of 0 and 255 to them (for a trimap that went through JPEG).",
    ),
]
OutputFolder = Annotated[
    Path | None, typer.Option("--out-dir", metavar="DIR", help="Folder for the outputs; made if it is not there.")
]
