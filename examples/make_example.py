"""Make the example's trimap and background, and the results for them.

    python examples/make_example.py

The photo, `astronaut.png`, is NASA's portrait of Eileen Collins, in the public domain, as scikit-image carries it
(`skimage.data.astronaut`). The outline below was traced roughly by hand, as a user would with a lasso.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import mattecli
from mattecli import Image, make_trimap, write_image

HERE = Path(__file__).parent
SIZE = 512

# fmt: off
OUTLINE = [
    (42, 511), (28, 480), (22, 440), (20, 400), (24, 370), (26, 340), (33, 310), (42, 280), (52, 260), (70, 240),
    (90, 225), (108, 210), (115, 203), (114, 188), (122, 170), (135, 157), (155, 150), (183, 149), (182, 134),
    (172, 119), (160, 105), (154, 80), (158, 58), (180, 42), (200, 25), (225, 16), (250, 18), (275, 32), (295, 60),
    (301, 85), (295, 110), (281, 126), (275, 135), (266, 137), (262, 155), (257, 173), (275, 190), (293, 210),
    (304, 236), (320, 240), (335, 258), (345, 280), (355, 305), (362, 330), (362, 350), (380, 345), (400, 343),
    (425, 347), (450, 360), (470, 378), (485, 400), (495, 430), (497, 455), (505, 460), (511, 468), (511, 511),
]
# All of the hair, with room for stray hairs; the inner border runs along the face.
HAIR = [
    (168, 133), (148, 112), (140, 82), (144, 52), (170, 28), (194, 10), (226, 3), (256, 5), (288, 22), (309, 54),
    (315, 86), (307, 116), (290, 136), (271, 140), (266, 128), (269, 105), (262, 92), (240, 84), (215, 72),
    (196, 76), (190, 88), (185, 112), (186, 134),
]
# fmt: on


def polygon(points: list[tuple[int, int]]) -> NDArray[np.uint8]:
    """A filled polygon, 255 inside."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(mask, [np.array(points)], 255)
    return mask


def trimap() -> NDArray[np.uint8]:
    """The outline with 7 unknown pixels on both sides; all of the hair is unknown."""
    known = make_trimap(polygon(OUTLINE), erode=7, dilate=7)
    known[polygon(HAIR) > 0] = 128
    return known


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


def results(known: NDArray[np.uint8], scene: NDArray[np.uint8]) -> None:
    """The alpha, the cut-out and the composite with the bundled weights, and a strip of all for the README."""
    photo = mattecli.read_image(HERE / "astronaut.png").pixels
    alpha = mattecli.load_model(device="cpu").predict(photo, known)
    foreground = mattecli.estimate_foreground(photo, alpha)
    picture = mattecli.composite(foreground, alpha, mattecli.fit_background(scene, SIZE, SIZE))
    mattecli.write_alpha(HERE / "astronaut_alpha.png", alpha, overwrite=True)
    write_image(HERE / "astronaut_cutout.webp", Image(bytes_of(mattecli.cutout(foreground, alpha))), overwrite=True)
    write_image(HERE / "astronaut_composite.jpg", Image(bytes_of(picture)), overwrite=True)
    grey = [np.repeat(plane[..., None], 3, axis=2) for plane in (known, bytes_of(alpha))]
    strip = np.hstack([photo, grey[0], grey[1], bytes_of(picture)])
    strip = cv2.resize(strip, None, fx=0.625, fy=0.625, interpolation=cv2.INTER_AREA)
    write_image(HERE / "astronaut.jpg", Image(strip), overwrite=True)


def bytes_of(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values in [0, 1] as bytes."""
    return np.rint(255 * values).astype(np.uint8)


def main() -> None:
    """Write all files of the example."""
    known, scene = trimap(), background()
    write_image(HERE / "astronaut_trimap.png", Image(known), overwrite=True)
    write_image(HERE / "background.jpg", Image(scene), overwrite=True)
    results(known, scene)


if __name__ == "__main__":
    main()
