"""Reads and makes ICC profiles of matrix and curves (ICC.1:2022).

A profile made here has the same bytes on every machine.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mattecli.imaging.colour.curves import SRGB_CURVE, Curve, Power, Table

Matrix = NDArray[np.float64]

# x and y of red, green, blue and white
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
P3 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.3290)
REC2020 = (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.3290)
ADOBE = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, 0.3127, 0.3290)
PROPHOTO = (0.734699, 0.265301, 0.159597, 0.840403, 0.036598, 0.000105, 0.345704, 0.358540)

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_TABLES = {b"A2B0", b"A2B1", b"D2B0", b"D2B1"}  # colour management prefers these to matrix and curves


@dataclass(frozen=True, eq=False)
class Profile:
    """An RGB profile: light times `matrix` is XYZ under D50; a curve for each channel.

    `adaptation` takes XYZ of the white that the primaries were measured under to D50. `cicp` are code points of H.273.
    """

    matrix: Matrix
    curves: tuple[Curve, Curve, Curve]
    adaptation: Matrix
    cicp: tuple[int, int, int, int] | None = None


@lru_cache(maxsize=64)
def parse(icc: bytes) -> Profile | None:
    """The profile, if it is RGB by matrix and curves; None for all others and for a broken one."""
    try:
        tags = _tags(icc)
        if icc[16:20] != b"RGB " or icc[20:24] != b"XYZ " or _TABLES & tags.keys():
            return None
        matrix = np.stack([_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=1)
        own: dict[Curve, Curve] = {}  # equal curves become one object
        curves = [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
        red, green, blue = (own.setdefault(curve, curve) for curve in curves)
        if abs(float(np.linalg.det(matrix))) < 1e-6:
            return None
        return Profile(matrix, (red, green, blue), _adaptation(tags), _code_points(tags))
    except (KeyError, ValueError, IndexError, struct.error):
        return None


def make(chromaticities: Sequence[float], curve: Curve, name: str) -> bytes:
    """A profile of these primaries and white (eight numbers: x and y of red, green, blue, white) and this curve.

    `curve` is a `Power` or a `Table`.
    """
    return _assemble(adaptation_from(chromaticities), adapted(chromaticities), _curve_bytes(curve), name)


def grey_as_rgb(icc: bytes) -> bytes | None:
    """An RGB profile with the curve of a grey profile: equal channels mean the same grey. None for a broken one."""
    try:
        raw = _tags(icc)[b"kTRC"]
        _curve(raw)
    except (KeyError, ValueError, IndexError, struct.error):
        return None
    return _assemble(adaptation_from(REC709), adapted(REC709), raw, "Grey as RGB")


def are_chromaticities(numbers: Sequence[float]) -> bool:
    """Whether eight numbers can be x and y of red, green, blue and white.

    The primaries are not on a line, and the white is not on a line with two of them.
    """
    points = np.array(numbers, float)
    if not np.isfinite(points).all() or abs(points[7]) < _SMALLEST:
        return False
    primaries, white = _columns(points)
    if abs(float(np.linalg.det(primaries))) < _SMALLEST:
        return False
    return bool((np.abs(np.linalg.solve(primaries, white)) > _SMALLEST).all())


def is_xyz(chromaticities: Sequence[float]) -> bool:
    """Whether the values are CIE XYZ: its axes as primaries, with the white E or D65.

    E is what OpenEXR's documentation gives for XYZ. It makes the matrix to XYZ one that changes nothing, and is not the
    white of the scene.
    """
    white = chromaticities[6:]
    return bool(
        np.allclose(chromaticities[:6], _XYZ, atol=0.001)
        and (np.allclose(white, 1 / 3, atol=0.001) or np.allclose(white, REC709[6:], atol=0.001))
    )


def to_xyz(chromaticities: Sequence[float]) -> Matrix:
    """The matrix from light to XYZ under the white that is given, which has Y = 1."""
    primaries, white = _columns(chromaticities)
    return np.asarray(primaries * np.linalg.solve(primaries, white / white[1]))


def _columns(chromaticities: Sequence[float] | Matrix) -> tuple[Matrix, Matrix]:
    """x, y and z of the primaries as columns, and of the white."""
    x, y = np.array(chromaticities[0::2], float), np.array(chromaticities[1::2], float)
    columns = np.stack([x, y, 1 - x - y])
    return columns[:, :3], columns[:, 3]


def adapted(chromaticities: Sequence[float]) -> Matrix:
    """The matrix from light to XYZ under D50, by Bradford's adaptation (ICC.1:2022, annex E)."""
    return np.asarray(adaptation_from(chromaticities) @ to_xyz(chromaticities))


def adaptation_from(chromaticities: Sequence[float]) -> Matrix:
    """Bradford's matrix from the white of these chromaticities to D50."""
    white = to_xyz(chromaticities) @ np.ones(3)
    scale = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    return np.asarray(np.linalg.solve(_BRADFORD, scale[:, None] * _BRADFORD))


def chromaticities_of(profile: Profile) -> tuple[float, ...]:
    """The eight chromaticities of a profile, under its own white."""
    xyz = np.linalg.solve(profile.adaptation, profile.matrix)
    columns = np.column_stack([xyz, xyz.sum(axis=1)])
    return tuple(float(value) for column in columns.T for value in column[:2] / column.sum())


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    if count > 1000:
        raise ValueError("too many tags")
    tags = {}
    for at in range(132, 132 + 12 * count, 12):
        name, start, length = struct.unpack_from(">4sII", icc, at)
        tags[name] = icc[start : start + length]
    return tags


def _xyz(tag: bytes) -> Matrix:
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _curve(tag: bytes) -> Curve:
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return Power(1.0)
        values = np.frombuffer(tag, ">u2", count, 12)
        if count == 1:
            return Power(_positive(float(values[0]) / 256))
        points = tuple((values / 65535).tolist())
        return Power(1.0) if np.allclose(points, np.linspace(0, 1, count), atol=1e-5) else Table(points)
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        g, *rest = (number / 65536 for number in struct.unpack_from(f">{_PARAMETERS[kind]}i", tag, 12))
        return _parametric(kind, _positive(g), rest)
    raise ValueError("an unknown curve")


_PARAMETERS = (1, 3, 4, 5, 7)  # of the five kinds of parametric curves


def _parametric(kind: int, g: float, rest: list[float]) -> Power:
    if kind == 0:
        return Power(g)
    a, b = _positive(rest[0]), rest[1]
    if kind == 1:
        return Power(g, a, b, 0.0, -b / a)
    if kind == 2:
        return Power(g, a, b, 0.0, -b / a, rest[2], rest[2])
    c, d, *ends = rest[2:]
    return Power(g, a, b, c, d, *ends)


def _positive(number: float) -> float:
    if number <= 0:
        raise ValueError("a curve that does not rise")
    return number


def _adaptation(tags: dict[bytes, bytes]) -> Matrix:
    """The tag `chad`; without it D65 counts as the white, as for most profiles of displays of version 2."""
    if b"chad" in tags:
        return np.array(struct.unpack_from(">9i", tags[b"chad"], 8)).reshape(3, 3) / 65536
    return adaptation_from(REC709)


def _code_points(tags: dict[bytes, bytes]) -> tuple[int, int, int, int] | None:
    if b"cicp" not in tags:
        return None
    primaries, transfer, matrix, full = struct.unpack_from(">4B", tags[b"cicp"], 8)
    return primaries, transfer, matrix, full


def _assemble(chad: Matrix, columns: Matrix, curve: bytes, name: str) -> bytes:
    tags = [
        ((b"desc",), _text(name)),
        ((b"cprt",), _text("No copyright, use freely")),
        ((b"wtpt",), b"XYZ " + bytes(4) + _fixed(_D50)),
        ((b"chad",), b"sf32" + bytes(4) + _fixed(chad.ravel())),
        *(((tag,), b"XYZ " + bytes(4) + _fixed(column)) for tag, column in zip(_COLUMNS, columns.T, strict=True)),
        ((b"rTRC", b"gTRC", b"bTRC"), curve),
    ]
    table, data = b"", b""
    start = 128 + 4 + 12 * sum(len(names) for names, _ in tags)
    for names, content in tags:
        for tag in names:
            table += struct.pack(">4sII", tag, start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    count = len(table) // 12
    header = struct.pack(
        ">I4sI4s4s4s6H4s", start + len(data), bytes(4), 0x04300000, b"mntr", b"RGB ", b"XYZ ", *_DATE, b"acsp"
    )
    header = header.ljust(68, b"\0") + _fixed(_D50)
    return header.ljust(128, b"\0") + struct.pack(">I", count) + table + data


_COLUMNS = (b"rXYZ", b"gXYZ", b"bXYZ")
_SMALLEST = 1e-6  # of the white's y, of the primaries' determinant and of their shares in the white
_XYZ = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)  # x and y of the axes of CIE XYZ
_DATE = (2000, 1, 1, 0, 0, 0)  # instead of the current time


def _curve_bytes(curve: Curve) -> bytes:
    if isinstance(curve, Table):
        values = np.rint(np.array(curve.points) * 65535).astype(">u2")
        return b"curv" + bytes(4) + struct.pack(">I", len(values)) + bytes(values.tobytes())
    if not isinstance(curve, Power):
        raise TypeError(f"a profile cannot hold {curve}")
    if curve.linear:
        return b"curv" + bytes(8)
    if curve == Power(curve.g) and (curve.g * 256).is_integer():
        return b"curv" + bytes(4) + struct.pack(">IH", 1, int(curve.g * 256))
    numbers = (curve.g, curve.a, curve.b, curve.c, curve.d, curve.e, curve.f)
    return b"para" + bytes(4) + struct.pack(">HH", 4, 0) + _fixed(numbers)


def _fixed(numbers: Sequence[float] | Matrix) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(float(number) * 65536) for number in numbers))


def _text(text: str) -> bytes:
    content = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(content), 28) + content


SRGB_PROFILE = make(REC709, SRGB_CURVE, "sRGB")
P3_PROFILE = make(P3, SRGB_CURVE, "Display P3")
ADOBE_PROFILE = make(ADOBE, Power(563 / 256), "Compatible with Adobe RGB (1998)")
PROPHOTO_PROFILE = make(PROPHOTO, Power(1.8, 1.0, 0.0, 1 / 16, 1 / 32), "ProPhoto RGB")  # ISO 22028-2
# CIE XYZ of a scene whose white is D65, as OpenColorIO's lin_ciexyzd65_scene
XYZ_PROFILE = _assemble(adaptation_from(REC709), adaptation_from(REC709), _curve_bytes(Power(1.0)), "CIE XYZ, D65")
