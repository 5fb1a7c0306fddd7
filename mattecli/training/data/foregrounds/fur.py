"""Coats of short strands: plush toys, animals, tufts, yarn fringes."""

import numpy as np

from mattecli.training.data.foregrounds.bodies import (
    COAT,
    body_parts,
    contour,
    draw_body,
    draw_looks,
    flow,
    inner_points,
    paint_body,
)
from mattecli.training.data.foregrounds.canvas import (
    Canvas,
    Foreground,
    blur,
    coverage,
    faded,
    finish,
    over,
    straight,
    tint,
)
from mattecli.training.data.foregrounds.colour import Photos, base_colour, draw_look, strand_colours, texture
from mattecli.training.data.foregrounds.noise import Field, Parameters, fractal
from mattecli.training.data.foregrounds.strands import curl, curves, lit, opaque_if_wide, taper
from mattecli.training.data.random import Draw, generator


def draw_fur(draw: Draw) -> Parameters:
    """Draw a body with short strands all along its contour. Strands of a clump lean together."""
    return {
        "seed": draw.seed(),
        "body": draw_body(draw, ("animal", "animal", "blob", "edge")),
        "looks": draw_looks(draw, "fur"),
        "length": draw.number(0.012, 0.09),
        "width": draw.number(0.6, 1.4) if draw.chance(0.6) else draw.number(1.2, 2.6),
        "density": draw.number(0.8, 2.8),
        "lie": draw.number(-3.141593, 3.141593),
        "lean": draw.number(0.1, 1.3),
        "clumps": draw.number(8.0, 40.0),
        "gather": draw.number(0.0, 0.9),
        "curl": draw.number(0.05, 0.3) if draw.chance(0.25) else 0.0,
        "gravity": draw.number(0.0, 0.5),
        "down": draw.number(0.15, 0.8),
        "rim": draw.number(-0.3, 0.6),
        "blur": draw.number(0.3, 1.8) if draw.chance(0.45) else 0.0,
    }


def draw_plush(draw: Draw) -> Parameters:
    """Draw a smooth toy with a tuft or a mane on a part of its contour. Most of its edge is plain."""
    return draw_fur(draw) | {
        "body": draw_body(draw, ("animal",)),
        "length": draw.number(0.05, 0.2),
        "lean": draw.number(0.0, 0.6),
        "tufts": draw.whole(1, 3),
        "extent": draw.number(0.05, 0.3),
        "nap": draw.number(0.0, 0.008),
    }


def make_fur(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    parts = body_parts(parameters["body"], size)
    looks = parameters["looks"]
    body = paint_body(parts, looks, size, photos)
    mass = coverage(size, [outline for outline, material in parts if material == COAT])
    roots, normals = contour(mass)
    if len(roots) == 0:
        return finish(body, "fur")
    coat = straight(body)
    lie = flow(rng, size, angle=parameters["lie"], stray=0.8)
    behind, front = Canvas(size), Canvas(size)
    _edge(behind, rng, parameters, roots, normals, coat, lie, thin=0.6, long=1.35)
    _inside(front, rng, parameters, mass, coat, lie)
    _edge(front, rng, parameters, roots, normals, coat, lie, thin=1.0, long=1.0)
    wide = parameters["width"] * size / 640
    shaded = tint(behind.picture(), np.full((size, size), 0.45 + 0.55 * rng.random(), np.float32))
    down = faded(shaded, opaque_if_wide(_veiled(rng, size, parameters["down"]), 0.6 * wide))
    picture = over(front.picture(), over(body, blur(down, 0.6 * size / 640)))
    return finish(blur(lit(picture, rng, mass, parameters["rim"]), parameters["blur"] * size / 640), "fur")


def make_plush(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    parts = body_parts(parameters["body"], size)
    body = paint_body(parts, parameters["looks"], size, photos)
    alpha = np.ascontiguousarray(body[..., 3])
    roots, normals = contour(alpha)
    if len(roots) == 0:
        return finish(body, "plush")
    coat = straight(body)
    lie = flow(rng, size, angle=parameters["lie"], stray=0.8)
    nap, front, behind = Canvas(size), Canvas(size), Canvas(size)
    if parameters["nap"] > 0.001:
        short = parameters | {"length": parameters["nap"], "density": 1.2, "curl": 0.0, "gather": 0.3}
        _edge(nap, rng, short, roots, normals, coat, lie, thin=1.0, long=1.0)
    radius = parameters["extent"] * size
    for _ in range(parameters["tufts"]):
        # The highest of a few places: tufts and manes grow on top more often than below.
        at = min(rng.integers(len(roots), size=2), key=lambda index: float(roots[index, 1]))
        near = np.linalg.norm(roots - roots[at], axis=1) < radius * (0.6 + 0.6 * rng.random())
        tuft = parameters | {"density": 1.6 * parameters["density"]}
        _edge(behind, rng, tuft, roots[near], normals[near], coat, lie, thin=0.6, long=1.25)
        _edge(front, rng, tuft, roots[near], normals[near], coat, lie, thin=1.0, long=1.0)
    veil = opaque_if_wide(_veiled(rng, size, parameters["down"]), 0.6 * parameters["width"] * size / 640)
    picture = over(nap.picture(), over(body, faded(behind.picture(), veil)))
    picture = over(front.picture(), picture)
    return finish(blur(lit(picture, rng, alpha, parameters["rim"]), parameters["blur"] * size / 640), "plush")


def draw_fringe(draw: Draw) -> Parameters:
    """Draw yarn that hangs from a cloth or stands in a row: thick threads of a few colours with gaps."""
    return {
        "seed": draw.seed(),
        "looks": [draw_look(draw, "any", sources=("flat", "noise", "gradient")) for _ in range(draw.whole(1, 6))],
        "cloth": draw_look(draw, "any"),
        "threads": draw.whole(40, 170),
        "width": draw.number(2.0, 11.0),
        "length": draw.number(0.25, 0.7),
        "hem": draw.number(0.1, 0.5),
        "slope": draw.number(-0.35, 0.35),
        "sway": draw.number(-0.35, 0.35),
        "wave": draw.number(0.0, 0.05),
        "fuzz": draw.number(0.0, 1.0),
        "turn": draw.number(-0.3, 0.3),
        "blur": draw.number(0.3, 1.3) if draw.chance(0.35) else 0.0,
        "rim": draw.number(0.4, 1.0),
        "sun": draw.number(-1.0, 1.0),
        "fray": draw.whole(0, 9) if draw.chance(0.5) else 0,
        "shade": draw.number(0.1, 1.0),
        "plies": draw.number(0.2, 0.9),
    }


def make_fringe(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    pixel, count = size / 640, int(parameters["threads"])
    left, right = -0.1 + 0.35 * rng.random(), 1.1 - 0.35 * rng.random()
    across = np.linspace(left, right, count) + (rng.random(count) - 0.5) * 0.02
    hem = parameters["hem"] + parameters["slope"] * (across - 0.5)
    roots = np.stack([across, hem - 0.02], 1) * size
    headings = np.stack([parameters["sway"] + (rng.random(count) - 0.5) * 0.35, np.ones(count)], 1)
    lengths = size * parameters["length"] * (0.5 + 0.7 * rng.random(count))
    paths = curves(roots, headings, lengths, fall=np.array([0.15 * parameters["sway"], 0.05]), steps=26)
    wave = size * parameters["wave"] * rng.random(count)
    paths = curl(paths, wave, 0.5 + 3 * rng.random(count), 6.283 * rng.random(count))
    order = rng.permutation(count)
    widths = np.repeat((pixel * parameters["width"] * (0.7 + 0.6 * rng.random(count)))[:, None], 26, 1)
    widths *= 1 + 0.15 * (rng.random(widths.shape) - 0.5)  # twisted yarn is never quite even
    bases = np.stack([base_colour(look) for look in parameters["looks"]])[
        rng.integers(len(parameters["looks"]), size=count)
    ]
    yarn, fuzz = Canvas(size), Canvas(size)
    _fuzz(fuzz, rng, paths, widths, bases, parameters["fuzz"])
    colours = strand_colours(rng, bases, 0.25, count)
    # What hangs behind is in the shade of what hangs before it: a dark slit need not be background.
    colours[order] *= np.linspace(parameters["shade"], 1, count)[:, None]
    # Round yarn is bright on the side of the light and darker towards its rim, which need not stand out.
    shift = np.stack([parameters["sun"] * 0.2 * widths, np.zeros_like(widths)], 2)
    bodies, highlights = paths + 0.6 * shift, paths + shift
    for index in order:
        one = slice(index, index + 1)
        _frayed(yarn, rng, paths[index], float(widths[index, -1]), colours[index], parameters["fray"])
        yarn.ribbons(paths[one], widths[one], colours[one] * parameters["rim"])
        yarn.ribbons(bodies[one], widths[one] * 0.7, colours[one])
        yarn.ribbons(highlights[one], widths[one] * 0.3, np.clip(colours[one] * 1.2, 0, 1))
    cloth = Canvas(size)
    edge = np.stack([across, hem + 0.004 * np.sin(across * 90)], 1)
    corners = np.concatenate([edge, [[right + 0.02, -0.3], [left - 0.02, -0.3]]]) * size
    cloth.polygon(corners, (1.0, 1.0, 1.0))
    sheet = cloth.picture()
    sheet[..., :3] *= texture(parameters["cloth"], size, photos)
    twist = np.exp(np.float32(parameters["plies"]) * fractal(rng, size, cells=100, octaves=2))
    threads = tint(yarn.picture(), twist)
    picture = over(sheet, over(threads, faded(fuzz.picture(), np.full((size, size), np.float32(0.5)))))
    return finish(blur(_mottled(picture, rng), parameters["blur"] * pixel), "fringe")


def _frayed(
    canvas: Canvas, rng: np.random.Generator, path: np.ndarray, width: float, colour: np.ndarray, count: int
) -> None:
    """Fibres (`count`) that a thread, a path (P, 2) of a width in pixels, ends in."""
    if count == 0:
        return
    ahead = np.arctan2(*(path[-1] - path[-2])[::-1])
    angle = ahead + (rng.random(count) - 0.5) * 1.2
    headings = np.stack([np.cos(angle), np.sin(angle)], 1)
    aside = np.array([-np.sin(ahead), np.cos(ahead)])
    roots = path[-1] + aside * (rng.random((count, 1)) - 0.5) * width * 0.8
    lengths = width * (0.5 + 1.5 * rng.random(count))
    fibres = curves(roots, headings, lengths, fall=(rng.random((count, 2)) - 0.5) * 0.6, steps=6)
    canvas.ribbons(fibres, taper(np.full(count, width / 5), 6), strand_colours(rng, colour, 0.3, count))


def _edge(
    canvas: Canvas,
    rng: np.random.Generator,
    parameters: Parameters,
    roots: np.ndarray,
    normals: np.ndarray,
    coat: Field,
    lie: Field,
    *,
    thin: float,
    long: float,
) -> None:
    """Strands with their roots on the contour, in the colours of the coat below."""
    size = canvas.size
    pixel = size / 640
    length = parameters["length"] * size * long
    count = int(min(3000, len(roots) / pixel * 0.75 * parameters["density"]))
    if count == 0:
        return
    at = np.sort(rng.integers(len(roots), size=count))
    depth = rng.random(count) * min(length, 0.03 * size)
    starts = roots[at] - normals[at] * depth[:, None] + (rng.random((count, 2)) - 0.5) * 2 * pixel
    cells = starts.clip(0, size - 1).astype(np.int64)
    angle = lie[cells[:, 1], cells[:, 0]]
    lean = np.stack([np.cos(angle), np.sin(angle)], 1) * parameters["lean"]
    # Clumps: neighbours share a swing, looked up in a field of noise of the clumps' size.
    swing = fractal(rng, size, cells=parameters["clumps"], octaves=2, channels=2)[cells[:, 1], cells[:, 0]]
    headings = normals[at] + lean + swing * (0.3 + parameters["gather"]) + (rng.random((count, 2)) - 0.5) * 0.5
    headings /= np.maximum(np.linalg.norm(headings, axis=1, keepdims=True), 0.3)
    vary = 1 + 0.5 * fractal(rng, size, cells=6, octaves=3)[cells[:, 1], cells[:, 0]]
    lengths = length * (0.35 + 0.75 * rng.random(count)) * np.clip(vary, 0.3, 2) + 0.5 * depth
    steps = 16 if parameters["curl"] else 7
    paths = curves(starts, headings, lengths, fall=np.array([0.0, parameters["gravity"]]) + 0.5 * swing, steps=steps)
    if parameters["curl"]:
        turns = 1 + 2 * rng.random(count)
        paths = curl(paths, lengths * parameters["curl"], turns, 6.283 * rng.random(count))
    # Locks: the tips of strands that stand side by side draw together.
    lock = (at / (0.35 * length + 4 * pixel)).astype(np.int64)
    shared = np.maximum(np.bincount(lock), 1)[lock][:, None]
    tips = np.stack([np.bincount(lock, paths[:, -1, axis])[lock] for axis in (0, 1)], 1) / shared
    pull = parameters["gather"] * np.linspace(0, 1, steps)[None, :, None] ** 1.5
    draw = tips - paths[:, -1]
    # A lock may span a jump of the contour; its strands don't.
    draw *= np.minimum(1, 0.6 * length / np.maximum(np.linalg.norm(draw, axis=1, keepdims=True), 1e-9))
    paths += draw[:, None] * pull
    widths = pixel * parameters["width"] * thin * (0.4 + rng.random(count))
    order = rng.permutation(count)
    shades = _coat_shades(rng, coat, cells, count)
    canvas.ribbons(paths[order], taper(widths, steps)[order], shades[order])


def _inside(
    canvas: Canvas, rng: np.random.Generator, parameters: Parameters, mass: Field, coat: Field, lie: Field
) -> None:
    """The coat from above: strokes along its direction, from the top of the frame down, each over the one before."""
    size = canvas.size
    places = inner_points(rng, mass, int(900 * min(1.0, 0.4 + parameters["density"] / 2)))
    if len(places) == 0:
        return
    places = places[np.argsort(places[:, 1])]
    cells, count = places.astype(np.int64), len(places)
    angle = lie[cells[:, 1], cells[:, 0]] + (rng.random(count) - 0.5) * 0.9
    headings = np.stack([np.cos(angle), np.sin(angle)], 1)
    lengths = size * (0.4 * parameters["length"] + 0.015) * (0.5 + rng.random(count))
    paths = curves(places, headings, lengths, fall=np.array([0.0, 0.5 * parameters["gravity"]]), steps=6)
    widths = size / 640 * parameters["width"] * (0.7 + 1.2 * rng.random(count))
    ends = paths[:, -1].clip(0, size - 1).astype(np.int64)
    keep = mass[ends[:, 1], ends[:, 0]] > 0.9
    canvas.ribbons(paths[keep], taper(widths, 6)[keep], _coat_shades(rng, coat, cells, count)[keep])


def _coat_shades(rng: np.random.Generator, coat: Field, cells: np.ndarray, count: int) -> np.ndarray:
    colours = strand_colours(rng, coat[cells[:, 1], cells[:, 0]], 0.3, count)
    return np.clip(colours * (0.95 + 0.2 * rng.random((count, 1))), 0.015, 1)


def _fuzz(
    canvas: Canvas, rng: np.random.Generator, paths: np.ndarray, widths: np.ndarray, colours: Field, level: float
) -> None:
    """Loose fibres that stand out from the yarn."""
    count = int(700 * level)
    if count == 0:
        return
    thread = rng.integers(len(paths), size=count)
    place = rng.integers(paths.shape[1], size=count)
    angle = 6.283 * rng.random(count)
    headings = np.stack([np.cos(angle), np.sin(angle)], 1)
    lengths = widths[thread, place] * (0.7 + 1.3 * rng.random(count))
    fibres = curves(paths[thread, place], headings, lengths, fall=(rng.random((count, 2)) - 0.5) * 0.8, steps=6)
    canvas.ribbons(
        fibres, np.full((count, 6), 0.6 * canvas.size / 640), strand_colours(rng, colours[thread], 0.3, count)
    )


def _veiled(rng: np.random.Generator, size: int, level: float) -> Field:
    veil: Field = np.clip(np.float32(level) * (1 + np.float32(0.6) * fractal(rng, size, cells=5, octaves=3)), 0.05, 1)
    return veil


def _mottled(picture: Field, rng: np.random.Generator) -> Field:
    return tint(picture, 1 + np.float32(0.2) * fractal(rng, picture.shape[0], cells=4, octaves=4))
