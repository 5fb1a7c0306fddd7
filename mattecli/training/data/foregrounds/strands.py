"""Hair and fur: strands in clumps, with stray hairs."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.training.data.foregrounds.bodies import (
    COAT,
    body_parts,
    contour,
    draw_body,
    draw_looks,
    inner_points,
    paint_body,
)
from mattecli.training.data.foregrounds.canvas import (
    Canvas,
    Foreground,
    Premultiplied,
    blur,
    coverage,
    faded,
    finish,
    over,
    tint,
)
from mattecli.training.data.foregrounds.colour import Photos, base_colour, strand_colours
from mattecli.training.data.foregrounds.noise import Field, Parameters, Points, fractal, streaks
from mattecli.training.data.random import Draw, generator


def draw_hair(draw: Draw) -> Parameters:
    """Draw a head or blob with clumps that stand off at an angle, and single flying hairs."""
    return {
        "seed": draw.seed(),
        "body": draw_body(draw, ("head", "head", "blob", "edge")),
        "looks": draw_looks(draw, "hair"),
        "clumps": draw.whole(8, 25),
        "strands": draw.whole(15, 110),
        "length": draw.number(0.08, 0.38),
        "width": draw.number(0.45, 1.1) if draw.chance(0.7) else draw.number(1.0, 2.2),
        "rim": draw.number(-0.4, 1.3),
        "sheath": draw.whole(100, 900),
        "wisp": draw.number(0.03, 0.2),
        "dense": draw.number(0.6, 1.3),
        "lift": draw.number(0.15, 1.2),
        "gravity": draw.number(-0.1, 0.7),
        "curl": draw.number(0.0, 0.12) if draw.chance(0.5) else 0.0,
        "curls": draw.number(1.0, 5.0),
        "gather": draw.number(0.2, 1.0),
        "haze": draw.number(0.2, 0.9),
        "strays": draw.whole(5, 70),
        "back_blur": draw.number(0.0, 2.5) if draw.chance(0.5) else 0.0,
        "blur": draw.number(0.3, 1.4) if draw.chance(0.4) else 0.0,
    }


def draw_long_hair(draw: Draw) -> Parameters:
    """Draw locks as long as the frame that hang or blow, with gaps between them."""
    return draw_hair(draw) | {
        "body": draw_body(draw, ("head", "head", "blob")),
        "clumps": draw.whole(10, 25),
        "length": draw.number(0.4, 0.95),
        "lift": draw.number(0.05, 0.5),
        "gravity": draw.number(0.3, 1.2),
        "wind": draw.number(-0.8, 0.8),
        "strays": draw.whole(10, 90),
    }


def make_hair(parameters: Parameters, size: int, photos: Photos, *, kind: str = "hair") -> Foreground:
    rng = generator(parameters["seed"])
    parts = body_parts(parameters["body"], size)
    looks = parameters["looks"]
    grain = 1 + np.float32(0.16) * streaks(rng, size, angle=1.2 + 0.6 * rng.random(), length=size // 12)
    body = paint_body(parts, looks, size, photos, grain=grain)
    mass = coverage(size, [outline for outline, material in parts if material == COAT])
    roots, normals = contour(mass)
    if len(roots) == 0:  # the hair lies wholly outside the frame or fills it
        return finish(body, kind)
    shades = _Shades(looks[COAT], rng)
    behind = Canvas(size)
    _clumps(behind, rng, parameters, roots, normals, shades, thin=0.55)
    _sheath(behind, rng, parameters, roots, normals, shades, parameters["sheath"])
    gleam = rng.random() ** 2
    shade = np.float32(0.35 + 0.65 * rng.random())
    shaded = tint(behind.picture(), shade * gleams(rng, size, gleam))
    wide = parameters["width"] * size / 640
    haze = blur(_faded(shaded, rng, parameters["haze"], width=0.55 * wide), parameters["back_blur"] * size / 640)
    front = Canvas(size)
    _clumps(front, rng, parameters, roots, normals, shades, thin=1.0)
    _sheath(front, rng, parameters, roots, normals, shades, parameters["sheath"] // 2)
    _inner_strands(front, rng, parameters, mass, shades)
    gleaming = tint(front.picture(), gleams(rng, size, gleam))
    picture = over(_faded(gleaming, rng, parameters["dense"], width=wide), over(body, haze))
    loose = Canvas(size)
    _strays(loose, rng, parameters, roots, normals, shades)
    strays = tint(loose.picture(), gleams(rng, size, 1.2 * rng.random()))
    picture = over(_faded(strays, rng, 0.3 + 0.6 * parameters["haze"], width=0.0), picture)
    return finish(blur(lit(picture, rng, mass, parameters["rim"]), parameters["blur"] * size / 640), kind)


class _Shades:
    """Colours of clumps, around the base colour of the coat, and of strands, around the colour of their clump."""

    def __init__(self, look: Parameters, rng: np.random.Generator) -> None:
        self._base = base_colour(look)
        self._spread = float(look["spread"])
        self._rng = rng

    def clump(self) -> Field:
        colour: Field = strand_colours(self._rng, self._base, 1.2 * self._spread, 1)[0].astype(np.float32)
        return colour

    def strands(self, colour: Field, count: int) -> NDArray[np.float64]:
        shades = strand_colours(self._rng, colour, self._spread, count)
        shades[self._rng.random(count) < 0.06] *= 1.5  # a few catch the light
        return np.clip(shades, 0, 1)

    def base(self, count: int) -> NDArray[np.float64]:
        return self.strands(self._base, count)


def curves(
    roots: Points,
    headings: Points,
    lengths: Points,
    *,
    fall: Points | tuple[float, float] = (0.0, 0.0),
    steps: int = 14,
) -> Points:
    """Quadratic Bézier strands (n, steps, 2): from the roots along the headings, bent towards `fall` at their ends.

    `headings` (n, 2) are unit vectors, `lengths` (n,) pixels, `fall` a displacement of the tip as part of the length.
    """
    t = np.linspace(0, 1, steps)[None, :, None]
    reach = lengths[:, None]
    bend = roots + headings * reach * 0.55
    tips = roots + (headings * 0.85 + np.asarray(fall)) * reach
    paths: Points = roots[:, None] * (1 - t) ** 2 + bend[:, None] * 2 * t * (1 - t) + tips[:, None] * t**2
    return paths


def curl(paths: Points, amplitude: Points, turns: Points, phase: Points) -> Points:
    """Paths with a sideways wave that grows from the root. Amplitude (pixels), turns per strand and phase are (n,)."""
    t = np.linspace(0, 1, paths.shape[1])[None]
    along = np.gradient(paths, axis=1)
    across = np.stack([-along[..., 1], along[..., 0]], -1)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    wave = amplitude[:, None] * np.sin(6.283 * turns[:, None] * t + phase[:, None]) * np.minimum(1, 2 * t)
    waved: Points = paths + across * wave[..., None]
    return waved


def taper(widths: Points, steps: int, *, tip: float = 0.15) -> Points:
    """Widths (n, steps) along strands: `widths` (n,) at the root, `tip` times that at the end."""
    t = np.linspace(0, 1, steps)
    return widths[:, None] * (tip + (1 - tip) * np.sqrt(1 - t**2))[None]


def _clumps(
    canvas: Canvas,
    rng: np.random.Generator,
    parameters: Parameters,
    roots: Points,
    normals: Points,
    shades: _Shades,
    *,
    thin: float,
) -> None:
    size = canvas.size
    pixel = size / 640
    wind = float(parameters.get("wind", 0.0))
    side = 1 if rng.random() < 0.5 else -1
    for _ in range(parameters["clumps"]):
        count = max(4, int(parameters["strands"] * (0.4 + 0.9 * rng.random()) * 0.5))
        at = int(rng.integers(len(roots)))
        normal = normals[at]
        tangent = np.array([-normal[1], normal[0]]) * (side if rng.random() < 0.85 else -side)
        lift = parameters["lift"] * (0.5 + rng.random())
        width = size * (0.012 + 0.1 * rng.random() ** 2)
        scatter = (rng.random((count, 2)) + rng.random((count, 2)) - 1) * width
        start = roots[at] - normal * (0.6 * width + 3 * pixel) + scatter
        heading = np.cos(lift) * tangent + np.sin(lift) * normal
        headings = heading + (rng.random((count, 2)) - 0.5) * 0.3
        headings /= np.linalg.norm(headings, axis=1, keepdims=True)
        lengths = size * parameters["length"] * (0.5 + 0.7 * rng.random()) * (0.6 + 0.5 * rng.random(count))
        fall = np.array([wind, parameters["gravity"]]) + (rng.random((count, 2)) - 0.5) * 0.25
        steps = min(52, 16 + int(7 * parameters["curls"])) if parameters["curl"] else 12  # enough for round curls
        paths = curves(start, headings, lengths, fall=fall, steps=steps)
        # Strands of a clump draw together towards its tip.
        t = np.linspace(0, 1, paths.shape[1])[None, :, None]
        paths += (paths.mean(0, keepdims=True) - paths) * (parameters["gather"] * 0.8 * t)
        if parameters["curl"]:
            shared, turns = 6.283 * rng.random(), parameters["curls"] * (0.7 + 0.6 * rng.random())
            amplitude = lengths * parameters["curl"] * (0.6 + 0.8 * rng.random(count))
            paths = curl(paths, amplitude, turns + 0.3 * rng.random(count), shared + 1.2 * rng.random(count))
        widths = pixel * parameters["width"] * thin * (0.5 + rng.random(count))
        canvas.ribbons(paths, taper(widths, paths.shape[1]), shades.strands(shades.clump(), count))


def _sheath(
    canvas: Canvas,
    rng: np.random.Generator,
    parameters: Parameters,
    roots: Points,
    normals: Points,
    shades: _Shades,
    count: int,
) -> None:
    """Thin hairs all along the contour, most of them nearly parallel to it. Without them a head looks cut out."""
    size = canvas.size
    at = rng.integers(len(roots), size=count)
    cells = roots[at].clip(0, size - 1).astype(np.int64)
    comb = fractal(rng, size, cells=5, octaves=2)[cells[:, 1], cells[:, 0]]  # neighbours lie the same way
    side = np.where(comb + 0.3 * (rng.random(count) - 0.5) > 0, 1.0, -1.0)[:, None]
    tangents = np.stack([-normals[at, 1], normals[at, 0]], 1) * side
    lift = (0.1 + 0.9 * rng.random(count) ** 2)[:, None]
    headings = np.cos(lift) * tangents + np.sin(lift) * normals[at]
    lengths = size * parameters["wisp"] * (0.3 + rng.random(count)) * np.clip(1 + 0.8 * comb, 0.3, 2)
    starts = roots[at] - normals[at] * (size / 640 * (2 + 5 * rng.random((count, 1))))
    fall = np.array([0.0, 0.5 * parameters["gravity"]]) - 0.25 * normals[at] * rng.random((count, 1))
    paths = curves(starts, headings, lengths, fall=fall + (rng.random((count, 2)) - 0.5) * 0.3, steps=12)
    paths = curl(paths, lengths * 0.06 * rng.random(count), 0.5 + 1.5 * rng.random(count), 6.283 * rng.random(count))
    widths = size / 640 * np.minimum(parameters["width"], 1.2) * (0.4 + 0.6 * rng.random(count))
    canvas.ribbons(paths, taper(widths, 12, tip=0.3), shades.base(count))


def _strays(
    canvas: Canvas, rng: np.random.Generator, parameters: Parameters, roots: Points, normals: Points, shades: _Shades
) -> None:
    """Single long hairs, each a curve with two slow waves."""
    size, count = canvas.size, int(parameters["strays"])
    at = rng.integers(len(roots), size=count)
    headings = normals[at] + (rng.random((count, 2)) - 0.5) * 2.2
    headings /= np.maximum(np.linalg.norm(headings, axis=1, keepdims=True), 1e-9)
    lengths = size * (0.06 + 0.4 * rng.random(count) ** 2)
    fall = np.array([0.0, 0.6 * parameters["gravity"]]) + (rng.random((count, 2)) - 0.5) * 0.9
    paths = curves(roots[at] - 4 * normals[at] * size / 640, headings, lengths, fall=fall, steps=30)
    paths = curl(paths, lengths * 0.1 * rng.random(count), 0.5 + 1.5 * rng.random(count), 6.283 * rng.random(count))
    paths = curl(paths, lengths * 0.02 * rng.random(count), 2 + 3 * rng.random(count), 6.283 * rng.random(count))
    widths = size / 640 * (0.3 + 0.7 * rng.random(count) ** 2)
    canvas.ribbons(paths, taper(widths, 30, tip=0.5), shades.base(count))


def _inner_strands(
    canvas: Canvas, rng: np.random.Generator, parameters: Parameters, mass: Field, shades: _Shades
) -> None:
    """Strands over the mass of the hair, so that its inside is hair as well."""
    size = canvas.size
    places = inner_points(rng, mass, 160)
    count = len(places)
    if count == 0:
        return
    heading = 1.2 + 0.5 * (rng.random(count) - 0.5)
    headings = np.stack([np.cos(heading), np.sin(heading)], 1)
    lengths = size * (0.05 + 0.12 * rng.random(count))
    paths = curves(places - headings * lengths[:, None] * 0.5, headings, lengths, fall=(0.0, 0.2), steps=8)
    inside = paths[:, -1].clip(0, size - 1).astype(np.int64)
    keep = mass[inside[:, 1], inside[:, 0]] > 0.9
    widths = size / 640 * parameters["width"] * (0.6 + rng.random(count))
    canvas.ribbons(paths[keep], taper(widths, 8)[keep], shades.base(count)[keep])


def _faded(picture: Premultiplied, rng: np.random.Generator, level: float, *, width: float) -> Premultiplied:
    """The picture with an opacity of single strands around `level` that varies, as density does in thin hair.

    Strands of a `width` of two pixels and more are opaque: only a pixel that a strand does not fill lets light through.
    """
    field = fractal(rng, picture.shape[0], cells=4, octaves=3)
    return faded(picture, opaque_if_wide(np.clip(np.float32(level) * (1 + np.float32(0.6) * field), 0.05, 1), width))


def opaque_if_wide(opacity: Field, width: float) -> Field:
    """The opacity (H, W) of strands that are `width` pixels wide, if thin ones have the one given."""
    return opacity + (1 - opacity) * np.float32(np.clip(width - 1, 0, 1))


def gleams(rng: np.random.Generator, size: int, strength: float) -> Field:
    """Light (size, size) around 1 that comes and goes along strands, within 5 to 20 pixels of a 768 picture.

    Hair seldom has one brightness from root to tip. If it had, alpha could be read from brightness alone.
    """
    light: Field = np.exp(np.float32(strength) * fractal(rng, size, cells=40, octaves=3))
    return light


def lit(picture: Premultiplied, rng: np.random.Generator, mass: Field, rim: float) -> Premultiplied:
    """The picture with uneven light, and a `rim` of light (below 0: of shade) on what stands out from the body."""
    size = picture.shape[0]
    small = cv2.GaussianBlur(cv2.resize(mass, (80, 80), interpolation=cv2.INTER_AREA), (0, 0), 2.5)
    away = 1 - cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)
    uneven = 1 + np.float32(0.22) * fractal(rng, size, cells=3, octaves=3)
    return tint(picture, uneven + np.float32(rim) * (away - np.float32(0.3)))
