import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

from mattecli.errors import InputError, UsageError
from mattecli.imaging.colour import decode_srgb, encode_srgb
from mattecli.imaging.image import Image
from mattecli.imaging.write import write_image
from mattecli.training.data.cache import Bytes, Cache, file_stamp
from mattecli.training.data.config import DataConfig
from mattecli.training.data.foregrounds import DEFAULT_WEIGHTS, KINDS, Foreground
from mattecli.training.data.sources import CutoutFiles, Sources, prepare_cutout, spread_colours
from tests.support.disk import full_disk
from tests.support.pictures import cutout, disc, folders, noise, write


def test_photos_come_by_their_share_of_the_list(tmp_path: Path) -> None:
    sources = Sources(DataConfig(**folders(tmp_path)))
    assert [path.name for path in sources.photos] == ["view0.png", "view1.png", "b.png"]
    np.testing.assert_array_equal(sources.photo(0.0), noise(0))
    np.testing.assert_array_equal(sources.photo(0.99), noise(8))


def test_an_array_that_another_process_has_made_meanwhile_stays(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))

    def made() -> Bytes:
        Cache(str(tmp_path)).array("key", lambda: np.full((2, 2), 1, np.uint8))
        return np.full((2, 2), 2, np.uint8)

    assert cache.array("key", made).max() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key.npy"]


def test_large_photos_are_shrunk_to_the_largest_side(tmp_path: Path) -> None:
    write(tmp_path / "wide.png", noise(0, 100, 400))
    sources = Sources(DataConfig(photos=(str(tmp_path),), largest_side=200))
    assert sources.photo(0).shape == (50, 200, 3)


def test_cutouts_are_grouped_by_the_first_word_of_their_names(tmp_path: Path) -> None:
    for name in ("smoke_1", "smoke_2", "smoke_3", "leaf_1", "123"):
        write(tmp_path / f"{name}.png", cutout())
    sources = Sources(DataConfig(foregrounds=(str(tmp_path),)))
    assert {group: len(members) for group, members in sources.cutouts.items()} == {"other": 1, "leaf": 1, "smoke": 3}


def test_a_cutout_may_be_called_photo(tmp_path: Path) -> None:
    path = write(tmp_path / "photo.png", cutout())
    assert Sources(DataConfig(foregrounds=(str(tmp_path),))).cutouts == {"photo": [CutoutFiles(path)]}


def test_weights_choose_among_the_groups(tmp_path: Path) -> None:
    write(tmp_path / "leaf_1.png", cutout(1))
    write(tmp_path / "smoke_1.png", cutout(2))
    sources = Sources(DataConfig(foregrounds=(str(tmp_path),), groups={"leaf": 0}))
    for group in (0.0, 0.5, 0.99):
        inside = sources.cutout("cutouts", group, 0.0)[40, 50, :3]
        np.testing.assert_array_equal(inside, noise(2)[40, 50])


def test_a_longer_start_of_a_name_makes_a_group_of_its_own(tmp_path: Path) -> None:
    for name in ("render_hair_1", "render_hair_2", "render_hairy_1", "render_1", "render_10", "leaf_1"):
        write(tmp_path / f"{name}.png", cutout())
    groups = {"render": 2.0, "render_hair": 3.0, "render_1": 0.0}
    sources = Sources(DataConfig(foregrounds=(str(tmp_path),), groups=groups))
    names = {group: sorted(files.colour.stem for files in members) for group, members in sources.cutouts.items()}
    assert names == {
        "leaf": ["leaf_1"],
        "render": ["render_10", "render_hairy_1"],
        "render_1": ["render_1"],
        "render_hair": ["render_hair_1", "render_hair_2"],
    }


def test_a_pair_whose_photo_holds_its_background_loses_that_background(tmp_path: Path) -> None:
    alpha = disc(radius=25, softness=20)
    weight = alpha[:, :, None] / 255
    red, green = np.array([220, 30, 30]), np.array([20, 200, 40])
    light = weight * decode_srgb(red / 255) + (1 - weight) * decode_srgb(green / 255)
    photo = write(tmp_path / "x_photo.png", np.round(encode_srgb(light) * 255).astype(np.uint8))  # as a lens mixes
    ready = prepare_cutout(
        CutoutFiles(photo, write(tmp_path / "x_alpha.png", alpha), holds_background=True), largest_side=512
    )
    soft = (alpha > 60) & (alpha < 200)
    assert np.abs(ready[soft][:, :3].astype(int) - red).mean() < 15
    np.testing.assert_array_equal(ready[:, :, 3], alpha)


def test_colours_go_on_smoothly_where_a_cutout_is_black_under_alpha_zero() -> None:
    pixels = cutout()
    colour = np.where(pixels[:, :, 3:] > 0, np.uint8(200), np.uint8(0)).repeat(3, axis=2)
    spread = spread_colours(colour, pixels[:, :, 3])
    assert np.abs(spread.astype(int) - 200).max() <= 2


def test_noise_that_a_division_by_alpha_left_in_soft_colours_is_averaged() -> None:
    rng = np.random.default_rng(3)
    alpha = disc(softness=12)
    noisy = np.clip(120 + (rng.random((*alpha.shape, 3)) - 0.5) * np.where(alpha < 255, 160, 8)[..., None], 0, 255)
    colour = noisy.astype(np.uint8)
    spread = spread_colours(colour, alpha)
    soft = (alpha > 60) & (alpha < 240)
    assert colour[soft].std() > 40
    assert spread[soft].std() < 20
    assert abs(spread[soft].mean() - 120) < 4
    np.testing.assert_array_equal(spread[alpha == 255], colour[alpha == 255])


def test_texture_of_soft_pixels_stays_where_opaque_ones_have_it_too() -> None:
    rng = np.random.default_rng(4)
    alpha = np.full((60, 60), 255, np.uint8)
    alpha[:, 30:] = 200
    colour = rng.integers(60, 200, (60, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(spread_colours(colour, alpha), colour)


def test_a_binary_alpha_turns_soft(tmp_path: Path) -> None:
    alpha = disc(softness=1e-6)
    ready = prepare_cutout(CutoutFiles(write(tmp_path / "plant.png", np.dstack([noise(0), alpha]))), largest_side=512)
    assert ready.shape == (40, 50, 4)
    assert ((ready[:, :, 3] > 0) & (ready[:, :, 3] < 255)).any()


def test_a_glow_that_reaches_its_pictures_border_faintly_ends_there(tmp_path: Path) -> None:
    alpha = np.maximum(disc(radius=20, softness=20), 12)
    ready = prepare_cutout(CutoutFiles(write(tmp_path / "glow.png", np.dstack([noise(0), alpha]))), largest_side=512)
    assert not ready[0, :, 3].any()
    assert ready[40, 50, 3] == 255


def test_a_veil_as_faint_as_a_glows_rest_stays(tmp_path: Path) -> None:
    veil = np.dstack([noise(0), np.full((80, 100), 20, np.uint8)])
    ready = prepare_cutout(CutoutFiles(write(tmp_path / "veil.png", veil)), largest_side=512)
    assert (ready[:, :, 3] == 20).all()


def test_an_alpha_that_is_lost_in_shrinking_is_refused(tmp_path: Path) -> None:
    alpha = np.zeros((800, 1000), np.uint8)
    alpha[400, 500] = 100
    speck = CutoutFiles(write(tmp_path / "speck.png", np.dstack([noise(0, 800, 1000), alpha])))
    with pytest.raises(InputError, match=r"speck\.png has nothing left of its alpha"):
        prepare_cutout(speck, largest_side=40)


def test_a_cache_gives_the_same_pictures_without_reading_them_again(tmp_path: Path) -> None:
    settings = folders(tmp_path)
    config = DataConfig(**settings, cache=str(tmp_path / "cache"), foreground_size=64, bank=4)
    plain = Sources(DataConfig(**settings, foreground_size=64, bank=4))
    for sources in (Sources(config), Sources(config)):
        np.testing.assert_array_equal(sources.photo(0.5), plain.photo(0.5))
        np.testing.assert_array_equal(sources.cutout("cutouts", 0.1, 0.0), plain.cutout("cutouts", 0.1, 0.0))
        np.testing.assert_array_equal(sources.procedural(2), plain.procedural(2))
    assert len(list((tmp_path / "cache").iterdir())) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
def test_an_array_that_cannot_be_written_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.png", noise(1))
    sources = Sources(DataConfig(photos=(str(tmp_path / "in"),), cache=str(tmp_path / "cache")))
    with full_disk(), pytest.raises(InputError, match="cannot take the training cache"):
        sources.photo(0)
    assert not list((tmp_path / "cache").iterdir())


def test_a_changed_picture_is_not_taken_from_the_cache(tmp_path: Path) -> None:
    path = write(tmp_path / "in" / "a.png", noise(1))
    config = DataConfig(photos=(str(tmp_path / "in"),), cache=str(tmp_path / "cache"))
    before = Sources(config).photo(0).copy()
    write(path, noise(2, 90, 90))
    assert Sources(config).photo(0).shape != before.shape


def test_a_damaged_cache_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.png", noise(1))
    config = DataConfig(photos=(str(tmp_path / "in"),), cache=str(tmp_path / "cache"))
    Sources(config).photo(0)
    (ready,) = (tmp_path / "cache").iterdir()
    ready.write_bytes(b"no array")
    with pytest.raises(InputError, match=ready.name):
        Sources(config).photo(0)


@pytest.mark.parametrize(
    ("setting", "files", "sentence"),
    [
        ("photos", [], "is not a folder"),
        ("photos", ["in/read.me"], "holds no pictures"),
        ("foregrounds", ["in/cat_photo.png"], "no cat_alpha beside it"),
        ("foregrounds", ["in/cat_alpha.png"], "no cat_photo beside it"),
        ("own", ["in/bg/a.png"], "has no folder fg"),
        ("own", ["in/fg/a.png", "in/fg/b.png", "in/alpha/a.png"], r"b\.png has no alpha of the same name"),
    ],
)
def test_bad_folders_are_named_before_anything_is_made(
    tmp_path: Path, setting: str, files: list[str], sentence: str
) -> None:
    for name in files:
        if name.endswith(".png"):
            write(tmp_path / name, noise(0))
        else:
            (tmp_path / "in").mkdir(exist_ok=True)
            (tmp_path / name).write_text("no picture")
    with pytest.raises(InputError, match=sentence):
        Sources(DataConfig(**{setting: (str(tmp_path / "in"),)}))


@pytest.mark.parametrize("hidden", ["._a.png", ".thumbnails/a.png"])
def test_hidden_files_and_folders_are_left_out(tmp_path: Path, hidden: str) -> None:
    settings = folders(tmp_path)
    before = Sources(DataConfig(**settings))
    for place in ("photos", "cut", "own/fg", "own/bg", "own/alpha"):
        path = tmp_path / place / hidden
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no picture")
        (tmp_path / place / ".DS_Store").write_bytes(b"nor this")
    after = Sources(DataConfig(**settings))
    assert (after.photos, after.cutouts, after.own) == (before.photos, before.cutouts, before.own)


def test_pictures_in_subfolders_are_found(tmp_path: Path) -> None:
    for name in ("b.png", "deep/er/a.png"):
        write(tmp_path / name, noise(1))
    assert Sources(DataConfig(photos=(str(tmp_path),))).photos == [tmp_path / "b.png", tmp_path / "deep/er/a.png"]


@pytest.mark.parametrize("place", ["cut/smoke_1", "cut/cat_1_alpha", "own/fg/a", "own/alpha/a"])
def test_two_files_of_one_name_are_named(tmp_path: Path, place: str) -> None:
    settings = folders(tmp_path)
    write(tmp_path / f"{place}.bmp", noise(3))
    with pytest.raises(InputError, match=rf"{place}\.bmp and {Path(place).name}\.png have the same name"):
        Sources(DataConfig(**settings))


def test_photographs_may_have_equal_names(tmp_path: Path) -> None:
    settings = folders(tmp_path)
    write(tmp_path / "photos" / "view0.bmp", noise(3))
    assert len(Sources(DataConfig(**settings)).photos) == 4


def test_bad_pictures_are_named_when_they_are_read(tmp_path: Path) -> None:
    opaque = CutoutFiles(write(tmp_path / "opaque.png", noise(0)))
    with pytest.raises(InputError, match=r"opaque\.png has no alpha channel"):
        prepare_cutout(opaque, largest_side=512)
    smaller = CutoutFiles(opaque.colour, write(tmp_path / "small.png", disc(40, 50)))
    with pytest.raises(InputError, match=r"small\.png is 50×40 but .*opaque\.png is 100×80"):
        prepare_cutout(smaller, largest_side=512)
    empty = CutoutFiles(opaque.colour, write(tmp_path / "empty.png", np.zeros((80, 100), np.uint8)))
    with pytest.raises(InputError, match=r"empty\.png has an alpha of 0 everywhere"):
        prepare_cutout(empty, largest_side=512)
    for shape in ((1, 1), (1, 400), (2, 4000)):
        line = CutoutFiles(write(tmp_path / "line.png", np.dstack([noise(0, *shape), np.full(shape, 200, np.uint8)])))
        with pytest.raises(InputError, match=r"line\.png is \d+×1 as training sees it; remove it"):
            prepare_cutout(line, largest_side=1280)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(InputError, match=r"broken\.png"):
        prepare_cutout(CutoutFiles(tmp_path / "broken.png"), largest_side=512)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(UsageError, match=r"data\.kinds names unicorn"):
        Sources(DataConfig(kinds={"unicorn": 2}))


def test_groups_without_cutouts_ask_for_their_folders() -> None:
    with pytest.raises(
        UsageError, match=r"data\.groups names animal, but there are no cut-outs; name their folders in data\."
    ):
        Sources(DataConfig(groups={"animal": 2}))


def kinds_made(monkeypatch: pytest.MonkeyPatch, **weights: float) -> list[str]:
    """The kinds of the first 300 generated foregrounds, which are not drawn."""
    made: list[str] = []

    def note(kind: str, *rest: object, **options: object) -> Foreground:
        made.append(kind)
        return Foreground(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8), kind, solid=False)

    monkeypatch.setattr("mattecli.training.data.foregrounds.make_foreground", note)
    sources = Sources(DataConfig(foreground_size=64, kinds=weights))
    for number in range(300):
        sources.procedural(number)
    return made


def test_settings_that_do_not_name_mesh_draw_the_kinds_of_0_1_0_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    made = kinds_made(monkeypatch)
    assert set(made) == {kind for kind in KINDS if DEFAULT_WEIGHTS[kind]}
    assert hashlib.sha256(" ".join(made).encode()).hexdigest().startswith("32ce34b9d67736a0")
    assert kinds_made(monkeypatch, mesh=0.0) == made


def test_mesh_comes_as_often_as_its_weight_says(monkeypatch: pytest.MonkeyPatch) -> None:
    others = sum(DEFAULT_WEIGHTS.values())
    assert kinds_made(monkeypatch, mesh=others).count("mesh") == pytest.approx(150, abs=30)


@pytest.mark.parametrize("weights", [dict.fromkeys(KINDS, 0.0), {KINDS[0]: -1.0}])
def test_weights_that_choose_nothing_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"data\.kinds needs weights of 0 or more"):
        Sources(DataConfig(kinds=weights))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"merge": 1.5}, "data.merge is 1.5 but must be a number from 0 to 1"),
        ({"zoom": (2.0, 1.0)}, r"data.zoom is \[2.0, 1.0\] but must be two numbers, the lower one first"),
        ({"procedural": 0.0}, "every origin"),
        ({"foreground_size": 5}, "data.foreground_size is 5 but must be a whole number from 64 to 4096"),
        ({"rotation": -1}, "data.rotation is -1 but must be a number from 0 to 180"),
        ({"bank": 2**40}, "data.bank is 1099511627776 but must be a whole number from 0 to 2147483648"),
        ({"jitter": float("nan")}, "data.jitter is nan but must be a finite number from 0 to 5"),
        ({"dilation": (1.0, 1e6)}, r"data.dilation\[1\] is 1e\+06 but must be a number above 0 and up to 512"),
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        DataConfig().replace(**settings)


def test_photos_of_16_bits_and_floats_become_8_bits(tmp_path: Path) -> None:
    pixels = noise(0, 16, 24)
    write_image(tmp_path / "a.png", Image(pixels.astype(np.uint16) * 257))
    write_image(tmp_path / "b.tif", Image(pixels / np.float32(255)))
    sources = Sources(DataConfig(photos=(str(tmp_path),)))
    for place in (0.0, 0.9):
        np.testing.assert_array_equal(sources.photo(place), pixels)


def test_a_picture_that_was_moved_during_the_training_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png cannot be read \(No such file or directory\); put it back"):
        file_stamp(tmp_path / "gone.png")


def test_the_cache_tells_foregrounds_apart_by_the_size_of_the_photos_that_they_show(tmp_path: Path) -> None:
    write(tmp_path / "photos" / "a.png", noise(1, 200, 300))

    def made(cache: str, side: int) -> list[np.ndarray]:
        kinds = {kind: 1.0 if kind == "shape" else 0.0 for kind in KINDS}
        photos = (str(tmp_path / "photos"),)
        config = DataConfig(photos=photos, cache=cache, largest_side=side, foreground_size=64, kinds=kinds)
        return [np.array(Sources(config).procedural(n)) for n in range(6)]

    cache = str(tmp_path / "cache")
    large, small, fresh = made(cache, 300), made(cache, 64), made("", 64)
    assert not all(np.array_equal(*both) for both in zip(large, fresh, strict=True))  # some show the photo
    assert all(np.array_equal(*both) for both in zip(small, fresh, strict=True))


def test_photographs_come_as_often_as_their_weights_say(tmp_path: Path) -> None:
    for number, name in enumerate(("cloth_1", "cloth_2", "clothing_1", "clic_1")):
        write(tmp_path / f"{name}.png", np.full((16, 16, 3), 50 * number, np.uint8))

    def counts(weights: dict[str, float]) -> list[int]:
        sources = Sources(DataConfig(photos=(str(tmp_path),), photo_weights=weights))
        names = [path.stem for path in sources.photos]
        values = [int(sources.photo(share)[0, 0, 0]) // 50 for share in (np.arange(120) + 0.5) / 120]
        return [values.count(("cloth_1", "cloth_2", "clothing_1", "clic_1").index(name)) for name in sorted(names)]

    assert counts({}) == [30, 30, 30, 30]
    assert counts({"cloth": 0.5, "clic": 3}) == [72, 12, 12, 24]
    assert counts({"cloth": 0, "cloth_2": 1, "clic": 0}) == [0, 0, 60, 60]
    for weights, fault in (
        ({"kodak": 2.0}, "names kodak"),
        (dict.fromkeys(("cloth", "clothing", "clic"), 0.0), "leaves"),
    ):
        with pytest.raises(UsageError, match=fault):
            Sources(DataConfig(photos=(str(tmp_path),), photo_weights=weights))
