"""TIFF of every layout, by its header and OpenImageIO."""

import importlib.util
import itertools
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
import OpenImageIO
import PIL.Image
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import ImageCms

from mattecli.errors import InputError
from mattecli.imaging.read import read_image, read_size
from mattecli.imaging.reading import apart
from tests.imaging.test_read import cmyk_profile, noise
from tests.support.tiff import write_packed


def write(path: Path, pixels: NDArray[Any], **attributes: str) -> None:
    """A TIFF by OpenImageIO, which writes LZW and separate planes."""
    spec = OpenImageIO.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], str(pixels.dtype))
    for name, value in attributes.items():
        spec.attribute(name, value)
    if pixels.shape[2] == 4:
        spec.attribute("oiio:UnassociatedAlpha", 1)
    output = OpenImageIO.ImageOutput.create(str(path))
    assert output.open(str(path), spec)
    assert output.write_image(pixels)
    output.close()


@pytest.mark.parametrize(
    ("planes", "compression", "channels"),
    list(itertools.product(["contig", "separate"], ["none", "lzw", "zip", "packbits"], [3, 4])),
)
def test_16_bits_come_back_exactly_from_every_layout(
    tmp_path: Path, planes: str, compression: str, channels: int
) -> None:
    pixels = noise(70, 53, channels, depth=16)
    write(tmp_path / "a.tif", pixels, planarconfig=planes, compression=compression)
    assert np.array_equal(read_image(tmp_path / "a.tif", keep_alpha=True).pixels, pixels)


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_floats_keep_values_beyond_white_and_below_black(tmp_path: Path, kind: str) -> None:
    pixels = np.array([[[0.5, 4.0, -1.0], [65504.0, np.inf, 0.0]]], kind)
    pixels[0, 1, 2] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    image = read_image(tmp_path / "a.tif")
    assert image.pixels.tobytes() == pixels.astype(np.float32).tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", ["strips", "one strip", "tiles", "planes", "tiled planes"])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float16", "float32"])
def test_zip_of_every_layout_comes_back_exactly_and_needs_no_other_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, layout: str, order: Literal["<", ">"]
) -> None:
    def nobody(_: object) -> None:
        raise AssertionError("the file went to OpenImageIO")

    rng = np.random.default_rng(0)
    pixels = (rng.random((75, 53, 3)) * (9 if "float" in kind else np.iinfo(kind).max)).astype(kind)
    planes = "planes" in layout
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.moveaxis(pixels, 2, 0) if planes else pixels,
        byteorder=order,
        photometric="rgb",
        planarconfig="separate" if planes else "contig",
        tile=(32, 16) if "tile" in layout else None,
        rowsperstrip=None if "tile" in layout else 75 if layout == "one strip" else 7,
        compression="zlib",
        predictor=2 if "int" in kind else None,
    )
    monkeypatch.setattr(apart, "decode_apart", nobody)
    found = read_image(tmp_path / "a.tif").pixels
    assert np.array_equal(found, pixels.astype(np.float32) if "float" in kind else pixels)


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "half", "float"])
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_the_predictors_of_another_writer_are_undone(tmp_path: Path, planes: str, kind: str, channels: int) -> None:
    values = np.random.default_rng(0).random((40, 31, channels)).astype(np.float32)
    spec = OpenImageIO.ImageSpec(31, 40, channels, kind)
    spec.attribute("compression", "zip")
    spec.attribute("planarconfig", planes)
    spec.attribute("tiff:predictor", 3 if "f" in kind else 2)
    spec.attribute("oiio:UnassociatedAlpha", 1)
    output = OpenImageIO.ImageOutput.create(str(tmp_path / "a.tif"))
    assert output.open(str(tmp_path / "a.tif"), spec)
    assert output.write_image(values)
    output.close()
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        page: Any = tiff.pages.first
        assert page.tags[317].value == (3 if "f" in kind else 2)
    hints = OpenImageIO.ImageSpec()
    hints.attribute("oiio:UnassociatedAlpha", 1)
    their = OpenImageIO.ImageInput.open(str(tmp_path / "a.tif"), hints)
    found = read_image(tmp_path / "a.tif", keep_alpha=True).pixels
    expected = their.read_image("float" if kind in ("half", "float") else kind)
    their.close()
    if channels in (1, 2):
        assert np.array_equal(found[..., 0], expected[..., 0])
        assert channels == 1 or np.array_equal(found[..., 3], expected[..., 1])
    else:
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_damage_in_a_compressed_strip_is_found_and_nothing_is_left_unfilled(
    tmp_path: Path, kind: str, tile: tuple[int, int] | None
) -> None:
    """OpenImageIO returned such files without an error, in part with memory that nobody had filled."""
    pixels = np.random.default_rng(0).random((37, 53, 3)) * (1 if "float" in kind else 255)
    path = tmp_path / "zip.tif"
    tifffile.imwrite(path, pixels.astype(kind), photometric="rgb", compression="zlib", tile=tile)
    with tifffile.TiffFile(path) as file:
        at, length = file.pages.first.dataoffsets[0], file.pages.first.databytecounts[0]
    whole = path.read_bytes()
    for middle in (whole[at + length // 2 : at + length // 2 + 1] * 40, bytes(40)):
        path.write_bytes(whole[: at + length // 2] + middle + whole[at + length // 2 + 40 :])
        with pytest.raises(InputError, match=r"zip\.tif is truncated or damaged \(its compressed data is damaged\)"):
            read_image(path)


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 10, 12, 14])
def test_odd_depths_are_scaled_to_8_or_16_bits(tmp_path: Path, bits: int) -> None:
    top = 2**bits - 1
    values = np.array([[0, 1, top // 2, top]], np.uint8 if bits <= 8 else np.uint16)
    write_packed(tmp_path / "a.tif", values, bits)
    white = 255 if bits <= 8 else 65535
    image = read_image(tmp_path / "a.tif")
    assert image.depth == (8 if bits <= 8 else 16)
    assert np.abs(image.pixels[0, :, 0] - values[0] * (white / top)).max() <= 1


@pytest.mark.parametrize(("kind", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_white_is_zero_is_turned_round_in_every_depth(tmp_path: Path, kind: Any, white: int) -> None:
    values = np.array([[0, 0.25, 1]]) * white
    tifffile.imwrite(tmp_path / "a.tif", values.astype(kind), photometric="miniswhite")
    expected = white - values.astype(kind)[0].astype(np.float64)
    assert read_image(tmp_path / "a.tif").pixels[0, :, 0].tolist() == expected.tolist()


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "lzw", "packbits", "zlib"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_alpha_is_not_turned_round_where_white_is_zero(
    tmp_path: Path, kind: Any, compression: Any, planes: Literal["contig", "separate"]
) -> None:
    white = int(np.iinfo(kind).max)
    pixels = noise(9, 7, 2, depth=8 * np.dtype(kind).itemsize)
    stored = pixels if planes == "contig" else np.moveaxis(pixels, 2, 0)
    options: Any = {"photometric": "miniswhite", "extrasamples": ["unassalpha"], "planarconfig": planes}
    tifffile.imwrite(tmp_path / "a.tif", stored, compression=compression, **options)
    found = read_image(tmp_path / "a.tif", keep_alpha=True).pixels
    assert np.array_equal(found[..., 0], white - pixels[..., 0])
    assert np.array_equal(found[..., 3], pixels[..., 1])


def test_colours_beside_the_alpha_of_a_jpeg_tiff_are_straight(tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :96]
    pixels = np.stack([2 * x, 3 * y, x + y, 255 - 2 * y], axis=2).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "a.tif", compression="jpeg", quality=100)
    found = read_image(tmp_path / "a.tif", keep_alpha=True).pixels
    assert np.abs(found.astype(int) - pixels).max() <= 2


def test_colours_under_alpha_0_stay_in_a_straight_and_in_a_premultiplied_file(tmp_path: Path) -> None:
    pixels = np.array([[[40000, 20000, 1, 65535], [65535, 32768, 1, 0]]], np.uint16)
    for extra in ("unassalpha", "assocalpha"):
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=[extra])
        assert np.array_equal(read_image(tmp_path / "a.tif", keep_alpha=True).pixels, pixels), extra


def test_an_alpha_behind_a_saved_selection_is_the_alpha(tmp_path: Path) -> None:
    pixels = noise(4, 5, 5, depth=16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig="contig", extrasamples=[0, 2])
    assert np.array_equal(read_image(tmp_path / "a.tif", keep_alpha=True).pixels, pixels[..., [0, 1, 2, 4]])


def test_cmyk_of_16_bits_stays_16_bits_deep(tmp_path: Path) -> None:
    inks = np.zeros((4, 5, 4), np.uint16)
    inks[..., 1:3] = 65535
    inks[1, 2] = [12345, 0, 65535, 1000]
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated")
    image = read_image(tmp_path / "a.tif")
    assert image.pixels[0, 0].tolist() == [65535, 0, 0]
    assert image.pixels[1, 2].tolist() == [round((65535 - 12345) * 64535 / 65535), 64535, 0]
    assert image.notes == (f"{tmp_path / 'a.tif'}: it is CMYK and was converted to sRGB",)


@pytest.mark.parametrize("options", [{}, {"tile": (32, 32)}, {"rowsperstrip": 16}, {"photometric": "ycbcr"}])
def test_ycbcr_becomes_rgb(tmp_path: Path, options: dict[str, Any]) -> None:
    photo = np.repeat(np.repeat(noise(4, 5, 3), 16, axis=0), 16, axis=1)
    values = photo
    if options:  # JPEG stores RGB as YCbCr
        options = {"photometric": "rgb", "compression": "jpeg"} | options
    if "ycbcr" in options.values():
        values, options = np.asarray(PIL.Image.fromarray(photo).convert("YCbCr")), {"photometric": "ycbcr"}
    tifffile.imwrite(tmp_path / "a.tif", values, **(options or {"photometric": "rgb", "compression": "jpeg"}))
    with PIL.Image.open(tmp_path / "a.tif") as picture:
        expected = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(expected - photo).mean() < 4
    assert np.abs(read_image(tmp_path / "a.tif").pixels - expected).max() <= 3


@pytest.mark.parametrize("orientation", [1, 6])
def test_cmyk_of_jpeg_keeps_its_inks(tmp_path: Path, orientation: int) -> None:
    inks = np.tile(np.array([26, 76, 128, 51], np.uint8), (32, 48, 1))
    inks[:16, :24] = [200, 76, 128, 51]
    extra = {274: orientation}
    PIL.Image.fromarray(inks, "CMYK").save(tmp_path / "a.tif", compression="jpeg", quality=95, tiffinfo=extra)
    flat = PIL.Image.fromarray(inks, "CMYK").convert("RGB")
    expected = np.asarray(flat.transpose(PIL.Image.Transpose.ROTATE_270) if orientation == 6 else flat)
    found = read_image(tmp_path / "a.tif").pixels
    assert read_size(tmp_path / "a.tif") == (expected.shape[1], expected.shape[0])
    assert np.abs(found.astype(int) - expected).max() <= 3


@pytest.mark.parametrize("compression", ["lzw", "packbits", "zlib", None])
def test_cmyk_of_8_bits_keeps_its_inks(tmp_path: Path, compression: str | None) -> None:
    inks = np.tile(np.array([26, 76, 128, 51], np.uint8), (32, 48, 1))
    pillows = {"zlib": "tiff_adobe_deflate", "lzw": "tiff_lzw", None: None}
    picture = PIL.Image.fromarray(inks, "CMYK")
    picture.save(tmp_path / "a.tif", compression=pillows.get(compression, compression))
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("installed", [True, False])
def test_cmyk_of_16_bits_goes_through_its_profile(
    tmp_path: Path, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installed:
        pytest.importorskip("imagecodecs")
    ramp = np.zeros((3, 4000, 4), np.uint16)
    ramp[..., 0] = np.linspace(0, 65535, 4000).astype(np.uint16)
    profile = (34675, 7, len(cmyk_profile()), cmyk_profile(), True)
    for name, inks in (("deep", ramp), ("flat", (ramp >> 8).astype(np.uint8))):
        tifffile.imwrite(tmp_path / f"{name}.tif", inks, photometric="separated", extratags=[profile])
    if not installed:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    deep, flat = (read_image(tmp_path / f"{name}.tif") for name in ("deep", "flat"))
    if not installed:
        assert deep.pixels.dtype == np.uint8
        assert deep.notes[0].endswith('with 8 bits; pip install "mattecli[deep]" keeps 16')
        return
    assert deep.notes == (f"{tmp_path / 'deep.tif'}: it is CMYK and was converted to sRGB",)
    assert np.abs(deep.pixels / 257 - flat.pixels).max() < 1.5
    assert len(np.unique(deep.pixels[..., 0])) > 1000


@pytest.mark.parametrize("offset", [False, True])
def test_lab_of_both_kinds_becomes_srgb_as_littlecms_has_it(tmp_path: Path, offset: bool) -> None:
    rng = np.random.default_rng(0)
    lab = np.concatenate([rng.integers(0, 256, (40, 50, 1)), rng.integers(-60, 61, (40, 50, 2))], axis=2)
    lab[0, 0] = [128, 0, 0]
    signed = (lab & 255).astype(np.uint8)
    picture = PIL.Image.frombytes("LAB", (50, 40), signed.tobytes())
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    exactly = ImageCms.Flags.NOOPTIMIZE
    way = ImageCms.buildTransform(*profiles, "LAB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, exactly)
    expected = np.asarray(ImageCms.applyTransform(picture, way))
    stored = lab + offset * np.array([0, 128, 128])
    for kind, step in (("uint8", np.array([1, 1, 1])), ("uint16", np.array([257, 256, 256]))):
        pixels = (stored * step & (2 ** (8 * np.dtype(kind).itemsize) - 1)).astype(kind)
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="icclab" if offset else "cielab")
        image = read_image(tmp_path / "a.tif")
        assert image.pixels.dtype == kind
        assert image.notes == (f"{tmp_path / 'a.tif'}: it is Lab and was converted to sRGB",)
        found = image.pixels / (257 if kind == "uint16" else 1)
        assert np.ptp(found[0, 0]) <= 1  # neutral
        assert np.abs(found - expected).mean() < 0.5
        assert kind == "uint8" or np.abs(found - expected).max() < 1.5  # tables of LittleCMS round 8 bits coarsely
        (tmp_path / "a.tif").unlink()


def test_only_the_first_page_is_read_and_a_smaller_version_is_not_a_page(tmp_path: Path) -> None:
    first, second = noise(6, 8, 3), noise(3, 4, 3)
    with tifffile.TiffWriter(tmp_path / "pages.tif") as pages:
        pages.write(first, photometric="rgb")
        pages.write(second, photometric="rgb")
    with tifffile.TiffWriter(tmp_path / "small.tif") as pages:
        pages.write(first, photometric="rgb")
        pages.write(second, photometric="rgb", subfiletype=1)
    image = read_image(tmp_path / "pages.tif")
    assert np.array_equal(image.pixels, first)
    assert image.notes == (f"{tmp_path / 'pages.tif'}: only its first page is read",)
    assert read_image(tmp_path / "small.tif").notes == ()


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_a_smaller_copy_before_the_picture_is_not_taken_for_it(tmp_path: Path, compression: str | None) -> None:
    photo = np.repeat(np.repeat(noise(4, 5, 3), 16, axis=0), 16, axis=1)
    with tifffile.TiffWriter(tmp_path / "a.tif") as pages:
        pages.write(noise(8, 10, 3), photometric="rgb", subfiletype=1)
        pages.write(noise(4, 5, 3), photometric="rgb", subfiletype=1)
        if compression != "lzw":
            pages.write(photo, photometric="rgb", compression=compression, subfiletype=0)
    if compression == "lzw":
        small, large = PIL.Image.new("RGB", (10, 8)), PIL.Image.fromarray(photo)
        small.encoderinfo = {"tiffinfo": {254: 1}}
        small.save(tmp_path / "a.tif", save_all=True, append_images=[large], compression="tiff_lzw")
    image = read_image(tmp_path / "a.tif")
    assert read_size(tmp_path / "a.tif") == (80, 64) == image.size
    assert np.array_equal(image.pixels, photo)
    assert image.notes == ()


def test_a_single_page_that_says_it_is_a_smaller_copy_is_read(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(8, 10, 3), photometric="rgb", subfiletype=1)
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, noise(8, 10, 3))


@pytest.mark.parametrize(
    ("pixels", "options", "sentence"),
    [
        ((4, 5, 4, "u1"), {"photometric": "separated", "tile": (16, 16)}, r"CMYK in tiles, which is not read here"),
        (
            (4, 5, 2, "u1"),
            {"photometric": "minisblack", "compression": "jpeg", "extrasamples": [2], "planarconfig": "contig"},
            r"grey JPEG with alpha, which is not read here",
        ),
        (
            (5, 16, 16, "u1"),
            {"photometric": "separated", "compression": "jpeg", "extrasamples": [2], "planarconfig": "separate"},
            r"CMYK JPEG with alpha, which is not read here",
        ),
        ((4, 5, 3, "f8"), {}, r"64-bit floats; save it with 16 or 32 bits"),
        ((4, 5, 3, "i2"), {}, r"a TIFF of 16-bit signed integers; save it with 8 or 16 bits"),
        ((4, 5, 3, "u4"), {}, r"a TIFF of 32-bit integers; save it with 8 or 16 bits"),
    ],
)
def test_layouts_that_decoders_get_wrong_are_refused_by_name(
    tmp_path: Path, pixels: tuple[int, int, int, str], options: dict[str, Any], sentence: str
) -> None:
    values = np.zeros(pixels[:3], pixels[3])
    tifffile.imwrite(tmp_path / "odd.tif", values, **{"photometric": "rgb", **options})
    with pytest.raises(InputError, match=rf"odd\.tif is .*{sentence}"):
        read_image(tmp_path / "odd.tif")


def test_tiles_of_odd_depths_are_refused_by_name(tmp_path: Path) -> None:
    write_packed(tmp_path / "odd.tif", np.zeros((4, 5, 3), np.uint16), 12, tile=16)
    with pytest.raises(InputError, match=r"odd\.tif is .*12 bits in tiles, which is not read here"):
        read_image(tmp_path / "odd.tif")


@pytest.mark.parametrize("how", ["DNG", "preview of a NEF", "CR2", "IIQ"])
def test_a_camera_raw_file_is_named_and_not_taken_for_its_thumbnail(tmp_path: Path, how: str) -> None:
    path = tmp_path / "photo.nef"
    small = noise(120, 160, 3)
    if how == "DNG":
        tifffile.imwrite(path, small, photometric="rgb", extratags=[(50706, "B", 4, (1, 4, 0, 0), True)])
    elif how in ("CR2", "IIQ"):
        tifffile.imwrite(path, small, photometric="rgb")
        content = path.read_bytes()
        first = struct.unpack("<I", content[4:8])[0]
        mark = {"CR2": b"CR\2\0", "IIQ": b"IIII\0waR"}[how].ljust(8, b"\0")
        path.write_bytes(content[:4] + struct.pack("<I", 16) + mark + content[first:])
    else:
        with tifffile.TiffWriter(path) as file:
            file.write(small, photometric="rgb", subifds=1)
            file.write(noise(240, 320, depth=16), photometric="minisblack", subfiletype=0)
        content = path.read_bytes()  # tifffile writes no raw pixels, so that the second picture is made one by hand
        grey = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
        assert content.count(grey) == 1
        path.write_bytes(content.replace(grey, struct.pack("<HHIHH", 262, 3, 1, 32803, 0)))
    for read in (read_image, read_size):
        with pytest.raises(InputError, match=r"photo\.nef is a camera RAW file; develop it first \(darktable, RawTher"):
            read(path)


def test_exif_xmp_and_iptc_are_carried_as_they_are(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    iptc = b"\x1c\x02\x00\x00\x02\x00\x04\x1c\x02\x78\x00\x05hello"
    tags = PIL.Image.Exif()
    tags[271], tags[0x9003] = "Camera", "2020:01:02 03:04:05"
    PIL.Image.fromarray(noise(4, 5, 3)).save(
        tmp_path / "a.tif", exif=tags, tiffinfo={700: xmp, 33723: iptc, 271: "Camera", 315: "Ansel"}
    )
    metadata = read_image(tmp_path / "a.tif").metadata
    assert metadata.xmp == xmp
    assert metadata.iptc is not None
    assert metadata.iptc.startswith(iptc)
    carried = PIL.Image.Exif()
    assert metadata.exif is not None
    carried.load(metadata.exif)
    assert (carried[271], carried[315]) == ("Camera", "Ansel")
    assert 273 not in carried  # where the strips are


@pytest.mark.parametrize("tag", [700, 33723, 34377, 34675])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_metadata_behind_the_end_or_too_long_is_left_out_and_nothing_else(
    tmp_path: Path, tag: int, *, bigtiff: bool
) -> None:
    pixels, artist = noise(4, 5, 3), (315, 2, 0, "Ansel Adams", True)
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels,
        photometric="rgb",
        bigtiff=bigtiff,
        metadata=None,
        extratags=[(tag, 1, 100, bytes(100), True), artist],
    )
    content = (tmp_path / "a.tif").read_bytes()
    place = "<HHQQ" if bigtiff else "<HHII"
    at = next(at for at in range(len(content)) if content[at:].startswith(struct.pack(place[:-1], tag, 1, 100)))
    ends = [(100, 2**32 - 1), (2**27, 8), (2**32 - 1, 8)] + bigtiff * [(100, 2**63), (2**40, 2**64 - 1)]
    for count, where in ends:
        entry = struct.pack(place, tag, 1, count, where)
        (tmp_path / "b.tif").write_bytes(content[:at] + entry + content[at + len(entry) :])
        for source in (tmp_path / "b.tif", (tmp_path / "b.tif").read_bytes()):
            image = read_image(source, name="b.tif")
            assert np.array_equal(image.pixels, pixels)
            assert (image.icc, image.metadata.xmp, image.metadata.iptc) == (None, None, None)
            assert image.metadata.exif is not None
            assert b"Ansel Adams" in image.metadata.exif
            told = ("b.tif: its colour profile cannot be read and is ignored",)
            assert image.notes == (told if tag == 34675 else ())


def test_the_size_comes_from_the_header_of_big_tiff_too(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "big.tif", noise(7, 9, 3, depth=16), photometric="rgb", bigtiff=True, byteorder=">")
    assert read_size(tmp_path / "big.tif") == (9, 7)


@pytest.mark.parametrize("first", [(73,) * 6, (77,) * 6, (67, 82, 1), (67, 82, 3, 0)])
def test_pixels_that_look_like_the_mark_of_a_raw_file_are_read(tmp_path: Path, first: tuple[int, ...]) -> None:
    pixels = np.zeros((4, 5), np.uint8)
    pixels.reshape(-1)[: len(first)] = first
    ifd = 8 + pixels.size
    entries = [(256, 3, 5), (257, 3, 4), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 3, 4), (279, 4, 20)]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    content = b"II*\0" + struct.pack("<I", ifd) + pixels.tobytes() + struct.pack("<H", len(entries)) + table + bytes(4)
    (tmp_path / "a.tif").write_bytes(content)
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels[..., 0], pixels)
