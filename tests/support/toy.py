"""A network, samples and settings that are small enough to train in a test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mattecli.training.config import (
    CropStage,
    EmaConfig,
    NormsConfig,
    OptimizerConfig,
    PrecisionConfig,
    RunConfig,
    TrainConfig,
    ValidationConfig,
)

# What PyTorch raises where memory runs out: on a card, and in a process with a limit.
EXHAUSTED = (
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
)


def toy_network(seed: int = 0, *, norm: bool = True) -> nn.Module:
    """Two convolutions, with a batch norm and dropout between."""
    torch.manual_seed(seed)
    between = [nn.BatchNorm2d(8), nn.Dropout(0.3)] if norm else []
    return nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), *between, nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))


def toy_sample(number: int, size: int) -> dict[str, Tensor]:
    """Sample `number`: noise for colours, a soft ramp for alpha, unknown in the middle."""
    generator = torch.Generator().manual_seed(number)
    alpha = torch.linspace(0, 255, size).round().to(torch.uint8).expand(1, size, size).contiguous()
    trimap = torch.full((1, size, size), 128, dtype=torch.uint8)
    trimap[..., :2], trimap[..., -2:] = 0, 255
    colours = torch.randint(0, 256, (2, 3, size, size), generator=generator, dtype=torch.uint8)
    mixed = (colours[0] * (alpha / 255) + colours[1] * (1 - alpha / 255)).round().to(torch.uint8)
    return {"image": mixed, "trimap": trimap, "alpha": alpha, "foreground": colours[0], "background": colours[1]}


def toy_loader(
    *, start: int, first: int, batch: Callable[[int], int], size_of: Callable[[int], int], rank: int, world_size: int
) -> Iterator[dict[str, Tensor]]:
    """Batches as `dataset.batches` gives them. Like a DataLoader, it draws from PyTorch's generator when it begins."""
    torch.empty((), dtype=torch.int64).random_()
    number, k = first, start
    while True:
        mine = number + rank * batch(k)
        samples = [toy_sample(n, size_of(k)) for n in range(mine, mine + batch(k))]
        yield {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
        number += world_size * batch(k)
        k += 1


def toy_config(folder: Path, **changes: Any) -> TrainConfig:
    """Six steps of two crops, 16 then 32 pixels; `changes` are written `table__key`."""
    config = TrainConfig(
        run=RunConfig(folder=folder, steps=6, log_every=2, save_every=1000),
        crops=(CropStage(until=0.5, size=(16,), batch=2), CropStage(size=(32,), batch=2)),
        optimizer=OptimizerConfig(lr=1e-2, warmup=2),
        ema=EmaConfig(decay=0.9),
        norms=NormsConfig(freeze=0.2),
        validation=ValidationConfig(every=1000),
        precision=PrecisionConfig(dtype="fp32"),
    )
    tables: dict[str, Any] = {}
    for name, value in changes.items():
        table, _, key = name.partition("__")
        tables[table] = tables.get(table, getattr(config, table)).replace(**{key: value}) if key else value
    return config.replace(**tables)
