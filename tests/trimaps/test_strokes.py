"""Scribbles and boxes, read as people make them."""

import io

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.imaging.metadata import Windows
from mattecli.trimaps.strokes import parse_box, read_strokes, stroke_cores, without_crossing
from tests.support.pictures import noise

HEIGHT, WIDTH = 120, 160


def lines() -> NDArray[np.uint8]:
    """A foreground line and a background line, as labels."""
    labels = np.full((HEIGHT, WIDTH), 128, np.uint8)
    labels[30:38, 20:100], labels[80:88, 40:140] = 255, 0
    return labels


def layer(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The labels as a transparent layer, with some colour under the transparent pixels."""
    painted = labels != 128
    colour = np.where(painted, labels, 255)[..., None].repeat(3, 2)
    return np.dstack([colour, np.where(painted, 255, 0)]).astype(np.uint8)


def copy(labels: NDArray[np.uint8], photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where((labels != 128)[..., None], labels[..., None], photo).astype(np.uint8)


def photo_between() -> NDArray[np.uint8]:
    """A photo without black and white."""
    return (noise(3, HEIGHT, WIDTH).astype(np.float32) * 0.6 + 50).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_transparent_layer_gives_its_strokes(dtype: type) -> None:
    pixels: NDArray[np.generic] = layer(lines())
    if dtype == np.uint16:
        pixels = pixels.astype(np.uint16) * 257
    elif dtype == np.float32:
        pixels = pixels.astype(np.float32) / 255
    assert np.array_equal(read_strokes(pixels), lines())


def test_an_empty_layer_has_no_strokes() -> None:
    empty = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    for photo in (None, photo_between()):
        with pytest.raises(InputError, match=r"s\.png has no white or black strokes; paint foreground white"):
            read_strokes(empty, photo, name="s.png")


def test_faint_paint_and_other_colours_are_not_strokes() -> None:
    pixels = layer(lines())
    pixels[100:110, 10:30] = (255, 255, 255, 90)
    pixels[100:110, 50:70] = (255, 0, 0, 255)
    assert np.array_equal(read_strokes(pixels), lines())


def test_a_layer_of_the_display_window_lies_there_on_a_plate() -> None:
    windows = Windows(data=(-30, 10, WIDTH + 40, HEIGHT - 15), display=(0, 0, WIDTH, HEIGHT))
    expected = np.pad(lines()[10:-5], ((0, 0), (30, 10)), constant_values=128)
    plate = np.pad(photo_between()[10:-5], ((0, 0), (30, 10), (0, 0)))
    for painted in (layer(lines()), copy(lines(), photo_between())):
        assert np.array_equal(read_strokes(painted, plate, windows=windows), expected)
    moved = Windows(data=(-30, 10, WIDTH, HEIGHT), display=(0, 0, WIDTH, HEIGHT))
    assert np.array_equal(read_strokes(layer(lines()), photo_between(), windows=moved), lines())
    apart = Windows(data=(WIDTH, 0, WIDTH, HEIGHT + 1), display=(0, 0, WIDTH, HEIGHT))
    with pytest.raises(InputError, match="the photo has no pixels where the scribbles lies"):
        read_strokes(layer(lines()), photo_between(), windows=apart)


def test_a_painted_copy_gives_its_strokes() -> None:
    photo = photo_between()
    assert np.array_equal(read_strokes(copy(lines(), photo), photo), lines())


def test_white_and_black_parts_of_the_photo_are_not_strokes() -> None:
    photo = photo_between()
    photo[:20, :20], photo[-20:, -20:] = 255, 0
    assert np.array_equal(read_strokes(copy(lines(), photo), photo), lines())


@pytest.mark.parametrize("opaque", [np.s_[10:110, 10:150], np.s_[26:40, 10:150]], ids=["much", "little"])
def test_a_painted_copy_of_a_photo_with_alpha_gives_its_strokes_alone(opaque: tuple[slice, slice]) -> None:
    photo, labels, alpha = photo_between(), lines(), np.zeros((HEIGHT, WIDTH), np.uint8)
    photo[30:38, 110:120], photo[30:38, 130:140] = 250, 5  # the subject's own white and black
    alpha[opaque] = 255
    labels[alpha == 0] = 128
    labels[26:30, 60:90] = 0
    copied = np.dstack([copy(labels, photo), alpha])
    copied[alpha == 0, :3] = 0
    assert np.array_equal(read_strokes(copied, photo), labels)


def test_a_few_greys_that_are_the_photos_by_chance_do_not_make_a_layer_a_copy() -> None:
    photo, labels = photo_between(), lines()
    photo[30:38, 20:60] = 255  # a white part below the white line
    painted = layer(labels)
    painted[40, 20:24] = [*photo[40, 20], 255]
    photo[40, 20:24] = photo[40, 20]
    assert np.array_equal(read_strokes(painted, photo), labels)


def test_a_layer_that_is_mostly_painted_gives_all_its_strokes() -> None:
    photo, labels = photo_between(), lines()
    labels[:, :60], labels[:, 100:] = 255, 0
    photo[:, :60], photo[:, 100:] = 255, 0  # alike below the paint
    assert np.array_equal(read_strokes(layer(labels), photo), labels)


def test_a_copy_saved_as_jpeg_gives_the_same_strokes_up_to_their_rims() -> None:
    photo, buffer = photo_between(), io.BytesIO()
    PIL.Image.fromarray(copy(lines(), photo)).save(buffer, "JPEG", quality=85)
    read = read_strokes(np.asarray(PIL.Image.open(buffer)), photo)
    assert (read[stroke_cores(lines()) == 255] == 255).mean() > 0.95
    assert (read[stroke_cores(lines()) == 0] == 0).mean() > 0.95
    away = cv2.dilate((lines() != 128).astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    assert (read[away] == 128).all()


def test_specks_are_not_strokes() -> None:
    pixels = layer(lines())
    pixels[5:8, 5:8] = 255  # 9 pixels
    assert np.array_equal(read_strokes(pixels), lines())
    pixels[5:9, 5:8] = 255  # 12 pixels
    assert (read_strokes(pixels)[5:9, 5:8] == 255).all()


def test_another_picture_is_refused_as_a_copy() -> None:
    with pytest.raises(InputError, match=r"s\.png differs from p\.jpg on \d+% of its pixels, .* transparent layer"):
        read_strokes(noise(9, HEIGHT, WIDTH), photo_between(), name="s.png", photo_name="p.jpg")


def test_files_without_strokes_and_of_another_size_are_refused() -> None:
    photo = photo_between()
    with pytest.raises(InputError, match="no white or black strokes"):
        read_strokes(photo, photo)
    white = np.where(lines() == 0, 128, lines()).astype(np.uint8)
    assert (read_strokes(layer(white)) == white).all()
    with pytest.raises(InputError, match=r"s\.png has no black strokes; paint"):
        read_strokes(layer(white), both_sides=True, name="s.png")
    with pytest.raises(InputError, match=r"s\.png is 160×120 but .* make the scribbles from the photo"):
        read_strokes(layer(lines()), photo[:-1], name="s.png")
    with pytest.raises(InputError, match="no transparent pixels"):
        read_strokes(photo)


def test_a_core_is_the_middle_of_its_stroke_and_thin_strokes_keep_one() -> None:
    labels = lines()
    labels[5, 20:60] = 255
    cores = stroke_cores(labels)
    assert ((cores == labels) | (cores == 128)).all()
    assert (cores[33:35, 30:90] == 255).all()
    assert (cores[30, 20:100] == 128).all()
    assert (cores[5, 20:60] == 255).all()


def test_a_stroke_that_crosses_the_edge_keeps_its_core_and_is_named() -> None:
    labels, trimap = lines(), np.full((HEIGHT, WIDTH), 128, np.uint8)
    trimap[:31] = 0  # the edge lies between this and the middle of the foreground's stroke
    kept, places = without_crossing(labels, trimap)
    assert np.array_equal(kept == 255, stroke_cores(labels) == 255)
    assert np.array_equal(kept == 0, labels == 0)
    ((x, y),) = places
    assert labels[y, x] == 255


@pytest.mark.parametrize("place", [(0, 0), (1881, 1230), (777, 1003)])
def test_strokes_have_the_same_middle_wherever_they_lie_in_a_large_photo(place: tuple[int, int]) -> None:
    small = lines()
    small[60:66, :9], small[70, 50:60], small[72, 61:70] = 255, 0, 0  # one from the border, two that nearly touch
    large = np.full((1881 + HEIGHT, 2600), 128, np.uint8)
    part = slice(place[0], place[0] + HEIGHT), slice(place[1], place[1] + WIDTH)
    large[part] = small
    cores = stroke_cores(large)
    alone = np.full((3 * HEIGHT, 3 * WIDTH), 128, np.uint8)
    rows, columns = slice(0 if place[0] == 0 else HEIGHT, None), slice(0 if place[1] == 0 else WIDTH, None)
    if place[0] == 1881:
        rows = slice(2 * HEIGHT, None)  # it touches the lower border, too
    alone[rows, columns][:HEIGHT, :WIDTH] = small
    assert np.array_equal(cores[part], stroke_cores(alone)[rows, columns][:HEIGHT, :WIDTH])
    cores[part] = 128
    assert (cores == 128).all()


def test_a_stroke_that_crosses_the_edge_is_named_in_a_large_photo_too() -> None:
    labels = np.full((1500, 2500), 128, np.uint8)
    labels[300:340, 400:1400] = 255  # a third of it lies beyond the edge at 1067
    labels[1000:1040, 1500:2300] = 0
    trimap = np.full(labels.shape, 128, np.uint8)
    trimap[:, :1000], trimap[:, 1134:] = 255, 0
    kept, ((x, y),) = without_crossing(labels, trimap)
    assert labels[y, x] == 255
    assert np.array_equal(kept == 255, stroke_cores(labels) == 255)
    assert np.array_equal(kept == 0, labels == 0)


def test_strokes_that_the_trimap_agrees_with_are_kept_whole() -> None:
    labels = lines()
    kept, places = without_crossing(labels, labels)
    assert np.array_equal(kept, labels)
    assert places == []


@pytest.mark.parametrize(
    ("text", "box"),
    [("10,20,30,40", (10, 20, 30, 40)), ("10%, 5%,80%,90%", (40, 15, 320, 270)), ("-5,0,50.5%,10", (-5, 0, 202, 10))],
)
def test_boxes_are_pixels_or_per_cent(text: str, box: tuple[float, ...]) -> None:
    assert parse_box(text, (400, 300)) == pytest.approx(box)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,nan,4", "1,2,inf,4"])
def test_other_texts_are_refused_as_boxes(text: str) -> None:
    with pytest.raises(UsageError, match="`box` must be X,Y,W,H"):
        parse_box(text, (400, 300))


@pytest.mark.parametrize("text", ["10,10,0,5", "10,10,5,-5", "400,0,10,10", "0,-20,10,20"])
def test_boxes_outside_the_photo_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="does not lie in the photo, which is 400×300"):
        parse_box(text, (400, 300))
