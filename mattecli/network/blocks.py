"""The network's building blocks, under the names their parameters bear in the authors' checkpoints."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattecli.network.kernels import LEAK, Affinity, AffinityPredictor
from mattecli.network.resample import downsample, upsample


class ABN(nn.Module):
    """Batch norm with |γ| + 1e-5 in place of γ, then leaky ReLU unless `linear` (InPlace-ABN, Rota Bulò 2018)."""

    running_mean: Tensor
    running_var: Tensor
    EPS = 1e-5

    def __init__(self, channels: int, *, linear: bool = False) -> None:
        super().__init__()
        self.linear = linear
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        gamma = self.weight.abs() + self.EPS  # InPlace-ABN keeps its scale positive to be invertible
        x = F.batch_norm(x, self.running_mean, self.running_var, gamma, self.bias, self.training, 0.1, self.EPS)
        return x if self.linear else F.leaky_relu(x, LEAK, inplace=True)


def conv(inputs: int, outputs: int, size: int, *, stride: int = 1, dilation: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the size (up to its stride)."""
    padding = dilation * (size // 2)
    return nn.Conv2d(inputs, outputs, size, stride, padding, dilation, groups, bias=False)


def conv_abn(inputs: int, outputs: int, size: int) -> nn.Sequential:
    """Convolution and ABN."""
    return nn.Sequential(conv(inputs, outputs, size), ABN(outputs))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions, the input added, leaky ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = _two_convs(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu_(self.convs(x).add_(x), LEAK)


class DownBlock(nn.Module):
    """A residual block that halves its map: the affinity of its first convolution's output does the downsampling."""

    def __init__(self, inputs: int, outputs: int, *, shared: bool) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(OrderedDict(conv1=conv(inputs, outputs, 3), bn1=ABN(outputs)))
        self.layer2 = nn.Sequential(OrderedDict(conv2=conv(outputs, outputs, 3), bn2=ABN(outputs, linear=True)))
        self.bilinear = AffinityPredictor(outputs, shared=shared)
        self.proj_conv = conv(inputs, outputs, 1, stride=2)
        self.proj_bn = ABN(outputs, linear=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Affinity]:
        """(B, C, H, W) to (B, C', H/2, W/2), and the affinity that the decoder upsamples with."""
        x0 = self.layer1(x)  # (B, C', H, W)
        affinity = self.bilinear(x0)
        out = self.layer2(downsample(x0, affinity.s, affinity.p_down))
        return F.leaky_relu_(out.add_(self.proj_bn(self.proj_conv(x))), LEAK), affinity


class DecoderBlock(nn.Module):
    """A residual block that may change the width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dep_sep_conv = _two_convs(inputs, outputs)
        self.projects = inputs != outputs
        if self.projects:
            self.proj_conv = conv(inputs, outputs, 1)
            self.proj_bn = ABN(outputs, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.proj_bn(self.proj_conv(x)) if self.projects else x
        return F.leaky_relu_(self.dep_sep_conv(x).add_(skip), LEAK)


class DecoderLayer(nn.Module):
    """Upsample by an encoder stage's affinity, add that stage's shortcut, then two residual blocks."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dconv = DecoderBlock(inputs, outputs)
        self.dconv1 = DecoderBlock(outputs, outputs)

    def forward(self, x: Tensor, affinity: Affinity, shortcut: Tensor) -> Tensor:
        """(B, C, h, w) and a shortcut (B, C, 2h, 2w) to (B, C', 2h, 2w)."""
        return self.dconv1(self.dconv(upsample(x, affinity.s, affinity.p_up).add_(shortcut)))  # type: ignore[no-any-return]


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (DeepLabv3+) with depthwise dilated convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.aspp1 = _Atrous(conv(channels, channels, 1), ABN(channels))
        self.aspp2, self.aspp3, self.aspp4 = (
            _Atrous(
                conv(channels, channels, 3, dilation=dilation, groups=channels),
                ABN(channels),
                conv(channels, channels, 1),
                ABN(channels),
            )
            for dilation in (6, 12, 18)
        )
        self.global_avg_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv(channels, channels, 1), ABN(channels))
        self.bottleneck_conv = conv_abn(5 * channels, channels, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.global_avg_pool(x).expand_as(x)
        branches = [self.aspp1(x), self.aspp2(x), self.aspp3(x), self.aspp4(x), mean]
        return self.dropout(self.bottleneck_conv(torch.cat(branches, dim=1)))  # type: ignore[no-any-return]


class _Atrous(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.atrous_conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.atrous_conv(x)  # type: ignore[no-any-return]


def _two_convs(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv1=conv(inputs, outputs, 3),
            bn1=ABN(outputs),
            conv2=conv(outputs, outputs, 3),
            bn2=ABN(outputs, linear=True),
        )
    )
