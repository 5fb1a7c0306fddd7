"""Convolutions whose output oneDNN finishes in the same pass, where this PyTorch offers it on a CPU.

Arguments are those of `torch.nn.functional.conv2d`, in its order.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mattecli.ops.affinity import LEAK

Pair = tuple[int, ...]  # for rows and columns; modules hold it so


def fuses(x: Tensor) -> bool:
    """Whether this PyTorch has the fused forms for x; its own compiler uses them, but they are no public functions.

    In bfloat16 they ask for more of a processor than the plain convolution, which has a slow way for every one.
    """
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and (x.dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))
    )


def leaky_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """The leaky ReLU of a convolution: one pass over the output if `fuses(x)`."""
    if not fuses(x):
        return F.leaky_relu_(F.conv2d(x, weight, bias, stride, padding, dilation, groups), LEAK)
    return torch.ops.mkldnn._convolution_pointwise(  # type: ignore[no-any-return]
        x, weight, bias, padding, stride, dilation, groups, "leaky_relu", [LEAK], ""
    )


def adding_conv(
    x: Tensor,
    plus: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """A convolution and `plus`, a map of its output's size, in one pass over it; x must be one that `fuses`.

    The leaky ReLU that follows it in the network cannot be part of that pass: oneDNN's form here knows plain ReLU only.
    """
    plus = plus.contiguous(memory_format=torch.channels_last)
    return torch.ops.mkldnn._convolution_pointwise.binary(  # type: ignore[no-any-return]
        x, plus, weight, bias, padding, stride, dilation, groups, "add", 1.0, None, [], ""
    )
