"""Labels of a photo while it is painted: layers, strokes, undo.

Three things make a pixel's label. Paint wins where there is some. Below it lies the base, which came from a proposal, a
mask or a matte, and around the base's edge lies an unknown band. The base is stored as distances to its edge (see
`distance`), so the band is a threshold and never rewrites paint.

Memory: the packed tiles of both layers, which are small where a picture has few edges, and at most 3 bytes a pixel;
96 MB of unpacked tiles, by `tiles.CACHE_BYTES` for each layer and for the labels; 64 MB of undo, by `history.MEMORY`.
What undo needs beyond that is on disk.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.geometry import Box
from mattecli.server.distance import FAR, Base, labels_of
from mattecli.server.flood import flood
from mattecli.server.history import MEMORY, History
from mattecli.server.operation import Band, Change, Operation
from mattecli.server.raster import covered, polygon_spans, stroke_spans
from mattecli.server.tiles import Grid, Index, Layer, Recent, Tile, is_uniform, pack, uniform
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN

BARE = 1  # in the layer of paint: no paint here
LABELS = frozenset({BACKGROUND, UNKNOWN, FOREGROUND})

Mask = NDArray[np.bool_]
Colour = tuple[int, int, int]
Photo = Callable[[Box], NDArray[np.uint8]]  # the photo's sRGB pixels in a box, (h, w, 3)


@dataclass(frozen=True, kw_only=True)
class Restriction:
    """Where paint may go: over which labels (0, 128, 255), and over which colours of the photo.

    `colours` are the lowest and the highest sRGB values, from 0 to 255, each channel by itself, both included.
    """

    over: frozenset[int] = LABELS
    colours: tuple[Colour, Colour] | None = None

    def __post_init__(self) -> None:
        if not self.over <= LABELS:
            raise UsageError(f"paint can be restricted to the labels 0, 128 and 255, not to {sorted(self.over)}")


ANYWHERE = Restriction()


class Labels:
    """The trimap of a photo while it is painted. At first all pixels are unknown. Not for several threads at once.

    `stroke`, `polygon`, `fill`, `set_base`, `refine_base`, `set_band`, `undo` and `redo` change nothing: they give the
    operation that `apply` carries out. So it can be written to a journal in between. `photo` gives the colours for
    restrictions. `folder` and `memory` are those of `History`.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        photo: Photo | None = None,
        folder: Path | None = None,
        memory: int = MEMORY,
    ) -> None:
        self.grid = Grid(height, width)
        self.paint = Layer(self.grid, np.uint8(BARE))
        self.base = Layer(self.grid, np.int16(0))
        self.band = Band()
        self.sequence = 0
        self.base_revision = 0  # the last operation that changed the base
        self.history = History(folder=folder, memory=memory)
        self._photo = photo
        self._recent = Recent()
        self._revisions = np.zeros((self.grid.rows, self.grid.columns), np.int64)

    # What the labels are

    def tile(self, index: Index) -> Tile:
        """The labels of a tile, uint8 (h, w) of 0, 128 and 255. It must not be written to."""
        paint = self.paint[index]
        packed = self.paint.packed(index)
        if len(packed) == 1 and packed[0] != BARE:
            return paint
        known = self._recent.get(index)
        if known is not None:
            return known
        base = self._base_labels(index)
        return self._recent.keep(index, base if len(packed) == 1 else np.where(paint == BARE, base, paint))

    def trimap(self) -> NDArray[np.uint8]:
        """The whole trimap, uint8 (H, W) of 0, 128 and 255."""
        whole = np.empty((self.grid.height, self.grid.width), np.uint8)
        for index in self.grid:
            whole[self.grid.box(index).slices] = self.tile(index)
        return whole

    def revision(self, index: Index) -> int:
        """The sequence number of the last operation that changed a tile, 0 for none."""
        return int(self._revisions[index])

    def last_change(self, block: Index, side: int) -> int:
        """The greatest revision in a block of tiles, where the grid is cut into blocks of `side` × `side`."""
        top, left = block.row * side, block.column * side
        return int(self._revisions[top : top + side, left : left + side].max())

    def digest(self) -> str:
        """A hash of everything that an operation can change, for comparisons."""
        found = hashlib.blake2b(struct.pack("<3q", *self.band), digest_size=16)
        for layer in (self.paint, self.base):
            for index in self.grid:
                packed = layer.packed(index)
                found.update(len(packed).to_bytes(4, "little") + packed)
        return found.hexdigest()

    # What operations would do

    def stroke(
        self, points: NDArray[np.floating], label: int | None, *, restriction: Restriction = ANYWHERE
    ) -> Operation:
        """Paint a stroke through `points`, (N, 3) of x, y and radius in pixels; see `raster.stroke_spans`.

        `label` is 0, 128 or 255, or None to erase paint, so that base and band show again. The labels before the stroke
        decide where a restriction lets it paint. Raises `UsageError` for other values, and for a restriction to colours
        where there is no photo.
        """
        return self._paint("stroke", covered(stroke_spans(points, self.grid), self.grid), label, restriction)

    def polygon(
        self, points: NDArray[np.floating], label: int | None, *, restriction: Restriction = ANYWHERE
    ) -> Operation:
        """Paint what a closed outline winds around, by `points`, (N, 2) of x and y. Otherwise as `stroke`."""
        return self._paint("polygon", covered(polygon_spans(points, self.grid), self.grid), label, restriction)

    def fill(self, x: int, y: int, label: int | None, *, restriction: Restriction = ANYWHERE) -> Operation:
        """Paint the connected pixels that have the label of the pixel in column x and row y; see `flood`.

        Raises `UsageError` as `stroke` does, and where that is over half of the picture.
        """
        return self._paint("fill", flood(self.tile, self.grid, x, y), label, restriction)

    def set_base(self, base: Base, *, inside: int = 0, outside: int = 0) -> Operation:
        """Lay a trimap under the paint, as `measured` gives it, with a band around its edge as in `set_band`.

        Raises `InputError` for another size.
        """
        if base.grid != self.grid:
            sizes = [f"{grid.width}×{grid.height}" for grid in (base.grid, self.grid)]
            raise InputError(f"the base is {sizes[0]} but the photo is {sizes[1]}; make it from the photo")
        tiles = ((index, self.base.packed(index), packed) for index, packed in base.tiles.items())
        changes = (Change("base", index, before, after) for index, before, after in tiles if before != after)
        return self._planned("base", changes, _checked(Band(inside, outside, base.reach)))

    def refine_base(self, base: Base, *, after: int) -> Operation:
        """Lay a base that followed from the operation `after`, which is undone and done again with it. The band stays.

        It does nothing where that operation was undone, or where the base was changed since. Raises as `set_base` does.
        """
        inside, outside = (min(width, base.reach) for width in self.band[:2])
        operation = replace(self.set_base(base, inside=inside, outside=outside), after=after)
        since = self.history.since(after)
        if not since or not all(operation.is_apart(other) for other in since):
            return Operation(sequence=self.sequence + 1, kind="base")
        return operation

    def set_band(self, inside: int, outside: int) -> Operation:
        """Make the base unknown up to `inside` pixels within its edge and `outside` pixels beyond it.

        Raises `UsageError` for bands that are wider than the base was measured for.
        """
        return self._planned("band", (), _checked(Band(inside, outside, self.band.reach)))

    def undo(self) -> Operation:
        """Take back the last operation that is done. Raises `UsageError` where there is none."""
        if not self.history.undoable:
            raise UsageError("there is nothing to undo")
        return self.history.last_done().taken_back(self.sequence + 1)

    def redo(self) -> Operation:
        """Do again the last operation that was taken back. Raises `UsageError` where there is none."""
        if not self.history.redoable:
            raise UsageError("there is nothing to redo")
        return self.history.first_undone().again(self.sequence + 1)

    def refused(self, reason: str) -> Operation:
        """An operation that only uses up its number."""
        return Operation(sequence=self.sequence + 1, kind="refused", refused=reason)

    # Carrying them out

    def apply(self, operation: Operation) -> list[Index]:
        """Carry out an operation, and give the tiles whose labels it may have changed.

        Raises `UsageError` for an operation that was not made from the labels as they are now.
        """
        if operation.sequence != self.sequence + 1:
            raise UsageError(f"operation {operation.sequence} was made for other labels; make it anew")
        if operation.kind == "undo":
            self.history.step_back()
        elif operation.kind == "redo":
            self.history.step_forward()
        elif operation.changes or operation.bands:
            (self.history.join if operation.after else self.history.push)(operation)
        changed = {change.place for change in operation.changes}
        band = operation.bands[1] if operation.bands else self.band
        if band[:2] != self.band[:2]:
            changed.update(index for index in self.grid if self._has_edge(index))
        for change in operation.changes:
            (self.paint if change.layer == "paint" else self.base).put(change.place, change.after)
        self.band = band
        self.sequence = operation.sequence
        if any(change.layer == "base" for change in operation.changes):
            self.base_revision = operation.sequence
        for index in changed:
            self._revisions[index] = self.sequence
            self._recent.forget(index)
        return sorted(changed)

    def close(self) -> None:
        """Remove the undo file."""
        self.history.close()

    def _paint(
        self, kind: str, parts: Iterable[tuple[Index, Mask]], label: int | None, restriction: Restriction
    ) -> Operation:
        if label is not None and label not in LABELS:
            raise UsageError(f"a label is 0, 128 or 255, or None to erase, not {label}")
        value = np.uint8(BARE if label is None else label)
        return self._planned(kind, self._painted(parts, value, restriction))

    def _painted(
        self, parts: Iterable[tuple[Index, Mask]], value: np.uint8, restriction: Restriction
    ) -> Iterator[Change]:
        for index, mask in parts:
            allowed = self._allowed(index, mask, restriction)
            whole = bool(allowed[0, 0]) if is_uniform(allowed) else bool(allowed.all())
            new = uniform(value, allowed.shape) if whole else np.where(allowed, value, self.paint[index])
            before, after = self.paint.packed(index), pack(new)
            if before != after:
                yield Change("paint", index, before, after)

    def _allowed(self, index: Index, mask: Mask, restriction: Restriction) -> Mask:
        if restriction.over != LABELS:
            allowed = np.isin(np.arange(256), list(restriction.over))
            mask = mask & allowed[self.tile(index)]
        if restriction.colours is not None:
            if self._photo is None:
                raise UsageError("paint cannot be restricted to colours, because there is no photo")
            colours = self._photo(self.grid.box(index))
            lowest, highest = (np.asarray(end, np.uint8) for end in restriction.colours)
            mask = mask & ((colours >= lowest) & (colours <= highest)).all(axis=2)
        return mask

    def _planned(self, kind: str, changes: Iterable[Change], band: Band | None = None) -> Operation:
        self.history.make_room()
        bands = (self.band, band) if band is not None and band != self.band else None
        return Operation(sequence=self.sequence + 1, kind=kind, changes=tuple(changes), bands=bands)

    def _base_labels(self, index: Index) -> Tile:
        if not self._has_edge(index):  # one label, whatever the band
            return uniform(labels_of(self.base[index][:1, :1], 0, 0)[0, 0], self.base[index].shape)
        return labels_of(self.base[index], self.band.inside, self.band.outside)

    def _has_edge(self, index: Index) -> bool:
        """Whether the label of a tile of the base may depend on the band or on the pixel."""
        packed = self.base.packed(index)
        return len(packed) > 2 or packed not in _PLAIN


_PLAIN = frozenset(value.tobytes() for value in (FAR, -FAR, np.int16(0)))


def _checked(band: Band) -> Band:
    for width in (band.inside, band.outside):
        if not 0 <= width <= band.reach:
            raise UsageError(
                f"the band can be 0 to {band.reach} pixels wide, not {width}; measure the base with another `reach`"
                if band.reach
                else "there is no base that could have a band around its edge; lay one first"
            )
    return band
