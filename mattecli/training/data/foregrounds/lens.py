"""Blurs a foreground as lenses and motion do, premultiplied."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from mattecli.training.data.foregrounds.canvas import Foreground, Premultiplied, finish, premultiplied, scaled
from mattecli.training.data.foregrounds.colour import Photos
from mattecli.training.data.foregrounds.noise import Field, Parameters, fractal
from mattecli.training.data.random import Draw, generator

_Draw = Callable[[Draw], Parameters]
_Make = Callable[[Parameters, int, Photos], Foreground]
Makers = Mapping[str, tuple[_Draw, _Make]]


def draw_motion(draw: Draw, makers: Makers) -> Parameters:
    """Draw a foreground of another kind that moved or turned while the shutter was open."""
    of = draw.choice(sorted(makers))
    return {
        "seed": draw.seed(),
        "of": of,
        "thing": makers[of][0](draw),
        "way": draw.choice(("line", "line", "turn", "zoom")),
        "angle": draw.number(-3.141593, 3.141593),
        "length": draw.number(0.012, 0.11),
        "x": draw.number(0.0, 1.0),
        "y": draw.number(0.0, 1.0),
    }


def make_motion(parameters: Parameters, size: int, photos: Photos, makers: Makers) -> Foreground:
    sharp = makers[parameters["of"]][1](parameters["thing"], size, photos)
    length = parameters["length"] * size
    picture = _layer(sharp)
    steps = max(1, int(np.ceil(np.log2(max(length, 2.0)))))
    step = length / 2**steps
    # The mean of 2ⁿ copies, each a step on, takes n doublings: first one step apart, then two, then four.
    for doubling in range(steps):
        matrix = _moved(parameters, size, step * 2**doubling)
        moved = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        picture = cv2.addWeighted(picture, 0.5, moved, 0.5, 0)
    return finish(picture, "motion", solid=sharp.solid)


def draw_defocus(draw: Draw, makers: Makers) -> Parameters:
    """Draw a foreground of another kind out of focus: all of it, or in patches."""
    of = draw.choice(sorted(makers))
    return {
        "seed": draw.seed(),
        "of": of,
        "thing": makers[of][0](draw),
        "radius": draw.number(1.5, 13.0),
        "even": draw.chance(0.5),
        "patches": draw.number(1.0, 3.0),
        "sharpness": draw.number(-0.5, 0.5),
    }


def make_defocus(parameters: Parameters, size: int, photos: Photos, makers: Makers) -> Foreground:
    sharp = makers[parameters["of"]][1](parameters["thing"], size, photos)
    picture = _layer(sharp)
    blurred = disc_blur(picture, parameters["radius"] * size / 640)
    if not parameters["even"]:
        rng = generator(parameters["seed"])
        field = fractal(rng, size, cells=parameters["patches"], octaves=1) * np.float32(1.5)
        share = np.clip(field + np.float32(0.5 - parameters["sharpness"]), 0, 1)
        half = disc_blur(picture, 0.45 * parameters["radius"] * size / 640)
        picture = _mixed(_mixed(picture, half, np.clip(2 * share, 0, 1)), blurred, np.clip(2 * share - 1, 0, 1))
    else:
        picture = blurred
    return finish(picture, "defocus", solid=sharp.solid)


def disc_blur(picture: Premultiplied, radius: float) -> Premultiplied:
    """The picture blurred by a disc. Radii above five pixels are done at a half or a quarter of the size."""
    if radius < 0.6:
        return picture
    shrink = 1 if radius <= 3.5 else 2 if radius <= 7 else 4
    size = picture.shape[0]
    small = (
        cv2.resize(picture, (size // shrink, size // shrink), interpolation=cv2.INTER_AREA) if shrink > 1 else picture
    )
    reach = int(np.ceil(radius / shrink))
    x, y = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    kernel = np.clip(radius / shrink + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    soft = cv2.filter2D(small, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
    if shrink == 1:
        return soft
    return cv2.resize(soft, (size, size), interpolation=cv2.INTER_LINEAR)


def _layer(foreground: Foreground) -> Premultiplied:
    unit = np.float32(1 / 255)
    return premultiplied(foreground.colour.astype(np.float32) * unit, foreground.alpha.astype(np.float32) * unit)


def _mixed(first: Premultiplied, second: Premultiplied, share: Field) -> Premultiplied:
    return cv2.add(scaled(first, 1 - share), scaled(second, share))


def _moved(parameters: Parameters, size: int, distance: float) -> np.ndarray:
    """The affine map that moves points half a frame from the centre by `distance` pixels."""
    if parameters["way"] == "line":
        dx, dy = np.cos(parameters["angle"]) * distance, np.sin(parameters["angle"]) * distance
        return np.array([[1, 0, dx], [0, 1, dy]], np.float64)
    x, y = parameters["x"] * size, parameters["y"] * size
    share = distance / (0.5 * size)
    if parameters["way"] == "zoom":
        grow = 1 + share
        return np.array([[grow, 0, x * (1 - grow)], [0, grow, y * (1 - grow)]], np.float64)
    cosine, sine = np.cos(share), np.sin(share)
    return np.array([[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y]], np.float64)
