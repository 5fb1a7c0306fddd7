"""Wire baskets and screens: round wires, and mesh behind mesh."""

from dataclasses import dataclass

import cv2
import numpy as np

from mattecli.training.data.foregrounds.bodies import blob, slim_things
from mattecli.training.data.foregrounds.canvas import (
    Foreground,
    Premultiplied,
    blur,
    edge,
    finish,
    line,
    over,
    scaled,
)
from mattecli.training.data.foregrounds.colour import Photos, draw_look, texture
from mattecli.training.data.foregrounds.noise import Field, Parameters, fractal, grid
from mattecli.training.data.random import Draw, generator

_FINE = 2  # mesh is drawn this many times larger and averaged, because a mesh far away has holes of a pixel or two
_GRAZING = 0.12  # the least cosine of the angle that a wall is seen at
_CLOSED = np.float32(0.56)  # half the width of wires that leave no hole: no place is more than 0.5 from one


def draw_mesh(draw: Draw) -> Parameters:
    """Draw a basket with its front and back walls, or one or two screens; of wire, or of sheet with holes.

    Lengths are parts of the frame, `wire` is a part of the period.
    """
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "pale", sources=("flat", "flat", "noise", "gradient")),
        "inside": draw_look(draw, "any"),
        "form": draw.choice(("basket", "basket", "basket", "screen", "screens")),
        "pattern": draw.choice(("hexagon", "hexagon", "round", "round", "square", "diamond", "slots")),
        "period": draw.log_uniform(0.008, 0.05),
        "wire": draw.number(0.12, 0.5),
        "wide": draw.number(0.2, 0.42),
        "taper": draw.number(-0.15, 0.35),
        "lean": draw.number(-0.2, 0.2),
        "tilt": draw.number(0.03, 0.4),
        "far": draw.number(0.0, 0.12),
        "top": draw.number(-0.2, 0.35),
        "bottom": draw.number(0.7, 1.3),
        "rim": draw.number(0.004, 0.035),
        "turn": draw.number(-0.8, 0.8),
        "second": [draw.number(-0.15, 0.15), draw.number(0.75, 1.25)],  # of the screen behind: turn and scale
        "bend": draw.number(0.0, 0.04),
        "light": draw.number(-3.141593, 3.141593),
        "side": draw.number(-1.0, 1.0),
        "ambient": draw.number(0.15, 0.7),
        "round": draw.number(0.2, 1.2),
        "gloss": draw.number(0.0, 1.2),
        "behind": draw.number(0.25, 1.1),
        "things": draw.whole(0, 5),
        "blur": draw.number(0.3, 1.5) if draw.chance(0.4) else 0.0,
    }


def make_mesh(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    tones = texture(parameters["look"], size, photos)
    fine = _FINE * size
    basket = parameters["form"] == "basket"
    walls = _basket(rng, parameters, fine) if basket else _screens(rng, parameters, fine)
    front, *back = [_painted(wall, parameters, tones, size) for wall in walls]
    picture = over(front, slim_things(rng, parameters, size, photos, rows=(0.2, 0.8), slim=11.0))
    for wall in back:
        picture = over(picture, wall)
    return finish(blur(picture, parameters["blur"] * size / 640), "mesh", solid=basket or parameters["things"] > 0)


def wires(u: Field, v: Field, pattern: str) -> Field:
    """How far each place of a mesh is from the nearest wire, from 0 on the wire to 0.5 in the middle of a hole.

    `u` and `v` (H, W) are coordinates in periods. `pattern` is "hexagon", "round", "slots" (holes twice as high
    as wide), "diamond" or "square". Between three round holes it is 0 as well.
    """
    if pattern in ("round", "slots"):
        v = v * np.float32(0.45) if pattern == "slots" else v
        return np.maximum(np.float32(0.5) - np.hypot(*_from_centre(u, v)), 0)
    if pattern == "hexagon":
        root = np.float32(3**0.5)
        x, y = (np.abs(part) for part in _from_centre(u, v))
        return np.float32(0.5) - np.maximum(x, x * np.float32(0.5) + y * (root / 2))
    if pattern == "diamond":
        u, v = u + v * np.float32(0.6), u - v * np.float32(0.6)
    return np.minimum(np.abs(_centred(u)), np.abs(_centred(v)))


def _from_centre(u: Field, v: Field) -> tuple[Field, Field]:
    """Where a place lies from the nearest centre of a lattice of triangles of side 1."""
    root = np.float32(3**0.5)
    ax, ay = _centred(u), _centred(v / root) * root
    bx, by = _centred(u - np.float32(0.5)), _centred((v - root / 2) / root) * root
    first = ax * ax + ay * ay < bx * bx + by * by
    return np.where(first, ax, bx), np.where(first, ay, by)


def _centred(u: Field) -> Field:
    return u - np.rint(u)


@dataclass(frozen=True, eq=False)
class _Wall:
    """A layer of mesh, all fields (H, W)."""

    u: Field  # coordinates in periods
    v: Field
    inside: Field  # coverage by the whole wall with its holes, 0 to 1
    closed: Field  # coverage by rims and other parts without holes, 0 to 1
    thick: Field  # half the width of wires, in periods
    bright: Field  # light on the wall as a whole, around 1


def _basket(rng: np.random.Generator, parameters: Parameters, size: int) -> list[_Wall]:
    """The front and back walls of a round basket. It is seen from above if `tilt` is high."""
    x, y = grid(size)
    bend = fractal(rng, size, cells=3, octaves=2, channels=2) * np.float32(0.3 * parameters["bend"])
    x, y = x + bend[..., 0], y + bend[..., 1]
    middle, wide = np.float32(0.35 + 0.3 * rng.random()), np.float32(parameters["wide"])
    below = y - np.float32(parameters["top"])
    half = np.maximum(wide * (1 - np.float32(parameters["taper"]) * below), np.float32(0.05))
    across = (x - middle - np.float32(parameters["lean"]) * below) / half
    rim, ends = np.float32(parameters["rim"]), np.float32(parameters["bottom"] - parameters["top"])
    scale = np.float32(1 / parameters["period"])
    walls = []
    # The front bulges downwards on the screen, the back upwards; the back is farther away, so smaller.
    for away, far, bright in ((1, 0.0, 1.0), (-1, parameters["far"], parameters["behind"])):
        s = across / np.float32(1 - far)
        cosine = np.sqrt(np.maximum(1 - s * s, np.float32(_GRAZING**2)))
        sag = np.float32(away * parameters["tilt"]) * wide * cosine
        along = np.arcsin(np.clip(s, -1, 1)) * wide * np.float32(away)
        down = (below - sag) * np.float32(1 + far)
        side = edge((1 - np.abs(s)) * half)
        inside = side * edge(down + rim) * edge(ends - down)
        closed = edge(rim - np.abs(down))
        if away == 1:  # only the front of the foot is seen
            closed = np.maximum(closed, edge(rim * 2 - np.abs(down - ends)))
        phase = np.float32(rng.random())
        thick = np.float32(parameters["wire"] / 2) * (1 + np.float32(0.5) * (1 / cosine - 1))
        lit = np.float32(0.75) + np.float32(0.35) * (np.float32(parameters["side"]) * s * away + cosine - 1)
        streak = np.exp(-(((s - np.float32(0.7 * parameters["side"])) / np.float32(0.16)) ** 2))
        lit = (lit + np.float32(0.5 * parameters["gloss"]) * streak) * np.float32(bright)
        walls.append(_Wall(along * scale + phase, down * scale, inside, side * closed, thick, lit))
    return walls


def _screens(rng: np.random.Generator, parameters: Parameters, size: int) -> list[_Wall]:
    """One flat mesh, or two of which one lies behind the other, across the frame or within an outline."""
    x, y = grid(size)
    shape = blob(rng, 0.4 + 0.2 * rng.random(), 0.4 + 0.2 * rng.random(), 0.3 + 0.25 * rng.random(), wobble=0.2)
    inside = np.ones_like(x)
    closed = np.zeros_like(x)
    if rng.random() < 0.6:
        mask = np.zeros((size, size), np.uint8)
        cv2.fillPoly(mask, [np.rint(shape * size).astype(np.int32)], 255, cv2.LINE_AA)
        inside = mask.astype(np.float32) / 255
        reach = cv2.distanceTransform(mask, cv2.DIST_L2, 5) / np.float32(size)
        closed = inside * edge(np.float32(parameters["rim"]) - reach)
    walls = []
    for number in range(2 if parameters["form"] == "screens" else 1):
        bend = fractal(rng, size, cells=3, octaves=3, channels=2) * np.float32(parameters["bend"])
        turn, scale = parameters["turn"], 1 / parameters["period"]
        if number:
            turn, scale = turn + parameters["second"][0], scale * parameters["second"][1]
        cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        a, b = x + bend[..., 0], y + bend[..., 1]
        u = (cosine * a + sine * b) * np.float32(scale) + np.float32(rng.random())
        v = (cosine * b - sine * a) * np.float32(scale) + np.float32(rng.random())
        lit = np.float32(0.85) + np.float32(0.3) * fractal(rng, size, cells=4, octaves=3)
        if number:
            lit, closed = lit * np.float32(parameters["behind"]), np.zeros_like(closed)
        walls.append(_Wall(u, v, inside, closed, np.full_like(u, parameters["wire"] / 2), lit))
    return walls


def _painted(wall: _Wall, parameters: Parameters, tones: Field, size: int) -> Premultiplied:
    """A wall in its colours: wires are lit as if they were round, from the side that `light` says."""
    distance = wires(wall.u, wall.v, parameters["pattern"])
    thick = np.minimum(wall.thick, _CLOSED)
    alpha = np.maximum(line(distance, thick) * wall.inside, wall.closed)
    dy, dx = np.gradient(distance)
    slant = np.clip(distance / np.maximum(thick, 1e-3), 0, 1) / np.maximum(np.hypot(dx, dy), 1e-6)
    facing = (np.float32(np.cos(parameters["light"])) * dx + np.float32(np.sin(parameters["light"])) * dy) * slant
    glint = np.exp(-(((facing - np.float32(0.45)) / np.float32(0.2)) ** 2))
    shade = (
        np.float32(parameters["ambient"] + 0.35)
        + np.float32(0.5 * parameters["round"]) * facing
        + np.float32(0.5 * parameters["gloss"]) * glint
    )
    shade = np.clip(np.where(wall.closed > 0, np.float32(1), shade) * wall.bright, 0.03, 1.8)
    lit, covered = (cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA) for fine in (shade * alpha, alpha))
    colours = np.minimum(scaled(tones, lit), covered[..., None])
    painted: Premultiplied = cv2.merge([*cv2.split(colours), covered])
    return painted
