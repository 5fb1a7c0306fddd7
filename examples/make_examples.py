"""Make the examples: what a user would draw, the trimaps that `matte` makes of it, and the results.

    python examples/make_examples.py                           # all but the photos
    python examples/make_examples.py --render plume_1004.webp  # the photo of the dandelions as well

- `portrait.jpg` and `dog.jpg` come from gianni-rosato/gb82-image-set (CC0).
- `dandelions.jpg` is ours: plumes path-traced with Blender's Cycles, mixed in light over an uneven blue screen with a
  little noise.

The mask of the portrait is a lasso around it, of 55 clicks. The dog has eight strokes. The dandelions need
nothing but their screen.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli import Image, read_image, write_image
from mattecli.imaging.colour.curves import SRGB_CURVE

HERE = Path(__file__).parent
SIDE = 576  # of each photo
SCREEN = (45, 85, 190)

# fmt: off
PORTRAIT = [
    (95, 575), (115, 515), (128, 470), (139, 408), (98, 397), (86, 389), (71, 374), (68, 340), (63, 322), (70, 308),
    (84, 302), (104, 222), (152, 226), (158, 212), (169, 214), (178, 232), (195, 243), (188, 290), (205, 325),
    (216, 360), (212, 392), (203, 440), (215, 420), (235, 385), (244, 355), (238, 350), (243, 325), (250, 302),
    (256, 290), (240, 268), (262, 260), (274, 245), (268, 215), (288, 192), (292, 165), (300, 120), (312, 92),
    (330, 62), (352, 42), (375, 32), (400, 26), (430, 22), (460, 27), (490, 44), (515, 75), (536, 110), (551, 155),
    (563, 195), (569, 250), (575, 290), (575, 575),
]
GAP = [(250, 575), (272, 548), (279, 545), (282, 575)]  # between the sleeve and the body
DOG = [
    [(240, 130), (330, 110), (390, 150), (450, 180), (470, 240), (470, 350), (550, 330)],
    [(150, 300), (185, 325), (260, 250), (340, 230)],
    [(190, 410), (230, 400), (300, 350), (360, 330), (420, 400), (520, 520)],
    [(240, 480), (250, 550)],
    [(180, 200), (170, 160), (180, 150)],
]
GARDEN = [
    [(20, 40), (120, 60), (300, 30), (450, 60), (550, 150), (555, 205)],
    [(60, 90), (70, 250), (60, 420), (90, 550)],
    [(110, 330), (130, 430), (140, 540)],
]
# fmt: on
# What `matte trimap` is given: the same works on `matte predict`.
WAYS = {
    "portrait": ["portrait_mask.png", "--photo", "portrait.jpg"],
    "dog": ["dog.jpg", "--scribbles", "dog_strokes.png"],
    "dandelions": ["dandelions.jpg", "--key", "auto"],
}
COLOURS = {"dandelions": ["--despill", "auto"]}


def main() -> None:
    """Write all files of the examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--render", type=Path, metavar="FILE", help="straight RGBA of the dandelions")
    render = parser.parse_args().render
    if render is not None:
        write_image(
            HERE / "dandelions.jpg", Image(over_screen(read_image(render, keep_alpha=True).pixels)), overwrite=True
        )
    write_image(HERE / "portrait_mask.png", Image(mask()), overwrite=True)
    write_image(HERE / "dog_strokes.png", Image(strokes()), overwrite=True)
    write_image(HERE / "background.jpg", Image(background()), overwrite=True)
    for name, given in WAYS.items():
        photo, trimap, alpha = f"{name}.jpg", f"{name}_trimap.png", f"{name}_alpha.png"
        matte("trimap", *given, "-o", trimap)
        matte("predict", photo, "-t", trimap, "-o", alpha, "--device", "cpu", "--precision", "fp32")
        colours = COLOURS.get(name, [])
        matte("composite", photo, alpha, "-b", "transparent", *colours, "-o", f"{name}_cutout.webp")
        matte("composite", photo, alpha, "-b", "background.jpg", *colours, "-o", f"{name}_composite.jpg")
    write_image(HERE / "examples.jpg", Image(np.vstack([row(name) for name in WAYS])), overwrite=True)


def matte(*arguments: str) -> None:
    """Run `matte` in the folder of the examples."""
    subprocess.run([sys.executable, "-m", "mattecli", *arguments, "--overwrite"], cwd=HERE, check=True)


def mask() -> NDArray[np.uint8]:
    """The mask of the portrait."""
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(drawn, [np.array(PORTRAIT)], 255)
    cv2.fillPoly(drawn, [np.array(GAP)], 0)
    return drawn


def strokes() -> NDArray[np.uint8]:
    """White strokes on the dog and black ones on the garden, on a transparent layer (H, W, 4)."""
    layer = np.zeros((SIDE, SIDE, 4), np.uint8)
    for lines, grey in ((DOG, 255), (GARDEN, 0)):
        cv2.polylines(layer, [np.array(line) for line in lines], False, (grey, grey, grey, 255), 8)
    return layer


def over_screen(plumes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Straight RGBA (H, W, 4) mixed in light over a blue screen that darkens towards the corners."""
    colours, alpha = SRGB_CURVE.decode(plumes[..., :3] / 255), plumes[..., 3:] / 255
    y, x = np.mgrid[: plumes.shape[0], : plumes.shape[1]] / plumes.shape[0]
    falloff = 1 - 0.35 * ((x - 0.35) ** 2 + (y - 0.3) ** 2)
    light = alpha * colours + (1 - alpha) * falloff[..., None] * SRGB_CURVE.decode(np.array(SCREEN) / 255)
    light += np.random.default_rng(7).normal(0, 0.004, light.shape) * np.sqrt(light + 0.02)
    return np.rint(255 * SRGB_CURVE.encode(np.clip(light, 0, 1))).astype(np.uint8)


def background(width: int = 768, height: int = 640) -> NDArray[np.uint8]:
    """A blurred evening street: a dark gradient and discs of light."""
    rng = np.random.default_rng(11)
    rows = np.linspace(0, 1, height)[:, None, None]
    scene = (1 - rows) * np.array([0.10, 0.14, 0.30]) + rows * np.array([0.30, 0.16, 0.14])
    scene = np.repeat(scene, width, axis=1).astype(np.float32)
    for _ in range(90):
        disc = np.zeros((height, width), np.float32)
        x, y = rng.uniform(0, width), rng.normal(0.45, 0.2) * height
        cv2.circle(disc, (int(x), int(y)), int(rng.uniform(12, 42)), 1.0, -1, cv2.LINE_AA)
        colour = np.array([1.0, rng.uniform(0.35, 0.9), rng.uniform(0.05, 0.6)], np.float32)
        scene += rng.uniform(0.08, 0.35) * cv2.GaussianBlur(disc, (0, 0), 1.5)[..., None] * colour
    return np.rint(255 * np.clip(scene, 0, 1)).astype(np.uint8)


def row(name: str) -> NDArray[np.uint8]:
    """Photo, trimap, alpha and composite of an example side by side, (320, 1280, 3)."""
    files = (f"{name}.jpg", f"{name}_trimap.png", f"{name}_alpha.png", f"{name}_composite.jpg")
    pictures = [read_image(HERE / file).pixels for file in files]
    return np.hstack([cv2.resize(picture, (320, 320), interpolation=cv2.INTER_AREA) for picture in pictures])


if __name__ == "__main__":
    main()
