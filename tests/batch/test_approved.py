"""Approved alphas: what counts as approved, and what a later run makes of them."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from mattecli.batch.approved import Approvals, count_approved, folder_of
from mattecli.batch.journal import Journal
from mattecli.batch.report import Run
from mattecli.errors import InputError
from mattecli.imaging.read import read_alpha
from mattecli.system import files
from tests.conftest import RunMatte
from tests.support.batches import SIDE, lines_of, make_folders, write_photo
from tests.support.fresh import modules_after

Folders = tuple[Path, Path, Path]
FACTS = {"network": {"device": "cpu"}, "tile": "off", "unknown": 0.4, "notes": [], "attention": None}


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Two photos with trimaps; and where the outputs go."""
    return make_folders(tmp_path, ("a.png", "sub/c.png"))


def painted() -> tuple[np.ndarray, np.ndarray]:
    """An alpha that no network would find, and its trimap."""
    trimap = np.full((SIDE, SIDE), 128, np.uint8)
    trimap[:4], trimap[-4:] = 0, 255
    alpha = np.where(trimap == 128, np.float32(0.25), trimap / np.float32(255)).astype(np.float32)
    return alpha, trimap


def approve(folders: Folders, name: str = "a.png") -> np.ndarray:
    photos, trimaps, out = folders
    journal = Journal(out)
    alpha, trimap = painted()
    Approvals(out, journal).add(photos / name, trimaps / name, alpha, trimap, facts=FACTS)
    journal.close()
    return alpha


def approvals(out: Path) -> Approvals:
    return Approvals(out, Journal(out))


def test_an_approval_is_found_by_another_process_and_after_the_folders_moved_together(tmp_path: Path) -> None:
    folders = make_folders(tmp_path / "here", ("a.png",))
    alpha = approve(folders)
    (tmp_path / "here").rename(tmp_path / "there")
    photos, trimaps, out = (tmp_path / "there" / folder.name for folder in folders)
    found = approvals(out).load(photos / "a.png", trimaps / "a.png", size=(SIDE, SIDE))
    assert found is not None
    assert np.array_equal(found.alpha, alpha)
    assert approvals(out).of(photos / "a.png", None) is None  # another trimap: another subject, perhaps


def test_an_approval_counts_while_the_photo_has_the_same_content(folders: Folders) -> None:
    photos, trimaps, out = folders
    approve(folders)
    os.utime(photos / "a.png", ns=(1, 1))
    assert approvals(out).of(photos / "a.png", trimaps / "a.png") is not None
    write_photo(photos / "a.png", number=9)
    assert approvals(out).of(photos / "a.png", trimaps / "a.png") is None


def test_the_newest_of_several_lines_counts_whichever_process_wrote_it(folders: Folders) -> None:
    photos, trimaps, out = folders
    pair = photos / "a.png", trimaps / "a.png"
    for _ in range(3):
        approve(folders)
        assert approvals(out).of(*pair) is not None
        assert len(list((out / ".matte/approved").glob("*.npz"))) == 1
        journal = Journal(out)
        Approvals(out, journal).withdraw(*pair)
        journal.close()
        assert approvals(out).of(*pair) is None
    assert list((out / ".matte/approved").iterdir()) == []


def test_known_pixels_of_an_approved_alpha_are_those_of_its_trimap(folders: Folders) -> None:
    photos, trimaps, out = folders
    _, trimap = painted()
    journal = Journal(out)
    own = Approvals(out, journal)
    own.add(photos / "a.png", trimaps / "a.png", np.full((SIDE, SIDE), 0.5, np.float32), trimap, facts=FACTS)
    journal.close()
    found = own.load(photos / "a.png", trimaps / "a.png", size=(SIDE, SIDE))
    assert found is not None
    assert (found.alpha[:4].max(), found.alpha[-4:].min(), found.alpha[8, 8]) == (0, 1, 0.5)


def test_a_damaged_approved_alpha_is_an_error_and_is_not_made_anew(folders: Folders) -> None:
    photos, trimaps, out = folders
    approve(folders)
    (file,) = (out / ".matte/approved").glob("*.npz")
    file.write_bytes(b"damaged")
    with pytest.raises(InputError, match="approve it again"):
        approvals(out).load(photos / "a.png", trimaps / "a.png", size=(SIDE, SIDE))


@pytest.mark.usefixtures("networks_once")
def test_a_later_run_keeps_an_approved_alpha_and_only_finishes_it_until_redo(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    report = tmp_path / "run.jsonl"
    command = ("batch", photos, out, "-t", trimaps, "--report", report)
    assert run_matte(*command)[0] == 0
    network = (out / "a_alpha.png").read_bytes()
    alpha = approve(folders)
    assert run_matte("report", report)[1] == "2 done, 0 skipped, 0 failed, 1 approved\n"
    assert "torch" not in modules_after(*command)  # the other photo is done
    line = lines_of(report)["a.png"]
    assert (line["status"], line["approved"], line["unknown"]) == ("done", True, 0.4)
    assert np.abs(read_alpha(out / "a_alpha.png") - alpha).max() <= 0.5 / 255
    assert "0 done, 2 skipped" in run_matte(*command)[2]
    assert lines_of(report)["a.png"]["approved"] is True
    finished = (*command, "--what", "alpha,cutout", "--levels", "0,128,1")
    assert "2 done" in run_matte(*finished)[2]
    assert read_alpha(out / "a_alpha.png")[8, 8] == pytest.approx(0.5, abs=0.01)  # a quarter, finished anew
    assert run_matte("report", report)[1] == "2 done, 0 skipped, 0 failed, 1 approved\n"
    assert "2 done" in run_matte(*command, "--redo")[2]
    assert (out / "a_alpha.png").read_bytes() == network
    assert "0 done, 2 skipped" in run_matte(*command)[2]  # the approval is withdrawn
    assert run_matte("report", report)[1] == "0 done, 2 skipped, 0 failed\n"


@pytest.mark.usefixtures("networks_once")
def test_pruning_leaves_approved_alphas_and_the_list_of_the_worst_leaves_them_out(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    report = tmp_path / "run.jsonl"
    command = ("batch", photos, out, "-t", trimaps)
    run_matte(*command, "--report", report, "--keep-alpha")
    line = lines_of(report)["a.png"]
    assert (out / ".matte/alphas" / f"{line['kept']}.npz").is_file()
    assert folder_of(line) == out
    assert len(run_matte("report", report, "--worst", "9")[1].splitlines()) == 3
    approve(folders)
    run_matte(*command, "--prune-alpha", "all")
    code, _, err = run_matte(*command, "--report", report)
    assert (code, "1 done, 1 skipped" in err) == (0, True), err
    listed = run_matte("report", report, "--worst", "9")[1].splitlines()
    assert [Path(text.split(",")[0]).name for text in listed[1:]] == ["c.png"]


def test_a_report_whose_outputs_are_gone_has_no_approved_photos(tmp_path: Path) -> None:
    line = {"name": "a", "image": str(tmp_path / "a.png"), "output": str(tmp_path / "gone" / "a.png"), "status": "done"}
    assert count_approved(Run([line])) == 0


@pytest.mark.usefixtures("networks_once")
def test_an_approval_outlives_a_redo_that_cannot_write(
    folders: Folders, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, trimaps, out = folders
    command = ("batch", photos, out, "-t", trimaps)
    assert run_matte(*command)[0] == 0
    alpha = approve(folders)

    def full(*_: object, **__: object) -> None:
        raise InputError("a_alpha.png cannot be written (No space left on device)")

    with monkeypatch.context() as patched:
        patched.setattr("mattecli.batch.worker.write_outputs", full)
        assert run_matte(*command, "--redo")[0] == 1
    found = approvals(out).load(photos / "a.png", trimaps / "a.png", size=(SIDE, SIDE))
    assert found is not None
    assert np.array_equal(found.alpha, alpha)


def test_an_approval_counts_although_an_older_one_came_from_a_clock_that_is_ahead(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, trimaps, out = folders
    pair = photos / "a.png", trimaps / "a.png"
    ours = Journal(out)  # before the others wrote
    now = time.time_ns()
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: now + 3600 * 10**9)
        approve(folders)
    alpha, trimap = painted()
    other = np.where(trimap == 128, np.float32(0.75), alpha)
    Approvals(out, ours).add(*pair, other, trimap, facts=FACTS)
    found = approvals(out).load(*pair, size=(SIDE, SIDE))
    assert found is not None
    assert np.array_equal(found.alpha, other)
    assert len(list((out / ".matte/approved").glob("*.npz"))) == 1
    Approvals(out, ours).withdraw(*pair)
    assert approvals(out).of(*pair) is None
    Approvals(out, ours).add(*pair, alpha, trimap, facts=FACTS)
    assert approvals(out).of(*pair) is not None
    ours.close()


def test_a_running_batch_takes_an_alpha_that_was_approved_anew_since_it_began(folders: Folders) -> None:
    photos, trimaps, out = folders
    pair = photos / "a.png", trimaps / "a.png"
    approve(folders)
    running = approvals(out)
    alpha = approve(folders)  # and the older file is gone
    found = running.load(*pair, size=(SIDE, SIDE))
    assert found is not None
    assert np.array_equal(found.alpha, alpha)
    journal = Journal(out)
    Approvals(out, journal).withdraw(*pair)
    journal.close()
    assert running.load(*pair, size=(SIDE, SIDE)) is None


@pytest.mark.usefixtures("networks_once")
def test_a_dry_run_tells_approved_alphas_from_kept_ones(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    command = ("batch", photos, out, "-t", trimaps, "--keep-alpha", "--what", "cutout")
    assert run_matte("batch", photos, out, "-t", trimaps, "--keep-alpha")[0] == 0
    approve(folders)
    code, told, _ = run_matte(*command, "--dry-run")
    assert code == 0
    assert "with its approved alpha" in told
    assert "; 1 kept alpha is taken; 1 approved alpha is taken" in told
    lines = [json.loads(text) for text in run_matte(*command, "--dry-run", "--json")[1].splitlines()]
    assert [(line.get("kept"), line.get("approved")) for line in lines[:2]] == [(None, True), (True, None)]
    assert lines[-1]["summary"].items() >= {"kept": 1, "approved": 1}.items()


def test_a_photo_with_a_new_time_is_hashed_once_and_not_at_each_look(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, trimaps, out = folders
    approve(folders)
    os.utime(photos / "a.png", ns=(1, 1))
    opened: list[str] = []
    sha256_of = files.sha256_of
    monkeypatch.setattr(files, "sha256_of", lambda path: (opened.append(str(path)), sha256_of(path))[1])
    for _ in range(3):
        assert approvals(out).of(photos / "a.png", trimaps / "a.png") is not None
    assert opened == [str(photos / "a.png")]
