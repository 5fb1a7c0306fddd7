"""Choices of outputs, fits and depths; imports nothing, for `--help`."""

from typing import Literal

Kind = Literal["alpha", "cutout", "foreground", "composite", "layers"]
Fit = Literal["cover", "contain", "stretch", "tile"]
Bits = Literal[8, 16, "float"]
Colour = tuple[float, float, float]  # RGB from 0 to 1
