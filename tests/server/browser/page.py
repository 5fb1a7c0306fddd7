"""The page as a person uses it: pointers and keys in, pixels and labels out."""

from __future__ import annotations

import json
import math
import struct
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = list[tuple[float, float]]


class Page:
    """The page of `matte ui` in a tab of Chromium. `errors` are those of its scripts, `elsewhere` foreign addresses."""

    def __init__(self, tab: Any, address: str) -> None:
        self.tab = tab
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self.origin = "/".join(address.split("/")[:3])
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("console", self._said)
        tab.on("request", self._asked)
        tab.goto(address)
        self.ready()

    def _said(self, message: Any) -> None:
        if message.type == "error" and "ERR_INTERNET_DISCONNECTED" not in message.text:
            self.errors.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def ready(self) -> None:
        """Wait until a photo is open and drawn."""
        self.until("document.title.startsWith('photo.jpg')")
        self.until("document.querySelector('#picture').dataset.scale !== undefined")
        self.rest()

    def until(self, script: str, *, timeout: float = 20) -> None:
        """Wait until a script gives true. Playwright's own way needs `eval`, which the page forbids."""
        for _ in range(int(timeout / 0.05)):
            if self.tab.evaluate(script):
                return
            self.rest(50)
        raise AssertionError(f"waited in vain for {script}; the state is: {self.status}")

    def leave(self) -> None:
        """Leave the page, which closes the photo, so that the next tab may write."""
        self.tab.goto("about:blank")
        self.rest(200)

    def rest(self, milliseconds: int = 150) -> None:
        """Give the page time to draw."""
        self.tab.wait_for_timeout(milliseconds)

    @property
    def token(self) -> str:
        """What the page sends with all that changes something."""
        return str(self.tab.evaluate("document.querySelector('meta[name=matte-token]').content"))

    @property
    def photo(self) -> str:
        """The opaque word of the photo."""
        return str(self.tab.evaluate("sessionStorage.getItem('photo')"))

    # Looking

    @property
    def ratio(self) -> float:
        """Device pixels for each pixel of CSS."""
        return float(self.tab.evaluate("devicePixelRatio"))

    @property
    def transform(self) -> tuple[float, float, float]:
        """Scale, left and top of the picture in device pixels of the canvas."""
        found = self.tab.evaluate("({...document.querySelector('#picture').dataset})")
        return float(found["scale"]), float(found["left"]), float(found["top"])

    @property
    def status(self) -> str:
        """The state line."""
        return str(self.tab.inner_text("#status"))

    def wait_for(self, words: str, *, timeout: float = 20) -> None:
        """Wait until the state line says something."""
        self.until(f"document.querySelector('#status').textContent.includes({words!r})", timeout=timeout)

    def sent(self) -> None:
        """Wait until the server has every stroke, and its labels are drawn."""
        self.rest(60)
        self.until("!document.querySelector('#status').textContent.includes('unsent')")
        self.rest(250)

    def corner(self) -> tuple[float, float]:
        """Where the canvas begins, in CSS pixels."""
        box = self.tab.locator("#picture").bounding_box()
        return box["x"], box["y"]

    def middle(self) -> tuple[float, float]:
        """The middle of the canvas, in CSS pixels."""
        box = self.tab.locator("#picture").bounding_box()
        return round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2)

    # Doing

    def press(self, *keys: str) -> None:
        """Press keys, one after another."""
        for key in keys:
            self.tab.keyboard.press(key)

    def zoom_to(self, scale: float) -> None:
        """Turn the wheel over the middle of the picture until it has a scale."""
        x, y = self.middle()
        self.tab.mouse.move(x, y)
        for _ in range(8):
            now = self.transform[0]
            if abs(math.log(scale / now)) < 0.005:
                return
            self.tab.mouse.wheel(0, -math.log(scale / now) / 0.0016)
            self.rest(60)

    def stroke(self, points: Points, *, steps: int = 6) -> Points:
        """Draw through points of the window; gives those that the page's own pointer events had, in CSS pixels."""
        self.tab.evaluate(_LISTEN)
        self.tab.mouse.move(*points[0])
        self.tab.mouse.down()
        for point in points[1:]:
            self.tab.mouse.move(*point, steps=steps)
        self.tab.mouse.up()
        found = [(float(x), float(y)) for x, y in self.tab.evaluate("window.heard")]
        assert np.abs(np.array(found[0]) - points[0]).max() <= 1
        assert np.abs(np.array(found[-1]) - points[-1]).max() <= 1
        return found

    def on_picture(self, points: Points) -> Points:
        """Points of the window as points of the picture, by the transform alone."""
        scale, left, top = self.transform
        x, y = self.corner()
        ratio = self.ratio
        dx, dy = round(x * ratio), round(y * ratio)
        return [((px * ratio - dx - left) / scale, (py * ratio - dy - top) / scale) for px, py in points]

    def in_window(self, points: Points) -> Points:
        """Points of the picture as points of the window, by the transform alone."""
        scale, left, top = self.transform
        x, y = self.corner()
        return [(x + (px * scale + left) / self.ratio, y + (py * scale + top) / self.ratio) for px, py in points]

    # The server's side

    def labels(self, height: int, width: int) -> NDArray[np.uint8]:
        """The whole trimap as the server has it."""
        rows, columns = -(-height // 256), -(-width // 256)
        names = [["labels", 0, row, column] for row in range(rows) for column in range(columns)]
        headers = {"X-Matte-Token": self.token, "Origin": self.origin}
        asked = f"{self.origin}/app/photos/{self.photo}/tiles"
        data = self.tab.context.request.post(asked, headers=headers, data={"tiles": names}).body()
        (length,) = struct.unpack_from("<I", data)
        facts = json.loads(data[4 : 4 + length])
        at = 4 + length
        whole = np.zeros((height, width), np.uint8)
        for tile in facts["tiles"]:
            values = np.frombuffer(data, np.uint8, tile["bytes"], at).reshape(tile["height"], tile["width"])
            top, left = tile["row"] * 256, tile["column"] * 256
            whole[top : top + tile["height"], left : left + tile["width"]] = values
            at += tile["bytes"]
        return whole


def stroke_margin(points: Points, radius: float, height: int, width: int) -> NDArray[np.float64]:
    """How far each pixel's centre lies outside of a stroke of one radius; below 0 within it.

    By the distance to segments, in float64. Pixels far away are infinitely far.
    """
    near, path = radius + 3, np.array(points)
    left, top = (max(int(value - near), 0) for value in path.min(axis=0))
    right, bottom = (int(value + near) for value in path.max(axis=0))
    part = np.s_[top : min(bottom, height), left : min(right, width)]
    rows, columns = (axis[part] + 0.5 for axis in np.mgrid[:height, :width])
    least = np.full(rows.shape, np.inf)
    for (x0, y0), (x1, y1) in pairwise(points if len(points) > 1 else [points[0], points[0]]):
        dx, dy = x1 - x0, y1 - y0
        square = dx * dx + dy * dy
        t = np.clip(((columns - x0) * dx + (rows - y0) * dy) / square, 0, 1) if square else 0.0
        np.minimum(least, np.hypot(columns - x0 - t * dx, rows - y0 - t * dy), out=least)
    whole = np.full((height, width), np.inf)
    whole[part] = least - radius
    return whole


_LISTEN = """() => {
  window.heard = [];
  const picture = document.querySelector("#picture");
  if (picture.dataset.heard) return;
  picture.dataset.heard = "yes";
  let down = false;
  const hear = (event) => {
    if (event.type === "pointerdown") down = true;
    const all = event.type === "pointermove" ? event.getCoalescedEvents() : [event];
    if (down) for (const one of all) window.heard.push([one.clientX, one.clientY]);
  };
  picture.addEventListener("pointerdown", hear);
  picture.addEventListener("pointermove", hear);
  picture.addEventListener("pointerup", () => (down = false));
}"""
