"""What a run costs on a backend, for the planner."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Memory and time of a run on one backend. Bytes are bytes of the device's memory."""

    value_bytes: int  # of one value of a map
    fixed_bytes: int  # taken however small the image is
    tile_bytes: int  # for each pixel of a tile
    default_budget: tuple[int, int]  # memory budget without --max-memory: fixed part, and bytes per pixel
    share_bytes: int  # may be taken besides, where at least twice as much is free: maps are kept, which saves time
    call_overhead_pixels: int  # pixels that the decoder computes in the time that a call costs in itself
    tiles: tuple[int, ...]  # sides of tiles that `auto` tries, best first
    apart: bool = False  # the device's memory is another than the host's, where maps may lie instead
