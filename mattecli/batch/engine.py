"""Runs many photos in one process; reading and writing overlap."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from queue import Queue, SimpleQueue

from mattecli.batch.worker import ReadJob, Todo, Worker
from mattecli.system.files import met_full_disk
from mattecli.system.memory import free_bytes
from mattecli.work.job import Matte
from mattecli.work.outcome import Failed, Job, Outcome, Skipped

MOST_PIXELS = 64_000_000  # in flight at a time
PIXEL_BYTES = 40  # of a photo in flight: 16-bit RGB, trimap, alpha, and the colours of a cut-out while it is written
PART = 0.1  # of the free memory that photos in flight may take; the network needs the rest


def run_jobs(
    jobs: Sequence[Job],
    worker: Worker,
    *,
    on_done: Callable[[Outcome], None],
    on_load: Callable[[str], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    readers: int | None = None,
    writers: int | None = None,
    most_pixels: int = MOST_PIXELS,
) -> None:
    """Do the jobs. `on_done` is called with each outcome, in the caller's thread and in the order in which jobs end.

    The network runs in the caller's thread. It is loaded when there is an alpha to find; `on_load` is then called with
    its device. `readers` and `writers` are numbers of threads, by default a quarter of the cores each.
    `most_pixels` are in flight at a time, fewer where the free memory is small.

    A job that fails has a Failed as its outcome. Once `should_stop` gives True no further photo is begun: the photo in
    the network is finished and written, photos that are only read are dropped. An error that concerns the whole batch
    (weights, device) or that `on_done` raises ends the batch after the same cleaning up.
    """
    threads = max(1, min(8, (os.cpu_count() or 1) // 4))
    line = _AssemblyLine(jobs, worker, should_stop, readers or threads, writers or threads, most_pixels)
    try:
        loaded = False
        for item in line.items():
            if not isinstance(item, ReadJob):
                on_done(item)
            elif line.stopped:
                line.drop(item.todo)
            else:
                if not loaded and item.known is None:
                    worker.load()
                    loaded = True
                    if on_load is not None:
                        on_load(worker.model.backend.device)
                line.pass_on(item)
            for outcome in line.written():
                on_done(outcome)
        line.finish()
        for outcome in line.written():
            on_done(outcome)
    finally:
        line.close()


class _AssemblyLine:
    """Threads that read and write, and the bounded queues between them and the thread that mattes."""

    def __init__(
        self,
        jobs: Sequence[Job],
        worker: Worker,
        should_stop: Callable[[], bool],
        readers: int,
        writers: int,
        most_pixels: int,
    ) -> None:
        self._jobs, self._worker, self._should_stop = iter(jobs), worker, should_stop
        self._next_job = threading.Lock()
        self._closed = threading.Event()
        self._room = _Room(most_pixels, lambda: self.stopped)
        self._read: Queue[ReadJob | Outcome | None] = Queue(readers)  # None: a reader has ended
        self._to_write: Queue[tuple[Todo, Matte] | None] = Queue(writers)  # None: end
        self._done: SimpleQueue[Outcome] = SimpleQueue()
        self._reading = readers
        self._readers = [threading.Thread(target=self._read_jobs, name="matte-reader") for _ in range(readers)]
        self._writers = [threading.Thread(target=self._write_jobs, name="matte-writer") for _ in range(writers)]
        for thread in (*self._readers, *self._writers):
            thread.start()

    @property
    def stopped(self) -> bool:
        """Whether no further photo is to be begun."""
        return self._closed.is_set() or self._should_stop()

    def items(self) -> Iterator[ReadJob | Outcome]:
        """Photos to matte, and outcomes of those that need no matting, until the readers have ended."""
        while self._reading:
            item = self._read.get()
            if item is None:
                self._reading -= 1
            else:
                yield item

    def pass_on(self, read: ReadJob) -> None:
        """Matte a photo and hand it to the writers."""
        try:
            matte = self._worker.matte(read)
        except Exception as error:
            self._done.put(Failed.of(read.todo.job, error))
            self.drop(read.todo)
        else:
            self._to_write.put((read.todo, matte))

    def drop(self, todo: Todo) -> None:
        """Make room for other photos: this one is no longer in flight."""
        self._room.give_back(todo.pixels)

    def written(self) -> Iterator[Outcome]:
        """The outcomes that have come from the writers."""
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
        self._closed.set()
        for item in self.items():
            if isinstance(item, ReadJob):
                self.drop(item.todo)
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

    def _read_one(self, job: Job) -> ReadJob | Outcome | None:
        taken = 0
        try:
            todo = self._worker.prepare(job)
            if isinstance(todo, Skipped):
                return todo
            if not self._room.take(todo.pixels):
                return None
            taken = todo.pixels
            return self._worker.read(todo)
        except Exception as error:
            self._room.give_back(taken)
            return Failed.of(job, error)

    def _write_jobs(self) -> None:
        while (item := self._to_write.get()) is not None:
            todo, matte = item
            outcome: Outcome
            try:
                outcome = self._worker.write(todo, matte)
            except Exception as error:
                outcome = replace(Failed.of(todo.job, error), disk_full=met_full_disk(error))
            self.drop(todo)
            self._done.put(outcome)
            del item, matte  # not to be held while this thread waits for the next


class _Room:
    """How many pixels may be in flight; a photo that is larger than all of it goes alone."""

    def __init__(self, most_pixels: int, stopped: Callable[[], bool]) -> None:
        self._most = min(most_pixels, int(free_bytes() * PART / PIXEL_BYTES))
        self._stopped = stopped
        self._used = 0
        self._changed = threading.Condition()

    def take(self, pixels: int) -> bool:
        """Wait until there is room; False when the batch is stopped before."""
        with self._changed:
            while self._used and self._used + pixels > self._most:
                if self._stopped():
                    return False
                self._changed.wait(timeout=0.5)  # a stop does not notify this condition
            self._used += pixels
            return True

    def give_back(self, pixels: int) -> None:
        """Let a photo's pixels go."""
        with self._changed:
            self._used -= pixels
            self._changed.notify_all()
