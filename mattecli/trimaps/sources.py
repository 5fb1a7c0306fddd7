"""The colour of a screen, as users write it."""

from __future__ import annotations

from PIL import ImageColor

from mattecli.errors import UsageError
from mattecli.trimaps.keying import SCREENS


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
