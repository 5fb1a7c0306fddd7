"""The page: in one file, failures first, then the worst."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mattecli.errors import InputError
from mattecli.evaluation.evaluate import Evaluation, Failed, Pictures, Scored
from mattecli.evaluation.metrics import Scores
from mattecli.pages import evaluation as evaluation_page
from mattecli.pages.evaluation import EvaluationPage, difference
from mattecli.pages.page import check_page


def _scored(name: str, sad: float) -> Scored:
    return Scored(name, Scores(sad, sad / 100, sad * 2, sad * 3))


def _pictures(value: int = 90, size: tuple[int, int] = (30, 40)) -> Pictures:
    trimap = np.full(size, 128, np.uint8)
    trimap[:5] = 0
    photo = np.full((*size, 3), (200, 30, 60), np.uint8)
    return Pictures(np.full(size, value, np.uint8), np.full(size, 50, np.uint8), trimap, photo)


def _page(tmp_path: Path, evaluation: Evaluation, pictures: Pictures | None = None) -> str:
    page = EvaluationPage()
    for image in evaluation.images:
        page.add(image, pictures or _pictures())
    page.write(tmp_path / "page.html", evaluation, title="Mattes <of> cats", facts={"Truth": "a & b"})
    return (tmp_path / "page.html").read_text(encoding="utf-8")


class _Checker(HTMLParser):
    """Collects what an HTML file loads, and sees that what opens also closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.loads += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    text = _page(tmp_path, Evaluation((_scored("a", 1), _scored("b", 2)), (Failed("c", "x"),)))
    checker = _Checker()
    checker.feed(text)
    assert not checker.open
    assert len(checker.loads) == 10
    assert all(load.startswith("data:image/webp;base64,") for load in checker.loads)
    assert "url(" not in text
    assert "http" not in text


def test_failures_stand_on_top_and_the_worst_image_first(tmp_path: Path) -> None:
    images = tuple(_scored(name, sad) for name, sad in [("cat", 2), ("dog", 9), ("eel", 5)])
    text = _page(tmp_path, Evaluation(images, (Failed("bat", "bat.png is <broken>"),)))
    places = [text.index(word) for word in ("bat.png is &lt;broken&gt;", "</i>dog", "</i>eel", "</i>cat")]
    assert places == sorted(places)


def test_a_mean_without_the_failed_images_says_so(tmp_path: Path) -> None:
    images = (_scored("cat", 2), _scored("dog", 3))
    assert "Mean of all 2 images" in _page(tmp_path, Evaluation(images))
    (tmp_path / "page.html").unlink()
    text = _page(tmp_path, Evaluation(images, (Failed("bat", "missing"),)))
    assert "Mean of all" not in text
    assert "Mean of the 2 images with a score, <strong>not</strong> of all 3" in text
    assert "<b>2.500</b><span>SAD</span>" in text


def test_names_and_facts_are_escaped(tmp_path: Path) -> None:
    text = _page(tmp_path, Evaluation((_scored("<script>", 1),)))
    assert "<script>" not in text
    assert "Mattes &lt;of&gt; cats" in text
    assert "a &amp; b" in text


def test_mattes_are_shown_without_loss_and_large_ones_reduced(tmp_path: Path) -> None:
    def shown(pictures: Pictures, caption: str) -> PIL.Image.Image:
        (tmp_path / "page.html").unlink(missing_ok=True)
        text = _page(tmp_path, Evaluation((_scored("a", 1),)), pictures)
        match = re.search(rf'base64,([^"]+)" alt="{caption} of a"', text)
        assert match is not None
        return PIL.Image.open(io.BytesIO(base64.b64decode(match[1])))

    pictures = _pictures()
    gradient = np.tile(np.arange(0, 240, 6, dtype=np.uint8), (30, 1))
    small = shown(Pictures(gradient, pictures.truth, pictures.trimap, None), "prediction")
    np.testing.assert_array_equal(np.asarray(small)[..., 0], gradient)
    assert shown(_pictures(size=(1500, 1000)), "photo").size == (267, 400)


def test_only_the_worst_images_have_pictures_in_a_large_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_page, "SHOWN", 3)
    images = tuple(_scored(f"picture{sad}", sad) for sad in [4, 1, 6, 2, 5, 3])
    text = _page(tmp_path, Evaluation(images))
    assert text.count("<article>") == 3
    assert all(f"prediction of picture{sad}" in text for sad in (6, 5, 4))
    assert "The other 3 images" in text
    rest = text[text.index("The other 3") :]
    assert [f"<th>picture{sad}</th>" in rest for sad in range(1, 7)] == [True] * 3 + [False] * 3


def test_the_difference_shows_which_way_the_prediction_errs() -> None:
    prediction = np.array([[255, 0, 100, 100, 255]], np.uint8)
    truth = np.array([[0, 255, 100, 164, 0]], np.uint8)
    trimap = np.array([[128, 128, 128, 128, 0]], np.uint8)
    opaque, clear, none, half, known = difference(prediction, truth, trimap)[0].astype(int)
    assert tuple(opaque) == (200, 30, 45)
    assert tuple(clear) == (25, 90, 200)
    assert tuple(none) == (255, 255, 255)
    assert (half > clear).all()
    assert half[2] > half[0]  # pale blue
    assert tuple(known) == (226, 228, 232)


def test_a_page_in_the_way_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_text("mine")
    evaluation = Evaluation((_scored("a", 1),))
    with pytest.raises(InputError, match=r"page\.html exists already"):
        EvaluationPage().write(target, evaluation, title="", facts={})
    assert target.read_text() == "mine"
    EvaluationPage().write(target, evaluation, title="", facts={}, overwrite=True)
    assert target.read_text().startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_page_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / "nowhere" / "page.html"):
        with pytest.raises(InputError, match=re.escape(str(target))):
            EvaluationPage().write(target, Evaluation(()), title="", facts={})


def test_a_page_ends_in_html_and_replaces_no_input(tmp_path: Path) -> None:
    for name in ("x.png", "-", "page"):
        with pytest.raises(InputError, match=rf"{name} does not end in \.html, as a page must; name another file"):
            check_page(tmp_path / name, overwrite=True)
    (tmp_path / "x.png").touch()
    (tmp_path / "page.html").symlink_to(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"page\.html is an input of this run and is never written to"):
        check_page(tmp_path / "page.html", overwrite=True, inputs=[tmp_path / "x.png"])
    check_page(tmp_path / "new.HTM", overwrite=False, inputs=[tmp_path / "x.png"])


def test_a_page_without_any_score_still_names_the_failures(tmp_path: Path) -> None:
    text = _page(tmp_path, Evaluation((), (Failed("cat", "no prediction"),)))
    assert "No image has a score" in text
    assert "no prediction" in text
