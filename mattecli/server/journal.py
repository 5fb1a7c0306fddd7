"""The crash journal of a painted photo: what each operation did.

The file begins with a line of its own, then come records: length and CRC-32 of the payload, 4 bytes each, and the
payload. The first record holds facts of the photo, each other one an operation. Records are only added. They hold
results and not recipes, so a later version does not replay them differently.

An operation is acknowledged after its record was written and synced with `fsync`. So a killed process loses no
acknowledged operation, and neither does a machine that loses power, as far as its disk keeps what it has synced. A
record that was cut off is not acknowledged; it is removed when the journal is opened again.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mattecli.errors import InputError
from mattecli.server.operation import Operation
from mattecli.system.files import remedy_of

_FIRST = b"mattecli labels 1\n"
_FRAME = struct.Struct("<II")  # length and CRC-32 of the payload


class Journal:
    """The journal at `path`, which is made if it is missing. Only one process may have it open.

    `facts` are what tells the photo from others, as JSON holds them. `operations` are those of an earlier process, and
    are read once, before `append`. Raises `InputError` for a file that is not a journal, that belongs to another photo,
    or that cannot be read or written.
    """

    def __init__(self, path: Path, *, facts: dict[str, Any]) -> None:
        self.path = path
        self.dropped = 0  # bytes after the last whole record, which `operations` removes
        try:
            self._file: IO[bytes] = path.open("r+b" if path.exists() else "x+b", buffering=0)
            try:
                self._end = self._begun(facts)
            except BaseException:
                self._file.close()
                raise
        except OSError as error:
            raise InputError(f"the journal {path} cannot be opened ({error.strerror}); name another folder") from error

    def operations(self) -> Iterator[Operation]:
        """The acknowledged operations in their order. What was cut off after them is removed.

        Where a record in the middle is damaged, the operations before it are given, and a copy of the whole file is
        kept beside it, as `….damaged`.
        """
        try:
            while (payload := self._payload(self._end)) is not None:
                yield Operation.from_bytes(payload)
                self._end += _FRAME.size + len(payload)
            self.dropped = self._file.seek(0, os.SEEK_END) - self._end
            if self._damaged():
                shutil.copyfile(self.path, self.path.with_name(f"{self.path.name}.damaged"))
            self._file.truncate(self._end)
        except OSError as error:
            raise InputError(f"the journal {self.path} cannot be read ({error.strerror}); check its disk") from error

    def append(self, operation: Operation) -> None:
        """Write an operation to the disk. Raises `InputError`, and leaves the file as it was, where that fails."""
        try:
            self._write(_framed(operation.to_bytes()))
        except OSError as error:
            raise InputError(
                f"the journal {self.path} cannot be written ({error.strerror}), so nothing was painted; "
                f"{remedy_of(error)}"
            ) from error

    def close(self) -> None:
        """Close the file, and leave it for the next time."""
        self._file.close()

    def remove(self) -> None:
        """Close and delete the file, when what was painted is saved or given up."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _begun(self, facts: dict[str, Any]) -> int:
        """Where the operations begin. A file that was cut off before that is begun anew."""
        wanted = json.loads(json.dumps(facts))
        self._end = 0
        head = self._file.read(len(_FIRST))
        if not _FIRST.startswith(head):
            raise InputError(f"{self.path} is not a journal of labels; name another file")
        payload = self._payload(len(_FIRST)) if head == _FIRST else None
        if payload is None:
            if self._file.seek(0, os.SEEK_END) > len(_FIRST) + len(_framed(json.dumps(wanted).encode())):
                raise InputError(f"the journal {self.path} is damaged; move it away, or delete it and paint anew")
            self._file.truncate(0)
            self._write(_FIRST + _framed(json.dumps(wanted).encode()))
            _sync_folder(self.path.parent)
            return self._end
        if json.loads(payload) != wanted:
            raise InputError(
                f"the journal {self.path} belongs to another photo, or it changed; delete it to paint anew"
            )
        return len(_FIRST) + _FRAME.size + len(payload)

    def _payload(self, start: int) -> bytes | None:
        """The payload of the record that starts there; None where there is no whole one."""
        self._file.seek(start)
        frame = _read(self._file, _FRAME.size)
        if len(frame) < _FRAME.size:
            return None
        length, checksum = _FRAME.unpack(frame)
        left = os.fstat(self._file.fileno()).st_size - self._file.tell()
        if not 0 < length <= left:  # a length of 0 is what a lost machine leaves of a record: zeros
            return None
        payload = _read(self._file, length)
        return payload if zlib.crc32(payload) == checksum else None

    def _damaged(self) -> bool:
        """Whether the bad record at the end of the good ones is whole and followed by others: it was not cut off."""
        self._file.seek(self._end)
        frame = _read(self._file, _FRAME.size)
        return len(frame) == _FRAME.size and 0 < _FRAME.unpack(frame)[0] < self.dropped - _FRAME.size

    def _write(self, data: bytes) -> None:
        try:
            self._file.seek(self._end)
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self._end)
            raise
        self._end += len(data)


def _framed(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def _read(file: IO[bytes], length: int) -> bytes:
    """That many bytes, or fewer at the end of the file."""
    parts = []
    while length > 0 and (part := file.read(length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file survive a crash of the machine, where the system can do that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
