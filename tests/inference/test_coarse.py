"""What a smaller copy's matte says of a large photo."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.errors import DeviceError
from mattecli.geometry import Box
from mattecli.inference import coarse
from mattecli.inference.coarse import Draft, draft, wide
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.inference.tiling import PASSES, Statistics

Codes = NDArray[np.uint8]
BLACK = np.zeros((240, 300, 3), np.uint8)


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
    monkeypatch.setattr(coarse, "WIDE", 0.0)


def test_what_is_certain_in_the_copy_becomes_known_and_what_is_near_the_soft_part_does_not(large: None) -> None:
    seen: list[tuple[Any, Codes]] = []

    def matte(photo: NDArray[Any], codes: Codes) -> NDArray[np.float32]:
        seen.append((photo, codes))
        alpha = np.where(codes == 255, 1, 0).astype(np.float32)
        alpha[:, 33:45], alpha[:, 45:50] = 1.0, 0.5  # soft from 45 to 49, in pixels of the copy
        return alpha

    codes = band()
    found = draft(np.zeros((240, 300, 3), np.uint16), codes, matte).trimap
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


def test_a_certain_area_counts_as_a_whole_if_it_reaches_far_from_anything_known(
    large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def matte(photo: NDArray[Any], codes: Codes) -> NDArray[np.float32]:
        alpha = np.zeros(codes.shape, np.float32)
        alpha[:, :38], alpha[:, 38:40] = 1.0, 0.5  # certain foreground beside the known one, not deep
        return alpha

    monkeypatch.setattr(coarse, "REACH", 30.0)  # ten pixels of the copy
    columns = draft(BLACK, band(), matte).trimap[120]
    assert (columns[:100] == 255).all()
    assert (columns[100 : 42 * 3] == 128).all()
    assert (columns[42 * 3 :] == 0).all()


@pytest.mark.parametrize(("share", "made"), [(0.34, True), (0.4, False)])
def test_a_copy_is_made_where_much_of_the_unknown_part_is_deep(
    large: None, monkeypatch: pytest.MonkeyPatch, share: float, made: bool
) -> None:
    monkeypatch.setattr(coarse, "REACH", 30.0)  # 12 columns of the copy are deeper, of 33 that are unknown
    monkeypatch.setattr(coarse, "WIDE", share)
    found = draft(BLACK, band(), lambda _, small: np.zeros(small.shape, np.float32))
    assert (found.alpha is not None) == made


def test_only_what_is_wide_for_the_thin_unknown_parts_beside_it_gets_a_copy(
    large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coarse, "REACH", 30.0)
    monkeypatch.setattr(coarse, "WIDE", 0.1)
    codes = np.zeros((240, 300), np.uint8)
    codes[:70, :70] = 128  # 4,900 unknown pixels, 1,600 of them in the corner deeper than 30
    assert coarse.wide(codes)
    codes[:, 100::3] = 128  # 16,000 more in lines of one pixel
    assert not coarse.wide(codes)


def test_a_copy_that_settles_all_is_told_of(large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Draft] = []
    model = Model(RunOptions(device="cpu"))
    monkeypatch.setattr(Model, "_matte", lambda *given, **_: np.zeros(given[2].shape, np.float32))
    model.predict(BLACK, np.full((240, 300), 128, np.uint8), on_draft=told.append)
    assert len(told) == 1
    assert not (told[0].trimap == 128).any()


def test_what_full_size_refuses_is_refused_before_the_copy_is_matted(large: None) -> None:
    passes: list[str] = []
    needed = Model(RunOptions(device="cpu", tile="off")).plan(240, 300).bytes
    model = Model(RunOptions(device="cpu", tile="off", max_memory=needed - 1))  # enough for the copy
    with pytest.raises(DeviceError, match="300×240 pixels"):
        model.predict(BLACK, band(), progress=lambda label, *_: passes.append(label))
    assert not passes


def test_what_was_known_stays_whatever_the_copy_says(large: None) -> None:
    codes = band()
    found = draft(BLACK, codes, lambda _, small: np.zeros(small.shape, np.float32)).trimap
    assert (found[:, :100] == 255).all()
    assert (found[:, 100:] == 0).all()


def test_a_small_photo_is_left_alone() -> None:
    codes, alpha = band(), np.full((240, 300), 0.5, np.float32)
    found = draft(BLACK, codes, lambda *_: pytest.fail("no copy is needed"))
    assert found.trimap is codes
    assert found.corrected(alpha) is alpha


@pytest.mark.parametrize(
    ("height", "unknown", "deep"), [(2000, 600, True), (1998, 600, False), (2000, 190, False), (2000, 220, True)]
)
def test_a_copy_is_made_from_4_megapixels_on_if_a_tenth_of_the_unknown_lies_96_pixels_deep(
    height: int, unknown: int, deep: bool
) -> None:
    codes = np.zeros((height, 2001), np.uint8)
    codes[:, 700 : 700 + unknown] = 128
    assert wide(codes) is deep


def test_no_copy_is_matted_where_nothing_unknown_is_deep(large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coarse, "REACH", 60.0)  # the band is 100 pixels wide
    hard = np.where(np.arange(300) < 100, 255, 0).astype(np.uint8)[None].repeat(240, 0)  # cells at its edge are mixed
    for codes in (band(), hard):
        assert draft(BLACK, codes, lambda *_: pytest.fail("no copy is needed")).trimap is codes


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy counts from a depth of 6 pixels on, and fully from 10."""
    monkeypatch.setattr(coarse, "DEEP", 6.0)
    monkeypatch.setattr(coarse, "RISE", 4.0)


def test_what_is_deep_has_the_copys_coarse_structure_and_its_own_fine_one(large: None, shallow: None) -> None:
    small = np.linspace(0.2, 0.8, 100, dtype=np.float32)[None].repeat(80, 0)  # says what full size does not know
    fine = 0.1 * (-1) ** np.arange(300, dtype=np.float32)  # a stripe a pixel that the copy cannot show
    alpha = np.where(band() == 128, 0.5 + fine, band() / 255).astype(np.float32)
    found = Draft(band(), small).corrected(alpha)
    ramp = np.interp((np.arange(300) + 0.5) / 3 - 0.5, np.arange(100), small[0])
    deep = slice(110, 190)
    assert np.abs(found[:, deep] - (ramp + fine)[deep]).max() < 0.01
    near = np.r_[0:106, 194:300]
    assert np.array_equal(found[:, near], alpha[:, near])
    share = (found[120, 107] - alpha[120, 107]) / (ramp[107] - 0.5)
    assert 0.4 < share < 0.6  # at a depth of 8


def test_a_corrected_alpha_stays_within_0_and_1(large: None, shallow: None) -> None:
    rng = np.random.default_rng(1)
    alpha = rng.random((240, 300), np.float32)
    found = Draft(np.full((240, 300), 128, np.uint8), rng.random((80, 100), np.float32)).corrected(alpha)
    assert found.min() == 0.0
    assert found.max() == 1.0


def test_a_part_is_corrected_as_the_whole_is(large: None, shallow: None, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    alpha = rng.random((240, 300), np.float32)
    found = Draft(band(), rng.random((80, 100), np.float32))
    whole = found.corrected(alpha)
    part = Box(30, 201, 77, 290)
    of_part = found.corrected(alpha[part.slices], part=part)
    inner = Box(30, 201, 77, 290).grow(-found.reach)
    assert not np.array_equal(whole, alpha)
    assert np.array_equal(of_part[inner.within(part).slices], whole[inner.slices])
    monkeypatch.setattr(coarse, "_SIDE", 50)
    assert np.array_equal(found.corrected(alpha), whole)


def test_the_copy_is_brought_up_as_opencv_enlarges() -> None:
    small = np.random.default_rng(3).random((7, 9), np.float32)
    whole = coarse._enlarged(small, (70, 45), Box(0, 70, 0, 45))
    assert np.abs(whole - cv2.resize(small, (45, 70), interpolation=cv2.INTER_LINEAR)).max() < 1e-5
    part = Box(13, 41, 5, 44)
    assert np.array_equal(coarse._enlarged(small, (70, 45), part), whole[part.slices])
    assert (coarse._enlarged(small[:1, :1], (3, 4), Box(0, 3, 0, 4)) == small[0, 0]).all()


def test_the_model_mattes_what_the_copy_left_open_and_corrects_it(large: None, shallow: None) -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (240, 300, 3), np.uint8)
    codes = band()
    plain, labels = Model(RunOptions(device="cpu", coarse_to_fine=False)), list[str]()
    expected = draft(photo, codes, lambda small, known: plain.predict(small, known))
    model = Model(RunOptions(device="cpu"), backend=plain.backend)
    alpha = model.predict(photo, codes, progress=lambda label, *_: labels.append(label))
    assert (expected.trimap == 128).sum() < (codes == 128).sum()
    fine = plain.predict(photo, expected.trimap)
    assert np.array_equal(alpha, expected.corrected(fine))
    assert not np.array_equal(alpha, fine)
    assert not np.array_equal(alpha, plain.predict(photo, codes))
    told = [label for number, label in enumerate(labels) if label not in labels[:number]]
    assert told == list(PASSES)  # one run's passes in their order, though the copy was a run as well
    assert labels == sorted(labels, key=PASSES.index)


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_the_order_of_a_photos_bytes_changes_nothing(kind: type, large: None) -> None:
    photo = np.random.default_rng(0).integers(0, 2**16, (240, 300, 3), np.uint16)
    native = photo if kind is np.uint16 else np.float32(photo / 65535)
    swapped = native.astype(native.dtype.newbyteorder("S"))
    model = Model(RunOptions(device="cpu"))
    one, other = model.draft(native, band()), model.draft(swapped, band())
    assert one.alpha is not None
    assert other.alpha is not None
    assert np.array_equal(one.alpha, other.alpha)
    assert np.array_equal(one.trimap, other.trimap)


def test_the_drafts_trimap_is_what_a_run_with_statistics_takes_as_it_is(large: None) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (240, 300, 3), np.uint8)
    model = Model(RunOptions(device="cpu"))
    found = model.draft(photo, band())
    assert (found.trimap == 128).sum() < (band() == 128).sum()
    statistics = Statistics()
    alpha = model.predict(photo, found.trimap, statistics=statistics)
    assert np.array_equal(found.corrected(alpha), model.predict(photo, band()))
    assert np.array_equal(
        Model(RunOptions(coarse_to_fine=False), backend=model.backend).draft(photo, band()).trimap, band()
    )


def test_a_draft_does_not_depend_on_the_tiles_of_the_run(large: None) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (240, 300, 3), np.uint8)
    usual = Model(RunOptions(device="cpu"))
    tiled = Model(RunOptions(device="cpu", tile=64), backend=usual.backend)
    one, other = usual.draft(photo, band()), tiled.draft(photo, band())
    assert one.alpha is not None
    assert np.array_equal(one.alpha, other.alpha)
    assert np.abs(usual.predict(photo, band()) - tiled.predict(photo, band())).max() < 1e-5
