from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO
import pytest
import torch
from numpy.typing import NDArray

from mattecli.imaging.image import Image
from mattecli.imaging.read import read_alpha, read_image
from mattecli.imaging.write import write_image
from mattecli.trimaps.pairs import read_trimap
from mattecli.weights import find_checkpoint
from tests.conftest import RunMatte
from tests.network.test_checkpoint import Bomb
from tests.support.memory import free_memory
from tests.support.permissions import lock

EXAMPLES = Path(__file__).parents[2] / "examples"
WIDTH, HEIGHT = 90, 70


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small part of the example, with an odd size."""
    pixels = read_image(EXAMPLES / "portrait.jpg").pixels[150 : 150 + HEIGHT, 250 : 250 + WIDTH]
    path = tmp_path / "photo.png"
    write_image(path, Image(pixels))
    return path


@pytest.fixture
def trimap(tmp_path: Path) -> Path:
    """Background on the left, foreground on the right, unknown between."""
    path = tmp_path / "trimap.png"
    write_image(path, Image(trimap_pixels()))
    return path


def trimap_pixels(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    pixels = np.full((height, width), 128, np.uint8)
    pixels[:, : width // 3], pixels[:, -(width // 3) :] = 0, 255
    return pixels


def test_alpha_lands_beside_the_photo(run_matte: RunMatte, photo: Path, trimap: Path) -> None:
    code, out, err = run_matte("predict", photo, "--trimap", trimap)
    assert (code, out) == (0, "")
    assert "device: " in err
    alpha = read_alpha(photo.with_name("photo_alpha.png"))
    known = read_trimap(trimap)
    assert alpha.shape == (HEIGHT, WIDTH)
    assert (alpha[known == 0] == 0).all()
    assert (alpha[known == 255] == 1).all()
    assert alpha[known == 128].std() > 0.05


def test_the_same_input_gives_the_same_bytes(run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        assert run_matte("predict", photo, "-t", trimap, "-o", tmp_path / name)[0] == 0
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_large_photo_is_matted_from_coarse_to_fine_which_is_said_and_can_be_refused(
    run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "a small copy" not in run_matte("predict", photo, "-t", trimap, "-o", tmp_path / "small.png")[2]
    monkeypatch.setattr("mattecli.inference.coarse.LARGE", 5000)
    monkeypatch.setattr("mattecli.inference.coarse.COPY", 3000)
    monkeypatch.setattr("mattecli.inference.coarse.REACH", 2.0)
    plain, fine = tmp_path / "plain.png", tmp_path / "fine.png"
    code, out, err = run_matte("predict", photo, "-t", trimap, "-o", plain, "--no-coarse-to-fine", "--json")
    assert code == 0
    assert "a small copy" not in err
    assert json.loads(out)["coarse_to_fine"] is False
    code, out, err = run_matte("predict", photo, "-t", trimap, "-o", fine, "--json")
    assert code == 0
    assert err.count("a small copy was matted first") == 1
    assert json.loads(out)["coarse_to_fine"] is True
    assert not np.array_equal(read_alpha(fine), read_alpha(plain))
    assert np.array_equal(read_alpha(plain), read_alpha(tmp_path / "small.png"))


def test_inputs_are_not_touched(run_matte: RunMatte, photo: Path, trimap: Path) -> None:
    before = photo.read_bytes(), trimap.read_bytes()
    assert run_matte("predict", photo, "-t", trimap, "-o", photo, "--overwrite")[0] == 3
    assert run_matte("predict", photo, "-t", trimap, "-o", trimap, "--overwrite")[0] == 3
    assert (photo.read_bytes(), trimap.read_bytes()) == before


def test_json_holds_the_contracts_fields(run_matte: RunMatte, photo: Path, trimap: Path) -> None:
    code, out, _ = run_matte("predict", photo, "-t", trimap, "--json", "--device", "cpu")
    facts = json.loads(out)
    assert code == 0
    assert set(facts) == {
        *("image", "output", "width", "height", "unknown", "device", "backend", "precision", "tile"),
        *("weights", "seconds", "peak_bytes", "coarse_to_fine"),
    }
    assert facts["output"] == str(photo.with_name("photo_alpha.png"))
    assert (facts["width"], facts["height"], facts["device"]) == (WIDTH, HEIGHT, "cpu")
    assert facts["unknown"] == pytest.approx(1 / 3, abs=0.01)
    assert facts["weights"] == {"name": "a2u_shared", "sha256": find_checkpoint().sha256}
    assert facts["seconds"] > 0
    assert facts["peak_bytes"] > 10**8


def test_several_products_at_once(run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    code, _, _ = run_matte(
        *("predict", photo, "-t", trimap, "--what", "alpha,cutout,foreground,composite", "-b", "#00b140"),
        *("--out-dir", tmp_path / "out"),
    )
    assert code == 0
    alpha = read_alpha(tmp_path / "out" / "photo_alpha.png")
    cutout = read_image(tmp_path / "out" / "photo_cutout.png", keep_alpha=True).pixels
    assert cutout.shape == (HEIGHT, WIDTH, 4)
    assert np.array_equal(cutout[..., 3], np.rint(255 * alpha))
    foreground = read_image(tmp_path / "out" / "photo_foreground.png").pixels
    sure = read_trimap(trimap) == 255
    assert np.array_equal(foreground[sure], read_image(photo).pixels[sure])
    composite = read_image(tmp_path / "out" / "photo_composite.png", keep_alpha=True).pixels
    assert composite.shape == (HEIGHT, WIDTH, 3)
    assert (composite[read_trimap(trimap) == 0] == (0x00, 0xB1, 0x40)).all()


@pytest.mark.parametrize(
    ("option", "shape"), [("--cutout", 4), ("--foreground", 3), ("-b transparent", 4), ("-b red", 3)]
)
def test_one_product_goes_to_the_output(
    run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path, option: str, shape: int
) -> None:
    assert run_matte("predict", photo, "-t", trimap, *option.split(), "-o", tmp_path / "out.png")[0] == 0
    assert read_image(tmp_path / "out.png", keep_alpha=True).pixels.shape == (HEIGHT, WIDTH, shape)


def test_alpha_has_the_depth_that_was_asked_for(run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path) -> None:
    for bits, name in (("8", "a.png"), ("16", "b.png"), ("float", "c.npy"), ("float", "d.tif")):
        command = ("predict", photo, "-t", trimap, "--precision", "fp32")
        assert run_matte(*command, "--bits", bits, "-o", tmp_path / name)[0] == 0
    exact = np.load(tmp_path / "c.npy")
    assert exact.dtype == np.float32
    assert np.array_equal(read_alpha(tmp_path / "d.tif"), exact)
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED), np.rint(exact * 255))
    assert np.array_equal(cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED), np.rint(exact * 65535))


def test_a_rotated_jpeg_and_its_upright_trimap_fit(
    run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path
) -> None:
    from PIL import Image as Pillow

    upright = Pillow.open(photo)
    exif = Pillow.Exif()
    exif[0x0112] = 6  # shown turned by 90° clockwise
    upright.transpose(Pillow.Transpose.ROTATE_90).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    upright.save(tmp_path / "upright.jpg", quality=95)
    alphas = []
    for name in ("phone", "upright"):
        assert (
            run_matte("predict", tmp_path / f"{name}.jpg", "-t", trimap, "-o", tmp_path / "a.png", "--overwrite")[0]
            == 0
        )
        alphas.append(read_alpha(tmp_path / "a.png"))
    assert alphas[0].shape == (HEIGHT, WIDTH)
    assert np.abs(alphas[0] - alphas[1]).mean() < 0.01  # JPEG compresses the turned photo otherwise


@pytest.mark.parametrize(
    "arguments", [("-", "-t", "-"), ("-", "-t", "t.png", "-b", "-"), ("p.png", "-t", "-", "-b", "-")]
)
def test_standard_input_is_one_picture(run_matte: RunMatte, arguments: tuple[str, ...]) -> None:
    code, _, err = run_matte("predict", *arguments, "-o", "a.png")
    assert code == 2
    assert "standard input can be read only once; give - for one of photo, trimap and background" in err


def test_pipes_work(photo: Path, trimap: Path) -> None:
    command = [sys.executable, "-m", "mattecli", "predict", "-", "-t", str(trimap), "-o", "-"]
    done = subprocess.run(command, input=photo.read_bytes(), capture_output=True, check=True)
    alpha = cv2.imdecode(np.frombuffer(done.stdout, np.uint8), cv2.IMREAD_UNCHANGED)
    assert alpha.shape == (HEIGHT, WIDTH)
    assert b"standard output" in done.stderr


def test_standard_input_is_called_so_in_messages(
    run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def piped(height: int, width: int) -> io.TextIOWrapper:
        write_image(tmp_path / "grey.png", Image(np.full((height, width), 128, np.uint8)), overwrite=True)
        return io.TextIOWrapper(io.BytesIO((tmp_path / "grey.png").read_bytes()))

    monkeypatch.setattr(sys, "stdin", piped(HEIGHT, WIDTH))
    code, _, err = run_matte("predict", photo, "-t", "-", "-o", tmp_path / "a.png")
    assert (code, "warning: standard input has only unknown pixels" in err) == (0, True), err
    monkeypatch.setattr(sys, "stdin", piped(9, 9))
    code, _, err = run_matte("composite", photo, "-", "-b", "white", "-o", tmp_path / "c.png")
    assert (code, "standard input is 9×9 but" in err) == (3, True), err


def test_quiet_says_nothing(run_matte: RunMatte, photo: Path, trimap: Path) -> None:
    assert run_matte("predict", photo, "-t", trimap, "--quiet") == (0, "", "")


def test_nothing_unknown_works_and_says_so(run_matte: RunMatte, photo: Path, trimap: Path) -> None:
    pixels = trimap_pixels()
    pixels[pixels == 128] = 0
    write_image(trimap, Image(pixels), overwrite=True)
    code, _, err = run_matte("predict", photo, "-t", trimap)
    assert code == 0
    assert "trimap.png has no unknown pixels, so the alpha is the trimap itself" in err
    assert np.array_equal(read_alpha(photo.with_name("photo_alpha.png")) * 255, pixels)


def test_nothing_known_works_and_says_so(run_matte: RunMatte, photo: Path, trimap: Path) -> None:
    write_image(trimap, Image(np.full((HEIGHT, WIDTH), 128, np.uint8)), overwrite=True)
    code, _, err = run_matte("predict", photo, "-t", trimap)
    assert code == 0
    assert "trimap.png has only unknown pixels" in err


def refused(run_matte: RunMatte, *args: object) -> tuple[int, str]:
    """Exit code and the one sentence of a run that fails and writes nothing to stdout."""
    code, out, err = run_matte("predict", *args)
    assert out == ""
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, err
    assert "Traceback" not in err
    return code, errors[0].removeprefix("error: ")


def test_missing_photo(run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path) -> None:
    code, sentence = refused(run_matte, tmp_path / "gone.jpg", "-t", trimap)
    assert code == 3
    assert "gone.jpg" in sentence
    code, sentence = refused(run_matte, photo, "-t", tmp_path / "gone.png")
    assert code == 3
    assert "gone.png" in sentence


def test_not_an_image(run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("hello")
    (tmp_path / "empty.png").touch()
    for name in ("note.png", "empty.png"):
        code, sentence = refused(run_matte, tmp_path / name, "-t", trimap)
        assert code == 3
        assert name in sentence


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_truncated_photo(run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / f"whole{suffix}", read_image(photo))
    content = (tmp_path / f"whole{suffix}").read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: len(content) * 2 // 3])
    code, sentence = refused(run_matte, cut, "-t", trimap)
    assert code == 3
    assert cut.name in sentence


def test_sizes_differ(run_matte: RunMatte, photo: Path, trimap: Path) -> None:
    write_image(trimap, Image(trimap_pixels(30, 40)), overwrite=True)
    code, sentence = refused(run_matte, photo, "-t", trimap)
    assert code == 3
    assert (
        f"trimap.png is 40×30 but {photo} is {WIDTH}×{HEIGHT}; make the trimap from the photo at its full size"
        in sentence
    )


def test_sizes_differ_by_a_rotation(run_matte: RunMatte, photo: Path, trimap: Path) -> None:
    write_image(trimap, Image(trimap_pixels(WIDTH, HEIGHT)), overwrite=True)
    code, sentence = refused(run_matte, photo, "-t", trimap)
    assert code == 3
    assert "rotated" in sentence
    assert "EXIF" in sentence


def test_a_jpeg_trimap_is_refused_and_snap_takes_it(run_matte: RunMatte, photo: Path, tmp_path: Path) -> None:
    pixels = np.full((HEIGHT, WIDTH), 128, np.uint8)
    cv2.circle(pixels, (45, 35), 60, 0, 30)
    cv2.circle(pixels, (45, 35), 20, 255, -1)
    cv2.imwrite(str(tmp_path / "lossy.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])
    code, sentence = refused(run_matte, photo, "-t", tmp_path / "lossy.jpg")
    assert code == 3
    advised = re.search(r"use --snap (\d+)$", sentence.strip())
    assert advised is not None
    assert run_matte("predict", photo, "-t", tmp_path / "lossy.jpg", "--snap", advised[1])[0] == 0


def test_wrong_weights(run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path) -> None:
    torch.save({"some.other.net": torch.zeros(3)}, tmp_path / "other.pth")
    code, sentence = refused(run_matte, photo, "-t", trimap, "--weights", tmp_path / "other.pth")
    assert code == 4
    assert "other.pth holds no A2U network" in sentence
    code, sentence = refused(run_matte, photo, "-t", trimap, "--weights", "a3u")
    assert code == 4
    assert "a2u_shared" in sentence


def test_hostile_pickle(run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": Bomb(tmp_path / "owned")}, tmp_path / "bad.pth")
    code, sentence = refused(run_matte, photo, "-t", trimap, "--weights", tmp_path / "bad.pth")
    assert code == 4
    assert "bad.pth would run code" in sentence
    assert ".safetensors" in sentence
    assert not (tmp_path / "owned").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA card is here")
def test_cuda_asked_for_and_absent(run_matte: RunMatte, photo: Path, trimap: Path) -> None:
    code, sentence = refused(run_matte, photo, "-t", trimap, "--device", "cuda")
    assert code == 5
    assert "--device cuda cannot be used" in sentence
    assert "--device cpu" in sentence
    assert not photo.with_name("photo_alpha.png").exists()


def test_too_little_memory(run_matte: RunMatte, photo: Path, trimap: Path) -> None:
    code, sentence = refused(run_matte, photo, "-t", trimap, "--max-memory", "20M")
    assert code == 5
    assert f"{photo} has {WIDTH}×{HEIGHT} pixels" in sentence
    assert "20 MiB are allowed by --max-memory" in sentence


def test_output_exists(run_matte: RunMatte, photo: Path, trimap: Path) -> None:
    output = photo.with_name("photo_alpha.png")
    output.write_bytes(b"mine")
    code, sentence = refused(run_matte, photo, "-t", trimap)
    assert code == 3
    assert "photo_alpha.png exists already" in sentence
    assert "--overwrite" in sentence
    assert output.read_bytes() == b"mine"
    assert run_matte("predict", photo, "-t", trimap, "--overwrite")[0] == 0
    assert read_alpha(output).shape == (HEIGHT, WIDTH)


def test_output_folder_missing(run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path) -> None:
    code, sentence = refused(run_matte, photo, "-t", trimap, "-o", tmp_path / "gone" / "a.png")
    assert code == 3
    assert "does not exist" in sentence


def test_a_file_stands_where_the_output_folder_should(run_matte: RunMatte, photo: Path, trimap: Path) -> None:
    code, sentence = refused(run_matte, photo, "-t", trimap, "-o", photo / "a.png")
    assert code == 3
    assert "is a file, not a folder" in sentence


def test_output_folder_not_writable(
    run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    lock(locked, 0o500, monkeypatch)
    code, sentence = refused(run_matte, photo, "-t", trimap, "-o", locked / "a.png")
    assert code == 3
    assert "not writable" in sentence


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--cutout --foreground", "use --what"),
        ("--cutout -b red", "use --what"),
        (
            "--what alpha,matte --out-dir .",
            "--what must list alpha, cutout, foreground, composite, layers .*, not 'matte'",
        ),
        ("--what alpha,composite --out-dir .", "a composite needs both"),
        ("--what alpha,cutout -o a.png", "give --out-dir DIR instead"),
        ("--what alpha --cutout --out-dir .", "leave --cutout"),
        ("--json -o -", "both write to standard output"),
        ("--cutout --bits 16", "no alpha|none is written"),
        ("--max-memory lots", "must be an amount of memory such as 800M or 6G, not lots"),
        ("--device tpu", "--device must be auto, cpu, cuda or cuda:N, not tpu"),
        ("-b bleu", "neither a file nor a colour"),
        ("--linear", "--linear would do nothing"),
        ("--despill green", "--despill would do nothing, because only an alpha is written"),
        ("--fit tile --cutout", "--fit tile would do nothing"),
        ("-b red --fit tile", "red is a colour"),
    ],
)
def test_options_that_contradict_each_other(
    run_matte: RunMatte, photo: Path, trimap: Path, options: str, words: str
) -> None:
    code, sentence = refused(run_matte, photo, "-t", trimap, *options.split())
    assert code == 2
    assert re.search(words, sentence), sentence


def test_usage_errors_of_the_parser_end_with_2(run_matte: RunMatte, photo: Path) -> None:
    assert run_matte("predict", photo)[0] == 2
    assert run_matte("predict", photo, "--trimap", "t.png", "--bits", "12")[0] == 2


def test_debug_shows_the_traceback(run_matte: RunMatte, trimap: Path, tmp_path: Path) -> None:
    code, _, err = run_matte("predict", tmp_path / "gone.jpg", "-t", trimap, "--debug")
    assert code == 3
    assert "Traceback" in err


def test_interrupt_ends_with_130(
    run_matte: RunMatte, photo: Path, trimap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("mattecli.work.job.find_matte", interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore Ctrl-C
    try:
        assert run_matte("predict", photo, "-t", trimap)[0] == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert not photo.with_name("photo_alpha.png").exists()


def test_authors_layout_works_as_weights(run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path) -> None:
    from mattecli.network.checkpoint import load_a2u

    state = {f"module.{name}": tensor for name, tensor in load_a2u(find_checkpoint().path).state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "a2u.pth", _use_new_zipfile_serialization=False)
    for weights, name in ((tmp_path / "a2u.pth", "theirs.png"), ("a2u_shared", "ours.png")):
        assert run_matte("predict", photo, "-t", trimap, "-w", weights, "-o", tmp_path / name)[0] == 0
    assert (tmp_path / "theirs.png").read_bytes() == (tmp_path / "ours.png").read_bytes()


def test_names_with_spaces_quotes_and_emoji(run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path) -> None:
    odd = tmp_path / "it's a 🦊 photo.png"
    shutil.copy(photo, odd)
    assert run_matte("predict", odd, "-t", trimap)[0] == 0
    assert (tmp_path / "it's a 🦊 photo_alpha.png").is_file()


@pytest.fixture
def known(trimap: Path) -> Path:
    """A trimap that is its own matte, so that no network runs."""
    pixels = trimap_pixels()
    pixels[pixels == 128] = 0
    write_image(trimap, Image(pixels), overwrite=True)
    return trimap


def test_one_product_goes_into_the_folder_too(run_matte: RunMatte, photo: Path, known: Path, tmp_path: Path) -> None:
    for option, name in (((), "photo_alpha.png"), (("--cutout",), "photo_cutout.png")):
        assert run_matte("predict", photo, "-t", known, "--out-dir", tmp_path / "od", *option)[0] == 0
        assert (tmp_path / "od" / name).is_file()
        assert not photo.with_name(name).exists()


@pytest.mark.parametrize("what", ["cutout", "alpha,cutout"])
def test_too_little_memory_for_a_product_is_found_before_the_run(
    run_matte: RunMatte, photo: Path, known: Path, what: str
) -> None:
    with free_memory(2 * 90 * 70 * 4):  # enough to read it
        code, sentence = refused(run_matte, photo, "-t", known, "--what", what)
    assert code == 5
    assert "pixels together takes" in sentence


def test_the_alpha_is_safe_before_anything_else_is_made(
    run_matte: RunMatte, photo: Path, known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[bool] = []

    def fail(*_: object) -> None:
        there.append(photo.with_name("photo_alpha.png").is_file())
        raise MemoryError

    monkeypatch.setattr("mattecli.work.job.ForegroundColours.of", fail)
    assert run_matte("predict", photo, "-t", known, "--what", "cutout,alpha")[0] == 5
    assert there == [True]


def test_a_photo_that_hides_pixels_is_warned_of(run_matte: RunMatte, photo: Path, known: Path) -> None:
    pixels = read_image(photo).pixels
    write_image(photo, Image(np.dstack([pixels, np.full(pixels.shape[:2], 254, np.uint8)])), overwrite=True)
    code, _, err = run_matte("predict", photo, "-t", known)
    assert code == 0
    assert "warning: " in err
    assert "photo.png is transparent in places" in err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_both_files_may_come_through_pipes(run_matte: RunMatte, photo: Path, known: Path, tmp_path: Path) -> None:
    writers = []
    for name, source in (("photo-pipe", photo), ("trimap-pipe", known)):
        os.mkfifo(tmp_path / name)
        writers.append(threading.Thread(target=(tmp_path / name).write_bytes, args=(source.read_bytes(),), daemon=True))
        writers[-1].start()
    code, _, err = run_matte(
        *("predict", tmp_path / "photo-pipe", "-t", tmp_path / "trimap-pipe", "-o", tmp_path / "x.png")
    )
    assert code == 0, err
    for writer in writers:
        writer.join()
    assert read_alpha(tmp_path / "x.png").shape == (HEIGHT, WIDTH)


def test_an_alpha_in_exr_holds_its_floats(run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path) -> None:
    for name in ("a.exr", "a.npy"):
        assert run_matte("predict", photo, "-t", trimap, "--bits", "float", "-o", tmp_path / name)[0] == 0
    picture = OpenImageIO.ImageInput.open(str(tmp_path / "a.exr"))
    assert picture.spec().channelnames == ("Y",)
    assert np.array_equal(picture.read_image("float")[..., 0], np.load(tmp_path / "a.npy"))


def test_an_alpha_of_floats_among_others_goes_into_a_tiff(
    run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path
) -> None:
    code, _, err = run_matte(
        *("predict", photo, "-t", trimap, "--what", "alpha,cutout", "--bits", "float"), *("--out-dir", tmp_path)
    )
    assert code == 0, err
    assert read_image(tmp_path / "photo_alpha.tif").pixels.dtype == np.float32
    assert (tmp_path / "photo_cutout.png").exists()


def test_an_output_that_a_link_leads_out_of_its_folder_is_refused(
    run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere.png"
    out.mkdir()
    (out / f"{photo.stem}_cutout.png").symlink_to(elsewhere)
    arguments = ("predict", photo, "-t", trimap, "--what", "alpha,cutout", "--out-dir", out)
    code, _, err = run_matte(*arguments, "--overwrite")
    assert code == 3
    assert f"leads out of the output folder {out} through a link to {elsewhere}; remove" in " ".join(err.split())
    assert not elsewhere.exists()
    assert [path.name for path in out.iterdir()] == [f"{photo.stem}_cutout.png"]


def test_a_trimap_is_saved_into_a_folder_that_outputs_make(
    run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ("predict", photo, "-t", trimap, "--what", "alpha,cutout")
    for number, (folder, target) in enumerate((("a/mattes", "a/t.png"), ("b", tmp_path / "b" / "t.png"))):
        code, _, err = run_matte(*arguments, "--out-dir", folder, "--save-trimap", target)
        assert code == 0, err
        assert (tmp_path / "ab"[number] / "t.png").is_file()


def test_a_trimap_is_not_saved_over_an_output(run_matte: RunMatte, photo: Path, trimap: Path, tmp_path: Path) -> None:
    for target in ("x.png", "./x.png"):
        code, _, err = run_matte(
            "predict", photo, "-t", trimap, "-o", tmp_path / "x.png", "--save-trimap", f"{tmp_path}/{target}"
        )
        assert code == 3
        assert "would be the trimap and an output" in err
        assert not (tmp_path / "x.png").exists()
