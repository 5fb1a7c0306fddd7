"""Sources of training pictures: folders of photographs and cut-outs."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.foreground import estimate_foreground
from mattecli.errors import InputError, UsageError
from mattecli.imaging.image import SUFFIXES
from mattecli.imaging.read import read_alpha, read_image
from mattecli.system.files import is_folder
from mattecli.system.folders import as_read, pictures_in
from mattecli.training.data import foregrounds, random
from mattecli.training.data.cache import Cache, file_stamp, key_of
from mattecli.training.data.config import DataConfig
from mattecli.training.data.foregrounds.canvas import blur, premultiplied, straight
from mattecli.training.data.random import Draw, name_at

Bytes = NDArray[np.uint8]

_BANK_SEED = 1_000_003  # foreground k is the same for every training seed, so one cache serves all runs
_VERSION = 5  # of how cut-outs are prepared; part of their cache key
_FAINT = 24  # of 255
_OPAQUE = 250  # of 255: such a pixel's colour was hardly divided
_FAINT_COLOUR = 64  # of 255: the colours of pixels below are those near them
_SMOOTH = 1.2  # standard deviation, pixels, over which the colours of soft pixels are averaged
_SMALLEST = 8  # pixels of a cut-out's shorter side
_PARTNERS = {"photo": "alpha", "alpha": "photo"}  # endings of a pair's names


@dataclass(frozen=True)
class CutoutFiles:
    """One cut-out on disk: an RGBA file, or a file of colours and one of alpha."""

    colour: Path
    alpha: Path | None = None
    holds_background: bool = False  # the photo still shows its background


class Sources:
    """The pictures of a configuration. They are listed at once and read when they are asked for.

    `photo`, `cutout` and `procedural` give uint8 arrays that may be mapped files: do not write to them. A foreground is
    straight RGBA (H, W, 4); where its alpha is 0 the colours of the neighbourhood go on smoothly.

    Raises InputError for a folder that is missing or without pictures, a cut-out without its alpha, and two pictures of
    one name; when a picture is read, for one that is damaged or whose colours and alpha differ in size. Raises
    UsageError for weights in `kinds`, `groups` or `photo_weights` that name nothing or leave nothing.
    """

    def __init__(self, config: DataConfig) -> None:
        self._config = config
        self.photos: list[Path] = [path for folder in config.photos for path in all_pictures(Path(folder))]
        cutouts = [files for folder in config.foregrounds for files in _cutouts(Path(folder))]
        self.cutouts = _grouped(cutouts, tuple(config.groups))
        own = [_own_folder(Path(folder)) for folder in config.own]
        self.own = [files for pairs, _ in own for files in pairs]
        self.photos += [path for _, backgrounds in own for path in backgrounds]
        self._shares = np.cumsum(_photo_weights(config.photo_weights, [path.stem for path in self.photos]))
        self._cache = Cache(config.cache or None)
        self._textures = _Textures(self)
        self._kinds = _weights({**foregrounds.DEFAULT_WEIGHTS, **config.kinds}, foregrounds.KINDS, "data.kinds")
        self._groups = _weights(config.groups, tuple(self.cutouts), "data.groups")

    def photo(self, share: float) -> Bytes:
        """The photograph (H, W, 3) at this share, in [0, 1), of the list, in which each counts by its weight."""
        return self.photo_at(int(np.searchsorted(self._shares, share * self._shares[-1], side="right")))

    def photo_at(self, index: int) -> Bytes:
        """The photograph (H, W, 3) at this place of the list."""
        path = self.photos[index]
        side = self._config.largest_side
        return self._cache.array(key_of("photo", file_stamp(path), side), lambda: _limited(_read_colours(path), side))

    def cutout(self, origin: str, group: float, share: float) -> Bytes:
        """The cut-out at this share, in [0, 1), of the list of a group; `origin` is "cutouts" or "own"."""
        members = self.own if origin == "own" else self.cutouts[name_at(self._groups, group)]
        files = members[int(share * len(members))]
        stamps = [file_stamp(path) for path in (files.colour, files.alpha) if path]
        side = self._config.largest_side
        key = key_of("cutout", _VERSION, files.holds_background, side, *stamps)
        return self._cache.array(key, lambda: prepare_cutout(files, largest_side=side))

    def procedural(self, number: int) -> Bytes:
        """The procedural foreground of this number, the same for every training seed."""
        size = self._config.foreground_size
        draw = Draw(_BANK_SEED, number)
        kind = draw.weighted(self._kinds)
        parameters = foregrounds.draw_parameters(kind, draw)
        key = key_of("procedural", _makers_digest(), kind, parameters, size, self._textures.stamp)

        def make() -> Bytes:
            made = foregrounds.make_foreground(kind, parameters, size, photos=self._textures)
            return np.dstack([made.colour, made.alpha])

        return self._cache.array(key, make)


def prepare_cutout(files: CutoutFiles, *, largest_side: int) -> Bytes:
    """A cut-out as scenes use it: RGBA with smooth colours under alpha 0. A binary alpha is shrunk to make it soft.

    Raises InputError for files that cannot be used.
    """
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
        estimated = estimate_foreground(colour, alpha.astype(np.float32) / 255, linear=True)
        colour = np.round(estimated * 255).astype(np.uint8)
    colour, alpha = spread_colours(colour, alpha), _closed(alpha)
    if _is_binary(alpha):
        height, width = alpha.shape
        half = (max(1, width // 2), max(1, height // 2))
        colour, alpha = (_shrink(plane, half) for plane in (colour, alpha))
    colour, alpha = _limited(colour, largest_side), _limited(alpha, largest_side)
    if min(alpha.shape) < _SMALLEST:  # OpenCV hangs when it mirrors a line of single pixels
        raise InputError(f"{name} is {alpha.shape[1]}×{alpha.shape[0]} as training sees it; remove it from the folder")
    if not alpha.any():
        raise InputError(f"{name} has nothing left of its alpha as training sees it; remove it from the folder")
    return np.dstack([colour, alpha])


def spread_colours(colour: Bytes, alpha: Bytes) -> Bytes:
    """Colours (H, W, 3) in which pixels of low alpha take those near them, the coarser the more transparent.

    Where a picture's colours were divided by its alpha, those of soft pixels are noise: that of a renderer's few
    samples, or of 8 bits. Composited, it would tell the network where the foreground is soft. So where soft pixels
    differ from their neighbours much more than opaque ones do, they take an average as well.
    """
    picture = np.dstack([colour, alpha]).astype(np.float32) * np.float32(1 / 255)
    smooth = 255 * np.clip(straight(blur(premultiplied(picture[:, :, :3], picture[:, :, 3]), _SMOOTH)), 0, 1)
    share = np.where(alpha < _FAINT_COLOUR, np.float32(1), _noise(colour - smooth, alpha) * (alpha < _OPAQUE))
    return _bytes(np.rint(colour + (smooth - colour) * share[:, :, None]).astype(np.uint8))


def _noise(detail: NDArray[np.float32], alpha: Bytes) -> np.float32:
    """How much of the soft pixels' detail (H, W, 3) is noise, from 0 to 1.

    0 where it is up to 1.2 times that of opaque pixels, as in some photographed leaves, 1 from twice on, as in most
    path-traced hair.
    """
    opaque = alpha >= _OPAQUE
    soft = (alpha >= _FAINT_COLOUR) & ~opaque
    if not soft.any() or not opaque.any():
        return np.float32(0)
    size = np.abs(detail).mean(2)
    ratio = float(size[soft].mean()) / max(float(size[opaque].mean()), 1.0)
    return np.float32(np.clip((ratio - 1.2) / 0.8, 0, 1))


class _Textures(Sequence[Bytes]):
    """The photographs as a sequence, for procedural foregrounds; each is read when it is used."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        side = [sources._config.largest_side] if sources.photos else []  # at which they are read
        self.stamp = key_of(*(f"{path.name} {path.stat().st_size}" for path in sources.photos), *side)

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
        return self._sources.photo_at(index % len(self))


@cache
def _makers_digest() -> str:
    """A digest of the code that makes foregrounds, so that a cache gives none of an older version."""
    folder = Path(foregrounds.__file__).parent
    digest = hashlib.sha256(cv2.__version__.encode())
    for path in [*sorted(folder.glob("*.py")), Path(random.__file__)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _weights(given: Mapping[str, float], names: tuple[str, ...], setting: str) -> dict[str, float]:
    for name in given:
        if not names:
            raise UsageError(
                f"{setting} names {name}, but there are no cut-outs; name their folders in data.foregrounds"
            )
        if name not in names:
            raise UsageError(f"{setting} names {name}, which is not one of {', '.join(names)}; correct the name")
    filled = {name: float(given.get(name, 1.0)) for name in names}
    if names and (min(filled.values()) < 0 or not any(filled.values())):
        raise UsageError(f"{setting} needs weights of 0 or more, and one above 0; raise one of {', '.join(names)}")
    return filled


def _photo_weights(given: Mapping[str, float], names: Sequence[str]) -> list[float]:
    """The weight of each name: that of the longest start that it has, or 1."""
    for start in given:
        if not any(_begins(name, start) for name in names):
            raise UsageError(f"data.photo_weights names {start}, but no photograph's name begins so; correct the name")
    weights = [_longest(given, name) for name in names]
    filled = [1.0 if start is None else float(given[start]) for start in weights]
    if names and not any(filled):
        raise UsageError("data.photo_weights leaves no photograph; raise one of its weights")
    return filled


def _longest(starts: Iterable[str], name: str) -> str | None:
    """The longest of the starts that a name begins with."""
    return max((start for start in starts if _begins(name, start)), key=len, default=None)


def _begins(name: str, start: str) -> bool:
    """Whether a name begins with a start, which ends where a word or number of the name ends."""
    return re.match(rf"{re.escape(start)}(?![^\W_])", name) is not None


def all_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder and its subfolders, sorted, without hidden files and folders.

    Raises InputError for a folder that is missing, cannot be read or holds no pictures.
    """
    if not is_folder(folder):
        raise InputError(f"{folder} is not a folder; name a folder that holds pictures")
    found: list[Path] = []
    for parent, folders, _ in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [path for path in pictures_in(Path(parent), SUFFIXES) if path.is_file()]
    if not found:
        raise InputError(f"{folder} holds no pictures; put PNG, JPEG, WebP or TIFF files there")
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be read as a folder ({error.strerror}); check it") from error


def by_name(pictures: Iterable[Path], folder: Path) -> dict[str, Path]:
    """The pictures by their paths in the folder, without suffix, with letters composed as people read them.

    Raises InputError for two pictures of one name, because it is not clear which one is meant.
    """
    named: dict[str, Path] = {}
    for path in pictures:
        name = as_read(path.relative_to(folder).with_suffix("").as_posix())
        if name in named:
            raise InputError(f"{named[name]} and {path.name} have the same name; keep only one of them")
        named[name] = path
    return named


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
    """The cut-outs in `fg/` with their alphas in `alpha/`, and the backgrounds in `bg/`."""
    if not is_folder(folder / "fg"):
        raise InputError(f"{folder} has no folder fg; put foregrounds into it, alphas into alpha, backgrounds into bg")
    colours = by_name(all_pictures(folder / "fg"), folder / "fg")
    backgrounds = all_pictures(folder / "bg") if is_folder(folder / "bg") else []
    if not is_folder(folder / "alpha"):
        return [CutoutFiles(path) for path in colours.values()], backgrounds
    alphas = by_name(all_pictures(folder / "alpha"), folder / "alpha")
    pairs = []
    for name, path in colours.items():
        if name not in alphas:
            raise InputError(
                f"{path} has no alpha of the same name in {folder / 'alpha'}; add it or remove the foreground"
            )
        pairs.append(CutoutFiles(path, alphas[name]))
    return pairs, backgrounds


def _grouped(cutouts: list[CutoutFiles], starts: tuple[str, ...]) -> dict[str, list[CutoutFiles]]:
    """Cut-outs by the first word of the name: fifty similar pictures are one group and do not outnumber five.

    A name that begins with one of `starts` is in the group of the longest such start instead. A start ends where a word
    or number of the name ends: render_1 does not take render_10.
    """
    groups: dict[str, list[CutoutFiles]] = {}
    for files in cutouts:
        name = files.colour.stem
        start = _longest(starts, name)
        word = re.match(r"[^\W\d_]*", name)
        groups.setdefault(start or (word[0] if word else "") or "other", []).append(files)
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
    """The alpha without the faint glow that reaches the border of its picture, where it would be cut visibly."""
    rest = max(int(edge.max()) for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    if not 0 < rest <= _FAINT:
        return alpha
    if alpha.max() <= rest:  # not a glow but a veil as faint as one
        return alpha
    table = np.clip((np.arange(256) - rest) / (255 - rest), 0, 1) * 255
    return np.asarray(cv2.LUT(alpha, np.round(table).astype(np.uint8)), np.uint8)


def _is_binary(alpha: Bytes) -> bool:
    """Whether the edge jumps from 0 to 255 without values between."""
    jumps = np.count_nonzero((alpha[:, 1:] == 255) & (alpha[:, :-1] == 0))
    soft = np.count_nonzero((alpha > 0) & (alpha < 255))
    return bool(jumps * 2 > soft)
