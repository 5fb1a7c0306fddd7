"""Reads the header of OpenEXR files: parts, channels, windows.

Source: OpenEXR File Layout, 2023.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from mattecli.errors import InputError
from mattecli.imaging.metadata import Metadata, Windows
from mattecli.imaging.reading.header import BLOCK, Header, read_at
from mattecli.imaging.space import ColourTags

_TILED, _LONG, _DEEP, _MULTIPART = 0x200, 0x400, 0x800, 0x1000
_ATTRIBUTES = 4096
_HALF, _FLOAT = 1, 2


@dataclass(frozen=True)
class Part:
    """One part of a file: its name, the pixel types of its channels, and its windows as (x, y, width, height)."""

    name: str
    channels: dict[str, tuple[int, int, int]]  # type, and the sampling in x and y
    data: tuple[int, int, int, int]
    display: tuple[int, int, int, int]
    deep: bool
    attributes: dict[str, bytes] = field(default_factory=dict)


def exr_parts(handle: BinaryIO) -> list[Part]:
    """The parts of a file. Raises ValueError for damage."""
    flags = struct.unpack("<I", read_at(handle, 4, 4))[0]
    at = 8
    parts: list[Part] = []
    while len(parts) < 1024:
        attributes: dict[str, bytes] = {}
        while True:
            name, at = _text(handle, at)
            if not name:
                break
            _, at = _text(handle, at)
            size = struct.unpack("<i", read_at(handle, at, 4))[0]
            if size < 0 or len(attributes) >= _ATTRIBUTES or sum(map(len, attributes.values())) + size > BLOCK:
                raise ValueError("its header is damaged")
            attributes[name] = read_at(handle, at + 4, size)
            at += 4 + size
        if not attributes:
            break
        parts.append(_part(attributes, flags))
        if not flags & _MULTIPART:
            break
    if not parts:
        raise ValueError("its header is empty")
    return parts


def exr_header(handle: BinaryIO, name: str, layer: str | None) -> Header:
    """What a part or layer of an OpenEXR file holds.

    `layer` is the name of a part, or what stands before the last point in names of channels. Without it the first part
    counts that has RGB or Y; where none has, the first with a single channel. Raises InputError where there is no such
    layer, ValueError for damage.
    """
    parts = exr_parts(handle)
    found = _choose(parts, layer)
    if found is None:
        known = ", ".join(layers(parts)) or "none"
        if layer is not None:
            raise InputError(f"{name} has no layer {layer}; its layers are: {known}")
        raise InputError(f"{name} has no RGB or grey channels; name one of its layers by `layer`: {known}")
    number, channels = found
    part = parts[number]
    if part.deep:
        raise InputError(f"{name} holds deep pixels, with several samples each; flatten it first")
    kinds = {part.channels[channel] for channel in channels}
    if any(kind not in (_HALF, _FLOAT) for kind, _, _ in kinds):
        raise InputError(f"{name} holds whole numbers in {', '.join(channels)}, such as object numbers; name a layer")
    if any((x, y) != (1, 1) for _, x, y in kinds):
        raise InputError(f"{name} holds colours at a lower resolution than luminance; save it as RGB")
    colours = [channel for channel in channels if not _is_alpha(channel)]
    has_alpha = 0 < len(colours) < len(channels)  # an alpha alone, such as a matte, is a grey picture
    windows = Windows(part.data, part.display)
    return Header(
        width=part.data[2],
        height=part.data[3],
        count=len(channels),
        kind="float",
        bits=16 if all(kind == _HALF for kind, _, _ in kinds) else 32,
        model="rgb" if len(colours) == 3 else "grey",
        alpha=len(colours) if has_alpha else None,
        premultiplied=has_alpha,
        tags=ColourTags(
            chromaticities=_numbers(part.attributes.get("chromaticities"), 8),
            name=_string(part.attributes.get("colorInteropID")),
        ),
        metadata=Metadata(windows=windows),
        names=tuple(channels),
        part=number,
    )


def layers(parts: list[Part]) -> list[str]:
    """The names that `layer` can take: those of parts, and those before the last point of channels."""
    names = [part.name for part in parts if part.name and len(parts) > 1]
    names += [channel.rpartition(".")[0] for part in parts for channel in part.channels if "." in channel]
    return list(dict.fromkeys(names))


def _choose(parts: list[Part], layer: str | None) -> tuple[int, list[str]] | None:
    """The number of a part and the names of its channels, colours first.

    Without `layer`, a single channel counts where no part has RGB or Y: it may be data, such as depth. Where no channel
    is red, an A without colours counts as a matte.
    """
    found = (_find(parts, None, single=False) if layer is None else None) or _find(parts, layer)
    red = any(channel.rpartition(".")[2].lower() in ("r", "red") for part in parts for channel in part.channels)
    return found if found or red else _find(parts, layer, matte=True)


def _find(
    parts: list[Part], layer: str | None, *, single: bool = True, matte: bool = False
) -> tuple[int, list[str]] | None:
    for number, part in enumerate(parts):
        if layer is None or (part.name == layer and len(parts) > 1):
            prefixes = ["", *(f"{part.name}." * bool(part.name),)] if layer is None else ["", f"{layer}."]
            for prefix in prefixes:
                if channels := _channels(part, prefix, single=single, matte=matte):
                    return number, channels
    if layer is None:
        return None
    for number, part in enumerate(parts):
        for prefix in (f"{layer}.", f"{part.name}.{layer}."):
            if channels := _channels(part, prefix, single=single, matte=matte):
                return number, channels
    return None


def _channels(part: Part, prefix: str, *, single: bool, matte: bool) -> list[str]:
    """The channels R, G, B, or else Y or a `single` one, and A where it is there, below a prefix; or A as a matte."""
    own = {channel[len(prefix) :].lower(): channel for channel in part.channels if channel.startswith(prefix)}
    for wanted in (("r", "g", "b"), ("red", "green", "blue"), ("x", "y", "z")):
        if all(short in own for short in wanted):
            return [own[short] for short in wanted] + [own[a] for a in ("a", "alpha") if a in own][:1]
    if matte:
        return [own[a] for a in ("a", "alpha") if a in own][:1]
    grey = [own[short] for short in ("y", "v") if short in own and "ry" not in own]
    if single and not grey and len(own) == 1 and "." not in next(iter(own)):
        grey = list(own.values())
    return grey[:1] + [own[a] for a in ("a", "alpha") if grey and a in own and own[a] not in grey][:1]


def _is_alpha(channel: str) -> bool:
    return channel.rpartition(".")[2].lower() in ("a", "alpha")


def _part(attributes: dict[str, bytes], flags: int) -> Part:
    channels: dict[str, tuple[int, int, int]] = {}
    block, at = attributes.get("channels", b""), 0
    while at < len(block) and block[at]:
        name, _, _ = block[at:].partition(b"\0")
        at += len(name) + 1
        kind, x, y = struct.unpack_from("<i4xii", block, at)
        at += 16
        channels[name.decode("utf-8", "replace")] = (kind, x, y)
    kind = (_string(attributes.get("type")) or "").startswith("deep") or bool(
        flags & _DEEP and "type" not in attributes
    )
    boxes = [_box(attributes.get(name)) for name in ("dataWindow", "displayWindow")]
    return Part(_string(attributes.get("name")) or "", channels, boxes[0], boxes[1], kind, attributes)


def _box(block: bytes | None) -> tuple[int, int, int, int]:
    left, top, right, bottom = struct.unpack("<4i", block or b"")
    if right < left or bottom < top:
        raise ValueError("it states no size")
    return left, top, right - left + 1, bottom - top + 1


def _numbers(block: bytes | None, count: int) -> tuple[float, ...] | None:
    return struct.unpack(f"<{count}f", block) if block and len(block) == 4 * count else None


def _string(block: bytes | None) -> str | None:
    """A text, which fills its attribute in newer files, and begins with its length in older ones."""
    if block is None:
        return None
    return block.decode("utf-8", "replace").strip("\0") or None


def _text(handle: BinaryIO, at: int) -> tuple[str, int]:
    """A name that ends with a zero byte, and where it ends."""
    handle.seek(at)
    name, found, _ = handle.read(256).partition(b"\0")
    if not found:
        raise ValueError("its header is damaged")
    return name.decode("utf-8", "replace"), at + len(name) + 1
