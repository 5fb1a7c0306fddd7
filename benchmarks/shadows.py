"""How exactly `--shadow keep` finds a photo's own shadow, on drawn products whose shadow is known.

    python benchmarks/shadows.py [--products 24] [--save DIR]

Each product stands on a near-white background that gets darker to its edges, with a contact shadow and a soft one that
are made in light. The photo is rounded to 8 bits, with noise, and every second one goes through JPEG. Printed are the
errors of T (the light that the shadow leaves) where the true shadow is, and how much of the rest becomes exactly white.
`--save` writes photo, kept shadow and composite of each, to look at.
"""

import argparse
import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from mattecli.compositing.finishing import Finishing, finish
from mattecli.compositing.outputs import make_output
from mattecli.imaging.colour import encode_srgb
from mattecli.imaging.image import Image

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Product:
    """A drawn photo, its true alpha, and the light that its shadow truly leaves."""

    photo: NDArray[np.uint8]
    alpha: Floats
    light: Floats


def draw(seed: int, *, height: int = 900, width: int = 1200) -> Product:
    """A product: a box, a ball, a mug with a handle or a pair of feet, on a background of its own brightness."""
    rng = np.random.default_rng(seed)
    alpha, foot = _shape(rng, seed % 4, height, width)
    light = _shadow(rng, alpha, foot)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    away = ((x / width - rng.uniform(0.35, 0.65)) ** 2 + (y / height - rng.uniform(0.3, 0.6)) ** 2) * rng.uniform(
        0, 0.5
    )
    tint = np.array([1, rng.uniform(0.98, 1.0), rng.uniform(0.95, 1.0)], np.float32)
    plate = (rng.uniform(0.72, 0.96) * (1 - away))[..., None] * tint
    colour = rng.uniform(0.03, 0.6, 3).astype(np.float32) * (0.6 + 0.4 * np.sin(y / 40))[..., None]
    mixed = alpha[..., None] * colour + (1 - alpha[..., None]) * light[..., None] * plate
    values = encode_srgb(mixed.astype(np.float32)) + rng.normal(0, 0.004, mixed.shape)
    photo = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    if seed % 2:
        file = io.BytesIO()
        PIL.Image.fromarray(photo).save(file, "JPEG", quality=92)
        photo = np.asarray(PIL.Image.open(file))
    return Product(photo, alpha, light)


def _shape(rng: np.random.Generator, kind: int, height: int, width: int) -> tuple[Floats, int]:
    """The alpha, and the row that the product stands on."""
    mask = np.zeros((4 * height, 4 * width), np.uint8)  # at four times the size, for soft edges
    middle, foot = int(width * rng.uniform(0.4, 0.6)), int(height * rng.uniform(0.7, 0.8))
    half, tall = int(width * rng.uniform(0.1, 0.18)), int(height * rng.uniform(0.35, 0.5))
    if kind == 0:
        cv2.rectangle(mask, (4 * (middle - half), 4 * (foot - tall)), (4 * (middle + half), 4 * foot), 255, -1)
    elif kind == 1:
        cv2.circle(mask, (4 * middle, 4 * (foot - tall // 2)), 2 * tall, 255, -1)
    elif kind == 2:
        cv2.rectangle(mask, (4 * (middle - half), 4 * (foot - tall)), (4 * (middle + half), 4 * foot), 255, -1)
        cv2.ellipse(mask, (4 * (middle + half), 4 * (foot - tall // 2)), (2 * half, tall), 0, -90, 90, 255, 60)
    else:
        for side in (-1, 1):
            at = middle + side * half
            cv2.ellipse(mask, (4 * at, 4 * (foot - tall // 6)), (3 * half, 4 * tall // 6), 0, 0, 360, 255, -1)
        cv2.ellipse(mask, (4 * middle, 4 * (foot - tall // 2)), (5 * half, tall), 0, 180, 360, 255, 40 * 4)
    return (cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)).astype(np.float32), foot


def _shadow(rng: np.random.Generator, alpha: Floats, foot: int) -> Floats:
    """A contact shadow and a soft one to one side, with compact support, as light."""
    height, width = alpha.shape
    y = np.arange(height, dtype=np.float32)[:, None]
    ground = alpha * np.exp(-np.maximum(foot - y, 0) / 8)
    contact = cv2.GaussianBlur(ground, (61, 31), 9)
    lean = np.array([[1, 0, rng.uniform(-0.1, 0.1) * width], [0, 0.25, 0.75 * foot - 2]], np.float32)
    cast = cv2.GaussianBlur(cv2.warpAffine(alpha, lean, (width, height)), (181, 121), 28)
    shade = 1 - (1 - rng.uniform(0.3, 0.6) * np.clip(contact, 0, 1)) * (1 - rng.uniform(0.15, 0.4) * cast)
    return np.asarray(1 - np.where(shade < 0.002, 0, shade), np.float32)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=24)
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    print("| product | mean dT | 99 % of dT | within 0.02 | exactly white beyond |\n|---|---|---|---|---|")
    rows = []
    for seed in range(options.products):
        product = draw(seed)
        photo = Image(product.photo)
        finished = finish(photo, product.alpha, Finishing(shadow="keep"))
        white = make_output("composite", photo, product.alpha, background=(1, 1, 1), finished=finished)
        rows.append(_figures(product, finished.light, white.pixels))
        print(f"| {seed} | " + " | ".join(_shown(rows[-1])) + " |")
        if options.save:
            options.save.mkdir(parents=True, exist_ok=True)
            pair = np.hstack([product.photo, white.pixels])
            PIL.Image.fromarray(pair).save(options.save / f"{seed}.png")
    mean = np.mean(rows, axis=0)
    print("| mean | " + " | ".join(_shown(mean)) + " |")
    worst = np.array([max(row[0] for row in rows), max(row[1] for row in rows), *np.min(rows, axis=0)[2:]])
    print("| worst | " + " | ".join(_shown(worst)) + " |")


def _figures(product: Product, found: Floats | None, white: NDArray[np.uint8]) -> NDArray[np.float64]:
    assert found is not None
    height, width = product.alpha.shape
    inner = np.zeros((height, width), bool)
    frame = int(0.025 * np.hypot(height, width))
    inner[frame:-frame, frame:-frame] = True  # the shadow fades out before the frame
    shadow = (product.light < 1) & (product.alpha == 0) & inner
    away = np.abs(found - product.light)[shadow]
    beyond = (product.light == 1) & (product.alpha == 0)
    exact = (white[beyond] == 255).all(axis=1)
    return np.array([away.mean(), np.quantile(away, 0.99), (away <= 0.02).mean(), exact.mean()])


def _shown(row: NDArray[np.float64]) -> list[str]:
    return [f"{row[0]:.4f}", f"{row[1]:.4f}", f"{100 * row[2]:.2f} %", f"{100 * row[3]:.3f} %"]


if __name__ == "__main__":
    main()
