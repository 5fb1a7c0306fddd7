"""Training in several processes, as torchrun starts them."""

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

from mattecli.errors import DeviceError, MatteError, UsageError

# The others wait while the first process validates and saves. PyTorch would give up after 10 minutes (NCCL) or 30
# (Gloo). A process that dies needs no shorter limit: torchrun ends the others.
TIMEOUT = timedelta(hours=12)
# In the words of Gloo, NCCL and sockets where another process has ended.
_MARKS_OF_AN_END = ("gloo/transport", "ncclRemoteError", "by peer")


@dataclass(frozen=True)
class Processes:
    """The processes that train together, seen from this one."""

    rank: int = 0
    world_size: int = 1
    control: dist.ProcessGroup | None = None  # on the CPU: what the loop agrees on must not wait for the device

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
        """The CPU tensors of all processes in order of rank. All must have the same shape."""
        if self.control is None:
            return [tensor]
        tensors = [torch.empty_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(tensors, tensor, group=self.control)
        return tensors

    def wrap(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network with gradients that are the mean over all processes."""
        if self.world_size == 1:
            return network
        return DistributedDataParallel(
            network, device_ids=[device] if device.type == "cuda" else None, gradient_as_bucket_view=True
        )


def no_sync(network: nn.Module) -> AbstractContextManager[None]:
    """Inside, each process adds up gradients of its own; the next pass outside averages them over the processes.

    `network` is from `Processes.wrap`.
    """
    if isinstance(network, DistributedDataParallel):
        return network.no_sync()
    return nullcontext()


@contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started (it sets RANK and WORLD_SIZE); without torchrun, train alone.

    Raises DeviceError where they cannot reach each other, or where, inside, another one has ended.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise DeviceError(
            f"the {world_size} processes cannot reach each other ({error}); start them with torchrun"
        ) from error
    try:
        yield Processes(dist.get_rank(), world_size, dist.new_group(backend="gloo", timeout=TIMEOUT))
    except RuntimeError as error:
        if isinstance(error, MatteError) or not any(mark in str(error) for mark in _MARKS_OF_AN_END):
            raise
        raise DeviceError(f"another of the {world_size} processes has ended; see its message") from error
    dist.destroy_process_group()  # not after an error: it waits for the others, and they may wait for this process


def training_device(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` names; under torchrun `cuda` is the GPU of the local rank.

    Raises DeviceError for a device that does not exist here, also where torchrun started more processes than there are
    GPUs, and UsageError for `cuda:N` where it started several, which need a GPU each.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if name.split(":")[0] != "cuda":
        raise DeviceError(f"--device {name} is not known to training; choose auto, cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        built = torch.version.cuda is not None
        fact = "no GPU or driver was found" if built else "this PyTorch was built without CUDA"
        remedy = "check nvidia-smi" if built else "install a CUDA build of PyTorch"
        raise DeviceError(f"--device {name} cannot be used: {fact}; {remedy}, or train with --device cpu")
    number, count = name.partition(":")[2], torch.cuda.device_count()
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes that torchrun started on this machine
    if number and here > 1:
        raise UsageError(f"--device {name} names one GPU, but each of the {here} processes needs its own; leave it out")
    if not number and here > count:
        raise DeviceError(
            f"PyTorch sees {count} GPUs here, too few for {here} processes; give torchrun --nproc-per-node {count}, "
            "or train with --device cpu"
        )
    number = number or os.environ.get("LOCAL_RANK", "0")
    if not number.isdigit() or int(number) >= count:
        raise DeviceError(f"--device {name} does not exist: PyTorch sees {count} GPUs; choose one of them")
    return torch.device("cuda", int(number))
