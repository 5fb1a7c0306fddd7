"""Which foregrounds the network finds hard: its error for each kind of drawing and each group of cut-outs.

    python experiments/hard.py train.toml --weights weights/a2u_shared.safetensors --count 8

prints a Markdown table, the hardest first, and then weights for `[data.kinds]` and `[data.groups]`. The *error* is the
mean of |α̂ − α| over the unknown pixels of a kind's crops, which no run with a `bank` has seen. The *power* is that of
`POWERS` which makes the error lowest when alphas are raised to it: above 1 they are too high. A kind's new weight is
its old one times its error against the mean of all, from a half to double, so that hard ones come more often.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mattecli.inference.backend import Backend, load_backend
from mattecli.inference.model import predict_alpha
from mattecli.training.config import read_config
from mattecli.training.data.config import DataConfig
from mattecli.training.data.dataset import Samples
from mattecli.training.data.foregrounds import DEFAULT_WEIGHTS, KINDS
from mattecli.trimaps.check import unknown

SEED = 4711  # of the crops; a training has another
POWERS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5)


def main() -> None:
    """Measure each kind and each group of a config."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--count", type=int, default=8, help="crops of each kind and group (8)")
    parser.add_argument("--size", type=int, default=256, help="their side in pixels (256)")
    options = parser.parse_args()
    data = read_config(options.config).data.replace(bank=0)
    backend = load_backend(options.weights, device="cpu", precision="bf16")
    errors = {one: errors_by_power(alone, backend, options) for one, alone in each_alone(data)}
    print("| origin | kind or group | error | power |", "|---|---|---:|---:|", sep="\n")
    for (table, name), found in sorted(errors.items(), key=lambda item: -item[1][1.0]):
        print(f"| {table} | {name} | {found[1.0]:.4f} | {min(found, key=found.__getitem__):g} |")
    for table, old in (("kinds", {**DEFAULT_WEIGHTS, **data.kinds}), ("groups", data.groups)):
        of_table = {name: found[1.0] for (of, name), found in errors.items() if of == table}
        print(f"\n[data.{table}]" if of_table else "")
        for name, weight in weights_of(of_table, old).items():
            print(f"{name} = {weight:g}")


def each_alone(data: DataConfig) -> Iterator[tuple[tuple[str, str], DataConfig]]:
    """The data with nothing but one kind or one group, for each of them, with its table and its name."""
    for kind in KINDS:
        alone = {other: float(other == kind) for other in KINDS}
        yield ("kinds", kind), data.replace(kinds=alone, procedural=1.0, cutouts=0.0, own_share=0.0)
    groups = Samples(data, seed=SEED).sources.cutouts if data.foregrounds else {}
    for group in groups:
        alone = {other: float(other == group) for other in groups}
        yield ("groups", group), data.replace(groups=alone, procedural=0.0, cutouts=1.0, own_share=0.0)


def errors_by_power(data: DataConfig, backend: Backend, options: argparse.Namespace) -> dict[float, float]:
    """The mean error over the unknown pixels of some crops, of the alphas to each of `POWERS`."""
    samples, pixels, totals = Samples(data, seed=SEED), 0, dict.fromkeys(POWERS, 0.0)
    for number in range(options.count):
        crop = samples.sample(number, options.size)
        counts = unknown(crop.trimap)
        found = predict_alpha(crop.image, crop.trimap, backend)[counts]
        for power, total in sums_by_power(found, crop.alpha[counts] / 255).items():
            totals[power] += total
        pixels += int(counts.sum())
    return {power: total / pixels for power, total in totals.items()}


def sums_by_power(found: NDArray[np.floating], true: NDArray[np.floating]) -> dict[float, float]:
    """The summed error of alphas in [0, 1] to each of `POWERS`."""
    return {power: float(np.abs(found**power - true).sum()) for power in POWERS}


def weights_of(errors: Mapping[str, float], old: Mapping[str, float]) -> dict[str, float]:
    """New weights: the old ones, by default 1, times the error against the mean of all, from a half to double."""
    if not errors:
        return {}
    mean = float(np.mean(list(errors.values())))
    return {
        name: round(old.get(name, 1.0) * float(np.clip(error / mean, 0.5, 2.0)), 2) for name, error in errors.items()
    }


if __name__ == "__main__":
    main()
