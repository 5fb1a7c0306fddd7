"""Makes files of every layout, each with the pixels that reading must give; `odd_files.py` reads them."""

from __future__ import annotations

import io
import itertools
import logging
import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import OpenEXR
import PIL.Image
import pillow_heif
import pyvips
import tifffile
from numpy.typing import NDArray
from PIL import ImageCms

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 37, 53


@dataclass(frozen=True, eq=False)
class File:
    """A file's name and content, and what reading must give; None where it must be refused by name."""

    name: str
    content: bytes
    expected: NDArray[Any] | None
    tolerance: float = 0.0


def all_files() -> Iterator[File]:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    yield from tiff_files()
    yield from tiff_kinds()
    yield from png_files()
    yield from exr_files()
    yield from codec_files()
    yield from psd_files()
    yield from pillow_files()
    yield from array_files()
    yield from refused_files()


def rgb(pixels: NDArray[Any]) -> NDArray[Any]:
    """Grey (H, W) as RGB, grey with alpha (H, W, 2) as RGBA."""
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    if pixels.shape[2] == 2:
        return np.concatenate([np.repeat(pixels[..., :1], 3, axis=2), pixels[..., 1:]], axis=2)
    return pixels


def noise(channels: int, dtype: str, bits: int = 16) -> NDArray[Any]:
    """Random pixels, (H, W) for one channel; alpha is 0 in a corner, where colours stay."""
    shape = (HEIGHT, WIDTH, channels)
    pixels = RNG.random(shape).astype(dtype) if dtype[0] == "f" else RNG.integers(0, 2**bits, shape).astype(dtype)
    if channels in (2, 4):
        pixels[:9, :7, -1] = 0
    return pixels[..., 0] if channels == 1 else pixels


def tiff(pixels: NDArray[Any], *, separate: bool = False, **options: Any) -> bytes:
    buffer = io.BytesIO()
    channels = 1 if pixels.ndim == 2 or "volumetric" in options else pixels.shape[2]
    options.setdefault("photometric", "minisblack" if channels < 3 else "rgb")
    if channels in (2, 4) and "extrasamples" not in options and options["photometric"] != "separated":
        options["extrasamples"] = ["unassalpha"]
    if channels > 1:
        options["planarconfig"] = "separate" if separate else "contig"
    tifffile.imwrite(buffer, np.moveaxis(pixels, -1, 0) if separate else pixels, **options)
    return buffer.getvalue()


def by_tifffile(content: bytes, *, separate: bool) -> NDArray[Any]:
    """What tifffile and imagecodecs make of a TIFF."""
    pixels = tifffile.imread(io.BytesIO(content))
    return np.moveaxis(pixels, 0, -1) if separate and pixels.ndim == 3 else pixels


def tiff_files() -> Iterator[File]:
    """Type × channels × compression × planes × tiles × predictor × byte order, checked with tifffile."""
    layouts = itertools.product(
        ("u1", "u2", "f2", "f4"),
        (1, 2, 3, 4),
        (None, "lzw", "zlib", "packbits"),
        (False, True),
        (None, (16, 32)),
        ("<", ">"),
    )
    for dtype, channels, compression, separate, tile, order in layouts:
        if (separate and channels == 1) or (order == ">" and compression == "packbits"):
            continue
        pixels = noise(channels, dtype, 8 if dtype == "u1" else 16)
        for predictor in (False, True) if compression in ("lzw", "zlib") and order == "<" else (False,):
            rows = None if tile or RNG.random() < 0.3 else int(RNG.integers(1, HEIGHT))
            content = tiff(
                pixels,
                separate=separate,
                compression=compression,
                predictor=predictor,
                tile=tile,
                byteorder=order,
                rowsperstrip=rows,
                bigtiff=bool(RNG.random() < 0.3),
            )
            name = f"tiff_{dtype}_{channels}_{compression}_{'sep' if separate else 'con'}_{'tile' if tile else 'strip'}"
            expected = rgb(by_tifffile(content, separate=separate))
            expected = expected.astype("f4") if dtype[0] == "f" else expected.astype(dtype)
            yield File(f"{name}_{'be' if order == '>' else 'le'}_{'p' if predictor else 'n'}.tif", content, expected)


def tiff_kinds() -> Iterator[File]:
    """Other kinds of pixels: odd depths, white is zero, palettes, premultiplied, YCbCr, CCITT."""
    for bits, channels in itertools.product((1, 2, 4, 6, 10, 12, 14), (1, 3)):
        pixels = noise(channels, "u1" if bits <= 8 else "u2", bits)
        full = 255 if bits <= 8 else 65535
        expected = np.rint(pixels * (full / (2**bits - 1))).astype(pixels.dtype)
        for white in ("miniswhite", "minisblack") if channels == 1 else ("rgb",):
            content = tiff(pixels, photometric=white, bitspersample=bits)
            wanted = full - expected if white == "miniswhite" else expected
            yield File(f"tiff_{bits}bits_{channels}_{white}.tif", content, rgb(wanted), 1)
    for dtype, full in (("u1", 255), ("u2", 65535), ("f4", np.float32(1))):
        pixels = noise(1, dtype, 8 if dtype == "u1" else 16)
        yield File(
            f"tiff_{dtype}_white.tif", tiff(pixels, photometric="miniswhite"), rgb((full - pixels).astype(dtype))
        )
    for dtype, full in (("u1", 255), ("u2", 65535)):
        pixels = noise(4, dtype, 8 if dtype == "u1" else 16)
        straight = pixels[..., :3].astype(np.float32)
        alpha = pixels[..., 3:].astype(np.float32)
        divided = np.rint(np.minimum(straight / np.where(alpha > 0, alpha, 1), 1) * full)
        colours = np.where(alpha > 0, divided, straight)
        expected = np.concatenate([colours, alpha], axis=2).astype(dtype)
        yield File(f"tiff_{dtype}_premultiplied.tif", tiff(pixels, extrasamples=["assocalpha"]), expected)
        selection = tiff(pixels, extrasamples=["unspecified"])
        yield File(f"tiff_{dtype}_selection.tif", selection, pixels[..., :3])
        both = np.concatenate([pixels[..., :3], noise(1, dtype, 8)[..., None], pixels[..., 3:]], axis=2)
        content = tiff(both, extrasamples=["unspecified", "unassalpha"])
        yield File(f"tiff_{dtype}_selection_alpha.tif", content, both[..., [0, 1, 2, 4]])
    smooth = PIL.Image.fromarray(np.kron(RNG.integers(0, 256, (6, 8, 3), dtype="u1"), np.ones((8, 8, 1), "u1")))
    for name, picture, compression in (
        ("jpeg", smooth, "jpeg"),
        ("jpeg_grey", smooth.convert("L"), "jpeg"),
        ("palette", smooth.quantize(16), None),
        ("group3", smooth.convert("1"), "group3"),
        ("group4", smooth.convert("1"), "group4"),
    ):
        buffer = io.BytesIO()
        picture.save(buffer, "TIFF", compression=compression)
        expected = np.asarray(PIL.Image.open(buffer).convert("RGB"))
        yield File(f"tiff_{name}.tif", buffer.getvalue(), expected, 1 if name == "palette" else 0)
    for dtype, separate in itertools.product(("u1", "u2"), (False, True)):
        inks = np.zeros((HEIGHT, WIDTH, 4), dtype)
        inks[..., 1:3] = np.iinfo(dtype).max  # red
        content = tiff(inks, photometric="separated", separate=separate)
        red = np.zeros((HEIGHT, WIDTH, 3), dtype)
        red[..., 0] = np.iinfo(dtype).max
        yield File(f"tiff_{dtype}_cmyk_{'sep' if separate else 'con'}.tif", content, red)


def png(pixels: NDArray[Any], *, chunks: bytes = b"") -> bytes:
    content: bytes = imagecodecs.png_encode(pixels)
    return content[:33] + chunks + content[33:]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_files() -> Iterator[File]:
    for dtype, channels in itertools.product(("u1", "u2"), (1, 2, 3, 4)):
        pixels = noise(channels, dtype, 8 if dtype == "u1" else 16)
        yield File(f"png_{dtype}_{channels}.png", png(pixels), rgb(pixels))
    grey, colour = noise(1, "u2"), noise(3, "u2")
    clear = chunk(b"tRNS", grey[3:4, 4:5].astype(">u2").tobytes())
    alpha = np.where(grey == grey[3, 4], 0, 65535).astype("u2")
    yield File("png_u2_clear_grey.png", png(grey, chunks=clear), np.dstack([grey, grey, grey, alpha]))
    clear = chunk(b"tRNS", colour[3, 4].astype(">u2").tobytes())
    alpha = np.where((colour == colour[3, 4]).all(axis=2), 0, 65535).astype("u2")
    yield File("png_u2_clear_rgb.png", png(colour, chunks=clear), np.dstack([colour, alpha]))
    for interlaced, dtype in itertools.product((True,), ("uchar", "ushort")):
        pixels = noise(3, "u1" if dtype == "uchar" else "u2", 8 if dtype == "uchar" else 16)
        picture = pyvips.Image.new_from_array(pixels, interpretation="rgb" if dtype == "uchar" else "rgb16")
        content = picture.pngsave_buffer(interlace=interlaced, bitdepth=8 if dtype == "uchar" else 16)
        yield File(f"png_interlaced_{dtype}.png", content, pixels)


def exr(header: dict[str, Any], channels: dict[str, NDArray[Any]]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.exr")
        kind = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION, **header}
        OpenEXR.File(kind, channels).write(str(path))
        return path.read_bytes()


def exr_files() -> Iterator[File]:
    """Values that TIFF could not hold, too: NaN, infinities, negatives and highlights, alpha 0 with colours."""
    compressions = {
        name: getattr(OpenEXR, f"{name}_COMPRESSION") for name in ("NO", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44")
    }
    for (name, compression), dtype, tiled in itertools.product(compressions.items(), ("f2", "f4"), (False, True)):
        pixels = noise(3, "f4").astype(dtype)
        lossy = name == "B44" or (name == "PXR24" and dtype == "f4")
        if not lossy:
            pixels[0, :5] = np.array([np.nan, np.inf, -np.inf, -1, 1000])[:, None]
        header: dict[str, Any] = {"compression": compression}
        if tiled:
            header |= {"type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()}
        try:
            content = exr(header, {"RGB": pixels})
        except Exception:  # this build of OpenEXR writes no such file
            continue
        content_name = f"exr_{name}_{dtype}_{'tile' if tiled else 'line'}.exr"
        yield File(content_name, content, pixels.astype("f4"), 0.25 if name == "B44" else 1e-5 if lossy else 0)
    grey = noise(1, "f4")
    yield File("exr_grey.exr", exr({}, {"Y": grey}), rgb(grey))
    alpha = RNG.choice(np.array([0, 1], "f4"), (HEIGHT, WIDTH))
    glow = np.dstack([noise(3, "f4") * 4, alpha])
    yield File("exr_glow.exr", exr({}, {"RGBA": glow}), glow)  # where alpha is 0 or 1, the bits stay
    half = np.dstack([noise(3, "f4"), np.full((HEIGHT, WIDTH), 0.5, "f4")])
    expected = np.dstack([half[..., :3] * 2, half[..., 3]])
    yield File("exr_half_covered.exr", exr({}, {"RGBA": half}), expected)
    windows = {
        "dataWindow": (np.array([-5, -3], "i4"), np.array([WIDTH - 6, HEIGHT - 4], "i4")),
        "displayWindow": (np.array([0, 0], "i4"), np.array([29, 19], "i4")),
    }
    pixels = noise(3, "f4")
    yield File("exr_windows.exr", exr(windows, {"RGB": pixels}), pixels)
    yield File("exr_layers.exr", exr({}, {"RGB": pixels, "diffuse": noise(3, "f4"), "Z": grey}), pixels)


def codec_files() -> Iterator[File]:
    """JPEG XL and JPEG 2000, lossless; Radiance HDR, whose colours share an exponent."""
    for dtype, channels in itertools.product(("u1", "u2", "f4"), (1, 2, 3, 4)):
        pixels = noise(channels, dtype, 8 if dtype == "u1" else 16)
        yield File(f"jxl_{dtype}_{channels}.jxl", imagecodecs.jpegxl_encode(pixels, lossless=True), rgb(pixels))
        if dtype != "f4" and channels != 2:
            for codec in ("jp2", "j2k"):
                content = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat=codec, reversible=True)
                yield File(f"jp2_{dtype}_{channels}.{codec}", content, pixels if channels > 1 else rgb(pixels))
    floats = noise(3, "f4") * 8
    mantissa, exponent = np.frexp(floats.max(axis=2))
    shared = np.minimum(floats * (mantissa * 256 / floats.max(axis=2))[..., None], 255).astype("u1")
    content = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {HEIGHT} +X {WIDTH}\n".encode()
    content += np.dstack([shared, (exponent + 128).astype("u1")]).tobytes()
    yield File("hdr_flat.hdr", content, np.ldexp(shared.astype("f4"), exponent[..., None] - 8), 0.02)


def psd(pixels: NDArray[Any], mode: int, depth: int, *, resources: bytes = b"", layered: bool = False) -> bytes:
    """A Photoshop file of the merged picture (H, W, C) alone; `layered` says that its alpha is transparency."""
    height, width, channels = pixels.shape
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, height, width, depth, mode) + bytes(4)
    layers = b""
    if layered:
        record = struct.pack(">4iH", 0, 0, 0, 0, 0) + b"8BIMnorm" + bytes([255, 0, 0, 0])
        info = struct.pack(">h", -1) + record + struct.pack(">I", 12) + bytes(12)
        layers = struct.pack(">I", len(info)) + info + bytes(4)
    head += struct.pack(">I", len(resources)) + resources + struct.pack(">I", len(layers)) + layers
    kind = {8: "u1", 16: ">u2", 32: ">f4"}[depth]
    return head + bytes(2) + pixels.astype(kind).transpose(2, 0, 1).tobytes()


def resource(number: int, content: bytes) -> bytes:
    padded = content + bytes(len(content) % 2)
    return b"8BIM" + struct.pack(">H", number) + bytes(2) + struct.pack(">I", len(content)) + padded


def psd_files() -> Iterator[File]:
    for depth, dtype in ((8, "u1"), (16, "u2")):
        colour = noise(3, dtype, depth)
        yield File(f"psd_{depth}_rgb.psd", psd(colour, 3, depth), colour)
        grey = noise(1, dtype, depth)
        yield File(f"psd_{depth}_grey.psd", psd(grey[..., None], 1, depth), rgb(grey))
        selection = np.dstack([colour, grey])
        yield File(f"psd_{depth}_selection.psd", psd(selection, 3, depth), colour)
        # Photoshop stores the merged picture over white
        full = 2**depth - 1
        alpha = RNG.choice(np.array([full // 2 + 1, full]), (HEIGHT, WIDTH))[..., None].astype(np.float64)
        over = np.rint(colour * (alpha / full) + full - alpha)
        expected = np.concatenate([colour, alpha], axis=2).astype(dtype)
        merged = psd(np.concatenate([over, alpha], axis=2), 3, depth, layered=True)
        yield File(f"psd_{depth}_transparent.psd", merged, expected, 2)
        black = np.zeros_like(colour)
        over = np.floor(black * (alpha / full) + full - alpha)
        expected = np.concatenate([black, alpha], axis=2).astype(dtype)
        content = psd(np.concatenate([over, alpha], axis=2), 3, depth, layered=True)
        yield File(f"psd_{depth}_black.psd", content, expected, 2)
        inks = np.full((HEIGHT, WIDTH, 4), full)
        inks[..., 1:3] = 0  # stored the other way round: red
        red = np.zeros((HEIGHT, WIDTH, 3), dtype)
        red[..., 0] = full
        yield File(f"psd_{depth}_cmyk.psd", psd(inks, 4, depth), red)
    floats = noise(3, "f4")
    yield File("psd_32_rgb.psd", psd(floats, 3, 32), floats)


def pillow_files() -> Iterator[File]:
    """The formats of Pillow, checked with libvips or the array; lossy ones with libvips."""
    colour, clear = noise(3, "u1", 8), noise(4, "u1", 8)
    smooth = np.kron(RNG.integers(0, 256, (5, 7, 3), dtype="u1"), np.ones((8, 8, 1), "u1"))
    for name, options, pixels in (
        ("bmp", {}, colour),
        ("ppm", {}, colour),
        ("webp", {"lossless": True, "exact": True}, colour),
        ("webp", {"lossless": True, "exact": True}, clear),
        ("gif", {}, None),
        ("jpg", {"quality": 90}, None),
        ("jpg", {"quality": 90, "progressive": True}, None),
        ("jpg", {"quality": 90, "subsampling": "4:2:0"}, None),
    ):
        buffer = io.BytesIO()
        picture = PIL.Image.fromarray(smooth if pixels is None else pixels)
        picture.save(buffer, {"jpg": "JPEG", "ppm": "PPM"}.get(name, name.upper()), **options)
        content = buffer.getvalue()
        expected = pixels
        if expected is None:
            expected = pyvips.Image.new_from_buffer(content, "").numpy()[..., :3]
        kind = "_".join(["x", *map(str, options)]) if name == "jpg" else f"{expected.shape[2]}"
        yield File(f"{name}_{kind}.{name}", content, expected, 3 if name == "jpg" else 0)
    yield from phone_files(smooth)
    deep = noise(3, "u2")
    yield File("ppm_16.ppm", f"P6 {WIDTH} {HEIGHT} 65535\n".encode() + deep.astype(">u2").tobytes(), deep)
    grey = noise(1, "u2")
    yield File("ppm_grey16.pgm", f"P5 {WIDTH} {HEIGHT} 65535\n".encode() + grey.astype(">u2").tobytes(), rgb(grey))


def phone_files(smooth: NDArray[Any]) -> Iterator[File]:
    """AVIF, HEIC of 8 and 10 bits, and JPEG with EXIF, XMP, a profile and a second picture."""
    picture, buffer = PIL.Image.fromarray(smooth), io.BytesIO()
    picture.save(buffer, "AVIF", quality=90, subsampling="4:4:4")
    expected = pyvips.Image.new_from_buffer(buffer.getvalue(), "").numpy()[..., :3]
    yield File("avif_8.avif", buffer.getvalue(), expected, 3)
    for bits, mode, pixels in ((8, "RGB", smooth), (10, "RGB;16", smooth.astype("u2") * 257)):
        buffer = io.BytesIO()
        heic = pillow_heif.from_bytes(mode, (smooth.shape[1], smooth.shape[0]), pixels.tobytes())
        heic.save(buffer, quality=-1, chroma=444, bit_depth=bits)
        yield File(f"heic_{bits}.heic", buffer.getvalue(), pixels, 3 if bits == 8 else 3 * 257)
    tags = PIL.Image.Exif()
    tags[271], tags[274] = "Camera", 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    buffer = io.BytesIO()
    small = picture.resize((8, 8))
    extras = {"exif": tags, "icc_profile": profile, "xmp": packet, "quality": 95, "subsampling": 0}
    picture.save(buffer, "MPO", save_all=True, append_images=[small], **extras)
    turned = np.ascontiguousarray(np.rot90(np.asarray(PIL.Image.open(buffer)), -1))
    yield File("jpg_phone.jpg", buffer.getvalue(), turned)


def array_files() -> Iterator[File]:
    for dtype, channels in itertools.product(("u1", "u2", "f2", "f4", "f8"), (1, 3, 4)):
        pixels = noise(channels, dtype, 8 if dtype == "u1" else 16)
        for order in "CF":
            buffer = io.BytesIO()
            np.save(buffer, np.asarray(pixels, order=order))
            expected = rgb(pixels.astype("f4") if dtype[0] == "f" else pixels)
            yield File(f"npy_{dtype}_{channels}_{order}.npy", buffer.getvalue(), expected)


def refused_files() -> Iterator[File]:
    """Files that are refused by name, and never guessed at."""
    pixels = noise(3, "u2")
    for compression in ("zstd", "lzma", "lerc", "jpegxl"):
        yield File(f"refused_{compression}.tif", tiff(pixels, compression=compression), None)
    yield File("refused_u4.tif", tiff(noise(3, "u4")), None)
    yield File("refused_i2.tif", tiff(noise(3, "i2", 15)), None)
    inks = noise(4, "u1", 8)
    yield File("refused_tiled_cmyk.tif", tiff(inks, photometric="separated", tile=(16, 16)), None)
    yield File("refused_tiled_12bits.tif", tiff(noise(3, "u2", 12), bitspersample=12, tile=(16, 16)), None)
    yield File("refused_f8.tif", tiff(noise(3, "f8")), None)
    volume = tiff(np.zeros((4, 32, 48), "u1"), volumetric=True, tile=(4, 16, 16), photometric="minisblack")
    yield File("refused_volume.tif", volume, None)
    yield File("refused_postscript.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", None)
    yield File("refused_dng.tif", tiff(noise(1, "u2"), extratags=[(50706, "B", 4, (1, 4, 0, 0), True)]), None)
    merged = resource(1057, struct.pack(">IB", 1, 0) + bytes(20))
    yield File("refused_unmerged.psd", psd(noise(3, "u1", 8), 3, 8, resources=merged), None)
