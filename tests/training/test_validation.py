from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mattecli.errors import InputError
from mattecli.training.loop import train
from mattecli.training.validation import ValidationSet, predict
from tests.training.pictures import disc, noise, write
from tests.training.toy import toy_config, toy_feed

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
    judgement = ValidationSet(folder(tmp_path)).judge(Constant(1.0), CPU)
    assert judgement is not None
    row, whole = disc()[40] / 255, disc() / 255
    assert [figures.trimaps for figures in judgement.figures] == ["trimap", "trimap2"]
    assert judgement.figures[0].sad == pytest.approx((1 - row).sum() / 1000)
    assert judgement.figures[1].sad == pytest.approx((1 - whole).sum() / 1000)
    assert judgement.figures[1].mse == pytest.approx(((1 - whole) ** 2).mean())
    assert judgement.sad == pytest.approx((judgement.figures[0].sad + judgement.figures[1].sad) / 2)
    assert len(judgement.rows) == 2


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
        ValidationSet(root).judge(Constant(1.0), CPU)


def test_it_stops_when_asked(tmp_path: Path) -> None:
    assert ValidationSet(folder(tmp_path)).judge(Constant(1.0), CPU, should_stop=lambda: True) is None


def test_the_run_keeps_the_weights_with_the_lowest_mean_sad(tmp_path: Path) -> None:
    config = toy_config(tmp_path / "run", validation__every=2, ema__decay=0.0)
    lines = []
    train(
        config,
        network=Constant(0.0),
        feed=toy_feed,
        device=CPU,
        validation=ValidationSet(folder(tmp_path / "pictures")),
        report=lines.append,
    )
    judged = [line for line in lines if line["kind"] == "validation"]
    assert [line["step"] for line in judged] == [0, 2, 4, 6]
    best = min(judged, key=lambda line: float(line["sad"]))
    assert [line["step"] for line in judged if line["best"]][-1] == best["step"]
    assert f'"step":"{best["step"]}"'.encode() in (tmp_path / "run" / "best.safetensors").read_bytes()[:300]
    assert (tmp_path / "run" / "samples" / "step-0000006.png").is_file()
