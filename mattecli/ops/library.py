"""Register the operators with PyTorch, as `torch.ops.mattecli.…`.

Then they work with autograd, fake and meta tensors, `torch.compile`, `torch.export` and autocast. They are registered
by `torch.library.Library`, because `torch.library.custom_op` imports all of Dynamo at the first call, which takes a
second. Under autocast a map keeps its type, as in a pooling layer; s and p may have a wider type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

LIBRARY = torch.library.Library("mattecli", "FRAGMENT")  # type: ignore[no-untyped-call]


def operator(schema: str, fake: Callable[..., object]) -> Callable[[Callable[..., object]], None]:
    """Register a function as the operator with this schema; `fake` gives empty results with its shapes and layouts."""

    def register(function: Callable[..., object]) -> None:
        name = schema.partition("(")[0]
        tags = (torch.Tag.pt2_compliant_tag, torch.Tag.needs_fixed_stride_order)
        LIBRARY.define(schema, tags=tags)  # type: ignore[no-untyped-call]
        LIBRARY.impl(name, function, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
        torch.library.register_fake(f"mattecli::{name}", fake, lib=LIBRARY)

    return register


def differentiable(name: str) -> None:
    """Register `name`_backward as the gradient of the operator `name`.

    It takes the gradients of the results, then the arguments of `name`, and gives the gradients of its tensors. A
    second derivative raises RuntimeError: PyTorch would take it for zero, as it has no formula.
    """

    def remember(ctx: Any, inputs: tuple[Any, ...], output: object) -> None:  # noqa: ARG001
        ctx.save_for_backward(*(value for value in inputs if isinstance(value, Tensor)))
        ctx.others = [value for value in inputs if not isinstance(value, Tensor)]

    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x = ctx.saved_tensors[0]
        if x.stride(1) == 1:  # once here, where a compiler can fuse it, rather than in each sum
            grads = tuple(grad.contiguous(memory_format=torch.channels_last) for grad in grads)
        gradients = getattr(torch.ops.mattecli, f"{name}_backward")(*grads, *ctx.saved_tensors, *ctx.others)
        return (*gradients, *(None for _ in ctx.others))

    def refuse(ctx: Any, *grads: Tensor) -> None:  # noqa: ARG001
        raise RuntimeError(f"{name} has no second derivatives; differentiate it once, without `create_graph=True`")

    torch.library.register_autograd(f"mattecli::{name}", backward, setup_context=remember, lib=LIBRARY)
    torch.library.register_autograd(f"mattecli::{name}_backward", refuse, lib=LIBRARY)
