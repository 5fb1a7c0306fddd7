from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from mattecli.batch.report import Run
from mattecli.errors import InputError
from mattecli.imaging.colour import linear
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.write import write_image
from mattecli.pages import report as page_module
from mattecli.pages.report import write_report_page
from tests.support.batches import SIDE, write_photo, write_trimap
from tests.support.page import Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
SUMMARY = {"seconds": 75.0, "interrupted": False}


def line(root: Path, name: str, *, number: int = 0, **facts: Any) -> dict[str, Any]:
    """A photo with its trimap and alpha, and its line."""
    alpha = np.tile(np.linspace(0, 255, SIDE, dtype=np.uint8), (SIDE, 1))
    write_photo(root / name, number=number)
    write_trimap(root / f"t-{name}")
    write_image(root / f"a-{name}", Image(alpha), overwrite=True)
    files = {"image": root / name, "trimap": root / f"t-{name}", "output": root / f"a-{name}"}
    figures = {"width": SIDE, "height": SIDE, "unknown": 0.375, "seconds": 1.0, "tile": "off"}
    made_by = {"device": "cpu", "weights": {"name": "net", "sha256": "0" * 64}}
    paths = {key: str(path) for key, path in files.items()}
    return {"name": name, "status": "done", **paths, **figures, **made_by, **facts}


def failed(name: str, reason: str) -> dict[str, Any]:
    return {"name": name, "image": f"/in/{name}", "status": "failed", "reason": reason}


def page_of(tmp_path: Path, run: Run, **options: Any) -> str:
    target = tmp_path / "page.html"
    write_report_page(target, run, title="Cats & <dogs>", overwrite=True, **options)
    return target.read_text(encoding="utf-8")


def test_the_page_is_one_file_with_failures_first(tmp_path: Path) -> None:
    lines = [line(tmp_path, "a.png"), failed("<b>.png", "it's <gone> & lost"), line(tmp_path, "b.png", number=3)]
    text = page_of(tmp_path, Run(lines, SUMMARY))
    page = Page(text)
    assert (page.open, page.loads) == ([], [])
    urls = re.findall(r"url\(([^)]*)\)", text)
    assert len(urls) == 2 * 4
    for url in urls:
        head, _, data = url.partition(",")
        assert head == "data:image/webp;base64"
        assert PIL.Image.open(io.BytesIO(base64.b64decode(data))).size == (SIDE, SIDE)
    assert text.index("it&#39;s &lt;gone&gt; &amp; lost") < text.index("<article")
    assert "Failed (1) <b>.png it's <gone> & lost" in page.text
    assert page.title == "Cats & <dogs>"
    assert "1 min 15 s" in page.text


def test_each_photo_has_its_pictures_and_figures(tmp_path: Path) -> None:
    page = Page(page_of(tmp_path, Run([line(tmp_path, "a.png", tile=512, note="odd trimap")], SUMMARY)))
    for name in ("photo", "trimap", "alpha", "cut-out"):
        assert f"{name} of a.png" in page.labels
    assert "before and after, a.png" in page.labels
    assert "a.png size 32×32 unknown 37.5% time 1.00 s tile 512 odd trimap" in page.text


def test_one_photo_cannot_be_sorted_and_two_can(tmp_path: Path) -> None:
    lines = [line(tmp_path, "a.png"), line(tmp_path, "b.png")]
    assert "Sort by" not in Page(page_of(tmp_path, Run(lines[:1], SUMMARY))).text
    assert "Sort by attention time unknown share name" in Page(page_of(tmp_path, Run(lines, SUMMARY))).text


def test_a_cutout_or_composite_is_shown_if_there_is_no_alpha(tmp_path: Path) -> None:
    rgba = np.full((SIDE, SIDE, 4), 200, np.uint8)
    rgba[:, : SIDE // 2, 3] = 0
    write_image(tmp_path / "cut.png", Image(rgba))
    write_photo(tmp_path / "composite.png", number=5)
    text = page_of(tmp_path, Run([line(tmp_path, "a.png", output={"cutout": str(tmp_path / "cut.png")})]))
    assert "alpha of a.png" in Page(text).labels
    labels = Page(page_of(tmp_path, Run([line(tmp_path, "a.png", output=str(tmp_path / "composite.png"))]))).labels
    assert "result of a.png" in labels
    assert "alpha of a.png" not in labels


def test_a_grey_composite_under_a_name_of_its_own_is_no_alpha(tmp_path: Path) -> None:
    write_image(tmp_path / "grey.png", Image(np.full((SIDE, SIDE, 3), 90, np.uint8)))
    files = {"web": str(tmp_path / "grey.png")}
    labels = Page(page_of(tmp_path, Run([line(tmp_path, "a.png", output=files, kinds={"web": "composite"})]))).labels
    assert "result of a.png" in labels
    assert "alpha of a.png" not in labels


def test_an_alpha_under_a_name_of_its_own_is_shown(tmp_path: Path) -> None:
    made = line(tmp_path, "a.png", number=2)
    write_photo(tmp_path / "red.png", number=5)
    made["output"] = {"red": str(tmp_path / "red.png"), "matte": made["output"]}
    made["kinds"] = {"red": "composite", "matte": "alpha"}
    assert "alpha of a.png" in Page(page_of(tmp_path, Run([made]))).labels


def test_a_missing_file_is_named_and_the_other_photos_keep_their_pictures(tmp_path: Path) -> None:
    lines = [line(tmp_path, "a.png"), line(tmp_path, "b.png")]
    (tmp_path / "a-a.png").unlink()
    page = Page(page_of(tmp_path, Run(lines, SUMMARY)))
    assert re.search(r"No pictures: .*a-a.png does not exist", page.text)
    assert "photo of a.png" not in page.labels
    assert "alpha of b.png" in page.labels


def test_an_output_of_another_size_is_named(tmp_path: Path) -> None:
    made = line(tmp_path, "a.png")
    write_image(tmp_path / "a-a.png", Image(np.zeros((SIDE, SIDE // 2), np.uint8)), overwrite=True)
    assert "a.png and its output differ in size; run the batch again" in Page(page_of(tmp_path, Run([made]))).text


@pytest.mark.parametrize(("size", "delivered"), [((30, 23), (12, 9)), ((800, 535), (500, 334))])
def test_a_delivery_of_a_smaller_size_is_shown(
    tmp_path: Path, size: tuple[int, int], delivered: tuple[int, int]
) -> None:
    width, height = size
    made = line(tmp_path, "a.png", width=width, height=height)
    write_image(tmp_path / "a.png", Image(np.full((height, width, 3), 90, np.uint8)), overwrite=True)
    write_trimap(tmp_path / "t-a.png", width=width, height=height)
    rgba = np.full((delivered[1], delivered[0], 4), 200, np.uint8)
    rgba[:, : delivered[0] // 2, 3] = 0
    write_image(tmp_path / "web.png", Image(rgba))
    made |= {"output": {"web": str(tmp_path / "web.png")}, "kinds": {"web": "cutout"}}
    page = Page(page_of(tmp_path, Run([made])))
    assert {"alpha of a.png", "cut-out of a.png"} <= set(page.labels), page.text
    assert "differ in size" not in page.text


@dataclass(frozen=True, kw_only=True)
class Strict(ReadOptions):
    """Reads small pictures only."""

    max_pixels: int = 100


def test_a_photo_above_the_usual_limit_is_shown_as_the_batch_has_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "ReadOptions", Strict)
    page = Page(page_of(tmp_path, Run([line(tmp_path, "a.png")], SUMMARY)))
    for name in ("photo", "trimap", "alpha", "cut-out"):
        assert f"{name} of a.png" in page.labels


def test_only_the_slowest_have_pictures_and_the_others_a_row(tmp_path: Path) -> None:
    lines = [line(tmp_path, f"{n}.png", seconds=float(n)) for n in range(4)]
    page = Page(page_of(tmp_path, Run(lines, SUMMARY), shown=2))
    assert [label for label in page.labels if label.startswith("photo")] == ["photo of 3.png", "photo of 2.png"]
    _, _, rest = page.text.partition("The other 2 photos")
    assert rest.index("1.png size 32×32, unknown 37.5%, time 1.00 s") < rest.index("0.png size 32×32")


def test_a_run_that_was_stopped_is_named_so(tmp_path: Path) -> None:
    stopped = "The run was stopped before its end"
    lines = [line(tmp_path, "a.png")]
    assert stopped in page_of(tmp_path, Run(lines))
    assert stopped in page_of(tmp_path, Run(lines, {"seconds": 1.0, "interrupted": True}))
    assert stopped not in page_of(tmp_path, Run(lines, SUMMARY))


def test_names_that_are_not_text_do_not_break_the_page(tmp_path: Path) -> None:
    assert "raw\\udcff.png" in page_of(tmp_path, Run([failed("raw\udcff.png", "why")], SUMMARY))


def test_a_page_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write_report_page(tmp_path / "page.html", Run([], SUMMARY), title="x")


def test_a_page_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    page, run = tmp_path / "page.html", Run([line(tmp_path, "a.png")], SUMMARY)

    def appear() -> None:
        page.write_text("theirs")

    with pytest.raises(InputError, match="exists already"):
        write_report_page(page, run, title="x", on_done=appear)
    assert page.read_text() == "theirs"


SCRIPT = """<script>
const names = () => [...document.querySelectorAll("#photos article")].map((a) => a.dataset.name).join(",");
const said = [names()];
for (const key of ["unknown", "name", "seconds"]) {
  document.querySelector(`[data-key=${key}]`).click();
  said.push(names());
}
const slider = document.querySelector(".compare input");
slider.value = 80;
slider.dispatchEvent(new Event("input"));
said.push(getComputedStyle(slider.parentNode.querySelector(".cutout")).clipPath);
const pictures = [...document.querySelectorAll(".strip figure > .picture:not(.compare)")];
for (const article of document.querySelectorAll("article")) article.style.contentVisibility = "visible";
const shown = pictures.filter((p) => p.clientHeight > 20 && getComputedStyle(p).backgroundImage.includes("data:image"));
document.title = [...said, shown.length, document.documentElement.scrollWidth <= innerWidth].join(";");
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed to look at the page")
def test_a_browser_sorts_slides_and_draws_from_the_file_system(tmp_path: Path) -> None:
    lines = [
        line(tmp_path, "p10.png", seconds=3.0, unknown=0.1),
        line(tmp_path, "p9.png", seconds=2.0, unknown=0.3, number=2),
        line(tmp_path, "p1.png", seconds=1.0, unknown=0.2, number=4),
        failed("a" * 200 + ".png", "b" * 300),
    ]
    text = page_of(tmp_path, Run(lines, SUMMARY))
    (tmp_path / "tried.html").write_text(text.replace("</html>", SCRIPT + "</html>"), encoding="utf-8")
    switches = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    switches += ["--window-size=500,900", "--dump-dom"]
    done = subprocess.run(
        [str(CHROMIUM), *switches, (tmp_path / "tried.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    assert title[1].split(";") == [
        "p10.png,p9.png,p1.png",
        "p9.png,p1.png,p10.png",
        "p1.png,p9.png,p10.png",
        "p10.png,p9.png,p1.png",
        "inset(0px 0px 0px 80%)",
        "12",
        "true",
    ]


def test_photos_that_need_a_look_come_first_with_their_reasons(tmp_path: Path) -> None:
    lines = [line(tmp_path, f"{n}.png", seconds=float(n)) for n in range(4)]
    for n, score in ((1, 0.9), (2, 0.4)):
        reasons = [
            {"what": "border", "amount": 0.12, "box": [0, 0, 4, 4]},
            {"what": "grey", "amount": 0.034, "box": None},
        ]
        lines[n]["attention"] = {"score": score, "version": 1, "reasons": reasons}
    text = page_of(tmp_path, Run(lines, SUMMARY), shown=3)
    page = Page(text)
    shown = [label for label in page.labels if label.startswith("photo of")]
    assert shown == ["photo of 1.png", "photo of 2.png", "photo of 3.png"]
    assert "Look: the band cuts the edge on 12% of its length; grey lies far from the edge, 3.4%" in page.text
    assert "90%" in page.text
    assert 'data-key="attention" aria-pressed="true"' in text


def test_a_subject_on_a_canvas_of_its_own_is_shown_whole(tmp_path: Path) -> None:
    made = line(tmp_path, "a.png", placed=True)
    write_image(tmp_path / "a-a.png", Image(np.zeros((SIDE, SIDE // 2), np.uint8)), overwrite=True)
    page = Page(page_of(tmp_path, Run([made])))
    assert "result of a.png" in page.labels
    assert "differ in size" not in page.text


def test_a_photo_whose_trimap_was_made_of_it_alone_has_its_pictures(tmp_path: Path) -> None:
    made = line(tmp_path, "a.png")
    del made["trimap"]
    labels = Page(page_of(tmp_path, Run([made], SUMMARY))).labels
    assert {"photo of a.png", "alpha of a.png"} <= set(labels)
    assert "trimap of a.png" not in labels


def test_a_grey_composite_is_not_taken_for_an_alpha(tmp_path: Path) -> None:
    write_image(tmp_path / "grey.png", Image(np.full((SIDE, SIDE), 90, np.uint8)))
    for output in ({"composite": str(tmp_path / "grey.png")}, str(tmp_path / "grey.png")):
        labels = Page(page_of(tmp_path, Run([line(tmp_path, "a.png", output=output, product="composite")]))).labels
        assert "result of a.png" in labels
        assert "alpha of a.png" not in labels


def test_a_plate_is_shown_in_srgb_and_read_as_the_run_read_it(tmp_path: Path) -> None:
    made = line(tmp_path, "a.png")
    write_image(tmp_path / "p.exr", Image(np.full((SIDE, SIDE, 3), 0.2, np.float32), linear().icc))
    text = page_of(tmp_path, Run([{**made, "image": str(tmp_path / "p.exr")}]))
    data = re.findall(r"url\(data:image/webp;base64,([^)]*)\)", text)[0]
    shown = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    assert abs(int(shown[5, 5, 0]) - 124) <= 3  # 0.2 of light
    assert "No pictures" in Page(page_of(tmp_path, Run([{**made, "layer": "hair"}]))).text


def test_a_time_is_rounded_before_it_is_split(tmp_path: Path) -> None:
    text = Page(page_of(tmp_path, Run([line(tmp_path, "a.png", seconds=119.7)], SUMMARY))).text
    assert "2 min 0 s" in text
