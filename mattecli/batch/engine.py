"""Many photos in one process: some are read ahead and some written behind while the network works on one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Queue, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from mattecli.batch.jobs import Job
from mattecli.batch.work import Line, Loaded, Worker, failure
from mattecli.system.memory import free_bytes

MOST_PIXELS = 64_000_000  # in flight at a time
PIXEL_BYTES = 40  # of a photo in flight: 16-bit RGB, trimap, alpha, and the colours of a cut-out while it is written
PART = 0.1  # of the free memory that photos in flight may take; the network needs the rest


def run_jobs(
    jobs: Sequence[Job],
    worker: Worker,
    *,
    on_done: Callable[[Line], None],
    on_load: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
    readers: int | None = None,
    writers: int | None = None,
) -> None:
    """Do the jobs; `on_done` hears of each in the caller's thread, in the order in which they end; `on_load` of the
    device that the network runs on.

    A job that fails is a line with its reason. Once `stop` is set no further photo is begun: what is being matted is
    finished and written, what is only read is dropped. An error of the whole batch (weights, device), or one that
    `on_done` raises, ends it after the same cleaning up.

    The network runs in the caller's thread and is loaded when there is something to matte; `readers` and `writers` are
    threads, a quarter of the cores each if not given.
    """
    threads = max(1, min(8, (os.cpu_count() or 1) // 4))
    line = _AssemblyLine(jobs, worker, stop or threading.Event(), readers or threads, writers or threads)
    try:
        ready = False
        for item in line.items():
            if not isinstance(item, Loaded):
                on_done(item)
            elif line.stopped:
                line.drop(item)
            else:
                if not ready:
                    worker.load()
                    ready = True
                    if on_load is not None:
                        on_load(worker.predictor.load().device)
                line.pass_on(item)
            for done in line.written():
                on_done(done)
        line.finish()
        for done in line.written():
            on_done(done)
    finally:
        line.close()


class _AssemblyLine:
    """Threads that read and write, and the bounded queues between them and the one that mattes."""

    def __init__(self, jobs: Sequence[Job], worker: Worker, stop: threading.Event, readers: int, writers: int) -> None:
        self._jobs, self._worker, self._stop = iter(jobs), worker, stop
        self._next_job = threading.Lock()
        self._halted = threading.Event()
        self._room = _Room(lambda: self.stopped)
        self._read: Queue[Loaded | Line | None] = Queue(readers)  # None: a reader has ended
        self._to_write: Queue[tuple[Loaded, NDArray[np.float32], Line] | None] = Queue(writers)  # None: end
        self._done: SimpleQueue[Line] = SimpleQueue()
        self._reading = readers
        self._readers = [threading.Thread(target=self._read_jobs, name="matte-reader") for _ in range(readers)]
        self._writers = [threading.Thread(target=self._write_jobs, name="matte-writer") for _ in range(writers)]
        for thread in (*self._readers, *self._writers):
            thread.start()

    @property
    def stopped(self) -> bool:
        """Whether no further photo is to be begun."""
        return self._stop.is_set() or self._halted.is_set()

    def items(self) -> Iterator[Loaded | Line]:
        """Photos to matte, and lines of those that were done before or failed, until the readers have ended."""
        while self._reading:
            item = self._read.get()
            if item is None:
                self._reading -= 1
            else:
                yield item

    def pass_on(self, loaded: Loaded) -> None:
        """Matte a photo and hand it to the writers."""
        try:
            alpha, facts = self._worker.matte(loaded)
        except Exception as error:
            self._done.put(failure(loaded.pending.job, error))
            self.drop(loaded)
        else:
            self._to_write.put((loaded, alpha, facts))

    def drop(self, loaded: Loaded) -> None:
        """Let a photo go."""
        self._room.give_back(loaded.pending.pixels)

    def written(self) -> Iterator[Line]:
        """The lines that have come from the writers."""
        while not self._done.empty():
            yield self._done.get()

    def finish(self) -> None:
        """Wait for the writers."""
        for _ in self._writers:
            self._to_write.put(None)
        for thread in self._writers:
            thread.join()
        self._writers.clear()

    def close(self) -> None:
        """End all threads, whatever has happened."""
        self._halted.set()
        for item in self.items():
            if isinstance(item, Loaded):
                self.drop(item)
        self.finish()
        for thread in self._readers:
            thread.join()

    def _read_jobs(self) -> None:
        while not self.stopped:
            with self._next_job:
                job = next(self._jobs, None)
            if job is None:
                break
            item = self._read_one(job)
            if item is not None:
                self._read.put(item)
        self._read.put(None)

    def _read_one(self, job: Job) -> Loaded | Line | None:
        taken = 0
        try:
            pending = self._worker.prepare(job)
            if isinstance(pending, dict):
                return pending
            if not self._room.take(pending.pixels):
                return None
            taken = pending.pixels
            return self._worker.read(pending)
        except Exception as error:
            self._room.give_back(taken)
            return failure(job, error)

    def _write_jobs(self) -> None:
        while (item := self._to_write.get()) is not None:
            loaded, alpha, facts = item
            try:
                line = self._worker.write(loaded, alpha, facts)
            except Exception as error:
                line = failure(loaded.pending.job, error)
            self.drop(loaded)
            self._done.put(line)
            del item, loaded, alpha  # not to be held while waiting for the next


class _Room:
    """How many pixels may be in flight; a photo that is larger than all of it goes alone."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self._most = min(MOST_PIXELS, int(free_bytes() * PART / PIXEL_BYTES))
        self._stopped = stopped
        self._used = 0
        self._changed = threading.Condition()

    def take(self, pixels: int) -> bool:
        """Wait until there is room; False when the batch is stopped before."""
        with self._changed:
            while self._used and self._used + pixels > self._most:
                if self._stopped():
                    return False
                self._changed.wait(timeout=0.5)  # nobody tells this that the batch was stopped
            self._used += pixels
            return True

    def give_back(self, pixels: int) -> None:
        """Let a photo's pixels go."""
        with self._changed:
            self._used -= pixels
            self._changed.notify_all()
