"""Writes pictures and mattes: whole files or none."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, get_args

import PIL.Image
from numpy.typing import NDArray

from mattecli.errors import InputError, MatteError, UsageError
from mattecli.imaging.given import Given, given_image, given_levels
from mattecli.imaging.image import Image, to_depth
from mattecli.imaging.options import Depth, WriteOptions
from mattecli.imaging.writing.encoding import FORMATS, Format
from mattecli.imaging.writing.fitted import fitted
from mattecli.system.files import check_target, unwritable_stdout, whole_file

_DEPTHS: dict[Depth, int] = {8: 8, 16: 16, "half": 32, "float": 32}

Ready = Callable[[BinaryIO], None]


def write_image(
    target: str | Path,
    image: Image | NDArray[Any] | PIL.Image.Image,
    *,
    overwrite: bool = False,
    ready: Ready | None = None,
    options: WriteOptions | None = None,
) -> None:
    """Write a picture in the format its suffix names ("-": PNG on stdout), whole or not at all.

    `image` is an `Image`, which brings profile, resolution and metadata along, or its pixels alone: an array as `Image`
    takes it, or a PIL image, of which the ICC profile counts. What the format can hold of these is written;
    docs/files.md has the table.

    PNG and JPEG XL hold 8 and 16 bits, TIFF also floats, and JPEG, WebP, AVIF and BMP 8 bits. A deeper picture is
    rounded to the greatest depth of the format, or to `options.bits`. Floats must lie in [0, 1] unless the file holds
    floats. JPEG has quality 95 and no chroma subsampling; WebP is lossless for grey and RGBA, AVIF for grey, and
    `options.quality` changes that. `.exr` is linear light, with colours multiplied by alpha; `.npy` is float32.

    `ready` is called with the handle of the finished file before the file gets its name. Raises InputError and
    UsageError.
    """
    options = options or WriteOptions()
    picture = given_image(image, "the picture")
    form = check_output(target, overwrite=overwrite, alpha=_has_alpha(picture.pixels), options=options)
    if form.half and options.bits is None:
        options = replace(options, bits="half" if picture.depth == 8 else "float")
    stored = fitted(picture, form, stored_depth(form, picture.depth, options), keep=options.metadata)
    with written(target, overwrite=overwrite) as handle:
        form.save(handle, stored, options)
        if ready is not None:
            ready(handle)


def write_alpha(
    target: str | Path,
    alpha: Given,
    *,
    bits: Depth = 8,
    overwrite: bool = False,
    like: Image | None = None,
    ready: Ready | None = None,
) -> None:
    """Write a matte (H, W), floats in [0, 1] or integers, rounded to `bits` or as floats.

    The file gets the resolution of `like`, and in EXR its windows and the shape of its pixels; a matte is data, so it
    gets no profile and no other metadata. `.npy` and `.exr` hold floats whatever `bits` says, unless it is "half". A
    depth the format cannot hold is an `InputError`, and so are JPEG, which would change the matte, and an `alpha` of
    another shape, type or range. `ready`: see `write_image`.
    """
    if bits not in get_args(Depth):
        raise UsageError(f"`bits` must be 8, 16, 'half' or 'float', not {bits!r}")
    levels = given_levels(alpha, "the matte")
    form = check_output(target, overwrite=overwrite, bits=bits)
    matte = Image(to_depth(levels, form.nearest(_DEPTHS[bits])))
    if like is not None:
        matte = replace(matte, resolution=like.resolution, metadata=like.metadata.geometry)
    with written(target, overwrite=overwrite) as handle:
        form.save(handle, matte, WriteOptions(bits=bits))
        if ready is not None:
            ready(handle)


def stored_depth(form: Format, depth: int, options: WriteOptions) -> int:
    """The bits per channel of a file that a picture of this depth is written to."""
    return form.nearest(depth if options.bits is None else _DEPTHS[options.bits])


def check_output(
    target: str | Path,
    *,
    overwrite: bool,
    bits: Depth | None = None,
    alpha: bool = False,
    inputs: Iterable[str | Path] = (),
    options: WriteOptions | None = None,
) -> Format:
    """Raise `InputError`, before any heavy work, if an output cannot be written; returns the format of the file.

    See `check_format` for what a format cannot hold, and `files.check_target` for files that cannot be written.
    """
    form = check_format(target, bits=bits, alpha=alpha, options=options)
    if str(target) == "-":
        if sys.stdout.isatty():
            raise InputError("- writes PNG to standard output, but that is a terminal; redirect it or name a file")
        return form
    check_target(target, overwrite=overwrite, inputs=inputs)
    return form


def check_format(
    target: str | Path, *, bits: Depth | None = None, alpha: bool = False, options: WriteOptions | None = None
) -> Format:
    """The format of a suffix. Raises `InputError` if it cannot hold what is asked for.

    `bits` is the depth of a matte or trimap; JPEG cannot hold one, because it changes values. `alpha` asks for
    transparency. `options` are those of another picture, with its depth and quality.
    """
    suffix = ".png" if str(target) == "-" else Path(target).suffix.lower()
    form = FORMATS.get(suffix)
    name = "standard output" if str(target) == "-" else str(target)
    if form is None:
        what = f"the unknown suffix {suffix}" if suffix else "no suffix"
        raise InputError(f"{name} has {what}; name one of {', '.join(FORMATS)}")
    if alpha and not form.alpha:
        raise InputError(f"{name} cannot hold transparency ({form.name}); name a .png file")
    if bits is not None and not form.exact:
        raise InputError(f"{name} would not keep the values of a matte ({form.name} is lossy); name a .png file")
    _check_depth(name, form, bits if options is None else options.bits)
    if options is not None and options.quality == "lossless" and not form.lossless:
        raise InputError(f"{name} cannot hold colours without loss ({form.name}); name a .webp or .png file")
    return form


def _check_depth(name: str, form: Format, bits: Depth | None) -> None:
    if bits == "half" and not form.half:
        raise InputError(f"{name} cannot hold half floats ({form.name}); name a .exr file")
    if bits == "float" and 32 not in form.depths:
        floating = " or ".join(own for own in FORMATS if FORMATS[own].depths[-1] == 32 and own != ".tiff")
        raise InputError(f"{name} cannot hold floating point ({form.name}); name a {floating} file")
    if bits == 16 and max(form.depths) < 16:
        raise InputError(f"{name} cannot hold 16 bits ({form.name}); name a .png or .tif file")


def _has_alpha(pixels: NDArray[Any]) -> bool:
    return pixels.ndim == 3 and pixels.shape[2] == 4


@contextmanager
def _translated(target: str | Path) -> Iterator[None]:
    """Turn any exception of an encoder into an `InputError` of one sentence."""
    try:
        yield
    except (MatteError, MemoryError, BrokenPipeError):
        raise
    except FileExistsError as error:
        raise InputError(f"{target} exists already; name another output or use `overwrite=True`") from error
    except Exception as error:  # for example a full disk, or a side too long for the format
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        raise InputError(f"{target} cannot be written ({reason}); name another file, folder or format") from error


@contextmanager
def written(target: str | Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A handle whose content becomes the target, or goes to standard output, if the block ends without an error."""
    if str(target) == "-":
        buffer = io.BytesIO()
        with _translated("standard output"):
            yield buffer
        rest = buffer.getbuffer()
        try:
            while rest:  # with PYTHONUNBUFFERED a write may take a part only
                rest = rest[sys.stdout.buffer.write(rest) :]
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise unwritable_stdout(error) from error
        return
    with _translated(target), whole_file(Path(target), overwrite=overwrite) as handle:
        yield handle
