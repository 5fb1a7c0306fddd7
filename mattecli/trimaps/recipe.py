"""How trimaps are made from masks, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from mattecli.trimaps.widths import Width

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mattecli.imaging.given import Given


@dataclass(frozen=True, kw_only=True)
class MaskRecipe:
    """The options of `make_trimap` that hold for all masks of a run."""

    band: Width | None = None
    erode: Width | None = None
    dilate: Width | None = None
    fill_holes: int = 0
    min_area: int = 0
    solid: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def plain(self) -> bool:
        """Whether values alone decide, and the unknown part grows by fixed distances, as in 0.1.0."""
        return self.band is None and (self.erode is not None or self.dilate is not None)

    def words(self) -> list[Any]:
        """What a batch hashes of it. A change here would make all folders of users be matted again."""
        levels = [[word, value] for word, value in (("low", self.low), ("high", self.high)) if value is not None]
        return ["mask", *astuple(self)[:6], *levels, *self._mended()]

    def _mended(self) -> list[str]:
        """A word for each option that once gave other trimaps, so that what was made then is made anew."""
        one_side = self.band is not None and (self.erode is not None or self.dilate is not None)
        words = {
            "band of 0": self.band == 0,
            "undecided stays unknown": one_side,
            "soft rims filled": self.fill_holes > 0,
        }
        return [word for word, asked in words.items() if asked]

    def make(
        self,
        mask: Given,
        *,
        photo: Given | None = None,
        core: Given | None = None,
        garbage: Given | None = None,
        name: str = "the mask",
        on_note: Callable[[str], None] | None = None,
    ) -> NDArray[np.uint8]:
        """The trimap of one mask; see `make_trimap`."""
        from mattecli.trimaps.make import make_trimap

        return make_trimap(
            mask,
            photo=photo,
            core=core,
            garbage=garbage,
            name=name,
            on_note=on_note,
            band=self.band,
            erode=self.erode,
            dilate=self.dilate,
            fill_holes=self.fill_holes,
            min_area=self.min_area,
            solid=self.solid,
            low=self.low,
            high=self.high,
        )
