"""Texts of options → what the functions behind them take, for the commands that share them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast, get_args

from mattecli.errors import UsageError
from mattecli.imaging.choices import Kind

if TYPE_CHECKING:
    from mattecli.imaging.choices import Bits
    from mattecli.inference.plan import Tile


def parse_kinds(what: str) -> list[Kind]:
    """The products that `--what` lists, each once."""
    kinds = [kind.strip() for kind in what.split(",")]
    for kind in kinds:
        if kind not in get_args(Kind):
            raise UsageError(f"--what {kind!r} is unknown; choose from {', '.join(get_args(Kind))}")
    return cast(list[Kind], list(dict.fromkeys(kinds)))


def check_composite_options(background: str | None, *, fit: str, linear: bool) -> None:
    """Raise `UsageError` for options that would do nothing over this background; None is no composite at all."""
    from mattecli.compositing.outputs import parse_colour

    over = None if background is None or background.lower() == "transparent" else background
    if over is None:
        given = [name for name, wish in (("--linear", linear), (f"--fit {fit}", fit != "cover")) if wish]
        if given:
            raise UsageError(
                f"{' and '.join(given)} would do nothing, for nothing is put over a background; "
                f"add -b with a picture{' or a colour' if linear else ''}, or leave it out"
            )
    elif fit != "cover" and parse_colour(over) is not None:
        raise UsageError(f"--fit {fit} is for a background picture, and {over} is a colour; leave it out")


def parse_memory(text: str | None) -> int | None:
    """The bytes that `--max-memory` allows."""
    from mattecli.system.memory import parse_bytes

    if text is None:
        return None
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise UsageError(f"--max-memory {text} is no amount of memory; write for example 800M or 6G") from error


def parse_bits(bits: str, kinds: Sequence[Kind]) -> Bits:
    """The depth that `--bits` asks for; it is the alpha's, so there must be one."""
    if bits != "8" and "alpha" not in kinds:
        raise UsageError(
            f"--bits {bits} is the depth of an alpha, but none is written; other pictures keep the photo's"
        )
    return "float" if bits == "float" else 8 if bits == "8" else 16


def parse_tile(text: str) -> Tile:
    """`--tile`: auto, off or a number of pixels."""
    if text in ("auto", "off"):
        return cast("Tile", text)
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--tile {text} is no tile; choose auto, off, or a multiple of 16 from 64 up") from None
