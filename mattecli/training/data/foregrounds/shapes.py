"""Objects with sharp edges: products, wheels, chains, ropes, lettering."""

import numpy as np

from mattecli.training.data.foregrounds.bodies import blob, turned
from mattecli.training.data.foregrounds.canvas import (
    Canvas,
    Foreground,
    blur,
    coverage,
    finish,
    over,
    premultiplied,
    scaled,
    tint,
)
from mattecli.training.data.foregrounds.colour import Photos, base_colour, draw_look, relief, strand_colours, texture
from mattecli.training.data.foregrounds.noise import Parameters, Points, fractal, warp
from mattecli.training.data.foregrounds.strands import curl, curves
from mattecli.training.data.random import Draw, generator

# Letters as strokes over a grid of 3 × 5 points, numbered row by row from 0 at the top left to 14 at the bottom right.
_LETTERS: dict[str, tuple[tuple[int, ...], ...]] = {
    "A": ((12, 6, 1, 8, 14), (6, 8)),
    "C": ((5, 1, 0, 3, 9, 12, 13, 11),),
    "E": ((2, 0, 12, 14), (6, 7)),
    "F": ((2, 0, 12), (6, 7)),
    "H": ((0, 12), (2, 14), (6, 8)),
    "I": ((1, 13),),
    "J": ((2, 11, 13, 9),),
    "K": ((0, 12), (2, 6, 14)),
    "L": ((0, 12, 14),),
    "M": ((12, 0, 7, 2, 14),),
    "N": ((12, 0, 14, 2),),
    "O": ((1, 3, 9, 13, 11, 5, 1),),
    "P": ((12, 0, 2, 8, 6),),
    "S": ((2, 0, 6, 8, 14, 12),),
    "T": ((0, 2), (1, 13)),
    "U": ((0, 9, 13, 11, 2),),
    "V": ((0, 13, 2),),
    "W": ((0, 12, 7, 14, 2),),
    "X": ((0, 14), (2, 12)),
    "Z": ((0, 2, 12, 14),),
}


def draw_shape(draw: Draw) -> Parameters:
    """Draw a product or toy of one to five parts: boxes, discs, blobs, stars; with holes, handles and thin feet."""
    return {
        "seed": draw.seed(),
        "looks": [draw_look(draw, "any") for _ in range(3)],
        "parts": draw.whole(1, 5),
        "radius": draw.number(0.2, 0.42),
        "holes": draw.whole(0, 4),
        "handles": draw.whole(0, 2),
        "sticks": draw.whole(0, 7),
        "corners": draw.whole(3, 9),
        "turn": draw.number(-3.141593, 3.141593),
        "x": draw.number(0.3, 0.7),
        "y": draw.number(0.35, 0.7),
        "blur": draw.number(0.3, 2.0) if draw.chance(0.5) else 0.0,
    }


def make_shape(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    picture = np.zeros((size, size, 4), np.float32)
    tones = [texture(look, size, photos) for look in parameters["looks"]]
    centre = np.array([parameters["x"], parameters["y"]])
    for index in range(parameters["parts"]):
        radius = parameters["radius"] * (1.0 if index == 0 else 0.3 + 0.6 * rng.random())
        place = centre + (rng.random(2) - 0.5) * 1.8 * parameters["radius"] * (index > 0)
        outline = _part(rng, parameters["corners"], radius) + place
        outlines = [outline]
        for _ in range(parameters["holes"] if index == 0 else 0):
            spot = place + (rng.random(2) - 0.5) * radius
            outlines.append(_part(rng, parameters["corners"], radius * (0.06 + 0.2 * rng.random())) + spot)
        alpha = coverage(size, [part * size for part in outlines], holes=True)
        lit = scaled(tones[index % 3], relief(alpha, parameters["looks"][index % 3]))
        picture = over(premultiplied(np.clip(lit, 0, 1), alpha), picture)
    lines = Canvas(size)
    _handles(lines, rng, parameters, centre * size)
    picture = over(picture, tint(lines.picture(), 1 + np.float32(0.3) * fractal(rng, size, cells=8, octaves=4)))
    return finish(blur(picture, parameters["blur"] * size / 640), "shape")


def draw_wheel(draw: Draw) -> Parameters:
    """Draw a wheel, fan or umbrella: a hub, a rim and thin straight spokes."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "pale", sources=("noise", "gradient", "flat")),
        "tyre": draw_look(draw, "any", sources=("flat", "noise", "photo")),
        "wheels": draw.whole(1, 2),
        "radius": draw.number(0.28, 0.6),
        "spokes": draw.whole(5, 44),
        "cross": draw.number(0.0, 0.7),
        "spoke": draw.number(0.7, 4.5),
        "rim": draw.number(0.03, 0.16),
        "hub": draw.number(0.05, 0.2),
        "squash": draw.number(0.45, 1.0),
        "turn": draw.number(-3.141593, 3.141593),
        "blur": draw.number(0.3, 1.5) if draw.chance(0.4) else 0.0,
    }


def make_wheel(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    picture = np.zeros((size, size, 4), np.float32)
    base = base_colour(parameters["look"])
    tyre = texture(parameters["tyre"], size, photos)
    round_ = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    ring = np.stack([np.cos(round_), np.sin(round_)], 1)
    for _ in range(parameters["wheels"]):
        centre = (0.5 + (rng.random(2) - 0.5) * (0.3 + 0.3 * (parameters["wheels"] > 1))) * size
        radius = parameters["radius"] * size * (0.8 + 0.3 * rng.random())
        lean = np.array([1.0, parameters["squash"]])

        def at(points: Points, centre: Points = centre, radius: float = radius, lean: Points = lean) -> Points:
            return turned(points * lean, parameters["turn"]) * radius + centre

        count: int = parameters["spokes"]
        inner = 1 - 0.5 * parameters["rim"]
        angle = np.arange(count) * 2 * np.pi / count
        twist = parameters["cross"] * np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
        start = np.stack([np.cos(angle + twist * 1.5), np.sin(angle + twist * 1.5)], 1) * parameters["hub"] * 0.9
        end = np.stack([np.cos(angle), np.sin(angle)], 1) * inner
        t = np.linspace(0, 1, 4)[None, :, None]
        spokes = at(start[:, None] * (1 - t) + end[:, None] * t)
        canvas = Canvas(size)
        canvas.ribbons(
            spokes, np.full((count, 4), parameters["spoke"] * size / 640), strand_colours(rng, base, 0.4, count)
        )
        canvas.polygon(at(ring * parameters["hub"]), base * 0.8)
        canvas.polygon(at(ring * parameters["hub"] * 0.5), base * 0.4)
        band = coverage(size, [at(ring), at(ring * (1 - parameters["rim"]))], holes=True)
        bright = coverage(size, [at(ring * (1 - parameters["rim"])), at(ring * (0.97 - parameters["rim"]))], holes=True)
        shade = np.clip(1 + np.float32(0.4) * fractal(rng, size, cells=4, octaves=4), 0.3, 1.5)
        rims = over(
            premultiplied(np.broadcast_to(base, (size, size, 3)).copy(), bright),
            premultiplied(np.clip(scaled(tyre, shade), 0, 1), band),
        )
        picture = over(over(rims, tint(canvas.picture(), shade)), picture)
    return finish(blur(picture, parameters["blur"] * size / 640), "wheel")


def draw_chain(draw: Draw) -> Parameters:
    """Draw a chain, rope, beads or cables that hang across the frame."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "any", sources=("noise", "flat", "gradient")),
        "form": draw.choice(("links", "links", "rope", "beads", "cable")),
        "strings": draw.whole(3, 10),
        "size": draw.number(0.02, 0.075),
        "sag": draw.number(-0.2, 0.9),
        "wave": draw.number(0.0, 0.06),
        "fray": draw.number(0.0, 1.0),
        "turn": draw.number(-3.141593, 3.141593),
        "blur": draw.number(0.3, 1.6) if draw.chance(0.4) else 0.0,
    }


def make_chain(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    canvas = Canvas(size)
    base = base_colour(parameters["look"])
    steps = 160
    count: int = parameters["strings"]
    angle = parameters["turn"] + (rng.random(count) - 0.5) * 1.2
    headings = np.stack([np.cos(angle), np.sin(angle)], 1)
    roots = (0.5 - 0.75 * headings + (rng.random((count, 2)) - 0.5) * 0.7) * size
    paths = curves(roots, headings, np.full(count, 1.6 * size), fall=(0.0, 0.15 - 0.3 * parameters["sag"]), steps=steps)
    paths = curl(paths, size * parameters["wave"] * rng.random(count), 1 + 3 * rng.random(count), 6 * rng.random(count))
    for path in paths:
        radius = parameters["size"] * size * (0.7 + 0.6 * rng.random())
        tone = strand_colours(rng, base, 0.3, 1)[0]
        if parameters["form"] in ("links", "beads"):
            _links(canvas, rng, path, radius, tone, beads=parameters["form"] == "beads")
        else:
            _rope(canvas, rng, path, radius, tone, plain=parameters["form"] == "cable", fray=parameters["fray"])
    tones = texture(parameters["look"], size, photos).mean(2)
    picture = tint(canvas.picture(), np.clip(tones / max(float(tones.mean()), 0.05), 0.5, 1.5))
    return finish(blur(picture, parameters["blur"] * size / 640), "chain")


def draw_text(draw: Draw) -> Parameters:
    """Draw text of several lines, very thin to heavy, and bent, as on painted glass and in logos."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "any"),
        "outline": draw_look(draw, "any", sources=("flat",)),
        "lines": [
            "".join(draw.choice(sorted(_LETTERS)) for _ in range(draw.whole(2, 9))) for _ in range(draw.whole(1, 5))
        ],
        "weight": draw.number(0.05, 0.42),
        "border": draw.number(0.04, 0.15) if draw.chance(0.4) else 0.0,
        "slant": draw.number(-0.4, 0.4),
        "turn": draw.number(-0.5, 0.5),
        "bend": draw.number(0.0, 0.06),
        "opacity": draw.number(0.4, 1.0) if draw.chance(0.3) else 1.0,
        "blur": draw.number(0.3, 2.0) if draw.chance(0.5) else 0.0,
    }


def make_text(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    letters, border = Canvas(size), Canvas(size)
    lines = parameters["lines"]
    room = 0.92 / max(max(len(line) for line in lines) * 0.75, len(lines) * 1.25)
    for row, line in enumerate(lines):
        for column, letter in enumerate(line):
            corner = np.array([(column - len(line) / 2) * 0.75, (row - len(lines) / 2) * 1.25]) * room
            for stroke in _LETTERS[letter]:
                points = np.array([(index % 3 * 0.25, index // 3 * 0.25) for index in stroke]) * room
                points[:, 0] -= parameters["slant"] * points[:, 1]
                points = (turned(points + corner, parameters["turn"]) + 0.5) * size
                thick = parameters["weight"] * room * size * 0.6
                _stroke(letters, points, thick, (1.0, 1.0, 1.0))
                if parameters["border"]:
                    _stroke(border, points, thick + parameters["border"] * room * size, (1.0, 1.0, 1.0))
    face = letters.picture()
    face[..., :3] *= texture(parameters["look"], size, photos)
    if parameters["border"]:
        back = border.picture()
        back[..., :3] *= texture(parameters["outline"], size, photos)
        face = over(face, back)
    bend = fractal(rng, size, cells=3, octaves=2, channels=2) * np.float32(parameters["bend"] * size)
    face = warp(face, bend[..., 0], bend[..., 1]) * np.float32(parameters["opacity"])
    return finish(blur(face, parameters["blur"] * size / 640), "text", solid=parameters["opacity"] == 1.0)


def _part(rng: np.random.Generator, corners: int, radius: float) -> Points:
    """An outline around 0: a disc, a box with round corners, a polygon, a star or a blob."""
    form, turn, stretch = int(rng.integers(5)), 6.283 * rng.random(), 0.6 + 0.9 * rng.random()
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    if form == 0:
        shape = np.stack([np.cos(angle), stretch * np.sin(angle)], 1)
    elif form == 1:  # a superellipse
        power = 2 / (3 + 9 * rng.random())
        cosine, sine = np.cos(angle), np.sin(angle)
        shape = np.stack(
            [np.sign(cosine) * np.abs(cosine) ** power, stretch * np.sign(sine) * np.abs(sine) ** power], 1
        )
    elif form == 2:
        points = np.linspace(0, 2 * np.pi, corners, endpoint=False)
        shape = np.stack([np.cos(points), stretch * np.sin(points)], 1) * (0.7 + 0.4 * rng.random((corners, 1)))
    elif form == 3:
        points = np.linspace(0, 2 * np.pi, 2 * corners, endpoint=False)
        reach = np.where(np.arange(2 * corners) % 2 == 0, 1.1, 0.4 + 0.4 * rng.random())
        shape = np.stack([np.cos(points), np.sin(points)], 1) * reach[:, None]
    else:
        shape = blob(rng, 0.0, 0.0, 1.0, wobble=0.3)
    return turned(shape, turn) * radius


def _handles(canvas: Canvas, rng: np.random.Generator, parameters: Parameters, centre: Points) -> None:
    size, radius = canvas.size, parameters["radius"] * canvas.size
    base = base_colour(parameters["looks"][1])
    round_ = np.linspace(0, 2 * np.pi, 60)
    for _ in range(parameters["handles"]):
        angle = parameters["turn"] + 6.283 * rng.random()
        ring = (
            np.stack([np.cos(round_), np.sin(round_) * (0.5 + rng.random())], 1) * radius * (0.35 + 0.3 * rng.random())
        )
        middle = centre + np.array([np.cos(angle), np.sin(angle)]) * radius
        thick = size / 640 * (4 + 22 * rng.random())
        canvas.ribbons((turned(ring, angle) + middle)[None], np.full((1, 60), thick), strand_colours(rng, base, 0.3, 1))
    count: int = parameters["sticks"]
    if count:
        angle = parameters["turn"] + (rng.random(count) - 0.5) * 3
        headings = np.stack([np.cos(angle), np.sin(angle)], 1)
        sticks = curves(np.repeat(centre[None], count, 0), headings, radius * (1.2 + 1.3 * rng.random(count)), steps=10)
        thin = size / 640 * (0.8 + 9 * rng.random(count) ** 2)
        canvas.ribbons(sticks, np.repeat(thin[:, None], 10, 1), strand_colours(rng, base, 0.5, count))


def _links(canvas: Canvas, rng: np.random.Generator, path: Points, radius: float, tone: Points, *, beads: bool) -> None:
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    places = np.arange(0.0, along[-1], radius * (1.7 if beads else 1.45))
    x, y = np.interp(places, along, path[:, 0]), np.interp(places, along, path[:, 1])
    angle = np.arctan2(np.gradient(y), np.gradient(x))
    round_ = np.linspace(0, 2 * np.pi, 25)
    for index in range(len(places)):
        middle = np.array([x[index], y[index]])
        if not (-radius < middle).all() or not (middle < canvas.size + radius).all():
            continue
        if beads:
            disc = np.stack([np.cos(round_), np.sin(round_)], 1)
            for share, light in ((0.95, 0.55), (0.7, 0.8), (0.4, 1.0), (0.15, 1.5)):
                canvas.polygon(
                    middle + disc * radius * share - radius * 0.25 * (1 - share), np.clip(tone * light, 0, 1)
                )
            continue
        flat = 0.55 if index % 2 == 0 else 0.16  # every other link is seen from its side
        link = np.stack([np.cos(round_), flat * np.sin(round_)], 1) * radius
        ring = (turned(link, angle[index]) + middle)[None]
        shade = tone * (0.7 + 0.5 * rng.random())
        canvas.ribbons(ring, np.full((1, 25), 0.42 * radius), np.clip(shade, 0, 1)[None])
        canvas.ribbons(ring - 0.06 * radius, np.full((1, 25), 0.12 * radius), np.clip(shade * 1.5, 0, 1)[None])


def _rope(
    canvas: Canvas, rng: np.random.Generator, path: Points, radius: float, tone: Points, *, plain: bool, fray: float
) -> None:
    steps = len(path)
    thick = radius * (0.35 if plain else 0.9)
    canvas.ribbons(path[None], np.full((1, steps), thick), (tone * 0.6)[None])
    if plain:
        canvas.ribbons(path[None] - 0.15 * thick, np.full((1, steps), 0.35 * thick), np.clip(tone * 1.3, 0, 1)[None])
        return
    length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    for strand in range(3):
        turns = np.array([length / (2.6 * thick)])
        # Too few points would show the wave as a zigzag.
        fine = np.stack(
            [np.interp(np.linspace(0, steps - 1, 900), np.arange(steps), path[:, axis]) for axis in (0, 1)], 1
        )
        twist = curl(fine[None], np.array([0.3 * thick]), turns, np.array([2.094 * strand]))
        canvas.ribbons(twist, np.full((1, 900), 0.42 * thick), np.clip(tone * (0.85 + 0.12 * strand), 0, 1)[None])
    count = int(120 * fray)
    place = rng.integers(steps, size=count)
    angle = 6.283 * rng.random(count)
    headings = np.stack([np.cos(angle), np.sin(angle)], 1)
    fibres = curves(path[place], headings, thick * (0.5 + 0.8 * rng.random(count)), fall=(0.0, 0.3), steps=6)
    canvas.ribbons(
        fibres, np.full((count, 6), 0.6 * canvas.size / 640), strand_colours(rng, tone.astype(np.float32), 0.3, count)
    )


def _stroke(canvas: Canvas, points: Points, thick: float, colour: tuple[float, float, float]) -> None:
    """A polyline with round ends and joints."""
    round_ = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    disc = np.stack([np.cos(round_), np.sin(round_)], 1) * max(thick / 2 - 0.25, 0.2)
    canvas.polygons(points[:, None] + disc, np.tile(np.array(colour), (len(points), 1)))
    pairs = np.stack([points[:-1], points[1:]], 1)
    canvas.ribbons(pairs, np.full(pairs.shape[:2], thick), np.tile(np.array(colour), (len(pairs), 1)))
