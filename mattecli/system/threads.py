"""How many threads this process takes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import psutil

from mattecli.system.memory import CGROUP, OWN_CGROUPS, own_groups

_chosen: int | None = None


def use_threads(count: int | None) -> None:
    """Let OpenCV, and the process that decodes files, take so many threads; None is `default_threads`.

    For a process of our own: OpenCV's setting counts for all that runs in the process.
    """
    global _chosen
    import cv2

    _chosen = count
    allowed = cpu_quota() if count is None else count
    cv2.setNumThreads(-1 if allowed is None else allowed)  # -1: OpenCV's own choice


def thread_count() -> int:
    """What `use_threads` chose, or else `default_threads`."""
    return _chosen or default_threads()


def default_threads() -> int:
    """OMP_NUM_THREADS, or else the physical cores that this process may use, within its container's quota."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    allowed = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count() or 1
    limits = [psutil.cpu_count(logical=False), cpu_quota()]
    return max(1, min([allowed, *(limit for limit in limits if limit)]))


def cpu_quota(cgroup: Path = CGROUP, own: Path = OWN_CGROUPS) -> int | None:
    """The cores whose time this process's container or job may take, rounded up; None without a limit.

    `cgroup` and `own` are as for `memory.free_bytes`.
    """
    groups = own_groups(own)
    new = _with_those_above(name for kinds, name in groups if not kinds)
    old = _with_those_above(name for kinds, name in groups if "cpu" in kinds.split(","))
    shares = [_share(cgroup / name / "cpu.max") for name in new]
    shares += [_share(*(cgroup / "cpu" / name / f"cpu.cfs_{part}_us" for part in ("quota", "period"))) for name in old]
    known = [share for share in shares if share is not None]
    return max(1, math.ceil(min(known))) if known else None


def _with_those_above(groups: Iterable[PurePosixPath]) -> set[PurePosixPath]:
    return {PurePosixPath(), *(above for group in groups for above in (group, *group.parents))}


def _share(*files: Path) -> float | None:
    """Cores, from a quota and a period in microseconds; None without a limit."""
    try:
        quota, period = (int(word) for file in files for word in file.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # no such group, or `max`: no limit
        return None
    return quota / period if quota > 0 and period > 0 else None
