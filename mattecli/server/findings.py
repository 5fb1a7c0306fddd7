"""Places of a matte that need a look, the heaviest first.

Contradictions are pixels that the labels call certain and the matte sees otherwise. At a border the alpha jumps where
the unknown part ends, so the unknown part may be too narrow there. Islands are loose pieces without certain foreground,
holes are openings without certain background, and grey is what is half transparent far from the edge.
Pieces of one kind that are near each other are one place.
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

TEXTS: dict[Kind, tuple[str, str]] = {  # for one piece, and for several
    "contradiction": ("the matte contradicts what is painted",) * 2,
    "border": ("the matte changes abruptly where the unknown part ends; paint more unknown there",) * 2,
    "hole": ("a hole in the subject", "holes in the subject"),
    "island": ("a loose piece beside the subject", "loose pieces beside the subject"),
    "grey": ("grey far from the edge",) * 2,
}
MOST = 50  # of each kind
_LEAST = {"contradiction": 1, "border": 3, "hole": 12, "island": 12, "grey": 12}  # pixels
_MOST_PIECES = 3000  # of each kind that are joined
PIXELS = 25_000_000  # larger pictures are examined at half their size, or a quarter
NEAR = 0.03  # of the diagonal: pieces that are nearer to the heaviest one are one place with it


@dataclass(frozen=True)
class Finding:
    """A place: its kind, one of its pixels (x, y), the box around it, and how many pieces and pixels it has.

    `weight` adds up how much each pixel contradicts what it should be, from 0 to 1.
    """

    kind: Kind
    x: int
    y: int
    size: int
    box: tuple[int, int, int, int]  # left, top, right, bottom
    pieces: int
    weight: float

    def to_json(self) -> dict[str, Any]:
        """The same for the page."""
        text = TEXTS[self.kind][self.pieces > 1]
        return {"kind": self.kind, "text": text, "x": self.x, "y": self.y, "size": self.size, "box": list(self.box)}


@dataclass(frozen=True, eq=False)
class _Fault:
    """Where a kind of fault is, and how much each pixel contradicts. A piece of it must not hold what is `certain`."""

    kind: Kind
    mask: Mask
    weight: NDArray[np.float32]
    certain: Mask | None = None


def findings(alpha: NDArray[np.float32], trimap: NDArray[np.uint8]) -> list[Finding]:
    """The places of a matte (H, W) with its trimap that need a look, the heaviest first."""
    scale = 1
    while alpha.size > PIXELS:
        size = (-(-alpha.shape[1] // 2), -(-alpha.shape[0] // 2))
        alpha = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
        trimap = np.asarray(cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        scale *= 2
    found = [place for fault in _faults(alpha, trimap) for place in _places(fault, scale)]
    return sorted(found, key=lambda place: -place.weight)


def _faults(alpha: NDArray[np.float32], trimap: NDArray[np.uint8]) -> Iterator[_Fault]:
    inside, outside = trimap == FOREGROUND, trimap == BACKGROUND
    wrong = np.abs(alpha - inside)
    yield _Fault("contradiction", (inside | outside) & (wrong > 0.5), wrong)
    jumps = _jumps(alpha, inside | outside)
    yield _Fault("border", jumps > JUMP, jumps)
    yield _Fault("hole", alpha < 0.5, 1 - alpha, _with_frame(outside))
    yield _Fault("island", alpha > 0.3, alpha, inside)
    yield _Fault("grey", _grey(alpha), 1 - np.abs(2 * alpha - 1))


def _jumps(alpha: NDArray[np.float32], known: Mask) -> NDArray[np.float32]:
    """How far the alpha jumps beside a border of the unknown part."""
    jumps = np.zeros(alpha.shape, np.float32)
    for one, two in (
        ((slice(None, -1),), (slice(1, None),)),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        jump = np.where(known[one] != known[two], np.abs(alpha[one] - alpha[two]), 0)
        np.maximum(jumps[one], jump, out=jumps[one])
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


def _places(fault: _Fault, scale: int) -> list[Finding]:
    """The pieces of a fault that hold nothing certain, joined where they are near, the heaviest first."""
    mask, certain = fault.mask, fault.certain
    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    areas = facts[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    if certain is not None:
        areas[np.unique(labels[certain & mask])] = 0
        if fault.kind == "island" and not certain.any() and count > 1:
            areas[int(np.argmax(areas))] = 0  # the subject itself, where nothing is certain
    numbers = np.flatnonzero(areas >= _LEAST[fault.kind])
    weights = np.bincount(labels[mask], weights=fault.weight[mask], minlength=count)
    numbers = numbers[np.argsort(-weights[numbers], kind="stable")][:_MOST_PIECES]
    near = NEAR * float(np.hypot(*mask.shape))
    groups = _joined(_boxes(facts[numbers]), near)
    found = []
    for group in sorted(groups, key=lambda group: -weights[numbers[group]].sum())[:MOST]:
        x, y = _middle(labels, facts, int(numbers[group[0]]))
        boxes = _boxes(facts[numbers[group]])
        box = (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
        found.append(
            Finding(
                kind=fault.kind,
                x=x * scale,
                y=y * scale,
                size=int(areas[numbers[group]].sum()) * scale * scale,
                box=tuple(int(side) * scale for side in box),  # type: ignore[arg-type]
                pieces=len(group),
                weight=float(weights[numbers[group]].sum()) * scale * scale,
            )
        )
    return found


def _boxes(facts: NDArray[Any]) -> NDArray[np.int64]:
    """Left, top, right and bottom of each piece, (N, 4)."""
    boxes = facts[:, : cv2.CC_STAT_AREA].astype(np.int64)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _joined(boxes: NDArray[np.int64], near: float) -> list[NDArray[np.int64]]:
    """Groups of pieces, which come in the order of their weight: each with those near its first one, the heaviest.

    A group does not go on from piece to piece, so it does not grow along a whole contour.
    """
    groups, left = [], np.arange(len(boxes))
    while left.size:
        first, others = boxes[left[0]], boxes[left]
        gaps = np.maximum(np.maximum(first[:2] - others[:, 2:], others[:, :2] - first[2:]), 0)
        with_it = np.hypot(gaps[:, 0], gaps[:, 1]) <= near
        groups.append(left[with_it])
        left = left[~with_it]
    return groups


def _middle(labels: NDArray[Any], facts: NDArray[Any], number: int) -> tuple[int, int]:
    """The pixel (x, y) of a piece that is nearest to its middle."""
    left, top, width, height = (int(value) for value in facts[number, : cv2.CC_STAT_AREA])
    rows, columns = np.nonzero(labels[top : top + height, left : left + width] == number)
    nearest = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
    return left + int(columns[nearest]), top + int(rows[nearest])
