from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mattecli.errors import InputError, UsageError
from mattecli.server import journal as journals
from mattecli.server.distance import measured
from mattecli.server.journal import Journal
from mattecli.server.labels import Labels
from mattecli.server.operation import Operation
from mattecli.server.painting import Answer, Painting
from mattecli.server.tiles import Index
from tests.server.paint_on import SIDE, opened, step

FACTS = {"photo": "a"}


def painted(path: Path, count: int) -> list[tuple[int, str]]:
    """Paint so many operations; gives the size of the journal and the digest after each, and before the first."""
    painting, labels = opened(path)
    with painting:
        states = [(path.stat().st_size, labels.digest())]
        for number in range(1, count + 1):
            painting.do(number, lambda labels, number=number: step(labels, number))
            states.append((path.stat().st_size, labels.digest()))
    return states


Open = Callable[[Path], tuple[Painting, Labels]]


@pytest.fixture
def small() -> Iterator[Open]:
    """Opens what was painted on a small picture. One is open at a time, as after a crash."""
    last: list[Painting] = []

    def open_next(path: Path) -> tuple[Painting, Labels]:
        for painting in last:
            painting.close()
        labels = Labels(20, 30)
        last[:] = [Painting(labels, Journal(path, facts=FACTS), kept=10)]
        return last[0], labels

    yield open_next
    for painting in last:
        painting.close()


def found_in(path: Path) -> tuple[int, str]:
    """The last number in a journal, and the digest."""
    painting, labels = opened(path)
    with painting:
        return painting.sequence, labels.digest()


def dot(x: float) -> Any:
    return lambda labels: labels.stroke(np.array([[x, 10.0, 3.0]]), 255)


def test_a_journal_cut_at_any_byte_gives_the_last_acknowledged_state(small: Open, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    painting, labels = small(whole)
    states = [(whole.stat().st_size, labels.digest())]
    plans = [dot(5), dot(15), lambda labels: labels.undo(), lambda labels: labels.fill(99, 0, 0), dot(25)]
    for number, plan in enumerate(plans, start=1):
        painting.do(number, plan)
        states.append((whole.stat().st_size, labels.digest()))
    data = whole.read_bytes()
    assert len(data) == states[-1][0]
    for size in range(len(data) + 1):
        cut = tmp_path / "cut"
        cut.write_bytes(data[:size])
        again, found = small(cut)
        acknowledged = sum(end <= size for end, _ in states) - 1
        assert again.sequence == max(acknowledged, 0)
        assert found.digest() == states[max(acknowledged, 0)][1]
        if size % 10 == 0:  # it goes on after the cut
            again.do(again.sequence + 1, dot(9))
            once_more, restored = small(cut)
            assert (once_more.sequence, restored.digest()) == (again.sequence, found.digest())
    assert not (tmp_path / "cut.damaged").exists()


def test_zeros_that_a_lost_machine_left_are_not_operations(tmp_path: Path) -> None:
    states = painted(tmp_path / "j", 5)
    with (tmp_path / "j").open("ab") as file:
        file.write(bytes(5000))
    assert found_in(tmp_path / "j") == (5, states[-1][1])
    assert (tmp_path / "j").stat().st_size == states[-1][0]


def test_undo_goes_on_after_a_crash(small: Open, tmp_path: Path) -> None:
    painting, labels = small(tmp_path / "j")
    digests = [labels.digest()]
    for number in (1, 2, 3):
        painting.do(number, dot(8 * number))
        digests.append(labels.digest())
    painting, labels = small(tmp_path / "j")
    for number, digest in ((4, digests[2]), (5, digests[1])):
        painting.do(number, lambda labels: labels.undo())
        assert labels.digest() == digest
    painting, labels = small(tmp_path / "j")
    painting.do(6, lambda labels: labels.redo())
    assert labels.digest() == digests[2]


def test_a_killed_process_loses_no_acknowledged_operation(tmp_path: Path) -> None:
    path = tmp_path / "j"
    moments = random.Random(4)
    acknowledged = 0
    for _ in range(int(os.environ.get("MATTE_TEST_KILLS", "3"))):
        command = [sys.executable, "-m", "tests.server.paint_on", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline()]
            time.sleep(moments.uniform(0, 0.1))
            child.kill()
            lines += child.stdout.readlines()
        acknowledged = max(acknowledged, int([line for line in lines if line.endswith("\n")][-1]))
        last, digest = found_in(path)
        assert acknowledged <= last <= acknowledged + 1
        expected = Labels(SIDE, SIDE)
        for number in range(1, last + 1):
            expected.apply(step(expected, number))
        assert digest == expected.digest()


def test_an_operation_sent_again_is_done_once_and_has_the_same_answer(small: Open, tmp_path: Path) -> None:
    painting, labels = small(tmp_path / "j")
    answer = painting.do(1, dot(5))
    assert answer == Answer(1, {Index(0, 0): 1})
    size, digest = (tmp_path / "j").stat().st_size, labels.digest()
    assert painting.do(1, dot(25)) == answer
    assert ((tmp_path / "j").stat().st_size, labels.digest()) == (size, digest)
    restarted, labels = small(tmp_path / "j")
    assert restarted.do(1, dot(25)) == answer
    assert labels.digest() == digest
    restarted.do(2, dot(25))
    assert restarted.do(1, dot(5)).tiles == {Index(0, 0): 2}, "a tile has the revision it has now"


def test_a_refusal_uses_up_its_number_and_is_repeated(small: Open, tmp_path: Path) -> None:
    painting, labels = small(tmp_path / "j")
    digest = labels.digest()
    refusal = painting.do(1, lambda labels: labels.fill(99, 0, 255))
    assert "outside of the picture" in refusal.refused
    assert (refusal.tiles, labels.digest()) == ({}, digest)
    assert painting.do(1, dot(5)) == refusal
    restarted, _ = small(tmp_path / "j")
    assert restarted.do(1, dot(5)) == refusal
    assert restarted.do(2, dot(5)).refused == ""


def test_a_number_that_leaves_out_others_is_refused(small: Open, tmp_path: Path) -> None:
    painting, _ = small(tmp_path / "j")
    with pytest.raises(UsageError, match="operation 2 came before 1"):
        painting.do(2, dot(5))
    with pytest.raises(UsageError, match="numbered from 1"):
        painting.do(0, dot(5))


def test_an_operation_of_long_ago_is_answered_with_all_tiles(small: Open, tmp_path: Path) -> None:
    painting, labels = small(tmp_path / "j")
    for number in range(1, 12):
        painting.do(number, lambda labels: labels.refused("for its number"))
    assert painting.do(2, dot(5)).tiles == {}
    assert painting.do(1, dot(5)).tiles == dict.fromkeys(labels.grid, 0)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "free some space"),
        (OSError(errno.EIO, "Input/output error"), "check that its disk and its folder can be written"),
    ],
)
def test_a_failing_disk_changes_nothing_and_leaves_the_number_free(
    small: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, remedy: str
) -> None:
    painting, labels = small(tmp_path / "j")
    painting.do(1, dot(5))
    size, digest = (tmp_path / "j").stat().st_size, labels.digest()
    calls = []

    class Failing:
        """The `os` module of a machine whose disk fails while a record is synced."""

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def fsync(self, descriptor: int) -> None:
            calls.append(descriptor)
            raise error

    monkeypatch.setattr(journals, "os", Failing())
    with pytest.raises(InputError, match=f"nothing was painted; {remedy}"):
        painting.do(2, dot(25))
    assert len(calls) == 1
    monkeypatch.undo()
    assert ((tmp_path / "j").stat().st_size, labels.digest()) == (size, digest)
    assert painting.do(2, dot(25)).tiles == {Index(0, 0): 2}
    assert small(tmp_path / "j")[1].digest() == labels.digest()


def test_damage_in_the_middle_keeps_what_was_before_and_a_copy_of_the_file(tmp_path: Path) -> None:
    states = painted(tmp_path / "j", 6)
    data = bytearray((tmp_path / "j").read_bytes())
    data[states[3][0] + 40] ^= 1
    (tmp_path / "j").write_bytes(data)
    assert found_in(tmp_path / "j") == (3, states[3][1])
    assert (tmp_path / "j.damaged").read_bytes() == data


@pytest.mark.parametrize(
    ("content", "facts", "words"),
    [
        (None, {"photo": "b"}, "another photo"),
        (b"some text that is not a journal\n", FACTS, "not a journal"),
        (b"mattecli labels 1\n" + bytes(400), FACTS, "damaged"),
    ],
)
def test_files_that_are_not_the_journal_of_the_photo_are_refused_and_kept(
    tmp_path: Path, content: bytes | None, facts: dict[str, Any], words: str
) -> None:
    path = tmp_path / "j"
    if content is None:
        painted(path, 1)
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(InputError, match=words):
        Journal(path, facts=facts)
    assert path.read_bytes() == before


def test_a_journal_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        Journal(tmp_path / "missing" / "j", facts=FACTS)


def test_a_removed_journal_is_gone_and_a_closed_one_stays(tmp_path: Path) -> None:
    closed, removed = Journal(tmp_path / "closed", facts=FACTS), Journal(tmp_path / "removed", facts=FACTS)
    closed.append(Operation(sequence=1, kind="refused", refused="a gap"))
    closed.close()
    removed.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["closed"]
    again = Journal(tmp_path / "closed", facts=FACTS)
    assert [found.refused for found in again.operations()] == ["a gap"]
    again.close()


def test_a_refinement_is_undone_and_done_again_with_its_stroke_also_after_a_crash(small: Open, tmp_path: Path) -> None:
    painting, labels = small(tmp_path / "j")
    trimap = np.zeros((20, 30), np.uint8)
    trimap[5:15, 5:15] = 255
    bare = labels.digest()
    painting.do(1, dot(8))
    painting.do(2, dot(16))
    painting.do(3, lambda labels: labels.refine_base(measured(trimap), after=1))
    refined = labels.digest()
    painting, labels = small(tmp_path / "j")
    for number in (4, 5):
        painting.do(number, lambda labels: labels.undo())
    assert labels.digest() == bare
    painting, labels = small(tmp_path / "j")
    assert labels.digest() == bare
    for number in (6, 7):
        painting.do(number, lambda labels: labels.redo())
    assert labels.digest() == refined
