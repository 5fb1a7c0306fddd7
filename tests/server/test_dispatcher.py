from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from mattecli.geometry import Box
from mattecli.inference.options import RunOptions
from mattecli.server.dispatcher import Dispatcher
from mattecli.server.shared import Place
from mattecli.server.tasks import LAST, Cancelled, Failed, Matted, MatteTask, ProposalTask, Reply, Task
from tests.server import processes

NOWHERE = Place("", (1, 1), "|u1")


def matte(number: int, photo: str = "a", **fields: Any) -> MatteTask:
    known = {"kind": "preview", "sequence": 0, "box": Box(0, 1, 0, 1), **fields}
    places = {"view": NOWHERE, "trimap": NOWHERE, "out": NOWHERE}
    return MatteTask(number=number, photo=photo, name="photo.png", content="", **places, **known)


def proposal(number: int, photo: str = "a") -> ProposalTask:
    return ProposalTask(number=number, photo=photo, name="photo.png", word="w", source="box", view=NOWHERE)


class Listened:
    """A dispatcher, and the replies to each task."""

    def __init__(self, target: Callable[..., None]) -> None:
        self.replies: dict[int, list[Reply]] = {}
        self.heard: list[int] = []  # the task of each reply
        self.dispatcher = Dispatcher(RunOptions(), self.hear, target=target)

    def hear(self, task: Task, reply: Reply) -> None:
        self.heard.append(task.number)
        self.replies.setdefault(task.number, []).append(reply)

    def submit(self, *tasks: Task) -> None:
        for task in tasks:
            self.dispatcher.submit(task)

    def begun(self, number: int) -> None:
        """Wait until a task has told of itself."""
        self._until(lambda: bool(self.replies.get(number)))

    def end_of(self, number: int) -> Reply:
        self._until(lambda: isinstance(self.replies.get(number, [None])[-1], LAST))
        return self.replies[number][-1]

    def _until(self, come: Callable[[], bool]) -> None:
        end = time.monotonic() + 400
        while not come():
            assert time.monotonic() < end, self.replies
            time.sleep(0.01)


def workers() -> list[int]:
    """The worker processes that this one has started."""
    children = psutil.Process().children()
    return [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.fixture
def listened(request: pytest.FixtureRequest) -> Iterator[Listened]:
    found = Listened(request.param)
    yield found
    found.dispatcher.close()


@pytest.mark.parametrize("listened", [processes.quick], indirect=True)
def test_tasks_of_photos_are_done_one_after_another(listened: Listened) -> None:
    listened.submit(*(matte(number, photo=str(number)) for number in (1, 2, 3)))
    assert all(isinstance(listened.end_of(number), Matted) for number in (1, 2, 3))
    assert listened.heard == [1, 2, 3]


@pytest.mark.parametrize("listened", [processes.obedient], indirect=True)
def test_a_newer_matte_takes_the_place_of_the_older_ones_of_its_photo(listened: Listened) -> None:
    listened.submit(matte(1))
    listened.begun(1)
    listened.submit(matte(2, photo="b"), matte(3), matte(4))
    assert isinstance(listened.end_of(1), Cancelled)
    assert isinstance(listened.end_of(3), Cancelled)
    listened.begun(2)
    assert listened.dispatcher.cancel(lambda task: task.number == 2)
    listened.begun(4)


@pytest.mark.parametrize("listened", [processes.obedient], indirect=True)
def test_a_proposal_ends_mattes_and_a_matte_waits_for_proposals(listened: Listened) -> None:
    listened.submit(matte(1))
    listened.begun(1)
    listened.submit(proposal(2))
    assert isinstance(listened.end_of(1), Cancelled)
    listened.begun(2)
    listened.submit(matte(3))
    listened.submit(proposal(4))
    assert isinstance(listened.end_of(2), Cancelled)
    assert isinstance(listened.end_of(3), Cancelled)
    listened.begun(4)


@pytest.mark.parametrize("listened", [processes.obedient], indirect=True)
def test_a_pinned_run_keeps_its_place_before_previews(listened: Listened) -> None:
    listened.submit(matte(1, kind="exact", pinned=True))
    listened.begun(1)
    listened.submit(matte(2), matte(3))
    assert isinstance(listened.end_of(2), Cancelled)
    assert not isinstance(listened.replies[1][-1], LAST)
    listened.submit(matte(4, kind="exact", pinned=True))
    assert isinstance(listened.end_of(1), Cancelled)


@pytest.mark.parametrize("listened", [processes.deaf], indirect=True)
def test_a_process_that_does_not_hear_is_killed_and_the_next_task_gets_a_new_one(listened: Listened) -> None:
    listened.submit(matte(1))
    listened.begun(1)
    began = time.monotonic()
    assert listened.dispatcher.cancel(lambda task: task.photo == "a")
    assert isinstance(listened.end_of(1), Cancelled)
    assert time.monotonic() - began < 30  # and not the ten minutes that it would sleep
    listened.submit(matte(2))
    listened.begun(2)


@pytest.mark.parametrize("listened", [processes.quick], indirect=True)
def test_a_process_can_be_started_before_there_is_a_task(listened: Listened) -> None:
    others = set(workers())  # what tests of other modules left in this process
    for _ in range(2):
        listened.dispatcher.warm()
    started = set(workers()) - others
    assert len(started) == 1
    listened.submit(matte(1))
    assert isinstance(listened.end_of(1), Matted)
    assert set(workers()) - others == started


@pytest.mark.parametrize("listened", [processes.dying], indirect=True)
def test_the_death_of_the_process_is_a_sentence(listened: Listened) -> None:
    listened.submit(matte(1), matte(2, photo="b"))
    for number in (1, 2):
        reply = listened.end_of(number)
        assert isinstance(reply, Failed)
        assert "ended suddenly" in reply.sentence


@pytest.mark.parametrize("listened", [processes.obedient], indirect=True)
def test_the_end_ends_everything(listened: Listened) -> None:
    listened.submit(matte(1), matte(2, photo="b"))
    listened.begun(1)
    listened.dispatcher.close()
    assert isinstance(listened.end_of(1), Cancelled)
    assert isinstance(listened.end_of(2), Cancelled)
    assert not listened.dispatcher.cancel(lambda _: True)


@pytest.mark.parametrize("listened", [processes.babbling], indirect=True)
def test_a_task_that_meets_a_bug_fails_and_the_next_one_is_done(listened: Listened) -> None:
    listened.submit(matte(1), matte(2, photo="b"))
    end = listened.end_of(1)
    assert isinstance(end, Failed)
    assert "photo.png met a bug in matte: ValueError" in end.sentence
    assert isinstance(listened.end_of(2), Matted)


def test_an_error_of_what_hears_of_a_reply_leaves_the_later_tasks_as_they_are() -> None:
    class Broken(Listened):
        def hear(self, task: Task, reply: Reply) -> None:
            super().hear(task, reply)
            if task.number == 1:
                raise ValueError("a bug")

    broken = Broken(processes.quick)
    broken.submit(matte(1), matte(2, photo="b"))
    assert isinstance(broken.end_of(2), Matted)
    broken.dispatcher.close()
