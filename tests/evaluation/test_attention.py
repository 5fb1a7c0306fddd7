"""The attention score: each sign on a drawn matte, and how signs make a score."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.evaluation.attention import (
    FITTED,
    HARD,
    SENTENCES,
    SIGNS,
    Attention,
    Reason,
    Weight,
    attention,
    fitted,
    reasons_in_words,
    signs,
)
from mattecli.weights import find_checkpoint

SIDE = 200


def disc(radius: float = 50, *, x: float = 100, y: float = 100, soft: float = 4) -> NDArray[np.float32]:
    """The alpha of a disc with a soft edge."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    away = np.hypot(rows - y, columns - x) - radius
    return np.clip(0.5 - away / soft, 0, 1).astype(np.float32)


def band(alpha: NDArray[np.float32], width: int = 6) -> NDArray[np.uint8]:
    """A trimap around the edge of a disc of radius 50 in the middle."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    away = np.hypot(rows - 100, columns - 100) - 50
    return np.where(away < -width, 255, np.where(away > width, 0, 128)).astype(np.uint8)


def photo(front: int = 200, back: int = 40, *, noise: int = 2) -> NDArray[np.uint8]:
    """A light disc on a dark ground."""
    over = disc()[..., None]
    random = np.random.default_rng(0).normal(0, noise, (SIDE, SIDE, 3))
    return np.clip(over * front + (1 - over) * back + random, 0, 255).astype(np.uint8)


def test_a_clean_matte_has_no_sign_but_its_soft_edge() -> None:
    found = signs(photo(), disc(), band(disc()))
    assert set(found) == set(SIGNS)
    assert {name for name, reason in found.items() if reason.amount > 0.1} == set()
    assert {name for name, reason in found.items() if reason.amount > 0} == {"soft", "unseen"}
    assert found["soft"].amount == pytest.approx((4 * disc() * (1 - disc())).mean())


def test_a_jump_along_the_border_of_the_band_is_found_at_its_place() -> None:
    trimap = band(disc())
    trimap[:, 145:] = 0  # the right end of the disc is called background
    alpha = np.where(trimap == 0, 0, np.where(trimap == 255, 1, disc())).astype(np.float32)
    reason = signs(photo(), alpha, trimap)["border"]
    assert 0.05 < reason.amount < 0.5
    assert reason.box is not None
    x, y, width, height = reason.box
    assert x <= 145 <= x + width
    assert y <= 100 <= y + height
    assert height > 20 > width


def test_grey_far_from_the_edge_is_found() -> None:
    alpha = disc()
    alpha[10:30, 150:190] = 0.3
    reason = signs(photo(), alpha)["grey"]
    assert reason.amount == pytest.approx(800 / alpha.sum(), rel=0.25)
    assert reason.box is not None
    assert reason.box == pytest.approx((150, 10, 40, 20), abs=3)


def test_an_island_is_found_unless_the_trimap_is_certain_of_it() -> None:
    alpha = np.maximum(disc(), disc(8, x=20, y=180))
    trimap = np.full((SIDE, SIDE), 128, np.uint8)
    reason = signs(photo(), alpha, trimap)["islands"]
    assert reason.amount == pytest.approx(np.pi * 64 / alpha.sum(), rel=0.3)
    assert reason.box is not None
    assert reason.box[0] < 20 < reason.box[0] + reason.box[2]
    trimap[178:183, 18:23] = 255  # a second shoe
    assert signs(photo(), alpha, trimap)["islands"].amount == 0


def test_a_hole_is_found_unless_the_trimap_is_certain_of_it() -> None:
    alpha = np.minimum(disc(), 1 - disc(8))
    trimap = np.full((SIDE, SIDE), 128, np.uint8)
    assert signs(photo(), alpha, trimap)["holes"].amount == pytest.approx(np.pi * 64 / alpha.sum(), rel=0.3)
    trimap[98:103, 98:103] = 0  # the handle of a mug
    assert signs(photo(), alpha, trimap)["holes"].amount == 0


def test_a_bay_that_opens_to_the_frame_is_not_a_hole() -> None:
    alpha = np.ones((SIDE, SIDE), np.float32)
    alpha[:80, 60:140] = 0
    alpha[150:] = 0
    alpha[:, :40] = 0
    assert signs(photo(), alpha)["holes"].amount == 0


def test_hairs_are_neither_islands_nor_holes() -> None:
    alpha = disc()
    alpha[150:190:6, 20:60] = 1
    alpha[80:120:6, 80:120] = 0
    found = signs(photo(), alpha, np.full((SIDE, SIDE), 128, np.uint8))
    assert (found["islands"].amount, found["holes"].amount) == (0, 0)


def test_colours_that_are_alike_on_both_sides_are_found() -> None:
    assert signs(photo(120, 119, noise=6), disc())["alike"].amount > 0.9
    assert signs(photo(), disc())["alike"].amount == 0


@pytest.mark.parametrize(
    ("value", "x", "y"),
    [(0.0, 100, 100), (0.0, 130, 100), (0.8, 20, 180), (0.5, 30, 40)],
    ids=["a hole", "a hole near the edge", "an island", "a cloud"],
)
def test_what_the_photo_does_not_show_is_found_at_its_place(value: float, x: int, y: int) -> None:
    piece = disc(12, x=x, y=y)
    alpha = disc() + piece * (np.float32(value) - disc())
    reason = signs(photo(), alpha, np.full((SIDE, SIDE), 128, np.uint8))["unseen"]
    assert reason.amount > 0.7
    assert reason.box is not None
    left, top, width, height = reason.box
    assert left - 15 < x < left + width + 15
    assert top - 15 < y < top + height + 15


def test_an_edge_beside_that_of_the_photo_is_unseen() -> None:
    assert signs(photo(), disc(x=112))["unseen"].amount > 0.7
    assert signs(photo(), disc())["unseen"].amount < 0.1


def test_three_sides_that_cut_the_subject_are_a_hard_sign() -> None:
    assert "cut" not in signs(photo(), disc(x=0))
    cut = attention(photo(), disc(130))
    assert (cut.score, [reason.what for reason in cut.reasons]) == (1.0, ["cut"])


def test_an_alpha_that_contradicts_its_trimap_is_found() -> None:
    alpha, trimap = disc(), band(disc())
    trimap[90:110, 90:110] = 0
    assert signs(photo(), alpha, trimap)["contradiction"].amount == pytest.approx(400 / alpha.sum(), rel=0.01)


@pytest.mark.parametrize(("value", "what"), [(0.0, "empty"), (1.0, "full")])
def test_an_empty_and_a_full_alpha_have_the_highest_score(value: float, what: str) -> None:
    found = attention(photo(), np.full((SIDE, SIDE), value, np.float32), np.full((SIDE, SIDE), 128, np.uint8))
    assert found.score == 1
    assert [reason.what for reason in found.reasons] == [what]


def test_the_score_is_one_minus_the_product_of_what_the_signs_leave() -> None:
    alpha = np.maximum(disc(), disc(8, x=20, y=180))
    alpha[10:30, 150:190] = 0.4
    trimap = np.full((SIDE, SIDE), 128, np.uint8)
    weights, version = fitted()
    left = 1.0
    for name, reason in signs(photo(), alpha, trimap).items():
        left *= 1 - weights[name].share(reason.amount)
    found = attention(photo(), alpha, trimap)
    assert found.score == pytest.approx(1 - left)
    assert 0 < found.score < 1
    assert found.version == version
    adds = [weights[reason.what].share(reason.amount) for reason in found.reasons]
    assert adds == sorted(adds, reverse=True)
    assert [Weight(0.8, 1.0, 2.0).share(amount) for amount in (0.5, 1.0, 1.5, 3.0)] == pytest.approx([0, 0, 0.4, 0.8])


def test_boxes_are_in_pixels_of_a_photo_that_is_larger_than_the_copy() -> None:
    factor = 8
    alpha = np.kron(np.maximum(disc(soft=1), disc(8, x=20, y=180, soft=1)), np.ones((factor, factor), np.float32))
    large = np.kron(photo(), np.ones((factor, factor, 1), np.uint8))
    box = signs(large, alpha)["islands"].box
    assert box is not None
    assert box == pytest.approx((12 * factor, 172 * factor, 17 * factor, 17 * factor), abs=2 * factor)


@pytest.mark.parametrize("turned", [False, True])
def test_boxes_of_a_thin_photo_lie_in_it(*, turned: bool) -> None:
    alpha = np.zeros((5, 9000), np.float32)
    alpha[1:3, 3000:3400] = 1
    alpha[:2, 6000:6900] = 1
    picture = np.random.default_rng(0).integers(0, 255, (5, 9000, 3)).astype(np.uint8)
    if turned:
        alpha, picture = alpha.T.copy(), picture.transpose(1, 0, 2).copy()
    boxes = [found.box for found in signs(picture, alpha).values() if found.box is not None]
    assert boxes
    for x, y, width, height in boxes:
        assert min(x, y) >= 0
        assert x + width <= alpha.shape[1]
        assert y + height <= alpha.shape[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float16])
def test_photos_of_all_depths_have_the_same_signs(dtype: type) -> None:
    pixels = photo(120, 119, noise=6)
    full = {np.uint16: 257, np.float32: 1 / 255, np.float16: 1 / 255}.get(dtype, 1)
    given = (pixels * np.float32(full)).astype(dtype)
    assert signs(given, disc())["alike"].amount == pytest.approx(signs(pixels, disc())["alike"].amount, abs=0.1)


def test_a_report_has_the_reasons_in_words_the_strongest_two_first() -> None:
    reasons = (Reason("border", 0.12, (1, 2, 3, 4)), Reason("alike", 0.5), Reason("unknown", 0.1))
    stored = Attention(0.75, 1, reasons).to_json()
    assert stored["reasons"][0] == {"what": "border", "amount": 0.12, "box": [1, 2, 3, 4]}
    assert json.loads(json.dumps(stored)) == stored
    assert reasons_in_words(stored) == (
        "the band cuts the edge on 12% of its length; subject and background have the same colour on 50% of the edge"
    )
    first = {"what": "frame", "amount": 0.25}, {"what": "unknown", "amount": 0.125}  # only version 1 has these
    assert reasons_in_words({"score": 0.5, "version": 1, "reasons": first}) == (
        "the subject lies on 25% of the frame; much is unknown, 12% of the picture"
    )
    assert reasons_in_words({"reasons": [{"what": "of a later version", "amount": 1}]}) == ""
    assert reasons_in_words({}) == ""


def test_the_score_was_judged_on_the_network_that_is_shipped() -> None:
    stored = json.loads(FITTED.read_text(encoding="utf-8"))
    assert stored["weights_sha256"] == find_checkpoint().sha256, "new weights: judge again with benchmarks/attention.py"
    assert set(stored["signs"]) == set(SIGNS) <= set(SENTENCES) - set(HARD)
    assert len(SIGNS) <= 8
    assert all(0 <= sign["weight"] < 1 and sign["full"] > sign["free"] >= 0 for sign in stored["signs"].values())
