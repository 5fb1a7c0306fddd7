"""How much memory is really free, and how much this process has used."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


def free_bytes(cgroup: Path = CGROUP) -> int:
    """Bytes of RAM this process may still take: what the machine has free, or a container if less."""
    free = int(psutil.virtual_memory().available)
    limits = [limit for limit in (_v2_free(cgroup), _v1_free(cgroup)) if limit is not None]
    return max(0, min([free, *limits]))


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


def keep_freed_memory() -> None:
    """Let the C library keep what is freed instead of giving it back to the system.

    A network frees and asks for the same large maps over and over; given back, each page of them must be fetched and
    zeroed anew, which can take longer than the arithmetic. Only glibc hands back so eagerly, and only there is anything
    done.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h
    mallopt(trim_threshold, -1)  # never
    mallopt(mmap_max, 0)


def held_bytes() -> int:
    """The RAM this process holds now."""
    return int(psutil.Process().memory_info().rss)


def give_back_freed_memory() -> None:
    """Give the system all pages that the C library keeps though nothing lies in them; only glibc can."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return


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


def _v2_free(cgroup: Path) -> int | None:
    """What a version 2 control group leaves; memory that only caches files counts as free."""
    return _group_free(cgroup / "memory.max", cgroup / "memory.current", cgroup / "memory.stat", "inactive_file")


def _v1_free(cgroup: Path) -> int | None:
    group = cgroup / "memory"
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
