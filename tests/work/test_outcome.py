"""Outcomes of jobs, and their lines in a report."""

from __future__ import annotations

from pathlib import Path

import pytest

from mattecli.errors import InputError
from mattecli.work.outcome import Done, Failed, Job, Skipped

JOB = Job("sub/a.png", "/in/sub/a.png", "/in/t.png", {"alpha": "/out/a.png"}, "white")


def test_done_has_the_facts_the_seconds_and_the_notes() -> None:
    done = Done(JOB, {"width": 3, "seconds": 0.1, "device": "cpu"}, 0.23456, ("one", "two"), 99)
    assert done.to_json() == {
        "name": "sub/a.png",
        "image": "/in/sub/a.png",
        "trimap": "/in/t.png",
        "output": "/out/a.png",
        "product": "alpha",
        "background": "white",
        "status": "done",
        "width": 3,
        "seconds": 0.235,
        "device": "cpu",
        "note": "one; two",
        "peak_bytes": 99,
    }
    assert not {"note", "peak_bytes"} & Done(JOB, {}, 0.0).to_json().keys()


def test_several_outputs_stand_by_kind_and_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = Job("a.png", "a.png", "t.png", {"alpha": "o/a.png", "cutout": "o/c.png"}, "beach.png")
    line = Skipped(job, {"tile": "off"}).to_json()
    assert line == {
        "name": "a.png",
        "image": str(tmp_path / "a.png"),
        "trimap": str(tmp_path / "t.png"),
        "output": {"alpha": str(tmp_path / "o/a.png"), "cutout": str(tmp_path / "o/c.png")},
        "background": str(tmp_path / "beach.png"),
        "status": "skipped",
        "tile": "off",
    }


def test_a_failure_says_what_it_was() -> None:
    assert Failed.of(JOB, InputError("not a picture")).to_json() == {
        "name": "sub/a.png",
        "image": "/in/sub/a.png",
        "trimap": "/in/t.png",
        "output": "/out/a.png",
        "product": "alpha",
        "background": "white",
        "status": "failed",
        "reason": "not a picture",
    }
    assert "needs more memory than there is" in Failed.of(JOB, MemoryError()).reason


def test_a_bug_is_named_as_one_and_comes_with_its_traceback() -> None:
    try:
        _ = {}["x"]
    except KeyError as error:
        line = Failed.of(JOB, error).to_json()
    assert "/in/sub/a.png met a bug in matte: KeyError: 'x'" in line["reason"]
    assert "test_a_bug_is_named" in line["traceback"]


def test_a_photo_that_never_became_a_job_has_no_outputs() -> None:
    line = Failed("a.png", "/in/a.png", "no trimap").to_json()
    assert line == {"name": "a.png", "image": "/in/a.png", "status": "failed", "reason": "no trimap"}
