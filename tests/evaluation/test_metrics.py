"""The four errors against the authors' MATLAB code, and against the formulas written out pixel by pixel."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.evaluation.metrics import Scores, connectivity_error, gradient_error, mse, quantise, sad, score
from mattecli.imaging.image import to_depth
from mattecli.imaging.read import read_alpha
from mattecli.imaging.write import write_alpha
from mattecli.trimaps.pairs import read_trimap
from tests.conftest import DATA

CASES = DATA / "metric_cases"
EXPECTED = json.loads((CASES / "expected.json").read_text())

Gray = NDArray[np.uint8]


def _read(case: str, kind: str) -> Gray:
    return _read_png(CASES / f"{case}_{kind}.png")


def _read_png(path: Path) -> Gray:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    assert pixels.ndim == 2
    return pixels.astype(np.uint8, copy=False)


def _random_case(seed: int, shape: tuple[int, int] = (23, 31)) -> tuple[Gray, Gray, Gray]:
    generator = np.random.default_rng(seed)
    truth = cv2.GaussianBlur(generator.random(shape), (0, 0), 2)
    truth = np.clip((truth - truth.mean()) / truth.std() * 0.4 + 0.5, 0, 1)
    prediction = np.clip(truth + generator.normal(0, 0.15, shape), 0, 1)
    trimap = generator.choice(np.array([0, 128, 255], np.uint8), shape, p=[0.2, 0.6, 0.2])
    return quantise(prediction), quantise(truth), trimap


@pytest.mark.parametrize("case", EXPECTED)
@pytest.mark.parametrize("error", ["sad", "mse", "grad", "conn"])
def test_score_equals_matlab_to_four_digits(case: str, error: str) -> None:
    scores = score(_read(case, "pred"), _read(case, "alpha"), _read(case, "trimap"))
    unit = 1000 if error in ("grad", "conn") else 1  # MATLAB's are unscaled, ours are printed in thousands
    assert getattr(scores, error) * unit == pytest.approx(EXPECTED[case][error], rel=5e-6)  # six digits, in fact


@pytest.mark.parametrize("case", EXPECTED)
def test_each_error_alone_equals_its_part_of_the_score(case: str) -> None:
    arrays = _read(case, "pred"), _read(case, "alpha"), _read(case, "trimap")
    assert score(*arrays) == Scores(sad(*arrays), mse(*arrays), gradient_error(*arrays), connectivity_error(*arrays))


def _largest_by_columns(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest 4-connected component, found by flooding from each pixel going down the columns."""
    height, width = mask.shape
    seen = np.zeros_like(mask)
    largest: list[tuple[int, int]] = []
    for x in range(width):
        for y in range(height):
            if not mask[y, x] or seen[y, x]:
                continue
            component, front = [], [(y, x)]
            seen[y, x] = True
            while front:
                v, u = front.pop()
                component.append((v, u))
                for b, a in ((v - 1, u), (v + 1, u), (v, u - 1), (v, u + 1)):
                    if 0 <= b < height and 0 <= a < width and mask[b, a] and not seen[b, a]:
                        seen[b, a] = True
                        front.append((b, a))
            if len(component) > len(largest):  # the first of equal ones stays
                largest = component
    result = np.zeros_like(mask)
    for place in largest:
        result[place] = True
    return result


def _connectivity_by_formula(prediction: Gray, truth: Gray, trimap: Gray) -> float:
    p, g = prediction / 255, truth / 255
    level = np.full(p.shape, -1.0)
    for tenth in range(1, 11):
        inside = _largest_by_columns((p >= tenth / 10) & (g >= tenth / 10))
        level[(level == -1) & ~inside] = (tenth - 1) / 10
    level[level == -1] = 1
    phi = [1 - (value - level) * (value - level >= 0.15) for value in (p, g)]
    return float(np.abs(phi[0] - phi[1])[trimap == 128].sum()) / 1000


@pytest.mark.parametrize("seed", range(8))
def test_connectivity_equals_its_formula_by_flooding(seed: int) -> None:
    arrays = _random_case(seed)
    assert connectivity_error(*arrays) == pytest.approx(_connectivity_by_formula(*arrays), rel=1e-9)
    assert connectivity_error(*arrays) > 0


def test_of_equal_components_the_first_down_the_columns_is_the_largest() -> None:
    truth = np.array([[0, 0, 0, 200], [0, 0, 0, 200], [250, 250, 0, 0]], np.uint8)  # two of two pixels each
    prediction = np.minimum(truth, 130)
    trimap = np.full(truth.shape, 128, np.uint8)
    # The left one is first by columns: its pixels belong to it up to 0.5, the right ones leave at 0.1.
    left = 2 * (250 / 255 - 0.5)  # φ_g = 1 − (g − 0.5); φ_p = 1, since 130/255 − 0.5 < 0.15
    right = 2 * (200 - 130) / 255
    assert connectivity_error(prediction, truth, trimap) == pytest.approx((left + right) / 1000)


def test_gradient_error_equals_the_convolution_written_out() -> None:
    prediction, truth, trimap = _random_case(3)
    u = np.arange(-4, 5)
    gauss = np.exp(-(u**2) / (2 * 1.4**2)) / (1.4 * np.sqrt(2 * np.pi))
    kernel_x = np.outer(gauss, -u * gauss / 1.4**2)
    kernel_x /= np.sqrt((kernel_x**2).sum())

    def magnitude(matte: Gray) -> NDArray[np.float64]:
        low, high = float(matte.min()), float(matte.max())
        padded = np.pad((matte - low) / (high - low), 4, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (9, 9))
        dx, dy = (np.einsum("hwij,ij->hw", windows, k[::-1, ::-1]) for k in (kernel_x, kernel_x.T))
        return np.asarray(np.hypot(dx, dy))

    expected = float(((magnitude(prediction) - magnitude(truth))[trimap == 128] ** 2).sum()) / 1000
    assert gradient_error(prediction, truth, trimap) == pytest.approx(expected, rel=1e-9)


def test_a_perfect_matte_has_no_error() -> None:
    _, truth, trimap = _random_case(1)
    assert score(truth, truth, trimap) == Scores(0, 0, 0, 0)


def test_known_pixels_count_in_neither_sad_nor_mse() -> None:
    truth = np.zeros((4, 5), np.uint8)
    prediction = np.full((4, 5), 255, np.uint8)
    trimap = np.array([[128] + [0] * 4] * 2 + [[255] * 5] * 2, np.uint8)
    assert sad(prediction, truth, trimap) == pytest.approx(0.002)
    assert mse(prediction, truth, trimap) == 1


def test_everything_but_black_and_white_is_unknown() -> None:
    prediction, truth, trimap = _random_case(2)
    other = np.where(trimap == 128, np.uint8(77), trimap)
    assert score(prediction, truth, other) == score(prediction, truth, trimap)


def test_without_unknown_pixels_the_sums_are_zero_and_the_mean_is_nan() -> None:
    prediction, truth, trimap = _random_case(0)
    scores = score(prediction, truth, np.where(trimap == 128, np.uint8(0), trimap))
    assert (scores.sad, scores.grad, scores.conn) == (0, 0, 0)
    assert math.isnan(scores.mse)


def test_constant_and_tiny_mattes_have_finite_scores() -> None:
    for height, width in ((1, 1), (1, 7), (5, 1), (6, 6)):
        trimap = np.full((height, width), 128, np.uint8)
        for value in (0, 100, 255):
            flat = np.full((height, width), value, np.uint8)
            scores = score(flat, np.full_like(flat, 50), trimap)
            assert scores.sad == pytest.approx(abs(value - 50) / 255 * flat.size / 1000)
            assert scores.grad == 0
            assert math.isfinite(scores.conn)


def test_a_float_alpha_scores_as_the_8_bit_file_written_from_it(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    alpha = generator.random((40, 50)).astype(np.float32)
    alpha[0] = (np.arange(50) + 0.5) / 255  # between two values: both must round alike
    _, truth, trimap = _random_case(5, (40, 50))
    write_alpha(tmp_path / "alpha.png", alpha)
    from_file = _read_png(tmp_path / "alpha.png")
    np.testing.assert_array_equal(quantise(alpha), from_file)
    assert score(alpha, truth, trimap) == score(from_file, truth, trimap)


def test_all_8_bit_values_survive_reading_as_floats() -> None:
    values = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(quantise(to_depth(values, 32)), values)
    for case in EXPECTED:
        np.testing.assert_array_equal(quantise(read_alpha(CASES / f"{case}_pred.png")), _read(case, "pred"))
        np.testing.assert_array_equal(read_trimap(CASES / f"{case}_trimap.png"), _read(case, "trimap"))


def test_floats_beyond_the_range_are_clipped() -> None:
    np.testing.assert_array_equal(quantise(np.array([[-0.2, 0.0, 1.0, 1.4]])), [[0, 0, 255, 255]])


def test_unfit_arrays_are_refused_with_a_sentence() -> None:
    prediction, truth, trimap = _random_case(0)
    with pytest.raises(InputError, match="23×31, 22×31, 23×31"):
        score(prediction, truth[1:], trimap)
    with pytest.raises(InputError, match="23×31×1"):
        score(prediction[..., None], truth[..., None], trimap[..., None])
    with pytest.raises(InputError, match="NaN"):
        score(np.full(truth.shape, np.nan, np.float32), truth, trimap)
    with pytest.raises(InputError, match="int64"):
        score(prediction.astype(np.int64), truth, trimap)
    with pytest.raises(InputError, match="the trimap is of type float32; give uint8"):
        score(prediction, truth, (trimap / 255).astype(np.float32))
    with pytest.raises(InputError, match="a matte with values from 0 to 255 cannot be scored"):
        score(prediction, np.array([0, 255] * truth.size, np.float32)[: truth.size].reshape(truth.shape), trimap)
    with pytest.raises(InputError, match="without pixels"):
        score(prediction[:0], truth[:0], trimap[:0])
