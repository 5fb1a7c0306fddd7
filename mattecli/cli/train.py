"""`matte train`: train the network with the settings of a TOML file."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mattecli.cli import terminal
from mattecli.cli.options import Debug, Device, Quiet, Verbose
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from mattecli.training.config import TrainConfig

T = TypeVar("T")


def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="The settings of the run: a train.toml, e.g. examples/train.toml.")
    ],
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="DIR", help="Folder for the files of the run. Default: folder in CONFIG."),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            "--max-minutes",
            metavar="MINUTES",
            min=0.01,
            help="Fit the whole schedule into this time, over all sessions together, e.g. 120.",
        ),
    ] = None,
    pause_after: Annotated[
        float | None,
        typer.Option(
            "--pause-after",
            metavar="MINUTES",
            min=0.0,
            help="Save and end this session after this time; go on later with --resume.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="N", min=1, help="Length of the run in steps. Default: steps in CONFIG."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder, or begin one if there is none.")
    ] = False,
    device: Device = "auto",
    start: Annotated[
        Path | None,
        typer.Option(
            "--start",
            metavar="CHECKPOINT",
            help="Begin with these weights instead of random ones, e.g. a2u.safetensors.",
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Train the network with the settings of a TOML file, from random weights or from a checkpoint.

    The folder of the run gets log.jsonl, curves.png, samples/, best.safetensors
    (lowest error, SAD, on the validation pictures), ema.safetensors and
    weights.safetensors (the averaged and the last weights), and state.pt to resume from.
    Ctrl-C saves and then ends; a second Ctrl-C ends at once.

    \b
    Examples:
      matte train train.toml
      matte train train.toml --run runs/first --max-minutes 60
      matte train train.toml --resume
      matte train train.toml --start weights/a2u_shared.safetensors --run runs/tuned
      torchrun --nproc-per-node 4 -m mattecli train train.toml
    """
    from mattecli.training.build import build_loader, build_network
    from mattecli.training.config import CONFIG, read_config
    from mattecli.training.distributed import joined_processes, training_device
    from mattecli.training.log import LOG
    from mattecli.training.loop import train as train_network
    from mattecli.training.validation import ValidationSet

    for option, minutes in (("--max-minutes", max_minutes), ("--pause-after", pause_after)):
        if minutes is not None and not math.isfinite(minutes):
            raise UsageError(f"{option} {minutes} is not a time; give a number of minutes, e.g. 60")
    settings = _with_options(read_config(config), run=run, minutes=max_minutes, steps=steps, start=start)
    chosen = training_device(device)
    with joined_processes(chosen) as processes:
        if not processes.first:
            terminal.set_quiet(True)
        _say_beginning(settings, str(chosen), resume=resume)
        pictures = settings.validation.folder if processes.first else None  # one process validates for all
        validation = ValidationSet(pictures) if pictures else None
        loader = _with_file_named(config, build_loader, settings, chosen)
        network = build_network(settings)
        with _shown_lines() as report, _asked_to_stop() as should_stop:
            ending = train_network(
                settings,
                network=network,
                loader=loader,
                device=chosen,
                processes=processes,
                validation=validation,
                resume=resume,
                pause_minutes=pause_after,
                report=_with_config_written(config, settings, report),
                should_stop=should_stop,
            )
    folder = settings.run.folder
    if ending == "finished":
        terminal.say(f"finished: {folder / 'ema.safetensors'} has the averaged weights, {folder / LOG} the figures")
        return
    terminal.say(f"{ending}: saved to {folder}; go on with `matte train {folder / CONFIG} --resume`")
    if ending == "interrupted":
        raise typer.Exit(130)


def _with_options(config: TrainConfig, *, run: Path | None, start: Path | None, **limits: Any) -> TrainConfig:
    """The settings with what the options say. Their paths are relative to the working folder."""
    given = {name: value for name, value in limits.items() if value is not None}
    given |= {name: value for name, value in {"folder": run, "start": start}.items() if value is not None}
    return config.replace(run=config.run.replace(**given))


def _with_file_named(path: Path, build: Callable[..., T], *arguments: Any) -> T:
    """Call `build`; name the file in its errors about settings."""
    try:
        return build(*arguments)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _say_beginning(config: TrainConfig, device: str, *, resume: bool) -> None:
    from mattecli.training.state import STATE

    there = (config.run.folder / STATE).exists()
    if resume:
        doing = "going on with" if there else "nothing to resume yet, beginning"
        terminal.say(f"{doing} the run in {config.run.folder}")
    limit = f"{config.run.minutes:g} minutes" if config.run.minutes else f"{config.run.steps:,} steps"
    terminal.say(f"training on {device} for {limit}, writing to {config.run.folder}")
    if config.validation.folder is None:
        terminal.warn("no folder in [validation]: the run will not measure how good the network is on whole pictures")


def _with_config_written(
    path: Path, config: TrainConfig, report: Callable[[dict[str, Any]], None]
) -> Callable[[dict[str, Any]], None]:
    """`report` that also writes the settings into the folder of the run, unless they were read from there."""
    from mattecli.system.files import same_file
    from mattecli.training.config import CONFIG, write_config

    def write_and_report(line: dict[str, Any]) -> None:
        if line["kind"] == "session" and not same_file(path, config.run.folder / CONFIG):
            write_config(config, source=str(path))
        report(line)

    return write_and_report


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM ask the loop to save and end. A second Ctrl-C ends at once."""
    asked = False

    def ask(number: int, _: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True
        os.write(2, b"\nsaving, then ending; press Ctrl-C again to end without saving\n")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown_lines() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show the log: a progress bar with figures on a terminal, a line for each entry elsewhere."""
    if terminal.quiet or not sys.stderr.isatty():
        yield lambda line: _say_line(line)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = [
        TextColumn("step {task.fields[step]:,}"),
        BarColumn(),
        TextColumn("{task.percentage:>4.1f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[facts]}"),
    ]
    with Progress(*columns, console=terminal.console()) as progress:
        task = progress.add_task("train", total=1.0, step=0, facts="making the first samples")
        yield lambda line: _show_line(progress, task, line)


def _show_line(progress: Progress, task: Any, line: dict[str, Any]) -> None:
    progress.update(task, completed=line["progress"], step=line["step"])
    if line["kind"] == "step":
        progress.update(task, facts=_facts(line))
    elif line["kind"] == "validation":
        progress.console.print(f"step {line['step']:,}: {_figures(line)}")
    elif line["kind"] == "note":
        progress.console.print(line["text"])


def _say_line(line: dict[str, Any]) -> None:
    if line["kind"] == "step":
        terminal.say(f"step {line['step']} ({line['progress']:.1%}): {_facts(line)}")
    elif line["kind"] == "validation":
        terminal.say(f"step {line['step']}: {_figures(line)}")
    elif line["kind"] == "saved":
        terminal.detail(f"step {line['step']}: state saved")
    elif line["kind"] == "note":
        terminal.say(line["text"])


def _facts(line: dict[str, Any]) -> str:
    skipped = f", {line['skipped']} steps skipped" if line["skipped"] else ""
    return (
        f"loss {line['losses']['loss']:.4f}, {line['crops_per_second']:.1f} crops/s of {line['size']}, "
        f"waiting for data {line['waiting']:.0%}, lr {line['lr']:.2e}{skipped}"
    )


def _figures(line: dict[str, Any]) -> str:
    parts = [
        f"{f['trimaps']} SAD {f['sad']:.3f} MSE {f['mse']:.4f} Grad {f['grad']:.3f} Conn {f['conn']:.3f}"
        for f in line["figures"]
    ]
    return "; ".join(parts) + (" (best so far)" if line["best"] else "")
