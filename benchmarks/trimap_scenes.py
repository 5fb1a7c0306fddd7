"""Scenes with known alpha to tune and check trimaps on: rendered cut-outs over photographs.

    python benchmarks/trimap_scenes.py OUT --foregrounds DIR --photos DIR [--count 24] [--seed 1] [--kinds hair fur …]
        [--side PIXELS]
    python benchmarks/trimap_scenes.py OUT --photos DIR --side PIXELS --kinds long_hair …

OUT gets `image/`, `alpha/`, `trimap/` (tight) and `trimap2/` (loose), as `trimaps.py` and `quality.py` read them. A
cut-out is an RGBA file whose name has its kind, such as `render_hair_1001.webp`; `--side` brings its longer side to a
size. Without `--foregrounds` they are drawn at that size, as training draws foregrounds of these kinds. Half of the
scenes are mixed in linear light. Each gets a little blur or none, sensor noise, and JPEG's losses.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.composite import fit_background
from mattecli.imaging.image import Image
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_image
from mattecli.training.data.foregrounds import draw_parameters, make_foreground
from mattecli.training.data.random import Draw

SOFT = 4  # alphas within this of 0 and 255 count as certain, since renders end in a tail of single rays
GAMMA = 2.2  # near enough to sRGB's curve
TIGHT, LOOSE = 0.004, 0.015  # how far a trimap's unknown part reaches beyond soft pixels, in diagonals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--foregrounds", type=Path, help="folder of RGBA cut-outs (default: drawn ones)")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--kinds", nargs="+", default=["hair", "fur", "fringe", "feather", "grass", "plume"])
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--side", type=int, help="longer side of the cut-outs in pixels (default: as they are)")
    options = parser.parse_args()
    if options.foregrounds is None and options.side is None:
        parser.error("drawn cut-outs need a size; give --side, or --foregrounds")
    random = np.random.default_rng(options.seed)
    photos = sorted(options.photos.iterdir())
    for number in range(options.count):
        kind = options.kinds[number % len(options.kinds)]
        if options.foregrounds is None:
            layer = drawn(kind, options.side, Draw(options.seed, number), photos)
        else:
            names = sorted(options.foregrounds.glob(f"*_{kind}_*"))
            layer = read_image(names[random.integers(len(names))], keep_alpha=True).pixels
            layer = layer if options.side is None else resized(layer, options.side)
        photo = photos[random.integers(len(photos))]
        pixels, alpha = scene(layer, photo, random)
        name = f"{number:03d}_{kind}.png"
        soft = (alpha > SOFT) & (alpha < 255 - SOFT)
        pictures = {"image": pixels, "alpha": alpha}
        pictures |= {"trimap": trimap(alpha, soft, TIGHT), "trimap2": trimap(alpha, soft, LOOSE)}
        for folder, picture in pictures.items():
            (options.out / folder).mkdir(parents=True, exist_ok=True)
            write_image(options.out / folder / name, Image(picture), overwrite=True)


def drawn(kind: str, side: int, draw: Draw, photos: list[Path]) -> NDArray[np.uint8]:
    """A cut-out (side, side, 4) with textures of some of the photos."""
    lent = [read_image(photos[draw.integer(len(photos))]).pixels for _ in range(4)]
    found = make_foreground(kind, draw_parameters(kind, draw), side, photos=lent)
    return np.dstack([found.colour, found.alpha])


def scene(
    layer: NDArray[np.uint8], photo: Path, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A composite (H, W, 3) of a cut-out (H, W, 4), and its alpha (H, W)."""
    if random.random() < 0.5:
        layer = np.ascontiguousarray(layer[:, ::-1])
    height, width = layer.shape[:2]
    behind = fit_background(read_image(photo).pixels, width, height).astype(np.float32) / 255
    behind = cv2.GaussianBlur(behind, (0, 0), float(random.choice([0.01, 1.5, 4])))
    alpha = layer[..., 3:].astype(np.float32) / 255
    front = layer[..., :3].astype(np.float32) / 255
    if random.random() < 0.5:
        mixed = (front**GAMMA * alpha + behind**GAMMA * (1 - alpha)) ** (1 / GAMMA)
    else:
        mixed = front * alpha + behind * (1 - alpha)
    mixed = mixed + random.normal(0, random.uniform(0, 0.012), mixed.shape)
    pixels = np.round(np.clip(mixed, 0, 1) * 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(85, 98))]
    _, code = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)
    pixels = cv2.cvtColor(cv2.imdecode(code, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return np.asarray(pixels, np.uint8), np.ascontiguousarray(layer[..., 3])


def resized(layer: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Straight RGBA at another size: premultiplied, by area if smaller, by cubic interpolation if larger."""
    scale = side / max(layer.shape[:2])
    alpha = layer[..., 3:].astype(np.float32) / 255
    planes = np.dstack([layer[..., :3] * alpha, alpha])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    planes = cv2.resize(planes, None, fx=scale, fy=scale, interpolation=way)
    alpha = planes[..., 3:]  # cubic interpolation goes below 0 and above 1, and takes the colours along
    colours = np.where(alpha > 1 / 512, planes[..., :3] / np.maximum(alpha, 1 / 512), 0)
    return np.round(np.dstack([colours.clip(0, 255), 255 * alpha.clip(0, 1)])).astype(np.uint8)


def trimap(alpha: NDArray[np.uint8], soft: NDArray[np.bool_], reach: float) -> NDArray[np.uint8]:
    """Unknown within `reach` diagonals of a soft pixel or of the edge."""
    edge = cv2.morphologyEx((alpha > 127).view(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    far = cv2.distanceTransform((~(soft | edge)).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(far <= reach * np.hypot(*alpha.shape), 128, np.where(alpha > 127, 255, 0)).astype(np.uint8)


if __name__ == "__main__":
    main()
