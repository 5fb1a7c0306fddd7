"""Cleans a matte: specks around the subject, hazy holes inside it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats

Trimap = NDArray[np.uint8]

FAINT = 2 / 255  # what is below this is background, where a matte is finished
_NEAR = 5  # pixels; what is so close to a part that stays, belongs to it
_OPEN = 0.02  # a hole that is nowhere fainter than this is haze, any other is really open
_LEVELS = (1.0, 0.98, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)


def without_specks(alpha: Floats, area: float, trimap: Trimap | None) -> tuple[Floats, str | None]:
    """The matte, float32 (H, W), without its specks, and what was removed as a sentence.

    A speck is a part of α ≥ 2/255 whose Σα is under `area`. It holds no certain foreground (255 in the trimap), and is
    more than 5 pixels from every part that stays, as the dashes of a broken strand are not. The largest part always
    stays. Nothing is overwritten.
    """
    seen = (alpha >= FAINT).astype(np.uint8)
    count, labels = cv2.connectedComponents(seen, connectivity=8)
    if count <= 2:  # the body alone
        return alpha, None
    sums = np.bincount(labels.ravel(), alpha.ravel(), count)
    body = sums >= area
    body[0] = False
    if count > 1:
        body[1 + int(np.argmax(sums[1:]))] = True
    if trimap is not None:
        body[np.unique(labels[trimap == 255])] = True
    if body[1:].all():
        return alpha, None
    body[0] = False
    # Discs around parts at most 5 pixels apart touch, so that a whole row of dashes becomes one group.
    reach = _NEAR // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (np.hypot(x, y) <= _NEAR / 2).astype(np.uint8)
    groups = cv2.connectedComponents(cv2.dilate(seen, disc), connectivity=4)[1]
    stays = np.bincount(groups[body[labels]], minlength=int(groups.max()) + 1) > 0
    body |= np.bincount(labels[stays[groups]], minlength=count) > 0
    body[0] = False
    specks = ~body
    specks[0] = False
    number = int(specks.sum())
    if not number:
        return alpha, None
    where = cv2.dilate(specks[labels].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0  # with their faint rims
    cleaned = np.where(where & ~body[labels], np.float32(0), alpha)
    return cleaned, f"{_many(number, 'speck')} removed, {sums[specks].sum():.0f} pixels in all"


def without_holes(alpha: Floats, area: float, trimap: Trimap | None) -> tuple[Floats, str | None]:
    """The matte, float32 (H, W), with its hazy holes filled, and what was filled as a sentence.

    A hole of a level l is a part of α < l that touches neither the frame nor certain background (0 in the trimap). It
    is filled up to the highest l at which it has at most `area` pixels. A hole that is fainter than 0.02 somewhere is
    really open, as a mug's handle is, and stays. Nothing is overwritten.
    """
    x, y, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    part = (slice(max(0, y - 1), y + height + 1), slice(max(0, x - 1), x + width + 1))
    inner = np.ascontiguousarray(alpha[part])
    outside = inner <= _OPEN
    outside[[0, -1]] = outside[:, [0, -1]] = True
    if trimap is not None:
        outside |= trimap[part] == 0
    filled = inner.copy()
    for level in _LEVELS:
        below = (filled < level).astype(np.uint8)
        count, labels, facts, _ = cv2.connectedComponentsWithStats(below, connectivity=4)
        hole = facts[:, cv2.CC_STAT_AREA] <= area
        hole &= np.bincount(labels[outside], minlength=count) == 0
        hole[0] = False
        if hole.any():
            filled[hole[labels]] = level
    changed = filled != inner
    number = cv2.connectedComponents(changed.astype(np.uint8), connectivity=4)[0] - 1
    if not number:
        return alpha, None
    result = alpha.copy()
    result[part] = filled
    return result, f"{_many(number, 'hazy hole')} filled, {int(changed.sum())} pixels in all"


def _many(number: int, what: str) -> str:
    return f"{number} {what} was" if number == 1 else f"{number} {what}s were"
