from __future__ import annotations

import asyncio
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import numpy as np
import PIL.Image
import pytest
import uvicorn

from mattecli.errors import InputError
from mattecli.geometry import Box
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_image
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.inference.precision import has_bf16
from mattecli.server import listening, runs, saving, sessions
from mattecli.server.finish import Finish, command_line
from mattecli.server.mattes import Found
from mattecli.server.start import Start
from mattecli.server.state import State
from mattecli.server.worker import serve
from tests.conftest import RunMatte
from tests.server import processes
from tests.server.web import Page, page_for, running
from tests.support.pictures import disc, noise

SIZE = (160, 192)
EVERYTHING = ["trimap", "alpha", "cutout", "composite"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    share = disc(*SIZE, radius=50, softness=16)[..., None] / 255
    pixels = np.round(share * (250, 200, 40) + (1 - share) * noise(1, *SIZE) * 0.5).astype(np.uint8)
    (tmp_path / "photos").mkdir()
    PIL.Image.fromarray(pixels).save(tmp_path / "photos" / "cat.png")
    return tmp_path / "photos" / "cat.png"


@pytest.fixture
def page(photo: Path, tmp_path: Path) -> Iterator[Page]:
    page = page_for(photo, folder=tmp_path)
    page.open()
    page.operate(1, "stroke", points=[[96, 80, 30]], label=255)
    page.operate(2, "polygon", points=[[0, 0], [192, 0], [192, 10], [0, 10]], label=0)
    yield page
    page.close()


def matted(page: Page, model: Model, *, precision: str = "fp32") -> None:
    """Give the page the exact matte of what is painted."""
    with page.sessions.using(page.word) as photo:
        trimap, sequence, _ = photo.snapshot()
        alpha = model.predict(np.asarray(photo.image.pixels), trimap)
        whole = Box(0, *SIZE[:1], 0, SIZE[1])
        photo.mattes.keep(
            Found(
                run=99,
                kind="exact",
                sequence=sequence,
                box=whole,
                alpha=alpha,
                tile="off",
                precision=precision,
                trimap=trimap,
            )
        )


def save(page: Page, *products: str, **options: Any) -> dict[str, Any]:
    answer = page.post(f"/app/photos/{page.word}/save", {"products": products, **options})
    assert answer.status == 202, answer.body
    return page.wait_for("saved")


def until(seconds: float, come: Callable[[], bool]) -> None:
    """Wait for something that must come soon."""
    end = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < end
        time.sleep(0.02)


def within(seconds: float, page: Page, kind: str) -> dict[str, Any]:
    """The first event of a kind, which must come soon."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := [event for event in page.told if event["type"] == kind]:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"no {kind} among {page.told}")


def query(products: list[str], options: dict[str, Any]) -> str:
    words = {key: ",".join(map(str, value)) if isinstance(value, list) else value for key, value in options.items()}
    return urlencode({"products": ",".join(products), **words})


SETTINGS: list[dict[str, Any]] = [
    {},
    {"background": "#00b140", "bits": 16, "choke": 1.5, "feather": "0.5%"},
    {"levels": [10, 245, 1.2], "smooth": 1, "hair": 60, "decontaminate": 40, "background": "transparent"},
    {"spread": 1, "feather": 2, "feather_both": True, "linear": True, "colour_choke": 2, "min_area": 20},
    {"contrast": 30, "fill_holes": 9, "despill": "#00b140", "despill_strength": 70, "despill_reach": 6},
]


@pytest.mark.parametrize("options", SETTINGS, ids=lambda options: "-".join(options) or "plain")
def test_the_command_that_is_shown_makes_the_same_bytes(
    page: Page,
    photo: Path,
    tmp_path: Path,
    shipped_model: Model,
    options: dict[str, Any],
    run_matte: RunMatte,
    networks_once: None,
) -> None:
    matted(page, shipped_model)
    event = save(page, *EVERYTHING, **options)
    assert event["files"] == [{"product": product, "name": f"cat_{product}.png"} for product in EVERYTHING]
    saved = {product: photo.with_name(f"cat_{product}.png") for product in EVERYTHING}
    before = {product: path.read_bytes() for product, path in saved.items()}
    for product in EVERYTHING[1:]:
        saved[product].unlink()
    command = page.get(f"/app/photos/{page.word}/command?{query(EVERYTHING, options)}").json["command"]
    words = shlex.split(command)
    assert words[:2] == ["matte", "predict"]
    code, _, err = run_matte(*words[1:])
    assert code == 0, err
    assert {product: path.read_bytes() for product, path in saved.items()} == before
    for product in EVERYTHING:
        answer = page.get(f"/app/photos/{page.word}/download/{product}?{query([], options)}")
        assert answer.body == before[product]
        assert f"cat_{product}.png" in answer.headers["content-disposition"]


def test_the_command_repeats_the_options_of_the_start_and_leaves_out_what_would_do_nothing(
    page: Page, tmp_path: Path
) -> None:
    options = {"despill": "green", "despill_reach": 5, "background": "red", "choke": 2}
    command = page.get(f"/app/photos/{page.word}/command?{query(['alpha'], options)}").json["command"]
    folder = tmp_path / "photos"
    assert shlex.split(command) == [
        *("matte", "predict", str(folder / "cat.png"), "--trimap", str(folder / "cat_trimap.png")),
        *("--what", "alpha", "--choke", "2", "--device", "cpu"),
        *("--precision", "bf16" if has_bf16() else "fp32", "--overwrite"),
    ]


def test_a_switch_stands_in_the_command_as_a_word_of_its_own(photo: Path) -> None:
    run = RunOptions(coarse_to_fine=False)
    words = command_line(photo, photo, ["alpha"], Finish(), out=None, run=run, reading=ReadOptions())
    assert shlex.split(words)[-2:] == ["--no-coarse-to-fine", "--overwrite"]


class WindowsPath(PureWindowsPath):
    """A whole path on Windows."""

    def absolute(self) -> WindowsPath:
        return self


def test_on_windows_the_command_is_quoted_for_its_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mattecli.server.finish.sys", SimpleNamespace(platform="win32"))
    names = ("C:/it's (R&D)/cat.png", "C:/cat_trimap.png", "//server/old shares/")
    photo, trimap, out = (cast("Path", WindowsPath(name)) for name in names)
    finish = Finish(background="#00b140", choke="0.5%")
    made = command_line(photo, trimap, ["alpha", "composite"], finish, out=out, run=RunOptions(), reading=ReadOptions())
    assert made == " ".join(
        [
            *("matte", "predict", '"C:\\it\'s (R&D)\\cat.png"', "--trimap", "C:\\cat_trimap.png"),
            *("--what", '"alpha,composite"', "--background", '"#00b140"', "--choke", "0.5%"),
            *("--out-dir", '"\\\\server\\old shares\\\\"', "--overwrite"),
        ]
    )


def test_saving_waits_for_the_exact_matte_of_what_is_painted(photo: Path, tmp_path: Path) -> None:
    page = page_for(photo, folder=tmp_path, target=serve)
    page.open()
    page.operate(1, "stroke", points=[[96, 80, 30]], label=255)
    event = save(page, "alpha")
    assert event["sequence"] == 1
    assert page.wait_for("matte")["matte"]["kind"] == "exact"
    assert PIL.Image.open(photo.with_name("cat_alpha.png")).getpixel((96, 80)) == 255
    assert page.open()["saved"] == 1
    assert page.get("/app/session").json["photos"][0]["state"] == "done"
    page.operate(2, "stroke", points=[[20, 20, 10]], label=0)
    assert page.get("/app/session").json["photos"][0]["state"] == "started"
    page.close()


def test_a_trimap_is_saved_at_once_into_the_named_folder(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    page = page_for(photo, folder=tmp_path, out=tmp_path / "out")
    page.open()
    page.operate(1, "stroke", points=[[96, 80, 30]], label=255)
    save(page, "trimap")
    with page.sessions.using(page.word) as opened:
        assert np.array_equal(np.asarray(PIL.Image.open(tmp_path / "out" / "cat_trimap.png")), opened.snapshot()[0])
    assert sorted(path.name for path in photo.parent.iterdir()) == ["cat.png"]
    page.close()


def test_a_trimap_has_the_resolution_of_its_photo(photo: Path, tmp_path: Path) -> None:
    PIL.Image.open(photo).save(photo, dpi=(300, 300))
    page = page_for(photo, folder=tmp_path)
    page.open()
    page.operate(1, "stroke", points=[[96, 80, 30]], label=255)
    save(page, "trimap")
    assert read_image(photo.with_name("cat_trimap.png")).resolution == pytest.approx((300, 300), abs=0.1)
    page.close()


def test_a_stroke_that_comes_while_the_trimap_is_written_does_not_count_as_saved(
    page: Page, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = saving._write

    def slow(*args: Any) -> None:
        write(*args)
        page.operate(3, "stroke", points=[[20, 80, 9]], label=0)

    monkeypatch.setattr(saving, "_write", slow)
    event = save(page, "trimap")
    facts = page.open()
    assert (event["sequence"], event["progress"], facts["saved"], facts["painted"]) == (2, "started", 2, 3)
    assert np.asarray(PIL.Image.open(photo.with_name("cat_trimap.png")))[80, 20] == 128


def test_the_trimap_that_the_page_began_with_is_ours_once_it_was_replaced(photo: Path, tmp_path: Path) -> None:
    given = photo.with_name("cat_trimap.png")
    PIL.Image.fromarray(np.full(SIZE, 128, np.uint8)).save(given)
    page = page_for(photo, folder=tmp_path, start=Start("trimap", given))
    page.open()
    page.operate(2, "stroke", points=[[96, 80, 30]], label=255)
    assert page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]}).status == 400
    save(page, "trimap", overwrite=True)
    facts = page.open()
    assert (facts["painted"], facts["saved"], facts["undoable"]) == (2, 2, 2)  # it is not laid again
    page.operate(3, "stroke", points=[[20, 120, 9]], label=0)
    save(page, "trimap")
    assert page.wait_for("saved", number=2)["sequence"] == 3
    page.close()


def test_a_matte_is_judged_by_the_trimap_that_it_was_made_from(page: Page, shipped_model: Model) -> None:
    matted(page, shipped_model)
    before = page.get(f"/app/photos/{page.word}/findings").json
    page.operate(3, "polygon", points=[[0, 100], [192, 100], [192, 160], [0, 160]], label=255)
    assert page.get(f"/app/photos/{page.word}/findings").json == before


def test_a_file_that_was_not_saved_from_here_is_replaced_only_when_told(page: Page, photo: Path) -> None:
    target = photo.with_name("cat_trimap.png")
    target.write_bytes(b"someone's work")
    answer = page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]})
    assert answer.status == 400
    assert "cat_trimap.png exists already" in answer.error
    assert target.read_bytes() == b"someone's work"
    save(page, "trimap", overwrite=True)
    first = target.read_bytes()
    page.operate(3, "undo")
    assert page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]}).status == 202  # it is ours
    page.wait_for("saved", number=2)
    assert target.read_bytes() != first
    target.write_bytes(b"changed by someone")
    assert page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]}).status == 400


def test_a_photo_that_changed_on_the_disk_is_noticed_before_saving(page: Page, photo: Path) -> None:
    PIL.Image.fromarray(noise(5, *SIZE)).save(photo)
    answer = page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]})
    assert answer.status == 400
    assert "changed on the disk" in answer.error
    assert page.wait_for("changed")["file"] == "photo"
    assert not photo.with_name("cat_trimap.png").exists()
    assert page.open()["sequence"] == 0  # the reload opens the new photo


def test_a_trimap_that_changed_on_the_disk_is_noticed_before_saving_and_laid_anew(photo: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.png"
    for value in (0, 255):
        PIL.Image.fromarray(np.full(SIZE, value, np.uint8)).save(given)
        if value == 0:
            page = page_for(photo, folder=tmp_path, start=Start("trimap", given))
            assert page.open()["sequence"] == 1
            save(page, "trimap")
    answer = page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]})
    assert answer.status == 400
    assert "given.png changed on the disk" in answer.error
    assert page.wait_for("changed")["file"] == "trimap"
    assert page.open()["sequence"] == 2
    save(page, "trimap")
    page.wait_for("saved", number=2)
    assert np.asarray(PIL.Image.open(photo.with_name("cat_trimap.png"))).min() == 255
    page.close()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"products": []}, "nothing is to be saved"),
        ({"products": ["layers"]}, "products"),
        ({"products": ["composite"], "background": "/etc/passwd"}, "not a colour"),
        ({"products": ["composite"], "background": "beach.jpg"}, "not a colour"),
        ({"products": ["alpha"], "choke": -1}, "choke must be"),
        ({"products": ["alpha"], "choke": 1, "spread": 1}, "opposite directions"),
        ({"products": ["alpha"], "levels": [200, 100, 1]}, "levels"),
        ({"products": ["cutout"], "despill": "red"}, "screen"),
    ],
)
def test_what_cannot_be_saved_is_refused_at_once(page: Page, body: dict[str, Any], sentence: str) -> None:
    answer = page.post(f"/app/photos/{page.word}/save", body)
    assert answer.status == 400
    assert sentence in answer.error


def test_a_link_that_leads_out_of_the_folder_is_not_followed(page: Page, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.png").write_bytes(b"")
    photo.with_name("cat_trimap.png").symlink_to(tmp_path / "elsewhere.png")
    answer = page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"], "overwrite": True})
    assert answer.status == 400
    assert "leads out" in answer.error
    assert (tmp_path / "elsewhere.png").read_bytes() == b""


def test_a_preview_or_an_old_matte_is_never_downloaded(page: Page, shipped_model: Model) -> None:
    assert page.get(f"/app/photos/{page.word}/download/alpha").status == 409
    assert page.get(f"/app/photos/{page.word}/findings").status == 409
    matted(page, shipped_model)
    assert page.get(f"/app/photos/{page.word}/download/alpha").status == 200
    assert page.get(f"/app/photos/{page.word}/findings").json["sequence"] == 2
    page.operate(3, "stroke", points=[[20, 150, 5]], label=0)
    answer = page.get(f"/app/photos/{page.word}/download/alpha")
    assert answer.status == 409
    assert "make it first" in answer.error
    assert page.get(f"/app/photos/{page.word}/download/trimap").status == 200


def test_a_failed_run_ends_the_save_with_a_sentence(photo: Path, tmp_path: Path) -> None:
    page = page_for(photo, folder=tmp_path, target=processes.dying)
    page.open()
    name = page.post(f"/app/photos/{page.word}/save", {"products": ["alpha"]}).json["save"]
    event = page.wait_for("failed", number=2)
    assert event["save"] == name
    assert "nothing was saved" in event["error"]
    assert sorted(path.name for path in photo.parent.iterdir()) == ["cat.png"]
    page.close()


def test_a_matte_for_8_bits_is_not_saved_with_16(
    page: Page, shipped_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def settled(options: RunOptions, *, eight_bits: bool) -> RunOptions:
        asked.append(eight_bits)
        return replace(options, precision="bf16") if eight_bits else options

    monkeypatch.setattr(runs, "settle_precision", settled)
    matted(page, shipped_model, precision="bf16")
    save(page, "alpha")
    shown = f"/app/photos/{page.word}/command?{query(['alpha'], {})}"
    assert "--precision bf16" in page.get(shown).json["command"]
    deep = query(["alpha"], {"bits": 16})
    assert "--precision fp32" in page.get(f"/app/photos/{page.word}/command?{deep}").json["command"]
    assert page.get(f"/app/photos/{page.word}/download/alpha?bits=16").status == 409
    assert page.post(f"/app/photos/{page.word}/save", {"products": ["alpha"], "bits": 16}).status == 202
    assert page.wait_for("progress")["run"] != 99  # a run of its own
    assert set(asked) == {True, False}


def test_a_file_that_came_while_the_matte_was_made_is_not_replaced(
    photo: Path, tmp_path: Path, shipped_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_for(photo, folder=tmp_path)
    page.open()
    page.operate(1, "stroke", points=[[96, 80, 30]], label=255)
    begun: list[Any] = []
    monkeypatch.setattr(page.runs, "matte", lambda *_, then, **__: begun.append(then))
    page.post(f"/app/photos/{page.word}/save", {"products": ["alpha"]})
    matted(page, shipped_model)
    photo.with_name("cat_alpha.png").write_bytes(b"someone's work")
    with page.sessions.using(page.word) as opened:
        begun[0](opened.mattes.exact)
    assert "cat_alpha.png exists already" in page.wait_for("failed")["error"]
    assert photo.with_name("cat_alpha.png").read_bytes() == b"someone's work"
    page.close()


def test_a_photo_that_changed_while_its_matte_was_made_is_not_saved(
    photo: Path, tmp_path: Path, shipped_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_for(photo, folder=tmp_path)
    page.open()
    page.operate(1, "stroke", points=[[96, 80, 30]], label=255)
    begun: list[Any] = []
    monkeypatch.setattr(page.runs, "matte", lambda *_, then, **__: begun.append(then))
    page.post(f"/app/photos/{page.word}/save", {"products": ["alpha"]})
    matted(page, shipped_model)
    PIL.Image.fromarray(noise(5, *SIZE)).save(photo)
    with page.sessions.using(page.word) as opened:
        begun[0](opened.mattes.exact)
    until(60, lambda: any(event["type"] in ("saved", "failed") for event in page.told))
    assert not photo.with_name("cat_alpha.png").exists()
    assert "cat.png changed on the disk" in within(1, page, "failed")["error"]
    assert within(1, page, "changed")["file"] == "photo"
    page.close()


def test_what_was_written_before_a_failure_is_ours_and_the_page_hears_of_a_bug(
    page: Page, photo: Path, shipped_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    matted(page, shipped_model)
    with monkeypatch.context() as patched:
        patched.setattr("mattecli.server.saving.write_outputs", lambda *_, **__: 1 // 0)
        page.post(f"/app/photos/{page.word}/save", {"products": ["trimap", "alpha"]})
        assert "met a bug in matte: ZeroDivisionError" in page.wait_for("failed")["error"]
    assert photo.with_name("cat_trimap.png").exists()
    save(page, "trimap", "alpha")
    assert photo.with_name("cat_alpha.png").exists()


def test_a_page_that_opens_the_photo_is_told_of_its_save(photo: Path, tmp_path: Path, shipped_model: Model) -> None:
    page = page_for(photo, folder=tmp_path)
    page.open()
    page.operate(1, "stroke", points=[[96, 80, 30]], label=255)
    name = page.post(f"/app/photos/{page.word}/save", {"products": ["alpha"]}).json["save"]
    assert page.open()["going"]["saving"] == name
    assert page.wait_for("progress")["run"] == page.open()["going"]["run"]["run"]
    matted(page, shipped_model)
    event = save(page, "trimap", "alpha")
    going = page.open()["going"]
    assert (going["saving"], going["ended"]) == (None, [event])
    assert page.get("/app/session").json["saves"] == {"going": [], "ended": [event]}
    page.close()


def test_the_end_of_a_save_says_how_far_the_photo_is(page: Page) -> None:
    assert save(page, "trimap")["progress"] == "done"


def test_a_save_waits_for_the_run_of_the_same_labels_that_is_going_on(photo: Path, tmp_path: Path) -> None:
    page = page_for(photo, folder=tmp_path)
    page.open()
    page.operate(1, "stroke", points=[[96, 80, 30]], label=255)
    mattes = f"/app/photos/{page.word}/mattes"
    run = page.post(mattes, {"kind": "exact"}).json["run"]
    page.wait_for("progress")
    assert page.post(f"/app/photos/{page.word}/save", {"products": ["alpha"]}).json["run"] == run
    assert page.post(mattes, {"kind": "exact"}).json["run"] == run
    preview = page.post(mattes, {"kind": "preview", "box": [0, 0, 50, 50]}).json["run"]
    assert page.open()["going"]["run"]["run"] == run, "and not the preview, which waits"
    page.operate(2, "stroke", points=[[20, 20, 10]], label=0)
    assert not any(event["type"] == "failed" for event in page.told), "a run that a save waits for stays"
    other = page.post(f"/app/photos/{page.word}/save", {"products": ["alpha"]}).json["run"]
    assert other != run, "other labels need another matte"
    failures = [page.wait_for("failed", number=number) for number in (1, 2, 3)]
    assert sorted(event["run"] for event in failures if "save" not in event) == [run, preview]
    assert page.send("DELETE", f"{mattes}/{other}", {}).json == {"cancelled": True}
    page.close()


def test_a_save_whose_matte_cannot_be_asked_for_does_not_block_the_next_one(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise InputError("shared cannot be written (No space left on device); free some space")

    with monkeypatch.context() as patched:
        patched.setattr(page.runs, "matte", full)
        answer = page.post(f"/app/photos/{page.word}/save", {"products": ["alpha"]})
    assert (answer.status, "free some space" in answer.error) == (400, True)
    assert page.open()["going"]["saving"] is None


def test_the_end_of_a_save_is_told_also_where_its_progress_cannot_be_read(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = page.word
    with monkeypatch.context() as patched:
        patched.setattr(page.sessions, "progress", lambda _: {}["changed"])
        assert page.post(f"/app/photos/{word}/save", {"products": ["trimap"]}).status == 202
        assert "met a bug in matte: KeyError" in within(60, page, "failed")["error"]
    assert page.open()["going"]["saving"] is None


def test_a_file_that_was_replaced_by_the_same_bytes_is_ours(page: Page, photo: Path) -> None:
    save(page, "trimap")
    with page.sessions.using(page.word) as opened:
        opened.state.note(files={})  # as if it had come from elsewhere
    assert page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]}).status == 400
    save(page, "trimap", overwrite=True)
    page.wait_for("saved", number=2)
    assert page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]}).status == 202


def test_saves_of_a_photo_at_the_same_time_know_each_others_files(
    page: Page, photo: Path, shipped_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    matted(page, shipped_model)
    both, first = threading.Barrier(2), saving._write

    def write(*how: Any) -> None:
        with suppress(threading.BrokenBarrierError):  # saves that wait for each other do not meet
            both.wait(2)
        first(*how)

    noted = State.note

    def note(state: State, **facts: Any) -> None:
        if "files" in facts:
            with suppress(threading.BrokenBarrierError):
                both.wait(2)
        noted(state, **facts)

    monkeypatch.setattr(saving, "_write", write)
    monkeypatch.setattr(State, "note", note)
    for product in ("trimap", "alpha"):
        page.post(f"/app/photos/{page.word}/save", {"products": [product]})
    page.wait_for("saved", number=2)
    with page.sessions.using(page.word) as opened:
        names = {Path(path).name for path in opened.state.facts["files"]}
    assert names == {"cat_trimap.png", "cat_alpha.png"}


def test_a_failure_to_write_is_told_also_where_the_files_cannot_be_noted_down(
    page: Page, shipped_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise InputError("facts.json cannot be written (No space left on device); free some space")

    matted(page, shipped_model)
    monkeypatch.setattr(saving, "write_outputs", lambda *_, **__: 1 // 0)
    monkeypatch.setattr(State, "note", full)
    page.post(f"/app/photos/{page.word}/save", {"products": ["alpha"]})
    assert "ZeroDivisionError" in page.wait_for("failed")["error"]


def test_a_save_that_waits_for_another_one_keeps_its_photo_open(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = photo.with_name("dog.png")
    PIL.Image.fromarray(noise(5, *SIZE)).save(second)
    monkeypatch.setattr(sessions, "CLOSED_BYTES", 0)
    page = page_for(photo, second, folder=tmp_path)
    words = [one["id"] for one in page.get("/app/session").json["photos"]]
    writes, go_on, write = threading.Event(), threading.Event(), saving._write

    def slow(*how: Any) -> None:
        writes.set()
        assert go_on.wait(60)
        write(*how)

    monkeypatch.setattr(saving, "_write", slow)
    for word in words:
        page.post(f"/app/photos/{word}/open", {"tab": "one"})
        assert page.post(f"/app/photos/{word}/save", {"products": ["trimap"]}).status == 202
        assert writes.wait(60)
    page.post(f"/app/photos/{words[0]}/open", {"tab": "one"})
    page.post(f"/app/photos/{words[1]}/close", {"tab": "one"})
    go_on.set()
    until(60, lambda: len(page.told) == 2)
    assert [event["type"] for event in page.told] == ["saved", "saved"]
    assert second.with_name("dog_trimap.png").exists()
    page.close()


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Tells when files are about to be written, and has that wait for a word to go on."""
    begun, go_on, write = threading.Event(), threading.Event(), saving._write

    def slow(*how: Any) -> None:
        begun.set()
        assert go_on.wait(60)
        write(*how)

    monkeypatch.setattr(saving, "_write", slow)
    yield begun, go_on
    go_on.set()


def test_the_end_of_the_server_waits_for_files_that_are_being_written(
    page: Page, photo: Path, writes: tuple[threading.Event, threading.Event]
) -> None:
    begun, go_on = writes
    assert page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]}).status == 202
    assert begun.wait(60)
    threading.Timer(0.3, go_on.set).start()

    async def end() -> None:
        async with running(page.app):
            pass

    asyncio.run(end())
    assert [event["type"] for event in page.told] == ["saved"]
    assert photo.with_name("cat_trimap.png").exists()


def test_a_second_ctrl_c_hurries_the_end(page: Page) -> None:
    told: list[str] = []
    config = uvicorn.Config(page.app)
    server = listening._Server(config, lambda: told.append("end"), lambda: told.append("hurry"))
    server.handle_exit(signal.SIGINT, None)
    assert told == ["end"]
    server.handle_exit(signal.SIGINT, None)
    assert told == ["end", "end", "hurry"]


def test_a_second_signal_ends_the_server_without_waiting_for_files(
    page: Page, writes: tuple[threading.Event, threading.Event]
) -> None:
    begun, go_on = writes
    assert page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]}).status == 202
    assert begun.wait(60)
    page.saving.give_up()
    page.saving.close()
    assert page.told == []
    go_on.set()
    within(60, page, "saved")
