"""Where trimaps come from, as users meet it: which sources go together, `--auto`, `--key` and `--resize-trimap`."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from mattecli.imaging.read import read_alpha
from mattecli.trimaps.pairs import read_trimap
from tests.conftest import RunMatte
from tests.support.auto import write_model
from tests.support.pictures import write

HEIGHT, WIDTH = 90, 120


def disc() -> NDArray[np.uint8]:
    return np.asarray(cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (60, 45), 26, 255, -1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """photo.png, a red disc before green; its mask and trimap; strokes; photos/ with two copies; garbages/ for one."""
    mask = disc()
    photo = np.where(mask[..., None] > 0, (200, 50, 40), (20, 200, 60)).astype(np.uint8)
    ring = cv2.dilate(mask, np.ones((7, 7))) - cv2.erode(mask, np.ones((7, 7)))
    strokes, garbage = np.full((HEIGHT, WIDTH), 128, np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    strokes[42:48, 45:75], strokes[5:85, 4:9] = 255, 0
    garbage[40:50, 55:65] = 255
    painted = np.where(strokes == 128, 0, 255).astype(np.uint8)
    for name, pixels in (
        ("photo", photo),
        ("mask", mask),
        ("trimap", np.where(ring > 0, 128, mask).astype(np.uint8)),
        ("garbage", garbage),
        ("photos/a", photo),
        ("photos/b", photo),
        ("trimaps/a", np.where(ring > 0, 128, mask).astype(np.uint8)),
        ("trimaps/b", np.where(ring > 0, 128, mask).astype(np.uint8)),
        ("garbages/b_garbage", garbage),
    ):
        write(tmp_path / f"{name}.png", pixels)
    PIL.Image.fromarray(np.dstack([strokes] * 3 + [painted])).save(tmp_path / "strokes.png")
    return tmp_path


@pytest.fixture
def model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tiny model of rembg, as `--auto-model` takes it."""
    pytest.importorskip("rembg", reason="rembg is not installed: pip install 'mattecli[auto]'")
    monkeypatch.setenv("U2NET_HOME", str(folder / "rembg"))
    return f"u2net_custom={write_model(folder / 'rembg' / 'm.onnx')}"


WHOLE = {
    "--trimap": ["--trimap", "trimap.png"],
    "--mask": ["--mask", "mask.png"],
    "--box": ["--box", "25%,15%,50%,70%"],
    "--key": ["--key", "auto"],
    "--auto": ["--auto"],
}


@pytest.mark.parametrize(("first", "second"), list(permutations(WHOLE, 2)))
def test_two_sources_of_a_whole_trimap_are_refused(run_matte: RunMatte, first: str, second: str) -> None:
    code, _, err = run_matte("predict", "photo.png", *WHOLE[first], *WHOLE[second])
    assert code == 2
    assert f"{first} and {second} each make" in err or f"{second} and {first} each make" in err
    if "--trimap" not in (first, second):
        code, _, again = run_matte("trimap", "photo.png", *WHOLE[first], *WHOLE[second])
        assert (code, again) == (2, err)


@pytest.mark.parametrize("source", [*WHOLE, "--scribbles"])
def test_strokes_and_garbage_correct_every_source(
    folder: Path, model: str, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(folder)
    options = [*WHOLE.get(source, []), *(["--auto-model", model] if source == "--auto" else [])]
    marks = ["--scribbles", "strokes.png", "--garbage", "garbage.png"]
    code, _, err = run_matte("predict", "photo.png", *options, *marks, "--save-trimap", "made.png")
    assert code == 0, err
    made = read_trimap("made.png")
    assert (made[40:50, 55:65] == 0).all(), "garbage wins over strokes"
    assert (made[43:47, 47:52] == 255).all(), "strokes are certain"
    assert (made[10:80, 5:8] == 0).all()
    assert "contradict" in err
    alpha = read_alpha("photo_alpha.png")
    assert (alpha[made == 0] == 0).all()
    if source != "--trimap":
        assert run_matte("trimap", "photo.png", *options, *marks, "-o", "alone.png")[0] == 0
        assert (read_trimap("alone.png") == made).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--auto-model", "u2net"], "--auto-model would do nothing without --auto"),
        (["--key", "auto", "--download"], "--download would do nothing without --auto"),
        (["--auto", "--auto-model", "sam"], "--auto-model must be one of birefnet-general-lite, "),
        (["--scribbles", "s.png", "--band", "3"], "--band would do nothing"),
    ],
)
def test_options_that_would_do_nothing_are_refused(run_matte: RunMatte, options: list[str], sentence: str) -> None:
    for command in ("predict", "trimap"):
        code, _, err = run_matte(command, "photo.png", *options)
        assert (code, sentence in err) == (2, True), err


def test_a_missing_trimap_lists_all_the_ways(run_matte: RunMatte) -> None:
    code, _, err = run_matte("predict", "photo.png")
    assert code == 2
    assert all(way in err for way in ("--mask", "--box", "--scribbles", "--key", "--auto", "`matte trimap mask.png"))
    code, _, err = run_matte("batch", ".", "out")
    assert code == 2
    assert all(way in err for way in ("--trimaps", "--masks", "--key", "--auto", "--manifest"))


def test_nothing_is_downloaded_unasked(folder: Path, model: str, run_matte: RunMatte) -> None:
    for command in (["trimap", folder / "photo.png"], ["batch", folder / "photos", folder / "out"]):
        code, _, err = run_matte(*command, "--auto")
        assert code == 4
        assert "the weights of birefnet-general-lite (224 MB, licence: MIT) are not on this machine" in err
    assert not (folder / "out").exists()
    code, _, err = run_matte("trimap", folder / "photo.png", "--auto")
    assert "birefnet-general-lite is a model of rembg: 224 MB, licence: MIT\n" in err


def test_files_are_checked_before_a_model_is_fetched(folder: Path, model: str, run_matte: RunMatte) -> None:
    for command, made in (("trimap", "photo_trimap.png"), ("predict", "photo_alpha.png")):
        (folder / made).write_bytes(b"theirs")
        code, _, err = run_matte(command, folder / "photo.png", "--auto")
        assert (code, f"{made} exists already" in err) == (3, True), err
        code, _, err = run_matte(command, folder / "foto.png", "--auto")
        assert (code, "foto.png does not exist" in err) == (3, True), err


def test_a_batch_by_screen_takes_a_garbage_mask_and_is_done_the_second_time(folder: Path, run_matte: RunMatte) -> None:
    command = ["batch", folder / "photos", folder / "out", "--key", "green", "--garbages", folder / "garbages"]
    code, out, err = run_matte(*command, "--json")
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert all({"trimap", "mask"}.isdisjoint(line) for line in lines)
    alphas = {name: read_alpha(folder / "out" / f"{name}_alpha.png") for name in "ab"}
    assert (alphas["a"][45, 60], alphas["b"][45, 60]) == (1, 0)
    assert alphas["a"][5, 5] == 0
    assert "0 done, 2 skipped" in run_matte(*command)[2]
    assert "1 done, 1 skipped" in run_matte(*command[:5])[2], "without the garbage mask one alpha changes"


def test_a_batch_by_a_model_names_photos_without_a_subject(folder: Path, model: str, run_matte: RunMatte) -> None:
    write(folder / "photos" / "sea.png", np.full((60, 80, 3), (20, 60, 200), np.uint8))
    command = ["batch", folder / "photos", folder / "out", "--auto", "--auto-model", model]
    code, _, err = run_matte(*command)
    assert code == 1
    assert "m.onnx found no subject in" in err
    assert "2 done, 0 skipped, 1 failed" in err
    alpha = read_alpha(folder / "out" / "a_alpha.png")
    assert (alpha[45, 60], alpha[5, 5]) == (1, 0)
    assert "2 done, 0 skipped" in run_matte(*command, "--band", "5")[2]


def test_a_batch_of_trimaps_takes_garbage_masks_and_keeps_what_it_does_not_change(
    folder: Path, run_matte: RunMatte
) -> None:
    command = ["batch", folder / "photos", folder / "out", "--trimaps", folder / "trimaps"]
    assert run_matte(*command)[0] == 0
    assert "1 done, 1 skipped" in run_matte(*command, "--garbages", folder / "garbages")[2]
    assert read_alpha(folder / "out" / "b_alpha.png")[45, 60] == 0


def test_alphas_of_photos_before_a_screen_are_kept(folder: Path, run_matte: RunMatte) -> None:
    command = ["batch", folder / "photos", folder / "out", "--key", "auto", "--keep-alpha"]
    assert "keeping the other alphas takes at most" in run_matte(*command, "--dry-run")[1]
    assert run_matte(*command)[0] == 0
    assert "2 kept alphas are taken" in run_matte(*command, "--what", "cutout", "--dry-run")[1]
    marked = [*command, "--what", "cutout", "--garbages", folder / "garbages"]
    assert "; 1 kept alpha is taken" in run_matte(*marked, "--dry-run")[1]
    code, _, err = run_matte(*command, "--what", "cutout")
    assert (code, "device: " in err) == (0, False)
    assert "1 done, 1 skipped" in run_matte(*marked)[2]


def test_a_folder_of_photos_becomes_a_folder_of_trimaps(folder: Path, run_matte: RunMatte) -> None:
    write(folder / "photos" / "sea.png", np.full((60, 80, 3), (120, 60, 20), np.uint8))
    command = ["trimap", folder / "photos", folder / "made", "--key", "auto"]
    code, _, err = run_matte(*command, "--garbage", folder / "garbages")
    assert code == 1
    assert "sea.png shows no green or blue screen" in err
    assert {path.name for path in (folder / "made").iterdir()} == {"a_trimap.png", "b_trimap.png"}
    assert read_trimap(folder / "made" / "b_trimap.png")[45, 60] == 0
    assert "0 done, 2 there already (--overwrite makes them again), 1 failed" in run_matte(*command)[2]
    code, _, err = run_matte("trimap", folder / "photos", folder / "made", "--box", "1,1,9,9")
    assert (code, "--box and --mask are for one photo" in err) == (2, True)


def test_a_proxys_trimap_is_resized_on_the_way(folder: Path, run_matte: RunMatte) -> None:
    small = cv2.resize(cv2.imread(str(folder / "trimap.png"), 0), (60, 45), interpolation=cv2.INTER_AREA)
    proxy = write(folder / "small" / "a.png", np.asarray(small, np.uint8))
    code, _, err = run_matte("predict", folder / "photo.png", "-t", proxy)
    assert (code, "or add --resize-trimap" in err) == (3, True)
    code, _, err = run_matte("predict", folder / "photo.png", "-t", proxy, "--resize-trimap")
    assert code == 0
    assert "a.png is 60×45 and was brought to 120×90" in err
    assert read_alpha(folder / "photo_alpha.png").shape == (HEIGHT, WIDTH)
    batch = ["batch", folder / "photos", folder / "out", "--trimaps", folder / "small", "--resize-trimap"]
    assert "1 done, 0 skipped, 1 failed" in run_matte(*batch)[2], "the other photo has no trimap"
    assert "0 done, 1 skipped, 1 failed" in run_matte(*batch)[2]
