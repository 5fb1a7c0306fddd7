"""The options of `matte composite`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli.colour_options import ColourChoices, check_colours
from mattecli.cli.output_options import (
    BACKGROUND,
    FitOption,
    LinearOption,
    OutputFolder,
    OutputSpace,
    check_composite_options,
)
from mattecli.cli.presets import PresetOption
from mattecli.compositing.outputs import background_word, parse_colour
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.compositing.colours import ColourOptions
    from mattecli.imaging.choices import Colour


@dataclass(frozen=True, kw_only=True)
class CompositeOptions:
    """The background, and how the photo is put over it."""

    background: Annotated[list[str], BACKGROUND]
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write, such as out.jpg; `-` writes to standard output.",
            show_default="PHOTO_composite.png",
        ),
    ] = None
    out_dir: OutputFolder = None
    trimap: Annotated[
        str | None,
        typer.Option(
            "--trimap",
            "-t",
            metavar="FILE",
            help="The trimap, for --min-area and --fill-holes: what it says for certain is not cleaned away.",
        ),
    ] = None
    fit: FitOption = "cover"
    around: Annotated[
        str | None,
        typer.Option(
            "--around",
            metavar="COLOUR",
            help="With --fit contain: the colour around the picture, such as black.",
            show_default="a blurred copy of the picture",
        ),
    ] = None
    linear: LinearOption = False
    output_space: OutputSpace = "keep"
    preset: PresetOption = None
    keep_colours: Annotated[
        bool,
        typer.Option(
            "--keep-colours",
            "--keep-colors",
            help="Use the photo's colours as they are, with the old background in half-transparent places.",
        ),
    ] = False


def only_background(options: CompositeOptions) -> str:
    """The one background of a folder or a preset. Raises UsageError where there are several."""
    if len(set(options.background)) > 1:
        raise UsageError(
            "several backgrounds are for one photo without [[deliver]]; run the command once for each, with another "
            "--out-dir or --name"
        )
    return options.background[0]


def check_colour_options(options: CompositeOptions, colours: ColourChoices) -> None:
    """Raise UsageError for options of colours that would do nothing."""
    clear = any(background.lower() == "transparent" for background in options.background)
    check_colours(colours, ["composite"], linear=options.linear, clear=clear)
    if options.keep_colours and (colours.colour_choke or colours.decontaminate != 100):
        raise UsageError(
            "--keep-colours uses the photo's colours, so --colour-choke and --decontaminate would do nothing; leave "
            "one of them out"
        )


def colour_options(options: CompositeOptions, colours: ColourChoices) -> ColourOptions:
    """The options of colours for the library."""
    made = colours.colour_options()
    return replace(made, decontaminate=0) if options.keep_colours else made


def targets_of(photo: str, alpha: str, options: CompositeOptions, *, as_json: bool) -> dict[str, str]:
    """The file to write for each background. Raises UsageError for options that do not go together."""
    if [photo, alpha, options.trimap, *options.background].count("-") > 1:
        raise UsageError(
            "standard input can be read only once; name a file for all but one of photo, alpha, background"
        )
    surround(options)
    for background in options.background:
        check_composite_options(background, fit=options.fit)
    targets = _targets(photo, options)
    if "-" in targets.values() and as_json:
        raise UsageError("--json and -o - both write to standard output; name a file for the picture")
    return targets


def _targets(photo: str, options: CompositeOptions) -> dict[str, str]:
    """The file for each background."""
    backgrounds = list(dict.fromkeys(options.background))
    if options.output is not None and options.out_dir is not None:
        raise UsageError("-o names one file and --out-dir a folder; give one of them")
    if len(backgrounds) > 1 and options.out_dir is None:
        raise UsageError("several backgrounds need --out-dir, where each gets a file of its own; add it")
    if options.output is not None:
        return {backgrounds[0]: options.output}
    if photo == "-":
        raise UsageError("the photo comes from standard input, which gives the output no name; add -o FILE or -o -")
    folder = Path(photo).parent if options.out_dir is None else options.out_dir
    if len(backgrounds) == 1:
        return {backgrounds[0]: str(folder / f"{Path(photo).stem}_composite.png")}
    targets = {name: str(folder / f"{Path(photo).stem}_composite_{background_word(name)}.png") for name in backgrounds}
    if len(set(targets.values())) < len(targets):
        raise UsageError("two backgrounds have the same name, and so would their files; run the command for each")
    return targets


def surround(options: CompositeOptions) -> Colour | None:
    """The colour of --around. Raises UsageError where it is not a colour, or would not be seen."""
    if options.around is None:
        return None
    if options.fit != "contain":
        raise UsageError(
            f"--around colours what --fit contain leaves free, but the fit is {options.fit}; add --fit contain"
        )
    colour = parse_colour(options.around)
    if colour is None:
        raise UsageError(f"{options.around!r} is not a colour; write '#00b140', 'rgb(0 177 64)' or a CSS colour name")
    return colour
