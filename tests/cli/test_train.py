import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from mattecli.training import parts
from tests.training.toy import toy_feed, toy_network

RunMatte = Callable[..., tuple[int, str, str]]

TOML = """
[run]
folder = "run"
steps = 4
log_every = 2
[data]
bank = 2
foreground_size = 64
[[crops]]
size = 32
batch = 2
[precision]
dtype = "fp32"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "train.toml"
    path.write_text(TOML)
    return path


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A toy network and toy samples in place of the real ones."""

    def build_network(config: object) -> nn.Module:
        return toy_network()

    def build_feed(config: object, device: object) -> object:
        return toy_feed

    monkeypatch.setattr(parts, "build_network", build_network)
    monkeypatch.setattr(parts, "build_feed", build_feed)


def test_the_real_network_trains_on_samples_made_here(config: Path, run_matte: RunMatte) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    code, out, err = run_matte("train", config, "--device", "cpu", "--steps", 1)
    torch.set_num_threads(threads)
    assert code == 0, err
    assert out == ""
    assert "training on cpu for 1 steps" in err
    names = {path.name for path in (config.parent / "run").iterdir()}
    expected = {
        "config.toml",
        "log.jsonl",
        "curves.png",
        "samples",
        "state.pt",
        "ema.safetensors",
        "weights.safetensors",
    }
    assert names == expected
    assert (config.parent / "run" / "config.toml").read_text() == TOML


@pytest.mark.usefixtures("toy")
def test_options_win_over_the_file(config: Path, tmp_path: Path, run_matte: RunMatte) -> None:
    code, _, err = run_matte("train", config, "--run", tmp_path / "other", "--steps", 2, "--device", "cpu")
    assert code == 0, err
    assert not (tmp_path / "run").exists()
    assert "step 2 (100.0%)" in err


@pytest.mark.usefixtures("toy")
def test_a_second_run_needs_resume(config: Path, run_matte: RunMatte) -> None:
    assert run_matte("train", config, "--device", "cpu")[0] == 0
    code, _, err = run_matte("train", config, "--device", "cpu")
    assert code == 2
    assert "--resume" in err
    assert run_matte("train", config, "--device", "cpu", "--resume")[0] == 0


@pytest.mark.usefixtures("toy")
def test_pause_after_says_how_to_go_on(config: Path, run_matte: RunMatte) -> None:
    code, _, err = run_matte("train", config, "--device", "cpu", "--pause-after", 0)
    assert code == 0
    assert "--resume" in err
    code, _, err = run_matte("train", config, "--device", "cpu", "--resume")
    assert code == 0
    assert "going on with" in err


@pytest.mark.usefixtures("toy")
def test_quiet_says_nothing(config: Path, run_matte: RunMatte) -> None:
    assert run_matte("train", config, "--device", "cpu", "--quiet") == (0, "", "")


def test_a_wrong_key_ends_with_2(config: Path, run_matte: RunMatte) -> None:
    config.write_text("[run]\nstep = 4\n")
    code, _, err = run_matte("train", config)
    assert code == 2
    assert f"error: {config}: run.step is no key" in err


def test_a_missing_config_or_data_folder_ends_with_3(config: Path, run_matte: RunMatte) -> None:
    code, _, err = run_matte("train", config.with_name("none.toml"))
    assert code == 3
    assert "none.toml cannot be read" in err
    config.write_text('[data]\nphotos = ["nowhere"]\n')
    code, _, err = run_matte("train", config, "--device", "cpu")
    assert code == 3
    assert "nowhere" in err


def test_a_missing_start_ends_with_4(config: Path, run_matte: RunMatte) -> None:
    code, _, err = run_matte("train", config, "--device", "cpu", "--start", config.with_name("none.safetensors"))
    assert code == 4
    assert "none.safetensors" in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_absent_cuda_ends_with_5(config: Path, run_matte: RunMatte) -> None:
    code, _, err = run_matte("train", config, "--device", "cuda")
    assert code == 5
    assert "--device cuda" in err


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM there")
def test_a_signal_saves_and_ends_with_130(config: Path) -> None:
    script = (
        "import torch; torch.set_num_threads(1)\n"
        "from mattecli.training import parts\n"
        "from tests.training.toy import toy_feed, toy_network\n"
        "parts.build_network = lambda config: toy_network()\n"
        "parts.build_feed = lambda config, device: toy_feed\n"
        "from mattecli.cli import main; main()\n"
    )
    command = [sys.executable, "-c", script, "train", str(config), "--device", "cpu", "--steps", "1000000"]
    process = subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}, text=True
    )
    log = config.parent / "run" / "log.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (log.exists() and '"kind": "step"' in log.read_text()):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted: saved to" in err
    assert (config.parent / "run" / "state.pt").is_file()
