"""Edges of a matte: cleaned, smoothed, moved, softened, with hair kept."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats, strips
from mattecli.compositing.cleaning import FAINT, without_holes, without_specks
from mattecli.compositing.contours import (
    Part,
    changed_tiles,
    choked,
    disc,
    feathered,
    opened,
    smoothed,
    spread,
    subject_box,
)
from mattecli.compositing.finishing import Finishing
from mattecli.imaging.pixels import as_float

_SOLID = 0.95  # alpha of what gives its colour to an edge that grows
_STRAND = 0.1  # hair is somewhere at least so opaque
_GAP = 0.02  # and a gap so open
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
    lengths = options.edge_lengths(alpha.shape)
    if any(lengths.values()) or options.hair < 100:
        box = subject_box(alpha, _reach(lengths))  # beyond it α stays 0
        moved = _with_moved_solid(np.ascontiguousarray(alpha[box]), options, lengths)
        alpha = np.zeros(alpha.shape, np.float32)
        alpha[box] = moved
    elif options.levels is not None or options.contrast:
        alpha = levelled(alpha, options)
    return alpha, [note for note in notes if note]


def share_looked_at(plane: NDArray[Any], options: Finishing) -> float:
    """The share of its photo that moving edges looks at, if the subject is where `plane`, (H, W), is not 0."""
    height, width = plane.shape
    rows, columns = subject_box(plane, _reach(options.edge_lengths((height, width))))
    return len(range(height)[rows]) * len(range(width)[columns]) / plane.size


def _reach(lengths: dict[str, float]) -> int:
    """How far from the subject the matte may change, or is looked at, in pixels; rather too much than too little."""
    move = max(lengths["choke"], lengths["spread"])
    return math.ceil(8 * max(_LEAST_RADIUS, 2 * move) + 8 * lengths["smooth"] + 6 * lengths["feather"]) + 40


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


def extended_colours(
    colours: NDArray[Any], alpha: Floats, grown: Floats, *, photo: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Foreground colours (H, W, 3) with those of what an edge has grown by; alpha and grown alpha are (H, W).

    An estimate knows no foreground where α is 0. So the new share of a pixel, (α' − α)/α', gets the colour of the
    nearest solid pixel, a mean of the solid pixels around that. Colours that are the photo's own stay.
    """
    where = grown > alpha + np.float32(FAINT)
    solid = alpha >= np.float32(_SOLID)
    if not where.any() or not solid.any():
        return colours
    if photo is not None and np.allclose(as_float(colours[where]), as_float(photo[where]), atol=1 / 510):
        return colours
    box = subject_box(np.maximum(alpha, grown), 4)
    own, solid = as_float(colours[box]), np.ascontiguousarray(solid[box])
    weight = solid.astype(np.float32)
    total = cv2.GaussianBlur(weight, (0, 0), 1.0)
    mean = (
        cv2.GaussianBlur(np.nan_to_num(own) * weight[..., None], (0, 0), 1.0)
        / np.maximum(total, np.float32(1e-3))[..., None]
    )
    _, labels = cv2.distanceTransformWithLabels(
        (~solid).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.zeros(int(labels.max()) + 1, np.int64)
    place[labels[solid]] = np.flatnonzero(solid)
    rows, columns = np.nonzero(where[box])
    nearest = mean.reshape(-1, 3)[place[labels[rows, columns]]]
    share = 1 - alpha[box][rows, columns] / grown[box][rows, columns]
    result = as_float(colours).copy()
    result[box][rows, columns] += share[:, None] * (nearest - own[rows, columns])
    return result


def split(alpha: Floats, radius: float) -> tuple[Floats, Floats, Floats]:
    """The solid part C, the gaps G in it, and the hair D of a matte, float32 (H, W) each.

    S = C·(1 − G) and α = S + (1 − S)·D. Hair is what an opening by a disc of that radius r takes off α, and gaps are
    what a closing fills in the rest, as between hairs. An opening also takes ears off at corners, and grain off along
    the contour. So hair has only pieces that are longer than r beyond r/2 from the solid part, with their roots, and
    gaps only pieces that are longer than 2r there, or do not come near what is open.
    """
    rest, hair = _thin(alpha, radius, least=_STRAND, longest=radius)
    empty, gaps = _thin(1 - rest, radius, least=_GAP, longest=2 * radius, alone=True)
    return np.subtract(1, empty, out=empty), gaps, hair


def _thin(alpha: Floats, radius: float, *, least: float, longest: float, alone: bool = False) -> tuple[Floats, Floats]:
    """S and D of α = S + (1 − S)·D, where D is thinner than the disc, longer than `longest`, and `least` somewhere.

    S is α itself where D is nothing. With `alone` D has shorter pieces, too, if they do not come near S. Tiles that the
    opening does not change need nothing more. Only the box around what is thin is searched for pieces.
    """
    solid, thin = opened(alpha, radius), np.zeros(alpha.shape, np.float32)
    far, near = np.zeros(alpha.shape, np.uint8), np.zeros(alpha.shape if alone else (0, 0), bool)
    for tile, seen in changed_tiles(alpha, solid, math.ceil(radius / 2) + 4):
        part, own = tile.slices, solid[tile.slices]
        thin[part] = np.where(own < 1, (alpha[part] - own) / np.maximum(1 - own, np.float32(1e-6)), 0)
        away = _away(solid[seen.slices] >= 0.5)[tile.within(seen).slices]
        far[part] = (thin[part] > least) & (away > radius / 2)
        if alone:
            near[part] = away <= radius / 2 + 2
    box = _box(far, 0)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(far[box], connectivity=8)
    long = facts[:, (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT)].max(axis=1) > longest
    if alone:
        long |= np.bincount(labels[near[box]], minlength=len(long)) == 0
    long[0] = False
    if not long.any():
        return alpha, np.zeros(alpha.shape, np.float32)
    root = math.ceil(radius / 2) + _LEAST_RADIUS
    kept = np.zeros_like(far)
    kept[box] = long[labels]
    box = _box(far, root)
    kept[box] = cv2.dilate(kept[box], disc(root))
    thin *= kept
    return np.where(kept > 0, solid, alpha), thin


def _away(solid: NDArray[np.bool_]) -> NDArray[Any]:
    """The distance of each pixel to what is solid; infinite where nothing is."""
    if not solid.any():
        return np.full(solid.shape, np.inf, np.float32)
    return cv2.distanceTransform((~solid).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)


def _box(mask: NDArray[np.uint8], grown: int) -> Part:
    """The box of what is not 0, grown on all sides; a corner pixel where all is 0."""
    x, y, width, height = cv2.boundingRect(mask)
    return (
        slice(max(0, y - grown), min(mask.shape[0], max(y + height, 1) + grown)),
        slice(max(0, x - grown), min(mask.shape[1], max(x + width, 1) + grown)),
    )


def _with_moved_solid(alpha: Floats, options: Finishing, lengths: dict[str, float]) -> Floats:
    """α' = S' + (1 − S')·D, where S' is S moved and softened, but not at the roots of hair."""
    move = max(lengths["choke"], lengths["spread"])
    radius = max(_LEAST_RADIUS, 2 * move)
    if lengths["choke"] or (lengths["feather"] and not options.feather_both):
        solid, gaps, hair = split(alpha, radius)
    else:  # no gap grows
        solid, hair = _thin(alpha, radius, least=_STRAND, longest=radius)
        gaps = np.zeros(solid.shape, np.float32)
    reach = move + lengths["smooth"] + 3 * lengths["feather"]
    rooted = _near(hair, reach) if reach else None
    if lengths["smooth"]:
        solid = _blended(smoothed(solid, lengths["smooth"]), solid, rooted)
    if options.levels is not None or options.contrast:
        part = solid * (1 - gaps)
        whole, part = levelled(part + (1 - part) * hair, options), levelled(part, options)
        solid = levelled(solid, options)
        gaps = np.where(solid > 0, 1 - part / np.maximum(solid, np.float32(1e-6)), 0).astype(np.float32)
        rest = np.maximum(1 - part, np.float32(1e-6))
        hair = np.where(part < 1, np.clip((whole - part) / rest, 0, 1), hair).astype(np.float32)
    if lengths["choke"]:
        solid = _blended(choked(solid, lengths["choke"]), solid, rooted)
    elif lengths["spread"]:
        solid = _blended(spread(solid, lengths["spread"]), solid, rooted)
    if lengths["feather"]:
        solid = _blended(feathered(solid, lengths["feather"], both=options.feather_both), solid, rooted)
    solid = solid.copy() if solid is alpha else solid
    share = np.float32(options.hair / 100)
    for rows in strips(len(solid)):
        if gaps[rows].any():
            solid[rows] *= 1 - gaps[rows]
        if hair[rows].any():
            solid[rows] += hair[rows] * ((1 - solid[rows]) * share)
    return np.clip(solid, 0, 1, out=solid)


def _blended(moved: Floats, still: Floats, roots: tuple[Part, Floats] | None) -> Floats:
    """What is moved, but for the share around roots that stays as it is."""
    if roots is not None:
        box, share = roots
        moved[box] += share * (still[box] - moved[box])
    return moved


def _near(hair: Floats, reach: float) -> tuple[Part, Floats] | None:
    """1 up to `reach` from hair, where its roots would come off, then falling to 0, and the box that holds all of it.

    None where there is no hair.
    """
    strands = (hair > _STRAND).view(np.uint8)
    if not strands.any():
        return None
    box = _box(strands, math.ceil(2 * reach) + 5)
    away = _away(strands[box] > 0)
    share = np.clip(2 - away / np.float32(reach + 2), 0, 1)
    return box, np.asarray(share * share * (3 - 2 * share), np.float32)
