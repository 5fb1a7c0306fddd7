"""Draw the pictures of docs/operator.md: what the shipped network's operators make of the example photo.

python benchmarks/draw_operator.py
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mattecli import read_image, read_trimap
from mattecli.network.checkpoint import load_a2u
from mattecli.network.inputs import network_input
from mattecli.ops import Affinity, down_kernel, up_kernel
from mattecli.weights import find_checkpoint

PROJECT = Path(__file__).parents[1]
EXAMPLES, DOCS = PROJECT / "examples", PROJECT / "docs"
# Places in the photo, (row, column): curls at the edge, the edge of the phone, the shirt, the chin.
PLACES = {"hair": (345, 328), "phone": (300, 106), "shirt": (532, 470), "face": (290, 415)}
COLOURS = {"hair": (60, 76, 231), "phone": (34, 126, 230), "shirt": (113, 204, 46), "face": (219, 152, 52)}


def affinities(photo: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> list[Affinity]:
    """The affinity of each of the four operators."""
    network, found = load_a2u(find_checkpoint().path).eval(), []
    predictors = (network.bilinear0, network.bilinear1, network.layer2_1.bilinear, network.layer3_1.bilinear)
    for predictor in predictors:
        predictor.register_forward_hook(lambda _module, _inputs, out: found.append(out))
    with torch.no_grad():
        network(torch.from_numpy(network_input(photo, trimap))[None])
    return found


def heat(values: NDArray[np.float32], side: int) -> NDArray[np.uint8]:
    """A map in colours, from its 1st to its 99th percentile."""
    low, high = np.percentile(values, [1, 99])
    grey = (255 * ((values - low) / max(high - low, 1e-9)).clip(0, 1)).astype(np.uint8)
    return cv2.applyColorMap(cv2.resize(grey, (side, side), interpolation=cv2.INTER_NEAREST), cv2.COLORMAP_VIRIDIS)


def label(image: NDArray[np.uint8], text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Write on a picture."""
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)


def draw_maps(photo: NDArray[np.uint8], found: list[Affinity]) -> NDArray[np.uint8]:
    """The photo with its places, and the four maps s."""
    side, top = 240, 26
    image = np.full((side + top, 5 * side + 40, 3), 255, np.uint8)
    shown = cv2.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), (side, side), interpolation=cv2.INTER_AREA)
    for name, (row, column) in PLACES.items():
        scale = side / len(photo)
        cv2.circle(shown, (round(column * scale), round(row * scale)), 6, COLOURS[name], 2, cv2.LINE_AA)
    image[top:, :side] = shown
    label(image, "photo", (4, 18), (30, 30, 30))
    for number, affinity in enumerate(found):
        left = (number + 1) * (side + 10)
        s = affinity.s[0, 0].numpy()
        image[top:, left : left + side] = heat(s, side)
        low, high = np.percentile(s, [1, 99])
        label(image, f"s{number}: {s.shape[0]}x{s.shape[1]}, {low:.2f} to {high:.2f}", (left, 18), (30, 30, 30))
    return image


def draw_kernels(affinity: Affinity, scale: int, places: Mapping[str, tuple[int, int]] = PLACES) -> NDArray[np.uint8]:
    """Down and up kernels at places (row, column) of the photo, on a grid `scale` times coarser than it.

    A weight at the mean is white, one of half or double that full blue or red.
    """
    down, up = down_kernel(affinity.s, affinity.p_down)[0, 0], up_kernel(affinity.s, affinity.p_up)[0, 0]
    cell, gap, left = 22, 24, 110
    height = len(places) * (6 * cell + gap) + 40
    image = np.full((height, left + 6 * cell + gap + 4 * (3 * cell + gap) + 10, 3), 255, np.uint8)
    label(image, "down kernel", (left, 20), (30, 30, 30))
    label(image, "up kernels of the 2x2 pixels", (left + 6 * cell + gap, 20), (30, 30, 30))
    for number, (name, (row, column)) in enumerate(places.items()):
        top, y, x = 40 + number * (6 * cell + gap), row // scale, column // scale
        label(image, name, (10, top + 3 * cell - 6), COLOURS.get(name, (30, 30, 30)))
        label(image, f"s = {float(affinity.s[0, 0, y, x]):.2f}", (10, top + 3 * cell + 14), (30, 30, 30))
        paint(image, down[:, y, x].view(6, 6), top, left, cell)
        for q in range(4):
            weights = up[:, 2 * y + q // 2, 2 * x + q % 2].view(3, 3)
            paint(image, weights, top + 3 * cell // 2, left + 6 * cell + gap + q * (3 * cell + gap), cell)
    return image


def paint(image: NDArray[np.uint8], weights: Tensor, top: int, left: int, cell: int) -> None:
    """A kernel's weights as squares: red above the mean, blue below."""
    ratio = (weights / weights.mean()).log2().clamp(-1, 1).numpy()
    for (row, column), value in np.ndenumerate(ratio):
        pale = round(255 * (1 - abs(float(value))))
        colour = (pale, pale, 255) if value > 0 else (255, pale, pale)
        corner = (left + column * cell, top + row * cell)
        cv2.rectangle(image, corner, (corner[0] + cell - 2, corner[1] + cell - 2), colour, -1)
        cv2.rectangle(image, corner, (corner[0] + cell - 2, corner[1] + cell - 2), (170, 170, 170), 1)


def main() -> None:
    """Write the pictures, and print the numbers that the page names."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    photo = np.asarray(read_image(EXAMPLES / "portrait.jpg").pixels)
    found = affinities(photo, read_trimap(EXAMPLES / "portrait_trimap.png"))
    cv2.imwrite(str(DOCS / "operator_maps.jpg"), draw_maps(photo, found))
    cv2.imwrite(str(DOCS / "operator_kernels.png"), draw_kernels(found[1], 4))
    for number, affinity in enumerate(found):
        spread = affinity.s.flatten().quantile(torch.tensor([0.01, 0.5, 0.99])).tolist()
        largest = down_kernel(affinity.s, affinity.p_down).amax((1, 2)).median()
        up = up_kernel(affinity.s, affinity.p_up).amax((1, 2)).median()
        print(
            f"{number}: s {spread}; median largest weight down {largest:.3f} (even: 0.028), up {up:.3f} (even: 0.111)"
        )


if __name__ == "__main__":
    main()
