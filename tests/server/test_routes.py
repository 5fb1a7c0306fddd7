from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import psutil
import pytest

from mattecli.imaging.options import ReadOptions
from mattecli.server import sessions
from mattecli.server.sessions import photos_at
from mattecli.server.start import Start
from tests.server.web import Page, page_for, unpacked

SIZE = (700, 600)  # height, width


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def page(photo: Path, tmp_path: Path) -> Iterator[Page]:
    page = page_for(photo, folder=tmp_path)
    yield page
    page.close()


STROKE = {"points": [[100, 100, 20], [300, 200, 30]], "label": 255}
EVERYTHING = {"level": 0, "top": 0, "left": 0, "bottom": 9, "right": 9}


def test_a_photo_is_opened_with_what_the_page_must_know(page: Page) -> None:
    assert page.get("/app/session").json["photos"] == [{"id": page.word, "name": "photo.png", "state": "untouched"}]
    facts = page.open()
    assert (facts["width"], facts["height"], facts["bits"], facts["space"]) == (600, 700, 8, "sRGB")
    assert facts["levels"] == [[600, 700], [300, 350], [150, 175]]
    assert (facts["sequence"], facts["readonly"], facts["matte"], facts["saved"]) == (0, False, None, None)


def test_tiles_of_the_photo_are_its_pixels_and_may_be_cached(page: Page, photo: Path) -> None:
    page.open()
    answer = page.get(f"/app/photos/{page.word}/tiles/photo/0/2/1?revision=0")
    pixels = np.asarray(PIL.Image.open(photo))[512:, 256:512]
    assert answer.body == pixels.tobytes()
    assert (answer.headers["x-tile"], answer.headers["x-revision"]) == ("188 256 3", "0")
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("place", ["photo/0/3/0", "photo/3/0/0", "photo/0/-1/0", "other/0/0/0", "base/3/0/0"])
def test_a_tile_that_does_not_exist_is_not_found(page: Page, place: str) -> None:
    page.open()
    assert page.get(f"/app/photos/{page.word}/tiles/{place}").status == 404


def test_the_answer_to_a_stroke_has_the_visible_tiles_that_it_changed(page: Page) -> None:
    page.open()
    facts, tiles = page.operate(1, "stroke", **STROKE, visible=EVERYTHING)
    assert (facts["sequence"], facts["painted"], facts["undoable"], facts["redoable"]) == (1, 1, 1, 0)
    assert facts["changed"] == [[0, 0], [0, 1]]
    assert [(tile["row"], tile["column"], tile["revision"]) for tile in facts["tiles"]] == [(0, 0, 1), (0, 1, 1)]
    assert tiles[0].shape == (256, 256, 1)
    assert tiles[0][100, 100, 0] == 255
    with page.sessions.using(page.word) as photo:
        assert np.array_equal(tiles[1][..., 0], photo.snapshot()[0][:256, 256:512])


def test_a_smaller_level_answers_with_shares(page: Page) -> None:
    page.open()
    facts, tiles = page.operate(1, "stroke", **STROKE, visible={**EVERYTHING, "level": 1})
    assert [(tile["level"], tile["row"], tile["column"]) for tile in facts["tiles"]] == [(1, 0, 0)]
    assert tiles[0][50, 50].tolist() == [255, 0]


def test_an_operation_sent_again_is_not_done_twice_and_one_too_early_is_refused(page: Page) -> None:
    page.open()
    first = page.operate(1, "stroke", **STROKE)[0]
    assert page.operate(1, "stroke", **STROKE)[0] == first
    answer = page.post(f"/app/photos/{page.word}/operations", {"sequence": 4, "kind": "undo"})
    assert (answer.status, answer.json["expected"]) == (409, 2)


def test_a_refusal_is_a_sentence_and_uses_up_its_number(page: Page) -> None:
    page.open()
    facts, _ = page.operate(1, "redo")
    assert (facts["refused"], facts["sequence"], facts["painted"]) == ("there is nothing to redo", 1, 0)
    facts, _ = page.operate(2, "stroke", points=[[1, 2]], label=255)
    assert "points of 3 numbers" in facts["refused"]


def test_clearing_takes_all_paint_off_and_can_be_undone(page: Page) -> None:
    page.open()
    page.operate(1, "stroke", **STROKE)
    page.operate(2, "clear")
    with page.sessions.using(page.word) as photo:
        assert (photo.snapshot()[0] == 128).all()
    page.operate(3, "undo")
    with page.sessions.using(page.word) as photo:
        assert photo.snapshot()[0][100, 100] == 255


def test_paint_can_be_restricted_to_colours_of_the_photo(page: Page, photo: Path) -> None:
    page.open()
    colours = [[0, 0, 0], [100, 255, 255]]
    page.operate(1, "stroke", **STROKE, restriction={"over": [128], "colours": colours})
    red = np.asarray(PIL.Image.open(photo))[95:105, 95:105, 0]
    with page.sessions.using(page.word) as open_photo:
        assert np.array_equal(open_photo.snapshot()[0][95:105, 95:105] == 255, red <= 100)


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "stroke"},
        {"sequence": 1, "kind": "format the disk"},
        {"sequence": 1, "kind": "stroke", "points": [[1e300, 0, 1]], "label": 255},
        {"sequence": 1, "kind": "stroke", "points": [[1, 1, 1]], "label": 7},
        {"sequence": 1, "kind": "stroke", "points": "all"},
        [],
    ],
)
def test_a_malformed_operation_is_named_and_changes_nothing(page: Page, body: object) -> None:
    page.open()
    answer = page.post(f"/app/photos/{page.word}/operations", body)
    assert answer.status == 400
    assert answer.error
    assert page.open()["sequence"] == 0


def test_many_tiles_come_in_one_answer(page: Page) -> None:
    page.open()
    page.operate(1, "stroke", **STROKE)
    body = {"tiles": [["photo", 2, 0, 0], ["labels", 0, 0, 1], ["labels", 2, 0, 0], ["base", 0, 1, 1]]}
    facts, tiles = unpacked(page.post(f"/app/photos/{page.word}/tiles", body).body)
    assert [tile.shape for tile in tiles] == [(175, 150, 3), (256, 256, 1), (175, 150, 2), (256, 256, 1)]
    assert [tile["revision"] for tile in facts["tiles"]] == [0, 1, 1, 0]
    assert page.post(f"/app/photos/{page.word}/tiles", {"tiles": [["photo", 0, 0, 0]] * 401}).status == 400


def test_paint_is_there_after_the_server_was_killed(page: Page, photo: Path, tmp_path: Path) -> None:
    page.open()
    page.operate(1, "stroke", **STROKE)
    with page.sessions.using(page.word) as opened:
        before = opened.snapshot()[0]
    shutil.copytree(tmp_path / "state", tmp_path / "killed" / "state")  # what a kill at this moment leaves
    page.close()
    other = page_for(photo, folder=tmp_path / "killed")
    assert other.get("/app/session").json["photos"][0]["state"] == "started"
    assert other.open()["sequence"] == 1
    with other.sessions.using(other.word) as opened:
        assert np.array_equal(opened.snapshot()[0], before)
    other.close()


def test_what_is_told_of_a_photo_names_its_content(page: Page, photo: Path) -> None:
    before = page.open()["content"]
    assert page.open()["content"] == before
    PIL.Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(photo)
    facts = page.open()
    assert facts["content"] != before
    assert facts["sequence"] == 0


def test_a_second_tab_opens_read_only_until_the_first_closes(page: Page) -> None:
    assert page.open(tab="one")["readonly"] is False
    assert page.open(tab="two")["readonly"] is True
    assert page.open(tab="one")["readonly"] is False
    page.tab = "two"
    answer = page.post(f"/app/photos/{page.word}/operations", {"sequence": 1, "kind": "stroke", **STROKE})
    assert answer.status == 403
    assert "another tab" in answer.error
    page.post(f"/app/photos/{page.word}/close", {"tab": "one"})
    assert page.open(tab="two")["readonly"] is False
    page.operate(1, "stroke", **STROKE)


def test_a_second_tab_can_take_over_and_the_first_one_is_told(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Any, ...]] = []
    monkeypatch.setattr(page.events, "send", lambda *facts, **more: told.append((*facts, more)))
    page.open(tab="one")
    second = page.open(tab="two")
    assert (second["readonly"], second["takeable"]) == (True, True)
    page.operate(1, "stroke", **STROKE)
    taken = page.open(tab="two", take=True)
    assert (taken["readonly"], taken["takeable"], taken["sequence"]) == (False, False, 1)
    assert told == [("taken", page.word, {"tab": "two"})]
    assert page.post(f"/app/photos/{page.word}/operations", {"sequence": 2, "kind": "undo"}).status == 403
    first = page.open(tab="one")
    assert (first["readonly"], first["takeable"]) == (True, True)
    page.tab = "two"
    page.operate(2, "undo")
    page.post(f"/app/photos/{page.word}/close", {"tab": "two"})
    assert page.open(tab="one")["readonly"] is False


def test_a_number_that_another_tab_used_is_not_taken_for_an_operation_sent_again(page: Page) -> None:
    page.open(tab="one")
    page.operate(1, "stroke", **STROKE)
    page.open(tab="two", take=True)
    page.tab = "two"
    page.operate(2, "undo")
    assert page.operate(2, "undo")[0]["sequence"] == 2, "it is sent again"
    page.open(tab="one", take=True)
    page.tab = "one"
    operations = f"/app/photos/{page.word}/operations"
    answer = page.post(operations, {"sequence": 2, "kind": "stroke", **STROKE})
    assert (answer.status, answer.json["expected"]) == (409, 3)
    assert page.operate(3, "stroke", **STROKE)[0]["painted"] == 3
    assert page.operate(1, "stroke", **STROKE)[0]["sequence"] == 1, "its own one is answered as before"


def test_a_tab_that_is_gone_for_long_loses_the_photo(photo: Path, tmp_path: Path) -> None:
    now = [0.0]
    page = page_for(photo, folder=tmp_path, clock=lambda: now[0])
    page.open(tab="one")
    page.tab = "two"
    now[0] = 89
    assert page.open(tab="two")["readonly"] is True
    now[0] = 90
    assert page.open(tab="two")["readonly"] is False
    now[0] = 170
    assert page.get("/app/health").status == 200  # a hidden tab has no more than this
    now[0] = 250
    assert page.open(tab="one")["readonly"] is True
    page.close()


def test_a_photo_that_another_server_holds_is_not_decoded_each_time_that_a_tab_asks(
    page: Page, photo: Path, tmp_path: Path
) -> None:
    page.open()
    other = page_for(photo, folder=tmp_path)
    other.open()
    with other.sessions.using(other.word) as first:
        pass
    assert other.open()["readonly"] is True
    with other.sessions.using(other.word) as again:
        assert again is first
    page.operate(1, "stroke", **STROKE)
    assert other.open(tab="new")["sequence"] == 1, "a new tab has the paint of now"
    page.close()
    assert other.open()["readonly"] is False
    other.close()


def test_a_second_server_on_the_photo_is_read_only_and_sees_the_paint(page: Page, photo: Path, tmp_path: Path) -> None:
    page.open()
    page.operate(1, "stroke", **STROKE)
    other = page_for(photo, folder=tmp_path)
    facts = other.open(take=True)
    assert facts["takeable"] is False, "another process keeps its photo"
    assert (facts["readonly"], facts["sequence"]) == (True, 1)
    answer = other.post(f"/app/photos/{other.word}/operations", {"sequence": 2, "kind": "undo"})
    assert answer.status == 403
    assert "another matte ui" in answer.error
    page.operate(2, "undo")
    page.close()
    facts = other.open()
    assert (facts["readonly"], facts["sequence"]) == (False, 2)
    other.close()


def test_a_trimap_given_at_the_start_lies_under_the_paint_and_is_laid_once(photo: Path, tmp_path: Path) -> None:
    trimap = np.full(SIZE, 128, np.uint8)
    trimap[:200], trimap[400:] = 0, 255
    PIL.Image.fromarray(trimap).save(tmp_path / "trimap.png")
    for _ in range(2):
        page = page_for(photo, folder=tmp_path, start=Start("trimap", tmp_path / "trimap.png"))
        assert page.open()["sequence"] == 1
        with page.sessions.using(page.word) as opened:
            assert np.array_equal(opened.snapshot()[0], trimap)
        page.close()


def test_copies_of_a_photo_share_their_paint_and_are_painted_one_at_a_time(photo: Path, tmp_path: Path) -> None:
    shutil.copy(photo, tmp_path / "copy.png")
    page = page_for(photo, tmp_path / "copy.png", folder=tmp_path)
    first, second = (shown["id"] for shown in page.get("/app/session").json["photos"])

    def opened(word: str, tab: str) -> dict[str, Any]:
        return dict(page.post(f"/app/photos/{word}/open", {"tab": tab}).json)

    assert not opened(first, "one")["readonly"]
    page.operate(1, "stroke", **STROKE)
    facts = opened(second, "two")
    assert (facts["readonly"], facts["takeable"], facts["heldBy"]) == (True, False, "photo.png")
    page.tab = "two"
    refused = page.post(f"/app/photos/{second}/operations", {"sequence": 2, "kind": "undo"})
    assert refused.error == "photo.png has the same content and is open; close it first"
    page.post(f"/app/photos/{first}/close", {"tab": "one"})
    facts = opened(second, "two")  # a page asks again every few seconds
    assert (facts["readonly"], facts["heldBy"], facts["painted"]) == (False, None, 1)
    assert not opened(first, "two")["readonly"]  # a page opens the next photo before it closes the one that it shows
    page.post(f"/app/photos/{second}/close", {"tab": "two"})
    with page.sessions.using(first):
        assert opened(second, "two")["readonly"]  # something uses the first one
    page.close()


def test_closed_photos_are_let_go_when_another_one_needs_the_memory(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CLOSED_BYTES", 2**20)
    PIL.Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "small.png")
    page = page_for(photo, tmp_path / "small.png", folder=tmp_path)
    page.open()
    page.post(f"/app/photos/{page.word}/close", {"tab": "one"})
    assert page.get(f"/app/photos/{page.word}/tiles/photo/0/0/0").status == 200  # a reload has it at once
    other = page.get("/app/session").json["photos"][1]["id"]
    assert page.post(f"/app/photos/{other}/open", {"tab": "one"}).status == 200
    assert page.get(f"/app/photos/{page.word}/tiles/photo/0/0/0").status == 404
    assert page.open()["sequence"] == 0
    page.close()


def test_a_photo_that_is_left_for_another_one_is_let_go(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CLOSED_BYTES", 0)
    PIL.Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "small.png")
    page = page_for(photo, tmp_path / "small.png", folder=tmp_path)
    page.open()
    other = page.get("/app/session").json["photos"][1]["id"]
    assert page.post(f"/app/photos/{other}/open", {"tab": "one"}).status == 200
    assert page.get(f"/app/photos/{page.word}/tiles/photo/0/0/0").status == 200
    page.post(f"/app/photos/{page.word}/close", {"tab": "one"})
    assert page.get(f"/app/photos/{page.word}/tiles/photo/0/0/0").status == 404
    page.close()


def test_a_photo_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"not a photo at all")
    page = page_for(tmp_path / "photo.jpg", folder=tmp_path)
    answer = page.post(f"/app/photos/{page.word}/open", {"tab": "one"})
    assert answer.status == 400
    assert "photo.jpg" in answer.error


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_photo_whose_name_is_not_utf_8_is_told_and_saved(photo: Path, tmp_path: Path) -> None:
    name, folder = os.fsdecode(b"caf\xe9"), tmp_path / "photos"
    folder.mkdir()
    photo.rename(folder / f"{name}.png")
    (folder / f"{name}.jpg").write_bytes(b"not a photo")
    page = page_for(folder / f"{name}.png", folder / f"{name}.jpg", folder=tmp_path)
    shown = page.get("/app/session").json["photos"]
    assert [photo["name"] for photo in shown] == ["caf\ufffd.png", "caf\ufffd.jpg"]
    assert "caf\ufffd.jpg" in page.post(f"/app/photos/{shown[1]['id']}/open", {"tab": "one"}).error
    assert page.open()["name"] == "caf\ufffd.png"
    page.operate(1, "stroke", **STROKE)
    page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]})
    assert page.wait_for("saved")["files"] == [{"product": "trimap", "name": "caf\ufffd_trimap.png"}]
    assert (folder / f"{name}_trimap.png").exists()
    assert page.open()["going"]["ended"][0]["type"] == "saved"
    loaded = page.get(f"/app/photos/{page.word}/download/trimap")
    assert loaded.headers["content-disposition"].endswith("caf%EF%BF%BD_trimap.png")
    assert "caf\ufffd.png" in page.get(f"/app/photos/{page.word}/command?products=alpha").json["command"]
    page.close()


def test_photos_that_were_closed_leave_no_file_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "CLOSED_BYTES", 0)
    photos = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(photos):
        PIL.Image.fromarray(np.full((30, 40, 3), number, np.uint8)).save(path)
    page = page_for(*photos, folder=tmp_path)
    opened = []
    for shown in page.get("/app/session").json["photos"]:
        assert page.post(f"/app/photos/{shown['id']}/open", {"tab": "one"}).status == 200
        opened.append(len(psutil.Process().open_files()) + psutil.Process().num_fds())
        page.post(f"/app/photos/{shown['id']}/close", {"tab": "one"})
    assert max(opened[1:]) <= opened[0] + 2
    page.close()


def test_what_was_saved_of_a_folder_s_photos_is_not_listed_unless_it_is_named(tmp_path: Path) -> None:
    names = ("cat.jpg", "cat_trimap.png", "cat_alpha.tif", "cat_on_sofa.jpg", "dog_alpha.png")
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in photos_at([tmp_path])] == ["cat.jpg", "cat_on_sofa.jpg", "dog_alpha.png"]
    assert photos_at([tmp_path / "cat_trimap.png"]) == [tmp_path / "cat_trimap.png"]


def test_a_folder_is_listed_in_natural_order_with_how_far_each_photo_is(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("net_10.png", "net_2.png", "done.png"):
        PIL.Image.fromarray(np.zeros((30, 40, 3), np.uint8) + len(name)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"not a photo")
    (folder / "notes.txt").write_text("no photo either", encoding="utf-8")
    page = page_for(*photos_at([folder, folder / "net_2.png"]), folder=tmp_path)
    shown = page.get("/app/session").json["photos"]
    assert [photo["name"] for photo in shown] == ["broken.jpg", "done.png", "net_2.png", "net_10.png"]
    words = [photo["id"] for photo in shown]
    assert page.post(f"/app/photos/{words[0]}/open", {"tab": "one"}).status == 400
    for word in words[1:3]:
        page.post(f"/app/photos/{word}/open", {"tab": "one"})
        body = {"sequence": 1, "kind": "stroke", "points": [[5, 5, 3]], "label": 0}
        answer = page.post(f"/app/photos/{word}/operations", body)
        assert answer.status == 200
    page.post(f"/app/photos/{words[1]}/save", {"products": ["trimap"]})
    page.wait_for("saved")
    states = [photo["state"] for photo in page.get("/app/session").json["photos"]]
    assert states == ["failed", "done", "started", "untouched"]
    page.close()


def test_a_tab_that_shows_the_old_content_of_a_photo_loses_the_right_to_paint(page: Page, photo: Path) -> None:
    page.open()
    PIL.Image.new("RGB", (60, 50)).save(photo)
    assert page.open(tab="two")["readonly"] is False
    answer = page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"], "overwrite": True})
    assert answer.status == 403
    assert page.open(tab="one")["readonly"] is True


def test_a_trimap_that_is_gone_after_it_was_laid_leaves_the_paint_as_it_is(photo: Path, tmp_path: Path) -> None:
    given = tmp_path / "trimap.png"
    PIL.Image.fromarray(np.full(SIZE, 255, np.uint8)).save(given)
    page = page_for(photo, folder=tmp_path, start=Start("trimap", given))
    page.open()
    given.rename(tmp_path / "moved.png")
    assert page.open()["painted"] == 1
    assert page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]}).status == 202
    page.wait_for("saved")
    page.close()
    page = page_for(photo, folder=tmp_path, start=Start("trimap", given))
    assert page.open()["painted"] == 1
    page.close()
    page = page_for(photo, folder=tmp_path, start=Start("trimap", tmp_path / "typo.png"))
    answer = page.post(f"/app/photos/{page.word}/open", {"tab": "one"})
    assert answer.status == 400
    assert "typo.png cannot be read" in answer.error
    page.close()


def test_a_photo_that_is_deleted_while_it_is_open_stays_open(page: Page, photo: Path, tmp_path: Path) -> None:
    page.open()
    page.operate(1, "stroke", **STROKE)
    photo.rename(tmp_path / "moved.png")
    facts = page.open(tab="one")
    assert (facts["painted"], facts["readonly"]) == (1, False)
    assert page.get(f"/app/photos/{page.word}/tiles/photo/0/0/0").status == 200
    answer = page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]})
    assert (answer.status, answer.error) == (400, "photo.png was moved or deleted; put it back, and save again")
    (tmp_path / "moved.png").rename(photo)
    assert page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]}).status == 202
    page.wait_for("saved")


def test_the_limits_of_reading_are_those_of_the_trimap_at_the_start_too(photo: Path, tmp_path: Path) -> None:
    PIL.Image.fromarray(np.full(SIZE, 255, np.uint8)).save(tmp_path / "trimap.png")
    start = Start("trimap", tmp_path / "trimap.png", reading=ReadOptions(max_pixels=1000))
    page = page_for(photo, folder=tmp_path, start=start)
    answer = page.post(f"/app/photos/{page.word}/open", {"tab": "one"})
    assert answer.status == 400
    assert "more than 1000 pixels" in answer.error
    page.close()


def test_a_photo_of_a_tab_that_is_gone_for_long_is_let_go(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CLOSED_BYTES", 0)
    PIL.Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "small.png")
    now = [0.0]
    page = page_for(photo, tmp_path / "small.png", folder=tmp_path, clock=lambda: now[0])
    page.open(tab="crashed")
    other = page.get("/app/session").json["photos"][1]["id"]
    for time, status in ((89, 200), (90, 404)):
        now[0] = time
        page.post(f"/app/photos/{other}/open", {"tab": "one"})
        assert page.get(f"/app/photos/{page.word}/tiles/photo/0/0/0").status == status
        page.post(f"/app/photos/{other}/close", {"tab": "one"})
    page.close()
