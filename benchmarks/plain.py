"""The network written the obvious way: what a straight translation of the paper's formulas costs.

Contiguous maps, norms apart from convolutions, the whole image at once, and neighbourhoods unfolded into memory. It is
the yardstick of `tiles.py` and computes the same alpha.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from mattecli.network.a2u import A2UNet
from mattecli.ops import down_kernel, up_kernel


def downsample(x: Tensor, s: Tensor, p: Tensor, *_: object) -> Tensor:
    """Halve x (B, C, H, W): its 6×6 neighbourhoods unfolded, (B, C, 36, h, w), times the kernels."""
    batch, channels, height, width = x.shape
    taps = F.unfold(x, 6, padding=2, stride=2).view(batch, channels, 36, height // 2, width // 2)
    return (taps * down_kernel(s, p)).sum(2)


def upsample(f: Tensor, s: Tensor, p: Tensor, *_: object) -> Tensor:
    """Double f (B, C, h, w): its 3×3 neighbourhoods unfolded, repeated for 2×2 pixels each, times the kernels."""
    batch, channels, height, width = f.shape
    taps = F.interpolate(F.unfold(f, 3, padding=1).view(batch, channels * 9, height, width), scale_factor=2)
    return (taps.view(batch, channels, 9, 2 * height, 2 * width) * up_kernel(s, p)).sum(2)


@contextmanager
def unfolded() -> Iterator[None]:
    """Inside, the network resamples by unfolding."""
    with (
        mock.patch("mattecli.network.a2u.downsample", downsample),
        mock.patch("mattecli.network.blocks.downsample", downsample),
        mock.patch("mattecli.network.blocks.upsample", upsample),
    ):
        yield


def alpha(net: A2UNet, x: Tensor) -> Tensor:
    """Alpha (B, 1, H, W) of the normalised input x (B, 4, H, W), the plain way."""
    with torch.inference_mode(), unfolded():
        return net(x)  # type: ignore[no-any-return]
