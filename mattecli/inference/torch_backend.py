"""The PyTorch backend: runs the network's stages on CPU or CUDA."""

from __future__ import annotations

import math
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mattecli.errors import DeviceError, OutOfMemoryError, UsageError
from mattecli.geometry import WHOLE, Edges
from mattecli.inference import arena
from mattecli.inference.costs import Costs
from mattecli.network.a2u import A2UNet
from mattecli.network.affinity import AffinityPredictor
from mattecli.network.checkpoint import load_a2u
from mattecli.network.fold import fold_norms
from mattecli.network.stages import split
from mattecli.system import memory, process
from mattecli.system.threads import cpu_quota
from mattecli.weights import Checkpoint

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "fp64": torch.float64}
CALL_OVERHEAD_PIXELS = {"cpu": 1500, "cuda": 150_000}
TILES = {"cpu": (512, 448, 384, 320, 256, 192, 128, 64), "cuda": (2048, 1024, 512, 256, 128, 64)}
# Measured by `benchmarks/tiles.py --growth` (its table is in benchmarks/README.md), with a tenth to spare.
FIXED_BYTES = {"cpu": 420 * 2**20, "cuda": 600 * 2**20}
TILE_VALUES = 620  # of a tile's maps and the holes they leave, for each of its pixels, in the largest pass
# A card is fast only with large tiles, and its memory is seldom shared. Photos that need more than this, above 100
# megapixels, store their maps in the host's memory.
DEFAULT_BUDGET = {"cpu": memory.DEFAULT_BUDGET, "cuda": (8 * 2**30, 0)}
# In the words of a card's libraries where they fail.
_MARKS_OF_CARDS = ("CUDA", "CUDNN_STATUS", "CUBLAS_STATUS", "HIP error", "MIOPEN", "unable to find an engine")


class TorchBackend:
    """A2U on PyTorch. `auto` takes the current CUDA card if there is one, else the CPU, and float32."""

    name = "torch"

    def __init__(
        self, checkpoint: Checkpoint, *, device: str = "auto", precision: str = "auto", threads: int | None = None
    ) -> None:
        self.checkpoint = checkpoint
        self.precision = _choose_precision(precision)
        self._device = _choose_device(device)
        quota = None if os.environ.get("OMP_NUM_THREADS") else cpu_quota()
        self._threads = threads or min(_threads.chosen(), quota or sys.maxsize)
        if self._device.type == "cpu" and self.precision == "fp16":
            raise UsageError("`precision=fp16` is for CUDA; on a CPU choose fp32, or bf16 if the CPU has AMX")
        self.device = _describe(self._device)
        if self._device.type == "cpu":
            process.keep_freed_memory()
        self.costs = costs(self._device.type, DTYPES[self.precision].itemsize)
        self._dtype = DTYPES[self.precision]
        self._exact = torch.promote_types(self._dtype, torch.float32)  # for statistics and affinities
        self._ceiling = memory.Ceiling(arena.shared.give_back)
        self._copies = None
        try:
            with self._exhaustion():
                network = load_a2u(checkpoint.path)
                self._stages = split(_prepare(network, self._device, self._dtype, self._exact))
                if self._device.type == "cuda":
                    self._copies = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        except OutOfMemoryError as error:
            way_out = "" if self._device.type == "cpu" else " or use `device=cpu`"
            raise DeviceError(f"{error} while the network was loaded; free some of it{way_out}") from error

    def run(self, stage: str, *arrays: Tensor, edges: Edges = WHOLE) -> Tensor | tuple[Tensor, ...]:
        """The results of a stage of the network."""
        fp32 = true_fp32() if self._device.type == "cuda" else nullcontext()
        plain = torch.autocast(self._device.type, enabled=False)  # the host's own would mix the types of maps
        with torch.inference_mode(), plain, fp32, _threads(self._threads), self._exhaustion():
            return self._stages[stage](*(array.to(self._device) for array in arrays), edges=edges)

    def array(self, values: NDArray[Any]) -> Tensor:
        """A NumPy array on the device; floats become the type of statistics."""
        if values.dtype == np.uint16:  # PyTorch has few operations for it
            values = values.astype(np.int32)
        tensor = torch.from_numpy(np.require(values, requirements=["C", "W"]))  # PyTorch warns of read-only ones
        with self._exhaustion():
            return self._sent(tensor).to(self._exact if tensor.is_floating_point() else tensor.dtype)

    def host(self, array: Tensor) -> NDArray[Any]:
        """An array as a NumPy array, in float32 or better; waits until it is computed."""
        with self._exhaustion():  # errors of a card come when its results are waited for
            return array.to("cpu", torch.promote_types(array.dtype, torch.float32)).numpy()

    def empty(
        self, channels: int, height: int, width: int, *, exact: bool = False, host: bool = False, zero: bool = False
    ) -> Tensor:
        """A map (1, channels, height, width) to be filled, in the type of statistics if `exact`."""
        dtype, device = self._exact if exact else self._dtype, torch.device("cpu") if host else self._device
        shape = (1, height, width, channels)
        if device.type == "cpu":
            block = arena.shared.take(math.prod(shape) * dtype.itemsize, zero=zero)
            tensor = torch.from_numpy(block).view(dtype).view(shape)
        else:
            with self._exhaustion():
                tensor = (torch.zeros if zero else torch.empty)(shape, dtype=dtype, device=device)
        return tensor.permute(0, 3, 1, 2)  # channels-last in memory

    def put(self, place: Tensor, piece: Tensor) -> None:
        """Fill `place`, a slice of a map, with `piece`."""
        with self._exhaustion():  # a copy to the host waits for the card, whose errors come then
            place.copy_(piece)

    def tidy(self, limit: int) -> None:
        """Give freed memory back if the process holds more than `limit` bytes; on a CPU only.

        Blocks of many sizes leave holes in the heap. PyTorch manages a card's memory itself.
        """
        if self._device.type == "cpu":
            self._ceiling.enforce(limit)

    def _sent(self, tensor: Tensor) -> Tensor:
        """A tensor of the host on the device; it is copied to a card while earlier tiles are still being computed.

        Only copies from pinned memory are asynchronous. Others make this thread wait for all work before them.
        """
        if self._copies is None:
            return tensor
        with torch.cuda.stream(self._copies):
            sent = tensor.pin_memory().to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._copies)
        sent.record_stream(computing)  # or the next copy might get its memory while it is still read
        return sent

    @contextmanager
    def _exhaustion(self) -> Iterator[None]:
        """Raise PyTorch's errors of exhausted memory, and of a card, as ours."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise OutOfMemoryError(f"{self.device} ran out of memory") from error
        except RuntimeError as error:
            if ran_out_of_memory(error):
                raise OutOfMemoryError("the memory ran out") from error
            ours = isinstance(error, NotImplementedError)  # an operation that no card has
            if self._device.type == "cuda" and not ours and (found := card_error(error, self.device)) is not None:
                raise found from error
            raise

    def free_bytes(self) -> int:
        """Bytes of RAM, or of the card's memory, that are free now; memory held for later maps counts as free."""
        if self._device.type == "cuda":
            cached = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
            return int(torch.cuda.mem_get_info(self._device)[0]) + cached
        return memory.free_bytes() + arena.shared.spare_bytes()


def ran_out_of_memory(error: Exception) -> bool:
    """Whether PyTorch says so: of a card, or of a process on the CPU that has a memory limit."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def card_error(error: RuntimeError, device: str) -> DeviceError | None:
    """Our error for one that a card's libraries raised; None for another."""
    text = str(error)
    if not any(mark in text for mark in _MARKS_OF_CARDS):
        return None
    if any(mark in text for mark in ("out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED")):
        return OutOfMemoryError(f"{device} ran out of memory")
    reason = text.splitlines()[0]
    return DeviceError(f"{device} failed ({reason}); check that driver and PyTorch fit it, or use `device=cpu`")


def costs(device: str, value_bytes: int) -> Costs:
    """The costs of a run on a device, "cpu" or "cuda", with maps of values of that many bytes."""
    return Costs(
        value_bytes=value_bytes,
        fixed_bytes=FIXED_BYTES[device],
        tile_bytes=TILE_VALUES * value_bytes,
        default_budget=DEFAULT_BUDGET[device],
        share_bytes=memory.share_bytes() if device == "cpu" else 0,
        call_overhead_pixels=CALL_OVERHEAD_PIXELS[device],
        tiles=TILES[device],
        apart=device == "cuda",
    )


def _prepare(net: A2UNet, device: torch.device, dtype: torch.dtype, exact: torch.dtype) -> A2UNet:
    """Make the network ready: norms folded, channels-last, and the predictors' small layers in the exact type."""
    net = fold_norms(net.double() if dtype == torch.float64 else net, in_place=True).to(device, dtype)
    for module in net.modules():
        if isinstance(module, AffinityPredictor):
            module.to(exact)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return net


def _choose_precision(wanted: str) -> str:
    if wanted == "auto":
        return "fp32"
    if wanted not in DTYPES:
        raise UsageError(f"`precision` must be auto, fp32, bf16 or fp16, not {wanted}")
    return wanted


def _choose_device(wanted: str) -> torch.device:
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if wanted == "auto":
        return torch.device("cuda", torch.cuda.current_device())
    if not re.fullmatch(r"cuda(:\d+)?", wanted):
        raise UsageError(f"`device` must be auto, cpu, cuda or cuda:N, not {wanted}")
    if torch.version.cuda is None and not torch.cuda.is_available():  # a build for ROCm is available without it
        raise DeviceError(
            f"`device={wanted}` cannot be used: this PyTorch ({torch.__version__}) is built without CUDA; install a "
            "CUDA build (see pytorch.org) or use `device=cpu`"
        )
    if not torch.cuda.is_available():
        raise DeviceError(
            f"`device={wanted}` cannot be used: PyTorch finds no CUDA card or driver; check `nvidia-smi` or "
            "use `device=cpu`"
        )
    device = torch.device(wanted if ":" in wanted else f"cuda:{torch.cuda.current_device()}")
    if (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"`device={wanted}` does not exist: PyTorch sees {torch.cuda.device_count()} card(s), counted from cuda:0"
        )
    return device


def _describe(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else "cpu"


class _TrueFp32:
    """Turns TF32 off while any thread is inside; PyTorch has one switch for the whole process."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._before: list[tuple[Any, str, Any]] = []

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """TF32 of cuDNN and cuBLAS, which rounds to 10 bits, is off inside, so that fp32 is exact."""
        with self._lock:
            if not self._inside:
                self._before = [(owner, name, _read(owner, name)) for owner, name, _ in _tf32_switches()]
                for owner, name, off in _tf32_switches():
                    if off is not None:
                        setattr(owner, name, off)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    for owner, name, value in self._before:
                        if value is not None and _read(owner, name) != value:
                            setattr(owner, name, value)


def _tf32_switches() -> list[tuple[Any, str, Any]]:
    """PyTorch's switches of TF32, each with its value for off: the older ones, which move the newer ones, first.

    None stands where another switch turns it off. Such a one is only put back.
    """
    cudnn, matmul, mkldnn = torch.backends.cudnn, torch.backends.cuda.matmul, torch.backends.mkldnn
    older: list[tuple[Any, str, Any]] = [
        (cudnn, "allow_tf32", False),
        (_MatmulPrecision(), "level", None),  # before `allow_tf32`, which knows two of its three levels
        (matmul, "allow_tf32", False),
    ]
    if not hasattr(matmul, "fp32_precision"):  # before PyTorch 2.9
        return older
    newer = [matmul, *(getattr(cudnn, part) for part in ("conv", "rnn") if hasattr(cudnn, part))]
    cpu = [(mkldnn.matmul, "fp32_precision", None)] if hasattr(mkldnn, "matmul") else []  # the level moves it
    return older + [(owner, "fp32_precision", "ieee") for owner in newer] + cpu


class _MatmulPrecision:
    """`torch.set_float32_matmul_precision` as a switch like the others."""

    @property
    def level(self) -> str:
        return torch.get_float32_matmul_precision()

    @level.setter
    def level(self, value: str) -> None:
        torch.set_float32_matmul_precision(value)


def _read(switch: Any, name: str) -> Any:
    """A switch's value; None where PyTorch refuses to read an older one, for the host has used a newer one."""
    try:
        return getattr(switch, name)
    except RuntimeError:
        return None


true_fp32 = _TrueFp32()


class _Threads:
    """Lets PyTorch take another number of threads while a stage runs.

    Each thread has a number of its own for PyTorch. One that has none yet gets the last one that was set in the
    process: that of a stage, if one runs meanwhile in another thread.
    """

    def __init__(self) -> None:
        self._lock, self._known = threading.Lock(), threading.local()
        self._inside: list[int] = []  # the numbers of the stages that run now, as far as they are not the host's
        self._host = 0  # the host's number, as the first of them found it

    def chosen(self) -> int:
        """The host's number for this thread, which is put right first if it is that of a stage elsewhere."""
        with self._lock:
            number = torch.get_num_threads()
            if number in self._inside and not hasattr(self._known, "here"):
                number = self._host
                torch.set_num_threads(number)
            self._known.here = True
            return number

    @contextmanager
    def __call__(self, count: int) -> Iterator[None]:
        """Let PyTorch take so many threads inside."""
        before = self.chosen()
        if count == before:
            yield
            return
        with self._lock:
            if not self._inside:
                self._host = before
            self._inside.append(count)
            torch.set_num_threads(count)
        try:
            yield
        finally:
            with self._lock:
                self._inside.remove(count)
                torch.set_num_threads(before)


_threads = _Threads()
