"""The HTML page of an evaluation: failures first, then the worst."""

from __future__ import annotations

import heapq
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.evaluation.evaluate import Evaluation, Pictures, Scored
from mattecli.evaluation.metrics import Scores
from mattecli.imaging.image import to_depth
from mattecli.pages.page import check_page, data_uri, shrunk, write_page
from mattecli.trimaps.check import unknown

SIDE = 400  # longest side of the pictures, in pixels
SHOWN = 100  # images with pictures: the page of a large set must still open quickly

_WHITE = np.array([255, 255, 255], np.float32)  # RGB; the legend in templates/evaluation.html has the same colours
_KNOWN = np.array([226, 228, 232], np.uint8)
_TOO_OPAQUE = np.array([200, 30, 45], np.float32)
_TOO_TRANSPARENT = np.array([25, 90, 200], np.float32)
_FULL_COLOUR = 0.5  # errors from here on have the full colour


@dataclass(frozen=True)
class _Entry:
    """One image as the template shows it; `share` is its SAD in per cent of the largest."""

    rank: int
    name: str
    figures: list[tuple[str, str]]
    share: str
    pictures: dict[str, str]  # data URIs by caption; empty if the image is not among the worst


class EvaluationPage:
    """Collects small pictures while an evaluation runs (`add`, from any thread) and writes the page at the end.

    The `shown` images with the largest SAD get pictures; the others get a row of a table.
    """

    def __init__(self, *, shown: int = SHOWN) -> None:
        self._shown = shown
        self._lock = threading.Lock()
        self._worst: list[tuple[float, str, dict[str, str]]] = []  # a heap: the smallest error is dropped next

    def add(self, scored: Scored, pictures: Pictures) -> None:
        """Keep the pictures of one image as long as it is among the worst."""
        entry = (scored.scores.sad, scored.name, _thumbnails(pictures))
        with self._lock:
            push = heapq.heappush if len(self._worst) < self._shown else heapq.heappushpop
            push(self._worst, entry)

    def write(
        self, target: Path, evaluation: Evaluation, *, title: str, facts: dict[str, str], overwrite: bool = False
    ) -> None:
        """Write the page, whole or not at all. `facts` appear at its top and say what was compared with what.

        Raises `InputError` if the page cannot be written.
        """
        check_page(target, overwrite=overwrite)
        entries = self._entries(evaluation)
        mean = evaluation.mean_of_scored
        write_page(
            target,
            "evaluation.html",
            overwrite=overwrite,
            title=title,
            facts=facts,
            mean=None if mean is None else _figures(mean),
            scored=len(evaluation.images),
            total=evaluation.total,
            failed=[(failed.name, failed.reason) for failed in evaluation.failed],
            images=[entry for entry in entries if entry.pictures],
            rest=[entry for entry in entries if not entry.pictures],
        )

    def _entries(self, evaluation: Evaluation) -> list[_Entry]:
        pictures = {name: strip for _, name, strip in self._worst}
        ordered = sorted(evaluation.images, key=lambda image: -image.scores.sad)
        largest = ordered[0].scores.sad if ordered else 0.0
        return [
            _Entry(
                rank,
                image.name,
                _figures(image.scores),
                f"{image.scores.sad / largest if largest > 0 else 0:.1%}",
                pictures.get(image.name, {}),
            )
            for rank, image in enumerate(ordered, start=1)
        ]


def difference(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The error as a colour picture (H, W, 3): red where the prediction is too opaque, blue where too transparent.

    White means no error; errors of 0.5 or more have the full colour. Known pixels are not scored and are grey.
    """
    error = (prediction.astype(np.float32) - truth.astype(np.float32)) / np.float32(255)
    strength = np.minimum(np.abs(error) / _FULL_COLOUR, 1)[..., None]
    colour = np.where((error > 0)[..., None], _TOO_OPAQUE, _TOO_TRANSPARENT)
    mixed = np.rint(_WHITE * (1 - strength) + colour * strength).astype(np.uint8)
    return np.where(unknown(trimap)[..., None], mixed, _KNOWN)


def _thumbnails(pictures: Pictures) -> dict[str, str]:
    shown: dict[str, NDArray[Any]] = {}
    if pictures.photo is not None:
        shown["photo"] = to_depth(pictures.photo, 8)
    shown["trimap"] = pictures.trimap
    shown["truth"] = pictures.truth
    shown["prediction"] = pictures.prediction
    shown["difference"] = difference(pictures.prediction, pictures.truth, pictures.trimap)
    return {caption: data_uri(shrunk(pixels, SIDE)) for caption, pixels in shown.items()}


def _figures(scores: Scores) -> list[tuple[str, str]]:
    """The four errors, rounded for reading."""
    return [
        ("SAD", f"{scores.sad:.3f}"),
        ("MSE", f"{scores.mse:.5f}"),
        ("Grad", f"{scores.grad:.3f}"),
        ("Conn", f"{scores.conn:.3f}"),
    ]
