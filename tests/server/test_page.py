"""The modules of the page that need no browser, by Node's own test runner."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.node import run_node_tests

HERE = Path(__file__).with_name("page")
STATIC = Path(__file__).parents[2] / "mattecli/server/static"


TESTS = sorted(path.name for path in HERE.glob("*.test.mjs"))


def test_there_are_tests_for_node() -> None:
    assert TESTS


@pytest.mark.parametrize("name", TESTS)
def test_the_module_passes_its_tests_in_node(name: str) -> None:
    report = run_node_tests(HERE / name)
    assert "fail 0\n" in report
    assert " pass 0\n" not in report


def test_no_file_of_the_page_is_longer_than_300_lines() -> None:
    files = [path for kind in ("*.js", "*.html", "*.css") for path in STATIC.rglob(kind)]
    assert files
    long = [path.name for path in files if len(path.read_text(encoding="utf-8").splitlines()) > 300]
    assert not long


def test_the_page_names_no_other_place_on_the_network() -> None:
    files = [path for path in STATIC.rglob("*") if path.suffix in {".js", ".html", ".css", ".svg"}]
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, path.name
        assert "https:" not in text, path.name
        assert "//cdn" not in text, path.name
