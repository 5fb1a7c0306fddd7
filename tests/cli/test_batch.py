"""`matte batch`: a folder that can be trusted with a night's work."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from mattecli.batch import worker as worker_module
from mattecli.cli.wording import as_options
from mattecli.imaging.read import read_alpha, read_image
from mattecli.weights import find_checkpoint
from mattecli.work.outcome import Job
from tests.conftest import RunMatte
from tests.support.batches import SIDE, lines_of, make_folders, outputs_in, write_photo, write_trimap
from tests.support.fresh import modules_after

Folders = tuple[Path, Path, Path]
ALPHAS = {"a_alpha.png", "b_alpha.png", "sub/c_alpha.png"}


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Three photos with trimaps, one of them in a subfolder; and where the outputs go."""
    return make_folders(tmp_path)


def test_a_folder_becomes_a_folder_of_alphas_as_predict_makes_them(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    code, stdout, err = run_matte("batch", photos, out, "--trimaps", trimaps)
    assert (code, stdout) == (0, "")
    assert "device: " in err
    assert re.search(r"3 done, 0 skipped, 0 failed \(\d+\.\d s\)", err)
    assert outputs_in(out) == ALPHAS
    run_matte("predict", photos / "sub/c.png", "-t", trimaps / "sub/c.png", "-o", tmp_path / "alone.png")
    assert (out / "sub/c_alpha.png").read_bytes() == (tmp_path / "alone.png").read_bytes()


def test_a_second_run_does_nothing_and_loads_nothing(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    run_matte("batch", photos, out, "-t", trimaps)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    modules = modules_after("batch", photos, out, "-t", trimaps)
    assert "mattecli" in modules
    assert not modules & {"torch", "onnxruntime"}
    assert "0 done, 3 skipped, 0 failed" in run_matte("batch", photos, out, "-t", trimaps)[2]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.png")} == before


@pytest.mark.parametrize("change", ["photo", "trimap", "output", "bits", "snap", "precision", "weights", "content"])
def test_a_rerun_redoes_what_other_inputs_or_options_made(
    folders: Folders, run_matte: RunMatte, tmp_path: Path, change: str
) -> None:
    photos, trimaps, out = folders
    command: list[object] = ["batch", photos, out, "-t", trimaps]
    run_matte(*command, *(["--precision", "fp32"] if change == "precision" else []))
    again = 3
    if change == "photo":
        write_photo(photos / "a.png", number=9)
        again = 1
    elif change == "trimap":
        os.utime(trimaps / "a.png", (1000, 1000))
        again = 1
    elif change == "output":
        (out / "a_alpha.png").unlink()
        again = 1
    elif change == "weights":
        shutil.copy(find_checkpoint().path, tmp_path / "same.safetensors")
        command += ["--weights", tmp_path / "same.safetensors"]
        again = 0  # other name, same weights
    elif change == "content":
        command += ["--compare", "content"]
    else:
        command += {"bits": ["--bits", 16], "snap": ["--snap", 3], "precision": ["--precision", "bf16"]}[change]
    code, stdout, err = run_matte(*command, "--json")
    summary = json.loads(stdout.splitlines()[-1])["summary"]
    assert (code, summary["done"], summary["skipped"]) == (0, again, 3 - again), err
    code, stdout, _ = run_matte(*command, "--json")
    assert json.loads(stdout.splitlines()[-1])["summary"]["skipped"] == 3


def test_comparing_content_sees_through_new_times_and_old_ones(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    command = ("batch", photos, out, "-t", trimaps, "--compare", "content", "--json")
    run_matte(*command)
    os.utime(photos / "a.png", (1000, 1000))
    assert json.loads(run_matte(*command)[1].splitlines()[-1])["summary"]["skipped"] == 3
    times = (photos / "b.png").stat()
    data = bytearray((photos / "b.png").read_bytes())
    other = write_photo(photos.parent / "other.png", number=4).read_bytes()
    (photos / "b.png").write_bytes(other)
    os.utime(photos / "b.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert bytes(data) != other
    assert json.loads(run_matte(*command)[1].splitlines()[-1])["summary"]["done"] == 1


def test_files_of_others_are_not_overwritten_and_named(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    run_matte("batch", photos, out, "-t", trimaps)
    retouched = b"retouched by hand"
    (out / "a_alpha.png").write_bytes(retouched)
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--redo")
    assert code == 1
    assert re.search(r"error: .*a_alpha.png exists already and was not made by a batch .* add --overwrite", err)
    assert "2 done, 0 skipped, 1 failed" in err
    assert (out / "a_alpha.png").read_bytes() == retouched
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--overwrite")
    assert (code, "1 done, 2 skipped, 0 failed" in err) == (0, True)
    assert read_alpha(out / "a_alpha.png").shape == (SIDE, SIDE)


def test_all_kinds_of_output_in_one_pass(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    beach = write_photo(tmp_path / "beach.png", number=12)
    kinds = ("alpha", "cutout", "foreground", "composite")
    command = ("batch", photos, out, "-t", trimaps, "--what", ",".join(kinds), "-b", beach, "--bits", 16, "--json")
    code, stdout, err = run_matte(*command)
    assert code == 0, err
    assert outputs_in(out) == {f"{name}_{kind}.png" for name in ("a", "b", "sub/c") for kind in kinds}
    line = next(line for line in map(json.loads, stdout.splitlines()) if line.get("name") == "a.png")
    assert line["output"] == {kind: str(out / f"a_{kind}.png") for kind in kinds}
    assert line["background"] == str(beach)
    for kind in kinds:
        options = {"alpha": ["--bits", 16], "composite": ["-b", beach]}.get(kind, [f"--{kind}"])
        target = tmp_path / f"{kind}.png"
        run_matte("predict", photos / "a.png", "-t", trimaps / "a.png", "-o", target, *options)
        assert target.read_bytes() == (out / f"a_{kind}.png").read_bytes(), kind
    write_photo(beach, number=3)  # only what is made from it is made again
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    run_matte(*command)
    changed = {name for name, time in before.items() if (out / name).stat().st_mtime_ns != time}
    assert changed == {"a_composite.png", "b_composite.png"}


def test_a_manifest_names_everything(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    _, _, out = folders
    rows = [{"image": "photos/a.png", "trimap": "trimaps/a.png", "output": "x/one.png", "background": "#00ff00"}]
    rows += [{"image": "photos/b.png", "trimap": "trimaps/b.png"}]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    code, _, err = run_matte("batch", out, "--manifest", tmp_path / "pairs.jsonl", "-b", "red")
    assert code == 0, err
    assert outputs_in(out) == {"x/one.png", "photos/b_composite.png"}
    assert (read_image(out / "x/one.png").pixels[0, 0] == (0, 255, 0)).all()
    assert (read_image(out / "photos/b_composite.png").pixels[0, 0] == (255, 0, 0)).all()


def test_the_report_says_what_the_contract_asks_for(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    (trimaps / "b.png").unlink()
    report = tmp_path / "run.jsonl"
    command = ("batch", photos, out, "-t", trimaps, "--precision", "fp32")
    code, stdout, _ = run_matte(*command, "--report", report, "--json")
    assert code == 1
    lines = lines_of(report)
    assert {line.get("name", "summary"): line for line in map(json.loads, stdout.splitlines())}.keys() == lines.keys()
    checkpoint = find_checkpoint()
    line = lines["a.png"]
    assert (
        line.items()
        >= {
            "image": str(photos / "a.png"),
            "trimap": str(trimaps / "a.png"),
            "output": str(out / "a_alpha.png"),
            "status": "done",
            "width": SIDE,
            "height": SIDE,
            "unknown": 0.375,
            "backend": "torch",
            "precision": "fp32",
            "weights": {"name": checkpoint.name, "sha256": checkpoint.sha256},
        }.items()
    )
    assert line["seconds"] > 0
    assert line["peak_bytes"] > 10**6
    assert line.keys() >= {"device", "tile"}
    assert (lines["b.png"]["status"], "has no trimap" in lines["b.png"]["reason"]) == ("failed", True)
    assert lines["summary"].items() >= {"total": 3, "done": 2, "failed": 1, "skipped": 0, "left": 0}.items()
    run_matte(*command, "--report", report)
    skipped = lines_of(report)["a.png"]
    assert skipped["status"] == "skipped"
    assert {key: skipped[key] for key in ("unknown", "width", "tile", "weights", "device")} == {
        key: line[key] for key in ("unknown", "width", "tile", "weights", "device")
    }


def test_what_failed_can_be_tried_again_alone(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    (trimaps / "b.png").unlink()
    (photos / "sub/c.png").write_bytes(b"")
    command = ("batch", photos, out, "-t", trimaps, "--report")
    assert run_matte(*command, tmp_path / "1.jsonl")[0] == 1
    write_trimap(trimaps / "b.png")
    write_photo(photos / "new.png")  # not of that run
    code, _, _ = run_matte(*command, tmp_path / "2.jsonl", "--retry-failed", tmp_path / "1.jsonl")
    assert code == 1
    assert {name: line.get("status") for name, line in lines_of(tmp_path / "2.jsonl").items()} == {
        "b.png": "done",
        "sub/c.png": "failed",
        "summary": None,
    }


def test_what_failed_as_a_folder_or_as_a_line_of_a_manifest_is_tried_again_or_told(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    report, manifest = tmp_path / "1.jsonl", tmp_path / "pairs.csv"
    manifest.write_text("image,trimap\nphotos/a.png,trimaps/a.png\n", encoding="utf-8")
    again = ("--retry-failed", report, "--dry-run")
    for image in (photos / "sub", manifest):  # a folder that could not be read, and a line that named no image
        line = {"name": "x", "image": str(image), "status": "failed", "reason": "it failed"}
        report.write_text(json.dumps(line) + "\n", encoding="utf-8")
        code, shown, err = run_matte("batch", photos, out, "-t", trimaps, *again)
        if image == manifest:
            assert (code, "none of the photos that failed" in err) == (3, True)
        else:
            assert (code, shown.splitlines()[-1].startswith("1 to do, 0 done already")) == (0, True), err
            assert "not among these" not in err
    code, _, err = run_matte("batch", out, "--manifest", manifest, *again)
    assert code == 3
    assert f"; if lines of {manifest} were changed, leave --retry-failed out" in err


def test_the_report_of_failed_photos_is_not_replaced_by_their_second_try(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    (photos / "sub/c.png").write_bytes(b"")
    report = tmp_path / "run.jsonl"
    command = ("batch", photos, out, "-t", trimaps, "--report", report)
    assert run_matte(*command)[0] == 1
    before = report.read_bytes()
    code, _, err = run_matte(*command, "--retry-failed", report)
    assert code == 2
    assert "give the report of this run another name" in err
    assert report.read_bytes() == before


def test_shards_make_the_whole(tmp_path: Path, run_matte: RunMatte) -> None:
    names = [f"{n}.png" for n in range(8)]
    photos, trimaps, out = make_folders(tmp_path, names)
    (trimaps / "3.png").unlink()
    codes, lines = [], []
    for part in ("1/3", "2/3", "3/3"):
        report = tmp_path / f"{part[0]}.jsonl"
        codes.append(run_matte("batch", photos, out, "-t", trimaps, "--shard", part, "--report", report)[0])
        lines += [name for name in lines_of(report) if name != "summary"]
    assert sorted(lines) == names
    assert sorted(codes) == [0, 0, 1]
    assert outputs_in(out) == {f"{n}_alpha.png" for n in range(8) if n != 3}


def test_too_many_failures_stop_the_run(tmp_path: Path, run_matte: RunMatte) -> None:
    photos, trimaps, out = make_folders(tmp_path, [f"{n}.png" for n in range(20)])
    for number in range(12):
        (photos / f"{number}.png").write_bytes(b"no picture")
    command = ("batch", photos, out, "-t", trimaps, "--report", tmp_path / "run.jsonl")
    code, _, err = run_matte(*command, "--max-failures", "3")
    summary = lines_of(tmp_path / "run.jsonl")["summary"]
    assert (code, summary["failed"] >= 4, summary["left"] > 0) == (1, True, True)
    assert re.search(r"error: stopped: \d+ of 20 photos failed, more than the 3 allowed", err)
    assert run_matte(*command, "--max-failures", "60%")[0] == 1
    summary = lines_of(tmp_path / "run.jsonl")["summary"]
    assert (summary["failed"], summary["done"] + summary["skipped"], summary["left"]) == (12, 8, 0)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to see what is written")
@pytest.mark.parametrize("written", ["output", "journal"])
def test_a_full_disk_stops_the_run_after_its_summary(
    tmp_path: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    photos, trimaps, out = make_folders(tmp_path, [f"{n}.png" for n in range(20)])
    command = ("batch", photos, out, "-t", trimaps, "--report", tmp_path / "run.jsonl")
    fsync, synced = os.fsync, []

    def full(descriptor: int) -> None:
        name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        synced.append(name)
        if len(synced) > 6 and name.endswith("jsonl" if written == "journal" else "tmp"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        code, _, err = run_matte(*command)
    summary = lines_of(tmp_path / "run.jsonl")["summary"]
    assert (code, summary["done"] > 0, summary["failed"] > 0, summary["left"] > 5) == (1, True, True, True), err
    assert "cannot be written (No space left on device)" in err
    told = "error: stopped: the disk is full, or its quota used up; free some space and run the same command again"
    assert err.count(told) == 1
    assert "bug" not in err
    code, _, err = run_matte(*command)
    assert (code, "0 failed" in err) == (0, True), err


def test_a_dry_run_touches_nothing_and_tells_all(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    (trimaps / "b.png").unlink()
    code, stdout, _ = run_matte("batch", photos, out, "-t", trimaps, "--dry-run")
    assert (code, out.exists()) == (1, False)
    assert re.search(rf"fails    .*b.png has no trimap in {re.escape(str(trimaps))}", stdout)
    pair = rf"{re.escape(str(photos))}/a.png \+ {re.escape(str(trimaps))}/a.png → {re.escape(str(out))}/a_alpha.png"
    assert re.search(rf"to do    {pair}, {SIDE}×{SIDE}, \d+ MiB", stdout)
    assert re.search(r"2 to do, 0 done already, 1 would fail; .* megapixels, about .* s on .*, at most \d+ MiB", stdout)
    run_matte("batch", photos, out, "-t", trimaps)
    code, stdout, _ = run_matte("batch", photos, out, "-t", trimaps, "--dry-run", "--json")
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert {line["name"]: line["status"] for line in lines[:-1]} == {
        "a.png": "skipped",
        "b.png": "failed",
        "sub/c.png": "skipped",
    }
    assert lines[-1]["summary"]["skipped"] == 2


def test_a_dry_run_names_what_would_fail_and_what_is_done(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    command = ("batch", photos, out, "-t", trimaps)
    write_trimap(trimaps / "b.png", width=SIDE + 1)
    code, stdout, _ = run_matte(*command, "--dry-run", "--max-memory", "1M")
    *lines, summary = stdout.splitlines()
    assert code == 1
    assert [line.partition(" ")[0] for line in lines] == ["fails"] * 3
    assert sum("b.png" in line and f"{SIDE + 1}×{SIDE}" in line for line in lines) == 1
    assert sum("--max-memory" in line for line in lines) == 2
    assert summary == "0 to do, 0 done already, 3 would fail"  # no time and no memory of nothing
    stdout = run_matte(*command, "--dry-run", "--max-memory", "1M", "--json")[1]
    assert ("--max-memory" in stdout, "`" in stdout) == (True, False)
    run_matte(*command)
    code, stdout, _ = run_matte(*command, "--dry-run")
    assert code == 1
    assert stdout.count("is done  ") == 2
    assert stdout.splitlines()[-1] == "0 to do, 2 done already, 1 would fail"


def test_a_dry_run_fails_what_the_run_would_fail_for_its_outputs(
    tmp_path: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folders(tmp_path, ["a.png", "b.png", "c.png", f"{'d' * 246}.png"])
    monkeypatch.chdir(tmp_path)
    lines = ["a.png,cat.jpg", "b.png,dog", "c.png,sub/c.png", f"{'d' * 246}.png,"]
    lines = [f"photos/{name},trimaps/{name},{output}" for name, output in (line.split(",") for line in lines)]
    Path("pairs.csv").write_text("\n".join(["image,trimap,output", *lines]))
    command = ("batch", "out", "--manifest", "pairs.csv")
    code, stdout, _ = run_matte(*command, "--dry-run")
    assert (code, Path("out").exists()) == (1, False)
    assert "out/cat.jpg would not keep the values of a matte" in stdout
    assert "out/dog has no suffix" in stdout
    assert "the name is too long for its disk" in stdout
    assert stdout.splitlines()[-1].startswith("1 to do, 0 done already, 3 would fail")
    assert "1 done, 0 skipped, 3 failed" in run_matte(*command)[2]


def test_a_folder_of_horrors_names_each_and_mattes_the_rest(tmp_path: Path, run_matte: RunMatte) -> None:
    good = [
        "plain.png",
        "with space.png",
        'it\'s "quoted".png',
        "line\nbreak.png",
        "🦊 Füchse.png",
        "-dash.png",
        "{x}.png",
    ]
    photos, trimaps, out = make_folders(tmp_path, [*good, "damp/sub dir/deep.png"])
    write_photo(photos / "truncated.jpg", width=100, height=100)
    (photos / "truncated.jpg").write_bytes((photos / "truncated.jpg").read_bytes()[:900])
    (photos / "text.png").write_text("I am no picture")
    (photos / "zero.png").write_bytes(b"")
    for name in ("truncated.jpg", "wrong size.png", "missing.png"):
        if not (photos / name).exists():
            write_photo(photos / name, number=5)
    for name in ("truncated", "text", "zero", "wrong size"):
        write_trimap(trimaps / f"{name}.png", width=100, height=100)
    (photos / "folder.jpg").mkdir()
    (photos / "damp/loop").symlink_to(photos)
    (photos / "self.png").symlink_to("self.png")
    report = tmp_path / "run.jsonl"
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--report", report)
    lines = lines_of(report)
    failed = {name: line["reason"] for name, line in lines.items() if line.get("status") == "failed"}
    expected = {
        "truncated.jpg": "truncated or damaged",
        "text.png": "is not an image that can be read",
        "zero.png": "is empty (0 bytes)",
        "wrong size.png": "is 100×100 but",
        "missing.png": "has no trimap",
        "folder.jpg": "is a folder with a picture's name",
        "damp/loop": "is a link back to",
        "self.png": "a link in a circle",
    }
    assert code == 1
    assert failed.keys() == expected.keys()
    for name, reason in expected.items():
        assert reason in failed[name], name
        assert as_options(failed[name]) in err, name
    assert {name for name, line in lines.items() if line.get("status") == "done"} == {*good, "damp/sub dir/deep.png"}
    assert len(outputs_in(out)) == len(good) + 1
    for name in good:
        assert read_alpha(out / name.replace(".png", "_alpha.png")).shape == (SIDE, SIDE)


def test_a_name_with_a_line_break_is_shown_on_one_line(tmp_path: Path, run_matte: RunMatte) -> None:
    photos, trimaps, out = make_folders(tmp_path, ["a.png"])
    write_photo(photos / "line\nbreak\x1b[31m.png")
    _, _, err = run_matte("batch", photos, out, "-t", trimaps)
    assert "line\\nbreak\\x1b[31m.png has no trimap" in err


def test_a_name_that_is_too_long_for_an_output_fails_alone(tmp_path: Path, run_matte: RunMatte) -> None:
    photos, trimaps, out = make_folders(tmp_path, [f"{'a' * 246}.png", "b.png"])
    code, _, err = run_matte("batch", photos, out, "-t", trimaps)
    assert (code, outputs_in(out)) == (1, {"b_alpha.png"})
    assert "_alpha.png cannot be written: the name is too long for its disk; name another output" in err
    names = (folder / f"{'a' * 246}.png" for folder in (photos, trimaps))
    code, _, err = run_matte("predict", next(names), "-t", next(names))
    assert (code, "the name is too long for its disk" in err) == (3, True)


def test_files_whose_names_are_not_text_are_matted(tmp_path: Path, run_matte: RunMatte) -> None:
    photos, trimaps, out = make_folders(tmp_path, ["a.png"])
    raw = os.fsdecode(b"raw\xff.png")
    try:
        shutil.copy(photos / "a.png", photos / raw)
    except OSError:
        pytest.skip("this file system takes names that are text only")
    shutil.copy(trimaps / "a.png", trimaps / raw)
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--report", tmp_path / "r.jsonl", "--verbose")
    assert (code, lines_of(tmp_path / "r.jsonl")[raw]["status"]) == (0, "done"), err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["photos", "-t", "trimaps"], "is the only folder given"),
        (["photos", "out"], "the photos need trimaps"),
        (["photos", "out", "-t", "trimaps", "--manifest", "m.csv"], "a manifest names the photos and trimaps"),
        (["photos", "out", "-t", "trimaps", "--shard", "0/4"], "--shard must be 1/4 to 4/4 for four machines, not 0/4"),
        (["photos", "out", "-t", "trimaps", "--shard", "5/4"], "--shard must be 1/4 to 4/4 for four machines, not 5/4"),
        (["photos", "out", "-t", "trimaps", "--what", "alpha,hair"], "not 'hair'"),
        (["photos", "out", "-t", "trimaps", "--what", "composite"], "a composite needs a background"),
        (["photos", "out", "-t", "trimaps", "--what", "alpha", "-b", "red"], "--background is for composites"),
        (["photos", "out", "-t", "trimaps", "--what", "cutout", "--bits", "16"], "--bits 16 is the depth of an alpha"),
        (["photos", "out", "-t", "trimaps", "--name", "{stem}.png", "--what", "alpha,cutout"], "the same file"),
        (["photos", "out", "-t", "trimaps", "--max-failures", "many"], "must be a number or a percentage"),
        (["photos", "out", "-t", "trimaps", "--workers", "2"], "add --engine ray"),
        (["photos", "out", "-t", "trimaps", "--max-memory", "much"], "must be an amount of memory"),
    ],
)
def test_options_that_contradict_each_other_are_usage_errors(
    folders: Folders, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(folders[0].parent)
    code, _, err = run_matte("batch", *arguments)
    assert (code, told in err) == (2, True), err
    assert not folders[2].exists()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["photos", "out", "-t", "trimaps", "--bits", "float"], 3, "cannot hold floating point (PNG); name a .tif"),
        (["photos", "out", "-t", "trimaps", "--name", "{stem}.gif"], 3, "unknown suffix .gif"),
        (["photos", "out", "-t", "trimaps", "--name", "{stem}.jpg", "--what", "cutout"], 3, "cannot hold transparency"),
        (["photos", "out", "-t", "nowhere"], 3, "nowhere is not a folder"),
        (["photos", "photos/a.png/out", "-t", "trimaps", "--no-recursive"], 3, "photos/a.png/out cannot be created"),
        (["photos", "photos/out", "-t", "trimaps"], 3, "name a folder outside"),
        (["photos", "out", "-t", "trimaps", "--report", "nowhere/run.jsonl"], 3, "cannot be written"),
        (["photos", "out", "-t", "trimaps", "--report", "photos/a.png"], 3, "exists already and is not a report"),
        (["photos", "out", "-t", "trimaps", "--retry-failed", "gone.jsonl"], 3, "gone.jsonl cannot be read"),
        (
            ["photos", "out", "-t", "trimaps", "--weights", "gone.safetensors"],
            4,
            "neither a file nor a bundled checkpoint",
        ),
        (["photos", "out", "-t", "trimaps", "--device", "cuda:99"], 5, "--device cuda:99"),
    ],
)
def test_a_fault_that_every_photo_would_meet_ends_the_run(
    folders: Folders, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, told: str
) -> None:
    monkeypatch.chdir(folders[0].parent)
    for only_shown in (["--dry-run"], []):
        actual, _, err = run_matte("batch", *arguments, *only_shown)
        assert (actual, told in err) == (code, True), err
        assert not folders[2].exists() or not outputs_in(folders[2])


def test_ray_that_is_not_installed_is_named_with_its_remedy(
    folders: Folders, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, trimaps, out = folders
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--engine", "ray")
    assert (code, 'pip install "mattecli[ray]"' in err) == (5, True), err


def test_a_ray_cluster_that_does_not_answer_is_named(folders: Folders, run_matte: RunMatte) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'mattecli[ray]'")
    photos, trimaps, out = folders
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"  # free again when this block ends
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--engine", "ray", "--ray-address", address)
    assert (code, f"the Ray cluster at {address} cannot be reached" in err) == (5, True), err


def test_memory_that_does_not_suffice_fails_each_photo(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--max-memory", "1M")
    assert (code, "--max-memory" in err, "3 failed" in err) == (1, True, True)


def test_quiet_says_nothing_and_failures_still_count(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    assert run_matte("batch", photos, out, "-t", trimaps, "--quiet") == (0, "", "")
    (photos / "bad.png").write_bytes(b"")
    write_trimap(trimaps / "bad.png")
    code, stdout, err = run_matte("batch", photos, out, "-t", trimaps, "--quiet")
    assert (code, stdout, err.count("\n")) == (1, "", 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interrupt_finishes_what_is_in_work_and_reports(
    tmp_path: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    photos, trimaps, out = make_folders(tmp_path, [f"{n}.png" for n in range(12)])
    find_matte, begun = worker_module.find_matte, []

    def interrupted(job: Job, *args: Any, **options: Any) -> Any:
        begun.append(job.name)
        if len(begun) == 5:
            os.kill(os.getpid(), number)
        return find_matte(job, *args, **options)

    monkeypatch.setattr(worker_module, "find_matte", interrupted)
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--report", tmp_path / "run.jsonl")
    assert (code, len(begun)) == (128 + number, 5)
    assert "finishing the photos in work; press Ctrl-C again to drop them" in err
    summary = lines_of(tmp_path / "run.jsonl")["summary"]
    assert summary.items() >= {"interrupted": True, "done": 5, "failed": 0, "left": 7}.items()
    assert outputs_in(out) == {name.replace(".png", "_alpha.png") for name in begun}
    code, _, err = run_matte("batch", photos, out, "-t", trimaps)
    assert (code, "7 done, 5 skipped" in err) == (0, True), err


def test_the_second_interrupt_drops_what_is_in_work(
    tmp_path: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, trimaps, out = make_folders(tmp_path, [f"{n}.png" for n in range(6)])

    def interrupted_twice(*_: object, **__: object) -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("was not interrupted")

    monkeypatch.setattr(worker_module, "find_matte", interrupted_twice)
    code, _, _ = run_matte("batch", photos, out, "-t", trimaps, "--report", tmp_path / "run.jsonl")
    assert code == 130
    assert lines_of(tmp_path / "run.jsonl")["summary"].items() >= {"interrupted": True, "left": 6}.items()
    assert outputs_in(out) == set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("matte-")]


def test_killed_at_any_moment_nothing_is_half_written_and_a_resume_does_the_rest(tmp_path: Path) -> None:
    """A few rounds of what benchmarks/batch_kill.py does fifty times."""
    from benchmarks.batch_kill import kill_rounds

    rounds = list(kill_rounds(tmp_path, rounds=2, photos=10, seed=1))
    assert [result.problems for result in rounds] == [[], []]
    assert sum(result.killed for result in rounds) >= 1


def test_a_report_of_other_photos_repairs_nothing(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    failed = {"name": "x.jpg", "image": "/elsewhere/x.jpg", "status": "failed", "reason": "gone"}
    report = tmp_path / "run.jsonl"
    report.write_text(json.dumps(failed) + "\n")
    command = ["batch", photos, out, "-t", trimaps, "--retry-failed", report]
    code, _, err = run_matte(*command)
    assert code == 3
    assert "none of the photos that failed" in err
    assert "/elsewhere/x.jpg" in err
    report.write_text(json.dumps(failed) + "\n" + json.dumps({**failed, "image": str(photos / "a.png")}) + "\n")
    code, _, err = run_matte(*command, "--dry-run")
    assert code == 0
    assert f"photos that failed in {report} and are not among these: /elsewhere/x.jpg" in err


def test_options_of_a_composite_without_one_are_refused(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--linear")
    assert code == 2
    assert "--linear would do nothing, because only an alpha is written" in err
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--fit", "tile")
    assert code == 2
    assert "--fit tile would do nothing" in err


def test_pictures_of_other_formats_are_told(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    (photos / "raw.dng").write_bytes(b"x")
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--dry-run")
    assert code == 0
    assert f"pictures of formats that are not taken from folders: {photos}/raw.dng" in err


def test_the_report_says_how_much_a_photo_needs_a_look_and_a_later_run_repeats_it(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    report = tmp_path / "run.jsonl"
    command = ("batch", photos, out, "-t", trimaps, "--report", report)
    run_matte(*command)
    first = {name: line["attention"] for name, line in lines_of(report).items() if name != "summary"}
    assert len(first) == 3
    for found in first.values():
        assert 0 <= found["score"] <= 1
        assert found["version"] == 3
        assert all({"what", "amount", "box"} == set(reason) for reason in found["reasons"])
    run_matte(*command)
    assert {name: line["attention"] for name, line in lines_of(report).items() if name != "summary"} == first
