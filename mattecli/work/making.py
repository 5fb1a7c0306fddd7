"""How a job's trimap is made from what the user has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_alpha, read_values
from mattecli.imaging.reading.limits import DEFAULT
from mattecli.imaging.reading.open import label
from mattecli.imaging.view import network_view
from mattecli.trimaps.check import check_size
from mattecli.trimaps.keying import key_trimap
from mattecli.trimaps.make import certain_parts, with_certain
from mattecli.trimaps.pairs import over_data_window
from mattecli.trimaps.recipe import MaskRecipe
from mattecli.trimaps.sources import key_word, parse_key
from mattecli.trimaps.strokes import read_strokes

Note = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Making:
    """What a job's trimap is made from, and which files say what is certain.

    With `key`, a screen's colour as `parse_key` takes it, it is made from the photo alone. With `model` it is made from
    the mask that this model of rembg finds, with `recipe` alone from the mask that the job names. Without any of them
    the job's trimap is read; with `resize` it may have another size than the photo.

    `core`, `garbage` and `strokes` are files. The first two win over the strokes, and these over everything else.
    """

    recipe: MaskRecipe | None = None
    key: str | None = None
    model: str | None = None
    resize: bool = False
    strokes: str | None = None
    core: str | None = None
    garbage: str | None = None

    @property
    def of_photo(self) -> bool:
        """Whether the photo alone gives the trimap."""
        return self.key is not None or self.model is not None

    @property
    def of_mask(self) -> bool:
        """Whether the trimap is made from a mask: the job's, or one that a model finds."""
        return self.recipe is not None or self.model is not None

    @property
    def what(self) -> str:
        """What the job's file `trimap` is, in messages and reports."""
        return "mask" if self.of_mask else "trimap"

    @property
    def files(self) -> list[str]:
        """The files beside the trimap or mask."""
        return [path for path in (self.strokes, self.core, self.garbage) if path is not None]

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Making:
        """The same from `dataclasses.asdict`."""
        recipe = fields["recipe"]
        return cls(**{**fields, "recipe": None if recipe is None else MaskRecipe(**recipe)})

    def words(self) -> list[Any]:
        """What a batch hashes of it. A change here would make folders of users be matted again.

        Raises InputError for a model's file that cannot be read.
        """
        certain = [self.core is not None, self.garbage is not None]
        words: list[Any] = [] if self.recipe is None else self.recipe.words()
        words += certain if self.recipe is not None or any(certain) else []
        model = self.model
        if model is not None:
            from mattecli.trimaps.auto import model_word

            model = model_word(model)
        key = None if self.key is None else key_word(self.key)
        asked = {"key": key, "auto": model, "resized": self.resize or None}
        return words + [[word, value] for word, value in asked.items() if value is not None]

    def make(
        self,
        photo: Image,
        view: NDArray[Any],
        *,
        name: str,
        on_note: Note,
        mask: str = "",
        reading: ReadOptions = DEFAULT,
        on_fact: Note = lambda _: None,
    ) -> NDArray[np.uint8]:
        """The trimap, uint8 (H, W) of 0, 128 and 255, of a photo and its `view` in sRGB, (H, W, 3).

        `mask` is the mask's file, where the job has one, and `name` the photo's name in messages. The limits of
        `reading` hold for all files. Of what is certain, the trimap of a screen knows nothing; see `overrule`. Raises
        `InputError` as `key_trimap`, `SubjectFinder.find`, `make_trimap` and `read_strokes` do, and what `open_model`
        raises. `on_note` is called with what the user should know, `on_fact` with what was found.
        """
        if self.key is not None:
            trimap, findings = key_trimap(view, colour=parse_key(self.key), name=name)
            for finding, tell in zip(findings, [on_fact, *[on_note] * len(findings)], strict=False):
                tell(finding)
            return trimap
        if self.model is None:
            matte: NDArray[Any] = read_alpha(mask, options=reading.limits)
            mask_name = label(mask)
        else:
            from mattecli.trimaps.auto import open_model

            matte, mask_name = open_model(self.model).find(view, name=name), f"the mask of {name}"
        return self.of_matte(matte, photo, view, name=mask_name, photo_name=name, reading=reading, on_note=on_note)

    def of_matte(
        self,
        matte: NDArray[Any],
        photo: Image | None,
        view: NDArray[Any] | None = None,
        *,
        name: str,
        photo_name: str,
        reading: ReadOptions = DEFAULT,
        on_note: Note,
    ) -> NDArray[np.uint8]:
        """The trimap of a mask or matte (H, W), with its photo or without.

        For an OpenEXR plate it may have the size of its display window, as in `read_pair`. The limits of `reading`
        hold for the files of what is certain. Raises `InputError` for any other size than the photo's, and as `make`
        does.
        """
        if photo is not None:
            view = network_view(photo) if view is None else view
            matte = over_data_window(matte, photo.metadata.windows)
            size = (matte.shape[1], matte.shape[0])
            check_size(size, photo.size, name=name, image_name=photo_name, what="mask")
        strokes = self._strokes(photo, photo_name, reading)
        core, garbage = certain_parts(
            matte.shape,
            strokes=strokes,
            core=self.core,
            garbage=self.garbage,
            name=name,
            windows=None if photo is None else photo.metadata.windows,
            reading=reading.limits,
            on_note=on_note,
        )
        recipe = self.recipe or MaskRecipe()
        return recipe.make(matte, photo=view, core=core, garbage=garbage, name=name, on_note=on_note)

    def overrule(
        self,
        trimap: NDArray[np.uint8],
        photo: Image,
        *,
        name: str,
        photo_name: str,
        reading: ReadOptions = DEFAULT,
        on_note: Note,
    ) -> NDArray[np.uint8]:
        """A trimap with what is certain; `name` is its name in messages, and `reading` limits the files."""
        if not self.files:
            return trimap
        strokes = self._strokes(photo, photo_name, reading)
        return with_certain(
            trimap,
            strokes=strokes,
            core=self.core,
            garbage=self.garbage,
            name=name,
            windows=photo.metadata.windows,
            reading=reading.limits,
            on_note=on_note,
        )

    def _strokes(self, photo: Image | None, name: str, reading: ReadOptions) -> NDArray[np.uint8] | None:
        if self.strokes is None:
            return None
        return read_strokes(
            read_values(self.strokes, options=reading.limits),
            None if photo is None else photo.pixels,
            name=label(self.strokes),
            photo_name=name,
            windows=None if photo is None else photo.metadata.windows,
        )
