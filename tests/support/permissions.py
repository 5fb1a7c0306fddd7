"""Files and folders without permissions, for whom permissions do not bind too: the super-user, and other systems."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

BOUND = hasattr(os, "geteuid") and os.geteuid() != 0


def lock(path: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a file or folder these permissions; where they do not bind, calls fail as they would for its owner."""
    path.chmod(mode)
    if BOUND:
        return
    open_, stat, access = Path.open, Path.stat, os.access

    def closed(wanted: Path) -> bool:
        return path in wanted.parents and not mode & 0o100

    def denied(wanted: Path) -> PermissionError:
        return PermissionError(errno.EACCES, "Permission denied", str(wanted))

    def locked_open(self: Path, *given: Any, **options: Any) -> Any:
        if closed(self) or (self == path and not mode & 0o400):
            raise denied(self)
        return open_(self, *given, **options)

    def locked_stat(self: Path, **options: Any) -> os.stat_result:
        if closed(self):
            raise denied(self)
        return stat(self, **options)

    def locked_access(wanted: Any, asked: int, **options: Any) -> bool:
        if Path(wanted) == path:
            return mode >> 6 & asked == asked
        return access(wanted, asked, **options)

    monkeypatch.setattr(Path, "open", locked_open)
    monkeypatch.setattr(Path, "stat", locked_stat)
    monkeypatch.setattr(os, "access", locked_access)
