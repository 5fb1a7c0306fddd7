"""The foreground colours of outputs: options, estimate, despill."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats, strips
from mattecli.compositing.despill import Despill, despilled, screen_colour
from mattecli.compositing.foreground import estimate_foreground
from mattecli.compositing.mixing import mixing
from mattecli.imaging.image import Image
from mattecli.imaging.pixels import as_float


@dataclass(frozen=True, kw_only=True)
class ColourOptions:
    """How the foreground's colours are found.

    `choke` (pixels) and `decontaminate` (per cent) are those of `estimate_foreground`. `despill` removes the light of a
    screen. `cutout_for` white gives cut-outs, whose colours are estimated in light, those that look right over white
    in programs that mix display values; see `for_white`.
    """

    choke: float = 0.0
    decontaminate: float = 100.0
    despill: Despill | None = None
    cutout_for: Literal["white"] | None = None

    def words(self) -> list[Any]:
        """What of this was asked for, as a batch's recipe hashes it."""
        found: list[Any] = []
        if self.choke:
            found.append(["colour choke", self.choke])
        if self.decontaminate != 100:
            found.append(["decontaminate", self.decontaminate])
        if self.despill is not None:
            screen = self.despill
            found.append(["despill", screen.screen, screen.strength, screen.reach, screen.restore])
        return found


PLAIN = ColourOptions()


class ForegroundColours:
    """The estimated colours of a photo, shared by outputs in one colour space."""

    def __init__(self, options: ColourOptions = PLAIN, *, linear: bool = False) -> None:
        self.options = options
        self.linear = linear
        self.notes: list[str] = []  # what the user should know of the estimate
        self._photo: Image | None = None
        self._colours: NDArray[Any] | None = None

    @property
    def cutout_for(self) -> Literal["white"] | None:
        """What `make_output` is to suit the colours of cut-outs to; only those of light have to be."""
        return self.options.cutout_for if self.linear else None

    def of(self, photo: Image, alpha: Floats) -> NDArray[Any]:
        """The colours of the photo's foreground, in its space; estimated once for each space and depth."""
        known = self._photo
        if self._colours is None or known is None or (known.space, known.depth) != (photo.space, photo.depth):
            self._photo, self._colours = photo, self._found(_opaque(photo), alpha)
        return self._colours

    def _found(self, photo: Image, alpha: Floats) -> NDArray[Any]:
        options = self.options
        colours = estimate_foreground(
            photo, alpha, linear=self.linear, choke=options.choke, decontaminate=options.decontaminate
        )
        if options.despill is None:
            return colours
        screen = screen_colour(options.despill.screen, photo, alpha)
        if screen is None:
            note = "`despill=auto` found neither a green nor a blue screen where alpha is 0, so it removed nothing"
            self.notes += [] if note in self.notes else [note]
            return colours
        return _despilled(photo, colours, alpha, screen, options.despill)


def _despilled(photo: Image, colours: Floats, alpha: Floats, screen: Floats, how: Despill) -> Floats:
    """The colours (H, W, 3) of a photo without the light of a screen; those whose light stays keep their values."""
    curve, light = mixing(photo.space), colours
    if curve is not None:
        light = np.empty_like(colours)
        for rows in strips(len(colours)):
            light[rows] = curve.decode(colours[rows])
    result = despilled(light, alpha, screen, how=how)
    for rows in strips(len(colours)):
        if curve is not None:
            same = (result[rows] == light[rows]).all(axis=2, keepdims=True)
            result[rows] = np.where(same, colours[rows], curve.encode(result[rows]))
        np.copyto(result[rows], as_float(photo.pixels[rows]), where=~np.isfinite(result[rows]))
    return result


def suited(colours: Image, alpha: Floats, cutout_for: Literal["white"] | None) -> NDArray[Any]:
    """The colours of a cut-out (H, W, 3), by `for_white` if they are to look right over white in display values."""
    return colours.pixels if cutout_for is None else for_white(colours, alpha)


def for_white(colours: Image, alpha: Floats) -> Floats:
    """Straight colours F' (H, W, 3) whose mixture of display values over white looks like that of light.

        αF' + (1 − α) = encode(α · decode(F) + (1 − α))

    α is the alpha that is delivered, (H, W). Over other backgrounds they are wrong: brighter than the foreground
    is.
    """
    result = np.empty(colours.pixels.shape, np.float32)
    light = mixing(colours.space)
    for rows in strips(len(result)):
        own, share = as_float(colours.pixels[rows]), alpha[rows, :, None]
        if light is None:
            result[rows] = own
            continue
        white = light.decode(np.ones((1, 1, 3), np.float32))
        looks = light.encode(share * light.decode(own) + (1 - share) * white)
        suited = (looks - (1 - share)) / np.maximum(share, 1e-6)
        result[rows] = np.where((share > 0) & (share < 1), suited.clip(0, 1), own)
    return result


def _opaque(photo: Image) -> Image:
    """The photo with its hidden colours, which `photo_note` warns of."""
    return replace(photo, transparent=False) if photo.transparent else photo
