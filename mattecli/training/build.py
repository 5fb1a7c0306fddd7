"""Builds the parts of a run from its configuration."""

from __future__ import annotations

from functools import partial

import torch

from mattecli.errors import UsageError
from mattecli.network.a2u import A2UNet, as_unshared
from mattecli.network.checkpoint import load_a2u
from mattecli.training.config import TrainConfig
from mattecli.training.data.dataset import Samples, batches
from mattecli.training.loop import BatchLoader

# Below this, ASPP's outer taps at dilation 18 and stride 16 see only padding and keep their random start.
SMALLEST_CROP_OF_ASPP = 304  # pixels


def build_network(config: TrainConfig) -> A2UNet:
    """The network at its start: a checkpoint, or random weights drawn from the run's seed.

    With random weights and small crops, ASPP's dilated kernels start as identity. Their outer taps get no gradient from
    small crops, and random ones would spoil inference on whole pictures. An unshared network may start from a shared
    one, and first computes the same. Raises WeightsError for a checkpoint that cannot be loaded and UsageError for an
    unshared one that is to become shared, or one of another upsampling.
    """
    shared = config.run.variant == "shared"
    if config.run.start is not None:
        network = load_a2u(config.run.start)
        if shared and not network.shared:
            raise UsageError(f'{config.run.start} is of the unshared variant; set variant = "unshared" in [run]')
        if network.upsampling != config.run.upsampling:
            found = network.upsampling
            raise UsageError(f'{config.run.start} has {found} upsampling; set upsampling = "{found}" in [run]')
        return _with_dropout(network if network.shared == shared else as_unshared(network), config)
    torch.manual_seed(config.run.seed)
    network = A2UNet(shared=shared, upsampling=config.run.upsampling)
    if min(min(stage.size) for stage in config.crops) < SMALLEST_CROP_OF_ASPP:
        _centre_dilated_kernels(network)
    return _with_dropout(network, config)


def build_loader(config: TrainConfig, device: torch.device) -> BatchLoader:
    """The loader of the run's samples. Raises InputError for folders that cannot be used.

    Worker processes always share a cache, if need be in the run's folder. Otherwise each would make all foregrounds.
    """
    data = config.data
    if config.workers and not data.cache:
        data = data.replace(cache=str(config.run.folder / "cache"))
    samples = Samples(data, seed=config.run.seed)
    return partial(batches, samples, workers=config.workers, pin=device.type == "cuda")


def _with_dropout(network: A2UNet, config: TrainConfig) -> A2UNet:
    """The network with the configured dropout, which a checkpoint does not store and inference does not use."""
    network.dconv_pp.dropout.p = config.run.dropout
    return network


@torch.no_grad()
def _centre_dilated_kernels(network: A2UNet) -> None:
    for branch in (network.dconv_pp.aspp2, network.dconv_pp.aspp3, network.dconv_pp.aspp4):
        kernel = branch.atrous_conv[0].get_parameter("weight")  # (256, 1, 3, 3)
        kernel.zero_()
        kernel[:, :, 1, 1] = 1.0
