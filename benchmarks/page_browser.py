"""The page of `matte ui` in Chromium, driven by pointers and keys. Other benchmarks of the page use it.

It needs Playwright (`pip install 'mattecli[dev]'`) and Chromium.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import sync_playwright

TILE = 256
DTYPES = {"photo": np.uint8, "labels": np.uint8, "alpha": np.uint8, "base": np.int16}


class Browser:
    """A server of its own for photos, and a tab of Chromium that shows them; state and outputs lie in `folder`.

    `words` are further words of the command.
    """

    def __init__(
        self, photos: Sequence[Path], folder: Path, *, words: Sequence[str] = (), width: int = 1280, height: int = 800
    ) -> None:
        self._stack = ExitStack()
        self._words = [*map(str, photos), *words]
        self._folder, self._size = folder, {"width": width, "height": height}

    def __enter__(self) -> Browser:
        with self._stack as stack:
            command = [sys.executable, "-m", "mattecli", "ui", *self._words, "--no-browser", "--out-dir", "saved"]
            environment = {**os.environ, "XDG_STATE_HOME": str(self._folder / "state")}
            self.server = subprocess.Popen(
                command, cwd=self._folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
            )
            stack.callback(self.server.wait)
            stack.callback(self.server.terminate)
            assert self.server.stdout is not None
            self.saved = self._folder / "saved"
            self.address = self.server.stdout.readline().strip()
            self.origin = "/".join(self.address.split("/")[:3])
            program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
            assert program is not None, "Chromium is missing; on Debian: apt-get install chromium"
            playwright = stack.enter_context(sync_playwright())
            self._chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            stack.callback(self._chromium.close)
            context = self._chromium.new_context(viewport=self._size)
            context.set_default_timeout(60_000)
            self.tab = context.new_page()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def go(self) -> None:
        """Open the address that the server printed."""
        self.tab.goto(self.address)

    # Waiting

    def until(self, script: str, *, timeout: float = 120) -> float:
        """Wait until a script gives true; gives the seconds that it took."""
        began = time.perf_counter()
        while not self.tab.evaluate(script):
            assert time.perf_counter() - began < timeout, f"waited in vain for {script}; the state is: {self.status}"
            self.tab.wait_for_timeout(20)
        return time.perf_counter() - began

    def opened(self, name: str, *, timeout: float = 120) -> None:
        """Wait until a photo is open and drawn."""
        self.until(f"document.title.startsWith({json.dumps(name)})", timeout=timeout)
        self.until("document.querySelector('#picture').dataset.scale !== undefined")

    @property
    def status(self) -> str:
        """The state line."""
        return str(self.tab.evaluate("document.querySelector('#status').textContent"))

    # Acting

    def press(self, *keys: str) -> None:
        """Press keys on the picture, one after another."""
        for key in keys:
            self.tab.keyboard.press(key)

    def brush(self, size: int) -> None:
        """Set the brush's diameter in pixels of the photo."""
        field = self.tab.get_by_label("Size of the brush in pixels of the photo")
        field.fill(str(size))
        field.press("Enter")
        self.tab.focus("#picture")

    def drag(self, points: NDArray[np.float64]) -> None:
        """Draw through points (x, y) of the photo, by real pointer events."""
        window = self.in_window(points)
        self.tab.mouse.move(*window[0])
        self.tab.mouse.down()
        for point in window[1:]:
            self.tab.mouse.move(*point, steps=2)
        self.tab.mouse.up()

    def in_window(self, points: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Points of the photo as points of the window."""
        found = self.tab.evaluate("({...document.querySelector('#picture').dataset})")
        box = self.tab.locator("#picture").bounding_box()
        assert box is not None
        scale, left, top = (float(found[name]) for name in ("scale", "left", "top"))
        return [(round(box["x"]) + left + scale * x, round(box["y"]) + top + scale * y) for x, y in points]

    # The server's side

    @property
    def photo(self) -> str:
        """The opaque word of the open photo."""
        return str(self.tab.evaluate("sessionStorage.getItem('photo')"))

    def post(self, path: str, body: Any) -> bytes:
        """Ask the server as this tab."""
        token = self.tab.evaluate("document.querySelector('meta[name=matte-token]').content")
        tab = self.tab.evaluate("sessionStorage.getItem('tab')")
        headers = {"X-Matte-Token": token, "X-Matte-Tab": tab, "Origin": self.origin}
        answer = self.tab.context.request.post(f"{self.origin}{path}", headers=headers, data=body)
        assert answer.ok, answer.text()
        return answer.body()

    def facts(self) -> dict[str, Any]:
        """What the server says of the open photo."""
        tab = self.tab.evaluate("sessionStorage.getItem('tab')")
        found: dict[str, Any] = json.loads(self.post(f"/app/photos/{self.photo}/open", {"tab": tab}))
        return found

    def layer(self, name: str, height: int, width: int) -> NDArray[Any]:
        """A layer of the open photo at full size."""
        rows, columns = -(-height // TILE), -(-width // TILE)
        names = [[name, 0, row, column] for row in range(rows) for column in range(columns)]
        data = self.post(f"/app/photos/{self.photo}/tiles", {"tiles": names})
        (length,) = struct.unpack_from("<I", data)
        at, whole = 4 + length, np.zeros((height, width), DTYPES[name])
        for tile in json.loads(data[4:at])["tiles"]:
            values = np.frombuffer(data[at : at + tile["bytes"]], DTYPES[name])
            top, left = tile["row"] * TILE, tile["column"] * TILE
            part = values.reshape(tile["height"], tile["width"])
            whole[top : top + tile["height"], left : left + tile["width"]] = part
            at += tile["bytes"]
        return whole
