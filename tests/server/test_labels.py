from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mattecli.errors import InputError, UsageError
from mattecli.geometry import Box
from mattecli.server.distance import Base, measured
from mattecli.server.labels import Labels, Restriction
from mattecli.server.tiles import Index
from mattecli.trimaps.make import make_trimap
from tests.server.model import LABELS, Dense, blob, dense_spans

HEIGHT, WIDTH = 300, 530


def dot(x: float, y: float, radius: float) -> np.ndarray:
    return np.array([[x, y, radius]])


def test_at_first_all_is_unknown() -> None:
    assert (Labels(HEIGHT, WIDTH).trimap() == 128).all()


def test_labels_equal_those_of_whole_arrays_after_each_of_80_operations() -> None:
    random = np.random.default_rng(3)
    labels, dense = Labels(HEIGHT, WIDTH), Dense(HEIGHT, WIDTH)
    dense.mask, dense.band = blob(HEIGHT, WIDTH), (4, 7)
    labels.apply(labels.set_base(measured(dense.mask), inside=4, outside=7))
    refused = 0
    for _ in range(80):
        kind = random.choice(["stroke", "polygon", "fill", "band"])
        label = LABELS[random.integers(4)]
        over = [frozenset({0, 128, 255}), frozenset({128}), frozenset({0, 128})][random.integers(3)]
        if kind == "band":
            dense.band = tuple(int(value) for value in random.integers(0, 30, 2))
            labels.apply(labels.set_band(*dense.band))
        elif kind == "fill":
            x, y = int(random.integers(WIDTH)), int(random.integers(HEIGHT))
            region = dense.region(x, y)
            if 2 * np.count_nonzero(region) > region.size:
                refused += 1
                with pytest.raises(UsageError, match="half of the picture"):
                    labels.fill(x, y, label)
            else:
                labels.apply(labels.fill(x, y, label))
                dense.painted(region, label, frozenset({0, 128, 255}))
        else:
            middle = random.uniform((0, 0), (WIDTH, HEIGHT))
            points = middle + random.normal(0, 40, (5, 2))
            if kind == "stroke":
                points = np.column_stack([points, random.uniform(1, 30, 5)])
            plan = labels.stroke if kind == "stroke" else labels.polygon
            labels.apply(plan(points, label, restriction=Restriction(over=over)))
            dense.painted(dense_spans(kind, points, labels), label, over)
        assert np.array_equal(labels.trimap(), dense.trimap()), kind
    assert 0 < refused < 40


@pytest.mark.parametrize(("inside", "outside"), [(0, 0), (1, 1), (12, 12), (5, 30), (64, 0), (90, 75)])
def test_a_band_is_what_erode_and_dilate_make_of_the_same_mask(inside: int, outside: int) -> None:
    mask = blob(620, 800)
    labels = Labels(*mask.shape)
    labels.apply(labels.set_base(measured(mask, reach=90)))
    labels.apply(labels.set_band(inside, outside))
    assert np.array_equal(labels.trimap(), make_trimap(mask, erode=inside, dilate=outside))


def test_the_unknown_part_of_a_base_stays_unknown_and_grows_with_the_band() -> None:
    trimap = np.zeros((90, 700), np.uint8)
    trimap[:, 300:] = 255
    trimap[:, 290:310] = 128
    labels = Labels(*trimap.shape)
    labels.apply(labels.set_base(measured(trimap)))
    assert np.array_equal(labels.trimap(), trimap)
    labels.apply(labels.set_band(2, 5))
    grown = trimap.copy()
    grown[:, 285:312] = 128
    assert np.array_equal(labels.trimap(), grown)


def test_the_band_never_rewrites_paint_and_erasing_shows_it_again() -> None:
    labels = Labels(200, 200)
    mask = np.zeros((200, 200), np.uint8)
    mask[:, 100:] = 255
    labels.apply(labels.set_base(measured(mask)))
    labels.apply(labels.stroke(dot(100, 100, 20), 255))
    painted = labels.trimap() == 255
    labels.apply(labels.set_band(30, 30))
    assert labels.trimap()[100, 90] == 255
    assert labels.trimap()[20, 90] == 128
    labels.apply(labels.set_band(0, 0))
    assert np.array_equal(labels.trimap() == 255, painted)
    labels.apply(labels.stroke(dot(100, 100, 25), None))
    assert np.array_equal(labels.trimap(), mask)


def test_paint_restricted_to_colours_stays_within_them() -> None:
    photo = np.zeros((200, 300, 3), np.uint8)
    photo[:, 150:] = (10, 200, 30)

    def colours(box: Box) -> np.ndarray:
        return photo[box.slices]

    labels = Labels(200, 300, photo=colours)
    greens = Restriction(colours=((0, 150, 0), (60, 255, 30)))
    labels.apply(labels.stroke(dot(150, 100, 40), 0, restriction=greens))
    expected = np.full((200, 300), 128, np.uint8)
    expected[(dense_spans("stroke", dot(150, 100, 40), labels)) & (photo[..., 1] == 200)] = 0
    assert np.array_equal(labels.trimap(), expected)
    blacks = Restriction(colours=((0, 0, 0), (9, 255, 255)))
    labels.apply(labels.stroke(dot(200, 100, 20), 255, restriction=blacks))
    assert np.array_equal(labels.trimap(), expected)


def test_a_fill_stops_at_other_labels_and_passes_from_tile_to_tile() -> None:
    labels = Labels(600, 800)
    frame = np.array([[200.0, 200], [600, 200], [600, 450], [200, 450]])
    outline = np.column_stack([np.append(frame, frame[:1], axis=0), np.full(5, 2.0)])
    labels.apply(labels.stroke(outline, 255))
    changed = labels.apply(labels.fill(400, 300, 0))
    assert set(changed) == {Index(row, column) for row in (0, 1) for column in (0, 1, 2)}
    trimap = labels.trimap()
    assert (trimap[203:447, 203:597] == 0).all()
    assert (trimap[:197] == 128).all()
    assert np.count_nonzero(trimap == 0) < 250 * 400


def test_a_fill_that_leaks_through_a_gap_is_refused_and_changes_nothing() -> None:
    labels = Labels(600, 800)
    ring = np.array([[300.0 + 100 * np.cos(t), 300 + 100 * np.sin(t), 2] for t in np.linspace(0.1, 6.28, 99)])
    labels.apply(labels.stroke(ring, 255))
    before = labels.digest()
    with pytest.raises(UsageError, match="close the gap"):
        labels.fill(300, 300, 255)
    assert labels.digest() == before
    labels.apply(labels.stroke(dot(400, 305, 8), 255))
    labels.apply(labels.fill(300, 300, 255))
    assert labels.trimap()[300, 300] == 255
    assert labels.trimap()[10, 10] == 128


def test_the_answer_to_an_operation_is_the_tiles_it_changed() -> None:
    labels = Labels(600, 800)
    changed = labels.apply(labels.stroke(np.array([[250.0, 100, 20], [270, 100, 20]]), 0))
    assert changed == [Index(0, 0), Index(0, 1)]
    assert labels.apply(labels.stroke(dot(250, 100, 5), 0)) == [], "it is painted already"
    assert [labels.revision(index) for index in (Index(0, 0), Index(0, 1), Index(1, 1))] == [1, 1, 0]
    labels.apply(labels.stroke(dot(250, 100, 5), 255))
    assert [labels.revision(index) for index in (Index(0, 0), Index(0, 1))] == [3, 1]


@given(st.lists(st.sampled_from(["paint", "undo", "redo"]), max_size=40), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_undo_and_redo_in_any_order_lead_to_the_labels_that_were_there(steps: list[str], seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = Labels(270, 300)
    states, place = [labels.digest()], 0
    for step in steps:
        if step == "paint":
            path = random.uniform((0, 0, 1), (300, 270, 40), (3, 3))
            labels.apply(labels.stroke(path, (0, 128, 255, None)[random.integers(4)]))
            if labels.digest() != states[place]:
                states[place + 1 :] = [labels.digest()]
                place += 1
        elif step == "undo" and place:
            labels.apply(labels.undo())
            place -= 1
        elif step == "redo" and place + 1 < len(states):
            labels.apply(labels.redo())
            place += 1
        assert labels.digest() == states[place]
    assert labels.history.undoable == place
    assert labels.history.redoable == len(states) - 1 - place


def test_there_is_nothing_to_undo_or_redo_at_first() -> None:
    labels = Labels(10, 10)
    with pytest.raises(UsageError, match="nothing to undo"):
        labels.undo()
    with pytest.raises(UsageError, match="nothing to redo"):
        labels.redo()


def test_an_operation_made_from_older_labels_is_refused() -> None:
    labels = Labels(300, 300)
    one, other = labels.stroke(dot(9, 9, 5), 0), labels.stroke(dot(90, 9, 5), 0)
    labels.apply(one)
    with pytest.raises(UsageError, match="make it anew"):
        labels.apply(other)


def test_a_copy_of_a_layer_stays_as_it_was() -> None:
    labels = Labels(300, 300)
    labels.apply(labels.stroke(dot(100, 100, 30), 0))
    copy = labels.paint.copy()
    labels.apply(labels.stroke(dot(100, 100, 50), 255))
    assert copy[Index(0, 0)][100, 100] == 0
    assert labels.paint[Index(0, 0)][100, 100] == 255


@pytest.mark.parametrize(
    ("kind", "given", "error", "words"),
    [
        ("stroke", (dot(1, 1, 1), 7), UsageError, "a label is 0, 128 or 255"),
        ("fill", (300, 5, 0), UsageError, "outside of the picture"),
        ("set_band", (0, 1), UsageError, "there is no base"),
        ("set_base", (measured(np.zeros((5, 6), np.uint8)),), InputError, "6×5 but the photo is 300×200"),
    ],
)
def test_impossible_operations_are_refused(kind: str, given: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        getattr(Labels(200, 300), kind)(*given)


def test_bands_reach_as_far_as_the_base_was_measured() -> None:
    labels = Labels(200, 300)
    labels.apply(labels.set_base(measured(blob(200, 300), reach=12)))
    labels.apply(labels.set_band(12, 12))
    for band in ((13, 0), (0, 13), (-1, 0)):
        with pytest.raises(UsageError, match="0 to 12 pixels wide"):
            labels.set_band(*band)


@pytest.mark.parametrize(
    ("trimap", "reach", "error", "words"),
    [
        (np.full((20, 30), 3, np.uint8), None, InputError, "other than 0, 128 and 255"),
        (np.zeros((20, 30), np.float32), None, InputError, "float32"),
        (np.zeros((20, 30, 3), np.uint8), None, InputError, "shape"),
        (np.zeros((20, 30), np.uint8), 2001, UsageError, "0 to 2000"),
    ],
)
def test_what_is_not_a_trimap_cannot_be_measured(
    trimap: np.ndarray, reach: int | None, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        measured(trimap, reach=reach)


def test_impossible_restrictions_are_refused() -> None:
    with pytest.raises(UsageError, match="labels 0, 128 and 255"):
        Restriction(over=frozenset({1}))
    with pytest.raises(UsageError, match="there is no photo"):
        Labels(9, 9).stroke(dot(5, 5, 3), 0, restriction=Restriction(colours=((0, 0, 0), (9, 9, 9))))


def test_the_number_of_the_base_is_that_of_the_last_operation_that_changed_it() -> None:
    labels = Labels(40, 40)
    trimap = np.zeros((40, 40), np.uint8)
    trimap[10:30, 10:30] = 255
    numbers = []
    for plan in (
        lambda: labels.stroke(np.array([(5.0, 5.0, 3.0)]), 255),
        lambda: labels.set_base(measured(trimap)),
        lambda: labels.set_band(2, 2),
        lambda: labels.set_base(measured(trimap), inside=2, outside=2),
        labels.undo,
        labels.undo,
    ):
        labels.apply(plan())
        numbers.append(labels.base_revision)
    assert numbers == [0, 2, 2, 2, 2, 6]


def wide_and_thin() -> list[Base]:
    """A large and a small square."""
    bases = []
    for side in (120, 60):
        trimap = np.zeros((HEIGHT, WIDTH), np.uint8)
        trimap[20 : 20 + side, 20 : 20 + side] = 255
        bases.append(measured(trimap))
    return bases


@pytest.mark.parametrize("memory", [2**20, 0])
def test_a_base_that_followed_from_a_stroke_is_undone_and_done_again_with_it(memory: int) -> None:
    wide, thin = wide_and_thin()
    labels = Labels(HEIGHT, WIDTH, memory=memory)
    states = [labels.digest()]
    for plan in (
        lambda: labels.set_base(wide),
        lambda: labels.stroke(dot(200, 200, 9), 255),
        lambda: labels.stroke(dot(300, 100, 9), 128),
        lambda: labels.set_band(3, 5),
    ):
        labels.apply(plan())
        states.append(labels.digest())
    labels.apply(labels.undo())  # of the band, before the refinement comes
    labels.apply(labels.refine_base(thin, after=2))
    refined = labels.digest()
    assert (labels.history.undoable, labels.history.redoable) == (3, 1)
    assert refined not in states
    labels.apply(labels.undo())
    assert labels.tile(Index(0, 0))[100, 100] == 0, "the second stroke is undone, and not the refinement"
    labels.apply(labels.undo())
    assert labels.digest() == states[1]
    labels.apply(labels.redo())
    labels.apply(labels.redo())
    assert labels.digest() == refined
    labels.apply(labels.redo())
    assert labels.band[:2] == (3, 5)
    assert labels.history.last == 4
    labels.close()


def test_a_refinement_does_nothing_once_its_stroke_was_undone_or_the_base_was_changed() -> None:
    wide, thin = wide_and_thin()
    labels = Labels(HEIGHT, WIDTH)
    labels.apply(labels.set_base(wide))
    labels.apply(labels.stroke(dot(200, 200, 9), 255))
    labels.apply(labels.undo())
    before = labels.digest()
    labels.apply(labels.refine_base(thin, after=2))
    assert labels.digest() == before
    assert labels.history.redoable == 1, "the stroke can be done again"
    labels.apply(labels.redo())
    labels.apply(labels.set_base(thin))
    before = labels.digest()
    labels.apply(labels.refine_base(wide, after=2))
    assert (labels.digest(), labels.history.last) == (before, 6)
