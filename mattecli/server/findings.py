"""Places of a matte that need a look.

Contradictions are pixels that the labels call certain and the matte sees otherwise. At a border the alpha jumps where
the unknown part ends, so the unknown part may be too narrow there. Islands are loose pieces without certain foreground,
holes are openings without certain background, and grey is what is half transparent far from the edge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.evaluation.attention import FAR, JUMP
from mattecli.trimaps.check import BACKGROUND, FOREGROUND

Kind = Literal["contradiction", "border", "hole", "island", "grey"]
Mask = NDArray[np.bool_]

TEXTS: dict[Kind, str] = {
    "contradiction": "the matte contradicts what is painted",
    "border": "the matte changes abruptly where the unknown part ends; paint more unknown there",
    "hole": "a hole in the subject",
    "island": "a loose piece beside the subject",
    "grey": "half transparent far from the edge",
}
MOST = 50  # of each kind
_LEAST = {"contradiction": 1, "border": 3, "hole": 12, "island": 12, "grey": 12}  # pixels
PIXELS = 25_000_000  # larger pictures are examined at half their size, or a quarter


@dataclass(frozen=True)
class Finding:
    """A place: its kind, one of its pixels (x, y), and the number of its pixels."""

    kind: Kind
    x: int
    y: int
    size: int

    def to_json(self) -> dict[str, Any]:
        """The same for the page."""
        return {"kind": self.kind, "text": TEXTS[self.kind], "x": self.x, "y": self.y, "size": self.size}


def findings(alpha: NDArray[np.float32], trimap: NDArray[np.uint8]) -> list[Finding]:
    """The places of a matte (H, W) with its trimap that need a look: kind by kind, and the largest first."""
    scale = 1
    while alpha.size > PIXELS:
        size = (-(-alpha.shape[1] // 2), -(-alpha.shape[0] // 2))
        alpha = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
        trimap = np.asarray(cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        scale *= 2
    found: list[Finding] = []
    for kind, mask, certain in _masks(alpha, trimap):
        found += _places(kind, mask, certain, scale)
    return found


def _masks(alpha: NDArray[np.float32], trimap: NDArray[np.uint8]) -> Iterator[tuple[Kind, Mask, Mask | None]]:
    """For each kind where it is, and what a piece of it must not hold."""
    inside, outside = trimap == FOREGROUND, trimap == BACKGROUND
    yield "contradiction", (inside & (alpha < 0.5)) | (outside & (alpha > 0.5)), None
    yield "border", _jumps(alpha, inside | outside), None
    yield "hole", alpha < 0.5, _with_frame(outside)
    yield "island", alpha > 0.3, inside
    yield "grey", _grey(alpha), None


def _jumps(alpha: NDArray[np.float32], known: Mask) -> Mask:
    """Pixels beside a border of the unknown part, over which the alpha jumps."""
    jumps = np.zeros(alpha.shape, np.bool_)
    for one, two in (
        ((slice(None, -1),), (slice(1, None),)),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        jumps[one] |= (known[one] != known[two]) & (np.abs(alpha[one] - alpha[two]) > JUMP)
    return jumps


def _grey(alpha: NDArray[np.float32]) -> Mask:
    """What is half transparent and farther from the half-covered edge than soft edges are."""
    solid = (alpha > 0.5).astype(np.uint8)
    far = max(3.0, FAR * float(np.hypot(*alpha.shape)))
    away = np.zeros(alpha.shape, np.bool_)
    for side in (solid, 1 - solid):
        away |= cv2.distanceTransform(side, cv2.DIST_L2, 3) > far
    return np.asarray((alpha > 0.1) & (alpha < 0.9) & away)


def _with_frame(mask: Mask) -> Mask:
    """The mask and the frame of the picture: an opening at the frame is not a hole."""
    framed = mask.copy()
    framed[[0, -1]], framed[:, [0, -1]] = True, True
    return framed


def _places(kind: Kind, mask: Mask, certain: Mask | None, scale: int) -> list[Finding]:
    """The largest pieces of a mask that hold nothing certain."""
    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    areas = facts[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    if certain is not None:
        areas[np.unique(labels[certain & mask])] = 0
        if kind == "island" and not certain.any() and count > 1:
            areas[int(np.argmax(areas))] = 0  # the subject itself, where nothing is certain
    numbers = [number for number in np.argsort(-areas)[:MOST] if areas[number] >= _LEAST[kind]]
    return [_place(kind, labels, facts[number], number, scale) for number in numbers]


def _place(kind: Kind, labels: NDArray[Any], facts: NDArray[Any], number: int, scale: int) -> Finding:
    """A piece, by the pixel of it that is nearest to its middle."""
    left, top, width, height, area = (int(value) for value in facts)
    rows, columns = np.nonzero(labels[top : top + height, left : left + width] == number)
    nearest = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
    x, y = left + int(columns[nearest]), top + int(rows[nearest])
    return Finding(kind, x * scale, y * scale, area * scale * scale)
