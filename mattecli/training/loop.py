"""The training loop: `train` reads from top to bottom, `_Run` holds what its steps share."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from mattecli.errors import DeviceError, MatteError, UsageError
from mattecli.system.process import keep_freed_memory
from mattecli.training.config import TrainConfig
from mattecli.training.distributed import Ranks
from mattecli.training.log import Journal, Line, Meter
from mattecli.training.losses import Batch, Gradients
from mattecli.training.optimizers import Optimizers
from mattecli.training.plots import draw_samples
from mattecli.training.schedule import CropPlan, Timetable, ema_decay, learning_rate_factor
from mattecli.training.state import (
    STATE,
    Position,
    check_new,
    check_resumed,
    load_state,
    save_state,
    save_weights,
    set_generators,
)
from mattecli.training.validation import Row, ValidationSet

Ending = Literal["finished", "paused", "interrupted"]


class Feed(Protocol):
    """Where batches come from: `dataset.batches` with the samples filled in; a batch's number is the data position."""

    def __call__(
        self, *, start: int, batch: Callable[[int], int], size_of: Callable[[int], int], rank: int, ranks: int
    ) -> Iterator[Batch]: ...


def train(
    config: TrainConfig,
    *,
    network: nn.Module,
    feed: Feed,
    device: torch.device,
    ranks: Ranks | None = None,
    validation: ValidationSet | None = None,
    resume: bool = False,
    pause_minutes: float | None = None,
    report: Callable[[Line], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Ending:
    """Train a network (B, 4, H, W) → (B, 1, H, W) in the run's folder until its schedule ends, or it is told to stop.

    With `resume` the run goes on from the folder's state, where there is one. It ends early after `pause_minutes` of
    this session, or when `should_stop` says so; both save the state first. `report` gets every line of the log.

    Raises UsageError when the folder holds another run, InputError for data or a folder that cannot be used,
    WeightsError for a state that does not fit, DeviceError when memory runs out, MatteError when the gradient stays
    non-finite.
    """
    if device.type == "cpu":
        keep_freed_memory()
    run = _Run(config, network, device, ranks or Ranks(), validation, report)
    if validation is not None:
        validation.check_memory(device)
    generators = run.open_folder(resume=resume)
    if run.at.progress >= 1:
        return "finished"
    with _translated_errors(run):
        batches = run.begin(feed)
        batch = next(batches)
        # Only now: loading data draws from PyTorch's generator once, which a resumed run must not notice.
        _set_generators(generators, device, seed=config.run.seed + run.ranks.rank)
        if run.at.step == 0 and config.validation.at_start:
            run.judge(batch, should_stop)
        run.meter.pause()
        while True:
            run.step(batch)
            ending = run.agree(stop=should_stop(), pause_minutes=pause_minutes)
            if run.at.step % config.run.log_every == 0:
                run.log_interval()
            if run.at.step % config.validation.every == 0 or ending == "finished":
                run.judge(batch, should_stop)
            if ending is not None or run.save_is_due:
                run.save()
            if ending is not None:
                return ending
            batch = next(batches)


@contextmanager
def _translated_errors(run: _Run) -> Iterator[None]:
    """What PyTorch raises when memory runs out, here or in a data worker, as our errors."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{run.device} ran out of memory at crops of {run.plan.size(run.at.step)} pixels, "
            f"{run.plan.stage(run.at.step).batch} at a time; lower batch (and raise accumulate) or size in [[crops]]"
        ) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DeviceError(
            f"a process that makes samples died ({str(error).splitlines()[0]}); free memory or lower workers in [data]"
        ) from error


def _set_generators(state: Tensor | None, device: torch.device, *, seed: int) -> None:
    if state is None:
        torch.manual_seed(seed)
    else:
        set_generators(state, device)


class _Run:
    """The state of a run and the parts of its loop."""

    def __init__(
        self,
        config: TrainConfig,
        network: nn.Module,
        device: torch.device,
        ranks: Ranks,
        validation: ValidationSet | None,
        report: Callable[[Line], None],
    ) -> None:
        self.config, self.device, self.ranks, self.validation = config, device, ranks, validation
        self.folder = config.run.folder
        self.journal = Journal(self.folder, writer=ranks.first, report=report)
        memory_format = torch.channels_last if config.precision.channels_last else torch.contiguous_format
        self.network = network.to(device=device, memory_format=memory_format)  # type: ignore[call-overload]
        self.network.train()
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.weights, self.averaged = _floats(self.network), _floats(self.average)
        self.optimizers = Optimizers(self.network, config.optimizer, bf16=config.precision.dtype == "bf16")
        self.gradients = Gradients(self.network, config, device, ranks)
        self.at = Position(timetable=Timetable(config.run.steps, config.run.minutes))
        self.plan = CropPlan(config.crops, lead=3 * config.workers + 8)
        self.meter = Meter(device)
        self.good_buffers = [buffer.clone() for buffer in self._buffers()]
        self.frozen = False
        self.factor = 0.0  # of the learning rates, at the last step
        self.began = self.session_began = 0.0  # until the clock starts
        self.saved = time.monotonic()
        self.save_is_due = False
        self.reserve = {"judge": 0.0, "save": 0.0}  # seconds that the end of the run will take

    def open_folder(self, *, resume: bool) -> Tensor | None:
        """Make the folder, or load its state; gives the random generators' state to go on with."""
        path = self.folder / STATE
        generators = None
        if not path.exists():
            if self.ranks.first:  # alone, for it is the one that makes the files
                check_new(self.folder, resume=resume)
        else:
            if not resume:
                raise UsageError(
                    f"{self.folder} holds a run already; go on with --resume, or take another folder by --run"
                )
            self.at, generators = load_state(
                path,
                network=self.network,
                average=self.average,
                optimizers=self.optimizers,
                ranks=self.ranks,
                device=self.device,
            )
            check_resumed(self.config, self.at)
            self.good_buffers = [buffer.clone() for buffer in self._buffers()]
            self.at.timetable = self.at.timetable.with_limits(
                self.config.run.steps,
                self.config.run.minutes,
                progress=self.at.progress,
                step=self.at.step,
                seconds=self.at.seconds,
            )
            self.plan = CropPlan(self.config.crops, lead=self.plan.lead, starts=self.at.crop_starts)
        self.journal.open(self.at.step)
        self._tell(
            "session",
            device=str(self.device),
            torch=torch.__version__,
            processes=self.ranks.world,
            parameters=sum(parameter.numel() for parameter in self.network.parameters()),
            config=self.config,
        )
        return generators

    def begin(self, feed: Feed) -> Iterator[Batch]:
        """Start the clock and the data."""
        self.session_began = time.monotonic()
        self.began = self.session_began - self.at.seconds
        self.agree(stop=False, pause_minutes=None)
        return feed(
            start=self.at.step,
            batch=lambda k: self.plan.stage(k).step_batch,
            size_of=self.plan.size,
            rank=self.ranks.rank,
            ranks=self.ranks.world,
        )

    def agree(self, *, stop: bool, pause_minutes: float | None) -> Ending | None:
        """Set progress, the same in all processes, and with it the crops to come; how the session ends, if it does."""
        now = time.monotonic()
        self.at.seconds = now - self.began
        here = self.at.timetable.progress(self.at.step, self.at.seconds, reserve=sum(self.reserve.values()))
        pause = pause_minutes is not None and now - self.session_began >= pause_minutes * 60
        late = now - self.saved > self.config.run.save_minutes * 60
        progress, stops, pauses, lates = self.ranks.agree(max(self.at.progress, here), stop, pause, late)
        self.at.progress = progress
        timetable = self.at.timetable
        self.plan.decide(self.at.step, lambda k: max(progress, timetable.progress(k, timetable.anchor_seconds)))
        self.at.crop_starts = self.plan.starts
        self.save_is_due = lates > 0 or self.at.step % self.config.run.save_every == 0
        if stops:
            return "interrupted"
        return "finished" if progress >= 1 else "paused" if pauses else None

    def step(self, batch: Batch) -> None:
        """One step of the optimizer on a batch; where the gradient is not finite, none."""
        self.meter.step_begins()
        config = self.config
        self._freeze_norms_when_due()
        self.factor = learning_rate_factor(config.optimizer, progress=self.at.progress, step=self.at.step)
        self.optimizers.set_factor(self.factor)
        losses = self.gradients.add(batch, at_once=self.plan.stage(self.at.step).batch)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.optimizer.clip or math.inf)
        bad = (~norm.isfinite()).float()
        self.optimizers.step(bad=bad)
        self.optimizers.zero_grad()
        self._update_average()
        count, _, height, width = batch["alpha"].shape
        crops = self.ranks.world * count
        self.meter.step_ends(losses, norm, bad, crops, crops * height * width)
        self.at.step += 1

    def log_interval(self) -> None:
        """One line about the steps since the last; stops a run whose gradient has not been finite for too long."""
        found = self.meter.read()
        if found is None:
            return
        self._heal_buffers(found["skipped"])
        self.at.skipped += found["skipped"]
        streak = found.pop("streak")
        stage = self.plan.stage(self.at.step - 1)
        found |= {"size": self.plan.size(self.at.step - 1), "batch": stage.step_batch * self.ranks.world}
        self._tell("step", lr=self.config.optimizer.lr * self.factor, frozen=self.frozen, **found)
        if streak >= self.config.run.bad_steps:
            raise MatteError(
                f"the gradient was not finite in {streak} steps running up to step {self.at.step}; go on from the last "
                f"save in {self.folder} by --resume with a lower lr, with clip, or with dtype fp32"
            )

    def judge(self, batch: Batch, should_stop: Callable[[], bool]) -> None:
        """Figures and pictures of the averaged weights; keep the weights when they are the best so far."""
        self.log_interval()
        began = time.monotonic()
        if self.ranks.first:
            samples = self.folder / "samples" / f"step-{self.at.step:07d}.png"
            if self.validation is None:
                draw_samples(self._batch_rows(batch), samples)
            else:
                channels_last = self.config.precision.channels_last
                judgement = self.validation.judge(
                    self.average, self.device, should_stop=should_stop, channels_last=channels_last
                )
                if judgement is not None:
                    best = judgement.sad < self.at.best
                    self.at.best = min(self.at.best, judgement.sad)
                    self._tell("validation", figures=judgement.figures, sad=judgement.sad, best=best)
                    self.journal.draw()
                    draw_samples(judgement.rows, samples)
                    if best:
                        save_weights(self.average.state_dict(), self.folder / "best.safetensors", step=self.at.step)
        self.reserve["judge"] = time.monotonic() - began
        self.meter.pause()

    def save(self) -> None:
        """The state to resume from, and light files of weights and averaged weights in 16 bits."""
        self.log_interval()
        began = time.monotonic()
        self.at.seconds = began - self.began
        save_state(
            self.folder / STATE,
            network=self.network,
            average=self.average,
            optimizers=self.optimizers,
            position=self.at,
            ranks=self.ranks,
            device=self.device,
        )
        if self.ranks.first:
            save_weights(self.network.state_dict(), self.folder / "weights.safetensors", step=self.at.step)
            save_weights(self.average.state_dict(), self.folder / "ema.safetensors", step=self.at.step)
        self.saved = time.monotonic()
        self.reserve["save"] = self.saved - began
        self._tell("saved")
        self.journal.draw()
        self.meter.pause()

    def _freeze_norms_when_due(self) -> None:
        """The running statistics of the last share of a run stay as they are and are what the norms use."""
        share = self.config.norms.freeze
        if not self.frozen and share and self.at.progress >= 1 - share:
            for module in self.network.modules():
                if "running_mean" in dict(module.named_buffers(recurse=False)):
                    module.eval()
            self.frozen = True

    def _update_average(self) -> None:
        keep = ema_decay(self.config.ema.decay, self.at.step)
        with torch.no_grad():
            torch._foreach_lerp_(self.averaged, self.weights, 1 - keep)

    def _buffers(self) -> list[Tensor]:
        modules = (self.network, self.average)
        return [buffer for module in modules for buffer in module.buffers() if buffer.is_floating_point()]

    def _heal_buffers(self, skipped: int) -> None:
        """Running statistics that a non-finite picture spoilt go back to the last good ones."""
        if not self.good_buffers:
            return
        buffers = self._buffers()
        if skipped:
            for buffer, good in zip(buffers, self.good_buffers, strict=True):
                if not bool(buffer.isfinite().all()):
                    buffer.copy_(good)
        torch._foreach_copy_(self.good_buffers, buffers)

    @torch.no_grad()
    def _batch_rows(self, batch: Batch, rows: int = 4) -> list[Row]:
        first = {name: batch[name][:rows].to(self.device) for name in ("image", "trimap", "alpha")}
        alpha = self.average(self.gradients.input(first)).float().clamp(0, 1)
        trimap = first["trimap"]
        alpha = torch.where(trimap == 0, 0.0, torch.where(trimap == 255, 1.0, alpha))
        photos, trimaps = first["image"].permute(0, 2, 3, 1).cpu().numpy(), trimap[:, 0].cpu().numpy()
        alphas, truths = alpha[:, 0].cpu().numpy(), (first["alpha"][:, 0] / 255).cpu().numpy()
        return [Row(*planes) for planes in zip(photos, trimaps, alphas, truths, strict=True)]

    def _tell(self, kind: str, **facts: Any) -> None:
        seconds = round(time.monotonic() - self.began if self.session_began else self.at.seconds, 3)
        self.journal.tell(
            {"kind": kind, "step": self.at.step, "progress": self.at.progress, "seconds": seconds} | facts
        )


def _floats(module: nn.Module) -> list[Tensor]:
    """Parameters and floating-point buffers, in the same order for equal modules."""
    return [*module.parameters(), *(buffer for buffer in module.buffers() if buffer.is_floating_point())]
