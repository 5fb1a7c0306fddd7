"""Keeps expensive arrays in a shared folder or in memory."""

from __future__ import annotations

import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.system.files import remedy_of, sweep, whole_file

Bytes = NDArray[np.uint8]


class Cache:
    """uint8 arrays by key, each made once.

    With a folder each array is a .npy file there, mapped into memory, so that all processes share it. Without one the
    latest arrays stay in memory, up to `megabytes` for each process. Raises InputError for a folder that cannot be made
    or written.
    """

    def __init__(self, folder: str | Path | None, *, megabytes: int = 1024) -> None:
        self.folder = Path(folder).expanduser() if folder else None
        self._limit = megabytes * 2**20
        self._arrays: OrderedDict[str, Bytes] = OrderedDict()
        self._bytes = 0
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"{self.folder} cannot be made for the training cache ({error.strerror}); name another folder"
                ) from error
            sweep(self.folder)

    def array(self, key: str, make: Callable[[], Bytes]) -> Bytes:
        """The array of this key. `make` is called if the cache does not have it."""
        if self.folder is not None:
            return self._from_folder(self.folder / f"{key}.npy", make)
        if key in self._arrays:
            self._arrays.move_to_end(key)
            return self._arrays[key]
        array = make()
        self._arrays[key] = array
        self._bytes += array.nbytes
        while self._bytes > self._limit and len(self._arrays) > 1:
            self._bytes -= self._arrays.popitem(last=False)[1].nbytes
        return array

    def _from_folder(self, path: Path, make: Callable[[], Bytes]) -> Bytes:
        with contextlib.suppress(FileNotFoundError):
            return _mapped(path)
        _save(path, make())
        return _mapped(path)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_arrays": OrderedDict(), "_bytes": 0}  # a worker starts with nothing in memory


def key_of(*parts: object) -> str:
    """A short key for everything that an array is made from."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:24]


def file_stamp(path: Path) -> str:
    """A text that changes when the file does. Raises InputError where it is gone."""
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); put it back, or begin anew without it") from error
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"


def _mapped(path: Path) -> Bytes:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False), np.uint8)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} in the training cache cannot be read ({error}); delete it to have it made again"
        ) from error


def _save(path: Path, array: Bytes) -> None:
    """Write the array as a whole or not at all, because several processes may make the same one.

    What another one has written stays: Windows lets no file be replaced that is mapped.
    """
    try:
        with contextlib.suppress(FileExistsError), whole_file(path, overwrite=False) as file:
            np.save(file, array, allow_pickle=False)
    except OSError as error:
        raise InputError(
            f"{path.parent} cannot take the training cache ({error.strerror}); {remedy_of(error)}, or name another "
            "folder"
        ) from error
