"""Metadata that hold the old picture, or that name places in its frame."""

import io
import struct
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mattecli.compositing.finishing import Finishing, finish
from mattecli.compositing.outputs import write_output
from mattecli.imaging import exif_blocks, xmp
from mattecli.imaging.colour import same_space, space_named
from mattecli.imaging.image import Image
from mattecli.imaging.metadata import Metadata
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_image
from tests.imaging.test_read import noise

GOOGLE = "http://ns.google.com/photos/1.0/"


def packet(attributes: str = "", elements: str = "", **spaces: str) -> bytes:
    """A packet with the rating 4, and these properties."""
    declared = "".join(f' xmlns:{prefix}="{space}"' for prefix, space in spaces.items())
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"{declared} xmp:Rating="4"'
        f"{attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


# The names are those of Google's specifications "Depthmap Metadata" and "Dynamic Depth 1.0".
PORTRAIT = {
    "GImage": f"{GOOGLE}image/",
    "GDepth": f"{GOOGLE}depthmap/",
    "GAudio": f"{GOOGLE}audio/",
    "GFocus": f"{GOOGLE}focus/",
    "Device": "http://ns.google.com/photos/dd/1.0/device/",
    "Camera": "http://ns.google.com/photos/dd/1.0/camera/",
}


def test_the_untouched_photo_and_the_depth_of_a_portrait_are_dropped() -> None:
    attributes = (
        ' GImage:Mime="image/jpeg" GImage:Data="/9j/4AAQ" GDepth:Format="RangeInverse" GDepth:Data="iVBORw0KGgo"'
        ' GAudio:Mime="audio/mp4" GAudio:Data="AAAA" GFocus:BlurAtInfinity="0.1"'
    )
    elements = '<Device:Cameras><rdf:Seq><rdf:li Camera:DepthURI="x"/></rdf:Seq></Device:Cameras>'
    assert xmp.cleaned(packet(attributes, elements, **PORTRAIT), size=(1, 1)) == packet(**PORTRAIT)


PLACES = {
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "GPano": f"{GOOGLE}panorama/",
}
FACES = (
    '<mwg-rs:Regions><rdf:Description><mwg-rs:Name>Ann</mwg-rs:Name><mwg-rs:Area stArea:x="0.5"/></rdf:Description>'
    "</mwg-rs:Regions><MP:RegionInfo><rdf:Description/></MP:RegionInfo>"
)
SPHERE = ' GPano:ProjectionType="equirectangular"'


def test_faces_and_panoramas_are_dropped_only_with_the_frame_that_they_refer_to() -> None:
    given = packet(SPHERE, FACES, **PLACES)
    assert xmp.cleaned(given, size=(1, 1)) == given
    assert xmp.cleaned(given, size=(1, 1), reframed=True) == packet(**PLACES)


def subject_of(block: bytes | None) -> object:
    """The subject's area, as Pillow reads it."""
    tags = PIL.Image.Exif()
    tags.load(block or b"")
    details = tags.get_ifd(0x8769)
    assert details[0x9003] == "2024:05:06 07:08:09"
    assert details[0xA405] == 35
    return details.get(0x9214)


def with_subject(orientation: int = 1) -> bytes:
    tags = PIL.Image.Exif()
    tags[0x0112] = orientation
    area = {0x9003: "2024:05:06 07:08:09", 0x9214: (20, 15, 8, 6), 0xA002: 40, 0xA003: 30, 0xA214: (20, 15), 0xA405: 35}
    tags.get_ifd(0x8769).update(area)
    return tags.tobytes()[6:]


@pytest.mark.parametrize(
    ("orientation", "size", "reframed", "stays"),
    [(1, (40, 30), False, True), (1, (40, 30), True, False), (1, (20, 15), False, False), (6, (30, 40), False, False)],
)
def test_the_subjects_area_stays_only_in_its_frame(
    orientation: int, size: tuple[int, int], reframed: bool, stays: bool
) -> None:
    made = exif_blocks.patched(with_subject(orientation), size=size, srgb=True, reframed=reframed)
    assert subject_of(made) == ((20, 15, 8, 6) if stays else None)
    assert made is not None
    assert (0xA214 in exif_blocks.parse(io.BytesIO(made)).below[0x8769].entries) == stays


def test_a_cropped_cutout_names_no_places_of_the_photo(tmp_path: Path) -> None:
    known = Metadata(exif=with_subject(), xmp=packet(SPHERE, FACES, **PLACES))
    photo, alpha = Image(noise(30, 40, 3), metadata=known), np.zeros((30, 40), np.float32)
    alpha[10:20, 10:20] = 1
    finished = finish(photo, alpha, Finishing(crop="subject"))
    write_output("cutout", tmp_path / "a.png", photo, alpha, finished=finished)
    with PIL.Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] < 40
        assert subject_of(picture.getexif().tobytes()) is None
        assert b"Ann" not in picture.info["xmp"]
        assert b"GPano:Proj" not in picture.info["xmp"]


# --- orientation and colour space -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "number"), [(3, "H"), (4, "I"), (8, "h"), (9, "i")])  # SHORT, LONG, SSHORT, SLONG
def test_an_orientation_of_any_integer_type_is_undone_once(tmp_path: Path, order: str, kind: int, number: str) -> None:
    value = struct.pack(order + number, 6).ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    block = head + struct.pack(order + "HHHI", 1, 0x0112, kind, 1) + value + bytes(4)
    PIL.Image.fromarray(noise(4, 6, 3)).save(tmp_path / "a.png", exif=block)
    photo = read_image(tmp_path / "a.png")
    assert photo.size == (4, 6)
    assert exif_blocks.orientation_of(block) == 6
    write_image(tmp_path / "b.png", photo)
    with PIL.Image.open(tmp_path / "b.png") as picture:
        assert picture.getexif()[0x0112] == 1


def stated(path: Path) -> object:
    """The colour space in a file's EXIF, as Pillow reads it."""
    with PIL.Image.open(path) as picture:
        return picture.getexif().get_ifd(0x8769)[0xA001]


def with_colour_space(value: int) -> Metadata:
    tags = PIL.Image.Exif()
    tags.get_ifd(0x8769)[0xA001] = value
    return Metadata(exif=tags.tobytes()[6:])


@pytest.mark.parametrize("before", [1, 2, 65535])
@pytest.mark.parametrize("space", ["srgb", "p3"])
def test_exif_states_the_space_of_the_colours_that_are_written(tmp_path: Path, before: int, space: str) -> None:
    photo = Image(noise(8, 9, 3), space_named("p3").icc, metadata=with_colour_space(before))
    write_output("cutout", tmp_path / "a.png", photo, np.ones((8, 9), np.float32), output_space=space)
    assert stated(tmp_path / "a.png") == (1 if space == "srgb" else 65535)


@pytest.mark.parametrize(("index", "same"), [(None, "adobergb"), ("R98", "srgb")])
def test_a_colour_space_of_2_is_adobergb_as_exiftool_says_unless_the_index_says_more(
    tmp_path: Path, index: str | None, same: str
) -> None:
    tags = PIL.Image.Exif()
    tags.get_ifd(0x8769)[0xA001] = 2
    if index:
        tags.get_ifd(0x8769)[0xA005] = {1: index}
    PIL.Image.fromarray(noise(8, 8, 3)).save(tmp_path / "a.jpg", exif=tags)
    assert same_space(read_image(tmp_path / "a.jpg").space, space_named(same))
