"""Draw the pictures of docs/finishing.md: what each option of finishing does.

    python benchmarks/draw_finishing.py

The edges are those of the example photo, enlarged; placement and shadows are shown with a drawn product.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray
from shadows import draw

from mattecli import read_alpha, read_image
from mattecli.compositing.finishing import Finishing, finish
from mattecli.compositing.outputs import make_output
from mattecli.imaging.image import Image

PROJECT = Path(__file__).parents[1]
EXAMPLES, DOCS = PROJECT / "examples", PROJECT / "docs"
HEAD = (slice(235, 355), slice(225, 385))  # rows and columns of the photo: hair over a shoulder
SIZE = (320, 240)  # of a cell
EDGES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "--choke 2": {"choke": 2},
    "--spread 2": {"spread": 2},
    "--feather 3": {"feather": 3},
    "--feather 3 --feather-both": {"feather": 3, "feather_both": True},
    "--smooth 4": {"smooth": 4},
    "--contrast 60": {"contrast": 60},
    "--levels 40,215": {"levels": (40, 215, 1.0)},
    "--hair 0": {"hair": 0},
}
PLACES: dict[str, dict[str, Any]] = {
    "the photo": {},
    "--crop subject --margin 40": {"crop": "subject", "margin": 40},
    "--canvas 640x480 --fill 85%": {"canvas": (640, 480), "fill": 0.85},
    "--canvas … --at bottom:12%": {"canvas": (640, 480), "fill": 0.6, "at": "bottom:12%"},
    "--rotate 8": {"canvas": (640, 480), "fill": 0.7, "rotate": 8.0},
    "--shadow keep": {"shadow": "keep", "canvas": (640, 480), "fill": 0.6},
    "--shadow contact": {"shadow": "contact", "canvas": (640, 480), "fill": 0.6},
    "--shadow drop": {"shadow": "drop", "canvas": (640, 480), "fill": 0.6},
    "--shadow drop --shadow-strength 40": {"shadow": "drop", "shadow_strength": 40, "canvas": (640, 480), "fill": 0.6},
}


def sheet(cells: dict[str, NDArray[np.uint8]], *, columns: int = 3) -> NDArray[np.uint8]:
    """Pictures with their names below, in rows."""
    width, height = SIZE
    rows = -(-len(cells) // columns)
    image = np.full((rows * (height + 34), columns * (width + 8), 3), 245, np.uint8)
    for number, (name, cell) in enumerate(cells.items()):
        top, left = number // columns * (height + 34) + 4, number % columns * (width + 8) + 4
        image[top : top + height, left : left + width] = cell
        text = name.replace("…", "...")
        place = (left, top + height + 18)
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
    return image


def edges() -> dict[str, NDArray[np.uint8]]:
    """The example's hair over a plain colour with each option of edges, enlarged."""
    photo, alpha = read_image(EXAMPLES / "portrait.jpg"), read_alpha(EXAMPLES / "portrait_alpha.png")
    floats = (alpha / np.float32(255 if alpha.dtype == np.uint8 else 1)).astype(np.float32)
    cells = {}
    for name, options in EDGES.items():
        finished = finish(photo, floats, Finishing(**options))
        made = make_output("composite", photo, floats, background=(0.75, 0.85, 0.95), finished=finished).pixels
        cells[name] = np.asarray(cv2.resize(made[HEAD], SIZE, interpolation=cv2.INTER_CUBIC), np.uint8)
    return cells


def places() -> dict[str, NDArray[np.uint8]]:
    """A drawn product over white with each option of placement and shadow; a grey line shows the frame."""
    product = draw(2)
    photo = Image(product.photo)
    cells = {}
    for name, options in PLACES.items():
        finished = finish(photo, product.alpha, Finishing(**options))
        made = make_output("composite", photo, product.alpha, background=(1, 1, 1), finished=finished).pixels
        made = product.photo if not options else made
        cells[name] = _fitted(made)
    return cells


def _fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture in the middle of a cell, with a line around it."""
    width, height = SIZE
    scale = min((width - 2) / picture.shape[1], (height - 2) / picture.shape[0])
    size = (round(scale * picture.shape[1]), round(scale * picture.shape[0]))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    cell = np.full((height, width, 3), 245, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = small
    cv2.rectangle(cell, (left - 1, top - 1), (left + size[0], top + size[1]), (170, 170, 170), 1)
    return cell


def main() -> None:
    """Write both pictures into docs/."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, cells in (("finishing_edges", edges()), ("finishing_places", places())):
        target = DOCS / f"{name}.webp"
        PIL.Image.fromarray(sheet(cells)).save(target, quality=85)
        print(f"{target.name}: {target.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
