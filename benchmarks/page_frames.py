"""How fast the page of `matte ui` draws a large photo, and what the tab holds, in Chromium by real pointer events.

    python benchmarks/page_frames.py [--megapixels 100] [--seconds 60] [--photos 10]

Opens a photo of noise with a trimap of a disc, paints, zooms and moves it for so many seconds, half of them with an
exact run going, moves a band slider, and opens and closes further photos. The table has for each figure its goal:

- the first picture, and all tiles of the view at 1:1, since the address was opened;
- from a pointer event to the end of its frame, and from the pen's rise to the frame after the server's answer;
- from the band slider's event to the frame that shows its band;
- the tab's memory (PSS of its process), the server's with its worker, and both after further photos.

Programs that run beside it make frames late. The line "an empty page" is the same event in a page that draws nothing.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from page import make_photo, pss
from page_browser import Browser

ROOM = 60  # CSS pixels at the border of the picture where no stroke begins
PROBE = 20  # pixels outside of the disc, where the slider is looked for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=60, help="0 leaves the painting out")
    parser.add_argument("--photos", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = make_inputs(folder, options.megapixels, options.photos)
        print("| | measured | goal |\n| --- | --: | --: |")
        with Browser(photos, folder) as browser:
            first(browser)
            further(browser, photos)
        if options.seconds == 0:
            return
        with Browser(photos[:1], folder, words=["--trimap", "trimap.png"]) as browser:
            Script(browser, folder).measure(options.seconds)


def make_inputs(folder: Path, megapixels: float, count: int) -> list[Path]:
    """Photos of equal pixels and different bytes, and a trimap of a disc without an unknown part."""
    first = folder / "photo0.jpg"
    make_photo(first, megapixels)
    height, width = cv2.imread(str(first)).shape[:2]
    trimap = np.zeros((height, width), np.uint8)
    cv2.circle(trimap, (width // 2, height // 2), height // 4, 255, -1)
    cv2.imwrite(str(folder / "trimap.png"), trimap)
    photos = [first]
    for number in range(1, count):
        photos.append(Path(shutil.copy(first, folder / f"photo{number}.jpg")))
        with photos[-1].open("ab") as file:
            file.write(bytes([number]))  # after the end of the picture
    return photos


class Script:
    """What is done with one photo, and its figures."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser, self.tab = browser, browser.tab
        trimap = cv2.imread(str(folder / "trimap.png"), cv2.IMREAD_UNCHANGED)
        self.height, self.width = trimap.shape
        self.random = np.random.default_rng(0)

    def measure(self, seconds: float) -> None:
        """Print the lines of the table."""
        empty = self._empty()
        self.tab.add_init_script(HOOKS)
        self.browser.go()
        self.browser.opened("photo0.jpg", timeout=600)  # the trimap is measured before
        row("the tab's memory, opened", f"{tab_memory(self.browser) / 2**20:.0f} MiB", "500 MB")
        self._slider()
        self.browser.press("0")
        self._play(seconds / 2)
        self._frames("", "33 ms", "150 ms")
        row("the tab's memory, painted", f"{tab_memory(self.browser) / 2**20:.0f} MiB", "500 MB")
        self.browser.press("t")
        self.browser.until("document.querySelector('#status').textContent.includes('computing the exact')")
        self.tab.wait_for_timeout(2000)
        self._play(seconds / 2)
        going = "computing the exact" in self.browser.status
        self._frames(", an exact run going" if going else ", an exact run at first", "66 ms", "400 ms")
        row("server and worker then", f"{pss(self.browser.server.pid) / 2**20:.0f} MiB", "–")
        self.browser.press("Escape")
        row("an empty page: event to frame, p95", f"{np.quantile(empty, 0.95):.0f} ms", "–")

    def _empty(self) -> list[float]:
        self.tab.goto("about:blank")
        self.tab.evaluate(f"() => {{ {HOOKS} }}")
        for step in range(200):
            self.tab.mouse.move(100 + step, 100)
            self.tab.wait_for_timeout(8)
        found: list[float] = self.tab.evaluate("window.measured.frames")
        return found

    def _slider(self) -> None:
        """Show the disc's edge at 1:1 and move the slider until the band covers a point beside it."""
        tab = self.tab
        self.browser.press("0")
        (at,) = self.browser.in_window(np.array([[self.width / 2 + self.height / 4 + PROBE, self.height / 2]]))
        tab.mouse.move(*at)
        for _ in range(30):
            scale = float(tab.evaluate("document.querySelector('#picture').dataset.scale"))
            if abs(scale - 1) < 0.01:
                break
            tab.mouse.wheel(0, float(np.clip(-np.log(1 / scale) / 0.0016, -400, 400)))
            tab.wait_for_timeout(60)
        self.browser.until("window.measured.quiet() > 500")
        (at,) = self.browser.in_window(np.array([[self.width / 2 + self.height / 4 + PROBE, self.height / 2]]))
        took = []
        for value in (40, 0) * 5:
            tab.evaluate("([x, y]) => window.measured.probe(x, y)", list(at))
            tab.evaluate("(value) => window.measured.slide('Outside', value)", value)
            self.browser.until("window.measured.changed !== null")
            took.append(float(tab.evaluate("window.measured.changed")))
            tab.wait_for_timeout(400)
        row("band slider to picture, median", f"{np.median(took):.0f} ms", "100 ms")
        tab.evaluate("(value) => window.measured.slide('Outside', value)", 12)
        tab.wait_for_timeout(500)

    def _play(self, seconds: float) -> None:
        """Paint, zoom and move for so many seconds."""
        tab = self.tab
        tab.evaluate("window.measured.clear()")
        box = tab.locator("#picture").bounding_box()
        assert box is not None
        self.browser.press("d")
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            x, y = self.random.uniform((ROOM, ROOM), (box["width"] - ROOM, box["height"] - ROOM))
            x, y, what = x + box["x"], y + box["y"], self.random.random()
            tab.mouse.move(x, y)
            if what < 0.2:
                for _ in range(6):
                    tab.mouse.wheel(0, 120 if self.random.random() < 0.5 else -120)
                    tab.wait_for_timeout(16)
                continue
            moves = what < 0.3
            if moves:
                tab.keyboard.down(" ")
            else:
                self.browser.press(str(self.random.choice(["f", "b", "u"])))
            tab.mouse.down()
            for step in self.random.normal(0, 12, (40, 2)).cumsum(axis=0):
                tab.mouse.move(x + step[0], y + step[1])
                tab.wait_for_timeout(8)
            tab.mouse.up()
            if moves:
                tab.keyboard.up(" ")
            tab.wait_for_timeout(200)

    def _frames(self, words: str, frame: str, confirmation: str) -> None:
        found: dict[str, Any] = self.tab.evaluate("({...window.measured})")
        for name, key, goal in (
            ("event to frame", "frames", frame),
            ("pen up to confirmed", "confirmed", confirmation),
        ):
            times = found[key]
            shown = f"{np.quantile(times, 0.95):.0f} ms" if times else "none"
            row(f"{name}, p95 of {len(times)}{words}", shown, goal)


def first(browser: Browser) -> None:
    """The seconds from the address to the first picture, and to all tiles at 1:1."""
    browser.tab.add_init_script(HOOKS)
    began = time.perf_counter()
    browser.go()
    browser.opened("photo0.jpg")
    browser.until("window.measured.drawn()")
    row("first picture", f"{time.perf_counter() - began:.1f} s", "1.5 s")
    browser.press("1")
    browser.until("window.measured.quiet() > 500")
    row("sharp at 1:1", f"{time.perf_counter() - began - 0.5:.1f} s", "4 s")
    browser.press("0")


def further(browser: Browser, photos: list[Path]) -> None:
    """Open and close one photo after another, and compare the memory after the first with that after all."""
    held = []
    for number, photo in enumerate(photos):
        if number:
            browser.press("PageDown")
        browser.opened(photo.name)
        browser.until("window.measured.quiet() > 1000")
        held.append((tab_memory(browser), pss(browser.server.pid)))
    browser.press(*["PageUp"] * (len(photos) - 1))
    for name, one, last in zip(("tab", "server and worker"), held[0], held[-1], strict=True):
        row(f"{name}, photo {len(photos)} against photo 1", f"{last / one - 1:+.0%} of {one / 2**20:.0f} MiB", "+10 %")


def tab_memory(browser: Browser) -> int:
    """The memory of the tab's process, the largest renderer of our Chromium, without garbage."""
    browser.tab.context.new_cdp_session(browser.tab).send("HeapProfiler.collectGarbage")
    children = psutil.Process().children(recursive=True)
    renderers = [child for child in children if "--type=renderer" in child.cmdline()]
    return max(int(renderer.memory_full_info().pss) for renderer in renderers)


def row(name: str, measured: str, goal: str) -> None:
    print(f"| {name} | {measured} | {goal} |", flush=True)


HOOKS = """
const after = (react) => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => react(performance.now());
  channel.port2.postMessage(0);
});
const found = window.measured = {
  frames: [], confirmed: [], changed: null, asked: 0, last: 0,
  clear() { this.frames = []; this.confirmed = []; },
  quiet() { return this.asked ? 0 : performance.now() - this.last; },
  pixel(x, y) {
    const canvas = document.querySelector("#picture");
    const { left, top } = canvas.getBoundingClientRect();
    return [...canvas.getContext("2d").getImageData(x - left, y - top, 1, 1).data].join();
  },
  drawn() {
    const { left, top, width, height } = document.querySelector("#picture").getBoundingClientRect();
    const colours = new Set([0.3, 0.4, 0.5, 0.6, 0.7].map((at) => this.pixel(left + at * width, top + at * height)));
    return colours.size > 2;
  },
  probe(x, y) {
    this.changed = null;
    this.watched = [x, y, this.pixel(x, y)];
  },
  slide(name, value) {
    const slider = [...document.querySelectorAll("input[type=range]")].find((one) =>
      (one.getAttribute("aria-label") ?? one.closest("label")?.textContent ?? "").startsWith(name));
    const began = performance.now();
    slider.value = String(value);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    slider.dispatchEvent(new Event("change", { bubbles: true }));
    const look = () => after((now) => {
      const [x, y, before] = this.watched ?? [0, 0, ""];
      if (this.pixel(x, y) !== before) this.changed = now - began;
      else if (now - began < 20000) look();
    });
    if (this.watched) look();
  },
};
let up = 0;
addEventListener("pointermove", (event) => {
  after((now) => found.frames.push(now - event.timeStamp));
}, true);
addEventListener("pointerup", () => (up = performance.now()), true);
const asks = window.fetch;
window.fetch = async (...words) => {
  const [address] = words;
  const tiles = String(address).endsWith("/tiles");
  const begun = String(address).endsWith("/operations") ? up : 0;
  found.asked += tiles;
  try {
    const answer = await asks(...words);
    if (begun) void answer.clone().arrayBuffer().then(() => after((now) => found.confirmed.push(now - begun)));
    return answer;
  } finally {
    found.asked -= tiles;
    found.last = performance.now();
  }
};
"""


if __name__ == "__main__":
    main()
