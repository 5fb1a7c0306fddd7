"""The schedule: learning rate, crops and frozen norms by progress."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mattecli.training.config import CropStage, OptimizerConfig


@dataclass(frozen=True)
class Schedule:
    """The progress, in [0, 1], of a run that ends after `steps` or after `minutes`, whichever comes first.

    The anchor is where the limits took effect: the start of the run, or the step at which it was resumed with other
    limits. From there progress goes on to 1 within the steps and the time that are left.
    """

    steps: int
    minutes: float | None = None
    anchor_progress: float = 0.0
    anchor_step: int = 0
    anchor_seconds: float = 0.0

    def progress(self, step: int, seconds: float, *, reserve: float = 0.0) -> float:
        """Share of the run done before `step`, after `seconds` in all. `reserve` seconds are left for the end."""
        share = (step - self.anchor_step) / max(1, self.steps - self.anchor_step)
        if self.minutes is not None:
            left = self.minutes * 60 - self.anchor_seconds - reserve
            share = max(share, (seconds - self.anchor_seconds) / left if left > 0 else 1.0)
        if share >= 1:  # rounding must not add a step
            return 1.0
        return self.anchor_progress + (1 - self.anchor_progress) * max(0.0, share)

    def with_limits(self, steps: int, minutes: float | None, *, progress: float, step: int, seconds: float) -> Schedule:
        """The schedule of a resumed run. With unchanged limits it is the same one, so the run goes on bit by bit."""
        if (steps, minutes) == (self.steps, self.minutes):
            return self
        return Schedule(steps, minutes, progress, step, seconds)


def learning_rate_factor(config: OptimizerConfig, *, progress: float, step: int) -> float:
    """The factor of all learning rates: a linear warm-up over steps, times a cosine to 0 or drops over progress."""
    warmup = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    if config.schedule == "cosine":
        return warmup * 0.5 * (1 + math.cos(math.pi * progress))
    return warmup * config.drop_factor ** sum(progress >= drop for drop in config.drops)


def stage_at(stages: Sequence[CropStage], progress: float) -> int:
    """The index of the crop stage at this progress."""
    return next((n for n, stage in enumerate(stages) if progress < stage.until), len(stages) - 1)


class CropPlan:
    """The stage of each batch. It is decided `lead` batches ahead, because data is made ahead, and never changes.

    All processes decide from the same progress, so they take the same samples. The decisions (`starts`) are part of a
    checkpoint, so a resumed run takes the samples that an uninterrupted one would have taken.
    """

    def __init__(self, stages: Sequence[CropStage], *, lead: int, starts: Sequence[tuple[int, int]] = ()) -> None:
        self.stages = stages
        self.lead = lead
        self.starts = list(starts)  # (first batch, index of its stage), rising
        self.decided = 0  # batches below this number are decided

    def decide(self, step: int, progress_at: Callable[[int], float]) -> None:
        """Decide all batches up to `step` + lead from the progress expected at each."""
        for batch in range(max(step, self.decided), step + self.lead + 1):
            if self.starts and batch < self.starts[-1][0]:
                continue  # decided before the checkpoint
            stage = stage_at(self.stages, progress_at(batch))
            if not self.starts or stage > self.starts[-1][1]:
                self.starts.append((batch, stage))
        self.decided = step + self.lead + 1

    def stage(self, batch: int) -> CropStage:
        """The stage of a batch that has been decided."""
        place = bisect_right(self.starts, batch, key=lambda start: start[0]) - 1
        return self.stages[self.starts[max(0, place)][1]]

    def size(self, batch: int) -> int:
        """The side of a batch's crops in pixels. The batches of a stage take its sizes in turn."""
        sizes = self.stage(batch).size
        return sizes[batch % len(sizes)]


def ema_decay(decay: float, step: int) -> float:
    """The decay after `step` updates: small at first, to forget the random start (as TensorFlow does)."""
    return min(decay, (1 + step) / (10 + step))
