"""`matte train`: train the network as a TOML file says."""

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
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A train.toml, such as examples/train.toml.")],
    *,
    run: Annotated[Path | None, typer.Option("--run", metavar="DIR", help="Folder of the run.")] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option("--max-minutes", min=0.01, help="Fit the whole schedule into this time, all sessions together."),
    ] = None,
    pause_after: Annotated[
        float | None,
        typer.Option("--pause-after", min=0.0, help="Save and end this session after so many minutes; then --resume."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Length of the schedule.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder; begin one where there is none.")
    ] = False,
    device: Device = "auto",
    start: Annotated[
        Path | None, typer.Option("--start", metavar="CHECKPOINT", help="Begin with these weights, not random ones.")
    ] = None,
    terminal: Terminal,
) -> None:
    """Train the network, from scratch or from a checkpoint, as a TOML file says.

    The folder of the run gets log.jsonl, curves.png, samples/, best.safetensors
    (lowest SAD on the validation pictures), ema.safetensors and weights.safetensors
    (the averaged and the last weights), and state.pt to resume from.
    Ctrl-C saves, then ends; a second Ctrl-C ends at once.

    \b
    Examples:
      matte train train.toml
      matte train train.toml --run runs/first --max-minutes 60
      matte train train.toml --resume
      matte train train.toml --start weights/a2u_shared.safetensors --run runs/tuned
      torchrun --nproc-per-node 4 -m mattecli train train.toml
    """
    from mattecli.training.build import build_feed, build_network
    from mattecli.training.config import read_config
    from mattecli.training.distributed import joined_ranks, training_device
    from mattecli.training.kept import CONFIG
    from mattecli.training.loop import train as train_network
    from mattecli.training.validation import ValidationSet

    for option, minutes in (("--max-minutes", max_minutes), ("--pause-after", pause_after)):
        if minutes is not None and not math.isfinite(minutes):
            raise UsageError(f"{option} {minutes} is no time; give a number of minutes")
    settings = _with_options(read_config(config), run=run, minutes=max_minutes, steps=steps, start=start)
    chosen = training_device(device)
    with joined_ranks(chosen) as ranks:
        if not ranks.first:
            terminal = dataclasses.replace(terminal, quiet=True)
        _say_beginning(settings, str(chosen), terminal, resume=resume)
        pictures = settings.validation.folder if ranks.first else None  # one process judges for all
        validation = ValidationSet(pictures) if pictures else None
        feed = _naming(config, build_feed, settings, chosen)
        network = build_network(settings)
        message = "saving, then ending; press Ctrl-C again to end without saving"
        with (
            progress_bar(terminal, "training", total=1.0, count=False) as bar,
            interruptible(terminal, message) as interrupted,
        ):
            ending = train_network(
                settings,
                network=network,
                feed=feed,
                device=chosen,
                ranks=ranks,
                validation=validation,
                resume=resume,
                pause_minutes=pause_after,
                report=_keeping(config, settings, lambda line: _show_line(line, terminal, bar)),
                should_stop=interrupted.is_set,
            )
    folder = settings.run.folder
    if ending == "finished":
        terminal.say(f"finished: {folder / 'ema.safetensors'} holds the averaged weights, curves.png there the curves")
        return
    terminal.say(f"{ending}: saved to {folder}; go on with `matte train {folder / CONFIG} --resume`")
    if ending == "interrupted":
        raise typer.Exit(130)


def _with_options(config: TrainConfig, *, run: Path | None, start: Path | None, **limits: Any) -> TrainConfig:
    """Options of the command line win over the file; their paths are relative to the working folder."""
    given = {name: value for name, value in limits.items() if value is not None}
    given |= {name: value for name, value in {"folder": run, "start": start}.items() if value is not None}
    return dataclasses.replace(config, run=dataclasses.replace(config.run, **given))


def _naming(path: Path, build: Callable[..., T], *arguments: Any) -> T:
    """What `build` makes; its word about a setting with the file that holds it."""
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
    terminal.say(f"training on {device} for {limit} into {config.run.folder}")
    if config.validation.folder is None:
        terminal.warn("no [validation] folder: nothing will tell how good the network is on whole pictures")


def _keeping(
    path: Path, config: TrainConfig, report: Callable[[dict[str, Any]], None]
) -> Callable[[dict[str, Any]], None]:
    """Keep the settings in the folder of the run as soon as there is one, unless they were read there."""
    from mattecli.system.files import same_file
    from mattecli.training.kept import CONFIG, keep_config

    def keep(line: dict[str, Any]) -> None:
        if line["kind"] == "session" and not same_file(path, config.run.folder / CONFIG):
            keep_config(config, of=str(path))
        report(line)

    return keep


def _show_line(line: dict[str, Any], terminal: Terminal, bar: Bar) -> None:
    """Move the bar on, and say what is new: on a terminal the losses stand behind the bar."""
    facts = _facts(line) if line["kind"] == "step" else None
    bar.set(line["progress"], None if facts is None else f"step {line['step']:,}: {facts}")
    if line["kind"] == "validation":
        terminal.say(f"step {line['step']}: {_figures(line)}")
    elif line["kind"] == "saved":
        terminal.detail(f"step {line['step']}: state saved")
    elif facts is not None and not terminal.shows_bars:
        terminal.say(f"step {line['step']} ({line['progress']:.1%}): {facts}")


def _facts(line: dict[str, Any]) -> str:
    skipped = f", {line['skipped']} steps skipped" if line["skipped"] else ""
    return (
        f"loss {line['losses']['loss']:.4f}, {line['crops_per_second']:.1f} crops/s of {line['size']}, "
        f"waiting {line['waiting']:.0%}, lr {line['lr']:.2e}{skipped}"
    )


def _figures(line: dict[str, Any]) -> str:
    parts = [
        f"{f['trimaps']} SAD {f['sad']:.3f} MSE {f['mse']:.4f} Grad {f['grad']:.3f} Conn {f['conn']:.3f}"
        for f in line["figures"]
    ]
    return "; ".join(parts) + (" (best so far)" if line["best"] else "")
