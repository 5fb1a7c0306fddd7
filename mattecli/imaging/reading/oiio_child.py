"""The process that decodes files with OpenImageIO: `python -m mattecli.imaging.reading.oiio_child`.

A damaged file can crash a decoder or make it take all memory, so `child.py` starts it in a process of its own. Requests
and replies are JSON, one a line, on standard input and output. Pickles would let a decoder that a file took over run
code in our process. Pixels go into memory that both processes share.
"""

from __future__ import annotations

import base64
import json
import mmap
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_SKIPPED = ("ICCProfile:", "oiio:", "XMP")  # derived, or carried as raw blocks
_TYPES = {"uint8": "uint8", "uint16": "uint16", "half": "float", "float": "float", "double": "float"}


def main() -> None:
    """Serve requests until standard input ends. What was put on the disk for them is removed then, too."""
    folder = Path(tempfile.mkdtemp(prefix="mattecli-"))
    try:
        _serve_all(folder)
    except BrokenPipeError:  # nobody waits for the answer any more
        pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve_all(folder: Path) -> None:
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # decoders print here
    import OpenImageIO as oiio  # noqa: N813 - as its documentation does

    oiio.attribute("try_all_readers", 0)
    oiio.attribute("plugin_searchpath", "")
    _send(replies, {"ready": str(folder)})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            reply = _serve(oiio, request, folder, replies)
        except BrokenPipeError:
            raise
        except MemoryError:
            reply = {"error": "it needs more memory than its header says"}
        except Exception as error:  # whatever a damaged file causes is told in one line
            reply = {"error": " ".join(str(error).split()) or type(error).__name__}
        oiio.geterror()  # what is left would be printed at the end
        _send(replies, reply)


def _send(replies: BinaryIO, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply).encode() + b"\n")


def _serve(oiio: Any, request: dict[str, Any], folder: Path, replies: BinaryIO) -> dict[str, Any]:
    """Decode one file into the shared memory; the reply says what it holds, or why there is nothing."""
    descriptors = _descriptors()  # received first: what an error left would be taken for the next file's
    try:
        _limit_memory(None)  # the last file's limit might not allow this file's memory
        with _memory(request, descriptors) as shared:
            _limit_memory(request["memory"])
            return _read(oiio, request, _link(request, descriptors, folder), shared, replies)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _link(request: dict[str, Any], descriptors: list[int], folder: Path) -> str:
    """The file under a name that chooses OpenImageIO's reader and that it cannot take for one of its own commands."""
    link = folder / f"picture.{request['suffix']}"
    link.unlink(missing_ok=True)
    source = request["source"] or f"/proc/self/fd/{descriptors[1]}"
    if not request["source"] and sys.platform != "linux":  # elsewhere all opens of /dev/fd/N share one position
        with open(descriptors[1], "rb", closefd=False) as held, link.open("wb") as copy:
            held.seek(0)
            shutil.copyfileobj(held, copy)
        return str(link)
    try:
        link.symlink_to(source)
    except OSError:  # Windows allows links to few users
        shutil.copyfile(source, link)
    return str(link)


def _read(oiio: Any, request: dict[str, Any], path: str, shared: mmap.mmap, replies: BinaryIO) -> dict[str, Any]:
    for name in ("threads", "exr_threads"):
        oiio.attribute(name, request["threads"])
    if not _whole_streams(path, request["zipped"], replies, threads=request["threads"]):
        return {"error": "its compressed data is damaged"}
    for name, value in request["limits"].items():
        oiio.attribute(f"limits:{name}", value)
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", int(request["straight"]))  # otherwise colours under alpha 0 are lost
    # otherwise CMYK goes through a formula that ignores its profile
    config.attribute("oiio:RawColor", int(request["raw"]))
    # `ImageInput.open` takes the reader from the name, which is ours. The method of the same name that
    # a created reader should have does not exist in Python.
    picture = oiio.ImageInput.open(path, config)
    if picture is None:
        return {"error": " ".join(oiio.geterror().split())}
    if picture.format_name() != request["format"]:
        return {"error": f"it was opened as {picture.format_name()}"}
    if request["part"] and not picture.seek_subimage(request["part"], 0):
        return {"error": " ".join(picture.geterror().split())}
    spec = picture.spec()
    if (spec.width, spec.height, spec.depth) != (request["width"], request["height"], 1) or spec.deep:
        return {"error": f"its header says other sizes than its content, {spec.width}×{spec.height}×{spec.depth}"}
    kind = _TYPES.get(str(spec.format))
    if kind is None:
        return {"error": f"its values are of type {spec.format}"}
    names = list(spec.channelnames)
    chosen = [names.index(name) for name in request["channels"]] or list(range(len(names)))
    most, wanted = request["count"], request["kind"]
    if (wanted and (kind, len(chosen)) != (wanted, most)) or len(chosen) > most:
        return {"error": f"its header says {most} channels of {wanted}, and it holds {len(chosen)} of {kind}"}
    if (
        problem := _decode(
            oiio, picture, chosen, kind, shared, replies, band=0 if request["whole"] else request["band"]
        )
    ) is not None:
        return {"error": " ".join(problem.split())}
    found = {"channels": [names[at] for at in chosen], "kind": kind, "alpha": spec.alpha_channel}
    return {**found, "attributes": _attributes(spec)}


def _decode(
    oiio: Any,
    picture: Any,
    chosen: list[int],
    kind: str,
    shared: mmap.mmap,
    replies: BinaryIO,
    *,
    band: int,
) -> str | None:
    """Fill the shared memory band by band. Returns the error; None once every row is decoded."""
    import numpy as np

    types = {"uint8": (oiio.UINT8, np.uint8), "uint16": (oiio.UINT16, np.uint16), "float": (oiio.FLOAT, np.float32)}
    wanted, dtype = types[kind]
    spec = picture.spec()
    shape = (spec.height, spec.width, len(chosen))
    target = np.frombuffer(shared, dtype, count=int(np.prod(shape))).reshape(shape)
    first, last = min(chosen), max(chosen) + 1
    columns = [at - first for at in chosen]
    try:
        for top, bottom in _bands(spec, size=band):
            rows = (spec.y + top, spec.y + bottom)
            if spec.tile_width:
                found = picture.read_tiles(spec.x, spec.x + spec.width, *rows, 0, 1, first, last, wanted)
            else:
                found = picture.read_scanlines(*rows, 0, first, last, wanted)
            if found is None or picture.has_error:
                return picture.geterror() or "rows are missing"
            found = found.reshape(bottom - top, spec.width, last - first)
            target[top:bottom] = found if columns == list(range(last - first)) else found[..., columns]
            del found
            _send(replies, {"rows": bottom})
    finally:
        del target  # the memory cannot be closed while an array looks at it
    return None


def _whole_streams(path: str, streams: list[tuple[int, int, int]], replies: BinaryIO, *, threads: int) -> bool:
    """Whether all zlib streams of a TIFF are whole, by their check sums, and hold what their rows need.

    OpenImageIO 3.2.2 reports no error of such a stream, and leaves the memory of the missing rows unfilled.
    """
    import concurrent.futures
    import zlib

    def whole(stream: tuple[int, int, int]) -> bool:
        at, left, wanted = stream
        inflating, found = zlib.decompressobj(), 0
        with open(path, "rb") as file:  # noqa: PTH123 - a file for each thread
            file.seek(at)
            while not inflating.eof:
                content = inflating.unconsumed_tail
                if not content:
                    content = file.read(min(left, 2**18))
                    left -= len(content)
                if not content:
                    return False
                try:
                    found += len(inflating.decompress(content, 2**20))
                except zlib.error:
                    return False
                if found > wanted + 2**20:  # far more than its rows need
                    return False
        return found >= wanted

    if not streams:
        return True
    with concurrent.futures.ThreadPoolExecutor(min(4, threads)) as pool:
        for number, good in enumerate(pool.map(whole, streams)):
            if not good:
                pool.shutdown(cancel_futures=True)
                return False
            if number % 64 == 0:
                _send(replies, {"rows": 0})
    return True


def _bands(spec: Any, *, size: int) -> Iterator[tuple[int, int]]:
    """Rows from and to, at the borders of strips and tiles, about `size` bytes each; all at once for 0."""
    step = spec.tile_height or max(1, spec.get_int_attribute("oiio:RowsPerChunk", 1))
    row = max(1, spec.width * spec.nchannels * spec.channel_bytes())
    rows = max(1, size // (row * step)) * step if size else spec.height
    for top in range(0, spec.height, rows):
        yield top, min(top + rows, spec.height)


def _descriptors() -> list[int]:
    """What the parent sent beside the request: the shared memory, and the file where it is in memory."""
    if sys.platform == "win32":
        return []
    import socket

    with socket.socket(fileno=os.dup(int(os.environ["MATTECLI_CHANNEL"]))) as channel:
        return list(socket.recv_fds(channel, 1, 2)[1])


def _memory(request: dict[str, Any], descriptors: list[int]) -> mmap.mmap:
    """The shared memory: by name on Windows, elsewhere by its file descriptor."""
    if sys.platform == "win32":
        return mmap.mmap(-1, request["bytes"], tagname=request["tag"])
    return mmap.mmap(descriptors[0], request["bytes"])


def _limit_memory(more: int | None) -> None:
    """Let this process map at most so many bytes more than now, or any (None). Only Linux can say how many it maps."""
    if sys.platform != "linux":
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if more is None:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        return
    with open("/proc/self/statm", encoding="ascii") as status:  # noqa: PTH123 - no need for pathlib here
        mapped = int(status.read().split()[0]) * mmap.PAGESIZE
    limit = mapped + more if hard == resource.RLIM_INFINITY else min(mapped + more, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _attributes(spec: Any) -> dict[str, Any]:
    """The attributes as (type, value), as JSON can hold them; the profile as base64."""
    found: dict[str, Any] = {}
    for attribute in spec.extra_attribs:
        name, value = attribute.name, attribute.value
        if name == "ICCProfile":
            found[name] = ["bytes", base64.b64encode(bytes(value)).decode()]
        elif not name.startswith(_SKIPPED) or name in ("oiio:ColorSpace", "oiio:BitsPerSample"):
            value = value.tolist() if hasattr(value, "tolist") else list(value) if isinstance(value, tuple) else value
            if isinstance(value, (int, float, str, list)):
                found[name] = [str(attribute.type), value]
    return found


if __name__ == "__main__":
    main()
