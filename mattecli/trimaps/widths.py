"""Widths in pixels or in per cent of a picture's diagonal."""

from __future__ import annotations

import math
import re

from mattecli.errors import UsageError

Width = int | str  # 12 or "12" is pixels, "0.5%" is per cent of the diagonal


def check_width(width: Width, *, what: str = "a width") -> Width:
    """The width as a number of pixels, or as text such as `0.5%`. Raises `UsageError` for anything else."""
    text = str(width).strip()
    if re.fullmatch(r"\d+", text):
        return int(text)
    if re.fullmatch(r"\d+(\.\d+)?%", text) and float(text[:-1]) <= 100:
        return text
    raise UsageError(f"{what} must be 0 or more pixels, or per cent of the diagonal such as 0.5%, not {width}")


def automatic_length(shape: tuple[int, ...]) -> float:
    """What widths that nobody typed are shares of, for a picture of that shape (H, W).

    It is the diagonal, but at most three times the short side: from 2.8:1 on a share of the diagonal would swallow the
    picture.
    """
    return min(math.hypot(*shape[:2]), 3.0 * min(shape[:2]))


def in_pixels(width: Width, shape: tuple[int, ...], *, what: str = "a width", automatic: bool = False) -> int:
    """The width in pixels of a picture of that shape (H, W). Raises `UsageError` as `check_width` does.

    Per cent are those of the diagonal, or of `automatic_length`.
    """
    checked = check_width(width, what=what)
    if isinstance(checked, int):
        return checked
    return math.ceil(float(checked[:-1]) / 100 * (automatic_length(shape) if automatic else math.hypot(*shape[:2])))
