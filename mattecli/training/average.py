"""The average of the weights, and finite running statistics."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mattecli.training.schedule import ema_decay


class Average:
    """The exponential moving average of a network's weights and floating-point buffers, itself a network."""

    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._weights, self._averaged = _floats(network), _floats(self.network)

    def update(self, *, decay: float, step: int) -> None:
        """Mix in the weights after `step` steps; `decay` is the share that the average keeps in a long run."""
        with torch.no_grad():
            average = get_ema_multi_avg_fn(ema_decay(decay, step))  # type: ignore[no-untyped-call]
            average(self._averaged, self._weights, step)


class FiniteBuffers:
    """Keeps the last finite values of floating-point buffers, such as running statistics.

    A picture with non-finite activations spoils the running statistics of norms, even where its gradient is left out.
    """

    def __init__(self, *modules: nn.Module) -> None:
        self._modules = modules
        self._kept = [buffer.clone() for buffer in self._buffers()]

    def keep(self) -> None:
        """Take the values of now as the good ones."""
        for kept, buffer in zip(self._kept, self._buffers(), strict=True):
            kept.copy_(buffer)

    def restore(self) -> None:
        """Give every buffer that is not finite the values that were kept."""
        for buffer, kept in zip(self._buffers(), self._kept, strict=True):
            if not bool(buffer.isfinite().all()):
                buffer.copy_(kept)

    def _buffers(self) -> list[Tensor]:
        return [buffer for module in self._modules for buffer in module.buffers() if buffer.is_floating_point()]


def _floats(module: nn.Module) -> list[Tensor]:
    """Parameters and floating-point buffers, in the same order for equal modules."""
    return [*module.parameters(), *(buffer for buffer in module.buffers() if buffer.is_floating_point())]
