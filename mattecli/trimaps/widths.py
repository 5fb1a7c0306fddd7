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


def in_pixels(width: Width, shape: tuple[int, ...], *, what: str = "a width") -> int:
    """The width in pixels of a picture of that shape (H, W). Raises `UsageError` as `check_width` does."""
    checked = check_width(width, what=what)
    if isinstance(checked, int):
        return checked
    return math.ceil(float(checked[:-1]) / 100 * math.hypot(*shape[:2]))
