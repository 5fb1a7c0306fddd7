"""`matte batch --keep-alpha`: what a second run with other outputs need not do."""

import json
import os
from pathlib import Path

import pytest

from tests.conftest import RunMatte
from tests.support.batches import lines_of, make_folders, outputs_in, write_photo
from tests.support.fresh import modules_after

pytestmark = pytest.mark.usefixtures("networks_once")

Folders = tuple[Path, Path, Path]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Two photos with trimaps; and where the outputs go."""
    return make_folders(tmp_path, ("a.png", "sub/c.png"))


def kept_in(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / ".matte/alphas").glob("*")}


def test_a_run_with_other_outputs_takes_kept_alphas_and_loads_no_network(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    assert run_matte("batch", photos, out, "-t", trimaps, "--keep-alpha")[0] == 0
    assert len(kept_in(out)) == 2
    report = tmp_path / "run.jsonl"
    other = ("-t", trimaps, "--what", "alpha:tiffloat,composite:png,cutout", "-b", "white")
    modules = modules_after("batch", photos, out, *other, "--report", report)
    assert not modules & {"torch", "onnxruntime"}
    fresh = tmp_path / "fresh"
    _, _, err = run_matte("batch", photos, fresh, *other)
    assert "2 done" in err
    assert outputs_in(fresh) == outputs_in(out) - {"a_alpha.png", "sub/c_alpha.png"}
    for name in outputs_in(fresh):
        assert (out / name).read_bytes() == (fresh / name).read_bytes(), name
    line = lines_of(report)["a.png"]
    assert (line["status"], line["tile"], line["weights"]["name"]) == ("done", "off", "a2u_shared")
    assert line["device"].startswith(("cpu", "cuda"))
    assert "0 done, 2 skipped" in run_matte("batch", photos, out, *other)[2]


def test_alphas_are_not_kept_unless_asked_for(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    run_matte("batch", photos, out, "-t", trimaps)
    assert kept_in(out) == {}


def test_finished_photos_without_a_kept_alpha_are_told(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    command = ("batch", photos, out, "-t", trimaps, "--precision", "fp32")  # else bf16 is made anew in fp32
    run_matte(*command)
    write_photo(photos / "a.png", number=9)
    told = "finished photos have no kept alpha; --redo makes them, and throws away those that were approved"
    assert f"1 {told}" in run_matte(*command, "--keep-alpha", "--dry-run")[2]
    assert f"1 {told}" in run_matte(*command, "--keep-alpha")[2]
    assert told not in run_matte(*command)[2]
    assert told not in run_matte(*command, "--keep-alpha", "--redo")[2]
    assert told not in run_matte(*command, "--keep-alpha")[2]


@pytest.mark.parametrize("change", ["photo", "trimap", "snap", "precision", "redo", "damaged", "missing", "space"])
def test_an_alpha_that_would_be_another_is_found_again(folders: Folders, run_matte: RunMatte, change: str) -> None:
    photos, trimaps, out = folders
    command: list[object] = ["batch", photos, out, "-t", trimaps, "--keep-alpha", "--what", "cutout"]
    run_matte(*command)
    before = kept_in(out)
    first = (out / "a_cutout.png").read_bytes()
    command += {"snap": ["--snap", "3"], "precision": ["--precision", "bf16"], "redo": ["--redo"]}.get(change, [])
    command += ["--input-space", "srgb"] if change == "space" else []
    if change == "photo":
        write_photo(photos / "a.png", number=9)
    elif change == "trimap":
        os.utime(trimaps / "a.png", (1000, 1000))
    elif change in ("damaged", "missing"):
        (out / "a_cutout.png").unlink()
        for path in (out / ".matte/alphas").iterdir():
            path.write_bytes(b"damaged") if change == "damaged" else path.unlink()
    code, _, err = run_matte(*command)
    assert code == 0
    assert "device: " in err
    if change == "redo":
        assert set(kept_in(out)) == set(before)
    elif change in ("damaged", "missing"):
        assert (out / "a_cutout.png").read_bytes() == first
        assert list(kept_in(out).values()).count(b"damaged") == int(change == "damaged")  # of a photo that is done
    else:
        assert set(kept_in(out)) - set(before)


def test_runs_with_kept_and_found_alphas_mix_in_one_journal(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    run_matte("batch", photos, out, "-t", trimaps, "--keep-alpha", "--no-recursive")
    report = tmp_path / "run.jsonl"
    command = ("batch", photos, out, "-t", trimaps, "--what", "cutout", "--report", report)
    assert "2 done" in run_matte(*command)[2]
    made = lines_of(report)
    assert "2 skipped" in run_matte(*command)[2]
    for name in ("a.png", "sub/c.png"):
        skipped = lines_of(report)[name]
        assert {skipped[key] for key in ("device", "backend")} == {made[name][key] for key in ("device", "backend")}
        assert skipped["weights"] == made[name]["weights"]


def test_a_photo_of_the_same_size_and_time_elsewhere_does_not_get_the_alpha(
    run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = make_folders(tmp_path, ("a.png", "b.png"))
    content = max((photos / name).stat().st_size for name in ("a.png", "b.png"))
    for name in ("a.png", "b.png"):
        path = photos / name
        path.write_bytes(path.read_bytes().ljust(content, b"\0"))  # decoders ignore what follows a PNG's end
        for file in (path, trimaps / name):
            os.utime(file, (1_700_000_000, 1_700_000_000))
    run_matte("batch", photos, out, "-t", trimaps, "--keep-alpha")
    assert len(kept_in(out)) == 2


def test_a_dry_run_tells_the_bytes_and_which_alphas_are_kept(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    command = ("batch", photos, out, "-t", trimaps, "--keep-alpha")
    _, stdout, _ = run_matte(*command, "--dry-run", "--json")
    summary = json.loads(stdout.splitlines()[-1])["summary"]
    assert "keeping the other alphas takes at most" in run_matte(*command, "--dry-run")[1]
    run_matte(*command)
    real = sum(map(len, kept_in(out).values()))
    assert 0 < real <= summary["kept_bytes"]
    _, stdout, _ = run_matte(*command, "--what", "cutout", "--dry-run", "--json")
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert [line["kept"] for line in lines[:-1]] == [True, True]
    assert lines[-1]["summary"]["kept"] == 2
    assert "device" not in lines[-1]["summary"]
    shown = run_matte(*command, "--what", "cutout", "--dry-run")[1]
    assert "with its kept alpha" in shown
    assert "2 kept alphas are taken" in shown


def test_pruning_leaves_the_alphas_of_this_command(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, trimaps, out = folders
    command = ("batch", photos, out, "-t", trimaps)
    run_matte(*command, "--keep-alpha")
    run_matte(*command, "--keep-alpha", "--snap", "3")
    assert len(kept_in(out)) == 4
    code, _, err = run_matte(*command, "--prune-alpha", "unused")
    assert (code, len(kept_in(out))) == (0, 2)
    assert "2 kept alphas removed" in err
    assert "2 left" in err
    code, _, err = run_matte(*command, "--prune-alpha", "unused", "--shard", "1/2")
    assert code == 2
    assert "--prune-alpha unused needs the list of all photos" in err
    assert run_matte(*command, "--prune-alpha", "all", "--dry-run")[0] == 2
    for options in (
        ["--report", "r.jsonl"],
        ["--json"],
        ["--max-failures", "3"],
        ["--engine", "ray", "--workers", "2"],
        ["--engine", "ray"],
        ["--ray-address", "host:1"],
        ["--redo"],
        ["--overwrite"],
    ):
        code, _, err = run_matte(*command, "--prune-alpha", "all", *options)
        assert (code, f"{options[-2:][0]} would do nothing with --prune-alpha" in err) == (2, True), err
    preset = tmp_path / "catalogue.toml"
    preset.write_text(
        '[batch]\nreport = "run.jsonl"\nredo = true\noverwrite = true\n'
    )  # with the same command means its preset, too
    assert run_matte(*command, "--prune-alpha", "all", "--preset", preset)[0] == 0
    assert kept_in(out) == {}


def test_a_folder_of_alphas_that_is_a_link_outside_is_refused(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / ".matte").mkdir(parents=True)
    (out / ".matte/alphas").symlink_to(elsewhere)
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--keep-alpha")
    assert code == 3
    assert "remove the link" in err


def test_a_run_that_changes_only_the_finishing_takes_the_kept_alphas(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    command = ["-t", trimaps, "--what", "alpha:png16,composite", "-b", "white", "--keep-alpha"]
    run_matte("batch", photos, out, *command, "--canvas", "40x40", "--margin", "4")
    finish = ("--canvas", "40x40", "--margin", "6", "--choke", "1")
    _, _, err = run_matte("batch", photos, out, *command, *finish)
    assert "device: " not in err
    assert "2 done" in err
    fresh = tmp_path / "fresh"
    run_matte("batch", photos, fresh, *command, *finish)
    assert outputs_in(fresh)
    for name in outputs_in(fresh):
        assert (out / name).read_bytes() == (fresh / name).read_bytes(), name
    assert "0 done, 2 skipped" in run_matte("batch", photos, out, *command, *finish)[2]


@pytest.mark.parametrize("gone", ["a.png", "sub"])
def test_pruning_keeps_the_alphas_of_photos_that_only_lack_their_trimap_now(
    folders: Folders, run_matte: RunMatte, gone: str
) -> None:
    photos, trimaps, out = folders
    command = ("batch", photos, out, "-t", trimaps)
    run_matte(*command, "--keep-alpha")
    (trimaps / gone).rename(trimaps / "elsewhere")
    code, _, err = run_matte(*command, "--prune-alpha", "unused")
    name = "sub/c.png" if gone == "sub" else "a.png"
    told = f"nothing was removed, as it is not known which alphas belong to photos that fail: {name};"
    assert (code, told in err) == (3, True), err
    assert len(kept_in(out)) == 2
    assert run_matte(*command, "--prune-alpha", "all")[0] == 0
    assert kept_in(out) == {}


def test_reports_of_skipped_photos_name_only_alphas_that_are_kept_now(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    report = tmp_path / "run.jsonl"
    command = ("batch", photos, out, "-t", trimaps, "--keep-alpha", "--report", report)
    run_matte(*command)
    made = lines_of(report)["a.png"]["kept"]
    run_matte(*command)
    assert lines_of(report)["a.png"]["kept"] == made
    run_matte("batch", photos, out, "-t", trimaps, "--prune-alpha", "all")
    run_matte(*command)
    assert "kept" not in lines_of(report)["a.png"]
    assert lines_of(report)["a.png"]["status"] == "skipped"
    run_matte(*command, "--what", "cutout")
    run_matte(*command)
    assert lines_of(report)["a.png"]["kept"] == made  # which the cut-out's run made anew
