"""Trimaps of another size than their photo."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.colour import linear
from mattecli.imaging.image import Image
from mattecli.imaging.metadata import Metadata, Windows
from mattecli.imaging.write import write_image
from mattecli.trimaps.check import from_values
from mattecli.trimaps.clean import depth
from mattecli.trimaps.pairs import pair_size, read_pair
from mattecli.trimaps.resize import resized
from tests.support.pictures import noise, write

NAMES = {"name": "t.png", "image_name": "p.jpg"}


def proxy() -> NDArray[np.uint8]:
    trimap = np.zeros((60, 80), np.uint8)
    cv2.circle(trimap, (40, 30), 20, 128, -1)
    cv2.circle(trimap, (40, 30), 14, 255, -1)
    return trimap


def test_the_unknown_part_grows_by_a_pixel_and_a_half_of_the_proxy() -> None:
    small = proxy()
    large, note = resized(small, (320, 240), **NAMES)
    assert large.shape == (240, 320)
    nearest = cv2.resize(small, (320, 240), interpolation=cv2.INTER_NEAREST)
    away = depth(nearest != 128)
    assert (large[away <= 6] == 128).all()
    assert (large[away > 6] == nearest[away > 6]).all()
    assert note == (
        "t.png is 80×60 and was brought to 320×240, the size of p.jpg; its unknown part is 6 pixels wider on each side"
    )


def test_no_true_label_of_a_shrunk_trimap_is_contradicted() -> None:
    full = np.zeros((480, 640), np.uint8)
    cv2.ellipse(full, (320, 240), (200, 150), 20, 0, 360, 128, -1)
    cv2.ellipse(full, (320, 240), (170, 120), 20, 0, 360, 255, -1)
    soft = cv2.resize(full, (160, 120), interpolation=cv2.INTER_AREA)
    back, _ = resized(from_values(soft), (640, 480), **NAMES)
    known = back != 128
    assert (full[known] == back[known]).all()
    assert (back == 128).mean() < 2 * (full == 128).mean()


def test_another_aspect_is_refused_and_rounding_is_not() -> None:
    with pytest.raises(InputError, match=r"t\.png is 80×60, which is another aspect than the 300×240 of p\.jpg"):
        resized(proxy(), (300, 240), **NAMES)
    assert resized(np.zeros((333, 500), np.uint8), (4000, 2667), **NAMES)[0].shape == (2667, 4000)


def test_a_pair_of_two_sizes_is_read_only_when_asked(tmp_path: Path) -> None:
    photo, trimap = write(tmp_path / "p.png", noise(1, 240, 320)), write(tmp_path / "t.png", proxy())
    with pytest.raises(InputError, match="or add `resize_trimap`"):
        read_pair(photo, trimap, resize=False)
    with pytest.raises(InputError, match="or add `resize_trimap`"):
        pair_size(photo, trimap, resize=False)
    with pytest.raises(InputError, match=r"at its full size$"):
        read_pair(photo, trimap)
    notes: list[str] = []
    pair = read_pair(photo, trimap, resize=True, on_note=notes.append)
    assert (pair.trimap.shape, pair_size(photo, trimap, resize=True)) == ((240, 320), (320, 240))
    assert (pair.view == pair.photo.pixels).all()
    assert "was brought to 320×240" in notes[0]


def test_a_thin_unknown_line_stays_in_a_smaller_size() -> None:
    full = np.zeros((40, 60), np.uint8)
    full[:, 31:] = 255
    full[:, 31] = 128
    small, _ = resized(full, (30, 20), **NAMES)
    assert (small[:, 14:17] == 128).all()
    assert (small[:, :12] == 0).all()
    assert (small[:, 19:] == 255).all()


@pytest.mark.parametrize("edge", [300, 301])
@pytest.mark.parametrize("size", [(300, 200), (1200, 800), (200, 133)])
def test_a_hard_mask_stays_one_in_any_size(edge: int, size: tuple[int, int]) -> None:
    mask = np.zeros((400, 600), np.uint8)
    mask[:, edge:] = 255
    other, note = resized(mask, size, **NAMES)
    assert np.unique(other).tolist() == [0, 255]
    assert note == f"t.png is 600×400 and was brought to {size[0]}×{size[1]}, the size of p.jpg"


@pytest.mark.parametrize("times", [23, 40])
def test_one_pixel_that_differs_makes_a_much_smaller_pixel_unknown(times: int) -> None:
    full = np.full((20 * times, 30 * times), 255, np.uint8)
    full[10 * times, 20 * times] = 128
    assert resized(full, (30, 20), **NAMES)[0][10, 20] == 128


@pytest.mark.parametrize(
    ("data", "display", "proxy_size", "column", "note"),
    [
        ((-12, -6, 264, 132), (0, 0, 240, 120), (132, 66), 66, "264×132, the data window"),
        ((-12, -6, 264, 132), (0, 0, 240, 120), (120, 60), 60, "240×120, the display window"),
        ((-12, -7, 265, 134), (0, 0, 240, 120), (133, 67), 66, "265×134, the data window"),
        ((-2, -2, 484, 484), (0, 0, 480, 480), (121, 121), 60, "484×484, the data window"),
    ],
)
def test_a_proxy_comes_to_the_window_that_it_is_a_copy_of(
    tmp_path: Path,
    data: tuple[int, int, int, int],
    display: tuple[int, int, int, int],
    proxy_size: tuple[int, int],
    column: int,
    note: str,
) -> None:
    plate = Image(
        np.full((data[3], data[2], 3), 0.2, np.float32), linear().icc, metadata=Metadata(windows=Windows(data, display))
    )
    write_image(tmp_path / "g.exr", plate)
    trimap = np.zeros(proxy_size[::-1], np.uint8)
    trimap[:, column:] = 255
    trimap[:, column] = 128
    write(tmp_path / "t.png", trimap)
    notes: list[str] = []
    found = read_pair(tmp_path / "g.exr", tmp_path / "t.png", resize=True, on_note=notes.append).trimap
    assert notes[0].startswith(f"{tmp_path}/t.png is {proxy_size[0]}×{proxy_size[1]} and was brought to {note} of ")
    window = data if "data" in note else display
    scale = window[2] / proxy_size[0]
    middle = scale * (column + 0.5) + window[0] - data[0] - 0.5
    assert abs(np.flatnonzero(found[data[3] // 2] == 128).mean() - middle) <= scale


def test_a_proxy_of_the_display_window_comes_to_its_place_in_an_overscan_plate(tmp_path: Path) -> None:
    windows = Windows((-8, -4, 96, 56), (0, 0, 80, 48))
    plate = Image(np.full((56, 96, 3), 0.2, np.float32), linear().icc, metadata=Metadata(windows=windows))
    write_image(tmp_path / "p.exr", plate)
    shutil.copy(tmp_path / "p.exr", tmp_path / "plate.sxr")
    trimap = np.zeros((24, 40), np.uint8)
    trimap[:, 20:] = 255
    trimap[:, 20] = 128
    write(tmp_path / "t.png", trimap)
    for name in ("p.exr", "plate.sxr"):
        found = read_pair(tmp_path / name, tmp_path / "t.png", resize=True).trimap
        assert found.shape == (56, 96)
        columns = np.flatnonzero(found[20] == 128)
        assert abs(columns.mean() - (41 - 0.5 + 8)) <= 1  # column 20 of the proxy is 40 and 41 of the display window
