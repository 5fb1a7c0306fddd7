"""Many photos in one process, with a stand-in for the work on each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mattecli.batch.engine import run_jobs
from mattecli.batch.worker import BatchOptions, ReadJob, Todo, Worker
from mattecli.errors import DeviceError, InputError
from mattecli.imaging.image import Image
from mattecli.inference.model import Model
from mattecli.work.job import Inputs, Matte
from mattecli.work.outcome import Done, Failed, Job, Outcome, Skipped

PIXELS = 1000
SOON = 20  # seconds within which threads that run at the same time surely meet


class Device:
    device = "a device"


class ToyWorker(Worker):
    """Counts photos in flight, and fails where the job's name says so; `on_step` is called in each step."""

    def __init__(self, out: Path, on_step: Callable[[str, Job], None] = lambda *_: None) -> None:
        super().__init__(BatchOptions(out=out), model=Model(backend=Device()))  # type: ignore[arg-type]
        self.on_step = on_step
        self.loads = self.in_flight = self.most = 0
        self.changed = threading.Condition()
        self.threads: dict[str, set[str]] = {"read": set(), "matte": set(), "write": set()}

    def wait_for(self, in_flight: int) -> None:
        """Wait until so many photos are in flight."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.most >= in_flight, SOON), f"{self.most} in flight"

    def load(self) -> None:
        self.loads += 1

    def prepare(self, job: Job) -> Todo | Skipped:
        return Skipped(job) if job.name.startswith("old") else Todo(job, {}, {}, {}, size=(PIXELS, 1))

    def read(self, todo: Todo) -> ReadJob:
        self._count(1)
        self._step("read", todo.job)
        pixels = np.zeros((1, 1, 3), np.uint8)
        return ReadJob(todo, Inputs(Image(pixels), pixels, pixels[..., 0], 0.5, 0.0))

    def matte(self, read: ReadJob) -> Matte:
        self._step("matte", read.todo.job)
        return Matte(read.inputs, np.zeros((1, 1), np.float32), "off", 0.0)

    def write(self, todo: Todo, _matte: Matte) -> Done | Skipped:
        self._step("write", todo.job)
        self._count(-1)
        return Done(todo.job, {}, 0.0)

    def _step(self, step: str, job: Job) -> None:
        self.threads[step].add(threading.current_thread().name)
        try:
            self.on_step(step, job)
            if job.name.startswith(f"bad {step}"):
                raise InputError(f"{job.name} is bad")
            if job.name.startswith(f"bug {step}"):
                raise ZeroDivisionError
        except Exception:
            self._count(-1)
            raise

    def _count(self, by: int) -> None:
        with self.changed:
            self.in_flight += by
            self.most = max(self.most, self.in_flight)
            self.changed.notify_all()


def jobs(*names: str) -> list[Job]:
    return [Job(name, name, "t", {}) for name in names]


def matte_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("matte-")]


def run(worker: Worker, todo: list[Job], **options: Any) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    run_jobs(todo, worker, on_done=lambda outcome: outcomes.update({outcome.name: outcome}), **options)
    assert not matte_threads()
    return outcomes


def test_every_job_has_an_outcome_even_if_it_fails(tmp_path: Path) -> None:
    bad = [f"{kind} {step}" for kind in ("bad", "bug") for step in ("read", "matte", "write")]
    names = [f"{prefix} {n}" for n in range(10) for prefix in ("good", "old", *bad)]
    outcomes = run(ToyWorker(tmp_path), jobs(*names), readers=3, writers=2)
    assert set(outcomes) == set(names)
    for name, outcome in outcomes.items():
        assert type(outcome) is {"g": Done, "o": Skipped, "b": Failed}[name[0]], name
        if isinstance(outcome, Failed) and name.startswith("bug"):
            assert "ZeroDivisionError" in outcome.reason
            assert "in _step" in (outcome.traceback or "")
        elif isinstance(outcome, Failed):
            assert (outcome.reason, outcome.traceback) == (f"{name} is bad", None)


def test_nothing_to_matte_loads_no_network(tmp_path: Path) -> None:
    worker = ToyWorker(tmp_path)
    assert len(run(worker, jobs("old 1", "old 2", "bad read"))) == 3
    assert worker.loads == 0


def test_the_network_is_loaded_once_and_its_device_told(tmp_path: Path) -> None:
    worker, told = ToyWorker(tmp_path), []
    run(worker, jobs("a", "b", "c"), on_load=told.append)
    assert (worker.loads, told) == (1, ["a device"])


def test_a_network_that_cannot_be_loaded_ends_the_batch(tmp_path: Path) -> None:
    class Broken(ToyWorker):
        def load(self) -> None:
            raise DeviceError("no such device")

    with pytest.raises(DeviceError, match="no such device"):
        run(Broken(tmp_path), jobs(*map(str, range(50))), readers=3)
    assert not matte_threads()


def test_reading_matting_and_writing_overlap(tmp_path: Path) -> None:
    meeting = threading.Barrier(3)  # of the three steps on three photos; it breaks where one would wait for another

    def on_step(step: str, job: Job) -> None:
        if (step, job.name) in [("write", "1"), ("matte", "2"), ("read", "3")]:
            meeting.wait(SOON)

    worker = ToyWorker(tmp_path, on_step)
    outcomes = run(worker, jobs("1", "2", "3", "4"), readers=1, writers=1)
    assert all(isinstance(outcome, Done) for outcome in outcomes.values()), outcomes
    assert worker.threads["matte"] == {"MainThread"}
    assert not worker.threads["read"] & worker.threads["write"]


@pytest.mark.parametrize(
    ("slow", "most"),
    [
        ("matte", 2 + 2 + 1),  # each reader has one in its hands, two wait, one is in the network
        ("write", 2 + 2 + 1 + 2 + 2),  # two more wait for the writers, which have one each
    ],
)
def test_few_photos_are_in_flight_however_many_there_are(tmp_path: Path, slow: str, most: int) -> None:
    def on_step(step: str, job: Job) -> None:
        if step == slow:
            worker.wait_for(most)

    worker = ToyWorker(tmp_path, on_step)
    outcomes = run(worker, jobs(*map(str, range(100))), readers=2, writers=2)
    assert len(outcomes) == 100
    assert all(isinstance(outcome, Done) for outcome in outcomes.values()), outcomes  # a wait in vain is a failure
    assert most <= worker.most <= 2 + 2 + 1 + 2 + 2


@pytest.mark.parametrize(("allowed", "most"), [(3 * PIXELS, 3), (PIXELS // 2, 1)])
def test_large_photos_wait_for_room_and_one_too_large_goes_alone(tmp_path: Path, allowed: int, most: int) -> None:
    def on_step(step: str, job: Job) -> None:
        if step == "matte":
            worker.wait_for(most)

    worker = ToyWorker(tmp_path, on_step)
    assert len(run(worker, jobs(*map(str, range(30))), readers=4, writers=4, most_pixels=allowed)) == 30
    assert worker.most == most


def test_stopping_finishes_what_is_matted_and_begins_nothing_more(tmp_path: Path) -> None:
    outcomes: list[Outcome] = []
    run_jobs(
        jobs(*map(str, range(100))),
        ToyWorker(tmp_path),
        on_done=outcomes.append,
        should_stop=lambda: bool(outcomes),
        readers=2,
        writers=2,
    )
    assert 1 <= len(outcomes) < 10
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert not matte_threads()


def test_an_interrupt_in_the_midst_ends_all_threads(tmp_path: Path) -> None:
    def on_done(outcome: Outcome) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs(*map(str, range(100))), ToyWorker(tmp_path), on_done=on_done, readers=3, writers=3)
    assert not matte_threads()
