"""Kernels from an affinity: a score and weight for each tap.

An affinity s has `rank` numbers for each group of channels at each position of the half-size grid. A vector p has
`rank` numbers for each tap of each group, in the order (group, tap, rank). The score of a tap is their product summed
over the rank. A norm over the taps turns scores into weights (Dai, Lu and Shen, CVPR 2021, section 3).
"""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor

Norm = Literal["softmax", "sigmoid", "sigmoid-softmax"]  # over a kernel's taps; sigmoid alone leaves their sum free

# The norms of the released models.
DOWN_NORM: Final = "softmax"
UP_NORM: Final = "sigmoid-softmax"  # the original takes a sigmoid of the scores before the softmax


def down_kernel(s: Tensor, p: Tensor, *, groups: int = 1, norm: Norm = DOWN_NORM) -> Tensor:
    """Down kernels (B, groups, k², h, w) of s (B, groups · rank, h, w) and p (B, groups · k² · rank)."""
    return normalise(_scores(s, p, groups), norm, dim=2)


def up_kernel(s: Tensor, p: Tensor, *, groups: int = 1, norm: Norm = UP_NORM) -> Tensor:
    """Up kernels (B, groups, k², 2h, 2w) of s (B, groups · rank, h, w) and p (B, groups · 4k² · rank).

    Number 4·m + 2·dy + dx of p is tap m at the sub-position (dy, dx) of each position's 2×2 pixels.
    """
    scores = _scores(s, p, groups).flatten(0, 1)  # (B · groups, 4k², h, w)
    scores = torch.pixel_shuffle(scores, 2)
    return normalise(scores.view(len(s), groups, *scores.shape[1:]), norm, dim=2)


def normalise(scores: Tensor, norm: Norm, *, dim: int) -> Tensor:
    """Weights from scores, over the taps in dimension `dim`."""
    if norm == "softmax":
        return torch.softmax(scores, dim)
    if norm == "sigmoid":
        return torch.sigmoid(scores)
    if norm == "sigmoid-softmax":
        # PyTorch's softmax is slow over a few taps. Scores from 0 to 1 cannot overflow, so no maximum is subtracted.
        wide = torch.promote_types(scores.dtype, torch.float32)
        powers = torch.sigmoid(scores).to(wide).exp()
        return (powers / powers.sum(dim, keepdim=True)).to(scores.dtype)
    raise ValueError(f"the norm {norm!r} is unknown; choose softmax, sigmoid or sigmoid-softmax")


def score_gradient(grad: Tensor, scores: Tensor, weights: Tensor, norm: Norm, *, dim: int) -> Tensor:
    """The gradient of the scores, given that of the weights that `normalise` makes of them."""
    if norm != "sigmoid":
        grad = _through_softmax(grad, weights, dim)
    if norm == "softmax":
        return grad
    squashed = torch.sigmoid(scores)
    if not hasattr(torch.ops.aten, "sigmoid_backward"):  # PyTorch does not document it; it takes one pass over the map
        return grad * (1 - squashed) * squashed
    return torch.ops.aten.sigmoid_backward(grad, squashed)  # type: ignore[no-any-return]


def _through_softmax(grad: Tensor, weights: Tensor, dim: int) -> Tensor:
    weighted = grad.to(weights.dtype) * weights
    return weighted - weights * weighted.sum(dim, keepdim=True)


def _scores(s: Tensor, p: Tensor, groups: int) -> Tensor:
    """Scores (B, groups, taps, h, w) as sums of products: autocast would round a matrix product to 16 bits."""
    s = s.view(len(s), groups, -1, *s.shape[2:])  # (B, groups, rank, h, w)
    p = p.view(len(p), groups, -1, s.shape[2])[..., None, None]  # (B, groups, taps, rank, 1, 1)
    scores = p[:, :, :, 0] * s[:, :, None, 0]
    for r in range(1, s.shape[2]):
        scores = scores + p[:, :, :, r] * s[:, :, None, r]
    return scores
