"""Edges of a matte: cleaned, smoothed, moved and softened, with hair kept."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats, strips
from mattecli.compositing.cleaning import FAINT, without_holes, without_specks
from mattecli.compositing.contours import choked, disc, feathered, opened, smoothed, spread, tiled
from mattecli.compositing.finishing import LONGEST, Finishing, in_pixels

_STRAND = 0.1  # hair is somewhere at least so opaque
_COVERED = 0.2  # where the solid part is more opaque, the roots of strands hardly show
_WEB = 3  # pixels that a strand is widened by where its root is sought
_LEAST_RADIUS = 3  # of the disc that hair does not hold


def finished_edges(
    alpha: Floats, options: Finishing, *, trimap: NDArray[np.uint8] | None = None
) -> tuple[Floats, list[str]]:
    """The alpha, float32 (H, W), with its edges finished, and what was cleaned as sentences. Nothing is overwritten.

    The order is specks, holes, smooth, levels (contrast), choke or spread, feather. `trimap` is uint8 (H, W) of 0, 128
    and 255. Raises UsageError for lengths of more than 200 pixels.
    """
    notes: list[str | None] = []
    if options.min_area:
        alpha, note = without_specks(alpha, options.min_area, trimap)
        notes.append(note)
    if options.fill_holes:
        alpha, note = without_holes(alpha, options.fill_holes, trimap)
        notes.append(note)
    if trimap is None and (options.min_area or options.fill_holes):
        notes.append("cleaning had no trimap, so it took nothing for certain")
    lengths = {
        name: in_pixels(getattr(options, name), alpha.shape, what=f"`{name}`", most=LONGEST)
        for name in ("smooth", "choke", "spread", "feather")
    }
    if any(lengths.values()) or options.hair < 100:
        alpha = _with_moved_solid(alpha, options, lengths)
    elif options.levels is not None or options.contrast:
        alpha = levelled(alpha, options)
    return alpha, [note for note in notes if note]


def levelled(alpha: Floats, options: Finishing) -> Floats:
    """((α − black)/(white − black))^(1/gamma), in [0, 1]; contrast C is the levels C/2 and 1 − C/2."""
    cut = 255 * options.contrast / 200
    black, white, gamma = options.levels or (cut, 255 - cut, 1.0)
    result = np.empty_like(alpha)
    for rows in strips(len(alpha)):
        strip = np.clip((alpha[rows] - np.float32(black / 255)) / np.float32((white - black) / 255), 0, 1)
        result[rows] = strip ** np.float32(1 / gamma) if gamma != 1 else strip
    return result


def with_exact_background(alpha: Floats) -> Floats:
    """The alpha with 0 where it is fainter than 2/255: white stays white there. Nothing is overwritten."""
    return np.where(alpha < np.float32(FAINT), np.float32(0), alpha)


def split(alpha: Floats, radius: float) -> tuple[Floats, Floats]:
    """The solid part S and the hair D of a matte, float32 (H, W) each: α = S + (1 − S)·D.

    S is the opening of α by a disc of that radius r. An opening also takes ears off at corners, and grain off along the
    contour. So D has only pieces that are longer than r beyond r/2 from the solid part, with their roots; elsewhere S
    is α. A strand is at least 0.1 somewhere.
    """
    solid = opened(alpha, radius)
    hair = np.where(solid < 1, (alpha - solid) / np.maximum(1 - solid, np.float32(1e-6)), 0).astype(np.float32)
    away = cv2.distanceTransform((solid < 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    far = (hair > _STRAND) & (away > radius / 2)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(far.astype(np.uint8), connectivity=8)
    long = facts[:, (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT)].max(axis=1) > radius
    long[0] = False
    root = disc(math.ceil(radius / 2) + _LEAST_RADIUS)
    kept = cv2.dilate(long[labels].astype(np.uint8), root) > 0
    hair[~kept] = 0
    return np.where(kept, solid, alpha), hair


def _with_moved_solid(alpha: Floats, options: Finishing, lengths: dict[str, float]) -> Floats:
    """α' = S' + (1 − S')·D, where S' is S smoothed, levelled, moved and feathered."""
    move = max(lengths["choke"], lengths["spread"])
    solid, hair = split(alpha, max(_LEAST_RADIUS, 2 * move))
    reach = move + lengths["smooth"] + 3 * lengths["feather"]
    if reach and hair.any():
        hair = _with_roots(hair, solid, reach)
    if lengths["smooth"]:
        solid = smoothed(solid, lengths["smooth"])
    if options.levels is not None or options.contrast:
        whole = levelled(solid + (1 - solid) * hair, options)
        solid = levelled(solid, options)
        rest = np.maximum(1 - solid, np.float32(1e-6))
        hair = np.where(solid < 1, np.clip((whole - solid) / rest, 0, 1), hair).astype(np.float32)
    if lengths["choke"]:
        solid = choked(solid, lengths["choke"])
    elif lengths["spread"]:
        solid = spread(solid, lengths["spread"])
    if lengths["feather"]:
        solid = feathered(solid, lengths["feather"], both=options.feather_both)
    return np.asarray(solid + (1 - solid) * (hair * np.float32(options.hair / 100)), np.float32)


def _with_roots(hair: Floats, solid: Floats, reach: float) -> Floats:
    """Hair that goes on into the solid part, where choking uncovers its roots: each pixel has the nearest hair's value.

    The hair is widened for it, and made as narrow again: an opening leaves small webs between strands and solid part.
    Under a solid part nothing says what D is; without roots a choked edge would leave a gap before each strand.
    """
    covered = (solid > _COVERED).astype(np.uint8)
    deep = math.ceil(reach) + _WEB + 2
    web = disc(_WEB)
    marked = np.asarray(cv2.dilate(hair, web) + 2 * covered, np.float32)  # 2 marks the solid part

    def window(values: Floats) -> Floats:
        inside = (values >= 2).astype(np.uint8)
        if inside.all() or not inside.any() or not (values[inside == 0] > 0).any():
            return values
        away, nearest = cv2.distanceTransformWithLabels(
            inside, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        table = np.zeros(int(nearest.max()) + 1, np.float32)
        outer = inside == 0
        table[nearest[outer]] = values[outer]
        grown = table[nearest]
        return np.where(outer, values, np.where(away <= deep, grown, 0)).astype(np.float32)

    grown = tiled(marked, deep + 2, window)
    grown[grown >= 2] = 0
    return np.where(covered > 0, np.maximum(hair, cv2.erode(grown, web)), hair).astype(np.float32)
