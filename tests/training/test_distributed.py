import pytest
import torch

from mattecli.errors import DeviceError
from mattecli.training.distributed import Processes, joined_processes, training_device


def test_without_torchrun_a_process_trains_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined_processes(torch.device("cpu")) as processes:
        assert (processes.rank, processes.world_size, processes.first) == (0, 1, True)
        assert processes.agree(3.0, False) == [3.0, False]
        (alone,) = processes.gather(torch.arange(3))
        assert alone.tolist() == [0, 1, 2]


def test_only_rank_0_is_the_first_process() -> None:
    assert [Processes(rank=rank, world_size=2).first for rank in range(2)] == [True, False]


def test_processes_that_do_not_find_each_other_are_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with (
        pytest.raises(DeviceError, match=r"the 2 processes cannot reach each other .*; start them with torchrun"),
        joined_processes(torch.device("cpu")),
    ):
        raise AssertionError("joined without an address")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match="--device cuda"):
        training_device("cuda")


def test_a_device_that_training_does_not_know_is_named() -> None:
    with pytest.raises(DeviceError, match="--device mps is not known to training; choose auto, cpu"):
        training_device("mps")
