"""`matte evaluate` as its users meet it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mattecli.errors import InputError
from mattecli.imaging.image import Image
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_image
from mattecli.weights import find_checkpoint
from tests.conftest import DATA, RunMatte

CASES = DATA / "metric_cases"
EXPECTED = json.loads((CASES / "expected.json").read_text())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Folders `predictions`, `truth` and `trimaps` with the five cases, and `photos` made up for them."""
    for kind, folder in {"pred": "predictions", "alpha": "truth", "trimap": "trimaps"}.items():
        (tmp_path / folder).mkdir()
        for number in EXPECTED:
            shutil.copy(CASES / f"{number}_{kind}.png", tmp_path / folder / f"cat{number}.png")
    (tmp_path / "photos").mkdir()
    for number in EXPECTED:
        matte = read_image(tmp_path / "predictions" / f"cat{number}.png").pixels
        write_image(tmp_path / "photos" / f"cat{number}.png", Image(matte))
    return tmp_path


def _benchmark(data: Path) -> list[object]:
    return ["--alpha", data / "truth", "--trimaps", data / "trimaps"]


def test_the_table_has_each_image_and_the_mean(run_matte: RunMatte, data: Path) -> None:
    code, out, err = run_matte("evaluate", data / "predictions", *_benchmark(data))
    assert code == 0
    assert err == ""
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["image", "SAD", "MSE", "Grad", "Conn"]
    assert lines[3] == ["cat2", "3.759", "0.00796", "2.270", "3.332"]
    assert lines[-1] == ["mean", "of", "5", "1.337", "0.00788", "0.789", "1.135"]
    assert len(lines) == 7
    assert "\x1b" not in out


def test_json_is_one_object_in_the_units_papers_print(run_matte: RunMatte, data: Path) -> None:
    code, out, _ = run_matte("evaluate", data / "predictions", *_benchmark(data), "--json")
    assert code == 0
    result = json.loads(out)
    assert [image["name"] for image in result["images"]] == [f"cat{number}" for number in EXPECTED]
    for image, expected in zip(result["images"], EXPECTED.values(), strict=True):
        assert image["sad"] == pytest.approx(expected["sad"], rel=1e-5)
        assert image["mse"] == pytest.approx(expected["mse"], rel=1e-5)
        assert image["grad"] == pytest.approx(expected["grad"] / 1000, rel=1e-5)
        assert image["conn"] == pytest.approx(expected["conn"] / 1000, rel=1e-5)
    assert result["mean"]["sad"] == pytest.approx(np.mean([case["sad"] for case in EXPECTED.values()]), rel=1e-5)
    assert result["failed"] == []
    assert result["total"] == 5


def test_failed_images_are_named_and_there_is_no_mean_for_the_set(run_matte: RunMatte, data: Path) -> None:
    (data / "predictions" / "cat1.png").unlink()
    (data / "predictions" / "cat3.png").write_bytes(b"not a picture")
    code, out, err = run_matte("evaluate", data / "predictions", *_benchmark(data))
    assert code == 1
    assert "mean of 3 of 5 only" in out
    assert "mean of 5" not in out
    assert [line.split() for line in out.splitlines() if "failed" in line] == [
        ["cat1", *["failed"] * 4],
        ["cat3", *["failed"] * 4],
    ]
    lines = err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("error: cat1: ")
    assert "no prediction of this name" in lines[0]
    assert lines[1].startswith("error: cat3: ")
    assert "cat3.png" in lines[1]
    assert "2 of 5 images failed" in lines[2]

    code, out, _ = run_matte("evaluate", data / "predictions", *_benchmark(data), "--json", "--quiet")
    result = json.loads(out)
    assert code == 1
    assert result["mean"] is None
    assert [failed["name"] for failed in result["failed"]] == ["cat1", "cat3"]
    assert result["mean_of_scored"]["sad"] == pytest.approx((1.121667 + 3.758697 + 0.898647) / 3, rel=1e-5)


def test_debug_shows_what_was_behind_a_failure(run_matte: RunMatte, data: Path) -> None:
    (data / "predictions" / "cat3.png").write_bytes(b"not a picture")
    _, _, err = run_matte("evaluate", data / "predictions", *_benchmark(data))
    assert "Traceback" not in err
    _, _, err = run_matte("evaluate", data / "predictions", *_benchmark(data), "--debug")
    assert "Traceback" in err


def test_left_over_predictions_are_warned_of(run_matte: RunMatte, data: Path) -> None:
    shutil.copy(data / "predictions" / "cat1.png", data / "predictions" / "dog.png")
    code, _, err = run_matte("evaluate", data / "predictions", *_benchmark(data))
    assert code == 0
    assert err.startswith("warning: ")
    assert "dog.png" in err


def test_a_model_runs_over_photos_and_its_alphas_are_kept(run_matte: RunMatte, data: Path) -> None:
    arguments = ["evaluate", "--images", data / "photos", *_benchmark(data), "--device", "cpu", "--json"]
    code, out, err = run_matte(*arguments, "--save", data / "kept", "--tile", 64)
    assert (code, err) == (0, "device: cpu\n")
    run = json.loads(out)
    checkpoint = find_checkpoint()
    assert run["weights"] == {"name": checkpoint.name, "sha256": checkpoint.sha256}
    assert (run["device"], run["backend"], run["precision"]) == ("cpu", "torch", "fp32")
    folder = json.loads(run_matte("evaluate", data / "kept", *_benchmark(data), "--json")[1])
    assert folder["images"] == run["images"]
    photo, trimap = data / "photos/cat1.png", data / "trimaps/cat1.png"
    command = ("predict", photo, "-t", trimap, "--device", "cpu", "--precision", "fp32")
    run_matte(*command, "-o", data / "alone.png", "--tile", 64)
    assert (data / "kept/cat1.png").read_bytes() == (data / "alone.png").read_bytes()


def test_the_network_is_judged_at_full_size_alone_unless_asked(
    run_matte: RunMatte, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LARGE": 5000, "COPY": 3000, "REACH": 2.0, "WIDE": 0.0, "DEEP": 2.0, "RISE": 1.0}.items():
        monkeypatch.setattr(f"mattecli.inference.coarse.{name}", value)
    means = []
    for options in ((), ("--no-coarse-to-fine",), ("--coarse-to-fine",)):
        code, out, _ = run_matte("evaluate", "--images", data / "photos", *_benchmark(data), "--json", *options)
        assert code == 0
        means.append(json.loads(out)["mean"])
    assert means[0] == means[1]
    assert means[0] != means[2]


def test_kept_alphas_are_overwritten_only_when_asked(run_matte: RunMatte, data: Path) -> None:
    arguments = ["evaluate", "--images", data / "photos", *_benchmark(data), "--save", data / "kept"]
    (data / "kept").mkdir()
    (data / "kept" / "cat4.png").write_bytes(b"mine")
    code, _, err = run_matte(*arguments)
    assert code == 3
    assert "cat4.png exists already" in err
    assert "device" not in err
    assert [path.name for path in (data / "kept").iterdir()] == ["cat4.png"]
    assert run_matte(*arguments, "--overwrite")[0] == 0
    assert len(list((data / "kept").iterdir())) == 5


def test_alphas_are_never_kept_among_the_inputs(run_matte: RunMatte, data: Path) -> None:
    before = (data / "truth" / "cat0.png").read_bytes()
    arguments = ["evaluate", "--images", data / "photos", *_benchmark(data), "--overwrite", "--save", data / "truth"]
    code, _, err = run_matte(*arguments)
    assert code == 3
    assert "holds inputs of this run" in err
    assert (data / "truth" / "cat0.png").read_bytes() == before


def test_a_page_is_written_where_asked(run_matte: RunMatte, data: Path) -> None:
    arguments = ["evaluate", data / "predictions", *_benchmark(data), "--html", data / "page.html"]
    code, out, err = run_matte(*arguments, "--images", data / "photos")
    assert code == 0
    assert "mean of 5" in out
    assert "page.html" in err
    page = (data / "page.html").read_text(encoding="utf-8")
    assert page.count("<img") == 25
    assert page.index("prediction of cat2") < page.index("prediction of cat3")  # SAD 3.76 before 0.21
    code, out, err = run_matte(*arguments)
    assert (code, out) == (3, "")
    assert "page.html exists already" in err
    assert run_matte(*arguments, "--overwrite")[0] == 0
    assert (data / "page.html").read_text(encoding="utf-8").count("<img") == 20  # no photos this time


def test_scores_are_printed_where_their_page_cannot_be_written(
    run_matte: RunMatte, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def appeared(*_: object, **__: object) -> None:
        raise InputError("page.html exists already; name another one")

    monkeypatch.setattr("mattecli.pages.evaluation.EvaluationPage.write", appeared)
    code, out, err = run_matte("evaluate", data / "predictions", *_benchmark(data), "--html", data / "page.html")
    assert (code, "mean of 5" in out, "exists already" in err) == (3, True, True)


def test_a_page_of_a_run_names_its_model_and_photos(run_matte: RunMatte, data: Path) -> None:
    arguments = ["evaluate", "--images", data / "photos", *_benchmark(data), "--device", "cpu"]
    assert run_matte(*arguments, "--html", data / "page.html")[0] == 0
    page = (data / "page.html").read_text(encoding="utf-8")
    assert f"{find_checkpoint().name} in fp32" in page
    assert str(data / "photos") in page


def test_a_page_is_written_though_images_failed(run_matte: RunMatte, data: Path) -> None:
    (data / "predictions" / "cat1.png").unlink()
    assert run_matte("evaluate", data / "predictions", *_benchmark(data), "--html", data / "page.html")[0] == 1
    assert "Failed (1)" in (data / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to score"),
        (["predictions", "--save", "kept"], "--save: only for a model's run"),
        (["predictions", "--weights", "w", "--device", "cpu"], "--weights, --device: only for a model's run"),
        (["predictions", "--images", "photos"], "--images only serves the page"),
        (
            ["--images", "photos", "--save", "kept", "--tile", "abc"],
            "error: --tile must be auto, off or a multiple of 16",
        ),
    ],
)
def test_options_that_make_no_sense_together_are_usage_errors(
    run_matte: RunMatte, data: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(data)
    code, out, err = run_matte("evaluate", *arguments, *_benchmark(data))
    assert (code, out) == (2, "")
    assert words in err
    assert not (data / "kept").exists()


def test_a_missing_folder_is_bad_input_and_missing_weights_are_code_4(run_matte: RunMatte, data: Path) -> None:
    code, out, err = run_matte("evaluate", data / "nowhere", *_benchmark(data))
    assert (code, out) == (3, "")
    assert "nowhere cannot be read as a folder" in err

    weights = ("--weights", data / "gone.safetensors")
    code, _, err = run_matte("evaluate", "--images", data / "photos", *_benchmark(data), *weights)
    assert code == 4
    assert "gone.safetensors is neither a file nor a bundled checkpoint" in err


def test_a_trimap_that_jpeg_damaged_names_snap_and_is_scored_with_it(run_matte: RunMatte, data: Path) -> None:
    trimap = read_image(data / "trimaps" / "cat2.png")
    (data / "trimaps" / "cat2.png").unlink()
    generator = np.random.default_rng(0)
    noisy = np.clip(trimap.pixels[..., 0].astype(int) + generator.integers(-3, 4, trimap.pixels.shape[:2]), 0, 255)
    write_image(data / "trimaps" / "cat2.png", Image(noisy.astype(np.uint8)))
    page = data / "page.html"
    code, out, err = run_matte("evaluate", data / "predictions", *_benchmark(data), "--json", "--html", page)
    assert code == 1
    assert "cat2" in err
    for told in (err, json.loads(out)["failed"][0]["reason"], page.read_text(encoding="utf-8")):
        assert "or use --snap " in told
    code, out, _ = run_matte("evaluate", data / "predictions", *_benchmark(data), "--snap", "10", "--json")
    assert code == 0
    assert json.loads(out)["images"][2]["sad"] == pytest.approx(EXPECTED["2"]["sad"], rel=1e-5)


@pytest.mark.parametrize("name", ["truth/x.html", "page.html"])
def test_a_page_does_not_replace_an_input(run_matte: RunMatte, data: Path, name: str) -> None:
    before = (data / "truth" / "cat1.png").read_bytes()
    (data / name).hardlink_to(data / "truth" / "cat1.png")
    arguments = ["evaluate", data / "predictions", *_benchmark(data), "--overwrite", "--html"]
    for page, sentence in (
        (data / name, "is an input of this run"),
        (data / "truth" / "cat1.png", "must; name another"),
    ):
        code, out, err = run_matte(*arguments, page)
        assert (code, out) == (3, "")
        assert sentence in err
    assert (data / "truth" / "cat1.png").read_bytes() == before


def test_a_kept_alpha_that_a_link_leads_out_of_its_folder_is_refused(run_matte: RunMatte, data: Path) -> None:
    (data / "kept").mkdir()
    (data / "kept" / "cat1.png").symlink_to(data / "elsewhere.png")
    arguments = ["evaluate", "--images", data / "photos", *_benchmark(data), "--save", data / "kept", "--overwrite"]
    code, _, err = run_matte(*arguments)
    assert code == 3
    assert "cat1.png leads out of the output folder" in err
    assert not (data / "elsewhere.png").exists()


def test_a_kept_alpha_that_is_the_same_file_as_an_input_is_found(run_matte: RunMatte, data: Path) -> None:
    (data / "kept").mkdir()
    (data / "kept" / "cat1.png").hardlink_to(data / "truth" / "cat1.png")
    arguments = ["evaluate", "--images", data / "photos", *_benchmark(data), "--save", data / "kept", "--overwrite"]
    code, _, err = run_matte(*arguments)
    assert code == 3
    assert "cat1.png is an input of this run" in err


def test_a_page_does_not_go_to_standard_output(
    run_matte: RunMatte, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    code, _, err = run_matte("evaluate", "predictions", *_benchmark(data), "--html", "-")
    assert code == 3
    assert "- does not end in .html" in err
    assert not Path("-").exists()


def test_pictures_in_subfolders_count_in_the_mean(run_matte: RunMatte, data: Path) -> None:
    (data / "truth/sub").mkdir()
    shutil.copy(data / "truth/cat0.png", data / "truth/sub/cat0.png")
    code, _, err = run_matte("evaluate", data / "predictions", *_benchmark(data))
    assert code == 3
    assert "has pictures in subfolders (sub/cat0.png)" in err


def test_the_photos_space_can_be_named(run_matte: RunMatte, data: Path) -> None:
    arguments = ["evaluate", "--images", data / "photos", *_benchmark(data), "--device", "cpu", "--json"]
    as_file, as_light = (json.loads(run_matte(*arguments, *how)[1]) for how in ([], ["--input-space", "linear"]))
    assert as_light["mean"] != as_file["mean"]
    code, _, err = run_matte("evaluate", data / "predictions", *_benchmark(data), "--input-space", "linear")
    assert (code, "--input-space would do nothing without photos; name them with --images" in err) == (2, True), err


def test_photos_that_only_serve_the_page_keep_no_image_from_its_scores(run_matte: RunMatte, data: Path) -> None:
    first, second, *_ = sorted((data / "photos").iterdir())
    first.write_bytes(b"not a picture")
    write_image(second, Image(read_image(second).pixels[:-8]), overwrite=True)
    page = ("--html", data / "page.html", "--images", data / "photos")
    code, out, err = run_matte("evaluate", data / "predictions", *_benchmark(data), *page)
    assert (code, err.count("failed")) == (0, 0), err
    assert f"mean of {len(EXPECTED)}" in out
    assert "only" not in out
    assert f"not shown: {first.stem}, {second.stem}" in " ".join(err.split())


def test_names_of_the_table_are_printed_as_they_are(run_matte: RunMatte, data: Path) -> None:
    for folder in ("predictions", "truth", "trimaps"):
        (data / folder / "cat1.png").rename(data / folder / "a:dog:\x1b[2J.png")
    code, out, _ = run_matte("evaluate", data / "predictions", *_benchmark(data))
    assert (code, "a:dog:\\x1b[2J" in out) == (0, True)
