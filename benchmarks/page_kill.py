"""Kills the server of `matte ui` at random moments, and checks that no acknowledged operation is lost.

    python benchmarks/page_kill.py [--kills 50]

Paints strokes, fills, undo and redo without a pause, and kills the server with SIGKILL after a random time, mostly in
the middle of an operation. Then a new server opens the photo: all that was acknowledged must be there, and at most the
operation that was under way beyond it. That one is sent again, as the open page does, and must not be done twice. At
the end the trimap must equal that of the same operations on labels that never met a crash.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from page import Client, make_photo

from mattecli.server.labels import Labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_photo(folder / "photo.jpg", 3)
        height, width = cv2.imread(str(folder / "photo.jpg")).shape[:2]
        operations = Operations(height, width)
        acknowledged = resent = 0
        for kill in range(options.kills + 1):
            with Server(folder) as server:
                facts = server.open()
                assert acknowledged <= facts["sequence"] <= acknowledged + 1, (facts, acknowledged)
                resent += kill > 0 and facts["sequence"] == acknowledged
                if kill < options.kills:
                    acknowledged = server.paint_until_killed(operations, acknowledged)
                else:
                    server.save()
        trimap = cv2.imread(str(folder / "photo_trimap.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(trimap, operations.applied(facts["sequence"])), "labels differ"
    print("| kills | acknowledged operations | lost | under way and sent again | trimap at the end |")
    print("| --- | --- | --- | --- | --- |")
    print(f"| {options.kills} | {facts['sequence']} | 0 | {resent} | equal |")


class Operations:
    """Operations by number, always the same."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width

    def body(self, number: int) -> dict[str, Any]:
        """What the page sends."""
        draw = random.Random(number)
        if number % 5 == 4:
            return {"kind": "undo"}
        if number % 5 == 0 and number % 2:
            return {"kind": "redo"}
        x, y = draw.uniform(0, self.width), draw.uniform(0, self.height)
        points = [[x + draw.gauss(0, 80), y + draw.gauss(0, 80), draw.uniform(1, 60)] for _ in range(8)]
        return {"kind": "stroke", "points": points, "label": draw.choice([0, 128, 255])}

    def applied(self, last: int) -> np.ndarray:
        """The trimap after so many of them, without any server."""
        labels = Labels(self.height, self.width)
        for number in range(1, last + 1):
            body = self.body(number)
            try:
                if body["kind"] == "stroke":
                    operation = labels.stroke(np.array(body["points"]), body["label"])
                else:
                    operation = labels.undo() if body["kind"] == "undo" else labels.redo()
            except ValueError as error:
                operation = labels.refused(str(error))
            labels.apply(operation)
        return labels.trimap()


class Server:
    """A server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "mattecli", "ui", str(folder / "photo.jpg"), "--no-browser"]
        environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        assert self.process.stdout is not None
        self.client = Client(self.process.stdout.readline().decode().strip())
        self.word = self.client.get("/app/session")["photos"][0]["id"]

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def open(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.client.post(f"/app/photos/{self.word}/open", {"tab": "one"}))
        assert found["readonly"] is False
        return found

    def paint_until_killed(self, operations: Operations, acknowledged: int) -> int:
        """The number of the last operation that was acknowledged."""
        killer = threading.Timer(random.uniform(0.05, 1.5), self.process.kill)
        killer.start()
        with suppress(OSError, http.client.HTTPException):
            while True:
                body = {"sequence": acknowledged + 1, **operations.body(acknowledged + 1)}
                self.client.post(f"/app/photos/{self.word}/operations", body)
                acknowledged += 1
        assert self.process.wait(10) == -9
        return acknowledged

    def save(self) -> None:
        self.client.post(f"/app/photos/{self.word}/save", {"products": ["trimap"], "overwrite": True})
        self.client.wait_for("saved")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
