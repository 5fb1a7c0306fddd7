"""Writes OpenEXR and JPEG XL by OpenImageIO."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import OpenImageIO as oiio  # noqa: N813 - its own examples call it so
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.colour import chromaticities
from mattecli.imaging.exif_facts import attributes_of
from mattecli.imaging.reading.boxes import boxes
from mattecli.imaging.reading.header import file_size

if TYPE_CHECKING:
    from mattecli.imaging.image import Image
    from mattecli.imaging.options import WriteOptions

_LARGEST_HALF = 65504.0
_ROWS = 256
_CHANNELS = {1: ("Y",), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}
# Attributes that this writer decides, or that describe other pixels.
_OWN = frozenset(
    ["ResolutionUnit", "XResolution", "YResolution", "chromaticities", "colorInteropID", "compression", "name", "type"]
)
_OWN_PREFIXES = ("oiio:", "openexr:", "ICCProfile", "acesImageContainerFlag")


def save_exr(handle: BinaryIO, image: Image, options: WriteOptions) -> None:
    """Write grey, linear RGB or straight linear RGBA floats, as half where `options.bits` is "half".

    A grey picture becomes the channel Y, which programs show as grey. RGBA is premultiplied, as OpenEXR demands, unless
    `options.premultiplied` is false; a plate's glow, its light under alpha 0, stays as it is. Raises InputError for
    values that half cannot hold.
    """
    channels = 1 if image.pixels.ndim == 2 else image.pixels.shape[2]
    half, multiplied = options.bits == "half", channels == 4 and options.premultiplied
    stored = _multiplied(image) if multiplied else _plain(image)
    if half:
        _check_half(_multiplied(image) if multiplied else _plain(image))
    spec = _spec(image, channels, oiio.HALF if half else oiio.FLOAT)
    primaries = chromaticities(image.space) if channels > 1 else None
    if primaries is not None:
        spec.attribute("chromaticities", oiio.TypeDesc("float[8]"), tuple(primaries))
    _write(handle, "openexr", spec, stored)


def _plain(image: Image) -> Iterator[NDArray[Any]]:
    """The pixels as they are, in bands of rows."""
    for top in range(0, len(image.pixels), _ROWS):
        yield image.pixels[top : top + _ROWS]


def _multiplied(image: Image) -> Iterator[NDArray[Any]]:
    """RGBA with colours times alpha, except for the glow, in bands of rows."""
    for top in range(0, len(image.pixels), _ROWS):
        band = image.pixels[top : top + _ROWS].copy()
        colours, alpha = band[..., :3], band[..., 3:]
        hidden = alpha[..., 0] == 0
        np.multiply(colours, alpha, out=colours, where=~hidden[..., None])  # without 0 · ∞
        colours[hidden if image.glow is None else hidden & ~image.glow[top : top + _ROWS]] = 0
        yield band


def _check_half(bands: Iterable[NDArray[np.float32]]) -> None:
    largest = max(float(np.max(np.abs(band), where=np.isfinite(band), initial=0)) for band in bands)
    if largest > _LARGEST_HALF:
        raise InputError(f"it has values up to {largest:g}, and half ends at 65504; write exr, which is float here")


def _spec(image: Image, channels: int, kind: Any) -> Any:
    spec = oiio.ImageSpec(*image.size, channels, kind)
    spec.channelnames = _CHANNELS[channels]
    spec.attribute("DateTime", "")  # otherwise the time of writing, and the same pixels would give other bytes
    for name, value in {**attributes_of(image.metadata.exif), **image.metadata.attributes}.items():
        if name not in _OWN and not name.startswith(_OWN_PREFIXES):
            _set(spec, name, value)
    spec.attribute("compression", "zip")
    spec.attribute("oiio:UnassociatedAlpha", 1)  # the writer is to leave the colours as they are
    windows = image.metadata.windows
    if windows and image.size in (windows.data[2:], windows.display[2:]):  # else they are those of other pixels
        spec.full_x, spec.full_y, spec.full_width, spec.full_height = windows.display
        spec.x, spec.y = (windows.data if image.size == windows.data[2:] else windows.display)[:2]
    if image.resolution:
        spec.attribute("XResolution", float(image.resolution[0]))
        spec.attribute("YResolution", float(image.resolution[1]))
        spec.attribute("ResolutionUnit", "in")
    return spec


def _set(spec: Any, name: str, value: Any) -> None:
    """Set an attribute: a number or a text, or a pair of OpenImageIO's name of a type and a value."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        kind, value = value
        spec.attribute(name, oiio.TypeDesc(kind), tuple(value) if isinstance(value, list) else value)
    else:
        spec.attribute(name, value)


def save_jxl(handle: BinaryIO, image: Image, options: WriteOptions) -> None:
    """Write JPEG XL of 8 or 16 bits with straight alpha, without loss unless `options.quality` is a number."""
    channels = 1 if image.pixels.ndim == 2 else image.pixels.shape[2]
    spec = oiio.ImageSpec(*image.size, channels, {8: oiio.UINT8, 16: oiio.UINT16}[image.depth])
    lossy = isinstance(options.quality, int) and channels > 1  # a grey picture is a matte
    spec.attribute("compression", f"jpegxl:{options.quality if lossy else 100}")
    spec.attribute("oiio:UnassociatedAlpha", 1)
    if image.icc:
        profile = np.frombuffer(image.icc, np.uint8)
        spec.attribute("ICCProfile", oiio.TypeDesc(f"uint8[{len(profile)}]"), profile)
    if image.cicp:
        spec.attribute("CICP", oiio.TypeDesc("int[4]"), image.cicp)
    _write(handle, "jpegxl", spec, _plain(image), finish=_without_packed if image.metadata.exif else None)
    if image.metadata.exif:  # boxes of ISO 18181-2; OpenImageIO would only write what it knows of them
        _box(handle, b"Exif", bytes(4) + image.metadata.exif)
    if image.metadata.xmp:
        _box(handle, b"xml ", image.metadata.xmp)


def _without_packed(path: Path) -> None:
    """Remove the compressed boxes of metadata: OpenImageIO writes an empty EXIF there, which would go before ours."""
    with path.open("r+b") as file:
        packed = [(at - 8, end) for name, at, end in boxes(file, 0, file_size(file)) if name == b"brob"]
        for start, end in reversed(packed):  # the rest of the file moves up
            while True:
                file.seek(end)
                block = file.read(2**20)
                if not block:
                    break
                file.seek(start)
                start += file.write(block)
                end += len(block)
            file.truncate(start)


def _box(handle: BinaryIO, name: bytes, content: bytes) -> None:
    handle.write((8 + len(content)).to_bytes(4, "big") + name + content)


def _write(
    handle: BinaryIO,
    form: str,
    spec: Any,
    bands: Iterable[NDArray[Any]],
    *,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Write bands of rows to the file behind the handle, or through a temporary one; the handle is at the end then.

    `finish` is called with the file before.
    """
    output = oiio.ImageOutput.create(form)
    if output is None:
        raise InputError(f"this OpenImageIO cannot write {form}")
    name = getattr(handle, "name", None)
    if isinstance(name, str) and Path(name).is_file():
        _save(output, name, spec, bands)
        if finish is not None:
            finish(Path(name))
        handle.seek(0, io.SEEK_END)
        return
    with tempfile.TemporaryDirectory() as folder:  # standard output, or a picture in memory
        path = Path(folder) / "picture"
        _save(output, str(path), spec, bands)
        if finish is not None:
            finish(path)
        with path.open("rb") as written:
            shutil.copyfileobj(written, handle)


def _save(output: Any, path: str, spec: Any, bands: Iterable[NDArray[Any]]) -> None:
    if not output.open(path, spec):
        raise OSError(output.geterror())
    y = spec.y
    for band in bands:
        # of (H, W) it would read beyond the end
        rows = np.ascontiguousarray(band).reshape(-1, spec.width, spec.nchannels)
        if not output.write_scanlines(y, y + len(rows), 0, rows):
            raise OSError(output.geterror())
        y += len(rows)
    if not output.close():
        raise OSError(output.geterror())
