"""A report as one HTML file that needs nothing else: failures on top, then the photos with what was made of them."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.batch.report import ReportLine as Line
from mattecli.batch.report import Run
from mattecli.compositing.composite import cutout
from mattecli.compositing.foreground import estimate_foreground
from mattecli.errors import InputError, MatteError
from mattecli.imaging.image import to_depth
from mattecli.imaging.read import read_alpha, read_image
from mattecli.pages.page import STYLE, check_page, data_uri, shrunk, write_page
from mattecli.trimaps.pairs import read_trimap

SIDE = 360  # the pictures' longest side in pixels
SHOWN = 200  # photos with pictures, so that a page of a million photos stays one that can be opened


def write_report_page(
    target: Path,
    run: Run,
    *,
    title: str,
    shown: int = SHOWN,
    overwrite: bool = False,
    on_done: Callable[[], None] | None = None,
) -> None:
    """Write the page whole or not at all. Raises InputError.

    The `shown` photos that took longest have pictures, made from the files that the report names; a file that is gone
    or broken meanwhile is said to be. `on_done` is called for each.
    """
    check_page(target, overwrite=overwrite)
    failed = [line for line in run.lines if line["status"] == "failed"]
    rest = sorted((line for line in run.lines if line["status"] != "failed"), key=lambda line: -_seconds(line))
    blocks = []
    with ThreadPoolExecutor(max(1, min(4, (os.cpu_count() or 1) // 2))) as pool:
        for block in pool.map(_block, rest[:shown]):
            blocks.append(block)
            if on_done is not None:
                on_done()
    page = _PAGE.substitute(
        style=STYLE,
        title=html.escape(title),
        tiles=_tiles(run),
        note=_note(run),
        failed=_failed(failed),
        sorting=_SORTING if len(blocks) > 1 else "",
        photos="".join(blocks),
        rest=_rest(rest[shown:]),
    )
    write_page(target, page)


def _tiles(run: Run) -> str:
    counts = [(str(run.count(status)), status) for status in ("done", "skipped", "failed")]
    matted = [line for line in run.lines if line["status"] == "done"]
    pixels = sum(line["width"] * line["height"] for line in matted)
    facts = [*counts, (f"{pixels / 1e6:.1f}", "megapixels matted")]
    if run.summary is not None:
        facts.append((_duration(run.summary["seconds"]), "altogether"))
    return "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in facts)


def _note(run: Run) -> str:
    parts = []
    if run.summary is None or run.summary.get("interrupted"):
        parts.append("The run did not come to its end; what it had not begun is not listed.")
    devices = sorted({str(line["device"]) for line in run.lines if "device" in line})
    weights = sorted({f"{w['name']} ({w['sha256'][:12]}…)" for line in run.lines if (w := line.get("weights"))})
    if devices:
        parts.append(f"Device: {', '.join(devices)}. Weights: {', '.join(weights)}.")
    return html.escape(" ".join(parts))


def _failed(failed: Sequence[Line]) -> str:
    if not failed:
        return ""
    rows = "".join(f"<tr><th>{_text(line['name'])}</th><td>{_text(line['reason'])}</td></tr>" for line in failed)
    table = f'<div class="wide"><table>{rows}</table></div>'
    return f'<section class="failed"><h2>Failed ({len(failed)})</h2>{table}</section>'


def _block(line: Line) -> str:
    facts = "".join(f"<span>{name} <b>{_text(value)}</b></span>" for name, value in _facts(line))
    note = f'<p class="note">{_text(line["note"])}</p>' if line.get("note") else ""
    try:
        pictures = _pictures(line)
    except MatteError as error:
        pictures = f'<p class="note">No pictures: {_text(error)}</p>'
    except Exception as error:  # one odd file must not cost the page
        pictures = f'<p class="note">No pictures: {type(error).__name__}: {_text(error)}</p>'
    return (
        f'<article data-name="{_text(line["name"])}" data-seconds="{_seconds(line)}" '
        f'data-unknown="{line.get("unknown", 0)}"><header><h2>{_text(line["name"])}</h2>'
        f'<p class="figures">{facts}</p></header>{note}{pictures}</article>'
    )


def _facts(line: Line) -> Iterator[tuple[str, str]]:
    """What is known of a photo, as people read it."""
    if line["status"] == "skipped":
        yield "done", "before"
    if "width" in line:
        yield "size", f"{line['width']}×{line['height']}"
    if "unknown" in line:
        yield "unknown", f"{line['unknown']:.1%}"
    if "seconds" in line:
        yield "time", _duration(line["seconds"])
    if line.get("tile", "off") != "off":
        yield "tile", str(line["tile"])


def _pictures(line: Line) -> str:
    """The strip of a photo: each picture once in the page, as a CSS variable that its places use."""
    photo = to_depth(shrunk(read_image(line["image"]).pixels, SIDE), 8)
    shown = {"photo": photo, "trimap": shrunk(read_trimap(line["trimap"], snap=10), SIDE)}
    alpha, made = _made(line)
    if alpha is not None:
        small = shrunk(alpha, SIDE)
        if small.shape != photo.shape[:2]:
            raise InputError(f"{line['image']} has another size than what was made of it; run the batch again")
        shown["alpha"] = to_depth(small, 8)
        shown["cutout"] = to_depth(cutout(estimate_foreground(photo, small), small), 8)
    elif made is not None:
        shown["cutout"] = to_depth(shrunk(made, SIDE), 8)
    height, width = photo.shape[:2]
    variables = "".join(f"--{name}:url({data_uri(pixels)});" for name, pixels in shown.items())
    captions = {
        "photo": "photo",
        "trimap": "trimap",
        "alpha": "alpha",
        "cutout": "cut out" if made is None else "result",
    }
    name = _text(line["name"])
    figures = "".join(
        f'<figure><div class="picture {kind}" role="img" aria-label="{captions[kind]} of {name}"></div>'
        f"<figcaption>{captions[kind]}</figcaption></figure>"
        for kind in shown
    )
    return (
        f'<div class="strip" style="{variables}--ratio:{width}/{height};--width:{width}px">{figures}'
        '<figure><div class="picture compare"><div class="picture photo"></div><div class="picture cutout"></div>'
        f'<input type="range" min="0" max="100" value="50" aria-label="before and after, {name}" '
        "oninput=\"this.parentNode.style.setProperty('--at', this.value + '%')\"></div>"
        "<figcaption>before | after: drag</figcaption></figure></div>"
    )


def _made(line: Line) -> tuple[NDArray[np.float32] | None, NDArray[Any] | None]:
    """The alpha, from whichever output holds it; else another picture that was made."""
    output = line["output"]
    files = output if isinstance(output, dict) else {"": output}
    source = files.get("alpha") or files.get("cutout") or next(iter(files.values()))
    try:
        return read_alpha(source), None
    except InputError:
        return None, read_image(source, keep_alpha=True).pixels  # an opaque picture, or it says what is wrong with it


def _rest(lines: Sequence[Line]) -> str:
    if not lines:
        return ""
    rows = "".join(
        f"<tr><th>{_text(line['name'])}</th><td>{_text(', '.join(' '.join(fact) for fact in _facts(line)))}</td></tr>"
        for line in lines
    )
    return (
        f'<section class="rest"><h2>The other {len(lines)} photos, which took no longer</h2>'
        f'<div class="wide"><table>{rows}</table></div></section>'
    )


def _seconds(line: Line) -> float:
    return float(line.get("seconds", 0))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest:.0f} s" if minutes else f"{seconds:.2f} s"


def _text(value: object) -> str:
    return html.escape(str(value))


_SORTING = """<p class="sorting" role="group" aria-label="Order">Sort by
<button data-key="seconds" aria-pressed="true">time</button>
<button data-key="unknown" aria-pressed="false">unknown share</button>
<button data-key="name" aria-pressed="false">name</button></p>"""

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
$style
article { content-visibility: auto; contain-intrinsic-size: auto 320px; }
article header { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .2rem 1.5rem; }
.figures { display: flex; flex-wrap: wrap; gap: 0 1.2rem; color: var(--soft); }
.figures b { color: var(--ink); font-variant-numeric: tabular-nums; }
.strip { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .8rem; margin-top: .8rem; }
figure { min-width: 0; }
figcaption { font-size: .85rem; margin-top: .2rem; }
.picture { position: relative; width: 100%; max-width: var(--width); aspect-ratio: var(--ratio); border-radius: 4px;
  background-size: 100% 100%; overflow: hidden; outline: 1px solid var(--line); }
.photo { background-image: var(--photo); } .trimap { background-image: var(--trimap); }
.alpha { background-image: var(--alpha); }
.cutout { background: var(--cutout) 0 0 / 100% 100%,
  repeating-conic-gradient(#c8c8c8 0 25%, #fff 0 50%) 0 0 / 16px 16px; }
.compare { --at: 50%; }
.compare .picture { position: absolute; inset: 0; border-radius: 0; outline: none; }
.compare .cutout { clip-path: inset(0 0 0 var(--at)); }
.compare::after { content: ""; position: absolute; inset: 0 auto 0 var(--at); width: 2px; margin-left: -1px;
  background: #fff; box-shadow: 0 0 3px #000; pointer-events: none; }
.compare input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize; }
.compare:focus-within { outline: 3px solid var(--accent); outline-offset: 2px; }
.sorting { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; color: var(--soft); }
button { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 999px;
  padding: .2rem .9rem; cursor: pointer; }
button[aria-pressed="true"] { border-color: var(--accent); color: var(--accent); }
.wide { overflow-x: auto; } .rest th { font-weight: normal; }
.failed th { min-width: 8rem; max-width: 24rem; }
#photos { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
main { grid-template-columns: minmax(0, 1fr); }
</style>
<main>
<header><h1>$title</h1><p class="note">$note</p></header>
<div class="tiles">$tiles</div>
$failed
$sorting
<div id="photos">$photos</div>
$rest
</main>
<script>
const photos = document.getElementById("photos");
const compare = {
  seconds: (a, b) => b.dataset.seconds - a.dataset.seconds,
  unknown: (a, b) => b.dataset.unknown - a.dataset.unknown,
  name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true }),
};
for (const button of document.querySelectorAll(".sorting button")) {
  button.addEventListener("click", () => {
    photos.append(...[...photos.children].sort(compare[button.dataset.key]));
    for (const other of button.parentNode.querySelectorAll("button"))
      other.setAttribute("aria-pressed", String(other === button));
  });
}
</script>
</html>
""")
