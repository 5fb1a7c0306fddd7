"""Trimaps from strokes and boxes: right where certain, with every stroke kept, ended at any stage."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.inference.model import Model
from mattecli.trimaps.segmentation import CALIBRATED_FOR, Matte, prepare_photo, segment
from mattecli.weights import find_checkpoint

HEIGHT, WIDTH = 300, 400
WHOLE_BOX = (110.0, 60.0, 180.0, 180.0)


def subject(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.bool_]:
    """A disc in the middle of the picture."""
    y, x = np.mgrid[:height, :width]
    return np.asarray(np.hypot(y - height / 2, x - width / 2) < 0.27 * height)


def picture(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A red disc with dark and light parts before a blue background, both with noise."""
    inside = subject(height, width)
    photo = np.where(inside[..., None], (180, 60, 50), (50, 80, 170)).astype(np.float32)
    grain = np.random.default_rng(0).normal(0, 8, (height, width, 1))
    return np.clip(photo + grain, 0, 255).astype(np.uint8)


def strokes(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A line through the middle of the disc, and one along the left side of the background."""
    labels = np.full((height, width), 128, np.uint8)
    labels[height // 2 - 3 : height // 2 + 3, int(0.42 * width) : int(0.58 * width)] = 255
    labels[height // 8 : -height // 8, width // 16 : width // 16 + 6] = 0
    return labels


def undecided(photo: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A network that knows nothing."""
    alpha = np.full(trimap.shape, 0.5, np.float32)
    alpha[trimap == 255], alpha[trimap == 0] = 1, 0
    return alpha


def test_strokes_on_both_sides_of_a_clear_edge_give_a_right_and_narrow_trimap() -> None:
    trimap = segment(prepare_photo(picture()), strokes(), matte=undecided)
    inside = subject()
    assert trimap.shape == inside.shape
    assert set(np.unique(trimap)) == {0, 128, 255}
    assert inside[trimap == 255].all()
    assert not inside[trimap == 0].any()
    assert (trimap == 128).mean() < 0.25


def test_the_network_is_asked_about_a_small_copy_and_its_answer_counts() -> None:
    asked: list[tuple[tuple[int, ...], set[int]]] = []

    def sure_of_a_corner(photo: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
        asked.append((photo.shape, set(np.unique(trimap))))
        alpha = undecided(photo, trimap)
        alpha[: alpha.shape[0] // 3, -alpha.shape[1] // 3 :] = 1
        return alpha

    flat = np.full((900, 1200, 3), 120, np.uint8)
    labels = strokes(900, 1200)
    without = segment(prepare_photo(flat), labels, matte=undecided)
    trimap = segment(prepare_photo(flat), labels, matte=sure_of_a_corner)
    assert [shape for shape, _ in asked] == [(388, 517, 3)] * 2
    assert all(values <= {0, 128, 255} for _, values in asked)
    corner = np.s_[30:200, -250:-30]
    assert (trimap[corner] == 255).mean() > 0.9
    assert (without[corner] == 255).mean() < 0.1


def test_quick_runs_the_network_once_and_normal_twice() -> None:
    calls: list[int] = []

    def counted(photo: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
        calls.append(int(np.count_nonzero(trimap == 128)))
        return undecided(photo, trimap)

    photo = prepare_photo(picture())
    segment(photo, strokes(), matte=counted, effort="quick")
    assert len(calls) == 1
    segment(photo, strokes(), matte=counted, effort="normal")
    assert len(calls) == 3
    assert calls[2] < calls[1], "the second run is given what the first found"


def test_every_pixel_of_a_stroke_keeps_its_label_even_where_it_is_wrong() -> None:
    labels = strokes()
    labels[20:26, 300:340] = 255  # on the background
    labels[120:126, 190:210] = 0  # on the disc
    trimap = segment(prepare_photo(picture()), labels, matte=undecided)
    assert np.array_equal(trimap[labels != 128], labels[labels != 128])


@pytest.mark.parametrize(("height", "width"), [(3, 8), (40, 30), (700, 260), (2000, 3000)])
def test_the_trimap_has_the_photos_size(height: int, width: int) -> None:
    labels = np.full((height, width), 128, np.uint8)
    labels[:, 0], labels[:, -1] = 0, 255
    trimap = segment(prepare_photo(picture(height, width)), labels, matte=undecided)
    assert trimap.shape == (height, width)
    assert np.array_equal(trimap[:, [0, -1]], labels[:, [0, -1]])


def test_a_box_around_the_subject_gives_certain_pixels_on_both_sides() -> None:
    trimap = segment(prepare_photo(picture()), box=WHOLE_BOX, matte=undecided)
    inside = subject()
    assert (trimap[inside] == 255).mean() > 0.5
    assert inside[trimap == 255].mean() > 0.99
    assert (~inside)[trimap == 0].mean() > 0.99


def test_a_box_that_cuts_the_subject_does_not_make_what_is_just_outside_background() -> None:
    trimap = segment(prepare_photo(picture()), box=(125, 60, 165, 180), matte=undecided)
    assert (~subject())[trimap == 0].mean() > 0.99


def test_a_stroke_in_a_box_does_not_give_up_a_part_of_the_subject_in_another_colour() -> None:
    photo, inside = picture(), subject()
    lower = inside & (np.arange(HEIGHT)[:, None] > HEIGHT // 2 + 10)
    photo[lower] = (60, 170, 70)
    labels = np.full((HEIGHT, WIDTH), 128, np.uint8)
    labels[HEIGHT // 2 - 30 : HEIGHT // 2 - 24, int(0.42 * WIDTH) : int(0.58 * WIDTH)] = 255
    trimap = segment(prepare_photo(photo), labels, box=WHOLE_BOX, matte=undecided)
    assert (trimap[lower] == 255).mean() > 0.4
    assert (trimap[lower] != 0).all()


def test_a_stroke_and_a_box_work_together() -> None:
    labels = strokes()
    labels[labels == 0] = 128
    trimap = segment(prepare_photo(picture()), labels, box=WHOLE_BOX, matte=undecided)
    assert np.array_equal(trimap[labels == 255], labels[labels == 255])
    assert (trimap == 0).mean() > 0.4


@pytest.mark.parametrize(
    ("kept", "message"),
    [(255, "nothing is marked as background; add a background stroke"), (0, "nothing is marked as foreground")],
)
def test_one_side_alone_is_refused(kept: int, message: str) -> None:
    labels = strokes()
    labels[labels != kept] = 128
    with pytest.raises(InputError, match=message):
        segment(prepare_photo(picture()), labels, matte=undecided)


def test_a_box_around_everything_and_strokes_of_another_size_are_refused() -> None:
    photo = prepare_photo(picture())
    with pytest.raises(InputError, match="holds the whole photo"):
        segment(photo, box=(0, 0, WIDTH, HEIGHT), matte=undecided)
    with pytest.raises(InputError, match="does not lie in the photo"):
        segment(photo, box=(WIDTH + 5, 0, 10, 10), matte=undecided)
    with pytest.raises(InputError, match="the strokes is 90×80 but the photo is 400×300"):
        segment(photo, strokes(80, 90), matte=undecided)
    with pytest.raises(InputError, match="give RGB"):
        prepare_photo(np.zeros((30, 30), np.uint8))


def test_a_box_under_a_pixel_of_the_small_copy_is_told_from_what_size_on_it_works() -> None:
    photo = prepare_photo(np.full((1344, 1344, 3), 128, np.uint8))  # three times the copy's side
    for box in ((100, 100, 2, 50), (100, 100, 50, 2), (-48, 100, 50, 50), (1342, 1342, 50, 50)):
        with pytest.raises(InputError, match=r"the box is too small for this photo; give one of at least 3×3 pixels"):
            segment(photo, box=box, matte=undecided)
    for left in (100, 1341):
        segment(photo, box=(left, 100, 3, 3), matte=undecided, effort="quick")


def test_the_same_strokes_give_the_same_bytes() -> None:
    first, second = (segment(prepare_photo(picture()), strokes(), matte=undecided) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_16_bits_and_floats_give_the_trimap_of_8_bits() -> None:
    photo = picture()
    expected = segment(prepare_photo(photo), strokes(), matte=undecided)
    for other in (photo.astype(np.uint16) * 257, photo.astype(np.float32) / 255):
        trimap = segment(prepare_photo(other), strokes(), matte=undecided)
        assert (trimap != expected).mean() < 0.005


def test_it_can_be_ended_at_every_stage() -> None:
    class EndedError(Exception):
        pass

    height, width = 45, 60
    photo, labels, calls = prepare_photo(picture(height, width)), strokes(height, width), 0

    def count() -> None:
        nonlocal calls
        calls += 1

    segment(photo, labels, matte=undecided, check=count)
    assert calls >= 12
    for wanted in range(1, calls + 1):
        left = wanted

        def end() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise EndedError

        with pytest.raises(EndedError):
            segment(photo, labels, matte=undecided, check=end)


def test_with_the_shipped_network_strokes_give_a_right_trimap(shipped_model: Model) -> None:
    def matte(photo: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
        return shipped_model.predict(photo, trimap)

    network: Matte = matte
    height, width = 120, 160
    photo = cv2.GaussianBlur(picture(height, width), (0, 0), 1)
    trimap = segment(prepare_photo(np.asarray(photo)), strokes(height, width), matte=network)
    inside = subject(height, width)
    assert inside[trimap == 255].mean() > 0.99
    assert (~inside)[trimap == 0].mean() > 0.99
    assert (trimap == 128).mean() < 0.4


def test_the_thresholds_were_chosen_with_the_shipped_weights() -> None:
    assert find_checkpoint().sha256.startswith(CALIBRATED_FOR), (
        "the shipped weights changed: run `benchmarks/strokes.py`, choose the thresholds of trimaps/segmentation.py "
        "again, and name the new weights in CALIBRATED_FOR"
    )
