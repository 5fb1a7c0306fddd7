from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mattecli.errors import DeviceError, OutOfMemoryError, UsageError
from mattecli.geometry import Box
from mattecli.inference import torch_backend
from mattecli.inference.backend import load_backend
from mattecli.inference.maps import StoredMap
from mattecli.inference.model import predict_alpha
from mattecli.inference.torch_backend import TorchBackend, card_error, true_fp32
from mattecli.network.checkpoint import load_a2u
from mattecli.network.inputs import network_input
from mattecli.weights import find_checkpoint

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
TRIMAP = np.full((64, 80), 128, np.uint8)

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card here")


def test_a_run_gives_the_networks_alpha() -> None:
    backend = load_backend(device="cpu")
    with torch.no_grad():
        plain = load_a2u(find_checkpoint().path)(torch.from_numpy(network_input(IMAGE, TRIMAP))[None])[0, 0].numpy()
    alpha = predict_alpha(IMAGE, TRIMAP, backend)
    assert np.abs(alpha - plain.clip(0, 1)).max() < 1e-5
    assert (backend.name, backend.device, backend.precision) == ("torch", "cpu", "fp32")


def test_the_same_input_gives_the_same_alpha() -> None:
    backend = load_backend(device="cpu")
    assert np.array_equal(predict_alpha(IMAGE, TRIMAP, backend), predict_alpha(IMAGE, TRIMAP, backend))


def test_a_run_takes_the_threads_that_are_asked_for_and_changes_nothing_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, seen = torch.get_num_threads(), []
    change = torch.set_num_threads

    def noted(count: int) -> None:
        seen.append(count)
        change(count)

    monkeypatch.setattr(torch_backend.torch, "set_num_threads", noted)
    predict_alpha(IMAGE, TRIMAP, load_backend(device="cpu", threads=before + 2))
    assert seen[:2] == [before + 2, before]
    assert set(seen[::2]) == {before + 2}
    assert torch.get_num_threads() == before


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


class Waiting(threading.Thread):
    """A thread in which a stage has begun that takes so many threads, and goes on until it is told to `end`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        begun, self.go, self.seen = threading.Event(), threading.Event(), list[int]()

        def stage(*_: object, edges: object) -> None:
            self.seen.append(torch.get_num_threads())
            begun.set()
            assert self.go.wait(60)

        with monkeypatch.context() as patch:
            patch.setattr(torch_backend, "split", lambda _: {"layer0": stage})
            backend = TorchBackend(find_checkpoint(), device="cpu", threads=count)
        super().__init__(target=backend.run, args=("layer0",))
        self.start()
        assert begun.wait(60)

    def end(self) -> None:
        self.go.set()
        self.join()


def in_a_new_thread(function: Callable[[], int]) -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.usefixtures("four_threads")
def test_the_host_keeps_its_number_of_threads_where_runs_with_others_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Waiting(monkeypatch, 1)
    two = Waiting(monkeypatch, 2)
    one.end()
    two.end()
    assert (one.seen, two.seen) == ([1], [2])
    assert in_a_new_thread(torch.get_num_threads) == 4
    assert torch.get_num_threads() == 4


@pytest.mark.usefixtures("four_threads")
def test_a_model_that_is_loaded_during_a_run_elsewhere_takes_the_hosts_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch_backend, "cpu_quota", lambda: None)
    seen: list[int] = []

    def stage(*_: object, edges: object) -> None:
        seen.append(torch.get_num_threads())

    def load() -> int:
        with monkeypatch.context() as patch:
            patch.setattr(torch_backend, "split", lambda _: {"layer0": stage})
            backend = TorchBackend(find_checkpoint(), device="cpu")
        backend.run("layer0")
        return torch.get_num_threads()

    one = Waiting(monkeypatch, 1)
    assert in_a_new_thread(load) == 4
    one.end()
    assert seen == [4]


@pytest.mark.usefixtures("four_threads")
def test_threads_with_numbers_of_their_own_keep_them(monkeypatch: pytest.MonkeyPatch) -> None:
    four = TorchBackend(find_checkpoint(), device="cpu", threads=4)

    begun: list[Waiting] = []

    def begin() -> int:
        torch.set_num_threads(1)
        begun.append(Waiting(monkeypatch, 4))  # a new thread: the host's number there is 1 too
        return torch.get_num_threads()

    assert in_a_new_thread(begin) == 1
    predict_alpha(IMAGE[:16, :16], TRIMAP[:16, :16], four)
    assert torch.get_num_threads() == 4
    begun[0].end()
    assert torch.get_num_threads() == 4


def test_maps_are_in_the_networks_type_or_better() -> None:
    backend = load_backend(device="cpu", precision="bf16")
    assert backend.empty(3, 4, 5).dtype == torch.bfloat16
    exact = backend.empty(3, 4, 5, exact=True)
    assert (exact.dtype, tuple(exact.shape)) == (torch.float32, (1, 3, 4, 5))
    assert backend.host(backend.empty(1, 2, 3)).dtype == np.float32
    assert backend.free_bytes() > 2**20


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA card is here")
def test_cuda_asked_for_and_absent_is_an_error_with_the_remedy() -> None:
    with pytest.raises(DeviceError, match=r"`device=cuda` cannot be used: .*(CUDA build|nvidia-smi).*`device=cpu`"):
        load_backend(device="cuda")


def test_unknown_devices_and_precisions_are_refused() -> None:
    with pytest.raises(UsageError, match="`device` must be auto, cpu, cuda or cuda:N, not tpu"):
        load_backend(device="tpu")
    with pytest.raises(UsageError, match="`precision` must be auto, fp32, bf16 or fp16, not fp8"):
        load_backend(precision="fp8")
    with pytest.raises(UsageError, match="`precision=fp16` is for CUDA"):
        load_backend(device="cpu", precision="fp16")


def test_memory_that_runs_out_is_told_from_other_failures() -> None:
    backend = load_backend(device="cpu")
    large = torch.zeros(1, 1, 1, 1).expand(1, 4, 2**20, 2**20)  # 16 TiB once the first convolution copies it
    with pytest.raises(OutOfMemoryError, match="the memory ran out"):
        backend.run("layer0", large)
    with pytest.raises(OutOfMemoryError, match="the memory ran out"):
        backend.empty(64, 2**24, 2**24)
    with pytest.raises(RuntimeError, match="channels"):
        backend.run("layer0", torch.zeros(1, 3, 16, 16))


def test_memory_that_runs_out_while_an_array_is_converted_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 2**40)  # a hole: it takes no room on the disk
    halves = np.memmap(tmp_path / "large", np.float16, "r+")
    with pytest.raises(OutOfMemoryError, match="the memory ran out"):
        load_backend(device="cpu").array(halves)


def test_a_full_card_is_an_error_of_ours_that_names_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def exhaust(*_: object, edges: object) -> None:
        ran.append("layer0")
        raise torch.OutOfMemoryError("no more")

    monkeypatch.setattr(torch_backend, "split", lambda _: {"layer0": exhaust})
    backend = TorchBackend(find_checkpoint(), device="cpu")
    with pytest.raises(OutOfMemoryError, match="cpu ran out of memory"):
        backend.run("layer0", torch.zeros(1, 4, 16, 16))
    assert ran == ["layer0"]


class Full:
    """A map in the host's memory, to which a full card can copy nothing."""

    def __getitem__(self, _: object) -> Full:
        return self

    def copy_(self, _: object) -> None:
        raise torch.OutOfMemoryError("no more")


def test_a_card_that_is_full_when_a_map_gets_its_piece_is_an_error_of_ours() -> None:
    stored = StoredMap(load_backend(device="cpu"), Full(), 0)
    with pytest.raises(OutOfMemoryError, match="cpu ran out of memory"):
        stored.put(Box(0, 8, 0, 8), torch.zeros(1, 64, 8, 8))


@needs_cuda
def test_maps_and_arrays_too_large_for_a_card_are_our_errors() -> None:
    backend = load_backend(device="cuda")
    array = np.zeros((4096, 4096), np.float32)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        with pytest.raises(OutOfMemoryError, match=r"cuda:0 .* ran out of memory"):
            backend.empty(64, 4096, 4096)
        with pytest.raises(OutOfMemoryError, match=r"cuda:0 .* ran out of memory"):
            backend.array(array)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_tf32_stays_off_until_the_last_run_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    first, second = true_fp32(), true_fp32()
    with first:
        second.__enter__()
        assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    second.__exit__(None, None, None)
    assert torch.backends.cudnn.allow_tf32


@needs_cuda
def test_arrays_copied_while_the_card_computes_arrive_whole() -> None:
    backend = load_backend(device="cuda")
    arrays = [np.random.default_rng(seed).integers(0, 255, (512, 512, 3), np.uint8) for seed in range(50)]
    busy = torch.rand(4096, 4096, device="cuda")
    sums = []
    for array in arrays:
        busy = busy @ busy.softmax(1)
        sums.append(backend.array(array).sum())
    assert [int(s) for s in sums] == [int(array.sum()) for array in arrays]


@needs_cuda
def test_cuda_in_fp32_equals_the_cpu() -> None:
    cpu, cuda = load_backend(device="cpu"), load_backend(device="cuda")
    assert cuda.device.startswith("cuda:")
    assert np.abs(predict_alpha(IMAGE, TRIMAP, cuda) - predict_alpha(IMAGE, TRIMAP, cpu)).max() <= 1e-4


@pytest.mark.skipif(
    not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="this PyTorch has only the older switches"
)
def test_tf32_is_off_in_a_run_where_the_host_took_the_newer_of_pytorchs_switches() -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32"  # from here on PyTorch refuses to read the older switch
    try:
        with true_fp32():
            assert matmul.fp32_precision == "ieee"
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.fp32_precision = before


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        ("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA", OutOfMemoryError, "a card ran out of memory"),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling x", OutOfMemoryError, "a card ran out of memory"),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", OutOfMemoryError, "ran out of memory"),
        ("HIP error: invalid device function", DeviceError, r"a card failed \(HIP error: invalid"),
        (
            "CUDA error: no kernel image is available\nmore",
            DeviceError,
            r"a card failed \(CUDA error: no kernel",
        ),
    ],
)
def test_errors_of_a_card_are_told_as_such(words: str, kind: type[DeviceError], said: str) -> None:
    found = card_error(RuntimeError(words), "a card")
    assert type(found) is kind
    with pytest.raises(kind, match=said):
        raise found
    assert card_error(RuntimeError("sizes do not match"), "a card") is None


def test_a_card_that_is_full_while_the_network_is_loaded_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch_backend, "_prepare", full)
    with pytest.raises(DeviceError, match=r"cpu ran out of memory while the network was loaded; free some of it$"):
        TorchBackend(find_checkpoint(), device="cpu")
