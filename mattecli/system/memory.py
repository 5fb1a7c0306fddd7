"""How much memory is really free, and how much this process has used."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path, PurePosixPath

import psutil

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
SLACK = 128 * 2**20

# Of RAM: what a run is content with if that is enough, at all and for each pixel of the padded image.
FRUGAL_BYTES = (2**30, 60)


def free_bytes(cgroup: Path = CGROUP, own: Path = OWN_CGROUPS) -> int:
    """Bytes of RAM this process may still take: what the machine has free, or a container or batch job if less.

    `cgroup` is where control groups are mounted, `own` the file that names this process's; those above it count, too.
    """
    version_2, version_1 = {PurePosixPath()}, {PurePosixPath()}
    for controllers, name in _own_groups(own):
        if not controllers:
            version_2 |= {name, *name.parents}
        elif "memory" in controllers.split(","):
            version_1 |= {name, *name.parents}
    limits = [_v2_free(cgroup, name) for name in version_2] + [_v1_free(cgroup, name) for name in version_1]
    return max(0, min([int(psutil.virtual_memory().available), *(limit for limit in limits if limit is not None)]))


def peak_bytes() -> int:
    """The most RAM this process has held so far, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    elif sys.platform == "linux":  # noqa: RET505 - so that mypy reads the other platforms too
        # getrusage's figure is no less than what the parent held when it started us
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    else:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def held_bytes() -> int:
    """The RAM this process holds now."""
    return int(_process(os.getpid()).memory_info().rss)


@lru_cache(maxsize=1)
def _process(number: int) -> psutil.Process:
    """Made once: that takes longer than to ask it."""
    return psutil.Process(number)


def give_back_freed_memory() -> None:
    """Give the system all pages that the C library keeps though nothing lies in them; only glibc can."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return


class Ceiling:
    """Keeps what a process holds below a limit by giving back freed memory, all of which a process of ours keeps.

    `release` is called first, to free so many bytes of what is only held in case it is wanted again.
    """

    def __init__(self, release: Callable[[int], None] = lambda _: None) -> None:
        self._release = release
        self._limit = 0
        self._others = 0  # what is in use beyond the limit: arrays of the caller's, say

    def enforce(self, limit: int) -> None:
        """Should more than `limit` bytes be held, give back what is not in use: little at a time, for it may be wanted.

        If that does not help, all is given back. What is held after that is in use. Where it is more than the limit,
        trying again and again would gain nothing and cost much, so that SLACK may be added to it first.
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
    """`800M`, `6G`, `6GiB` or a plain number of bytes as a number; raises ValueError for anything else."""
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    power = "KMGT".find(number[-1:]) + 1 if number else 0
    value = float(number[:-1] if power else number)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return int(value * 1024**power)


def show_bytes(count: float) -> str:
    """A number of bytes for people, in MiB or GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _own_groups(own: Path) -> list[tuple[str, PurePosixPath]]:
    """Controllers (none in version 2) and name, relative to the mount, of this process's control groups.

    In a container the names may be those outside of it, which do not exist inside; the mount's root is always there.
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # another system
        return []
    parts = [line.split(":", 2) for line in lines]
    found = [(part[1], PurePosixPath(part[2].lstrip("/"))) for part in parts if len(part) == 3]
    return [(controllers, name) for controllers, name in found if ".." not in name.parts]


def _v2_free(cgroup: Path, name: PurePosixPath) -> int | None:
    """What a version 2 control group leaves; memory that only caches files counts as free."""
    group = cgroup / name
    return _group_free(group / "memory.max", group / "memory.current", group / "memory.stat", "inactive_file")


def _v1_free(cgroup: Path, name: PurePosixPath) -> int | None:
    group = cgroup / "memory" / name
    return _group_free(
        group / "memory.limit_in_bytes", group / "memory.usage_in_bytes", group / "memory.stat", "total_inactive_file"
    )


def _group_free(limit: Path, used: Path, stat: Path, cached: str) -> int | None:
    try:
        words = stat.read_text(encoding="ascii").split()
        reclaimable = int(dict(zip(words[::2], words[1::2], strict=True)).get(cached, 0))
        return int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii")) + reclaimable
    except (OSError, ValueError):  # no such group, or `max`: no limit
        return None
