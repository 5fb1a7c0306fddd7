from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.inference.precision import settle_precision
from mattecli.server.mattes import Mattes
from mattecli.server.pauses import HELD
from mattecli.server.worker import serve
from tests.server import processes
from tests.server.web import Page, page_for, unpacked
from tests.support.pictures import disc, noise

SIZE = (288, 352)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    share = disc(*SIZE, radius=80, softness=20)[..., None] / 255
    pixels = np.round(share * (250, 200, 40) + (1 - share) * noise(1, *SIZE) * 0.5).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def idle(photo: Path, tmp_path: Path) -> Iterator[Page]:
    """A page whose worker takes half a minute for each task."""
    page = page_for(photo, folder=tmp_path)
    page.open()
    yield page
    page.close()


BOX = [90, 55, 260, 235]


def test_a_box_becomes_a_proposal_a_base_and_an_exact_matte(photo: Path, tmp_path: Path) -> None:
    page = page_for(photo, folder=tmp_path, target=serve)
    word = page.open()["id"]
    asked = page.post(f"/app/photos/{word}/proposals", {"box": BOX})
    assert asked.status == 202
    event = page.wait_for("proposal")
    assert (event["proposal"], event.get("error")) == (asked.json["proposal"], None)
    facts, _ = page.operate(1, "base", proposal=event["proposal"], inside=event["inside"], outside=event["outside"])
    assert (facts["refused"], facts["band"]["reach"]) == ("", 64)
    run = page.post(f"/app/photos/{word}/mattes", {"kind": "exact"}).json["run"]
    matte = page.wait_for("matte")["matte"]
    assert (matte["run"], matte["kind"], matte["sequence"], matte["error"]) == (run, "exact", 1, 0)
    assert matte["box"] == [0, 0, SIZE[1], SIZE[0]]
    with page.sessions.using(word) as opened:
        trimap = opened.snapshot()[0]
    network = Model(settle_precision(RunOptions(device="cpu"), eight_bits=True))
    expected = network.predict(np.asarray(PIL.Image.open(photo)), trimap)
    answer = page.get(f"/app/photos/{word}/tiles/alpha/0/0/1?revision={run}")
    assert np.array_equal(np.frombuffer(answer.body, np.uint8).reshape(256, 96), np.rint(expected[:256, 256:] * 255))
    body = {"tiles": [["colours", 0, 0, 0], ["alpha", 0, 0, 0], ["photo", 0, 0, 0]], "revision": run}
    colours, alpha, shown = unpacked(page.post(f"/app/photos/{word}/tiles", body).body)[1]
    opaque = alpha[..., 0] == 255
    assert opaque.any()
    assert np.array_equal(colours[opaque], shown[opaque])
    assert page.open()["matte"]["run"] == run
    assert page.open()["estimate"]["exact"] > 0
    assert any(event["type"] == "progress" and event["run"] == run for event in page.told)
    page.close()


def test_a_mask_dropped_on_the_page_becomes_a_proposal(photo: Path, tmp_path: Path) -> None:
    page = page_for(photo, folder=tmp_path, target=serve)
    word = page.open()["id"]
    mask = tmp_path / "mask.png"
    PIL.Image.fromarray(disc(*SIZE, radius=80, softness=1)).save(mask)
    word_of_mask = page.send("PUT", f"/app/photos/{word}/base", mask.read_bytes()).json["proposal"]
    assert page.wait_for("proposal")["proposal"] == word_of_mask
    page.operate(1, "base", proposal=word_of_mask)
    with page.sessions.using(word) as opened:
        trimap = opened.snapshot()[0]
    assert (trimap[144, 176], trimap[0, 0]) == (255, 0)
    assert (trimap == 128).any()
    page.close()


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"not a picture", "picture"), (b"", "empty"), ("wide", "50×40"), ("bomb", "pixels")]
)
def test_a_mask_that_cannot_be_used_is_a_sentence(idle: Page, tmp_path: Path, content: object, sentence: str) -> None:
    if isinstance(content, str):
        size = (50, 40) if content == "wide" else (3000, 3000)
        PIL.Image.new("L", size).save(tmp_path / "mask.png")
        content = (tmp_path / "mask.png").read_bytes()
    answer = idle.send("PUT", f"/app/photos/{idle.word}/base", content)
    assert answer.status == 400
    assert sentence in answer.error


def test_a_run_is_cancelled_by_its_number(idle: Page) -> None:
    run = idle.post(f"/app/photos/{idle.word}/mattes", {"kind": "exact"}).json["run"]
    idle.wait_for("progress")
    assert idle.send("DELETE", f"/app/photos/{idle.word}/mattes/{run}", {}).json == {"cancelled": True}
    event = idle.wait_for("failed")
    assert (event["run"], event["cancelled"]) == (run, True)
    assert idle.send("DELETE", f"/app/photos/{idle.word}/mattes/{run}", {}).json == {"cancelled": False}


def test_strokes_go_on_while_the_network_runs(idle: Page) -> None:
    idle.post(f"/app/photos/{idle.word}/mattes", {"kind": "exact"})
    idle.wait_for("progress")
    for number in range(1, 6):
        facts, _ = idle.operate(number, "stroke", points=[[10 * number, 20, 5]], label=255)
        assert facts["painted"] == number
    assert not any(event["type"] in ("matte", "failed") for event in idle.told)


def test_a_proposal_needs_a_box_or_strokes(idle: Page) -> None:
    answer = idle.post(f"/app/photos/{idle.word}/proposals", {})
    assert answer.status == 400
    assert "a box around the subject, or strokes" in answer.error
    idle.operate(1, "stroke", points=[[100, 100, 20]], label=255)
    assert idle.post(f"/app/photos/{idle.word}/proposals", {}).status == 202
    assert idle.post(f"/app/photos/{idle.word}/proposals", {"source": "matte"}).status == 400


def test_a_base_that_was_not_proposed_is_refused(idle: Page) -> None:
    facts, _ = idle.operate(1, "base", proposal="unknown")
    assert "not kept" in facts["refused"]


def test_the_end_of_the_server_ends_its_runs(photo: Path, tmp_path: Path) -> None:
    page = page_for(photo, folder=tmp_path)
    page.post(f"/app/photos/{page.open()['id']}/mattes", {"kind": "exact"})
    page.wait_for("progress")
    page.close()
    assert page.wait_for("failed")["cancelled"] is True


def test_tiles_of_a_matte_that_is_not_kept_are_not_found(idle: Page) -> None:
    assert idle.get(f"/app/photos/{idle.word}/tiles/alpha/0/0/0?revision=3").status == 404
    assert unpacked(idle.post(f"/app/photos/{idle.word}/tiles", {"tiles": []}).body)[0]["tiles"] == []


def test_a_pointer_that_is_down_on_the_page_holds_the_run(photo: Path, tmp_path: Path) -> None:
    page = page_for(photo, folder=tmp_path, target=processes.resting)
    mattes = f"/app/photos/{page.open()['id']}/mattes"
    page.post(mattes, {"kind": "exact"})
    page.wait_for("matte")
    assert page.post("/app/pointer", {"down": True}).status == 200
    page.post(mattes, {"kind": "exact"})
    paused = page.wait_for("matte", number=2)["estimate"]["exact"]  # such a worker says how long it paused
    assert paused > HELD / 2
    assert page.post("/app/pointer", {"down": False}).status == 200
    page.post(mattes, {"kind": "exact"})
    assert page.wait_for("matte", number=3)["estimate"]["exact"] < paused / 2
    page.close()


def test_a_page_that_opens_the_photo_is_told_what_goes_on_and_how_it_ended(idle: Page) -> None:
    assert idle.open()["going"] == {"run": None, "proposing": None, "saving": None, "ended": []}
    idle.operate(1, "stroke", points=[[100, 100, 20]], label=255)
    run = idle.post(f"/app/photos/{idle.word}/mattes", {"kind": "exact"}).json["run"]
    idle.wait_for("progress", number=3)
    going = idle.open()["going"]
    assert (going["run"]["run"], going["run"]["kind"], going["proposing"]) == (run, "exact", None)
    assert going["run"]["share"] > 0
    proposal = idle.post(f"/app/photos/{idle.word}/proposals", {}).json["proposal"]
    failed = idle.wait_for("failed")  # the proposal takes the run's place
    going = idle.open()["going"]
    assert (going["run"], going["proposing"], going["ended"]) == (None, proposal, [failed])


def test_a_preview_that_waits_ends_when_the_exact_run_of_the_labels_is_asked_for_again(idle: Page) -> None:
    idle.operate(1, "stroke", points=[[100, 100, 20]], label=255)
    mattes = f"/app/photos/{idle.word}/mattes"
    run = idle.runs.matte(idle.word, "exact", then=lambda _: None)
    idle.wait_for("progress")
    preview = idle.post(mattes, {"kind": "preview", "box": [0, 0, 50, 50]}).json["run"]
    assert idle.post(mattes, {"kind": "exact"}).json["run"] == run
    assert [event["run"] for event in idle.told if event["type"] == "failed"] == [preview]
    assert idle.open()["going"]["run"]["run"] == run


def test_a_tab_that_left_the_photo_ends_its_run_unless_another_tab_paints_it(idle: Page) -> None:
    run = idle.post(f"/app/photos/{idle.word}/mattes", {"kind": "exact"}).json["run"]
    idle.wait_for("progress")
    idle.post(f"/app/photos/{idle.word}/close", {"tab": "one"})
    idle.open(tab="two")
    address = f"/app/photos/{idle.word}/mattes/{run}"
    assert idle.send("DELETE", address, {}).status == 403
    idle.post(f"/app/photos/{idle.word}/close", {"tab": "two"})
    assert idle.send("DELETE", address, {}).json == {"cancelled": True}


def test_the_runs_of_a_server_that_was_started_anew_have_other_numbers(idle: Page, photo: Path, tmp_path: Path) -> None:
    run = idle.post(f"/app/photos/{idle.word}/mattes", {"kind": "exact"}).json["run"]
    idle.close()
    page = page_for(photo, folder=tmp_path)
    page.open()
    assert page.post(f"/app/photos/{page.word}/mattes", {"kind": "exact"}).json["run"] > run
    page.close()


def test_a_matte_that_cannot_be_taken_is_told_to_have_failed(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_for(photo, folder=tmp_path, target=processes.quick)
    page.open()
    monkeypatch.setattr(Mattes, "keep", lambda *_, **__: 1 // 0)
    run = page.post(f"/app/photos/{page.word}/mattes", {"kind": "exact"}).json["run"]
    event = page.wait_for("failed")
    assert (event["run"], event["cancelled"]) == (run, False)
    assert "photo.png met a bug in matte: ZeroDivisionError" in event["error"]
    page.close()
