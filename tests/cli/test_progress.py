"""Bars and Ctrl-C."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys

import pytest

from mattecli.cli.progress import interruptible, passes_bar, progress_bar
from mattecli.cli.terminal import Terminal
from mattecli.errors import InputError
from mattecli.inference.tiling import PASSES


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stderr be taken for a terminal of 120 columns; called in the test, since pytest changes stderr before it."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


def test_a_bar_shows_per_cent_count_elapsed_and_remaining_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_terminal(monkeypatch)
    with progress_bar(Terminal(), "scoring [all]", total=4) as bar:
        bar.advance(note="cat.png")
        bar.advance(note="[dog].png")
    out, err = capsys.readouterr()
    err = re.sub(r"\x1b\[[\d;]*m", "", err)
    assert out == ""
    assert "scoring [all]" in err
    assert "50%" in err
    assert "2/4" in err
    assert re.search(r"0:00:00 left +(-:--:--|0:00:0\d)", err)
    assert "[dog].png" in err


def test_what_is_said_meanwhile_stands_on_lines_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_terminal(monkeypatch)
    terminal = Terminal()
    with progress_bar(terminal, "scoring", total=4) as bar:
        bar.advance(note="cat.png")
        terminal.say("said")
        terminal.warn("warned")
        terminal.fail(InputError("failed"))
    err = capsys.readouterr().err
    for text in ("said", "warning:", "error:"):
        assert re.search(rf"\r\x1b\[2K(\x1b\[[\d;]*m)*{text}", err), text


def test_a_file_and_quiet_get_no_progress_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_terminal(monkeypatch)
    with progress_bar(Terminal(quiet=True), "scoring", total=4) as bar:
        bar.advance()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    with progress_bar(Terminal(), "scoring", total=4) as bar:
        bar.set(3, "note")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("verbose", [False, True])
def test_passes_are_named_only_to_the_verbose_and_only_after_a_second(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verbose: bool
) -> None:
    on_a_terminal(monkeypatch)
    clock = [100.0]
    monkeypatch.setattr("mattecli.cli.progress.time.monotonic", lambda: clock[0])
    with passes_bar(Terminal(verbose=verbose)) as show:
        show(PASSES[0], 1, 2)
    assert "%" not in capsys.readouterr().err
    with passes_bar(Terminal(verbose=verbose)) as show:
        clock[0] += 1.1
        show(PASSES[1], 1, 2)
    err = capsys.readouterr().err
    assert f"{100 * 1.5 / len(PASSES):.0f}%" in err
    assert (f"pass 2 of {len(PASSES)} ({PASSES[1]}), tile 1 of 2" in err) is verbose


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_a_second_ctrl_c_interrupts(
    capfd: pytest.CaptureFixture[str], first: signal.Signals
) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    asked: list[bool] = []

    def run() -> None:
        with interruptible(Terminal(), "coming to an end") as interrupted:
            for number in (first, signal.SIGTERM, signal.SIGINT):  # a cluster may send SIGTERM again
                asked.append(interrupted.is_set())
                os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert asked == [False, True, True]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert capfd.readouterr().err.count("coming to an end") == 2


def test_after_a_signal_messages_that_nobody_reads_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    class Gone(io.StringIO):  # a terminal that was closed
        def write(self, _: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

    def refused(*_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.setattr(os, "write", refused)
    with interruptible(Terminal(), "coming to an end") as interrupted:
        with pytest.raises(BrokenPipeError):
            Terminal().say("before")
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupted.is_set()
        Terminal().say("after")
        Terminal().warn("after")
        Terminal().data("after")
    assert interrupted.exit_code == 143
