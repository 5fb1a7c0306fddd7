"""Memory for the maps that are kept from pass to pass: blocks of one region, which serve one map after the other."""

from __future__ import annotations

import mmap
import platform
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from mattecli.errors import OutOfMemoryError

CHUNK = 2**20  # blocks are whole numbers of chunks
# Older Pythons have no name for this flag. Without it the region counts as promised memory, and a `fork`,
# which promises it once more, fails as soon as the region and what lies right beside it are more than the machine has.
NORESERVE = 0x4000 if platform.machine() in ("x86_64", "aarch64") else getattr(mmap, "MAP_NORESERVE", None)


_shared: weakref.ref[Arena] | None = None
_sharing = threading.Lock()


class Arena:
    """A region of addresses as large as the machine's memory, of which only what has been written to takes memory.

    What the system gives anew it must find, map and zero page by page, which takes longer than copying a map there. So
    a block whose map is gone stays, and serves other maps: in the same run, or for the next photo. It is apart from the
    common heap, which large maps among small blocks that come and go would leave full of holes.

    Where no such region is to be had (on Windows, with a limit on addresses, or where the system promises no more
    memory than it has) each block is asked for by itself.
    """

    def __init__(self) -> None:
        self._region = _reserve()
        chunks = len(self._region) // CHUNK if self._region else 0
        self._used = np.zeros(chunks, bool)  # by a block
        self._touched = np.zeros(chunks, bool)  # since the system gave it, or was given it back
        self._lock = threading.Lock()

    def take(self, size: int, *, zero: bool = False) -> NDArray[np.uint8]:
        """A block of `size` bytes, all zero if `zero`; it is free again when nothing refers to it.

        Raises OutOfMemoryError where there is none.
        """
        if self._region is None:
            return np.frombuffer(_pages(size), np.uint8, size)
        count = -(-size // CHUNK)
        with self._lock:  # another thread may free blocks meanwhile, but not take any
            begins, ends = _runs(~self._used)
            fitting = begins[ends - begins >= count]
            if not len(fitting):
                raise OutOfMemoryError("the memory ran out")
            chunks = slice(int(fitting[0]), int(fitting[0]) + count)
            self._used[chunks] = True
            touched = self._touched[chunks].copy()
            self._touched[chunks] = True
        block = np.frombuffer(self._region, np.uint8, size, chunks.start * CHUNK)
        weakref.finalize(block, self._free, chunks).atexit = False
        if zero:  # what has not been touched is, and stays without memory until it is written to
            for begin, end in zip(*_runs(touched), strict=True):
                block[begin * CHUNK : end * CHUNK] = 0
        return block

    def spare_bytes(self) -> int:
        """The memory that is held for no map."""
        return int((self._touched & ~self._used).sum()) * CHUNK

    def give_back(self, size: int = sys.maxsize) -> None:
        """Give the system at least `size` bytes of the memory that is held for no map, or all that there is.

        The last blocks of the region go first: the next maps are laid at its beginning.
        """
        if self._region is None:
            return
        with self._lock:
            begins, ends = _runs(self._touched & ~self._used)
            for begin, end in zip(begins[::-1].tolist(), ends[::-1].tolist(), strict=True):
                if size <= 0:
                    break
                first = max(begin, end - -(-size // CHUNK))
                self._region.madvise(mmap.MADV_DONTNEED, first * CHUNK, (end - first) * CHUNK)
                self._touched[first:end] = False
                size -= (end - first) * CHUNK

    def _free(self, chunks: slice) -> None:
        self._used[chunks] = False


def process_arena() -> Arena:
    """The process's one arena, which all backends share; it is gone with the last of them."""
    global _shared
    with _sharing:
        arena = None if _shared is None else _shared()
        if arena is None:
            arena = Arena()
            _shared = weakref.ref(arena)
        return arena


def _runs(flags: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each run of set flags begins, and where it ends."""
    changes = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return changes[::2], changes[1::2]


def _reserve() -> mmap.mmap | None:
    """The region, or None."""
    if sys.platform != "linux":  # elsewhere DONTNEED is only a hint, after which memory need not be zero
        return None
    if NORESERVE is None or _promises_are_kept():
        return None
    size = psutil.virtual_memory().total // CHUNK * CHUNK
    try:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE)
    except OSError:
        return None


def _promises_are_kept() -> bool:
    """Whether Linux promises no more memory than it has, whatever a mapping's flags say."""
    try:
        return Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "2"
    except OSError:
        return True


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
