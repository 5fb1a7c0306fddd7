"""Folds batch norms into the convolutions before them."""

from __future__ import annotations

import copy
import itertools
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from mattecli.geometry import WHOLE, Edges
from mattecli.network import onednn
from mattecli.network.blocks import ABN, Conv
from mattecli.network.tensors import fold_norm

Module = TypeVar("Module", bound=nn.Module)


def fold_norms(net: Module, *, in_place: bool = False) -> Module:
    """A copy of `net` whose batch norms are part of its convolutions: the results of `net.eval()` in fewer passes.

    Weights are folded in float64, so float32 results differ only by the order of rounding. `in_place` changes `net`
    itself, which saves the copy.
    """
    net = (net if in_place else copy.deepcopy(net)).eval()
    for module in list(net.modules()):
        children = list(module.named_children())
        for (conv_name, conv), (norm_name, norm) in itertools.pairwise(children):
            if isinstance(conv, Conv) and isinstance(norm, ABN):
                setattr(module, conv_name, FoldedConv(conv, norm))
                setattr(module, norm_name, nn.Identity())
    return net


class FoldedConv(Conv):
    """A convolution that includes the batch norm after it and that norm's leaky ReLU."""

    def __init__(self, conv: Conv, norm: ABN) -> None:
        nn.Module.__init__(self)
        self.__dict__.update({name: value for name, value in vars(conv).items() if not name.startswith("_")})
        arrays = (conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
        weight, bias = fold_norm(*(array.detach().double() for array in arrays))
        self.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=False)
        self.bias = nn.Parameter(bias.to(conv.weight.dtype), requires_grad=False)
        self.leaky = not norm.linear
        self.adds = norm.linear

    def forward(self, x: Tensor, edges: Edges = WHOLE, plus: Tensor | None = None) -> Tensor:
        """Like `Conv.forward`. A linear convolution also adds `plus`, a map of the output's size."""
        if plus is None:
            return super().forward(x, edges)
        if not onednn.fuses(x):
            return super().forward(x, edges).add_(plus)
        top, bottom, left, right = (self.reach * edge for edge in edges)
        if top != bottom or left != right:
            x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
        shape = self.stride, (top, left), self.dilation, self.groups
        return onednn.adding_conv(x, plus, self.weight, self.bias, *shape)

    def convolve(self, x: Tensor, padding: tuple[int, int]) -> Tensor:
        """The convolution and the leaky ReLU in one pass over the output, which saves time where convolving is fast."""
        if not self.leaky:
            return super().convolve(x, padding)
        return onednn.leaky_conv(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
