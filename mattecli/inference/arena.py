"""Memory for stored maps, in one region of addresses.

Blocks of the region serve one map after the other.
"""

from __future__ import annotations

import mmap
import platform
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from mattecli.errors import OutOfMemoryError
from mattecli.system import memory

CHUNK = 2**20  # bytes; a block consists of whole chunks
# Older Pythons have no name for this flag. Without it the region counts as promised memory. A `fork` promises it once
# more, and fails if that is more than the machine has.
NORESERVE = 0x4000 if platform.machine() in ("x86_64", "aarch64") else getattr(mmap, "MAP_NORESERVE", None)
OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")


def reserve_region(policy: Path = OVERCOMMIT) -> mmap.mmap | None:
    """Reserve addresses for all of the machine's memory; None where they cannot be had.

    `policy` is the file in which Linux says how much memory it promises.
    """
    if sys.platform != "linux":  # elsewhere DONTNEED is a hint, and memory may not be zero after it
        return None
    if NORESERVE is None or _promises_are_kept(policy):
        return None
    size = psutil.virtual_memory().total // CHUNK * CHUNK
    try:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE)
    except OSError:
        return None


def _promises_are_kept(policy: Path) -> bool:
    """Whether Linux promises only memory that it has, regardless of a mapping's flags."""
    try:
        return policy.read_text().strip() == "2"
    except OSError:
        return True


class Arena:
    """A region of addresses as large as the machine's memory; only pages that have been written to take memory.

    The system must find, map and zero each page of new memory, which takes longer than copying a map there. So a block
    is kept when its map is gone, and serves later maps, of the same photo or another. The region is apart from the
    common heap, where large maps between small blocks would leave holes.

    Where no such region can be had (on Windows, with a limit on addresses, or where the system promises no more memory
    than it has) the system is asked for each block. The region is reserved when the first block is taken. All methods
    may be called from several threads. `region` reserves the region; it gives None where there is none.
    """

    def __init__(self, region: Callable[[], mmap.mmap | None] = reserve_region) -> None:
        self._lock, self._new_region = threading.Lock(), region
        self._region: mmap.mmap | None = None
        self._reserved = False
        self._used = self._touched = np.zeros(0, bool)

    def take(self, size: int, *, zero: bool = False) -> NDArray[np.uint8]:
        """A block of `size` bytes, all zero if `zero`; it is free again when nothing refers to it.

        Raises OutOfMemoryError when there is none.
        """
        count = -(-size // CHUNK)
        with self._lock:  # meanwhile other threads may free blocks, but not take any
            if not self._reserved:
                self._reserve()
            chunks = self._find(count)
            if chunks is not None:
                self._used[chunks] = True
                touched = self._touched[chunks].copy()
                self._touched[chunks] = True
        if self._region is None or chunks is None:
            return np.frombuffer(_pages(size), np.uint8, size)
        block = np.frombuffer(self._region, np.uint8, size, chunks.start * CHUNK)
        weakref.finalize(block, self._free, chunks).atexit = False
        if zero:  # untouched chunks are zero already, and take no memory until they are written to
            for begin, end in zip(*_runs(touched), strict=True):
                block[begin * CHUNK : end * CHUNK] = 0
        return block

    def _reserve(self) -> None:
        self._region, self._reserved = self._new_region(), True
        chunks = len(self._region) // CHUNK if self._region else 0
        self._used = np.zeros(chunks, bool)  # by a block
        self._touched = np.zeros(chunks, bool)  # written to since the system gave the chunk

    def _find(self, count: int) -> slice | None:
        """The first free run of `count` chunks; None to ask the system for the block.

        Raises OutOfMemoryError when the region has fewer free chunks, in pieces or in one.
        """
        if self._region is None:
            return None
        begins, ends = _runs(~self._used)
        fitting = begins[ends - begins >= count]
        if len(fitting):
            return slice(int(fitting[0]), int(fitting[0]) + count)
        if count > int((ends - begins).sum()):
            raise OutOfMemoryError("the memory ran out")
        return None  # there is memory, but the maps of several photos leave no free run of that length

    def spare_bytes(self) -> int:
        """Bytes that are held but not used by a map."""
        with self._lock:  # or another thread may be at reserving the region, and has made one of the two
            return int((self._touched & ~self._used).sum()) * CHUNK

    def give_back(self, size: int = sys.maxsize) -> None:
        """Give the system at least `size` of the bytes that are held but not used, or all of them.

        The end of the region goes first, because new maps are placed at its beginning.
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


# The arena of this process. All backends share it, so that a process has one region at most.
shared = Arena()
memory.releasers.append(shared.give_back)


def _runs(flags: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each run of set flags begins, and where it ends."""
    changes = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return changes[::2], changes[1::2]


def _pages(size: int) -> mmap.mmap:
    """Private pages. Shared pages, Python's default, are slower to get.

    Huge pages are slower too: the system must find each in one piece (see benchmarks/README.md).
    """
    try:
        if not hasattr(mmap, "MAP_PRIVATE"):  # Windows, where they always are private
            return mmap.mmap(-1, size)
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:  # it has no other reason
        raise OutOfMemoryError("the memory ran out") from error
