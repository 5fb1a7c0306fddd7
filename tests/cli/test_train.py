import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mattecli.cli.terminal import Terminal
from mattecli.cli.train import _say_ending
from mattecli.training import build, distributed
from mattecli.training.config import TrainConfig, read_config
from mattecli.training.distributed import Processes
from mattecli.weights import find_checkpoint
from tests.support.pictures import cutout, write
from tests.support.toy import toy_loader, toy_network

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
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A toy network and toy samples in place of the real ones."""
    called = set()

    def build_network(config: object) -> nn.Module:
        called.add("network")
        return toy_network()

    def build_loader(config: object, device: object) -> object:
        called.add("loader")
        return toy_loader

    monkeypatch.setattr(build, "build_network", build_network)
    monkeypatch.setattr(build, "build_loader", build_loader)
    yield
    assert called == {"network", "loader"}


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
    kept = read_config(config.parent / "run" / "config.toml")
    assert kept == with_run(read_config(config), steps=1)


def with_run(config: TrainConfig, **changes: Any) -> TrainConfig:
    return config.replace(run=config.run.replace(**changes))


@pytest.mark.usefixtures("toy")
def test_the_kept_config_is_usable_where_it_lies(
    config: Path, tmp_path: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("photos", "own/fg", "own/alpha", "cut"):
        write(tmp_path / "files" / name / 'a "1".png', cutout()[..., 3] if name == "own/alpha" else cutout())
    config = tmp_path / "files" / "train.toml"
    config.write_text(
        """
        [run]
        folder = "out"
        seed = 3
        start = "start.safetensors"
        [data]
        photos = ["photos", "~/more"]
        foregrounds = ["cut"]
        own = ["own"]
        cache = "cache"
        workers = 0
        zoom = [0.5, 3]
        kinds = { hair = 2 }
        groups = { "a" = 0.5, "b \\"c" = 1 }
        [[crops]]
        until = 0.25
        size = [16, 32]
        batch = 2
        accumulate = 3
        [[crops]]
        size = 48
        [optimizer]
        eps = 1e-9
        name = "muon"
        [validation]
        at_start = false
        """
    )
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.chdir(tmp_path)
    run = ("train", "files/train.toml", "--device", "cpu")
    assert run_matte(*run, "--run", "runs/x", "--steps", 4, "--pause-after", 0)[0] == 0
    monkeypatch.chdir("/")
    kept = tmp_path / "runs" / "x" / "config.toml"
    expected = with_run(read_config(config), folder=tmp_path / "runs" / "x", steps=4)
    assert read_config(kept) == expected
    before = kept.read_bytes()
    code, _, err = run_matte("train", kept, "--device", "cpu", "--resume")
    assert code == 0, err
    assert "step 4 (100.0%): " in err
    assert "finished: " in err
    assert kept.read_bytes() == before


@pytest.mark.usefixtures("toy")
def test_a_config_that_a_user_wrote_into_the_folder_of_the_run_stays_as_it_is(
    tmp_path: Path, run_matte: RunMatte
) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[run]\nfolder = "."  # mine\nsteps = 2\n')
    assert run_matte("train", path, "--device", "cpu")[0] == 0
    assert "# mine" in path.read_text()


@pytest.mark.parametrize("option", ["--max-minutes", "--pause-after"])
def test_minutes_without_end_end_with_2(config: Path, run_matte: RunMatte, option: str) -> None:
    code, _, err = run_matte("train", config, "--device", "cpu", option, "inf")
    assert code == 2
    assert f"{option} inf is not a time" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[run]\nseed = -1", "run.seed is -1 but must be"),
        ("[data]\nkinds = { unicorn = 1 }", "data.kinds names unicorn"),
        ("[data]\nkinds = { hair = -1 }", "data.kinds needs weights of 0 or more"),
        ("[optimizer]\nbetas = [2, 3]", "optimizer.betas[0] is 2 but must be"),
    ],
)
def test_a_wrong_value_ends_with_2_and_names_file_and_key(
    config: Path, run_matte: RunMatte, text: str, said: str
) -> None:
    config.write_text(text)
    code, _, err = run_matte("train", config, "--device", "cpu")
    assert code == 2
    assert f"error: {config}: {said}" in err
    assert len(err.strip().splitlines()) <= 4


@pytest.mark.usefixtures("toy")
def test_a_finished_run_that_is_to_go_on_ends_with_2_and_says_what_to_do(config: Path, run_matte: RunMatte) -> None:
    assert run_matte("train", config, "--device", "cpu")[0] == 0
    code, _, err = run_matte("train", config, "--device", "cpu", "--resume", "--steps", 9)
    assert code == 2
    assert "finished its schedule at step 4" in err
    assert "--start" in err


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_a_run_without_its_state_is_not_overwritten(config: Path, run_matte: RunMatte, resume: list[str]) -> None:
    assert run_matte("train", config, "--device", "cpu")[0] == 0
    folder = config.parent / "run"
    (folder / "state.pt").unlink()
    before = (folder / "log.jsonl").read_bytes()
    code, _, err = run_matte("train", config, "--device", "cpu", *resume)
    assert code == 3
    assert f"{folder} holds an older run" in err
    assert (folder / "log.jsonl").read_bytes() == before


@pytest.mark.usefixtures("toy")
def test_only_the_first_of_several_processes_reads_the_validation_folder(
    config: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(TOML + '[validation]\nfolder = "nowhere"\n')

    @contextmanager
    def second(device: object) -> Iterator[Processes]:
        yield Processes(rank=1)

    assert run_matte("train", config, "--device", "cpu")[0] == 3
    monkeypatch.setattr(distributed, "joined_processes", second)
    assert run_matte("train", config, "--device", "cpu")[0] == 0


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


class Diverged(nn.Sequential):
    """Has no finite output in training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = super().forward(x)
        return y * float("nan") if self.training else y


def test_steps_that_were_all_left_out_have_no_loss(
    config: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "build_network", lambda _: Diverged(toy_network()))
    monkeypatch.setattr(build, "build_loader", lambda *_: toy_loader)
    code, _, err = run_matte("train", config, "--device", "cpu")
    assert code == 0, err
    assert "step 2 (50.0%): loss unknown, " in err
    assert ", 2 steps skipped" in err


@pytest.mark.usefixtures("toy")
def test_both_limits_of_a_run_are_said(config: Path, run_matte: RunMatte) -> None:
    code, _, err = run_matte("train", config, "--device", "cpu", "--pause-after", 0, "--max-minutes", 60)
    assert code == 0, err
    assert "for 60 minutes or 4 steps, whichever comes first" in err


@pytest.mark.usefixtures("toy")
def test_pause_after_says_how_to_go_on(config: Path, run_matte: RunMatte) -> None:
    code, _, err = run_matte("train", config, "--device", "cpu", "--pause-after", 0)
    assert code == 0
    assert "--resume" in err
    code, _, err = run_matte("train", config, "--device", "cpu", "--resume")
    assert code == 0
    assert "going on with" in err


def test_a_run_of_several_processes_goes_on_by_torchrun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for count, command in ((1, "`matte train "), (4, "`torchrun --nproc-per-node 4 -m mattecli train ")):
        _say_ending("paused", tmp_path, Terminal(), count)
        assert f"go on with {command}{tmp_path / 'config.toml'} --resume`" in capsys.readouterr().err


@pytest.mark.usefixtures("toy")
def test_a_run_that_goes_on_with_fewer_processes_says_so(config: Path, run_matte: RunMatte) -> None:
    assert run_matte("train", config, "--device", "cpu", "--pause-after", 0)[0] == 0
    path = config.parent / "run" / "state.pt"
    state = torch.load(path, weights_only=True)
    torch.save(state | {"generators": state["generators"] * 2}, path)
    for warned in (True, False):
        code, _, err = run_matte("train", config, "--device", "cpu", "--resume", "--pause-after", 0)
        assert (code, "was saved by 2 processes and goes on with 1" in err) == (0, warned)
        assert ("`torchrun --nproc-per-node 2 -m mattecli train " in err) == warned


@pytest.mark.usefixtures("toy")
def test_a_run_that_was_made_longer_stays_so_when_it_goes_on_as_it_says(config: Path, run_matte: RunMatte) -> None:
    again = (config.parent / "run" / "config.toml", "--device", "cpu", "--resume", "--pause-after", 0)
    assert run_matte("train", config, "--device", "cpu", "--pause-after", 0)[0] == 0
    assert run_matte("train", *again, "--steps", 9)[0] == 0
    for _ in range(3):  # beyond the 4 steps of the first config
        code, _, err = run_matte("train", *again)
        assert (code, "paused: saved" in err) == (0, True), err
    assert read_config(again[0]).run.steps == 9


def test_a_run_goes_on_without_the_checkpoint_that_it_began_with(config: Path, run_matte: RunMatte) -> None:
    start = config.with_name("start.safetensors")
    shutil.copy(find_checkpoint().path, start)
    command = ("train", config, "--device", "cpu", "--start", start, "--pause-after", 0)
    assert run_matte(*command)[0] == 0
    start.unlink()
    code, _, err = run_matte(*command, "--resume")
    assert code == 0, err
    assert "going on with" in err


def test_a_run_that_has_begun_takes_no_other_start(config: Path, run_matte: RunMatte) -> None:
    assert run_matte("train", config, "--device", "cpu", "--pause-after", 0)[0] == 0
    own = config.parent / "run" / "config.toml"
    before = own.read_text()
    code, _, err = run_matte("train", own, "--device", "cpu", "--resume", "--start", find_checkpoint().path)
    assert (code, "--start would do nothing" in err) == (2, True)
    assert own.read_text() == before


@pytest.mark.usefixtures("toy")
def test_a_run_keeps_its_start_where_it_goes_on_with_another_config(config: Path, run_matte: RunMatte) -> None:
    began, other = (config.with_name(f"{name}.safetensors") for name in ("began", "other"))
    command = ("train", config, "--device", "cpu", "--pause-after", 0, "--start")
    assert run_matte(*command, began)[0] == 0
    for given, warned in ((began, False), (other, True)):
        code, _, err = run_matte(*command, given, "--resume")
        assert (code, f"warning: {given} is not used" in err) == (0, warned), err
        assert str(began) in err or not warned
        assert read_config(config.parent / "run" / "config.toml").run.start == began
    assert run_matte("train", config, "--device", "cpu", "--resume")[0] == 0
    assert read_config(config.parent / "run" / "config.toml").run.start == began


@pytest.mark.usefixtures("toy")
def test_a_spoilt_config_of_a_run_is_written_anew_when_it_goes_on(config: Path, run_matte: RunMatte) -> None:
    assert run_matte("train", config, "--device", "cpu", "--pause-after", 0)[0] == 0
    kept = config.parent / "run" / "config.toml"
    for spoil in (kept.unlink, lambda: kept.write_text("[run")):
        spoil()
        assert run_matte("train", config, "--device", "cpu", "--pause-after", 0, "--resume")[0] == 0
        assert read_config(kept) == read_config(config)


@pytest.mark.usefixtures("toy")
def test_quiet_says_nothing(config: Path, run_matte: RunMatte) -> None:
    assert run_matte("train", config, "--device", "cpu", "--quiet") == (0, "", "")


def test_a_wrong_key_ends_with_2(config: Path, run_matte: RunMatte) -> None:
    config.write_text("[run]\nstep = 4\n")
    code, _, err = run_matte("train", config)
    assert code == 2
    assert f"error: {config}: run.step is not a key" in err


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


def started(config: Path) -> subprocess.Popen[str]:
    """A training that goes on until a signal ends it."""
    script = (
        "import torch; torch.set_num_threads(1)\n"
        "from mattecli.training import build\n"
        "from tests.support.toy import toy_loader, toy_network\n"
        "build.build_network = lambda config: toy_network()\n"
        "build.build_loader = lambda config, device: toy_loader\n"
        "from mattecli.cli import main; main()\n"
    )
    command = [sys.executable, "-c", script, "train", str(config), "--device", "cpu", "--steps", "1000000"]
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}, text=True
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_ends_with_its_code(config: Path, number: signal.Signals, code: int) -> None:
    process = started(config)
    assert process.stderr is not None
    assert any(line.startswith("step ") for line in process.stderr)  # waits for the first one
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "interrupted: saved to" in err
    assert (config.parent / "run" / "state.pt").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process there")
def test_ctrl_c_saves_though_it_also_ended_what_read_the_messages(config: Path) -> None:
    process = started(config)
    assert process.stderr is not None
    assert any(line.startswith("step ") for line in process.stderr)
    process.stderr.close()  # as `| tee log` does at the same Ctrl-C
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert (config.parent / "run" / "state.pt").is_file()
