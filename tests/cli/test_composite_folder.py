"""`matte composite` for a folder: under the rules of a batch, without a network."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from mattecli.imaging.image import Image
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_image
from tests.conftest import RunMatte
from tests.support.batches import lines_of, outputs_in, write_photo
from tests.support.fresh import modules_after
from tests.support.page import Page

Folders = tuple[Path, Path, Path]
NAMES = ("a.png", "sub/c.png")


def write_alpha(path: Path, side: int = 32) -> None:
    """A ramp from 0 to 1, with flat ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.clip(np.linspace(-100, 355, side), 0, 255).astype(np.uint8)
    write_image(path, Image(np.tile(ramp, (side, 1))), overwrite=True)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Photos, alphas as a batch names them, and where the outputs go."""
    for number, name in enumerate(NAMES):
        write_photo(tmp_path / "photos" / name, number=number)
        write_alpha((tmp_path / "alphas" / name).with_name(Path(name).stem + "_alpha.png"))
    return tmp_path / "photos", tmp_path / "alphas", tmp_path / "out"


def test_a_folder_is_composited_as_each_photo_alone_and_loads_no_network(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, alphas, out = folders
    report = tmp_path / "run.jsonl"
    modules = modules_after("composite", photos, alphas, "-b", "white", "--out-dir", out, "--report", report)
    assert "mattecli" in modules
    assert not modules & {"torch", "onnxruntime"}
    assert outputs_in(out) == {"a_composite.png", "sub/c_composite.png"}
    alone = tmp_path / "alone.png"
    run_matte("composite", photos / "sub/c.png", alphas / "sub/c_alpha.png", "-b", "white", "-o", alone)
    assert (out / "sub/c_composite.png").read_bytes() == alone.read_bytes()
    line = lines_of(report)["a.png"]
    assert line["alpha"] == str(alphas / "a_alpha.png")
    assert line["background"] == "white"
    assert not {"trimap", "unknown", "tile", "device"} & set(line)
    code, _, err = run_matte("report", report, "--html", tmp_path / "run.html")
    assert code == 0, err
    assert "given alpha of a.png" in Page((tmp_path / "run.html").read_text(encoding="utf-8")).labels


def test_a_second_run_makes_only_what_changed(folders: Folders, run_matte: RunMatte) -> None:
    photos, alphas, out = folders
    command: list[object] = ["composite", photos, alphas, "--out-dir", out, "-b"]
    assert "2 done, 0 skipped" in run_matte(*command, "white")[2]
    assert "0 done, 2 skipped" in run_matte(*command, "white")[2]
    os.utime(alphas / "a_alpha.png", (1000, 1000))
    assert "1 done, 1 skipped" in run_matte(*command, "white")[2]
    assert "2 done, 0 skipped" in run_matte(*command, "red")[2]
    for change in (["--linear"], ["--keep-colours"], ["--choke", "1"], ["--canvas", "40x40"], ["--output-space", "p3"]):
        assert "2 done, 0 skipped" in run_matte(*command, "red", *change)[2], change
        assert "0 done, 2 skipped" in run_matte(*command, "red", *change)[2], change


def test_each_photo_gets_the_background_of_its_name(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, alphas, out = folders
    colours = {"a.png": (255, 0, 0), "sub/c_background.png": (0, 0, 255)}
    for name, colour in colours.items():
        path = tmp_path / "backgrounds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, Image(np.full((8, 8, 3), colour, np.uint8)))
    command = ("composite", photos, alphas, "--out-dir", out)
    code, _, err = run_matte(*command, "-b", tmp_path / "backgrounds")
    assert code == 0, err
    assert tuple(read_image(out / "a_composite.png").pixels[0, 0]) == (255, 0, 0)
    assert tuple(read_image(out / "sub/c_composite.png").pixels[0, 0]) == (0, 0, 255)
    pattern = tmp_path / "backgrounds" / "{dir}/{stem}_background.png"
    code, _, err = run_matte(*command, "-b", pattern, "--overwrite")
    assert code == 1
    assert f"a.png has no background in {pattern}" in " ".join(err.split())


def test_a_photo_that_fails_does_not_end_the_run(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, alphas, out = folders
    write_alpha(alphas / "a_alpha.png", side=16)
    write_photo(photos / "d.png", number=3)
    report = tmp_path / "run.jsonl"
    command = ("composite", photos, alphas, "-b", "white", "--out-dir", out)
    code, _, err = run_matte(*command, "--report", report)
    assert code == 1
    assert "1 done, 0 skipped, 2 failed" in err
    lines = lines_of(report)
    assert "16×16" in lines["a.png"]["reason"]
    assert lines["a.png"]["alpha"] == str(alphas / "a_alpha.png")
    assert "d.png has no alpha in" in lines["d.png"]["reason"]
    write_alpha(alphas / "a_alpha.png")
    code, _, err = run_matte(*command, "--retry-failed", report)
    assert "1 done, 0 skipped, 1 failed" in err


def test_a_trimap_says_what_is_certain_and_its_change_is_seen(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, alphas, out = folders
    write_image(tmp_path / "known.png", Image(np.full((32, 32), 128, np.uint8)))
    command = ("composite", photos, alphas, "-b", "white", "--out-dir", out, "--min-area", "4")
    assert "2 done" in run_matte(*command)[2]
    known = tmp_path / "known" / "{stem}_trimap.png"
    known.parent.mkdir()
    (tmp_path / "known.png").rename(known.parent / "a_trimap.png")
    code, _, err = run_matte(*command, "-t", known)
    assert code == 0, err
    assert "1 done, 1 skipped" in err
    for_attention = ("composite", photos, alphas, "-b", "white", "--out-dir", tmp_path / "scored", "-t", known)
    assert run_matte(*for_attention)[0] == 0


def test_a_damaged_trimap_is_not_to_be_snapped_where_there_is_no_such_option(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, alphas, out = folders
    damaged = np.full((32, 32), 128, np.uint8)
    damaged[:, :12], damaged[:, 20:] = 3, 252  # as JPEG leaves black and white
    known = tmp_path / "known/a_trimap.png"
    known.parent.mkdir()
    write_image(known, Image(damaged))
    options = ("-b", "white", "--out-dir", out, "--min-area", "4")
    preset = tmp_path / "shop.toml"
    preset.write_text('[[deliver]]\nname = "web"\n', encoding="utf-8")
    one = ("composite", photos / "a.png", alphas / "a_alpha.png", *options, "-t", known)
    for command in (one, (*one, "--preset", preset), ("composite", photos, alphas, *options, "-t", known.parent)):
        code, _, err = run_matte(*command)
        assert code in (1, 3)
        assert "as JPEG leaves them; save the trimap as PNG\n" in err, command


def test_a_dry_run_shows_the_pairs_and_needs_no_network(folders: Folders, run_matte: RunMatte) -> None:
    photos, alphas, out = folders
    code, stdout, _ = run_matte("composite", photos, alphas, "-b", "white", "--out-dir", out, "--dry-run", "--json")
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert code == 0
    assert lines[-1]["summary"]["to do"] == 2
    assert "device" not in lines[-1]["summary"]
    shown = run_matte("composite", photos, alphas, "-b", "white", "--out-dir", out, "--dry-run")[1]
    assert f"{alphas / 'a_alpha.png'} → {out / 'a_composite.png'}, 32×32" in shown
    assert not out.exists()


def test_deliveries_are_made_of_a_folder_and_of_one_photo_alike(
    folders: Folders, run_matte: RunMatte, tmp_path: Path
) -> None:
    photos, alphas, out = folders
    preset = tmp_path / "shop.toml"
    preset.write_text(
        'background = "white"\n[[deliver]]\nname = "web"\nformat = "jpg"\nsize = 16\n'
        '[[deliver]]\nname = "cut"\nwhat = "cutout"\nfile = "cut/{dir}/{stem}"\n'
    )
    code, _, err = run_matte("composite", photos, alphas, "--preset", preset, "--out-dir", out)
    assert code == 0, err
    assert outputs_in(out) == {"a_web.jpg", "cut/a.png", "sub/c_web.jpg", "cut/sub/c.png"}
    alone = tmp_path / "alone"
    one = ("composite", photos / "a.png", alphas / "a_alpha.png", "--preset", preset)
    code, stdout, err = run_matte(*one, "--out-dir", alone, "--json")
    assert code == 0, err
    assert json.loads(stdout)["output"] == {"web": str(alone / "a_web.jpg"), "cut": str(alone / "cut/a.png")}
    for name in ("a_web.jpg", "cut/a.png"):
        assert (alone / name).read_bytes() == (out / name).read_bytes()
    assert run_matte(*one, "-o", tmp_path / "x.png")[0] == 2
    code, _, err = run_matte(*one, "-b", "transparent", "--out-dir", alone)
    assert code == 2
    assert ".jpg has no transparency" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-b", "white"], "need --out-dir instead of -o"),
        (["-b", "white", "-b", "red"], "need --out-dir instead of -o"),
        (["-b", "white", "-b", "photos", "--out-dir", "out"], "photos has a background for each photo, so give no"),
        (["-b", "white", "-b", "red", "--out-dir", "out", "--name", "{stem}.png"], "put {what} into it"),
        (["-b", "a/x.png", "-b", "b/x.jpg", "--out-dir", "out"], "two backgrounds have the same name"),
        (["-b", "-", "--out-dir", "out"], "cannot take its background from standard input"),
        (["-b", "white", "--out-dir", "out", "--fit", "tile"], "--fit tile is for a background picture"),
        (["-b", "white", "--out-dir", "out", "--name", "x.png"], "gives every photo the same output"),
        (["-b", "white", "--out-dir", "out", "--name", "{stem}.xyz"], "{stem}.xyz has the unknown suffix .xyz"),
        (["-b", "transparent", "--out-dir", "out", "--name", "{stem}.jpg"], "{stem}.jpg cannot hold transparency"),
        (["-b", "white", "--out-dir", "out", "--quality", "9"], "--quality is for JPEG"),
        (["-b", "white", "--out-dir", "photos/out"], "would take its outputs for inputs"),
    ],
)
def test_options_that_do_not_fit_a_folder_are_refused(
    folders: Folders,
    run_matte: RunMatte,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run_matte("composite", "photos", "alphas", *options)
    files = ("unknown suffix", "cannot hold", "outputs for inputs")
    assert code == (3 if any(words in message for words in files) else 2)
    assert message in " ".join(err.split())


def test_options_of_folders_are_refused_for_one_photo(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    photos, alphas, _ = folders
    one = ("composite", photos / "a.png", alphas / "a_alpha.png", "-b", "white", "-o", tmp_path / "x.png")
    code, _, err = run_matte(*one, "--report", "x.jsonl", "--no-recursive")
    assert code == 2
    assert "--no-recursive and --report would do nothing for one photo" in err
