"""Colours as users write them."""

from __future__ import annotations

import pytest

from mattecli.compositing.outputs import is_picture, parse_colour
from mattecli.errors import UsageError

GREEN = (0, 177 / 255, 64 / 255)


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("#00b140", GREEN),
        ("#00B140", GREEN),
        ("#0b4", (0, 0xBB / 255, 0x44 / 255)),
        ("rgb(0, 177, 64)", GREEN),
        ("rgb(0 177 64)", GREEN),
        ("RGB( 0  177 , 64 )", GREEN),
        ("rgb(0% 50% 100%)", (0, 0.5, 1)),
        ("rgb(0.0%, 12.5%, 100.0%)", (0, 0.125, 1)),
        ("rgb(127.5 0 100%)", (0.5, 0, 1)),
        ("White", (1, 1, 1)),
        ("  white ", (1, 1, 1)),
        ("hsl(120, 100%, 50%)", (0, 1, 0)),
    ],
)
def test_a_colour_is_read_in_every_way_of_writing_it(text: str, colour: tuple[float, float, float]) -> None:
    assert parse_colour(text) == pytest.approx(colour)
    assert not is_picture(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("#00b140ff", "'#00b140ff' has an alpha value; give an opaque colour"),
        ("#0b4f", "has an alpha value"),
        ("rgb(0 177 64 / 50%)", "has an alpha value"),
        ("rgba(0, 177, 64, 0.5)", "has an alpha value"),
        ("rgb(0 177 300)", "its values end at 255 or 100%"),
        ("rgb(0%, 101%, 0%)", "its values end at 255 or 100%"),
        ("rgb(0 177)", r"'rgb\(0 177\)' is not a colour; write # and three or six hexadecimal digits, rgb\(0 177 64\)"),
        ("rgb(-1 0 0)", "is not a colour"),
        ("#12345", "is not a colour"),
    ],
)
def test_what_is_meant_as_a_colour_and_is_not_one_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_colour(text)


@pytest.mark.parametrize("text", ["", "beach.jpg", "#1.png", "rgb(1).png", "00b140", "transparent", "rgb(1 2 3"])
def test_all_else_is_not_a_colour(text: str) -> None:
    assert parse_colour(text) is None
