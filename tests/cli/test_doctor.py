from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mattecli.cli import examine as doctor
from mattecli.weights import find_checkpoint
from tests.conftest import RunMatte


def test_the_doctor_shows_versions_weights_providers_and_a_timed_matte(run_matte: RunMatte) -> None:
    code, out, _ = run_matte("doctor")
    assert code == 0
    assert find_checkpoint().sha256 in out
    assert "CPUExecutionProvider (--provider cpu): works" in out
    assert out.count("a matte with --backend") == 2
    assert "s a megapixel" in out
    assert "torch " in out


def test_the_doctor_speaks_json(run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_matte", lambda backend: iter([doctor.Finding(backend, "left out")]))
    code, out, _ = run_matte("doctor", "--json")
    assert code == 0
    assert {"subject": "onnx", "text": "left out", "verdict": "ok"} in json.loads(out)


def test_a_quiet_doctor_says_nothing_where_nothing_is_wrong(
    run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_matte", lambda backend: iter([doctor.Finding(backend, "left out")]))
    assert run_matte("doctor", "--quiet") == (0, "", "")


def test_two_packages_of_one_module_are_a_problem_with_a_remedy(
    run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(
        doctor.importlib.metadata,
        "version",
        lambda name: "1.20" if name in ("onnxruntime", "onnxruntime-gpu") else real(name),
    )
    monkeypatch.setattr(doctor, "_matte", lambda backend: iter([doctor.Finding(backend, "left out")]))
    code, out, _ = run_matte("doctor")
    assert code == 1
    assert "PROBLEM packages: onnxruntime and onnxruntime-gpu install the same module" in out
    assert "`pip uninstall onnxruntime onnxruntime-gpu`, then `pip install onnxruntime-gpu`" in out
    code, out, err = run_matte("doctor", "--quiet")
    assert (code, err) == (1, "")
    assert [line.split(":")[0] for line in out.splitlines()] == ["PROBLEM packages"]


def test_damaged_weights_and_a_failed_matte_are_problems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text("0" * 64 + "  a2u_shared.safetensors\n", encoding="utf-8")
    (tmp_path / "a2u_shared.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr("mattecli.weights.folder", lambda: tmp_path)
    assert [finding.verdict for finding in doctor._weights()] == ["problem"]
    assert [finding.verdict for finding in doctor._matte("torch")] == ["problem"]
    monkeypatch.setattr(doctor, "example", lambda: None)
    assert "example's photo is not there" in next(doctor._matte("torch")).text


def test_a_package_that_does_not_load_is_a_finding_and_the_rest_is_looked_at_all_the_same(tmp_path: Path) -> None:
    for package, error in (("onnxruntime", "ImportError('broken')"), ("torch", "OSError('libcudart is missing')")):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f"raise {error}\n", encoding="utf-8")
    command = [sys.executable, "-m", "mattecli"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([*command, "doctor"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "PROBLEM PyTorch: OSError: libcudart is missing" in done.stdout
    assert "PROBLEM a matte with --backend onnx: onnxruntime is installed but does not load (broken)" in done.stdout
    photo, trimap = doctor.example() or ("", "")
    arguments = ["predict", photo, "-t", trimap, "-o", tmp_path / "a.png", "--backend", "onnx"]
    done = subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (5, 1)
