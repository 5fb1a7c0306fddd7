"""Says what a file is: a web page, picture, archive."""

from __future__ import annotations

import codecs
import io
import json
import lzma
import pickletools
import zipfile
import zlib
from pathlib import Path, PurePosixPath

_HEAD = 4096  # bytes that are looked at
_MOST = 2**24  # bytes of JSON or of a pickle that are parsed
_LFS = b"version https://git-lfs.github.com/spec/"

# The first bytes of files that people take for others.
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"BM": "a BMP picture",
    b"II*\x00": "a TIFF picture",
    b"MM\x00*": "a TIFF picture",
    b"8BPS": "a Photoshop picture",
    b"\x76\x2f\x31\x01": "an EXR picture",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"GGUF": "a GGUF file",
}


def is_lfs_pointer(path: Path) -> bool:
    """Whether the file is a pointer of Git LFS, which stands for a file that was not fetched. Raises OSError."""
    return _head(path).startswith(_LFS)


def describe(path: Path) -> str | None:
    """What the file is, such as "a web page"; None for what is not known, so for every checkpoint. Raises OSError."""
    head = _head(path)
    if len(head) < 16:
        return "empty" if not head else f"only {len(head)} byte{'s' * (len(head) > 1)} long"
    if head.startswith(_LFS):
        return "a Git LFS pointer, which stands for a file that was not fetched"
    for start, what in _SIGNATURES.items():
        if head.startswith(start):
            return what
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP picture"
    if head[4:8] == b"ftyp":
        return "a HEIC or AVIF picture" if head[8:12] in (b"heic", b"heix", b"mif1", b"avif") else "a video"
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head.startswith(b"PK\x03\x04"):
        return _zip(path)
    return _text(path, head)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _zip(path: Path) -> str | None:
    """What a zip archive is that PyTorch did not save; None for one that it did, and for a damaged one."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [PurePosixPath(name) for name in archive.namelist()]
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return None
    if any(name.name == "data.pkl" for name in names):
        return "a TorchScript program" if any(name.name == "constants.pkl" for name in names) else None
    weights = [name for name in names if name.suffix in (".pth", ".pt", ".ckpt", ".safetensors", ".onnx")]
    return f"a zip archive that holds {weights[0]}" if weights else "a zip archive of other files"


def _text(path: Path, head: bytes) -> str | None:
    """What a text is; None for other bytes, and for a pickle of the protocol that looks like a text."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "a text file in UTF-16"
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)  # the last character may be cut off
    except UnicodeDecodeError:
        return None
    if not all(letter.isprintable() or letter in "\n\r\t\f" for letter in text) or names_in_pickle(head):
        return None
    words = text.lstrip().lower()
    if "<html" in words or words.startswith(("<!doctype html", "<head", "<body", "<script")):
        return "a web page"
    if words.startswith("<"):
        return "an XML file"
    return "JSON" if _is_json(path, words) else "a text file"


def _is_json(path: Path, words: str) -> bool:
    if not words.startswith(("{", "[")) or path.stat().st_size > _MOST:
        return False
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return True


def pickle_in(path: Path) -> bytes:
    """The start of the pickle in a checkpoint, or of the file where it is not a zip archive.

    Empty where the archive is damaged or has no pickle. Raises OSError.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if PurePosixPath(name).name == "data.pkl"]
            if not names:
                return b""
            with archive.open(names[0]) as file:
                return file.read(_MOST)
    except zipfile.BadZipFile:
        with path.open("rb") as file:
            return file.read(_MOST)
    except (zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError):
        return b""


def names_in_pickle(content: bytes) -> list[str]:
    """The functions and classes that a pickle would look up, as far as it can be followed. Nothing is executed.

    Several pickles may follow each other, as PyTorch once wrote them.
    """
    names: list[str] = []
    texts = ["", ""]
    stream = io.BytesIO(content)
    try:
        while stream.tell() < len(content):
            for operation, argument, _ in pickletools.genops(stream):
                if operation.name in ("GLOBAL", "INST"):
                    texts = str(argument).split(" ", 1)
                elif isinstance(argument, str):
                    texts = [*texts[-1:], argument]
                if operation.name in ("GLOBAL", "INST", "STACK_GLOBAL"):
                    name = ".".join(texts)
                    names += [name] if all(part.isidentifier() for part in name.split(".")) else []  # else it is a text
    except (ValueError, IndexError, OverflowError):  # damaged here, or not a pickle
        pass
    return names
