"""Memory that serves one map after the other."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from mattecli.errors import DeviceError, OutOfMemoryError
from mattecli.imaging.reading.limits import check_room
from mattecli.inference.arena import Arena, reserve_region, shared
from tests.support.memory import free_memory

MIB = 2**20
needs_region = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is known to give zeros again")


def held() -> int:
    return int(psutil.Process().memory_info().rss)


def test_a_block_is_zero_and_of_the_size_asked_for() -> None:
    block = Arena().take(3 * MIB + 1, zero=True)
    assert (block.nbytes, block.any()) == (3 * MIB + 1, False)


def test_blocks_in_use_are_never_given_twice() -> None:
    memory = Arena()
    blocks = [memory.take(MIB + 5) for _ in range(3)]
    for number, block in enumerate(blocks):
        block[:] = number
    assert [set(block.tolist()) for block in blocks] == [{0}, {1}, {2}]


@needs_region
def test_a_block_is_spare_once_the_last_view_of_it_is_gone_and_serves_again() -> None:
    memory = Arena()
    block = memory.take(2 * MIB)
    view = block.view("f4")[7:9]
    del block
    assert memory.spare_bytes() == 0
    view[:] = 5
    del view
    assert memory.spare_bytes() == 2 * MIB
    smaller = memory.take(MIB)
    assert smaller.view("f4")[7:9].tolist() == [5, 5]  # as it was left
    assert memory.spare_bytes() == MIB


def test_spare_bytes_are_not_counted_while_another_thread_reserves_the_region() -> None:
    found: list[int] = []
    waited: list[bool] = []
    asking = threading.Thread(target=lambda: found.append(memory.spare_bytes()))

    def region() -> mmap.mmap | None:
        asking.start()
        asking.join(0.2)
        waited.append(asking.is_alive())
        return reserve_region()

    memory = Arena(region)
    block = memory.take(MIB)
    asking.join(60)
    assert (waited, found) == ([True], [0])
    assert block.nbytes == MIB


@needs_region
def test_free_neighbours_serve_a_larger_map_together() -> None:
    memory = Arena()
    blocks = [memory.take(MIB) for _ in range(3)]
    del blocks
    large = memory.take(3 * MIB)
    assert (large.nbytes, memory.spare_bytes()) == (3 * MIB, 0)


@needs_region
def test_what_is_given_back_is_no_longer_held_and_is_zero_again() -> None:
    memory = Arena()
    kept = memory.take(MIB)
    kept[:] = 7
    block = memory.take(100 * MIB)
    block[:] = 1
    del block
    before = held()
    memory.give_back()
    assert held() < before - 90 * MIB
    assert memory.spare_bytes() == 0
    assert kept.all()
    assert not memory.take(100 * MIB).any()


@needs_region
def test_what_is_kept_for_later_maps_is_given_back_before_a_file_is_refused() -> None:
    block = shared.take(3 * MIB)
    del block
    assert shared.spare_bytes() >= 3 * MIB
    with free_memory(0), pytest.raises(DeviceError, match="only 0 MiB are free"):
        check_room(2**40, 100, 100, "photo.png")
    assert shared.spare_bytes() == 0


@needs_region
def test_the_arena_gives_back_as_much_free_memory_as_is_asked_for_the_last_block_first() -> None:
    memory = Arena()
    blocks = [memory.take(3 * MIB) for _ in range(3)]
    for block in blocks:
        block[:] = 1
    del block, blocks[::2]
    memory.give_back(MIB + 1)
    assert memory.spare_bytes() == 4 * MIB
    assert memory.take(3 * MIB).all()
    memory.give_back(3 * MIB + 1)
    assert memory.spare_bytes() == 0
    assert blocks[0].all()


@needs_region
def test_zeros_are_written_only_where_something_was() -> None:
    memory = Arena()
    first = memory.take(2 * MIB)
    first[:] = 1
    del first
    before = held()
    large = memory.take(300 * MIB, zero=True)
    assert held() < before + 50 * MIB
    assert not large.any()


@needs_region
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_process_with_a_region_can_fork() -> None:
    memory = Arena()
    block = memory.take(MIB)
    block[:] = 3
    beside = [mmap.mmap(-1, 400 * 1024, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) for _ in range(50)]
    child = os.fork()
    if child == 0:
        os._exit(0 if block.all() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(beside) == 50


@needs_region
def test_a_process_with_two_backends_has_one_region() -> None:
    code = """
import numpy as np, psutil
from mattecli.inference import tiling
from mattecli.inference.torch_backend import TorchBackend
from mattecli.network.inputs import Picture
from mattecli.weights import find_checkpoint

def addresses():
    return psutil.Process().memory_info().vms

backends = [TorchBackend(find_checkpoint(), device="cpu") for _ in range(2)]
picture = Picture(np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 128, np.uint8))
seen, alphas = [addresses()], []
for backend in backends:
    alphas.append(tiling.run(backend, picture, picture.unknown(), tile=64))
    seen.append(addresses())
assert np.array_equal(*alphas)
print(*seen, psutil.virtual_memory().total)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, first, second, memory = map(int, done.stdout.split())
    assert before < memory  # making backends reserves nothing
    assert first - before > 0.9 * memory
    assert second - first < 0.1 * memory


@needs_region
def test_threads_that_take_and_free_blocks_at_once_never_share_one() -> None:
    memory = Arena()

    def work(number: int) -> bool:
        right = True
        for turn in range(60):
            blocks = [memory.take((1 + (number + turn + n) % 3) * MIB, zero=bool(turn % 2)) for n in range(3)]
            right = right and (turn % 2 == 0 or not any(block.any() for block in blocks))
            for block in blocks:
                block[:] = number + 1
            if turn % 20 == 0:
                memory.give_back(MIB)
            right = right and all((block == number + 1).all() for block in blocks)
        return right

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


@needs_region
def test_a_map_larger_than_every_gap_comes_from_the_system() -> None:
    memory = Arena(lambda: mmap.mmap(-1, 4 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    blocks = [memory.take(MIB) for _ in range(4)]
    del blocks[2], blocks[0]  # two free chunks that are not neighbours
    large = memory.take(2 * MIB)
    large[:] = 9
    assert not any((block == 9).any() for block in blocks)
    assert memory.spare_bytes() == 2 * MIB
    with pytest.raises(OutOfMemoryError):
        memory.take(3 * MIB)


@needs_region
@pytest.mark.parametrize(("says", "reserved"), [("0\n", True), ("1\n", True), ("2\n", False), (None, False)])
def test_a_region_is_reserved_only_where_the_system_overcommits(
    says: str | None, reserved: bool, tmp_path: Path
) -> None:
    policy = tmp_path / "overcommit_memory"
    if says is not None:
        policy.write_text(says)
    assert (reserve_region(policy) is not None) == reserved


def test_without_a_region_each_block_is_asked_for_by_itself() -> None:
    memory = Arena(lambda: None)
    for _ in range(2):
        block = memory.take(3 * MIB, zero=True)
        assert (block.nbytes, block.any()) == (3 * MIB, False)
        block[:] = 1
    del block
    memory.give_back()
    assert memory.spare_bytes() == 0


@needs_region
def test_no_region_where_the_process_has_a_limit_on_addresses() -> None:
    import resource  # not on Windows

    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 64 * MIB, before[1]))
    try:
        assert reserve_region() is None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("memory", [Arena(), Arena(lambda: None)], ids=["with a region", "without"])
def test_memory_that_ends_is_our_error(memory: Arena) -> None:
    with pytest.raises(OutOfMemoryError, match="the memory ran out"):
        memory.take(2**60)
