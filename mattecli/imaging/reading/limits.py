"""Budgets of reading: how many pixels, and how much memory."""

from __future__ import annotations

import PIL.Image

from mattecli.errors import DeviceError, InputError
from mattecli.imaging.options import ReadOptions
from mattecli.system import memory, process

DEFAULT = ReadOptions()


def check_pixels(width: int, height: int, name: str, options: ReadOptions = DEFAULT) -> None:
    """Raise `InputError` for a picture of more pixels than are read here."""
    if width * height > most_pixels(options):
        raise too_large(name, options)


def most_pixels(options: ReadOptions = DEFAULT) -> int:
    """How many pixels are read: as many as Pillow's limit allows, which is raised only in a process that is ours."""
    allowed = PIL.Image.MAX_IMAGE_PIXELS
    if allowed is not None and process.is_ours():
        allowed = PIL.Image.MAX_IMAGE_PIXELS = max(allowed, options.max_pixels)
    return options.max_pixels if allowed is None else min(allowed, options.max_pixels)


def too_large(name: str, options: ReadOptions = DEFAULT) -> InputError:
    """What is raised for a picture of too many pixels."""
    most = most_pixels(options)
    remedy = "raise `max_pixels`" if most == options.max_pixels else "raise PIL.Image.MAX_IMAGE_PIXELS"
    return InputError(f"{name} has more than {most} pixels; {remedy} if you trust the file")


def check_room(needed: int, width: int, height: int, name: str, options: ReadOptions = DEFAULT) -> None:
    """Raise `DeviceError` for a picture whose decoding takes more than the free memory or `max_memory`.

    Otherwise the system could kill the process, which nothing can catch.
    """
    free = memory.free_bytes_for(needed)
    if options.max_memory is not None and needed > options.max_memory:
        raise DeviceError(
            f"{name} has {width}×{height} pixels; reading it takes about {memory.show_bytes(needed)}, and "
            f"`max_memory` allows {memory.show_bytes(options.max_memory)}; allow more"
        )
    if needed > free:
        raise DeviceError(
            f"{name} has {width}×{height} pixels; reading it takes about {memory.show_bytes(needed)}, but "
            f"only {memory.show_bytes(free)} are free; free memory or use a machine with more"
        )
