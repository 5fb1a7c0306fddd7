"""Train for some minutes on a CUDA card: check the Triton kernels, compile, train from a checkpoint, keep the averages.

    python experiments/card.py OUT --photos DIR --prepare                  the first call, of some two minutes
    python experiments/card.py OUT --photos DIR --foregrounds DIR          then train
    python experiments/card.py OUT --photos DIR --foregrounds DIR --resume the rest of a schedule of two calls
    python experiments/card.py OUT --photos DIR --foregrounds DIR --tiny   a trial without a card

For a card that is lent for a quarter of an hour. `--prepare` runs the operators with and without the Triton kernels,
forward and backward, in processes of their own; kernels.json has the errors. Training uses the kernels only if they are
as near to float32 as the plain operators. Then it trains a few steps, so that the compiled network lies in PyTorch's
cache: compiling takes 80 seconds, and 15 from there. If the batch does not fit into the card's memory, or compiling
fails, it tries a smaller batch, then no compiling. Training begins with what worked, and tries the rest likewise until
it has saved. Meanwhile other processes draw the foregrounds into the cache, and go on after the call (fill.log).

The schedule has `--total` minutes. A call ends `--minutes` after its start. OUT gets log.jsonl, train.log and the
averaged weights of a save as ema_STEP.safetensors: judge all, for the last ones need not be the best. card.toml has the
settings.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import tomli_w
from safetensors import safe_open

from mattecli.system.process import prepare_process
from mattecli.training.config import read_config
from mattecli.training.data.sources import Sources
from mattecli.training.state import STATE

SETTINGS = Path(__file__).with_suffix(".toml")
OPERATORS = ("downsample", "upsample", "correlate_pair")
CHECK_SECONDS = 90
PREPARED_STEPS = 5
WORKER_BYTES = 400_000_000  # of shared memory that a worker's batches take
SWITCH = "MATTECLI_FUSED"
STARTING = 0.25  # minutes of a call before `--pause-after` counts: imports, CUDA's start, the lists of pictures
LEAST = 0.3  # minutes that a training is worth
RETRIED_CODES = (1, 5)  # a failure of the compiler, or of memory: a smaller batch may do


@dataclass(frozen=True)
class Attempt:
    """The size of a batch, how many make a step, and whether the network is compiled."""

    batch: int
    accumulate: int
    compiled: bool


def run_operators(target: Path) -> None:
    """Save results, gradients and milliseconds of each operator, as this process runs it and in float32."""
    import torch

    import mattecli.ops  # noqa: F401  registers torch.ops.mattecli

    found: dict[str, Any] = {}
    for dtype in (torch.float32, torch.bfloat16):
        random = torch.Generator().manual_seed(7)
        large = torch.randn((2, 64, 128, 96), generator=random).cuda().to(dtype)
        small = torch.randn((2, 64, 64, 48), generator=random).cuda().to(dtype)
        large, small = (x.contiguous(memory_format=torch.channels_last) for x in (large, small))
        shapes = ((2, 1, 64, 48), (2, 36), (2, 1, 6, 6), (2, 1, 6, 6))
        scores, kernel, u, v = (torch.randn(shape, generator=random).cuda() for shape in shapes)
        inputs = ((large, scores, kernel), (small, scores, kernel), (large, u, v))
        for name, given in zip(OPERATORS, inputs, strict=True):
            exact, _ = _timed(name, [x.float() for x in given])
            own, milliseconds = _timed(name, list(given))
            row = {"own": own, "exact": exact, "ms": milliseconds}
            found[f"{name} {str(dtype).removeprefix('torch.')}"] = row
    torch.save(found, target)


def _timed(name: str, given: list[Any]) -> tuple[list[Any], float]:
    """An operator's results and gradients as float32 on the CPU, and the milliseconds of both together."""
    import torch

    leaves = [x.detach().clone().requires_grad_() for x in given]

    def once() -> list[Any]:
        results = getattr(torch.ops.mattecli, name)(*leaves, [True] * 4)
        results = results if isinstance(results, tuple) else (results,)
        return [*results, *torch.autograd.grad([x.float().square().mean() for x in results], leaves)]

    values = [x.detach().float().cpu() for x in once()]
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(20):
        once()
    torch.cuda.synchronize()
    return values, (time.perf_counter() - began) * 50


def kernels_are_right(out: Path) -> bool:
    """Whether the Triton kernels are as near to float32 as the plain operators; writes OUT/kernels.json."""
    import torch

    found: dict[str, Any] = {}
    for switch in "01":
        target = out / f"kernels_{switch}.pt"
        command = [sys.executable, __file__, str(target), "--operators"]
        try:
            code: int | str = subprocess.run(
                command, env=os.environ | {SWITCH: switch}, timeout=CHECK_SECONDS, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = f"no answer in {CHECK_SECONDS} s"
        if code:
            print(f"the check with {SWITCH}={switch} ended with {code}", flush=True)
            return False
        found[switch] = torch.load(target)
        target.unlink()
    table = {name: compared(name, found["1"][name], plain) for name, plain in found["0"].items()}
    for name, row in table.items():
        print(name, row, flush=True)
    (out / "kernels.json").write_text(json.dumps(table, indent=1))
    return all(row["right"] for row in table.values())


def compared(name: str, fused: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    """The largest relative errors of both forms against float32, and whether the fused one is as good.

    `name` ends with the type that they computed in. Sums in another order differ by rounding, which `allowed` covers.
    """

    def error(values: list[Any]) -> float:
        pairs = zip(values, plain["exact"], strict=True)
        found = [float((value - truth).norm() / truth.norm().clamp_min(1e-12)) for value, truth in pairs]
        return max(found) if all(map(math.isfinite, found)) else math.inf

    errors = error(fused["own"]), error(plain["own"])
    allowed = 1e-4 if name.endswith("float32") else 1e-2
    right = errors[0] <= max(allowed, 1.5 * errors[1])
    return {"fused": errors[0], "plain": errors[1], "right": right, "ms": [fused["ms"], plain["ms"]]}


def settings(options: argparse.Namespace, attempt: Attempt) -> dict[str, Any]:
    """The tables of the train.toml of an attempt."""
    tables = tomllib.loads(SETTINGS.read_text())
    tables["run"] |= {"seed": options.seed, "start": str(options.start.resolve())}
    tables["data"] |= {
        "photos": [str(options.photos.resolve())],
        "cache": "cache",
        "workers": 1 if options.tiny else _workers(),
    }
    if options.foregrounds is None:
        tables["data"]["groups"] = {}
    else:
        tables["data"]["foregrounds"] = [str(options.foregrounds.resolve())]
    tables["crops"][0] |= {"batch": attempt.batch, "accumulate": attempt.accumulate}
    tables["precision"]["compile"] = attempt.compiled
    if options.tiny:
        tables["data"]["bank"] = 8
        tables["crops"][0]["size"] = 96
    return tables


def _workers() -> int:
    shared = Path("/dev/shm")
    room = shutil.disk_usage(shared).free if shared.is_dir() else 0
    return max(1, min((os.cpu_count() or 4) - 1, room // WORKER_BYTES))


def attempts(options: argparse.Namespace) -> list[Attempt]:
    """What to try in turn, from the largest batch down."""
    if options.tiny:
        return [Attempt(2, 1, compiled=False)]
    batch, half, quarter = options.batch, max(1, options.batch // 2), max(1, options.batch // 4)
    return [
        Attempt(batch, 1, compiled=True),
        Attempt(half, 2, compiled=True),
        Attempt(half, 2, compiled=False),
        Attempt(quarter, 4, compiled=False),
    ]


def prepare(options: argparse.Namespace) -> int:
    """Check the kernels, compile, and draw foregrounds in the background; gives the exit code of a few steps."""
    run = options.run.with_name("prepared")
    fused = not options.tiny and kernels_are_right(options.out)
    os.environ[SWITCH] = str(int(fused))
    code = 1
    for number, attempt in enumerate(attempts(options)):
        shutil.rmtree(run, ignore_errors=True)
        config = _write_config(options, attempt)
        if number == 0:
            _start_filling(config, options.out)
        code = train([str(config), "--run", str(run), "--steps", str(PREPARED_STEPS)], options.out)
        if code == 0:
            options.run.with_suffix(".json").write_text(json.dumps({"fused": fused, "attempt": number}))
        if code not in RETRIED_CODES:
            break
    return code


def _start_filling(config: Path, out: Path) -> None:
    """Start a process that goes on after this call, while the next one carries the other pictures."""
    with (out / "fill.log").open("w") as log:
        filler = [sys.executable, __file__, str(config), "--fill"]
        subprocess.Popen(filler, stdout=log, stderr=log, start_new_session=True)


def fill(config: Path) -> None:
    """Draw all foregrounds of a config into its cache, in as many processes as it has workers."""
    settings = read_config(config)
    sources = Sources(settings.data)  # here, to refuse folders that cannot be used before each process does
    with get_context("forkserver").Pool(settings.workers, _begin_filling, (sources,)) as pool:
        for _ in pool.imap_unordered(_draw, range(settings.data.bank), chunksize=8):
            pass


_sources: list[Sources] = []  # of a process that fills the cache


def _begin_filling(sources: Sources) -> None:
    os.nice(10)
    prepare_process()
    _sources.append(sources)


def _draw(number: int) -> None:
    _sources[0].procedural(number)


def train(command: list[str], out: Path, run: Path | None = None) -> int:
    """Run `matte train` and copy what it saves in `run` to OUT; gives its exit code."""
    ended = threading.Event()
    watcher = threading.Thread(target=_copy_saves, args=(run, out, ended)) if run else None
    if watcher:
        watcher.start()
    with (out / "train.log").open("a") as log:
        whole = [sys.executable, "-m", "mattecli", "train", *command]
        code = subprocess.run(whole, stdout=log, stderr=log, check=False).returncode
    ended.set()
    if watcher:
        watcher.join()
    print(*(out / "train.log").read_text().splitlines()[-6:], sep="\n", flush=True)
    return code


def _copy_saves(run: Path, out: Path, ended: threading.Event) -> None:
    last, seen = False, 0.0
    while not last:
        last = ended.wait(5)
        average = run / "ema.safetensors"
        if average.exists() and average.stat().st_mtime != seen:
            seen = average.stat().st_mtime
            copy_average(average, out)
        if (run / "log.jsonl").exists():
            shutil.copyfile(run / "log.jsonl", out / "log.jsonl")


def copy_average(average: Path, out: Path) -> Path:
    """Copy averaged weights to OUT, named by the step that stands in them."""
    hidden = out / ".ema.safetensors"
    shutil.copyfile(average, hidden)  # the run replaces its file as a whole, so this is one save or the other
    with safe_open(hidden, "pt") as file:
        step = file.metadata()["step"]
    return hidden.replace(out / f"ema_{step}.safetensors")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--foregrounds", type=Path)
    parser.add_argument("--start", type=Path, default=Path("weights/a2u_shared.safetensors"))
    parser.add_argument("--run", type=Path, default=Path("runs/card"), help="folder of the run, with its state")
    parser.add_argument("--total", type=float, default=10.5, help="minutes of the whole schedule")
    parser.add_argument(
        "--minutes", type=float, default=9.2, help="minutes from the start of this call to its last save"
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--prepare", action="store_true", help="check, draw and compile; a call before the training")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="tiny crops, and no check of the kernels")
    parser.add_argument("--operators", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--fill", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.operators or options.fill:
        return options
    if options.photos is None or (options.foregrounds is None and not options.prepare):
        parser.error("--photos and --foregrounds are missing; name the folders of pictures to train with")
    return options


def _prepared(options: argparse.Namespace) -> list[Attempt]:
    """Set MATTECLI_FUSED and give what to try, both as a call with `--prepare` found them or, without one, anew."""
    found = options.run.with_suffix(".json")
    if options.tiny or not found.exists():
        os.environ[SWITCH] = str(int(not options.tiny and kernels_are_right(options.out)))
        return attempts(options)
    chosen = json.loads(found.read_text())
    os.environ[SWITCH] = str(int(chosen["fused"]))
    return attempts(options)[chosen["attempt"] :]


def _write_config(options: argparse.Namespace, attempt: Attempt) -> Path:
    config: Path = options.run.with_suffix(".toml")
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(tomli_w.dumps(settings(options, attempt)))
    return config


def main() -> int:
    options = parse()
    if options.operators:
        run_operators(options.out)
        return 0
    if options.fill:
        fill(options.out)
        return 0
    end = time.monotonic() + 60 * (options.minutes - STARTING)
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ["PYTHONUNBUFFERED"] = "1"
    if options.prepare:
        return prepare(options)
    tries = _prepared(options)
    print(f"training with {SWITCH}={os.environ[SWITCH]}", flush=True)

    def left() -> float:
        return (end - time.monotonic()) / 60

    if left() < LEAST:
        print(
            f"{max(0.0, left()):.1f} minutes are left to train in, less than {LEAST}; give more --minutes", flush=True
        )
        return 1
    if options.resume:
        command = [str(options.run / "config.toml"), "--run", str(options.run), "--resume"]
        return train([*command, "--pause-after", f"{left():.2f}"], options.out, options.run)
    code = 1
    for attempt in tries:
        if left() < LEAST:
            break
        shutil.rmtree(options.run, ignore_errors=True)
        config = _write_config(options, attempt)
        print(f"{attempt}, {left():.1f} minutes", flush=True)
        limits = ["--max-minutes", f"{options.total:.2f}", "--pause-after", f"{left():.2f}"]
        code = train([str(config), "--run", str(options.run), *limits], options.out, options.run)
        if code not in RETRIED_CODES:
            break
        if (options.run / STATE).exists():
            print(f"{options.run} has the steps up to its last save; go on with --resume", flush=True)
            break
    return code


if __name__ == "__main__":
    sys.exit(main())
