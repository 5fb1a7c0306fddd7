"""Likeness to strokes: by colour, texture and place; what was never seen stays undecided."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.trimaps.likeness import Marks, features, likeness

SHAPE = (64, 96)


def columns(first: int, last: int) -> NDArray[np.bool_]:
    """A strip of the picture as marked pixels."""
    marked = np.zeros(SHAPE, np.bool_)
    marked[20:44, first:last] = True
    return marked


def nothing() -> None:
    """A check that never ends the work."""


def three_colours() -> NDArray[np.float32]:
    """A red, a blue and a green third, in Lab."""
    lab = np.zeros((*SHAPE, 3), np.float32)
    lab[:, :32], lab[:, 32:64], lab[:, 64:] = (50, 60, 40), (30, 20, -60), (80, -70, 60)
    return lab


def test_a_colour_that_was_never_marked_is_undecided() -> None:
    lab = three_colours()
    alike = likeness(features(lab, lab), [Marks(1, columns(10, 20)), Marks(-1, columns(44, 54))], check=nothing)
    assert alike.shape == SHAPE
    assert alike[30:34, 12:18].min() > 0.85
    assert alike[30:34, 46:52].max() < -0.85
    assert np.abs(alike[:, 84:]).max() < 0.35


def test_texture_separates_what_has_the_same_colour() -> None:
    grain = np.random.default_rng(0).normal(0, 12, (*SHAPE, 1)).astype(np.float32)
    lab = np.full((*SHAPE, 3), 50, np.float32)
    smooth = lab.copy()
    lab[:, 48:] += grain[:, 48:]
    alike = likeness(features(lab, smooth), [Marks(1, columns(70, 80)), Marks(-1, columns(4, 14))], check=nothing)
    assert alike[:, 84:].min() > 0.4
    assert alike[:, 16:24].max() < -0.4


def test_of_two_equal_places_the_nearer_stroke_decides() -> None:
    lab = np.full((*SHAPE, 3), 50, np.float32)
    alike = likeness(features(lab, lab), [Marks(1, columns(4, 10)), Marks(-1, columns(84, 90))], check=nothing)
    assert alike[30, 6] > 0.2
    assert alike[30, 87] < -0.2


def test_noisy_labels_give_way_to_strokes() -> None:
    lab = three_colours()
    everywhere = np.ones(SHAPE, np.bool_)
    found = features(lab, lab)
    alike = likeness(found, [Marks(1, everywhere, 6), Marks(-1, columns(44, 54))], check=nothing)
    assert alike[30, 15] > 0.5
    assert alike[30, 48] < -0.5


def test_it_can_be_ended_between_its_stages() -> None:
    class EndedError(Exception):
        pass

    calls = 0

    def end() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise EndedError

    lab = three_colours()
    with pytest.raises(EndedError):
        likeness(features(lab, lab), [Marks(1, columns(10, 20)), Marks(-1, columns(44, 54))], check=end)
