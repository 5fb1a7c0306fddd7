import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mattecli.errors import InputError
from mattecli.training.data.dataset import DataConfig, Samples, batches
from tests.support.pictures import cutout, noise, write


def small(**settings: object) -> Samples:
    return Samples(DataConfig(foreground_size=64, bank=2, **settings), seed=4)  # type: ignore[arg-type]


def take(count: int, loader: Iterator[dict[str, torch.Tensor]]) -> list[dict[str, torch.Tensor]]:
    return list(itertools.islice(loader, count))


def size_of(k: int) -> int:
    return 32 if k % 2 else 48


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def check_same(some: list[dict[str, torch.Tensor]], others: list[dict[str, torch.Tensor]], *, count: int) -> None:
    assert len(some) == len(others) == count
    assert all(equal(*both) for both in zip(some, others, strict=True))


def test_batches_hold_the_samples_of_their_numbers_in_order() -> None:
    samples = small()
    made = take(3, batches(samples, start=0, batch=2, size_of=size_of, workers=0))
    assert [batch["number"].tolist() for batch in made] == [[0, 1], [2, 3], [4, 5]]
    for k, batch in enumerate(made):
        side = size_of(k)
        assert {name: tuple(plane.shape) for name, plane in batch.items() if name != "number"} == {
            "image": (2, 3, side, side),
            "trimap": (2, 1, side, side),
            "alpha": (2, 1, side, side),
            "foreground": (2, 3, side, side),
            "background": (2, 3, side, side),
        }
        assert batch["image"].dtype == torch.uint8
        sample = samples.sample(2 * k + 1, side)
        np.testing.assert_array_equal(batch["image"][1].permute(1, 2, 0).numpy(), sample.image)
        np.testing.assert_array_equal(batch["alpha"][1, 0].numpy(), sample.alpha)


def test_worker_processes_change_nothing() -> None:
    samples = small()
    alone = take(5, batches(samples, start=0, batch=2, size_of=size_of, workers=0))
    helped = take(5, batches(samples, start=0, batch=2, size_of=size_of, workers=2))
    check_same(alone, helped, count=5)


def test_a_start_at_a_later_batch_goes_on_as_if_uninterrupted() -> None:
    samples = small()

    def batch(k: int) -> int:
        return 1 + k % 3

    whole = take(5, batches(samples, start=0, batch=batch, size_of=size_of, workers=0))
    rest = take(3, batches(samples, start=2, batch=batch, size_of=size_of, workers=0))
    check_same(whole[2:], rest, count=3)


def test_a_start_with_a_given_sample_goes_on_from_there() -> None:
    made = take(2, batches(small(), start=5, first=3, batch=2, size_of=size_of, workers=0, rank=1, world_size=2))
    assert [batch["number"].tolist() for batch in made] == [[5, 6], [9, 10]]


def test_processes_share_the_samples_of_each_step_without_overlap() -> None:
    samples = small()
    parts = [
        take(2, batches(samples, start=1, batch=2, size_of=size_of, workers=0, rank=rank, world_size=3))
        for rank in range(3)
    ]
    numbers = [[n for part in parts for n in part[step]["number"].tolist()] for step in range(2)]
    assert numbers == [list(range(6, 12)), list(range(12, 18))]


def test_colours_can_be_left_out() -> None:
    (batch,) = take(1, batches(small(), start=0, batch=1, size_of=size_of, workers=0, colours=False))
    assert set(batch) == {"image", "trimap", "alpha", "number"}


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_picture_is_named_from_a_worker_as_from_here(tmp_path: Path, workers: int) -> None:
    write(tmp_path / "good.png", cutout())
    (tmp_path / "good.png").rename(tmp_path / "bad.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG and no more")
    samples = small(foregrounds=(str(tmp_path),), procedural=0)
    with pytest.raises(InputError, match=r"bad\.png") as caught:
        take(1, batches(samples, start=0, batch=1, size_of=size_of, workers=workers))
    assert "\n" not in str(caught.value)


def test_a_sample_is_the_same_with_a_cache_as_without(tmp_path: Path) -> None:
    write(tmp_path / "photos" / "a.png", noise(1))
    photos = (str(tmp_path / "photos"),)
    plain, cached = small(photos=photos), small(photos=photos, cache=str(tmp_path / "cache"))
    for n in range(4):
        np.testing.assert_array_equal(plain.sample(n, 48).image, cached.sample(n, 48).image)


START = """
import time
from mattecli.errors import DeviceError
from mattecli.training.data.dataset import DataConfig, Samples, batches

def start(size):
    samples = Samples(DataConfig(foreground_size=64, bank=2), seed=4)
    return batches(samples, start=0, batch=2, size_of=lambda k: size, workers=1)
"""


def test_workers_end_when_the_process_that_trains_is_killed() -> None:
    code = f"{START}\nmade = start(32)\nnext(made)\nprint('made', flush=True)\ntime.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == "made\n"
        trainer.kill()
        trainer.communicate(timeout=30)  # ends when the last process that may still write there has ended


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
def test_shared_memory_that_is_too_small_is_named() -> None:
    limit = "import resource, signal\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    code = f"{limit}\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n{START}\ntry: next(start(160))"
    code += "\nexcept DeviceError as error: print(error)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True).stdout
    assert "too little shared memory" in found
    assert "--shm-size" in found
    assert "workers" in found
