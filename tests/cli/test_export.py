from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import RunMatte


def test_export_says_what_it_wrote_and_how_near_it_is(run_matte: RunMatte, tmp_path: Path) -> None:
    code, out, err = run_matte("export-onnx", tmp_path / "a2u.onnx", "--verbose", "--json")
    assert code == 0
    assert {"batch": 1, "height": 16, "width": 16} in [
        {name: value for name, value in difference.items() if name != "relative"}
        for difference in json.loads(out)["compared"]
    ]
    assert "a2u_shared → " in err
    assert "MB, opset 18)" in err
    assert "largest difference from PyTorch at 16×16, " in err
    assert "80×48 in a batch of 3: off by " in err
    code, _, err = run_matte("export-onnx", tmp_path / "a2u.onnx")
    assert code == 3
    assert "exists already" in err
    code, out, _ = run_matte("weights", "show", tmp_path / "a2u.onnx")
    assert code == 0
    assert "variant: shared" in out
    assert "made from: a2u_shared, SHA-256 " in out


def test_export_without_the_check_says_so(run_matte: RunMatte, tmp_path: Path) -> None:
    file = tmp_path / "a.onnx"
    code, out, err = run_matte("export-onnx", file, "--no-check", "--fp16", "--size", "32,48", "--pre-post", "--json")
    assert code == 0
    assert "not compared with PyTorch (--no-check)" in err
    facts = json.loads(out)
    assert (facts["output"], facts["bytes"]) == (str(file), file.stat().st_size)
    assert facts["weights"]["name"] == "a2u_shared"
    assert (facts["precision"], facts["size"], facts["pre_post"], facts["compared"]) == ("fp16", [32, 48], True, [])


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["a.pb"], 2, "a.pb does not end in .onnx"),
        (["a.onnx", "--size", "64"], 2, "--size must be height and width, such as 720,1280, not 64"),
        (["a.onnx", "--size", "64,65"], 2, "--size 64,65 is not a multiple of 16"),
        (["a.onnx", "--size", "0,16"], 2, "--size 0,16 is not a size; choose sides from 1 to 32768"),
        (["a.onnx", "--size", "9999999999,16"], 2, "must be height and width"),
        (["a.onnx", "--opset", "9"], 2, "--opset 9 is not offered"),
        (["a.onnx", "--weights", "nothing.pth"], 4, "nothing.pth is neither a file nor a bundled checkpoint"),
        (["nowhere/a.onnx"], 3, "nowhere"),
    ],
)
def test_export_errors_are_one_sentence(
    run_matte: RunMatte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found, _, err = run_matte("export-onnx", *arguments)
    assert (found, sentence in err, err.count("\n")) == (code, True, 1), err
    assert not list(tmp_path.iterdir())
