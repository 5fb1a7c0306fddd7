"""Paired trials: short runs from one checkpoint that differ in one setting each, compared on the same crops.

    python experiments/paired.py run OUT --start FILE --photos DIR --foregrounds DIR [--only NAME] [--keep DIR]
    python experiments/paired.py judge OUT --start FILE --photos DIR --foregrounds DIR [--only NAME] [--validation DIR]
    python experiments/paired.py table OUT

The list of trials (`--trials`, default: paired.toml beside this script) holds `[base]`, the tables of a train.toml, and
a `[[variant]]` for each run: its `change` of the base, and the name of the run it is compared with (`against`). All
runs begin from one checkpoint. They see the same samples in the same order, unless a variant changes the seed or the
data. With `fresh_decoder = true` they begin from the checkpoint's encoder below a decoder of random weights, the same
for all, so that networks of different `upsampling` can be compared (decoders.toml).

*run* trains what is not finished in OUT. *judge* measures the start and each finished run, and writes the errors to
OUT/judged. It uses crops of another seed than training's. Half of them are of kinds that no run trains on (`held_out`).
With `--validation` it measures whole pictures too. *table* compares the runs (Markdown). It gives the change of the
absolute error, summed over unknown pixels, in per cent, with the 95 % interval of a bootstrap over the crops (for the
validation over the pictures).

The interval says how much the choice of crops matters. It does not say how much the luck of a run matters. A second run
of the base with another seed shows that. A variant whose change is smaller than that one is not shown to help.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
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

from experiments.trials import finished, merged
from mattecli.evaluation.evaluate import find_cases
from mattecli.evaluation.metrics import quantise, score
from mattecli.imaging.read import read_alpha, read_image
from mattecli.inference.backend import load_backend
from mattecli.inference.model import predict_alpha
from mattecli.network.a2u import A2UNet
from mattecli.network.checkpoint import load_a2u
from mattecli.system.process import prepare_process
from mattecli.training.build import build_loader, build_network
from mattecli.training.config import TrainConfig, config_of
from mattecli.training.data.dataset import Sample, Samples
from mattecli.training.data.foregrounds import KINDS
from mattecli.training.loop import train
from mattecli.training.losses import SOFT
from mattecli.training.state import STATE
from mattecli.trimaps.check import unknown
from mattecli.trimaps.pairs import read_trimap
from mattecli.weights import Checkpoint

Tables = dict[str, Any]

CPU = torch.device("cpu")
START = "start"  # the name of the checkpoint that all runs begin from
CLASSES = ("all", "soft", "0", "1")  # unknown pixels by their true alpha
RESAMPLES = 10_000  # of the bootstrap


@dataclass(frozen=True, eq=False)
class Variant:
    """One run: what it changes in the base, and the run that it is compared with."""

    name: str
    against: str
    change: Tables

    @property
    def folder(self) -> str:
        return slug(self.name)


@dataclass(frozen=True)
class Trials:
    """A list of trials. No run trains on `kinds` and `groups`. `seed`, `crops` and `size` are those of the judging."""

    path: Path
    base: Tables
    variants: tuple[Variant, ...]
    kinds: tuple[str, ...]
    groups: tuple[str, ...]
    seed: int
    crops: int
    size: int
    fresh_decoder: bool


def main() -> None:
    options = _options()
    trials = read_trials(options.trials)
    strange = set(options.only) - {variant.name for variant in trials.variants} - {START}
    if strange:
        sys.exit(f"{options.trials} has no variant {', '.join(sorted(strange))}; take a name from there")
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    if options.command == "run":
        run(trials, options)
    elif options.command == "judge":
        judge(trials, options)
    else:
        print(table(read_judged(trials, options.out)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "judge", "table"])
    parser.add_argument("out", type=Path, help="folder for the runs and their errors")
    parser.add_argument("--trials", type=Path, default=Path(__file__).with_name("paired.toml"))
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only this variant; repeatable")
    parser.add_argument("--start", type=Path, help="checkpoint that all runs begin from")
    parser.add_argument("--photos", action="append", default=[], help="folder of photographs for backgrounds")
    parser.add_argument("--foregrounds", action="append", default=[], help="folder of cut-outs")
    parser.add_argument("--cache", type=Path, help="folder of ready foregrounds (default: OUT/cache)")
    parser.add_argument("--keep", type=Path, help="copy the averaged weights of each run to this folder")
    parser.add_argument("--validation", type=Path, help="folder with image/, alpha/ and trimap folders")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.command != "table" and not (options.start and options.photos and options.foregrounds):
        parser.error(f"{options.command} needs --start, --photos and --foregrounds")
    return options


def read_trials(path: Path) -> Trials:
    """The list of trials in a TOML file."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    variants = tuple(Variant(v["name"], v.get("against", START), v.get("change", {})) for v in content["variant"])
    held_out, crops = content["held_out"], content["judge"]
    kinds, groups = tuple(held_out["kinds"]), tuple(held_out["groups"])
    judged_on = crops["seed"], crops["crops"], crops["size"]
    fresh = content.get("fresh_decoder", False)
    return Trials(path, content["base"], variants, kinds, groups, *judged_on, fresh_decoder=fresh)


def slug(name: str) -> str:
    """The name of a run as files and folders have it."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


# Running


def run(trials: Trials, options: argparse.Namespace) -> None:
    """Train what is not finished. A mistake in any variant is reported before the first run begins."""
    wanted = [variant for variant in trials.variants if not options.only or variant.name in options.only]
    configs = {variant: run_config(trials, variant.change, options, options.out / variant.folder) for variant in wanted}
    loaders = {variant: build_loader(config, CPU) for variant, config in configs.items()}
    for variant, config in configs.items():
        folder = config.run.folder
        if not finished(folder):
            print(f"{time.strftime('%H:%M')} {variant.name}", file=sys.stderr, flush=True)
            network = with_fresh_decoder(config) if trials.fresh_decoder else build_network(config)
            train(config, network=network, loader=loaders[variant], device=CPU, resume=True)
            (folder / STATE).unlink()  # 100 MB that nobody will need
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / "ema.safetensors", options.keep / f"{variant.folder}.safetensors")


def with_fresh_decoder(config: TrainConfig) -> A2UNet:
    """The encoder of the run's `start`, without up kernels, in a network of random weights.

    The random weights depend on the run's seed alone, not on the upsampling.
    """
    assert config.run.start is not None
    start = load_a2u(config.run.start)
    torch.manual_seed(config.run.seed)
    fresh = A2UNet(shared=start.shared).state_dict()
    fresh |= {name: tensor for name, tensor in start.state_dict().items() if is_encoders(name)}
    network = A2UNet(shared=start.shared, upsampling=config.run.upsampling)
    network.load_state_dict({name: fresh.get(name, tensor) for name, tensor in network.state_dict().items()})
    network.dconv_pp.dropout.p = config.run.dropout
    return network


def is_encoders(name: str) -> bool:
    """Whether a tensor of the network belongs to the encoder and has a part in downsampling."""
    return name.startswith(("layer", "bilinear")) and "bconv_UP" not in name


def run_config(trials: Trials, change: Tables, options: argparse.Namespace, folder: Path) -> TrainConfig:
    """The settings of a run. What is held out has weight 0, even if the change gives it another."""
    pictures = {
        "run": {"folder": str(folder.resolve()), "start": str(options.start.resolve())},
        "data": {
            "photos": [str(Path(path).resolve()) for path in options.photos],
            "foregrounds": [str(Path(path).resolve()) for path in options.foregrounds],
            "cache": str((options.cache or options.out / "cache").resolve()),
        },
    }
    without = {"data": {"kinds": dict.fromkeys(trials.kinds, 0.0), "groups": dict.fromkeys(trials.groups, 0.0)}}
    tables = trials.base
    for more in (pictures, change, without):
        tables = merged(tables, more)
    return config_of(tables, trials.path)


# Judging


def judge(trials: Trials, options: argparse.Namespace) -> None:
    """Write the errors of the start and of each finished run, on crops and with --validation.

    What was judged with the same weights and validation folder is left as it is.
    """
    checkpoints = {START: options.start}
    for variant in trials.variants:
        if finished(options.out / variant.folder):
            checkpoints[variant.name] = options.out / variant.folder / "ema.safetensors"
    crops: list[tuple[str, Sample]] = []
    (options.out / "judged").mkdir(parents=True, exist_ok=True)
    for name, weights in checkpoints.items():
        if options.only and name not in options.only:
            continue
        path = _judged_file(options.out, name)
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        sha256 = Checkpoint(weights).sha256
        if found.get("weights") != sha256:  # also in a file of before they were noted
            crops = crops or list(_crops(trials, options))
            found = {"weights": sha256} | _errors(crops, weights)
        folder = str(options.validation.resolve()) if options.validation else None
        if options.validation and found.get("folder") != folder:
            found |= {"folder": folder, "validation": _validation(options.validation, weights)}
        path.write_text(json.dumps(found) + "\n", encoding="utf-8")
        print(f"{time.strftime('%H:%M')} judged {name}", file=sys.stderr, flush=True)


def _judged_file(out: Path, name: str) -> Path:
    return out / "judged" / f"{slug(name)}.json"


def _crops(trials: Trials, options: argparse.Namespace) -> Iterator[tuple[str, Sample]]:
    """The crops to judge on, each as "seen" or "unseen" by its kinds. Their procedural foregrounds are new ones."""
    seen = run_config(trials, {}, options, options.out).data.replace(bank=0)
    groups = Samples(seen, seed=0).sources.cutouts
    unseen = seen.replace(
        kinds={kind: float(kind in trials.kinds) for kind in KINDS},
        groups={group: float(group in trials.groups) for group in groups},
        procedural=0.5,
        cutouts=0.5,
    )
    for part, data in (("seen", seen), ("unseen", unseen)):
        samples = Samples(data, seed=trials.seed)
        for number in range(trials.crops // 2):
            yield part, samples.sample(number, trials.size)


def _errors(crops: list[tuple[str, Sample]], weights: Path) -> Tables:
    """For each crop and class of unknown pixels the summed |α̂ − α| and the number of pixels."""
    backend = load_backend(weights, device="cpu", precision="bf16")
    error: dict[str, list[float]] = {name: [] for name in CLASSES}
    pixels: dict[str, list[int]] = {name: [] for name in CLASSES}
    digest = hashlib.sha256()
    for _, crop in crops:
        for plane in (crop.image, crop.trimap, crop.alpha):
            digest.update(plane.tobytes())
        alpha = crop.alpha / 255
        difference = np.abs(predict_alpha(crop.image, crop.trimap, backend) - alpha)
        for name, mask in zip(CLASSES, _classes(crop.trimap, alpha), strict=True):
            error[name].append(round(float(difference[mask].sum()), 4))
            pixels[name].append(int(mask.sum()))
    return {"crops": digest.hexdigest(), "part": [part for part, _ in crops], "error": error, "pixels": pixels}


def _classes(trimap: NDArray[np.uint8], alpha: NDArray[np.float64]) -> tuple[NDArray[np.bool_], ...]:
    counts = unknown(trimap)
    none, full = alpha <= SOFT, alpha >= 1 - SOFT
    return counts, counts & ~none & ~full, counts & none, counts & full


def _validation(folder: Path, weights: Path) -> dict[str, dict[str, float]]:
    """SAD of each picture, in thousands, with each folder of trimaps."""
    backend = load_backend(weights, device="cpu", precision="bf16")
    found: dict[str, dict[str, float]] = {}
    for trimaps in sorted(path.name for path in folder.glob("trimap*") if path.is_dir()):
        listing = find_cases(folder / "alpha", folder / trimaps, photos=folder / "image")
        for failed in listing.failed:
            sys.exit(f"{failed.name}: {failed.reason}")
        found[trimaps] = {}
        for case in listing.cases:
            assert case.photo is not None
            trimap = read_trimap(case.trimap)
            alpha = quantise(predict_alpha(read_image(case.photo).pixels, trimap, backend))
            found[trimaps][case.name] = score(alpha, quantise(read_alpha(case.truth)), trimap).sad
    return found


# Comparing


def read_judged(trials: Trials, out: Path) -> dict[str, tuple[str, Tables]]:
    """What was judged, by name: the run to compare with, and the errors."""
    names = {START: START} | {variant.name: variant.against for variant in trials.variants}
    found = {
        name: (against, json.loads(_judged_file(out, name).read_text(encoding="utf-8")))
        for name, against in names.items()
        if _judged_file(out, name).exists()
    }
    for key, what in (("crops", "crops"), ("folder", "validation folders")):
        if len({facts[key] for _, facts in found.values() if key in facts}) > 1:
            sys.exit(f"{out / 'judged'} holds errors on different {what}; delete the older files and judge again")
    return found


def table(judged: Mapping[str, tuple[str, Tables]]) -> str:
    """A Markdown table with a row for each run: changes against the run it names, with their intervals."""
    rows = [
        "| run | against | error a pixel | change, % | soft, % | true 0, % | true 1, % | seen kinds, % "
        "| unseen kinds, % | SAD of the validation | change, % |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, (against, facts) in judged.items():
        mean = sum(facts["error"]["all"]) / sum(facts["pixels"]["all"])
        whole = facts.get("validation")
        sads = " / ".join(f"{np.mean(list(sad.values())):.2f}" for sad in whole.values()) if whole else ""
        cells = [name, against, f"{mean:.4f}"]
        other = judged[against][1] if against in judged and name != against else None
        if other is None:
            cells += ["", "", "", "", "", "", sads, ""]
        else:
            cells += [change(facts["error"][one], other["error"][one]) for one in CLASSES]
            cells += [change(_of_part(facts, part), _of_part(other, part)) for part in ("seen", "unseen")]
            both = whole and other.get("validation")
            cells += [sads, change(_by_picture(whole), _by_picture(other["validation"])) if both else ""]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _of_part(facts: Tables, part: str) -> list[float]:
    return [error for error, of in zip(facts["error"]["all"], facts["part"], strict=True) if of == part]


def _by_picture(validation: Mapping[str, Mapping[str, float]]) -> list[float]:
    """For each picture the sum over its trimaps, because their errors are not independent."""
    first = next(iter(validation.values()))
    return [sum(sads[name] for sads in validation.values()) for name in first]


def change(errors: list[float], others: list[float]) -> str:
    """The change of the sum from `others` to `errors` in per cent, and the 95 % interval of a paired bootstrap."""
    ours, theirs = np.array(errors), np.array(others)
    picks = np.random.Generator(np.random.PCG64(1)).integers(0, len(ours), (RESAMPLES, len(ours)))
    changes = 100 * (ours[picks].sum(1) / np.maximum(theirs[picks].sum(1), 1e-9) - 1)
    low, high = np.quantile(changes, (0.025, 0.975))
    return f"{100 * (ours.sum() / theirs.sum() - 1):+.1f} [{low:+.1f}, {high:+.1f}]"


if __name__ == "__main__":
    prepare_process()
    main()
