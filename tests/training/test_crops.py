"""What `experiments/crops.py` says of pictures whose trimaps are known."""

import numpy as np

from experiments.crops import measure, row

TRIMAP = np.repeat(np.array([[0, 0, 128, 128, 128, 255, 255, 255, 255, 255]], np.uint8), 4, axis=0)


def test_share_softness_and_depth_are_those_of_the_unknown_pixels() -> None:
    alpha = np.where(TRIMAP == 255, 1.0, np.where(np.arange(10) == 3, 0.5, 0.0))
    found = measure(TRIMAP, alpha)
    assert found.unknown == 0.3
    assert round(found.soft, 6) == round(1 / 3, 6)
    assert round(found.depth, 6) == round((1 + 2 + 1) / 3, 6)
    assert (found.white, found.black) == (True, True)


def test_a_picture_with_nothing_known_is_as_deep_as_its_side() -> None:
    found = measure(np.full((6, 8), 128, np.uint8), np.zeros((6, 8)))
    assert (found.depth, found.white, found.black) == (8, False, False)


def test_a_row_has_medians_and_the_shares_without_a_side() -> None:
    alpha = np.zeros(TRIMAP.shape)
    pictures = [measure(TRIMAP, alpha), measure(TRIMAP, alpha), measure(np.where(TRIMAP == 0, 128, TRIMAP), alpha)]
    assert row("three", pictures) == "| three | 3 | 0.30 | 0.00 | 1 | 0% | 33% |"
