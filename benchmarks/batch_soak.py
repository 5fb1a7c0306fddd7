"""A thousand photos in one run: does the memory that is held stay the same?

    python benchmarks/batch_soak.py [--photos 1000] [--side 96]

Photos of random sizes up to `--side` pixels go through the batch, which writes their alphas and cut-outs. The resident
memory of the process is taken after each photo. The figures are means over a hundred photos.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil

from mattecli.batch.engine import run_jobs
from mattecli.batch.pairing import find_jobs
from mattecli.batch.worker import BatchOptions, Worker
from mattecli.imaging.image import Image
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_image
from mattecli.inference.options import RunOptions
from mattecli.system.process import prepare_process
from mattecli.work.outcome import Done, Outcome

PHOTO = Path(__file__).parents[1] / "examples" / "portrait.jpg"
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--side", type=int, default=96)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        held = soak(Path(folder), options.photos, options.side)
    for start in range(0, len(held), 100):
        print(f"photos {start + 1:5} to {start + 100:5}: {np.mean(held[start : start + 100]) / MIB:7.1f} MiB")
    first, last = np.mean(held[:100]), np.mean(held[-100:])
    print(f"the last hundred to the first: {last / first:.3f}")
    sys.exit(bool(last > 1.05 * first))


def soak(folder: Path, photos: int, side: int) -> list[int]:
    """The resident bytes after each photo."""
    make_inputs(folder, photos, side)
    listed = find_jobs(folder / "photos", folder / "out", trimaps=str(folder / "trimaps"), kinds=["alpha", "cutout"])
    worker = Worker(BatchOptions(out=folder / "out", run=RunOptions(device="cpu")))
    process = psutil.Process()
    held: list[int] = []

    def on_done(outcome: Outcome) -> None:
        assert isinstance(outcome, Done), outcome
        held.append(process.memory_info().rss)

    run_jobs(listed.jobs, worker, on_done=on_done)
    worker.journal.close()
    assert len(held) == photos
    return held


def make_inputs(folder: Path, photos: int, side: int) -> None:
    """Photos of random sizes from half of `side` up, and trimaps."""
    whole = read_image(PHOTO).pixels
    rng = np.random.default_rng(0)
    for kind in ("photos", "trimaps"):
        (folder / kind).mkdir()
    for number in range(photos):
        height, width = rng.integers(side // 2, side + 1, 2)
        top, left = rng.integers(0, whole.shape[0] - side), rng.integers(0, whole.shape[1] - side)
        trimap = np.full((height, width), 128, np.uint8)
        trimap[:, : width // 3], trimap[:, -(width // 3) :] = 0, 255
        part = np.ascontiguousarray(whole[top : top + height, left : left + width])
        write_image(folder / f"photos/{number}.jpg", Image(part))
        write_image(folder / f"trimaps/{number}.png", Image(trimap))


if __name__ == "__main__":
    prepare_process()
    main()
