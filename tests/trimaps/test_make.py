"""Trimaps: values read as users mean them, bands of the promised width, sizes compared in plain words."""

import io
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.trimaps.check import check_size, from_values, shares
from mattecli.trimaps.make import make_trimap, overlay, with_certain
from mattecli.trimaps.pairs import read_trimap


def drawn(height: int = 300, width: int = 400) -> NDArray[np.uint8]:
    """Two ellipses with an unknown band of 16 pixels around their outlines."""
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 3, height // 2), (width // 5, height // 4), 20, 0, 360, 255, -1)
    cv2.ellipse(mask, (3 * width // 4, height // 3), (width // 9, height // 5), 70, 0, 360, 255, -1)
    return make_trimap(mask, erode=8, dilate=8)


def through_jpeg(trimap: NDArray[np.uint8], quality: int, mode: str = "L") -> PIL.Image.Image:
    buffer = io.BytesIO()
    PIL.Image.fromarray(trimap).convert(mode).save(buffer, "JPEG", quality=quality)
    return PIL.Image.open(buffer)


# --- what values mean -------------------------------------------------------------------------------------------------


def test_only_the_exact_ends_are_known() -> None:
    assert from_values(np.array([[0, 1, 127, 128, 254, 255]], np.uint8)).tolist() == [[0, 128, 128, 128, 128, 255]]
    assert from_values(np.array([[0, 1, 32768, 65534, 65535]], np.uint16)).tolist() == [[0, 128, 128, 128, 255]]
    assert from_values(np.array([[0, 0.001, 0.999, 1]], np.float32)).tolist() == [[0, 128, 128, 255]]


@pytest.mark.parametrize("kind", ["L", "RGB", "RGBA", "P", "LA", "I;16"])
def test_every_kind_of_file_gives_the_same_trimap(tmp_path: Path, kind: str) -> None:
    trimap = drawn()
    if kind == "I;16":
        picture = PIL.Image.fromarray(trimap.astype(np.uint16) * 257)
    else:
        picture = PIL.Image.fromarray(trimap).convert(kind)
    picture.save(tmp_path / "t.png")
    assert np.array_equal(read_trimap(tmp_path / "t.png"), trimap)


def test_a_coloured_palette_is_unknown_where_it_is_coloured(tmp_path: Path) -> None:
    picture = PIL.Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 255, 255, 255])
    picture.putdata([0, 1, 2])
    picture.save(tmp_path / "t.png")
    assert read_trimap(tmp_path / "t.png").tolist() == [[0, 128, 255]]


def test_one_colour_with_varying_transparency_is_a_trimap_in_the_alpha_channel() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[..., 3] = [0, 100, 255]
    assert from_values(rgba).tolist() == [[0, 128, 255]]


def test_painted_on_a_transparent_layer_transparent_is_background() -> None:
    white_below = np.array([[[255, 255, 255, 0], [128, 128, 128, 255], [255, 255, 255, 255]]], np.uint8)
    soft_edge = np.array([[[255, 255, 255, 0], [255, 255, 255, 90], [0, 0, 0, 255]]], np.uint8)
    assert from_values(white_below).tolist() == [[0, 128, 255]]
    assert from_values(soft_edge).tolist() == [[0, 128, 0]]


def test_the_same_transparency_everywhere_says_nothing() -> None:
    grey = np.array([[0, 128, 255]], np.uint8)
    for alpha in (0, 90, 255):
        rgba = np.dstack([grey, grey, grey, np.full_like(grey, alpha)])
        assert from_values(rgba).tolist() == [[0, 128, 255]]


# --- damaged by JPEG --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("quality", [50, 75, 90, 95, 100])
def test_a_trimap_from_jpeg_stops_and_snap_mends_it(tmp_path: Path, quality: int, mode: str) -> None:
    trimap = drawn()
    damaged = tmp_path / "t.png"
    through_jpeg(trimap, quality, mode).save(damaged)
    with pytest.raises(
        InputError, match=r"t\.png has \d+ values just off black and white.*; .* or use `snap="
    ) as error:
        read_trimap(damaged)
    mended = read_trimap(damaged, snap=int(str(error.value).split("snap=")[1].rstrip("`")))
    inside = cv2.erode((trimap == 255).view(np.uint8), np.ones((17, 17))) > 0
    outside = cv2.erode((trimap == 0).view(np.uint8), np.ones((17, 17))) > 0
    assert (mended[inside] == 255).all()
    assert (mended[outside] == 0).all()
    assert (mended != trimap).mean() < 0.02


@pytest.mark.parametrize("scale", [0.37, 0.45, 1.9])
@pytest.mark.parametrize("way", [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA])
def test_a_resampled_trimap_passes(way: int, scale: float) -> None:
    resampled = np.asarray(cv2.resize(drawn(), None, fx=scale, fy=scale, interpolation=way))
    near = ((resampled > 0) & (resampled <= 10)) | ((resampled >= 245) & (resampled < 255))
    assert near.any()
    assert (from_values(resampled)[near] == 128).all()


def test_an_anti_aliased_trimap_passes() -> None:
    canvas = np.zeros((300, 400), np.uint8)
    cv2.circle(canvas, (200, 150), 90, 128, -1, cv2.LINE_AA)
    cv2.circle(canvas, (200, 150), 60, 255, -1, cv2.LINE_AA)
    cv2.line(canvas, (3, 290), (390, 270), 255, 3, cv2.LINE_AA)
    assert ((canvas > 0) & (canvas <= 10)).any()
    assert set(np.unique(from_values(canvas))) == {0, 128, 255}


def test_a_slightly_feathered_trimap_passes() -> None:
    feathered = cv2.GaussianBlur(drawn(), (0, 0), 1.5)
    assert ((feathered > 0) & (feathered <= 10)).mean() > 0.001
    from_values(np.asarray(feathered))


def test_white_that_is_only_nearly_white_stops_and_snap_mends_it() -> None:
    dull = np.where(drawn() == 255, 254, drawn()).astype(np.uint8)
    with pytest.raises(InputError, match="`snap=1`"):
        from_values(dull)
    assert np.array_equal(from_values(dull, snap=10), drawn())


def test_snap_reaches_as_far_as_it_says() -> None:
    values = np.array([[0, 10, 11, 244, 245, 255]], np.uint8)
    assert from_values(values, snap=10).tolist() == [[0, 0, 128, 128, 255, 255]]
    assert from_values(values.astype(np.uint16) * 257, snap=10).tolist() == [[0, 0, 128, 128, 255, 255]]


def test_label_numbers_are_named_as_such() -> None:
    labels = (drawn() // 127).astype(np.uint8)
    with pytest.raises(InputError, match=r"labels\.png holds label numbers up to 2, .*; write 0 for background, 128"):
        from_values(labels, name="labels.png")
    with pytest.raises(InputError, match=r"up to 2, .*\(0, 1 and 2 are probably these, in this order\)"):
        from_values(labels.astype(np.uint16))
    with pytest.raises(InputError, match="holds the label numbers 0 and 1"):
        from_values((labels > 0).astype(np.uint16))


def test_values_of_8_bits_in_a_file_of_16_are_named_as_such() -> None:
    told = r"t\.png has 16 bits, but its values are those of 8 bits \(0 to 255\); save it with 8 bits"
    for values in (drawn(), (drawn() > 200) * np.uint8(255)):
        with pytest.raises(InputError, match=told):
            from_values(values.astype(np.uint16), name="t.png")
    with pytest.raises(InputError, match=told):
        make_trimap((drawn() > 200).astype(np.uint16) * 255, erode=1, dilate=1, name="t.png")


def test_an_all_black_trimap_is_one() -> None:
    assert not from_values(np.zeros((4, 4), np.uint8)).any()


# --- making -----------------------------------------------------------------------------------------------------------


def by_hand(mask: NDArray[np.bool_], erode: float, dilate: float) -> NDArray[np.uint8]:
    """The definition, pixel by pixel: distance to the nearest pixel of the other kind."""
    points = {kind: np.argwhere(mask == kind) for kind in (False, True)}
    trimap = np.full(mask.shape, 128, np.uint8)
    for at, inside in np.ndenumerate(mask):
        distance = np.sqrt(((points[not inside] - at) ** 2).sum(axis=1)).min()
        if distance > (erode if inside else dilate):
            trimap[at] = 255 if inside else 0
    return trimap


@pytest.mark.parametrize(("erode", "dilate"), [(0, 0), (1, 0), (0, 1), (3, 5), (5, 3), (10, 10), (13, 2)])
def test_bands_are_discs_of_the_radius_asked_for(erode: int, dilate: int) -> None:
    mask = np.zeros((48, 56), bool)
    mask[14:40, 12:45] = True
    mask[25:29, 20:26] = False
    mask[5, 50] = True
    assert np.array_equal(make_trimap(mask, erode=erode, dilate=dilate), by_hand(mask, erode, dilate))


def test_a_large_radius_is_exact() -> None:
    mask = np.zeros((1, 2001), bool)
    mask[0, 1000] = True
    trimap = make_trimap(mask, erode=0, dilate=700)
    assert (trimap == 128).sum() == 1400
    assert (trimap[0, 299], trimap[0, 300], trimap[0, 1700], trimap[0, 1701]) == (0, 128, 128, 0)


def test_the_edge_of_the_picture_is_not_a_border() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[:, :15] = 255
    trimap = make_trimap(mask, erode=4, dilate=3)
    assert (trimap == np.repeat([255, 128, 0], [11, 7, 12])).all()


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "float64"])
def test_soft_values_are_unknown_before_the_band_grows(kind: str) -> None:
    soft = np.array([[0, 0, 0, 0, 0.04, 0.06, 0.5, 0.94, 0.96, 1, 1, 1, 1]])
    full = {"uint8": 255, "uint16": 65535}.get(kind, 1)
    mask = np.rint(soft * full).astype(kind) if full > 1 else soft.astype(kind)
    assert make_trimap(mask, erode=0, dilate=0).tolist() == [[0] * 5 + [128] * 3 + [255] * 5]
    assert make_trimap(mask, erode=2, dilate=1).tolist() == [[0] * 4 + [128] * 6 + [255] * 3]
    assert make_trimap(mask, erode=0, dilate=0, low=0.51, high=0.95).tolist() == [[0] * 7 + [128] + [255] * 5]


def test_glass_without_sure_foreground_is_a_trimap_too() -> None:
    glass = np.zeros((9, 9), np.float32)
    glass[3:6, 3:6] = 0.4
    assert set(np.unique(make_trimap(glass, erode=0, dilate=1))) == {0, 128}


@pytest.mark.parametrize(
    "options",
    [
        {"erode": -1, "dilate": 0},
        {"erode": 0, "dilate": -1},
        {"erode": 0, "dilate": 0, "low": 0.5, "high": 0.5},
        {"erode": 0, "dilate": 0, "low": -0.1},
        {"erode": 0, "dilate": 0, "high": 1.5},
        {"erode": 0, "dilate": 0, "low": float("nan")},
    ],
)
def test_senseless_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"`erode` and `dilate` must|`low` must"):
        make_trimap(np.eye(4, dtype=bool), **options)


def test_masks_without_an_object_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"m\.png has the same value everywhere; give a mask"):
        make_trimap(np.full((4, 4), 255, np.uint8), erode=1, dilate=1, name="m.png")
    with pytest.raises(InputError, match=r"m\.png is nearly black \(its greatest value is 1 of 255\); write 255"):
        make_trimap(np.eye(4, dtype=np.uint8), erode=1, dilate=1, name="m.png")
    with pytest.raises(InputError, match="nearly black"):
        make_trimap(np.eye(4, dtype=np.float32) / 255, erode=1, dilate=1)
    with pytest.raises(InputError, match=r"nearly black \(its greatest value is 1 of 65535\); write 65535"):
        make_trimap(np.eye(4, dtype=np.uint16), erode=1, dilate=1)


def test_label_numbers_are_no_more_a_core_than_a_mask(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[:2] = 255
    PIL.Image.fromarray((mask > 0).astype(np.uint8)).save(tmp_path / "core.png")
    with pytest.raises(InputError, match=r"core\.png is nearly black \(its greatest value is 1 of 255\); write 255"):
        make_trimap(mask, erode=1, dilate=1, core=tmp_path / "core.png")
    with pytest.raises(InputError, match="the garbage mask has 16 bits, but its values are those of 8 bits"):
        with_certain(mask, garbage=mask.astype(np.uint16))
    told = "has 16 bits, but its values are those of 8 bits (0 to 255); save it with 8 bits"
    for where, highest in ((tmp_path / "m16.png", 255), (tmp_path / "g16.png", 128)):
        PIL.Image.fromarray((mask > 0).astype(np.uint16) * np.uint16(highest)).save(where)
    with pytest.raises(InputError, match=re.escape(f"m16.png {told}")):
        make_trimap(tmp_path / "m16.png", erode=1, dilate=1)
    with pytest.raises(InputError, match=re.escape(f"g16.png {told}")):
        with_certain(mask, garbage=tmp_path / "g16.png")
    nothing = np.zeros_like(mask)
    assert np.array_equal(with_certain(mask, core=nothing, garbage=nothing), mask)


# --- checking and showing ---------------------------------------------------------------------------------------------


def test_sizes_that_differ_are_told_in_one_sentence() -> None:
    check_size((800, 600), (800, 600), name="t.png", image_name="p.jpg")
    with pytest.raises(InputError) as different:
        check_size((800, 600), (1600, 1200), name="trimap.png", image_name="photo.jpg")
    told = "trimap.png is 800×600 but photo.jpg is 1600×1200; make the trimap from the photo at its full size"
    assert str(different.value) == told
    with pytest.raises(InputError) as different:
        check_size((800, 600), (1600, 1200), name="trimap.png", image_name="photo.jpg", resizable=True)
    assert str(different.value) == f"{told}, or add `resize_trimap`"
    with pytest.raises(InputError, match=r"1600×1000; make the trimap from the photo at its full size$"):
        check_size((800, 600), (1600, 1000), name="trimap.png", image_name="photo.jpg", resizable=True)


def test_sizes_that_are_swapped_name_the_turn() -> None:
    with pytest.raises(InputError) as turned:
        check_size((600, 800), (800, 600), name="mask.png", image_name="photo.jpg", what="mask")
    assert str(turned.value) == (
        "mask.png is 600×800 but photo.jpg is 800×600: one of them was rotated, perhaps because it lost its EXIF "
        "orientation; rotate the mask by 90° or make it from the photo again"
    )


def test_shares_add_up() -> None:
    parts = shares(np.array([[0, 0, 128, 255], [0, 0, 128, 128]], np.uint8))
    assert parts == {"background": 0.5, "unknown": 0.375, "foreground": 0.125}


def test_overlay_tints_what_is_known_and_leaves_what_is_not() -> None:
    trimap = np.repeat(np.repeat(np.array([[0, 128, 255]], np.uint8), 20, axis=0), 20, axis=1)
    image = np.full((20, 60, 3), 100, np.uint8)
    preview = overlay(image, trimap)
    red, clear, green = (preview[10, x].astype(int) for x in (5, 30, 55))
    assert red[0] > red[1] + 40
    assert green[1] > green[0] + 40
    assert clear.tolist() == [100, 100, 100]
    assert (preview[10, 20] == 255).all()
    assert (image == 100).all()


# --- what is no trimap or mask ----------------------------------------------------------------------------------------


def test_a_few_specks_of_dust_do_not_make_a_trimap_damaged() -> None:
    dusty = drawn()
    rows, columns = np.nonzero(cv2.erode((dusty == 0).view(np.uint8), np.ones((9, 9))))
    for at in np.linspace(0, len(rows) - 1, 20).astype(int):
        dusty[rows[at], columns[at]] = 3
    assert (from_values(dusty) == 128).sum() == (drawn() == 128).sum() + 20


def test_a_colour_photo_is_called_one(tmp_path: Path) -> None:
    y, x = np.mgrid[:120, :160]
    photo = np.dstack([x * 1.5, y * 2, 255 - x]).astype(np.uint8)
    photo[:30, :30] = 0
    photo[30:60, :30] = np.random.default_rng(0).integers(0, 8, (30, 30, 3))  # dark parts are just off black
    for snap in (0, 10):
        with pytest.raises(InputError, match=r"p\.png has as many colours as a photo; give a trimap: white, black"):
            from_values(photo, name="p.png", snap=snap)


def test_unknown_parts_may_be_painted_in_colours() -> None:
    canvas = np.zeros((300, 400, 3), np.uint8)
    cv2.circle(canvas, (200, 150), 120, (255, 0, 0), -1, cv2.LINE_AA)
    cv2.circle(canvas, (200, 150), 90, (0, 200, 255), -1, cv2.LINE_AA)
    cv2.circle(canvas, (200, 150), 60, (255, 255, 255), -1, cv2.LINE_AA)
    trimap = from_values(canvas)
    assert (trimap[150, 100], trimap[150, 125], trimap[150, 200], trimap[0, 0]) == (128, 128, 255, 0)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.array([[0, 255, 128]], np.float32), "t.png has values from 0 to 255; give floats in"),
        (np.array([[0, np.nan, 1]], np.float32), "t.png has values from nan"),
        (np.array([[0, 1]], np.int64), "t.png is of type int64"),
        (np.zeros((0, 4), np.uint8), r"t.png has shape \(0, 4\)"),
        (np.zeros((2, 4, 2), np.uint8), r"t.png has shape \(2, 4, 2\)"),
    ],
)
def test_values_of_neither_a_trimap_nor_a_mask_are_refused(values: NDArray[Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        from_values(values, name="t.png")
    with pytest.raises(InputError, match=sentence):
        make_trimap(values, erode=1, dilate=1, name="t.png")


def test_floats_of_any_precision_are_trimaps_and_masks() -> None:
    values = np.array([[0, 0.5, 1]])
    assert from_values(values).tolist() == [[0, 128, 255]]
    assert make_trimap(values, erode=0, dilate=0).tolist() == [[0, 128, 255]]
