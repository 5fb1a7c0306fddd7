"""Blocks of memory that serve one map after the other."""

from __future__ import annotations

import mmap

import pytest

from mattecli.backends.spare import SparePages
from mattecli.errors import OutOfMemoryError

MIB = 2**20


def test_a_new_block_is_zero_and_of_the_size_asked_for() -> None:
    block, new = SparePages().take(3 * MIB + 1)
    assert (block.nbytes, new, block.any()) == (3 * MIB + 1, True, False)


def test_a_block_is_spare_once_the_last_view_of_it_is_gone() -> None:
    spare = SparePages()
    block, _ = spare.take(MIB)
    view = block.view("f4")[7:9]
    del block
    assert spare.bytes() == 0
    view[:] = 5
    del view
    assert spare.bytes() == MIB
    again, new = spare.take(MIB)
    assert not new
    assert again.view("f4")[7:9].tolist() == [5, 5]  # as it was left
    assert spare.bytes() == 0


def test_blocks_in_use_are_never_given_twice() -> None:
    spare = SparePages()
    blocks = [spare.take(MIB)[0] for _ in range(3)]
    for number, block in enumerate(blocks):
        block[:] = number
    assert [set(block.tolist()) for block in blocks] == [{0}, {1}, {2}]


def test_the_smallest_block_that_is_large_enough_serves() -> None:
    spare = SparePages()
    blocks = [spare.take(size * MIB)[0] for size in (8, 2, 4)]
    del blocks
    small, new = spare.take(MIB)
    assert (small.nbytes, new, spare.bytes()) == (MIB, False, 12 * MIB)
    middle, new = spare.take(3 * MIB)
    assert (middle.nbytes, new, spare.bytes()) == (3 * MIB, False, 8 * MIB)


def test_spare_blocks_make_way_for_a_new_one() -> None:
    spare = SparePages()
    blocks = [spare.take(MIB)[0] for _ in range(4)]
    del blocks
    large, new = spare.take(2 * MIB)
    assert (large.nbytes, new, spare.bytes()) == (2 * MIB, True, 2 * MIB)


def test_spare_blocks_can_be_given_back_and_are_fetched_anew() -> None:
    spare = SparePages()
    block, _ = spare.take(MIB)
    block[:] = 1
    del block
    spare.give_back()
    assert spare.bytes() == 0
    block, new = spare.take(MIB)
    assert new
    assert not block.any()


def test_memory_that_ends_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(OutOfMemoryError, match="the memory ran out"):
        SparePages().take(MIB)
