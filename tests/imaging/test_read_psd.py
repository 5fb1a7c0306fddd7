"""Photoshop files: merged pictures of each mode, depth and kind of layers."""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.read import read_image
from mattecli.imaging.reading.header import BLOCK

GREY, RGB, CMYK, LAB = 1, 3, 4, 9
INKS = (0.1, 0.3, 0.5, 0.2)


def photoshop(
    planes: NDArray[Any],
    mode: int,
    *,
    layers: bytes = b"",
    packing: int = 0,
    psb: bool = False,
    blocks: Iterable[tuple[int, bytes]] = (),
) -> bytes:
    """A Photoshop file (Adobe's specification) of a merged picture (C, H, W), with this section of layers.

    `blocks` are other resources, which stand before the one that tells of the merged picture.
    """
    channels, height, width = planes.shape
    info = struct.pack(">IB", 1, 1) + bytes(19)  # there is a merged picture
    resources = b""
    for code, block in (*blocks, (1057, info)):
        resources += b"8BIM" + struct.pack(">H2xI", code, len(block)) + block + bytes(len(block) % 2)
    bits = planes.dtype.itemsize * 8
    head = b"8BPS" + struct.pack(">H6xHIIHH", 2 if psb else 1, channels, height, width, bits, mode) + bytes(4)
    content = planes.astype(planes.dtype.newbyteorder(">")).tobytes()
    if packing == 1:
        content = packed([row.astype(row.dtype.newbyteorder(">")).tobytes() for row in planes.reshape(-1, width)], psb)
    section = struct.pack(">Q" if psb else ">I", len(layers)) + layers
    return head + struct.pack(">I", len(resources)) + resources + section + struct.pack(">H", packing) + content


def packed(rows: list[bytes], psb: bool) -> bytes:
    """PackBits by psd-tools, behind the table of the rows' lengths."""
    psd_tools = pytest.importorskip("psd_tools.compression.rle")
    coded = [bytes(psd_tools.encode(row)) for row in rows]
    return b"".join(struct.pack(">I" if psb else ">H", len(row)) for row in coded) + b"".join(coded)


def transparent(psb: bool = False) -> bytes:
    """A section of layers that says, by a negative number of layers, that the merged picture is transparent."""
    wide = ">Q" if psb else ">I"
    record = struct.pack(">hiiiiH", -1, 0, 0, 0, 0, 0) + b"8BIMnorm" + bytes(4) + struct.pack(">I", 12) + bytes(12)
    return struct.pack(wide, len(record)) + record + bytes(4)


def deep(depth: int, *, psb: bool, layers: int = -1) -> bytes:
    """A section of layers of 16 or 32 bits: they lie in a block of their own, here behind a block of 3 bytes."""
    wide = ">Q" if psb else ">I"
    listed = [struct.pack(">hQ" if psb else ">hI", channel, 2) for channel in (-1, 0, 1, 2)]  # 2: nothing but "raw"
    record = struct.pack(">hiiiiH", layers, 0, 0, 0, 0, 4) + b"".join(listed) + b"8BIMnorm" + bytes([255, 0, 0, 0])
    record += struct.pack(">I", 12) + bytes(12) + bytes(8)  # no mask, no ranges, no name; the channels
    blocks = b"8BIMshmd" + struct.pack(">I", 3) + b"abc\0"
    blocks += b"8BIMLr%d" % depth + struct.pack(wide, len(record)) + record
    return bytes(struct.calcsize(wide)) + bytes(4) + blocks


def over_white(colour: float, alpha: float, white: float = 1.0) -> float:
    """What Photoshop stores of a colour in a merged picture."""
    return colour * alpha + white * (1 - alpha)


def flat(values: tuple[float, ...], depth: int, size: tuple[int, int] = (6, 5)) -> NDArray[Any]:
    """Planes (C, H, W) of one colour, from shares of full scale."""
    full = 2**depth - 1
    pixel = np.array([round(value * full) for value in values], f"u{depth // 8}")
    return np.tile(pixel[:, None, None], (1, *size))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("packing", [0, 1])
@pytest.mark.parametrize("psb", [False, True])
def test_cmyk_keeps_its_colours_under_black_ink(tmp_path: Path, depth: int, packing: int, psb: bool) -> None:
    planes = flat(tuple(1 - ink for ink in INKS), depth)
    (tmp_path / "a.psd").write_bytes(photoshop(planes, CMYK, packing=packing, psb=psb))
    made = read_image(tmp_path / "a.psd").pixels / (2**depth - 1)
    expected = [(1 - ink) * (1 - INKS[3]) for ink in INKS[:3]]  # each ink takes its share, black of all
    assert np.abs(made - expected).max() <= 1 / 255


def test_cmyk_of_8_bits_is_what_pillow_makes_of_it(tmp_path: Path) -> None:
    planes = np.random.default_rng(1).integers(0, 256, (4, 70, 9), np.uint8)
    (tmp_path / "a.psd").write_bytes(photoshop(planes, CMYK, packing=1))
    with PIL.Image.open(tmp_path / "a.psd") as picture:
        assert picture.mode == "CMYK"
        expected = np.asarray(picture.convert("RGB"))
    assert np.array_equal(read_image(tmp_path / "a.psd").pixels, expected)


@pytest.mark.parametrize("depth", [8, 16])
def test_transparent_cmyk_loses_the_white_that_is_mixed_in(tmp_path: Path, depth: int) -> None:
    stored = tuple(over_white(1 - ink, 0.4) for ink in INKS)
    (tmp_path / "a.psd").write_bytes(photoshop(flat((*stored, 0.4), depth), CMYK, layers=transparent()))
    made = read_image(tmp_path / "a.psd", keep_alpha=True).pixels / (2**depth - 1)
    expected = [*((1 - ink) * (1 - INKS[3]) for ink in INKS[:3]), 0.4]
    assert np.abs(made - expected).max() <= 2 / 255


def test_a_merged_picture_with_zip_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.psd").write_bytes(photoshop(flat(INKS, 8), CMYK, packing=2))
    with pytest.raises(InputError, match=r"a\.psd has a merged picture with ZIP compression.*save it as TIFF"):
        read_image(tmp_path / "a.psd")


@pytest.mark.parametrize("packing", [0, 1])
def test_a_cut_off_merged_picture_is_refused(tmp_path: Path, packing: int) -> None:
    (tmp_path / "a.psd").write_bytes(photoshop(flat(INKS, 8), CMYK, packing=packing)[:-20])
    with pytest.raises(InputError, match=r"a\.psd is truncated or damaged"):
        read_image(tmp_path / "a.psd")


@pytest.mark.parametrize("mode", [RGB, CMYK])
def test_metadata_that_is_too_long_is_left_out_and_nothing_else(tmp_path: Path, mode: int) -> None:
    xmp, iptc = bytes(BLOCK + 1), b"\x1c\x02\x78\x00\x05hello"
    planes = flat((*INKS[:3], 1.0)[: 3 if mode == RGB else 4], 8)
    (tmp_path / "a.psd").write_bytes(photoshop(planes, mode, blocks=[(1060, xmp), (1028, iptc)]))
    (tmp_path / "b.psd").write_bytes(photoshop(planes, mode))
    image = read_image(tmp_path / "a.psd")
    assert np.array_equal(image.pixels, read_image(tmp_path / "b.psd").pixels)
    assert (image.metadata.xmp, image.metadata.iptc) == (None, iptc)


@pytest.mark.parametrize("depth", [8, 16])
def test_transparent_grey_loses_the_white_that_is_mixed_in(tmp_path: Path, depth: int) -> None:
    planes = flat((over_white(0.4, 0.5), 0.5), depth)
    (tmp_path / "a.psd").write_bytes(photoshop(planes, GREY, layers=transparent()))
    made = read_image(tmp_path / "a.psd", keep_alpha=True).pixels / (2**depth - 1)
    assert np.abs(made - [0.4, 0.4, 0.4, 0.5]).max() <= 2 / 255


def test_transparent_lab_loses_a_white_that_is_neutral(tmp_path: Path) -> None:
    colour = (0.5, 168 / 255, 158 / 255)
    (tmp_path / "a.psd").write_bytes(photoshop(flat(colour, 8), LAB))
    opaque = read_image(tmp_path / "a.psd").pixels.astype(int)
    white = (1.0, 128 / 255, 128 / 255)
    mixed = tuple(over_white(own, 0.6, paper) for own, paper in zip(colour, white, strict=True))
    (tmp_path / "b.psd").write_bytes(photoshop(flat((*mixed, 0.6), 8), LAB, layers=transparent()))
    made = read_image(tmp_path / "b.psd", keep_alpha=True).pixels.astype(int)
    assert np.abs(made[..., :3] - opaque).max() <= 4
    assert (made[..., 3] == 153).all()


@pytest.mark.parametrize("depth", [16, 32])
@pytest.mark.parametrize("psb", [False, True])
def test_deep_layers_say_that_the_merged_picture_is_transparent(tmp_path: Path, depth: int, psb: bool) -> None:
    colour = (0.6, 0.7, 0.8)
    stored = (*(over_white(value, 0.5) for value in colour), 0.5)
    planes = flat(stored, 16) if depth == 16 else np.tile(np.float32(stored)[:, None, None], (1, 6, 5))
    (tmp_path / "a.psd").write_bytes(photoshop(planes, RGB, layers=deep(depth, psb=psb), psb=psb))
    made = read_image(tmp_path / "a.psd", keep_alpha=True).pixels / (65535 if depth == 16 else 1)
    assert np.abs(made - [*colour, 0.5]).max() <= 1e-4
    (tmp_path / "b.psd").write_bytes(photoshop(planes, RGB, layers=deep(depth, psb=psb, layers=1), psb=psb))
    assert read_image(tmp_path / "b.psd", keep_alpha=True).pixels.shape[2] == 3  # the fourth is a saved selection
