"""The network's affinity predictor: that of `mattecli.ops`, and its last step for a run in tiles."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattecli.geometry import WHOLE, Edges
from mattecli.network.onednn import leaky_conv
from mattecli.ops.affinity import LEAK, Affinity, Factors, KernelPredictor, products
from mattecli.ops.resample import at_edges

__all__ = ["LEAK", "Affinity", "AffinityPredictor", "Factors", "products"]


class AffinityPredictor(KernelPredictor):
    """Predict the affinity of a map of `channels`; `shared` has one u and one v for all channels, else one for each.

    Pools and norms read the whole map, so this is no local operator. A run in tiles does it in steps: pool all tiles,
    `factors`; take the moments of all tiles' `products`; `affinity` of each tile.
    """

    BINS = 6

    def __init__(self, channels: int, *, shared: bool, up_kernels: bool = True) -> None:
        super().__init__(channels, shared=shared, up=3 if up_kernels else 0, encode=self.BINS)

    def affinity(self, x: Tensor, factors: Factors, moments: Tensor, edges: Edges = WHOLE) -> Tensor:
        """s (1, 1, h, w) of a window x, with a halo of 2 at inner sides, given the whole map's factors and `moments`.

        `moments` (4, groups): mean and variance of a_u, then of a_v, for each group of channels of the norms.
        """
        mean_u, variance_u, mean_v, variance_v = moments.repeat_interleave(x.shape[1] // moments.shape[1], dim=1)
        if x.device.type == "cpu":
            u = _convolve(x, factors.u, self.bnu[0], mean_u, variance_u, edges)
            v = _convolve(x, factors.v, self.bnv[0], mean_v, variance_v, edges)
        else:  # x is read once for both
            a_u, a_v = products(x, factors, edges)
            u = _normalise(a_u, self.bnu[0], mean_u, variance_u)
            v = _normalise(a_v, self.bnv[0], mean_v, variance_v)
        return self.product_sum(u.mul_(v), None)


def _convolve(x: Tensor, kernel: Tensor, norm: nn.Module, mean: Tensor, variance: Tensor, edges: Edges) -> Tensor:
    """φ of x's correlation with `kernel` (1, C or 1, 6, 6): one convolution, the norm's scale and shift being in it."""
    assert isinstance(norm, nn.GroupNorm)  # noqa: S101 - for the type checker
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    weight = (kernel[0] * scale[:, None, None])[:, None].to(x.dtype)  # (C, 1, 6, 6)
    bias = (norm.bias - mean * scale).to(x.dtype)

    def convolve(x: Tensor, padding: tuple[int, int]) -> Tensor:
        return leaky_conv(x, weight, bias, (2, 2), padding, groups=len(weight))

    return at_edges(convolve, x, weight.shape[-1] // 2 - 1, edges, stride=2)


def _normalise(a: Tensor, norm: nn.Module, mean: Tensor, variance: Tensor) -> Tensor:
    """Group norm and leaky ReLU by given statistics of each channel: a batch norm's arithmetic."""
    assert isinstance(norm, nn.GroupNorm)  # noqa: S101 - for the type checker
    a = F.batch_norm(a, mean, variance, norm.weight, norm.bias, False, 0.0, norm.eps)
    return F.leaky_relu_(a, LEAK)
