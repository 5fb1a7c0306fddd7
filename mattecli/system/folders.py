"""Lists pictures in folders, and sorts and compares their names."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

from mattecli.errors import InputError
from mattecli.system.files import is_folder

_SHOWN = 5  # names in an error; there may be hundreds


def pictures_in(folder: Path, suffixes: Set[str]) -> list[Path]:
    """The pictures in a folder, by suffix. Subfolders and hidden files are left out.

    Raises `InputError` if the folder cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")
    except OSError as error:
        raise InputError(f"{folder} cannot be read as a folder ({error.strerror}); check its name") from error


def by_stem(paths: Iterable[Path], *, ending: str) -> dict[str, list[Path]]:
    """The files by their stem, compared as in `as_read`; a stem that ends in `ending` is given without it."""
    named: dict[str, list[Path]] = {}
    for path in paths:
        named.setdefault(as_read(path.stem).removesuffix(ending), []).append(path)
    return named


def as_read(name: str) -> str:
    """A name in the form for comparisons: `ü` may be stored as one character or, on macOS, as two."""
    return unicodedata.normalize("NFC", name)


def folds_case(folder: Path) -> bool:
    """Whether `cat` and `Cat` are one file in a folder; of one that is still to be made, whether they are above it.

    Nothing is written: a name that is there is asked for with its capitals exchanged.
    """
    there = next((above for above in (folder, *folder.absolute().parents) if is_folder(above)), folder).absolute()
    try:
        with os.scandir(there) as entries:
            named = (there / entry.name for entry in entries)
            probe = next((path for path in named if path.name.swapcase() != path.name), there)
        if probe.name.swapcase() == probe.name:
            return False
        return os.path.samestat(probe.lstat(), probe.with_name(probe.name.swapcase()).lstat())
    except OSError:  # there is no file of the other name
        return False


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key that compares numbers by value: `net_2` comes before `net_10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
