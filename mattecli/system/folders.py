"""Lists pictures in folders, and sorts and compares their names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

from mattecli.errors import InputError

_SHOWN = 5  # names in an error that could list hundreds


def pictures_in(folder: Path, suffixes: Set[str]) -> list[Path]:
    """The files of a folder, not of its subfolders, that a suffix tells to be pictures; hidden ones are left out.

    Raises `InputError` for a folder that cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")
    except OSError as error:
        raise InputError(f"{folder} cannot be read as a folder ({error.strerror}); check its name") from error


def by_stem(paths: Iterable[Path], *, ending: str) -> dict[str, list[Path]]:
    """The files by name without suffix as people read it, and without `ending` where they have it."""
    named: dict[str, list[Path]] = {}
    for path in paths:
        named.setdefault(as_read(path.stem).removesuffix(ending), []).append(path)
    return named


def as_read(name: str) -> str:
    """A name for comparisons: `ü` may be one character or, as macOS stores it, two."""
    return unicodedata.normalize("NFC", name)


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts names with numbers as people do: `net_2` before `net_10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def some(names: Sequence[str]) -> str:
    """The first few names, and how many there are besides."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
