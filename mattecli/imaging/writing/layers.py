"""Layered files: the photo, and its cut-out behind a mask.

The mask is the alpha, so painting on it corrects the cut-out. PSD is written by psd-tools, from the parts of the format
(Adobe Photoshop File Formats Specification): its simple interface rounds masks to 8 bits.
"""

from __future__ import annotations

import importlib
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import DeviceError, InputError
from mattecli.imaging import exif_blocks
from mattecli.imaging.image import Image, to_depth
from mattecli.imaging.options import WriteOptions
from mattecli.imaging.products import LAYERED
from mattecli.imaging.writing.encoding import FORMATS
from mattecli.imaging.writing.fitted import fitted
from mattecli.imaging.writing.layered_tiff import layers_tag
from mattecli.imaging.writing.tiff import save_tiff
from mattecli.system.files import check_target

if TYPE_CHECKING:
    from mattecli.imaging.write import Ready

# What a PSD holds, for those who bring colours into its range. `write_layers` writes it, and no encoder does.
LAYERS = replace(FORMATS[".jxl"], name="PSD", code_points=False)
_LONGEST = 30_000  # pixels on a side of a PSD
_ROWS = 256
_TRANSPARENCY, _MASK = -1, -2  # numbers of channels
# Version 1, there is a merged picture, who wrote it, who reads it, version 1.
_VERSION_INFO = struct.pack(">IBI8sI8sI", 1, 1, 4, "matt".encode("utf-16-be"), 4, "matt".encode("utf-16-be"), 1)


def check_layers(target: str, *, overwrite: bool, inputs: Iterable[str] = ()) -> None:
    """Raise InputError, before any heavy work, for a file that cannot be written; DeviceError without psd-tools."""
    check_layered(target)
    check_target(target, overwrite=overwrite, inputs=inputs)


def check_layered(target: str) -> None:
    """Raise InputError for a name that is not that of a layered file, DeviceError without the package for it."""
    suffix = Path(target).suffix.lower()
    if target == "-" or suffix not in LAYERED:
        raise InputError(f"{target} cannot hold layers; name a {' or '.join(LAYERED[:2])} file")
    module, package = ("psd_tools", "psd-tools") if suffix == ".psd" else ("psdtags", "psdtags")
    try:
        importlib.import_module(module)
    except ImportError as error:
        remedy = 'pip install "mattecli[layers]"'
        raise DeviceError(f"layers in {suffix} are written by {package}, which is missing; {remedy}") from error


def write_layers(
    target: str | Path,
    photo: Image,
    foreground: Image,
    alpha: NDArray[Any],
    *,
    overwrite: bool = False,
    ready: Ready | None = None,
    options: WriteOptions | None = None,
) -> None:
    """Write a PSD or TIFF of two layers: the photo, hidden, and above it the foreground's colours behind a layer mask.

    The mask is the alpha.

    `photo` and `foreground` are RGB of one size; `alpha` is (H, W) in [0, 1]. The file has 8 bits per channel for a
    photo of 8 bits, else 16, the photo's profile, resolution and metadata. Raises InputError and DeviceError.
    """
    from mattecli.imaging.write import written

    options = options or WriteOptions()
    check_layers(str(target), overwrite=overwrite)
    tiff = Path(target).suffix.lower() != ".psd"
    if max(photo.size) > _LONGEST and not tiff:
        raise InputError(f"{target} would have more than {_LONGEST} pixels on a side, which PSD cannot hold")
    depth = 8 if photo.depth == 8 else 16
    below, above = (fitted(_rgb(picture), LAYERS, depth, keep=options.metadata) for picture in (photo, foreground))
    mask = to_depth(alpha, depth)
    with written(target, overwrite=overwrite) as handle:
        if tiff:
            _write_tiff(handle, below, above.pixels, mask)
        else:
            _document(below, above.pixels, mask, depth).write(handle)
        if ready is not None:
            ready(handle)


def _write_tiff(handle: BinaryIO, photo: Image, colours: NDArray[Any], mask: NDArray[Any]) -> None:
    """A TIFF of the cut-out over white, with the layers in a tag of Photoshop's."""
    exif = photo.metadata.exif
    order = exif_blocks.order_of(exif) if exif else {"little": "<", "big": ">"}[sys.byteorder]
    tag = layers_tag(photo.pixels, colours, mask, order=order)
    merged = replace(photo, pixels=np.stack(list(_merged(colours, mask)), axis=2))
    save_tiff(handle, merged, WriteOptions(), tags=[tag])


def _rgb(picture: Image) -> Image:
    return replace(picture, pixels=np.ascontiguousarray(picture.pixels[..., :3]))


def _document(photo: Image, colours: NDArray[Any], mask: NDArray[Any], depth: int) -> Any:
    """The PSD, with the cut-out over white for programs that read no layers."""
    from psd_tools.constants import ColorMode, Compression, Tag
    from psd_tools.psd import PSD
    from psd_tools.psd.header import FileHeader
    from psd_tools.psd.image_data import ImageData
    from psd_tools.psd.layer_and_mask import (
        ChannelImageData,
        GlobalLayerMaskInfo,
        LayerAndMaskInformation,
        LayerInfo,
        LayerInfoBlock,
        LayerRecords,
    )
    from psd_tools.psd.tagged_blocks import TaggedBlock, TaggedBlocks

    layers = [_layer("Photo", photo.pixels, None), _layer("Cut-out", colours, mask)]
    listed: list[Any] = [list(part) for part in zip(*layers, strict=True)]
    records, channels = LayerRecords(listed[0]), ChannelImageData(listed[1])
    information = LayerAndMaskInformation(layer_info=LayerInfo(), global_layer_mask_info=GlobalLayerMaskInfo())
    if depth == 8:
        information.layer_info = LayerInfo(len(layers), records, channels)
    else:  # Photoshop keeps deeper layers in a block of their own; GIMP 2.10 finds it only as the first block
        deep: Any = LayerInfoBlock(len(layers), records, channels)
        blocks: Any = [(Tag.LAYER_16, TaggedBlock(key=Tag.LAYER_16, data=deep))]
        information.tagged_blocks = TaggedBlocks(blocks)
    header = FileHeader(channels=3, width=photo.size[0], height=photo.size[1], depth=depth, color_mode=ColorMode.RGB)
    merged = ImageData(compression=Compression.RLE if depth == 8 else Compression.RAW)
    merged.set_data([_big_endian(plane).tobytes() for plane in _merged(colours, mask)], header)
    return PSD(
        header=header,
        image_resources=_resources(photo),
        layer_and_mask_information=information,
        image_data=merged,
    )


def _layer(name: str, colours: NDArray[Any], mask: NDArray[Any] | None) -> tuple[Any, Any]:
    """The record of an opaque layer, which is hidden unless it has a mask, and the data of its channels."""
    from psd_tools.constants import Compression
    from psd_tools.psd.layer_and_mask import (
        ChannelData,
        ChannelDataList,
        ChannelInfo,
        LayerFlags,
        LayerRecord,
        MaskData,
    )

    height, width = colours.shape[:2]
    opaque = np.full((height, width), np.iinfo(colours.dtype).max, colours.dtype)
    planes = {_TRANSPARENCY: opaque, **{number: colours[..., number] for number in range(3)}}
    if mask is not None:
        planes[_MASK] = mask
    packed: Any = [ChannelData(Compression.ZIP_WITH_PREDICTION, _packed(plane)) for plane in planes.values()]
    record = LayerRecord(
        bottom=height,
        right=width,
        channel_info=[ChannelInfo(number) for number in planes],
        flags=LayerFlags(visible=mask is not None),
        mask_data=None if mask is None else MaskData(bottom=height, right=width),
        name=name,
    )
    return record, ChannelDataList(packed)


def _packed(plane: NDArray[Any]) -> bytes:
    """A channel by zlib, each value as its difference from the one to its left."""
    packer = zlib.compressobj(strategy=zlib.Z_RLE)  # as in `write_png`
    parts = []
    for top in range(0, len(plane), _ROWS):
        rows = plane[top : top + _ROWS].copy()
        rows[:, 1:] -= plane[top : top + _ROWS, :-1]
        parts.append(packer.compress(_big_endian(rows).tobytes()))
    return b"".join([*parts, packer.flush()])


def _big_endian(plane: NDArray[Any]) -> NDArray[Any]:
    return plane.astype(plane.dtype.newbyteorder(">"))


def _merged(colours: NDArray[Any], mask: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Red, green and blue of the cut-out over white."""
    white = np.float32(np.iinfo(mask.dtype).max)
    for channel in range(3):
        plane = np.empty_like(mask)
        for top in range(0, len(mask), _ROWS):
            rows = slice(top, top + _ROWS)
            share = mask[rows] / white
            plane[rows] = np.rint(colours[rows, :, channel] * share + (1 - share) * white)
        yield plane


def _resources(photo: Image) -> Any:
    from psd_tools.constants import Resource
    from psd_tools.psd.image_resources import ImageResource, ImageResources

    known = photo.metadata
    blocks = {
        Resource.RESOLUTION_INFO: _resolution(photo.resolution),
        Resource.ICC_PROFILE: photo.icc,
        Resource.IPTC_NAA: known.iptc,
        Resource.EXIF_DATA_1: known.exif,
        Resource.XMP_METADATA: known.xmp,
        Resource.VERSION_INFO: _VERSION_INFO,
    }
    kept: Any = [(key, ImageResource(key=key, data=content)) for key, content in blocks.items() if content is not None]
    return ImageResources(kept)


def _resolution(dpi: tuple[float, float] | None) -> bytes | None:
    """Photoshop's resource 1005: numbers of 16.16 bits an inch, shown per inch, and sizes in inches."""
    if dpi is None or max(dpi) >= 2**16:
        return None
    x, y = (round(value * 65536) for value in dpi)
    return struct.pack(">IHHIHH", x, 1, 1, y, 1, 1)
