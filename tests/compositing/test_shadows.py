import dataclasses
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO
import pytest
from numpy.typing import NDArray

from mattecli.compositing.finishing import Finishing, finish
from mattecli.compositing.outputs import make_output, write_output
from mattecli.compositing.shadows import _blurred, kept, made, shaded, with_shadow
from mattecli.errors import InputError
from mattecli.imaging.colour import decode_srgb, encode_srgb, linear, space_named
from mattecli.imaging.image import Image, in_space
from mattecli.imaging.options import Depth, WriteOptions
from mattecli.imaging.pixels import as_float
from mattecli.imaging.read import read_image
from mattecli.imaging.space import SRGB
from mattecli.imaging.write import write_image

Floats = NDArray[np.float32]


def product(*, brightness: float = 0.9, noise: float = 0.004) -> tuple[Image, Floats, Floats]:
    """A photo of a box with a soft shadow on a background that darkens to its edges, its alpha, and its shadow.

    A second spot, which does not touch the box, is dust on the background.
    """
    height, width = 400, 500
    alpha = np.zeros((height, width), np.float32)
    alpha[120:300, 180:300] = 1
    alpha = cv2.GaussianBlur(alpha, (5, 5), 0.8)
    ground = np.zeros_like(alpha)
    ground[280:306, 170:380] = 1
    shade = np.float32(0.5) * cv2.GaussianBlur(ground, (61, 61), 12)
    shade[shade < 0.002] = 0
    dust = np.zeros_like(alpha)
    cv2.circle(dust, (80, 90), 5, 0.3, -1)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    plate = brightness * (1 - 0.15 * ((x / width - 0.5) ** 2 + (y / height - 0.4) ** 2))
    light = (1 - shade) * (1 - dust) * plate
    mixed = alpha * 0.2 + (1 - alpha) * light
    values = encode_srgb(np.repeat(mixed[..., None], 3, axis=2)) + np.random.default_rng(0).normal(
        0, noise, (height, width, 3)
    )
    return Image(np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)), alpha, 1 - shade


def test_the_kept_shadow_is_the_true_one_and_all_else_is_exactly_white() -> None:
    photo, alpha, light = product()
    found = kept(photo, alpha)
    free = alpha == 0
    shadow = free & (light < 1)
    assert np.abs(found - light)[shadow].mean() <= 0.01
    assert (np.abs(found - light)[shadow] <= 0.02).mean() >= 0.98
    assert (found[free & (light == 1)] == 1).mean() >= 0.999


def test_haze_that_finishing_removes_is_background_for_a_kept_shadow() -> None:
    photo, alpha, light = product()
    found = kept(photo, np.maximum(alpha, np.float32(0.004)))
    free = alpha == 0
    assert np.abs(found - light)[free & (light < 1)].mean() <= 0.01
    assert (found[free & (light == 1)] == 1).mean() >= 0.999


def test_dust_that_does_not_touch_the_subject_goes() -> None:
    photo, alpha, _ = product()
    assert (kept(photo, alpha)[80:100, 70:90] == 1).all()


def test_the_shadow_is_gone_before_the_frame() -> None:
    photo, alpha, _ = product()
    found = kept(Image(photo.pixels[:, :380]), np.ascontiguousarray(alpha[:, :380]))
    assert (found[285:300, -1] == 1).all()
    assert (found[285:300, -40] < 0.8).all()


@pytest.mark.parametrize("kind", ["dark", "coloured", "busy", "covered"])
def test_a_background_that_is_not_near_white_is_refused_by_name(kind: str) -> None:
    photo, alpha, _ = product()
    pixels = photo.pixels.copy()
    if kind == "dark":
        pixels //= 2
    elif kind == "coloured":
        pixels[..., 0] //= 2
    elif kind == "busy":
        pixels = np.random.default_rng(0).integers(0, 256, pixels.shape, dtype=np.uint8)
    else:
        alpha = np.ones_like(alpha)
    with pytest.raises(InputError, match=r"mug\.jpg: .*background"):
        finish(Image(pixels), alpha, Finishing(shadow="keep"), name="mug.jpg")


def test_a_shadow_darkens_the_background_in_light_and_leaves_its_values_alone_elsewhere() -> None:
    front = Image(np.zeros((4, 5, 3), np.uint8))
    under = Image(np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8))
    light = np.ones((4, 5), np.float32)
    light[:2] = 0.5
    result = shaded(under, light, front, bounded=True).pixels
    values = under.pixels / np.float32(255)
    assert np.array_equal(result[2:], values[2:])
    assert np.abs(decode_srgb(result[:2]) - 0.5 * decode_srgb(values[:2])).max() < 1e-5


def test_a_shadow_darkens_a_background_brighter_than_white_as_it_darkens_white() -> None:
    photo, alpha, _ = product()
    finished = finish(photo, alpha, Finishing(shadow="keep"))
    bright = Image(np.full(photo.pixels.shape, 10, np.float32), linear().icc)
    over = [make_output("composite", photo, alpha, background=it, finished=finished) for it in ((1, 1, 1), bright)]
    np.testing.assert_array_equal(over[0].pixels, over[1].pixels)


def test_black_under_a_cutout_looks_over_white_as_the_composite_does() -> None:
    photo, alpha, _ = product()
    finished = finish(photo, alpha, Finishing(shadow="keep"))
    cut = make_output("cutout", photo, alpha, finished=finished).pixels / 255
    white = make_output("composite", photo, alpha, background=(1, 1, 1), finished=finished).pixels / 255
    over = cut[..., :3] * cut[..., 3:] + (1 - cut[..., 3:])
    free = alpha == 0
    assert np.abs(over - white)[free].max() <= 1.01 / 255
    assert (cut[free & (finished.light == 1), 3] == 0).all()


def test_black_in_a_space_of_light_is_as_opaque_as_the_shadow_is_dark() -> None:
    cut = np.zeros((1, 2, 4), np.float32)
    light = np.array([[0.25, 1.0]], np.float32)
    assert with_shadow(cut, light, linear())[0, :, 3] == pytest.approx([0.75, 0])
    assert with_shadow(cut, light, SRGB)[0, 0, 3] == pytest.approx(
        1 - float(encode_srgb(np.float32([0.25]))[0]), abs=1e-5
    )


def logc4(light: Floats) -> Floats:
    """ARRI LogC4, by its specification of 2022."""
    a, b, c = (2**18 - 16) / 117.45, (1023 - 95) / 1023, 95 / 1023
    return np.asarray((np.log2(a * light + 64) - 6) / 14 * b + c, np.float32)


def test_the_shadow_of_a_log_photo_is_black_of_its_curve() -> None:
    cut = np.zeros((1, 4, 4), np.float32)
    cut[0, 3] = [0.5, 0.4, 0.3, 1]
    light = np.array([[0.25, 0.9, 1.0, 0.25]], np.float32)
    made = with_shadow(cut, light, space_named("ARRI LogC4"))
    black, white = logc4(np.float32([0, 1]))
    seen = made[..., :3] * made[..., 3:] + (1 - made[..., 3:]) * white
    assert np.abs(seen[0, :3] - logc4(light[0, :3])[:, None]).max() <= 1e-3
    assert made[0, 0, :3] == pytest.approx([black] * 3, abs=1e-3)
    assert made[0, 2, 3] == 0
    assert np.array_equal(made[0, 3], cut[0, 3])  # what is opaque hides its shadow


def test_glow_under_a_shadow_adds_its_light_in_a_cutout_as_in_a_composite(tmp_path: Path) -> None:
    alpha = np.zeros((40, 50), np.float32)
    alpha[10:30, 15:35] = 1
    pixels = np.full((40, 50, 3), 0.2, np.float32)
    pixels[28:36, 5:45] = [3.5, 0.75, 0.125]
    photo = Image(pixels, linear().icc, glow=alpha == 0)
    finished = finish(photo, alpha, Finishing(shadow="contact"))
    assert finished.light is not None
    under = (alpha == 0) & (finished.light > 0) & (finished.light < 1)
    assert under.sum() > 50
    behind = Image(np.random.default_rng(0).uniform(0, 2, pixels.shape).astype(np.float32), linear().icc)
    composite = make_output("composite", photo, alpha, background=behind, finished=finished).pixels
    write_image(tmp_path / "a.exr", make_output("cutout", photo, alpha, finished=finished))
    stored = np.asarray(OpenImageIO.ImageBuf(str(tmp_path / "a.exr")).get_pixels(OpenImageIO.FLOAT))
    over = stored[..., :3] + (1 - stored[..., 3:]) * behind.pixels  # the "over" of premultiplied colours
    assert np.abs(over - composite)[under].max() <= 1e-5


def arch() -> Floats:
    """A bridge: two feet of 60 pixels, and an arch between them."""
    alpha = np.zeros((500, 700), np.float32)
    alpha[150:400, 150:550] = 1
    cv2.ellipse(alpha, (350, 400), (140, 180), 0, 180, 360, 0.0, -1)
    return alpha


def test_a_contact_shadow_lies_at_the_feet_and_not_under_an_arch() -> None:
    light = made(arch(), "contact")
    below = light[402:406]
    assert below[:, 160:200].mean() < 0.75
    assert below[:, 340:360].mean() > 0.95
    assert (light[:100] == 1).all()
    assert (light[480:] == 1).all()


def test_a_drop_shadow_lies_below_the_subject() -> None:
    light = made(arch(), "drop")
    assert light[405, 200] < 0.8
    assert light[405, 200] < light[145, 200]
    assert (light[:20] == 1).all()


@pytest.mark.parametrize("kind", ["contact", "drop"])
def test_a_made_shadow_is_the_same_every_time_and_ends_exactly(kind: str) -> None:
    first, second = (made(arch(), kind) for _ in range(2))  # type: ignore[arg-type]
    assert np.array_equal(first, second)
    assert (first == 1).mean() > 0.3
    assert first.min() >= 0


def test_nothing_casts_no_shadow() -> None:
    assert (made(np.zeros((20, 30), np.float32), "drop") == 1).all()


def test_the_strength_weakens_every_shadow() -> None:
    photo, alpha, _ = product()
    for kind in ("keep", "contact", "drop"):
        full = finish(photo, alpha, Finishing(shadow=kind)).light  # type: ignore[arg-type]
        half = finish(photo, alpha, Finishing(shadow=kind, shadow_strength=50)).light  # type: ignore[arg-type]
        assert full is not None
        assert half is not None
        assert np.abs((1 - half) - (1 - full) / 2).max() < 1e-6, kind


def test_a_kept_shadow_moves_with_its_subject() -> None:
    photo, alpha, _ = product()
    there = finish(photo, alpha, Finishing(shadow="keep"))
    crop = finish(photo, alpha, Finishing(shadow="keep", canvas=(600, 600), scale=1.0))
    assert crop.light is not None
    assert there.light is not None
    before, after = (np.argwhere(one.alpha > 0).min(0) for one in (there, crop))
    shadow, moved = (np.argwhere(light < 1) for light in (there.light, crop.light))
    assert np.array_equal(moved - after, shadow - before)  # every pixel of it, as the subject
    assert (after != before).all()
    assert np.array_equal(crop.light[crop.light < 1], there.light[there.light < 1])
    assert dataclasses.is_dataclass(crop.placement)
    plain = finish(photo, alpha, Finishing(canvas=(600, 600), scale=1.0))
    assert np.array_equal(plain.alpha, crop.alpha)


def test_a_shadow_that_the_output_cuts_is_said() -> None:
    photo, alpha, _ = product()
    tight = finish(photo, alpha, Finishing(shadow="drop", crop="subject"))
    assert [note for note in tight.notes if "cuts the shadow at the" in note]
    wide = finish(photo, alpha, Finishing(shadow="drop", crop="subject", margin=80))
    assert wide.notes == ()


@pytest.mark.parametrize("sigma", [11.9, 12.0, 23.0, 70.3])
def test_a_wide_blur_on_a_smaller_copy_is_that_of_the_whole_picture(sigma: float) -> None:
    rng = np.random.default_rng(3)
    values = np.zeros((401, 357), np.float32)  # no multiple of a cell
    cv2.ellipse(values, (180, 300), (120, 150), 0, 0, 360, 1, -1)  # over the lower frame
    values[200:, :31] = 1
    values[rng.random(values.shape) < 0.003] = 1
    whole = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    assert np.abs(_blurred(values, sigma) - whole).max() < 0.002


@pytest.mark.parametrize(("suffix", "bits", "noisy"), [(".png", 8, True), (".png", 16, False), (".exr", None, False)])
@pytest.mark.parametrize("depth", [8, 16])
def test_only_files_of_8_bits_have_noise_in_a_made_shadow(
    tmp_path: Path, depth: int, suffix: str, bits: Depth | None, noisy: bool
) -> None:
    alpha = arch()
    photo = in_space(Image(np.full((*alpha.shape, 3), 90, np.uint8)), SRGB, depth=depth)
    finished = finish(photo, alpha, Finishing(shadow="drop"))
    assert finished.light is not None
    files = []
    for name in ("a", "b"):
        target = tmp_path / f"{name}{suffix}"
        options = {"background": (1.0, 1.0, 1.0), "finished": finished, "files": WriteOptions(bits=bits)}
        write_output("composite", target, photo, alpha, **options)  # type: ignore[arg-type]
        files.append(read_image(target))
    assert np.array_equal(files[0].pixels, files[1].pixels)
    values = as_float(files[0].pixels)[..., 1]
    light = values if suffix == ".exr" else decode_srgb(np.repeat(values[..., None], 3, axis=2))[..., 1]
    free = alpha == 0
    assert np.median(np.abs(np.diff(finished.light, 2, axis=1))[finished.light[:, 1:-1] < 1]) < 0.1 / 255
    off = np.abs(light - finished.light)[free]
    inside = finished.light[free] < 1
    assert (off[~inside] == 0).all()
    assert (np.median(off[inside]) > 0.2 / 255) == noisy
    assert off.max() < (2 if noisy else 0.15) / 255  # half floats have 11 bits
