"""Budgets: what a header claims is checked before anything is decoded, in bounded memory."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile

from mattecli.errors import InputError
from mattecli.imaging.colour.icc import P3_PROFILE
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_alpha, read_image, read_size
from mattecli.imaging.reading.png import png_chunks
from mattecli.system.process import prepare_process
from tests.imaging.test_read import add_png_chunk, noise, png16


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _peak_of_reading(path: Path, *, most: int | None = None) -> tuple[str, int]:
    """What a fresh process says of a file, and how many MiB reading it added, its decoder's included.

    With `most` it is a process of ours, which reads pictures of up to so many pixels.
    """
    code = """
import sys
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_image, read_size
from mattecli.errors import MatteError
from mattecli.system.memory import held_bytes, peak_bytes
from mattecli.system.process import prepare_process
import psutil
options = ReadOptions()
if len(sys.argv) > 2:
    prepare_process()
    options = ReadOptions(max_pixels=int(sys.argv[2]))
before = held_bytes()
said = ""
for read in (read_size, lambda path: read_image(path, options=options)):
    try:
        said += str(read(sys.argv[1]))
    except MatteError as error:
        said += f"{type(error).__name__}: {error}\\n"
decoders = 0
for child in psutil.Process().children():
    decoders += int(open(f"/proc/{child.pid}/status").read().partition("VmHWM:")[2].split()[0]) * 1024
print((max(0, peak_bytes() - before) + max(0, decoders - 150 * 2**20)) // 2**20)
print(said)
"""
    command = [sys.executable, "-c", code, str(path), *([] if most is None else [str(most)])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    number, _, said = done.stdout.partition("\n")
    return said, int(number)


def _tiff(tags: dict[int, tuple[int, int]], data: bytes) -> bytes:
    """Grey, 16 × 16, in one strip (TIFF 6.0, section 2), with other tags: type and value."""
    tags = {256: (4, 16), 257: (4, 16), 258: (3, 8), 259: (3, 8), 262: (3, 1), 273: (4, 0), 277: (3, 1)} | {
        278: (4, 16),
        279: (4, len(data)),
        **tags,
    }
    at = 8 + 2 + 12 * len(tags) + 4
    tags[273] = (4, at)
    entries = b"".join(struct.pack("<HHII", code, kind, 1, value) for code, (kind, value) in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """384 MiB of zeros, deflated."""
    stream = zlib.compressobj(6)
    return b"".join(stream.compress(bytes(2**24)) for _ in range(24)) + stream.flush()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
@pytest.mark.parametrize("kind", ["strip", "tile", "icc", "npy"])
def test_what_inflates_beyond_its_header_is_refused_in_bounded_memory(tmp_path: Path, kind: str, bomb: bytes) -> None:
    path = tmp_path / "bomb.img"
    if kind == "strip":
        path.write_bytes(_tiff({}, bomb))
    elif kind == "tile":
        tiles = {322: (4, 2**20), 323: (4, 2**20), 324: (4, 200), 325: (4, len(bomb))}
        path.write_bytes(_tiff(tiles, bomb))
    elif kind == "icc":
        png = png16(noise(4, 5, 3))
        path.write_bytes(add_png_chunk(png, b"iCCP", b"bomb\0\0" + bomb))
    else:
        np.lib.format.write_array_header_1_0(
            handle := io.BytesIO(), {"descr": "|u1", "fortran_order": False, "shape": (200_000, 200_000)}
        )
        path.write_bytes(handle.getvalue() + bytes(1000))
    said, peak = _peak_of_reading(path)
    assert "InputError" in said or (kind == "icc" and "Image" in said)
    assert peak < 250


def test_chunks_of_a_png_that_follow_each_other_are_left_out_as_one_part(tmp_path: Path) -> None:
    pixels = noise(8, 9, 3)
    PIL.Image.fromarray(pixels).save(encoded := io.BytesIO(), "PNG")
    png = encoded.getvalue()
    for last in (True, False) * 20:
        png = add_png_chunk(png, b"zTXt", b"Comment\0\0" + zlib.compress(b"x"), last=last)
    assert len(png_chunks(io.BytesIO(png)).compressed) == 2
    (tmp_path / "a.png").write_bytes(png)
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, pixels)


@pytest.mark.parametrize("chunk", ["iCCP", "zTXt", "iTXt"])
@pytest.mark.parametrize("last", [False, True])
def test_a_png_with_a_profile_or_text_of_several_megabytes_is_read(tmp_path: Path, chunk: str, *, last: bool) -> None:
    more = np.random.default_rng(0).bytes(2_500_000)
    profile = struct.pack(">I", len(P3_PROFILE) + len(more)) + P3_PROFILE[4:] + more  # it states its length first
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><!--' + more.hex().encode() + b"--></x:xmpmeta>"
    head, content = {
        "iCCP": (b"wide\0\0", profile),
        "zTXt": (b"Comment\0\0", packet),
        "iTXt": (b"XML:com.adobe.xmp\0\1\0\0\0", packet),
    }[chunk]
    pixels = noise(40, 50, 3)
    PIL.Image.fromarray(pixels).save(encoded := io.BytesIO(), "PNG")
    png = add_png_chunk(encoded.getvalue(), chunk.encode(), head + zlib.compress(content, 1), last=last)
    (tmp_path / "a.png").write_bytes(png)
    image = read_image(tmp_path / "a.png")
    assert np.array_equal(image.pixels, pixels)
    assert image.icc == (profile if chunk == "iCCP" else None)
    assert image.metadata.xmp == (packet if chunk == "iTXt" else None)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
def test_the_size_of_a_picture_whose_orientation_stands_behind_its_pixels_is_found_in_bounded_memory(
    tmp_path: Path, bomb: bytes
) -> None:
    """A PNG of 450 million pixels; what finds its EXIF by decoding needs more than a GiB."""
    header = struct.pack(">IIBBBBB", 30000, 15000, 8, 2, 0, 0, 0)
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    exif = turned.tobytes().removeprefix(b"Exif\0\0")
    chunks = ((b"IHDR", header), (b"IDAT", bomb), (b"eXIf", exif), (b"IEND", b""))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks))
    said, peak = _peak_of_reading(path, most=400_000_000)
    assert said.startswith("(15000, 30000)InputError: ")
    assert "bomb.png has more than 400000000 pixels; raise `max_pixels`" in said
    assert peak < 250


def test_a_sparse_npy_file_is_refused_before_its_zeros_are_read(tmp_path: Path) -> None:
    prepare_process()
    with (tmp_path / "sparse.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (10**5, 10**5)})
        file.truncate(file.tell() + 4 * 10**10)
    for read in (read_alpha, read_size):
        with pytest.raises(InputError, match=r"sparse\.npy has more than 500000000 pixels; raise `max_pixels`"):
            read(tmp_path / "sparse.npy")


def test_an_npy_file_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "short.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (20_000, 20_000)})
        file.write(bytes(100))
    for read in (read_alpha, read_size):
        with pytest.raises(InputError, match=r"short\.npy is .* \(it is shorter than its header says"):
            read(tmp_path / "short.npy")


def test_an_npy_header_that_claims_4_gigabytes_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "header.npy").write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 129) + bytes(200))
    for read in (read_alpha, read_size):
        with pytest.raises(InputError, match=r"header\.npy is .* \(a header of 4294967167 bytes\)"):
            read(tmp_path / "header.npy")


def test_volumes_of_any_depth_are_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.tif").write_bytes(_tiff({32997: (4, 100_000)}, zlib.compress(bytes(256))))
    with pytest.raises(InputError, match=r"deep\.tif is a TIFF of a volume \(100000 slices deep\); save one slice"):
        read_image(tmp_path / "deep.tif")


@pytest.mark.parametrize("tags", [{257: (4, 2**31)}, {256: (4, 0)}, {278: (4, 0)}, {277: (3, 60000)}, {258: (3, 7)}])
def test_a_header_that_cannot_be_is_refused_by_name(tmp_path: Path, tags: dict[int, tuple[int, int]]) -> None:
    (tmp_path / "odd.tif").write_bytes(_tiff(tags, zlib.compress(bytes(256))))
    with pytest.raises(InputError, match=r"odd\.tif "):
        read_image(tmp_path / "odd.tif")


@pytest.mark.parametrize("kind", ["a.png", "a.tif", "a.jpg", "a.exr", "a.npy", "a.jxl"])
def test_max_pixels_holds_for_every_format(tmp_path: Path, kind: str) -> None:
    _write_any(tmp_path / kind, noise(8, 9, 3))
    assert read_image(tmp_path / kind, options=ReadOptions(max_pixels=72)).size == (9, 8)
    with pytest.raises(InputError, match=rf"{kind} has more than 71 pixels; raise `max_pixels` if you trust the file"):
        read_image(tmp_path / kind, options=ReadOptions(max_pixels=71))


def _write_any(path: Path, pixels: Any) -> None:
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="rgb")
    elif path.suffix in (".exr", ".jxl"):
        import OpenImageIO

        spec = OpenImageIO.ImageSpec(pixels.shape[1], pixels.shape[0], 3, "uint8" if path.suffix == ".jxl" else "half")
        output = OpenImageIO.ImageOutput.create(str(path))
        assert output.open(str(path), spec)
        assert output.write_image(pixels)
        output.close()
    else:
        import PIL.Image

        PIL.Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("version", [b"\1\2", b"\2\1", b"\4\0"])
def test_a_npy_of_an_unknown_version_asks_for_no_memory(tmp_path: Path, version: bytes) -> None:
    """NumPy took four bytes for the length of its header, and asked for that much."""
    np.save(tmp_path / "a.npy", noise(4, 5, 3))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:6] + version + content[8:10] + b"\xf0\x7f" + content[12:])
    with pytest.raises(InputError, match=rf"its version is {version[0]}\.{version[1]}"):
        read_image(tmp_path / "a.npy")
