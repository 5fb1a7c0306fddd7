"""The kernel predictor and the modules that resample by its affinity.

From a feature map the predictor makes an affinity, which determines all up and down kernels of the map.

A kernel is a low-rank bilinear form of its neighbourhood (Dai, Lu and Shen, CVPR 2021, section 3)

    K(p) = norm(P · Σ_c φ(Uᵀx)_c · φ(Vᵀx)_c / √C)

U and V look at k×k pixels of each channel; φ is a group norm and a leaky ReLU; P turns the sum into a score for each
tap. The released models have rank 1 and one group. Then the sum is one number for each position, and a map s with two
vectors of 36 numbers determines all kernels.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattecli.geometry import WHOLE, Edges
from mattecli.ops.kernels import DOWN_NORM, UP_NORM, Norm, down_kernel, up_kernel
from mattecli.ops.resample import correlate, correlate_pair, downsample, reassemble_down, reassemble_up, upsample
from mattecli.spec import EPS, GROUPS, LEAK

FactorKind = Literal["dynamic", "static"]  # made from the map itself, or an ordinary weight


class Affinity(NamedTuple):
    """All kernels of one map: K = norm(p · s)."""

    s: Tensor  # (B, groups · rank, H/2, W/2)
    p_down: Tensor  # (B, groups · k² · rank), with axes in this order
    p_up: Tensor  # (B, groups · 4k² · rank); (B, 0) of a predictor without up kernels
    groups: int | None = None  # of the predictor, which the shapes do not show; None is not checked


class Factors(NamedTuple):
    """The factors u and v of a map's kernels, and the vectors that turn its affinity into scores."""

    u: Tensor  # (B, rank · C or rank, k, k)
    v: Tensor  # like u; (B, 0) of a first-order predictor
    p_down: Tensor  # as in `Affinity`
    p_up: Tensor


class KernelPredictor(nn.Module):
    """Predict the affinity of maps of `channels` channels. The defaults give the predictor of the released models.

    - `shared`: one U and one V for all channels, or one for each (the paper's channel-wise variant);
    - `u`, `v`, `p`: each factor is "dynamic", made from the map's own pools, or "static", an ordinary weight; all
      static is the paper's static variant, all dynamic its dynamic one, a mixture a hybrid;
    - `order`: 2 multiplies φ(Uᵀx) by φ(Vᵀx); 1 has no V, so that scores are linear in φ(Uᵀx);
    - `rank`: the number of pairs of U and V, whose affinities P mixes;
    - `groups`: the number of groups of channels, each with its own kernels;
    - `down`, `up`, `encode`: sizes of the down kernels, of the up kernels (odd; 0 for none), and of U and V.

    Pools and norms read the whole map, so a dynamic predictor is not a local operator. Raises ValueError for arguments
    that do not fit together.
    """

    def __init__(
        self,
        channels: int,
        *,
        shared: bool = True,
        u: FactorKind = "dynamic",
        v: FactorKind = "dynamic",
        p: FactorKind = "dynamic",
        order: Literal[1, 2] = 2,
        rank: int = 1,
        groups: int = 1,
        down: int = 6,
        up: int = 3,
        encode: int = 6,
    ) -> None:
        super().__init__()
        if channels % groups or rank < 1 or order not in (1, 2) or (up and up % 2 == 0):
            raise ValueError(
                f"a predictor cannot have {channels} channels in {groups} groups, rank {rank}, order {order} and up "
                f"kernels of {up}×{up}: groups must divide the channels, rank be at least 1, order 1 or 2, up odd or 0"
            )
        self.groups, self.rank, self.order, self.encode, self.up = groups, rank, order, encode, up
        factors = rank * (1 if shared else channels)
        norm_groups = rank * math.gcd(GROUPS, channels)  # GROUPS in the released models
        self.bnu = _norm(norm_groups, rank * channels)
        if order == 2:
            self.bnv = _norm(norm_groups, rank * channels)
        if up:
            self.bconv_UP = _factor(p, channels, groups * rank * 4 * up**2, size=1)
        self.bconv_DP = _factor(p, channels, groups * rank * down**2, size=1)
        self.bconv_U = _factor(u, channels, factors, size=encode)
        if order == 2:
            self.bconv_V = _factor(v, channels, factors, size=encode)

    def forward(self, x: Tensor) -> Affinity:
        """The affinity of the whole map x (B, C, H, W), H and W even."""
        factors = self.factors(_pool(x, self.encode), F.adaptive_avg_pool2d(x, 1))
        a_u, a_v = self._products(x, factors)  # (B, rank · C, H/2, W/2)
        s = self.product_sum(self.bnu(a_u), None if a_v is None else self.bnv(a_v))  # (B, groups · rank, H/2, W/2)
        return Affinity(s, factors.p_down, factors.p_up, self.groups)

    def factors(self, pooled: Tensor, mean: Tensor) -> Factors:
        """The factors of a map, from its pool (B, C, k, k) at the size of U and V and its mean (B, C, 1, 1)."""
        none = mean.new_empty(len(mean), 0)
        return Factors(
            self.bconv_U[1](pooled),
            self.bconv_V[1](pooled) if self.order == 2 else none,
            self.bconv_DP[1](mean).flatten(1),
            self.bconv_UP[1](mean).flatten(1) if self.up else none,
        )

    def product_sum(self, u: Tensor, v: Tensor | None) -> Tensor:
        """s (B, groups · rank, h, w) from φ(Uᵀx) and φ(Vᵀx), each (B, rank · C, h, w), or from the first alone."""
        product = u if v is None else u * v  # (B, rank · C, h, w)
        wide = torch.promote_types(u.dtype, torch.float32)
        channels = u.shape[1] // (self.rank * self.groups)
        if self.rank == self.groups == 1:
            total = product.sum(1, keepdim=True, dtype=wide)
        else:
            grouped = product.view(len(u), self.rank, self.groups, channels, *u.shape[2:])
            total = grouped.sum(3, dtype=wide).transpose(1, 2).flatten(1, 2)
        return total / math.sqrt(channels)

    def _products(self, x: Tensor, factors: Factors) -> tuple[Tensor, Tensor | None]:
        """Uᵀx and Vᵀx of each rank, both (B, rank · C, H/2, W/2)."""
        if self.rank == 1 and self.order == 2:
            return products(x, factors)
        u, v = (
            [correlate(x, kernel) for kernel in kernels.chunk(self.rank, 1)] if kernels.ndim == 4 else []
            for kernels in (factors.u, factors.v)
        )
        return torch.cat(u, 1), torch.cat(v, 1) if v else None


def _pool(x: Tensor, bins: int) -> Tensor:
    """x (B, C, H, W) averaged to (B, C, bins, bins)."""
    if x.is_cuda and torch.is_grad_enabled() and x.shape[2] % bins == x.shape[3] % bins == 0:
        return windows_mean(x, bins)
    return F.adaptive_avg_pool2d(x, bins)


def windows_mean(x: Tensor, bins: int) -> Tensor:
    """`_pool` where `bins` divides H and W; with its gradient three times as fast as PyTorch's pool on an H200."""
    batch, channels, height, width = x.shape
    return x.view(batch, channels, bins, height // bins, bins, width // bins).mean((3, 5))


def products(x: Tensor, factors: Factors, edges: Edges = WHOLE) -> tuple[Tensor, Tensor]:
    """a_u and a_v (B, C, H/2, W/2): x (B, C, H, W), with a halo of 2 at inner sides, correlated with u and with v."""
    return correlate_pair(x, factors.u, factors.v, edges)


class A2UDownsample(nn.Module):
    """Halve a map with the down kernels of an affinity. It has no parameters.

    `groups` must be that of the predictor, else it raises ValueError. With the default sizes, rank and norm it takes
    the fast form, which never stores a kernel.
    """

    def __init__(self, *, groups: int = 1, norm: Norm = DOWN_NORM) -> None:
        super().__init__()
        self.groups, self.norm = groups, norm

    def forward(self, x: Tensor, affinity: Affinity) -> Tensor:
        """(B, C, H, W) to (B, C, H/2, W/2); H and W even."""
        _check_groups(affinity, self.groups)
        s, p = affinity.s, affinity.p_down
        if s.shape[1] == 1 and p.shape[1] == 36 and self.norm == DOWN_NORM:
            return downsample(x, s, p)
        return reassemble_down(x, down_kernel(s, p, groups=self.groups, norm=self.norm))


class A2UUpsample(nn.Module):
    """Double a map with the up kernels of an affinity; see `A2UDownsample`."""

    def __init__(self, *, groups: int = 1, norm: Norm = UP_NORM) -> None:
        super().__init__()
        self.groups, self.norm = groups, norm

    def forward(self, f: Tensor, affinity: Affinity) -> Tensor:
        """(B, C, h, w) to (B, C, 2h, 2w), by the affinity of a map of 2h × 2w."""
        _check_groups(affinity, self.groups)
        s, p = affinity.s, affinity.p_up
        if s.shape[1] == 1 and p.shape[1] == 36 and self.norm == UP_NORM:
            return upsample(f, s, p)
        return reassemble_up(f, up_kernel(s, p, groups=self.groups, norm=self.norm))


def _check_groups(affinity: Affinity, groups: int) -> None:
    """Raise ValueError where the predictor has other groups: two groups look like one of rank 2."""
    if affinity.groups not in (None, groups):
        raise ValueError(
            f"the affinity has the kernels of a predictor with groups={affinity.groups}, and this module has "
            f"groups={groups}; give both the same"
        )


class _Static(nn.Module):
    """A factor that is an ordinary weight, the same for every map."""

    def __init__(self, outputs: int, size: int, deviation: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(deviation * torch.randn(outputs, size, size))

    def forward(self, pooled: Tensor) -> Tensor:
        """The weight (B, outputs, size, size) for a batch of B maps."""
        return self.weight.expand(len(pooled), *self.weight.shape)


def _factor(kind: FactorKind, channels: int, outputs: int, *, size: int) -> nn.Sequential:
    """The layers that make a factor: a pool, then a 1×1 convolution or a weight. A run in tiles pools by itself."""
    pool = nn.AdaptiveAvgPool2d(size)
    if kind == "dynamic":
        return nn.Sequential(pool, nn.Conv2d(channels, outputs, 1))
    if kind == "static":
        return nn.Sequential(pool, _Static(outputs, size, 1.0 / size))
    raise ValueError(f"a factor is dynamic or static, not {kind!r}")


def _norm(groups: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.GroupNorm(groups, channels, eps=EPS), nn.LeakyReLU(LEAK))
