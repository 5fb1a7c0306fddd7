"""What can be asked for: kinds of output, fits of a background, depths. Nothing to import, for `--help`."""

from typing import Literal

Kind = Literal["alpha", "cutout", "foreground", "composite"]
Fit = Literal["cover", "contain", "stretch", "tile"]
Bits = Literal[8, 16, "float"]
Colour = tuple[float, float, float]  # RGB from 0 to 1
