"""Bodies that strands grow on: blobs, heads, plush animals."""

from collections.abc import Sequence

import cv2
import numpy as np

from mattecli.training.data.foregrounds.canvas import Canvas, Premultiplied, coverage, over, premultiplied, scaled
from mattecli.training.data.foregrounds.colour import Photos, draw_look, relief, texture
from mattecli.training.data.foregrounds.noise import Field, Parameters, Points, fractal
from mattecli.training.data.random import Draw, generator

COAT, CLOTH, SKIN = 0, 1, 2  # materials of a body's parts


def draw_body(draw: Draw, forms: Sequence[str]) -> Parameters:
    """Draw the place, size and shape of a body. Lengths are parts of the frame."""
    return {
        "form": draw.choice(forms),
        "x": draw.number(0.3, 0.7),
        "y": draw.number(0.42, 0.68),
        "radius": draw.number(0.2, 0.36),
        "turn": draw.number(-0.45, 0.45),
        "stretch": draw.number(0.8, 1.3),
        "wobble": draw.number(0.02, 0.22),
        "seed": draw.seed(),
    }


def blob(
    rng: np.random.Generator,
    x: float,
    y: float,
    radius: float,
    *,
    stretch: float = 1.0,
    turn: float = 0.0,
    wobble: float = 0.1,
    corners: int = 160,
) -> Points:
    """A closed, smooth, irregular outline (corners, 2) in the units of the arguments. `stretch` is height / width."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    distance = np.ones(corners)
    for wave in range(2, 9):
        distance += wobble * (rng.random() * 2 - 1) * 1.6 / wave * np.cos(wave * angle + 6.283 * rng.random())
    shape = np.stack([np.cos(angle) / stretch**0.5, np.sin(angle) * stretch**0.5], 1) * distance[:, None] * radius
    outline: Points = turned(shape, turn) + np.array([x, y])
    return outline


def turned(points: Points, angle: float) -> Points:
    """Points (…, 2) turned about the origin, clockwise on the screen."""
    cosine, sine = np.cos(angle), np.sin(angle)
    result: Points = points @ np.array([[cosine, sine], [-sine, cosine]])
    return result


def body_parts(body: Parameters, size: int) -> list[tuple[Points, int]]:
    """The outlines of a body in pixels, each with its material; the last one is on top."""
    rng = generator(body["seed"])
    x, y, r, wobble, stretch = body["x"], body["y"], body["radius"], body["wobble"], body["stretch"]
    parts: list[tuple[Points, int]] = []
    if body["form"] == "head":
        shoulders = r * (1.3 + 0.9 * rng.random())
        parts += [
            (blob(rng, x, y + 1.9 * r + 0.25 * shoulders, shoulders, stretch=0.8, wobble=0.05), CLOTH),
            (blob(rng, x, y + 1.0 * r, 0.45 * r, stretch=1.6, wobble=0.03), SKIN),
            (blob(rng, x, y, r, stretch=1.25, wobble=0.4 * wobble), COAT),
        ]
        if rng.random() < 0.7:
            aside = (rng.random() - 0.5) * r
            parts.append((blob(rng, x + aside, y + 0.3 * r, 0.66 * r, stretch=1.3, wobble=0.05), SKIN))
    elif body["form"] == "animal":
        ear, apart = r * (0.25 + 0.3 * rng.random()), 0.55 + 0.35 * rng.random()
        long = 1.0 + 1.8 * rng.random() ** 2
        dressed = CLOTH if rng.random() < 0.4 else COAT
        parts.append(
            (blob(rng, x + r * (rng.random() - 0.5), y + 1.5 * r, 1.15 * r, stretch=1.1, wobble=wobble), dressed)
        )
        for side in (-1, 1):
            centre = (x + side * apart * r, y - 0.8 * r * (0.85 + 0.15 * long))
            parts.append((blob(rng, *centre, ear, stretch=long, turn=side * 0.4, wobble=0.06), COAT))
            if rng.random() < 0.5:
                parts.append((blob(rng, x + side * 1.1 * r, y + 1.9 * r, 0.45 * r, stretch=1.5, wobble=0.1), COAT))
        parts.append((blob(rng, x, y, r, stretch=0.95, wobble=0.7 * wobble), COAT))
        if rng.random() < 0.5:
            parts.append((blob(rng, x + 0.2 * r * (rng.random() - 0.5), y + 0.35 * r, 0.45 * r, wobble=0.05), CLOTH))
    elif body["form"] == "edge":  # something large, of which the frame shows one side
        angle = 6.283 * rng.random()
        away = 0.5 + 0.25 * rng.random()
        centre = (0.5 + away * np.cos(angle), 0.5 + away * np.sin(angle))
        parts.append((blob(rng, *centre, 0.5 + r * 0.6, stretch=stretch, wobble=0.5 * wobble), COAT))
    else:
        parts.append((blob(rng, x, y, 1.15 * r, stretch=stretch, wobble=1.5 * wobble), COAT))
        for _ in range(int(rng.integers(0, 3))):
            angle = 6.283 * rng.random()
            centre = (x + r * np.cos(angle), y + r * np.sin(angle))
            parts.append((blob(rng, *centre, r * (0.4 + 0.4 * rng.random()), wobble=wobble), COAT))
    middle = np.array([x, y])
    return [((turned(outline - middle, body["turn"]) + middle) * size, material) for outline, material in parts]


def paint_body(
    parts: Sequence[tuple[Points, int]],
    looks: Sequence[Parameters],
    size: int,
    photos: Photos,
    *,
    grain: Field | None = None,
) -> Premultiplied:
    """The parts in the colours of their materials, with light. `grain` (H, W) multiplies the coat."""
    colours = {material: texture(looks[material], size, photos) for material in {material for _, material in parts}}
    if grain is not None and COAT in colours:
        colours[COAT] = scaled(colours[COAT], np.clip(grain, 0.3, 1.9))
    picture = np.zeros((size, size, 4), np.float32)
    for outline, material in parts:
        alpha = coverage(size, [outline])
        light = relief(alpha, looks[material])
        left, top = (np.floor(outline.min(0)).astype(int) - 2).clip(0, size)
        right, bottom = (np.ceil(outline.max(0)).astype(int) + 2).clip(0, size)
        if left < right and top < bottom:  # the rest of the frame need not be touched
            box = (slice(top, bottom), slice(left, right))
            lit = np.minimum(scaled(np.ascontiguousarray(colours[material][box]), light[box]), np.float32(1))
            picture[box] = over(premultiplied(lit, alpha[box]), np.ascontiguousarray(picture[box]))
    return picture


def contour(alpha: Field, *, smooth: int = 9) -> tuple[Points, Points]:
    """Points along the edge of a body and the unit normals that point outwards, each (n, 2), about one per pixel.

    The border of the frame does not count as an edge. Both arrays are empty for a body without an edge.
    """
    size = alpha.shape[0]
    found, _ = cv2.findContours((alpha > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    points, normals = [np.zeros((0, 2))], [np.zeros((0, 2))]
    window = np.ones(smooth) / smooth
    for line in found:
        if len(line) < 3 * smooth:
            continue
        raw = line.reshape(len(line), 2).astype(np.float64)
        ring = np.concatenate([raw[-smooth:], raw, raw[:smooth]])
        soft = np.stack([np.convolve(ring[:, axis], window, "same") for axis in (0, 1)], 1)
        along = (np.roll(soft, -2, 0) - np.roll(soft, 2, 0))[smooth:-smooth]
        normal = np.stack([-along[:, 1], along[:, 0]], 1)  # OpenCV walks outer contours so that this leads outwards
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        inside = np.all((raw > 1) & (raw < size - 2), axis=1)
        points.append(soft[smooth:-smooth][inside] + 0.5)
        normals.append(normal[inside])
    return np.concatenate(points), np.concatenate(normals)


def inner_points(rng: np.random.Generator, alpha: Field, count: int) -> Points:
    """Up to `count` random places (n, 2) in pixels where the body is opaque."""
    size = alpha.shape[0]
    places = rng.random((2 * count, 2)) * size
    cells = places.astype(np.int64)
    inside: Points = places[alpha[cells[:, 1], cells[:, 0]] > 0.9][:count]
    return inside


def flow(rng: np.random.Generator, size: int, *, angle: float, stray: float) -> Field:
    """A smooth field (size, size) of directions in radians around `angle`: the way a coat lies."""
    return np.float32(angle) + np.float32(stray) * fractal(rng, size, cells=3, octaves=3)


def slim_things(
    rng: np.random.Generator,
    parameters: Parameters,
    size: int,
    photos: Photos,
    *,
    rows: tuple[float, float],
    slim: float,
) -> Premultiplied:
    """Things as slim as pencils, (size, size, 4), as many as `things` says, in the colours of the look `inside`.

    Their middles lie between the `rows`, parts of the frame. They are up to `slim` times as high as wide.
    """
    canvas = Canvas(size)
    low, high = rows
    for _ in range(parameters["things"]):
        x, y = 0.25 + 0.5 * rng.random(), low + (high - low) * rng.random()
        stretch = 2.0 + (slim - 2.0) * rng.random()
        reach = 0.05 + 0.09 * rng.random()
        shape = blob(rng, x, y, reach, stretch=stretch, turn=rng.random() - 0.5, wobble=0.05)
        is_paper = rng.random() < 0.35
        colour = np.full(3, 0.85 + 0.15 * rng.random()) if is_paper else rng.random(3) * 0.8 + 0.1
        canvas.polygon(shape * size, colour)
    things = canvas.picture()
    contrast = np.float32(0.15 + 0.45 * rng.random())
    things[..., :3] *= 1 - contrast + contrast * texture(parameters["inside"], size, photos)
    return things


def draw_looks(draw: Draw, coat: str) -> list[Parameters]:
    """Draw the looks of coat, cloth and skin, in this order."""
    return [draw_look(draw, coat), draw_look(draw, "any"), draw_look(draw, "skin")]
