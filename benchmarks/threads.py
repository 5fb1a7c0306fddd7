"""Threads: what their waiting costs, alone and beside busy programs.

    python benchmarks/threads.py                    # GOMP_SPINCOUNT and the number of threads, beside 0 and 2 programs
    python benchmarks/threads.py --busy 0 1 2 --precision bf16 --repeats 9

PyTorch's wheels bring GNU's OpenMP. A thread that has no work spins for a while before it sleeps. Beside other programs
it spins on a core that its partner needs. Each setting has a process of its own, which is warm. The settings take
turns, so that other load meets all of them alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from tiles import scene

from mattecli.inference.model import load_model
from mattecli.system.process import prepare_process

SETTINGS = (300_000, 10_000, 5000, 3000, 1000, 100, 0)  # the first is the library's own


class Candidate:
    """A warm process with one setting."""

    def __init__(self, spins: int, threads: int, options: argparse.Namespace) -> None:
        self.name = f"{threads} thread{'s' * (threads > 1)}, {spins} turns"
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        environment["GOMP_SPINCOUNT"] = str(spins)
        size = [str(number) for number in options.size]
        command = [sys.executable, __file__, "--serve", "--size", *size, "--precision", options.precision]
        self.process = subprocess.Popen(
            command,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def run(self) -> tuple[float, float]:
        """One photo: seconds, and seconds of the processor."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        wall, cpu = self.process.stdout.readline().split()
        return float(wall), float(cpu)

    def end(self) -> None:
        """Let it finish."""
        self.process.communicate()


def serve(size: Sequence[int], precision: str) -> None:
    """Matte one photo for each line of the input."""
    model = load_model(device="cpu", backend="torch", precision=precision)
    image, trimap = scene(*size)
    model.predict(image, trimap)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        model.predict(image, trimap)
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)


@contextmanager
def busy(programs: int) -> Iterator[None]:
    """So many other programs that compute all the time."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(programs)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def compare(options: argparse.Namespace) -> None:
    """The table."""
    cores = len(os.sched_getaffinity(0))
    candidates = [Candidate(spins, cores, options) for spins in SETTINGS] + [Candidate(0, 1, options)]
    for candidate in candidates:
        candidate.run()
    height, width = options.size
    print(f"{width}×{height}, {options.precision}, {cores} cores, medians of {options.repeats} in turns\n")
    print("| beside | setting | seconds | of the processor | × the best |\n|---|---|---:|---:|---:|")
    for programs in options.busy:
        load = os.getloadavg()[0]
        with busy(programs):
            rounds = [[candidate.run() for candidate in candidates] for _ in range(options.repeats)]
        middles = [np.median([turn[number] for turn in rounds], axis=0) for number in range(len(candidates))]
        best = min(wall for wall, _ in middles)
        for candidate, (wall, cpu) in zip(candidates, middles, strict=True):
            print(
                f"| {programs} busy (load {load:.1f}) | {candidate.name} | {wall:.2f} | {cpu:.2f} | {wall / best:.2f} |"
            )
        ratios = [
            statistics.median(turn[number][0] / turn[0][0] for turn in rounds) for number in range(1, len(candidates))
        ]
        print(f"| | ratios to the first, by turns | {' · '.join(f'{ratio:.2f}' for ratio in ratios)} | | |", flush=True)
    for candidate in candidates:
        candidate.end()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 2], metavar="PROGRAMS")
    parser.add_argument("--size", type=int, nargs=2, default=(512, 768), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        prepare_process()
        serve(options.size, options.precision)
    else:
        compare(options)


if __name__ == "__main__":
    main()
