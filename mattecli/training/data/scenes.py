"""A training scene: what is drawn for it, and its pixels.

All random choices of sample n of seed s are drawn first, as a `Scene` of plain numbers that are the same on every
machine. Rendering is a function of the scene, the sources and the size, and draws nothing. So a scene can be logged and
rendered by other means.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.colour import decode_srgb, encode_srgb
from mattecli.training.data.augmentation import (
    Degradation,
    Gains,
    Jitter,
    alpha_behind_lens,
    apply_jitter,
    degrade,
    draw_degradation,
    draw_gains,
    draw_jitter,
    relit,
    to_bytes,
    to_light,
)
from mattecli.training.data.backgrounds import (
    Background,
    Colour,
    defocused,
    draw_background,
    draw_colour,
    render_background,
)
from mattecli.training.data.config import DataConfig
from mattecli.training.data.foregrounds.canvas import scaled
from mattecli.training.data.random import Draw
from mattecli.training.data.sources import Sources
from mattecli.training.data.trimaps import TrimapShape, draw_trimap, render_trimap, settle_alpha

Bytes = NDArray[np.uint8]

_FILTERS = {"linear": 0.6, "cubic": 0.35, "lanczos": 0.05}
_FLAGS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}
# Of linear light: 1 / 2.2 is nearly that of display values. Only a few, because each has its tables in memory.
_POWERS = tuple(round(1 / exponent, 4) for exponent in (1.2, 1.4, 1.6, 1.8, 2.0))
_CELLS = 32  # a side of the coarse map that crops are centred by
_ENOUGH_SOFT = 0.006  # share of a crop's pixels, below which another centre is tried
_ENOUGH_OPAQUE = 0.02


@dataclass(frozen=True)
class View:
    """How a picture lies in the crop."""

    centres: tuple[float, float, float]  # soft places to try as the centre, as shares of their number
    offset: tuple[float, float]  # of that place from the centre of the crop, in sides of the crop
    zoom: float  # source pixels to a crop pixel
    whole: float  # above 0: the whole picture fills this share of the crop instead
    rotation: float  # degrees
    shear: float
    stretch: float  # width to height
    flip: bool
    filter: str  # interpolation


@dataclass(frozen=True)
class ForegroundLayer:
    """One foreground of a scene: which picture, how it lies, its colours."""

    origin: str  # procedural, cutouts or own
    number: int  # of a procedural foreground
    group: float  # of a cut-out: its group, and its place in there, as shares
    pick: float
    view: View
    tint: tuple[Colour, Colour]  # colours of shadow and light, for a grey cut-out
    jitter: Jitter


@dataclass(frozen=True)
class ThingBehind:
    """A foreground that stands in the background, where the trimap of the scene knows both of its sides."""

    layer: ForegroundLayer
    blur: float  # radius of a disc in pixels of a 512 crop; 0: sharp


_NAMES_IN_JSON = {"background": "backdrop", "degradation": "camera"}  # as 0.1.0 logged them


@dataclass(frozen=True)
class Scene:
    """Everything that is drawn for a sample."""

    number: int
    layers: tuple[ForegroundLayer, ...]  # front to back
    background: Background
    near: float  # how far the mean colour of the foreground moves to the background's; 0: not at all
    linear: bool  # composited in linear light
    degradation: Degradation | None
    trimap: TrimapShape
    power: float = 1.0  # to which the light is mixed; below 1: between light and display values
    own_light: tuple[Gains, Gains] | None = None  # of foreground and background
    unmoved_channel: int = -1  # which does not move to the background's colours; -1: the mean colour moves
    behind: ThingBehind | None = None
    opaque: bool = False  # crops with opaque foreground are looked for: trimaps that people draw have some white

    def as_json(self) -> str:
        """The scene as one line of JSON, the same on every machine."""
        values = {_NAMES_IN_JSON.get(name, name): value for name, value in asdict(self).items()}
        unlogged = {"power": 1.0, "own_light": None, "unmoved_channel": -1, "behind": None, "opaque": False}
        values = {name: value for name, value in values.items() if value != unlogged.get(name, ...)}  # as by 0.1.0
        return json.dumps(values, separators=(",", ":"))


@dataclass(frozen=True)
class Sample:
    """A training sample of S×S pixels, uint8.

    `image` (S, S, 3) is the composite, perhaps mixed in linear light and damaged. `alpha` (S, S) is exact although it
    has 8 bits: the image is mixed with the rounded alpha, and blur changes both. `foreground` and `background`
    (S, S, 3) are the true colours without damage, for a composition loss: it compares α·F + (1 − α)·B for two alphas.
    `trimap` (S, S) has 0, 128 and 255; the alpha of a known pixel is the trimap's value.
    """

    number: int
    image: Bytes
    trimap: Bytes
    alpha: Bytes
    foreground: Bytes
    background: Bytes


def draw_scene(config: DataConfig, seed: int, number: int) -> Scene:
    """Draw sample `number` of `seed`. It depends on these three alone, not on what the folders hold."""
    draw = Draw(seed, number)
    first, second = _draw_layer(draw, config), _draw_layer(draw, config)
    layers = (first, second) if draw.chance(config.merge) else (first,)
    near = draw.uniform(0.4, 0.95)
    scene = Scene(
        number=number,
        layers=layers,
        near=near if draw.chance(config.near_colours) else 0.0,
        linear=draw.chance(config.linear),
        background=draw_background(draw, config),
        degradation=draw_degradation(draw, config),
        trimap=draw_trimap(draw, config),
    )
    between, place = draw.chance(config.between), draw.integer(len(_POWERS))
    if between:
        scene = replace(scene, linear=True, power=_POWERS[place])
    has_own_light, gains = draw.chance(config.own_light), draw_gains(draw)
    by_channel, channel = draw.chance(config.near_by_channel), draw.integer(3)
    is_behind = draw.chance(config.things_behind) and len(layers) == 1
    thing = ThingBehind(second, draw.log_uniform(0.8, 8) * draw.chance(0.5))
    return replace(
        scene,
        own_light=gains if has_own_light else None,
        unmoved_channel=channel if scene.near and by_channel else -1,
        behind=thing if is_behind else None,
        opaque=draw.chance(config.opaque),
    )


def render_scene(scene: Scene, sources: Sources, size: int) -> Sample:
    """The pixels of a scene as a crop with sides of `size`. On one machine they are always the same bytes.

    A thing behind is left out where the trimap does not know both foreground and background: then nothing would say
    which of the two is meant.
    """
    rendered = [_render_layer(layer, sources, size, opaque=scene.opaque) for layer in scene.layers]
    foreground, alpha = merge_layers(rendered, linear=scene.linear, power=scene.power)
    alpha = settle_alpha(alpha)
    trimap = render_trimap(alpha_behind_lens(alpha, scene.degradation), scene.trimap)
    background = render_background(scene.background, sources, size)
    if scene.behind and (trimap == 0).any() and (trimap == 255).any():
        background = _put_behind(background, scene.behind, sources, linear=scene.linear, power=scene.power)
    if scene.own_light:
        foreground, background = relit(foreground, scene.own_light[0]), relit(background, scene.own_light[1])
    if scene.unmoved_channel >= 0:
        foreground = match_channels(foreground, alpha, background, scene.near, unmoved=scene.unmoved_channel)
    elif scene.near:
        foreground = move_colours(foreground, alpha, background, scene.near)
    image = composite_bytes(foreground, alpha, background, linear=scene.linear, power=scene.power)
    image, alpha = degrade(image, alpha, scene.degradation, linear=scene.linear, power=scene.power)
    return Sample(scene.number, image, trimap, alpha, foreground, background)


def _draw_layer(draw: Draw, config: DataConfig) -> ForegroundLayer:
    low, high = config.zoom
    origin = draw.weighted(config.origins())
    return ForegroundLayer(
        origin=origin,
        number=draw.integer(config.bank or 2**31),
        group=draw.uniform(),
        pick=draw.uniform(),
        view=View(
            centres=(draw.uniform(), draw.uniform(), draw.uniform()),
            offset=(draw.uniform(-0.25, 0.25), draw.uniform(-0.25, 0.25)),
            zoom=draw.log_uniform(low, high),
            whole=draw.uniform(0.6, 1.1) * draw.chance(config.whole),
            rotation=draw.normal(config.rotation, limit=3.0),
            shear=draw.normal(config.shear),
            stretch=draw.log_uniform(0.85, 1.18),
            flip=draw.chance(config.flip),
            filter=draw.weighted(_FILTERS),
        ),
        tint=(draw_colour(draw), draw_colour(draw)),
        jitter=draw_jitter(draw, config.jitter),
    )


def _render_layer(layer: ForegroundLayer, sources: Sources, size: int, *, opaque: bool = False) -> tuple[Bytes, Bytes]:
    """Colours (S, S, 3) and alpha (S, S) of a layer in the crop."""
    if layer.origin == "procedural":
        source = sources.procedural(layer.number)
    else:
        source = sources.cutout(layer.origin, layer.group, layer.pick)
    grey = layer.origin != "procedural" and _without_colours(source)
    rgba = _seen(source, layer.view, size, opaque=opaque)
    colour, alpha = cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), cv2.extractChannel(rgba, 3)
    if grey:
        colour = _tinted(_bytes(colour), layer.tint)
    return apply_jitter(_bytes(colour), layer.jitter), _bytes(alpha)


def _put_behind(background: Bytes, behind: ThingBehind, sources: Sources, *, linear: bool, power: float) -> Bytes:
    """The background (S, S, 3) with the thing in it."""
    size = background.shape[0]
    colour, alpha = _render_layer(behind.layer, sources, size)
    radius = behind.blur * size / 512
    if radius >= 0.4:
        covered = alpha.astype(np.float32) * np.float32(1 / 255)
        weight = defocused(covered, radius)
        spread = defocused(scaled(colour.astype(np.float32), covered), radius)
        colour = _rounded(spread / np.maximum(weight, 1 / 255)[..., None])
        alpha = _rounded(weight * 255)
    return composite_bytes(colour, alpha, background, linear=linear, power=power)


def _seen(source: Bytes, view: View, size: int, *, opaque: bool) -> Bytes:
    """The source (h, w, 4) as the view shows it, (S, S, 4), placed so that soft pixels lie in the crop.

    With `opaque` opaque ones should, too, which may not succeed.
    """
    height, width = source.shape[:2]
    # A foreground that ends inside its picture goes on as nothing. One that the border cuts goes on mirrored, because a
    # straight edge there would be false. Little of the mirror image shows: the crop is not larger than the picture.
    inside = not any(source[edge].any() for edge in _BORDERS)
    zoom = max(height, width) / (size * view.whole) if view.whole else view.zoom
    if not inside:
        zoom = min(zoom, min(height, width) / size)
    # The warp looks only at neighbours, so what is made smaller is averaged: by up to two behind it, else before, too.
    fine = 2 if zoom > 1 else 1
    if zoom > 1.4 * fine:
        small = (max(8, round(width * fine / zoom)), max(8, round(height * fine / zoom)))
        source = _bytes(cv2.resize(source, small, interpolation=cv2.INTER_AREA))
        zoom *= min(small[0] / width, small[1] / height)
    centres = _soft_points(_bytes(cv2.extractChannel(source, 3)))
    flags = _FLAGS[view.filter] | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REPLICATE if inside else cv2.BORDER_REFLECT_101
    rgba = source
    for share in view.centres:
        centre = centres[int(share * len(centres))]
        matrix = _placement(view, zoom / fine, centre, source.shape, size * fine)
        rgba = _bytes(cv2.warpAffine(source, matrix, (size * fine, size * fine), flags=flags, borderMode=border))
        if fine > 1:
            rgba = _bytes(cv2.resize(rgba, (size, size), interpolation=cv2.INTER_AREA))
        if _holds_enough(rgba, opaque=opaque):
            break
    return rgba


_BORDERS = (np.s_[0, :, 3], np.s_[-1, :, 3], np.s_[:, 0, 3], np.s_[:, -1, 3])


def _soft_points(alpha: Bytes) -> NDArray[np.float64]:
    """Points (n, 2) as x, y in pixels on soft alpha; without soft alpha, points everywhere."""
    height, width = alpha.shape
    columns, rows = min(_CELLS, width), min(_CELLS, height)
    coarse = cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA)
    y, x = np.nonzero((coarse > 4) & (coarse < 251))
    if not len(x):
        y, x = np.nonzero(coarse >= 0)
    return np.column_stack([(x + 0.5) * (width / columns), (y + 0.5) * (height / rows)])


def _placement(
    view: View, zoom: float, centre: NDArray[np.float64], shape: tuple[int, ...], size: int
) -> NDArray[np.float64]:
    """The affine map (2, 3) from pixels of the crop to pixels of the source.

    The smaller one of crop and source stays inside the other.
    """
    angle = math.radians(view.rotation)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    stretch = np.array([[view.stretch**-0.5, view.shear], [0.0, view.stretch**0.5]])
    linear = zoom * turn @ stretch @ np.diag([-1.0 if view.flip else 1.0, 1.0])
    reach = np.abs(linear).sum(axis=1) * size / 2
    room = np.array([shape[1], shape[0]])
    middle = centre - linear @ np.asarray(view.offset) * size
    middle = np.clip(middle, np.minimum(reach, room - reach), np.maximum(reach, room - reach))
    corner = middle - 0.5 - linear @ np.full(2, (size - 1) / 2)
    return np.column_stack([linear, corner])


def _holds_enough(rgba: Bytes, *, opaque: bool) -> bool:
    """Whether a crop (S, S, 4) has soft pixels and, if asked for, opaque ones."""
    alpha = cv2.extractChannel(rgba, 3)
    soft = cv2.countNonZero(cv2.inRange(alpha, np.array(3), np.array(252)))
    full = cv2.countNonZero(cv2.inRange(alpha, np.array(253), np.array(255)))
    return soft >= _ENOUGH_SOFT * alpha.size and (full >= _ENOUGH_OPAQUE * alpha.size or not opaque)


def _without_colours(source: Bytes) -> bool:
    """Whether the source is grey and translucent, like smoke that is meant to be tinted. Grey photos are not."""
    sample = source[::16, ::16].astype(np.int16)
    translucent = np.count_nonzero(sample[:, :, 3] == 255) < 0.3 * np.count_nonzero(sample[:, :, 3])
    return bool(translucent and np.ptp(sample[:, :, :3], axis=2).max() <= 10)


def _tinted(colour: Bytes, tint: tuple[Colour, Colour]) -> Bytes:
    """Turn greys into a ramp from the first colour to the second."""
    dark, light = np.array(tint[0]), np.array(tint[1])
    ramp = dark + (light - dark) * np.linspace(0, 1, 256)[:, None]
    return _bytes(cv2.LUT(colour, np.round(ramp * 255).astype(np.uint8).reshape(1, 256, 3)))


def merge_layers(layers: list[tuple[Bytes, Bytes]], *, linear: bool = False, power: float = 1.0) -> tuple[Bytes, Bytes]:
    """Front over back: α = 1 − (1 − α₁)(1 − α₂), and the colours that give the same picture.

    `linear` and `power` are as in `composite_bytes`.
    """
    (colour, alpha), *behind = layers
    for colour_behind, alpha_behind in behind:
        front, back = alpha.astype(np.float32) / 255, alpha_behind.astype(np.float32) / 255
        both = 1 - (1 - front) * (1 - back)
        share = np.where(both > 0, front / np.maximum(both, 1e-4), np.float32(0.5))  # of the front's colour
        colour = _blended(colour, colour_behind, share, linear=linear, power=power)
        alpha = np.round(both * 255).astype(np.uint8)
    return colour, alpha


def move_colours(foreground: Bytes, alpha: Bytes, background: Bytes, share: float) -> Bytes:
    """The foreground with its mean colour moved by this share of the way to the background's mean colour.

    Where one of them is seen nowhere, the foreground as it is.
    """
    of_mine, of_theirs = cv2.inRange(alpha, 32, 255), cv2.inRange(alpha, 0, 223)
    if not (of_mine.any() and of_theirs.any()):
        return foreground
    mine, theirs = np.array(cv2.mean(foreground, of_mine)[:3]), np.array(cv2.mean(background, of_theirs)[:3])
    table = np.arange(256)[:, None] + share * (theirs - mine)
    return _bytes(cv2.LUT(foreground, np.clip(np.round(table), 0, 255).astype(np.uint8).reshape(1, 256, 3)))


def match_channels(foreground: Bytes, alpha: Bytes, background: Bytes, share: float, *, unmoved: int) -> Bytes:
    """The foreground with two channels moved towards the background's, as another light or pigment would; one stays.

    In the logarithm of light, the mean of each channel near the foreground's soft pixels moves by this share of the way
    to that of the background there. Its spread does, too, but to twice or half of what it was at most. Where there are
    not enough soft pixels, the mean colour moves as by `move_colours`.
    """
    soft = cv2.dilate(cv2.inRange(alpha, 8, 247), np.ones((9, 9), np.uint8)) > 0
    mine, theirs = soft & (alpha >= 32), soft & (alpha <= 223)
    if min(np.count_nonzero(mine), np.count_nonzero(theirs)) < 16:
        return move_colours(foreground, alpha, background, share)
    logarithms = _log_light(np.arange(256) / 255)
    table = np.tile(np.arange(256, dtype=np.uint8)[:, None], (1, 3))
    for channel in {0, 1, 2} - {unmoved}:
        of_mine = logarithms[foreground[..., channel][mine]]
        of_theirs = logarithms[background[..., channel][theirs]]
        ratio = float(np.clip((of_theirs.std() + _FLAT) / (of_mine.std() + _FLAT), 0.5, 2))
        slope = 1 + share * (ratio - 1)
        moved = of_mine.mean() + share * (of_theirs.mean() - of_mine.mean()) + slope * (logarithms - of_mine.mean())
        table[:, channel] = _rounded(_display(moved) * 255)
    return _bytes(cv2.LUT(foreground, table.reshape(1, 256, 3)))


_FLAT = 0.1  # added to spreads, so that a flat colour's does not count as a small one
_DARKEST = 0.005  # of light, which is added so that black has a logarithm


def _log_light(values: NDArray[Any]) -> NDArray[np.float64]:
    """The logarithm of the light of display values in [0, 1]."""
    return np.asarray(np.log(decode_srgb(values) + _DARKEST))


def _display(logarithms: NDArray[np.float64]) -> NDArray[np.float64]:
    """The display values, clipped to [0, 1], whose light has these logarithms."""
    return np.asarray(encode_srgb(np.clip(np.exp(logarithms) - _DARKEST, 0, 1)))


def composite_bytes(foreground: Bytes, alpha: Bytes, background: Bytes, *, linear: bool, power: float = 1.0) -> Bytes:
    """The composite αF + (1 − α)B, (H, W, 3), in sRGB values or in linear light to a power.

    This is `mattecli.compositing.composite.composite` for bytes in one pass, ten times as fast.
    """
    weight = alpha.astype(np.float32) * np.float32(1 / 255)
    return _blended(foreground, background, weight, linear=linear, power=power)


def _blended(first: Bytes, second: Bytes, share: NDArray[np.float32], *, linear: bool, power: float) -> Bytes:
    """A share (H, W) of the first picture and the rest of the second."""
    if not linear:
        return _bytes(cv2.blendLinear(first, second, share, 1 - share))
    light = cv2.blendLinear(to_light(first, power), to_light(second, power), share, 1 - share)
    return to_bytes(np.asarray(light, np.float32), power)


def _bytes(array: object) -> Bytes:
    return np.asarray(array, np.uint8)


def _rounded(values: Any) -> Bytes:
    return _bytes(np.rint(np.clip(values, 0, 255)).astype(np.uint8))
