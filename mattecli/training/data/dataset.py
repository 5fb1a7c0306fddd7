"""Samples by number, and batches of them from worker processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from mattecli.errors import DeviceError, MatteError
from mattecli.system.process import prepare_process
from mattecli.training.data.config import DataConfig
from mattecli.training.data.scenes import Sample, Scene, draw_scene, render_scene
from mattecli.training.data.sources import Sources

__all__ = ["DataConfig", "Sample", "Samples", "batches"]

Request = tuple[int, int]  # number of a sample, its size


class Samples:
    """All training samples of a configuration and a seed. Each is made when it is asked for, always the same way.

    Raises InputError at once for a folder that is missing, empty or holds pictures without their partner.
    """

    def __init__(self, config: DataConfig, *, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.sources = Sources(config)

    def scene(self, n: int) -> Scene:
        """All that is drawn for sample `n`, the same on every machine."""
        return draw_scene(self.config, self.seed, n)

    def sample(self, n: int, size: int) -> Sample:
        """The pixels of sample `n`, as a square crop with sides of `size` pixels."""
        return render_scene(self.scene(n), self.sources, size)


def batches(
    samples: Samples,
    *,
    start: int,
    first: int | None = None,
    batch: int | Callable[[int], int],
    size_of: Callable[[int], int],
    workers: int,
    rank: int = 0,
    world_size: int = 1,
    colours: bool = True,
    pin: bool = False,
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches from number `start` on, without end, the same for any number of `workers`.

    Batch k has `batch` (or `batch(k)`) crops of `size_of(k)` pixels. Its samples follow those of batch k − 1. The batch
    at the start begins with sample number `first`; by default with that at which it would be if batch 0 began with
    sample 0. Of `world_size` processes, each takes its part of every batch: the
    process of `rank` r the r-th.

    Yields uint8 tensors: `image` (B, 3, S, S), `trimap` (B, 1, S, S) with 0, 128 and 255, `alpha` (B, 1, S, S), with
    `colours` also `foreground` and `background` (B, 3, S, S), and `number` (B,) int64. Colours are RGB. Without
    `workers` this process makes them. With `pin` they lie in pinned memory.

    Raises InputError for a picture that cannot be read, and DeviceError where shared memory is too small for what
    workers make.
    """
    schedule = _Schedule(start, first, batch, size_of, rank, world_size)
    loader = DataLoader(
        _Numbered(samples),
        batch_sampler=schedule,
        num_workers=workers,
        collate_fn=_Collate(colours),
        worker_init_fn=_set_up_worker if workers else None,
        # fork would copy a process in which threads of PyTorch and OpenCV already run
        multiprocessing_context=("spawn" if sys.platform == "win32" else "forkserver") if workers else None,
        prefetch_factor=3 if workers else None,
        pin_memory=pin,
    )
    for item in loader:
        if isinstance(item, MatteError):
            raise item
        yield item


class _Schedule:
    """For each batch a list of (number, size), without end."""

    def __init__(
        self,
        start: int,
        first: int | None,
        batch: int | Callable[[int], int],
        size_of: Callable[[int], int],
        rank: int,
        world_size: int,
    ) -> None:
        self.start, self.size_of, self.rank, self.world_size = start, size_of, rank, world_size
        self.batch_of = batch if callable(batch) else lambda _: batch
        self.first = world_size * sum(map(self.batch_of, range(start))) if first is None else first

    def __iter__(self) -> Iterator[list[Request]]:
        number, k = self.first, self.start
        while True:
            count, size = self.batch_of(k), self.size_of(k)
            first = number + self.rank * count
            yield [(n, size) for n in range(first, first + count)]
            number += self.world_size * count
            k += 1


class _Numbered(Dataset[Sample | MatteError]):
    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, request: Any) -> Sample | MatteError:
        try:
            return self.samples.sample(*request)
        except MatteError as error:  # as a value: the loader would put a raised one into the text of its traceback
            return error


class _Collate:
    def __init__(self, colours: bool) -> None:
        self.names = ("image", "trimap", "alpha") + (("foreground", "background") if colours else ())

    def __call__(self, items: Sequence[Sample | MatteError]) -> dict[str, torch.Tensor] | MatteError:
        made: list[Sample] = []
        for item in items:
            if isinstance(item, MatteError):
                return item
            made.append(item)
        tensors = {name: _stack([getattr(sample, name) for sample in made]) for name in self.names}
        tensors["number"] = torch.tensor([sample.number for sample in made])
        return tensors if get_worker_info() is None else _shared(tensors)


def _shared(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor] | MatteError:
    """The tensors in shared memory, as the loader hands them over. It would wait for ever for those that don't fit."""
    try:
        return {name: tensor.share_memory_() for name, tensor in tensors.items()}  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        return DeviceError(
            f"there is too little shared memory for the batches that processes make ({str(error).splitlines()[0]}); "
            "give more (docker run --shm-size=8g), or lower workers in [data] or batch in [[crops]]"
        )


def _stack(arrays: list[np.ndarray[Any, np.dtype[np.uint8]]]) -> torch.Tensor:
    """(S, S) or (S, S, 3) arrays as one (B, C, S, S) tensor, channels last in memory like the network's input."""
    stacked = torch.from_numpy(np.stack(arrays))
    return stacked.unsqueeze(1) if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2)


def _set_up_worker(_: int) -> None:
    """One thread for each worker, because the workers are the parallelism. The parent handles Ctrl-C: it saves."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


def _end_with_parent() -> None:
    """End this worker when the process that trains is gone, killed perhaps. PyTorch looks for the fork server's end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
