"""`matte train`: trains the network as a TOML file says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mattecli.cli.options import Device
from mattecli.cli.progress import Bar, interruptible, progress_bar
from mattecli.cli.terminal import Terminal
from mattecli.errors import MatteError, UsageError

if TYPE_CHECKING:
    import torch

    from mattecli.training.config import TrainConfig
    from mattecli.training.distributed import Processes
    from mattecli.training.loop import Ending

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What replaces the settings of the file, and how this session goes."""

    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="DIR", help="Folder for the files of the run. Default: folder in CONFIG."),
    ] = None
    max_minutes: Annotated[
        float | None,
        typer.Option(
            "--max-minutes",
            metavar="MINUTES",
            min=0.01,
            help="Fit the schedule into this time, over all sessions together, e.g. 120; steps may end it before.",
        ),
    ] = None
    pause_after: Annotated[
        float | None,
        typer.Option(
            "--pause-after",
            metavar="MINUTES",
            min=0.0,
            help="Save and end this session after this time; go on later with --resume.",
        ),
    ] = None
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="N", min=1, help="Length of the run in steps. Default: steps in CONFIG."),
    ] = None
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder, or begin one if there is none.")
    ] = False
    device: Device = "auto"
    start: Annotated[
        Path | None,
        typer.Option(
            "--start",
            metavar="CHECKPOINT",
            help="Begin with these weights instead of random ones, e.g. a2u.safetensors.",
        ),
    ] = None

    def check(self) -> None:
        """Raise UsageError for times that are not finite."""
        for option, minutes in (("--max-minutes", self.max_minutes), ("--pause-after", self.pause_after)):
            if minutes is not None and not math.isfinite(minutes):
                raise UsageError(f"{option} {minutes} is not a time; give a number of minutes, e.g. 60")

    def applied_to(self, config: TrainConfig) -> TrainConfig:
        """The settings with what the options say. Paths of options are relative to the working folder."""
        options = {"folder": self.run, "minutes": self.max_minutes, "steps": self.steps, "start": self.start}
        given = {name: value for name, value in options.items() if value is not None}
        return config.replace(run=config.run.replace(**given))


def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="The settings of the run: a train.toml, e.g. examples/train.toml.")
    ],
    *,
    options: TrainOptions,
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
    from mattecli.training.config import read_config
    from mattecli.training.distributed import joined_processes, training_device

    options.check()
    read = read_config(config)
    settings = options.applied_to(read)
    _check_start(config, settings, options)
    device = training_device(options.device)
    with joined_processes(device) as processes:
        if not processes.first:
            terminal = dataclasses.replace(terminal, quiet=True)
        if options.resume:
            settings = _with_own_start(settings, terminal)
            _warn_of_other_processes(settings.run.folder, processes, terminal)
        _say_beginning(settings, str(device), terminal, resume=options.resume)
        keep = _config_keeper(config, settings, changed=settings != read)
        ending, code = _train(config, settings, options, device, processes, terminal, keep=keep)
    _say_ending(ending, settings.run.folder, terminal, processes.world_size)
    if ending == "interrupted":
        raise typer.Exit(code)


def _train(
    path: Path,
    settings: TrainConfig,
    options: TrainOptions,
    device: torch.device,
    processes: Processes,
    terminal: Terminal,
    *,
    keep: Callable[[dict[str, Any]], None],
) -> tuple[Ending, int]:
    """Build the parts of the run and train, with a bar; the first Ctrl-C or SIGTERM saves and ends.

    `keep` is called with each line of the log first. Gives the exit code of an interrupted run, too.
    """
    from mattecli.training.build import build_loader, build_network
    from mattecli.training.loop import train as train_network
    from mattecli.training.state import STATE
    from mattecli.training.validation import ValidationSet

    pictures = settings.validation.folder if processes.first else None  # one process validates for all
    validation = ValidationSet(pictures) if pictures else None
    loader = _with_file_named(path, build_loader, settings, device)
    resumed = options.resume and (settings.run.folder / STATE).exists()  # its weights are in the state
    network = build_network(settings.replace(run=settings.run.replace(start=None)) if resumed else settings)

    def report(line: dict[str, Any]) -> None:
        keep(line)
        _show_line(line, terminal, bar)

    message = "saving, then ending; press Ctrl-C again to end without saving"
    with (
        progress_bar(terminal, "training", total=1.0, count=False) as bar,
        interruptible(terminal, message) as interrupted,
    ):
        ending = train_network(
            settings,
            network=network,
            loader=loader,
            device=device,
            processes=processes,
            validation=validation,
            resume=options.resume,
            pause_minutes=options.pause_after,
            report=report,
            should_stop=interrupted.is_set,
        )
    return ending, interrupted.exit_code


def _check_start(path: Path, settings: TrainConfig, options: TrainOptions) -> None:
    """Raise UsageError for --start beside the settings of a run that has begun, which say where it began."""
    from mattecli.system.files import same_file
    from mattecli.training.config import CONFIG
    from mattecli.training.state import STATE

    folder = settings.run.folder
    if options.start is not None and (folder / STATE).exists() and same_file(path, folder / CONFIG):
        raise UsageError(f"--start would do nothing, because the run in {folder} has begun; leave it out")


def _with_own_start(settings: TrainConfig, terminal: Terminal) -> TrainConfig:
    """The settings of a run that goes on, with the checkpoint that it began with in place of another one."""
    from mattecli.system.files import same_file
    from mattecli.training.config import CONFIG, read_config
    from mattecli.training.state import STATE

    folder, given = settings.run.folder, settings.run.start
    if not (folder / STATE).exists():
        return settings
    try:
        began = read_config(folder / CONFIG).run.start
    except MatteError:  # it is gone or not of this version, and will be written anew
        return settings
    if given == began or (given and began and same_file(given, began)):
        return settings
    if given:
        weights = began or "random weights"
        terminal.warn(
            f"{given} is not used, because the run in {folder} has begun with {weights}; to use it, choose another "
            "folder with --run"
        )
    return settings.replace(run=settings.run.replace(start=began))


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
    steps, minutes = f"{config.run.steps:,} steps", config.run.minutes
    limit = f"{minutes:g} minutes or {steps}, whichever comes first" if minutes else steps
    terminal.say(f"training on {device} for {limit}, writing to {config.run.folder}")
    if config.validation.folder is None:
        terminal.warn("no folder in [validation]: the run will not measure how good the network is on whole pictures")


def _warn_of_other_processes(folder: Path, processes: Processes, terminal: Terminal) -> None:
    """Warn where another number of processes than now saved the state in the folder."""
    from mattecli.training.state import STATE, saving_processes

    if not processes.first or not (folder / STATE).exists():
        return
    before, now = saving_processes(folder / STATE), processes.world_size
    if before != now:
        saved = f"{before} process{'es' if before > 1 else ''}"
        terminal.warn(
            f"the run in {folder} was saved by {saved} and goes on with {now}, so each step takes another number of "
            f"crops, and random numbers differ; `{_resuming(folder, before)}` goes on as before"
        )


def _resuming(folder: Path, processes: int) -> str:
    """The command that goes on with the run in a folder in so many processes."""
    from mattecli.training.config import CONFIG

    command = "matte" if processes == 1 else f"torchrun --nproc-per-node {processes} -m mattecli"
    return f"{command} train {folder / CONFIG} --resume"


def _say_ending(ending: Ending, folder: Path, terminal: Terminal, processes: int) -> None:
    from mattecli.training.log import LOG

    if ending == "finished":
        terminal.say(f"finished: {folder / 'ema.safetensors'} has the averaged weights, {folder / LOG} the figures")
    else:
        terminal.say(f"{ending}: saved to {folder}; go on with `{_resuming(folder, processes)}`")


def _config_keeper(path: Path, config: TrainConfig, *, changed: bool) -> Callable[[dict[str, Any]], None]:
    """What writes the settings into the folder of the run, when its log begins.

    Settings that were read from there are written only where options `changed` them.
    """
    from mattecli.system.files import same_file
    from mattecli.training.config import CONFIG, write_config

    def keep(line: dict[str, Any]) -> None:
        if line["kind"] == "session" and (changed or not same_file(path, config.run.folder / CONFIG)):
            write_config(config, source=str(path))

    return keep


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
    mean = line["losses"]["loss"]  # None: all steps were skipped
    loss = "unknown" if mean is None else f"{mean:.4f}"
    return (
        f"loss {loss}, {line['crops_per_second']:.1f} crops/s of {line['size']}, "
        f"waiting for data {line['waiting']:.0%}, lr {line['lr']:.2e}{skipped}"
    )


def _figures(line: dict[str, Any]) -> str:
    parts = [
        f"{f['trimaps']} SAD {f['sad']:.3f} MSE {f['mse']:.4f} Grad {f['grad']:.3f} Conn {f['conn']:.3f}"
        for f in line["figures"]
    ]
    return "; ".join(parts) + (" (best so far)" if line["best"] else "")
