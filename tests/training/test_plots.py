"""Curves and sheets as pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mattecli.errors import InputError
from mattecli.training import plots
from mattecli.training.data.scenes import Sample
from mattecli.training.plots import Panel, Series, contact_sheet, draw_curves, draw_panels, draw_samples
from mattecli.training.validation import Row
from tests.support.disk import full_disk


def draw(panels: list[Panel], path: Path) -> np.ndarray:
    draw_panels(panels, path)
    return np.asarray(cv2.imread(str(path)))


@pytest.mark.parametrize("count", [1, 6, 12])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_any_number_of_lines_is_drawn_and_named(tmp_path: Path, count: int, logarithmic: bool) -> None:
    series: Series = {f"a long name {n}": [(0.0, n + 1.0), (50.0, n + 1.0)] for n in range(count)}
    series["a name that makes the widest label"] = [(0.0, 0.5), (100.0, count + 1.0)]  # and sets the limits
    hidden = series | {f"a long name {count - 1}": [(0.0, float("nan"))]}
    before = draw([Panel("figures", series, logarithmic)], tmp_path / "before.png")
    without = draw([Panel("figures", hidden, logarithmic)], tmp_path / "without.png")
    assert before.shape == without.shape
    changed = np.abs(before.astype(int) - without).max(2).any(0)
    width = len(changed)
    assert changed[: width // 2].any()  # the line
    assert changed[3 * width // 4 :].any()  # its name and last value


def test_panels_without_a_point_are_left_out(tmp_path: Path) -> None:
    one, two = Panel("one", {"a": [(0.0, 1.0), (1.0, 2.0)]}), Panel("two", {"b": [(0.0, 1.0)]})
    height = len(draw([one], tmp_path / "one.png"))
    assert len(draw([one, Panel("none", {"c": []})], tmp_path / "empty.png")) == height
    assert 1.7 < len(draw([one, two], tmp_path / "two.png")) / height < 2.4
    assert len(draw([], tmp_path / "blank.png")) > 0


def test_curves_of_a_log_survive_values_that_are_not_finite(tmp_path: Path) -> None:
    step = {"kind": "step", "lr": 0.1, "norm": float("nan"), "losses": {"loss": float("inf")}}
    figures = [{"trimaps": "trimap", "sad": 3.0, "mse": 0.0}]
    log = [step | {"step": 2}, step | {"step": 4, "norm": 1.0, "losses": {"loss": 0.5}}]
    draw_curves([*log, {"kind": "validation", "step": 4, "figures": figures}, {"kind": "note"}], tmp_path / "c.png")
    assert cv2.imread(str(tmp_path / "c.png")) is not None


def test_an_interval_whose_steps_were_all_left_out_is_not_in_the_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Panel] = []
    monkeypatch.setattr(plots, "draw_panels", lambda panels, _: drawn.extend(panels))
    step = {"kind": "step", "lr": 0.1, "norm": 1.0, "losses": {"loss": 0.5}}
    draw_curves([step | {"step": 2, "norm": None, "losses": {"loss": None}}, step | {"step": 4}], tmp_path / "c.png")
    assert [panel.series for panel in drawn if panel.series] == [
        {"loss": [(4, 0.5)]},
        {"lr": [(4, 0.1)]},
        {"norm": [(4, 1.0)]},
    ]


def test_a_picture_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/c\.png cannot be written"):
        draw_panels([Panel("one", {"a": [(0.0, 1.0)]})], tmp_path / "file" / "c.png")


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
def test_a_picture_that_a_full_disk_has_no_room_for_says_to_free_some(tmp_path: Path) -> None:
    row = Row(*(np.zeros((64, 64, *more), np.uint8) for more in ((3,), ())), *(np.eye(64, dtype=np.float32),) * 2)
    with full_disk(100), pytest.raises(InputError, match=r"sheet\.png cannot be written \(File too large\); free some"):
        draw_samples([row], tmp_path / "sheet.png")


def test_a_contact_sheet_fills_its_last_row_with_grey() -> None:
    planes = {name: np.full((32, 32, 3), 200, np.uint8) for name in ("image", "foreground", "background")}
    sample = Sample(0, trimap=np.zeros((32, 32), np.uint8), alpha=np.full((32, 32), 255, np.uint8), **planes)
    sheet = contact_sheet([sample] * 3, columns=2)
    assert sheet.shape == (2 * 36, 2 * (4 * 32 + 3 * 4 + 16), 3)
    assert (sheet[36:, sheet.shape[1] // 2 :] == 40).all()
    assert (sheet[:32, 36:68] == 0).all()
    assert (sheet[:32, 72:104] == 255).all()


def test_a_sheet_of_no_samples_is_not_written(tmp_path: Path) -> None:
    draw_samples([], tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
