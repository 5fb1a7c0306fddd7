"""Do alphas follow the sum of display values or the sum of light? For weights and a dataset with true alpha.

    python benchmarks/light.py DATASET [--weights FILE] [--precision bf16] [--trimaps trimap --trimaps trimap2]
    python benchmarks/light.py DATASET --powers 1 1.2 1.35 1.5

Where a pixel sees foreground and background, their light adds up linearly, before the tone curve of the camera. Most
programs and most data sets for matting mix the values after the curve. So the same pixel has two alphas. This script
predicts an alpha, mixes the pixel by it in display values, and finds its alpha in linear light (sRGB's curve, IEC
61966-2-1). The Markdown table on stdout has the SAD of alphas that go a share of the way from one to the other. The
truth is used only for the score. Weights that have learnt the mixture of the dataset, and whose alphas are neither too
high nor too low, have their lowest SAD at 0 %.

Where the foreground is brighter than the background, an alpha in light is lower. So weights whose alphas are too high
gain by it, too. `--powers` is the control: the table has the SAD of alpha to powers, which know nothing of light.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.foreground import estimate_foreground
from mattecli.evaluation.evaluate import find_cases
from mattecli.evaluation.metrics import quantise, score
from mattecli.imaging.colour import decode_srgb
from mattecli.imaging.read import read_alpha, read_image
from mattecli.inference.backend import load_backend
from mattecli.inference.model import predict_alpha
from mattecli.system.process import prepare_process
from mattecli.trimaps.pairs import read_trimap

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)

_FAINT = 0.02  # squared distance of foreground and background in light; below it they are too similar to find an alpha


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="folder with image/, alpha/ and folders of trimaps")
    parser.add_argument("--trimaps", action="append", metavar="NAME", help="default: trimap and trimap2")
    parser.add_argument("--weights", help="a bundled checkpoint or a file")
    parser.add_argument("--precision", default="auto")
    columns = parser.add_mutually_exclusive_group()
    columns.add_argument("--shares", nargs="+", type=float, default=SHARES, help="of the way; below 0: away from light")
    columns.add_argument("--powers", nargs="+", type=float, default=(), help="of alpha, in place of the shares")
    options = parser.parse_args()
    backend = load_backend(options.weights, precision=options.precision)
    heads = [f"{power:g}" for power in options.powers] or [f"{share:.0%}" for share in options.shares]
    print("| trimaps | picture | " + " | ".join(heads) + " |")
    print("|---|---|" + "--:|" * len(heads))
    for trimaps in options.trimaps or ["trimap", "trimap2"]:
        listing = find_cases(options.dataset / "alpha", options.dataset / trimaps, photos=options.dataset / "image")
        for failed in listing.failed:
            sys.exit(f"{failed.name}: {failed.reason}")
        rows = []
        for case in listing.cases:
            assert case.photo is not None
            photo, trimap = read_image(case.photo).pixels, read_trimap(case.trimap)
            truth = quantise(read_alpha(case.truth))
            alpha = predict_alpha(photo, trimap, backend)
            rows.append([score(quantise(each), truth, trimap).sad for each in altered(photo, alpha, options)])
            print(_row(trimaps, case.name, rows[-1]))
        print(_row(trimaps, "**mean**", np.mean(rows, axis=0).tolist()))


def altered(photo: NDArray[Any], alpha: NDArray[np.float32], options: argparse.Namespace) -> list[NDArray[np.float32]]:
    """The alphas (H, W) of the columns, from that of a photo (H, W, 3)."""
    if options.powers:
        return [alpha**power for power in options.powers]
    way = in_light(photo, alpha) - alpha  # 0 where alpha is 0 or 1
    return [alpha + share * way for share in options.shares]


def in_light(photo: NDArray[Any], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """The alpha (H, W) in linear light of a mixture that has `alpha` (H, W) in the values of a photo (H, W, 3).

    The colours are estimated from photo and alpha. Where they are too similar, alpha stays.
    """
    over, under = (estimate_foreground(photo, each, linear=False) for each in (alpha, 1 - alpha))
    share = alpha[..., None]
    mixed, over, under = (decode_srgb(colours) for colours in (share * over + (1 - share) * under, over, under))
    apart = over - under  # (H, W, 3)
    distance = (apart**2).sum(axis=-1)
    found = ((mixed - under) * apart).sum(axis=-1) / np.maximum(distance, _FAINT)
    return np.where(distance > _FAINT, found, alpha).clip(0, 1).astype(np.float32)


def _row(trimaps: str, name: str, figures: list[float]) -> str:
    return f"| {trimaps} | {name} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |"


if __name__ == "__main__":
    prepare_process()
    main()
