"""The network's view: sRGB, whatever the picture's own space is."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.imaging.colour import convert, linear, space_named
from mattecli.imaging.image import Image
from mattecli.imaging.space import Space
from mattecli.imaging.view import network_view
from tests.imaging.test_colour import HLG, PQ
from tests.imaging.test_read import SRGB


def ramp(dtype: type) -> NDArray[np.generic]:
    full = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    return (np.random.default_rng(0).random((20, 30, 3)) * full).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("icc", [None, SRGB])
def test_an_srgb_picture_is_its_own_view_without_a_copy(dtype: type, icc: bytes | None) -> None:
    pixels = ramp(dtype)
    assert network_view(Image(pixels, icc)) is pixels


@pytest.mark.parametrize(("dtype", "seen"), [(np.uint8, np.uint8), (np.uint16, np.uint16), (np.float32, np.uint16)])
@pytest.mark.parametrize("name", ["adobergb", "prophoto", "p3"])
def test_the_view_of_a_picture_in_range_is_the_same_picture_in_srgb(dtype: type, seen: type, name: str) -> None:
    space = space_named(name)
    srgb = (0.1 + 0.7 * ramp(np.float32)).astype(np.float32)
    own = convert(srgb, Space(), space, depth={np.uint8: 8, np.uint16: 16, np.float32: 32}[dtype])
    view = network_view(Image(own, space.icc))
    assert view.dtype == seen
    levels = view / np.iinfo(seen).max
    exact = convert(own, space, Space(), depth=32)
    assert np.abs(levels - exact).max() <= (1 / 255 if dtype is np.uint8 else 2 / 65535)


def test_the_photo_itself_stays_untouched() -> None:
    pixels = ramp(np.float32) * 4 - 1
    before = pixels.copy()
    network_view(Image(pixels, linear().icc))
    np.testing.assert_array_equal(pixels, before)


def test_exposure_brightens_the_view_by_stops_of_light() -> None:
    dark = np.full((4, 5, 3), 0.05, np.float32)
    one = network_view(Image(dark, linear().icc), exposure=2)
    two = network_view(Image(dark * 4, linear().icc))
    assert np.abs(one.astype(int) - two).max() <= 1
    eight = network_view(Image(np.full((4, 5, 3), 40, np.uint8)), exposure=1)
    assert eight.dtype == np.uint8
    assert (eight > 40).all()


@pytest.mark.parametrize("cicp", [PQ, HLG])
def test_pq_and_hlg_are_seen_as_a_display_shows_them(cicp: tuple[int, int, int, int]) -> None:
    white = convert(np.full((4, 5, 3), 0.18, np.float32), linear(), Space(cicp=cicp), depth=16)
    view = network_view(Image(white, cicp=cicp))
    expected = convert(np.full((4, 5, 3), 0.18, np.float32), linear(), Space(), depth=16)
    assert np.abs(view.astype(int) - expected).max() <= 0.004 * 65535


def test_what_is_not_a_number_is_seen_as_black_and_infinity_as_white() -> None:
    pixels = np.full((8, 9, 3), 0.5, np.float32)
    pixels[2, 3], pixels[4, 5] = np.nan, np.inf
    view = network_view(Image(pixels, linear().icc))
    assert (view[2, 3] == 0).all()
    assert (view[4, 5] == 65535).all()
    assert abs(int(view[0, 0, 0]) - round(65535 * 0.735357)) <= 1


def test_grey_and_alpha_are_seen_as_rgb() -> None:
    assert network_view(Image(ramp(np.uint8)[..., 0])).shape == (20, 30, 3)
    assert network_view(Image(np.zeros((20, 30, 4), np.uint8))).shape == (20, 30, 3)


def test_edges_outside_of_srgb_are_seen_where_clipping_would_erase_them() -> None:
    """Two greens of a wide-gamut screen, which differ in red alone: sRGB has a red of 0 for both."""
    pixels = np.zeros((40, 40, 3), np.uint16)
    pixels[..., 0], pixels[..., 1] = 3000, 50000
    pixels[:, 20:, 0] = 18000
    clipped = convert(pixels, space_named("prophoto"), Space(), depth=16)
    assert np.ptp(clipped[0, [0, -1]].astype(int), axis=0).max() < 1000
    view = network_view(Image(pixels, space_named("prophoto").icc))
    assert np.ptp(view[0, [0, -1]].astype(int), axis=0).max() > 5000


def test_highlights_are_seen_where_clipping_would_make_them_white() -> None:
    pixels = np.full((40, 40, 3), 0.5, np.float32)
    pixels[:, 10:20], pixels[:, 20:] = 2, 4
    view = network_view(Image(pixels, linear().icc)).astype(int)
    assert view[0, 0, 0] == round(65535 * 0.735357)  # what is darker than the shoulder stays
    assert view[0, 15, 0] < 65000
    assert view[0, 30, 0] == 65535


def test_a_few_points_out_of_range_leave_the_rest_of_a_picture_alone() -> None:
    pixels = ramp(np.float32)
    plain = network_view(Image(pixels, linear().icc))
    large = np.tile(pixels, (4, 4, 1))
    large[3, 4] = 1000
    seen = network_view(Image(large, linear().icc))
    expected = np.tile(plain, (4, 4, 1))
    expected[3, 4] = 65535
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("white", [(1 / 3, 1 / 3), (0.3127, 0.329)])
def test_cie_xyz_has_the_white_d65(white: tuple[float, float]) -> None:
    half_white = np.full((4, 5, 3), (0.4752, 0.5, 0.5445), np.float32)
    spaces = [linear((1, 0, 0, 1, 0, 0, *white)), space_named("lin_ciexyzd65_scene")]
    for space in spaces:
        view = network_view(Image(half_white, space.icc))
        assert np.ptp(view[0, 0].astype(int)) <= 64
        assert abs(int(view[0, 0, 1]) - 48192) < 200  # half of the light of white, in sRGB
