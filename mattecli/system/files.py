"""Writes whole files or none, and checks what may be written."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import psutil

from mattecli.errors import InputError

_DAY = 86_400.0
_UNDECODED = re.compile("[\ud800-\udfff]")
_NAME = re.compile(r"\.matte-([0-9a-f]{8})-(\d+)-(?:([0-9a-f]{8})-)?[0-9a-f]{16}\.tmp")  # older names lack the start
_NO_START = "0" * 8  # of a process that could not be asked


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _numbering() -> str:
    """What tells the numbers of processes apart from those in other containers, whose hosts may have one name."""
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - not the name of a file
    except OSError:  # not Linux
        return ""


_HOST_NAME = _short(socket.gethostname())  # in older names
_HOST = _short(socket.gethostname() + _numbering())


def hidden_beside(path: Path) -> Path:
    """A temporary name in the same folder. It holds the machine and the process that write the file."""
    pid = os.getpid()
    return path.with_name(f".matte-{_HOST}-{pid}-{_start_of(pid) or _NO_START}-{secrets.token_hex(8)}.tmp")


def _start_of(pid: int) -> str | None:
    """What tells a process from others that had or will have its number; None where it is not known.

    No clock is compared with another: that of a file's server may be behind.
    """
    try:
        if sys.platform == "linux":
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            return _short(boot + status.rpartition(")")[2].split()[19])  # ticks from the boot to its start
        else:  # noqa: RET505 - after it mypy on Linux would find it unreachable
            return _short(repr(psutil.Process(pid).create_time()))
    except (OSError, IndexError, psutil.Error):
        return None


def sweep(folder: Path) -> int:
    """Remove the temporary files of processes that have ended, and return how many there were.

    Whether a process on another machine still runs is not known; its files are removed when they are a day old.
    """
    removed = 0
    try:
        with os.scandir(folder) as entries:
            left = [entry.path for entry in entries if _left_behind(entry)]
    except OSError:  # a folder that is missing or unreadable holds nothing of ours
        return 0
    for path in left:
        try:
            Path(path).unlink()
            removed += 1
        except OSError:  # removed by another process, or not permitted: the next run tries again
            continue
    return removed


def _left_behind(entry: os.DirEntry[str]) -> bool:
    name = _NAME.fullmatch(entry.name)
    if name is None:
        return False
    host, pid, start = name.groups()
    if host == (_HOST_NAME if start is None else _HOST) and not _runs(int(pid), start):
        return True
    if start is not None and host == _HOST:
        return False
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _DAY
    except OSError:
        return False


def _runs(pid: int, start: str | None) -> bool:
    """Whether that process runs, as far as is known: numbers are reused, in containers at each start."""
    found = _start_of(pid)
    if found is None or start in (None, _NO_START):
        return psutil.pid_exists(pid)
    return found == start


@contextmanager
def whole_file(target: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Open a handle for a new file. It becomes the target when the block ends, and is deleted if the block fails.

    The content is on the disk before the file gets its name. A symbolic link is followed, as in an ordinary write.
    Raises OSError, and FileExistsError if the target exists, or appears meanwhile, and `overwrite` is false.
    """
    path = Path(os.path.realpath(target))
    hidden = hidden_beside(path)
    try:
        with hidden.open("x+b") as handle:  # with the permissions of a new file, by the umask
            yield handle
            handle.flush()
            os.fsync(handle.fileno())  # a crash after the rename must not leave an empty file
        if overwrite:
            _replace(hidden, path)
        else:
            _take_free_name(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)


def _replace(hidden: Path, path: Path) -> None:
    """Windows refuses while another program reads the file, which scanners for viruses do for a moment."""
    end = time.monotonic() + (1.0 if sys.platform == "win32" else 0.0)
    while True:
        try:
            hidden.replace(path)
        except PermissionError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.02)
        else:
            return


def _take_free_name(hidden: Path, path: Path) -> None:
    try:
        os.link(hidden, path)  # unlike a rename, this fails if the target appeared meanwhile
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        _replace(hidden, path)


def is_folder(path: str | Path) -> bool:
    """Whether this is a folder. Path's own raises where a folder above may not be entered, or a name is too long."""
    return os.path.isdir(path)  # noqa: PTH112


def is_there(path: str | Path) -> bool:
    """Whether this file or folder exists; as `is_folder`, it raises nothing."""
    return os.path.exists(path)  # noqa: PTH110


def absence(path: Path) -> str:
    """What is wrong with a file or folder that is not there, as far as can be seen, as the middle of a sentence."""
    there = next((above for above in path.parents if is_folder(above)), None)
    if there is not None and not os.access(there, os.X_OK):
        return f"cannot be reached, because the folder {there} may not be entered"
    return "does not exist"


def check_target(
    target: str | Path, *, overwrite: bool, inputs: Iterable[str | Path] = (), remedy: str = "name another output"
) -> None:
    """Raise `InputError`, before any heavy work, if the file cannot be written.

    Reasons: the name is too long, or that of a folder or a device, of an existing file (unless `overwrite`) or of one
    of `inputs`; or the folder is missing or not writable. `remedy` ends the sentences.
    """
    path = Path(target)
    _check_length(path, remedy)
    if is_folder(path):
        raise InputError(f"{target} is a folder; name a file in it")
    if is_there(path):
        if not os.path.isfile(path):  # noqa: PTH113 - Path's raises
            raise InputError(f"{target} is not a regular file; {remedy}")
        if any(str(other) != "-" and same_file(path, other) for other in inputs):
            raise InputError(f"{target} is an input of this run and is never written to; {remedy}")
        if not overwrite:
            raise InputError(f"{target} exists already; {remedy} or use `overwrite=True`")
    # a symbolic link is followed, even if its file does not exist yet
    folder = Path(os.path.realpath(path)).parent if os.path.islink(path) else path.parent  # noqa: PTH114 - likewise
    if not is_there(folder):
        fact = absence(folder)
        ask = "create it first" if fact == "does not exist" else remedy
        raise InputError(f"{target} cannot be written: the folder {folder} {fact}; {ask}")
    if not is_folder(folder):
        raise InputError(f"{target} cannot be written: {folder} is a file, not a folder; {remedy}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{target} cannot be written: the folder {folder} is not writable; {remedy}")


def _check_length(path: Path, remedy: str) -> None:
    """Raise `InputError` for a name that is too long for its disk; folders of it may be missing."""
    there = next((folder for folder in path.parents if is_folder(folder)), None)
    if there is None:
        return
    for part in path.relative_to(there).parts:
        try:
            (there / part).lstat()
        except ValueError:  # a name that no file can have
            return
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise InputError(f"{path} cannot be written: the name is too long for its disk; {remedy}") from error


def check_new(target: Path, *, inputs: Iterable[str | Path] = ()) -> None:
    """As `check_target` with `overwrite`, for a file whose folder may be still to be made. Makes nothing."""
    remedy = "name another output"
    if is_folder(target.parent):
        check_target(target, overwrite=True, inputs=inputs, remedy=remedy)
        return
    _check_length(target, remedy)
    check_folder(target.parent)


def check_folder(folder: Path) -> None:
    """Raise `InputError` where `make_folder` would. Makes nothing."""
    there = next((above for above in (folder, *folder.parents) if os.path.lexists(above)), folder)
    fact = None
    if not is_folder(there):
        fact = f"{there} is not a folder"
    elif not os.access(there, os.W_OK | os.X_OK):
        fact = f"{there} is not writable"
    if fact is not None:
        fact = fact if there == folder else f"the folder {folder} cannot be created ({fact})"
        raise InputError(f"{fact}; name another folder")


def make_folder(folder: Path) -> None:
    """Make a folder for outputs, with its parents, if it is missing. Raises `InputError` if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be created ({error.strerror}); name another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder} is not writable; name another folder")


def remedy_of(error: OSError) -> str:
    """What to do about a file that could not be written, as the end of a sentence."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "free some space" if full else "check that its disk and its folder can be written"


def unwritable_stdout(error: OSError) -> InputError:
    """What is raised where standard output, which may be a file, cannot be written."""
    remedy = "free some space" if met_full_disk(error) else "check where it goes"
    return InputError(f"standard output cannot be written ({error.strerror or error}); {remedy}")


def met_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, is that of a disk that is full or a quota that is used up."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def content_digest(path: str | Path) -> str:
    """The SHA-256 of a file's content. A file is read again only where the system says that it has changed.

    Raises InputError where it cannot be read.
    """
    stat = stat_of(path)
    # Who copies a file may set its time, but not st_ctime_ns.
    state = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return _content_digest(Path(path).absolute(), state)


@lru_cache(maxsize=4096)
def _content_digest(path: Path, _state: tuple[int, ...]) -> str:
    return sha256_of(path)


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file's content. Raises InputError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def stat_of(path: str | Path) -> os.stat_result:
    """What the system says of a file. Raises InputError where there is none, or it cannot be asked."""
    try:
        return Path(path).stat()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str | Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be read ({error.strerror}); check its name and its permissions")


def as_text(name: str) -> str:
    """A name, or a sentence with one, as text that can be sent: bytes that are not UTF-8 become U+FFFD."""
    return _UNDECODED.sub("\N{REPLACEMENT CHARACTER}", name)


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two names are those of the same file. The files need not exist."""
    try:
        return Path(one).samefile(other)
    except OSError:  # one of them does not exist
        return os.path.realpath(one) == os.path.realpath(other)
