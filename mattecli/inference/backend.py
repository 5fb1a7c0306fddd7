"""The protocol of backends, which run the network's stages."""

from __future__ import annotations

import importlib
import importlib.util
import operator
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, SupportsIndex

from numpy.typing import NDArray

from mattecli.errors import DeviceError, UsageError
from mattecli.geometry import WHOLE, Edges
from mattecli.inference.costs import Costs
from mattecli.system.process import large_import, load_package
from mattecli.weights import Checkpoint, find_checkpoint

_PACKAGES = {"torch": "torch", "onnx": "onnxruntime"}


class Backend(Protocol):
    """Holds arrays and runs the network's stages on them.

    Arrays are the backend's own. Other code only slices them along their last two axes, rows and columns.
    """

    name: str  # "torch" or "onnx"
    device: str  # "cpu", "cuda:0 (NVIDIA …)"
    precision: str  # "fp32", "bf16" or "fp16"
    checkpoint: Checkpoint
    costs: Costs  # what runs take, for the planner

    def run(self, stage: str, *arrays: Any, edges: Edges = WHOLE) -> Any:
        """The results of a stage of the network (see `network/stages.py`) on windows.

        `edges` says which sides of the windows are sides of the image.

        Raises OutOfMemoryError when the device's memory does not suffice.
        """
        ...

    def array(self, values: NDArray[Any]) -> Any:
        """NumPy's array as the backend's own, on the device."""
        ...

    def host(self, array: Any) -> NDArray[Any]:
        """The backend's array as NumPy's, in float32 or better."""
        ...

    def empty(
        self, channels: int, height: int, width: int, *, exact: bool = False, host: bool = False, zero: bool = False
    ) -> Any:
        """A map (1, channels, height, width) to be filled.

        `exact` has it in float32 or better, `host` in the host's memory; with `zero` it is zero where it is not filled.
        """
        ...

    def put(self, place: Any, piece: Any) -> None:
        """Fill `place`, a slice of a map that may lie in the host's memory, with a piece that a stage gave.

        Raises OutOfMemoryError when the device's memory does not suffice.
        """
        ...

    def tidy(self, limit: int) -> None:
        """Called between tiles: should more than `limit` bytes be held, give back what is not in use."""
        ...

    def free_bytes(self) -> int:
        """Bytes of the device's memory that are free now."""
        ...


def load_backend(
    weights: str | Path | None = None,
    *,
    backend: str = "auto",
    device: str = "auto",
    provider: str | None = None,
    precision: str = "auto",
    threads: int | None = None,
) -> Backend:
    """A backend that is ready to run.

    `weights` is a name from `matte weights list` or a file; `backend` auto, torch or onnx; `device` auto, cpu or
    cuda[:N]; `provider` one of ONNX Runtime's (cpu, cuda, tensorrt, openvino, coreml, directml); `precision` auto,
    fp32, bf16 or fp16. With `auto` a provider or an ONNX file is run by ONNX Runtime, all else by PyTorch where it is
    installed. `threads` is how many the CPU takes: None is one for each physical core, within the quota of a container.
    Raises WeightsError, DeviceError or UsageError.
    """
    if not isinstance(device, str):
        raise UsageError(f"`device` must be the text auto, cpu, cuda or cuda:N, not {device!r}")
    if threads is not None and not (isinstance(threads, SupportsIndex) and operator.index(threads) > 0):
        raise UsageError(f"`threads` must be a whole number from 1 up, not {threads!r}")
    checkpoint = find_checkpoint(weights)
    if backend == "torch" and (checkpoint.exported or provider is not None):
        what = checkpoint.path if checkpoint.exported else f"`provider={provider}`"
        raise UsageError(f"{what} is for ONNX Runtime, not for `backend=torch`; leave one of the two out")
    backend = _settled(backend, exported=checkpoint.exported, provider=provider)
    if backend not in _PACKAGES:
        raise UsageError(f"`backend` must be auto, torch or onnx, not {backend}")
    package = _PACKAGES[backend]
    if importlib.util.find_spec(package) is None:
        raise DeviceError(
            f"`backend={backend}` needs the package {package}, which is not installed; `pip install {package}`"
        )
    load_package(package)
    if backend == "torch":
        from mattecli.inference.torch_backend import TorchBackend

        return TorchBackend(checkpoint, device=device, precision=precision, threads=threads)
    from mattecli.inference.onnx_backend import OnnxBackend

    return OnnxBackend(checkpoint, device=device, provider=provider, precision=precision, threads=threads)


def begin_import(backend: str, *, exported: bool, provider: str | None) -> None:
    """Begin to import the package that will run the network, in a thread, so that files are read meanwhile.

    `exported` says that `matte export-onnx` wrote the weights. `load_backend` waits for the import, and says what is
    wrong with it.
    """
    package = _PACKAGES.get(_settled(backend, exported=exported, provider=provider))
    if package is not None and package not in sys.modules:
        threading.Thread(target=_import_quietly, args=(package,), name=f"import {package}").start()


def _import_quietly(package: str) -> None:
    with suppress(Exception), large_import():
        importlib.import_module(package)


def _settled(backend: str, *, exported: bool, provider: str | None) -> str:
    """The backend, where it was left to us."""
    if backend != "auto":
        return backend
    for_onnx = exported or provider is not None or importlib.util.find_spec("torch") is None
    return "onnx" if for_onnx else "torch"


__all__ = ["Backend", "begin_import", "load_backend"]
