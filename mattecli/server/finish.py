"""What is saved of a photo, and how it is finished."""

from __future__ import annotations

import dataclasses
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mattecli.compositing.colours import ColourOptions
from mattecli.compositing.despill import Despill
from mattecli.compositing.finishing import Finishing, Length
from mattecli.compositing.outputs import parse_colour
from mattecli.errors import UsageError
from mattecli.imaging.choices import Colour
from mattecli.imaging.options import ReadOptions
from mattecli.inference.options import RunOptions
from mattecli.work.outputs import OutputOptions

Product = Literal["trimap", "alpha", "cutout", "composite"]
PRODUCTS: tuple[Product, ...] = ("trimap", "alpha", "cutout", "composite")

_EDGES = (
    *("min_area", "fill_holes", "smooth", "levels", "contrast", "choke", "spread", "feather", "feather_both", "hair"),
)
_COLOURS = (
    *("linear", "colour_choke", "decontaminate", "despill", "despill_strength", "despill_reach", "despill_restore"),
)


class Finish(BaseModel):
    """How outputs are finished: the options of `matte predict` under their names. The defaults change nothing."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    background: Annotated[str, Field(max_length=64)] = "white"
    linear: bool = False
    bits: Literal[8, 16] = 8
    min_area: int = 0
    fill_holes: int = 0
    smooth: Length = 0.0
    levels: Annotated[str, Field(max_length=64)] | None = None
    contrast: float = 0.0
    choke: Length = 0.0
    spread: Length = 0.0
    feather: Length = 0.0
    feather_both: bool = False
    hair: float = 100.0
    colour_choke: Annotated[float, Field(ge=0, le=1000)] = 0.0
    decontaminate: Annotated[float, Field(ge=0, le=100)] = 100.0
    despill: Annotated[str, Field(max_length=64)] | None = None
    despill_strength: Annotated[float, Field(ge=0, le=100)] = 100.0
    despill_reach: Annotated[float, Field(gt=0, le=1000)] = 12.0
    despill_restore: Annotated[float, Field(ge=0, le=100)] = 0.0

    @field_validator("bits", mode="before")
    @classmethod
    def _number(cls, bits: Any) -> Any:
        """A number from the text of an address."""
        return int(bits) if isinstance(bits, str) and bits.isdecimal() else bits

    @field_validator("levels", mode="before")
    @classmethod
    def _joined(cls, levels: Any) -> Any:
        """Black, white and gamma as one text."""
        return ",".join(f"{number:g}" for number in levels) if isinstance(levels, list | tuple) else levels or None

    @field_validator("smooth", "choke", "spread", "feather", mode="before")
    @classmethod
    def _length(cls, length: Any) -> Any:
        """A number where the text of an address is one."""
        try:
            return float(length)
        except (TypeError, ValueError):
            return length

    def given(self, names: Sequence[str]) -> dict[str, Any]:
        """Those of the options that differ from their defaults."""
        fields = type(self).model_fields
        return {name: value for name in names if (value := getattr(self, name)) != fields[name].default}

    def over(self) -> Colour | None:
        """The colour of the background; None is transparent. Raises `UsageError` for a text that is not a colour.

        A file is never read: the page names none.
        """
        if self.background.lower() == "transparent":
            return None
        colour = parse_colour(self.background)
        if colour is None:
            raise UsageError(f"{self.background!r} is not a colour; give '#00b140', a CSS colour name, or transparent")
        return colour

    def output_options(self) -> OutputOptions:
        """The same for the library. Raises `UsageError` for values that are out of range or contradict each other."""
        edges = self.given([name for name in _EDGES if name != "levels"])
        return OutputOptions(
            bits=self.bits,
            linear=self.linear,
            colours=ColourOptions(choke=self.colour_choke, decontaminate=self.decontaminate, despill=self._despill()),
            finishing=Finishing(levels=self._levels(), **edges),
        )

    def deep(self, products: Sequence[Product]) -> bool:
        """Whether a product shows more than 8 bits though its photo has only 8."""
        return self.bits > 8 and "alpha" in products

    def words(self, products: Sequence[Product]) -> list[str]:
        """The options of `matte predict` that make these products so. Those that would do nothing are left out."""
        words = ["--bits", str(self.bits)] if "alpha" in products and self.bits != 8 else []
        if "composite" in products:
            words += ["--background", self.background]
        colourful = {"cutout", "composite"} & set(products)
        for name, value in self.given([*_EDGES, *(_COLOURS if colourful else ())]).items():
            if name.startswith("despill_") and self.despill is None:
                continue
            words.append(f"--{name.replace('_', '-')}")
            if value is not True:
                words.append(f"{value:g}" if isinstance(value, float) else str(value))
        return words

    def _levels(self) -> tuple[float, float, float] | None:
        if self.levels is None:
            return None
        try:
            black, white, gamma = [*(float(part) for part in self.levels.split(",")), 1.0][:3]
        except ValueError:
            raise UsageError(f"levels must be black, white and a gamma, such as 10,245,1, not {self.levels}") from None
        return black, white, gamma

    def _despill(self) -> Despill | None:
        if self.despill is None:
            return None
        screen: Any = self.despill if self.despill in ("green", "blue", "auto") else parse_colour(self.despill)
        if screen is None or (not isinstance(screen, str) and screen[0] >= max(screen[1:])):
            raise UsageError(f"{self.despill!r} is not a green or blue screen; give green, blue, auto, or its colour")
        return Despill(
            screen=screen, strength=self.despill_strength, reach=self.despill_reach, restore=self.despill_restore
        )


def command_line(
    photo: Path,
    trimap: Path,
    products: Sequence[Product],
    finish: Finish,
    *,
    out: Path | None,
    run: RunOptions,
    reading: ReadOptions,
) -> str:
    """The command that makes the same files of the photo and the saved trimap, as a shell takes it."""
    made = [product for product in products if product != "trimap"] or ["alpha"]
    words = ["matte", "predict", str(photo.absolute()), "--trimap", str(trimap.absolute()), "--what", ",".join(made)]
    words += finish.words([product for product in PRODUCTS if product in made])
    if out is not None:
        words += ["--out-dir", str(out.absolute())]
    for options in (run, reading):
        for field in dataclasses.fields(options):
            value = getattr(options, field.name)
            if value != field.default and not (options is reading and field.name == "max_memory"):
                name = field.name.replace("_", "-")
                if isinstance(value, bool):
                    words.append(f"--{name}" if value else f"--no-{name}")
                else:
                    words += [f"--{name}", str(value)]
    words.append("--overwrite")
    return " ".join(map(_quoted, words)) if sys.platform == "win32" else shlex.join(words)


def _quoted(word: str) -> str:
    """A word for cmd.exe and PowerShell. Names of files on Windows hold no quotation marks."""
    if re.fullmatch(r"[\w.:\\/%+=-]+", word):
        return word
    end = word[len(word.rstrip("\\")) :]  # a backslash before the closing mark would quote it
    return f'"{word}{end}"'
