import pytest
import torch
import torch.distributed as dist

from mattecli.errors import DeviceError, InputError, UsageError
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


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The second of two processes, without a first. Gets an entry when it waits for the other to leave with it."""
    left: list[str] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(dist, "new_group", lambda **_: None)
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: left.append("together"))
    return left


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[third_party/gloo/gloo/transport/tcp/pair.cc:537] Connection closed by peer\nmore"),
        dist.DistBackendError("NCCL error in: work.cpp\nncclRemoteError: a remote process exiting"),
    ],
)
@pytest.mark.usefixtures("left")
def test_the_end_of_another_process_is_told_as_such(error: RuntimeError) -> None:
    with (
        pytest.raises(DeviceError, match=r"another of the 2 processes has ended; see its message$"),
        joined_processes(torch.device("cpu")),
    ):
        raise error


@pytest.mark.usefixtures("left")
def test_another_error_beside_other_processes_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="a bug") as caught, joined_processes(torch.device("cpu")):
        raise RuntimeError("a bug")
    assert not isinstance(caught.value, DeviceError)


def test_a_process_that_fails_leaves_without_waiting_for_the_others(left: list[str]) -> None:
    with pytest.raises(InputError, match="full"), joined_processes(torch.device("cpu")):
        raise InputError("the disk is full")
    assert left == []
    with joined_processes(torch.device("cpu")) as processes:
        assert processes.rank == 1
    assert left == ["together"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match="--device cuda"):
        training_device("cuda")


def test_a_device_that_training_does_not_know_is_named() -> None:
    with pytest.raises(DeviceError, match="--device mps is not known to training; choose auto, cpu"):
        training_device("mps")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_each_process_takes_the_gpu_of_its_local_rank(two_gpus: pytest.MonkeyPatch) -> None:
    assert training_device("cuda:1") == torch.device("cuda", 1)
    for name, value in (("LOCAL_WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        two_gpus.setenv(name, value)
    assert training_device("auto") == training_device("cuda") == torch.device("cuda", 1)


def test_one_gpu_for_several_processes_is_refused(two_gpus: pytest.MonkeyPatch) -> None:
    two_gpus.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UsageError, match=r"--device cuda:1 names one GPU, but each of the 2 processes needs its own"):
        training_device("cuda:1")


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_more_processes_than_gpus_are_refused(two_gpus: pytest.MonkeyPatch, name: str) -> None:
    for key, value in (("LOCAL_WORLD_SIZE", "3"), ("LOCAL_RANK", "2")):
        two_gpus.setenv(key, value)
    with pytest.raises(DeviceError, match=r"sees 2 GPUs here, too few for 3 processes; .*--nproc-per-node 2"):
        training_device(name)
