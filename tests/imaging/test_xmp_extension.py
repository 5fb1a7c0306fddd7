"""Extended XMP: long packets in several segments of a JPEG, and back."""

import json
import shutil
import struct
import subprocess
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest

from mattecli.imaging import xmp, xmp_extension
from mattecli.imaging.image import Image
from mattecli.imaging.metadata import Metadata
from mattecli.imaging.read import read_image
from mattecli.imaging.write import check_format, write_image
from mattecli.imaging.writing.encoding import metadata_note

RDF = b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
DC = b'xmlns:dc="http://purl.org/dc/elements/1.1/"'
LIMIT = 65_000


def packet(*descriptions: bytes, names: bytes = b"") -> bytes:
    begin = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF ' + RDF + b" " + names + b">"
    return begin + b"".join(descriptions) + b"</rdf:RDF></x:xmpmeta>"


def description(name: bytes, value: bytes, *, names: bytes = DC) -> bytes:
    element = b"<dc:%b>%b</dc:%b>" % (name, value, name)
    return b'<rdf:Description rdf:about="" ' + names + b">" + element + b"</rdf:Description>"


def segments(extension: bytes, name: bytes, *, size: int = 100) -> list[bytes]:
    offsets = range(0, len(extension), size)
    heads = [xmp_extension.MARK + name + struct.pack(">II", len(extension), at) for at in offsets]
    return [head + extension[at : at + size] for head, at in zip(heads, offsets, strict=True)]


def test_a_packet_and_its_extension_become_one() -> None:
    extension = packet(description(b"title", b"long", names=b""), names=DC)
    name = md5(extension).hexdigest().upper().encode()
    note = b'<rdf:Description xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="' + name + b'"/>'
    main = packet(note, description(b"source", b"short"))
    whole = xmp_extension.joined(main, segments(extension, name)[::-1])
    title = description(b"title", b"long", names=b"").replace(
        b"<rdf:Description", b'<rdf:Description xmlns:x="adobe:ns:meta/" ' + RDF + b" " + DC
    )
    assert whole == packet(note, description(b"source", b"short"), title)
    cleaned = xmp.cleaned(whole, size=(1, 1))
    assert cleaned is not None
    assert name not in cleaned
    assert title in cleaned


def test_an_extension_that_is_not_whole_or_another_packets_is_not_taken() -> None:
    extension = packet(description(b"title", b"long"))
    name = md5(extension).hexdigest().upper().encode()
    main = packet(description(b"source", name))
    parts = segments(extension, name)
    assert xmp_extension.joined(main, parts[1:]) is None
    assert xmp_extension.joined(main, [*parts[:-1], parts[-1][:-1] + b"?"]) is None
    assert xmp_extension.joined(main, [part.replace(name, b"A" * 32) for part in parts]) == main
    assert xmp_extension.joined(main, [xmp_extension.MARK]) == main
    assert xmp_extension.joined(main + b"<", parts) is None


@pytest.mark.parametrize("lengths", [(100, 70_000), (70_000, 100), (40_000, 40_000, 40_000), (200_000,)])
def test_a_long_packet_comes_back_from_a_jpeg(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    values = [f"{number} ".encode() * (length // 2) for number, length in enumerate(lengths)]
    given = packet(*(description(b"t%d" % number, value) for number, value in enumerate(values)))
    metadata = Metadata(xmp=given, iptc=b"\x1c\x02\x05\x00\x05title")
    write_image(tmp_path / "a.jpg", Image(np.zeros((8, 9, 3), np.uint8), metadata=metadata))
    found = read_image(tmp_path / "a.jpg").metadata
    assert found.xmp is not None
    assert found.iptc == metadata.iptc
    for number, value in enumerate(values):
        assert found.xmp.count(b"<dc:t%d>%b</dc:t%d>" % (number, value, number)) == 1
    assert metadata_note(check_format("a.jpg"), metadata) is None
    main, parts = xmp_extension.split(given, LIMIT) or (b"", [])
    assert len(main) <= LIMIT
    assert all(len(part) < 65_500 for part in parts)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="ExifTool is not installed")
def test_exiftool_reads_a_long_packet(tmp_path: Path) -> None:
    given = packet(description(b"source", b"short"), description(b"title", b"long " * 20_000))
    write_image(tmp_path / "a.jpg", Image(np.zeros((8, 9, 3), np.uint8), metadata=Metadata(xmp=given)))
    read = subprocess.run(["exiftool", "-j", "-XMP:all", tmp_path / "a.jpg"], check=True, capture_output=True)
    tags = json.loads(read.stdout)[0]
    assert tags["Source"] == "short"
    assert tags["Title"] == "long " * 20_000


def test_a_packet_that_cannot_be_split_is_left_out() -> None:
    assert xmp_extension.split(b"<a>" + b" " * LIMIT + b"</a>", LIMIT) is None
    assert xmp_extension.split(b"<a", 1) is None
    assert xmp_extension.split(packet() + b" " * LIMIT, LIMIT) is None
    assert xmp_extension.split(packet().replace(b"></rdf:RDF>", b"/>") + b" " * LIMIT, LIMIT) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-le"])
def test_packets_of_all_encodings_of_unicode_are_read(tmp_path: Path, encoding: str) -> None:
    orientation = b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    text = packet(orientation, description(b"title", "Köln".encode())).decode()
    write_image(tmp_path / "a.jpg", Image(np.zeros((8, 9, 3), np.uint8)))
    content = (tmp_path / "a.jpg").read_bytes()
    block = b"http://ns.adobe.com/xap/1.0/\0" + text.encode(encoding)
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    (tmp_path / "a.jpg").write_bytes(content[:2] + segment + content[2:])
    found = read_image(tmp_path / "a.jpg")
    assert found.pixels.shape == (9, 8, 3)
    assert found.metadata.xmp is not None
    assert xmp.cleaned(found.metadata.xmp, size=(9, 8)) == text.replace('"6"', '"1"').encode()
