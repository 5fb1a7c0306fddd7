"""Reads formats by OpenImageIO, in a process of its own."""

from __future__ import annotations

import base64
import dataclasses
import io
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.colour.separated import separated_to_srgb
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.pixels import full_scale
from mattecli.imaging.reading import formats
from mattecli.imaging.reading.boxes import jp2_header, jp2_size, jxl_header, jxl_size
from mattecli.imaging.reading.child import BAND, Reply, Request, decode_apart
from mattecli.imaging.reading.decoded import Decoded, divide, turned_resolution, upright
from mattecli.imaging.reading.exr import exr_header
from mattecli.imaging.reading.fitting import fitting
from mattecli.imaging.reading.formats import Format
from mattecli.imaging.reading.header import BYTES, Header, Kind, file_size
from mattecli.imaging.reading.limits import check_pixels, check_room
from mattecli.imaging.reading.pillow import tiff_by_pillow
from mattecli.imaging.reading.png import full_range, png_chunks
from mattecli.imaging.reading.psd import merged_picture, psd_header, psd_size
from mattecli.imaging.reading.rasters import DPX_ORIENTATION, cineon_size, dpx_size, hdr_size, pnm_size
from mattecli.imaging.reading.tiff import tiff_header, tiff_size
from mattecli.imaging.reading.zipped import unzip
from mattecli.imaging.space import ColourTags

SLACK = 2**29  # bytes of addresses that the decoder takes for its threads and tables
_COLOURS = {"grey": 1, "rgb": 3, "cmyk": 4, "lab": 3}


def header_of(form: Format, handle: BinaryIO, name: str, options: ReadOptions) -> Header:
    """What the header of a file says. Raises InputError for what is not read, ValueError for damage."""
    if form is formats.TIFF:
        return tiff_header(handle, name)
    if form is formats.PNG_16:
        return png_chunks(handle).header()
    if form is formats.EXR:
        return exr_header(handle, name, options.layer)
    if form is formats.PSD:
        return psd_header(handle, name)
    if form is formats.JP2:
        return jp2_header(handle, name)
    if form is formats.JXL:
        return jxl_header(handle)
    if form is formats.PNM_16:
        width, height, _ = pnm_size(handle)
        return Header(width=width, height=height, count=3, kind="uint16", bits=16)
    if form is formats.HDR:
        width, height, orientation = hdr_size(handle, name)
        return Header(width=width, height=height, count=3, kind="float", bits=32, orientation=orientation)
    width, height, orientation = (dpx_size if form is formats.DPX else cineon_size)(handle)
    return Header(width=width, height=height, count=4, kind=None, bits=16, orientation=orientation)


def size_of(form: Format, handle: BinaryIO, name: str, options: ReadOptions) -> tuple[int, int]:
    """Width and height of the upright picture, from its header."""
    if form is formats.TIFF:
        return tiff_size(handle, name)
    quick = {formats.PSD: psd_size, formats.JXL: jxl_size, formats.JP2: jp2_size}
    return quick[form](handle) if form in quick else header_of(form, handle, name, options).size


def read_apart(form: Format, handle: BinaryIO, source: Path | bytes, name: str, options: ReadOptions) -> Decoded:
    """Decode a file of a format that OpenImageIO reads.

    Raises InputError for what is not read, ValueError and DecoderError for damage, DeviceError where the memory does
    not suffice.
    """
    header = header_of(form, handle, name, options)
    if header.width < 1 or header.height < 1:
        raise ValueError("it states no size")
    check_pixels(header.width, header.height, name, options)
    size = header.width * header.height * header.count * BYTES[header.kind or "float"]
    apart = int(size * header.times) if header.whole else min(size, 2 * BAND)
    colours = size * max(3, header.count) // header.count  # grey becomes RGB
    check_room(size + colours + apart, header.width, header.height, name, options)
    if header.stored is not None:
        return _decoded(form, header, _stored(handle, header), {})
    if header.zipped is not None:
        return _decoded(form, header, unzip(handle, header.zipped), {})
    if header.planes is not None:
        return _decoded(form, header, merged_picture(handle, header), {})
    if header.by_pillow:
        turned = turned_resolution(header.resolution, header.orientation)
        pixels = tiff_by_pillow(handle, header)
        return _decoded(form, dataclasses.replace(header, orientation=1, resolution=turned), pixels, {})
    reply = decode_apart(
        Request(
            source=_unturned(handle) if form is formats.DPX and header.orientation >= 5 else source,
            format=form.key,
            suffix=form.suffix,
            width=header.width,
            height=header.height,
            count=header.count,
            kind=header.kind or "",
            channels=header.names,
            part=header.part,
            zipped=header.streams,
            whole=header.whole,
            straight=form is not formats.PSD,
            raw=header.raw,
            memory=size + apart + 2 * file_size(handle) + SLACK,
        )
    )
    return _decoded(form, _completed(header, form, reply), reply.pixels, _attributes(form, reply))


def _decoded(form: Format, header: Header, channels: NDArray[Any], attributes: dict[str, tuple[str, Any]]) -> Decoded:
    """The picture of these channels (H, W, C)."""
    pixels, notes = _arranged(channels, header)
    converted = header.model not in ("grey", "rgb")
    tags, more = (ColourTags(), ()) if converted else fitting(header.tags, grey=header.model == "grey")
    return Decoded(
        upright(full_range(pixels) if header.narrow else pixels, header.orientation),
        form.name,
        tags,
        turned_resolution(header.resolution, header.orientation),
        dataclasses.replace(header.metadata, attributes=attributes, converted=converted),
        (*header.notes, *notes, *more),
        header.premultiplied,
        converted,
    )


def _unturned(handle: BinaryIO) -> bytes:
    """A DPX whose header says nothing of turns, which `upright` undoes; OpenImageIO would take columns for rows."""
    content = bytearray(content_of(handle))
    content[DPX_ORIENTATION : DPX_ORIENTATION + 2] = bytes(2)
    return bytes(content)


def _attributes(form: Format, reply: Reply) -> dict[str, tuple[str, Any]]:
    """The attributes that are worth keeping; the pixels of a DPX are upright by now."""
    left_out = {formats.EXR: ("ICCProfile",), formats.DPX: ("ICCProfile", "Orientation")}.get(form)
    return {} if left_out is None else {key: value for key, value in reply.attributes.items() if key not in left_out}


def _stored(handle: BinaryIO, header: Header) -> NDArray[Any]:
    """Pixels (H, W, C) that lie in the file as they are. Raises ValueError where the file ends before."""
    at, kind = header.stored or (0, "u1")
    values = np.empty((header.height, header.width, header.count), kind)
    handle.seek(at)
    if handle.readinto(values.reshape(-1).view(np.uint8).data) < values.nbytes:  # type: ignore[attr-defined]
        raise ValueError("it is shorter than its header says")
    if not values.dtype.isnative:
        values = values.byteswap(inplace=True).view(values.dtype.newbyteorder())
    return values.astype(np.float32, copy=False) if values.dtype.kind == "f" else values


def _completed(header: Header, form: Format, reply: Reply) -> Header:
    """The header with what only the decoder knows."""
    tags = header.tags
    if tags.icc is None and "ICCProfile" in reply.attributes:
        tags = dataclasses.replace(tags, icc=base64.b64decode(reply.attributes["ICCProfile"][1]))
    if form is formats.DPX:
        tags = dataclasses.replace(tags, name=_transfer(reply))
    if header.kind is not None:
        return dataclasses.replace(header, tags=tags)
    count = reply.pixels.shape[2]
    return dataclasses.replace(
        header,
        tags=tags,
        count=count,
        kind=cast(Kind, "float" if reply.pixels.dtype.kind == "f" else reply.pixels.dtype.name),
        model="rgb" if count >= 3 else "grey",
        alpha=reply.alpha if reply.alpha > 0 else count - 1 if form is formats.JXL and count in (2, 4) else None,
    )


def _transfer(reply: Reply) -> str | None:
    """What a DPX says of its curve: OpenImageIO's name of a space, or the name of a transfer for which it has none."""
    name, transfer = (reply.attributes.get(key, ("", None))[1] for key in ("oiio:ColorSpace", "dpx:Transfer"))
    if isinstance(name, str):
        return name
    return transfer if isinstance(transfer, str) and transfer.lower() not in _NO_TRANSFER else None


_NO_TRANSFER = ("user defined", "unspecified video", "undefined")  # what a DPX has that does not state its curve


def _arranged(pixels: NDArray[Any], header: Header) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Decoded channels (H, W, C) as grey (H, W), RGB or straight RGBA, and notes. Works in place where it can."""
    count = _COLOURS[header.model]
    colour = pixels[..., :count]
    alpha = None if header.alpha is None else pixels[..., header.alpha]
    if header.inverted:
        np.subtract(full_scale(pixels, "it"), colour, out=colour)
    if header.inverted_alpha and alpha is not None:
        np.subtract(full_scale(pixels, "it"), alpha, out=alpha)
    if header.premultiplied and alpha is not None:
        divide(colour, alpha)
    notes: tuple[str, ...] = ()
    if header.model == "cmyk" or header.model == "lab":
        colour, notes = separated_to_srgb(colour, header.model, header.tags.icc, offset=header.offset)
        if alpha is not None and alpha.dtype != colour.dtype:
            alpha = (alpha >> 8).astype(np.uint8) if alpha.dtype == np.uint16 else None
    if alpha is None:
        return (colour[..., 0] if header.model == "grey" else colour), notes
    if count == 3 and header.alpha == 3 and pixels.shape[2] == 4 and not notes:
        return pixels, notes
    result = np.empty((*pixels.shape[:2], 4), colour.dtype)
    result[..., :3] = colour
    result[..., 3] = alpha
    return result, notes


def content_of(handle: BinaryIO) -> bytes:
    """All of a file that is in memory already."""
    if isinstance(handle, io.BytesIO):
        return handle.getvalue()
    handle.seek(0)
    return handle.read()
