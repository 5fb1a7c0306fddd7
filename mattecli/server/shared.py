"""Arrays that two processes share.

They are files that both processes map into their memory.

Shared memory of the system would be simpler, but containers limit it to 64 MB by default, and a process that meets the
limit dies. The files have names that `files.sweep` removes when their process has ended.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.system.files import hidden_beside


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
    """A new array of zeros that is shared, in a file of `folder`. `close` removes the file."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, *, folder: Path) -> None:
        path = hidden_beside(folder / "shared")
        self.place = Place(str(path), shape, np.dtype(dtype).str)
        try:
            self.array: NDArray[Any] = np.memmap(path, dtype, "w+", shape=shape)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise InputError(f"{path} cannot be written ({error.strerror}); free some space") from error

    @classmethod
    def of(cls, array: NDArray[Any], *, folder: Path) -> Shared:
        """A shared copy of an array."""
        shared = cls(array.shape, array.dtype, folder=folder)
        shared.array[...] = array
        return shared

    def close(self) -> None:
        """Remove the file. Arrays that are still held stay usable."""
        with suppress(OSError):  # Windows removes no file that is mapped; `sweep` does it later
            Path(self.place.path).unlink(missing_ok=True)
