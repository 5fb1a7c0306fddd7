"""Writing: what was asked for or nothing, rounded, with profile and resolution, and the same bytes each time."""

import io
import os
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile

from mattecli.errors import InputError, UsageError
from mattecli.imaging.colour.icc import P3_PROFILE
from mattecli.imaging.image import Image, to_depth
from mattecli.imaging.options import WriteOptions
from mattecli.imaging.read import read_alpha, read_image
from mattecli.imaging.write import check_output, write_alpha, write_image
from mattecli.imaging.writing.encoding import FORMATS
from mattecli.imaging.writing.layers import write_layers
from tests.imaging.test_read import SRGB, noise
from tests.support.permissions import lock

RAMP = np.linspace(0, 1, 1001, dtype=np.float32).reshape(1, -1)


def leftovers(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


# --- depth, profile, resolution ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pixels_profile_and_resolution_survive(tmp_path: Path, suffix: str, channels: int, depth: int) -> None:
    pixels = noise(21, 13, channels, depth=depth)
    image = Image(pixels[..., 0] if channels == 1 else pixels, None if channels == 1 else SRGB, (300.0, 240.0))
    write_image(tmp_path / f"a{suffix}", image)
    again = read_image(tmp_path / f"a{suffix}", keep_alpha=True)
    assert again.depth == depth
    assert np.array_equal(again.pixels, np.repeat(pixels, 3, axis=2) if channels == 1 else pixels)
    assert again.icc == image.icc
    assert again.resolution == pytest.approx((300, 240), abs=0.02)  # PNG counts in whole pixels a metre


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "CMYK"])
def test_the_profile_of_a_pil_image_is_kept_for_colours(tmp_path: Path, mode: str) -> None:
    profile = P3_PROFILE
    picture = PIL.Image.fromarray(noise(8, 8, 3)).convert(mode)
    picture.info["icc_profile"] = profile
    write_image(tmp_path / "a.png", picture)
    with PIL.Image.open(tmp_path / "a.png") as again:
        assert again.info.get("icc_profile") == (profile if mode.startswith("RGB") else None)
        if mode != "CMYK":
            np.testing.assert_array_equal(np.asarray(again), np.asarray(picture))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp", ".avif"])
def test_other_programs_see_profile_and_resolution(tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / f"a{suffix}", Image(noise(16, 16, 3), SRGB, (300.0, 300.0)))
    with PIL.Image.open(tmp_path / f"a{suffix}") as picture:
        picture.load()
        assert picture.info["icc_profile"] == SRGB
        if suffix not in {".webp", ".avif"}:  # these two have no field for it
            assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.02)
        assert 0x0112 not in picture.getexif() or picture.getexif()[0x0112] == 1


def test_png_chunks_stand_where_the_format_wants_them(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", Image(noise(8, 8, 4, depth=16), SRGB, (72.0, 72.0)))
    data, names, at = (tmp_path / "a.png").read_bytes(), [], 8
    while at < len(data):
        names.append(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    assert names[:4] == [b"IHDR", b"iCCP", b"pHYs", b"IDAT"]
    assert names[-1] == b"IEND"
    with PIL.Image.open(tmp_path / "a.png") as picture:
        picture.verify()


def test_tiff_alpha_is_marked_as_straight(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", Image(noise(8, 8, 4, depth=16)))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        page: Any = tiff.pages[0]
        assert page.extrasamples == (2,)
        assert not {"Software", "DateTime", "ImageDescription"} & {tag.name for tag in page.tags}


def test_float_colours_stay_floats_in_tiff_and_become_16_bits_in_png(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((6, 7, 3), np.float32)
    write_image(tmp_path / "a.tif", Image(pixels, SRGB))
    write_image(tmp_path / "a.png", Image(pixels, SRGB))
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, pixels)
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, np.rint(pixels.astype(np.float64) * 65535))


def test_16_bits_are_rounded_to_8_where_the_format_has_no_more(tmp_path: Path) -> None:
    deep = np.array([[[0, 128, 129], [65406, 65407, 65535]]], np.uint16)  # 128.5 is the first half of 65535/255 = 257
    write_image(tmp_path / "a.bmp", Image(deep))
    assert read_image(tmp_path / "a.bmp").pixels.tolist() == [[[0, 0, 1], [254, 255, 255]]]


def test_jpeg_is_of_quality_95_without_chroma_subsampling(tmp_path: Path) -> None:
    pixels = noise(32, 32, 3)
    write_image(tmp_path / "a.jpg", Image(pixels))
    with PIL.Image.open(tmp_path / "a.jpg") as picture:
        assert [layer[1:3] for layer in picture.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]
        tables = picture.quantization  # type: ignore[attr-defined]
    expected = io.BytesIO()
    PIL.Image.fromarray(pixels).save(expected, "JPEG", quality=95)
    with PIL.Image.open(expected) as picture:
        assert tables == picture.quantization  # type: ignore[attr-defined]


@pytest.mark.parametrize("suffix", [".webp", ".avif"])
def test_transparency_survives_in_lossy_formats(tmp_path: Path, suffix: str) -> None:
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[:, :16] = (200, 100, 50, 255)
    write_image(tmp_path / f"a{suffix}", Image(pixels))
    again = read_image(tmp_path / f"a{suffix}", keep_alpha=True).pixels
    assert np.abs(again[..., 3].astype(int) - pixels[..., 3]).max() <= 2


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix not in {".jpg", ".jpeg", ".jxl", ".exr"}])
def test_every_level_of_a_matte_is_kept(tmp_path: Path, suffix: str) -> None:
    alpha = (noise(32, 32) / 255).astype(np.float32)
    write_alpha(tmp_path / f"a{suffix}", alpha)
    assert np.array_equal(read_alpha(tmp_path / f"a{suffix}"), alpha)


def test_webp_keeps_the_colours_under_transparent_pixels(tmp_path: Path) -> None:
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[..., :3] = np.linspace(0, 255, 32)[:, None]
    pixels[:, 16:, 3] = 255
    write_image(tmp_path / "a.webp", Image(pixels))
    again = read_image(tmp_path / "a.webp", keep_alpha=True).pixels
    assert np.abs(again[..., :3].astype(int) - pixels[..., :3]).max() < 40  # of 255, which a cleared area would be off


@pytest.mark.parametrize(
    ("alpha", "sentence"),
    [
        (RAMP * 255, "the matte has values from 0 to 255; give floats in"),
        (RAMP * np.float32("nan"), "the matte has values from nan"),
        (RAMP - 0.5, "the matte has values from -0.5"),
        (np.zeros((4, 5, 3), np.float32), r"the matte has shape \(4, 5, 3\); give \(H, W\)"),
        (np.zeros((0, 5), np.float32), r"the matte has shape \(0, 5\)"),
        (np.zeros((4, 5), np.int64), "of type int64"),
    ],
)
@pytest.mark.parametrize("name", ["a.png", "a.npy"])
def test_an_array_that_is_not_a_matte_is_not_written_as_one(
    tmp_path: Path, name: str, alpha: Any, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        write_alpha(tmp_path / name, alpha)
    assert leftovers(tmp_path) == []


def test_a_matte_of_any_float_type_is_written(tmp_path: Path) -> None:
    for kind in (np.float16, np.float64):
        write_alpha(tmp_path / f"{kind.__name__}.png", np.linspace(0, 1, 256).reshape(1, -1).astype(kind))
        assert np.array_equal(np.rint(read_alpha(tmp_path / f"{kind.__name__}.png") * 255)[0], np.arange(256))


def test_a_matte_of_12_bits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`bits` must be 8, 16, 'half' or 'float', not 12"):
        write_alpha(tmp_path / "a.png", RAMP, bits=12)  # type: ignore[arg-type]


def test_floats_out_of_range_are_not_written_as_white(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the picture has values from 200 to 200"):
        write_image(tmp_path / "a.png", Image(np.full((4, 5, 3), 200, np.float32)))


@pytest.mark.parametrize(
    ("shape", "kind"), [((4, 5, 2), "uint8"), ((4,), "uint8"), ((0, 5), "uint8"), ((4, 5), "int64")]
)
def test_an_array_that_is_not_a_picture_is_refused(shape: tuple[int, ...], kind: str) -> None:
    with pytest.raises(InputError, match=r"the picture (has shape|is of type)"):
        Image(np.zeros(shape, kind))


def test_float64_pictures_become_float32() -> None:
    image = Image(np.full((2, 3), 0.25))
    assert (image.pixels.dtype, image.depth) == (np.float32, 32)


# --- mattes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "top"), [(8, 255), (16, 65535)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_matte_is_rounded_not_truncated(tmp_path: Path, suffix: str, bits: Any, top: int) -> None:
    write_alpha(tmp_path / f"a{suffix}", RAMP, bits=bits)
    stored = cv2.imread(str(tmp_path / f"a{suffix}"), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    assert stored.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert np.abs(stored - RAMP.astype(np.float64) * top).max() <= 0.5 + 1e-2
    assert (stored[0, 0], stored[0, -1]) == (0, top)


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_a_float_matte_comes_back_exactly(tmp_path: Path, suffix: str) -> None:
    write_alpha(tmp_path / f"a{suffix}", RAMP, bits="float")
    assert np.array_equal(read_alpha(tmp_path / f"a{suffix}"), RAMP)


def test_npy_always_holds_floats(tmp_path: Path) -> None:
    write_alpha(tmp_path / "a.npy", RAMP)
    assert np.load(tmp_path / "a.npy").dtype == np.float32


def test_a_matte_takes_the_resolution_and_not_the_profile_of_its_photo(tmp_path: Path) -> None:
    write_alpha(tmp_path / "a.png", RAMP, like=Image(noise(2, 2, 3), SRGB, (300.0, 300.0)))
    again = read_image(tmp_path / "a.png")
    assert again.resolution == pytest.approx((300, 300), abs=0.02)
    assert again.icc is None


@pytest.mark.parametrize(
    ("name", "bits", "sentence"),
    [
        ("a.webp", 16, r"a\.webp cannot hold 16 bits \(WebP\); name a \.png or \.tif file"),
        ("a.bmp", 16, r"a\.bmp cannot hold 16 bits \(BMP\)"),
        ("a.png", "float", r"a\.png cannot hold floating point \(PNG\); name a \.tif or \.npy or \.exr file"),
        ("a.jpg", 8, r"a\.jpg would not keep the values of a matte \(JPEG is lossy\); name a \.png file"),
    ],
)
def test_a_depth_the_format_lacks_is_refused(tmp_path: Path, name: str, bits: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        write_alpha(tmp_path / name, RAMP, bits=bits)
    with pytest.raises(InputError, match=sentence):
        check_output(tmp_path / name, overwrite=False, bits=bits)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.bmp"])
def test_transparency_is_not_lost_in_a_format_without_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"cannot hold transparency \((JPEG|BMP)\); name a \.png file"):
        write_image(tmp_path / name, Image(noise(4, 4, 4)))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("source", [8, 16, 32])
@pytest.mark.parametrize("target", [8, 16, 32])
def test_depths_convert_by_the_nearest_value(source: int, target: int) -> None:
    full = {8: 255, 16: 65535, 32: 1}
    types: dict[int, Any] = {8: np.uint8, 16: np.uint16, 32: np.float32}
    values = RAMP if source == 32 else np.arange(full[source] + 1).astype(types[source]).reshape(1, -1)
    converted = to_depth(values, target)
    exact = values.astype(np.float64) * full[target] / full[source]
    assert converted.dtype == types[target]
    assert np.abs(converted - exact).max() <= (1e-7 if target == 32 else 0.5 + 1e-2 * (source == 32))
    assert np.array_equal(to_depth(converted, source), values) or target < source


def test_floats_beyond_the_range_are_cut_not_wrapped() -> None:
    assert to_depth(np.array([[-0.5, 1.5]], np.float32), 8).tolist() == [[0, 255]]


def test_large_pictures_convert_band_by_band_to_the_same_values() -> None:
    pixels = noise(3000, 1500, 1, depth=16)[..., 0]
    assert np.array_equal(to_depth(pixels, 8), np.rint(pixels / 257))


# --- whole or not at all ----------------------------------------------------------------------------------------------


class BrokenEncoderError(Exception):
    """What an encoder might throw."""


def _fail(error: BaseException) -> Any:
    def save(handle: BinaryIO, image: Image, options: WriteOptions) -> None:
        handle.write(b"half a file")
        raise error

    return save


@pytest.mark.parametrize(
    ("thrown", "raised"),
    [
        (BrokenEncoderError("no such luck"), InputError),
        (OSError(28, "No space left on device"), InputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError(), MemoryError),
    ],
)
@pytest.mark.parametrize("existing", [False, True])
def test_a_write_that_fails_leaves_nothing_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thrown: BaseException, raised: type[BaseException], existing: bool
) -> None:
    if existing:
        (tmp_path / "a.png").write_bytes(b"older")
    monkeypatch.setitem(FORMATS, ".png", replace(FORMATS[".png"], encode=_fail(thrown)))
    with pytest.raises(raised) as caught:
        write_image(tmp_path / "a.png", Image(noise(4, 4, 3)), overwrite=existing)
    if raised is InputError:
        assert str(caught.value).startswith(f"{tmp_path / 'a.png'} cannot be written (")
    assert leftovers(tmp_path) == (["a.png"] if existing else [])
    assert not existing or (tmp_path / "a.png").read_bytes() == b"older"


def test_the_target_never_holds_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool]] = []
    real = FORMATS[".png"].encode

    def save(handle: BinaryIO, image: Image, options: WriteOptions) -> None:
        real(handle, image, options)
        hidden = [name for name in leftovers(tmp_path) if name.startswith(".")]
        seen.append(((tmp_path / "a.png").exists(), len(hidden) == 1))

    monkeypatch.setitem(FORMATS, ".png", replace(FORMATS[".png"], encode=save))
    write_image(tmp_path / "a.png", Image(noise(4, 4, 3)))
    assert seen == [(False, True)]
    assert leftovers(tmp_path) == ["a.png"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def save(handle: BinaryIO, image: Image, options: WriteOptions) -> None:
        handle.write(b"ours")
        (tmp_path / "a.png").write_bytes(b"theirs")

    def no_links(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setitem(FORMATS, ".png", replace(FORMATS[".png"], encode=save))
    with pytest.raises(InputError, match=r"a\.png exists already; name another output or use `overwrite=True`"):
        write_image(tmp_path / "a.png", Image(noise(4, 4, 3)))
    assert (tmp_path / "a.png").read_bytes() == b"theirs"
    assert leftovers(tmp_path) == ["a.png"]


def test_writing_works_on_a_disk_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", no_links)
    pixels = noise(4, 4, 3)
    write_image(tmp_path / "a.png", Image(pixels))
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, pixels)
    assert leftovers(tmp_path) == ["a.png"]


def test_overwrite_replaces_and_its_absence_refuses(tmp_path: Path) -> None:
    first, second = noise(4, 4, 3), noise(4, 4, 3, seed=1)
    write_image(tmp_path / "a.png", Image(first))
    with pytest.raises(InputError, match=r"a\.png exists already; name another output or use `overwrite=True`"):
        write_image(tmp_path / "a.png", Image(second))
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, first)
    write_image(tmp_path / "a.png", Image(second), overwrite=True)
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, second)


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.usefixtures("usual_umask")
def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", Image(noise(4, 4, 3)))
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o644


@pytest.mark.skipif(os.name != "posix", reason="symbolic links of POSIX")
def test_a_symbolic_link_stays_one_and_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "real" / "a.png")
    write_image(tmp_path / "link.png", Image(noise(4, 4, 3)))
    assert (tmp_path / "link.png").is_symlink()
    assert leftovers(tmp_path / "real") == ["a.png"]


@pytest.mark.skipif(os.name != "posix", reason="symbolic links of POSIX")
def test_a_link_into_a_folder_that_is_gone_is_found_early(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / "gone" / "a.png")
    with pytest.raises(InputError, match=r"link\.png cannot be written: the folder .*gone does not exist"):
        check_output(tmp_path / "link.png", overwrite=False)


@pytest.mark.parametrize("name", ["a b.png", "🦁 мех.png", "é" * 120 + ".png", "A.PNG"])
def test_any_name_is_written(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name, Image(noise(4, 4, 3)))
    assert leftovers(tmp_path) == [name]


def test_the_same_pixels_give_the_same_bytes_at_another_time(tmp_path: Path) -> None:
    image = Image(noise(40, 40, 3), SRGB, (300.0, 300.0))
    for suffix in FORMATS:
        write_image(tmp_path / f"1{suffix}", image)
    time.sleep(1.1)  # dates in headers count seconds
    for suffix in FORMATS:
        write_image(tmp_path / f"2{suffix}", image)
        assert (tmp_path / f"1{suffix}").read_bytes() == (tmp_path / f"2{suffix}").read_bytes(), suffix


@pytest.mark.parametrize("name", ["image.png", "alpha.png", "layers.psd", "layers.tif"])
def test_the_finished_file_is_handed_over_before_it_gets_its_name(tmp_path: Path, name: str) -> None:
    """A batch puts its line about an output on the disk at that moment."""
    target, alpha = tmp_path / name, np.full((8, 9), 0.5, np.float32)
    photo = Image(noise(8, 9, 3))
    seen: list[bool] = []
    handed: list[bytes] = []

    def ready(handle: BinaryIO) -> None:
        seen.append(target.exists())
        handle.flush()
        handed.append(Path(handle.name).read_bytes())

    if name.startswith("layers"):
        pytest.importorskip("psd_tools" if name.endswith("psd") else "psdtags")
        write_layers(target, photo, photo, alpha, ready=ready)
    elif name.startswith("alpha"):
        write_alpha(target, alpha, ready=ready)
    else:
        write_image(target, photo, ready=ready)
    assert seen == [False]
    assert handed == [target.read_bytes()]


# --- outputs that could not be written --------------------------------------------------------------------------------


def test_check_output_finds_early_what_would_fail_late(tmp_path: Path) -> None:
    (tmp_path / "there.png").write_bytes(b"older")
    (tmp_path / "folder.png").mkdir()
    for name, sentence in {
        "there.png": r"there\.png exists already; name another output or use `overwrite=True`$",
        "folder.png": r"folder\.png is a folder; name a file in it$",
        "gone/a.png": r"a\.png cannot be written: the folder .*gone does not exist; create it first$",
        "there.png/a.png": r"cannot be written: .*there\.png is a file, not a folder; name another output$",
        "a.xyz": r"a\.xyz has the unknown suffix \.xyz; name one of \.png, ",
        "bare": r"bare has no suffix; name one of \.png, ",
    }.items():
        with pytest.raises(InputError, match=sentence):
            check_output(tmp_path / name, overwrite=False)
        with pytest.raises(InputError, match=sentence):
            write_image(tmp_path / name, Image(noise(4, 4, 3)))
    check_output(tmp_path / "there.png", overwrite=True)
    check_output(tmp_path / "new.png", overwrite=False)
    assert leftovers(tmp_path) == ["folder.png", "there.png"]


def test_an_input_is_never_written_to(tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", Image(noise(4, 4, 3)))
    inputs = ["-", tmp_path / "gone.png", tmp_path / "photo.png"]
    with pytest.raises(InputError, match=r"photo\.png is an input of this run and is never written to"):
        check_output(tmp_path / "." / "photo.png", overwrite=True, inputs=inputs)
    check_output(tmp_path / "other.png", overwrite=True, inputs=inputs)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no special files to lose")
def test_a_special_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match=r"pipe\.png is not a regular file"):
        check_output(tmp_path / "pipe.png", overwrite=True)


def test_a_locked_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    lock(tmp_path / "locked", 0o500, monkeypatch)
    with pytest.raises(InputError, match=r"the folder .*locked is not writable"):
        check_output(tmp_path / "locked" / "a.png", overwrite=False)


def test_a_side_too_long_for_the_format_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"long\.webp cannot be written \(.*\); name another file, folder or format"):
        write_image(tmp_path / "long.webp", Image(np.zeros((1, 16384, 3), np.uint8)))
    assert leftovers(tmp_path) == []


# --- standard output --------------------------------------------------------------------------------------------------


class _Stdout:
    def __init__(self, *, terminal: bool = False) -> None:
        self.buffer = io.BytesIO()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def test_dash_writes_png_to_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = _Stdout()
    monkeypatch.setattr(sys, "stdout", out)
    image = Image(noise(4, 4, 4, depth=16), SRGB, (72.0, 72.0))
    write_image("-", image)
    write_image(tmp_path / "a.png", image)
    assert out.buffer.getvalue() == (tmp_path / "a.png").read_bytes()


def test_png_data_is_not_written_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", _Stdout(terminal=True))
    with pytest.raises(InputError, match=r"but that is a terminal; redirect it or name a file"):
        check_output("-", overwrite=False)


def test_a_closed_pipe_is_not_an_error_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(_Stdout):
        @property
        def buffer(self) -> Any:  # type: ignore[override]
            raise BrokenPipeError(32, "Broken pipe")

        @buffer.setter
        def buffer(self, value: object) -> None:
            pass

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):  # the command line ends quietly
        write_image("-", Image(noise(4, 4, 3)))
