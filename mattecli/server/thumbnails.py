"""Small pictures of photos, for the film strip."""

from __future__ import annotations

import threading
from collections import OrderedDict
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from mattecli.imaging.given import given_photo
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_image
from mattecli.server.pyramid import PhotoLevels
from mattecli.server.state import stamp
from mattecli.server.tiles import Index

KEPT_BYTES = 16 * 2**20
_DRAFT = 256  # pixels that a JPEG decodes to at least, which is fast
_QUALITY = 82


class Thumbnails:
    """Makes small pictures of files, and keeps the last ones, `most` bytes of them. Safe to use from threads.

    One file is decoded at a time, so a folder of large photos takes the memory of one.
    """

    def __init__(self, *, reading: ReadOptions | None = None, most: int = KEPT_BYTES) -> None:
        self._reading, self._most = reading or ReadOptions(), most
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Path, int, int], bytes] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """The bytes of the pictures that are kept."""
        return sum(map(len, self._kept.values()))

    def of(self, path: Path) -> bytes:
        """A JPEG of at most 256 × 256 pixels in sRGB. Raises what reading the photo raises, and OSError."""
        facts = stamp(path)
        key = path, facts["size"], facts["changed"]
        with self._lock:
            if key not in self._kept:
                self._kept[key] = encoded(small(self._draft(path) or read_image(path, options=self._reading)))
            self._kept.move_to_end(key)
            while self.nbytes > self._most and len(self._kept) > 1:
                self._kept.popitem(last=False)
            return self._kept[key]

    def _draft(self, path: Path) -> Image | None:
        """A JPEG, decoded at a fraction of its size; None for other files, and for a damaged one."""
        if self._reading.input_space != "auto":
            return None
        try:
            with PIL.Image.open(path, formats=["JPEG"]) as picture:
                if picture.width * picture.height > self._reading.max_pixels:
                    return None
                picture.draft("RGB", (_DRAFT, _DRAFT))
                return given_photo(picture, path.name)
        except (OSError, ValueError):
            return None  # the decoder of the whole file has better words for what is wrong


def small(photo: Image) -> NDArray[np.uint8]:
    """The photo's smallest level in sRGB, uint8 (h, w, 3)."""
    levels = PhotoLevels(photo)
    return levels.tile(len(levels.grids) - 1, Index(0, 0))


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    """The same as a JPEG."""
    target = BytesIO()
    PIL.Image.fromarray(pixels).save(target, "JPEG", quality=_QUALITY)
    return target.getvalue()
