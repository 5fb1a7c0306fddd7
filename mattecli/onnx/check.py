"""Compares an exported ONNX file with PyTorch, at several sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import DeviceError, MatteError
from mattecli.network.inputs import network_input
from mattecli.onnx.whole import Options
from mattecli.system.memory import free_bytes, show_bytes
from mattecli.trimaps.check import unknown
from mattecli.weights import Checkpoint

# The largest difference allowed from PyTorch in float64: as a share of the largest alpha, and in levels of 8 bits.
BOUND, BOUND_FP16 = 1e-4, 1e-2
LEVELS, LEVELS_FP16 = 1, 3
CHECK_BYTES = 9000  # memory of the check for each pixel; PyTorch in float64 takes most of it


@dataclass(frozen=True)
class Difference:
    """The difference from PyTorch's alpha for one input: absolute, and as a share of the largest alpha."""

    shape: tuple[int, int, int]  # batch, height, width
    absolute: float
    relative: float

    @property
    def size(self) -> str:
        """The shape for a message."""
        batch, height, width = self.shape
        return f"{width}×{height}" + (f" in a batch of {batch}" if batch > 1 else "")


def check_sizes(options: Options) -> list[tuple[int, int, int]]:
    """The shapes (B, H, W) at which a file is checked: the smallest, odd ones and a batch, or its own fixed shape."""
    if options.size is not None:
        return [(1, *options.size)]
    if options.pre_post:
        return [(1, 1, 1), (2, 37, 53), (1, 129, 200)]
    return [(1, 16, 16), (3, 48, 80), (1, 176, 208), (1, 320, 272)]


def check(
    path: Path,
    checkpoint: Checkpoint,
    options: Options,
    *,
    name: str,
    on_done: Callable[[Difference], None] = lambda _: None,
) -> list[Difference]:
    """Compare the file, called `name` in errors, in ONNX Runtime on the CPU with PyTorch in float64, at several sizes.

    Raises MatteError when a difference exceeds the bound, DeviceError when ONNX Runtime cannot run the file or
    memory is too small.
    """
    needed = CHECK_BYTES * max(height * width for _, height, width in check_sizes(options))
    free = free_bytes()
    if needed > free:
        raise DeviceError(
            f"the check of {name} takes about {show_bytes(needed)} of memory, but only "
            f"{show_bytes(free)} are free; free some or give `compare=False`"
        )
    run, reference = _runtime(path, name), _reference(checkpoint, options)
    found = []
    for number, shape in enumerate(check_sizes(options)):
        given = _input(shape, options, np.random.default_rng(number))
        ours, theirs = run(given), reference(given)
        absolute = float(np.abs(ours.astype(np.float64) - theirs).max())
        difference = Difference(shape, absolute, absolute / max(float(np.abs(theirs).max()), 1e-12))
        on_done(difference)
        found.append(difference)
        if not _within(difference, options):  # NaN is not within either
            raise MatteError(
                f"at {difference.size} the ONNX file is off by {difference.relative:.1e} of PyTorch's alpha, which is "
                "too much; the file was deleted, please report this"
            )
    return found


def _within(difference: Difference, options: Options) -> bool:
    if options.pre_post:
        return difference.absolute <= (LEVELS_FP16 if options.fp16 else LEVELS)
    return difference.relative <= (BOUND_FP16 if options.fp16 else BOUND)


def _runtime(path: Path, name: str) -> Callable[[Any], NDArray[Any]]:
    from mattecli.onnx.sessions import choose_provider, open_session, translated

    session = open_session(path.read_bytes(), choose_provider("cpu", None))
    names = [entry.name for entry in session.get_inputs()]

    def run(given: list[NDArray[Any]]) -> NDArray[Any]:
        with translated(f"running {name}"):
            found: NDArray[Any] = session.run(None, dict(zip(names, given, strict=True)))[0]
            return found

    return run


def _reference(checkpoint: Checkpoint, options: Options) -> Callable[[Any], NDArray[Any]]:
    import torch

    from mattecli.network.checkpoint import load_a2u

    net = load_a2u(checkpoint.path).double()

    def alpha(planes: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.inference_mode():
            return net(torch.from_numpy(planes).double()).numpy()  # type: ignore[no-any-return]

    def levels(image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float64]:
        raw = alpha(network_input(image, trimap)[None])[0, 0, : trimap.shape[0], : trimap.shape[1]]
        return np.where(unknown(trimap), np.rint(255.0 * raw.clip(0, 1)), trimap)

    if options.pre_post:
        return lambda given: np.stack([levels(image, trimap) for image, trimap in zip(*given, strict=True)])
    return lambda given: alpha(given[0])


def _input(shape: tuple[int, int, int], options: Options, rng: np.random.Generator) -> list[NDArray[Any]]:
    """A synthetic picture of soft shapes, and a trimap with all three kinds of pixels."""
    batch, height, width = shape
    rows, columns = np.mgrid[:height, :width] / 23.0
    waves = rng.uniform(0.3, 2, (batch, 3, 2, 1, 1))
    rgb = 0.5 + 0.4 * np.sin(waves[:, :, 0] * rows + waves[:, :, 1] * columns) + rng.normal(0, 0.02, (batch, 3, 1, 1))
    codes = np.digitize(np.sin(rows + columns) + np.zeros((batch, 1, 1)), (-0.5, 0.5))
    image = np.rint(255 * rgb.clip(0, 1)).astype(np.uint8).transpose(0, 2, 3, 1)
    trimap = np.array([0, 128, 255], np.uint8)[codes]
    if options.pre_post:
        return [image, trimap]
    return [np.stack([network_input(*pair) for pair in zip(image, trimap, strict=True)])]
