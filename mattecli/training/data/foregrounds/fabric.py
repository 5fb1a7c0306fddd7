"""Nets, lace and veils."""

import cv2
import numpy as np

from mattecli.training.data.foregrounds.bodies import blob, body_parts, draw_body, draw_looks, paint_body, slim_things
from mattecli.training.data.foregrounds.canvas import (
    Foreground,
    blur,
    coverage,
    edge,
    finish,
    line,
    over,
    premultiplied,
    scaled,
    tint,
)
from mattecli.training.data.foregrounds.colour import Photos, draw_look, texture
from mattecli.training.data.foregrounds.mesh import wires
from mattecli.training.data.foregrounds.noise import Field, Parameters, fractal, grid, streaks
from mattecli.training.data.random import Draw, generator


def draw_net(draw: Draw) -> Parameters:
    """Draw wire mesh, a string net or a grille, in a rim or across the frame, sometimes with something solid behind."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "pale", sources=("flat", "noise", "gradient")),
        "inside": draw_look(draw, "any"),
        "mesh": draw.choice(("square", "diamond", "hexagon", "hexagon")),
        "period": draw.number(0.012, 0.11),
        "wire": draw.number(0.1, 0.32),
        "bend": draw.number(0.0, 0.05),
        "rough": draw.number(0.0, 0.15),
        "turn": draw.number(-0.8, 0.8),
        "round": draw.number(0.0, 0.9),
        "outline": draw.choice(("frame", "basket", "basket", "blob")),
        "rim": draw.number(4.0, 22.0),
        "things": draw.whole(0, 4),
        "sheen": draw.number(0.0, 0.9),
        "blur": draw.number(0.3, 1.5) if draw.chance(0.4) else 0.0,
    }


def make_net(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    u, v = _bent(rng, size, parameters)
    distance = wires(u, v, parameters["mesh"])
    thick = np.float32(parameters["wire"] / 2) * (
        1 + np.float32(parameters["rough"]) * fractal(rng, size, cells=40, octaves=2)
    )
    drawn = line(distance, thick)
    outline, rim = _outline(rng, parameters, size)
    drawn *= outline
    tones = texture(parameters["look"], size, photos)
    sheen = 1 + np.float32(parameters["sheen"]) * (
        np.clip(1 - distance / np.maximum(thick, 1e-3), 0, 1) - np.float32(0.5)
    )
    shine = 1 + np.float32(0.35) * fractal(rng, size, cells=5, octaves=3)
    picture = tint(premultiplied(tones, drawn), sheen * shine)
    if rim is not None:
        picture = over(premultiplied(scaled(tones, np.clip(shine * np.float32(1.1), 0, 1.2)), rim), picture)
    inside = slim_things(rng, parameters, size, photos, rows=(0.3, 0.8), slim=9.0)
    picture = over(picture, inside)
    return finish(
        blur(picture, parameters["blur"] * size / 640), "net", solid=rim is not None or parameters["things"] > 0
    )


def draw_lace(draw: Draw) -> Parameters:
    """Draw lace: a fine mesh with rosettes and a scalloped hem. Its thread lets some light through."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "pale", sources=("flat", "noise", "gradient")),
        "mesh": draw.choice(("hexagon", "hexagon", "diamond", "square")),
        "period": draw.number(0.011, 0.035),
        "wire": draw.number(0.18, 0.4),
        "motif": draw.number(0.1, 0.3),
        "petals": draw.whole(4, 9),
        "rings": draw.number(1.5, 4.0),
        "fill": draw.number(0.35, 0.49),
        "density": draw.number(0.75, 1.0),
        "bend": draw.number(0.005, 0.05),
        "rough": draw.number(0.0, 0.2),
        "turn": draw.number(-0.6, 0.6),
        "round": draw.number(0.0, 0.6),
        "hem": draw.number(0.1, 0.5),
        "sides": draw.number(0.0, 0.3),
        "folds": draw.number(0.0, 0.5),
        "backing": draw.chance(0.3),
        "blur": draw.number(0.3, 1.2) if draw.chance(0.4) else 0.0,
    }


def make_lace(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    u, v = _bent(rng, size, parameters)
    uneven = 1 + np.float32(parameters["rough"]) * fractal(rng, size, cells=50, octaves=2)
    mesh = line(wires(u, v, parameters["mesh"]), np.float32(parameters["wire"] / 2) * uneven)
    share = np.float32(parameters["period"] / parameters["motif"])
    across, y = u * share, v * share  # cells of the motif
    row: Field = np.floor(y)
    x: Field = across + np.float32(0.5) * (row % 2)
    cx, cy = x - np.floor(x) - np.float32(0.5), y - row - np.float32(0.5)
    radius, angle = np.hypot(cx, cy), np.arctan2(cy, cx)
    petals = np.cos(np.float32(parameters["petals"]) * angle)
    flower = np.float32(parameters["fill"]) * (1 + np.float32(0.22) * petals) - radius
    rings = np.sin(radius * np.float32(parameters["rings"] * 6.283 / parameters["fill"]) + petals) + np.float32(0.35)
    motif = edge(np.minimum(flower, rings * np.float32(0.1)))
    thread = np.float32(parameters["density"]) * np.clip(
        1 + np.float32(0.15) * fractal(rng, size, cells=90, octaves=2), 0, 1.2
    )
    alpha = np.maximum(
        np.maximum(mesh * thread, motif * np.minimum(thread * np.float32(1.1), 1)),
        line(np.abs(flower), np.float32(0.05)),
    )
    hem = _hem(rng, parameters, size, x)
    alpha = np.clip(alpha, 0, 1) * hem[0]
    alpha = np.maximum(alpha, hem[1])
    folds = 1 + np.float32(parameters["folds"] * 0.4) * streaks(rng, size, angle=1.57, length=size // 6, waviness=0.08)
    tones = texture(parameters["look"], size, photos)
    picture = tint(premultiplied(tones, alpha), np.clip(folds, 0.4, 1.5) * (np.float32(0.8) + np.float32(0.2) * motif))
    if parameters["backing"]:  # sewn onto dense cloth at the top
        cloth = edge(np.float32(0.55 * parameters["hem"]) - grid(size)[1] + np.float32(0.03) * np.sin(x * 6.283))
        picture = over(picture, premultiplied(scaled(tones, np.clip(folds * np.float32(0.75), 0.3, 1)), cloth))
    return finish(blur(picture, parameters["blur"] * size / 640), "lace", solid=parameters["backing"])


def draw_veil(draw: Draw) -> Parameters:
    """Draw a veil: thin cloth in folds, double in places, sometimes on or beside a wearer."""
    return {
        "seed": draw.seed(),
        "look": draw_look(draw, "pale", sources=("flat", "gradient", "noise", "print")),
        "thin": draw.number(0.15, 0.6),
        "folds": draw.number(0.3, 1.1),
        "count": draw.number(2.0, 9.0),
        "gathered": draw.chance(0.5),
        "bend": draw.number(0.01, 0.12),
        "turn": draw.number(-0.7, 0.7),
        "sheets": draw.whole(1, 3),
        "weave": draw.number(0.0, 0.3) if draw.chance(0.4) else 0.0,
        "hem": draw.number(0.0, 3.0),
        "wearer": draw_body(draw, ("head", "blob")) if draw.chance(0.45) else {},
        "looks": draw_looks(draw, "hair"),
        "blur": draw.number(0.3, 2.0) if draw.chance(0.4) else 0.0,
    }


def make_veil(parameters: Parameters, size: int, photos: Photos) -> Foreground:
    rng = generator(parameters["seed"])
    picture = np.zeros((size, size, 4), np.float32)
    if parameters["wearer"]:
        picture = paint_body(body_parts(parameters["wearer"], size), parameters["looks"], size, photos)
    tones = texture(parameters["look"], size, photos)
    for _ in range(parameters["sheets"]):
        folds, sheet, hem = _drape(rng, parameters, size)
        # Cloth seen through n layers lets (1 - a)^n through; a fold is cloth seen at a slant.
        layers = np.clip(1 + np.float32(parameters["folds"]) * (np.abs(folds) + folds), 0.4, 6)
        alpha = 1 - np.exp(np.float32(np.log(1 - 0.75 * parameters["thin"])) * layers)
        if parameters["weave"]:
            alpha *= 1 - np.float32(parameters["weave"]) * fractal(rng, size, cells=size // 6, octaves=1)
        alpha = np.clip(np.maximum(alpha, hem * np.float32(0.25 * parameters["hem"])) * sheet, 0, 1)
        slope = cv2.Sobel(folds, cv2.CV_32F, 1, 0, ksize=3) * np.float32(size / 640)
        light = np.clip(0.88 + np.float32(0.1) * folds - np.float32(0.6) * np.tanh(slope), 0.35, 1.3)
        picture = over(tint(premultiplied(tones, alpha), light), picture)
    return finish(blur(picture, parameters["blur"] * size / 640), "veil", solid=bool(parameters["wearer"]))


def _drape(rng: np.random.Generator, parameters: Parameters, size: int) -> tuple[Field, Field, Field]:
    """A sheet that hangs: its folds (around 0, within ±1 or so), where it is, and its hem.

    Folds run side by side, or fan out from where the cloth is gathered; they bend slowly and grow and fade along.
    """
    x, y = grid(size)
    turn = parameters["turn"] + 0.5 * (rng.random() - 0.5)
    cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    x, y = x - np.float32(0.3 + 0.4 * rng.random()), y - np.float32(0.1 * rng.random())
    across, down = cosine * x + sine * y, cosine * y - sine * x
    slow = fractal(rng, size, cells=3, octaves=3, channels=2)
    across = across + np.float32(parameters["bend"]) * slow[..., 0]
    if parameters["gathered"]:
        across = np.float32(0.9) * across / np.maximum(np.float32(0.45) + np.float32(0.6) * down, np.float32(0.15))
    folds = np.zeros_like(across)
    for octave in range(5):
        waves = parameters["count"] * 1.7**octave * (0.8 + 0.4 * rng.random())
        drift = slow[..., 1] * np.float32(1.5 + octave)
        folds += np.sin(across * np.float32(6.283 * waves) + drift + np.float32(6.283 * rng.random())) * np.float32(
            0.62**octave
        )
    folds *= np.float32(0.55) * np.clip(1 + np.float32(0.5) * fractal(rng, size, cells=3, octaves=2), 0.2, 2)
    half = np.float32(0.16 + 0.3 * rng.random())
    low = np.float32(0.5 + 0.6 * rng.random()) + np.float32(0.025) * folds - down
    side = np.minimum(half - across, across + half)
    inside = np.minimum(low, side)
    return folds, edge(inside), line(np.abs(low - np.float32(0.012)), np.float32(0.012))


def _bent(rng: np.random.Generator, size: int, parameters: Parameters) -> tuple[Field, Field]:
    """Coordinates of a pattern in periods: turned, bulged like a barrel, and bent by slow noise."""
    x, y = grid(size)
    bend = fractal(rng, size, cells=3, octaves=3, channels=2) * np.float32(parameters["bend"])
    x, y = x - np.float32(0.5) + bend[..., 0], y - np.float32(0.5) + bend[..., 1]
    cosine, sine = np.float32(np.cos(parameters["turn"])), np.float32(np.sin(parameters["turn"]))
    x, y = cosine * x + sine * y, cosine * y - sine * x
    x = x * (1 + np.float32(2 * parameters["round"]) * x * x)
    scale = np.float32(1 / max(parameters["period"], 0.011))
    return (x + np.float32(0.5)) * scale, (y + np.float32(0.5)) * scale


def _outline(rng: np.random.Generator, parameters: Parameters, size: int) -> tuple[Field, Field | None]:
    """Where the net is, and its solid rim if it has one."""
    if parameters["outline"] == "frame":
        return np.ones((size, size), np.float32), None
    x, y, r = 0.35 + 0.3 * rng.random(), 0.4 + 0.3 * rng.random(), 0.28 + 0.15 * rng.random()
    if parameters["outline"] == "basket":
        foot, low = 0.7 + 0.3 * rng.random(), 1.0 + 0.5 * rng.random()
        lean = 0.2 * (rng.random() - 0.5)
        shape = np.array(
            [
                (x - r, y - r),
                (x + r, y - r),
                (x + foot * r + lean * r, y + low * r),
                (x - foot * r + lean * r, y + low * r),
            ]
        )
        shape = shape * size
    else:
        shape = blob(rng, x, y, r * 1.2, wobble=0.3) * size
    centre = shape.mean(0)
    wide = parameters["rim"] * size / 640
    reach = np.linalg.norm(shape - centre, axis=1, keepdims=True)
    inner = centre + (shape - centre) * np.maximum(1 - wide / np.maximum(reach, 1.0), 0.5)
    return coverage(size, [shape]), coverage(size, [shape, inner], holes=True)


def _hem(rng: np.random.Generator, parameters: Parameters, size: int, x: Field) -> tuple[Field, Field]:
    """Where the lace is, and the dense cord along its scalloped lower edge."""
    across, down = grid(size)
    scallop = np.abs(np.sin(x * np.float32(np.pi))) * np.float32(0.3 * parameters["motif"])
    low = np.float32(1.25 - parameters["hem"] + 0.1 * rng.random()) + scallop - down
    side = across - np.float32(parameters["sides"]) + np.float32(0.15) * (down - np.float32(0.5))
    inside = np.minimum(low, side)
    half = np.float32(0.008 + 0.008 * rng.random())
    return edge(inside), line(np.abs(inside - np.float32(0.012)), half)
