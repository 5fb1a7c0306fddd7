"""`matte composite`, and the products that other commands make with the same code."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO
import PIL.Image
import PIL.ImageCms
import pytest
from numpy.typing import NDArray

from mattecli.compositing import composite as compositing
from mattecli.compositing.foreground import estimate_foreground
from mattecli.compositing.outputs import make_output, parse_colour, read_background
from mattecli.errors import DeviceError, InputError, UsageError
from mattecli.imaging.choices import Colour, Fit
from mattecli.imaging.image import Image
from mattecli.imaging.metadata import Metadata
from mattecli.imaging.read import read_alpha, read_image
from mattecli.imaging.write import write_alpha, write_image
from tests.conftest import RunMatte
from tests.imaging.test_colour import adobe_rgb, in_adobe_rgb
from tests.support.memory import free_memory
from tests.support.pictures import noise

GREEN = (0.0, 177 / 255, 64 / 255)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with photo.png (48×32, 8 bits, 300 dpi), photo_alpha.png and beach.png (20×30)."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    write_image("photo.png", Image(rng.integers(0, 256, (32, 48, 3), np.uint8), resolution=(300, 300)))
    write_alpha("photo_alpha.png", alpha())
    write_image("beach.png", Image(rng.integers(0, 256, (30, 20, 3), np.uint8)))
    return tmp_path


def alpha(height: int = 32, width: int = 48) -> NDArray[np.float32]:
    """A ramp of the 8-bit levels from 0 to 1."""
    row = np.rint(np.clip(np.linspace(-0.5, 1.5, width), 0, 1) * 255) / 255
    return np.repeat(row[None], height, axis=0).astype(np.float32)


def srgb_profile() -> bytes:
    return PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()


def expected(background: Any, *, linear: bool = False) -> NDArray[np.uint8]:
    photo, matte = read_image("photo.png").pixels, read_alpha("photo_alpha.png")
    foreground = estimate_foreground(photo, matte, linear=linear)
    floats = compositing.composite(foreground, matte, background, linear=linear)
    return np.rint(floats * 255).astype(np.uint8)


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_photo_over_a_colour_is_written_beside_it(folder: Path, run_matte: RunMatte) -> None:
    code, out, err = run_matte("composite", "photo.png", "photo_alpha.png", "-b", "#00b140")
    assert (code, out, err) == (0, "", "photo.png → photo_composite.png\n")
    result = read_image("photo_composite.png", keep_alpha=True)
    np.testing.assert_array_equal(result.pixels, expected(GREEN))
    assert result.resolution == pytest.approx((300, 300), rel=1e-3)


def test_a_photo_over_a_picture_has_the_photos_size(folder: Path, run_matte: RunMatte) -> None:
    assert run_matte("composite", "photo.png", "photo_alpha.png", "-b", "beach.png", "-o", "out.png")[0] == 0
    fitted = compositing.fit_background(read_image("beach.png").pixels, 48, 32)
    np.testing.assert_array_equal(read_image("out.png").pixels, expected(fitted))


@pytest.mark.parametrize("fit", ["contain", "stretch", "tile"])
def test_fit_is_obeyed(folder: Path, run_matte: RunMatte, fit: Fit) -> None:
    run_matte("composite", "photo.png", "photo_alpha.png", "-b", "beach.png", "-o", "out.png", "--fit", fit)
    fitted = compositing.fit_background(read_image("beach.png").pixels, 48, 32, fit=fit)
    np.testing.assert_array_equal(read_image("out.png").pixels, expected(fitted))


def test_around_colours_what_contain_leaves_free(folder: Path, run_matte: RunMatte) -> None:
    code, _, _ = run_matte(
        "composite",
        "photo.png",
        "photo_alpha.png",
        "-b",
        "beach.png",
        "-o",
        "o.png",
        "--fit",
        "contain",
        "--around",
        "red",
    )
    assert code == 0
    assert (read_image("o.png").pixels[:, :10] == [255, 0, 0]).all()


def test_linear_is_obeyed(folder: Path, run_matte: RunMatte) -> None:
    run_matte("composite", "photo.png", "photo_alpha.png", "-b", "white", "-o", "out.png", "--linear")
    written = read_image("out.png").pixels
    np.testing.assert_array_equal(written, expected((1.0, 1.0, 1.0), linear=True))
    assert (written != expected((1.0, 1.0, 1.0))).any()


@pytest.mark.parametrize("option", ["--keep-colours", "--keep-colors"])
def test_keep_colours_leaves_the_old_background_in_them(folder: Path, run_matte: RunMatte, option: str) -> None:
    run_matte("composite", "photo.png", "photo_alpha.png", "-b", "black", "-o", "out.png", option)
    by_hand = np.rint(read_image("photo.png").pixels * alpha()[..., None]).astype(np.uint8)
    np.testing.assert_allclose(read_image("out.png").pixels.astype(int), by_hand, atol=1)


def test_transparent_gives_a_straight_cutout(folder: Path, run_matte: RunMatte) -> None:
    assert run_matte("composite", "photo.png", "photo_alpha.png", "-b", "Transparent", "-o", "cut.png")[0] == 0
    cut = read_image("cut.png", keep_alpha=True).pixels
    assert cut.shape == (32, 48, 4)
    np.testing.assert_array_equal(cut[..., 3], np.rint(alpha() * 255))
    np.testing.assert_array_equal(cut[alpha() == 1, :3], read_image("photo.png").pixels[alpha() == 1])


def test_sixteen_bits_stay_sixteen_over_a_background_of_eight(folder: Path, run_matte: RunMatte) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (32, 48, 3), np.uint16)
    write_image("deep.png", Image(deep))
    assert run_matte("composite", "deep.png", "photo_alpha.png", "-b", "beach.png")[0] == 0
    result = read_image("deep_composite.png").pixels
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result[alpha() == 1], deep[alpha() == 1])
    fitted = compositing.fit_background(read_image("beach.png").pixels, 48, 32)
    np.testing.assert_array_equal(result[alpha() == 0], fitted[alpha() == 0].astype(np.uint16) * 257)


def test_eight_bits_stay_eight_over_a_background_of_sixteen(folder: Path, run_matte: RunMatte) -> None:
    write_image("deep.png", Image(np.full((32, 48, 3), 128 * 257, np.uint16)))
    assert run_matte("composite", "photo.png", "photo_alpha.png", "-b", "deep.png", "-o", "out.png")[0] == 0
    result = read_image("out.png").pixels
    assert result.dtype == np.uint8
    assert (result[alpha() == 0] == 128).all()


def test_an_opaque_background_gives_a_file_without_alpha(folder: Path, run_matte: RunMatte) -> None:
    assert run_matte("composite", "photo.png", "photo_alpha.png", "-b", "white", "-o", "out.jpg")[0] == 0
    run_matte("composite", "photo.png", "photo_alpha.png", "-b", "white")
    with PIL.Image.open("out.jpg") as jpeg, PIL.Image.open("photo_composite.png") as png:
        assert (jpeg.mode, png.mode) == ("RGB", "RGB")


def test_the_photos_profile_stays_and_a_deep_background_is_converted_to_it(folder: Path, run_matte: RunMatte) -> None:
    profile = adobe_rgb()
    PIL.Image.new("RGB", (48, 32), "teal").save("wide.png", icc_profile=profile)
    write_image("deep.png", Image(np.full((32, 48, 3), (200 * 257, 40 * 257, 30 * 257), np.uint16)))
    write_alpha("nothing.png", np.zeros((32, 48), np.float32))
    code, _, err = run_matte("composite", "wide.png", "nothing.png", "-b", "deep.png")
    assert (code, err) == (0, "wide.png → wide_composite.png\n")
    over = read_image("wide_composite.png")
    assert over.icc == profile
    assert np.abs(over.pixels.astype(int) - in_adobe_rgb((200, 40, 30))).max() <= 1


def test_an_srgb_profile_and_none_are_the_same(folder: Path, run_matte: RunMatte) -> None:
    PIL.Image.new("RGB", (48, 32), "teal").save("srgb.png", icc_profile=srgb_profile())
    code, _, err = run_matte("composite", "srgb.png", "photo_alpha.png", "-b", "beach.png")
    assert (code, err) == (0, "srgb.png → srgb_composite.png\n")


def test_the_same_command_gives_the_same_bytes(folder: Path, run_matte: RunMatte) -> None:
    for name in ("a.png", "b.png"):
        run_matte("composite", "photo.png", "photo_alpha.png", "-b", "beach.png", "-o", name)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_standard_output_takes_the_picture(folder: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(buffer, write_through=True))
    assert run_matte("composite", "photo.png", "photo_alpha.png", "-b", "white", "-o", "-", "--quiet")[0] == 0
    with PIL.Image.open(io.BytesIO(buffer.getvalue())) as png:
        np.testing.assert_array_equal(np.asarray(png), expected((1.0, 1.0, 1.0)))


def test_json_says_what_was_done(folder: Path, run_matte: RunMatte) -> None:
    code, out, _ = run_matte("composite", "photo.png", "photo_alpha.png", "-b", "white", "-o", "o.png", "--json")
    facts = json.loads(out)
    assert code == 0
    assert out.count("\n") == 1
    assert facts.pop("seconds") > 0
    assert facts.pop("peak_bytes") > 10**6
    assert facts == {
        "image": "photo.png",
        "alpha": "photo_alpha.png",
        "background": "white",
        "output": "o.png",
        "width": 48,
        "height": 32,
        "fit": "cover",
        "linear": False,
        "foreground": "estimated",
    }


def test_quiet_prints_nothing_and_verbose_the_details(folder: Path, run_matte: RunMatte) -> None:
    arguments = ("composite", "photo.png", "photo_alpha.png", "-b", "beach.png", "-o", "out.png", "--overwrite")
    assert run_matte(*arguments, "--quiet") == (0, "", "")
    assert "beach.png: 20×30, 8 bits, brought to 48×32, 8 bits (--fit cover)" in run_matte(*arguments, "--verbose")[2]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["-b", "nosuch.jpg"], 3, "nosuch.jpg"),
        (["-b", "grren"], 2, "'grren' is neither a file nor a colour"),
        (["-b", "#12"], 2, "'#12' is not a colour"),
        (["-b", "#00b14080"], 2, "has an alpha value"),
        (["-b", "rgb(300, 0, 0)"], 2, "end at 255"),
        (["-b", "transparent", "-o", "out.jpg"], 3, "out.jpg cannot hold transparency"),
        (["-b", "transparent", "-o", "out.bmp"], 3, "out.bmp cannot hold transparency"),
        (["-b", ""], 2, "--background is empty; give it a value"),
        (["-b", "clear.png"], 3, "clear.png is transparent in places, where a background has no colour; flatten it"),
        (["-b", "white", "--fit", "stretch"], 2, "--fit stretch is for a background picture, and white is a colour"),
        (["-b", "transparent", "--linear", "--fit", "tile"], 2, "--fit tile would do nothing, because no background"),
        (["-b", "white", "--cutout-for", "white"], 2, "--cutout-for would do nothing, because no transparent output"),
        (["-b", "transparent", "--cutout-for", "white"], 2, "--cutout-for is for colours that are estimated in light"),
        (["-b", "white", "--despill", "red"], 2, "must be green, blue, auto or the colour of a green or blue screen"),
        (
            ["-b", "white", "--despill", "#40b0a0"],
            2,
            "must be green, blue, auto or the colour of a green or blue screen",
        ),
        (["-b", "white", "--colour-choke", "2", "--decontaminate", "0"], 2, "--colour-choke would do nothing with"),
        (["-b", "white", "--choke", "201"], 2, "--choke must be at most 200 pixels, not 201"),
        (["-b", "white", "--despill-reach", "5"], 2, "--despill-reach would do nothing without --despill"),
        (["-b", "white", "--decontaminate", "120"], 2, "must be a percentage from 0 to 100, not 120"),
        (["-b", "white", "--keep-colours", "--colour-choke", "2"], 2, "--keep-colours uses the photo's colours"),
        (["-b", "white", "-o", "out.xyz"], 3, "unknown suffix .xyz"),
        (["-b", "white", "-o", "nosuch/out.png"], 3, "the folder nosuch does not exist"),
        (["-b", "white", "-o", "beach.png"], 3, "beach.png exists already"),
        (["-b", "white", "-o", "photo.png", "--overwrite"], 3, "photo.png is an input"),
        (["-b", "beach.png", "-o", "beach.png", "--overwrite"], 3, "beach.png is an input"),
        (["-b", "beach.png", "--around", "red"], 2, "add --fit contain"),
        (["-b", "beach.png", "--fit", "contain", "--around", "beach.png"], 2, "'beach.png' is not a colour"),
        (["-b", "white", "-o", "-", "--json"], 2, "both write to standard output"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    folder: Path, run_matte: RunMatte, arguments: list[str], code: int, sentence: str
) -> None:
    PIL.Image.new("RGBA", (48, 32), (255, 0, 255, 254)).save("clear.png")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    got, out, err = run_matte("composite", "photo.png", "photo_alpha.png", *arguments)
    assert (got, out) == (code, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sentence in err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_sizes_that_differ_are_both_named(folder: Path, run_matte: RunMatte) -> None:
    write_alpha("small.png", alpha(16, 24))
    code, _, err = run_matte("composite", "photo.png", "small.png", "-b", "white")
    assert code == 3
    assert err == "error: small.png is 24×16 but photo.png is 48×32; make the alpha from the photo at its full size\n"


def test_sizes_that_are_swapped_speak_of_rotation(folder: Path, run_matte: RunMatte) -> None:
    write_alpha("turned.png", np.ascontiguousarray(alpha().T))
    code, _, err = run_matte("composite", "photo.png", "turned.png", "-b", "white")
    assert code == 3
    assert "turned.png is 32×48 but photo.png is 48×32: one of them was rotated" in err


def test_an_output_in_the_way_is_found_before_anything_is_read(folder: Path, run_matte: RunMatte) -> None:
    Path("photo_composite.png").write_bytes(b"mine")
    code, _, err = run_matte("composite", "missing.png", "photo_alpha.png", "-b", "white", "-o", "photo_composite.png")
    assert code == 3
    assert "photo_composite.png exists already" in err
    code, _, _ = run_matte("composite", "photo.png", "photo_alpha.png", "-b", "white", "--overwrite")
    assert code == 0
    assert Path("photo_composite.png").read_bytes().startswith(b"\x89PNG")


def test_a_quality_that_the_format_has_not_is_found_before_anything_is_read(folder: Path, run_matte: RunMatte) -> None:
    given = ["missing.png", "photo_alpha.png", "-b", "white", "-o", "out.avif", "--quality", "lossless"]
    code, _, err = run_matte("composite", *given)
    assert code == 3
    assert err == "error: out.avif cannot hold colours without loss (AVIF); name a .webp or .png file\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-", "photo_alpha.png", "-b", "white"], "add -o FILE"),
        (["-", "-", "-b", "white", "-o", "out.png"], "read only once"),
        (["-", "photo_alpha.png", "-b", "-", "-o", "out.png"], "read only once"),
    ],
)
def test_standard_input_is_read_once_and_gives_outputs_no_name(
    folder: Path, run_matte: RunMatte, arguments: list[str], sentence: str
) -> None:
    code, _, err = run_matte("composite", *arguments)
    assert code == 2
    assert sentence in err


def test_an_unknown_fit_or_a_missing_background_is_a_usage_error(folder: Path, run_matte: RunMatte) -> None:
    assert run_matte("composite", "photo.png", "photo_alpha.png", "-b", "white", "--fit", "fill")[0] == 2
    assert run_matte("composite", "photo.png", "photo_alpha.png")[0] == 2


# --- products ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def photo() -> Image:
    pixels = np.random.default_rng(2).integers(0, 65536, (600, 7, 3), np.uint16)
    return Image(pixels, icc=b"profile", resolution=(72.0, 72.0))


def test_products_keep_the_photos_depth_profile_and_resolution(photo: Image) -> None:
    matte = alpha(600, 7)
    for kind, channels in (("cutout", 4), ("foreground", 3)):
        product = make_output(kind, photo, matte)  # type: ignore[arg-type]
        assert product.pixels.shape == (600, 7, channels)
        assert product.pixels.dtype == np.uint16
        assert (product.icc, product.resolution) == (b"profile", (72.0, 72.0))
    over = make_output("composite", photo, matte, background=GREEN)
    assert over.pixels.shape == (600, 7, 3)
    assert over.pixels.dtype == np.uint16
    assert over.icc == b"profile"


def test_a_picture_behind_a_photo_is_in_place_from_top_to_bottom(photo: Image) -> None:
    picture = np.random.default_rng(3).integers(0, 65536, photo.pixels.shape, np.uint16)
    over = make_output("composite", photo, np.zeros((600, 7), np.float32), background=Image(picture))
    np.testing.assert_array_equal(over.pixels, picture)


def test_a_matte_has_the_photos_resolution_and_not_its_profile(photo: Image) -> None:
    matte = alpha(600, 7)
    product = make_output("alpha", photo, matte)
    assert product.pixels is matte
    assert (product.icc, product.resolution) == (None, (72.0, 72.0))


def test_an_estimated_foreground_that_is_given_is_not_estimated_again(
    photo: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    matte = alpha(600, 7)
    colours = estimate_foreground(photo.pixels, matte)
    alone = [make_output("cutout", photo, matte), make_output("composite", photo, matte, background=GREEN)]
    monkeypatch.setattr("mattecli.compositing.foreground.estimate_foreground", None)
    shared = [
        make_output("cutout", photo, matte, foreground=colours),
        make_output("composite", photo, matte, background=GREEN, foreground=colours),
    ]
    for one, other in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_a_product_that_does_not_fit_into_free_memory_is_not_begun(photo: Image) -> None:
    refused = pytest.raises(DeviceError, match="7×600 pixels together takes 0 MiB of memory, but 0 MiB is free")
    with free_memory(600 * 7 * 28 - 1), refused:
        make_output("foreground", photo, alpha(600, 7))
    with free_memory(600 * 7 * 28):
        make_output("foreground", photo, alpha(600, 7))


def test_an_unknown_product_is_refused_with_those_there_are(photo: Image) -> None:
    with pytest.raises(UsageError, match="use one of alpha, cutout, foreground, composite"):
        make_output("shadow", photo, alpha(600, 7))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("#00b140", GREEN),
        ("#0b4", (0.0, 187 / 255, 68 / 255)),
        ("white", (1.0, 1.0, 1.0)),
        ("RebeccaPurple", (0.4, 0.2, 0.6)),
        ("rgb(0, 177, 64)", GREEN),
        ("photo.png", None),
        ("#1 photo.png", None),
    ],
)
def test_colours_are_read_as_css_writes_them(text: str, colour: Colour | None) -> None:
    assert parse_colour(text) == (pytest.approx(colour) if colour else None)


def test_a_background_is_a_colour_nothing_or_a_picture(folder: Path) -> None:
    assert read_background("transparent") is None
    assert read_background("black") == (0.0, 0.0, 0.0)
    picture = read_background("beach.png")
    assert isinstance(picture, Image)
    assert picture.size == (20, 30)
    Path("beach.png").rename("beach")
    assert isinstance(read_background("beach"), Image)
    with pytest.raises(InputError, match=r"nosuch\.png"):
        read_background("nosuch.png")


@pytest.mark.parametrize("background", ["#00b140", "green.png", "green.tif"])
def test_a_background_has_its_own_colour_in_a_photo_of_another_colour_space(
    folder: Path, run_matte: RunMatte, background: str
) -> None:
    PIL.Image.new("RGB", (48, 32), "teal").save("adobe.png", icc_profile=adobe_rgb())
    PIL.Image.new("RGB", (9, 9), "#00b140").save("green.png")
    PIL.Image.new("RGB", (9, 9), "#00b140").save("green.tif", icc_profile=srgb_profile())
    write_alpha("nothing.png", np.zeros((32, 48), np.float32))
    code, _, err = run_matte("composite", "adobe.png", "nothing.png", "-b", background, "-o", "out.png")
    assert code == 0
    assert "warning" not in err
    over = read_image("out.png")
    assert over.icc == adobe_rgb()
    assert np.abs(over.pixels.astype(int) - in_adobe_rgb((0, 177, 64))).max() <= 1


def test_a_photo_that_hides_pixels_is_warned_of(folder: Path, run_matte: RunMatte) -> None:
    PIL.Image.new("RGBA", (48, 32), (9, 9, 9, 254)).save("clear.png")
    code, _, err = run_matte("composite", "clear.png", "photo_alpha.png", "-b", "white")
    assert code == 0
    assert "warning: clear.png is transparent in places, and its hidden colours are used; flatten it" in err


def test_colours_that_are_kept_need_room_too(folder: Path, run_matte: RunMatte) -> None:
    with free_memory(8 * 48 * 32):  # enough to read it
        code, _, err = run_matte("composite", "photo.png", "photo_alpha.png", "-b", "white", "--keep-colours")
    assert code == 5
    assert "to read" not in err


def test_what_a_format_cannot_hold_is_said_once(folder: Path, run_matte: RunMatte) -> None:
    pixels = read_image("photo.png").pixels
    write_image("photo.png", Image(pixels, adobe_rgb()), overwrite=True)
    command = ["composite", "photo.png", "photo_alpha.png", "-b"]
    err = run_matte(*command, "red", "-o", "out.bmp")[2]
    assert err.count("warning: ") == 1
    assert "BMP" in err
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + bytes(70_000).replace(b"\0", b" ") + b"</x:xmpmeta>"
    write_image("tagged.png", Image(pixels, metadata=Metadata(xmp=xmp)))
    err = run_matte("composite", "tagged.png", "photo_alpha.png", "-b", "red", "-o", "out.jpg")[2]
    assert "warning: JPEG holds 65 kB of each kind of metadata, so it does not keep the photo's XMP" in err


def test_a_composite_leaves_no_folder_and_replaces_no_background(tmp_path: Path, run_matte: RunMatte) -> None:
    for name, pixels in (("p.png", noise(20, 30, 3)), ("a.png", np.full((20, 30), 128, np.uint8))):
        PIL.Image.fromarray(pixels).save(tmp_path / name)
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "p_composite_white.png").symlink_to(elsewhere / "x.png")
    command = ("composite", tmp_path / "p.png", tmp_path / "a.png", "-b", "white", "--out-dir", out)
    code, _, err = run_matte(*command, "-b", "red")
    assert (code, "leads out of the output folder" in err) == (3, True)
    assert list(elsewhere.iterdir()) == []
    (out / "p_composite_white.png").unlink()
    PIL.Image.fromarray(noise(20, 30, 3)).save(out / "p_composite_white.png")
    before = (out / "p_composite_white.png").read_bytes()
    code, _, err = run_matte(*command, "-b", out / "p_composite_white.png", "--overwrite")
    assert (code, "is an input of this run" in err) == (3, True)
    assert (out / "p_composite_white.png").read_bytes() == before


def test_backgrounds_that_differ_in_capitals_alone_are_refused(tmp_path: Path, run_matte: RunMatte) -> None:
    for name in ("Beach.jpg", "beach.png", "p.png"):
        PIL.Image.fromarray(noise(20, 30, 3)).save(tmp_path / name)
    behind = ["-b", tmp_path / "Beach.jpg", "-b", tmp_path / "beach.png", "--out-dir", tmp_path / "out"]
    code, _, err = run_matte("composite", tmp_path / "p.png", tmp_path / "p.png", *behind)
    assert (code, "two backgrounds have the same name" in err) == (2, True)


@pytest.mark.usefixtures("folder")
def test_composites_of_8_bits_are_half_in_openexr(run_matte: RunMatte) -> None:
    assert run_matte("composite", "photo.png", "photo_alpha.png", "-b", "beach.png", "-o", "a.exr")[0] == 0
    assert str(OpenImageIO.ImageBuf("a.exr").nativespec().format) == "half"
