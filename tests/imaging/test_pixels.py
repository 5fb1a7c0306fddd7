"""What values of pixels mean."""

import numpy as np
import pytest

from mattecli.errors import InputError
from mattecli.imaging.pixels import as_float, check_range, full_scale


def test_white_is_the_largest_integer_or_one() -> None:
    assert [full_scale(np.zeros(1, kind), "it") for kind in (np.uint8, np.uint16, np.float16, np.float64)] == [
        *(255, 65535, 1, 1)
    ]


@pytest.mark.parametrize("kind", ["bool", "int64", "uint32", "complex64"])
def test_other_types_are_refused_by_name(kind: str) -> None:
    with pytest.raises(InputError, match=f"the mask is of type {kind}; give uint8, uint16, or floats"):
        full_scale(np.zeros(1, kind), "the mask")


@pytest.mark.parametrize("value", [-0.01, 1.01, 255.0, float("nan"), float("inf")])
def test_floats_outside_of_0_to_1_are_refused(value: float) -> None:
    with pytest.raises(InputError, match="the mask has values from"):
        check_range(np.array([0.5, value]), "the mask")
    check_range(np.array([0.0, 0.5, 1.0]), "the mask")
    check_range(np.array([255], np.uint8), "the mask")


def test_every_8_and_16_bit_value_becomes_the_float_nearest_to_its_share() -> None:
    for kind, top in ((np.uint8, 255), (np.uint16, 65535)):
        values = np.arange(top + 1, dtype=kind)
        np.testing.assert_array_equal(as_float(values), (values / top).astype(np.float32))
