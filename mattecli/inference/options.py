"""How the network is run: weights, device, arithmetic, tiles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mattecli.inference.plan import Tile


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What `predict`, `batch`, `evaluate` and the library choose alike.

    `weights` is a name from `matte weights list` or a file. `backend` is auto, torch or onnx; `device` auto, cpu or
    cuda[:N]; `provider` one of ONNX Runtime's (cpu, cuda, tensorrt, openvino, coreml, directml); `precision` auto,
    fp32, bf16 or fp16. `tile` is auto, off, or the side of a tile in pixels; `max_memory` the most bytes of the
    device's memory that a run may take. `snap` (0 to 100, of 255) pulls trimap values that close to 0 and 255 to them.
    `network_exposure` brightens what the network sees by so many stops; the outputs do not change. An array is seen as
    it is. `threads` is how many the CPU takes: None is one for each physical core, within the quota of a container.
    `coarse_to_fine` mattes a small copy first, of photos of over 4 megapixels with a wide unknown part; without it the
    network runs once.

    Three of them mean less here than on the command line. `max_memory` is a number of bytes, not a text such as 8G.
    `precision` auto is always fp32, since nothing is known of the outputs; `matte` takes bf16 for those of 8 bits on
    processors that have it. `threads` is for the network alone, not for reading, estimates and writing.
    """

    weights: str | Path | None = None
    backend: str = "auto"
    device: str = "auto"
    provider: str | None = None
    precision: str = "auto"
    tile: Tile = "auto"
    max_memory: int | None = None
    snap: int = 0
    network_exposure: float = 0.0
    threads: int | None = None
    coarse_to_fine: bool = True
