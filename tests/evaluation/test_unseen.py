"""What of an alpha the photo's colours do not explain."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.evaluation.unseen import unexplained, unseen_share

HEIGHT, WIDTH = 40, 60


def noise(seed: int, *channels: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 1, (HEIGHT, WIDTH, *channels)).astype(np.float32)


def test_an_alpha_that_is_linear_in_the_colours_is_explained() -> None:
    photo = noise(0, 3)
    alpha = (photo @ np.array([0.5, 0.1, 0.3], np.float32) + np.float32(0.05)).astype(np.float32)
    left, variance = unexplained(photo, alpha)
    assert variance.mean() == pytest.approx(alpha.var(), rel=0.1)
    assert left.mean() < 0.01 * variance.mean()


def test_a_composite_of_two_uniform_colours_is_explained_and_a_gray_photo_explains_nothing() -> None:
    alpha = noise(1)
    front, back = np.float32([0.8, 0.3, 0.2]), np.float32([0.1, 0.4, 0.6])
    left, variance = unexplained(alpha[..., None] * front + (1 - alpha[..., None]) * back, alpha)
    assert left.mean() < 0.01 * variance.mean()
    left, variance = unexplained(np.full((HEIGHT, WIDTH, 3), 0.5, np.float32), alpha)
    np.testing.assert_allclose(left, variance, atol=1e-6)


def test_the_share_is_large_only_where_the_alpha_has_an_edge_of_its_own() -> None:
    photo = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    photo[:, 15:] = 0.8
    alpha = photo[..., 0] / np.float32(0.8)
    alpha[:, 45:] = 0  # the photo has no edge there
    shares = unseen_share(*unexplained(photo, alpha), 1.5)
    assert shares.shape == (HEIGHT, WIDTH)
    assert shares[:, 43:47].min() > 0.9
    assert shares[:, 13:17].max() < 0.05
    assert shares.max() <= 1
