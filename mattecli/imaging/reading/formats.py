"""Which program reads which format, by the content of files.

What is not in the table is not read. Pillow and OpenImageIO would open much more, and some of it runs other programs:
Pillow gives PostScript, whatever its name, to Ghostscript.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HEAD = 32  # bytes that tell the format

Reader = Literal["pillow", "heif", "openimageio", "numpy"]


@dataclass(frozen=True)
class Format:
    """A format and who reads it. `key` is its name there; by `suffix` OpenImageIO finds its reader.

    `reads` says what of the format is read, for the docs.
    """

    name: str
    reader: Reader
    key: str
    suffix: str = ""
    reads: str = ""


JPEG = Format("JPEG", "pillow", "JPEG", reads="8 bits; RGB, grey, CMYK")
PNG_8 = Format("PNG", "pillow", "PNG", reads="to 8 bits, palettes; alpha")
PNG_16 = Format("PNG", "openimageio", "png", "png", reads="16 bits; alpha")
WEBP = Format("WebP", "pillow", "WEBP", reads="8 bits; alpha")
AVIF = Format("AVIF", "pillow", "AVIF", reads="8 bits (deeper files are rounded to 8); alpha")
HEIC = Format("HEIC", "heif", "HEIF", reads="8 bits, and 10 and 12 as 16; alpha; needs pillow-heif")
GIF = Format("GIF", "pillow", "GIF", reads="palettes; the first frame")
BMP = Format("BMP", "pillow", "BMP", reads="8 bits")
PNM = Format("PNM", "pillow", "PPM", reads="1 and 8 bits, grey of 16 bits")
PNM_16 = Format("PNM", "openimageio", "pnm", "ppm", reads="RGB of 16 bits")
TIFF = Format(
    "TIFF",
    "openimageio",
    "tiff",
    "tif",
    reads="1 to 16 bits, half, float; RGB, grey, palettes, CMYK, Lab; alpha; strips, tiles, separate planes; without "
    "compression or with LZW, Deflate, PackBits, JPEG, WebP, CCITT",
)
EXR = Format("OpenEXR", "openimageio", "openexr", "exr", reads="half, float; RGB, grey; alpha; layers, data windows")
HDR = Format("Radiance HDR", "openimageio", "hdr", "hdr", reads="RGBE as float")
DPX = Format("DPX", "openimageio", "dpx", "dpx", reads="8 to 16 bits; RGB, grey; alpha")
CINEON = Format("Cineon", "openimageio", "cineon", "cin", reads="8 to 16 bits; RGB, grey")
PSD = Format("Photoshop", "openimageio", "psd", "psd", reads="8, 16 and 32 bits; the merged picture")
JXL = Format("JPEG XL", "openimageio", "jpegxl", "jxl", reads="8 and 16 bits, half, float; alpha")
JP2 = Format("JPEG 2000", "openimageio", "jpeg2000", "jp2", reads="8 to 16 bits; RGB, grey; alpha")
NPY = Format("NumPy", "numpy", "npy", reads="8 and 16 bits, float; (H, W), (H, W, 3), (H, W, 4)")

FORMATS = (
    *(JPEG, PNG_8, PNG_16, WEBP, AVIF, HEIC, GIF, BMP, PNM, PNM_16),
    *(TIFF, EXR, HDR, DPX, CINEON, PSD, JXL, JP2, NPY),
)

_MAGIC = (
    (b"\xff\xd8\xff", JPEG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"BM", BMP),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
    (b"\x76\x2f\x31\x01", EXR),
    (b"#?RADIANCE", HDR),
    (b"#?RGBE", HDR),
    (b"SDPX", DPX),
    (b"XPDS", DPX),
    (b"\x80\x2a\x5f\xd7", CINEON),
    (b"\xd7\x5f\x2a\x80", CINEON),
    (b"8BPS\0\1", PSD),
    (b"8BPS\0\2", PSD),
    (b"\xff\x0a", JXL),
    (b"\0\0\0\x0cJXL \r\n\x87\n", JXL),
    (b"\0\0\0\x0cjP  \r\n\x87\n", JP2),
    (b"\xff\x4f\xff\x51", JP2),
    (b"\x93NUMPY", NPY),
)
_BRANDS = {
    AVIF: (b"avif", b"avis"),
    HEIC: (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"),
}

_DEVELOP = "a camera RAW file; develop it first (darktable, RawTherapee, Lightroom) and save it as TIFF"
_VIDEO = "a video; save one of its frames as PNG or TIFF"
# What is not read, with what it is and what to do.
_OTHERS = (
    (b"%!PS", "PostScript; export it as PNG or TIFF"),
    (b"\xc5\xd0\xd3\xc6", "an EPS file; export it as PNG or TIFF"),
    (b"%PDF", "a PDF document; export the page as PNG or TIFF"),
    (b"gimp xcf", "a GIMP project; export it as PNG or TIFF"),
    (b"<!DOCTYPE html", "a web page; download the picture itself"),
    (b"<html", "a web page; download the picture itself"),
    (b"<svg", "an SVG drawing; export it as PNG"),
    (b"<?xml", "XML, such as an SVG drawing; export it as PNG"),
    (b"PK\x03\x04", "a ZIP archive; unpack it, or export the picture in it as PNG or TIFF"),
    (b"\0\0\1\0", "an icon; export it as PNG"),
    (b"FUJIFILMCCD-RAW", _DEVELOP),
    (b"IIRO", _DEVELOP),
    (b"IIRS", _DEVELOP),
    (b"MMOR", _DEVELOP),
    (b"IIU\0", _DEVELOP),
    (b"FOVb", _DEVELOP),
    (b"II\x1a\0\0\0HEAPCCDR", _DEVELOP),
    (b"\0MRM", _DEVELOP),
    (b"\x1aE\xdf\xa3", _VIDEO),
)
RAW = _DEVELOP


def identify(head: bytes) -> Format | None:
    """The format of a file that begins with these bytes; None for anything that is not read."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG_16 if head[24:25] == b"\x10" else PNG_8
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return PNM
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(len(head), _box_size(head)), 4))]
        for brand in brands:
            for form, own in _BRANDS.items():
                if brand in own and (brand not in (b"mif1", b"msf1") or b"avif" not in brands):
                    return form
        return None
    return next((form for magic, form in _MAGIC if head.startswith(magic)), None)


def _box_size(head: bytes) -> int:
    return int.from_bytes(head[:4], "big")


def describe_other(head: bytes) -> str | None:
    """What a file that is not read is, with the remedy; None if that is unknown."""
    if head[4:8] == b"ftyp":
        return _DEVELOP if head[8:12] == b"crx " else _VIDEO
    if head[4:8] in (b"moov", b"mdat", b"wide") or (head.startswith(b"RIFF") and head[8:12] == b"AVI "):
        return _VIDEO
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return next((what for magic, what in _OTHERS if text.startswith(magic) or head.startswith(magic)), None)
