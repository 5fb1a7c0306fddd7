"""A large photo's trimap is narrowed by the matte of a smaller copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.inference import coarse
from mattecli.inference.coarse import narrowed
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.inference.tiling import PASSES, Statistics

Codes = NDArray[np.uint8]


def band(height: int = 240, width: int = 300) -> Codes:
    """Foreground at the left, background at the right, and unknown in the middle third."""
    codes = np.full((height, width), 128, np.uint8)
    codes[:, : width // 3], codes[:, 2 * width // 3 :] = 255, 0
    return codes


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos of 240×300 count as large, their copy is 80×100, and it decides everything that is unknown."""
    monkeypatch.setattr(coarse, "LARGE", 50_000)
    monkeypatch.setattr(coarse, "COPY", 8_000)
    monkeypatch.setattr(coarse, "REACH", 0.0)


def test_what_is_certain_in_the_copy_becomes_known_and_what_is_near_the_soft_part_does_not(large: None) -> None:
    seen: list[tuple[Any, Codes]] = []

    def matte(photo: NDArray[Any], codes: Codes) -> NDArray[np.float32]:
        seen.append((photo, codes))
        alpha = np.where(codes == 255, 1, 0).astype(np.float32)
        alpha[:, 33:45], alpha[:, 45:50] = 1.0, 0.5  # soft from 45 to 49, in pixels of the copy
        return alpha

    codes = band()
    found = narrowed(np.zeros((240, 300, 3), np.uint16), codes, matte)
    photo, small = seen[0]
    assert photo.shape == (80, 100, 3)
    assert photo.dtype == np.uint16
    assert (small[:, :33] == 255).all()
    assert (small[:, 67:] == 0).all()
    assert (small[:, 34:66] == 128).all()
    columns = found[120]
    assert (columns[: 43 * 3] == 255).all()
    assert (columns[43 * 3 : 52 * 3] == 128).all()  # two pixels of the copy around the soft part stay unknown
    assert (columns[52 * 3 :] == 0).all()


def test_what_is_near_to_something_known_is_left_to_the_full_size(large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coarse, "REACH", 15.0)  # five pixels of the copy
    found = narrowed(np.zeros((240, 300, 3), np.uint8), band(), lambda _, small: np.zeros(small.shape, np.float32))
    columns = found[120]
    assert (columns[:100] == 255).all()
    assert (columns[100 : 38 * 3] == 128).all()
    assert (columns[39 * 3 : 61 * 3] == 0).all()
    assert (columns[62 * 3 : 200] == 128).all()


def test_what_was_known_stays_whatever_the_copy_says(large: None) -> None:
    codes = band()
    found = narrowed(np.zeros((240, 300, 3), np.uint8), codes, lambda _, small: np.zeros(small.shape, np.float32))
    assert (found[:, :100] == 255).all()
    assert (found[:, 100:] == 0).all()


def test_a_small_photo_is_left_alone() -> None:
    codes = band()
    assert narrowed(np.zeros((240, 300, 3), np.uint8), codes, lambda *_: pytest.fail("no copy is needed")) is codes


def test_no_copy_is_matted_where_nothing_unknown_is_deep(large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coarse, "REACH", 60.0)  # the band is 100 pixels wide
    hard = np.where(np.arange(300) < 100, 255, 0).astype(np.uint8)[None].repeat(240, 0)  # cells at its edge are mixed
    for codes in (band(), hard):
        assert narrowed(np.zeros((240, 300, 3), np.uint8), codes, lambda *_: pytest.fail("no copy is needed")) is codes


def test_the_model_mattes_what_the_copy_left_open(large: None) -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (240, 300, 3), np.uint8)
    codes = band()
    plain, labels = Model(RunOptions(device="cpu")), list[str]()
    narrow = narrowed(photo, codes, lambda small, known: plain.predict(small, known))
    model = Model(RunOptions(device="cpu", coarse_to_fine=True), backend=plain.backend)
    alpha = model.predict(photo, codes, progress=lambda label, *_: labels.append(label))
    assert (narrow == 128).sum() < (codes == 128).sum()
    assert np.array_equal(alpha, plain.predict(photo, narrow))
    assert not np.array_equal(alpha, plain.predict(photo, codes))
    told = [label for number, label in enumerate(labels) if label not in labels[:number]]
    assert told == list(PASSES)  # one run's passes in their order, though the copy was a run as well
    assert labels == sorted(labels, key=PASSES.index)


def test_the_narrowed_trimap_is_what_a_run_with_statistics_takes_as_it_is(large: None) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (240, 300, 3), np.uint8)
    model = Model(RunOptions(device="cpu", coarse_to_fine=True))
    narrow = model.narrowed(photo, band())
    assert (narrow == 128).sum() < (band() == 128).sum()
    statistics = Statistics()
    alpha = model.predict(photo, narrow, statistics=statistics)
    assert np.array_equal(alpha, model.predict(photo, band()))
    assert np.array_equal(Model(RunOptions(device="cpu"), backend=model.backend).narrowed(photo, band()), band())
