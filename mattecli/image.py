"""Files ↔ arrays: orientation, colour profiles, 8 and 16 bits and floating point, whole or no files.

With its parts `_decoding`, `_encoding` and `_colour` the only one that knows Pillow, tifffile and OpenCV's
codecs. Every function takes "-" for standard input or output, those that read take a file's bytes too, and all raise
`InputError` for a file they cannot use; `DeviceError` for one that the free memory cannot hold.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mattecli import trimap as trimaps
from mattecli._colour import same_profile, to_profile
from mattecli._decoding import Source, decode, decode_size, label
from mattecli._encoding import FORMATS, Format, known_suffixes
from mattecli.errors import InputError, UsageError
from mattecli.files import check_target, whole_file
from mattecli.pixels import check_range, full_scale

# By which folders tell pictures from other files; what a file really is, its content says.
SUFFIXES = frozenset(
    [".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".avif"]
)

Bits = Literal[8, 16, "float"]
Ready = Callable[[BinaryIO], None]
_TYPES: dict[int, Any] = {8: np.uint8, 16: np.uint16, 32: np.float32}


@dataclass(frozen=True, eq=False)
class Image:
    """A picture as it lies in memory, upright.

    `pixels` are RGB (H, W, 3), straight RGBA (H, W, 4) or grey (H, W), as uint8, uint16 or float32 from 0 to 1 (other
    floats become float32), in the encoding of the file they came from. `icc` is the profile of these channels,
    `resolution` pixels per inch (x, y). `transparent` is true where the file hides pixels by an alpha channel that is
    not among `pixels`: what stands there, nobody has seen. Raises `InputError` for another shape or type.
    """

    pixels: NDArray[Any]
    icc: bytes | None = None
    resolution: tuple[float, float] | None = None
    transparent: bool = False

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if 0 in shape or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))):
            raise InputError(f"the picture has shape {shape}; give height × width, with 3 or 4 channels or none")
        full_scale(self.pixels, "the picture")  # raises for another type
        if self.pixels.dtype.kind == "f":
            object.__setattr__(self, "pixels", self.pixels.astype(np.float32, copy=False))

    @property
    def depth(self) -> int:
        """Bits for each channel: 8, 16, or 32 for floating point."""
        return _depth(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]


def read_image(source: Source, *, keep_alpha: bool = False) -> Image:
    """A photo as RGB (H, W, 3), whatever it is in the file; RGBA (H, W, 4) with `keep_alpha` where the file has alpha.

    16 bits stay 16 (for AVIF, HEIC and CMYK, Pillow gives 8). CMYK and Lab become sRGB through their profile. A grey
    photo's profile does not fit RGB: at 8 bits the photo is converted to sRGB with it; at 16 bits it is dropped,
    because LittleCMS as Pillow offers it would cut the photo to 8.
    """
    decoded = decode(source, colour_managed=True)
    pixels, transparent = _checked(decoded.pixels, source), False
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    elif pixels.shape[2] == 4 and not keep_alpha:
        transparent = bool(pixels[..., 3].min() < full_scale(pixels, label(source)))
        pixels = np.ascontiguousarray(pixels[..., :3])
    return Image(pixels, decoded.icc, decoded.resolution, transparent)


def read_alpha(source: Source) -> NDArray[np.float32]:
    """A matte or mask as float32 (H, W) from 0 to 1, from 8 or 16 bits or floating point (.npy, .tif, .exr).

    Where the file has an alpha channel that varies (a cut-out), that channel is the matte; otherwise its grey values
    are. A colour picture is an `InputError`.
    """
    pixels = _checked(decode(source, colour_managed=False).pixels, source)
    if pixels.ndim == 3:
        if pixels.shape[2] == 4 and np.ptp(pixels[..., 3]) > 0:
            pixels = pixels[..., 3]
        else:
            pixels = _grey(pixels[..., :3], source)
    return np.ascontiguousarray(to_depth(pixels, 32))


def read_trimap(source: Source, *, snap: int = 0) -> NDArray[np.uint8]:
    """A trimap as uint8 (H, W) of 0, 128 and 255: background, unknown, foreground.

    What counts as which, `snap`, and what is refused: see `mattecli.trimap.from_values`.
    """
    pixels = _checked(decode(source, colour_managed=False).pixels, source)
    return trimaps.from_values(pixels, snap=snap, name=label(source))


def read_size(source: Source) -> tuple[int, int]:
    """Width and height of the upright picture, without decoding it.

    Standard input ("-") is refused: it can be read only once.
    """
    return decode_size(source)


def _checked(pixels: NDArray[Any], source: Source) -> NDArray[Any]:
    """Bring what a decoder gave to (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or float32 from 0 to 1."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.size == 0 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise InputError(
            f"{label(source)} holds an array of shape {pixels.shape}; give height × width, with 3 or 4 channels or none"
        )
    if not pixels.dtype.isnative:  # a .npy file of another machine
        pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    if pixels.dtype.kind == "f":
        return _unit_range(pixels.astype(np.float32, copy=False), source)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{label(source)} holds {pixels.dtype} values; save it with 8 or 16 bits or as float")
    return pixels


def _unit_range(pixels: NDArray[np.float32], source: Source) -> NDArray[np.float32]:
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -0.05 and high <= 1.05):  # also when one is NaN; a little over is what resampling leaves
        raise InputError(
            f"{label(source)} holds floating-point values from {low:g} to {high:g}; scale them to the range 0 to 1"
        )
    return np.clip(pixels, 0, 1) if low < 0 or high > 1 else pixels


def _grey(colour: NDArray[Any], source: Source) -> NDArray[Any]:
    """The one channel of a grey picture that was saved as RGB."""
    low, high = colour.min(axis=2), colour.max(axis=2)
    if float((high - low).max()) > 0.02 * full_scale(colour, label(source)):  # lossy formats tint grey a little
        raise InputError(f"{label(source)} is a colour picture without transparency; give a grey matte or a cut-out")
    return colour[..., 1]


def _depth(pixels: NDArray[Any]) -> int:
    return {255: 8, 65535: 16}.get(int(full_scale(pixels, "the picture")), 32)


def to_depth(pixels: NDArray[Any], depth: int) -> NDArray[Any]:
    """The same picture with 8, 16 or 32 bits (floating point) for each channel, rounded; floats are cut to 0 … 1."""
    if _depth(pixels) == depth:
        return pixels.astype(_TYPES[depth], copy=False)
    own, full = full_scale(pixels, "the picture"), np.float32({8: 255, 16: 65535, 32: 1}[depth])
    result = np.empty(pixels.shape, _TYPES[depth])
    rows = max(1, 2**22 // max(1, pixels[0].size))  # in bands, so that a large photo has no second copy in floats
    for top in range(0, len(pixels), rows):
        band = pixels[top : top + rows].astype(np.float32)
        band /= np.float32(own)  # a division: 1/255 as a factor would be off in the last place
        band *= full
        np.clip(band, 0, full, out=band)
        result[top : top + rows] = band if depth == 32 else np.rint(band, out=band)
    return result


def in_profile(picture: Image, icc: bytes | None) -> Image | None:
    """The same colours in another profile's values (None: sRGB's); None where the picture cannot be converted.

    That is one of more than 8 bits, for which there is no converter here, or a broken profile.
    """
    if same_profile(picture.icc, icc):
        return picture
    pixels = to_profile(picture.pixels, picture.icc, icc)
    return None if pixels is None else Image(pixels, icc, picture.resolution)


def write_image(target: str | Path, image: Image, *, overwrite: bool = False, ready: Ready | None = None) -> None:
    """Write a picture in the format its suffix names ("-": PNG on stdout), whole or not at all.

    PNG takes 8 and 16 bits, TIFF floats too, JPEG, WebP, AVIF and BMP 8; a deeper picture is rounded to the deepest the
    format has. `.npy` is always float32, `.exr` too and for mattes only. JPEG has quality 95 and no chroma subsampling;
    WebP and AVIF are lossless for grey. Profile and resolution are kept where the format has a place for them. `ready`
    is given the handle of the finished file before the file takes its name.
    """
    check_range(image.pixels, "the picture")
    form = check_output(target, overwrite=overwrite, alpha=_has_alpha(image.pixels))
    if image.pixels.ndim == 3 and not form.colour:
        raise InputError(f"{target} can hold a matte only, no colours; name a .tif or .png file")
    image = Image(to_depth(image.pixels, form.nearest(image.depth)), image.icc, image.resolution)
    with _written(target, overwrite=overwrite) as handle:
        form.save(handle, image)
        if ready is not None:
            ready(handle)


def write_alpha(
    target: str | Path,
    alpha: NDArray[Any],
    *,
    bits: Bits = 8,
    overwrite: bool = False,
    like: Image | None = None,
    ready: Ready | None = None,
) -> None:
    """Write a matte, floats (H, W) from 0 to 1, rounded to `bits` or as floats, with the resolution of `like`.

    `.npy` and `.exr` hold floats whatever `bits` says; a depth the format cannot hold is an `InputError`, and so are
    JPEG, which would change the matte, and an `alpha` of another shape, type or range. `ready`: see `write_image`.
    """
    if bits not in get_args(Bits):
        raise UsageError(f"a matte has no {bits!r} bits; give 8, 16 or 'float'")
    if alpha.ndim != 2 or alpha.size == 0:
        raise InputError(f"the matte has shape {alpha.shape}; give (H, W)")
    check_range(alpha, "the matte")
    form = check_output(target, overwrite=overwrite, bits=bits)
    depth = form.nearest(32 if bits == "float" else bits)
    matte = Image(to_depth(alpha, depth), None, like.resolution if like else None)
    with _written(target, overwrite=overwrite) as handle:
        form.save(handle, matte)
        if ready is not None:
            ready(handle)


def check_output(
    target: str | Path,
    *,
    overwrite: bool,
    bits: Bits | None = None,
    alpha: bool = False,
    inputs: Iterable[str | Path] = (),
) -> Format:
    """Raise `InputError`, before any heavy work, for an output that could not be written.

    That is: a format that cannot hold it (`check_format`), or a file that cannot be written (`files.check_target`).
    """
    form = check_format(target, bits=bits, alpha=alpha)
    if str(target) == "-":
        if sys.stdout.isatty():
            raise InputError("- writes PNG to standard output, but that is a terminal; redirect it or name a file")
        return form
    check_target(target, overwrite=overwrite, inputs=inputs)
    return form


def check_format(target: str | Path, *, bits: Bits | None = None, alpha: bool = False) -> Format:
    """What the format that a suffix names can hold; `InputError` where it lacks what is asked for.

    `bits` is the depth of a matte or trimap, which JPEG cannot hold at all: it changes values. `alpha`: transparency.
    """
    suffix = ".png" if str(target) == "-" else Path(target).suffix.lower()
    form = FORMATS.get(suffix)
    name = "standard output" if str(target) == "-" else str(target)
    if form is None:
        what = f"the unknown suffix {suffix}" if suffix else "no suffix"
        raise InputError(f"{name} has {what}; name one of {', '.join(known_suffixes())}")
    if suffix not in known_suffixes():
        raise InputError(f"{name} cannot be written, for this build of OpenCV has no {form.name}; name a .tif file")
    if alpha and not form.alpha:
        raise InputError(f"{name} cannot hold transparency ({form.name}); name a .png file")
    if bits is not None and not form.exact:
        raise InputError(f"{name} would not keep the values of a matte ({form.name} is lossy); name a .png file")
    if bits == "float" and 32 not in form.depths:
        floating = " or ".join(own for own in known_suffixes() if FORMATS[own].depths[-1] == 32 and own != ".tiff")
        raise InputError(f"{name} cannot hold floating point ({form.name}); name a {floating} file")
    if bits == 16 and max(form.depths) < 16:
        raise InputError(f"{name} cannot hold 16 bits ({form.name}); name a .png or .tif file")
    return form


def _has_alpha(pixels: NDArray[Any]) -> bool:
    return pixels.ndim == 3 and pixels.shape[2] == 4


@contextmanager
def _translated(target: str | Path) -> Iterator[None]:
    """Turn what an encoder throws into the one sentence of an InputError."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except FileExistsError as error:
        raise InputError(f"{target} exists already; name another output or add --overwrite") from error
    except Exception as error:  # encoders raise what they like: a full disk, a side too long for the format
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        raise InputError(f"{target} cannot be written ({reason}); name another file, folder or format") from error


@contextmanager
def _written(target: str | Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A handle whose content becomes the target, or goes to standard output, when the block ends without an error."""
    if str(target) == "-":
        buffer = io.BytesIO()
        with _translated("standard output"):
            yield buffer
            sys.stdout.buffer.write(buffer.getbuffer())
            sys.stdout.buffer.flush()
        return
    with _translated(target), whole_file(Path(target), overwrite=overwrite) as handle:
        yield handle
