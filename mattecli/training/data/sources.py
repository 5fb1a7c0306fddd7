"""Where training scenes take their pictures from: folders of photographs, of cut-outs and of users' own data."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.foreground import estimate_foreground
from mattecli.errors import InputError, UsageError
from mattecli.imaging.read import read_alpha, read_image
from mattecli.training.data import foregrounds
from mattecli.training.data.cache import Store, file_stamp, key_of
from mattecli.training.data.config import DataConfig
from mattecli.training.data.pictures import all_pictures, by_name
from mattecli.training.data.random import Draw

Bytes = NDArray[np.uint8]

_BANK_SEED = 1_000_003  # foreground number k is the same for every training seed: a cache serves all runs
_VERSION = 2  # of how cut-outs are prepared; part of their cache key
_FAINT = 24  # of 255
_SMALLEST = 8  # pixels of a cut-out's shorter side
_PARTNERS = {"photo": "alpha", "alpha": "photo"}  # endings of a pair's names


@dataclass(frozen=True)
class CutoutFiles:
    """One cut-out on disk: an RGBA file, or colours and alpha apart."""

    colour: Path
    alpha: Path | None = None
    holds_background: bool = False  # the photo still shows its background around and through the foreground


class Sources:
    """The pictures of a configuration, found at once and read when asked for.

    `photo`, `cutout` and `procedural` give arrays that may lie in a file: they must not be written to. A foreground is
    straight RGBA (H, W, 4) whose colours go on smoothly where its alpha is 0. All uint8.

    Raises `InputError` for a folder that is missing, holds no pictures, a cut-out without its alpha or two of one name;
    and, when a picture is read, for one that is unreadable or whose colours and alpha differ in size.
    """

    def __init__(self, config: DataConfig) -> None:
        self._config = config
        self.photos: list[Path] = [path for folder in config.photos for path in all_pictures(Path(folder))]
        self.cutouts = _grouped([files for folder in config.foregrounds for files in _cutouts(Path(folder))])
        own = [_own_folder(Path(folder)) for folder in config.own]
        self.own = [files for pairs, _ in own for files in pairs]
        self.photos += [path for _, backgrounds in own for path in backgrounds]
        self._store = Store(config.cache or None)
        self._textures = _Textures(self)
        self._kinds = _weights(config.kinds, foregrounds.KINDS, "data.kinds")
        self._groups = _weights(config.groups, tuple(self.cutouts), "data.groups")

    def photo(self, share: float) -> Bytes:
        """The photograph (H, W, 3) at a share of the list's length, in [0, 1)."""
        path = self.photos[int(share * len(self.photos))]
        side = self._config.largest_side
        return self._store.array(key_of("photo", file_stamp(path), side), lambda: _limited(_read_colours(path), side))

    def cutout(self, origin: str, group: float, share: float) -> Bytes:
        """The cut-out of origin "cutouts" or "own" at a share of its list; `group`, too, in [0, 1)."""
        members = self.own if origin == "own" else self.cutouts[_at(self._groups, group)]
        files = members[int(share * len(members))]
        stamps = [file_stamp(path) for path in (files.colour, files.alpha) if path]
        side = self._config.largest_side
        key = key_of("cutout", _VERSION, files.holds_background, side, *stamps)
        return self._store.array(key, lambda: prepare_cutout(files, largest_side=side))

    def procedural(self, number: int) -> Bytes:
        """The procedural foreground of that number, the same for every seed."""
        size = self._config.foreground_size
        draw = Draw(_BANK_SEED, number)
        kind = draw.weighted(self._kinds)
        parameters = foregrounds.draw_parameters(kind, draw.rng)
        key = key_of("procedural", _makers_digest(), kind, parameters, size, self._textures.stamp)

        def make() -> Bytes:
            made = foregrounds.make_foreground(kind, parameters, size, photos=self._textures)
            return np.dstack([made.colour, made.alpha])

        return self._store.array(key, make)


def prepare_cutout(files: CutoutFiles, *, largest_side: int) -> Bytes:
    """A cut-out as scenes use it: RGBA with smooth colours under alpha 0, a binary alpha shrunk until it is soft."""
    if files.alpha is None:
        pixels = _bytes(read_image(files.colour, keep_alpha=True).pixels)
        if pixels.shape[2] != 4:
            raise InputError(f"{files.colour} has no alpha channel; save it as RGBA, or put its alpha beside it")
        colour, alpha = pixels[:, :, :3], np.ascontiguousarray(pixels[:, :, 3])
    else:
        colour = _read_colours(files.colour)
        alpha = np.round(read_alpha(files.alpha) * 255).astype(np.uint8)
        if colour.shape[:2] != alpha.shape:
            raise InputError(
                f"{files.alpha} is {alpha.shape[1]}×{alpha.shape[0]} but {files.colour} is "
                f"{colour.shape[1]}×{colour.shape[0]}; give both the same size"
            )
    name = files.alpha or files.colour
    if not alpha.any():
        raise InputError(f"{name} has an alpha of 0 everywhere; remove it from the folder")
    if files.holds_background:
        colour, alpha = _limited(colour, largest_side), _limited(alpha, largest_side)
        estimated = estimate_foreground(colour, alpha.astype(np.float32) / 255)
        colour = np.round(estimated * 255).astype(np.uint8)
    colour, alpha = spread_colours(colour, alpha), _closed(alpha)
    if _is_binary(alpha):
        height, width = alpha.shape
        half = (max(1, width // 2), max(1, height // 2))
        colour, alpha = (_shrink(plane, half) for plane in (colour, alpha))
    colour, alpha = _limited(colour, largest_side), _limited(alpha, largest_side)
    if min(alpha.shape) < _SMALLEST:  # OpenCV hangs where it is to mirror a line of single pixels
        raise InputError(
            f"{name} is {alpha.shape[1]}×{alpha.shape[0]} as training would see it; remove it from the folder"
        )
    if not alpha.any():
        raise InputError(f"{name} has nothing left of its alpha as training would see it; remove it from the folder")
    return np.dstack([colour, alpha])


def spread_colours(colour: Bytes, alpha: Bytes) -> Bytes:
    """Colours (H, W, 3) in which pixels of alpha 0 take on what is near them, coarser with the distance.

    Normalised averages over a pyramid, filled in from coarse to fine (Gortler and others, "The lumigraph", 1996).
    """
    weight = alpha.astype(np.float32)[:, :, None] * np.float32(1 / 255)
    levels: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = [(colour * weight, weight)]
    while max(levels[-1][0].shape[:2]) > 1:
        height, width = levels[-1][0].shape[:2]
        half = (-(-width // 2), -(-height // 2))
        sums, weight = (
            np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), np.float32) for plane in levels[-1]
        )
        levels.append((sums, weight.reshape(*sums.shape[:2], 1)))
    sums, weight = levels.pop()
    filled = sums / np.maximum(weight, 1e-6)
    while levels:
        sums, weight = levels.pop()
        height, width = sums.shape[:2]
        coarse = np.asarray(cv2.resize(filled, (width, height)), np.float32).reshape(sums.shape)
        sure = np.minimum(weight * 4, 1)  # little weight is little knowledge
        filled = coarse + (sums / np.maximum(weight, 1e-6) - coarse) * sure
    visible = alpha[:, :, None] >= 64  # their own colours, untouched
    return np.where(visible, colour, np.clip(np.round(filled), 0, 255).astype(np.uint8))


class _Textures(Sequence[Bytes]):
    """The photographs as the makers of foregrounds see them: read when looked at."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.stamp = key_of(*(f"{path.name} {path.stat().st_size}" for path in sources.photos))

    def __len__(self) -> int:
        return len(self._sources.photos)

    @overload
    def __getitem__(self, index: int) -> Bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Bytes]: ...
    def __getitem__(self, index: int | slice) -> Bytes | Sequence[Bytes]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._sources.photo((index % len(self) + 0.5) / len(self))


@cache
def _makers_digest() -> str:
    """Changes with the makers' source: foregrounds of an older version are not taken from a cache."""
    folder = Path(foregrounds.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _weights(given: Mapping[str, float], names: tuple[str, ...], setting: str) -> dict[str, float]:
    for name in given:
        if not names:
            raise UsageError(
                f"{setting} names {name}, but there are no cut-outs; name their folders in data.foregrounds"
            )
        if name not in names:
            raise UsageError(f"{setting} names {name}, which is none of {', '.join(names)}")
    filled = {name: float(given.get(name, 1.0)) for name in names}
    if names and (min(filled.values()) < 0 or not any(filled.values())):
        raise UsageError(f"{setting} needs weights of 0 or more, and one above 0; raise one of {', '.join(names)}")
    return filled


def _at(weights: dict[str, float], point: float) -> str:
    rest = point * sum(weights.values())
    for name, weight in weights.items():
        rest -= weight
        if rest < 0:
            return name
    return next(name for name in reversed(list(weights)) if weights[name] > 0)


def _cutouts(folder: Path) -> list[CutoutFiles]:
    """NAME_photo + NAME_alpha pairs and RGBA files of a folder."""
    named = by_name(all_pictures(folder), folder)
    cutouts = []
    for name, path in named.items():
        base, line, ending = name.rpartition("_")
        if not line or ending not in _PARTNERS:
            cutouts.append(CutoutFiles(path))
            continue
        wanted = f"{base}_{_PARTNERS[ending]}"
        if wanted not in named:
            raise InputError(
                f"{path} has no {Path(wanted).name} beside it; add the {_PARTNERS[ending]} or remove the {ending}"
            )
        if ending == "photo":
            cutouts.append(CutoutFiles(path, named[wanted], holds_background=True))
    return cutouts


def _own_folder(folder: Path) -> tuple[list[CutoutFiles], list[Path]]:
    """Cut-outs of `fg/` with their `alpha/`, and the backgrounds of `bg/`."""
    if not (folder / "fg").is_dir():
        raise InputError(f"{folder} has no folder fg; put foregrounds there, their alphas in alpha, backgrounds in bg")
    colours = by_name(all_pictures(folder / "fg"), folder / "fg")
    backgrounds = all_pictures(folder / "bg") if (folder / "bg").is_dir() else []
    if not (folder / "alpha").is_dir():
        return [CutoutFiles(path) for path in colours.values()], backgrounds
    alphas = by_name(all_pictures(folder / "alpha"), folder / "alpha")
    pairs = []
    for name, path in colours.items():
        if name not in alphas:
            raise InputError(f"{path} has no alpha of its name in {folder / 'alpha'}; add it or remove the foreground")
        pairs.append(CutoutFiles(path, alphas[name]))
    return pairs, backgrounds


def _grouped(cutouts: list[CutoutFiles]) -> dict[str, list[CutoutFiles]]:
    """By the first word of the name: a set of fifty like pictures is one group, and does not drown five others."""
    groups: dict[str, list[CutoutFiles]] = {}
    for files in cutouts:
        word = re.match(r"[^\W\d_]*", files.colour.stem)
        groups.setdefault((word[0] if word else "") or "other", []).append(files)
    return groups


def _read_colours(path: Path) -> Bytes:
    return _bytes(read_image(path).pixels)


def _bytes(pixels: NDArray[np.generic]) -> Bytes:
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    largest = 65535 if pixels.dtype == np.uint16 else 1
    return np.round(np.clip(pixels.astype(np.float32) / largest, 0, 1) * 255).astype(np.uint8)


def _limited(plane: Bytes, side: int) -> Bytes:
    height, width = plane.shape[:2]
    if max(height, width) <= side:
        return plane
    scale = side / max(height, width)
    return _shrink(plane, (max(1, round(width * scale)), max(1, round(height * scale))))


def _shrink(plane: Bytes, size: tuple[int, int]) -> Bytes:
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)


def _closed(alpha: Bytes) -> Bytes:
    """Without the faint rest that a glow has at its picture's border: it would go on beyond it."""
    rest = max(int(edge.max()) for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    if not 0 < rest <= _FAINT:
        return alpha
    if alpha.max() <= rest:  # no glow, but a veil as faint as that
        return alpha
    table = np.clip((np.arange(256) - rest) / (255 - rest), 0, 1) * 255
    return np.asarray(cv2.LUT(alpha, np.round(table).astype(np.uint8)), np.uint8)


def _is_binary(alpha: Bytes) -> bool:
    """Whether the edge jumps from 0 to 255 rather than going through what lies between."""
    jumps = np.count_nonzero((alpha[:, 1:] == 255) & (alpha[:, :-1] == 0))
    soft = np.count_nonzero((alpha > 0) & (alpha < 255))
    return bool(jumps * 2 > soft)
