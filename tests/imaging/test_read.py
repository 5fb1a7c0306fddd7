"""Reading: every kind of file becomes the arrays that were promised, and damaged files become one sentence."""

import errno
import io
import os
import struct
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import ImageCms

from mattecli.errors import DeviceError, InputError, UsageError
from mattecli.imaging.colour import to_profile
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_alpha, read_image, read_size
from mattecli.imaging.space import Space
from mattecli.system import memory
from mattecli.system.process import prepare_process
from mattecli.trimaps.pairs import read_trimap
from tests.support.permissions import lock

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TURNED = [(1, 0, False), (2, 0, True), (3, 2, False), (4, 2, True), (5, 3, True), (6, 1, False), (7, 1, True)]
TURNED += [(8, 3, False)]  # (EXIF orientation, quarter turns anticlockwise of what the camera stored, mirrored)


def noise(*shape: int, depth: int = 8, seed: int = 0) -> NDArray[Any]:
    kind = np.uint8 if depth == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**depth, shape, dtype=kind)


def as_stored(upright: NDArray[Any], turns: int, mirrored: bool) -> NDArray[Any]:
    """The rows a camera would have stored for a picture that is upright once EXIF is applied."""
    stored = np.rot90(upright, turns)
    return np.ascontiguousarray(stored[:, ::-1] if mirrored else stored)


def exif(orientation: int) -> PIL.Image.Exif:
    tags = PIL.Image.Exif()
    tags[0x0112] = orientation
    return tags


def profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile (ICC.1:2001) of the tags given and those every profile needs."""
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),
        **tags,
    }
    body, table, at = b"", struct.pack(">I", len(tags)), 128 + 4 + 12 * len(tags)
    for key, content in tags.items():
        table += key + struct.pack(">II", at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s12x4s", at + len(body), bytes(4), 0x02100000, kind, space, connection, b"acsp")
    header += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def grey_profile(gamma: float) -> bytes:
    """Grey with one power curve."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    return profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve})


def cmyk_profile() -> bytes:
    """Four neutral inks: a full one takes a quarter of the lightness L*, whichever it is."""
    corners = b"".join(bytes([round(255 * (1 - at.bit_count() / 4)), 128, 128]) for at in range(16))
    linear = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * (at % 4 == 0) for at in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + 4 * linear + corners + 3 * linear
    return profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def add_png_chunk(png: bytes, name: bytes, content: bytes, *, last: bool = False) -> bytes:
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    at = len(png) - 12 if last else 33
    return png[:at] + chunk + png[at:]


def png16(pixels: NDArray[Any]) -> bytes:
    code = {2: None, 3: cv2.COLOR_RGB2BGR}.get(pixels.shape[-1] if pixels.ndim == 3 else 2, cv2.COLOR_RGBA2BGRA)
    done, encoded = cv2.imencode(".png", pixels if code is None else cv2.cvtColor(pixels, code))
    assert done
    return encoded.tobytes()


# --- what a photo becomes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".webp"])
def test_rgb_comes_back_exactly_from_lossless_formats(tmp_path: Path, suffix: str) -> None:
    pixels = noise(7, 9, 3)
    PIL.Image.fromarray(pixels).save(tmp_path / f"a{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
    image = read_image(tmp_path / f"a{suffix}")
    assert np.array_equal(image.pixels, pixels)
    assert (image.depth, image.size) == (8, (9, 7))


@pytest.mark.parametrize("suffix", [".jpg", ".avif"])
def test_lossy_formats_are_read(tmp_path: Path, suffix: str) -> None:
    flat = np.full((16, 24, 3), (200, 100, 50), np.uint8)
    PIL.Image.fromarray(flat).save(tmp_path / f"a{suffix}", quality=95)
    pixels = read_image(tmp_path / f"a{suffix}").pixels
    assert pixels.shape == flat.shape
    assert np.abs(pixels.astype(int) - flat).max() <= 4


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "I;16"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    grey = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (4, 4))
    picture = PIL.Image.fromarray(grey)
    picture = PIL.Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    picture.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.depth == (16 if mode == "I;16" else 8)
    assert np.array_equal(
        image.pixels, np.repeat(grey[..., None], 3, axis=2).astype(int) * (257 if mode == "I;16" else 1)
    )


def test_alpha_is_kept_only_when_asked_for_and_there(tmp_path: Path) -> None:
    pixels = noise(5, 6, 4)
    PIL.Image.fromarray(pixels).save(tmp_path / "rgba.png")
    PIL.Image.fromarray(pixels[..., :3]).save(tmp_path / "rgb.png")
    assert np.array_equal(read_image(tmp_path / "rgba.png", keep_alpha=True).pixels, pixels)
    assert np.array_equal(read_image(tmp_path / "rgba.png").pixels, pixels[..., :3])
    assert read_image(tmp_path / "rgb.png", keep_alpha=True).pixels.shape == (5, 6, 3)


def test_palette_with_transparency_becomes_rgba(tmp_path: Path) -> None:
    picture = PIL.Image.fromarray(np.array([[0, 1, 2]], np.uint8), mode=None).convert("P")
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture.putdata([0, 1, 2])
    picture.save(tmp_path / "p.png", transparency=bytes([0, 128, 255]))
    expected = [[[10, 20, 30, 0], [40, 50, 60, 128], [70, 80, 90, 255]]]
    assert read_image(tmp_path / "p.png", keep_alpha=True).pixels.tolist() == expected


def test_grey_with_alpha_keeps_its_alpha(tmp_path: Path) -> None:
    PIL.Image.merge("LA", [PIL.Image.new("L", (2, 1), 90), PIL.Image.new("L", (2, 1), 40)]).save(tmp_path / "la.png")
    assert read_image(tmp_path / "la.png", keep_alpha=True).pixels.tolist() == [[[90, 90, 90, 40]] * 2]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_keeps_16_bits(tmp_path: Path, channels: int) -> None:
    pixels = noise(6, 5, 4, depth=16)
    if channels == 2:  # OpenCV writes no grey with alpha: a chunk of PNG by hand
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels[..., :2])
        ihdr = struct.pack(">IIBBBBB", 5, 6, 16, 4, 0, 0, 0)
        png = b"\x89PNG\r\n\x1a\n"
        for name, content in ((b"IHDR", ihdr), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
            png += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        expected = np.concatenate([np.repeat(pixels[..., :1], 3, axis=2), pixels[..., 1:2]], axis=2)
    else:
        png = png16(pixels[..., 0] if channels == 1 else np.ascontiguousarray(pixels[..., :channels]))
        expected = np.repeat(pixels[..., :1], 3, axis=2) if channels == 1 else pixels[..., :channels]
    (tmp_path / "a.png").write_bytes(png)
    image = read_image(tmp_path / "a.png", keep_alpha=True)
    assert image.depth == 16
    assert np.array_equal(image.pixels, expected)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", ["none", "deflate", "lzw", "planar", "big-endian"])
def test_16_bit_tiff_keeps_16_bits(tmp_path: Path, channels: int, kind: str) -> None:
    pixels = noise(20, 15, channels, depth=16)
    stored = pixels[..., 0] if channels == 1 else pixels
    path = tmp_path / "a.tif"
    if kind == "lzw":  # OpenCV's path: tifffile knows no LZW by itself
        swapped = stored if channels == 1 else stored[..., [2, 1, 0, 3][:channels]]
        assert cv2.imwrite(str(path), swapped, [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_LZW])
    else:
        planar = kind == "planar" and channels > 1
        tifffile.imwrite(
            path,
            np.moveaxis(stored, -1, 0) if planar else stored,
            photometric="minisblack" if channels == 1 else "rgb",
            planarconfig="separate" if planar else None if channels == 1 else "contig",
            extrasamples=["unassalpha"] if channels == 4 else None,
            compression="zlib" if kind == "deflate" else None,
            byteorder=">" if kind == "big-endian" else "<",
        )
    image = read_image(path, keep_alpha=True)
    assert image.depth == 16
    assert np.array_equal(image.pixels, np.repeat(pixels, 3, axis=2) if channels == 1 else pixels)


def test_premultiplied_16_bit_tiff_becomes_straight(tmp_path: Path) -> None:
    premultiplied = np.array([[[10000, 20000, 30000, 32768], [0, 0, 0, 0]]], np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", premultiplied, photometric="rgb", extrasamples=["assocalpha"])
    expected = [[[round(v * 65535 / 32768) for v in (10000, 20000, 30000)] + [32768], [0, 0, 0, 0]]]
    assert read_image(tmp_path / "a.tif", keep_alpha=True).pixels.tolist() == expected


def test_a_saved_selection_in_a_tiff_is_not_alpha(tmp_path: Path) -> None:
    pixels = noise(4, 5, 4, depth=16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unspecified"])
    assert np.array_equal(read_image(tmp_path / "a.tif", keep_alpha=True).pixels, pixels[..., :3])


def test_white_is_zero_tiff_is_turned_round(tmp_path: Path) -> None:
    pixels = noise(4, 5, depth=16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels[..., 0], 65535 - pixels)


def test_float_tiff_is_read_as_floats(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((4, 5, 3), np.float32)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    image = read_image(tmp_path / "a.tif")
    assert image.depth == 32
    assert np.array_equal(image.pixels, pixels)


def test_integers_deeper_than_16_bits_are_refused_by_name(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "deep.tif", np.zeros((4, 5), np.uint32), photometric="minisblack")
    with pytest.raises(InputError, match=r"deep\.tif is a TIFF of 32-bit integers; save it with 8 or 16 bits"):
        read_image(tmp_path / "deep.tif")


# --- orientation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("orientation", "turns", "mirrored"), TURNED)
@pytest.mark.parametrize("kind", ["png", "png late", "png 16", "webp", "tif", "tif 16", "tif 16 lzw"])
def test_orientation_is_applied_in_every_format(
    tmp_path: Path, kind: str, orientation: int, turns: int, mirrored: bool
) -> None:
    upright = noise(6, 10, 3, depth=16 if "16" in kind else 8)
    stored = as_stored(upright, turns, mirrored)
    path = tmp_path / f"a.{kind[:4].strip()}"
    tiff_tag = [(0x0112, "H", 1, orientation, True)]
    if kind == "tif 16 lzw":
        _write_lzw_tiff(path, stored, orientation)
    elif kind.startswith("tif"):
        tifffile.imwrite(path, stored, photometric="rgb", extratags=tiff_tag)
    elif kind == "webp":
        PIL.Image.fromarray(stored).save(path, lossless=True, exif=exif(orientation))
    else:
        png = png16(stored)
        path.write_bytes(add_png_chunk(png, b"eXIf", exif(orientation).tobytes()[6:], last="late" in kind))
    assert np.array_equal(read_image(path).pixels, upright)
    assert read_size(path) == (10, 6)


def _write_lzw_tiff(path: Path, pixels: NDArray[Any], orientation: int) -> None:
    """Plain LZW of 9-bit codes with a clear code often enough that the codes never grow (TIFF 6.0, section 13)."""
    bits = "".join(
        "100000000" * (at % 200 == 0) + f"{byte:09b}" for at, byte in enumerate(pixels.astype("<u2").tobytes())
    )
    bits += "100000001"
    bits += "0" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big")
    height, width = pixels.shape[:2]
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 0), (259, 3, 1, 5), (262, 3, 1, 2), (273, 4, 1, 0)]
    tags += [(274, 3, 1, orientation), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(data)), (284, 3, 1, 1)]
    at_depths = 8 + 2 + 12 * len(tags) + 4
    values = {258: at_depths, 273: at_depths + 6}
    entries = b"".join(struct.pack("<HHII", code, kind, n, values.get(code, value)) for code, kind, n, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    path.write_bytes(head + struct.pack("<3H", 16, 16, 16) + data)


@pytest.mark.parametrize(("orientation", "turns", "mirrored"), TURNED)
def test_a_photo_and_its_trimap_turn_the_same_way(tmp_path: Path, orientation: int, turns: int, mirrored: bool) -> None:
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :8], upright[:8, 8:16] = 255, 128
    stored = as_stored(upright, turns, mirrored)
    PIL.Image.fromarray(stored).convert("RGB").save(tmp_path / "a.jpg", quality=100, exif=exif(orientation))
    tifffile.imwrite(tmp_path / "t.tif", stored, photometric="minisblack", extratags=[(274, "H", 1, orientation, True)])
    assert np.abs(read_image(tmp_path / "a.jpg").pixels[..., 0].astype(int) - upright).max() <= 2
    assert np.array_equal(read_trimap(tmp_path / "t.tif"), upright)
    assert read_size(tmp_path / "a.jpg") == read_size(tmp_path / "t.tif") == (32, 16)


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_resolution_turns_with_the_picture(tmp_path: Path, suffix: str) -> None:
    picture = PIL.Image.fromarray(noise(6, 10, 3))
    picture.save(tmp_path / f"turned.{suffix}", dpi=(300, 150), exif=exif(6))
    picture.save(tmp_path / f"plain.{suffix}", dpi=(300, 150))
    assert read_image(tmp_path / f"turned.{suffix}").resolution == (150, 300)
    assert read_image(tmp_path / f"plain.{suffix}").resolution == (300, 150)


# --- colour -----------------------------------------------------------------------------------------------------------


def test_rgb_profile_is_kept_and_a_foreign_one_dropped(tmp_path: Path) -> None:
    picture = PIL.Image.fromarray(noise(4, 4, 3))
    picture.save(tmp_path / "rgb.png", icc_profile=SRGB)
    picture.save(tmp_path / "odd.png", icc_profile=grey_profile(1.8))
    assert read_image(tmp_path / "rgb.png").icc == SRGB
    assert read_image(tmp_path / "odd.png").icc is None


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_a_grey_photo_keeps_its_values_and_gets_an_rgb_profile_of_the_same_tones(
    tmp_path: Path, kind: str, depth: int
) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16) if depth == 8 else noise(16, 16, depth=16)
    if kind == "tif":
        tifffile.imwrite(tmp_path / "g.tif", grey, photometric="minisblack", iccprofile=grey_profile(1.0))
    else:
        body = b"grey\0\0" + zlib.compress(grey_profile(1.0))
        (tmp_path / "g.png").write_bytes(add_png_chunk(png16(grey), b"iCCP", body))
    image = read_image(tmp_path / f"g.{kind}")
    assert np.array_equal(image.pixels, np.repeat(grey[..., None], 3, axis=2))
    assert image.icc is not None
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    converted = to_profile(ramp, image.icc, None)  # by LittleCMS
    assert converted is not None
    linear = ramp / 255
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    assert np.abs(converted - 255 * encoded).max() <= 1
    assert read_image(tmp_path / f"g.{kind}").icc == image.icc  # profiles are dated: this date is fixed


def test_mattes_and_trimaps_ignore_a_profile(tmp_path: Path) -> None:
    grey = np.array([[0, 100, 255]], np.uint8)
    PIL.Image.fromarray(grey).save(tmp_path / "g.png", icc_profile=grey_profile(1.0))
    assert np.array_equal(read_alpha(tmp_path / "g.png"), (grey / 255).astype(np.float32))
    assert read_trimap(tmp_path / "g.png").tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("values", [(0, 255), (-1, 1), (0, np.nan)])
def test_a_photo_of_numpy_floats_far_beyond_white_needs_a_space(tmp_path: Path, values: tuple[float, float]) -> None:
    pixels = np.full((2, 3, 3), values[0], np.float32)
    pixels[0, 0, 0] = values[1]
    np.save(tmp_path / "a.npy", pixels)
    with pytest.raises(InputError, match=r"a\.npy holds floating-point values .* or add `input_space=linear`"):
        read_image(tmp_path / "a.npy")
    light = read_image(tmp_path / "a.npy", options=ReadOptions(input_space="linear"))
    assert np.array_equal(light.pixels, pixels, equal_nan=True)
    np.save(tmp_path / "b.npy", np.full((2, 3, 3), 1.04, np.float32))  # as resampling leaves it
    assert (read_image(tmp_path / "b.npy").pixels == np.float32(1.04)).all()


def test_cmyk_jpeg_without_profile_becomes_rgb(tmp_path: Path) -> None:
    PIL.Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "c.jpg", quality=100)
    image = read_image(tmp_path / "c.jpg")
    assert np.abs(image.pixels.astype(int) - (255, 0, 0)).max() <= 3
    assert image.icc is None


def test_cmyk_jpeg_goes_through_its_profile(tmp_path: Path) -> None:
    PIL.Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "c.jpg", icc_profile=cmyk_profile(), quality=100)
    image = read_image(tmp_path / "c.jpg")
    luminance = ((75 + 16) / 116) ** 3  # L* = 75 (CIE 15)
    grey = 255 * (1.055 * luminance ** (1 / 2.4) - 0.055)
    assert np.abs(image.pixels - grey).max() <= 2
    assert image.icc is None  # sRGB
    assert image.notes == (f"{tmp_path / 'c.jpg'}: it is CMYK and was converted to sRGB",)


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", ".jpg"), ("CMYK", ".tif"), ("LAB", ".tif")])
def test_an_input_space_does_not_count_for_colours_that_were_converted(tmp_path: Path, mode: str, suffix: str) -> None:
    file = tmp_path / f"c{suffix}"
    PIL.Image.new(mode, (16, 16), (50, 100, 150, 0)[: 4 if mode == "CMYK" else 3]).save(file)
    plain = read_image(file)
    for name in ("AdobeRGB", "linear", "srgb"):
        image = read_image(file, options=ReadOptions(input_space=name))
        assert image.space == Space()
        assert np.array_equal(image.pixels, plain.pixels)
        told = [f"{file}: the input space that was asked for does not count, because its colours were converted"]
        assert list(image.notes) == [*plain.notes, *(told if name != "srgb" else [])]
    with pytest.raises(UsageError, match="sRBG"):
        read_image(file, options=ReadOptions(input_space="sRBG"))


def test_a_broken_cmyk_profile_does_not_stop_the_photo(tmp_path: Path) -> None:
    PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "c.jpg", icc_profile=b"not a profile" * 20)
    assert read_image(tmp_path / "c.jpg").icc is None


# --- mattes -----------------------------------------------------------------------------------------------------------


def test_alpha_reads_8_16_and_float_to_the_same_scale(tmp_path: Path) -> None:
    values = np.array([[0, 1, 128, 255]], np.uint8)
    PIL.Image.fromarray(values).save(tmp_path / "8.png")
    PIL.Image.fromarray(values.astype(np.uint16) * 257).save(tmp_path / "16.png")
    np.save(tmp_path / "f.npy", values / 255)
    tifffile.imwrite(tmp_path / "f.tif", (values / 255).astype(np.float32), photometric="minisblack")
    for name in ("8.png", "16.png", "f.npy", "f.tif"):
        alpha = read_alpha(tmp_path / name)
        assert alpha.dtype == np.float32
        assert np.allclose(alpha, values / 255, atol=1e-7), name
        assert (alpha[0, 0], alpha[0, -1]) == (0, 1)
        assert read_size(tmp_path / name) == (4, 1)


def test_alpha_of_a_cut_out_is_its_transparency_and_of_a_grey_rgb_its_grey(tmp_path: Path) -> None:
    pixels = noise(4, 5, 4)
    PIL.Image.fromarray(pixels).save(tmp_path / "cutout.png")
    grey = np.repeat(pixels[..., :1], 3, axis=2)
    PIL.Image.fromarray(grey).save(tmp_path / "grey.png")
    PIL.Image.fromarray(np.dstack([grey, np.full((4, 5), 255, np.uint8)])).save(tmp_path / "opaque.png")
    assert np.allclose(read_alpha(tmp_path / "cutout.png"), pixels[..., 3] / 255)
    assert np.allclose(read_alpha(tmp_path / "grey.png"), pixels[..., 0] / 255)
    assert np.allclose(read_alpha(tmp_path / "opaque.png"), pixels[..., 0] / 255)


def test_bilevel_mask_is_zero_and_one(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.array([[True, False]])).save(tmp_path / "m.png")
    np.save(tmp_path / "m.npy", np.array([[True, False]]))
    assert read_alpha(tmp_path / "m.png").tolist() == read_alpha(tmp_path / "m.npy").tolist() == [[1, 0]]


def test_a_colour_photo_is_not_a_matte(tmp_path: Path) -> None:
    PIL.Image.fromarray(noise(8, 8, 3)).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match=r"photo\.png is a colour picture without transparency; give a grey matte"):
        read_alpha(tmp_path / "photo.png")


@pytest.mark.parametrize("top", [255.0, float("nan"), float("inf"), -3.0])
def test_floats_out_of_range_are_refused(tmp_path: Path, top: float) -> None:
    np.save(tmp_path / "a.npy", np.array([[0, top]], np.float32))
    with pytest.raises(InputError, match=r"a\.npy holds floating-point values .*; scale them to the range 0 to 1"):
        read_alpha(tmp_path / "a.npy")


@pytest.mark.parametrize("channel", [0, 3])
@pytest.mark.parametrize("grey", [False, True])
def test_nan_is_refused_in_whatever_channel_decides(tmp_path: Path, channel: int, *, grey: bool) -> None:
    pixels = np.random.default_rng(0).random((4, 5, 4), np.float32)
    if grey:
        pixels[..., :3] = pixels[..., :1]
    if channel == 0:
        pixels[..., 3] = 1
    pixels[0, 0, channel] = np.nan
    for name, values in (("rgba.npy", pixels), ("rgb.npy", pixels[..., :3])):
        if name == "rgba.npy" or channel == 0:
            np.save(tmp_path / name, values)
            with pytest.raises(InputError, match=rf"{name} holds floating-point values from nan"):
                read_alpha(tmp_path / name)


def test_arrays_of_another_shape_or_kind_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "shape.npy", np.zeros((2, 3, 5), np.uint8))
    np.save(tmp_path / "kind.npy", np.zeros((2, 3), np.int64))
    with pytest.raises(InputError, match=r"shape\.npy holds an array of shape"):
        read_alpha(tmp_path / "shape.npy")
    with pytest.raises(InputError, match=r"kind\.npy holds int64 values"):
        read_alpha(tmp_path / "kind.npy")


def test_a_pickle_in_a_npy_file_is_not_run(tmp_path: Path) -> None:
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"evil\.npy"):
        read_alpha(tmp_path / "evil.npy")


# --- names and pipes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a b.png", "Löwenzahn.png", "🦁 мех.png", "quote'\".png"])
def test_any_name_is_read(tmp_path: Path, name: str) -> None:
    for depth in (8, 16):
        pixels = noise(4, 5, 3, depth=depth)
        (tmp_path / name).write_bytes(png16(pixels))
        assert np.array_equal(read_image(str(tmp_path / name)).pixels, pixels)


class _Stdin:
    def __init__(self, content: bytes, *, terminal: bool = False) -> None:
        self.buffer = io.BytesIO(content)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def test_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(4, 5, 3, depth=16)
    monkeypatch.setattr(sys, "stdin", _Stdin(png16(pixels)))
    assert np.array_equal(read_image("-").pixels, pixels)


def test_standard_input_that_gives_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Stdin(b""))
    with pytest.raises(InputError, match=r"standard input is empty \(0 bytes\); pipe an image into it"):
        read_image("-")
    monkeypatch.setattr(sys, "stdin", _Stdin(b"", terminal=True))
    with pytest.raises(InputError, match=r"but that is a terminal"):
        read_image(Path("-"))
    with pytest.raises(InputError, match=r"can be read only once"):
        read_size("-")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_read(tmp_path: Path) -> None:
    pixels = noise(4, 5, 3)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(png16(pixels),))
    writer.start()
    assert np.array_equal(read_image(tmp_path / "pipe").pixels, pixels)
    writer.join()


# --- files that cannot be used ----------------------------------------------------------------------------------------


def _encoded(kind: str) -> bytes:
    picture = PIL.Image.fromarray(cv2.GaussianBlur(noise(96, 96, 3), (0, 0), 1))
    buffer = io.BytesIO()
    if kind == "png16":
        return png16(noise(40, 40, 3, depth=16))
    if kind.startswith("tif16"):
        compression = "zlib" if kind == "tif16 zip" else None
        tifffile.imwrite(buffer, noise(40, 40, 3, depth=16), photometric="rgb", compression=compression, rowsperstrip=8)
    elif kind == "tif lzw":
        picture.save(buffer, "TIFF", compression="tiff_lzw")
    elif kind == "npy":
        np.save(buffer, noise(40, 40))
    else:
        picture.save(buffer, kind)
    return buffer.getvalue()


KINDS = ["PNG", "png16", "JPEG", "WEBP", "AVIF", "BMP", "TIFF", "tif lzw", "tif16", "tif16 zip", "npy"]


@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_stops_with_its_name_and_is_never_filled(tmp_path: Path, kind: str, part: float) -> None:
    whole = _encoded(kind)
    (tmp_path / "cut.img").write_bytes(whole)
    read_image(tmp_path / "cut.img")
    (tmp_path / "cut.img").write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(InputError, match=r"cut\.img is (truncated or damaged|not an image)"):
        read_image(tmp_path / "cut.img")


def test_a_flipped_byte_in_a_16_bit_png_is_found(tmp_path: Path) -> None:
    png = bytearray(png16(noise(40, 40, 3, depth=16)))
    png[len(png) // 2] ^= 0x10
    (tmp_path / "bad.png").write_bytes(png)
    with pytest.raises(InputError, match=r"bad\.png is truncated or damaged"):
        read_image(tmp_path / "bad.png")


@pytest.mark.parametrize("read", [read_image, read_alpha, read_trimap, read_size])
def test_missing_folder_empty_and_foreign_files_each_have_their_sentence(tmp_path: Path, read: Any) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.png").write_text("this is not a picture at all, whatever its name says")
    for name, sentence in {
        "gone.png": r"gone\.png does not exist; check its name and folder$",
        "": r" is a folder; name an image file in it$",
        "empty.png": r"empty\.png is empty \(0 bytes\); export or copy it again$",
        "notes.png": r"notes\.png is not an image that can be read; use PNG",
        "nul\0.png": r"cannot be opened|does not exist",
        "long" * 100: r"cannot be opened \(File name too long\)|does not exist",
    }.items():
        with pytest.raises(InputError, match=sentence):
            read(tmp_path / name)


def test_a_locked_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked.png").write_bytes(png16(noise(4, 4, 3)))
    lock(tmp_path / "locked.png", 0, monkeypatch)
    with pytest.raises(InputError, match=r"locked\.png cannot be opened \(Permission denied\)"):
        read_image(tmp_path / "locked.png")


@pytest.mark.skipif(sys.platform != "linux", reason="the file is Linux's")
def test_a_file_that_opens_but_cannot_be_read_is_named() -> None:
    with pytest.raises(InputError, match=r"/proc/self/mem cannot be read \(Input/output error\)"):
        read_image("/proc/self/mem")


def test_a_file_below_a_locked_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    for read in (read_image, read_size):
        with pytest.raises(InputError, match=r"a\.png cannot be opened \(Permission denied\)"):
            read(tmp_path / "a.png")


def test_heic_without_the_plug_in_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(40))
    with pytest.raises(InputError, match=r"a\.heic is HEIC, .* pip install pillow-heif or save it as JPEG"):
        read_image(tmp_path / "a.heic")


def test_the_size_of_a_photo_of_100_megapixels_is_read_in_a_process_of_ours(tmp_path: Path) -> None:
    """As a bilevel PNG it is small and quick; Pillow's own limit is 89 megapixels, and warnings are errors here."""
    prepare_process()
    PIL.Image.new("1", (12500, 8001)).save(tmp_path / "large.png")
    assert read_size(tmp_path / "large.png") == (12500, 8001)


@pytest.mark.parametrize("mode", ["1", "P", "RGB"])
def test_a_process_of_ours_reads_more_pixels_than_pillow_allows(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow warns beyond its limit and raises beyond twice as much; only the file's own reader meets that limit."""
    prepare_process()
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)
    suffix = "gif" if mode == "P" else "png"
    PIL.Image.new(mode, (30, 20)).save(tmp_path / f"large.{suffix}")
    assert read_image(tmp_path / f"large.{suffix}").size == (30, 20)


@pytest.mark.parametrize("kind", ["8.png", "8.tif", "16.png", "grey16.png", "16.tif", "8.npy"])
def test_a_picture_that_the_memory_cannot_hold_is_refused_before_it_is_decoded(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = noise(30, 40, *(() if "grey" in kind else (3,)), depth=16 if "16" in kind else 8)
    write = {"tif": tifffile.imwrite, "npy": np.save, "png": cv2.imwrite}[kind[-3:]]
    write(tmp_path / kind, pixels)
    read_image(tmp_path / kind, options=ReadOptions(max_memory=20 * pixels.nbytes))
    with pytest.raises(DeviceError, match=rf"{kind} has 40×30 pixels; .* and `max_memory` allows 0 MiB; allow more"):
        read_image(tmp_path / kind, options=ReadOptions(max_memory=2 * pixels.nbytes - 1))
    monkeypatch.setattr(memory, "free_bytes", lambda: 2 * pixels.nbytes - 1)
    with pytest.raises(DeviceError, match=rf"{kind} has 40×30 pixels; .* but only .* are free; free memory"):
        read_image(tmp_path / kind)


def test_a_real_bomb_is_refused(tmp_path: Path) -> None:
    prepare_process()
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    png = png16(noise(4, 4, 3))
    forged = png[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + png[33:]
    (tmp_path / "bomb.png").write_bytes(forged)
    with pytest.raises(InputError, match=r"bomb\.png has more than 500000000 pixels; raise `max_pixels`"):
        read_image(tmp_path / "bomb.png")


# --- transparency that hides something --------------------------------------------------------------------------------


def test_a_photo_tells_that_it_hides_pixels(tmp_path: Path) -> None:
    pixels = noise(4, 5, 4)
    pixels[..., 3] = 255
    PIL.Image.fromarray(pixels).save(tmp_path / "opaque.png")
    pixels[1, 2, 3] = 254
    PIL.Image.fromarray(pixels).save(tmp_path / "clear.png")
    assert not read_image(tmp_path / "opaque.png").transparent
    assert read_image(tmp_path / "clear.png").transparent
    assert not read_image(tmp_path / "clear.png", keep_alpha=True).transparent  # nothing is hidden: it is all there


def test_one_transparent_grey_of_a_16_bit_png_is_transparent(tmp_path: Path) -> None:
    grey = np.array([[0, 700, 65535]], np.uint16)
    (tmp_path / "g.png").write_bytes(add_png_chunk(png16(grey), b"tRNS", struct.pack(">H", 700)))
    pixels = read_image(tmp_path / "g.png", keep_alpha=True).pixels
    assert pixels.tolist() == [[[0, 0, 0, 65535], [700, 700, 700, 0], [65535, 65535, 65535, 65535]]]


# --- what a message says ----------------------------------------------------------------------------------------------


def _tiff(bits: int, compression: int, data: bytes) -> bytes:
    """Grey, 8 × 4, in one strip (TIFF 6.0, section 2)."""
    tags = [(256, 4, 8), (257, 4, 4), (258, 3, bits), (259, 3, compression), (262, 3, 1), (273, 4, 0), (277, 3, 1)]
    tags += [(278, 4, 4), (279, 4, len(data)), (284, 3, 1)]
    at = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", code, kind, 1, at if code == 273 else value) for code, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


def test_a_compression_that_cannot_be_read_is_named_in_our_words_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prepare_process()
    (tmp_path / "odd.tif").write_bytes(_tiff(16, 34887, bytes(40)))  # LERC
    with pytest.raises(InputError, match=r"odd\.tif has a compression \(LERC\) that is not read here; export it again"):
        read_image(tmp_path / "odd.tif")
    assert capfd.readouterr() == ("", "")  # decoders have a lot to say about it


def test_a_pgm_of_16_bits_keeps_them(tmp_path: Path) -> None:
    values = np.array([[0, 1, 4660], [40000, 65534, 65535]], np.uint16)
    (tmp_path / "g.pgm").write_bytes(b"P5 3 2 65535\n" + values.astype(">u2").tobytes())
    image = read_image(tmp_path / "g.pgm")
    assert image.depth == 16
    assert np.array_equal(image.pixels[..., 0], values)


def test_damage_behind_the_pixels_of_a_16_bit_png_is_found(tmp_path: Path) -> None:
    png = bytearray(add_png_chunk(png16(noise(6, 8, 3, depth=16)), b"eXIf", exif(6).tobytes()[6:], last=True))
    png[-13] ^= 0x10  # of the orientation's check sum
    (tmp_path / "bad.png").write_bytes(png)
    with pytest.raises(InputError, match=r"bad\.png is truncated or damaged"):
        read_image(tmp_path / "bad.png")
