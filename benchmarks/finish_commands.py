"""Whether the commands that `matte ui` shows make the bytes that it saves.

    python benchmarks/finish_commands.py [PHOTO TRIMAP] [--settings 30]

Draws settings of the page's last step at random, saves alpha, cut-out and composite with each, and runs the command
that is shown in a new shell. It ends at the first difference.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any

from page import Client

EXAMPLES = Path(__file__).parents[1] / "examples"
PRODUCTS = ("trimap", "alpha", "cutout", "composite")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?", default=EXAMPLES / "portrait.jpg")
    parser.add_argument("trimap", type=Path, nargs="?", default=EXAMPLES / "portrait_trimap.png")
    parser.add_argument("--settings", type=int, default=30)
    options = parser.parse_args()
    equal = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photo = Path(shutil.copy(options.photo, folder))
        out = folder / "out of it"
        command = [sys.executable, "-m", "mattecli", "ui", str(photo), "--no-browser", "--out-dir", str(out)]
        command += ["--trimap", str(options.trimap)]
        environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        try:
            assert server.stdout is not None
            client = Client(server.stdout.readline().decode().strip())
            word = client.get("/app/session")["photos"][0]["id"]
            client.post(f"/app/photos/{word}/open", {"tab": "one"})
            for number in range(options.settings):
                compare(client, word, out, settings(random.Random(number)))
                equal += 1
                print(f"{equal} of {options.settings} are equal", end="\r", file=sys.stderr)
        finally:
            server.terminate()
            server.wait()
    print(f"{equal} random settings: the commands made the same bytes of {', '.join(PRODUCTS[1:])}")


def settings(draw: random.Random) -> dict[str, Any]:
    """Some options with values."""
    every: dict[str, Any] = {
        "background": draw.choice(["white", "#00b140", "transparent", "rgb(10 20 30)"]),
        "linear": True,
        "bits": 16,
        "min_area": draw.randint(1, 200),
        "fill_holes": draw.randint(1, 200),
        "smooth": round(draw.uniform(0.2, 3), 1),
        "levels": [draw.randint(0, 30), draw.randint(220, 255), round(draw.uniform(0.5, 2), 2)],
        "feather": f"{draw.uniform(0.01, 0.3):.2f}%",
        "hair": draw.randint(0, 100),
        "colour_choke": round(draw.uniform(0.5, 4), 1),
        "decontaminate": draw.randint(0, 100),
        "despill": draw.choice(["auto", "green", "blue", "#00b140"]),
    }
    every[draw.choice(["choke", "spread"])] = round(draw.uniform(0.2, 4), 1)
    chosen = {name: value for name, value in every.items() if draw.random() < 0.4}
    if "feather" in chosen and draw.random() < 0.5:
        chosen["feather_both"] = True
    if "despill" in chosen:
        chosen |= {"despill_strength": draw.randint(10, 100), "despill_reach": draw.randint(2, 20)}
    return chosen


def compare(client: Client, word: str, out: Path, chosen: dict[str, Any]) -> None:
    """Save, run the command, and compare."""
    client.events.clear()
    client.post(f"/app/photos/{word}/save", {"products": PRODUCTS, "overwrite": True, **chosen})
    client.wait_for("saved")
    files = sorted(out.glob("*.png"))
    saved = {path.name: path.read_bytes() for path in files}
    for path in files:
        if "trimap" not in path.name:
            path.unlink()
    words = {key: ",".join(map(str, value)) if isinstance(value, list) else value for key, value in chosen.items()}
    query = urllib.parse.urlencode({"products": ",".join(PRODUCTS), **words})
    command = client.get(f"/app/photos/{word}/command?{query}")["command"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["sh", "-c", command], env={**os.environ, "PATH": path}, capture_output=True, check=False)
    assert done.returncode == 0, (command, done.stderr.decode())
    made = {path.name: path.read_bytes() for path in sorted(out.glob("*.png"))}
    assert made == saved, (command, json.dumps(chosen))


if __name__ == "__main__":
    main()
