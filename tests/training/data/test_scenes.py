import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mattecli.compositing.composite import composite
from mattecli.imaging.colour import decode_srgb, encode_srgb
from mattecli.training.data.augmentation import (
    Degradation,
    Jitter,
    apply_jitter,
    degrade,
    draw_degradation,
    draw_gains,
    draw_jitter,
    relit,
)
from mattecli.training.data.config import DataConfig
from mattecli.training.data.random import Draw
from mattecli.training.data.scenes import (
    Sample,
    composite_bytes,
    draw_scene,
    match_channels,
    merge_layers,
    move_colours,
    render_scene,
)
from mattecli.training.data.sources import Sources
from tests.support.pictures import cutout, disc, folders, noise, write

EVERYTHING = DataConfig(photos=("p",), foregrounds=("f",), own=("o",))
CLEAN = Degradation(
    blur=0, resample=0, grade=None, sharpen=0, read_noise=0, shot_noise=0, grain=0, noise_at=(0.1, 0.2), jpeg=0
)


def sources_of(tmp_path: Path, **settings: object) -> tuple[DataConfig, Sources]:
    config = DataConfig(**folders(tmp_path), foreground_size=96, bank=3, **settings)  # type: ignore[arg-type]
    return config, Sources(config)


def own_only(tmp_path: Path, pixels: np.ndarray, **settings: object) -> tuple[DataConfig, Sources]:
    """A configuration whose only foreground is this one, on backgrounds of its own."""
    write(tmp_path / "fg" / "only.png", pixels)
    config = DataConfig(own=(str(tmp_path),), procedural=0, photo_background=0, merge=0, camera=0, **settings)  # type: ignore[arg-type]
    return config, Sources(config)


def test_the_first_fifty_scenes_are_the_ones_drawn_everywhere() -> None:
    text = "\n".join(draw_scene(EVERYTHING, 7, n).as_json() for n in range(50))
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "e89022d46a2822a8a7c5f47682a55fef1db7474d90681f5afd858c65a8603bce"
    )


LATER = EVERYTHING.replace(near_colours=0.5, near_by_channel=0.5, own_light=0.5, things_behind=0.5, between=0.5)


def test_scenes_with_later_settings_are_the_ones_drawn_everywhere() -> None:
    text = "\n".join(draw_scene(LATER, 7, n).as_json() for n in range(50))
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "1ef9188fa1027ce1ad969f827fe931ebdbf90dd11c0f223d493786fff1450f62"
    )


def test_a_scene_is_plain_json_of_six_digits() -> None:
    def numbers(value: object) -> list[float]:
        if isinstance(value, dict):
            return [x for part in value.values() for x in numbers(part)]
        if isinstance(value, list | tuple):
            return [x for part in value for x in numbers(part)]
        return [value] if isinstance(value, float) else []

    for config in (EVERYTHING, LATER):
        for number in range(20):
            scene = draw_scene(config, 0, number)
            assert json.loads(scene.as_json())["number"] == number
            assert all(value == round(value, 6) for value in numbers(asdict(scene)))


def test_scenes_differ_by_number_and_by_seed() -> None:
    drawn = {draw_scene(EVERYTHING, seed, n).as_json() for seed in range(3) for n in range(3)}
    assert len(drawn) == 9


def test_a_probability_changes_only_what_it_concerns() -> None:
    for n in range(20):
        before = draw_scene(EVERYTHING, 0, n)
        after = draw_scene(EVERYTHING.replace(camera=0, merge=0, near_colours=0, linear=0), 0, n)
        assert after == replace(before, degradation=None, layers=before.layers[:1], near=0.0, linear=False)


def test_all_origins_and_both_sorts_of_background_appear() -> None:
    scenes = [draw_scene(EVERYTHING, 0, n) for n in range(100)]
    assert {layer.origin for scene in scenes for layer in scene.layers} == {"procedural", "cutouts", "own"}
    assert {len(scene.layers) for scene in scenes} == {1, 2}
    assert {scene.background.photo < 0 for scene in scenes} == {True, False}


def test_a_scene_renders_to_the_same_bytes_again(tmp_path: Path) -> None:
    config, sources = sources_of(tmp_path)
    fresh = Sources(config)
    for n in range(12):
        scene = draw_scene(config, 3, n)
        first, again = render_scene(scene, sources, 96), render_scene(scene, fresh, 96)
        for name in ("image", "trimap", "alpha", "foreground", "background"):
            np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


def test_samples_are_whole_and_their_trimaps_true(tmp_path: Path) -> None:
    config, sources = sources_of(tmp_path)
    for n in range(24):
        sample = render_scene(draw_scene(config, 1, n), sources, 96)
        for name, shape in {"image": 3, "foreground": 3, "background": 3, "alpha": 0, "trimap": 0}.items():
            plane = getattr(sample, name)
            assert plane.dtype == np.uint8
            assert plane.shape == ((96, 96, 3) if shape else (96, 96))
        assert (sample.trimap == 128).any()
        assert (sample.alpha[sample.trimap == 255] == 255).all()
        assert (sample.alpha[sample.trimap == 0] == 0).all()


def test_an_undamaged_image_is_the_composite_of_its_colours(tmp_path: Path) -> None:
    config, sources = sources_of(tmp_path, camera=0, linear=0)
    for n in range(8):
        sample: Sample = render_scene(draw_scene(config, 2, n), sources, 96)
        alpha = sample.alpha.astype(np.float32) / 255
        expected = composite(sample.foreground, alpha, sample.background) * 255
        assert np.abs(sample.image - expected).max() < 0.51


@pytest.mark.parametrize("linear", [False, True])
def test_composites_equal_those_of_the_compositing_module(linear: bool) -> None:
    rng = np.random.default_rng(0)
    foreground, background = rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    alpha = rng.integers(0, 256, (64, 64), dtype=np.uint8)
    alpha[:8], alpha[8:16] = 0, 255
    expected = composite(foreground, alpha.astype(np.float32) / 255, background, linear=linear) * 255
    made = composite_bytes(foreground, alpha, background, linear=linear)
    assert np.abs(made - expected).max() < (1.0 if linear else 0.51)
    np.testing.assert_array_equal(made[:8], background[:8])
    np.testing.assert_array_equal(made[8:16], foreground[8:16])


@pytest.mark.parametrize("power", [1 / 1.2, 0.5])
def test_a_mixture_between_light_and_display_values_is_that_of_light_to_a_power(power: float) -> None:
    rng = np.random.default_rng(0)
    foreground, background = rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    alpha = rng.integers(0, 256, (64, 64), dtype=np.uint8)
    alpha[:8], alpha[8:16] = 0, 255
    share = alpha[..., None] / 255
    mixed = share * decode_srgb(foreground / 255) ** power + (1 - share) * decode_srgb(background / 255) ** power
    made = composite_bytes(foreground, alpha, background, linear=True, power=power)
    assert np.abs(made - 255 * encode_srgb(mixed ** (1 / power))).max() < 1.0
    np.testing.assert_array_equal(made[:8], background[:8])
    np.testing.assert_array_equal(made[8:16], foreground[8:16])


def test_scenes_between_light_and_display_values_differ_in_nothing_else() -> None:
    plain, between = (
        [draw_scene(DataConfig(between=share, linear=0), 3, n) for n in range(60)] for share in (0.0, 0.5)
    )
    powers = {scene.power for scene in between if scene.linear}
    assert 15 < sum(scene.linear for scene in between) < 45
    assert len(powers) > 2
    assert all(1 / 2.2 < power < 1 for power in powers)
    assert [replace(scene, linear=False, power=1.0) for scene in between] == plain
    assert ['"power":' in scene.as_json() for scene in between] == [scene.linear for scene in between]


@pytest.mark.parametrize(
    ("base", "setting", "field", "plain"),
    [
        ({}, "own_light", "own_light", None),
        ({"near_colours": 1.0}, "near_by_channel", "unmoved_channel", -1),
        ({"merge": 0.0}, "things_behind", "behind", None),
    ],
)
def test_settings_since_the_first_version_change_nothing_else(
    base: dict[str, Any], setting: str, field: str, plain: object
) -> None:
    before, after = (
        [draw_scene(DataConfig(**base, **{setting: share}), 3, n) for n in range(60)] for share in (0.0, 0.5)
    )
    assert 15 < sum(getattr(scene, field) != plain for scene in after) < 45
    assert [replace(scene, **{field: plain}) for scene in after] == before  # type: ignore[arg-type]
    assert [f'"{field}":' in scene.as_json() for scene in after] == [getattr(scene, field) != plain for scene in after]


def test_a_thing_behind_is_seen_and_belongs_to_the_background(tmp_path: Path) -> None:
    config, sources = sources_of(tmp_path, things_behind=1.0, merge=0.0, camera=0.0, near_colours=0.0)
    seen = 0
    for n in range(30):
        scene = draw_scene(config, 2, n)
        assert scene.behind is not None
        sample, without = (render_scene(one, sources, 96) for one in (scene, replace(scene, behind=None)))
        np.testing.assert_array_equal(sample.alpha, without.alpha)
        np.testing.assert_array_equal(sample.foreground, without.foreground)
        differs = (sample.background != without.background).any()
        knows_both = (sample.trimap == 0).any() and (sample.trimap == 255).any()
        assert knows_both or not differs
        assert (sample.image[sample.alpha < 255] != without.image[sample.alpha < 255]).any() == differs
        seen += differs
    assert 10 < seen < 30  # some trimaps leave open which of the two is meant


def test_a_blurred_thing_behind_keeps_its_colour(tmp_path: Path) -> None:
    pixels = np.full((80, 80, 4), 200, np.uint8)
    pixels[..., 3] = disc(radius=25, softness=1)[:80, :80]
    config, sources = own_only(tmp_path, pixels, jitter=0, near_colours=0, things_behind=1.0, linear=0)
    blurred = 0
    for n in range(30):
        scene = draw_scene(config.replace(merge=0), 2, n)
        assert scene.behind is not None
        flat = replace(scene.background, pattern="flat", colours=((200 / 255,) * 3,) * 3)
        sample = render_scene(replace(scene, background=flat), sources, 96)
        np.testing.assert_array_equal(sample.background, 200)
        blurred += scene.behind.blur > 0
    assert 5 < blurred < 25


def test_a_light_multiplies_light_and_stops_at_white() -> None:
    image = noise(1)
    np.testing.assert_array_equal(relit(image, (1.0, 1.0, 1.0)), image)
    made = relit(image, (0.5, 1.0, 3.0))
    for channel, gain in enumerate((0.5, 1.0, 3.0)):
        light = np.clip(decode_srgb(image[..., channel].astype(np.float32) / 255) * gain, 0, 1)
        np.testing.assert_allclose(made[..., channel], encode_srgb(light) * 255, atol=0.51)


def test_lights_differ_in_exposure_and_often_share_their_warmth() -> None:
    pairs = [draw_gains(Draw(1, n)) for n in range(400)]
    exposures = np.log2([[gains[1] for gains in pair] for pair in pairs])
    np.testing.assert_allclose(exposures.mean(0), -0.5, atol=0.15)
    np.testing.assert_allclose(exposures.std(0), 0.8, atol=0.1)
    warm = np.log([[gains[0] / gains[1] for gains in pair] for pair in pairs])
    assert 0.4 < np.mean(np.isclose(warm[:, 0], warm[:, 1], atol=1e-4)) < 0.6


def test_channels_match_those_of_the_background_but_one() -> None:
    alpha = np.full((80, 100), 200, np.uint8)
    foreground, background = noise(1) // 4 + 20, noise(2) // 3 + 100
    for unmoved in range(3):
        made = match_channels(foreground, alpha, background, 1.0, unmoved=unmoved)
        np.testing.assert_array_equal(made[..., unmoved], foreground[..., unmoved])
        for channel in {0, 1, 2} - {unmoved}:
            mine, theirs = (
                np.log(decode_srgb(picture[..., channel].astype(np.float64) / 255) + 0.005)
                for picture in (made, background)
            )
            assert mine.mean() == pytest.approx(theirs.mean(), abs=0.05)
            assert mine.std() == pytest.approx(theirs.std(), rel=0.25)


def test_channels_go_a_share_of_the_way() -> None:
    alpha = np.full((80, 100), 200, np.uint8)
    foreground, background = noise(1) // 4 + 20, noise(2) // 3 + 100
    made = match_channels(foreground, alpha, background, 0.5, unmoved=0)
    light = [
        np.log(decode_srgb(picture[..., 1].astype(np.float64) / 255) + 0.005).mean()
        for picture in (foreground, made, background)
    ]
    assert light[1] == pytest.approx((light[0] + light[2]) / 2, abs=0.05)


@pytest.mark.parametrize("alpha", [20, 250])
def test_colours_stay_where_one_layer_is_seen_nowhere(alpha: int) -> None:
    foreground, background, plane = noise(1), noise(2) // 2, np.full((80, 100), alpha, np.uint8)
    np.testing.assert_array_equal(move_colours(foreground, plane, background, 0.9), foreground)


def test_without_soft_pixels_the_mean_colour_moves() -> None:
    foreground, background, hard = noise(1), noise(2) // 2, np.full((80, 100), 255, np.uint8)
    hard[:, :40] = 0
    made = match_channels(foreground, hard, background, 0.5, unmoved=0)
    np.testing.assert_array_equal(made, move_colours(foreground, hard, background, 0.5))


def test_merged_layers_give_the_picture_of_one_composited_after_the_other() -> None:
    front, back, under = noise(1), noise(2), noise(3)
    front_alpha, back_alpha = disc(radius=30, softness=40), disc(radius=20, softness=30)[:, ::-1].copy()
    colour, alpha = merge_layers([(front, front_alpha), (back, back_alpha)])
    a, b = front_alpha / 255, back_alpha / 255
    np.testing.assert_allclose(alpha / 255, 1 - (1 - a) * (1 - b), atol=0.002)
    behind = composite_bytes(back, back_alpha, under, linear=False)
    expected = composite_bytes(front, front_alpha, behind, linear=False).astype(int)
    made = composite_bytes(colour, alpha, under, linear=False).astype(int)
    assert np.abs(made - expected).max() <= 2


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_layers_merge_in_the_light_that_the_scene_is_mixed_in(power: float) -> None:
    front, behind, background = (np.full((64, 64, 3), value, np.uint8) for value in ((250, 20, 90), (20, 240, 30), 60))
    half = disc(64, 64, softness=20)
    how: dict[str, Any] = {"linear": True, "power": power}
    colour, alpha = merge_layers([(front, half), (behind, np.full_like(half, 200))], **how)
    merged = composite_bytes(colour, alpha, background, **how)
    one_by_one = composite_bytes(
        front, half, composite_bytes(behind, np.full_like(half, 200), background, **how), **how
    )
    assert np.abs(merged.astype(int) - one_by_one).max() <= 3


def test_moved_colours_close_in_on_the_backgrounds_mean() -> None:
    alpha = np.full((80, 100), 200, np.uint8)
    foreground, background = noise(1) // 4, noise(2) // 4 + 150
    moved = move_colours(foreground, alpha, background, 0.5)
    halfway = (foreground.mean((0, 1)) + background.mean((0, 1))) / 2
    np.testing.assert_allclose(moved.mean((0, 1)), halfway, atol=2)


def test_crops_show_the_soft_region_however_small_it_is(tmp_path: Path) -> None:
    alpha = np.zeros((500, 500), np.uint8)
    alpha[60:100, 380:420] = disc(40, 40, radius=14, softness=8)
    pixels = np.dstack([noise(0, 500, 500), alpha])
    config, sources = own_only(tmp_path, pixels, whole=0, zoom=(0.5, 1.0))
    for n in range(25):
        sample = render_scene(draw_scene(config, 0, n), sources, 96)
        assert ((sample.alpha > 0) & (sample.alpha < 255)).mean() > 0.003


def test_crops_with_opaque_foreground_are_found_where_they_are_asked_for(tmp_path: Path) -> None:
    alpha = np.full((300, 300), 120, np.uint8)
    alpha[:, :60] = 255
    pixels = np.dstack([noise(0, 300, 300), alpha])
    shares = {}
    for opaque in (0, 1):
        config, sources = own_only(tmp_path / str(opaque), pixels, opaque=opaque, zoom=[1.0, 1.0], whole=0, rotation=0)
        crops = [render_scene(draw_scene(config, 5, n), sources, 64).alpha for n in range(60)]
        shares[opaque] = sum(bool((crop == 255).mean() > 0.02) for crop in crops) / len(crops)
    assert shares[1] > 1.5 * shares[0] > 0


def test_a_picture_that_is_made_smaller_is_averaged(tmp_path: Path) -> None:
    stripes = np.zeros((400, 400), np.uint8)
    stripes[:, ::2] = 128
    config, sources = own_only(
        tmp_path, np.dstack([noise(0, 400, 400), stripes]), zoom=[1.3, 1.3], whole=0, rotation=0, shear=0
    )
    for n in range(6):
        alpha = render_scene(draw_scene(config, 0, n), sources, 64).alpha
        assert abs(alpha.mean() - 64) < 2
        assert alpha.std() < 32  # of 64; neighbours alone would leave more than 37


def test_what_a_pictures_border_cuts_goes_on_and_what_ends_inside_does_not(tmp_path: Path) -> None:
    settings = {"whole": 0, "zoom": (1.5, 1.5), "rotation": 30}
    hole = 255 - disc(96, 96, radius=20)
    config, sources = own_only(tmp_path / "cut", np.dstack([noise(0, 96, 96), hole]), **settings)
    corners = np.array([[0, 0, -1, -1], [0, -1, 0, -1]])
    for n in range(10):
        assert (render_scene(draw_scene(config, 0, n), sources, 96).alpha[*corners] == 255).sum() >= 2
    config, sources = own_only(tmp_path / "whole", np.dstack([noise(0, 96, 96), 255 - hole]), **settings)
    for n in range(10):
        assert (render_scene(draw_scene(config, 0, n), sources, 96).alpha[*corners] == 0).all()


def test_grey_translucent_cutouts_are_tinted_and_grey_photos_are_not(tmp_path: Path) -> None:
    grey = np.full((80, 100, 3), 128, np.uint8)

    def colourfulness(folder: str, alpha: np.ndarray) -> float:
        config, sources = own_only(tmp_path / folder, np.dstack([grey, alpha]), jitter=0, near_colours=0)
        made = [render_scene(draw_scene(config, 0, n), sources, 64).foreground for n in range(8)]
        return float(np.mean([np.ptp(colour.astype(int), axis=2).mean() for colour in made]))

    assert colourfulness("smoke", disc(softness=40) // 2) > 10
    assert colourfulness("llama", disc(softness=2)) < 2


def test_jitter_of_strength_zero_leaves_colours_alone() -> None:
    jitter = draw_jitter(Draw(1), 0)
    np.testing.assert_array_equal(apply_jitter(noise(0), jitter), noise(0))


def test_jitter_is_the_change_that_it_says() -> None:
    picture = noise(0) // 2 + 60
    still = Jitter(gamma=1, contrast=1, brightness=0, saturation=1, hue=0, gains=(1, 1, 1))
    brighter = apply_jitter(picture, replace(still, brightness=20))
    np.testing.assert_allclose(brighter, picture.astype(int) + 20, atol=1)
    grey = apply_jitter(picture, replace(still, saturation=0))
    assert np.ptp(grey.astype(int), axis=2).max() <= 1
    turned = apply_jitter(picture, replace(still, hue=120))  # a third of a turn: red to green, green to blue
    np.testing.assert_allclose(turned, np.roll(picture, 1, axis=2), atol=1)


def test_the_alpha_follows_the_lens_and_not_the_file() -> None:
    picture, alpha = noise(0, 96, 96), disc(96, 96, softness=2)
    for change in ({"blur": 1.5}, {"resample": 0.5}):
        image, moved = degrade(picture, alpha, replace(CLEAN, **change), linear=False)
        assert ((moved > 5) & (moved < 250)).sum() > 1.5 * ((alpha > 5) & (alpha < 250)).sum()
        assert (image != picture).any()
    grade = Jitter(1, 1.2, 10, 1, 0, (1.1, 1, 0.9))
    for change in ({"jpeg": 50}, {"read_noise": 4.0}, {"grade": grade}):
        image, same = degrade(picture, alpha, replace(CLEAN, **change), linear=False)
        assert (image != picture).any()
        np.testing.assert_array_equal(same, alpha)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize(
    "change", [{"blur": 1.5}, {"resample": 0.6}, {"sharpen": 0.7}, {"blur": 0.8, "resample": 0.5, "sharpen": 1.0}]
)
def test_a_lens_changes_the_picture_as_it_was_mixed(change: dict[str, float], linear: bool) -> None:
    dark, bright = (np.full((96, 96, 3), value, np.uint8) for value in ((30, 10, 50), (240, 255, 200)))
    sharp = disc(96, 96, softness=2)
    picture = composite_bytes(bright, sharp, dark, linear=linear)
    seen, alpha = degrade(picture, sharp, replace(CLEAN, **change), linear=linear)
    expected = composite_bytes(bright, alpha, dark, linear=linear)
    assert (alpha != sharp).sum() > 100
    # Where the alpha is cut at 0 and 255 the picture may overshoot, and dark light has few levels.
    inside = (alpha > 12) & (alpha < 243)
    assert np.abs(seen.astype(int) - expected)[inside].max() <= 3


def test_a_strand_that_sharpening_makes_denser_has_the_alpha_of_a_denser_one() -> None:
    alpha = np.zeros((64, 64), np.uint8)
    alpha[:, 32] = 128
    _, sharpened = degrade(np.zeros((64, 64, 3), np.uint8), alpha, replace(CLEAN, sharpen=1.0), linear=False)
    assert (sharpened[:, 32] > 190).all()
    assert not sharpened[:, :32].any()


def test_an_alpha_is_settled_once_so_that_it_is_the_one_in_the_picture(tmp_path: Path) -> None:
    config, sources = sources_of(tmp_path, camera=1, blur=0, resample=0, grade=0, sharpen=0, noise=0, jpeg=0, linear=0)
    for n in range(8):
        scene = draw_scene(config, 2, n)
        assert scene.degradation is not None
        sample = render_scene(scene, sources, 96)
        np.testing.assert_array_equal(sample.alpha, render_scene(replace(scene, degradation=None), sources, 96).alpha)
        expected = composite(sample.foreground, sample.alpha.astype(np.float32) / 255, sample.background) * 255
        assert np.abs(sample.image - expected).max() < 0.51


def test_noise_of_reading_is_strongest_in_the_dark_and_that_of_light_even() -> None:
    alpha = np.zeros((256, 256), np.uint8)
    for reading, shot in ((3.0, 0.0), (0.01, 0.2), (3.0, 0.2)):
        camera = replace(CLEAN, read_noise=reading, shot_noise=shot)
        for level in (40, 200):
            noisy, _ = degrade(np.full((256, 256, 3), level, np.uint8), alpha, camera, linear=False)
            variance = reading**2 * (1.5 - level / 255) + shot * 128
            assert noisy.std() == pytest.approx(variance**0.5, rel=0.03)
            assert noisy.mean() == pytest.approx(level, abs=0.2)


@pytest.mark.parametrize(
    "damage",
    [
        {"sharpen": 1.2},
        {"read_noise": 7.0, "shot_noise": 0.4},
        {"blur": 1.5, "resample": 0.45},
        {"jpeg": 95},
        {"grade": Jitter(1.0, 1.5, 40.0, 1.5, 0.0, (1.3, 1.0, 1.3))},
        {"grade": Jitter(1.0, 1.5, -40.0, 1.5, 0.0, (1.3, 1.0, 1.3))},
    ],
)
@pytest.mark.parametrize("linear", [False, True])
def test_damage_stops_at_black_and_white_and_does_not_wrap_around(damage: dict[str, Any], linear: bool) -> None:
    image = np.zeros((96, 96, 3), np.uint8)
    image[:, 48:] = 255
    damaged, alpha = degrade(image, image[..., 0].copy(), replace(CLEAN, **damage), linear=linear)
    assert damaged.dtype == alpha.dtype == np.uint8
    dark, light = np.s_[:, :36], np.s_[:, 60:]  # away from the edge
    assert int(damaged[dark].max()) < 90
    assert int(damaged[light].min()) > 165
    assert not alpha[dark].any()
    assert (alpha[light] == 255).all()


@pytest.mark.parametrize("linear", [False, True])
def test_a_composite_lies_between_its_colours(linear: bool) -> None:
    alpha = np.arange(256, dtype=np.uint8)[None].repeat(3, 0)
    for low, high in ((0, 255), (255, 255), (0, 0), (90, 91)):
        ground, above = (np.full((3, 256, 3), value, np.uint8) for value in (low, high))
        made = composite_bytes(above, alpha, ground, linear=linear)
        assert (int(made.min()), int(made.max())) == (low, high)
        assert (np.diff(made.astype(int), axis=1) >= 0).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"jitter": 5.0, "near_colours": 1.0},
        {"shear": 2.0, "rotation": 180.0, "whole": 0.0, "zoom": (1e-3, 64.0)},
        {"dilation": (1.0, 512.0), "loose_dilation": (500.0, 512.0), "loose": 0.5, "brush": 1.0, "uneven": 1.0},
        {"camera": 1.0, "noise": 1.0, "jpeg": 1.0, "blur": 1.0, "sharpen": 1.0, "resample": 1.0, "grade": 1.0},
    ],
)
def test_settings_at_the_end_of_their_ranges_give_true_samples(tmp_path: Path, settings: dict[str, Any]) -> None:
    config, sources = sources_of(tmp_path, **settings)
    for n in range(12):
        sample = render_scene(draw_scene(config, 0, n), sources, 16 if n % 2 else 48)
        assert set(np.unique(sample.trimap)) <= {0, 128, 255}
        assert (sample.alpha[sample.trimap == 0] == 0).all()
        assert (sample.alpha[sample.trimap == 255] == 255).all()


def test_damage_comes_as_often_as_configured() -> None:
    assert all(draw_degradation(Draw(n), DataConfig(camera=0)) is None for n in range(20))
    never = {"noise": 0, "jpeg": 0, "blur": 0, "sharpen": 0, "resample": 0, "grade": 0}
    for n in range(20):
        camera = draw_degradation(
            Draw(n),
            DataConfig(
                camera=1,
                **never,
            ),
        )  # type: ignore[arg-type]
        assert camera is not None
        picture = noise(0)
        np.testing.assert_array_equal(degrade(picture, disc(), camera, linear=False)[0], picture)
    often = [draw_degradation(Draw(n), DataConfig(camera=1, jpeg=1)) for n in range(50)]
    assert {40 <= camera.jpeg <= 95 for camera in often if camera} == {True}


def test_a_cutout_keeps_its_own_colours_without_jitter(tmp_path: Path) -> None:
    pixels = cutout(3)
    config, sources = own_only(
        tmp_path, pixels, jitter=0, near_colours=0, whole=0, zoom=(1.0, 1.0), rotation=0, shear=0, flip=0
    )
    made = render_scene(draw_scene(config, 0, 0), sources, 64)
    inside = made.alpha == 255
    seen = {tuple(colour) for colour in made.foreground[inside].reshape(-1, 3) // 32}
    there = {tuple(colour) for colour in pixels[pixels[:, :, 3] == 255][:, :3] // 32}
    assert len(seen & there) > 0.8 * len(seen)


def test_a_hard_cutout_is_placed_anywhere(tmp_path: Path) -> None:
    """Without a soft alpha there is no place to prefer."""
    hard = np.dstack([noise(3), np.full(noise(3).shape[:2], 255, np.uint8)])
    write(tmp_path / "hard_1.png", hard)
    config = DataConfig(foregrounds=(str(tmp_path),), procedural=0, cutouts=1)
    sources = Sources(config)
    samples = [render_scene(draw_scene(config, 0, number), sources, 96) for number in range(4)]
    assert all(sample.alpha.max() == 255 for sample in samples)
