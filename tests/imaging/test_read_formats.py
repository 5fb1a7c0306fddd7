"""Formats by content: who reads what, what is named and refused, and what a file says besides its pixels."""

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO
import PIL.Image
import pillow_heif
import pytest
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.colour import same_space, space_named
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_image, read_size
from mattecli.imaging.reading import formats
from mattecli.imaging.reading.decoding import decode
from mattecli.imaging.write import write_image
from tests.imaging.test_read import TURNED, add_png_chunk, as_stored, noise, png16

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'


def interop(index: str) -> PIL.Image.Exif:
    """EXIF that says which colour space: R98 is sRGB, R03 AdobeRGB."""
    tags = PIL.Image.Exif()
    tags.get_ifd(0x8769)[0xA005] = {1: index}
    return tags


def by_openimageio(path: Path, pixels: NDArray[Any], **attributes: Any) -> None:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    spec = OpenImageIO.ImageSpec(pixels.shape[1], pixels.shape[0], channels, str(pixels.dtype))
    for name, value in attributes.items():
        spec.attribute(name, value)
    spec.attribute("oiio:UnassociatedAlpha", 1)
    output = OpenImageIO.ImageOutput.create(str(path))
    assert output.open(str(path), spec)
    assert output.write_image(pixels)
    output.close()


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for Ghostscript")
def test_postscript_named_jpg_is_named_and_never_given_to_ghostscript(tmp_path: Path) -> None:
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "gs").chmod(0o755)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    code = """
import sys
from mattecli.errors import InputError
from mattecli.imaging.read import read_image, read_size
for read in (read_size, read_image):
    try:
        read(sys.argv[1])
    except InputError as error:
        print(error)
"""
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", code, photo],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"{photo} is PostScript; export it as PNG or TIFF"] * 2
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"%PDF-1.7\n", r"is a PDF document; export the page as PNG or TIFF"),
        (b"gimp xcf v011\0", r"is a GIMP project; export it as PNG or TIFF"),
        (b'<?xml version="1.0"?><svg/>', r"is XML, such as an SVG drawing; export it as PNG"),
        (b"\n<!DOCTYPE html><html>", r"is a web page; download the picture itself"),
        (b"FUJIFILMCCD-RAW 0201", r"is a camera RAW file; develop it first"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", r"is a camera RAW file; develop it first"),
        (b"II\x1a\0\0\0HEAPCCDR", r"is a camera RAW file; develop it first"),
        (b"\0\0\x0f\x17moov\0\0\0lmvhd", r"is a video; save one of its frames"),
        (b"RIFFP;\xfe\6AVI LIST", r"is a video; save one of its frames"),
        (b"\0\0\0\x18ftypisom\0\0\0\1isommp42", r"is a video; save one of its frames"),
        (b"anything else, whatever its name", r"is not an image that can be read; use PNG"),
    ],
)
def test_other_kinds_of_files_are_named_for_what_they_are(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    for read in (read_image, read_size):
        with pytest.raises(InputError, match=rf"photo\.jpg {sentence}"):
            read(tmp_path / "photo.jpg")


def test_pillow_is_asked_for_one_format_alone(tmp_path: Path) -> None:
    """A TGA has no mark at its start; Pillow would take it by its name and content."""
    PIL.Image.fromarray(noise(4, 5, 3)).save(tmp_path / "a.tga")
    with pytest.raises(InputError, match=r"a\.tga is not an image that can be read"):
        read_image(tmp_path / "a.tga")
    assert {form.key for form in formats.FORMATS if form.reader == "pillow"} == {
        *("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "PPM"),
    }


@pytest.mark.parametrize(("name", "kind"), [("a.jxl", "uint16"), ("a.jp2", "uint16"), ("a.jxl", "uint8")])
def test_jpeg_xl_and_jpeg_2000_come_back_exactly(tmp_path: Path, name: str, kind: str) -> None:
    pixels = noise(123, 131, 3, depth=16 if kind == "uint16" else 8)
    by_openimageio(tmp_path / name, pixels, compression="jpegxl:100", **{"jpeg2000:Reversible": 1})
    image = read_image(tmp_path / name)
    assert image.depth == (16 if kind == "uint16" else 8)
    assert np.array_equal(image.pixels, pixels)
    assert read_size(tmp_path / name) == (131, 123)


def test_radiance_floats_keep_their_highlights(tmp_path: Path) -> None:
    pixels = np.array([[[8, 4, 2], [0.5, 0.25, 0.125]]], np.float32)
    by_openimageio(tmp_path / "a.hdr", pixels)
    assert np.array_equal(read_image(tmp_path / "a.hdr").pixels, pixels)
    assert read_size(tmp_path / "a.hdr") == (2, 1)


def test_dpx_of_16_bits_is_read(tmp_path: Path) -> None:
    pixels = noise(6, 9, 3, depth=16)
    by_openimageio(tmp_path / "a.dpx", pixels)
    linear = ReadOptions(input_space="linear")
    assert np.array_equal(read_image(tmp_path / "a.dpx", options=linear).pixels, pixels)
    assert read_size(tmp_path / "a.dpx") == (9, 6)
    with pytest.raises(InputError, match=r"a\.dpx is a DPX that does not state its transfer curve; add `input_space="):
        read_image(tmp_path / "a.dpx")


def test_a_ppm_of_16_bits_keeps_them(tmp_path: Path) -> None:
    pixels = noise(4, 5, 3, depth=16)
    (tmp_path / "a.ppm").write_bytes(b"P6\n# a comment\n5 4\n65535\n" + pixels.astype(">u2").tobytes())
    assert np.array_equal(read_image(tmp_path / "a.ppm").pixels, pixels)
    assert read_size(tmp_path / "a.ppm") == (5, 4)


def test_a_photoshop_file_without_a_merged_picture_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "flat.psd").write_bytes(_psd(noise(4, 5, 3), merged=True))
    assert np.array_equal(read_image(tmp_path / "flat.psd").pixels, noise(4, 5, 3))
    (tmp_path / "layers.psd").write_bytes(_psd(noise(4, 5, 3), merged=False))
    with pytest.raises(
        InputError, match=r"layers\.psd has no merged picture; save it again in Photoshop with Maximize"
    ):
        read_image(tmp_path / "layers.psd")


def test_a_saved_selection_in_a_photoshop_file_is_not_alpha(tmp_path: Path) -> None:
    (tmp_path / "a.psd").write_bytes(_psd(noise(4, 5, 4), merged=True))
    assert np.array_equal(read_image(tmp_path / "a.psd", keep_alpha=True).pixels, noise(4, 5, 4)[..., :3])


def test_lab_of_photoshop_has_neutral_in_the_middle(tmp_path: Path) -> None:
    lab = np.tile(np.array([128, 168, 158], np.uint8), (4, 5, 1))
    lab[0, 0] = 128
    data = bytearray(_psd(lab, merged=True))
    data[24:26] = b"\0\x09"  # the mode of its header
    (tmp_path / "a.psd").write_bytes(data)
    image = read_image(tmp_path / "a.psd")
    assert image.pixels[0, 0].tolist() == [119, 119, 119]
    red, green, blue = image.pixels[1, 1].astype(int)
    assert red > green + 80 > blue + 80
    assert image.notes == (f"{tmp_path / 'a.psd'}: it is Lab and was converted to sRGB",)


def _psd(pixels: NDArray[np.uint8], *, merged: bool) -> bytes:
    """A Photoshop file (Adobe's specification) of the merged picture alone, or of white where there is none."""
    height, width, channels = pixels.shape
    info = struct.pack(">IB", 1, merged) + bytes(19)
    resources = b"8BIM" + struct.pack(">H", 1057) + bytes(2) + struct.pack(">I", len(info)) + info
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, height, width, 8, 3) + bytes(4)
    return (
        head + struct.pack(">I", len(resources)) + resources + bytes(4) + bytes(2) + pixels.transpose(2, 0, 1).tobytes()
    )


# --- several pictures in one file -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame_is_read_and_that_is_said(tmp_path: Path, kind: str) -> None:
    first, second = PIL.Image.new("RGB", (6, 4), (255, 0, 0)), PIL.Image.new("RGB", (6, 4), (0, 0, 255))
    path = tmp_path / f"a.{kind}"
    first.save(path, save_all=True, append_images=[second], **({"lossless": True} if kind == "webp" else {}))
    image = read_image(path)
    assert image.pixels[0, 0].tolist() == [255, 0, 0]
    assert image.notes == (f"{path}: only its first frame is read",)


def _mpo(xmp: bytes | None) -> bytes:
    buffer, second = io.BytesIO(), PIL.Image.new("L", (4, 4))
    options = {} if xmp is None else {"xmp": xmp}
    PIL.Image.new("RGB", (8, 8), (200, 0, 0)).save(buffer, "MPO", save_all=True, append_images=[second], **options)
    return buffer.getvalue()


def test_a_gain_map_is_not_a_second_picture(tmp_path: Path) -> None:
    gain = b'<x:xmpmeta xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
    (tmp_path / "phone.jpg").write_bytes(_mpo(gain))
    (tmp_path / "stereo.jpg").write_bytes(_mpo(None))
    assert read_image(tmp_path / "phone.jpg").notes == (f"{tmp_path / 'phone.jpg'}: its HDR gain map is dropped",)
    assert read_image(tmp_path / "stereo.jpg").notes == (f"{tmp_path / 'stereo.jpg'}: only its first picture is read",)


# --- what a file says besides its pixels ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "avif", "png 16"])
def test_exif_and_xmp_are_carried_as_they_are(tmp_path: Path, kind: str) -> None:
    tags = PIL.Image.Exif()
    tags[271] = "Camera"
    block = tags.tobytes()[6:]
    path = tmp_path / f"a.{kind[:4].strip()}"
    if "png" in kind:
        content = png16(noise(4, 5, 3, depth=16 if "16" in kind else 8))
        content = add_png_chunk(content, b"eXIf", block)
        path.write_bytes(add_png_chunk(content, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP))
    else:
        PIL.Image.fromarray(noise(4, 5, 3)).save(path, exif=tags, xmp=XMP)
    metadata = read_image(path).metadata
    assert (metadata.exif, metadata.xmp) == (block, XMP)


def test_compressed_xmp_of_a_png_is_read(tmp_path: Path) -> None:
    text = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)
    (tmp_path / "a.png").write_bytes(add_png_chunk(png16(noise(4, 5, 3)), b"iTXt", text))
    assert read_image(tmp_path / "a.png").metadata.xmp == XMP


def test_iptc_of_a_jpeg_is_carried(tmp_path: Path) -> None:
    records = b"\x1c\x02\x78\x00\x05hello"
    block = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records
    buffer = io.BytesIO()
    PIL.Image.fromarray(noise(4, 5, 3)).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    marker = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + marker + jpeg[2:])
    assert read_image(tmp_path / "a.jpg").metadata.iptc == records


@pytest.mark.parametrize("index", ["R03", "R98"])
def test_the_colour_space_that_exif_alone_states_is_told(tmp_path: Path, index: str) -> None:
    PIL.Image.fromarray(noise(8, 8, 3)).save(tmp_path / "a.jpg", exif=interop(index))
    assert decode(tmp_path / "a.jpg").tags.interop == index


def test_png_tells_its_code_points_gamma_and_primaries(tmp_path: Path) -> None:
    content = png16(noise(4, 5, 3, depth=16))
    corners = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    for name, block in (
        (b"cICP", bytes([9, 16, 0, 1])),
        (b"gAMA", struct.pack(">I", 45455)),
        (b"cHRM", struct.pack(">8I", *corners)),
        (b"sRGB", b"\0"),
    ):
        content = add_png_chunk(content, name, block)
    (tmp_path / "a.png").write_bytes(content)
    tags = decode(tmp_path / "a.png").tags
    assert (tags.cicp, tags.gamma, tags.srgb) == ((9, 16, 0, 1), 0.45455, True)
    assert tags.chromaticities == (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_png_of_narrow_range_comes_with_full_black_and_white_and_its_alpha(depth: int, channels: int) -> None:
    step = 1 if depth == 8 else 256
    levels = np.array([[0, 16, 71, 235, 255]]) * step
    stored = np.repeat(levels[..., None], channels, axis=2).astype(np.uint8 if depth == 8 else np.uint16)
    content = png16(stored[..., 0] if channels == 1 else stored)
    narrow = read_image(add_png_chunk(content, b"cICP", bytes([9, 16, 0, 0])), keep_alpha=True)
    full = read_image(add_png_chunk(content, b"cICP", bytes([9, 16, 0, 1])), keep_alpha=True)
    expected = np.array([0, 0, 55 / 219, 1, 1]) * (255 if depth == 8 else 65535)
    assert np.abs(narrow.pixels[0, :, :3] - expected[:, None]).max() <= 0.5
    assert np.array_equal(full.pixels[..., :3], stored[..., [0] * 3])
    assert np.array_equal(narrow.pixels[..., 3:], full.pixels[..., 3:])
    assert narrow.cicp == full.cicp == (9, 16, 0, 1)


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_an_orientation_that_xmp_alone_states_is_applied(tmp_path: Path, kind: str) -> None:
    upright = np.kron(noise(3, 5, 3), np.ones((8, 8, 1), np.uint8))
    stored = PIL.Image.fromarray(as_stored(upright, 1, mirrored=False))
    path = tmp_path / f"a.{kind}"
    if kind == "jpg":
        stored.save(path, quality=100, subsampling=0, xmp=XMP)
    else:
        text = b"XML:com.adobe.xmp\0\0\0\0\0" + XMP
        path.write_bytes(add_png_chunk(png16(np.asarray(stored)), b"iTXt", text))
    assert np.abs(read_image(path).pixels.astype(int) - upright).max() <= (4 if kind == "jpg" else 0)
    assert read_size(path) == (40, 24)


@pytest.mark.parametrize("per_metre", [(0, 0), (3, 11811), (2**32 - 1, 2**32 - 1)])
def test_an_absurd_resolution_is_dropped(tmp_path: Path, per_metre: tuple[int, int]) -> None:
    content = add_png_chunk(png16(noise(4, 5, 3)), b"pHYs", struct.pack(">IIB", *per_metre, 1))
    (tmp_path / "a.png").write_bytes(content)
    assert read_image(tmp_path / "a.png").resolution is None


# --- HEIC -------------------------------------------------------------------------------------------------------------


def test_heic_of_10_bits_comes_as_16_bits_with_full_white(tmp_path: Path) -> None:
    flat = np.full((64, 64, 3), 65535, np.uint16)
    flat[:, :32] = 0
    pillow_heif.from_bytes("RGB;16", (64, 64), flat.tobytes()).save(tmp_path / "a.heic", quality=-1, bit_depth=10)
    image = read_image(tmp_path / "a.heic")
    assert image.depth == 16
    assert image.pixels.max() == 65535
    assert image.pixels.min() <= 64
    assert read_size(tmp_path / "a.heic") == (64, 64)


@pytest.mark.parametrize(("mode", "white", "form"), [("RGBa", 255, "u1"), ("RGBa;16", 65535, "<u2")])
def test_heic_with_premultiplied_alpha_is_straight(tmp_path: Path, mode: str, white: int, form: str) -> None:
    colour = np.array([0.8, 0.4, 0.2])
    stored = np.rint(white * np.array([*(colour * 0.5), 0.5])).astype(form)
    content = np.tile(stored, (64, 64, 1)).tobytes()
    with (tmp_path / "a.heic").open("wb") as file:
        pillow_heif.encode(mode, (64, 64), content, file, quality=-1)
    found = read_image(tmp_path / "a.heic", keep_alpha=True).pixels
    full = np.iinfo(found.dtype).max
    assert np.abs(found / full - [*colour, 0.5]).max() < 0.01


def test_a_damaged_heic_is_named(tmp_path: Path) -> None:
    pillow_heif.from_bytes("RGB", (64, 64), bytes(64 * 64 * 3)).save(tmp_path / "a.heic")
    whole = (tmp_path / "a.heic").read_bytes()
    (tmp_path / "cut.heic").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(InputError, match=r"cut\.heic is truncated or damaged"):
        read_image(tmp_path / "cut.heic")


@pytest.mark.parametrize(("orientation", "turns", "mirrored"), TURNED)
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_a_dpx_is_turned_upright_and_its_exr_says_nothing_of_it(
    tmp_path: Path, kind: str, orientation: int, turns: int, mirrored: bool
) -> None:
    upright = noise(5, 7, 3, depth=16).astype(kind)
    by_openimageio(tmp_path / "a.dpx", as_stored(upright, turns, mirrored))
    content = bytearray((tmp_path / "a.dpx").read_bytes())
    number = (1, 2, 4, 3, 5, 6, 8, 7).index(orientation)  # SMPTE ST 268
    content[768:770] = number.to_bytes(2, "big" if content[:4] == b"SDPX" else "little")
    (tmp_path / "a.dpx").write_bytes(content)
    linear = ReadOptions(input_space="linear")
    assert read_size(tmp_path / "a.dpx") == (7, 5)
    for source in (tmp_path / "a.dpx", bytes(content)):
        image = read_image(source, options=linear)
        assert np.array_equal(image.pixels, upright)
    write_image(tmp_path / "a.exr", image)
    assert "Orientation" not in read_image(tmp_path / "a.exr").metadata.attributes


@pytest.mark.parametrize(
    ("said", "space"),
    [
        ({"oiio:ColorSpace": "KodakLog"}, "cineon"),
        ({"dpx:Transfer": "Printing density"}, "cineon"),
        ({"oiio:ColorSpace": "lin_rec709_scene", "dpx:Transfer": "Linear"}, "linear"),
        ({"oiio:ColorSpace": "srgb_rec709_scene", "dpx:Transfer": "ITU-R 709-4"}, "srgb"),
        ({"dpx:Transfer": "SMPTE 274M"}, "srgb"),
        ({"dpx:Transfer": "ITU-R 601-5 system B or G"}, "srgb"),
        ({"dpx:Transfer": "ITU-R 601-5 system M"}, "srgb"),
        ({"dpx:Transfer": "NTSC composite video"}, "srgb"),
    ],
)
def test_a_dpx_that_states_its_transfer_needs_no_option(tmp_path: Path, said: dict[str, str], space: str) -> None:
    by_openimageio(tmp_path / "a.dpx", noise(6, 9, 3, depth=16), **said)
    assert same_space(read_image(tmp_path / "a.dpx").space, space_named(space))


@pytest.mark.parametrize(
    ("transfer", "fact"),
    [
        ("PAL composite video", "states the transfer 'PAL composite video', which is not read"),
        ("ADX", "states the transfer 'ADX', which is not read"),
        ("Unspecified video", "does not state its transfer curve"),
        ("User defined", "does not state its transfer curve"),
    ],
)
def test_a_dpx_without_a_known_transfer_is_refused_for_what_it_is(tmp_path: Path, transfer: str, fact: str) -> None:
    by_openimageio(tmp_path / "a.dpx", noise(6, 9, 3, depth=16), **{"dpx:Transfer": transfer})
    with pytest.raises(InputError, match=rf"a\.dpx is a DPX that {fact}; add `input_space=cineon`"):
        read_image(tmp_path / "a.dpx")


@pytest.mark.parametrize("stated", ["white", "all bits"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_white_may_be_transparent_in_a_grey_png_of_few_bits(tmp_path: Path, bits: int, stated: str) -> None:
    white, columns = 2**bits - 1, 8 // bits
    rows = bytes([0, white << (8 - bits)])  # no filter; white, and the other columns black
    header = struct.pack(">IIBBBBB", columns, 1, bits, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n"
    for name, content in (
        ("IHDR", header),
        ("tRNS", struct.pack(">H", white if stated == "white" else 65535)),
        ("IDAT", zlib.compress(rows)),
        ("IEND", b""),
    ):
        code = name.encode()
        png += struct.pack(">I", len(content)) + code + content + struct.pack(">I", zlib.crc32(code + content))
    (tmp_path / "a.png").write_bytes(png)
    pixels = read_image(tmp_path / "a.png", keep_alpha=True).pixels
    assert pixels[0].tolist() == [[255, 255, 255, 0], *[[0, 0, 0, 255]] * (columns - 1)]
