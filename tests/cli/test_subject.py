"""`--scribbles` and `--box`, as users meet them."""

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from mattecli.cli.subject import SubjectOptions, find_trimap
from mattecli.cli.terminal import Terminal
from mattecli.imaging.colour import linear
from mattecli.imaging.image import Image
from mattecli.imaging.read import read_alpha
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.trimaps.pairs import read_trimap
from mattecli.weights import find_checkpoint
from tests.conftest import RunMatte

HEIGHT, WIDTH = 90, 120


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A red disc before a blue background."""
    inside = disc()
    pixels = np.where(inside[..., None], (180, 60, 50), (50, 80, 170)) + np.arange(WIDTH)[None, :, None] % 7
    path = tmp_path / "photo.png"
    PIL.Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def scribbles(tmp_path: Path) -> Path:
    """A transparent layer: a white stroke on the disc, a black one on the background."""
    return save_layer(tmp_path / "strokes.png", labels())


def disc() -> NDArray[np.bool_]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray(np.hypot(y - 45, x - 60) < 26)


def labels() -> NDArray[np.uint8]:
    strokes = np.full((HEIGHT, WIDTH), 128, np.uint8)
    strokes[42:48, 45:75], strokes[5:85, 4:9] = 255, 0
    return strokes


def save_layer(path: Path, strokes: NDArray[np.uint8]) -> Path:
    painted = strokes != 128
    PIL.Image.fromarray(np.dstack([strokes] * 3 + [np.where(painted, 255, 0).astype(np.uint8)])).save(path)
    return path


def test_strokes_give_a_trimap_beside_the_photo(run_matte: RunMatte, photo: Path, scribbles: Path) -> None:
    code, out, err = run_matte("trimap", photo, "--scribbles", scribbles, "--device", "cpu")
    assert (code, out) == (0, "")
    assert err.startswith(f"device: cpu\n{photo.parent / 'photo_trimap.png'}: 120×90, ")
    trimap = read_trimap(photo.parent / "photo_trimap.png")
    assert np.array_equal(trimap[labels() != 128], labels()[labels() != 128])
    assert disc()[trimap == 255].mean() > 0.98
    assert (~disc())[trimap == 0].mean() > 0.98


def test_a_box_in_per_cent_is_the_same_box_in_pixels(run_matte: RunMatte, photo: Path) -> None:
    for name, box in (("a.png", "25%,15%,50%,70%"), ("b.png", "30,13.5,60,63")):
        code, _, err = run_matte("trimap", photo, "--box", box, "-o", photo.parent / name, "--quiet")
        assert (code, err) == (0, "")
    first, second = (read_trimap(photo.parent / name) for name in ("a.png", "b.png"))
    assert np.array_equal(first, second)
    code, out, err = run_matte("trimap", photo, "--box", box, "-o", photo.parent / "c.png", "--json")
    facts = json.loads(out)
    assert f"device: {facts['device']} (auto)\n" in err
    assert facts.items() >= {"backend": "torch", "precision": "fp32"}.items()
    assert facts["weights"]["name"] == "a2u_shared"
    assert (first[:, :10] == 0).all()


def test_predict_takes_strokes_in_place_of_a_trimap(run_matte: RunMatte, photo: Path, scribbles: Path) -> None:
    trimap, alpha = photo.parent / "t.png", photo.parent / "photo_alpha.png"
    code, out, _ = run_matte("predict", photo, "--scribbles", scribbles, "--json")
    assert code == 0
    assert 0 < json.loads(out)["unknown"] < 1
    assert run_matte("trimap", photo, "--scribbles", scribbles, "-o", trimap)[0] == 0
    found = read_alpha(alpha)
    assert run_matte("predict", photo, "-t", trimap, "--overwrite", "--precision", "fp32")[0] == 0
    assert np.array_equal(found, read_alpha(alpha)), "the trimap on the way is the one that `matte trimap` writes"


def test_predict_takes_a_box(run_matte: RunMatte, photo: Path) -> None:
    assert run_matte("predict", photo, "--box", "25%,15%,50%,70%")[0] == 0
    alpha = read_alpha(photo.parent / "photo_alpha.png")
    assert (alpha[:, :10] == 0).all()


@pytest.mark.parametrize("option", ["-o", "--save-trimap"])
def test_strokes_beside_a_box_are_never_written_to(
    run_matte: RunMatte, photo: Path, scribbles: Path, option: str
) -> None:
    before = scribbles.read_bytes()
    given = ("predict", photo, "--box", "25%,15%,50%,70%", "--scribbles", scribbles)
    code, _, err = run_matte(*given, option, scribbles, "--overwrite")
    assert (code, "is an input of this run and is never written to" in err) == (3, True), err
    assert scribbles.read_bytes() == before


def test_photo_and_strokes_beside_a_box_cannot_both_be_standard_input(run_matte: RunMatte) -> None:
    code, _, err = run_matte("predict", "-", "--box", "1,1,9,9", "--scribbles", "-", "-o", "a.png")
    assert (code, "standard input can be read only once" in err) == (2, True), err


def test_a_stroke_that_crosses_the_edge_is_named(run_matte: RunMatte, tmp_path: Path) -> None:
    y, x = np.mgrid[:270, :360]
    inside = np.hypot(y - 135, x - 180) < 78
    photo = tmp_path / "photo.png"
    grain = np.random.default_rng(0).normal(0, 6, (270, 360, 3))  # of a camera: no photo is flat
    pixels = np.where(inside[..., None], (180, 60, 50), (50, 80, 170)) + grain
    PIL.Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(photo)
    strokes = np.full((270, 360), 128, np.uint8)
    strokes[15:255, 12:27] = 0
    cv2.ellipse(strokes, (180, 135), (64, 64), 0, -80, 80, 255, 54)  # along the edge, its rim outside
    path = save_layer(tmp_path / "wide.png", strokes)
    code, _, err = run_matte("trimap", photo, "--scribbles", path, "-o", tmp_path / "t.png")
    assert code == 0
    assert f"{path}: 1 of its strokes may cross the subject's edge" in err
    trimap = read_trimap(tmp_path / "t.png")
    assert (trimap[130:140, 235:255] == 255).all(), "the middle of the stroke is certain"
    assert (trimap[130:140, 264:270] != 255).all(), "its rim outside the disc is not"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--box", "1,2,3,4", "-t", "t.png"], "--trimap and --box each make a whole trimap; give one of them"),
        (["--box", "1,2,3"], "--box must be X,Y,W,H in pixels or per cent"),
        (["--box", "500,0,10,10"], "--box 500,0,10,10 does not lie in the photo, which is 120×90"),
        ([], "mark the subject with --box or --scribbles"),
    ],
)
def test_predict_refuses_what_cannot_be_meant(
    run_matte: RunMatte, photo: Path, arguments: list[str], message: str
) -> None:
    code, _, err = run_matte("predict", photo, *arguments)
    assert code == 2
    assert message in err
    assert not (photo.parent / "photo_alpha.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--box", "25%,15%,50%,70%", "--erode", "3"], "--erode would do nothing with --box"),
        (["--box", "25%,15%,50%,70%", "--image", "p.png"], "with --box the first argument is the photo"),
        (["--device", "cpu"], "--device would do nothing, because a mask needs no network"),
        (["--box", "25%,15%,50%,70%", "--snap", "3"], "--snap would do nothing with --box, which reads no trimap"),
    ],
)
def test_options_of_the_other_way_are_refused(
    run_matte: RunMatte, photo: Path, arguments: list[str], message: str
) -> None:
    code, _, err = run_matte("trimap", photo, *arguments)
    assert code == 2
    assert message in err


def test_standard_input_is_read_once(run_matte: RunMatte) -> None:
    code, _, err = run_matte("trimap", "-", "--scribbles", "-", "-o", "t.png")
    assert code == 2
    assert "standard input can be read only once" in err


def test_scribbles_of_another_size_are_refused(run_matte: RunMatte, photo: Path) -> None:
    path = save_layer(photo.parent / "small.png", labels()[:-1])
    code, _, err = run_matte("trimap", photo, "--scribbles", path)
    assert code == 3
    assert f"{path} is 120×89 but {photo} is 120×90" in err


def test_a_dark_plate_is_brightened_for_the_network_that_finds_the_trimap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[float] = []
    monkeypatch.setattr("mattecli.trimaps.segmentation.prepare_photo", lambda view: seen.append(float(view.mean())))
    monkeypatch.setattr("mattecli.trimaps.segmentation.segment", lambda *_, **__: np.zeros((20, 30), np.uint8))
    plate = Image(np.full((20, 30, 3), 0.02, np.float32), linear().icc)
    for stops in (0.0, 3.0):
        model = Model(RunOptions(network_exposure=stops), backend=SimpleNamespace(checkpoint=find_checkpoint()))  # type: ignore[arg-type]
        find_trimap(plate, model, SubjectOptions(box="1,1,5,5"), name="p", terminal=Terminal(quiet=True))
    assert seen[1] > 2 * seen[0]
