"""What several test modules share."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mattecli.cli import main
from mattecli.inference import model as models
from mattecli.inference.backend import Backend, load_backend
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.system.threads import use_threads

# The tests' pictures are too small for threads to pay, and threads that wait for a busy core cost seconds.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# rembg imports pymatting, which compiles for a minute on the first import; nothing here runs what it compiles.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

DATA = Path(__file__).parent / "data"

RunMatte = Callable[..., tuple[int, str, str]]

_networks: dict[Any, Backend] = {}


@pytest.fixture
def run_matte(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[RunMatte]:
    """Run `matte ARGS…` in this process; gives the exit code, stdout and stderr."""
    import torch  # not above: OMP_NUM_THREADS counts when PyTorch is imported

    threads = torch.get_num_threads()

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["matte", *map(str, args)])
        capfd.readouterr()
        try:
            main()
            code: int | str | None = 0
        except SystemExit as exit_:
            code = exit_.code
        out, err = capfd.readouterr()
        return int(code or 0), out, err

    yield run
    torch.set_num_threads(threads)
    use_threads(None)


@pytest.fixture
def networks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load a network with given options only once a session: loading takes longer than matting a small picture."""
    monkeypatch.setattr(models, "load_backend", _load_once)


@pytest.fixture(scope="session")
def shipped_model() -> Model:
    """The model with the shipped weights on the CPU, loaded once a session."""
    return Model(RunOptions(device="cpu"), backend=_load_once(device="cpu"))


def _load_once(weights: str | Path | None = None, **options: Any) -> Backend:
    changed = None if weights is None or not Path(weights).exists() else Path(weights).stat().st_mtime_ns
    defaults = {"backend": "auto", "device": "auto", "provider": None, "precision": "auto"}
    key = (weights, changed, *sorted((defaults | options).items()))
    if key not in _networks:
        _networks[key] = load_backend(weights, **options)
    return _networks[key]
