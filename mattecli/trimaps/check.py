"""What a trimap's values mean, and which trimaps are refused."""

from __future__ import annotations

import math
import operator
from typing import Any, SupportsIndex, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.imaging.pixels import check_range, full_scale

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255


def check_snap(snap: int) -> None:
    """Raise `UsageError` for a `snap` that is not a whole number from 0 to 100."""
    if not (isinstance(snap, SupportsIndex) and 0 <= operator.index(snap) <= 100):
        raise UsageError(f"`snap` must be a whole number from 0 to 100, not {snap!r}")


def from_values(pixels: NDArray[Any], *, snap: int = 0, name: str = "the trimap") -> NDArray[np.uint8]:
    """Turn a picture into a trimap: black is background, white is foreground, everything else is unknown.

    `pixels`: (H, W), RGB (H, W, 3) or RGBA (H, W, 4) of uint8, uint16 or floats from 0 to 1. Only the exact ends of the
    range are known. In bool, True is foreground and False is background. Values within `snap` steps of 1/255 of an end
    are set to that end first.

    Transparency: an alpha channel with one value everywhere is ignored. If all pixels have the same colour, the alpha
    channel is the trimap. Otherwise the trimap was painted on a transparent layer: transparent pixels are background
    (editors leave any colour there), half-transparent ones are unknown.

    Raises `InputError` for a trimap that JPEG damaged (without `snap`), for label numbers such as 0, 1, 2, for a colour
    photo, and for another shape, type or range, and `UsageError` for a `snap` that is not 0 to 100.
    """
    check_snap(snap)
    if pixels.size == 0 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise InputError(f"{name} has shape {pixels.shape}; give (H, W), RGB or RGBA")
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    check_range(pixels, name)
    values, full = _values(pixels, full_scale(pixels, name))
    _refuse_photo(pixels, full, name)
    if not snap:
        _refuse_damaged(values, full, name)
    reach = _steps(snap, full)
    trimap = np.full(values.shape, UNKNOWN, np.uint8)
    trimap[values <= reach] = BACKGROUND
    trimap[values >= full - reach] = FOREGROUND
    return trimap


def _values(pixels: NDArray[Any], full: int | float) -> tuple[NDArray[Any], int | float]:
    if pixels.ndim == 2:
        return pixels, full
    lowest, highest = pixels[..., :3].min(axis=2), pixels[..., :3].max(axis=2)
    middle = np.array(full / 2).astype(pixels.dtype)
    # Nearly black is judged by the brightest channel, nearly white by the darkest; a colour is neither.
    values = np.where(lowest > middle, lowest, np.where(highest < middle, highest, middle))
    if pixels.shape[2] == 4 and np.ptp(pixels[..., 3]) > 0:
        alpha = pixels[..., 3]
        if np.ptp(pixels[..., :3].reshape(-1, 3), axis=0).max() == 0:
            return alpha, full
        values = np.where(alpha == full, values, np.where(alpha == 0, alpha, middle))
    return values, full


def _refuse_photo(pixels: NDArray[Any], full: int | float, name: str) -> None:
    """Raise `InputError` for a picture with more colours than a trimap can have."""
    if pixels.ndim == 2:
        return
    every = max(1, round((pixels.shape[0] * pixels.shape[1] / 2**16) ** 0.5))
    colours = pixels[::every, ::every, :3].reshape(-1, 3)
    vivid = colours[np.ptp(colours, axis=1) > 0.2 * full]
    if len(np.unique(vivid, axis=0)) > 768:  # the anti-aliased borders of three colours have fewer blends
        raise InputError(f"{name} has as many colours as a photo; give a trimap: white, black, and grey where unknown")


def _steps(count: int, full: int | float) -> int | float:
    """So many 8-bit steps on this scale. An integer for integers, so that comparisons make no copy in floats."""
    return count / 255 if isinstance(full, float) else count * (full // 255)


def _refuse_damaged(values: NDArray[Any], full: int | float, name: str) -> None:
    """Raise `InputError` for label numbers and for a trimap that JPEG damaged."""
    if 0 < values.max() <= _steps(10, full):
        raise InputError(_labels_sentence(values, full, name))
    snap, just_off = _damage(values, full)
    if snap and _is_soft(values, full):
        raise InputError(
            f"{name} has soft greys, as a matte has, and is not a trimap; make one of it with `matte trimap {name}`"
        )
    if snap:
        raise InputError(
            f"{name} has {just_off} values just off black and white, as JPEG leaves them; save the trimap as PNG or "
            f"use `snap={snap}`"
        )


def _is_soft(values: NDArray[Any], full: int | float) -> bool:
    """Whether the greys are those of a matte: a trimap's greys have mostly one value, and JPEG spreads it little."""
    grey = values[(values > _steps(25, full)) & (values < full - _steps(25, full))]
    if not grey.size:
        return False
    levels = np.round(grey / full * 255).astype(np.int64)
    counts = np.bincount(levels, minlength=256)
    peak = int(np.argmax(counts))
    # The grey of a trimap is somewhere in the middle; a faint matte has most of its greys near black.
    return not 40 < peak < 215 or bool(counts[peak - 10 : peak + 11].sum() < 0.5 * grey.size)


def _labels_sentence(values: NDArray[Any], full: int | float, name: str) -> str:
    levels = [float(value) for value in np.unique(values)]
    stored = not isinstance(full, float) and levels[-1] < full // 255  # label numbers as they are, in 16 bits too
    numbers = sorted({round(level if stored else level / full * 255) for level in levels})
    if stored and full > 255 and numbers[-1] in (UNKNOWN, FOREGROUND):
        return eight_in_sixteen(name)
    if numbers == [0, 1]:
        return (
            f"{name} holds the label numbers 0 and 1, not a trimap's values; if it is a mask with 1 for the object, "
            f"write 255 for 1 and make a trimap of it with `matte trimap {name}`"
        )
    meaning = "write 0 for background, 128 for unknown and 255 for foreground"
    if numbers == [0, 1, 2]:
        meaning += " (0, 1 and 2 are probably these, in this order)"
    return f"{name} holds label numbers up to {numbers[-1]}, not a trimap's values; {meaning}"


def eight_in_sixteen(name: str) -> str:
    """What is said of a file of 16 bits whose values are those of 8 bits."""
    return f"{name} has 16 bits, but its values are those of 8 bits (0 to 255); save it with 8 bits"


def _damage(values: NDArray[Any], full: int | float) -> tuple[int, int]:
    """The `snap` that repairs what JPEG did to a trimap, 0 if it did nothing, and how many values are just off.

    JPEG leaves values near black or white, away from any border. An anti-aliased or resampled border leaves such
    values, too, but within two pixels of very different ones. JPEG leaves them all over its 8 × 8 blocks. Measured on
    drawn trimaps: of the pixels near an end, those whose 5 × 5 neighbourhood is near the same end are 11 % or more
    after JPEG of quality 50 to 100, and 1 % at most after anti-aliasing.
    """
    reach, far = _steps(10, full), _steps(25, full)
    just_off, stray, deviations = 0, 0, np.zeros(0)
    for off_end in (values, full - values):
        at_end = off_end <= reach
        off = at_end & (off_end > 0)
        just_off += int(np.count_nonzero(off))
        if np.count_nonzero(off):
            stray += int(np.count_nonzero(off & _flat(at_end)))
            wide = _flat(off_end <= far) & (off_end > 0)
            deviations = np.concatenate([deviations, off_end[wide] / full * 255])
    if stray < 32 or stray <= 0.08 * just_off:
        return 0, just_off
    return int(np.ceil(np.quantile(deviations, 0.99))), just_off


def _flat(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels whose 5 × 5 neighbourhood lies in the region."""
    return cv2.erode(region.view(np.uint8), np.ones((5, 5), np.uint8)).view(np.bool_)


def as_codes(pixels: NDArray[Any], *, snap: int = 0, name: str = "the trimap") -> NDArray[np.uint8]:
    """A trimap for the network, which tells 0 and 255 from everything else: `from_values`, with its errors.

    A uint8 array in which `from_values` would find nothing to refuse or to snap is not copied.
    """
    if pixels.ndim == 2 and pixels.dtype == np.uint8 and pixels.size:
        counts = cv2.calcHist([np.ascontiguousarray(pixels)], [0], None, [256], [0, 256])
        reach = max(10, snap)
        if not counts[1 : reach + 1].any() and not counts[255 - reach : 255].any():
            return pixels
    return from_values(pixels, snap=snap, name=name)


def check_size(
    size: tuple[int, int],
    image_size: tuple[int, int],
    *,
    name: str,
    image_name: str,
    what: str = "trimap",
    resizable: bool = False,
) -> None:
    """Raise `InputError` if a trimap (or another map, named by `what`) and its photo differ in (width, height).

    Where it is `resizable`, the message names `resize_trimap`, if that would help.
    """
    if size == image_size:
        return
    facts = f"{name} is {size[0]}×{size[1]} but {image_name} is {image_size[0]}×{image_size[1]}"
    if size == image_size[::-1]:
        raise InputError(
            f"{facts}: one of them was rotated, perhaps because it lost its EXIF orientation; "
            f"rotate the {what} by 90° or make it from the photo again"
        )
    remedy = f"make the {what} from the photo at its full size"
    if resizable and same_aspect(size, image_size):
        remedy += ", or add `resize_trimap`"
    raise InputError(f"{facts}; {remedy}")


def same_aspect(size: tuple[int, int], image_size: tuple[int, int]) -> bool:
    """Whether two pictures of these (width, height) can be one at two sizes; half a pixel may be lost to rounding."""
    (width, height), (image_width, image_height) = size, image_size
    spare = 0.5 / min(width, image_width) + 0.5 / min(height, image_height)
    return abs(math.log((width * image_height) / (height * image_width))) <= spare


@overload
def unknown(trimap: NDArray[np.uint8]) -> NDArray[np.bool_]: ...


@overload
def unknown(trimap: Any) -> Any: ...


def unknown(trimap: Any) -> Any:
    """Where a trimap is unknown: everywhere but at exactly 0 and 255. Takes a NumPy array or a PyTorch tensor."""
    return (trimap != BACKGROUND) & (trimap != FOREGROUND)


def shares(trimap: NDArray[np.uint8]) -> dict[str, float]:
    """The shares of background, unknown and foreground pixels, each from 0 to 1."""
    background = np.count_nonzero(trimap == BACKGROUND) / trimap.size
    foreground = np.count_nonzero(trimap == FOREGROUND) / trimap.size
    share = np.count_nonzero(unknown(trimap)) / trimap.size
    return {"background": background, "unknown": share, "foreground": foreground}
