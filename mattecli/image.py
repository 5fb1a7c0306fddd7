"""Files ↔ arrays: orientation, colour profiles, 8 and 16 bits and floating point, whole or no files.

With its two halves, `_decoding` and `_encoding`, the only part of mattecli that knows Pillow, tifffile and OpenCV's
codecs. Every function takes "-" for standard input or output and raises `InputError` for a file it cannot use.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from mattecli import trimap as trimaps
from mattecli._decoding import decode, decode_size, label
from mattecli._encoding import FORMATS, Format
from mattecli.errors import InputError

# By which folders tell pictures from other files; what a file really is, its content says.
SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".avif"])

Bits = Literal[8, 16, "float"]
_DEPTHS = {"uint8": 8, "uint16": 16, "float32": 32}
_TYPES: dict[int, Any] = {8: np.uint8, 16: np.uint16, 32: np.float32}
_FULL = {8: 255.0, 16: 65535.0, 32: 1.0}


@dataclass(frozen=True, eq=False)
class Image:
    """A picture as it lies in memory, upright.

    `pixels` are RGB (H, W, 3), straight RGBA (H, W, 4) or grey (H, W), as uint8, uint16 or float32 from 0 to 1, in the
    encoding of the file they came from. `icc` is the profile of these channels, `resolution` pixels per inch (x, y).
    """

    pixels: NDArray[Any]
    icc: bytes | None = None
    resolution: tuple[float, float] | None = None

    @property
    def depth(self) -> int:
        """Bits for each channel: 8, 16, or 32 for floating point."""
        return _DEPTHS[self.pixels.dtype.name]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]


def read_image(source: str | Path, *, keep_alpha: bool = False) -> Image:
    """A photo as RGB (H, W, 3), whatever it is in the file; RGBA (H, W, 4) with `keep_alpha` where the file has alpha.

    16 bits stay 16 (for AVIF, HEIC and CMYK, Pillow gives 8). CMYK and Lab become sRGB through their profile. A grey
    photo's profile does not fit RGB: at 8 bits the photo is converted to sRGB with it; at 16 bits it is dropped,
    because LittleCMS as Pillow offers it would cut the photo to 8.
    """
    decoded = decode(source, colour_managed=True)
    pixels = _checked(decoded.pixels, source)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    elif pixels.shape[2] == 4 and not keep_alpha:
        pixels = np.ascontiguousarray(pixels[..., :3])
    return Image(pixels, decoded.icc, decoded.resolution)


def read_alpha(source: str | Path) -> NDArray[np.float32]:
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


def read_trimap(source: str | Path, *, snap: int = 0) -> NDArray[np.uint8]:
    """A trimap as uint8 (H, W) of 0, 128 and 255: background, unknown, foreground.

    What counts as which, `snap`, and what is refused: see `mattecli.trimap.from_values`.
    """
    pixels = _checked(decode(source, colour_managed=False).pixels, source)
    return trimaps.from_values(pixels, snap=snap, name=label(source))


def read_size(source: str | Path) -> tuple[int, int]:
    """Width and height of the upright picture, without decoding it.

    Standard input ("-") is refused: it can be read only once.
    """
    return decode_size(source)


def _checked(pixels: NDArray[Any], source: str | Path) -> NDArray[Any]:
    """Bring what a decoder gave to (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or float32 from 0 to 1."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.size == 0 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise InputError(
            f"{label(source)} holds an array of shape {pixels.shape}; give height × width, with 3 or 4 channels or none"
        )
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    if pixels.dtype.kind == "f":
        return _unit_range(pixels.astype(np.float32, copy=False), source)
    if pixels.dtype.name not in _DEPTHS:
        raise InputError(f"{label(source)} holds {pixels.dtype} values; save it with 8 or 16 bits or as float")
    return pixels


def _unit_range(pixels: NDArray[np.float32], source: str | Path) -> NDArray[np.float32]:
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -0.05 and high <= 1.05):  # also when one is NaN; a little over is what resampling leaves
        raise InputError(
            f"{label(source)} holds floating-point values from {low:g} to {high:g}; scale them to the range 0 to 1"
        )
    return np.clip(pixels, 0, 1) if low < 0 or high > 1 else pixels


def _grey(colour: NDArray[Any], source: str | Path) -> NDArray[Any]:
    """The one channel of a grey picture that was saved as RGB."""
    low, high = colour.min(axis=2), colour.max(axis=2)
    if float((high - low).max()) > 0.02 * _FULL[_DEPTHS[colour.dtype.name]]:  # lossy formats tint grey a little
        raise InputError(f"{label(source)} is a colour picture without transparency; give a grey matte or a cut-out")
    return colour[..., 1]


def to_depth(pixels: NDArray[Any], depth: int) -> NDArray[Any]:
    """The same picture with 8, 16 or 32 bits (floating point) for each channel, rounded; floats are cut to 0 … 1."""
    own = _DEPTHS[pixels.dtype.name]
    if own == depth:
        return pixels
    result = np.empty(pixels.shape, _TYPES[depth])
    rows = max(1, 2**22 // max(1, pixels[0].size))  # in bands, so that a large photo has no second copy in floats
    for top in range(0, len(pixels), rows):
        band = pixels[top : top + rows].astype(np.float32)
        band /= _FULL[own]  # a division: 1/255 as a factor would be off in the last place
        band *= _FULL[depth]
        np.clip(band, 0, _FULL[depth], out=band)
        result[top : top + rows] = band if depth == 32 else np.rint(band, out=band)
    return result


def write_image(target: str | Path, image: Image, *, overwrite: bool = False) -> None:
    """Write a picture in the format its suffix names ("-": PNG on stdout), whole or not at all.

    PNG takes 8 and 16 bits, TIFF floats too, JPEG, WebP, AVIF and BMP 8; a deeper picture is rounded to the deepest the
    format has. `.npy` is always float32, `.exr` too and for mattes only. JPEG has quality 95 and no chroma subsampling;
    WebP is lossless for grey. Profile and resolution are kept where the format has a place for them.
    """
    form = check_output(target, overwrite=overwrite, alpha=_has_alpha(image.pixels))
    if image.pixels.ndim == 3 and not form.colour:
        raise InputError(f"{target} can hold a matte only, no colours; name a .tif or .png file")
    image = Image(to_depth(image.pixels, form.nearest(image.depth)), image.icc, image.resolution)
    with _whole_file(target, overwrite=overwrite) as handle, _translated(target):
        form.save(handle, image)


def write_alpha(
    target: str | Path,
    alpha: NDArray[np.float32],
    *,
    bits: Bits = 8,
    overwrite: bool = False,
    like: Image | None = None,
) -> None:
    """Write a matte, float32 (H, W) from 0 to 1, rounded to `bits` or as floats, with the resolution of `like`.

    `.npy` and `.exr` hold floats whatever `bits` says; a depth the format cannot hold is an `InputError`.
    """
    form = check_output(target, overwrite=overwrite, bits=bits)
    depth = form.nearest(32 if bits == "float" else bits)
    matte = Image(to_depth(alpha, depth), None, like.resolution if like else None)
    with _whole_file(target, overwrite=overwrite) as handle, _translated(target):
        form.save(handle, matte)


def check_output(
    target: str | Path,
    *,
    overwrite: bool,
    bits: Bits | None = None,
    alpha: bool = False,
    inputs: Iterable[str | Path] = (),
) -> Format:
    """Raise `InputError`, before any heavy work, for an output that could not be written.

    That is: an unknown suffix, a format without the depth `bits` or without the transparency that `alpha` asks for, a
    file that exists (unless `overwrite`), a missing or locked folder, and one of `inputs`, which is never written to.
    """
    form = _format(target, bits=bits, alpha=alpha)
    if str(target) == "-":
        if sys.stdout.isatty():
            raise InputError("- writes PNG to standard output, but that is a terminal; redirect it or name a file")
        return form
    path = Path(target)
    if path.is_dir():
        raise InputError(f"{target} is a folder; name a file in it")
    if path.exists():
        if not path.is_file():
            raise InputError(f"{target} is not a regular file; name a file, or - for standard output")
        if any(str(other) != "-" and Path(other).exists() and path.samefile(other) for other in inputs):
            raise InputError(f"{target} is an input of this run and is never written to; name another output")
        if not overwrite:
            raise _in_the_way(target)
    _check_folder(path)
    return form


def _format(target: str | Path, *, bits: Bits | None, alpha: bool) -> Format:
    suffix = ".png" if str(target) == "-" else Path(target).suffix.lower()
    form = FORMATS.get(suffix)
    name = "standard output" if str(target) == "-" else str(target)
    if form is None:
        what = f"the unknown suffix {suffix}" if suffix else "no suffix"
        raise InputError(f"{name} has {what}; name one of {', '.join(FORMATS)}")
    if alpha and not form.alpha:
        raise InputError(f"{name} cannot hold transparency ({form.name}); name a .png file")
    if bits == "float" and 32 not in form.depths:
        raise InputError(f"{name} cannot hold floating point ({form.name}); name a .tif, .npy or .exr file")
    if bits == 16 and max(form.depths) < 16:
        raise InputError(f"{name} cannot hold 16 bits ({form.name}); name a .png or .tif file")
    return form


def _check_folder(path: Path) -> None:
    folder = path.parent
    if not folder.exists():
        raise InputError(f"{path} cannot be written: the folder {folder} does not exist; create it first")
    if not folder.is_dir():
        raise InputError(f"{path} cannot be written: {folder} is a file, not a folder; name another output")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: the folder {folder} is not writable; name another output")


def _in_the_way(target: str | Path) -> InputError:
    return InputError(f"{target} exists already; name another output or add --overwrite")


def _has_alpha(pixels: NDArray[Any]) -> bool:
    return pixels.ndim == 3 and pixels.shape[2] == 4


@contextmanager
def _translated(target: str | Path) -> Iterator[None]:
    """Turn what an encoder throws into the one sentence of an InputError."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # encoders raise what they like: a full disk, a side too long for the format
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        raise InputError(f"{target} cannot be written ({reason}); name another file, folder or format") from error


@contextmanager
def _whole_file(target: str | Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A handle whose content becomes the target when the block ends, and disappears when it fails."""
    if str(target) == "-":
        import io

        buffer = io.BytesIO()
        yield buffer
        with _translated("standard output"):
            sys.stdout.buffer.write(buffer.getbuffer())
            sys.stdout.buffer.flush()
        return
    path = Path(os.path.realpath(target))  # through a symbolic link, as a plain write would go
    hidden = path.with_name(f".matte-{secrets.token_hex(8)}.tmp")
    try:
        with _translated(target):
            handle = hidden.open("xb")  # its permissions are a new file's, by the umask
        with handle:
            yield handle
        with _translated(target):
            _rename(hidden, path, target, overwrite=overwrite)
    finally:
        hidden.unlink(missing_ok=True)


def _rename(hidden: Path, path: Path, target: str | Path, *, overwrite: bool) -> None:
    if not overwrite:
        try:
            os.link(hidden, path)  # unlike a rename it fails when somebody wrote the target meanwhile
        except FileExistsError as error:
            raise _in_the_way(target) from error
        except OSError:  # a file system without hard links
            if path.exists():
                raise _in_the_way(target) from None
        else:
            return
    hidden.replace(path)
