"""Convolutions that oneDNN finishes in the same pass.

Without oneDNN they are PyTorch's plain ones.

The fused forms are private functions of PyTorch, which its own compiler uses. They run only after a trial on small maps
has given the results of the public functions. Arguments are those of `torch.nn.functional.conv2d`, in its order.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mattecli.spec import LEAK

Pair = tuple[int, ...]  # for rows and columns, as modules hold it


def fuses(x: Tensor) -> bool:
    """Whether the fused forms can convolve x: on a CPU, in float32 or bfloat16, and only if the trial succeeded."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16) and _works(x.dtype)


def leaky_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """The leaky ReLU of a convolution, in one pass over the output if `fuses(x)`."""
    if not fuses(x):
        return F.leaky_relu_(F.conv2d(x, weight, bias, stride, padding, dilation, groups), LEAK)
    return _fused_leaky(x, weight, bias, stride, padding, dilation, groups)


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
    """A convolution with `plus` added, a map of the output's size; in one pass over the output if `fuses(x)`.

    The leaky ReLU that follows in the network needs a pass of its own: this form of oneDNN has only plain ReLU.
    """
    if not fuses(x):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups).add_(plus)
    return _fused_sum(x, plus, weight, bias, stride, padding, dilation, groups)


def _fused_leaky(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Tensor:
    return torch.ops.mkldnn._convolution_pointwise(  # type: ignore[no-any-return]
        x, weight, bias, padding, stride, dilation, groups, "leaky_relu", [LEAK], ""
    )


def _fused_sum(
    x: Tensor,
    plus: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Tensor:
    plus = plus.contiguous(memory_format=torch.channels_last)
    return torch.ops.mkldnn._convolution_pointwise.binary(  # type: ignore[no-any-return]
        x, plus, weight, bias, padding, stride, dilation, groups, "add", 1.0, None, [], ""
    )


@cache
def _works(dtype: torch.dtype) -> bool:
    """Whether the fused forms are there and give the results of the public functions; tried once for each type."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        # In bfloat16 the fused forms need more of a processor than the plain convolution.
        if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        with torch.inference_mode():
            return _trial_succeeds(dtype)
    except (AttributeError, RuntimeError, TypeError):  # this PyTorch lacks them, or they take other arguments
        return False


def _trial_succeeds(dtype: torch.dtype) -> bool:
    ramp = torch.linspace(-1, 1, 2 * 8 * 7, device="cpu").view(1, 2, 8, 7).to(dtype)  # (1, 2, 8, 7)
    weight = torch.linspace(-1, 1, 2 * 9, device="cpu").view(2, 1, 3, 3).to(dtype)  # (2, 1, 3, 3)
    bias = torch.tensor([0.5, -0.5], dtype=dtype, device="cpu")
    shape = ((2, 1), (1, 2), (1, 2), 2)
    plain = F.conv2d(ramp, weight, bias, *shape)
    leaky = _fused_leaky(ramp, weight, bias, *shape)
    added = _fused_sum(ramp, plain, weight, bias, *shape)
    return torch.allclose(leaky, F.leaky_relu(plain, LEAK), atol=0.05) and torch.allclose(added, 2 * plain, atol=0.1)
