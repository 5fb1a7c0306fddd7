"""Windows of previews: which part is run, at which size."""

from __future__ import annotations

from mattecli.geometry import Box
from mattecli.inference.tiling import PASSES
from mattecli.spec import STRIDE

MOST_PIXELS = 2_000_000  # of a preview, without its margin
MARGIN = 64  # pixels around it, at its level

# The mean difference of previews from exact mattes over unknown pixels, by benchmarks/preview.py: of a window with the
# statistics of the last exact run, of a plain crop, and of a smaller copy. The statistics of a small copy were worse
# than none.
_WITH_STATISTICS, _CROP, _COPY = 0.0002, 0.006, 0.05

# The share of the time of an exact run that each pass takes, by the same benchmark.
_SHARES = {
    "pool 0": 0.115,
    "moments 0": 0.031,
    "pool 1": 0.060,
    "moments 1": 0.009,
    "encode": 0.020,
    "layer 1": 0.066,
    "pool 2": 0.023,
    "moments 2": 0.004,
    "stage 2": 0.019,
    "layer 2": 0.063,
    "pool 3": 0.020,
    "moments 3": 0.002,
    "stage 3": 0.012,
    "layer 3": 0.060,
    "pool 4": 0.001,
    "ASPP": 0.020,
    "decode 4": 0.084,
    "decode 3": 0.078,
    "decode": 0.313,
}


def usual_error(level: int, *, statistics: bool, copied: bool = False) -> float:
    """The mean difference of a preview from the exact matte, over unknown pixels: what is usual, not this one's.

    `copied` says that the exact run mattes a small copy first and this preview knows nothing of it.
    """
    if level or copied:
        return _COPY
    return _WITH_STATISTICS if statistics else _CROP


def copy_level(height: int, width: int) -> int:
    """The level at which a whole picture has no more pixels than a preview."""
    level = 0
    while (height >> level) * (width >> level) > MOST_PIXELS:
        level += 1
    return level


def window_of(box: Box, height: int, width: int) -> tuple[Box, int]:
    """The box that a preview covers, and its level, for a part of a photo of that size that is shown.

    The box lies on whole strides of the network at its level, or ends with the photo.
    """
    box = box.clip(height, width)
    level = copy_level(max(box.height, 1), max(box.width, 1))
    return box.coarser(STRIDE << level).finer(STRIDE << level).clip(height, width), level


def share_done(label: str, done: int, total: int) -> float:
    """The share of a run's time that is over, when a pass has done so many of its tiles."""
    place = PASSES.index(label)
    before = sum(_SHARES[name] for name in PASSES[:place])
    return min(1.0, before + _SHARES[label] * done / max(1, total))
