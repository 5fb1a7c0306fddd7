"""How well and how fast foreground colours are estimated, on composites whose true foreground is known.

    python benchmarks/foreground.py [--photos DIR --alphas DIR] [--weights]

Some scenes are drawn: strands, soft blobs and gauze over contrasting grounds. With `--photos` and `--alphas` there are
others, where photos serve as foreground and background, and true alphas join them. All are mixed in display values, and
again in light; an estimator gets the values of the mixture. Every image is rounded to 8 bits, as a photo is.
`--weights` compares the settings of mattecli's own estimator instead of estimators. Prints markdown
tables; what was decided from them is in foreground.md.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing import foreground as solver
from mattecli.compositing.composite import fit_background
from mattecli.imaging.colour import decode_srgb, encode_srgb
from mattecli.imaging.read import read_alpha, read_image
from mattecli.system.memory import peak_bytes
from mattecli.system.process import prepare_process

Floats = NDArray[np.float32]
Estimator = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class Scene:
    """A composite and what it was made of; `rough` is its alpha with errors as a network makes them."""

    foreground: Floats
    alpha: Floats
    image: Floats
    rough: Floats


# --- scenes -----------------------------------------------------------------------------------------------------------


def noise(rng: np.random.Generator, height: int, width: int, scale: int, channels: int) -> Floats:
    """Smooth noise of unit deviation whose spots are `scale` pixels wide."""
    small = rng.normal(size=(height // scale + 2, width // scale + 2, channels)).astype(np.float32)
    large: Floats = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return large.reshape(height, width, channels)


def colours(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Colours that vary as those of things do: a tint, patches, and texture."""
    tint = rng.uniform(0.15, 0.85, 3).astype(np.float32)
    patches = 0.12 * noise(rng, height, width, int(rng.integers(40, 120)), 3)
    texture = rng.uniform(0.01, 0.08) * noise(rng, height, width, int(rng.integers(2, 6)), 1)
    mixed: Floats = np.clip(tint + patches + texture, 0, 1).astype(np.float32)
    return mixed


def strands(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A head of hair: a disc with curved strands around it, drawn at four times the size."""
    large = np.zeros((4 * height, 4 * width), np.uint8)
    centre, radius = np.array([2 * width, 2 * height]), 1.0 * min(height, width)
    cv2.circle(large, tuple(int(c) for c in centre), int(radius), 255, -1, cv2.LINE_AA)
    for angle in rng.uniform(0, 2 * np.pi, 900):
        steps = np.linspace(0.9, rng.uniform(1.1, 1.8), 12)
        turn = angle + rng.normal(0, 0.25) * (steps - 0.9) ** 2
        points = centre + radius * steps[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
        cv2.polylines(large, [points.astype(np.int32)], False, 255, int(rng.integers(1, 6)), cv2.LINE_AA)
    alpha: Floats = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)
    return alpha


def blobs(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Soft edges of differing width, as of things out of focus."""
    field = noise(rng, height, width, 90, 1)[..., 0]
    softness = 0.05 + 0.6 * (0.5 + 0.5 * np.tanh(noise(rng, height, width, 150, 1)[..., 0]))
    alpha: Floats = np.clip(0.5 + field / softness, 0, 1)
    return alpha


def gauze(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Half-transparent cloth with folds and threads, and holes in it."""
    cloth = 0.55 + 0.2 * noise(rng, height, width, 60, 1)[..., 0] + 0.08 * noise(rng, height, width, 3, 1)[..., 0]
    holes = np.clip(0.5 + 3 * (noise(rng, height, width, 100, 1)[..., 0] + 0.6), 0, 1)
    alpha: Floats = np.clip(cloth * holes, 0, 1)
    return alpha


def rough(rng: np.random.Generator, alpha: Floats) -> Floats:
    """An alpha that is off by some 0.05 where it is soft, in spots eight pixels wide; known pixels stay."""
    height, width = alpha.shape
    error = 0.28 * noise(rng, height, width, 8, 1)[..., 0] * alpha * (1 - alpha)
    rounded: Floats = np.rint(np.clip(alpha + error, 0, 1) * 255) / np.float32(255)
    return rounded


def scene(rng: np.random.Generator, foreground: Floats, background: Floats, alpha: Floats, *, light: bool) -> Scene:
    """The composite of all three, with 8 bits, in display values; `light` mixes in light."""
    share = alpha[..., None]
    layers = [decode_srgb(layer) if light else layer for layer in (foreground, background)]
    mixed = share * layers[0] + (1 - share) * layers[1]
    image = np.rint((encode_srgb(mixed) if light else mixed) * 255) / 255
    return Scene(foreground, alpha, image.astype(np.float32), rough(rng, alpha))


def drawn_scenes(size: tuple[int, int] = (480, 640), *, light: bool = False) -> list[Scene]:
    """Three of each kind of alpha."""
    rng = np.random.default_rng(1)
    kinds = (strands, blobs, gauze)
    return [
        scene(rng, colours(rng, *size), colours(rng, *size), kind(rng, *size), light=light)
        for kind in kinds
        for _ in range(3)
    ]


def photo_scenes(photos: Path, alphas: Path, *, light: bool) -> list[Scene]:
    """Each alpha with two photos drawn by lot, which are brought to its size."""
    rng = np.random.default_rng(1)
    files = sorted(path for path in photos.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    scenes = []
    for path in sorted(alphas.glob("*.png")):
        alpha = read_alpha(path)
        pair = [read_image(files[index]).pixels for index in rng.choice(len(files), 2, replace=False)]
        fitted = [fit_background(picture, alpha.shape[1], alpha.shape[0]) / 255 for picture in pair]
        scenes.append(scene(rng, fitted[0].astype(np.float32), fitted[1].astype(np.float32), alpha, light=light))
    return scenes


# --- estimators -------------------------------------------------------------------------------------------------------


def photo_itself(image: Floats, alpha: Floats) -> Floats:
    """F = I."""
    return image


def fuse(image: Floats, foreground: Floats, background: Floats, alpha: Floats, width: int) -> tuple[Floats, Floats]:
    """One pass of Forte, "Approximate Fast Foreground Colour Estimation" (ICIP 2021)."""
    share, window = alpha[..., None], (width, width)
    blurred = cv2.blur(alpha, window)[..., None]
    front = cv2.blur(foreground * share, window) / (blurred + 1e-5)
    back = cv2.blur(background * (1 - share), window) / (1 - blurred + 1e-5)
    return np.clip(front + share * (image - share * front - (1 - share) * back), 0, 1), back


def blur_fusion(image: Floats, alpha: Floats) -> Floats:
    """That paper's second method: passes of 90 and of 6 pixels."""
    foreground, background = fuse(image, image, image, alpha, 90)
    return fuse(image, foreground, background, alpha, 6)[0]


def pymatting(image: Floats, alpha: Floats, **settings: Any) -> Floats:
    """Germer et al. as PyMatting has it."""
    from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml

    result: Floats = estimate_foreground_ml(image, alpha, **settings)
    return result


ESTIMATORS: dict[str, tuple[Estimator, str]] = {
    "F = I": (photo_itself, "numpy"),
    "blur fusion, two passes": (blur_fusion, "cv2"),
    "PyMatting, multi-level": (pymatting, "pymatting"),
    "PyMatting, gradient_weight=0.1": (lambda i, a: pymatting(i, a, gradient_weight=0.1), "pymatting"),
    "mattecli": (lambda i, a: solver.estimate_foreground(i, a, linear=False), "mattecli.compositing.foreground"),
}


# --- measures ---------------------------------------------------------------------------------------------------------


def errors(estimate: Estimator, scenes: list[Scene], *, light: bool) -> NDArray[np.float64]:
    """Per scene: |F̂−F|·100, (F̂−F)²·1000, |α(F̂−F)|·100 over 0 < α < 1; then |α̂F̂−αF| with a rough alpha, ·100.

    The third is the error of a composite over any new background, the fourth that of one over black.
    """
    if light:
        in_values = estimate

        def estimate(image: Floats, alpha: Floats) -> Floats:
            return encode_srgb(in_values(decode_srgb(image), alpha).clip(0, 1))

    rows = []
    for s in scenes:
        soft = (s.alpha > 0) & (s.alpha < 1)
        share = s.alpha[soft][:, None]
        off = estimate(s.image, s.alpha)[soft] - s.foreground[soft]
        roughly = estimate(s.image, s.rough)[soft] * s.rough[soft][:, None] - s.foreground[soft] * share
        rows.append(
            (
                100 * np.abs(off).mean(),
                1000 * (off**2).mean(),
                100 * np.abs(off * share).mean(),
                np.abs(roughly).mean() * 100,
            )
        )
    means: NDArray[np.float64] = np.mean(rows, axis=0, dtype=np.float64)
    return means


def cost(name: str) -> tuple[float, float]:
    """Seconds a megapixel and peak bytes a pixel, result included, on 12 megapixels in a process of its own."""
    answer = subprocess.run([sys.executable, __file__, "--cost-of", name], capture_output=True, text=True, check=True)
    seconds, bytes_ = answer.stdout.split()
    return float(seconds), float(bytes_)


def measure_cost(name: str) -> None:
    """Print what `cost` reads."""
    estimate = ESTIMATORS[name][0]
    tile = drawn_scenes((300, 400))[0]
    estimate(tile.image, tile.alpha)  # compiles, fills caches
    image = np.empty((3000, 4000, 3), np.float32)
    alpha = np.empty((3000, 4000), np.float32)
    for top in range(0, 3000, 300):
        for left in range(0, 4000, 400):
            image[top : top + 300, left : left + 400] = tile.image
            alpha[top : top + 300, left : left + 400] = tile.alpha
    before, started = peak_bytes(), time.perf_counter()
    estimate(image, alpha)
    print((time.perf_counter() - started) / 12, (peak_bytes() - before) / 12e6)


def start_up(module: str, **environment: str) -> float:
    """Seconds of `python -c "import …"`, the median of three."""
    times = []
    for _ in range(1 if environment else 3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True, env=os.environ | environment)
        times.append(time.perf_counter() - started)
    return float(np.median(times))


# --- settings of mattecli's own ---------------------------------------------------------------------------------------


@contextmanager
def settings(**values: Any) -> Iterator[None]:
    """Other constants in mattecli.compositing.foreground for a while."""
    old = {name: getattr(solver, name) for name in values}
    try:
        for name, value in values.items():
            setattr(solver, name, value)
        yield
    finally:
        for name, value in old.items():
            setattr(solver, name, value)


def shrunk(planes: Floats) -> Floats:
    """Levels as in the paper: image and alpha are shrunk, and the data term is computed from what is left of them."""
    result = HALVED(planes)
    result[1] = result[0] ** 2
    result[5:] = result[0] * result[2:5]
    return result


HALVED = solver._halved
SETTINGS: dict[str, dict[str, Any]] = {
    "as it is: ε = 0.001, ω = 0.1, 4 steps, 1 at full size": {},
    "image and alpha shrunk, not the data term": {"_halved": shrunk},
    "ω = 1": {"_SMOOTH_AT_EDGES": 1.0},
    "ω = 0.3": {"_SMOOTH_AT_EDGES": 0.3},
    "ω = 0.03": {"_SMOOTH_AT_EDGES": 0.03},
    "ε = 0.00001": {"_SMOOTH": 1e-5},
    "ε = 0.01": {"_SMOOTH": 1e-2},
    "2 steps": {"_STEPS_BELOW": 2},
    "8 steps": {"_STEPS_BELOW": 8},
    "2 steps at full size": {"_STEPS_AT_TOP": 2},
    "4 steps at full size": {"_STEPS_AT_TOP": 4},
}


def compare_settings(scenes: list[Scene], *, light: bool) -> None:
    """Print the table of settings."""
    print("| setting | \\|F̂−F\\| | (F̂−F)² | composite | with rough alpha | time |\n|---|---|---|---|---|---|")
    base = 0.0
    for name, values in SETTINGS.items():
        with settings(**values):
            started = time.process_time()
            figures = errors(partial(solver.estimate_foreground, linear=False), scenes, light=light)
            seconds = time.process_time() - started
        base = base or seconds
        print(f"| {name} | " + " | ".join(f"{figure:.2f}" for figure in figures) + f" | × {seconds / base:.1f} |")


def compare_quality(scenes: list[Scene], *, light: bool) -> None:
    """Print the table of errors."""
    print("| estimator | \\|F̂−F\\| | (F̂−F)² | composite | with rough alpha |\n|---|---|---|---|---|")
    rows = {name: errors(estimate, scenes, light=light) for name, (estimate, _) in ESTIMATORS.items()}
    rows["mattecli, as if mixed the other way"] = errors(
        partial(solver.estimate_foreground, linear=not light), scenes, light=False
    )
    for name, figures in rows.items():
        cells = [f"{figure:.2f} (× {figure / own:.1f})" for figure, own in zip(figures, rows["mattecli"], strict=True)]
        print(f"| {name} | " + " | ".join(cells) + " |")


def compare_costs() -> None:
    """Print the table of time and memory."""
    print("| estimator | s/Mpx | peak bytes/px | import, s | first import, s |\n|---|---|---|---|---|")
    rows = {name: cost(name) for name in ESTIMATORS}
    own_seconds, own_bytes = rows["mattecli"]
    for name, (seconds, bytes_) in rows.items():
        module = ESTIMATORS[name][1]
        cells = [f"{seconds:.2f} (× {seconds / own_seconds:.1f})", f"{bytes_:.0f} (× {bytes_ / own_bytes:.1f})"]
        cells.append(f"{start_up(module):.2f}")
        with tempfile.TemporaryDirectory() as empty:  # what numba compiles is cached; here it is not yet
            cells.append(f"{start_up(module, NUMBA_CACHE_DIR=empty):.1f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--alphas", type=Path)
    parser.add_argument("--weights", action="store_true")
    parser.add_argument("--cost-of", choices=ESTIMATORS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.photos and not options.alphas:
        parser.error("--photos needs --alphas, the folder of their alphas")
    if options.cost_of:
        measure_cost(options.cost_of)
        return
    if not options.weights:
        compare_costs()  # first: a child process counts what its parent holds as its own peak
    compare = compare_settings if options.weights else compare_quality
    for light in (False, True):
        how = "light" if light else "display values"
        scenes = drawn_scenes(light=light)
        print(f"\n{len(scenes)} drawn scenes, mixed in {how}:\n")
        compare(scenes, light=light)
        if options.photos:
            scenes = photo_scenes(options.photos, options.alphas, light=light)
            print(f"\n{len(scenes)} scenes from photos, mixed in {how}:\n")
            compare(scenes, light=light)


if __name__ == "__main__":
    prepare_process()
    main()
