"""Decodes files with OpenImageIO in a process that may crash.

A damaged file can make a decoder crash, hang, or take all memory.

One process serves all files, one after the other. It is started when the first such file is read, and again after it
died or was ended. It gets no handle of ours except its pipes, and it ends when this process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import DeviceError
from mattecli.system.threads import thread_count

BAND = 2**24  # bytes that the other process decodes at once, so that it does not hold the picture a second time
PATIENCE = 20.0  # seconds without a decoded row before the process is ended
_START = 120.0  # seconds that the process may take to start on a busy machine
_FILES = 500  # after so many files a new process starts, because decoders leak
_TYPES: dict[str, Any] = {"uint8": np.uint8, "uint16": np.uint16, "float": np.float32}


class DecoderError(Exception):
    """The file could not be decoded; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to decode, and what its header says it holds.

    `source` is a file or its content. `format` and `suffix` choose OpenImageIO's reader. `kind` is uint8, uint16 or
    float; an empty one means any of them with at most `count` channels. `channels` are names (empty: all `count` of
    them), `part` is the number of a part of the file. `zipped` are zlib streams in
    the file, with the bytes that come out of each. With `whole` all rows are decoded at once. `straight` asks for
    colours that are not multiplied by alpha, `raw` for those that are stored. The process may take `memory` bytes.
    """

    source: Path | bytes
    format: str
    suffix: str
    width: int
    height: int
    count: int
    kind: Literal["uint8", "uint16", "float", ""]
    memory: int
    straight: bool = True
    raw: bool = True
    channels: tuple[str, ...] = ()
    part: int = 0
    zipped: tuple[tuple[int, int, int], ...] = ()
    whole: bool = False


@dataclass(frozen=True, eq=False)
class Reply:
    """Pixels (H, W, C) of uint8, uint16 or float32, their channels' names, and the attributes as (type, value)."""

    pixels: NDArray[Any]
    channels: tuple[str, ...]
    alpha: int
    attributes: dict[str, tuple[str, Any]] = field(default_factory=dict)


def decode_apart(request: Request) -> Reply:
    """Decode a file in the other process.

    Raises DecoderError where the file cannot be decoded, and DeviceError where no process can be started.
    """
    return _current().decode(request)


def _current() -> _Child:
    """The process that belongs to this one; a fork of this one must not talk to it, too."""
    global _child
    with _starting:
        if _child is None or _child.owner != os.getpid():
            _child = _Child()
        return _child


class _Child:
    def __init__(self) -> None:
        self.owner = os.getpid()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Any = None  # a socket for file descriptors; None on Windows
        self._folder: str | None = None  # where the process keeps links
        self._files = 0
        atexit.register(self.close)

    def close(self) -> None:
        """End the process."""
        process, channel = self._process, self._channel
        self._process = self._channel = None
        if channel is not None:
            channel.close()
        if process is None or self.owner != os.getpid():
            return
        process.kill()
        folder, self._folder = self._folder, None
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not sent cannot be sent any more
                    pipe.close()
        process.wait()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def decode(self, request: Request) -> Reply:
        with self._lock:
            if self._files >= _FILES or (self._process is not None and self._process.poll() is not None):
                self.close()
            if self._process is None:
                self._start()
            self._files += 1
            try:
                return self._decode(request)
            except BaseException as error:  # Ctrl-C, too: the answer that is still to come belongs to no other file
                if not isinstance(error, DecoderError):
                    self.close()
                raise

    def _start(self) -> None:
        self._files = 0
        if not sys.executable:
            raise DeviceError("this file is decoded in a Python process of its own, and sys.executable names no Python")
        command = [sys.executable, "-P", "-m", "mattecli.imaging.reading.oiio_child"]  # -P: not from the current folder
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_paths())}
        theirs: tuple[int, ...] = ()
        options: dict[str, Any] = {}
        if sys.platform == "win32":
            options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP  # Ctrl-C is for us
        else:
            import socket

            self._channel, other = socket.socketpair()
            theirs = (other.fileno(),)
            options = {"pass_fds": theirs, "start_new_session": True}
            environment["MATTECLI_CHANNEL"] = str(theirs[0])
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a module of ours
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                **options,
            )
        except OSError as error:
            raise DeviceError(
                f"this file is decoded in a process of its own, which cannot be started: {error}"
            ) from error
        finally:
            if theirs:
                other.close()
        try:
            self._folder = self._answer(_START)["ready"]
        except DecoderError as error:
            raise DeviceError(
                "this file is decoded in a process of its own, which does not start; reinstall openimageio"
            ) from error

    def _decode(self, request: Request) -> Reply:
        size = request.width * request.height * request.count * np.dtype(_TYPES[request.kind or "float"]).itemsize
        message: dict[str, Any] = {
            "source": None if isinstance(request.source, bytes) else str(request.source.resolve()),
            "bytes": size,
            "band": BAND,
            "threads": thread_count(),
            "limits": {
                "imagesize_MB": max(1, size * 2 // 2**20 + 64),
                "resolution": max(request.width, request.height),
                "channels": 1024,
            },
            **{name: getattr(request, name) for name in _SENT},
        }
        with contextlib.ExitStack() as held:
            shared, descriptors = _shared(size, message, held)
            if isinstance(request.source, bytes):
                descriptors += _content(request.source, message, held)
            answer = self._ask(message, descriptors, _patience(request))
        dtype, shape = np.dtype(_TYPES[answer["kind"]]), (request.height, request.width, len(answer["channels"]))
        if shape[2] > request.count or (request.kind and (answer["kind"], shape[2]) != (request.kind, request.count)):
            raise DecoderError("its header and its content differ")
        pixels = np.frombuffer(shared, dtype, count=int(np.prod(shape))).reshape(shape)
        attributes = {name: (str(kind), value) for name, (kind, value) in answer["attributes"].items()}
        return Reply(pixels, tuple(answer["channels"]), int(answer["alpha"]), attributes)

    def _ask(self, message: dict[str, Any], descriptors: list[int], patience: float) -> dict[str, Any]:
        requests = cast(BinaryIO, cast("subprocess.Popen[bytes]", self._process).stdin)
        try:
            requests.write(json.dumps(message).encode() + b"\n")
            requests.flush()
            if descriptors:
                import socket

                socket.send_fds(self._channel, [b"m"], descriptors)
        except OSError as error:
            self.close()
            raise DecoderError("its decoder crashed") from error
        answer = self._answer(patience)
        while "rows" in answer:
            answer = self._answer(patience)
        if "error" in answer:
            raise DecoderError(answer["error"])
        return answer

    def _answer(self, patience: float) -> dict[str, Any]:
        """The next line of the process, which is ended if that takes too long."""
        process = cast("subprocess.Popen[bytes]", self._process)
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        watch = threading.Timer(patience, end)
        watch.daemon = True
        watch.start()
        try:
            line = cast(BinaryIO, process.stdout).readline()
        finally:
            watch.cancel()
        if not line.endswith(b"\n"):
            self.close()
            reason = f"decoding made no progress for {patience:.0f} seconds" if late.is_set() else "its decoder crashed"
            raise DecoderError(reason)
        answer: dict[str, Any] = json.loads(line)
        return answer


_SENT = (
    "format",
    "suffix",
    "part",
    "width",
    "height",
    "channels",
    "count",
    "kind",
    "whole",
    "zipped",
    "straight",
    "raw",
    "memory",
)
_starting = threading.Lock()
_child: _Child | None = None


def _paths() -> list[str]:
    """Where the process finds packages: those that are found here, in the same order, and the same mattecli.

    The current folder does not count, because anybody's files may lie there.
    """
    paths = [path for path in sys.path if Path(path).is_absolute()]
    before = (at for at, path in enumerate(paths) if Path(path, "mattecli", "__init__.py").exists())
    paths.insert(next(before, len(paths)), str(Path(__file__).parents[2]))
    return paths


def _patience(request: Request) -> float:
    """Seconds to wait for the next rows: some decoders give none before they have decoded the whole picture."""
    length = len(request.source) if isinstance(request.source, bytes) else request.source.stat().st_size
    return max(PATIENCE, min(request.width * request.height / 10**6, length / 10**5))


def _shared(size: int, message: dict[str, Any], held: contextlib.ExitStack) -> tuple[mmap.mmap, list[int]]:
    """Memory for the other process to write into, and its file descriptor. It is gone when nobody uses it."""
    if sys.platform == "win32":
        message["tag"] = f"mattecli-{os.getpid()}-{os.urandom(8).hex()}"
        return mmap.mmap(-1, size, tagname=message["tag"]), []
    descriptor = _nameless(held)
    os.ftruncate(descriptor, size)
    return mmap.mmap(descriptor, size), [descriptor]


def _content(content: bytes, message: dict[str, Any], held: contextlib.ExitStack) -> list[int]:
    """A file with this content that has no name; on Windows one with a name, which is removed with `held`."""
    if sys.platform == "win32":
        folder = held.enter_context(tempfile.TemporaryDirectory(prefix="mattecli-"))
        message["source"] = str(Path(folder, "content"))
        Path(message["source"]).write_bytes(content)
        return []
    descriptor = _nameless(held)
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return [descriptor]


def _nameless(held: contextlib.ExitStack) -> int:
    """The descriptor of a file that is gone when nobody has it open; closed with `held`."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("mattecli")
    else:
        descriptor, name = tempfile.mkstemp(prefix="mattecli-")
        Path(name).unlink()
    held.callback(os.close, descriptor)
    return descriptor
