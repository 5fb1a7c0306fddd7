"""Colour profiles: the same colour in another space's values."""

import struct

import numpy as np
import pytest

from mattecli.imaging.colour import same_profile
from mattecli.imaging.image import Image, in_profile
from tests.imaging.test_read import SRGB, profile

# Of ICC.1 and Adobe RGB (1998): primaries adapted to D50, in 16.16 fixed point, and the exponent 563/256.
_ADOBE = {"r": (0.60974, 0.31111, 0.01947), "g": (0.20528, 0.62567, 0.06087), "b": (0.14919, 0.06322, 0.74457)}
_GAMMA = 563 / 256


def adobe_rgb() -> bytes:
    tags = {}
    for name, xyz in _ADOBE.items():
        fixed = struct.pack(">3i", *(round(value * 65536) for value in xyz))
        tags[f"{name}XYZ".encode()] = b"XYZ " + bytes(4) + fixed
        tags[f"{name}TRC".encode()] = b"curv" + bytes(4) + struct.pack(">IH", 1, 563)
    return profile(b"mntr", b"RGB ", b"XYZ ", tags)


def in_adobe_rgb(colour: tuple[int, int, int]) -> list[int]:
    """By the formulas: sRGB decoded, to XYZ of D50, to Adobe RGB's primaries, encoded."""
    encoded = np.array(colour) / 255
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    srgb = np.array([(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)])
    wide = np.linalg.solve(np.array(list(_ADOBE.values())).T, light @ srgb)
    return [round(255 * value) for value in np.clip(wide, 0, 1) ** (1 / _GAMMA)]


@pytest.mark.parametrize("colour", [(0, 177, 64), (200, 40, 30), (128, 128, 128), (255, 255, 255), (0, 0, 0)])
def test_an_srgb_colour_has_its_adobe_rgb_values(colour: tuple[int, int, int]) -> None:
    converted = in_profile(Image(np.full((2, 3, 3), colour, np.uint8)), adobe_rgb())
    assert converted is not None
    assert converted.icc == adobe_rgb()
    assert np.abs(converted.pixels.astype(int) - in_adobe_rgb(colour)).max() <= 1
    back = in_profile(converted, None)
    assert back is not None
    assert np.abs(back.pixels.astype(int) - colour).max() <= 2


def test_a_picture_that_is_in_the_profile_already_is_handed_back() -> None:
    image = Image(np.zeros((2, 3, 3), np.uint16), SRGB)
    assert in_profile(image, None) is image
    assert in_profile(image, SRGB) is image


def test_deep_pictures_and_broken_profiles_cannot_be_converted() -> None:
    assert in_profile(Image(np.zeros((2, 3, 3), np.uint16)), adobe_rgb()) is None
    assert in_profile(Image(np.zeros((2, 3, 3), np.uint8)), b"broken") is None


def test_a_profile_is_srgb_by_what_it_does_not_by_its_name() -> None:
    linear = adobe_rgb().replace(struct.pack(">IH", 1, 563), struct.pack(">IH", 1, 256)) + b"sRGB"
    assert same_profile(SRGB, None)
    assert not same_profile(adobe_rgb(), None)
    assert not same_profile(linear, SRGB)
    assert not same_profile(b"sRGB, but no profile", None)
