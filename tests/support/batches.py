"""Small folders of photos and trimaps for the tests of batches."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mattecli.imaging.image import Image
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_image

PORTRAIT = Path(__file__).parents[2] / "examples" / "portrait.jpg"
SIDE = 32


def write_photo(path: Path, *, number: int = 0, width: int = SIDE, height: int = SIDE) -> Path:
    """A part of the example, another one for each number."""
    pixels = read_image(PORTRAIT).pixels
    top, left = 100 + 7 * (number % 20), 300 + 5 * (number % 20)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, Image(np.ascontiguousarray(pixels[top : top + height, left : left + width])), overwrite=True)
    return path


def write_trimap(path: Path, *, width: int = SIDE, height: int = SIDE) -> Path:
    """Background on the left, foreground on the right, unknown between."""
    pixels = np.full((height, width), 128, np.uint8)
    pixels[:, : width // 3], pixels[:, -(width // 3) :] = 0, 255
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, Image(pixels), overwrite=True)
    return path


def make_folders(root: Path, names: Iterable[str] = ("a.png", "b.png", "sub/c.png")) -> tuple[Path, Path, Path]:
    """`photos/` and `trimaps/` with these pictures, and the path of an output folder that does not exist."""
    for number, name in enumerate(names):
        write_photo(root / "photos" / name, number=number)
        write_trimap((root / "trimaps" / name).with_suffix(".png"))
    return root / "photos", root / "trimaps", root / "out"


def lines_of(path: Path) -> dict[str, dict[str, Any]]:
    """A report's lines by name; the summary is at `summary`."""
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    return {line.get("name", "summary"): line.get("summary", line) for line in lines}


def outputs_in(out: Path) -> set[str]:
    """The files in a batch's output folder but its own record."""
    return {
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if path.is_file() and ".matte" not in path.relative_to(out).parts
    }
