"""A picture in memory: its pixels, profile and resolution."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.colour.convert import convert
from mattecli.imaging.colour.spaces import same_space
from mattecli.imaging.metadata import Metadata
from mattecli.imaging.pixels import full_scale
from mattecli.imaging.space import CICP, Space

# Files with these suffixes count as pictures in a folder; the format is read from the content.
SUFFIXES = frozenset(
    [
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".avif"),
        *(".exr", ".hdr", ".dpx", ".cin", ".psd", ".psb", ".jxl", ".jp2", ".j2k"),
    ]
)


_TYPES: dict[int, Any] = {8: np.uint8, 16: np.uint16, 32: np.float32}


@dataclass(frozen=True, eq=False)
class Image:
    """A picture in memory, upright.

    `pixels` are RGB (H, W, 3), straight RGBA (H, W, 4) or grey (H, W). They are uint8, uint16 or float32 (other floats
    become float32), in the encoding of their file. White is 255, 65535 or 1.0; floats of scene-linear pictures may lie
    outside of 0 to 1. `icc`, `cicp` and `named_space` say what the numbers mean as colours: see `space`. `resolution`
    is the pixels per inch (x, y). `transparent` is true if the file has an alpha channel that hides pixels and is not
    in `pixels`. `glow` (H, W) is true where a plate has light under alpha 0, which is added to what lies behind and
    hides none of it; None without such light. `metadata` is what the file says of the picture besides, and `notes` what
    the user should know of how it was read. Raises `InputError` for another shape or type.
    """

    pixels: NDArray[Any]
    icc: bytes | None = None
    resolution: tuple[float, float] | None = None
    transparent: bool = False
    cicp: CICP | None = None
    named_space: str | None = None
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    glow: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.pixels, np.ndarray):
            raise InputError(f"the picture is a {type(self.pixels).__name__}; give a NumPy array")
        shape = self.pixels.shape
        if 0 in shape or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))):
            raise InputError(f"the picture has shape {shape}; give height × width, with 3 or 4 channels or none")
        full_scale(self.pixels, "the picture")  # raises for another type
        if self.pixels.dtype.kind == "f":
            object.__setattr__(self, "pixels", self.pixels.astype(np.float32, copy=False))

    @property
    def space(self) -> Space:
        """What the numbers mean as colours."""
        return Space(self.icc, self.cicp, self.named_space)

    @property
    def depth(self) -> int:
        """Bits for each channel: 8, 16, or 32 for floating point."""
        return _depth(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]


def _depth(pixels: NDArray[Any]) -> int:
    return {255: 8, 65535: 16}.get(int(full_scale(pixels, "the picture")), 32)


def to_depth(pixels: NDArray[Any], depth: int) -> NDArray[Any]:
    """The same picture with 8, 16 or 32 (floating point) bits per channel, rounded; floats are clipped to [0, 1]."""
    if _depth(pixels) == depth:
        return pixels.astype(_TYPES[depth], copy=False)
    own, full = full_scale(pixels, "the picture"), np.float32({8: 255, 16: 65535, 32: 1}[depth])
    result = np.empty(pixels.shape, _TYPES[depth])
    rows = max(1, 2**22 // max(1, pixels[0].size))  # in bands, to avoid a second copy of a large photo in floats
    for top in range(0, len(pixels), rows):
        band = pixels[top : top + rows].astype(np.float32)
        band /= np.float32(own)  # a division, because a factor of 1/255 gives other last bits
        band *= full
        np.clip(band, 0, full, out=band)
        result[top : top + rows] = band if depth == 32 else np.rint(band, out=band)
    return result


def in_space(picture: Image, space: Space, *, depth: int | None = None) -> Image:
    """The same colours in another space, with the depth of the picture or another one.

    Metadata, resolution and an alpha channel stay; the metadata say that colours were converted. Grey (H, W) becomes
    RGB. The picture itself is returned where nothing changes; see `convert` for the way and the errors.
    """
    depth, same = depth or picture.depth, same_space(picture.space, space)
    if picture.depth == depth and same:
        return picture
    pixels = picture.pixels if picture.pixels.ndim == 3 else np.repeat(picture.pixels[..., None], 3, axis=2)
    pixels = convert(pixels, picture.space, space, depth=depth)
    known = picture.metadata if same else replace(picture.metadata, converted=True)
    return replace(picture, pixels=pixels, icc=space.icc, cicp=space.cicp, named_space=space.name, metadata=known)
