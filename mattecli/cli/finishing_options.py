"""Options that finish a matte: edges, placement, shadows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import typer

from mattecli.cli.options import whole_number
from mattecli.compositing.finishing import Finishing, Length, Levels, parse_length
from mattecli.errors import UsageError


def parse_edge_length(text: Any) -> Length:
    """Lengths: pixels, or per cent of the diagonal."""
    try:
        return parse_length(text)
    except UsageError as error:
        raise ValueError(str(error).removeprefix("a length ")) from None


def parse_levels(text: Any) -> Levels:
    """`--levels`: black and white from 0 to 255, and a gamma or none."""
    numbers = [_number(part) for part in str(text).split(",")]
    if len(numbers) not in (2, 3) or None in numbers:
        raise ValueError(f"must be BLACK,WHITE or BLACK,WHITE,GAMMA, such as 10,245, not {text}")
    black, white, gamma = [number or 0.0 for number in [*numbers, 1.0][:3]]
    return black, white, gamma


def parse_canvas(text: Any) -> tuple[int, int]:
    """`--canvas`: width and height in pixels."""
    found = re.fullmatch(r"(\d+)[xX×](\d+)", str(text).strip())
    if found is None:
        raise ValueError(f"must be WIDTHxHEIGHT in pixels, such as 2000x2000, not {text}")
    return int(found[1]), int(found[2])


def parse_fill(text: Any) -> float:
    """`--fill`: a percentage as a share."""
    return percentage(1, 100)(text) / 100


def percentage(least: float, most: float) -> Callable[[Any], float]:
    """A parser of percentages in that range, with the sign or without."""

    def parse(text: Any) -> float:
        number = _number(str(text).strip().removesuffix("%"))
        if number is None or not least <= number <= most:
            raise ValueError(f"must be a percentage from {least:g} to {most:g}, not {text}")
        return number

    return parse


def number_in(least: float, most: float) -> Callable[[Any], float]:
    """A parser of numbers in that range."""

    def parse(text: Any) -> float:
        number = _number(str(text))
        if number is None or not least <= number <= most:
            raise ValueError(f"must be a number from {least:g} to {most:g}, not {text}")
        return number

    return parse


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True, kw_only=True)
class EdgeChoices:
    """What is done to the matte's edges."""

    panel: ClassVar[str] = "Edges"
    min_area: Annotated[
        int,
        typer.Option(
            "--min-area",
            parser=whole_number(0),
            metavar="AREA",
            help="Remove specks: loose parts that cover fewer pixels than this. What the trimap says is foreground "
            "stays.",
        ),
    ] = 0
    fill_holes: Annotated[
        int,
        typer.Option(
            "--fill-holes",
            parser=whole_number(0),
            metavar="AREA",
            help="Fill hazy dips inside the subject of up to this many pixels. Openings that are really empty stay.",
        ),
    ] = 0
    smooth: Annotated[
        Length,
        typer.Option(
            "--smooth",
            parser=parse_edge_length,
            metavar="LENGTH",
            help="Smooth the contour: up to 200 pixels, or per cent of the diagonal such as 0.1%. The edge stays as "
            "soft as it is.",
        ),
    ] = 0.0
    levels: Annotated[
        Levels | None,
        typer.Option(
            "--levels",
            parser=parse_levels,
            metavar="BLACK,WHITE[,GAMMA]",
            help="Levels of the matte, 0 to 255, as in Photoshop: 10,245 makes faint haze 0 and near-white 1.",
        ),
    ] = None
    contrast: Annotated[
        float,
        typer.Option(
            "--contrast",
            parser=percentage(0, 99),
            metavar="PERCENT",
            help="Harden the edge: 20 is --levels with black at 10 % and white at 90 %.",
        ),
    ] = 0.0
    choke: Annotated[
        Length,
        typer.Option(
            "--choke",
            parser=parse_edge_length,
            metavar="LENGTH",
            help="Move the edge inwards, by up to 200 pixels. It stays as soft as it is.",
        ),
    ] = 0.0
    spread: Annotated[
        Length,
        typer.Option(
            "--spread",
            parser=parse_edge_length,
            metavar="LENGTH",
            help="Move the edge outwards, by up to 200 pixels.",
        ),
    ] = 0.0
    feather: Annotated[
        Length,
        typer.Option(
            "--feather",
            parser=parse_edge_length,
            metavar="LENGTH",
            help="Soften the edge inwards, so that no halo comes back; LENGTH is the sigma of the blur, up to 200 "
            "pixels.",
        ),
    ] = 0.0
    feather_both: Annotated[
        bool, typer.Option("--feather-both", help="Let --feather soften the edge outwards, too.")
    ] = False
    hair: Annotated[
        float,
        typer.Option(
            "--hair",
            parser=percentage(0, 100),
            metavar="PERCENT",
            help="How much of the hair stays. --smooth, --choke, --spread and --feather leave hair alone; --levels and "
            "--contrast change it.",
        ),
    ] = 100.0


@dataclass(frozen=True, kw_only=True)
class PlacementChoices:
    """Where the subject stands in the output, and its shadow."""

    panel: ClassVar[str] = "Placement and shadows"
    crop: Annotated[
        Literal["subject"] | None,
        typer.Option("--crop", metavar="subject", help="Cut the picture to the subject, with --margin around it."),
    ] = None
    margin: Annotated[
        Length,
        typer.Option(
            "--margin",
            parser=parse_edge_length,
            metavar="LENGTH",
            help="Free space around the subject: pixels of the output, or per cent of the canvas's diagonal, or "
            "with --crop of that of the subject's box.",
        ),
    ] = 0.0
    canvas: Annotated[
        tuple[int, int] | None,
        typer.Option(
            "--canvas",
            parser=parse_canvas,
            metavar="WxH",
            help="Size of the output in pixels, such as 2000x2000. The subject is scaled to fit.",
        ),
    ] = None
    fill: Annotated[
        float | None,
        typer.Option(
            "--fill",
            parser=parse_fill,
            metavar="PERCENT",
            help="With --canvas: the subject's share of its width or height, whichever it reaches first, such as 85%.",
        ),
    ] = None
    scale: Annotated[
        float | None,
        typer.Option(
            "--scale",
            parser=number_in(0.001, 16),
            metavar="FACTOR",
            help="Output pixels per photo pixel. With --canvas, products of several photos keep their relative sizes.",
        ),
    ] = None
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="PLACE",
            help="With --canvas: centre, mass (the centre of mass is in the middle), bottom or bottom:12% (it stands "
            "so far above the lower side), or x,y of its middle in pixels or per cent.",
        ),
    ] = "centre"
    rotate: Annotated[
        float,
        typer.Option(
            "--rotate",
            parser=number_in(-45, 45),
            metavar="DEGREES",
            help="Turn the subject clockwise, -45 to 45 degrees.",
        ),
    ] = 0.0
    sharpen: Annotated[
        float,
        typer.Option(
            "--sharpen",
            parser=percentage(0, 300),
            metavar="PERCENT",
            help="Sharpen the colours where the picture is made smaller, by --canvas or a --scale below 1.",
        ),
    ] = 0.0
    shadow: Annotated[
        Literal["keep", "contact", "drop"] | None,
        typer.Option(
            "--shadow",
            metavar="keep|contact|drop",
            help="keep: the photo's own shadow, from a near-white background. contact: a soft shadow where the subject "
            "stands. drop: a soft copy of the subject below it.",
        ),
    ] = None
    shadow_strength: Annotated[
        float,
        typer.Option("--shadow-strength", parser=percentage(0, 100), metavar="PERCENT", help="How dark the shadow is."),
    ] = 100.0


def finishing(edges: EdgeChoices, placement: PlacementChoices) -> Finishing:
    """The same for the library. Raises UsageError for options that contradict each other."""
    return Finishing(**dataclasses.asdict(edges), **dataclasses.asdict(placement))
