"""The photos of a batch's report on the page, and their approval."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from mattecli.batch.approved import Approvals
from mattecli.batch.journal import Journal
from mattecli.batch.kept import KeptAlphas
from mattecli.errors import InputError
from mattecli.server.batches import Batch
from mattecli.server.worker import serve
from tests.server.web import Page, page_for
from tests.support.pictures import noise

HEIGHT, WIDTH = 96, 128


class Made:
    """What a batch of photos left: photos, trimaps, alphas with their journal, and a report."""

    def __init__(self, root: Path, **scores: float) -> None:
        self.root, self.out = root, root / "out"
        self.lines: list[dict[str, Any]] = []
        self.out.mkdir()
        trimap = np.full((HEIGHT, WIDTH), 128, np.uint8)
        trimap[:20], trimap[-20:] = 0, 255
        for number, (name, score) in enumerate(scores.items()):
            alpha = np.where(trimap == 128, np.uint8(50 + number), trimap)
            for suffix, pixels in (("", noise(number, HEIGHT, WIDTH)), ("_trimap", trimap)):
                PIL.Image.fromarray(pixels).save(root / f"{name}{suffix}.png")
            journal = Journal(self.out)
            with self.alpha(name).open("wb") as file:
                PIL.Image.fromarray(alpha).save(file, "PNG")
                journal.add(self.alpha(name), file, recipe="r", inputs="i", facts={})
            journal.close()
            attention = {"score": score, "version": 1, "reasons": []}
            files = {"image": str(root / f"{name}.png"), "trimap": str(root / f"{name}_trimap.png")}
            output = {"output": str(self.alpha(name)), "product": "alpha", "precision": "fp32"}
            self.lines.append({"name": name, "status": "done", **files, **output, "attention": attention})
        self.trimap = trimap

    def alpha(self, name: str) -> Path:
        return self.out / f"{name}_alpha.png"

    def batch(self, number: int = 9) -> Batch:
        report = self.root / "run.jsonl"
        report.write_text("".join(json.dumps(line) + "\n" for line in self.lines), encoding="utf-8")
        return Batch(report, number)

    def approved(self, name: str) -> np.ndarray | None:
        """The approved alpha, as another process finds it."""
        approvals = Approvals(self.out, Journal(self.out))
        pair = self.root / f"{name}.png", self.root / f"{name}_trimap.png"
        found = approvals.load(*pair, size=(WIDTH, HEIGHT))
        return None if found is None else found.alpha


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path, mild=0.2, worst=0.9, bad=0.5)


@pytest.fixture
def batch(made: Made) -> Iterator[Batch]:
    batch = made.batch(2)
    yield batch
    batch.close()


@pytest.fixture
def page(batch: Batch, tmp_path: Path) -> Iterator[Page]:
    page = page_for(folder=tmp_path, batch=batch)
    yield page
    page.close()


def accept(page: Page) -> dict[str, Any]:
    answer = page.post(f"/app/photos/{page.word}/save", {"products": ["alpha"]})
    assert answer.status == 202, answer.body
    return page.wait_for("saved")


def test_the_photos_come_worst_first_each_with_the_trimap_and_the_alpha_of_the_batch(page: Page, made: Made) -> None:
    assert [photo["name"] for photo in page.get("/app/session").json["photos"]] == ["worst.png", "bad.png"]
    facts = page.open()
    assert (facts["painted"], facts["matte"]["kind"], facts["matte"]["sequence"]) == (1, "exact", 1)
    with page.sessions.using(page.word) as photo:
        assert np.array_equal(photo.snapshot()[0], made.trimap)
    run = facts["matte"]["run"]
    tile = page.get(f"/app/photos/{page.word}/tiles/alpha/0/0/0?revision={run}")
    alpha = np.asarray(PIL.Image.open(made.alpha("worst")))
    assert np.array_equal(np.frombuffer(tile.body, np.uint8).reshape(HEIGHT, WIDTH), alpha)


def test_what_is_accepted_unchanged_is_approved_with_the_values_that_were_there(page: Page, made: Made) -> None:
    before = np.asarray(PIL.Image.open(made.alpha("worst")))
    page.open()
    event = accept(page)
    assert (event["approved"], [file["name"] for file in event["files"]]) == (True, ["worst_alpha.png"])
    assert np.array_equal(np.asarray(PIL.Image.open(made.alpha("worst"))), before)
    alpha = made.approved("worst")
    assert alpha is not None
    assert np.abs(alpha * 255 - before).max() < 1e-4
    states = {photo["name"]: photo["state"] for photo in page.get("/app/session").json["photos"]}
    assert states == {"worst.png": "done", "bad.png": "untouched"}
    assert made.approved("bad") is None


def test_an_approved_photo_that_is_painted_on_is_not_done(page: Page) -> None:
    page.open()
    accept(page)
    page.operate(2, "stroke", points=[[64, 48, 10]], label=255)
    assert page.get("/app/session").json["photos"][0]["state"] == "started"


def test_a_photo_that_was_painted_is_approved_with_its_new_matte(made: Made, batch: Batch, tmp_path: Path) -> None:
    page = page_for(folder=tmp_path, batch=batch, target=serve)
    page.open()
    page.operate(2, "stroke", points=[[64, 48, 10]], label=255)
    accept(page)
    alpha = made.approved("worst")
    assert alpha is not None
    assert alpha[48, 64] == 1
    shown = np.asarray(PIL.Image.open(made.alpha("worst")))
    assert shown[48, 64] == 255
    assert np.abs(alpha * 255 - shown).max() <= 0.5001
    journal = Journal(made.out)
    record = journal.made(made.alpha("worst"))
    assert record is not None
    assert record.recipe == "approved"  # so that the next run makes all outputs anew
    page.close()


def test_a_page_that_is_opened_again_shows_the_approved_alpha_as_saved(page: Page, made: Made, tmp_path: Path) -> None:
    page.open()
    accept(page)
    again = made.batch(2)
    second = page_for(folder=tmp_path / "elsewhere", batch=again)  # also where nothing is known of the paint
    facts = second.open()
    assert facts["matte"]["sequence"] == facts["painted"] == 1
    page.close()
    second.close()
    third = page_for(folder=tmp_path, batch=again)
    facts = third.open()
    assert facts["matte"]["sequence"] == facts["painted"] == facts["saved"] == 1
    third.close()
    again.close()


def test_other_products_are_saved_as_ever_from_a_matte_that_is_made_here(
    batch: Batch, made: Made, tmp_path: Path
) -> None:
    (tmp_path / "saved").mkdir()
    page = page_for(folder=tmp_path, batch=batch, out=tmp_path / "saved")
    page.open()
    answer = page.post(f"/app/photos/{page.word}/save", {"products": ["trimap"]})
    assert answer.status == 202
    assert page.wait_for("saved")["approved"] is False
    assert (tmp_path / "saved" / "worst_trimap.png").is_file()
    assert made.approved("worst") is None
    page.post(f"/app/photos/{page.word}/save", {"products": ["cutout"]})
    assert page.wait_for("progress")["run"] > 1  # the alpha of a file has 8 bits only
    page.close()


def test_a_kept_alpha_is_the_start_before_the_files_of_the_batch(made: Made, tmp_path: Path) -> None:
    trimap = np.full((HEIGHT, WIDTH), 128, np.uint8)
    alpha = np.full((HEIGHT, WIDTH), 1 / 3, np.float32)
    KeptAlphas(made.out).save("key", alpha, trimap, facts={})
    made.lines[1] |= {"kept": "key", "finished": True}
    batch = made.batch(1)
    page = page_for(folder=tmp_path, batch=batch)
    page.open()
    before = made.alpha("worst").read_bytes()
    assert accept(page)["files"] == []  # the batch has finished the alpha, and its next run does so anew
    assert made.alpha("worst").read_bytes() == before
    assert np.array_equal(made.approved("worst"), alpha)
    page.close()
    batch.close()


def test_an_alpha_that_someone_changed_is_not_replaced(page: Page, made: Made) -> None:
    page.open()
    made.alpha("worst").write_bytes(b"someone's work")
    answer = page.post(f"/app/photos/{page.word}/save", {"products": ["alpha"]})
    assert answer.status == 400
    assert "worst_alpha.png was changed since the batch made it" in answer.error
    assert made.approved("worst") is None


def test_a_photo_that_changed_while_its_matte_was_made_is_not_approved(
    page: Page, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.open()
    begun: list[Any] = []
    with page.sessions.using(page.word) as photo:
        exact = photo.mattes.exact
    page.operate(2, "stroke", points=[[64, 48, 10]], label=255)
    monkeypatch.setattr(page.runs, "matte", lambda *_, then, **__: begun.append(then))
    assert page.post(f"/app/photos/{page.word}/save", {"products": ["alpha"]}).status == 202
    PIL.Image.fromarray(noise(7, HEIGHT, WIDTH)).save(made.root / "worst.png")
    begun[0](exact)
    end = time.monotonic() + 60
    while not any(event["type"] in ("saved", "failed") for event in page.told):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert made.approved("worst") is None
    assert "worst.png changed on the disk" in page.told[-1]["error"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"output": "/gone/w.png"}, "outputs of worst.png are gone"), ({"alpha": "a"}, "given")],
)
def test_what_cannot_be_approved_is_a_sentence(
    made: Made, tmp_path: Path, change: dict[str, str], sentence: str
) -> None:
    made.lines[1] |= change
    batch = made.batch(1)
    page = page_for(folder=tmp_path, batch=batch)
    page.open()
    answer = page.post(f"/app/photos/{page.word}/save", {"products": ["alpha"]})
    assert answer.status == 400
    assert sentence in answer.error
    page.close()
    batch.close()


def test_a_report_without_such_photos_is_refused(made: Made) -> None:
    made.lines = [{**line, "attention": {"score": 0, "version": 1, "reasons": []}} for line in made.lines]
    with pytest.raises(InputError, match="no photo that needs a hand"):
        made.batch()


def test_paint_goes_on_where_it_was_though_a_later_run_of_the_batch_had_another_trimap(
    page: Page, made: Made, tmp_path: Path
) -> None:
    assert page.open()["sequence"] == 1
    page.operate(2, "stroke", points=[[60, 50, 9]], label=255)
    page.close()
    PIL.Image.fromarray(np.full((HEIGHT, WIDTH), 128, np.uint8)).save(made.root / "worst_trimap.png")
    batch = made.batch(2)
    again = page_for(folder=tmp_path, batch=batch)
    facts = again.open()
    assert (facts["sequence"], facts["matte"]) == (2, None), "nothing is laid, and the alpha is of another trimap"
    again.close()
    batch.close()


def test_a_photo_that_was_painted_before_its_batch_keeps_its_paint(made: Made, batch: Batch, tmp_path: Path) -> None:
    page = page_for(made.root / "worst.png", folder=tmp_path)
    page.open()
    page.operate(1, "stroke", points=[[60, 50, 9]], label=255)
    page.close()
    page = page_for(folder=tmp_path, batch=batch)
    facts = page.open()
    assert (facts["sequence"], facts["matte"]) == (1, None)
    page.close()
