"""One photo of a batch: what the command's tests cannot reach."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mattecli.batch.jobs import Job
from mattecli.batch.pairing import find_jobs
from mattecli.batch.work import Line, Loaded, Pending, Settings, Worker, describe, failure
from mattecli.errors import DeviceError, InputError
from mattecli.system.files import hidden_beside
from tests.support.batches import SIDE

Folders = tuple[Path, Path, Path]
FACTS: Line = {"width": SIDE, "height": SIDE, "unknown": 0.4, "tile": "off", "seconds": 0.1}


def loaded(worker: Worker, job: Job) -> Loaded:
    pending = worker.prepare(job)
    assert isinstance(pending, Pending)
    return worker.read(pending)


def write(worker: Worker, item: Loaded) -> Line:
    line = worker.write(item, np.zeros(item.trimap.shape, np.float32), FACTS)
    worker.journal.close()
    return line


def test_a_photo_that_another_process_has_just_done_is_no_failure(folders: Folders) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[0]
    ours, other = Worker(Settings(out)), Worker(Settings(out))
    item = loaded(ours, job)
    assert write(other, loaded(other, job))["status"] == "done"
    assert write(ours, item)["status"] == "skipped"
    state = ours.prepare(job)
    assert isinstance(state, dict)
    assert state["status"] == "skipped"


def test_a_file_that_somebody_else_wrote_meanwhile_is_left_alone(folders: Folders) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[0]
    worker = Worker(Settings(out))
    item = loaded(worker, job)
    Path(job.outputs["alpha"]).write_bytes(b"retouched")
    with pytest.raises(InputError, match="exists already"):
        write(worker, item)
    assert Path(job.outputs["alpha"]).read_bytes() == b"retouched"


def test_preparing_removes_what_dead_processes_left(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[2]
    output = Path(job.outputs["alpha"])
    output.parent.mkdir(parents=True)
    monkeypatch.setattr("os.getpid", lambda: 2**30)  # no such process
    hidden_beside(output).touch()
    Worker(Settings(out)).prepare(job)
    assert list(output.parent.iterdir()) == []


def test_only_the_products_that_an_option_is_for_are_made_anew(folders: Folders) -> None:
    photos, trimaps, out = folders
    settings = Settings(out, kinds=("alpha", "cutout", "composite"))
    listing = find_jobs(photos, out, trimaps=str(trimaps), kinds=settings.kinds, background="red")
    job = listing.jobs[0]
    worker = Worker(settings)
    write(worker, loaded(worker, job))
    for change, kinds in [
        ({"bits": 16}, {"alpha"}),
        ({"linear": True}, {"composite"}),
        ({"fit": "tile"}, {"composite"}),
        ({"snap": 4}, {"alpha", "cutout", "composite"}),
        ({"device": "cpu", "tile": 64, "max_memory": 2**30}, set()),
    ]:
        todo = Worker(replace(settings, **change)).todo(job)  # type: ignore[arg-type]
        assert (set(todo.replaces) if isinstance(todo, Pending) else set()) == kinds, change
    todo = worker.todo(replace(job, background="blue"))
    assert isinstance(todo, Pending)
    assert todo.replaces == {"composite": True}


def test_memory_for_colours_is_checked_before_the_network_runs(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, trimaps, out = folders
    worker = Worker(Settings(out, kinds=("alpha", "cutout")))
    job = find_jobs(photos, out, trimaps=str(trimaps), kinds=worker.settings.kinds).jobs[0]
    monkeypatch.setattr("mattecli.system.memory.free_bytes", lambda: 8 * 32 * 32)  # enough to read it
    monkeypatch.setattr(worker.predictor, "alpha", lambda *_, **__: pytest.fail("the network ran"))
    with pytest.raises(DeviceError, match=r"putting .* together takes"):
        worker.matte(loaded(worker, job))


def test_a_failure_says_what_it_was() -> None:
    job = Job("a.png", "/in/a.png", "/in/t.png", {"alpha": "/out/a.png"}, "white")
    assert failure(job, InputError("no picture"))["reason"] == "no picture"
    assert "needs more memory than there is" in failure(job, MemoryError())["reason"]
    bug = failure(job, KeyError("x"))
    assert "/in/a.png met a bug in matte: KeyError: 'x'" in bug["reason"]
    assert describe(job).items() <= bug.items()
    assert describe(job)["background"] == "white"
