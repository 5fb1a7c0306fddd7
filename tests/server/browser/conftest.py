"""A server with a picture of 3 megapixels, and Chromium. Skips where Chromium or Playwright is missing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.server.browser.page import Page

HEIGHT, WIDTH = 1500, 2000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server runs."""
    return tmp_path_factory.mktemp("page")


@pytest.fixture
def saved(folder: Path) -> Path:
    """Where the page saves."""
    return folder / "saved"


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The address that `matte ui` prints, with its token."""
    picture = _picture()
    cv2.imwrite(str(folder / "photo.jpg"), picture)
    cv2.imwrite(str(folder / "small.png"), cv2.resize(picture, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA))
    command = [sys.executable, "-m", "mattecli", "ui", "photo.jpg", "small.png", "--no-browser", "--out-dir", "saved"]
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "XDG_CACHE_HOME": str(folder / "cache")}
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.send_signal(signal.SIGINT)


def _picture() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A red disc with a soft edge on a green wall."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    wall = np.stack([90 + 40 * np.sin(columns / 90), 150 + 30 * np.cos(rows / 70), 60 + rows / 50], axis=2)
    share = np.clip((420 - np.hypot(rows - 760, columns - 1010)) / 12, 0, 1)[..., None]
    return np.asarray(np.rint(wall * (1 - share) + np.array([40, 60, 200]) * share), np.uint8)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, without a window.

    Playwright runs an event loop in this thread until the fixture ends, which other tests could not bear.
    """
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is missing; pip install 'mattecli[dev]'")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is missing; on Debian: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Any, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page in a tab of its own, and checks at the end that nothing went wrong there."""
    contexts = []

    def open_page(*, width: int = 1280, height: int = 800, ratio: float = 1, touch: bool = False) -> Page:
        size = {"width": width, "height": height}
        context = chromium.new_context(viewport=size, device_scale_factor=ratio, has_touch=touch)
        context.set_default_timeout(20_000)
        contexts.append(context)
        return Page(context.new_page(), address)

    pages: list[Page] = []

    def opening(**options: Any) -> Page:
        pages.append(open_page(**options))
        return pages[-1]

    yield opening
    for page in pages:
        page.leave()
    for context in contexts:
        context.close()
    for page in pages:
        assert page.errors == []
        assert page.elsewhere == [], "the page asked another place on the network"
