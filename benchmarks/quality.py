"""Ours against closed-form and KNN matting, on the same pictures and trimaps in one run.

    python benchmarks/quality.py DATASET [--weights FILE] [--trimaps trimap --trimaps trimap2] [--cache DIR]
    python benchmarks/quality.py DATASET --methods ours --precision bf16 --rounding

DATASET holds `image/`, `alpha/` and folders of trimaps, files paired by name as `matte evaluate` pairs them. The tables
(Markdown) go to stdout, progress to stderr. Closed-form and KNN are pymatting's (`pip install pymatting`), with its
defaults. All alphas are scored as 8-bit files would be.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.evaluation.evaluate import Case, find_cases
from mattecli.evaluation.metrics import Scores, quantise, score
from mattecli.imaging.image import Image, to_depth
from mattecli.imaging.read import read_alpha, read_image
from mattecli.imaging.write import write_image
from mattecli.system.process import prepare_process
from mattecli.trimaps.pairs import read_trimap

OURS, CLOSED_FORM, KNN = "ours", "closed-form", "KNN"
METHODS = (OURS, CLOSED_FORM, KNN)

Gray = NDArray[np.uint8]
Method = Callable[[NDArray[Any], Gray], Gray]  # photo (H, W, 3), trimap (H, W) → alpha (H, W)
Results = dict[str, dict[str, dict[str, Scores]]]  # by trimaps, method, picture


def main() -> None:
    options = _options()
    rounding: list[NDArray[np.float32]] = []
    methods = _methods(options, rounding)
    results: Results = {}
    for trimaps in options.trimaps or ["trimap", "trimap2"]:
        data: Path = options.dataset
        listing = find_cases(data / "alpha", data / trimaps, photos=data / "image")
        for failed in listing.failed:
            sys.exit(f"{failed.name}: {failed.reason}")
        results[trimaps] = {name: {} for name in methods}
        for case in listing.cases:
            for name, scores in _run(case, methods, options.pictures and options.pictures / trimaps).items():
                results[trimaps][name][case.name] = scores
    print(tables(results))
    if rounding:
        levels = 255 * np.concatenate(rounding)
        figures = f"mean {levels.mean():.2f}, 99.9 % below {np.quantile(levels, 0.999):.1f}, most {levels.max():.1f}"
        shares = " and ".join(f"{(levels > step).mean():.2%} beyond {step}" for step in (1, 3))
        print(f"\nagainst fp32 in the unknown pixels, in levels of 255: {figures}; {shares}")
    if options.json:
        options.json.write_text(json.dumps(_as_json(results), indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="folder with image/, alpha/ and folders of trimaps")
    parser.add_argument("--trimaps", action="append", metavar="NAME", help="default: trimap and trimap2")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--weights", help="a bundled checkpoint or a file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounding", action="store_true", help="also say how far --precision is from fp32")
    parser.add_argument("--cache", type=Path, help="keep the peers' alphas here; they are slow and do not change")
    parser.add_argument("--pictures", type=Path, help="write the alphas side by side into this folder")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


def _methods(options: argparse.Namespace, rounding: list[NDArray[np.float32]]) -> dict[str, Method]:
    """The methods asked for; with --rounding ours puts what its precision changes at unknown pixels into `rounding`."""
    methods: dict[str, Method] = {}
    if OURS in options.methods:
        from mattecli.inference.backend import load_backend
        from mattecli.inference.model import predict_alpha

        backend = load_backend(options.weights, device=options.device, precision=options.precision)
        exact = load_backend(options.weights, device=options.device, precision="fp32") if options.rounding else None
        print(f"ours: {backend.checkpoint.name} in {backend.precision} on {backend.device}", file=sys.stderr)

        def ours(photo: NDArray[Any], trimap: Gray) -> Gray:
            alpha = predict_alpha(photo, trimap, backend)
            if exact is not None:
                change = np.abs(alpha - fp32(photo, trimap))
                rounding.append(change[(trimap > 0) & (trimap < 255)])
            return quantise(alpha)

        def fp32(photo: NDArray[Any], trimap: Gray) -> NDArray[np.float32]:
            if not kept or kept[0] is not trimap:
                kept[:] = trimap, predict_alpha(photo, trimap, exact)
            return kept[1]

        kept: list[Any] = []
        methods[OURS] = ours
        if exact is not None:
            methods["ours, fp32"] = lambda photo, trimap: quantise(fp32(photo, trimap))
    for name in options.methods:
        if name != OURS:
            methods[name] = _peer(name, options.cache)
    return methods


def _peer(name: str, cache: Path | None) -> Method:
    """A method of pymatting, its results kept in `cache` by the hash of what goes in."""
    import pymatting

    estimate = {CLOSED_FORM: pymatting.estimate_alpha_cf, KNN: pymatting.estimate_alpha_knn}[name]

    def run(photo: NDArray[Any], trimap: Gray) -> Gray:
        full = np.iinfo(photo.dtype).max if photo.dtype.kind == "u" else 1
        facts = f"{name} {pymatting.__version__} {photo.shape} {photo.dtype}".encode()
        key = hashlib.sha256(facts + photo.tobytes() + trimap.tobytes()).hexdigest()
        kept = cache / f"{name}-{key[:32]}.png" if cache else None
        if kept and kept.exists():
            return quantise(read_alpha(kept))
        with contextlib.redirect_stdout(sys.stderr):  # pymatting prints warnings, and stdout is for the tables
            alpha = quantise(estimate(photo.astype(np.float64) / full, trimap.astype(np.float64) / 255))
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_image(kept, Image(alpha), overwrite=True)
        return alpha

    return run


def _run(case: Case, methods: dict[str, Method], pictures: Path | None) -> dict[str, Scores]:
    assert case.photo is not None
    photo, truth = read_image(case.photo).pixels, quantise(read_alpha(case.truth))
    trimap = read_trimap(case.trimap)
    alphas, scores = {}, {}
    for name, method in methods.items():
        start = time.perf_counter()
        alphas[name] = method(photo, trimap)
        seconds = time.perf_counter() - start
        scores[name] = score(alphas[name], truth, trimap)
        place = f"{case.trimap.parent.name}/{case.name}"
        print(f"{place} {name}: SAD {scores[name].sad:.3f} ({seconds:.1f} s)", file=sys.stderr)
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        shown = {"photo": to_depth(photo, 8), "trimap": trimap, **alphas, "truth": truth}
        write_image(pictures / f"{case.name}.png", Image(_side_by_side(shown)), overwrite=True)
    return scores


def _side_by_side(shown: dict[str, NDArray[Any]]) -> NDArray[np.uint8]:
    panels = []
    for caption, pixels in shown.items():
        colour = pixels if pixels.ndim == 3 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
        panel = cv2.copyMakeBorder(colour, 34, 8, 4, 4, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        panels.append(cv2.putText(panel, caption, (6, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 1, cv2.LINE_AA))
    return np.hstack(panels).astype(np.uint8, copy=False)


def mean(scores: dict[str, Scores]) -> Scores:
    columns = zip(*map(astuple, scores.values()), strict=True)
    return Scores(*(math.fsum(column) / len(scores) for column in columns))


def tables(results: Results) -> str:
    """Markdown: the means with their ratios to closed-form, then every picture."""
    lines = ["| trimaps | method | SAD | MSE | Grad | Conn | SAD ÷ closed-form | MSE ÷ closed-form |"]
    lines.append("|---|---|--:|--:|--:|--:|--:|--:|")
    for trimaps, by_method in results.items():
        peer = mean(by_method[CLOSED_FORM]) if CLOSED_FORM in by_method else None
        for method, scores in by_method.items():
            m = mean(scores)
            ratios = f"{m.sad / peer.sad:.2f} | {m.mse / peer.mse:.2f}" if peer else "– | –"
            lines.append(
                f"| {trimaps} | {method} | {m.sad:.2f} | {m.mse:.4f} | {m.grad:.2f} | {m.conn:.2f} | {ratios} |"
            )
    for trimaps, by_method in results.items():
        lines += ["", f"| {trimaps} | " + " | ".join(f"{method} SAD | MSE" for method in by_method) + " |"]
        lines.append("|---|" + "--:|--:|" * len(by_method))
        for name in next(iter(by_method.values())):
            cells = " | ".join(f"{scores[name].sad:.2f} | {scores[name].mse:.4f}" for scores in by_method.values())
            lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def _as_json(results: Results) -> dict[str, Any]:
    return {
        trimaps: {
            method: {
                "mean": asdict(mean(scores)),
                "images": [{"name": name, **asdict(one)} for name, one in scores.items()],
            }
            for method, scores in by_method.items()
        }
        for trimaps, by_method in results.items()
    }


if __name__ == "__main__":
    prepare_process()
    main()
