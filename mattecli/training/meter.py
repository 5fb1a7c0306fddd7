"""What a run measures of itself between two lines of its log, without making the device wait at each step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Meter:
    """Sums of losses, crops, pixels and waiting; they stay on the device until `read`, the one place that syncs.

    `waiting` is the share of the time in which the device had nothing to do for want of data: on a CPU the time spent
    in fetching a batch, on CUDA the gap on the device itself between the end of a step and the arrival of its next
    batch.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._streak = torch.zeros((), device=device)  # bad steps running, kept over intervals
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
        """All of a step is queued; `bad` is 1 where it was left out, and its losses are not counted then."""
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
        """What follows until the next step (a validation, a save) is neither waiting nor training: read before it."""
        self._begin()

    def read(self) -> dict[str, Any] | None:
        """Means since the last reading, None when there was no step; then begin anew.

        Keys: losses (a dict of means), norm, crops_per_second, pixels_per_second, waiting (a share), skipped (steps),
        streak (the longest row of skipped steps).
        """
        if self._sums is None:
            return None
        *values, skipped, streak = self._sums.tolist()  # waits for the device
        seconds = max(time.perf_counter() - self._started, 1e-9)
        waited = sum(end.elapsed_time(start) for end, start in self._gaps) / 1000 if self._cuda else self._waited
        good = max(1.0, self._steps - skipped)
        means = [value / good for value in values]
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
