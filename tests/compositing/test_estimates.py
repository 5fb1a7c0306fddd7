"""Choked estimates, part of an estimate, and cut-outs for programs that mix display values."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile
from numpy.typing import NDArray

from mattecli.compositing.colours import ColourOptions, ForegroundColours, for_white
from mattecli.compositing.composite import composite
from mattecli.compositing.despill import Despill
from mattecli.compositing.finishing import Finishing, finish
from mattecli.compositing.foreground import _choked, estimate_foreground
from mattecli.compositing.outputs import make_output, write_output
from mattecli.errors import UsageError
from mattecli.imaging.choices import Kind
from mattecli.imaging.colour import space_named
from mattecli.imaging.image import Image, in_space
from mattecli.work.job import Inputs, Matte, write_outputs
from mattecli.work.outcome import Job
from mattecli.work.outputs import OutputOptions

Floats = NDArray[np.float32]


def ramp(height: int = 40, width: int = 120) -> Floats:
    """0 on the left, then a ramp of 20 pixels, 1 on the right."""
    return np.tile(np.clip((np.arange(width) - 40) / 20, 0, 1), (height, 1)).astype(np.float32)


def photo(front: Floats, alpha: Floats, behind: tuple[float, float, float] = (0.9, 0.9, 0.9)) -> NDArray[np.uint8]:
    return np.rint(composite(front, alpha, behind, linear=True) * 255).astype(np.uint8)


def test_a_choked_estimate_takes_the_rims_colours_from_inside() -> None:
    alpha = ramp()
    front = np.where(np.arange(120)[:, None] < 66, np.float32([0.9, 0.1, 0.1]), np.float32([0.1, 0.2, 0.6]))
    picture = photo(np.broadcast_to(front, (40, 120, 3)).copy(), alpha)
    rim = (slice(None), slice(58, 64))
    assert (estimate_foreground(picture, alpha)[rim][..., 0] > 0.8).all()
    choked = estimate_foreground(picture, alpha, choke=30)
    assert (choked[rim][..., 0] < 0.35).all()
    far = alpha.shape[1] - 20
    np.testing.assert_array_equal(choked[:, far:], (picture / np.float32(255)).astype(np.float32)[:, far:])


def test_a_choke_of_a_fraction_lies_between_those_of_whole_pixels() -> None:
    rng = np.random.default_rng(0)
    alpha, picture = ramp(), rng.integers(0, 255, (40, 120, 3), np.uint8)
    low, half, high = (estimate_foreground(picture, alpha, choke=radius) for radius in (1, 1.5, 2))
    assert np.abs(half - low).max() > 0
    assert np.abs(half - (low + high) / 2).mean() < np.abs(high - low).mean() / 4


def test_no_choke_and_full_decontamination_are_the_estimate() -> None:
    alpha = ramp()
    picture = photo(np.full((40, 120, 3), 0.2, np.float32), alpha)
    same = estimate_foreground(picture, alpha, choke=0, decontaminate=100)
    np.testing.assert_array_equal(same, estimate_foreground(picture, alpha))


def test_decontaminate_is_the_share_of_the_way_from_the_photo_to_the_estimate() -> None:
    alpha = ramp()
    picture = photo(np.full((40, 120, 3), 0.2, np.float32), alpha)
    own, whole = picture / np.float32(255), estimate_foreground(picture, alpha)
    np.testing.assert_array_equal(estimate_foreground(picture, alpha, decontaminate=0), own.astype(np.float32))
    part = estimate_foreground(picture, alpha, decontaminate=30)
    np.testing.assert_allclose(part, own + 0.3 * (whole - own), atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"choke": -1}, "`choke` must be a number of pixels from 0 up, not -1"),
        ({"choke": float("nan")}, "`choke` must be"),
        ({"decontaminate": 101}, "`decontaminate` must be a percentage from 0 to 100, not 101"),
    ],
)
def test_wrong_numbers_are_refused(wrong: dict[str, float], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        estimate_foreground(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32), **wrong)  # type: ignore[arg-type]


def test_a_cutout_for_white_looks_over_white_in_display_values_as_one_of_light_does_in_light() -> None:
    alpha = ramp()
    hair = Image(np.broadcast_to(np.float32([0.25, 0.15, 0.1]), (40, 120, 3)).copy())
    suited = for_white(hair, alpha)
    white = (1.0, 1.0, 1.0)
    right = composite(hair, alpha, white, linear=True)
    np.testing.assert_allclose(composite(suited, alpha, white), right, atol=1e-5)
    assert np.abs(composite(hair, alpha, white) - right).max() > 0.1
    np.testing.assert_array_equal(suited[alpha == 1], hair.pixels[alpha == 1])


FINISHES = [Finishing(), Finishing(choke=3), Finishing(spread=4), Finishing(feather=3), Finishing(scale=0.6)]


@pytest.mark.parametrize(
    ("kind", "finishing"),
    [(kind, one) for one in FINISHES for kind in ("cutout", "layers") if kind == "cutout" or not one.placed],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.given()) or "none",
)
def test_a_cutout_for_white_suits_the_alpha_that_its_file_carries(
    kind: Kind, finishing: Finishing, tmp_path: Path
) -> None:
    alpha = ramp()
    picture = Image(photo(np.full((40, 120, 3), 0.05, np.float32), alpha))
    finished = finish(picture, alpha, finishing)
    colours = ForegroundColours(ColourOptions(cutout_for="white"), linear=True)
    shared = {"colours": colours, "finished": finished, "linear": True}
    target = tmp_path / ("out.tif" if kind == "layers" else "out.png")
    write_output(kind, target, picture, alpha, **shared)  # type: ignore[arg-type]
    made = tifffile.imread(target) if kind == "layers" else np.asarray(PIL.Image.open(target))
    seen = made / np.float32(255)  # layers: over white already
    if kind == "cutout":
        seen = seen[..., :3] * seen[..., 3:] + 1 - seen[..., 3:]
    right = make_output("composite", picture, alpha, background=(1, 1, 1), finished=finished, linear=True).pixels
    assert np.abs(seen * 255 - right).max() < 1.6  # both colours and alpha are rounded


def test_only_cutouts_get_colours_for_white() -> None:
    alpha = ramp()
    picture = Image(photo(np.full((40, 120, 3), 0.2, np.float32), alpha))
    colours = ForegroundColours(ColourOptions(cutout_for="white"), linear=True)
    found = colours.of(picture, alpha)
    np.testing.assert_array_equal(found, estimate_foreground(picture, alpha, linear=True))
    assert ForegroundColours(ColourOptions(cutout_for="white")).cutout_for is None
    plain, suited = (make_output("cutout", picture, alpha, foreground=found, cutout_for=it) for it in (None, "white"))
    assert np.abs(plain.pixels[..., 0].astype(int) - suited.pixels[..., 0]).max() > 12
    white = {"background": (1, 1, 1), "foreground": found, "linear": True}
    over = [make_output("composite", picture, alpha, cutout_for=it, **white) for it in (None, "white")]  # type: ignore[arg-type]
    np.testing.assert_array_equal(over[0].pixels, over[1].pixels)


def test_despill_works_on_the_estimated_colours() -> None:
    alpha = ramp()
    front = np.where((alpha < 1)[..., None], np.float32([0.4, 0.5, 0.4]), np.float32(0.4))
    picture = Image(photo(front, alpha, (0.0, 0.7, 0.25)))
    plain = ForegroundColours(linear=True).of(picture, alpha)
    clean = ForegroundColours(ColourOptions(despill=Despill(screen="auto")), linear=True).of(picture, alpha)
    edge = (alpha > 0.2) & (alpha < 0.6)
    assert (plain[edge][:, 1] - plain[edge][:, 0]).mean() > 0.08
    assert (clean[edge][:, 1] - clean[edge][:, 0]).max() < 0.02


def test_it_is_said_where_auto_finds_no_screen(tmp_path: Path) -> None:
    alpha = ramp()
    told = "`despill=auto` found neither a green nor a blue screen where alpha is 0, so it removed nothing"
    for behind, notes in (((0.9, 0.9, 0.9), [told]), ((0.0, 0.7, 0.25), [])):
        picture = Image(photo(np.full((40, 120, 3), 0.4, np.float32), alpha, behind))
        colours = ForegroundColours(ColourOptions(despill=Despill(screen="auto")))
        for bits in (8, 16):
            colours.of(in_space(picture, picture.space, depth=bits), alpha)
        assert colours.notes == notes
    job = Job("a.png", "a.png", "t.png", {"cutout": str(tmp_path / "a.png")})
    grey = Image(photo(np.full((40, 120, 3), 0.4, np.float32), alpha))
    matte = Matte(Inputs(grey, None, None, None, 0.0), alpha, None, 0.0)
    options = OutputOptions(colours=ColourOptions(despill=Despill(screen="auto")))
    assert write_outputs(job, matte, options, backgrounds={}, replaces={"cutout": False}) == (told,)


def test_words_of_a_recipe_name_only_what_was_asked_for() -> None:
    assert ColourOptions().words() == []
    asked = ColourOptions(choke=2, decontaminate=50, despill=Despill(screen="blue"))
    assert asked.words() == [["colour choke", 2], ["decontaminate", 50], ["despill", "blue", 100.0, 12.0, 0.0]]


def test_despill_without_an_estimate_leaves_the_photo_alone() -> None:
    alpha = ramp()
    pixels = np.tile(np.float32([0.2, 0.7, 0.3]), (40, 120, 1))
    pixels[:, 60:] = 0.4
    picture, before = Image(pixels), pixels.copy()
    colours = ForegroundColours(ColourOptions(decontaminate=0, despill=Despill(screen="green"))).of(picture, alpha)
    assert not np.array_equal(colours, before)
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("space", ["srgb", "p3", "ARRI LogC4"])
def test_despill_keeps_the_bits_of_colours_without_its_light(space: str) -> None:
    alpha = ramp(width=400)
    rng = np.random.default_rng(2)
    grey = np.repeat(rng.uniform(0.2, 0.7, (40, 400, 1)), 3, axis=2)  # holds no green light
    pixels = np.where(alpha[..., None] == 1, grey, (0.3, 0.6, 0.32)).astype(np.float32)
    pixels[:, 200:] = rng.uniform(0.2, 0.7, (40, 200, 3))  # any colour, far inside
    named = space_named(space)
    picture = Image(pixels, named.icc, named_space=named.name)
    options = ColourOptions(decontaminate=0, despill=Despill(screen="green", reach=6))
    made = ForegroundColours(options).of(picture, alpha)
    assert np.abs(made - pixels)[alpha < 0.5].max() > 0.1
    assert np.array_equal(made[:, 60:], pixels[:, 60:])


@pytest.mark.parametrize("pixels", [17, 45, 200])
def test_a_large_choke_is_that_of_a_disc_in_all_directions(pixels: int) -> None:
    alpha = np.ones((700, 600), np.float32)
    alpha[350, 300] = 0
    y, x = np.mgrid[:700, :600]
    far = np.hypot(y - 350, x - 300) > pixels
    np.testing.assert_array_equal(_choked(alpha, pixels), far)


@pytest.mark.parametrize("radius", [1, 2, 16, 20, 50])
def test_a_choke_of_a_soft_matte_is_its_erosion_by_a_disc(radius: int) -> None:
    alpha = np.random.default_rng(0).random((30, 40), np.float32)
    alpha = np.clip(2 * cv2.resize(alpha, (600, 530), interpolation=cv2.INTER_CUBIC) - 0.2, 0, 1)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = (x * x + y * y <= radius * radius).astype(np.uint8)
    np.testing.assert_array_equal(_choked(alpha, radius), cv2.erode(alpha, disc))
