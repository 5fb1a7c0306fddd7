"""Encodes arrays as image files, by suffix.

The same pixels give the same bytes: nothing that changes between runs, such as a date or a version, is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import PIL.Image

from mattecli.imaging import exif_blocks, metadata
from mattecli.imaging.options import WriteOptions
from mattecli.imaging.writing.png import save_png
from mattecli.imaging.writing.tiff import save_tiff
from mattecli.imaging.xmp_extension import split

if TYPE_CHECKING:
    from mattecli.imaging.image import Image
    from mattecli.imaging.metadata import Metadata

_JPEG_BLOCK = 65533  # bytes in one of JPEG's segments
_XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_QUALITY = 95
_HIGHEST_DPI = {"JPEG": 65535, "BMP": 2**31 * 0.0254}  # JPEG stores 16 bits, BMP pixels a metre in 32

Encoder = Callable[[BinaryIO, "Image", WriteOptions], None]


@dataclass(frozen=True)
class Format:
    """What a file format can hold: depths in bits per channel (32 is floating point), colour and alpha.

    `exact` means that grey values are stored without loss. `lossy` says whether `quality` changes colours, `lossless`
    whether colours can be stored without loss. `profile` says whether the format holds a colour profile, `half` whether
    it holds floats of 16 bits, `code_points` those of ITU-T H.273. `light` means that colours in it are linear.
    """

    name: str
    depths: tuple[int, ...]
    alpha: bool
    encode: Encoder
    exact: bool = True
    lossy: bool = False
    lossless: bool = True
    profile: bool = True
    half: bool = False
    light: bool = False
    code_points: bool = False

    def save(self, handle: BinaryIO, image: Image, options: WriteOptions | None = None) -> None:
        """Encode the picture, which has a depth that the format holds; see `write.write_image`."""
        self.encode(handle, image, options or WriteOptions())

    def nearest(self, depth: int) -> int:
        """The depth to write pixels of this depth with: the same, or the next lower, or the lowest that there is."""
        return max((own for own in self.depths if own <= depth), default=min(self.depths))


def _save(handle: BinaryIO, name: str, image: Image, **options: Any) -> None:
    """By Pillow, with profile and resolution."""
    if image.icc:
        options["icc_profile"] = image.icc
    if image.resolution and max(image.resolution) <= _HIGHEST_DPI.get(name, 0):
        options["dpi"] = image.resolution
    PIL.Image.fromarray(image.pixels).save(handle, name, **options)


def metadata_note(form: Format, known: Metadata) -> str | None:
    """What a file of this format does not keep of metadata that is too long or damaged; None where it keeps all.

    Only JPEG has a limit that photos reach: what docs/files.md says of other formats is not repeated for each photo.
    """
    if form.profile and known.exif and exif_blocks.is_damaged(known.exif):
        return "the photo's EXIF is damaged and left out"
    lost = _in_jpeg(known)[1] if form.name == "JPEG" else ()
    if not lost:
        return None
    return f"JPEG holds 65 kB of each kind of metadata, so it does not keep the photo's {' and '.join(lost)}"


def _in_jpeg(known: Metadata) -> tuple[Metadata, tuple[str, ...]]:
    """The blocks that fit into segments of JPEG, and what was left out for that."""
    lost: list[str | None] = []
    exif, xmp, iptc = known.exif, known.xmp, known.iptc
    if exif:
        exif, left_out = exif_blocks.shortened(exif, _JPEG_BLOCK - len(exif_blocks.PREFIX))
        lost.append(left_out)
    if xmp and split(xmp, _JPEG_BLOCK - len(_XMP_IN_JPEG)) is None:
        xmp = None
        lost.append("XMP")
    if iptc and len(iptc) >= _JPEG_BLOCK - 64:
        iptc = None
        lost.append("IPTC")
    return replace(known, exif=exif, xmp=xmp, iptc=iptc), tuple(what for what in lost if what)


def _jpeg(handle: BinaryIO, image: Image, options: WriteOptions) -> None:
    blocks: dict[str, Any] = {"extra": b""}
    known, _ = _in_jpeg(image.metadata)
    if known.exif:
        blocks["exif"] = exif_blocks.PREFIX + known.exif
    if known.xmp:
        blocks["xmp"], extension = split(known.xmp, _JPEG_BLOCK - len(_XMP_IN_JPEG)) or (b"", [])
        blocks["extra"] = b"".join(_segment(0xE1, part) for part in extension)
    if known.iptc:
        blocks["extra"] += _segment(0xED, b"Photoshop 3.0\0" + metadata.iptc_resource(known.iptc))
    _save(handle, "JPEG", image, quality=_number(options, _QUALITY), subsampling="4:4:4", **blocks)


def _segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (2 + len(content)).to_bytes(2, "big") + content


def _webp(handle: BinaryIO, image: Image, options: WriteOptions) -> None:
    # A grey picture is a matte, and the alpha of a cut-out is one: lossless. `exact` keeps colours under alpha 0.
    channels = 1 if image.pixels.ndim == 2 else image.pixels.shape[2]
    lossless = channels == 1 or options.quality == "lossless" or (channels == 4 and options.quality is None)
    level = 50 if lossless else _number(options, _QUALITY)  # of effort, where nothing is lost
    blocks = _blocks(image)
    _save(handle, "WEBP", image, lossless=lossless, quality=level, alpha_quality=100, exact=True, **blocks)


def _avif(handle: BinaryIO, image: Image, options: WriteOptions) -> None:
    blocks = _blocks(image)
    if "exif" in blocks:
        blocks["exif"] = exif_blocks.without_orientation(blocks["exif"])
    if image.pixels.ndim == 2:
        _save(handle, "AVIF", image, quality=100, **blocks)  # lossless, because no colours are converted
    else:
        _save(handle, "AVIF", image, quality=_number(options, _QUALITY), subsampling="4:4:4", **blocks)


def _blocks(image: Image) -> dict[str, bytes]:
    """EXIF and XMP as Pillow takes them for WebP and AVIF, which have no field for IPTC."""
    known = {"exif": image.metadata.exif, "xmp": image.metadata.xmp}
    return {name: block for name, block in known.items() if block}


def _bmp(handle: BinaryIO, image: Image, options: WriteOptions) -> None:  # noqa: ARG001 - as all encoders
    _save(handle, "BMP", image)


def _npy(handle: BinaryIO, image: Image, options: WriteOptions) -> None:  # noqa: ARG001 - as all encoders
    np.save(handle, image.pixels, allow_pickle=False)


def _exr(handle: BinaryIO, image: Image, options: WriteOptions) -> None:
    from mattecli.imaging.writing.oiio import save_exr

    save_exr(handle, image, options)


def _jxl(handle: BinaryIO, image: Image, options: WriteOptions) -> None:
    from mattecli.imaging.writing.oiio import save_jxl

    save_jxl(handle, image, options)


def _number(options: WriteOptions, otherwise: int) -> int:
    return options.quality if isinstance(options.quality, int) else otherwise


_JPEG = Format("JPEG", (8,), False, _jpeg, exact=False, lossy=True, lossless=False)
_TIFF = Format("TIFF", (8, 16, 32), True, save_tiff)
FORMATS = {
    ".png": Format("PNG", (8, 16), True, save_png, code_points=True),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": Format("WebP", (8,), True, _webp, lossy=True),
    ".avif": Format("AVIF", (8,), True, _avif, lossy=True, lossless=False),
    ".jxl": Format("JPEG XL", (8, 16), True, _jxl, lossy=True, code_points=True),
    ".bmp": Format("BMP", (8,), False, _bmp, profile=False),
    ".npy": Format("NumPy", (32,), True, _npy, profile=False),
    ".exr": Format("EXR", (32,), True, _exr, half=True, light=True),
}
