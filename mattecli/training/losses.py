"""The losses of alpha, over the unknown pixels.

With d = α̂ − α (zero where a pixel has no weight), F and B the true colours and w the pixels' weights:

- alpha: Σ w·|d| / Σ w, or its Charbonnier form √(d² + ε²) (Xu et al., Deep Image Matting, 2017, eq. 1);
- composition: Σ w·Σ_rgb |d·(F − B)| / Σ w (the same, eq. 2), because α̂F + (1−α̂)B − C is d·(F − B). The damaged photo
  does not enter. The three channels are added, as in the authors' training: a weight of 1 counts up to three times as
  much as alpha's;
- Laplacian: Σ_{i=1..5} 2^{i−1} ‖L_i(α̂) − L_i(α)‖₁ / Σ w (Hou and Liu, Context-Aware Image Matting, 2019, eq. 2; used by
  FBA matting, 2020). The pyramid is linear, so one pyramid of d is enough;
- gradient: (‖∂x d‖₁ + ‖∂y d‖₁) / Σ w with central differences (Tang et al., Learning-Based Sampling, 2019; FBA).

By default the mean is taken in each picture, then over the pictures: a batch split over several processes gives the
same loss. A pixel then counts more when its picture has few unknown pixels. With `mean = "pixels"` the sums over the
pictures that go through the network at once are divided by the Σ w of all of them. Each pixel then counts alike, as in
SAD.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattecli.ops import loops
from mattecli.spec import MEAN, STD
from mattecli.training.config import CropStage, LossConfig, TrainConfig
from mattecli.training.distributed import Processes, no_sync
from mattecli.trimaps.check import unknown

LEVELS = 5  # of the Laplacian pyramid
SOFT = 0.02  # an alpha more than this away from 0 and from 1 is soft
_VARIANTS = 4  # for each size and batch: one for each map that an operator halves, two of the network
_OTHER_VARIANTS = 8  # of the compiled network, as without a synchronisation of processes; PyTorch's own limit
_FLOOR = 0.01  # of all pixels at once: the smallest Σ w to divide by, or a few pixels would make the whole step


def matting_losses(
    config: LossConfig,
    prediction: Tensor,
    *,
    alpha: Tensor,
    trimap: Tensor,
    foreground: Tensor,
    background: Tensor,
) -> dict[str, Tensor]:
    """The weighted sum as `loss`, and under its own name each term that has a weight, unweighted.

    Prediction and alpha are (B, 1, H, W) in [0, 1] (the prediction unclipped), the trimap (B, 1, H, W) with 0, 128 and
    255, the colours (B, 3, H, W) in [0, 1]. A picture without any weighted pixel adds nothing.
    """
    prediction, alpha = prediction.float(), alpha.float()
    weight = _weight(config, alpha, trimap)  # (B, 1, H, W)
    count = _count(weight, config.mean)  # (B,) or ()
    difference = prediction - alpha  # (B, 1, H, W)
    if config.overshoot != 1:
        clipped = prediction.clamp(0, 1)
        difference = clipped - alpha + config.overshoot * (prediction - clipped)
    terms: dict[str, Tensor] = {}
    if config.alpha:
        terms["alpha"] = _mean(_size(difference, config.charbonnier) * weight, count)
    if config.composition:
        colour = difference * (foreground.float() - background.float())  # (B, 3, H, W)
        terms["composition"] = _mean(_size(colour, config.charbonnier) * weight, count)
    if config.laplacian or config.gradient:
        weighted = difference * weight
        if config.laplacian:
            terms["laplacian"] = _mean_laplacian(weighted, count)
        if config.gradient:
            terms["gradient"] = _mean_gradient(weighted, count)
    total = torch.stack([getattr(config, name) * term for name, term in terms.items()]).sum()
    return {"loss": total} | terms


def laplacian_pyramid(image: Tensor, levels: int = LEVELS) -> list[Tensor]:
    """Differences of neighbouring levels of the Gaussian pyramid of image (B, C, H, W), finest first.

    Burt and Adelson, 1983, with the binomial kernel 1 4 6 4 1. There are fewer levels when a side
    would fall below 2 pixels. The coarsest Gaussian level is left out, as in Hou and Liu.
    """
    pyramid = []
    for _ in range(levels):
        if min(image.shape[-2:]) < 4:
            break
        small = _blur_and_halve(image)
        pyramid.append(image - _expand(small, image.shape[-2], image.shape[-1]))
        image = small
    return pyramid


def _weight(config: LossConfig, alpha: Tensor, trimap: Tensor) -> Tensor:
    is_unknown = unknown(trimap)
    weight = torch.where(is_unknown, 1.0, config.known)
    if config.soft == 1:
        return weight
    return torch.where(is_unknown & (alpha > SOFT) & (alpha < 1 - SOFT), config.soft, weight)


def _count(weight: Tensor, mean: str) -> Tensor:
    """What the sum of each picture is divided by before the mean over the pictures."""
    if mean == "pictures":
        return weight.sum((1, 2, 3)).clamp(min=1.0)  # (B,)
    return weight.sum().clamp(min=_FLOOR * weight.numel()) / len(weight)  # ()


def _size(difference: Tensor, eps: float) -> Tensor:
    return torch.sqrt(difference * difference + eps * eps) if eps else difference.abs()


def _mean(values: Tensor, count: Tensor) -> Tensor:
    return (values.sum((1, 2, 3)) / count).mean()


def _mean_laplacian(difference: Tensor, count: Tensor) -> Tensor:
    pyramid = laplacian_pyramid(difference)
    return torch.stack([2**level * _mean(band.abs(), count) for level, band in enumerate(pyramid)]).sum()


def _mean_gradient(difference: Tensor, count: Tensor) -> Tensor:
    across = (difference[..., :, 2:] - difference[..., :, :-2]) / 2
    down = (difference[..., 2:, :] - difference[..., :-2, :]) / 2
    return _mean(across.abs(), count) + _mean(down.abs(), count)


def _blur_and_halve(image: Tensor) -> Tensor:
    """Every second pixel of the image, blurred by the binomial kernel with mirrored borders."""
    return _halve_rows(_halve_rows(image).transpose(2, 3)).transpose(2, 3)


def _halve_rows(image: Tensor) -> Tensor:
    """Sums instead of a convolution, which cuDNN would compute in TF32."""
    height = image.shape[2]
    padded = F.pad(image, (0, 0, 2, 2), mode="reflect")  # (B, C, h + 4, w)
    rows = [padded[:, :, tap : tap + height : 2] for tap in range(5)]
    return (rows[0] + rows[4] + 4 * (rows[1] + rows[3]) + 6 * rows[2]) / 16


def _expand(small: Tensor, height: int, width: int) -> Tensor:
    """Twice the size: zeros between the pixels, blurred, which gives 1/8, 6/8, 1/8 and 1/2, 1/2 in turn."""
    return _expand_rows(_expand_rows(small, height).transpose(2, 3), width).transpose(2, 3)


def _expand_rows(small: Tensor, height: int) -> Tensor:
    # The large image is mirrored at its border: row −2 is row 2, which is row 1 of the small one; the last one repeats.
    padded = torch.cat([small[:, :, 1:2], small, small[:, :, -1:]], dim=2)  # (B, C, h + 2, w)
    even = (padded[:, :, :-2] + 6 * padded[:, :, 1:-1] + padded[:, :, 2:]) / 8
    odd = (padded[:, :, 1:-1] + padded[:, :, 2:]) / 2
    return torch.stack([even, odd], dim=3).flatten(2, 3)[:, :, :height]


Batch = Mapping[str, Tensor]


class Gradients:
    """The network as training runs it: over all processes, in the chosen precision, compiled if so configured."""

    def __init__(self, network: nn.Module, config: TrainConfig, device: torch.device, processes: Processes) -> None:
        self._config, self._device = config, device
        self._memory_format = torch.channels_last if config.precision.channels_last else torch.contiguous_format
        self._wrapped = processes.wrap(network, device)
        self._model = self._wrapped
        if config.precision.compile:
            _allow_variants(config.crops)
            self._model = torch.compile(self._model, dynamic=False)  # type: ignore[assignment]
        self._mean = 255 * torch.tensor(MEAN, device=device)[:, None, None]
        self._std = 255 * torch.tensor(STD, device=device)[:, None, None]

    def add(self, batch: Batch, *, at_once: int) -> dict[str, Tensor]:
        """Add the gradient of the mean loss over a step's pictures, `at_once` in a pass. Gives the mean losses.

        All passes have the same size, so the mean of their means is the mean over all pictures.
        """
        moved = {name: tensor.to(self._device, non_blocking=True) for name, tensor in batch.items()}
        passes = list(zip(*(torch.split(tensor, at_once) for tensor in moved.values()), strict=True))
        found = []
        for number, tensors in enumerate(passes, start=1):
            with no_sync(self._wrapped) if number < len(passes) else nullcontext():
                losses = self._losses(dict(zip(moved, tensors, strict=True)))
                loss = losses["loss"]
                # A loss that is not finite must make the gradient non-finite, in every process.
                with loops.turned_on() if self._config.precision.compile else nullcontext():
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


def _allow_variants(crops: Sequence[CropStage]) -> None:
    """Let PyTorch compile the network for each size and batch, with learning and with frozen norms, and its operators.

    From the ninth variant on each would run uncompiled, with a warning of PyTorch's alone.
    """
    from torch._dynamo import config  # takes a second, which only compiling needs

    shapes = {(size, stage.batch) for stage in crops for size in stage.size}
    config.cache_size_limit = max(config.cache_size_limit, _VARIANTS * len(shapes) + _OTHER_VARIANTS)
    config.accumulated_cache_size_limit = max(config.accumulated_cache_size_limit, config.cache_size_limit)
