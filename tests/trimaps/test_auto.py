"""Subjects found by a model of rembg: a tiny one in its own session, missing weights, and rembg missing."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.errors import DeviceError, InputError, UsageError, WeightsError
from mattecli.trimaps import auto
from mattecli.trimaps.auto import check_model, fetch_model, open_model
from tests.support.auto import write_model


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of rembg's weights, without a network around it."""
    pytest.importorskip("rembg", reason="rembg is not installed: pip install 'mattecli[auto]'")
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    return tmp_path


def scene(centre: tuple[int, int] = (60, 40), radius: int = 22) -> NDArray[np.uint8]:
    """A red disc before blue, (90, 120, 3)."""
    photo = np.full((90, 120, 3), (40, 60, 190), np.uint8)
    cv2.circle(photo, centre, radius, (210, 40, 30), -1)
    return photo


def test_the_mask_of_a_model_of_ones_own_is_where_the_subject_is(home: Path) -> None:
    model = open_model(f"u2net_custom={write_model(home / 'mine.onnx')}")
    mask = model.find(scene())
    inside = (scene()[..., 0] > 100).astype(np.uint8)
    assert (mask.shape, mask.dtype) == ((90, 120), np.uint8)
    assert (mask[cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0] > 200).all()
    assert (mask[cv2.dilate(inside, np.ones((5, 5), np.uint8)) == 0] < 50).all()


def test_photos_without_a_subject_and_photos_of_nothing_else_fail_by_name(home: Path) -> None:
    model = open_model(f"u2net_custom={write_model(home / 'mine.onnx')}")
    ways = r"try another `auto_model`, or mark the subject with a box or strokes"
    with pytest.raises(InputError, match=rf"mine\.onnx found no subject in sea\.jpg; {ways}"):
        model.find(np.full((90, 120, 3), (40, 60, 190), np.uint8), name="sea.jpg")
    greedy = open_model(f"u2net_custom={write_model(home / 'greedy.onnx', everything=True)}")
    with pytest.raises(InputError, match=r"greedy\.onnx took everything for the subject in a\.jpg; "):
        greedy.find(scene(), name="a.jpg")


def test_weights_are_named_with_licence_and_size_before_they_are_fetched(home: Path) -> None:
    asked: list[str] = []

    def no(what: str) -> bool:
        asked.append(what)
        return False

    with pytest.raises(WeightsError, match=r"birefnet-general-lite \(224 MB, licence: MIT\) are not on this machine;"):
        fetch_model(auto.DEFAULT, may_download=no)
    assert asked == ["birefnet-general-lite is a model of rembg: 224 MB, licence: MIT"]
    with pytest.raises(WeightsError, match="are not on this machine; fetch them once with `matte trimap PHOTO --auto"):
        open_model("u2netp")


def test_a_download_that_fails_is_told_in_one_sentence(home: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"the weights of u2netp could not be fetched .*; check the network, or mark"
    ):
        fetch_model("u2netp", may_download=lambda _: True)


def test_weights_in_rembgs_folder_are_taken_without_a_question(home: Path) -> None:
    write_model(home / "models" / "u2netp" / "u2netp.onnx")
    fetch_model("u2netp", may_download=lambda _: pytest.fail("there was nothing to ask"))
    assert open_model("u2netp").find(scene()).max() == 255


def test_weights_that_cannot_be_opened_are_named(home: Path) -> None:
    damaged = home / "models" / "u2net" / "u2net.onnx"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"not a model")
    with pytest.raises(WeightsError, match=r"the weights of u2net cannot be opened .*; remove the file, and"):
        open_model("u2net")
    with pytest.raises(WeightsError, match=r"u2net\.onnx cannot be opened .*; give the ONNX file of a model"):
        open_model(str(damaged))
    for model in ("dis_custom=no.onnx", "no.onnx"):
        with pytest.raises(WeightsError, match=r"no\.onnx does not exist; give `auto_model` the ONNX file of a model"):
            open_model(model)


def test_a_file_anywhere_is_run_as_its_input_or_its_name_says(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("other")
    small = write_model(elsewhere / "small.onnx")
    assert home not in small.parents
    expected = open_model(f"u2net_custom={write_model(home / 'small.onnx')}").find(scene())
    for model in (str(small), f"u2net_custom={small}", f"u2netp={small}"):
        assert (open_model(model).find(scene()) == expected).all()
    # rembg prepares colours for a model of 1024² in another way, by which this one sees nothing red.
    with pytest.raises(InputError, match=r"large\.onnx found no subject"):
        open_model(str(write_model(elsewhere / "large.onnx", side=1024))).find(scene())
    with pytest.raises(
        WeightsError, match=r"odd\.onnx takes pictures of 512² pixels, .*; give `auto_model` as NAME=.*odd"
    ):
        open_model(str(write_model(elsewhere / "odd.onnx", side=512)))


@pytest.mark.parametrize("log_odds", [False, True])
def test_a_model_that_is_sure_of_nothing_has_found_nothing(home: Path, log_odds: bool) -> None:
    timid = open_model(str(write_model(home / "timid.onnx", sure=-2 if log_odds else 0.01)))
    with pytest.raises(InputError, match=r"timid\.onnx found no subject in the photo; "):
        timid.find(scene())


def test_only_models_whose_licence_is_known_and_that_stay_on_this_machine_are_taken() -> None:
    assert check_model("birefnet-portrait") == "birefnet-portrait"
    for name in ("withoutbg", "atlascloud", "sam", "u2net_custom", "u2net_custom=", "sam=m.onnx", "m.pth", ""):
        with pytest.raises(UsageError, match="`auto_model` must be one of birefnet-general-lite, birefnet-general, "):
            check_model(name)
    assert auto.MODELS[auto.DEFAULT].licence in ("MIT", "Apache-2.0")


def test_without_rembg_one_sentence_names_the_extra_and_the_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rembg", None)
    with pytest.raises(
        DeviceError, match=r'`auto` needs rembg, .*; pip install "mattecli\[auto\]", or mark the'
    ) as told:
        open_model()
    assert "give a mask" in str(told.value)
