"""How a job's trimap is made: the sources, and what is certain over them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.errors import InputError
from mattecli.imaging.options import ReadOptions
from mattecli.trimaps.lint import check_trimap
from mattecli.trimaps.recipe import MaskRecipe
from mattecli.work.job import job_size, read_finished, read_inputs
from mattecli.work.making import Making
from mattecli.work.outcome import Failed, Job, describe
from tests.support.auto import write_model
from tests.support.pictures import write

HEIGHT, WIDTH = 240, 320
STROKE = np.s_[40:52, 140:180]  # above the disc
HOLE = np.s_[116:128, 140:180]  # in its middle


def disc() -> NDArray[np.uint8]:
    return np.asarray(cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (160, 120), 60, 255, -1))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A red disc before green; its mask and trimap; a core and a garbage mask; strokes that contradict all of them."""
    mask, marks = disc(), np.zeros((2, HEIGHT, WIDTH), np.uint8)
    write(tmp_path / "photo.png", np.where(mask[..., None] > 0, (200, 50, 40), (20, 200, 60)).astype(np.uint8))
    write(tmp_path / "mask.png", mask)
    ring = cv2.dilate(mask, np.ones((17, 17))) - cv2.erode(mask, np.ones((17, 17)))
    write(tmp_path / "trimap.png", np.where(ring > 0, 128, mask).astype(np.uint8))
    marks[0][STROKE], marks[1][HOLE] = 255, 255
    write(tmp_path / "core.png", marks[0])
    write(tmp_path / "garbage.png", marks[1])
    layer = np.dstack([marks[0]] * 3 + [marks.max(0)])
    write(tmp_path / "strokes.png", layer)
    return tmp_path


def job(folder: Path, file: str, making: Making | None) -> Job:
    paths = {key: str(folder / f"{key}.png") for key in ("core", "garbage", "strokes")}
    if making is not None:
        given = {key: paths[key] for key in paths if getattr(making, key) is not None}
        making = dataclasses.replace(making, **given)
    return Job("a", str(folder / "photo.png"), str(folder / file), {}, making=making)


SOURCES = {
    "a trimap": ("trimap.png", Making()),
    "a mask": ("mask.png", Making(recipe=MaskRecipe())),
    "a screen": ("photo.png", Making(key="green")),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("marks", [("core", "garbage"), ("strokes",)])
def test_what_is_certain_wins_over_every_source_with_an_unknown_band_around(
    files: Path, source: str, marks: tuple[str, ...]
) -> None:
    file, making = SOURCES[source]
    inputs = read_inputs(job(files, file, dataclasses.replace(making, **dict.fromkeys(marks, "given"))))
    assert (inputs.trimap[STROKE] == 255).all()
    assert (inputs.trimap[HOLE] == 0).all()
    assert inputs.trimap[37, 160] == 128
    assert inputs.trimap[113, 160] == 128
    assert inputs.trimap[120, 125] == 255
    assert any(note.startswith("what is marked as certain contradicts") for note in inputs.notes)
    assert any(" on 960 pixels, and wins there" in note for note in inputs.notes)


def test_the_linter_sees_the_trimap_with_what_is_certain(files: Path) -> None:
    write(files / "open.png", np.where(disc() > 0, 128, 0).astype(np.uint8))
    one = job(files, "open.png", Making())
    assert any("open.png has no sure foreground" in note for note in read_inputs(one).notes)
    for mark, still in (("core", False), ("strokes", False), ("garbage", True)):
        notes = read_inputs(job(files, "open.png", Making(**{mark: "given"}))).notes
        assert any("has no sure foreground" in note for note in notes) == still


def test_core_and_garbage_win_over_strokes(files: Path) -> None:
    making = Making(strokes="given", garbage="given")
    write(files / "garbage.png", (disc() < 1).astype(np.uint8) * np.uint8(255))
    inputs = read_inputs(job(files, "trimap.png", making))
    assert (inputs.trimap[STROKE] == 0).all()
    assert "core and garbage contradict the strokes on 480 pixels, and win there" in inputs.notes


def test_a_trimap_found_elsewhere_yields_to_core_and_garbage(files: Path) -> None:
    inputs = read_inputs(
        job(files, "strokes.png", Making(core="given")), find=lambda photo: np.zeros(photo.size[::-1], "u1")
    )
    assert (inputs.trimap[STROKE] == 255).all()
    assert inputs.trimap[0, 0] == 0


def test_the_mask_of_a_model_goes_through_the_recipe(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rembg", reason="rembg is not installed: pip install 'mattecli[auto]'")
    monkeypatch.setenv("U2NET_HOME", str(files))
    model = f"u2net_custom={write_model(files / 'm.onnx')}"
    trimaps = [
        read_inputs(job(files, "photo.png", Making(recipe=MaskRecipe(band=band), model=model, core="given"))).trimap
        for band in (3, 8)
    ]
    for trimap in trimaps:
        assert (trimap[STROKE] == 255).all()
        assert ((trimap == 255) <= (disc() > 0) | (np.indices(trimap.shape)[0] < 52)).all()
    assert (trimaps[1] == 128).sum() > 1.5 * (trimaps[0] == 128).sum()


def test_a_proxy_is_resized_only_when_asked(files: Path) -> None:
    small = cv2.resize(cv2.imread(str(files / "trimap.png"), 0), (160, 120), interpolation=cv2.INTER_NEAREST)
    write(files / "small.png", np.asarray(small, np.uint8))
    one = job(files, "small.png", Making(resize=True))
    assert (read_inputs(one).trimap.shape, job_size(one)) == ((HEIGHT, WIDTH), (WIDTH, HEIGHT))
    assert any("was brought to 320×240" in note for note in read_inputs(one).notes)


def test_a_job_made_from_the_photo_alone_names_no_trimap(files: Path) -> None:
    one = job(files, "photo.png", Making(key="auto", core="given"))
    assert (one.what, one.inputs) == (None, [str(files / "photo.png"), str(files / "core.png")])
    assert {"trimap", "mask"}.isdisjoint(describe(one))
    assert Failed.of(one, ValueError("x")).trimap is None
    assert job_size(one) == (WIDTH, HEIGHT)
    assert job(files, "mask.png", Making(recipe=MaskRecipe())).what == "mask"


def test_the_limits_of_reading_hold_for_every_file(files: Path) -> None:
    limits = ReadOptions(max_pixels=HEIGHT * WIDTH)
    write(files / "large.png", np.zeros((HEIGHT, WIDTH + 1), np.uint8))
    write(files / "large.rgba.png", np.zeros((HEIGHT, WIDTH + 1, 4), np.uint8))
    photo, large = str(files / "photo.png"), str(files / "large.png")
    of_mask = Making(recipe=MaskRecipe())
    jobs = [Job("a", photo, large, {}, making=of_mask)]
    for key in ("core", "garbage", "strokes"):
        marks = str(files / "large.rgba.png") if key == "strokes" else large
        for making, file in ((of_mask, "mask.png"), (Making(), "trimap.png"), (Making(key="green"), "photo.png")):
            made = dataclasses.replace(making, **{key: marks})
            jobs.append(Job("a", photo, str(files / file), {}, making=made))
    for one in jobs:
        with pytest.raises(InputError, match=r"large\.(rgba\.)?png has more than 76800 pixels"):
            read_inputs(one, reading=limits)
    alpha = Job("a", photo, large, {}, finished=True)
    known = Job("a", photo, str(files / "mask.png"), {}, finished=True, known=large)
    for one in (alpha, known):
        with pytest.raises(InputError, match=r"large\.png has more than 76800 pixels"):
            read_finished(one, reading=limits)
    with pytest.raises(InputError, match=r"large\.png has more than 76800 pixels"):
        check_trimap(large, photo=photo, reading=limits)


def test_makings_survive_the_way_through_plain_values() -> None:
    for making in (None, Making(key="blue"), Making(recipe=MaskRecipe(band="1%"), model="u2net", core="c.png")):
        one = Job("a", "a.png", "t.png", {"alpha": "o.png"}, making=making)
        assert Job.of(dataclasses.asdict(one)) == one


def test_the_words_of_masks_are_those_of_earlier_versions() -> None:
    made = Making(recipe=MaskRecipe(band="1%", solid=True), core="c.png")
    assert made.words() == ["mask", "1%", None, None, 0, 0, True, True, False]
    plain = MaskRecipe(erode=3, dilate=4, min_area=9)
    assert plain.words() == ["mask", None, 3, 4, 0, 9, False]
    assert Making().words() == []
    assert Making(key="auto").words() == [["key", "auto"]]
    assert Making(key="Green").words() == Making(key="green").words() == [["key", "green"]]
    assert Making(key="#00B140").words() == [["key", "#00B140"]]
    assert Making(garbage="g.png", resize=True).words() == [False, True, ["resized", True]]


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"band": 0}, ["band of 0"]),
        ({"band": "0%"}, []),
        ({"band": "auto", "dilate": 5}, ["undecided stays unknown"]),
        ({"band": 0, "erode": 0}, ["band of 0", "undecided stays unknown"]),
        ({"band": "auto"}, []),
        ({"dilate": 5}, []),
        ({"dilate": 5, "fill_holes": 9}, ["soft rims filled"]),
    ],
)
def test_options_that_once_gave_other_trimaps_have_a_word_more(options: dict[str, Any], more: list[str]) -> None:
    assert MaskRecipe(**options).words()[7:] == more


def test_a_model_of_ones_own_is_told_by_its_content_and_one_of_rembgs_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"one")
    words = Making(model=str(tmp_path / "a.onnx")).words()
    assert Making(model="u2net").words() == [["auto", "u2net"]]
    (tmp_path / "a.onnx").rename(tmp_path / "b.onnx")
    assert Making(model=str(tmp_path / "b.onnx")).words() == words
    (tmp_path / "b.onnx").write_bytes(b"other")
    assert Making(model=str(tmp_path / "b.onnx")).words() != words
    with pytest.raises(InputError, match=r"gone\.onnx cannot be read"):
        Making(model="u2net=gone.onnx").words()
