"""Trimaps from strokes and boxes, measured on pictures with known alpha.

    python benchmarks/strokes.py curves --foregrounds DIR --photos DIR [--cache DIR]
    python benchmarks/strokes.py run DATASET [--seeds 0 1 2 3 4] [--kinds KIND...] [--records FILE]
    python benchmarks/strokes.py table FILE...

`curves` compares candidates on scenes made for tuning: animals in their photos, and rendered foregrounds over photos.
`run` measures `mattecli.trimaps.segmentation` on DATASET, which holds `image/`, `alpha/` and `trimap2/`: four random
strokes a side, ten strokes placed where the error is largest (one of them crosses the edge, but not with `inside`),
boxes that are off by up to 3 %, and such a box with three strokes (`corrected`). It appends a line for each picture to
--records, and leaves out what stands there already. `table` prints the tables (Markdown) of such files. --cache keeps
the network's alphas, so that a second run needs no network.

"Right" is an alpha above 0.95 where foreground is certain, and below 0.05 where background is.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stroke_scenes import (
    Gray,
    Scene,
    loose_box,
    painted,
    random_strokes,
    tuning_scenes,
    validation_scenes,
    worst_place,
)

from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.system.process import prepare_process
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN
from mattecli.trimaps.segmentation import prepare_photo, segment
from mattecli.weights import find_checkpoint

Matte = Callable[[NDArray[np.uint8], Gray], NDArray[np.float32]]
STROKES = 10


def main() -> None:
    options = _options()
    if options.command == "table":
        print(tables([json.loads(line) for path in options.files for line in path.read_text().splitlines()]))
        return
    model = Model(RunOptions(weights=options.weights, precision=options.precision))
    sha256 = find_checkpoint(options.weights).sha256
    matte = cached(model, options.cache)
    if options.command == "curves":
        from stroke_curves import curves

        scenes = tuning_scenes(options.foregrounds, options.photos, renders=options.renders, animals=options.animals)
        solid = [scene for scene in scenes if scene.solid.mean() > 0.15]  # strokes need something to lie on
        print(curves(solid[:: options.every], matte, options.seeds, options.candidates))
        return
    done = set()
    if options.records and options.records.exists():
        lines = [json.loads(line) for line in options.records.read_text().splitlines()]
        done = {(line["kind"], line["name"], line["seed"]) for line in lines if line["weights"] == sha256}
    scenes = list(validation_scenes(options.dataset))
    for kind in options.kinds:
        for seed in options.seeds if kind == "four" else options.seeds[:1]:
            for scene in scenes:
                if (kind, scene.name, seed) not in done:
                    record = {"kind": kind, "name": scene.name, "seed": seed, **KINDS[kind](scene, seed, matte)}
                    record["precision"], record["weights"] = options.precision, sha256
                    if options.records:
                        with options.records.open("a") as file:
                            file.write(json.dumps(record) + "\n")
                    print(json.dumps(record), file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    curves = commands.add_parser("curves")
    curves.add_argument("--foregrounds", type=Path, required=True)
    curves.add_argument("--photos", type=Path, required=True)
    curves.add_argument("--renders", type=int, default=36)
    curves.add_argument("--animals", type=int, default=13)
    curves.add_argument("--candidates", nargs="+", help="default: all; GrabCut is the slowest")
    curves.add_argument("--every", type=int, default=1, help="take only every so many of the scenes")
    curves.add_argument("--seeds", type=int, nargs="+", default=[0])
    run = commands.add_parser("run")
    run.add_argument("dataset", type=Path)
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    run.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    run.add_argument("--records", type=Path)
    for command in (curves, run):
        command.add_argument("--weights")
        command.add_argument("--precision", default="auto")
        command.add_argument("--cache", type=Path)
    table = commands.add_parser("table")
    table.add_argument("files", type=Path, nargs="+")
    return parser.parse_args()


def cached(model: Model, folder: Path | None) -> Matte:
    """The network as a function; its alphas are kept in a folder by the hash of what goes in."""

    sha256 = find_checkpoint(model.options.weights).sha256

    def matte(photo: NDArray[np.uint8], trimap: Gray) -> NDArray[np.float32]:
        if folder is None:
            return model.predict(photo, trimap)
        folder.mkdir(parents=True, exist_ok=True)
        facts = f"{sha256} {model.options.precision} {photo.shape}".encode()
        key = hashlib.sha256(facts + photo.tobytes() + trimap.tobytes()).hexdigest()[:32]
        kept = folder / f"{key}.npy"
        if not kept.exists():
            part = folder / f"{key}.{time.monotonic_ns()}.npy"
            np.save(part, model.predict(photo, trimap).astype(np.float16))
            part.rename(kept)
        return np.load(kept).astype(np.float32)

    return matte


def figures(scene: Scene, trimap: Gray) -> dict[str, float]:
    """How much of what is certain is right, how much is unknown, and how much of the solid parts is certain."""
    inside, outside = trimap == FOREGROUND, trimap == BACKGROUND
    return {
        "foreground_right": _share(scene.solid & inside, inside),
        "background_right": _share(scene.clear & outside, outside),
        "unknown": 1 - float((inside | outside).mean()),
        "solid_certain": _share(scene.solid & inside, scene.solid),
        "clear_certain": _share(scene.clear & outside, scene.clear),
    }


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(part) / max(1, np.count_nonzero(whole)))


def sad(scene: Scene, trimap: Gray, matte: Matte) -> float:
    """The SAD of the whole picture, in thousands, of the matte from a trimap."""
    return float(np.abs(np.rint(matte(scene.photo, trimap) * 255) - scene.alpha).sum() / 255 / 1000)


def four(scene: Scene, seed: int, matte: Matte) -> dict[str, Any]:
    """Four random strokes a side."""
    strokes = painted(random_strokes(scene, 4, seed), scene.alpha.shape)
    trimap = segment(prepare_photo(scene.photo), strokes, matte=matte)
    return {**figures(scene, trimap), **_mattes(scene, trimap, matte)}


def ten(
    scene: Scene, seed: int, matte: Matte, *, crossing: int | None = 7, count: int = STROKES, boxed: bool = False
) -> dict[str, Any]:
    """`count` strokes, each where the error is largest; the one with the number `crossing` goes over the edge.

    With `boxed` they correct what a box gives.
    """
    rng, photo = np.random.default_rng(seed), prepare_photo(scene.photo)
    strokes, labels_kept, costs = [], True, []
    around = loose_box(scene, seed) if boxed else None
    trimap: Gray = np.full(scene.alpha.shape, UNKNOWN, np.uint8)
    if boxed:
        trimap = segment(photo, box=around, matte=matte)
        costs.append(_cost(scene, trimap))
    for number in range(1, count + 1):
        stroke = worst_place(scene, trimap if boxed else _first(trimap, strokes), rng, crosses=number == crossing)
        if stroke is None:
            break
        strokes.append(stroke)
        if boxed or len({label for label, _ in strokes}) == 2:
            trimap = segment(photo, painted(strokes, scene.alpha.shape), box=around, matte=matte)
            labels_kept &= bool((trimap[stroke[1]] == stroke[0]).all())
            costs.append(_cost(scene, trimap))
    worse = sum(after > before + 0.01 for before, after in itertools.pairwise(costs))
    steps = {"strokes": len(strokes), "steps": max(0, len(costs) - 1), "worse_steps": worse, "labels_kept": labels_kept}
    return {**figures(scene, trimap), **steps, **_mattes(scene, trimap, matte)}


def _first(trimap: Gray, strokes: list[tuple[int, NDArray[np.bool_]]]) -> Gray:
    """The trimap that the next stroke looks at: until both sides have one, the strokes' side counts as known."""
    labels = {label for label, _ in strokes}
    if len(labels) != 1:
        return trimap
    return np.full_like(trimap, labels.pop())


def _cost(scene: Scene, trimap: Gray) -> float:
    """The share of wrong pixels and half of the unknown ones."""
    wrong = ((trimap == FOREGROUND) & ~scene.solid) | ((trimap == BACKGROUND) & ~scene.clear)
    return float(wrong.mean() + (trimap == UNKNOWN).mean() / 2)


def box(scene: Scene, seed: int, matte: Matte) -> dict[str, Any]:
    """A box whose sides are off by up to 3 %."""
    trimap = segment(prepare_photo(scene.photo), box=loose_box(scene, seed), matte=matte)
    return {**figures(scene, trimap), **_mattes(scene, trimap, matte)}


def _mattes(scene: Scene, trimap: Gray, matte: Matte) -> dict[str, float]:
    if scene.loose is None:
        return {}
    loose = float((scene.loose != 0).mean() - (scene.loose == 255).mean())
    return {
        "sad": sad(scene, trimap, matte),
        "loose_sad": sad(scene, scene.loose, matte),
        "loose_unknown": loose,
    }


KINDS: dict[str, Callable[[Scene, int, Matte], dict[str, Any]]] = {
    "four": four,
    "ten": ten,
    "inside": functools.partial(ten, crossing=None),
    "corrected": functools.partial(ten, crossing=None, count=3, boxed=True),
    "box": box,
}


def tables(records: list[dict[str, Any]]) -> str:
    """Markdown: a line for each kind of input, then a line for each picture."""
    lines = [
        "| from | runs | fg ≥ 0.98 and bg ≥ 0.99 right | both ≥ 0.97 | solid certain ≥ 70 % | solid certain | unknown "
        "| ÷ loose | SAD mean, median | ÷ loose, mean, median |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for kind in KINDS:
        found = [record for record in records if record["kind"] == kind]
        if found:
            lines.append(_summary(kind, found))
    for kind in ("ten", "inside", "corrected"):
        if steps := [record for record in records if record["kind"] == kind]:
            worse, count = (sum(record[key] for record in steps) for key in ("worse_steps", "steps"))
            kept = (
                "every stroke kept its label" if all(record["labels_kept"] for record in steps) else "LABELS WERE LOST"
            )
            lines += ["", f"{kind}: {worse} of {count} steps made it worse by over 1 %; {kept}."]
    names = sorted({record["name"] for record in records})
    lines += ["", "| picture | " + " | ".join(f"{kind}: fg, bg right, unknown, SAD" for kind in KINDS) + " |"]
    lines.append("|---|" + "--:|" * len(KINDS))
    for name in names:
        cells = []
        for kind in KINDS:
            found = [record for record in records if record["kind"] == kind and record["name"] == name]
            keys = ("foreground_right", "background_right", "unknown", "sad")
            values = [float(np.mean([record[key] for record in found])) for key in keys] if found else []
            cells.append("{:.3f}, {:.3f}, {:.2f}, {:.1f}".format(*values) if found else "–")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _summary(kind: str, found: list[dict[str, Any]]) -> str:
    def column(key: str) -> NDArray[np.float64]:
        return np.array([record[key] for record in found])

    f, b, u = column("foreground_right"), column("background_right"), column("unknown")
    sads, loose = column("sad"), column("loose_sad")
    return (
        f"| {kind} | {len(found)} | {((f >= 0.98) & (b >= 0.99)).sum()} | {((f >= 0.97) & (b >= 0.97)).sum()} "
        f"| {(column('solid_certain') >= 0.7).sum()} | {column('solid_certain').mean():.2f} | {u.mean():.1%} "
        f"| {u.mean() / column('loose_unknown').mean():.2f} | {sads.mean():.1f}, {np.median(sads):.1f} "
        f"| {sads.mean() / loose.mean():.2f}, {np.median(sads / loose):.2f} |"
    )


if __name__ == "__main__":
    prepare_process()
    main()
