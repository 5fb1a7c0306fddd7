"""Many photos in one process, with a stand-in for the work on each."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mattecli.batch import engine
from mattecli.batch.engine import run_jobs
from mattecli.batch.jobs import Job
from mattecli.batch.work import Line, Loaded, Pending, Settings, Worker
from mattecli.errors import DeviceError, InputError
from mattecli.imaging.image import Image

PIXELS = 1000


class Pretender(Worker):
    """Steps that note what happens and fail where the job's name says so."""

    def __init__(self, tmp_path: Path, **sleeps: float) -> None:
        super().__init__(Settings(tmp_path))
        self.sleeps, self.lock = sleeps, threading.Lock()
        self.in_flight = self.most = self.loads = 0
        self.threads: dict[str, set[str]] = {"read": set(), "matte": set(), "write": set()}

    def _step(self, step: str, job: Job) -> None:
        self.threads[step].add(threading.current_thread().name)
        time.sleep(self.sleeps.get(step, 0))
        if job.name.startswith(f"bad {step}"):
            raise InputError(f"{job.name} is bad")
        if job.name.startswith(f"bug {step}"):
            raise ZeroDivisionError

    def load(self) -> None:
        self.loads += 1
        self.predictor._backend = Device()  # type: ignore[assignment]

    def prepare(self, job: Job) -> Pending | Line:
        return {"name": job.name, "status": "skipped"} if job.name.startswith("old") else Pending(job, {}, {}, PIXELS)

    def read(self, pending: Pending) -> Loaded:
        with self.lock:
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
        try:
            self._step("read", pending.job)
        except Exception:
            self._leave()
            raise
        return Loaded(pending, Image(np.zeros((1, 1, 3), np.uint8)), np.zeros((1, 1), np.uint8), 0.5, 0.0)

    def matte(self, loaded: Loaded) -> tuple[Any, Line]:
        try:
            self._step("matte", loaded.pending.job)
        except Exception:
            self._leave()
            raise
        return np.zeros((1, 1), np.float32), {}

    def write(self, loaded: Loaded, _alpha: Any, _facts: Line) -> Line:
        try:
            self._step("write", loaded.pending.job)
        finally:
            self._leave()
        return {"name": loaded.pending.job.name, "status": "done"}

    def _leave(self) -> None:
        with self.lock:
            self.in_flight -= 1


class Device:
    device = "a device"


def jobs(*names: str) -> list[Job]:
    return [Job(name, name, "t", {}) for name in names]


def run(worker: Worker, todo: list[Job], **options: Any) -> dict[str, Line]:
    lines: dict[str, Line] = {}
    run_jobs(todo, worker, on_done=lambda line: lines.update({line["name"]: line}), **options)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("matte-")]
    return lines


def test_every_job_ends_in_a_line_whatever_fails(tmp_path: Path) -> None:
    bad = [f"{kind} {step}" for kind in ("bad", "bug") for step in ("read", "matte", "write")]
    names = [f"{prefix} {n}" for n in range(10) for prefix in ("good", "old", *bad)]
    lines = run(Pretender(tmp_path), jobs(*names), readers=3, writers=2)
    assert set(lines) == set(names)
    for name, line in lines.items():
        assert line["status"] == {"g": "done", "o": "skipped", "b": "failed"}[name[0]], name
        assert name[:3] != "bug" or ("ZeroDivisionError" in line["reason"] and "in _step" in line["traceback"])
        assert name[:3] != "bad" or line["reason"] == f"{name} is bad"


def test_nothing_to_matte_loads_no_network(tmp_path: Path) -> None:
    worker = Pretender(tmp_path)
    assert len(run(worker, jobs("old 1", "old 2", "bad read"))) == 3
    assert worker.loads == 0


def test_the_network_is_loaded_once_and_its_device_told(tmp_path: Path) -> None:
    worker, told = Pretender(tmp_path), []
    run(worker, jobs("a", "b", "c"), on_load=told.append)
    assert (worker.loads, told) == (1, ["a device"])


def test_a_network_that_cannot_be_loaded_ends_the_batch(tmp_path: Path) -> None:
    worker = Pretender(tmp_path)

    def load() -> None:
        raise DeviceError("no such device")

    worker.load = load  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="no such device"):
        run(worker, jobs(*map(str, range(50))), readers=3)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("matte-")]


def test_reading_matting_and_writing_overlap(tmp_path: Path) -> None:
    worker = Pretender(tmp_path, read=0.02, matte=0.02, write=0.02)
    started = time.perf_counter()
    run(worker, jobs(*map(str, range(20))))
    assert time.perf_counter() - started < 0.02 * 20 * 3 * 0.75
    assert worker.threads["matte"] == {"MainThread"}
    assert not worker.threads["read"] & worker.threads["write"]


def test_few_photos_are_in_flight_however_many_there_are(tmp_path: Path) -> None:
    for slow in ("read", "matte", "write"):
        worker = Pretender(tmp_path, **{slow: 0.002})
        run(worker, jobs(*map(str, range(100))), readers=2, writers=2)
        # each queue holds two, and each thread one
        assert worker.most <= 2 + 2 + 1 + 2 + 2, slow


def test_large_photos_wait_for_room_and_one_too_large_goes_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for allowed, most in ((3 * PIXELS, 3), (PIXELS // 2, 1)):
        monkeypatch.setattr(engine, "MOST_PIXELS", allowed)
        worker = Pretender(tmp_path, matte=0.001)
        assert len(run(worker, jobs(*map(str, range(30))), readers=4, writers=4)) == 30
        assert worker.most == most


def test_stopping_finishes_what_is_matted_and_begins_nothing_more(tmp_path: Path) -> None:
    stop = threading.Event()
    worker = Pretender(tmp_path, matte=0.005)
    lines: list[Line] = []

    def on_done(line: Line) -> None:
        lines.append(line)
        stop.set()

    run_jobs(jobs(*map(str, range(100))), worker, on_done=on_done, stop=stop, readers=2, writers=2)
    assert 1 <= len(lines) < 10
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("matte-")]


def test_an_interrupt_in_the_midst_ends_all_threads(tmp_path: Path) -> None:
    def on_done(line: Line) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs(*map(str, range(100))), Pretender(tmp_path), on_done=on_done, readers=3, writers=3)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("matte-")]
