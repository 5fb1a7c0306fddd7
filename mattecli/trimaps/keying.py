"""Makes trimaps of photos with a green or blue screen.

Three questions are asked of the picture in linear light, reduced to about a megapixel:

- Is a pixel the screen alone? It has the clean plate's chromaticity, and nearly its brightness.
- Is a block opaque? Where the screen shines through, it adds the same light everywhere. So a line is fitted through the
  block's neighbourhood, the screen's channel over the mean of the two others. For an opaque subject in changing light
  it passes through the origin. For a veil it begins at the light that comes through.
- How much screen is in a pixel of a subject? Its colour is split into the chromaticity of the opaque blocks around and
  the plate.

What answers none of them clearly is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.imaging.colour import decode_srgb, encode_srgb
from mattecli.imaging.given import given_picture
from mattecli.imaging.pixels import as_float
from mattecli.trimaps.check import BACKGROUND, FOREGROUND, UNKNOWN
from mattecli.trimaps.screen import (
    Flags,
    Floats,
    Screen,
    beyond,
    block_means,
    chromaticity,
    excess,
    find_screen,
    from_blocks,
    others,
    spread,
)

PIXELS = 1_500_000  # the picture is reduced to this many at most; a trimap need not be sharper
LEAST_SCREEN = 0.1
SCREENS = {"green": (1,), "blue": (2,)}


@dataclass(frozen=True)
class Keying:
    """How far labels may deviate. The defaults were chosen with `benchmarks/screens.py` on half of its foregrounds."""

    darker: float = 0.1  # of the plate's brightness; 1.5 × as much in the other direction
    tinted: float = 0.013  # of the plate's brightness, in the screen's other channels
    uneven: float = 0.04  # the deviation of the mixture inside an opaque block
    shines: float = 0.07  # the screen's light through an opaque block
    flat: float = 0.06  # the relative deviation of light below which a colour counts as flat
    margin: float = 0.7  # opaque blocks given up at the rim, for each block of width of the soft edge
    mixed: float = 0.04  # the screen's part in a pixel at the rim of the opaque blocks
    deeper: float = 0.06  # what is added to it with each block of depth
    most: float = 0.4  # its upper limit
    sure: float = 1.6  # a deviation that reaches this many times its limit nowhere is noise


def key_trimap(
    photo: NDArray[Any],
    *,
    colour: str | tuple[float, float, float] | None = None,
    name: str = "the photo",
    limits: Keying = Keying(),
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """A trimap, uint8 (H, W) of 0, 128 and 255, from a photo in front of a screen; and what the user should know of it.

    `photo` is RGB (H, W, 3) of uint8, uint16 or floats in [0, 1], in display values. `colour` is the screen's: None
    (search for a green or a blue one), "green", "blue", or its RGB in [0, 1]. What lies beyond the end of the screen
    (a floor, a wall, a stand) cannot be told from the subject, and is unknown.

    The second result holds sentences. Raises `InputError`, with `name` in it, if the screen covers less than a tenth of
    the photo, and `UsageError` for a colour that no screen has.
    """
    photo = given_picture(photo, name)
    light, step = _reduced(photo)
    screen = _screen(light, colour, name)
    smooth = np.asarray(cv2.GaussianBlur(light, (0, 0), 1), np.float32)
    background = _background(light, smooth, screen, limits)
    opaque = _opaque(smooth, screen, limits)
    foreground = _foreground(smooth, screen, opaque, limits)
    outside = from_blocks(beyond(screen.sure).astype(np.float32), light.shape) > 0
    foreground &= ~outside & ~background
    trimap = np.full(background.shape, UNKNOWN, np.uint8)
    trimap[_shrunk(foreground, 5 + 2 * (step > 1))] = FOREGROUND
    trimap[_shrunk(background, 5 + 2 * (step > 1))] = BACKGROUND
    findings = _findings(trimap, screen, outside, name)
    return np.asarray(cv2.resize(trimap, photo.shape[1::-1], interpolation=cv2.INTER_NEAREST), np.uint8), findings


def _reduced(photo: NDArray[Any]) -> tuple[Floats, int]:
    """The photo in linear light, (h, w, 3) of at most `PIXELS` pixels, and how many of its pixels became one."""
    height, width = photo.shape[:2]
    step = int(np.ceil((height * width / PIXELS) ** 0.5))
    if step > 1:
        photo = cv2.resize(photo, (round(width / step), round(height / step)), interpolation=cv2.INTER_AREA)
    return decode_srgb(as_float(np.ascontiguousarray(photo))), step


def _screen(light: Floats, colour: str | tuple[float, float, float] | None, name: str) -> Screen:
    """The screen. Raises InputError and UsageError as `key_trimap` does."""
    if colour is None:
        screen, wanted, remedy = find_screen(light), "green or blue screen", "name the screen's colour with `key`"
    elif isinstance(colour, str):
        if colour not in SCREENS:
            raise UsageError(f"`key` must be auto, green, blue or a colour such as '#00b140', not {colour!r}")
        screen, wanted, remedy = find_screen(light, channels=SCREENS[colour]), f"{colour} screen", "try `key=auto`"
    else:
        paint = decode_srgb(np.array(colour, np.float32))
        if paint.argmax() == 0 or excess(paint, int(paint.argmax())) < 0.2 * paint.max():
            raise UsageError(f"`key={_hex(paint)}` is not a screen's colour; give a strong green or blue")
        screen, wanted = find_screen(light, colour=paint), f"screen of the colour {_hex(paint)}"
        remedy = "try `key=auto`"
    if screen is None or screen.share < LEAST_SCREEN:
        seen = "" if screen is None else f" (the colour covers {screen.share:.0%} of it, and 10% are needed)"
        raise InputError(f"{name} shows no {wanted}{seen}; {remedy}, or make the trimap from a mask")
    return screen


def _background(light: Floats, smooth: Floats, screen: Screen, limits: Keying) -> Flags:
    """Pixels (H, W) of the screen alone. The tint is looked for more coarsely: JPEG halves the size of chroma."""
    plate, channel = screen.plate, screen.channel
    level = smooth[..., channel] / plate[..., channel]
    off = np.maximum(1 - level, (level - 1) / 1.5) / limits.darker
    coarse = np.asarray(cv2.GaussianBlur(light, (0, 0), 1.5))
    level = coarse[..., channel] / plate[..., channel]
    for other in others(channel):
        tint = np.abs(coarse[..., other] - level * plate[..., other]) / plate[..., channel]
        off = np.maximum(off, tint / limits.tinted)
    return ~_firm(off, limits.sure)


def _opaque(smooth: Floats, screen: Screen, limits: Keying) -> Flags:
    """Blocks (h, w) that no screen shines through, less a margin at soft edges."""
    plate, channel = screen.plate, screen.channel
    means, plates = block_means(smooth), block_means(plate)
    mixture = excess(means, channel) / np.maximum(excess(plates, channel), np.float32(1e-4))
    off = np.linalg.norm(chromaticity(means) - chromaticity(plates), axis=2)
    core = cv2.erode(((off >= 0.12) | (mixture <= 0.3)).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    through = _split(smooth, from_blocks(chromaticity(means), smooth.shape), plate)
    uneven = np.sqrt(np.maximum(block_means(through * through) - block_means(through) ** 2, 0))
    opaque = core & (uneven < limits.uneven) & (_shining(smooth, screen, core, limits) < limits.shines)
    if min(opaque.shape) >= 5:
        opaque = (cv2.medianBlur(opaque.astype(np.uint8), 5) > 0) & core
    given_up = limits.margin * _edge_width(opaque, screen.sure)
    return np.asarray(opaque & (_depth(opaque, screen.sure) > given_up))


def _shining(smooth: Floats, screen: Screen, core: Flags, limits: Keying) -> Floats:
    """The screen's light that shines through (h, w), where 1 is all of it: the beginning of the line of least squares.

    Sums go over the inner blocks of `core` around each block, with Gaussian weights of 2.5 blocks. Its outer blocks are
    left out, for they hold some of an edge's blur, which outweighs the variation of a flat colour. Where there are no
    inner blocks, the result is 1.
    """
    first, second = others(screen.channel)
    own = screen.plate[..., screen.channel]
    y = smooth[..., screen.channel] / own
    x = (smooth[..., first] + smooth[..., second]) / (2 * own)
    sums = block_means(np.stack([x, y, x * x, x * y], axis=2))
    inner = cv2.erode(core.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    means, found = spread(sums, inner, 2.5)
    mean_x, mean_y, mean_xx, mean_xy = np.moveaxis(means, 2, 0)
    prior = (limits.flat * mean_x) ** 2 + np.float32(1e-9)
    varied = np.maximum(mean_xx - mean_x * mean_x, 0)
    # Where the light hardly varies, the line is drawn to the origin: a flat colour is rather a surface than a veil.
    slope = (mean_xy - mean_x * mean_y + prior * mean_y / np.maximum(mean_x, np.float32(1e-4))) / (varied + prior)
    return np.where(found > 0.01, mean_y - slope * mean_x, np.float32(1))


def _band(opaque: Flags, sure: Flags) -> Flags:
    """The blocks that are not opaque and hang together with the screen."""
    _, labels = cv2.connectedComponents((~opaque).astype(np.uint8), connectivity=4)
    return np.isin(labels, np.unique(labels[sure & ~opaque])) & ~opaque


def _depth(opaque: Flags, sure: Flags) -> Floats:
    """How far each block is from the edge, in blocks."""
    band = _band(opaque, sure)
    if not band.any():
        return np.full(opaque.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform((~band).astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _edge_width(opaque: Flags, sure: Flags) -> Floats:
    """How wide the soft edge is at its point nearest to each block: from there to the screen alone, in blocks."""
    band = _band(opaque, sure)
    if not band.any():
        return np.zeros(opaque.shape, np.float32)
    to_screen = cv2.distanceTransform((~sure).astype(np.uint8), cv2.DIST_L2, 5)
    outside = (~band).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    widths = np.zeros(int(nearest.max()) + 1, np.float32)
    widths[nearest[band]] = to_screen[band]
    return np.asarray(np.clip(widths[nearest] - 1.5, 0, 6))  # a sharp edge is as wide as a block and a half


def _foreground(smooth: Floats, screen: Screen, opaque: Flags, limits: Keying) -> Flags:
    """Pixels (H, W) of opaque blocks with little of the screen in them.

    Deep inside, other colours are the subject's own.
    """
    means = block_means(smooth)
    strength = excess(means, screen.channel) / np.maximum(means[..., screen.channel], np.float32(1e-4))
    strength = np.where(opaque, strength, np.float32(9)).astype(np.float32)
    purest = opaque & (strength <= cv2.erode(strength, np.ones((7, 7), np.uint8)) + 0.06)
    weights = purest.astype(np.float32)
    chroma = chromaticity(means)
    own = np.broadcast_to(np.average(chroma, axis=(0, 1), weights=weights + np.float32(1e-6)), chroma.shape)
    for sigma in (12.0, 3.0):
        around, found = spread(chroma, weights, sigma)
        share = np.clip(found / 0.1, 0, 1)[..., None]
        own = own * (1 - share) + share * around
    mixed = _split(smooth, from_blocks(own.astype(np.float32), smooth.shape), screen.plate)
    depth = from_blocks(np.minimum(_depth(opaque, screen.sure), 20), smooth.shape)
    limit = np.clip(limits.mixed + limits.deeper * (depth - 1), limits.mixed, limits.most)
    inside = from_blocks(opaque.astype(np.float32), smooth.shape) > 0.5
    off = np.maximum(mixed / limit, mixed / (-0.3 - 2 * limit))
    return inside & ~_firm(off, limits.sure)


def _firm(off: Floats, sure: float) -> Flags:
    """Where a deviation exceeds 1, less the places that never reach `sure`: those are noise."""
    count, labels = cv2.connectedComponents((off > 1).astype(np.uint8), connectivity=8)
    kept = np.zeros(count, np.bool_)
    kept[labels[off > sure]] = True
    kept[0] = False
    return np.asarray(kept[labels])


def _split(light: Floats, chroma: Floats, plate: Floats) -> Floats:
    """v (H, W) of the least squares light = u × chroma + v × plate: the screen's part in each pixel."""
    cc, cp, pp = (np.einsum("hwc,hwc->hw", *pair) for pair in ((chroma, chroma), (chroma, plate), (plate, plate)))
    lc, lp = (np.einsum("hwc,hwc->hw", light, one) for one in (chroma, plate))
    return np.asarray((cc * lp - cp * lc) / np.maximum(cc * pp - cp * cp, np.float32(1e-6)), np.float32)


def _shrunk(region: Flags, size: int) -> Flags:
    """The region less the pixels near its edge; the frame is not an edge."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.asarray(cv2.erode(region.astype(np.uint8), disc) > 0)


def _hex(light: Floats) -> str:
    """A colour of linear light (3,) as `#rrggbb`."""
    values = np.rint(encode_srgb(np.clip(light, 0, 1).astype(np.float32)) * 255).astype(int)
    return "#" + "".join(f"{value:02x}" for value in values)


def _findings(trimap: NDArray[np.uint8], screen: Screen, outside: Flags, name: str) -> tuple[str, ...]:
    """What the user should know: the screen's colour, what lies beyond it, and what is neither screen nor subject."""
    paint = np.median(block_means(screen.plate)[screen.sure], axis=0)
    kind = {1: "green", 2: "blue"}[screen.channel]
    found = [f"{name} has a {kind} screen of about {_hex(paint)}, which covers {screen.share:.0%}"]
    lost = float((outside & (trimap == UNKNOWN)).mean())
    if lost >= 0.005:
        found.append(
            f"{lost:.0%} of {name} lies beyond the screen (floor, stands, walls) and is unknown; mark it with `garbage`"
        )
    if not (trimap == FOREGROUND).any():
        found.append(f"{name} has no certain foreground: the screen may shine through all of it; mark some with `core`")
    unclear = float(((trimap == UNKNOWN) & ~outside).mean())
    if unclear > 0.25:
        found.append(
            f"{unclear:.0%} of {name} is unknown: the screen shines through there, or the colour is like the screen's; "
            "mark certain parts with `core` and `garbage`"
        )
    return tuple(found)
