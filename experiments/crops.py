"""How hard the trimaps of training crops are, beside those of a validation set.

    python experiments/crops.py train.toml --validation DIR --count 300

prints a Markdown table: a row for each size of crops in the config, and one for each trimap folder of the validation
set. *Unknown* is the unknown share of a picture, *soft* the share of its unknown pixels whose true alpha lies between
0.02 and 0.98, and *depth* how far its unknown pixels lie from the nearest known one, on average. All three are medians
over the pictures. *No white* and *no black* are the shares of the pictures without a known pixel of a side. The crops
have numbers that a run with the same seed would reach after its first million.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.read import read_alpha
from mattecli.training.config import read_config
from mattecli.training.data.dataset import Samples
from mattecli.training.validation import ValidationSet
from mattecli.trimaps.check import unknown
from mattecli.trimaps.pairs import read_trimap

FIRST = 1_000_000  # number of the first crop
COLUMNS = ("pictures", "unknown", "soft", "depth, px", "no white", "no black")


class Measured(NamedTuple):
    """One picture."""

    unknown: float
    soft: float
    depth: float
    white: bool
    black: bool


def main() -> None:
    """Measure the crops of a config and the pictures of a validation set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--validation", type=Path, required=True, help="a folder with image/, alpha/ and trimap…/")
    parser.add_argument("--count", type=int, default=300, help="crops of each size (300)")
    options = parser.parse_args()
    config = read_config(options.config)
    samples = Samples(config.data, seed=config.run.seed)
    print("| pictures of |", " | ".join(COLUMNS), "|")
    print("|---|" + "---:|" * len(COLUMNS))
    for size in sorted({size for stage in config.crops for size in stage.size}):
        crops = (samples.sample(FIRST + n, size) for n in range(options.count))
        print(row(f"crops of {size} px", (measure(crop.trimap, crop.alpha / 255) for crop in crops)), flush=True)
    validation = ValidationSet(options.validation)
    for folder in validation.trimaps:
        print(row(folder, measured(validation, folder)), flush=True)


def measured(validation: ValidationSet, folder: str) -> Iterator[Measured]:
    """The pictures of a validation set with one folder of trimaps."""
    for name, path in validation.trimaps[folder].items():
        yield measure(read_trimap(path), read_alpha(validation.alphas[name]))


def measure(trimap: NDArray[np.uint8], alpha: NDArray[np.floating]) -> Measured:
    """One picture, from its trimap (H, W) of 0, 128 and 255 and its true alpha (H, W) in [0, 1]."""
    inside = unknown(trimap)
    depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    values = alpha[inside]
    return Measured(
        unknown=float(inside.mean()),
        soft=float(((values > 0.02) & (values < 0.98)).mean()),
        depth=float(np.minimum(depth[inside], max(trimap.shape)).mean()),  # without a known pixel: the side
        white=bool((trimap == 255).any()),
        black=bool((trimap == 0).any()),
    )


def row(name: str, pictures: Iterable[Measured]) -> str:
    """A row of the table."""
    found = list(pictures)
    middle = [float(np.median(values)) for values in list(zip(*found, strict=True))[:3]]
    without = [1 - float(np.mean([getattr(one, side) for one in found])) for side in ("white", "black")]
    texts = (f"{middle[0]:.2f}", f"{middle[1]:.2f}", f"{middle[2]:.0f}", f"{without[0]:.0%}", f"{without[1]:.0%}")
    return f"| {name} | {len(found)} | " + " | ".join(texts) + " |"


if __name__ == "__main__":
    main()
