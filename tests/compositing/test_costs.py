"""The memory that outputs are expected to take is what they take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.compositing.colours import ColourOptions, ForegroundColours
from mattecli.compositing.costs import Costs
from mattecli.compositing.despill import Despill
from mattecli.compositing.edges import share_looked_at
from mattecli.compositing.finishing import Finishing, finish
from mattecli.compositing.outputs import make_output
from mattecli.imaging.image import Image

Floats = NDArray[np.float32]
HEIGHT, WIDTH = 1400, 1200


@pytest.fixture(scope="module")
def subject() -> tuple[Image, Floats]:
    """A grey ellipse that nearly fills a white picture, with strands."""
    alpha = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.ellipse(alpha, (600, 700), (540, 640), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    for turn in np.linspace(0, 6.2, 120):
        across, down = np.cos(turn), np.sin(turn)
        near, far = ((int(600 + r * 540 * across), int(700 + r * 640 * down)) for r in (0.95, 1.08))
        cv2.line(alpha, near, far, 0.8, 2, cv2.LINE_AA)
    alpha = np.clip(cv2.GaussianBlur(alpha, (0, 0), 1.2), 0, 1)
    pixels = np.where(alpha[..., None] > 0.5, np.uint8(90), np.uint8(235)).repeat(3, axis=2)
    return Image(pixels), alpha


def peak(function: Callable[[], Any]) -> float:
    """The most bytes that a call holds at once, for each pixel."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    function()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return (most - before) / (HEIGHT * WIDTH)


FINISHES: list[dict[str, Any]] = [
    {"fill_holes": 50},
    {"choke": 2},
    {"spread": 2, "feather": 3, "feather_both": True, "smooth": 2, "levels": (10, 240, 1.1)},
    {"shadow": "keep"},
    {"crop": "subject", "shadow": "drop"},
]


@pytest.mark.parametrize("options", FINISHES, ids=lambda options: "-".join(options))
def test_finishing_takes_no_more_than_is_counted(subject: tuple[Image, Floats], options: dict[str, Any]) -> None:
    photo, alpha = subject
    finishing = Finishing(**options)
    counted = Costs(finishing=finishing).of_finishing(photo) / alpha.size
    taken = peak(lambda: finish(photo, alpha, finishing))
    assert 0.5 * counted < taken <= counted + 4


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("options", [{}, {"choke": 2.5}, {"despill": Despill(screen="green")}], ids=str)
def test_colours_take_no_more_than_is_counted(
    subject: tuple[Image, Floats], options: dict[str, Any], linear: bool
) -> None:
    photo, alpha = subject
    colours = ColourOptions(**options)
    counted = Costs(colours=colours, linear=linear).of_pictures(photo) / alpha.size
    taken = peak(lambda: ForegroundColours(colours, linear=linear).of(photo, alpha))
    assert 0.7 * counted < taken <= counted + 4  # tiles, which do not grow with the picture


def test_pictures_of_a_grown_edge_take_no_more_than_is_counted(subject: tuple[Image, Floats]) -> None:
    photo, alpha = subject
    finishing = Finishing(spread=2)
    colours, finished = np.zeros((HEIGHT, WIDTH, 3), np.float32), finish(photo, alpha, finishing)
    taken = peak(lambda: make_output("cutout", photo, alpha, foreground=colours, finished=finished)) + 4 + 12
    assert taken <= Costs(finishing=finishing).of_pictures(photo) / alpha.size + 4


def test_without_options_a_picture_of_8_bits_takes_20_bytes_and_an_alpha_nothing() -> None:
    photo = Image(np.zeros((10, 20, 3), np.uint8))
    assert Costs().of_pictures(photo) == 200 * 20
    assert Costs(depth=16).of_pictures(photo) == 200 * 28
    assert Costs().of_finishing(photo) == 0
    large = Costs(finishing=Finishing(scale=4.0)).of_pictures(photo)
    assert large > 15 * Costs().of_pictures(photo)


def test_an_enlarged_subject_counts_no_more_than_its_photo(subject: tuple[Image, Floats]) -> None:
    photo, _ = subject
    whole, cut = (Costs(finishing=Finishing(scale=3.0, crop=crop)).of_pictures(photo) for crop in (None, "subject"))
    assert whole > 4 * cut


def test_edges_of_a_small_subject_take_no_more_than_is_counted_for_its_box() -> None:
    alpha = np.zeros((2 * HEIGHT, 2 * WIDTH), np.float32)
    cv2.circle(alpha, (WIDTH, HEIGHT), 300, 1.0, -1, cv2.LINE_AA)
    photo, finishing = Image(np.full((*alpha.shape, 3), 90, np.uint8)), Finishing(choke=2)
    share = share_looked_at(alpha, finishing)
    assert 0.05 < share < 0.4
    counted, whole = (Costs(finishing=finishing, share=one).of_finishing(photo) / alpha.size for one in (share, 1.0))
    taken = peak(lambda: finish(photo, alpha, finishing)) / 4  # a picture of four times the pixels
    assert 0.3 * counted < taken <= counted + 4
    assert counted < 0.6 * whole
