"""What the kernels of the toy experiment's A2U operators are like, before and after training.

    python experiments/toy_kernels.py DIR [--seed 0] [--picture 3] [--plot FILE.png]

DIR holds the networks that `reconstruction.py --keep DIR` saved. The table has medians over positions of the pictures
that were not trained on. *Taps* is how many of its pixels a kernel uses, the exponential of its entropy: 36 and 9 for
even means, 1 for a single pixel. *Differ* is how much the kernels of one picture differ: half the sum of the
differences of their weights from those of the picture's mean kernel, 0 if all are alike and up to 1. Up kernels are
compared with those of the same one of the 2×2 pixels only. `--plot` draws kernels of the pair `A2U` at the finest
level, at places of one picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.draw_operator import draw_kernels, label
from experiments.reconstruction import TESTED, TRAINED, Autoencoder, divided, drawn, load
from experiments.upsamplers import A2U
from mattecli.ops import Affinity, down_kernel, up_kernel

WHEN = ("before", "after")
DRAWN = "A2U"
SIZE = 192  # side of the picture beside its kernels
WIDE = 9  # pixels of a letter


def main() -> None:
    """Print the table, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=int, default=3, help="which of the pictures to draw (3)")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    _, pictures = divided(drawn(TRAINED + TESTED, np.random.default_rng(0)), options.seed)
    print("| operators | level | down: taps | differ | up: taps | differ |", "|---|---:|---:|---:|---:|---:|", sep="\n")
    drawings = []
    for pair in sorted({path.stem.rsplit(", ", 2)[0] for path in options.folder.glob("*A2U*, after.pt")}):
        networks = [load(options.folder, pair, options.seed, when) for when in WHEN]
        before, after = (list(affinities(network, pictures)) for network in networks)
        for level, pairs in enumerate(zip(before, after, strict=True)):
            print(row(pair, level, networks, pairs), flush=True)
        if pair == DRAWN:
            one = pictures[options.picture : options.picture + 1]
            drawings += [drawing(f"{pair}, {when}", one, net) for when, net in zip(WHEN, networks, strict=True)]
    if options.plot:
        cv2.imwrite(str(options.plot), np.vstack(drawings))


def affinities(network: Autoencoder, pictures: Tensor) -> Iterator[Affinity]:
    """The affinity of each level, the finest first."""
    x = pictures
    with torch.no_grad():
        for convolve, pair in zip(network.encoder, network.pairs, strict=True):
            x, affinity = pair.down(convolve(x))
            yield affinity


def row(pair: str, level: int, networks: list[Autoencoder], found: tuple[Affinity, ...]) -> str:
    """A row of the table: before → after."""
    cells = []
    for halving in (True, False):
        taps, differ = [], []
        for network, affinity in zip(networks, found, strict=True):
            operator = network.pairs[level]
            if halving and not operator.halves:
                continue
            kernels = weights(operator, affinity, halving)
            taps.append(f"{float((-(kernels * kernels.clamp(min=1e-12).log()).sum(1)).exp().median()):.1f}")
            mean = kernels.mean((2, 3), keepdim=True)
            differ.append(f"{float(((kernels - mean).abs().sum(1) / 2).median()):.3f}")
        cells += [" → ".join(taps), " → ".join(differ)]
    return f"| {pair} | {level + 1} | " + " | ".join(cells) + " |"


def weights(operator: A2U, affinity: Affinity, halving: bool) -> Tensor:
    """Kernels (N, taps, H, W); those of an up kernel's four pixels under one another in the batch."""
    if halving:
        return down_kernel(affinity.s, affinity.p_down)[:, 0]
    kernels = up_kernel(affinity.s, affinity.p_up, norm=operator.enlarge.norm)[:, 0]
    return torch.cat([kernels[..., dy::2, dx::2] for dy in range(2) for dx in range(2)])


def drawing(title: str, picture: Tensor, network: Autoencoder) -> NDArray[np.uint8]:
    """A picture (1, 1, 32, 32), and the kernels of the finest level at three places of it."""
    detail = cv2.GaussianBlur((picture[0, 0] - picture.mean()).abs().numpy(), (0, 0), 1.5)
    edges = cv2.morphologyEx(picture[0, 0].numpy(), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))[4:28, 4:28]
    flat = np.unravel_index(edges.argmin(), edges.shape)
    edge = np.unravel_index(edges.argmax(), edges.shape)
    contrast = np.unravel_index(detail[4:28, 4:28].argmax(), edges.shape)
    places = {
        name: (int(at[0]) + 4, int(at[1]) + 4) for name, at in (("edge", edge), ("flat", flat), ("contrast", contrast))
    }
    kernels = draw_kernels(next(affinities(network, picture)), 2, places)
    shown = cv2.resize((picture[0, 0].numpy() * 255).astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
    shown = cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR)
    for name, (y, x) in places.items():
        centre = round((x + 0.5) * SIZE / 32), round((y + 0.5) * SIZE / 32)
        cv2.circle(shown, centre, 7, (60, 76, 231), 2, cv2.LINE_AA)
        left = centre[0] + 10 if centre[0] < SIZE / 2 else centre[0] - 10 - WIDE * len(name)
        label(shown, name, (left, centre[1] + 4), (60, 76, 231))
    side = np.full((len(kernels), SIZE + 20, 3), 255, np.uint8)
    side[60 : 60 + SIZE, 10 : 10 + SIZE] = shown
    label(side, title, (10, 40), (30, 30, 30))
    return np.hstack([side, kernels])


if __name__ == "__main__":
    main()
