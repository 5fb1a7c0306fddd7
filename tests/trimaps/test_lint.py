"""The linter: silent about a good trimap, and each damage is named with what to type."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.imaging.colour import linear
from mattecli.imaging.image import Image
from mattecli.imaging.metadata import Metadata, Windows
from mattecli.imaging.write import write_image
from mattecli.trimaps.lint import Finding, check_trimap, worst_finding
from mattecli.trimaps.make import make_trimap
from tests.trimaps.test_band import scene


def subject() -> NDArray[np.float32]:
    """A soft shape that no turn maps to itself."""
    alpha = np.zeros((240, 320), np.float32)
    cv2.ellipse(alpha, (110, 90), (60, 40), 25, 0, 360, 1.0, -1)
    cv2.rectangle(alpha, (60, 100), (100, 180), 1.0, -1)
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), 2), np.float32)


def photo() -> NDArray[np.uint8]:
    return scene(subject())


def trimap() -> NDArray[np.uint8]:
    return make_trimap(subject() > 0.5, erode=8, dilate=8)


def kinds(found: list[Finding]) -> list[str]:
    return [finding.kind for finding in found]


def test_nothing_is_wrong_with_a_good_trimap() -> None:
    assert check_trimap(trimap(), photo=photo()) == []
    assert check_trimap(trimap()) == []


@pytest.mark.parametrize("turn", [(slice(None), slice(None, None, -1)), (slice(None, None, -1), slice(None))])
def test_a_mirrored_trimap_is_named_with_its_turn(turn: tuple[slice, slice]) -> None:
    found = check_trimap(np.ascontiguousarray(trimap()[turn]), photo=photo(), name="t.png")
    assert found[0].kind == "orientation"
    words = "upside down" if turn[0].step == -1 else "mirrored left to right"
    assert found[0].message == f"t.png fits photo.jpg better {words}"
    assert not found[0].refused


def test_a_moved_trimap_is_named_with_its_offset() -> None:
    moved = np.roll(trimap(), (24, -32), axis=(0, 1))
    (first, *_) = check_trimap(moved, photo=photo())
    assert first.kind == "offset"
    assert "+32, -24 pixels (right, down)" in first.message


def test_a_band_beside_the_edge_cuts_it() -> None:
    shifted = make_trimap(np.roll(subject(), 7, axis=1) > 0.5, erode=2, dilate=2)
    found = next(found for found in check_trimap(shifted, photo=photo(), name="t.png") if found.kind == "narrow band")
    assert "`matte trimap t.png --erode 1% --dilate 1%`" in found.command


@pytest.mark.parametrize("grey", [20, 128, 230])
@pytest.mark.parametrize("width", [2, 12])
def test_the_advice_for_a_narrow_band_widens_both_sides_of_any_band(width: int, grey: int) -> None:
    known = make_trimap(subject() > 0.5, erode=width, dilate=width)
    wider = make_trimap(np.where(known == 128, grey, known).astype(np.uint8), erode="1%", dilate="1%")
    for label in (0, 255):
        beside = cv2.dilate((known == 128).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert (wider[beside & (known == label)] == 128).all()


@pytest.mark.parametrize(
    ("values", "kind", "words", "refused"),
    [
        ((subject() > 0.5).astype(np.uint8) * 255, "hard mask", "`matte trimap t.png --photo photo.jpg`", False),
        (
            np.round(cv2.GaussianBlur(subject(), (0, 0), 20) * 255).astype(np.uint8),
            "values",
            "make one of it with `matte trimap t.png`",
            True,
        ),
        (trimap() // 127, "values", "0, 1 and 2 are probably these", True),
        ((subject() > 0.5).astype(np.uint8), "values", "write 255 for 1", True),
        (np.where(trimap() == 255, 128, trimap()).astype(np.uint8), "no foreground", "`matte trimap mask.png", False),
    ],
)
def test_what_the_values_say(values: NDArray[np.uint8], kind: str, words: str, refused: bool) -> None:
    (first, *_) = check_trimap(values, name="t.png")
    assert (first.kind, first.refused) == (kind, refused)
    assert words in str(first)


def test_jpeg_is_named_with_the_snap_that_repairs_it() -> None:
    _, code = cv2.imencode(".jpg", trimap(), [cv2.IMWRITE_JPEG_QUALITY, 75])
    damaged = np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE), np.uint8)
    (only,) = check_trimap(damaged, name="t.png")
    assert only.refused
    snap = int(only.command.split("snap=")[1].rstrip("`"))
    assert 1 < snap <= 25
    assert check_trimap(damaged, snap=snap, photo=photo()) == []


def test_specks_are_counted() -> None:
    dusty = trimap()
    dusty[200:230:3, 200:300:7] = 255
    (only,) = check_trimap(dusty)
    assert only.kind == "specks"
    assert "150 specks" in only.message


def test_another_size_is_refused() -> None:
    (only,) = check_trimap(trimap()[:100], photo=photo())
    assert (only.kind, only.refused) == ("size", True)


def test_the_worst_finding_leaves_full_and_empty_trimaps_to_their_own_note() -> None:
    names = {"name": "t.png", "image_name": "p.jpg"}
    for value in (0, 128):
        flat = np.full((240, 320), value, np.uint8)
        assert worst_finding(flat, flat, photo(), **names) is None
    good = trimap()
    assert worst_finding(good, good, photo(), **names) is None
    turned = np.ascontiguousarray(good[:, ::-1])
    assert "p.jpg better mirrored" in str(worst_finding(turned, turned, photo(), **names))


def test_a_plate_and_a_transparent_photo_are_checked_as_they_are_matted(tmp_path: Path) -> None:
    windows = Windows((-8, -4, 96, 56), (0, 0, 80, 48))
    plate = Image(np.full((56, 96, 3), 0.2, np.float32), linear().icc, metadata=Metadata(windows=windows))
    write_image(tmp_path / "p.exr", plate)
    trimap = np.zeros((48, 80), np.uint8)
    trimap[10:40, 20:60], trimap[16:34, 26:54] = 128, 255
    assert not [found for found in check_trimap(trimap, photo=tmp_path / "p.exr") if found.refused]
    rgba = np.full((48, 80, 4), 90, np.uint8)
    write_image(tmp_path / "p.png", Image(rgba))
    assert not [found for found in check_trimap(trimap, photo=tmp_path / "p.png") if found.refused]
