"""How good the matte of a large photo is, beside mattes of smaller copies of it.

    python benchmarks/sizes.py DATASET [--megapixels 4 1 0.5] [--trimaps trimap2] [--precision bf16] [--records FILE]

DATASET holds `image/`, `alpha/` and folders of trimaps, as `trimap_scenes.py` makes them from large cut-outs. Each
photo is matted at its own size alone, from coarse to fine as is usual, and as copies shrunk to each size, by area. A
pixel of a smaller trimap is known where all that it covers is known and alike.

For each of these the table (Markdown) gives the mean error of an unknown pixel, judged at two sizes: at the full size,
where a smaller matte was brought up by a guided filter with the full photo as its guide; and at the smallest, where a
larger matte was shrunk. --records appends a line (JSON) for each matte, and what stands there already is not computed
again.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.image import to_depth
from mattecli.imaging.read import read_alpha, read_image
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.system.process import prepare_process
from mattecli.trimaps.check import unknown
from mattecli.trimaps.pairs import read_trimap
from mattecli.trimaps.resize import shrunk as shrunk_trimap
from mattecli.weights import find_checkpoint

WHOLE, COARSE = "its own size", "coarse to fine"
RADIUS, SMOOTH = 4, 1e-4  # of the guided filter, in pixels of the small matte and squared values from 0 to 1
Floats = NDArray[np.float32]
Gray = NDArray[np.uint8]
Size = tuple[int, int]  # width, height


def main() -> None:
    prepare_process()
    options = _options()
    plain = Model(RunOptions(precision=options.precision, coarse_to_fine=False))
    models = plain, Model(RunOptions(precision=options.precision), backend=plain.backend)
    records = _read(options.records)
    sha256 = find_checkpoint().sha256
    records = [record for record in records if record.get("weights") == sha256]
    known = {(record["name"], record["trimaps"], record["made"]) for record in records}
    every = [WHOLE, COARSE, *map(_label, options.megapixels)]
    for path in sorted((options.dataset / "alpha").iterdir()):
        for trimaps in options.trimaps:
            made = [one for one in every if (path.stem, trimaps, one) not in known]
            for record in judge(models, options.dataset, path.name, trimaps, options.megapixels, made):
                records.append({"name": path.stem, "trimaps": trimaps, "weights": sha256, **record})
                print(records[-1], file=sys.stderr, flush=True)
                if options.records:
                    with options.records.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(records[-1]) + "\n")
    print(table(records))


def judge(
    models: tuple[Model, Model], dataset: Path, name: str, trimaps: str, megapixels: list[float], made: list[str]
) -> Iterator[dict[str, Any]]:
    """The errors of a photo's mattes: at its own size, coarse to fine, and at each of the smaller sizes."""
    photo = to_depth(read_image(dataset / "image" / name).pixels, 8)
    truth = _unit(read_alpha(dataset / "alpha" / name))
    trimap = read_trimap(dataset / trimaps / name)
    height, width = trimap.shape
    sizes: dict[str, Size] = {WHOLE: (width, height), COARSE: (width, height)}
    for size in megapixels:
        scale = math.sqrt(size * 1e6 / trimap.size)
        sizes[_label(size)] = max(1, round(width * scale)), max(1, round(height * scale))
    least = min(sizes.values())
    small_truth, small_open = shrunk(truth, least), unknown(shrunk_trimap(trimap, least))
    full_open = unknown(trimap)
    soft = full_open & (truth > 0.02) & (truth < 0.98)
    for one in made:
        began = time.perf_counter()
        matte = models[one == COARSE].predict(shrunk(photo, sizes[one]), shrunk_trimap(trimap, sizes[one]), name=name)
        seconds = time.perf_counter() - began
        full = matte if matte.shape == trimap.shape else guided(matte, photo)
        yield {
            "made": one,
            "pixels": trimap.size,
            "seconds": round(seconds, 1),
            "full": float(np.abs(full - truth)[full_open].mean()),
            "full_soft": float(np.abs(full - truth)[soft].mean()),
            "small": float(np.abs(shrunk(matte, least) - small_truth)[small_open].mean()),
        }


def _label(megapixels: float) -> str:
    return f"{megapixels:g} MP, brought up"


def shrunk(values: NDArray[Any], size: Size) -> NDArray[Any]:
    """A picture at a smaller size (width, height), by area."""
    if (values.shape[1], values.shape[0]) == size:
        return values
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA))


def guided(matte: Floats, photo: Gray) -> Floats:
    """A small matte at its photo's size, by the guided filter of He and others ("Fast guided filter", 2015).

    The matte is a linear function of the photo's colours around each pixel, whose coefficients are found at the small
    size.
    """
    size = (matte.shape[1], matte.shape[0])
    guide = shrunk(photo, size).astype(np.float32) / 255
    box = (2 * RADIUS + 1, 2 * RADIUS + 1)

    def mean(values: NDArray[Any]) -> Floats:
        return np.asarray(cv2.blur(values.astype(np.float32), box), np.float32)

    centre, level = mean(guide), mean(matte)
    together = np.empty((*matte.shape, 3), np.float32)
    spread = np.empty((*matte.shape, 3, 3), np.float32)
    for i in range(3):
        together[..., i] = mean(guide[..., i] * matte) - centre[..., i] * level
        for j in range(3):
            spread[..., i, j] = mean(guide[..., i] * guide[..., j]) - centre[..., i] * centre[..., j]
    slope = np.linalg.solve(spread + SMOOTH * np.eye(3, dtype=np.float32), together[..., None])[..., 0]
    offset = level - np.sum(slope * centre, axis=-1)
    full = (photo.shape[1], photo.shape[0])
    slope, offset = (cv2.resize(mean(values), full, interpolation=cv2.INTER_LINEAR) for values in (slope, offset))
    brought = np.sum(slope * (photo.astype(np.float32) / 255), axis=-1) + offset
    return np.asarray(brought.clip(0, 1), np.float32)


def table(records: list[dict[str, Any]]) -> str:
    """The mean errors for each size, a hundred times, and beside those of the full size."""
    lines = []
    for trimaps in dict.fromkeys(record["trimaps"] for record in records):
        chosen = [record for record in records if record["trimaps"] == trimaps]
        names = {record["name"] for record in chosen}
        lines += [
            f"\n{trimaps}, {len(names)} photos; mean error of an unknown pixel × 100\n",
            "| matte made at | judged at the full size | its soft pixels | judged at the smallest size | seconds |",
            "|---|---:|---:|---:|---:|",
        ]
        whole = _means([record for record in chosen if record["made"] == WHOLE])
        for made in dict.fromkeys(record["made"] for record in chosen):
            here = _means([record for record in chosen if record["made"] == made])
            cells = [
                f"{100 * here[key]:.2f} ({here[key] / whole[key]:.2f} ×)" for key in ("full", "full_soft", "small")
            ]
            lines.append(f"| {made} | {' | '.join(cells)} | {here['seconds']:.1f} |")
    return "\n".join(lines)


def _means(records: list[dict[str, Any]]) -> dict[str, float]:
    return {
        key: float(np.mean([record[key] for record in records])) for key in ("full", "full_soft", "small", "seconds")
    }


def _unit(alpha: NDArray[Any]) -> Floats:
    return np.asarray(to_depth(alpha, 8).astype(np.float32) / np.float32(255), np.float32)


def _read(path: Path | None) -> list[dict[str, Any]]:
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[4.0, 1.0, 0.5])
    parser.add_argument("--trimaps", nargs="+", default=["trimap2"])
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--records", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
