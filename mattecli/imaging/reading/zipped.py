"""Inflates the zlib-compressed strips and tiles of a TIFF.

Sources: TIFF 6.0, section 14; Adobe Photoshop TIFF Technical Notes; TIFF Technical Note 3 for floats.

OpenImageIO 3.2.2 reports no error of a damaged stream, and leaves the memory of the missing rows unfilled. So each
stream is inflated here once, in pieces, up to its check sum, and every row of the result comes from it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from mattecli.system.threads import thread_count

_NONE, _HORIZONTAL, _FLOATING = 1, 2, 3  # predictors
_PIECE = 2**20  # bytes that are inflated at once
_READ = 2**18  # bytes that are read at once
_BEYOND = 2**20  # bytes that a stream may hold beyond its rows
_MOST_THREADS = 4

Stream = tuple[int, int, int]  # offset, length, and the bytes that come out


@dataclass(frozen=True)
class Zipped:
    """The streams of a picture of `width` × `height` pixels with `samples` channels of the NumPy type `kind`.

    Each stream is a strip or tile of `across` × `down` pixels: all channels of a pixel side by side, or with `planes` a
    stream for each channel. `predictor` is that of TIFF.
    """

    width: int
    height: int
    samples: int
    kind: str
    across: int
    down: int
    predictor: int
    planes: bool
    streams: tuple[Stream, ...]


def can_unzip(kind: str, predictor: int) -> bool:
    """Whether values of this NumPy type are read here with this predictor."""
    floating = np.dtype(kind).kind == "f"
    return predictor == _NONE or predictor == (_FLOATING if floating else _HORIZONTAL)


def unzip(handle: BinaryIO, zipped: Zipped) -> NDArray[Any]:
    """All pixels (H, W, C), as uint8, uint16 or float32. Raises ValueError where a stream is damaged."""
    kind = np.dtype(zipped.kind)
    dtype = np.dtype(np.float32) if kind.kind == "f" else kind.newbyteorder("=")
    result = np.empty((zipped.height, zipped.width, zipped.samples), dtype)
    reading = threading.Lock()

    def fill(number: int) -> None:
        channels, top, left = _place(zipped, number)
        target = result[top : top + zipped.down, left : left + zipped.across, channels]
        row = 0
        for rows in _rows(_pieces(handle, reading, zipped.streams[number]), zipped, high=len(target)):
            target[row : row + len(rows)] = rows[:, : target.shape[1]]
            row += len(rows)
        if row < len(target):
            raise ValueError("its compressed data is damaged")

    pool = ThreadPoolExecutor(min(_MOST_THREADS, thread_count()))
    with contextlib.closing(_Cancelled(pool)):
        for _ in pool.map(fill, range(len(zipped.streams))):
            pass
    return result


class _Cancelled:
    """Ends the threads of a pool without what they have not begun yet."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _place(zipped: Zipped, number: int) -> tuple[slice, int, int]:
    """The channels of a stream, and the row and column where it begins."""
    per_row = -(-zipped.width // zipped.across)
    each = per_row * -(-zipped.height // zipped.down)
    channel, at = divmod(number, each) if zipped.planes else (0, number)
    channels = slice(channel, channel + 1) if zipped.planes else slice(None)
    return channels, at // per_row * zipped.down, at % per_row * zipped.across


def _pieces(handle: BinaryIO, reading: threading.Lock, stream: Stream) -> Iterator[bytes]:
    """What a stream holds, in pieces. Raises ValueError where it is damaged, or holds far more than its rows need."""
    at, left, wanted = stream
    inflating, found = isal_zlib.decompressobj(), 0
    while not inflating.eof:
        content = inflating.unconsumed_tail
        if not content:
            with reading:
                handle.seek(at)
                content = handle.read(min(left, _READ))
            at += len(content)
            left -= len(content)
        try:
            piece = inflating.decompress(content, _PIECE) if content else b""
        except isal_zlib.error as error:  # type: ignore[misc]  # its stub says only "object"
            raise ValueError("its compressed data is damaged") from error
        found += len(piece)
        if not content or found > wanted + _BEYOND:
            raise ValueError("its compressed data is damaged")
        yield piece


def _rows(pieces: Iterator[bytes], zipped: Zipped, *, high: int) -> Iterator[NDArray[Any]]:
    """The rows of a stream, (h, across, C), as soon as they are inflated; at most `high` of them."""
    kind = np.dtype(zipped.kind)
    channels = 1 if zipped.planes else zipped.samples
    length = zipped.across * channels * kind.itemsize
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        count = min(len(waiting) // length, high)
        if count:
            whole = bytes(waiting[: count * length])
            del waiting[: count * length]
            high -= count
            yield _predicted(whole, count, zipped, channels)


def _predicted(content: bytes, count: int, zipped: Zipped, channels: int) -> NDArray[Any]:
    """Rows (count, across, channels) with the predictor undone, as native numbers."""
    kind = np.dtype(zipped.kind)
    shape = (count, zipped.across, channels)
    if zipped.predictor == _FLOATING:  # bytes of all values, the highest first, as differences
        flat = np.frombuffer(content, np.uint8).reshape(count, -1, channels)
        flat = np.add.accumulate(flat, axis=1, dtype=np.uint8).reshape(count, kind.itemsize, -1)
        return np.ascontiguousarray(flat.transpose(0, 2, 1)).view(kind.newbyteorder(">")).reshape(shape)
    values = np.frombuffer(content, kind).reshape(shape)
    if zipped.predictor == _HORIZONTAL:
        values = np.add.accumulate(values, axis=1, dtype=kind.newbyteorder("="))
    return values
