"""Trimaps from green and blue screens, on composites whose alpha and colours are known.

    python benchmarks/screens.py FOREGROUNDS                  # the table of trials
    python benchmarks/screens.py FOREGROUNDS --show DIR       # and pictures of them
    python benchmarks/screens.py FOREGROUNDS --speed          # seconds at 1, 12 and 50 megapixels
    python benchmarks/screens.py FOREGROUNDS --refuse PHOTOS  # photos without a screen

FOREGROUNDS holds RGBA pictures with straight alpha, `render_*.webp` (or another `--pattern`). The limits were chosen on
every second of them (`--half tune`); the table is of the others.

A trial is a foreground F with its alpha α, on a screen made by code. All is computed in linear light:

- screen B: a paint's colour × a gain that varies slowly (0.55 to 1.25) and drifts in hue (±4 %) × wrinkles (±4 to 14 %,
  8 to 60 pixels) × the subject's shadow (its alpha, moved and blurred, takes 15 to 50 % of the light);
- spill: F' = F (1 + s e b) + 0.03 s e B̄, where B̄ is the screen's mean colour, b = B̄ / max B̄, s from 0 to 0.5, and
  e = 0.3 + 0.7 × (1 − α blurred by 15 pixels), which is strongest at the rim;
- in a quarter of the trials the subject is greenish (bluish): F is first multiplied by 0.75, but not in the screen's
  channel;
- photo = α F' + (1 − α) B; in a quarter of the trials the screen ends at a floor or a wall, which is α = 0 as well;
- noise: Gaussian, of variance a I + 2e-6 with a from 3e-5 to 4e-4; then sRGB, 8 bits, and JPEG with 4:2:0 chroma, of
  quality 80 to 95.

The columns: "right" is the share of certain pixels that are right: alpha > 0.95 in foreground, < 0.05 in background;
"too_much" is the share of the picture that is unknown, and farther than 3 pixels from any alpha between 0.05 and 0.95;
"solid" is the share of alpha ≥ 0.95 that is certain; "beyond" is what of the floor or wall is taken for foreground.
"× 0.5" and "× 2" say how many labels another exposure changes: the photo at half its light in 16 bits, where nothing is
cut off, against a quarter and the whole. "cut off" is the 8-bit photo against itself with twice the light.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.colour import decode_srgb, encode_srgb
from mattecli.trimaps.keying import key_trimap

Floats = NDArray[np.float32]
PAINTS = {
    "green": ((0, 177, 64), (40, 160, 70), (80, 180, 75), (25, 115, 50)),
    "blue": ((0, 71, 187), (35, 80, 175), (20, 50, 130)),
}


@dataclass(frozen=True)
class Trial:
    """A photo, uint8 (H, W, 3), its true alpha (H, W), where the screen does not reach (H, W), and its traits."""

    name: str
    photo: NDArray[np.uint8]
    alpha: Floats
    beyond: NDArray[np.bool_]
    screen: str
    tinted: bool


def waves(rng: np.random.Generator, height: int, width: int, scale: float) -> Floats:
    """Smooth noise (H, W) of mean 0 and deviation 1, whose features are `scale` pixels wide."""
    rows, columns = max(2, round(height / scale) + 2), max(2, round(width / scale) + 2)
    field = cv2.resize(
        rng.normal(size=(rows, columns)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    return np.asarray((field - field.mean()) / max(1e-6, float(field.std())), np.float32)


def wrinkles(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Folds of cloth: smooth noise stretched along a direction (H, W)."""
    total = np.zeros((height, width), np.float32)
    for _ in range(3):
        scale = float(rng.uniform(8, 60))
        size = 2 * max(height, width)
        folds = waves(rng, size, max(2, round(size / 6)), scale)
        folds = np.asarray(cv2.resize(folds[:, : max(2, size // 6)], (size, size)))
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.uniform(-60, 60)), 1)
        turn[:, 2] += (width - size) / 2, (height - size) / 2
        total += cv2.warpAffine(folds, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    return total / np.float32(max(1e-6, float(total.std())))


def screen(rng: np.random.Generator, paint: tuple[int, int, int], alpha: Floats) -> Floats:
    """The light of a screen (H, W, 3), with its gain, wrinkles and the subject's shadow."""
    height, width = alpha.shape
    colour = decode_srgb(np.array(paint, np.float32) / 255)
    gain = np.clip(0.9 + 0.16 * waves(rng, height, width, max(height, width) * rng.uniform(0.5, 1)), 0.55, 1.25)
    drift = np.stack(
        [1 + 0.02 * np.clip(waves(rng, height, width, max(height, width)), -2, 2) for _ in range(3)], axis=2
    )
    folds = 1 + rng.uniform(0.04, 0.14) / 2 * np.clip(wrinkles(rng, height, width), -2, 2)
    shift = np.array([[1, 0, rng.uniform(-60, 60)], [0, 1, rng.uniform(5, 50)]], np.float32)
    shadow = cv2.GaussianBlur(cv2.warpAffine(alpha, shift, (width, height)), (0, 0), rng.uniform(8, 30))
    light = gain * folds * (1 - rng.uniform(0.15, 0.5) * shadow)
    return np.asarray(colour * drift * light[..., None], np.float32)


def beyond_screen(rng: np.random.Generator, height: int, width: int) -> tuple[NDArray[np.bool_], Floats]:
    """Where a floor or a wall takes the screen's place, and its light (H, W, 3)."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    lean = rng.uniform(-0.04, 0.04)
    place = rng.choice(["floor", "left", "right"])
    if place == "floor":
        outside = y > height * rng.uniform(0.85, 0.93) + lean * x
    elif place == "left":
        outside = x < width * rng.uniform(0.05, 0.12) + lean * y
    else:
        outside = x > width * rng.uniform(0.88, 0.95) + lean * y
    tone = rng.uniform(0.02, 0.4) * np.array([1, rng.uniform(0.8, 1), rng.uniform(0.6, 1)], np.float32)
    texture = 1 + 0.15 * np.clip(waves(rng, height, width, 6), -2, 2)
    return outside, np.asarray(tone * texture[..., None], np.float32)


def padded(rng: np.random.Generator, rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The foreground with room at those sides that it does not touch; at all sides if that leaves too little screen."""
    height = len(rgba)
    sides = (rgba[0], rgba[-1], rgba[:, 0], rgba[:, -1])
    touched = [bool((side[:, 3] > 5).mean() > 0.02) for side in sides]
    if all(touched[side] for side in (0, 2, 3)) or (rgba[..., 3] < 10).mean() < 0.1:
        touched = [False] * 4
    top, bottom, left, right = (0 if hit else round(float(rng.uniform(0.15, 0.4)) * height) for hit in touched)
    return np.pad(rgba, ((top, bottom), (left, right), (0, 0)))


def make_trial(path: Path, seed: int, *, enlarge: float = 1) -> Trial:
    """The trial of a foreground, or of an enlarged one; the same seed gives the same trial."""
    rng = np.random.default_rng(seed)
    rgba = np.asarray(PIL.Image.open(path).convert("RGBA"))
    if enlarge != 1:
        rgba = np.asarray(cv2.resize(rgba, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_LINEAR))
    rgba = padded(rng, rgba)
    alpha = np.ascontiguousarray(rgba[..., 3].astype(np.float32) / 255)
    light = decode_srgb(rgba[..., :3].astype(np.float32) / 255)
    mean = (light * alpha[..., None]).sum(axis=(0, 1)) / alpha.sum()
    kind = "blue" if mean[1] > 1.15 * max(mean[0], mean[2]) or rng.random() < 0.3 else "green"
    if mean[2] > 1.15 * max(mean[0], mean[1]):
        kind = "green"
    channel = {"green": 1, "blue": 2}[kind]
    tinted = bool(rng.random() < 0.25)
    if tinted:
        light = light * np.where(np.arange(3) == channel, 1, 0.75).astype(np.float32)
    paints = PAINTS[kind]
    back = screen(rng, paints[int(rng.integers(len(paints)))], alpha)
    middle = back.mean(axis=(0, 1))
    spill = rng.uniform(0, 0.5)
    rim = (0.3 + 0.7 * (1 - cv2.GaussianBlur(alpha, (0, 0), 15)))[..., None]
    front = light * (1 + spill * rim * middle / middle.max()) + 0.03 * spill * rim * middle
    beyond = np.zeros(alpha.shape, np.bool_)
    if rng.random() < 0.25:
        beyond, wall = beyond_screen(rng, *alpha.shape)
        back = np.where(beyond[..., None], wall, back)
    photo = alpha[..., None] * front + (1 - alpha[..., None]) * back
    amount, quality = rng.uniform(3e-5, 4e-4), int(rng.integers(80, 96))
    noise = rng.normal(size=photo.shape).astype(np.float32) * np.sqrt(amount * np.clip(photo, 0, 1) + 2e-6)
    eight = np.rint(encode_srgb(np.clip(photo + noise, 0, 1).astype(np.float32)) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(eight).save(buffer, "JPEG", quality=quality, subsampling=2)
    decoded = np.asarray(PIL.Image.open(buffer))
    return Trial(path.stem, decoded, alpha, beyond, kind, tinted)


def brighter(photo: NDArray[np.uint8], exposure: float, bits: int) -> NDArray[Any]:
    """The photo with its light multiplied, as a raw converter's exposure does; what exceeds white is cut off."""
    light = decode_srgb(photo.astype(np.float32) / 255) * np.float32(exposure)
    values = encode_srgb(np.clip(light, 0, 1).astype(np.float32)) * (2**bits - 1)
    return np.rint(values).astype({8: np.uint8, 16: np.uint16}[bits])


def measure(trial: Trial, trimap: NDArray[np.uint8]) -> dict[str, float]:
    """The shares of the picture and of the certain pixels that the goals name."""
    foreground, background = trimap == 255, trimap == 0
    certain = foreground | background
    wrong_foreground = foreground & (trial.alpha <= 0.95)
    wrong_background = background & (trial.alpha >= 0.05)
    soft = ((trial.alpha > 0.05) & (trial.alpha < 0.95)).astype(np.uint8)
    grown = cv2.dilate(soft, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))) > 0
    too_much = ~certain & ~grown & ~trial.beyond
    solid = trial.alpha >= 0.95
    return {
        "right": 1 - float((wrong_foreground | wrong_background).sum()) / max(1, int(certain.sum())),
        "wrong_fg": float(wrong_foreground.mean()),
        "wrong_bg": float(wrong_background.mean()),
        "unknown": float((~certain).mean()),
        "too_much": float(too_much.mean()),
        "solid": float((foreground & solid).sum()) / max(1, int(solid.sum())),
        "beyond": float((foreground & trial.beyond).mean()),
    }


def show(trial: Trial, trimap: NDArray[np.uint8], folder: Path) -> None:
    """Photo, true alpha and trimap side by side; red is certain and wrong."""
    alpha = np.repeat(np.rint(trial.alpha * 255).astype(np.uint8)[..., None], 3, axis=2)
    drawn = np.repeat(trimap[..., None], 3, axis=2)
    drawn[((trimap == 255) & (trial.alpha <= 0.95)) | ((trimap == 0) & (trial.alpha >= 0.05))] = (255, 0, 0)
    folder.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.hstack([trial.photo, alpha, drawn])).save(folder / f"{trial.name}.png")


def table(paths: list[Path], folder: Path | None, enlarge: float) -> None:
    """Measure all trials and print the table."""
    rows: list[tuple[Trial, dict[str, float]]] = []
    for seed, path in paths_with_seeds(paths):
        trial = make_trial(path, seed, enlarge=enlarge)
        try:
            trimap, _ = key_trimap(trial.photo)
        except InputError as error:
            print(f"{trial.name} ({trial.screen}): {error}")
            continue
        figures = measure(trial, trimap)
        darker = key_trimap(brighter(trial.photo, 0.5, 16))[0]
        figures["× 0.5"] = float((key_trimap(brighter(trial.photo, 0.25, 16))[0] != darker).mean())
        figures["× 2"] = float((key_trimap(brighter(trial.photo, 1, 16))[0] != darker).mean())
        figures["× 2, cut off"] = float((key_trimap(brighter(trial.photo, 2, 8))[0] != trimap).mean())
        rows.append((trial, figures))
        if folder is not None:
            show(trial, trimap, folder)
    print_rows(rows)


def print_rows(rows: list[tuple[Trial, dict[str, float]]]) -> None:
    """Print each trial, worst first, then the means and how many reach the goals."""
    names = list(rows[0][1])
    print("| trial | screen | " + " | ".join(names) + " |")
    print("|---|---|" + "---:|" * len(names))
    for trial, figures in sorted(rows, key=lambda row: row[1]["right"]):
        traits = trial.screen + (", tinted" if trial.tinted else "") + (", ends" if trial.beyond.any() else "")
        print(f"| {trial.name} | {traits} | " + " | ".join(f"{figures[name]:.4f}" for name in names) + " |")
    for label, summary in (("mean", statistics.mean), ("median", statistics.median)):
        print(f"| {label} | | " + " | ".join(f"{summary([f[name] for _, f in rows]):.4f}" for name in names) + " |")
    count = len(rows)
    print(f"right ≥ 0.999 on {sum(f['right'] >= 0.999 for _, f in rows)} of {count}")
    print(f"too much unknown ≤ 10 % on {sum(f['too_much'] <= 0.1 for _, f in rows)} of {count}")
    for exposure in ("× 0.5", "× 2", "× 2, cut off"):
        steady = sum(figures[exposure] < 0.005 for _, figures in rows)
        print(f"exposure {exposure}: fewer than 0.5 % of the labels change on {steady} of {count}")


def paths_with_seeds(paths: list[Path]) -> list[tuple[int, Path]]:
    """Each foreground with the seed of its trial, which depends on its name alone."""
    return [(int("".join(filter(str.isdigit, path.stem)) or 0), path) for path in paths]


def speed(path: Path) -> None:
    """Seconds for one trial enlarged to 1, 12 and 50 megapixels: the median of ten, after one run to warm up."""
    for megapixels in (1, 12, 50):
        side = round((megapixels * 1e6) ** 0.5)
        photo = np.asarray(cv2.resize(make_trial(path, 1).photo, (side, side), interpolation=cv2.INTER_CUBIC))
        key_trimap(photo)
        wall, processor = [], []
        for _ in range(10):
            started, worked = time.perf_counter(), time.process_time()
            key_trimap(photo)
            wall.append(time.perf_counter() - started)
            processor.append(time.process_time() - worked)
        print(
            f"{megapixels} megapixels: {statistics.median(wall):.2f} s, of the processors "
            f"{statistics.median(processor):.2f} s, on {cv2.getNumThreads()} threads"
        )


def refuse(folder: Path) -> None:
    """Photos without a screen: how many are refused, and what the others are taken for."""
    refused, taken = 0, []
    for path in sorted(folder.glob("*.jpg")):
        try:
            _, findings = key_trimap(np.asarray(PIL.Image.open(path).convert("RGB")), name=path.name)
            taken.append((path.name, findings))
        except InputError:
            refused += 1
    print(f"{refused} of {refused + len(taken)} photos refused")
    for name, findings in taken:
        print(name, findings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("foregrounds", type=Path)
    parser.add_argument("--pattern", default="render_*.webp")
    parser.add_argument("--half", choices=["tune", "report", "all"], default="report")
    parser.add_argument("--show", type=Path)
    parser.add_argument("--enlarge", type=float, default=1)
    parser.add_argument("--every", type=int, default=1, help="only every n-th trial")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--refuse", type=Path)
    options = parser.parse_args()
    paths: list[Any] = sorted(options.foregrounds.glob(options.pattern))
    part = {"tune": paths[::2], "report": paths[1::2], "all": paths}[options.half]
    if options.speed:
        speed(part[0])
    elif options.refuse is not None:
        refuse(options.refuse)
    else:
        table(part[:: options.every], options.show, options.enlarge)


if __name__ == "__main__":
    main()
