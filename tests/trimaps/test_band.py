"""The band by the photo's colours: narrow at a crisp edge, wide at a soft one, as far as hair reaches."""

import math
import tracemalloc
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.imaging.colour.spaces import space_named
from mattecli.imaging.image import Image, in_space
from mattecli.imaging.view import network_view
from mattecli.trimaps.make import make_trimap, with_certain
from mattecli.trimaps.widths import automatic_length, check_width, in_pixels

HEIGHT, WIDTH = 240, 320  # the diagonal is 400 pixels


def scene(alpha: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A red subject on a blue ground, with a little noise."""
    mixed = alpha[..., None] * (200, 60, 40) + (1 - alpha[..., None]) * (40, 80, 190)
    return np.clip(mixed + np.random.default_rng(0).normal(0, 3, mixed.shape), 0, 255).astype(np.uint8)


def half() -> NDArray[np.float32]:
    """Foreground on the left half."""
    alpha = np.zeros((HEIGHT, WIDTH), np.float32)
    alpha[:, : WIDTH // 2] = 1
    return alpha


def test_a_plate_of_light_is_judged_as_the_network_sees_it() -> None:
    alpha = np.asarray(cv2.GaussianBlur(half(), (0, 0), 3), np.float32)
    plate = in_space(Image(scene(alpha)), space_named("linear"), depth=32)
    light = plate.pixels * np.float32(6)
    light[3, 300] = np.nan  # as renderers leave it
    plate = replace(plate, pixels=light)
    trimap = make_trimap(alpha > 0.5, photo=plate)
    assert np.array_equal(trimap, make_trimap(alpha > 0.5, photo=network_view(plate)))


def test_a_soft_edge_gets_a_wider_band_than_a_crisp_one() -> None:
    alpha = half()
    soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 6), np.float32)
    alpha[HEIGHT // 2 :] = soft[HEIGHT // 2 :]
    unknown = make_trimap(alpha > 0.5, photo=scene(alpha)) == 128
    crisp_width, soft_width = unknown[:90].sum(axis=1).mean(), unknown[150:].sum(axis=1).mean()
    assert soft_width > 1.3 * crisp_width
    assert unknown[150:][(soft[150:] > 0.2) & (soft[150:] < 0.8)].all()


def test_hair_beyond_the_mask_is_followed_and_nothing_elsewhere() -> None:
    alpha = half()
    cv2.line(alpha, (WIDTH // 2, 120), (WIDTH // 2 + 11, 119), 1.0, 2)
    trimap = make_trimap(half() > 0.5, photo=scene(alpha))
    assert (trimap[118:121, 161:172] == 128).all()
    assert (trimap[30:60, 168:] == 0).all()


def test_background_inside_the_mask_is_followed() -> None:
    alpha = half()
    alpha[100:140, WIDTH // 2 - 10 :] = 0
    trimap = make_trimap(half() > 0.5, photo=scene(alpha))
    assert (trimap[105:135, WIDTH // 2 - 9 : WIDTH // 2] == 128).all()
    assert (trimap[:, : WIDTH // 2 - 40] == 255).all()


def test_a_lone_pin_hole_is_filled_by_colour_or_stays_in_its_own_shape() -> None:
    mask = half() > 0.5
    mask[120, 60] = False  # an error of the mask
    mask[60, 60] = False  # a hole in the subject
    alpha = half()
    alpha[59:62, 59:62] = 0
    trimap = make_trimap(mask, photo=scene(alpha))
    assert trimap[120, 60] == 255
    assert trimap[60, 60] == 128
    assert (trimap[50:70, 50:70] == 128).sum() <= 9


def test_colours_are_learnt_at_full_size_only_for_lone_holes_and_specks() -> None:
    mask, photo = half() > 0.5, scene(half())
    with_hole = mask.copy()
    with_hole[120, 60] = False

    def most_bytes(mask: NDArray[np.bool_]) -> int:
        tracemalloc.start()
        make_trimap(mask, photo=photo, band="1%")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert most_bytes(mask) < 0.8 * most_bytes(with_hole)


def test_a_speck_in_the_backgrounds_colour_goes() -> None:
    mask = half() > 0.5
    mask[120, 280] = True
    assert (make_trimap(mask, photo=scene(half()))[:, 200:] == 0).all()


@pytest.mark.parametrize("options", [{}, {"dilate": 5}, {"erode": 5}, {"erode": 5, "dilate": 0}], ids=str)
@pytest.mark.parametrize("band", ["auto", "1%"])
def test_what_the_colours_do_not_decide_stays_unknown_whatever_the_widths(band: str, options: dict[str, int]) -> None:
    mask, alpha = half() > 0.5, half()
    mask[59:62, 59:62] = False
    alpha[59:62, 59:62] = 0  # a hole in the background's colours
    mask[119:122, 279:282] = True
    alpha[119:122, 279:282] = 1  # a speck in the subject's
    trimap = make_trimap(mask, photo=scene(alpha), band=band, **options)
    assert (trimap[59:62, 59:62] == 128).all()
    assert (trimap[119:122, 279:282] == 128).all()


@pytest.mark.parametrize(("level", "solid", "label"), [(0.9, False, 255), (0.5, False, 128), (0.5, True, 255)])
def test_enclosed_grey_is_foreground_from_0_8_on_and_otherwise_unknown(level: float, solid: bool, label: int) -> None:
    matte = half()
    matte[100:120, 60:80] = level
    notes: list[str] = []
    trimap = make_trimap(matte, photo=scene(half()), solid=solid, on_note=notes.append)
    assert (trimap[102:118, 62:78] == label).all()
    assert bool(notes) == (label == 128)
    assert all("half transparent on 0.5% of the picture" in note for note in notes)


def test_solid_is_refused_where_the_mask_is_not_cleaned() -> None:
    with pytest.raises(UsageError, match="`solid` would do nothing"):
        make_trimap(half(), erode=5, solid=True)
    make_trimap(half(), erode=5, band="1%", solid=True)


@pytest.mark.parametrize(("level", "label"), [(0.15, 0), (0.4, 128)])
def test_a_ghost_outside_is_background_up_to_0_2(level: float, label: int) -> None:
    matte = half()
    matte[100:120, 240:260] = level
    assert (make_trimap(matte)[102:118, 242:258] == label).all()


def test_core_and_garbage_win_and_their_contradictions_are_counted() -> None:
    core, garbage = np.zeros((2, HEIGHT, WIDTH), bool)
    core[50:70, 250:270] = True
    garbage[60:80, 250:270] = True
    garbage[200:, 20:40] = True
    notes: list[str] = []
    trimap = make_trimap(half() > 0.5, erode=3, dilate=3, core=core, garbage=garbage, on_note=notes.append)
    assert (trimap[50:60, 250:270] == 255).all()
    assert (trimap[60:70, 250:270] == 128).all()
    assert (trimap[70:80, 250:270] == 0).all()
    assert (trimap[200:, 20:40] == 0).all()
    assert (trimap[210, 41:43] == 128).all()
    assert notes == [
        f"what is marked as certain contradicts the mask on {200 + 20 * 40} pixels, and wins there",
        "core and garbage contradict each other on 200 pixels, which stay unknown",
    ]


@pytest.mark.parametrize("options", [{}, {"band": "1%"}, {"band": "auto", "erode": 4, "dilate": 4}], ids=str)
@pytest.mark.parametrize("coloured", [False, True], ids=["in the mask's colours", "in their own"])
def test_a_small_core_or_garbage_mark_has_room_for_an_edge(options: dict[str, Any], *, coloured: bool) -> None:
    core, garbage = np.zeros((2, HEIGHT, WIDTH), bool)
    core[110:115, 270:275] = True  # smaller than the mask's own error
    garbage[60:65, 60:65] = True
    alpha = half()
    if coloured:
        alpha[core], alpha[garbage] = 1, 0
    trimap = make_trimap(half() > 0.5, photo=scene(alpha), core=core, garbage=garbage, **options)
    for mark, label in ((core, 255), (garbage, 0)):
        around = cv2.dilate(mark.view(np.uint8), np.ones((7, 7), np.uint8)).view(bool) & ~mark
        assert (trimap[mark] == label).all()
        assert (trimap[around] == 128).mean() > 0.9  # all but the corners
    assert (trimap[80:100, 250:300] == 0).all()
    assert (trimap[80:100, 30:90] == 255).all()


def test_a_speck_or_hole_that_is_not_marked_goes_beside_a_mark() -> None:
    mask, core = half() > 0.5, np.zeros((HEIGHT, WIDTH), bool)
    mask[60:63, 280:283] = True
    core[160:165, 270:275] = True
    trimap = make_trimap(mask, photo=scene(half()), core=core)
    assert (trimap[50:70, 270:290] == 0).all()


def test_holes_and_parts_go_by_their_area() -> None:
    mask = half() > 0.5
    mask[100:110, 60:70] = False
    mask[100:105, 280:285] = True
    kept = make_trimap(mask, erode=0, dilate=0)
    assert (kept[105, 65], kept[102, 282]) == (0, 255)
    cleaned = make_trimap(mask, erode=0, dilate=0, fill_holes=100, min_area=26)
    assert (cleaned[105, 65], cleaned[102, 282]) == (255, 0)
    assert make_trimap(mask, erode=0, dilate=0, fill_holes=99, min_area=25)[102, 282] == 255


def test_a_hole_with_a_soft_rim_is_filled_whole() -> None:
    alpha = np.ones((HEIGHT, WIDTH), np.float32)
    alpha[:, 220:] = 0
    without = make_trimap(alpha, band=3, fill_holes=400)
    cv2.circle(alpha, (100, 120), 10, 0.0, -1)  # 317 pixels
    soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 1.5), np.float32)
    for matte in (alpha, soft):
        assert np.array_equal(make_trimap(matte, band=3, fill_holes=400)[:, :200], without[:, :200])
    assert make_trimap(alpha, band=3, fill_holes=316)[120, 100] == 0
    for part in (make_trimap(soft, erode=3, dilate=3, fill_holes=400), make_trimap(soft, fill_holes=400)):
        assert (part[:, :200] == 255).all()


def test_half_transparent_parts_are_not_filled_with_a_pin_hole_in_them() -> None:
    matte = half()
    matte[80:140, 40:100] = 0.4
    matte[110, 70] = 0
    filled = make_trimap(matte, fill_holes=50)
    assert (filled[82:108, 42:98] == 128).all()
    assert filled[85, 70] == filled[110, 42] == 128


def test_widths_are_pixels_or_per_cent_of_the_diagonal() -> None:
    assert [in_pixels(width, (300, 400)) for width in (7, "7", "0.5%", "1%")] == [7, 7, 3, 5]
    for width in ("-1", "1.5", "101%", "x", "%"):
        with pytest.raises(UsageError, match="must be 0 or more pixels, or per cent of the diagonal"):
            check_width(width)


def test_automatic_widths_count_the_diagonal_but_in_panoramas() -> None:
    assert automatic_length((300, 400)) == automatic_length((400, 300)) == 500
    assert automatic_length((1000, 2820)) == math.hypot(1000, 2820)
    assert automatic_length((300, 20000)) == automatic_length((20000, 300)) == 900
    assert in_pixels("1%", (300, 20000)) == 201


@pytest.mark.parametrize("with_photo", [False, True], ids=["without a photo", "with its photo"])
@pytest.mark.parametrize("turned", [False, True], ids=["wide", "high"])
def test_a_panorama_is_not_swallowed_by_its_band(*, with_photo: bool, turned: bool) -> None:
    alpha = np.zeros((60, 3000), np.float32)
    alpha[20:40, 500:2500] = 1
    alpha = alpha.T.copy() if turned else alpha
    notes: list[str] = []
    trimap = make_trimap(alpha > 0.5, photo=scene(alpha) if with_photo else None, on_note=notes.append)
    trimap = trimap.T if turned else trimap
    assert (trimap[26:34, 510:2490] == 255).all()
    assert (trimap[:14] == 0).all()
    assert (trimap[19:41, 499] == 128).all()
    told = "the mask came without its photo, so the unknown band is 1% of three times the short side on each side"
    assert notes == ([] if with_photo else [told])
    certain = with_certain(trimap, core=np.pad(np.ones((4, 4), bool), ((50, 6), (1000, 1996))))
    assert (certain[50:54, 1005] == 128).all()
    assert (certain[46:, 1010:1100] == 0).all()


@pytest.mark.parametrize("photo", [None, scene(half())], ids=["without a photo", "with its photo"])
def test_a_band_of_no_pixels_is_none_and_not_that_of_the_photo(photo: NDArray[np.uint8] | None) -> None:
    assert set(np.unique(make_trimap(half() > 0.5, photo=photo, band=0))) == {0, 255}


def test_the_band_asks_for_the_photo_and_for_one_of_its_size() -> None:
    with pytest.raises(UsageError, match="`band=auto` needs the photo"):
        make_trimap(half() > 0.5, band="auto")
    with pytest.raises(InputError, match=r"m\.png is 320×240 but the photo is 300×240; make the mask from the photo"):
        make_trimap(half() > 0.5, photo=np.zeros((240, 300, 3), np.uint8), name="m.png")


def test_an_enlarged_mask_gets_a_band_as_wide_as_its_stairs() -> None:
    disc = np.zeros((60, 80), np.uint8)
    cv2.circle(disc, (40, 30), 20, 255, -1)
    alpha = cv2.GaussianBlur(cv2.resize(disc, (640, 480)).astype(np.float32) / 255, (0, 0), 1)
    stairs = cv2.resize(disc, (640, 480), interpolation=cv2.INTER_NEAREST)
    smooth = alpha > 0.5
    by_stairs, by_smooth = ((make_trimap(mask, photo=scene_of(alpha)) == 128).sum() for mask in (stairs, smooth))
    assert by_stairs > 1.15 * by_smooth


def scene_of(alpha: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(scene(np.asarray(alpha, np.float32)), np.uint8)
