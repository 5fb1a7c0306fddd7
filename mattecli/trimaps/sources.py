"""Makes trimaps from photo files, without a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from mattecli.errors import UsageError
from mattecli.imaging.image import Image
from mattecli.imaging.read import read_image
from mattecli.imaging.reading.open import Source, label
from mattecli.imaging.view import network_view
from mattecli.trimaps.keying import SCREENS, key_trimap


@dataclass(frozen=True, eq=False)
class Keyed:
    """A photo with its trimap, uint8 (H, W) of 0, 128 and 255, and what the user should know of it, in sentences.

    `view` is the photo in sRGB, (H, W, 3); see `network_view`.
    """

    photo: Image
    view: NDArray[Any]
    trimap: NDArray[np.uint8]
    findings: tuple[str, ...]


def read_keyed(source: Source, *, key: str = "auto") -> Keyed:
    """Read a photo in front of a green or blue screen, and make its trimap; see `key_trimap`.

    `key` is the screen's colour as `parse_key` takes it. Raises `UsageError` for another text. Raises `InputError` for
    a photo that cannot be read or shows no such screen.
    """
    parse_key(key)
    return keyed_photo(read_image(source), key=key, name=label(source))


def keyed_photo(photo: Image, *, key: str = "auto", name: str = "the photo") -> Keyed:
    """The same for a photo that was read already; `name` is its name in messages."""
    view = network_view(photo)
    trimap, findings = key_trimap(view, colour=parse_key(key), name=name)
    return Keyed(photo, view, trimap, findings)


def parse_key(text: str) -> str | tuple[float, float, float] | None:
    """The colour of a screen for `key_trimap`, from `auto`, `green`, `blue`, `#00b140` or `rgb(0, 177, 64)`.

    Raises `UsageError` for any other text.
    """
    if text == "auto":
        return None
    if text in SCREENS:
        return text
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise UsageError(f"`key` must be auto, green, blue or a colour such as '#00b140', not {text!r}") from error
    return red / 255, green / 255, blue / 255
