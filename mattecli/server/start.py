"""Starts the labels from a trimap, a mask or a matte."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import matte_of, read_values
from mattecli.imaging.reading.open import Source
from mattecli.server.distance import measured
from mattecli.server.photo import Photo, painted
from mattecli.server.state import digest_of
from mattecli.system.files import as_text
from mattecli.trimaps.check import check_size, from_values
from mattecli.trimaps.recipe import MaskRecipe

Meaning = Literal["trimap", "mask", "matte"]


@dataclass(frozen=True)
class Start:
    """A file that the paint of a photo lies on, and what it is. Of `reading` only the limits are for it."""

    what: Meaning | Literal["kept"]
    file: Path
    snap: int = 0  # as in `read_trimap`
    reading: ReadOptions = field(default_factory=ReadOptions, kw_only=True)

    def changed(self, photo: Photo) -> bool:
        """Whether the file changed since it was laid under the paint of a photo. One that is gone did not."""
        facts = photo.state.facts
        try:
            return facts.get("start") != self.digest()
        except InputError:
            return not self._was_laid(facts)

    def lay(self, photo: Photo) -> None:
        """Lay the file under the paint of a photo, unless that was done before with the same content.

        Where it was laid and cannot be read any more, the paint stays as it is. Raises `InputError` where it was not.
        """
        facts = photo.state.facts
        try:
            digest = self.digest()
        except InputError:
            if self._was_laid(facts):
                return
            raise
        if facts.get("start") != digest:
            self._lay(photo, self.trimap(photo), digest)

    def _was_laid(self, facts: dict[str, Any]) -> bool:
        """Whether a file of this name was laid; older states know no name."""
        return facts.get("start") is not None and facts.get("start_file", self._name) == self._name

    @property
    def _name(self) -> str:
        return as_text(str(self.file.absolute()))

    def digest(self) -> str:
        """What tells whether the same was laid before."""
        return digest_of(self.file)

    def trimap(self, photo: Photo) -> NDArray[np.uint8]:
        """The trimap of the file, uint8 (H, W) of 0, 128 and 255."""
        what = None if self.what == "kept" else self.what
        options = self.reading.limits
        return trimap_from(self.file, photo, what=what, name=str(self.file), options=options, snap=self.snap)

    def _lay(self, photo: Photo, trimap: NDArray[np.uint8], digest: str) -> None:
        base = measured(trimap)
        photo.painting.do(photo.painting.sequence + 1, lambda labels: labels.set_base(base))
        photo.state.note(start=digest, start_file=self._name, laid=photo.painting.read(painted))


def trimap_from(
    source: Source,
    photo: Photo,
    *,
    what: Meaning | None = None,
    name: str = "the picture",
    options: ReadOptions | None = None,
    snap: int = 0,
) -> NDArray[np.uint8]:
    """The trimap, uint8 (H, W) of 0, 128 and 255, of a photo from a file or its content.

    `what` says what the picture is. Without it, a picture with few greys of a trimap's kind is one, and any other is a
    mask, a matte or a cut-out. Raises `InputError`.
    """
    size, photo_name = (photo.width, photo.height), photo.path.name
    values = read_values(source, options=options or ReadOptions())
    if what is None:
        what = "trimap" if _is_trimap(values) else "mask"
    if what == "trimap":
        trimap = from_values(values, snap=snap, name=name)
        check_size((trimap.shape[1], trimap.shape[0]), size, name=name, image_name=photo_name)
        return trimap
    matte = matte_of(values, name)
    check_size(
        (matte.shape[1], matte.shape[0]),
        (photo.width, photo.height),
        name=name,
        image_name=photo.path.name,
        what="mask",
    )
    return MaskRecipe().make(matte, photo=np.asarray(photo.view().array), name=name, on_note=lambda _: None)


def _is_trimap(values: NDArray[Any]) -> bool:
    """Whether a picture has black, white and one grey between, as trimaps have, and not the two values of a mask."""
    grey = values if values.ndim == 2 else values[..., 1]
    if values.ndim == 3 and values.shape[2] == 4 and np.ptp(values[..., 3]) > 0:
        return False
    if grey.dtype.kind == "f":
        grey = np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)
    elif grey.dtype == np.uint16:
        grey = (grey >> 8).astype(np.uint8)
    counts = np.bincount(grey.ravel(), minlength=256)
    middle = counts[1:255]
    common = np.count_nonzero(middle > 0.001 * grey.size)
    return bool(common == 1 and middle.max() > 0.98 * middle.sum())
