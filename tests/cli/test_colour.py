"""Colour spaces on the command line: what the network sees, and what comes out."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from mattecli.imaging.colour import convert, space_named, to_profile
from mattecli.imaging.colour.icc import ADOBE_PROFILE, P3_PROFILE, PROPHOTO_PROFILE
from mattecli.imaging.image import Image
from mattecli.imaging.read import read_alpha, read_image
from mattecli.imaging.space import Space
from mattecli.imaging.write import write_image
from tests.conftest import RunMatte

EXAMPLES = Path(__file__).parents[2] / "examples"
SQUARE = np.s_[230:294, 236:300]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """srgb.png, 64×64 with hair, its trimap, and the same photo in AdobeRGB with 8 bits and in ProPhoto with 16."""
    monkeypatch.chdir(tmp_path)
    pixels = read_image(EXAMPLES / "portrait.jpg").pixels[SQUARE]
    write_image("srgb.png", Image(pixels))
    with PIL.Image.open(EXAMPLES / "portrait_trimap.png") as trimap:
        trimap.crop((236, 230, 300, 294)).save("trimap.png")
    adobe = to_profile(pixels, None, ADOBE_PROFILE)
    assert adobe is not None
    PIL.Image.fromarray(adobe).save("adobe.png", icc_profile=ADOBE_PROFILE)
    write_image("prophoto.png", Image(convert(pixels, Space(), Space(PROPHOTO_PROFILE), depth=16), PROPHOTO_PROFILE))
    return tmp_path


def alpha_of(run_matte: RunMatte, photo: str, *options: str, name: str = "out.png") -> NDArray[np.float32]:
    code, _, err = run_matte("predict", photo, "-t", "trimap.png", "-o", name, "--bits", "16", *options)
    assert code == 0, err
    return read_alpha(name)


def test_the_alpha_does_not_depend_on_the_photos_colour_space(folder: Path, run_matte: RunMatte) -> None:
    expected = alpha_of(run_matte, "srgb.png", name="srgb_alpha.png")
    for photo in ("adobe.png", "prophoto.png"):
        told = alpha_of(run_matte, photo, name=f"{photo}_alpha.png")
        untold = alpha_of(run_matte, photo, "--input-space", "srgb", name=f"{photo}_untold.png")
        assert 2 * np.abs(told - expected).mean() < np.abs(untold - expected).mean()


def test_a_photo_without_a_profile_is_read_in_the_space_that_is_named(folder: Path, run_matte: RunMatte) -> None:
    with PIL.Image.open("adobe.png") as picture:
        PIL.Image.fromarray(np.asarray(picture)).save("bare.png")
    expected = alpha_of(run_matte, "adobe.png", name="one.png")
    found = alpha_of(run_matte, "bare.png", "--input-space", "AdobeRGB", name="two.png")
    np.testing.assert_array_equal(found, expected)
    assert run_matte("predict", "bare.png", "-t", "trimap.png", "--cutout", "--input-space", "AdobeRGB")[0] == 0
    assert read_image("bare_cutout.png").icc == ADOBE_PROFILE


def test_outputs_keep_the_photos_space_and_mattes_have_none(folder: Path, run_matte: RunMatte) -> None:
    kinds = ("alpha", "cutout", "foreground", "composite")
    code, _, _ = run_matte("predict", "prophoto.png", "-t", "trimap.png", "--what", ",".join(kinds), "-b", "white")
    assert code == 0
    for kind in kinds:
        with PIL.Image.open(f"prophoto_{kind}.png") as picture:
            assert picture.info.get("icc_profile") == (None if kind == "alpha" else PROPHOTO_PROFILE)
    sure = read_alpha("trimap.png") == 1
    photo, foreground = read_image("prophoto.png").pixels, read_image("prophoto_foreground.png").pixels
    np.testing.assert_array_equal(foreground[sure], photo[sure])


@pytest.mark.parametrize(("space", "icc"), [("srgb", None), ("p3", P3_PROFILE), ("own.icc", ADOBE_PROFILE)])
def test_outputs_are_delivered_in_another_space(
    folder: Path, run_matte: RunMatte, space: str, icc: bytes | None
) -> None:
    Path("own.icc").write_bytes(ADOBE_PROFILE)
    arguments = ("predict", "prophoto.png", "-t", "trimap.png", "--foreground", "-o", "out.png")
    assert run_matte(*arguments, "--output-space", space)[0] == 0
    out, photo = read_image("out.png"), read_image("prophoto.png")
    assert (out.icc, out.depth) == (icc, 16)
    sure = read_alpha("trimap.png") == 1
    expected = convert(photo.pixels, photo.space, Space(icc), depth=16)
    assert np.abs(out.pixels.astype(int) - expected)[sure].max() <= 2


def test_a_composite_takes_both_options(folder: Path, run_matte: RunMatte) -> None:
    arguments = ("composite", "srgb.png", "trimap.png", "-b", "#c86432", "-o", "out.png")
    assert run_matte(*arguments, "--input-space", "p3", "--output-space", "srgb")[0] == 0
    out, photo = read_image("out.png"), read_image("srgb.png")
    assert out.icc is None
    known = read_alpha("trimap.png")
    assert (out.pixels[known == 0] == (200, 100, 50)).all()
    expected = convert(photo.pixels, space_named("p3"), Space(), depth=8)
    np.testing.assert_array_equal(out.pixels[known == 1], expected[known == 1])


def test_exposure_changes_what_the_network_sees_and_nothing_else(folder: Path, run_matte: RunMatte) -> None:
    dark = (read_image("srgb.png").pixels * 0.2).astype(np.uint8)
    write_image("dark.png", Image(dark))
    plain = alpha_of(run_matte, "dark.png", name="plain.png")
    brighter = alpha_of(run_matte, "dark.png", "--network-exposure", "3", name="brighter.png")
    assert np.abs(plain - brighter).max() > 0.01
    arguments = ("predict", "dark.png", "-t", "trimap.png", "--foreground", "--network-exposure", "3")
    assert run_matte(*arguments, "-o", "out.png")[0] == 0
    sure = read_alpha("trimap.png") == 1
    np.testing.assert_array_equal(read_image("out.png").pixels[sure], dark[sure])


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (
            ("--input-space", "ARRI LogC9"),
            2,
            "'ARRI LogC9' is not a colour space of OpenColorIO's studio configuration",
        ),
        (("--output-space", "sRBG"), 2, "'sRBG' is not a colour space"),
        (("--output-space", "gone.icc"), 3, "gone.icc cannot be read"),
        (
            ("--network-exposure", "bright"),
            2,
            "--network-exposure must be a number of stops from -10 to 10, not bright",
        ),
    ],
)
def test_unusable_colour_options_are_refused_before_the_run(
    folder: Path, run_matte: RunMatte, options: tuple[str, str], code: int, sentence: str
) -> None:
    found, _, err = run_matte("predict", "srgb.png", "-t", "trimap.png", "-o", "out.png", *options)
    assert found == code
    assert sentence in err
    assert not Path("out.png").exists()


def test_a_batch_takes_the_options_too(folder: Path, run_matte: RunMatte) -> None:
    for name in ("photos", "trimaps"):
        Path(name).mkdir()
    Path("adobe.png").rename("photos/a.png")
    Path("trimap.png").rename("trimaps/a.png")
    arguments = ("batch", "photos", "out", "--trimaps", "trimaps", "--what", "foreground", "--output-space", "srgb")
    assert run_matte(*arguments)[0] == 0
    assert read_image("out/a_foreground.png").icc is None
    code, _, err = run_matte(*arguments)
    assert (code, "1 skipped" in err) == (0, True)
    code, _, err = run_matte(*arguments[:-2])
    assert (code, "1 done" in err) == (0, True)
    assert read_image("out/a_foreground.png").icc == ADOBE_PROFILE
