"""Arrays that two processes share.

They are files that both processes map into their memory. On Linux these files have no place on a disk. Elsewhere they
lie in a folder, under names that `files.sweep` removes when their process has ended. The system's own shared memory
would not do: containers limit it to 64 MB by default, and a process that meets the limit dies.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.system.files import hidden_beside, remedy_of

_closed: set[str] = set()  # files of arrays that were closed, as far as they could not be removed yet


class Place(NamedTuple):
    """Where a shared array is: its file, shape and type. It can be sent to another process."""

    path: str
    shape: tuple[int, ...]
    dtype: str

    def array(self, *, writable: bool = False) -> NDArray[Any]:
        """The array; changes are seen by all who share it. Raises `InputError` where its file is gone."""
        try:
            return np.memmap(self.path, self.dtype, "r+" if writable else "r", shape=self.shape)
        except OSError as error:
            raise InputError(f"the shared file {self.path} cannot be opened ({error.strerror}); try again") from error


class Shared:
    """A new array of zeros that is shared. `folder` is for its file, where that has to lie on a disk.

    `close` removes the file. Raises `InputError` where the disk is full.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, *, folder: Path) -> None:
        _remove_closed()
        self._descriptor: int | None = None
        path = str(hidden_beside(folder / "shared"))
        if sys.platform == "linux":
            self._descriptor = os.memfd_create("matte")
            path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        self.place = Place(path, shape, np.dtype(dtype).str)
        try:
            self.array: NDArray[Any] = np.memmap(path, dtype, "w+", shape=shape)
        except OSError as error:
            self.close()
            raise InputError(f"{path} cannot be written ({error.strerror}); {remedy_of(error)}") from error

    @classmethod
    def of(cls, array: NDArray[Any], *, folder: Path) -> Shared:
        """A shared copy of an array."""
        shared = cls(array.shape, array.dtype, folder=folder)
        shared.array[...] = array
        return shared

    def close(self) -> None:
        """Remove the file. Arrays that are still held stay usable."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        else:
            _closed.add(self.place.path)
            _remove_closed()


def _remove_closed() -> None:
    """Remove the files of shared arrays that were closed. Windows removes none that is mapped: the next call may."""
    for path in list(_closed):
        with suppress(OSError):
            Path(path).unlink(missing_ok=True)
            _closed.discard(path)
