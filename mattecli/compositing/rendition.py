"""Renditions: files of a set size, quality or number of bytes."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mattecli.errors import InputError
from mattecli.imaging.choices import Kind
from mattecli.imaging.options import Depth, Quality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mattecli.imaging.image import Image
    from mattecli.imaging.options import WriteOptions

LOWEST_QUALITY = 30  # below it, blocks and rings are seen at once
_BITS: dict[Depth | None, int] = {8: 8, 16: 16}


@dataclass(frozen=True, kw_only=True)
class Rendition:
    """A file to deliver: an output of this `kind` under a `name` of its own.

    `size` is the box (width, height) in pixels that the picture is shrunk into; a smaller picture stays as it is.
    `max_bytes` is the most that the file may have. It lowers the quality of a lossy format as far as it must.
    `suffix`, `bits`, `quality` and `output_space` are as in `WriteOptions` and `deliver`. None leaves them to the run.
    `pattern` names the file, where it is not the run's pattern.
    """

    name: str
    kind: Kind
    suffix: str | None = None
    bits: Depth | None = None
    size: tuple[int, int] | None = None
    quality: Quality | None = None
    max_bytes: int | None = None
    output_space: str | None = None
    pattern: str | None = None

    def words(self) -> list[Any]:
        """What a recipe hashes beside the run's own options. The words are stored; they are never reworded.

        Raises InputError for a colour profile that cannot be read.
        """
        from mattecli.compositing.delivery import space_word

        space = None if self.output_space is None else space_word(self.output_space)
        settled = [("size", self.size), ("greatest bytes", self.max_bytes), ("rendition space", space)]
        return [[word, value] for word, value in settled if value is not None]


def shrunk_into(pixels: NDArray[Any], size: tuple[int, int] | None) -> NDArray[Any]:
    """Pixels (H, W), (H, W, 3) or straight (H, W, 4), shrunk into a box (width, height); the same type and proportions.

    Each new pixel is the mean of those that it covers. Colours of RGBA are weighted by their alpha, so that hidden
    colours do not bleed. A picture that fits into the box already is returned as it is.
    """
    import cv2
    import numpy as np

    height, width = pixels.shape[:2]
    scale = 1.0 if size is None else min(size[0] / width, size[1] / height)
    if scale >= 1:
        return pixels
    target = max(1, round(width * scale)), max(1, round(height * scale))
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return cv2.resize(pixels, target, interpolation=cv2.INTER_AREA)
    values = pixels.astype(np.float32)
    values[..., :3] *= values[..., 3:]
    small = cv2.resize(values, target, interpolation=cv2.INTER_AREA)
    plain = cv2.resize(pixels, target, interpolation=cv2.INTER_AREA)  # the colours where alpha is 0 everywhere
    seen = small[..., 3:] > 0
    small[..., :3] = np.where(seen, small[..., :3] / np.where(seen, small[..., 3:], 1), plain[..., :3])
    if pixels.dtype.kind == "f":
        return small.astype(pixels.dtype)
    return np.rint(np.clip(small, 0, np.iinfo(pixels.dtype).max)).astype(pixels.dtype)


def shrunk(picture: Image, size: tuple[int, int] | None) -> Image:
    """A picture shrunk by `shrunk_into`, with a plate's glow.

    Light under alpha 0 is added to what a new pixel covers besides; where that is nothing, it is glow again.
    """
    import cv2
    import numpy as np

    pixels = shrunk_into(picture.pixels, size)
    if pixels is picture.pixels:
        return picture
    if picture.glow is None or pixels.shape[2:] != (4,) or pixels.dtype.kind != "f":
        return replace(picture, pixels=pixels, glow=None)
    glowing = picture.glow & (picture.pixels[..., 3] == 0)
    bright = np.where(glowing[..., None], picture.pixels[..., :3], np.float32(0))
    bright = cv2.resize(bright, pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
    alpha, lit = pixels[..., 3], (bright != 0).any(axis=2)
    glow, mixed = lit & (alpha == 0), lit & (alpha > 0)
    pixels[glow, :3] = bright[glow]
    pixels[mixed, :3] += bright[mixed] / alpha[mixed][:, None]
    return replace(picture, pixels=pixels, glow=glow if glow.any() else None)


def within_bytes(image: Image, target: str, *, options: WriteOptions, most: int) -> WriteOptions:
    """The options with the highest quality, up to that of `options`, whose file has at most so many bytes.

    `target` is the file's name, which tells the format. Raises InputError where the file would be larger at quality
    `LOWEST_QUALITY`.
    """
    from mattecli.imaging.write import check_format
    from mattecli.imaging.writing.fitted import fitted

    form = check_format(target, options=options)
    stored = fitted(image, form, form.nearest(_BITS.get(options.bits, image.depth)), keep=options.metadata)

    def fits(quality: int) -> bool:
        buffer = io.BytesIO()
        form.save(buffer, stored, replace(options, quality=quality))
        return len(buffer.getbuffer()) <= most

    high = options.quality if isinstance(options.quality, int) else 95
    if fits(high):
        return replace(options, quality=high)
    low = min(LOWEST_QUALITY, high)
    if low == high or not fits(low):
        raise InputError(
            f"{target} would have more than {most} bytes at quality {low}; give it a smaller size, or more bytes"
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return replace(options, quality=low)
