"""OpenEXR: values as they are, alpha divided, windows, layers and attributes carried."""

from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO
import pytest
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.colour import convert, linear
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_alpha, read_image, read_size

RGB, RGBA = ("R", "G", "B"), ("R", "G", "B", "A")


def spec(pixels: NDArray[Any], names: tuple[str, ...], kind: str = "float", **attributes: Any) -> Any:
    found = OpenImageIO.ImageSpec(pixels.shape[1], pixels.shape[0], len(names), kind)
    found.channelnames = names
    for name, value in attributes.items():
        found.attribute(name, value)
    return found


def write(path: Path, pixels: NDArray[Any], names: tuple[str, ...], kind: str = "float", **attributes: Any) -> None:
    output = OpenImageIO.ImageOutput.create(str(path))
    assert output.open(str(path), spec(pixels, names, kind, **attributes))
    assert output.write_image(pixels.astype(np.float32))
    output.close()


def plate(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("kind", ["half", "float"])
def test_floats_come_back_with_their_bits_highlights_and_nan_included(tmp_path: Path, kind: str) -> None:
    pixels = plate(9, 11, 3).astype(np.float16).astype(np.float32)
    pixels[0, 0], pixels[0, 1], pixels[0, 2] = (np.nan, np.inf, -1), (1000, -np.inf, 0), 65504
    write(tmp_path / "a.exr", pixels, RGB, kind)
    image = read_image(tmp_path / "a.exr")
    assert image.pixels.tobytes() == pixels.tobytes()
    assert image.depth == 32
    assert read_size(tmp_path / "a.exr") == (11, 9)


def test_colours_are_divided_by_alpha_but_those_under_0_and_1_keep_their_bits(tmp_path: Path) -> None:
    pixels = np.array([[[4, 2, 1, 0.25], [0.3, 0.1, 7, 0], [np.nan, -1, np.inf, 1]]], np.float32)
    write(tmp_path / "a.exr", pixels, RGBA)
    expected = pixels.copy()
    expected[0, 0, :3] = 16, 8, 4
    assert read_image(tmp_path / "a.exr", keep_alpha=True).pixels.tobytes() == expected.tobytes()


def test_data_and_display_window_are_told(tmp_path: Path) -> None:
    pixels = plate(20, 30, 3)
    windows = spec(pixels, RGB)
    windows.x, windows.y, windows.full_x, windows.full_y = -3, -2, 0, 0
    windows.full_width, windows.full_height = 25, 15
    output = OpenImageIO.ImageOutput.create(str(tmp_path / "a.exr"))
    assert output.open(str(tmp_path / "a.exr"), windows)
    assert output.write_image(pixels)
    output.close()
    image = read_image(tmp_path / "a.exr")
    assert np.array_equal(image.pixels, pixels)
    assert image.metadata.windows is not None
    assert image.metadata.windows.data == (-3, -2, 30, 20)
    assert image.metadata.windows.display == (0, 0, 25, 15)


def test_a_layer_is_read_by_its_name(tmp_path: Path) -> None:
    names = (*RGBA, "diffuse.R", "diffuse.G", "diffuse.B", "depth.Z")
    pixels = plate(6, 7, len(names))
    pixels[..., 3] = 1
    write(tmp_path / "a.exr", pixels, names)
    assert np.array_equal(read_image(tmp_path / "a.exr").pixels, pixels[..., :3])
    diffuse = read_image(tmp_path / "a.exr", options=ReadOptions(layer="diffuse")).pixels
    assert np.array_equal(diffuse, pixels[..., 4:7])
    depth = read_image(tmp_path / "a.exr", options=ReadOptions(layer="depth")).pixels
    assert np.array_equal(depth[..., 0], pixels[..., 7])
    with pytest.raises(InputError, match=r"a\.exr has no layer spec; its layers are: .*diffuse"):
        read_image(tmp_path / "a.exr", options=ReadOptions(layer="spec"))


def test_a_part_is_read_by_its_name(tmp_path: Path) -> None:
    first, second = plate(6, 7, 3), plate(6, 7, 3) * 2
    specs = [spec(first, RGB, name=name, **{"oiio:subimagename": name}) for name in ("beauty", "specular")]
    output = OpenImageIO.ImageOutput.create(str(tmp_path / "a.exr"))
    assert output.open(str(tmp_path / "a.exr"), specs)
    assert output.write_image(first)
    assert output.open(str(tmp_path / "a.exr"), specs[1], "AppendSubimage")
    assert output.write_image(second)
    output.close()
    assert np.array_equal(read_image(tmp_path / "a.exr").pixels, first)
    options = ReadOptions(layer="specular")
    assert np.array_equal(read_image(tmp_path / "a.exr", options=options).pixels, second)


@pytest.mark.parametrize("name", ["Z", "A"])
def test_a_part_of_one_channel_is_read_only_where_no_part_has_colours(tmp_path: Path, name: str) -> None:
    data, colours = plate(6, 7, 1) * 9, plate(6, 7, 3)
    layers = [("depth", data, (name,)), ("beauty", colours, RGB)]
    specs = [spec(pixels, names, name=part, **{"oiio:subimagename": part}) for part, pixels, names in layers]
    output = OpenImageIO.ImageOutput.create(str(tmp_path / "a.exr"))
    assert output.open(str(tmp_path / "a.exr"), specs)
    assert output.write_image(data)
    assert output.open(str(tmp_path / "a.exr"), specs[1], "AppendSubimage")
    assert output.write_image(colours)
    output.close()
    assert np.array_equal(read_image(tmp_path / "a.exr").pixels, colours)
    single = read_image(tmp_path / "a.exr", options=ReadOptions(layer="depth")).pixels
    assert np.array_equal(single, np.repeat(data, 3, axis=2))
    write(tmp_path / "b.exr", data, (name,))
    assert np.array_equal(read_image(tmp_path / "b.exr").pixels, np.repeat(data, 3, axis=2))


def test_a_file_without_colours_names_its_layers(tmp_path: Path) -> None:
    write(tmp_path / "a.exr", plate(4, 5, 4), ("N.X", "N.Y", "N.Z", "P.X"))
    with pytest.raises(
        InputError, match=r"a\.exr has no RGB or grey channels; name one of its layers by `layer`: N, P"
    ):
        read_image(tmp_path / "a.exr")


def test_a_layer_of_another_format_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 5)))
    with pytest.raises(InputError, match=r"a\.npy is NumPy, which has no layers; leave out `layer`"):
        read_image(tmp_path / "a.npy", options=ReadOptions(layer="diffuse"))


def test_attributes_are_kept_with_their_types(tmp_path: Path) -> None:
    write(tmp_path / "a.exr", plate(4, 5, 3), RGB, slate="7a", shutter=0.5)
    attributes = read_image(tmp_path / "a.exr").metadata.attributes
    assert attributes["slate"] == ("string", "7a")
    assert attributes["shutter"] == ("float", 0.5)


def test_a_matte_may_be_exr_but_not_with_values_beyond_white(tmp_path: Path) -> None:
    write(tmp_path / "a.exr", plate(4, 5, 1), ("Y",))
    assert np.array_equal(read_alpha(tmp_path / "a.exr"), plate(4, 5, 1)[..., 0])
    write(tmp_path / "b.exr", plate(4, 5, 1) * 9, ("Y",))
    with pytest.raises(InputError, match=r"b\.exr holds floating-point values from .*; scale them to the range 0 to 1"):
        read_alpha(tmp_path / "b.exr")


def test_a_matte_in_an_alpha_channel_alone_keeps_its_values(tmp_path: Path) -> None:
    matte = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4, 1)
    write(tmp_path / "a.exr", matte, ("A",))
    write(tmp_path / "layer.exr", np.concatenate([plate(3, 4, 3), matte], axis=2), ("R", "G", "B", "mask.A"))
    assert np.array_equal(read_alpha(tmp_path / "a.exr"), matte[..., 0])
    assert np.array_equal(read_alpha(tmp_path / "layer.exr", options=ReadOptions(layer="mask")), matte[..., 0])


def test_the_alpha_of_a_cut_out_is_a_matte_whatever_its_colours_are(tmp_path: Path) -> None:
    pixels = plate(5, 6, 4)
    pixels[0, 0, :3], pixels[0, 1, 0] = 5, np.nan
    write(tmp_path / "a.exr", pixels, RGBA)
    assert np.array_equal(read_alpha(tmp_path / "a.exr"), pixels[..., 3])
    pixels[2, 2, 3] = 3
    write(tmp_path / "b.exr", pixels, RGBA)
    with pytest.raises(InputError, match=r"floating-point values from .* to 3; scale them"):
        read_alpha(tmp_path / "b.exr")


@pytest.mark.parametrize(
    "stated",
    [
        {"chromaticities": ("float[8]", (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1 / 3, 1 / 3))},
        {"colorInteropID": "lin_ciexyzd65_scene"},
    ],
)
def test_cie_xyz_is_known_by_its_chromaticities_and_by_its_name(tmp_path: Path, stated: dict[str, Any]) -> None:
    pixels = np.full((4, 5, 3), (0.4752, 0.5, 0.5445), np.float32)
    output = OpenImageIO.ImageOutput.create("a.exr")
    layout = spec(pixels, RGB)
    for name, value in stated.items():
        if isinstance(value, tuple):
            layout.attribute(name, OpenImageIO.TypeDesc(value[0]), value[1])
        else:
            layout.attribute(name, value)
    assert output.open(str(tmp_path / "a.exr"), layout)
    assert output.write_image(pixels)
    output.close()
    light = convert(read_image(tmp_path / "a.exr").pixels, read_image(tmp_path / "a.exr").space, linear(), depth=32)
    np.testing.assert_allclose(light, 0.5, atol=1e-3)


@pytest.mark.parametrize("names", [("A", "Z"), ("A", "N.X", "Z"), ("alpha", "id")])
def test_an_alpha_beside_other_planes_is_a_matte(tmp_path: Path, names: tuple[str, ...]) -> None:
    pixels = plate(6, 7, len(names))
    write(tmp_path / "a.exr", pixels, names)
    assert np.array_equal(read_alpha(tmp_path / "a.exr"), pixels[..., 0])


def test_an_alpha_beside_colours_of_a_layer_is_not_taken_for_the_picture(tmp_path: Path) -> None:
    write(tmp_path / "a.exr", plate(6, 7, 4), ("A", "diffuse.R", "diffuse.G", "diffuse.B"))
    with pytest.raises(InputError, match=r"has no RGB or grey channels; name one of its layers by `layer`: diffuse"):
        read_image(tmp_path / "a.exr")
