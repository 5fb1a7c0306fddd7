"""What is wrong with a trimap, and what to type."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.given import Given, given_name, given_photo, given_values
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_image
from mattecli.imaging.view import network_view
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, check_size, from_values, unknown
from mattecli.trimaps.clean import depth, specks
from mattecli.trimaps.place import cut_share, find_better_place

FLAT = 0.25  # of a soft matte's grey pixels, no value has more than this
GREYS = 48  # so many values of grey make a soft matte
ONE_SIDED = 0.08  # unknown parts below this share of the picture may touch only one side
DEEP = 0.05  # and so may larger ones that are nowhere deeper than this, in diagonals
LONELY = 0.2  # unknown pixels farther than this from anything known, in diagonals
SPECKS, SPECK_AREA = 20, 6  # so many known parts of up to so many pixels, right in the other known side
CUT = 0.14  # a band that cuts the edge on more of its length is named


@dataclass(frozen=True)
class Finding:
    """Something wrong with a trimap. `refused` means that it cannot be matted; `command` is what to type."""

    kind: str
    message: str
    command: str
    refused: bool = False

    def __str__(self) -> str:
        return f"{self.message}; {self.command}"


def check_trimap(
    trimap: Given,
    *,
    photo: Given | None = None,
    snap: int = 0,
    name: str = "the trimap",
    reading: ReadOptions | None = None,
) -> list[Finding]:
    """What is wrong with a trimap, worst first; an empty list if nothing is.

    `trimap` and `photo` are arrays, PIL images or files. The photo is needed to see a wrong size, a flip or shift, and
    a band that cuts the edge; it counts as `read_pair` takes it. `reading` says how its file is read, and its limits
    hold for the trimap, too. Raises `InputError` for files that cannot be read.
    """
    from mattecli.trimaps.pairs import over_data_window  # which needs this module

    options = reading or ReadOptions()
    values, name = given_values(trimap, name, options=options.limits), given_name(trimap, name)
    shown = None if photo is None else _photo(photo, options)
    if shown is not None:
        values = over_data_window(values, shown.metadata.windows)
    try:
        codes = from_values(values, snap=snap, name=name)
    except InputError as error:
        return [Finding("values", *_halves(str(error)), refused=True)]
    picture = None if shown is None else network_view(shown)
    image = given_name(photo, "photo.jpg")
    if picture is not None:
        try:
            size = (picture.shape[1], picture.shape[0])
            check_size((codes.shape[1], codes.shape[0]), size, name=name, image_name=image)
        except InputError as error:
            return [Finding("size", *_halves(str(error)), refused=True)]
    found = value_findings(values, codes, name=name, image=image)
    return found + code_findings(codes, picture, name=name, image=image)


def _photo(photo: Given, reading: ReadOptions) -> Image:
    """The photo; of a file the colours that are hidden by transparency count, as in `read_pair`."""
    if isinstance(photo, (str, Path, bytes)):
        return read_image(photo, options=reading)
    return given_photo(photo, "the photo")


def value_findings(values: NDArray[Any], codes: NDArray[np.uint8], *, name: str, image: str) -> list[Finding]:
    """What the values of a file say, before they become a trimap: a hard mask or a soft matte."""
    made = f"make a trimap with `matte trimap {name} --photo {image}`"
    open_ = unknown(codes)
    if not open_.any():
        if (codes == FOREGROUND).any() and (codes == BACKGROUND).any():
            return [Finding("hard mask", f"{name} is a hard mask without unknown pixels", made)]
        return []
    grey = values if values.ndim == 2 else values[..., :3].max(axis=2)
    levels = grey[open_]
    if levels.dtype.kind == "f":
        levels = np.round(levels * 255)
    _, counts = np.unique(levels, return_counts=True)
    if len(counts) >= GREYS and counts.max() < FLAT * counts.sum():
        return [Finding("soft matte", f"{name} is a soft matte with {len(counts)} values of grey", made)]
    return []


def code_findings(
    codes: NDArray[np.uint8], photo: NDArray[Any] | None, *, name: str, image: str, first: bool = False
) -> list[Finding]:
    """What the labels of a trimap say, and with the photo where they lie on it: all, or the `first`. Worst first."""
    checks: list[Callable[[], Finding | None]] = [lambda: _missing_side(codes, name, image)]
    if photo is not None and codes.shape == photo.shape[:2]:
        cuts = cache(partial(cut_share, codes, photo))  # both checks need it
        checks += [lambda: _misplaced(codes, photo, cuts, name, image), lambda: _cutting(cuts, name)]
    checks += [lambda: _one_sided(codes, name), lambda: _lonely(codes, name), lambda: _specks(codes, name)]
    found: list[Finding] = []
    for check in checks:
        if (finding := check()) is not None:
            found.append(finding)
            if first:
                break
    return found


def worst_finding(
    values: NDArray[Any], codes: NDArray[np.uint8], photo: NDArray[Any], *, name: str, image_name: str
) -> Finding | None:
    """The worst that is wrong with a trimap that can be matted; the checks after it are not made.

    A trimap that is known everywhere or nowhere is left to `trimap_note`.
    """
    open_ = unknown(codes)
    if not open_.any() or open_.all():
        return None
    found = value_findings(values, codes, name=name, image=image_name)
    found = found or code_findings(codes, photo, name=name, image=image_name, first=True)
    return found[0] if found else None


def cutting(share: float, name: str) -> Finding:
    """The finding that a trimap's band cuts the edge on that share of its length."""
    return Finding(
        "narrow band",
        f"{name} cuts hair or blur off on {share:.0%} of its border: the unknown part is too narrow there",
        f"widen it with `matte trimap {name} --erode 1% --dilate 1%`, or paint it wider",
    )


def _halves(sentence: str) -> tuple[str, str]:
    fact, _, remedy = sentence.partition("; ")
    return fact, remedy


def _missing_side(codes: NDArray[np.uint8], name: str, image: str) -> Finding | None:
    for value, side, colour in ((FOREGROUND, "foreground", "white"), (BACKGROUND, "background", "black")):
        if not (codes == value).any():
            command = f"paint some of it {colour}, or make one from a mask with `matte trimap mask.png --photo {image}`"
            return Finding(f"no {side}", f"{name} has no sure {side}", command)
    return None


def _misplaced(
    codes: NDArray[np.uint8], photo: NDArray[Any], cuts: Callable[[], float], name: str, image: str
) -> Finding | None:
    place = find_better_place(codes, photo, cuts=cuts)
    if place is None:
        return None
    if place.turn:
        return Finding(
            "orientation",
            f"{name} fits {image} better {place.turn}",
            f"turn it in an image editor, or export it from {image} again",
        )
    across, down = place.offset
    return Finding(
        "offset",
        f"{name} fits {image} better when moved by about {across:+d}, {down:+d} pixels (right, down)",
        f"move it there in an image editor, or export it from {image} again",
    )


def _cutting(cuts: Callable[[], float], name: str) -> Finding | None:
    share = cuts()
    return cutting(share, name) if share > CUT else None


def _one_sided(codes: NDArray[np.uint8], name: str) -> Finding | None:
    """A large unknown part that touches only foreground or only background."""
    if not all((codes == value).any() for value in (FOREGROUND, BACKGROUND)):
        return None
    count, labels, facts, _ = cv2.connectedComponentsWithStats(unknown(codes).view(np.uint8), connectivity=8)
    touched = []
    for value in (FOREGROUND, BACKGROUND):
        beside = cv2.dilate((codes == value).view(np.uint8), np.ones((3, 3), np.uint8)) > 0
        found = np.zeros(count, np.bool_)
        found[np.unique(labels[beside])] = True
        touched.append(found)
    large = facts[:, cv2.CC_STAT_AREA] > ONE_SIDED * codes.size
    far = np.zeros(count, np.bool_)
    far[np.unique(labels[depth(unknown(codes)) > DEEP * math.hypot(*codes.shape)])] = True
    large &= far
    for found, side in ((touched[1], "foreground"), (touched[0], "background")):
        lone = large & ~found
        lone[0] = False
        if lone.any():
            part = int(np.argmax(np.where(lone, facts[:, cv2.CC_STAT_AREA], 0)))
            x, y, w, h = (int(facts[part, key]) for key in range(4))
            return Finding(
                "one side",
                f"{name} has an unknown part of {w}×{h} pixels at {x}, {y} that touches only {side}",
                f"mark it as {side} if it is, or add the other side's pixels, as with `--core` or `--garbage`",
            )
    return None


def _lonely(codes: NDArray[np.uint8], name: str) -> Finding | None:
    open_ = unknown(codes)
    if open_.all():
        return None
    far = depth(open_) > LONELY * math.hypot(*codes.shape)
    if float(far.mean()) < 0.002:
        return None
    return Finding(
        "far from anything known",
        f"{name} is unknown on {far.mean():.1%} of the picture far from anything known",
        "mark some sure foreground or background there, as with `--core` or `--garbage` of `matte trimap`",
    )


def _specks(codes: NDArray[np.uint8], name: str) -> Finding | None:
    count = 0
    for value, other in ((BACKGROUND, FOREGROUND), (FOREGROUND, BACKGROUND)):
        parts = specks(codes == value, SPECK_AREA)
        beside = cv2.dilate((codes == other).view(np.uint8), np.ones((3, 3), np.uint8)) > 0
        count += len(np.unique(parts[beside & (parts > 0)]))
    if count < SPECKS:
        return None
    return Finding(
        "specks",
        f"{name} has {count} specks of up to {SPECK_AREA} pixels",
        "remove them in an image editor, or make the trimap again with `matte trimap MASK --min-area 50 "
        "--fill-holes 50`",
    )
