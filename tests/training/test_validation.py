import itertools
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mattecli.errors import DeviceError, InputError
from mattecli.evaluation.evaluate import evaluate, find_cases
from mattecli.evaluation.metrics import Scores, score
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.network.a2u import A2UNet
from mattecli.network.checkpoint import save_a2u
from mattecli.training import validation
from mattecli.training.log import read_log
from mattecli.training.loop import train
from mattecli.training.validation import ValidationSet, predict
from tests.support.pictures import disc, noise, write
from tests.support.toy import EXHAUSTED, toy_config, toy_loader

CPU = torch.device("cpu")


class Constant(nn.Module):
    """The same alpha everywhere; what a validation must give for it can be computed by hand."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2] % 16 == x.shape[3] % 16 == 0
        return self.value.expand(x.shape[0], 1, *x.shape[2:])


def folder(root: Path) -> Path:
    """Two pictures of 100×80; one row is unknown in trimap/, the whole picture in trimap2/."""
    tight = np.zeros((80, 100), np.uint8)
    tight[40] = 128
    for name in ("a", "b"):
        write(root / "image" / f"{name}.jpg", noise(1))
        write(root / "alpha" / f"{name}.png", disc())
        write(root / "trimap" / f"{name}.png", tight)
        write(root / "trimap2" / f"{name}.png", np.full((80, 100), 128, np.uint8))
    return root


def test_figures_are_means_for_each_folder_of_trimaps(tmp_path: Path) -> None:
    result = ValidationSet(folder(tmp_path)).validate(Constant(1.0), CPU)
    assert result is not None
    row, whole = disc()[40] / 255, disc() / 255
    assert [figures.trimaps for figures in result.figures] == ["trimap", "trimap2"]
    assert result.figures[0].sad == pytest.approx((1 - row).sum() / 1000)
    assert result.figures[1].sad == pytest.approx((1 - whole).sum() / 1000)
    assert result.figures[1].mse == pytest.approx(((1 - whole) ** 2).mean())
    assert result.sad == pytest.approx((result.figures[0].sad + result.figures[1].sad) / 2)
    assert len(result.rows) == 2


def test_prediction_is_clipped_and_keeps_known_pixels() -> None:
    trimap = np.array([[0, 128, 255]], np.uint8).repeat(5, 0)
    alpha = predict(Constant(1.7), np.zeros((5, 3, 3), np.uint8), trimap, CPU)
    assert alpha.tolist() == [[0.0, 1.0, 1.0]] * 5


def test_a_missing_partner_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "trimap2" / "b.png").unlink()
    with pytest.raises(InputError, match=r"b\.jpg has no trimap2/b"):
        ValidationSet(root)


def test_a_folder_without_trimaps_is_named(tmp_path: Path) -> None:
    write(tmp_path / "image" / "a.png", noise(1))
    write(tmp_path / "alpha" / "a.png", disc())
    with pytest.raises(InputError, match="no trimap folder"):
        ValidationSet(tmp_path)


def test_a_picture_of_another_size_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path)
    write(root / "alpha" / "a.png", disc(60, 60))
    with pytest.raises(InputError, match=r"a\.png is 60×60 but .*a\.jpg is 100×80"):
        ValidationSet(root).validate(Constant(1.0), CPU)


@pytest.mark.parametrize("value", [0, 255])
def test_a_trimap_that_leaves_nothing_unknown_is_named_at_once(tmp_path: Path, value: int) -> None:
    root = folder(tmp_path)
    write(root / "trimap2" / "b.png", np.full((80, 100), value, np.uint8))
    with pytest.raises(InputError, match=r"trimap2/b\.png has no unknown pixel"):
        ValidationSet(root)


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    root = folder(tmp_path)
    for place in ("image", "alpha", "trimap"):
        (root / place / "._a.png").write_bytes(b"no picture")
        (root / place / ".DS_Store").write_bytes(b"nor this")
    (root / ".trimaps").mkdir()
    found = ValidationSet(root)
    assert list(found.images) == list(found.alphas) == list(found.trimaps["trimap"]) == ["a", "b"]


@pytest.mark.parametrize("place", ["image", "alpha", "trimap2"])
def test_two_files_of_one_name_are_named(tmp_path: Path, place: str) -> None:
    root = folder(tmp_path)
    write(root / place / "a.bmp", noise(2))
    with pytest.raises(InputError, match=rf"{place}/a\.bmp and a\.(png|jpg) have the same name"):
        ValidationSet(root)


def test_a_picture_too_large_for_the_memory_is_named_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = ValidationSet(folder(tmp_path / "pictures"))
    free = [400 * 2**20, 2**30]
    monkeypatch.setattr(validation, "free_bytes", lambda: free.pop(0))
    with pytest.raises(
        DeviceError, match=r"a\.jpg has 100×80 pixels, which take about .* only 400 MiB are free on cpu"
    ):
        train(toy_config(tmp_path / "run"), network=Constant(0.0), loader=toy_loader, device=CPU, validation=pictures)
    assert not (tmp_path / "run").exists()
    pictures.check_memory(CPU)
    assert not free


@pytest.mark.parametrize("error", EXHAUSTED)
def test_memory_that_runs_out_in_a_validation_is_a_device_error(tmp_path: Path, error: RuntimeError) -> None:
    class Hungry(Constant):
        def forward(self, _: Tensor) -> Tensor:
            raise error

    with pytest.raises(DeviceError, match=r"in validating .*a\.jpg, 100×80 pixels"):
        ValidationSet(folder(tmp_path)).validate(Hungry(1.0), CPU)


def test_a_validation_runs_without_tf32_and_leaves_the_switches_as_they_were(tmp_path: Path) -> None:
    seen = []

    class Watching(Constant):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
            return super().forward(x)

    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
        ValidationSet(folder(tmp_path)).validate(Watching(1.0), CPU)
        assert set(seen) == {(False, False)}
        assert torch.backends.cudnn.allow_tf32
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_the_figures_are_those_of_evaluate(tmp_path: Path) -> None:
    root = folder(tmp_path / "pictures")
    torch.manual_seed(3)
    network = A2UNet().eval()
    save_a2u(network, tmp_path / "net.safetensors", dtype=torch.float32)
    result = ValidationSet(root).validate(network, CPU)
    assert result is not None
    model = Model(RunOptions(weights=tmp_path / "net.safetensors", backend="torch", device="cpu"))
    for figures in result.figures:
        listing = find_cases(root / "alpha", root / figures.trimaps, photos=root / "image")
        found = evaluate(listing, model=model).mean
        assert found is not None
        for name in ("sad", "mse", "grad", "conn"):
            assert getattr(figures, name) == pytest.approx(getattr(found, name), rel=1e-3, abs=1e-4), name


def test_it_stops_when_asked(tmp_path: Path) -> None:
    assert ValidationSet(folder(tmp_path)).validate(Constant(1.0), CPU, should_stop=lambda: True) is None


def slow_score(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Makes one thread score, and each score take 0.3 s. Gives a list with an entry for each that is done."""
    scored: list[int] = []

    def slow(*arguments: Any) -> Scores:
        time.sleep(0.3)
        scored.append(1)
        return score(*arguments)

    monkeypatch.setattr(validation, "ThreadPoolExecutor", partial(ThreadPoolExecutor, 1))
    monkeypatch.setattr(validation, "score", slow)
    return scored


def test_when_it_stops_figures_that_nobody_asks_for_are_not_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored, asked = slow_score(monkeypatch), itertools.count(1)
    result = ValidationSet(folder(tmp_path)).validate(Constant(1.0), CPU, should_stop=lambda: next(asked) == 4)
    assert result is None
    assert len(scored) < 3


def test_only_so_many_pictures_wait_for_their_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = slow_score(monkeypatch)
    waiting: list[int] = []
    monkeypatch.setattr(validation, "_PENDING", 2)

    class Counting(Constant):
        def forward(self, x: Tensor) -> Tensor:
            waiting.append(len(waiting) - len(scored))
            return super().forward(x)

    assert ValidationSet(folder(tmp_path)).validate(Counting(1.0), CPU) is not None
    assert len(waiting) == 4
    assert max(waiting) <= 2


@pytest.mark.parametrize("changed", [True, False])
def test_a_best_sad_on_other_pictures_does_not_count_when_a_run_is_resumed(tmp_path: Path, changed: bool) -> None:
    config = toy_config(tmp_path / "run", validation__every=2, ema__decay=0.0)
    options: dict[str, Any] = {"loader": toy_loader, "device": CPU, "curves": False}
    easy, hard = folder(tmp_path / "easy"), folder(tmp_path / "hard")
    for name in ("a", "b"):
        write(easy / "alpha" / f"{name}.png", np.zeros((80, 100), np.uint8))
        if not changed:
            shutil.copy(easy / "alpha" / f"{name}.png", hard / "alpha")
    train(config, network=Constant(0.0), validation=ValidationSet(easy), pause_minutes=0.0, **options)
    train(config, network=Constant(0.0), validation=ValidationSet(hard), resume=True, **options)
    lines = read_log(tmp_path / "run" / "log.jsonl")
    judged = [(line["step"], line["best"]) for line in lines if line["kind"] == "validation"]
    notes = [line["text"] for line in lines if line["kind"] == "note"]
    assert judged[:2] == [(0, True), (2, changed)]
    assert [note.startswith("the validation pictures are others") for note in notes] == [True] * changed


def test_the_run_keeps_the_weights_with_the_lowest_mean_sad(tmp_path: Path) -> None:
    config = toy_config(tmp_path / "run", validation__every=2, ema__decay=0.0)
    lines = []
    train(
        config,
        network=Constant(0.0),
        loader=toy_loader,
        device=CPU,
        validation=ValidationSet(folder(tmp_path / "pictures")),
        report=lines.append,
        curves=False,
    )
    judged = [line for line in lines if line["kind"] == "validation"]
    assert [line["step"] for line in judged] == [0, 2, 4, 6]
    best = min(judged, key=lambda line: float(line["sad"]))
    assert [line["step"] for line in judged if line["best"]][-1] == best["step"]
    assert f'"step":"{best["step"]}"'.encode() in (tmp_path / "run" / "best.safetensors").read_bytes()[:300]
    assert (tmp_path / "run" / "samples" / "step-0000006.png").is_file()
