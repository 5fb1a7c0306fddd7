"""Whether a run may begin in its folder, and whether a saved one can go on as it is told to."""

from __future__ import annotations

from pathlib import Path

from mattecli.errors import InputError, UsageError
from mattecli.training.config import TrainConfig
from mattecli.training.journal import LOG, read_log
from mattecli.training.state import Position

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
