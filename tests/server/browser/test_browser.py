"""The page in a real browser, on a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.server.browser.conftest import HEIGHT, WIDTH
from tests.server.browser.page import Page, stroke_margin

Opened = Callable[..., Page]


def strokes_at(page: Page, scale: float, size: int) -> None:
    """Draw a bent stroke at a scale, and compare the server's labels with the distance to it."""
    page.zoom_to(scale)
    assert page.transform[0] == pytest.approx(scale, rel=0.01)
    before = page.labels(HEIGHT, WIDTH)
    assert not (before == 255).any()
    x, y = page.middle()
    heard = page.stroke([(x - 41, y - 23.5), (x + 37.25, y + 11.75), (x + 8.5, y + 45)])
    page.sent()
    margin = stroke_margin(page.on_picture(heard), size / 2, HEIGHT, WIDTH)
    painted, expected = page.labels(HEIGHT, WIDTH) == 255, margin <= 0
    assert expected.sum() > 10
    assert np.abs(margin[painted != expected]).max(initial=0) < 1e-3
    centres = [np.argwhere(mask).mean(axis=0) for mask in (painted, expected)]
    assert np.abs(centres[0] - centres[1]).max() < 0.02
    page.press("Control+z")
    page.sent()
    assert np.array_equal(page.labels(HEIGHT, WIDTH), before), "undo gives back what was there"


@pytest.mark.parametrize("ratio", [1, 1.25, 2])
def test_strokes_paint_exactly_the_pixels_under_the_pointer(opened: Opened, ratio: float) -> None:
    page = opened(ratio=ratio)
    page.press("f")
    drawn = page.tab.evaluate("[picture.width, picture.getBoundingClientRect().width]")
    assert drawn[0] == pytest.approx(drawn[1] * ratio, abs=1), "the canvas has the screen's own pixels"
    sizes = {0.137: 60, 1: 23, 3.7: 9, 32: 3}
    for scale, size in sizes.items():
        set_size(page, size)
        strokes_at(page, scale, size)
        page.tab.set_viewport_size({"width": 1280 - size, "height": 800 - 2 * size})
        page.rest()


def set_size(page: Page, size: int) -> None:
    """Type the size of the brush."""
    page.tab.get_by_label("Size of the brush").fill(str(size))
    page.press("Enter", "Tab")
    page.tab.locator("#picture").focus()


def test_the_pixels_of_a_stroke_never_change_back_before_it_is_confirmed(opened: Opened) -> None:
    page = opened()
    page.press("f", "1")
    page.rest()

    def late(route: Any) -> None:
        page.rest(300)
        route.continue_()

    page.tab.route("**/operations", late)
    x, y = page.middle()
    left, top = page.corner()
    page.tab.evaluate(_WATCH, [x - left, y - top])
    page.stroke([(x - 60, y), (x + 60, y)])
    page.rest(900)
    colours = page.tab.evaluate("window.seen")
    changes = [colour for colour, before in zip(colours[1:], colours, strict=False) if colour != before]
    assert len(colours) > 20
    assert len(changes) == 1, "the stroke appears once, and nothing else happens to its pixels"
    page.tab.unroute("**/operations")
    page.press("Control+z")
    page.sent()


_WATCH = """([x, y]) => {
  window.seen = [];
  const context = document.querySelector("#picture").getContext("2d");
  const look = () => {
    window.seen.push([...context.getImageData(x, y, 1, 1).data].join());
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""


def test_strokes_without_a_server_are_shown_counted_and_sent_later(opened: Opened) -> None:
    page = opened()
    before = page.labels(HEIGHT, WIDTH)
    page.press("f")
    x, y = page.middle()
    page.tab.context.set_offline(True)
    for shift in (0, 60):
        page.stroke([(x - 40, y + shift), (x + 40, y + shift)])
    page.wait_for("2 unsent")
    page.tab.context.set_offline(False)
    page.sent()
    page.wait_for("Painted")
    assert (page.labels(HEIGHT, WIDTH) == 255).sum() > (before == 255).sum()
    page.press("Control+z", "Control+z")
    page.sent()
    assert np.array_equal(page.labels(HEIGHT, WIDTH), before)


def test_a_reload_keeps_everything(opened: Opened) -> None:
    page = opened()
    page.press("b")
    x, y = page.middle()
    page.stroke([(x - 40, y), (x + 40, y)])
    draw_along_the_disc(page)
    labels, status = page.labels(HEIGHT, WIDTH), page.status
    page.tab.reload()
    page.ready()
    assert np.array_equal(page.labels(HEIGHT, WIDTH), labels)
    assert page.status == status
    page.press("Control+z")
    page.sent()
    assert not np.array_equal(page.labels(HEIGHT, WIDTH), labels)


def draw_along_the_disc(page: Page) -> None:
    """Draw beside the disc's edge with the edge brush: the unknown band lies on the edge, which is 414 pixels away."""
    arc = [(1010 + 414 * np.cos(a), 760 + 414 * np.sin(a)) for a in np.linspace(-0.8, 0.8, 9)]
    set_size(page, 200)
    page.stroke(page.in_window(arc))
    page.sent()
    before = page.labels(HEIGHT, WIDTH)
    page.press("c")
    set_size(page, 80)
    angles = np.linspace(-0.6, 0.6, 13)
    away = 414 + 20 * np.cos(7 * angles)
    page.stroke(
        page.in_window([(1010 + r * np.cos(a), 760 + r * np.sin(a)) for a, r in zip(angles, away, strict=True)])
    )
    page.sent()
    rows, columns = np.nonzero((page.labels(HEIGHT, WIDTH) == 128) & (before != 128))
    found = np.hypot(rows - 760, columns - 1010)
    assert len(found) > 10_000
    assert np.abs(found - 414).max() < 40 / 2 + 6
    assert abs(found.mean() - 414) < 2


def test_a_second_tab_is_read_only(opened: Opened) -> None:
    first = opened()
    second = opened()
    assert "read-only" not in first.status
    assert "read-only" in second.status
    second.press("f")
    x, y = second.middle()
    before = second.labels(HEIGHT, WIDTH)
    second.stroke([(x, y), (x + 30, y)])
    second.rest()
    assert np.array_equal(second.labels(HEIGHT, WIDTH), before)
    second.tab.get_by_role("button", name="Take over").click()
    first.until("document.querySelector('#toast').textContent.includes('Another tab has taken over')")
    second.until("!document.querySelector('#status').textContent.includes('read-only')")
    second.stroke([(x, y), (x + 30, y)])
    second.sent()
    assert not np.array_equal(second.labels(HEIGHT, WIDTH), before)
    second.press("Control+z")
    second.sent()
    assert "read-only" in first.status
    with first.tab.context.expect_page() as opening:
        first.tab.evaluate("window.open(location.href)")  # it has the first one's session, as a duplicated tab has
    third = opening.value
    third.wait_for_selector("text=read-only")
    assert third.evaluate("sessionStorage.getItem('tab')") != first.tab.evaluate("sessionStorage.getItem('tab')")
    third.close()
    second.leave()
    first.until("!document.querySelector('#status').textContent.includes('read-only')")


def test_from_box_to_saved_files_by_keyboard_alone(opened: Opened, saved: Path) -> None:
    page = opened()
    page.press("PageDown")
    page.until("document.title.startsWith('small.png')")
    page.until("document.querySelectorAll('#strip img[data-there=true]').length === 2")
    tab_to(page, "SUMMARY", "Other ways to begin")
    page.press("Enter")
    for side, value in (("Left", 104), ("Top", 52), ("Right", 300), ("Bottom", 252)):
        tab_to(page, "INPUT", f"{side} of the box")
        page.tab.keyboard.type(str(value))
        page.press("Enter")
    page.press("Control+Enter")
    page.wait_for("Painted", timeout=60)
    page.press("Control+s")
    page.wait_for("saved 1", timeout=60)
    assert "(exact)" in page.status
    assert "Saved small_trimap.png, small_alpha.png, small_cutout.png." in page.tab.inner_text("#live")
    assert sorted(path.name for path in saved.iterdir()) == ["small_alpha.png", "small_cutout.png", "small_trimap.png"]
    alpha = cv2.imread(str(saved / "small_alpha.png"), cv2.IMREAD_GRAYSCALE)
    assert alpha.shape == (300, 400)
    assert alpha[152, 202] == 255
    assert alpha[20, 20] == 0
    assert "small.png, done" in page.tab.inner_html("#strip")


def tab_to(page: Page, tag: str, name: str) -> None:
    """Press Tab until a control has the focus."""
    for _ in range(80):
        page.press("Tab")
        found = page.tab.evaluate(
            "[document.activeElement.tagName, document.activeElement.ariaLabel ?? document.activeElement.textContent]"
        )
        if found == [tag, name]:
            return
    raise AssertionError(f"Tab never reaches {name}")


@pytest.mark.parametrize("width", [1280, 1920])
def test_nothing_is_cut_off_at_usual_sizes(opened: Opened, width: int) -> None:
    page = opened(width=width)
    page.press("f")
    for view in range(10):
        page.press(*("v" if view != 5 else "wv"))
        page.rest(60)
        over = page.tab.evaluate(
            "['header', '#options', '#status', '#panel'].filter(name => {"
            "const one = document.querySelector(name); return one.scrollWidth > one.clientWidth; })"
        )
        assert over == [], view


def test_axe_finds_nothing_serious(opened: Opened) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install 'mattecli[dev]'")
    page = opened()
    for theme in ("dark", "light"):
        assert page.tab.evaluate("document.documentElement.dataset.theme") == theme
        for keys in ((), ("?",)):
            page.press(*keys)
            found = axe.Axe().run(page.tab).response["violations"]
            serious = [one for one in found if one["impact"] in ("serious", "critical")]
            assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == [], theme
        page.press("Escape")
        page.tab.locator("#zoom button", has_text="ark" if theme == "light" else "ight").click()


def test_two_fingers_zoom_and_a_pen_paints_by_its_pressure(opened: Opened) -> None:
    page = opened(touch=True)
    page.press("d")
    device = page.tab.context.new_cdp_session(page.tab)
    x, y = page.middle()
    before, painted, (middle,) = page.transform, page.status, page.on_picture([(x, y)])
    for kind, apart in (("Start", 0), ("Start", 50), *(("Move", 50 + 10 * step) for step in range(1, 6)), ("End", 0)):
        fingers = [(x - apart, y), (x + apart, y)][: 1 if apart == 0 else 2] if kind != "End" else []
        points = [{"x": px, "y": py, "id": finger} for finger, (px, py) in enumerate(fingers)]
        device.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    page.rest()
    assert page.transform[0] / before[0] == pytest.approx(2, rel=0.02)
    assert page.on_picture([(x, y)])[0] == pytest.approx(middle, abs=3), "the point between the fingers stays"
    assert page.status == painted, "the first finger paints nothing"

    def pen(kind: str, shift: float, force: float) -> None:
        at = {"x": x + shift, "y": y, "button": "left", "buttons": 1, "pointerType": "pen", "force": force}
        device.send("Input.dispatchMouseEvent", {"type": f"mouse{kind}", "clickCount": 1, **at})

    pen("Pressed", 0, 0.5)  # from the first touch of a pen on there is a box for its pressure
    pen("Released", 0, 0)
    page.press("Control+z")
    page.tab.get_by_label("Pressure").check()
    set_size(page, 40)
    pen("Pressed", -80, 0.2)
    pen("Moved", 80, 1.0)
    pen("Released", 80, 0)
    page.sent()
    labels = page.labels(HEIGHT, WIDTH)
    for shift, radius in ((-80, 4), (0, 12), (80, 20)):
        ((column, _),) = page.on_picture([(x + shift, y)])
        assert (labels[:, int(column)] == 255).sum() == pytest.approx(2 * radius, abs=2)
    page.press("Control+z")
    page.sent()
