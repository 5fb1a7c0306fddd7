import itertools
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mattecli.errors import DeviceError, MatteError, UsageError
from mattecli.network import A2UNet
from mattecli.training.config import CropStage, TrainConfig
from mattecli.training.loop import train
from mattecli.training.parts import build_network
from mattecli.training.ranks import joined_ranks, training_device
from tests.training.toy import toy_config, toy_feed, toy_network

CPU = torch.device("cpu")


def run(config: TrainConfig, network: nn.Module | None = None, **options: Any) -> tuple[str, nn.Module]:
    network = network or toy_network()
    return train(config, network=network, feed=options.pop("feed", toy_feed), device=CPU, **options), network


def log(folder: Path, kind: str = "step") -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def after(steps: int) -> Callable[[], bool]:
    """Asked once after each step, says stop when so many are done."""
    asked = itertools.count(1)
    return lambda: next(asked) >= steps


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
    assert str(whole["optimizers"]) == str(resumed["optimizers"])
    assert torch.equal(whole["generators"][0], resumed["generators"][0])
    assert whole["position"]["step"] == resumed["position"]["step"] == 6
    assert log(once.run.folder)[-1]["losses"] == log(parts.run.folder)[-1]["losses"]
    for name in ("ema.safetensors", "weights.safetensors"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    config = toy_config(tmp_path, run__steps=60, run__log_every=10, precision__dtype="bf16")
    run(config)
    losses = [line["losses"]["loss"] for line in log(tmp_path)]
    assert losses[-1] < 0.7 * losses[0]


def test_each_stage_has_its_crops(tmp_path: Path) -> None:
    run(toy_config(tmp_path, run__log_every=1))
    assert [line["size"] for line in log(tmp_path)] == [16, 16, 16, 32, 32, 32]


def test_the_run_ends_in_the_time_given_with_the_schedule_done(tmp_path: Path) -> None:
    config = toy_config(tmp_path, run__steps=10**6, run__minutes=0.05, run__log_every=1)
    assert run(config)[0] == "finished"
    lines = log(tmp_path)
    assert lines[-1]["step"] < 10**6
    assert lines[-1]["progress"] == 1.0
    assert lines[-1]["lr"] < 0.1 * max(line["lr"] for line in lines)
    assert {line["size"] for line in lines} == {16, 32}


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
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["position"]["skipped"] == 1
    assert all(bool(tensor.isfinite().all()) for tensor in state["average"].values())
    assert float(state["optimizers"][0]["state"][0]["step"]) == 5


def test_a_gradient_that_stays_non_finite_ends_the_run(tmp_path: Path) -> None:
    config = toy_config(tmp_path, run__steps=100, run__bad_steps=4, run__log_every=5)
    with pytest.raises(MatteError, match="not finite in 7 steps running up to step 10"):
        run(config, Failing(lambda step: step > 3 and step != 3))


def test_pictures_of_the_run_are_written(tmp_path: Path) -> None:
    run(toy_config(tmp_path, validation__every=3))
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


def test_a_dead_data_worker_is_a_device_error(tmp_path: Path) -> None:
    def feed(**options: Any) -> Iterator[dict[str, Tensor]]:
        yield next(toy_feed(**options))
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")

    with pytest.raises(DeviceError, match="workers"):
        run(toy_config(tmp_path), feed=feed)


def train_one_rank(rank: int, folder: str, port: int) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    config = toy_config(Path(folder), crops=(CropStage(size=(16,), batch=1),))
    with joined_ranks(CPU) as ranks:
        run(config, toy_network(norm=False), ranks=ranks)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_two_processes_equal_one_with_the_double_batch(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(train_one_rank, (str(tmp_path / "two"), port), nprocs=2)  # type: ignore[no-untyped-call]
    run(toy_config(tmp_path / "one", crops=(CropStage(size=(16,), batch=2),)), toy_network(norm=False))
    two, one = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("two", "one"))
    assert len(two["generators"]) == 2
    for name, tensor in one["network"].items():
        torch.testing.assert_close(two["network"][name], tensor, rtol=1e-4, atol=1e-6)


def test_small_crops_start_the_dilated_kernels_as_identity(tmp_path: Path) -> None:
    small = build_network(toy_config(tmp_path))
    large = build_network(toy_config(tmp_path, crops=(CropStage(size=(320,)),)))
    kernel = small.get_parameter("dconv_pp.aspp4.atrous_conv.0.weight")
    assert torch.equal(kernel[:, :, 1, 1], torch.ones(256, 1))
    assert kernel.abs().sum() == 256
    assert large.get_parameter("dconv_pp.aspp4.atrous_conv.0.weight")[0].count_nonzero() == 9


def test_a_start_of_the_other_variant_is_refused(tmp_path: Path) -> None:
    from mattecli.network import save_a2u

    save_a2u(A2UNet(shared=False), tmp_path / "unshared.safetensors")
    with pytest.raises(UsageError, match='variant = "unshared"'):
        build_network(toy_config(tmp_path, run__start=tmp_path / "unshared.safetensors"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_absent_cuda_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match="--device cuda"):
        training_device("cuda")
