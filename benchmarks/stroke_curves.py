"""Curves of right against unknown, for each way to make a trimap from strokes.

`benchmarks/strokes.py curves` prints them. Each candidate gives a probability of foreground on a small copy. Its curve
comes from all thresholds and margins together: for each share of runs that are right, the least mean share of unknown
pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from stroke_scenes import CLEAR, SOLID, Gray, Scene, painted, random_strokes

from mattecli.trimaps.segmentation import PreparedPhoto, prepare_photo, probability

Matte = Callable[[NDArray[np.uint8], Gray], NDArray[np.float32]]
Map = NDArray[np.float32]

THRESHOLDS = (0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
MARGINS = (0.005, 0.01, 0.015, 0.02)  # of the diagonal
RIGHT = (0.3, 0.5, 0.6, 0.7, 0.8)  # shares of the runs that are to be right


def undecided(photo: NDArray[np.uint8], trimap: Gray) -> Map:
    """In place of the network: it knows nothing."""
    return np.full(trimap.shape, 0.5, np.float32)


def without_network(photo: PreparedPhoto, strokes: Gray, matte: Matte) -> Map:
    """What `probability` finds where the network says nothing."""
    return probability(photo, strokes, matte=undecided)


def network_alone(photo: PreparedPhoto, strokes: Gray, matte: Matte, passes: int) -> Map:
    """The network's alpha from the strokes as a trimap; each further pass is given what the one before was sure of."""
    small = cv2.resize(strokes, photo.small.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    known = small
    for _ in range(passes):
        alpha = matte(photo.small, known)
        known = np.where(small == 128, certain(alpha, 0.9, 0.9, 0.015), small)
    return alpha


def grabcut(photo: PreparedPhoto, strokes: Gray, matte: Matte) -> Map:
    """GrabCut's answer, 0 or 1, with the strokes as certain."""
    cv2.setRNGSeed(0)  # its colour clusters depend on calls before it otherwise
    small = cv2.resize(strokes, photo.small.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    marks = np.full(small.shape, cv2.GC_PR_BGD, np.uint8)
    marks[small == 255], marks[small == 0] = cv2.GC_FGD, cv2.GC_BGD
    cv2.grabCut(photo.small, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    return np.asarray((marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD), np.float32)


CANDIDATES: dict[str, Callable[[PreparedPhoto, Gray, Matte], Map]] = {
    "GrabCut": grabcut,
    "network": lambda photo, strokes, matte: network_alone(photo, strokes, matte, 1),
    "network, two passes": lambda photo, strokes, matte: network_alone(photo, strokes, matte, 2),
    "likeness and walk": without_network,
    "likeness, network and walk": lambda photo, strokes, matte: probability(photo, strokes, matte=matte),
}


def certain(likely: Map, foreground: float, background: float, margin: float) -> Gray:
    """A trimap: certain where the probability passes a threshold everywhere within the margin."""
    reach = margin * float(np.hypot(*likely.shape))
    trimap = np.full(likely.shape, 128, np.uint8)
    for label, region in ((255, likely >= foreground), (0, likely <= 1 - background)):
        padded = np.pad(region, 1, mode="edge").astype(np.uint8)
        trimap[cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1] > reach] = label
    return trimap


def curves(scenes: Sequence[Scene], matte: Matte, seeds: Sequence[int], names: Sequence[str] | None = None) -> str:
    """Markdown: for each candidate, the least unknown share at which so many runs are right."""
    maps: dict[str, list[tuple[Map, Gray]]] = {name: [] for name in names or CANDIDATES}
    for scene, seed in itertools.product(scenes, seeds):
        strokes = painted(random_strokes(scene, 4, seed), scene.alpha.shape)
        photo = prepare_photo(scene.photo)
        alpha = cv2.resize(scene.alpha, photo.small.shape[1::-1], interpolation=cv2.INTER_AREA)
        for name, found in maps.items():
            found.append((CANDIDATES[name](photo, strokes, matte), alpha))
    lines = ["| candidate | " + " | ".join(f"{share:.0%} of the runs right" for share in RIGHT) + " |"]
    lines.append("|---|" + "--:|" * len(RIGHT))
    for name, found in maps.items():
        points = [_point(found, *setting) for setting in itertools.product(THRESHOLDS, THRESHOLDS, MARGINS)]
        cells = [min((unknown for right, unknown in points if right >= share), default=None) for share in RIGHT]
        lines.append(f"| {name} | " + " | ".join("–" if cell is None else f"{cell:.1%}" for cell in cells) + " |")
    return "\n".join([*lines, "", f"{len(scenes) * len(seeds)} runs; the cells are mean shares of unknown pixels."])


def _point(found: list[tuple[Map, Gray]], *setting: Any) -> tuple[float, float]:
    """The share of runs with ≥ 0.98 of the foreground and ≥ 0.99 of the background right, and the unknown share."""
    right, unknown = [], []
    for likely, alpha in found:
        trimap = certain(likely, *setting)
        inside, outside = alpha[trimap == 255], alpha[trimap == 0]
        good = inside.size and outside.size
        good = good and (inside > SOLID * 255).mean() >= 0.98 and (outside < CLEAR * 255).mean() >= 0.99
        right.append(bool(good))
        unknown.append(float((trimap == 128).mean()))
    return float(np.mean(right)), float(np.mean(unknown))
