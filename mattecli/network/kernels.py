"""The network's affinity predictor: that of `mattecli.ops`, and its last step for a run in tiles."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mattecli.ops.predictor import LEAK, Affinity, Factors, KernelPredictor, products

__all__ = ["LEAK", "Affinity", "AffinityPredictor", "Factors", "products"]


class AffinityPredictor(KernelPredictor):
    """Predict the affinity of a map of `channels`; `shared` has one u and one v for all channels, else one for each.

    Pools and norms read the whole map, so this is no local operator. A run in tiles does it in steps: pool all tiles,
    `factors`; take the moments of all tiles' `products`; `affinity` of each tile.
    """

    BINS = 6

    def __init__(self, channels: int, *, shared: bool, up_kernels: bool = True) -> None:
        super().__init__(channels, shared=shared, up=3 if up_kernels else 0, encode=self.BINS)

    def affinity(self, a_u: Tensor, a_v: Tensor, moments: Tensor) -> Tensor:
        """s (1, 1, h, w) of the products of a window, given the whole map's `moments`.

        `moments` (4, groups): mean and variance of a_u, then of a_v, for each group of channels of the norms.
        """
        moments = moments.repeat_interleave(a_u.shape[1] // moments.shape[1], dim=1)  # (4, C)
        u = _normalise(a_u, self.bnu[0], moments[0], moments[1])
        v = _normalise(a_v, self.bnv[0], moments[2], moments[3])
        return self.product_sum(u, v)


def _normalise(a: Tensor, norm: nn.Module, mean: Tensor, variance: Tensor) -> Tensor:
    """Group norm and leaky ReLU by given statistics of each channel: a batch norm's arithmetic."""
    assert isinstance(norm, nn.GroupNorm)  # noqa: S101 - for the type checker
    a = F.batch_norm(a, mean, variance, norm.weight, norm.bias, False, 0.0, norm.eps)
    return F.leaky_relu_(a, LEAK)
