"""Metadata: blocks are carried as bytes, and only what the new pixels make wrong changes."""

import io
import json
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import brotli
import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest
import tifffile
from PIL.TiffImagePlugin import IFDRational

from mattecli.compositing.outputs import write_output
from mattecli.imaging import exif_blocks as exif
from mattecli.imaging import xmp
from mattecli.imaging.colour import linear, space_named
from mattecli.imaging.exif_facts import attributes_of
from mattecli.imaging.image import Image
from mattecli.imaging.metadata import Metadata
from mattecli.imaging.options import WriteOptions
from mattecli.imaging.read import read_image
from mattecli.imaging.reading.exr import exr_parts
from mattecli.imaging.write import check_format, write_alpha, write_image
from mattecli.imaging.writing.encoding import metadata_note
from mattecli.imaging.writing.layers import write_layers
from tests.imaging.test_read import SRGB, noise

JXL_START = bytes.fromhex("0000000c4a584c200d0a870a00000014667479706a786c20000000006a786c20")
MAKER_NOTE = bytes(range(256)) * 3
IPTC = b"\x1c\x02\x05\x00\x05title\x1c\x02\x50\x00\x06author"
PACKET = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    b' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    b' xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    b' xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" tiff:Orientation="6" crs:CropTop="0.25" hdrgm:Version="1.0"'
    b' xmp:Rating="4"><dc:source>a &lt; b &gt; c</dc:source><crs:ToneCurve><rdf:Seq><rdf:li>0, 0</rdf:li></rdf:Seq>'
    b'</crs:ToneCurve><crs:Look/></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


def camera_exif(order: str = "<", *, interop: bytes = b"R03\0", colour_space: int = 65535) -> bytes:
    """A block as cameras write it: orientation, maker's note, GPS, interoperability and a thumbnail's directory."""
    make, model = b"Maker\0", b"Model X\0"

    def short(value: int) -> bytes:
        return struct.pack(order + "H", value)

    entry, directory = exif.Entry, exif.Directory
    interoperability = directory({1: entry(2, 4, interop, 0)}, {}, 0)
    details = directory(
        {
            0x9003: entry(2, 20, b"2024:05:06 07:08:09\0", 0),
            0x927C: entry(7, len(MAKER_NOTE), MAKER_NOTE, 0),
            0xA001: entry(3, 1, short(colour_space), 0),
            0xA002: entry(4, 1, struct.pack(order + "I", 4000), 0),
            0xA003: entry(4, 1, struct.pack(order + "I", 3000), 0),
            0xA005: entry(4, 1, bytes(4), 0),
        },
        {0xA005: interoperability},
        0,
    )
    place = directory(
        {1: entry(2, 2, b"N\0", 0), 2: entry(5, 3, struct.pack(order + "6I", 48, 1, 8, 1, 30, 1), 0)}, {}, 0
    )
    first = directory(
        {
            0x010F: entry(2, len(make), make, 0),
            0x0110: entry(2, len(model), model, 0),
            0x0112: entry(3, 1, short(6), 0),
            0x8298: entry(2, 4, b"me \0", 0),
            0x8769: entry(4, 1, bytes(4), 0),
            0x8825: entry(4, 1, bytes(4), 0),
        },
        {0x8769: details, 0x8825: place},
        0,
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    block = bytearray(head + exif.dump(first, order, base=8))
    thumbnail = len(block)
    block += exif.dump(directory({0x0103: entry(3, 1, short(6), 0)}, {}, 0), order, base=thumbnail)
    struct.pack_into(order + "I", block, exif.parse(io.BytesIO(bytes(block))).next_at, thumbnail)
    return bytes(block)


def picture(order: str = "<", *, icc: bytes | None = None, depth: int = 8, channels: int = 3) -> Image:
    known = Metadata(exif=camera_exif(order), xmp=PACKET, iptc=IPTC)
    return Image(noise(30, 40, channels, depth=depth), icc, (300.0, 300.0), metadata=known)


def of_file(path: Path) -> Metadata:
    return read_image(path).metadata


# --- EXIF -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
def test_only_the_listed_bytes_of_an_exif_block_change(order: str) -> None:
    before = camera_exif(order)
    after = exif.patched(before, size=(40, 30), srgb=True)
    assert after is not None
    assert len(after) == len(before)
    first = exif.parse(io.BytesIO(before))
    details = first.below[0x8769]
    allowed = set(range(first.next_at, first.next_at + 4))
    for directory, tag in ((first, 0x0112), (details, 0xA001), (details, 0xA002), (details, 0xA003)):
        allowed |= set(range(directory.entries[tag].at, directory.entries[tag].at + 4))
    allowed |= set(range(details.below[0xA005].entries[1].at, details.below[0xA005].entries[1].at + 4))
    assert {at for at in range(len(before)) if before[at] != after[at]} <= allowed
    assert exif.orientation_of(before) == 6
    assert exif.orientation_of(after) == 1
    again = exif.parse(io.BytesIO(after))
    assert again.below[0x8769].below[0xA005].entries[1].value == b"R98\0"
    assert struct.unpack(order + "I", again.below[0x8769].entries[0xA002].value) == (40,)
    assert struct.unpack_from(order + "I", after, again.next_at) == (0,)


def test_the_colour_tags_stay_where_the_colours_stay() -> None:
    adobe = exif.patched(camera_exif(), size=(40, 30), srgb=False)
    assert adobe is not None
    assert exif.parse(io.BytesIO(adobe)).below[0x8769].below[0xA005].entries[1].value == b"R03\0"
    srgb = exif.patched(camera_exif(interop=b"R98\0", colour_space=1), size=(40, 30), srgb=True)
    assert srgb is not None
    assert exif.parse(io.BytesIO(srgb)).below[0x8769].entries[0xA001].value[:2] == b"\x01\0"
    wide = exif.patched(camera_exif(interop=b"R98\0", colour_space=1), size=(40, 30), srgb=False)
    assert wide is not None
    assert exif.parse(io.BytesIO(wide)).below[0x8769].entries[0xA001].value[:2] == b"\xff\xff"


def test_a_damaged_exif_block_is_left_out_and_never_raises() -> None:
    block = camera_exif()
    for length in range(len(block)):
        exif.patched(block[:length], size=(1, 1), srgb=True)
    rng = np.random.default_rng(0)
    for _ in range(300):
        mutated = bytearray(block)
        for at in rng.integers(0, len(block), 4):
            mutated[at] = rng.integers(0, 256)
        exif.patched(bytes(mutated), size=(1, 1), srgb=True)
        exif.orientation_of(bytes(mutated))
    assert exif.patched(b"nothing", size=(1, 1), srgb=True) is None


def spoiled(what: str) -> bytes:
    """A camera's block with an interoperability directory behind its end, or a maker's note that claims too much."""
    block = bytearray(camera_exif())
    tag = {"interop": 0xA005, "maker's note": 0x927C}[what]
    at = block.index(struct.pack("<HH", tag, {0xA005: 4, 0x927C: 7}[tag]))
    struct.pack_into("<I", block, at + (8 if tag == 0xA005 else 4), 60_000)
    return bytes(block)


@pytest.mark.parametrize("what", ["interop", "maker's note"])
def test_one_bad_entry_costs_the_other_entries_nothing(what: str) -> None:
    block = spoiled(what)
    after = exif.patched(block, size=(40, 30), srgb=True)
    assert after is not None
    assert exif.orientation_of(after) == 1
    found = exif.parse(io.BytesIO(after))
    assert found.entries[0x8298].value == b"me \0"
    assert (0x927C in found.below[0x8769].entries) == (what == "interop")
    assert (0xA005 in found.below[0x8769].below) == (what == "maker's note")


@pytest.mark.parametrize("what", ["interop", "maker's note"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif", ".jxl"])
def test_a_block_with_a_bad_entry_is_written(tmp_path: Path, what: str, suffix: str) -> None:
    image = replace(picture(), metadata=Metadata(exif=spoiled(what)))
    write_image(tmp_path / f"a{suffix}", image)
    kept = of_file(tmp_path / f"a{suffix}").exif
    assert kept is not None
    found = exif.parse(io.BytesIO(kept))
    assert found.entries[0x8298].value == b"me \0"
    assert found.below[0x8769].entries[0x9003].value == b"2024:05:06 07:08:09\0"
    assert exif.orientation_of(kept) == 1
    if suffix == ".tif":  # which has the entries alone, each in a new place
        assert (0xA005 in found.below[0x8769].entries) == (what == "maker's note")
    assert metadata_note(check_format(f"a{suffix}"), image.metadata) is None


def test_a_block_that_cannot_be_read_is_told() -> None:
    damaged = Metadata(exif=camera_exif()[:40])
    assert metadata_note(check_format("a.png"), damaged) == "the photo's EXIF is damaged and left out"
    assert metadata_note(check_format("a.bmp"), damaged) is None


# --- XMP --------------------------------------------------------------------------------------------------------------


def test_the_orientation_of_xmp_is_reset_and_camera_raw_and_gain_map_are_dropped() -> None:
    cleaned = xmp.cleaned(PACKET, size=(40, 30))
    expected = PACKET.replace(b'tiff:Orientation="6" crs:CropTop="0.25" hdrgm:Version="1.0"', b'tiff:Orientation="1"')
    start, end = expected.index(b"<crs:ToneCurve>"), expected.index(b"<crs:Look/>")
    assert cleaned == expected[:start] + expected[end + len(b"<crs:Look/>") :]


NAMED = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
    b' xmlns:exif="http://ns.adobe.com/exif/1.0/" photoshop:ICCProfile="Adobe RGB (1998)" photoshop:City="Bern">'
    b"<exif:ColorSpace>65535</exif:ColorSpace></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def test_thumbnails_of_the_old_picture_are_dropped() -> None:
    start = b'<a xmlns:xap="http://ns.adobe.com/xap/1.0/" xmlns:g="http://ns.adobe.com/xap/1.0/g/img/" xap:Rating="4">'
    old = b"<xap:Thumbnails><g:image>/9j/</g:image></xap:Thumbnails>"
    assert xmp.cleaned(start + old + b"</a>", size=(1, 1)) == start + b"</a>"


@pytest.mark.parametrize("space", ["keep", "srgb", "AdobeRGB", "p3"])
def test_xmp_names_the_old_space_only_while_the_colours_are_in_it(tmp_path: Path, space: str) -> None:
    photo = Image(noise(8, 9, 3), space_named("AdobeRGB").icc, metadata=Metadata(xmp=NAMED))
    write_output("cutout", tmp_path / "a.png", photo, np.ones((8, 9), np.float32), output_space=space)
    kept = of_file(tmp_path / "a.png").xmp
    gone = NAMED.replace(b' photoshop:ICCProfile="Adobe RGB (1998)"', b"")
    gone = gone.replace(b"<exif:ColorSpace>65535</exif:ColorSpace>", b"")
    assert kept == (NAMED if space in ("keep", "AdobeRGB") else gone)


def test_xmp_names_no_space_of_a_photo_that_was_cmyk_or_becomes_srgb_for_its_format(tmp_path: Path) -> None:
    PIL.Image.new("CMYK", (16, 16), (0, 200, 200, 0)).save(tmp_path / "c.jpg", xmp=NAMED)
    write_image(tmp_path / "a.jpg", read_image(tmp_path / "c.jpg"))
    light = Image(np.full((8, 9, 3), 2, np.float32), linear().icc, metadata=Metadata(xmp=NAMED))
    write_image(tmp_path / "b.jpg", light)
    for name in ("a.jpg", "b.jpg"):
        kept = of_file(tmp_path / name).xmp
        assert kept is not None
        assert b"Bern" in kept
        assert b"Adobe RGB" not in kept


@pytest.mark.parametrize(
    "packet", [b"<a", b"", b"\xff\xff\xff", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"<a><b></a>"]
)
def test_a_damaged_packet_or_one_with_entities_is_left_out(packet: bytes) -> None:
    assert xmp.cleaned(packet, size=(1, 1)) is None


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif"])
def test_blocks_come_back_as_they_were_written(tmp_path: Path, suffix: str, order: str) -> None:
    given = picture(order)
    write_image(tmp_path / f"a{suffix}", given)
    known = of_file(tmp_path / f"a{suffix}")
    assert known.xmp == xmp.cleaned(PACKET, size=(40, 30))
    assert known.iptc == (None if suffix in {".webp", ".avif"} else IPTC)
    assert known.exif is not None
    if suffix in {".jpg", ".png", ".webp"}:
        assert known.exif == exif.patched(camera_exif(order), size=(40, 30), srgb=True)
    assert known.exif[:2] == (b"II" if order == "<" else b"MM")
    block = exif.parse(io.BytesIO(known.exif))
    assert block.entries[0x010F].value == b"Maker\0"
    assert block.below[0x8769].entries[0x927C].value == MAKER_NOTE
    assert block.below[0x8769].below[0xA005].entries[1].value == b"R98\0"
    assert block.below[0x8825].entries[1].value == b"N\0"
    assert exif.orientation_of(known.exif) == 1


@pytest.mark.parametrize("depth", [8, 16])
def test_the_pixels_of_a_tiff_with_metadata_are_those_of_any_other(tmp_path: Path, depth: int) -> None:
    for order in "<>":
        given = picture(order, depth=depth, channels=4)
        write_image(tmp_path / f"{'little' if order == '<' else 'big'}.tif", given)
    for name in ("little.tif", "big.tif"):
        assert np.array_equal(tifffile.imread(tmp_path / name), given.pixels)


def test_stripping_leaves_profile_and_resolution_alone(tmp_path: Path) -> None:
    for suffix in (".jpg", ".png", ".tif"):
        path = tmp_path / f"a{suffix}"
        write_image(path, picture(icc=SRGB), options=WriteOptions(metadata=False))
        assert of_file(path) == Metadata()
        with PIL.Image.open(path) as opened:
            assert opened.info["icc_profile"] == SRGB
            assert opened.info["dpi"] == pytest.approx((300, 300), abs=0.02)


def test_a_matte_gets_no_metadata_of_its_photo(tmp_path: Path) -> None:
    write_alpha(tmp_path / "a.png", np.zeros((30, 40), np.float32), like=picture(icc=SRGB))
    assert of_file(tmp_path / "a.png") == Metadata()


def test_blocks_too_long_for_jpeg_are_left_out(tmp_path: Path) -> None:
    long = PACKET.replace(b"</rdf:RDF>", b" " * 70_000 + b"</rdf:RDF>")
    known = Metadata(xmp=long, iptc=IPTC)
    write_image(tmp_path / "a.jpg", replace(picture(), metadata=known))
    assert of_file(tmp_path / "a.jpg") == Metadata(iptc=IPTC)


@pytest.mark.parametrize("dpi", [(1e9, 1e9), (1e-4, 300.0), (70_000.0, 70_000.0)])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp", ".webp"])
def test_an_absurd_resolution_does_not_stop_a_file(tmp_path: Path, suffix: str, dpi: tuple[float, float]) -> None:
    pixels = noise(4, 4, 3)
    write_image(tmp_path / f"a{suffix}", Image(pixels, None, dpi))
    with PIL.Image.open(tmp_path / f"a{suffix}") as opened:
        opened.load()
    found = read_image(tmp_path / f"a{suffix}")
    assert np.array_equal(found.pixels, pixels) or suffix in {".jpg", ".webp"}
    assert found.pixels.shape == pixels.shape
    # The file tells of it or is silent; BMP, which cannot be silent, says 96.
    allowed: list[Any] = [None, pytest.approx(dpi, rel=1e-3)]
    if suffix == ".bmp":
        allowed.append(pytest.approx((96, 96), abs=0.1))
    assert found.resolution in allowed


# --- ExifTool ---------------------------------------------------------------------------------------------------------


def _tags(path: Path) -> dict[str, Any]:
    command = ["exiftool", "-j", "-G1", "-a", "-n", "-u", "-b", str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0]
    groups = ("IFD0:", "ExifIFD:", "GPS:", "InteropIFD:", "XMP", "IPTC:", "IFD1:")
    return {name: value for name, value in found.items() if name.startswith(groups)}


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_exiftool_finds_only_the_listed_differences(tmp_path: Path, suffix: str) -> None:
    camera = io.BytesIO()
    PIL.Image.fromarray(noise(40, 30, 3)).save(camera, "JPEG", exif=exif.PREFIX + camera_exif(), xmp=PACKET)
    (tmp_path / "camera.jpg").write_bytes(camera.getvalue())
    write_image(tmp_path / f"a{suffix}", replace(picture(), metadata=of_file(tmp_path / "camera.jpg")))
    before, after = _tags(tmp_path / "camera.jpg"), _tags(tmp_path / f"a{suffix}")
    changed = {name for name in before if before[name] != after.get(name)}
    listed = {
        *("IFD0:Orientation", "ExifIFD:ColorSpace", "ExifIFD:ExifImageWidth", "ExifIFD:ExifImageHeight"),
        *("InteropIFD:InteropIndex", "XMP-tiff:Orientation", "IFD1:Compression"),
    }
    assert {name for name in changed if not name.startswith(("XMP-crs:", "XMP-hdrgm:"))} <= listed
    assert before["ExifIFD:ColorSpace"] != after["ExifIFD:ColorSpace"]
    assert not any(name.startswith(("XMP-crs:", "XMP-hdrgm:", "IFD1:")) for name in after)


def boxed(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


def test_what_brotli_compressed_in_jpeg_xl_is_read(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jxl", Image(noise(8, 9, 3), metadata=Metadata(exif=b"II*\0\x08\0\0\0" + bytes(6))))
    plain = (tmp_path / "a.jxl").read_bytes()
    assert b"brob" not in plain  # OpenImageIO's empty EXIF
    start = plain if plain[:4] == b"\0\0\0\x0c" else JXL_START + boxed(b"jxlc", plain)
    exif_block, packet = camera_exif(), PACKET
    packed = [b"Exif" + brotli.compress(bytes(4) + exif_block), b"xml " + brotli.compress(packet)]
    (tmp_path / "b.jxl").write_bytes(start + b"".join(boxed(b"brob", block) for block in packed))
    read = read_image(tmp_path / "b.jxl").metadata
    assert (read.exif, read.xmp) == (exif_block, packet)
    for damaged in (packed[0][:-9], b"Exif" + brotli.compress(bytes(2**28)), b"Exif"):
        (tmp_path / "c.jxl").write_bytes(start + boxed(b"brob", damaged))
        assert read_image(tmp_path / "c.jxl").metadata.exif is None


def test_the_exif_of_a_bigtiff_is_carried(tmp_path: Path) -> None:
    """Its directories have numbers of eight bytes, and become those of a block."""
    tag = (0x8768, 16, 1, bytes(8), True)  # tifffile refuses 0x8769
    described = (0x010F, 2, 6, b"Maker\0", True)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(4, 5, 3), bigtiff=True, photometric="rgb", metadata=None, extratags=[tag, described])
    with tifffile.TiffFile(path) as tiff:
        page: Any = tiff.pages.first
        order, entry = tiff.byteorder, page.tags[0x8768].offset
    data = bytearray(path.read_bytes())
    at = len(data) + len(data) % 2
    data += bytes(at - len(data))
    below = struct.pack(order + "Q", 2)
    below += struct.pack(order + "HHQQ", 0x829A, 5, 1, 0) + struct.pack(order + "HHQ", 0x927C, 7, 9) + bytes(8)
    data += below + struct.pack(order + "Q", 0)
    values = len(data)
    struct.pack_into(order + "Q", data, at + 8 + 12, 0)
    data[at + 20 : at + 28] = struct.pack(order + "II", 1, 60)  # a rational fits into the entry
    data[at + 28 + 12 : at + 28 + 20] = struct.pack(order + "Q", values)
    data += b"notes\0\1\2\3"
    struct.pack_into(order + "HHQQ", data, entry, 0x8769, 16, 1, at)
    path.write_bytes(data)
    block = read_image(path).metadata.exif
    assert block is not None
    found = exif.parse(io.BytesIO(block))
    assert found.entries[0x010F].value == b"Maker\0"
    assert found.below[0x8769].entries[0x829A].value == struct.pack(order + "II", 1, 60)
    assert found.below[0x8769].entries[0x927C].value == b"notes\0\1\2\3"
    write_image(tmp_path / "a.jpg", replace(read_image(path), metadata=Metadata(exif=block)))
    with PIL.Image.open(tmp_path / "a.jpg") as picture:
        assert picture.getexif()[0x010F] == "Maker"


def test_exif_that_is_too_long_for_jpeg_loses_the_thumbnail_and_then_the_makers_notes(tmp_path: Path) -> None:
    jpeg = check_format("a.jpg")
    long = camera_exif() + bytes(70_000)  # what nothing points to, as the thumbnail
    write_image(tmp_path / "a.jpg", Image(noise(8, 9, 3), metadata=Metadata(exif=long)))
    kept = read_image(tmp_path / "a.jpg").metadata.exif
    assert kept is not None
    details = exif.parse(io.BytesIO(kept)).below[0x8769].entries
    assert details[0x927C].value == MAKER_NOTE
    assert metadata_note(jpeg, Metadata(exif=long)) is None

    noted = exif.parse(io.BytesIO(long))
    entries = {**noted.below[0x8769].entries, 0x927C: exif.Entry(7, 70_000, bytes(70_000), 0)}
    below = {**noted.below, 0x8769: replace(noted.below[0x8769], entries=entries)}
    block = b"II*\0\x08\0\0\0" + exif.dump(replace(noted, below=below), "<", base=8)
    metadata = Metadata(exif=block, xmp=b"<" * 70_000)
    write_image(tmp_path / "b.jpg", Image(noise(8, 9, 3), metadata=metadata))
    kept = read_image(tmp_path / "b.jpg").metadata.exif
    assert kept is not None
    assert 0x927C not in exif.parse(io.BytesIO(kept)).below[0x8769].entries
    assert exif.parse(io.BytesIO(kept)).below[0x8769].entries[0x9003].value == b"2024:05:06 07:08:09\0"
    assert metadata_note(jpeg, metadata) == (
        "JPEG holds 65 kB of each kind of metadata, so it does not keep the photo's maker's notes and XMP"
    )
    assert metadata_note(check_format("a.png"), metadata) is None


def test_openexr_gets_what_exif_says_as_attributes(tmp_path: Path) -> None:
    tags = PIL.Image.Exif()
    tags[271], tags[306], tags[33432] = "Maker", "2024:05:06 07:08:09", "me"
    details, place = tags.get_ifd(0x8769), tags.get_ifd(0x8825)
    details[33434], details[37386] = IFDRational(1, 60), IFDRational(101, 2)
    details[0x927C], details[0xA002] = MAKER_NOTE, 4000
    details[42036] = "50 mm"
    place[1], place[2] = "N", (48.0, 8.0, 30.0)
    block = tags.tobytes().removeprefix(b"Exif\0\0")
    write_image(tmp_path / "a.exr", Image(noise(4, 5, 3), metadata=Metadata(exif=block)))
    with (tmp_path / "a.exr").open("rb") as handle:
        stored = exr_parts(handle)[0].attributes
    assert stored["capDate"] == b"2024:05:06 07:08:09"  # OpenEXR's standard attributes
    assert struct.unpack("<f", stored["expTime"])[0] == pytest.approx(1 / 60)
    assert stored["owner"] == b"me"
    assert (stored["Make"], stored["Exif:LensModel"]) == (b"Maker", b"50 mm")
    assert struct.unpack("<f", stored["Exif:FocalLength"])[0] == 50.5
    assert struct.unpack("<3f", stored["GPS:Latitude"]) == (48, 8, 30)
    assert not {"Exif:MakerNote", "Exif:ExifImageWidth"} & set(stored)
    again = read_image(tmp_path / "a.exr")
    write_image(tmp_path / "b.exr", again)  # from OpenEXR to OpenEXR they stay
    with (tmp_path / "b.exr").open("rb") as handle:
        kept = exr_parts(handle)[0].attributes
    names = ["capDate", "expTime", "owner", "Make", "Exif:LensModel", "Exif:FocalLength", "GPS:Latitude"]
    assert [kept[name] for name in names] == [stored[name] for name in names]
    write_image(tmp_path / "c.exr", again, options=WriteOptions(metadata=False))
    with (tmp_path / "c.exr").open("rb") as handle:
        assert "Make" not in exr_parts(handle)[0].attributes


@pytest.mark.parametrize("first", ["iptc", "IPTC profile"])
def test_iptc_in_png_is_read_as_imagemagick_and_exiftool_write_it(tmp_path: Path, first: str) -> None:
    content = PIL.PngImagePlugin.PngInfo()
    digits = IPTC.hex()
    content.add_text("Raw profile type iptc", f"\n{first}\n{len(IPTC):8}\n{digits[:72]}\n{digits[72:]}", zip=True)
    PIL.Image.new("RGB", (5, 4)).save(tmp_path / "a.png", pnginfo=content)
    assert read_image(tmp_path / "a.png").metadata.iptc == IPTC


def utf8_exif(text: bytes, *, kind: int = 129, below: int | None = None) -> bytes:
    """A block whose artist is text of that type, with a comment in the directory below, of the same type or another."""
    head = b"II*\0" + struct.pack("<I", 8)
    place = 8 + 2 + 2 * 12 + 4
    value = place + 2 + 12 + 4
    first = struct.pack("<HHHII", 2, 0x013B, kind, len(text), value) + struct.pack("<HHII", 0x8769, 4, 1, place)
    second = struct.pack("<HHHII", 1, 0x9286, below or kind, len(text), value)
    return head + first + bytes(4) + second + bytes(4) + text


def test_text_of_exif_3_is_written_to_tiff_and_kept_in_shortened_blocks(tmp_path: Path) -> None:
    text = "Zoë Müller, Fotografin\0".encode()
    image = Image(np.zeros((4, 5, 3), np.uint8), metadata=Metadata(exif=utf8_exif(text)))
    write_image(tmp_path / "a.tif", image)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages.first.tags[315].value == text.decode().rstrip("\0")
    assert read_image(tmp_path / "a.tif").metadata.exif is not None
    short, lost = exif.shortened(utf8_exif(text) + bytes(1000), 500)
    assert (short is not None and short.count(text), lost) == (2, None)
    with (tmp_path / "a.tif").open("rb") as handle:
        details = exif.parse(handle).below[exif.EXIF_DIRECTORY]
    assert (details.entries[0x9286].kind, details.entries[0x9286].value) == (2, text)  # TIFF's text


def test_a_value_of_an_unknown_type_is_left_out_of_a_tiff_and_nothing_else(tmp_path: Path) -> None:
    known = Metadata(exif=utf8_exif(b"Zoe, Berlin\0", kind=99, below=2))
    write_image(tmp_path / "b.tif", Image(np.zeros((4, 5, 3), np.uint8), metadata=known))
    with (tmp_path / "b.tif").open("rb") as handle:
        first = exif.parse(handle)
    assert 0x013B not in first.entries
    assert first.below[exif.EXIF_DIRECTORY].entries[0x9286].value == b"Zoe, Berlin\0"


def test_text_of_exif_3_becomes_attributes_of_an_exr() -> None:
    text = "Zoë Müller\0".encode()
    assert attributes_of(utf8_exif(text)) == {"Artist": "Zoë Müller", "Exif:UserComment": "Zoë Müller"}
    assert attributes_of(utf8_exif(text)) == attributes_of(utf8_exif(text, kind=2))
    assert attributes_of(utf8_exif("Zoë Müller\0".encode("latin-1"), kind=2))["Artist"] == "Zoë Müller"


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_four_gigabytes_would_be_big_with_all_that_its_exif_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (20, 30, 4), np.uint16)
    monkeypatch.setattr("mattecli.imaging.writing.tiff._LARGEST", pixels.nbytes)
    image = Image(pixels, metadata=Metadata(exif=camera_exif(order)))
    write_image(tmp_path / "a.tif", image)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff
        tags: Any = file.pages.first.tags
        assert (tags[0x010F].value, tags[0x8769].value["DateTimeOriginal"]) == ("Maker", "2024:05:06 07:08:09")
        assert tags[0x8825].value["GPSLatitude"] == (48, 1, 8, 1, 30, 1)
    read = read_image(tmp_path / "a.tif", keep_alpha=True)
    assert np.array_equal(read.pixels, pixels)
    found, before = (exif.parse(io.BytesIO(block or b"")) for block in (read.metadata.exif, camera_exif(order)))
    for tag in (exif.EXIF_DIRECTORY, exif.GPS_DIRECTORY):
        kept = {code: entry.value for code, entry in found.below[tag].entries.items()}
        assert kept.keys() == before.below[tag].entries.keys()
    assert found.below[exif.EXIF_DIRECTORY].entries[0x927C].value == MAKER_NOTE
    assert found.below[exif.EXIF_DIRECTORY].below[exif.INTEROP_DIRECTORY].entries[1].value == b"R98\0"


def test_layers_count_for_the_size_from_which_a_tiff_is_big(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = Image(noise(20, 30, 3))
    monkeypatch.setattr("mattecli.imaging.writing.tiff._LARGEST", photo.pixels.nbytes + 100)
    write_layers(tmp_path / "a.tif", photo, photo, np.full((20, 30), 0.5, np.float32))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff
