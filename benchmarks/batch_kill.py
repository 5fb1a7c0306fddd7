"""Kill a batch at random moments and resume it: is anything half-written, lost, or done twice?

    python benchmarks/batch_kill.py [--rounds 50] [--photos 40]

Each round starts `matte batch` on small photos with an empty output folder, kills it (SIGKILL) at a random moment,
looks at what it left, and runs the same command to its end. Every fifth moment is any moment of an undisturbed run,
most of which lie before its first output. The others lie between its first output and its end. A round is right when

- each output that the killed run left is, byte for byte, what the undisturbed run made;
- the second run skips exactly these, does not touch them, and makes all others;
- at the end all outputs are those of the undisturbed run, and no other file is there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mattecli.imaging.image import Image
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_image

PHOTO = Path(__file__).parents[1] / "examples" / "portrait.jpg"
SIDE = 32


@dataclass
class Round:
    """One kill: when, whether the run was still going, what it left of how many, and what was wrong."""

    moment: float
    killed: bool
    left: int
    temporary: int
    problems: list[str] = field(default_factory=list)


def kill_rounds(folder: Path, *, rounds: int, photos: int, seed: int) -> Iterator[Round]:
    """Kill and resume that many times, below an empty folder."""
    rng = random.Random(seed)
    make_inputs(folder, photos)
    started = time.time()
    start(folder, "reference").wait()
    ended = time.time()
    reference = outputs(folder / "reference")
    assert len(reference) == photos, "the undisturbed run failed"
    first = min(time_ns for _, time_ns in reference.values()) / 1e9
    for number in range(rounds):
        anywhere = number % 5 == 4
        moment = rng.uniform(0, ended - (started if anywhere else first))
        yield _round(folder, f"out{number}", reference, moment, wait_for_output=not anywhere)


def make_inputs(folder: Path, count: int, side: int = SIDE) -> None:
    """Small photos, all different, and their trimaps."""
    whole = read_image(PHOTO).pixels
    trimap = np.full((side, side), 128, np.uint8)
    trimap[:, : side // 3], trimap[:, -(side // 3) :] = 0, 255
    for kind in ("photos", "trimaps"):
        (folder / kind).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        top, left = (int(rng.integers(0, size - side)) for size in whole.shape[:2])
        part = np.ascontiguousarray(whole[top : top + side, left : left + side])
        write_image(folder / f"photos/{number}.png", Image(part))
        write_image(folder / f"trimaps/{number}.png", Image(trimap))


def start(folder: Path, out: str) -> subprocess.Popen[bytes]:
    """A batch in a process of its own; its report lies beside its outputs' folder."""
    command = ["batch", folder / "photos", folder / out, "-t", folder / "trimaps"]
    command += ["--report", folder / f"{out}.jsonl", "--quiet"]
    return subprocess.Popen(
        [sys.executable, "-m", "mattecli", *map(str, command)], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def outputs(out: Path) -> dict[str, tuple[bytes, int]]:
    """The files in an output folder but the batch's own journal: content and time."""
    files = [path for path in out.rglob("*") if path.is_file() and ".matte" not in path.parts]
    return {path.relative_to(out).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def _round(
    folder: Path, out: str, reference: dict[str, tuple[bytes, int]], moment: float, *, wait_for_output: bool
) -> Round:
    process = start(folder, out)
    while wait_for_output and process.poll() is None and not (folder / out / ".matte").exists():
        time.sleep(0.002)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = outputs(folder / out)
    temporary = [name for name in left if name.startswith(".matte-") and name.endswith(".tmp")]
    kept = {name: file for name, file in left.items() if name not in temporary}
    result = Round(moment, process.returncode == -signal.SIGKILL, len(kept), len(temporary))
    result.problems += [f"{name} is half-written" for name, (data, _) in kept.items() if data != reference[name][0]]

    code = start(folder, out).wait()
    summary = _summary(folder / f"{out}.jsonl")
    after = outputs(folder / out)
    if (code, summary["done"], summary["skipped"]) != (0, len(reference) - len(kept), len(kept)):
        result.problems.append(f"{len(kept)} were left, but the second run ended with {code} and {summary}")
    result.problems += [f"{name} was made again" for name, file in kept.items() if after.get(name) != file]
    result.problems += [
        f"{name} is missing or wrong" for name, (data, _) in reference.items() if after.get(name, (b"",))[0] != data
    ]
    result.problems += [f"{name} was left over" for name in after.keys() - reference.keys()]
    return result


def _summary(report: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(report.read_text(encoding="utf-8").splitlines()[-1])["summary"]
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds = []
        for result in kill_rounds(Path(folder), rounds=options.rounds, photos=options.photos, seed=options.seed):
            rounds.append(result)
            state = "; ".join(result.problems) or "right"
            print(f"{len(rounds):3}  {result.moment:5.2f} s  {result.left:3} outputs left  {state}", flush=True)
    killed = [result for result in rounds if result.killed]
    amid = [result for result in killed if 0 < result.left < options.photos]
    print(
        f"killed before their end: {len(killed)} of {len(rounds)} runs, between first and last output: {len(amid)}; "
        f"temporary files left by them and removed by the next run: {sum(r.temporary for r in rounds)}; "
        f"rounds with problems: {sum(bool(r.problems) for r in rounds)}"
    )
    sys.exit(any(result.problems for result in rounds))


if __name__ == "__main__":
    main()
