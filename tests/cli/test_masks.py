"""Masks in place of trimaps on `matte predict` and `matte batch`."""

import json
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from mattecli.trimaps.pairs import read_trimap
from tests.conftest import RunMatte


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """photos/ and masks/ with two pictures of a red disc on blue; core/ with a mask for the first."""
    mask = np.zeros((64, 64), np.uint8)
    cv2.circle(mask, (32, 32), 16, 255, -1)
    photo = np.where(mask[..., None] > 0, (200, 50, 40), (40, 60, 190)).astype(np.uint8)
    core = np.zeros((64, 64), np.uint8)
    core[2:8, 2:8] = 255
    for name, pixels in (("photos/a", photo), ("photos/b", photo), ("masks/a_mask", mask), ("masks/b", mask)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "core").mkdir()
    PIL.Image.fromarray(core).save(tmp_path / "core" / "a.png")
    return tmp_path


def test_a_mask_takes_the_trimaps_place_and_the_trimap_can_be_kept(folder: Path, run_matte: RunMatte) -> None:
    options = ["--mask", folder / "masks" / "b.png", "--core", folder / "core" / "a.png"]
    kept, out = folder / "kept.png", folder / "out.png"
    assert run_matte("predict", folder / "photos" / "a.png", *options, "--save-trimap", kept, "-o", out)[0] == 0
    trimap, alpha = read_trimap(kept), np.asarray(PIL.Image.open(out))
    assert set(np.unique(trimap)) == {0, 128, 255}
    assert (trimap[2:8, 2:8] == 255).all()
    assert (alpha[trimap == 255] == 255).all()
    assert (alpha[trimap == 0] == 0).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "--trimap is missing: a picture of the photo's size"),
        (["-t", "t.png", "--mask", "m.png"], "--trimap and --mask each make a whole trimap; give one of them"),
        (["--core", "c.png"], "--trimap is missing"),
        (["--mask", "m.png", "--resize-trimap"], "--resize-trimap would do nothing without --trimap"),
        (["-t", "t.png", "--erode", "3"], "--erode would do nothing without --mask"),
        (["--mask", "m.png", "--save-trimap", "-"], "--save-trimap takes no -"),
    ],
)
def test_options_that_do_not_go_together_are_refused(run_matte: RunMatte, options: list[str], sentence: str) -> None:
    code, _, err = run_matte("predict", "photo.png", *options)
    assert (code, sentence in err) == (2, True)


def test_a_batch_of_masks_is_made_anew_only_where_the_recipe_or_a_partner_changed(
    folder: Path, run_matte: RunMatte
) -> None:
    command = ["batch", folder / "photos", folder / "out", "--masks", folder / "masks"]
    report = folder / "run.jsonl"
    code, _, err = run_matte(*command, "--report", report)
    assert (code, "2 done, 0 skipped, 0 failed" in err) == (0, True)
    line = json.loads(report.read_text().splitlines()[0])
    assert (Path(line["mask"]).name, "trimap" in line) == ("a_mask.png", False)
    assert "0 done, 2 skipped" in run_matte(*command)[2]
    assert "1 done, 1 skipped" in run_matte(*command, "--cores", folder / "core")[2]
    assert "2 done, 0 skipped" in run_matte(*command, "--band", "2")[2]
    assert run_matte("report", report, "--html", folder / "page.html")[0] == 0


def test_notes_of_a_report_and_its_page_name_options(folder: Path, run_matte: RunMatte) -> None:
    soft = np.pad(np.full((16, 16), 128, np.uint8), 12, constant_values=255)
    PIL.Image.fromarray(np.pad(soft, 12)).save(folder / "masks" / "b.png")
    report, page = folder / "run.jsonl", folder / "page.html"
    command = ["batch", folder / "photos", folder / "out", "--masks", folder / "masks", "--report", report, "--json"]
    code, out, _ = run_matte(*command)
    assert code == 0
    assert run_matte("report", report, "--html", page)[0] == 0
    for told in (out, report.read_text(), page.read_text(encoding="utf-8")):
        assert "this stays unknown, and --solid makes it foreground" in told
