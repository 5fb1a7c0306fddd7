"""What was written for 0.1.0 to train with, and what its runs left, goes on working; `make_old_files` made it."""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import RunMatte
from tests.contract.make_old_files import OLD, ROOT, SESSIONS, losses, patch_parts, weights

CONFIGS = OLD / "configs"
ACCEPTED = sorted(path.name.removesuffix(".kept.toml") for path in CONFIGS.glob("*.kept.toml"))
WRONG = json.loads((CONFIGS / "wrong.json").read_text(encoding="utf-8"))
FOREIGN = re.compile(  # what other libraries say, and what only a programmer understands
    r"(?i:pydantic|validation error|input should|type=|input_value|https?://|traceback|<class)|Error\b|\bNone\b"
)
REMEDY = re.compile(r"\b(must|mend|write|give|name|names|raise|known are|known here are|correct|choose|put|holds)\b")


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A toy network and toy samples in place of the real ones."""
    patch_parts(monkeypatch.setattr, feed=True)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the old configurations, with a home in it."""
    root = tmp_path.resolve()
    shutil.copytree(CONFIGS, root, dirs_exist_ok=True)
    for path in root.glob("*.toml"):
        path.write_text(path.read_text(encoding="utf-8").replace(ROOT, root.as_posix()), encoding="utf-8")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(root / "home"))
    monkeypatch.chdir(root)
    return root


def settings(path: Path) -> dict[str, Any]:
    """The values of a configuration by `table.key`; paths as the system writes them."""
    found = {}
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    tables |= {f"crops[{number}]": stage for number, stage in enumerate(tables.pop("crops"))}
    for name, table in tables.items():
        for key, value in table.items():
            found[f"{name}.{key}"] = [normal(one) for one in value] if isinstance(value, list) else normal(value)
    return found


def normal(value: object) -> object:
    return os.path.normpath(value) if isinstance(value, str) and "/" in value else value


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("kept", [False, True], ids=["as it was written", "as a run kept it"])
@pytest.mark.parametrize("name", ACCEPTED)
def test_an_old_configuration_means_what_it_meant(name: str, kept: bool, root: Path, run_matte: RunMatte) -> None:
    config = root / (f"{name}.kept.toml" if kept else f"{name}.toml")
    code, _, err = run_matte("train", config, "--run", root / "new", "--device", "cpu", "--pause-after", 0)
    assert code == 0, err
    expected = settings(root / f"{name}.kept.toml")
    found = settings(root / "new" / "config.toml")
    assert {key: found.get(key) for key in expected} == expected
    assert len(expected) > 70


def test_the_old_configurations_are_there() -> None:
    assert set(ACCEPTED) >= {"all_keys", "dotted", "empty"}
    assert WRONG


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(("name", "folder"), [("dotted", "home/run"), ("empty", "run"), ("all_keys", "somewhere")])
def test_the_folder_of_the_run_is_where_it_was(name: str, folder: str, root: Path, run_matte: RunMatte) -> None:
    assert run_matte("train", f"{name}.toml", "--device", "cpu", "--pause-after", 0)[0] == 0
    assert (root / folder / "state.pt").is_file()
    assert (root / folder / "config.toml").is_file()


def test_samples_are_made_from_old_settings(root: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch) -> None:
    patch_parts(monkeypatch.setattr, feed=False)
    batch = OLD / "batch"
    shutil.copytree(batch / "photos", root / "photos", ignore=lambda *_: ["broken.png"])
    for name in ("home/more", "own/bg", "own/fg"):
        shutil.copytree(root / "photos", root / name)
    shutil.copytree(batch / "trimaps", root / "own" / "alpha", ignore=lambda *_: ["broken.png"])
    for number in range(2):
        (root / "cutouts").mkdir(exist_ok=True)
        shutil.copyfile(batch / "plain" / "a_cutout.png", root / "cutouts" / f"cat_{number}.png")
    text = (root / "all_keys.toml").read_text(encoding="utf-8")
    for old, new in (('"/abs"', '"photos/sub"'), ("../cut", "cut"), (', "b \\"c" = 1', ""), ("size = 48", "size = 32")):
        assert old in text
        text = text.replace(old, new)
    (root / "train.toml").write_text(text, encoding="utf-8")
    code, _, err = run_matte("train", root / "train.toml", "--device", "cpu", "--pause-after", 0)
    assert code == 0, err
    assert list((root / "cache").iterdir())


@pytest.mark.parametrize("case", WRONG, ids=[f"{case['key']}-{number}" for number, case in enumerate(WRONG)])
def test_a_wrong_old_configuration_gets_one_plain_sentence(
    case: dict[str, Any], tmp_path: Path, run_matte: RunMatte
) -> None:
    config = tmp_path / "train.toml"
    config.write_text(case["toml"], encoding="latin-1")
    run = ("--run", tmp_path / "run", "--device", "cpu", "--pause-after", 0)
    code, out, err = run_matte("train", config, *run)
    assert (code, out) == (case["code"], ""), err
    said = err.splitlines()
    assert len(said) <= len(case["said"]), err
    assert [line.startswith("error: ") for line in said] == [False] * (len(said) - 1) + [True]
    sentence = said[-1].removeprefix("error: ")
    told = re.sub(
        r"\[\d+\]|\.\d+(?=\.)", "", sentence.replace(str(tmp_path), "")
    )  # of a list its number does not count
    assert re.search(rf"(?<![\w.]){re.escape(case['key'])}(?![\w.]*\w)", told), sentence
    assert str(config) in sentence or f"{tmp_path}{os.sep}{case['key']}" in sentence, sentence
    assert not FOREIGN.search(told), sentence
    assert REMEDY.search(told), sentence
    assert not re.search(r"\.\s|\.$|\n", told), sentence
    assert len(told) < 500
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_run_that_an_older_version_left_goes_on_as_if_never_paused(
    name: str, tmp_path: Path, run_matte: RunMatte
) -> None:
    torch.set_num_threads(1)  # as then: which numbers dropout draws depends on it
    folder = tmp_path / "run"
    shutil.copytree(OLD / "training" / name, folder)
    before = losses(folder)
    expected = json.loads((OLD / "training" / "expected.json").read_text(encoding="utf-8"))[name]
    code, _, err = run_matte("train", folder / "config.toml", "--device", "cpu", "--resume")
    assert code == 0, err
    found = losses(folder)
    assert list(found) == list(expected["losses"]) == ["1", "2", "3", "4", "5", "6"]
    assert {step: found[step] for step in before} == before
    assert len(before) == SESSIONS
    for step, terms in expected["losses"].items():
        for term, value in terms.items():  # dropout too: the generator goes on
            assert found[step][term] == pytest.approx(value, rel=1e-4, abs=1e-6), (step, term)
    ema = weights(folder / "ema.safetensors")
    assert set(ema) == set(expected["ema"])
    for tensor, values in expected["ema"].items():
        np.testing.assert_allclose(ema[tensor], values, rtol=2e-3, atol=1e-3)


@pytest.mark.usefixtures("toy")
def test_an_old_run_is_not_begun_anew_by_mistake(tmp_path: Path, run_matte: RunMatte) -> None:
    folder = tmp_path / "run"
    shutil.copytree(OLD / "training" / "adamw", folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code, _, err = run_matte("train", folder / "config.toml", "--device", "cpu")
    assert (code, "--resume" in err) == (2, True)
    (folder / "state.pt").rename(tmp_path / "state.pt")
    code, _, err = run_matte("train", folder / "config.toml", "--device", "cpu", "--resume")
    assert (code, "holds an older run" in err) == (3, True)
    (tmp_path / "state.pt").rename(folder / "state.pt")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
