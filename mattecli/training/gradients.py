"""From a step's pictures to the gradient of their loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from mattecli.matting import MEAN, STD
from mattecli.training.config import TrainConfig
from mattecli.training.losses import matting_losses
from mattecli.training.ranks import Ranks, apart

Batch = Mapping[str, Tensor]


class Gradients:
    """The network as training runs it: over all processes, in the precision asked for, compiled where asked for."""

    def __init__(self, network: nn.Module, config: TrainConfig, device: torch.device, ranks: Ranks) -> None:
        self._config, self._device = config, device
        self._memory_format = torch.channels_last if config.precision.channels_last else torch.contiguous_format
        self._wrapped = ranks.wrap(network, device)
        self._model = self._wrapped
        if config.precision.compile:
            self._model = torch.compile(self._model, dynamic=False)  # type: ignore[assignment]
        self._mean = 255 * torch.tensor(MEAN, device=device)[:, None, None]
        self._std = 255 * torch.tensor(STD, device=device)[:, None, None]

    def add(self, batch: Batch, *, at_once: int) -> dict[str, Tensor]:
        """Add the gradient of the mean loss over a step's pictures, `at_once` in a pass; gives the mean losses.

        The passes are of one size, so that the mean of their means is that of all pictures.
        """
        moved = {name: tensor.to(self._device, non_blocking=True) for name, tensor in batch.items()}
        passes = list(zip(*(torch.split(tensor, at_once) for tensor in moved.values()), strict=True))
        found = []
        for number, tensors in enumerate(passes, start=1):
            with apart(self._wrapped) if number < len(passes) else nullcontext():
                losses = self._losses(dict(zip(moved, tensors, strict=True)))
                loss = losses["loss"]
                # A loss that is not finite must make the gradient so, in every process.
                torch.autograd.backward(loss * torch.where(loss.detach().isfinite(), 1 / len(passes), math.nan))
            found.append({name: term.detach() for name, term in losses.items()})
        return {name: torch.stack([losses[name] for losses in found]).mean() for name in found[0]}

    def input(self, batch: Batch) -> Tensor:
        """The network's input (B, 4, S, S) from uint8 photos and trimaps, on the device."""
        image = (batch["image"].float() - self._mean) / self._std
        return torch.cat([image, batch["trimap"] / 255], dim=1).contiguous(memory_format=self._memory_format)

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._config.precision.dtype == "bf16"):
            prediction = self._model(self.input(batch))  # (B, 1, S, S), unclipped
        return matting_losses(
            self._config.loss,
            prediction,
            alpha=batch["alpha"] / 255,
            trimap=batch["trimap"],
            foreground=batch["foreground"] / 255,
            background=batch["background"] / 255,
        )
