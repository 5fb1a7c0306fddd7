"""`matte train-samples`: look at what the network is trained with."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli.options import Json, Overwrite, whole_number
from mattecli.cli.progress import progress_bar
from mattecli.cli.terminal import Terminal
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.training.data.config import DataConfig
    from mattecli.training.data.sources import Sources

Folders = list[Path] | None


def train_samples(
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG", readable=False, help="A train.toml whose samples are shown; built-in ones if left out."
        ),
    ] = None,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The contact sheet to write; - for stdout.")
    ] = "samples.png",
    photos: Annotated[
        Folders,
        typer.Option(
            "--photos", metavar="DIR", readable=False, help="Photographs for backgrounds and textures; may be repeated."
        ),
    ] = None,
    foregrounds: Annotated[
        Folders,
        typer.Option(
            "--foregrounds",
            metavar="DIR",
            readable=False,
            help="Cut-outs: RGBA files, or NAME_photo with NAME_alpha; may be repeated.",
        ),
    ] = None,
    own: Annotated[
        Folders,
        typer.Option(
            "--own",
            metavar="DIR",
            readable=False,
            help="Your data: fg/ with alpha/, or RGBA in fg/, and bg/; may be repeated.",
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache", metavar="DIR", readable=False, help="Folder that keeps ready foregrounds for the next time."
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Only this kind of procedural foreground; may be repeated."),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", "-n", parser=whole_number(1, 1000), metavar="N", help="How many samples.")
    ] = 16,
    first: Annotated[
        int, typer.Option("--first", parser=whole_number(0), metavar="N", help="Number of the first sample.")
    ] = 0,
    size: Annotated[
        int, typer.Option("--size", parser=whole_number(32, 2048), metavar="PIXELS", help="Side of a crop in pixels.")
    ] = 320,
    seed: Annotated[
        int | None,
        typer.Option("--seed", parser=whole_number(0), metavar="N", help="The configuration's, or 0, if left out."),
    ] = None,
    columns: Annotated[
        int, typer.Option("--columns", parser=whole_number(1), metavar="N", help="Samples to a row.")
    ] = 2,
    overwrite: Overwrite = False,
    as_json: Json = False,
    terminal: Terminal,
) -> None:
    """Make a contact sheet of training samples: image, trimap, alpha and foreground colours, side by side.

    Sample N is the same picture whenever it is made with the same seed, here and in training.
    Options win over the configuration's table of data. Without any folder all is procedural.

    \b
    Examples:
      matte train-samples
      matte train-samples --photos holiday/ --foregrounds cutouts/ -o sheet.png
      matte train-samples train.toml --count 40 --size 512 --columns 1
    """
    from mattecli.imaging.image import Image
    from mattecli.imaging.write import check_output, write_image
    from mattecli.training.data.dataset import Samples
    from mattecli.training.data.sheet import make_sheet

    if output == "-" and as_json:
        raise UsageError("--json and -o - both write to standard output; name a file for the picture")
    check_output(output, overwrite=overwrite)
    data, config_seed = _configuration(config)
    folders = {"photos": photos, "foregrounds": foregrounds, "own": own}
    given: dict[str, object] = {name: tuple(map(str, paths)) for name, paths in folders.items() if paths}
    if cache is not None:
        given["cache"] = str(cache)
    if kind:
        given |= {"kinds": _only(kind), "procedural": data.procedural or 1.0, "cutouts": 0.0, "own_share": 0.0}
    try:
        samples = Samples(dataclasses.replace(data, **given), seed=config_seed if seed is None else seed)  # type: ignore[arg-type]
    except UsageError as error:
        raise UsageError(f"{config}: {error}" if config else str(error)) from error
    check_output(output, overwrite=overwrite, inputs=_inputs(samples.sources, config))
    began = time.perf_counter()
    with progress_bar(terminal, "samples", total=count) as bar:
        sheet = make_sheet(
            lambda n: samples.sample(n, size),
            range(first, first + count),
            columns=min(columns, count),
            on_done=lambda _: bar.advance(),
        )
    seconds = time.perf_counter() - began
    write_image(output, Image(sheet), overwrite=overwrite)
    facts = {
        "output": output,
        "first": first,
        "count": count,
        "size": size,
        "seed": samples.seed,
        "seconds": round(seconds, 3),
    }
    if as_json:
        terminal.data(json.dumps(facts) + "\n")
    name = "standard output" if output == "-" else output
    terminal.say(f"{name}: {count} samples of {size} pixels in {seconds:.1f} s (image, trimap, alpha, foreground)")


def _configuration(path: Path | None) -> tuple[DataConfig, int]:
    """The data's table and the seed of a train.toml, or the built-in ones."""
    if path is None:
        from mattecli.training.data.config import DataConfig

        return DataConfig(), 0
    from mattecli.training.config import read_config

    config = read_config(path)
    return config.data, config.run.seed


def _inputs(sources: Sources, config: Path | None) -> list[Path]:
    """The users' files, none of which may be written to."""
    cutouts = [files for group in sources.cutouts.values() for files in group] + sources.own
    pictures = [path for files in cutouts for path in (files.colour, files.alpha) if path is not None]
    return [*sources.photos, *pictures, *([] if config is None else [config])]


def _only(kinds: list[str]) -> dict[str, float]:
    """Weights that leave these kinds."""
    from mattecli.training.data.foregrounds import KINDS

    for name in kinds:
        if name not in KINDS:
            raise UsageError(f"--kind {name} is no kind of procedural foreground; there are {', '.join(KINDS)}")
    return dict.fromkeys(KINDS, 0.0) | dict.fromkeys(kinds, 1.0)
