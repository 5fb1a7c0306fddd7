"""Training on a lent card: the verdict on the kernels and the settings of a run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from experiments import card
from experiments.card import SWITCH, Attempt, _prepared, attempts, compared, copy_average, settings
from mattecli.training.config import config_of


def outcome(values: torch.Tensor, exact: torch.Tensor) -> dict[str, Any]:
    return {"own": [values], "exact": [exact], "ms": 1.0}


@pytest.mark.parametrize(
    ("kind", "error", "right"),
    [("float32", 5e-5, True), ("float32", 5e-4, False), ("bfloat16", 5e-3, True), ("bfloat16", 5e-2, False)],
)
def test_a_kernel_is_right_within_the_rounding_of_its_type(kind: str, error: float, right: bool) -> None:
    exact = torch.ones(4)
    row = compared(f"upsample {kind}", outcome(exact * (1 + error), exact), outcome(exact, exact))
    assert row["right"] is right
    assert row["fused"] == pytest.approx(error, rel=1e-2)


def test_a_kernel_may_be_half_as_wrong_again_as_the_plain_operator() -> None:
    exact = torch.ones(4)
    plain = outcome(exact * 1.04, exact)
    assert compared("upsample bfloat16", outcome(exact * 1.05, exact), plain)["right"]
    assert not compared("upsample bfloat16", outcome(exact * 1.07, exact), plain)["right"]


def test_a_gradient_that_is_not_a_number_is_wrong() -> None:
    exact = torch.ones(4)
    fused = {"own": [exact, exact * torch.nan], "exact": [exact, exact], "ms": 1.0}
    plain = {"own": [exact, exact], "exact": [exact, exact], "ms": 1.0}
    assert not compared("upsample bfloat16", fused, plain)["right"]


def test_training_begins_with_what_the_preparation_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "")
    options: Any = SimpleNamespace(run=tmp_path / "card", tiny=False, batch=64)
    (tmp_path / "card.json").write_text(json.dumps({"fused": True, "attempt": 1}))
    assert _prepared(options) == attempts(options)[1:] != []
    assert os.environ[SWITCH] == "1"


def test_an_average_is_copied_under_its_step(tmp_path: Path) -> None:
    average = tmp_path / "ema.safetensors"
    save_file({"w": torch.ones(2)}, average, {"step": "2685"})
    copy_average(average, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ema.safetensors", "ema_2685.safetensors"]


def test_foregrounds_are_drawn_alone_before_cut_outs_are_there(tmp_path: Path) -> None:
    options: Any = SimpleNamespace(seed=5, start=tmp_path / "w", photos=tmp_path, foregrounds=None, tiny=False)
    data = config_of(settings(options, Attempt(12, 2, compiled=False)), tmp_path).data
    assert set(data.origins()) == {"procedural"}


def test_the_settings_are_those_of_a_training_run(tmp_path: Path) -> None:
    options = SimpleNamespace(
        seed=5, start=tmp_path / "w.safetensors", photos=tmp_path, foregrounds=tmp_path, tiny=False
    )
    config = config_of(settings(options, Attempt(12, 2, compiled=False)), tmp_path)  # type: ignore[arg-type]
    assert (config.run.seed, config.crops[0].batch, config.crops[0].accumulate) == (5, 12, 2)
    assert not config.precision.compile


Commands = list[list[str]]


def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *options: str, saves: int = 9) -> tuple[int, Commands]:
    """The exit code of a call whose trainings all end with 5, and their commands. From number `saves` on they save."""
    commands: Commands = []

    def train(command: list[str], out: Path, run: Path) -> int:
        commands.append(command)
        if len(commands) >= saves:
            run.mkdir(parents=True)
            (run / "state.pt").touch()
        return 5

    monkeypatch.setattr(card, "train", train)
    monkeypatch.setattr(card, "kernels_are_right", lambda _: False)
    monkeypatch.setenv(SWITCH, "")
    places = [str(tmp_path / "out"), "--photos", ".", "--foregrounds", ".", "--run", str(tmp_path / "card")]
    monkeypatch.setattr("sys.argv", ["card.py", *places, *options])
    return card.main(), commands


def test_a_smaller_batch_is_tried_until_a_run_has_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(called(monkeypatch, tmp_path / "never")[1]) == 4
    code, commands = called(monkeypatch, tmp_path / "late", saves=2)
    assert (code, len(commands)) == (5, 2)
    assert (tmp_path / "late" / "card" / "state.pt").exists()


@pytest.mark.parametrize("options", [(), ("--resume",)])
def test_a_training_ends_in_time_or_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    for minutes, expected in ((9.0, 8.75), (0.2, None)):
        code, commands = called(monkeypatch, tmp_path / str(minutes), *options, "--minutes", str(minutes))
        if expected is None:
            assert (code, commands) == (1, [])
        else:
            assert float(commands[0][-1]) == pytest.approx(expected, abs=0.02)
