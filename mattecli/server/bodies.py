"""What the page sends, checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mattecli.errors import UsageError
from mattecli.server.finish import PRODUCTS, Finish, Product
from mattecli.server.labels import ANYWHERE, Labels, Restriction
from mattecli.server.operation import Operation
from mattecli.server.photo import Photo
from mattecli.server.tiles import Index

Label = Literal[0, 128, 255] | None
Word = Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]
Channel = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Channel, Channel, Channel]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
TileName = tuple[Literal["photo", "labels", "alpha", "finished", "colours", "base"], int, int, int]
MOST_TILES = 400  # in one answer: a photo's take 79 MB


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Opening(_Body):
    """A tab that opens or closes a photo. With `take` it paints from now on, and another tab no longer does."""

    tab: Word
    take: bool = False


class Pointer(_Body):
    """Whether a pointer is down on the picture."""

    down: bool


class Tiles(_Body):
    """Tiles that are asked for: layer, level, row and column of each."""

    tiles: Annotated[list[TileName], Field(max_length=MOST_TILES)]
    exposure: Annotated[float, Field(ge=-10, le=10)] = 0.0
    revision: int = 0  # of mattes: their run
    finish: Finish = Finish()


class Stroke(_Body):
    """A stroke that only a proposal uses."""

    points: Annotated[list[tuple[Number, Number, Number]], Field(min_length=1, max_length=100_000)]
    label: Literal[0, 255]


class Proposing(_Body):
    """What a trimap is to be proposed from. Without a source it is the box, or the strokes."""

    box: tuple[Number, Number, Number, Number] | None = None
    strokes: list[Stroke] | None = None
    source: Literal["box", "strokes", "key", "auto", "matte"] | None = None
    colour: Annotated[str, Field(max_length=64)] | None = None


class Matting(_Body):
    """A matte that is asked for; `box` is the part that a preview covers."""

    kind: Literal["preview", "exact"]
    box: tuple[int, int, int, int] | None = None


class Saved(Finish):
    """What is to be saved, and how it is finished; `overwrite` also replaces files that were not saved from here."""

    products: list[Product]
    overwrite: bool = False


class Chosen(Finish):
    """The same in an address, with commas."""

    products: Annotated[str, Field(max_length=100)] = "alpha"

    def kinds(self) -> list[Product]:
        """The products. Raises `UsageError` for others."""
        words = self.products.split(",")
        if unknown := [word for word in words if word not in PRODUCTS]:
            raise UsageError(f"{unknown[0]} is not a product; choose trimap, alpha, cutout or composite")
        return [product for product in PRODUCTS if product in words]


class Restricted(_Body):
    """Where paint may go; see `labels.Restriction`."""

    over: list[Literal[0, 128, 255]] = [0, 128, 255]
    colours: tuple[Colour, Colour] | None = None


class Visible(_Body):
    """The tiles that the page shows: rows and columns of a level, half open."""

    level: Annotated[int, Field(ge=0, le=20)]
    top: int
    left: int
    bottom: int
    right: int

    def holds(self, index: Index) -> bool:
        """Whether a tile is among them."""
        return self.top <= index.row < self.bottom and self.left <= index.column < self.right


class Operated(_Body):
    """An operation on the labels. Which fields count depends on its kind."""

    sequence: int
    kind: Literal["stroke", "polygon", "fill", "band", "base", "undo", "redo", "clear"]
    points: Annotated[list[list[Number]], Field(max_length=100_000)] = []
    label: Label = None
    restriction: Restricted | None = None
    x: int = 0
    y: int = 0
    inside: int = 0
    outside: int = 0
    proposal: str = ""
    after: int = 0  # the stroke that a proposal followed from
    visible: Visible | None = None

    def operation(self, labels: Labels, photo: Photo) -> Operation:
        """What it does to the labels. Raises `UsageError` for what cannot be done."""
        return getattr(self, f"_{self.kind}")(labels, photo)  # type: ignore[no-any-return]

    def _points(self, values: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        if not self.points or any(len(point) != values for point in self.points):
            raise UsageError(f"a {self.kind} has points of {values} numbers each, and one point at least")
        return np.array(self.points, np.float64)

    def _where(self) -> Restriction:
        if self.restriction is None:
            return ANYWHERE
        return Restriction(over=frozenset(self.restriction.over), colours=self.restriction.colours)

    def _stroke(self, labels: Labels, _: Photo) -> Operation:
        return labels.stroke(self._points(3), self.label, restriction=self._where())

    def _polygon(self, labels: Labels, _: Photo) -> Operation:
        return labels.polygon(self._points(2), self.label, restriction=self._where())

    def _fill(self, labels: Labels, _: Photo) -> Operation:
        return labels.fill(self.x, self.y, self.label, restriction=self._where())

    def _clear(self, labels: Labels, _: Photo) -> Operation:
        height, width = labels.grid.height, labels.grid.width
        return labels.polygon(np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64), None)

    def _band(self, labels: Labels, _: Photo) -> Operation:
        return labels.set_band(self.inside, self.outside)

    def _base(self, labels: Labels, photo: Photo) -> Operation:
        if self.after:
            return labels.refine_base(photo.proposal(self.proposal), after=self.after)
        return labels.set_base(photo.proposal(self.proposal), inside=self.inside, outside=self.outside)

    def _undo(self, labels: Labels, _: Photo) -> Operation:
        return labels.undo()

    def _redo(self, labels: Labels, _: Photo) -> Operation:
        return labels.redo()
