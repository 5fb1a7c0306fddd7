"""Pairs of down- and upsampling to compare with A2U, each from the formulas of its paper.

A pair has `down(x)`, which halves a map (B, C, H, W) and also gives what `up` needs later, and `up(f, kept)`, which
doubles a map of the halved size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mattecli.ops import A2UDownsample, A2UUpsample, KernelPredictor, reassemble_up
from mattecli.ops.kernels import UP_NORM, Norm


class Interpolation(nn.Module):
    """Pooling by `pool`, and interpolation of a `mode` of PyTorch's."""

    def __init__(self, pool: Callable[[Tensor, int], Tensor], mode: str) -> None:
        super().__init__()
        self.pool, self.mode = pool, mode

    def down(self, x: Tensor) -> tuple[Tensor, Any]:
        """The largest or the mean of 2×2 pixels."""
        return self.pool(x, 2), None

    def up(self, f: Tensor, _: Any) -> Tensor:
        """Interpolated."""
        return F.interpolate(f, scale_factor=2, mode=self.mode)


class TransposedConvolution(nn.Module):
    """A strided convolution and a transposed one, 4×4 each (Zeiler 2010)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shrink = nn.Conv2d(channels, channels, 4, stride=2, padding=1)
        self.grow = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)

    def down(self, x: Tensor) -> tuple[Tensor, Any]:
        """Convolved."""
        return self.shrink(x), None

    def up(self, f: Tensor, _: Any) -> Tensor:
        """Convolved the other way."""
        return self.grow(f)


class PixelShuffle(nn.Module):
    """Pixels to channels and back, each with a 3×3 convolution (Shi 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shrink = nn.Conv2d(4 * channels, channels, 3, padding=1)
        self.grow = nn.Conv2d(channels, 4 * channels, 3, padding=1)

    def down(self, x: Tensor) -> tuple[Tensor, Any]:
        """2×2 pixels as channels, convolved."""
        return self.shrink(F.pixel_unshuffle(x, 2)), None

    def up(self, f: Tensor, _: Any) -> Tensor:
        """Convolved to four times as many channels, which become 2×2 pixels."""
        return F.pixel_shuffle(self.grow(f), 2)


class Unpooling(nn.Module):
    """Max-pooling that remembers where each maximum stood (Badrinarayanan 2017)."""

    def down(self, x: Tensor) -> tuple[Tensor, Any]:
        """The maxima, and their places."""
        return F.max_pool2d(x, 2, return_indices=True)

    def up(self, f: Tensor, kept: Any) -> Tensor:
        """Each number at its maximum's place, zeros elsewhere."""
        return F.max_unpool2d(f, kept, 2)


class Carafe(nn.Module):
    """Max-pooling, and 5×5 kernels predicted from the map to be upsampled (Wang 2019): first order."""

    SIZE = 5

    def __init__(self, channels: int, *, inner: int = 16) -> None:
        super().__init__()
        self.compress = nn.Conv2d(channels, inner, 1)
        self.encode = nn.Conv2d(inner, 4 * self.SIZE**2, 3, padding=1)

    def down(self, x: Tensor) -> tuple[Tensor, Any]:
        """The largest of 2×2 pixels."""
        return F.max_pool2d(x, 2), None

    def up(self, f: Tensor, _: Any) -> Tensor:
        """Reassembled by softmax kernels."""
        kernel = torch.softmax(F.pixel_shuffle(self.encode(self.compress(f)), 2), 1)
        return reassemble_up(f, kernel[:, None])


class HolisticIndex(nn.Module):
    """IndexNet's holistic index (Lu 2019): one weight for each pixel, learned from the map and shared by both ways."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.index = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU6(),
            nn.Conv2d(2 * channels, 4, 1, bias=False),
        )

    def down(self, x: Tensor) -> tuple[Tensor, Any]:
        """The mean by weights that sum to one over 2×2 pixels, and for `up` the weights before normalisation."""
        decoder = torch.sigmoid(self.index(x))  # (B, 4, H/2, W/2)
        encoder = F.pixel_shuffle(torch.softmax(decoder, 1), 2)
        return 4 * F.avg_pool2d(x * encoder, 2), F.pixel_shuffle(decoder, 2)

    def up(self, f: Tensor, kept: Any) -> Tensor:
        """Nearest interpolation times the weights."""
        return F.interpolate(f, scale_factor=2) * kept


class A2U(nn.Module):
    """The operator of this project. `settings` are those of its `KernelPredictor`, `norm` that of its up kernels."""

    halves = True  # by kernels

    def __init__(self, channels: int, *, norm: Norm = UP_NORM, **settings: Any) -> None:
        super().__init__()
        self.predict = KernelPredictor(channels, **settings)
        groups = settings.get("groups", 1)
        self.halve, self.enlarge = A2UDownsample(groups=groups), A2UUpsample(groups=groups, norm=norm)

    def down(self, x: Tensor) -> tuple[Tensor, Any]:
        """By kernels predicted from the map, which `up` uses too."""
        affinity = self.predict(x)
        return self.halve(x, affinity), affinity

    def up(self, f: Tensor, kept: Any) -> Tensor:
        """By the kernels of the map that was halved."""
        return self.enlarge(f, kept)


class A2UUp(A2U):
    """Max-pooling, and the operator's upsampling by kernels of the map that was pooled."""

    halves = False

    def __init__(self, channels: int, **settings: Any) -> None:
        super().__init__(channels, down=1, **settings)  # one number instead of a down kernel, which nothing reads

    def down(self, x: Tensor) -> tuple[Tensor, Any]:
        """The largest of 2×2 pixels, and the kernels."""
        return F.max_pool2d(x, 2), self.predict(x)


STATIC: dict[str, Any] = {"u": "static", "v": "static", "p": "static"}
PAIRS = {
    "max-pool, nearest": lambda _: Interpolation(F.max_pool2d, "nearest"),
    "max-pool, bilinear": lambda _: Interpolation(F.max_pool2d, "bilinear"),
    "mean-pool, bilinear": lambda _: Interpolation(F.avg_pool2d, "bilinear"),
    "transposed convolution": TransposedConvolution,
    "pixel shuffle": PixelShuffle,
    "max-unpool": lambda _: Unpooling(),
    "max-pool, CARAFE": Carafe,
    "IndexNet, holistic": HolisticIndex,
    "A2U": A2U,
    "A2U, channel-wise": lambda channels: A2U(channels, shared=False),
    "A2U, static": lambda channels: A2U(channels, **STATIC),
    "A2U, hybrid (P static)": lambda channels: A2U(channels, p="static"),
    "A2U, first order": lambda channels: A2U(channels, order=1),
    "A2U, 4 groups": lambda channels: A2U(channels, groups=4),
    "A2U, softmax up": lambda channels: A2U(channels, norm="softmax"),
    "max-pool, A2U": A2UUp,
    "max-pool, A2U channel-wise": lambda channels: A2UUp(channels, shared=False),
    "max-pool, A2U softmax up": lambda channels: A2UUp(channels, norm="softmax"),
}
