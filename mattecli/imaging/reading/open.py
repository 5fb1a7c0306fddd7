"""Opens picture files, pipes and bytes, and translates errors."""

from __future__ import annotations

import io
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import PIL.Image

from mattecli.errors import InputError, MatteError
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.reading.formats import HEAD, describe_other
from mattecli.imaging.reading.limits import DEFAULT, too_large
from mattecli.system.files import is_folder

Source = str | Path | bytes  # the name of a file, "-" for standard input, or the content of a file


def label(source: Source) -> str:
    """The name of this source in messages."""
    if isinstance(source, bytes):
        return "the picture in memory"
    return "standard input" if str(source) == "-" else str(source)


def is_pipe(source: Source) -> bool:
    """Whether this can be read only once: standard input, a shell's `<(…)`, a named pipe."""
    if not isinstance(source, (str, Path)) or str(source) == "-":
        return isinstance(source, (str, Path))
    try:
        return stat.S_ISFIFO(Path(source).stat().st_mode)
    except (OSError, ValueError):  # opening it says what is wrong
        return False


@contextmanager
def opened(source: Source, name: str | None = None) -> Iterator[tuple[BinaryIO, bytes]]:
    """A seekable handle at its start, and the bytes that tell its format. `name` stands in messages."""
    _check_source(source)
    name = name or label(source)
    if isinstance(source, bytes):
        handle: BinaryIO = io.BytesIO(source)
    else:
        handle = _stdin() if str(source) == "-" else _file(Path(source), name)
    with handle:
        with _read_errors(name):
            if not handle.seekable():  # a pipe: <(…) in a shell, a FIFO
                handle = io.BytesIO(handle.read())
            head = handle.read(HEAD)
        if not head:
            remedy = "pipe an image into it" if label(source) == "standard input" else "export or copy it again"
            raise InputError(f"{name} is empty (0 bytes); {remedy}")
        handle.seek(0)
        yield handle, head


def _check_source(source: object) -> None:
    if not isinstance(source, (str, Path, bytes)):
        raise InputError(f"a {type(source).__name__} is not a file; give the name of a file, or its bytes")


def _stdin() -> BinaryIO:
    if sys.stdin.isatty():
        raise InputError("- reads an image from standard input, but that is a terminal; pipe an image into it")
    with _read_errors("standard input"):
        return io.BytesIO(sys.stdin.buffer.read())


@contextmanager
def _read_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{name} cannot be read ({reason}); check its disk, or copy it again") from error


def check_source(source: str) -> None:
    """Raise InputError for a file that is not there, and for a folder. Nothing is opened: a pipe stays whole."""
    if source != "-":
        with _opening(Path(source), source):
            Path(source).stat()


def _file(path: Path, name: str) -> BinaryIO:
    with _opening(path, name):
        return path.open("rb")


@contextmanager
def _opening(path: Path, name: str) -> Iterator[None]:
    if is_folder(path):
        raise InputError(f"{name} is a folder; name an image file in it")
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{name} does not exist; check its name and folder") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name} cannot be opened ({reason}); check its name and its permissions") from error


@contextmanager
def translated(name: str, options: ReadOptions = DEFAULT) -> Iterator[None]:
    """Turn any exception of a decoder into an `InputError` of one sentence."""
    try:
        yield
    except (MatteError, MemoryError):
        raise
    except PIL.UnidentifiedImageError as error:
        raise InputError(f"{name} is truncated or damaged; export or copy it again") from error
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:  # a warning made an error
        raise too_large(name, options) from error
    except Exception as error:  # damaged files make decoders raise all kinds of exceptions
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name} is truncated or damaged ({reason}); export or copy it again") from error


def not_read(name: str, head: bytes) -> InputError:
    """What is raised for a file that is of no format that is read here."""
    what = describe_other(head)
    if what is not None:
        return InputError(f"{name} is {what}")
    return InputError(f"{name} is not an image that can be read; use PNG, JPEG, WebP, TIFF, BMP, AVIF or OpenEXR")
