import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.compositing.cleaning import without_holes, without_specks
from mattecli.compositing.contours import choked, feathered, opened, smoothed, spread
from mattecli.compositing.edges import extended_colours, finished_edges, levelled, split, with_exact_background
from mattecli.compositing.finishing import Finishing

Floats = NDArray[np.float32]
PHASES = np.arange(10) / 10
ANGLES = np.arange(12) * 7.5  # the other directions are mirror images of these
RIM = 12


def ramp(width: float, degrees: float, phase: float) -> tuple[Floats, Floats]:
    """An edge that rises over `width` pixels, and the distance of each pixel to its middle."""
    size = 2 * RIM + 21 + int(1.5 * width)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    away = (x * math.cos(math.radians(degrees)) + y * math.sin(math.radians(degrees)) + phase).astype(np.float32)
    return np.clip(0.5 + away / width, 0, 1).astype(np.float32), away


def places(edges: list[tuple[Floats, Floats]]) -> NDArray[np.float64]:
    """Where an edge reaches 0.1, 0.5 and 0.9: from the values of all pixels by their distance (as in ISO 12233)."""
    inner = (slice(RIM, -RIM), slice(RIM, -RIM))
    values = np.concatenate([alpha[inner].ravel() for alpha, _ in edges])
    away = np.concatenate([distance[inner].ravel() for _, distance in edges])
    bins = np.round(away * 10).astype(int)
    bins -= bins.min()
    count = np.bincount(bins)
    seen = count > 0
    middle = np.bincount(bins, away)[seen] / count[seen]
    mean = np.maximum.accumulate(np.bincount(bins, values)[seen] / count[seen])
    above = [int(np.searchsorted(mean, level)) for level in (0.1, 0.5, 0.9)]
    return np.array(
        [
            middle[k - 1] + (level - mean[k - 1]) / (mean[k] - mean[k - 1]) * (middle[k] - middle[k - 1])
            for k, level in zip(above, (0.1, 0.5, 0.9), strict=True)
        ]
    )


def moves(
    move: Callable[[Floats, float], Floats], pixels: float, width: float, angles: NDArray[np.float64] = ANGLES
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each angle, how far the three levels moved, and by how much of itself the width changed."""
    moved, wider = [], []
    for degrees in angles:
        edges = [ramp(width, degrees, phase) for phase in PHASES]
        before = places(edges)
        after = places([(move(alpha, pixels), away) for alpha, away in edges])
        moved.append(after - before)
        wider.append((after[2] - after[0]) / (before[2] - before[0]) - 1)
    return np.array(moved), np.array(wider)


@pytest.mark.parametrize("width", [3, 4, 7, 20])
@pytest.mark.parametrize("pixels", [0.5, 2.0, 5.0])
def test_a_choke_moves_every_level_inwards_and_keeps_the_width(pixels: float, width: float) -> None:
    moved, wider = moves(choked, pixels, width)
    assert np.abs(moved - pixels).max() <= 0.1
    assert np.abs(wider).max() <= 0.05


@pytest.mark.parametrize(("width", "worst", "wider_by"), [(1, 0.21, 0.55), (1.5, 0.12, 0.13), (2, 0.15, 0.16)])
def test_narrow_edges_are_moved_as_far_as_their_few_pixels_tell(width: float, worst: float, wider_by: float) -> None:
    for pixels in (1.0, 1.5, 3.7):
        moved, wider = moves(choked, pixels, width)
        assert np.abs(moved - pixels).max() <= worst
        assert np.abs(moved - pixels).mean() <= 0.07
        assert np.abs(wider).max() <= wider_by
        assert np.abs(wider).mean() <= 0.12


def test_a_spread_moves_every_level_outwards() -> None:
    moved, wider = moves(spread, 2.5, 5, ANGLES[::3])
    assert np.abs(moved + 2.5).max() <= 0.1
    assert np.abs(wider).max() <= 0.05


def test_whole_steps_along_the_pixels_keep_a_hard_edge_exactly() -> None:
    alpha = np.zeros((40, 60), np.float32)
    alpha[:, 30:] = 1
    alpha[:, 29] = 0.25
    expected = np.zeros_like(alpha)
    expected[:, 33:] = 1
    expected[:, 32] = 0.25
    assert np.abs(choked(alpha, 3) - expected).max() < 0.03


def disc(radius: float = 60, *, size: int = 200, soft: float = 2) -> Floats:
    y, x = np.mgrid[:size, :size] - size / 2
    return np.clip((radius - np.hypot(x, y)) / soft + 0.5, 0, 1).astype(np.float32)


def test_tiles_do_not_show() -> None:
    alpha = np.zeros((1100, 600), np.float32)
    cv2.circle(alpha, (300, 520), 230, 1.0, -1, cv2.LINE_AA)
    for function in (
        lambda a: choked(a, 2.3),
        lambda a: feathered(a, 4.0),
        lambda a: smoothed(a, 3.0),
        lambda a: opened(a, 6),
    ):
        whole = function(alpha)
        part = function(np.ascontiguousarray(alpha[300:800]))  # the tiles lie elsewhere
        assert np.abs(whole[400:700] - part[100:400]).max() < 1e-4


def test_a_subject_that_the_frame_cuts_has_no_gap_there() -> None:
    alpha = np.zeros((120, 100), np.float32)
    alpha[60:, 20:80] = 1
    for kind in ({"choke": 4}, {"feather": 4}, {"smooth": 3}):
        result, _ = finished_edges(alpha, Finishing(**kind))  # type: ignore[arg-type]
        assert result[-1, 40:60].min() > 0.9999, kind


def test_a_feather_grows_nothing_outwards_unless_it_is_asked_to() -> None:
    alpha = disc()
    inner = feathered(alpha, 3)
    assert (inner <= alpha).all()
    assert inner.sum() < 0.97 * alpha.sum()
    both = feathered(alpha, 3, both=True)
    assert np.abs(both - cv2.GaussianBlur(alpha, (0, 0), 3)).max() < 1e-5
    assert (both > alpha).any()


def test_a_feather_is_the_formula() -> None:
    alpha = disc()
    formula = np.minimum(alpha, np.clip(2 * cv2.GaussianBlur(alpha, (0, 0), 4) - 1, 0, 1))
    assert np.abs(feathered(alpha, 4) - formula).max() < 1e-5


def test_levels_are_those_of_photoshop() -> None:
    alpha = np.linspace(0, 1, 256, dtype=np.float32)[None]
    result = levelled(alpha, Finishing(levels=(20, 220, 1.5)))
    values = np.arange(256)
    assert np.abs(result[0] - np.clip((values - 20) / 200, 0, 1) ** (1 / 1.5)).max() < 1e-5


def test_contrast_is_a_pair_of_levels() -> None:
    alpha = np.linspace(0, 1, 256, dtype=np.float32)[None]
    result, _ = finished_edges(alpha, Finishing(contrast=40))
    assert np.abs(result - np.clip((alpha - 0.2) / 0.6, 0, 1)).max() < 1e-5


def test_smoothing_takes_bumps_off_and_keeps_the_softness() -> None:
    y, x = np.mgrid[:200, :300].astype(np.float32)
    straight = np.clip((y - 100) / 4 + 0.5, 0, 1)
    wavy = np.clip((y - 100 - 1.5 * np.sin(x / 2.5)) / 4 + 0.5, 0, 1).astype(np.float32)
    result = smoothed(wavy, 8)
    inner = slice(40, -40)
    before, after = (np.abs(alpha - straight)[:, inner].max() for alpha in (wavy, result))
    assert before > 0.3
    assert after < 0.12
    assert np.abs(smoothed(straight, 8) - straight).max() < 0.01


def hairy() -> tuple[Floats, Floats]:
    """A disc with strands of 2 pixels that stick out of it, and the strands alone beyond the disc."""
    solid = disc(50, size=240)
    strands = np.zeros((960, 960), np.float32)
    for turn in np.arange(0, 2 * math.pi, 0.4):
        ends = [(480 + r * math.cos(turn), 480 + r * math.sin(turn)) for r in (4 * 40, 4 * 95)]
        cv2.line(strands, *(tuple(round(v) for v in end) for end in ends), 0.8, 8)
    strands = cv2.resize(strands, (240, 240), interpolation=cv2.INTER_AREA)
    return np.maximum(solid, strands), strands


def test_hair_stays_whole_while_the_solid_part_moves() -> None:
    alpha, strands = hairy()
    result, _ = finished_edges(alpha, Finishing(choke=2))
    y, x = np.mgrid[:240, :240] - 120
    away = np.hypot(x, y)
    far = (away > 56) & (strands > 0.3)
    assert np.abs(result - alpha)[far].max() < 0.05
    solid, _ = finished_edges(disc(50, size=240), Finishing(choke=2))
    assert np.abs(result - solid)[(cv2.dilate(strands, np.ones((19, 19))) == 0) & (away < 60)].max() < 0.05


def test_no_gap_opens_between_a_choked_edge_and_its_strands() -> None:
    alpha, strands = hairy()
    result, _ = finished_edges(alpha, Finishing(choke=4))
    middle = strands[:, 120:] > 0.7  # the strand to the right begins inside the disc
    row = 120
    assert middle[row, 45:80].any()
    assert result[row - 1 : row + 2, 160:200].max(axis=0).min() > 0.5


def test_hair_fades_by_the_share_that_is_asked_for() -> None:
    alpha, strands = hairy()
    half, _ = finished_edges(alpha, Finishing(hair=50))
    none, _ = finished_edges(alpha, Finishing(hair=0))
    y, x = np.mgrid[:240, :240] - 120
    far = (np.hypot(x, y) > 60) & (strands > 0.3)
    assert np.abs(half - alpha / 2)[far].max() < 0.02
    assert none[far].max() < 0.02
    assert np.abs(none - disc(50, size=240)).sum() < 0.01 * alpha.sum()


def test_corners_are_not_hair() -> None:
    alpha = np.zeros((120, 120), np.float32)
    alpha[30:90, 30:90] = 1
    solid, gaps, hair = split(alpha, 6)
    assert not hair.any()
    assert not gaps.any()
    assert np.array_equal(solid, alpha)


def test_the_parts_make_up_the_matte() -> None:
    alpha, _ = hairy()
    alpha[118:122, 80:118] *= 0.4  # a gap inside
    solid, gaps, hair = split(alpha, 3)
    assert hair.max() > 0.5
    assert gaps.max() > 0.5
    part = solid * (1 - gaps)
    assert np.abs(part + (1 - part) * hair - alpha).max() < 1e-5


def test_a_narrow_corner_spreads_as_all_else_does() -> None:
    alpha = np.zeros((160, 160), np.float32)
    cv2.fillPoly(alpha, [np.array([(20, 140), (140, 140), (140, 20), (80, 110), (20, 20)])], 1.0, cv2.LINE_AA)
    result, _ = finished_edges(alpha, Finishing(spread=3))
    assert np.abs(result - spread(alpha, 3))[60:112].max() < 0.1
    assert result[106:112, 80].min() > 0.9


def test_gaps_between_hairs_do_not_grow() -> None:
    alpha = disc(60, size=200)
    alpha[:90, 96:98] = 0  # a parting of 2 pixels that is open at the top
    result, _ = finished_edges(alpha, Finishing(choke=3))
    assert (result[60:80, 96:98] == 0).all()
    assert result[60:80, 90:95].min() > 0.95
    assert result[60:80, 99:104].min() > 0.95


def test_nothing_is_overwritten_and_no_option_changes_nothing() -> None:
    alpha, _ = hairy()
    copy = alpha.copy()
    same, notes = finished_edges(alpha, Finishing())
    assert same is alpha
    assert notes == []
    finished_edges(alpha, Finishing(choke=1, smooth=2, feather=1, contrast=10, min_area=20, fill_holes=20))
    assert np.array_equal(alpha, copy)


def test_specks_go_and_a_second_shoe_and_an_earring_stay() -> None:
    alpha = disc(60, size=300)
    cv2.circle(alpha, (260, 260), 20, 1.0, -1)  # a second shoe
    cv2.circle(alpha, (250, 40), 3, 1.0, -1)  # an earring, which the trimap knows
    specks = np.zeros_like(alpha)
    for place in ((20, 20), (40, 250), (280, 150)):
        cv2.circle(specks, place, 2, 0.6, -1)
    trimap = np.full(alpha.shape, 128, np.uint8)
    trimap[38:43, 248:253] = 255
    result, note = without_specks(np.maximum(alpha, specks), 40, trimap)
    assert np.array_equal(result, alpha)
    assert note is not None
    assert note.startswith("3 specks were removed")


def test_a_broken_strand_close_to_the_body_stays() -> None:
    alpha = disc(50, size=200)
    alpha[95:97, 155:165] = 0.7  # 4 pixels from the disc
    assert without_specks(alpha, 100, None) == (alpha, None)


def test_a_strand_that_is_broken_into_dashes_stays_up_to_a_wider_gap() -> None:
    alpha = disc(50, size=200)
    for start in (155, 165, 175):  # with 4 empty pixels between
        alpha[95:97, start : start + 6] = 0.7
    assert without_specks(alpha, 100, None) == (alpha, None)
    broken = alpha.copy()
    broken[95:97, 186:192] = 0.7  # with 5 between
    result, note = without_specks(broken, 100, None)
    assert np.array_equal(result, alpha)
    assert note == "1 speck was removed, 8 pixels in all"


def test_the_area_of_a_speck_is_the_sum_of_its_alpha() -> None:
    alpha = disc(40, size=200)
    alpha[5:15, 5:15] = 0.1  # 100 pixels that make up 10
    assert without_specks(alpha, 9, None)[1] is None
    assert without_specks(alpha, 11, None)[1] == "1 speck was removed, 10 pixels in all"


def test_the_largest_part_stays_whatever_the_area() -> None:
    alpha = disc(10, size=60)
    assert without_specks(alpha, 10_000, None)[0] is alpha


def test_haze_inside_is_filled_and_real_openings_stay() -> None:
    alpha = disc(90, size=300)
    hazy = alpha.copy()
    hazy[140:146, 120:126] = 0.5
    cv2.circle(hazy, (180, 150), 4, 0.0, -1)  # the eye of a needle
    for k in range(6):
        hazy[100 + 8 * k : 104 + 8 * k, 150:154] = 0.0  # lace
    result, note = without_holes(hazy, 200, None)
    assert (result[140:146, 120:126] == 1).all()
    same = np.ones(alpha.shape, bool)
    same[140:146, 120:126] = False
    assert np.array_equal(result[same], hazy[same])
    assert note == "1 hazy hole was filled, 36 pixels in all"


def test_a_hole_keeps_what_the_trimap_says_and_what_is_too_large() -> None:
    alpha = disc(90, size=300)
    alpha[140:150, 120:130] = 0.4
    trimap = np.full(alpha.shape, 128, np.uint8)
    trimap[145, 125] = 0
    assert without_holes(alpha, 200, trimap)[1] is None
    assert without_holes(alpha, 99, None)[1] is None
    assert without_holes(alpha, 100, None)[1] is not None


def test_a_gap_that_the_frame_cuts_is_not_a_hole() -> None:
    alpha = np.ones((100, 100), np.float32)
    alpha[90:, 48:52] = 0.3
    assert without_holes(alpha, 500, None)[1] is None


def test_cleaning_without_a_trimap_says_so() -> None:
    _, notes = finished_edges(disc(), Finishing(min_area=10))
    assert notes == ["cleaning had no trimap, so it took nothing for certain"]
    _, notes = finished_edges(disc(), Finishing(min_area=10), trimap=np.full((200, 200), 128, np.uint8))
    assert notes == []


def test_haze_of_three_thousandths_becomes_exactly_nothing() -> None:
    alpha = np.maximum(disc(), np.float32(0.003))
    assert np.array_equal(with_exact_background(alpha) == 0, disc() < 2 / 255)


def thin_of_the_whole_plane(alpha: Floats, radius: int, least: float, longest: float, *, alone: bool) -> Floats:
    """D of `split` by its definition, with no tiles and no boxes."""
    shape = np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius
    padded = cv2.copyMakeBorder(alpha, *[2 * radius] * 4, cv2.BORDER_REPLICATE)
    solid = cv2.morphologyEx(padded, cv2.MORPH_OPEN, shape.astype(np.uint8))
    solid = solid[2 * radius : -2 * radius, 2 * radius : -2 * radius]
    thin = np.where(solid < 1, (alpha - solid) / np.maximum(1 - solid, 1e-6), 0)
    away = cv2.distanceTransform((solid < 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    count, labels = cv2.connectedComponents(((thin > least) & (away > radius / 2)).astype(np.uint8), connectivity=8)
    kept = np.zeros(alpha.shape, np.uint8)
    for label in range(1, count):
        y, x = np.nonzero(labels == label)
        long = max(np.ptp(y), np.ptp(x)) + 1 > longest
        if long or (alone and not (away[y, x] <= radius / 2 + 2).any()):
            kept[y, x] = 1
    reach = math.ceil(radius / 2) + 3
    root = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach
    return np.asarray(thin * cv2.dilate(kept, root.astype(np.uint8)), np.float32)


def test_working_in_tiles_and_boxes_finds_the_hair_and_gaps_of_the_whole_plane() -> None:
    rng = np.random.default_rng(3)
    alpha = np.zeros((700, 1100), np.float32)
    cv2.circle(alpha, (520, 500), 260, 1.0, -1, cv2.LINE_AA)  # over several tiles, and cut by the frame
    for opacity in (*rng.uniform(0.3, 1, 30), *[0.0] * 8):
        ends = [(int(rng.integers(200, 900)), int(rng.integers(0, 700))) for _ in range(2)]
        cv2.line(alpha, *ends, float(opacity), int(rng.integers(1, 4)), cv2.LINE_AA)
    for radius in (3, 5):
        solid, gaps, hair = split(alpha, radius)
        expected = thin_of_the_whole_plane(alpha, radius, 0.1, radius, alone=False)
        assert (expected > 0).sum() > 1000
        assert np.abs(hair - expected).max() < 1e-5
        rest = np.where(hair < 1, (alpha - hair) / np.maximum(1 - hair, 1e-6), solid * (1 - gaps)).astype(np.float32)
        expected = thin_of_the_whole_plane(1 - rest, radius, 0.02, 2 * radius, alone=True)
        assert (expected > 0).sum() > 500
        assert np.abs(gaps - expected).sum() < 0.01 * expected.sum()


def test_a_frame_around_the_subject_does_not_change_it() -> None:
    alpha, _ = hairy()
    large = np.zeros((1700, 1400), np.float32)
    large[700:940, 600:840] = alpha
    for kind in ({"choke": 2.3}, {"spread": 1.5}, {"smooth": 3}, {"choke": 1, "feather": 2}, {"hair": 30}):
        alone, _ = finished_edges(np.pad(alpha, 200), Finishing(**kind))  # type: ignore[arg-type]
        framed, _ = finished_edges(large, Finishing(**kind))  # type: ignore[arg-type]
        assert np.abs(framed[500:1140, 400:1040] - alone).max() < 1 / 65535, kind
        assert not framed[:500].any()


def test_what_an_edge_grows_by_has_the_colour_of_the_solid_part_beside_it() -> None:
    alpha = disc(60, size=200)
    grown, _ = finished_edges(alpha, Finishing(spread=6))
    truth = np.zeros((200, 200, 3), np.float32)
    truth[:, :100], truth[:, 100:] = (0.7, 0.1, 0.2), (0.1, 0.2, 0.6)
    estimate = np.where((alpha > 0)[..., None], truth, np.float32(0.9))
    extended = extended_colours(estimate, alpha, grown)
    seen = grown > 0.02
    seen[:, 96:104] = False  # where both colours meet
    assert np.abs(estimate - truth)[seen].max() > 0.5
    assert np.abs(extended - truth)[seen].max() < 0.02
    assert np.array_equal(extended[alpha == 1], estimate[alpha == 1])
    assert extended_colours(estimate, alpha, grown, photo=estimate) is estimate
    assert extended_colours(estimate, alpha, alpha) is estimate
