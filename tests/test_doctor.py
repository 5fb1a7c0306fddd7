from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest

from mattecli import doctor
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
    monkeypatch.setattr(doctor, "_matte", lambda backend: doctor.Finding(backend, "left out"))
    code, out, _ = run_matte("doctor", "--json")
    assert code == 0
    assert {"subject": "onnx", "text": "left out", "verdict": "ok"} in json.loads(out)


def test_two_packages_of_one_module_are_a_problem_with_a_remedy(
    run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(
        doctor.importlib.metadata,
        "version",
        lambda name: "1.20" if name in ("onnxruntime", "onnxruntime-gpu") else real(name),
    )
    monkeypatch.setattr(doctor, "_matte", lambda backend: doctor.Finding(backend, "left out"))
    code, out, _ = run_matte("doctor")
    assert code == 1
    assert "PROBLEM packages: onnxruntime and onnxruntime-gpu install the same module" in out
    assert "`pip uninstall onnxruntime onnxruntime-gpu`, then `pip install onnxruntime-gpu`" in out


def test_damaged_weights_and_a_failed_matte_are_problems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text("0" * 64 + "  a2u_shared.safetensors\n", encoding="utf-8")
    (tmp_path / "a2u_shared.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr("mattecli.weights.folder", lambda: tmp_path)
    assert [finding.verdict for finding in doctor._weights()] == ["problem"]
    assert doctor._matte("torch").verdict == "problem"
    monkeypatch.setattr(doctor, "example", lambda: None)
    assert "example's photo is not there" in doctor._matte("torch").text
