"""`matte doctor`: what it finds in good and in broken installations."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mattecli.cli import runtime
from mattecli.inference.backend import load_backend
from mattecli.weights import find_checkpoint
from tests.conftest import RunMatte
from tests.support.fresh import run_fresh


@pytest.fixture
def no_mattes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave out the timed mattes, which take seconds."""
    asked: list[str] = []

    def time_matte(backend: str) -> Iterator[runtime.Finding]:
        asked.append(backend)
        yield runtime.Finding(backend, "left out")

    monkeypatch.setattr(runtime, "time_matte", time_matte)
    yield
    assert set(asked) == {"torch", "onnx"}


def test_the_doctor_shows_versions_weights_providers_and_a_timed_matte(run_matte: RunMatte) -> None:
    code, out, _ = run_matte("doctor")
    assert code == 0
    assert find_checkpoint().sha256 in out
    assert "CPUExecutionProvider (--provider cpu): works" in out
    assert out.count("a matte with --backend") == 2
    assert "s a megapixel" in out
    assert "torch " in out


def test_the_doctor_speaks_json(run_matte: RunMatte, no_mattes: None) -> None:
    code, out, _ = run_matte("doctor", "--json")
    assert code == 0
    assert {"subject": "onnx", "text": "left out", "verdict": "ok"} in json.loads(out)


def test_a_quiet_doctor_says_nothing_where_nothing_is_wrong(run_matte: RunMatte, no_mattes: None) -> None:
    assert run_matte("doctor", "--quiet") == (0, "", "")


def test_two_packages_of_one_module_are_a_problem_with_a_remedy(
    run_matte: RunMatte, no_mattes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.version
    twins = ("onnxruntime", "onnxruntime-gpu")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.20" if name in twins else real(name))
    code, out, _ = run_matte("doctor")
    assert code == 1
    assert "PROBLEM packages: onnxruntime and onnxruntime-gpu install the same module" in out
    assert "`pip uninstall onnxruntime onnxruntime-gpu`, then `pip install onnxruntime-gpu`" in out
    code, out, err = run_matte("doctor", "--quiet")
    assert (code, err) == (1, "")
    assert [line.split(":")[0] for line in out.splitlines()] == ["PROBLEM packages"]


def test_damaged_weights_are_a_problem_of_the_weights_and_of_each_matte(
    run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "SHA256SUMS").write_text("0" * 64 + "  a2u_shared.safetensors\n", encoding="utf-8")
    (tmp_path / "a2u_shared.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr("mattecli.weights.folder", lambda: tmp_path)
    monkeypatch.setattr("mattecli.inference.model.load_backend", load_backend)  # not one that was loaded before
    code, out, err = run_matte("doctor", "--quiet")
    assert (code, err) == (1, "")
    subjects = [line.split(":")[0] for line in out.splitlines()]
    assert subjects == [
        "PROBLEM weights",
        "PROBLEM a matte with --backend torch",
        "PROBLEM a matte with --backend onnx",
    ]


def test_a_missing_example_is_a_problem(run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "example", lambda: None)
    code, out, _ = run_matte("doctor", "--quiet")
    assert (code, out.count("the example's photo is missing; install mattecli again")) == (1, 2)


def test_a_package_that_does_not_load_is_a_finding_and_the_rest_is_examined_all_the_same(tmp_path: Path) -> None:
    for package, error in (("onnxruntime", "ImportError('broken')"), ("torch", "OSError('libcudart is missing')")):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f"raise {error}\n", encoding="utf-8")
    done = run_fresh("doctor", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "")
    assert "PROBLEM PyTorch: OSError: libcudart is missing" in done.stdout
    assert "PROBLEM a matte with --backend onnx: onnxruntime is installed but does not load (broken)" in done.stdout
    photo, trimap = runtime.example() or ("", "")
    arguments = ["predict", photo, "-t", trimap, "-o", tmp_path / "a.png", "--backend", "onnx"]
    done = run_fresh(*arguments, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (5, 1)
