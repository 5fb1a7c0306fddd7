"""The light of a screen goes, and colours without it stay."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.compositing.despill import Despill, despilled, screen_colour
from mattecli.errors import UsageError
from mattecli.imaging.colour import decode_srgb
from mattecli.imaging.image import Image

Floats = NDArray[np.float32]
GREEN = decode_srgb(np.array([0, 177, 64], np.float32) / 255)
BLUE = decode_srgb(np.array([0, 71, 187], np.float32) / 255)
AUTO = Despill(screen="auto")


def disc(radius: float = 60, side: int = 160) -> Floats:
    y, x = np.mgrid[:side, :side].astype(np.float32) - (side - 1) / 2
    return np.clip((radius - np.hypot(y, x)) / 3 + 0.5, 0, 1).astype(np.float32)


def uniform(*colour: float, side: int = 160) -> Floats:
    return np.broadcast_to(np.float32(colour), (side, side, 3)).copy()


@pytest.mark.parametrize("screen", [GREEN, BLUE])
def test_spill_on_grey_goes_to_nothing_at_half_alpha_and_less(screen: Floats) -> None:
    clean = despilled(uniform(0.3, 0.3, 0.3) + 0.2 * screen, np.full((160, 160), 0.4, np.float32), screen, how=AUTO)
    np.testing.assert_allclose(clean, 0.3, atol=1e-5)


def test_strength_says_which_part_of_the_spill_goes() -> None:
    half = Despill(screen="green", strength=50)
    clean = despilled(uniform(0.3, 0.3, 0.3) + 0.2 * GREEN, np.full((160, 160), 0.4, np.float32), GREEN, how=half)
    np.testing.assert_allclose(clean[80, 80], 0.3 + 0.1 * GREEN, atol=1e-5)


def test_restored_brightness_is_that_before() -> None:
    spilled = uniform(0.3, 0.3, 0.3) + 0.2 * GREEN
    clean = despilled(spilled, np.full((160, 160), 0.4, np.float32), GREEN, how=Despill(screen="green", restore=100))
    weights = np.array([0.2126, 0.7152, 0.0722])
    np.testing.assert_allclose(clean @ weights, spilled @ weights, atol=1e-5)
    np.testing.assert_allclose(clean[..., 1], clean[..., 0], atol=1e-5)


def test_the_amount_falls_as_a_gaussian_of_the_distance_inside() -> None:
    alpha = np.zeros((40, 200), np.float32)
    alpha[:, 50:] = 1
    grey = np.broadcast_to(np.float32(0.3) + 0.1 * GREEN, (40, 200, 3)).copy()
    # Foreground deep inside has the spill, too: below 15 % more than the other channels it counts as none.
    clean = despilled(grey, alpha, GREEN, how=Despill(screen="green", reach=10))
    gone = (grey - clean)[20, :, 1] / (grey[20, 0, 1] - 0.3)
    for distance in (1, 5, 10, 20):
        weight = np.exp(-((distance / 10) ** 2))
        assert gone[49 + distance] == pytest.approx(weight, abs=0.02)
    assert np.abs(np.diff(gone[49:])).max() < 0.1  # no step


@pytest.mark.parametrize(
    "colour", [(0.8, 0.6, 0.45), (0.58, 0.4, 0.15), (0.9, 0.7, 0.0), (0.0, 0.48, 0.57), (0.05, 0.26, 0.07)]
)
def test_skin_blond_yellow_cyan_and_green_garments_stay(colour: tuple[float, float, float]) -> None:
    plain = uniform(*colour)
    alpha = disc()
    clean = despilled(plain, alpha, GREEN, how=AUTO)
    assert np.abs(clean - plain)[alpha > 0.1].max() < 0.01


def test_deep_inside_nothing_changes() -> None:
    spilled = uniform(0.3, 0.4, 0.3)
    clean = despilled(spilled, disc(), GREEN, how=Despill(screen="green", reach=5))
    np.testing.assert_allclose(clean[80, 80], spilled[80, 80], atol=1e-6)
    assert clean[80, 22, 1] < 0.38


def test_what_is_not_finite_stays_as_it_is() -> None:
    plate = uniform(0.3, 0.5, 0.3)
    plate[80, 21] = np.nan, np.inf, 0.5
    clean = despilled(plate, disc(), GREEN, how=AUTO)
    np.testing.assert_array_equal(clean[80, 21, :2], plate[80, 21, :2])
    assert np.isfinite(np.delete(clean.reshape(-1, 3), 80 * 160 + 21, axis=0)).all()


def test_auto_finds_the_screen_behind_the_subject_and_no_other() -> None:
    alpha = disc()
    for display, found in (
        ((0, 177, 64), True),
        ((0, 71, 187), True),
        ((120, 120, 125), False),
        ((200, 40, 30), False),
    ):
        pixels = np.where(alpha[..., None] > 0, 90, np.uint8(display)).astype(np.uint8)
        screen = screen_colour("auto", Image(pixels), alpha)
        assert (screen is not None) == found
        if screen is not None:
            np.testing.assert_allclose(screen, decode_srgb(np.float32(display) / 255), atol=1e-4)
    assert screen_colour("auto", Image(pixels), np.ones_like(alpha)) is None


def test_a_screen_that_is_neither_green_nor_blue_is_refused() -> None:
    with pytest.raises(UsageError, match="`despill` needs the colour of a green or blue screen"):
        screen_colour((0.9, 0.2, 0.1), Image(np.zeros((4, 4, 3), np.uint8)), np.zeros((4, 4), np.float32))
    with pytest.raises(UsageError, match="screen, and #40b0a0 is neither; name another"):
        screen_colour(
            (64 / 255, 176 / 255, 160 / 255), Image(np.zeros((4, 4, 3), np.uint8)), np.zeros((4, 4), np.float32)
        )


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"strength": 101}, "`despill_strength` must be a percentage from 0 to 100, not 101"),
        ({"restore": -1}, "`despill_restore` must be a percentage"),
        ({"reach": 0}, "`despill_reach` must be a number of pixels above 0, not 0"),
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Despill(screen="green", **wrong)  # type: ignore[arg-type]


def haired(colour: tuple[float, float, float]) -> tuple[Floats, Floats]:
    """A brown body whose rim, of that colour, has the spill of a blue screen; and its alpha."""
    alpha = disc()
    y, x = np.mgrid[:160, :160].astype(np.float32) - 79.5
    rim = np.clip((np.hypot(y, x) - 40) / 15, 0, 1)[..., None]
    colours = np.where(rim > 0, np.float32(colour), np.float32(BROWN))
    return (colours + rim * (colours + np.float32(0.05)) * BLUE).astype(np.float32), alpha


BROWN = (0.16, 0.08, 0.04)


def test_blue_light_on_brown_hair_goes_though_it_makes_no_blue_of_it() -> None:
    colours, alpha = haired(BROWN)
    assert colours[80, 22, 2] < colours[80, 22, :2].mean()  # there is no excess over the mean
    clean = despilled(colours, alpha, BLUE, how=AUTO)
    before, after = (abs(one[80, 22] - np.float32(BROWN))[2] for one in (colours, clean))
    assert after < 0.5 * before
    assert np.abs(clean[80, 80] - np.float32(BROWN)).max() < 1e-6


def test_the_brown_inside_takes_no_blue_from_a_white_rim() -> None:
    white = np.where(disc(40)[..., None] > 0, np.float32(BROWN), np.float32(0.8))
    clean = despilled(white.astype(np.float32), disc(), BLUE, how=AUTO)
    assert np.abs(clean - white)[disc() > 0].max() < 0.02  # of 0.8
