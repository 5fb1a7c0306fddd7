from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mattecli.errors import InputError, UsageError
from mattecli.server import history
from mattecli.server.history import History
from mattecli.server.labels import Labels
from mattecli.server.operation import Band, Change, Operation
from mattecli.server.tiles import Index
from tests.server.model import random_plan


@given(st.integers(0, 2**32))
@settings(max_examples=2, deadline=None)
def test_500_mixed_operations_go_all_the_way_back_and_forth_with_equal_hashes(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = Labels(300, 520, memory=100_000)
    states, kinds = [labels.digest()], set()
    for _ in range(500):
        kind, plan = random_plan(random, 300, 520)
        try:
            operation = plan(labels)
        except UsageError:  # a fill of over half of the picture
            continue
        labels.apply(operation)
        if operation.changes or operation.bands:
            states.append(labels.digest())
            kinds.add(kind)
    assert len(states) > 300
    assert kinds == {"stroke", "polygon", "fill", "band", "base"}
    assert labels.history.bytes_held < 100_000 + operation.nbytes
    trimap = labels.trimap()
    for state in states[-2::-1]:
        labels.apply(labels.undo())
        assert labels.digest() == state
    assert (labels.trimap() == 128).all()
    for state in states[1:]:
        labels.apply(labels.redo())
        assert labels.digest() == state
    assert np.array_equal(labels.trimap(), trimap)
    labels.close()


def made(number: int, size: int = 50) -> Operation:
    change = Change("paint", Index(number, 0), bytes(size), bytes([number]) * size)
    return Operation(sequence=number, kind="stroke", changes=(change,))


@given(st.lists(st.sampled_from(["push", "push", "push", "back", "forward"]), max_size=60))
@settings(deadline=None)
def test_operations_on_disk_and_in_memory_come_in_the_same_order(steps: list[str]) -> None:
    kept = History(memory=3 * made(1).nbytes)
    done: list[Operation] = []
    undone: list[Operation] = []
    for number, step in enumerate(steps):
        if step == "push":
            done, undone = [*done, made(number)], []
            kept.push(made(number))
            kept.make_room()
            assert kept.bytes_held <= 3 * made(1).nbytes
        elif step == "back" and done:
            assert kept.last_done() == done[-1]
            undone.append(done.pop())
            kept.step_back()
        elif step == "forward" and undone:
            assert kept.first_undone() == undone[-1]
            done.append(undone.pop())
            kept.step_forward()
        assert (kept.undoable, kept.redoable) == (len(done), len(undone))
    kept.close()


def test_an_operation_is_the_same_after_its_way_through_bytes() -> None:
    changes = (Change("paint", Index(3, 4), b"\x01", b"abc"), Change("base", Index(0, 0), b"", b"\x00\xff"))
    full = Operation(sequence=7, kind="base", changes=changes, bands=(Band(), Band(1, 2, 64)))
    for operation in (full, Operation(sequence=8, kind="refused", refused="a gap"), full.taken_back(9), full.again(10)):
        assert Operation.from_bytes(operation.to_bytes()) == operation


def test_a_full_disk_is_named_and_loses_no_operation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = History(folder=tmp_path / "missing", memory=100)
    kept.push(made(1))
    with pytest.raises(InputError, match="undo file cannot be written"):
        kept.make_room()
    assert kept.last_done() == made(1)
    kept = History(folder=tmp_path, memory=history.MEMORY)
    kept.push(made(2))
    kept.make_room()
    assert list(tmp_path.iterdir()) == []
