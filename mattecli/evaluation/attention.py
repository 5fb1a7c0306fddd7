"""The attention score: which mattes a person should look at first.

It needs no truth, and looks at one photo alone. Each sign of trouble has an amount, and becomes a share f from 0 at its
amount `free` to 1 at its amount `full`. The score is 1 − Π(1 − w·f), so that one strong sign suffices. The numbers were
fitted by benchmarks/attention.py on mattes with known errors; they are stored in `attention.json`, with a version and
the hash of the network's weights.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.evaluation.unseen import unexplained, unseen_share
from mattecli.imaging.pixels import as_float

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]

FITTED = Path(__file__).with_name("attention.json")
SIDE = 768  # of the small copy on which most signs are looked for
COARSE = 128  # side of the copy for `unseen`: there hairs are an even grey, which the photo's colours explain
NEARBY = 0.01  # of the diagonal: how far `unseen` looks around
JUMP = 0.25  # of alpha, between a known pixel and its unknown neighbour
FAR = 0.005  # of the diagonal: grey farther than this from the contour is suspicious
THICK = 0.006  # of the diagonal: thinner islands, holes and grey places are those of hair and lace
REASONS = 3  # that are told

# What each sign is called in reports, and its sentence. The names are stored: never reword them. Reports of version 1
# have `frame` and `unknown`, which are not looked for any more.
SENTENCES = {
    "empty": "the alpha is empty",
    "full": "the alpha is opaque everywhere",
    "cut": "the subject is cut by {amount:.0f} sides of the frame",
    "border": "the band cuts the edge on {amount:.0%} of its length",
    "grey": "grey lies far from the edge, {amount:.1%} of the subject's size",
    "islands": "loose pieces lie around the subject, {amount:.1%} of its size",
    "holes": "holes are in the subject, {amount:.1%} of its size",
    "alike": "subject and background have the same colour on {amount:.0%} of the edge",
    "frame": "the subject lies on {amount:.0%} of the frame",
    "contradiction": "the alpha contradicts its trimap on {amount:.1%} of the subject's size",
    "unseen": "the alpha has an edge that the photo does not show",
    "soft": "much is half transparent, {amount:.1%} of the picture",
    "unknown": "much is unknown, {amount:.0%} of the picture",
}
HARD = ("empty", "full", "cut")
SIGNS = ("border", "grey", "islands", "holes", "alike", "contradiction", "unseen", "soft")


@dataclass(frozen=True)
class Reason:
    """A sign of trouble: its name, its amount in units of its own, and the box x, y, width, height where it is worst.

    The box is in pixels of the photo; None where the sign has no place.
    """

    what: str
    amount: float
    box: Box | None = None

    def in_words(self) -> str:
        """The reason as a part of a sentence."""
        return SENTENCES[self.what].format(amount=self.amount)


@dataclass(frozen=True)
class Attention:
    """How much a matte needs a look, from 0 to 1, the version of the weights, and the strongest reasons first."""

    score: float
    version: int
    reasons: tuple[Reason, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The same for reports and the journal."""
        reasons = [
            {
                "what": reason.what,
                "amount": round(reason.amount, 4),
                "box": None if reason.box is None else [*reason.box],
            }
            for reason in self.reasons
        ]
        return {"score": round(self.score, 4), "version": self.version, "reasons": reasons}


def attention(photo: NDArray[Any], alpha: Floats, trimap: NDArray[np.uint8] | None = None) -> Attention:
    """The attention score of a matte.

    `photo` is (H, W, 3), `alpha` is (H, W) in [0, 1], and `trimap` is uint8 (H, W) of 0, 128 and 255, if there was one.
    """
    weights, version = fitted()
    found = signs(photo, alpha, trimap)
    hard = [reason for name, reason in found.items() if name in HARD]
    if hard:
        return Attention(1.0, version, tuple(hard))
    shares = {name: weights[name].share(reason.amount) for name, reason in found.items()}
    score = 1.0 - float(np.prod([1 - value for value in shares.values()]))
    order = sorted((name for name in shares if shares[name] > 0), key=lambda name: -shares[name])
    return Attention(score, version, tuple(found[name] for name in order[:REASONS]))


@dataclass(frozen=True)
class Weight:
    """What a sign adds to the score: nothing up to the amount `free`, its whole weight from the amount `full`."""

    weight: float
    free: float
    full: float

    def share(self, amount: float) -> float:
        """How much this amount adds."""
        return self.weight * min(1.0, max(0.0, amount - self.free) / (self.full - self.free))


@lru_cache(maxsize=1)
def fitted() -> tuple[Mapping[str, Weight], int]:
    """The weight of each sign, and their version."""
    stored = json.loads(FITTED.read_text(encoding="utf-8"))
    return {name: Weight(**stored["signs"][name]) for name in SIGNS}, stored["version"]


def reasons_in_words(line: Mapping[str, Any], *, most: int = 2) -> str:
    """The strongest reasons of a report's `attention`, as a sentence; empty where there are none."""
    reasons = [
        Reason(reason["what"], reason["amount"]).in_words()
        for reason in line.get("reasons", [])
        if reason["what"] in SENTENCES  # a newer version may know others
    ]
    return "; ".join(reasons[:most])


def signs(photo: NDArray[Any], alpha: Floats, trimap: NDArray[np.uint8] | None = None) -> dict[str, Reason]:
    """All signs of trouble with their amounts, 0 included. A hard sign stands alone."""
    subject = float(alpha.sum())
    if subject < 0.5 or alpha.max() < 0.1:
        return {"empty": Reason("empty", 1.0)}
    if alpha.min() > 0.9:
        return {"full": Reason("full", 1.0)}
    small = _Small.of(photo, alpha, trimap)
    sides = small.sides
    if len(sides) >= 3:
        return {"cut": Reason("cut", float(len(sides)), (0, 0, alpha.shape[1], alpha.shape[0]))}
    found = [
        _border(alpha, trimap),
        small.grey(),
        *small.pieces(),
        small.alike(),
        _contradiction(alpha, trimap, subject),
        small.unseen(),
        small.soft(),
    ]
    return {reason.what: reason for reason in found}


def _border(alpha: Floats, trimap: NDArray[np.uint8] | None) -> Reason:
    """Jumps of alpha along the trimap's border: there the band was too narrow, or lies beside the edge."""
    if trimap is None:
        return Reason("border", 0.0)
    known = trimap != 128
    solid = alpha > 0.5
    jumps = np.zeros(alpha.shape, np.bool_)
    crossings = 0
    for axis in (0, 1):
        one = tuple(slice(None, -1) if axis == other else slice(None) for other in (0, 1))
        two = tuple(slice(1, None) if axis == other else slice(None) for other in (0, 1))
        crossings += int(np.count_nonzero(solid[one] != solid[two]))
        jumps[one] |= (known[one] != known[two]) & (np.abs(alpha[one] - alpha[two]) > JUMP)
    number = int(np.count_nonzero(jumps))
    return Reason("border", min(1.0, number / max(1, crossings)), _box_of(jumps) if number else None)


def _contradiction(alpha: Floats, trimap: NDArray[np.uint8] | None, subject: float) -> Reason:
    """Pixels that the trimap calls certain and the alpha sees otherwise, as a given alpha may."""
    if trimap is None:
        return Reason("contradiction", 0.0)
    wrong = ((trimap == 255) & (alpha < 0.5)) | ((trimap == 0) & (alpha > 0.5))
    number = int(np.count_nonzero(wrong))
    return Reason("contradiction", number / subject, _box_of(wrong) if number else None)


@dataclass(frozen=True, eq=False)
class _Small:
    """A small copy of photo, alpha and trimap, and the photo's height and width."""

    photo: Floats
    alpha: Floats
    trimap: NDArray[np.uint8] | None
    whole: tuple[int, int]

    @classmethod
    def of(cls, photo: NDArray[Any], alpha: Floats, trimap: NDArray[np.uint8] | None) -> _Small:
        height, width = alpha.shape
        factor = min(1.0, SIDE / max(height, width))
        size = max(1, round(width * factor)), max(1, round(height * factor))
        pixels = photo.astype(np.float32) if photo.dtype == np.float16 else photo
        colours = np.clip(np.nan_to_num(as_float(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))), 0, 1)
        small = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
        known = None
        if trimap is not None:
            known = np.asarray(cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        return cls(colours, small, known, (height, width))

    @property
    def diagonal(self) -> float:
        height, width = self.alpha.shape
        return math.hypot(height, width)

    @property
    def thick(self) -> int:
        """The radius from which a piece is not a hair, in pixels."""
        return max(1, round(THICK * self.diagonal))

    @property
    def subject(self) -> float:
        return max(1.0, float(self.alpha.sum()))

    @property
    def rims(self) -> dict[str, Floats]:
        return {"top": self.alpha[0], "bottom": self.alpha[-1], "left": self.alpha[:, 0], "right": self.alpha[:, -1]}

    @property
    def sides(self) -> list[str]:
        """The sides of the frame that cut the subject on more than a twentieth of their length."""
        return [name for name, rim in self.rims.items() if np.count_nonzero(rim > 0.5) > len(rim) / 20]

    @property
    def contour(self) -> Mask:
        """Pixels of the subject at its edge."""
        solid = (self.alpha > 0.5).astype(np.uint8)
        return (solid - cv2.erode(solid, np.ones((3, 3), np.uint8), borderValue=1)) > 0

    def reason(self, what: str, amount: float, where: Mask) -> Reason:
        """A reason whose box is that of the largest piece of `where`."""
        if amount <= 0 or not where.any():
            return Reason(what, max(0.0, amount))
        left, top, columns, rows = _box_of(where)
        x, width = _enlarged(left, columns, self.alpha.shape[1], self.whole[1])
        y, height = _enlarged(top, rows, self.alpha.shape[0], self.whole[0])
        return Reason(what, amount, (x, y, width, height))

    def grey(self) -> Reason:
        """Half-transparent places far from the contour."""
        soft = (self.alpha > 0.1) & (self.alpha < 0.9)
        solid = (self.alpha > 0.5).astype(np.uint8)
        outside = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 3)
        inside = cv2.distanceTransform(solid, cv2.DIST_L2, 3)
        far = soft & (np.maximum(outside, inside) > max(1.5, FAR * self.diagonal))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (self.thick * 2 + 1,) * 2)
        far = cv2.morphologyEx(far.astype(np.uint8), cv2.MORPH_OPEN, disc) > 0
        return self.reason("grey", np.count_nonzero(far) / self.subject, far)

    def pieces(self) -> tuple[Reason, Reason]:
        """Islands that hold no certain foreground, and holes that hold no certain background."""
        certain = self.trimap if self.trimap is not None else np.full(self.alpha.shape, 128, np.uint8)
        solid = (self.alpha > 0.3).astype(np.uint8)
        islands = _loose(solid, certain == 255, thick=self.thick, keep_largest=True)
        open_ = cv2.copyMakeBorder((self.alpha < 0.5).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
        ground = np.pad(certain == 0, 1, constant_values=True)  # what touches the frame is not a hole
        holes = _loose(open_, ground, thick=self.thick, keep_largest=False)[1:-1, 1:-1]
        return (
            self.reason("islands", np.count_nonzero(islands) / self.subject, islands),
            self.reason("holes", np.count_nonzero(holes) / self.subject, holes),
        )

    def alike(self) -> Reason:
        """Contour where the colours of both sides nearby differ by less than they vary."""
        sigma = max(1.5, 0.008 * self.diagonal)
        front, front_spread = _nearby(self.photo, self.alpha * (self.alpha > 0.95), sigma)
        back, back_spread = _nearby(self.photo, (1 - self.alpha) * (self.alpha < 0.05), sigma)
        differ = np.sqrt(((front - back) ** 2).sum(2))
        edge = self.contour
        same = edge & (differ < 0.02 + 0.5 * (front_spread + back_spread))
        return self.reason("alike", int(same.sum()) / max(1, int(edge.sum())), same)

    def unseen(self) -> Reason:
        """The greatest share of alpha's change, in one place, that the photo's colours do not explain."""
        factor = min(1.0, COARSE / max(self.alpha.shape))
        size = tuple(max(1, round(side * factor)) for side in self.alpha.shape[::-1])
        photo, alpha = (
            np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)
            for plane in (self.photo, self.alpha)
        )
        shares = unseen_share(*unexplained(photo, alpha), max(1.0, NEARBY * factor * self.diagonal))
        amount = float(shares.max())
        where = cv2.resize(shares, self.alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return self.reason("unseen", amount, where > 0.7 * amount)

    def soft(self) -> Reason:
        """How much is half transparent, where 1 is a picture of alpha 0.5."""
        return self.reason("soft", float((4 * self.alpha * (1 - self.alpha)).mean()), np.abs(self.alpha - 0.5) < 0.4)


def _loose(mask: NDArray[Any], certain: Mask, *, thick: int, keep_largest: bool) -> Mask:
    """The thick pieces of a mask that hold nothing certain; not the largest of all where that is to be kept."""
    count, found, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    labels = np.asarray(found, np.int64)
    keep = np.zeros(count, np.bool_)
    keep[np.unique(labels[certain])] = True
    thickness = np.zeros(count, np.float32)
    np.maximum.at(thickness, labels, cv2.distanceTransform(mask, cv2.DIST_L2, 3))
    keep |= thickness <= thick
    keep[0] = True
    if keep_largest and count > 1:
        keep[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))] = True
    loose: Mask = ~keep[labels]
    return loose


def _nearby(photo: Floats, weight: Floats, sigma: float) -> tuple[Floats, Floats]:
    """The mean colour nearby under a weight, (H, W, 3), and the spread of its values, (H, W)."""
    total = cv2.GaussianBlur(weight, (0, 0), sigma) + 1e-4
    mean = cv2.GaussianBlur(photo * weight[..., None], (0, 0), sigma) / total[..., None]
    square = cv2.GaussianBlur((photo**2).sum(2) * weight, (0, 0), sigma) / total
    return mean, np.sqrt(np.maximum(0, square - (mean**2).sum(2)))


def _enlarged(begin: int, length: int, small: int, whole: int) -> tuple[int, int]:
    """A run of the copy's `small` rows or columns among the photo's. Of a thin photo the two have different scales."""
    scale = whole / small
    first = round(begin * scale)
    return first, max(1, min(round(length * scale), whole - first))


def _box_of(mask: Mask) -> Box:
    """The box x, y, width, height of the largest piece; pieces a few pixels apart count as one."""
    joined = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    largest = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    rows, columns = np.nonzero(mask & largest)
    x, y = int(columns.min()), int(rows.min())
    return x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1
