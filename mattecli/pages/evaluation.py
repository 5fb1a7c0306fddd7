"""An evaluation as one HTML file that needs nothing else: failures on top, then the images, the worst first."""

from __future__ import annotations

import heapq
import html
import threading
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.evaluation.evaluate import Evaluation, Failed, Pictures, Scored
from mattecli.evaluation.metrics import Scores
from mattecli.imaging.image import to_depth
from mattecli.pages.page import STYLE, check_page, data_uri, shrunk, write_page

SIDE = 400  # the pictures' longest side in pixels
SHOWN = 100  # the worst images get pictures, so that a set of a thousand stays a page one can open

_Strip = dict[str, str]  # an image's pictures by caption, as data URIs

_WHITE = np.array([255, 255, 255], np.float32)  # RGB, as the page's legend has them
_KNOWN = np.array([226, 228, 232], np.uint8)
_TOO_OPAQUE = np.array([200, 30, 45], np.float32)
_TOO_CLEAR = np.array([25, 90, 200], np.float32)
_FULL_COLOUR = 0.5  # an error of half the range or more has the full colour


class EvaluationPage:
    """Collects small pictures while an evaluation runs (`add`, from any thread) and writes the page at its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worst: list[tuple[float, str, _Strip]] = []  # a heap: the best of them is the next to be dropped

    def add(self, scored: Scored, pictures: Pictures) -> None:
        """Keep the pictures of one image for as long as it is among the worst."""
        entry = (scored.scores.sad, scored.name, _thumbnails(pictures))
        with self._lock:
            push = heapq.heappush if len(self._worst) < SHOWN else heapq.heappushpop
            push(self._worst, entry)

    def write(
        self, target: Path, evaluation: Evaluation, *, title: str, facts: dict[str, str], overwrite: bool = False
    ) -> None:
        """Write the page, whole or not at all; `facts` say in its head what was compared with what."""
        check_page(target, overwrite=overwrite)
        strips = {name: strip for _, name, strip in self._worst}
        ordered = sorted(evaluation.images, key=lambda image: -image.scores.sad)
        largest = ordered[0].scores.sad if ordered else 0.0
        blocks = [
            _image(rank, image, strips[image.name], largest)
            for rank, image in enumerate(ordered, start=1)
            if image.name in strips
        ]
        page = _PAGE.substitute(
            style=STYLE,
            title=html.escape(title),
            facts="".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in facts.items()),
            mean=_mean(evaluation),
            failed=_failed(evaluation.failed),
            images="".join(blocks),
            rest=_rest([image for image in ordered if image.name not in strips]),
        )
        write_page(target, page)


def difference(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The error as a colour picture (H, W, 3): red where the prediction is too opaque, blue where it is too clear.

    White is no error, the full colour 0.5 or more; known pixels, which are not scored, are grey.
    """
    error = (prediction.astype(np.float32) - truth.astype(np.float32)) / np.float32(255)
    strength = np.minimum(np.abs(error) / _FULL_COLOUR, 1)[..., None]
    colour = np.where((error > 0)[..., None], _TOO_OPAQUE, _TOO_CLEAR)
    mixed = np.rint(_WHITE * (1 - strength) + colour * strength).astype(np.uint8)
    known = (trimap == 0) | (trimap == 255)
    return np.where(known[..., None], _KNOWN, mixed)


def _thumbnails(pictures: Pictures) -> _Strip:
    shown: dict[str, NDArray[Any]] = {}
    if pictures.photo is not None:
        shown["photo"] = to_depth(pictures.photo, 8)
    shown["trimap"] = pictures.trimap
    shown["truth"] = pictures.truth
    shown["prediction"] = pictures.prediction
    shown["difference"] = difference(pictures.prediction, pictures.truth, pictures.trimap)
    return {caption: data_uri(shrunk(pixels, SIDE)) for caption, pixels in shown.items()}


def _figures(scores: Scores) -> dict[str, str]:
    """The four errors as people read them."""
    return {
        "SAD": f"{scores.sad:.3f}",
        "MSE": f"{scores.mse:.5f}",
        "Grad": f"{scores.grad:.3f}",
        "Conn": f"{scores.conn:.3f}",
    }


def _mean(evaluation: Evaluation) -> str:
    scores = evaluation.mean_of_scored
    if scores is None:
        return '<p class="note">No image has a score.</p>'
    tiles = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for name, value in _figures(scores).items())
    if evaluation.failed:
        note = (
            f"Mean of the {len(evaluation.images)} images with a score, <strong>not</strong> of all "
            f"{evaluation.total}: {len(evaluation.failed)} failed, so this is no figure for the whole set."
        )
    else:
        note = f"Mean of all {evaluation.total} images."
    return f'<div class="tiles">{tiles}</div><p class="note">{note}</p>'


def _failed(failed: tuple[Failed, ...]) -> str:
    if not failed:
        return ""
    rows = "".join(f"<tr><th>{html.escape(f.name)}</th><td>{html.escape(f.reason)}</td></tr>" for f in failed)
    return f'<section class="failed"><h2>Failed ({len(failed)})</h2><table>{rows}</table></section>'


def _image(rank: int, image: Scored, strip: _Strip, largest: float) -> str:
    figures = "".join(f"<span>{name} <b>{value}</b></span>" for name, value in _figures(image.scores).items())
    share = image.scores.sad / largest if largest > 0 else 0.0
    name = html.escape(image.name)
    pictures = "".join(
        f'<figure><img src="{uri}" alt="{caption} of {name}"><figcaption>{caption}</figcaption></figure>'
        for caption, uri in strip.items()
    )
    return (
        f'<article><header><h2><i>{rank}</i>{name}</h2><p class="figures">{figures}</p></header>'
        f'<div class="bar"><div style="width:{share:.1%}"></div></div><div class="strip">{pictures}</div></article>'
    )


def _rest(images: list[Scored]) -> str:
    if not images:
        return ""
    head = "".join(f"<th>{name}</th>" for name in ("Image", "SAD", "MSE", "Grad", "Conn"))
    rows = "".join(
        f"<tr><th>{html.escape(image.name)}</th>"
        + "".join(f"<td>{value}</td>" for value in _figures(image.scores).values())
        + "</tr>"
        for image in images
    )
    return (
        f'<section class="rest"><h2>The other {len(images)} images, better than these</h2>'
        f"<table><tr>{head}</tr>{rows}</table></section>"
    )


_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
$style.rest td { text-align: right; } .rest tr + tr th { font-weight: normal; }
article header { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .2rem 1.5rem; }
article h2 i { font-style: normal; font-weight: normal; color: var(--soft); display: inline-block; min-width: 2rem; }
.figures { display: flex; flex-wrap: wrap; gap: 0 1.2rem; color: var(--soft); }
.figures b { color: var(--ink); font-variant-numeric: tabular-nums; }
.bar { height: 4px; border-radius: 2px; background: var(--line); margin: .5rem 0 .8rem; }
.bar div { height: 100%; border-radius: 2px; background: var(--accent); }
.strip { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: .8rem; }
figure { display: flex; flex-direction: column; align-items: flex-start; }
img { display: block; max-width: 100%; height: auto; border-radius: 4px; }
figcaption { font-size: .85rem; margin-top: .2rem; }
.tiles + .note { margin-top: .8rem; }
.note span { white-space: nowrap; }
.note i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; border: 1px solid var(--line);
  vertical-align: -1px; }
</style>
<main>
<header><h1>$title</h1><dl>$facts</dl></header>
$failed
<div>$mean
<p class="note">Less is better. SAD, Grad and Conn are sums in thousands over the trimap's unknown region, MSE is a
mean over it. Difference: <span><i style="background:#c81e2d"></i> too opaque,</span>
<span><i style="background:#195ac8"></i> too clear,</span> <span><i style="background:#fff"></i> no error,</span>
<span><i style="background:#e2e4e8"></i> known, not scored.</span></p></div>
$images
$rest
</main>
</html>
""")
