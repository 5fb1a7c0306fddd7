"""SAD, MSE, Grad and Conn, equal to the papers' MATLAB code.

Source: Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009 (Grad and Conn), in the
evaluation code that came with Xu et al., "Deep Image Matting", CVPR 2017.

Every function takes mattes of shape (H, W), uint8 as read from a file or floats in [0, 1], and a uint8 trimap of shape
(H, W), in which everything but 0 and 255 is unknown. The published figures are those of 8-bit files, so every matte is
first brought to 8 bits, clipped, and rounded as `write_alpha` does it: an alpha still in memory scores what its file
would. Known pixels are compared as they are given; none is set to its trimap's value here.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.trimaps.check import unknown as unknown_pixels

_SIGMA = 1.4
_HALF_SIZE = 4  # ceil(σ·√(−2·ln(√(2π)·σ·0.01))): the Gaussian is cut where it falls below 0.01
_LEVELS = 10  # Conn's thresholds are 0.1, 0.2, … 1.0

Gray = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """A matte's four errors in the units papers print; less is better.

    `sad`, `grad` and `conn` are sums in thousands, `mse` is a mean. Without an unknown pixel the sums are 0 and `mse`
    is NaN, as in MATLAB.
    """

    sad: float
    mse: float
    grad: float
    conn: float


def score(prediction: NDArray[np.generic], truth: NDArray[np.generic], trimap: NDArray[np.uint8]) -> Scores:
    """All four errors of a matte.

    Raises `InputError` where one of them is not an array, has another shape or no pixels, where a matte is not (H, W),
    where one of floats holds NaN or has another scale than 0 to 1, and where the trimap is not uint8.
    """
    p, g, unknown = _checked(prediction, truth, trimap)
    return Scores(
        sad=_sad(p, g, unknown) / 1000,
        mse=_mse(p, g, unknown),
        grad=_gradient_error(p, g, unknown) / 1000,
        conn=_connectivity_error(p, g, unknown) / 1000,
    )


def sad(prediction: NDArray[np.generic], truth: NDArray[np.generic], trimap: NDArray[np.uint8]) -> float:
    """The sum of absolute differences, Σ|p − g|, in thousands; raises as `score` does."""
    return _sad(*_checked(prediction, truth, trimap)) / 1000


def mse(prediction: NDArray[np.generic], truth: NDArray[np.generic], trimap: NDArray[np.uint8]) -> float:
    """The mean squared difference over the unknown pixels, NaN where there is none; raises as `score` does."""
    return _mse(*_checked(prediction, truth, trimap))


def gradient_error(prediction: NDArray[np.generic], truth: NDArray[np.generic], trimap: NDArray[np.uint8]) -> float:
    """The sum of squared differences of the two gradients' magnitudes, in thousands; raises as `score` does."""
    return _gradient_error(*_checked(prediction, truth, trimap)) / 1000


def connectivity_error(prediction: NDArray[np.generic], truth: NDArray[np.generic], trimap: NDArray[np.uint8]) -> float:
    """How differently the two mattes hang together with their common opaque part, in thousands; raises as `score`."""
    return _connectivity_error(*_checked(prediction, truth, trimap)) / 1000


def quantise(alpha: NDArray[np.generic]) -> Gray:
    """A matte of floats in [0, 1] as the 8-bit values that a file of it would hold; uint8 is passed on unchanged.

    A little below 0 and above 1 is clipped. Raises `InputError` for NaN, for floats of another scale, such as 0 to 255,
    and for other types than uint8 and floats.
    """
    if alpha.dtype == np.uint8:
        return alpha.astype(np.uint8, copy=False)
    if not np.issubdtype(alpha.dtype, np.floating):
        raise InputError(f"a matte of type {alpha.dtype} cannot be scored; give uint8, or floats in [0, 1]")
    if np.isnan(alpha).any():
        raise InputError("a matte with NaN in it cannot be scored; look for what made it")
    if alpha.size and not (alpha.min() >= -1 and alpha.max() <= 2):  # more than a network overshoots: another scale
        low, high = float(alpha.min()), float(alpha.max())
        raise InputError(f"a matte with values from {low:g} to {high:g} cannot be scored; give floats in [0, 1]")
    scaled = np.clip(alpha.astype(np.float32) * np.float32(255), 0, 255)
    return np.asarray(np.rint(scaled), dtype=np.uint8)


def _checked(
    prediction: NDArray[np.generic], truth: NDArray[np.generic], trimap: NDArray[np.uint8]
) -> tuple[Gray, Gray, Mask]:
    for name, given in (("prediction", prediction), ("truth", truth), ("trimap", trimap)):
        if not isinstance(given, np.ndarray):
            raise InputError(f"the {name} is a {type(given).__name__}; give a NumPy array")
    if trimap.ndim != 2 or not prediction.shape == truth.shape == trimap.shape:
        shapes = ", ".join("×".join(map(str, array.shape)) for array in (prediction, truth, trimap))
        raise InputError(f"prediction, truth and trimap have shapes {shapes}; all three must be the same (H, W)")
    if trimap.dtype != np.uint8:  # floats from 0 to 1 would leave nothing known but 0
        raise InputError(f"the trimap is of type {trimap.dtype}; give uint8 with 0, 255 and anything else for unknown")
    if trimap.size == 0:
        raise InputError("there is nothing to score in a matte without pixels; look for what made it")
    return quantise(prediction), quantise(truth), unknown_pixels(trimap)


def _sad(p: Gray, g: Gray, unknown: Mask) -> float:
    return int(cv2.absdiff(p, g)[unknown].sum(dtype=np.int64)) / 255


def _mse(p: Gray, g: Gray, unknown: Mask) -> float:
    differences = cv2.absdiff(p, g)[unknown].astype(np.int64)
    return int(np.square(differences).sum()) / 255**2 / differences.size if differences.size else float("nan")


def _gradient_error(p: Gray, g: Gray, unknown: Mask) -> float:
    difference = _gradient_magnitude(p) - _gradient_magnitude(g)
    return float(np.square(difference[unknown]).sum())


def _gradient_magnitude(matte: Gray) -> NDArray[np.float64]:
    low, high = int(matte.min()), int(matte.max())
    # MATLAB's mat2gray; a constant picture has no gradient, whatever its stretch
    stretched = (matte.astype(np.float64) - low) / max(high - low, 1)
    # The 9×9 kernel is an outer product, and so is its L2 norm a product of norms. The derivative's sign and the flip
    # between convolution and correlation are lost in the magnitude.
    u = np.arange(-_HALF_SIZE, _HALF_SIZE + 1, dtype=np.float64)
    smooth = np.exp(-np.square(u) / (2 * _SIGMA**2))
    derive = u * smooth
    smooth, derive = smooth / np.linalg.norm(smooth), derive / np.linalg.norm(derive)
    dx = cv2.sepFilter2D(stretched, cv2.CV_64F, derive, smooth, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.sepFilter2D(stretched, cv2.CV_64F, smooth, derive, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.magnitude(dx, dy), dtype=np.float64)


def _connectivity_error(p: Gray, g: Gray, unknown: Mask) -> float:
    common = np.minimum(p, g)
    level = np.full(p.shape, _LEVELS, dtype=np.uint8)  # in tenths; those that never leave keep 1
    undecided = np.ones(p.shape, dtype=np.bool_)
    for tenth in range(1, _LEVELS + 1):
        left = undecided & ~_largest_component(common >= -(-255 * tenth // 10))  # k/255 ≥ t/10, in whole numbers
        level[left] = tenth - 1
        undecided &= ~left
    degrees = _connectivity_table()
    levels = level[unknown]
    return float(np.abs(degrees[p[unknown], levels] - degrees[g[unknown], levels]).sum())


def _largest_component(mask: Mask) -> Mask:
    """The largest 4-connected component; of equal ones that which MATLAB meets first, going down the columns."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    if count == 1:  # only the background
        return np.zeros_like(mask)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    largest = np.flatnonzero(areas == areas.max()) + 1
    if largest.size == 1:
        return np.asarray(labels == largest[0])
    down_the_columns = labels.T.ravel()
    first = down_the_columns[np.argmax(np.isin(down_the_columns, largest))]
    return np.asarray(labels == first)


def _connectivity_table() -> NDArray[np.float64]:
    """φ = 1 − d·[d ≥ 0.15], d = k/255 − level/10, for each value k and level. # (256, 11)

    The bound is tested in whole numbers (× 5100); no 8-bit value falls on it.
    """
    k = np.arange(256)[:, None]
    tenth = np.arange(_LEVELS + 1)[None, :]
    counts = 20 * k - 510 * tenth >= 765
    return np.where(counts, 1 - (k / 255 - tenth / 10), 1.0)
