"""Procedural foregrounds with true alpha and true colours.

A maker's picture is decided by a few drawn parameters, equal on every machine and printable as JSON, and the size.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mattecli.training.data.foregrounds import airy, fabric, feathers, fur, glass, lens, mesh, plants, shapes, strands
from mattecli.training.data.foregrounds.canvas import Foreground
from mattecli.training.data.foregrounds.noise import Parameters
from mattecli.training.data.random import Draw

__all__ = ["DEFAULT_WEIGHTS", "KINDS", "Foreground", "draw_parameters", "make_foreground"]

_Draw = Callable[[Draw], Parameters]
_Make = Callable[[Parameters, int, Sequence[NDArray[np.uint8]]], Foreground]

_MAKERS: dict[str, tuple[_Draw, _Make]] = {
    "hair": (strands.draw_hair, strands.make_hair),
    "long_hair": (strands.draw_long_hair, partial(strands.make_hair, kind="long_hair")),
    "fur": (fur.draw_fur, fur.make_fur),
    "plush": (fur.draw_plush, fur.make_plush),
    "fringe": (fur.draw_fringe, fur.make_fringe),
    "foliage": (plants.draw_foliage, plants.make_foliage),
    "grass": (plants.draw_grass, plants.make_grass),
    "twigs": (plants.draw_twigs, plants.make_twigs),
    "flower": (plants.draw_flower, plants.make_flower),
    "feathers": (feathers.draw_feathers, feathers.make_feathers),
    "net": (fabric.draw_net, fabric.make_net),
    "mesh": (mesh.draw_mesh, mesh.make_mesh),
    "lace": (fabric.draw_lace, fabric.make_lace),
    "veil": (fabric.draw_veil, fabric.make_veil),
    "web": (airy.draw_web, airy.make_web),
    "dandelion": (airy.draw_dandelion, airy.make_dandelion),
    "smoke": (airy.draw_smoke, airy.make_smoke),
    "glass": (glass.draw_glass, glass.make_glass),
    "bubbles": (glass.draw_bubbles, glass.make_bubbles),
    "shape": (shapes.draw_shape, shapes.make_shape),
    "wheel": (shapes.draw_wheel, shapes.make_wheel),
    "chain": (shapes.draw_chain, shapes.make_chain),
    "text": (shapes.draw_text, shapes.make_text),
}
# What is worth seeing blurred; hairs and smoke are soft as they are.
_SHARP = {
    kind: _MAKERS[kind] for kind in ("shape", "wheel", "chain", "plush", "fur", "grass", "foliage", "fringe", "flower")
}
_MAKERS["motion"] = (partial(lens.draw_motion, makers=_SHARP), partial(lens.make_motion, makers=_SHARP))
_MAKERS["defocus"] = (partial(lens.draw_defocus, makers=_SHARP), partial(lens.make_defocus, makers=_SHARP))

KINDS: tuple[str, ...] = tuple(sorted(_MAKERS))
# How often a kind comes that no weight names: kinds that were added after 0.1.0 never, so that settings of then keep
# their scenes.
DEFAULT_WEIGHTS = {kind: float(kind != "mesh") for kind in KINDS}


def draw_parameters(kind: str, draw: Draw) -> Parameters:
    """All choices that shape a foreground of this kind, as JSON values, the same on every machine.

    Its `seed` starts the random arrays of the pixels. Raises KeyError for a kind that is not in `KINDS`.
    """
    return _MAKERS[kind][0](draw)


def make_foreground(
    kind: str, parameters: Parameters, size: int, *, photos: Sequence[NDArray[np.uint8]] = ()
) -> Foreground:
    """The foreground of (size, size) pixels that the parameters describe; the same arguments give the same pixels.

    `photos` (H, W, 3) uint8 lend their colours and textures; without any, noise stands in for them. Widths of hairs are
    meant for 640 pixels and shrink with the size.
    """
    return _MAKERS[kind][1](parameters, size, photos)
