import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import RunMatte
from tests.support.pictures import cutout, noise, write

FAST = ("--size", 64, "--count", 3)


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """A train.toml whose procedural foregrounds are small."""
    path = tmp_path / "train.toml"
    path.write_text("[run]\nseed = 9\n[data]\nbank = 1\nforeground_size = 64\n")
    return path


def test_the_sheet_shows_each_sample_as_image_trimap_alpha_and_colours(
    tmp_path: Path, quick: Path, run_matte: RunMatte
) -> None:
    write(tmp_path / "photos" / "a.png", noise(1))
    write(tmp_path / "cut" / "b.png", cutout())
    sheet = tmp_path / "sheet.png"
    code, out, err = run_matte(
        *(
            "train-samples",
            quick,
            "--photos",
            tmp_path / "photos",
            "--foregrounds",
            tmp_path / "cut",
            *FAST,
            "-o",
            sheet,
        )
    )
    assert (code, out) == (0, "")
    assert "3 samples of 64 pixels" in err
    picture = cv2.imread(str(sheet))
    assert picture.shape[0] == 2 * 68  # two rows of two samples with a gap below each
    trimap = picture[:64, 68 : 68 + 64]
    assert set(np.unique(trimap)) <= {0, 128, 255}


def test_the_same_seed_gives_the_same_file_and_another_gives_another(
    tmp_path: Path, quick: Path, run_matte: RunMatte
) -> None:
    written = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run_matte("train-samples", quick, *FAST, "--seed", seed, "-o", tmp_path / f"{name}.png")[0] == 0
        written.append((tmp_path / f"{name}.png").read_bytes())
    assert written[0] == written[1] != written[2]


def test_a_train_toml_says_what_is_shown_and_options_win(tmp_path: Path, quick: Path, run_matte: RunMatte) -> None:
    results = []
    for extra in ((), ("--seed", 1)):
        code, out, _ = run_matte(
            *("train-samples", quick, "--count", 1, "--size", 48, "--json", "--overwrite", *extra),
            *("-o", tmp_path / "sheet.png"),
        )
        assert code == 0
        results.append(json.loads(out))
    assert [result["seed"] for result in results] == [9, 1]
    assert results[0]["count"] == 1
    assert results[0]["size"] == 48


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--photos", "nowhere"), 3, "nowhere is not a folder"),
        (("--kind", "unicorn"), 2, "--kind unicorn is not a kind"),
        (("nowhere.toml",), 3, "nowhere.toml"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, run_matte: RunMatte, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    got, _, err = run_matte("train-samples", *arguments, "-o", tmp_path / "sheet.png")
    assert got == code
    assert sentence in err
    assert not (tmp_path / "sheet.png").exists()


def test_a_wrong_kind_is_named_with_its_file(quick: Path, run_matte: RunMatte) -> None:
    quick.write_text("[data]\nkinds = { unicorn = 1 }\n")
    code, _, err = run_matte("train-samples", quick, *FAST, "-o", quick.with_name("sheet.png"))
    assert code == 2
    assert f"error: {quick}: data.kinds names unicorn" in err


def test_an_existing_sheet_is_kept_unless_told(tmp_path: Path, quick: Path, run_matte: RunMatte) -> None:
    sheet = write(tmp_path / "sheet.png", noise(0))
    before = sheet.read_bytes()
    assert run_matte("train-samples", quick, *FAST, "-o", sheet)[0] == 3
    assert sheet.read_bytes() == before
    assert run_matte("train-samples", quick, *FAST, "-o", sheet, "--overwrite")[0] == 0
    assert sheet.read_bytes() != before


def test_kinds_and_settings_that_are_asked_for_are_the_ones_shown(quick: Path, run_matte: RunMatte) -> None:
    shown = {}
    for kind in ("foliage", "fur"):
        code, _, _ = run_matte("train-samples", quick, "--kind", kind, *FAST, "-o", quick.with_name(f"{kind}.png"))
        assert code == 0
        shown[kind] = quick.with_name(f"{kind}.png").read_bytes()
    assert shown["foliage"] != shown["fur"]


@pytest.mark.parametrize("which", ["phs/a.png", "cut/b.png", "own/fg/c.png", "own/alpha/c.png", "own/bg/d.png"])
def test_no_picture_of_the_sources_is_replaced(
    tmp_path: Path, quick: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("phs/a.png", "own/fg/c.png", "own/bg/d.png"):
        write(tmp_path / path, noise(1))
    write(tmp_path / "cut" / "b.png", cutout())
    write(tmp_path / "own" / "alpha" / "c.png", noise(2)[..., 0])
    before = Path(which).read_bytes()
    code, _, err = run_matte(
        *("train-samples", quick, "--photos", "phs", "--foregrounds", "cut", "--own", "own", *FAST),
        *("-o", which, "--overwrite"),
    )
    assert code == 3
    assert f"{which} is an input of this run and is never written to" in err
    assert Path(which).read_bytes() == before


def test_the_sheet_and_json_do_not_share_standard_output(run_matte: RunMatte) -> None:
    code, out, err = run_matte("train-samples", *FAST, "-o", "-", "--json")
    assert (code, out) == (2, "")
    assert "--json and -o - both write to standard output; name a file for the picture" in err
