"""The ONNX Runtime backend: runs the network's stages in sessions.

Each stage is a model of its own. Weights come from a checkpoint or from a file that `matte export-onnx` wrote. PyTorch
is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from mattecli.errors import OutOfMemoryError, UsageError
from mattecli.geometry import WHOLE, Edges
from mattecli.inference.costs import Costs
from mattecli.onnx.read_weights import read_weights
from mattecli.onnx.sessions import choose_provider, open_session, translated
from mattecli.onnx.stages import stage_model
from mattecli.system import memory, process
from mattecli.weights import Checkpoint

Array = NDArray[Any]

# Measured by `benchmarks/runtimes.py --memory`, with a tenth to spare.
FIXED_BYTES = 300 * 2**20
OTHER_BYTES = 700 * 2**20  # more, for the stages that OpenVINO compiles; other providers were not measured
TILE_VALUES = 640  # of a tile's maps, for each of its pixels, in the largest pass


class OnnxBackend:
    """A2U on ONNX Runtime, in float32. Arrays are NumPy arrays; each call copies them to the device and back."""

    name = "onnx"
    precision = "fp32"

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = "auto",
        provider: str | None = None,
        precision: str = "auto",
        threads: int | None = None,
    ) -> None:
        if precision not in ("auto", "fp32"):
            remedy = f"use `backend=torch` for {precision}" + (", without `provider`" if provider else "")
            remedy = "leave `precision` out" if checkpoint.exported else remedy
            raise UsageError(f"`backend=onnx` computes in fp32; {remedy}")
        self.checkpoint = checkpoint
        self._provider = choose_provider(device, provider)
        self.device = self._provider.device
        self.costs = Costs(
            value_bytes=4,
            fixed_bytes=FIXED_BYTES + (0 if self.device == "cpu" else OTHER_BYTES),
            tile_bytes=4 * TILE_VALUES,
            default_budget=memory.DEFAULT_BUDGET,
            share_bytes=memory.share_bytes() if self.device == "cpu" else 0,
            call_overhead_pixels=3000,
            tiles=(512, 384, 256, 128, 64),
        )
        self._weights = read_weights(checkpoint.path)
        self._threads = threads
        self._sessions: dict[str, ort.InferenceSession] = {}
        self._ceiling = memory.Ceiling()
        if self.device == "cpu":
            process.keep_freed_memory()

    def run(self, stage: str, *arrays: Array, edges: Edges = WHOLE) -> Array | tuple[Array, ...]:
        """The results of a stage of the network."""
        if stage == "normalise":
            with _exhaustion():
                return _normalise(*arrays)
        session = self._session(stage)
        with _exhaustion():
            given = [np.ascontiguousarray(array, np.float32) for array in arrays]
        names = [entry.name for entry in session.get_inputs()]
        feeds = dict(zip(names, [*given, np.array(edges, np.int64)], strict=False))
        with translated(f"in {stage} on {self.device}"):
            found = session.run(None, feeds)
        return found[0] if len(found) == 1 else tuple(found)

    def array(self, values: Array) -> Array:
        """The array itself; floats become float32."""
        with _exhaustion():
            return values.astype(np.float32) if values.dtype.kind == "f" else values

    def host(self, array: Array) -> Array:
        """The array itself."""
        return array

    def empty(
        self,
        channels: int,
        height: int,
        width: int,
        *,
        exact: bool = False,  # noqa: ARG002 - all maps are float32
        host: bool = False,  # noqa: ARG002 - all maps are there
        zero: bool = False,
    ) -> Array:
        """A map (1, channels, height, width) to be filled."""
        with _exhaustion():
            return (np.zeros if zero else np.empty)((1, channels, height, width), np.float32)

    def put(self, place: Array, piece: Array) -> None:
        """Fill `place`, a slice of a map, with `piece`."""
        place[...] = piece

    def tidy(self, limit: int) -> None:
        """Give freed memory back if the process holds more than `limit` bytes."""
        self._ceiling.enforce(limit)

    def free_bytes(self) -> int:
        """Bytes of RAM that are free now: all maps are there, and ONNX Runtime does not tell a card's free memory."""
        return memory.free_bytes()

    def _session(self, name: str) -> ort.InferenceSession:
        """The session of a stage, opened at its first use."""
        if name not in self._sessions:
            model = stage_model(name, self._weights).SerializeToString()
            self._sessions[name] = open_session(model, self._provider, threads=self._threads)
        return self._sessions[name]


@contextmanager
def _exhaustion() -> Iterator[None]:
    """Raise NumPy's error of exhausted memory as ours."""
    try:
        yield
    except MemoryError as error:
        raise OutOfMemoryError("the memory ran out") from error


def _normalise(rgb: Array, trimap: Array, scale: Array, shift: Array) -> Array:
    """values · scale + shift of rgb (h, w, 3) and trimap (h, w) of any type: (1, 4, h, w)."""
    planes = np.empty((1, 4, *trimap.shape), np.float32)
    for number in range(4):
        plane = trimap if number == 3 else rgb[..., number]
        np.multiply(plane, scale[number], out=planes[0, number], dtype=np.float32)
        planes[0, number] += shift[number]
    return planes
