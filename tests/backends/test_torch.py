from __future__ import annotations

import numpy as np
import pytest
import torch

from mattecli.backends import load_backend
from mattecli.backends.torch import TorchBackend
from mattecli.errors import DeviceError, UsageError
from mattecli.network import load_a2u
from mattecli.weights import find_checkpoint

X = np.random.default_rng(0).standard_normal((4, 64, 80)).astype(np.float32)

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card here")


def test_a_run_gives_the_networks_alpha() -> None:
    backend = load_backend(device="cpu")
    with torch.no_grad():
        plain = load_a2u(find_checkpoint().path)(torch.from_numpy(X)[None])[0, 0].numpy()
    alpha = backend.run(X)
    assert alpha.shape == (64, 80)
    assert alpha.dtype == np.float32
    assert np.abs(alpha - plain).max() < 1e-5
    assert (backend.name, backend.device, backend.precision) == ("torch", "cpu", "fp32")


def test_the_same_input_gives_the_same_alpha() -> None:
    backend = load_backend(device="cpu")
    assert np.array_equal(backend.run(X), backend.run(X))


def test_bf16_stays_close() -> None:
    difference = load_backend(device="cpu", precision="bf16").run(X) - load_backend(device="cpu").run(X)
    assert 0 < np.abs(difference).max() < 0.2
    assert np.abs(difference).mean() < 0.02


def test_estimate_grows_with_the_picture() -> None:
    backend = load_backend(device="cpu")
    assert backend.peak_bytes(1000, 1000) > 1000 * 1000 * 500
    assert backend.peak_bytes(2000, 1000) - backend.peak_bytes(1000, 1000) == pytest.approx(1e6 * 1900, rel=0.5)
    assert backend.free_bytes() > 2**20


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA card is here")
def test_cuda_asked_for_and_absent_is_an_error_with_the_remedy() -> None:
    with pytest.raises(DeviceError, match=r"--device cuda cannot be used: .*(CUDA build|nvidia-smi).*--device cpu"):
        load_backend(device="cuda")


def test_unknown_devices_and_precisions_are_refused() -> None:
    with pytest.raises(UsageError, match="--device tpu is unknown"):
        load_backend(device="tpu")
    with pytest.raises(UsageError, match="--precision fp8 is unknown"):
        load_backend(precision="fp8")
    with pytest.raises(UsageError, match="fp16 is for CUDA"):
        load_backend(device="cpu", precision="fp16")


def test_an_exhausted_device_is_an_error_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = TorchBackend(find_checkpoint(), device="cpu")

    def exhaust(_: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("no more")

    monkeypatch.setattr(backend, "_net", exhaust)
    with pytest.raises(DeviceError, match="ran out of memory at 80×64 pixels"):
        backend.run(X)


@needs_cuda
def test_cuda_in_fp32_equals_the_cpu() -> None:
    cpu, cuda = load_backend(device="cpu"), load_backend(device="cuda")
    assert cuda.device.startswith("cuda:")
    assert np.abs(cuda.run(X) - cpu.run(X)).max() <= 1e-4
