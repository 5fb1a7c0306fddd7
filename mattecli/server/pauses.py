"""Pauses of a run while a pointer is down.

So strokes have the machine for themselves. The page says each second that the pointer is still down. A word that is
lost, such as the last one of a tab that crashed, holds a run for `HELD` seconds. However long the pointer is down, a
run goes on by a tile after each pause of `LONGEST` seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

HELD = 2.0  # seconds for which one word of the page holds a run
LONGEST = 5.0  # seconds of one pause at most
_STEP = 0.02


class Number(Protocol):
    """A number that two processes share."""

    value: float


@dataclass(frozen=True)
class Signals:
    """What the server tells its worker process meanwhile.

    `cancelled` is the task that is to end. Until the moment `held`, by `time.monotonic`, runs pause between tiles.
    """

    cancelled: Number
    held: Number


class Pauses:
    """The pauses of one run; `seconds` is how long they took together."""

    def __init__(
        self,
        signals: Signals,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._signals, self._clock, self._sleep = signals, clock, sleep
        self.seconds = 0.0

    def rest(self, check: Callable[[], None]) -> None:
        """Wait while the pointer is down. `check` is called often, and may end the run by raising."""
        began = self._clock()
        while self._clock() < min(self._signals.held.value, began + LONGEST):
            check()
            self._sleep(_STEP)
        self.seconds += self._clock() - began
