"""Finds the files that belong to photos by their names."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from mattecli.batch.jobs import fill, name_values
from mattecli.errors import InputError
from mattecli.imaging.image import SUFFIXES
from mattecli.system.files import same_file
from mattecli.system.folders import as_read, some

TRIMAP_SUFFIXES = SUFFIXES | {".npy"}
ENDING, MASK, ALPHA, CORE, GARBAGE = "_trimap", "_mask", "_alpha", "_core", "_garbage"
BACKGROUND = "_background"

Find = Callable[[str], list[str]]


def is_pattern(where: str) -> bool:
    """Whether a place is a pattern with braces, and not a folder."""
    return "{" in where and not os.path.isdir(where)


class Partners:
    """Files of one kind that belong to photos by their names: in a folder, or where a pattern says.

    In a folder the file of `sub/cat.jpg` is `sub/cat`, or `sub/cat` and the `ending`, with the suffix of any picture.
    Where that is the photos' own folder, `photos`, only names with the ending count. `what` is such a file and `option`
    where it was asked for, in messages. Raises InputError where there is no such folder.
    """

    def __init__(self, where: str, *, what: str, ending: str, option: str, photos: str | Path) -> None:
        if not is_pattern(where) and not os.path.isdir(where):
            raise InputError(f"{where} is not a folder; name a folder for {option}, or a pattern with {{stem}}")
        self.where, self.what, self.option = where, what, option
        self._shelves, self._ending = _Shelves(), ending
        self.folder = None if is_pattern(where) else Path(where)
        self.same = self.folder is not None and same_file(self.folder, photos)
        if self.folder is None:
            self.find: Find = _by_pattern(where, self._shelves, option)
        else:
            self.find = _in_folder(self.folder, self._shelves, ending, same=self.same)
        top = None if self.folder is None else os.path.realpath(self.folder)
        above = top is not None and _lies_in(os.path.realpath(photos), top)
        self._top = None if above else top
        self._below: dict[str, bool] = {}  # by folder

    def hold(self, picture: Path) -> bool:
        """Whether a picture below the photos' folder is one of these files, not a photo, by its folder or its ending.

        A photo need not have it. What a pattern finds, `find` alone tells.
        """
        if self.same:
            return bool(self._ending) and picture.stem.endswith(self._ending)
        if self._top is None:
            return False
        folder = os.path.dirname(picture)
        if folder not in self._below:
            self._below[folder] = _lies_in(os.path.realpath(folder), self._top)
        return self._below[folder]

    def unused(self, used: Collection[str], real: Callable[[str], str]) -> list[str]:
        """The files of the folder, as far as it was seen, that are not in `used`, whose names are those of `real`."""
        if self.folder is None:
            return []
        seen = (path for path in self._shelves.pictures() if not self.same or self.hold(Path(path)))
        return [path for path in seen if real(path) not in used]

    def lacking(self, owners: str) -> str:
        """What is wrong where none of `owners`, such as "photo in DIR", has such a file."""
        return f"no {owners} has a {self.what} in {self.where}; check the names, or leave {self.option} out"

    def fault(self, photo: str | Path, found: list[str]) -> str:
        """Why a photo has not one such file."""
        if found:
            return f"{photo} has several {self.what}s: {some(found)}; keep one of them"
        name = f"called {Path(photo).stem}{self._ending}" if self.same else "of the same name"
        return f"{photo} has no {self.what} in {self.where}; add one {name}, or take the photo out"


def _lies_in(folder: str, top: str) -> bool:
    return folder == top or folder.startswith(os.path.join(top, ""))


class _Shelves:
    """The pictures of folders by name without suffix, as people read it; each folder is read once."""

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, list[str]]] = {}
        self._unread: dict[str, str] = {}  # why a folder that is there cannot be listed
        self._spelt: dict[str, dict[str, str]] = {}  # by folder, the names there by how they are read

    def find(self, folder: str, stem: str) -> list[str]:
        """The pictures of that name, with whatever suffix. Raises InputError where the folder cannot be listed."""
        if folder not in self._folders:
            self._folders[folder] = self._read(folder)
        if folder in self._unread:
            raise InputError(f"{folder} cannot be listed ({self._unread[folder]}); check its disk and its permissions")
        return self._folders[folder].get(as_read(stem), [])

    def pictures(self) -> Iterator[str]:
        """All of them."""
        for shelf in self._folders.values():
            for paths in shelf.values():
                yield from paths

    def _read(self, folder: str) -> dict[str, list[str]]:
        shelf: dict[str, list[str]] = {}
        asked = folder
        try:
            folder = self._as_it_is_spelt(folder)
            names = sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):  # its photos are then reported as photos without a trimap
            names = []
        except OSError as error:
            self._unread[asked] = str(error.strerror)
            names = []
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in TRIMAP_SUFFIXES and not name.startswith("."):
                shelf.setdefault(as_read(stem), []).append(os.path.join(folder, name))
        return shelf

    def _as_it_is_spelt(self, folder: str) -> str:
        """The folder if it exists, else the one that reads the same: accents have two spellings in Unicode."""
        if os.path.isdir(folder):
            return folder
        above, name = os.path.split(folder)
        if not name:
            return folder
        above = self._as_it_is_spelt(above)
        if above not in self._spelt:
            try:
                names = sorted(os.listdir(above or "."), reverse=True)
            except PermissionError:  # a folder may be opened below one that may not be listed
                names = []
            self._spelt[above] = {as_read(other): other for other in names}  # of two the first one counts
        return os.path.join(above, self._spelt[above].get(as_read(name), name))


def _in_folder(folder: Path, shelves: _Shelves, ending: str, *, same: bool) -> Find:
    """Files in a tree like the photos'; in the photos' own folder only names with the ending count."""

    def find(name: str) -> list[str]:
        values = name_values(name)
        where = os.path.normpath(folder / values["dir"])
        plain = [] if same else shelves.find(where, values["stem"])
        return list(dict.fromkeys(plain + shelves.find(where, values["stem"] + ending)))

    return find


def _by_pattern(pattern: str, shelves: _Shelves, option: str) -> Find:
    """A pattern without a suffix finds any. One that ends in `{name}` has the photo's."""
    suffix = os.path.splitext(os.path.basename(pattern))[1].lower()
    any_suffix = suffix not in TRIMAP_SUFFIXES and not pattern.endswith("{name}")

    def find(name: str) -> list[str]:
        path = os.path.normpath(fill(pattern, name_values(name), option=option))
        folder, base = os.path.dirname(path) or ".", os.path.basename(path)
        if any_suffix:
            return shelves.find(folder, base)
        if os.path.lexists(path):
            return [path]
        stem, suffix = os.path.splitext(base)
        return [found for found in shelves.find(folder, stem) if found.endswith(suffix)]

    return find
