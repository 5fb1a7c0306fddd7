from __future__ import annotations

from types import SimpleNamespace

import pytest

from mattecli.server.pauses import HELD, LONGEST, Pauses, Signals
from mattecli.server.tasks import Matted
from tests.server import processes
from tests.server.test_dispatcher import Listened, matte


class Clock:
    """A clock that sleeping moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def pauses(clock: Clock, *, held: float) -> Pauses:
    signals = Signals(SimpleNamespace(value=0), SimpleNamespace(value=held))
    return Pauses(signals, clock=clock, sleep=clock.sleep)


def test_a_run_rests_until_the_word_of_the_page_is_too_old() -> None:
    clock = Clock()
    one = pauses(clock, held=100 + HELD)
    one.rest(lambda: None)
    assert clock.now == pytest.approx(100 + HELD, abs=0.03)
    assert one.seconds == pytest.approx(HELD, abs=0.03)
    one.rest(lambda: None)
    assert clock.now == pytest.approx(100 + HELD, abs=0.03), "the pointer is up"


def test_a_pointer_that_is_down_for_ever_blocks_no_run_for_ever() -> None:
    clock = Clock()
    one = pauses(clock, held=1e9)
    for tile in range(1, 4):
        one.rest(lambda: None)
        assert clock.now == pytest.approx(100 + tile * LONGEST, abs=0.1)


def test_a_run_that_is_cancelled_does_not_rest() -> None:
    def ended() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        pauses(Clock(), held=1e9).rest(ended)


def test_the_worker_process_pauses_by_the_word_of_the_server_and_goes_on_without_it() -> None:
    listened = Listened(processes.resting)
    try:
        listened.submit(matte(1))
        listened.end_of(1)  # the process has started
        listened.dispatcher.hold(down=True)
        listened.submit(matte(2))
        paused = listened.end_of(2)  # it goes on although no word comes that the pointer is up
        assert isinstance(paused, Matted)
        assert paused.seconds > HELD / 2
        listened.dispatcher.hold(down=True)
        listened.dispatcher.hold(down=False)
        listened.submit(matte(3))
        free = listened.end_of(3)
        assert isinstance(free, Matted)
        assert free.seconds < paused.seconds / 2
    finally:
        listened.dispatcher.close()
