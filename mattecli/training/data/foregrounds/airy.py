"""Foregrounds with little or nothing opaque: webs, dandelions, smoke."""

import numpy as np

from mattecli.training.data.foregrounds.canvas import Canvas, Foreground, blur, finish, over, premultiplied, scaled
from mattecli.training.data.foregrounds.colour import Photos, base_colour, draw_look, strand_colours, texture
from mattecli.training.data.foregrounds.noise import Parameters, Points, fractal, grid, warp
from mattecli.training.data.foregrounds.strands import curl, curves, taper
from mattecli.training.data.random import Draw, generator


def draw_web(draw: Draw) -> Parameters:
    """Draw a spider's web: spokes, sagging spirals and dew, sometimes on a twig."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "pale", sources=("flat", "noise")),
        "webs": draw.whole(1, 3),
        "spokes": draw.whole(12, 34),
        "turns": draw.whole(10, 40),
        "sag": draw.number(0.0, 0.35),
        "width": draw.number(0.5, 1.9),
        "opacity": draw.number(0.35, 1.0),
        "dew": draw.number(0.0, 1.0) if draw.chance(0.5) else 0.0,
        "torn": draw.number(0.0, 0.3),
        "cobweb": draw.whole(20, 160) if draw.chance(0.5) else 0,
        "twig": draw.chance(0.4),
        "blur": draw.number(0.3, 1.5) if draw.chance(0.35) else 0.0,
    }


def make_web(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    canvas = Canvas(size)
    base = base_colour(parameters["look"])
    for _ in range(parameters["webs"]):
        _web(canvas, rng, parameters, base)
    _cobweb(canvas, rng, parameters["cobweb"], base)
    uneven = np.float32(parameters["opacity"]) * np.clip(
        1 + np.float32(0.6) * fractal(rng, size, cells=6, octaves=4), 0.1, 1.5
    )
    picture = scaled(canvas.picture(), np.minimum(uneven, np.float32(1)))
    if parameters["twig"]:
        twig = Canvas(size)
        roots = np.array([[-0.05, rng.random()], [rng.random(), 1.05]]) * size
        headings = np.array([[1.0, 0.3 - 0.6 * rng.random()], [0.3 - 0.6 * rng.random(), -1.0]])
        paths = curves(roots, headings, np.full(2, 1.3 * size), fall=(rng.random((2, 2)) - 0.5) * 0.4, steps=30)
        paths = curl(paths, np.full(2, 0.02 * size), 2 + 3 * rng.random(2), 6 * rng.random(2))
        twig.ribbons(paths, taper(size / 640 * (8 + 22 * rng.random(2)), 30, tip=0.5), np.full((2, 3), 0.9))
        wood = twig.picture()
        wood[..., :3] *= texture(parameters["look"] | {"source": "photo", "value": 0.4, "tie": 0.5}, size, photos)
        picture = over(picture, wood)
    return finish(blur(picture, parameters["blur"] * size / 640), "web", solid=parameters["twig"])


def draw_dandelion(draw: Draw) -> Parameters:
    """Draw dandelion seed heads, whole or half blown away, with seeds in the air."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "pale", sources=("flat", "noise")),
        "heads": draw.whole(1, 3),
        "radius": draw.number(0.22, 0.44),
        "seeds": draw.whole(40, 110),
        "hairs": draw.whole(9, 18),
        "chute": draw.number(0.25, 0.5),
        "width": draw.number(0.5, 1.5),
        "missing": draw.number(0.0, 0.6),
        "flying": draw.whole(0, 12),
        "opacity": draw.number(0.5, 1.0),
        "soft": draw.number(0.5, 3.0),
        "blur": draw.number(0.3, 1.2) if draw.chance(0.35) else 0.0,
    }


def make_dandelion(parameters: Parameters, size: int, _photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    base = base_colour(parameters["look"])
    far, near, heart = Canvas(size), Canvas(size), Canvas(size)
    for index in range(parameters["heads"]):
        radius = size * parameters["radius"] * (1.0 if index == 0 else 0.5 + 0.4 * rng.random())
        centre = size * (0.5 + (rng.random(2) - 0.5) * (0.25 if index == 0 else 0.8))
        gap = 6.283 * rng.random()
        for canvas, share in ((far, 0.4), (near, 0.6)):
            count = int(parameters["seeds"] * share)
            angle = 6.283 * rng.random(count)
            angle = angle[np.abs((angle - gap + np.pi) % 6.283 - np.pi) > 3.0 * parameters["missing"]]
            reach = radius * np.sqrt(
                rng.random(len(angle)) * 0.75 + 0.15
            )  # a ball seen from the side is densest at its rim
            tips = centre + np.stack([np.cos(angle), np.sin(angle)], 1) * reach[:, None]
            _seeds(canvas, rng, np.repeat(centre[None], len(tips), 0), tips, radius, parameters, base)
        _heart(heart, rng, centre, radius)
    flying: int = parameters["flying"]
    tips = rng.random((flying, 2)) * size
    stalks = tips + (rng.random((flying, 2)) - 0.5) * 0.25 * size
    _seeds(near, rng, stalks, tips, size * parameters["radius"], parameters, base)
    uneven = np.clip(
        np.float32(parameters["opacity"]) * (1 + np.float32(0.4) * fractal(rng, size, cells=5, octaves=3)), 0.2, 1
    )
    back = blur(scaled(far.picture(), uneven * np.float32(0.8)), parameters["soft"] * size / 640)
    picture = over(scaled(near.picture(), uneven), over(heart.picture(), back))
    return finish(blur(picture, parameters["blur"] * size / 640), "dandelion")


def draw_smoke(draw: Draw) -> Parameters:
    """Draw smoke, mist, flames or powder: stretched, curled noise that gets thin towards the edges."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "pale", sources=("flat", "gradient", "noise", "photo")),
        "cells": draw.number(2.0, 7.0),
        "gain": draw.number(0.4, 0.68),
        "curl": draw.number(0.05, 0.35),
        "stretch": draw.number(0.0, 0.25),
        "density": draw.number(0.8, 3.5),
        "floor": draw.number(-0.35, 0.25),
        "x": draw.number(0.3, 0.7),
        "y": draw.number(0.35, 0.75),
        "reach": draw.number(0.35, 0.7),
        "flame": draw.chance(0.2),
        "sparks": draw.whole(30, 300) if draw.chance(0.25) else 0,
        "blur": draw.number(0.0, 3.0),
    }


def make_smoke(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    x, y = grid(size)
    swirl = fractal(rng, size, cells=3, octaves=4, channels=2) * np.float32(parameters["curl"] * size)
    puffs = fractal(rng, size, cells=parameters["cells"], octaves=8, gain=parameters["gain"])
    rise = np.float32(parameters["stretch"] * size) * (y - np.float32(parameters["y"]))
    puffs = warp(warp(puffs, swirl[..., 0], swirl[..., 1] + rise), swirl[..., 1] * np.float32(0.4), swirl[..., 0])
    away = np.hypot(x - np.float32(parameters["x"]), y - np.float32(parameters["y"])) / np.float32(parameters["reach"])
    depth = np.maximum(puffs + np.float32(0.75 - parameters["floor"]) - np.float32(1.1) * away**2, 0)
    alpha = 1 - np.exp(-np.float32(parameters["density"]) * depth**1.5)
    if parameters["flame"]:
        heat = np.clip(depth * 2, 0, 1.6)
        tones = np.stack(
            [np.clip(heat * 2, 0.3, 1), np.clip(heat * 1.2 - 0.1, 0.1, 1), np.clip(heat - 0.7, 0.02, 1)], -1
        )
    else:
        light = warp(puffs, np.full_like(puffs, 6 * size / 640), np.full_like(puffs, -9 * size / 640)) - puffs
        tones = scaled(texture(parameters["look"], size, photos), np.clip(1 - np.float32(0.7) * light, 0.4, 1.5))
        tones = np.clip(tones, 0, 1)
    picture = blur(premultiplied(tones.astype(np.float32), alpha.astype(np.float32)), parameters["blur"] * size / 640)
    if parameters["sparks"]:
        sparks, count = Canvas(size), int(parameters["sparks"])
        places = (rng.random((count, 2)) + rng.random((count, 2)) + rng.random((count, 2))) / 3 * size
        angle = 6.283 * rng.random(count)
        trails = curves(
            places, np.stack([np.cos(angle), np.sin(angle)], 1), size * 0.03 * rng.random(count) ** 2 + 1, steps=4
        )
        colours = strand_colours(rng, base_colour(parameters["look"]), 0.6, count)
        sparks.ribbons(trails, taper(size / 640 * (0.7 + 3 * rng.random(count) ** 3), 4), colours)
        picture = over(sparks.picture(), picture)
    return finish(picture, "smoke", solid=False)


def _web(canvas: Canvas, rng: np.random.Generator, parameters: Parameters, base: Points) -> None:
    size, spokes, turns = canvas.size, int(parameters["spokes"]), int(parameters["turns"])
    centre = (0.5 + (rng.random(2) - 0.5) * 0.6) * size
    radius = size * (0.35 + 0.35 * rng.random())
    angle = np.sort((np.arange(spokes) + 0.6 * rng.random(spokes)) * 6.283 / spokes)
    reach = radius * (0.8 + 0.5 * rng.random(spokes))
    squash = np.array([1.0, 0.7 + 0.5 * rng.random()])
    ends = np.stack([np.cos(angle), np.sin(angle)], 1) * squash
    width = parameters["width"] * size / 640
    rays = curves(np.repeat(centre[None], spokes, 0), ends, reach * 1.25, steps=8)
    canvas.ribbons(rays, np.full((spokes, 8), width), strand_colours(rng, base, 0.3, spokes))
    t = np.linspace(0, 1, 5)[None, :, None]
    for turn in range(1, turns + 1):
        share = (turn + 0.3 * rng.random(spokes)) / turns
        corners = centre + ends * (reach * share * 0.9)[:, None]
        after = np.roll(corners, -1, 0)
        # A thread between two spokes hangs towards the hub.
        middle = (corners + after) / 2 + (centre - (corners + after) / 2) * parameters["sag"] * 0.6
        threads = corners[:, None] * (1 - t) ** 2 + middle[:, None] * 2 * t * (1 - t) + after[:, None] * t**2
        keep = rng.random(spokes) > parameters["torn"]
        widths = np.full((spokes, 5), 0.8 * width)
        canvas.ribbons(threads[keep], widths[keep], strand_colours(rng, base, 0.3, spokes)[keep])
        drops = threads[:, 1:4].reshape(-1, 2)
        drops = drops[rng.random(len(drops)) < 0.35 * parameters["dew"]]
        _dots(canvas, rng, drops, size / 640 * (0.8 + 2.2 * parameters["dew"]), base)


def _cobweb(canvas: Canvas, rng: np.random.Generator, count: int, base: Points) -> None:
    if count == 0:
        return
    size = canvas.size
    ends = rng.random((2, count, 2)) ** 1.5 * size
    heading = ends[1] - ends[0]
    length = np.linalg.norm(heading, axis=1)
    paths = curves(ends[0], heading / np.maximum(length, 1)[:, None], length, fall=(0.0, 0.12), steps=10)
    canvas.ribbons(paths, np.full((count, 10), 0.5 * size / 640), strand_colours(rng, base, 0.4, count))


def _dots(canvas: Canvas, rng: np.random.Generator, places: Points, radius: float, base: Points) -> None:
    turn = np.linspace(0, 6.283, 8, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], 1)
    if len(places) == 0:
        return
    radii = radius * (0.4 + 0.8 * rng.random((len(places), 1, 1)))
    canvas.polygons(places[:, None] + ring * radii, strand_colours(rng, base, 0.5, len(places)))


def _seeds(
    canvas: Canvas,
    rng: np.random.Generator,
    stalks: Points,
    tips: Points,
    radius: float,
    parameters: Parameters,
    base: Points,
) -> None:
    """Seeds with their stalks and parachutes of hairs."""
    count, hairs, pixel = len(tips), int(parameters["hairs"]), canvas.size / 640
    if count == 0:
        return
    t = np.linspace(0, 1, 6)[None, :, None]
    lines = stalks[:, None] * (1 - t) + tips[:, None] * t
    canvas.ribbons(
        lines, np.full((count, 6), parameters["width"] * pixel), strand_colours(rng, base * 0.85, 0.3, count)
    )
    ahead = tips - stalks
    angle = np.arctan2(ahead[:, 1], ahead[:, 0])[:, None] + (rng.random((count, hairs)) - 0.5) * 2.6
    headings = np.stack([np.cos(angle), np.sin(angle)], -1).reshape(-1, 2)
    lengths = parameters["chute"] * radius * (0.5 + 0.5 * rng.random(count * hairs))
    bend = (rng.random((count * hairs, 2)) - 0.5) * 0.2
    paths = curves(np.repeat(tips, hairs, 0), headings, lengths, fall=bend, steps=5)
    widths = np.full(count * hairs, 0.8 * parameters["width"] * pixel)
    canvas.ribbons(paths, taper(widths, 5, tip=0.4), strand_colours(rng, base, 0.25, count * hairs))


def _heart(canvas: Canvas, rng: np.random.Generator, centre: Points, radius: float) -> None:
    stem = curves(centre[None], np.array([[0.1 * (rng.random() - 0.5), 1.0]]), np.array([1.3 * canvas.size]), steps=14)
    green = np.array([[0.35, 0.45, 0.2]]) * (0.6 + 0.7 * rng.random())
    canvas.ribbons(stem, np.full((1, 14), (7 + 8 * rng.random()) * canvas.size / 640), green)
    turn = np.linspace(0, 6.283, 24, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], 1) * radius * (0.13 + 0.1 * rng.random())
    canvas.polygon(centre + ring, (0.45, 0.4, 0.25))
    _dots(canvas, rng, centre + ring[:, :] * rng.random((24, 1)), 0.02 * radius, np.array([0.6, 0.5, 0.35]))
