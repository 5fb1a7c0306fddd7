"""Options that mean the same in every command, each written once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

import typer

from mattecli.imaging.options import ReadOptions

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from mattecli.inference.options import RunOptions


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


def file_name(text: Any) -> Path:
    """A parser of files that are neither standard input nor standard output."""
    if str(text) == "-":
        raise ValueError("must be the name of a file, not -")
    return Path(text)


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


def parse_device(text: Any) -> str:
    """`--device`: auto, cpu, cuda or cuda:N."""
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", str(text)) is None:
        remedy = "; write cuda for an NVIDIA card" if "gpu" in str(text).lower() else ""
        raise ValueError(f"must be auto, cpu, cuda or cuda:N, not {text}{remedy}")
    return str(text)


def parse_stops(text: Any) -> float:
    """`--network-exposure`: a number from -10 to 10."""
    try:
        stops = float(text)
    except ValueError:
        stops = float("nan")
    if not -10 <= stops <= 10:
        raise ValueError(f"must be a number of stops from -10 to 10, not {text}")
    return stops


def changed(*groups: DataclassInstance) -> list[str]:
    """The options of these groups that differ from their defaults, as they are typed."""
    fields = [(field, getattr(group, field.name)) for group in groups for field in dataclasses.fields(group)]
    given = [(field.name.replace("_", "-"), value) for field, value in fields if value != field.default]
    return [f"--no-{name}" if value is False else f"--{name}" for name, value in given]


OF_FILES = ("--threads", "--max-memory")  # options of a model that count without one: they bound reading, too

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace output files that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        parser=whole_number(1, 1024),
        metavar="N",
        help="Use so many threads of the CPU, for the network and for files.",
        show_default="one for each core",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        parser=parse_device,
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
            "little), or auto: bf16 on Linux, on processors that have it, if all outputs have 8 bits; else fp32.",
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
    threads: Threads = None
    network_exposure: Annotated[
        float,
        typer.Option(
            "--network-exposure",
            parser=parse_stops,
            metavar="STOPS",
            help="Brighten what the network sees by so many stops, for a film frame (plate) that is too dark for it. "
            "The colours of the outputs do not change.",
        ),
    ] = 0.0
    coarse_to_fine: Annotated[
        bool | None,
        typer.Option(
            "--coarse-to-fine/--no-coarse-to-fine",
            help="Matte a photo of over 4 megapixels with a wide unknown part as a small copy first, then at full size "
            "what is uncertain there. Better for such photos; the copy takes 10 to 20 % of the time.",
            show_default="yes; no in `matte evaluate`",
        ),
    ] = None

    def run_options(self, *, coarse_to_fine: bool = True) -> RunOptions:
        """The same for the library; `coarse_to_fine` is what the command does where nothing else was asked for."""
        from mattecli.inference.options import RunOptions

        asked = self.coarse_to_fine
        coarse = {"coarse_to_fine": coarse_to_fine if asked is None else asked}
        return RunOptions(**{**dataclasses.asdict(self), **coarse})

    def given(self) -> list[str]:
        """The options that differ from their defaults."""
        return changed(self)


@dataclass(frozen=True, kw_only=True)
class ReadChoices:
    """How the files are read."""

    panel: ClassVar[str] = "Files"
    input_space: Annotated[
        str,
        typer.Option(
            "--input-space",
            metavar="auto|srgb|linear|NAME",
            help="Colour space of the photo: auto (as its file says), srgb, linear (light), or a name such as "
            "AdobeRGB, ProPhoto, ACEScg or 'ARRI LogC4'.",
        ),
    ] = "auto"
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer", metavar="NAME", help="Layer or part of an OpenEXR photo to read, such as diffuse for diffuse.R."
        ),
    ] = None
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

    def read_options(self, model: ModelOptions | None = None) -> ReadOptions:
        """The same for the library. `--max-memory` of the model bounds reading, too.

        Raises UsageError for an unknown colour space.
        """
        if self.input_space.lower() not in ("auto", "srgb", "linear"):
            from mattecli.imaging.colour import space_named

            space_named(self.input_space)  # before any file is read
        return ReadOptions(
            max_pixels=self.max_pixels,
            layer=self.layer,
            input_space=self.input_space,
            max_memory=None if model is None else model.max_memory,
        )
