"""Plants: leaves on twigs, grass, bare branches and flowers."""

from itertools import pairwise

import numpy as np

from mattecli.training.data.foregrounds.bodies import turned
from mattecli.training.data.foregrounds.canvas import Canvas, Foreground, blur, finish, over, scaled, tint
from mattecli.training.data.foregrounds.colour import Photos, base_colour, draw_look, strand_colours, texture
from mattecli.training.data.foregrounds.noise import Field, Parameters, Points, fractal
from mattecli.training.data.foregrounds.strands import curl, curves, taper
from mattecli.training.data.random import Draw, generator


def draw_foliage(draw: Draw) -> Parameters:
    """Draw a pot plant, bush or branch: twigs with many leaves, dense inside and loose outside."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "plant", sources=("photo", "noise", "gradient")),
        "stem": draw_look(draw, "plant", sources=("noise", "flat")),
        "twigs": draw.whole(8, 60),
        "leaves": draw.whole(8, 30),
        "length": draw.number(0.04, 0.17),
        "slender": draw.number(0.12, 0.7),
        "widest": draw.number(0.3, 0.6),
        "x": draw.number(0.25, 0.75),
        "y": draw.number(0.6, 1.05),
        "reach": draw.number(0.6, 1.15),
        "fan": draw.number(0.5, 1.9),
        "heading": draw.number(-2.3, -0.9),
        "gravity": draw.number(-0.1, 0.35),
        "bend": draw.number(0.0, 0.5),
        "pot": draw.chance(0.35),
        "depth": draw.number(0.0, 2.5) if draw.chance(0.5) else 0.0,
        "blur": draw.number(0.3, 1.2) if draw.chance(0.35) else 0.0,
        "layers": draw.whole(3, 6),
        "shade": draw.number(0.12, 0.6),
        "sun": draw.number(-3.141593, 3.141593),
        "through": draw.number(0.0, 0.35),
    }


def make_foliage(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    picture = np.zeros((size, size, 4), np.float32)
    tones = texture(parameters["look"], size, photos)
    stems, leaves = _twigs(rng, parameters, size)
    # From back to front: leaves behind are in the shade of the others, and may be out of focus.
    for nearness, group in zip(np.linspace(0, 1, parameters["layers"]), _groups(len(stems), parameters), strict=True):
        bright = parameters["shade"] + (1 - parameters["shade"]) * nearness
        soft = parameters["depth"] * (1 - nearness)
        canvas = Canvas(size)
        wood = strand_colours(rng, base_colour(parameters["stem"]) * bright, 0.3, len(stems[group]))
        thick = size / 640 * (2 + 5 * rng.random(len(stems[group])))
        canvas.ribbons(stems[group], taper(thick, stems.shape[1], tip=0.25), wood)
        _leaves(canvas, rng, parameters, leaves[group].reshape(-1, 4), bright)
        part = canvas.picture()
        # The texture is laid over the leaves as light, not as colour, so that each leaf keeps a shade of its own.
        grey = tones.mean(2)
        part = tint(part, np.clip(0.55 + 0.45 * grey / max(float(grey.mean()), 0.05), 0.3, 1.8).astype(np.float32))
        picture = over(blur(part, soft * size / 640), picture)
    if parameters["pot"]:
        picture = over(_pot(rng, parameters, size, photos), picture)
    return finish(blur(picture, parameters["blur"] * size / 640), "foliage")


def draw_grass(draw: Draw) -> Parameters:
    """Draw grass: blades, reeds and ears that rise from below, with gaps down to the ground."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "plant", sources=("noise", "photo")),
        "blades": draw.whole(150, 700),
        "height": draw.number(0.35, 0.95),
        "width": draw.number(1.2, 8.0),
        "ground": draw.number(0.85, 1.05),
        "spread": draw.number(0.2, 0.7),
        "tufts": draw.whole(1, 14),
        "wind": draw.number(-0.5, 0.5),
        "droop": draw.number(0.0, 0.7),
        "ears": draw.number(0.0, 0.25) if draw.chance(0.5) else 0.0,
        "depth": draw.number(0.5, 3.5) if draw.chance(0.6) else 0.0,
        "blur": draw.number(0.3, 1.2) if draw.chance(0.3) else 0.0,
    }


def make_grass(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    tones = texture(parameters["look"], size, photos)
    centres = 0.5 + (rng.random(parameters["tufts"]) - 0.5) * 2 * parameters["spread"]
    picture = np.zeros((size, size, 4), np.float32)
    for soft, dark in ((parameters["depth"], 0.55), (0.0, 1.0)):
        count = parameters["blades"] // 2
        x = centres[rng.integers(len(centres), size=count)] + (rng.random(count) + rng.random(count) - 1) * 0.3
        roots = np.stack([x, parameters["ground"] + 0.05 * rng.random(count)], 1) * size
        headings = np.stack([0.5 * parameters["wind"] + (rng.random(count) - 0.5) * 0.9, -np.ones(count)], 1)
        lengths = size * parameters["height"] * (0.3 + 0.7 * rng.random(count))
        fall = np.stack([headings[:, 0] * 0.7 + parameters["wind"] * 0.4, parameters["droop"] * rng.random(count)], 1)
        paths = curves(roots, headings, lengths, fall=fall, steps=14)
        cells = paths[:, 5].clip(0, size - 1).astype(np.int64)
        colours = strand_colours(rng, tones[cells[:, 1], cells[:, 0]] * dark, 0.35, count)
        widths = size / 640 * parameters["width"] * (0.3 + rng.random(count))
        canvas = Canvas(size)
        canvas.ribbons(paths, taper(widths, 14, tip=0.05), colours)
        _ears(canvas, rng, paths[rng.random(count) < parameters["ears"]], dark)
        picture = over(blur(canvas.picture(), soft * size / 640), picture)
    height = np.linspace(1.25, 0.6, size, dtype=np.float32)[:, None] * np.ones((1, size), np.float32)
    return finish(blur(tint(picture, height), parameters["blur"] * size / 640), "grass")


def draw_twigs(draw: Draw) -> Parameters:
    """Draw bare branches, roots or wires that fork into thinner and thinner ones."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "plant", sources=("noise", "photo")) | {"relief": 0.3},
        "stems": draw.whole(3, 9),
        "forks": draw.whole(2, 4),
        "levels": draw.whole(3, 4),
        "thick": draw.number(10.0, 50.0),
        "thin": draw.number(0.42, 0.62),
        "length": draw.number(0.3, 0.5),
        "fan": draw.number(0.4, 1.3),
        "crooked": draw.number(0.02, 0.12),
        "turn": draw.number(-3.141593, 3.141593),
        "needles": draw.whole(300, 1100) if draw.chance(0.4) else 0,
        "blur": draw.number(0.3, 1.5) if draw.chance(0.35) else 0.0,
    }


def make_twigs(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    canvas, needles = Canvas(size), Canvas(size)
    stems: int = parameters["stems"]
    start = np.array([-np.cos(parameters["turn"]), -np.sin(parameters["turn"])]) * 0.5 + 0.5
    roots = (start + (rng.random((stems, 2)) - 0.5) * 0.6) * size
    angle = parameters["turn"] + (rng.random(stems) - 0.5) * 0.9
    length, thick = parameters["length"] * size, parameters["thick"] * size / 640
    wood = base_colour(parameters["look"])
    for level in range(parameters["levels"]):
        count = len(roots)
        headings = np.stack([np.cos(angle), np.sin(angle)], 1)
        lengths = length * (0.6 + 0.6 * rng.random(count))
        paths = curves(roots, headings, lengths, fall=(rng.random((count, 2)) - 0.5) * 0.4, steps=14)
        paths = curl(paths, lengths * parameters["crooked"], 0.5 + 2 * rng.random(count), 6.283 * rng.random(count))
        last = level == parameters["levels"] - 1
        canvas.ribbons(
            paths, taper(np.full(count, thick), 14, tip=0.1 if last else 0.6), strand_colours(rng, wood, 0.3, count)
        )
        if level and parameters["needles"]:
            _needles(needles, rng, paths, parameters["needles"] // parameters["levels"], wood)
        fork = np.repeat(np.arange(count), parameters["forks"])
        along = rng.integers(5, 14, size=len(fork))
        roots = paths[fork, along]
        ahead = paths[fork, along] - paths[fork, along - 1]
        angle = np.arctan2(ahead[:, 1], ahead[:, 0]) + (rng.random(len(fork)) - 0.5) * 2 * parameters["fan"]
        length, thick = 0.62 * length, max(parameters["thin"] * thick, 0.8 * size / 640)
    picture = over(canvas.picture(), needles.picture())
    tones = texture(parameters["look"], size, photos).mean(2)
    picture = tint(picture, np.clip(tones / max(float(tones.mean()), 0.05), 0.4, 1.7))
    return finish(blur(picture, parameters["blur"] * size / 640), "twigs")


def draw_flower(draw: Draw) -> Parameters:
    """Draw one to three flowers with narrow or broad petals, some of them thistles."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "petal", sources=("noise", "gradient", "photo")),
        "heart": draw_look(draw, "plant", sources=("noise",)),
        "blossoms": draw.whole(1, 3),
        "radius": draw.number(0.22, 0.5),
        "petals": draw.whole(7, 40),
        "rows": draw.whole(1, 3),
        "slender": draw.number(0.15, 0.6),
        "form": draw.choice(("daisy", "daisy", "thistle")),
        "fray": draw.number(0.0, 0.05),
        "sheer": draw.number(0.0, 0.3) if draw.chance(0.3) else 0.0,
        "blur": draw.number(0.3, 1.5) if draw.chance(0.35) else 0.0,
    }


def make_flower(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    picture = np.zeros((size, size, 4), np.float32)
    tones = texture(parameters["look"], size, photos)
    light = tones.mean(2)
    light = np.clip(0.3 + 0.7 * light / max(float(light.mean()), 0.05), 0.4, 1.6)
    for index in range(parameters["blossoms"]):
        spread = 0.0 if parameters["blossoms"] == 1 else 0.8
        centre = (0.5 + (rng.random(2) - 0.5) * (0.3 + spread)) * size
        radius = parameters["radius"] * size * (1.0 if index == 0 else 0.6 + 0.4 * rng.random())
        canvas = Canvas(size)
        stem = curves(centre[None], np.array([[0.0, 1.0]]), np.array([1.2 * size]), fall=(rng.random(2) - 0.5) * 0.3)
        canvas.ribbons(stem, np.full((1, 14), 7 * size / 640), np.array([[0.25, 0.4, 0.15]]))
        draw = _thistle if parameters["form"] == "thistle" else _daisy
        draw(canvas, rng, parameters, centre, radius)
        part = tint(canvas.picture(), light)
        if parameters["sheer"]:
            thin = 1 - np.float32(parameters["sheer"]) * np.clip(0.5 + fractal(rng, size, cells=8, octaves=3), 0, 1)
            part = scaled(part, thin)
        picture = over(part, picture)
    return finish(blur(picture, parameters["blur"] * size / 640), "flower")


def _groups(count: int, parameters: Parameters) -> list[slice]:
    """The twigs of each layer, as even as can be."""
    ends = np.linspace(0, count, parameters["layers"] + 1).round().astype(int).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def _twigs(rng: np.random.Generator, parameters: Parameters, size: int) -> tuple[Points, Points]:
    """Stems (n, 12, 2) and the leaves on them (n, leaves, 4): root x and y, heading, length in pixels."""
    count, leaves = int(parameters["twigs"]), int(parameters["leaves"])
    roots = np.array([parameters["x"], parameters["y"]]) * size + (rng.random((count, 2)) - 0.5) * 0.08 * size
    angle = parameters["heading"] + (rng.random(count) - 0.5) * 2 * parameters["fan"]
    headings = np.stack([np.cos(angle), np.sin(angle)], 1)
    lengths = size * parameters["reach"] * (0.4 + 0.6 * rng.random(count))
    stems = curves(roots, headings, lengths, fall=np.array([0.0, parameters["gravity"]]), steps=12)
    place = (2 + rng.random((count, leaves)) * 9).astype(np.int64)
    start = np.take_along_axis(stems, place[..., None], 1)
    ahead = start - np.take_along_axis(stems, place[..., None] - 1, 1)
    side = np.where(rng.random((count, leaves)) < 0.5, -1.0, 1.0)
    heading = np.arctan2(ahead[..., 1], ahead[..., 0]) + side * (0.2 + 0.9 * rng.random((count, leaves)))
    length = size * parameters["length"] * (0.5 + 0.8 * rng.random((count, leaves)))
    return stems, np.concatenate([start, heading[..., None], length[..., None]], -1)


def _leaf_outline(leaves: Points, slender: Points, widest: float, bend: Points) -> tuple[Points, Points]:
    """Midribs (n, 9, 2) and outlines (n, 18, 2) of leaves in the form that `_twigs` gives."""
    t = np.linspace(0, 1, 9)
    headings = np.stack([np.cos(leaves[:, 2]), np.sin(leaves[:, 2])], 1)
    aside = np.stack([-headings[:, 1], headings[:, 0]], 1)
    rib = leaves[:, None, :2] + leaves[:, 3, None, None] * (
        headings[:, None] * t[None, :, None] + aside[:, None] * (bend[:, None] * t[None] ** 2)[..., None]
    )
    half = np.sin(np.pi * t ** (np.log(0.5) / np.log(widest))) * 0.5
    across = aside[:, None] * (half[None] * (slender * leaves[:, 3])[:, None])[..., None]
    return rib, np.concatenate([rib + across, (rib - across)[:, ::-1]], 1)


def _leaves(canvas: Canvas, rng: np.random.Generator, parameters: Parameters, leaves: Points, bright: float) -> None:
    """Leaves of a layer that gets this share of the light."""
    count = len(leaves)
    if count == 0:
        return
    leaves = leaves[rng.permutation(count)]
    slender = parameters["slender"] * (0.25 + 0.75 * rng.random(count))  # leaves seen from the side are narrow
    bend = parameters["bend"] * (rng.random(count) - 0.5) * 2
    rib, outlines = _leaf_outline(leaves, slender, parameters["widest"], bend)
    # Deep inside the plant it is dark. A leaf is lit by how it turns to the sun, its halves differently; some let the
    # sun through, which makes them bright and yellow.
    root = np.array([parameters["x"], parameters["y"]]) * canvas.size
    away = np.linalg.norm(rib[:, 5] - root, axis=1) / (0.5 * parameters["reach"] * canvas.size)
    inside = np.clip(parameters["shade"] + away, parameters["shade"], 1)
    facing = 0.8 + 0.3 * np.cos(leaves[:, 2] - parameters["sun"]) + 0.25 * (rng.random(count) - 0.5)
    colours = strand_colours(rng, base_colour(parameters["look"]) * bright, 0.35, count) * (inside * facing)[:, None]
    through = rng.random(count) < parameters["through"]
    colours[through] = colours[through] * (1.35, 1.3, 0.8) + np.array([0.06, 0.06, 0.0]) * bright
    halves = colours * (1 + 0.3 * np.sin(leaves[:, 2] - parameters["sun"]) + 0.2 * (rng.random(count) - 0.5))[:, None]
    shaded = np.concatenate([outlines[:, :9], rib[:, ::-1]], 1)
    across = np.linalg.norm(outlines[:, :9] - outlines[:, :8:-1], axis=2)
    veins = np.minimum(np.linspace(1.2, 0.3, 9) * canvas.size / 640, across / 3)
    has_vein = rng.random(count) < 0.5 * bright
    for index in range(count):
        canvas.polygon(outlines[index], colours[index])
        canvas.polygon(shaded[index], halves[index])
        if has_vein[index]:
            one = slice(index, index + 1)
            canvas.ribbons(rib[one], veins[one], np.clip(colours[one] * 1.25, 0, 1))


def _pot(rng: np.random.Generator, parameters: Parameters, size: int, photos: Photos) -> Field:
    x, top = parameters["x"], max(0.6, parameters["y"] - 0.05 - 0.2 * rng.random())
    wide, foot = 0.13 + 0.1 * rng.random(), 0.7 + 0.2 * rng.random()
    rim = 0.04
    corners = [(-1.08, 0), (1.08, 0), (1.08, rim), (1, rim), (foot, 0.5), (-foot, 0.5), (-1, rim), (-1.08, rim)]
    canvas = Canvas(size)
    canvas.polygon(np.array([(x + wide * dx, top + dy) for dx, dy in corners]) * size, (1.0, 1.0, 1.0))
    pot = canvas.picture()
    pot[..., :3] *= texture(
        parameters["stem"] | {"hue": parameters["stem"]["second"][0], "source": "photo"}, size, photos
    )
    across = (np.arange(size, dtype=np.float32) / size - x) / wide
    return tint(pot, np.broadcast_to(1.15 - 0.5 * np.abs(across + 0.3), (size, size)).astype(np.float32).clip(0.3, 1.3))


def _ears(canvas: Canvas, rng: np.random.Generator, stalks: Points, dark: float) -> None:
    """Ears of grass: a few dozen awns around the end of a stalk."""
    for stalk in stalks[:16]:
        awns = 26
        place = rng.integers(9, 14, size=awns)
        ahead = stalk[place] - stalk[place - 1]
        angle = np.arctan2(ahead[:, 1], ahead[:, 0]) + (rng.random(awns) - 0.5) * 1.1
        headings = np.stack([np.cos(angle), np.sin(angle)], 1)
        lengths = canvas.size * (0.02 + 0.05 * rng.random(awns))
        paths = curves(stalk[place], headings, lengths, fall=(0.0, 0.15), steps=5)
        colours = strand_colours(rng, np.array([0.75, 0.65, 0.4], np.float32) * np.float32(dark), 0.3, awns)
        canvas.ribbons(paths, taper(np.full(awns, canvas.size / 640 * 1.6), 5), colours)


def _needles(canvas: Canvas, rng: np.random.Generator, paths: Points, count: int, wood: Field) -> None:
    branch, place = rng.integers(len(paths), size=count), rng.integers(1, paths.shape[1], size=count)
    ahead = paths[branch, place] - paths[branch, place - 1]
    side = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    angle = np.arctan2(ahead[:, 1], ahead[:, 0]) + side * (0.4 + 0.6 * rng.random(count))
    headings = np.stack([np.cos(angle), np.sin(angle)], 1)
    lengths = canvas.size * (0.02 + 0.05 * rng.random(count))
    needles = curves(paths[branch, place], headings, lengths, fall=(0.0, 0.1), steps=5)
    green = np.array([0.5, 0.8, 0.35], np.float32) * np.float32(0.4) + wood * np.float32(0.3)
    canvas.ribbons(needles, taper(np.full(count, 1.6 * canvas.size / 640), 5), strand_colours(rng, green, 0.4, count))


def _daisy(canvas: Canvas, rng: np.random.Generator, parameters: Parameters, centre: Points, radius: float) -> None:
    base = base_colour(parameters["look"])
    for row in range(parameters["rows"]):
        count: int = parameters["petals"]
        angle = (np.arange(count) + 0.5 * row + 0.5 * (rng.random(count) - 0.5)) * 6.283 / count
        length = radius * (1 - 0.16 * row) * (0.85 + 0.25 * rng.random(count))
        petals = np.concatenate([np.repeat(centre[None], count, 0), angle[:, None], length[:, None]], 1)
        slender = np.full(count, max(parameters["slender"] * 0.8, 4.0 / count)) * (0.7 + 0.5 * rng.random(count))
        rib, outlines = _leaf_outline(petals, slender, 0.68, (rng.random(count) - 0.5) * 0.3)
        colours = strand_colours(rng, base * np.float32(0.8 + 0.15 * row), 0.35, count)
        half = np.concatenate([outlines[:, :9], rib[:, ::-1]], 1)
        for index in rng.permutation(count):
            canvas.polygon(outlines[index], colours[index])
            canvas.polygon(half[index], colours[index] * 0.88)
    dots = (rng.random((260, 2)) + rng.random((260, 2)) - 1) * 0.3 * radius
    ring = turned(np.array([[1.0, 0.0]]), 0.0) * 0.02 * radius
    corners = np.stack([turned(ring, angle)[0] for angle in np.linspace(0, 6.283, 8)])
    canvas.polygons(
        (centre + dots)[:, None] + corners * 1.4, strand_colours(rng, base_colour(parameters["heart"]), 0.6, 260)
    )


def _thistle(canvas: Canvas, rng: np.random.Generator, parameters: Parameters, centre: Points, radius: float) -> None:
    """A head of scales with a brush of thin, crooked threads on top."""
    turn = -1.57 + (rng.random() - 0.5) * 1.6
    threads = 500
    angle = turn + (rng.random(threads) - 0.5) * (1.8 + 1.6 * rng.random())
    headings = np.stack([np.cos(angle), np.sin(angle)], 1)
    start = centre + headings * radius * 0.45 * rng.random((threads, 1))
    lengths = radius * (0.3 + 0.5 * rng.random(threads))
    paths = curves(start, headings, lengths, fall=(rng.random((threads, 2)) - 0.5) * 0.7, steps=12)
    paths = curl(paths, lengths * parameters["fray"], 1 + 2 * rng.random(threads), 6.283 * rng.random(threads))
    widths = canvas.size / 640 * (0.8 + 2.2 * rng.random(threads))
    canvas.ribbons(
        paths, taper(widths, 12, tip=0.4), strand_colours(rng, base_colour(parameters["look"]), 0.5, threads)
    )
    scales = 130
    away = turn + np.pi + (rng.random(scales) - 0.5) * 3.9
    reach = np.sort(rng.random(scales))[::-1]
    places = centre + np.stack([np.cos(away), np.sin(away)], 1) * (reach * 0.62 * radius)[:, None]
    heading = turn + (rng.random(scales) - 0.5) * 0.7 + (away - turn - np.pi) * -0.3
    leaves = np.concatenate([places, heading[:, None], np.full((scales, 1), 0.34 * radius)], 1)
    rib, outlines = _leaf_outline(leaves, np.full(scales, 0.55), 0.4, np.zeros(scales))
    colours = strand_colours(rng, base_colour(parameters["heart"]), 0.4, scales)
    canvas.polygons(outlines, colours)
    canvas.ribbons(rib, np.full((scales, 9), 0.8 * canvas.size / 640), colours * 0.6)
