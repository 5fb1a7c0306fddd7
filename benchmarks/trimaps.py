"""Trimaps from masks compared with given loose trimaps: how right they are, how wide, and what the matte loses.

    python benchmarks/trimaps.py DATASET [--rows mask 'mask 320'] [--baseline FILE] [--precision bf16]
    python benchmarks/trimaps.py DATASET --auto-model NAME|FILE [--pictures OUT]

DATASET holds `image/`, `alpha/` and the folder of loose trimaps, files paired by name as `matte evaluate` pairs them.
The masks are made from the true alpha by code, seeded by the picture's name:

- mask: the true alpha above 0.5
- mask 320, mask 1024: that, shrunk to 320² or 1024² and back, as the masks of subject finders are (soft)
- mask off: its edge moved to and fro, by 0.5 % of the diagonal at most
- mask holes: pin-holes in the subject and specks outside

`--auto-model` measures the masks that a model of rembg finds, as `matte trimap --auto` takes them, without and with
`--solid`, and nothing else. A photo in which it finds nothing counts as wholly unknown.

"Right" is the share of certain pixels whose true alpha agrees: above 0.95 for foreground, below 0.05 for background.
"Solid" is the share of pixels with alpha above 0.95 that are certain. SAD is over the whole picture, and its ratio is
to the loose trimap of the same picture with the same weights. The table (Markdown) goes to stdout, progress to stderr.
`--baseline` keeps the loose trimaps' SAD in a file, by the content of the picture and the hash of the weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.evaluation.evaluate import find_cases
from mattecli.evaluation.metrics import quantise
from mattecli.imaging.image import Image, to_depth
from mattecli.imaging.read import read_alpha, read_image
from mattecli.imaging.write import write_image
from mattecli.inference.model import Model, load_model
from mattecli.system.process import prepare_process
from mattecli.trimaps.auto import open_model
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN, unknown
from mattecli.trimaps.make import make_trimap, overlay
from mattecli.trimaps.pairs import read_trimap

Gray = NDArray[np.uint8]
SURE = 0.05  # an alpha this near to 0 or 1 is what a certain label promises


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture of the data set: its photo (H, W, 3), true alpha and loose trimap, both uint8 (H, W)."""

    name: str
    photo: NDArray[Any]
    truth: Gray
    loose: Gray

    @property
    def diagonal(self) -> float:
        return float(np.hypot(*self.truth.shape))

    def random(self) -> np.random.Generator:
        """Random numbers that depend on the picture's name alone."""
        return np.random.default_rng(zlib.crc32(self.name.encode()))


@dataclass(frozen=True)
class Figures:
    """What a trimap of one picture is worth; shares from 0 to 1, `sad` in thousands, `ratio` to the loose trimap's."""

    foreground_right: float
    background_right: float
    solid: float
    unknown: float
    sad: float
    ratio: float = field(default=1.0)


def true_mask(scene: Scene) -> Gray:
    return np.where(scene.truth > 127, 255, 0).astype(np.uint8)


def shrunk_mask(scene: Scene, side: int) -> Gray:
    small = cv2.resize(true_mask(scene), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, scene.truth.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def shifted_mask(scene: Scene) -> Gray:
    """The mask with a wavy edge: off by up to 0.5 % of the diagonal, in waves of about 8 %."""
    mask, random = true_mask(scene), scene.random()
    grid = random.normal(size=[max(2, round(side / (0.08 * scene.diagonal))) for side in mask.shape])
    waves = cv2.resize(grid, mask.shape[::-1], interpolation=cv2.INTER_CUBIC)
    waves *= 0.005 * scene.diagonal / np.abs(waves).max()
    inside, outside = (
        cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (mask, cv2.bitwise_not(mask))
    )
    return np.where(inside - outside + waves > 0, 255, 0).astype(np.uint8)


def pierced_mask(scene: Scene) -> Gray:
    """The mask with 40 holes and 40 specks of 1 to 3 pixels radius."""
    mask, random = true_mask(scene), scene.random()
    pierced = mask.copy()
    for value in (255, 0):
        places = np.argwhere(mask == value)
        for y, x in places[random.integers(len(places), size=40)]:
            cv2.circle(pierced, (int(x), int(y)), int(random.integers(1, 4)), 255 - value, -1)
    return pierced


def auto(scene: Scene, mask: Gray) -> Gray:
    """The trimap of the mask with the default band."""
    return make_trimap(mask, photo=scene.photo)


Row = Callable[[Scene], Gray]
ROWS: dict[str, Row] = {
    "loose, as given": lambda scene: scene.loose,
    "mask": lambda scene: auto(scene, true_mask(scene)),
    "mask 320": lambda scene: auto(scene, shrunk_mask(scene, 320)),
    "mask 1024": lambda scene: auto(scene, shrunk_mask(scene, 1024)),
    "mask off": lambda scene: auto(scene, shifted_mask(scene)),
    "mask holes": lambda scene: auto(scene, pierced_mask(scene)),
    "mask, without its photo": lambda scene: make_trimap(true_mask(scene)),
    "mask 320, without its photo": lambda scene: make_trimap(shrunk_mask(scene, 320)),
    "mask, 2 % band": lambda scene: make_trimap(true_mask(scene), band="2%"),
    "mask 320, 2 % band": lambda scene: make_trimap(shrunk_mask(scene, 320), band="2%"),
}


def found_by(name: str) -> dict[str, Row]:
    """The trimaps of the masks that a model of rembg finds, as they are and with `solid`."""
    finder = open_model(name)

    @cache
    def mask(scene: Scene) -> Gray | None:
        try:
            return finder.find(scene.photo, name=scene.name)
        except InputError as error:
            print(error, file=sys.stderr)
            return None

    def trimap(scene: Scene, *, solid: bool) -> Gray:
        found = mask(scene)
        if found is None:
            return np.full(scene.truth.shape, UNKNOWN, np.uint8)
        return make_trimap(found, photo=scene.photo, solid=solid)

    return {name: partial(trimap, solid=False), f"{name}, solid": partial(trimap, solid=True)}


def main() -> None:
    options = _options()
    model = load_model(options.weights, precision=options.precision, device=options.device)
    scenes = _scenes(options)
    checkpoint = model.backend.checkpoint
    kept = _kept(options.baseline)
    results: dict[str, dict[str, Figures]] = {}
    rows = ROWS if options.auto_model is None else found_by(options.auto_model)
    for row in options.rows or rows:
        results[row] = {}
        for scene in scenes:
            key = _key(scene, checkpoint.sha256, model.backend.precision)
            if key not in kept:
                kept[key] = _sad(scene, scene.loose, model)
            trimap = rows[row](scene)
            results[row][scene.name] = found = figures(scene, trimap, model, kept[key])
            print(f"{row}, {scene.name}: SAD {found.sad:.2f} ({found.ratio:.2f} ×)", file=sys.stderr)
            if options.pictures:
                folder = options.pictures / Path(row).name
                folder.mkdir(parents=True, exist_ok=True)
                shown = Image(overlay(to_depth(scene.photo, 8), trimap))
                write_image(folder / f"{scene.name}.png", shown, overwrite=True)
        if options.baseline:
            options.baseline.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(f"{len(scenes)} pictures, {checkpoint.name} (SHA-256 {checkpoint.sha256[:8]}) in {model.backend.precision}\n")
    print(table(results))
    if options.json:
        facts = {row: {name: asdict(found) for name, found in by_name.items()} for row, by_name in results.items()}
        options.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="folder with image/, alpha/ and the loose trimaps")
    parser.add_argument("--loose", default="trimap2", help="folder of the loose trimaps in DATASET (trimap2)")
    parser.add_argument("--rows", nargs="+", choices=ROWS, help="default: all")
    parser.add_argument("--auto-model", help="measure the masks that this model finds, instead of those made by code")
    parser.add_argument("--weights", help="a bundled checkpoint or a file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--baseline", type=Path, help="keep the SAD of the loose trimaps in this JSON file")
    parser.add_argument("--pictures", type=Path, help="write each trimap over its photo into this folder")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    if options.rows and options.auto_model:
        parser.error("--rows are trimaps made by code; leave it out with --auto-model")
    return options


def _scenes(options: argparse.Namespace) -> list[Scene]:
    data: Path = options.dataset
    listing = find_cases(data / "alpha", data / options.loose, photos=data / "image")
    for failed in listing.failed:
        sys.exit(f"{failed.name}: {failed.reason}")
    return [
        Scene(case.name, read_image(case.photo).pixels, quantise(read_alpha(case.truth)), read_trimap(case.trimap))
        for case in listing.cases
        if case.photo is not None
    ]


def figures(scene: Scene, trimap: Gray, model: Model, loose_sad: float) -> Figures:
    """What the trimap is worth; `loose_sad` is the SAD of the picture's loose trimap."""
    alpha = scene.truth / 255
    foreground, background = trimap == FOREGROUND, trimap == BACKGROUND
    solid = alpha > 1 - SURE
    sad = _sad(scene, trimap, model)
    return Figures(
        foreground_right=_share(solid, foreground),
        background_right=_share(alpha < SURE, background),
        solid=_share(foreground, solid),
        unknown=float(unknown(trimap).mean()),
        sad=sad,
        ratio=sad / loose_sad,
    )


def _share(what: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    """The share of pixels of `of` that are `what`; 1 where there are none, which makes no mistake."""
    return float(what[of].mean()) if of.any() else 1.0


def _sad(scene: Scene, trimap: Gray, model: Model) -> float:
    """The SAD of the matte over the whole picture, in thousands."""
    return float(cv2.absdiff(quantise(model.predict(scene.photo, trimap)), scene.truth).sum() / 255 / 1000)


def _key(scene: Scene, weights: str, precision: str) -> str:
    content = hashlib.sha256(scene.photo.tobytes() + scene.truth.tobytes() + scene.loose.tobytes()).hexdigest()
    return f"{content[:32]} {weights[:16]} {precision}"


def _kept(baseline: Path | None) -> dict[str, float]:
    if baseline is None or not baseline.exists():
        return {}
    kept: dict[str, float] = json.loads(baseline.read_text(encoding="utf-8"))
    return kept


def table(results: dict[str, dict[str, Figures]]) -> str:
    """Markdown: means over the pictures, and medians where a few pictures decide the mean."""
    heads = ["trimap", "foreground right", "background right", "solid certain", "unknown"]
    lines = ["| " + " | ".join([*heads, "SAD", "÷ loose", "median SAD", "÷ loose"]) + " |"]
    lines.append("|---|" + "---:|" * 8)
    for row, by_name in results.items():
        column = {key: [getattr(found, key) for found in by_name.values()] for key in Figures.__annotations__}
        loose = [sad / ratio for sad, ratio in zip(column["sad"], column["ratio"], strict=True)]
        shares = [fmean(column[key]) for key in ("foreground_right", "background_right", "solid", "unknown")]
        cells = [f"{share:.2%}" for share in shares]
        cells += [f"{fmean(column['sad']):.2f}", f"{fmean(column['sad']) / fmean(loose):.2f}"]
        cells += [f"{median(column['sad']):.2f}", f"{median(column['ratio']):.2f}"]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    prepare_process()
    main()
