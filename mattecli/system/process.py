"""What is set up in a process that is ours, and in no other: a library is a guest and changes nothing in its host."""

from __future__ import annotations

import ctypes
import logging
import os
import sys

_OPENCV = {
    "OPENCV_LOG_LEVEL": "SILENT",  # it prints lines of its own C++ code beside our one sentence
    "OPENCV_IO_ENABLE_OPENEXR": "1",
}
_ours = False


def prepare_process() -> None:
    """Set this process up as one of ours: for the command line, its workers and benchmarks, before they do anything.

    OpenCV and tifffile print nothing of their own, OpenCV reads and writes OpenEXR where its build can, Pillow reads
    pictures of more than 89 megapixels, and memory that a network frees is kept for its next maps. Variables of
    OpenCV's that are set in the environment stay as they are.
    """
    global _ours
    if _ours:
        return
    _ours = True
    chosen = "OPENCV_LOG_LEVEL" in os.environ
    for name, value in _OPENCV.items():
        os.environ.setdefault(name, value)
    if not chosen and (cv2 := sys.modules.get("cv2")) is not None:  # loaded already, so it has read its variables
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    logging.getLogger("tifffile").addHandler(logging.NullHandler())


def is_ours() -> bool:
    """Whether `prepare_process` was called here."""
    return _ours


def keep_freed_memory() -> None:
    """Let the C library keep what is freed instead of giving it back to the system; only in a process that is ours.

    A network frees and asks for the same large maps over and over; given back, each page of them must be fetched and
    zeroed anew, which can take longer than the arithmetic. Only glibc hands back so eagerly, and only there is anything
    done.
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
