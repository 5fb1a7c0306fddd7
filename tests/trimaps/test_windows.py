"""Trimaps of OpenEXR plates whose data and display windows differ."""

import numpy as np

from mattecli.imaging.metadata import Windows
from mattecli.trimaps.pairs import over_data_window

TRIMAP = np.array([[0, 128, 255], [128, 255, 0]], np.uint8)  # of a display of 3 × 2


def test_a_trimap_of_the_display_is_extended_over_the_overscan() -> None:
    windows = Windows(data=(-1, -2, 6, 5), display=(0, 0, 3, 2))
    np.testing.assert_array_equal(over_data_window(TRIMAP, windows), np.pad(TRIMAP, ((2, 1), (1, 2)), mode="edge"))


def test_a_trimap_lies_in_the_data_window_where_both_windows_have_one_size() -> None:
    windows = Windows(data=(5, -1, 3, 2), display=(0, 0, 3, 2))
    np.testing.assert_array_equal(over_data_window(TRIMAP, windows), TRIMAP)


def test_a_trimap_of_the_display_is_cut_to_a_smaller_data_window() -> None:
    windows = Windows(data=(11, 20, 2, 1), display=(10, 20, 3, 2))
    np.testing.assert_array_equal(over_data_window(TRIMAP, windows), TRIMAP[:1, 1:])
