"""Pairing a benchmark's files, and what happens to images that cannot be scored."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.evaluation.evaluate import Evaluation, Pictures, Scored, Unscored, evaluate, find_cases
from mattecli.evaluation.metrics import Scores, score
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_alpha, write_image
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from tests.conftest import DATA

CASES = DATA / "metric_cases"


class Benchmark:
    """Folders of a made-up benchmark of 8 × 10 pictures."""

    def __init__(self, root: Path) -> None:
        self.alpha, self.trimaps, self.predictions, self.photos = (
            root / name for name in ("alpha", "trimaps", "predictions", "photos")
        )
        for folder in (self.alpha, self.trimaps, self.predictions, self.photos):
            folder.mkdir()
        trimap = np.full((8, 10), 128, np.uint8)
        trimap[0], trimap[-1] = 0, 255
        self.trimap = trimap

    def add(self, folder: Path, name: str, pixels: NDArray[Any] | float = 0.5) -> None:
        if isinstance(pixels, float):
            pixels = np.full((8, 10), round(pixels * 255), np.uint8)
        write_image(folder / (name if "." in name else f"{name}.png"), Image(pixels), overwrite=True)

    def add_image(self, name: str, prediction: float, *, truth: str | None = None) -> None:
        """Trimap and prediction, and the truth, 0 everywhere, where it is not there yet."""
        self.add(self.trimaps, name, self.trimap)
        self.add(self.predictions, name, prediction)
        self.add(self.alpha, truth or name, 0.0)

    def evaluate(self) -> Evaluation:
        return evaluate(find_cases(self.alpha, self.trimaps, predictions=self.predictions), workers=2)


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    return Benchmark(tmp_path)


def _sad(prediction: float) -> float:
    """Of a constant prediction for a truth of 0: 60 of a picture's pixels are unknown."""
    return 60 * round(prediction * 255) / 255 / 1000


def test_folders_score_as_their_arrays_do(tmp_path: Path) -> None:
    for kind in ("pred", "alpha", "trimap"):
        (tmp_path / kind).mkdir()
        for number in range(5):
            shutil.copy(CASES / f"{number}_{kind}.png", tmp_path / kind / f"picture{number}.png")
    result = evaluate(find_cases(tmp_path / "alpha", tmp_path / "trimap", predictions=tmp_path / "pred"))
    assert [image.name for image in result.images] == [f"picture{number}" for number in range(5)]
    for number, image in enumerate(result.images):
        arrays = [read_image(CASES / f"{number}_{kind}.png").pixels[..., 0] for kind in ("pred", "alpha", "trimap")]
        assert image.scores == score(*arrays)
    mean = result.mean
    assert mean is not None
    assert mean.sad == pytest.approx(np.mean([image.scores.sad for image in result.images]))
    assert mean.conn == pytest.approx((0.983182 + 0.5919 + 3.331852 + 0.175257 + 0.59339) / 5, rel=1e-5)


def test_composition_1k_pairs_each_truth_with_its_twenty_composites(benchmark: Benchmark) -> None:
    # Foregrounds of that set end in numbers themselves; one is here the name of another with a number behind.
    foregrounds = ["dandelion-1335575_1920", "sieve", "sieve_1", "13564741125_753939e9ce_o"]
    for f, foreground in enumerate(foregrounds):
        for composite in range(20):
            benchmark.add_image(f"{foreground}_{composite}", (f * 20 + composite) / 255, truth=foreground)
    listed = find_cases(benchmark.alpha, benchmark.trimaps, predictions=benchmark.predictions)
    assert not listed.failed
    assert not listed.unused
    assert len(listed.cases) == 80
    for case in listed.cases:
        assert case.truth.stem == case.name.rpartition("_")[0]
        assert case.prediction is not None
        assert case.trimap.name == case.prediction.name == f"{case.name}.png"
    assert [case.name for case in listed.cases if case.truth.stem == "sieve"] == [f"sieve_{n}" for n in range(20)]
    mean = evaluate(listed).mean
    assert mean is not None
    assert mean.sad == pytest.approx(60 * 39.5 / 255 / 1000)


def test_numbered_pictures_with_their_own_truths_are_not_composites(benchmark: Benchmark) -> None:
    for name in ("cat", "cat_1", "cat_2"):
        benchmark.add_image(name, 0.2)
    listed = find_cases(benchmark.alpha, benchmark.trimaps, predictions=benchmark.predictions)
    assert [(case.name, case.truth.stem) for case in listed.cases] == [(n, n) for n in ("cat", "cat_1", "cat_2")]


def test_a_trimap_that_two_truths_fit_is_an_error_that_names_it(benchmark: Benchmark) -> None:
    for name in ("cat_0", "cat_1"):
        benchmark.add_image(name, 0.2, truth="cat")
    benchmark.add(benchmark.alpha, "cat_1", 0.0)
    with pytest.raises(InputError, match=r"cat_1 \(cat or cat_1\)"):
        find_cases(benchmark.alpha, benchmark.trimaps, predictions=benchmark.predictions)


def test_two_files_of_one_name_are_an_error_that_lists_them(benchmark: Benchmark) -> None:
    benchmark.add_image("cat", 0.2)
    benchmark.add_image("dog", 0.2)
    benchmark.add(benchmark.predictions, "cat.bmp", 0.3)
    benchmark.add(benchmark.predictions, "dog_alpha", 0.3)
    with pytest.raises(InputError, match=r"cat\.bmp and cat\.png, dog\.png and dog_alpha\.png"):
        find_cases(benchmark.alpha, benchmark.trimaps, predictions=benchmark.predictions)


def test_names_pair_across_formats_and_with_the_endings_of_matte_predict(benchmark: Benchmark) -> None:
    benchmark.add(benchmark.alpha, "cat.tif", 0.0)
    benchmark.add(benchmark.trimaps, "cat_trimap.bmp", benchmark.trimap)
    write_alpha(benchmark.predictions / "cat_alpha.npy", np.full((8, 10), 0.2, np.float32))
    (benchmark.predictions / "notes.txt").write_text("not an image")
    (benchmark.predictions / ".cat.png").write_text("a trace of an editor")
    (benchmark.predictions / ".ipynb_checkpoints" / "deeper").mkdir(parents=True)
    for name in ("x-checkpoint.png", "deeper/x.png"):
        (benchmark.predictions / ".ipynb_checkpoints" / name).write_text("another trace")
    result = benchmark.evaluate()
    assert [image.name for image in result.images] == ["cat"]
    assert result.images[0].scores.sad == pytest.approx(_sad(0.2))
    assert not result.failed
    assert not result.unused


def test_a_missing_a_broken_and_a_small_prediction_fail_by_name_and_leave_no_mean(benchmark: Benchmark) -> None:
    for name in ("broken", "fine", "missing", "small"):
        benchmark.add_image(name, 0.2)
    (benchmark.predictions / "missing.png").unlink()
    (benchmark.predictions / "broken.png").write_bytes((benchmark.predictions / "fine.png").read_bytes()[:40])
    benchmark.add(benchmark.predictions, "small", np.zeros((4, 5), np.uint8))
    result = benchmark.evaluate()
    assert [failed.name for failed in result.failed] == ["broken", "missing", "small"]
    broken, missing, small = (failed.reason for failed in result.failed)
    assert "broken.png" in broken
    assert "is truncated or damaged" in broken
    assert "no prediction of this name" in missing
    assert "small.png is 5×4 but" in small
    assert "is 10×8" in small
    assert result.total == 4
    assert result.mean is None
    assert result.mean_of_scored is not None
    assert result.mean_of_scored.sad == pytest.approx(_sad(0.2))


def test_a_trimap_without_truth_and_a_truth_without_trimap_fail(benchmark: Benchmark) -> None:
    for name in ("a", "b", "c"):
        benchmark.add_image(name, 0.2)
    (benchmark.alpha / "a.png").unlink()
    (benchmark.trimaps / "b.png").unlink()
    result = benchmark.evaluate()
    assert [image.name for image in result.images] == ["c"]
    assert [failed.name for failed in result.failed] == ["a", "b"]
    assert "has no truth" in result.failed[0].reason
    assert "has no trimap" in result.failed[1].reason
    assert [path.name for path in result.unused] == ["b.png"]


def test_a_trimap_with_nothing_unknown_fails_instead_of_scoring_nothing(benchmark: Benchmark) -> None:
    benchmark.add_image("cat", 0.2)
    benchmark.add_image("dog", 0.2)
    benchmark.add(benchmark.trimaps, "dog", np.full((8, 10), 255, np.uint8))
    result = benchmark.evaluate()
    assert [failed.name for failed in result.failed] == ["dog"]
    assert "no unknown pixel" in result.failed[0].reason


def test_predictions_that_nothing_asks_for_are_told(benchmark: Benchmark) -> None:
    benchmark.add_image("cat", 0.2)
    benchmark.add(benchmark.predictions, "dog", 0.2)
    result = benchmark.evaluate()
    assert result.mean is not None
    assert [path.name for path in result.unused] == ["dog.png"]


def test_the_limits_of_reading_hold_for_every_file(benchmark: Benchmark) -> None:
    benchmark.add_image("a", 0.2)
    listed = find_cases(benchmark.alpha, benchmark.trimaps, predictions=benchmark.predictions)
    assert not evaluate(listed, reading=ReadOptions(max_pixels=80)).failed
    for folder in (benchmark.alpha, benchmark.trimaps, benchmark.predictions):
        own = (folder / "a.png").read_bytes()
        benchmark.add(folder, "a", np.zeros((8, 11), np.uint8))
        (failed,) = evaluate(listed, reading=ReadOptions(max_pixels=80)).failed
        assert f"{folder / 'a.png'} has more than 80 pixels" in failed.reason
        (folder / "a.png").write_bytes(own)


def test_an_rgb_truth_counts_as_grey(benchmark: Benchmark) -> None:
    benchmark.add_image("cat", 0.2)
    benchmark.add(benchmark.alpha, "cat", np.full((8, 10, 3), 51, np.uint8))
    assert [image.scores.sad for image in benchmark.evaluate().images] == [0]


def test_folders_that_cannot_be_meant_are_errors(benchmark: Benchmark, tmp_path: Path) -> None:
    benchmark.add_image("cat", 0.2)
    with pytest.raises(InputError, match="nowhere cannot be read as a folder"):
        find_cases(tmp_path / "nowhere", benchmark.trimaps, predictions=benchmark.predictions)
    with pytest.raises(InputError, match=r"cat\.png cannot be read as a folder"):
        find_cases(benchmark.alpha, benchmark.trimaps / "cat.png", predictions=benchmark.predictions)
    with pytest.raises(InputError, match="photos holds no image files"):
        find_cases(benchmark.alpha, benchmark.trimaps, photos=benchmark.photos)
    benchmark.add(benchmark.photos, "dog", benchmark.trimap)
    with pytest.raises(InputError, match=r"no trimap in .*photos has the name of a truth"):
        find_cases(benchmark.alpha, benchmark.photos, predictions=benchmark.predictions)


def test_an_empty_folder_of_predictions_fails_every_image(benchmark: Benchmark) -> None:
    benchmark.add_image("cat", 0.2)
    (benchmark.predictions / "cat.png").unlink()
    result = benchmark.evaluate()
    assert [failed.name for failed in result.failed] == ["cat"]
    assert result.mean_of_scored is None


class Red(Model):
    """A model that gives the photo's red as alpha, and fails on a photo whose red is 3."""

    def predict(self, image: NDArray[Any], trimap: NDArray[np.uint8], **_: Any) -> NDArray[np.float32]:
        assert image.shape == (*trimap.shape, 3)
        if image[0, 0, 0] == 3:
            raise ZeroDivisionError("nothing to divide")
        return image[..., 0].astype(np.float32) / np.float32(255.3)


def test_a_model_s_saved_alphas_score_as_its_run_did(benchmark: Benchmark, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        benchmark.add(benchmark.alpha, name, generator.integers(0, 256, (8, 10), np.uint8))
        benchmark.add(benchmark.trimaps, name, benchmark.trimap)
        benchmark.add(benchmark.photos, name, generator.integers(4, 256, (8, 10, 3), np.uint8))
    listed = find_cases(benchmark.alpha, benchmark.trimaps, photos=benchmark.photos)
    run = evaluate(listed, model=Red(), save=benchmark.predictions)
    assert sorted(path.name for path in benchmark.predictions.iterdir()) == ["cat.png", "dog.png"]
    assert benchmark.evaluate() == run
    assert len({image.scores.sad for image in run.images}) == 2


@pytest.mark.parametrize("saved", [False, True])
def test_the_photo_is_shown_without_the_exposure_of_the_network(benchmark: Benchmark, *, saved: bool) -> None:
    benchmark.add_image("a", 0.5)
    benchmark.add(benchmark.photos, "a.png", np.full((8, 10, 3), 60, np.uint8))
    shown: list[Any] = []
    listed = find_cases(
        benchmark.alpha,
        benchmark.trimaps,
        predictions=benchmark.predictions if saved else None,
        photos=benchmark.photos,
    )
    model = Red(RunOptions(network_exposure=1))
    assert not evaluate(listed, model=None if saved else model, look=lambda _, seen: shown.append(seen.photo)).failed
    assert (shown[0] == 60).all()


def test_a_model_that_fails_on_one_photo_goes_on_with_the_next(benchmark: Benchmark) -> None:
    for name in ("bug", "fine", "large", "missing"):
        benchmark.add(benchmark.alpha, name, 0.0)
        benchmark.add(benchmark.trimaps, name, benchmark.trimap)
        benchmark.add(benchmark.photos, name, np.full((8, 10, 3), len(name), np.uint8))
    (benchmark.photos / "missing.png").unlink()
    benchmark.add(benchmark.photos, "large", np.zeros((16, 20, 3), np.uint8))
    result = evaluate(find_cases(benchmark.alpha, benchmark.trimaps, photos=benchmark.photos), model=Red())
    assert [image.name for image in result.images] == ["fine"]
    assert [failed.name for failed in result.failed] == ["bug", "large", "missing"]
    assert "bug in matte: ZeroDivisionError: nothing to divide" in result.failed[0].reason
    assert isinstance(result.failed[0].cause, ZeroDivisionError)
    assert "large.png is 20×16" in result.failed[1].reason
    assert "no photo of this name" in result.failed[2].reason


def test_a_case_with_neither_prediction_nor_model_has_failed(benchmark: Benchmark) -> None:
    benchmark.add_image("cat", 0.2)
    benchmark.add(benchmark.photos, "cat", np.zeros((8, 10, 3), np.uint8))
    (failed,) = evaluate(find_cases(benchmark.alpha, benchmark.trimaps, photos=benchmark.photos)).failed
    assert "has no prediction; give one" in failed.reason


def test_every_image_is_told_in_order_and_its_arrays_are_shown(benchmark: Benchmark) -> None:
    for number in range(12):
        benchmark.add_image(f"frame_{number}", number / 255)
    benchmark.add(benchmark.predictions, "frame_7", np.zeros((4, 5), np.uint8))
    told: list[str] = []
    seen: dict[str, Pictures] = {}
    result = evaluate(
        find_cases(benchmark.alpha, benchmark.trimaps, predictions=benchmark.predictions),
        workers=3,
        look=lambda scored, pictures: seen.update({scored.name: pictures}),
        on_done=lambda outcome: told.append(outcome.name),
    )
    assert told == [f"frame_{number}" for number in range(12)]
    assert [image.name for image in result.images] == [name for name in told if name != "frame_7"]
    assert seen.keys() == {image.name for image in result.images}
    assert (seen["frame_11"].prediction == 11).all()


def test_the_json_has_a_mean_only_when_nothing_failed() -> None:
    one, two = Scored("a", Scores(1, 0.1, 3, 4)), Scored("b", Scores(2, 0.3, 5, 8))
    whole = Evaluation((one, two)).as_json()
    assert whole["images"][0] == {"name": "a", "sad": 1, "mse": 0.1, "grad": 3, "conn": 4}
    assert whole["mean"] == whole["mean_of_scored"] == {"sad": 1.5, "mse": 0.2, "grad": 4, "conn": 6}
    assert whole["total"] == 2
    part = Evaluation((one,), (Unscored("b", "unreadable"),)).as_json()
    assert part["mean"] is None
    assert part["mean_of_scored"] == {"sad": 1, "mse": 0.1, "grad": 3, "conn": 4}
    assert part["failed"] == [{"name": "b", "reason": "unreadable"}]
    assert part["total"] == 2


def test_names_pair_however_a_disk_spells_their_accents(benchmark: Benchmark) -> None:
    for folder, name in (
        (benchmark.trimaps, "f\u00fc"),
        (benchmark.predictions, "fu\u0308"),
        (benchmark.alpha, "fu\u0308"),
    ):
        benchmark.add(folder, name, benchmark.trimap)
    result = benchmark.evaluate()
    assert [image.name for image in result.images] == ["f\u00fc"]
    assert not result.failed
    assert not result.unused


def test_an_interrupt_leaves_the_images_that_have_not_begun(benchmark: Benchmark) -> None:
    for number in range(40):
        benchmark.add_image(f"frame_{number}", 0.2)
    begun: list[str] = []
    interrupted = threading.Event()

    def look(scored: Scored, _: Pictures) -> None:
        begun.append(scored.name)
        assert len(begun) == 1 or interrupted.wait(20)

    def interrupt(_: Scored | Unscored) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(
            find_cases(benchmark.alpha, benchmark.trimaps, predictions=benchmark.predictions),
            look=look,
            on_done=interrupt,
        )
    assert len(begun) < 20


def test_an_image_too_large_for_the_memory_fails_and_is_not_a_bug(
    benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark.add_image("cat", 0.2)

    def greedy(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("mattecli.evaluation.evaluate.score", greedy)
    assert [failed.reason for failed in benchmark.evaluate().failed] == [
        "it needs more memory than there is; free some, or score it alone"
    ]
