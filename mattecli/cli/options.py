"""Options that mean the same in every command, each written once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast, get_args

import typer

from mattecli.errors import UsageError
from mattecli.imaging.choices import Bits, Fit, Kind
from mattecli.imaging.options import Quality, ReadOptions, WriteOptions
from mattecli.imaging.products import Products, check_over, depths, parse_products, suffixes

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


def parse_device(text: Any) -> str:
    """`--device`: auto, cpu, cuda or cuda:N."""
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", str(text)) is None:
        remedy = "; write cuda for an NVIDIA card" if "gpu" in str(text).lower() else ""
        raise ValueError(f"must be auto, cpu, cuda or cuda:N, not {text}{remedy}")
    return str(text)


def parse_bits(text: Any) -> Bits:
    """`--bits`: 8, 16 or float."""
    bits: dict[str, Bits] = {str(choice): choice for choice in get_args(Bits)}
    if str(text) not in bits:
        raise ValueError(f"must be 8, 16 or float, not {text}")
    return bits[str(text)]


def parse_what(text: Any) -> Products:
    """`--what`: the kinds of output, each once, and the formats of their files."""
    return parse_products(str(text))


def parse_quality(text: Any) -> Quality:
    """`--quality`: 1 to 100, or lossless."""
    if text == "lossless":
        return "lossless"
    if not str(text).isdecimal() or not 1 <= int(text) <= 100:
        raise ValueError(f"must be a whole number from 1 to 100, or lossless, not {text}")
    return int(text)


def parse_stops(text: Any) -> float:
    """`--network-exposure`: a number from -10 to 10."""
    try:
        stops = float(text)
    except ValueError:
        stops = float("nan")
    if not -10 <= stops <= 10:
        raise ValueError(f"must be a number of stops from -10 to 10, not {text}")
    return stops


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace output files that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
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

    network_exposure: Annotated[
        float,
        typer.Option(
            "--network-exposure",
            parser=parse_stops,
            metavar="STOPS",
            help="Brighten what the network sees by so many stops, for a plate that is too dark for it. The outputs do "
            "not change.",
        ),
    ] = 0.0

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


OutputSpace = Annotated[
    str,
    typer.Option(
        "--output-space",
        metavar="keep|srgb|p3|FILE.icc",
        help="Colour space of cut-outs, foregrounds and composites: keep (the photo's own), srgb, p3, or an ICC "
        "profile's file. Alphas have none.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class OutputChoices:
    """What is made of a photo and its alpha."""

    panel: ClassVar[str] = "Outputs"
    what: Annotated[
        Products | None,
        typer.Option(
            "--what",
            parser=parse_what,
            metavar="KIND[:FORMAT],…",
            help="What to make: alpha, cutout (RGBA), foreground (its colours), composite (needs -b) or layers (a PSD "
            "file); several with commas. A format may follow each: alpha:png16,cutout:webp,composite:jpg. Formats are "
            "png, png8, png16, tif, tif8, tif16, tiffloat, exr, exrhalf, webp, jpg, avif, jxl, bmp and npy.",
        ),
    ] = None
    background: Annotated[str | None, BACKGROUND] = None
    fit: FitOption = "cover"
    linear: LinearOption = False
    bits: Annotated[
        Bits,
        typer.Option(
            "--bits",
            parser=parse_bits,
            metavar="8|16|float",
            help="Depth of the alpha. float needs a .tif, .npy or .exr file; other outputs keep the photo's depth.",
        ),
    ] = 8
    output_space: OutputSpace = "keep"

    def output_options(self, files: WriteOptions) -> OutputOptions:
        """The same for the library."""
        from mattecli.work.job import OutputOptions

        check_output_space(self.output_space)
        return OutputOptions(
            bits=self.bits,
            fit=self.fit,
            linear=self.linear,
            output_space=self.output_space,
            depths=depths(self.what or {}),
            files=files,
        )

    @property
    def suffixes(self) -> dict[Kind, str]:
        """The suffixes of the outputs whose formats `--what` settles."""
        return suffixes(self.what or {})

    def check_formats(self) -> None:
        """Raise UsageError for formats of `--what` that contradict other options."""
        try:
            check_over(self.what or {}, self.background)
        except ValueError as error:
            raise UsageError(f"--what: {error}") from error
        depth = depths(self.what or {}).get("alpha")
        if self.bits != 8 and depth not in (None, self.bits):
            raise UsageError(
                f"--bits {self.bits} and the format of the alpha in --what contradict each other; leave --bits out"
            )

    def check_bits(self, kinds: tuple[Kind, ...]) -> None:
        """Raise UsageError for a depth where no alpha is made."""
        if self.bits != 8 and "alpha" not in kinds:
            raise UsageError(
                f"--bits {self.bits} is the depth of an alpha, but none is written; other pictures keep the photo's"
            )


@dataclass(frozen=True, kw_only=True)
class WriteChoices:
    """How the files are written."""

    panel: ClassVar[str] = "Files written"
    quality: Annotated[
        Quality | None,
        typer.Option(
            "--quality",
            parser=parse_quality,
            metavar="N|lossless",
            help="Quality of JPEG, WebP, AVIF and JPEG XL, 1 to 100, or lossless. Alphas are always lossless.",
            show_default="95; lossless for WebP cut-outs and for JPEG XL",
        ),
    ] = None
    strip_metadata: Annotated[
        bool,
        typer.Option(
            "--strip-metadata",
            help="Leave out the photo's EXIF, XMP and IPTC: camera, place, names. Profile and resolution stay.",
        ),
    ] = False
    straight: Annotated[
        bool,
        typer.Option("--straight", help="Do not multiply colours by alpha in EXR, as the format demands otherwise."),
    ] = False

    def write_options(self) -> WriteOptions:
        """The same for the library."""
        return WriteOptions(quality=self.quality, metadata=not self.strip_metadata, premultiplied=not self.straight)

    def check(self, targets: list[str]) -> None:
        """Raise UsageError for options that do nothing for these files."""
        found = {Path(target).suffix.lower() for target in targets}
        lossy = {".jpg", ".jpeg", ".webp", ".avif", ".jxl"}
        if self.quality is not None and not found & lossy:
            raise UsageError("--quality is for JPEG, WebP, AVIF and JPEG XL, and none of them is written; leave it out")
        if self.quality == "lossless" and found & {".jpg", ".jpeg"}:
            raise UsageError("--quality lossless is not possible in JPEG; take webp, jxl or png instead")
        if self.straight and ".exr" not in found:
            raise UsageError("--straight is for EXR, and none is written; other formats are straight anyway")


def check_output_space(output_space: str) -> None:
    """Raise InputError or UsageError for an output space that cannot be used."""
    if output_space not in ("keep", "srgb", "p3"):
        from mattecli.compositing.delivery import read_space

        read_space(output_space)


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


BACKGROUND = typer.Option(  # `matte composite` cannot do without, other commands can
    "--background",
    "-b",
    metavar="BACKGROUND",
    help="Background of the composite: a picture's file, a colour such as '#00b140' or white, or transparent.",
)
LinearOption = Annotated[
    bool, typer.Option("--linear", help="Mix composites in linear light, not in the file's own (sRGB) values.")
]
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
