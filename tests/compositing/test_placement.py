import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.compositing.finishing import Finishing
from mattecli.compositing.placement import Placement, _extreme, find_placement
from mattecli.compositing.subject import find_subject
from mattecli.errors import DeviceError, InputError, UsageError
from tests.support.memory import free_memory

Floats = NDArray[np.float32]


def block(top: int = 100, bottom: int = 300, left: int = 150, right: int = 250) -> Floats:
    """A solid subject in a picture of 400 × 400 pixels."""
    alpha = np.zeros((400, 400), np.float32)
    alpha[top:bottom, left:right] = 1
    return alpha


def box_of(alpha: Floats) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is at least half opaque."""
    rows, columns = np.flatnonzero((alpha >= 0.5).any(axis=1)), np.flatnonzero((alpha >= 0.5).any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def placed(alpha: Floats, **options: object) -> tuple[Floats, list[str]]:
    """The matte in its place, and what is said of it."""
    place, notes = find_placement(alpha, Finishing(**options))  # type: ignore[arg-type]
    return place.plane(alpha), notes


def test_specks_haze_and_one_flyaway_move_the_box_by_a_pixel_at_most() -> None:
    alpha = np.zeros((900, 900), np.float32)
    cv2.ellipse(alpha, (450, 450), (150, 250), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    clean = find_subject(alpha)
    dirty = np.maximum(alpha, np.float32(0.05))  # haze
    for place in ((40, 40), (860, 500), (450, 880)):
        cv2.circle(dirty, place, 3, 0.8, -1)
    cv2.line(dirty, (450, 210), (500, 100), 0.7, 1)  # a hair that stands off the head
    found = find_subject(dirty)
    assert clean is not None
    assert found is not None
    for side in ("left", "top", "right", "bottom"):
        assert abs(getattr(found, side) - getattr(clean, side)) <= 1, side


def test_a_second_shoe_and_a_thick_handle_belong_to_the_box() -> None:
    alpha = block()
    alpha[200:260, 320:370] = 1
    alpha[150:154, 60:150] = 1
    subject = find_subject(alpha)
    assert subject is not None
    assert (subject.left, subject.right) == (60, 370)


def test_an_empty_matte_has_no_subject() -> None:
    assert find_subject(np.full((20, 20), 0.05, np.float32)) is None
    with pytest.raises(InputError, match=r"cat\.jpg: the matte is empty"):
        find_placement(np.zeros((20, 20), np.float32), Finishing(crop="subject"), name="cat.jpg")


def test_a_crop_at_scale_one_gives_equal_pixels() -> None:
    rng = np.random.default_rng(0)
    alpha = block() * rng.uniform(0.2, 1, (400, 400)).astype(np.float32)
    colours = rng.random((400, 400, 3), np.float32)
    place, _ = find_placement(alpha, Finishing(crop="subject", margin=10))
    assert place.size == (120, 220)
    assert np.array_equal(place.plane(alpha), alpha[90:310, 140:260])
    assert np.array_equal(place.colours(colours, alpha), colours[90:310, 140:260])


def test_a_crop_at_scale_one_keeps_the_bits_of_odd_values() -> None:
    colours = np.full((400, 400, 3), 0.2, np.float32)
    colours[200, 200:204, 0] = np.inf, -np.inf, np.nan, 3000
    place, _ = find_placement(block(), Finishing(crop="subject", margin=10))
    cropped = place.colours(colours, block())
    assert np.array_equal(cropped.view(np.uint32), colours[90:310, 140:260].view(np.uint32))


def dark_points(**options: float) -> Floats:
    """Where in a plate with two very bright points and one that is not a number it gets darker, as (x, y)."""
    alpha, colours = np.ones((400, 400), np.float32), np.full((400, 400, 3), 0.2, np.float32)
    colours[200, 200], colours[100, 100] = 3000, np.inf
    colours[300, 300] = np.nan
    place, _ = find_placement(alpha, Finishing(**options))  # type: ignore[arg-type]
    result = place.colours(colours, alpha)
    assert result.min() >= 0
    assert result.max() <= 65504
    y, x = np.nonzero((result < 0.199).any(axis=2))
    points = [place.point(i + 0.5, j + 0.5) for i, j in zip(x, y, strict=True)]
    return np.array(points, np.float32).reshape(-1, 2)


PLACES = [(0.5, 0.0), (1.7, 0.0), (0.07, 0.0), (1.0, 7.0), (0.4, 7.0)]  # scale and degrees


@pytest.mark.parametrize(("scale", "degrees"), PLACES)
def test_a_bright_point_leaves_no_dark_ring_in_a_plate(scale: float, degrees: float) -> None:
    points = dark_points(scale=scale, rotate=degrees)
    # What is not a number counts as 0, and so is dark around.
    assert (np.abs(points - 300.5) < 1 + 3 / min(scale, 1)).all()


@pytest.mark.parametrize(("scale", "degrees"), [place for place in PLACES if place[0] < 1])
def test_sharpening_darkens_a_plate_only_beside_bright_points(scale: float, degrees: float) -> None:
    points = dark_points(scale=scale, rotate=degrees, sharpen=100)
    reach = 1 + 3 / min(scale, 1) + (3 / scale if scale < 1 else 0)  # the blur reaches 3 pixels of the output
    away = [np.abs(points - place).max(axis=1) for place in (100.5, 200.5, 300.5)]
    assert (np.min(away, axis=0) < reach).all()


def test_the_extremes_that_a_kernel_sees_are_those_of_its_square() -> None:
    values = np.random.default_rng(0).random((40, 30, 3), np.float32)
    for reach in (1, 8, 9, 17, 60):
        square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        assert np.array_equal(_extreme(values, reach, cv2.erode), cv2.erode(values, square))
        assert np.array_equal(_extreme(values, reach, cv2.dilate), cv2.dilate(values, square))


def test_a_margin_beyond_the_photo_is_empty() -> None:
    result, notes = placed(block(top=0), crop="subject", margin=20)
    assert result.shape == (340, 140)
    assert not result[:20].any()
    assert notes == ["the photo cuts the subject at the top, and this edge shows in the output"]


def test_the_subject_fills_its_share_of_the_tighter_side() -> None:
    result, _ = placed(block(), canvas=(1000, 500), fill=0.8)
    left, top, right, bottom = box_of(result)
    assert result.shape == (500, 1000)
    assert bottom - top == pytest.approx(400, abs=1)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((500, 250), abs=1)
    assert right - left == pytest.approx(200, abs=1)


def test_without_a_share_the_subject_fills_what_the_margin_leaves() -> None:
    left, top, right, bottom = box_of(placed(block(), canvas=(300, 300), margin=30)[0])
    assert (top, bottom) == pytest.approx((30, 270), abs=1)
    assert (left + right) / 2 == pytest.approx(150, abs=1)


def test_a_scale_keeps_the_sizes_of_products_comparable() -> None:
    small, large = (box_of(placed(alpha, canvas=(400, 400), scale=0.5)[0]) for alpha in (block(200), block(100)))
    assert small[3] - small[1] == pytest.approx(50, abs=1)
    assert large[3] - large[1] == pytest.approx(100, abs=1)


@pytest.mark.parametrize(
    ("at", "middle"),
    [
        ("centre", (200, 200)),
        ("bottom:12%", (200, 400 - 48 - 100)),
        ("bottom", (200, 300)),
        ("25%,60%", (100, 240)),
        ("90,150", (90, 150)),
    ],
)
def test_the_subject_stands_where_it_is_put(at: str, middle: tuple[float, float]) -> None:
    left, top, right, bottom = box_of(placed(block(), canvas=(400, 400), scale=1.0, at=at)[0])
    assert ((left + right) / 2, (top + bottom) / 2) == middle


def test_the_bottom_is_where_the_solid_part_stands() -> None:
    alpha = block()
    alpha[300:340, 190:192] = 0.9  # a thread hangs below
    result, _ = placed(alpha, canvas=(400, 400), scale=0.5, at="bottom:25%")
    wide = np.flatnonzero((result >= 0.5).sum(axis=1) > 10)
    assert wide[-1] + 1 == pytest.approx(300, abs=1)
    assert box_of(result)[3] == pytest.approx(320, abs=1)


def test_the_centre_of_mass_comes_to_the_middle() -> None:
    alpha = block()
    alpha[100:300, 250:350] = 0.3
    result, _ = placed(alpha, canvas=(400, 400), scale=0.5, at="mass")
    x = (result.sum(axis=0) * (np.arange(400) + 0.5)).sum() / result.sum()
    assert x == pytest.approx(200, abs=0.1)


def test_what_enlarges_or_cuts_the_subject_is_said() -> None:
    assert placed(block(), canvas=(800, 800))[1] == ["the subject is enlarged to 400 %, so it looks soft"]
    assert placed(block(), canvas=(100, 100), scale=1.0)[1] == ["the output cuts the subject at the top and the bottom"]


def test_a_margin_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(UsageError, match="`margin` leaves no room on a `canvas` of 100x100"):
        placed(block(), canvas=(100, 100), margin=60)


@pytest.mark.parametrize("degrees", [0.0, 7.0, -30.0])
@pytest.mark.parametrize("scale", [0.13, 0.5, 1.0, 1.7])
def test_a_uniform_colour_comes_back(scale: float, degrees: float) -> None:
    alpha = np.zeros((400, 400), np.float32)
    cv2.circle(alpha, (200, 200), 120, 1.0, -1, cv2.LINE_AA)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 1.5)
    colours = np.full((400, 400, 3), (0.8, 0.3, 0.1), np.float32)
    colours[alpha == 0] = (0, 1, 0)  # must not bleed in
    place, _ = find_placement(
        alpha, Finishing(scale=scale, rotate=degrees) if degrees else Finishing(scale=scale, crop="subject", margin=3.0)
    )
    result, share = place.colours(colours, alpha), place.plane(alpha)
    assert (share > 0.5).any()
    assert np.abs(result - colours[200, 200])[share > 0.02].max() <= 1.01 / 255


def test_a_turn_is_clockwise_and_keeps_the_area() -> None:
    alpha = block(top=190, bottom=210, left=200, right=380)  # a hand that points to the right
    place, _ = find_placement(alpha, Finishing(rotate=30))
    result = place.plane(alpha)
    x, y = 200 + 150 * math.cos(math.radians(30)), 200 + 150 * math.sin(math.radians(30))
    assert result[round(y), round(x)] == pytest.approx(1, abs=0.01)
    assert result.sum() == pytest.approx(alpha.sum(), rel=0.01)


def test_a_turned_crop_holds_the_turned_subject() -> None:
    alpha = block()
    place, _ = find_placement(alpha, Finishing(crop="subject", rotate=20))
    assert place.plane(alpha).sum() == pytest.approx(alpha.sum(), rel=0.01)
    turn = math.radians(20)
    wide = 100 * math.cos(turn) + 200 * math.sin(turn)
    assert place.size[0] == pytest.approx(wide, abs=2)


def test_fine_lines_become_an_even_grey_when_they_are_made_smaller() -> None:
    alpha = np.ones((512, 512), np.float32)
    lines = np.zeros((512, 512, 3), np.float32)
    lines[:, ::2] = 1
    for degrees in (0.0, 5.0):
        place = Placement(size=(128, 128), source=(256, 256), target=(64, 64), scale=0.25, degrees=degrees)
        grey = place.colours(lines, alpha)[20:-20, 20:-20]
        assert np.abs(grey - 0.5).max() < 0.06, degrees


def test_sharpening_makes_shrunk_colours_crisper_and_leaves_alpha_alone() -> None:
    alpha = block()
    colours = np.repeat(cv2.GaussianBlur(block(150, 250, 180, 220), (0, 0), 2)[..., None], 3, axis=2)
    plain, _ = find_placement(alpha, Finishing(scale=0.5))
    crisp, _ = find_placement(alpha, Finishing(scale=0.5, sharpen=100))
    assert np.array_equal(plain.plane(alpha), crisp.plane(alpha))
    slopes = [np.abs(np.diff(place.colours(colours, alpha)[100, :, 0])).max() for place in (plain, crisp)]
    assert slopes[1] > 1.1 * slopes[0]


def test_tiles_of_the_output_do_not_show() -> None:
    rng = np.random.default_rng(1)
    alpha = cv2.GaussianBlur(rng.random((700, 700), np.float32), (0, 0), 2)
    for degrees in (0.0, 3.0):
        whole = Placement(size=(1300, 30), source=(350, 350), target=(650, 15), scale=1.5, degrees=degrees)
        part = Placement(size=(600, 30), source=(350, 350), target=(-150, 15), scale=1.5, degrees=degrees)
        assert np.abs(whole.plane(alpha)[:, 800:1300] - part.plane(alpha)[:, :500]).max() < 0.01


def test_a_turn_alone_says_what_it_cuts() -> None:
    _, notes = placed(block(top=40, bottom=360, left=40, right=360), rotate=40)
    assert notes == ["the output cuts the subject at the left and the top and the right and the bottom"]
    assert placed(block(), rotate=10)[1] == []


def test_an_output_that_the_memory_cannot_hold_is_refused() -> None:
    with free_memory(1000 * 1000 * 32 - 1), pytest.raises(DeviceError, match="an output of 1000×1000 pixels takes"):
        placed(block(), canvas=(1000, 1000))
    with free_memory(1000 * 1000 * 32):
        placed(block(), canvas=(1000, 1000))


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"canvas": (300, 300)}, "give it a smaller `canvas`"),
        ({"canvas": (300, 300), "margin": 20}, "give it a smaller `canvas` or `margin`"),
        ({"scale": 2.0}, "give it a smaller `scale`"),
        ({"crop": "subject"}, "close other programs, or add `scale`"),
        ({"rotate": 5.0}, "close other programs, or add `scale`"),
    ],
)
def test_the_remedy_for_too_little_memory_names_what_was_given(options: dict[str, object], remedy: str) -> None:
    with free_memory(1000), pytest.raises(DeviceError) as error:
        placed(block(), **options)
    assert str(error.value).endswith(f"; {remedy}")


SIDES = ["top", "bottom", "left", "right"]


def cut_at(side: str, height: int = 301, width: int = 211) -> Floats:
    """A solid subject that the frame cuts at that side, 60 pixels away from the others."""
    alpha = np.zeros((height, width), np.float32)
    part = {"top": 0, "bottom": height, "left": 0, "right": width}
    top, bottom, left, right = (part[one] if one == side else None for one in SIDES)
    alpha[
        60 if top is None else 0 : height - 60 if bottom is None else height,
        60 if left is None else 0 : width - 60 if right is None else width,
    ] = 1
    return alpha


def rim_of(result: Floats, side: str) -> Floats:
    """Ten pixels in the middle of the outermost row or column at that side."""
    rim = {"top": result[0], "bottom": result[-1], "left": result[:, 0], "right": result[:, -1]}[side]
    return rim[len(rim) // 2 - 5 : len(rim) // 2 + 5]


@pytest.mark.parametrize("scale", [0.5, 2.0, 0.333, 1.37])
@pytest.mark.parametrize("options", [{}, {"crop": "subject"}])
@pytest.mark.parametrize("side", SIDES)
def test_a_subject_that_the_photo_cuts_stays_solid_at_that_side(
    side: str, options: dict[str, object], scale: float
) -> None:
    alpha = cut_at(side)
    place, _ = find_placement(alpha, Finishing(scale=scale, **options))  # type: ignore[arg-type]
    assert np.abs(rim_of(place.plane(alpha), side) - 1).max() < 1e-5
    colours = np.full((*alpha.shape, 3), (0.8, 0.3, 0.1), np.float32)
    assert np.abs(rim_of(place.colours(colours, alpha), side) - colours[0, 0]).max() < 1e-5


@pytest.mark.parametrize("at", ["bottom", "bottom:0%"])
@pytest.mark.parametrize("size", [(150, 97), (700, 701)])
def test_a_subject_that_the_photo_cuts_stands_on_the_canvas_without_a_gap(size: tuple[int, int], at: str) -> None:
    alpha = cut_at("bottom")
    options: dict[str, object] = {"at": at} if at == "bottom" else {"at": at, "fill": 0.8}
    result, _ = placed(alpha, canvas=size, **options)
    assert np.abs(rim_of(result, "bottom") - 1).max() < 1e-5


def test_a_gap_of_a_pixel_that_was_asked_for_stays() -> None:
    result, _ = placed(cut_at("bottom"), crop="subject", scale=0.5, margin=1)
    assert rim_of(result, "bottom").max() < 0.6
    result, _ = placed(cut_at("bottom"), canvas=(300, 400), scale=0.5, at="bottom:1%")
    assert rim_of(result, "bottom").max() == 0


def test_a_kept_shadow_goes_on_where_the_photo_ends() -> None:
    place = Placement(size=(50, 50), source=(50.5, 50.5), target=(25, 25), scale=0.5)
    assert np.abs(place.plane(np.full((101, 101), 0.5, np.float32), outside=1) - 0.5).max() < 1e-5
    away = Placement(size=(70, 50), source=(50.5, 50.5), target=(35, 25), scale=0.5)
    light = away.plane(np.full((101, 101), 0.5, np.float32), outside=1)
    assert np.abs(light[:, 12:-12] - 0.5).max() < 1e-3
    assert (light[:, :8] == 1).all()
