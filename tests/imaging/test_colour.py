"""Colour: the same colour in another space's values, and which space a file is in."""

import io
import struct

import numpy as np
import pytest
from PIL import ImageCms

from mattecli.errors import InputError, UsageError
from mattecli.imaging.colour import (
    chromaticities,
    convert,
    is_hdr,
    is_linear,
    linear,
    same_profile,
    same_space,
    space_named,
    space_of,
)
from mattecli.imaging.colour import icc as profiles
from mattecli.imaging.colour.curves import SRGB_CURVE, Cineon, Curve, Hlg, Power, Pq, Table
from mattecli.imaging.image import Image, in_space
from mattecli.imaging.space import CICP, ColourTags, Space
from tests.imaging.test_read import SRGB, profile

# Of ICC.1 and Adobe RGB (1998): primaries adapted to D50, in 16.16 fixed point, and the exponent 563/256.
_ADOBE = {"r": (0.60974, 0.31111, 0.01947), "g": (0.20528, 0.62567, 0.06087), "b": (0.14919, 0.06322, 0.74457)}
_GAMMA = 563 / 256


def adobe_rgb() -> bytes:
    tags = {}
    for name, xyz in _ADOBE.items():
        fixed = struct.pack(">3i", *(round(value * 65536) for value in xyz))
        tags[f"{name}XYZ".encode()] = b"XYZ " + bytes(4) + fixed
        tags[f"{name}TRC".encode()] = b"curv" + bytes(4) + struct.pack(">IH", 1, 563)
    return profile(b"mntr", b"RGB ", b"XYZ ", tags)


def in_adobe_rgb(colour: tuple[int, int, int]) -> list[int]:
    """By the formulas: sRGB decoded, to XYZ of D50, to Adobe RGB's primaries, encoded."""
    encoded = np.array(colour) / 255
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    srgb = np.array([(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)])
    wide = np.linalg.solve(np.array(list(_ADOBE.values())).T, light @ srgb)
    return [round(255 * value) for value in np.clip(wide, 0, 1) ** (1 / _GAMMA)]


PQ: CICP = (9, 16, 0, 1)
HLG: CICP = (9, 18, 0, 1)


def of(colour: tuple[int, ...], space: Space, depth: int = 8) -> list[float]:
    """One colour of 8 bits of a space in sRGB, in levels of 8 bits, converted with that depth."""
    pixels = np.full((2, 3, 3), colour, np.uint8)
    deep = pixels if depth == 8 else pixels.astype(np.uint16) * 257
    converted = convert(deep, space, Space(), depth=depth)
    return [float(value) / (1 if depth == 8 else 257) for value in converted[0, 0]]


@pytest.mark.parametrize("colour", [(0, 177, 64), (200, 40, 30), (128, 128, 128), (255, 255, 255), (0, 0, 0)])
@pytest.mark.parametrize("depth", [8, 16])
def test_an_srgb_colour_has_its_adobe_rgb_values(colour: tuple[int, int, int], depth: int) -> None:
    pixels = np.full((2, 3, 3), colour, np.uint8)
    image = Image(pixels if depth == 8 else pixels.astype(np.uint16) * 257)
    converted = in_space(image, Space(adobe_rgb()))
    assert converted.icc == adobe_rgb()
    levels = converted.pixels.astype(float) / (1 if depth == 8 else 257)
    assert np.abs(levels - in_adobe_rgb(colour)).max() <= 1
    back = in_space(converted, Space())
    assert np.abs(back.pixels.astype(float) / (1 if depth == 8 else 257) - colour).max() <= 2


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    ("name", "colour", "expected"),
    [
        ("adobergb", (200, 100, 50), (227, 100, 42)),
        ("p3", (200, 100, 50), (215, 93, 31)),
        ("prophoto", (128, 128, 128), (146, 146, 146)),
    ],
)
def test_colours_of_other_spaces_have_their_srgb_values(
    name: str, colour: tuple[int, ...], expected: tuple[int, ...], depth: int
) -> None:
    assert np.abs(np.subtract(of(colour, space_named(name), depth), expected)).max() <= 1


def test_pq_shows_203_candela_as_white() -> None:
    white = convert(np.full((1, 1, 3), 38055, np.uint16), Space(cicp=PQ), Space(), depth=8)
    assert (white == 255).all()
    light = convert(np.full((1, 1, 3), 1, np.float32), Space(cicp=PQ), linear(), depth=32)
    np.testing.assert_allclose(light, 10000 / 203, rtol=1e-4)  # SMPTE ST 2084 ends at 10,000


def test_hlg_shows_its_reference_white_as_white() -> None:
    light = convert(np.full((1, 1, 3), 0.75, np.float32), Space(cicp=HLG), linear(), depth=32)
    np.testing.assert_allclose(light, 1, atol=2e-3)  # ITU-R BT.2408: 75 % is 203 cd/m² on a display of 1,000
    peak = convert(np.ones((1, 1, 3), np.float32), Space(cicp=HLG), linear(), depth=32)
    np.testing.assert_allclose(peak, 1000 / 203, rtol=1e-3)


CURVES = [
    SRGB_CURVE,
    Power(563 / 256),
    Power(1.8, 1.0, 0.0, 1 / 16, 1 / 32),
    Power(2.2, 0.9, 0.1, 0.2, 0.05, 0.0, 0.001),
    Table(tuple((np.linspace(0, 1, 64) ** 2).tolist())),
    Pq(),
    Hlg(),
]


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: type(curve).__name__)
def test_encoding_undoes_decoding(curve: Curve) -> None:
    values = np.linspace(0.08, 1, 201)
    np.testing.assert_allclose(curve.encode(curve.decode(values)), values, atol=2e-5)


def test_cineon_codes_95_and_685_are_black_and_white() -> None:
    light = Cineon().decode(np.array([95, 685, 1023]) / 1023)
    np.testing.assert_allclose(light, [0, 1, 13.5], atol=0.1)


def test_curves_of_displays_are_mirrored_for_light_out_of_range() -> None:
    values = np.array([-0.5, 1.5, -1e-3], np.float32)
    np.testing.assert_allclose(SRGB_CURVE.encode(SRGB_CURVE.decode(values)), values, rtol=1e-5)
    assert SRGB_CURVE.decode(values)[0] == -SRGB_CURVE.decode(-values)[0]


def test_light_of_srgbs_primaries_keeps_them_in_spite_of_a_profiles_rounding() -> None:
    codes = np.random.default_rng(0).integers(0, 65536, (64, 64, 3), np.uint16)
    exact = 65535 * SRGB_CURVE.encode(codes / 65535)
    assert np.abs(convert(codes, linear(), Space(), depth=16) - exact).max() <= 1


@pytest.mark.parametrize("name", ["adobergb", "prophoto", "p3", "rec2020"])
def test_deep_conversions_are_those_of_the_formulas_in_float64(name: str) -> None:
    icc = space_named(name).icc
    assert icc is not None
    profile = profiles.parse(icc)
    assert profile is not None
    codes = np.random.default_rng(0).integers(0, 65536, (64, 64, 3), np.uint16)
    light = np.stack([curve.decode(codes[..., i] / 65535) for i, curve in enumerate(profile.curves)], axis=2)
    srgb = light @ (np.linalg.inv(profiles.adapted(profiles.REC709)) @ profile.matrix).T
    exact = 65535 * SRGB_CURVE.encode(np.clip(srgb, 0, 1))
    converted = convert(codes, Space(icc), Space(), depth=16)
    assert np.abs(converted - exact).max() <= 2


@pytest.mark.parametrize("name", ["adobergb", "prophoto", "p3", "linear"])
def test_made_profiles_mean_the_same_to_littlecms(name: str) -> None:
    space = space_named(name)
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(9, 81, 3)
    theirs = convert(colours, space, Space(), depth=8)  # LittleCMS
    ours = convert(colours.astype(np.uint16) * 257, space, Space(), depth=16) / 257
    assert np.abs(ours - theirs).max() <= 1


def test_a_made_profile_has_the_same_bytes_each_time_and_opens_elsewhere() -> None:
    made = profiles.make(profiles.P3, SRGB_CURVE, "Display P3")
    assert made == profiles.P3_PROFILE
    opened = ImageCms.ImageCmsProfile(io.BytesIO(made))
    assert ImageCms.getProfileDescription(opened).strip() == "Display P3"
    assert int.from_bytes(made[:4], "big") == len(made)
    found = chromaticities(Space(made))
    assert found is not None
    np.testing.assert_allclose(found, profiles.P3, atol=2e-4)


def test_a_profile_of_tables_is_left_to_littlecms() -> None:
    tags = dict.fromkeys((b"A2B0", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"), b"XYZ " + bytes(16))
    assert profiles.parse(profile(b"mntr", b"RGB ", b"XYZ ", tags)) is None


@pytest.mark.parametrize("icc", [b"", b"broken", SRGB[:200], SRGB[:140] + bytes(40)])
def test_a_broken_profile_counts_as_none(icc: bytes) -> None:
    assert profiles.parse(icc) is None
    assert same_space(space_of(ColourTags(icc=icc), floating=False, format="png"), Space())
    pixels = np.full((1, 2, 3), 99, np.uint16)
    assert (convert(pixels, Space(icc), Space(), depth=16) == 99).all()


def test_a_picture_that_is_in_the_space_already_is_handed_back() -> None:
    image = Image(np.zeros((2, 3, 3), np.uint16), SRGB)
    assert in_space(image, Space()) is image
    assert in_space(image, Space(SRGB)) is image


def test_a_conversion_leaves_the_picture_itself_alone() -> None:
    pixels = np.random.default_rng(1).uniform(-1, 3, (8, 9, 3)).astype(np.float32)
    before = pixels.copy()
    for depth in (8, 16, 32):
        convert(pixels, linear(), Space(), depth=depth)
        convert(pixels, Space(), linear(), depth=depth)
    np.testing.assert_array_equal(pixels, before)


def test_alpha_is_data_and_keeps_its_values() -> None:
    rgba = np.random.default_rng(1).integers(0, 65536, (4, 5, 4), np.uint16)
    converted = convert(rgba, space_named("prophoto"), Space(), depth=16)
    np.testing.assert_array_equal(converted[..., 3], rgba[..., 3])
    assert (converted[..., :3] != rgba[..., :3]).any()


def test_a_profile_is_srgb_by_what_it_does_not_by_its_name() -> None:
    light = adobe_rgb().replace(struct.pack(">IH", 1, 563), struct.pack(">IH", 1, 256)) + b"sRGB"
    assert same_profile(SRGB, None)
    assert not same_profile(adobe_rgb(), None)
    assert not same_profile(light, SRGB)
    assert not same_profile(b"sRGB, but no profile", None)


def test_two_profiles_of_adobe_rgb_mean_the_same() -> None:
    assert same_space(Space(adobe_rgb()), space_named("AdobeRGB"))
    assert not same_space(Space(adobe_rgb()), space_named("p3"))
    assert not same_space(Space(cicp=PQ), Space(cicp=HLG))


# --- which space a file is in -----------------------------------------------------------------------------------------


def space_from(format: str = "png", floating: bool = False, **tags: object) -> Space:  # noqa: A002
    return space_of(ColourTags(**tags), floating=floating, format=format)  # type: ignore[arg-type]


def test_code_points_win_over_a_profile_and_a_profile_over_the_rest() -> None:
    adobe = adobe_rgb()
    assert space_from(cicp=PQ, icc=adobe).cicp == PQ
    assert same_space(space_from(cicp=(12, 13, 0, 1), icc=adobe), space_named("p3"))
    assert space_from(cicp=(1, 13, 0, 1), icc=adobe) == Space()
    assert space_from(cicp=(2, 2, 0, 1), icc=adobe) == Space(adobe)  # 2 is "unspecified"
    assert space_from(icc=adobe, srgb=True) == Space(adobe)
    assert space_from(srgb=True, gamma=1.0) == Space()


def test_gamma_and_chromaticities_of_png_make_a_profile() -> None:
    assert space_from(gamma=0.45455) == Space()
    assert is_linear(space_from(gamma=1.0))
    wide = space_from(gamma=256 / 563, chromaticities=profiles.ADOBE)
    assert same_space(wide, space_named("adobergb"))


def test_exif_tells_adobe_rgb_without_a_profile() -> None:
    space = space_from("jpeg", interop="R03")
    assert np.abs(np.subtract(of((200, 100, 50), space), (227, 100, 42))).max() <= 1
    assert space_from("jpeg", interop="R98") == Space()


def test_floats_without_a_tag_are_light_and_integers_are_srgb() -> None:
    for name in ("tiff", "hdr", "openexr"):
        assert is_linear(space_from(name, floating=True))
    assert space_from("npy", floating=True) == Space()
    assert space_from("tiff") == Space()


def test_openexr_tells_its_primaries_by_name_or_numbers() -> None:
    acescg = (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)
    for space in (
        space_from("openexr", floating=True, name="lin_ap1_scene"),
        space_from("openexr", floating=True, chromaticities=acescg),
    ):
        assert is_linear(space)
        found = chromaticities(space)
        assert found is not None
        np.testing.assert_allclose(found, acescg, atol=2e-4)
    assert same_space(space_from("openexr", floating=True, name="studio_secret"), linear())


def test_a_dpx_that_does_not_say_its_curve_is_refused_with_the_option() -> None:
    with pytest.raises(InputError, match="does not state its transfer curve; add `input_space=cineon`"):
        space_from("dpx")
    assert space_from("dpx", name="KodakLog") == space_named("cineon")
    assert space_from("cineon") == space_named("cineon")


def test_a_grey_profile_becomes_rgb_with_the_same_curve() -> None:
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, 256 * 18 // 10)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    grey = profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve, b"wtpt": white})
    space = space_from("tiff", icc=grey)
    parsed = profiles.parse(space.icc or b"")
    assert parsed is not None
    assert parsed.curves == (Power(460 / 256),) * 3
    assert np.ptp(of((90, 90, 90), space, 16)) < 0.1


def test_the_users_word_wins_over_the_file() -> None:
    tags = ColourTags(icc=adobe_rgb())
    assert space_of(tags, floating=False, format="png", input_space="srgb") == Space()
    assert is_linear(space_of(tags, floating=False, format="png", input_space="linear"))
    log = space_of(tags, floating=False, format="png", input_space="ARRI LogC4")
    assert log == Space(name="ARRI LogC4")


def test_a_camera_log_is_converted_by_opencolorio() -> None:
    # ARRI LogC4: 18 % grey is code 0.2784 (ARRI, LogC4 Specification, 2022).
    grey = np.full((1, 1, 3), 0.2784, np.float32)
    np.testing.assert_allclose(convert(grey, Space(name="ARRI LogC4"), linear(), depth=32), 0.18, atol=2e-3)


def test_an_unknown_name_is_refused_with_names_that_are_close() -> None:
    with pytest.raises(UsageError, match=r"'ARRI LogC9' is not a colour space of OpenColorIO's studio.*ARRI LogC"):
        space_named("ARRI LogC9")


def test_pq_and_hlg_are_recognised() -> None:
    assert is_hdr(Space(cicp=PQ))
    assert is_hdr(Space(cicp=HLG))
    assert not is_hdr(Space(adobe_rgb()))


@pytest.mark.parametrize("space", [Space(cicp=PQ), Space(cicp=HLG), space_named("ACEScg"), space_named("prophoto")])
def test_colours_come_back_from_another_space(space: Space) -> None:
    colours = np.random.default_rng(0).random((40, 40, 3)).astype(np.float32)
    there = convert(colours, Space(), space, depth=32)
    np.testing.assert_allclose(convert(there, space, Space(), depth=32), colours, atol=2e-5)


def test_primaries_of_a_png_without_a_curve_say_nothing() -> None:
    assert space_from("PNG", chromaticities=profiles.REC2020) == Space()
    assert is_linear(space_from("OpenEXR", floating=True, chromaticities=profiles.REC2020))


@pytest.mark.parametrize("numbers", [(0.0,) * 8, (0.3, 0.3, 0.4, 0.4, 0.5, 0.5, 0.3, 0.3), (float("nan"),) * 8])
def test_chromaticities_that_span_no_colours_count_as_none(numbers: tuple[float, ...]) -> None:
    assert same_space(space_from("OpenEXR", floating=True, chromaticities=numbers), linear())
    assert space_from("PNG", gamma=0.45455, chromaticities=numbers) == Space()
