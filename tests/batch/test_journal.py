"""The record beside the outputs: what it takes for made, and what it does not."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from pathlib import Path

import pytest

from mattecli.batch.journal import Approval, Journal
from mattecli.errors import InputError
from tests.support.disk import full_disk


def make(out: Path, name: str = "a.png", content: bytes = b"pixels", *, journal: Journal | None = None) -> Path:
    """An output as a batch makes it: the line first, then the name."""
    path = out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_suffix(".tmp")
    with hidden.open("wb") as handle:
        handle.write(content)
        journal = journal or Journal(out, common={"device": "cpu"})
        journal.add(path, handle, recipe="r", inputs="i", facts={"width": 3})
        journal.close()
    hidden.replace(path)
    return path


def test_another_process_knows_what_was_made(tmp_path: Path) -> None:
    path = make(tmp_path / "out", "sub/a.png")
    record = Journal(tmp_path / "out").made(path)
    assert record is not None
    assert (record.recipe, record.inputs, record.facts, record.common) == ("r", "i", {"width": 3}, {"device": "cpu"})


def test_what_is_missing_or_was_changed_was_not_made(tmp_path: Path) -> None:
    one, two, three = (make(tmp_path, name) for name in ("1.png", "2.png", "3.png"))
    one.unlink()
    two.write_bytes(b"other pixels")
    os.utime(three, (10_000, 10_000))
    journal = Journal(tmp_path)
    assert [journal.made(path) for path in (one, two, three)] == [None, None, None]


def test_a_line_whose_file_never_took_its_name_says_nothing_of_an_older_file(tmp_path: Path) -> None:
    path = make(tmp_path)
    hidden = tmp_path / "killed.tmp"
    with hidden.open("wb") as handle:
        handle.write(b"newer pixels")
        killed = Journal(tmp_path)
        killed.add(path, handle, recipe="new", inputs="i", facts={})
        killed.close()
    record = Journal(tmp_path).made(path)
    assert record is not None
    assert record.recipe == "r"


def test_of_lines_of_equal_size_the_one_of_that_very_moment_counts(tmp_path: Path) -> None:
    for round_ in range(8):  # the files' names, and with them their order, are random
        path = make(tmp_path / str(round_))
        hidden = tmp_path / "killed.tmp"
        with hidden.open("wb") as handle:
            handle.write(b"PIXELS")
            handle.flush()
            os.utime(handle.fileno(), ns=(0, path.stat().st_mtime_ns + 50_000_000))  # clocks may be coarse
            killed = Journal(tmp_path / str(round_))
            killed.add(path, handle, recipe="new", inputs="i", facts={})
            killed.close()
        record = Journal(tmp_path / str(round_)).made(path)
        assert record is not None
        assert record.recipe == "r"


def test_lines_cut_off_or_broken_by_a_crash_are_passed_over(tmp_path: Path) -> None:
    path, other = make(tmp_path), make(tmp_path, "b.png")
    for file in (tmp_path / ".matte").iterdir():
        with file.open("ab") as handle:
            handle.write(b'\0\0\0\n["b.png",')
    journal = Journal(tmp_path)
    assert journal.made(path) is not None
    assert journal.made(other) is not None


@pytest.mark.skipif(sys.platform == "win32", reason="needs the system's limit on file sizes")
def test_closing_after_a_line_that_did_not_fit_is_not_another_error(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with full_disk(20), (tmp_path / "a.tmp").open("wb") as handle:
        handle.write(b"pixels")
        with pytest.raises(OSError, match="too large"):
            journal.add(tmp_path / "a.png", handle, recipe="r", inputs="i", facts={})
        journal.close()


def test_an_output_stays_known_where_a_disk_keeps_accents_in_another_form(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "größe/Zürich.png") for form in ("NFC", "NFD"))
    for name, other in ((composed, decomposed), (decomposed, composed)):
        out = tmp_path / name.split("/")[-1]
        path = make(out, name)
        (out / other).parent.mkdir(parents=True, exist_ok=True)
        path.rename(out / other)
        assert Journal(out).made(out / other) is not None
        journal = Journal(out)
        journal.approve(name, Approval("file", 1, {}))
        journal.close()
        assert Journal(out).approval(other) is not None
    assert name in json.loads((next((out / ".matte").glob("*.jsonl"))).read_text().splitlines()[1])[:2]


def test_a_moved_folder_keeps_its_record(tmp_path: Path) -> None:
    make(tmp_path / "out", "sub/a.png")
    shutil.move(tmp_path / "out", tmp_path / "moved")
    assert Journal(tmp_path / "moved").made(tmp_path / "moved/sub/a.png") is not None


def test_what_others_write_meanwhile_is_seen_after_a_refresh(tmp_path: Path) -> None:
    other, ours = Journal(tmp_path), Journal(tmp_path)
    first = make(tmp_path, "1.png", journal=other)
    assert ours.made(first) is None
    ours.refresh()
    assert ours.made(first) is not None
    second = make(tmp_path, "2.png", journal=other)
    ours.refresh()
    assert ours.made(second) is not None


def test_the_pixels_are_on_the_disk_before_the_line_about_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to see what is synced")
    monkeypatch.setattr(os, "fsync", record)
    make(tmp_path)
    assert synced[0].endswith("a.tmp")
    assert synced[-1].endswith(".jsonl")
    (file,) = (tmp_path / ".matte").iterdir()
    assert [type(json.loads(line)) for line in file.read_text().splitlines()] == [dict, list]


def test_an_output_elsewhere_is_known_by_its_whole_path(tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = make(tmp_path, "elsewhere.png", journal=Journal(out))
    assert Journal(out).made(path) is not None


def test_a_record_of_another_user_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".matte").mkdir()
    (tmp_path / ".matte" / "made-0.jsonl").write_bytes(b"{}\n")

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(InputError, match=r"made-0\.jsonl cannot be read \(Permission denied\)"):
        Journal(tmp_path)
