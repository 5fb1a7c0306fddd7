"""The options of `matte composite`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli.colour_options import ColourChoices, check_colours, has_clear
from mattecli.cli.finishing_options import EdgeChoices
from mattecli.cli.output_options import FitOption, LinearOption, OutputSpace
from mattecli.cli.presets import PresetOption
from mattecli.cli.targets import (
    BACKGROUND,
    check_fit,
    check_streams,
    different,
    files_of,
    output_file,
    words_of,
)
from mattecli.compositing.outputs import parse_colour
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.compositing.colours import ColourOptions
    from mattecli.imaging.choices import Colour, Kind


@dataclass(frozen=True, kw_only=True)
class CompositeOptions:
    """The background, and how the photo is put over it."""

    background: Annotated[list[str], BACKGROUND]
    output: Annotated[
        str | None,
        output_file("File to write, such as out.jpg; `-` writes to standard output.", default="PHOTO_composite.png"),
    ] = None
    out_dir: Annotated[
        Path | None,
        typer.Option(
            "--out-dir",
            metavar="DIR",
            help="Folder for the outputs; it is made if it does not exist. A folder of photos, a preset with "
            "\\[\\[deliver]] and several -b need it.",
        ),
    ] = None
    trimap: Annotated[
        str | None,
        typer.Option(
            "--trimap",
            "-t",
            metavar="FILE|DIR|PATTERN",
            help="The trimap, or for a folder of photos the place of theirs, for --min-area and --fill-holes: what it "
            "says for certain is not cleaned away. For folders the attention score uses it, too.",
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


def check_colour_options(options: CompositeOptions, colours: ColourChoices, kinds: Sequence[Kind]) -> None:
    """Raise UsageError for options of colours that would do nothing for these kinds of output."""
    check_colours(colours, kinds, linear=options.linear, clear=has_clear(kinds, options.background))
    if options.keep_colours and (colours.colour_choke or colours.decontaminate != 100):
        raise UsageError(
            "--keep-colours uses the photo's colours, so --colour-choke and --decontaminate would do nothing; leave "
            "one of them out"
        )


def check_trimap_option(options: CompositeOptions, edges: EdgeChoices, *, folder: bool) -> None:
    """Raise UsageError for a trimap that nothing asks for; the attention scores of a folder do."""
    if options.trimap is not None and not (folder or edges.min_area or edges.fill_holes):
        raise UsageError("--trimap would do nothing without --min-area or --fill-holes; add one, or leave it out")


def colour_options(options: CompositeOptions, colours: ColourChoices) -> ColourOptions:
    """The options of colours for the library."""
    made = colours.colour_options()
    return replace(made, decontaminate=0) if options.keep_colours else made


def targets_of(photo: str, alpha: str, options: CompositeOptions, *, as_json: bool) -> dict[str, str]:
    """The file to write for each background. Raises UsageError for options that do not go together."""
    surround(options)
    backgrounds, stem = different(options.background), Path(photo).stem
    check_fit(backgrounds, fit=options.fit)
    words = {backgrounds[0]: ""}
    if len(backgrounds) > 1:
        words = {background: f"_{word}" for word, background in words_of(backgrounds).items()}
    names = {background: f"{stem}_composite{word}.png" for background, word in words.items()}
    targets = files_of(names, photo, output=options.output, folder=options.out_dir, backgrounds=backgrounds)
    ask = "name a file for all but one of photo, alpha, background"
    check_streams([photo, alpha, options.trimap, *backgrounds], targets.values(), as_json=as_json, ask=ask)
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
