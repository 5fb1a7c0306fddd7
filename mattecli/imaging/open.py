"""Opens picture files, pipes and bytes; limits sizes and translates errors."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import PIL.Image

from mattecli.errors import DeviceError, InputError, MatteError
from mattecli.system import memory, process

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

LARGEST = 2**30  # pixels; OpenCV has the same limit

_HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")

Source = str | Path | bytes  # the name of a file, "-" for standard input, or the content of a file


def label(source: Source) -> str:
    """The name of this source in messages."""
    if isinstance(source, bytes):
        return "the picture in memory"
    return "standard input" if str(source) == "-" else str(source)


def is_pipe(source: Source) -> bool:
    """Whether this can be read only once: standard input, a shell's `<(…)`, a named pipe."""
    return isinstance(source, (str, Path)) and (str(source) == "-" or Path(source).is_fifo())


@contextmanager
def opened(source: Source) -> Iterator[tuple[BinaryIO, bytes]]:
    """A seekable handle at its start, and the file's first 32 bytes."""
    _check_source(source)
    if isinstance(source, bytes):
        handle: BinaryIO = io.BytesIO(source)
    else:
        handle = _stdin() if str(source) == "-" else _file(Path(source))
    with handle:
        if not handle.seekable():  # a pipe: <(…) in a shell, a FIFO
            handle = io.BytesIO(handle.read())
        head = handle.read(32)
        if not head:
            remedy = "pipe an image into it" if label(source) == "standard input" else "export or copy it again"
            raise InputError(f"{label(source)} is empty (0 bytes); {remedy}")
        handle.seek(0)
        yield handle, head


def _check_source(source: object) -> None:
    if not isinstance(source, (str, Path, bytes)):
        raise InputError(f"a {type(source).__name__} is not a file; give the name of a file, or its bytes")


def _stdin() -> BinaryIO:
    if sys.stdin.isatty():
        raise InputError("- reads an image from standard input, but that is a terminal; pipe an image into it")
    return io.BytesIO(sys.stdin.buffer.read())


def _file(path: Path) -> BinaryIO:
    if path.is_dir():
        raise InputError(f"{path} is a folder; name an image file in it")
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check its name and folder") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be opened ({reason}); check its name and its permissions") from error


@contextmanager
def translated(source: Source) -> Iterator[None]:
    """Turn any exception of a decoder into an `InputError` of one sentence."""
    try:
        yield
    except (MatteError, MemoryError):
        raise
    except PIL.UnidentifiedImageError as error:
        raise InputError(
            f"{label(source)} is not an image that can be read; use PNG, JPEG, WebP, TIFF, BMP or AVIF"
        ) from error
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:  # a warning made an error
        raise _too_large(source) from error
    except Exception as error:  # damaged files make decoders raise all kinds of exceptions
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{label(source)} is truncated or damaged ({reason}); export or copy it again") from error


def open_pillow(handle: BinaryIO, head: bytes, source: Source) -> ImageFile:
    """The picture, not decoded yet. Raises InputError for too many pixels, and for HEIC without its plug-in."""
    heic = head[4:8] == b"ftyp" and head[8:12] in _HEIC
    _most_pixels()  # before Pillow compares with it
    picture = _open_heic(handle, source) if heic else PIL.Image.open(handle)
    check_pixels(picture.width, picture.height, source)
    return picture


def _open_heic(handle: BinaryIO, source: Source) -> ImageFile:
    """A HEIC picture, by Pillow's plug-in, which is not registered: that would change what Pillow opens elsewhere."""
    try:
        import pillow_heif  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise InputError(
            f"{label(source)} is HEIC, which Pillow reads by a plug-in only; pip install pillow-heif or save it as JPEG"
        ) from error
    picture: ImageFile = pillow_heif.HeifImageFile(handle)
    return picture


def check_pixels(width: int, height: int, source: Source) -> None:
    """Raise `InputError` for a picture of more pixels than are read here."""
    if width * height > _most_pixels():
        raise _too_large(source)


def _most_pixels() -> int:
    """How many pixels are read: as many as Pillow's limit allows, which is raised only in a process that is ours."""
    allowed = PIL.Image.MAX_IMAGE_PIXELS
    if allowed is not None and process.is_ours():
        allowed = PIL.Image.MAX_IMAGE_PIXELS = max(allowed, LARGEST)
    return LARGEST if allowed is None else min(allowed, LARGEST)


def _too_large(source: Source) -> InputError:
    most = _most_pixels()
    remedy = "cut it into parts" if most == LARGEST else "raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file"
    return InputError(f"{label(source)} has more than {most} pixels; {remedy}")


def check_room(width: int, height: int, pixel_bytes: int, source: Source) -> None:
    """Raise `DeviceError` for a picture that does not fit twice into the free memory, as decoders need it.

    Otherwise the system could kill the process, which nothing can catch.
    """
    needed, free = 2 * width * height * pixel_bytes, memory.free_bytes()
    if needed > free:
        raise DeviceError(
            f"{label(source)} has {width}×{height} pixels; reading it takes about {memory.show_bytes(needed)}, but "
            f"only {memory.show_bytes(free)} are free; free memory or use a machine with more"
        )
