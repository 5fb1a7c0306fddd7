import itertools
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor, nn

from mattecli.errors import DeviceError, InputError, MatteError, UsageError
from mattecli.network.a2u import A2UNet
from mattecli.network.inputs import network_input
from mattecli.training import loop
from mattecli.training.build import build_network
from mattecli.training.config import CropStage, LossConfig, TrainConfig
from mattecli.training.distributed import joined_processes
from mattecli.training.loop import train
from mattecli.training.optimizers import Optimizers
from mattecli.training.state import save_weights
from mattecli.training.validation import Figures, ValidationResult
from tests.support.toy import EXHAUSTED, toy_config, toy_loader, toy_network, toy_sample

CPU = torch.device("cpu")


def run(config: TrainConfig, network: nn.Module | None = None, **options: Any) -> tuple[str, nn.Module]:
    """Train the toy network; without curves, which take longer to draw than all of the rest."""
    network = network or toy_network()
    return train(config, network=network, device=CPU, **{"loader": toy_loader, "curves": False} | options), network


def log(folder: Path, kind: str = "step") -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def after(steps: int) -> Callable[[], bool]:
    """Asked once after each step, says stop when so many are done."""
    asked = itertools.count(1)
    return lambda: next(asked) >= steps


def ticking(*, seconds: float) -> Callable[[], float]:
    """A clock that goes on by so many seconds each time it is looked at."""
    ticks = itertools.count(1)
    return lambda: next(ticks) * seconds


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_by_bit(tmp_path: Path, optimizer: str) -> None:
    once, parts = (toy_config(tmp_path / name, optimizer__name=optimizer) for name in ("once", "parts"))
    assert run(once)[0] == "finished"
    assert run(parts, should_stop=after(3))[0] == "interrupted"
    assert run(parts, toy_network(seed=9), resume=True)[0] == "finished"

    whole, resumed = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("once", "parts"))
    for part in ("network", "average"):
        for name, tensor in whole[part].items():
            assert torch.equal(tensor, resumed[part][name]), f"{part} {name}"
    torch.testing.assert_close(resumed["optimizers"], whole["optimizers"], rtol=0, atol=0)
    assert torch.equal(whole["generators"][0], resumed["generators"][0])
    assert whole["position"]["step"] == resumed["position"]["step"] == 6
    assert log(once.run.folder)[-1]["losses"] == log(parts.run.folder)[-1]["losses"]
    for name in ("ema.safetensors", "weights.safetensors"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


class Kept(nn.Module):
    """Keeps what the network is given in training."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = toy_network()
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.inputs.append(x.detach().clone())
        y: Tensor = self.inner(x)
        return y


def test_training_shows_the_network_what_matting_shows_it(tmp_path: Path) -> None:
    network = Kept()
    run(toy_config(tmp_path, run__steps=1), network)
    (found,) = network.inputs
    for number, planes in enumerate(found):
        sample = {
            name: tensor[0 if name == "trimap" else slice(None)] for name, tensor in toy_sample(number, 16).items()
        }
        expected = network_input(sample["image"].permute(1, 2, 0).numpy(), sample["trimap"].numpy())
        torch.testing.assert_close(planes, torch.from_numpy(expected), rtol=0, atol=1e-6)


def test_the_loss_is_of_the_samples_own_colours_and_alpha(tmp_path: Path) -> None:
    def loader(**options: Any) -> Iterator[dict[str, Tensor]]:
        for batch in toy_loader(**options):
            yield batch | {
                "foreground": torch.full_like(batch["foreground"], 204),
                "background": batch["alpha"] * 0 + 51,
            }

    network = toy_network(norm=False)
    for parameter in network.parameters():
        parameter.data.zero_()
    loss = LossConfig(alpha=1.0, composition=1.0, laplacian=0.0)
    run(toy_config(tmp_path, run__steps=1, run__log_every=1, loss=loss), network, loader=loader)
    alpha, trimap = (toy_sample(0, 16)[name][0] for name in ("alpha", "trimap"))
    by_hand = float((alpha / 255)[trimap == 128].mean())
    found = log(tmp_path)[0]["losses"]
    assert found["alpha"] == pytest.approx(by_hand, rel=1e-5)
    assert found["composition"] == pytest.approx(3 * (204 - 51) / 255 * by_hand, rel=1e-5)


@pytest.mark.parametrize(("clip", "share"), [(0.0, 1.0), (1e9, 1.0), (0.01, None)])
def test_clipping_limits_the_norm_of_the_gradient(tmp_path: Path, clip: float, share: float | None) -> None:
    network = toy_network(norm=False)
    seen: list[Tensor] = []

    class Spied(Optimizers):
        def step(self, *, bad: Tensor) -> None:
            seen.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]).norm())
            super().step(bad=bad)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "Optimizers", Spied)
        run(toy_config(tmp_path, run__steps=2, run__log_every=1, optimizer__clip=clip), network)
    norms = [line["norm"] for line in log(tmp_path)]  # before clipping
    assert min(norms) > 0.02
    for norm, after_clipping in zip(norms, seen, strict=True):
        assert float(after_clipping) == pytest.approx(clip if share is None else norm * share, rel=1e-4)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    config = toy_config(tmp_path, run__steps=60, run__log_every=10, precision__dtype="bf16")
    run(config)
    losses = [line["losses"]["loss"] for line in log(tmp_path)]
    assert losses[-1] < 0.7 * losses[0]


def test_each_stage_has_its_crops(tmp_path: Path) -> None:
    run(toy_config(tmp_path, run__log_every=1))
    assert [line["size"] for line in log(tmp_path)] == [16, 16, 16, 32, 32, 32]


def test_the_run_ends_in_the_time_given_with_the_schedule_done(tmp_path: Path) -> None:
    config = toy_config(tmp_path, run__steps=10**6, run__minutes=0.5, run__log_every=1)
    assert run(config, clock=ticking(seconds=0.1))[0] == "finished"
    lines = log(tmp_path)
    assert 20 < lines[-1]["step"] <= 300
    assert log(tmp_path, "saved")[-1]["seconds"] <= 31
    assert lines[-1]["progress"] == 1.0
    assert lines[-1]["lr"] < 0.1 * max(line["lr"] for line in lines)
    assert {line["size"] for line in lines} == {16, 32}


class Clock:
    """Goes on by 0.1 s each time it is looked at, and by 10 s in a validation, which is its other task."""

    fingerprint = ""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.1
        return self.now

    def check_memory(self, _: torch.device) -> None: ...

    def validate(self, *_: Any, **__: Any) -> ValidationResult:
        self.now += 10
        return ValidationResult((Figures("tight", 1.0, 2.0, 3.0, 4.0),), ())


def test_a_resumed_run_goes_on_at_once_and_ends_in_the_time_given(tmp_path: Path) -> None:
    times = {"run__steps": 10**6, "run__minutes": 1.0, "run__log_every": 1, "run__save_every": 20}
    config = toy_config(tmp_path, validation__every=20, validation__at_start=False, **times)
    clock = Clock()
    options = {"clock": clock, "validation": clock}
    assert run(config, should_stop=after(45), **options)[0] == "interrupted"
    assert (
        run(config.replace(validation=config.validation.replace(every=10**6)), resume=True, **options)[0] == "finished"
    )
    progress = [line["progress"] for line in log(tmp_path)]
    assert all(earlier < later for earlier, later in itertools.pairwise(progress))
    assert log(tmp_path, "saved")[-1]["seconds"] <= 61


def test_a_run_saves_at_least_as_often_as_minutes_are_given(tmp_path: Path) -> None:
    run(toy_config(tmp_path, run__save_minutes=0.5), clock=ticking(seconds=10))
    assert len(log(tmp_path, "saved")) > 1


def test_a_paused_run_saves_and_goes_on(tmp_path: Path) -> None:
    config = toy_config(tmp_path)
    assert run(config, pause_minutes=0.0)[0] == "paused"
    assert run(config, pause_minutes=0.0, resume=True)[0] == "paused"
    assert run(config, resume=True)[0] == "finished"
    assert [line["step"] for line in log(tmp_path, "saved")] == [1, 2, 6]


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    config = toy_config(tmp_path)
    run(config)
    before = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(UsageError, match="--resume"):
        run(config)
    assert run(config, resume=True)[0] == "finished"
    assert (tmp_path / "state.pt").read_bytes() == before


@pytest.mark.parametrize("name", ["log.jsonl", "best.safetensors", "ema.safetensors", "weights.safetensors"])
@pytest.mark.parametrize("resume", [False, True])
def test_what_is_left_of_a_run_without_its_state_is_not_overwritten(tmp_path: Path, name: str, resume: bool) -> None:
    (tmp_path / name).write_text('{"kind": "saved", "step": 4}\n')
    with pytest.raises(InputError, match=rf"holds an older run \({name}\) but no state.*--run") as caught:
        run(toy_config(tmp_path), resume=resume)
    assert str(tmp_path) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"kind": "saved", "step": 4}\n'


def test_resume_begins_anew_after_a_run_that_ended_before_its_first_save(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"kind": "session", "step": 0}\n{"kind": "step", "step": 2}\n')
    with pytest.raises(InputError, match=r"log\.jsonl"):
        run(toy_config(tmp_path))
    assert run(toy_config(tmp_path), resume=True)[0] == "finished"


@pytest.mark.parametrize("limits", [{"run__steps": 9}, {"run__minutes": 60.0, "run__steps": 9}])
def test_a_finished_run_says_that_it_cannot_be_made_longer(tmp_path: Path, limits: dict[str, Any]) -> None:
    run(toy_config(tmp_path))
    before = (tmp_path / "log.jsonl").read_bytes()
    with pytest.raises(UsageError, match=r"finished its schedule at step 6.*--start .*ema\.safetensors --run"):
        run(toy_config(tmp_path, **limits), resume=True)
    assert (tmp_path / "log.jsonl").read_bytes() == before
    assert run(toy_config(tmp_path, run__steps=5), resume=True)[0] == "finished"


def test_a_run_that_is_not_finished_can_be_made_longer(tmp_path: Path) -> None:
    run(toy_config(tmp_path), should_stop=after(3))
    assert run(toy_config(tmp_path, run__steps=9), resume=True)[0] == "finished"
    assert log(tmp_path)[-1]["step"] == 9


@pytest.mark.parametrize("limits", [{"run__steps": 3}, {"run__steps": 2}, {"run__minutes": 0.25}])
def test_a_run_that_is_not_finished_is_not_ended_by_limits_that_it_has_passed(
    tmp_path: Path, limits: dict[str, Any]
) -> None:
    clock = ticking(seconds=3)
    run(toy_config(tmp_path), should_stop=after(3), clock=clock)
    before = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(UsageError, match=r"has done 3 steps in [\d.]+ minutes already.*give more"):
        run(toy_config(tmp_path, **limits), resume=True, clock=clock)
    assert (tmp_path / "state.pt").read_bytes() == before
    assert run(toy_config(tmp_path), resume=True, clock=clock)[0] == "finished"


def test_resuming_with_fewer_stages_of_crops_is_refused(tmp_path: Path) -> None:
    run(toy_config(tmp_path), should_stop=after(3))
    with pytest.raises(UsageError, match=r"has reached stage 2 of its crops, but the config has 1"):
        run(toy_config(tmp_path, crops=(CropStage(size=(16,), batch=2),)), resume=True)


def test_lines_of_steps_that_were_lost_leave_the_log(tmp_path: Path) -> None:
    config = toy_config(tmp_path, run__log_every=1)
    run(config, should_stop=after(3))
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"kind": "step", "step": 4}\n{"kind": "st')
    run(config, resume=True)
    assert [line["step"] for line in log(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert all("losses" in line for line in log(tmp_path))


def test_norms_keep_their_statistics_in_the_last_share(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = toy_network()

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.inner(x)
            if self.training:
                seen.append(self.inner.get_buffer("1.running_mean").clone())
            return y

    run(toy_config(tmp_path, norms__freeze=0.5), Watched())
    moved = [not torch.equal(a, b) for a, b in itertools.pairwise(seen)]
    assert moved == [True, True, False, False, False]


def test_an_average_without_decay_is_the_weights(tmp_path: Path) -> None:
    run(toy_config(tmp_path, ema__decay=0.0))
    average, weights = (load_file(tmp_path / f"{name}.safetensors") for name in ("ema", "weights"))
    for name, tensor in weights.items():
        assert torch.equal(tensor, average[name]) or name.endswith("num_batches_tracked"), name


class Failing(nn.Module):
    """Gives NaN in some of its training steps, and poisons its running statistics then."""

    def __init__(self, failing: Callable[[int], bool]) -> None:
        super().__init__()
        self.inner = toy_network()
        self.steps = 0
        self.failing = failing

    def __deepcopy__(self, memo: dict[int, Any]) -> "Failing":
        other = Failing(self.failing)
        other.load_state_dict(self.state_dict())
        return other

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
            if self.failing(self.steps):
                x = x * float("nan")
        y: Tensor = self.inner(x)
        return y


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_step_without_a_finite_gradient_is_left_out(tmp_path: Path, optimizer: str) -> None:
    ending, network = run(
        toy_config(tmp_path, run__log_every=1, optimizer__name=optimizer), Failing(lambda step: step == 3)
    )
    assert ending == "finished"
    assert all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())
    assert [line["skipped"] for line in log(tmp_path)] == [0, 0, 1, 0, 0, 0]
    assert [number for number, line in enumerate(log(tmp_path)) if line["norm"] is None] == [2]
    assert set(log(tmp_path)[2]["losses"].values()) == {None}
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["position"]["skipped"] == 1
    assert all(bool(tensor.isfinite().all()) for tensor in state["average"].values())
    assert float(state["optimizers"][0]["state"][0]["step"]) == 5


def test_a_gradient_that_stays_non_finite_ends_the_run(tmp_path: Path) -> None:
    config = toy_config(tmp_path, run__steps=100, run__bad_steps=4, run__log_every=5)
    with pytest.raises(MatteError, match="not finite in 7 steps in a row up to step 10"):
        run(config, Failing(lambda step: step > 3 and step != 3))


def test_pictures_of_the_run_are_written(tmp_path: Path) -> None:
    run(toy_config(tmp_path, validation__every=3), curves=True)
    assert [path.name for path in sorted((tmp_path / "samples").iterdir())] == [
        "step-0000000.png",
        "step-0000003.png",
        "step-0000006.png",
    ]
    sheet = cv2.imread(str(tmp_path / "samples" / "step-0000006.png"))
    assert sheet is not None
    assert sheet.shape == (2 * (32 + 4), 4 * 32, 3)
    curves = cv2.imread(str(tmp_path / "curves.png"))
    assert curves is not None
    assert len(set(map(tuple, curves.reshape(-1, 3)))) > 10  # lines of several colours


def test_without_curves_none_are_drawn_and_nothing_is_said(tmp_path: Path) -> None:
    run(toy_config(tmp_path), curves=False)
    assert not (tmp_path / "curves.png").exists()
    assert not log(tmp_path, "note")


def test_without_matplotlib_a_run_says_once_that_it_draws_no_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it was not installed
    assert run(toy_config(tmp_path, run__save_every=2), curves=True)[0] == "finished"
    assert not (tmp_path / "curves.png").exists()
    (note,) = log(tmp_path, "note")
    assert note["text"].endswith('matplotlib is not installed; pip install "mattecli[training]"')


def test_curves_that_cannot_be_written_do_not_end_a_run(tmp_path: Path) -> None:
    (tmp_path / "curves.png").mkdir()
    assert run(toy_config(tmp_path, run__save_every=2), curves=True)[0] == "finished"
    (note,) = log(tmp_path, "note")
    assert re.search(r"curves\.png cannot be written \(.*\); check that its disk and its folder can be", note["text"])


def test_a_dead_data_worker_is_a_device_error(tmp_path: Path) -> None:
    def loader(**options: Any) -> Iterator[dict[str, Tensor]]:
        yield next(toy_loader(**options))
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")

    with pytest.raises(DeviceError, match="workers"):
        run(toy_config(tmp_path), loader=loader)


def test_a_bug_in_a_data_worker_is_not_said_to_be_its_death(tmp_path: Path) -> None:
    text = "Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):"
    with pytest.raises(RuntimeError, match="Original Traceback") as caught:
        run(toy_config(tmp_path), loader=failing_after(1, RuntimeError(text)))
    assert not isinstance(caught.value, DeviceError)


def test_a_run_that_goes_on_with_other_batches_goes_on_with_the_next_sample(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def loader(**options: Any) -> Iterator[dict[str, Tensor]]:
        asked.append((options["start"], options["first"]))
        return toy_loader(**options)

    run(accumulated(tmp_path, 2, 3), should_stop=after(2), loader=loader)
    run(accumulated(tmp_path, 4, 1), should_stop=after(2), loader=loader, resume=True)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["position"]["samples"]  # as an older version saved it
    torch.save(state, tmp_path / "state.pt")
    run(accumulated(tmp_path, 4, 1), loader=loader, resume=True)
    assert asked == [(0, 0), (2, 12), (4, 16)]


def failing_after(count: int, error: Exception) -> Callable[..., Iterator[dict[str, Tensor]]]:
    """A loader that fails after so many batches."""

    def loader(**options: Any) -> Iterator[dict[str, Tensor]]:
        yield from itertools.islice(toy_loader(**options), count)
        raise error

    return loader


def test_where_a_batch_fails_the_steps_before_it_are_saved(tmp_path: Path) -> None:
    once, parts = (toy_config(tmp_path / name) for name in ("once", "parts"))
    run(once)
    with pytest.raises(InputError, match="damaged"):
        run(parts, loader=failing_after(3, InputError("a.png is damaged")))
    assert [line["step"] for line in log(parts.run.folder, "saved")] == [3]
    assert run(parts, toy_network(seed=9), resume=True)[0] == "finished"
    assert (tmp_path / "once" / "ema.safetensors").read_bytes() == (tmp_path / "parts" / "ema.safetensors").read_bytes()


def test_workers_that_end_with_a_run_that_is_told_to_stop_are_no_error(tmp_path: Path) -> None:
    stop = itertools.count(1)  # asked after the step and again after the batch failed
    loader = failing_after(1, RuntimeError("DataLoader worker (pid(s) 1) exited unexpectedly"))
    assert run(toy_config(tmp_path), loader=loader, should_stop=lambda: next(stop) > 1)[0] == "interrupted"
    assert [line["step"] for line in log(tmp_path, "saved")] == [1]


def train_one_process(rank: int, folder: str, port: int) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with joined_processes(CPU) as processes:
        assert processes.control is not None
        for group in (processes.control, dist.group.WORLD):  # the second waits while the first validates
            assert group._get_backend(CPU).options._timeout >= timedelta(hours=6)
        for passes in (1, 2):
            crops = (CropStage(size=(16,), batch=1, accumulate=passes),)
            config = toy_config(Path(folder) / f"two-{passes}", crops=crops, norms__freeze=1.0)
            run(config, toy_network(norm=False), processes=processes)


def and_leave(rank: int, task: Callable[[int, str, int], None], folder: str, port: int) -> None:
    """Do the task and leave without Python's own ending, in which a thread of Gloo's seldom aborts the process."""
    task(rank, folder, port)
    os._exit(0)


def in_two_processes(task: Callable[[int, str, int], None], folder: Path) -> None:
    """Call the task in two processes, with its rank, the folder, and the port where they find each other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = (task, str(folder), port)
    both = torch.multiprocessing.spawn(and_leave, arguments, nprocs=2, join=False)  # type: ignore[no-untyped-call]
    end = time.monotonic() + 120
    while not both.join(timeout=max(0.0, end - time.monotonic())):
        if time.monotonic() > end:
            for process in both.processes:
                process.kill()
            pytest.fail("the processes wait for one another")


def fail_in_one_process(rank: int, folder: str, port: int) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with joined_processes(CPU) as processes:
        for name in ("once", "failed", "stopped"):
            config = toy_config(Path(folder) / name)
            options: dict[str, Any] = {"processes": processes}
            if rank == 1 and name != "once":
                options["loader"] = failing_after(3, InputError("a.png is damaged"))
            if rank == 1 and name == "stopped":
                options["should_stop"] = after(4)  # asked after each of 3 steps and again after the batch failed
            try:
                ending = run(config, **options)[0]
            except MatteError as error:
                ending = f"{type(error).__name__}: {error}"
            (Path(folder) / f"{name}-{rank}.txt").write_text(ending)
        run(toy_config(Path(folder) / "failed"), toy_network(seed=9), processes=processes, resume=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_where_one_of_two_processes_fails_both_save_and_go_on_later_bit_by_bit(tmp_path: Path) -> None:
    in_two_processes(fail_in_one_process, tmp_path)
    endings = {path.stem: path.read_text() for path in tmp_path.glob("*.txt")}
    assert endings == {
        "once-0": "finished",
        "once-1": "finished",
        "stopped-0": "interrupted",
        "stopped-1": "interrupted",
        "failed-0": "DeviceError: another process of this training has failed; see its message",
        "failed-1": "InputError: a.png is damaged",
    }
    assert [line["step"] for line in log(tmp_path / "stopped", "saved")] == [3]
    assert [line["step"] for line in log(tmp_path / "failed", "saved")] == [3, 6]
    once, failed = ((tmp_path / name / "ema.safetensors").read_bytes() for name in ("once", "failed"))
    assert once == failed


def train_and_resume(rank: int, folder: str, port: int) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with joined_processes(CPU) as processes:
        once, parts = (toy_config(Path(folder) / name) for name in ("once", "parts"))
        run(once, processes=processes)
        stops = after(3) if rank else lambda: False  # one is told to stop, and both stop
        assert run(parts, processes=processes, should_stop=stops)[0] == "interrupted"
        if processes.first:
            shutil.copytree(parts.run.folder, Path(folder) / "fewer")
        processes.agree(0.0)  # waits for the first, which writes the state
        assert run(parts, toy_network(seed=9), processes=processes, resume=True)[0] == "finished"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_two_processes_resume_bit_by_bit_and_another_number_goes_on(tmp_path: Path) -> None:
    in_two_processes(train_and_resume, tmp_path)
    whole, resumed = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("once", "parts"))
    for part in ("network", "average", "optimizers", "generators"):
        torch.testing.assert_close(resumed[part], whole[part], rtol=0, atol=0)
    assert len(whole["generators"]) == 2
    assert run(toy_config(tmp_path / "fewer"), toy_network(seed=9), resume=True)[0] == "finished"
    alone = torch.load(tmp_path / "fewer" / "state.pt", weights_only=True)
    assert (len(alone["generators"]), alone["position"]["samples"]) == (1, 3 * 4 + 3 * 2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_two_processes_equal_one_with_the_double_batch_also_where_they_accumulate(tmp_path: Path) -> None:
    in_two_processes(train_one_process, tmp_path)
    for passes in (1, 2):
        crops = (CropStage(size=(16,), batch=2 * passes),)
        run(toy_config(tmp_path / f"one-{passes}", crops=crops), toy_network(norm=False))
        paths = [tmp_path / f"{name}-{passes}" / "state.pt" for name in ("two", "one")]
        two, one = (torch.load(path, weights_only=True) for path in paths)
        assert len(two["generators"]) == 2
        for name, tensor in one["network"].items():
            torch.testing.assert_close(two["network"][name], tensor, rtol=1e-4, atol=1e-6)


def accumulated(folder: Path, batch: int, passes: int, **changes: Any) -> TrainConfig:
    """Norms frozen from the start, so that a picture doesn't see its neighbours."""
    crops = (CropStage(size=(16,), batch=batch, accumulate=passes),)
    return toy_config(folder, crops=crops, norms__freeze=1.0, **changes)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_accumulated_batches_equal_one_of_the_double_size(tmp_path: Path, optimizer: str) -> None:
    states = {}
    for name, batch, passes in (("once", 2, 1), ("parts", 1, 2)):
        network = toy_network()
        network[2] = nn.Identity()  # type: ignore[operator]  # dropout draws anew for each pass
        run(accumulated(tmp_path / name, batch, passes, optimizer__name=optimizer), network)
        states[name] = torch.load(tmp_path / name / "state.pt", weights_only=True)
    for part in ("network", "average"):
        for name, tensor in states["once"][part].items():
            torch.testing.assert_close(states["parts"][part][name], tensor, rtol=1e-4, atol=1e-6)
    lines = [log(tmp_path / name) for name in states]
    for once, parts in zip(*lines, strict=True):
        assert (once["step"], once["batch"], once["lr"]) == (parts["step"], parts["batch"], parts["lr"])
        assert parts["losses"] == pytest.approx(once["losses"], rel=1e-4)
        assert parts["norm"] == pytest.approx(once["norm"], rel=1e-4)
    assert [line["batch"] for line in lines[1]] == [2, 2, 2]


def test_an_accumulating_run_resumes_bit_by_bit(tmp_path: Path) -> None:
    once, parts = (accumulated(tmp_path / name, 2, 3) for name in ("once", "parts"))
    run(once)
    run(parts, should_stop=after(3))
    run(parts, toy_network(seed=9), resume=True)
    assert (tmp_path / "once" / "ema.safetensors").read_bytes() == (tmp_path / "parts" / "ema.safetensors").read_bytes()


def test_one_bad_batch_of_several_leaves_out_the_step(tmp_path: Path) -> None:
    network = Failing(lambda passes: passes == 3)
    run(accumulated(tmp_path, 2, 2, run__log_every=1), network)
    assert [line["skipped"] for line in log(tmp_path)] == [0, 1, 0, 0, 0, 0]
    assert all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())


def test_small_crops_start_the_dilated_kernels_as_identity(tmp_path: Path) -> None:
    small = build_network(toy_config(tmp_path))
    large = build_network(toy_config(tmp_path, crops=(CropStage(size=(320,)),)))
    kernel = small.get_parameter("dconv_pp.aspp4.atrous_conv.0.weight")
    assert torch.equal(kernel[:, :, 1, 1], torch.ones(256, 1))
    assert kernel.abs().sum() == 256
    assert large.get_parameter("dconv_pp.aspp4.atrous_conv.0.weight")[0].count_nonzero() == 9


def test_a_start_of_the_other_variant_is_refused(tmp_path: Path) -> None:
    from mattecli.network.checkpoint import save_a2u

    save_a2u(A2UNet(shared=False), tmp_path / "unshared.safetensors")
    with pytest.raises(UsageError, match='variant = "unshared"'):
        build_network(toy_config(tmp_path, run__start=tmp_path / "unshared.safetensors"))


def test_a_full_disk_under_the_log_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", **options: Any) -> Any:
        if path.name == "log.jsonl" and mode == "a" and log(tmp_path):
            raise OSError(28, "No space left on device")
        return opened(path, mode, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(InputError, match=r"log\.jsonl cannot be written \(No space left on device\)"):
        run(toy_config(tmp_path))


class Interrupted:
    """A validation that Ctrl-C ends, as long as it is asked for."""

    asked = True
    fingerprint = ""

    def check_memory(self, _: torch.device) -> None: ...

    def validate(self, *_: Any, **__: Any) -> ValidationResult | None:
        return None if self.asked else ValidationResult((Figures("tight", 1.0, 2.0, 3.0, 4.0),), ())


class Looking(Interrupted):
    """A validation that notes which step of the run is saved when it begins, and fails as long as it is asked to."""

    def __init__(self, state: Path, *, fails: bool = False) -> None:
        self.state, self.asked, self.saved = state, False, list[int]()
        self.fails = fails

    def validate(self, *_: Any, **__: Any) -> ValidationResult | None:
        saved = self.state.exists() and torch.load(self.state, weights_only=True)["position"]["step"]
        self.saved.append(int(saved))
        if self.fails:
            raise InputError("a.png is damaged")
        return super().validate()


class InterruptedAt(Interrupted):
    """A validation that Ctrl-C ends when it is asked for the so-manieth time."""

    def __init__(self, number: int) -> None:
        self.left = number

    def validate(self, *_: Any, **__: Any) -> ValidationResult | None:
        self.left -= 1
        self.asked = self.left == 0
        return super().validate()


@pytest.mark.parametrize(
    ("number", "steps", "step"),
    [(1, 9, 0), (3, 9, 4), (9, 4, 4)],  # the last one ends just before the validation
)
def test_a_validation_that_was_interrupted_is_made_up_for_before_the_next_step(
    tmp_path: Path, number: int, steps: int, step: int
) -> None:
    once, parts = (toy_config(tmp_path / name, validation__every=2) for name in ("once", "parts"))
    assert run(once, validation=InterruptedAt(9))[0] == "finished"
    assert run(parts, validation=InterruptedAt(number), should_stop=after(steps))[0] == "interrupted"
    assert [line["step"] for line in log(parts.run.folder, "saved")] == [step]
    assert run(parts, toy_network(seed=9), validation=InterruptedAt(9), resume=True)[0] == "finished"
    for config in (once, parts):
        assert [line["step"] for line in log(config.run.folder, "validation")] == [0, 2, 4, 6]
    assert (tmp_path / "once" / "ema.safetensors").read_bytes() == (tmp_path / "parts" / "ema.safetensors").read_bytes()


def test_a_validation_that_an_older_version_made_is_not_made_again(tmp_path: Path) -> None:
    config = toy_config(tmp_path, validation__every=2, validation__at_start=False)
    for _ in range(2):
        run(config, validation=InterruptedAt(9), pause_minutes=0.0, resume=True)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    for name in ("validated", "judged_on", "reserve"):
        del state["position"][name]
    torch.save(state, tmp_path / "state.pt")
    assert run(config, validation=InterruptedAt(9), resume=True)[0] == "finished"
    assert [line["step"] for line in log(tmp_path, "validation")] == [2, 4, 6]


def test_where_a_session_ends_it_is_saved_before_and_after_its_validation(tmp_path: Path) -> None:
    validation = Looking(tmp_path / "state.pt")
    config = toy_config(tmp_path, validation__every=2, validation__at_start=False)
    for _ in range(2):
        assert run(config, validation=validation, pause_minutes=0.0, resume=True)[0] == "paused"
    assert validation.saved == [2]
    assert torch.load(tmp_path / "state.pt", weights_only=True)["position"]["best"] == 1.0
    assert run(config, validation=validation, resume=True)[0] == "finished"
    assert validation.saved == [2, 2, 6]
    assert [line["step"] for line in log(tmp_path, "saved")] == [1, 2, 2, 6, 6]


def test_where_a_validation_fails_the_steps_before_it_are_saved(tmp_path: Path) -> None:
    config = toy_config(tmp_path, validation__every=3, validation__at_start=False)
    with pytest.raises(InputError, match="damaged"):
        run(config, validation=Looking(tmp_path / "state.pt", fails=True))
    assert [line["step"] for line in log(tmp_path, "saved")] == [3]


def test_the_last_validation_is_made_up_for_where_it_was_interrupted(tmp_path: Path) -> None:
    validation, config = Interrupted(), toy_config(tmp_path, validation__at_start=False)
    for resume in (False, True):
        assert run(config, validation=validation, resume=resume)[0] == "interrupted"
        assert log(tmp_path, "validation") == []
    validation.asked = False
    for _ in range(2):
        assert run(config, validation=validation, resume=True)[0] == "finished"
    assert [line["step"] for line in log(tmp_path, "validation")] == [6]
    assert (tmp_path / "best.safetensors").exists()


def test_a_validation_is_logged_after_what_it_stands_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    validation, config = Interrupted(), toy_config(tmp_path, validation__at_start=False)
    run(config, validation=validation)
    validation.asked = False
    with monkeypatch.context() as patched:
        patched.setattr(loop, "save_weights", no_space)
        with pytest.raises(InputError, match="no space"):
            run(config, validation=validation, resume=True)
    assert run(config, validation=validation, resume=True)[0] == "finished"
    assert (tmp_path / "best.safetensors").exists()


def test_a_best_that_could_not_be_written_is_written_when_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validation, config = InterruptedAt(9), toy_config(tmp_path, validation__every=3, validation__at_start=False)

    def full(*arguments: Any, **options: Any) -> None:
        if arguments[1].name == "best.safetensors":
            no_space()
        save_weights(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "save_weights", full)
        with pytest.raises(InputError, match="no space"):
            run(config, validation=validation)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["position"]["step"] == 3
    run(config, validation=validation, resume=True, pause_minutes=0.0)
    assert (tmp_path / "best.safetensors").exists()


def no_space(*_: Any, **__: Any) -> None:
    raise InputError("no space")


@pytest.mark.parametrize("error", EXHAUSTED)
@pytest.mark.parametrize("place", [(Optimizers, "load_state_dict"), (torch, "load")])
def test_memory_that_is_full_when_a_run_is_resumed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[Any, str], error: RuntimeError
) -> None:
    assert run(toy_config(tmp_path), should_stop=after(2))[0] == "interrupted"

    def full(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(*place, full)
    with pytest.raises(DeviceError, match="cpu ran out of memory before the first step"):
        run(toy_config(tmp_path), resume=True)


@pytest.mark.parametrize("error", EXHAUSTED)
def test_memory_that_runs_out_in_a_step_is_a_device_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Optimizers, "step", full)
    with pytest.raises(DeviceError, match=r"cpu ran out of memory at crops of 16 pixels, 2 at a time; lower batch"):
        run(toy_config(tmp_path))
