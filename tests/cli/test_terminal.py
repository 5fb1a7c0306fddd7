"""What goes to which stream, and what the switches leave out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from rich.console import Console

from mattecli.cli.terminal import Terminal, printable
from mattecli.errors import InputError
from tests.support.fresh import start_fresh


def test_results_go_to_stdout_and_everything_else_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.data("text ")
    terminal.say("said")
    terminal.warn("warned")
    terminal.fail(InputError("failed"))
    assert capsys.readouterr() == ("text ", "said\nwarning: warned\nerror: failed\n")


@pytest.mark.parametrize(
    ("switches", "shown"),
    [
        ({}, "said\nwarning: warned\nerror: failed\n"),
        ({"verbose": True}, "detail\nsaid\nwarning: warned\nerror: failed\n"),
        ({"quiet": True}, "error: failed\n"),
        ({"quiet": True, "verbose": True}, "error: failed\n"),
    ],
)
def test_details_are_for_the_verbose_and_quiet_leaves_only_errors(
    capsys: pytest.CaptureFixture[str], switches: dict[str, bool], shown: str
) -> None:
    terminal = Terminal(**switches)
    terminal.detail("detail")
    terminal.say("said")
    terminal.warn("warned")
    terminal.fail(InputError("failed"))
    assert capsys.readouterr() == ("", shown)


def test_debug_shows_where_an_error_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(debug=True)
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
    Terminal().warn("[red]a file's name[/red]")
    err = capsys.readouterr().err
    assert "[red]a file's name[/red]" in err
    assert ("\x1b[33m" in err) is not no_color


def test_a_name_is_printed_on_one_line_without_control_codes(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(verbose=True).detail("a\nb\x1b[31m → c")
    assert capsys.readouterr().err == "a\\nb\\x1b[31m → c\n"
    assert printable("a\nb\x1b[31m é 🦊") == "a\\nb\\x1b[31m é 🦊"


def test_a_console_that_shows_codes_of_colours_gets_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    old = Console(stderr=True, force_terminal=True, legacy_windows=True)
    monkeypatch.setattr("mattecli.cli.terminal.console", lambda: old)
    Terminal().warn("warned")
    assert capsys.readouterr().err == "warning: warned\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is a full disk")
@pytest.mark.parametrize(
    "command",
    [["--version"], ["report", "run.jsonl"], ["trimap", "mask.png", "-o", "-"], ["--help"], ["report", "--help"]],
    ids=" ".join,
)
def test_a_full_disk_behind_standard_output_is_named(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "run.jsonl").write_text('{"summary": {"total": 0}}\n')
    PIL.Image.fromarray(np.eye(60, dtype=np.uint8) * 255).resize((3000, 3000)).save(tmp_path / "mask.png")
    with Path("/dev/full").open("wb") as full:
        started = start_fresh(*command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE)
        err = started.communicate()[1].decode()
    assert started.returncode == 3, err
    assert err.splitlines()[-1].endswith("; free some space")
    assert "bug" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows starts no process without a stream")
def test_a_process_without_streams_neither_fails_nor_writes_messages_into_results(tmp_path: Path) -> None:
    report = tmp_path / "run.jsonl"
    report.write_text('{"summary": {"total": 0}}\n')
    merge = ("report", "merge", report, "-o", tmp_path / "all.jsonl", "--json")
    merging = start_fresh(*merge, stdout=subprocess.PIPE, preexec_fn=lambda: os.close(2))
    assert "summary" in json.loads(merging.communicate()[0])
    assert merging.returncode == 0
    missing = start_fresh("report", tmp_path / "none.jsonl", preexec_fn=lambda: [os.close(each) for each in range(3)])
    assert missing.wait() == 3
    PIL.Image.fromarray(np.eye(60, dtype=np.uint8) * 255).save(tmp_path / "mask.png")
    merging_again = (*merge[:3], "-o", tmp_path / "again.jsonl", "--json")
    for results in (merging_again, ("trimap", tmp_path / "mask.png", "-o", "-")):
        lost = start_fresh(*results, stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
        err = lost.communicate()[1].decode()
        assert (lost.returncode, "standard output cannot be written" in err) == (3, True), err
    made = start_fresh("trimap", tmp_path / "mask.png", "-o", tmp_path / "made.png", preexec_fn=lambda: os.close(1))
    assert made.wait() == 0
    reading = start_fresh(
        "trimap", "-", "-o", tmp_path / "t.png", stderr=subprocess.PIPE, preexec_fn=lambda: os.close(0)
    )
    err = reading.communicate()[1].decode()
    assert (reading.returncode, "standard input is empty" in err) == (3, True), err
