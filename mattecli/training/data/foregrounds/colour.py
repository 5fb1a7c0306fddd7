"""Surface colours: from photographs, noise, gradients and prints."""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.training.data.foregrounds.noise import Field, Parameters, fractal, grid
from mattecli.training.data.random import Draw, generator

Photos = Sequence[NDArray[np.uint8]]

# Hue, saturation and value ranges a base colour is drawn from; hues over 1 wrap around. Later rows of a palette are as
# likely as earlier ones.
_PALETTES: dict[str, tuple[tuple[tuple[float, float], tuple[float, float], tuple[float, float]], ...]] = {
    "hair": (
        ((0.03, 0.09), (0.35, 0.7), (0.12, 0.45)),  # brown
        ((0.08, 0.13), (0.25, 0.6), (0.5, 0.95)),  # blond
        ((0.0, 0.12), (0.0, 0.4), (0.04, 0.2)),  # black
        ((0.01, 0.06), (0.6, 0.95), (0.35, 0.85)),  # red
        ((0.05, 0.15), (0.0, 0.15), (0.5, 0.95)),  # grey, white
        ((0.0, 1.0), (0.3, 0.9), (0.3, 0.9)),  # dyed
    ),
    "fur": (
        ((0.04, 0.12), (0.25, 0.75), (0.25, 0.85)),
        ((0.05, 0.14), (0.03, 0.3), (0.7, 1.0)),
        ((0.0, 0.12), (0.0, 0.3), (0.06, 0.35)),
        ((0.0, 1.0), (0.2, 0.9), (0.3, 0.95)),
    ),
    "plant": (
        ((0.2, 0.38), (0.3, 0.85), (0.2, 0.7)),
        ((0.16, 0.3), (0.4, 0.9), (0.3, 0.9)),
        ((0.0, 0.14), (0.4, 0.95), (0.3, 0.9)),
        ((0.06, 0.14), (0.2, 0.5), (0.25, 0.65)),
    ),
    "petal": (
        ((0.95, 1.17), (0.5, 1.0), (0.55, 1.0)),
        ((0.7, 0.95), (0.3, 0.8), (0.5, 0.95)),
        ((0.0, 1.0), (0.0, 0.3), (0.75, 1.0)),
    ),
    "pale": (
        ((0.0, 1.0), (0.0, 0.12), (0.75, 1.0)),
        ((0.0, 1.0), (0.0, 0.2), (0.5, 1.0)),
        ((0.0, 1.0), (0.1, 0.7), (0.5, 1.0)),
        ((0.0, 1.0), (0.0, 0.5), (0.08, 0.4)),
    ),
    "skin": (((0.02, 0.08), (0.25, 0.6), (0.35, 0.95)),),
    "any": (
        ((0.0, 1.0), (0.0, 0.9), (0.15, 1.0)),
        ((0.0, 1.0), (0.4, 1.0), (0.4, 1.0)),
        ((0.0, 1.0), (0.0, 0.15), (0.05, 1.0)),
    ),
}


def draw_look(draw: Draw, palette: str, *, sources: Sequence[str] = ()) -> Parameters:
    """Draw a surface: the source of its colours, its base colour, how far they vary, and the light on it."""
    ranges = _PALETTES[palette]
    hue, saturation, value = ranges[draw.whole(0, len(ranges) - 1)]
    tied = palette != "any"  # hair, fur and plants keep their hue; other things may look like anything
    if palette in ("hair", "fur"):
        sources = sources or ("noise", "noise", "gradient", "photo")
    return {
        "source": draw.choice(sources or ("photo", "photo", "photo", "noise", "noise", "gradient", "print", "flat")),
        "hue": draw.number(*hue),
        "saturation": draw.number(*saturation),
        "value": draw.number(*value),
        "spread": draw.number(0.05, 0.35) if tied else draw.number(0.1, 0.6),
        "tie": draw.number(0.75, 1.0) if tied else draw.number(0.0, 0.5),
        "photo": draw.seed(),
        "crop": [draw.number(0.0, 1.0), draw.number(0.0, 1.0), draw.number(0.15, 0.9)],
        "soften": draw.number(0.5, 6.0) if draw.chance(0.35) else 0.0,
        "print": draw.choice(("stripes", "checks", "dots", "blotches")),
        "period": draw.number(0.02, 0.14),
        "second": [draw.number(0.0, 1.0), draw.number(0.0, 1.0), draw.number(0.1, 1.0)],
        "angle": draw.number(0.0, 3.141593),
        "light": draw.number(-3.141593, 3.141593),
        "relief": draw.number(0.1, 0.7),
        "seed": draw.seed(),
    }


def base_colour(look: Parameters) -> NDArray[np.float32]:
    return np.array(colorsys.hsv_to_rgb(look["hue"] % 1.0, look["saturation"], look["value"]), np.float32)


def strand_colours(rng: np.random.Generator, base: Field, spread: float, count: int) -> NDArray[np.float64]:
    """`count` shades (count, 3) of a colour (3,) or colours (count, 3). Lightness varies most, hue a little."""
    light = 1 + spread * (rng.random((count, 1)) * 2 - 1)
    cast = 1 + 0.06 * spread * (rng.random((count, 3)) * 2 - 1)
    return np.clip(base * light * cast, 0.01, 1)


def texture(look: Parameters, size: int, photos: Photos) -> Field:
    """The colours of a surface without light: (size, size, 3) in [0, 1]. Without photographs it uses noise instead."""
    rng = generator(look["seed"])
    base = base_colour(look)
    source = look["source"]
    if source == "photo" and photos:
        picture = _photo(look, size, photos)
        # Lightness relative to the photograph's own mean, so that the texture survives a change of colour.
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        tied = _painted(
            base, 1 + np.float32(2 * look["spread"]) * (np.minimum(grey / max(float(grey.mean()), 0.05), 2.5) - 1)
        )
        result = cv2.addWeighted(tied, look["tie"], picture, 1 - look["tie"], 0)
    elif source == "print":
        result = _print(look, rng, size, base)
    elif source == "gradient":
        x, y = grid(size)
        ramp = np.float32(np.cos(look["angle"])) * (x - 0.5) + np.float32(np.sin(look["angle"])) * (y - 0.5)
        result = _painted(base, 1 + np.float32(2 * look["spread"]) * ramp)
        result += _painted(_second(look), np.float32((1 - look["tie"]) * 0.8) * ramp)
    else:
        strength = np.float32(look["spread"] * (0.25 if source == "flat" else 1.0))
        field = fractal(rng, size, cells=2 if source == "flat" else 4, octaves=3 if source == "flat" else 8, gain=0.62)
        result = _painted(base, 1 + strength * field)
        if source == "noise":
            cast = fractal(rng, size, cells=3, octaves=3, channels=3)
            result = result + cast * np.float32(0.1 + 0.25 * (1 - look["tie"])) * strength
    return np.clip(result, np.float32(0.01), np.float32(1))


def relief(alpha: Field, look: Parameters) -> Field:
    """The light on a body with this alpha, as if it was round: factors (size, size) around 1."""
    size = alpha.shape[0]
    small = cv2.resize(alpha, (80, 80), interpolation=cv2.INTER_AREA)
    height = np.sqrt(cv2.GaussianBlur(small, (0, 0), 9, borderType=cv2.BORDER_REPLICATE) + np.float32(0.02))
    height += np.float32(0.5) * cv2.GaussianBlur(small, (0, 0), 2.5, borderType=cv2.BORDER_REPLICATE)
    dy, dx = np.gradient(height)
    slope = np.float32(np.cos(look["light"])) * dx + np.float32(np.sin(look["light"])) * dy
    shade = 1 - np.float32(look["relief"]) * np.tanh(slope * 12)
    light: Field = cv2.resize(shade.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return light


def _second(look: Parameters) -> NDArray[np.float32]:
    return np.array(colorsys.hsv_to_rgb(*look["second"]), np.float32)


def _photo(look: Parameters, size: int, photos: Photos) -> Field:
    photo = photos[look["photo"] % len(photos)]
    height, width = photo.shape[:2]
    side = max(8, int(min(height, width) * look["crop"][2]))
    top = int((height - side) * look["crop"][1])
    left = int((width - side) * look["crop"][0])
    crop = np.ascontiguousarray(photo[top : top + side, left : left + side, :3])
    crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)
    if look["soften"]:
        crop = cv2.GaussianBlur(crop, (0, 0), look["soften"] * size / 640 + 0.3)
    return crop.astype(np.float32) * np.float32(1 / 255)


def _print(look: Parameters, rng: np.random.Generator, size: int, base: NDArray[np.float32]) -> Field:
    x, y = grid(size)
    bend = fractal(rng, size, cells=2, octaves=2, channels=2) * np.float32(0.04)
    cosine, sine = np.float32(np.cos(look["angle"])), np.float32(np.sin(look["angle"]))
    turn = np.float32(2 * np.pi / look["period"])
    u = (cosine * x + sine * y + bend[..., 0]) * turn
    v = (cosine * y - sine * x + bend[..., 1]) * turn
    if look["print"] == "stripes":
        pattern = np.sin(u)
    elif look["print"] == "checks":
        pattern = np.sin(u) * np.sin(v)
    elif look["print"] == "dots":
        pattern = np.sin(u) + np.sin(v) - np.float32(1.0)
    else:
        pattern = fractal(rng, size, cells=1 / look["period"], octaves=3)
    light = 1 + np.float32(0.15) * fractal(rng, size, cells=8, octaves=5)
    mix = np.clip(pattern * np.float32(6) + np.float32(0.5), 0, 1) * light
    return _painted(base, light) + _painted(_second(look) - base, mix)


def _painted(colour: NDArray[np.float32], factor: Field) -> Field:
    result: Field = cv2.merge([factor * channel for channel in colour])
    return result
