"""How much memory is free, and how much was used."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import psutil

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
SLACK = 128 * 2**20

# Default memory budget of a run in RAM: fixed part, and bytes per pixel of the padded image.
DEFAULT_BUDGET = (2**30, 60)


# Each frees at least so many bytes of memory that is only kept for later use. Rooms above this one add theirs.
releasers: list[Callable[[int], None]] = []


def free_bytes(cgroup: Path = CGROUP, own: Path = OWN_CGROUPS) -> int:
    """Bytes of RAM that this process may still take: the machine's free memory, or what its container or job allows.

    `cgroup` is where control groups are mounted. `own` is the file that names those of this process; the groups above
    them count, too.
    """
    found = [free for group in _groups(cgroup, own) if (free := group.free()) is not None]
    return max(0, min([int(psutil.virtual_memory().available), *found]))


def free_bytes_for(needed: int) -> int:
    """`free_bytes`, before which freed memory is given back that this process keeps, if `needed` bytes ask for it.

    That of the C library goes first, then that of the `releasers`, which is kept for the maps of the next photo.
    """
    free = free_bytes()
    if needed <= free:
        return free
    give_back_freed_memory()
    for release in releasers:
        if needed > (free := free_bytes()):
            release(needed - free)
    return free_bytes()


def share_bytes(cgroup: Path = CGROUP, own: Path = OWN_CGROUPS) -> int:
    """A quarter of the RAM that this process could have at the most: the machine's, or its container's.

    It does not depend on what is free now. So runs on one machine are planned alike, and their last bits are the same.
    """
    found = [limit for group in _groups(cgroup, own) if (limit := group.limit()) is not None]
    return min([int(psutil.virtual_memory().total), *found]) // 4


def peak_bytes() -> int:
    """The most RAM this process has held so far, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    elif sys.platform == "linux":  # noqa: RET505 - so that mypy reads the other platforms too
        # getrusage would count the parent's memory at the start of this process
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")  # it has the program's name
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    else:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def held_bytes() -> int:
    """The RAM that this process holds now, in bytes."""
    return int(_process(os.getpid()).memory_info().rss)


@lru_cache(maxsize=1)
def _process(number: int) -> psutil.Process:
    """Cached, because making the object takes longer than a query."""
    return psutil.Process(number)


def give_back_freed_memory() -> None:
    """Return to the system all unused pages that the C library keeps. Only glibc can do that."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return


class Ceiling:
    """Keeps what a process holds below a limit by giving back freed memory, all of which a process of ours keeps.

    `release` is called first. It frees at least so many bytes of memory that is only kept for later use.
    """

    def __init__(self, release: Callable[[int], None] = lambda _: None) -> None:
        self._release = release
        self._limit = 0
        self._others = 0  # bytes in use beyond the limit, for example arrays of the caller

    def enforce(self, limit: int) -> None:
        """Give back unused memory if more than `limit` bytes are held: first a part, because the rest may be reused.

        If that is not enough, all unused memory is given back. If the process still holds more than the limit, that
        memory is in use, and trying again at once would only cost time. Then SLACK more bytes may be added first.
        """
        if limit != self._limit:
            self._limit, self._others = limit, 0
        allowed = limit + self._others
        over = held_bytes() - allowed
        if over <= 0:
            return
        self._release(over + SLACK)
        if held_bytes() <= allowed:
            return
        self._release(sys.maxsize)
        give_back_freed_memory()
        left = held_bytes()
        self._others = left - limit + SLACK if left > limit else 0


def parse_bytes(text: str) -> int:
    """Bytes from a text such as `800M`, `6G`, `6GiB` or a plain number. Raises ValueError for anything else."""
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    power = "KMGT".find(number[-1:]) + 1 if number else 0
    value = float(number[:-1] if power else number)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return int(value * 1024**power)


def show_bytes(count: float) -> str:
    """A number of bytes as text, in MiB or GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def own_groups(own: Path) -> list[tuple[str, PurePosixPath]]:
    """This process's control groups: controllers (empty in version 2), and name relative to the mount.

    In a container the names may be those of the host, which do not exist inside; the root of the mount always exists.
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # another system
        return []
    parts = [line.split(":", 2) for line in lines]
    found = [(part[1], PurePosixPath(part[2].lstrip("/"))) for part in parts if len(part) == 3]
    return [(controllers, name) for controllers, name in found if ".." not in name.parts]


@dataclass(frozen=True)
class _Group:
    """A control group: the files with its limit, with what it uses, and with a line of what only caches files."""

    limit_file: Path
    used_file: Path
    stat_file: Path
    cached: str

    def limit(self) -> int | None:
        """The most bytes; None where there is no such group, or no limit."""
        try:
            return int(self.limit_file.read_text(encoding="ascii"))
        except (OSError, ValueError):  # ValueError: `max`
            return None

    def free(self) -> int | None:
        """Bytes that are free, with what only caches files; None where there is no limit."""
        limit = self.limit()
        try:
            words = self.stat_file.read_text(encoding="ascii").split()
            reclaimable = int(dict(zip(words[::2], words[1::2], strict=True)).get(self.cached, 0))
            used = int(self.used_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return None if limit is None else limit - used + reclaimable


def _groups(cgroup: Path, own: Path) -> list[_Group]:
    """The control groups that bound this process's memory: its own ones, and all above them."""
    version_2, version_1 = {PurePosixPath()}, {PurePosixPath()}
    for controllers, name in own_groups(own):
        if not controllers:
            version_2 |= {name, *name.parents}
        elif "memory" in controllers.split(","):
            version_1 |= {name, *name.parents}
    groups = []
    for name in version_2:
        at = cgroup / name
        groups.append(_Group(at / "memory.max", at / "memory.current", at / "memory.stat", "inactive_file"))
    for name in version_1:
        at = cgroup / "memory" / name
        limit, used = at / "memory.limit_in_bytes", at / "memory.usage_in_bytes"
        groups.append(_Group(limit, used, at / "memory.stat", "total_inactive_file"))
    return groups
