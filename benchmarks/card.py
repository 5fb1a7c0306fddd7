"""All that a machine with a card must prove, in five minutes: one table, and an exit code that says what failed.

    python benchmarks/card.py                     # on a card
    python benchmarks/card.py --tiny              # every step on the CPU with small pictures, to try the script itself

The exit code is the sum of what failed: 1 exactness, 2 the Triton kernels, 4 memory, 8 speed, 16 a step that broke off.
Steps that no longer fit into `--minutes` are left out by name and count as broken off.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import resample
import torch
from numpy.typing import NDArray
from tiles import scene

from mattecli.inference.backend import Backend, load_backend
from mattecli.inference.model import predict_alpha
from mattecli.inference.plan import Plan
from mattecli.ops import fused
from mattecli.system import memory
from mattecli.system.process import prepare_process

EXACT, KERNELS, MEMORY, SPEED, BROKEN = 1, 2, 4, 8, 16
GOAL = 3.0  # milliseconds a megapixel in bf16, from FROM megapixels up
FROM = 12
CLOSE = 1e-4  # the promise of the run in tiles
TUNED = ("downsample", "upsample", "correlate")  # the kernels of a run without gradients


@dataclass(frozen=True)
class Row:
    """A line of the table; `failed` is the part of the exit code that it adds."""

    step: str
    found: str
    goal: str = ""
    failed: int = 0


@dataclass(frozen=True)
class Setup:
    """Where and how large."""

    device: str
    tiny: bool
    megapixels: tuple[float, ...]  # the sizes of pictures

    def picture(self, megapixels: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """A photo and its trimap, 16:9."""
        width = round((megapixels * 1e6 * 16 / 9) ** 0.5 / 16) * 16
        return scene(round(megapixels * 1e6 / width / 16) * 16, width)

    def backend(self, precision: str) -> Backend:
        """The backend on the device."""
        return load_backend(device=self.device, backend="torch", precision=precision)


def exactness(setup: Setup) -> Iterator[Row]:
    """The card's alpha against the CPU's, and a small tile against the plan's, both in fp32."""
    image, trimap = setup.picture(0.02 if setup.tiny else 0.5)
    card = setup.backend("fp32")
    alpha = predict_alpha(image, trimap, card)
    others = {
        "the CPU": predict_alpha(image, trimap, load_backend(device="cpu", backend="torch", precision="fp32")),
        "tiles of 64": predict_alpha(image, trimap, card, tile=64),
    }
    for name, other in others.items():
        error = float(np.abs(alpha - other).max())
        yield Row(f"fp32 against {name}", f"{error:.1e}", f"≤ {CLOSE:.0e}", EXACT * (error > CLOSE))
    levels = 255 * np.abs(alpha - predict_alpha(image, trimap, setup.backend("bf16")))[trimap == 128]
    yield Row("bf16 against fp32, in levels", f"mean {levels.mean():.2f}, {(levels > 3).mean():.2%} beyond 3")


def kernels(setup: Setup) -> Iterator[Row]:
    """The Triton kernels against float64; the details are printed before the table."""
    if setup.device == "cpu":
        yield Row("Triton kernels", "left out: no card")
        return
    right = resample.check(setup.device)
    yield Row("Triton kernels", "right" if right else "WRONG", "right", KERNELS * (not right))


def sizes(setup: Setup) -> Iterator[Row]:
    """Peak memory and time at each size, by precision, without the Triton kernels and with them."""
    forms = [("", False), (", Triton", True)] if setup.device != "cpu" else [("", False)]
    for megapixels, precision in itertools.product(setup.megapixels, ("fp32", "bf16")):
        image, trimap = setup.picture(megapixels)
        for name, on in forms:
            backend, plans = setup.backend(precision), []
            with resample.switched(on):
                peak, took = measured(lambda: predict_alpha(image, trimap, backend, on_plan=plans.append), setup)  # noqa: B023
            step = f"{megapixels:g} megapixels, {precision}{name}"
            yield memory_row(step, peak, plans[-1], setup)
            each = 1000 * took / (trimap.size / 1e6)
            counts = precision == "bf16" and megapixels >= FROM
            slow = counts and on and each > GOAL
            yield Row(step, f"{each:.2f} ms a megapixel", f"≤ {GOAL:g}" if counts else "", SPEED * slow)


def measured(run: Callable[[], object], setup: Setup) -> tuple[int, float]:
    """The peak of the device's memory in the first run, and the median time of three later ones."""
    if setup.device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    run()
    peak = memory.peak_bytes() if setup.device == "cpu" else torch.cuda.max_memory_reserved()
    times = []
    for _ in range(3):
        started = time.perf_counter()
        run()  # ends with the alpha on the host, so all work is done
        times.append(time.perf_counter() - started)
    return peak, statistics.median(times)


def memory_row(step: str, peak: int, plan: Plan, setup: Setup) -> Row:
    """The peak beside the plan's estimate; on the CPU the process holds more than the plan's, so it does not count."""
    found = f"{memory.show_bytes(peak)} ({plan})"
    over = setup.device != "cpu" and peak > 1.1 * plan.bytes
    return Row(f"{step}: memory", found, "≤ 1.1 × the estimate", MEMORY * over)


def overlap(setup: Setup) -> Iterator[Row]:
    """How much of the time of copies to the card falls into computing."""
    if setup.device == "cpu":
        yield Row("copies beside computing", "left out: no card")
        return
    from torch.profiler import ProfilerActivity, profile

    (image, trimap), backend = setup.picture(12), setup.backend("bf16")
    predict_alpha(image, trimap, backend)
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        predict_alpha(image, trimap, backend)
    spans = [(event.name, event.time_range) for event in profiler.events() or [] if event.device_type.name == "CUDA"]
    copies = [(span.start, span.end) for name, span in spans if "HtoD" in name]
    work = sorted((span.start, span.end) for name, span in spans if not name.startswith(("Memcpy", "Memset")))
    total = sum(end - start for start, end in copies)
    beside = sum(max(0, min(end, b) - max(start, a)) for start, end in copies for a, b in work)
    yield Row(
        "copies to the card beside computing", f"{beside / total:.0%} of {total / 1000:.1f} ms" if total else "none"
    )


def tuning(setup: Setup) -> Iterator[Row]:
    """The fastest blocks of the Triton kernels; the details are printed before the table."""
    if setup.device == "cpu":
        yield Row("block sizes", "left out: no card")
        return
    fused.enabled = True
    options = argparse.Namespace(batch=1, channels=64, size=1024, tune=list(TUNED))
    resample.tune(options, torch.bfloat16)
    yield Row("block sizes", "see above")


STEPS: tuple[Callable[[Setup], Iterator[Row]], ...] = (exactness, kernels, sizes, overlap, tuning)


def rows(setup: Setup, minutes: float, only: Container[str]) -> Iterator[Row]:
    """The rows of the steps named in `only`, as far as the time goes; a step that breaks off is a row too."""
    ends = time.monotonic() + 60 * minutes
    for step in (step for step in STEPS if step.__name__ in only):
        if time.monotonic() > ends:
            yield Row(step.__name__, f"left out: {minutes:g} minutes are over", failed=BROKEN)
            continue
        try:
            for row in step(setup):
                yield row
                if time.monotonic() > ends:
                    yield Row(step.__name__, "its rest is left out: no time", failed=BROKEN)
                    break
        except Exception as error:  # each step is tried, whatever happens in the one before it
            yield Row(step.__name__, f"{type(error).__name__}: {error}".splitlines()[0], failed=BROKEN)


def main() -> None:
    """Print the table and exit with what failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="on the CPU, with small pictures")
    parser.add_argument("--minutes", type=float, default=5)
    names = [step.__name__ for step in STEPS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these steps; default: all")
    parser.add_argument(
        "--megapixels", nargs="+", type=float, default=(2, 12, 50, 100), help="sizes of the step `sizes`"
    )
    options: Any = parser.parse_args()
    if not options.tiny and not torch.cuda.is_available():
        sys.exit("PyTorch finds no card; `--tiny` tries this script on the CPU")
    sizes = (0.02, 0.05) if options.tiny else tuple(options.megapixels)
    setup = Setup("cpu" if options.tiny else "cuda", options.tiny, sizes)
    found = list(rows(setup, options.minutes, options.only))
    where = "CPU" if options.tiny else torch.cuda.get_device_name()
    print(f"\ntorch {torch.__version__}, {where}\n\n| step | found | goal | |\n|---|---|---|---|")
    for row in found:
        print(f"| {row.step} | {row.found} | {row.goal} | {'FAILED' if row.failed else ''} |")
    code = 0
    for row in found:
        code |= row.failed
    sys.exit(code)


if __name__ == "__main__":
    prepare_process()
    main()
