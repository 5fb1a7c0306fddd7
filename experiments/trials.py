"""Short training runs side by side, with one thing changed in each: what helps, and what is noise.

    python experiments/trials.py OUT --validation DIR [--photos DIR] [--foregrounds DIR] [--trials FILE]

FILE (default: trials.toml beside this script) holds `[base]`, the tables of a train.toml, and a `[[trial]]` with its
`change` for each run. Runs with the same `seed` and crops see the same samples in the same order. Each run has a folder
in OUT. Finished runs are not repeated, so a stopped session goes on where it was. The table (Markdown) goes to stdout,
the curves to OUT/curves.png or `--plot`.

Two figures compare trials. *Loss* is the mean of the alpha loss over the last quarter of the steps. Each crop is new to
the network, so it is a test as well, with the same crops for all. *SAD* is that of the averaged weights on `--pictures`
pictures of DIR (image/, alpha/, trimap*/), shrunk to `--side` pixels, with the folders of trimaps in turn.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mattecli.imaging.read import read_alpha, read_image
from mattecli.system.process import prepare_process
from mattecli.training.build import build_loader, build_network
from mattecli.training.config import TrainConfig, config_of
from mattecli.training.log import LogLine, read_log
from mattecli.training.loop import BatchLoader, train
from mattecli.training.plots import Panel, draw_panels
from mattecli.training.state import STATE
from mattecli.training.validation import ValidationSet
from mattecli.trimaps.pairs import read_trimap

Tables = dict[str, Any]
Curve = list[tuple[float, float]]  # steps and losses

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Trial:
    """One run. With `first`, its first share (`until`) has other data than the rest."""

    question: str
    name: str
    change: Tables
    first: Tables

    @property
    def folder(self) -> str:
        return re.sub(r"[^a-z0-9.]+", "-", f"{self.question} {self.name}".lower()).strip("-")


def main() -> None:
    options = _options()
    content = tomllib.loads(options.trials.read_text(encoding="utf-8"))
    trials = [Trial(t["question"], t["name"], t.get("change", {}), t.get("first", {})) for t in content["trial"]]
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    if not options.report:
        _run_all(trials, content["base"], options)
    done = {
        trial: read_log(options.out / trial.folder / "log.jsonl")
        for trial in trials
        if finished(options.out / trial.folder)
    }
    print(table(done))
    draw_panels(_panels(done), options.plot or options.out / "curves.png")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the runs")
    parser.add_argument("--validation", type=Path, help="folder with image/, alpha/ and trimap folders")
    parser.add_argument("--trials", type=Path, default=Path(__file__).with_name("trials.toml"))
    parser.add_argument("--photos", action="append", default=[], help="folder of photographs for backgrounds")
    parser.add_argument("--foregrounds", action="append", default=[], help="folder of cut-outs")
    parser.add_argument("--cache", help="folder of ready foregrounds (default: OUT/cache)")
    parser.add_argument("--pictures", type=int, default=6, help="pictures to validate on")
    parser.add_argument("--side", type=int, default=400, help="their longest side in pixels")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="run nothing: table and curves of what is finished")
    parser.add_argument("--plot", type=Path, help="where the curves go")
    options = parser.parse_args()
    if not (options.report or options.validation):
        parser.error("--validation is needed to run trials")
    return options


def _run_all(trials: list[Trial], base: Tables, options: argparse.Namespace) -> None:
    """Run what is not finished. A mistake in any trial is reported before the first one begins."""
    configs = [_config(base, trial.change, options, options.out / trial.folder) for trial in trials]
    loaders = [_loader(trial, config) for trial, config in zip(trials, configs, strict=True)]
    validation = ValidationSet(_reduced(options.validation, options.out / "validation", options.pictures, options.side))
    for trial, config, loader in zip(trials, configs, loaders, strict=True):
        if not finished(config.run.folder):
            print(f"{time.strftime('%H:%M')} {trial.question}: {trial.name}", file=sys.stderr, flush=True)
            network = build_network(config)
            train(config, network=network, loader=loader, device=CPU, validation=validation, resume=True)
            (config.run.folder / STATE).unlink()  # 100 MB that nobody will need


def _config(base: Tables, change: Tables, options: argparse.Namespace, folder: Path) -> TrainConfig:
    pictures = {
        "run": {"folder": str(folder.resolve())},
        "data": {
            "photos": [str(Path(path).resolve()) for path in options.photos],
            "foregrounds": [str(Path(path).resolve()) for path in options.foregrounds],
            "cache": str(Path(options.cache or options.out / "cache").resolve()),
        },
    }
    return config_of(merged(merged(base, pictures), change), options.trials)


def merged(tables: Mapping[str, Any], change: Mapping[str, Any]) -> Tables:
    """Tables with some keys changed. Values that are not tables are replaced as a whole."""
    result = dict(tables)
    for key, value in change.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def finished(folder: Path) -> bool:
    """Whether the run in a folder has reached its end."""
    log = folder / "log.jsonl"
    return log.exists() and any(line["kind"] == "saved" and line["progress"] >= 1 for line in read_log(log))


def _loader(trial: Trial, config: TrainConfig) -> BatchLoader:
    loader = build_loader(config, CPU)
    if not trial.first:
        return loader
    easy = config.replace(data=config.data.replace(**trial.first["data"]))
    return _one_then_other(build_loader(easy, CPU), loader, round(trial.first["until"] * config.run.steps))


def _one_then_other(one: BatchLoader, other: BatchLoader, batches: int) -> BatchLoader:
    """A loader that takes the batches below number `batches` from `one`, and the rest from `other`."""

    def loader(*, start: int, first: int, **plan: Any) -> Iterator[Mapping[str, Tensor]]:
        batch = one(start=start, first=first, **plan)
        for _ in range(start, batches):
            yield next(batch)
        taken = plan["world_size"] * sum(map(plan["batch"], range(start, batches)))
        yield from other(start=max(start, batches), first=first + taken, **plan)

    return loader


def _reduced(source: Path, target: Path, pictures: int, side: int) -> Path:
    """A validation folder with some pictures of another, shrunk, each with one of its trimaps."""
    whole = ValidationSet(source)
    names = list(whole.images)
    kinds = list(whole.trimaps)
    for part in ("image", "alpha", "trimap"):
        (target / part).mkdir(parents=True, exist_ok=True)
    for n in range(pictures):
        name = names[n * len(names) // pictures]
        image = read_image(whole.images[name]).pixels
        trimap = read_trimap(whole.trimaps[kinds[n % len(kinds)]][name])
        factor = min(1.0, side / max(trimap.shape))
        size = (round(factor * trimap.shape[1]), round(factor * trimap.shape[0]))
        alpha = np.rint(255 * _shrunk(read_alpha(whole.alphas[name]), size))
        surely = [_shrunk((trimap == value).astype(np.float32), size) > 0.9999 for value in (0, 255)]
        cv2.imwrite(str(target / f"image/{name}.png"), _shrunk(image, size)[..., ::-1])
        cv2.imwrite(str(target / f"alpha/{name}.png"), alpha.astype(np.uint8))
        cv2.imwrite(str(target / f"trimap/{name}.png"), np.select(surely, (0, 255), 128).astype(np.uint8))
    return target


def _shrunk(plane: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)


# The table and the curves


def table(done: Mapping[Trial, list[LogLine]]) -> str:
    """A Markdown table with a row for each trial, those of one question together."""
    questions = [trial.question for trial in done]
    rows = [
        "| question | trial | steps | crops | parameters | loss | SAD half-way | SAD | MSE |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for trial, log in sorted(done.items(), key=lambda item: questions.index(item[0].question)):
        session = next(line for line in log if line["kind"] == "session")
        steps = [line for line in log if line["kind"] == "step"]
        judged = [line for line in log if line["kind"] == "validation" and line["step"]]
        crops = " then ".join(
            f"{stage['batch']} of {'/'.join(map(str, stage['size']))}" for stage in session["config"]["crops"]
        )
        last = judged[-1]["figures"][0]
        cells = [
            *(trial.question, trial.name, str(steps[-1]["step"]), crops, f"{session['parameters']:,}"),
            *(f"{_last_quarter(steps):.4f}", f"{judged[0]['sad']:.2f}", f"{last['sad']:.2f}", f"{last['mse']:.4f}"),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _last_quarter(steps: list[LogLine]) -> float:
    losses = [line["losses"]["alpha"] for line in steps if line["step"] > 0.75 * steps[-1]["step"]]
    return float(np.mean([loss for loss in losses if loss is not None]))  # None: all steps were left out


def _panels(done: Mapping[Trial, list[LogLine]]) -> list[Panel]:
    """A diagram of the alpha loss for each question and seed, with the trial of question "base" of the same length.

    Only runs of one seed saw the same samples.
    """
    panels = []
    for question, seed in dict.fromkeys((trial.question, _seed(log)) for trial, log in done.items()):
        asked = {trial.name: log for trial, log in done.items() if (trial.question, _seed(log)) == (question, seed)}
        length = max(log[-1]["step"] for log in asked.values())
        bases = {trial.name: log for trial, log in done.items() if trial.question == "base" and _seed(log) == seed}
        shown = {**{name: log for name, log in bases.items() if log[-1]["step"] == length}, **asked}
        if question != "base":
            series = {re.sub(r", seed \d+$", "", name): _curve(log) for name, log in shown.items()}
            panels.append(Panel(f"{question}, seed {seed}: alpha loss", series))
    return panels


def _seed(log: list[LogLine]) -> int:
    return int(next(line for line in log if line["kind"] == "session")["config"]["run"]["seed"])


def _curve(log: list[LogLine], width: int = 5) -> Curve:
    """Steps and losses, as means over `width` lines of the log, without the first ones, which are high."""
    steps = [line for line in log if line["kind"] == "step" and line["norm"] is not None]
    width = min(width, len(steps))
    losses = np.convolve([line["losses"]["alpha"] for line in steps], np.ones(width) / width, mode="valid")
    return [(line["step"], float(loss)) for line, loss in zip(steps[width - 1 :], losses, strict=True)]


if __name__ == "__main__":
    prepare_process()
    main()
