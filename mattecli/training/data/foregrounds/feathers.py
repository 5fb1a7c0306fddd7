"""Feathers: a quill, barbs, vanes and down."""

import numpy as np

from mattecli.training.data.foregrounds.canvas import Canvas, Foreground, blur, finish, over, scaled, tint
from mattecli.training.data.foregrounds.colour import Photos, base_colour, draw_look, strand_colours, texture
from mattecli.training.data.foregrounds.noise import Parameters, Points, fractal
from mattecli.training.data.foregrounds.strands import curl, curves, taper
from mattecli.training.data.random import Draw, generator


def draw_feathers(draw: Draw) -> Parameters:
    """Draw one large feather, or a bunch of up to nine."""
    count = draw.whole(1, 9)
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "fur", sources=("noise", "print", "photo", "gradient")),
        "feathers": count,
        "length": draw.number(0.85, 1.3) if count < 3 else draw.number(0.6, 1.0),
        "vane": draw.number(0.13, 0.32),
        "slant": draw.number(0.35, 1.0),
        "bend": draw.number(-0.3, 0.3),
        "down": draw.number(0.1, 0.5),
        "loose": draw.number(0.0, 1.0),
        "turn": draw.number(-3.141593, 3.141593),
        "fan": draw.number(0.2, 1.6),
        "width": draw.number(1.2, 3.0),
        "blur": draw.number(0.3, 1.8) if draw.chance(0.4) else 0.0,
    }


def make_feathers(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    canvas, downy = Canvas(size), Canvas(size)
    count: int = parameters["feathers"]
    barbs = max(95, 420 // count)
    heading = np.array([np.cos(parameters["turn"]), np.sin(parameters["turn"])])
    foot = (0.5 - 0.42 * parameters["length"] * heading) * size
    tones = texture(parameters["look"], size, photos)
    for index in range(count):
        aside = (index / max(1, count - 1) - 0.5) * parameters["fan"] if count > 1 else 0.0
        angle = parameters["turn"] + aside + 0.2 * (rng.random() - 0.5)
        start = foot + (rng.random(2) - 0.5) * 0.12 * size * (count > 1)
        _feather(canvas, downy, rng, parameters, start, angle, barbs, tones)
    fluff = scaled(downy.picture(), np.full((size, size), np.float32(0.65)))
    light = 1 + np.float32(0.25) * fractal(rng, size, cells=4, octaves=3)
    picture = tint(over(canvas.picture(), fluff), light)
    return finish(blur(picture, parameters["blur"] * size / 640), "feathers")


def _feather(
    canvas: Canvas,
    downy: Canvas,
    rng: np.random.Generator,
    parameters: Parameters,
    start: Points,
    angle: float,
    barbs: int,
    tones: Points,
) -> None:
    size = canvas.size
    heading = np.array([[np.cos(angle), np.sin(angle)]])
    length = parameters["length"] * size * (0.8 + 0.3 * rng.random())
    aside = np.array([-heading[0, 1], heading[0, 0]])
    quill = curves(start[None], heading, np.array([length]), fall=aside * parameters["bend"], steps=40)
    base = base_colour(parameters["look"])
    for side in (-1.0, 1.0):
        t = np.sort(rng.random(barbs)) ** 0.9 * 0.92 + 0.07
        at = t * 39
        low = np.minimum(at.astype(np.int64), 38)
        share = (at - low)[:, None]
        roots = quill[0, low] * (1 - share) + quill[0, low + 1] * share
        along = quill[0, low + 1] - quill[0, low]
        direction = np.arctan2(along[:, 1], along[:, 0])
        # Barbs cling together in groups; between two groups the vane is split.
        group = np.floor(t * (4 + 14 * rng.random()) + rng.random())
        swing = (np.sin(group * 12.9898) * 0.5) * 0.5 * parameters["loose"]
        down = np.clip((parameters["down"] - t) / 0.15, 0, 1)
        slant = parameters["slant"] + swing + (rng.random(barbs) - 0.5) * (0.06 + 1.2 * down)
        turn = direction + side * (slant + 0.4 * down)
        headings = np.stack([np.cos(turn), np.sin(turn)], 1)
        profile = np.clip(np.sin(np.pi * np.clip(t, 0, 1) ** 0.8) ** 0.6, 0.1, 1)
        lengths = parameters["vane"] * length * profile * (0.94 + 0.12 * rng.random(barbs)) * (1 + 0.3 * swing)
        fall = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9) * 0.25
        paths = curves(roots, headings, lengths, fall=fall + (rng.random((barbs, 2)) - 0.5) * down[:, None], steps=9)
        cells = paths[:, 5].clip(0, size - 1).astype(np.int64)
        colours = strand_colours(rng, tones[cells[:, 1], cells[:, 0]].astype(np.float32), 0.2, barbs)
        spacing = length / barbs * 1.25
        widths = np.maximum(size / 640 * parameters["width"], spacing) * (1 - 0.5 * down)
        stiff = down < 0.5
        canvas.ribbons(paths[stiff], taper(widths, 9, tip=0.35)[stiff], colours[stiff])
        _down(downy, rng, paths[~stiff], colours[~stiff])
    thick = size / 640 * np.linspace(6, 1, 40)[None]
    canvas.ribbons(quill, thick * (0.5 + parameters["length"]), (base[None] * 0.4 + 0.5).astype(np.float64))


def _down(canvas: Canvas, rng: np.random.Generator, paths: Points, colours: Points) -> None:
    """Draw each barb of down as a few curly threads."""
    for _ in range(3):
        count = len(paths)
        if count == 0:
            return
        shifted = paths + (rng.random((count, 1, 2)) - 0.5) * 0.02 * canvas.size
        wave = canvas.size * 0.012 * rng.random(count)
        threads = curl(shifted, wave, 1 + 2 * rng.random(count), 6.283 * rng.random(count))
        canvas.ribbons(threads, np.full((count, 9), 0.9 * canvas.size / 640), colours)
