"""Several `-b` in one call: a composite for each, with the background's name in the file's."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mattecli.imaging.image import Image
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_image
from tests.conftest import RunMatte
from tests.support.batches import lines_of, make_folders, outputs_in

pytestmark = pytest.mark.usefixtures("networks_once")

Folders = tuple[Path, Path, Path]
DELIVER = """
[[deliver]]
name = "web"
format = "jpg"
size = 20
[[deliver]]
name = "print"
format = "tif"
file = "print/{stem}.tif"
[[deliver]]
name = "cut"
what = "cutout"
"""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    """A photo with its trimap, where the outputs go, and beach.png, in the folder to work in."""
    monkeypatch.chdir(tmp_path)
    write_image("beach.png", Image(np.random.default_rng(5).integers(0, 256, (30, 20, 3), np.uint8)))
    return make_folders(tmp_path, ("a.png",))


def test_predict_writes_each_composite_as_it_would_alone(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    predict = ("predict", photos / "a.png", "-t", trimaps / "a.png")
    backgrounds = ("-b", "white", "-b", "beach.png", "-b", "transparent", "-b", "white")
    code, stdout, err = run_matte(*predict, *backgrounds, "--what", "alpha,composite:webp", "--out-dir", out, "--json")
    assert code == 0, err
    words = ("white", "beach", "transparent")
    assert outputs_in(out) == {"a_alpha.png", *(f"a_composite_{word}.webp" for word in words)}
    assert json.loads(stdout)["output"]["composite_beach"] == str(out / "a_composite_beach.webp")
    for background, word in zip(("white", "beach.png", "transparent"), words, strict=True):
        assert run_matte(*predict, "-b", background, "-o", f"{word}.webp")[0] == 0
        assert Path(f"{word}.webp").read_bytes() == (out / f"a_composite_{word}.webp").read_bytes(), word
    assert read_image(out / "a_composite_transparent.webp", keep_alpha=True).pixels.shape[2] == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-b", "white", "-b", "red"], "several backgrounds need --out-dir, where each gets a file of its own"),
        (["-b", "white", "-b", "red", "-o", "x.png"], "-o names one file, and several backgrounds need --out-dir"),
        (["-b", "white", "-b", "red", "-o", "x.png", "--out-dir", "o"], "-o names one file and --out-dir a folder"),
        (["-b", "a/x.png", "-b", "b/x.jpg", "--out-dir", "o"], "two backgrounds have the same name"),
        (["-b", "-", "-b", "red", "-t", "-", "--out-dir", "o"], "standard input can be read only once"),
        (["-b", "white", "-b", "red", "--fit", "tile", "--out-dir", "o"], "--fit tile is for a background picture"),
        (["-b", "white", "-b", "red", "--what", "alpha", "--out-dir", "o"], "a composite needs both"),
        (["-b", "white", "-b", "Transparent", "--what", "composite:jpg", "--out-dir", "o"], "not .jpg; take png"),
    ],
)
def test_several_backgrounds_that_cannot_be_meant_are_refused_in_a_sentence(
    folders: Folders, run_matte: RunMatte, options: list[str], words: str
) -> None:
    trimap = [] if "-t" in options else ["-t", "trimaps/a.png"]
    code, _, err = run_matte("predict", "photos/a.png", *trimap, *options)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1
    assert not Path("o").exists()


def test_a_fit_is_for_the_picture_among_the_backgrounds(folders: Folders, run_matte: RunMatte) -> None:
    command = ("predict", "photos/a.png", "-t", "trimaps/a.png", "--fit", "tile", "--out-dir", "o")
    assert run_matte(*command, "-b", "white", "-b", "beach.png")[0] == 0
    assert outputs_in(Path("o")) == {"a_composite_white.png", "a_composite_beach.png"}


def test_a_batch_writes_what_predict_writes_and_redoes_only_what_changed(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, trimaps, out = folders
    batch = ("batch", photos, out, "-t", trimaps, "--what", "alpha,composite:webp")
    code, _, err = run_matte(*batch, "-b", "white", "-b", "beach.png", "--report", "run.jsonl")
    assert code == 0, err
    assert outputs_in(out) == {"a_alpha.png", "a_composite_white.webp", "a_composite_beach.webp"}
    line = lines_of(Path("run.jsonl"))["a.png"]
    assert line["backgrounds"] == {"composite_white": "white", "composite_beach": str(tmp_path / "beach.png")}
    assert "background" not in line
    assert run_matte("report", "run.jsonl", "--html", "run.html")[0] == 0
    command = ("predict", photos / "a.png", "-t", trimaps / "a.png")
    assert run_matte(*command, "-b", "beach.png", "-o", "beach.webp")[0] == 0
    assert Path("beach.webp").read_bytes() == (out / "a_composite_beach.webp").read_bytes()
    assert "0 done, 1 skipped" in run_matte(*batch, "-b", "white", "-b", "beach.png")[2]
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("a_*")}
    write_image("beach.png", Image(np.full((30, 20, 3), 90, np.uint8)), overwrite=True)
    assert "1 done, 0 skipped" in run_matte(*batch, "-b", "white", "-b", "beach.png")[2]
    changed = {path.name for path in out.glob("a_*") if path.stat().st_mtime_ns != times[path.name]}
    assert changed == {"a_composite_beach.webp"}


def test_a_preset_has_several_backgrounds_and_delivers_each_composite_over_all(
    folders: Folders, run_matte: RunMatte
) -> None:
    photos, trimaps, out = folders
    Path("p.toml").write_text('background = ["white", "beach.png"]\n' + DELIVER, encoding="utf-8")
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--preset", "p.toml")
    assert code == 0, err
    names = {"a_web_white.jpg", "a_web_beach.jpg", "print/a_white.tif", "print/a_beach.tif", "a_cut.png"}
    assert outputs_in(out) == names
    predict = ("predict", photos / "a.png", "-t", trimaps / "a.png", "--preset", "p.toml", "--out-dir", "alone")
    assert run_matte(*predict)[0] == 0
    assert run_matte(*predict[:4], "--bits", "16", "-o", "alpha.png")[0] == 0
    assert outputs_in(Path("alone")) == names
    for name in names:
        assert (out / name).read_bytes() == (Path("alone") / name).read_bytes()
    run_matte("composite", photos / "a.png", "alpha.png", "--preset", "p.toml", "--out-dir", "given")
    assert outputs_in(Path("given")) == names
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--preset", "p.toml", "-b", "red")
    assert code == 0, err
    assert outputs_in(out) == names | {"a_web.jpg", "print/a.tif"}


def test_a_folder_of_alphas_goes_over_several_backgrounds(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    assert run_matte("batch", photos, "alphas", "-t", trimaps)[0] == 0
    command = ("composite", photos, "alphas", "--out-dir", out, "-b", "white", "-b", "beach.png")
    assert "1 done, 0 skipped" in run_matte(*command)[2]
    assert "0 done, 1 skipped" in run_matte(*command)[2]
    assert outputs_in(out) == {"a_composite_white.png", "a_composite_beach.png"}


@pytest.mark.parametrize("place", ["backgrounds", "backgrounds/{stem}.png"])
def test_a_background_for_each_photo_is_not_for_manifests(folders: Folders, run_matte: RunMatte, place: str) -> None:
    photos, trimaps, out = folders
    (photos.parent / "backgrounds").mkdir()
    manifest = photos.parent / "pairs.csv"
    manifest.write_text(f"image,trimap\n{photos / 'a.png'},{trimaps / 'a.png'}\n")
    code, _, err = run_matte("batch", out, "--manifest", manifest, "-b", photos.parent / place)
    assert (code, out.exists()) == (2, False)
    assert "a manifest names them in its column background; give -b a picture or a colour" in err


def test_a_manifest_names_no_backgrounds_beside_several(folders: Folders, run_matte: RunMatte) -> None:
    *_, out = folders
    lines = "image,trimap,background\nphotos/a.png,trimaps/a.png,\nphotos/a.png,trimaps/a.png,red\n"
    Path("pairs.csv").write_text(lines, encoding="utf-8")
    code, _, err = run_matte("batch", out, "--manifest", "pairs.csv", "-b", "white", "-b", "beach.png")
    assert code == 1
    assert "pairs.csv names a background in line 3, beside several -b; leave one of them out" in err
    assert outputs_in(out) == {"photos/a_composite_white.png", "photos/a_composite_beach.png"}


def test_a_delivery_and_a_composite_of_one_name_are_refused(folders: Folders, run_matte: RunMatte) -> None:
    photos, trimaps, out = folders
    Path("p.toml").write_text('[[deliver]]\nname = "composite_red"\nwhat = "cutout"\n', encoding="utf-8")
    command = ("batch", photos, out, "-t", trimaps, "--preset", "p.toml", "--what", "composite")
    code, _, err = run_matte(*command, "-b", "white", "-b", "red")
    assert code == 2
    assert "two outputs are called composite_red; give the background or the delivery another name" in err


def _command(name: str, folders: Folders) -> tuple[object, ...]:
    """A command that makes one composite of a photo, or one of each, but for the background."""
    photos, trimaps, out = folders
    arguments = {
        "predict": (photos / "a.png", "-t", trimaps / "a.png", "-o", "a.webp"),
        "composite": (photos / "a.png", trimaps / "a.png", "-o", "a.webp"),
        "batch": (photos, "-t", trimaps, out),
    }
    return name, *arguments[name]


@pytest.mark.parametrize("command", ["predict", "composite", "batch"])
def test_what_is_converted_or_left_out_of_a_background_is_told(
    folders: Folders, run_matte: RunMatte, command: str
) -> None:
    pages = [PIL.Image.new("CMYK", (30, 20), (10, 20, 30, 0)), PIL.Image.new("CMYK", (30, 20))]
    pages[0].save("inks.tif", save_all=True, append_images=pages[1:])
    code, _, err = run_matte(*_command(command, folders), "-b", "inks.tif", "--verbose")
    assert code == 0, err
    assert "inks.tif: it is CMYK and was converted to sRGB" in err
    assert "inks.tif: only its first page is read" in err


@pytest.mark.parametrize("command", ["predict", "composite", "batch"])
def test_backgrounds_have_no_more_pixels_than_photos_may_have(
    folders: Folders, run_matte: RunMatte, command: str
) -> None:
    size = read_image(folders[0] / "a.png").size
    write_image("wide.png", Image(np.zeros((size[1], size[0] + 1, 3), np.uint8)))
    code, _, err = run_matte(*_command(command, folders), "-b", "wide.png", "--max-pixels", size[0] * size[1])
    assert code == 3
    assert f"wide.png has more than {size[0] * size[1]} pixels" in err
