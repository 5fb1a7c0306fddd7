"""Glasses, bottles and bubbles."""

import cv2
import numpy as np

from mattecli.training.data.foregrounds.canvas import (
    Canvas,
    Foreground,
    Premultiplied,
    blur,
    coverage,
    finish,
    over,
    premultiplied,
    scaled,
)
from mattecli.training.data.foregrounds.colour import Photos, draw_look, texture
from mattecli.training.data.foregrounds.noise import Field, Parameters, Points, fractal
from mattecli.training.data.random import Draw, generator

# Half the width at heights from 0 (mouth) to 1 (foot), as parts of the height.
_PROFILES: dict[str, tuple[tuple[float, float], ...]] = {
    "tumbler": ((0.0, 0.3), (0.5, 0.28), (0.97, 0.24), (1.0, 0.22)),
    "goblet": ((0.0, 0.2), (0.25, 0.26), (0.45, 0.2), (0.53, 0.03), (0.9, 0.025), (0.96, 0.16), (1.0, 0.2)),
    "bottle": ((0.0, 0.06), (0.08, 0.06), (0.3, 0.07), (0.42, 0.17), (0.6, 0.18), (0.98, 0.18), (1.0, 0.16)),
    "jar": ((0.0, 0.2), (0.1, 0.2), (0.17, 0.28), (0.6, 0.29), (0.95, 0.28), (1.0, 0.24)),
    "vase": ((0.0, 0.16), (0.15, 0.11), (0.45, 0.25), (0.7, 0.22), (0.95, 0.12), (1.0, 0.15)),
}


def draw_glass(draw: Draw) -> Parameters:
    """Draw one or two vessels of clear or tinted glass, sometimes filled, with a lid or with a label."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "any", sources=("flat", "gradient")),
        "liquid": draw_look(draw, "any", sources=("flat", "gradient", "noise")),
        "label": draw_look(draw, "any"),
        "vessels": draw.whole(1, 2),
        "form": draw.choice(sorted(_PROFILES)),
        "height": draw.number(0.6, 1.05),
        "stout": draw.number(0.8, 1.25),
        "turn": draw.number(-0.35, 0.35),
        "clear": draw.number(0.03, 0.3),
        "rim": draw.number(0.4, 1.0),
        "wall": draw.number(0.01, 0.04),
        "tint": draw.number(0.0, 0.8),
        "level": draw.number(0.25, 0.8) if draw.chance(0.55) else 1.0,
        "dense": draw.number(0.3, 1.0),
        "highlights": draw.whole(1, 5),
        "labelled": draw.chance(0.35),
        "bumps": draw.number(0.0, 0.3),
        "blur": draw.number(0.4, 1.5),
    }


def make_glass(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    picture = np.zeros((size, size, 4), np.float32)
    for index in range(parameters["vessels"]):
        x = 0.5 + 0.2 * (rng.random() - 0.5) + (index - 0.5) * 0.45 * (parameters["vessels"] > 1)
        top = 0.5 - parameters["height"] / 2 + 0.1 * (rng.random() - 0.3) + 0.06 * index
        picture = over(_vessel(rng, parameters, size, photos, x, top), picture)
    solid = parameters["labelled"] or (parameters["level"] < 1 and parameters["dense"] > 0.9)
    return finish(blur(picture, parameters["blur"] * size / 640), "glass", solid=solid)


def draw_bubbles(draw: Draw) -> Parameters:
    """Draw a few large soap bubbles or up to a swarm of drops, thin inside and dense at the rim."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "pale", sources=("flat", "gradient")),
        "bubbles": draw.whole(2, 8) if draw.chance(0.6) else draw.whole(12, 45),
        "radius": draw.number(0.12, 0.3),
        "clear": draw.number(0.02, 0.25),
        "rim": draw.number(0.35, 1.0),
        "sharp": draw.number(2.5, 10.0),
        "colourful": draw.number(0.0, 0.8),
        "light": draw.number(-3.141593, 3.141593),
        "wobble": draw.number(0.0, 0.06),
        "blur": draw.number(0.3, 2.5),
    }


def make_bubbles(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    picture = np.zeros((size, size, 4), np.float32)
    tones = texture(parameters["look"], size, photos)
    cast = fractal(rng, size, cells=6, octaves=3, channels=3)
    count: int = parameters["bubbles"]
    for index in range(count):
        radius = parameters["radius"] * (1.0 if count < 9 else 0.4) * (0.35 + 0.9 * rng.random()) * size
        centre = rng.random(2) * size * 1.1 - 0.05 * size
        if index == 0:
            centre, radius = (0.3 + 0.4 * rng.random(2)) * size, max(radius, 0.1 * size)
        _bubble(picture, rng, parameters, centre, radius, tones, cast)
    return finish(blur(picture, parameters["blur"] * size / 640), "bubbles", solid=False)


def _vessel(
    rng: np.random.Generator, parameters: Parameters, size: int, photos: Photos, x: float, top: float
) -> Premultiplied:
    height, stout = parameters["height"], parameters["stout"]
    outline = _outline(parameters["form"], 0.0, 1.0)
    place = _Place(parameters["turn"], (x, top), height, stout, size)
    alpha = coverage(size, [place(outline)])
    # The wall is seen edge-on near the outline: alpha falls from the rim's to the middle's with the depth inside.
    inside = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    wall = np.float32(parameters["wall"] * size)
    depth = np.exp(-((inside / wall) ** np.float32(1.3)))
    glow = np.clip(1 + np.float32(2 * parameters["bumps"]) * fractal(rng, size, cells=9, octaves=3), 0.2, 2)
    opacity = np.clip(parameters["clear"] * glow + np.float32(parameters["rim"]) * depth, 0, 1) * alpha
    clear = np.float32(1 - parameters["tint"])
    shade = np.clip(
        np.float32(0.85) - np.float32(0.75) * depth * glow, 0.05, 1
    )  # dark towards the rim, as refraction makes it
    tones = texture(parameters["look"], size, photos)
    tones = scaled(tones * (1 - clear) + clear, shade)
    picture = premultiplied(tones, opacity.astype(np.float32))
    if parameters["level"] < 1:
        fill = place(_outline(parameters["form"], parameters["level"], 0.94, narrow=0.85))
        wet = coverage(size, [fill])
        body = scaled(texture(parameters["liquid"], size, photos), np.clip(shade + np.float32(0.2), 0.3, 1))
        picture = over(picture, premultiplied(body, wet * np.float32(parameters["dense"])))
    if parameters["labelled"]:
        low = 0.3 + 0.3 * rng.random()
        patch = coverage(size, [place(_outline(parameters["form"], low, low + 0.15 + 0.2 * rng.random(), narrow=0.97))])
        picture = over(premultiplied(texture(parameters["label"], size, photos), patch), picture)
    return over(_highlights(rng, parameters, size, place), picture)


def _highlights(rng: np.random.Generator, parameters: Parameters, size: int, place: "_Place") -> Premultiplied:
    canvas = Canvas(size)
    heights = np.array([height for height, _ in _PROFILES[parameters["form"]]])
    widths = np.array([width for _, width in _PROFILES[parameters["form"]]])
    for _ in range(parameters["highlights"]):
        side, start = (rng.random() - 0.5) * 1.7, 0.05 + 0.5 * rng.random()
        t = np.linspace(start, min(0.95, start + 0.1 + 0.4 * rng.random()), 16)
        line = np.stack([side * np.interp(t, heights, widths), t], 1)
        thick = size * (0.004 + 0.02 * rng.random()) * np.sin(np.linspace(0.1, 3.04, 16))
        canvas.ribbons(place(line)[None], thick[None], np.ones((1, 3)))
    glints = blur(canvas.picture(), (0.6 + 3 * rng.random()) * size / 640)
    return glints * np.float32(0.4 + 0.6 * rng.random())


def _outline(form: str, start: float, end: float, *, narrow: float = 1.0) -> Points:
    """The closed outline of a vessel between two heights; the mouth is at 0, the foot at 1."""
    heights = np.array([height for height, _ in _PROFILES[form]])
    widths = np.array([width for _, width in _PROFILES[form]])
    t = np.linspace(start, end, 60)
    half = np.interp(t, heights, widths)
    half = np.convolve(np.pad(half, 3, "edge"), np.ones(7) / 7, "valid") * narrow
    return np.concatenate([np.stack([half, t], 1), np.stack([-half, t], 1)[::-1]])


class _Place:
    """Maps the coordinates of a vessel to pixels."""

    def __init__(self, turn: float, corner: tuple[float, float], height: float, stout: float, size: int) -> None:
        cosine, sine = np.cos(turn), np.sin(turn)
        self._middle = np.array([0.0, 0.5])  # what it turns about
        self._matrix = np.array([[cosine, sine], [-sine, cosine]])
        self._corner, self._height, self._stout, self._size = np.array(corner), height, stout, size

    def __call__(self, points: Points) -> Points:
        stretched = (points - self._middle) * np.array([self._stout, 1.0]) @ self._matrix
        placed: Points = ((stretched + self._middle) * self._height + self._corner) * self._size
        return placed


def _bubble(
    picture: Premultiplied,
    rng: np.random.Generator,
    parameters: Parameters,
    centre: Points,
    radius: float,
    tones: Field,
    cast: Field,
) -> None:
    """Draw one bubble over the picture, in place."""
    size = picture.shape[0]
    left, top = (max(0, int(value - radius * 1.1 - 2)) for value in centre)
    right, bottom = (min(size, int(value + radius * 1.1 + 3)) for value in centre)
    if left >= right or top >= bottom:
        rng.random(6)
        return
    x = (np.arange(left, right, dtype=np.float32) + np.float32(0.5 - centre[0])) / np.float32(radius)
    y = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - centre[1]))[:, None] / np.float32(radius)
    angle = np.arctan2(y, x)
    waves = parameters["wobble"] * (rng.random() * np.cos(2 * angle + 6 * rng.random()) + 0.5 * np.cos(3 * angle))
    away = np.hypot(x, y) * (1 + waves.astype(np.float32))
    inside = np.clip((1 - away) * np.float32(radius) + np.float32(0.5), 0, 1)
    rim = np.clip(away, 0, 1) ** np.float32(parameters["sharp"])
    light = parameters["light"]
    toward = x * np.float32(np.cos(light)) + y * np.float32(np.sin(light))
    opacity = np.clip(parameters["clear"] + parameters["rim"] * rim * (0.75 + 0.35 * toward), 0, 1)
    spot = np.exp(
        -(((x - 0.55 * np.cos(light)) ** 2 + (y - 0.55 * np.sin(light)) ** 2) * np.float32(30 + 90 * rng.random()))
    )
    echo = np.exp(-(((x + 0.6 * np.cos(light)) ** 2 + (y + 0.6 * np.sin(light)) ** 2) * np.float32(60)))
    glint = np.clip(spot * np.float32(1.4) + echo * np.float32(0.6 * rng.random()), 0, 1)
    window = (slice(top, bottom), slice(left, right))
    colour = tones[window] + cast[window] * np.float32(parameters["colourful"])
    colour = np.clip(colour * (1 - glint[..., None]) + glint[..., None], 0.02, 1)
    alpha = ((opacity + (1 - opacity) * glint) * inside).astype(np.float32)
    picture[window] = over(premultiplied(colour.astype(np.float32), alpha), np.ascontiguousarray(picture[window]))
