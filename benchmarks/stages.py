"""Where the time of a run goes: seconds of the processor and calls of each stage of the network.

    python benchmarks/stages.py [--size HEIGHT WIDTH] [--unknown 0.15] [--max-memory 1G]

One thread, one photo, which the process has seen once before. "Rest" is what lies between the stages: cutting and
storing maps, the boxes of the decoder, statistics. `--max-memory` sets the plan. Shares can be compared within one run
only.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import replace
from typing import Any

from tiles import UNKNOWN, scene

from mattecli.inference.model import Model, load_model
from mattecli.system.memory import parse_bytes
from mattecli.system.process import prepare_process


class Timed:
    """A backend that notes what each stage takes."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def run(self, stage: str, *arrays: Any, **choices: Any) -> Any:
        """Run a stage of the network."""
        started = time.process_time()
        found = self._backend.run(stage, *arrays, **choices)
        self.seconds[stage] += time.process_time() - started
        self.calls[stage] += 1
        return found


def measure(precision: str, size: tuple[int, int], unknown: float, max_memory: int | None) -> None:
    """Print the table of one precision."""
    loaded = load_model(device="cpu", backend="torch", precision=precision, threads=1)
    run_options = replace(loaded.options, max_memory=max_memory)
    photo, trimap = scene(*size, unknown)
    timed = Timed(loaded.backend)
    model = Model(run_options, backend=timed)
    model.predict(photo, trimap)
    timed.seconds.clear(), timed.calls.clear()
    started = time.process_time()
    model.predict(photo, trimap)
    total = time.process_time() - started
    plan = model.plan(*size)
    megapixels = size[0] * size[1] / 1e6
    print(f"\n{precision}, {size[1]}×{size[0]}, {plan}, keep {plan.keep}: {total / megapixels:.2f} s a megapixel\n")
    print("| stage | calls | share |\n|---|---:|---:|")
    for stage, seconds in timed.seconds.most_common():
        if seconds >= 0.005 * total:
            print(f"| {stage} | {timed.calls[stage]} | {seconds / total:.1%} |")
    print(f"| rest | | {1 - sum(timed.seconds.values()) / total:.1%} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 1536), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--unknown", type=float, default=UNKNOWN)
    parser.add_argument("--max-memory", type=parse_bytes)
    options = parser.parse_args()
    for precision in ("bf16", "fp32"):
        measure(precision, tuple(options.size), options.unknown, options.max_memory)


if __name__ == "__main__":
    prepare_process()
    main()
