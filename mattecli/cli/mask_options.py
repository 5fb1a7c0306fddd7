"""Options for making trimaps from masks, shared by commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from mattecli.cli.options import changed, whole_number
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.trimaps.recipe import MaskRecipe


def parse_width(text: Any) -> int | str:
    """`--erode` and `--dilate`: pixels, or per cent of the diagonal."""
    from mattecli.trimaps.widths import check_width

    try:
        return check_width(text)
    except UsageError as error:
        raise ValueError(str(error).removeprefix("a width ")) from None


def parse_band(text: Any) -> int | str:
    """`--band`: auto, or a width."""
    return "auto" if text == "auto" else parse_width(text)


BandOption = Annotated[
    str | None,
    typer.Option(
        "--band",
        parser=parse_band,
        metavar="auto|WIDTH",
        help="How far the unknown part reaches on each side of the mask's edge: pixels, per cent of the diagonal such "
        "as 1%, or auto: as the photo's hair and blur need.",
        show_default="auto; 1% without the photo",
    ),
]
ErodeOption = Annotated[
    str | None,
    typer.Option(
        "--erode",
        parser=parse_width,
        metavar="WIDTH",
        help="How far the unknown part reaches into the foreground: pixels, or per cent of the diagonal such as 0.5%. "
        "Without --band it takes the place of auto; see docs/trimaps.md.",
    ),
]
DilateOption = Annotated[
    str | None,
    typer.Option(
        "--dilate",
        parser=parse_width,
        metavar="WIDTH",
        help="How far the unknown part reaches into the background; wide enough for all hair. See --erode.",
    ),
]
SolidOption = Annotated[
    bool, typer.Option("--solid", help="Half-transparent parts inside a soft mask are foreground, not unknown.")
]


ResizeOption = Annotated[
    bool,
    typer.Option(
        "--resize-trimap",
        help="Take a trimap of another size, such as one of a small copy, and bring it to the photo's; its aspect "
        "ratio must fit.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class MaskOptions:
    """How a mask becomes a trimap, where a photo is matted from it."""

    panel: ClassVar[str] = "Masks"
    band: BandOption = None
    erode: ErodeOption = None
    dilate: DilateOption = None
    solid: SolidOption = False
    mask_fill_holes: Annotated[
        int,
        typer.Option(
            "--mask-fill-holes",
            parser=whole_number(0),
            metavar="AREA",
            help="Fill holes of the mask of up to this many pixels.",
        ),
    ] = 0
    mask_min_area: Annotated[
        int,
        typer.Option(
            "--mask-min-area",
            parser=whole_number(0),
            metavar="AREA",
            help="Leave out parts of the mask of fewer pixels than this.",
        ),
    ] = 0

    def given(self) -> list[str]:
        """The options that differ from their defaults."""
        return changed(self)

    def recipe(self) -> MaskRecipe:
        """The same for the library. Raises UsageError for options that contradict each other."""
        from mattecli.trimaps.make import check_recipe
        from mattecli.trimaps.recipe import MaskRecipe

        recipe = MaskRecipe(
            band=self.band,
            erode=self.erode,
            dilate=self.dilate,
            fill_holes=self.mask_fill_holes,
            min_area=self.mask_min_area,
            solid=self.solid,
        )
        check_recipe(recipe)
        return recipe
