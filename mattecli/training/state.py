"""Saves and resumes a run's state, and saves its weights."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mattecli.errors import InputError, UsageError, WeightsError
from mattecli.inference.torch_backend import ran_out_of_memory
from mattecli.network.checkpoint import save_a2u
from mattecli.spec import TAPS
from mattecli.system.files import remedy_of, whole_file
from mattecli.training.config import TrainConfig
from mattecli.training.distributed import Processes
from mattecli.training.log import LOG, read_log
from mattecli.training.optimizers import Optimizers
from mattecli.training.schedule import Schedule

STATE = "state.pt"
WEIGHTS = ("ema.safetensors", "best.safetensors", "weights.safetensors")  # the likeliest to train on with comes first
_FORMAT = 1


@dataclass
class RunState:
    """How far a run is: with the tensors, all that the next step depends on."""

    step: int = 0  # steps done, which is also the number of the next batch
    samples: int | None = None  # seen by all processes, which is also the number of the next; None: by an older version
    seconds: float = 0.0  # in all sessions
    progress: float = 0.0  # share of the schedule that is done
    skipped: int = 0  # steps left out because their gradient was not finite
    best: float = float("inf")  # lowest mean SAD on the validation pictures
    judged_on: str = ""  # the fingerprint of these pictures; none yet, or by an older version
    validated: int | None = None  # the step of the last validation; None: there was none, or an older version saved it
    reserve: dict[str, float] = field(default_factory=lambda: {"validation": 0.0, "save": 0.0})  # seconds for the end
    crop_starts: list[tuple[int, int]] = field(default_factory=list)  # the decisions of CropPlan
    schedule: Schedule = field(default_factory=lambda: Schedule(1))

    def to_file(self) -> dict[str, Any]:
        """The plain values that a state file keeps under "position"; their names never change."""
        values = asdict(self)
        values["timetable"] = values.pop("schedule")
        return values

    @staticmethod
    def from_file(values: Mapping[str, Any]) -> RunState:
        """The state that `to_file` gave; raises KeyError or TypeError for other values."""
        values = dict(values)
        schedule = Schedule(**values.pop("timetable"))
        return RunState(**values, schedule=schedule)


def save_state(
    path: Path,
    *,
    network: nn.Module,
    average: nn.Module,
    optimizers: Optimizers,
    run_state: RunState,
    processes: Processes,
    device: torch.device,
) -> None:
    """Write everything that the run needs to go on. All processes must call it; the first one writes.

    The file is replaced as a whole or not at all. Raises InputError for a file that cannot be written.
    """
    generators = processes.gather(_generators(device))
    if not processes.first:
        return
    content = {
        "format": _FORMAT,
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimizers": optimizers.state_dict(),
        "generators": generators,
        "device": device.type,
        "position": run_state.to_file(),
    }
    _write(content, path)


def load_state(
    path: Path,
    *,
    network: nn.Module,
    average: nn.Module,
    optimizers: Optimizers,
    processes: Processes,
    device: torch.device,
) -> tuple[RunState, Tensor | None]:
    """Load a saved state into network, average and optimizers.

    Gives how far the run was, and the state of this process's random generators for `set_generators`. The latter is
    None for a state saved by another number of processes or on another kind of device: the run then goes on, but not
    bit by bit. Raises WeightsError for a file that is damaged or belongs to another network or optimizer.
    """
    content = _read(path)
    try:
        _check_upsampling(network, content["network"])
        network.load_state_dict(content["network"])
        average.load_state_dict(content["average"])
        optimizers.load_state_dict(content["optimizers"])
        found = RunState.from_file(content["position"])
        generators = content["generators"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        if ran_out_of_memory(error):
            raise
        raise WeightsError(
            f"{path} is the state of another network or optimizer ({_first_line(error)}); resume with the config that "
            "began the run, or begin a new one in another folder with --run"
        ) from error
    same = len(generators) == processes.world_size and content["device"] == device.type
    return found, generators[processes.rank] if same else None


def saving_processes(path: Path) -> int:
    """How many processes saved a state. Raises WeightsError for a file that is damaged."""
    return len(_read(path).get("generators", ()))


def set_generators(state: Tensor, device: torch.device) -> None:
    """Set PyTorch's random generators to a state that `load_state` gave."""
    host = torch.get_rng_state().numel()
    torch.set_rng_state(state[:host])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[host:], device)


def save_weights(state: Mapping[str, Tensor], path: Path, *, step: int) -> None:
    """Write a network's tensors as safetensors in float16, or in bfloat16 where a value overflows float16."""
    metadata = {"step": str(step)}
    try:
        save_a2u(state, path, metadata=metadata)
    except WeightsError:  # a variance above 65504 in the first steps
        save_a2u(state, path, dtype=torch.bfloat16, metadata=metadata)


def check_new(folder: Path, *, resume: bool) -> None:
    """Raise InputError for a folder without a state in which a new run would overwrite an older one's log or weights.

    With `resume`, a run that ended before its first save may begin again: its log has no line of kind "saved".
    """
    found = [name for name in (LOG, *WEIGHTS) if (folder / name).exists()]
    if not found:
        return
    unsaved = LOG in found and not any(line.get("kind") == "saved" for line in read_log(folder / LOG))
    if resume and unsaved:
        return
    weights = next((name for name in WEIGHTS if name in found), None)
    start = f", beginning with its weights by --start {folder / weights}" if weights else ""
    again = "add --resume to begin it again, " if unsaved else ""
    raise InputError(
        f"{folder} holds an older run ({', '.join(found)}) but no state to resume it from; {again}choose another "
        f"folder with --run{start}, or move the old files away"
    )


def check_resumed(config: TrainConfig, state: RunState) -> None:
    """Raise UsageError for a config that cannot go on from a saved state.

    Such a config has fewer stages of crops than the run has reached, asks for more steps or minutes although the run
    has finished, its learning rate having fallen to its end, or gives an unfinished run no more than it has had.
    """
    folder = config.run.folder
    reached = max((stage for _, stage in state.crop_starts), default=0) + 1
    if reached > len(config.crops):
        raise UsageError(
            f"the run in {folder} has reached stage {reached} of its crops, but the config has {len(config.crops)}; "
            "resume with the [[crops]] that began it, or begin another with --run"
        )
    steps, minutes = config.run.steps, config.run.minutes
    changed = (steps, minutes) != (state.schedule.steps, state.schedule.minutes)
    more = steps > state.step and (minutes is None or minutes * 60 > state.seconds)
    if state.progress >= 1 and changed and more:
        raise UsageError(
            f"the run in {folder} finished its schedule at step {state.step} and cannot be made longer, because its "
            f"learning rate has run out; train on in another folder with --start {folder / 'ema.safetensors'} --run DIR"
        )
    if state.progress < 1 and changed and not more:
        raise UsageError(
            f"the run in {folder} has done {state.step} steps in {state.seconds / 60:.1f} minutes already, so its "
            "learning rate would have no time to fall; give more steps or minutes, counted over all sessions together"
        )


def _check_upsampling(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Raise ValueError for a state of another upsampling whose tensors have the same names and shapes."""
    ours, theirs = network.state_dict().get(TAPS), state.get(TAPS)
    if ours is not None and theirs is not None and ours.tolist() != theirs.tolist():
        raise ValueError(f"it upsamples by the weights {theirs.tolist()}, the config by {ours.tolist()}")


def _generators(device: torch.device) -> Tensor:
    state = torch.get_rng_state()
    return torch.cat([state, torch.cuda.get_rng_state(device)]) if device.type == "cuda" else state


def _write(content: Mapping[str, Any], path: Path) -> None:
    try:
        with whole_file(path) as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:  # PyTorch reports a full disk as a RuntimeError
        remedy = remedy_of(error) if isinstance(error, OSError) else "free some space there"
        raise InputError(f"{path} cannot be written ({_first_line(error)}); {remedy}") from error


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist, so there is nothing to resume; start without --resume") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        if ran_out_of_memory(error):
            raise
        raise WeightsError(f"{path} is damaged or not the state of a run; start again from ema.safetensors") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise WeightsError(
            f"{path} is not a state that this version can resume (it reads format {_FORMAT}); "
            "start again from ema.safetensors"
        )
    return content


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".: ")
