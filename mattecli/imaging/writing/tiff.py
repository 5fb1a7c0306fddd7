"""Writes TIFF of 8 and 16 bits and floats by tifffile."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

import tifffile
from PIL import ImageCms

from mattecli.imaging import exif_blocks

if TYPE_CHECKING:
    from mattecli.imaging.image import Image
    from mattecli.imaging.options import WriteOptions

_XMP, _IPTC = 700, 33723  # the tags
_BYTES, _UNDEFINED = 1, 7  # types of values
_LARGEST = 2**32 - 2**26  # bytes of pixels and tags in a classic TIFF, with room for the rest
_BELOW = (exif_blocks.EXIF_DIRECTORY, exif_blocks.GPS_DIRECTORY)
_HIGHEST_DPI = 2**32 / 10_000  # tifffile states a resolution as a fraction of two numbers of 32 bits


def save_tiff(
    handle: BinaryIO,
    image: Image,
    options: WriteOptions,  # noqa: ARG001 - as all encoders
    *,
    tags: Sequence[Any] = (),
) -> None:
    """Write a TIFF with straight alpha. The handle must be readable too, and at its start.

    The file has the byte order of the EXIF block, in which some makers' notes are written. Floats without a profile
    get that of sRGB, because other programs take them for linear. Files of 4 GB and more become BigTIFF. `tags` are
    further ones, as tifffile takes them.
    """
    pixels, metadata = image.pixels, image.metadata
    grey = pixels.ndim == 2
    icc = _srgb_profile() if not grey and pixels.dtype.kind == "f" and image.icc is None else image.icc
    tags = list(tags)
    if metadata.xmp:
        tags.append((_XMP, _BYTES, len(metadata.xmp), metadata.xmp, True))
    if metadata.iptc:
        tags.append((_IPTC, _UNDEFINED, len(metadata.iptc), metadata.iptc, True))
    big = pixels.nbytes + sum(len(tag[3]) for tag in tags) + len(metadata.exif or b"") > _LARGEST
    below = None
    if metadata.exif:
        described, below = exif_blocks.tiff_tags(metadata.exif, big=big)
        tags += described
    resolution = image.resolution if image.resolution and max(image.resolution) < _HIGHEST_DPI else None
    tifffile.imwrite(
        handle,
        pixels,
        byteorder=exif_blocks.order_of(metadata.exif) if metadata.exif else None,  # type: ignore[arg-type]
        photometric="minisblack" if grey else "rgb",
        planarconfig=None if grey else "contig",
        extrasamples=["unassalpha"] if not grey and pixels.shape[2] == 4 else None,
        compression="zlib",
        predictor=2 if pixels.dtype.kind == "u" else None,  # for floats tifffile needs imagecodecs
        iccprofile=icc,
        resolution=resolution,
        resolutionunit="inch" if resolution else None,
        metadata=None,
        bigtiff=big,
        software=False,
        extratags=tags,
    )
    if below is not None:
        _append(handle, below, big=big)


@lru_cache(maxsize=1)
def _srgb_profile() -> bytes:
    """LittleCMS's profile of sRGB, with a fixed date: the same pixels are to give the same bytes."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)


def _append(handle: BinaryIO, below: Any, *, big: bool) -> None:
    """Put the directories of EXIF and GPS at the end of the file, and their places into the entries for them."""
    handle.seek(0)
    with tifffile.TiffFile(handle) as tiff:
        page: Any = tiff.pages.first
        order = tiff.byteorder
        entries = {tag: page.tags[tag - 1].offset for tag in _BELOW if tag - 1 in page.tags}
    for tag, entry in entries.items():
        end = handle.seek(0, 2)
        end += handle.write(b"\0" * (end % 2))
        handle.write(below(tag, end))
        handle.seek(entry)
        handle.write(exif_blocks.pointer(tag, end, order, big=big))
    handle.seek(0, 2)
