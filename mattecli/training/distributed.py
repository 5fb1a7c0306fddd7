"""Several processes that train one network, as torchrun starts them; one process is the same with one rank."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mattecli.errors import DeviceError

# The others wait while the first process validates and saves; PyTorch would give up after 10 minutes (NCCL) or 30
# (Gloo). A process that dies needs no such limit: torchrun ends the others.
_PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class Ranks:
    """This process's place among those that train together."""

    rank: int = 0
    world: int = 1
    control: dist.ProcessGroup | None = None  # a CPU group: what the loop agrees on must not wait for the device

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def agree(self, *values: float) -> list[float]:
        """The largest of each value over all processes."""
        if self.control is None:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX, group=self.control)
        return list(map(float, tensor.tolist()))

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """A CPU tensor of each process, in order of rank; shapes are equal."""
        if self.control is None:
            return [tensor]
        tensors = [torch.empty_like(tensor) for _ in range(self.world)]
        dist.all_gather(tensors, tensor, group=self.control)
        return tensors

    def wrap(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network whose gradients are the mean over all processes."""
        if self.world == 1:
            return network
        return DistributedDataParallel(
            network, device_ids=[device] if device.type == "cuda" else None, gradient_as_bucket_view=True
        )


def apart(network: nn.Module) -> AbstractContextManager[None]:
    """Inside, the gradients of a network from `wrap` add up in each process; the next pass outside joins them."""
    if isinstance(network, DistributedDataParallel):
        return network.no_sync()
    return nullcontext()


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that torchrun started (it sets RANK and WORLD_SIZE); alone where there are none."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise DeviceError(
            f"the {world} processes cannot reach each other ({error}); start them with torchrun"
        ) from error
    try:
        yield Ranks(dist.get_rank(), world, dist.new_group(backend="gloo", timeout=_PATIENCE))
    finally:
        dist.destroy_process_group()


def training_device(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda[:N]` as a device that is there; torchrun's processes take the GPU of their local rank.

    Raises DeviceError when CUDA is asked for and cannot be used.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if name.split(":")[0] != "cuda":
        raise DeviceError(f"--device {name} is not known to training; take auto, cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        built = torch.version.cuda is not None
        fact = "no GPU or driver was found" if built else "this PyTorch was built without CUDA"
        remedy = "check nvidia-smi" if built else "install a CUDA build of PyTorch"
        raise DeviceError(f"--device {name} cannot be used: {fact}; {remedy}, or train with --device cpu")
    number = name.partition(":")[2] or os.environ.get("LOCAL_RANK", "0")
    if not number.isdigit() or int(number) >= torch.cuda.device_count():
        raise DeviceError(
            f"--device {name} is not there: PyTorch sees {torch.cuda.device_count()} GPUs; take one of them"
        )
    return torch.device("cuda", int(number))
