"""Places the subject in the output, by one resampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from mattecli.compositing.arrays import Floats
from mattecli.compositing.finishing import Finishing, in_pixels
from mattecli.compositing.plates import finite, is_plain
from mattecli.compositing.subject import Subject, find_subject, turned
from mattecli.errors import DeviceError, InputError
from mattecli.geometry import WHOLE, Box, Edges, tiles
from mattecli.imaging.pixels import as_float
from mattecli.system import memory

_TILE = 1024  # pixels of the output, or about twice as many of the photo, on each side at a time
_CERTAIN = 1 / 16  # from this alpha up, colours are those of the premultiplied picture alone
_BYTES = 32  # of an output's pixel: alpha, light, three colours, and the picture that is made of them
_NEAR_SIDE = 0.999  # of a pixel of the output: sides that are nearer to each other are one side, rounded
_NEAR = 8  # pixels: extremes farther away are found in steps
_NO_END = Edges(top=False, bottom=False, left=False, right=False)
_SHARPEN = 0.7  # sigma of the blur that sharpening takes away, in pixels


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How the photo's pixels come to their places: turned by `degrees` clockwise, scaled, and moved.

    The point `source` of the photo comes to the point `target` of the output. Points are (x, y) in pixels from the top
    left corner; the middle of the first pixel is (0.5, 0.5). `size` is the output's width and height.
    """

    size: tuple[int, int]
    source: tuple[float, float]
    target: tuple[float, float]
    scale: float = 1.0
    degrees: float = 0.0
    sharpen: float = 0.0

    def plane(self, values: Floats, *, outside: float = 0.0) -> Floats:
        """Values (H, W) in [0, 1] in the output's frame (h, w), with `outside` around the photo.

        Where photo and output end within a pixel of the output, the values go on: a subject that the photo cuts has no
        half-transparent rim there.
        """
        width, height = self.size
        result, ends = np.empty((height, width), np.float32), self._ends(values.shape)
        for tile in self._tiles():
            view = _View(self, tile)
            result[tile.slices] = view.cubic(_window(values, view.seen, ends=ends, outside=outside))
        return np.clip(result, 0, 1, out=result)

    def colours(self, foreground: NDArray[Any], alpha: Floats) -> Floats:
        """Straight colours (H, W, 3) in the output's frame; `alpha` (H, W) is theirs in the photo's.

        They are resampled premultiplied: P is that of αF, A that of α, and the colour is P/A. Near A = 0 the ratio says
        little, and it gives way to the nearest F. A cubic kernel would leave dark rings around bright points of a
        plate, so nothing becomes darker or brighter there than what the kernel sees.
        """
        width, height = self.size
        result, plain = np.empty((height, width, 3), np.float32), is_plain(foreground)
        ends = self._ends(alpha.shape)
        for tile in self._tiles():
            view = _View(self, tile)
            front = as_float(_window(foreground, view.seen))
            if view.exact:
                result[tile.slices] = front
                continue
            share, front = _window(alpha, view.seen, ends=ends), front if plain else finite(front)
            placed = view.nearest(front)
            if share.any():
                below = view.cubic(share)[..., None]
                weight = np.clip(below * np.float32(2 / _CERTAIN) - 1, 0, 1)
                mixed = view.cubic(front * share[..., None]) / np.maximum(below, np.float32(_CERTAIN / 4))
                placed = weight * mixed + (1 - weight) * placed
                placed = placed if plain else np.clip(placed, *view.bounds(front))
            result[tile.slices] = placed
        bounds = (0, 1) if plain else (result.min(), result.max())
        if self.sharpen and self.scale < 1:
            result += np.float32(self.sharpen / 100) * (result - cv2.GaussianBlur(result, (0, 0), _SHARPEN))
            np.clip(result, *bounds, out=result)
        return np.clip(result, 0, 1, out=result) if plain else result

    def point(self, x: float, y: float) -> tuple[float, float]:
        """The photo's point that comes to a point of the output."""
        turn = math.radians(self.degrees)
        across, down = (x - self.target[0]) / self.scale, (y - self.target[1]) / self.scale
        return (
            self.source[0] + across * math.cos(turn) + down * math.sin(turn),
            self.source[1] - across * math.sin(turn) + down * math.cos(turn),
        )

    def _ends(self, shape: tuple[int, ...]) -> Edges:
        """The sides at which a photo of that shape (H, W) ends, and the output does not end within a pixel of that."""
        if self.degrees:
            return WHOLE
        left, top = (to - self.scale * of - _NEAR_SIDE for to, of in zip(self.target, self.source, strict=True))
        right, bottom = (
            size - to - self.scale * (side - of) - _NEAR_SIDE
            for size, to, of, side in zip(self.size, self.target, self.source, (shape[1], shape[0]), strict=True)
        )
        return Edges(top=top >= 0, bottom=bottom >= 0, left=left >= 0, right=right >= 0)

    def _tiles(self) -> Iterator[Box]:
        width, height = self.size
        return tiles(height, width, int(max(16, min(_TILE, 2 * _TILE * self.scale))))


def find_placement(alpha: Floats, options: Finishing, *, name: str = "the photo") -> tuple[Placement, list[str]]:
    """Where the options put the subject of a matte, float32 (H, W), and what the user should know of it.

    Raises InputError where the matte has no subject, and DeviceError for an output that the memory cannot hold.
    """
    height, width = alpha.shape
    scale = options.scale or 1.0
    if options.crop is None and options.canvas is None:
        size = (max(1, round(scale * width)), max(1, round(scale * height)))
        middle, target = (width / 2, height / 2), (size[0] / 2, size[1] / 2)
        notes = _enlarged(scale)
        if options.rotate and (subject := find_subject(alpha, degrees=options.rotate)) is not None:
            x, y = turned(*middle, options.rotate)
            corner = target[0] - scale * x, target[1] - scale * y
            notes += _cuts(subject, _placement(options, size, (0.0, 0.0), corner, scale))
        _check_room(size, options)
        return _placement(options, size, middle, target, scale), notes
    subject = find_subject(alpha, degrees=options.rotate)
    if subject is None:
        raise InputError(f"{name}: the matte is empty, so there is no subject to place")
    if options.canvas is None:
        size, corner = _cropped(subject, options, scale)
    else:
        size = options.canvas
        scale, corner = _on_canvas(subject, options, size)
    if scale == 1 and not options.rotate:
        corner = (round(corner[0]), round(corner[1]))  # whole pixels, which come out as they are
    _check_room(size, options)
    place = _placement(options, size, (0.0, 0.0), corner, scale)
    return place, [*_enlarged(scale), *_cuts(subject, place)]


def _check_room(size: tuple[int, int], options: Finishing) -> None:
    """Raise DeviceError for an output that the free memory cannot hold, with its colours and its shadow."""
    width, height = size
    needed = width * height * _BYTES
    if needed > (free := memory.free_bytes_for(needed)):
        given = [f"`{name}`" for name in ("canvas", "scale", "margin") if options.given().get(name)]
        remedy = f"give it a smaller {' or '.join(given)}" if given else "close other programs, or add `scale`"
        raise DeviceError(
            f"an output of {width}×{height} pixels takes {memory.show_bytes(needed)} of memory, but "
            f"{memory.show_bytes(free)} is free; {remedy}"
        )


def _placement(
    options: Finishing, size: tuple[int, int], source: tuple[float, float], target: tuple[float, float], scale: float
) -> Placement:
    return Placement(
        size=size, source=source, target=target, scale=scale, degrees=options.rotate, sharpen=options.sharpen
    )


def _cropped(subject: Subject, options: Finishing, scale: float) -> tuple[tuple[int, int], tuple[float, float]]:
    """The size of a picture around the subject, and where the turned photo's corner comes to in it."""
    wide, high = math.ceil(scale * subject.size[0] - 1e-6), math.ceil(scale * subject.size[1] - 1e-6)
    margin = round(in_pixels(options.margin, (high, wide)))
    return (wide + 2 * margin, high + 2 * margin), (margin - scale * subject.left, margin - scale * subject.top)


def _on_canvas(subject: Subject, options: Finishing, canvas: tuple[int, int]) -> tuple[float, tuple[float, float]]:
    """The scale, and where the turned photo's corner comes to on the canvas."""
    width, height = canvas
    margin = in_pixels(options.margin, (height, width))
    share = 1.0 if options.fill is None else options.fill
    room = options.room(canvas)
    scale = options.scale or min(room[0] / subject.size[0], room[1] / subject.size[1])
    x, y = (subject.left + subject.right) / 2, (subject.top + subject.bottom) / 2
    to_x, to_y = width / 2, height / 2
    if options.at == "mass":
        x, y = subject.mass
    elif options.at.startswith("bottom"):
        gap = options.at.partition(":")[2]
        below = float(gap.rstrip("%")) / 100 * height if gap else margin + (1 - share) / 2 * height
        y, to_y = subject.baseline, height - below
    elif "," in options.at:
        to_x, to_y = (_place(text, side) for text, side in zip(options.at.split(","), canvas, strict=True))
    return scale, (to_x - scale * x, to_y - scale * y)


def _place(text: str, side: int) -> float:
    return float(text.rstrip("%")) / 100 * side if text.endswith("%") else float(text)


def _enlarged(scale: float) -> list[str]:
    return [f"the subject is enlarged to {100 * scale:.0f} %, so it looks soft"] if scale > 1.005 else []


def _cuts(subject: Subject, place: Placement) -> list[str]:
    """What is said of sides that cut the subject: those of the photo, and those of the output."""
    (width, height), scale, (x, y) = place.size, place.scale, place.target
    out = {
        "left": scale * subject.left + x,
        "top": scale * subject.top + y,
        "right": width - scale * subject.right - x,
        "bottom": height - scale * subject.bottom - y,
    }
    over = [side for side, free in out.items() if free < -1]
    notes = [f"the output cuts the subject at the {_and(over)}"] if over else []
    if shown := [side for side in subject.cut if out[side] > 1]:
        notes.append(f"the photo cuts the subject at the {_and(shown)}, and this edge shows in the output")
    return notes


def _and(sides: list[str]) -> str:
    return " and the ".join(sides)


class _View:
    """What a tile of the output sees of the photo: the window `seen`, and how its pixels come into the tile.

    A photo that is not turned is resampled by a kernel as wide as the scale asks for, at whatever fraction of a pixel.
    A turned one is sampled first, with cubic interpolation, at a multiple of the output's size. Its samples lie at most
    a pixel of the photo apart, so that nothing between them is missed.
    """

    def __init__(self, placement: Placement, tile: Box) -> None:
        self._placement, self._tile = placement, tile
        self._fine = math.ceil(1 / placement.scale) if placement.degrees and placement.scale < 1 else 1
        self._outer = tile.grow(3 if self._fine > 1 else 0)
        outer = self._outer
        corners = [placement.point(x, y) for x in (outer.left, outer.right) for y in (outer.top, outer.bottom)]
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        self._box = (min(xs), min(ys), max(xs), max(ys))
        self.exact = placement.scale == 1 and not placement.degrees and all(side.is_integer() for side in self._box)
        self._kernel = math.ceil(2 * max(1.0, 1 / placement.scale))  # half of its width, in pixels of the photo
        reach = 0 if self.exact else self._kernel + 1
        self.seen = Box(math.floor(min(ys)), math.ceil(max(ys)), math.floor(min(xs)), math.ceil(max(xs))).grow(reach)

    def cubic(self, window: Floats) -> Floats:
        """The window's values (h, w) or (h, w, 3) in the tile, by a cubic kernel."""
        return self._resampled(window, cv2.INTER_CUBIC, PIL.Image.Resampling.BICUBIC)

    def nearest(self, window: Floats) -> Floats:
        """The same by the nearest pixel."""
        return self._resampled(window, cv2.INTER_NEAREST, PIL.Image.Resampling.NEAREST)

    def bounds(self, window: Floats) -> tuple[Floats, Floats]:
        """The least and the greatest of the window's values that the kernel sees, in the tile."""
        low, high = (_extreme(window, self._kernel, choose) for choose in (cv2.erode, cv2.dilate))
        return self.nearest(low), self.nearest(high)

    def _resampled(self, window: Floats, interpolation: int, kernel: PIL.Image.Resampling) -> Floats:
        if self.exact:
            return window
        if not self._placement.degrees:
            left, top, right, bottom = self._box
            x, y = self.seen.left, self.seen.top
            return _shrunk(window, self._tile, (left - x, top - y, right - x, bottom - y), kernel)
        size = (self._outer.width * self._fine, self._outer.height * self._fine)
        flags = interpolation | cv2.WARP_INVERSE_MAP
        samples = cv2.warpAffine(window, self._matrix(), size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        if self._fine == 1:
            return np.asarray(samples, np.float32)
        first, width, height = 3 * self._fine, self._tile.width * self._fine, self._tile.height * self._fine
        return _shrunk(samples, self._tile, (first, first, first + width, first + height), kernel)

    def _matrix(self) -> NDArray[np.float64]:
        """From a sample to the window, both counted in pixels from the middle of the first one."""
        step = 1 / self._fine
        x, y = self._outer.left + step / 2, self._outer.top + step / 2
        first, right, below = (self._placement.point(*at) for at in ((x, y), (x + step, y), (x, y + step)))
        return np.array(
            [
                [right[0] - first[0], below[0] - first[0], first[0] - 0.5 - self.seen.left],
                [right[1] - first[1], below[1] - first[1], first[1] - 0.5 - self.seen.top],
            ]
        )


def _extreme(values: Floats, reach: int, choose: Callable[..., Any]) -> Floats:
    """The least (`cv2.erode`) or greatest (`cv2.dilate`) of the values (h, w, 3) in squares, up to `reach` away."""
    near = min(reach, _NEAR)
    result = choose(values, np.ones((2 * near + 1, 2 * near + 1), np.uint8), borderType=cv2.BORDER_REPLICATE)
    while near < reach:  # nine squares, side by side, make one that is up to three times as wide
        step = min(2 * near + 1, reach - near)
        corners = np.zeros((2 * step + 1, 2 * step + 1), np.uint8)
        corners[::step, ::step] = 1
        result, near = choose(result, corners, borderType=cv2.BORDER_REPLICATE), near + step
    return np.asarray(result, np.float32)


def _shrunk(
    window: NDArray[Any], tile: Box, box: tuple[float, float, float, float], kernel: PIL.Image.Resampling
) -> Floats:
    """The part `box` (left, top, right, bottom) of a window at the size of a tile."""
    planes = window[..., None] if window.ndim == 2 else window
    size = (tile.width, tile.height)
    made = [
        np.asarray(PIL.Image.fromarray(np.ascontiguousarray(planes[..., channel])).resize(size, kernel, box=box))
        for channel in range(planes.shape[2])
    ]
    return np.asarray(made[0] if window.ndim == 2 else np.stack(made, axis=2), np.float32)


def _window(values: NDArray[Any], box: Box, *, ends: Edges = _NO_END, outside: float = 0.0) -> NDArray[Any]:
    """A window of values that may reach beyond them: `outside` there at the sides of `ends`, else the nearest value."""
    height, width = values.shape[:2]
    if box.clip(height, width) == box:
        return np.ascontiguousarray(values[box.slices])
    rows, columns = np.arange(box.top, box.bottom), np.arange(box.left, box.right)
    result = np.ascontiguousarray(values[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)])
    result[((rows < 0) & ends.top) | ((rows >= height) & ends.bottom)] = outside
    result[:, ((columns < 0) & ends.left) | ((columns >= width) & ends.right)] = outside
    return result
