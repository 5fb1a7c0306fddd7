"""What training samples are made of: the `[data]` table of a training configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mattecli.errors import UsageError

FOLDERS = ("photos", "foregrounds", "own", "cache")  # the settings that hold paths


@dataclass(frozen=True)
class DataConfig:
    """Folders, shares and probabilities of training scenes; every default trains without any folder.

    `photos` are folders of photographs (backgrounds and textures); `foregrounds` folders of cut-outs (RGBA files, or
    NAME_photo + NAME_alpha pairs whose photo still holds its background); `own` folders with `fg/`, `alpha/` and
    `bg/`, or RGBA cut-outs in `fg/`. Shares are weights among the origins that are there; probabilities lie in [0, 1];
    ranges are (low, high). Lengths are pixels of a 512 crop unless said otherwise.

    Raises `UsageError` for a value outside its range.
    """

    # What there is
    photos: tuple[str, ...] = ()
    foregrounds: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    cache: str = ""  # folder for decoded photos and ready foregrounds, shared by workers and runs; "" = in memory

    # What a foreground is
    procedural: float = 0.7  # shares of the three origins
    cutouts: float = 0.3
    own_share: float = 1.0
    kinds: Mapping[str, float] = field(default_factory=dict)  # weights of procedural kinds; a kind not named has 1
    groups: Mapping[str, float] = field(default_factory=dict)  # weights of cut-outs by name's first word, likewise
    bank: int = 2048  # different procedural foregrounds; 0 = a new one for each sample
    foreground_size: int = 768  # side of a procedural foreground
    largest_side: int = 1280  # photos and cut-outs are shrunk to it when read
    merge: float = 0.25  # two foregrounds at once

    # Geometry: source pixels to a crop pixel, degrees, shares
    zoom: tuple[float, float] = (0.6, 2.0)
    whole: float = 0.25  # the whole foreground fitted into the crop
    rotation: float = 25.0
    shear: float = 0.12
    flip: float = 0.5

    # Colours
    jitter: float = 1.0  # strength of the colour jitter of foreground and background; 0 = none
    near_colours: float = 0.2  # foreground colours drawn towards the background's
    linear: float = 0.8  # composited in linear light, as a lens does it; the rest in display values, as programs do

    # Backgrounds
    photo_background: float = 0.85  # against a procedural one, where photos are there
    background_blur: float = 0.5

    # Camera damage of the composite
    camera: float = 0.6  # samples that are damaged at all; the rest are clean
    noise: float = 0.5  # each among the damaged
    jpeg: float = 0.5
    blur: float = 0.2
    sharpen: float = 0.2
    resample: float = 0.15
    grade: float = 0.5  # contrast, white balance

    # Trimaps
    dilation: tuple[float, float] = (1.0, 30.0)
    uneven: float = 0.4
    loose: float = 0.12
    loose_dilation: tuple[float, float] = (30.0, 70.0)
    brush: float = 0.35  # thin islands of known pixels removed, as a hand would draw
    no_sure_foreground: float = 0.04

    def __post_init__(self) -> None:
        for name in ("photos", "foregrounds", "own"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise UsageError(f'data.{name} = "{value}" is one text; give a list of folders: ["{value}"]')
            object.__setattr__(self, name, tuple(str(folder) for folder in value))
        for name in ("zoom", "dilation", "loose_dilation"):
            self._check_range(name)
        for name in _PROBABILITIES:
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"data.{name} = {getattr(self, name)} is no probability; give a number from 0 to 1")
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if not value >= least:
                fact = "negative" if least == 0 else "too small"
                raise UsageError(f"data.{name} = {value} is {fact}; give {least} or more")
            if value > most:
                raise UsageError(f"data.{name} = {value} is too large; give no more than {most}")
        if not self.origins():
            raise UsageError(
                "every origin of foregrounds has share 0 or no folder; "
                "raise data.procedural, or give data.foregrounds or data.own"
            )

    def origins(self) -> dict[str, float]:
        """The origins a foreground can come from, with their shares (above 0, not normalised)."""
        shares = {
            "procedural": self.procedural,
            "cutouts": self.cutouts if self.foregrounds else 0.0,
            "own": self.own_share if self.own else 0.0,
        }
        return {name: share for name, share in shares.items() if share > 0}

    def _check_range(self, name: str) -> None:
        value = tuple(getattr(self, name))
        if len(value) != 2 or not 0 < value[0] <= value[1]:
            raise UsageError(f"data.{name} = {list(value)} is no range; give two numbers above 0, the lower one first")
        if value[1] > _LARGEST[name]:
            raise UsageError(f"data.{name} = {list(value)} is too much; give no more than {_LARGEST[name]}")
        object.__setattr__(self, name, (float(value[0]), float(value[1])))


_LIMITS: Mapping[str, tuple[float, float]] = {  # smallest and largest value
    "procedural": (0, 1e9),
    "cutouts": (0, 1e9),
    "own_share": (0, 1e9),
    "jitter": (0, 5),
    "shear": (0, 2),
    "rotation": (0, 180),
    "bank": (0, 2**31),
    "foreground_size": (64, 4096),
    "largest_side": (64, 2**31),
}
_LARGEST = {"zoom": 64, "dilation": 512, "loose_dilation": 512}
_PROBABILITIES = (
    *("merge", "whole", "flip", "near_colours", "linear", "photo_background", "background_blur"),
    *("camera", "noise", "jpeg", "blur", "sharpen", "resample", "grade"),
    *("uneven", "loose", "brush", "no_sure_foreground"),
)
