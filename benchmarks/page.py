"""The server of `matte ui` with a large photo: seconds and memory.

    python benchmarks/page.py [--megapixels 100] [--strokes 100] [--during]

Makes a photo of noise over colours, opens it in a server of its own, and paints with strokes of up to 240 pixels width.
The first table has the milliseconds from a request to its answer, which is on the disk by then. The second has the
memory (PSS) of the server and its worker process. --during also paints while an exact run goes on, and cancels it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=100)
    parser.add_argument("--strokes", type=int, default=100)
    parser.add_argument("--during", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photo = folder / "photo.jpg"
        make_photo(photo, options.megapixels)
        command = [sys.executable, "-m", "mattecli", "ui", str(photo), "--no-browser"]
        environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        try:
            assert server.stdout is not None
            measure(Client(server.stdout.readline().decode().strip()), server.pid, options)
        finally:
            server.terminate()
            server.wait()


def make_photo(path: Path, megapixels: float) -> None:
    """A photo with sides in the ratio 4:3."""
    random = np.random.default_rng(0)
    height = round((megapixels * 0.75e6) ** 0.5)
    width = round(megapixels * 1e6 / height)
    colours = random.integers(0, 230, (60, 80, 3), dtype=np.uint8)
    pixels = cv2.resize(colours, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = np.tile(random.integers(0, 25, (512, 512, 3), dtype=np.uint8), (height // 512 + 1, width // 512 + 1, 1))
    assert cv2.imwrite(str(path), cv2.add(pixels, grain[:height, :width]))


def measure(client: Client, server: int, options: argparse.Namespace) -> None:
    """Both tables."""
    print("| request | median ms | 95 % ms |\n| --- | --- | --- |")
    word = client.get("/app/session")["photos"][0]["id"]
    began = time.perf_counter()
    facts = json.loads(client.post(f"/app/photos/{word}/open", {"tab": "one"}))
    show("open the photo", [time.perf_counter() - began])
    level = min(3, len(facts["levels"]) - 1)
    columns, rows = (-(-side // 256) for side in facts["levels"][level])
    shown = [["photo", level, row, column] for row in range(min(rows, 3)) for column in range(min(columns, 5))]
    took = client.seconds(f"/app/photos/{word}/tiles", {"tiles": shown})
    show(f"{len(shown)} tiles of the first picture", [took])
    memory = {"open": pss(server)}
    painter = Painter(client, word, facts)
    show("stroke", [painter.stroke() for _ in range(options.strokes)])
    show("undo", [painter.operate({"kind": "undo"}) for _ in range(options.strokes // 2)])
    memory[f"after {options.strokes} strokes"] = pss(server)
    if options.during:
        painter.ring()
        run = json.loads(client.post(f"/app/photos/{word}/mattes", {"kind": "exact"}))["run"]
        client.wait_for("progress")
        show("stroke during an exact run", [painter.stroke() for _ in range(options.strokes)])
        memory["during an exact run, with the worker"] = pss(server)
        began = time.perf_counter()
        client.send("DELETE", f"/app/photos/{word}/mattes/{run}", {})
        client.wait_for("failed")
        show("cancel the run", [time.perf_counter() - began])
    print("\n| memory | MiB | bytes a pixel |\n| --- | --- | --- |")
    for name, held in memory.items():
        print(f"| {name} | {held / 2**20:.0f} | {held / (facts['width'] * facts['height']):.1f} |")


def show(name: str, seconds: list[float]) -> None:
    print(f"| {name} | {1000 * np.median(seconds):.0f} | {1000 * np.quantile(seconds, 0.95):.0f} |")


def pss(server: int) -> int:
    """The memory of a process and its children, where what they share counts once."""
    process = psutil.Process(server)
    return sum(each.memory_full_info().pss for each in [process, *process.children(recursive=True)])


class Painter:
    """Paints at random places, and shows the tiles around."""

    def __init__(self, client: Client, word: str, facts: dict[str, Any]) -> None:
        self.client, self.word, self.width, self.height = client, word, facts["width"], facts["height"]
        self.sequence = facts["sequence"]
        self.random = np.random.default_rng(1)

    def stroke(self) -> float:
        """One stroke of a dozen points; gives its seconds."""
        x, y = self.random.uniform(0, (self.width, self.height))
        steps = self.random.normal(0, 60, (12, 2)).cumsum(axis=0)
        radius = float(self.random.choice([10, 40, 120]))
        points = [[x + step[0], y + step[1], radius] for step in steps]
        top, left = int(y // 256) - 2, int(x // 256) - 3
        visible = {"level": 0, "top": top, "left": left, "bottom": top + 5, "right": left + 8}
        label = int(self.random.choice([0, 128, 255]))
        return self.operate({"kind": "stroke", "points": points, "label": label, "visible": visible})

    def ring(self) -> None:
        """A subject in the middle with an unknown band, and background around."""
        side, middle = min(self.width, self.height), [self.width / 2, self.height / 2]
        corners = [[0, 0], [self.width, 0], [self.width, self.height], [0, self.height]]
        self.operate({"kind": "polygon", "points": corners, "label": 0})
        for share, label in ((0.3, 128), (0.28, 255)):
            self.operate({"kind": "stroke", "points": [[*middle, share * side]], "label": label})

    def operate(self, body: dict[str, Any]) -> float:
        """Send an operation; gives its seconds."""
        self.sequence += 1
        return self.client.seconds(f"/app/photos/{self.word}/operations", {"sequence": self.sequence, **body})


class Client:
    """What a browser does, without one."""

    def __init__(self, address: str) -> None:
        parts = urllib.parse.urlparse(address)
        self.host, self.headers = parts.netloc, {"Origin": f"http://{parts.netloc}"}
        _, headers = self._answer("GET", f"/?{parts.query}", None)
        self.headers["Cookie"] = headers["set-cookie"].partition(";")[0]
        page, _ = self._answer("GET", "/", None)
        found = re.search(r'name="matte-token" content="([^"]+)"', page.decode())
        assert found is not None
        self.headers |= {"X-Matte-Token": found[1], "X-Matte-Tab": "one", "Content-Type": "application/json"}
        self.events: list[dict[str, Any]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def get(self, path: str) -> Any:
        return json.loads(self._answer("GET", path, None)[0])

    def post(self, path: str, body: Any) -> bytes:
        return self.send("POST", path, body)

    def send(self, method: str, path: str, body: Any) -> bytes:
        return self._answer(method, path, json.dumps(body))[0]

    def seconds(self, path: str, body: Any) -> float:
        """The time from a request to its whole answer."""
        began = time.perf_counter()
        self.post(path, body)
        return time.perf_counter() - began

    def wait_for(self, kind: str) -> None:
        while not any(event["type"] == kind for event in self.events):
            time.sleep(0.01)

    def _answer(self, method: str, path: str, body: str | None) -> tuple[bytes, dict[str, str]]:
        connection = http.client.HTTPConnection(self.host)
        connection.request(method, path, body, self.headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status < 400, content
        connection.close()
        return content, {name.lower(): value for name, value in answer.getheaders()}

    def _listen(self) -> None:
        connection = http.client.HTTPConnection(self.host)
        connection.request("GET", "/app/events?tab=one", headers=self.headers)
        for line in connection.getresponse():
            if line.startswith(b"data: "):
                self.events.append(json.loads(line[6:]))


if __name__ == "__main__":
    main()
