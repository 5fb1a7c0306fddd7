"""Decodes image files to arrays, each format by its reader."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from mattecli.errors import InputError
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.reading import formats
from mattecli.imaging.reading.apart import content_of, read_apart, size_of
from mattecli.imaging.reading.decoded import Decoded
from mattecli.imaging.reading.formats import Format
from mattecli.imaging.reading.limits import DEFAULT, check_pixels, check_room
from mattecli.imaging.reading.open import Source, is_pipe, label, not_read, opened, translated
from mattecli.imaging.reading.pillow import pillow_size, read_with_pillow
from mattecli.imaging.reading.rasters import npy_array, npy_header, pnm_size


def decode(source: Source, options: ReadOptions = DEFAULT, *, name: str | None = None) -> Decoded:
    """Read one image: a file, standard input for "-", or bytes. `name` stands in messages in place of the file's.

    Raises InputError for what cannot be read or has too many pixels, DeviceError where memory is too small for it.
    """
    name = name or label(source)
    with opened(source, name) as (handle, head), translated(name, options):
        form = _format(handle, head, name, options)
        if form.reader == "numpy":
            return _numpy(handle, name, options)
        if form.reader != "openimageio":
            return read_with_pillow(form, handle, name, options)
        at_hand = isinstance(source, bytes) or is_pipe(source)
        return read_apart(form, handle, content_of(handle) if at_hand else Path(str(source)), name, options)


def decode_size(source: Source, options: ReadOptions = DEFAULT, *, name: str | None = None) -> tuple[int, int]:
    """Width and height of the upright picture, from its header. Raises InputError, for a pipe too."""
    name = name or label(source)
    if is_pipe(source):
        raise InputError(f"{name} is a pipe and can be read only once; read the image and take its size")
    with opened(source, name) as (handle, head), translated(name, options):
        form = _format(handle, head, name, options)
        width, height = _size(form, handle, name, options)
        check_pixels(width, height, name, options)
        return width, height


def _size(form: Format, handle: BinaryIO, name: str, options: ReadOptions) -> tuple[int, int]:
    if form.reader == "openimageio":
        return size_of(form, handle, name, options)
    if form.reader != "numpy":
        return pillow_size(form, handle, name, options)
    shape, _, _ = npy_header(handle)
    if len(shape) < 2:
        raise InputError(f"{name} holds an array of shape {shape}; give height × width")
    return shape[1], shape[0]


def _format(handle: BinaryIO, head: bytes, name: str, options: ReadOptions) -> Format:
    """The format of a file. Raises InputError for one that is not read, or that has no layers though one is asked."""
    form = formats.identify(head)
    if form is None:
        raise not_read(name, head)
    if form is formats.PNM and head[:2] in (b"P3", b"P6") and pnm_size(handle)[2] > 255:
        form = formats.PNM_16  # Pillow would round it to 8 bits
    if options.layer is not None and form is not formats.EXR:
        raise InputError(f"{name} is {form.name}, which has no layers; leave out `layer`")
    return form


def _numpy(handle: BinaryIO, name: str, options: ReadOptions) -> Decoded:
    shape, _, dtype = npy_header(handle)
    height, width = (*shape, 1, 1)[:2]
    check_pixels(width, height, name, options)
    pixels = 1
    for side in shape:
        pixels *= side
    check_room((2 if len(shape) > 2 else 4) * pixels * max(4, dtype.itemsize), width, height, name, options)
    return Decoded(npy_array(handle), "NumPy")
