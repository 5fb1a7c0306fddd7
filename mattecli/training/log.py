"""The log of a run and the rates in it.

log.jsonl has one JSON object a line, of kind session, step, validation, saved or note.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from mattecli.errors import InputError
from mattecli.system.files import remedy_of, sweep, whole_file
from mattecli.training.plots import NO_MATPLOTLIB, draw_curves

LogLine = dict[str, Any]
LOG = "log.jsonl"
CURVES = "curves.png"


class RunLog:
    """Writes the log into the run's folder and passes each line to `report`. Without `writer` it does neither."""

    def __init__(self, folder: Path, *, writer: bool, report: Callable[[LogLine], None]) -> None:
        self.folder, self.writer, self.report = folder, writer, report
        self._path = folder / LOG

    def open(self, step: int) -> None:
        """Make the folder. Remove the lines of an older log after `step`: the run will do those steps again.

        Raises InputError for a folder that cannot be written.
        """
        if not self.writer:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep(self.folder)
            older = read_log(self._path) if step and self._path.exists() else []
            with whole_file(self._path) as file:
                file.writelines(f"{json.dumps(line)}\n".encode() for line in older if line["step"] <= step)
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written ({error}); choose another folder with --run") from error

    def write(self, line: LogLine) -> None:
        """Add a line. Dataclasses, settings and paths in it become what JSON knows."""
        if not self.writer:
            return
        line = _plain(line)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise InputError(f"{self._path} cannot be written ({error.strerror}); {remedy_of(error)}") from error
        self.report(line)

    def draw_curves(self) -> str | None:
        """Draw the curves of the whole log.

        Where matplotlib is missing or the file cannot be written, draw nothing and return a sentence that says so.
        """
        if not self.writer:
            return None
        try:
            draw_curves(read_log(self._path), self.folder / CURVES)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "matplotlib":
                raise
            return NO_MATPLOTLIB
        except InputError as error:
            return str(error)
        return None


def read_log(path: Path) -> list[LogLine]:
    """The lines of a log.jsonl, without a last line that a crash cut off."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


class Meter:
    """Sums of losses, crops, pixels and waiting. They stay on the device until `read`, the only place that syncs.

    `waiting` is the share of the time in which the device waited for data. On a CPU that is the time to fetch a batch,
    on CUDA the gap on the device between the end of a step and the arrival of the next batch.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._streak = torch.zeros((), device=device)  # bad steps in a row, also across readings
        self._begin()

    def _begin(self) -> None:
        self._sums: Tensor | None = None
        self._names: list[str] = []
        self._steps = self._crops = self._pixels = 0
        self._waited = 0.0
        self._gaps: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._end: torch.cuda.Event | None = None
        self._started = time.perf_counter()
        self._idle_from = self._started

    def step_begins(self) -> None:
        """A batch has arrived."""
        if self._cuda:
            event = _event()
            if self._end is not None:
                self._gaps.append((self._end, event))
        else:
            self._waited += time.perf_counter() - self._idle_from

    def step_ends(self, losses: Mapping[str, Tensor], norm: Tensor, bad: Tensor, crops: int, pixels: int) -> None:
        """All of a step is queued. `bad` is 1 for a step that was left out; its losses do not count."""
        self._names = list(losses)
        values = torch.stack([value.detach() for value in losses.values()] + [norm])
        self._streak = (self._streak + 1) * bad
        values = torch.where(bad > 0, 0.0, values)
        values = torch.cat([values, bad[None], self._streak[None]])
        if self._sums is None:
            self._sums = values
        else:
            longest = torch.maximum(self._sums[-1], values[-1])
            self._sums = torch.cat([self._sums[:-1] + values[:-1], longest[None]])
        self._steps += 1
        self._crops += crops
        self._pixels += pixels
        if self._cuda:
            self._end = _event()
        self._idle_from = time.perf_counter()

    def pause(self) -> None:
        """Leave out the time until the next step, for a validation or a save. Call `read` before."""
        self._begin()

    def read(self) -> dict[str, Any] | None:
        """Means since the last reading, or None when there was no step; then begin again.

        Keys: losses (a dict of means), norm, crops_per_second, pixels_per_second, waiting (a share), skipped (steps),
        streak (most skipped steps in a row). Losses and norm are None where all steps were skipped.
        """
        if self._sums is None:
            return None
        *values, skipped, streak = self._sums.tolist()  # waits for the device
        seconds = max(time.perf_counter() - self._started, 1e-9)
        waited = sum(end.elapsed_time(start) for end, start in self._gaps) / 1000 if self._cuda else self._waited
        good = self._steps - skipped
        means = [value / good if good else None for value in values]
        line = {
            "losses": dict(zip(self._names, means[:-1], strict=True)),
            "norm": means[-1],
            "crops_per_second": self._crops / seconds,
            "pixels_per_second": self._pixels / seconds,
            "waiting": min(1.0, waited / seconds),
            "skipped": int(skipped),
            "streak": int(streak),
        }
        end = self._end
        self._begin()
        self._end = end  # the gap to the next step counts
        return line


def _event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event
