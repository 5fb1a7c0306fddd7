"""Draw the picture of a model card: alphas of procedural scenes, which anyone can make again.

    python benchmarks/draw_scenes.py weights/a2u_shared.jpg [--weights NAME]

Each row shows photo, trimap, predicted alpha and true alpha of one kind. Training draws the same kinds, but not these
scenes: they have another seed, and contain neither photographs nor cut-outs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from mattecli.imaging.image import Image
from mattecli.imaging.write import write_image
from mattecli.inference.backend import load_backend
from mattecli.inference.model import predict_alpha
from mattecli.system.process import prepare_process
from mattecli.training.data.dataset import DataConfig, Samples
from mattecli.training.data.foregrounds import KINDS
from mattecli.training.data.scenes import Sample

SHOWN = ("hair", "fur", "foliage", "net", "lace", "feathers")
SEED = 2026
SIDE = 224


def scene(kind: str, number: int) -> Sample:
    """A scene of one kind without camera damage."""
    kinds = {name: float(name == kind) for name in KINDS}
    config = DataConfig(kinds=kinds, bank=1, merge=0.0, whole=1.0, camera=0.0, loose=0.0, no_sure_foreground=0.0)
    return Samples(config, seed=SEED).sample(number, SIDE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--weights", help="a bundled checkpoint or a file")
    options = parser.parse_args()
    backend = load_backend(options.weights)
    rows = []
    for number, kind in enumerate(SHOWN):
        sample = scene(kind, number)
        alpha = predict_alpha(sample.image, sample.trimap, backend)
        planes = [sample.trimap, np.rint(255 * alpha).astype(np.uint8), sample.alpha]
        row = np.hstack([sample.image, *(cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB) for plane in planes)])
        rows.append(row)
    write_image(options.picture, Image(np.vstack(rows)), overwrite=True)


if __name__ == "__main__":
    prepare_process()
    main()
