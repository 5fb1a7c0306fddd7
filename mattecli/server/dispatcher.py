"""One queue of tasks for one worker process."""

from __future__ import annotations

import multiprocessing
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from mattecli.inference.options import RunOptions
from mattecli.server.pauses import HELD, Signals
from mattecli.server.tasks import LAST, Cancelled, Failed, MatteTask, Reply, Task, bug_of

PATIENCE = 1.0  # seconds that a cancelled task may take to end; then its process is killed
_STEP = 0.05


@dataclass(eq=False)
class _Process:
    """The worker process, and this side of what connects it."""

    process: BaseProcess
    connection: Connection
    signals: Signals
    ready: bool = False


@dataclass
class _Current:
    """The task that runs, and when it was cancelled."""

    task: Task
    cancelled: float | None = field(default=None)


class Dispatcher:
    """Gives tasks to a worker process, which is started at the first one, and again after it was killed.

    A newer matte of a photo takes the place of older mattes of that photo, of those that wait and of the one that runs.
    A newer proposal also takes the place of older proposals. A run that is pinned keeps its place. Tasks of other
    photos wait. `on_reply` is called for each task from a thread, with progress and in the end with one of `LAST`. Safe
    to use from threads.
    """

    def __init__(
        self, options: RunOptions, on_reply: Callable[[Task, Reply], None], *, target: Callable[..., None]
    ) -> None:
        self._options, self._on_reply, self._target = options, on_reply, target
        self._changed = threading.Condition()
        self._waiting: list[Task] = []
        self._current: _Current | None = None
        self._ending = False
        self._process: _Process | None = None
        self._held = 0.0
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._thread.start()

    def submit(self, task: Task) -> None:
        """Add a task, which takes the place of older ones."""
        with self._changed:
            replaced = [other for other in self._waiting if _replaces(task, other)]
            self._waiting = [other for other in self._waiting if other not in replaced]
            self._waiting.append(task)
            if self._current is not None and _replaces(task, self._current.task):
                self._cancel_current()
            self._changed.notify()
        for other in replaced:
            self._on_reply(other, Cancelled())

    def warm(self) -> None:
        """Start the process before there is a task, so that the first one is sooner done."""
        with self._changed:
            if self._process is None and not self._ending:
                self._process = self._spawned()

    def cancel(self, wanted: Callable[[Task], bool]) -> bool:
        """End the tasks that are wanted to end. False where there are none."""
        with self._changed:
            ended = [task for task in self._waiting if wanted(task)]
            self._waiting = [task for task in self._waiting if task not in ended]
            running = self._current is not None and wanted(self._current.task)
            if running:
                self._cancel_current()
        for task in ended:
            self._on_reply(task, Cancelled())
        return bool(ended) or running

    def keep(self, number: int, *, pinned: bool) -> bool:
        """Whether a task waits or runs and is not to end. With `pinned` no preview takes its place from now on."""
        with self._changed:
            for at, task in enumerate(self._waiting):
                if task.number == number:
                    self._waiting[at] = _pinned(task) if pinned else task
                    return True
            current = self._current
            if current is None or current.task.number != number or current.cancelled is not None:
                return False
            current.task = _pinned(current.task) if pinned else current.task
            return True

    def hold(self, down: bool) -> None:
        """Have runs pause between tiles while a pointer is down. Without another word they go on after `HELD`."""
        with self._changed:
            self._held = time.monotonic() + HELD if down else 0.0
            if self._process is not None:
                self._process.signals.held.value = self._held

    def close(self) -> None:
        """End all tasks and the process."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self.cancel(lambda _: True)
        self._thread.join()
        self._kill()

    def _cancel_current(self) -> None:
        current, process = self._current, self._process
        if current is not None and current.cancelled is None:
            current.cancelled = time.monotonic()
            if process is not None:
                process.signals.cancelled.value = current.task.number

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._ending:
                    self._changed.wait()
                if not self._waiting:
                    return
                current = self._current = _Current(self._waiting.pop(0))
            reply = self._done(current)
            with self._changed:
                self._current = None
            self._tell(current.task, reply)

    def _tell(self, task: Task, reply: Reply) -> None:
        """Tell of a reply. An error there must not end this thread, for which all tasks wait."""
        try:
            self._on_reply(task, reply)
        except Exception:
            traceback.print_exc()

    def _done(self, current: _Current) -> Reply:
        """Have the process carry out a task, and wait for its end."""
        try:
            process = self._started(current)
            if process is None:
                return Cancelled()
            process.connection.send(current.task)
            while True:
                if process.connection.poll(_STEP):
                    number, reply = process.connection.recv()
                    if number != current.task.number:
                        continue
                    if isinstance(reply, LAST):
                        return reply
                    self._tell(current.task, reply)
                if current.cancelled is not None and time.monotonic() - current.cancelled > PATIENCE:
                    self._kill()
                    return Cancelled()
        except Exception as error:
            self._kill()
            if current.cancelled is not None:
                return Cancelled()
            if not isinstance(error, EOFError | OSError):
                return Failed(bug_of(current.task, error))
            return Failed("the network's process ended suddenly, perhaps for want of memory; close other programs")

    def _started(self, current: _Current) -> _Process | None:
        """The process, ready for a task; None where the task was cancelled while it started."""
        with self._changed:
            process = self._process
            if process is None or not process.process.is_alive():
                process = self._process = self._spawned()
        while not process.ready:
            if process.connection.poll(_STEP):
                process.connection.recv()
                process.ready = True
            elif current.cancelled is not None:
                return None  # the process goes on to start, for the next task
        with self._changed:
            if current.cancelled is not None:
                return None
        return process

    def _spawned(self) -> _Process:
        context = multiprocessing.get_context("spawn")
        own, other = context.Pipe()
        signals = Signals(context.Value("q", 0, lock=False), context.Value("d", self._held, lock=False))
        child = context.Process(target=self._target, args=(other, signals, self._options), daemon=True)
        child.start()
        other.close()
        return _Process(child, own, signals)

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.process.kill()
            process.process.join()
            process.connection.close()


def _pinned(task: Task) -> Task:
    return replace(task, pinned=True) if isinstance(task, MatteTask) else task


def _replaces(new: Task, old: Task) -> bool:
    """Whether a task takes the place of an older one: a matte of mattes, and a proposal of both."""
    if new.photo != old.photo or (isinstance(new, MatteTask) and not isinstance(old, MatteTask)):
        return False
    pinned = isinstance(old, MatteTask) and old.pinned
    return not pinned or (isinstance(new, MatteTask) and new.pinned)
