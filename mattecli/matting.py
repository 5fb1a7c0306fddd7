"""From a photo and its trimap to the alpha matte."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mattecli import tiling
from mattecli.backends import Backend
from mattecli.boxes import Box
from mattecli.errors import DeviceError, InputError, OutOfMemoryError, UsageError
from mattecli.memory import show_bytes
from mattecli.pixels import check_range
from mattecli.tiling import STRIDE, Plan, Progress, estimate

Tile = int | Literal["auto", "off"]

SMALLEST_TILE = 64
WORTHWHILE_TILE = 256
MEAN = (0.485, 0.456, 0.406)  # of ImageNet, as the network was trained with
STD = (0.229, 0.224, 0.225)
FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}


def predict_alpha(
    image: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32],
    trimap: NDArray[np.uint8],
    backend: Backend,
    *,
    tile: Tile = "auto",
    max_memory: int | None = None,
    name: str = "the image",
    on_plan: Callable[[Plan], None] | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """The alpha matte of a photo, float32 (H, W) in [0, 1].

    `image` is RGB (H, W, 3) in uint8, uint16 or float32 in [0, 1]; `trimap` uint8 (H, W), 0 for background, 255 for
    foreground, anything else unknown. Known pixels get the trimap's value exactly. A trimap without unknown pixels is
    its own matte and needs no run.

    The network runs in tiles, which changes nothing but time and memory: see `plan`, whose `tile`, `max_memory` and
    `name` these are. `on_plan` is called with what is about to run; should the device run out of memory all the same,
    an `auto` tile is halved and `on_plan` called again. `progress` is called with the pass, its tiles done and all of
    them.

    Raises InputError when shapes, types or floats' range do not fit, DeviceError when the memory does not suffice.
    """
    _check(image, trimap)
    picture = Picture(image, trimap)
    unknown = picture.unknown()
    if not unknown.any():
        return np.asarray(trimap == 255, np.float32)
    height, width = trimap.shape
    chosen = plan(height, width, backend, tile=tile, max_memory=max_memory, name=name)
    raw = None
    while raw is None:
        if on_plan is not None:
            on_plan(chosen)
        try:
            raw = tiling.run(
                backend, picture, unknown, tile=chosen.tile, keep=chosen.keep, host=chosen.host, progress=progress
            )
        except OutOfMemoryError as error:
            chosen = _smaller(chosen, picture, backend, tile, error)
    alpha = np.ascontiguousarray(raw[:height, :width], np.float32)
    np.clip(alpha, 0, 1, out=alpha)
    for known, value in ((0, 0), (255, 1)):
        np.copyto(alpha, value, where=trimap == known)
    return alpha


def plan(
    height: int,
    width: int,
    backend: Backend,
    *,
    tile: Tile = "auto",
    max_memory: int | None = None,
    name: str = "the image",
) -> Plan:
    """How an image of that size will be run, and the memory that is estimated to take.

    `tile` is a number of pixels N (a tile has N × N, or as many in another shape), `off` for the whole image at once,
    or `auto`: the best of the backend's tiles that fits. What is allowed is what is free, and `max_memory` bytes if
    less; without that, `auto` takes no more than the backend's `frugal_bytes` if it can do with those.

    Raises DeviceError with the numbers when there is less: on a CPU nothing catches an exhausted memory, the kernel
    just ends the process.
    """
    padded = height + -height % STRIDE, width + -width % STRIDE
    plans = _candidates(*padded, backend, tile)
    free = backend.free_bytes()
    allowed = free if max_memory is None else min(free, max_memory)
    limits = [allowed]
    if tile == "auto" and max_memory is None:
        flat, each = backend.frugal_bytes
        frugal = flat + each * padded[0] * padded[1]
        limits.insert(0, min(allowed, int(0.95 * frugal)))  # a little to spare, for the holes in the heap
    for limit in limits:
        for fitting in plans:
            if fitting.bytes <= limit:
                return fitting
    least = min(plans, key=lambda p: p.bytes)
    bound = "are free" if max_memory is None or free <= max_memory else "are allowed by --max-memory"
    how = "at once" if tile == "off" else f"in tiles of {least.tile}"
    remedy = "free memory or use a device with more" if tile == "auto" else "use --tile auto"
    raise DeviceError(
        f"{name} has {width}×{height} pixels, which take about {show_bytes(least.bytes)} {how} on {backend.device}, "
        f"but only {show_bytes(allowed)} {bound}; {remedy}"
    )


def _candidates(height: int, width: int, backend: Backend, tile: Tile) -> list[Plan]:
    """The plans to choose from, best first."""
    whole = max(height, width)
    if tile == "off":
        return [estimate(backend, height, width, tile=whole)]
    if tile != "auto":
        if not isinstance(tile, int) or tile < SMALLEST_TILE or tile % STRIDE:
            raise UsageError(
                f"--tile {tile} is no tile; choose auto, off, or a multiple of {STRIDE} from {SMALLEST_TILE} up"
            )
        sides: Sequence[int] = [tile]
    else:
        sides = backend.tiles
    worthwhile = max(WORTHWHILE_TILE, math.isqrt(backend.call_pixels))
    sides = list(dict.fromkeys(min(side, whole) for side in sides))
    # What is not computed again saves more than a large tile, unless tiles get so small that halos and calls count.
    on_device = [
        estimate(backend, height, width, tile=side, keep=keep)
        for keep in (2, 1, 0)
        for side in sides
        if keep == 0 or side >= min(worthwhile, whole) or tile != "auto"
    ]
    on_host = [estimate(backend, height, width, tile=side, host=True) for side in sides]
    return on_device + (on_host if backend.device != "cpu" else [])


def _smaller(chosen: Plan, picture: Picture, backend: Backend, tile: Tile, error: OutOfMemoryError) -> Plan:
    """The next plan to try after the device ran out of memory."""
    half = chosen.tile // 2 // STRIDE * STRIDE
    if tile != "auto" or half < SMALLEST_TILE:
        remedy = "free some of it or use --device cpu" if tile == "auto" else "use --tile auto or a smaller one"
        raise DeviceError(
            f"{error} at {picture.width}×{picture.height} pixels in tiles of {chosen.tile}; {remedy}"
        ) from error
    return estimate(backend, picture.height, picture.width, tile=half, host=chosen.host)


def network_input(image: NDArray[np.generic], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The network's whole input: normalised planes (4, H', W'), mirror-padded to multiples of STRIDE."""
    picture = Picture(image, trimap)
    rgb, codes, scale, shift = picture.get(Box(0, picture.height, 0, picture.width))
    planes = np.concatenate([rgb.astype(np.float32), codes[..., None].astype(np.float32)], axis=2)
    return np.ascontiguousarray((planes * np.float32(scale) + np.float32(shift)).transpose(2, 0, 1))


class Picture:
    """A photo and its trimap as the network's input, mirror-padded at the bottom and right to multiples of STRIDE.

    Nothing is copied before a box is asked for. A tiling.Source.
    """

    def __init__(self, image: NDArray[np.generic], trimap: NDArray[np.uint8]) -> None:
        self._image, self._trimap = image, trimap
        self._rows, self._columns = (_mirrored(size) for size in trimap.shape)
        self.height, self.width = len(self._rows), len(self._columns)
        full = FULL_SCALE[image.dtype.name]
        self._scale = np.array([*(1 / (full * std) for std in STD), 1 / 255])
        self._shift = np.array([*(-mean / std for mean, std in zip(MEAN, STD, strict=True)), 0])

    def get(self, box: Box) -> tuple[NDArray[np.generic], ...]:
        """rgb (h, w, 3) and trimap (h, w) of a box, and the scale and shift (4,) that normalise them."""
        trimap = self._cut(self._trimap, box)
        codes = np.where((trimap == 0) | (trimap == 255), trimap, np.uint8(128))
        return self._cut(self._image, box), codes, self._scale, self._shift

    def unknown(self) -> NDArray[np.bool_]:
        """Where the trimap is unknown; the padding, of which nothing is kept, never is."""
        found = np.zeros((self.height, self.width), bool)
        height, width = self._trimap.shape
        found[:height, :width] = (self._trimap != 0) & (self._trimap != 255)
        return found

    def _cut(self, array: NDArray[Any], box: Box) -> NDArray[Any]:
        rows, columns = box.slices
        if box.bottom <= array.shape[0] and box.right <= array.shape[1]:
            window = array[rows, columns]
        else:
            window = array[self._rows[rows, None], self._columns[columns]]
        return window.astype(array.dtype.newbyteorder("="), copy=False)


def _mirrored(size: int) -> NDArray[np.intp]:
    """For each row of the padded image the row it shows."""
    return np.pad(np.arange(size), (0, -size % STRIDE), mode="reflect" if size > 1 else "edge")


def _check(image: NDArray[np.generic], trimap: NDArray[np.uint8]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.name not in FULL_SCALE:
        raise InputError(
            f"the image is {image.shape} of {image.dtype}; give (H, W, 3) RGB as uint8, uint16 or float32 in [0, 1]"
        )
    check_range(image, "the image")
    if trimap.ndim != 2 or trimap.dtype != np.uint8:
        raise InputError(f"the trimap is {trimap.shape} of {trimap.dtype}; give (H, W) as uint8")
    if image.shape[:2] != trimap.shape:
        sizes = [f"{array.shape[1]}×{array.shape[0]}" for array in (trimap, image)]
        raise InputError(
            f"the trimap is {sizes[0]} but the image is {sizes[1]}; make the trimap at the image's full size"
        )
