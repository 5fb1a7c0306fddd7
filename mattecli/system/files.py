"""Files that are whole or not there: what may be written, hidden names, and what a killed process left under them."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import psutil

from mattecli.errors import InputError

_DAY = 86_400.0
_HOST = hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()
_NAME = re.compile(r"\.matte-([0-9a-f]{8})-(\d+)-[0-9a-f]{16}\.tmp")


def hidden_beside(path: Path) -> Path:
    """A name in the same folder for a file that is not finished; it says which process on which machine writes it."""
    return path.with_name(f".matte-{_HOST}-{os.getpid()}-{secrets.token_hex(8)}.tmp")


def sweep(folder: Path) -> int:
    """Remove the temporary files of processes that are gone, and give their number.

    A process of another machine cannot be asked; its files count as left behind when they are a day old.
    """
    removed = 0
    try:
        with os.scandir(folder) as entries:
            left = [entry.path for entry in entries if _left_behind(entry)]
    except OSError:  # no such folder, or not readable: nothing of ours to find
        return 0
    for path in left:
        try:
            Path(path).unlink()
            removed += 1
        except OSError:  # another process was faster, or it may not: the next run tries again
            continue
    return removed


def _left_behind(entry: os.DirEntry[str]) -> bool:
    name = _NAME.fullmatch(entry.name)
    if name is None:
        return False
    try:
        written = entry.stat(follow_symlinks=False).st_mtime
    except OSError:
        return False
    if time.time() - written > _DAY:
        return True
    return name[1] == _HOST and not _runs(int(name[2]), since=written)


def _runs(pid: int, *, since: float) -> bool:
    """Whether that process runs and was there at that time: numbers are given again, in a container at each start."""
    try:
        return psutil.Process(pid).create_time() <= since + 2  # clocks of a process and a file differ a little
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


@contextmanager
def whole_file(target: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A handle whose content replaces the target when the block ends, and disappears when it fails.

    The content is on the disk before the name is. Through a symbolic link its file is written, as a plain write would.
    Raises OSError; FileExistsError where the target is there, or appears meanwhile, without `overwrite`.
    """
    path = Path(os.path.realpath(target))
    hidden = hidden_beside(path)
    try:
        with hidden.open("xb") as handle:  # its permissions are a new file's, by the umask
            yield handle
            handle.flush()
            os.fsync(handle.fileno())  # a machine that dies after the rename must not leave an empty file
        if overwrite:
            hidden.replace(path)
        else:
            _take_free_name(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)


def _take_free_name(hidden: Path, path: Path) -> None:
    try:
        os.link(hidden, path)  # unlike a rename it fails when somebody wrote the target meanwhile
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        hidden.replace(path)


def check_target(
    target: str | Path, *, overwrite: bool, inputs: Iterable[str | Path] = (), remedy: str = "name another output"
) -> None:
    """Raise `InputError`, before any heavy work, for a file that could not be written.

    That is: a folder or a device of that name, a file that exists (unless `overwrite`), one of `inputs`, which is never
    written to, and a missing or locked folder. `remedy` ends the sentences.
    """
    path = Path(target)
    if path.is_dir():
        raise InputError(f"{target} is a folder; name a file in it")
    if path.exists():
        if not path.is_file():
            raise InputError(f"{target} is not a regular file; {remedy}")
        if any(str(other) != "-" and same_file(path, other) for other in inputs):
            raise InputError(f"{target} is an input of this run and is never written to; {remedy}")
        if not overwrite:
            raise InputError(f"{target} exists already; {remedy} or use `overwrite=True`")
    # a symbolic link's file is what will be written, also one that is not there yet
    folder = Path(os.path.realpath(path)).parent if path.is_symlink() else path.parent
    if not folder.exists():
        raise InputError(f"{target} cannot be written: the folder {folder} does not exist; create it first")
    if not folder.is_dir():
        raise InputError(f"{target} cannot be written: {folder} is a file, not a folder; {remedy}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{target} cannot be written: the folder {folder} is not writable; {remedy}")


def make_folder(folder: Path) -> None:
    """Make a folder for outputs, and those above it, where it is not there yet. `InputError` if it cannot serve."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made a folder ({error.strerror}); name another") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder} is not writable; name another folder")


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two names, of files that may not be there yet, lead to one file."""
    try:
        return Path(one).samefile(other)
    except OSError:  # one of them is not there
        return os.path.realpath(one) == os.path.realpath(other)
