"""Tiny pictures for tests: noise, discs, cut-outs, and folders of them."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def write(path: Path, pixels: NDArray[np.uint8]) -> Path:
    """Write RGB, RGBA or grey pixels in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(pixels.shape[2] if pixels.ndim == 3 else 0)
    assert cv2.imwrite(str(path), pixels if order is None else cv2.cvtColor(pixels, order))
    return path


def noise(seed: int, height: int = 80, width: int = 100) -> NDArray[np.uint8]:
    """A picture of coarse coloured noise (height, width, 3)."""
    grid = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def disc(height: int = 80, width: int = 100, radius: float = 25, softness: float = 6) -> NDArray[np.uint8]:
    """The alpha of a soft disc (height, width) that ends inside the picture."""
    y, x = np.mgrid[:height, :width]
    away = np.hypot(y - height / 2, x - width / 2)
    return np.round(255 * np.clip((radius - away) / softness + 0.5, 0, 1)).astype(np.uint8)


def cutout(seed: int = 0) -> NDArray[np.uint8]:
    """A soft disc with coloured noise inside and black under alpha 0 (80, 100, 4)."""
    alpha = disc()
    return np.dstack([np.where(alpha[:, :, None] > 0, noise(seed), 0).astype(np.uint8), alpha])


def folders(root: Path) -> dict[str, tuple[str, ...]]:
    """Settings of a `DataConfig` with two photos, an RGBA cut-out, a pair and a folder of own data."""
    for k in range(2):
        write(root / "photos" / f"view{k}.png", noise(k))
    write(root / "cut" / "smoke_1.png", cutout())
    write(root / "cut" / "cat_1_photo.png", noise(5))
    write(root / "cut" / "cat_1_alpha.png", disc())
    write(root / "own" / "fg" / "a.png", noise(7))
    write(root / "own" / "alpha" / "a.png", disc())
    write(root / "own" / "bg" / "b.png", noise(8))
    return {
        "photos": (str(root / "photos"),),
        "foregrounds": (str(root / "cut"),),
        "own": (str(root / "own"),),
    }
