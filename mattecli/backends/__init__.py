"""Backends run the network: one narrow protocol, so that matting knows no framework."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mattecli.weights import Checkpoint, find_checkpoint


class Backend(Protocol):
    """What matting asks of a framework."""

    name: str  # "torch"
    device: str  # "cpu", "cuda:0 (NVIDIA …)"
    precision: str  # "fp32", "bf16" or "fp16"
    checkpoint: Checkpoint

    def run(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw alpha (H, W) of the normalised planes x (4, H, W), H and W multiples of 16.

        Raises DeviceError when the device runs out of memory.
        """
        ...

    def peak_bytes(self, height: int, width: int) -> int:
        """The estimated peak of the device's memory for one run of that size."""
        ...

    def free_bytes(self) -> int:
        """Bytes of the device's memory that are free now."""
        ...


def load_backend(weights: str | Path | None = None, *, device: str = "auto", precision: str = "auto") -> Backend:
    """A backend that is ready to run.

    `weights` is a name from `matte weights list` or a file; `device` auto, cpu or cuda[:N]; `precision` auto, fp32,
    bf16 or fp16. Raises WeightsError, DeviceError or UsageError.
    """
    from mattecli.backends.torch import TorchBackend

    return TorchBackend(find_checkpoint(weights), device=device, precision=precision)


__all__ = ["Backend", "load_backend"]
