"""Draws at four times the size and puts layers together."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.training.data.foregrounds.noise import Field, Points

Premultiplied = Field  # (size, size, 4): premultiplied red, green, blue and alpha in [0, 1]

_FINE = 4  # pixels of the drawing to one of the picture, on each side
# OpenCV also fills the pixels on a polygon's outline, one to a row or column of the drawing. So level and upright
# strokes are too wide by this many pixels, and slanted ones by less.
_BORDER = 1 / _FINE
_SHIFT = 4  # binary places of a coordinate handed to OpenCV
_DEEP = 2.5  # standard deviation of the window that says how many strands lie together, in pixels of a 640 picture
_FAR = 32000 / _FINE  # pixels; OpenCV's fixed point ends at 32767


@dataclass(frozen=True)
class Foreground:
    """A foreground to composite: true alpha and true colours.

    `colour` (H, W, 3) is straight RGB, `alpha` (H, W), both uint8; where alpha is 0 the colour goes on smoothly, so
    that resizing mixes in no other colour. `solid` is False if nothing is surely foreground (smoke, veils, webs): then
    a trimap may have no white.
    """

    colour: NDArray[np.uint8]
    alpha: NDArray[np.uint8]
    kind: str
    solid: bool


class Canvas:
    """Draws opaque polygons and ribbons with anti-aliased edges on a transparent picture of four times the size.

    Coordinates and widths are in pixels of the final picture. Blending (r, g, b, 255) by coverage into all four
    channels is exactly "over" on premultiplied colours. Polygons are an eighth of a pixel too large on each side.
    Ribbons have their width from a quarter of a pixel on, exactly level or upright ones a multiple of it near that.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._pixels = np.zeros((_FINE * size, _FINE * size, 4), np.uint8)

    def polygon(self, points: Points, colour: Points | tuple[float, float, float]) -> None:
        """Fill the polygon of points (N, 2) with an RGB colour in [0, 1]."""
        red, green, blue = (float(np.clip(255 * channel, 0, 255)) for channel in colour)
        cv2.fillPoly(self._pixels, [_fixed(points)], (red, green, blue, 255.0), cv2.LINE_8, _SHIFT)

    def polygons(self, points: Points, colours: Points) -> None:
        """Fill polygons (n, N, 2) with colours (n, 3); the last one is on top."""
        shapes = _fixed(points)
        paint = np.concatenate([np.clip(colours, 0, 1) * 255, np.full((len(colours), 1), 255.0)], 1).tolist()
        for shape, colour in zip(shapes, paint, strict=True):
            cv2.fillPoly(self._pixels, [shape], colour, cv2.LINE_8, _SHIFT)

    def ribbons(self, paths: Points, widths: Points, colours: Points) -> None:
        """Draw strokes along paths (n, P, 2) of widths (n, P) in pixels with colours (n, 3); the last one is on top."""
        along = np.abs(np.gradient(paths, axis=1))
        border = _BORDER * along.max(-1) / np.maximum(np.linalg.norm(along, axis=-1), 1e-9)
        self.polygons(outline(paths, np.maximum(widths - border, 0)), colours)

    def picture(self) -> Premultiplied:
        small = cv2.resize(self._pixels, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) * np.float32(1 / 255)


def outline(paths: Points, widths: Points) -> Points:
    """The closed contour (n, 2P, 2) of strokes along paths (n, P, 2) with widths (n, P)."""
    along = np.gradient(paths, axis=1)
    across = np.stack([-along[..., 1], along[..., 0]], -1)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    across *= widths[..., None] / 2
    return np.concatenate([paths + across, (paths - across)[:, ::-1]], 1)


def coverage(size: int, shapes: list[Points], *, holes: bool = False) -> Field:
    """The part of each pixel that polygons (N, 2) cover together; with `holes`, that an odd number of them covers.

    What is covered is an eighth of a pixel too large on each side, as on a `Canvas`.
    """
    mask = np.zeros((_FINE * size, _FINE * size), np.uint8)
    fixed = [_fixed(shape) for shape in shapes]
    for group in [fixed] if holes else [[shape] for shape in fixed]:
        cv2.fillPoly(mask, group, 255, cv2.LINE_8, _SHIFT)
    small = cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) * np.float32(1 / 255)


def edge(inside: Field) -> Field:
    """The coverage (H, W) by the region where a field is above 0, with an edge one pixel wide whatever its slope."""
    covered: Field = np.clip(inside / _slope(inside) + np.float32(0.5), 0, 1)
    return covered


def line(distance: Field, half: Field | np.float32) -> Field:
    """The coverage (H, W) by lines, also by those thinner than a pixel.

    `distance` (H, W) is that from the middle of the nearest line, 0 or more, and `half` half a line's width, in the
    same unit, which may be any.
    """
    slope = _slope(distance)
    near = np.clip((half - distance) / slope + np.float32(0.5), 0, 1)
    far = np.clip((half + distance) / slope + np.float32(0.5), 0, 1)  # the line's other edge
    covered: Field = near + far - 1
    return covered


def _slope(field: Field) -> Field:
    """How much a field (H, W) changes from pixel to pixel, in x and y together.

    Of the differences on both sides the greater one counts: across the middle of a thin line they cancel out.
    """
    slope = np.full_like(field, 1e-4)
    for axis in (0, 1):
        first, last = np.take(field, [0], axis), np.take(field, [-1], axis)
        before, after = np.diff(field, axis=axis, prepend=first), np.diff(field, axis=axis, append=last)
        slope += np.maximum(np.abs(before), np.abs(after))
    return slope


def scaled(picture: Field, factor: Field) -> Field:
    """All channels of (H, W, C) times a field (H, W). This is much faster than broadcasting over a short axis."""
    spread = cv2.merge([factor] * picture.shape[2])
    return cv2.multiply(picture, spread, dst=spread)  # a new array would cost as much as the product


def faded(picture: Premultiplied, opacity: Field) -> Premultiplied:
    """Strands that let light through: single ones have this opacity (H, W), and where many lie together it grows to 1.

    A canvas draws strands opaque, so what covers a pixel's neighbourhood, but for some gaps, is several strands deep.
    """
    size = picture.shape[0]
    covered = cv2.GaussianBlur(cv2.extractChannel(picture, 3), (0, 0), _DEEP * size / 640)
    depth = np.square(np.minimum(np.float32(1.1) * covered, 1))
    return scaled(picture, opacity + (1 - opacity) * depth)


def premultiplied(colour: Field, alpha: Field) -> Premultiplied:
    """The premultiplied picture of a straight colour (H, W, 3) and an alpha (H, W)."""
    red, green, blue = cv2.split(scaled(colour, alpha))
    return cv2.merge([red, green, blue, alpha])


def over(top: Premultiplied, bottom: Premultiplied) -> Premultiplied:
    """Porter and Duff's "over" on premultiplied pictures."""
    below = scaled(bottom, 1 - cv2.extractChannel(top, 3))
    return cv2.add(top, below, dst=below)


def tint(picture: Premultiplied, factor: Field) -> Premultiplied:
    """The picture with its colours multiplied by a field (H, W), and its alpha unchanged."""
    alpha = cv2.extractChannel(picture, 3)
    lit = cv2.merge([factor, factor, factor, np.ones_like(factor)])
    cv2.multiply(picture, lit, dst=lit)
    return cv2.min(lit, cv2.merge([alpha] * 4), dst=lit)


def blur(picture: Premultiplied, sigma: float) -> Premultiplied:
    """The picture blurred by a Gaussian of `sigma` pixels with mirrored borders; not blurred below 0.2 pixels."""
    if sigma < 0.2:
        return picture
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)


def straight(picture: Premultiplied) -> Field:
    """The straight colours of a picture, (H, W, 3), with those of coarser scales where alpha goes to 0.

    Averages over a pyramid are filled in from coarse to fine (pull-push: Gortler et al., "The Lumigraph", 1996).
    """
    height, width = picture.shape[:2]
    if min(height, width) <= 4:
        total = picture.sum((0, 1))
        mean = total[:3] / max(float(total[3]), 1e-6)
        coarse: Field = np.broadcast_to(mean, (height, width, 3)).astype(np.float32)
    else:
        half = cv2.resize(picture, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(straight(half), (width, height), interpolation=cv2.INTER_LINEAR)
    trust = 0.02  # about the step of an 8-bit premultiplied colour at low alpha
    premultiplied, alpha = cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB), cv2.extractChannel(picture, 3)
    return scaled(cv2.scaleAdd(coarse, trust, premultiplied), 1 / (alpha + np.float32(trust)))


def finish(picture: Premultiplied, kind: str, *, solid: bool = True) -> Foreground:
    """Straight 8-bit colours and alpha of a premultiplied picture. It is solid only if some alpha is full."""
    alpha = np.rint(np.clip(picture[..., 3], 0, 1) * 255).astype(np.uint8)
    colour = np.rint(np.clip(straight(picture), 0, 1) * 255).astype(np.uint8)
    full = float(np.count_nonzero(alpha == 255)) / alpha.size
    return Foreground(colour, alpha, kind, solid and full >= 0.005)


def _fixed(points: Points) -> NDArray[np.int32]:
    # OpenCV counts from the middle of the first pixel.
    fixed: NDArray[np.int32] = np.rint((np.clip(points, -_FAR, _FAR) * _FINE - 0.5) * 2**_SHIFT).astype(np.int32)
    return fixed
