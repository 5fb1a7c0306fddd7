"""Scene-linear plates and colour spaces in compositing."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813
import PIL.Image
import pytest
from numpy.typing import NDArray

from mattecli.compositing.composite import composite, cutout, fit_background
from mattecli.compositing.delivery import deliver, read_space
from mattecli.compositing.foreground import estimate_foreground
from mattecli.compositing.outputs import make_output, write_output
from mattecli.compositing.plates import odd_values
from mattecli.errors import InputError, UsageError
from mattecli.imaging.colour import convert, is_linear, linear, same_space, space_named
from mattecli.imaging.colour.icc import PROPHOTO_PROFILE
from mattecli.imaging.image import Image
from mattecli.imaging.options import Depth, WriteOptions
from mattecli.imaging.products import depths, parse_products
from mattecli.imaging.read import read_image
from mattecli.imaging.space import Space
from mattecli.imaging.write import check_format, write_image
from mattecli.work.job import Inputs, find_notes
from mattecli.work.outcome import Job
from mattecli.work.outputs import OutputOptions
from tests.imaging.test_colour import HLG, PQ

Floats = NDArray[np.float32]
PNG, JPEG, TIFF, BMP = (check_format(f"a{suffix}") for suffix in (".png", ".jpg", ".tif", ".bmp"))


def plate(values: float | Floats, *, size: tuple[int, int] = (6, 7)) -> Image:
    """Scene-linear light."""
    return Image(np.broadcast_to(np.float32(values), (*size, 3)).copy(), linear().icc)


def test_a_composite_of_light_above_white_is_the_compositing_equation() -> None:
    over = composite(plate(4), np.full((6, 7), 0.25, np.float32), plate(0.5))
    np.testing.assert_array_equal(over, np.float32(1.375))


@pytest.mark.parametrize(
    ("name", "level"), [("srgb", 188), ("adobergb", 186), ("prophoto", 174), ("linear", 128), ("p3", 188)]
)
def test_half_of_white_over_black_is_mixed_by_the_curve_of_the_photos_own_space(name: str, level: int) -> None:
    icc = space_named(name).icc
    white, black = Image(np.full((2, 3, 3), 255, np.uint8), icc), Image(np.zeros((2, 3, 3), np.uint8), icc)
    half = np.full((2, 3), 0.5, np.float32)
    # ProPhoto: 255 · 0.5 ** (1 / 1.8) is 174; ISO 22028-2 has a straight piece near black only.
    assert np.abs(composite(white, half, black, linear=True) * 255 - level).max() <= 1
    assert np.abs(composite(white, half, black) * 255 - 128).max() <= 1


@pytest.mark.parametrize("depth", [8, 16, 32])
def test_a_background_of_another_space_is_converted_to_the_photos(depth: int) -> None:
    colour = np.array([0.8, 0.4, 0.2], np.float32)
    behind = np.broadcast_to(colour, (4, 5, 3))
    full = {8: 255, 16: 65535, 32: 1}[depth]
    pixels = np.rint(behind * full).astype({8: np.uint8, 16: np.uint16, 32: np.float32}[depth]) if full > 1 else behind
    photo = Image(np.zeros((4, 5, 3), np.uint16), PROPHOTO_PROFILE)
    nothing = np.zeros((4, 5), np.float32)
    over = make_output("composite", photo, nothing, background=Image(pixels))
    expected = convert(pixels.copy(), Space(), Space(PROPHOTO_PROFILE), depth=16)
    assert over.icc == PROPHOTO_PROFILE
    assert np.abs(over.pixels.astype(int) - expected).max() <= 2


def test_a_colour_is_converted_at_full_depth() -> None:
    photo = Image(np.zeros((4, 5, 3), np.uint16), PROPHOTO_PROFILE)
    colour = (200 / 255, 100 / 255, 50 / 255)
    over = make_output("composite", photo, np.zeros((4, 5), np.float32), background=colour)
    back = convert(over.pixels, over.space, Space(), depth=32)
    np.testing.assert_allclose(back[0, 0], colour, atol=2e-4)


def test_where_alpha_is_one_the_plates_own_bits_come_out() -> None:
    pixels = np.random.default_rng(0).uniform(0, 3, (9, 8, 3)).astype(np.float32)
    odd = np.array([np.nan, np.inf, -np.inf, -1.0], np.float32)
    pixels[2, :4, 0] = odd
    alpha = np.zeros((9, 8), np.float32)
    alpha[:5], alpha[5] = 1, 0.5
    photo = Image(pixels, linear().icc)
    for colours in (
        estimate_foreground(photo, alpha),
        cutout(photo, alpha)[..., :3],
        composite(photo, alpha, plate(0.5, size=(9, 8))),
        composite(photo, alpha, plate(0.5, size=(9, 8)), linear=True),
        make_output("cutout", photo, alpha).pixels[..., :3],
        make_output("composite", photo, alpha, background=(0.0, 1.0, 0.0)).pixels,
    ):
        assert colours.dtype == np.float32
        np.testing.assert_array_equal(colours[:5].view(np.uint32), pixels[:5].view(np.uint32))


def test_one_value_that_is_not_a_number_stays_alone() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0.2, 0.4, (40, 40, 3)).astype(np.float32)
    alpha = np.tile(np.linspace(0, 1, 40), (40, 1)).astype(np.float32)
    clean = estimate_foreground(Image(pixels, linear().icc), alpha)
    pixels[20, 20] = np.nan
    holed = estimate_foreground(Image(pixels, linear().icc), alpha)
    assert np.isfinite(holed).all()  # alpha is not 1 there
    far = np.ones((40, 40), bool)
    far[14:27, 14:27] = False
    assert np.abs(holed - clean)[far].max() < 0.02


def test_a_specular_point_does_not_light_its_surroundings() -> None:
    pixels = np.full((40, 40, 3), 0.3, np.float32)
    pixels[20, 20] = 1000
    alpha = np.full((40, 40), 0.5, np.float32)
    colours = estimate_foreground(Image(pixels, linear().icc), alpha)
    far = np.ones((40, 40), bool)
    far[18:23, 18:23] = False
    assert np.abs(colours - 0.3)[far].max() < 0.5


def test_bright_colours_are_estimated_as_dark_ones_are() -> None:
    """The cost is quadratic, so a plate that is eight times as bright has colours that are eight times as bright."""
    x, y = np.meshgrid(np.linspace(0.1, 1, 30), np.linspace(0.1, 1, 24))
    pixels = np.stack([x, y, x * y], axis=2).astype(np.float32)
    alpha = np.linspace(0, 1, 24 * 30, dtype=np.float32).reshape(24, 30)
    dim = estimate_foreground(pixels, alpha)
    bright = estimate_foreground(Image(pixels * 8, linear().icc), alpha)
    np.testing.assert_allclose(bright, dim * 8, atol=1e-5)


def test_arrays_out_of_range_stay_refused() -> None:
    with pytest.raises(InputError, match=r"the image has values from 0 to 2; give floats in \[0, 1\]"):
        estimate_foreground(np.linspace(0, 2, 27, dtype=np.float32).reshape(3, 3, 3), np.zeros((3, 3), np.float32))


def test_a_background_of_light_is_fitted_without_losing_its_highlights() -> None:
    fitted = fit_background(plate(7.5, size=(20, 30)), 11, 9)
    np.testing.assert_allclose(fitted.pixels, 7.5, rtol=1e-6)


def test_a_fitted_file_or_image_keeps_its_colour_space(tmp_path: Path) -> None:
    green = Image(np.full((8, 8, 3), (40, 200, 40), np.uint8), space_named("p3").icc)
    write_image(tmp_path / "green.png", green)
    nothing = np.zeros((4, 4), np.float32)
    expected = composite(plate(0, size=(4, 4)), nothing, replace(green, pixels=green.pixels[:4, :4]))
    encoded = (tmp_path / "green.png").read_bytes()
    for given in (green, tmp_path / "green.png", encoded, PIL.Image.open(io.BytesIO(encoded))):
        fitted = fit_background(given, 4, 4)
        np.testing.assert_array_equal(composite(plate(0, size=(4, 4)), nothing, fitted), expected)
    light = fit_background(plate(7.5), 4, 4)
    np.testing.assert_array_equal(composite(plate(0, size=(4, 4)), nothing, light), np.float32(7.5))


def test_values_that_are_odd_are_counted() -> None:
    pixels = np.array([np.nan, np.inf, -1, 0.5], np.float32)
    assert odd_values(pixels) == "1 not a number, 1 infinite, 1 negative"
    assert odd_values(np.ones(3, np.float32)) is None
    assert odd_values(np.ones(3, np.uint8)) is None


# --- delivery ---------------------------------------------------------------------------------------------------------


def photo(depth: int = 8, space: Space | None = None) -> Image:
    space = space or Space()
    dtype = {8: np.uint8, 16: np.uint16, 32: np.float32}[depth]
    return Image(np.ones((2, 3, 3), dtype), space.icc, cicp=space.cicp, named_space=space.name)


@pytest.mark.parametrize("form", [PNG, JPEG, TIFF])
def test_a_photo_keeps_its_own_space(form: object) -> None:
    adobe = space_named("adobergb")
    delivery = deliver(photo(space=adobe), form)  # type: ignore[arg-type]
    assert (delivery.final, delivery.depth, delivery.note) == (adobe, 8, None)
    assert delivery.prepared(own := photo(space=adobe)) is own


def test_light_becomes_srgb_in_formats_that_end_at_white() -> None:
    scene = Image(np.full((2, 3, 3), 4, np.float32), linear().icc)
    delivery = deliver(scene, PNG)
    assert delivery.final == Space()
    assert delivery.note == "PNG ends at white, so the colours are converted to sRGB"
    shown = delivery.prepared(scene)
    assert (shown.pixels.dtype, shown.pixels.max()) == (np.uint16, 65535)
    assert deliver(scene, TIFF).prepared(scene) is scene


def test_pq_goes_back_into_deep_png_alone_and_is_mixed_in_light() -> None:
    pq = Space(cicp=PQ)
    delivery = deliver(photo(16, pq), PNG)
    assert delivery.final == pq
    assert is_linear(delivery.working)
    assert delivery.prepared(photo(16, pq)).pixels.dtype == np.float32
    for depth, form in ((16, TIFF), (8, PNG), (16, JPEG)):
        delivery = deliver(photo(depth, Space(cicp=HLG)), form)
        assert delivery.final == Space()
        assert "cannot hold PQ or HLG" in (delivery.note or "")


@pytest.mark.parametrize(("name", "primaries"), [("pq_rec2020_display", 9), ("Rec.2100-HLG - Display", 9)])
def test_pq_and_hlg_by_name_are_as_by_their_code_points(name: str, primaries: int) -> None:
    named = photo(32, space_named(name))
    assert named.cicp is not None
    assert named.cicp[0] == primaries
    assert deliver(named, PNG).final == named.space
    for form in (JPEG, TIFF):
        delivery = deliver(named, form)
        assert (delivery.final, delivery.note) == (
            Space(),
            f"{form.name} cannot hold PQ or HLG, so the colours are converted to sRGB",
        )


@pytest.mark.parametrize("name", ["P3-D65 - Display", "g22_ap1_scene", "srgb_p3d65_scene"])
def test_a_named_space_of_a_known_curve_and_primaries_is_kept_with_a_profile(name: str) -> None:
    space = space_named(name)
    delivery = deliver(photo(16, space), PNG)
    assert (delivery.final, delivery.note) == (space, None)
    assert delivery.final.icc is not None


def test_floats_above_white_become_srgb_where_integers_are_written() -> None:
    bright = Image(np.full((2, 3, 3), (1.5, 0.25, 0.125), np.float32), space_named("g22_ap1_scene").icc)
    delivery = deliver(bright, PNG)
    assert delivery.final == Space()
    assert delivery.note == "PNG ends at white, so the colours are converted to sRGB"


@pytest.mark.parametrize("name", ["Raw", "Linear ARRI Wide Gamut 4", "Camera Rec.709"])
def test_a_named_space_without_a_profile_becomes_srgb_in_files_of_integers(name: str) -> None:
    delivery = deliver(photo(16, space_named(name)), PNG)
    assert delivery.final == Space()
    assert delivery.note == f"no profile states {name}, so the colours are converted to sRGB"


@pytest.mark.parametrize("name", ["ARRI LogC4", "ACEScct", "cineon"])
@pytest.mark.parametrize("depth", [16, 32])
def test_the_values_of_a_log_are_kept_and_a_note_says_so(name: str, depth: int) -> None:
    log = space_named(name)
    delivery = deliver(photo(depth, log), PNG)
    assert delivery.final == log
    assert delivery.note == f"no profile states {name}, so PNG keeps its values without one"


def test_the_note_of_a_log_photo_says_light_only_for_a_tiff_of_floats(tmp_path: Path) -> None:
    log = Image(np.full((2, 3, 3), 30000, np.uint16), named_space="ARRI LogC4")
    job = Job("a.tif", "a.tif", "t.png", {"cutout": "a_cutout.tif"})
    inputs = Inputs(log, None, np.zeros((2, 3), np.uint8), None, 0.0)
    told = {"tif": "of integers keeps its values without one", "tiffloat": "of floats holds light"}
    for product, sentence in told.items():
        made = OutputOptions(depths=depths(parse_products(f"cutout:{product}")))
        assert find_notes(job, inputs, made, backgrounds={}) == (f"no profile states ARRI LogC4, so TIFF {sentence}",)
    target, a, b, c = tmp_path / "a.tif", (2**18 - 16) / 117.45, (1023 - 95) / 1023, 95 / 1023
    write_output("foreground", target, log, np.ones((2, 3), np.float32), files=WriteOptions(bits="float"))
    light = (2 ** (14 * (30000 / 65535 - c) / b + 6) - 64) / a  # ARRI LogC4, by its specification of 2022
    assert is_linear(read_image(target).space)
    assert read_image(target).pixels[0, 0] == pytest.approx([light] * 3, rel=0.01)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("output_space", ["keep", "srgb", "p3"])
def test_a_composite_of_light_is_the_same_in_tiff_of_integers_and_in_png(
    tmp_path: Path, bits: Depth, output_space: str
) -> None:
    pixels = np.random.default_rng(0).uniform(-0.2, 3, (6, 7, 3)).astype(np.float32)
    scene, half = Image(pixels, linear().icc), np.full((6, 7), 0.5, np.float32)
    for name in ("a.tif", "a.png"):
        options = WriteOptions(bits=bits)
        target, over = tmp_path / name, plate(10)
        write_output("composite", target, scene, half, background=over, output_space=output_space, files=options)
    tiff, png = (read_image(tmp_path / name) for name in ("a.tif", "a.png"))
    assert tiff.depth == bits
    assert same_space(tiff.space, png.space)
    np.testing.assert_array_equal(tiff.pixels, png.pixels)


def test_light_becomes_srgb_in_a_tiff_of_integers_and_a_note_says_so() -> None:
    scene = plate(4)
    delivery = deliver(scene, TIFF, bits=16)
    assert (delivery.final, delivery.depth) == (Space(), 16)
    assert delivery.note == "TIFF of integers ends at white, so the colours are converted to sRGB"
    assert deliver(scene, TIFF, bits="float").prepared(scene) is scene


def test_pq_in_png_of_8_bits_is_clipped_at_white_and_a_note_says_so(tmp_path: Path) -> None:
    codes = np.full((4, 6, 3), 38055, np.uint16)  # 203 cd/m², which is white
    codes[:2] = 50000
    bright, all_of_it = Image(codes, cicp=PQ), np.ones((4, 6), np.float32)
    job = Job("a.png", "a.png", "t.png", {"cutout": str(tmp_path / "cutout.png")})
    made = OutputOptions(depths=depths(parse_products("cutout:png8")))
    inputs = Inputs(bright, None, np.zeros((4, 6), np.uint8), None, 0.0)
    told = find_notes(job, inputs, made, backgrounds={})
    assert told == ("PNG of 8 bits cannot hold PQ or HLG, so the colours are converted to sRGB",)
    write_output("cutout", job.outputs["cutout"], bright, all_of_it, files=made.write_options("cutout"))
    written = read_image(job.outputs["cutout"], keep_alpha=True)
    assert same_space(written.space, Space())
    assert (written.pixels == 255).all()


def test_bmp_has_no_profile_and_gets_srgb() -> None:
    delivery = deliver(photo(space=space_named("p3")), BMP)
    assert delivery.final == Space()
    assert delivery.note == "BMP has no colour profile, so the colours are converted to sRGB"
    assert deliver(photo(), BMP).note is None


def test_the_output_space_is_a_name_or_a_profile(tmp_path: Path) -> None:
    (tmp_path / "wide.icc").write_bytes(PROPHOTO_PROFILE)
    assert read_space("srgb") == Space()
    assert read_space(str(tmp_path / "wide.icc")) == Space(PROPHOTO_PROFILE)
    assert same_space(deliver(photo(), PNG, output_space="p3").final, space_named("p3"))
    (tmp_path / "broken.icc").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"broken\.icc is not an ICC profile of RGB pictures"):
        read_space(str(tmp_path / "broken.icc"))
    with pytest.raises(InputError, match=r"gone\.icc cannot be read"):
        read_space(str(tmp_path / "gone.icc"))
    with pytest.raises(UsageError, match="'sRBG' is not a colour space"):
        read_space("sRBG")


def test_a_cutout_for_the_web_is_estimated_after_the_conversion() -> None:
    rng = np.random.default_rng(0)
    wide = Image(rng.integers(0, 65536, (16, 16, 3), np.uint16), PROPHOTO_PROFILE)
    alpha = rng.uniform(0, 1, (16, 16)).astype(np.float32)
    working = deliver(wide, PNG, output_space="srgb").prepared(wide)
    made = make_output("foreground", working, alpha)
    expected = estimate_foreground(convert(wide.pixels, wide.space, Space(), depth=16), alpha)
    assert np.abs(made.pixels - expected * 65535).max() <= 1


def test_a_picture_without_a_profile_is_opened_as_srgb(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (3, 2), (200, 100, 50)).save(tmp_path / "a.png")
    half = np.full((2, 3), 0.5, np.float32)
    mixed = composite(str(tmp_path / "a.png"), half, (0.0, 0.0, 0.0))
    np.testing.assert_allclose(mixed[0, 0], np.array([200, 100, 50]) / 510, atol=1e-6)


@pytest.mark.parametrize("name", ["adobergb", "prophoto", "p3", "rec2020"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_white_background_is_exactly_white_in_every_space(name: str, dtype: Any) -> None:
    full = np.iinfo(dtype).max
    photo = Image(np.zeros((4, 5, 3), dtype), space_named(name).icc)
    white = Image(np.full((4, 5, 3), 65535, np.uint16))
    for background in ((1.0, 1.0, 1.0), white):
        made = make_output("composite", photo, np.zeros((4, 5), np.float32), background=background)
        assert (made.pixels == full).all()


@pytest.mark.parametrize("linear_light", [False, True])
def test_soft_edges_over_a_background_brighter_than_white_are_those_over_white(linear_light: bool) -> None:
    black, half = Image(np.zeros((6, 7, 3), np.uint8)), np.full((6, 7), 0.5, np.float32)
    white = make_output("composite", black, half, background=(1.0, 1.0, 1.0), linear=linear_light).pixels
    bright = make_output("composite", black, half, background=plate(10), linear=linear_light).pixels
    np.testing.assert_array_equal(bright, white)
    assert np.abs(composite(black, half, plate(10), linear=linear_light) * 255 - white).max() <= 0.51


def test_soft_edges_over_a_colour_outside_of_the_photos_space_are_not_darker_than_over_its_edge() -> None:
    grey, half = Image(np.full((6, 7, 3), 200, np.uint8)), np.full((6, 7), 0.5, np.float32)
    green = Image(np.full((6, 7, 3), (0, 255, 0), np.uint8), space_named("adobergb").icc)
    over = make_output("composite", grey, half, background=green, foreground=grey.pixels).pixels
    assert np.abs(over[..., :2].astype(int) - (100, 228)).max() <= 1


def test_light_above_white_stays_behind_a_photo_of_light_though_the_photo_has_none() -> None:
    half = np.full((6, 7), 0.5, np.float32)
    np.testing.assert_array_equal(make_output("composite", plate(0), half, background=plate(10)).pixels, 5)
    np.testing.assert_array_equal(composite(plate(0), half, plate(10)), 5)


def test_a_background_value_that_is_not_a_number_is_black_in_a_picture_of_integers() -> None:
    photo, clear = Image(np.full((6, 7, 3), 200, np.uint8)), np.zeros((6, 7), np.float32)
    over = make_output("composite", photo, clear, background=plate(np.nan), foreground=photo.pixels)
    np.testing.assert_array_equal(over.pixels, 0)


def test_a_composite_equals_openimageios_over() -> None:
    """Premultiplied, as OpenEXR holds it: A + (1 − α)·B."""
    rng = np.random.default_rng(0)
    colours = (rng.random((30, 40, 3)) ** 4 * 30).astype(np.float32)
    behind = (rng.random((30, 40, 3)) ** 4 * 30).astype(np.float32)
    alpha = np.clip(rng.uniform(-0.5, 1.5, (30, 40)), 0, 1).astype(np.float32)
    front = np.dstack([colours * alpha[..., None], alpha])
    back = np.dstack([behind, np.ones_like(alpha)])
    theirs = oiio.ImageBufAlgo.over(oiio.ImageBuf(front), oiio.ImageBuf(back)).get_pixels(oiio.FLOAT)[..., :3]
    light = linear().icc
    ours = composite(Image(colours, light), alpha, Image(behind, light))
    assert (np.abs(ours - theirs) <= np.spacing(np.abs(theirs)) / 2).mean() > 0.999
    np.testing.assert_array_almost_equal_nulp(ours, theirs, nulp=1)
