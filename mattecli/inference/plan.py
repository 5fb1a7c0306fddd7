"""Plans a run: tile size, kept maps and memory."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, SupportsFloat, SupportsIndex

from mattecli.errors import DeviceError, UsageError
from mattecli.inference import arena
from mattecli.inference.backend import Backend
from mattecli.spec import STRIDE, padded
from mattecli.system import memory
from mattecli.system.memory import show_bytes

Tile = int | Literal["auto", "off"]
SMALLEST_TILE = 64
WORTHWHILE_TILE = 256

# Stored at the peak for each pixel of the image: values of maps, and bytes of affinities, alpha and the photo.
STORED_VALUES_PER_PIXEL = 11
STORED_BYTES_PER_PIXEL = 11.5
# By `keep`: layer0's output has 64 values a pixel, 16 when halved. The head of layer 2 is stored when less else is.
CACHED_VALUES_PER_PIXEL = (0, 20, 84)


@dataclass(frozen=True)
class Plan:
    """How an image is run: in tiles of `tile`² pixels.

    `keep` stores more maps, which each pass would otherwise compute again: 1 stores layer0's halved output and the head
    of layer 2, 2 also layer0's whole output. They take CACHED_VALUES_PER_PIXEL. `host` stores all maps in the host's
    memory rather than the device's. `bytes` is the estimated peak of the device's memory, and `host_bytes` what the
    maps take of the host's where they lie there.
    """

    tile: int
    keep: int
    host: bool
    bytes: int
    whole: bool  # one tile holds the whole image
    host_bytes: int = 0

    @property
    def label(self) -> int | str:
        """The tile as `--tile` names it: `off` if one tile holds the whole image."""
        return "off" if self.whole else self.tile

    def __str__(self) -> str:
        """The tile and the memory, for a message."""
        how = "the whole image at once" if self.whole else f"tiles of {self.tile}"
        return f"{how}, about {show_bytes(self.bytes)}" + (", maps in the host's memory" if self.host else "")


def estimate(backend: Backend, height: int, width: int, *, tile: int, keep: int = 0, host: bool = False) -> Plan:
    """The plan with those choices, for an image of that padded size."""
    pixels, costs = height * width, backend.costs
    maps = int(pixels * (STORED_VALUES_PER_PIXEL * costs.value_bytes + STORED_BYTES_PER_PIXEL))
    stored = (0 if host else maps) + pixels * CACHED_VALUES_PER_PIXEL[keep] * costs.value_bytes
    needed = int(costs.fixed_bytes + stored + costs.tile_bytes * min(tile**2, pixels))
    return Plan(tile, keep, host, needed, whole=tile >= max(height, width), host_bytes=maps if host else 0)


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
    or `auto`: the best of the backend's tiles that fits. The limit is the free memory, or `max_memory` bytes if that is
    less. Without `max_memory`, `auto` stays within the backend's default budget where a plan does. A run may take more
    than that, its share of the computer's memory, as long as this leaves as much free.

    Maps go to the host's memory only where it is another one and has room for them.

    Raises DeviceError with the numbers when no plan fits. On a CPU the system would end the process instead.
    """
    rows, columns = padded(height), padded(width)
    plans = _candidates(rows, columns, backend, tile)

    def best(free: float, free_on_host: float) -> Plan | None:
        allowed = free if max_memory is None else min(free, max_memory)
        limits = [allowed]
        if tile == "auto" and max_memory is None:
            fixed, each = backend.costs.default_budget
            budget = fixed + each * rows * columns
            share = min(backend.costs.share_bytes, free / 2)
            limits.insert(0, min(allowed, max(int(0.95 * budget), share)))  # a little to spare, for holes in the heap
        fitting = (p for limit in limits for p in plans if p.bytes <= limit and p.host_bytes <= free_on_host)
        return next(fitting, None)

    free, free_on_host = _free(backend)
    chosen = best(free, free_on_host)
    # Freed memory that the C library keeps counts as taken. Runs soon take it again, so it is given back only where the
    # plan would otherwise be a worse one.
    if chosen != best(free if backend.costs.apart else math.inf, math.inf):
        memory.give_back_freed_memory()
        free, free_on_host = _free(backend)
        chosen = best(free, free_on_host)
    if chosen is not None:
        return chosen
    allowed = free if max_memory is None else min(free, max_memory)
    least = min(plans, key=lambda p: p.bytes)
    if least.bytes <= allowed:
        raise DeviceError(
            f"{name} has {width}×{height} pixels, which do not fit on {backend.device}, and take about "
            f"{show_bytes(least.host_bytes)} of the computer's memory instead, but only {show_bytes(free_on_host)} are "
            "free there; free memory or use a device with more"
        )
    bound, remedy = "are free", "free memory or use a device with more"
    if allowed < free:
        bound, remedy = "are allowed by `max_memory`", "raise `max_memory`"
    how = "at once" if tile == "off" else f"in tiles of {least.tile}"
    remedy = remedy if tile == "auto" else "use `tile=auto`"
    raise DeviceError(
        f"{name} has {width}×{height} pixels, which take about {show_bytes(least.bytes)} {how} on {backend.device}, "
        f"but only {show_bytes(allowed)} {bound}; {remedy}"
    )


def plan_on_host(backend: Backend, height: int, width: int, *, below: int) -> Plan | None:
    """The plan with the largest tile whose maps lie in the host's memory, for a device that turned out to be full.

    `height` and `width` are padded. The plan takes less than `below` bytes of the device. None where there is no such
    plan: the host has too little memory, or it is the device's own.
    """
    if not backend.costs.apart:
        return None
    plans = (estimate(backend, height, width, tile=side, host=True) for side in backend.costs.tiles)
    free = _free_on_host()
    return next((p for p in plans if p.bytes < below and p.host_bytes <= free), None)


def check_limit(max_memory: object) -> None:
    """Raise UsageError for a `max_memory` that is not a number of bytes."""
    if max_memory is not None and not (isinstance(max_memory, SupportsFloat) and float(max_memory) > 0):
        raise UsageError(f"`max_memory` must be a number of bytes above 0, not {max_memory!r}")


def check_tile(tile: object) -> None:
    """Raise UsageError for a `tile` that is not one of `Tile`."""
    if not (isinstance(tile, str) and tile in ("auto", "off")):
        _side(tile)


def _free(backend: Backend) -> tuple[int, int]:
    """Bytes that are free on the device and on the host."""
    return backend.free_bytes(), _free_on_host()


def _free_on_host() -> int:
    return memory.free_bytes() + arena.shared.spare_bytes()


def _side(tile: object) -> int:
    """The side that was set for tiles, which may be one of NumPy's integers; raises UsageError."""
    side = operator.index(tile) if isinstance(tile, SupportsIndex) else 0
    if side < SMALLEST_TILE or side % STRIDE:
        raise UsageError(f"`tile` must be auto, off or a multiple of {STRIDE} from {SMALLEST_TILE} up, not {tile}")
    return side


def _candidates(height: int, width: int, backend: Backend, tile: Tile) -> list[Plan]:
    """The plans to choose from, best first."""
    whole = max(height, width)
    if tile == "off":
        return [estimate(backend, height, width, tile=whole)]
    if tile != "auto":
        sides: Sequence[int] = [_side(tile)]
    else:
        sides = backend.costs.tiles
    worthwhile = max(WORTHWHILE_TILE, math.isqrt(backend.costs.call_overhead_pixels))
    sides = list(dict.fromkeys(min(side, whole) for side in sides))
    # What is not computed again saves more than a large tile, unless tiles get so small that halos and calls count.
    on_device = [
        estimate(backend, height, width, tile=side, keep=keep)
        for keep in (2, 1, 0)
        for side in sides
        if keep == 0 or side >= min(worthwhile, whole) or tile != "auto"
    ]
    on_host = [estimate(backend, height, width, tile=side, host=True) for side in sides]
    return on_device + (on_host if backend.costs.apart else [])
