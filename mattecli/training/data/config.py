"""The `[data]` table: what training samples are made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, model_validator

from mattecli.training.settings import FolderName, Pair, Settings, Several, Share, fault, rule


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise fault("must be two numbers, the lower one first; swap them")
    return value


Folders = Annotated[tuple[FolderName, ...], Several]
Weight = Annotated[float, Field(ge=0, le=1e9)]
_Zoom = Annotated[float, Field(gt=0, le=64)]
_Width = Annotated[float, Field(gt=0, le=512)]  # pixels of a 512 crop
_ZoomRange = Annotated[tuple[_Zoom, _Zoom], Pair, AfterValidator(_ordered)]
_WidthRange = Annotated[tuple[_Width, _Width], Pair, AfterValidator(_ordered)]


class DataConfig(Settings):
    """Folders, shares and probabilities of training scenes. With the defaults training needs no folder.

    Shares are weights among the origins that exist. Probabilities lie in [0, 1]. Ranges are (low, high). Lengths are
    pixels of a 512 crop unless said otherwise.
    """

    table_name: ClassVar[str] = "data"

    # Folders
    photos: Folders = ()  # photographs: backgrounds and textures
    photo_weights: Mapping[str, Weight] = {}  # how often a photograph is a background, by the start of its name; else 1
    foregrounds: Folders = ()  # cut-outs: RGBA files, or NAME_photo + NAME_alpha whose photo still has its background
    own: Folders = ()  # folders with fg/, alpha/ and bg/, or with RGBA cut-outs in fg/
    cache: FolderName = ""  # for decoded photos and ready foregrounds, shared by workers and runs; "": in memory

    # Foregrounds
    procedural: Weight = 0.7  # shares of the three origins
    cutouts: Weight = 0.3
    own_share: Weight = 1.0
    kinds: Mapping[str, float] = {}  # weights of procedural kinds; one that is not named has 1, `mesh` 0
    groups: Mapping[str, float] = {}  # weights of cut-outs by first word or longer start of the name; others have 1
    bank: Annotated[int, Field(ge=0, le=2**31)] = 2048  # different procedural foregrounds; 0: a new one each sample
    foreground_size: Annotated[int, Field(ge=64, le=4096)] = 768  # side of a procedural foreground, pixels
    largest_side: Annotated[int, Field(ge=64, le=2**31)] = 1280  # larger photos and cut-outs are shrunk to it, pixels
    merge: Share = 0.25  # probability of two foregrounds in one sample

    # Geometry
    zoom: _ZoomRange = (0.6, 2.0)  # source pixels to a crop pixel
    whole: Share = 0.25  # probability that the whole foreground is fitted into the crop
    opaque: Share = 0.0  # probability that a crop is looked for where some of the foreground is opaque
    rotation: Annotated[float, Field(ge=0, le=180)] = 25.0  # standard deviation, degrees
    shear: Annotated[float, Field(ge=0, le=2)] = 0.12  # standard deviation
    flip: Share = 0.5

    # Colours
    jitter: Annotated[float, Field(ge=0, le=5)] = 1.0  # strength of the colour jitter; 0: none
    near_colours: Share = 0.2  # probability that foreground colours move towards the background's
    near_by_channel: Share = 0.0  # probability that these move as light and pigment do, and one channel stays
    own_light: Share = 0.0  # probability that foreground and background have an exposure and a warmth of their own
    linear: Share = 0.8  # probability of compositing in linear light, as a lens does; else in sRGB values
    between: Share = 0.0  # probability of a mixture somewhere between these two instead

    # Backgrounds
    photo_background: Share = 0.85  # probability of a photograph rather than a pattern, where there are photographs
    background_blur: Share = 0.5
    # Probability that a foreground stands in the background, where `merge` adds none and the trimap knows both sides
    things_behind: Share = 0.0

    # Damage of the composite by camera and file; probabilities
    camera: Share = 0.6  # that a sample is damaged at all; the following are among the damaged
    noise: Share = 0.5
    jpeg: Share = 0.5
    blur: Share = 0.2
    sharpen: Share = 0.2
    resample: Share = 0.15
    grade: Share = 0.5  # contrast and white balance

    # Trimaps
    dilation: _WidthRange = (1.0, 30.0)  # width of the unknown band on each side of the edge
    uneven: Share = 0.4  # probability that the width varies along the edge
    loose: Share = 0.12  # probability of a width from `loose_dilation` instead
    loose_dilation: _WidthRange = (30.0, 70.0)
    brush: Share = 0.35  # probability that thin islands of known pixels are removed, as a hand would draw
    no_sure_foreground: Share = 0.04  # probability that no pixel is known as foreground
    solid: Share = 0.0  # probability that the inside of dense hair and the like is known, though its pixels are soft

    def origins(self) -> dict[str, float]:
        """The origins that a foreground can come from, with their shares (above 0, not normalised)."""
        shares = {
            "procedural": self.procedural,
            "cutouts": self.cutouts if self.foregrounds else 0.0,
            "own": self.own_share if self.own else 0.0,
        }
        return {name: share for name, share in shares.items() if share > 0}

    def with_absolute_folders(self) -> DataConfig:
        """The same settings, valid from any working folder."""
        changes: dict[str, Any] = {"cache": str(Path(self.cache).absolute()) if self.cache else ""}
        for name in ("photos", "foregrounds", "own"):
            changes[name] = tuple(str(Path(folder).absolute()) for folder in getattr(self, name))
        return self.replace(**changes)

    @model_validator(mode="after")
    def _check_origins(self) -> DataConfig:
        if not self.origins():
            raise rule(
                "every origin of foregrounds has share 0 or no folder; "
                "raise data.procedural, or give folders in data.foregrounds or data.own"
            )
        return self
