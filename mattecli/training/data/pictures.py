"""Pictures of training's folders, and which of them belong together by name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from mattecli.errors import InputError
from mattecli.imaging.image import SUFFIXES
from mattecli.system.folders import as_read, pictures_in


def all_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder and its subfolders, sorted; hidden files and folders are left out.

    Raises InputError for a folder that is missing, cannot be read or holds none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name a folder that holds pictures")
    found: list[Path] = []
    for parent, folders, _ in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [path for path in pictures_in(Path(parent), SUFFIXES) if path.is_file()]
    if not found:
        raise InputError(f"{folder} holds no pictures; put PNG, JPEG, WebP or TIFF files there")
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be read as a folder ({error.strerror}); check it") from error


def by_name(pictures: Iterable[Path], folder: Path) -> dict[str, Path]:
    """The pictures by their names without suffix, as seen from the folder; as people read them.

    Raises InputError for two of one name: nobody could say which one is meant.
    """
    named: dict[str, Path] = {}
    for path in pictures:
        name = as_read(path.relative_to(folder).with_suffix("").as_posix())
        if name in named:
            raise InputError(f"{named[name]} and {path.name} have one name; keep one of the two")
        named[name] = path
    return named
