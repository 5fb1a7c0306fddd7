from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mattecli.errors import InputError
from mattecli.evaluation.evaluate import Evaluation, Pictures, Scored, Unscored
from mattecli.evaluation.metrics import Scores
from mattecli.pages import evaluation as evaluation_page
from mattecli.pages.evaluation import EvaluationPage, difference
from mattecli.pages.page import check_page
from tests.support.page import Page


def _scored(name: str, sad: float) -> Scored:
    return Scored(name, Scores(sad, sad / 100, sad * 2, sad * 3))


def _pictures(value: int = 90, size: tuple[int, int] = (30, 40)) -> Pictures:
    trimap = np.full(size, 128, np.uint8)
    trimap[:5] = 0
    photo = np.full((*size, 3), (200, 30, 60), np.uint8)
    return Pictures(np.full(size, value, np.uint8), np.full(size, 50, np.uint8), trimap, photo)


def _page(
    tmp_path: Path, evaluation: Evaluation, pictures: Pictures | None = None, *, shown: int = evaluation_page.SHOWN
) -> str:
    page = EvaluationPage(shown=shown)
    for image in evaluation.images:
        page.add(image, pictures or _pictures())
    page.write(tmp_path / "page.html", evaluation, title="Mattes <of> cats", facts={"Truth": "a & b"})
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    text = _page(tmp_path, Evaluation((_scored("a", 1), _scored("b", 2)), (Unscored("c", "x"),)))
    page = Page(text)
    assert not page.open
    assert len(page.loads) == 10
    assert all(load.startswith("data:image/webp;base64,") for load in page.loads)
    assert "url(" not in text
    assert "http" not in text


def test_failures_stand_on_top_and_the_worst_image_first(tmp_path: Path) -> None:
    images = tuple(_scored(name, sad) for name, sad in [("cat", 2), ("dog", 9), ("eel", 5)])
    text = Page(_page(tmp_path, Evaluation(images, (Unscored("bat", "bat.png is <broken>"),)))).text
    places = [text.index(word) for word in ("Failed (1)", "bat.png is <broken>", "1 dog", "2 eel", "3 cat")]
    assert places == sorted(places)


def test_a_mean_without_the_failed_images_says_so(tmp_path: Path) -> None:
    images = (_scored("cat", 2), _scored("dog", 3))
    assert "Mean of all 2 images" in Page(_page(tmp_path, Evaluation(images))).text
    (tmp_path / "page.html").unlink()
    text = Page(_page(tmp_path, Evaluation(images, (Unscored("bat", "missing"),)))).text
    assert "Mean of all" not in text
    assert "Mean of the 2 images with a score, not of all 3: 1 failed" in text
    assert "2.500 SAD" in text


def test_names_and_facts_are_escaped(tmp_path: Path) -> None:
    text = _page(tmp_path, Evaluation((_scored("<script>", 1),)))
    page = Page(text)
    assert "<script>" not in text
    assert "1 <script>" in page.text
    assert "photo of <script>" in page.labels
    assert page.title == "Mattes <of> cats"
    assert "Mattes <of> cats Truth a & b" in page.text


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


def test_only_the_worst_images_have_pictures_in_a_large_set(tmp_path: Path) -> None:
    images = tuple(_scored(f"picture{sad}", sad) for sad in [4, 1, 6, 2, 5, 3])
    page = Page(_page(tmp_path, Evaluation(images), shown=3))
    assert [name for name in page.labels if name.startswith("prediction")] == [
        "prediction of picture6",
        "prediction of picture5",
        "prediction of picture4",
    ]
    _, _, rest = page.text.partition("The other 3 images")
    places = [
        rest.index(row) for row in ("Image SAD MSE Grad Conn", "picture3 3.000", "picture2 2.000", "picture1 1.000")
    ]
    assert places == sorted(places)
    assert "picture4" not in rest


def test_the_difference_shows_which_way_the_prediction_errs() -> None:
    prediction = np.array([[255, 0, 100, 100, 255]], np.uint8)
    truth = np.array([[0, 255, 100, 164, 0]], np.uint8)
    trimap = np.array([[128, 128, 128, 128, 0]], np.uint8)
    opaque, transparent, none, half, known = difference(prediction, truth, trimap)[0].astype(int)
    assert tuple(opaque) == (200, 30, 45)
    assert tuple(transparent) == (25, 90, 200)
    assert tuple(none) == (255, 255, 255)
    assert (half > transparent).all()
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


def test_a_page_ends_in_html_and_does_not_replace_an_input(tmp_path: Path) -> None:
    for name in ("x.png", "-", "page"):
        with pytest.raises(InputError, match=rf"{name} does not end in \.html, as a page must; name another file"):
            check_page(tmp_path / name, overwrite=True)
    (tmp_path / "x.png").touch()
    (tmp_path / "page.html").symlink_to(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"page\.html is an input of this run and is never written to"):
        check_page(tmp_path / "page.html", overwrite=True, inputs=[tmp_path / "x.png"])
    check_page(tmp_path / "new.HTM", overwrite=False, inputs=[tmp_path / "x.png"])


def test_a_page_without_any_score_still_names_the_failures(tmp_path: Path) -> None:
    text = Page(_page(tmp_path, Evaluation((), (Unscored("cat", "no prediction"),)))).text
    assert "No image has a score" in text
    assert "no prediction" in text
