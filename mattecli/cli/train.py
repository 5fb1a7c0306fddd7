"""`matte train`: trains the network as a TOML file says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mattecli.cli.options import Device
from mattecli.cli.progress import Bar, interruptible, progress_bar
from mattecli.cli.terminal import Terminal
from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.training.config import TrainConfig

T = TypeVar("T")


def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="The settings of the run: a train.toml, e.g. examples/train.toml.")
    ],
    *,
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
    terminal: Terminal,
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
            terminal = dataclasses.replace(terminal, quiet=True)
        _say_beginning(settings, str(chosen), terminal, resume=resume)
        pictures = settings.validation.folder if processes.first else None  # one process validates for all
        validation = ValidationSet(pictures) if pictures else None
        loader = _with_file_named(config, build_loader, settings, chosen)
        network = build_network(settings)
        message = "saving, then ending; press Ctrl-C again to end without saving"
        with (
            progress_bar(terminal, "training", total=1.0, count=False) as bar,
            interruptible(terminal, message) as interrupted,
        ):
            ending = train_network(
                settings,
                network=network,
                loader=loader,
                device=chosen,
                processes=processes,
                validation=validation,
                resume=resume,
                pause_minutes=pause_after,
                report=_with_config_written(config, settings, lambda line: _show_line(line, terminal, bar)),
                should_stop=interrupted.is_set,
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


def _say_beginning(config: TrainConfig, device: str, terminal: Terminal, *, resume: bool) -> None:
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


def _show_line(line: dict[str, Any], terminal: Terminal, bar: Bar) -> None:
    """Move the bar on, and say what is new: on a terminal the losses stand behind the bar."""
    facts = _facts(line) if line["kind"] == "step" else None
    bar.set(line["progress"], None if facts is None else f"step {line['step']:,}: {facts}")
    if line["kind"] == "validation":
        terminal.say(f"step {line['step']}: {_figures(line)}")
    elif line["kind"] == "note":
        terminal.say(line["text"])
    elif line["kind"] == "saved":
        terminal.detail(f"step {line['step']}: state saved")
    elif facts is not None and not terminal.shows_bars:
        terminal.say(f"step {line['step']} ({line['progress']:.1%}): {facts}")


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
