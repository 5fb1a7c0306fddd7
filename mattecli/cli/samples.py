"""`matte train-samples`: look at what the network is trained with."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mattecli.cli.options import Json, Overwrite, whole_number
from mattecli.cli.progress import progress_bar
from mattecli.cli.terminal import Terminal
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.training.data.config import DataConfig
    from mattecli.training.data.dataset import Samples
    from mattecli.training.data.sources import Sources

Folders = list[Path] | None


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Which samples are shown, what they are made of, and where the sheet goes."""

    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The contact sheet to write, e.g. sheet.png; - writes it to stdout."
        ),
    ] = "samples.png"
    photos: Annotated[
        Folders,
        typer.Option(
            "--photos",
            metavar="DIR",
            help="A folder of photographs, for backgrounds and textures. Can be given several times.",
        ),
    ] = None
    foregrounds: Annotated[
        Folders,
        typer.Option(
            "--foregrounds",
            metavar="DIR",
            help="A folder of cut-outs: RGBA files, or pairs NAME_photo and NAME_alpha. Can be given several times.",
        ),
    ] = None
    own: Annotated[
        Folders,
        typer.Option(
            "--own",
            metavar="DIR",
            help="A folder of your own data: fg/ with alpha/ (or RGBA files in fg/), and bg/. "
            "Can be given several times.",
        ),
    ] = None
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="A folder that keeps finished foregrounds for the next time."),
    ] = None
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Show only this kind of generated foreground, e.g. hair. Can be given several times.",
        ),
    ] = None
    count: Annotated[
        int,
        typer.Option("--count", "-n", parser=whole_number(1, 1000), metavar="N", help="Number of samples, 1 to 1000."),
    ] = 16
    first: Annotated[
        int, typer.Option("--first", parser=whole_number(0), metavar="N", help="Number of the first sample.")
    ] = 0
    size: Annotated[
        int,
        typer.Option(
            "--size", parser=whole_number(32, 2048), metavar="PIXELS", help="Side of each sample, 32 to 2048 pixels."
        ),
    ] = 320
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            parser=whole_number(0),
            metavar="N",
            help="Seed of the random choices. Default: the one in CONFIG, or 0.",
        ),
    ] = None
    columns: Annotated[
        int, typer.Option("--columns", parser=whole_number(1), metavar="N", help="Samples in each row.")
    ] = 2

    def settings(self) -> dict[str, object]:
        """The keys of [data] that the options replace."""
        folders = {"photos": self.photos, "foregrounds": self.foregrounds, "own": self.own}
        given: dict[str, object] = {name: tuple(map(str, paths)) for name, paths in folders.items() if paths}
        return given if self.cache is None else given | {"cache": str(self.cache)}


def train_samples(
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG",
            help="A train.toml: show the samples of its \\[data] table. "  # \\[: not Rich's markup
            "Without it, show those of the default settings.",
        ),
    ] = None,
    *,
    options: SampleOptions,
    overwrite: Overwrite = False,
    as_json: Json = False,
    terminal: Terminal,
) -> None:
    """Make a contact sheet of training samples: image, trimap, alpha and foreground colours, side by side.

    Sample N of a seed is always the same picture, here and in training.
    Options replace what CONFIG says. Without any folder, the program generates all pictures.

    \b
    Examples:
      matte train-samples
      matte train-samples --photos holiday/ --foregrounds cutouts/ -o sheet.png
      matte train-samples train.toml --count 40 --size 512 --columns 1
    """
    from mattecli.imaging.image import Image
    from mattecli.imaging.write import check_output, write_image
    from mattecli.training.plots import contact_sheet

    output, count, size = options.output, options.count, options.size
    if output == "-" and as_json:
        raise UsageError("--json and -o - both write to standard output; name a file for the picture")
    check_output(output, overwrite=overwrite)
    samples = _samples(config, options)
    check_output(output, overwrite=overwrite, inputs=_inputs(samples.sources, config))
    began = time.perf_counter()
    made = []
    with progress_bar(terminal, "samples", total=count) as bar:
        for number in range(options.first, options.first + count):
            made.append(samples.sample(number, size))
            bar.advance()
    seconds = time.perf_counter() - began
    write_image(output, Image(contact_sheet(made, columns=min(options.columns, count))), overwrite=overwrite)
    if as_json:
        facts = {"output": output, "first": options.first, "count": count, "size": size, "seed": samples.seed}
        terminal.data(json.dumps(facts | {"seconds": round(seconds, 3)}) + "\n")
    name = "standard output" if output == "-" else output
    terminal.say(f"{name}: {count} samples of {size} pixels in {seconds:.1f} s (image, trimap, alpha, foreground)")


def _samples(config: Path | None, options: SampleOptions) -> Samples:
    """The samples of a train.toml or of the default settings, with what the options say."""
    from mattecli.training.data.dataset import Samples

    data, config_seed = _configuration(config)
    given = options.settings()
    if options.kind:
        given |= {"kinds": _only(options.kind), "procedural": data.procedural or 1.0, "cutouts": 0.0, "own_share": 0.0}
    try:
        return Samples(data.replace(**given), seed=config_seed if options.seed is None else options.seed)
    except UsageError as error:
        raise UsageError(f"{config}: {error}" if config else str(error)) from error


def _configuration(path: Path | None) -> tuple[DataConfig, int]:
    """The [data] table and the seed of a train.toml, or the default ones."""
    if path is None:
        from mattecli.training.data.config import DataConfig

        return DataConfig(), 0
    from mattecli.training.config import read_config

    config = read_config(path)
    return config.data, config.run.seed


def _inputs(sources: Sources, config: Path | None) -> list[Path]:
    """The files of the user, none of which may be written to."""
    cutouts = [files for group in sources.cutouts.values() for files in group] + sources.own
    pictures = [path for files in cutouts for path in (files.colour, files.alpha) if path is not None]
    return [*sources.photos, *pictures, *([] if config is None else [config])]


def _only(kinds: list[str]) -> dict[str, float]:
    """Weights that leave only these kinds."""
    from mattecli.training.data.foregrounds import KINDS

    for name in kinds:
        if name not in KINDS:
            raise UsageError(f"--kind {name} is not a kind of generated foreground; choose from {', '.join(KINDS)}")
    return dict.fromkeys(KINDS, 0.0) | dict.fromkeys(kinds, 1.0)
