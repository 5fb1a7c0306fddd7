"""Writes pictures and mattes: whole files or none."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, get_args

import PIL.Image
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.imaging.choices import Bits
from mattecli.imaging.encoding import FORMATS, Format, known_suffixes, why_no_exr
from mattecli.imaging.given import Given, given_levels, given_values
from mattecli.imaging.image import Image, to_depth
from mattecli.imaging.pixels import check_range
from mattecli.system.files import check_target, whole_file

Ready = Callable[[BinaryIO], None]


def write_image(
    target: str | Path,
    image: Image | NDArray[Any] | PIL.Image.Image,
    *,
    overwrite: bool = False,
    ready: Ready | None = None,
) -> None:
    """Write a picture in the format its suffix names ("-": PNG on stdout), whole or not at all.

    `image` is an `Image`, which brings a profile and a resolution along, or its pixels alone: an array as `Image` takes
    it, or a PIL image.

    PNG holds 8 and 16 bits, TIFF also floats, and JPEG, WebP, AVIF and BMP 8 bits. A deeper picture is rounded to the
    greatest depth of the format. `.npy` and `.exr` are always float32; `.exr` holds mattes only. JPEG has quality 95
    and no chroma subsampling; WebP and AVIF are lossless for grey. Profile and resolution are kept if the format can
    hold them. `ready` is called with the handle of the finished file before the file gets its name.
    """
    picture = image if isinstance(image, Image) else Image(given_values(image, "the picture"))
    check_range(picture.pixels, "the picture")
    form = check_output(target, overwrite=overwrite, alpha=_has_alpha(picture.pixels))
    if picture.pixels.ndim == 3 and not form.colour:
        raise InputError(f"{target} can hold only a matte, not colours; name a .tif or .png file")
    picture = Image(to_depth(picture.pixels, form.nearest(picture.depth)), picture.icc, picture.resolution)
    with _written(target, overwrite=overwrite) as handle:
        form.save(handle, picture)
        if ready is not None:
            ready(handle)


def write_alpha(
    target: str | Path,
    alpha: Given,
    *,
    bits: Bits = 8,
    overwrite: bool = False,
    like: Image | None = None,
    ready: Ready | None = None,
) -> None:
    """Write a matte (H, W), floats in [0, 1] or integers, rounded to `bits` or as floats, at the resolution of `like`.

    `.npy` and `.exr` hold floats whatever `bits` says; a depth the format cannot hold is an `InputError`, and so are
    JPEG, which would change the matte, and an `alpha` of another shape, type or range. `ready`: see `write_image`.
    """
    if bits not in get_args(Bits):
        raise UsageError(f"`bits` must be 8, 16 or 'float', not {bits!r}")
    levels = given_levels(alpha, "the matte")
    form = check_output(target, overwrite=overwrite, bits=bits)
    depth = form.nearest(32 if bits == "float" else bits)
    matte = Image(to_depth(levels, depth), None, like.resolution if like else None)
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
    """Raise `InputError`, before any heavy work, if an output cannot be written; returns the format of the file.

    See `check_format` for what a format cannot hold, and `files.check_target` for files that cannot be written.
    """
    form = check_format(target, bits=bits, alpha=alpha)
    if str(target) == "-":
        if sys.stdout.isatty():
            raise InputError("- writes PNG to standard output, but that is a terminal; redirect it or name a file")
        return form
    check_target(target, overwrite=overwrite, inputs=inputs)
    return form


def check_format(target: str | Path, *, bits: Bits | None = None, alpha: bool = False) -> Format:
    """The format of a suffix. Raises `InputError` if it cannot hold what is asked for.

    `bits` is the depth of a matte or trimap; JPEG cannot hold one, because it changes values. `alpha` asks for
    transparency.
    """
    suffix = ".png" if str(target) == "-" else Path(target).suffix.lower()
    form = FORMATS.get(suffix)
    name = "standard output" if str(target) == "-" else str(target)
    if form is None:
        what = f"the unknown suffix {suffix}" if suffix else "no suffix"
        raise InputError(f"{name} has {what}; name one of {', '.join(known_suffixes())}")
    if suffix not in known_suffixes():
        raise InputError(f"{name} cannot be written, for {why_no_exr()}; name a .tif file")
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
    """Turn any exception of an encoder into an `InputError` of one sentence."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except FileExistsError as error:
        raise InputError(f"{target} exists already; name another output or use `overwrite=True`") from error
    except Exception as error:  # for example a full disk, or a side too long for the format
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        raise InputError(f"{target} cannot be written ({reason}); name another file, folder or format") from error


@contextmanager
def _written(target: str | Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A handle whose content becomes the target, or goes to standard output, if the block ends without an error."""
    if str(target) == "-":
        buffer = io.BytesIO()
        with _translated("standard output"):
            yield buffer
            sys.stdout.buffer.write(buffer.getbuffer())
            sys.stdout.buffer.flush()
        return
    with _translated(target), whole_file(Path(target), overwrite=overwrite) as handle:
        yield handle
