"""The affinity predictor, with its steps for a run in tiles."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattecli.geometry import WHOLE, Edges
from mattecli.network.onednn import leaky_conv
from mattecli.ops.affinity import Affinity, Factors, KernelPredictor, products
from mattecli.ops.resample import at_edges
from mattecli.spec import BINS, LEAK

__all__ = ["Affinity", "AffinityPredictor", "Factors", "products"]


class AffinityPredictor(KernelPredictor):
    """Predict the affinity of a map of `channels`; `shared` has one u and one v for all channels, else one for each.

    Pools and norms read the whole map, so this is not a local operator. A run in tiles does it in three steps: pool all
    tiles and compute `factors`; take the moments of all tiles' `products`; compute `affinity` of each tile.
    """

    def __init__(self, channels: int, *, shared: bool, up_kernels: bool = True) -> None:
        super().__init__(channels, shared=shared, up=3 if up_kernels else 0, encode=BINS)

    def affinity(self, x: Tensor, factors: Factors, moments: Tensor, edges: Edges = WHOLE) -> Tensor:
        """s (1, 1, h, w) of a window x, given the whole map's factors and `moments`; x has a halo of 2 at inner sides.

        `moments` (4, groups): mean and variance of a_u, then of a_v, for each group of channels of the norms.
        """
        mean_u, variance_u, mean_v, variance_v = moments.repeat_interleave(x.shape[1] // moments.shape[1], dim=1)
        if x.device.type == "cpu":
            u = _convolve(x, factors.u, self.bnu[0], mean_u, variance_u, edges)  # (1, C, h, w)
            v = _convolve(x, factors.v, self.bnv[0], mean_v, variance_v, edges)  # (1, C, h, w)
        else:  # reads x once for both
            a_u, a_v = products(x, factors, edges)
            u = _normalise(a_u, self.bnu[0], mean_u, variance_u)
            v = _normalise(a_v, self.bnv[0], mean_v, variance_v)
        return self.product_sum(u.mul_(v), None)


def _convolve(x: Tensor, kernel: Tensor, norm: nn.Module, mean: Tensor, variance: Tensor, edges: Edges) -> Tensor:
    """φ of x's correlation with `kernel` (1, C or 1, 6, 6): one convolution that includes the norm's factors."""
    assert isinstance(norm, nn.GroupNorm)  # noqa: S101 - for the type checker
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    weight = (kernel[0] * scale[:, None, None])[:, None].to(x.dtype)  # (C, 1, 6, 6)
    bias = (norm.bias - mean * scale).to(x.dtype)

    def convolve(x: Tensor, padding: tuple[int, int]) -> Tensor:
        return leaky_conv(x, weight, bias, (2, 2), padding, groups=len(weight))

    # The original pads by 2 for 6 taps, so a position has two taps before its 2×2 pixels and two after them.
    return at_edges(convolve, x, weight.shape[-1] // 2 - 1, edges, stride=2)


def _normalise(a: Tensor, norm: nn.Module, mean: Tensor, variance: Tensor) -> Tensor:
    """Group norm with given statistics of each channel, as a batch norm computes it, and leaky ReLU."""
    assert isinstance(norm, nn.GroupNorm)  # noqa: S101 - for the type checker
    a = F.batch_norm(a, mean, variance, norm.weight, norm.bias, False, 0.0, norm.eps)
    return F.leaky_relu_(a, LEAK)
