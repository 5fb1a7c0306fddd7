"""What reading, writing and the journal cost a batch, compared with the network alone.

    python benchmarks/batch_rate.py [--photos 100] [--side 512] [--device cpu]

The same photos go through the network, from arrays in memory, and through the batch, from files to files. Each takes a
part of them in turns, so that other programs on the machine disturb both alike. The network is loaded before.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from mattecli.batch.engine import run_jobs
from mattecli.batch.pairing import find_jobs
from mattecli.batch.worker import BatchOptions, Worker
from mattecli.imaging.image import Image
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_image
from mattecli.inference.options import RunOptions
from mattecli.system.process import prepare_process
from mattecli.trimaps.pairs import read_trimap
from mattecli.work.outcome import Done, Job, Outcome

ROOT = Path(__file__).parents[1] / "examples"
TURNS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.photos, options.side, options.device)


def measure(folder: Path, photos: int, side: int, device: str) -> None:
    """Print both rates and their ratio."""
    make_inputs(folder, photos, side)
    jobs = find_jobs(folder / "photos", folder / "out", trimaps=str(folder / "trimaps")).jobs
    worker = Worker(BatchOptions(out=folder / "out", run=RunOptions(device=device)))
    worker.load()
    bare(jobs[:1], worker)
    seconds = {"network": 0.0, "batch": 0.0}
    for turn in range(TURNS):
        part = jobs[turn::TURNS]
        seconds["network"] += bare(part, worker)
        seconds["batch"] += batch(part, worker)
    worker.journal.close()
    for name, total in seconds.items():
        print(f"{name:14} {photos / total:6.3f} photos of {side}×{side} a second")
    print(f"rate of the batch to that of the network: {seconds['network'] / seconds['batch']:.3f}")


def bare(jobs: list[Job], worker: Worker) -> float:
    """Seconds of `Model.predict` alone."""
    arrays = [(read_image(job.image).pixels, read_trimap(job.trimap)) for job in jobs]
    started = time.perf_counter()
    for photo, trimap in arrays:
        worker.model.predict(photo, trimap)
    return time.perf_counter() - started


def batch(jobs: list[Job], worker: Worker) -> float:
    """Seconds of the batch."""

    def on_done(outcome: Outcome) -> None:
        assert isinstance(outcome, Done), outcome

    started = time.perf_counter()
    run_jobs(jobs, worker, on_done=on_done)
    return time.perf_counter() - started


def make_inputs(folder: Path, photos: int, side: int) -> None:
    """JPEG photos of one size, all different, with the example's trimap."""
    photo, trimap = read_image(ROOT / "portrait.jpg").pixels, read_trimap(ROOT / "portrait_trimap.png")
    for kind in ("photos", "trimaps"):
        (folder / kind).mkdir()
    rows = np.arange(side) * photo.shape[0] // side
    for number in range(photos):
        shifted = np.roll(photo[rows][:, rows], number, axis=1)
        write_image(folder / f"photos/{number}.jpg", Image(np.ascontiguousarray(shifted)))
        write_image(
            folder / f"trimaps/{number}.png", Image(np.ascontiguousarray(np.roll(trimap[rows][:, rows], number, 1)))
        )


if __name__ == "__main__":
    prepare_process()
    main()
