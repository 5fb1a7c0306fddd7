"""From a photo and its trimap to the alpha matte."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mattecli.backends import Backend
from mattecli.errors import DeviceError, InputError
from mattecli.memory import show_bytes

STRIDE = 16  # the network halves its map four times
MEAN = (0.485, 0.456, 0.406)  # of ImageNet, as the network was trained with
STD = (0.229, 0.224, 0.225)
FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}


def predict_alpha(
    image: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32],
    trimap: NDArray[np.uint8],
    backend: Backend,
    *,
    max_memory: int | None = None,
) -> NDArray[np.float32]:
    """The alpha matte of a photo, float32 (H, W) in [0, 1].

    `image` is RGB (H, W, 3) in uint8, uint16 or float32 in [0, 1]; `trimap` uint8 (H, W), 0 for background, 255 for
    foreground, anything else unknown. Known pixels get the trimap's value exactly. A trimap without unknown pixels is
    its own matte and needs no run. `max_memory` bounds the estimated bytes of the run; without it, what is free does.

    Raises InputError when shapes or types do not fit, DeviceError when the memory does not suffice.
    """
    _check(image, trimap)
    unknown = (trimap != 0) & (trimap != 255)
    alpha: NDArray[np.float32] = (trimap == 255).astype(np.float32)
    if unknown.any():
        height, width = trimap.shape
        require_memory(height, width, backend, max_memory=max_memory)
        raw = backend.run(network_input(image, trimap))[:height, :width]
        np.copyto(alpha, np.clip(raw, 0, 1), where=unknown)
    return alpha


def require_memory(
    height: int, width: int, backend: Backend, *, max_memory: int | None = None, name: str = "the image"
) -> int:
    """The estimated peak bytes of a run; raises DeviceError with the numbers when there is less.

    On a CPU nothing catches an exhausted memory, the kernel just ends the process: so this must come before the run.
    """
    needed = backend.peak_bytes(height + -height % STRIDE, width + -width % STRIDE)
    free = backend.free_bytes()
    allowed = free if max_memory is None else min(free, max_memory)
    if needed > allowed:
        limit = "are free" if max_memory is None or free <= max_memory else "are allowed by --max-memory"
        raise DeviceError(
            f"{name} has {width}×{height} pixels, which take about {show_bytes(needed)} on {backend.device}, but only "
            f"{show_bytes(allowed)} {limit}; free memory, use a device with more, or crop the picture"
        )
    return needed


def network_input(image: NDArray[np.generic], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Normalised planes (4, H', W') of RGB and trimap, mirror-padded at the bottom and right to multiples of STRIDE."""
    height, width = trimap.shape
    planes = np.empty((4, height, width), np.float32)
    for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
        scale = 1.0 / (FULL_SCALE[image.dtype.name] * std)
        np.multiply(image[..., channel], np.float32(scale), out=planes[channel], casting="unsafe")
        planes[channel] -= np.float32(mean / std)
    planes[3] = np.where(trimap == 0, 0.0, np.where(trimap == 255, 1.0, 128 / 255))
    if height % STRIDE or width % STRIDE:
        planes = np.pad(planes, ((0, 0), (0, -height % STRIDE), (0, -width % STRIDE)), mode="reflect")
    return planes


def _check(image: NDArray[np.generic], trimap: NDArray[np.uint8]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.name not in FULL_SCALE:
        raise InputError(
            f"the image is {image.shape} of {image.dtype}; give (H, W, 3) RGB as uint8, uint16 or float32 in [0, 1]"
        )
    if trimap.ndim != 2 or trimap.dtype != np.uint8:
        raise InputError(f"the trimap is {trimap.shape} of {trimap.dtype}; give (H, W) as uint8")
    if image.shape[:2] != trimap.shape:
        sizes = [f"{array.shape[1]}×{array.shape[0]}" for array in (trimap, image)]
        raise InputError(
            f"the trimap is {sizes[0]} but the image is {sizes[1]}; make the trimap at the image's full size"
        )
