"""Options that mean the same in every command, each written once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast, get_args

import typer

from mattecli.errors import UsageError
from mattecli.imaging.choices import Bits, Fit, Kind
from mattecli.imaging.options import ReadOptions

if TYPE_CHECKING:
    from mattecli.inference.options import RunOptions
    from mattecli.work.job import OutputOptions


def whole_number(least: int, most: int | None = None) -> Callable[[Any], int]:
    """A parser of whole numbers in that range."""
    wanted = f"must be a whole number from {least} {'up' if most is None else f'to {most}'}"

    def parse(text: Any) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"{wanted}, not {text}") from None
        if number < least or (most is not None and number > most):
            raise ValueError(f"{wanted}, not {text}")
        return number

    return parse


def share(text: Any) -> float:
    """A parser of numbers from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ValueError(f"must be a number from 0 to 1, not {text}")
    return number


def parse_tile(text: Any) -> int | Literal["auto", "off"]:
    """`--tile`: auto, off or a number of pixels."""
    if text in ("auto", "off"):
        return cast(Literal["auto", "off"], text)
    from mattecli.inference.plan import SMALLEST_TILE
    from mattecli.spec import STRIDE

    side = int(text) if str(text).isdecimal() else 0
    if side < SMALLEST_TILE or side % STRIDE:
        raise ValueError(f"must be auto, off or a multiple of {STRIDE} from {SMALLEST_TILE} up, not {text}")
    return side


def parse_memory(text: Any) -> int:
    """`--max-memory`: a number of bytes."""
    from mattecli.system.memory import parse_bytes

    try:
        return parse_bytes(str(text))
    except ValueError:
        raise ValueError(f"must be an amount of memory such as 800M or 6G, not {text}") from None


def parse_bits(text: Any) -> Bits:
    """`--bits`: 8, 16 or float."""
    bits: dict[str, Bits] = {str(choice): choice for choice in get_args(Bits)}
    if str(text) not in bits:
        raise ValueError(f"must be 8, 16 or float, not {text}")
    return bits[str(text)]


def parse_kinds(text: Any) -> tuple[Kind, ...]:
    """`--what`: the kinds of output, each once."""
    kinds = [kind.strip() for kind in str(text).split(",")]
    for kind in kinds:
        if kind not in get_args(Kind):
            raise ValueError(f"must list {', '.join(get_args(Kind))} (any of them, with commas), not {kind!r}")
    return cast(tuple[Kind, ...], tuple(dict.fromkeys(kinds)))


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace output files that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="Where the network runs: auto (CUDA if it works, else CPU), cpu, cuda, cuda:1.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """How the network is run."""

    panel: ClassVar[str] = "Network"
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            "-w",
            metavar="NAME|FILE",
            help="A bundled checkpoint (see `matte weights list`) or a file: .safetensors, .pth, .onnx.",
            show_default="a2u_shared",
        ),
    ] = None
    device: Device = "auto"
    backend: Annotated[
        Literal["auto", "torch", "onnx"],
        typer.Option(
            "--backend",
            metavar="BACKEND",
            help="What runs the network: torch (PyTorch), onnx (ONNX Runtime), or auto: PyTorch if it is installed.",
        ),
    ] = "auto"
    provider: Annotated[
        Literal["cpu", "cuda", "tensorrt", "openvino", "coreml", "directml"] | None,
        typer.Option(
            "--provider",
            metavar="PROVIDER",
            help="What ONNX Runtime computes on: cpu, cuda, tensorrt, openvino, coreml or directml. `matte doctor` "
            "shows which work here.",
        ),
    ] = None
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        typer.Option(
            "--precision",
            metavar="PRECISION",
            help="Arithmetic of the network: fp32 (exact), bf16 or fp16 (faster on some hardware, alpha differs a "
            "little), or auto, which is fp32.",
        ),
    ] = "auto"
    tile: Annotated[
        int | Literal["auto", "off"],
        typer.Option(
            "--tile",
            parser=parse_tile,
            metavar="auto|off|N",
            help="Work in tiles of N×N pixels, such as 1024; the alpha is the same. off: the whole image at once. "
            "auto: what fits into the free memory.",
        ),
    ] = "auto"
    max_memory: Annotated[
        int | None,
        typer.Option(
            "--max-memory",
            parser=parse_memory,
            metavar="SIZE",
            help="Use no more of the device's memory than this, such as 800M or 6G, and no more for reading a file. "
            "More may be faster.",
        ),
    ] = None
    snap: Annotated[
        int,
        typer.Option(
            "--snap",
            parser=whole_number(0, 100),
            metavar="N",
            help="Take trimap values within N of 0 for 0, and within N of 255 for 255; 0 to 100. Use 10 for a trimap "
            "that was saved as JPEG.",
        ),
    ] = 0

    def run_options(self) -> RunOptions:
        """The same for the library."""
        from mattecli.inference.options import RunOptions

        return RunOptions(**dataclasses.asdict(self))

    def given(self) -> list[str]:
        """The options that differ from their defaults."""
        changed = [field.name for field in dataclasses.fields(self) if getattr(self, field.name) != field.default]
        return [f"--{name.replace('_', '-')}" for name in changed]


@dataclass(frozen=True, kw_only=True)
class ReadChoices:
    """How files are read."""

    panel: ClassVar[str] = "Reading"
    max_pixels: Annotated[
        int,
        typer.Option(
            "--max-pixels",
            parser=whole_number(1),
            metavar="N",
            help="Refuse pictures of more pixels (width × height) than this before decoding them.",
            show_default="500000000",
        ),
    ] = ReadOptions.max_pixels
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer", metavar="NAME", help="Layer or part of an OpenEXR photo to read, such as diffuse for diffuse.R."
        ),
    ] = None

    def read_options(self, model: ModelOptions) -> ReadOptions:
        """The same for the library. `--max-memory` bounds reading, too."""
        return ReadOptions(max_pixels=self.max_pixels, layer=self.layer, max_memory=model.max_memory)


@dataclass(frozen=True, kw_only=True)
class OutputChoices:
    """What is made of a photo and its alpha."""

    panel: ClassVar[str] = "Outputs"
    what: Annotated[
        tuple[Kind, ...] | None,
        typer.Option(
            "--what",
            parser=parse_kinds,
            metavar="KIND,…",
            help="What to make: alpha, cutout (RGBA), foreground (its colours) or composite (needs -b); several with "
            "commas, such as alpha,cutout.",
        ),
    ] = None
    background: Annotated[
        str | None,
        typer.Option(
            "--background",
            "-b",
            metavar="BACKGROUND",
            help="Make a composite over this: a picture's file, a colour such as '#00b140' or white, or transparent.",
        ),
    ] = None
    fit: FitOption = "cover"
    linear: Annotated[
        bool, typer.Option("--linear", help="Mix composites in linear light, not in the file's own (sRGB) values.")
    ] = False
    bits: Annotated[
        Bits,
        typer.Option(
            "--bits",
            parser=parse_bits,
            metavar="8|16|float",
            help="Depth of the alpha. float needs a .tif, .npy or .exr file; other outputs keep the photo's depth.",
        ),
    ] = 8

    def output_options(self) -> OutputOptions:
        """The same for the library."""
        from mattecli.work.job import OutputOptions

        return OutputOptions(bits=self.bits, fit=self.fit, linear=self.linear)

    def check_bits(self, kinds: tuple[Kind, ...]) -> None:
        """Raise UsageError for a depth where no alpha is made."""
        if self.bits != 8 and "alpha" not in kinds:
            raise UsageError(
                f"--bits {self.bits} is the depth of an alpha, but none is written; other pictures keep the photo's"
            )


def check_composite_options(background: str | None, *, fit: str, linear: bool) -> None:
    """Raise UsageError for options without an effect over this background; None means that no composite is made."""
    from mattecli.compositing.outputs import parse_colour

    if background is None or background.lower() == "transparent":
        given = [name for name, wish in (("--linear", linear), (f"--fit {fit}", fit != "cover")) if wish]
        if given:
            raise UsageError(
                f"{' and '.join(given)} would do nothing, because no background is put under the foreground; "
                f"add -b with a picture{' or a colour' if linear else ''}, or leave it out"
            )
    elif fit != "cover" and parse_colour(background) is not None:
        raise UsageError(f"--fit {fit} is for a background picture, and {background} is a colour; leave it out")


FitOption = Annotated[
    Fit,
    typer.Option(
        "--fit",
        metavar="FIT",
        help="How a background picture gets the photo's size: cover (fill it, cut off the rest), contain (show "
        "all of the picture), stretch, tile (repeat).",
    ),
]
OutputFolder = Annotated[
    Path | None,
    typer.Option("--out-dir", metavar="DIR", help="Folder for the outputs; it is made if it does not exist."),
]
