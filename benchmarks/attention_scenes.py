"""Mattes with known errors for `attention.py`: rendered foregrounds over photographs, and faults that are planted.

    python benchmarks/attention_scenes.py FOREGROUNDS PHOTOS OUT

Each foreground gives a matte by the network, and two more with a planted fault. OUT has an archive for each, with the
photo, the alpha, its truth and its trimap. The pictures that validate the network are never used.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from stroke_scenes import SIDE, _composed

from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.system.process import prepare_process
from mattecli.trimaps.make import make_trimap

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Fault = Callable[[Bytes, Floats, Floats, np.random.Generator], tuple[Bytes, Floats | None]]


def spot(alpha: Floats, rng: np.random.Generator, *, radius: float, where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A disc around a random pixel of `where`; its radius is a share of the diagonal."""
    rows, columns = np.nonzero(where)
    if not len(rows):
        rows, columns = np.nonzero(np.ones_like(where))
    pick = int(rng.integers(len(rows)))
    y, x = np.ogrid[: alpha.shape[0], : alpha.shape[1]]
    size = radius * float(np.hypot(*alpha.shape)) * rng.uniform(0.7, 1.4)
    found: NDArray[np.bool_] = (y - rows[pick]) ** 2 + (x - columns[pick]) ** 2 <= size**2
    return found


def contour(truth: Floats) -> NDArray[np.bool_]:
    solid = (truth > 0.5).astype(np.uint8)
    return cv2.morphologyEx(solid, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0


def near(truth: Floats, trimap: Bytes, *, inside: bool) -> NDArray[np.bool_]:
    """Pixels of one side, some way from the contour."""
    side = ((truth > 0.5) == inside).astype(np.uint8)
    away = cv2.distanceTransform(side, cv2.DIST_L2, 3) / float(np.hypot(*truth.shape))
    found: NDArray[np.bool_] = (away > 0.02) & (away < 0.08)
    return found


# --- faults: each gives another trimap, and the alpha where the network is not to be run again ---------------------


def bite(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """A piece of the subject is marked as certain background."""
    disc = spot(truth, rng, radius=0.035, where=contour(truth))
    return np.where(disc, 0, trimap).astype(np.uint8), None


def bulge(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """A piece of the background is marked as certain foreground."""
    disc = spot(truth, rng, radius=0.035, where=contour(truth))
    return np.where(disc, 255, trimap).astype(np.uint8), None


def shift(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """The trimap lies beside its photo."""
    reach = 0.02 * float(np.hypot(*truth.shape)) * rng.uniform(0.8, 1.6)
    angle = rng.uniform(0, 2 * np.pi)
    move = np.float32([[1, 0, reach * np.cos(angle)], [0, 1, reach * np.sin(angle)]])
    moved = cv2.warpAffine(trimap, move, trimap.shape[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return moved, None


def haze(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """A grey cloud stays in the background, or eats into the foreground."""
    disc = spot(truth, rng, radius=0.05, where=near(truth, trimap, inside=bool(rng.integers(2))))
    soft = cv2.GaussianBlur(disc.astype(np.float32), (0, 0), 0.01 * float(np.hypot(*truth.shape)))
    level = np.float32(rng.uniform(0.3, 0.7))
    return np.where(soft > 0, 128, trimap).astype(np.uint8), alpha + soft * (level - alpha)


def island(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """A piece of the background is left standing."""
    disc = spot(truth, rng, radius=0.02, where=near(truth, trimap, inside=False))
    wide = cv2.dilate(disc.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return np.where(wide, 128, trimap).astype(np.uint8), np.where(disc, np.float32(rng.uniform(0.6, 1)), alpha)


def hole(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """A piece of the foreground is lost."""
    disc = spot(truth, rng, radius=0.02, where=near(truth, trimap, inside=True))
    wide = cv2.dilate(disc.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return np.where(wide, 128, trimap).astype(np.uint8), np.where(disc, np.float32(rng.uniform(0, 0.4)), alpha)


FAULTS: tuple[Fault, ...] = (bite, haze, bulge, island, shift, hole)


def main() -> None:
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("foregrounds", "photos", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--precision", default="bf16")
    options = parser.parse_args()
    model = Model(RunOptions(device="cpu", precision=options.precision))
    options.out.mkdir(parents=True, exist_ok=True)
    cutouts, grounds = sorted(options.foregrounds.glob("render_*.webp")), sorted(options.photos.glob("*.jpg"))
    chosen = cutouts[:: max(1, len(cutouts) // options.count)][: options.count]
    for number, path in enumerate(chosen):
        rng = np.random.default_rng(number)
        scene = _composed(path, grounds[number * 37 % len(grounds)], rng)
        small = SMALL / SIDE
        photo = cv2.resize(scene.photo, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
        truth = cv2.resize(scene.alpha.astype(np.float32) / 255, photo.shape[1::-1], interpolation=cv2.INTER_AREA)
        truth = np.clip(truth, 0, 1)
        diagonal = float(np.hypot(*truth.shape))
        widths = [max(1, round(diagonal * rng.uniform(0.004, 0.03))) for _ in range(2)]
        trimap = make_trimap(truth, erode=widths[0], dilate=widths[1])
        alpha = model.predict(photo, trimap)
        save(options.out, f"{number:03d}-clean", photo=photo, alpha=alpha, truth=truth, trimap=trimap)
        for turn in range(2):
            fault = FAULTS[(2 * number + turn) % len(FAULTS)]
            other, given = fault(trimap, alpha, truth, rng)
            made = model.predict(photo, other) if given is None else np.clip(given, 0, 1).astype(np.float32)
            save(options.out, f"{number:03d}-{fault.__name__}", photo=photo, alpha=made, truth=truth, trimap=other)
        print(path.stem, photo.shape, flush=True)


SMALL = 480


def save(folder: Path, name: str, **arrays: Any) -> None:
    np.savez_compressed(folder / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main()
