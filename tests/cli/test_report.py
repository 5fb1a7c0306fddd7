"""`matte report`: the sum of a run, its page, and reports of several machines in one."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mattecli.cli.terminal import Terminal
from mattecli.imaging.options import ReadOptions
from tests.conftest import RunMatte
from tests.support.batches import lines_of, make_folders, write_photo, write_trimap


@pytest.fixture
def reports(tmp_path: Path, run_matte: RunMatte) -> list[Path]:
    """What two machines say of a folder with one bad photo."""
    photos, trimaps, out = make_folders(tmp_path, [f"{n}.png" for n in range(5)])
    (photos / "bad\n.png").write_bytes(b"")
    write_trimap(trimaps / "bad\n.png")
    paths = []
    for part in (1, 2):
        paths.append(tmp_path / f"{part}.jsonl")
        run_matte("batch", photos, out, "-t", trimaps, "--shard", f"{part}/2", "--report", paths[-1])
    return paths


def test_reports_merge_sum_up_and_become_a_page(reports: list[Path], run_matte: RunMatte, tmp_path: Path) -> None:
    merged, page = tmp_path / "all.jsonl", tmp_path / "all.html"
    code, out, err = run_matte("report", "merge", *reports, "-o", merged)
    assert (code, err) == (0, f"2 reports → {merged}\n")
    assert out.splitlines()[0] == "5 done, 0 skipped, 1 failed"
    assert out.splitlines()[1].startswith("failed: bad\\n.png: ")
    assert set(lines_of(merged)) == {*(f"{n}.png" for n in range(5)), "bad\n.png", "summary"}

    code, out, err = run_matte("report", merged, "--html", page, "--json")
    assert (code, err) == (0, f"page: {page}\n")
    assert json.loads(out)["summary"].items() >= {"total": 6, "done": 5, "failed": 1, "interrupted": False}.items()
    assert page.read_text(encoding="utf-8").count("<article") == 5
    assert run_matte("report", merged, "--html", page)[0] == 3
    assert run_matte("report", merged, "--html", page, "--overwrite", "--pictures", 2)[0] == 0
    assert page.read_text(encoding="utf-8").count("<article") == 2


def test_the_page_names_no_limit_that_its_command_cannot_raise(
    tmp_path: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"image": str(write_photo(tmp_path / "a.png")), "output": str(write_trimap(tmp_path / "alpha.png"))}
    said = {"name": "b.png", "image": "b.png", "status": "failed", "reason": "raise --max-pixels if you trust the file"}
    lines = [{"name": "a.png", **files, "status": "skipped"}, said]
    report, page = tmp_path / "run.jsonl", tmp_path / "run.html"
    report.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    monkeypatch.setattr(ReadOptions, "max_pixels", 100)
    assert run_matte("report", report, "--html", page)[0] == 0
    text = page.read_text(encoding="utf-8")
    assert "a.png has more than 100 pixels; the page does not show it" in text
    assert text.count("raise --max-pixels if you trust the file") == 1, "what the batch said stays"


def test_a_killed_runs_report_says_so(reports: list[Path], run_matte: RunMatte) -> None:
    text = reports[0].read_text(encoding="utf-8")
    reports[0].write_text(text[: text.index('{"summary"')], encoding="utf-8")
    assert run_matte("report", reports[0])[1].splitlines()[0].endswith("; the run did not come to its end")


def test_wrong_uses_say_what_is_right(reports: list[Path], run_matte: RunMatte, tmp_path: Path) -> None:
    for arguments, code, told in [
        (["merge"], 2, "no report to merge"),
        (["merge", *reports], 2, "merge writes a new report; name it with -o"),
        (reports, 2, "several reports are joined by `matte report merge"),
        ([reports[0], "-o", "x"], 2, "several reports are joined by `matte report merge"),
        (["merge", *reports, "-o", reports[0], "--overwrite"], 3, "is an input of this run"),
        (["merge", *reports, "-o", tmp_path / "photos"], 3, "is a folder"),
        ([tmp_path / "photos/0.png"], 3, "is not a report of `matte batch`"),
        ([tmp_path / "gone.jsonl"], 3, "gone.jsonl cannot be read"),
    ]:
        actual, _, err = run_matte("report", *arguments)
        assert (actual, told in err) == (code, True), err


def scored(root: Path, name: str, score: float | None, **facts: Any) -> dict[str, Any]:
    """The line of a photo with an attention score, which lies on an edge that the band cuts."""
    reasons = [{"what": "border", "amount": score, "box": [1, 2, 3, 4]}]
    found = {} if score is None else {"attention": {"score": score, "version": 1, "reasons": reasons}}
    files = {"image": str(root / f"photos/{name}"), "trimap": str(root / f"trimaps/{name}"), "output": str(root / name)}
    return {"name": name, **files, "status": "done", "width": 32, "height": 32, **found, **facts}


def write_lines(path: Path, lines: list[dict[str, Any]]) -> Path:
    """A report of these lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_the_worst_are_listed_as_a_manifest_that_batch_takes(run_matte: RunMatte, tmp_path: Path) -> None:
    make_folders(tmp_path, ("a.png", "b.png", "c.png", "d.png"))
    lines = [
        scored(tmp_path, "a.png", 0.2),
        scored(tmp_path, "b.png", 0.9, background="white"),
        scored(tmp_path, "c.png", 0.0),
        scored(tmp_path, "d.png", None),
    ]
    report = write_lines(tmp_path / "run.jsonl", lines)
    code, stdout, err = run_matte("report", report, "--worst", 50)
    assert code == 0, err
    rows = list(csv.DictReader(stdout.splitlines()))
    assert [(Path(row["image"]).name, row["score"], row["background"]) for row in rows] == [
        ("b.png", "0.90", "white"),
        ("a.png", "0.20", ""),
    ]
    assert rows[0]["reasons"] == "the band cuts the edge on 90% of its length"
    (tmp_path / "look.csv").write_text(stdout, encoding="utf-8")
    command = ("batch", tmp_path / "again", "--manifest", tmp_path / "look.csv", "--dry-run", "--json")
    code, planned, err = run_matte(*command)
    assert code == 0, err
    summary = json.loads(planned.splitlines()[-1])["summary"]
    assert (summary["to do"], summary["failed"]) == (2, 0)
    assert len(run_matte("report", report, "--worst", 1)[1].splitlines()) == 2
    assert run_matte("report", report, "--worst", 1, "--json")[0] == 2


def test_photos_without_scores_or_trimaps_are_told(run_matte: RunMatte, tmp_path: Path) -> None:
    report = write_lines(tmp_path / "old.jsonl", [scored(tmp_path, "a.png", None)])
    code, stdout, err = run_matte("report", report, "--worst", 5)
    assert (code, stdout) == (0, "image,trimap,background,score,reasons\n")
    assert "no photo of this report has an attention score" in err
    failed = {"name": "a.png", "image": "a.png", "status": "failed", "reason": "it has no trimap"}
    code, _, err = run_matte("report", write_lines(tmp_path / "f.jsonl", [failed]), "--worst", 5)
    assert (code, "--redo" in err) == (0, False)
    assert "no photo of this report is done; `matte report` without --worst says why" in err
    line = scored(tmp_path, "a.png", 0.5)
    line["mask"] = line.pop("trimap")
    assert "1 of them have no trimap" in run_matte("report", write_lines(tmp_path / "m.jsonl", [line]), "--worst", 5)[2]


@pytest.mark.parametrize("facts", [{"score": 0.0}, {"score": 0.5, "approved": True}])
def test_a_report_without_a_photo_to_look_at_asks_for_no_new_run(
    run_matte: RunMatte, tmp_path: Path, facts: dict[str, Any]
) -> None:
    lines = [scored(tmp_path, "a.png", **facts), {"name": "b", "image": "/b", "status": "failed", "reason": "why"}]
    code, stdout, err = run_matte("report", write_lines(tmp_path / "run.jsonl", lines), "--worst", 5)
    assert (code, stdout) == (0, "image,trimap,background,score,reasons\n")
    assert err == "no photo of this report needs a look\n"


def test_standard_input_and_output_are_not_taken_for_files(
    run_matte: RunMatte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos, trimaps, out = make_folders(tmp_path, ("a.png",))
    report = write_lines(tmp_path / "run.jsonl", [scored(tmp_path, "a.png", 0.0)])
    for command, told in (
        (("report", "-"), "a report is not read from standard input"),
        (("report", "merge", "-", "-o", "all.jsonl"), "a report is not read from standard input"),
        (("report", "merge", report, "-o", "-"), "--output must be the name of a file, not -"),
        (("batch", photos, out, "-t", trimaps, "--report", "-"), "--report must be the name of a file, not -"),
        (("batch", out, "--manifest", "-"), "--manifest must be the name of a file, not -"),
    ):
        code, _, err = run_matte(*command)
        assert (code, told in err) == (2, True), err
    assert not (tmp_path / "-").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not text exist on Linux alone")
def test_the_list_of_the_worst_has_names_of_files_as_they_are(tmp_path: Path) -> None:
    name = os.fsdecode(b"Zo\xeb.png")
    report = write_lines(tmp_path / "run.jsonl", [scored(tmp_path, name, 0.5)])
    command = [sys.executable, "-m", "mattecli", "report", str(report), "--worst", "5"]
    made = subprocess.run(
        command, env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"}, stdout=subprocess.PIPE, check=True
    )
    assert b"/photos/Zo\xeb.png," in made.stdout


def test_the_page_is_written_before_a_reader_has_enough(
    run_matte: RunMatte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(self: Terminal, text: str) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    report = write_lines(tmp_path / "run.jsonl", [scored(tmp_path, "a.png", 0.0)])
    monkeypatch.setattr(Terminal, "data", closed)
    assert run_matte("report", report, "--html", tmp_path / "run.html")[0] == 1
    assert (tmp_path / "run.html").exists()


def test_a_merged_report_and_a_page_need_two_files(run_matte: RunMatte, tmp_path: Path) -> None:
    report, both = write_lines(tmp_path / "run.jsonl", [scored(tmp_path, "a.png", 0.0)]), tmp_path / "r.html"
    code, _, err = run_matte("report", "merge", report, "-o", both, "--html", both)
    assert (code, "r.html cannot hold both the merged report and the page" in err) == (2, True), err
    assert not both.exists()


def test_pictures_without_a_page_are_refused(run_matte: RunMatte, tmp_path: Path) -> None:
    report = write_lines(tmp_path / "run.jsonl", [scored(tmp_path, "a.png", 0.0)])
    code, _, err = run_matte("report", report, "--pictures", 200)
    assert (code, "--pictures would do nothing without --html" in err) == (2, True)


def test_a_contradiction_is_refused_before_a_merged_report_is_written(tmp_path: Path, run_matte: RunMatte) -> None:
    line = {"name": "a", "image": "/in/a", "status": "failed", "reason": "why"}
    (tmp_path / "a.jsonl").write_text(json.dumps(line) + "\n")
    merged = tmp_path / "all.jsonl"
    command = ("report", "merge", tmp_path / "a.jsonl", tmp_path / "a.jsonl", "-o", merged)
    assert run_matte(*command, "--worst", 5, "--json")[0] == 2
    assert not merged.exists()


def test_a_run_that_too_many_failures_stopped_is_told_as_stopped(run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = make_folders(tmp_path, [f"{n}.png" for n in range(3)])
    for path in trimaps.iterdir():
        path.unlink()
    write_trimap(trimaps / "2.png")
    report, page = tmp_path / "run.jsonl", tmp_path / "run.html"
    run_matte("batch", photos, out, "-t", trimaps, "--max-failures", "0", "--report", report)
    told = "0 done, 0 skipped, 2 failed, 1 not begun; the run did not come to its end"
    assert run_matte("report", report, "--html", page)[1].splitlines()[0] == told
    assert "The run was stopped before its end." in page.read_text(encoding="utf-8")
    assert run_matte("report", "merge", report, "-o", tmp_path / "all.jsonl")[1].splitlines()[0] == told
