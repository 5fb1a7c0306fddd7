"""Renditions: shrunk into a box, and held below a number of bytes."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mattecli.compositing.outputs import write_output
from mattecli.compositing.rendition import LOWEST_QUALITY, shrunk, shrunk_into, within_bytes
from mattecli.errors import InputError
from mattecli.imaging.colour import linear
from mattecli.imaging.image import Image
from mattecli.imaging.options import WriteOptions
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_image


def test_a_picture_is_shrunk_into_the_box_with_its_proportions() -> None:
    assert shrunk_into(np.zeros((60, 100, 3), np.uint8), (50, 50)).shape == (30, 50, 3)
    assert shrunk_into(np.zeros((60, 100), np.float32), (500, 6)).shape == (6, 10)


def test_a_picture_that_fits_is_left_as_it_is() -> None:
    pixels = np.zeros((60, 100, 3), np.uint8)
    assert shrunk_into(pixels, (100, 60)) is pixels
    assert shrunk_into(pixels, None) is pixels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_hidden_colours_do_not_bleed_into_a_shrunk_cutout(dtype: type) -> None:
    full = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    pixels = np.zeros((8, 8, 4), dtype)
    pixels[..., 0] = full  # red that is hidden
    pixels[:, ::2] = (0, full, 0, full)  # and green columns that are seen
    small = shrunk_into(pixels, (4, 4))
    assert small.dtype == dtype
    np.testing.assert_allclose(small[..., :3] / full, np.broadcast_to([0, 1, 0], (4, 4, 3)), atol=0.005)
    np.testing.assert_allclose(small[..., 3] / full, 0.5, atol=0.005)


def test_colours_where_a_cutout_is_empty_are_kept_when_it_is_shrunk() -> None:
    pixels = np.full((8, 8, 4), (10, 20, 30, 0), np.uint8)
    assert (shrunk_into(pixels, (4, 4)) == (10, 20, 30, 0)).all()


def glowing_plate() -> Image:
    """Columns of alpha 0, 0, 0, 0, 0, 1, 1, 1 from the left; the first three hold light, the others are grey."""
    pixels = np.full((8, 8, 4), (0.25, 0.25, 0.25, 0), np.float32)
    pixels[:, :3, :3], pixels[:, 5:, 3] = 2, 1
    glow = np.zeros((8, 8), np.bool_)
    glow[:, :3] = True
    return Image(pixels, linear().icc, glow=glow)


def test_a_plates_glow_is_shrunk_with_it_and_adds_its_light_where_it_meets_the_subject() -> None:
    small = shrunk(glowing_plate(), (4, 4))
    assert small.glow is not None
    np.testing.assert_array_equal(small.glow, np.tile([True, True, False, False], (4, 1)))
    seen = small.pixels[..., :3] * np.where(small.glow, 1, small.pixels[..., 3])[..., None]
    np.testing.assert_allclose(seen[0, :, 0], [2, 1, 0.125, 0.25])
    one = shrunk(glowing_plate(), (1, 1))
    assert one.glow is None
    np.testing.assert_allclose(one.pixels[0, 0, :3] * one.pixels[0, 0, 3], (3 * 2 + 3 * 0.25) / 8, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".exr", ".png"])
def test_a_cutout_of_a_plate_with_glow_is_written_smaller(tmp_path: Path, suffix: str) -> None:
    photo, target = glowing_plate(), tmp_path / f"small{suffix}"
    plate = Image(photo.pixels[..., :3].copy(), photo.icc, glow=photo.glow)
    write_output("cutout", target, plate, photo.pixels[..., 3], size=(4, 4))
    assert read_image(target, keep_alpha=True).size == (4, 4)
    if suffix == ".exr":
        np.testing.assert_allclose(read_image(target, keep_alpha=True).pixels[:, 0], np.tile([2, 2, 2, 0], (4, 1)))


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_a_file_gets_the_highest_quality_that_its_bytes_allow(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    image = Image(
        np.ascontiguousarray(np.asarray(PIL.Image.fromarray(noise).resize((96, 96), PIL.Image.Resampling.BICUBIC)))
    )
    target = str(tmp_path / f"x{suffix}")
    sizes = {}
    for quality in (60, 61, 95):
        write_image(target, image, overwrite=True, options=WriteOptions(quality=quality))
        sizes[quality] = len(Path(target).read_bytes())
    made = within_bytes(image, target, options=WriteOptions(), most=sizes[60])
    assert isinstance(made.quality, int)
    assert 60 <= made.quality < 95
    write_image(target, image, overwrite=True, options=made)
    assert len(Path(target).read_bytes()) <= sizes[60]
    assert within_bytes(image, target, options=WriteOptions(), most=sizes[95]).quality == 95
    assert within_bytes(image, target, options=WriteOptions(quality=60), most=sizes[95]).quality == 60


def test_a_file_that_cannot_be_small_enough_is_refused_by_name(tmp_path: Path) -> None:
    image = Image(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    with pytest.raises(InputError, match=rf"x\.jpg would have more than 500 bytes at quality {LOWEST_QUALITY}"):
        within_bytes(image, str(tmp_path / "x.jpg"), options=WriteOptions(), most=500)
    assert not (tmp_path / "x.jpg").exists()
