"""Batch norms folded into the convolutions before them, for inference."""

from __future__ import annotations

import copy
import itertools
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattecli.boxes import WHOLE, Edges
from mattecli.network.blocks import ABN, Conv
from mattecli.network.kernels import LEAK

Module = TypeVar("Module", bound=nn.Module)


def fold_norms(net: Module) -> Module:
    """A copy of `net` whose norms are part of its convolutions; it computes what `net.eval()` does, with fewer passes.

    Scale and shift are worked out in float64, so that in float32 only the order of rounding changes.
    """
    net = copy.deepcopy(net).eval()
    for module in list(net.modules()):
        children = list(module.named_children())
        for (conv_name, conv), (norm_name, norm) in itertools.pairwise(children):
            if isinstance(conv, Conv) and isinstance(norm, ABN):
                setattr(module, conv_name, FoldedConv(conv, norm))
                setattr(module, norm_name, nn.Identity())
    return net


class FoldedConv(Conv):
    """A convolution with the norm after it, and that one's leaky ReLU."""

    def __init__(self, conv: Conv, norm: ABN) -> None:
        nn.Module.__init__(self)
        self.__dict__.update({name: value for name, value in vars(conv).items() if not name.startswith("_")})
        gamma = norm.weight.detach().double().abs() + norm.EPS
        scale = gamma / torch.sqrt(norm.running_var.double() + norm.EPS)
        shift = norm.bias.detach().double() - norm.running_mean.double() * scale
        weight = conv.weight.detach().double() * scale[:, None, None, None]
        self.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=False)
        self.bias = nn.Parameter(shift.to(conv.weight.dtype), requires_grad=False)
        self.leaky = not norm.linear
        self.adds = norm.linear

    def forward(self, x: Tensor, edges: Edges = WHOLE, plus: Tensor | None = None) -> Tensor:
        """As `Conv`; a linear one adds `plus`, a map of the output's size."""
        if plus is None:
            return super().forward(x, edges)
        if not _onednn_fuses(x):
            return super().forward(x, edges).add_(plus)
        top, bottom, left, right = (self.reach * edge for edge in edges)
        if top != bottom or left != right:
            x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
        shape = ((top, left), self.stride, self.dilation, self.groups)
        plus = plus.contiguous(memory_format=torch.channels_last)
        fused = torch.ops.mkldnn._convolution_pointwise.binary
        return fused(x, plus, self.weight, self.bias, *shape, "add", 1.0, None, [], "")  # type: ignore[no-any-return]

    def convolve(self, x: Tensor, padding: tuple[int, int]) -> Tensor:
        """The convolution, and the leaky ReLU in one pass over the output: that counts where convolving is fast."""
        if not self.leaky or not _onednn_fuses(x):
            out = super().convolve(x, padding)
            return F.leaky_relu_(out, LEAK) if self.leaky else out
        shape = (padding, self.stride, self.dilation, self.groups)
        return torch.ops.mkldnn._convolution_pointwise(  # type: ignore[no-any-return]
            x, self.weight, self.bias, *shape, "leaky_relu", [LEAK], ""
        )


def _onednn_fuses(x: Tensor) -> bool:
    """Whether this PyTorch has the fused form for x; its own compiler uses it, but it is no public function."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )
