"""OpenEXR plates on the command line: highlights, glow, overscan, and OpenImageIO's `over` as the oracle."""

from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813 - its own examples call it so
import pytest
from numpy.typing import NDArray

from mattecli.imaging.colour import decode_srgb
from mattecli.imaging.image import Image
from mattecli.imaging.read import read_alpha, read_image
from mattecli.imaging.write import write_image
from mattecli.trimaps.pairs import read_trimap
from mattecli.work.job import read_finished
from mattecli.work.outcome import Job
from tests.cli.test_colour import EXAMPLES, SQUARE
from tests.conftest import RunMatte

Floats = NDArray[np.float32]
Window = tuple[int, int, int, int]  # x, y, width, height

DATA, DISPLAY = (-8, -4, 64, 64), (0, 0, 50, 54)
GLOW = np.s_[2:9, 3:12]


def write(name: str, pixels: Floats, data: Window, display: Window, form: str = "float") -> None:
    spec = oiio.ImageSpec(data[2], data[3], pixels.shape[2], form)
    spec.x, spec.y = data[:2]
    spec.full_x, spec.full_y, spec.full_width, spec.full_height = display
    spec.attribute("oiio:UnassociatedAlpha", 0)
    output = oiio.ImageOutput.create(name)
    assert output.open(name, spec)
    assert output.write_image(pixels)
    output.close()


def opaque(name: str) -> oiio.ImageBuf:
    """An RGB file with alpha 1."""
    loaded = oiio.ImageBuf(name)
    assert loaded.read(0, 0, True, oiio.FLOAT)
    return oiio.ImageBufAlgo.channels(loaded, ("R", "G", "B", 1.0), ("R", "G", "B", "A"))


def stored(name: str) -> Floats:
    return np.asarray(oiio.ImageBuf(name).get_pixels(oiio.FLOAT))


@pytest.fixture
def plate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Floats:
    """plate.exr, RGBA premultiplied, with overscan, highlights and glow; trimap.png, of the display window's size, and
    behind.exr with the same display window and another data window. Returns the plate's pixels.
    """
    monkeypatch.chdir(tmp_path)
    light = decode_srgb(read_image(EXAMPLES / "portrait.jpg").pixels[SQUARE] / np.float32(255))
    light[light > 0.5] *= 40
    pixels = np.dstack([light, np.ones(light.shape[:2], np.float32)]).astype(np.float32)
    pixels[GLOW] = [3.5, 0.75, 0.125, 0]
    write("plate.exr", pixels, DATA, DISPLAY)
    known = read_image(EXAMPLES / "portrait_trimap.png").pixels[SQUARE][..., 0].copy()
    known[:16, :20] = 0
    shown = known[4 : 4 + DISPLAY[3], 8 : 8 + DISPLAY[2]]
    write("trimap.png", np.float32(shown[..., None] / 255), (0, 0, *DISPLAY[2:]), (0, 0, *DISPLAY[2:]), "uint8")
    behind = np.random.default_rng(0).uniform(0, 6, (80, 90, 3)).astype(np.float32)
    write("behind.exr", behind, (-20, -10, 90, 80), DISPLAY)
    return pixels


def over(front: str, behind: str) -> Floats:
    """OpenImageIO's composite of two files over the plate's data window."""
    area = oiio.ROI(DATA[0], DATA[0] + DATA[2], DATA[1], DATA[1] + DATA[3])
    made = oiio.ImageBufAlgo.over(oiio.ImageBuf(front), opaque(behind), area)
    assert not made.has_error, made.geterror()
    return np.asarray(made.get_pixels(oiio.FLOAT, area)[..., :3])


def test_glow_and_overscan_of_a_plate_come_through_a_cutout(plate: Floats, run_matte: RunMatte) -> None:
    code, _, err = run_matte("predict", "plate.exr", "-t", "trimap.png", "--cutout", "-o", "cutout.exr")
    assert code == 0, err
    assert "plate.exr has light under alpha 0 in 63 pixels" in err
    spec = oiio.ImageBuf("cutout.exr").spec()
    assert (spec.x, spec.y, spec.width, spec.height) == DATA
    assert (spec.full_x, spec.full_y, spec.full_width, spec.full_height) == DISPLAY
    cutout = stored("cutout.exr")
    np.testing.assert_array_equal(cutout[GLOW], plate[GLOW])
    nothing, whole = cutout[..., 3] == 0, cutout[..., 3] == 1
    glowing = np.zeros_like(nothing)
    glowing[GLOW] = True
    assert not cutout[nothing & ~glowing].any()  # what is background covers nothing and adds nothing
    np.testing.assert_array_equal(cutout[whole], plate[whole])
    assert cutout[whole].max() > 20


def test_composites_of_a_plate_are_openimageios_over(plate: Floats, run_matte: RunMatte) -> None:
    for kind in ("alpha", "cutout"):
        ways = ["--cutout"] if kind == "cutout" else []
        code, _, err = run_matte("predict", "plate.exr", "-t", "trimap.png", *ways, "-o", f"{kind}.exr")
        assert code == 0, err
    expected = over("cutout.exr", "behind.exr")
    assert (stored("cutout.exr")[..., 3] % 1 > 0).sum() > 100
    for command in (
        ("predict", "plate.exr", "-t", "trimap.png", "-b", "behind.exr", "-o"),
        ("composite", "plate.exr", "alpha.exr", "-b", "behind.exr", "-o"),
    ):
        name = f"{command[0]}.exr"
        code, _, err = run_matte(*command, name)
        assert code == 0, err
        spec = oiio.ImageBuf(name).spec()
        assert (spec.x, spec.y, spec.width, spec.height) == DATA
        found = stored(name)
        assert (np.abs(found - expected) <= np.spacing(np.abs(expected)) / 2).all()
        assert (found[GLOW] > np.float32([3.5, 0.75, 0.125]) - 1e-6).all()
    code, _, err = run_matte(
        "predict", "plate.exr", "-t", "trimap.png", "--what", "composite:exrhalf", "-b", "behind.exr"
    )
    assert code == 0, err
    half = stored("plate_composite.exr")
    steps = np.spacing(np.abs(expected).astype(np.float16)).astype(np.float32)
    assert (np.abs(half - expected) <= steps / 2).all()


def test_a_background_fits_the_display_window_of_a_plate(plate: Floats, run_matte: RunMatte) -> None:
    x, y = np.meshgrid(np.arange(DISPLAY[2]), np.arange(DISPLAY[3]))
    ramp = np.dstack([x, y, x + y]).astype(np.float32)
    write("ramp.exr", ramp, (0, 0, *DISPLAY[2:]), (0, 0, *DISPLAY[2:]))
    write("wide.exr", np.kron(ramp, np.ones((2, 2, 1), np.float32)), (0, 0, 100, 108), (0, 0, 100, 108))
    found = {}
    for name in ("ramp", "wide"):
        arguments = ("predict", "plate.exr", "-t", "trimap.png", "-b", f"{name}.exr", "-o", f"{name}_over.exr")
        code, _, err = run_matte(*arguments)
        assert code == 0, err
        found[name] = stored(f"{name}_over.exr")
    np.testing.assert_array_equal(found["ramp"], found["wide"])
    assert run_matte("predict", "plate.exr", "-t", "trimap.png", "-o", "alpha.exr")[0] == 0
    nothing = stored("alpha.exr")[..., 0] == 0
    nothing[GLOW] = False
    rows, columns = np.nonzero(nothing)
    across, down = np.clip(columns + DATA[0], 0, 49), np.clip(rows + DATA[1], 0, 53)
    np.testing.assert_array_equal(found["ramp"][nothing], np.stack([across, down, across + down], axis=1))


def test_threads_change_the_last_bits_of_an_alpha_at_most(plate: Floats, run_matte: RunMatte) -> None:
    for number in ("1", "3"):
        predict = ("predict", "plate.exr", "-t", "trimap.png", "-o", f"{number}.exr", "--threads", number)
        code, _, err = run_matte(*predict)
        assert code == 0, err
        composite = ("composite", "plate.exr", "1.exr", "-b", "behind.exr", "-o", f"over{number}.exr")
        code, _, err = run_matte(*composite, "--threads", number)
        assert code == 0, err
    assert np.abs(stored("1.exr") - stored("3.exr")).max() < 1e-5
    assert Path("over1.exr").read_bytes() == Path("over3.exr").read_bytes()
    code, _, err = run_matte(*predict[:-1], "0")
    assert code == 2
    assert "--threads must be a whole number from 1 to 1024, not 0" in " ".join(err.split())


def test_alphas_and_trimaps_of_the_display_window_fit_plates_in_folders(plate: Floats, run_matte: RunMatte) -> None:
    for folder, name, file in (
        ("photos", "plate.exr", "plate.exr"),
        ("alphas", "trimap.png", "plate_alpha.png"),
        ("trimaps", "trimap.png", "plate_trimap.png"),
    ):
        Path(folder).mkdir()
        Path(folder, file).write_bytes(Path(name).read_bytes())
    given = ("-b", "behind.exr", "--min-area", "3")
    code, _, err = run_matte("composite", "plate.exr", "trimap.png", *given, "-t", "trimap.png", "-o", "alone.exr")
    assert code == 0, err
    code, _, err = run_matte(
        "composite", "photos", "alphas", *given, "-t", "trimaps", "--out-dir", "out", "--name", "{stem}_{what}.exr"
    )
    assert code == 0, err
    assert stored("alone.exr").shape == (64, 64, 3)
    np.testing.assert_array_equal(stored("out/plate_composite.exr"), stored("alone.exr"))


def test_a_mask_of_the_display_window_fits_a_plate(plate: Floats, run_matte: RunMatte) -> None:
    code, _, err = run_matte("predict", "plate.exr", "--mask", "trimap.png", "--save-trimap", "made.png")
    assert code == 0, err
    made = read_image("made.png").pixels[..., 0]
    assert made.shape == plate.shape[:2]
    code, _, err = run_matte("trimap", "trimap.png", "--image", "plate.exr", "-o", "alone.png")
    assert code == 0, err
    np.testing.assert_array_equal(read_image("alone.png").pixels[..., 0], made)


def test_a_trimap_in_exr_has_the_windows_of_its_plate(plate: Floats, run_matte: RunMatte) -> None:
    for command in (
        ("predict", "plate.exr", "-t", "trimap.png", "--save-trimap", "made.exr"),
        ("trimap", "trimap.png", "--photo", "plate.exr", "-o", "made.exr"),
    ):
        code, _, err = run_matte(*command, "--overwrite")
        assert code == 0, err
        spec = oiio.ImageBuf("made.exr").spec()
        assert (spec.x, spec.y, spec.width, spec.height) == DATA
        assert (spec.full_x, spec.full_y, spec.full_width, spec.full_height) == DISPLAY
        assert set(np.unique(stored("made.exr"))) == {0, np.float16(128 / 255), 1}


def test_our_own_trimap_and_alpha_fit_a_plate_whose_windows_have_one_size(plate: Floats, run_matte: RunMatte) -> None:
    write("plate.exr", plate, DATA, (0, 0, *DATA[2:]))
    known = read_image(EXAMPLES / "portrait_trimap.png").pixels[SQUARE][..., 0]
    write_image("known.png", Image(known))
    code, _, err = run_matte("predict", "plate.exr", "-t", "known.png", "--save-trimap", "made.exr", "-o", "alpha.exr")
    assert code == 0, err
    np.testing.assert_array_equal(read_trimap("made.exr"), known)
    given = read_finished(Job("plate", "plate.exr", "alpha.exr", {}, finished=True, known="made.exr"))
    np.testing.assert_array_equal(given.alpha, read_alpha("alpha.exr"))
    np.testing.assert_array_equal(given.inputs.trimap, known)


def test_what_is_certain_may_have_the_size_of_the_display_window(plate: Floats, run_matte: RunMatte) -> None:
    width, height = DISPLAY[2:]
    for name, place in (("core", np.s_[0:6, 20:40]), ("garbage", np.s_[30:36, 20:40])):
        mark = np.zeros((height, width, 1), np.float32)
        mark[place] = 1
        write(f"{name}.png", mark, (0, 0, width, height), (0, 0, width, height), "uint8")
    strokes = np.zeros((height, width, 4), np.float32)
    strokes[0:6, 20:40], strokes[30:36, 20:40, 3] = 1, 1
    write("strokes.png", strokes, (0, 0, width, height), (0, 0, width, height), "uint8")
    masks = ("--core", "core.png", "--garbage", "garbage.png")
    for given in (masks, ("--scribbles", "strokes.png")):
        for command in (
            ("predict", "plate.exr", "-t", "trimap.png", "--save-trimap", "made.png"),
            ("trimap", "plate.exr", "--mask", "trimap.png", "-o", "made.png"),
        ):
            code, _, err = run_matte(*command, *given, "--overwrite")
            assert code == 0, err
            made = read_image("made.png").pixels[..., 0]
            assert (made[4:10, 28:48] == 255).all()
            assert (made[34:40, 28:48] == 0).all()
            assert made.shape == plate.shape[:2]
    code, _, err = run_matte("trimap", "plate.exr", "--scribbles", "strokes.png", "-o", "found.png")
    assert code == 0, err
    assert (read_image("found.png").pixels[..., 0][34:40, 28:48] == 0).all()
