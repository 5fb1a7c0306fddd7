"""The PyTorch backend: the whole network at once, on a CPU or a CUDA card."""

from __future__ import annotations

import re

import numpy as np
import torch
from numpy.typing import NDArray

from mattecli import memory
from mattecli.errors import DeviceError, UsageError
from mattecli.network import load_a2u
from mattecli.network.fold import fold_norms
from mattecli.weights import Checkpoint

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

# Peak memory of a whole-image run for each pixel of the padded image, and what the process holds besides, in bytes;
# measured by `benchmarks/predict.py` (its table is in benchmarks/README.md), with a tenth to spare.
PIXEL_BYTES = {"fp32": 1900, "bf16": 1200, "fp16": 1200}
FIXED_BYTES = 600 * 2**20


class TorchBackend:
    """A2U on PyTorch. `auto` takes the first CUDA card that works, else the CPU, and float32."""

    name = "torch"

    def __init__(self, checkpoint: Checkpoint, *, device: str = "auto", precision: str = "auto") -> None:
        self.checkpoint = checkpoint
        self.precision = _choose_precision(precision)
        self._device = _choose_device(device)
        if self._device.type == "cpu" and self.precision == "fp16":
            raise UsageError("--precision fp16 is for CUDA; on a CPU choose fp32, or bf16 where it has AMX")
        self.device = _describe(self._device)
        if self._device.type == "cpu":
            memory.keep_freed_memory()
        net = fold_norms(load_a2u(checkpoint.path))
        self._net = net.to(self._device, DTYPES[self.precision])
        for parameter in self._net.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def run(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw alpha (H, W) of the normalised planes x (4, H, W)."""
        try:
            with torch.inference_mode(), _true_fp32():
                planes = torch.from_numpy(x)[None].to(self._device, DTYPES[self.precision])
                alpha = self._net(planes.contiguous(memory_format=torch.channels_last))
                return alpha[0, 0].float().cpu().numpy()  # type: ignore[no-any-return]
        except torch.OutOfMemoryError as error:
            height, width = x.shape[1:]
            raise DeviceError(
                f"{self.device} ran out of memory at {width}×{height} pixels; free some of it, use --device cpu, or "
                "matte a smaller picture"
            ) from error

    def peak_bytes(self, height: int, width: int) -> int:
        """The estimated peak of the device's memory for one run of that size."""
        return FIXED_BYTES + PIXEL_BYTES[self.precision] * height * width

    def free_bytes(self) -> int:
        """Bytes of RAM, or of the card's memory, that are free now."""
        if self._device.type == "cuda":
            cached = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
            return int(torch.cuda.mem_get_info(self._device)[0]) + cached
        return memory.free_bytes()


def _choose_precision(wanted: str) -> str:
    if wanted == "auto":
        return "fp32"
    if wanted not in DTYPES:
        raise UsageError(f"--precision {wanted} is unknown; choose auto, fp32, bf16 or fp16")
    return wanted


def _choose_device(wanted: str) -> torch.device:
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if wanted == "auto":
        return torch.device("cuda", torch.cuda.current_device())
    if not re.fullmatch(r"cuda(:\d+)?", wanted):
        raise UsageError(f"--device {wanted} is unknown; choose auto, cpu, cuda or cuda:N")
    if torch.version.cuda is None:
        raise DeviceError(
            f"--device {wanted} cannot be used: this PyTorch ({torch.__version__}) is built without CUDA; install a "
            "CUDA build (see pytorch.org) or use --device cpu"
        )
    if not torch.cuda.is_available():
        raise DeviceError(
            f"--device {wanted} cannot be used: PyTorch finds no CUDA card or driver; check `nvidia-smi` or "
            "use --device cpu"
        )
    device = torch.device(wanted if ":" in wanted else f"cuda:{torch.cuda.current_device()}")
    if (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"--device {wanted} is not there: PyTorch sees {torch.cuda.device_count()} card(s), counted from cuda:0"
        )
    return device


def _describe(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else "cpu"


class _true_fp32:  # noqa: N801 - used like a function
    """fp32 means fp32: cuDNN's and cuBLAS's TF32, which rounds to 10 bits, is off inside."""

    def __enter__(self) -> None:
        self._before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    def __exit__(self, *_: object) -> None:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = self._before
