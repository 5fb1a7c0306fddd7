"""Trimaps from green and blue screens: what is certain is right, what cannot be told stays unknown, and is named."""

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.imaging.colour import decode_srgb, encode_srgb
from mattecli.trimaps.keying import key_trimap
from mattecli.trimaps.screen import beyond, find_screen
from mattecli.trimaps.sources import parse_key
from tests.support.pictures import noise

Floats = NDArray[np.float32]
HEIGHT, WIDTH = 320, 400
PAINTS = {"green": (0, 177, 64), "blue": (0, 71, 187)}


def screen(paint: str = "green") -> Floats:
    """An uneven screen in linear light (H, W, 3): brighter at the left, with folds."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    gain = 1 - 0.4 * x / WIDTH + 0.03 * np.sin(x / 17 + y / 31)
    return np.asarray(gain[..., None] * decode_srgb(np.array(PAINTS[paint], np.float32) / 255), np.float32)


def fur(colour: tuple[float, float, float] = (0.3, 0.2, 0.15)) -> Floats:
    """An opaque subject in linear light (H, W, 3): one colour, with light and dark strands."""
    strands = np.random.default_rng(1).normal(size=(HEIGHT, WIDTH)).astype(np.float32)
    shade = 1 + 0.5 * np.clip(cv2.GaussianBlur(strands, (0, 0), 1.5) * 4, -1, 1)
    return np.asarray(shade[..., None] * np.array(colour, np.float32), np.float32)


def ball(radius: float = 90, soft: float = 12) -> Floats:
    """The alpha (H, W) of a ball with a soft edge, in the middle."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    away = np.hypot(y - HEIGHT / 2, x - WIDTH / 2)
    return np.clip((radius - away) / soft + 0.5, 0, 1).astype(np.float32)


def photo(front: Floats, alpha: Floats, back: Floats, *, exposure: float = 1, full: int = 255) -> NDArray[Any]:
    """A noisy composite in linear light, as sRGB of 8 or 16 bits."""
    light = alpha[..., None] * front + (1 - alpha[..., None]) * back
    light = light + np.random.default_rng(2).normal(0, 0.004, light.shape)
    values = encode_srgb(np.clip(exposure * light, 0, 1).astype(np.float32))
    return np.rint(values * full).astype(np.uint8 if full == 255 else np.uint16)


@pytest.mark.parametrize("paint", ["green", "blue"])
def test_certain_labels_are_right_and_the_soft_edge_is_unknown(paint: str) -> None:
    alpha = ball()
    trimap, findings = key_trimap(photo(fur(), alpha, screen(paint)), name="p.jpg")
    assert set(np.unique(trimap)) == {0, 128, 255}
    assert (trimap[(alpha > 0.05) & (alpha < 0.95)] == 128).all()
    assert not (trimap[alpha == 1] == 0).any()
    assert not (trimap[alpha == 0] == 255).any()
    assert (trimap[alpha == 1] == 255).mean() > 0.6
    assert (trimap[alpha == 0] == 0).mean() > 0.9
    assert len(findings) == 1
    assert findings[0].startswith(f"p.jpg has a {paint} screen of about #")


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (200, 150, 120)])
def test_a_flat_subject_is_certain_in_its_middle(colour: tuple[int, int, int]) -> None:
    picture = np.full((300, 300, 3), PAINTS["green"], np.uint8)
    picture[100:200, 100:200] = colour
    trimap, _ = key_trimap(picture)
    assert (trimap[135:170, 135:170] == 255).all()
    assert (trimap[:90] == 0).all()


def test_the_clean_plate_continues_behind_the_subject() -> None:
    back = screen()
    found = find_screen(decode_srgb(photo(fur(), ball(), back).astype(np.float32) / 255))
    assert found is not None
    behind = ball() == 1
    assert found.channel == 1
    assert np.abs(found.plate[behind, 1] / back[behind, 1] - 1).max() < 0.1


def test_a_veil_has_no_certain_foreground() -> None:
    veil = np.where(ball() > 0.5, 0.75, 0).astype(np.float32)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    folds = (0.5 + 0.2 * np.sin(x / 9 + y / 23))[..., None] * np.array([0.9, 0.7, 0.8], np.float32)
    trimap, findings = key_trimap(photo(folds, veil, screen()))
    assert not (trimap == 255).any()
    assert (trimap[cv2.erode(veil, np.ones((9, 9))) > 0] == 128).all()
    assert "no certain foreground" in findings[1]


def test_a_hole_that_shows_the_screen_is_background() -> None:
    alpha = ball() - ball(radius=18, soft=4)
    trimap, _ = key_trimap(photo(fur(), alpha, screen()))
    assert trimap[HEIGHT // 2, WIDTH // 2] == 0
    assert trimap[HEIGHT // 2, WIDTH // 2 + 55] == 255


def test_a_shadow_on_the_screen_is_not_foreground() -> None:
    shadow = 1 - 0.6 * np.roll(ball(radius=60, soft=30), (40, 110), (0, 1))
    alpha = ball(radius=60)
    trimap, _ = key_trimap(photo(fur(), alpha, screen() * shadow[..., None]))
    assert not (trimap[alpha == 0] == 255).any()
    assert trimap[HEIGHT // 2, WIDTH // 2] == 255
    assert (trimap[:8] == 0).all()


def test_a_garment_of_another_green_is_not_background() -> None:
    olive = (0.16, 0.2, 0.03)
    trimap, _ = key_trimap(photo(fur(olive), ball(), screen()))
    assert not (trimap[ball() > 0.05] == 0).any()
    assert (trimap[ball() == 1] == 255).mean() > 0.5
    assert (trimap[:8] == 0).all()


@pytest.mark.parametrize("exposure", [0.5, 2])
def test_exposure_changes_hardly_any_label(exposure: float) -> None:
    scene = fur(), ball(), screen() * np.float32(0.4)
    usual, _ = key_trimap(photo(*scene, full=65535))
    other, _ = key_trimap(photo(*scene, exposure=exposure, full=65535))
    assert (other != usual).mean() < 0.005


def test_a_floor_beyond_the_screen_is_unknown_and_named() -> None:
    back = screen()
    back[290:] = np.array([0.2, 0.18, 0.15])
    trimap, findings = key_trimap(photo(fur(), ball(), back), name="p.jpg")
    assert (trimap[296:] == 128).all()
    assert trimap[HEIGHT // 2, WIDTH // 2] == 255
    assert findings[1].endswith("lies beyond the screen (floor, stands, walls) and is unknown; mark it with `garbage`")


def test_shoulders_that_the_frame_cuts_off_are_not_beyond_the_screen() -> None:
    shoulders, floor = np.ones((40, 50), bool), np.ones((40, 50), bool)
    y, x = np.mgrid[:40, :50]
    shoulders[np.hypot((x - 25) / 1.6, y - 40) < 18] = False
    floor[33:] = False
    assert not beyond(shoulders).any()
    assert beyond(floor)[34:].all()
    assert not beyond(floor)[:30].any()


def test_a_large_photo_gets_a_trimap_of_its_own_size() -> None:
    small = photo(fur(), ball(), screen())
    large = np.asarray(cv2.resize(small, (1999, 1603), interpolation=cv2.INTER_CUBIC))
    trimap, _ = key_trimap(large)
    assert trimap.shape == (1603, 1999)
    assert (trimap[801, 1000], trimap[30, 30]) == (255, 0)


def test_a_photo_without_a_screen_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"^view\.jpg shows no green or blue screen; name the screen's colour with"):
        key_trimap(noise(3, HEIGHT, WIDTH), name="view.jpg")
    with pytest.raises(InputError, match=r"^p\.jpg shows no blue screen.*; try `key=auto`, or make the trimap from a"):
        key_trimap(photo(fur(), ball(), screen()), colour="blue", name="p.jpg")


def test_a_screen_of_less_than_a_tenth_is_refused_with_its_share() -> None:
    back = fur((0.3, 0.3, 0.3))
    back[:, :30] = screen()[:, :30]
    with pytest.raises(InputError, match=r"the colour covers \d% of it, and 10% are needed"):
        key_trimap(photo(fur(), ball(), back), colour="green")


def test_the_screens_colour_can_be_named() -> None:
    picture = photo(fur(), ball(), screen())
    by_search, _ = key_trimap(picture)
    for text in ("green", "Green", "AUTO", "#00b140", "#00B140", "rgb(0, 177, 64)"):
        assert np.array_equal(key_trimap(picture, colour=parse_key(text))[0], by_search)


@pytest.mark.parametrize("text", ["purple-ish", "#12", "red", "#808080"])
def test_colours_that_no_screen_has_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="`key"):
        key_trimap(photo(fur(), ball(), screen()), colour=parse_key(text))
