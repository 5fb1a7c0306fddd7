"""Which colours are those of a green or blue screen.

Nothing heavy is imported here, because the command line asks before it starts.
"""

from __future__ import annotations

from collections.abc import Sequence

from mattecli.imaging.choices import Colour

_LEAST = 0.12  # share of light by which a screen's channel exceeds both others


def is_screen(light: Sequence[float]) -> bool:
    """Whether green or blue exceeds both other channels clearly; `light` is red, green and blue."""
    first, second = sorted(light)[:0:-1]
    return light[0] < first and first - second > _LEAST * max(sum(light), 1e-6)


def is_screen_colour(colour: Colour) -> bool:
    """The same for a colour of sRGB."""
    return is_screen([value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour])


def hexadecimal(colour: Colour) -> str:
    """A colour as it is written, such as #00b140."""
    return "#" + "".join(f"{round(255 * value):02x}" for value in colour)
