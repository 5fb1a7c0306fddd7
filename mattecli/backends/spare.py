"""Memory for maps that are kept from pass to pass, used again for the maps that follow."""

from __future__ import annotations

import mmap
import threading
import weakref

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import OutOfMemoryError


class SparePages:
    """Blocks of pages of their own, for maps of many sizes, which would leave a common heap full of holes.

    What the system gives anew it must find, map and zero page by page, which takes longer than copying a map there. So
    a block whose map is gone is spare, and serves the next map of its size: in the same run, or in that of the next
    photo. Spare and used blocks together are never more than the used ones have once been.
    """

    def __init__(self) -> None:
        self._spare: list[mmap.mmap] = []  # last freed, last
        self._lock = threading.Lock()

    def take(self, size: int) -> tuple[NDArray[np.uint8], bool]:
        """A block of `size` bytes, and whether it is new: then it is zero. It is spare when nothing refers to it.

        Raises OutOfMemoryError if there is no such block and the system gives none.
        """
        with self._lock:  # blocks may become spare meanwhile, but only at the list's end
            fitting = [(len(pages), n) for n, pages in enumerate(self._spare) if len(pages) >= size]
            if not fitting:
                self._drop(size)
            pages = self._spare.pop(min(fitting)[1]) if fitting else _pages(size)
        block = np.frombuffer(pages, np.uint8, size)
        weakref.finalize(block, self._spare.append, pages).atexit = False
        return block, not fitting

    def bytes(self) -> int:
        """How many bytes are spare."""
        return sum(map(len, self._spare))

    def give_back(self) -> None:
        """Give the system all that is spare."""
        with self._lock:
            self._spare.clear()

    def _drop(self, size: int) -> None:
        """Give back at least `size` bytes if so many are spare; what was freed last will be asked for last."""
        while self._spare and size > 0:
            size -= len(self._spare.pop())


def _pages(size: int) -> mmap.mmap:
    """Private pages: shared ones, Python's default, cost more to fetch.

    Huge ones were slower still: the system must find each in one piece (see benchmarks/README.md).
    """
    try:
        if not hasattr(mmap, "MAP_PRIVATE"):  # Windows, where they always are
            return mmap.mmap(-1, size)
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:  # there is no other reason for it
        raise OutOfMemoryError("the memory ran out") from error
