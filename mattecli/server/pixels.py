"""The pixels of an open photo, which may still be decoded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from mattecli.geometry import Box
from mattecli.imaging.colour.spaces import is_linear, same_space
from mattecli.imaging.given import given_photo
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_image, read_size
from mattecli.imaging.space import SRGB, Space
from mattecli.imaging.view import view_of
from mattecli.server.pyramid import PhotoLevels, level_grids
from mattecli.server.shared import Shared
from mattecli.server.tiles import Index

LARGE = 20_000_000  # pixels from which a draft of a JPEG is shown first
DRAFT_SIDE = 2000  # pixels that its longer side has at least, as a screen has
_COARSEST = 3  # JPEG decodes to an eighth of the size at most
_MOST_EXPOSURES = 3


@dataclass(frozen=True, eq=False)
class _Draft:
    """A photo at a coarser level, decoded fast."""

    image: Image
    shown: PhotoLevels
    level: int


class Pixels:
    """A photo's pixels in all their forms. Safe to use from threads.

    A large JPEG is decoded in a thread; until it is there, small levels show a draft, and everything else waits.
    `folder` is for shared arrays, `exposure` brightens what the network sees, by stops. Raises what reading the photo
    raises; for a large JPEG only the header is read at once, and other errors come from what waits.
    """

    def __init__(self, path: Path, *, folder: Path, reading: ReadOptions, exposure: float = 0.0) -> None:
        self._path, self._folder, self._reading, self._exposure = path, folder, reading, exposure
        self._stack = ExitStack()
        self._lock = threading.RLock()
        self._view: Shared | None = None
        self._exposed: OrderedDict[float, PhotoLevels] = OrderedDict()
        self.size = read_size(path, options=reading)
        self.grids = level_grids(*self.size[::-1])
        self._draft = self._drafted()
        executor = self._stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="decoding"))
        self._decoded = executor.submit(self._decode)
        if self._draft is None:
            try:
                self._decoded.result()
            except BaseException:
                self.close()
                raise

    @property
    def image(self) -> Image:
        """The photo, decoded."""
        return self._decoded.result()[0]

    @property
    def nbytes(self) -> int:
        """About how much memory they take, with their levels."""
        if not self._decoded.done():
            return 4 * self.size[0] * self.size[1]
        view = 0 if self._view is None or self._view is self._decoded.result()[2] else self._view.array.nbytes
        return self.image.pixels.nbytes * 4 // 3 + view

    def close(self) -> None:
        """Let go of what is shared."""
        self._stack.close()

    def facts(self) -> dict[str, Any]:
        """Depth and colour space, for the page."""
        image = self.image if self._draft is None else self._draft.image
        return {"bits": image.depth, "linear": is_linear(image.space), "space": _space_word(image.space)}

    def view(self) -> Shared:
        """The photo in sRGB as the network sees it, (H, W, 3), shared with other processes."""
        image, _, shared = self._decoded.result()
        with self._lock:
            if self._view is None:
                view = view_of(image, exposure=self._exposure)
                self._view = shared if view.unchanged else self._share(view(image.pixels))
            return self._view

    def colours(self, box: Box) -> NDArray[np.uint8]:
        """The pixels of a box in sRGB, uint8 (h, w, 3)."""
        return self._decoded.result()[1].colours(box)

    def tile(self, level: int, index: Index, *, exposure: float = 0.0) -> NDArray[np.uint8]:
        """A tile in sRGB, uint8 (h, w, 3)."""
        draft = self._draft
        if draft is not None and level >= draft.level and exposure == 0 and not self._decoded.done():
            with self._lock:
                return draft.shown.tile(level - draft.level, index)
        shown = self._decoded.result()[1]
        with self._lock:
            if exposure:
                if exposure not in self._exposed:
                    self._exposed[exposure] = shown.brightened(exposure)
                shown = self._exposed[exposure]
                while len(self._exposed) > _MOST_EXPOSURES:
                    self._exposed.popitem(last=False)
            return shown.tile(level, index)

    def _decode(self) -> tuple[Image, PhotoLevels, Shared]:
        image = read_image(self._path, options=self._reading)
        shared = self._share(image.pixels)
        image = replace(image, pixels=shared.array)
        return image, PhotoLevels(image), shared

    def _share(self, array: NDArray[Any]) -> Shared:
        shared = Shared.of(array, folder=self._folder)
        self._stack.callback(shared.close)
        return shared

    def _drafted(self) -> _Draft | None:
        """A large JPEG at a half, a quarter or an eighth of its size; None for other photos."""
        width, height = self.size
        if width * height < LARGE or self._reading.input_space != "auto":
            return None
        level = max(1, min(_COARSEST, (max(self.size) // DRAFT_SIDE).bit_length() - 1))
        try:
            with PIL.Image.open(self._path, formats=["JPEG"]) as picture:
                picture.draft("RGB", (picture.width >> level, picture.height >> level))
                image = given_photo(picture, self._path.name)
        except (OSError, ValueError):  # not a JPEG, or a damaged one, of which the decoder has better words
            return None
        grid = self.grids[level]
        return _Draft(image, PhotoLevels(image), level) if image.size == (grid.width, grid.height) else None


def _space_word(space: Space) -> str:
    """What a colour space is called beside a photo."""
    if same_space(space, SRGB):
        return "sRGB"
    return space.name or ("linear" if is_linear(space) else "its own profile")
