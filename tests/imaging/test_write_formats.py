"""Formats of products: OpenEXR, JPEG XL, layers, depths and qualities."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO
import PIL.Image
import pytest
import tifffile

from mattecli.compositing.outputs import write_output
from mattecli.errors import InputError
from mattecli.imaging.choices import Kind
from mattecli.imaging.colour import linear, same_space, space_named
from mattecli.imaging.image import Image
from mattecli.imaging.metadata import Metadata, Windows
from mattecli.imaging.options import WriteOptions
from mattecli.imaging.products import LOSSY, depths, parse_products, suffixes
from mattecli.imaging.read import read_image
from mattecli.imaging.space import Space
from mattecli.imaging.view import network_view
from mattecli.imaging.write import write_alpha, write_image
from mattecli.imaging.writing.encoding import FORMATS
from mattecli.imaging.writing.layers import write_layers
from mattecli.work import outputs
from tests.imaging.test_metadata import camera_exif
from tests.imaging.test_read import SRGB, noise

GLOW = np.array([[[40000, 12345, 7, 1], [65535, 32768, 1, 0]]], np.uint16)  # colours under hardly any alpha and none


def exr(path: Path) -> tuple[Any, Any]:
    """The attributes and the pixels as the file stores them."""
    hints = OpenImageIO.ImageSpec()
    hints.attribute("oiio:UnassociatedAlpha", 1)
    source = OpenImageIO.ImageInput.open(str(path), hints)
    return OpenImageIO.ImageSpec(source.spec()), source.read_image("float")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jxl"])
def test_colours_under_alpha_0_come_back_bit_equal(tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / f"a{suffix}", Image(GLOW))
    hints = OpenImageIO.ImageSpec()
    hints.attribute("oiio:UnassociatedAlpha", 1)
    source = OpenImageIO.ImageInput.open(str(tmp_path / f"a{suffix}"), hints)
    assert np.array_equal(source.read_image("uint16"), GLOW)


def test_code_points_go_into_png_before_the_pixels(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", Image(noise(4, 4, 3, depth=16), cicp=(9, 16, 0, 1)))
    data = (tmp_path / "a.png").read_bytes()
    assert data[data.index(b"cICP") + 4 :][:4] == bytes([9, 16, 0, 1])
    assert data.index(b"cICP") < data.index(b"IDAT")


def test_exr_is_linear_premultiplied_light(tmp_path: Path) -> None:
    pixels = np.full((2, 3, 4), 188, np.uint8)
    pixels[..., 3] = 128
    write_image(tmp_path / "a.exr", Image(pixels))
    spec, stored = exr(tmp_path / "a.exr")
    assert spec.channelnames == ("R", "G", "B", "A")
    assert str(spec.format) == "half"
    light = ((188 / 255 + 0.055) / 1.055) ** 2.4
    assert stored[0, 0] == pytest.approx([light * 128 / 255] * 3 + [128 / 255], rel=1e-3)
    assert spec.getattribute("chromaticities") == pytest.approx(
        (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.329), abs=2e-3
    )
    write_image(tmp_path / "b.exr", Image(pixels), options=WriteOptions(premultiplied=False))
    assert exr(tmp_path / "b.exr")[1][0, 0] == pytest.approx([light] * 3 + [128 / 255], rel=1e-3)


def test_plates_keep_highlights_windows_and_attributes(tmp_path: Path) -> None:
    light = np.array([[[70000, 0.5, -1], [1000, np.nan, np.inf]]], np.float32)
    known = Metadata(
        windows=Windows((-2, 3, 2, 1), (0, 0, 10, 9)),
        attributes={
            "smpte:TimeCode": ("timecode", [18874368, 0]),
            "camera": "A",
            "framesPerSecond": ("rational", [24, 1]),
        },
    )
    plate = Image(light, linear().icc, (300.0, 300.0), metadata=known)
    write_image(tmp_path / "a.exr", plate)
    spec, stored = exr(tmp_path / "a.exr")
    assert str(spec.format) == "float"
    assert stored.tobytes() == light.tobytes()
    assert (spec.x, spec.y, spec.full_width, spec.full_height) == (-2, 3, 10, 9)
    assert spec.getattribute("smpte:TimeCode") == (18874368, 0)
    assert spec.getattribute("camera") == "A"
    with pytest.raises(InputError, match=r"values up to 70000, and half ends at 65504"):
        write_image(tmp_path / "b.exr", plate, options=WriteOptions(bits="half"))
    write_alpha(tmp_path / "m.exr", np.array([[0.25, 1]], np.float32), bits="half", like=plate)
    spec, stored = exr(tmp_path / "m.exr")
    assert (spec.x, spec.y, spec.channelnames) == (-2, 3, ("Y",))
    assert stored[..., 0].tolist() == [[0.25, 1]]


@pytest.mark.parametrize(
    ("size", "window"),
    [((3, 2), (-2, 3, 10, 8)), ((10, 8), (1, 1, 10, 8)), ((5, 4), (0, 0, 5, 4))],  # of data, of display, of neither
)
def test_a_plate_of_another_size_has_no_windows_of_the_old_one(
    tmp_path: Path, size: tuple[int, int], window: tuple[int, ...]
) -> None:
    known = Metadata(windows=Windows((-2, 3, 3, 2), (1, 1, 10, 8)))
    write_image(tmp_path / "a.exr", Image(np.zeros((*size[::-1], 3), np.float32), linear().icc, metadata=known))
    spec, _ = exr(tmp_path / "a.exr")
    assert (spec.x, spec.y, spec.full_width, spec.full_height) == window
    assert (spec.width, spec.height) == size


def test_the_shape_of_a_plates_pixels_stays_in_every_file(tmp_path: Path) -> None:
    wide = Metadata(attributes={"PixelAspectRatio": ("float", 2.0), "owner": ("string", "Ann")})
    plate = Image(np.zeros((2, 3, 3), np.float32), linear().icc, metadata=wide)
    write_image(tmp_path / "kept.exr", plate)
    write_image(tmp_path / "stripped.exr", plate, options=WriteOptions(metadata=False))
    write_alpha(tmp_path / "alpha.exr", np.zeros((2, 3), np.float32), like=plate)
    for name in ("kept", "stripped", "alpha"):
        spec, _ = exr(tmp_path / f"{name}.exr")
        assert spec.getattribute("PixelAspectRatio") == 2
        assert (spec.getattribute("Copyright") or spec.getattribute("owner")) == ("Ann" if name == "kept" else None)


def test_a_plate_with_glow_comes_back_bit_equal(tmp_path: Path) -> None:
    light = np.array([[[4, 2, 0.5, 0], [1, 0.5, 0.25, 0.5], [70000, np.nan, -1, 1], [0, 0, 0, 0]]], np.float32)
    hints = OpenImageIO.ImageSpec(4, 1, 4, "float")
    output = OpenImageIO.ImageOutput.create(str(tmp_path / "a.exr"))
    assert output.open(str(tmp_path / "a.exr"), hints)
    assert output.write_image(light)
    output.close()
    plate = read_image(tmp_path / "a.exr", keep_alpha=True)
    assert plate.glow is not None
    assert plate.glow.tolist() == [[True, False, False, False]]
    write_image(tmp_path / "b.exr", plate)
    assert exr(tmp_path / "b.exr")[1].tobytes() == light.tobytes()
    hidden = np.array([[[0.5, 0.5, 0.5, 0]]], np.float32)  # straight colours that continue under alpha 0 are not glow
    write_image(tmp_path / "c.exr", Image(hidden, linear().icc))
    assert not exr(tmp_path / "c.exr")[1].any()


@pytest.mark.parametrize("kind", ["cutout", "foreground", "composite"])
def test_outputs_of_8_bits_are_half_in_openexr_and_deeper_ones_float(tmp_path: Path, kind: Kind) -> None:
    def format_of(photo: Image, background: Image | None = None) -> str:
        write_output(kind, tmp_path / "a.exr", photo, alpha, background=background, overwrite=True)
        return str(OpenImageIO.ImageBuf(str(tmp_path / "a.exr")).nativespec().format)

    alpha = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    assert format_of(Image(noise(6, 8, 3))) == "half"
    assert format_of(Image(noise(6, 8, 3, depth=16))) == "float"
    bright = Image(np.full((6, 8, 3), 1e5, np.float32), linear().icc)
    assert format_of(Image(noise(6, 8, 3)), bright) == ("float" if kind == "composite" else "half")


def test_half_holds_bright_colours_that_little_alpha_makes_small(tmp_path: Path) -> None:
    bright = np.array([[[100000, 1, 1, 0.25]]], np.float32)
    write_image(tmp_path / "a.exr", Image(bright, linear().icc), options=WriteOptions(bits="half"))
    assert exr(tmp_path / "a.exr")[1].tolist() == [[[24992, 0.25, 0.25, 0.25]]]
    with pytest.raises(InputError, match="values up to 100000"):
        write_image(
            tmp_path / "b.exr", Image(bright, linear().icc), options=WriteOptions(bits="half", premultiplied=False)
        )


def test_a_quality_makes_cutouts_lossy_and_mattes_never(tmp_path: Path) -> None:
    pixels = noise(64, 64, 4)
    for name, quality in (("a", None), ("b", 80), ("c", "lossless")):
        write_image(tmp_path / f"{name}.webp", Image(pixels), options=WriteOptions(quality=quality))  # type: ignore[arg-type]
    read = {name: np.asarray(PIL.Image.open(tmp_path / f"{name}.webp")) for name in "abc"}
    assert np.array_equal(read["a"], pixels)
    assert np.array_equal(read["c"], pixels)
    assert not np.array_equal(read["b"][..., :3], pixels[..., :3])
    assert np.array_equal(read["b"][..., 3], pixels[..., 3])
    with pytest.raises(InputError, match=r"a\.jpg cannot hold colours without loss \(JPEG\)"):
        write_image(tmp_path / "a.jpg", Image(pixels[..., :3]), options=WriteOptions(quality="lossless"))


def test_floats_without_a_profile_get_one_in_tiff(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", Image(noise(4, 4, 3)), options=WriteOptions(bits="float"))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        page: Any = tiff.pages.first
        assert page.dtype == np.float32
        assert page.tags[34675].value[36:40] == b"acsp"


def test_light_above_white_becomes_srgb_in_png(tmp_path: Path) -> None:
    light = np.array([[[0.5, 0.5, 0.5], [4, 4, 4]]], np.float32)
    write_image(tmp_path / "a.png", Image(light, linear().icc))
    stored = np.asarray(OpenImageIO.ImageInput.open(str(tmp_path / "a.png")).read_image("uint16"))
    assert stored[0, 1].tolist() == [65535] * 3
    assert 0.6 < stored[0, 0, 0] / 65535 < 0.75  # 0.735 in sRGB, unless the shoulder lowers it
    assert b"iCCP" not in (tmp_path / "a.png").read_bytes()


@pytest.mark.parametrize("depth", [8, 16])
def test_layers_come_back_bit_equal(tmp_path: Path, depth: int) -> None:
    psd_tools = pytest.importorskip("psd_tools")
    photo, colours = noise(21, 300, 3, depth=depth), noise(21, 300, 3, depth=depth, seed=1)
    alpha = (noise(21, 300, depth=depth) / np.float32(2**depth - 1)).astype(np.float32)
    known = Metadata(xmp=b"<a/>", iptc=b"\x1c\x02\x05\x00\x01a")
    write_layers(tmp_path / "a.psd", Image(photo, SRGB, (300.0, 240.0), metadata=known), Image(colours, SRGB), alpha)
    document = psd_tools.PSDImage.open(tmp_path / "a.psd")
    assert [(layer.name, layer.visible, layer.has_mask()) for layer in document] == [
        ("Photo", False, False),
        ("Cut-out", True, True),
    ]
    full = 2**depth - 1
    below, above = document
    assert np.array_equal(np.rint(below.numpy("color") * full), photo)
    assert np.array_equal(np.rint(above.numpy("color") * full), colours)
    assert np.array_equal(np.rint(above.numpy("mask")[..., 0] * full), np.rint(alpha * np.float32(full)))
    merged = np.rint(document.numpy() * full)
    share = alpha[..., None].astype(np.float64)
    assert np.abs(merged - (colours * share + (1 - share) * full)).max() <= 1
    resources = document.image_resources
    assert resources.get_data(psd_tools.constants.Resource.ICC_PROFILE) == SRGB
    assert resources.get_data(psd_tools.constants.Resource.XMP_METADATA) == b"<a/>"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("depth", [8, 16])
def test_layers_in_a_tiff_come_back_bit_equal(tmp_path: Path, depth: int, order: str) -> None:
    psdtags = pytest.importorskip("psdtags")
    photo, colours = noise(21, 300, 3, depth=depth), noise(21, 300, 3, depth=depth, seed=1)
    alpha = (noise(21, 300, depth=depth) / np.float32(2**depth - 1)).astype(np.float32)
    known = Metadata(exif=camera_exif(order), xmp=b"<a/>")
    write_layers(tmp_path / "a.tif", Image(photo, SRGB, (300.0, 240.0), metadata=known), Image(colours, SRGB), alpha)
    data = psdtags.TiffImageSourceData.fromtiff(tmp_path / "a.tif")
    below, above = data.layers
    assert [layer.name for layer in data.layers] == ["Photo", "Cut-out"]
    assert [bool(layer.flags & 2) for layer in data.layers] == [True, False]  # hidden, as Photoshop counts
    assert data.byteorder == order
    for layer, expected in ((below, photo), (above, colours)):
        planes = {int(channel.channelid): channel.data for channel in layer.channels}
        assert np.array_equal(np.stack([planes[number] for number in range(3)], axis=2), expected)
        assert (planes[-1] == 2**depth - 1).all()
    mask = next(channel.data for channel in above.channels if int(channel.channelid) == -2)
    assert np.array_equal(mask, np.rint(alpha * np.float32(2**depth - 1)))
    assert above.mask.rectangle == (0, 0, 21, 300)
    merged = read_image(tmp_path / "a.tif")
    share = alpha[..., None].astype(np.float64)
    assert np.abs(merged.pixels - (colours * share + (1 - share) * (2**depth - 1))).max() <= 1
    assert (merged.icc, merged.resolution, merged.metadata.xmp) == (SRGB, (300.0, 240.0), b"<a/>")
    assert merged.metadata.exif is not None


def test_products_name_kinds_and_formats() -> None:
    products = parse_products("alpha:png16, cutout:webp,composite:JPG,layers")
    assert suffixes(products) == {"alpha": ".png", "cutout": ".webp", "composite": ".jpg", "layers": ".psd"}
    assert depths(products) == {"alpha": 16}
    assert suffixes(parse_products("layers:tif")) == {"layers": ".tif"}
    for text in (
        "cutout:jpg",
        "cutout:bmp",
        "alpha:jpg",
        "alpha:psd",
        "layers:png",
        "layers:tif16",
        "alpha:xyz",
        "matte",
        "alpha:png8,alpha",
    ):
        with pytest.raises(ValueError, match=r"^must "):
            parse_products(text)


def test_a_picture_in_memory_is_written_as_a_file_is(tmp_path: Path) -> None:
    from mattecli.imaging.writing.encoding import FORMATS

    image = Image(noise(8, 8, 4, depth=16))
    for suffix in (".jxl", ".png"):
        buffer = io.BytesIO()
        FORMATS[suffix].save(buffer, image)
        write_image(tmp_path / f"a{suffix}", image)
        assert buffer.getvalue() == (tmp_path / f"a{suffix}").read_bytes()


def test_what_is_said_of_suffixes_without_the_encoders_is_true_of_them() -> None:
    assert set(LOSSY) == {suffix for suffix, form in FORMATS.items() if form.lossy}
    assert {suffix for suffix, form in FORMATS.items() if form.depths == (8,)} <= outputs._EIGHT_BITS
    assert {suffix for suffix, form in FORMATS.items() if form.depths == (32,)} == outputs._FLOATS


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_the_values_of_a_cameras_log_stay_as_they_are(tmp_path: Path, suffix: str) -> None:
    depth = np.uint8 if suffix == ".webp" else np.uint16
    log = np.full((4, 5, 3), np.iinfo(depth).max // 3, depth)
    write_image(tmp_path / f"a{suffix}", Image(log, named_space="ARRI LogC4"), options=WriteOptions(quality="lossless"))
    back = read_image(tmp_path / f"a{suffix}")
    assert np.array_equal(back.pixels, log)
    assert back.icc is None


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize("name", ["Linear ARRI Wide Gamut 4", "Camera Rec.709"])
def test_a_named_space_that_is_no_log_is_written_as_srgb(tmp_path: Path, suffix: str, name: str) -> None:
    picture = Image(np.full((4, 5, 3), (1.5, 0.25, 0.125), np.float32), named_space=name)
    write_image(tmp_path / f"a{suffix}", picture, options=WriteOptions(bits=8 if suffix == ".jpg" else 16))
    shown = network_view(picture) / 65535
    back = read_image(tmp_path / f"a{suffix}")
    assert back.icc is None or same_space(back.space, Space())
    assert np.abs(back.pixels / np.iinfo(back.pixels.dtype).max - shown).max() < 0.02


def test_floats_above_white_in_a_space_of_their_own_are_written_as_srgb_by_the_tone_rule(tmp_path: Path) -> None:
    picture = Image(np.full((4, 5, 3), (1.5, 0.25, 0.125), np.float32), space_named("g22_ap1_scene").icc)
    write_image(tmp_path / "a.png", picture, options=WriteOptions(bits=16))
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, network_view(picture))
