import io
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from mattecli.compositing.finishing import Finishing, finish, in_pixels, parse_length
from mattecli.compositing.outputs import make_output
from mattecli.errors import UsageError
from mattecli.imaging.colour import space_named
from mattecli.imaging.image import Image, in_space
from mattecli.imaging.space import SRGB
from mattecli.imaging.write import write_image

Floats = NDArray[np.float32]


def subject(haze: float = 0.0) -> tuple[Image, Floats]:
    """A photo of a soft disc on grey, and its alpha with haze around it."""
    rng = np.random.default_rng(0)
    alpha = np.zeros((200, 240), np.float32)
    cv2.circle(alpha, (120, 100), 60, 1.0, -1, cv2.LINE_AA)
    alpha = np.maximum(cv2.GaussianBlur(alpha, (0, 0), 1), np.float32(haze))
    return Image(rng.integers(40, 200, (200, 240, 3), dtype=np.uint8)), alpha


def test_the_defaults_change_nothing() -> None:
    photo, alpha = subject(haze=0.003)
    finished = finish(photo, alpha, Finishing())
    assert finished.alpha is alpha
    assert (finished.notes, finished.light, finished.placement) == ((), None, None)
    assert np.array_equal(
        make_output("cutout", photo, alpha, finished=finished).pixels, make_output("cutout", photo, alpha).pixels
    )


def test_the_options_load_nothing_heavy() -> None:
    code = "import sys, mattecli.cli.finishing_options; print([m for m in ('numpy', 'cv2', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"choke": -1}, "`choke` must be 0 or more pixels"),
        ({"feather": "wide"}, "`feather` must be 0 or more pixels, or per cent of the diagonal"),
        ({"hair": 101}, "`hair` must be a percentage from 0 to 100, not 101"),
        ({"contrast": float("nan")}, "`contrast` must be a percentage from 0 to 99"),
        ({"min_area": -5}, "`min_area` must be a number of pixels from 0 up, not -5"),
        ({"levels": (200, 100, 1.0)}, "`levels` must be black and white from 0 to 255, black below white"),
        ({"rotate": 90.0}, "`rotate` must be degrees from -45 to 45, not 90"),
        ({"canvas": (0, 100)}, "`canvas` must have sides from 1 to 60000 pixels, not 0x100"),
        ({"canvas": (9, 9), "fill": 1.2}, "`fill` must be a percentage from 1 to 100, not 120"),
        ({"scale": 0.0}, "`scale` must be a number from 0.001 to 16, not 0"),
        ({"canvas": (9, 9), "at": "left"}, "`at` must be centre, mass, bottom, bottom:12% or x,y, not left"),
        ({"shadow": "long"}, "`shadow` must be keep, contact or drop, not long"),
        ({"crop": "face"}, "`crop` must be subject, not face"),
        ({"choke": 1, "spread": "0.1%"}, "opposite directions"),
        ({"levels": (0, 200, 1.0), "contrast": 5}, "both are given"),
        ({"feather_both": True}, "does nothing without `feather`"),
        ({"shadow_strength": 50}, "does nothing without `shadow`"),
        ({"crop": "subject", "canvas": (9, 9)}, "leave one of them out"),
        ({"canvas": (9, 9), "fill": 0.5, "scale": 1.0}, "`fill` and `scale` both say how large"),
        ({"canvas": (9, 9), "fill": 0.5, "margin": 2}, "`fill` and `margin` both say how much stays free"),
        ({"canvas": (9, 9), "scale": 0.5, "margin": 2}, "leave `margin` out"),
        ({"fill": 0.5}, "`fill` does nothing without `canvas`"),
        ({"crop": "subject", "at": "mass"}, "`at` does nothing without `canvas`"),
        ({"margin": 3}, "`margin` does nothing without"),
        ({"sharpen": 50}, "`sharpen` is for pictures that are made smaller; add `canvas` or a `scale` below 1"),
        ({"sharpen": 50, "crop": "subject"}, "`sharpen` is for pictures that are made smaller"),
        ({"sharpen": 50, "rotate": 5.0}, "`sharpen` is for pictures that are made smaller"),
        ({"sharpen": 50, "scale": 1.0}, "`sharpen` is for pictures that are made smaller"),
        ({"sharpen": 50, "canvas": (9, 9), "scale": 2.0}, "`sharpen` is for pictures that are made smaller"),
        ({"choke": 201}, "`choke` must be at most 200 pixels, not 201"),
        ({"spread": "250px"}, "`spread` must be at most 200 pixels, not 250"),
        ({"feather": 300.0}, "`feather` must be at most 200 pixels, not 300"),
        ({"smooth": "1000"}, "`smooth` must be at most 200 pixels, not 1000"),
        ({"canvas": (800, 800), "margin": 400}, "`margin` leaves no room on a `canvas` of 800x800; give a smaller one"),
        ({"canvas": (800, 800), "margin": "36%"}, "`margin` leaves no room on a `canvas` of 800x800"),
        ({"canvas": (1, 9), "fill": 0.5}, "`fill` leaves no room on a `canvas` of 1x9; give more"),
    ],
)
def test_odd_values_and_contradictions_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as error:
        Finishing(**options)  # type: ignore[arg-type]
    assert words in str(error.value)


def test_settings_at_their_limits_are_taken() -> None:
    Finishing(choke=200, smooth="200px", feather="90%", canvas=(800, 800), margin=399)
    for options in (
        {"scale": 0.9},
        {"crop": "subject", "scale": 0.5},
        {"canvas": (9, 9)},
        {"rotate": 3.0, "scale": 0.5},
    ):
        Finishing(sharpen=50, **options)  # type: ignore[arg-type]


def test_lengths_are_pixels_or_per_cent_of_the_diagonal() -> None:
    assert in_pixels("2.5", (30, 40)) == 2.5
    assert in_pixels("10%", (30, 40)) == 5
    assert parse_length("0.1 %") in ("0.1 %", "0.1%")
    with pytest.raises(UsageError, match="`choke` must be at most 200 pixels, not 250"):
        in_pixels("50%", (300, 400), what="`choke`", most=200)


def test_a_shadow_that_no_output_shows_is_refused() -> None:
    with pytest.raises(UsageError, match="`shadow` is seen in cut-outs and composites only"):
        Finishing(shadow="drop").check_kinds(["alpha"])
    with pytest.raises(UsageError, match="layers keep the photo's frame"):
        Finishing(crop="subject").check_kinds(["alpha", "layers"])
    Finishing(shadow="drop", crop="subject").check_kinds(["alpha", "cutout"])


def test_colours_come_from_the_matte_before_finishing() -> None:
    photo, alpha = subject()
    plain = make_output("foreground", photo, alpha)
    moved = finish(photo, alpha, Finishing(choke=4, feather=3))
    assert np.array_equal(make_output("foreground", photo, alpha, finished=moved).pixels, plain.pixels)
    finished = finish(photo, alpha, Finishing(spread=6, feather=3, feather_both=True))
    colours = make_output("foreground", photo, alpha, finished=finished).pixels
    same = finished.alpha <= alpha + 2 / 255
    assert np.array_equal(colours[same], plain.pixels[same])
    cut = make_output("cutout", photo, alpha, finished=finished).pixels
    assert np.array_equal(cut[..., :3], colours)
    assert np.array_equal(cut[..., 3], np.rint(finished.alpha * 255))


def test_a_spread_edge_has_the_colour_of_the_rim_or_of_the_photo_where_its_colours_are_kept() -> None:
    _, alpha = subject()
    y, x = np.mgrid[:200, :240]
    inner = np.hypot(x - 120, y - 100) < 52
    colour, share = np.where(inner, np.float32(220), np.float32(20))[..., None], alpha[..., None]  # a dark rim
    pixels = np.rint(share * colour + (1 - share) * 255).astype(np.uint8).repeat(3, axis=2)
    photo = Image(pixels)
    finished = finish(photo, alpha, Finishing(spread=12))
    seen = (finished.alpha > 0.1) & ~inner
    spread, plain = (make_output("foreground", photo, alpha, finished=one).pixels for one in (finished, None))
    assert np.abs(plain - colour)[seen].max() > 40  # the estimate at α = 0
    assert np.abs(spread - colour)[seen].max() < 5
    kept = make_output("foreground", photo, alpha, foreground=pixels, finished=finished).pixels
    assert np.array_equal(kept, pixels)


def test_an_alpha_and_a_composite_get_the_same_place() -> None:
    photo, alpha = subject()
    finished = finish(photo, alpha, Finishing(canvas=(100, 80), fill=0.5))
    shape = make_output("alpha", photo, alpha, finished=finished).pixels
    white = make_output("composite", photo, alpha, background=(1, 1, 1), finished=finished).pixels
    assert shape.shape == white.shape[:2] == (80, 100)
    assert (white[shape == 0] == 255).all()
    assert (white[shape == 1] < 255).any()


@pytest.mark.parametrize("name", ["srgb", "p3", "AdobeRGB", "ProPhoto"])
def test_white_stays_white_in_jpeg_through_any_profile(name: str) -> None:
    photo, alpha = subject(haze=0.003)
    photo = in_space(photo, space_named(name), depth=16)
    finished = finish(photo, alpha, Finishing(min_area=1))
    assert (finished.alpha[:20] == 0).all()
    white = make_output("composite", photo, alpha, background=(1, 1, 1), finished=finished)
    white = in_space(white, SRGB if name == "p3" else white.space, depth=8)
    file = io.BytesIO()
    PIL.Image.fromarray(white.pixels).save(file, "JPEG", quality=85, subsampling="4:4:4")
    decoded = np.asarray(PIL.Image.open(file))
    empty = finished.alpha.reshape(25, 8, 30, 8).max(axis=(1, 3)) == 0
    blocks = decoded.reshape(25, 8, 30, 8, 3).transpose(0, 2, 1, 3, 4)[empty]
    assert len(blocks) > 100
    assert (blocks == 255).all()


def test_haze_shows_where_nothing_is_finished() -> None:
    photo, alpha = subject(haze=0.003)
    deep = in_space(photo, SRGB, depth=16)
    white = make_output("composite", deep, alpha, background=(1, 1, 1))
    assert (white.pixels[:10] < 65535).any()


def test_a_jpeg_of_the_project_keeps_white_blocks(tmp_path: Path) -> None:
    photo, alpha = subject(haze=0.003)
    finished = finish(photo, alpha, Finishing(canvas=(320, 320), fill=0.5, shadow="contact"))
    white = make_output("composite", photo, alpha, background=(1, 1, 1), finished=finished)
    target = tmp_path / "white.jpg"
    write_image(target, white)
    decoded = np.asarray(PIL.Image.open(target))
    assert finished.light is not None
    used = np.maximum(finished.alpha, 1 - finished.light).reshape(40, 8, 40, 8).max(axis=(1, 3)) > 0
    assert (decoded.reshape(40, 8, 40, 8, 3).transpose(0, 2, 1, 3, 4)[~used] == 255).all()
    assert (~used).sum() > 400


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 7), (40, 33)])
@pytest.mark.parametrize("kind", ["empty", "full", "noise"])
def test_every_option_takes_pictures_of_any_size(size: tuple[int, int], kind: str) -> None:
    rng = np.random.default_rng(0)
    alpha = {"empty": np.zeros(size), "full": np.ones(size), "noise": rng.random(size)}[kind].astype(np.float32)
    photo = Image(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    for options in (
        Finishing(smooth=2, feather=2, min_area=3, fill_holes=3, levels=(10, 200, 2.0)),
        Finishing(choke=1.5, hair=0),
        Finishing(spread="1%"),
        Finishing(scale=0.3, rotate=5.0),
        Finishing(scale=3.0, shadow="drop"),
    ):
        finished = finish(photo, alpha, options)
        assert finished.alpha.dtype == np.float32
        assert finished.alpha.min() >= 0
        assert finished.alpha.max() <= 1
        made = make_output("composite", photo, alpha, background=(1, 1, 1), finished=finished)
        assert made.pixels.shape[:2] == finished.alpha.shape
