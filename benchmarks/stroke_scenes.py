"""Pictures with known alpha, and strokes and boxes as a person might draw them, seeded.

`benchmarks/strokes.py` uses them. Nothing here looks at what a segmentation found, except `worst_place`, which puts a
stroke where the error is largest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.evaluation.metrics import quantise
from mattecli.imaging.image import to_depth
from mattecli.imaging.read import read_alpha, read_image
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN

Gray = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SOLID, CLEAR = 0.95, 0.05  # alphas that a certain pixel may have: above the first, or below the second
SIDE = 768  # the longer side of a scene that is put together


@dataclass(frozen=True, eq=False)
class Scene:
    """A photo, uint8 (H, W, 3), with its true alpha, uint8 (H, W), and the loose trimap where the data set has one."""

    name: str
    photo: NDArray[np.uint8]
    alpha: Gray
    loose: Gray | None = None

    @property
    def solid(self) -> Mask:
        """Where the true alpha is foreground."""
        return np.asarray(self.alpha > SOLID * 255)

    @property
    def clear(self) -> Mask:
        """Where the true alpha is background."""
        return np.asarray(self.alpha < CLEAR * 255)

    @property
    def diagonal(self) -> float:
        """Length of the diagonal, in pixels."""
        return float(np.hypot(*self.alpha.shape))


def validation_scenes(dataset: Path) -> Iterator[Scene]:
    """The pictures of a folder with `image/`, `alpha/` and `trimap2/`, as alphamatting.com names them."""
    for path in sorted((dataset / "alpha").glob("*.png")):
        photo = to_depth(read_image(dataset / "image" / path.name).pixels, 8)
        loose = to_depth(read_alpha(dataset / "trimap2" / path.name), 8)
        yield Scene(path.stem, photo, quantise(read_alpha(path)), loose)


def tuning_scenes(foregrounds: Path, photos: Path, *, renders: int, animals: int) -> Iterator[Scene]:
    """Animals in their own photos, and rendered foregrounds over photographs: never the validation pictures."""
    for path in sorted(foregrounds.glob("animal_*_photo.jpg"))[:animals]:
        photo = to_depth(read_image(path).pixels, 8)
        alpha = quantise(read_alpha(path.with_name(path.name.replace("_photo.jpg", "_alpha.png"))))
        yield Scene(path.stem.removesuffix("_photo"), _fitted(photo), _fitted(alpha))
    kinds = ("hair", "fur", "plume", "feather", "fringe", "grass")
    by_kind = [sorted(foregrounds.glob(f"render_{kind}_*.webp")) for kind in kinds]
    backgrounds = sorted(path for start in ("clic", "kodak", "gb82", "meta") for path in photos.glob(f"{start}_*.jpg"))
    for number in range(renders):
        found = by_kind[number % len(kinds)]
        path = found[number // len(kinds) * 3 % len(found)]
        behind = backgrounds[number * 37 % len(backgrounds)]
        yield _composed(path, behind, np.random.default_rng(number))


def _composed(path: Path, behind: Path, rng: np.random.Generator) -> Scene:
    """A rendered foreground, cropped to what it shows, over a photograph."""
    cut = to_depth(read_image(path, keep_alpha=True).pixels, 8)
    seen = cut[..., 3] > 12
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    cut = cut[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    background = to_depth(read_image(behind).pixels, 8)
    height, width = background.shape[:2]
    scale = SIDE / max(height, width)
    background = cv2.resize(background, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    height, width = background.shape[:2]
    share = rng.uniform(0.75, 1.05)
    scale = share * min(height / cut.shape[0], width / cut.shape[1])
    cut = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top = round((height - cut.shape[0]) * rng.uniform(0.4, 1))  # most things stand low in their picture
    left = round((width - cut.shape[1]) * rng.uniform(0, 1))
    canvas = np.zeros((height, width, 4), np.uint8)
    y, x = max(top, 0), max(left, 0)
    piece = cut[y - top : y - top + height - y, x - left : x - left + width - x]
    canvas[y : y + piece.shape[0], x : x + piece.shape[1]] = piece
    alpha = canvas[..., 3:].astype(np.float32) / 255
    photo = np.rint(canvas[..., :3] * alpha + background[..., :3] * (1 - alpha)).astype(np.uint8)
    return Scene(f"{path.stem}+{behind.stem}", photo, canvas[..., 3].copy())


def _fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = min(1.0, SIDE / max(picture.shape[:2]))
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def random_strokes(scene: Scene, each: int, seed: int) -> list[tuple[int, Mask]]:
    """So many strokes on each side, foreground first: pairs of a label and the pixels (H, W) that it has."""
    rng = np.random.default_rng(seed)
    strokes = []
    for label, region in ((FOREGROUND, scene.solid), (BACKGROUND, scene.clear)):
        inside = _deep(region, scene.diagonal * 0.008)
        for _ in range(each):
            place = tuple(rng.choice(np.argwhere(inside)))
            strokes.append((label, _stroke(inside, place, scene.diagonal, rng)))
    return strokes


def _stroke(inside: Mask, place: tuple[int, int], diagonal: float, rng: np.random.Generator) -> Mask:
    """A curved stroke from `place`, as long as 5 to 25 % of the diagonal, that ends where it would leave `inside`."""
    brush = max(1, round(diagonal * rng.uniform(0.004, 0.007)))  # its radius
    angle, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 2 / diagonal * 4)
    points = [np.array(place, float)]
    for _ in range(int(diagonal * rng.uniform(0.05, 0.25) / 2)):
        angle += bend * 2
        point = points[-1] + 2 * np.array([np.sin(angle), np.cos(angle)])
        row, column = np.rint(point).astype(int)
        if not (0 <= row < inside.shape[0] and 0 <= column < inside.shape[1] and inside[row, column]):
            break
        points.append(point)
    return drawn(np.array(points), brush, inside.shape)


def drawn(points: NDArray[np.floating], brush: int, shape: tuple[int, ...]) -> Mask:
    """The pixels of a line through points (row, column) with a round brush of that radius."""
    canvas = np.zeros(shape, np.uint8)
    line = np.rint(points[:, ::-1]).astype(np.int32)
    cv2.polylines(canvas, [line[:, None]], False, 1, thickness=2 * brush + 1)
    return canvas.astype(bool)


def painted(strokes: list[tuple[int, Mask]], shape: tuple[int, ...]) -> Gray:
    """The strokes as labels, uint8 (H, W): 0, 255, and 128 where there is none; a later stroke wins."""
    labels = np.full(shape, UNKNOWN, np.uint8)
    for label, pixels in strokes:
        labels[pixels] = label
    return labels


def worst_place(scene: Scene, trimap: Gray, rng: np.random.Generator, *, crosses: bool) -> tuple[int, Mask] | None:
    """A stroke where most is wrong or unknown; None where nothing is.

    The larger of the two: the deepest place of wrong pixels, or of unknown pixels that are truly foreground or
    background. A stroke that `crosses` goes on over the subject's edge.
    """
    best, depth_of_best, label_of_best = None, 1.0, UNKNOWN
    for label, region in ((FOREGROUND, scene.solid), (BACKGROUND, scene.clear)):
        missed = region & (trimap != label)
        weight = np.where(trimap == UNKNOWN, 1.0, 2.0)  # wrong counts twice
        depth = cv2.distanceTransform(np.pad(missed, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1] * weight
        if depth.max() > depth_of_best:
            best, depth_of_best, label_of_best = np.unravel_index(depth.argmax(), depth.shape), depth.max(), label
    if best is None:
        return None
    region = scene.solid if label_of_best == FOREGROUND else scene.clear
    everywhere = np.ones_like(region)
    inside = everywhere if crosses else _deep(region, min(scene.diagonal * 0.008, depth_of_best / 2))
    return label_of_best, _stroke(inside, (int(best[0]), int(best[1])), scene.diagonal, rng)


def loose_box(scene: Scene, seed: int) -> tuple[float, float, float, float]:
    """The subject's box (x, y, width, height), each side off by up to 3 % of the picture, in or out."""
    rng = np.random.default_rng(seed)
    seen = scene.alpha > 127
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    height, width = seen.shape
    top, bottom = np.clip(np.array([rows[0], rows[-1] + 1]) + rng.uniform(-0.03, 0.03, 2) * height, 0, height)
    left, right = np.clip(np.array([columns[0], columns[-1] + 1]) + rng.uniform(-0.03, 0.03, 2) * width, 0, width)
    return float(left), float(top), float(right - left), float(bottom - top)


def _deep(region: Mask, depth: float) -> Mask:
    """The pixels of a region that lie deeper than `depth`; all of it where none does."""
    distance = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    deep = np.asarray(distance > depth)
    return deep if deep.any() else np.asarray(distance > 0.7 * distance.max())
