"""The network's building blocks.

Their parameters have the names of the authors' checkpoints. A block runs on a whole map or on a window of it; `edges`
says which sides of the input are sides of the map. There the convolutions pad with zeros as usual. At the other sides
they do not pad: the output is smaller by their reach, and each of its values equals that of the whole map.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattecli.geometry import WHOLE, Edges
from mattecli.network.affinity import Affinity, AffinityPredictor
from mattecli.ops.resample import at_edges, downsample, upsample
from mattecli.spec import DILATIONS, EPS, LEAK

Upsampling = Literal["affinity", "nearest", "bilinear"]  # how the decoder doubles a map


class ABN(nn.Module):
    """Batch norm with |γ| + 1e-5 in place of γ, then leaky ReLU unless `linear` (InPlace-ABN, Rota Bulò 2018)."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, linear: bool = False) -> None:
        super().__init__()
        self.linear = linear
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        gamma = self.weight.abs() + EPS  # the original (InPlace-ABN) scales by |γ| + ε, which it can invert
        x = F.batch_norm(x, self.running_mean, self.running_var, gamma, self.bias, self.training, 0.1, EPS)
        return x if self.linear else F.leaky_relu(x, LEAK, inplace=True)


class Conv(nn.Conv2d):
    """A convolution without bias that keeps the map's size, up to its stride."""

    adds = False  # whether `forward` can add a map to the result

    def __init__(
        self, inputs: int, outputs: int, size: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> None:
        padding = dilation * (size // 2)
        super().__init__(inputs, outputs, size, stride, padding, dilation, groups, bias=False)
        self.reach = padding

    def forward(self, x: Tensor, edges: Edges = WHOLE) -> Tensor:
        """(B, C, H, W) to (B, C', H', W'), less the reach at each side that is not an edge."""
        if self.dilation != (1, 1):  # oneDNN is fast with these only if it need not pad
            top, bottom, left, right = (self.reach * edge for edge in edges)
            return self.convolve(F.pad(x, (left, right, top, bottom)), (0, 0))
        return at_edges(self.convolve, x, self.reach, edges, stride=self.stride[0])

    def convolve(self, x: Tensor, padding: tuple[int, int]) -> Tensor:
        """The convolution with `padding` rows and columns of zeros around x."""
        if self.groups > 1 and x.device.type == "cpu" and torch.is_grad_enabled():
            # oneDNN's bfloat16 gradient of depthwise kernels is wrong from 30 rows up (PyTorch 2.13).
            with torch.autocast("cpu", enabled=False):
                wide = x.to(torch.promote_types(x.dtype, torch.float32))
                out = F.conv2d(
                    wide, self.weight.to(wide.dtype), self.bias, self.stride, padding, self.dilation, self.groups
                )
                return out.to(x.dtype)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Chain(nn.Sequential):
    """Layers one after the other; convolutions among them get the edges."""

    def forward(self, x: Tensor, edges: Edges = WHOLE, plus: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to (B, C', H', W'), less each convolution's reach at sides that are not edges, plus `plus`."""
        for layer in self:
            if plus is not None and isinstance(layer, Conv) and layer.adds:
                x, plus = layer(x, edges, plus), None
            else:
                x = layer(x, edges) if isinstance(layer, (Conv, Chain)) else layer(x)
        return x if plus is None else x.add_(plus)


def inner(x: Tensor, margin: int, edges: Edges) -> Tensor:
    """x without the margin that convolutions have used up at the sides that are not edges."""
    height, width = x.shape[2:]
    top, left = margin * (not edges.top), margin * (not edges.left)
    bottom, right = height - margin * (not edges.bottom), width - margin * (not edges.right)
    return x[:, :, top:bottom, left:right]


def conv_abn(inputs: int, outputs: int, size: int) -> Chain:
    """Convolution and ABN."""
    return Chain(Conv(inputs, outputs, size), ABN(outputs))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions; their sum with the input goes through a leaky ReLU."""

    REACH = 2

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = _two_convs(channels, channels)

    def forward(self, x: Tensor, edges: Edges = WHOLE) -> Tensor:
        """(B, C, H, W), less REACH at each side that is not an edge."""
        return F.leaky_relu_(self.convs(x, edges, inner(x, self.REACH, edges)), LEAK)


class ResidualBlocks(nn.Sequential):
    """Three residual blocks."""

    REACH = 3 * ResidualBlock.REACH

    def __init__(self, channels: int) -> None:
        super().__init__(OrderedDict((f"block{n}", ResidualBlock(channels)) for n in (1, 2, 3)))

    def forward(self, x: Tensor, edges: Edges = WHOLE) -> Tensor:
        """(B, C, H, W), less REACH at each side that is not an edge."""
        for block in self:
            x = block(x, edges)
        return x


class DownBlock(nn.Module):
    """A residual block that halves its map by the affinity of its first convolution's output."""

    def __init__(self, inputs: int, outputs: int, *, shared: bool, up_kernels: bool = True) -> None:
        super().__init__()
        self.layer1 = Chain(OrderedDict(conv1=Conv(inputs, outputs, 3), bn1=ABN(outputs)))
        self.layer2 = Chain(OrderedDict(conv2=Conv(outputs, outputs, 3), bn2=ABN(outputs, linear=True)))
        self.bilinear = AffinityPredictor(outputs, shared=shared, up_kernels=up_kernels)
        self.proj_conv = Conv(inputs, outputs, 1, stride=2)
        self.proj_bn = ABN(outputs, linear=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Affinity]:
        """(B, C, H, W) to (B, C', H/2, W/2), and the affinity by which the decoder upsamples."""
        x0 = self.layer1(x)  # (B, C', H, W)
        affinity = self.bilinear(x0)
        return self.tail(downsample(x0, affinity.s, affinity.p_down), x), affinity

    def tail(self, halved: Tensor, x: Tensor, edges: Edges = WHOLE) -> Tensor:
        """The rest of the block after downsampling to `halved` (B, C', h, w), which has a halo of 1 at inner sides."""
        return F.leaky_relu_(self.layer2(halved, edges, self.proj_bn(self.proj_conv(x))), LEAK)


class DecoderBlock(nn.Module):
    """A residual block that may change the number of channels."""

    REACH = 2

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dep_sep_conv = _two_convs(inputs, outputs)
        self.projects = inputs != outputs
        if self.projects:
            self.proj_conv = Conv(inputs, outputs, 1)
            self.proj_bn = ABN(outputs, linear=True)

    def forward(self, x: Tensor, edges: Edges = WHOLE) -> Tensor:
        """(B, C, H, W) to (B, C', H, W), less REACH at each side that is not an edge."""
        skip = inner(x, self.REACH, edges)
        if self.projects:
            skip = self.proj_bn(self.proj_conv(skip))
        return F.leaky_relu_(self.dep_sep_conv(x, edges, skip), LEAK)


class DecoderLayer(nn.Module):
    """Upsample, by an encoder layer's affinity or without; add that layer's shortcut; run two residual blocks."""

    REACH = 2 * DecoderBlock.REACH

    def __init__(self, inputs: int, outputs: int, *, upsampling: Upsampling = "affinity") -> None:
        super().__init__()
        self.upsampling = upsampling
        self.dconv = DecoderBlock(inputs, outputs)
        self.dconv1 = DecoderBlock(outputs, outputs)

    def forward(self, x: Tensor, affinity: Affinity, shortcut: Tensor, edges: Edges = WHOLE) -> Tensor:
        """(B, C, h, w) and a shortcut (B, C, 2h, 2w) to (B, C', 2h, 2w), less REACH at each side that is not an edge.

        At such a side x is larger than the affinity by one.
        """
        if self.upsampling == "affinity":
            x = upsample(x, affinity.s, affinity.p_up, edges)
        else:  # doubling has turned the margin of 1 into one of 2
            x = inner(F.interpolate(x, scale_factor=2, mode=self.upsampling), 2, edges)
        return self.dconv1(self.dconv(x.add_(shortcut), edges), edges)  # type: ignore[no-any-return]


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (DeepLabv3+) with depthwise dilated convolutions."""

    REACH = max(DILATIONS)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.aspp1 = _Atrous(Conv(channels, channels, 1), ABN(channels))
        self.aspp2, self.aspp3, self.aspp4 = (
            _Atrous(
                Conv(channels, channels, 3, dilation=dilation, groups=channels),
                ABN(channels),
                Conv(channels, channels, 1),
                ABN(channels),
            )
            for dilation in DILATIONS
        )
        self.global_avg_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), Conv(channels, channels, 1), ABN(channels))
        self.bottleneck_conv = conv_abn(5 * channels, channels, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor, mean: Tensor | None = None, edges: Edges = WHOLE) -> Tensor:
        """(B, C, H, W), less REACH at each side that is not an edge.

        A window needs `mean` (B, C, 1, 1) of the whole map.
        """
        centre = inner(x, self.REACH, edges)
        branches = [self.aspp1(centre)]  # five of (B, C, H, W), less REACH at inner sides
        for branch, dilation in zip((self.aspp2, self.aspp3, self.aspp4), DILATIONS, strict=True):
            branches.append(branch(inner(x, self.REACH - dilation, edges), edges))
        mean = x if mean is None else mean.to(x.dtype)
        branches.append(self.global_avg_pool(mean).expand_as(centre))
        return self.dropout(self.bottleneck_conv(torch.cat(branches, dim=1)))  # type: ignore[no-any-return]


class _Atrous(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.atrous_conv = Chain(*layers)

    def forward(self, x: Tensor, edges: Edges = WHOLE) -> Tensor:
        return self.atrous_conv(x, edges)  # type: ignore[no-any-return]


def _two_convs(inputs: int, outputs: int) -> Chain:
    return Chain(
        OrderedDict(
            conv1=Conv(inputs, outputs, 3),
            bn1=ABN(outputs),
            conv2=Conv(outputs, outputs, 3),
            bn2=ABN(outputs, linear=True),
        )
    )
