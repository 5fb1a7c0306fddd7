"""Options that do not go together: one sentence and exit code 2, before any file is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import RunMatte
from tests.support.permissions import lock


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("p.png", "-t", "t.png", "-o", "a.png", "--out-dir", "o"), "-o names one file and --out-dir a folder"),
        (("-", "-t", "t.png"), "which gives the output no name; add -o FILE or -o -"),
        (("p.png", "-t", "t.png", "--what", "cutout:webp", "-o", "c.png"), "-o c.png ends in .png, but --what gives"),
        (("p.png", "-t", "t.png", "--what", "cutout:webp", "-o", "-"), "-o - writes PNG, but --what gives cutout"),
        (("p.png", "--mask", "m.png", "--snap", "9"), "--snap would do nothing without --trimap; leave it out"),
    ],
)
def test_predict_refuses_what_contradicts_or_does_nothing(
    arguments: tuple[str, ...], sentence: str, run_matte: RunMatte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run_matte("predict", *arguments)
    assert code == 2
    assert sentence in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("-t", "t", "--mask-min-area", "9"), "--mask-min-area would do nothing without --masks"),
        (("-t", "t", "--masks", "m"), "--trimaps and --masks each say where the trimaps come from"),
        (("--key", "auto", "--auto"), "--key and --auto each say where the trimaps come from"),
        (("--key", "auto", "--resize-trimap"), "--resize-trimap would do nothing without --trimaps"),
        (("--masks", "m", "--snap", "9"), "--snap would do nothing without --trimaps"),
        (("-t", "t", "--auto-model", "u2net"), "--auto-model would do nothing without --auto"),
        (("--auto", "--auto-model", "resnet"), "--auto-model must be one of birefnet-general-lite, "),
        (("--key", "red-ish"), "--key must be auto, green, blue or a colour"),
        ((), "add --trimaps with their folder or a pattern, --masks if you have masks, --key for photos in front of"),
    ],
)
def test_batch_refuses_what_would_be_ignored_of_masks_and_trimaps(
    arguments: tuple[str, ...], sentence: str, run_matte: RunMatte, tmp_path: Path
) -> None:
    code, _, err = run_matte("batch", tmp_path, tmp_path / "out", *arguments)
    assert code == 2
    assert sentence in err
    assert not (tmp_path / "out").exists()


def test_composite_refuses_a_trimap_that_would_do_nothing(run_matte: RunMatte) -> None:
    code, _, err = run_matte("composite", "p.png", "a.png", "-b", "white", "--trimap", "t.png")
    assert (code, "--trimap would do nothing without --min-area or --fill-holes" in err) == (2, True), err


@pytest.mark.parametrize(
    "command",
    [
        ("composite", "{}/p.png", "a.png", "-b", "white"),
        ("trimap", "{}/m.png"),
        ("trimap", "{}/masks", "out"),
        ("ui", "{}/p.png"),
        ("batch", "{}/photos", "out", "--key", "auto"),
        ("report", "run.jsonl", "--html", "{}/page.html"),
    ],
    ids=lambda command: " ".join(command[:1]),
)
@pytest.mark.parametrize("folder", ["closed", "closed/sub", "n" * 300])
def test_names_that_cannot_be_reached_are_no_bug(
    command: tuple[str, ...], folder: str, run_matte: RunMatte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "closed").mkdir()
    lock(Path("closed"), 0, monkeypatch)
    code, _, err = run_matte(*(word.format(folder) for word in command))
    assert (code in (2, 3), err.count("\n")) == (True, 1), err
    (tmp_path / "closed").chmod(0o700)
