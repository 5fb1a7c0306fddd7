"""The options of `matte batch`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import typer

from mattecli.cli.mask_options import ResizeOption
from mattecli.cli.options import file_name, whole_number
from mattecli.cli.subject import AutoModelOption, AutoOption, KeyOption
from mattecli.errors import UsageError

NAMES = "{dir}/{stem}_{what}.png"  # as in batch.jobs, which is too heavy to import for --help


@dataclass(frozen=True)
class FailureLimit:
    """How many photos may fail: a number, or a percentage of all."""

    number: int
    percent: bool = False

    def of(self, total: int) -> int:
        """The number of that many photos."""
        return total * self.number // 100 if self.percent else self.number


def parse_failure_limit(text: Any) -> FailureLimit:
    """`--max-failures`: `20`, or `5%`."""
    found = re.fullmatch(r"(\d+)(%?)", str(text).strip())
    if found is None or (found[2] and int(found[1]) > 100):
        raise ValueError(f"must be a number or a percentage, such as 20 or 5%, not {text}")
    return FailureLimit(int(found[1]), bool(found[2]))


def parse_shard(text: Any) -> tuple[int, int]:
    """`--shard`: `3/16` is the third part of sixteen."""
    number, _, count = str(text).partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError(f"must be 1/4 to 4/4 for four machines, not {text}")
    return int(number), int(count)


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Which photos of a folder, and what the outputs are called."""

    panel: ClassVar[str] = "Photos"
    recursive: Annotated[
        bool, typer.Option("--recursive/--no-recursive", help="Take the photos of subfolders too.")
    ] = True
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="PATTERN",
            help="Names of the outputs below the output folder, from {dir}, {stem}, {name} and {what}.",
        ),
    ] = NAMES
    retry_failed: Annotated[
        Path | None,
        typer.Option(
            "--retry-failed", parser=file_name, metavar="REPORT", help="Only the photos that failed in this report."
        ),
    ] = None
    shard: Annotated[
        tuple[int, int] | None,
        typer.Option(
            "--shard", parser=parse_shard, metavar="I/N", help="Only part I of N, such as 3/16: one for each machine."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """Which trimaps or masks belong to the photos."""

    panel: ClassVar[str] = "Photos"

    trimaps: Annotated[
        str | None,
        typer.Option(
            "--trimaps",
            "-t",
            metavar="DIR|PATTERN",
            help="Folder of trimaps: for cat.jpg it holds cat.png or cat_trimap.png, for sub/cat.jpg sub/cat.png. Or a "
            'pattern such as "masks/{dir}/{stem}.png": {dir} is the photo\'s folder below IMAGES, {stem} its name '
            "without suffix, {name} with it.",
        ),
    ] = None
    masks: Annotated[
        str | None,
        typer.Option(
            "--masks",
            metavar="DIR|PATTERN",
            help="Masks, rough mattes or cut-outs in place of trimaps, which are made of them on the way: for cat.jpg "
            "cat.png or cat_mask.png.",
        ),
    ] = None
    cores: Annotated[
        str | None,
        typer.Option(
            "--cores",
            metavar="DIR|PATTERN",
            help="Masks of what is foreground for certain, whatever else is given; not every photo needs one.",
        ),
    ] = None
    garbages: Annotated[
        str | None,
        typer.Option(
            "--garbages",
            metavar="DIR|PATTERN",
            help="Masks of what is background for certain, whatever else is given; not every photo needs one.",
        ),
    ] = None
    key: KeyOption = None
    auto: AutoOption = False
    auto_model: AutoModelOption = None
    resize_trimap: ResizeOption = False
    manifest: Annotated[
        Path | None,
        typer.Option(
            "--manifest",
            parser=file_name,
            metavar="FILE",
            help="CSV (commas, semicolons or tabs) or JSON lines with image, trimap, output and background, instead of "
            "IMAGES and --trimaps. Other columns go into the report.",
        ),
    ] = None

    def base(self) -> str:
        """The option that the trimaps come from. Raises UsageError where there is none, or more than one."""
        from mattecli.cli.subject import check_auto_options

        check_auto_options(auto=self.auto, model=self.auto_model)
        sources = {
            "--trimaps": self.trimaps,
            "--masks": self.masks,
            "--key": self.key,
            "--auto": self.auto or None,
            "--manifest": self.manifest,
        }
        given = [name for name, value in sources.items() if value is not None]
        if not given:
            raise UsageError(
                "the photos need trimaps, which mark foreground white, background black and the rest grey; add "
                "--trimaps with their folder or a pattern, --masks if you have masks, --key for photos in front of a "
                "screen, --auto to let a model find the subjects, or a --manifest"
            )
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} each say where the trimaps come from; give one of them")
        if self.resize_trimap and given[0] not in ("--trimaps", "--manifest"):
            raise UsageError("--resize-trimap would do nothing without --trimaps; leave it out")
        if given[0] == "--manifest" and (self.cores is not None or self.garbages is not None):
            raise UsageError("--cores and --garbages are for a folder of photos; leave them or --manifest out")
        if self.key is not None:
            from mattecli.trimaps.sources import parse_key

            parse_key(self.key)
        return given[0]


@dataclass(frozen=True, kw_only=True)
class PhotoOptions(ListOptions, PairOptions):  # `--help` shows the fields of the last one first
    """Which photos, which trimaps, and what the outputs are called."""


@dataclass(frozen=True, kw_only=True)
class AlphaChoices:
    """Which alphas are kept for later runs."""

    panel: ClassVar[str] = "Run"
    keep_alpha: Annotated[
        bool,
        typer.Option(
            "--keep-alpha",
            help="Keep each alpha in OUT/.matte, so that a later run into the same folder, with other outputs or "
            "backgrounds, need not find it again. Photos that are done already are skipped, and nothing is kept of "
            "them. Without --precision the network computes in fp32. Alphas that are kept are taken with or without "
            "this option.",
        ),
    ] = False
    prune_alpha: Annotated[
        Literal["unused", "all"] | None,
        typer.Option(
            "--prune-alpha",
            metavar="unused|all",
            help="Only remove kept alphas: all, or those that no photo of this command needs.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class RunChoices:
    """How the run goes: what is done again, when it stops, what it reports, and where it runs."""

    panel: ClassVar[str] = "Run"
    redo: Annotated[
        bool,
        typer.Option(
            "--redo",
            help="Make again what is done already, alphas that were approved included: their approval is gone then.",
        ),
    ] = False
    compare: Annotated[
        Literal["time", "content"],
        typer.Option(
            "--compare",
            metavar="time|content",
            help="How a second run sees that an input changed: by its size and time, or by its content (slower). Give "
            "content from the first run on: what a run by time made is made again.",
        ),
    ] = "time"
    max_failures: Annotated[
        FailureLimit | None,
        typer.Option(
            "--max-failures",
            parser=parse_failure_limit,
            metavar="N|P%",
            help="Stop when more photos than this have failed, such as 20 or 5%.",
        ),
    ] = None
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            parser=file_name,
            metavar="FILE",
            help="Write a line of JSON for each photo here; `matte report` makes a page of it.",
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only show what would be done, how long the network takes at most, and the memory."
        ),
    ] = False
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option("--engine", metavar="local|ray", help="Run on this machine, or on a Ray cluster."),
    ] = "local"
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            metavar="HOST:PORT",
            help="The cluster, for --engine ray.",
            show_default="this machine's, else a new one here",
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            parser=whole_number(1),
            metavar="N",
            help="Number of processes, for --engine ray.",
            show_default="one for each GPU or machine",
        ),
    ] = None
