"""Reports: written as a run goes, read, counted, merged."""

from __future__ import annotations

import errno
import json
import signal
from pathlib import Path

import pytest

from mattecli.batch.report import Report, Run, merge, read_report, write_run
from mattecli.errors import InputError
from mattecli.system.files import remedy_of
from mattecli.work.outcome import Done, Failed, Job


def done(image: str) -> Done:
    return Done(Job(image, f"/in/{image}", "/in/t.png", {"alpha": f"/out/{image}"}), {}, 0.5)


def failed(image: str) -> Failed:
    return Failed(image, f"/in/{image}", "why")


def line(image: str, status: str = "done") -> dict[str, str]:
    return {"name": image, "image": f"/in/{image}", "status": status}


def test_lines_are_in_the_file_as_soon_as_they_are_known(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    report = Report(path, total=4)
    report.add(done("a"))
    report.add(failed("b"))
    assert [entry["name"] for entry in read_report(path).lines] == ["a", "b"]
    report.close()
    run = read_report(path)
    assert run.summary is not None
    assert {key: run.summary[key] for key in ("total", "done", "skipped", "failed", "left", "interrupted")} == {
        "total": 4,
        "done": 1,
        "skipped": 0,
        "failed": 1,
        "left": 2,
        "interrupted": False,
    }
    assert run.failed_images() == ["/in/b"]


def test_the_report_owns_the_exit_code() -> None:
    report = Report(total=3, limit=1)
    report.add(done("a"))
    assert (report.exit_code, report.too_many_failures) == (0, False)
    report.add(failed("b"))
    assert (report.exit_code, report.too_many_failures) == (1, False)
    report.add(failed("c"))
    assert report.too_many_failures
    report.interrupted = True
    assert report.exit_code == 130
    report.signal = signal.SIGTERM
    assert report.exit_code == 143


def test_an_older_report_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for _ in range(2):
        report = Report(path, total=1)
        report.add(done("a"))
        report.close()
    assert len(path.read_text().splitlines()) == 2
    for text in ("a,b\n", '{"some": "json"}\n', "\xff", '{"some": ', '{"name": "b"}', '{"name": \n'):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(InputError, match=r"run.jsonl exists already and is not a report; name another"):
            Report(path, total=1)
        assert path.read_text(encoding="latin-1") == text
    with pytest.raises(InputError, match="cannot be written"):
        Report(tmp_path / "nowhere/run.jsonl", total=1)


def test_a_report_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps(line("a")) + "\n" + json.dumps(line("b"))[:-9], encoding="utf-8")
    run = read_report(path)
    assert ([entry["name"] for entry in run.lines], run.summary) == (["a"], None)


def test_a_report_whose_first_line_was_cut_off_is_an_empty_one_and_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for text in (json.dumps(done("a").to_json())[:-9], json.dumps(Report(total=0).summary())[:-9]):
        path.write_text(text, encoding="utf-8")
        run = read_report(path)
        assert (run.lines, run.stopped) == ([], True)
        Report(path, total=1).close()
        assert read_report(path).lines == []


def test_a_broken_line_in_the_midst_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps(line("a")) + "\n{\n" + json.dumps(line("b")) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2 is not a line of a report"):
        read_report(path)


def test_merging_adds_shards_and_lets_the_last_line_of_an_image_count(tmp_path: Path) -> None:
    one = Run([line("a"), line("b", "failed")], {"seconds": 2.0, "interrupted": False})
    two = Run([line("c"), line("b")], {"seconds": 3.0, "interrupted": False})
    merged = merge([one, two])
    assert [(entry["name"], entry["status"]) for entry in merged.lines] == [("a", "done"), ("b", "done"), ("c", "done")]
    assert merged.summary == {"total": 3, "done": 3, "skipped": 0, "failed": 0, "seconds": 5.0, "interrupted": False}
    write_run(tmp_path / "all.jsonl", merged)
    assert read_report(tmp_path / "all.jsonl") == merged
    killed = merge([one, Run([line("d")])]).summary
    assert killed is not None
    assert killed["interrupted"]


def test_merging_keeps_all_lines_of_an_image_that_one_run_has_several_times() -> None:
    twice = [{**line("a", "failed"), "output": "1.png"}, {**line("a"), "output": "2.png"}]
    assert [entry["output"] for entry in merge([Run(twice), Run([line("b")])]).lines[:2]] == ["1.png", "2.png"]
    repaired = merge([Run(twice), Run([{**entry, "status": "done"} for entry in twice])])
    assert [entry["status"] for entry in repaired.lines] == ["done", "done"]
    spelt = [{**line(name), "image": "/in/a.png"} for name in ("in/a.png", "a.png")]  # by a relative and a full path
    assert len(merge([Run([entry]) for entry in spelt]).lines) == 2, "they may be lines of one manifest, in two shards"
    nameless = [{**line(name, "failed"), "image": "/pairs.csv"} for name in ("line 2", "line 5")]
    assert merge([Run([entry]) for entry in nameless]).count("failed") == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "run.jsonl cannot be read (No such file or directory); check its name"),
        (b"", "run.jsonl is not a report of `matte batch`; name a file that --report made"),
        (b"\xff\xfe", "run.jsonl is not a report of `matte batch` (not UTF-8); name one made with --report"),
    ],
)
def test_what_is_not_a_report_is_named(content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "run.jsonl").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_report(tmp_path / "run.jsonl")
    assert str(caught.value) == f"{tmp_path}/{said}"


def test_a_report_may_end_without_the_end_of_its_last_line(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text(json.dumps(line("a")) + "\n" + json.dumps(line("b")))
    assert [entry["name"] for entry in read_report(tmp_path / "run.jsonl").lines] == ["a", "b"]


def test_a_report_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"gone/run\.jsonl cannot be written \(No such file or directory\); name another"
    ):
        write_run(tmp_path / "gone" / "run.jsonl", Run([], None))


def test_a_merged_report_replaces_a_file_only_where_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("theirs")
    with pytest.raises(InputError, match=r"run\.jsonl exists already; name another file"):
        write_run(path, Run([], None))
    assert path.read_text() == "theirs"
    write_run(path, Run([], {"total": 0}), overwrite=True)
    assert path.read_text() == '{"summary": {"total": 0}}\n'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to write to")
def test_a_full_disk_under_the_report_is_one_error_and_not_another_at_its_end(tmp_path: Path) -> None:
    report = Report(Path("/dev/full"), total=1)
    with pytest.raises(InputError, match=r"/dev/full cannot be written \(No space left on device\)"):
        report.add(Failed("a", "a.png", "it is broken"))
    report.close()


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "free some space"), (errno.EPIPE, "check that its disk and its folder can be written")],
)
def test_the_remedy_is_for_what_went_wrong(number: int, remedy: str) -> None:
    assert remedy_of(OSError(number, "x")) == remedy


def summary_of(lines: list[dict[str, str]], *, left: int = 0, interrupted: bool = False) -> Run:
    return Run(lines, {"total": len(lines) + left, "left": left, "seconds": 1.0, "interrupted": interrupted})


def test_a_run_that_left_photos_was_stopped_and_a_merged_report_counts_them() -> None:
    failures = [line("a", "failed"), line("b", "failed")]
    assert summary_of(failures, left=3).stopped
    assert not summary_of(failures).stopped
    merged = merge([summary_of(failures, left=3), summary_of([line("c")], left=1)])
    assert merged.summary is not None
    assert (merged.stopped, merged.summary["left"], merged.summary["total"]) == (True, 4, 7)


@pytest.mark.parametrize("killed", [True, False])
def test_a_report_that_resumes_a_stopped_run_makes_the_merged_report_whole(killed: bool) -> None:
    first = Run([line("a"), line("b", "failed")]) if killed else summary_of([line("a"), line("b", "failed")], left=2)
    other = summary_of([line("x")])
    resumed = summary_of([line(name) for name in "abcd"])
    assert merge([first, other]).stopped
    assert not merge([first, other, resumed]).stopped
    again = summary_of([line(name) for name in "abc"], left=1, interrupted=True)
    assert merge([first, other, again]).left == 1
    assert merge([resumed, other, first]).stopped
    retried = summary_of([line("b")])
    assert merge([first, other, retried]).stopped
    all_failed = Run([line("b", "failed")])
    assert merge([all_failed, retried]).stopped  # as by --retry-failed: what the first run did not begin is not in it
