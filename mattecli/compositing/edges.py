"""Edges of a matte: cleaned, smoothed, moved, softened, with hair kept."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats, strips
from mattecli.compositing.cleaning import FAINT, without_holes, without_specks
from mattecli.compositing.contours import choked, disc, feathered, opened, smoothed, spread
from mattecli.compositing.finishing import LONGEST, Finishing, in_pixels

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


def split(alpha: Floats, radius: float) -> tuple[Floats, Floats, Floats]:
    """The solid part C, the gaps G in it, and the hair D of a matte, float32 (H, W) each.

    S = C·(1 − G) and α = S + (1 − S)·D. Hair is what an opening by a disc of that radius r takes off α, and gaps are
    what a closing fills in the rest, as between hairs. An opening also takes ears off at corners, and grain off along
    the contour. So hair has only pieces that are longer than r beyond r/2 from the solid part, with their roots, and
    gaps only pieces that are longer than 2r there, or do not come near what is open.
    """
    rest, hair = _thin(alpha, radius, least=_STRAND, longest=radius)
    empty, gaps = _thin(1 - rest, radius, least=_GAP, longest=2 * radius, alone=True)
    return 1 - empty, gaps, hair


def _thin(alpha: Floats, radius: float, *, least: float, longest: float, alone: bool = False) -> tuple[Floats, Floats]:
    """S and D of α = S + (1 − S)·D, where D is thinner than the disc, longer than `longest`, and `least` somewhere.

    With `alone` D has shorter pieces, too, if they do not come near S.
    """
    solid = opened(alpha, radius)
    thin = np.where(solid < 1, (alpha - solid) / np.maximum(1 - solid, np.float32(1e-6)), 0).astype(np.float32)
    far = thin > least
    away: NDArray[Any] = np.full(alpha.shape, np.inf, np.float32)
    if (solid >= 0.5).any():
        away = cv2.distanceTransform((solid < 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        far &= away > radius / 2
    _, labels, facts, _ = cv2.connectedComponentsWithStats(far.astype(np.uint8), connectivity=8)
    long = facts[:, (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT)].max(axis=1) > longest
    if alone:
        long |= np.bincount(labels[away <= radius / 2 + 2], minlength=len(long)) == 0
    long[0] = False
    root = disc(math.ceil(radius / 2) + _LEAST_RADIUS)
    kept = cv2.dilate(long[labels].astype(np.uint8), root) > 0
    thin[~kept] = 0
    return np.where(kept, solid, alpha), thin


def _with_moved_solid(alpha: Floats, options: Finishing, lengths: dict[str, float]) -> Floats:
    """α' = S' + (1 − S')·D, where S' is S moved and softened, but not at the roots of hair."""
    move = max(lengths["choke"], lengths["spread"])
    solid, gaps, hair = split(alpha, max(_LEAST_RADIUS, 2 * move))
    if not (lengths["choke"] or (lengths["feather"] and not options.feather_both)):  # no gap grows
        solid, gaps = solid * (1 - gaps), np.zeros_like(gaps)
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
    solid *= 1 - gaps
    hair *= (1 - solid) * np.float32(options.hair / 100)
    return np.clip(np.add(solid, hair, out=solid), 0, 1, out=solid)


def _blended(moved: Floats, still: Floats, share: Floats | None) -> Floats:
    """What is moved, but for the share that stays as it is."""
    return moved if share is None else moved + share * (still - moved)


def _near(hair: Floats, reach: float) -> Floats | None:
    """1 up to `reach` from hair, where its roots would come off, then falling to 0; None where there is no hair."""
    strands = hair > _STRAND
    if not strands.any():
        return None
    away = cv2.distanceTransform((~strands).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    share = np.clip(2 - away / np.float32(reach + 2), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
