"""The training loop: steps, validation and saves in turn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from mattecli.errors import DeviceError, MatteError, UsageError
from mattecli.inference.torch_backend import ran_out_of_memory
from mattecli.system.process import keep_freed_memory
from mattecli.training.average import Average, FiniteBuffers
from mattecli.training.config import TrainConfig
from mattecli.training.distributed import Processes
from mattecli.training.log import LOG, LogLine, Meter, RunLog, read_log
from mattecli.training.losses import Batch, Gradients
from mattecli.training.optimizers import Optimizers
from mattecli.training.plots import draw_samples
from mattecli.training.schedule import CropPlan, Schedule, learning_rate_factor
from mattecli.training.state import (
    STATE,
    RunState,
    check_new,
    check_resumed,
    load_state,
    save_state,
    save_weights,
    set_generators,
)
from mattecli.training.validation import Row, ValidationSet, keep_known

Ending = Literal["finished", "paused", "interrupted"]


class BatchLoader(Protocol):
    """Gives batches without end: `dataset.batches` with the samples filled in, from batch number `start` on.

    That one begins with sample number `first`.
    """

    def __call__(
        self,
        *,
        start: int,
        first: int,
        batch: Callable[[int], int],
        size_of: Callable[[int], int],
        rank: int,
        world_size: int,
    ) -> Iterator[Batch]: ...


def train(
    config: TrainConfig,
    *,
    network: nn.Module,
    loader: BatchLoader,
    device: torch.device,
    processes: Processes | None = None,
    validation: ValidationSet | None = None,
    resume: bool = False,
    pause_minutes: float | None = None,
    report: Callable[[LogLine], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    curves: bool = True,
) -> Ending:
    """Train a network (B, 4, H, W) → (B, 1, H, W) in the run's folder until its schedule ends or it is told to stop.

    With `resume` the run goes on from the state in the folder, if there is one. It ends early after `pause_minutes` of
    this session or when `should_stop` returns True, and saves its state first. `report` gets every line of the log.
    `clock` gives seconds and never goes back. Without `curves`, no `curves.png` is drawn.

    Raises UsageError for a folder that holds another run, InputError for data or a folder that cannot be used,
    WeightsError for a state that does not fit, DeviceError when memory runs out, and MatteError when the gradient stays
    non-finite.
    """
    if device.type == "cpu":
        keep_freed_memory()
    with _named_exhaustion(device):
        run = _Run(config, network, device, processes or Processes(), validation, report, clock, curves)
        if validation is not None:
            validation.check_memory(device)
        generators = run.open_folder(resume=resume)
    if run.state.progress >= 1:
        return "finished" if run.validate_late(should_stop) else "interrupted"
    with _translated_errors(run):
        batches = run.begin(loader)
        batch = next(batches)
        # Not earlier: loading data draws from PyTorch's generator once, which a resumed run must not notice.
        _set_generators(generators, device, seed=config.run.seed + run.processes.rank)
        if run.lacks_validation() and not run.validate(batch, should_stop):
            return "interrupted"
        run.meter.pause()
        while True:
            run.step(batch)
            ending = run.agree(stop=should_stop(), pause_minutes=pause_minutes)
            if run.state.step % config.run.log_every == 0:
                run.log_interval()
            if ending is not None or run.save_is_due:
                run.save()
            if run.lacks_validation(ending) and not run.validate(batch, should_stop, last=ending is not None):
                ending = "interrupted"
            if ending is not None:
                return ending
            following = run.next_batch(batches, should_stop)
            if following is None:
                return "interrupted"
            batch = following


@contextmanager
def _named_exhaustion(device: torch.device) -> Iterator[None]:
    """Turn what PyTorch raises when memory runs out before the first step into our error."""
    try:
        yield
    except RuntimeError as error:
        if not ran_out_of_memory(error):
            raise
        raise DeviceError(f"{device} ran out of memory before the first step; free some of it") from error


@contextmanager
def _translated_errors(run: _Run) -> Iterator[None]:
    """Turn what PyTorch raises when memory runs out, here or in a data worker, into our errors."""
    try:
        yield
    except RuntimeError as error:
        if ran_out_of_memory(error):
            raise DeviceError(
                f"{run.device} ran out of memory at crops of {run.plan.size(run.state.step)} pixels, "
                f"{run.plan.stage(run.state.step).batch} at a time; lower batch (and raise accumulate) or size in "
                "[[crops]]"
            ) from error
        if "DataLoader worker" not in str(error) or str(error).startswith("Caught"):  # the worker lives: a bug in it
            raise
        raise DeviceError(
            f"a process that makes samples died ({str(error).splitlines()[0]}); free memory or lower workers in [data]"
        ) from error


@contextmanager
def _tried_convolutions() -> Iterator[None]:
    """On a card, let cuDNN try its ways to compute each convolution; pays where sizes repeat, as those of crops do."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _set_generators(state: Tensor | None, device: torch.device, *, seed: int) -> None:
    if state is None:
        torch.manual_seed(seed)
    else:
        set_generators(state, device)


def _told(failure: Exception | None) -> Exception:
    """The failure of this process; None stands for that of another one."""
    return failure or DeviceError("another process of this training has failed; see its message")


class _Run:
    """A run in progress: its parts, and what each part of the loop does with them."""

    def __init__(
        self,
        config: TrainConfig,
        network: nn.Module,
        device: torch.device,
        processes: Processes,
        validation: ValidationSet | None,
        report: Callable[[LogLine], None],
        clock: Callable[[], float],
        curves: bool,
    ) -> None:
        self.clock, self.curves = clock, curves
        self.config, self.device, self.processes, self.validation = config, device, processes, validation
        self.folder = config.run.folder
        self.log = RunLog(self.folder, writer=processes.first, report=report)
        memory_format = torch.channels_last if config.precision.channels_last else torch.contiguous_format
        self.network = network.to(device=device, memory_format=memory_format)  # type: ignore[call-overload]
        self.network.train()
        self.average = Average(self.network)
        self.buffers = FiniteBuffers(self.network, self.average.network)
        self.optimizers = Optimizers(self.network, config.optimizer, bf16=config.precision.dtype == "bf16")
        self.gradients = Gradients(self.network, config, device, processes)
        self.state = RunState(schedule=Schedule(config.run.steps, config.run.minutes))
        self.plan = CropPlan(config.crops, lead=3 * config.workers + 8)
        self.meter = Meter(device)
        self.frozen = False
        self.factor = 0.0  # of the learning rates, at the last step
        self.began = self.session_began = 0.0  # until the clock starts
        self.saved, self.saved_step = self.clock(), -1  # none yet in this session
        self.save_is_due = False
        self.said_no_curves = False

    def open_folder(self, *, resume: bool) -> Tensor | None:
        """Make the folder or load its state. Gives the state of the random generators to go on with."""
        path = self.folder / STATE
        generators = None
        if not path.exists():
            if self.processes.first:  # the one that makes the files
                check_new(self.folder, resume=resume)
        else:
            if not resume:
                raise UsageError(
                    f"{self.folder} already holds a run; go on with --resume, or choose another folder with --run"
                )
            self.state, generators = load_state(
                path,
                network=self.network,
                average=self.average.network,
                optimizers=self.optimizers,
                processes=self.processes,
                device=self.device,
            )
            check_resumed(self.config, self.state)
            if self.state.validated is None and self._is_validated_by_log():
                self.state.validated = self.state.step
            self.buffers.keep()
            self.state.schedule = self.state.schedule.with_limits(
                self.config.run.steps,
                self.config.run.minutes,
                progress=self.state.progress,
                step=self.state.step,
                seconds=self.state.seconds,
            )
            self.plan = CropPlan(self.config.crops, lead=self.plan.lead, starts=self.state.crop_starts)
        self.log.open(self.state.step)
        self._log(
            "session",
            device=str(self.device),
            torch=torch.__version__,
            processes=self.processes.world_size,
            parameters=sum(parameter.numel() for parameter in self.network.parameters()),
            config=self.config,
        )
        return generators

    def begin(self, loader: BatchLoader) -> Iterator[Batch]:
        """Start the clock and the data."""
        self.session_began = self.clock()
        self.began = self.session_began - self.state.seconds
        self.agree(stop=False, pause_minutes=None)
        if self.state.samples is None:  # as many as the settings of now would have taken
            self.state.samples = sum(map(self._samples_of, range(self.state.step)))
        return loader(
            start=self.state.step,
            first=self.state.samples,
            batch=lambda k: self.plan.stage(k).step_batch,
            size_of=self.plan.size,
            rank=self.processes.rank,
            world_size=self.processes.world_size,
        )

    def _samples_of(self, step: int) -> int:
        """The samples that all processes take in a step."""
        return self.processes.world_size * self.plan.stage(step).step_batch

    def next_batch(self, batches: Iterator[Batch], should_stop: Callable[[], bool]) -> Batch | None:
        """The next batch. Where it fails, here or in another process, all save first, so that no step is lost.

        None if it failed after `should_stop`: what asked to stop may have ended the workers as well.
        """
        batch, failure = None, None
        try:
            batch = next(batches)
        except Exception as error:
            failure = error
        failed, stop = self.processes.agree(failure is not None, failure is not None and should_stop())
        if not failed:
            return batch
        self.save()
        if stop:
            return None
        raise _told(failure)

    def agree(self, *, stop: bool, pause_minutes: float | None) -> Ending | None:
        """Agree with the other processes on the progress, the crops to come, and whether and how the session ends."""
        now = self.clock()
        self.state.seconds = now - self.began
        reserve = sum(self.state.reserve.values()) + self.state.reserve["save"]  # one before and one after a validation
        here = self.state.schedule.progress(self.state.step, self.state.seconds, reserve=reserve)
        pause = pause_minutes is not None and now - self.session_began >= pause_minutes * 60
        late = now - self.saved > self.config.run.save_minutes * 60
        progress, stops, pauses, lates = self.processes.agree(max(self.state.progress, here), stop, pause, late)
        self.state.progress = progress
        schedule = self.state.schedule
        self.plan.decide(self.state.step, lambda k: max(progress, schedule.progress(k, schedule.anchor_seconds)))
        self.state.crop_starts = self.plan.starts
        self.save_is_due = lates > 0 or self.state.step % self.config.run.save_every == 0
        if stops:
            return "interrupted"
        return "finished" if progress >= 1 else "paused" if pauses else None

    def step(self, batch: Batch) -> None:
        """One step of the optimizer on a batch; none if the gradient is not finite."""
        self.meter.step_begins()
        config = self.config
        self._freeze_norms_when_due()
        self.factor = learning_rate_factor(config.optimizer, progress=self.state.progress, step=self.state.step)
        self.optimizers.set_factor(self.factor)
        with _tried_convolutions():
            losses = self.gradients.add(batch, at_once=self.plan.stage(self.state.step).batch)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.optimizer.clip or math.inf)
        bad = (~norm.isfinite()).float()
        self.optimizers.step(bad=bad)
        self.optimizers.zero_grad()
        self.average.update(decay=config.ema.decay, step=self.state.step)
        count, _, height, width = batch["alpha"].shape
        crops = self.processes.world_size * count
        self.meter.step_ends(losses, norm, bad, crops, crops * height * width)
        self.state.samples = (self.state.samples or 0) + self._samples_of(self.state.step)
        self.state.step += 1

    def log_interval(self) -> None:
        """Log the steps since the last line. Raise MatteError after too many without a finite gradient in a row."""
        found = self.meter.read()
        if found is None:
            return
        if found["skipped"]:
            self.buffers.restore()
        self.buffers.keep()
        self.state.skipped += found["skipped"]
        streak = found.pop("streak")
        found |= {"size": self.plan.size(self.state.step - 1), "batch": self._samples_of(self.state.step - 1)}
        self._log("step", lr=self.config.optimizer.lr * self.factor, frozen=self.frozen, **found)
        if streak >= self.config.run.bad_steps:
            raise MatteError(
                f"the gradient was not finite in {streak} steps in a row up to step {self.state.step}; go on from the "
                f"last save in {self.folder} with --resume and a lower lr, with clip, or with dtype fp32"
            )

    def lacks_validation(self, ending: Ending | None = None) -> bool:
        """Whether a validation is due at this step and not made yet; none is made where the session is interrupted."""
        step, settings = self.state.step, self.config.validation
        due = settings.at_start if step == 0 else step % settings.every == 0 or ending == "finished"
        return due and ending != "interrupted" and self.state.validated != step

    def validate(self, batch: Batch, should_stop: Callable[[], bool], *, last: bool = False) -> bool:
        """Log figures and draw pictures of the averaged weights. Save the weights when they are the best so far.

        False if it was interrupted. The state is saved where it was interrupted or failed, for the resumed run to make
        up for it, and after the `last` of a session, which was saved before it as well.
        """
        self.log_interval()
        began = self.clock()
        judged, failure = True, None
        if self.processes.first:
            try:
                judged = self._validate_here(batch, should_stop)
            except Exception as error:
                failure = error
        figures = judged and self.validation is not None
        failed, missed, changed = self.processes.agree(failure is not None, not judged, figures)
        if failed:
            self.save()
            raise _told(failure)
        if missed:
            if self.saved_step != self.state.step:
                self.save()
            return False
        self.state.reserve["validation"] = self.clock() - began
        self.state.validated = self.state.step
        if last and changed:
            self.save()
        self.meter.pause()
        return True

    def _validate_here(self, batch: Batch, should_stop: Callable[[], bool]) -> bool:
        samples = self.folder / "samples" / f"step-{self.state.step:07d}.png"
        if self.validation is not None:
            return self._judge(self.validation, samples, should_stop)
        draw_samples(self._batch_rows(batch), samples)
        return True

    def validate_late(self, should_stop: Callable[[], bool]) -> bool:
        """The validation at the end of the schedule, if it was interrupted; False if it is so again."""
        if self.validation is None or not self.processes.first:
            return True
        samples = self.folder / "samples" / f"step-{self.state.step:07d}.png"
        return self._is_validated_by_log() or self._judge(self.validation, samples, should_stop)

    def _is_validated_by_log(self) -> bool:
        path = self.folder / LOG
        lines = read_log(path) if path.exists() else []
        return any(line["kind"] == "validation" and line["step"] == self.state.step for line in lines)

    def _judge(self, validation: ValidationSet, samples: Path, should_stop: Callable[[], bool]) -> bool:
        channels_last = self.config.precision.channels_last
        result = validation.validate(
            self.average.network, self.device, should_stop=should_stop, channels_last=channels_last
        )
        if result is None:
            return False
        if self.state.judged_on not in ("", validation.fingerprint):
            self.state.best = math.inf
            text = "the validation pictures are others than before, so the best SAD so far counts no longer"
            self._log("note", text=text)
        self.state.judged_on = validation.fingerprint
        best = result.sad < self.state.best
        draw_samples(result.rows, samples)
        if best:
            save_weights(self.average.network.state_dict(), self.folder / "best.safetensors", step=self.state.step)
            self.state.best = result.sad
        self._log("validation", figures=result.figures, sad=result.sad, best=best)  # after all that it stands for
        self.draw_curves()
        return True

    def save(self) -> None:
        """Write the state to resume from, and the weights and the averaged weights in 16 bits."""
        self.log_interval()
        began = self.clock()
        self.state.seconds = began - self.began
        save_state(
            self.folder / STATE,
            network=self.network,
            average=self.average.network,
            optimizers=self.optimizers,
            run_state=self.state,
            processes=self.processes,
            device=self.device,
        )
        if self.processes.first:
            save_weights(self.network.state_dict(), self.folder / "weights.safetensors", step=self.state.step)
            save_weights(self.average.network.state_dict(), self.folder / "ema.safetensors", step=self.state.step)
        self.saved, self.saved_step = self.clock(), self.state.step
        self.state.reserve["save"] = self.saved - began
        self._log("saved")
        self.draw_curves()
        self.meter.pause()

    def draw_curves(self) -> None:
        """Draw the curves of the log; where that is not possible, log one note a session instead."""
        reason = self.log.draw_curves() if self.curves else None
        if reason and not self.said_no_curves:
            self._log("note", text=reason)
            self.said_no_curves = True

    def _freeze_norms_when_due(self) -> None:
        """In the last share of a run the norms keep their running statistics and use them."""
        norms = self.config.norms
        if not self.frozen and norms.freeze and self.state.progress >= norms.frozen_from:
            for module in self.network.modules():
                if "running_mean" in dict(module.named_buffers(recurse=False)):
                    module.eval()
            self.frozen = True

    @torch.no_grad()
    def _batch_rows(self, batch: Batch, rows: int = 4) -> list[Row]:
        """Rows for the sample sheet from the first pictures of a batch, with the averaged weights' alpha."""
        first = {name: batch[name][:rows].to(self.device) for name in ("image", "trimap", "alpha")}
        raw = self.average.network(self.gradients.input(first)).float()[:, 0].cpu().numpy()  # (rows, S, S)
        photos, trimaps = first["image"].permute(0, 2, 3, 1).cpu().numpy(), first["trimap"][:, 0].cpu().numpy()
        truths = (first["alpha"][:, 0] / 255).cpu().numpy()
        return [Row(*planes) for planes in zip(photos, trimaps, keep_known(raw, trimaps), truths, strict=True)]

    def _log(self, kind: str, **facts: Any) -> None:
        seconds = round(self.clock() - self.began if self.session_began else self.state.seconds, 3)
        self.log.write(
            {"kind": kind, "step": self.state.step, "progress": self.state.progress, "seconds": seconds} | facts
        )
