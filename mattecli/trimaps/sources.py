"""The colour of a screen, as users write it."""

from __future__ import annotations

from PIL import ImageColor

from mattecli.errors import UsageError
from mattecli.trimaps.keying import SCREENS


def parse_key(text: str) -> str | tuple[float, float, float] | None:
    """The colour of a screen for `key_trimap`, from `auto`, `green`, `blue`, `#00b140` or `rgb(0, 177, 64)`.

    Capitals count as small letters. Raises `UsageError` for any other text.
    """
    word = key_word(text)
    if word == "auto":
        return None
    if word in SCREENS:
        return word
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise UsageError(f"`key` must be auto, green, blue or a colour such as '#00b140', not {text!r}") from error
    return red / 255, green / 255, blue / 255


def key_word(text: str) -> str:
    """`auto`, `green` and `blue` in small letters; any other colour as it is."""
    word = text.lower()
    return word if word == "auto" or word in SCREENS else text
