"""Memory that serves one map after the other."""

from __future__ import annotations

import mmap
import os
import sys

import psutil
import pytest

from mattecli.errors import OutOfMemoryError
from mattecli.inference import arena
from mattecli.inference.arena import Arena

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
def test_of_what_is_held_for_no_map_as_much_is_given_back_as_is_asked_for_the_last_first() -> None:
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
def test_no_region_where_the_system_promises_no_more_than_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert arena._reserve() is not None
    monkeypatch.setattr(arena, "_promises_are_kept", lambda: True)
    assert arena._reserve() is None


def test_without_a_region_each_block_is_asked_for_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "_reserve", lambda: None)
    memory = Arena()
    for _ in range(2):
        block = memory.take(3 * MIB, zero=True)
        assert (block.nbytes, block.any()) == (3 * MIB, False)
        block[:] = 1
    del block
    memory.give_back()
    assert memory.spare_bytes() == 0


def test_memory_that_ends_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    with pytest.raises(OutOfMemoryError, match="the memory ran out"):
        Arena().take(2**60)
    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(OutOfMemoryError, match="the memory ran out"):
        Arena().take(MIB)
