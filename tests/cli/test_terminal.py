"""What goes to which stream, and what the switches leave out."""

from __future__ import annotations

import sys

import pytest

from mattecli.cli import terminal
from mattecli.errors import InputError


@pytest.fixture(autouse=True)
def _switches_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for switch in ("quiet", "verbose", "debug"):
        monkeypatch.setattr(terminal, switch, False)


def test_results_go_to_stdout_and_everything_else_to_stderr(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    terminal.data("text ")
    terminal.data(b"\x00bytes")
    terminal.say("said")
    terminal.warn("warned")
    terminal.fail(InputError("failed"))
    out, err = capsysbinary.readouterr()
    assert out == b"text \x00bytes"
    assert err == b"said\nwarning: warned\nerror: failed\n"


def test_details_are_for_the_verbose_and_quiet_leaves_only_errors(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.detail("unseen")
    terminal.set_verbose(True)
    terminal.detail("seen")
    assert capsys.readouterr().err == "seen\n"
    terminal.set_quiet(True)
    terminal.detail("unseen")
    terminal.say("unseen")
    terminal.warn("unseen")
    terminal.fail(InputError("failed"))
    assert capsys.readouterr().err == "error: failed\n"


def test_debug_shows_where_an_error_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.set_debug(True)
    try:
        raise ZeroDivisionError("nothing to divide")
    except ZeroDivisionError as error:
        terminal.fail(InputError("the sentence"), cause=error)
        terminal.fail_unexpectedly(error)
    err = capsys.readouterr().err
    assert err.count("Traceback") == 2
    assert "error: the sentence\n" in err
    assert "error: a bug in matte: ZeroDivisionError: nothing to divide; run again with --debug" in err


@pytest.mark.parametrize("no_color", [True, False])
def test_marks_are_coloured_on_a_terminal_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_color: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    terminal.warn("[red]a file's name[/red]")
    err = capsys.readouterr().err
    assert "[red]a file's name[/red]" in err
    assert ("\x1b[33m" in err) is not no_color
