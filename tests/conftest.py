"""What several test modules share."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mattecli.cli import main, terminal

# The tests' pictures are too small for threads to pay, and threads that wait for a busy core cost seconds.
os.environ.setdefault("OMP_NUM_THREADS", "1")

DATA = Path(__file__).parent / "data"

RunMatte = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_matte(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> RunMatte:
    """Run `matte ARGS…` in this process; gives the exit code, stdout and stderr."""

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["matte", *map(str, args)])
        for switch in ("quiet", "verbose", "debug"):
            monkeypatch.setattr(terminal, switch, False)
        capfd.readouterr()
        try:
            main()
            code: int | str | None = 0
        except SystemExit as exit_:
            code = exit_.code
        out, err = capfd.readouterr()
        return int(code or 0), out, err

    return run
