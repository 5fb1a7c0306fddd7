"""The compositing equation both ways, and backgrounds brought to size."""

from typing import Any, get_args

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.compositing import arrays
from mattecli.compositing import foreground as estimate
from mattecli.compositing.composite import composite, cutout, fit_background
from mattecli.compositing.foreground import estimate_foreground
from mattecli.errors import InputError, UsageError
from mattecli.imaging.choices import Fit
from mattecli.imaging.colour import decode_srgb, encode_srgb, linear, space_named
from mattecli.imaging.image import Image

Floats = NDArray[np.float32]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def smooth(rng: np.random.Generator, height: int, width: int) -> Floats:
    small = rng.uniform(0.1, 0.9, (4, 5, 3)).astype(np.float32)
    return np.clip(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)


def hair(height: int, width: int) -> Floats:
    """A soft disc with rays one pixel wide."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y - height / 2, x - width / 2
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    disc = np.clip((height / 4 - radius) / 3, 0, 1)
    rays = 0.7 * (np.cos(40 * angle) > 0.8) * (radius < height * 0.42)
    alpha: Floats = np.maximum(disc, rays).astype(np.float32)
    return alpha


def mixed(rng: np.random.Generator, height: int = 120, width: int = 150) -> tuple[Floats, Floats, Floats]:
    foreground, background, alpha = smooth(rng, height, width), smooth(rng, height, width), hair(height, width)
    return foreground, alpha, composite(foreground, alpha, background)


# --- estimate_foreground ----------------------------------------------------------------------------------------------


def test_estimate_is_eight_times_nearer_the_true_foreground_than_the_photo_itself(rng: np.random.Generator) -> None:
    foreground, alpha, image = mixed(rng)
    soft = (alpha > 0) & (alpha < 1)
    assert soft.mean() > 0.03
    naive = np.abs(image - foreground)[soft].mean()
    assert np.abs(estimate_foreground(image, alpha) - foreground)[soft].mean() < naive / 8


def test_the_estimate_over_a_new_background_leaves_no_halo(rng: np.random.Generator) -> None:
    height, width = 100, 120
    dark_hair, bright_sky = np.full((height, width, 3), 0.2, np.float32), (0.9, 0.95, 1.0)
    alpha = hair(height, width)
    image = np.rint(composite(dark_hair, alpha, bright_sky) * 255).astype(np.uint8)
    pasted = composite(estimate_foreground(image, alpha), alpha, (0.0, 0.0, 0.0))
    np.testing.assert_allclose(pasted, alpha[..., None] * dark_hair, atol=0.01)
    assert np.abs(composite(image, alpha, (0.0, 0.0, 0.0)) - alpha[..., None] * dark_hair).max() > 0.15


@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_estimate_equals_the_image_where_alpha_is_one(rng: np.random.Generator, dtype: type, full: int) -> None:
    alpha = hair(70, 90)
    image: NDArray[Any] = (rng.uniform(0, 1, (70, 90, 3)) * full).astype(dtype)
    estimate = estimate_foreground(image, alpha)
    assert estimate.dtype == np.float32
    assert (alpha == 1).any()
    np.testing.assert_array_equal(estimate[alpha == 1], (image / np.float32(full)).astype(np.float32)[alpha == 1])


def test_estimate_stays_in_range_on_noise(rng: np.random.Generator) -> None:
    image = rng.uniform(0, 1, (65, 33, 3)).astype(np.float32)
    alpha = rng.uniform(0, 1, (65, 33)).astype(np.float32)
    estimate = estimate_foreground(image, alpha)
    assert estimate.min() >= 0
    assert estimate.max() <= 1


def test_estimate_keeps_detail_one_pixel_wide(rng: np.random.Generator) -> None:
    foreground = np.repeat(rng.choice(np.array([0.4, 0.6], np.float32), (60, 60, 1)), 3, axis=2)
    alpha = np.full((60, 60), 0.9, np.float32)
    alpha[:, :5], alpha[:, -5:] = 0, 1
    estimate = estimate_foreground(composite(foreground, alpha, (0.1, 0.2, 0.9)), alpha)
    assert np.abs(estimate - foreground)[alpha == np.float32(0.9)].mean() < 0.02


def test_estimate_goes_on_with_the_foregrounds_colour_where_alpha_is_zero() -> None:
    alpha = np.zeros((40, 60), np.float32)
    alpha[:, :20] = 1
    front, back = (0.8, 0.3, 0.1), (0.1, 0.2, 0.9)
    image = np.where(alpha[..., None] == 1, front, back)
    np.testing.assert_allclose(estimate_foreground(image, alpha)[:, 20:24], [[front] * 4] * 40, atol=0.02)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5), (64, 1), (65, 513)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_estimate_of_one_colour_is_that_colour_at_any_size(shape: tuple[int, int], value: float) -> None:
    image = np.full((*shape, 3), [0.2, 0.5, 0.7], np.float32)
    np.testing.assert_allclose(estimate_foreground(image, np.full(shape, value, np.float32)), image, atol=1e-3)


def test_estimate_does_not_depend_on_tiles_and_strips(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, alpha, image = mixed(rng, 131, 97)
    whole = estimate_foreground(image, alpha)
    for tile, strip in [((16, 16), 2), ((1024, 8), 1024)]:
        monkeypatch.setattr(estimate, "TILE", tile)
        monkeypatch.setattr(arrays, "STRIP", strip)
        np.testing.assert_array_equal(estimate_foreground(image, alpha), whole)


def test_one_step_on_two_pixels_is_the_best_for_the_neighbour_as_it_is() -> None:
    # The left pixel's cost is 0 in its gradient at the solution; three of its four neighbours are itself, at the rims.
    alpha = np.array([[0.3, 0.9]], np.float32)
    image = np.array([[[0.5, 0.4, 0.3], [0.6, 0.7, 0.8]]], np.float32)
    layers = np.linspace(0.1, 0.9, 12, dtype=np.float32).reshape(6, 1, 2)
    stepped = estimate._relax(estimate._statistics(image, alpha), layers.copy(), 1)
    rim, edge = estimate._SMOOTH, estimate._SMOOTH + estimate._SMOOTH_AT_EDGES * 0.6
    a, total = 0.3, 3 * rim + edge
    for channel in range(3):
        f, b = layers[channel, 0], layers[3 + channel, 0]
        matrix = [[a * a + total, a * (1 - a)], [a * (1 - a), (1 - a) ** 2 + total]]
        i = image[0, 0, channel]
        right = [a * i + 3 * rim * f[0] + edge * f[1], (1 - a) * i + 3 * rim * b[0] + edge * b[1]]
        expected = np.clip(np.linalg.solve(matrix, right), 0, 1)
        np.testing.assert_allclose(stepped[[channel, 3 + channel], 0, 0], expected, rtol=1e-4)


def test_a_level_carries_the_mean_of_the_data_term(rng: np.random.Generator) -> None:
    image, alpha = rng.uniform(0, 1, (4, 2, 3)).astype(np.float32), rng.uniform(0, 1, (4, 2)).astype(np.float32)
    level = estimate._pyramid(image, alpha)[0]
    assert level.shape == (8, 2, 1)
    np.testing.assert_allclose(level[estimate._ALPHA2, 1, 0], (alpha[2:] ** 2).mean(), rtol=1e-6)
    np.testing.assert_allclose(
        level[estimate._ALPHA_IMAGE, 0, 0], (alpha[:2, :, None] * image[:2]).mean((0, 1)), rtol=1e-6
    )


def test_the_same_input_gives_the_same_bytes(rng: np.random.Generator) -> None:
    _, alpha, image = mixed(rng)
    assert estimate_foreground(image, alpha).tobytes() == estimate_foreground(image.copy(), alpha.copy()).tobytes()


def test_inputs_are_left_as_they_were(rng: np.random.Generator) -> None:
    foreground, alpha, image = mixed(rng)
    before = image.tobytes(), alpha.tobytes(), foreground.tobytes()
    composite(estimate_foreground(image, alpha), alpha, foreground)
    assert (image.tobytes(), alpha.tobytes(), foreground.tobytes()) == before


# --- composite and cutout ---------------------------------------------------------------------------------------------


def test_composite_of_constant_colours_is_the_compositing_equation() -> None:
    foreground, alpha = np.full((3, 4, 3), [0.2, 0.4, 0.8], np.float32), np.full((3, 4), 0.25, np.float32)
    result = composite(foreground, alpha, (1.0, 0.0, 0.4))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.full((3, 4, 3), [0.8, 0.1, 0.5]), rtol=1e-6)


def test_linear_composite_of_white_over_black_at_half_alpha_is_188() -> None:
    # Half the light of white is 1.055 · 0.5^(1/2.4) − 0.055 = 0.735357 in sRGB, 188 of 255; by plain values it is 128.
    white, half = np.ones((1, 1, 3), np.float32), np.full((1, 1), 0.5, np.float32)
    np.testing.assert_allclose(composite(white, half, (0.0, 0.0, 0.0), linear=True), 0.735357, atol=1e-5)
    np.testing.assert_allclose(composite(white, half, (0.0, 0.0, 0.0)), 0.5, atol=1e-6)


def test_srgb_transfer_functions_have_the_standards_values_and_undo_each_other() -> None:
    light = decode_srgb(np.array([0, 0.04045, 0.5, 1], np.float32))
    np.testing.assert_allclose(light, np.array([0, 0.0031308, 0.214041, 1]), atol=1e-6)
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    np.testing.assert_allclose(encode_srgb(decode_srgb(values)), values, atol=1e-6)


@pytest.mark.parametrize("linear", [False, True])
def test_composite_keeps_each_layer_where_it_is_alone(rng: np.random.Generator, linear: bool) -> None:
    over, under = smooth(rng, 70, 5), smooth(rng, 70, 5)
    alpha = np.zeros((70, 5), np.float32)
    alpha[::2] = 1
    result = composite(over, alpha, under, linear=linear)
    np.testing.assert_allclose(result[::2], over[::2], atol=1e-6)
    np.testing.assert_allclose(result[1::2], under[1::2], atol=1e-6)


def test_composite_takes_layers_of_different_depth(rng: np.random.Generator) -> None:
    alpha = rng.uniform(0, 1, (5, 6)).astype(np.float32)
    under = rng.integers(0, 256, (5, 6, 3), np.uint8)
    over = rng.integers(0, 65536, (5, 6, 3), np.uint16)
    by_hand = alpha[..., None] * (over / 65535) + (1 - alpha[..., None]) * (under / 255)
    np.testing.assert_allclose(composite(over, alpha, under), by_hand, atol=1e-6)


def test_cutout_is_straight_not_premultiplied() -> None:
    foreground, alpha = np.full((70, 2, 3), 0.6, np.float32), np.full((70, 2), 0.5, np.float32)
    rgba = cutout(np.zeros((70, 2, 3), np.uint8), alpha, foreground=foreground)
    np.testing.assert_array_equal(rgba, np.full((70, 2, 4), [0.6, 0.6, 0.6, 0.5], np.float32))


def test_a_cutout_over_a_background_is_the_composite(rng: np.random.Generator) -> None:
    foreground, alpha, _ = mixed(rng)
    under = smooth(rng, *alpha.shape)
    rgba = cutout(foreground, alpha, foreground=foreground)
    np.testing.assert_array_equal(composite(rgba[..., :3], rgba[..., 3], under), composite(foreground, alpha, under))


def test_a_cutout_has_the_colours_of_the_foreground_alone(rng: np.random.Generator) -> None:
    _, alpha, image = mixed(rng)
    rgba = cutout(image, alpha)
    np.testing.assert_array_equal(rgba[..., :3], estimate_foreground(image, alpha))
    np.testing.assert_array_equal(rgba[..., 3], alpha)


GOOD, MATTE = np.zeros((4, 5, 3), np.float32), np.zeros((4, 5), np.float32)


@pytest.mark.parametrize(
    ("image", "alpha", "sentence"),
    [
        (GOOD[0, 0], MATTE, r"the image has shape \(3,\); give RGB"),
        (np.zeros((4, 5, 4), np.uint8), MATTE, "the image is transparent in places; flatten it on a colour first"),
        (np.zeros((4, 5, 2), np.uint8), MATTE, r"the image has shape \(4, 5, 2\); give RGB"),
        (np.zeros((0, 5, 3), np.uint8), MATTE[:0], r"shape \(0, 5, 3\)"),
        (np.zeros((4, 5, 3), np.int32), MATTE, "of type int32"),
        (GOOD + 255, MATTE, "values from 255 to 255"),
        (GOOD * np.nan, MATTE, "values from nan to nan"),
        (GOOD, MATTE[:3], "the alpha is 5×3 but the picture 5×4"),
        (GOOD, MATTE.astype(np.int64), "the alpha is of type int64"),
        (GOOD, MATTE - 0.5, "the alpha has values from -0.5"),
    ],
)
def test_unusable_arrays_are_refused_by_name(image: NDArray[Any], alpha: NDArray[Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        estimate_foreground(image, alpha)


@pytest.mark.parametrize(
    ("background", "sentence"),
    [
        (GOOD[:3], "the background is 5×3 but the foreground is 5×4"),
        ((0.1, 0.2), "is not a colour"),
        ((0.0, 177.0, 64.0), "the colour has values from 0 to 177"),
    ],
)
def test_unusable_backgrounds_are_refused(background: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        composite(GOOD, MATTE, background)


# --- fit_background ---------------------------------------------------------------------------------------------------


def columns(width: int, height: int, dtype: type = np.uint8) -> NDArray[Any]:
    """Red counts columns, green counts rows."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x, y, 0 * x], axis=2).astype(dtype)


def test_cover_cuts_both_sides_and_keeps_the_proportions() -> None:
    fitted = fit_background(columns(100, 40), 40, 40, fit="cover")
    np.testing.assert_array_equal(fitted, columns(100, 40)[:, 30:70])
    halved = fit_background(columns(100, 40), 20, 20)
    assert halved.shape == (20, 20, 3)
    assert abs(int(halved[0, 0, 0]) - 30) <= 1
    assert abs(int(halved[0, -1, 0]) - 68) <= 1


def test_contain_shows_the_whole_picture_in_the_middle() -> None:
    fitted = fit_background(columns(40, 20), 40, 40, fit="contain", around=(0.0, 0.0, 1.0))
    np.testing.assert_array_equal(fitted[10:30], columns(40, 20))
    assert (fitted[:10] == [0, 0, 255]).all()
    assert (fitted[30:] == [0, 0, 255]).all()


def test_contain_without_a_colour_is_surrounded_by_the_picture_itself_blurred(rng: np.random.Generator) -> None:
    picture = rng.integers(0, 256, (200, 400, 3), np.uint8)
    picture[:, :200, 0] = 250
    fitted = fit_background(picture, 400, 400, fit="contain")
    np.testing.assert_array_equal(fitted[100:300], picture)
    assert (fitted[:100, :150, 0] > 235).all()
    assert fitted[:100, :150, 1].std() < 0.4 * picture[..., 1].std()


def test_stretch_fills_the_frame_with_the_whole_picture() -> None:
    fitted = fit_background(columns(100, 40), 50, 80, fit="stretch")
    assert fitted.shape == (80, 50, 3)
    assert fitted[0, 0, 0] <= 1
    assert fitted[0, -1, 0] >= 97
    assert fitted[-1, 0, 1] >= 38


def test_tile_repeats_from_the_top_left_corner() -> None:
    fitted = fit_background(columns(7, 3), 20, 10, fit="tile")
    np.testing.assert_array_equal(fitted[..., 0], np.broadcast_to(np.arange(20) % 7, (10, 20)))
    np.testing.assert_array_equal(fitted[..., 1].T, np.broadcast_to(np.arange(10) % 3, (20, 10)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize("size", [(3, 50), (50, 3), (31, 17), (1, 1)])
def test_a_background_of_any_size_and_depth_fits(dtype: type, fit: Fit, size: tuple[int, int]) -> None:
    full = 1 if dtype is np.float32 else np.iinfo(dtype).max
    picture: NDArray[Any] = np.full((11, 13, 3), full, dtype)
    fitted = fit_background(picture, *size, fit=fit, around=(1.0, 1.0, 1.0) if fit == "contain" else None)
    assert fitted.shape == (size[1], size[0], 3)
    assert fitted.dtype == dtype
    np.testing.assert_allclose(fitted, full, rtol=1e-6)


def test_enlarging_floats_does_not_leave_their_range(rng: np.random.Generator) -> None:
    picture = rng.integers(0, 2, (8, 8, 3)).astype(np.float32)
    fitted = fit_background(picture, 50, 50, fit="stretch")
    assert fitted.min() >= 0
    assert fitted.max() <= 1


def test_infinity_in_a_background_is_65504_once_it_is_resized() -> None:
    picture = np.ones((8, 8, 3), np.float32)
    picture[3, 3] = np.inf, -np.inf, np.nan
    fitted = fit_background(Image(picture, linear().icc), 4, 4, fit="stretch")
    assert fitted.pixels[1, 1] == pytest.approx([(3 + 65504) / 4, 0.75, 0.75])


def test_a_half_precision_background_is_fitted_as_a_single_precision_one() -> None:
    picture = np.random.default_rng(0).random((30, 40, 3), np.float32).astype(np.float16)
    for fit in get_args(Fit):
        fitted = fit_background(picture, 25, 35, fit=fit)
        assert fitted.dtype == np.float16
        wide = fit_background(picture.astype(np.float32), 25, 35, fit=fit)
        assert np.abs(fitted.astype(np.float32) - wide).max() < 1e-3


def test_an_unknown_fit_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="`fit` must be one of cover, contain, stretch, tile, not 'fill'"):
        fit_background(columns(4, 4), 8, 8, fit="fill")  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="not 'fill'"):  # also where nothing needs to be fitted
        fit_background(columns(4, 4), 4, 4, fit="fill")  # type: ignore[call-overload]


@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize("dtype", [">u2", ">f4", ">f8"])
def test_a_background_in_another_machines_byte_order_is_fitted_like_any_other(fit: Fit, dtype: str) -> None:
    picture = np.random.default_rng(0).integers(0, 2, (30, 40, 3)).astype(dtype)
    native = picture.astype(picture.dtype.newbyteorder("="))
    np.testing.assert_array_equal(fit_background(picture, 25, 35, fit=fit), fit_background(native, 25, 35, fit=fit))


def test_results_that_equal_what_was_given_are_copies() -> None:
    given = np.full((4, 5, 3), 0.5, np.float32)
    own = given.copy()
    for result in (
        fit_background(given, 5, 4),
        fit_background(Image(given), 5, 4).pixels,
        estimate_foreground(given, MATTE, decontaminate=0),
    ):
        np.testing.assert_array_equal(result, own)
        result[:] = 0
        np.testing.assert_array_equal(given, own)


@pytest.mark.parametrize("fit", ["cover", "stretch", "tile"])
def test_a_colour_around_a_picture_that_leaves_nothing_free_is_refused(fit: Fit) -> None:
    with pytest.raises(UsageError, match=f"`around` colours what `fit=contain` leaves free, but the fit is {fit}"):
        fit_background(columns(4, 4), 8, 8, fit=fit, around=(0.0, 0.0, 1.0))


def test_the_colour_around_a_picture_is_srgb_in_the_picture_s_space() -> None:
    wide = Image(columns(40, 20), space_named("p3").icc)
    fitted = fit_background(wide, 40, 40, fit="contain", around=(0.0, 1.0, 0.0))
    assert np.abs(fitted.pixels[0, 0] - np.float32([117, 251, 76])).max() <= 1
    np.testing.assert_array_equal(fitted.pixels[10:30], columns(40, 20))


def test_light_for_an_estimate_is_refused_where_the_colours_are_given() -> None:
    with pytest.raises(UsageError, match="`linear` says how colours are estimated, and `foreground` gives them"):
        cutout(GOOD, MATTE, foreground=GOOD, linear=True)


@pytest.mark.parametrize(
    ("background", "sentence"),
    [
        ("red", "red does not exist"),
        (None, "the background is a NoneType; give a NumPy array, a PIL image"),
        (("a", "b", "c"), "is not a colour; give three floats"),
    ],
)
def test_a_background_that_is_neither_a_picture_nor_a_colour_is_refused(background: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        composite(GOOD, MATTE, background)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (-1, 5)])
def test_a_background_is_not_fitted_to_nothing(width: int, height: int) -> None:
    with pytest.raises(UsageError, match=f"cannot be fitted to {width}×{height} pixels"):
        fit_background(GOOD, width, height)


def test_colours_of_strands_come_from_their_own_side_of_an_edge() -> None:
    """Half-covered strands before a busy background: alpha's edges must weigh in (ω), or little is found out there."""
    y, x = np.mgrid[:96, :96].astype(np.float32)
    zero = np.zeros_like(x)
    front = np.dstack([0.7 + 0.2 * np.sin(x / 15), 0.3 + 0.1 * np.cos(y / 20), 0.2 + zero])
    behind = np.dstack([0.2 + 0.1 * np.sin(y / 9), 0.5 + 0.3 * np.sin(x / 7), 0.7 + 0.2 * np.cos(x / 11)])
    radius = np.hypot(x - 48, y - 48)
    matte = np.clip((40 - radius) / 6 + 0.5, 0, 1)
    strands = np.sin(np.arctan2(y - 48, x - 48) * 24) > 0.3
    matte = cv2.GaussianBlur(np.where(radius > 28, matte * strands * 0.8, matte).astype(np.float32), (0, 0), 0.6)
    matte = np.clip(matte, 0, 1)
    image = np.clip(matte[..., None] * front + (1 - matte[..., None]) * behind, 0, 1)
    soft = (matte > 0.02) & (matte < 0.98)
    error = np.abs(estimate_foreground(image, matte) - front)[soft].mean()
    assert error < 0.011  # 0.0092 with ω of 0.1; 0.0158 without ω, 0.0129 with a tenth, 0.0156 with ten times as much


def test_colours_mixed_in_linear_light_come_out_when_estimated_there(rng: np.random.Generator) -> None:
    alpha = np.tile(np.linspace(0, 1, 48), (24, 1)).astype(np.float32)
    over, under = np.full((24, 48, 3), 0.35, np.float32), np.full((24, 48, 3), 0.95, np.float32)
    photo = composite(over, alpha, under, linear=True)
    seen = alpha > 0.1
    assert np.abs(estimate_foreground(photo, alpha, linear=True) - over)[seen].max() < 0.01
    assert np.abs(estimate_foreground(photo, alpha) - over)[seen].max() > 0.05
