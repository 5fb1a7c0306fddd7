from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.server import findings as module
from mattecli.server.findings import Kind, findings

HEIGHT, WIDTH = 600, 800


def clean() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The matte of a soft disc, and its trimap."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    away = np.hypot(y - 300, x - 400)
    alpha = np.clip((200 - away) / 8 + 0.5, 0, 1).astype(np.float32)
    trimap = np.full(alpha.shape, 128, np.uint8)
    trimap[away < 150], trimap[away > 285] = 255, 0
    return alpha, trimap


def test_a_clean_matte_has_no_findings() -> None:
    assert findings(*clean()) == []


# Four of each kind, at places of their own.
PLANTED: list[tuple[Kind, int, int]] = [
    *(("contradiction", x, 290 + 5 * row) for row, x in enumerate((330, 370, 410, 450))),
    *(("hole", x, y) for x, y in ((400, 125), (400, 475), (225, 300), (575, 300))),
    *(("island", x, y) for x, y in ((400, 60), (400, 545), (160, 300), (640, 300))),
    *(("grey", x, y) for x, y in ((300, 180), (500, 180), (300, 420), (500, 420))),
    *(("border", x, y) for x, y in ((250, 300), (549, 300), (400, 151), (400, 449))),
]


def plant(alpha: NDArray[np.float32], trimap: NDArray[np.uint8], kind: Kind, x: int, y: int) -> None:
    if kind == "contradiction":
        alpha[y, x] = 0.2  # a single pixel of what is certain
    elif kind == "hole":
        cv2.circle(alpha, (x, y), 4, 0.0, -1)
    elif kind == "island":
        cv2.circle(alpha, (x, y), 4, 1.0, -1)
    elif kind == "grey":
        cv2.circle(alpha, (x, y), 6, 0.55, -1)
    else:
        part = np.hypot(*(np.mgrid[:HEIGHT, :WIDTH] - np.array([y, x])[:, None, None])) < 6
        alpha[part & (trimap == 128)] = 0.6


def test_twenty_planted_faults_are_all_found_and_nothing_else() -> None:
    alpha, trimap = clean()
    for kind, x, y in PLANTED:
        plant(alpha, trimap, kind, x, y)
    found = findings(alpha, trimap)
    for kind, x, y in PLANTED:
        near = [finding for finding in found if np.hypot(finding.x - x, finding.y - y) < 10]
        assert kind in {finding.kind for finding in near}, (kind, x, y)
    assert all(any(np.hypot(f.x - x, f.y - y) < 10 for _, x, y in PLANTED) for f in found)


def test_pieces_of_one_kind_that_are_near_each_other_are_one_place() -> None:
    alpha, trimap = clean()
    for x in (100, 115, 130):
        cv2.circle(alpha, (x, 100), 5, 1.0, -1)
    trimap[80:120, 80:150] = 128
    (found,) = findings(alpha, trimap)
    assert (found.kind, found.pieces) == ("island", 3)
    assert found.box == (95, 95, 136, 106)
    assert found.size == (alpha[80:120, 80:150] > 0.3).sum()
    assert found.to_json()["text"] == "loose pieces beside the subject"


def test_a_row_of_pieces_along_a_contour_is_several_places() -> None:
    alpha, trimap = clean()
    trimap[20:60] = 128
    for x in range(40, 760, 18):
        cv2.circle(alpha, (x, 40), 4, 1.0, -1)
    found = findings(alpha, trimap)
    assert len(found) > 5
    assert sum(one.pieces for one in found) == 40
    assert all(one.box[2] - one.box[0] < 80 for one in found)


def test_the_heaviest_place_comes_first_whatever_its_kind() -> None:
    alpha, trimap = clean()
    cv2.circle(alpha, (400, 300), 4, 0.45, -1)  # contradicts a little what is painted, and is a hole
    cv2.circle(alpha, (100, 100), 9, 1.0, -1)
    trimap[80:120, 80:120] = 128
    found = findings(alpha, trimap)
    assert found[0].kind == "island"
    weights = [one.weight for one in found]
    assert weights == sorted(weights, reverse=True)
    assert next(one.weight for one in found if one.kind == "contradiction") == pytest.approx(
        0.55 * (alpha[290:310, 390:410] < 0.5).sum(), rel=1e-3
    )


def test_the_largest_of_a_kind_comes_first_with_a_sentence() -> None:
    alpha, trimap = clean()
    cv2.circle(alpha, (100, 100), 5, 1.0, -1)
    cv2.circle(alpha, (700, 500), 9, 1.0, -1)
    trimap[90:110, 90:110] = trimap[490:510, 690:710] = 128
    first, second = findings(alpha, trimap)
    assert (first.kind, first.x, first.y) == ("island", 700, 500)
    assert first.size > second.size
    assert first.to_json()["text"] == "a loose piece beside the subject"


def test_large_pictures_are_examined_smaller_and_places_are_those_of_the_photo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PIXELS", 200_000)
    alpha, trimap = clean()
    trimap[90:110, 90:110] = 128
    cv2.circle(alpha, (100, 100), 8, 1.0, -1)
    (found,) = findings(alpha, trimap)
    assert abs(found.x - 100) <= 4
    assert abs(found.y - 100) <= 4
