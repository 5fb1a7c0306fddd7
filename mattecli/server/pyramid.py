"""Tiles of photos, mattes and labels at every zoom.

Level 0 is the picture itself, and each further level has half the size, rounded up, until it fits into one tile. Tiles
are arrays of raw values, to be sent with `tobytes`.

Memory: the levels of a photo or matte take a third of its own bytes. Those of labels take two thirds of a byte a pixel
where all of them were seen, and less where tiles have one value.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.geometry import Box
from mattecli.imaging.image import Image, to_depth
from mattecli.imaging.view import view_of
from mattecli.server.labels import BARE, Labels
from mattecli.server.tiles import TILE, Grid, Index, Tile, is_uniform
from mattecli.trimaps.check import FOREGROUND, UNKNOWN

PAINTED = np.int16(-(2**15))  # in levels of the base: paint lies here, so no band changes the label

Shares = NDArray[np.uint8]
_MOST_DISTANCES = 64  # tiles of distances that are kept, of 128 kB each


def level_grids(height: int, width: int) -> list[Grid]:
    """The tiles of each level of a picture of that size."""
    grids = [Grid(height, width)]
    while max(height, width) > TILE:
        height, width = -(-height // 2), -(-width // 2)
        grids.append(Grid(height, width))
    return grids


def halved(pixels: NDArray[Any]) -> NDArray[Any]:
    """The means of 2 × 2 pixels, rounded. At the end of an odd side they are means of 2 pixels or of one."""
    height, width = pixels.shape[:2]
    result = np.empty((-(-height // 2), -(-width // 2), *pixels.shape[2:]), pixels.dtype)
    rows, columns = height // 2, width // 2
    corner = pixels[2 * rows :, 2 * columns :]
    result[rows:, columns:] = corner
    for part, target in (
        (pixels[: 2 * rows, : 2 * columns], result[:rows, :columns]),
        (pixels[: 2 * rows, 2 * columns :], result[:rows, columns:]),
        (pixels[2 * rows :, : 2 * columns], result[rows:, :columns]),
    ):
        if part.size:
            size = (target.shape[1], target.shape[0])
            target[:] = cv2.resize(part, size, interpolation=cv2.INTER_AREA).reshape(target.shape)
    return result


class Levels:
    """The levels of an array, (H, W) or (H, W, C) of uint8, uint16 or float32, each made when it is first asked for."""

    def __init__(self, pixels: NDArray[Any]) -> None:
        self.grids = level_grids(*pixels.shape[:2])
        self._levels = [pixels]

    def tile(self, level: int, index: Index) -> NDArray[Any]:
        """A tile, (h, w) or (h, w, C). It may be a view of the array."""
        box = self.grids[level].box(index)
        return self._level(level)[box.slices]

    def _level(self, level: int) -> NDArray[Any]:
        while len(self._levels) <= level:
            self._levels.append(halved(self._levels[-1]))
        return self._levels[level]


class PhotoLevels:
    """The levels of a photo, whose tiles are shown in sRGB. `exposure` brightens by that many stops."""

    def __init__(self, photo: Image, *, exposure: float = 0.0) -> None:
        self._photo = photo
        self._levels = Levels(photo.pixels)
        self._view = view_of(photo, exposure=exposure)
        self.grids = self._levels.grids

    def brightened(self, exposure: float) -> PhotoLevels:
        """The same photo with another exposure. Both share the levels."""
        twin = PhotoLevels.__new__(PhotoLevels)
        twin._photo, twin._levels, twin.grids = self._photo, self._levels, self.grids
        twin._view = view_of(self._photo, exposure=exposure)
        return twin

    def colours(self, box: Box) -> NDArray[np.uint8]:
        """The pixels of a box in sRGB, uint8 (h, w, 3), as the tiles of level 0 have them."""
        return np.asarray(to_depth(self._view(self._photo.pixels[box.slices]), 8), np.uint8)

    def tile(self, level: int, index: Index) -> NDArray[np.uint8]:
        """A tile in sRGB, uint8 (h, w, 3). At level 0 its pixels are those of `network_view`, at 8 bits."""
        return np.asarray(to_depth(self._view(self._levels.tile(level, index)), 8), np.uint8)


class LabelLevels:
    """The levels of labels while they are painted. From level 1 on, a pixel has the shares of two labels below it.

    Shares of foreground and of unknown, (h, w, 2), are in 255ths, and the rest is background. The unknown share is
    rounded up, so the thinnest band is not lost at any level. A tile is made anew when labels below it have changed.
    """

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self.grids = level_grids(labels.grid.height, labels.grid.width)
        self._made: dict[tuple[int, Index], tuple[int, Shares]] = {}

    def tile(self, level: int, index: Index) -> NDArray[np.uint8]:
        """The labels of a tile at level 0, (h, w); from level 1 on its shares, (h, w, 2). Not to be written to."""
        return self._labels.tile(index) if level == 0 else self._shares(level, index)

    def revision(self, level: int, index: Index) -> int:
        """The number of the last operation that changed labels below a tile, 0 for none."""
        return self._labels.last_change(index, 2**level)

    def _shares(self, level: int, index: Index) -> Shares:
        revision = self.revision(level, index)
        known = self._made.get((level, index))
        if known is None or known[0] != revision:
            known = revision, self._joined(level, index)
            self._made[level, index] = known
        return known[1]

    def _joined(self, level: int, index: Index) -> Shares:
        """A tile from the four below it; fewer at the right and bottom."""
        box, finer = self.grids[level].box(index), self.grids[level - 1]
        halves = {}
        for down in (0, 1):
            for right in (0, 1):
                below = Index(2 * index.row + down, 2 * index.column + right)
                if below.row < finer.rows and below.column < finer.columns:
                    halves[down, right] = self._halved(level - 1, below)
        if all(map(_is_plain, halves.values())) and len({half[0, 0].tobytes() for half in halves.values()}) == 1:
            return _plain(halves[0, 0][0, 0], box.height, box.width)
        whole = np.empty((box.height, box.width, 2), np.uint8)
        for (down, right), half in halves.items():
            top, left = down * TILE // 2, right * TILE // 2
            whole[top : top + TILE // 2, left : left + TILE // 2] = half
        whole.setflags(write=False)
        return whole

    def _halved(self, level: int, index: Index) -> Shares:
        """The shares of a tile at half its size."""
        if level == 0:
            return _halved_labels(self._labels.tile(index))
        shares = self._shares(level, index)
        if _is_plain(shares):
            return _plain(shares[0, 0], -(-shares.shape[0] // 2), -(-shares.shape[1] // 2))
        return _rounded(_sums(shares.astype(np.uint16)))


class BaseLevels:
    """The levels of the distances to the base's edge, for bands that are shown live.

    Each level has every second pixel of the one below, so the distances stay those of the photo's pixels. They are
    `PAINTED` where there is paint.
    """

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self.grids = level_grids(labels.grid.height, labels.grid.width)
        self._made: OrderedDict[tuple[int, Index, int], Tile] = OrderedDict()

    def revision(self, level: int, index: Index) -> int:
        """The number of the last operation that changed labels below a tile, 0 for none."""
        return self._labels.last_change(index, 2**level)

    def tile(self, level: int, index: Index) -> Tile:
        """A tile, int16 (h, w), in sixteenths of the photo's pixels; see `distance`. Not to be written to."""
        if level == 0:
            return self._finest(index)
        key = level, index, self.revision(level, index)
        if key not in self._made:
            self._made[key] = self._joined(level, index)
            while len(self._made) > _MOST_DISTANCES:
                self._made.popitem(last=False)
        return self._made[key]

    def _joined(self, level: int, index: Index) -> Tile:
        """A tile from those of level 0 below it; fewer at the right and bottom."""
        box, finest, step = self.grids[level].box(index), self.grids[0], 2**level
        whole = np.empty((box.height, box.width), np.int16)
        for row in range(index.row * step, min((index.row + 1) * step, finest.rows)):
            for column in range(index.column * step, min((index.column + 1) * step, finest.columns)):
                below = Index(row, column)
                corner = finest.box(below)
                top, left = corner.top // step - box.top, corner.left // step - box.left
                part = self._finest(below)[::step, ::step]
                whole[top : top + part.shape[0], left : left + part.shape[1]] = part
        return whole

    def _finest(self, index: Index) -> Tile:
        bare = self._labels.paint[index] == BARE
        return np.where(bare, self._labels.base[index], PAINTED)


def _halved_labels(labels: Tile) -> Shares:
    if is_uniform(labels):
        label, (height, width) = int(labels[0, 0]), labels.shape
        share = np.array([255 * (label == FOREGROUND), 255 * (label == UNKNOWN)], np.uint8)
        return _plain(share, -(-height // 2), -(-width // 2))
    counts = [_sums((labels == label).view(np.uint8)) for label in (FOREGROUND, UNKNOWN)]
    return _rounded(np.stack(counts, axis=2) * np.uint16(255))


def _sums(values: NDArray[Any]) -> NDArray[Any]:
    """The sums of 2 × 2 pixels, with the last row and column twice where there is an odd number."""
    height, width = values.shape[:2]
    if height % 2 or width % 2:
        values = np.pad(values, [(0, height % 2), (0, width % 2), *[(0, 0)] * (values.ndim - 2)], mode="edge")
    return np.asarray(values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2])


def _rounded(sums: NDArray[np.uint16]) -> Shares:
    """Shares from the sums of four: the unknown share rounded up, and no more than 255 with foreground."""
    shares = np.empty(sums.shape, np.uint8)
    shares[..., 1] = (sums[..., 1] + 3) // 4
    shares[..., 0] = np.minimum((sums[..., 0] + 2) // 4, 255 - shares[..., 1])
    return shares


def _plain(share: Shares, height: int, width: int) -> Shares:
    """Shares that are the same everywhere, in the memory of one pixel."""
    return np.broadcast_to(share, (height, width, 2))


def _is_plain(shares: Shares) -> bool:
    return shares.strides[:2] == (0, 0)
