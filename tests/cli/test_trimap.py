"""`matte trimap`, as users meet it."""

import io
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenImageIO
import PIL.Image
import pytest
from numpy.typing import NDArray

from mattecli.imaging.read import read_image
from mattecli.trimaps.make import make_trimap
from mattecli.trimaps.pairs import read_trimap
from tests.conftest import RunMatte


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """A disc, white on black, as mask.png; photo.jpg of the same size beside it."""
    PIL.Image.fromarray(disc()).save(tmp_path / "mask.png")
    PIL.Image.new("RGB", (160, 120), (90, 120, 200)).save(tmp_path / "photo.jpg")
    return tmp_path / "mask.png"


def disc() -> NDArray[np.uint8]:
    canvas = np.zeros((120, 160), np.uint8)
    cv2.circle(canvas, (80, 60), 40, 255, -1)
    return canvas


def test_the_trimap_lands_beside_the_mask(mask: Path, run_matte: RunMatte) -> None:
    code, out, err = run_matte("trimap", mask)
    assert (code, out) == (0, "")
    assert f"\n{mask.parent / 'mask_trimap.png'}: 160×120, " in err
    assert np.array_equal(read_trimap(mask.parent / "mask_trimap.png"), make_trimap(disc(), band="1%"))


def test_without_the_photo_the_band_is_one_per_cent_and_says_so(mask: Path, run_matte: RunMatte) -> None:
    _, _, err = run_matte("trimap", mask)
    assert "came without its photo, so the unknown band is 1% of the diagonal on each side" in err
    made = read_trimap(mask.parent / "mask_trimap.png")
    assert (made[60, 38:42] == 128).all()  # two pixels on each side of the edge
    assert (made[60, 42], made[60, 37]) == (255, 0)


@pytest.mark.parametrize(("given", "erode", "dilate"), [(["--erode", 3], 3, 15), (["--dilate", 4], 10, 4)])
def test_a_width_of_one_side_keeps_the_other_as_in_0_1_0(
    mask: Path, run_matte: RunMatte, given: list[Any], erode: int, dilate: int
) -> None:
    assert run_matte("trimap", mask, *given)[0] == 0
    made = read_trimap(mask.parent / "mask_trimap.png")
    assert np.array_equal(made, make_trimap(disc(), erode=erode, dilate=dilate))


def test_widths_may_be_per_cent_of_the_diagonal(mask: Path, run_matte: RunMatte) -> None:
    assert run_matte("trimap", mask, "--erode", "1.5%", "--dilate", "5%")[0] == 0
    made = read_trimap(mask.parent / "mask_trimap.png")  # the diagonal is 200 pixels
    assert np.array_equal(made, make_trimap(disc(), erode=3, dilate=10))


@pytest.mark.parametrize(("height", "band"), [(400, "1%"), (100, 3)])
def test_the_band_that_is_reported_makes_the_same_trimap_when_it_is_typed(
    mask: Path, run_matte: RunMatte, height: int, band: str | int
) -> None:
    subject = np.zeros((height, 1000), np.uint8)
    subject[30:70, 100:900] = 255
    PIL.Image.fromarray(subject).save(mask)
    code, out, _ = run_matte("trimap", mask, "--json")
    assert (code, json.loads(out)["band"]) == (0, band)
    made = read_trimap(mask.parent / "mask_trimap.png")
    assert run_matte("trimap", mask, "--band", band, "--overwrite")[0] == 0
    assert np.array_equal(read_trimap(mask.parent / "mask_trimap.png"), made)


def test_a_band_of_0_leaves_nothing_unknown(mask: Path, run_matte: RunMatte) -> None:
    code, out, _ = run_matte("trimap", mask, "--photo", mask.parent / "photo.jpg", "--band", 0, "--json")
    assert (code, json.loads(out)["band"], json.loads(out)["unknown"]) == (0, 0, 0)
    assert np.array_equal(read_trimap(mask.parent / "mask_trimap.png"), disc())


def test_options_reach_the_trimap(mask: Path, run_matte: RunMatte) -> None:
    soft = cv2.GaussianBlur(disc(), (0, 0), 5)
    PIL.Image.fromarray(soft).save(mask)
    options = ["--erode", 3, "--dilate", 0, "--low", 0.2, "--high", 0.8]
    code, _, err = run_matte("trimap", mask, "-o", mask.parent / "t.png", *options, "--quiet")
    assert (code, err) == (0, "")
    expected = make_trimap(np.asarray(soft), erode=3, dilate=0, low=0.2, high=0.8)
    assert np.array_equal(read_trimap(mask.parent / "t.png"), expected)


def test_a_cut_out_gives_its_alpha_and_its_own_preview(mask: Path, run_matte: RunMatte) -> None:
    rgba = np.dstack([np.full((120, 160, 3), 77, np.uint8), disc()])
    PIL.Image.fromarray(rgba).save(mask.parent / "cutout.png")
    code, _, _ = run_matte("trimap", mask.parent / "cutout.png", "--preview", mask.parent / "look.png")
    assert code == 0
    assert np.array_equal(read_trimap(mask.parent / "cutout_trimap.png"), make_trimap(disc()))
    assert read_image(mask.parent / "look.png").size == (160, 120)


def test_the_preview_shows_the_photo_where_unknown(mask: Path, run_matte: RunMatte) -> None:
    folder = mask.parent
    code, _, err = run_matte(
        "trimap", mask, "-o", folder / "t.png", "--image", folder / "photo.jpg", "--preview", folder / "p.png", "-v"
    )
    assert code == 0
    assert "green is foreground" in err
    preview = read_image(folder / "p.png").pixels.astype(int)
    photo = read_image(folder / "photo.jpg").pixels
    assert np.array_equal(preview[60, 42], photo[60, 42])
    assert preview[60, 80, 1] > photo[60, 80, 1] > 0
    assert preview[5, 5, 0] > photo[5, 5, 0]


def test_json_tells_what_was_made(mask: Path, run_matte: RunMatte) -> None:
    code, out, _ = run_matte("trimap", mask, "-o", mask.parent / "t.png", "--erode", 4, "--json")
    facts = json.loads(out)
    made = read_trimap(mask.parent / "t.png")
    assert code == 0
    assert (facts["output"], facts["width"], facts["height"]) == (str(mask.parent / "t.png"), 160, 120)
    assert facts["unknown"] == pytest.approx((made == 128).mean())
    assert facts["foreground"] + facts["unknown"] + facts["background"] == pytest.approx(1)
    assert (facts["erode"], facts["dilate"]) == (4, 15)


def test_pipes_at_both_ends(mask: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(mask.read_bytes())))
    monkeypatch.setattr(sys, "stdout", out)
    code, _, err = run_matte("trimap", "-", "-o", "-", "--erode", 2)
    assert code == 0
    assert err.startswith("standard output: 160×120")
    buffer: Any = out.buffer
    with PIL.Image.open(io.BytesIO(buffer.getvalue())) as picture:
        assert np.array_equal(np.asarray(picture), make_trimap(disc(), erode=2, dilate=15))


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (["-"], 2, "error: the mask comes from standard input and gives the trimap no name; name a file with -o"),
        (["mask.png", "-o", "-", "--json"], 2, "error: -o - and --json both write to standard output; name a file"),
        (["-", "--mask", "mask.png"], 2, "error: with --mask the photo cannot come from standard input; name its file"),
        (["mask.png", "--image", "-"], 2, "error: --photo and --preview take no -; only MASK and -o can be standard"),
        (["-", "-o", "t.png", "--preview", "p.png"], 2, "error: --preview shows a photo and the mask comes from"),
        (["mask.png", "-o", "t.png", "--preview", "t.png"], 2, "error: t.png cannot hold both the trimap and its"),
        (
            ["mask.png", "--low", "0.9", "--high", "0.1"],
            2,
            "error: --low must be less than --high, and both from 0 to 1, not 0.9 and 0.1",
        ),
        (["gone.png"], 3, "error: gone.png does not exist; check its name and folder"),
        (["mask.png", "-o", "mask.png", "--overwrite"], 3, "error: mask.png is an input of this run and is never"),
        (["mask.png", "-o", "no/t.png"], 3, "error: no/t.png cannot be written: the folder no does not exist"),
        (["mask.png", "-o", "half.png"], 3, "error: half.png exists already; name another output or use --overwrite"),
        (["mask.png", "-o", "t.jpg"], 3, "error: t.jpg would not keep the values of a matte (JPEG is lossy); name a"),
        (["mask.png", "--preview", "photo.jpg"], 3, "error: photo.jpg exists already; name another output"),
        (["mask.png", "--image", "half.png"], 3, "error: mask.png is 160×120 but half.png is 80×60; make the mask"),
        (
            ["mask.png", "--image", "turned.png"],
            3,
            "error: mask.png is 160×120 but turned.png is 120×160: one of them was rotated",
        ),
        (["photo.jpg"], 3, "error: photo.jpg is a colour picture without transparency; give a grey matte or a cut-out"),
        (["flat.png"], 3, "error: flat.png has the same value everywhere; give a mask with the object white on black"),
    ],
)
def test_each_mistake_has_its_code_and_sentence_and_writes_nothing(
    mask: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch, args: list[str], code: int, sentence: str
) -> None:
    monkeypatch.chdir(mask.parent)
    PIL.Image.new("L", (80, 60)).save("half.png")
    PIL.Image.new("L", (120, 160)).save("turned.png")
    PIL.Image.new("L", (160, 120), 255).save("flat.png")
    before = {entry.name: entry.read_bytes() for entry in mask.parent.iterdir()}
    found, out, err = run_matte("trimap", *args)
    assert (found, out) == (code, "")
    assert err.startswith(sentence)
    assert err.count("\n") == 1
    assert {entry.name: entry.read_bytes() for entry in mask.parent.iterdir()} == before


def test_overwrite_replaces_the_trimap(mask: Path, run_matte: RunMatte) -> None:
    for erode in (1, 5):
        assert run_matte("trimap", mask, "--erode", erode, "--overwrite")[0] == 0
    assert np.array_equal(read_trimap(mask.parent / "mask_trimap.png"), make_trimap(disc(), erode=5, dilate=15))


def test_a_trimap_without_sure_foreground_is_made_with_a_warning(mask: Path, run_matte: RunMatte) -> None:
    code, _, err = run_matte("trimap", mask, "--erode", 60)
    assert code == 0
    assert "mask_trimap.png has no sure foreground; try smaller --erode and --dilate" in err


def test_help_shows_examples(run_matte: RunMatte) -> None:
    code, out, _ = run_matte("trimap", "--help")
    assert code == 0
    assert "matte trimap mask.png --erode 10 --dilate 15" in out
    assert "matte trimap --check trimap.png --photo photo.jpg" in out
    assert "rembg i -om photo.jpg - | matte trimap - -o trimap.png" in out


def test_help_needs_no_heavy_import() -> None:
    script = (
        "import sys; sys.argv = ['matte', 'trimap', '--help']\n"
        "from mattecli.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('cv2', 'PIL', 'numpy', 'tifffile', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("spelling", ["{0}/t.png", "./t.png", "../{1}/t.png", "link.png", "hard.png"])
def test_a_preview_never_takes_the_trimaps_place(
    mask: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    monkeypatch.chdir(mask.parent)
    if spelling == "hard.png":
        Path("t.png").write_bytes(mask.read_bytes())
        Path("hard.png").hardlink_to("t.png")
    Path("link.png").symlink_to("t.png")
    preview = spelling.format(mask.parent, mask.parent.name)
    code, _, err = run_matte("trimap", mask, "-o", "t.png", "--preview", preview, "--overwrite")
    assert code == 2
    assert "t.png cannot hold both the trimap and its preview; name two files" in err
    assert not Path("t.png").exists() or Path("t.png").read_bytes() == mask.read_bytes()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("preview", [[], ["--preview", "p.png"]])
def test_the_photo_may_come_through_a_pipe(
    mask: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch, preview: list[str]
) -> None:
    monkeypatch.chdir(mask.parent)
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_bytes, args=(Path("photo.jpg").read_bytes(),), daemon=True)
    writer.start()
    code, _, err = run_matte("trimap", "mask.png", "-o", "t.png", "--image", "pipe", *preview)
    assert code == 0, err
    writer.join()
    assert not preview or read_image("p.png").size == (160, 120)


def test_exhausted_memory_is_code_5_and_not_a_bug(
    mask: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("mattecli.trimaps.make.make_trimap", greedy)
    code, _, err = run_matte("trimap", mask)
    assert code == 5
    assert err.startswith("error: the memory ran out; close other programs, take a smaller picture")
    assert "MemoryError" in run_matte("trimap", mask, "--debug")[2]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_terminated_run_leaves_no_half_file(mask: Path) -> None:
    script = (
        "import sys, time, dataclasses\n"
        "from mattecli import cli\n"
        "from mattecli.imaging.writing import encoding\n"
        "def slow(handle, image, options):\n"
        "    handle.write(b'half'); handle.flush(); print('writing', flush=True); time.sleep(60)\n"
        "encoding.FORMATS['.png'] = dataclasses.replace(encoding.FORMATS['.png'], encode=slow)\n"
        f"sys.argv = ['matte', 'trimap', {str(mask)!r}]\n"
        "cli.main()"
    )
    before = sorted(mask.parent.iterdir())
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(list(mask.parent.iterdir())) == len(before) + 1
        process.terminate()
        assert process.wait(50) == 143  # long: other tests may keep the machine busy
    assert sorted(mask.parent.iterdir()) == before


# --- photos in front of a screen --------------------------------------------------------------------------------------


@pytest.fixture
def screened(tmp_path: Path) -> Path:
    """A brown disc in front of a green screen, as screen.png."""
    picture = np.full((240, 320, 3), (0, 177, 64), np.uint8)
    cv2.circle(picture, (160, 120), 80, (150, 110, 80), -1, cv2.LINE_AA)
    PIL.Image.fromarray(picture).save(tmp_path / "screen.png")
    return tmp_path / "screen.png"


def test_a_photo_in_front_of_a_screen_needs_no_mask(screened: Path, run_matte: RunMatte) -> None:
    look = screened.parent / "look.png"
    code, out, err = run_matte("trimap", screened, "--key", "auto", "--preview", look, "--json")
    assert code == 0
    assert f"{screened} has a green screen of about #00b140" in err
    trimap = read_trimap(screened.parent / "screen_trimap.png")
    assert (trimap[120, 160], trimap[5, 5], trimap[120, 80]) == (255, 0, 128)
    facts = json.loads(out)
    assert (facts["image"], facts["key"], facts["width"]) == (str(screened), "auto", 320)
    assert len(facts["findings"]) == 1
    assert facts["foreground"] == pytest.approx((trimap == 255).mean())
    assert read_image(look).size == (320, 240)


def test_a_trimap_has_the_resolution_of_its_photo(screened: Path, mask: Path, run_matte: RunMatte) -> None:
    PIL.Image.open(screened).save(screened, dpi=(300, 300))
    photo, made = mask.parent / "photo.jpg", mask.parent / "t.png"
    PIL.Image.open(photo).save(photo, dpi=(300, 300))
    for given in ((screened, "--key", "auto"), (mask, "--photo", photo), (photo, "--mask", mask)):
        assert run_matte("trimap", *given, "-o", made, "--overwrite")[0] == 0
        assert read_image(made).resolution == pytest.approx((300, 300), abs=0.1)


def test_an_empty_layer_of_scribbles_is_told_as_one(screened: Path, run_matte: RunMatte) -> None:
    PIL.Image.new("RGBA", (320, 240)).save(screened.parent / "empty.png")
    code, _, err = run_matte("trimap", screened, "--scribbles", screened.parent / "empty.png")
    assert (code, "empty.png has no white or black strokes; paint" in err) == (3, True)


def test_wrong_keys_and_photos_without_a_screen_fail_by_name(screened: Path, run_matte: RunMatte) -> None:
    code, _, err = run_matte("trimap", screened, "--key", "auot")
    assert (code, err) == (2, "error: --key must be auto, green, blue or a colour such as '#00b140', not 'auot'\n")
    code, _, err = run_matte("trimap", screened, "--key", "blue")
    assert code == 3
    assert f"{screened} shows no blue screen; try --key auto, or make the trimap from a mask" in err
    assert not (screened.parent / "screen_trimap.png").exists()


def test_a_keyed_trimap_does_not_replace_a_file_and_needs_a_name(screened: Path, run_matte: RunMatte) -> None:
    (screened.parent / "screen_trimap.png").write_bytes(b"mine")
    assert run_matte("trimap", screened, "--key", "auto")[0] == 3
    assert run_matte("trimap", "-", "--key", "auto")[0] == 2
    assert run_matte("trimap", screened, "--key", "auto", "-o", "-", "--json")[0] == 2
    assert run_matte("trimap", screened, "--key", "auto", "-o", "t.png", "--preview", "t.png")[0] == 2


# --- masks with their photo, folders, and the check -------------------------------------------------------------------


def test_the_photo_may_come_first_with_the_mask_as_an_option(mask: Path, run_matte: RunMatte) -> None:
    folder = mask.parent
    assert run_matte("trimap", mask, "--photo", folder / "photo.jpg", "-o", folder / "a.png")[0] == 0
    assert run_matte("trimap", folder / "photo.jpg", "--mask", mask)[0] == 0
    made = read_trimap(folder / "photo_trimap.png")
    assert np.array_equal(made, read_trimap(folder / "a.png"))
    assert set(np.unique(made)) == {0, 128, 255}


def test_core_and_garbage_files_win(mask: Path, run_matte: RunMatte) -> None:
    for name, x in (("core.png", 10), ("garbage.png", 70)):
        part = np.zeros((120, 160), np.uint8)
        part[50:70, x : x + 15] = 255
        PIL.Image.fromarray(part).save(mask.parent / name)
    options = ["--core", mask.parent / "core.png", "--garbage", mask.parent / "garbage.png"]
    assert run_matte("trimap", mask, *options)[0] == 0
    made = read_trimap(mask.parent / "mask_trimap.png")
    assert (made[50:70, 10:25] == 255).all()
    assert (made[50:70, 70:85] == 0).all()


def test_a_folder_of_masks_becomes_a_folder_of_trimaps_and_goes_on(mask: Path, run_matte: RunMatte) -> None:
    masks, photos, out = (mask.parent / name for name in ("masks", "photos", "out"))
    for name in ("a", "sub/b_mask", "alone"):
        (masks / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(disc()).save(masks / f"{name}.png")
    for name in ("a", "sub/b"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (160, 120), (90, 120, 200)).save(photos / f"{name}.jpg")
    code, _, err = run_matte("trimap", masks, out, "--photo", photos)
    assert code == 1
    assert "alone.png has no photo in" in err
    assert "2 done, 0 there already, 1 failed" in err
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png")) == [
        "a_trimap.png",
        "sub/b_trimap.png",
    ]
    (masks / "alone.png").unlink()
    code, _, err = run_matte("trimap", masks, out, "--photo", photos)
    assert (code, "0 done, 2 there already (--overwrite makes them again), 0 failed" in err) == (0, True)
    code, _, err = run_matte("trimap", masks, out, "--photo", photos, "--overwrite")
    assert (code, "2 done, 0 there already, 0 failed" in err) == (0, True)


def test_masks_of_one_name_fail_and_hidden_ones_are_left_out(mask: Path, run_matte: RunMatte) -> None:
    masks, out = mask.parent / "masks", mask.parent / "out"
    for name in ("a.png", "a_mask.png", ".thumbs/b.png", ".c.png"):
        (masks / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(disc()).save(masks / name)
    PIL.Image.fromarray(disc()).save(masks / "A.png")  # one file with a.png's on disks that know no capitals
    for overwrite in ([], ["--overwrite"]):
        code, _, err = run_matte("trimap", masks, out, *overwrite)
        assert code == 1
        assert "a_mask.png and" in err
        assert "would both give" in err
        assert [path.name.lower() for path in out.rglob("*.*")] == ["a_trimap.png"]


def test_options_of_masks_that_contradict_each_other_are_refused_before_any_mask(
    mask: Path, run_matte: RunMatte
) -> None:
    masks, out = mask.parent / "masks", mask.parent / "out"
    masks.mkdir()
    shutil.copy(mask, masks / "a.png")
    options = ("--erode", 5, "--solid")
    for command in (("trimap", masks, out), ("batch", masks, out, "--masks", masks), ("predict", mask, "--mask", mask)):
        code, _, err = run_matte(*command, *options)
        assert (code, "--solid would do nothing with --erode" in err) == (2, True), err
    assert not out.exists()


def test_the_check_says_what_to_type_and_fails_only_for_what_cannot_be_matted(
    mask: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mask.parent)
    made = make_trimap(disc(), erode=5, dilate=5)
    PIL.Image.fromarray(made).save("t.png")
    PIL.Image.fromarray(made // 127).save("labels.png")
    code, _, err = run_matte("trimap", "--check", "t.png")
    assert (code, err) == (0, "t.png: nothing is wrong; --photo checks its place too\n")
    code, out, err = run_matte("trimap", "--check", "mask.png", "--json")
    assert code == 0
    assert "mask.png is a hard mask without unknown pixels; make a trimap with `matte trimap mask.png --photo" in err
    assert json.loads(out)["findings"][0]["kind"] == "hard mask"
    code, _, err = run_matte("trimap", "--check", "labels.png")
    assert code == 3
    assert "labels.png holds label numbers up to 2" in err


def test_max_memory_bounds_reading_where_no_network_runs(mask: Path, run_matte: RunMatte) -> None:
    for option in ((), ("--check",)):
        code, _, err = run_matte("trimap", mask, *option, "--max-memory", "2G")
        assert (code, "would do nothing" in err) == (0, False), err
    code, _, err = run_matte("trimap", mask, "--max-memory", "1K", "--overwrite")
    assert (code, "--max-memory allows 0 MiB" in err) == (5, True), err


def test_a_check_reads_one_file_from_standard_input(run_matte: RunMatte) -> None:
    code, _, err = run_matte("trimap", "--check", "-", "--photo", "-")
    assert (code, "standard input can be read only once" in err) == (2, True), err


def test_a_check_takes_snap_and_refuses_what_would_do_nothing(mask: Path, run_matte: RunMatte) -> None:
    dull = np.where(make_trimap(disc(), erode=5, dilate=5) == 255, 251, 0).astype(np.uint8)
    dull[:20] = 128
    path = mask.parent / "dull.png"
    PIL.Image.fromarray(dull).save(path)
    assert run_matte("trimap", "--check", path)[0] == 3
    findings = json.loads(run_matte("trimap", "--check", path, "--json")[1])["findings"]
    assert "--snap" in findings[0]["command"]
    assert "`" not in findings[0]["command"]
    assert run_matte("trimap", "--check", path, "--snap", 10, "--threads", 1)[0] == 0
    idle = (
        ["--erode", 3],
        ["--min-area", 5],
        ["--key", "auto"],
        ["--box", "1,2,3,4"],
        ["--tile", 64],
        ["out"],
        ["--overwrite"],
    )
    for options in idle:
        code, _, err = run_matte("trimap", path, *options, "--check")
        assert (code, "--check only reads a trimap; leave" in err) == (2, True), options


def test_a_layer_of_the_photo_can_be_named(mask: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mask.parent)
    layers = OpenImageIO.ImageSpec(160, 120, 3, "float")
    layers.channelnames = ("diffuse.R", "diffuse.G", "diffuse.B")
    plate = OpenImageIO.ImageOutput.create("plate.exr")
    assert plate.open("plate.exr", layers)
    assert plate.write_image(np.where(disc()[..., None] > 0, [0.6, 0.3, 0.3], [0, 0.4, 0.05]).astype(np.float32))
    plate.close()
    shutil.copy("mask.png", "trimap.png")
    for words in (["mask.png", "--photo", "plate.exr"], ["--check", "trimap.png", "--photo", "plate.exr"]):
        code, _, err = run_matte("trimap", *words)
        assert (code, "name one of its layers by --layer: diffuse" in err) == (3, True), err
        code, _, err = run_matte("trimap", *words, "--layer", "diffuse")
        assert (code, "diffuse" in err) == (0, False), err
    code, _, err = run_matte("trimap", "mask.png", "--layer", "diffuse", "-o", "other.png")
    assert (code, "--layer would do nothing without a photo; name it with --photo" in err) == (2, True), err
    assert run_matte("trimap", "plate.exr", "--key", "green", "--layer", "diffuse", "-o", "keyed.png")[0] == 0
