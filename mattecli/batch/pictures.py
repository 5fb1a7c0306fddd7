"""Lists the pictures below a folder, links followed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from mattecli.errors import InputError
from mattecli.imaging.image import SUFFIXES

# Pictures of formats that are not taken from folders: raw photographs, layered files, and others.
_RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".3fr", ".iiq")
_OTHERS = (".xcf", ".kra", ".tga", ".gif", ".svg", ".eps", ".pdf")
FOREIGN = frozenset(_RAW + _OTHERS)

Found = tuple[str, Path, str | None]  # name below the folder, path, and why it is not a picture


def walk(top: Path, foreign: list[str], *, recursive: bool) -> Iterator[Found]:
    """All that looks like a picture below a folder; pictures of other formats are put into `foreign`."""
    todo: list[tuple[str, str, frozenset[str]]] = [(str(top), "", frozenset([os.path.realpath(top)]))]
    while todo:
        folder, prefix, above = todo.pop()
        try:
            with os.scandir(folder) as entries:
                listed = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            if not prefix:
                raise InputError(f"{top} cannot be read ({error.strerror}); check its permissions") from error
            yield prefix.rstrip("/"), Path(folder), f"{folder} cannot be read ({error.strerror}); check its permissions"
            continue
        for entry in listed:
            path = Path(entry.path)
            is_folder, wrong = _look_at(entry, above)
            if is_folder and wrong is None:
                if recursive:
                    todo.append((entry.path, f"{prefix}{entry.name}/", above | {os.path.realpath(path)}))
            elif wrong is not None or path.suffix.lower() in SUFFIXES:
                yield prefix + entry.name, path, wrong
            elif path.suffix.lower() in FOREIGN:
                foreign.append(entry.path)


def _look_at(entry: os.DirEntry[str], above: frozenset[str]) -> tuple[bool, str | None]:
    """Whether it is a folder, and what is wrong with something that is, or looks like, a folder or a picture."""
    path, looks = entry.path, Path(entry.name).suffix.lower() in SUFFIXES
    try:
        if entry.is_dir():
            if looks:
                return True, f"{path} is a folder with a picture's name; rename it"
            if entry.is_symlink() and (real := os.path.realpath(path)) in above:
                return True, f"{path} is a link back to {real}, in which it lies; remove the link"
            return True, None
        if looks and not entry.is_file():
            os.stat(path)  # raises where it is a link to nowhere or to itself
            return False, f"{path} is not a regular file; name a file or take it out"
        if entry.is_symlink() and not looks:
            os.stat(path)
    except OSError as error:
        circle = error.errno == errno.ELOOP
        if looks or circle:
            reason = "it is a link in a circle" if circle else error.strerror
            return False, f"{path} cannot be read ({reason}); repair or remove it"
    return False, None
