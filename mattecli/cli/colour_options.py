"""Options of colours: choke, decontaminate, despill."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

import typer

from mattecli.errors import UsageError
from mattecli.imaging.choices import Colour, Kind

if TYPE_CHECKING:
    from mattecli.compositing.colours import ColourOptions

REACH = 12.0  # as in compositing.despill, which is too heavy to import for --help


def parse_percentage(text: Any) -> float:
    """A number from 0 to 100, with or without %."""
    return _number(text, "must be a percentage from 0 to 100", most=100)


def parse_pixels(text: Any) -> float:
    """A number of pixels from 0 up."""
    return _number(text, "must be a number of pixels from 0 to 200", most=200)


def parse_reach(text: Any) -> float:
    """`--despill-reach`: a number of pixels above 0."""
    pixels = _number(text, wanted := "must be a number of pixels above 0, up to 1000", most=1000)
    if pixels == 0:
        raise ValueError(f"{wanted}, not {text}")
    return pixels


def _number(text: Any, wanted: str, *, most: float) -> float:
    try:
        number = float(str(text).removesuffix("%") if most == 100 else text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise ValueError(f"{wanted}, not {text}")
    return number


def parse_screen(text: Any) -> Literal["green", "blue", "auto"] | Colour:
    """`--despill`: green, blue, auto, or the screen's colour."""
    if text in ("green", "blue", "auto"):
        return cast(Literal["green", "blue", "auto"], text)
    from mattecli.compositing.outputs import parse_colour
    from mattecli.compositing.screens import is_screen_colour

    colour = parse_colour(str(text))
    if colour is None or not is_screen_colour(colour):
        raise ValueError(
            f"must be green, blue, auto or the colour of a green or blue screen such as '#00b140', not {text}"
        )
    return colour


@dataclass(frozen=True, kw_only=True)
class ColourChoices:
    """How the colours of cut-outs, foregrounds and composites are found."""

    panel: ClassVar[str] = "Colours"
    colour_choke: Annotated[
        float,
        typer.Option(
            "--colour-choke",
            "--color-choke",
            parser=parse_pixels,
            metavar="PX",
            help="Take the edge's colours from this far inside, as if the matte were choked. The alpha stays as it is.",
            show_default="0",
        ),
    ] = 0.0
    decontaminate: Annotated[
        float,
        typer.Option(
            "--decontaminate",
            parser=parse_percentage,
            metavar="0-100",
            help="How much of the old background's colours is removed: 100 all of it, 0 none.",
            show_default="100",
        ),
    ] = 100.0
    despill: Annotated[
        Literal["green", "blue", "auto"] | Colour | None,
        typer.Option(
            "--despill",
            parser=parse_screen,
            metavar="green|blue|auto|COLOUR",
            help="Remove the light of a screen from the edge's colours. auto takes the colour that the photo shows "
            "where alpha is 0, and does nothing where that is neither green nor blue.",
        ),
    ] = None
    despill_strength: Annotated[
        float | None,
        typer.Option(
            "--despill-strength",
            parser=parse_percentage,
            metavar="0-100",
            help="With --despill: how much of the spill goes.",
            show_default="100",
        ),
    ] = None
    despill_reach: Annotated[
        float | None,
        typer.Option(
            "--despill-reach",
            parser=parse_reach,
            metavar="PX",
            help="With --despill: how far inside the edge it acts.",
            show_default=f"{REACH:.0f}",
        ),
    ] = None
    despill_restore: Annotated[
        float | None,
        typer.Option(
            "--despill-restore",
            parser=parse_percentage,
            metavar="0-100",
            help="With --despill: how much of the brightness that is lost comes back, as grey.",
            show_default="0",
        ),
    ] = None
    cutout_for: Annotated[
        Literal["white"] | None,
        typer.Option(
            "--cutout-for",
            metavar="white",
            help="With --linear: colours of transparent cut-outs that look right over white in browsers and other "
            "programs, which mix display values. Over dark backgrounds hair gets too bright.",
        ),
    ] = None

    def colour_options(self) -> ColourOptions:
        """The same for the library."""
        from mattecli.compositing.colours import ColourOptions
        from mattecli.compositing.despill import Despill

        despill = None
        if self.despill is not None:
            despill = Despill(
                screen=self.despill,
                strength=100.0 if self.despill_strength is None else self.despill_strength,
                reach=REACH if self.despill_reach is None else self.despill_reach,
                restore=self.despill_restore or 0.0,
            )
        return ColourOptions(
            choke=self.colour_choke, decontaminate=self.decontaminate, despill=despill, cutout_for=self.cutout_for
        )

    def given(self) -> list[str]:
        """The options that change colours, as they would be typed."""
        wishes = {
            "--colour-choke": self.colour_choke != 0,
            "--decontaminate": self.decontaminate != 100,
            "--despill": self.despill is not None,
            "--cutout-for": self.cutout_for is not None,
        }
        return [name for name, wish in wishes.items() if wish]


def has_clear(kinds: Collection[Kind], backgrounds: Collection[str]) -> bool:
    """Whether one of the outputs has straight colours that another program will mix."""
    return bool({"cutout", "layers"} & set(kinds)) or any(
        background.lower() == "transparent" for background in backgrounds
    )


def check_colours(choices: ColourChoices, kinds: Collection[Kind], *, linear: bool, clear: bool) -> None:
    """Raise UsageError for options of colours that would do nothing for these kinds of output."""
    given = choices.given()
    if linear:
        given.append("--linear")
    if given and not set(kinds) - {"alpha"}:
        raise UsageError(
            f"{' and '.join(given)} would do nothing, because only an alpha is written, which has no colours; add "
            "--what cutout or -b, or leave it out"
        )
    details = ("strength", "reach", "restore")
    of_despill = [f"--despill-{name}" for name in details if getattr(choices, f"despill_{name}") is not None]
    if of_despill and choices.despill is None:
        raise UsageError(f"{' and '.join(of_despill)} would do nothing without --despill; add it, or leave it out")
    if choices.colour_choke and choices.decontaminate == 0:
        raise UsageError(
            "--colour-choke would do nothing with --decontaminate 0, which keeps the photo's colours; leave one of "
            "them out"
        )
    if choices.cutout_for is not None and not clear:
        raise UsageError(
            "--cutout-for would do nothing, because no transparent output is written; add -b transparent, or leave "
            "it out"
        )
    if choices.cutout_for is not None and not linear:
        raise UsageError("--cutout-for is for colours that are estimated in light; add --linear, or leave it out")
