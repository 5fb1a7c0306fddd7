"""The affinity predictor: from a feature map, the state from which all its up and down kernels follow.

A kernel is a low-rank bilinear form of its neighbourhood (paper, section 4)

    K(p) = norm(P · Σ_c φ(Uᵀx)_c · φ(Vᵀx)_c / √C)

with U, V and P generated from the map itself. At rank 1 and one group, as in the released models, the sum is one number
for each position, so that a map s and two vectors of 36 numbers hold all kernels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattecli.boxes import WHOLE, Edges
from mattecli.network import fused
from mattecli.network.resample import correlate

LEAK = 0.01


class Affinity(NamedTuple):
    """All kernels of one map: K = norm(p · s)."""

    s: Tensor  # (B, 1, H/2, W/2)
    p_down: Tensor  # (B, 36)
    p_up: Tensor  # (B, 36); (B, 0) of a predictor without up kernels


class Factors(NamedTuple):
    """What a map's pools generate: the factors u and v of its kernels, and the vectors that turn affinity to scores."""

    u: Tensor  # (B, C or 1, 6, 6)
    v: Tensor
    p_down: Tensor  # (B, 36)
    p_up: Tensor


class AffinityPredictor(nn.Module):
    """Predict the affinity of a map of `channels`; `shared` has one u and one v for all channels, else one for each.

    Pools and norms read the whole map, so this is no local operator. A run in tiles does it in steps: pool all tiles,
    `factors`; take the moments of all tiles' `products`; `affinity` of each tile.
    """

    BINS = 6

    def __init__(self, channels: int, *, shared: bool, up_kernels: bool = True) -> None:
        super().__init__()
        factors = 1 if shared else channels
        self.up_kernels = up_kernels
        self.bnu = nn.Sequential(nn.GroupNorm(32, channels), nn.LeakyReLU(LEAK))
        self.bnv = nn.Sequential(nn.GroupNorm(32, channels), nn.LeakyReLU(LEAK))
        if up_kernels:
            self.bconv_UP = _pooled_conv(channels, 36, bins=1)
        self.bconv_DP = _pooled_conv(channels, 36, bins=1)
        self.bconv_U = _pooled_conv(channels, factors, bins=self.BINS)
        self.bconv_V = _pooled_conv(channels, factors, bins=self.BINS)

    def forward(self, x: Tensor) -> Affinity:
        """The affinity of the whole map x (B, C, H, W), H and W even."""
        factors = self.factors(F.adaptive_avg_pool2d(x, self.BINS), F.adaptive_avg_pool2d(x, 1))
        a_u, a_v = products(x, factors)
        return Affinity(_product_sum(self.bnu(a_u), self.bnv(a_v)), factors.p_down, factors.p_up)

    def factors(self, pooled: Tensor, mean: Tensor) -> Factors:
        """From a map's 6×6 pool (B, C, 6, 6) and its mean (B, C, 1, 1)."""
        return Factors(
            self.bconv_U[1](pooled),
            self.bconv_V[1](pooled),
            self.bconv_DP[1](mean).flatten(1),
            self.bconv_UP[1](mean).flatten(1) if self.up_kernels else mean.new_empty(len(mean), 0),
        )

    def affinity(self, a_u: Tensor, a_v: Tensor, moments: Tensor) -> Tensor:
        """s (1, 1, h, w) of the products of a window, given the whole map's `moments`.

        `moments` (4, groups): mean and variance of a_u, then of a_v, for each group of channels of the norms.
        """
        moments = moments.repeat_interleave(a_u.shape[1] // moments.shape[1], dim=1)  # (4, C)
        u = _normalise(a_u, self.bnu[0], moments[0], moments[1])
        v = _normalise(a_v, self.bnv[0], moments[2], moments[3])
        return _product_sum(u, v)


def products(x: Tensor, factors: Factors, edges: Edges = WHOLE) -> tuple[Tensor, Tensor]:
    """a_u and a_v (B, C, H/2, W/2): x (B, C, H, W) correlated with u and with v; x has a halo of 2 at inner sides."""
    if fused.usable(x):
        return fused.correlate(x, factors.u, factors.v, edges)
    return correlate(x, factors.u.to(x.dtype), edges), correlate(x, factors.v.to(x.dtype), edges)


def _normalise(a: Tensor, norm: nn.Module, mean: Tensor, variance: Tensor) -> Tensor:
    """Group norm and leaky ReLU by given statistics of each channel: a batch norm's arithmetic."""
    assert isinstance(norm, nn.GroupNorm)  # noqa: S101 - for the type checker
    a = F.batch_norm(a, mean, variance, norm.weight, norm.bias, False, 0.0, norm.eps)
    return F.leaky_relu_(a, LEAK)


def _product_sum(u: Tensor, v: Tensor) -> Tensor:
    total = (u * v).sum(1, keepdim=True, dtype=torch.promote_types(u.dtype, torch.float32))
    return total / math.sqrt(u.shape[1])


def _pooled_conv(channels: int, out: int, *, bins: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(bins), nn.Conv2d(channels, out, 1))
