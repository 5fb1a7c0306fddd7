"""Options of outputs: what is made, and in which files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args

import typer

from mattecli.cli.colour_options import ColourChoices
from mattecli.cli.presets import PresetOption, typed
from mattecli.cli.targets import BACKGROUND, Composites, different, over_each
from mattecli.errors import UsageError
from mattecli.imaging.choices import Bits, Fit
from mattecli.imaging.options import Quality, WriteOptions
from mattecli.imaging.products import LOSSY, Products, check_over, depths, parse_products, suffixes

if TYPE_CHECKING:
    from mattecli.compositing.rendition import Rendition
    from mattecli.work.outputs import OutputOptions


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


OutputSpace = Annotated[
    str,
    typer.Option(
        "--output-space",
        metavar="keep|srgb|NAME|FILE",
        help="Colour space of cut-outs, foregrounds and composites: keep (the photo's own), srgb, p3, a name such as "
        "AdobeRGB or ACEScg, or an ICC profile's file. Alphas have none.",
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
            help="What to make: alpha, cutout (RGBA), foreground (its colours), composite (needs -b) or layers (a PSD, "
            "or layers:tif); several with commas. A format may follow each: alpha:png16,cutout:webp,composite:jpg. "
            "Formats: png, png8, png16, tif, tif8, tif16, tiffloat, exr, exrhalf, webp, jpg, avif, jxl, jxl8, jxl16, "
            "bmp and npy.",
        ),
    ] = None
    background: Annotated[list[str] | None, BACKGROUND] = None
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
    preset: PresetOption = None

    @property
    def backgrounds(self) -> tuple[str, ...]:
        """The backgrounds of composites, each once."""
        return different(self.background)

    @property
    def only_background(self) -> str | None:
        """The background of all composites; None where there is none, or one for each of several composites."""
        return self.backgrounds[0] if len(self.backgrounds) == 1 else None

    def deliveries(self, *, manifest: bool = False) -> dict[str, Rendition]:
        """The deliveries of the preset by name; the lines of a manifest may name the backgrounds of composites."""
        if self.preset is None or not self.preset.deliver:
            return {}
        from mattecli.cli.deliveries import deliveries_of

        return deliveries_of(self.preset, backgrounds=self.backgrounds, elsewhere=manifest)

    def over_each(self, kinds: Sequence[str], deliveries: Mapping[str, Rendition]) -> Composites:
        """The outputs, with a composite for each background where there are several."""
        bits = depths(self.what or {}).get("composite")
        return over_each(kinds, deliveries, self.backgrounds, suffix=self.suffixes.get("composite"), bits=bits)

    def output_options(
        self, files: WriteOptions, colours: ColourChoices, renditions: Mapping[str, Rendition] | None = None
    ) -> OutputOptions:
        """The same for the library."""
        from mattecli.work.outputs import OutputOptions

        check_output_space(self.output_space)
        return OutputOptions(
            bits=self.bits,
            fit=self.fit,
            linear=self.linear,
            colours=colours.colour_options(),
            output_space=self.output_space,
            depths=depths(self.what or {}),
            files=files,
            renditions=renditions or {},
        )

    @property
    def suffixes(self) -> dict[str, str]:
        """The suffixes of the outputs whose formats `--what` settles."""
        return suffixes(self.what or {})

    def check_formats(self) -> None:
        """Raise UsageError for formats of `--what` that contradict other options."""
        try:
            for background in self.backgrounds:
                check_over(self.what or {}, background)
        except ValueError as error:
            raise UsageError(f"--what: {error}") from error
        depth = depths(self.what or {}).get("alpha")
        if self.bits != 8 and depth not in (None, self.bits):
            raise UsageError(
                f"--bits {self.bits} and the format of the alpha in --what contradict each other; leave --bits out"
            )

    def check_bits(self, kinds: Sequence[str]) -> None:
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
        typer.Option(
            "--straight", help="Do not multiply colours by alpha in EXR, though programs that read EXR expect that."
        ),
    ] = False

    def write_options(self) -> WriteOptions:
        """The same for the library."""
        return WriteOptions(quality=self.quality, metadata=not self.strip_metadata, premultiplied=not self.straight)

    def check(self, targets: list[str]) -> None:
        """Raise UsageError for options that do nothing for these files."""
        found = {Path(target).suffix.lower() for target in targets}
        if self.quality is not None and found.isdisjoint(LOSSY):
            raise UsageError("--quality is for JPEG, WebP, AVIF and JPEG XL, and none of them is written; leave it out")
        if self.quality == "lossless" and found & {".jpg", ".jpeg"}:
            raise UsageError("--quality lossless is not possible in JPEG; take webp, jxl or png instead")
        if self.straight and ".exr" not in found:
            raise UsageError("--straight is for EXR, and none is written; other formats are straight anyway")

    def check_deliveries(self, deliveries: Iterable[Rendition]) -> None:
        """Raise UsageError for a delivery of a greatest number of bytes that would have to be lossless."""
        limited = [one.name for one in deliveries if one.max_bytes is not None and one.quality is None]
        if limited and self.quality == "lossless":
            raise UsageError(
                f"--quality lossless contradicts max-bytes of the delivery {limited[0]}; leave one of them out, or "
                "give the delivery a quality"
            )


def check_pictures(choices: OutputChoices, written: WriteChoices, kinds: Sequence[str]) -> None:
    """Raise UsageError for options of other outputs than alphas where there is none."""
    wishes = {"--output-space": choices.output_space != "keep", "--strip-metadata": written.strip_metadata}
    given = typed(wishes, choices.preset)
    if given and not set(kinds) - {"alpha"}:
        check_output_space(choices.output_space)  # a mistyped name first
        raise UsageError(
            f"{' and '.join(given)} would do nothing, because only an alpha is written, which has no colours and no "
            "metadata; add another output, or leave it out"
        )


def check_output_space(output_space: str) -> None:
    """Raise InputError or UsageError for an output space that cannot be used."""
    if output_space not in ("keep", "srgb", "p3"):
        from mattecli.compositing.delivery import read_space

        read_space(output_space)


LinearOption = Annotated[
    bool,
    typer.Option(
        "--linear/--no-linear",
        help="Estimate colours and mix composites in linear light, not in the file's own (sRGB) values.",
    ),
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
