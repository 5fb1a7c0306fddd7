"""A run's state on disk: one file from which it goes on exactly, and light ones that hold weights alone."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mattecli.errors import InputError, UsageError, WeightsError
from mattecli.network.checkpoint import save_a2u
from mattecli.system.files import whole_file
from mattecli.training.config import TrainConfig
from mattecli.training.distributed import Ranks
from mattecli.training.log import LOG, read_log
from mattecli.training.optimizers import Optimizers
from mattecli.training.schedule import Timetable

STATE = "state.pt"
_FORMAT = 1


@dataclass
class Position:
    """Where a run is: with the tensors, all that the next step depends on."""

    step: int = 0  # steps done, which is also the number of the next batch
    seconds: float = 0.0  # spent in all sessions
    progress: float = 0.0
    skipped: int = 0  # steps left out because their gradient was not finite
    best: float = float("inf")  # lowest mean SAD on the validation folder
    crop_starts: list[tuple[int, int]] = field(default_factory=list)  # CropPlan's decisions
    timetable: Timetable = field(default_factory=lambda: Timetable(1))


def save_state(
    path: Path,
    *,
    network: nn.Module,
    average: nn.Module,
    optimizers: Optimizers,
    position: Position,
    ranks: Ranks,
    device: torch.device,
) -> None:
    """Write everything that the run needs to go on, atomically, from the first process; all must call it.

    Raises InputError when the file cannot be written.
    """
    generators = ranks.gather(_generators(device))
    if not ranks.first:
        return
    content = {
        "format": _FORMAT,
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimizers": optimizers.state_dict(),
        "generators": generators,
        "device": device.type,
        "position": vars(position) | {"timetable": vars(position.timetable)},
    }
    _write(content, path)


def load_state(
    path: Path,
    *,
    network: nn.Module,
    average: nn.Module,
    optimizers: Optimizers,
    ranks: Ranks,
    device: torch.device,
) -> tuple[Position, Tensor | None]:
    """Put a saved state into network, average and optimizers; gives the position and this process's random generators.

    The generators (for `set_generators`) are None when the state was saved by another number of processes or on another
    kind of device: the run then goes on, but not bit by bit. Raises WeightsError when the file is damaged or belongs to
    another network or optimizer.
    """
    content = _read(path)
    try:
        network.load_state_dict(content["network"])
        average.load_state_dict(content["average"])
        optimizers.load_state_dict(content["optimizers"])
        position = dict(content["position"])
        position["timetable"] = Timetable(**position["timetable"])
        found = Position(**position)
        generators = content["generators"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{path} is the state of another network or optimizer ({_first_line(error)}); resume with the config that "
            "began the run, or begin a new one in another folder with --run"
        ) from error
    same = len(generators) == ranks.world and content["device"] == device.type
    return found, generators[ranks.rank] if same else None


def set_generators(state: Tensor, device: torch.device) -> None:
    """Set PyTorch's random generators to a state that `load_state` gave."""
    host = torch.get_rng_state().numel()
    torch.set_rng_state(state[:host])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[host:], device)


def save_weights(state: Mapping[str, Tensor], path: Path, *, step: int) -> None:
    """Write a network's tensors in 16 bits as safetensors, which `load_a2u` reads; bfloat16 where float16 overflows."""
    metadata = {"step": str(step)}
    try:
        save_a2u(state, path, metadata=metadata)
    except WeightsError:  # a variance above 65504 in the first steps; bfloat16 holds it
        save_a2u(state, path, dtype=torch.bfloat16, metadata=metadata)


def _generators(device: torch.device) -> Tensor:
    state = torch.get_rng_state()
    return torch.cat([state, torch.cuda.get_rng_state(device)]) if device.type == "cuda" else state


def _write(content: Mapping[str, Any], path: Path) -> None:
    try:
        with whole_file(path) as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:  # torch tells of a full disk by a RuntimeError
        raise InputError(f"{path} cannot be written ({_first_line(error)}); free some space there") from error


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path} is not there, so there is nothing to resume; start without --resume") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} is damaged or no state of a run; start again from ema.safetensors") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise WeightsError(
            f"{path} is no state of a run that this version can resume; start again from ema.safetensors"
        )
    return content


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".: ")


WEIGHTS = ("ema.safetensors", "best.safetensors", "weights.safetensors")  # the likeliest to train on with first


def check_new(folder: Path, *, resume: bool) -> None:
    """Raise InputError for a folder without a state in which a new run would write over an older one's log or weights.

    With `resume` a run that ended before its first save may begin anew: its log tells of no state.
    """
    found = [name for name in (LOG, *WEIGHTS) if (folder / name).exists()]
    if not found:
        return
    if resume and LOG in found and not any(line.get("kind") == "saved" for line in read_log(folder / LOG)):
        return
    weights = next((name for name in WEIGHTS if name in found), None)
    start = f", beginning with its weights by --start {folder / weights}" if weights else ""
    raise InputError(
        f"{folder} holds an older run ({', '.join(found)}) but no state to resume it from; take another folder by "
        f"--run{start}, or move what is there away"
    )


def check_resumed(config: TrainConfig, at: Position) -> None:
    """Raise UsageError for a config that a saved position cannot go on with.

    That is one with fewer stages of crops than the run has come to, and one that asks for more steps or minutes than
    the run had when it finished: its learning rate has run out by then.
    """
    folder = config.run.folder
    reached = max((stage for _, stage in at.crop_starts), default=0) + 1
    if reached > len(config.crops):
        raise UsageError(
            f"the run in {folder} has come to stage {reached} of its crops, but the config has {len(config.crops)}; "
            "resume with the [[crops]] that began it, or begin another by --run"
        )
    steps, minutes = config.run.steps, config.run.minutes
    changed = (steps, minutes) != (at.timetable.steps, at.timetable.minutes)
    more = steps > at.step and (minutes is None or minutes * 60 > at.seconds)
    if at.progress >= 1 and changed and more:
        raise UsageError(
            f"the run in {folder} finished its schedule at step {at.step} and cannot be made longer, for its learning "
            f"rate has run out; train on in another folder with --start {folder / 'ema.safetensors'} --run DIR"
        )
