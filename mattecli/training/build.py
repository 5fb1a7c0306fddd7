"""The parts of a run from its configuration: the A2U network and the samples it learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from mattecli.errors import UsageError
from mattecli.network.a2u import A2UNet
from mattecli.network.checkpoint import load_a2u
from mattecli.training.config import TrainConfig
from mattecli.training.data.dataset import Samples, batches
from mattecli.training.loop import Feed

# Below this, ASPP's outer taps at dilation 18 and stride 16 see nothing but padding and keep their random start.
SMALLEST_CROP_OF_ASPP = 304


def build_network(config: TrainConfig) -> A2UNet:
    """The network at its start: the checkpoint of the configuration, or random weights drawn from its seed.

    Where a stage of the run has small crops, ASPP's dilated kernels start as identity: their outer taps get no gradient
    there, and random ones would wreck inference on whole pictures. Raises WeightsError for a checkpoint that cannot be
    loaded, UsageError for one of another variant or upsampling.
    """
    shared = config.run.variant == "shared"
    if config.run.start is not None:
        network = load_a2u(config.run.start)
        if network.shared != shared:
            found = "shared" if network.shared else "unshared"
            raise UsageError(f'{config.run.start} is of the {found} variant; set variant = "{found}" in [run]')
        if network.upsampling != config.run.upsampling:
            found = network.upsampling
            raise UsageError(f'{config.run.start} has {found} upsampling; set upsampling = "{found}" in [run]')
        return network
    torch.manual_seed(config.run.seed)
    network = A2UNet(shared=shared, upsampling=config.run.upsampling)
    if min(min(stage.size) for stage in config.crops) < SMALLEST_CROP_OF_ASPP:
        _centre_dilated_kernels(network)
    return network


def build_feed(config: TrainConfig, device: torch.device) -> Feed:
    """The samples of the configuration, for the loop; raises InputError for folders that cannot be used.

    Worker processes share a cache in any case, if need be in the run's folder: each would make all foregrounds itself.
    """
    data = config.data
    if config.workers and not data.cache:
        data = replace(data, cache=str(config.run.folder / "cache"))
    samples = Samples(data, seed=config.run.seed)
    return partial(_batches, samples, config.workers, device.type == "cuda")


def _batches(
    samples: Samples,
    workers: int,
    pin: bool,
    *,
    start: int,
    batch: Callable[[int], int],
    size_of: Callable[[int], int],
    rank: int,
    ranks: int,
) -> Iterator[dict[str, Tensor]]:
    return batches(samples, start=start, batch=batch, size_of=size_of, workers=workers, rank=rank, ranks=ranks, pin=pin)


@torch.no_grad()
def _centre_dilated_kernels(network: A2UNet) -> None:
    for branch in (network.dconv_pp.aspp2, network.dconv_pp.aspp3, network.dconv_pp.aspp4):
        kernel = branch.atrous_conv[0].get_parameter("weight")  # (256, 1, 3, 3)
        kernel.zero_()
        kernel[:, :, 1, 1] = 1.0
