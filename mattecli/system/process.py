"""Sets up a process of our own, never a host's."""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mattecli.errors import DeviceError

_OPENCV = "OPENCV_LOG_LEVEL"  # OpenCV prints messages of its own beside our sentence
# Turns that a waiting thread of GNU's OpenMP spins before it sleeps. With its own 300,000 it takes a core from the
# thread that it waits for when other programs run too (see benchmarks/speed.md).
_SPINS = "5000"
_ours = False


def prepare_process() -> None:
    """Set this process up as our own. The command line, its workers and benchmarks call it before anything else.

    Effects: OpenCV, Pillow and tifffile print no messages. Pillow reads pictures of more than 89 megapixels. Memory
    that a network frees is kept for its next maps. Threads of PyTorch that wait soon sleep, if PyTorch is not loaded
    yet. The process does not look for garbage when it ends. Variables that are already set in the environment do not
    change.
    """
    global _ours
    if _ours:
        return
    _ours = True
    chosen = _OPENCV in os.environ
    os.environ.setdefault(_OPENCV, "SILENT")
    if "OMP_WAIT_POLICY" not in os.environ:  # which would say the same in other words
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    if not chosen and (cv2 := sys.modules.get("cv2")) is not None:  # loaded already, so it has read its variables
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    atexit.register(_keep_garbage)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # they are of damaged metadata
    logging.getLogger("tifffile").addHandler(logging.NullHandler())


def open_missing_streams() -> None:
    """Open `os.devnull` in place of standard input, output and error where the process was started without them.

    Python has None there, and the next file that is opened would get their number, and with it the messages. What is
    written to such an output raises OSError, because results would be lost; messages are dropped.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free number, that of the stream.
            taken = os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_RDWR)
            if taken <= 2:
                os.set_inheritable(taken, True)  # for programs that are started
            setattr(sys, name, open(taken, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def empty_stdout() -> None:
    """Drop what standard output still holds and cannot be written, which Python would try again at its end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
            sys.stdout.flush()


def _keep_garbage() -> None:
    """Let Python not look for garbage when it ends: all memory goes back to the system anyway."""
    if "OpenImageIO" not in sys.modules:  # its bindings report what is left over
        gc.freeze()


def is_ours() -> bool:
    """Whether `prepare_process` was called here."""
    return _ours


@contextmanager
def large_import() -> Iterator[None]:
    """Around the import of a large package: collect no garbage meanwhile, only in a process of our own.

    An import makes many objects that stay, so looking for garbage among them again and again finds nothing.
    """
    pauses = _ours and gc.isenabled()
    if pauses:
        gc.disable()
    try:
        yield
    finally:
        if pauses:
            gc.enable()


def load_package(package: str, *, remedy: str = "install it again") -> None:
    """Import a large package that is installed. Raises DeviceError, whose end is `remedy`, if it does not load."""
    try:
        with large_import():
            importlib.import_module(package)
    except (ImportError, OSError) as error:  # OSError: a shared library is missing
        raise DeviceError(f"{package} is installed but does not load ({error}); {remedy}") from error


def keep_freed_memory() -> None:
    """Make the C library keep freed memory instead of returning it to the system; only in a process of our own.

    A network frees and allocates the same large maps again and again. Each page that was returned must be fetched and
    zeroed again, which can take longer than the arithmetic. Only glibc returns memory so early, so only glibc is set.
    """
    if not _ours or sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h
    mallopt(trim_threshold, -1)  # never
    mallopt(mmap_max, 0)
