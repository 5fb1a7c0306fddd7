"""The affinity predictor: from a feature map, the state from which all its up and down kernels follow.

A kernel is a low-rank bilinear form of its neighbourhood (paper, section 4)

    K(p) = norm(P · Σ_c φ(Uᵀx)_c · φ(Vᵀx)_c / √C)

with U, V and P generated from the map itself. At rank 1 and one group, as in the released models, the sum is one number
for each position, so that a map s and two vectors of 36 numbers hold all kernels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor, nn

from mattecli.network.resample import correlate

LEAK = 0.01


class Affinity(NamedTuple):
    """All kernels of one map: K = norm(p · s)."""

    s: Tensor  # (B, 1, H/2, W/2)
    p_down: Tensor  # (B, 36)
    p_up: Tensor  # (B, 36)


class AffinityPredictor(nn.Module):
    """Predict the affinity of a map of `channels`; `shared` has one u and one v for all channels, else one for each."""

    def __init__(self, channels: int, *, shared: bool) -> None:
        super().__init__()
        factors = 1 if shared else channels
        self.bnu = nn.Sequential(nn.GroupNorm(32, channels), nn.LeakyReLU(LEAK))
        self.bnv = nn.Sequential(nn.GroupNorm(32, channels), nn.LeakyReLU(LEAK))
        self.bconv_UP = _pooled_conv(channels, 36, bins=1)
        self.bconv_DP = _pooled_conv(channels, 36, bins=1)
        self.bconv_U = _pooled_conv(channels, factors, bins=6)
        self.bconv_V = _pooled_conv(channels, factors, bins=6)

    def forward(self, x: Tensor) -> Affinity:
        """The affinity of x (B, C, H, W), H and W even. Pools and norms read the whole map: it is no local operator."""
        a_u = self.bnu(correlate(x, self.bconv_U(x).to(x.dtype)))  # (B, C, H/2, W/2)
        a_v = self.bnv(correlate(x, self.bconv_V(x).to(x.dtype)))
        s = (a_u * a_v).sum(1, keepdim=True) / math.sqrt(x.shape[1])
        return Affinity(s, self.bconv_DP(x).flatten(1), self.bconv_UP(x).flatten(1))


def _pooled_conv(channels: int, out: int, *, bins: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(bins), nn.Conv2d(channels, out, 1))
