"""Edges, placement and shadows on the command line."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mattecli.imaging.image import Image
from mattecli.imaging.read import read_alpha, read_image
from mattecli.imaging.write import write_alpha, write_image
from tests.conftest import RunMatte


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with photo.png (120×90), its alpha with a speck, its trimap, and beach.png."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    alpha = np.zeros((90, 120), np.float32)
    cv2.circle(alpha, (60, 45), 25, 1.0, -1, cv2.LINE_AA)
    trimap = np.full((90, 120), 128, np.uint8)
    trimap[alpha == 1], trimap[:8], trimap[:, :8] = 255, 0, 0
    trimap[40:50, 50:70] = 255
    alpha[15:17, 15:17] = 0.8
    alpha[44:46, 59:61] = 0.5
    write_image("photo.png", Image(rng.integers(0, 256, (90, 120, 3), np.uint8)))
    write_alpha("alpha.png", alpha)
    write_image("trimap.png", Image(trimap))
    write_image("beach.png", Image(rng.integers(0, 256, (30, 20, 3), np.uint8)))
    return tmp_path


def test_a_composite_is_cleaned_placed_and_given_a_shadow(folder: Path, run_matte: RunMatte) -> None:
    code, _, err = run_matte(
        *("composite", "photo.png", "alpha.png", "-b", "white", "-o", "out.png", "--trimap", "trimap.png"),
        *("--min-area", "20", "--fill-holes", "10", "--canvas", "200x100", "--fill", "80%", "--shadow", "contact"),
    )
    assert code == 0
    assert "1 speck was removed, 3 pixels in all" in err
    assert "1 hazy hole was filled, 4 pixels in all" in err
    assert "the subject is enlarged to" in err
    pixels = read_image("out.png").pixels
    assert pixels.shape == (100, 200, 3)
    assert (pixels[:, :40] == 255).all()
    assert (pixels[50, 80:120] < 255).any()


def test_several_backgrounds_get_a_file_each_with_their_names(folder: Path, run_matte: RunMatte) -> None:
    code, out, _ = run_matte(
        *(
            "composite",
            "photo.png",
            "alpha.png",
            "-b",
            "white",
            "-b",
            "beach.png",
            "-b",
            "#00b140",
            "-b",
            "transparent",
        ),
        *("--out-dir", "out", "--json"),
    )
    assert code == 0
    names = {name: f"out/photo_composite_{name}.png" for name in ("white", "beach", "00b140", "transparent")}
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(Path(name).name for name in names.values())
    facts = json.loads(out)
    assert facts["background"] == ["white", "beach.png", "#00b140", "transparent"]
    assert facts["output"] == dict(zip(facts["background"], names.values(), strict=True))
    assert run_matte("composite", "photo.png", "alpha.png", "-b", "beach.png", "-o", "one.png")[0] == 0
    assert np.array_equal(read_image("one.png").pixels, read_image(names["beach"]).pixels)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-b", "white", "-b", "red"], "several backgrounds need --out-dir"),
        (["-b", "a/x.png", "-b", "b/x.jpg", "--out-dir", "out"], "two backgrounds have the same name"),
        (["-b", "white", "-o", "x.png", "--out-dir", "out"], "-o names one file and --out-dir a folder"),
        (["-b", "white", "--choke", "1", "--spread", "1"], "--choke and --spread move the edge in opposite directions"),
        (["-b", "white", "--fill", "80%"], "--fill does nothing without --canvas"),
        (["-b", "white", "--canvas", "big"], "--canvas must be WIDTHxHEIGHT in pixels, such as 2000x2000, not big"),
        (["-b", "white", "--levels", "9"], "--levels must be BLACK,WHITE or BLACK,WHITE,GAMMA"),
        (["-b", "white", "--hair", "120"], "--hair must be a percentage from 0 to 100, not 120"),
        (["-b", "white", "--feather", "x"], "--feather must be 0 or more pixels, or per cent of the diagonal"),
        (["-b", "white", "--rotate", "50"], "--rotate must be a number from -45 to 45, not 50"),
        (["-b", "white", "--shadow", "long"], "--shadow must be keep, contact or drop, not 'long'"),
        (["-b", "white", "--canvas", "9x9", "--at", "left"], "--at must be centre, mass, bottom, bottom:12% or x,y"),
    ],
)
def test_odd_options_are_named(folder: Path, run_matte: RunMatte, options: list[str], words: str) -> None:
    code, _, err = run_matte("composite", "photo.png", "alpha.png", *options)
    assert code == 2
    assert words in " ".join(err.split())


def test_a_busy_background_keeps_no_shadow(folder: Path, run_matte: RunMatte) -> None:
    code, _, err = run_matte("composite", "photo.png", "alpha.png", "-b", "white", "--shadow", "keep")
    assert code == 3
    assert "photo.png: the background is not near-white" in " ".join(err.split())
    assert "--shadow contact" in " ".join(err.split())


def test_predict_finishes_all_its_outputs_alike(folder: Path, run_matte: RunMatte) -> None:
    predict = ("predict", "photo.png", "-t", "trimap.png", "--device", "cpu")
    options = (
        "--what",
        "alpha,cutout,composite",
        "-b",
        "white",
        "--canvas",
        "200x200",
        "--fill",
        "90%",
        "--choke",
        "1",
    )
    assert run_matte(*predict, "-o", "plain.png")[0] == 0
    code, _, err = run_matte(*predict, *options, "--out-dir", "out")
    assert code == 0
    assert err.count("the subject is enlarged to") == 1
    alpha = read_alpha("out/photo_alpha.png")
    cutout = read_image("out/photo_cutout.png", keep_alpha=True).pixels
    composite = read_image("out/photo_composite.png").pixels
    assert alpha.shape == cutout.shape[:2] == composite.shape[:2] == (200, 200)
    assert np.array_equal(cutout[..., 3], np.rint(alpha * 255))
    assert (composite[alpha == 0] == 255).all()
    assert read_alpha("plain.png").shape == (90, 120)


def test_predict_refuses_a_shadow_that_nothing_shows(folder: Path, run_matte: RunMatte) -> None:
    code, _, err = run_matte("predict", "photo.png", "-t", "trimap.png", "--shadow", "drop")
    assert code == 2
    assert "--shadow is seen in cut-outs and composites only" in err
