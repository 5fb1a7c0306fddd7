"""Reads the formats of Pillow, and HEIC by its plug-in."""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging import xmp, xmp_extension
from mattecli.imaging.colour import to_srgb
from mattecli.imaging.exif_facts import interop_of, orientation_in, plain_exif, usable_resolution
from mattecli.imaging.metadata import Metadata
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.reading import formats
from mattecli.imaging.reading.boxes import nclx_of
from mattecli.imaging.reading.decoded import Decoded, divide, turned_resolution, upright
from mattecli.imaging.reading.fitting import fitting
from mattecli.imaging.reading.formats import Format
from mattecli.imaging.reading.header import Header
from mattecli.imaging.reading.limits import check_pixels, check_room, most_pixels
from mattecli.imaging.reading.png import Chunks, Without, full_range, png_chunks
from mattecli.imaging.space import ColourTags

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_IPTC = 0x0404  # of Photoshop's resources in a JPEG
_SEPARATED = ("CMYK", "LAB")  # modes that are converted to sRGB
_GAIN_MAPS = (b"hdrgm:", b"urn:iso:std:iso:ts:21496", b"HDRGainMap")


def read_with_pillow(form: Format, handle: BinaryIO, name: str, options: ReadOptions) -> Decoded:
    """Decode a file that Pillow reads.

    Raises InputError for too many pixels, DeviceError where the memory does not suffice, and what Pillow raises for
    damage.
    """
    if form is formats.HEIC:
        return _heic(handle, name, options)
    chunks = png_chunks(handle) if form is formats.PNG_8 else None
    handle.seek(0)
    without = io.BufferedReader(Without(handle, chunks.compressed)) if chunks and chunks.compressed else None
    picture = open_pillow(form, without or handle, name, options)
    metadata, tags = _metadata(picture, chunks), _tags(picture, chunks, form, handle)
    orientation = chunks.orientation if chunks else orientation_in(metadata.exif, metadata.xmp)
    notes = _notes(picture, form, metadata)
    resolution = usable_resolution(chunks.resolution if chunks else picture.info.get("dpi"))
    check_room(2 * picture.width * picture.height * 4, picture.width, picture.height, name, options)
    size = picture.size
    picture.load()
    if chunks and chunks.clear_value is not None:
        # Pillow scales grey of fewer bits to 8, and leaves the value that is transparent as it is stored.
        clear = tuple(value * 255 // (2**chunks.bits - 1) for value in chunks.clear_value)
        picture.info["transparency"] = clear if len(clear) == 3 else clear[0]
    if picture.size != size:
        raise ValueError("its header and its content differ in size")
    plain, tags, more = _plain(picture, tags)
    converted, pixels = picture.mode in _SEPARATED, _to_array(plain)
    return Decoded(
        upright(full_range(pixels) if chunks and chunks.narrow else pixels, orientation),
        form.name,
        tags,
        turned_resolution(resolution, orientation),
        dataclasses.replace(metadata, converted=converted),
        (*notes, *more),
        converted=converted,
    )


def pillow_size(form: Format, handle: BinaryIO, name: str, options: ReadOptions) -> tuple[int, int]:
    """Width and height of the upright picture, from its header."""
    if form is formats.HEIC:
        width, height = _open_heic(handle, name).size  # libheif turns pictures itself
        return int(width), int(height)
    if form is formats.PNG_8:
        chunks = png_chunks(handle)
        return (chunks.height, chunks.width) if chunks.orientation >= 5 else (chunks.width, chunks.height)
    picture = open_pillow(form, handle, name, options)
    metadata = _metadata(picture, None)
    return picture.size[::-1] if orientation_in(metadata.exif, metadata.xmp) >= 5 else picture.size


def open_pillow(form: Format, handle: BinaryIO, name: str, options: ReadOptions) -> ImageFile:
    """The picture, not decoded yet, by the one reader of its format. Raises InputError for too many pixels."""
    most_pixels(options)  # before Pillow compares with it
    picture = PIL.Image.open(handle, formats=[form.key])
    check_pixels(picture.width, picture.height, name, options)
    return picture


def tiff_by_pillow(handle: BinaryIO, header: Header) -> NDArray[Any]:
    """Upright channels (H, W, C) of a TIFF. Raises ValueError where they are not what its header says."""
    with PIL.Image.open(handle, formats=["TIFF"]) as picture:
        picture.seek(header.part)
        picture.load()
        if picture.size != header.size or len(picture.getbands()) != header.count:
            raise ValueError("its header and its content differ")
        return _to_array(picture)


def from_pillow(picture: PIL.Image.Image) -> Decoded:
    """What reading makes of a file that somebody else has opened with Pillow; their picture stays as it is."""
    tags = ColourTags(icc=picture.info.get("icc_profile") or None)
    orientation = picture.getexif().get(0x0112, 1)
    plain, tags, notes = _plain(picture, tags)
    return Decoded(upright(_to_array(plain), orientation), "", tags, notes=notes)


def _metadata(picture: PIL.Image.Image, chunks: Chunks | None) -> Metadata:
    if chunks is not None:
        return chunks.metadata
    info = picture.info
    exif, packet = info.get("exif"), info.get("xmp") or None
    if isinstance(packet, str):
        packet = packet.encode()
    segments = [content for _, content in getattr(picture, "applist", ()) if content.startswith(xmp_extension.MARK)]
    if packet and segments:
        packet = xmp_extension.joined(xmp.as_utf8(packet) or packet, segments) or packet
    photoshop = info.get("photoshop") or {}
    iptc = photoshop.get(_IPTC) if isinstance(photoshop, dict) else None
    return Metadata(
        plain_exif(exif if isinstance(exif, bytes) else None),
        packet,
        iptc if isinstance(iptc, bytes) else None,
    )


def _tags(picture: PIL.Image.Image, chunks: Chunks | None, form: Format, handle: BinaryIO) -> ColourTags:
    if chunks is not None:
        return chunks.tags
    exif = picture.info.get("exif")
    return ColourTags(
        icc=picture.info.get("icc_profile") or None,
        cicp=nclx_of(handle) if form is formats.AVIF else None,
        interop=interop_of(plain_exif(exif if isinstance(exif, bytes) else None)),
    )


def _notes(picture: PIL.Image.Image, form: Format, metadata: Metadata) -> tuple[str, ...]:
    """What the file holds besides the picture that is read."""
    markers = [content[:64] for _, content in getattr(picture, "applist", [])] if form is formats.JPEG else []
    if any(mark in block for block in (metadata.xmp or b"", *markers) for mark in _GAIN_MAPS):
        return ("its HDR gain map is dropped",)
    if picture.format == "MPO":
        return ("only its first picture is read",)
    return ("only its first frame is read",) if getattr(picture, "is_animated", False) else ()


def _plain(picture: PIL.Image.Image, tags: ColourTags) -> tuple[PIL.Image.Image, ColourTags, tuple[str, ...]]:
    """The picture in mode L, I;16, F, RGB or RGBA, with the tags that fit it, and notes."""
    if picture.mode in _SEPARATED:
        rgb, _ = to_srgb(picture, tags.icc)
        return rgb, ColourTags(), (f"it is {'CMYK' if picture.mode == 'CMYK' else 'Lab'} and was converted to sRGB",)
    if picture.mode.startswith("I;16") or picture.mode in {"I", "F"}:
        # Pillow scales a PGM of more than 8 bits to 16 bits, in a 32-bit mode.
        deep_pgm = picture.mode == "I" and picture.format == "PPM"
        tags, notes = fitting(tags, grey=True)
        return picture.convert("I;16") if deep_pgm else picture, tags, notes
    grey = picture.mode in {"1", "L", "LA", "La"}
    mode = "RGBA" if picture.has_transparency_data else "L" if grey else "RGB"
    tags, notes = fitting(tags, grey=grey)
    return picture if picture.mode == mode else picture.convert(mode), tags, notes


def _to_array(picture: PIL.Image.Image) -> NDArray[Any]:
    """The pixels, copied in bands. Pillow's own conversion would hold three copies of the picture."""
    first = np.asarray(picture.crop((0, 0, picture.width, 1)))
    pixels = np.empty((picture.height, *first.shape[1:]), first.dtype)
    for top in range(0, picture.height, 32):
        bottom = min(top + 32, picture.height)
        pixels[top:bottom] = np.asarray(picture.crop((0, top, picture.width, bottom)))
    return pixels


# --- HEIC -------------------------------------------------------------------------------------------------------------


def _open_heic(handle: BinaryIO, name: str) -> Any:
    """The first picture of a HEIC file, not decoded yet.

    The plug-in is not registered with Pillow: that would change what Pillow opens elsewhere in the program.
    """
    try:
        import pillow_heif  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise InputError(
            f"{name} is HEIC, which Pillow reads by a plug-in only; pip install pillow-heif or save it as JPEG"
        ) from error
    # 10 and 12 bits stay as they are: the plug-in would round them to 8
    return pillow_heif.open_heif(handle, convert_hdr_to_8bit=False, hdr_to_16bit=False)


def _heic(handle: BinaryIO, name: str, options: ReadOptions) -> Decoded:
    file = _open_heic(handle, name)
    width, height = file.size
    check_pixels(width, height, name, options)
    bits, info = int(file.info.get("bit_depth", 8)), dict(file.info)
    check_room(4 * width * height * (8 if bits > 8 else 4), width, height, name, options)
    pixels = np.array(file)
    if pixels.shape[:2] != (height, width):
        raise ValueError("its header and its content differ in size")
    if pixels.dtype == np.uint16:
        pixels = _stretched(pixels, bits)
    premultiplied = pixels.ndim == 3 and pixels.shape[2] == 4 and bool(file.premultiplied_alpha)
    if premultiplied:
        divide(pixels[..., :3], pixels[..., 3])
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    exif, xmp = plain_exif(info.get("exif")), info.get("xmp") or None
    nclx = info.get("nclx_profile") or {}
    cicp = tuple(
        int(nclx.get(key, 2)) for key in ("color_primaries", "transfer_characteristics", "matrix_coefficients")
    )
    tags = ColourTags(
        icc=info.get("icc_profile") or None,
        cicp=(cicp[0], cicp[1], cicp[2], int(bool(nclx.get("full_range_flag", 1)))) if nclx else None,
        interop=interop_of(exif),
    )
    notes = ("only its first picture is read",) if len(file) > 1 else ()
    plain = np.ascontiguousarray(pixels)
    return Decoded(plain, "HEIC", tags, None, Metadata(exif, xmp), notes, premultiplied)


def _stretched(pixels: NDArray[Any], bits: int) -> NDArray[np.uint16]:
    """Values of 10 or 12 bits as 16: their white becomes 65535."""
    table = np.rint(np.arange(2**16) * (65535 / (2**bits - 1))).clip(0, 65535).astype(np.uint16)
    stretched: NDArray[np.uint16] = table[pixels]
    return stretched
