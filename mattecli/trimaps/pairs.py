"""Reads a photo with its trimap."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.given import Given, given_name, given_values
from mattecli.imaging.image import Image
from mattecli.imaging.metadata import Windows
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import has_windows, read_image, read_size, read_values
from mattecli.imaging.reading.open import Source, is_pipe, label
from mattecli.imaging.view import network_view
from mattecli.imaging.windows import moved
from mattecli.trimaps.check import as_codes, check_size, from_values
from mattecli.trimaps.lint import worst_finding
from mattecli.trimaps.resize import check_aspect, resized


class Pair(NamedTuple):
    """A photo, its trimap, uint8 (H, W) of 0, 128 and 255, and the photo as the network sees it; see `network_view`."""

    photo: Image
    trimap: NDArray[np.uint8]
    view: NDArray[Any]


def read_trimap(
    source: Source, *, snap: int = 0, reading: ReadOptions | None = None, name: str | None = None
) -> NDArray[np.uint8]:
    """A trimap as uint8 (H, W) of 0, 128 and 255: background, unknown, foreground.

    `mattecli.trimaps.check.from_values` says what the values mean, what `snap` does and what is refused.
    `name` stands in messages in place of the file's.
    """
    name = name or label(source)
    return from_values(read_values(source, options=_no_layer(reading), name=name), snap=snap, name=name)


def given_trimap(given: Given, *, snap: int = 0, name: str = "the trimap") -> NDArray[np.uint8]:
    """A trimap for the network, uint8 (H, W): 0 background, 255 foreground, everything else unknown.

    `given` is an array, a PIL image, or a file; what its values mean: see `mattecli.trimaps.check.from_values`. Raises
    `InputError` as that does, and for anything else.
    """
    name = given_name(given, name)
    return as_codes(given_values(given, name), snap=snap, name=name)


def pair_size(
    photo: Source,
    trimap: Source,
    *,
    what: str = "trimap",
    reading: ReadOptions | None = None,
    resize: bool | None = None,
) -> tuple[int, int]:
    """Width and height of a photo, from its header. Raises `InputError` if its trimap (or mask) has another size.

    With `resize` its aspect alone must fit; False makes the message name `resize_trimap`. The trimap of an OpenEXR
    plate may have another size, which `read_pair` compares with the display window.
    """
    size = read_size(photo, options=reading or ReadOptions(), name=given_name(photo, "the image"))
    if not has_windows(photo):
        names = {"name": source_name(trimap, f"the {what}"), "image_name": source_name(photo, "the image")}
        found = read_size(trimap, options=_no_layer(reading), name=given_name(trimap, f"the {what}"))
        if resize:
            check_aspect(found, size, **names)
        else:
            check_size(found, size, **names, what=what, resizable=resize is False)
    return size


def read_pair(
    photo: Source,
    trimap: Source,
    *,
    snap: int = 0,
    reading: ReadOptions | None = None,
    exposure: float = 0.0,
    resize: bool | None = None,
    overrule: Callable[[NDArray[np.uint8], Image], NDArray[np.uint8]] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Pair:
    """Read a photo and its trimap. Different sizes are found before decoding, unless one of them is a pipe.

    `reading` is for both, but its layer is the photo's. The pixels of an OpenEXR plate are those of its data window.
    A trimap of the display window's size is extended at its edges, or cut, to the data window. With `resize` a trimap
    of another size is brought to the photo's, or to the display window's; see `_window`, `resized` and `pair_size`.
    `exposure` is that of the photo's view. `overrule` gives the trimap with what is certain, of the trimap and the
    photo, before the linter looks at it. `on_note` is called with the worst that the linter finds, as far as the
    trimap can be matted, and with what was resized.
    """
    if not any(map(is_pipe, (photo, trimap))):
        pair_size(photo, trimap, reading=reading, resize=resize)
    trimap_name = given_name(trimap, "the trimap")
    picture = read_image(photo, options=reading or ReadOptions(), name=given_name(photo, "the image"))
    values = read_values(trimap, options=_no_layer(reading), name=trimap_name)
    values = over_data_window(values, picture.metadata.windows)
    known = from_values(values, snap=snap, name=trimap_name)
    names = {"name": source_name(trimap, "the trimap"), "image_name": source_name(photo, "the image")}
    if resize and known.shape[::-1] != picture.size:
        windows = picture.metadata.windows
        size, what = _window(known.shape[::-1], picture.size, windows)
        known, note = resized(known, size, **names, what=what)
        values = known = over_data_window(known, windows)
        if on_note is not None:
            on_note(note)
    check_size((known.shape[1], known.shape[0]), picture.size, **names, resizable=resize is False)
    if overrule is not None:
        known = overrule(known, picture)
    view = network_view(picture, exposure=exposure)
    if on_note is not None and (worst := worst_finding(values, known, view, **names)):
        on_note(str(worst))
    return Pair(picture, known, view)


def _window(trimap: tuple[int, int], data: tuple[int, int], windows: Windows | None) -> tuple[tuple[int, int], str]:
    """The (width, height) that a trimap of another size belongs to, and its name: a plate's data or display window.

    That window counts which is a whole number of times as large or small, else the one whose aspect is nearer. Where
    both are alike in that, it is the display window.
    """
    if windows is None or windows.display[2:] == data:
        return data, "size"
    (width, height), display = trimap, windows.display[2:]

    def misfit(size: tuple[int, int]) -> tuple[bool, float]:
        return not _whole_times(trimap, size), round(abs(math.log(size[0] * height / (size[1] * width))), 9)

    if misfit(data) < misfit(display):
        return data, "data window"
    return display, "display window"


def _whole_times(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether one of two sizes is the other divided by a whole number, rounded up or down."""
    small, large = sorted((one, other))
    times = round(large[0] / small[0])
    return all(abs(side / times - part) < 1 for side, part in zip(large, small, strict=True))


def over_data_window(values: NDArray[Any], windows: Windows | None) -> NDArray[Any]:
    """A trimap, mask or matte (h, w, …) for an OpenEXR plate's data window.

    One of the display window's size is moved there, and its edges continue beyond it; any other stays as it is. Where
    both windows have one size, it lies in the data window, as our own outputs do.
    """
    if windows is None or values.shape[1::-1] != windows.display[2:] or windows.display[2:] == windows.data[2:]:
        return values
    return moved(values, windows.display, windows.data)


def trimap_note(unknown: float, trimap: str) -> str | None:
    """A warning for a trimap with no unknown pixels or only unknown pixels; otherwise None."""
    if unknown == 0:
        return f"{trimap} has no unknown pixels, so the alpha is the trimap itself; mark soft edges grey"
    if unknown == 1:
        return f"{trimap} has only unknown pixels; mark some sure foreground and background for a good matte"
    return None


def _no_layer(reading: ReadOptions | None) -> ReadOptions:
    return dataclasses.replace(reading or ReadOptions(), layer=None)


def source_name(source: Source, otherwise: str) -> str:
    return otherwise if isinstance(source, bytes) else str(source)
